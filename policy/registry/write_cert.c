/* The verbs of write.h for certificates and their bindings. */
#include <stdio.h>
#include <string.h>

#include "policy/registry/db.h"
#include "policy/registry/schema.h"
#include "policy/registry/writer.h"

/* Why certificates are revoked, in the regulations' words. The schema knows the same list. */
static const struct {
	const char *code;
	bool compromise; /* RFC 5280 keyCompromise: the public key never comes back */
} codes[] = {
	{ "KUNCI_HILANG", true }, /* a lost key may be found by somebody else */
	{ "KUNCI_RUSAK", false },
	{ "KUNCI_TAK_DAPAT_DIAKSES", false },
	{ "KUNCI_BOCOR", true },
	{ "DIPAKAI_ORANG_LAIN", true },
	{ "DATA_SALAH", false },
	{ "MUTASI", false },
	{ "TIDAK_MENJABAT", false },
	{ "PENSIUN", false },
	{ "SANKSI", false },
	{ "EVALUASI_OP", false },
	{ "EVALUASI_PSRE", false },
	{ "PERMINTAAN_PEMILIK", false },
	{ "DIGANTI", false },
};

const char *
revocation_code(size_t i, bool *compromise)
{
	if (i >= N_ELEMENTS(codes))
		return NULL;
	if (compromise)
		*compromise = codes[i].compromise;
	return codes[i].code;
}

static int
code_find(const char *code, bool *compromise)
{
	for (size_t i = 0; i < N_ELEMENTS(codes); i++)
		if (strcmp(codes[i].code, code) == 0) {
			*compromise = codes[i].compromise;
			return 0;
		}
	return -1;
}

enum write_outcome
writer_cert(struct registry_writer *writer, const char *cert, int64_t *id, struct err *err)
{
	switch (db_cert_from_text(writer->db, cert, id, err)) {
	case 1:
		return WRITE_DONE;
	case 0:
		return WRITE_NOT_FOUND;
	}
	return WRITE_UNAVAILABLE;
}

/* What no certificate in the registry may be, and why. */
static const char *
unfit(const struct cert_facts *facts)
{
	if (facts->is_ca)
		return "it is a CA's; issuing CAs belong to the trust settings";
	if (facts->odd_address)
		return "it carries an address that is no plain one";
	if (facts->weak_signature)
		return "it is signed with MD5 or SHA-1";
	if (facts->key == KEY_UNKNOWN || facts->key == KEY_OTHER)
		return "its key is neither RSA nor P-256, P-384 or P-521";
	if (facts->key == KEY_RSA && facts->key_bits < 2048)
		return "its RSA key is shorter than 2048 bits";
	return NULL;
}

static void
hash_text(const unsigned char hash[32], char ret[65])
{
	for (size_t i = 0; i < 32; i++)
		snprintf(ret + 2 * i, 3, "%02x", hash[i]);
}

enum write_outcome
write_cert_import(struct registry_writer *writer, const unsigned char *der, size_t len, const struct cert_facts *facts,
    enum cert_kind kind, int64_t *id, struct err *err)
{
	enum write_outcome outcome;
	char hash[65];

	if (unfit(facts))
		return writer_fail(WRITE_REFUSED, err, "this certificate cannot be registered: %s", unfit(facts));
	hash_text(facts->sha256, hash);
	outcome = writer_act(writer, "cert import", hash, cert_kind_name(kind), err);
	if (outcome != WRITE_DONE)
		return outcome;
	return writer_run(writer, id, err,
	    "INSERT INTO cert(sha256, spki, der, issuer, serial, subject, kind, may_sign, may_encrypt, not_before, not_after,"
	    " state, act, state_act) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'aktif', ?12, ?12)", "bbbttttiiiii",
	    facts->sha256, (size_t)32, facts->spki, (size_t)32, der, len, facts->issuer, facts->serial, facts->subject,
	    cert_kind_name(kind), (int64_t)facts->may_sign, (int64_t)facts->may_encrypt, (int64_t)facts->not_before,
	    (int64_t)facts->not_after, writer->act);
}

