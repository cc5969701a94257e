#include "smime/part.h"

#include <stdlib.h>
#include <string.h>

/* What the lines at hand belong to. */
enum place {
	IN_HEAD,
	IN_LEAF,
	IN_PREAMBLE,
	IN_EPILOGUE,
};

/* An open multipart. */
struct open {
	size_t part;
	const char *boundary; /* the part's own */
	size_t len;
	bool closed;          /* its closing boundary was seen */
};

struct scan {
	struct slice bytes;
	struct part_tree *tree;
	struct open opens[LIMIT_MIME_DEPTH];
	size_t n_opens;
	size_t messages;      /* open message parts */
	size_t current;       /* the part the lines belong to */
	enum place place;
	bool bare_before;     /* the line before ended in a bare LF */
};

/* How a line and a boundary go together. */
enum match {
	MATCH_NONE,
	MATCH_OPEN,
	MATCH_CLOSE,
	MATCH_FUZZY, /* begins like the boundary and goes on differently */
};

static void
note(struct scan *scan, const char *why)
{
	if (!scan->tree->why)
		scan->tree->why = why;
}

static void
over(struct scan *scan, const char *limit)
{
	if (!scan->tree->limit)
		scan->tree->limit = limit;
}

static struct slice
without_end(struct slice line)
{
	if (line.len && line.at[line.len - 1] == '\n')
		line.len--;
	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	return line;
}

static bool
ends_bare(struct slice line)
{
	return line.len && line.at[line.len - 1] == '\n' && (line.len == 1 || line.at[line.len - 2] != '\r');
}

static uint64_t
each_byte(unsigned char byte)
{
	return UINT64_C(0x0101010101010101) * byte;
}

/* Not 0 where one of the eight is. */
static uint64_t
zero_bytes(uint64_t word)
{
	return (word - each_byte(1)) & ~word & each_byte(0x80);
}

/* Eight bytes at a time: every byte of every message passes here, several times. */
unsigned
line_flags(struct slice line)
{
	struct slice text = line;
	unsigned flags = ends_bare(line) ? LINE_BARE_LF : 0;
	uint64_t high = 0;
	uint64_t nul = 0;
	uint64_t cr = 0;
	size_t i = 0;

	/* A CR counts as part of the line end only before an LF. */
	if (text.len && text.at[text.len - 1] == '\n')
		text = without_end(line);
	for (; i + sizeof(uint64_t) <= text.len; i += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, text.at + i, sizeof(word));
		high |= word;
		nul |= zero_bytes(word);
		cr |= zero_bytes(word ^ each_byte('\r'));
	}
	for (; i < text.len; i++) {
		high |= (uint64_t)text.at[i];
		nul |= text.at[i] == '\0';
		cr |= text.at[i] == '\r';
	}
	flags |= high & each_byte(0x80) ? LINE_8BIT : 0;
	flags |= nul ? LINE_NUL : 0;
	flags |= cr ? LINE_BARE_CR : 0;
	flags |= text.len > LIMIT_LINE_BYTES ? LINE_LONG : 0;
	if (text.len >= 5 && memcmp(text.at, "From ", 5) == 0)
		flags |= LINE_FROM;
	return flags;
}

static void
new_part(struct scan *scan, size_t parent, size_t start)
{
	struct part_tree *tree = scan->tree;
	size_t depth = parent == NO_PARENT ? 1 : tree->parts[parent].depth + 1;

	if (tree->n_parts == LIMIT_MIME_PARTS) {
		over(scan, "mime_parts");
		return;
	}
	if (tree->n_parts % 16 == 0)
		tree->parts = xrealloc(tree->parts, (tree->n_parts + 16) * sizeof(*tree->parts));
	tree->parts[tree->n_parts] = (struct part){
		.kind = PART_LEAF,
		.parent = parent,
		.depth = depth,
		.start = start,
		.cte = CTE_7BIT,
	};
	if (depth > tree->depth)
		tree->depth = depth;
	scan->current = tree->n_parts++;
	scan->place = IN_HEAD;
}

/* Fields in which parsers follow groups and comments into recursion. */
static bool
is_address_field(struct slice name)
{
	static const char *const names[] = {
		"From", "Sender", "Reply-To", "To", "Cc", "Bcc",
		"Resent-From", "Resent-Sender", "Resent-Reply-To", "Resent-To", "Resent-Cc", "Resent-Bcc",
		"Disposition-Notification-To", "Return-Path", "Mail-Followup-To", "Mail-Reply-To",
		"Apparently-To", "Errors-To", "Return-Receipt-To", "Delivered-To", "Autocrypt", "Autocrypt-Gossip",
	};

	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		if (slice_equal_nocase(name, names[i]))
			return true;
	}
	return false;
}

