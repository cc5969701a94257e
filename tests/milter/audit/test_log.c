/* The log: escaping of bytes from outside, and one line per event whatever the text holds. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "milter/log.h"
#include "smime/limits.h"

static const struct {
	const char *name, *text, *want;
} escapes[] = {
	{ "plain", "dinas@prov.example.id", "dinas@prov.example.id" },
	{ "empty", "", "\"\"" },
	{ "blank", "a b", "\"a b\"" },
	{ "newline", "a\nb", "a%0Ab" },
	{ "quote and percent", "a\"%41", "a%22%2541" },
	{ "quote in quotes", "a \" b", "\"a %22 b\"" },
	{ "UTF-8", "\xc3\x89", "%C3%89" },
	{ "delete and tab", "\x7f\t", "%7F%09" },
};

static void
test_escape(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(escapes); i++) {
		AUTO(xfree) char *block = xstrdup(escapes[i].text);
		AUTO_BUF struct buf line = { 0 };

		buf_init(&line, 1024);
		log_escape(&line, block);
		if (strcmp(buf_text(&line), escapes[i].want) != 0)
			fail_msg("%s: %s, wanted %s", escapes[i].name, buf_text(&line), escapes[i].want);
	}
}

static size_t
escaped_len(size_t len)
{
	AUTO(xfree) char *text = xcalloc(len + 1, 1);
	AUTO_BUF struct buf line = { 0 };

	memset(text, 'x', len);
	buf_init(&line, 4096);
	log_escape(&line, text);
	return line.len;
}

static void
test_escape_is_bounded(void **state)
{
	(void)state;
	assert_int_equal(escaped_len(LIMIT_TOKEN_BYTES - 1), LIMIT_TOKEN_BYTES - 1);
	assert_int_equal(escaped_len(LIMIT_TOKEN_BYTES), LIMIT_TOKEN_BYTES);
	assert_int_equal(escaped_len(LIMIT_TOKEN_BYTES + 1), LIMIT_TOKEN_BYTES);
	assert_int_equal(escaped_len(100000), LIMIT_TOKEN_BYTES);
}

/* What reaches standard error, from a pipe in its place. */
static void
logged(enum log_level most, enum log_level level, const char *text, char *ret, size_t room)
{
	int ends[2], keep = dup(STDERR_FILENO);
	ssize_t got;

	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	dup2(ends[1], STDERR_FILENO);
	log_open("test", LOG_TO_STDERR, most);
	log_line(level, "%s", text);
	dup2(keep, STDERR_FILENO);
	got = read(ends[0], ret, room - 1);
	ret[got > 0 ? got : 0] = '\0';
	close(ends[0]);
	close(ends[1]);
	close(keep);
}

static void
test_line(void **state)
{
	AUTO(xfree) char *huge = xcalloc(20001, 1);
	char line[8192], want[64];

	(void)state;
	snprintf(want, sizeof(want), "test[%d]: ", (int)getpid());
	logged(LOG_LEVEL_INFO, LOG_LEVEL_WARNING, "one\ntwo\x1b", line, sizeof(line));
	assert_memory_equal(line, want, strlen(want));
	assert_string_equal(line + strlen(want), "warning: one?two?\n");
	logged(LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, "one", line, sizeof(line));
	assert_string_equal(line, "");
	logged(LOG_LEVEL_DEBUG, LOG_LEVEL_DEBUG, "one", line, sizeof(line));
	assert_non_null(strstr(line, "debug: one\n"));
	memset(huge, 'x', 20000);
	logged(LOG_LEVEL_INFO, LOG_LEVEL_INFO, huge, line, sizeof(line));
	assert_in_range(strlen(line), 4000, 4300);
	assert_int_equal(line[strlen(line) - 1], '\n');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_escape_is_bounded),
		cmocka_unit_test(test_line),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
