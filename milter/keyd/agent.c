#include "milter/keyd/agent.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "milter/keyd/channel.h"
#include "milter/keyd/failure.h"
#include "milter/keyd/limit.h"

enum { LOG_LINES = 5, LOG_WINDOW_MS = 1000 };

struct agent {
	struct audit *audit; /* borrowed */
	struct limiter *limiter;
	struct failures *failures;
	atomic_bool audit_down;

	pthread_mutex_t lock; /* guards all below */
	struct store *store;
	int64_t log_start; /* of the window in which lines are counted */
	unsigned n_lines;
	unsigned n_dropped;
};

struct agent *
agent_new(struct audit *audit, struct store **store)
{
	struct agent *agent = xcalloc(1, sizeof(*agent));

	agent->audit = audit;
	agent->limiter = limiter_new();
	agent->failures = failures_new();
	atomic_init(&agent->audit_down, false);
	pthread_mutex_init(&agent->lock, NULL);
	agent->store = TAKE(*store);
	return agent;
}

void
agent_free(struct agent *agent)
{
	if (!agent)
		return;
	store_unref(agent->store);
	limiter_free(agent->limiter);
	failures_free(agent->failures);
	pthread_mutex_destroy(&agent->lock);
	free(agent);
}

void
agent_replace_store(struct agent *agent, struct store **store)
{
	struct store *old;

	pthread_mutex_lock(&agent->lock);
	old = agent->store;
	agent->store = TAKE(*store);
	pthread_mutex_unlock(&agent->lock);
	store_unref(old);
}

static struct store *
current_store(struct agent *agent)
{
	struct store *store;

	pthread_mutex_lock(&agent->lock);
	store = store_ref(agent->store);
	pthread_mutex_unlock(&agent->lock);
	return store;
}

bool
agent_knows(struct agent *agent, uid_t uid)
{
	AUTO(store_unref) struct store *store = current_store(agent);

	return store_may_sign(store, uid) || store_may_unwrap(store, uid);
}

/* `ret_dropped` lines were not written since the last one that was. */
static bool
may_log(struct agent *agent, unsigned *ret_dropped)
{
	int64_t now = monotonic_ms();
	bool may;

	pthread_mutex_lock(&agent->lock);
	if (now - agent->log_start >= LOG_WINDOW_MS) {
		agent->log_start = now;
		agent->n_lines = 0;
	}
	may = agent->n_lines < LOG_LINES;
	if (may) {
		agent->n_lines++;
		*ret_dropped = agent->n_dropped;
		agent->n_dropped = 0;
	} else {
		agent->n_dropped++;
	}
	pthread_mutex_unlock(&agent->lock);
	return may;
}

void
agent_log(struct agent *agent, enum log_level level, const struct peer *peer, const char *text)
{
	char more[64] = "";
	unsigned dropped = 0;

	if (!may_log(agent, &dropped))
		return;
	if (dropped)
		snprintf(more, sizeof(more), " (and %u lines like this not shown)", dropped);
	log_line(level, "uid=%lu pid=%ld: %s%s", (unsigned long)peer->uid, (long)peer->pid, text, more);
}

/* Any request but PING on its way through the steps. */
struct work {
	struct agent *agent;
	const struct peer *peer;
	const struct wire_request *request;
	const struct store *store;
	const struct store_key *key;
	unsigned char made[SIGNATURE_BYTES]; /* the signature or the content key; wiped */
	size_t made_len;
};

static enum wire_status
refuse(struct err *err, enum wire_status status, const char *text)
{
	err_set(err, ERR_CONFIG, "%s", text);
	return status;
}

static enum wire_status
deny(const struct work *work, const char *list, struct err *err)
{
	err_set(err, ERR_CONFIG, "uid %lu is not in %s", (unsigned long)work->peer->uid, list);
	return WIRE_STATUS_DENIED;
}

static enum wire_status
check_signer(struct work *work, struct err *err)
{
	return store_may_sign(work->store, work->peer->uid) ? WIRE_STATUS_OK : deny(work, "keyd.signers", err);
}

static enum wire_status
check_unwrapper(struct work *work, struct err *err)
{
	return store_may_unwrap(work->store, work->peer->uid) ? WIRE_STATUS_OK : deny(work, "keyd.unwrappers", err);
}