/* The state as an enum, as it is now: a hold lapses by itself at its end. */
static enum write_outcome
state_of(struct registry_writer *writer, int64_t id, enum cert_state *ret, struct err *err)
{
	int64_t index = 0;
	enum write_outcome outcome = writer_ask(writer, &index, err, "SELECT CASE state WHEN 'aktif' THEN 1"
	    " WHEN 'ditahan' THEN iif(hold_until<=?2, 1, 2) WHEN 'dicabut' THEN 3 WHEN 'diganti' THEN 4 ELSE 0 END"
	    " FROM cert WHERE id=?1", "ii", id, (int64_t)writer->now);

	*ret = (enum cert_state)index;
	return outcome;
}

/* Looks the certificate up and says whether the change of state is one of those wanted (`other` too, if it is one). */
static enum write_outcome
cert_in_state(struct registry_writer *writer, const char *cert, enum cert_state wanted, enum cert_state other, int64_t *id,
    struct err *err)
{
	enum cert_state state = CERT_STATE_UNKNOWN;
	enum write_outcome outcome = writer_cert(writer, cert, id, err);

	if (outcome == WRITE_DONE)
		outcome = state_of(writer, *id, &state, err);
	if (outcome == WRITE_DONE && state != wanted && (state != other || other == CERT_STATE_UNKNOWN))
		return writer_fail(WRITE_REFUSED, err, "certificate %lld is %s; only one that is %s can be changed so%s",
		    (long long)*id, cert_state_name(state), cert_state_name(wanted),
		    state == CERT_STATE_REVOKED ? " (revoked is final)" : "");
	return outcome;
}

static enum write_outcome
act_on_cert(struct registry_writer *writer, const char *verb, int64_t id, const char *detail, struct err *err)
{
	AUTO(xfree) char *object = xasprintf("%lld", (long long)id);

	return writer_act(writer, verb, object, detail, err);
}

static bool
is_blank_text(const char *text)
{
	return !text || strspn(text, " \t\r\n") == strlen(text);
}

enum write_outcome
write_cert_hold(struct registry_writer *writer, const char *cert, const char *reason, time_t until, int64_t *id,
    struct err *err)
{
	int64_t found = 0;
	enum write_outcome outcome = cert_in_state(writer, cert, CERT_STATE_ACTIVE, CERT_STATE_HELD, &found, err);

	if (outcome == WRITE_DONE && is_blank_text(reason))
		return writer_fail(WRITE_REFUSED, err, "a hold needs a reason: what was reported, by whom");
	if (outcome == WRITE_DONE && until && until <= writer->now)
		return writer_fail(WRITE_REFUSED, err, "the hold would end before it begins; give --until a later time, or none");
	if (outcome == WRITE_DONE)
		outcome = act_on_cert(writer, "cert hold", found, reason, err);
	if (outcome == WRITE_DONE)
		outcome = writer_run(writer, NULL, err,
		    "UPDATE cert SET state='ditahan', reason=?2, hold_until=?3, state_act=?4 WHERE id=?1", "itoi",
		    found, reason, (int64_t)until, writer->act);
	if (id)
		*id = found;
	return outcome;
}

enum write_outcome
write_cert_unhold(struct registry_writer *writer, const char *cert, const char *reason, int64_t *id, struct err *err)
{
	int64_t found = 0;
	enum write_outcome outcome = cert_in_state(writer, cert, CERT_STATE_HELD, CERT_STATE_UNKNOWN, &found, err);

	if (outcome == WRITE_DONE && is_blank_text(reason))
		return writer_fail(WRITE_REFUSED, err, "lifting a hold needs a reason: what was found");
	if (outcome == WRITE_DONE)
		outcome = act_on_cert(writer, "cert unhold", found, reason, err);
	if (outcome == WRITE_DONE)
		outcome = writer_run(writer, NULL, err,
		    "UPDATE cert SET state='aktif', reason=NULL, hold_until=NULL, state_act=?2 WHERE id=?1", "ii",
		    found, writer->act);
	if (id)
		*id = found;
	return outcome;
}

