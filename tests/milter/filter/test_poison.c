/*
 * Processes that really die, by every signal there is a rule for, and what the next one knows of
 * the messages they had in hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "milter/filter/poison.h"

enum { NOW = 1790000000, DAY = 24 * 3600 };

static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGXCPU };

static char folder[64];

static int
make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/segel-poison-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int
remove_folder(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static char *
in_folder(const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

static const unsigned char *
hash_of(unsigned number)
{
	static _Thread_local unsigned char hash[32];

	memset(hash, 0xa5, sizeof(hash));
	memcpy(hash, &number, sizeof(number));
	return hash;
}

static struct poison *
opened(time_t now)
{
	struct poison *poison = NULL;
	struct err err = { .text = "" };

	if (poison_open(folder, now, &poison, &err) == -1) {
		fprintf(stderr, "%s\n", err.text);
		return NULL;
	}
	return poison;
}

/* Does the next process take it for poison? Leaves no trace but what opening leaves. */
static bool
is_poison(unsigned number)
{
	struct poison *poison = opened(NOW);
	bool found;

	assert_non_null(poison);
	found = poison_enter(poison, hash_of(number));
	poison_close(poison);
	return found;
}

static char *
list(void)
{
	AUTO(xfree) char *path = in_folder("poison");
	AUTO_BUF struct buf text = { 0 };
	FILE *file = fopen(path, "r");
	char block[4096];
	size_t got;

	buf_init(&text, 2 * 1024 * 1024);
	while (file && (got = fread(block, 1, sizeof(block), file)) > 0)
		buf_add(&text, block, got);
	if (file)
		fclose(file);
	return xstrdup(buf_text(&text));
}

static size_t
count_in_list(const char *word)
{
	AUTO(xfree) char *text = list();
	const char *line, *rest = text;
	size_t len, n = 0;

	while ((line = text_line(&rest, &len)))
		n += *line != '#' && memmem(line, len, word, strlen(word)) != NULL;
	return n;
}

static void
write_file(const char *name, const void *bytes, size_t len)
{
	AUTO(xfree) char *path = in_folder(name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

/* ---- processes that die ---- */

/* As a program has them before anything is installed; the sanitizers' own handlers would end it in their way. */
static void
plain_signals(void)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	for (size_t i = 0; i < N_ELEMENTS(fatal); i++)
		signal(fatal[i], SIG_DFL);
}

/* Runs it in a process of its own with the folder open; how that ended. */
static int
ended(void (*run)(struct poison *poison))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid != -1);
	if (pid == 0) {
		struct poison *poison;

		plain_signals();
		poison = opened(NOW);
		if (!poison)
			_exit(99);
		run(poison);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
ended_by(void (*run)(struct poison *poison), int number)
{
	const int status = ended(run);

	if (!WIFSIGNALED(status) || WTERMSIG(status) != number)
		fail_msg("wanted the end by signal %d, found status %x", number, status);
}

static void
by_segv(struct poison *poison)
{
	volatile char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)poison_enter(poison, hash_of(1));
	*page = 1;
}

static void
by_bus(struct poison *poison)
{
	char name[] = "/tmp/segel-poison-bus-XXXXXX";
	int fd = mkstemp(name);
	volatile char *page;

	unlink(name);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)poison_enter(poison, hash_of(1));
	*page = 1;
}

static void
by_ill(struct poison *poison)
{
	(void)poison_enter(poison, hash_of(1));
	__builtin_trap();
}

static void
by_fpe(struct poison *poison)
{
	(void)poison_enter(poison, hash_of(1));
	raise(SIGFPE);
}

static void
by_abort(struct poison *poison)
{
	(void)poison_enter(poison, hash_of(1));
	abort();
}

static void
by_processor_limit(struct poison *poison)
{
	const struct rlimit second = { 1, 10 };
	volatile unsigned long n = 0;

	(void)poison_enter(poison, hash_of(1));
	setrlimit(RLIMIT_CPU, &second);
	for (;;)
		if (n++ % 1000000 == 0)
			usleep(1); /* where the thread sanitizer lets a handler run */
}

static volatile size_t deep;

static size_t __attribute__((noinline))
recurse(size_t n)
{
	volatile char room[1024];

	room[n % sizeof(room)] = 1;
	deep = n;
	return n < SIZE_MAX ? recurse(n + 1) + (size_t)room[0] : n; /* the stack ends long before */
}

