#include "milter/keyd/client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "milter/keyd/channel.h"
#include "milter/keyd/wire.h"

enum { POOL = 16 };

struct keyd_client {
	char *socket;
	int timeout_ms;
	pthread_mutex_t lock; /* guards all below */
	int idle[POOL];       /* the newest last: the oldest may time out, which costs nothing */
	size_t n_idle;
	uint32_t number;      /* of the last request */
};

/* One question and what became of it. */
struct call {
	struct slice request;
	uint32_t number;
	enum wire_op op;
	int64_t until;
	bool unanswered;    /* the peer closed before any byte of an answer */
	struct buf frame;   /* owned; behind the answer */
	struct wire_answer answer;
};

struct keyd_client *
keyd_client_new(const char *socket_path, int timeout_ms)
{
	struct keyd_client *client = xcalloc(1, sizeof(*client));

	client->socket = xstrdup(socket_path);
	client->timeout_ms = timeout_ms;
	pthread_mutex_init(&client->lock, NULL);
	return client;
}

void
keyd_client_free(struct keyd_client *client)
{
	if (!client)
		return;
	for (size_t i = 0; i < client->n_idle; i++)
		close(client->idle[i]);
	pthread_mutex_destroy(&client->lock);
	free(client->socket);
	free(client);
}

static uint32_t
next_number(struct keyd_client *client)
{
	uint32_t number;

	pthread_mutex_lock(&client->lock);
	number = ++client->number;
	pthread_mutex_unlock(&client->lock);
	return number;
}

/* A connection that is not silent was closed, or holds bytes nobody asked for: both are useless. */
static bool
is_silent(int fd)
{
	struct pollfd one = { fd, POLLIN, 0 };

	return poll(&one, 1, 0) == 0;
}

/* -1 = none. */
static int
take_idle(struct keyd_client *client)
{
	for (;;) {
		AUTO_FD int fd = -1;

		pthread_mutex_lock(&client->lock);
		if (client->n_idle)
			fd = client->idle[--client->n_idle];
		pthread_mutex_unlock(&client->lock);
		if (fd == -1 || is_silent(fd))
			return TAKE_FD(fd);
	}
}

/* Takes over the descriptor. */
static void
put_idle(struct keyd_client *client, int *fd)
{
	pthread_mutex_lock(&client->lock);
	if (client->n_idle < POOL)
		client->idle[client->n_idle++] = TAKE_FD(*fd);
	pthread_mutex_unlock(&client->lock);
}

/* connect() to a full backlog waits; the send timeout of the socket bounds that. */
static void
bound_connect(int fd, int64_t until)
{
	int64_t left = until - monotonic_ms();
	struct timeval wait;

	if (left < 1)
		left = 1;
	wait = (struct timeval){ .tv_sec = left / 1000, .tv_usec = left % 1000 * 1000 };
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
}

static int
connect_fresh(const struct keyd_client *client, int64_t until, int *ret, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_FD int fd = -1;

	if (strlen(client->socket) >= sizeof(address.sun_path))
		return err_set(err, ERR_CONFIG, "path of %zu bytes, at most %zu fit", strlen(client->socket),
		    sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, client->socket, strlen(client->socket));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return err_set(err, ERR_TEMP, "no socket: %s", strerror(errno));
	bound_connect(fd, until);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == -1)
		return err_set(err, errno == EACCES ? ERR_CONFIG : ERR_TEMP, "%s", strerror(errno == EAGAIN ? ETIMEDOUT : errno));
	*ret = TAKE_FD(fd);
	return 0;
}

static int
check_answer(struct call *call, struct err *err)
{
	if (wire_answer_parse(buf_slice(&call->frame), &call->answer, err) == -1)
		return -1;
	if (call->answer.number != call->number || call->answer.op != call->op)
		return err_set(err, ERR_TEMP, "answer %lu (%s) to question %lu (%s)", (unsigned long)call->answer.number,
		    wire_op_name(call->answer.op), (unsigned long)call->number, wire_op_name(call->op));
	return 0;
}

