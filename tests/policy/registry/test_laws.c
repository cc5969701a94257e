/* Each law of the schema: what keeps it passes, what breaks it is refused, whoever writes. */
#include "tests/policy/registry/world.h"

#include "policy/registry/encrypt.h"
#include "policy/registry/schema.h"

/* Certificates: 1 jabatan, 2 revoked, 3 compromised (key 3), 4 held, 5 replaced by 1, 6 individu, 7 signs only. */
static void
fill(struct world *w)
{
	static const struct fake fakes[] = {
		{ .bytes = "one", .key = 1, .kind = CERT_KIND_OFFICE },     { .bytes = "two", .key = 2, .kind = CERT_KIND_OFFICE },
		{ .bytes = "three", .key = 3, .kind = CERT_KIND_OFFICE },   { .bytes = "four", .key = 4, .kind = CERT_KIND_OFFICE },
		{ .bytes = "five", .key = 5, .kind = CERT_KIND_OFFICE },    { .bytes = "six", .key = 6, .kind = CERT_KIND_PERSON },
		{ .bytes = "seven", .key = 7, .kind = CERT_KIND_SYSTEM, .cannot_encrypt = true },
	};
	struct new_binding binding = { .cert = "1", .purpose = PURPOSE_SEAL, .address = "budi@kota.example" };
	struct err err;
	char name[24];

	world_begin(w);
	for (size_t i = 0; i < N_ELEMENTS(fakes); i++)
		add_cert(w, &fakes[i], name);
	must(write_binding_add(w->writer, &binding, NULL, &err));
	must(write_cert_revoke(w->writer, "2", "MUTASI", NULL, NULL, &err));
	must(write_cert_revoke(w->writer, "3", "KUNCI_BOCOR", "found in a mailbox", NULL, &err));
	must(write_cert_hold(w->writer, "4", "reported lost", 0, NULL, &err));
	must(write_cert_replace(w->writer, "5", "1", NULL, &err));
	must(write_cert_capabilities(w->writer, "4", CAPABILITY_GCM, NULL, &err));
	world_commit(w);
}

#define NEW_CERT(bytes, spki, serial)                                                         \
	"INSERT INTO cert(sha256, spki, der, issuer, serial, subject, kind, may_sign, may_encrypt, not_before, not_after," \
	" state, act, state_act) VALUES (segel_sha256(" bytes "), " spki ", " bytes ", 'CN=CA', " serial ", 'x', 'jabatan', 1, 1," \
	" 1, 2000000000, 'aktif', segel_act(), segel_act())"
#define NEW_BINDING(columns, values) \
	"INSERT INTO binding(purpose, decision, from_at, act, " columns ") VALUES ('seal', '', " NOW_TEXT ", segel_act(), " values ")"
#define NEW_REVIEWER(values) "INSERT INTO reviewer(person, login, role, appointment, from_at, act) VALUES (" values ", 1, segel_act())"
#define NEW_CAPABILITY(values) "INSERT INTO capability(cert, word, source, from_at, act) VALUES (" values ", " NOW_TEXT ", segel_act())"
#define CERT(change, id) "UPDATE cert SET state_act=segel_act(), " change " WHERE id=" id
#define END(table, id) "UPDATE " table " SET ended_at=" NOW_TEXT ", end_reason='x', end_act=segel_act() WHERE id=" id