/* As a thread of libmilter's is: without a stack for signals of its own. */
static void
by_stack(struct poison *poison)
{
	const stack_t none = { .ss_flags = SS_DISABLE };

	(void)sigaltstack(&none, NULL);
	(void)poison_enter(poison, hash_of(1));
	(void)recurse(0);
}

static void
a_fault_of_its_own_is_poison_at_once(void **state)
{
	static const struct {
		void (*run)(struct poison *poison);
		int number;
		const char *words;
	} rows[] = {
		{ by_segv, SIGSEGV, "signal 11 " },
		{ by_bus, SIGBUS, "signal 7 " },
		{ by_ill, SIGILL, "signal 4 " },
		{ by_fpe, SIGFPE, "signal 8 " },
		{ by_abort, SIGABRT, "signal 6 " },
		{ by_stack, SIGSEGV, "signal 11 " },
		{ by_processor_limit, SIGXCPU, "signal 24 " },
	};

	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		ended_by(rows[i].run, rows[i].number);
		if (!is_poison(1) || count_in_list(rows[i].words) != 1)
			fail_msg("row %zu: not poison", i);
		assert_false(is_poison(2));
		assert_int_equal(remove_folder(state), 0);
		assert_int_equal(make_folder(state), 0);
	}
}

static void
by_kill(struct poison *poison)
{
	(void)poison_enter(poison, hash_of(1));
	kill(getpid(), SIGKILL);
}

static void
by_abort_from_outside(struct poison *poison)
{
	(void)poison_enter(poison, hash_of(1));
	kill(getpid(), SIGABRT); /* as a watchdog sends it: to the process */
	for (;;)
		pause();
}

static void
by_exit(struct poison *poison)
{
	(void)poison_enter(poison, hash_of(1));
}

static void
judged(struct poison *poison)
{
	if (poison_enter(poison, hash_of(1)))
		_exit(1);
	poison_leave(poison, hash_of(1));
}

static void
suspected_once_poison_twice(void **state)
{
	static const struct {
		void (*run)(struct poison *poison);
		int number;
	} rows[] = { { by_kill, SIGKILL }, { by_abort_from_outside, SIGABRT }, { by_exit, 0 } };

	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		assert_int_equal(ended(rows[i].run) & 0x7f, rows[i].number);
		assert_false(is_poison(1));
		assert_int_equal(count_in_list("suspected"), 1);
		assert_int_equal(ended(rows[i].run) & 0x7f, rows[i].number);
		assert_true(is_poison(1));
		assert_int_equal(count_in_list(" 2 poison "), 1);
		assert_int_equal(remove_folder(state), 0);
		assert_int_equal(make_folder(state), 0);
	}
}

static void
judged_without_harm_it_is_suspected_no_more(void **state)
{
	(void)state;
	ended_by(by_kill, SIGKILL);
	assert_int_equal(ended(judged), 0);
	assert_int_equal(count_in_list("suspected"), 0);
	ended_by(by_kill, SIGKILL);
	assert_false(is_poison(1));
	assert_int_equal(count_in_list(" 1 suspected "), 1);
	ended_by(by_kill, SIGKILL);
	assert_true(is_poison(1));
	assert_int_equal(ended(judged), 1 << 8); /* poison is not judged */
}

static void
left_before_the_end(struct poison *poison)
{
	(void)poison_enter(poison, hash_of(1));
	poison_leave(poison, hash_of(1));
	(void)poison_enter(poison, hash_of(2));
	raise(SIGSEGV);
}

static void
what_was_left_is_not_in_hand(void **state)
{
	(void)state;
	ended_by(left_before_the_end, SIGSEGV);
	assert_false(is_poison(1));
	assert_true(is_poison(2));
}

static void
closed_in_hand(struct poison *poison)
{
	(void)poison_enter(poison, hash_of(1));
	poison_close(poison);
}

static void
an_orderly_end_suspects_nobody(void **state)
{
	(void)state;
	assert_int_equal(ended(closed_in_hand), 0);
	assert_int_equal(ended(closed_in_hand), 0);
	assert_false(is_poison(1));
	assert_int_equal(count_in_list("suspected"), 0);
}

/* ---- eight threads ---- */

static pthread_barrier_t all_in_hand;