static int
exchange(int fd, struct call *call, struct err *err)
{
	enum channel_end end;
	bool gone;

	call->unanswered = false;
	if (channel_write(fd, call->request, call->until, &gone, err) == -1) {
		call->unanswered = gone;
		return -1;
	}
	end = channel_read(fd, -1, call->until, (int)(call->until - monotonic_ms()), &call->frame, NULL, err);
	if (end == CHANNEL_CLOSED) {
		call->unanswered = true;
		return err_set(err, ERR_TEMP, "connection closed without an answer");
	}
	return end == CHANNEL_FRAME ? check_answer(call, err) : -1;
}

static int
exchange_fresh(struct keyd_client *client, struct call *call, struct err *err)
{
	AUTO_FD int fd = -1;

	if (connect_fresh(client, call->until, &fd, err) == -1 || exchange(fd, call, err) == -1)
		return -1;
	put_idle(client, &fd);
	return 0;
}

/*
 * Over an idle connection if there is one, else over a fresh one. An idle connection may have been
 * closed by the agent (restart, idle timeout) just as we wrote: then, and only if no byte of an
 * answer came, once more over a fresh one. Asking twice is harmless: at worst the agent records a
 * second intent and makes a signature, or unwraps a key, that nobody receives.
 */
static int
ask(struct keyd_client *client, struct call *call, struct err *err)
{
	AUTO_FD int fd = take_idle(client);

	if (fd == -1)
		return exchange_fresh(client, call, err);
	if (exchange(fd, call, err) == -1)
		return call->unanswered ? exchange_fresh(client, call, err) : -1;
	put_idle(client, &fd);
	return 0;
}

/* What an answer that is not what was asked for means to the caller. */
static const struct {
	enum err_kind kind;
	const char *what;
	const char *unwrap; /* what it means for that; NULL = the same */
} refusals[] = {
	[WIRE_STATUS_UNKNOWN] = { ERR_BUG, "gave no status", NULL },
	[WIRE_STATUS_OK] = { ERR_NONE, "", NULL },
	[WIRE_STATUS_UNKNOWN_KEY] = { ERR_CONFIG, "does not hold this key; see keyd.keys and its log",
	                              "does not hold this key for unwrapping; see keyd.keys and its log" },
	[WIRE_STATUS_DENIED] = { ERR_CONFIG, "does not sign for this user; see keyd.signers",
	                         "does not unwrap for this user; see keyd.unwrappers" },
	[WIRE_STATUS_LIMIT] = { ERR_TEMP, "has reached this key's limit; see keyd.keys", NULL },
	[WIRE_STATUS_AUDIT_UNAVAILABLE] = { ERR_TEMP, "cannot write its audit log and does not sign; see its log",
	                                    "cannot write its audit log and does not unwrap; see its log" },
	[WIRE_STATUS_BAD_REQUEST] = { ERR_BUG, "does not understand the request; are both programs of the same release?", NULL },
	[WIRE_STATUS_INTERNAL] = { ERR_TEMP, "failed", NULL },
	[WIRE_STATUS_BAD_BLOCK] = { ERR_CONFIG, "refused", NULL },
	[WIRE_STATUS_FAILURES] = { ERR_TEMP, "opens nothing more for this sender within the hour", NULL },
};

static bool
is_unwrapping(enum wire_op op)
{
	return op == WIRE_OP_UNWRAP || op == WIRE_OP_OPEN || op == WIRE_OP_DERIVE || op == WIRE_OP_FAILED;
}

static int
check_status(const struct keyd_client *client, const struct wire_answer *answer, struct err *err)
{
	AUTO(xfree) char *text = NULL;
	const char *what = refusals[answer->status].what;

	if (answer->status == WIRE_STATUS_OK)
		return 0;
	if (is_unwrapping(answer->op) && refusals[answer->status].unwrap)
		what = refusals[answer->status].unwrap;
	text = slice_dup(answer->payload);
	return err_set(err, refusals[answer->status].kind, "key agent at '%s' %s (%s: %s)", client->socket, what,
	    wire_status_name(answer->status), text);
}

