/* The memory of signatures: what is a replay and what a retry, and what stands when the file cannot be used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "milter/filter/replay.h"

enum { NOW = 1790000000, TIMEOUT_MS = 200 };

#define HEAD "Message-ID: <1@kota.example>\r\nFrom: budi@kota.example\r\nSubject: Surat tugas\r\nDate: Mon, 21 Sep 2026 13:46:40 +0000\r\n"

static char folder[64];

static int
make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/segel-replay-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static void
shell(const char *fmt, ...)
{
	char command[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	assert_int_equal(system(command), 0);
}

static int
remove_folder(void **state)
{
	(void)state;
	shell("rm -rf %s", folder);
	return 0;
}

static struct replay *
opened(void)
{
	struct replay *replay = NULL;
	struct err err = { .text = "" };

	if (replay_open(folder, TIMEOUT_MS, &replay, &err) == -1)
		fail_msg("%s", err.text);
	return replay;
}

static void
not_opened(enum err_kind kind, const char *word)
{
	struct replay *replay = NULL;
	struct err err = { .text = "" };

	assert_int_equal(replay_open(folder, TIMEOUT_MS, &replay, &err), -1);
	if (err.kind != kind || !strstr(err.text, word))
		fail_msg("wanted kind %d and '%s', found %d: %s", (int)kind, word, (int)err.kind, err.text);
}

static enum replay_answer
see_why(struct replay *replay, unsigned number, const char *fields, time_t now, char *why)
{
	unsigned char value[32] = { 0 };
	AUTO_HEAD struct head head = { 0 };

	memcpy(value, &number, sizeof(number));
	head_scan(slice_of(fields), &head);
	return replay_see(replay, value, &head, now, why);
}

static enum replay_answer
see(struct replay *replay, unsigned number, const char *fields)
{
	char why[FACT_WHY_BYTES];
	enum replay_answer answer = see_why(replay, number, fields, NOW, why);

	assert_int_equal(answer == REPLAY_UNAVAILABLE, *why != '\0');
	return answer;
}

static void
unavailable(struct replay *replay, unsigned number, const char *word)
{
	char why[FACT_WHY_BYTES] = "";

	assert_int_equal(see_why(replay, number, HEAD, NOW, why), REPLAY_UNAVAILABLE);
	if (!strstr(why, word))
		fail_msg("wanted '%s', found '%s'", word, why);
}

static long
rows(void)
{
	char command[256];
	long n = -1;
	FILE *from;

	snprintf(command, sizeof(command), "sqlite3 %s/replay.db 'SELECT count(*) FROM seen'", folder);
	from = popen(command, "r");
	assert_non_null(from);
	assert_int_equal(fscanf(from, "%ld", &n), 1);
	assert_int_equal(pclose(from), 0);
	return n;
}

static void
what_is_a_replay(void **state)
{
	static const struct {
		const char *name;
		const char *fields;
		enum replay_answer want;
	} again[] = {
		{ "the same message", HEAD, REPLAY_NEW },
		{ "another hop's fields", "Received: x\r\nReply-To: y\r\n" HEAD "X-Spam: no\r\n", REPLAY_NEW },
		{ "another order",
		  "Subject: Surat tugas\r\nDate: Mon, 21 Sep 2026 13:46:40 +0000\r\nFrom: budi@kota.example\r\nMessage-ID: <1@kota.example>\r\n", REPLAY_NEW },
		{ "another folding", "MESSAGE-ID:\r\n <1@kota.example>\r\nFrom:budi@kota.example\r\nSubject:  Surat\r\n\ttugas \r\n"
		  "Date: Mon, 21 Sep 2026\r\n 13:46:40 +0000\r\n", REPLAY_NEW },
		{ "another Message-ID", "Message-ID: <2@kota.example>\r\nFrom: budi@kota.example\r\nSubject: Surat tugas\r\n"
		  "Date: Mon, 21 Sep 2026 13:46:40 +0000\r\n", REPLAY_SEEN },
		{ "another From", "Message-ID: <1@kota.example>\r\nFrom: dewi@kota.example\r\nSubject: Surat tugas\r\n"
		  "Date: Mon, 21 Sep 2026 13:46:40 +0000\r\n", REPLAY_SEEN },
		{ "another Subject", "Message-ID: <1@kota.example>\r\nFrom: budi@kota.example\r\nSubject: Surattugas\r\n"
		  "Date: Mon, 21 Sep 2026 13:46:40 +0000\r\n", REPLAY_SEEN },
		{ "another Date", "Message-ID: <1@kota.example>\r\nFrom: budi@kota.example\r\nSubject: Surat tugas\r\n"
		  "Date: Mon, 21 Sep 2026 13:46:41 +0000\r\n", REPLAY_SEEN },
		{ "no Subject", "Message-ID: <1@kota.example>\r\nFrom: budi@kota.example\r\nDate: Mon, 21 Sep 2026 13:46:40 +0000\r\n", REPLAY_SEEN },
		{ "an empty one", "Message-ID: <1@kota.example>\r\nFrom: budi@kota.example\r\nSubject:\r\nDate: Mon, 21 Sep 2026 13:46:40 +0000\r\n",
		  REPLAY_SEEN },
		{ "a second Subject", HEAD "Subject: Surat tugas\r\n", REPLAY_SEEN },
		{ "one field's words in another's", "Message-ID: <1@kota.example>\r\nFrom: budi@kota.example\r\nSubject: Surat tugas"
		  "Date 31:Mon, 21 Sep 2026 13:46:40 +0000\r\n", REPLAY_SEEN },
		{ "one field's name and words in another's", "Message-ID: <1@kota.example>\r\nFrom: budi@kota.example\r\n"
		  "Subject: Surat tugasDateMon, 21 Sep 2026 13:46:40 +0000\r\n", REPLAY_SEEN },
		{ "nothing", "", REPLAY_SEEN },
	};
	struct replay *replay = opened();

	(void)state;
	assert_int_equal(see(replay, 1, HEAD), REPLAY_NEW);
	for (size_t i = 0; i < N_ELEMENTS(again); i++)
		if (see(replay, 1, again[i].fields) != again[i].want)
			fail_msg("%s", again[i].name);
	assert_int_equal(see(replay, 2, again[4].fields), REPLAY_NEW); /* another signature */
	assert_int_equal(see(replay, 1, HEAD), REPLAY_NEW); /* the first sight stands */
	assert_int_equal(rows(), 2);
	replay_close(replay);
	replay = opened();
	assert_int_equal(see(replay, 1, HEAD), REPLAY_NEW);
	assert_int_equal(see(replay, 1, again[4].fields), REPLAY_SEEN);
	replay_close(replay);
}

