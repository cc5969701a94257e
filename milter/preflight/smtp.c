#include "milter/preflight/smtp.h"

#include <string.h>

enum { CODE_BYTES = 3 };

static enum smtp_state
bad(struct smtp_reply *ret, const char *why)
{
	ret->why = why;
	return SMTP_BAD;
}

static bool
is_digit(unsigned char c, unsigned char least, unsigned char most)
{
	return c >= least && c <= most;
}

/* 0: no code. */
static int
code_of(struct slice line)
{
	if (line.len < CODE_BYTES || !is_digit(line.at[0], '2', '5') || !is_digit(line.at[1], '0', '5') || !is_digit(line.at[2], '0', '9'))
		return 0;
	return (line.at[0] - '0') * 100 + (line.at[1] - '0') * 10 + (line.at[2] - '0');
}

/* The text behind the code may be any but control characters. */
static bool
is_text(struct slice line)
{
	for (size_t i = 0; i < line.len; i++)
		if ((line.at[i] < ' ' && line.at[i] != '\t') || line.at[i] == 0x7f)
			return false;
	return true;
}

/* A line without its end; what stands before it in `in` is not looked at. */
static enum smtp_state
next_line(struct slice in, size_t from, struct slice *line, struct smtp_reply *ret)
{
	const unsigned char *start = in.at + from, *lf = in.len > from ? memchr(start, '\n', in.len - from) : NULL;

	line->at = start;
	line->len = lf ? (size_t)(lf - start) : in.len - from;
	if (line->len > SMTP_LINE_BYTES)
		return bad(ret, "a line is longer than 1024 bytes");
	if (!lf)
		return SMTP_PART;
	if (line->len == 0 || line->at[line->len - 1] != '\r')
		return bad(ret, "a line ends with a bare LF");
	line->len--;
	return SMTP_WHOLE;
}

static enum smtp_state
take_line(struct slice line, struct smtp_reply *ret, bool *last)
{
	const int code = code_of(line);

	if (!is_text(line))
		return bad(ret, "a control character (NUL, a bare CR) in a reply");
	if (code == 0)
		return bad(ret, "a line that begins with no reply code");
	if (line.len > CODE_BYTES && line.at[CODE_BYTES] != ' ' && line.at[CODE_BYTES] != '-')
		return bad(ret, "neither a blank nor '-' behind the reply code");
	if (ret->n_lines > 0 && code != ret->code)
		return bad(ret, "lines of one reply with different codes");
	*last = line.len == CODE_BYTES || line.at[CODE_BYTES] == ' ';
	if (ret->n_lines++ == 0) {
		const size_t skip = line.len > CODE_BYTES ? CODE_BYTES + 1 : CODE_BYTES;

		ret->first = (struct slice){ line.at + skip, line.len - skip };
	}
	ret->code = code;
	return ret->n_lines > SMTP_REPLY_LINES ? bad(ret, "more than 200 lines in one reply") : SMTP_WHOLE;
}

enum smtp_state
smtp_reply_parse(struct slice in, struct smtp_reply *ret)
{
	bool last = false;

	*ret = (struct smtp_reply){ 0 };
	while (!last) {
		struct slice line;
		enum smtp_state state = next_line(in, ret->used, &line, ret);

		if (state == SMTP_WHOLE)
			state = take_line(line, ret, &last);
		if (state == SMTP_PART && in.len >= SMTP_REPLY_BYTES)
			return bad(ret, "more than 32768 bytes in one reply");
		if (state != SMTP_WHOLE)
			return state;
		ret->used = (size_t)(line.at - in.at) + line.len + 2;
		if (ret->used > SMTP_REPLY_BYTES)
			return bad(ret, "more than 32768 bytes in one reply");
	}
	return SMTP_WHOLE;
}

static bool
line_has(struct slice line, const char *keyword)
{
	size_t len = 0;

	if (line.len <= CODE_BYTES + 1)
		return false;
	line.at += CODE_BYTES + 1;
	line.len -= CODE_BYTES + 1;
	while (len < line.len && !strchr(" =\t", line.at[len]))
		len++;
	return slice_equal_nocase((struct slice){ line.at, len }, keyword);
}

bool
smtp_ehlo_has(struct slice reply, const char *keyword)
{
	struct smtp_reply unused = { 0 };
	size_t from = 0;

	for (bool first = true; from < reply.len; first = false) {
		struct slice line;

		if (next_line(reply, from, &line, &unused) != SMTP_WHOLE)
			return false;
		/* The first line is the server's name and greeting. */
		if (!first && line_has(line, keyword))
			return true;
		from += line.len + 2;
	}
	return false;
}