static const struct {
	const char *name;
	const char *sql;
	const char *want; /* part of the refusal; NULL = accepted */
} laws[] = {
	{ "revoked is final: from active it goes", CERT("state='dicabut', code='MUTASI'", "1"), NULL },
	{ "revoked to active", CERT("state='aktif', code=NULL", "2"), "revoked (dicabut) is final" },
	{ "revoked to held", CERT("state='ditahan', code=NULL, reason='x'", "2"), "revoked (dicabut) is final" },
	{ "revoked, with another code", CERT("code='PENSIUN'", "2"), "revoked (dicabut) is final" },
	{ "revoked, compromise found later", CERT("compromised=1", "2"), NULL },
	{ "compromise taken back", CERT("compromised=0", "3"), "revoked (dicabut) is final" },
	{ "revoked without a code", CERT("state='dicabut'", "1"), "CHECK constraint" },
	{ "revoked with an unknown code", CERT("state='dicabut', code='BOSAN'", "1"), "CHECK constraint" },
	{ "a code of compromise that spares the key", CERT("state='dicabut', code='KUNCI_BOCOR'", "1"), "CHECK constraint" },

	{ "hold with a reason", CERT("state='ditahan', reason='x'", "1"), NULL },
	{ "hold without a reason", CERT("state='ditahan'", "1"), "CHECK constraint" },
	{ "hold with a blank reason", CERT("state='ditahan', reason='  '", "1"), "CHECK constraint" },
	{ "hold lifted", CERT("state='aktif', reason=NULL", "4"), NULL },
	{ "replaced back to active", CERT("state='aktif', successor=NULL", "5"), "does not come back" },
	{ "replaced to held", CERT("state='ditahan', reason='x'", "5"), "does not come back" },
	{ "replaced to revoked", CERT("state='dicabut', code='PENSIUN'", "5"), NULL },
	{ "replaced by nobody", CERT("state='diganti'", "1"), "CHECK constraint" },
	{ "replaced by itself", CERT("state='diganti', successor=1", "1"), "CHECK constraint" },
	{ "state without its act", "UPDATE cert SET state='ditahan', reason='x' WHERE id=1", "names the act" },
	{ "state of an older act", "UPDATE cert SET state='ditahan', reason='x', state_act=1 WHERE id=1", "names the act" },

	{ "a capability", NEW_CAPABILITY("1, 'gcm', 'officer'"), NULL },
	{ "a capability, from mail", NEW_CAPABILITY("1, 'oaep', 'mail'"), NULL },
	{ "a capability of a held certificate", NEW_CAPABILITY("4, 'oaep', 'officer'"), NULL },
	{ "a capability again", NEW_CAPABILITY("4, 'gcm', 'mail'"), "has that capability already" },
	{ "a capability under the number of another", "INSERT OR REPLACE INTO capability(id, cert, word, source, from_at, act)"
	    " VALUES (1, 1, 'gcm', 'officer', 1, segel_act())", "has that capability already" },
	{ "a capability that is none", NEW_CAPABILITY("1, 'ccm', 'officer'"), "CHECK constraint" },
	{ "a capability from nowhere", NEW_CAPABILITY("1, 'gcm', 'rumour'"), "CHECK constraint" },
	{ "a capability of a key that only signs", NEW_CAPABILITY("7, 'gcm', 'officer'"), "nothing is encrypted to" },
	{ "a capability of a revoked certificate", NEW_CAPABILITY("2, 'gcm', 'officer'"), "nothing is encrypted to" },
	{ "a capability of a replaced certificate", NEW_CAPABILITY("5, 'gcm', 'officer'"), "nothing is encrypted to" },
	{ "a capability of no certificate", NEW_CAPABILITY("99, 'gcm', 'officer'"), "FOREIGN KEY" },
	{ "a capability ends", END("capability", "1"), NULL },
	{ "a capability becomes another", "UPDATE capability SET word='oaep' WHERE id=1", "what was recorded stays" },
	{ "a capability is deleted", "DELETE FROM capability WHERE id=1", "rows are never deleted" },

	{ "a new certificate", NEW_CERT("x'3031'", "zeroblob(32)", "'a1'"), NULL },
	{ "a certificate again", NEW_CERT("CAST('one' AS BLOB)", "zeroblob(32)", "'a2'"), "is registered" },
	{ "an issuer and serial again", NEW_CERT("x'3031'", "zeroblob(32)", "(SELECT serial FROM cert WHERE id=1)"), "is registered" },
	{ "a hash of other bytes",
	    "INSERT INTO cert(sha256, spki, der, issuer, serial, subject, kind, may_sign, may_encrypt, not_before, not_after,"
	    " state, act, state_act) SELECT segel_sha256(x'31'), spki, x'32', issuer, 'a3', 'x', kind, 1, 1, 1, 2, 'aktif',"
	    " segel_act(), segel_act() FROM cert WHERE id=1", "not that of the DER" },
	{ "a key revoked for compromise", NEW_CERT("x'3031'", "(SELECT spki FROM cert WHERE id=3)", "'a1'"), "never comes back" },
	{ "a key revoked without compromise", NEW_CERT("x'3031'", "(SELECT spki FROM cert WHERE id=2)", "'a1'"), NULL },
	{ "a private key", NEW_CERT("CAST('-----BEGIN PRIVATE KEY-----' AS BLOB)", "zeroblob(32)", "'a1'"), "private keys" },
	{ "an encrypted private key", NEW_CERT("CAST('x-----BEGIN ENCRYPTED PRIVATE KEY-----' AS BLOB)", "zeroblob(32)", "'a1'"),
	    "private keys" },
	{ "a serial that is no hex", NEW_CERT("x'3031'", "zeroblob(32)", "'A1'"), "CHECK constraint" },
	{ "a short spki", NEW_CERT("x'3031'", "zeroblob(31)", "'a1'"), "CHECK constraint" },
	{ "a certificate replaced (OR REPLACE)", "INSERT OR REPLACE INTO cert SELECT id, sha256, spki, issuer, serial, subject, kind,"
	    " may_sign, may_encrypt, not_before, not_after, der, 'aktif', NULL, NULL, 0, NULL, NULL, segel_act(), segel_act()"
	    " FROM cert WHERE id=2", "is registered" },
	{ "a certificate's bytes changed", CERT("der=x'31'", "1"), "never changes" },
	{ "a certificate's kind changed", CERT("kind='sistem'", "1"), "never changes" },
	{ "a certificate's number taken over (OR REPLACE)", "UPDATE OR REPLACE cert SET id=2, state_act=segel_act() WHERE id=1", "never changes" },
	{ "a certificate deleted", "DELETE FROM cert WHERE id=1", "never deleted" },
	{ "all certificates deleted", "DELETE FROM cert", "never deleted" },

	{ "history deleted", "DELETE FROM act WHERE seq=1", "never deleted" },
	{ "history changed", "UPDATE act SET login='x' WHERE seq=1", "never changed" },
	{ "history replaced (OR REPLACE)", "INSERT OR REPLACE INTO act SELECT * FROM act WHERE seq=2", "without a gap" },
	{ "history with a gap", "INSERT INTO act SELECT seq+5, at, officer, login, verb, object, detail FROM act WHERE seq=1", "without a gap" },

	{ "a binding to a unit", NEW_BINDING("cert, unit", "1, 1"), NULL },
	{ "a binding to a domain", NEW_BINDING("cert, domain", "1, 1"), NULL },
	{ "a binding to nothing", NEW_BINDING("cert", "1"), "CHECK constraint" },
	{ "a binding to two things", NEW_BINDING("cert, unit, domain", "1, 1, 1"), "CHECK constraint" },
	{ "a binding to a thing that is not there", NEW_BINDING("cert, unit", "1, 99"), "FOREIGN KEY" },
	{ "a binding of a certificate that is not there", NEW_BINDING("cert, unit", "99, 1"), "FOREIGN KEY" },
	{ "a binding with an end", NEW_BINDING("cert, unit, to_at", "1, 1, 1800000001"), NULL },
	{ "a binding that ends as it begins", NEW_BINDING("cert, unit, to_at", "1, 1, " NOW_TEXT), "CHECK constraint" },
	{ "a binding that ends before", NEW_BINDING("cert, unit, to_at", "1, 1, 1799999999"), "CHECK constraint" },
	{ "a binding twice", NEW_BINDING("cert, address", "1, 1"), "end that binding first" },
	{ "a binding of a revoked certificate", NEW_BINDING("cert, unit", "2, 1"), "not bound any more" },
	{ "a binding of a replaced certificate", NEW_BINDING("cert, unit", "5, 1"), "not bound any more" },
	{ "a binding of a held certificate", NEW_BINDING("cert, unit", "4, 1"), NULL },
	{ "a personal certificate seals", NEW_BINDING("cert, address", "6, 1"), "personal (individu)" },
	{ "a personal certificate of a unit",
	    "INSERT INTO binding(purpose, decision, from_at, act, cert, unit) VALUES ('verify', '', " NOW_TEXT ", segel_act(), 6, 1)",
	    "personal (individu)" },
	{ "a personal certificate of an address",
	    "INSERT INTO binding(purpose, decision, from_at, act, cert, address) VALUES ('verify', '', " NOW_TEXT ", segel_act(), 6, 1)",
	    NULL },
	{ "a signing certificate seals", NEW_BINDING("cert, unit", "7, 1"), NULL },
	{ "a signing certificate encrypts",
	    "INSERT INTO binding(purpose, decision, from_at, act, cert, unit) VALUES ('encrypt', '', " NOW_TEXT ", segel_act(), 7, 1)",
	    "key usage" },
	{ "a binding for no known purpose",
	    "INSERT INTO binding(purpose, decision, from_at, act, cert, unit) VALUES ('decor', '', " NOW_TEXT ", segel_act(), 1, 1)",
	    "CHECK constraint" },
	{ "a binding that begins after expiry",
	    "INSERT INTO binding(purpose, decision, from_at, act, cert, unit) VALUES ('seal', '', 1800001001, segel_act(), 1, 1)",
	    "expires before" },
	{ "a binding ends", END("binding", "1"), NULL },
	{ "a binding ends without a reason", "UPDATE binding SET ended_at=" NOW_TEXT ", end_act=segel_act() WHERE id=1", "CHECK constraint" },
	{ "a binding ended in the past",
	    "UPDATE binding SET ended_at=" NOW_TEXT "-5, end_reason='x', end_act=segel_act() WHERE id=1", "time of the act" },
	{ "a binding ends twice", END("binding", "1") ";" END("binding", "1"), "set once" },
	{ "an end is taken back", END("binding", "1") ";UPDATE binding SET ended_at=NULL WHERE id=1", "an end" },
	{ "a binding moved", "UPDATE binding SET unit=1, address=NULL WHERE id=1", "was recorded stays" },
	{ "a binding's end moved", "UPDATE binding SET to_at=1900000000 WHERE id=1", "was recorded stays" },
	{ "a binding deleted", "DELETE FROM binding", "never deleted" },

	{ "a unit", "INSERT INTO unit(code, name, from_at, act) VALUES ('B', 'b', 1, segel_act())", NULL },
	{ "a unit by an older act", "INSERT INTO unit(code, name, from_at, act) VALUES ('B', 'b', 1, 1)", "only an officer" },
	{ "a unit's code again", "INSERT INTO unit(code, name, from_at, act) VALUES ('DISHUB', 'b', 1, segel_act())", "is registered" },
	{ "a unit's code replaced (OR REPLACE)",
	    "INSERT OR REPLACE INTO unit(code, name, from_at, act) VALUES ('DISHUB', 'b', 1, segel_act())", "is registered" },
	{ "a unit renamed", "UPDATE unit SET name='x' WHERE id=1", "was recorded stays" },
	{ "a unit with an address ends", END("unit", "1"), "still has" },
	{ "a domain with an address ends", END("domain", "1"), "still has" },
	{ "a domain without one ends", END("domain", "2"), NULL },
	{ "a domain in capitals", "INSERT INTO domain(name, kind, fold, from_at, act) VALUES ('A.example', 'own', 0, 1, segel_act())",
	    "CHECK constraint" },
	{ "a domain of an unknown kind", "INSERT INTO domain(name, kind, fold, from_at, act) VALUES ('a.example', 'mine', 0, 1, segel_act())",
	    "CHECK constraint" },
	{ "an address", "INSERT INTO address(address, norm, domain, unit, from_at, act) VALUES"
	    " ('A@kota.example', 'a@kota.example', 1, 1, 1, segel_act())", NULL },
	{ "an address of another domain", "INSERT INTO address(address, norm, domain, unit, from_at, act) VALUES"
	    " ('a@lain.example', 'a@lain.example', 1, 1, 1, segel_act())", "after its @" },
	{ "an address that is not folded", "INSERT INTO address(address, norm, domain, unit, from_at, act) VALUES"
	    " ('A@kota.example', 'A@kota.example', 1, 1, 1, segel_act())", "after its @" },
	{ "an address compared as another", "INSERT INTO address(address, norm, domain, unit, from_at, act) VALUES"
	    " ('A@kota.example', 'b@kota.example', 1, 1, 1, segel_act())", "CHECK constraint" },
	{ "an address of nobody", "INSERT INTO address(address, norm, domain, from_at, act) VALUES"
	    " ('a@kota.example', 'a@kota.example', 1, 1, segel_act())", "CHECK constraint" },
	{ "a login owns an address twice", "INSERT INTO login(login, address, from_at, act) VALUES ('budi', 1, 1, segel_act())", "already" },
	{ "a person of an unknown category", "INSERT INTO person(name, category, from_at, act) VALUES ('X', 'tamu', 1, segel_act())",
	    "CHECK constraint" },
	{ "another person without a rule", "INSERT INTO person(name, category, from_at, act) VALUES ('X', 'lain', 1, segel_act())",
	    "CHECK constraint" },
	{ "another person with a rule",
	    "INSERT INTO person(name, category, policy, from_at, act) VALUES ('X', 'lain', 'Perwal 1', 1, segel_act())", NULL },
	{ "an officer", "INSERT INTO officer(person, login, appointment, from_at, act) VALUES (2, 'budi', 'SK', 1, segel_act())", NULL },
	{ "an officer without a letter", "INSERT INTO officer(person, login, appointment, from_at, act) VALUES (2, 'budi', ' ', 1, segel_act())",
	    "CHECK constraint" },
	{ "an officer twice", "INSERT INTO officer(person, login, appointment, from_at, act) VALUES (2, 'ani', 'SK', 1, segel_act())", "already" },
	{ "the last officer ends", END("officer", "1"), "last officer without a term" },
	{ "the last but one ends", "INSERT INTO officer(person, login, appointment, from_at, act) VALUES (2, 'budi', 'SK', 1, segel_act());"
	    END("officer", "1"), NULL },
	{ "an ended officer goes on", "INSERT INTO officer(person, login, appointment, from_at, act) VALUES (2, 'budi', 'SK', 1, segel_act());"
	    END("officer", "1") "; INSERT INTO unit(code, name, from_at, act) VALUES ('B', 'b', 1, segel_act())", "only an officer" },

	{ "a reviewer", NEW_REVIEWER("2, 'budi', 'analis', 'SK'"), NULL },
	{ "a reviewer without a login", NEW_REVIEWER("2, ' ', 'analis', 'SK'"), "CHECK constraint" },
	{ "a reviewer without a letter", NEW_REVIEWER("2, 'budi', 'analis', ' '"), "CHECK constraint" },
	{ "a reviewer of no known role", NEW_REVIEWER("2, 'budi', 'Analis', 'SK'"), "CHECK constraint" },
	{ "a reviewer without a role", NEW_REVIEWER("2, 'budi', '', 'SK'"), "CHECK constraint" },
	{ "a reviewer who is nobody", NEW_REVIEWER("99, 'budi', 'analis', 'SK'"), "FOREIGN KEY" },
	{ "a login with two roles", NEW_REVIEWER("2, 'budi', 'analis', 'SK'") ";" NEW_REVIEWER("2, 'budi', 'manajer', 'SK'"),
	    "is a reviewer already" },
	{ "a login of two persons", NEW_REVIEWER("2, 'budi', 'analis', 'SK'") ";" NEW_REVIEWER("1, 'budi', 'analis', 'SK'"),
	    "is a reviewer already" },
	{ "a person with two logins", NEW_REVIEWER("2, 'budi', 'analis', 'SK'") ";" NEW_REVIEWER("2, 'budi2', 'manajer', 'SK'"), NULL },
	{ "another role behind the end of the first",
	    NEW_REVIEWER("2, 'budi', 'analis', 'SK'") ";" END("reviewer", "1") ";" NEW_REVIEWER("2, 'budi', 'manajer', 'SK'"), NULL },
	{ "a reviewer's role changed", NEW_REVIEWER("2, 'budi', 'analis', 'SK'") "; UPDATE reviewer SET role='manajer'", "was recorded stays" },
	{ "a reviewer's person changed", NEW_REVIEWER("2, 'budi', 'analis', 'SK'") "; UPDATE reviewer SET person=1", "was recorded stays" },
	{ "a reviewer's term moved", NEW_REVIEWER("2, 'budi', 'analis', 'SK'") "; UPDATE reviewer SET to_at=1900000000", "was recorded stays" },
	{ "a reviewer replaced (OR REPLACE)", NEW_REVIEWER("2, 'budi', 'analis', 'SK'")
	    "; INSERT OR REPLACE INTO reviewer(id, person, login, role, appointment, from_at, act) VALUES (1, 2, 'x', 'manajer', 'SK', 1, segel_act())",
	    "is a reviewer already" },
	{ "a reviewer deleted", NEW_REVIEWER("2, 'budi', 'analis', 'SK'") "; DELETE FROM reviewer", "never deleted" },
	{ "a reviewer by an older act",
	    "INSERT INTO reviewer(person, login, role, appointment, from_at, act) VALUES (2, 'budi', 'analis', 'SK', 1, 1)", "only an officer" },
	{ "a person without addresses ends", END("address", "1") ";" END("person", "2"), NULL },
	{ "a person who reviews ends", END("address", "1") ";" NEW_REVIEWER("2, 'budi', 'analis', 'SK'") ";" END("person", "2"),
	    "appointment as reviewer" },
	{ "a person who reviewed ends",
	    END("address", "1") ";" NEW_REVIEWER("2, 'budi', 'analis', 'SK'") ";" END("reviewer", "1") ";" END("person", "2"), NULL },
	{ "a person who has ended reviews", END("address", "1") ";" END("person", "2") ";" NEW_REVIEWER("2, 'budi', 'analis', 'SK'"),
	    "has ended" },
};

