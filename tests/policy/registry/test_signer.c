/* registry_signer's rules: each row differs from the good one by one thing. */
#include "tests/policy/registry/world.h"

#include <sqlite3.h>

enum { LATER = NOW + 20 };

static const struct fake office = { .bytes = "office", .key = 1, .kind = CERT_KIND_OFFICE };
static const struct fake other = { .bytes = "other", .key = 2, .kind = CERT_KIND_OFFICE };

struct row {
	const char *name;
	const char *sql;         /* past the laws, after the rest */
	const char *from;        /* NULL: budi@kota.example */
	char level;              /* what it is bound to: a, u, d, p (the partner's domain); 0 = nothing */
	enum purpose purpose;    /* 0: verify */
	bool ended;
	int fate;                /* 'h' held, 'l' held and lapsed, 'r' revoked, 'k' revoked for compromise, 's' replaced */
	bool stranger;           /* a certificate is asked about that is not registered */
	int key;                 /* the stranger's key */
	bool twin;               /* the stranger has the registered one's issuer and serial number */
	enum registry_answer want;
	enum unusable unusable;
	enum bound_to bound;
	bool unknown;            /* want known = false */
	const char *why;
};

#define FORCE "DROP TRIGGER cert_unchanging; DROP TRIGGER cert_update_by_officer; DROP TRIGGER cert_state_by_act;"

