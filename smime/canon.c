#include "smime/canon.h"

#include <string.h>
#include <strings.h>

#include "smime/gm.h"
#include "smime/qp.h"

/* What a part needs. */
enum change {
	CHANGE_IMPOSSIBLE, /* it must not be touched, or does not decode */
	CHANGE_NONE,
	CHANGE_LABEL,      /* only its Content-Transfer-Encoding: to 7bit */
	CHANGE_QP,
	CHANGE_BASE64,
};

enum { LINE_NOT_TEXT = LINE_NUL | LINE_BARE_CR | LINE_BARE_LF }; /* what quoted-printable lines cannot carry */

/* -1 = not of the alphabet. */
static const signed char base64_values[256] = {
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, -1, -1, 63,
	52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1,
	-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
	15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, -1,
	-1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
};

static void
add_byte(struct buf *ret, unsigned c)
{
	unsigned char byte = (unsigned char)c;

	if (ret)
		buf_add(ret, &byte, 1);
}

enum { QUADS = 256 };

/* Undoes whole groups of four as long as there are some; bytes taken. Most of a body is such: byte by byte it takes ten times as long. */
static size_t
decode_quads(struct slice encoded, size_t at, struct buf *ret)
{
	const size_t from = at;
	unsigned char room[3 * QUADS];
	size_t n = 0;

	while (encoded.len - at >= 4 && n < sizeof(room)) {
		const unsigned char *quad = encoded.at + at;
		int a = base64_values[quad[0]], b = base64_values[quad[1]], c = base64_values[quad[2]], d = base64_values[quad[3]];

		if ((a | b | c | d) < 0)
			break;
		room[n++] = (unsigned char)(a << 2 | b >> 4);
		room[n++] = (unsigned char)(b << 4 | c >> 2);
		room[n++] = (unsigned char)(c << 6 | d);
		at += 4;
	}
	if (ret && n)
		buf_add(ret, room, n);
	return at - from;
}

/* RFC 2045 6.8, without its tolerance: junk, or data behind the padding, is no base64. */
static bool
decode_base64(struct slice encoded, struct buf *ret)
{
	unsigned bits = 0;
	size_t n = 0;
	size_t padding = 0;

	for (size_t i = 0; i < encoded.len; i++) {
		unsigned char c;
		int value;

		if (n % 4 == 0 && padding == 0)
			i += decode_quads(encoded, i, ret);
		if (i == encoded.len)
			break;
		c = encoded.at[i];
		value = base64_values[c];
		if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
			continue;
		if (c == '=' && n % 4 >= 2 - (padding > 0)) {
			padding++;
			n++;
			continue;
		}
		if (value < 0 || padding > 0)
			return false;
		bits = bits << 6 | (unsigned)value;
		if (n % 4 > 0)
			add_byte(ret, bits >> (6 - 2 * (n % 4)) & 0xff);
		n++;
	}
	return n % 4 == 0 && padding <= 2;
}

static int
hex_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One "=..." at `at`; bytes it takes, 0 where it is none. */
static size_t
decode_escape(struct slice text, size_t at, struct buf *ret)
{
	int high;
	int low;

	if (at + 2 >= text.len)
		return 0;
	if (text.at[at + 1] == '\r' && text.at[at + 2] == '\n')
		return 3;
	high = hex_value(text.at[at + 1]);
	low = hex_value(text.at[at + 2]);
	if (high < 0 || low < 0)
		return 0;
	add_byte(ret, (unsigned)(high << 4 | low));
	return 3;
}

/* RFC 2045 6.7. Blanks at a line's end would have to go, but not every reader drops them: refused. */
static bool
decode_qp(struct slice encoded, struct buf *ret)
{
	for (size_t i = 0; i < encoded.len;) {
		unsigned char c = encoded.at[i];
		size_t len = 1;
		bool line_end = c == '\r' && i + 1 < encoded.len && encoded.at[i + 1] == '\n';

		if (c == '=') {
			len = decode_escape(encoded, i, ret);
			if (len == 0)
				return false;
		} else if (line_end) {
			if (i > 0 && (encoded.at[i - 1] == ' ' || encoded.at[i - 1] == '\t'))
				return false;
			add_byte(ret, '\r');
			add_byte(ret, '\n');
			len = 2;
		} else if (c == '\t' || (c >= ' ' && c < 0x7f)) {
			add_byte(ret, c);
		} else {
			return false;
		}
		i += len;
	}
	return encoded.len == 0 || (encoded.at[encoded.len - 1] != ' ' && encoded.at[encoded.len - 1] != '\t');
}

bool
canon_decode(struct slice encoded, enum cte cte, struct buf *ret)
{
	switch (cte) {
	case CTE_UNKNOWN:
		return false;
	case CTE_7BIT:
	case CTE_8BIT:
	case CTE_BINARY:
		if (ret)
			buf_add_slice(ret, encoded);
		return true;
	case CTE_QP:
		return decode_qp(encoded, ret);
	case CTE_BASE64:
		return decode_base64(encoded, ret);
	}
	return false;
}