struct hand {
	struct poison *poison;
	unsigned number;
};

static void *
hold(void *arg)
{
	const struct hand *hand = arg;
	volatile char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)poison_enter(hand->poison, hash_of(hand->number));
	pthread_barrier_wait(&all_in_hand);
	if (hand->number == 5)
		*page = 1;
	while (pause() == -1)
		continue;
	return NULL;
}

static void
eight_threads(struct poison *poison)
{
	struct hand hands[8];
	pthread_t thread;

	pthread_barrier_init(&all_in_hand, NULL, 8);
	for (unsigned i = 0; i < 8; i++) {
		hands[i] = (struct hand){ poison, i + 1 };
		if (i < 7)
			pthread_create(&thread, NULL, hold, &hands[i]);
	}
	(void)hold(&hands[7]);
}

static void
only_the_thread_that_faults(void **state)
{
	(void)state;
	ended_by(eight_threads, SIGSEGV);
	for (unsigned number = 1; number <= 8; number++)
		assert_int_equal(is_poison(number), number == 5);
	assert_int_equal(count_in_list("poison signal 11"), 1);
	assert_int_equal(count_in_list(" 1 suspected "), 7);
}

static void
same_message_twice(struct poison *poison)
{
	(void)poison_enter(poison, hash_of(1));
	(void)poison_enter(poison, hash_of(1));
	kill(getpid(), SIGKILL);
}

static void
in_hand_twice_counts_once(void **state)
{
	(void)state;
	ended_by(same_message_twice, SIGKILL);
	assert_false(is_poison(1));
	assert_int_equal(count_in_list(" 1 suspected "), 1);
}

/* ---- slots ---- */

static void
mail_goes_on_without_a_slot(void **state)
{
	struct poison *poison = opened(NOW);

	(void)state;
	assert_non_null(poison);
	for (unsigned number = 1; number <= 600; number++)
		assert_false(poison_enter(poison, hash_of(number)));
	for (unsigned number = 1; number <= 600; number++)
		poison_leave(poison, hash_of(number));
	poison_leave(poison, hash_of(7)); /* not in hand */
	assert_false(poison_enter(poison, hash_of(1)));
	poison_leave(poison, hash_of(1));
	poison_close(poison);
	assert_int_equal(count_in_list("suspected"), 0);
}

static void
one_process_a_folder(void **state)
{
	struct poison *poison = opened(NOW), *second = NULL;
	struct err err = { .text = "" };
	pid_t pid;
	int status = 0;

	(void)state;
	assert_non_null(poison);
	pid = fork();
	if (pid == 0)
		_exit(poison_open(folder, NOW, &second, &err) == -1 && err.kind == ERR_TEMP ? 7 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7);
	poison_close(poison);
	poison = opened(NOW);
	assert_non_null(poison);
	poison_close(poison);
}

static void
one_folder_a_process(void **state)
{
	struct poison *poison = opened(NOW), *second = NULL;
	struct err err = { .text = "" };
	AUTO(xfree) char *other = in_folder("other");

	(void)state;
	assert_non_null(poison);
	assert_int_equal(mkdir(other, 0700), 0);
	assert_int_equal(poison_open(other, NOW, &second, &err), -1);
	assert_int_equal(err.kind, ERR_BUG);
	poison_close(poison);
}

static void
damaged_slots(void **state)
{
	static const size_t sizes[] = { 0, 1, 100, 4096, 100000 };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
		unsigned char *bytes = xcalloc(sizes[i] + 1, 1);

		memset(bytes, 0xff, sizes[i]);
		write_file("poison.slots", bytes, sizes[i]);
		assert_false(is_poison(1));
		if (sizes[i] > 16) {
			memset(bytes, 1, sizes[i]); /* every slot taken, by the right version's word */
			memcpy(bytes, "segel-poison-1\n", 16);
			write_file("poison.slots", bytes, sizes[i]);
			assert_false(is_poison(1));
		}
		free(bytes);
	}
}

/* As after a crash between writing the list and clearing the slots. */
static void
a_process_is_counted_once(void **state)
{
	char command[256];

	(void)state;
	ended_by(by_kill, SIGKILL);
	snprintf(command, sizeof(command), "cp %s/poison.slots %s/copy", folder, folder);
	assert_int_equal(system(command), 0);
	assert_false(is_poison(1));
	snprintf(command, sizeof(command), "cp %s/copy %s/poison.slots", folder, folder);
	assert_int_equal(system(command), 0);
	assert_false(is_poison(1));
	assert_int_equal(count_in_list(" 1 suspected "), 1);
}