/* Any answer at all, a refusal included. */
static int
reach_agent(struct keyd_client *client, struct wire_request *request, struct call *call, struct err *err)
{
	AUTO_BUF struct buf bytes = { 0 };

	buf_init(&bytes, WIRE_LENGTH_BYTES + WIRE_FRAME_BYTES);
	request->number = next_number(client);
	if (wire_request_render(request, &bytes, err) == -1)
		return err_wrap(err, "request to the key agent");
	call->request = buf_slice(&bytes);
	call->number = request->number;
	call->op = request->op;
	call->until = monotonic_ms() + client->timeout_ms;
	if (ask(client, call, err) == -1) {
		struct err inner = err ? *err : (struct err){ .kind = ERR_TEMP };

		return err_set(err, inner.kind, "key agent at '%s' does not answer: %.300s; is segel-keyd running?",
		    client->socket, inner.text);
	}
	return 0;
}

static int
call_agent(struct keyd_client *client, struct wire_request *request, struct call *call, struct err *err)
{
	if (reach_agent(client, request, call, err) == -1)
		return -1;
	return check_status(client, &call->answer, err);
}

static int
take_signature(const struct wire_answer *answer, unsigned char *sig, size_t *sig_len, struct err *err)
{
	if (answer->payload.len == 0 || answer->payload.len > *sig_len)
		return err_set(err, ERR_BUG, "key agent sent a signature of %zu bytes, there is room for 1 to %zu",
		    answer->payload.len, *sig_len);
	memcpy(sig, answer->payload.at, answer->payload.len);
	*sig_len = answer->payload.len;
	return 0;
}

int
keyd_sign(struct keyd_client *client, const struct sign_context *context, const unsigned char spki[32],
    enum digest alg, struct slice digest, unsigned char *sig, size_t *sig_len, struct err *err)
{
	struct wire_request request = {
		.op = WIRE_OP_SIGN,
		.spki = { spki, WIRE_SPKI_BYTES },
		.alg = alg,
		.digest = digest,
		.login = slice_of(context->login),
		.from = slice_of(context->from),
		.queue_id = slice_of(context->queue_id),
		.session = slice_of(context->session),
	};
	struct call call = { .number = 0 };
	int result;

	buf_init(&call.frame, WIRE_FRAME_BYTES);
	result = call_agent(client, &request, &call, err);
	if (result == 0)
		result = take_signature(&call.answer, sig, sig_len, err);
	buf_done(&call.frame);
	return result;
}

static int
take_content_key(const struct wire_answer *answer, unsigned char key[KEY_CONTENT_BYTES], struct err *err)
{
	if (answer->payload.len != KEY_CONTENT_BYTES)
		return err_set(err, ERR_BUG, "key agent sent a content key of %zu bytes, wanted %d", answer->payload.len, KEY_CONTENT_BYTES);
	memcpy(key, answer->payload.at, KEY_CONTENT_BYTES);
	return 0;
}

int
keyd_unwrap(struct keyd_client *client, const char *item, const char *reason, const unsigned char spki[32], struct slice wrapped,
    unsigned char key[32], struct err *err)
{
	struct wire_request request = {
		.op = WIRE_OP_UNWRAP,
		.spki = { spki, WIRE_SPKI_BYTES },
		.item = slice_of(item),
		.reason = slice_of(reason),
		.wrapped = wrapped,
	};
	struct call call = { .number = 0 };
	int result;

	buf_init(&call.frame, WIRE_FRAME_BYTES);
	result = call_agent(client, &request, &call, err);
	if (result == 0)
		result = take_content_key(&call.answer, key, err);
	if (call.frame.len)
		wipe(call.frame.at, call.frame.len);
	buf_done(&call.frame);
	return result;
}

/* The texts come from a stranger's mail: one that is too long for a record is cut, not a reason to refuse. */
static struct slice
cut_text(const char *text)
{
	return (struct slice){ (const unsigned char *)text, strnlen(text, WIRE_TEXT_BYTES) };
}

