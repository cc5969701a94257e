/*
 * failure: how often mail of a sender did not open with a key, in any hour. Exact, as limit.h is: the times of the last
 * failures are kept, so no hour's edge lets twice the number through.
 *
 * A sender is a text. One that is an IPv6 address counts with its /64, which is what one customer gets; an IPv4 address in IPv6 form
 * is that IPv4 address. The pairs of key and sender are kept in memory, at most so many; where there are more, those with the
 * fewest failures are forgotten first, of these the oldest: who has been locked out stays so longest.
 * Lives beside the snapshots of keys: a reload forgets nothing; a restart does.
 * Thread-safe.
 */
#ifndef KEYD_FAILURE_H
#define KEYD_FAILURE_H

#include "smime/buf.h"

enum {
	FAILURES_AN_HOUR = 20, /* with as many, nothing is opened any more */
	FAILURE_PAIRS = 4096,
};

struct failures;

struct failures *failures_new(void);
void failures_free(struct failures *failures);
AUTO_DEFINE(struct failures, failures_free);

/* How many failures within the hour before `now` (ms of a clock that only moves on), this one included; at most FAILURES_AN_HOUR. */
unsigned failures_add(struct failures *failures, const unsigned char spki[32], struct slice sender, int64_t now);
/* May mail of this sender still be opened with this key? */
bool failures_allow(struct failures *failures, const unsigned char spki[32], struct slice sender, int64_t now);

#endif
