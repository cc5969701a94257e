/* Who may review held mail: appointments, their terms, the addresses that are somebody's own, and an older registry. */
#include "tests/policy/registry/world.h"

#include "policy/permit.h"
#include "policy/registry/list.h"
#include "policy/registry/schema.h"

enum { DAY = 86400 };

static int
set_up(void **state)
{
	struct world *w;
	struct err err = { 0 };

	world_setup(state);
	w = *state;
	assert_int_equal(registry_open(w->file, 1000, &w->reader, &err), 0);
	return 0;
}

/* From now on this is the time of what the writer does. */
static void
at(struct world *w, time_t now)
{
	w->writer->now = now;
	world_begin(w);
}

static void
expect(struct world *w, const char *login, time_t now, enum registry_answer want, const char *role, const char *why)
{
	struct registry_reviewer found;

	registry_reviewer(w->reader, login, now, &found);
	if (found.answer != want || strcmp(found.role, role) != 0 || !strstr(found.why, why))
		fail_msg("%s at %lld: answer %d, role '%s', why '%s'; wanted %d, '%s', '%s'", login, (long long)now, found.answer,
		    found.role, found.why, want, role, why);
	registry_reviewer_done(&found);
	assert_null(found.own);
}

/* An answer is as new as its question; what ended is told from what never was. */
static void
test_answers(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };
	int64_t id = 0;

	expect(w, "tuti", NOW, REGISTRY_NONE, "", "is no reviewer");
	at(w, NOW);
	must(write_reviewer_add(w->writer, "tuti", "Budi", "analis", "SK 3", NOW + DAY, &id, &err));
	expect(w, "tuti", NOW, REGISTRY_NONE, "", "is no reviewer"); /* not committed */
	world_commit(w);
	assert_int_equal(id, 1);
	expect(w, "tuti", NOW, REGISTRY_FOUND, "analis", "tuti");
	expect(w, "tuti", NOW - 1, REGISTRY_NONE, "", "is no reviewer");
	expect(w, "tuti", NOW + DAY - 1, REGISTRY_FOUND, "analis", "");
	expect(w, "tuti", NOW + DAY, REGISTRY_UNUSABLE, "analis", "appointment has ended");
	expect(w, "Tuti", NOW, REGISTRY_NONE, "", "is no reviewer");
	expect(w, "tuti ", NOW, REGISTRY_NONE, "", "is no reviewer");
	expect(w, "", NOW, REGISTRY_NONE, "", "is no reviewer");
	expect(w, "x\033[2J", NOW, REGISTRY_NONE, "", "x%1B[2J");
	expect(w, "' OR 1=1 --", NOW, REGISTRY_NONE, "", "is no reviewer");

	at(w, NOW + 10);
	assert_int_equal(write_reviewer_add(w->writer, "tuti", "Budi", "manajer", "SK 4", 0, NULL, &err), WRITE_REFUSED);
	assert_non_null(strstr(err.text, "is a reviewer already"));
	write_rollback(w->writer);
	at(w, NOW + 20);
	must(write_reviewer_end(w->writer, "tuti", "mutasi", &err));
	assert_int_equal(write_reviewer_end(w->writer, "tuti", "mutasi", &err), WRITE_NOT_FOUND);
	world_commit(w);
	expect(w, "tuti", NOW + 19, REGISTRY_FOUND, "analis", "");
	expect(w, "tuti", NOW + 20, REGISTRY_UNUSABLE, "analis", "appointment has ended");
	at(w, NOW + 30);
	must(write_reviewer_add(w->writer, "tuti", "Ani", "auditor", "SK 5", 0, NULL, &err));
	world_commit(w);
	expect(w, "tuti", NOW + 30, REGISTRY_FOUND, "auditor", "");
	expect(w, "tuti", NOW + 25, REGISTRY_UNUSABLE, "analis", "appointment has ended");
	expect(w, "tuti", NOW + 5, REGISTRY_FOUND, "analis", "");
}