static void
add_context(const struct open_context *context, const unsigned char spki[32], struct wire_request *ret)
{
	ret->spki = (struct slice){ spki, WIRE_SPKI_BYTES };
	ret->queue_id = cut_text(context->queue_id);
	ret->session = cut_text(context->session);
	ret->from = cut_text(context->from);
	ret->recipient = cut_text(context->recipient);
	ret->sender = cut_text(context->sender);
}

static int
take_opened(const struct keyd_client *client, const struct wire_request *request, const struct wire_answer *answer,
    unsigned char content[KEY_CONTENT_BYTES], enum key_opening *ret, struct err *err)
{
	const size_t len = (size_t)request->content * WIRE_UNIT_BYTES;

	if (check_status(client, answer, err) == -1)
		return -1;
	if (answer->payload.len != len)
		return err_set(err, ERR_BUG, "key agent sent a content key of %zu bytes, wanted %zu", answer->payload.len, len);
	memcpy(content, answer->payload.at, len);
	*ret = KEY_OPENED;
	return 0;
}

/* What the agent says of the key and the block is an outcome; all else an error. */
static int
take_opening(const struct keyd_client *client, const struct wire_request *request, const struct wire_answer *answer,
    unsigned char content[KEY_CONTENT_BYTES], enum key_opening *ret, struct err *err)
{
	switch (answer->status) {
	case WIRE_STATUS_BAD_BLOCK:
		*ret = KEY_REFUSED;
		return 0;
	case WIRE_STATUS_UNKNOWN_KEY:
		*ret = KEY_NOT_HERE;
		return 0;
	case WIRE_STATUS_FAILURES:
		*ret = KEY_LIMITED;
		return 0;
	case WIRE_STATUS_UNKNOWN:
	case WIRE_STATUS_OK:
	case WIRE_STATUS_DENIED:
	case WIRE_STATUS_LIMIT:
	case WIRE_STATUS_AUDIT_UNAVAILABLE:
	case WIRE_STATUS_BAD_REQUEST:
	case WIRE_STATUS_INTERNAL:
		break;
	}
	return take_opened(client, request, answer, content, ret, err);
}

static int
ask_to_open(struct keyd_client *client, struct wire_request *request, unsigned char content[KEY_CONTENT_BYTES],
    enum key_opening *ret, struct err *err)
{
	struct call call = { .number = 0 };
	int result;

	buf_init(&call.frame, WIRE_FRAME_BYTES);
	result = reach_agent(client, request, &call, err);
	if (result == 0)
		result = take_opening(client, request, &call.answer, content, ret, err);
	if (call.frame.len)
		wipe(call.frame.at, call.frame.len);
	buf_done(&call.frame);
	return result;
}

/* Longer than any key takes: sent as nothing, which the agent answers, and records, as any other that does not open. */
static struct slice
fitting(struct slice bytes, size_t most)
{
	return bytes.len > most ? (struct slice){ bytes.at, 0 } : bytes;
}

/* 0, which no request may hold, where it is no number of them. */
static uint8_t
units_of(size_t len)
{
	return len % WIRE_UNIT_BYTES || len > KEY_CONTENT_BYTES ? 0 : (uint8_t)(len / WIRE_UNIT_BYTES);
}

int
keyd_open_rsa(struct keyd_client *client, const struct open_context *context, const unsigned char spki[32],
    const struct key_transport *how, unsigned char content[KEY_CONTENT_BYTES], enum key_opening *ret, struct err *err)
{
	struct wire_request request = {
		.op = WIRE_OP_OPEN,
		.padding = (uint8_t)how->padding,
		.digest_hash = (uint8_t)how->digest,
		.mask_hash = (uint8_t)how->mask,
		.content = units_of(how->content_len),
		.wrapped = fitting(how->block, WIRE_WRAPPED_BYTES),
	};

	add_context(context, spki, &request);
	return ask_to_open(client, &request, content, ret, err);
}

