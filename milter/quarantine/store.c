/* The store's folder, its limits, and what a crash left in it. Rows: store_item.c store_act.c store_list.c. */
#include "milter/quarantine/store_db.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "smime/box.h"

enum {
	RESERVE_BYTES = 1024 * 1024, /* no body takes them: deleting one needs room in the database first */
	ORPHAN_KEEP = 30 * 24 * 60 * 60,
};

static const char *const outcomes[] = {
	[STORE_UNAVAILABLE] = "unavailable",
	[STORE_FULL] = "full",
	[STORE_BROKEN] = "broken",
	[STORE_NOT_FOUND] = "not-found",
	[STORE_CHANGED] = "changed",
	[STORE_DONE] = "done",
};

const char *
store_outcome_name(enum store_outcome outcome)
{
	return outcomes[outcome < N_ELEMENTS(outcomes) ? outcome : STORE_UNAVAILABLE];
}

static int
open_folder(struct quarantine *store, struct err *err)
{
	struct stat st;

	if (mkdir(store->dir, 0700) == -1 && errno != EEXIST)
		return err_set(err, ERR_CONFIG, "quarantine.dir '%s' cannot be made: %s; make it for this user, mode 0700", store->dir,
		    strerror(errno));
	store->dir_fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->dir_fd == -1 || fstat(store->dir_fd, &st) == -1)
		return err_set(err, ERR_CONFIG, "quarantine.dir '%s' cannot be opened: %s; make it for this user, mode 0700", store->dir,
		    strerror(errno));
	if (st.st_mode & (S_IWGRP | S_IRWXO))
		return err_set(err, ERR_CONFIG, "quarantine.dir '%s' has mode %04o, open to others; run: chmod 700 '%s'", store->dir,
		    st.st_mode & 07777, store->dir);
	return 0;
}

