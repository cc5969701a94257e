/* registry_encrypt: which certificate mail is encrypted to, where several are in force and the caller has a say; units; capabilities. */
#include "tests/policy/registry/world.h"

#include "policy/registry/encrypt.h"
#include "policy/registry/list.h"
#include "policy/registry/schema.h"

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

/* What the caller says, by the certificate's first byte; a letter that is not listed is good. */
struct opinion {
	const char *not, *unknown;
	char asked[32]; /* the letters, in the order of asking */
};

static enum cert_use
opine(void *ctx, const struct registry_cert *cert, char why[FACT_WHY_BYTES])
{
	struct opinion *opinion = ctx;
	const char letter = (char)cert->der[0];
	size_t n = strlen(opinion->asked);

	opinion->asked[n] = letter;
	snprintf(why, FACT_WHY_BYTES, "opinion of %c", letter);
	if (opinion->not && strchr(opinion->not, letter))
		return CERT_USE_NOT;
	return opinion->unknown && strchr(opinion->unknown, letter) ? CERT_USE_UNKNOWN : CERT_USE_GOOD;
}

#define OFFICE(text, n, begins) { .bytes = text, .key = n, .kind = CERT_KIND_OFFICE, .not_before = NOW - (begins) }

enum fate { FATE_NONE, FATE_HOLD, FATE_HOLD_UNTIL, FATE_REVOKE, FATE_REPLACE };
enum { MOST = 4 };

struct row {
	const char *name;
	struct fake certs[MOST];
	enum fate fates[MOST];
	const char *places; /* a letter a certificate: a address, u unit, d own domain, p partner's domain, q an address there; upper case: purpose verify */
	const char *address; /* NULL: budi@kota.example */
	int later;
	struct opinion opinion;
	enum encrypt_answer want;
	const char *want_asked;
	char want_cert;      /* its letter; 0 = none */
	enum unusable want_unusable;
	enum bound_to want_bound;
	const char *want_why;
};

