/* The words between Postfix and segel-tlspol: netstrings, requests, answers, and how often one complains. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "milter/tlspol/answer.h"
#include "milter/tlspol/quiet.h"

/* In a block of exactly its size, so that a byte read too far is seen. */
static enum netstring_state
parse(const char *text, size_t len, struct netstring *ret, unsigned char **kept)
{
	*kept = malloc(len ? len : 1);
	memcpy(*kept, text, len);
	return netstring_parse((struct slice){ *kept, len }, REQUEST_BYTES, ret);
}

static const struct {
	const char *name, *text;
	enum netstring_state want;
	const char *payload; /* or part of why not */
} netstrings[] = {
	{ "whole", "5:tls a,", NETSTRING_WHOLE, "tls a" },
	{ "with more behind", "5:tls a,9:", NETSTRING_WHOLE, "tls a" },
	{ "with garbage behind", "5:tls a,x", NETSTRING_WHOLE, "tls a" },
	{ "empty", "0:,", NETSTRING_WHOLE, "" },
	{ "commas within", "3:,,,,", NETSTRING_WHOLE, ",,," },
	{ "nothing yet", "", NETSTRING_PART, NULL },
	{ "a digit", "5", NETSTRING_PART, NULL },
	{ "no payload yet", "5:", NETSTRING_PART, NULL },
	{ "half a payload", "5:tls", NETSTRING_PART, NULL },
	{ "no comma yet", "5:tls a", NETSTRING_PART, NULL },
	{ "another end", "5:tls a;", NETSTRING_BAD, "no comma" },
	{ "too short", "4:tls a,", NETSTRING_BAD, "no comma" },
	{ "too long", "6:tls a,x", NETSTRING_BAD, "no comma" },
	{ "a leading zero", "05:tls a,", NETSTRING_BAD, "begins with a zero" },
	{ "two zeros", "00:,", NETSTRING_BAD, "begins with a zero" },
	{ "a sign", "+5:tls a,", NETSTRING_BAD, "does not begin with a length" },
	{ "a minus", "-5:tls a,", NETSTRING_BAD, "does not begin with a length" },
	{ "a blank", " 5:tls a,", NETSTRING_BAD, "does not begin with a length" },
	{ "a blank behind", "5 :tls a,", NETSTRING_BAD, "does not begin with a length" },
	{ "hex", "0x5:tls a,", NETSTRING_BAD, "does not begin with a length" },
	{ "no length", ":tls a,", NETSTRING_BAD, "does not begin with a length" },
	{ "a line end", "\n", NETSTRING_BAD, "does not begin with a length" },
	{ "another protocol", "GET / HTTP/1.1\r\n", NETSTRING_BAD, "does not begin with a length" },
	{ "the most", "1000", NETSTRING_PART, NULL },
	{ "one more", "1001", NETSTRING_BAD, "longer than may be" },
	{ "far more", "999999999999999999999999", NETSTRING_BAD, "too many digits" },
	{ "more than fits a number, in time", "18446744073709551621:tls a,", NETSTRING_BAD, "too many digits" },
};

static void
test_netstrings(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(netstrings); i++) {
		struct netstring got = { .why = "" };
		unsigned char *kept;
		enum netstring_state found = parse(netstrings[i].text, strlen(netstrings[i].text), &got, &kept);

		if (found != netstrings[i].want)
			fail_msg("%s: state %d", netstrings[i].name, (int)found);
		if (found == NETSTRING_WHOLE && !slice_equal(got.payload, slice_of(netstrings[i].payload)))
			fail_msg("%s: '%.*s'", netstrings[i].name, (int)got.payload.len, (const char *)got.payload.at);
		if (found == NETSTRING_BAD && !strstr(got.why, netstrings[i].payload))
			fail_msg("%s: %s", netstrings[i].name, got.why);
		free(kept);
	}
}

/* Of the longest request every beginning is a part, and the whole is one. */
static void
test_longest(void **state)
{
	char text[NETSTRING_BYTES + 1];
	struct netstring got;
	unsigned char *kept;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "1000:", 5);
	text[NETSTRING_BYTES - 1] = ',';
	for (size_t len = 0; len < NETSTRING_BYTES; len++) {
		assert_int_equal(parse(text, len, &got, &kept), NETSTRING_PART);
		free(kept);
	}
	assert_int_equal(parse(text, NETSTRING_BYTES, &got, &kept), NETSTRING_WHOLE);
	assert_int_equal(got.used, NETSTRING_BYTES);
	assert_int_equal(got.payload.len, REQUEST_BYTES);
	free(kept);
}

static const struct {
	const char *payload;
	enum request_state want;
	const char *key; /* or part of why not; NULL = nothing said */
} requests[] = {
	{ "tls kota.go.id", REQUEST_GOOD, "kota.go.id" },
	{ "tls [kota.go.id]:25", REQUEST_GOOD, "[kota.go.id]:25" },
	{ "tls a b", REQUEST_GOOD, "a b" },
	{ "tls  a", REQUEST_GOOD, " a" },
	{ "tls \xc3\xb6", REQUEST_GOOD, "\xc3\xb6" },
	{ "tls ", REQUEST_BAD, "empty" },
	{ "tls", REQUEST_BAD, "no blank" },
	{ "", REQUEST_BAD, "no blank" },
	{ " kota.go.id", REQUEST_FOR_OTHER_MAP, NULL },
	{ "tlss kota.go.id", REQUEST_FOR_OTHER_MAP, NULL },
	{ "tl kota.go.id", REQUEST_FOR_OTHER_MAP, NULL },
	{ "TLS kota.go.id", REQUEST_FOR_OTHER_MAP, NULL },
	{ "tls kota.go.id\n", REQUEST_BAD, "control" },
	{ "tls kota\tgo.id", REQUEST_BAD, "control" },
	{ "tls kota.go.id\x7f", REQUEST_BAD, "control" },
	{ "tls\tkota.go.id", REQUEST_BAD, "control" },
};

