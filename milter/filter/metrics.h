/*
 * metrics: what one filter process has counted since its start, and as Prometheus text.
 * Label values come from our own tables only, so that their number is fixed: never an address, a
 * login, a queue id or a domain. All zeros is a good beginning. Thread-safe; nobody waits.
 * Serving the text is exporter.h.
 */
#ifndef FILTER_METRICS_H
#define FILTER_METRICS_H

#include <stdatomic.h>
#include <time.h>

#include "policy/decide.h"
#include "policy/registry/registry.h"
#include "policy/recipient.h"
#include "smime/buf.h"
#include "smime/seal.h"

enum { METRICS_BUCKETS = 13, METRICS_BYTES = 64 * 1024 };

struct metrics {
	atomic_ullong messages[N_CLASSES][N_ACTIONS];
	atomic_ullong reasons[N_REASONS];
	atomic_ullong seals[SEAL_OPAQUE + 1];
	atomic_ullong encryptions[CONTENT_AES256_GCM + 1]; /* CONTENT_UNKNOWN: left to segel-split */
	atomic_ullong lookups[REGISTRY_FOUND + 1];
	atomic_ullong keyd_errors;
	atomic_ullong not_applied;
	atomic_ullong seconds[METRICS_BUCKETS + 1]; /* each bucket by itself; the last has no bound */
	atomic_ullong seconds_sum;                  /* microseconds */
	atomic_llong reloaded;                      /* when settings were last taken over */
	atomic_bool reload_failed;                  /* the last attempt was not */
};

/* What is counted elsewhere and only shown here. */
struct metrics_gauges {
	unsigned sessions;
	unsigned in_hand;
	uint64_t audit_records;
};

/* One message judged and on record. `seal`: which form it left with; SEAL_UNKNOWN = unsealed. */
void metrics_message(struct metrics *metrics, enum class class, const struct verdict *verdict,
    const struct findings *findings, enum seal_form seal);
/* One message that left encrypted with this cipher; CONTENT_UNKNOWN: for segel-split to encrypt. */
void metrics_encryption(struct metrics *metrics, enum content_cipher cipher);
/* The registry was asked for a sealing certificate. */
void metrics_lookup(struct metrics *metrics, enum registry_answer answer);
/* The key agent was asked and gave no signature. */
void metrics_keyd_error(struct metrics *metrics);
/* The MTA did not take the edits. */
void metrics_not_applied(struct metrics *metrics);
/* How long the MTA waited at the end of a message, since CLOCK_MONOTONIC said `began`. */
void metrics_seconds(struct metrics *metrics, const struct timespec *began);
void metrics_reload(struct metrics *metrics, bool good, time_t now);

/* Prometheus text format 0.0.4, whole within METRICS_BYTES. */
void metrics_render(struct metrics *metrics, const struct metrics_gauges *gauges, struct buf *ret);

#endif
