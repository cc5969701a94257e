/*
 * Bad luck at every step of what the store does: the k-th write, sync or rename fails, or the process ends there. The
 * functions below stand in the way of our own calls and of SQLite's.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "tests/milter/quarantine/world.h"

enum op { OP_WRITE = 1, OP_SYNC = 2, OP_RENAME = 4, OP_UNLINK = 8, OP_ALL = 15 };
enum deed { DEED_NONE, DEED_FAIL, DEED_SHORT, DEED_EXIT_BEFORE, DEED_EXIT_AFTER };

static struct world world;

/* What happens at the `left`-th call of `ops` in the world's folder. */
static struct {
	unsigned ops;
	enum deed deed;
	int error;
	long left;
	bool fired;
	char *log; /* NULL = nothing is noted */
} luck;

enum { LOG_BYTES = 64 * 1024 };

/* The path within the folder, "" for any other descriptor. */
static void
path_of(int fd, char *ret, size_t room)
{
	char link[64], path[512] = "";
	size_t len = strlen(world.dir);

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	*ret = '\0';
	if (len && readlink(link, path, sizeof(path) - 1) > 0 && strncmp(path, world.dir, len) == 0)
		snprintf(ret, room, "%s", path + len + 1);
}

static void
note(const char *what, const char *path)
{
	size_t len;

	if (!luck.log)
		return;
	len = strlen(luck.log);
	snprintf(luck.log + len, LOG_BYTES - len, "%s %s\n", what, path);
}

/* True: now. */
static bool
strikes(enum op op, const char *what, int fd)
{
	char path[512];

	if (!luck.ops && !luck.log)
		return false;
	path_of(fd, path, sizeof(path));
	if (!*path)
		return false;
	note(what, path);
	if (!(luck.ops & op) || luck.left <= 0 || --luck.left > 0)
		return false;
	luck.fired = true;
	if (luck.deed == DEED_EXIT_BEFORE)
		syscall(SYS_exit_group, 0);
	return true;
}

static long
end_of(long result)
{
	if (luck.deed == DEED_EXIT_AFTER)
		syscall(SYS_exit_group, 0);
	return result;
}

static ssize_t
written(const char *what, int fd, const void *bytes, size_t len, long at)
{
	const bool now = strikes(OP_WRITE, what, fd);

	if (now && luck.deed == DEED_FAIL) {
		errno = luck.error;
		return -1;
	}
	if (now && luck.deed == DEED_SHORT)
		len = (len + 1) / 2;
	len = (size_t)(at < 0 ? syscall(SYS_write, fd, bytes, len) : syscall(SYS_pwrite64, fd, bytes, len, at));
	return now ? end_of((long)len) : (ssize_t)len;
}

static int
called(enum op op, const char *what, int fd, long number, long a, long b, long c, long d, long e)
{
	const bool now = strikes(op, what, fd);
	long result;

	if (now && luck.deed == DEED_FAIL) {
		errno = luck.error;
		return -1;
	}
	result = syscall(number, a, b, c, d, e);
	return (int)(now ? end_of(result) : result);
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
	return written("write", fd, bytes, len, -1);
}

ssize_t
pwrite(int fd, const void *bytes, size_t len, off_t at)
{
	return written("write", fd, bytes, len, at);
}

ssize_t
pwrite64(int fd, const void *bytes, size_t len, off_t at)
{
	return written("write", fd, bytes, len, at);
}

int
fsync(int fd)
{
	return called(OP_SYNC, "sync", fd, SYS_fsync, fd, 0, 0, 0, 0);
}

int
fdatasync(int fd)
{
	return called(OP_SYNC, "sync", fd, SYS_fdatasync, fd, 0, 0, 0, 0);
}

int
renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	return called(OP_RENAME, "rename", to, SYS_renameat2, from, (long)(uintptr_t)old, to, (long)(uintptr_t)new, flags);
}

int
unlinkat(int folder, const char *name, int flags)
{
	return called(OP_UNLINK, "unlink", folder, SYS_unlinkat, folder, (long)(uintptr_t)name, flags, 0, 0);
}