static void
test_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(requests); i++) {
		struct request got = { .key = "" };

		if (request_parse(slice_of(requests[i].payload), "tls", &got) != requests[i].want)
			fail_msg("'%s'", requests[i].payload);
		if (requests[i].want == REQUEST_GOOD)
			assert_string_equal(got.key, requests[i].key);
		else if (requests[i].key)
			assert_non_null(strstr(got.why, requests[i].key));
	}
	/* A NUL ends no request: what stands behind it is no other key. */
	assert_int_equal(request_parse((struct slice){ (const unsigned char *)"tls a\0b", 7 }, "tls", &(struct request){ .key = "" }), REQUEST_BAD);
}

static void
expect_reply(const char *word, const char *text, const char *want)
{
	AUTO_BUF struct buf reply = { 0 };

	buf_init(&reply, REPLY_BYTES);
	reply_render(word, text, &reply);
	assert_string_equal(buf_text(&reply), want);
}

static void
test_replies(void **state)
{
	char longest[2 * REPLY_BYTES];
	AUTO_BUF struct buf reply = { 0 };
	struct netstring got;

	(void)state;
	expect_reply("OK", "encrypt", "10:OK encrypt,");
	expect_reply("NOTFOUND", "", "9:NOTFOUND ,");
	expect_reply("TEMP", "no\nregistry\x7f", "17:TEMP no?registry?,");
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	buf_init(&reply, REPLY_BYTES);
	reply_render("TEMP", longest, &reply);
	assert_false(buf_full(&reply));
	assert_int_equal(netstring_parse(buf_slice(&reply), REPLY_BYTES, &got), NETSTRING_WHOLE);
	assert_int_equal(got.used, reply.len);
}

static const struct {
	struct tls_policy policy;
	enum tls_version minimum;
	const char *want;
} policies[] = {
	{ { .level = HOP_LEVEL_MAY }, TLS_VERSION_1_2, "may" },
	{ { .level = HOP_LEVEL_DANE }, TLS_VERSION_1_2, "dane" },
	{ { .level = HOP_LEVEL_ENCRYPT }, TLS_VERSION_1_2, "encrypt protocols=>=TLSv1.2" },
	{ { .level = HOP_LEVEL_ENCRYPT }, TLS_VERSION_1_3, "encrypt protocols=>=TLSv1.3" },
	{ { .level = HOP_LEVEL_ENCRYPT }, TLS_VERSION_UNKNOWN, "encrypt protocols=>=TLSv1.2" },
	{ { .level = HOP_LEVEL_DANE_ONLY }, TLS_VERSION_1_2, "dane-only protocols=>=TLSv1.2" },
	{ { .level = HOP_LEVEL_VERIFY }, TLS_VERSION_1_2, "verify protocols=>=TLSv1.2" },
	{ { .level = HOP_LEVEL_SECURE, .match = "a.example .b.example nexthop" }, TLS_VERSION_1_2,
	    "secure match=a.example:.b.example:nexthop protocols=>=TLSv1.2" },
	{ { .level = HOP_LEVEL_FINGERPRINT, .match = "AA:BB CC:DD" }, TLS_VERSION_1_2, "fingerprint match=AA:BB|CC:DD protocols=>=TLSv1.2" },
};

static void
test_policies(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(policies); i++) {
		AUTO_BUF struct buf text = { 0 };

		buf_init(&text, REPLY_BYTES);
		answer_policy(&policies[i].policy, policies[i].minimum, &text);
		assert_string_equal(buf_text(&text), policies[i].want);
	}
}

/* A few lines of each cause; then one more minute's, with the number of those dropped. */
static void
test_quiet(void **state)
{
	struct quiet quiet = { 0 };
	unsigned long before;

	(void)state;
	for (int i = 0; i < QUIET_LINES; i++) {
		assert_true(quiet_may(&quiet, CAUSE_MALFORMED, i, &before));
		assert_int_equal(before, 0);
	}
	for (int i = 0; i < 1000; i++)
		assert_false(quiet_may(&quiet, CAUSE_MALFORMED, 1000 + i, &before));
	assert_true(quiet_may(&quiet, CAUSE_SLOW, 1000, &before)); /* a cause of its own */
	assert_false(quiet_may(&quiet, CAUSE_MALFORMED, QUIET_MS - 1, &before));
	assert_true(quiet_may(&quiet, CAUSE_MALFORMED, QUIET_MS, &before));
	assert_int_equal(before, 1001);
	assert_true(quiet_may(&quiet, CAUSE_MALFORMED, QUIET_MS + 1, &before));
	assert_int_equal(before, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_netstrings),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_quiet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
