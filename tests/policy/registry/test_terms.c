/* Terms that run out by themselves: holds with an end, appointments with an end. */
#include "tests/policy/registry/world.h"

enum { DAY = 86400 };

/* From now on this is the time of what the writer does. */
static void
at(struct world *w, time_t now)
{
	w->writer->now = now;
	world_begin(w);
}

static enum unusable
seal_state(struct world *w, time_t now, struct registry_found *found)
{
	registry_lookup(w->reader, "budi@kota.example", PURPOSE_SEAL, now, found);
	return found->answer == REGISTRY_UNUSABLE ? found->unusable : UNUSABLE_UNKNOWN;
}

static int
set_up(void **state)
{
	static const struct fake fake = { .bytes = "one", .key = 1, .kind = CERT_KIND_OFFICE, .not_after = NOW + 10 * DAY };
	static const struct fake heir = { .bytes = "two", .key = 2, .kind = CERT_KIND_OFFICE, .not_after = NOW + 10 * DAY };
	struct new_binding binding = { .cert = "1", .purpose = PURPOSE_SEAL, .address = "budi@kota.example" };
	struct world *w;
	struct err err = { 0 };
	char name[24];

	world_setup(state);
	w = *state;
	world_begin(w);
	add_cert(w, &fake, name);
	add_cert(w, &heir, name);
	must(write_binding_add(w->writer, &binding, NULL, &err));
	world_commit(w);
	assert_int_equal(registry_open(w->file, 1000, &w->reader, &err), 0);
	return 0;
}

static int
tear_down(void **state)
{
	return world_teardown(state);
}

static void
a_hold_that_lapsed_can_be_set_again(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };
	AUTO_FOUND struct registry_found before = { 0 };
	AUTO_FOUND struct registry_found lapsed = { 0 };
	AUTO_FOUND struct registry_found again = { 0 };

	at(w, NOW + 10);
	must(write_cert_hold(w->writer, "1", "cuti", NOW + DAY, NULL, &err));
	world_commit(w);
	assert_int_equal(seal_state(w, NOW + DAY - 1, &before), UNUSABLE_HELD);
	assert_string_equal(before.cert.reason, "cuti");
	assert_int_equal(seal_state(w, NOW + DAY, &lapsed), UNUSABLE_UNKNOWN);
	assert_int_equal(lapsed.answer, REGISTRY_FOUND);
	assert_int_equal(lapsed.cert.state, CERT_STATE_ACTIVE);
	assert_string_equal(lapsed.cert.reason, "");
	at(w, NOW + 2 * DAY);
	must(write_cert_hold(w->writer, "1", "kunci hilang", 0, NULL, &err));
	world_commit(w);
	assert_int_equal(seal_state(w, NOW + 2 * DAY, &again), UNUSABLE_HELD);
	assert_string_equal(again.cert.reason, "kunci hilang");
}

/* A longer hold begins where the shorter still stands: no moment of good mail between them. */
static void
a_running_hold_can_be_lengthened(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };
	AUTO_FOUND struct registry_found found = { 0 };

	at(w, NOW + 10);
	must(write_cert_hold(w->writer, "1", "cuti", NOW + DAY, NULL, &err));
	must(write_cert_hold(w->writer, "1", "cuti diperpanjang", NOW + 3 * DAY, NULL, &err));
	world_commit(w);
	assert_int_equal(seal_state(w, NOW + 2 * DAY, &found), UNUSABLE_HELD);
	assert_string_equal(found.cert.reason, "cuti diperpanjang");
}

static void
only_a_hold_that_stands_is_lifted(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };

	at(w, NOW + 10);
	must(write_cert_hold(w->writer, "1", "cuti", NOW + DAY, NULL, &err));
	world_commit(w);
	at(w, NOW + 2 * DAY);
	assert_int_equal(write_cert_unhold(w->writer, "1", "selesai", NULL, &err), WRITE_REFUSED);
	assert_non_null(strstr(err.text, "is aktif"));
	write_rollback(w->writer);
}

static void
after_a_lapsed_hold_a_successor_may_come(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };

	at(w, NOW + 10);
	must(write_cert_hold(w->writer, "1", "cuti", NOW + DAY, NULL, &err));
	assert_int_equal(write_cert_replace(w->writer, "1", "2", NULL, &err), WRITE_REFUSED); /* while it stands */
	world_commit(w);
	at(w, NOW + 2 * DAY);
	must(write_cert_replace(w->writer, "1", "2", NULL, &err));
	world_commit(w);
}

/* Terms run out; if only such officers were left, one day nobody could revoke. */
static void
the_last_officer_without_a_term_stays(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };

	at(w, NOW + 10);
	must(write_officer_add(w->writer, "budi-os", "Budi", "SK 2/2026", NOW + DAY, NULL, &err));
	world_commit(w);
	at(w, NOW + 20);
	assert_int_equal(write_officer_end(w->writer, "ani", "pensiun", &err), WRITE_REFUSED);
	assert_non_null(strstr(err.text, "last officer without a term"));
	write_rollback(w->writer);
	at(w, NOW + 30);
	must(write_person_add(w->writer, "Citra", "asn", NULL, "DISHUB", NULL, &err));
	must(write_officer_add(w->writer, "citra", "Citra", "SK 3/2026", 0, NULL, &err));
	must(write_officer_end(w->writer, "ani", "pensiun", &err));
	world_commit(w);
}

