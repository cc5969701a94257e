/* The receiving side of segel-split: what is a message, what is none, and that nobody slips a second one in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "milter/split/intake.h"

enum { MESSAGE_BYTES = 20000 };

#define HELLO "EHLO postfix.example\r\n"
#define ENVELOPE "MAIL FROM:<a@kota.example>\r\n", "RCPT TO:<b@kota.example>\r\n"

static struct intake *
begin(void)
{
	struct intake *intake = intake_new("segel.example", MESSAGE_BYTES);

	assert_string_equal(buf_text(intake_out(intake)), "220 segel.example ESMTP segel-split\r\n");
	intake_out(intake)->len = 0;
	return intake;
}

/* In a block of exactly its size, so that a byte read too far is seen. */
static enum intake_state
give(struct intake *intake, const void *bytes, size_t len)
{
	unsigned char *copy = malloc(len ? len : 1);
	enum intake_state state;

	memcpy(copy, bytes, len);
	state = intake_take(intake, (struct slice){ copy, len });
	free(copy);
	return state;
}

/* What it says to one piece; the text is borrowed until the next. */
static const char *
ask(struct intake *intake, const char *text)
{
	intake_out(intake)->len = 0;
	give(intake, text, strlen(text));
	return buf_text(intake_out(intake));
}

static void
want(struct intake *intake, const char *text, const char *code)
{
	const char *said = ask(intake, text);

	if (strncmp(said, code, strlen(code)) != 0)
		fail_msg("to '%.60s': found '%.100s', wanted '%s'", text, said, code);
}

static void
to_data(struct intake *intake)
{
	want(intake, HELLO, "250-");
	want(intake, "MAIL FROM:<a@kota.example>\r\n", "250 ");
	want(intake, "RCPT TO:<b@kota.example>\r\n", "250 ");
	want(intake, "DATA\r\n", "354 ");
}

static void
answer(struct intake *intake, int code)
{
	AUTO_REPLY struct reply reply = { .lines = { 0 } };

	reply_set(&reply, code, "2.0.0", "Said");
	intake_out(intake)->len = 0;
	assert_int_equal(intake_answer(intake, &reply), INTAKE_READS);
}

static void
test_one_message(void **state)
{
	static const char message[] = "Subject: x\r\n\r\n..dot\r\nend\r\n.\r\n";
	AUTO(intake_free) struct intake *intake = begin();
	const struct letter *letter;

	(void)state;
	assert_string_equal(ask(intake, HELLO), "250-segel.example\r\n250-SIZE 20000\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n"
	    "250-ENHANCEDSTATUSCODES\r\n250 XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE\r\n");
	want(intake, "XFORWARD NAME=a.example ADDR=192.0.2.1\r\n", "250 ");
	want(intake, "xforward ident=4Xyz1 SOURCE=LOCAL\r\n", "250 ");
	want(intake, "MAIL FROM:<a@kota.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x\r\n", "250 ");
	want(intake, "RCPT TO:<b@kota.example> NOTIFY=NEVER ORCPT=rfc822;c@kota.example\r\n", "250 ");
	want(intake, "DATA\r\n", "354 ");
	assert_true(intake_busy(intake));
	assert_null(intake_letter(intake));
	assert_int_equal(give(intake, message, strlen(message)), INTAKE_LETTER);
	letter = intake_letter(intake);
	assert_string_equal(letter->sender, "a@kota.example");
	assert_string_equal(letter->sender_parameters, "BODY=8BITMIME RET=HDRS ENVID=x");
	assert_string_equal(letter->recipient, "b@kota.example");
	assert_string_equal(letter->recipient_parameters, "NOTIFY=NEVER ORCPT=rfc822;c@kota.example");
	assert_string_equal(letter->forward[FORWARD_ADDR], "192.0.2.1");
	assert_string_equal(letter_id(letter), "4Xyz1");
	assert_string_equal(buf_text(&letter->bytes), "Subject: x\r\n\r\n.dot\r\nend\r\n");
	answer(intake, 250);
	assert_string_equal(buf_text(intake_out(intake)), "250 2.0.0 Said\r\n");
	assert_null(intake_letter(intake));
	/* Nothing of it is left for the next. */
	want(intake, "MAIL FROM:<>\r\n", "250 ");
	want(intake, "RCPT TO:<c@kota.example>\r\n", "250 ");
	want(intake, "DATA\r\n", "354 ");
	assert_int_equal(give(intake, ".\r\n", 3), INTAKE_LETTER);
	letter = intake_letter(intake);
	assert_string_equal(letter->sender, "");
	assert_string_equal(letter_id(letter), "-");
	assert_int_equal(letter->bytes.len, 0);
	answer(intake, 451);
	want(intake, "QUIT\r\n", "221 ");
}