static void
check_marks(struct scan *scan, const struct head *head)
{
	for (size_t i = 0; i < head->n_fields; i++) {
		struct slice value = head->fields[i].value;
		size_t marks = 0;

		if (!is_address_field(head->fields[i].name))
			continue;
		for (size_t n = 0; n < value.len; n++)
			marks += value.at[n] == ':' || value.at[n] == '(';
		if (marks > LIMIT_ADDRESS_MARKS)
			over(scan, "address_marks");
	}
}

/* Fields that say how to cut the entity: a second one makes two readings. */
static void
check_unique(struct scan *scan, const struct head *head)
{
	static const struct {
		const char *name;
		const char *why;
	} fields[] = {
		{ "Content-Type", "two Content-Type fields in one part" },
		{ "Content-Transfer-Encoding", "two Content-Transfer-Encoding fields in one part" },
		{ "MIME-Version", "two MIME-Version fields in one part" },
		{ "Content-Disposition", "two Content-Disposition fields in one part" },
	};

	for (size_t i = 0; i < N_ELEMENTS(fields); i++) {
		if (head_count(head, fields[i].name) > 1)
			note(scan, fields[i].why);
	}
}

static bool
is_message(const struct media *media)
{
	static const char *const subtypes[] = { "rfc822", "rfc2822", "global", "news" };

	for (size_t i = 0; i < N_ELEMENTS(subtypes); i++) {
		if (media_is(media, "message", subtypes[i]))
			return true;
	}
	return false;
}

static void
read_fields(struct scan *scan, struct part *part, const struct head *head)
{
	const struct field *type = head_find(head, "Content-Type", 0);
	const struct field *encoding = head_find(head, "Content-Transfer-Encoding", 0);
	const struct part *parent = part->parent == NO_PARENT ? NULL : &scan->tree->parts[part->parent];
	bool in_digest = parent && parent->kind == PART_MULTIPART && media_is(&parent->media, "multipart", "digest");

	part->has_type = type != NULL;
	if (type)
		media_parse(type->value, &part->media);
	else
		media_default(in_digest, &part->media);
	if (encoding)
		part->cte = cte_parse(encoding->value);
	if (part->media.why)
		note(scan, part->media.why);
	if (part->media.limit)
		over(scan, part->media.limit);
}

static bool
is_identity(enum cte cte)
{
	return cte == CTE_7BIT || cte == CTE_8BIT || cte == CTE_BINARY;
}

/* A boundary that begins like an open one lets a line belong to both. */
static void
check_prefix(struct scan *scan, const char *boundary, size_t len)
{
	for (size_t i = 0; i < scan->n_opens; i++) {
		size_t shorter = len < scan->opens[i].len ? len : scan->opens[i].len;

		if (memcmp(boundary, scan->opens[i].boundary, shorter) == 0)
			note(scan, "a boundary that is a prefix of another one around it");
	}
}

static void
open_multipart(struct scan *scan)
{
	struct part *part = &scan->tree->parts[scan->current];
	size_t len = strlen(part->media.boundary);

	part->kind = PART_MULTIPART;
	if (scan->n_opens == LIMIT_MIME_DEPTH) {
		over(scan, "mime_depth");
		return;
	}
	check_prefix(scan, part->media.boundary, len);
	scan->opens[scan->n_opens++] = (struct open){ .part = scan->current, .boundary = NULL, .len = len };
	scan->place = IN_PREAMBLE;
}

/* The parts move when their array grows, so the stack's pointers are taken anew. */
static void
refresh_opens(struct scan *scan)
{
	for (size_t i = 0; i < scan->n_opens; i++)
		scan->opens[i].boundary = scan->tree->parts[scan->opens[i].part].media.boundary;
}

static void
open_message(struct scan *scan)
{
	struct part *part = &scan->tree->parts[scan->current];

	part->kind = PART_MESSAGE;
	if (scan->messages == LIMIT_NESTED_MESSAGES) {
		over(scan, "nested_messages");
		return;
	}
	scan->messages++;
	new_part(scan, scan->current, part->body);
	refresh_opens(scan);
}

