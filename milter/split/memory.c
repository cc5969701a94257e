#include "milter/split/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <sqlite3.h>

enum { VERSION = 1, DROP_EVERY = 60, DROP_MOST = 1000 };
enum { STATE_PENDING = 1, STATE_DONE = 2 };

AUTO_DEFINE(sqlite3_stmt, sqlite3_finalize);

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE copy ("
    " key BLOB NOT NULL PRIMARY KEY CHECK (length(key) = 32),"
    " state INTEGER NOT NULL CHECK (state IN (1, 2))," /* STATE_PENDING, STATE_DONE */
    " at INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX copy_at ON copy (at);"
    "PRAGMA user_version = 1;" /* VERSION */
    "COMMIT";

/* A copy on its way in this process. */
struct under_way {
	unsigned char key[HASH_BYTES];
	struct under_way *next;
};

struct memory {
	char *path;
	int lock_fd; /* locked for as long as it is open */
	int timeout_ms;
	pthread_mutex_t lock; /* guards all below */
	struct under_way *under_way;
	sqlite3 *db;
	sqlite3_stmt *ask, *write, *drop, *purge;
	time_t purged;
	bool failed; /* for good: what was written may not be on disk */
};

static int
trouble(struct memory *memory, const char *what, struct err *err)
{
	const int code = sqlite3_errcode(memory->db);
	const bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;

	/* Pages that a failed sync dropped would be missing although a second one succeeds. */
	if (sqlite3_extended_errcode(memory->db) == SQLITE_IOERR_FSYNC)
		memory->failed = true;
	return err_set(err, damaged ? ERR_CONFIG : ERR_TEMP, "memory of copies '%s': %s: %s%s", memory->path, what,
	    sqlite3_errmsg(memory->db), damaged ? "; move it aside, with its -wal and -shm, and a new one is made" : "");
}

/* ---- opening ---- */

static int
take_folder(struct memory *memory, const char *dir, struct err *err)
{
	AUTO(xfree) char *path = xasprintf("%s/split.lock", dir);

	memory->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (memory->lock_fd == -1)
		return err_set(err, ERR_CONFIG, "'%s' cannot be opened for writing: %s; create the folder for uid %d, mode 0750", path,
		    strerror(errno), (int)geteuid());
	if (flock(memory->lock_fd, LOCK_EX | LOCK_NB) == -1)
		return err_set(err, ERR_TEMP, "'%s' belongs to another process; is segel-split running twice?", path);
	return 0;
}

/* SQLite would take the mode from the umask. A new file is there for good only when its folder is on disk too. */
static int
make_file(const struct memory *memory, const char *dir, struct err *err)
{
	AUTO_FD int fd = open(memory->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	AUTO_FD int folder = -1;

	if (fd == -1 && errno == EEXIST)
		return 0;
	folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || folder == -1 || fsync(folder) == -1)
		return err_set(err, ERR_TEMP, "memory of copies '%s' cannot be made: %s", memory->path, strerror(errno));
	return 0;
}

static int
ask_number(struct memory *memory, const char *sql, int64_t *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(memory->db, sql, -1, &stmt, NULL) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_ROW)
		return trouble(memory, "cannot be read", err);
	*ret = sqlite3_column_int64(stmt, 0);
	return 0;
}