static void
no_word_of_the_message_is_kept(void **state)
{
	struct replay *replay = opened();

	(void)state;
	assert_int_equal(see(replay, 1, HEAD), REPLAY_NEW);
	shell("! grep -q -a -e Surat -e kota -e budi %s/*", folder);
	replay_close(replay);
	shell("! grep -q -a -e Surat -e kota -e budi %s/*", folder);
	shell("test $(stat -c %%a %s/replay.db) = 640", folder);
}

/* ---- time ---- */

static size_t
forgotten(struct replay *replay, time_t before, size_t most)
{
	struct err err = { .text = "" };
	size_t n = 99;

	if (replay_forget(replay, before, most, &n, &err) == -1)
		fail_msg("%s", err.text);
	return n;
}

static void
forgets_the_oldest_first(void **state)
{
	struct replay *replay = opened();
	char why[FACT_WHY_BYTES];

	(void)state;
	for (unsigned number = 0; number < 10; number++)
		assert_int_equal(see_why(replay, number, HEAD, NOW + (time_t)number, why), REPLAY_NEW);
	assert_int_equal(forgotten(replay, NOW, 100), 0);
	assert_int_equal(forgotten(replay, NOW + 4, 3), 3);
	assert_int_equal(forgotten(replay, NOW + 4, 3), 1);
	assert_int_equal(forgotten(replay, NOW + 4, 3), 0);
	assert_int_equal(see(replay, 3, ""), REPLAY_NEW);  /* forgotten */
	assert_int_equal(see(replay, 4, ""), REPLAY_SEEN); /* kept */
	replay_close(replay);
}

static void
a_clock_that_goes_back(void **state)
{
	struct replay *replay = opened();
	char why[FACT_WHY_BYTES];

	(void)state;
	assert_int_equal(see_why(replay, 1, HEAD, NOW, why), REPLAY_NEW);
	assert_int_equal(see_why(replay, 1, "", NOW - 1000, why), REPLAY_SEEN);
	assert_int_equal(see_why(replay, 2, HEAD, 0, why), REPLAY_NEW);
	replay_close(replay);
	replay = opened();
	assert_int_equal(see_why(replay, 3, HEAD, 0, why), REPLAY_NEW);
	assert_int_equal(forgotten(replay, NOW, 100), 0);
	assert_int_equal(see(replay, 2, ""), REPLAY_SEEN);
	assert_int_equal(see(replay, 3, ""), REPLAY_SEEN);
	replay_close(replay);
}

/* ---- one process; many threads ---- */