/* The head of the current part ends before `body`: what is it? */
static void
end_head(struct scan *scan, size_t body)
{
	struct part *part = &scan->tree->parts[scan->current];
	AUTO_HEAD struct head head = { 0 };

	head_scan((struct slice){ scan->bytes.at + part->start, body - part->start }, &head);
	part->body = body;
	scan->place = IN_LEAF;
	if (head.why)
		note(scan, head.why);
	if (head.limit)
		over(scan, head.limit);
	check_marks(scan, &head);
	check_unique(scan, &head);
	read_fields(scan, part, &head);
	if (scan->tree->limit)
		return;
	if (!media_is(&part->media, "multipart", NULL) && !is_message(&part->media))
		return;
	if (!is_identity(part->cte))
		note(scan, "a multipart or message with an encoding of its own");
	if (media_is(&part->media, "multipart", NULL)) {
		open_multipart(scan);
		refresh_opens(scan);
	} else {
		open_message(scan);
	}
}

static bool
is_padding(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] != ' ' && text.at[i] != '\t')
			return false;
	}
	return true;
}

static enum match
match_one(const struct open *open, struct slice text)
{
	struct slice rest;

	if (open->len == 0 || text.len < open->len + 2 || memcmp(text.at + 2, open->boundary, open->len) != 0)
		return MATCH_NONE;
	rest = (struct slice){ text.at + 2 + open->len, text.len - 2 - open->len };
	if (is_padding(rest))
		return MATCH_OPEN;
	if (rest.len >= 2 && rest.at[0] == '-' && rest.at[1] == '-' && is_padding((struct slice){ rest.at + 2, rest.len - 2 }))
		return MATCH_CLOSE;
	return MATCH_FUZZY;
}

/* The outermost multipart the line is a boundary of (RFC 2046 5.1.2): it ends all those within. */
static enum match
match_line(const struct scan *scan, struct slice text, size_t *level)
{
	bool fuzzy = false;

	if (text.len < 3 || text.at[0] != '-' || text.at[1] != '-')
		return MATCH_NONE;
	for (size_t i = 0; i < scan->n_opens; i++) {
		enum match match = match_one(&scan->opens[i], text);

		if (match == MATCH_OPEN || match == MATCH_CLOSE) {
			*level = i;
			return match;
		}
		fuzzy = fuzzy || match == MATCH_FUZZY;
	}
	return fuzzy ? MATCH_FUZZY : MATCH_NONE;
}

/* A reader that takes a bare CR for a line end may find a boundary behind it. */
static void
check_hidden_boundary(struct scan *scan, struct slice text)
{
	for (size_t i = 0; i + 1 < text.len; i++) {
		size_t level = 0;

		if (text.at[i] != '\r')
			continue;
		/* Only the beginning counts: whatever follows, it would look like a boundary. */
		if (match_line(scan, (struct slice){ text.at + i + 1, text.len - i - 1 }, &level) != MATCH_NONE)
			note(scan, "a boundary behind a bare CR");
	}
}

/* Everything from the current part up to, not including, `stop` ends before `end`. */
static void
end_parts(struct scan *scan, size_t stop, size_t end)
{
	for (size_t i = scan->current; i != stop && i != NO_PARENT; i = scan->tree->parts[i].parent) {
		struct part *part = &scan->tree->parts[i];

		part->end = end < part->body ? part->body : end;
		if (part->kind == PART_MESSAGE && scan->messages > 0)
			scan->messages--;
	}
}

static void
close_inner(struct scan *scan, size_t n_left)
{
	while (scan->n_opens > n_left) {
		if (!scan->opens[--scan->n_opens].closed)
			note(scan, "a multipart without its closing boundary");
	}
}

static void
on_boundary(struct scan *scan, enum match match, size_t level, size_t pos, struct slice line)
{
	struct open *open = &scan->opens[level];
	size_t multipart = open->part;

	if (ends_bare(line) || scan->bare_before)
		note(scan, "a boundary beside a bare LF");
	if (scan->place == IN_HEAD) {
		/* RFC 2046 5.1.1: the empty line may be missing, but not the line end before the boundary. */
		if (scan->tree->parts[scan->current].start == pos)
			note(scan, "two boundaries without a line between them");
		/* A message/rfc822 without anything behind its head still has a message in it: an empty one. */
		while (scan->place == IN_HEAD && !scan->tree->limit)
			end_head(scan, pos);
		if (scan->tree->limit)
			return;
	}
	if (open->closed)
		note(scan, "a boundary behind the closing one");
	end_parts(scan, multipart, pos >= 2 ? pos - 2 : 0);
	close_inner(scan, level + 1);
	scan->current = multipart;
	if (match == MATCH_OPEN) {
		new_part(scan, multipart, pos + line.len);
		refresh_opens(scan);
	} else {
		open->closed = true;
		scan->place = IN_EPILOGUE;
	}
}