static int
set_up(struct memory *memory, struct err *err)
{
	static const char pragmas[] =
	    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 1048576; PRAGMA trusted_schema = OFF";

	sqlite3_busy_timeout(memory->db, memory->timeout_ms);
	sqlite3_db_config(memory->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (sqlite3_exec(memory->db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
		return trouble(memory, "cannot be set up", err);
	return 0;
}

static int
check_schema(struct memory *memory, struct err *err)
{
	int64_t version, tables;

	if (ask_number(memory, "PRAGMA user_version", &version, err) == -1
	    || ask_number(memory, "SELECT count(*) FROM sqlite_master", &tables, err) == -1)
		return -1;
	if (version == 0 && tables == 0)
		return sqlite3_exec(memory->db, schema, NULL, NULL, NULL) == SQLITE_OK ? 0 : trouble(memory, "cannot be made", err);
	if (version != VERSION)
		return err_set(err, ERR_CONFIG, "memory of copies '%s' has version %lld, this program wants %d; move it aside, or run the "
		    "program that made it", memory->path, (long long)version, VERSION);
	return 0;
}

static int
prepare(struct memory *memory, struct err *err)
{
	const struct {
		sqlite3_stmt **stmt;
		const char *sql;
	} rows[] = {
		{ &memory->ask, "SELECT state FROM copy WHERE key = ?1" },
		/* DONE stays DONE. */
		{ &memory->write, "INSERT INTO copy (key, state, at) VALUES (?1, ?2, ?3)"
				  " ON CONFLICT (key) DO UPDATE SET state = max(state, excluded.state), at = excluded.at" },
		{ &memory->drop, "DELETE FROM copy WHERE key = ?1 AND state = 1" },
		{ &memory->purge, "DELETE FROM copy WHERE key IN (SELECT key FROM copy WHERE at < ?1 ORDER BY at LIMIT ?2)" },
	};

	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		if (sqlite3_prepare_v3(memory->db, rows[i].sql, -1, SQLITE_PREPARE_PERSISTENT, rows[i].stmt, NULL) != SQLITE_OK)
			return trouble(memory, "cannot be asked", err);
	return 0;
}

static int
open_all(struct memory *memory, const char *dir, struct err *err)
{
	if (take_folder(memory, dir, err) == -1 || make_file(memory, dir, err) == -1)
		return -1;
	if (sqlite3_open_v2(memory->path, &memory->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return trouble(memory, "cannot be opened", err);
	if (set_up(memory, err) == -1 || check_schema(memory, err) == -1)
		return -1;
	return prepare(memory, err);
}

int
memory_open(const char *dir, int timeout_ms, struct memory **ret, struct err *err)
{
	AUTO(memory_close) struct memory *memory = xcalloc(1, sizeof(*memory));

	memory->path = xasprintf("%s/split.db", dir);
	memory->lock_fd = -1;
	memory->timeout_ms = timeout_ms;
	pthread_mutex_init(&memory->lock, NULL);
	if (open_all(memory, dir, err) == -1)
		return -1;
	*ret = TAKE(memory);
	return 0;
}

void
memory_close(struct memory *memory)
{
	if (!memory)
		return;
	sqlite3_finalize(memory->ask);
	sqlite3_finalize(memory->write);
	sqlite3_finalize(memory->drop);
	sqlite3_finalize(memory->purge);
	sqlite3_close(memory->db);
	if (memory->lock_fd != -1)
		close(memory->lock_fd); /* last: the next process may come now */
	while (memory->under_way) {
		struct under_way *next = memory->under_way->next;

		free(memory->under_way);
		memory->under_way = next;
	}
	pthread_mutex_destroy(&memory->lock);
	free(memory->path);
	free(memory);
}

/* ---- names ---- */

/* With its length before it: nothing can stand for something else. */
static void
add_text(struct hash *hash, const char *text)
{
	char length[32];

	snprintf(length, sizeof(length), "%zu:", strlen(text));
	hash_add(hash, slice_of(length));
	hash_add(hash, slice_of(text));
}

void
memory_key(const struct letter *letter, unsigned char ret[HASH_BYTES])
{
	AUTO(hash_free) struct hash *hash = hash_new();

	add_text(hash, letter_id(letter));
	add_text(hash, letter->sender);
	add_text(hash, letter->recipient);
	hash_add(hash, buf_slice(&letter->bytes));
	hash_end(&hash, ret);
}

/* ---- what is under way in this process; with the lock ---- */

static struct under_way **
find(struct memory *memory, const unsigned char key[HASH_BYTES])
{
	struct under_way **at = &memory->under_way;

	while (*at && memcmp((*at)->key, key, HASH_BYTES) != 0)
		at = &(*at)->next;
	return at;
}

static void
add(struct memory *memory, const unsigned char key[HASH_BYTES])
{
	struct under_way *under_way = xcalloc(1, sizeof(*under_way));

	memcpy(under_way->key, key, HASH_BYTES);
	under_way->next = memory->under_way;
	memory->under_way = under_way;
}

void
memory_end(struct memory *memory, const unsigned char key[HASH_BYTES])
{
	struct under_way **at, *ended;

	pthread_mutex_lock(&memory->lock);
	at = find(memory, key);
	ended = *at;
	if (ended)
		*at = ended->next;
	pthread_mutex_unlock(&memory->lock);
	free(ended);
}

/* ---- rows; with the lock ---- */

static int
check_place(struct memory *memory, struct err *err)
{
	int moved = 1;

	if (memory->failed)
		return err_set(err, ERR_TEMP, "memory of copies '%s': a sync to disk failed before; look at the disk, then restart segel-split",
		    memory->path);
	if (sqlite3_file_control(memory->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK || moved)
		return err_set(err, ERR_TEMP, "memory of copies '%s' was moved, removed or replaced; restart segel-split", memory->path);
	return 0;
}

static int
run(struct memory *memory, sqlite3_stmt *stmt, struct err *err)
{
	int result = sqlite3_step(stmt) == SQLITE_DONE ? 0 : trouble(memory, "cannot be written", err);

	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return result;
}

static int
ask(struct memory *memory, const unsigned char key[HASH_BYTES], enum memory_answer *ret, struct err *err)
{
	int rc, state = 0, result = 0;

	sqlite3_bind_blob(memory->ask, 1, key, HASH_BYTES, SQLITE_STATIC);
	rc = sqlite3_step(memory->ask);
	if (rc == SQLITE_ROW)
		state = sqlite3_column_int(memory->ask, 0);
	else if (rc != SQLITE_DONE)
		result = trouble(memory, "cannot be asked", err);
	sqlite3_reset(memory->ask);
	sqlite3_clear_bindings(memory->ask);
	*ret = result == -1 ? MEMORY_UNAVAILABLE : state == STATE_DONE ? MEMORY_DONE : state ? MEMORY_AGAIN : MEMORY_NEW;
	return result;
}

/* Where it cannot be done now, it is done the next time. */
static void
purge(struct memory *memory, time_t now)
{
	struct err ignored;

	if (now >= memory->purged && now - memory->purged < DROP_EVERY)
		return;
	memory->purged = now;
	sqlite3_bind_int64(memory->purge, 1, (int64_t)now - MEMORY_SECONDS);
	sqlite3_bind_int64(memory->purge, 2, DROP_MOST);
	(void)!run(memory, memory->purge, &ignored);
}

enum memory_answer
memory_begin(struct memory *memory, const unsigned char key[HASH_BYTES], time_t now, struct err *err)
{
	enum memory_answer answer = MEMORY_UNAVAILABLE;

	pthread_mutex_lock(&memory->lock);
	if (*find(memory, key)) {
		answer = MEMORY_BUSY;
	} else if (check_place(memory, err) == 0) {
		purge(memory, now);
		if (ask(memory, key, &answer, err) == 0 && answer != MEMORY_DONE)
			add(memory, key);
	}
	pthread_mutex_unlock(&memory->lock);
	return answer;
}

static int
write_state(struct memory *memory, const unsigned char key[HASH_BYTES], int state, time_t now, struct err *err)
{
	int result;

	pthread_mutex_lock(&memory->lock);
	result = check_place(memory, err);
	if (result == 0) {
		sqlite3_bind_blob(memory->write, 1, key, HASH_BYTES, SQLITE_STATIC);
		sqlite3_bind_int(memory->write, 2, state);
		sqlite3_bind_int64(memory->write, 3, now);
		result = run(memory, memory->write, err);
	}
	pthread_mutex_unlock(&memory->lock);
	return result;
}

int
memory_pending(struct memory *memory, const unsigned char key[HASH_BYTES], time_t now, struct err *err)
{
	return write_state(memory, key, STATE_PENDING, now, err);
}

int
memory_done(struct memory *memory, const unsigned char key[HASH_BYTES], time_t now, struct err *err)
{
	return write_state(memory, key, STATE_DONE, now, err);
}

int
memory_drop(struct memory *memory, const unsigned char key[HASH_BYTES], struct err *err)
{
	int result;

	pthread_mutex_lock(&memory->lock);
	result = check_place(memory, err);
	if (result == 0) {
		sqlite3_bind_blob(memory->drop, 1, key, HASH_BYTES, SQLITE_STATIC);
		result = run(memory, memory->drop, err);
	}
	pthread_mutex_unlock(&memory->lock);
	return result;
}