static const struct row rows[] = {
	{ .name = "bound to the address", .level = 'a', .want = REGISTRY_FOUND, .bound = BOUND_ADDRESS },
	{ .name = "bound to the unit", .level = 'u', .want = REGISTRY_FOUND, .bound = BOUND_UNIT },
	{ .name = "bound to the domain", .level = 'd', .want = REGISTRY_FOUND, .bound = BOUND_DOMAIN },
	{ .name = "for seal as well", .level = 'a', .purpose = PURPOSE_SEAL, .want = REGISTRY_FOUND, .bound = BOUND_ADDRESS },
	{ .name = "for encrypt only", .level = 'a', .purpose = PURPOSE_ENCRYPT, .want = REGISTRY_FOUND, .why = "not bound to" },
	{ .name = "for client only", .level = 'a', .purpose = PURPOSE_CLIENT, .want = REGISTRY_FOUND, .why = "not bound to" },
	{ .name = "not bound", .want = REGISTRY_FOUND, .why = "not bound to" },
	{ .name = "another address of the unit", .level = 'u', .from = "dinas@kota.example", .want = REGISTRY_FOUND, .bound = BOUND_UNIT },
	{ .name = "another address, bound to one", .level = 'a', .from = "dinas@kota.example", .want = REGISTRY_FOUND },
	{ .name = "an address in another case where that is alike", .level = 'a', .from = "BUDI@Kota.Example", .want = REGISTRY_FOUND,
	  .bound = BOUND_ADDRESS },
	{ .name = "nobody registered the address", .level = 'd', .from = "siti@kota.example", .want = REGISTRY_FOUND, .unknown = true,
	  .why = "not registered" },
	{ .name = "a domain that nobody registered", .level = 'd', .from = "budi@desa.example", .want = REGISTRY_FOUND, .unknown = true },
	{ .name = "no address", .level = 'd', .from = "", .want = REGISTRY_FOUND, .unknown = true },
	{ .name = "a partner's domain speaks for all of it", .level = 'p', .from = "siapa@lain.example", .want = REGISTRY_FOUND,
	  .bound = BOUND_DOMAIN, .unknown = true },
	{ .name = "and not for another domain", .level = 'p', .want = REGISTRY_FOUND },
	{ .name = "nor for a sub-domain", .level = 'p', .from = "siapa@mail.lain.example", .want = REGISTRY_FOUND, .unknown = true },

	{ .name = "held", .level = 'a', .fate = 'h', .want = REGISTRY_UNUSABLE, .unusable = UNUSABLE_HELD, .bound = BOUND_ADDRESS,
	  .why = "held: hilang" },
	{ .name = "a hold that lapsed", .level = 'a', .fate = 'l', .want = REGISTRY_FOUND, .bound = BOUND_ADDRESS },
	{ .name = "revoked", .level = 'a', .fate = 'r', .want = REGISTRY_UNUSABLE, .unusable = UNUSABLE_REVOKED, .bound = BOUND_ADDRESS,
	  .why = "MUTASI" },
	{ .name = "replaced", .level = 'a', .fate = 's', .want = REGISTRY_UNUSABLE, .unusable = UNUSABLE_RETIRED, .bound = BOUND_ADDRESS },
	{ .name = "held and not bound", .fate = 'h', .want = REGISTRY_UNUSABLE, .unusable = UNUSABLE_HELD },
	{ .name = "the binding has ended", .level = 'a', .ended = true, .want = REGISTRY_UNUSABLE, .unusable = UNUSABLE_ENDED },
	{ .name = "a binding for somebody else has ended", .level = 'a', .ended = true, .from = "dinas@kota.example", .want = REGISTRY_FOUND },
	{ .name = "the address has ended", .level = 'd', .sql = "DROP TRIGGER address_update_by_officer; DROP TRIGGER address_ends_now;"
	  "UPDATE address SET ended_at=" NOW_TEXT "+10 WHERE id=1", .want = REGISTRY_UNUSABLE, .unusable = UNUSABLE_ENDED, .unknown = true },
	{ .name = "the unit has ended", .level = 'u', .sql = "DROP TRIGGER unit_ends_empty; DROP TRIGGER unit_update_by_officer;"
	  "DROP TRIGGER unit_ends_now; UPDATE unit SET ended_at=" NOW_TEXT "+10", .want = REGISTRY_UNUSABLE, .unusable = UNUSABLE_ENDED },
	{ .name = "the domain has ended", .level = 'a', .sql = "DROP TRIGGER domain_ends_empty; DROP TRIGGER domain_update_by_officer;"
	  "DROP TRIGGER domain_ends_now; UPDATE domain SET ended_at=" NOW_TEXT "+10 WHERE id=1", .want = REGISTRY_UNUSABLE,
	  .unusable = UNUSABLE_ENDED, .unknown = true },

	{ .name = "not registered", .level = 'a', .stranger = true, .key = 9, .want = REGISTRY_NONE },
	{ .name = "not registered, of a registered key", .level = 'a', .stranger = true, .key = 1, .want = REGISTRY_NONE },
	{ .name = "not registered, of a key that leaked", .level = 'a', .fate = 'k', .stranger = true, .key = 1,
	  .want = REGISTRY_UNUSABLE, .unusable = UNUSABLE_REVOKED, .why = "compromise with certificate 1" },
	{ .name = "not registered, of another key than the one that leaked", .level = 'a', .fate = 'k', .stranger = true, .key = 9,
	  .want = REGISTRY_NONE },
	{ .name = "another certificate under this name", .level = 'a', .stranger = true, .key = 9, .twin = true,
	  .want = REGISTRY_UNUSABLE, .unusable = UNUSABLE_CONFLICT, .why = "certificate 1 has the same issuer and serial number" },
	{ .name = "the row has another issuer", .level = 'a', .sql = FORCE "UPDATE cert SET issuer='CN=B' WHERE id=1",
	  .want = REGISTRY_UNUSABLE, .unusable = UNUSABLE_CONFLICT, .why = "another issuer" },
	{ .name = "the row has another serial number", .level = 'a', .sql = FORCE "UPDATE cert SET serial='beef' WHERE id=1",
	  .want = REGISTRY_UNUSABLE, .unusable = UNUSABLE_CONFLICT, .why = "another serial number" },
	{ .name = "the row has another key", .level = 'a', .sql = FORCE "UPDATE cert SET spki=zeroblob(32) WHERE id=1",
	  .want = REGISTRY_UNUSABLE, .unusable = UNUSABLE_CONFLICT, .why = "another public key" },
	{ .name = "the row has other bytes", .level = 'a', .sql = FORCE "UPDATE cert SET der=x'00' WHERE id=1",
	  .want = REGISTRY_UNAVAILABLE, .unknown = true, .why = "does not hash" },
	{ .name = "the row has an unknown state", .level = 'a', .sql = FORCE "PRAGMA ignore_check_constraints=ON;"
	  "UPDATE cert SET state='baik' WHERE id=1", .want = REGISTRY_UNAVAILABLE, .unknown = true, .why = "damaged" },
};

