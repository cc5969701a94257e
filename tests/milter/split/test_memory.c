/* Which copies the next hop took: what is remembered, for how long, across a crash, and by many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pthread.h>
#include <sqlite3.h>

#include <cmocka.h>

#include "milter/split/memory.h"
#include "smime/base.h"

enum { NOW = 1795000000, N_THREADS = 8, N_KEYS = 50 };

struct scene {
	char folder[64];
	struct memory *memory;
};

static void
open_memory(struct scene *scene)
{
	struct err err = { .kind = ERR_NONE };

	if (memory_open(scene->folder, 2000, &scene->memory, &err) == -1)
		fail_msg("%s", err.text);
}

static int
set_up(void **state)
{
	struct scene *scene = xcalloc(1, sizeof(*scene));

	snprintf(scene->folder, sizeof(scene->folder), "/tmp/segel-memory-XXXXXX");
	assert_non_null(mkdtemp(scene->folder));
	open_memory(scene);
	*state = scene;
	return 0;
}

static int
tear_down(void **state)
{
	static const char *const names[] = { "split.db", "split.db-wal", "split.db-shm", "split.lock" };
	struct scene *scene = *state;

	memory_close(scene->memory);
	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		AUTO(xfree) char *path = xasprintf("%s/%s", scene->folder, names[i]);

		unlink(path);
	}
	assert_int_equal(rmdir(scene->folder), 0);
	free(scene);
	return 0;
}

static const unsigned char *
key_of(unsigned char n, unsigned char ret[HASH_BYTES])
{
	memset(ret, n, HASH_BYTES);
	return ret;
}

static enum memory_answer
begin(struct scene *scene, unsigned char n, time_t now)
{
	unsigned char key[HASH_BYTES];
	struct err err = { .kind = ERR_NONE };

	return memory_begin(scene->memory, key_of(n, key), now, &err);
}

static void
end(struct scene *scene, unsigned char n)
{
	unsigned char key[HASH_BYTES];

	memory_end(scene->memory, key_of(n, key));
}

static void
pending(struct scene *scene, unsigned char n, time_t now)
{
	unsigned char key[HASH_BYTES];
	struct err err;

	assert_int_equal(memory_pending(scene->memory, key_of(n, key), now, &err), 0);
}

static void
done(struct scene *scene, unsigned char n, time_t now)
{
	unsigned char key[HASH_BYTES];
	struct err err;

	assert_int_equal(memory_done(scene->memory, key_of(n, key), now, &err), 0);
}

static void
drop(struct scene *scene, unsigned char n)
{
	unsigned char key[HASH_BYTES];
	struct err err;

	assert_int_equal(memory_drop(scene->memory, key_of(n, key), &err), 0);
}

static void
test_taken(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(begin(scene, 1, NOW), MEMORY_NEW);
	assert_int_equal(begin(scene, 1, NOW), MEMORY_BUSY);
	assert_int_equal(begin(scene, 2, NOW), MEMORY_NEW);
	pending(scene, 1, NOW);
	done(scene, 1, NOW);
	end(scene, 1);
	end(scene, 2);
	assert_int_equal(begin(scene, 1, NOW), MEMORY_DONE);
	assert_int_equal(begin(scene, 1, NOW), MEMORY_DONE); /* nobody owns it */
	assert_int_equal(begin(scene, 2, NOW), MEMORY_NEW);
	end(scene, 2);
}

static void
test_not_taken(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(begin(scene, 1, NOW), MEMORY_NEW);
	pending(scene, 1, NOW);
	drop(scene, 1);
	end(scene, 1);
	assert_int_equal(begin(scene, 1, NOW), MEMORY_NEW);
	pending(scene, 1, NOW);
	end(scene, 1); /* nobody knows */
	assert_int_equal(begin(scene, 1, NOW), MEMORY_AGAIN);
	end(scene, 1);
}

/* Nothing that comes later makes what was taken untaken. */
static void
test_done_stays(void **state)
{
	struct scene *scene = *state;

	done(scene, 1, NOW);
	pending(scene, 1, NOW + 1);
	assert_int_equal(begin(scene, 1, NOW), MEMORY_DONE);
	drop(scene, 1);
	assert_int_equal(begin(scene, 1, NOW), MEMORY_DONE);
}

static void
test_a_day(void **state)
{
	struct scene *scene = *state;

	done(scene, 1, NOW);
	assert_int_equal(begin(scene, 1, NOW + MEMORY_SECONDS), MEMORY_DONE);
	assert_int_equal(begin(scene, 1, NOW + MEMORY_SECONDS + 61), MEMORY_NEW);
	end(scene, 1);
}

static void
test_a_restart(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(begin(scene, 1, NOW), MEMORY_NEW);
	pending(scene, 1, NOW);
	done(scene, 2, NOW);
	memory_close(TAKE(scene->memory));
	open_memory(scene);
	assert_int_equal(begin(scene, 1, NOW), MEMORY_AGAIN);
	assert_int_equal(begin(scene, 2, NOW), MEMORY_DONE);
	end(scene, 1);
}

