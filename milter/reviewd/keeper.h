/*
 * keeper: what segel-reviewd does by itself, in a thread of its own: releases that were interrupted (at start, and every
 * half minute), free space (every half minute), files without a row (every hour), retention (at start, and every day).
 */
#ifndef REVIEWD_KEEPER_H
#define REVIEWD_KEEPER_H

#include "milter/reviewd/desk.h"

struct keeper;

int keeper_start(struct desk *desk, struct keeper **ret, struct err *err) MUST_USE;
/* After desk->stop_fd was made readable: waits until the work at hand has ended. */
void keeper_stop(struct keeper *keeper);

#endif