/* A byte at a time, and in every pair of pieces, it is the same message. */
static void
test_drip(void **state)
{
	static const char text[] = "A: b\r\n\r\n..\r\n...\r\n.x\r\n\r\nend\r\n.\r\n";
	static const char wanted[] = "A: b\r\n\r\n.\r\n..\r\nx\r\n\r\nend\r\n";

	(void)state;
	for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
		AUTO(intake_free) struct intake *intake = begin();

		to_data(intake);
		if (cut == 0) {
			for (size_t i = 0; i + 2 < sizeof(text); i++)
				assert_int_equal(give(intake, text + i, 1), INTAKE_READS);
			assert_int_equal(give(intake, "\n", 1), INTAKE_LETTER);
		} else {
			assert_int_equal(give(intake, text, cut), INTAKE_READS);
			assert_int_equal(give(intake, text + cut, sizeof(text) - 1 - cut), INTAKE_LETTER);
		}
		assert_string_equal(buf_text(&intake_letter(intake)->bytes), wanted);
	}
}

static const struct {
	const char *name;
	const char *bytes;
	size_t len;
	const char *want; /* reply; NULL = a message */
} messages[] = {
#define M(text) text, sizeof(text) - 1
	{ "plain", M("a\r\nb\r\n.\r\n"), NULL },
	{ "8 bits", M("\xc3\xa9\r\n.\r\n"), NULL },
	{ "a dot in a line", M("a.\r\n.b\r\n.\r\n"), NULL },
	{ "LF . LF", M("a\n.\nMAIL FROM:<x@y>\r\n.\r\n"), "554 5.6.0 The message holds a line feed" },
	{ "LF . CRLF", M("a\n.\r\nMAIL FROM:<x@y>\r\n.\r\n"), "554 5.6.0 The message holds a line feed" },
	{ "CRLF . LF", M("a\r\n.\nMAIL FROM:<x@y>\r\n.\r\n"), "554 5.6.0 The message holds a line feed" },
	{ "CR . CR", M("a\r.\rMAIL FROM:<x@y>\r\n.\r\n"), "554 5.6.0 The message holds a carriage return" },
	{ "CR . CRLF", M("a\r.\r\nMAIL FROM:<x@y>\r\n.\r\n"), "554 5.6.0 The message holds a carriage return" },
	{ "CRLF . CR", M("a\r\n.\rMAIL FROM:<x@y>\r\n.\r\n"), "554 5.6.0 The message holds a carriage return" },
	{ "CRLF . CR CR LF", M("a\r\n.\r\r\nx\r\n.\r\n"), "554 5.6.0 The message holds a carriage return" },
	{ "CR CRLF . CRLF", M("a\r\r\n.\r\n"), "554 5.6.0 The message holds a carriage return" },
	{ "a bare LF alone", M("a\nb\r\n.\r\n"), "554 5.6.0 The message holds a line feed" },
	{ "a bare CR alone", M("a\rb\r\n.\r\n"), "554 5.6.0 The message holds a carriage return" },
	{ "NUL", M("a\0b\r\n.\r\n"), "554 5.6.0 The message holds a NUL" },
	{ "NUL before the dot", M("a\r\n\0.\r\nx\r\n.\r\n"), "554 5.6.0 The message holds a NUL" },
	{ "NUL behind the dot", M("a\r\n.\0\r\nx\r\n.\r\n"), "554 5.6.0 The message holds a NUL" },
	{ "LF as a CR's second half", M("a\r\n.\n\r\nx\r\n.\r\n"), "554 5.6.0 The message holds a line feed" },
#undef M
};