static enum wire_status
check_either(struct work *work, struct err *err)
{
	if (store_may_sign(work->store, work->peer->uid) || store_may_unwrap(work->store, work->peer->uid))
		return WIRE_STATUS_OK;
	return deny(work, "keyd.signers or keyd.unwrappers", err);
}

/* The promise is a record that names a login and its address: without them there is nothing to record. */
static enum wire_status
check_names(struct work *work, struct err *err)
{
	if (work->request->login.len == 0 || work->request->from.len == 0)
		return refuse(err, WIRE_STATUS_BAD_REQUEST, "the request names no login or no From address");
	return WIRE_STATUS_OK;
}

/* As for a signature: which message it is, and why it is opened, is what the record is for. */
static enum wire_status
check_item(struct work *work, struct err *err)
{
	if (work->request->item.len == 0 || work->request->reason.len == 0)
		return refuse(err, WIRE_STATUS_BAD_REQUEST, "the request names no item or no reason");
	return WIRE_STATUS_OK;
}

/* Whose mail, for whom, and who sent it: for the record, and to count by. Some mail has no readable From, and a file no queue id. */
static enum wire_status
check_message(struct work *work, struct err *err)
{
	const struct wire_request *request = work->request;

	if (request->session.len == 0 || request->recipient.len == 0 || request->sender.len == 0)
		return refuse(err, WIRE_STATUS_BAD_REQUEST, "the request names no session, no recipient or no sender");
	return WIRE_STATUS_OK;
}

static enum wire_status
check_hashes(struct work *work, struct err *err)
{
	const struct wire_request *request = work->request;
	const bool both = request->digest_hash != KEY_HASH_UNKNOWN && request->mask_hash != KEY_HASH_UNKNOWN;
	const bool none = request->digest_hash == KEY_HASH_UNKNOWN && request->mask_hash == KEY_HASH_UNKNOWN;

	if (request->padding == KEY_PADDING_OAEP ? both : none)
		return WIRE_STATUS_OK;
	return refuse(err, WIRE_STATUS_BAD_REQUEST, "OAEP has two hashes, v1.5 has none; the request says otherwise");
}

static enum wire_status
check_ukm(struct work *work, struct err *err)
{
	if (work->request->ukm.len && !work->request->has_ukm)
		return refuse(err, WIRE_STATUS_BAD_REQUEST, "the request has user keying material and says that there is none");
	return WIRE_STATUS_OK;
}

static enum wire_status
no_key(const struct work *work, enum key_purpose purpose, struct err *err)
{
	unsigned long uid = (unsigned long)work->peer->uid;
	char hex[2 * WIRE_SPKI_BYTES + 1];

	intent_hex(work->request->spki, hex);
	if (!work->key)
		err_set(err, ERR_CONFIG, "no key with SPKI hash %s for uid %lu", hex, uid);
	else if (work->key->purpose != purpose)
		err_set(err, ERR_CONFIG, "the key with SPKI hash %s is of purpose %s, which is all it does; see its entry in keyd.keys",
		    hex, work->key->purpose == KEY_PURPOSE_DECRYPT ? "decrypt" : "seal");
	else
		err_set(err, ERR_CONFIG, "the key with SPKI hash %s is not for uid %lu; see %s of its entry in keyd.keys", hex, uid,
		    purpose == KEY_PURPOSE_DECRYPT ? "unwrappers" : "signers");
	return WIRE_STATUS_UNKNOWN_KEY;
}

static enum wire_status
find_key(struct work *work, enum key_purpose purpose, struct err *err)
{
	work->key = store_find(work->store, work->request->spki.at);
	if (work->key && store_key_serves(work->store, work->key, purpose, work->peer->uid))
		return WIRE_STATUS_OK;
	return no_key(work, purpose, err);
}

static enum wire_status
find_seal_key(struct work *work, struct err *err)
{
	return find_key(work, KEY_PURPOSE_SEAL, err);
}

static enum wire_status
find_decrypt_key(struct work *work, struct err *err)
{
	return find_key(work, KEY_PURPOSE_DECRYPT, err);
}