static void
test_laws(void **state)
{
	struct world *w = *state;
	struct err err;

	fill(w);
	for (size_t i = 0; i < N_ELEMENTS(laws); i++) {
		char *text = NULL;
		int rc;

		must(write_begin(w->writer, &err));
		must(writer_act(w->writer, "test", "x", laws[i].name, &err));
		rc = sqlite3_exec(w->writer->db, laws[i].sql, NULL, NULL, &text);
		if (laws[i].want ? rc == SQLITE_OK || !strstr(text, laws[i].want) : rc != SQLITE_OK)
			fail_msg("%s: wanted '%s', got '%s'", laws[i].name, laws[i].want ? laws[i].want : "accepted", text ? text : "accepted");
		sqlite3_free(text);
		write_rollback(w->writer);
	}
}

/* Without an act under way, even our own connection writes nothing. */
static void
test_no_act(void **state)
{
	static const char *const writes[] = {
		"INSERT INTO unit(code, name, from_at, act) VALUES ('B', 'b', 1, 1)",
		"INSERT INTO unit(code, name, from_at, act) VALUES ('B', 'b', 1, segel_act())",
		"UPDATE unit SET ended_at=" NOW_TEXT ", end_act=1 WHERE id=1",
		"INSERT INTO act(seq, at, officer, login, verb, object, detail) SELECT max(seq)+1, 1, 1, 'ani', 'x', '', '' FROM act",
		"UPDATE cert SET state='aktif'",
	};
	struct world *w = *state;

	fill(w);
	for (size_t i = 0; i < N_ELEMENTS(writes); i++)
		assert_int_equal(sqlite3_exec(w->writer->db, writes[i], NULL, NULL, NULL), SQLITE_CONSTRAINT);
}