/*
 * What is written never overtakes what is read: three bytes, and the buffer's NUL behind them, for four that are. So this one buffer may
 * lie in the text's own memory; at its cap it would be full, not moved.
 */
bool
canon_decode_in_place(unsigned char *at, size_t len, size_t *ret)
{
	struct buf decoded = { .at = at, .room = len, .cap = len ? len - 1 : 0 };
	const bool result = decode_base64((struct slice){ at, len }, &decoded);

	*ret = decoded.len;
	return result && !buf_full(&decoded);
}

static struct slice
body_of(struct slice message, const struct part *part)
{
	return (struct slice){ message.at + part->body, part->end - part->body };
}

/* Quoted-printable beats base64 in size and stays readable up to one byte in six. */
static bool
is_mostly_ascii(struct slice text)
{
	size_t escaped = 0;

	for (size_t i = 0; i < text.len; i++)
		escaped += text.at[i] >= 0x7f || text.at[i] == '=' || (text.at[i] < ' ' && !strchr("\t\r\n", text.at[i]));
	return escaped <= text.len / 6;
}

/* Parts whose bytes somebody else may have signed or sealed. */
static bool
is_frozen(const struct part *part)
{
	const struct media *media = &part->media;

	return part->kind == PART_MESSAGE || media_is(media, "message", NULL) || media_is(media, "multipart", "signed")
	    || media_is(media, "multipart", "encrypted") || media_is(media, "application", "pkcs7-mime")
	    || media_is(media, "application", "x-pkcs7-mime") || media_is(media, "application", "pkcs7-signature")
	    || media_is(media, "application", "x-pkcs7-signature") || media_is(media, "application", "pgp-signature")
	    || media_is(media, "application", "pgp-encrypted");
}

static bool
is_in_frozen(const struct part_tree *tree, size_t index)
{
	for (size_t i = index; i != NO_PARENT; i = tree->parts[i].parent) {
		if (is_frozen(&tree->parts[i]))
			return true;
	}
	return false;
}

/* RFC 6152: relays without 8BITMIME re-encode by this label, whatever the bytes are. */
static bool
needs_label(const struct part *part)
{
	return (part->cte == CTE_8BIT || part->cte == CTE_BINARY) && part->end > part->body;
}

static unsigned
raw_flags(struct slice raw)
{
	unsigned flags = 0;

	while (raw.len) {
		const unsigned char *feed = memchr(raw.at, '\n', raw.len);
		size_t len = feed ? (size_t)(feed - raw.at) + 1 : raw.len;

		flags |= line_flags((struct slice){ raw.at, len });
		raw.at += len;
		raw.len -= len;
	}
	return flags;
}

/* "=0A" is an LF that is no line end, "=0D=0A" and a line end are one: only base64 keeps the first. */
static enum change
qp_change(struct slice body)
{
	AUTO_BUF struct buf decoded = { 0 };

	buf_init(&decoded, LIMIT_MESSAGE_BYTES);
	if (!canon_decode(body, CTE_QP, &decoded))
		return CHANGE_IMPOSSIBLE;
	return raw_flags(buf_slice(&decoded)) & LINE_NOT_TEXT ? CHANGE_BASE64 : CHANGE_QP;
}

static enum change
leaf_change(struct slice message, const struct part *part)
{
	struct slice body = body_of(message, part);

	if (part->body_flags == 0)
		return needs_label(part) ? CHANGE_LABEL : CHANGE_NONE;
	if (part->cte == CTE_QP)
		return qp_change(body);
	if (!canon_decode(body, part->cte, NULL))
		return CHANGE_IMPOSSIBLE;
	if (part->cte == CTE_BASE64 || !media_is(&part->media, "text", NULL) || part->body_flags & LINE_NOT_TEXT)
		return CHANGE_BASE64;
	return is_mostly_ascii(body) ? CHANGE_QP : CHANGE_BASE64;
}

static enum change
part_change(struct slice message, const struct part_tree *tree, size_t index)
{
	const struct part *part = &tree->parts[index];
	enum change change = CHANGE_NONE;

	/* The first head's lines are judged field by field: not all of them are signed. */
	if (index > 0 && part->head_flags)
		return CHANGE_IMPOSSIBLE;
	if (part->kind == PART_LEAF)
		change = leaf_change(message, part);
	else if (part->body_flags)
		change = CHANGE_IMPOSSIBLE;
	else if (needs_label(part))
		change = CHANGE_LABEL;
	return change != CHANGE_NONE && is_in_frozen(tree, index) ? CHANGE_IMPOSSIBLE : change;
}

bool
canon_is_content(struct slice name)
{
	return name.len > 8 && strncasecmp((const char *)name.at, "Content-", 8) == 0;
}

static bool
is_one_of(struct slice name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (slice_equal_nocase(name, names[i]))
			return true;
	return false;
}

bool
canon_is_protected(struct slice name)
{
	static const char *const names[] = { "From", "To", "Cc", "Subject", "Date", "Message-ID" };

	return is_one_of(name, names, N_ELEMENTS(names));
}