static enum wire_status
find_either_key(struct work *work, struct err *err)
{
	return find_decrypt_key(work, err) == WIRE_STATUS_OK ? WIRE_STATUS_OK : find_seal_key(work, err);
}

/* A digest shorter than the curve weakens it; a longer one is cut by ECDSA. */
static bool
alg_fits(enum key_kind kind, enum digest alg)
{
	switch (kind) {
	case KEY_RSA:
		return alg == DIGEST_SHA256 || alg == DIGEST_SHA384;
	case KEY_P256:
		return alg == DIGEST_SHA256;
	case KEY_P384:
		return alg == DIGEST_SHA384;
	case KEY_UNKNOWN:
	case KEY_P521:
	case KEY_OTHER:
		return false;
	}
	return false;
}

static enum wire_status
check_digest(struct work *work, struct err *err)
{
	const struct wire_request *request = work->request;
	enum key_kind kind = key_kind_of(work->key->key);

	if (request->digest.len != digest_len(request->alg)) {
		err_set(err, ERR_CONFIG, "digest of %zu bytes, %s has %zu", request->digest.len, digest_name(request->alg),
		    digest_len(request->alg));
		return WIRE_STATUS_BAD_REQUEST;
	}
	if (alg_fits(kind, request->alg))
		return WIRE_STATUS_OK;
	err_set(err, ERR_CONFIG, "%s does not go with a key of kind %s", digest_name(request->alg), key_kind_name(kind));
	return WIRE_STATUS_BAD_REQUEST;
}

static enum wire_status
check_limit(struct work *work, struct err *err)
{
	unsigned limit = work->key->limit;

	if (limiter_take(work->agent->limiter, work->request->spki.at, limit, monotonic_ms()))
		return WIRE_STATUS_OK;
	err_set(err, ERR_TEMP, work->request->op == WIRE_OP_SIGN ? "this key has made %u signatures within a minute"
								 : "this key has been asked to unwrap %u content keys within a minute", limit);
	return WIRE_STATUS_LIMIT;
}

static enum wire_status
check_failures(struct work *work, struct err *err)
{
	const struct wire_request *request = work->request;

	if (failures_allow(work->agent->failures, request->spki.at, request->sender, monotonic_ms()))
		return WIRE_STATUS_OK;
	err_set(err, ERR_TEMP, "%d messages from '%.*s' did not open with this key within an hour; until that is over, none is tried",
	    FAILURES_AN_HOUR, (int)request->sender.len, (const char *)request->sender.at);
	return WIRE_STATUS_FAILURES;
}

static enum wire_status
recorded(struct agent *agent, int result, const struct err *err)
{
	if (result == 0) {
		/* A clock that was set right again; a failed disk never gets here. */
		if (atomic_exchange(&agent->audit_down, false))
			log_line(LOG_LEVEL_INFO, "intents are recorded again, signing and unwrapping");
		return WIRE_STATUS_OK;
	}
	if (!atomic_exchange(&agent->audit_down, true))
		log_line(LOG_LEVEL_ERROR, "nothing is signed from now on, and nothing unwrapped: %s", err->text);
	return WIRE_STATUS_AUDIT_UNAVAILABLE;
}

static enum wire_status
record(struct work *work, struct err *err)
{
	return recorded(work->agent, intent_record(work->agent->audit, work->request, work->peer, err), err);
}

/* It counts whether it can be recorded or not. */
static enum wire_status
count_failure(struct work *work, struct err *err)
{
	const struct wire_request *request = work->request;
	unsigned n = failures_add(work->agent->failures, request->spki.at, request->sender, monotonic_ms());
	AUTO(xfree) char *text = NULL;

	if (n == FAILURES_AN_HOUR) {
		text = xasprintf("%u messages from '%.*s' did not open with one key within an hour; none is tried until that is over", n,
		    (int)request->sender.len, (const char *)request->sender.at);
		agent_log(work->agent, LOG_LEVEL_WARNING, work->peer, text);
	}
	return recorded(work->agent, intent_record_failure(work->agent->audit, request, work->peer, n, err), err);
}

