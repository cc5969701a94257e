#include "smime/qp.h"

#include <string.h>

enum { MAX_LINE = 76 };

static bool
is_line_end(struct slice text, size_t at)
{
	return at + 1 < text.len && text.at[at] == '\r' && text.at[at + 1] == '\n';
}

/* At the beginning of an encoded line: would these bytes be changed on their way? */
static bool
needs_armor(struct slice text, size_t at)
{
	if (text.len - at >= 5 && memcmp(text.at + at, "From ", 5) == 0)
		return true;
	return text.at[at] == '.' && (at + 1 == text.len || is_line_end(text, at + 1));
}

static bool
is_literal(struct slice text, size_t at, bool line_begins)
{
	unsigned char c = text.at[at];

	if (line_begins && needs_armor(text, at))
		return false;
	if (c == ' ' || c == '\t')
		return at + 1 < text.len && !is_line_end(text, at + 1);
	return c > ' ' && c < 0x7f && c != '=';
}

void
qp_encode(struct slice text, struct buf *ret)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t column = 0;

	for (size_t at = 0; at < text.len; at++) {
		unsigned char c = text.at[at];
		char escape[3] = { '=', digits[c >> 4], digits[c & 15] };

		if (is_line_end(text, at)) {
			buf_add(ret, "\r\n", 2);
			column = 0;
			at++;
			continue;
		}
		/* Room for the escape and the soft break's '=', whatever this byte becomes. */
		if (column + sizeof(escape) + 1 > MAX_LINE) {
			buf_add(ret, "=\r\n", 3);
			column = 0;
		}
		if (is_literal(text, at, column == 0)) {
			buf_add(ret, &c, 1);
			column++;
		} else {
			buf_add(ret, escape, sizeof(escape));
			column += sizeof(escape);
		}
	}
}