/* One at a time, and for as long as the descriptor is open: nobody else sweeps what we are about to keep. */
static int
lock_folder(struct quarantine *store, struct err *err)
{
	store->lock_fd = openat(store->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (store->lock_fd == -1)
		return err_set(err, ERR_CONFIG, "'%s/lock' cannot be opened: %s; the folder must be this user's", store->dir, strerror(errno));
	if (flock(store->lock_fd, LOCK_EX | LOCK_NB) == -1)
		return err_set(err, ERR_CONFIG, "the quarantine '%s' is open in another process; is segel-reviewd running twice?", store->dir);
	return 0;
}

static int
open_inner(struct quarantine *store, const char *name, int *ret, struct err *err)
{
	if (mkdirat(store->dir_fd, name, 0700) == -1 && errno != EEXIST)
		return err_set(err, ERR_TEMP, "'%s/%s' cannot be made: %s", store->dir, name, strerror(errno));
	*ret = openat(store->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (*ret == -1)
		return err_set(err, ERR_CONFIG, "'%s/%s' cannot be opened: %s", store->dir, name, strerror(errno));
	return 0;
}

/* SQLite makes its files as open to others as the umask lets it; the first one decides for all. */
static int
make_database(struct quarantine *store, struct err *err)
{
	AUTO_FD int fd = openat(store->dir_fd, STORE_DB, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd == -1)
		return err_set(err, ERR_CONFIG, "'%s/%s' cannot be opened: %s", store->dir, STORE_DB, strerror(errno));
	if (fsync(store->dir_fd) == -1)
		return err_set(err, ERR_TEMP, "the folder '%s' cannot be synced: %s", store->dir, strerror(errno));
	return 0;
}

static int
connect_one(struct quarantine *store, int flags, int timeout_ms, const char *pragmas, sqlite3 **ret, struct err *err)
{
	AUTO(xfree) char *file = xasprintf("%s/%s", store->dir, STORE_DB);

	if (sqlite3_open_v2(file, ret, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return err_set(err, ERR_CONFIG, "'%s' cannot be opened: %s", file, sqlite3_errmsg(*ret));
	sqlite3_busy_timeout(*ret, timeout_ms);
	sqlite3_extended_result_codes(*ret, 1);
	sqlite3_db_config(*ret, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (sqlite3_exec(*ret, pragmas, NULL, NULL, NULL) != SQLITE_OK)
		return err_set(err, ERR_TEMP, "'%s' cannot be prepared: %s", file, sqlite3_errmsg(*ret));
	return 0;
}

static int
note_pages(void *ctx, sqlite3 *db, const char *name, int pages)
{
	struct quarantine *store = ctx;

	(void)db;
	(void)name;
	store->wal_pages = pages;
	return SQLITE_OK;
}

/*
 * secure_delete: what is forgotten is overwritten, not only let go. recursive_triggers: REPLACE deletes without a DELETE
 * trigger otherwise. The hook goes in the place of SQLite's automatic checkpoint (store_db.c).
 */
static int
connect_both(struct quarantine *store, int timeout_ms, struct err *err)
{
	static const char writing[] =
	    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=ON;"
	    "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY;"
	    "PRAGMA journal_size_limit=16777216";
	static const char reading[] =
	    "PRAGMA query_only=ON; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY";

	if (connect_one(store, SQLITE_OPEN_READWRITE, timeout_ms, writing, &store->writer, err) == -1)
		return -1;
	sqlite3_wal_hook(store->writer, note_pages, store);
	if (store_schema(store, err) == -1)
		return -1;
	return connect_one(store, SQLITE_OPEN_READONLY, timeout_ms, reading, &store->reader, err);
}

static enum store_outcome
load_counts(struct quarantine *store, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, store->reader, &stmt, err,
	    "SELECT count(*), coalesce(sum(disk), 0) FROM item WHERE has_body = 1", "");

	if (outcome == STORE_DONE && db_step(store, stmt, &outcome, err) == 1) {
		store->bodies = (size_t)sqlite3_column_int64(stmt, 0);
		store->bytes = (size_t)sqlite3_column_int64(stmt, 1);
	}
	return outcome;
}

static struct quarantine *
blank(const struct store_settings *settings)
{
	struct quarantine *store = xcalloc(1, sizeof(*store));

	store->dir = xstrdup(settings->dir);
	store->shares = shares_new();
	store->dir_fd = store->items_fd = store->incoming_fd = store->orphans_fd = store->lock_fd = -1;
	pthread_mutex_init(&store->write_lock, NULL);
	pthread_mutex_init(&store->read_lock, NULL);
	pthread_mutex_init(&store->lock, NULL);
	store_limits(store, settings);
	return store;
}

void
store_limits(struct quarantine *store, const struct store_settings *settings)
{
	pthread_mutex_lock(&store->lock);
	store->max_size = settings->max_size;
	store->max_items = settings->max_items;
	store->min_free = settings->min_free;
	store->client_share = settings->client_share;
	pthread_mutex_unlock(&store->lock);
}

static int sweep(struct quarantine *store, time_t before, size_t *swept, size_t *lost, struct err *err);

int
store_open(const struct store_settings *settings, struct quarantine **ret, struct err *err)
{
	AUTO(store_close) struct quarantine *store = blank(settings);
	size_t lost;

	if (open_folder(store, err) == -1 || lock_folder(store, err) == -1 || open_inner(store, STORE_ITEMS, &store->items_fd, err) == -1
	    || open_inner(store, STORE_INCOMING, &store->incoming_fd, err) == -1
	    || open_inner(store, STORE_ORPHANS, &store->orphans_fd, err) == -1 || make_database(store, err) == -1
	    || connect_both(store, settings->timeout_ms, err) == -1 || load_counts(store, err) != STORE_DONE
	    || store_load_shares(store, err) != STORE_DONE)
		return -1;
	/* Nobody is at work yet: none of them waits for its row. */
	if (sweep(store, (time_t)INT64_MAX, &store->swept, &lost, err) == -1)
		return -1;
	*ret = TAKE(store);
	return 0;
}

static void
close_fd(int fd)
{
	if (fd != -1)
		close(fd);
}

void
store_close(struct quarantine *store)
{
	if (!store)
		return;
	sqlite3_close(store->reader);
	if (store->broken)
		sqlite3_db_config(store->writer, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_close(store->writer);
	close_fd(store->items_fd);
	close_fd(store->incoming_fd);
	close_fd(store->orphans_fd);
	close_fd(store->dir_fd);
	close_fd(store->lock_fd);
	pthread_mutex_destroy(&store->write_lock);
	pthread_mutex_destroy(&store->read_lock);
	pthread_mutex_destroy(&store->lock);
	shares_free(store->shares);
	free(store->dir);
	free(store);
}

/* Whose file is it? */
enum owner { OWNER_UNKNOWN, OWNER_NONE, OWNER_GONE, OWNER_ITEM };

/* OWNER_UNKNOWN: could not ask. */
static enum owner
owner_of(struct quarantine *store, const char *id, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum owner owner = OWNER_UNKNOWN;
	enum store_outcome outcome;

	pthread_mutex_lock(&store->read_lock);
	outcome = db_prepare(store, store->reader, &stmt, err, "SELECT has_body FROM item WHERE id = ?1", "t", id);
	if (outcome == STORE_DONE)
		switch (db_step(store, stmt, &outcome, err)) {
		case 0:
			owner = OWNER_NONE;
			break;
		case 1:
			owner = sqlite3_column_int(stmt, 0) ? OWNER_ITEM : OWNER_GONE;
			break;
		}
	sqlite3_finalize(TAKE(stmt));
	pthread_mutex_unlock(&store->read_lock);
	return owner;
}

/* `ret` counts those that became orphans. -1: could not go on. */
typedef int sweeper(struct quarantine *store, const char *id, size_t *ret, struct err *err);

/* A body on its way in that nobody brought to its end. */
static int
sweep_incoming(struct quarantine *store, const char *id, size_t *ret, struct err *err)
{
	(void)err;
	(void)ret; /* it comes again */
	(void)unlinkat(store->incoming_fd, id, 0);
	return 0;
}

/*
 * A row that is on its way is waited for. Where none ever came a delivery was broken off, or the database is a backup, and
 * the file all that is left of a message that its sender believes delivered: that is not for us to say.
 */
static int
sweep_item(struct quarantine *store, const char *id, size_t *ret, struct err *err)
{
	enum owner owner = owner_of(store, id, err);

	if (owner == OWNER_ITEM)
		return 0;
	pthread_mutex_lock(&store->write_lock);
	owner = owner == OWNER_UNKNOWN ? owner : owner_of(store, id, err);
	if (owner == OWNER_GONE)
		(void)unlinkat(store->items_fd, id, 0);
	else if (owner == OWNER_NONE)
		*ret += renameat(store->items_fd, id, store->orphans_fd, id) == 0;
	pthread_mutex_unlock(&store->write_lock);
	return owner == OWNER_UNKNOWN ? -1 : 0;
}

static int
sweep_orphan(struct quarantine *store, const char *id, size_t *ret, struct err *err)
{
	(void)err;
	(void)ret; /* told when it came there */
	(void)unlinkat(store->orphans_fd, id, 0);
	return 0;
}

/* Files that came to this folder, or were written, before this time. */
static int
sweep_folder(struct quarantine *store, int folder, sweeper *one, time_t before, size_t *ret, struct err *err)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int result = 0;

	if (!dir) {
		close_fd(fd);
		return err_set(err, ERR_TEMP, "a folder of '%s' cannot be read: %s", store->dir, strerror(errno));
	}
	while (result == 0 && (entry = readdir(dir))) {
		struct stat st;

		if (item_id_good(entry->d_name) && fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0
		    && (one == sweep_orphan ? st.st_ctime : st.st_mtime) <= before)
			result = one(store, entry->d_name, ret, err);
	}
	closedir(dir);
	return result;
}

static int
count_lost(struct quarantine *store, size_t *lost, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, store->reader, &stmt, err, "SELECT id FROM item WHERE has_body = 1", "");
	struct stat st;
	int row = -1;

	while (outcome == STORE_DONE && (row = db_step(store, stmt, &outcome, err)) == 1)
		if (fstatat(store->items_fd, db_column(stmt, 0), &st, AT_SYMLINK_NOFOLLOW) == -1 && errno == ENOENT)
			(*lost)++;
	return row == 0 ? 0 : -1;
}

static int
sweep(struct quarantine *store, time_t before, size_t *swept, size_t *lost, struct err *err)
{
	int result;

	*swept = *lost = 0;
	if (sweep_folder(store, store->incoming_fd, sweep_incoming, before, swept, err) == -1
	    || sweep_folder(store, store->items_fd, sweep_item, before, swept, err) == -1)
		return -1;
	pthread_mutex_lock(&store->read_lock);
	result = count_lost(store, lost, err);
	pthread_mutex_unlock(&store->read_lock);
	return result;
}

int
store_sweep(struct quarantine *store, time_t now, long age, size_t *swept, size_t *lost, struct err *err)
{
	if (sweep_folder(store, store->orphans_fd, sweep_orphan, now - ORPHAN_KEEP, swept, err) == -1
	    || sweep(store, now - age, swept, lost, err) == -1)
		return -1;
	pthread_mutex_lock(&store->lock);
	*swept += store->swept;
	store->swept = 0;
	pthread_mutex_unlock(&store->lock);
	return 0;
}

void
store_drop_file(struct quarantine *store, const char *id, size_t bytes)
{
	/* Where that fails, the next sweep finds a file without a row. */
	(void)unlinkat(store->items_fd, id, 0);
	pthread_mutex_lock(&store->lock);
	store->bodies--;
	store->bytes -= bytes;
	pthread_mutex_unlock(&store->lock);
}

void
store_drop_orphan(struct quarantine *store, const char *id)
{
	const enum owner owner = item_id_good(id) ? owner_of(store, id, NULL) : OWNER_UNKNOWN;

	if (owner == OWNER_NONE || owner == OWNER_GONE)
		(void)unlinkat(store->items_fd, id, 0);
}

static int
free_bytes(struct quarantine *store, size_t *ret, struct err *err)
{
	struct statvfs fs;

	if (fstatvfs(store->dir_fd, &fs) == -1)
		return err_set(err, ERR_TEMP, "the free space of '%s' cannot be told: %s", store->dir, strerror(errno));
	*ret = (size_t)fs.f_bavail * fs.f_frsize;
	return 0;
}

/* Is there room for so much more? */
static enum store_outcome
check_room(struct quarantine *store, size_t items, size_t bytes, struct err *err)
{
	size_t n_items, n_bytes, left, max_items, max_size, min_free;

	if (store_check(store, err) != STORE_DONE)
		return STORE_BROKEN;
	if (free_bytes(store, &left, err) == -1)
		return STORE_UNAVAILABLE;
	pthread_mutex_lock(&store->lock);
	n_items = store->bodies + store->coming + items;
	n_bytes = store->bytes + store->coming_bytes + bytes;
	max_items = (size_t)store->max_items;
	max_size = (size_t)store->max_size;
	min_free = (size_t)store->min_free;
	pthread_mutex_unlock(&store->lock);
	if (n_items > max_items)
		return store_fail(STORE_FULL, err, "the quarantine is full: %zu items with this one; quarantine.max_items is %zu", n_items, max_items);
	if (n_bytes > max_size)
		return store_fail(STORE_FULL, err, "the quarantine is full: %zu bytes with this message; quarantine.max_size is %zu", n_bytes, max_size);
	if (left < min_free + RESERVE_BYTES + bytes)
		return store_fail(STORE_FULL, err, "the quarantine's disk is full: %zu bytes free, %zu wanted; quarantine.min_free is %zu, and %d are "
		    "for the database alone", left, min_free + RESERVE_BYTES + bytes, min_free, RESERVE_BYTES);
	return STORE_DONE;
}

/* A body's box is a little longer than the body. */
enum store_outcome
store_room(struct quarantine *store, size_t bytes, struct err *err)
{
	return check_room(store, 1, bytes + BOX_HEADER_BYTES + 20 * (bytes / BOX_CHUNK_BYTES + 1), err);
}

struct incoming {
	struct quarantine *store;
	char id[ITEM_ID_BYTES];
	int fd;
	size_t bytes;
	struct taken taken; /* of its client's share, while it is coming */
	bool failed; /* something is missing in it: never kept */
	bool kept;
};

/* Full, or a trouble of this file alone: it is thrown away, so nothing is said about what is on disk. */
static enum store_outcome
file_failed(struct incoming *incoming, const char *what, struct err *err)
{
	incoming->failed = true;
	return store_fail(errno == ENOSPC || errno == EDQUOT ? STORE_FULL : STORE_UNAVAILABLE, err, "the quarantine '%s': a new item cannot be %s: %s",
	    incoming->store->dir, what, strerror(errno));
}

enum store_outcome
incoming_open(struct quarantine *store, const char *id, struct incoming **ret, struct err *err)
{
	AUTO(incoming_free) struct incoming *incoming = NULL;
	enum store_outcome outcome;

	if (!item_id_good(id))
		return store_fail(STORE_UNAVAILABLE, err, "an item's id of %zu bytes that is none", strlen(id));
	outcome = check_room(store, 1, 0, err);
	if (outcome != STORE_DONE)
		return outcome;
	incoming = xcalloc(1, sizeof(*incoming));
	incoming->store = store;
	memcpy(incoming->id, id, sizeof(incoming->id));
	incoming->fd = openat(store->incoming_fd, id, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	pthread_mutex_lock(&store->lock);
	store->coming++;
	pthread_mutex_unlock(&store->lock);
	if (incoming->fd == -1)
		return file_failed(incoming, "begun", err);
	*ret = TAKE(incoming);
	return STORE_DONE;
}

enum store_outcome
incoming_charge(struct incoming *incoming, const struct item *item, size_t bytes, struct err *err)
{
	const struct taken taken = store_taken_by(item, bytes);
	const enum store_outcome outcome = incoming->taken.counts ? STORE_DONE : store_take(incoming->store, &taken, err);

	incoming->failed = incoming->failed || outcome != STORE_DONE;
	if (outcome == STORE_DONE && !incoming->taken.counts)
		incoming->taken = taken;
	return outcome;
}

enum store_outcome
incoming_write(struct incoming *incoming, struct slice bytes, struct err *err)
{
	struct quarantine *store = incoming->store;
	enum store_outcome outcome;

	if (incoming->failed || incoming->kept)
		return store_fail(STORE_UNAVAILABLE, err, "an item that failed, or is kept already, is written on");
	outcome = check_room(store, 0, bytes.len, err);
	incoming->failed = outcome != STORE_DONE;
	if (incoming->failed)
		return outcome;
	incoming->bytes += bytes.len;
	pthread_mutex_lock(&store->lock);
	store->coming_bytes += bytes.len;
	pthread_mutex_unlock(&store->lock);
	while (bytes.len) {
		ssize_t put = write(incoming->fd, bytes.at, bytes.len);

		if (put == -1 && errno == EINTR)
			continue;
		if (put == 0)
			errno = EIO;
		if (put <= 0)
			return file_failed(incoming, "written", err);
		bytes = (struct slice){ bytes.at + put, bytes.len - (size_t)put };
	}
	return STORE_DONE;
}

static enum store_outcome
sync_failed(struct incoming *incoming, const char *what, struct err *err)
{
	incoming->failed = true;
	return store_break(incoming->store, err, "the quarantine '%s': %s cannot be synced: %s", incoming->store->dir, what, strerror(errno));
}

/* Never over what is there: whoever may give items must not exchange one. */
enum store_outcome
incoming_keep(struct incoming *incoming, struct err *err)
{
	struct quarantine *store = incoming->store;

	if (incoming->failed || incoming->kept)
		return store_fail(STORE_UNAVAILABLE, err, "an item that failed, or is kept already, is to be kept");
	if (store_check(store, err) != STORE_DONE)
		return STORE_BROKEN;
	if (fsync(incoming->fd) == -1)
		return sync_failed(incoming, "a new item", err);
	if (renameat2(store->incoming_fd, incoming->id, store->items_fd, incoming->id, RENAME_NOREPLACE) == -1)
		return file_failed(incoming, "put in its place", err);
	incoming->kept = true;
	if (fsync(store->items_fd) == -1 || fsync(store->incoming_fd) == -1)
		return sync_failed(incoming, "its folder", err);
	return STORE_DONE;
}

void
incoming_free(struct incoming *incoming)
{
	if (!incoming)
		return;
	if (incoming->fd != -1) {
		close(incoming->fd);
		if (!incoming->kept)
			(void)unlinkat(incoming->store->incoming_fd, incoming->id, 0);
	}
	pthread_mutex_lock(&incoming->store->lock);
	incoming->store->coming--;
	incoming->store->coming_bytes -= incoming->bytes;
	pthread_mutex_unlock(&incoming->store->lock);
	store_recount(incoming->store, &incoming->taken, NULL);
	free(incoming);
}

enum store_outcome
store_body(struct quarantine *store, const char *id, int *ret, struct err *err)
{
	enum owner owner;
	int fd;

	if (!item_id_good(id))
		return store_fail(STORE_NOT_FOUND, err, "no item is called '%.40s'", id);
	owner = owner_of(store, id, err);
	if (owner == OWNER_UNKNOWN)
		return STORE_UNAVAILABLE;
	if (owner != OWNER_ITEM)
		return store_fail(STORE_NOT_FOUND, err, "no item '%s' with a body", id);
	fd = openat(store->items_fd, id, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1 && errno == ENOENT)
		return store_fail(STORE_NOT_FOUND, err, "the body of item '%s' is missing from '%s/%s'", id, store->dir, STORE_ITEMS);
	if (fd == -1)
		return store_fail(STORE_UNAVAILABLE, err, "the body of item '%s' cannot be opened: %s", id, strerror(errno));
	*ret = fd;
	return STORE_DONE;
}

static enum store_outcome
read_stats(struct quarantine *store, struct store_stats *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, store->reader, &stmt, err,
	    "SELECT state, count(*), min(arrived), state IN ('baru', 'ditinjau', 'menunggu persetujuan') FROM item GROUP BY state", "");

	while (outcome == STORE_DONE && db_step(store, stmt, &outcome, err) == 1) {
		const time_t oldest = sqlite3_column_int64(stmt, 2);

		ret->items[item_state_from(db_column(stmt, 0))] = (size_t)sqlite3_column_int64(stmt, 1);
		if (sqlite3_column_int(stmt, 3) && (ret->oldest_open == 0 || oldest < ret->oldest_open))
			ret->oldest_open = oldest;
	}
	return outcome;
}

enum store_outcome
store_stats(struct quarantine *store, struct store_stats *ret, struct err *err)
{
	struct store_stats stats = { .bodies = 0 };
	enum store_outcome outcome = read_begin(store, err);

	if (outcome == STORE_DONE)
		outcome = read_stats(store, &stats, err);
	read_end(store);
	if (outcome != STORE_DONE)
		return outcome;
	if (free_bytes(store, &stats.free_bytes, err) == -1)
		return STORE_UNAVAILABLE;
	pthread_mutex_lock(&store->lock);
	stats.bodies = store->bodies;
	stats.bytes = store->bytes;
	pthread_mutex_unlock(&store->lock);
	*ret = stats;
	return STORE_DONE;
}
