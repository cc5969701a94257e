#include "smime/fold.h"

#include <string.h>

enum { WANTED_BYTES = 900 }; /* of a line, where a blank stands before it */

/* The next line, without its end. */
static struct slice
next_line(struct slice *rest)
{
	const unsigned char *feed = memchr(rest->at, '\n', rest->len);
	struct slice line = { rest->at, feed ? (size_t)(feed - rest->at) : rest->len };
	const size_t used = feed ? line.len + 1 : line.len;

	rest->at += used;
	rest->len -= used;
	if (line.len && line.at[line.len - 1] == '\r')
		line.len--;
	return line;
}

bool
fold_is_due(const struct field *field)
{
	struct slice rest = field->raw;

	while (rest.len)
		if (next_line(&rest).len > LIMIT_FIELD_LINE_BYTES)
			return true;
	return false;
}

static bool
is_blank(unsigned char byte)
{
	return byte == ' ' || byte == '\t';
}

static size_t
leading_blanks(struct slice text)
{
	size_t n = 0;

	while (n < text.len && is_blank(text.at[n]))
		n++;
	return n;
}

/*
 * Where this line is folded: at a blank behind its first word, the last one that leaves it short enough, or the next. `before`
 * bytes stand before the text on the same line. 0: nowhere.
 */
static size_t
place_of(struct slice text, size_t before)
{
	const size_t first = leading_blanks(text);
	size_t found = 0;

	for (size_t i = first + 1; i < text.len && before + i <= LIMIT_FIELD_LINE_BYTES; i++) {
		if (!is_blank(text.at[i]) || is_blank(text.at[i - 1]))
			continue;
		if (found && before + i > WANTED_BYTES)
			break;
		found = i;
	}
	return found;
}

/* A fold behind which only blanks stand would be a line that no mail may have. */
static bool
fold_line(struct slice text, size_t before, struct buf *ret)
{
	while (before + text.len > LIMIT_FIELD_LINE_BYTES) {
		const size_t place = place_of(text, before);
		const struct slice rest = { text.at + place, text.len - place };

		if (place == 0 || leading_blanks(rest) == rest.len)
			return false;
		buf_add(ret, text.at, place);
		buf_add_text(ret, "\n");
		text = rest;
		before = 0;
	}
	buf_add_slice(ret, text);
	return true;
}

bool
fold_value(const struct field *field, struct buf *ret)
{
	struct slice rest = field->value;
	size_t before = field->name.len + 1;

	for (bool first = true; first || rest.len; first = false) {
		if (!first)
			buf_add_text(ret, "\n");
		if (!fold_line(next_line(&rest), before, ret))
			return false;
		before = 0;
	}
	return true;
}