static void
test_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(messages); i++) {
		AUTO(intake_free) struct intake *intake = begin();
		enum intake_state found;

		to_data(intake);
		intake_out(intake)->len = 0;
		found = give(intake, messages[i].bytes, messages[i].len);
		if (!messages[i].want) {
			if (found != INTAKE_LETTER)
				fail_msg("%s: no message: '%s'", messages[i].name, buf_text(intake_out(intake)));
			continue;
		}
		if (found != INTAKE_READS || strncmp(buf_text(intake_out(intake)), messages[i].want, strlen(messages[i].want)) != 0)
			fail_msg("%s: found '%s', wanted '%s'", messages[i].name, buf_text(intake_out(intake)), messages[i].want);
		/* It ended there, and nothing of it was taken for a command. */
		want(intake, "RCPT TO:<b@kota.example>\r\n", "503 ");
		want(intake, "MAIL FROM:<a@kota.example>\r\n", "250 ");
	}
}

static enum intake_state
give_line(struct intake *intake, size_t len, bool dot)
{
	AUTO_BUF struct buf text = { 0 };

	buf_init(&text, len + 16);
	if (dot)
		buf_add_text(&text, ".");
	for (size_t i = 0; i < len; i++)
		buf_add(&text, i ? "x" : ".", 1);
	buf_add_text(&text, "\r\n.\r\n");
	return give(intake, text.at, text.len);
}

static void
test_limits(void **state)
{
	(void)state;
	for (int more = 0; more < 2; more++) {
		AUTO(intake_free) struct intake *intake = begin();

		to_data(intake);
		assert_int_equal(give_line(intake, INTAKE_LINE_BYTES + (size_t)more, true), more ? INTAKE_READS : INTAKE_LETTER);
		if (more)
			assert_non_null(strstr(buf_text(intake_out(intake)), "554 5.6.0 The message holds a line of more than 998 bytes"));
	}
	for (size_t more = 0; more < 2; more++) {
		AUTO(intake_free) struct intake *intake = begin();

		to_data(intake);
		for (size_t n = 0; n < MESSAGE_BYTES / 100; n++) {
			char line[101];

			memset(line, 'x', sizeof(line));
			memcpy(line + 98, "\r\n", 2);
			assert_int_equal(give(intake, line, 100), INTAKE_READS);
		}
		assert_int_equal(more ? give(intake, "\r\n.\r\n", 5) : give(intake, ".\r\n", 3), more ? INTAKE_READS : INTAKE_LETTER);
		if (more)
			assert_non_null(strstr(buf_text(intake_out(intake)), "552 5.3.4 "));
	}
}