bool
canon_tells_subject(struct slice name)
{
	static const char *const names[] = { "Comments", "Keywords", "Summary", "Thread-Topic" };
	static const char copy[] = "-Subject"; /* Resent-Subject, X-Original-Subject */
	const size_t len = sizeof(copy) - 1;

	return is_one_of(name, names, N_ELEMENTS(names))
	    || (name.len > len && strncasecmp((const char *)name.at + name.len - len, copy, len) == 0);
}

static bool
is_head_clean(const struct head *head)
{
	for (size_t i = 0; i < head->n_fields; i++) {
		struct slice name = head->fields[i].name;

		if ((canon_is_content(name) || canon_is_protected(name)) && raw_flags(head->fields[i].raw))
			return false;
	}
	return true;
}

enum body_form
canon_form(struct slice message, const struct part_tree *tree, const struct head *head)
{
	enum body_form form = BODY_CLEAN;

	if (tree->n_parts == 0)
		return BODY_UNKNOWN;
	if (!is_head_clean(head))
		return BODY_OPAQUE;
	for (size_t i = 0; i < tree->n_parts; i++) {
		switch (part_change(message, tree, i)) {
		case CHANGE_IMPOSSIBLE:
			return BODY_OPAQUE;
		case CHANGE_NONE:
			break;
		case CHANGE_LABEL:
			/* The first label stands in the head: the body stays as it is. */
			if (i > 0)
				form = BODY_RECODE;
			break;
		case CHANGE_QP:
		case CHANGE_BASE64:
			form = BODY_RECODE;
			break;
		}
	}
	return form;
}

static enum cte
cte_after(enum change change)
{
	switch (change) {
	case CHANGE_IMPOSSIBLE:
	case CHANGE_NONE:
		return CTE_UNKNOWN;
	case CHANGE_LABEL:
		return CTE_7BIT;
	case CHANGE_QP:
		return CTE_QP;
	case CHANGE_BASE64:
		return CTE_BASE64;
	}
	return CTE_UNKNOWN;
}

enum cte
canon_top_cte(struct slice message, const struct part_tree *tree)
{
	return cte_after(part_change(message, tree, 0));
}

/* The part's head with another Content-Transfer-Encoding; all other bytes as they were. */
static void
render_head(struct slice message, const struct part *part, enum cte cte, struct pieces *ret)
{
	AUTO_HEAD struct head head = { 0 };
	AUTO_BUF struct buf line = { 0 };
	struct slice whole = { message.at + part->start, part->body - part->start };
	const struct field *old;
	size_t from;
	size_t behind;

	head_scan(whole, &head);
	old = head_find(&head, "Content-Transfer-Encoding", 0);
	from = old ? (size_t)(old->raw.at - whole.at) : (size_t)(head.body.at - whole.at) - 2;
	behind = old ? from + old->raw.len : from;
	buf_init(&line, 128);
	buf_printf(&line, "Content-Transfer-Encoding: %s\r\n", cte_name(cte));
	pieces_borrow(ret, (struct slice){ whole.at, from });
	pieces_take(ret, &line);
	pieces_borrow(ret, (struct slice){ whole.at + behind, whole.len - behind });
}

static void
render_qp(struct slice text, struct pieces *ret)
{
	AUTO_BUF struct buf encoded = { 0 };

	/* Three for one, and three for every 72 of those. */
	buf_init(&encoded, 4 * (size_t)LIMIT_MESSAGE_BYTES);
	qp_encode(text, &encoded);
	pieces_take(ret, &encoded);
}

static void
render_body(struct slice message, const struct part *part, enum cte cte, struct pieces *ret)
{
	AUTO_BUF struct buf decoded = { 0 };
	struct slice body = body_of(message, part);
	size_t len = 0;
	void *encoded;

	buf_init(&decoded, LIMIT_MESSAGE_BYTES);
	if (part->cte == CTE_QP || part->cte == CTE_BASE64) {
		(void)canon_decode(body, part->cte, &decoded);
		body = buf_slice(&decoded);
	}
	if (cte == CTE_QP) {
		render_qp(body, ret);
		return;
	}
	encoded = gm_base64(&body, 1, &len);
	pieces_take_block(ret, encoded, len, gm_free);
}

void
canon_render(struct slice message, const struct part_tree *tree, struct pieces *ret)
{
	size_t done = tree->parts[0].body;

	for (size_t i = 0; i < tree->n_parts; i++) {
		const struct part *part = &tree->parts[i];
		enum change change = part_change(message, tree, i);
		enum cte cte = cte_after(change);

		if (cte == CTE_UNKNOWN)
			continue;
		if (i > 0) {
			pieces_borrow(ret, (struct slice){ message.at + done, part->start - done });
			render_head(message, part, cte, ret);
			done = part->body;
		}
		if (change == CHANGE_QP || change == CHANGE_BASE64) {
			render_body(message, part, cte, ret);
			done = part->end;
		}
	}
	pieces_borrow(ret, (struct slice){ message.at + done, message.len - done });
}