static void
calm(void)
{
	luck.ops = 0;
	luck.deed = DEED_NONE;
}

static void
arm(unsigned ops, enum deed deed, int error, long k)
{
	luck.ops = ops;
	luck.deed = deed;
	luck.error = error;
	luck.left = k;
	luck.fired = false;
}

/* Where `text` begins in the log, after `from`; the test fails where it does not. */
static const char *
after(const char *from, const char *text)
{
	const char *at = strstr(from, text);

	if (!at)
		fail_msg("'%s' does not follow in:\n%s", text, luck.log);
	return at + strlen(text);
}

#define ID_2 "00000000000000000000000000000002"

/* Design part 7: nothing is on record before the body is on disk under its name; nothing is answered before both are. */
static void
test_order(void **state)
{
	AUTO(store_close) struct quarantine *store = NULL;
	AUTO_ITEM struct item item = item_of(2);
	const struct item_change gone = { .state = ITEM_DELETED, .drop_body = true };
	struct item_act act = { .id = item.id, .version = 1, .what = "delete", .login = "ani", .now = NOW };
	const char *at;
	char id[ITEM_ID_BYTES];

	(void)state;
	assert_int_equal(run("rm -rf q"), 0);
	store = store_at("q");
	put_number(store, 1, id);
	luck.log = xcalloc(1, LOG_BYTES);
	EXPECT(STORE_DONE, put_item(store, &item, &err));
	at = after(luck.log, "write q/incoming/" ID_2 "\n");
	at = after(at, "sync q/incoming/" ID_2 "\n");
	at = after(at, "rename q/items\n");
	at = after(at, "sync q/items\n");
	at = after(at, "sync q/incoming\n");
	assert_null(strstr(at, "q/incoming/"));
	/* the database comes after all of it, and ends on disk */
	*(char *)(uintptr_t)(at - 1) = '\0';
	assert_null(strstr(luck.log, "quarantine.db"));
	at = after(at, "write q/quarantine.db-wal\n");
	at = after(at, "sync q/quarantine.db-wal\n");
	assert_string_equal(at, "");
	/* a deletion goes the other way */
	*luck.log = '\0';
	EXPECT(STORE_DONE, store_act(store, &act, &gone, &err));
	at = after(luck.log, "write q/quarantine.db-wal\n");
	at = after(at, "sync q/quarantine.db-wal\n");
	assert_string_equal(at, "unlink q/items\n");
	free(TAKE(luck.log));
}

/* After whatever happened: the database is whole, and each row that says so has its file; no file is left over. */
static void
check_folder(const char *what)
{
	/* One line "ok", the ids of the rows, and nothing from the check of foreign keys in between. */
	if (run("sqlite3 q/quarantine.db 'PRAGMA integrity_check; PRAGMA foreign_key_check; SELECT id FROM item WHERE has_body=1 ORDER BY id' >rows;"
	    "{ echo ok; ls q/items; } >files; cmp -s rows files && test -z \"$(ls q/incoming)\"") != 0)
		fail_msg("%s: rows and files differ, or the database is damaged: %d", what, run("diff rows files; ls q/incoming"));
}

static bool
is_held(struct quarantine *store, const char *id)
{
	AUTO_ITEM struct item item = { 0 };

	return store_get(store, id, &item, NULL) == STORE_DONE;
}

struct trouble {
	const char *name;
	unsigned ops;
	enum deed deed;
	int error;
	enum store_outcome want; /* STORE_DONE: it does not matter; of a sync in any case STORE_BROKEN */
};