static const struct row rows[] = {
	{ .name = "one, good", .certs = { OFFICE("a", 1, 10) }, .places = "a", .want = ENCRYPT_FOUND, .want_asked = "a", .want_cert = 'a',
	  .want_bound = BOUND_ADDRESS, .want_why = "bound to the address itself: opinion of a" },
	{ .name = "one, refused", .certs = { OFFICE("a", 1, 10) }, .places = "a", .opinion.not = "a", .want = ENCRYPT_REFUSED,
	  .want_asked = "a", .want_why = "certificate 1: opinion of a" },
	{ .name = "one, not found out", .certs = { OFFICE("a", 1, 10) }, .places = "a", .opinion.unknown = "a",
	  .want = ENCRYPT_UNDECIDED, .want_asked = "a", .want_why = "opinion of a" },

	{ .name = "the newest of three", .certs = { OFFICE("a", 1, 30), OFFICE("b", 2, 10), OFFICE("c", 3, 20) }, .places = "aaa",
	  .want = ENCRYPT_FOUND, .want_asked = "b", .want_cert = 'b', .want_bound = BOUND_ADDRESS },
	{ .name = "as new as another: registered later", .certs = { OFFICE("a", 1, 30), OFFICE("b", 2, 30) }, .places = "aa",
	  .want = ENCRYPT_FOUND, .want_asked = "b", .want_cert = 'b', .want_bound = BOUND_ADDRESS },
	{ .name = "the newest is refused", .certs = { OFFICE("a", 1, 30), OFFICE("b", 2, 10), OFFICE("c", 3, 20) }, .places = "aaa",
	  .opinion.not = "b", .want = ENCRYPT_FOUND, .want_asked = "bc", .want_cert = 'c', .want_bound = BOUND_ADDRESS },
	{ .name = "the newest is not found out, an older one is good", .certs = { OFFICE("a", 1, 30), OFFICE("b", 2, 10) }, .places = "aa",
	  .opinion.unknown = "b", .want = ENCRYPT_FOUND, .want_asked = "ba", .want_cert = 'a', .want_bound = BOUND_ADDRESS },
	{ .name = "one refused, one not found out", .certs = { OFFICE("a", 1, 30), OFFICE("b", 2, 10) }, .places = "aa",
	  .opinion = { .not = "b", .unknown = "a" }, .want = ENCRYPT_UNDECIDED, .want_asked = "ba", .want_why = "certificate 1: opinion of a" },
	{ .name = "one not found out, one refused", .certs = { OFFICE("a", 1, 30), OFFICE("b", 2, 10) }, .places = "aa",
	  .opinion = { .not = "a", .unknown = "b" }, .want = ENCRYPT_UNDECIDED, .want_asked = "ba", .want_why = "certificate 2: opinion of b" },
	{ .name = "all refused: the newest's reason", .certs = { OFFICE("a", 1, 30), OFFICE("b", 2, 10) }, .places = "aa",
	  .opinion.not = "ab", .want = ENCRYPT_REFUSED, .want_asked = "ba", .want_why = "certificate 2: opinion of b" },

	{ .name = "held", .certs = { OFFICE("a", 1, 10) }, .fates = { FATE_HOLD }, .places = "a", .want = ENCRYPT_UNUSABLE,
	  .want_unusable = UNUSABLE_HELD, .want_asked = "", .want_why = "held: suspected" },
	{ .name = "held until earlier than now", .certs = { OFFICE("a", 1, 10) }, .fates = { FATE_HOLD_UNTIL }, .places = "a", .later = 20,
	  .want = ENCRYPT_FOUND, .want_asked = "a", .want_cert = 'a', .want_bound = BOUND_ADDRESS },
	{ .name = "revoked", .certs = { OFFICE("a", 1, 10) }, .fates = { FATE_REVOKE }, .places = "a", .want = ENCRYPT_UNUSABLE,
	  .want_unusable = UNUSABLE_REVOKED, .want_asked = "" },
	{ .name = "replaced: the successor", .certs = { OFFICE("a", 1, 10), OFFICE("b", 2, 20) }, .fates = { FATE_REPLACE }, .places = "a-",
	  .want = ENCRYPT_FOUND, .want_asked = "b", .want_cert = 'b', .want_bound = BOUND_ADDRESS },
	{ .name = "expired", .certs = { { .bytes = "a", .key = 1, .kind = CERT_KIND_OFFICE, .not_before = NOW - 100, .not_after = NOW + 5 } },
	  .places = "a", .later = 20, .want = ENCRYPT_UNUSABLE, .want_unusable = UNUSABLE_EXPIRED, .want_asked = "" },
	{ .name = "in its last second", .certs = { { .bytes = "a", .key = 1, .kind = CERT_KIND_OFFICE, .not_before = NOW - 100,
	  .not_after = NOW + 20 } }, .places = "a", .later = 20, .want = ENCRYPT_FOUND, .want_asked = "a", .want_cert = 'a',
	  .want_bound = BOUND_ADDRESS },
	{ .name = "not yet", .certs = { { .bytes = "a", .key = 1, .kind = CERT_KIND_OFFICE, .not_before = NOW + 50 } }, .places = "a",
	  .want = ENCRYPT_UNUSABLE, .want_unusable = UNUSABLE_NOT_YET, .want_asked = "" },
	{ .name = "the newest is held, an older one in force", .certs = { OFFICE("a", 1, 30), OFFICE("b", 2, 10) },
	  .fates = { FATE_NONE, FATE_HOLD }, .places = "aa", .want = ENCRYPT_FOUND, .want_asked = "a", .want_cert = 'a', .want_bound = BOUND_ADDRESS },
	{ .name = "for verifying only", .certs = { OFFICE("a", 1, 10) }, .places = "A", .want = ENCRYPT_NONE, .want_asked = "",
	  .want_why = "no certificate is bound" },

	{ .name = "the unit's", .certs = { OFFICE("a", 1, 10) }, .places = "u", .want = ENCRYPT_FOUND, .want_asked = "a", .want_cert = 'a',
	  .want_bound = BOUND_UNIT },
	{ .name = "the own domain's", .certs = { OFFICE("a", 1, 10) }, .places = "d", .want = ENCRYPT_FOUND, .want_asked = "a",
	  .want_cert = 'a', .want_bound = BOUND_DOMAIN },
	{ .name = "the own domain's, for an address nobody registered", .certs = { OFFICE("a", 1, 10) }, .places = "d",
	  .address = "siapa@kota.example", .want = ENCRYPT_NONE, .want_asked = "", .want_why = "the address is not" },
	{ .name = "the nearest level alone is asked, whatever the caller says", .certs = { OFFICE("a", 1, 10), OFFICE("b", 2, 10) },
	  .places = "ud", .opinion.not = "a", .want = ENCRYPT_REFUSED, .want_asked = "a" },
	{ .name = "held at the unit: the domain's is not asked", .certs = { OFFICE("a", 1, 10), OFFICE("b", 2, 10) },
	  .fates = { FATE_HOLD }, .places = "ud", .want = ENCRYPT_UNUSABLE, .want_unusable = UNUSABLE_HELD, .want_asked = "" },

	{ .name = "the partner directory: its domain's, for any address", .certs = { OFFICE("a", 1, 10) }, .places = "p",
	  .address = "siapa@Lain.example", .want = ENCRYPT_FOUND, .want_asked = "a", .want_cert = 'a', .want_bound = BOUND_DOMAIN },
	{ .name = "the partner directory: one address's own", .certs = { OFFICE("a", 1, 10), OFFICE("b", 2, 20) }, .places = "pq",
	  .address = "kantor@lain.example", .want = ENCRYPT_FOUND, .want_asked = "b", .want_cert = 'b', .want_bound = BOUND_ADDRESS },
	{ .name = "the partner directory: another address than that", .certs = { OFFICE("a", 1, 10) }, .places = "q",
	  .address = "kantor2@lain.example", .want = ENCRYPT_NONE, .want_asked = "", .want_why = "a partner's domain, without" },
	{ .name = "below a partner's domain", .certs = { OFFICE("a", 1, 10) }, .places = "p", .address = "a@x.lain.example",
	  .want = ENCRYPT_NONE, .want_asked = "", .want_why = "neither" },
	{ .name = "nobody's domain", .certs = { OFFICE("a", 1, 10) }, .places = "p", .address = "a@warga.example", .want = ENCRYPT_NONE,
	  .want_asked = "" },
	{ .name = "no address", .certs = { OFFICE("a", 1, 10) }, .places = "p", .address = "lain.example", .want = ENCRYPT_NONE, .want_asked = "" },
	{ .name = "a person's own", .certs = { { .bytes = "a", .key = 1, .kind = CERT_KIND_PERSON } }, .places = "a", .want = ENCRYPT_FOUND,
	  .want_asked = "a", .want_cert = 'a', .want_bound = BOUND_ADDRESS },
};