/* A compromised key takes every certificate of that key along. */
static void
test_compromise_spreads(void **state)
{
	static const struct fake twins[] = {
		{ .bytes = "twin a", .key = 9, .kind = CERT_KIND_OFFICE },
		{ .bytes = "twin b", .key = 9, .kind = CERT_KIND_OFFICE },
		{ .bytes = "other", .key = 8, .kind = CERT_KIND_OFFICE },
	};
	struct world *w = *state;
	struct err err;
	int64_t n = 0;
	char name[3][24];

	world_begin(w);
	for (size_t i = 0; i < 3; i++)
		add_cert(w, &twins[i], name[i]);
	must(write_cert_hold(w->writer, name[1], "x", NOW + 5, NULL, &err));
	must(write_cert_revoke(w->writer, name[0], "DIPAKAI_ORANG_LAIN", NULL, NULL, &err));
	world_commit(w);
	must(writer_ask(w->writer, &n, &err, "SELECT count(*) FROM cert WHERE state='dicabut' AND compromised=1", ""));
	assert_int_equal(n, 2);
	must(writer_ask(w->writer, &n, &err, "SELECT count(*) FROM cert WHERE state='aktif'", ""));
	assert_int_equal(n, 1);
	world_begin(w);
	assert_int_equal(try_cert(w, &(struct fake){ .bytes = "twin c", .key = 9, .kind = CERT_KIND_OFFICE }, &n, &err), WRITE_REFUSED);
	assert_non_null(strstr(err.text, "never comes back"));
	assert_int_equal(try_cert(w, &(struct fake){ .bytes = "twin c", .key = 10, .kind = CERT_KIND_OFFICE }, &n, &err), WRITE_DONE);
}

