/* The settings of segel-split: what is taken, and what differs by one thing and is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "policy/config.h"

static const struct {
	const char *text;
	const char *want; /* part of the problem; NULL = taken */
} rows[] = {
	{ "", NULL },
	{ "socket = \"127.0.0.1:10029\"; next_hop = \"[::1]:10030\";", NULL },
	{ "socket = \"/run/segel/split.sock\";", NULL },
	{ "socket = \"192.0.2.1:10029\";", "split.socket: '192.0.2.1:10029': others could reach this address" },
	{ "socket = \"127.0.0.1\";", "split.socket: '127.0.0.1': there is no port" },
	{ "next_hop = \"0.0.0.0:25\";", "split.next_hop: '0.0.0.0:25': others could reach this address" },
	{ "next_hop = \"mail.example:25\";", "split.next_hop: 'mail.example:25'" },
	{ "socket = \"127.0.0.1:10030\";", "split.next_hop: '127.0.0.1:10030' is split.socket itself" },
	{ "state_dir = \"state\";", "split.state_dir: 'state': wanted a path" },
	{ "trigger = \"X-Segel-0123456789abcdef\";", NULL },
	{ "trigger = \"Subject\";", "split.trigger: 'Subject': wanted \"X-\"" },
	{ "trigger = \"x-segel\";", "split.trigger: 'x-segel': wanted \"X-\"" },
	{ "trigger = \"X-\";", "split.trigger: 'X-': wanted \"X-\"" },
	{ "trigger = \"X-Segel:\";", "split.trigger: 'X-Segel:': wanted \"X-\"" },
	{ "trigger = \"X-Segel ja\";", "split.trigger: 'X-Segel ja': wanted \"X-\"" },
	{ "unsealed = \"defer\";", NULL },
	{ "unsealed = \"reject\";", NULL },
	{ "unsealed = \"accept\";", "split.unsealed" },
	{ "unsealed = \"unknown\";", "split.unsealed" },
	{ "next_timeout = \"9m\";", NULL },
	{ "next_timeout = \"10m\";", "split.next_timeout" },
	{ "max_connections = 1000;", NULL },
	{ "max_connections = 1001;", "split.max_connections" },
};

static void
load(const char *text, struct config **ret, struct buf *problems)
{
	char file[] = "/tmp/segel-split-XXXXXX";
	int fd = mkstemp(file);

	assert_int_not_equal(fd, -1);
	assert_true(dprintf(fd, "split: { %s };\n", text) > 0);
	close(fd);
	(void)!config_load(file, ret, problems);
	unlink(file);
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO(config_free) struct config *config = NULL;
		AUTO_BUF struct buf problems = { 0 };

		buf_init(&problems, 64 * 1024);
		load(rows[i].text, &config, &problems);
		if (!rows[i].want && !config)
			fail_msg("'%s': not taken: %s", rows[i].text, buf_text(&problems));
		if (rows[i].want && (config || !strstr(buf_text(&problems), rows[i].want)))
			fail_msg("'%s': found '%s', wanted '%s'", rows[i].text, buf_text(&problems), rows[i].want);
	}
}

/* Postfix waits 600 s for the answer: by default segel-split gives up before, and refuses what nobody sealed. */
static void
test_defaults(void **state)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf problems = { 0 };

	(void)state;
	buf_init(&problems, 1024);
	assert_int_equal(config_load(NULL, &config, &problems), 0);
	assert_int_equal(config->split.unsealed, UNSEALED_REJECT);
	assert_true(config->split.next_timeout < 600000);
	assert_string_equal(config->split.trigger, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_defaults) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
