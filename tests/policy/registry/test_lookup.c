/* registry_lookup's rules, row by row; logins, addresses, and what cannot be asked. */
#include "tests/policy/registry/world.h"

#include <sqlite3.h>

static void
open_reader(struct world *w)
{
	struct err err = { 0 };

	if (registry_open(w->file, 200, &w->reader, &err) == -1)
		fail_msg("%s", err.text);
}

/* A binding made by a row: level is 'a', 'u' or 'd'; cert counts the row's certificates from 1. */
struct bound {
	char level;
	int cert;
	enum purpose purpose;  /* 0: seal */
	time_t from, to;       /* 0: now, no end */
	bool ended;
};

enum fate { FATE_NONE, FATE_HOLD, FATE_HOLD_UNTIL, FATE_REVOKE, FATE_REPLACE };
enum { MOST = 3 };

struct row {
	const char *name;
	struct fake certs[MOST];
	enum fate fates[MOST];
	struct bound bindings[MOST];
	const char *sql_end;       /* "unit", "domain" or "address": ended at NOW + 10 */
	const char *address;       /* NULL: budi@kota.example */
	enum purpose purpose;      /* 0: seal */
	int later;                 /* asked at NOW + 20 + later */
	enum registry_answer want;
	enum unusable want_unusable;
	int want_cert;             /* of the row's certificates */
	enum bound_to want_bound;
	bool want_unknown;         /* known = false */
};

#define OFFICE(text, n) { .bytes = text, .key = n, .kind = CERT_KIND_OFFICE }
#define DATED(text, n, a, b) { .bytes = text, .key = n, .kind = CERT_KIND_OFFICE, .not_before = NOW + (a), .not_after = NOW + (b) }

