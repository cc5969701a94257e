/* Decrypting what arrives: settings under which nothing would ever be opened are refused, each with what to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "policy/config.h"

#define KEY "file = \"/k\"; passphrase_file = \"/p\"; purpose = \"decrypt\";"
#define BOTH "unwrappers = [ \"segel-reviewd\", \"segel-inbound\" ];"
#define USE "decrypt: { use = true; };"
#define NOT_LISTED "'segel-inbound' (inbound.user) is not in keyd.unwrappers"
#define NO_KEY "no key in keyd.keys is for 'segel-inbound' (inbound.user); wanted one with purpose = \"decrypt\""

static const struct {
	const char *text;
	const char *want; /* part of the problem; NULL = taken */
} rows[] = {
	{ "", NULL },
	{ "decrypt: { use = false; };", NULL },
	{ USE, NOT_LISTED },
	{ USE "keyd: { " BOTH " };", NO_KEY },
	{ USE "keyd: { " BOTH " keys = ( { " KEY " unwrappers = [ \"segel-inbound\" ]; } ); };", NULL },
	{ USE "keyd: { " BOTH " keys = ( { " KEY " unwrappers = [ \"segel-reviewd\" ]; } ); };", NO_KEY },
	{ USE "keyd: { " BOTH " keys = ( { " KEY " } ); };", NO_KEY }, /* the first of keyd.unwrappers */
	{ USE "keyd: { unwrappers = [ \"segel-inbound\" ]; keys = ( { " KEY " } ); };", NULL },
	{ USE "keyd: { unwrappers = [ \"segel-inbound\" ]; keys = ( { file = \"/k\"; passphrase_file = \"/p\"; } ); };", NO_KEY },
	{ USE "keyd: { unwrappers = [ \"segel-reviewd\" ]; keys = ( { " KEY " } ); };", NOT_LISTED },
	{ USE "inbound: { user = \"masuk\"; }; keyd: { unwrappers = [ \"masuk\" ]; keys = ( { " KEY " } ); };", NULL },
	{ USE "inbound: { user = \"masuk\"; }; keyd: { unwrappers = [ \"segel-inbound\" ]; keys = ( { " KEY " } ); };",
	  "'masuk' (inbound.user) is not in keyd.unwrappers" },
	{ "decrypt: { use = \"yes\"; };", "decrypt.use: wanted true or false" },
};

static void
load(const char *text, struct config **ret, struct buf *problems)
{
	char file[] = "/tmp/segel-decrypt-XXXXXX";
	int fd = mkstemp(file);

	assert_int_not_equal(fd, -1);
	assert_true(dprintf(fd, "%s\n", text) > 0);
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

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
