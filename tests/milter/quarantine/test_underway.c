/* How a release on its way stands, by its history; and calling it back. */
#include "tests/milter/quarantine/world.h"

static struct world world;

static int
setup(void **state)
{
	(void)state;
	folder_open(&world, "/tmp");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	world_close(&world);
	return 0;
}

/* Events behind the release's own, with blanks between. "again" ends it and begins another. */
static const struct {
	const char *name, *events;
	bool want_settled, want_doubtful;
	size_t want_tries;
	const char *want_answer;
} rows[] = {
	{ "begun, no word yet", "", false, false, 1, "" },
	{ "not taken", "not-taken", true, false, 1, "0 not-taken" },
	{ "no answer", "no-answer", false, true, 1, "0 no-answer" },
	{ "a crash, no word yet", "resume", false, true, 2, "" },
	{ "a crash, then not taken", "resume not-taken", true, true, 2, "1 not-taken" },
	{ "a crash, then not sent: the first one counts", "resume not-sent", false, true, 2, "1 not-sent" },
	{ "not taken, then not sent: the first one counts", "not-taken resume not-sent", true, false, 2, "2 not-sent" },
	{ "not taken, then a crash", "not-taken resume resume not-sent", false, true, 3, "3 not-sent" },
	{ "not taken, then under way", "not-taken resume", false, false, 2, "0 not-taken" },
	{ "no answer, then not taken", "no-answer resume not-taken", true, true, 2, "2 not-taken" },
	{ "not taken, then no answer", "not-taken resume no-answer", false, true, 2, "2 no-answer" },
	{ "no answer, then not sent", "no-answer resume not-sent", false, true, 2, "2 not-sent" },
	{ "others' words change nothing", "not-taken note view hold", true, false, 1, "0 not-taken" },
	{ "an earlier release is over", "no-answer again", false, false, 1, "" },
	{ "an earlier release is over, this one is not taken", "no-answer again not-taken", true, false, 1, "2 not-taken" },
};

static void
act(struct quarantine *store, const char *id, const char *what, const char *detail, const struct item_change *change)
{
	AUTO_ITEM struct item item = { 0 };
	struct item_act one = { .id = id, .what = what, .login = "ani", .person = 5, .reason = "sebab", .detail = detail, .now = NOW + 7 };

	EXPECT(STORE_DONE, store_get(store, id, &item, &err));
	one.version = item.version;
	EXPECT(STORE_DONE, store_act(store, &one, change, &err));
}

static void
happen(struct quarantine *store, const char *id, const char *events)
{
	const struct item_change none = { .state = ITEM_UNKNOWN }, again = { .token = "t2", .release_to = { "warga@kota.go.id" } };
	char words[256], detail[64], *rest = words, *word;

	snprintf(words, sizeof(words), "%s", events);
	for (int i = 0; (word = strsep(&rest, " ")); i++) {
		snprintf(detail, sizeof(detail), "%d %s", i, word);
		if (strcmp(word, "again") == 0) {
			EXPECT(STORE_DONE, store_release_failed(store, "t1", "no", NOW, &err));
			act(store, id, RELEASE_BEGIN, "", &again);
		} else if (*word) {
			act(store, id, word, detail, &none);
		}
	}
}

static void
test_standing(void **state)
{
	const struct item_change go = { .token = "t1", .release_to = { "warga@kota.go.id" } };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO(store_close) struct quarantine *store = NULL;
		struct release_standing standing;
		char id[ITEM_ID_BYTES];

		assert_int_equal(run("rm -rf q"), 0);
		store = store_at("q");
		put_number(store, 1, id);
		EXPECT(STORE_NOT_FOUND, store_release_of(store, id, &standing, &err));
		act(store, id, RELEASE_BEGIN, "", &go);
		happen(store, id, rows[i].events);
		EXPECT(STORE_DONE, store_release_of(store, id, &standing, &err));
		if (standing.settled != rows[i].want_settled || standing.doubtful != rows[i].want_doubtful || standing.tries != rows[i].want_tries
		    || strcmp(standing.answer, rows[i].want_answer) != 0)
			fail_msg("%s: settled %d, doubtful %d, %zu tries, '%s'", rows[i].name, standing.settled, standing.doubtful, standing.tries,
			    standing.answer);
		assert_int_equal(standing.began, NOW + 7);
		assert_int_equal(standing.tried, NOW + 7);
		assert_string_equal(standing.login, "ani");
	}
}

/* Back to where it was, by whoever called it; its token counts no more, and nobody has got it. */
static void
test_recalled(void **state)
{
	const struct item_change wait = { .state = ITEM_WAITING, .propose = true }, go = { .token = "t1", .release_to = { "warga@kota.go.id" } },
		again = { .token = "t2", .release_to = { "warga@kota.go.id" } };
	const struct item_act back = { .what = "recall", .login = "joko", .person = 6, .reason = "sudah lama", .detail = "x", .now = NOW };
	AUTO(store_close) struct quarantine *store = NULL;
	AUTO_ITEM struct item item = { 0 };
	struct release_standing standing;
	char id[ITEM_ID_BYTES];

	(void)state;
	assert_int_equal(run("rm -rf q"), 0);
	store = store_at("q");
	put_number(store, 1, id);
	act(store, id, "propose", "", &wait);
	act(store, id, RELEASE_BEGIN, "", &go);
	EXPECT(STORE_NOT_FOUND, store_recalled(store, "t2", &back, &err));
	EXPECT(STORE_DONE, store_recalled(store, "t1", &back, &err));
	EXPECT(STORE_NOT_FOUND, store_recalled(store, "t1", &back, &err));
	EXPECT(STORE_NOT_FOUND, store_released(store, "t1", NOW, &err));
	EXPECT(STORE_NOT_FOUND, store_release_of(store, id, &standing, &err));
	EXPECT(STORE_DONE, store_get(store, id, &item, &err));
	assert_int_equal(item.state, ITEM_WAITING);
	assert_int_equal(item.recipients[0].released_at, 0);
	assert_int_equal(run("test \"$(sqlite3 q/quarantine.db 'SELECT login, person, reason FROM event WHERE what = \"recall\"')\" = 'joko|6|sudah lama'"), 0);
	act(store, id, RELEASE_BEGIN, "", &again);
	EXPECT(STORE_DONE, store_released(store, "t2", NOW, &err));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_standing),
		cmocka_unit_test(test_recalled),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