static void
bind_at(struct world *w, const char *cert, char place)
{
	struct new_binding binding = { .cert = cert, .purpose = place < 'a' ? PURPOSE_VERIFY : PURPOSE_ENCRYPT };
	struct err err = { 0 };

	switch (place | 0x20) {
	case 'a':
		binding.address = "budi@kota.example";
		break;
	case 'u':
		binding.unit = "DISHUB";
		break;
	case 'd':
		binding.domain = "kota.example";
		break;
	case 'p':
		binding.domain = "lain.example";
		break;
	case 'q':
		binding.address = "kantor@lain.example";
		break;
	}
	if (write_binding_add(w->writer, &binding, NULL, &err) != WRITE_DONE)
		fail_msg("binding at %c: %s", place, err.text);
}

static void
meet(struct world *w, const struct row *row, char names[MOST][24])
{
	struct err err = { 0 };

	for (size_t i = 0; i < MOST; i++) {
		switch (row->fates[i]) {
		case FATE_NONE:
			break;
		case FATE_HOLD:
			must(write_cert_hold(w->writer, names[i], "suspected", 0, NULL, &err));
			break;
		case FATE_HOLD_UNTIL:
			must(write_cert_hold(w->writer, names[i], "suspected", NOW + 20, NULL, &err));
			break;
		case FATE_REVOKE:
			must(write_cert_revoke(w->writer, names[i], "MUTASI", NULL, NULL, &err));
			break;
		case FATE_REPLACE:
			must(write_cert_replace(w->writer, names[i], names[i + 1], NULL, &err));
			break;
		}
	}
}

