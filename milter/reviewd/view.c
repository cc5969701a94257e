#include "milter/reviewd/view.h"

#include <stdio.h>
#include <string.h>

#include "smime/canon.h"
#include "smime/gm.h"
#include "smime/hash.h"
#include "smime/head.h"
#include "smime/part.h"
#include "smime/text.h"

enum {
	VALUE_BYTES = 2000,  /* of one header field that are shown */
	NAME_BYTES = 200,    /* of its name */
	NOTE_BYTES = 80,
};

/* The text, as far as it has grown. Behind the cut nothing is added. */
struct page {
	struct buf *text;
	size_t room; /* what may be filled; the note about the cut has its place behind it */
	bool cut;
};

static void
put(struct page *page, const char *bytes, size_t len)
{
	if (page->cut || len > page->room - page->text->len) {
		page->cut = true;
		return;
	}
	buf_add(page->text, bytes, len);
}

static void
put_text(struct page *page, const char *text)
{
	put(page, text, strlen(text));
}

static void
put_number(struct page *page, size_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%zu", number);
	put_text(page, text);
}

/* Foreign text on one line, at most so many of its bytes. */
static void
put_line(struct page *page, struct slice text, size_t most)
{
	const size_t len = text.len;
	struct slice rest = { text.at, len < most ? len : most };

	while (rest.len && rest.len < len && (text.at[rest.len] & 0xc0) == 0x80)
		rest.len--; /* not in the middle of a character */
	while (rest.len && !page->cut) {
		char shown[TEXT_SHOWN_BYTES];
		const size_t n = text_next(&rest, shown);

		put(page, shown, n);
	}
	if (len > most)
		put_text(page, " [...]");
}

/* Foreign text with its lines, each behind a mark, so that none of them can pass for one of ours. */
static void
put_lines(struct page *page, struct slice text)
{
	bool at_start = true;

	while (text.len && !page->cut) {
		char shown[TEXT_SHOWN_BYTES];

		if (at_start)
			put_text(page, "| ");
		at_start = false;
		if (text.at[0] == '\r' && text.len > 1 && text.at[1] == '\n') {
			text.at++;
			text.len--;
		}
		if (text.at[0] == '\n' || text.at[0] == '\t') {
			at_start = text.at[0] == '\n';
			put(page, (const char *)text.at, 1);
			text.at++;
			text.len--;
			continue;
		}
		put(page, shown, text_next(&text, shown));
	}
	if (!at_start)
		put_text(page, "\n");
}

/* A folded value on one line: its line ends go, the blanks behind them stay (RFC 5322 2.2.3). */
static void
unfold(struct slice value, struct buf *ret)
{
	for (size_t i = 0; i < value.len; i++)
		if (value.at[i] != '\r' && value.at[i] != '\n')
			buf_add(ret, &value.at[i], 1);
}

static void
show_field(struct page *page, const struct field *field)
{
	AUTO_BUF struct buf value = { 0 };
	char *decoded;

	buf_init(&value, LIMIT_FIELD_BYTES);
	unfold(slice_trim(field->value), &value);
	decoded = gm_decoded_text(buf_slice(&value));
	put_line(page, field->name, NAME_BYTES);
	put_text(page, ": ");
	put_line(page, slice_of(decoded), VALUE_BYTES);
	put_text(page, "\n");
	gm_free(decoded);
}

static void
show_head(struct page *page, struct slice entity, const char *title)
{
	AUTO_HEAD struct head head = { 0 };

	head_scan(entity, &head);
	put_text(page, title);
	for (size_t i = 0; i < head.n_fields && !page->cut; i++)
		show_field(page, &head.fields[i]);
	if (head.why || head.limit) {
		put_text(page, "[this header can be read in more than one way or is too large: ");
		put_text(page, head.why ? head.why : head.limit);
		put_text(page, "]\n");
	}
}

static struct slice
body_of(struct slice message, const struct part *part)
{
	return (struct slice){ message.at + part->body, part->end - part->body };
}

static struct slice
head_of(struct slice message, const struct part *part)
{
	return (struct slice){ message.at + part->start, part->body - part->start };
}

/* The value of a field of the part's head; empty where there is none, or more than one. */
static struct slice
value_of(const struct head *head, const char *name)
{
	const struct field *field = head_find(head, name, 0);

	return field && head_count(head, name) == 1 ? field->value : (struct slice){ NULL, 0 };
}

static void
show_name(struct page *page, const struct head *head, const char *name, const char *param)
{
	const struct slice value = value_of(head, name);
	char file[GM_NAME_BYTES];

	if (!value.len || !gm_file_name(value, param, file))
		return;
	put_text(page, ", ");
	put_text(page, param);
	put_text(page, " \"");
	put_line(page, slice_of(file), sizeof(file));
	put_text(page, "\"");
}