static void
bind(struct world *w, const struct row *row)
{
	struct new_binding binding = { .cert = "1", .purpose = row->purpose ? row->purpose : PURPOSE_VERIFY };
	struct err err = { 0 };

	if (!row->level)
		return;
	binding.address = row->level == 'a' ? "budi@kota.example" : NULL;
	binding.unit = row->level == 'u' ? "DISHUB" : NULL;
	binding.domain = row->level == 'd' ? "kota.example" : row->level == 'p' ? "lain.example" : NULL;
	if (write_binding_add(w->writer, &binding, NULL, &err) != WRITE_DONE)
		fail_msg("%s: %s", row->name, err.text);
}

static void
meet_fate(struct world *w, const struct row *row)
{
	struct err err;
	char name[24];

	if (row->ended)
		must(write_binding_end(w->writer, "1", "mutasi", &err));
	switch (row->fate) {
	case 'h':
		must(write_cert_hold(w->writer, "1", "hilang", 0, NULL, &err));
		return;
	case 'l':
		must(write_cert_hold(w->writer, "1", "hilang", NOW + 10, NULL, &err));
		return;
	case 'r':
		must(write_cert_revoke(w->writer, "1", "MUTASI", NULL, NULL, &err));
		return;
	case 'k':
		must(write_cert_revoke(w->writer, "1", "KUNCI_BOCOR", NULL, NULL, &err));
		return;
	case 's':
		add_cert(w, &other, name);
		must(write_cert_replace(w->writer, "1", name, NULL, &err));
		return;
	}
}

