/* Failures per key, sender and hour, at a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "milter/keyd/failure.h"

enum { HOUR = 60 * 60 * 1000 };

static const unsigned char one[32] = "one", other[32] = "other";

static void
fail_often(struct failures *failures, const unsigned char *key, const char *sender, int64_t now, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		failures_add(failures, key, slice_of(sender), now);
}

static void
test_twenty_an_hour(void **state)
{
	AUTO(failures_free) struct failures *failures = failures_new();

	(void)state;
	for (unsigned i = 0; i < FAILURES_AN_HOUR; i++) {
		assert_true(failures_allow(failures, one, slice_of("a"), 1000 + i));
		assert_int_equal(failures_add(failures, one, slice_of("a"), 1000 + i), i + 1);
	}
	assert_false(failures_allow(failures, one, slice_of("a"), 1019));
	assert_true(failures_allow(failures, one, slice_of("b"), 1019));
	assert_true(failures_allow(failures, other, slice_of("a"), 1019));
	assert_false(failures_allow(failures, one, slice_of("a"), 1000 + HOUR - 1));
	assert_true(failures_allow(failures, one, slice_of("a"), 1000 + HOUR));
	assert_int_equal(failures_add(failures, one, slice_of("a"), 1000 + HOUR), FAILURES_AN_HOUR);
	assert_false(failures_allow(failures, one, slice_of("a"), 1000 + HOUR)); /* 19 are still within it */
	assert_true(failures_allow(failures, one, slice_of("a"), 1000 + 3 * HOUR));
	assert_int_equal(failures_add(failures, one, slice_of("a"), 1000 + 3 * HOUR), 1);
}

/* What was at work when the limit was reached counts as well, and makes it last longer, not shorter. */
static void
test_more_than_twenty(void **state)
{
	AUTO(failures_free) struct failures *failures = failures_new();

	(void)state;
	fail_often(failures, one, "a", 0, FAILURES_AN_HOUR);
	assert_int_equal(failures_add(failures, one, slice_of("a"), 500), FAILURES_AN_HOUR);
	assert_false(failures_allow(failures, one, slice_of("a"), HOUR - 1));
	assert_true(failures_allow(failures, one, slice_of("a"), HOUR)); /* 1 left */
	fail_often(failures, one, "a", HOUR, FAILURES_AN_HOUR);
	assert_false(failures_allow(failures, one, slice_of("a"), 2 * HOUR - 1));
	assert_true(failures_allow(failures, one, slice_of("a"), 2 * HOUR));
}

static const struct {
	const char *a, *b;
	bool same;
} senders[] = {
	{ "192.0.2.1", "192.0.2.1", true },
	{ "192.0.2.1", "192.0.2.2", false },
	{ "192.0.2.1", "::ffff:192.0.2.1", true },
	{ "::ffff:192.0.2.1", "::ffff:192.0.2.2", false },
	{ "2001:db8:1:2::1", "2001:0db8:0001:0002:ffff::", true },
	{ "2001:db8:1:2::1", "2001:db8:1:3::1", false },
	{ "segelctl:siti", "segelctl:siti", true },
	{ "segelctl:siti", "segelctl:budi", false },
	{ "192.0.2.1", "192.0.2.1 ", false },
	{ "a", "", false },
};

static void
test_senders(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(senders); i++) {
		AUTO(failures_free) struct failures *failures = failures_new();

		fail_often(failures, one, senders[i].a, 1, FAILURES_AN_HOUR);
		if (failures_allow(failures, one, slice_of(senders[i].b), 2) == senders[i].same)
			fail_msg("'%s' and '%s'", senders[i].a, senders[i].b);
	}
}

/* Who fills the memory with senders of one failure each drives out no one who is locked out. */
static void
test_many_senders(void **state)
{
	AUTO(failures_free) struct failures *failures = failures_new();
	char name[32];

	(void)state;
	fail_often(failures, one, "locked", 0, FAILURES_AN_HOUR);
	for (int i = 0; i < 2 * FAILURE_PAIRS; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(failures_add(failures, one, slice_of(name), 10 + i), 1);
	}
	assert_false(failures_allow(failures, one, slice_of("locked"), 100000));
	/* The newest of the others is still known, the oldest is not. */
	assert_int_equal(failures_add(failures, one, slice_of(name), 100000), 2);
	assert_int_equal(failures_add(failures, one, slice_of("n0"), 100000), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_twenty_an_hour),
		cmocka_unit_test(test_more_than_twenty),
		cmocka_unit_test(test_senders),
		cmocka_unit_test(test_many_senders),
	};

	return cmocka_run_group_tests_name("failure", tests, NULL, NULL);
}
