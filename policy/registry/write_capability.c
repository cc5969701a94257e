/* The verb of write.h for what a certificate's owner can read. */
#include <stdlib.h>

#include "policy/registry/encrypt.h"
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
change(struct registry_writer *writer, int64_t cert, enum capability capability, bool has, struct err *err)
{
	if (has)
		return writer_run(writer, NULL, err, "INSERT INTO capability(cert, word, source, from_at, act) VALUES (?1, ?2, 'officer', ?3, ?4)",
		    "itii", cert, capability_name(capability), writer->now, writer->act);
	return writer_run(writer, NULL, err, "UPDATE capability SET ended_at=?3, end_reason='set anew', end_act=?4"
	    " WHERE cert=?1 AND word=?2 AND ended_at IS NULL", "itii", cert, capability_name(capability), writer->now, writer->act);
}

static char *
words_of(unsigned capabilities)
{
	const char *gcm = capabilities & CAPABILITY_GCM ? "gcm" : "", *oaep = capabilities & CAPABILITY_OAEP ? "oaep" : "";

	return capabilities ? xasprintf("%s%s%s", gcm, *gcm && *oaep ? " " : "", oaep) : xstrdup("none");
}

enum write_outcome
write_cert_capabilities(struct registry_writer *writer, const char *cert, unsigned capabilities, int64_t *id, struct err *err)
{
	AUTO(xfree) char *words = words_of(capabilities);
	AUTO(xfree) char *object = NULL;
	unsigned before = 0;
	int64_t found = 0;
	enum write_outcome outcome = writer_cert(writer, cert, &found, err);

	if (outcome == WRITE_DONE)
		outcome = current(writer, found, &before, err);
	if (id)
		*id = found;
	if (outcome == WRITE_DONE && before == capabilities)
		return writer_fail(WRITE_REFUSED, err, "certificate %lld has exactly these capabilities already: %s", (long long)found, words);
	object = xasprintf("%lld", (long long)found);
	if (outcome == WRITE_DONE)
		outcome = writer_act(writer, "cert set-capability", object, words, err);
	for (size_t i = 0; i < N_ELEMENTS(all) && outcome == WRITE_DONE; i++)
		if ((before ^ capabilities) & all[i])
			outcome = change(writer, found, all[i], (capabilities & all[i]) != 0, err);
	return outcome;
}
