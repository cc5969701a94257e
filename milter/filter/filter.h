/*
 * filter: what one segel-milter process has: its role, its snapshot, its audit log and
 * its counters. Made by main before the threads start; shared by all sessions.
 */
#ifndef FILTER_FILTER_H
#define FILTER_FILTER_H

#include <stdatomic.h>

#include "milter/audit/audit.h"
#include "milter/filter/metrics.h"
#include "milter/filter/poison.h"
#include "milter/filter/replay.h"
#include "milter/filter/role.h"
#include "milter/filter/snapshot.h"

struct filter {
	char *file;             /* of the settings, absolute */
	char *socket;           /* for the MTA, as opened */
	const struct role_traits *role;
	struct snapshot_box *box;
	struct audit *audit;
	struct replay *replay;
	struct poison *poison;
	bool pretend;           /* --pretend: whatever the settings say */
	struct metrics metrics;
	atomic_uint sessions;   /* connections of the MTA */
	atomic_uint messages;   /* between MAIL and their end */
	atomic_uint reviews;    /* threads that look for what is not ready */
	atomic_bool gave_up;    /* libmilter's loop ended by itself */
	atomic_bool draining;   /* after SIGTERM: no new message begins */
};

#endif
