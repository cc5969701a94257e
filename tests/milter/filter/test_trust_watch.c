/* The trust folder as it is now, for many threads, while somebody changes it. */
#include "tests/smime/world.h"

#include <pthread.h>
#include <sys/stat.h>

#include "milter/filter/trust_watch.h"
#include "milter/log.h"

static struct world world;
static char trust_dir[80];
static struct config config;

static int
setup(void **state)
{
	(void)state;
	strcpy(world.dir, "/tmp/segel-test.XXXXXX");
	assert_non_null(mkdtemp(world.dir));
	assert_int_equal(chdir(world.dir), 0);
	snprintf(trust_dir, sizeof(trust_dir), "%s/trust", world.dir);
	config.trust.dir = trust_dir;
	config.trust.grace = 1000;
	log_open("test", LOG_TO_STDERR, LOG_LEVEL_FATAL);
	for (int i = 0; i < 3; i++)
		if (run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out root%d.pem -days 2 -subj /CN=%d"
			" -addext basicConstraints=critical,CA:TRUE 2>/dev/null", i, i) != 0)
			return -1;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	world_close(&world);
	return 0;
}

/* As segelctl leaves it: whole, then said. */
static void
add(int i)
{
	assert_int_equal(run("mkdir -p trust/anchors/official trust/crl trust/ocsp trust/state && cp root%d.pem trust/anchors/official/", i), 0);
}

static void
say(const char *which)
{
	assert_int_equal(run("echo x >trust/new && mv trust/new trust/%s", which), 0);
}

static size_t
n_anchors(struct trust_watch *watch, time_t now)
{
	struct err err = { 0 };
	const struct trust_held *held = trust_watch_ref(watch, now, &err);
	size_t n;

	if (!held)
		fail_msg("%s", err.text);
	n = trust_n_anchors(held->trust);
	trust_watch_unref(watch, held);
	return n;
}

static void
test_changes(void **state)
{
	AUTO(trust_watch_free) struct trust_watch *watch = trust_watch_new(&config);
	const struct trust_held *old;

	(void)state;
	assert_int_equal(run("rm -rf trust"), 0);
	add(0);
	assert_int_equal(n_anchors(watch, 1), 1);
	add(1);
	assert_int_equal(n_anchors(watch, 2), 1); /* nobody said so */
	say("generation");
	assert_int_equal(n_anchors(watch, 2), 1); /* not twice in a second */
	old = trust_watch_ref(watch, 2, NULL);
	assert_int_equal(n_anchors(watch, 3), 2);
	assert_int_equal(trust_n_anchors(old->trust), 1); /* a message keeps what it began with */
	trust_watch_unref(watch, old);
	add(2);
	say("state/generation");
	assert_int_equal(n_anchors(watch, 4), 3);
}

static void
test_missing(void **state)
{
	AUTO(trust_watch_free) struct trust_watch *watch = trust_watch_new(&config);
	struct err err = { 0 };

	(void)state;
	assert_int_equal(run("rm -rf trust"), 0);
	assert_null(trust_watch_ref(watch, 1, &err));
	assert_non_null(strstr(err.text, "trust.dir"));
	add(0);
	assert_null(trust_watch_ref(watch, 1, &err));
	assert_int_equal(n_anchors(watch, 2), 1); /* tried again although nothing was said */
	assert_int_equal(run("rm -rf trust"), 0);
	assert_int_equal(n_anchors(watch, 3), 1); /* the old stays */
	add(0);
	add(1);
	say("generation");
	assert_int_equal(n_anchors(watch, 4), 2);
}

enum { THREADS = 4, ROUNDS = 150, FIRST_ROUNDS = 20 };

struct crowd {
	struct trust_watch *watch;
	pthread_barrier_t *begin;
	bool failed;
};

static void *
ask_first(void *ctx)
{
	struct crowd *crowd = ctx;
	const struct trust_held *held;

	(void)pthread_barrier_wait(crowd->begin);
	held = trust_watch_ref(crowd->watch, 1, NULL);
	crowd->failed = !held || trust_n_anchors(held->trust) != 1;
	trust_watch_unref(crowd->watch, held);
	return NULL;
}

/* Many messages begin at once, and nothing was loaded before: one loads, and none goes without. */
static void
test_first(void **state)
{
	(void)state;
	assert_int_equal(run("rm -rf trust"), 0);
	add(0);
	for (int round = 0; round < FIRST_ROUNDS; round++) {
		AUTO(trust_watch_free) struct trust_watch *watch = trust_watch_new(&config);
		struct crowd crowds[THREADS] = { 0 };
		pthread_t threads[THREADS];
		pthread_barrier_t begin;

		assert_int_equal(pthread_barrier_init(&begin, NULL, THREADS), 0);
		for (int i = 0; i < THREADS; i++) {
			crowds[i] = (struct crowd){ .watch = watch, .begin = &begin };
			assert_int_equal(pthread_create(&threads[i], NULL, ask_first, &crowds[i]), 0);
		}
		for (int i = 0; i < THREADS; i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		for (int i = 0; i < THREADS; i++)
			assert_false(crowds[i].failed);
		pthread_barrier_destroy(&begin);
	}
}

/* Where the first load fails, all who waited for it are told why. */
static void *
ask_in_vain(void *ctx)
{
	struct crowd *crowd = ctx;
	struct err err = { 0 };

	(void)pthread_barrier_wait(crowd->begin);
	crowd->failed = trust_watch_ref(crowd->watch, 1, &err) != NULL || err.kind != ERR_CONFIG || !strstr(err.text, "trust.dir");
	return NULL;
}

static void
test_first_fails(void **state)
{
	AUTO(trust_watch_free) struct trust_watch *watch = trust_watch_new(&config);
	struct crowd crowds[THREADS] = { 0 };
	pthread_t threads[THREADS];
	pthread_barrier_t begin;

	(void)state;
	assert_int_equal(run("rm -rf trust"), 0);
	assert_int_equal(pthread_barrier_init(&begin, NULL, THREADS), 0);
	for (int i = 0; i < THREADS; i++) {
		crowds[i] = (struct crowd){ .watch = watch, .begin = &begin };
		assert_int_equal(pthread_create(&threads[i], NULL, ask_in_vain, &crowds[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_false(crowds[i].failed);
	}
	pthread_barrier_destroy(&begin);
}

static void *
ask_often(void *ctx)
{
	struct crowd *crowd = ctx;
	size_t before = 0;

	for (int i = 0; i < ROUNDS; i++) {
		const struct trust_held *held = trust_watch_ref(crowd->watch, i, NULL);
		const size_t n = held ? trust_n_anchors(held->trust) : 0;

		crowd->failed |= !held || n < before; /* it only grows, and is never away */
		before = n;
		trust_watch_unref(crowd->watch, held);
	}
	return NULL;
}

static void
test_crowd(void **state)
{
	AUTO(trust_watch_free) struct trust_watch *watch = trust_watch_new(&config);
	struct crowd crowds[THREADS] = { 0 };
	pthread_t threads[THREADS];

	(void)state;
	assert_int_equal(run("rm -rf trust"), 0);
	add(0);
	for (int i = 0; i < THREADS; i++) {
		crowds[i].watch = watch;
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &crowds[i]), 0);
	}
	for (int i = 1; i < 3; i++) {
		add(i);
		say(i == 1 ? "generation" : "state/generation");
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_false(crowds[i].failed);
	}
	assert_int_equal(n_anchors(watch, ROUNDS + 1), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_first_fails),
		cmocka_unit_test(test_crowd),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