static void
a_person_whose_term_ran_out_can_be_ended(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };

	at(w, NOW + 10);
	must(write_person_add(w->writer, "Citra", "asn", NULL, "DISHUB", NULL, &err));
	must(write_officer_add(w->writer, "citra", "Citra", "SK 2/2026", NOW + DAY, NULL, &err));
	assert_int_equal(write_person_end(w->writer, "Citra", "pindah", &err), WRITE_REFUSED); /* while it runs */
	world_commit(w);
	at(w, NOW + 2 * DAY);
	must(write_person_end(w->writer, "Citra", "pindah", &err));
	world_commit(w);
}

struct listed {
	char ids[64]; /* "1 2 " */
	struct registry_cert last; /* der: NULL */
	char bytes[16];
};

static void
note(void *ctx, const struct registry_cert *cert)
{
	struct listed *listed = ctx;
	size_t len = strlen(listed->ids);

	snprintf(listed->ids + len, sizeof(listed->ids) - len, "%lld ", (long long)cert->id);
	snprintf(listed->bytes, sizeof(listed->bytes), "%.*s", (int)cert->der_len, (const char *)cert->der);
	listed->last = *cert;
	listed->last.der = NULL;
}

static void
must_list(struct world *w, time_t now, const char *want)
{
	struct listed listed = { .ids = "" };
	struct err err = { 0 };

	if (registry_each_seal(w->reader, now, note, &listed, &err) == -1)
		fail_msg("%s", err.text);
	assert_string_equal(listed.ids, want);
}

static void
what_seals_is_listed_once(void **state)
{
	struct new_binding unit = { .cert = "1", .purpose = PURPOSE_SEAL, .unit = "DISHUB" };
	struct new_binding domain = { .cert = "2", .purpose = PURPOSE_SEAL, .domain = "kota.example", .to = NOW + DAY };
	struct new_binding other = { .cert = "2", .purpose = PURPOSE_VERIFY, .domain = "kota.example" };
	struct listed listed = { .ids = "" };
	struct world *w = *state;
	struct err err = { 0 };
	unsigned char spki[32];

	must_list(w, NOW + 10, "1 ");
	at(w, NOW + 10);
	must(write_binding_add(w->writer, &unit, NULL, &err));
	must(write_binding_add(w->writer, &other, NULL, &err));
	world_commit(w);
	must_list(w, NOW + 10, "1 "); /* bound twice; and the other one not for sealing */
	at(w, NOW + 20);
	must(write_binding_add(w->writer, &domain, NULL, &err));
	world_commit(w);
	assert_int_equal(registry_each_seal(w->reader, NOW + 20, note, &listed, &err), 0);
	assert_string_equal(listed.ids, "1 2 ");
	assert_string_equal(listed.bytes, "two");
	memset(spki, 2, sizeof(spki));
	assert_memory_equal(listed.last.spki, spki, 32);
	assert_int_equal(listed.last.kind, CERT_KIND_OFFICE);
	assert_int_equal(listed.last.state, CERT_STATE_ACTIVE);
	must_list(w, NOW + 19, "1 ");        /* before it was bound */
	must_list(w, NOW + DAY - 1, "1 2 ");
	must_list(w, NOW + DAY, "1 ");       /* its binding's planned end */
	must_list(w, NOW + 10 * DAY, "1 ");  /* its last second */
	must_list(w, NOW + 10 * DAY + 1, "");
}

static void
a_hold_unlists_until_it_lapses(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };

	at(w, NOW + 10);
	must(write_cert_hold(w->writer, "1", "cuti", NOW + DAY, NULL, &err));
	world_commit(w);
	must_list(w, NOW + DAY - 1, "");
	must_list(w, NOW + DAY, "1 ");
	at(w, NOW + 2 * DAY);
	must(write_cert_replace(w->writer, "1", "2", NULL, &err));
	world_commit(w);
	must_list(w, NOW + 2 * DAY, "2 "); /* the successor has the binding */
	at(w, NOW + 3 * DAY);
	must(write_cert_revoke(w->writer, "2", "MUTASI", NULL, NULL, &err));
	world_commit(w);
	must_list(w, NOW + 3 * DAY, "");
}

#define TERM_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TERM_TEST(a_hold_that_lapsed_can_be_set_again),
		TERM_TEST(a_running_hold_can_be_lengthened),
		TERM_TEST(only_a_hold_that_stands_is_lifted),
		TERM_TEST(after_a_lapsed_hold_a_successor_may_come),
		TERM_TEST(the_last_officer_without_a_term_stays),
		TERM_TEST(a_person_whose_term_ran_out_can_be_ended),
		TERM_TEST(what_seals_is_listed_once),
		TERM_TEST(a_hold_unlists_until_it_lapses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
