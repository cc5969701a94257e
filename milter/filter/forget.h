/*
 * forget: what has its time. A thread of its own lets go of signatures that were seen first longer ago than verify.replay says, a
 * thousand rows at a time, so that messages hardly wait for it, and of originals (originals.h) past decrypt.keep; at once and
 * every hour from then on.
 *
 * The settings count as they are at that moment. What cannot be written is a warning; messages have their own answer to that.
 * The thread ends with the process.
 */
#ifndef FILTER_FORGET_H
#define FILTER_FORGET_H

#include "milter/filter/filter.h"

/* No thread to be had is a warning. */
void forget_start(struct filter *filter);

#endif