/* One try: the k-th call of the kind. False: there are not so many. */
static bool
try(const struct trouble *trouble, long k)
{
	AUTO(store_close) struct quarantine *store = NULL;
	AUTO_ITEM struct item item = item_of(2), next = item_of(3), last = item_of(4);
	struct err why = { 0 };
	enum store_outcome outcome;
	char name[100], id[ITEM_ID_BYTES];

	snprintf(name, sizeof(name), "%s at %ld", trouble->name, k);
	assert_int_equal(run("rm -rf q"), 0);
	store = store_at("q");
	put_number(store, 1, id);
	arm(trouble->ops, trouble->deed, trouble->error, k);
	outcome = put_item(store, &item, &why);
	calm();
	if (!luck.fired) {
		assert_int_equal(outcome, STORE_DONE);
		return false;
	}
	if (outcome != trouble->want)
		fail_msg("%s: %s: %s", name, store_outcome_name(outcome), why.text);
	/* Broken stays broken, and nothing is synced, written or renamed any more; all else passes. */
	arm(OP_ALL & ~(unsigned)OP_UNLINK, DEED_FAIL, EIO, outcome == STORE_BROKEN ? 1 : 0);
	if (put_item(store, &next, &why) != (outcome == STORE_BROKEN ? STORE_BROKEN : STORE_DONE) || luck.fired)
		fail_msg("%s: afterwards: %s", name, why.text);
	calm();
	assert_true(is_held(store, id));
	store_close(TAKE(store));
	store = store_at("q");
	check_folder(name);
	assert_true(is_held(store, id));
	if (outcome == STORE_DONE && !is_held(store, item.id))
		fail_msg("%s: an item that was acknowledged is lost", name);
	if (outcome != STORE_DONE && outcome != STORE_BROKEN && is_held(store, item.id))
		fail_msg("%s: an item that was refused is there", name);
	EXPECT(STORE_DONE, put_item(store, &last, &err));
	return true;
}

static const struct trouble troubles[] = {
	{ "fsync: EIO", OP_SYNC, DEED_FAIL, EIO, STORE_BROKEN },
	{ "fsync: ENOSPC", OP_SYNC, DEED_FAIL, ENOSPC, STORE_BROKEN },
	{ "rename: EIO", OP_RENAME, DEED_FAIL, EIO, STORE_UNAVAILABLE },
	{ "rename: ENOSPC", OP_RENAME, DEED_FAIL, ENOSPC, STORE_FULL },
	{ "write: ENOSPC", OP_WRITE, DEED_FAIL, ENOSPC, STORE_FULL },
	{ "write: EDQUOT of the body", OP_WRITE, DEED_FAIL, EDQUOT, STORE_FULL },
	{ "write: EINTR", OP_WRITE, DEED_FAIL, EINTR, STORE_DONE },
	{ "write: half of it", OP_WRITE, DEED_SHORT, 0, STORE_DONE },
};

static void
test_each_call_fails(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(troubles); i++) {
		long k = 1;

		/* SQLite knows ENOSPC as full, and calls a quota an I/O error: only the body's own write is told apart. */
		while (try(&troubles[i], k) && troubles[i].error != EDQUOT)
			k++;
		print_message("%s: %ld calls\n", troubles[i].name, k - 1);
		assert_true(k > 1 || troubles[i].error == EDQUOT);
	}
}

/* EIO of a write: the body's is thrown away; the database's says nothing about what is on disk. */
static void
test_write_eio(void **state)
{
	const struct trouble body = { "write of the body: EIO", OP_WRITE, DEED_FAIL, EIO, STORE_UNAVAILABLE };
	const struct trouble database = { "write of the database: EIO", OP_WRITE, DEED_FAIL, EIO, STORE_BROKEN };

	(void)state;
	assert_true(try(&body, 1));
	for (long k = 2; try(&database, k); k++)
		assert_true(k < 1000);
}

