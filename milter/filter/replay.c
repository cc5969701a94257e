#include "milter/filter/replay.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "policy/registry/sha256.h"

enum { VERSION = 1 };

AUTO_DEFINE(sqlite3_stmt, sqlite3_finalize);

/* WITHOUT ROWID: a signature is looked for and kept in one tree. */
static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE seen ("
    " value BLOB NOT NULL PRIMARY KEY CHECK (length(value) = 32)," /* signature_facts.value_sha256 */
    " fields BLOB NOT NULL CHECK (length(fields) = 32),"           /* SHA-256 of what fields_text() makes */
    " first INTEGER NOT NULL"                                      /* when it was seen first */
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX seen_first ON seen (first);"
    "PRAGMA user_version = 1;" /* VERSION */
    "COMMIT";

struct replay {
	char *path;
	int lock_fd; /* locked for as long as it is open */
	int timeout_ms;

	pthread_mutex_t lock; /* guards `busy` */
	pthread_cond_t free;
	bool busy;            /* a thread has its turn; all below is its own until it gives it back */

	sqlite3 *db;
	sqlite3_stmt *ask, *keep, *drop;
	int64_t newest; /* the latest time in any row */
	bool failed;    /* for good: what was written may not be on disk */
};

/* ---- what of a message is compared ---- */

/* Without line ends; a run of blanks is one, so that another hop's folding makes no other message. */
static void
add_unfolded(struct buf *ret, struct slice value)
{
	bool blank = false;

	value = slice_trim(value);
	for (size_t i = 0; i < value.len; i++) {
		const unsigned char c = value.at[i];

		if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
			blank = true;
			continue;
		}
		if (blank)
			buf_add_text(ret, " ");
		blank = false;
		buf_add(ret, &c, 1);
	}
}

/* Every field of the four names, each with its length before it: nothing can stand for something else. */
static void
fields_text(const struct head *head, struct buf *ret)
{
	static const char *const names[] = { "Message-ID", "From", "Subject", "Date" };

	for (size_t n = 0; n < N_ELEMENTS(names); n++) {
		const struct field *field;

		for (size_t i = 0; (field = head_find(head, names[n], i)); i++) {
			AUTO_BUF struct buf value = { 0 };

			buf_init(&value, field->value.len);
			add_unfolded(&value, field->value);
			buf_printf(ret, "%s %zu:", names[n], value.len);
			buf_add_slice(ret, buf_slice(&value));
		}
	}
}

static bool
hash_fields(const struct head *head, unsigned char ret[32])
{
	AUTO_BUF struct buf text = { 0 };

	buf_init(&text, SIZE_MAX / 2);
	fields_text(head, &text);
	return sha256_of(buf_text(&text), text.len, ret);
}

/* ---- opening ---- */

static int
db_trouble(const struct replay *replay, const char *what, struct err *err)
{
	const int code = sqlite3_errcode(replay->db);
	const bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;

	return err_set(err, damaged ? ERR_CONFIG : ERR_TEMP, "memory of replays '%s': %s: %s%s", replay->path, what,
	    sqlite3_errmsg(replay->db), damaged ? "; move it aside, with its -wal and -shm, and a new one is made" : "");
}

static int
take_folder(struct replay *replay, const char *dir, struct err *err)
{
	AUTO(xfree) char *path = xasprintf("%s/replay.lock", dir);

	replay->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (replay->lock_fd == -1)
		return err_set(err, ERR_CONFIG, "'%s' cannot be opened for writing: %s; create the folder for uid %d, mode 0750", path,
		    strerror(errno), (int)geteuid());
	if (flock(replay->lock_fd, LOCK_EX | LOCK_NB) == -1)
		return err_set(err, ERR_TEMP, "'%s' belongs to another process; is the same program running twice?", path);
	return 0;
}

/* SQLite would take the mode from the umask. A new file is there for good only when its folder is on disk too. */
static int
make_file(const struct replay *replay, const char *dir, struct err *err)
{
	AUTO_FD int fd = open(replay->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	AUTO_FD int folder = -1;

	if (fd == -1 && errno == EEXIST)
		return 0;
	folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || folder == -1 || fsync(folder) == -1)
		return err_set(err, ERR_TEMP, "memory of replays '%s' cannot be made: %s", replay->path, strerror(errno));
	return 0;
}

static int
ask_number(const struct replay *replay, const char *sql, int64_t *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(replay->db, sql, -1, &stmt, NULL) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_ROW)
		return db_trouble(replay, "cannot be read", err);
	*ret = sqlite3_column_int64(stmt, 0);
	return 0;
}

