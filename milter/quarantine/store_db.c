#include "milter/quarantine/store_db.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum store_outcome
store_fail(enum store_outcome outcome, struct err *err, const char *fmt, ...)
{
	char text[sizeof(err->text)];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	(void)err_set(err, ERR_TEMP, "%s", text);
	return outcome;
}

enum store_outcome
store_break(struct quarantine *store, struct err *err, const char *fmt, ...)
{
	struct err why = { .kind = ERR_TEMP };
	va_list args;

	va_start(args, fmt);
	vsnprintf(why.text, sizeof(why.text), fmt, args);
	va_end(args);
	pthread_mutex_lock(&store->lock);
	if (!store->broken)
		store->why = why;
	store->broken = true;
	pthread_mutex_unlock(&store->lock);
	return store_fail(STORE_BROKEN, err, "%s; nothing is written since: restart segel-reviewd after mending it", why.text);
}

enum store_outcome
store_check(struct quarantine *store, struct err *err)
{
	struct err why;
	bool broken;

	pthread_mutex_lock(&store->lock);
	broken = store->broken;
	why = store->why;
	pthread_mutex_unlock(&store->lock);
	if (!broken)
		return STORE_DONE;
	return store_fail(STORE_BROKEN, err, "%s; nothing is written since: restart segel-reviewd after mending it", why.text);
}

/*
 * SQLITE_FULL leaves nothing of its transaction behind. After SQLITE_IOERR of a write or a sync nobody knows what is on
 * disk: a second fsync may say yes to pages that the kernel has dropped.
 */
enum store_outcome
store_outcome_of(struct quarantine *store, sqlite3 *db, int rc, const char *what, struct err *err)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return STORE_DONE;
	case SQLITE_FULL:
		return store_fail(STORE_FULL, err, "quarantine '%s': %s: the disk is full", store->dir, what);
	case SQLITE_IOERR:
		if (db != store->writer)
			break;
		return store_break(store, err, "quarantine '%s': %s: %s (%d)", store->dir, what, sqlite3_errmsg(db), rc);
	case SQLITE_CONSTRAINT:
		(void)err_set(err, ERR_BUG, "quarantine '%s': %s: %s", store->dir, what, sqlite3_errmsg(db));
		return STORE_UNAVAILABLE;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return store_fail(STORE_UNAVAILABLE, err, "quarantine '%s': %s: another program keeps the database locked", store->dir, what);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return store_fail(STORE_UNAVAILABLE, err, "quarantine '%s': %s: the database is damaged: %s; restore a backup", store->dir, what,
		    sqlite3_errmsg(db));
	}
	return store_fail(STORE_UNAVAILABLE, err, "quarantine '%s': %s: %s", store->dir, what, sqlite3_errmsg(db));
}

static int
bind_one(sqlite3_stmt *stmt, int i, char type, va_list *args)
{
	const void *bytes;

	switch (type) {
	case 'i':
		return sqlite3_bind_int64(stmt, i, va_arg(*args, int64_t));
	case 't':
		return sqlite3_bind_text(stmt, i, va_arg(*args, const char *), -1, SQLITE_STATIC);
	case 'b':
		bytes = va_arg(*args, const void *);
		return sqlite3_bind_blob64(stmt, i, bytes, va_arg(*args, size_t), SQLITE_STATIC);
	}
	return SQLITE_MISUSE;
}

static int
bind_all(sqlite3_stmt *stmt, const char *types, va_list *args)
{
	int rc = SQLITE_OK;

	for (int i = 0; types[i] && rc == SQLITE_OK; i++)
		rc = bind_one(stmt, i + 1, types[i], args);
	return rc;
}

enum store_outcome
db_prepare(struct quarantine *store, sqlite3 *db, sqlite3_stmt **ret, struct err *err, const char *sql, const char *types, ...)
{
	va_list args;
	int rc = sqlite3_prepare_v2(db, sql, -1, ret, NULL);

	va_start(args, types);
	if (rc == SQLITE_OK)
		rc = bind_all(*ret, types, &args);
	va_end(args);
	return store_outcome_of(store, db, rc, "preparing", err);
}

enum store_outcome
db_change(struct quarantine *store, size_t *n, struct err *err, const char *sql, const char *types, ...)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(store->writer, sql, -1, &stmt, NULL);
	va_list args;

	va_start(args, types);
	if (rc == SQLITE_OK)
		rc = bind_all(stmt, types, &args);
	va_end(args);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (n)
		*n = rc == SQLITE_DONE ? (size_t)sqlite3_changes(store->writer) : 0;
	return store_outcome_of(store, store->writer, rc, "writing", err);
}

int
db_step(struct quarantine *store, sqlite3_stmt *stmt, enum store_outcome *outcome, struct err *err)
{
	int rc = sqlite3_step(stmt);

	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	*outcome = store_outcome_of(store, sqlite3_db_handle(stmt), rc, "reading", err);
	return -1;
}

const char *
db_column(sqlite3_stmt *stmt, int column)
{
	const unsigned char *text = sqlite3_column_text(stmt, column);

	return text ? (const char *)text : "";
}

enum store_outcome
store_begin(struct quarantine *store, struct err *err)
{
	enum store_outcome outcome;

	pthread_mutex_lock(&store->write_lock);
	outcome = store_check(store, err);
	if (outcome == STORE_DONE)
		outcome = store_outcome_of(store, store->writer, sqlite3_exec(store->writer, "BEGIN IMMEDIATE", NULL, NULL, NULL), "beginning", err);
	return outcome;
}

/*
 * SQLite's own checkpoint swallows its errors. Ours does not: pages whose fsync failed may never come to be on disk, and
 * the -wal that still has them must not be emptied as if they were.
 */
static void
checkpoint(struct quarantine *store)
{
	int rc;

	if (store->wal_pages < STORE_WAL_PAGES)
		return;
	rc = sqlite3_wal_checkpoint_v2(store->writer, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if ((rc & 0xff) == SQLITE_IOERR)
		(void)store_break(store, NULL, "quarantine '%s': the checkpoint of its database: %s (%d)", store->dir, sqlite3_errmsg(store->writer),
		    rc);
}

enum store_outcome
store_end(struct quarantine *store, enum store_outcome result, struct err *err)
{
	if (result == STORE_DONE) {
		result = store_outcome_of(store, store->writer, sqlite3_exec(store->writer, "COMMIT", NULL, NULL, NULL), "committing", err);
		if (result == STORE_DONE)
			checkpoint(store);
	}
	if (!sqlite3_get_autocommit(store->writer))
		sqlite3_exec(store->writer, "ROLLBACK", NULL, NULL, NULL);
	pthread_mutex_unlock(&store->write_lock);
	return result;
}

enum store_outcome
read_begin(struct quarantine *store, struct err *err)
{
	pthread_mutex_lock(&store->read_lock);
	return store_outcome_of(store, store->reader, sqlite3_exec(store->reader, "BEGIN", NULL, NULL, NULL), "beginning to read", err);
}

void
read_end(struct quarantine *store)
{
	if (!sqlite3_get_autocommit(store->reader))
		sqlite3_exec(store->reader, "ROLLBACK", NULL, NULL, NULL);
	pthread_mutex_unlock(&store->read_lock);
}

void *
rows_add(struct rows *rows, size_t size)
{
	void *row;

	if (rows->n == rows->room) {
		rows->room = rows->room ? 2 * rows->room : 64;
		rows->at = xrealloc(rows->at, rows->room * size);
	}
	row = (char *)rows->at + rows->n++ * size;
	memset(row, 0, size);
	return row;
}
