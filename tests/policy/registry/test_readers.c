/* Readers beside writers, under another uid, on a damaged, locked, missing or replaced file. */
#include "tests/policy/registry/world.h"

#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>

#include "policy/registry/list.h"
#include "policy/registry/schema.h"

enum { OTHER_UID = 64123, OTHER_GID = 64124, STRANGER_GID = 64125 };

static const char budi[] = "budi@kota.example";

static void
fill(struct world *w)
{
	static const struct fake fake = { .bytes = "the certificate", .key = 1, .kind = CERT_KIND_OFFICE };
	struct new_binding binding = { .cert = "1", .purpose = PURPOSE_SEAL, .unit = "DISHUB" };
	struct err err = { 0 };
	char name[24];

	world_begin(w);
	add_cert(w, &fake, name);
	must(write_binding_add(w->writer, &binding, NULL, &err));
	world_commit(w);
}

static void
open_reader(struct world *w)
{
	struct err err = { 0 };

	if (registry_open(w->file, 200, &w->reader, &err) == -1)
		fail_msg("%s", err.text);
}

static void
close_writer(struct world *w)
{
	registry_write_close(w->writer);
	w->writer = NULL;
}

static void
open_writer(struct world *w)
{
	struct err err = { 0 };

	if (registry_write_open(w->file, "ani", NOW, &w->writer, &err) != WRITE_DONE)
		fail_msg("%s", err.text);
}

static enum registry_answer
ask(struct registry *registry, char why[256])
{
	AUTO_FOUND struct registry_found found = { 0 };

	registry_lookup(registry, budi, PURPOSE_SEAL, NOW, &found);
	if (why)
		memcpy(why, found.why, sizeof(found.why));
	return found.answer;
}

static void
expect(struct registry *registry, enum registry_answer want, const char *part)
{
	char why[256];
	enum registry_answer got = ask(registry, why);

	if (got != want || (part && !strstr(why, part)))
		fail_msg("wanted answer %d with '%s', got %d: %s", want, part ? part : "", got, why);
}

/* What the process of another uid says; its exit code is the answer, 100 where it could not open. */
static int
ask_as(const char *file, uid_t uid, gid_t gid)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct registry *registry = NULL;
		int code = 100;

		if (setgroups(0, NULL) == -1 || setresgid(gid, gid, gid) == -1 || setresuid(uid, uid, uid) == -1)
			_exit(101);
		if (registry_open(file, 200, &registry, NULL) == 0)
			code = (int)ask(registry, NULL);
		registry_close(registry);
		_exit(code);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
give_to_group(struct world *w)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(w->dir, 0, OTHER_GID), 0);
	assert_int_equal(chmod(w->dir, 0750), 0);
}

/* The filter's uid: only reads, and finds no writer running. */
static void
test_other_uid(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };
	struct stat st;
	char path[128];

	give_to_group(w);
	snprintf(path, sizeof(path), "%s/new.db", w->dir);
	must(registry_create(path, world_founder(), NOW, false, &err));
	close_writer(w);
	strcpy(w->file, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(st.st_gid, OTHER_GID);
	assert_int_equal(ask_as(path, OTHER_UID, OTHER_GID), REGISTRY_NONE);
	assert_int_equal(ask_as(path, OTHER_UID, STRANGER_GID), 100);

	open_writer(w);
	world_begin(w);
	must(write_domain_add(w->writer, "kota.example", "own", false, NULL, &err));
	must(write_unit_add(w->writer, "DISHUB", "x", NULL, &err));
	must(write_address_add(w->writer, budi, "DISHUB", NULL, NULL, &err));
	world_commit(w);
	fill(w);
	assert_int_equal(ask_as(path, OTHER_UID, OTHER_GID), REGISTRY_FOUND);
	close_writer(w);
	assert_int_equal(ask_as(path, OTHER_UID, OTHER_GID), REGISTRY_FOUND);
}

