/* Replies of a mail server, in exactly sized blocks: each that is read, beside those that differ by one thing and are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "milter/preflight/smtp.h"

struct row {
	const char *name, *bytes;
	size_t len; /* 0: strlen */
	enum smtp_state want;
	int want_code;
	size_t want_lines, want_used;
	const char *want_first, *want_why;
};

static const struct row rows[] = {
	{ "one line", "220 mail ESMTP\r\n", 0, SMTP_WHOLE, 220, 1, 16, "mail ESMTP", NULL },
	{ "a code alone", "250\r\n", 0, SMTP_WHOLE, 250, 1, 5, "", NULL },
	{ "a code and a blank", "250 \r\n", 0, SMTP_WHOLE, 250, 1, 6, "", NULL },
	{ "more lines", "250-a\r\n250-b\r\n250 c\r\n", 0, SMTP_WHOLE, 250, 3, 21, "a", NULL },
	{ "a line with a code alone is the last", "250-a\r\n250\r\n", 0, SMTP_WHOLE, 250, 2, 12, "a", NULL },
	{ "two replies: the first", "250 a\r\n221 b\r\n", 0, SMTP_WHOLE, 250, 1, 7, "a", NULL },
	{ "bytes above ASCII", "250 \xc3\xb6\r\n", 0, SMTP_WHOLE, 250, 1, 8, "\xc3\xb6", NULL },
	{ "a tab", "250 a\tb\r\n", 0, SMTP_WHOLE, 250, 1, 9, "a\tb", NULL },
	{ "nothing", "", 0, SMTP_PART, 0, 0, 0, NULL, NULL },
	{ "a piece of a code", "25", 0, SMTP_PART, 0, 0, 0, NULL, NULL },
	{ "no LF yet", "250 a\r", 0, SMTP_PART, 0, 0, 0, NULL, NULL },
	{ "more lines must come", "250-a\r\n", 0, SMTP_PART, 0, 0, 0, NULL, NULL },
	{ "a piece of the last line", "250-a\r\n250 b", 0, SMTP_PART, 0, 0, 0, NULL, NULL },
	{ "a bare LF", "250 a\n", 0, SMTP_BAD, 0, 0, 0, NULL, "bare LF" },
	{ "an empty line", "\r\n", 0, SMTP_BAD, 0, 0, 0, NULL, "no reply code" },
	{ "a LF alone", "\n", 0, SMTP_BAD, 0, 0, 0, NULL, "bare LF" },
	{ "a bare CR", "250 a\rb\r\n", 0, SMTP_BAD, 0, 0, 0, NULL, "control character" },
	{ "two CR", "250 a\r\r\n", 0, SMTP_BAD, 0, 0, 0, NULL, "control character" },
	{ "NUL", "250 a\0b\r\n", 9, SMTP_BAD, 0, 0, 0, NULL, "control character" },
	{ "DEL", "250 a\x7f\r\n", 0, SMTP_BAD, 0, 0, 0, NULL, "control character" },
	{ "an escape", "250 \x1b[2J\r\n", 0, SMTP_BAD, 0, 0, 0, NULL, "control character" },
	{ "no code", "SSH-2.0\r\n", 0, SMTP_BAD, 0, 0, 0, NULL, "no reply code" },
	{ "a code of two digits", "25 a\r\n", 0, SMTP_BAD, 0, 0, 0, NULL, "no reply code" },
	{ "a code from 1", "150 a\r\n", 0, SMTP_BAD, 0, 0, 0, NULL, "no reply code" },
	{ "a code from 6", "650 a\r\n", 0, SMTP_BAD, 0, 0, 0, NULL, "no reply code" },
	{ "a second digit of 6", "260 a\r\n", 0, SMTP_BAD, 0, 0, 0, NULL, "no reply code" },
	{ "a code of four digits", "2500 a\r\n", 0, SMTP_BAD, 0, 0, 0, NULL, "neither a blank" },
	{ "no blank behind the code", "250a\r\n", 0, SMTP_BAD, 0, 0, 0, NULL, "neither a blank" },
	{ "codes that differ", "250-a\r\n251 b\r\n", 0, SMTP_BAD, 0, 0, 0, NULL, "different codes" },
	{ "a second line without a code", "250-a\r\nb\r\n", 0, SMTP_BAD, 0, 0, 0, NULL, "no reply code" },
};

static enum smtp_state
parse(const char *bytes, size_t len, struct smtp_reply *ret, char **block)
{
	*block = malloc(len ? len : 1);
	assert_non_null(*block);
	memcpy(*block, bytes, len);
	return smtp_reply_parse((struct slice){ (const unsigned char *)*block, len }, ret);
}