static void
fill(struct world *w, const struct row *row)
{
	char names[MOST][24];
	struct err err = { 0 };

	world_begin(w);
	must(write_address_add(w->writer, "kantor@lain.example", "DISHUB", NULL, NULL, &err));
	for (size_t i = 0; i < MOST && row->certs[i].bytes; i++)
		add_cert(w, &row->certs[i], names[i]);
	for (size_t i = 0; row->places[i]; i++)
		if (row->places[i] != '-')
			bind_at(w, names[i], row->places[i]);
	meet(w, row, names);
	world_commit(w);
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		const struct row *row = &rows[i];
		struct opinion opinion = row->opinion;
		const struct encrypt_judge judge = { opine, &opinion };
		AUTO_ENCRYPT struct registry_encrypt found = { 0 };
		void *own = NULL;
		struct world *w;

		set_up(&own);
		w = own;
		fill(w, row);
		registry_encrypt(w->reader, row->address ? row->address : "budi@kota.example", NOW + row->later, &judge, &found);
		if (found.answer != row->want || strcmp(opinion.asked, row->want_asked) != 0 || found.unusable != row->want_unusable
		    || (row->want_why && !strstr(found.why, row->want_why)))
			fail_msg("%s: %s, asked '%s', %s: %s", row->name, encrypt_answer_name(found.answer), opinion.asked,
			    unusable_name(found.unusable), found.why);
		assert_int_equal(found.cert.der != NULL, row->want_cert != 0);
		if (row->want_cert && ((char)found.cert.der[0] != row->want_cert || found.cert.bound != row->want_bound))
			fail_msg("%s: certificate %c, bound %d", row->name, found.cert.der[0], found.cert.bound);
		world_teardown(&own);
	}
}

/* So many renewals are nobody's; the newest eight are looked at, in their order. */
static void
test_many(void **state)
{
	struct world *w = *state;
	struct opinion opinion = { .not = "abcdefghijkl" };
	const struct encrypt_judge judge = { opine, &opinion };
	AUTO_ENCRYPT struct registry_encrypt found = { 0 };
	static const char order[] = "fbhdalcjgeki";

	world_begin(w);
	for (int i = 0; order[i]; i++) {
		const char bytes[] = { order[i], '\0' };
		struct fake fake = { .bytes = bytes, .key = i + 1, .kind = CERT_KIND_OFFICE, .not_before = NOW - 1000 + order[i] };
		char name[24];

		add_cert(w, &fake, name);
		bind_at(w, name, 'a');
	}
	world_commit(w);
	registry_encrypt(w->reader, "budi@kota.example", NOW, &judge, &found);
	assert_string_equal(opinion.asked, "lkjihgfe");
	assert_int_equal(found.answer, ENCRYPT_REFUSED);
	assert_int_equal(found.n_candidates, 12);
}

/* A hold counts with the next question; what cannot be asked is no answer at all. */
static void
test_fresh(void **state)
{
	struct world *w = *state;
	struct opinion opinion = { 0 };
	const struct encrypt_judge judge = { opine, &opinion };
	const struct row row = { .certs = { OFFICE("a", 1, 10) }, .places = "a" };
	struct registry_encrypt found = { 0 };
	struct err err = { 0 };

	fill(w, &row);
	registry_encrypt(w->reader, "BUDI@Kota.Example", NOW, &judge, &found);
	assert_int_equal(found.answer, ENCRYPT_FOUND);
	assert_true(found.known);
	registry_encrypt_done(&found);
	world_begin(w);
	must(write_cert_hold(w->writer, "1", "suspected", 0, NULL, &err));
	world_commit(w);
	registry_encrypt(w->reader, "budi@kota.example", NOW, &judge, &found);
	assert_int_equal(found.answer, ENCRYPT_UNUSABLE);
	registry_encrypt_done(&found);
	assert_int_equal(unlink(w->file), 0);
	registry_encrypt(w->reader, "budi@kota.example", NOW, &judge, &found);
	assert_int_equal(found.answer, ENCRYPT_UNAVAILABLE);
	assert_non_null(strstr(found.why, "cannot be opened"));
	assert_null(found.cert.der);
}

static unsigned
capabilities_at(struct world *w, time_t at)
{
	struct opinion opinion = { 0 };
	const struct encrypt_judge judge = { opine, &opinion };
	AUTO_ENCRYPT struct registry_encrypt found = { 0 };

	registry_encrypt(w->reader, "budi@kota.example", at, &judge, &found);
	assert_int_equal(found.answer, ENCRYPT_FOUND);
	return found.capabilities;
}

static void
see(void *ctx, const struct list_cell *cells, size_t n)
{
	char *text = ctx;

	(void)n;
	snprintf(text, 64, "%s", cells[12].kind == LIST_KIND_TEXT ? cells[12].text : "-");
}

