/*
 * keeper: what segel-reviewd does by itself, in a thread of its own: releases that were interrupted (at start, then after half
 * a minute, and as long as they stay after twice the time each, at most ten minutes), free space (every half minute), files
 * without a row (every hour), retention (at start, and every day; not by a clock that has jumped).
 */
#ifndef REVIEWD_KEEPER_H
#define REVIEWD_KEEPER_H

#include "milter/reviewd/desk.h"

struct keeper;

int keeper_start(struct desk *desk, struct keeper **ret, struct err *err) MUST_USE;
/* After desk->stop_fd was made readable: waits for the work at hand. False: it goes on; then all it uses must stay. */
bool keeper_stop(struct keeper *keeper, int drain_ms) MUST_USE;

#endif
