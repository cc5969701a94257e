/* registry_entitle: which certificates all of some recipients have, whatever became of these certificates. */
#include "tests/policy/registry/world.h"

#include "policy/registry/entitle.h"

#define BUDI "budi@kota.example"
#define SITI "siti@kota.example" /* of the same unit */
#define TONO "tono@kota.example" /* of another one */
#define KANTOR "kantor@lain.example"

enum { MOST = 3 };
enum fate { FATE_NONE, FATE_HOLD, FATE_REVOKE, FATE_REPLACE, FATE_UNBIND, FATE_END_ADDRESS };

struct row {
	const char *name;
	const char *places[MOST];    /* of each certificate; b Budi, s Siti, t Tono, u their unit, d domain, q a partner's address, p its domain; V Budi, to verify */
	enum fate fate;              /* of the first */
	enum cert_kind kind;         /* of the first; 0 = an office's */
	const char *addresses[MOST]; /* none = Budi */
	int later;                   /* certificate 1 expires in 5 seconds */
	const char *want;            /* letters in their order, "" = none */
	const char *want_why;
};

static const struct row rows[] = {
	{ .name = "its own", .places = { "b" }, .want = "a", .want_why = "1 certificates" },
	{ .name = "in other letters", .places = { "b" }, .addresses = { "Budi@KOTA.example" }, .want = "a" },
	{ .name = "another's", .places = { "s" }, .want = "", .want_why = "no certificate is bound for purpose encrypt to " BUDI },
	{ .name = "to verify only", .places = { "V" }, .want = "" },
	{ .name = "no recipient at all", .places = { "b" }, .addresses = { "" }, .want = "", .want_why = "no recipient" },
	{ .name = "all levels, the newest first", .places = { "b", "u", "d" }, .want = "cba" },
	{ .name = "one bound twice", .places = { "bu" }, .want = "a" },

	{ .name = "expired", .places = { "b" }, .later = 20, .want = "a" },
	{ .name = "held", .places = { "b" }, .fate = FATE_HOLD, .want = "a" },
	{ .name = "revoked", .places = { "b" }, .fate = FATE_REVOKE, .want = "a" },
	{ .name = "replaced: both", .places = { "b", "" }, .fate = FATE_REPLACE, .want = "ba" },
	{ .name = "a person's own", .places = { "b" }, .kind = CERT_KIND_PERSON, .want = "", .want_why = "a person's own" },
	{ .name = "a person's own, and an office's", .places = { "b", "b" }, .kind = CERT_KIND_PERSON, .want = "b" },
	{ .name = "a system's", .places = { "d" }, .kind = CERT_KIND_SYSTEM, .want = "a" },
	{ .name = "a binding that has ended", .places = { "b", "b" }, .fate = FATE_UNBIND, .want = "b" },
	{ .name = "an address that has ended", .places = { "b" }, .fate = FATE_END_ADDRESS, .want = "" },

	{ .name = "two of one unit", .places = { "u" }, .addresses = { BUDI, SITI }, .want = "a" },
	{ .name = "two, each with one of its own", .places = { "b", "s" }, .addresses = { BUDI, SITI }, .want = "",
	  .want_why = "to " SITI " and the other recipients alike" },
	{ .name = "two, with one in common", .places = { "b", "s", "u" }, .addresses = { BUDI, SITI }, .want = "c" },
	{ .name = "two of two units", .places = { "u" }, .addresses = { BUDI, TONO }, .want = "" },
	{ .name = "two of two units, and the domain's", .places = { "u", "d" }, .addresses = { BUDI, TONO }, .want = "b" },
	{ .name = "the second is not registered", .places = { "d" }, .addresses = { BUDI, "siapa@kota.example" }, .want = "" },
	{ .name = "the second is somebody's elsewhere", .places = { "d" }, .addresses = { BUDI, "x@luar.example" }, .want = "" },
	{ .name = "the first is no address", .places = { "d" }, .addresses = { "\"a b\"@kota.example", BUDI }, .want = "" },
	{ .name = "the same twice", .places = { "b" }, .addresses = { BUDI, BUDI }, .want = "a" },

	{ .name = "a partner's address", .places = { "q" }, .addresses = { KANTOR }, .want = "" },
	{ .name = "a partner's domain", .places = { "p" }, .addresses = { KANTOR }, .want = "" },
};