static void
show_hash(struct page *page, struct slice bytes)
{
	unsigned char hash[HASH_BYTES];
	char text[2 * HASH_BYTES + 1];

	hash_of(bytes, hash);
	for (size_t i = 0; i < sizeof(hash); i++)
		snprintf(text + 2 * i, 3, "%02x", hash[i]);
	put_text(page, ", SHA-256 ");
	put_text(page, text);
}

static void
show_type(struct page *page, const struct part *part)
{
	put_line(page, slice_of(part->media.type), sizeof(part->media.type));
	put_text(page, "/");
	put_line(page, slice_of(part->media.subtype), sizeof(part->media.subtype));
	if (!part->has_type)
		put_text(page, " (it does not say)");
}

/* The content of a leaf: decoded, or as it was sent where it does not decode. */
static bool
content_of(struct slice message, const struct part *part, struct buf *ret)
{
	if (canon_decode(body_of(message, part), part->cte, ret))
		return true;
	ret->len = 0;
	buf_add_slice(ret, body_of(message, part));
	return false;
}

static void
show_lines(struct page *page, const struct head *head, struct slice content)
{
	const struct slice type = value_of(head, "Content-Type");
	char charset[GM_NAME_BYTES] = "";
	AUTO_BUF struct buf text = { 0 };

	if (!type.len || !gm_file_name(type, "charset", charset) || slice_equal_nocase(slice_of(charset), "utf-8")
	    || slice_equal_nocase(slice_of(charset), "us-ascii")) {
		put_lines(page, content);
		return;
	}
	buf_init(&text, page->room - page->text->len + TEXT_SHOWN_BYTES); /* more is not shown anyway */
	if (text_decode(content, charset, &text)) {
		put_lines(page, buf_slice(&text));
		page->cut = page->cut || buf_full(&text);
		return;
	}
	put_text(page, "[charset \"");
	put_line(page, slice_of(charset), sizeof(charset));
	put_text(page, "\" is not known here; its bytes:]\n");
	put_lines(page, content);
}

static void
show_leaf(struct page *page, struct slice message, const struct part *part)
{
	AUTO_HEAD struct head head = { 0 };
	AUTO_BUF struct buf content = { 0 };
	bool decoded;

	head_scan(head_of(message, part), &head);
	buf_init(&content, LIMIT_MESSAGE_BYTES);
	decoded = content_of(message, part, &content);
	put_text(page, ", ");
	put_number(page, content.len);
	put_text(page, decoded ? " bytes" : " bytes as sent (its encoding is broken or unknown)");
	show_hash(page, buf_slice(&content));
	show_name(page, &head, "Content-Disposition", "filename");
	show_name(page, &head, "Content-Type", "name");
	put_text(page, "\n");
	if (media_is(&part->media, "text", "html"))
		put_text(page, "[HTML, as its source:]\n");
	if (media_is(&part->media, "text", NULL))
		show_lines(page, &head, buf_slice(&content));
}

static void
show_part(struct page *page, struct slice message, const struct part_tree *tree, size_t index)
{
	const struct part *part = &tree->parts[index];

	put_text(page, "\n");
	for (size_t i = 1; i < part->depth; i++)
		put_text(page, "  ");
	put_text(page, "[part ");
	put_number(page, index + 1);
	put_text(page, "] ");
	show_type(page, part);
	if (part->kind == PART_LEAF)
		show_leaf(page, message, part);
	else
		put_text(page, "\n");
	if (part->kind == PART_MESSAGE && index + 1 < tree->n_parts)
		show_head(page, head_of(message, &tree->parts[index + 1]), "[header of the message inside:]\n");
}

static void
show_source(struct page *page, struct slice message, const char *why)
{
	AUTO_HEAD struct head head = { 0 };

	head_scan(message, &head);
	put_text(page, "\n[its parts are not taken apart, for it goes beyond a limit: ");
	put_text(page, why);
	put_text(page, "; its source:]\n");
	put_lines(page, head.body);
}

static void
show_parts(struct page *page, struct slice message)
{
	AUTO_TREE struct part_tree tree = { 0 };

	part_scan(message, &tree);
	if (tree.limit) {
		show_source(page, message, tree.limit);
		return;
	}
	if (tree.why) {
		put_text(page, "\n[two mail programs may see two messages here: ");
		put_text(page, tree.why);
		put_text(page, "]\n");
	}
	for (size_t i = 0; i < tree.n_parts && !page->cut; i++)
		show_part(page, message, &tree, i);
}

void
view_message(struct slice message, struct buf *ret)
{
	struct page page = { .text = ret, .room = ret->cap > NOTE_BYTES ? ret->cap - NOTE_BYTES : 0 };
	char note[NOTE_BYTES];

	show_head(&page, message, "");
	show_parts(&page, message);
	if (!page.cut)
		return;
	snprintf(note, sizeof(note), "\n[cut here: no more than %zu bytes are shown]\n", ret->cap);
	if (strlen(note) <= ret->cap - ret->len)
		buf_add_text(ret, note);
}
