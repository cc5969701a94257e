/*
 * store_db: the store's inside, for the files of store*.c only: two connections (one writes, one reads), each under its
 * lock, and the few steps between a C value and an SQLite statement.
 */
#ifndef QUARANTINE_STORE_DB_H
#define QUARANTINE_STORE_DB_H

#include <pthread.h>
#include <sqlite3.h>

#include "milter/quarantine/share.h"
#include "milter/quarantine/store.h"

AUTO_DEFINE(sqlite3_stmt, sqlite3_finalize);

enum {
	STORE_APPLICATION = 0x53674c71, /* "SgLq": PRAGMA application_id */
	STORE_SCHEMA = 1,
	STORE_WAL_PAGES = 1000, /* of 4 KiB: then the -wal is emptied into the file */
};

#define STORE_DB "quarantine.db"
#define STORE_ITEMS "items"
#define STORE_INCOMING "incoming"
#define STORE_ORPHANS "orphans"

struct quarantine {
	char *dir;
	int dir_fd, items_fd, incoming_fd, orphans_fd;
	int lock_fd;        /* flock: ours alone */
	pthread_mutex_t write_lock;
	sqlite3 *writer;    /* under write_lock, with what follows */
	int wal_pages;      /* after the last commit */
	pthread_mutex_t read_lock;
	sqlite3 *reader;    /* under read_lock */
	pthread_mutex_t lock; /* guards all below; the last one taken, and held for no call */
	bool broken;        /* for good: why says what happened */
	struct err why;
	long max_size, max_items, min_free, client_share;
	size_t bodies, bytes; /* of items, on disk */
	size_t coming, coming_bytes; /* not kept yet */
	struct shares *shares; /* of clients: undecided items, and what is coming */
	size_t swept;         /* at the start, and not told yet */
};

/* The same words for err's sake. */
enum store_outcome store_fail(enum store_outcome outcome, struct err *err, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Closed for writing from now on. Returns STORE_BROKEN. */
enum store_outcome store_break(struct quarantine *store, struct err *err, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* STORE_DONE, or STORE_BROKEN with why. */
enum store_outcome store_check(struct quarantine *store, struct err *err) MUST_USE;

/* What SQLite's answer means; anything but OK, ROW and DONE fills err. A failing write of the disk breaks the store. */
enum store_outcome store_outcome_of(struct quarantine *store, sqlite3 *db, int rc, const char *what, struct err *err) MUST_USE;

/* A transaction that writes: the lock is held until store_end(), whatever the result; the result is passed on, or what the commit gave. */
enum store_outcome store_begin(struct quarantine *store, struct err *err) MUST_USE;
enum store_outcome store_end(struct quarantine *store, enum store_outcome result, struct err *err) MUST_USE;

/* The same for reading: one state of the database for all that is asked. */
enum store_outcome read_begin(struct quarantine *store, struct err *err) MUST_USE;
void read_end(struct quarantine *store);

/*
 * One statement; its values bind from ?1 on, one letter each: i int64_t, t text (NULL = null), b bytes (const void *, size_t).
 * db_change counts the rows that it changed (may be NULL). db_one is STORE_NOT_FOUND where there is no row.
 */
enum store_outcome db_prepare(struct quarantine *store, sqlite3 *db, sqlite3_stmt **ret, struct err *err, const char *sql, const char *types,
    ...) MUST_USE;
enum store_outcome db_change(struct quarantine *store, size_t *n, struct err *err, const char *sql, const char *types, ...) MUST_USE;
/* 1 a row, 0 none, -1: *outcome and err say why. */
int db_step(struct quarantine *store, sqlite3_stmt *stmt, enum store_outcome *outcome, struct err *err) MUST_USE;

/* "" for null. Borrowed until the next step. */
const char *db_column(sqlite3_stmt *stmt, int column);

/* Makes the tables of an empty database, or checks that they are ours. ERR_CONFIG, ERR_TEMP. */
int store_schema(struct quarantine *store, struct err *err) MUST_USE;

/* The event of a change, under its transaction. */
enum store_outcome store_event(struct quarantine *store, int64_t item, const struct item_act *act, struct err *err) MUST_USE;
enum store_outcome store_write_findings(struct quarantine *store, int64_t item, const struct findings *findings, struct err *err) MUST_USE;

/* The box is gone, or will be at the next start. */
void store_drop_file(struct quarantine *store, const char *id, size_t bytes);

/* A file that no row came to: it goes now, if that can be told. */
void store_drop_orphan(struct quarantine *store, const char *id);

/* What an item takes of its client's share at one moment. */
struct taken {
	bool counts;
	unsigned char client[SHARE_CLIENT_BYTES];
	size_t bytes;
};

/* store_share.c. At the start, from the database; an item on its way in; an item in the database, under its transaction. */
enum store_outcome store_load_shares(struct quarantine *store, struct err *err) MUST_USE;
struct taken store_taken_by(const struct item *item, size_t bytes);
enum store_outcome store_taken(struct quarantine *store, int64_t item, struct taken *ret, struct err *err) MUST_USE;
/* After the commit: it takes `after` in place of `before`; NULL = nothing. */
void store_recount(struct quarantine *store, const struct taken *before, const struct taken *after);
/* Counts it as coming, where its client's share has room for it. STORE_DONE, STORE_FULL. */
enum store_outcome store_take(struct quarantine *store, const struct taken *taken, struct err *err) MUST_USE;

/* A growing list of rows of one size. */
struct rows {
	void *at;
	size_t n, room;
};
void *rows_add(struct rows *rows, size_t size);

#endif