/* A life: hold, view, release, released, a second release that fails, delete. Each that was acknowledged is said through the pipe. */
static void
live(int say)
{
	struct quarantine *store = store_at("q");
	struct item item = item_of(2);
	struct item_act act = { .id = item.id, .what = "x", .login = "ani", .person = 5, .now = NOW };
	const struct item_change changes[] = {
		{ .state = ITEM_SEEN },
		{ .token = "t1", .release_to = { "warga@kota.go.id" } },
		{ .token = "t2", .release_to = { "Sekda@kota.go.id" } },
		{ .state = ITEM_DELETED, .drop_body = true },
	};
	char word = '0';

	if (put_item(store, &item, NULL) != STORE_DONE)
		_exit(1);
	for (size_t i = 0; i <= N_ELEMENTS(changes); i++) {
		struct item found = { 0 };

		word++;
		syscall(SYS_write, say, &word, 1);
		if (i == N_ELEMENTS(changes) || store_get(store, item.id, &found, NULL) != STORE_DONE)
			break;
		act.version = found.version;
		if (store_act(store, &act, &changes[i], NULL) != STORE_DONE)
			_exit(2);
		if (changes[i].token && (i == 1 ? store_released(store, "t1", NOW, NULL) : store_release_failed(store, "t2", "no", NOW, NULL))
		    != STORE_DONE)
			_exit(3);
	}
	_exit(word == '5' ? 77 : 4);
}

/* What had been acknowledged is there. */
static void
check_life(const char *name, int acknowledged)
{
	AUTO(store_close) struct quarantine *store = store_at("q");
	AUTO_ITEM struct item item = { 0 };
	enum store_outcome outcome = store_get(store, ID_2, &item, NULL);
	struct err why = { 0 };

	check_folder(name);
	if (acknowledged >= 1 && outcome != STORE_DONE)
		fail_msg("%s: the item is lost", name);
	if (acknowledged >= 2 && item.state == ITEM_NEW)
		fail_msg("%s: it was seen", name);
	if (acknowledged >= 3 && item.recipients[0].released_at != NOW)
		fail_msg("%s: its release is lost", name);
	if (acknowledged >= 4 && item.recipients[1].released_at != 0)
		fail_msg("%s: what failed is released", name);
	if (acknowledged >= 5 && item.has_body)
		fail_msg("%s: its body is there again", name);
	/* What was under way can be ended, once. */
	if (item.state == ITEM_RELEASING) {
		const char *token = item.recipients[0].released_at ? "t2" : "t1";

		EXPECT(STORE_DONE, store_release_failed(store, token, "crash", NOW, &err));
		EXPECT(STORE_NOT_FOUND, store_released(store, token, NOW, &err));
	}
	if (outcome != STORE_DONE) {
		AUTO_ITEM struct item again = item_of(2);

		if (put_item(store, &again, &why) != STORE_DONE)
			fail_msg("%s: %s", name, why.text);
	}
}

/* Ends at the k-th call. The child's exit status: 77 where it lived to the end. */
static int
end_at(unsigned ops, enum deed deed, long k, int *acknowledged)
{
	int ends[2], status;
	char word = '0';
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(ends[0]);
		arm(ops, deed, 0, k);
		live(ends[1]);
	}
	close(ends[1]);
	*acknowledged = 0;
	while (read(ends[0], &word, 1) == 1)
		*acknowledged = word - '0';
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
test_process_ends_anywhere(void **state)
{
	/* Behind one write is before the next one. */
	static const struct {
		enum deed deed;
		unsigned ops;
	} ends[] = { { DEED_EXIT_BEFORE, OP_ALL }, { DEED_EXIT_AFTER, OP_ALL & ~(unsigned)OP_WRITE } };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(ends); i++) {
		int status = 0, acknowledged;
		long k;

		for (k = 1; status == 0; k++) {
			char name[64];

			snprintf(name, sizeof(name), "ended %s call %ld", i ? "after" : "before", k);
			assert_int_equal(run("rm -rf q"), 0);
			status = end_at(ends[i].ops, ends[i].deed, k, &acknowledged);
			if (status != 0 && status != 77)
				fail_msg("%s: status %d", name, status);
			check_life(name, acknowledged);
		}
		assert_int_equal(acknowledged, 5);
		print_message("%ld places to end at\n", k - 2);
	}
}