static void
one_process_a_folder(void **state)
{
	struct replay *replay = opened();
	int status = 0;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct replay *second = NULL;
		struct err err = { .text = "" };

		_exit(replay_open(folder, TIMEOUT_MS, &second, &err) == -1 && err.kind == ERR_TEMP ? 7 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7);
	not_opened(ERR_TEMP, "another process");
	replay_close(replay);
	replay_close(opened());
}

enum { THREADS = 8, SIGNATURES = 50 };

static atomic_uint n_new, n_seen, n_unavailable;

static void *
see_all(void *arg)
{
	struct replay *replay = arg;
	char fields[64], why[FACT_WHY_BYTES];

	snprintf(fields, sizeof(fields), "Subject: %p\r\n", (void *)&fields); /* each thread's is another message */
	for (unsigned number = 0; number < SIGNATURES; number++) {
		const enum replay_answer answer = see_why(replay, number, fields, NOW, why);

		atomic_fetch_add(answer == REPLAY_NEW ? &n_new : answer == REPLAY_SEEN ? &n_seen : &n_unavailable, 1);
	}
	return NULL;
}

/* Of eight threads with the same signatures each on another message, one is first. */
static void
threads_at_once(void **state)
{
	struct replay *replay = NULL;
	struct err err = { .text = "" };
	pthread_t threads[THREADS];

	(void)state;
	assert_int_equal(replay_open(folder, 60000, &replay, &err), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, see_all, replay), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(n_new, SIGNATURES);
	assert_int_equal(n_seen, (THREADS - 1) * SIGNATURES);
	assert_int_equal(n_unavailable, 0);
	assert_int_equal(rows(), SIGNATURES);
	replay_close(replay);
}

/* What was answered is there after kill -9. */
static void
what_was_answered_survives(void **state)
{
	int status = 0;
	pid_t pid = fork();
	struct replay *replay;

	(void)state;
	if (pid == 0) {
		replay = NULL;
		if (replay_open(folder, TIMEOUT_MS, &replay, NULL) == -1 || see(replay, 1, HEAD) != REPLAY_NEW)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	replay = opened();
	assert_int_equal(see(replay, 1, ""), REPLAY_SEEN);
	replay_close(replay);
}

/* ---- a file that cannot be used ---- */

static sqlite3 *
stranger(void)
{
	AUTO(xfree) char *path = xasprintf("%s/replay.db", folder);
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	return db;
}

static void
locked_by_another_program(void **state)
{
	struct replay *replay = opened();
	sqlite3 *other = stranger();

	(void)state;
	assert_int_equal(see(replay, 1, HEAD), REPLAY_NEW);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	unavailable(replay, 2, "locked");
	assert_int_equal(see(replay, 1, ""), REPLAY_SEEN); /* reading goes on */
	assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(see(replay, 2, HEAD), REPLAY_NEW);
	sqlite3_close(other);
	replay_close(replay);
}

static void *
wait_for_the_database(void *arg)
{
	char why[FACT_WHY_BYTES];

	assert_int_equal(see_why(arg, 7, HEAD, NOW, why), REPLAY_UNAVAILABLE);
	return NULL;
}

/* Eight threads that wait for a locked file wait at the same time, not one after the other. */
static void
nobody_waits_for_all_the_others(void **state)
{
	struct replay *replay = opened();
	sqlite3 *other = stranger();
	pthread_t threads[THREADS];
	struct timespec began, ended;

	(void)state;
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	clock_gettime(CLOCK_MONOTONIC, &began);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_for_the_database, replay), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	assert_true((ended.tv_sec - began.tv_sec) * 1000 + (ended.tv_nsec - began.tv_nsec) / 1000000 < THREADS * TIMEOUT_MS);
	sqlite3_close(other);
	replay_close(replay);
}

static void
no_space(void **state)
{
	struct replay *replay = opened();
	struct rlimit before, small = { 0, RLIM_INFINITY };
	char why[FACT_WHY_BYTES];

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(see(replay, 1, HEAD), REPLAY_NEW);
	getrlimit(RLIMIT_FSIZE, &before);
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(see_why(replay, 2, HEAD, NOW, why), REPLAY_UNAVAILABLE);
	assert_int_equal(see_why(replay, 1, "", NOW, why), REPLAY_SEEN);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(see(replay, 2, HEAD), REPLAY_NEW);
	assert_int_equal(see(replay, 2, ""), REPLAY_SEEN);
	assert_int_equal(rows(), 2);
	replay_close(replay);
}