/* First revoked for another reason, then found to have leaked. */
static void
test_compromise_found_later(void **state)
{
	struct world *w = *state;
	struct err err;
	int64_t n = 0;

	fill(w);
	world_begin(w);
	must(write_cert_revoke(w->writer, "2", "KUNCI_BOCOR", NULL, NULL, &err));
	assert_int_equal(write_cert_revoke(w->writer, "2", "KUNCI_BOCOR", NULL, NULL, &err), WRITE_REFUSED);
	assert_int_equal(try_cert(w, &(struct fake){ .bytes = "new", .key = 2, .kind = CERT_KIND_OFFICE }, &n, &err), WRITE_REFUSED);
	must(writer_ask(w->writer, &n, &err, "SELECT code='MUTASI' AND compromised FROM cert WHERE id=2", ""));
	assert_int_equal(n, 1);
}

/* What stands in the tables, with and without the pragma that our own writer sets. */
static void
refuse_plain(const char *file, const char *pragma)
{
	static const char *const writes[] = {
		"INSERT INTO unit(code, name, from_at, act) VALUES ('B', 'b', 1, 1)",
		"INSERT INTO person(name, category, from_at, act) VALUES ('B', 'asn', 1, 1)",
		"INSERT INTO system(name, from_at, act) VALUES ('B', 1, 1)",
		"INSERT INTO domain(name, kind, fold, from_at, act) VALUES ('b.example', 'own', 0, 1, 1)",
		"INSERT INTO address(address, norm, domain, unit, from_at, act) VALUES ('c@kota.example', 'c@kota.example', 1, 1, 1, 1)",
		"INSERT INTO login(login, address, from_at, act) VALUES ('x', 1, 1, 1)",
		"INSERT INTO officer(person, login, appointment, from_at, act) VALUES (2, 'budi', 'SK', 1, 1)",
		"INSERT INTO reviewer(person, login, role, appointment, from_at, act) VALUES (2, 'budi', 'manajer', 'SK', 1, 1)",
		"INSERT INTO act(seq, at, officer, login, verb, object, detail) SELECT max(seq)+1, 1, 1, 'ani', 'x', '', '' FROM act",
		"INSERT INTO binding(cert, unit, purpose, decision, from_at, act) VALUES (1, 1, 'seal', '', 1, 1)",
		"INSERT OR REPLACE INTO cert SELECT id, sha256, spki, issuer, serial, subject, kind, may_sign, may_encrypt, not_before,"
		" not_after, der, 'aktif', NULL, NULL, 0, NULL, NULL, act, act FROM cert WHERE id=2",
		"REPLACE INTO unit SELECT * FROM unit",
		"UPDATE OR REPLACE cert SET id=2 WHERE id=1",
		"UPDATE cert SET state='aktif', code=NULL WHERE id=2",
		"UPDATE binding SET ended_at=NULL",
		"UPDATE officer SET to_at=NULL",
		"DELETE FROM cert",
		"DELETE FROM act",
		"DELETE FROM binding",
		"DELETE FROM login",
	};
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, pragma, NULL, NULL, NULL), SQLITE_OK);
	for (size_t i = 0; i < N_ELEMENTS(writes); i++) {
		if (sqlite3_exec(db, writes[i], NULL, NULL, NULL) == SQLITE_OK)
			fail_msg("with '%s', a plain connection could do: %s", pragma, writes[i]);
	}
	assert_int_equal(sqlite3_total_changes(db), 0);
	sqlite3_close(db);
}