static const struct row rows[] = {
	{ .name = "bound to the address", .certs = { OFFICE("a", 1) }, .bindings = { { 'a', 1 } },
	  .want = REGISTRY_FOUND, .want_cert = 1, .want_bound = BOUND_ADDRESS },
	{ .name = "bound to the unit", .certs = { OFFICE("a", 1) }, .bindings = { { 'u', 1 } },
	  .want = REGISTRY_FOUND, .want_cert = 1, .want_bound = BOUND_UNIT },
	{ .name = "bound to the domain", .certs = { OFFICE("a", 1) }, .bindings = { { 'd', 1 } },
	  .want = REGISTRY_FOUND, .want_cert = 1, .want_bound = BOUND_DOMAIN },
	{ .name = "address before unit and domain", .certs = { OFFICE("a", 1), OFFICE("b", 2), OFFICE("c", 3) },
	  .bindings = { { 'd', 1 }, { 'u', 2 }, { 'a', 3 } },
	  .want = REGISTRY_FOUND, .want_cert = 3, .want_bound = BOUND_ADDRESS },
	{ .name = "unit before domain", .certs = { OFFICE("a", 1), OFFICE("b", 2) }, .bindings = { { 'd', 1 }, { 'u', 2 } },
	  .want = REGISTRY_FOUND, .want_cert = 2, .want_bound = BOUND_UNIT },
	{ .name = "held at the address: the unit's is not asked", .certs = { OFFICE("a", 1), OFFICE("b", 2) },
	  .fates = { FATE_HOLD }, .bindings = { { 'a', 1 }, { 'u', 2 } },
	  .want = REGISTRY_UNUSABLE, .want_unusable = UNUSABLE_HELD, .want_cert = 1, .want_bound = BOUND_ADDRESS },
	{ .name = "revoked at the unit: the domain's is not asked", .certs = { OFFICE("a", 1), OFFICE("b", 2) },
	  .fates = { FATE_REVOKE }, .bindings = { { 'u', 1 }, { 'd', 2 } },
	  .want = REGISTRY_UNUSABLE, .want_unusable = UNUSABLE_REVOKED, .want_cert = 1, .want_bound = BOUND_UNIT },
	{ .name = "ended at the address: the unit's is asked", .certs = { OFFICE("a", 1), OFFICE("b", 2) },
	  .bindings = { { 'a', 1, .ended = true }, { 'u', 2 } },
	  .want = REGISTRY_FOUND, .want_cert = 2, .want_bound = BOUND_UNIT },
	{ .name = "for another purpose at the address: the unit's is asked", .certs = { OFFICE("a", 1), OFFICE("b", 2) },
	  .bindings = { { 'a', 1, PURPOSE_ENCRYPT }, { 'u', 2 } },
	  .want = REGISTRY_FOUND, .want_cert = 2, .want_bound = BOUND_UNIT },

	{ .name = "held", .certs = { OFFICE("a", 1) }, .fates = { FATE_HOLD }, .bindings = { { 'a', 1 } },
	  .want = REGISTRY_UNUSABLE, .want_unusable = UNUSABLE_HELD, .want_cert = 1, .want_bound = BOUND_ADDRESS },
	{ .name = "held until later", .certs = { OFFICE("a", 1) }, .fates = { FATE_HOLD_UNTIL }, .bindings = { { 'a', 1 } },
	  .later = 79, .want = REGISTRY_UNUSABLE, .want_unusable = UNUSABLE_HELD, .want_cert = 1, .want_bound = BOUND_ADDRESS },
	{ .name = "held until now", .certs = { OFFICE("a", 1) }, .fates = { FATE_HOLD_UNTIL }, .bindings = { { 'a', 1 } },
	  .later = 80, .want = REGISTRY_FOUND, .want_cert = 1, .want_bound = BOUND_ADDRESS },
	{ .name = "revoked", .certs = { OFFICE("a", 1) }, .fates = { FATE_REVOKE }, .bindings = { { 'a', 1 } },
	  .want = REGISTRY_UNUSABLE, .want_unusable = UNUSABLE_REVOKED, .want_cert = 1, .want_bound = BOUND_ADDRESS },
	{ .name = "replaced: its successor has the bindings", .certs = { OFFICE("a", 1), OFFICE("b", 2) },
	  .fates = { FATE_REPLACE }, .bindings = { { 'a', 1 } },
	  .want = REGISTRY_FOUND, .want_cert = 2, .want_bound = BOUND_ADDRESS },
	{ .name = "last second", .certs = { DATED("a", 1, -100, 30) }, .bindings = { { 'a', 1 } }, .later = 10,
	  .want = REGISTRY_FOUND, .want_cert = 1, .want_bound = BOUND_ADDRESS },
	{ .name = "expired", .certs = { DATED("a", 1, -100, 30) }, .bindings = { { 'a', 1 } }, .later = 11,
	  .want = REGISTRY_UNUSABLE, .want_unusable = UNUSABLE_EXPIRED, .want_cert = 1, .want_bound = BOUND_ADDRESS },
	{ .name = "first second", .certs = { DATED("a", 1, 30, 100) }, .bindings = { { 'a', 1 } }, .later = 10,
	  .want = REGISTRY_FOUND, .want_cert = 1, .want_bound = BOUND_ADDRESS },
	{ .name = "not yet", .certs = { DATED("a", 1, 30, 100) }, .bindings = { { 'a', 1 } }, .later = 9,
	  .want = REGISTRY_UNUSABLE, .want_unusable = UNUSABLE_NOT_YET, .want_cert = 1, .want_bound = BOUND_ADDRESS },
	{ .name = "expired and held: held", .certs = { DATED("a", 1, -100, 10) }, .fates = { FATE_HOLD }, .bindings = { { 'a', 1 } },
	  .want = REGISTRY_UNUSABLE, .want_unusable = UNUSABLE_HELD, .want_cert = 1, .want_bound = BOUND_ADDRESS },

	{ .name = "usable beside held", .certs = { OFFICE("a", 1), DATED("b", 2, -500, 900) }, .fates = { FATE_HOLD },
	  .bindings = { { 'a', 1 }, { 'a', 2 } }, .want = REGISTRY_FOUND, .want_cert = 2, .want_bound = BOUND_ADDRESS },
	{ .name = "the newest of two usable", .certs = { DATED("a", 1, -10, 900), DATED("b", 2, -20, 900) },
	  .bindings = { { 'a', 1 }, { 'a', 2 } }, .want = REGISTRY_FOUND, .want_cert = 1, .want_bound = BOUND_ADDRESS },
	{ .name = "the newest of two usable, other order", .certs = { DATED("a", 1, -20, 900), DATED("b", 2, -10, 900) },
	  .bindings = { { 'a', 1 }, { 'a', 2 } }, .want = REGISTRY_FOUND, .want_cert = 2, .want_bound = BOUND_ADDRESS },
	{ .name = "revoked speaks before held", .certs = { OFFICE("a", 1), OFFICE("b", 2) }, .fates = { FATE_HOLD, FATE_REVOKE },
	  .bindings = { { 'a', 1 }, { 'a', 2 } },
	  .want = REGISTRY_UNUSABLE, .want_unusable = UNUSABLE_REVOKED, .want_cert = 2, .want_bound = BOUND_ADDRESS },
	{ .name = "held before not yet and expired", .certs = { DATED("a", 1, 500, 900), OFFICE("b", 2), DATED("c", 3, -9, 9) },
	  .fates = { FATE_NONE, FATE_HOLD }, .bindings = { { 'a', 1 }, { 'a', 2 }, { 'a', 3 } },
	  .want = REGISTRY_UNUSABLE, .want_unusable = UNUSABLE_HELD, .want_cert = 2, .want_bound = BOUND_ADDRESS },
	{ .name = "not yet before expired", .certs = { DATED("a", 1, -9, 9), DATED("b", 2, 500, 900) },
	  .bindings = { { 'a', 1 }, { 'a', 2 } },
	  .want = REGISTRY_UNUSABLE, .want_unusable = UNUSABLE_NOT_YET, .want_cert = 2, .want_bound = BOUND_ADDRESS },

	{ .name = "ended by an officer", .certs = { OFFICE("a", 1) }, .bindings = { { 'a', 1, .ended = true } },
	  .want = REGISTRY_UNUSABLE, .want_unusable = UNUSABLE_ENDED },
	{ .name = "before its planned end", .certs = { OFFICE("a", 1) }, .bindings = { { 'a', 1, .to = NOW + 30 } }, .later = 9,
	  .want = REGISTRY_FOUND, .want_cert = 1, .want_bound = BOUND_ADDRESS },
	{ .name = "at its planned end", .certs = { OFFICE("a", 1) }, .bindings = { { 'a', 1, .to = NOW + 30 } }, .later = 10,
	  .want = REGISTRY_UNUSABLE, .want_unusable = UNUSABLE_ENDED },
	{ .name = "begins later", .certs = { OFFICE("a", 1) }, .bindings = { { 'a', 1, .from = NOW + 30 } }, .later = 9,
	  .want = REGISTRY_NONE },
	{ .name = "begins now", .certs = { OFFICE("a", 1) }, .bindings = { { 'a', 1, .from = NOW + 30 } }, .later = 10,
	  .want = REGISTRY_FOUND, .want_cert = 1, .want_bound = BOUND_ADDRESS },
	{ .name = "the address has ended", .certs = { OFFICE("a", 1) }, .bindings = { { 'd', 1 } }, .sql_end = "address",
	  .want = REGISTRY_UNUSABLE, .want_unusable = UNUSABLE_ENDED, .want_unknown = true },
	{ .name = "the address has not ended yet", .certs = { OFFICE("a", 1) }, .bindings = { { 'd', 1 } }, .sql_end = "address",
	  .later = -11, .want = REGISTRY_FOUND, .want_cert = 1, .want_bound = BOUND_DOMAIN },
	{ .name = "the domain has ended", .certs = { OFFICE("a", 1) }, .bindings = { { 'a', 1 } }, .sql_end = "domain",
	  .want = REGISTRY_UNUSABLE, .want_unusable = UNUSABLE_ENDED, .want_unknown = true },
	{ .name = "the unit has ended", .certs = { OFFICE("a", 1) }, .bindings = { { 'u', 1 } }, .sql_end = "unit",
	  .want = REGISTRY_UNUSABLE, .want_unusable = UNUSABLE_ENDED },
	{ .name = "the unit has ended, the address is bound itself", .certs = { OFFICE("a", 1) }, .bindings = { { 'a', 1 } },
	  .sql_end = "unit", .want = REGISTRY_FOUND, .want_cert = 1, .want_bound = BOUND_ADDRESS },

	{ .name = "no binding", .want = REGISTRY_NONE },
	{ .name = "bound for another purpose only", .certs = { OFFICE("a", 1) }, .bindings = { { 'a', 1, PURPOSE_VERIFY } },
	  .want = REGISTRY_NONE },
	{ .name = "address not registered", .certs = { OFFICE("a", 1) }, .bindings = { { 'd', 1 } }, .address = "siti@kota.example",
	  .want = REGISTRY_NONE, .want_unknown = true },
	{ .name = "domain not registered", .address = "budi@desa.example", .want = REGISTRY_NONE, .want_unknown = true },
	{ .name = "a sub-domain is another domain", .certs = { OFFICE("a", 1) }, .bindings = { { 'd', 1 } },
	  .address = "budi@mail.kota.example", .want = REGISTRY_NONE, .want_unknown = true },
	{ .name = "a longer domain is another domain", .certs = { OFFICE("a", 1) }, .bindings = { { 'd', 1 } },
	  .address = "budi@kota.example.net", .want = REGISTRY_NONE, .want_unknown = true },
	{ .name = "capitals in a domain that folds", .certs = { OFFICE("a", 1) }, .bindings = { { 'a', 1 } },
	  .address = "BUDI@KOTA.Example", .want = REGISTRY_FOUND, .want_cert = 1, .want_bound = BOUND_ADDRESS },
	{ .name = "a partner's unregistered address, domain bound", .certs = { OFFICE("a", 1) },
	  .bindings = { { 'p', 1, PURPOSE_VERIFY } }, .address = "x@lain.example", .purpose = PURPOSE_VERIFY,
	  .want = REGISTRY_FOUND, .want_cert = 1, .want_bound = BOUND_DOMAIN, .want_unknown = true },
	{ .name = "a partner's unregistered address, nothing bound", .address = "x@lain.example", .want = REGISTRY_NONE,
	  .want_unknown = true },
	{ .name = "no address at all", .address = "", .want = REGISTRY_NONE, .want_unknown = true },
	{ .name = "two at signs", .address = "budi@x@kota.example", .want = REGISTRY_NONE, .want_unknown = true },
	{ .name = "an SQL pattern", .address = "b%@kota.example", .want = REGISTRY_NONE, .want_unknown = true },
};