/* A process that dies between two steps leaves behind what it had written. */
static void
test_a_crash(void **state)
{
	struct scene *scene = *state;
	int status;
	pid_t child;

	memory_close(TAKE(scene->memory));
	child = fork();
	assert_int_not_equal(child, -1);
	if (child == 0) {
		struct err err;
		unsigned char key[HASH_BYTES];

		if (memory_open(scene->folder, 2000, &scene->memory, &err) == -1 || memory_pending(scene->memory, key_of(1, key), NOW, &err) == -1
		    || memory_done(scene->memory, key_of(2, key), NOW, &err) == -1)
			_exit(1);
		_exit(0); /* without closing anything */
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	open_memory(scene);
	assert_int_equal(begin(scene, 1, NOW), MEMORY_AGAIN);
	assert_int_equal(begin(scene, 2, NOW), MEMORY_DONE);
	end(scene, 1);
}

static void
test_two_processes(void **state)
{
	struct scene *scene = *state;
	struct memory *other = NULL;
	struct err err;

	assert_int_equal(memory_open(scene->folder, 100, &other, &err), -1);
	assert_int_equal(err.kind, ERR_TEMP);
	assert_non_null(strstr(err.text, "running twice"));
	assert_int_equal(memory_open("/nonexistent", 100, &other, &err), -1);
	assert_int_equal(err.kind, ERR_CONFIG);
}

static void
spoil(const struct scene *scene, const char *sql)
{
	AUTO(xfree) char *path = xasprintf("%s/split.db", scene->folder);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
test_another_version(void **state)
{
	struct scene *scene = *state;
	struct err err;

	memory_close(TAKE(scene->memory));
	spoil(scene, "PRAGMA user_version = 7");
	assert_int_equal(memory_open(scene->folder, 100, &scene->memory, &err), -1);
	assert_int_equal(err.kind, ERR_CONFIG);
	assert_non_null(strstr(err.text, "version 7"));
}

/* A locked or missing file is "could not ask", and no new copy. */
static void
test_out_of_reach(void **state)
{
	struct scene *scene = *state;
	AUTO(xfree) char *path = xasprintf("%s/split.db", scene->folder);
	AUTO(xfree) char *away = xasprintf("%s/split.away", scene->folder);
	unsigned char key[HASH_BYTES];
	struct err err;

	done(scene, 1, NOW);
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(begin(scene, 1, NOW), MEMORY_UNAVAILABLE);
	assert_int_equal(begin(scene, 2, NOW), MEMORY_UNAVAILABLE);
	assert_int_equal(memory_pending(scene->memory, key_of(2, key), NOW, &err), -1);
	assert_int_equal(rename(away, path), 0);
	assert_int_equal(begin(scene, 1, NOW), MEMORY_DONE);
	assert_int_equal(begin(scene, 2, NOW), MEMORY_NEW);
	end(scene, 2);
}

static const struct {
	const char *name, *ident, *sender, *recipient, *bytes;
} letters[] = {
	{ "one", "Q1", "a@b", "c@d", "text" },
	{ "another queue id", "Q2", "a@b", "c@d", "text" },
	{ "no queue id", NULL, "a@b", "c@d", "text" },
	{ "another sender", "Q1", "", "c@d", "text" },
	{ "another recipient", "Q1", "a@b", "c@e", "text" },
	{ "a recipient in capitals", "Q1", "a@b", "C@d", "text" },
	{ "another text", "Q1", "a@b", "c@d", "texts" },
	{ "a boundary moved", "Q1", "a@bc@d", "", "text" },
	{ "another boundary moved", "Q1", "a@b", "c@dt", "ext" },
};

static void
key_of_row(size_t i, unsigned char ret[HASH_BYTES])
{
	AUTO_LETTER struct letter letter = { .sender = xstrdup(letters[i].sender), .recipient = xstrdup(letters[i].recipient) };

	letter.forward[FORWARD_IDENT] = letters[i].ident ? xstrdup(letters[i].ident) : NULL;
	buf_init(&letter.bytes, 100);
	buf_add_text(&letter.bytes, letters[i].bytes);
	memory_key(&letter, ret);
}

static void
test_keys(void **state)
{
	unsigned char keys[N_ELEMENTS(letters)][HASH_BYTES], again[HASH_BYTES];

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(letters); i++) {
		key_of_row(i, keys[i]);
		key_of_row(i, again);
		assert_memory_equal(keys[i], again, HASH_BYTES);
		for (size_t k = 0; k < i; k++)
			if (memcmp(keys[i], keys[k], HASH_BYTES) == 0)
				fail_msg("%s and %s have one key", letters[i].name, letters[k].name);
	}
}

struct worker {
	struct scene *scene;
	unsigned sent[N_KEYS];
};

/* Each copy is handed on by exactly one of them. */
static void *
work(void *arg)
{
	struct worker *worker = arg;

	for (unsigned char n = 0; n < N_KEYS; n++) {
		unsigned char key[HASH_BYTES];
		struct err err;

		if (memory_begin(worker->scene->memory, key_of(n, key), NOW, &err) != MEMORY_NEW)
			continue;
		if (memory_pending(worker->scene->memory, key, NOW, &err) == 0)
			worker->sent[n]++;
		(void)!memory_done(worker->scene->memory, key, NOW, &err);
		memory_end(worker->scene->memory, key);
	}
	return NULL;
}

static void
test_threads(void **state)
{
	struct worker workers[N_THREADS] = { { .scene = NULL } };
	pthread_t threads[N_THREADS];

	for (size_t i = 0; i < N_THREADS; i++) {
		workers[i].scene = *state;
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (size_t i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	for (size_t n = 0; n < N_KEYS; n++) {
		unsigned sum = 0;

		for (size_t i = 0; i < N_THREADS; i++)
			sum += workers[i].sent[n];
		assert_int_equal(sum, 1);
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_taken), TEST(test_not_taken), TEST(test_done_stays), TEST(test_a_day), TEST(test_a_restart), TEST(test_a_crash),
		TEST(test_two_processes), TEST(test_another_version), TEST(test_out_of_reach), TEST(test_keys), TEST(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
