/* What Postfix shall demand of a next hop: its forms, the laws of its table, the verbs, the answer. */
#include "tests/policy/registry/world.h"

#include "policy/registry/schema.h"

#define AA "AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA"
#define AA_SMALL "aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa:aa"

static const struct {
	const char *text;
	const char *key;    /* NULL = HOP_NONE, "" = HOP_UNKNOWN */
	const char *domain;
	bool plain;
} hops[] = {
	{ "kota.go.id", "kota.go.id", "kota.go.id", true },
	{ "KOTA.Go.ID.", "kota.go.id", "kota.go.id", true },
	{ "kota.go.id..", NULL, NULL, false },
	{ "kota.go.id:", "kota.go.id", "kota.go.id", true },
	{ ".kota.go.id", ".kota.go.id", "", false },
	{ "..kota.go.id", NULL, NULL, false },
	{ ".kota.go.id:25", NULL, NULL, false },
	{ "kota.go.id:25", "kota.go.id:25", "kota.go.id", false },
	{ "kota.go.id:submission", "kota.go.id:submission", "kota.go.id", false },
	{ "[kota.go.id]:smtp_dinas", "[kota.go.id]:smtp_dinas", "kota.go.id", false },
	{ "kota.go.id:smtp,dinas", NULL, NULL, false },
	{ "kota.go.id:2 5", NULL, NULL, false },
	{ "kota.go.id:25:26", NULL, NULL, false },
	{ "[Mail.kota.go.id]", "[mail.kota.go.id]", "mail.kota.go.id", false },
	{ "[mail.kota.go.id.]:587", "[mail.kota.go.id]:587", "mail.kota.go.id", false },
	{ "[mail.kota.go.id]:", "[mail.kota.go.id]", "mail.kota.go.id", false },
	{ "[mail.kota.go.id", NULL, NULL, false },
	{ "[mail.kota.go.id]587", NULL, NULL, false },
	{ "mail.kota.go.id]", NULL, NULL, false },
	{ "[]", NULL, NULL, false },
	{ "[192.0.2.1]:25", "[192.0.2.1]:25", "", false },
	{ "[2001:DB8::1]", "[2001:db8::1]", "", false },
	{ "[IPv6:2001:db8::1]:25", "[ipv6:2001:db8::1]:25", "", false },
	{ "[2001:db8::g]", NULL, NULL, false },
	{ "b\xc3\xbc" "cher.example", "xn--bcher-kva.example", "xn--bcher-kva.example", true },
	{ "[b\xc3\xbc" "cher.example]:25", "[xn--bcher-kva.example]:25", "xn--bcher-kva.example", false },
	{ "B\xc3\x9c" "CHER.example", "", NULL, false },
	{ "\xef\xbd\x8b" "ota.go.id", "", NULL, false },
	{ "kota.go.id\xff", "", NULL, false },
	{ "/var/spool/s\xc3\xb6" "cket", NULL, NULL, false },
	{ "/var/spool/socket", NULL, NULL, false },
	{ "", NULL, NULL, false },
	{ ".", NULL, NULL, false },
	{ ":25", NULL, NULL, false },
	{ "a b.example", NULL, NULL, false },
	{ "a\nb.example", NULL, NULL, false },
	{ "x@kota.go.id", NULL, NULL, false },
	{ "*", NULL, NULL, false },
};

static void
test_hops(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(hops); i++) {
		char *text = strdup(hops[i].text);
		struct hop hop = { .key = "untouched" };
		enum hop_form want = !hops[i].key ? HOP_NONE : *hops[i].key ? HOP_ONE : HOP_UNKNOWN;

		if (hop_from(text, &hop) != want)
			fail_msg("'%s' is not what was wanted (%s)", hops[i].text, hop.key);
		assert_string_equal(hop.key, want == HOP_ONE ? hops[i].key : "untouched");
		if (want == HOP_ONE) {
			assert_string_equal(hop.domain, hops[i].domain);
			assert_int_equal(hop.plain, hops[i].plain);
		}
		free(text);
	}
}