static void
add_binding(struct world *w, const struct bound *bound, char names[MOST][24], int64_t *id)
{
	struct new_binding binding = {
		.cert = names[bound->cert - 1], .purpose = bound->purpose ? bound->purpose : PURPOSE_SEAL,
		.address = bound->level == 'a' ? "budi@kota.example" : NULL,
		.unit = bound->level == 'u' ? "DISHUB" : NULL,
		.domain = bound->level == 'd' ? "kota.example" : bound->level == 'p' ? "lain.example" : NULL,
		.from = bound->from, .to = bound->to,
	};
	struct err err = { 0 };
	char text[24];

	if (write_binding_add(w->writer, &binding, id, &err) != WRITE_DONE)
		fail_msg("%s", err.text);
	snprintf(text, sizeof(text), "%lld", (long long)*id);
	if (bound->ended)
		must(write_binding_end(w->writer, text, "x", &err));
}

static void
seal_fate(struct world *w, enum fate fate, char names[MOST][24], size_t i)
{
	struct err err = { 0 };

	switch (fate) {
	case FATE_NONE:
		return;
	case FATE_HOLD:
		must(write_cert_hold(w->writer, names[i], "lapor: hilang", 0, NULL, &err));
		return;
	case FATE_HOLD_UNTIL:
		must(write_cert_hold(w->writer, names[i], "cuti", NOW + 100, NULL, &err));
		return;
	case FATE_REVOKE:
		must(write_cert_revoke(w->writer, names[i], "MUTASI", NULL, NULL, &err));
		return;
	case FATE_REPLACE:
		must(write_cert_replace(w->writer, names[i], names[i + 1], NULL, &err));
		return;
	}
}

