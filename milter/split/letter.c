#include "milter/split/letter.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { REPLY_LINE_BYTES = 500 }; /* RFC 5321 4.5.3.1.5 wants 512, line end included */

const char *const forward_names[N_FORWARDS] = {
	[FORWARD_NAME] = "NAME", [FORWARD_ADDR] = "ADDR", [FORWARD_PORT] = "PORT", [FORWARD_PROTO] = "PROTO",
	[FORWARD_HELO] = "HELO", [FORWARD_IDENT] = "IDENT", [FORWARD_SOURCE] = "SOURCE",
};

void
letter_done(struct letter *letter)
{
	free(TAKE(letter->sender));
	free(TAKE(letter->sender_parameters));
	free(TAKE(letter->recipient));
	free(TAKE(letter->recipient_parameters));
	for (size_t i = 0; i < N_FORWARDS; i++)
		free(TAKE(letter->forward[i]));
	if (letter->bytes.at)
		wipe(letter->bytes.at, letter->bytes.len);
	buf_done(&letter->bytes);
}

const char *
letter_id(const struct letter *letter)
{
	return letter->forward[FORWARD_IDENT] ? letter->forward[FORWARD_IDENT] : "-";
}

void
reply_done(struct reply *reply)
{
	buf_done(&reply->lines);
}

void
reply_set(struct reply *reply, int code, const char *status, const char *fmt, ...)
{
	char text[REPLY_LINE_BYTES];
	va_list args;
	int len = snprintf(text, sizeof(text), "%d %s ", code, status);

	va_start(args, fmt);
	vsnprintf(text + len, sizeof(text) - (size_t)len, fmt, args);
	va_end(args);
	for (char *c = text; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
	buf_done(&reply->lines);
	buf_init(&reply->lines, REPLY_BYTES);
	buf_printf(&reply->lines, "%s\r\n", text);
}

int
reply_code(const struct reply *reply)
{
	const unsigned char *at = reply->lines.at;

	if (reply->lines.len < 3)
		return 0;
	return (at[0] - '0') * 100 + (at[1] - '0') * 10 + (at[2] - '0');
}