static enum wire_status
make_signature(struct work *work, struct err *err)
{
	const struct wire_request *request = work->request;

	work->made_len = sizeof(work->made);
	if (key_sign(work->key->key, request->alg, request->digest, work->made, &work->made_len, err) == 0)
		return WIRE_STATUS_OK;
	return WIRE_STATUS_INTERNAL;
}

/* key_unwrap() has one text for every bad block; here it gets one status. */
static enum wire_status
unwrap_key(struct work *work, struct err *err)
{
	work->made_len = KEY_CONTENT_BYTES;
	if (key_unwrap(work->key->key, work->request->wrapped, work->made, err) == 0)
		return WIRE_STATUS_OK;
	return err->kind == ERR_CONFIG ? WIRE_STATUS_BAD_BLOCK : WIRE_STATUS_INTERNAL;
}

static enum wire_status
opened(struct work *work, int result, enum key_opening opening, struct err *err)
{
	if (result == -1)
		return WIRE_STATUS_INTERNAL;
	if (opening != KEY_OPENED)
		return refuse(err, WIRE_STATUS_BAD_BLOCK, "the content key cannot be unwrapped: it was written to another certificate, or is damaged");
	work->made_len = (size_t)work->request->content * WIRE_UNIT_BYTES;
	return WIRE_STATUS_OK;
}

static enum wire_status
open_block(struct work *work, struct err *err)
{
	const struct wire_request *request = work->request;
	const struct key_transport how = {
		.padding = (enum key_padding)request->padding,
		.digest = (enum key_hash)request->digest_hash,
		.mask = (enum key_hash)request->mask_hash,
		.content_len = (size_t)request->content * WIRE_UNIT_BYTES,
		.block = request->wrapped,
	};
	enum key_opening opening = KEY_OPENING_UNKNOWN;
	int result = key_unwrap_mail(work->key->key, &how, work->made, &opening, err);

	return opened(work, result, opening, err);
}

static enum wire_status
derive_key(struct work *work, struct err *err)
{
	const struct wire_request *request = work->request;
	const struct key_agreement how = {
		.kdf = (enum key_hash)request->kdf,
		.wrap_len = (size_t)request->wrap * WIRE_UNIT_BYTES,
		.wrap_null = request->wrap_null,
		.has_ukm = request->has_ukm,
		.ukm = request->ukm,
		.content_len = (size_t)request->content * WIRE_UNIT_BYTES,
		.point = request->point,
		.wrapped = request->wrapped,
	};
	enum key_opening opening = KEY_OPENING_UNKNOWN;
	int result = key_derive(work->key->key, &how, work->made, &opening, err);

	return opened(work, result, opening, err);
}

static enum wire_status (*const sign_steps[])(struct work *, struct err *) = {
	check_signer, check_names, find_seal_key, check_digest, check_limit, record, make_signature, NULL,
};
static enum wire_status (*const unwrap_steps[])(struct work *, struct err *) = {
	check_unwrapper, check_item, find_decrypt_key, check_limit, record, unwrap_key, NULL,
};
static enum wire_status (*const open_steps[])(struct work *, struct err *) = {
	check_unwrapper, check_message, check_hashes, find_decrypt_key, check_failures, check_limit, record, open_block, NULL,
};
static enum wire_status (*const derive_steps[])(struct work *, struct err *) = {
	check_unwrapper, check_message, check_ukm, find_decrypt_key, check_failures, check_limit, record, derive_key, NULL,
};
static enum wire_status (*const failed_steps[])(struct work *, struct err *) = {
	check_unwrapper, check_message, find_decrypt_key, count_failure, NULL,
};
static enum wire_status (*const have_steps[])(struct work *, struct err *) = { check_either, find_either_key, NULL };

static enum wire_status
run(enum wire_status (*const *steps)(struct work *, struct err *), struct work *work, struct err *err)
{
	for (size_t i = 0; steps[i]; i++) {
		enum wire_status status = steps[i](work, err);

		if (status != WIRE_STATUS_OK)
			return status;
	}
	return WIRE_STATUS_OK;
}

static void
log_refusal(struct agent *agent, const struct peer *peer, enum wire_status status, const char *text)
{
	AUTO(xfree) char *line = xasprintf("refused (%s): %s", wire_status_name(status), text);

	agent_log(agent, LOG_LEVEL_WARNING, peer, line);
}