/* Past the laws that would want it empty first: what a reader does then must still be right. */
static void
end_by_force(struct world *w, const char *table)
{
	AUTO(xfree) char *sql = xasprintf("DROP TRIGGER %s_ends_empty; DROP TRIGGER %s_update_by_officer; DROP TRIGGER %s_ends_now;"
	    "UPDATE %s SET ended_at=%d WHERE id=1", table, table, table, table, NOW + 10);

	if (strcmp(table, "address") == 0)
		sqlite3_exec(w->writer->db, "CREATE TRIGGER address_ends_empty BEFORE INSERT ON unit BEGIN SELECT 1; END", NULL, NULL, NULL);
	if (sqlite3_exec(w->writer->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s", sqlite3_errmsg(w->writer->db));
}

static void
build(struct world *w, const struct row *row, char names[MOST][24])
{
	int64_t id;

	world_begin(w);
	for (size_t i = 0; i < MOST && row->certs[i].bytes; i++)
		add_cert(w, &row->certs[i], names[i]);
	for (size_t i = 0; i < MOST && row->bindings[i].level; i++)
		add_binding(w, &row->bindings[i], names, &id);
	for (size_t i = 0; i < MOST; i++)
		seal_fate(w, row->fates[i], names, i);
	world_commit(w);
	if (row->sql_end)
		end_by_force(w, row->sql_end);
}

struct sought {
	int64_t id;
	int n;
};

static void
count_sought(void *ctx, const struct registry_cert *cert)
{
	struct sought *sought = ctx;

	sought->n += cert->id == sought->id;
}

/* Looking ahead and looking up agree: what seals is listed, what must not is not. */
static void
check_listed(struct world *w, const struct row *row, const struct registry_found *found)
{
	struct sought sought = { .id = found->cert.id };
	struct err err = { 0 };

	if (registry_each_seal(w->reader, NOW + 20 + row->later, count_sought, &sought, &err) == -1)
		fail_msg("%s: %s", row->name, err.text);
	if (sought.n != (found->answer == REGISTRY_FOUND))
		fail_msg("%s: certificate %lld is listed %d times", row->name, (long long)sought.id, sought.n);
}

static void
check_row(struct world *w, const struct row *row)
{
	AUTO_FOUND struct registry_found found = { 0 };
	char names[MOST][24] = { "", "", "" };
	int64_t want;

	build(w, row, names);
	registry_lookup(w->reader, row->address ? row->address : "budi@kota.example", row->purpose ? row->purpose : PURPOSE_SEAL,
	    NOW + 20 + row->later, &found);
	want = row->want_cert ? atoll(names[row->want_cert - 1]) : 0;
	if (found.answer != row->want || found.unusable != row->want_unusable || found.cert.id != want
	    || found.cert.bound != row->want_bound || found.known == row->want_unknown || !found.why[0])
		fail_msg("%s: answer %d, %s, certificate %lld, bound %d, known %d: %s", row->name, found.answer,
		    unusable_name(found.unusable), (long long)found.cert.id, found.cert.bound, found.known, found.why);
	if (want) {
		const struct fake *fake = &row->certs[row->want_cert - 1];

		assert_int_equal(found.cert.der_len, strlen(fake->bytes));
		assert_memory_equal(found.cert.der, fake->bytes, found.cert.der_len);
	}
	if (want && !row->purpose)
		check_listed(w, row, &found);
	if (found.unusable == UNUSABLE_HELD)
		assert_string_equal(found.cert.reason, row->fates[0] == FATE_HOLD_UNTIL ? "cuti" : "lapor: hilang");
	if (found.unusable == UNUSABLE_REVOKED)
		assert_string_equal(found.cert.reason, "MUTASI");
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		void *own = NULL;

		world_setup(&own);
		open_reader(own);
		check_row(own, &rows[i]);
		world_teardown(&own);
	}
}

static void
test_replaced_alone(void **state)
{
	static const struct fake fakes[] = { OFFICE("a", 1), OFFICE("b", 2) };
	struct new_binding binding = { .cert = "1", .purpose = PURPOSE_SEAL, .address = "budi@kota.example" };
	struct world *w = *state;
	AUTO_FOUND struct registry_found found = { 0 };
	struct err err = { 0 };
	char name[24];

	world_begin(w);
	add_cert(w, &fakes[0], name);
	add_cert(w, &fakes[1], name);
	must(write_binding_add(w->writer, &binding, NULL, &err));
	must(write_cert_replace(w->writer, "1", "2", NULL, &err));
	must(write_binding_end(w->writer, "2", "x", &err));
	world_commit(w);
	open_reader(w);
	registry_lookup(w->reader, "budi@kota.example", PURPOSE_SEAL, NOW, &found);
	assert_int_equal(found.answer, REGISTRY_UNUSABLE);
	assert_int_equal(found.unusable, UNUSABLE_RETIRED);
	assert_int_equal(found.cert.state, CERT_STATE_REPLACED);
}

static void
test_login(void **state)
{
	static const struct {
		const char *login, *address;
		time_t at;
		enum login_answer want;
	} asked[] = {
		{ "budi", "budi@kota.example", NOW, LOGIN_OWNS },
		{ "budi", "Budi@KOTA.example", NOW, LOGIN_OWNS },
		{ "budi", "siti@kota.example", NOW, LOGIN_OTHER },
		{ "budi", "budi@lain.example", NOW, LOGIN_OTHER },
		{ "budi", "not an address", NOW, LOGIN_OTHER },
		{ "budi", "", NOW, LOGIN_OTHER },
		{ "Budi", "budi@kota.example", NOW, LOGIN_UNKNOWN },
		{ "siti", "budi@kota.example", NOW, LOGIN_UNKNOWN },
		{ "", "budi@kota.example", NOW, LOGIN_UNKNOWN },
		{ "budi", "budi@kota.example", NOW - 901, LOGIN_UNKNOWN },
	};
	struct world *w = *state;
	struct err err = { 0 };

	open_reader(w);
	for (size_t i = 0; i < N_ELEMENTS(asked); i++)
		if (registry_login(w->reader, asked[i].login, asked[i].address, asked[i].at) != asked[i].want)
			fail_msg("login '%s' as '%s'", asked[i].login, asked[i].address);
	assert_int_equal(registry_address_known(w->reader, "BUDI@kota.example", NOW), 1);
	assert_int_equal(registry_address_known(w->reader, "siti@kota.example", NOW), 0);
	world_begin(w);
	must(write_address_add(w->writer, "kadis@kota.example", "DISHUB", NULL, NULL, &err));
	must(write_login_add(w->writer, "budi", "kadis@kota.example", NULL, &err));
	must(write_login_end(w->writer, "budi", "budi@kota.example", NULL, &err));
	world_commit(w);
	assert_int_equal(registry_login(w->reader, "budi", "budi@kota.example", NOW), LOGIN_OTHER);
	assert_int_equal(registry_login(w->reader, "budi", "kadis@kota.example", NOW), LOGIN_OWNS);
	world_begin(w);
	must(write_address_end(w->writer, "kadis@kota.example", NULL, &err));
	world_commit(w);
	assert_int_equal(registry_login(w->reader, "budi", "kadis@kota.example", NOW), LOGIN_UNKNOWN);
	assert_int_equal(registry_address_known(w->reader, "kadis@kota.example", NOW), 0);
}

static void
test_normalise(void **state)
{
	static const struct {
		const char *address;
		bool fold;
		const char *want; /* NULL: refused */
	} forms[] = {
		{ "Budi@Kota.Example", false, "Budi@kota.example" },
		{ "Budi@Kota.Example", true, "budi@kota.example" },
		{ "a+b_c@x-1.example", false, "a+b_c@x-1.example" },
		{ "a.b@x", false, "a.b@x" },
		{ "b\xc3\xbc@x", true, "b\xc3\xbc@x" },
		{ "B\xc3\x9c""di@x", true, "b\xc3\x9c""di@x" },
		{ "B\xc3\xbc""di@k\xc3\xb6ta.example", false, "B\xc3\xbc""di@xn--kta-sna.example" },
		{ "budi@K\xc3\xb6ta.EXAMPLE", false, "budi@xn--kta-sna.example" },
		{ "budi@XN--kta-sna.example", false, "budi@xn--kta-sna.example" },
		{ "budi@stra\xc3\x9f""e.example", false, "budi@xn--strae-oqa.example" },
		{ "budi@\xd0\xba\xd0\xbe\xd1\x82\xd0\xb0.example", false, "budi@xn--80atmq.example" }, /* looks like kota */
		{ "budi@k\xc3\x96ta.example", false, NULL },         /* no lower case */
		{ "budi@ko\xcc\x88ta.example", false, NULL },        /* not NFC */
		{ "budi@\xef\xbd\x8bota.example", false, NULL },    /* a wide k */
		{ "budi@ko\xe2\x80\x8bta.example", false, NULL },   /* a blank of no width */
		{ "budi@k\xf6ta.example", false, NULL },              /* no UTF-8 */
		{ "budi@kota\xe3\x80\x82""example", false, NULL },  /* another full stop */
		{ "budi@k\xc3\xb6ta..example", false, NULL },
		{ "budi@k\xc3\xb6ta@kota.example", false, NULL },
		{ "budi@k\xc3\xb6ta.example.", false, NULL },
		{ "", false, NULL },
		{ "budi", false, NULL },
		{ "@kota.example", false, NULL },
		{ "budi@", false, NULL },
		{ "a@b@c", false, NULL },
		{ "a..b@x", false, NULL },
		{ ".a@x", false, NULL },
		{ "a.@x", false, NULL },
		{ "a@x.", false, NULL },
		{ "a@x..y", false, NULL },
		{ "\"a b\"@x", false, NULL },
		{ "a b@x", false, NULL },
		{ "a@x y", false, NULL },
		{ "a\n@x", false, NULL },
		{ "a@x\r", false, NULL },
		{ "a(c)@x", false, NULL },
		{ "<a@x>", false, NULL },
		{ "a@[10.0.0.1]", false, NULL },
		{ "a\x7f@x", false, NULL },
	};
	char ret[LIMIT_ADDRESS_BYTES + 1], lengthy[LIMIT_ADDRESS_BYTES + 2];

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(forms); i++) {
		char *exact = strdup(forms[i].address);
		bool good = address_normalise(exact, forms[i].fold, ret);

		if (good != !!forms[i].want || (good && strcmp(ret, forms[i].want) != 0))
			fail_msg("'%s' gave '%s'", forms[i].address, good ? ret : "refused");
		free(exact);
	}
	memset(lengthy, 'a', sizeof(lengthy));
	memcpy(lengthy, "a@", 2);
	lengthy[LIMIT_ADDRESS_BYTES] = '\0';
	assert_true(address_normalise(lengthy, true, ret));
	lengthy[LIMIT_ADDRESS_BYTES] = 'a';
	lengthy[LIMIT_ADDRESS_BYTES + 1] = '\0';
	assert_false(address_normalise(lengthy, true, ret));
}

