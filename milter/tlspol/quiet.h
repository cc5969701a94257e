/*
 * quiet: how often one kind of line may be logged, so that whoever can reach the socket cannot fill the
 * disk: a few a minute for each cause, and then how many there were besides. Pure.
 */
#ifndef TLSPOL_QUIET_H
#define TLSPOL_QUIET_H

#include "smime/base.h"

enum cause {
	CAUSE_MALFORMED,   /* no netstring */
	CAUSE_REFUSED,     /* a netstring, but no request of ours */
	CAUSE_SLOW,        /* a request or an answer took too long on its way */
	CAUSE_TOO_MANY,    /* connections */
	CAUSE_UNAVAILABLE, /* the registry */
	CAUSE_RAISED,      /* less in the registry than an official domain gets */
	CAUSE_ACCEPT,
	N_CAUSES,
};

enum { QUIET_LINES = 5, QUIET_MS = 60 * 1000 };

/* Begin with zeros. */
struct quiet {
	struct {
		int64_t since;
		unsigned lines;
		unsigned long dropped;
	} causes[N_CAUSES];
};

/* May a line of this cause be logged now? `*before`: how many were dropped in the time that has just ended. */
bool quiet_may(struct quiet *quiet, enum cause cause, int64_t now_ms, unsigned long *before);

#endif