static void
no_space(void **state)
{
	const struct rlimit none = { 0, RLIM_INFINITY };
	struct rlimit before;
	struct poison *poison = NULL;
	struct err err = { .text = "" };
	int found;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	setrlimit(RLIMIT_FSIZE, &none);
	found = poison_open(folder, NOW, &poison, &err);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(found, -1);
	assert_non_null(strstr(err.text, "space"));
	assert_false(is_poison(1));
}

/* ---- the list ---- */

#define LINE_1 "01000000a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5 2026-09-21T13:46:40Z 1 poison by hand\n"

static void
an_administrator_edits_it_while_it_runs(void **state)
{
	struct poison *poison;

	(void)state;
	ended_by(by_segv, SIGSEGV);
	poison = opened(NOW);
	assert_true(poison_enter(poison, hash_of(1)));
	write_file("poison", "", 0);
	assert_false(poison_enter(poison, hash_of(1)));
	poison_leave(poison, hash_of(1));
	write_file("poison", LINE_1, strlen(LINE_1));
	assert_true(poison_enter(poison, hash_of(1)));
	assert_false(poison_enter(poison, hash_of(2)));
	poison_leave(poison, hash_of(2));
	{
		AUTO(xfree) char *path = in_folder("poison");

		assert_int_equal(unlink(path), 0);
	}
	assert_false(poison_enter(poison, hash_of(1)));
	poison_leave(poison, hash_of(1));
	poison_close(poison);
}

static void
lines_that_are_none(void **state)
{
	static const char *const bad[] = {
		"poison\n",
		"01000000a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a 2026-09-21T13:46:40Z 1 poison x\n",
		"0100000ga5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5 2026-09-21T13:46:40Z 1 poison x\n",
		"01000000a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5 yesterday 1 poison x\n",
		"01000000a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5 2026-09-21T13:46:40Z poison x\n",
		"01000000a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5 2026-09-21T13:46:40Z 1 harmless\n",
		"# " LINE_1,
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
		write_file("poison", bad[i], strlen(bad[i]));
		if (is_poison(1))
			fail_msg("taken for a line: %s", bad[i]);
	}
	write_file("poison", "\0\xff\n\n" LINE_1, sizeof("\0\xff\n\n" LINE_1) - 1);
	assert_true(is_poison(1)); /* what stands behind the damage counts */
	write_file("poison", LINE_1, strlen(LINE_1) - 1);
	assert_true(is_poison(1)); /* a last line without its end */
}

static void
a_list_that_is_too_long(void **state)
{
	const size_t len = 2 * 1024 * 1024;
	struct poison *poison = NULL;
	struct err err = { .text = "" };
	char *bytes = xcalloc(len, 1);

	(void)state;
	memset(bytes, '\n', len);
	write_file("poison", bytes, len);
	assert_int_equal(poison_open(folder, NOW, &poison, &err), -1);
	assert_int_equal(err.kind, ERR_CONFIG);
	free(bytes);
}

static void
old_suspicions_end_and_poison_does_not(void **state)
{
	struct poison *poison;

	(void)state;
	ended_by(by_kill, SIGKILL);
	poison_close(opened(NOW));
	poison_close(opened(NOW + 59 * DAY));
	assert_int_equal(count_in_list("suspected"), 1);
	poison_close(opened(NOW + 61 * DAY));
	assert_int_equal(count_in_list("suspected"), 0);
	ended_by(by_segv, SIGSEGV);
	poison_close(opened(NOW));
	poison = opened(NOW + 3650 * DAY);
	assert_true(poison_enter(poison, hash_of(1)));
	poison_close(poison);
	poison = opened(0); /* a clock that went back */
	assert_true(poison_enter(poison, hash_of(1)));
	poison_close(poison);
}