/* An internationalised address is one address, however its domain is written, and no other. */
static void
test_internationalised(void **state)
{
	static const char *const same[] = {
		"b\xc3\xbc""di@k\xc3\xb6ta.example", "b\xc3\xbc""di@K\xc3\xb6TA.example", "b\xc3\xbc""di@xn--kta-sna.example",
	};
	static const char *const others[] = {
		"budi@k\xc3\xb6ta.example", "B\xc3\xbc""di@k\xc3\xb6ta.example", "bu\xcc\x88""di@k\xc3\xb6ta.example",
		"b\xc3\xbc""di@kota.example", "b\xc3\xbc""di@ko\xcc\x88ta.example",
	};
	struct world *w = *state;
	struct registry_found found;
	struct err err = { 0 };
	char cert[24];

	world_begin(w);
	must(write_domain_add(w->writer, "K\xc3\xb6ta.example", "own", false, NULL, &err));
	must(write_address_add(w->writer, same[0], "DISHUB", NULL, NULL, &err));
	must(write_login_add(w->writer, "b\xc3\xbc""di", same[1], NULL, &err));
	add_cert(w, &(struct fake)OFFICE("a", 1), cert);
	must(write_binding_add(w->writer, &(struct new_binding){ .cert = cert, .purpose = PURPOSE_SEAL, .domain = "k\xc3\xb6ta.example" }, NULL,
	    &err));
	assert_int_equal(write_address_add(w->writer, same[2], "DISHUB", NULL, NULL, &err), WRITE_REFUSED);
	assert_int_equal(write_address_add(w->writer, others[4], "DISHUB", NULL, NULL, &err), WRITE_REFUSED);
	world_commit(w);
	open_reader(w);
	for (size_t i = 0; i < N_ELEMENTS(same); i++) {
		assert_int_equal(registry_login(w->reader, "b\xc3\xbc""di", same[i], NOW), LOGIN_OWNS);
		assert_int_equal(registry_address_known(w->reader, same[i], NOW), 1);
		registry_lookup(w->reader, same[i], PURPOSE_SEAL, NOW, &found);
		assert_int_equal(found.answer, REGISTRY_FOUND);
		assert_int_equal(found.cert.bound, BOUND_DOMAIN);
		registry_found_done(&found);
	}
	for (size_t i = 0; i < N_ELEMENTS(others); i++) {
		assert_int_equal(registry_login(w->reader, "b\xc3\xbc""di", others[i], NOW), LOGIN_OTHER);
		assert_int_equal(registry_address_known(w->reader, others[i], NOW), 0);
	}
	world_begin(w);
	must(write_login_end(w->writer, "b\xc3\xbc""di", same[2], NULL, &err));
	must(write_address_end(w->writer, same[1], NULL, &err));
	must(write_domain_end(w->writer, "K\xc3\xb6ta.example", NULL, &err));
	world_commit(w);
	assert_int_equal(registry_address_known(w->reader, same[0], NOW), 0);
}