/* Names at every length up to and beyond what fits. */
static void
test_hop_lengths(void **state)
{
	static const char *const forms[] = { "%s", ".%s", "%s:25", "[%s]:submissions", "[%s]" };

	(void)state;
	for (size_t f = 0; f < N_ELEMENTS(forms); f++) {
		for (size_t len = 1; len < 400; len++) {
			AUTO(xfree) char *name = xcalloc(len + 1, 1);
			AUTO(xfree) char *text = NULL;
			struct hop hop;

			memset(name, 'a', len);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			text = xasprintf(forms[f], name);
#pragma GCC diagnostic pop
			if (hop_from(text, &hop) == HOP_ONE)
				assert_string_equal(hop.key, text);
			else
				assert_true(len > 250);
		}
	}
}

#define NEW(hop, domain, level, matches) \
	"INSERT INTO tls_policy(hop, domain, level, matches, from_at, act) VALUES (" hop ", " domain ", " level ", " matches ", " NOW_TEXT \
	", segel_act())"
#define FIRST NEW("'a.example'", "'a.example'", "'may'", "NULL")

static const struct {
	const char *name;
	const char *sql;
	const char *want; /* part of the refusal; NULL = accepted */
} laws[] = {
	{ "a policy", NEW("'b.example'", "'b.example'", "'secure'", "'mx.b.example .b.example'"), NULL },
	{ "a policy twice", NEW("'a.example'", "'a.example'", "'encrypt'", "NULL"), "end it first" },
	{ "replaced (OR REPLACE)", "INSERT OR REPLACE INTO tls_policy SELECT * FROM tls_policy", "end it first" },
	{ "no such level", NEW("'b.example'", "'b.example'", "'none'", "NULL"), "CHECK constraint" },
	{ "a level in capitals", NEW("'b.example'", "'b.example'", "'SECURE'", "NULL"), "CHECK constraint" },
	{ "capitals in the name", NEW("'B.example'", "'B.example'", "'may'", "NULL"), "CHECK constraint" },
	{ "a blank in the name", NEW("'b example'", "'b example'", "'may'", "NULL"), "CHECK constraint" },
	{ "a line end in the name", NEW("'b' || char(10)", "'b' || char(10)", "'may'", "NULL"), "CHECK constraint" },
	{ "in brackets", NEW("'[b.example]:25'", "'b.example'", "'may'", "NULL"), NULL },
	{ "in brackets, of another name", NEW("'[b.example]:25'", "'c.example'", "'may'", "NULL"), "CHECK constraint" },
	{ "a port", NEW("'b.example:25'", "'b.example'", "'may'", "NULL"), NULL },
	{ "a longer name than the domain", NEW("'b.example.id'", "'b.example'", "'may'", "NULL"), "CHECK constraint" },
	{ "a domain that is not named", NEW("'b.example'", "NULL", "'may'", "NULL"), "CHECK constraint" },
	{ "an address", NEW("'[192.0.2.1]'", "NULL", "'may'", "NULL"), NULL },
	{ "subdomains", NEW("'.b.example'", "NULL", "'may'", "NULL"), NULL },
	{ "a fingerprint", NEW("'b.example'", "'b.example'", "'fingerprint'", "'" AA "'"), NULL },
	{ "fingerprint without one", NEW("'b.example'", "'b.example'", "'fingerprint'", "NULL"), "CHECK constraint" },
	{ "names where none are looked at", NEW("'b.example'", "'b.example'", "'encrypt'", "'mx.b.example'"), "CHECK constraint" },
	{ "an attribute behind a name", NEW("'b.example'", "'b.example'", "'secure'", "'mx protocols=!TLSv1'"), "CHECK constraint" },
	{ "a comma", NEW("'b.example'", "'b.example'", "'secure'", "'mx,ciphers'"), "CHECK constraint" },
	{ "a tab", NEW("'b.example'", "'b.example'", "'secure'", "'mx' || char(9) || 'ciphers'"), "CHECK constraint" },
	{ "another separator", NEW("'b.example'", "'b.example'", "'secure'", "'mx|my'"), "CHECK constraint" },
	{ "an official domain", NEW("'kota.example'", "'kota.example'", "'encrypt'", "NULL"), NULL },
	{ "an official domain in clear", NEW("'kota.example'", "'kota.example'", "'may'", "NULL"), "is official" },
	{ "an official domain by dane", NEW("'kota.example'", "'kota.example'", "'dane'", "NULL"), "is official" },
	{ "an official domain by dane-only", NEW("'kota.example'", "'kota.example'", "'dane-only'", "NULL"), NULL },
	{ "a partner in clear", NEW("'lain.example'", "'lain.example'", "'may'", "NULL"), "is official" },
	{ "an official domain and port in clear", NEW("'kota.example:25'", "'kota.example'", "'may'", "NULL"), "is official" },
	{ "a policy ends", "UPDATE tls_policy SET ended_at=" NOW_TEXT ", end_act=segel_act()", NULL },
	{ "a policy ended in the past", "UPDATE tls_policy SET ended_at=" NOW_TEXT "-1, end_act=segel_act()", "time of the act" },
	{ "a policy changed", "UPDATE tls_policy SET level='encrypt'", "was recorded stays" },
	{ "a policy moved", "UPDATE tls_policy SET hop='c.example', domain='c.example'", "was recorded stays" },
	{ "a policy deleted", "DELETE FROM tls_policy", "never deleted" },
};