static int
set_up(const struct replay *replay, struct err *err)
{
	static const char pragmas[] =
	    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 1048576; PRAGMA trusted_schema = OFF";

	sqlite3_extended_result_codes(replay->db, 0);
	sqlite3_busy_timeout(replay->db, replay->timeout_ms);
	sqlite3_db_config(replay->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (sqlite3_exec(replay->db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
		return db_trouble(replay, "cannot be set up", err);
	return 0;
}

static int
check_schema(const struct replay *replay, struct err *err)
{
	int64_t version, tables;

	if (ask_number(replay, "PRAGMA user_version", &version, err) == -1
	    || ask_number(replay, "SELECT count(*) FROM sqlite_master", &tables, err) == -1)
		return -1;
	if (version == 0 && tables == 0)
		return sqlite3_exec(replay->db, schema, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_trouble(replay, "cannot be made", err);
	if (version != VERSION)
		return err_set(err, ERR_CONFIG, "memory of replays '%s' has version %lld, this program wants %d; move it aside, or run the "
		    "program that made it", replay->path, (long long)version, VERSION);
	return 0;
}

static int
prepare(struct replay *replay, struct err *err)
{
	const struct {
		sqlite3_stmt **stmt;
		const char *sql;
	} rows[] = {
		{ &replay->ask, "SELECT fields FROM seen WHERE value = ?1" },
		{ &replay->keep, "INSERT INTO seen (value, fields, first) VALUES (?1, ?2, ?3)" },
		{ &replay->drop, "DELETE FROM seen WHERE value IN (SELECT value FROM seen WHERE first < ?1 ORDER BY first LIMIT ?2)" },
	};

	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		if (sqlite3_prepare_v3(replay->db, rows[i].sql, -1, SQLITE_PREPARE_PERSISTENT, rows[i].stmt, NULL) != SQLITE_OK)
			return db_trouble(replay, "cannot be asked", err);
	return 0;
}

static int
open_all(struct replay *replay, const char *dir, struct err *err)
{
	if (take_folder(replay, dir, err) == -1 || make_file(replay, dir, err) == -1)
		return -1;
	if (sqlite3_open_v2(replay->path, &replay->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return db_trouble(replay, "cannot be opened", err);
	if (set_up(replay, err) == -1 || check_schema(replay, err) == -1 || prepare(replay, err) == -1)
		return -1;
	return ask_number(replay, "SELECT coalesce(max(first), 0) FROM seen", &replay->newest, err);
}

int
replay_open(const char *dir, int timeout_ms, struct replay **ret, struct err *err)
{
	AUTO(replay_close) struct replay *replay = xcalloc(1, sizeof(*replay));
	pthread_condattr_t monotonic;

	replay->path = xasprintf("%s/replay.db", dir);
	replay->lock_fd = -1;
	replay->timeout_ms = timeout_ms;
	pthread_mutex_init(&replay->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&replay->free, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (open_all(replay, dir, err) == -1)
		return -1;
	*ret = TAKE(replay);
	return 0;
}

void
replay_close(struct replay *replay)
{
	if (!replay)
		return;
	sqlite3_finalize(replay->ask);
	sqlite3_finalize(replay->keep);
	sqlite3_finalize(replay->drop);
	sqlite3_close(replay->db);
	if (replay->lock_fd != -1)
		close(replay->lock_fd); /* last: the next process may come now */
	pthread_cond_destroy(&replay->free);
	pthread_mutex_destroy(&replay->lock);
	free(replay->path);
	free(replay);
}

/* ---- turns ---- */

static void
deadline(const struct replay *replay, struct timespec *ret)
{
	clock_gettime(CLOCK_MONOTONIC, ret);
	ret->tv_sec += replay->timeout_ms / 1000;
	ret->tv_nsec += replay->timeout_ms % 1000 * 1000000L;
	if (ret->tv_nsec >= 1000000000L) {
		ret->tv_sec++;
		ret->tv_nsec -= 1000000000L;
	}
}

/* Nobody waits longer for his turn than for the database. */
static bool
take_turn(struct replay *replay)
{
	struct timespec until;
	bool mine;

	deadline(replay, &until);
	pthread_mutex_lock(&replay->lock);
	while (replay->busy && pthread_cond_timedwait(&replay->free, &replay->lock, &until) == 0)
		continue;
	mine = !replay->busy;
	replay->busy = true;
	pthread_mutex_unlock(&replay->lock);
	return mine;
}

static void
give_turn(struct replay *replay)
{
	pthread_mutex_lock(&replay->lock);
	replay->busy = false;
	pthread_cond_signal(&replay->free);
	pthread_mutex_unlock(&replay->lock);
}

/* ---- asking and keeping: whose turn it is ---- */

/* A file that was moved away or replaced keeps nothing for those who come after us. */
static int
check_place(const struct replay *replay, struct err *err)
{
	int moved = 1;

	if (replay->failed)
		return err_set(err, ERR_TEMP, "memory of replays '%s': a sync to disk failed before; look at the disk, then restart the program",
		    replay->path);
	if (sqlite3_file_control(replay->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || moved)
		return err_set(err, ERR_TEMP, "memory of replays '%s' was moved, removed or replaced; restart the program", replay->path);
	return 0;
}

/* Pages that a failed sync dropped would be missing although a second one succeeds. */
static int
step_trouble(struct replay *replay, const char *what, struct err *err)
{
	if (sqlite3_extended_errcode(replay->db) == SQLITE_IOERR_FSYNC)
		replay->failed = true;
	return db_trouble(replay, what, err);
}

/* Of the signature; "not found out" is an error here. */
enum known { KNOWN_OTHER, KNOWN_SAME, KNOWN_NOT };

static int
ask(struct replay *replay, const unsigned char value[32], const unsigned char fields[32], enum known *ret, struct err *err)
{
	const void *kept;
	int rc, result = 0;

	sqlite3_bind_blob(replay->ask, 1, value, 32, SQLITE_STATIC);
	rc = sqlite3_step(replay->ask);
	kept = rc == SQLITE_ROW ? sqlite3_column_blob(replay->ask, 0) : NULL;
	if (rc == SQLITE_DONE)
		*ret = KNOWN_NOT;
	else if (kept && sqlite3_column_bytes(replay->ask, 0) == 32)
		*ret = memcmp(kept, fields, 32) == 0 ? KNOWN_SAME : KNOWN_OTHER;
	else
		result = step_trouble(replay, "cannot be asked", err);
	sqlite3_reset(replay->ask);
	sqlite3_clear_bindings(replay->ask);
	return result;
}

/*
 * A clock that went back does not make a row older than those before it: it would be forgotten too early, and a replay
 * be new.
 */
static int
keep(struct replay *replay, const unsigned char value[32], const unsigned char fields[32], time_t now, struct err *err)
{
	const int64_t first = now > replay->newest ? now : replay->newest;
	int result = 0;

	sqlite3_bind_blob(replay->keep, 1, value, 32, SQLITE_STATIC);
	sqlite3_bind_blob(replay->keep, 2, fields, 32, SQLITE_STATIC);
	sqlite3_bind_int64(replay->keep, 3, first);
	if (sqlite3_step(replay->keep) == SQLITE_DONE)
		replay->newest = first;
	else
		result = step_trouble(replay, "cannot be written", err);
	sqlite3_reset(replay->keep);
	sqlite3_clear_bindings(replay->keep);
	return result;
}

static int
see(struct replay *replay, const unsigned char value[32], const unsigned char fields[32], time_t now, enum replay_answer *ret,
    struct err *err)
{
	enum known known = KNOWN_NOT;

	if (check_place(replay, err) == -1 || ask(replay, value, fields, &known, err) == -1)
		return -1;
	if (known == KNOWN_NOT && keep(replay, value, fields, now, err) == -1)
		return -1;
	*ret = known == KNOWN_OTHER ? REPLAY_SEEN : REPLAY_NEW;
	return 0;
}

enum replay_answer
replay_see(struct replay *replay, const unsigned char value[32], const struct head *head, time_t now, char why[FACT_WHY_BYTES])
{
	enum replay_answer answer = REPLAY_UNAVAILABLE;
	struct err err = { ERR_NONE, "" };
	unsigned char fields[32];

	why[0] = '\0';
	if (!hash_fields(head, fields)) {
		snprintf(why, FACT_WHY_BYTES, "SHA-256 is not available");
		return REPLAY_UNAVAILABLE;
	}
	if (!take_turn(replay)) {
		snprintf(why, FACT_WHY_BYTES, "memory of replays: others kept it busy for %d ms", replay->timeout_ms);
		return REPLAY_UNAVAILABLE;
	}
	if (see(replay, value, fields, now, &answer, &err) == -1)
		snprintf(why, FACT_WHY_BYTES, "%s", err.text);
	give_turn(replay);
	return answer;
}

static int
drop(struct replay *replay, time_t before, size_t most, size_t *n, struct err *err)
{
	int result = 0;

	if (check_place(replay, err) == -1)
		return -1;
	sqlite3_bind_int64(replay->drop, 1, before);
	sqlite3_bind_int64(replay->drop, 2, most < INT64_MAX ? (int64_t)most : INT64_MAX);
	if (sqlite3_step(replay->drop) == SQLITE_DONE)
		*n = (size_t)sqlite3_changes64(replay->db);
	else
		result = step_trouble(replay, "cannot be written", err);
	sqlite3_reset(replay->drop);
	return result;
}

int
replay_forget(struct replay *replay, time_t before, size_t most, size_t *n, struct err *err)
{
	int result;

	if (!take_turn(replay))
		return err_set(err, ERR_TEMP, "memory of replays '%s': others kept it busy for %d ms", replay->path, replay->timeout_ms);
	result = drop(replay, before, most, n, err);
	give_turn(replay);
	return result;
}