/* Each enum value has its own word, and the way back leads to it. */
static void
test_words(void **state)
{
	(void)state;
	for (int i = PURPOSE_UNKNOWN + 1; i <= PURPOSE_CLIENT; i++)
		assert_int_equal(purpose_from(purpose_name((enum purpose)i)), i);
	for (int i = CERT_STATE_UNKNOWN + 1; i <= CERT_STATE_REPLACED; i++)
		assert_int_equal(cert_state_from(cert_state_name((enum cert_state)i)), i);
	for (int i = CERT_KIND_UNKNOWN + 1; i <= CERT_KIND_SYSTEM; i++)
		assert_int_equal(cert_kind_from(cert_kind_name((enum cert_kind)i)), i);
	for (int i = UNUSABLE_UNKNOWN + 1; i <= UNUSABLE_NOT_YET; i++)
		assert_string_not_equal(unusable_name((enum unusable)i), "unknown");
	assert_int_equal(purpose_from("unknown"), PURPOSE_UNKNOWN);
	assert_int_equal(purpose_from(NULL), PURPOSE_UNKNOWN);
	assert_int_equal(cert_state_from("Aktif"), CERT_STATE_UNKNOWN);
	assert_string_equal(cert_state_name((enum cert_state)99), "unknown");
}

/* What came from outside is escaped and cut. */
static void
test_reason_is_escaped(void **state)
{
	static const struct fake fake = OFFICE("a", 1);
	struct new_binding binding = { .cert = "1", .purpose = PURPOSE_SEAL, .address = "budi@kota.example" };
	struct world *w = *state;
	AUTO_FOUND struct registry_found found = { 0 };
	char lengthy[2001], name[24];
	struct err err = { 0 };

	memset(lengthy, '\n', 2000);
	lengthy[2000] = '\0';
	memcpy(lengthy, "a\x1b[31m\xc3\xbc%", 9);
	world_begin(w);
	add_cert(w, &fake, name);
	must(write_binding_add(w->writer, &binding, NULL, &err));
	must(write_cert_hold(w->writer, "1", lengthy, 0, NULL, &err));
	world_commit(w);
	open_reader(w);
	registry_lookup(w->reader, "budi@kota.example", PURPOSE_SEAL, NOW, &found);
	assert_int_equal(found.unusable, UNUSABLE_HELD);
	assert_memory_equal(found.cert.reason, "a%1B[31m%C3%BC%25%0A", 20);
	assert_true(strlen(found.cert.reason) < sizeof(found.cert.reason));
	for (const char *c = found.why; *c; c++)
		assert_true(*c >= 0x20 && *c < 0x7f);
}

static void
test_without_purpose(void **state)
{
	struct world *w = *state;
	struct registry_found found;

	open_reader(w);
	registry_lookup(w->reader, "budi@kota.example", PURPOSE_UNKNOWN, NOW, &found);
	assert_int_equal(found.answer, REGISTRY_UNAVAILABLE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		WORLD_TEST(test_replaced_alone),
		WORLD_TEST(test_login),
		cmocka_unit_test(test_normalise),
		WORLD_TEST(test_internationalised),
		cmocka_unit_test(test_words),
		WORLD_TEST(test_reason_is_escaped),
		WORLD_TEST(test_without_purpose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
