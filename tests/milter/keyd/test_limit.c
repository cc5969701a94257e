/* Signatures per key and minute, at a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "milter/keyd/limit.h"

static const unsigned char one[32] = "one", other[32] = "other";

static int
taken(struct limiter *limiter, const unsigned char *key, unsigned limit, int64_t now, int tries)
{
	int n = 0;

	for (int i = 0; i < tries; i++)
		n += limiter_take(limiter, key, limit, now);
	return n;
}

static void
test_limit(void **state)
{
	AUTO(limiter_free) struct limiter *limiter = limiter_new();

	(void)state;
	assert_int_equal(taken(limiter, one, 5, 1000, 9), 5);
	assert_int_equal(taken(limiter, other, 5, 1000, 9), 5);
	assert_int_equal(taken(limiter, one, 5, 60999, 9), 0);
	assert_int_equal(taken(limiter, one, 5, 61000, 9), 5);
	assert_int_equal(taken(limiter, one, 0, 1000000, 9), 0);
}

/* No sixty seconds hold more than the limit, whatever the pattern. */
static void
test_any_minute(void **state)
{
	AUTO(limiter_free) struct limiter *limiter = limiter_new();
	int made[600] = { 0 };

	(void)state;
	for (int second = 0; second < 600; second++) {
		int minute = 0;

		made[second] = taken(limiter, one, 300, second * 1000, second % 7 * 9);
		for (int i = second < 59 ? 0 : second - 59; i <= second; i++)
			minute += made[i];
		assert_in_range(minute, 0, 300);
	}
}

static void
test_large_and_changing(void **state)
{
	AUTO(limiter_free) struct limiter *limiter = limiter_new();

	(void)state;
	assert_int_equal(taken(limiter, one, 100000, 0, 50000), 50000);
	assert_int_equal(taken(limiter, one, 10, 1, 5), 0);           /* lowered by a reload */
	assert_int_equal(taken(limiter, one, 100000, 2, 60000), 50000); /* raised again */
	assert_int_equal(taken(limiter, one, 100000, 60000, 60000), 50000);
	assert_int_equal(taken(limiter, one, 100000, 60002, 60000), 50000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_any_minute),
		cmocka_unit_test(test_large_and_changing),
	};

	return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
