#include "milter/keyd/intent.h"

#include <stdio.h>
#include <stdlib.h>

enum { DIGEST_MOST = 64 };

void
intent_hex(struct slice bytes, char *ret)
{
	for (size_t i = 0; i < bytes.len; i++)
		snprintf(ret + 2 * i, 3, "%02x", bytes.at[i]);
	ret[2 * bytes.len] = '\0';
}

/* Who asks, by the kernel, and with which key: the end of either record. */
struct asker {
	char key[2 * WIRE_SPKI_BYTES + 1], uid[24], pid[24];
};

static int
fill_asker(const struct wire_request *request, const struct peer *peer, struct asker *ret, struct err *err)
{
	if (request->spki.len != WIRE_SPKI_BYTES)
		return err_set(err, ERR_BUG, "intent for a key of %zu bytes", request->spki.len);
	intent_hex(request->spki, ret->key);
	snprintf(ret->uid, sizeof(ret->uid), "%lu", (unsigned long)peer->uid);
	snprintf(ret->pid, sizeof(ret->pid), "%ld", (long)peer->pid);
	return 0;
}

static int
record_sign(struct audit *audit, const struct wire_request *request, const struct asker *asker, struct err *err)
{
	AUTO(xfree) char *login = slice_dup(request->login);
	AUTO(xfree) char *from = slice_dup(request->from);
	AUTO(xfree) char *queue_id = slice_dup(request->queue_id);
	AUTO(xfree) char *session = slice_dup(request->session);
	char digest[2 * DIGEST_MOST + 1];
	const struct audit_pair pairs[] = {
		{ "login", login },
		{ "from", from },
		{ "qid", queue_id },
		{ "session", session },
		{ "key", asker->key },
		{ "alg", digest_name(request->alg) },
		{ "digest", digest },
		{ "uid", asker->uid },
		{ "pid", asker->pid },
	};

	if (request->digest.len > DIGEST_MOST)
		return err_set(err, ERR_BUG, "intent for a digest of %zu bytes", request->digest.len);
	intent_hex(request->digest, digest);
	return audit_append(audit, "seal-intent", pairs, N_ELEMENTS(pairs), NULL, err);
}

static int
record_unwrap(struct audit *audit, const struct wire_request *request, const struct asker *asker, struct err *err)
{
	AUTO(xfree) char *item = slice_dup(request->item);
	AUTO(xfree) char *reason = slice_dup(request->reason);
	const struct audit_pair pairs[] = {
		{ "item", item },
		{ "reason", reason },
		{ "key", asker->key },
		{ "uid", asker->uid },
		{ "pid", asker->pid },
	};

	return audit_append(audit, "unwrap-intent", pairs, N_ELEMENTS(pairs), NULL, err);
}

/* Which message of mail it is about: what both of its records begin with. */
struct message_texts {
	char *queue_id, *session, *from, *recipient, *client; /* owned */
};

static void
message_texts_done(struct message_texts *texts)
{
	free(texts->queue_id);
	free(texts->session);
	free(texts->from);
	free(texts->recipient);
	free(texts->client);
}

#define AUTO_TEXTS __attribute__((cleanup(message_texts_done)))
#define MESSAGE_PAIRS(texts) \
	{ "qid", (texts).queue_id }, { "session", (texts).session }, { "from", (texts).from }, { "recipient", (texts).recipient }, \
	{ "client", (texts).client }

static struct message_texts
message_texts_of(const struct wire_request *request)
{
	return (struct message_texts){
		.queue_id = slice_dup(request->queue_id),
		.session = slice_dup(request->session),
		.from = slice_dup(request->from),
		.recipient = slice_dup(request->recipient),
		.client = slice_dup(request->sender),
	};
}

static const char *
way_of(const struct wire_request *request)
{
	if (request->op == WIRE_OP_DERIVE)
		return "ecdh";
	return request->padding == KEY_PADDING_OAEP ? "oaep" : "v1.5";
}

static int
record_decrypt(struct audit *audit, const struct wire_request *request, const struct asker *asker, struct err *err)
{
	AUTO_TEXTS struct message_texts texts = message_texts_of(request);
	char content[8];
	const struct audit_pair pairs[] = {
		MESSAGE_PAIRS(texts),
		{ "by", way_of(request) },
		{ "content", content },
		{ "key", asker->key },
		{ "uid", asker->uid },
		{ "pid", asker->pid },
	};

	snprintf(content, sizeof(content), "%u", (unsigned)request->content * WIRE_UNIT_BYTES);
	return audit_append(audit, "decrypt-intent", pairs, N_ELEMENTS(pairs), NULL, err);
}

int
intent_record_failure(struct audit *audit, const struct wire_request *request, const struct peer *peer, unsigned failures,
    struct err *err)
{
	AUTO_TEXTS struct message_texts texts = message_texts_of(request);
	struct asker asker;
	char n[16];
	const struct audit_pair pairs[] = {
		MESSAGE_PAIRS(texts),
		{ "failures", n },
		{ "key", asker.key },
		{ "uid", asker.uid },
		{ "pid", asker.pid },
	};

	if (fill_asker(request, peer, &asker, err) == -1)
		return -1;
	snprintf(n, sizeof(n), "%u", failures);
	return audit_append(audit, "decrypt-failed", pairs, N_ELEMENTS(pairs), NULL, err);
}

int
intent_record(struct audit *audit, const struct wire_request *request, const struct peer *peer, struct err *err)
{
	struct asker asker;

	if (fill_asker(request, peer, &asker, err) == -1)
		return -1;
	switch (request->op) {
	case WIRE_OP_SIGN:
		return record_sign(audit, request, &asker, err);
	case WIRE_OP_UNWRAP:
		return record_unwrap(audit, request, &asker, err);
	case WIRE_OP_OPEN:
	case WIRE_OP_DERIVE:
		return record_decrypt(audit, request, &asker, err);
	case WIRE_OP_NONE:
	case WIRE_OP_PING:
	case WIRE_OP_HAVE:
	case WIRE_OP_FAILED: /* is no intent */
		break;
	}
	return err_set(err, ERR_BUG, "intent of operation '%s', which has none", wire_op_name(request->op));
}
