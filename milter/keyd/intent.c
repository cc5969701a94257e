#include "milter/keyd/intent.h"

#include <stdio.h>

enum { DIGEST_MOST = 64 };

void
intent_hex(struct slice bytes, char *ret)
{
	for (size_t i = 0; i < bytes.len; i++)
		snprintf(ret + 2 * i, 3, "%02x", bytes.at[i]);
	ret[2 * bytes.len] = '\0';
}

int
intent_record(struct audit *audit, const struct wire_request *request, const struct peer *peer, struct err *err)
{
	AUTO(xfree) char *login = slice_dup(request->login);
	AUTO(xfree) char *from = slice_dup(request->from);
	AUTO(xfree) char *queue_id = slice_dup(request->queue_id);
	AUTO(xfree) char *session = slice_dup(request->session);
	char key[2 * WIRE_SPKI_BYTES + 1], digest[2 * DIGEST_MOST + 1], uid[24], pid[24];
	const struct audit_pair pairs[] = {
		{ "login", login },
		{ "from", from },
		{ "qid", queue_id },
		{ "session", session },
		{ "key", key },
		{ "alg", digest_name(request->alg) },
		{ "digest", digest },
		{ "uid", uid },
		{ "pid", pid },
	};

	if (request->spki.len != WIRE_SPKI_BYTES || request->digest.len > DIGEST_MOST)
		return err_set(err, ERR_BUG, "intent for a key of %zu and a digest of %zu bytes", request->spki.len,
		    request->digest.len);
	intent_hex(request->spki, key);
	intent_hex(request->digest, digest);
	snprintf(uid, sizeof(uid), "%lu", (unsigned long)peer->uid);
	snprintf(pid, sizeof(pid), "%ld", (long)peer->pid);
	return audit_append(audit, "seal-intent", pairs, N_ELEMENTS(pairs), NULL, err);
}
