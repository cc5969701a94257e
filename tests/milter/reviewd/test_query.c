/* What reviewers ask a list for: known fields of the right kind, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "milter/reviewd/query.h"

AUTO_DEFINE(json_t, json_decref);

static const struct {
	const char *name, *json;
	bool want;
} rows[] = {
	{ "nothing", "{\"op\": \"list\"}", true },
	{ "a state", "{\"state\": \"baru\"}", true },
	{ "a state that is none", "{\"state\": \"new\"}", false },
	{ "a state as a number", "{\"state\": 1}", false },
	{ "a finding", "{\"reason\": \"CERT_REVOKED\"}", true },
	{ "a finding that is none", "{\"reason\": \"CERT\"}", false },
	{ "the word of no finding", "{\"reason\": \"UNKNOWN\"}", false },
	{ "a class", "{\"class\": \"inbound-official\"}", true },
	{ "a class that is none", "{\"class\": \"official\"}", false },
	{ "an action", "{\"action\": \"reject+hold\"}", true },
	{ "an action that is none", "{\"action\": \"delete\"}", false },
	{ "a text", "{\"from\": \"budi\"}", true },
	{ "a text as a number", "{\"from\": 7}", false },
	{ "a text as a list", "{\"from\": [\"budi\"]}", false },
	{ "a text that is too long", "{\"tls\": \"0123456789012345678901234567890123456789\"}", false },
	{ "yes", "{\"open\": true, \"legal_hold\": true, \"asked_for\": false, \"unparsed\": true}", true },
	{ "yes as a word", "{\"open\": \"true\"}", false },
	{ "yes as a number", "{\"open\": 1}", false },
	{ "times and sizes", "{\"since\": 1, \"until\": 2, \"expires_before\": 3, \"min_size\": 4, \"max_size\": 5}", true },
	{ "a time before all times", "{\"since\": -1}", false },
	{ "a time as a word", "{\"since\": \"today\"}", false },
	{ "a fraction", "{\"limit\": 1.5}", false },
	{ "the most rows", "{\"limit\": 1000, \"offset\": 5}", true },
	{ "one more", "{\"limit\": 1001}", false },
	{ "what only the daemon sets", "{\"registry_only\": true}", false },
	{ "whose mail", "{\"own\": [\"a@b.example\"]}", false },
	{ "an unknown field", "{\"colour\": \"red\"}", false },
};

static void
filters(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO(json_decref) json_t *fields = json_loads(rows[i].json, 0, NULL);
		struct item_filter filter;
		struct err err = { ERR_NONE, "" };
		bool found = query_filter(fields, &filter, &err) == 0;

		if (!fields || found != rows[i].want || (!found && !*err.text))
			fail_msg("%s: %d %s", rows[i].name, found, err.text);
	}
}

static void
values(void **state)
{
	AUTO(json_decref) json_t *fields = json_loads("{\"op\": \"list\", \"state\": \"ditinjau\", \"from\": \"Budi\", \"open\": true, \"since\": 7,"
	    " \"max_size\": 9, \"limit\": 3, \"offset\": 4}", 0, NULL);
	struct item_filter filter;
	struct err err;

	(void)state;
	assert_int_equal(query_filter(fields, &filter, &err), 0);
	assert_int_equal(filter.state, ITEM_SEEN);
	assert_string_equal(filter.from, "Budi");
	assert_true(filter.open && !filter.legal_hold && !filter.registry_only && !filter.own);
	assert_int_equal(filter.since, 7);
	assert_int_equal(filter.max_size, 9);
	assert_int_equal(filter.limit, 3);
	assert_int_equal(filter.offset, 4);
}

/* A subject is there or not; bytes that are no UTF-8 do not make the row disappear. */
static void
lines(void **state)
{
	const struct item_line line = { .id = "x", .state = ITEM_NEW, .from = "\xff", .sender = "", .subject = "Rahasia" };
	AUTO(json_decref) json_t *with = query_line(&line, true);
	AUTO(json_decref) json_t *without = query_line(&line, false);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(with, "subject")), "Rahasia");
	assert_null(json_object_get(without, "subject"));
	assert_string_equal(json_string_value(json_object_get(with, "from")), "?");
	assert_string_equal(json_string_value(json_object_get(with, "recipient")), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filters),
		cmocka_unit_test(values),
		cmocka_unit_test(lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
