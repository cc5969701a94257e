/* The verb of write.h for what a certificate's owner can read. */
#include <stdlib.h>

#include "policy/registry/encrypt.h"
#include "policy/registry/schema.h"
#include "policy/registry/writer.h"

static const enum capability all[] = { CAPABILITY_GCM, CAPABILITY_OAEP };

static enum write_outcome
current(struct registry_writer *writer, int64_t cert, unsigned *ret, struct err *err)
{
	int64_t n = 0;

	*ret = 0;
	for (size_t i = 0; i < N_ELEMENTS(all); i++) {
		enum write_outcome outcome = writer_ask(writer, &n, err,
		    "SELECT count(*) FROM capability WHERE cert=?1 AND word=?2 AND ended_at IS NULL", "it", cert, capability_name(all[i]));

		if (outcome != WRITE_DONE)
			return outcome;
		if (n)
			*ret |= all[i];
	}
	return WRITE_DONE;
}

static enum write_outcome
change(struct registry_writer *writer, int64_t cert, enum capability capability, bool has, const char *source, struct err *err)
{
	if (has)
		return writer_run(writer, NULL, err, "INSERT INTO capability(cert, word, source, from_at, act) VALUES (?1, ?2, ?5, ?3, ?4)",
		    "itiit", cert, capability_name(capability), writer->now, writer->act, source);
	return writer_run(writer, NULL, err, "UPDATE capability SET ended_at=?3, end_reason='set anew', end_act=?4"
	    " WHERE cert=?1 AND word=?2 AND ended_at IS NULL", "itii", cert, capability_name(capability), writer->now, writer->act);
}

static char *
words_of(unsigned capabilities)
{
	const char *gcm = capabilities & CAPABILITY_GCM ? "gcm" : "", *oaep = capabilities & CAPABILITY_OAEP ? "oaep" : "";

	return capabilities ? xasprintf("%s%s%s", gcm, *gcm && *oaep ? " " : "", oaep) : xstrdup("none");
}

/* Exactly these from now on. `detail` NULL: only their words. */
static enum write_outcome
set(struct registry_writer *writer, int64_t cert, unsigned capabilities, const char *source, const char *detail, struct err *err)
{
	AUTO(xfree) char *words = words_of(capabilities);
	AUTO(xfree) char *object = xasprintf("%lld", (long long)cert);
	AUTO(xfree) char *record = detail ? xasprintf("%s %s", words, detail) : xstrdup(words);
	unsigned before = 0;
	enum write_outcome outcome = current(writer, cert, &before, err);

	if (outcome == WRITE_DONE && before == capabilities)
		return writer_fail(WRITE_REFUSED, err, "certificate %lld has exactly these capabilities already: %s", (long long)cert, words);
	if (outcome == WRITE_DONE)
		outcome = writer_act(writer, "cert set-capability", object, record, err);
	for (size_t i = 0; i < N_ELEMENTS(all) && outcome == WRITE_DONE; i++)
		if ((before ^ capabilities) & all[i])
			outcome = change(writer, cert, all[i], (capabilities & all[i]) != 0, source, err);
	return outcome;
}

enum write_outcome
write_cert_capabilities(struct registry_writer *writer, const char *cert, unsigned capabilities, int64_t *id, struct err *err)
{
	int64_t found = 0;
	enum write_outcome outcome = writer_cert(writer, cert, &found, err);

	if (id)
		*id = found;
	return outcome == WRITE_DONE ? set(writer, found, capabilities, "officer", NULL, err) : outcome;
}

/* ---- seen in mail ---- */

static enum write_outcome
find_signer(struct registry_writer *writer, const unsigned char sha256[32], int64_t *ret, struct err *err)
{
	enum write_outcome outcome = writer_ask(writer, ret, err, "SELECT id FROM cert WHERE sha256=?1", "b", sha256, (size_t)32);

	return outcome == WRITE_NOT_FOUND ? writer_fail(WRITE_REFUSED, err, "the mail is signed with a certificate that is not in the registry")
	    : outcome;
}

static enum write_outcome
signer_in_force(struct registry_writer *writer, int64_t signer, struct err *err)
{
	int64_t n = 0;
	enum write_outcome outcome = writer_ask(writer, &n, err, "SELECT count(*) FROM cert WHERE id=?2 AND not_before<=?1 AND ?1<not_after"
	    " AND (state='aktif' OR (state='ditahan' AND hold_until<=?1))", "ii", writer->now, signer);

	if (outcome == WRITE_DONE && n == 0)
		return writer_fail(WRITE_REFUSED, err, "the mail is signed with certificate %lld, which is not in force (segelctl cert show %lld)",
		    (long long)signer, (long long)signer);
	return outcome;
}

/* A certificate that only encrypts cannot sign: then one that signs at the same place speaks for it. */
static enum write_outcome
signer_speaks(struct registry_writer *writer, int64_t signer, int64_t cert, struct err *err)
{
	int64_t n = 0;
	enum write_outcome outcome = WRITE_DONE;

	if (signer == cert)
		return WRITE_DONE;
	outcome = writer_ask(writer, &n, err, "SELECT count(*) FROM binding s JOIN binding e ON (e.address=s.address OR e.unit=s.unit OR e.domain=s.domain)"
	    " WHERE s.cert=?2 AND s.purpose IN ('verify', 'seal') AND e.cert=?3 AND e.purpose='encrypt' AND " SQL_CURRENT_TERM("s")
	    " AND " SQL_CURRENT_TERM("e"), "iii", writer->now, signer, cert);
	if (outcome == WRITE_DONE && n == 0)
		return writer_fail(WRITE_REFUSED, err, "the mail is signed with certificate %lld, not with %lld, nor is there an address, unit or domain"
		    " that the one is bound to for verify or seal and the other for encrypt", (long long)signer, (long long)cert);
	return outcome;
}

enum write_outcome
write_cert_capabilities_seen(struct registry_writer *writer, const char *cert, unsigned capabilities, const unsigned char signer[32],
    int64_t *id, struct err *err)
{
	AUTO(xfree) char *detail = NULL;
	int64_t found = 0, by = 0;
	enum write_outcome outcome = writer_cert(writer, cert, &found, err);

	if (id)
		*id = found;
	if (outcome == WRITE_DONE)
		outcome = find_signer(writer, signer, &by, err);
	if (outcome == WRITE_DONE)
		outcome = signer_in_force(writer, by, err);
	if (outcome == WRITE_DONE)
		outcome = signer_speaks(writer, by, found, err);
	detail = xasprintf("seen in mail signed with certificate %lld", (long long)by);
	return outcome == WRITE_DONE ? set(writer, found, capabilities, "mail", detail, err) : outcome;
}