static void
test_plain_connection(void **state)
{
	struct world *w = *state;

	fill(w);
	refuse_plain(w->file, "PRAGMA recursive_triggers=OFF");
	refuse_plain(w->file, "PRAGMA recursive_triggers=ON; PRAGMA foreign_keys=ON");
}

/* REPLACE on our own connection, with the pragma off: the law does not lean on it. */
static void
test_replace_without_pragma(void **state)
{
	struct world *w = *state;
	struct err err;

	fill(w);
	assert_int_equal(sqlite3_exec(w->writer->db, "PRAGMA recursive_triggers=OFF", NULL, NULL, NULL), SQLITE_OK);
	for (size_t i = 0; i < N_ELEMENTS(laws); i++) {
		if (!strstr(laws[i].name, "OR REPLACE"))
			continue;
		must(write_begin(w->writer, &err));
		must(writer_act(w->writer, "test", "x", "", &err));
		assert_int_equal(sqlite3_exec(w->writer->db, laws[i].sql, NULL, NULL, NULL), SQLITE_CONSTRAINT);
		write_rollback(w->writer);
	}
}

/* Our writer sets what the laws want set. */
static void
test_pragmas(void **state)
{
	static const struct {
		const char *sql;
		int64_t want;
	} pragmas[] = {
		{ "PRAGMA recursive_triggers", 1 }, { "PRAGMA foreign_keys", 1 }, { "PRAGMA synchronous", 2 },
		{ "PRAGMA user_version", SCHEMA_VERSION }, { "PRAGMA application_id", SCHEMA_APPLICATION },
		{ "SELECT count(*) FROM pragma_table_list WHERE schema='main' AND type='table' AND strict=0 AND name NOT LIKE 'sqlite_%'", 0 },
		{ "SELECT count(*) FROM pragma_foreign_key_check", 0 },
	};
	struct world *w = *state;
	struct err err;

	for (size_t i = 0; i < N_ELEMENTS(pragmas); i++) {
		int64_t got = -1;

		must(writer_ask(w->writer, &got, &err, pragmas[i].sql, ""));
		if (got != pragmas[i].want)
			fail_msg("%s is %lld", pragmas[i].sql, (long long)got);
	}
}