/* A revoked one may still turn out to be compromised; nothing else about it changes. */
static enum write_outcome
mark_compromised(struct registry_writer *writer, int64_t id, struct err *err)
{
	int64_t n = 0;
	enum write_outcome outcome = writer_ask(writer, &n, err, "SELECT compromised FROM cert WHERE id=?1", "i", id);

	if (outcome == WRITE_DONE && n)
		return writer_fail(WRITE_REFUSED, err, "certificate %lld is revoked for compromise already; revoked is final",
		    (long long)id);
	if (outcome != WRITE_DONE)
		return outcome;
	return writer_run(writer, NULL, err, "UPDATE cert SET compromised=1, state_act=?2 WHERE id=?1", "ii", id, writer->act);
}

enum write_outcome
write_cert_revoke(struct registry_writer *writer, const char *cert, const char *code, const char *note, int64_t *id,
    struct err *err)
{
	int64_t found = 0;
	bool compromise = false;
	enum cert_state state = CERT_STATE_UNKNOWN;
	enum write_outcome outcome = writer_cert(writer, cert, &found, err);
	AUTO(xfree) char *detail = xasprintf("%s%s%s", code, note ? ": " : "", note ? note : "");

	if (code_find(code, &compromise) == -1)
		return writer_fail(WRITE_REFUSED, err, "'%.40s' is no revocation code; `segelctl cert revoke --help` lists them", code);
	if (id)
		*id = found;
	if (outcome == WRITE_DONE)
		outcome = state_of(writer, found, &state, err);
	if (outcome == WRITE_DONE && state == CERT_STATE_REVOKED && !compromise)
		return writer_fail(WRITE_REFUSED, err, "certificate %lld is dicabut already; revoked is final", (long long)found);
	if (outcome == WRITE_DONE)
		outcome = act_on_cert(writer, "cert revoke", found, detail, err);
	if (outcome != WRITE_DONE)
		return outcome;
	if (state == CERT_STATE_REVOKED)
		return mark_compromised(writer, found, err);
	return writer_run(writer, NULL, err, "UPDATE cert SET state='dicabut', code=?2, reason=?3, compromised=?4,"
	    " hold_until=NULL, state_act=?5 WHERE id=?1", "ittii", found, code, note, (int64_t)compromise, writer->act);
}

/* The new certificate must be able to take the old one's place. */
static enum write_outcome
check_successor(struct registry_writer *writer, int64_t old, int64_t new, struct err *err)
{
	enum cert_state state = CERT_STATE_UNKNOWN;
	int64_t same_kind = 0;
	enum write_outcome outcome = state_of(writer, new, &state, err);

	if (outcome == WRITE_DONE)
		outcome = writer_ask(writer, &same_kind, err,
		    "SELECT a.kind = b.kind AND b.not_after > ?3 FROM cert a, cert b WHERE a.id=?1 AND b.id=?2", "iii", old, new,
		    writer->now);
	if (outcome != WRITE_DONE)
		return outcome;
	if (old == new || state != CERT_STATE_ACTIVE || !same_kind)
		return writer_fail(WRITE_REFUSED, err, "certificate %lld cannot replace %lld: wanted another one that is aktif, "
		    "of the same kind and not expired", (long long)new, (long long)old);
	return WRITE_DONE;
}

#define COPY_BINDINGS                                                                         \
	"INSERT INTO binding(cert, purpose, address, unit, domain, decision, from_at, to_at, act)" \
	" SELECT ?2, o.purpose, o.address, o.unit, o.domain, o.decision, max(o.from_at, ?1), o.to_at, ?4" \
	" FROM binding o LEFT JOIN address a ON a.id=o.address LEFT JOIN unit u ON u.id=o.unit" \
	" LEFT JOIN domain d ON d.id=o.domain"                                                \
	" WHERE o.cert=?3 AND o.ended_at IS NULL AND (o.to_at IS NULL OR o.to_at > ?1)"       \
	" AND a.ended_at IS NULL AND u.ended_at IS NULL AND d.ended_at IS NULL"               \
	" AND NOT EXISTS (SELECT 1 FROM binding n WHERE n.cert=?2 AND n.purpose=o.purpose AND n.ended_at IS NULL" \
	"  AND n.address IS o.address AND n.unit IS o.unit AND n.domain IS o.domain)"

