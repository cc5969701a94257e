/*
 * schema: the registry's tables and the laws they carry, as numbered steps.
 *
 * Step n takes a database from user_version n to n + 1; a step that was released is never
 * edited again. The laws are constraints and triggers, so that they hold for whoever writes.
 * Two SQL functions that only our own writer registers keep everybody else from writing:
 *
 *     segel_act()        sequence number of the act under way (writer.c); 0 = none
 *     segel_sha256(der)  what the bytes hash to
 *
 * In any other program (the sqlite3 shell) a write ends with "no such function". That stops
 * mistakes, not somebody who owns the file and wants to: for that there is the audit log.
 *
 * Times are whole seconds since 1970 (UTC). Something is current at T when from_at <= T, and
 * T < ended_at, and T < to_at, where those are set.
 */
#ifndef POLICY_REGISTRY_SCHEMA_H
#define POLICY_REGISTRY_SCHEMA_H

#include <sqlite3.h>

#include "smime/base.h"
#include "smime/err.h"

enum {
	SCHEMA_VERSION = 4,
	SCHEMA_APPLICATION = 0x5345474c, /* "SEGL" */
};

enum schema_state {
	SCHEMA_UNREADABLE, /* could not ask; err says why */
	SCHEMA_FOREIGN,    /* a database, but not a registry */
	SCHEMA_OLDER,      /* run `segelctl init --migrate` */
	SCHEMA_NEWER,      /* written by a newer segelctl */
	SCHEMA_OURS,
};

/* Whatever is not SCHEMA_OURS also has its text in `err`. */
enum schema_state schema_check(sqlite3 *db, const char *file, struct err *err) MUST_USE;

/*
 * Runs the missing steps; within a transaction of the caller. `have` is the version now, 0 in
 * an empty database.
 */
int schema_apply(sqlite3 *db, int have, struct err *err) MUST_USE;

/* "SELECT current" for alias `t`: ?1 is the time. */
#define SQL_CURRENT(t) "(" t ".from_at<=?1 AND (" t ".ended_at IS NULL OR ?1<" t ".ended_at))"
#define SQL_CURRENT_TERM(t) "(" SQL_CURRENT(t) " AND (" t ".to_at IS NULL OR ?1<" t ".to_at))"

#endif