static void
change(struct world *w, bool hold)
{
	struct err err = { 0 };

	open_writer(w);
	world_begin(w);
	must(hold ? write_cert_hold(w->writer, "1", "x", 0, NULL, &err) : write_cert_unhold(w->writer, "1", "x", NULL, &err));
	world_commit(w);
	close_writer(w);
}

/* The writer died between its commit and its checkpoint: the -wal holds what the file does not yet. */
static void
test_writer_died(void **state)
{
	struct world *w = *state;
	int status = -1;
	pid_t pid;

	give_to_group(w);
	assert_int_equal(chown(w->file, 0, OTHER_GID), 0);
	fill(w);
	close_writer(w);
	for (size_t i = 0; i < 2; i++) {
		AUTO(xfree) char *name = xasprintf("%s%s", w->file, i ? "-wal" : "-shm");

		assert_int_equal(chown(name, 0, OTHER_GID), 0);
	}
	assert_int_equal(ask_as(w->file, OTHER_UID, OTHER_GID), REGISTRY_FOUND);
	pid = fork();
	if (pid == 0) {
		open_writer(w);
		world_begin(w);
		must(write_cert_hold(w->writer, "1", "x", 0, NULL, NULL));
		world_commit(w);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(ask_as(w->file, OTHER_UID, OTHER_GID), REGISTRY_UNUSABLE);
	change(w, false);
	assert_int_equal(ask_as(w->file, OTHER_UID, OTHER_GID), REGISTRY_FOUND);
}

static void
wait_byte(int fd)
{
	char byte;

	if (read(fd, &byte, 1) != 1)
		_exit(102);
}

/* A session of the filter, open while an officer holds and lifts: each answer is as new as its question. */
static int
answer_on_demand(const char *file, int questions, int answers)
{
	struct registry *registry = NULL;

	if (setgroups(0, NULL) == -1 || setresgid(OTHER_GID, OTHER_GID, OTHER_GID) == -1
	    || setresuid(OTHER_UID, OTHER_UID, OTHER_UID) == -1 || registry_open(file, 200, &registry, NULL) == -1)
		return 101;
	for (int i = 0; i < 4; i++) {
		char answer;

		wait_byte(questions);
		answer = (char)ask(registry, NULL);
		if (write(answers, &answer, 1) != 1)
			return 103;
	}
	registry_close(registry);
	return 0;
}

static enum registry_answer
demand(int questions, int answers)
{
	char answer = -1;

	assert_int_equal(write(questions, "?", 1), 1);
	assert_int_equal(read(answers, &answer, 1), 1);
	return (enum registry_answer)answer;
}

static void
test_hold_reaches_open_reader(void **state)
{
	struct world *w = *state;
	int questions[2], answers[2], status = -1;
	pid_t pid;

	give_to_group(w);
	fill(w);
	close_writer(w);
	assert_int_equal(chown(w->file, 0, OTHER_GID), 0);
	for (size_t i = 0; i < 2; i++) {
		AUTO(xfree) char *name = xasprintf("%s%s", w->file, i ? "-wal" : "-shm");

		assert_int_equal(chown(name, 0, OTHER_GID), 0);
	}
	assert_int_equal(pipe(questions), 0);
	assert_int_equal(pipe(answers), 0);
	pid = fork();
	if (pid == 0)
		_exit(answer_on_demand(w->file, questions[0], answers[1]));
	assert_int_equal(demand(questions[1], answers[0]), REGISTRY_FOUND);
	change(w, true);
	assert_int_equal(demand(questions[1], answers[0]), REGISTRY_UNUSABLE);
	change(w, false);
	assert_int_equal(demand(questions[1], answers[0]), REGISTRY_FOUND);
	change(w, true);
	assert_int_equal(demand(questions[1], answers[0]), REGISTRY_UNUSABLE);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	for (size_t i = 0; i < 2; i++) {
		close(questions[i]);
		close(answers[i]);
	}
}

/* Many threads ask while one writes: every answer is one of the two states, none is "could not ask". */
struct crowd {
	struct registry *registry;
	int asked, strange;
	bool *stop;
};

static void *
ask_on(void *given)
{
	struct crowd *crowd = given;

	while (!__atomic_load_n(crowd->stop, __ATOMIC_RELAXED)) {
		AUTO_FOUND struct registry_found found = { 0 };

		registry_lookup(crowd->registry, budi, PURPOSE_SEAL, NOW, &found);
		crowd->asked++;
		if (found.answer == REGISTRY_FOUND ? found.cert.der_len != 15 : found.unusable != UNUSABLE_HELD)
			crowd->strange++;
	}
	return NULL;
}

enum { THREADS = 24 }; /* more than the pool has connections */

static void
test_crowd(void **state)
{
	struct world *w = *state;
	struct crowd crowds[THREADS];
	pthread_t threads[THREADS];
	struct err err = { 0 };
	bool stop = false;

	fill(w);
	open_reader(w);
	for (size_t i = 0; i < THREADS; i++) {
		crowds[i] = (struct crowd){ .registry = w->reader, .stop = &stop };
		assert_int_equal(pthread_create(&threads[i], NULL, ask_on, &crowds[i]), 0);
	}
	for (int i = 0; i < 40; i++) {
		world_begin(w);
		must(write_cert_hold(w->writer, "1", "x", 0, NULL, &err));
		world_commit(w);
		world_begin(w);
		must(write_cert_unhold(w->writer, "1", "x", NULL, &err));
		world_commit(w);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(crowds[i].strange, 0);
	}
}

/* Two officers at once: the second waits for the first. */
static void
test_second_writer(void **state)
{
	struct world *w = *state;
	struct registry_writer *second = NULL;
	struct err err = { 0 };

	must(registry_write_open(w->file, "ani", NOW, &second, &err));
	world_begin(w);
	sqlite3_busy_timeout(second->db, 50);
	assert_int_equal(write_begin(second, &err), WRITE_UNAVAILABLE);
	assert_non_null(strstr(err.text, "locked"));
	world_commit(w);
	must(write_begin(second, &err));
	registry_write_close(second);
}

/* Somebody holds the whole file for longer than the filter waits. */
static void
test_locked(void **state)
{
	struct world *w = *state;
	struct timespec from, to;
	sqlite3 *db = NULL;

	fill(w);
	open_reader(w);
	close_writer(w);
	expect(w->reader, REGISTRY_FOUND, NULL);
	registry_close(w->reader);
	w->reader = NULL;
	assert_int_equal(sqlite3_open_v2(w->file, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(registry_open(w->file, 200, &w->reader, NULL), -1);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_true(to.tv_sec - from.tv_sec <= 2);
	sqlite3_close(db);
	open_reader(w);
	expect(w->reader, REGISTRY_FOUND, NULL);
}

static void
test_missing(void **state)
{
	struct world *w = *state;
	struct registry *registry = NULL;
	struct err err = { 0 };
	char other[128];

	assert_int_equal(registry_open("/nonexistent/r.db", 100, &registry, &err), -1);
	assert_int_equal(err.kind, ERR_CONFIG);
	assert_non_null(strstr(err.text, "segelctl init"));
	fill(w);
	open_reader(w);
	snprintf(other, sizeof(other), "%s.away", w->file);
	assert_int_equal(rename(w->file, other), 0);
	expect(w->reader, REGISTRY_UNAVAILABLE, "cannot be opened");
	assert_int_equal(registry_login(w->reader, "budi", budi, NOW), LOGIN_UNAVAILABLE);
	assert_int_equal(registry_address_known(w->reader, budi, NOW), -1);
	assert_int_equal(rename(other, w->file), 0);
	expect(w->reader, REGISTRY_FOUND, NULL);
}

/* Another registry under the same name: from the next question on, it is the one that answers. */
static void
test_replaced(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };
	char other[128], wal[128];

	fill(w);
	open_reader(w);
	expect(w->reader, REGISTRY_FOUND, NULL);
	snprintf(other, sizeof(other), "%s/other.db", w->dir);
	must(registry_create(other, world_founder(), NOW, false, &err));
	close_writer(w);
	snprintf(wal, sizeof(wal), "%s-wal", w->file);
	unlink(wal);
	snprintf(wal, sizeof(wal), "%s-shm", w->file);
	unlink(wal);
	assert_int_equal(rename(other, w->file), 0);
	expect(w->reader, REGISTRY_NONE, "domain");
}

static void
spoil(const char *file, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
}

static void
test_schema_of_others(void **state)
{
	static const struct {
		const char *sql, *part;
	} rows[] = {
		{ "PRAGMA user_version=5", "newer Segel" },
		{ "PRAGMA user_version=3", "--migrate" },
		{ "PRAGMA user_version=2", "--migrate" },
		{ "PRAGMA user_version=1", "--migrate" },
		{ "PRAGMA user_version=0", "--migrate" },
		{ "PRAGMA application_id=1", "no Segel registry" },
	};
	struct world *w = *state;

	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct registry *registry = NULL;
		struct registry_writer *writer = NULL;
		struct err err = { 0 };

		spoil(w->file, rows[i].sql);
		assert_int_equal(registry_open(w->file, 100, &registry, &err), -1);
		assert_int_equal(err.kind, ERR_CONFIG);
		if (!strstr(err.text, rows[i].part))
			fail_msg("%s: %s", rows[i].sql, err.text);
		assert_int_equal(registry_write_open(w->file, "ani", NOW, &writer, &err), WRITE_UNAVAILABLE);
		spoil(w->file, "PRAGMA user_version=4; PRAGMA application_id=1397049164");
	}
	fill(w);
	open_reader(w);
	expect(w->reader, REGISTRY_FOUND, NULL);
	spoil(w->file, "PRAGMA user_version=5");
	expect(w->reader, REGISTRY_UNAVAILABLE, "schema 5");
	spoil(w->file, "PRAGMA user_version=4");
	expect(w->reader, REGISTRY_FOUND, NULL);
}

static void
count(void *ctx, const struct registry_cert *cert)
{
	(void)cert;
	++*(int *)ctx;
}

static void
expect_listed(struct world *w, int want, int want_n, const char *part)
{
	struct err err = { 0 };
	int n = 0;

	assert_int_equal(registry_each_seal(w->reader, NOW, count, &n, &err), want);
	assert_int_equal(n, want_n);
	if (want == -1 && !strstr(err.text, part))
		fail_msg("'%s' does not say '%s'", err.text, part);
}

/* One byte of the DER turned round, behind the registry's back. */
static void
test_damaged_row(void **state)
{
	struct world *w = *state;
	char away[96];

	fill(w);
	open_reader(w);
	spoil(w->file, "DROP TRIGGER cert_unchanging; DROP TRIGGER cert_update_by_officer; DROP TRIGGER cert_state_by_act;"
	    "UPDATE cert SET der=CAST('the certificatE' AS BLOB)");
	expect(w->reader, REGISTRY_UNAVAILABLE, "damaged");
	expect_listed(w, -1, 0, "damaged");
	spoil(w->file, "UPDATE cert SET der=CAST('the certificate' AS BLOB)");
	expect(w->reader, REGISTRY_FOUND, NULL);
	expect_listed(w, 0, 1, NULL);
	snprintf(away, sizeof(away), "%s/away.db", w->dir);
	assert_int_equal(rename(w->file, away), 0);
	expect_listed(w, -1, 0, "No such file");
	assert_int_equal(rename(away, w->file), 0);
	expect_listed(w, 0, 1, NULL);
}

/* The file, overwritten with noise behind its first page, and as a whole. */
static void
overwrite(const char *file, off_t from)
{
	char noise[4096];
	struct stat st;
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	assert_true(fd != -1);
	assert_int_equal(fstat(fd, &st), 0);
	memset(noise, 0x5a, sizeof(noise));
	for (off_t at = from; at < st.st_size; at += (off_t)sizeof(noise))
		assert_int_equal(pwrite(fd, noise, sizeof(noise), at), sizeof(noise));
	close(fd);
}

static void
test_damaged_file(void **state)
{
	struct world *w = *state;
	struct registry *registry = NULL;
	struct err err = { 0 };

	fill(w);
	close_writer(w);
	overwrite(w->file, 4096);
	if (registry_open(w->file, 100, &w->reader, &err) == 0)
		expect(w->reader, REGISTRY_UNAVAILABLE, NULL);
	overwrite(w->file, 0);
	assert_int_equal(registry_open(w->file, 100, &registry, &err), -1);
	if (w->reader)
		expect(w->reader, REGISTRY_UNAVAILABLE, NULL);
}

static void
test_create(void **state)
{
	struct world *w = *state;
	struct founder blank = *world_founder();
	struct err err = { 0 };
	char path[128];

	assert_int_equal(registry_create(w->file, world_founder(), NOW, false, &err), WRITE_REFUSED);
	snprintf(path, sizeof(path), "%s/x.db", w->dir);
	must(registry_create(path, world_founder(), NOW, true, &err));
	assert_int_equal(access(path, F_OK), -1);
	blank.appointment = "  ";
	assert_int_equal(registry_create(path, &blank, NOW, false, &err), WRITE_REFUSED);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(registry_create("/nonexistent/x.db", world_founder(), NOW, false, &err), WRITE_UNAVAILABLE);
}

/* Who is no officer, or no more or not yet, opens nothing for writing. */
static void
test_officers(void **state)
{
	struct world *w = *state;
	struct registry_writer *writer = NULL;
	struct err err = { 0 };

	assert_int_equal(registry_write_open(w->file, "siti", NOW, &writer, &err), WRITE_REFUSED);
	assert_non_null(strstr(err.text, "officer add siti"));
	world_begin(w);
	must(write_officer_add(w->writer, "siti", "Budi", "SK 2", NOW + 10, NULL, &err));
	must(write_person_add(w->writer, "Tuti", "asn", NULL, NULL, NULL, &err));
	must(write_officer_add(w->writer, "tuti", "Tuti", "SK 3", 0, NULL, &err)); /* one without a term must stay */
	world_commit(w);
	assert_int_equal(registry_write_open(w->file, "siti", NOW - 1, &writer, &err), WRITE_REFUSED);
	assert_int_equal(registry_write_open(w->file, "siti", NOW + 10, &writer, &err), WRITE_REFUSED);
	must(registry_write_open(w->file, "siti", NOW + 9, &writer, &err));
	must(write_begin(writer, &err));
	must(write_officer_end(writer, "ani", "pensiun", &err));
	must(write_commit(writer, &err));
	registry_write_close(writer);
	writer = NULL;
	assert_int_equal(registry_write_open(w->file, "ani", NOW + 9, &writer, &err), WRITE_REFUSED);
	w->writer->now = NOW + 9;
	world_begin(w);
	assert_int_equal(write_unit_add(w->writer, "X", "x", NULL, &err), WRITE_REFUSED);
	write_rollback(w->writer);
}

/* What is not committed was never there. */
static void
test_rollback(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };
	int64_t before = 0, after = 0;

	must(writer_ask(w->writer, &before, &err, "SELECT max(seq) FROM act", ""));
	world_begin(w);
	must(write_unit_add(w->writer, "X", "x", NULL, &err));
	write_rollback(w->writer);
	must(writer_ask(w->writer, &after, &err, "SELECT max(seq) FROM act", ""));
	assert_int_equal(before, after);
	assert_int_equal(writer_ask(w->writer, &after, &err, "SELECT 1 FROM unit WHERE code='X'", ""), WRITE_NOT_FOUND);
}