static int
set_up(void **state)
{
	struct world *w;
	struct err err = { 0 };

	world_setup(state);
	w = *state;
	world_begin(w);
	must(write_unit_add(w->writer, "DINKES", "Dinas Kesehatan", NULL, &err));
	must(write_address_add(w->writer, SITI, "DISHUB", NULL, NULL, &err));
	must(write_address_add(w->writer, TONO, "DINKES", NULL, NULL, &err));
	must(write_address_add(w->writer, KANTOR, "DISHUB", NULL, NULL, &err));
	world_commit(w);
	assert_int_equal(registry_open(w->file, 1000, &w->reader, &err), 0);
	return 0;
}

static int64_t
bind_at(struct world *w, const char *cert, char place)
{
	static const struct {
		char place;
		const char *address, *unit, *domain;
	} places[] = {
		{ 'b', BUDI, NULL, NULL }, { 's', SITI, NULL, NULL }, { 't', TONO, NULL, NULL }, { 'q', KANTOR, NULL, NULL },
		{ 'u', NULL, "DISHUB", NULL }, { 'd', NULL, NULL, "kota.example" }, { 'p', NULL, NULL, "lain.example" }, { 'V', BUDI, NULL, NULL },
	};
	struct new_binding binding = { .cert = cert, .purpose = place == 'V' ? PURPOSE_VERIFY : PURPOSE_ENCRYPT };
	struct err err = { 0 };
	int64_t id = 0;

	for (size_t i = 0; i < N_ELEMENTS(places); i++) {
		if (places[i].place != place)
			continue;
		binding.address = places[i].address;
		binding.unit = places[i].unit;
		binding.domain = places[i].domain;
	}
	if (write_binding_add(w->writer, &binding, &id, &err) != WRITE_DONE)
		fail_msg("binding at %c: %s", place, err.text);
	return id;
}

static void
meet(struct world *w, enum fate fate, const char *cert, const char *next, const char *binding)
{
	struct err err = { 0 };

	switch (fate) {
	case FATE_NONE:
		return;
	case FATE_HOLD:
		must(write_cert_hold(w->writer, cert, "suspected", 0, NULL, &err));
		return;
	case FATE_REVOKE:
		must(write_cert_revoke(w->writer, cert, "MUTASI", NULL, NULL, &err));
		return;
	case FATE_REPLACE:
		must(write_cert_replace(w->writer, cert, next, NULL, &err));
		return;
	case FATE_UNBIND:
		must(write_binding_end(w->writer, binding, "mutasi", &err));
		return;
	case FATE_END_ADDRESS:
		must(write_address_end(w->writer, BUDI, "mutasi", &err));
		return;
	}
}

static void
fill(struct world *w, const struct row *row)
{
	char names[MOST][24] = { "" }, binding[24] = "";

	world_begin(w);
	for (int i = 0; i < MOST && row->places[i]; i++) {
		const char bytes[] = { (char)('a' + i), '\0' };
		const struct fake fake = { .bytes = bytes, .key = i + 1, .kind = i == 0 && row->kind ? row->kind : CERT_KIND_OFFICE,
			.not_before = NOW - 100 + i, .not_after = i == 0 && row->later ? NOW + 5 : 0 };

		add_cert(w, &fake, names[i]);
		for (const char *place = row->places[i]; *place; place++) {
			int64_t id = bind_at(w, names[i], *place);

			if (i == 0)
				snprintf(binding, sizeof(binding), "%lld", (long long)id);
		}
	}
	meet(w, row->fate, names[0], names[1], binding);
	world_commit(w);
}

static void
note_listed(void *ctx, const struct registry_cert *cert)
{
	char *listed = ctx;
	const size_t n = strlen(listed);

	assert_true(n < MOST);
	listed[n] = (char)cert->der[0];
}