static void
check_row(const struct row *row)
{
	struct smtp_reply reply = { 0 };
	char *block = NULL;
	const enum smtp_state state = parse(row->bytes, row->len ? row->len : strlen(row->bytes), &reply, &block);

	if (state != row->want)
		fail_msg("%s: state %d, wanted %d", row->name, (int)state, (int)row->want);
	if (state == SMTP_BAD && (!reply.why || !strstr(reply.why, row->want_why)))
		fail_msg("%s: '%s', wanted '%s'", row->name, reply.why, row->want_why);
	if (state == SMTP_WHOLE && (reply.code != row->want_code || reply.n_lines != row->want_lines || reply.used != row->want_used
	    || !slice_equal(reply.first, slice_of(row->want_first))))
		fail_msg("%s: code %d, %zu lines, %zu bytes, '%.*s'", row->name, reply.code, reply.n_lines, reply.used, (int)reply.first.len,
		    (const char *)reply.first.at);
	free(block);
}

static void
replies_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		check_row(&rows[i]);
}

/* Every piece of a good reply is a piece; nothing before the last byte is whole. */
static void
every_piece_is_a_piece(void **state)
{
	static const char whole[] = "250-mail\r\n250-STARTTLS\r\n250 8BITMIME\r\n";
	struct smtp_reply reply = { 0 };

	(void)state;
	for (size_t len = 0; len <= strlen(whole); len++) {
		char *block = NULL;

		assert_int_equal(parse(whole, len, &reply, &block), len == strlen(whole) ? SMTP_WHOLE : SMTP_PART);
		free(block);
	}
}

/* `n` times `line`, then `last`. */
static enum smtp_state
parse_many(const char *line, size_t n, const char *last, struct smtp_reply *ret)
{
	AUTO_BUF struct buf in = { 0 };
	char *block = NULL;
	enum smtp_state state;

	buf_init(&in, 1024 * 1024);
	for (size_t i = 0; i < n; i++)
		buf_add_text(&in, line);
	buf_add_text(&in, last);
	state = parse((const char *)in.at, in.len, ret, &block);
	free(block);
	return state;
}

static void
what_is_too_much_is_bad(void **state)
{
	struct smtp_reply reply = { 0 };

	(void)state;
	assert_int_equal(parse_many("250-a\r\n", SMTP_REPLY_LINES - 1, "250 a\r\n", &reply), SMTP_WHOLE);
	assert_int_equal(parse_many("250-a\r\n", SMTP_REPLY_LINES, "250 a\r\n", &reply), SMTP_BAD);
	assert_int_equal(parse_many("250-a\r\n", SMTP_REPLY_LINES + 1, "", &reply), SMTP_BAD);
	assert_int_equal(parse_many("2", SMTP_LINE_BYTES, "", &reply), SMTP_PART);
	assert_int_equal(parse_many("2", SMTP_LINE_BYTES + 1, "", &reply), SMTP_BAD);
	assert_int_equal(parse_many("2", SMTP_LINE_BYTES, "22\r\n", &reply), SMTP_BAD);
}

/* 1,000 bytes a line, so that the bytes end before the lines do. */
static void
too_many_bytes_are_bad(void **state)
{
	char line[1001];
	struct smtp_reply reply = { 0 };

	(void)state;
	memset(line, 'a', sizeof(line));
	memcpy(line, "250-", 4);
	memcpy(line + sizeof(line) - 3, "\r\n", 3);
	assert_int_equal(parse_many(line, 31, "250 a\r\n", &reply), SMTP_WHOLE);
	assert_int_equal(parse_many(line, 33, "250 a\r\n", &reply), SMTP_BAD);
	assert_int_equal(parse_many(line, 33, "", &reply), SMTP_BAD);
}

static bool
has(const char *reply, const char *keyword)
{
	return smtp_ehlo_has(slice_of(reply), keyword);
}

static void
keywords_are_whole_words(void **state)
{
	static const char reply[] = "250-auth.example STARTTLS\r\n250-AUTHENTIC\r\n250-AUTH=LOGIN\r\n250-XSTARTTLS\r\n250 8bitmime\r\n";

	(void)state;
	assert_true(has(reply, "AUTH"));
	assert_true(has(reply, "8BITMIME"));
	assert_true(has("250-a\r\n250 AUTH PLAIN LOGIN\r\n", "AUTH"));
	assert_false(has(reply, "STARTTLS"));
	assert_false(has("250-AUTH PLAIN\r\n250 8BITMIME\r\n", "AUTH"));
	assert_false(has("250-a\r\n250 XAUTH PLAIN\r\n", "AUTH"));
	assert_false(has("250-a\r\n250 AUTHX PLAIN\r\n", "AUTH"));
	assert_false(has("250-a\r\n250\r\n", "AUTH"));
	assert_false(has("", "AUTH"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_are_read),
		cmocka_unit_test(every_piece_is_a_piece),
		cmocka_unit_test(what_is_too_much_is_bad),
		cmocka_unit_test(too_many_bytes_are_bad),
		cmocka_unit_test(keywords_are_whole_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