/* Checkpoints are ours, because SQLite's swallow a failed sync: then nothing may be written any more. */
static void
test_checkpoint_fails(void **state)
{
	AUTO(store_close) struct quarantine *store = NULL;
	struct err why = { 0 };
	unsigned n = 0;

	(void)state;
	assert_int_equal(run("rm -rf q"), 0);
	store = store_at("q");
	luck.log = xcalloc(1, LOG_BYTES);
	/* Until the next commit makes the -wal long enough for one. */
	while (store->wal_pages < STORE_WAL_PAGES - 60) {
		char id[ITEM_ID_BYTES];

		*luck.log = '\0';
		put_number(store, ++n, id);
		assert_null(strstr(luck.log, "sync q/quarantine.db\n"));
	}
	for (;;) {
		AUTO_ITEM struct item item = item_of(++n);
		const int before = store->wal_pages;

		/* body, its folders, the commit; then the checkpoint's: the -wal, the database */
		arm(OP_SYNC, DEED_FAIL, EIO, 6);
		EXPECT(STORE_DONE, put_item(store, &item, &err));
		calm();
		if (luck.fired)
			break;
		assert_true(before < 2 * STORE_WAL_PAGES);
	}
	free(TAKE(luck.log));
	assert_int_equal(store_check(store, &why), STORE_BROKEN);
	assert_non_null(strstr(why.text, "checkpoint"));
	store_close(TAKE(store));
	store = store_at("q");
	check_folder("checkpoint");
	assert_int_equal(run("test $(ls q/items | wc -l) = %u", n), 0);
}

/* A real full disk: refused, nothing torn, and over when something is deleted. */
static void
test_disk_full(void **state)
{
	AUTO(store_close) struct quarantine *store = NULL;
	struct slice body = { (const unsigned char *)repeat("x", 60000), 60000 };
	const struct item_change gone = { .state = ITEM_DELETED, .drop_body = true };
	struct item_act act = { .version = 1, .what = "delete", .login = "ani", .now = NOW };
	struct err err = { 0 };
	enum store_outcome outcome = STORE_DONE;
	char id[ITEM_ID_BYTES];
	unsigned held = 0;

	(void)state;
	if (geteuid() != 0 || unshare(CLONE_NEWNS) == -1 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1) {
		heap_free(body);
		skip();
	}
	assert_int_equal(run("rm -rf q"), 0);
	assert_int_equal(mkdir("q", 0700), 0);
	assert_int_equal(mount("tmpfs", "q", "tmpfs", 0, "size=4m,mode=700"), 0);
	store = store_at("q");
	while (outcome == STORE_DONE && held < 1000) {
		AUTO_ITEM struct item item = item_of(held + 1);

		outcome = put_body(store, item.id, body, &err);
		if (outcome == STORE_DONE)
			outcome = store_add(store, &item, &err);
		held += outcome == STORE_DONE;
	}
	print_message("%u bodies of 60 kB in 4 MiB: %s\n", held, err.text);
	assert_int_equal(outcome, STORE_FULL);
	/* The last byte goes to the database: its own writes fail then. */
	assert_int_equal(run("cat /dev/zero >q/ballast 2>/dev/null; true"), 0);
	for (int i = 0; i < 3; i++) {
		AUTO_ITEM struct item item = item_of(2000);

		outcome = put_item(store, &item, &err);
		if (outcome != STORE_FULL)
			fail_msg("%s: %s", store_outcome_name(outcome), err.text);
	}
	assert_int_equal(unlink("q/ballast"), 0);
	snprintf(id, sizeof(id), "%032x", 1);
	act.id = id;
	outcome = store_act(store, &act, &gone, &err);
	if (outcome != STORE_DONE)
		fail_msg("%s: %s", store_outcome_name(outcome), err.text);
	put_number(store, 3000, id);
	store_close(TAKE(store));
	store = store_at("q");
	check_folder("full");
	store_close(TAKE(store));
	assert_int_equal(umount("q"), 0);
	heap_free(body);
}

static int
setup(void **state)
{
	(void)state;
	folder_open(&world, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"); /* a thousand syncs */
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	calm();
	umount("q");
	world_close(&world);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_each_call_fails),
		cmocka_unit_test(test_write_eio),
		cmocka_unit_test(test_process_ends_anywhere),
		cmocka_unit_test(test_checkpoint_fails),
		cmocka_unit_test(test_disk_full), /* last: it leaves the mount namespace */
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
