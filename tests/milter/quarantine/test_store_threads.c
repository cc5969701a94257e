/* Several threads at one store: each change counts once, and who was late is told so. */
#include <pthread.h>

#include "tests/milter/quarantine/world.h"

enum { PUTTERS = 2, EACH = 40, ACTORS = 2, ACTS = 150 };

static struct world world;

struct worker {
	struct quarantine *store;
	unsigned number;
	size_t done, changed, other;
};

/* Both putters try the same messages under ids of their own: one of the two is held. */
static void *
put_all(void *ctx)
{
	struct worker *worker = ctx;

	for (unsigned i = 1; i <= EACH; i++) {
		AUTO_ITEM struct item item = item_of(i);
		enum store_outcome outcome;

		snprintf(item.id, sizeof(item.id), "%016x%016x", worker->number + 1, i);
		outcome = put_item(worker->store, &item, NULL);
		worker->done += outcome == STORE_DONE;
		worker->changed += outcome == STORE_CHANGED;
		worker->other += outcome != STORE_DONE && outcome != STORE_CHANGED;
	}
	return NULL;
}

static void *
act_all(void *ctx)
{
	struct worker *worker = ctx;
	struct item_act act = { .id = "000000000000000a000000000000000a", .what = "note", .login = "ani", .person = 5, .now = NOW };
	const struct item_change change = { .expires = NOW + 5 };

	for (int i = 0; i < ACTS; i++) {
		AUTO_ITEM struct item item = { 0 };
		enum store_outcome outcome = store_get(worker->store, act.id, &item, NULL);

		act.version = item.version;
		if (outcome == STORE_DONE)
			outcome = store_act(worker->store, &act, &change, NULL);
		worker->done += outcome == STORE_DONE;
		worker->changed += outcome == STORE_CHANGED;
		worker->other += outcome != STORE_DONE && outcome != STORE_CHANGED;
	}
	return NULL;
}

/* A callback may ask the store: no lock is held. */
static void
look(void *ctx, const struct item_line *line)
{
	struct worker *worker = ctx;
	struct item item = { 0 };

	worker->other += store_get(worker->store, line->id, &item, NULL) != STORE_DONE;
	item_done(&item);
	worker->done++;
}

static void *
look_all(void *ctx)
{
	struct worker *worker = ctx;
	const struct item_filter filter = { .from = "kepala", .limit = 10 };
	const struct store_settings settings = settings_of("q");
	struct store_stats stats;
	size_t swept = 0, lost = 0;

	for (int i = 0; i < 30; i++) {
		worker->other += store_list(worker->store, &filter, look, worker, NULL, NULL) != STORE_DONE;
		worker->other += store_stats(worker->store, &stats, NULL) != STORE_DONE;
		worker->other += store_room(worker->store, 10, NULL) != STORE_DONE;
		worker->other += store_sweep(worker->store, time(NULL), 3600, &swept, &lost, NULL) != 0 || swept || lost;
		store_limits(worker->store, &settings);
	}
	return NULL;
}

static void
count_event(void *ctx, const struct item_event *event)
{
	(void)event;
	(*(size_t *)ctx)++;
}

static void
test_threads(void **state)
{
	AUTO(store_close) struct quarantine *store = store_at("q");
	AUTO_ITEM struct item item = item_of(1000), found = { 0 };
	struct worker workers[PUTTERS + ACTORS + 1] = { 0 };
	pthread_t threads[N_ELEMENTS(workers)];
	struct store_stats stats;
	size_t events = 0;

	(void)state;
	strcpy(item.id, "000000000000000a000000000000000a");
	EXPECT(STORE_DONE, put_item(store, &item, &err));
	for (unsigned i = 0; i < N_ELEMENTS(workers); i++) {
		workers[i].store = store;
		workers[i].number = i;
		assert_int_equal(pthread_create(&threads[i], NULL, i < PUTTERS ? put_all : i < PUTTERS + ACTORS ? act_all : look_all, &workers[i]), 0);
	}
	for (size_t i = 0; i < N_ELEMENTS(workers); i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].other, 0);
	}
	assert_int_equal(workers[0].done + workers[1].done, EACH);
	assert_int_equal(workers[0].changed + workers[1].changed, EACH);
	EXPECT(STORE_DONE, store_stats(store, &stats, &err));
	assert_int_equal(stats.bodies, EACH + 1);
	assert_int_equal(stats.bytes, (EACH + 1) * strlen("the box of a message"));
	EXPECT(STORE_DONE, store_get(store, item.id, &found, &err));
	EXPECT(STORE_DONE, store_history(store, item.id, count_event, &events, &err));
	assert_int_equal((size_t)found.version, 1 + workers[PUTTERS].done + workers[PUTTERS + 1].done);
	assert_int_equal(events, 1 + workers[PUTTERS].done + workers[PUTTERS + 1].done);
	assert_int_equal(run("test $(ls q/items | wc -l) = %d && test -z \"$(ls q/incoming)\"", EACH + 1), 0);
	print_message("%zu acts, %zu too late; %zu lines looked at\n", events - 1, workers[PUTTERS].changed + workers[PUTTERS + 1].changed,
	    workers[PUTTERS + ACTORS].done);
}

static int
setup(void **state)
{
	(void)state;
	folder_open(&world, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	world_close(&world);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