static void
build(struct world *w, const struct row *row)
{
	struct err err;
	char name[24];

	world_begin(w);
	must(write_address_add(w->writer, "dinas@kota.example", "DISHUB", NULL, NULL, &err));
	add_cert(w, &office, name);
	bind(w, row);
	meet_fate(w, row);
	world_commit(w);
	if (row->sql && sqlite3_exec(w->writer->db, row->sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", row->name, sqlite3_errmsg(w->writer->db));
	if (registry_open(w->file, 200, &w->reader, &err) == -1)
		fail_msg("%s", err.text);
}

static struct cert_facts
asked_about(const struct row *row)
{
	const struct fake stranger = { .bytes = "stranger", .key = row->key, .kind = CERT_KIND_OFFICE };
	struct cert_facts registered = fake_facts(&office), facts = registered;

	if (row->stranger)
		facts = fake_facts(&stranger);
	if (row->twin)
		memcpy(facts.serial, registered.serial, sizeof(facts.serial));
	return facts;
}

static void
check_row(struct world *w, const struct row *row)
{
	const struct cert_facts facts = asked_about(row);
	struct registry_signer found;

	build(w, row);
	registry_signer(w->reader, &facts, row->from ? row->from : "budi@kota.example", LATER, &found);
	if (found.answer != row->want || found.unusable != row->unusable || found.cert.bound != row->bound
	    || found.known == row->unknown || found.cert.der || !found.why[0] || (row->why && !strstr(found.why, row->why)))
		fail_msg("%s: answer %d, %s, bound %d, known %d: %s", row->name, found.answer, unusable_name(found.unusable),
		    found.cert.bound, found.known, found.why);
	/* Nothing is known of a certificate that is not registered, and all of one that is. */
	assert_int_equal(found.cert.id, !row->stranger && found.answer != REGISTRY_UNAVAILABLE);
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		void *own = NULL;

		world_setup(&own);
		check_row(own, &rows[i]);
		world_teardown(&own);
	}
}

/* A hold counts for the next question on a registry that is open. */
static void
test_hold_at_once(void **state)
{
	static const struct row good = { .name = "good", .level = 'a' };
	struct world *w = *state;
	const struct cert_facts facts = fake_facts(&office);
	struct registry_signer found;
	struct err err;

	build(w, &good);
	registry_signer(w->reader, &facts, "budi@kota.example", LATER, &found);
	assert_int_equal(found.answer, REGISTRY_FOUND);
	assert_int_equal(found.cert.kind, CERT_KIND_OFFICE);
	assert_int_equal(found.n_bindings, 1);
	assert_true(found.fold);
	world_begin(w);
	must(write_cert_hold(w->writer, "1", "hilang", 0, NULL, &err));
	world_commit(w);
	registry_signer(w->reader, &facts, "budi@kota.example", LATER, &found);
	assert_int_equal(found.answer, REGISTRY_UNUSABLE);
	assert_int_equal(found.cert.state, CERT_STATE_HELD);
	registry_signer(w->reader, &facts, "siapa@lain.example", LATER, &found);
	assert_false(found.fold);
}

/* Time of the question: a binding that begins later is none yet; one that ended later still is. */
static void
test_at_its_time(void **state)
{
	struct world *w = *state;
	struct new_binding binding = { .cert = "1", .purpose = PURPOSE_VERIFY, .address = "budi@kota.example", .from = NOW + 30, .to = NOW + 60 };
	const struct cert_facts facts = fake_facts(&office);
	static const struct row unbound = { .name = "unbound" };
	static const struct {
		time_t at;
		enum registry_answer want;
		enum bound_to bound;
	} asked[] = {
		{ NOW + 29, REGISTRY_FOUND, BOUND_UNKNOWN }, { NOW + 30, REGISTRY_FOUND, BOUND_ADDRESS },
		{ NOW + 59, REGISTRY_FOUND, BOUND_ADDRESS }, { NOW + 60, REGISTRY_UNUSABLE, BOUND_UNKNOWN },
		{ NOW + 1001, REGISTRY_UNUSABLE, BOUND_UNKNOWN },
	};
	struct registry_signer found;
	struct err err = { 0 };

	build(w, &unbound);
	world_begin(w);
	must(write_binding_add(w->writer, &binding, NULL, &err));
	world_commit(w);
	for (size_t i = 0; i < N_ELEMENTS(asked); i++) {
		registry_signer(w->reader, &facts, "budi@kota.example", asked[i].at, &found);
		if (found.answer != asked[i].want || found.cert.bound != asked[i].bound)
			fail_msg("row %zu: %d, bound %d: %s", i, found.answer, found.cert.bound, found.why);
	}
	assert_int_equal(found.unusable, UNUSABLE_EXPIRED);
}

static void
test_unavailable(void **state)
{
	static const struct row good = { .name = "good", .level = 'a' };
	struct world *w = *state;
	const struct cert_facts facts = fake_facts(&office);
	struct registry_signer found;

	build(w, &good);
	assert_int_equal(unlink(w->file), 0);
	registry_signer(w->reader, &facts, "budi@kota.example", LATER, &found);
	assert_int_equal(found.answer, REGISTRY_UNAVAILABLE);
	assert_int_equal(found.cert.bound, BOUND_UNKNOWN);
	assert_non_null(strstr(found.why, "cannot be opened"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		WORLD_TEST(test_hold_at_once),
		WORLD_TEST(test_at_its_time),
		WORLD_TEST(test_unavailable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