enum write_outcome
write_cert_replace(struct registry_writer *writer, const char *cert, const char *by, int64_t *id, struct err *err)
{
	int64_t old = 0, new = 0;
	enum write_outcome outcome = cert_in_state(writer, cert, CERT_STATE_ACTIVE, CERT_STATE_UNKNOWN, &old, err);
	AUTO(xfree) char *detail = NULL;

	if (outcome == WRITE_DONE)
		outcome = writer_cert(writer, by, &new, err);
	if (outcome == WRITE_DONE)
		outcome = check_successor(writer, old, new, err);
	if (id)
		*id = old;
	detail = xasprintf("by %lld", (long long)new);
	if (outcome == WRITE_DONE)
		outcome = act_on_cert(writer, "cert replace", old, detail, err);
	if (outcome == WRITE_DONE)
		outcome = writer_run(writer, NULL, err, COPY_BINDINGS, "iiii", writer->now, new, old, writer->act);
	if (outcome == WRITE_DONE)
		outcome = writer_run(writer, NULL, err,
		    "UPDATE cert SET state='diganti', successor=?2, reason=NULL, hold_until=NULL, state_act=?3 WHERE id=?1", "iii", old, new,
		    writer->act);
	return outcome;
}

struct target {
	int64_t address, unit, domain;
	const char *text;
};

static enum write_outcome
find_target(struct registry_writer *writer, const struct new_binding *binding, struct target *ret, struct err *err)
{
	*ret = (struct target){ 0 };
	if (!!binding->address + !!binding->unit + !!binding->domain != 1)
		return writer_fail(WRITE_REFUSED, err, "a binding names exactly one of address, unit and domain");
	if (binding->address) {
		ret->text = binding->address;
		return writer_address(writer, binding->address, &ret->address, err);
	}
	if (binding->unit) {
		ret->text = binding->unit;
		return writer_unit(writer, binding->unit, &ret->unit, err);
	}
	ret->text = binding->domain;
	return writer_domain(writer, binding->domain, &ret->domain, err);
}

enum write_outcome
write_binding_add(struct registry_writer *writer, const struct new_binding *binding, int64_t *id, struct err *err)
{
	struct target target;
	int64_t cert, from = binding->from ? binding->from : writer->now;
	enum write_outcome outcome = writer_cert(writer, binding->cert, &cert, err);
	AUTO(xfree) char *detail = NULL;

	if (outcome == WRITE_DONE)
		outcome = find_target(writer, binding, &target, err);
	if (outcome != WRITE_DONE)
		return outcome;
	if (from < writer->now)
		return writer_fail(WRITE_REFUSED, err, "a binding begins now or later: what was decided about earlier mail stays");
	if (binding->to && binding->to <= from)
		return writer_fail(WRITE_REFUSED, err, "the binding would end before it begins; give --to a later time, or none");
	detail = xasprintf("%s %s", purpose_name(binding->purpose), target.text);
	outcome = act_on_cert(writer, "bind add", cert, detail, err);
	if (outcome != WRITE_DONE)
		return outcome;
	return writer_run(writer, id, err, "INSERT INTO binding(cert, purpose, address, unit, domain, decision, from_at, to_at,"
	    " act) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", "itoootioi", cert, purpose_name(binding->purpose), target.address,
	    target.unit, target.domain, binding->decision ? binding->decision : "", from, (int64_t)binding->to, writer->act);
}

enum write_outcome
write_binding_end(struct registry_writer *writer, const char *id, const char *reason, struct err *err)
{
	int64_t found = 0;
	enum write_outcome outcome = writer_ask(writer, &found, err, "SELECT id FROM binding WHERE id=CAST(?1 AS INTEGER) AND CAST(id AS TEXT)=?1", "t", id);

	if (outcome == WRITE_NOT_FOUND)
		return writer_fail(outcome, err, "no binding '%.20s' is registered; `segelctl bind list` shows them", id);
	if (outcome == WRITE_DONE)
		outcome = writer_act(writer, "bind end", id, reason, err);
	if (outcome != WRITE_DONE)
		return outcome;
	return writer_run(writer, NULL, err, "UPDATE binding SET ended_at=?2, end_reason=?3, end_act=?4 WHERE id=?1", "iiti",
	    found, writer->now, reason, writer->act);
}