static void
test_capabilities(void **state)
{
	struct world *w = *state;
	const struct row row = { .certs = { OFFICE("a", 1, 10), { .bytes = "s", .key = 2, .kind = CERT_KIND_OFFICE, .cannot_encrypt = true } },
		.places = "a" };
	struct err err = { 0 };
	char text[64] = "";
	size_t n;

	fill(w, &row);
	assert_int_equal(capabilities_at(w, NOW), CAPABILITY_NONE);
	w->writer->now = NOW + 5;
	world_begin(w);
	must(write_cert_capabilities(w->writer, "1", CAPABILITY_GCM | CAPABILITY_OAEP, NULL, &err));
	world_commit(w);
	assert_int_equal(capabilities_at(w, NOW + 5), CAPABILITY_GCM | CAPABILITY_OAEP);
	assert_int_equal(capabilities_at(w, NOW + 4), CAPABILITY_NONE);
	assert_string_equal(list_columns(LIST_CERT_DETAIL, &n)[12], "capabilities");
	assert_int_equal(n, 21);
	assert_int_equal(registry_list(w->reader, LIST_CERT_DETAIL, &(struct list_filter){ .at = NOW + 5, .all = true, .id = 1 }, see, text, &err), 0);
	assert_string_equal(text, "gcm oaep");

	w->writer->now = NOW + 10;
	world_begin(w);
	assert_int_equal(write_cert_capabilities(w->writer, "1", CAPABILITY_GCM | CAPABILITY_OAEP, NULL, &err), WRITE_REFUSED);
	assert_non_null(strstr(err.text, "exactly these capabilities already: gcm oaep"));
	write_rollback(w->writer);
	world_begin(w);
	must(write_cert_capabilities(w->writer, "1", CAPABILITY_OAEP, NULL, &err));
	world_commit(w);
	assert_int_equal(capabilities_at(w, NOW + 10), CAPABILITY_OAEP);
	assert_int_equal(capabilities_at(w, NOW + 9), CAPABILITY_GCM | CAPABILITY_OAEP);
	w->writer->now = NOW + 20;
	world_begin(w);
	must(write_cert_capabilities(w->writer, "1", CAPABILITY_NONE, NULL, &err));
	world_commit(w);
	assert_int_equal(capabilities_at(w, NOW + 20), CAPABILITY_NONE);

	world_begin(w);
	assert_int_equal(write_cert_capabilities(w->writer, "2", CAPABILITY_GCM, NULL, &err), WRITE_REFUSED);
	assert_non_null(strstr(err.text, "nothing is encrypted to this certificate"));
	write_rollback(w->writer);
	world_begin(w);
	assert_int_equal(write_cert_capabilities(w->writer, "77", CAPABILITY_GCM, NULL, &err), WRITE_NOT_FOUND);
	write_rollback(w->writer);
}