static const struct {
	const char *name;
	const char *before[3]; /* after EHLO */
	const char *line;
	const char *want;
} lines[] = {
	{ "LMTP", { NULL }, "LHLO postfix.example\r\n", "250-" },
	{ "no EHLO name", { NULL }, "EHLO\r\n", "501 " },
	{ "MAIL twice", { "MAIL FROM:<a@b>\r\n" }, "MAIL FROM:<a@b>\r\n", "503 " },
	{ "a second recipient", { ENVELOPE }, "RCPT TO:<c@d>\r\n", "452 4.5.3 " },
	{ "RCPT before MAIL", { NULL }, "RCPT TO:<c@d>\r\n", "503 " },
	{ "DATA before RCPT", { "MAIL FROM:<a@b>\r\n" }, "DATA\r\n", "503 " },
	{ "DATA with words", { ENVELOPE }, "DATA x\r\n", "501 " },
	{ "XFORWARD within", { "MAIL FROM:<a@b>\r\n" }, "XFORWARD IDENT=x\r\n", "503 " },
	{ "XFORWARD of something else", { NULL }, "XFORWARD LOGIN=x\r\n", "501 " },
	{ "XFORWARD of nothing", { NULL }, "XFORWARD\r\n", "501 " },
	{ "XFORWARD without a value", { NULL }, "XFORWARD IDENT\r\n", "501 " },
	{ "no angle brackets", { NULL }, "MAIL FROM:a@b\r\n", "501 " },
	{ "a blank before them", { NULL }, "MAIL FROM: <a@b>\r\n", "501 " },
	{ "no end", { NULL }, "MAIL FROM:<a@b\r\n", "501 " },
	{ "two of them", { NULL }, "MAIL FROM:<a@b><c@d>\r\n", "501 " },
	{ "one within", { NULL }, "MAIL FROM:<a<@b>\r\n", "501 " },
	{ "a blank within", { NULL }, "MAIL FROM:<a b@c>\r\n", "501 " },
	{ "a quoted blank and bracket", { NULL }, "MAIL FROM:<\"a >b\"@c>\r\n", "250 " },
	{ "a quoted quote", { NULL }, "MAIL FROM:<\"a\\\" >\"@c>\r\n", "250 " },
	{ "the null sender", { NULL }, "MAIL FROM:<>\r\n", "250 " },
	{ "the null recipient", { "MAIL FROM:<a@b>\r\n" }, "RCPT TO:<>\r\n", "501 " },
	{ "an unknown parameter", { NULL }, "MAIL FROM:<a@b> MT-PRIORITY=3\r\n", "555 " },
	{ "a parameter of the other", { NULL }, "MAIL FROM:<a@b> NOTIFY=NEVER\r\n", "555 " },
	{ "a parameter twice", { NULL }, "MAIL FROM:<a@b> SIZE=1 SIZE=1\r\n", "501 " },
	{ "too large", { NULL }, "MAIL FROM:<a@b> SIZE=20001\r\n", "552 5.3.4 " },
	{ "just not", { NULL }, "MAIL FROM:<a@b> SIZE=20000\r\n", "250 " },
	{ "no size", { NULL }, "MAIL FROM:<a@b> SIZE=\r\n", "501 " },
	{ "a size of words", { NULL }, "MAIL FROM:<a@b> SIZE=1x\r\n", "501 " },
	{ "a negative one", { NULL }, "MAIL FROM:<a@b> SIZE=-1\r\n", "501 " },
	{ "another body", { NULL }, "MAIL FROM:<a@b> BODY=BINARYMIME\r\n", "501 " },
	{ "no body", { NULL }, "MAIL FROM:<a@b> BODY\r\n", "501 " },
	{ "8 bits without SMTPUTF8", { NULL }, "MAIL FROM:<\xc3\xa9@b>\r\n", "501 " },
	{ "with it", { NULL }, "MAIL FROM:<\xc3\xa9@b> SMTPUTF8\r\n", "250 " },
	{ "no UTF-8 with it", { NULL }, "MAIL FROM:<\xc3@b> SMTPUTF8\r\n", "501 " },
	{ "a recipient of 8 bits with it", { "MAIL FROM:<a@b> SMTPUTF8\r\n" }, "RCPT TO:<\xc3\xa9@b>\r\n", "250 " },
	{ "without it", { "MAIL FROM:<a@b>\r\n" }, "RCPT TO:<\xc3\xa9@b>\r\n", "501 " },
	{ "SMTPUTF8 with a value", { NULL }, "MAIL FROM:<a@b> SMTPUTF8=1\r\n", "501 " },
	{ "another command", { NULL }, "BDAT 10 LAST\r\n", "502 " },
	{ "STARTTLS", { NULL }, "STARTTLS\r\n", "502 " },
	{ "an empty line", { NULL }, "\r\n", "502 " },
	{ "LF alone", { NULL }, "NOOP\n", "421 4.5.2 " },
	{ "CR within", { NULL }, "NOOP\rQUIT\r\n", "421 4.5.2 " },
	{ "a tab within", { NULL }, "MAIL\tFROM:<a@b>\r\n", "421 4.5.2 " },
	{ "two commands", { NULL }, "NOOP\r\nNOOP\r\n", "421 4.7.0 " },
	{ "the beginning of a second one", { NULL }, "NOOP\r\nN", "421 4.7.0 " },
	{ "a message before 354", { ENVELOPE }, "DATA\r\nSubject: x\r\n\r\n.\r\n", "421 4.7.0 " },
};