static void
count_rows(void *ctx, const struct list_cell *cells, size_t n)
{
	int *count = ctx;

	assert_int_equal(cells[0].kind, LIST_KIND_NUMBER);
	assert_true(n > 1 && n <= LIST_MAX_COLUMNS);
	(*count)++;
}

/* Each list names its columns and runs. */
static void
test_lists(void **state)
{
	struct new_binding client = { .cert = "1", .purpose = PURPOSE_CLIENT, .domain = "lain.example" };
	struct world *w = *state;
	struct err err = { 0 };

	fill(w);
	world_begin(w);
	must(write_binding_add(w->writer, &client, NULL, &err));
	must(write_tls_set(w->writer, &(struct new_tls){ .hop = "lain.example", .level = HOP_LEVEL_SECURE }, NULL, &err));
	must(write_reviewer_add(w->writer, "tuti", "Budi", "analis", "SK 7", 0, NULL, &err));
	world_commit(w);
	open_reader(w);
	for (int what = LIST_UNKNOWN + 1; what < N_LISTS; what++) {
		struct list_filter filter = { .at = NOW, .all = true, .id = what == LIST_CERT_DETAIL };
		size_t n = 0;
		int count = 0;
		const char *const *columns = list_columns((enum list_what)what, &n);

		for (size_t i = 0; i < n; i++)
			assert_non_null(columns[i]);
		assert_true(n == LIST_MAX_COLUMNS || !columns[n]);
		if (registry_list(w->reader, (enum list_what)what, &filter, count_rows, &count, &err) == -1)
			fail_msg("list %d: %s", what, err.text);
		if (what != LIST_SYSTEM)
			assert_true(count > 0);
	}
}