/* Half a million capabilities are not gone through for one certificate; the index of current ones alone does not serve. */
static void
test_index(void **state)
{
	struct world *w = *state;
	sqlite3_stmt *stmt = NULL;

	assert_int_equal(sqlite3_prepare_v2(w->writer->db, "EXPLAIN QUERY PLAN SELECT k.word FROM capability k WHERE k.cert=?2 AND "
	    SQL_CURRENT("k"), -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_non_null(strstr((const char *)sqlite3_column_text(stmt, 3), "SEARCH k USING INDEX capability_history"));
	sqlite3_finalize(stmt);
}

static void
test_words(void **state)
{
	(void)state;
	assert_int_equal(capability_from("gcm"), CAPABILITY_GCM);
	assert_int_equal(capability_from("oaep"), CAPABILITY_OAEP);
	assert_int_equal(capability_from("GCM"), CAPABILITY_NONE);
	assert_int_equal(capability_from(""), CAPABILITY_NONE);
	assert_string_equal(capability_name(CAPABILITY_GCM), "gcm");
	assert_string_equal(capability_name(CAPABILITY_OAEP), "oaep");
	for (int a = ENCRYPT_UNAVAILABLE; a <= ENCRYPT_FOUND; a++)
		for (int b = ENCRYPT_UNAVAILABLE; b < a; b++)
			assert_string_not_equal(encrypt_answer_name((enum encrypt_answer)a), encrypt_answer_name((enum encrypt_answer)b));
}

static void
expect_unit(struct world *w, const char *address, time_t at, enum unit_answer want, const char *code)
{
	char got[LIMIT_TOKEN_BYTES + 1];

	if (registry_unit_of(w->reader, address, at, got) != want || strcmp(got, code) != 0)
		fail_msg("%s: '%s', wanted %d '%s'", address, got, want, code);
}

static void
test_unit(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };

	world_begin(w);
	must(write_address_add(w->writer, "orang@kota.example", NULL, "Budi", NULL, &err));
	world_commit(w);
	expect_unit(w, "budi@kota.example", NOW, UNIT_FOUND, "DISHUB");
	expect_unit(w, "BUDI@KOTA.example", NOW, UNIT_FOUND, "DISHUB");
	expect_unit(w, "orang@kota.example", NOW, UNIT_NONE, "");
	expect_unit(w, "siapa@kota.example", NOW, UNIT_NONE, "");
	expect_unit(w, "budi@warga.example", NOW, UNIT_NONE, "");
	expect_unit(w, "", NOW, UNIT_NONE, "");
	expect_unit(w, "budi@kota.example", NOW - 5000, UNIT_NONE, "");
	assert_int_equal(registry_has_unit(w->reader, "DISHUB", NOW), UNIT_FOUND);
	assert_int_equal(registry_has_unit(w->reader, "DISHUB", NOW - 5000), UNIT_NONE);
	assert_int_equal(registry_has_unit(w->reader, "dishub", NOW), UNIT_NONE);
	assert_int_equal(registry_has_unit(w->reader, "", NOW), UNIT_NONE);
	world_begin(w);
	must(write_address_end(w->writer, "budi@kota.example", "x", &err));
	world_commit(w);
	expect_unit(w, "budi@kota.example", NOW, UNIT_NONE, "");
	assert_int_equal(unlink(w->file), 0);
	expect_unit(w, "budi@kota.example", NOW, UNIT_UNAVAILABLE, "");
	assert_int_equal(registry_has_unit(w->reader, "DISHUB", NOW), UNIT_UNAVAILABLE);
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

static enum cert_use
say_good(void *ctx, const struct registry_cert *cert, char why[FACT_WHY_BYTES])
{
	(void)ctx;
	(void)cert;
	why[0] = '\0';
	return CERT_USE_GOOD;
}

static void
expect_migrated(struct world *w, time_t at, unsigned capabilities)
{
	const struct encrypt_judge judge = { say_good, NULL };
	AUTO_ENCRYPT struct registry_encrypt found = { 0 };

	registry_encrypt(w->reader, "siapa@tetangga.go.id", at, &judge, &found);
	assert_int_equal(found.answer, ENCRYPT_FOUND);
	assert_int_equal(found.cert.bound, BOUND_DOMAIN);
	assert_int_equal(found.capabilities, capabilities);
}

/* A file that the program of schema 3 made: refused with what to do, then brought up to date by an officer only; its bindings hold. */
static void
test_migrate(void **state)
{
	AUTO(xfree) char *old = read_text("tests/policy/registry/version3.sql");
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
	assert_non_null(strstr(err.text, "has schema 3, this program wants 4; run `segelctl init --migrate`"));
	assert_int_equal(registry_migrate(file, "budi", NOW, false, &from, &err), WRITE_REFUSED);
	must(registry_migrate(file, "root", NOW, true, &from, &err)); /* dry */
	assert_int_equal(registry_open(file, 100, &reader, &err), -1);
	must(registry_migrate(file, "root", NOW, false, &from, &err));
	assert_int_equal(from, 3);
	fresh = schema_of(w->file);
	migrated = schema_of(file);
	assert_string_equal(migrated, fresh);

	registry_close(w->reader);
	w->reader = NULL;
	assert_int_equal(registry_open(file, 100, &w->reader, &err), 0);
	expect_migrated(w, NOW, CAPABILITY_NONE);
	must(registry_write_open(file, "root", NOW + 1, &writer, &err));
	must(write_begin(writer, &err));
	must(write_cert_capabilities(writer, "1", CAPABILITY_GCM, NULL, &err));
	must(write_commit(writer, &err));
	registry_write_close(writer);
	expect_migrated(w, NOW + 2, CAPABILITY_GCM);
}

#define ENCRYPT_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, world_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows), ENCRYPT_TEST(test_many), ENCRYPT_TEST(test_fresh), ENCRYPT_TEST(test_capabilities),
		ENCRYPT_TEST(test_index),
		cmocka_unit_test(test_words), ENCRYPT_TEST(test_unit), ENCRYPT_TEST(test_migrate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