int
keyd_open_ec(struct keyd_client *client, const struct open_context *context, const unsigned char spki[32],
    const struct key_agreement *how, unsigned char content[KEY_CONTENT_BYTES], enum key_opening *ret, struct err *err)
{
	const bool fits = !how->has_ukm || how->ukm.len <= KEY_UKM_BYTES;
	struct wire_request request = {
		.op = WIRE_OP_DERIVE,
		.kdf = (uint8_t)how->kdf,
		.wrap = units_of(how->wrap_len),
		.wrap_null = how->wrap_null,
		.has_ukm = how->has_ukm,
		.content = units_of(how->content_len),
		.point = fitting(how->point, fits ? KEY_POINT_BYTES : 0),
		.wrapped = fitting(how->wrapped, WIRE_WRAPPED_BYTES),
	};

	if (how->has_ukm)
		request.ukm = fitting(how->ukm, KEY_UKM_BYTES);
	add_context(context, spki, &request);
	return ask_to_open(client, &request, content, ret, err);
}

int
keyd_failed(struct keyd_client *client, const struct open_context *context, const unsigned char spki[32], struct err *err)
{
	struct wire_request request = { .op = WIRE_OP_FAILED };
	struct call call = { .number = 0 };
	int result;

	add_context(context, spki, &request);
	buf_init(&call.frame, WIRE_FRAME_BYTES);
	result = call_agent(client, &request, &call, err);
	buf_done(&call.frame);
	return result;
}

static int
open_rsa_through_agent(void *ctx, const unsigned char spki[32], const struct key_transport *how,
    unsigned char content[KEY_CONTENT_BYTES], enum key_opening *ret, struct err *err)
{
	const struct keyd_opener *bound = ctx;

	return keyd_open_rsa(bound->client, bound->context, spki, how, content, ret, err);
}

static int
open_ec_through_agent(void *ctx, const unsigned char spki[32], const struct key_agreement *how,
    unsigned char content[KEY_CONTENT_BYTES], enum key_opening *ret, struct err *err)
{
	const struct keyd_opener *bound = ctx;

	return keyd_open_ec(bound->client, bound->context, spki, how, content, ret, err);
}

struct opener
keyd_opener_of(struct keyd_opener *bound)
{
	return (struct opener){ open_rsa_through_agent, open_ec_through_agent, bound };
}

int
keyd_ping(struct keyd_client *client, struct err *err)
{
	struct wire_request request = { .op = WIRE_OP_PING };
	struct call call = { .number = 0 };
	int result;

	buf_init(&call.frame, WIRE_FRAME_BYTES);
	result = call_agent(client, &request, &call, err);
	buf_done(&call.frame);
	return result;
}

static int
take_presence(const struct keyd_client *client, const struct wire_answer *answer, bool *ret, struct err *err)
{
	if (answer->status != WIRE_STATUS_UNKNOWN_KEY && check_status(client, answer, err) == -1)
		return -1;
	*ret = answer->status == WIRE_STATUS_OK;
	return 0;
}

int
keyd_has(struct keyd_client *client, const unsigned char spki[32], bool *ret, struct err *err)
{
	struct wire_request request = { .op = WIRE_OP_HAVE, .spki = { spki, WIRE_SPKI_BYTES } };
	struct call call = { .number = 0 };
	int result;

	buf_init(&call.frame, WIRE_FRAME_BYTES);
	result = reach_agent(client, &request, &call, err);
	if (result == 0)
		result = take_presence(client, &call.answer, ret, err);
	buf_done(&call.frame);
	return result;
}

static int
sign_through_agent(void *ctx, const unsigned char spki[32], enum digest alg, struct slice digest,
    unsigned char *sig, size_t *sig_len, struct err *err)
{
	const struct keyd_signer *bound = ctx;

	return keyd_sign(bound->client, bound->context, spki, alg, digest, sig, sig_len, err);
}

struct signer
keyd_signer_of(struct keyd_signer *bound)
{
	return (struct signer){ sign_through_agent, bound };
}