/* Looking ahead lists what somebody of ours has, and nothing else. */
static void
check_listed(struct world *w, const struct row *row)
{
	static const char *const ours[] = { BUDI, SITI, TONO };
	char listed[MOST + 1] = "";
	struct err err = { 0 };

	if (registry_each_opening(w->reader, NOW + row->later, note_listed, listed, &err) == -1)
		fail_msg("%s: %s", row->name, err.text);
	for (char cert = 'a'; cert < 'a' + MOST; cert++) {
		size_t n = 0;

		for (size_t i = 0; i < N_ELEMENTS(ours); i++) {
			AUTO_ENTITLE struct registry_entitle found = { 0 };

			registry_entitle(w->reader, &ours[i], 1, NOW + row->later, &found);
			for (size_t c = 0; c < found.n_certs; c++)
				n += found.certs[c].der[0] == (unsigned char)cert;
		}
		if ((n > 0) != (strchr(listed, cert) != NULL))
			fail_msg("%s: certificate %c opens for %zu addresses, listed are '%s'", row->name, cert, n, listed);
	}
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		const struct row *row = &rows[i];
		const char *const budi[] = { BUDI };
		const char *const *addresses = row->addresses[0] ? row->addresses : budi;
		AUTO_ENTITLE struct registry_entitle found = { 0 };
		char got[ENTITLE_CERTS + 1] = "";
		void *own = NULL;
		struct world *w;
		size_t n = 0;

		set_up(&own);
		w = own;
		fill(w, row);
		while (n < MOST && addresses[n] && *addresses[n])
			n += addresses == budi ? MOST : 1;
		registry_entitle(w->reader, addresses, addresses == budi ? 1 : n, NOW + row->later, &found);
		for (size_t c = 0; c < found.n_certs; c++)
			got[c] = (char)found.certs[c].der[0];
		if (strcmp(got, row->want) != 0 || found.answer != (*row->want ? ENTITLE_FOUND : ENTITLE_NONE)
		    || (row->want_why && !strstr(found.why, row->want_why)))
			fail_msg("%s: '%s' (answer %d), wanted '%s': %s", row->name, got, (int)found.answer, row->want, found.why);
		check_listed(w, row);
		world_teardown(&own);
	}
}

/* What could not be asked is no answer. */
static void
test_unavailable(void **state)
{
	struct world *w = *state;
	const char *const addresses[] = { BUDI };
	AUTO_ENTITLE struct registry_entitle found = { 0 };

	fill(w, &rows[0]);
	assert_int_equal(unlink(w->file), 0);
	registry_entitle(w->reader, addresses, 1, NOW, &found);
	assert_int_equal(found.answer, ENTITLE_UNAVAILABLE);
	assert_int_equal(found.n_certs, 0);
	assert_true(found.why[0]);
}

/* So many renewals are nobody's: the newest. */
static void
test_many(void **state)
{
	struct world *w = *state;
	const char *const addresses[] = { BUDI };
	AUTO_ENTITLE struct registry_entitle found = { 0 };

	world_begin(w);
	for (int i = 0; i < ENTITLE_CERTS + 8; i++) {
		const char bytes[] = { (char)('0' + i), '\0' };
		const struct fake fake = { .bytes = bytes, .key = i + 1, .kind = CERT_KIND_OFFICE, .not_before = NOW - 200 + i };
		char name[24];

		add_cert(w, &fake, name);
		bind_at(w, name, 'b');
	}
	world_commit(w);
	registry_entitle(w->reader, addresses, 1, NOW, &found);
	assert_int_equal(found.n_certs, ENTITLE_CERTS);
	assert_int_equal(found.certs[0].der[0], '0' + ENTITLE_CERTS + 7);
	assert_int_equal(found.certs[ENTITLE_CERTS - 1].der[0], '0' + 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test_setup_teardown(test_unavailable, set_up, world_teardown),
		cmocka_unit_test_setup_teardown(test_many, set_up, world_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
