#include "policy/registry/writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/registry/db.h"
#include "policy/registry/schema.h"
#include "policy/registry/sha256.h"

enum { WRITER_WAIT_MS = 5000, CHECKPOINT_WAIT_MS = 100 };

enum write_outcome
writer_fail(enum write_outcome outcome, struct err *err, const char *fmt, ...)
{
	va_list args;
	char text[sizeof(err->text)];

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	(void)err_set(err, outcome == WRITE_UNAVAILABLE ? ERR_TEMP : ERR_CONFIG, "%s", text);
	return outcome;
}

/* A trigger's text stands for itself; other constraints are laws too, in SQLite's words. */
static enum write_outcome
outcome_of(struct registry_writer *writer, int rc, struct err *err)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return WRITE_DONE;
	case SQLITE_CONSTRAINT:
		if (sqlite3_extended_errcode(writer->db) == SQLITE_CONSTRAINT_TRIGGER)
			return writer_fail(WRITE_REFUSED, err, "%s", sqlite3_errmsg(writer->db));
		return writer_fail(WRITE_REFUSED, err, "a law of the registry stands against it: %s", sqlite3_errmsg(writer->db));
	}
	return writer_fail(WRITE_UNAVAILABLE, err, "registry '%s' cannot be written: %s", writer->file,
	    sqlite3_errmsg(writer->db));
}

static void
sql_act(sqlite3_context *context, int n, sqlite3_value **values)
{
	const struct registry_writer *writer = sqlite3_user_data(context);

	(void)n;
	(void)values;
	sqlite3_result_int64(context, writer->act);
}

static void
sql_sha256(sqlite3_context *context, int n, sqlite3_value **values)
{
	unsigned char hash[32];

	(void)n;
	if (sha256_of(sqlite3_value_blob(values[0]), (size_t)sqlite3_value_bytes(values[0]), hash))
		sqlite3_result_blob(context, hash, sizeof(hash), SQLITE_TRANSIENT);
	else
		sqlite3_result_error(context, "SHA-256 is not available", -1);
}

/*
 * recursive_triggers: without it INSERT OR REPLACE removes a row and no DELETE trigger hears of it.
 * PERSIST_WAL: a reader under another uid can neither make nor, after the last writer, miss the
 * -wal and -shm files. journal_size_limit keeps the file that stays behind short.
 */