/* A term that is over makes room for the next appointment, and does not keep a person from ending. */
static void
test_terms(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };

	at(w, NOW);
	must(write_person_add(w->writer, "Tuti", "asn", NULL, NULL, NULL, &err));
	must(write_reviewer_add(w->writer, "tuti", "Tuti", "analis", "SK 3", NOW + DAY, NULL, &err));
	assert_int_equal(write_person_end(w->writer, "Tuti", "pensiun", &err), WRITE_REFUSED);
	assert_non_null(strstr(err.text, "appointment as reviewer; end that first"));
	world_commit(w);
	at(w, NOW + DAY);
	must(write_reviewer_add(w->writer, "tuti", "Tuti", "manajer", "SK 4", NOW + 2 * DAY, NULL, &err));
	world_commit(w);
	expect(w, "tuti", NOW + DAY, REGISTRY_FOUND, "manajer", "");
	at(w, NOW + 2 * DAY);
	must(write_person_end(w->writer, "Tuti", "pensiun", &err));
	world_commit(w);
	expect(w, "tuti", NOW + 2 * DAY, REGISTRY_UNUSABLE, "manajer", "ended");
	at(w, NOW + 3 * DAY);
	assert_int_equal(write_reviewer_add(w->writer, "tuti", "Tuti", "manajer", "SK 5", 0, NULL, &err), WRITE_NOT_FOUND);
	write_rollback(w->writer);
}

static void
expect_own(struct world *w, const char *login, time_t now, const char *want)
{
	AUTO_BUF struct buf text = { 0 };
	struct registry_reviewer found;

	buf_init(&text, 1024);
	registry_reviewer(w->reader, login, now, &found);
	assert_int_equal(found.answer, REGISTRY_FOUND);
	for (size_t i = 0; found.own[i]; i++)
		buf_printf(&text, "%s%s", i ? " " : "", found.own[i]);
	assert_string_equal(buf_text(&text), want);
	registry_reviewer_done(&found);
}

/* The person's and the login's, each once, in the form that is compared, and only while they and their domain are current. */
static void
test_own(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };

	at(w, NOW);
	must(write_reviewer_add(w->writer, "budi", "Budi", "pegawai", "SK 3", 0, NULL, &err));
	must(write_reviewer_add(w->writer, "ani", "Ani", "analis", "SK 3", 0, NULL, &err));
	must(write_address_add(w->writer, "Kepala@Kota.example", "DISHUB", NULL, NULL, &err));
	must(write_address_add(w->writer, "Budi.Pribadi@lain.example", NULL, "Budi", NULL, &err));
	must(write_address_add(w->writer, "orang@kota.example", "DISHUB", "Ani", NULL, &err));
	must(write_login_add(w->writer, "budi", "kepala@kota.example", NULL, &err));
	world_commit(w);
	expect_own(w, "budi", NOW, "Budi.Pribadi@lain.example budi@kota.example kepala@kota.example");
	expect_own(w, "ani", NOW, "orang@kota.example");
	at(w, NOW + 10);
	must(write_login_end(w->writer, "budi", "kepala@kota.example", "x", &err));
	must(write_address_end(w->writer, "orang@kota.example", "x", &err));
	world_commit(w);
	expect_own(w, "budi", NOW + 10, "Budi.Pribadi@lain.example budi@kota.example");
	expect_own(w, "ani", NOW + 10, "");
	expect_own(w, "ani", NOW + 9, "orang@kota.example");
}

/* The words are those of the permit table, all of them and no others. */
static void
test_words(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };

	for (int role = REVIEWER_NONE + 1; role < N_REVIEWER_ROLES; role++) {
		const char *word = reviewer_role_name((enum reviewer_role)role);

		world_begin(w);
		if (write_reviewer_add(w->writer, "x", "Budi", word, "SK", 0, NULL, &err) != WRITE_DONE)
			fail_msg("role '%s': %s", word, err.text);
		assert_int_equal(reviewer_role_from(word), role);
		write_rollback(w->writer);
	}
	world_begin(w);
	assert_int_equal(write_reviewer_add(w->writer, "x", "Budi", "", "SK", 0, NULL, &err), WRITE_REFUSED);
	write_rollback(w->writer);
	world_begin(w);
	assert_int_equal(write_reviewer_add(w->writer, "x", "Budi", "petugas", "SK", 0, NULL, &err), WRITE_REFUSED);
	write_rollback(w->writer);
	world_begin(w);
	assert_int_equal(write_reviewer_add(w->writer, "x", "Nobody", "analis", "SK", 0, NULL, &err), WRITE_NOT_FOUND);
	write_rollback(w->writer);
}

/* "Nobody reviews" and "could not ask" are two answers. */
static void
test_unavailable(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };

	at(w, NOW);
	must(write_reviewer_add(w->writer, "tuti", "Budi", "analis", "SK 3", 0, NULL, &err));
	world_commit(w);
	expect(w, "tuti", NOW, REGISTRY_FOUND, "analis", "");
	assert_int_equal(unlink(w->file), 0);
	expect(w, "tuti", NOW, REGISTRY_UNAVAILABLE, "", "cannot be opened");
}

struct seen {
	size_t n;
	char text[256];
};