static bool
is_empty(struct slice line)
{
	return (line.len == 1 && line.at[0] == '\n') || (line.len == 2 && line.at[0] == '\r' && line.at[1] == '\n');
}

static void
on_text(struct scan *scan, size_t pos, struct slice line)
{
	struct part *part = &scan->tree->parts[scan->current];
	unsigned flags = line_flags(line);

	if (flags & LINE_BARE_CR && scan->n_opens > 0)
		check_hidden_boundary(scan, without_end(line));
	switch (scan->place) {
	case IN_HEAD:
		part->head_flags |= flags;
		if (pos + line.len - part->start > LIMIT_HEADER_BYTES)
			over(scan, "header_bytes");
		else if (is_empty(line))
			end_head(scan, pos + line.len);
		return;
	case IN_PREAMBLE:
		/* Without a boundary that can be read nothing ends it; that has been noted. */
		if (part->media.boundary[0] && pos + line.len - part->body > LIMIT_PREAMBLE_BYTES)
			over(scan, "preamble_bytes");
		part->body_flags |= flags;
		return;
	case IN_LEAF:
	case IN_EPILOGUE:
		part->body_flags |= flags;
		return;
	}
}

/*
 * A lone dot is the end of the message for a server that takes a bare LF or CR for a line end; what follows would
 * be the next message, with the login and the TLS of this one.
 */
static void
check_hidden_end(struct scan *scan, struct slice line)
{
	const struct slice text = without_end(line);

	if (text.len == 0 || (text.len > 1 && !memchr(text.at, '\r', text.len)))
		return;
	if (text.len == 1 && text.at[0] == '.' && (scan->bare_before || ends_bare(line)))
		note(scan, "a lone dot beside a bare LF: the end of the message for some servers (SMTP smuggling)");
	else if ((text.len > 1 && memcmp(text.at, ".\r", 2) == 0) || (text.len > 1 && memcmp(text.at + text.len - 2, "\r.", 2) == 0)
	    || memmem(text.at, text.len, "\r.\r", 3))
		note(scan, "a lone dot beside a bare CR: the end of the message for some servers (SMTP smuggling)");
}

static void
on_line(struct scan *scan, size_t pos, struct slice line)
{
	size_t level = 0;
	enum match match = match_line(scan, without_end(line), &level);

	check_hidden_end(scan, line);
	switch (match) {
	case MATCH_OPEN:
	case MATCH_CLOSE:
		on_boundary(scan, match, level, pos, line);
		return;
	case MATCH_FUZZY:
		note(scan, "a line that begins like a boundary");
		break;
	case MATCH_NONE:
		break;
	}
	on_text(scan, pos, line);
}

static void
finish(struct scan *scan)
{
	while (scan->place == IN_HEAD && !scan->tree->limit)
		end_head(scan, scan->bytes.len);
	end_parts(scan, NO_PARENT, scan->bytes.len);
	close_inner(scan, 0);
}

void
part_scan(struct slice message, struct part_tree *ret)
{
	struct scan scan = { .bytes = message, .tree = ret };
	size_t pos = 0;

	*ret = (struct part_tree){ 0 };
	if (message.len > LIMIT_MESSAGE_BYTES) {
		ret->limit = "message_bytes";
		return;
	}
	new_part(&scan, NO_PARENT, 0);
	while (pos < message.len && !ret->limit) {
		const unsigned char *feed = memchr(message.at + pos, '\n', message.len - pos);
		size_t len = feed ? (size_t)(feed - message.at) + 1 - pos : message.len - pos;

		on_line(&scan, pos, (struct slice){ message.at + pos, len });
		scan.bare_before = ends_bare((struct slice){ message.at + pos, len });
		pos += len;
	}
	if (!ret->limit)
		finish(&scan);
}

void
part_tree_done(struct part_tree *tree)
{
	free(tree->parts);
	*tree = (struct part_tree){ 0 };
}