/* What the last process left is not lost where the list cannot be written. */
static void
a_list_that_cannot_be_written(void **state)
{
	AUTO(xfree) char *beside = in_folder("poison.new");
	struct poison *poison = NULL;
	struct err err = { .text = "" };

	(void)state;
	ended_by(by_segv, SIGSEGV);
	assert_int_equal(mkdir(beside, 0700), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(poison_open(folder, NOW, &poison, &err), -1);
		assert_non_null(strstr(err.text, "cannot be written"));
	}
	assert_int_equal(rmdir(beside), 0);
	assert_true(is_poison(1));
	assert_int_equal(count_in_list(" 1 poison "), 1);
}

/* The suspicion stays on disk, and mail goes on. */
static void
an_acquittal_that_cannot_be_written(void **state)
{
	AUTO(xfree) char *beside = in_folder("poison.new");
	struct poison *poison;

	(void)state;
	ended_by(by_kill, SIGKILL);
	poison = opened(NOW);
	assert_int_equal(mkdir(beside, 0700), 0);
	assert_false(poison_enter(poison, hash_of(1)));
	poison_leave(poison, hash_of(1));
	assert_int_equal(count_in_list("suspected"), 1);
	assert_int_equal(rmdir(beside), 0);
	poison_close(poison);
}

/* ---- the hash ---- */

static bool
hashes_alike(const char *a, const char *b)
{
	unsigned char hash_a[32], hash_b[32];

	poison_hash(slice_of(a), hash_a);
	poison_hash(slice_of(b), hash_b);
	return memcmp(hash_a, hash_b, sizeof(hash_a)) == 0;
}

static void
the_hash_leaves_out_what_hops_add(void **state)
{
	static const struct {
		const char *a, *b;
		bool want;
	} rows[] = {
		{ "From: a\r\n\r\nx", "From: a\r\n\r\nx", true },
		{ "From: a\r\n\r\nx", "Received: 1\r\nFrom: a\r\n\r\nx", true },
		{ "Received: 1\r\n\t2\r\nFrom: a\r\n\r\nx", "RECEIVED: 3\r\n 4\r\n 5\r\nReceived: 6\r\nFrom: a\r\n\r\nx", true },
		{ "From: a\r\n\r\nx", "Return-Path: <b>\r\nFrom: a\r\nAuthentication-Results: x\r\n\r\nx", true },
		{ "From: a\r\n\r\nx", "From: b\r\n\r\nx", false },
		{ "From: a\r\n\r\nx", "From: a\r\n\r\ny", false },
		{ "From: a\r\n\r\nx", "From: a\r\n b\r\n\r\nx", false },
		{ "From: a\r\n\r\nx", "Receivedx: 1\r\nFrom: a\r\n\r\nx", false },
		{ "From: a\r\n\r\nReceived: 1\r\n", "From: a\r\n\r\nReceived: 2\r\n", false },
		{ "From: a\r\nX: b\r\n\r\n", "From: a\r\n\r\nX: b\r\n", false },
		{ "", "\r\n", true },
		{ "", "x", false },
	};
	unsigned char hash[32], zeros[32] = { 0 };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		if (hashes_alike(rows[i].a, rows[i].b) != rows[i].want)
			fail_msg("row %zu", i);
	poison_hash((struct slice){ NULL, 0 }, hash);
	assert_memory_not_equal(hash, zeros, sizeof(hash));
}

int
main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(a_fault_of_its_own_is_poison_at_once),
		IN_FOLDER(suspected_once_poison_twice),
		IN_FOLDER(judged_without_harm_it_is_suspected_no_more),
		IN_FOLDER(what_was_left_is_not_in_hand),
		IN_FOLDER(an_orderly_end_suspects_nobody),
		IN_FOLDER(only_the_thread_that_faults),
		IN_FOLDER(in_hand_twice_counts_once),
		IN_FOLDER(mail_goes_on_without_a_slot),
		IN_FOLDER(one_process_a_folder),
		IN_FOLDER(one_folder_a_process),
		IN_FOLDER(damaged_slots),
		IN_FOLDER(a_process_is_counted_once),
		IN_FOLDER(no_space),
		IN_FOLDER(an_administrator_edits_it_while_it_runs),
		IN_FOLDER(lines_that_are_none),
		IN_FOLDER(a_list_that_is_too_long),
		IN_FOLDER(old_suspicions_end_and_poison_does_not),
		IN_FOLDER(a_list_that_cannot_be_written),
		IN_FOLDER(an_acquittal_that_cannot_be_written),
		IN_FOLDER(the_hash_leaves_out_what_hops_add),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