static void
see(void *ctx, const struct list_cell *cells, size_t n)
{
	struct seen *seen = ctx;

	seen->n++;
	for (size_t i = 0; i < n; i++)
		if (cells[i].kind == LIST_KIND_TEXT)
			snprintf(seen->text + strlen(seen->text), sizeof(seen->text) - strlen(seen->text), "%s|", cells[i].text);
}

static void
test_list(void **state)
{
	struct world *w = *state;
	struct seen now = { 0 }, all = { 0 };
	struct err err = { 0 };
	size_t n;

	at(w, NOW);
	must(write_reviewer_add(w->writer, "tuti", "Budi", "analis", "SK 3", NOW + DAY, NULL, &err));
	must(write_reviewer_add(w->writer, "ani", "Ani", "auditor", "SK 4", 0, NULL, &err));
	world_commit(w);
	assert_string_equal(list_columns(LIST_REVIEWER, &n)[3], "role");
	assert_int_equal(n, 8);
	assert_int_equal(registry_list(w->reader, LIST_REVIEWER, &(struct list_filter){ .at = NOW + DAY }, see, &now, &err), 0);
	assert_string_equal(now.text, "ani|Ani|auditor|SK 4|");
	assert_int_equal(registry_list(w->reader, LIST_REVIEWER, &(struct list_filter){ .at = NOW + DAY, .all = true }, see, &all, &err), 0);
	assert_int_equal(all.n, 2);
}

static void
run_sql(const char *file, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %.200s", sqlite3_errmsg(db), sql);
	sqlite3_close(db);
}

static char *
read_text(const char *name)
{
	FILE *file = fopen(name, "r");
	char *text = xcalloc(128 * 1024, 1);

	if (!file)
		fail_msg("%s cannot be read; run the tests from the top of the checkout", name);
	assert_true(fread(text, 1, 128 * 1024 - 1, file) > 1000);
	fclose(file);
	return text;
}

/* Every table, index and trigger of a file as one text. */
static char *
schema_of(const char *file)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *stmt = NULL;
	char *text;

	assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT group_concat(s, char(10)) FROM (SELECT name || ': ' || sql AS s FROM sqlite_master"
	    " WHERE sql IS NOT NULL ORDER BY name)", -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	text = xstrdup((const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return text;
}

/* A file that the program of schema 2 made: refused with what to do, then brought up to date by an officer only. */
static void
test_migrate(void **state)
{
	AUTO(xfree) char *old = read_text("tests/policy/registry/version2.sql");
	AUTO(xfree) char *fresh = NULL;
	AUTO(xfree) char *migrated = NULL;
	struct world *w = *state;
	struct registry_writer *writer = NULL;
	struct registry *reader = NULL;
	struct err err = { 0 };
	char file[128];
	int from = 0;

	snprintf(file, sizeof(file), "%s/old.db", w->dir);
	run_sql(file, "PRAGMA journal_mode=WAL");
	run_sql(file, old);
	assert_int_equal(registry_open(file, 100, &reader, &err), -1);
	assert_non_null(strstr(err.text, "has schema 2, this program wants 4; run `segelctl init --migrate`"));
	assert_int_equal(registry_migrate(file, "budi", NOW, false, &from, &err), WRITE_REFUSED);
	must(registry_migrate(file, "root", NOW, true, &from, &err)); /* dry */
	assert_int_equal(registry_open(file, 100, &reader, &err), -1);
	must(registry_migrate(file, "root", NOW, false, &from, &err));
	assert_int_equal(from, 2);
	fresh = schema_of(w->file);
	migrated = schema_of(file);
	assert_string_equal(migrated, fresh);

	registry_close(w->reader);
	w->reader = NULL;
	must(registry_write_open(file, "root", NOW + 1, &writer, &err));
	must(write_begin(writer, &err));
	must(write_reviewer_add(writer, "budi", "Budi", "manajer", "SK 9", 0, NULL, &err));
	must(write_commit(writer, &err));
	registry_write_close(writer);
	assert_int_equal(registry_open(file, 100, &w->reader, &err), 0);
	expect(w, "budi", NOW + 2, REGISTRY_FOUND, "manajer", "");
	expect_own(w, "budi", NOW + 2, "dinas@kota.go.id");
	assert_int_equal(registry_login(w->reader, "budi", "dinas@kota.go.id", NOW + 2), LOGIN_OWNS);
}

#define REVIEWER_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, world_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		REVIEWER_TEST(test_answers),
		REVIEWER_TEST(test_terms),
		REVIEWER_TEST(test_own),
		REVIEWER_TEST(test_words),
		REVIEWER_TEST(test_unavailable),
		REVIEWER_TEST(test_list),
		REVIEWER_TEST(test_migrate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
