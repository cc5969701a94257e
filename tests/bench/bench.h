/* bench: what the benchmark programs share: ending on failure, clocks, medians and percentiles. */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BENCH_UNUSED __attribute__((unused))

static inline BENCH_UNUSED void
must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "bench: failed: %s\n", what);
	exit(EXIT_FAILURE);
}

/* Microseconds of a clock. */
static inline BENCH_UNUSED double
clock_now(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static inline BENCH_UNUSED int
by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Sorts. `part` of them lie below: 0.5 is the median. */
static inline BENCH_UNUSED double
percentile(double *numbers, size_t n, double part)
{
	size_t at = (size_t)((double)n * part);

	qsort(numbers, n, sizeof(*numbers), by_size);
	return numbers[at < n ? at : n - 1];
}

#endif