static int
set_up(struct registry_writer *writer)
{
	static const char pragmas[] =
	    "PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=ON; PRAGMA synchronous=FULL; PRAGMA journal_size_limit=1048576";
	int persist = 1;

	sqlite3_busy_timeout(writer->db, WRITER_WAIT_MS);
	sqlite3_extended_result_codes(writer->db, 0);
	sqlite3_db_config(writer->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (sqlite3_file_control(writer->db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist) != SQLITE_OK
	    || sqlite3_create_function(writer->db, "segel_act", 0, SQLITE_UTF8, writer, sql_act, NULL, NULL) != SQLITE_OK
	    || sqlite3_create_function(writer->db, "segel_sha256", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL,
	        sql_sha256, NULL, NULL) != SQLITE_OK)
		return -1;
	return sqlite3_exec(writer->db, pragmas, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

enum write_outcome
writer_open_file(const char *file, const char *login, time_t now, int flags, struct registry_writer **ret,
    struct err *err)
{
	AUTO(registry_write_close) struct registry_writer *writer = xcalloc(1, sizeof(*writer));

	writer->file = xstrdup(file);
	writer->login = xstrdup(login);
	writer->now = now;
	if (sqlite3_open_v2(file, &writer->db, flags | SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK
	    || set_up(writer) == -1)
		return writer_fail(WRITE_UNAVAILABLE, err, "registry '%s' cannot be opened for writing: %s", file,
		    sqlite3_errmsg(writer->db));
	if (sqlite3_db_readonly(writer->db, "main") == 1)
		return writer_fail(WRITE_UNAVAILABLE, err, "registry '%s' may not be written by uid %d; "
		    "run segelctl through sudo", file, (int)geteuid());
	*ret = TAKE(writer);
	return WRITE_DONE;
}

/* The -wal is emptied into the file where no reader stands in the way; what remains is safe too. */
void
registry_write_close(struct registry_writer *writer)
{
	if (!writer)
		return;
	write_rollback(writer);
	if (writer->db) {
		sqlite3_busy_timeout(writer->db, CHECKPOINT_WAIT_MS);
		sqlite3_wal_checkpoint_v2(writer->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	}
	sqlite3_close(writer->db);
	free(writer->login);
	free(writer->file);
	free(writer);
}

enum write_outcome
writer_officer(struct registry_writer *writer, struct err *err)
{
	enum write_outcome outcome = writer_ask(writer, &writer->officer, err,
	    "SELECT o.id FROM officer o WHERE " SQL_CURRENT_TERM("o") " AND o.login=?2 ORDER BY o.id DESC LIMIT 1",
	    "it", writer->now, writer->login);

	if (outcome == WRITE_NOT_FOUND)
		return writer_fail(WRITE_REFUSED, err, "UNIX login '%.64s' is no officer of the registry '%s' now; "
		    "an officer appoints with `segelctl officer add %.64s --person PERSON --appointment LETTER`",
		    writer->login, writer->file, writer->login);
	return outcome;
}

enum write_outcome
registry_write_open(const char *file, const char *login, time_t now, struct registry_writer **ret, struct err *err)
{
	AUTO(registry_write_close) struct registry_writer *writer = NULL;
	enum write_outcome outcome;

	if (access(file, F_OK) == -1)
		return writer_fail(WRITE_UNAVAILABLE, err, "there is no registry '%s'; make it with `segelctl init`, or name "
		    "another one with --registry", file);
	outcome = writer_open_file(file, login, now, 0, &writer, err);
	if (outcome != WRITE_DONE)
		return outcome;
	if (schema_check(writer->db, file, err) != SCHEMA_OURS)
		return WRITE_UNAVAILABLE;
	outcome = writer_officer(writer, err);
	if (outcome == WRITE_DONE)
		*ret = TAKE(writer);
	return outcome;
}

enum write_outcome
write_begin(struct registry_writer *writer, struct err *err)
{
	return writer_run(writer, NULL, err, "BEGIN IMMEDIATE", "");
}

enum write_outcome
write_commit(struct registry_writer *writer, struct err *err)
{
	enum write_outcome outcome = writer_run(writer, NULL, err, "COMMIT", "");

	writer->act = 0;
	if (outcome != WRITE_DONE)
		write_rollback(writer);
	return outcome;
}

void
write_rollback(struct registry_writer *writer)
{
	writer->act = 0;
	if (writer->db && !sqlite3_get_autocommit(writer->db))
		sqlite3_exec(writer->db, "ROLLBACK", NULL, NULL, NULL);
}

static enum write_outcome
prepare(struct registry_writer *writer, const char *sql, const char *types, va_list args, sqlite3_stmt **ret,
    struct err *err)
{
	int rc = sqlite3_prepare_v2(writer->db, sql, -1, ret, NULL);

	if (rc == SQLITE_OK && db_bind(*ret, types, args) == -1)
		rc = SQLITE_ERROR;
	return outcome_of(writer, rc, err);
}

enum write_outcome
writer_run(struct registry_writer *writer, int64_t *id, struct err *err, const char *sql, const char *types, ...)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum write_outcome outcome;
	va_list args;

	va_start(args, types);
	outcome = prepare(writer, sql, types, args, &stmt, err);
	va_end(args);
	if (outcome == WRITE_DONE)
		outcome = outcome_of(writer, sqlite3_step(stmt), err);
	if (outcome == WRITE_DONE && id)
		*id = sqlite3_last_insert_rowid(writer->db);
	return outcome;
}

enum write_outcome
writer_ask(struct registry_writer *writer, int64_t *ret, struct err *err, const char *sql, const char *types, ...)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum write_outcome outcome;
	va_list args;
	int rc;

	va_start(args, types);
	outcome = prepare(writer, sql, types, args, &stmt, err);
	va_end(args);
	if (outcome != WRITE_DONE)
		return outcome;
	rc = sqlite3_step(stmt);
	if (rc == SQLITE_DONE)
		return WRITE_NOT_FOUND;
	if (rc == SQLITE_ROW) {
		*ret = sqlite3_column_int64(stmt, 0);
		rc = sqlite3_step(stmt);
	}
	return rc == SQLITE_ROW ? WRITE_REFUSED : outcome_of(writer, rc, err);
}

enum write_outcome
writer_act(struct registry_writer *writer, const char *verb, const char *object, const char *detail, struct err *err)
{
	enum write_outcome outcome = writer_ask(writer, &writer->act, err, "SELECT coalesce(max(seq), 0) + 1 FROM act", "");

	if (outcome != WRITE_DONE)
		return outcome;
	return writer_run(writer, NULL, err,
	    "INSERT INTO act(seq, at, officer, login, verb, object, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	    "iiitttt", writer->act, writer->now, writer->officer, writer->login, verb, object, detail ? detail : "");
}
