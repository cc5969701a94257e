/*
 * limit: signatures, or unwrapped content keys, per key in any sixty seconds. Exact: the times of the last minute's
 * are kept, so no minute's edge lets twice the number through.
 * Lives beside the snapshots of keys: a reload does not give a key a fresh minute.
 * Thread-safe.
 */
#ifndef KEYD_LIMIT_H
#define KEYD_LIMIT_H

#include "smime/base.h"

struct limiter;

struct limiter *limiter_new(void);
void limiter_free(struct limiter *limiter);
AUTO_DEFINE(struct limiter, limiter_free);

/* Counts one at `now` (ms of a clock that only moves on); false: the limit is reached, nothing counted. */
bool limiter_take(struct limiter *limiter, const unsigned char spki[32], unsigned per_minute, int64_t now);

#endif