static void
a_damaged_file(void **state)
{
	struct replay *replay = opened();

	(void)state;
	for (unsigned number = 0; number < 300; number++)
		assert_int_equal(see(replay, number, HEAD), REPLAY_NEW);
	replay_close(replay);
	shell("cp %s/replay.db %s/whole", folder, folder);
	shell("printf 'no database at all, but longer than a header of one hundred bytes is, so that nobody takes it for empty"
	      " ........' >%s/replay.db", folder);
	not_opened(ERR_CONFIG, "move it aside");
	shell("cp %s/whole %s/replay.db; yes x | dd of=%s/replay.db bs=4096 seek=1 count=10 conv=notrunc status=none iflag=fullblock", folder,
	    folder, folder);
	not_opened(ERR_CONFIG, "move it aside");
	shell("mv %s/replay.db %s/aside; rm -f %s/replay.db-*", folder, folder, folder);
	replay = opened();
	assert_int_equal(see(replay, 1, HEAD), REPLAY_NEW);
	replay_close(replay);
}

static void
damaged_while_it_is_used(void **state)
{
	struct replay *replay = opened();
	char why[FACT_WHY_BYTES];
	unsigned n_unknown = 0;

	(void)state;
	for (unsigned number = 0; number < 300; number++)
		assert_int_equal(see(replay, number, HEAD), REPLAY_NEW);
	{
		sqlite3 *other = stranger();

		assert_int_equal(sqlite3_exec(other, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_exec(other, "UPDATE seen SET first = first", NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_exec(other, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(other);
	}
	shell("yes x | dd of=%s/replay.db bs=4096 seek=1 count=10 conv=notrunc status=none iflag=fullblock", folder);
	for (unsigned number = 0; number < 300; number++) {
		const enum replay_answer answer = see_why(replay, number, "", NOW, why);

		assert_true(answer == REPLAY_UNAVAILABLE || answer == REPLAY_SEEN); /* never new */
		n_unknown += answer == REPLAY_UNAVAILABLE;
	}
	assert_int_not_equal(n_unknown, 0);
	replay_close(replay);
}

static void
moved_away_while_it_is_used(void **state)
{
	struct replay *replay = opened();

	(void)state;
	assert_int_equal(see(replay, 1, HEAD), REPLAY_NEW);
	shell("mkdir %s/aside && mv %s/replay.db* %s/aside", folder, folder, folder);
	unavailable(replay, 2, "moved");
	unavailable(replay, 1, "moved");
	replay_close(replay);
	replay = opened();
	assert_int_equal(see(replay, 1, HEAD), REPLAY_NEW);
	assert_int_equal(see(replay, 1, ""), REPLAY_SEEN);
	replay_close(replay);
}

static void
copied_elsewhere(void **state)
{
	struct replay *replay = opened();

	(void)state;
	assert_int_equal(see(replay, 1, HEAD), REPLAY_NEW);
	shell("mkdir %s/copy && sqlite3 %s/replay.db '.backup %s/copy/replay.db'", folder, folder, folder);
	assert_int_equal(see(replay, 2, HEAD), REPLAY_NEW);
	replay_close(replay);
	shell("cp %s/copy/replay.db %s/replay.db", folder, folder);
	replay = opened();
	assert_int_equal(see(replay, 1, ""), REPLAY_SEEN);
	assert_int_equal(see(replay, 2, ""), REPLAY_NEW); /* what came after the copy is not in it */
	replay_close(replay);
}

static void
a_file_of_others(void **state)
{
	(void)state;
	shell("sqlite3 %s/replay.db 'CREATE TABLE t (x)'", folder);
	not_opened(ERR_CONFIG, "version 0");
	shell("rm %s/replay.db; sqlite3 %s/replay.db 'CREATE TABLE t (x); PRAGMA user_version = 2'", folder, folder);
	not_opened(ERR_CONFIG, "version 2");
	shell("rm %s/replay.db; mkdir %s/replay.db", folder, folder);
	not_opened(ERR_TEMP, "opened");
	shell("rmdir %s/replay.db; rm -r %s", folder, folder);
	not_opened(ERR_CONFIG, "create the folder");
	shell("mkdir %s", folder);
}

int
main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(what_is_a_replay),
		IN_FOLDER(no_word_of_the_message_is_kept),
		IN_FOLDER(forgets_the_oldest_first),
		IN_FOLDER(a_clock_that_goes_back),
		IN_FOLDER(one_process_a_folder),
		IN_FOLDER(threads_at_once),
		IN_FOLDER(what_was_answered_survives),
		IN_FOLDER(locked_by_another_program),
		IN_FOLDER(nobody_waits_for_all_the_others),
		IN_FOLDER(no_space),
		IN_FOLDER(a_damaged_file),
		IN_FOLDER(damaged_while_it_is_used),
		IN_FOLDER(moved_away_while_it_is_used),
		IN_FOLDER(copied_elsewhere),
		IN_FOLDER(a_file_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