static void
add_answer(const struct wire_request *request, enum wire_status status, struct slice payload, struct buf *ret)
{
	const struct wire_answer answer = {
		.op = request->op ? request->op : WIRE_OP_PING, /* an operation we do not know cannot be repeated */
		.number = request->number,
		.status = status,
		.payload = payload,
	};

	wire_answer_render(&answer, ret);
}

/* All but PING and HAVE: something is made with a key, or counted against one. */
static void
answer_made(struct agent *agent, const struct peer *peer, enum wire_status (*const *steps)(struct work *, struct err *),
    const struct wire_request *request, struct buf *ret)
{
	AUTO(store_unref) struct store *store = current_store(agent);
	struct work work = { .agent = agent, .peer = peer, .request = request, .store = store };
	struct err err = { .kind = ERR_NONE };
	enum wire_status status = run(steps, &work, &err);

	if (status == WIRE_STATUS_OK) {
		add_answer(request, status, (struct slice){ work.made, work.made_len }, ret);
		wipe(work.made, sizeof(work.made));
		return;
	}
	log_refusal(agent, peer, status, err.text);
	add_answer(request, status, slice_of(err.text), ret);
}

/* That a key is not here is an answer, not a refusal: the asker says so in its own log. */
static void
answer_have(struct agent *agent, const struct peer *peer, const struct wire_request *request, struct buf *ret)
{
	AUTO(store_unref) struct store *store = current_store(agent);
	struct work work = { .agent = agent, .peer = peer, .request = request, .store = store };
	struct err err = { .kind = ERR_NONE };
	enum wire_status status = run(have_steps, &work, &err);

	if (status != WIRE_STATUS_OK && status != WIRE_STATUS_UNKNOWN_KEY)
		log_refusal(agent, peer, status, err.text);
	add_answer(request, status, slice_of(err.text), ret);
}

static void
answer_ping(struct agent *agent, const struct wire_request *request, struct buf *ret)
{
	AUTO(store_unref) struct store *store = current_store(agent);
	AUTO(xfree) char *text = xasprintf("segel-keyd %s, %zu keys", SEGEL_VERSION, store_n_keys(store));

	if (atomic_load(&agent->audit_down))
		add_answer(request, WIRE_STATUS_AUDIT_UNAVAILABLE, slice_of("an intent could not be recorded"), ret);
	else
		add_answer(request, WIRE_STATUS_OK, slice_of(text), ret);
}

bool
agent_answer(struct agent *agent, const struct peer *peer, struct slice frame, struct buf *ret)
{
	struct wire_request request;
	struct err err = { .kind = ERR_NONE };

	if (wire_request_parse(frame, &request, &err) == -1) {
		log_refusal(agent, peer, WIRE_STATUS_BAD_REQUEST, err.text);
		add_answer(&request, WIRE_STATUS_BAD_REQUEST, slice_of(err.text), ret);
		return false;
	}
	switch (request.op) {
	case WIRE_OP_PING:
		answer_ping(agent, &request, ret);
		return true;
	case WIRE_OP_SIGN:
		answer_made(agent, peer, sign_steps, &request, ret);
		return true;
	case WIRE_OP_UNWRAP:
		answer_made(agent, peer, unwrap_steps, &request, ret);
		return true;
	case WIRE_OP_OPEN:
		answer_made(agent, peer, open_steps, &request, ret);
		return true;
	case WIRE_OP_DERIVE:
		answer_made(agent, peer, derive_steps, &request, ret);
		return true;
	case WIRE_OP_FAILED:
		answer_made(agent, peer, failed_steps, &request, ret);
		return true;
	case WIRE_OP_HAVE:
		answer_have(agent, peer, &request, ret);
		return true;
	case WIRE_OP_NONE:
		break;
	}
	return false;
}

void
agent_refuse(struct agent *agent, const struct peer *peer, const char *text, struct buf *ret)
{
	const struct wire_request nothing = { .op = WIRE_OP_NONE };

	log_refusal(agent, peer, WIRE_STATUS_BAD_REQUEST, text);
	add_answer(&nothing, WIRE_STATUS_BAD_REQUEST, slice_of(text), ret);
}
