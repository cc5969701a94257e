/*
 * forget: the memory of replays has an end. A thread of its own lets go of what was seen first longer ago than verify.replay
 * says, at once and every hour from then on, a thousand rows at a time, so that messages hardly wait for it.
 *
 * The setting counts as it is at that moment. A memory that cannot be written is a warning; messages have their own
 * answer to that. The thread ends with the process.
 */
#ifndef FILTER_FORGET_H
#define FILTER_FORGET_H

#include "milter/filter/filter.h"

/* Only where the role has such a memory. No thread to be had is a warning. */
void forget_start(struct filter *filter);

#endif