static void
test_laws(void **state)
{
	struct world *w = *state;
	struct err err;

	world_begin(w);
	must(writer_act(w->writer, "test", "x", "", &err));
	assert_int_equal(sqlite3_exec(w->writer->db, FIRST, NULL, NULL, NULL), SQLITE_OK);
	world_commit(w);
	for (size_t i = 0; i < N_ELEMENTS(laws); i++) {
		int rc;

		world_begin(w);
		must(writer_act(w->writer, "test", "x", "", &err));
		rc = sqlite3_exec(w->writer->db, laws[i].sql, NULL, NULL, NULL);
		if (laws[i].want ? rc != SQLITE_CONSTRAINT || !strstr(sqlite3_errmsg(w->writer->db), laws[i].want) : rc != SQLITE_OK)
			fail_msg("%s: %s", laws[i].name, sqlite3_errmsg(w->writer->db));
		write_rollback(w->writer);
	}
}

/* Whoever is no officer, and whatever other program it is. */
static void
test_plain_connection(void **state)
{
	static const char *const writes[] = {
		"INSERT INTO tls_policy(hop, domain, level, from_at, act) VALUES ('b.example', 'b.example', 'may', 1, 1)",
		"UPDATE tls_policy SET level='may'", "DELETE FROM tls_policy",
	};
	struct world *w = *state;
	struct new_tls new = { .hop = "a.example", .level = HOP_LEVEL_SECURE };
	sqlite3 *db = NULL;
	struct err err;

	world_begin(w);
	must(write_tls_set(w->writer, &new, NULL, &err));
	world_commit(w);
	assert_int_equal(sqlite3_open_v2(w->file, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	for (size_t i = 0; i < N_ELEMENTS(writes); i++)
		assert_int_not_equal(sqlite3_exec(db, writes[i], NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_total_changes(db), 0);
	sqlite3_close(db);
}

static const struct {
	const char *name;
	const char *hop;
	enum hop_level level;
	const char *matches[4];
	const char *want;  /* what is kept as matches; NULL = refused, with `part` */
	const char *part;
} verbs[] = {
	{ "names", "B.example.", HOP_LEVEL_SECURE, { "MX.b.example", ".b.example", "dot-nexthop" }, "mx.b.example .b.example dot-nexthop", NULL },
	{ "none", "b.example", HOP_LEVEL_VERIFY, { NULL }, "", NULL },
	{ "a fingerprint", "b.example", HOP_LEVEL_FINGERPRINT, { AA_SMALL }, AA, NULL },
	{ "two fingerprints", "b.example", HOP_LEVEL_FINGERPRINT, { AA_SMALL, AA }, AA " " AA, NULL },
	{ "no fingerprint", "b.example", HOP_LEVEL_FINGERPRINT, { NULL }, NULL, "at least one" },
	{ "a name as fingerprint", "b.example", HOP_LEVEL_FINGERPRINT, { "mx.b.example" }, NULL, "32 bytes" },
	{ "a SHA-1", "b.example", HOP_LEVEL_FINGERPRINT, { "AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA" }, NULL, "32 bytes" },
	{ "one byte more", "b.example", HOP_LEVEL_FINGERPRINT, { AA ":AA" }, NULL, "32 bytes" },
	{ "a wrong separator", "b.example", HOP_LEVEL_FINGERPRINT, { "AA-" AA }, NULL, "32 bytes" },
	{ "a fingerprint as name", "b.example", HOP_LEVEL_SECURE, { AA }, NULL, "wanted hostname" },
	{ "names with encrypt", "b.example", HOP_LEVEL_ENCRYPT, { "mx.b.example" }, NULL, "looks at no name" },
	{ "names with may", "b.example", HOP_LEVEL_MAY, { "mx.b.example" }, NULL, "looks at no name" },
	{ "names with dane", "b.example", HOP_LEVEL_DANE, { "mx.b.example" }, NULL, "looks at no name" },
	{ "names with dane-only", "b.example", HOP_LEVEL_DANE_ONLY, { "mx.b.example" }, NULL, "looks at no name" },
	{ "an attribute in a name", "b.example", HOP_LEVEL_SECURE, { "mx.b.example protocols=!TLSv1.3" }, NULL, "wanted hostname" },
	{ "a comma in a name", "b.example", HOP_LEVEL_SECURE, { "mx.b.example,ciphers=null" }, NULL, "wanted hostname" },
	{ "a line end in a name", "b.example", HOP_LEVEL_SECURE, { "mx.b.example\nmay" }, NULL, "wanted hostname" },
	{ "a separator in a name", "b.example", HOP_LEVEL_SECURE, { "mx.b.example:evil.example" }, NULL, "wanted hostname" },
	{ "a pipe in a name", "b.example", HOP_LEVEL_SECURE, { "mx.b.example|evil.example" }, NULL, "wanted hostname" },
	{ "an empty name", "b.example", HOP_LEVEL_SECURE, { "" }, NULL, "wanted hostname" },
	{ "a mistyped word", "b.example", HOP_LEVEL_SECURE, { "next-hop" }, NULL, "wanted hostname" },
	{ "no level", "b.example", HOP_LEVEL_UNKNOWN, { NULL }, NULL, "no such level" },
	{ "no next hop", "b example", HOP_LEVEL_ENCRYPT, { NULL }, NULL, "no next hop" },
	{ "an address of mail", "x@b.example", HOP_LEVEL_ENCRYPT, { NULL }, NULL, "no next hop" },
	{ "in clear", "b.example", HOP_LEVEL_MAY, { NULL }, "", NULL },
	{ "official in clear", "kota.example", HOP_LEVEL_MAY, { NULL }, NULL, "'kota.example' is a registered, official domain" },
	{ "official by dane", "KOTA.example.", HOP_LEVEL_DANE, { NULL }, NULL, "TLSA" },
	{ "official, in brackets, in clear", "[kota.example]:25", HOP_LEVEL_MAY, { NULL }, NULL, "official" },
	{ "a partner in clear", "lain.example:25", HOP_LEVEL_MAY, { NULL }, NULL, "official" },
	{ "subdomains of an official one", ".kota.example", HOP_LEVEL_MAY, { NULL }, "", NULL },
	{ "official, encrypted", "kota.example", HOP_LEVEL_ENCRYPT, { NULL }, "", NULL },
	{ "official, by dane only", "kota.example", HOP_LEVEL_DANE_ONLY, { NULL }, "", NULL },
};

static size_t
count_matches(const char *const *matches)
{
	size_t n = 0;

	while (matches[n])
		n++;
	return n;
}

static void
test_verbs(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < N_ELEMENTS(verbs); i++) {
		struct new_tls new = { .hop = verbs[i].hop, .level = verbs[i].level, .matches = verbs[i].matches,
			.n_matches = count_matches(verbs[i].matches), .decision = "SK 9/2026" };
		struct err err = { 0 };
		enum write_outcome outcome;
		int64_t n = 0;

		world_begin(w);
		outcome = write_tls_set(w->writer, &new, NULL, &err);
		if (outcome != (verbs[i].want ? WRITE_DONE : WRITE_REFUSED) || (!verbs[i].want && !strstr(err.text, verbs[i].part)))
			fail_msg("%s: %d %s", verbs[i].name, (int)outcome, err.text);
		if (verbs[i].want) {
			must(writer_ask(w->writer, &n, &err, "SELECT coalesce(matches, '')=?1 AND decision='SK 9/2026' FROM tls_policy", "t",
			    verbs[i].want));
			if (!n)
				fail_msg("%s: other matches were kept", verbs[i].name);
		}
		write_rollback(w->writer);
	}
}

static void
set(struct world *w, const char *hop, enum hop_level level, const char *match)
{
	struct new_tls new = { .hop = hop, .level = level, .matches = &match, .n_matches = match != NULL };
	struct err err = { 0 };

	if (write_tls_set(w->writer, &new, NULL, &err) != WRITE_DONE)
		fail_msg("%s", err.text);
}

static void
expect(struct world *w, const char *hop, time_t at, const char *want, const char *why)
{
	struct tls_policy policy;
	char got[TLS_MATCH_BYTES + 64];

	registry_tls(w->reader, hop, at, &policy);
	switch (policy.answer) {
	case TLS_UNAVAILABLE:
		snprintf(got, sizeof(got), "unavailable");
		break;
	case TLS_NONE:
		snprintf(got, sizeof(got), "none");
		break;
	case TLS_FOUND:
		snprintf(got, sizeof(got), "%s%s%s%s", hop_level_name(policy.level), *policy.match ? " " : "", policy.match,
		    policy.raised ? " raised" : "");
		break;
	}
	if (strcmp(got, want) != 0 || !strstr(policy.why, why))
		fail_msg("%s: got '%s' (%s), wanted '%s' (%s)", hop, got, policy.why, want, why);
}

static const struct {
	const char *hop, *want, *why;
} answers[] = {
	{ "asing.example", "none", "no registered domain" },
	{ "kota.example", "secure mx.kota.example", "the policy of 'kota.example'" },
	{ "KOTA.EXAMPLE.", "secure mx.kota.example", "" },
	{ "kota.example:25", "encrypt", "an own domain and has no policy" },
	{ "[kota.example]", "encrypt", "own" },
	{ "[kota.example]:587", "verify", "" },
	{ "lain.example", "encrypt", "a partner's domain" },
	{ "sub.lain.example", "none", "" },
	{ ".lain.example", "none", "" },
	{ "kantor.kota.example", "none", "" },     /* Postfix goes on to ... */
	{ ".kota.example", "encrypt", "" },
	{ "resmi.kota.example", "encrypt", "the policy of '.kota.example'" }, /* registered: the parent's is looked up here */
	{ "resmi.kuat.example", "secure .kuat.example", "the policy of '.kuat.example'" },
	{ "resmi.kuat.example:25", "encrypt", "has no policy of its own" },
	{ "resmi.lemah.example", "encrypt raised", "gets 'encrypt'" },
	{ "biasa.example", "may", "" },
	{ "[192.0.2.1]:25", "dane", "" },
	{ "kelak.example", "encrypt raised", "'may', which lets mail go in clear" },
	{ "kelak-dane.example", "encrypt raised", "'dane'" },
	{ "[kelak.example]:25", "encrypt raised", "'may'" },
	{ "/var/run/socket", "none", "no domain, host or address" },
	{ "K\xc3\x96TA.example", "unavailable", "cannot be compared" },
};

static void
open_reader(struct world *w)
{
	struct err err;

	if (registry_open(w->file, 100, &w->reader, &err) == -1)
		fail_msg("%s", err.text);
}

static void
fill(struct world *w)
{
	static const char *const late[] = { "kelak.example", "kelak-dane.example", "resmi.kota.example", "resmi.kuat.example", "resmi.lemah.example" };
	struct err err;

	world_begin(w);
	set(w, "kota.example", HOP_LEVEL_SECURE, "mx.kota.example");
	set(w, "[kota.example]:587", HOP_LEVEL_VERIFY, NULL);
	set(w, ".kota.example", HOP_LEVEL_ENCRYPT, NULL);
	set(w, ".example", HOP_LEVEL_FINGERPRINT, AA);
	must(write_tls_end(w->writer, ".example", NULL, &err));
	set(w, ".kuat.example", HOP_LEVEL_SECURE, ".kuat.example");
	set(w, ".lemah.example", HOP_LEVEL_MAY, NULL);
	set(w, "biasa.example", HOP_LEVEL_MAY, NULL);
	set(w, "[192.0.2.1]:25", HOP_LEVEL_DANE, NULL);
	set(w, "kelak.example", HOP_LEVEL_MAY, NULL);
	set(w, "[kelak.example]:25", HOP_LEVEL_MAY, NULL);
	set(w, "kelak-dane.example", HOP_LEVEL_DANE, NULL);
	world_commit(w);
	w->writer->now = NOW + 10;
	world_begin(w);
	for (size_t i = 0; i < N_ELEMENTS(late); i++)
		must(write_domain_add(w->writer, late[i], "shared", false, NULL, &err));
	world_commit(w);
	open_reader(w);
}

static void
test_answers(void **state)
{
	struct world *w = *state;

	fill(w);
	for (size_t i = 0; i < N_ELEMENTS(answers); i++)
		expect(w, answers[i].hop, NOW + 20, answers[i].want, answers[i].why);
	/* Before it was registered. */
	expect(w, "kelak.example", NOW + 5, "may", "");
}

/* A policy counts from when it is set until it ends; a domain's end is the end of its least. */
static void
test_time(void **state)
{
	struct world *w = *state;
	struct err err = { 0 };

	fill(w);
	expect(w, "kota.example", NOW - 1, "encrypt", "has no policy");
	w->writer->now = NOW + 30;
	world_begin(w);
	set(w, "kota.example", HOP_LEVEL_DANE_ONLY, NULL);
	must(write_tls_end(w->writer, "biasa.example.", "x", &err));
	assert_int_equal(write_tls_end(w->writer, "biasa.example", "x", &err), WRITE_NOT_FOUND);
	assert_non_null(strstr(err.text, "has no TLS policy"));
	must(write_domain_end(w->writer, "lain.example", "x", &err));
	must(write_domain_end(w->writer, "kelak.example", "x", &err));
	world_commit(w);
	expect(w, "kota.example", NOW + 29, "secure mx.kota.example", "");
	expect(w, "kota.example", NOW + 30, "dane-only", "");
	expect(w, "biasa.example", NOW + 29, "may", "");
	expect(w, "biasa.example", NOW + 30, "none", "");
	expect(w, "lain.example", NOW + 29, "encrypt", "");
	expect(w, "lain.example", NOW + 30, "none", "");
	expect(w, "kelak.example", NOW + 30, "may", "");
}

/* Each way in which the registry cannot be asked is its own answer, never "none". */
static void
test_unavailable(void **state)
{
	struct world *w = *state;
	char other[128];
	sqlite3 *db = NULL;

	fill(w);
	snprintf(other, sizeof(other), "%s/other.db", w->dir);
	assert_int_equal(rename(w->file, other), 0);
	expect(w, "asing.example", NOW + 20, "unavailable", "cannot be opened");
	expect(w, "kota.example", NOW + 20, "unavailable", "cannot be opened");
	assert_int_equal(rename(other, w->file), 0);
	expect(w, "asing.example", NOW + 20, "none", "");

	assert_int_equal(sqlite3_open_v2(w->file, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=5", NULL, NULL, NULL), SQLITE_OK);
	expect(w, "kota.example", NOW + 20, "unavailable", "schema 5");
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version=4", NULL, NULL, NULL), SQLITE_OK);
	expect(w, "kota.example", NOW + 20, "secure mx.kota.example", "");
	sqlite3_close(db);
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

/* A file that the program of schema 1 made: refused with what to do, then brought up to date by an officer only. */
static void
test_migrate(void **state)
{
	AUTO(xfree) char *old = read_text("tests/policy/registry/version1.sql");
	struct world *w = *state;
	struct registry_writer *writer = NULL;
	struct err err = { 0 };
	char file[128];
	int from = 0;

	snprintf(file, sizeof(file), "%s/old.db", w->dir);
	run_sql(file, "PRAGMA journal_mode=WAL");
	run_sql(file, old);
	assert_int_equal(registry_open(file, 100, &w->reader, &err), -1);
	assert_non_null(strstr(err.text, "has schema 1, this program wants 4; run `segelctl init --migrate`"));
	assert_int_equal(registry_write_open(file, "root", NOW, &writer, &err), WRITE_UNAVAILABLE);
	assert_int_equal(registry_migrate(file, "budi", NOW, false, &from, &err), WRITE_REFUSED);
	must(registry_migrate(file, "root", NOW, true, &from, &err)); /* dry */
	assert_int_equal(registry_open(file, 100, &w->reader, &err), -1);
	must(registry_migrate(file, "root", NOW, false, &from, &err));
	assert_int_equal(from, 1);
	must(registry_migrate(file, "root", NOW, false, &from, &err));
	assert_int_equal(from, 4);

	must(registry_write_open(file, "root", NOW + 1, &writer, &err));
	must(write_begin(writer, &err));
	must(write_tls_set(writer, &(struct new_tls){ .hop = "tetangga.go.id", .level = HOP_LEVEL_SECURE }, NULL, &err));
	assert_int_equal(write_tls_set(writer, &(struct new_tls){ .hop = "kota.go.id", .level = HOP_LEVEL_MAY }, NULL, &err), WRITE_REFUSED);
	must(write_commit(writer, &err));
	registry_write_close(writer);
	assert_int_equal(registry_open(file, 100, &w->reader, &err), 0);
	expect(w, "tetangga.go.id", NOW + 2, "secure", "the policy of");
	expect(w, "kota.go.id", NOW + 2, "encrypt", "an own domain");
	assert_int_equal(registry_login(w->reader, "budi", "dinas@kota.go.id", NOW + 2), LOGIN_OWNS);
}

/* Every level has one name, which leads back; zero is none and weak. */
static void
test_levels(void **state)
{
	(void)state;
	for (int level = HOP_LEVEL_MAY; level <= HOP_LEVEL_SECURE; level++) {
		assert_int_equal(hop_level_from(hop_level_name((enum hop_level)level)), level);
		assert_int_equal(hop_level_is_weak((enum hop_level)level), level <= HOP_LEVEL_DANE);
	}
	assert_int_equal(hop_level_from("none"), HOP_LEVEL_UNKNOWN);
	assert_int_equal(hop_level_from("unknown"), HOP_LEVEL_UNKNOWN);
	assert_true(hop_level_is_weak(HOP_LEVEL_UNKNOWN));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hops),
		cmocka_unit_test(test_hop_lengths),
		cmocka_unit_test(test_levels),
		WORLD_TEST(test_laws),
		WORLD_TEST(test_plain_connection),
		WORLD_TEST(test_verbs),
		WORLD_TEST(test_answers),
		WORLD_TEST(test_time),
		WORLD_TEST(test_unavailable),
		WORLD_TEST(test_migrate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