static int
by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* A generous bound for a busy, sanitised test run; `make bench` measures the promised one. */
static void
test_fast(void **state)
{
	enum { N = 2000 };
	struct world *w = *state;
	double *took = calloc(N, sizeof(*took));

	fill(w);
	close_writer(w);
	open_reader(w);
	for (size_t i = 0; i < N; i++) {
		struct timespec from, to;

		clock_gettime(CLOCK_MONOTONIC, &from);
		assert_int_equal(ask(w->reader, NULL), REGISTRY_FOUND);
		clock_gettime(CLOCK_MONOTONIC, &to);
		took[i] = (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3;
	}
	qsort(took, N, sizeof(*took), by_value);
	print_message("lookup: median %.0f us, p99 %.0f us\n", took[N / 2], took[N * 99 / 100]);
	assert_true(took[N / 2] < 5000);
	free(took);
}

/* A certificate's bytes by its number, whatever else is in force. */
static void
test_cert_der(void **state)
{
	struct world *w = *state;
	AUTO(xfree) unsigned char *der = NULL;
	struct err err = { 0 };
	size_t len = 0;

	fill(w);
	open_reader(w);
	if (registry_cert_der(w->reader, 1, &der, &len, &err) == -1)
		fail_msg("%s", err.text);
	assert_int_equal(len, strlen("the certificate"));
	assert_memory_equal(der, "the certificate", len);
	free(der);
	der = NULL;
	assert_int_equal(registry_cert_der(w->reader, 2, &der, &len, &err), -1);
	assert_non_null(strstr(err.text, "no certificate 2 is registered"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_other_uid),
		WORLD_TEST(test_writer_died),
		WORLD_TEST(test_hold_reaches_open_reader),
		WORLD_TEST(test_crowd),
		WORLD_TEST(test_second_writer),
		WORLD_TEST(test_locked),
		WORLD_TEST(test_missing),
		WORLD_TEST(test_replaced),
		WORLD_TEST(test_schema_of_others),
		WORLD_TEST(test_damaged_row),
		WORLD_TEST(test_damaged_file),
		WORLD_TEST(test_create),
		WORLD_TEST(test_officers),
		WORLD_TEST(test_rollback),
		WORLD_TEST(test_lists),
		WORLD_TEST(test_cert_der),
		WORLD_TEST(test_fast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