/* Every code of the table in C is one the schema takes, with the right say about the key. */
static void
test_codes(void **state)
{
	struct world *w = *state;
	struct err err;
	size_t n = 0;
	bool compromise;

	for (const char *code; (code = revocation_code(n, &compromise)); n++) {
		struct fake fake = { .bytes = code, .key = 20 + (int)n, .kind = CERT_KIND_OFFICE };
		int64_t marked = -1;
		char name[24];

		world_begin(w);
		add_cert(w, &fake, name);
		must(write_cert_revoke(w->writer, name, code, NULL, NULL, &err));
		world_commit(w);
		must(writer_ask(w->writer, &marked, &err, "SELECT compromised FROM cert WHERE CAST(id AS TEXT)=?1", "t", name));
		assert_int_equal(marked, compromise);
	}
	assert_int_equal(n, 14);
}

/* Certificates that are none for people, offices or systems. */
static void
test_import_refuses(void **state)
{
	static const struct {
		const char *name;
		struct cert_facts change;
		const char *want;
	} rows[] = {
		{ "fit", { .is_ca = false }, NULL },
		{ "a CA", { .is_ca = true }, "CA" },
		{ "odd address", { .odd_address = true }, "address" },
		{ "weak signature", { .weak_signature = true }, "SHA-1" },
		{ "other key", { .key = KEY_OTHER }, "RSA" },
		{ "short RSA", { .key = KEY_RSA, .key_bits = 1024 }, "2048" },
		{ "long RSA", { .key = KEY_RSA, .key_bits = 2048 }, NULL },
	};
	struct world *w = *state;

	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct cert_facts facts = fake_facts(&(struct fake){ .bytes = "x", .key = 1 });
		struct err err = { 0 };
		enum write_outcome outcome;

		facts.is_ca = rows[i].change.is_ca;
		facts.odd_address = rows[i].change.odd_address;
		facts.weak_signature = rows[i].change.weak_signature;
		if (rows[i].change.key) {
			facts.key = rows[i].change.key;
			facts.key_bits = rows[i].change.key_bits;
		}
		world_begin(w);
		outcome = write_cert_import(w->writer, (const unsigned char *)"x", 1, &facts, CERT_KIND_OFFICE, NULL, &err);
		if (outcome != (rows[i].want ? WRITE_REFUSED : WRITE_DONE) || (rows[i].want && !strstr(err.text, rows[i].want)))
			fail_msg("%s: %d %s", rows[i].name, outcome, err.text);
		write_rollback(w->writer);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_laws),
		WORLD_TEST(test_no_act),
		WORLD_TEST(test_compromise_spreads),
		WORLD_TEST(test_compromise_found_later),
		WORLD_TEST(test_plain_connection),
		WORLD_TEST(test_replace_without_pragma),
		WORLD_TEST(test_pragmas),
		WORLD_TEST(test_codes),
		WORLD_TEST(test_import_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