static void
test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
		AUTO(intake_free) struct intake *intake = begin();
		const char *said;

		want(intake, HELLO, "250-");
		for (size_t k = 0; k < N_ELEMENTS(lines[i].before) && lines[i].before[k]; k++)
			want(intake, lines[i].before[k], "250 ");
		said = ask(intake, lines[i].line);
		if (strncmp(said, lines[i].want, strlen(lines[i].want)) != 0)
			fail_msg("%s: found '%s', wanted '%s'", lines[i].name, said, lines[i].want);
		assert_int_equal(give(intake, "NOOP\r\n", 6), strncmp(lines[i].want, "421", 3) == 0 ? INTAKE_OVER : INTAKE_READS);
	}
}

/* Words behind a message are not taken for a second one, and not for commands; the message before them is not taken either. */
static void
test_behind_a_message(void **state)
{
	static const char *const behind[] = { "QUIT\r\n", "MAIL FROM:<a@b>\r\n", "\r\n", "x", "\n" };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(behind); i++) {
		AUTO(intake_free) struct intake *intake = begin();
		AUTO(xfree) char *text = xasprintf("a\r\n.\r\n%s", behind[i]);

		to_data(intake);
		want(intake, text, "421 4.7.0 ");
		assert_null(intake_letter(intake));
		assert_int_equal(give(intake, "QUIT\r\n", 6), INTAKE_OVER);
	}
}

static void
test_garbage(void **state)
{
	AUTO(intake_free) struct intake *intake = begin();
	char text[64];

	(void)state;
	want(intake, HELLO, "250-");
	for (unsigned i = 0; i < INTAKE_BAD_COMMANDS; i++) {
		snprintf(text, sizeof(text), "GET /%u HTTP/1.1\r\n", i);
		want(intake, text, "502 ");
	}
	want(intake, "GET / HTTP/1.1\r\n", "421 4.7.0 ");
	assert_int_equal(give(intake, "NOOP\r\n", 6), INTAKE_OVER);
}

static void
test_long_command(void **state)
{
	(void)state;
	for (size_t more = 0; more < 2; more++) {
		AUTO(intake_free) struct intake *intake = begin();
		AUTO_BUF struct buf line = { 0 };

		buf_init(&line, 2 * INTAKE_COMMAND_BYTES);
		buf_add_text(&line, "NOOP ");
		while (line.len < INTAKE_COMMAND_BYTES - 2 + more)
			buf_add_text(&line, "x");
		buf_add_text(&line, "\r\n");
		want(intake, buf_text(&line), more ? "421 4.5.2 " : "250 ");
	}
}

static void
test_reset(void **state)
{
	AUTO(intake_free) struct intake *intake = begin();

	(void)state;
	want(intake, HELLO, "250-");
	want(intake, "XFORWARD IDENT=x\r\n", "250 ");
	want(intake, "MAIL FROM:<a@b>\r\n", "250 ");
	assert_true(intake_busy(intake));
	want(intake, "RSET\r\n", "250 ");
	assert_false(intake_busy(intake));
	want(intake, "RCPT TO:<a@b>\r\n", "503 ");
	want(intake, "MAIL FROM:<a@b>\r\n", "250 ");
	want(intake, HELLO, "250-");
	want(intake, "DATA\r\n", "503 ");
}

static void
test_reply_is_one_line(void **state)
{
	AUTO_REPLY struct reply reply = { .lines = { 0 } };
	char text[2000];

	(void)state;
	reply_set(&reply, 550, "5.7.1", "%s", "a\r\n250 b\x80");
	assert_string_equal(buf_text(&reply.lines), "550 5.7.1 a??250 b?\r\n");
	assert_int_equal(reply_code(&reply), 550);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	reply_set(&reply, 451, "4.3.0", "%s", text);
	assert_true(reply.lines.len <= 512);
	assert_string_equal(buf_text(&reply.lines) + reply.lines.len - 2, "\r\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_message), cmocka_unit_test(test_drip), cmocka_unit_test(test_messages),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_lines), cmocka_unit_test(test_behind_a_message),
		cmocka_unit_test(test_garbage), cmocka_unit_test(test_long_command), cmocka_unit_test(test_reset),
		cmocka_unit_test(test_reply_is_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
