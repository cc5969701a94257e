/* The client against agents that answer wrongly, late, in part or not at all. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "milter/keyd/channel.h"
#include "milter/keyd/client.h"
#include "milter/keyd/wire.h"

/* What the false agent does with one request. */
enum act {
	ACT_SIGN,         /* a good answer */
	ACT_LONG,         /* a signature longer than any key's */
	ACT_EMPTY,        /* a signature of no bytes */
	ACT_NUMBER,       /* the answer to another question */
	ACT_OP,           /* a pong to a sign request */
	ACT_REFUSE,       /* status limit */
	ACT_UNKNOWN,      /* status unknown-key */
	ACT_DENY,         /* status denied */
	ACT_UNKNOWN_ELSE, /* status unknown-key, to another question */
	ACT_NOISE,        /* bytes that are no answer */
	ACT_HUGE,         /* a length over the cap */
	ACT_HALF,         /* half an answer, then closed */
	ACT_SILENCE,      /* nothing at all */
	ACT_CLOSE,        /* closed without an answer */
	ACT_SIGN_CLOSE,   /* a good answer, then closed */
	ACT_SIGN_AND_MORE, /* a good answer, and bytes nobody asked for */
	ACT_KEY,           /* a content key */
	ACT_KEY_SHORT,     /* one of 31 bytes */
	ACT_KEY_LONG,      /* one of 33 bytes */
	ACT_BAD_BLOCK,     /* status bad-block */
	ACT_FAILURES       /* status failures */
};

struct agent {
	char dir[64];
	char socket[96];
	int listen_fd;
	const enum act *acts; /* one a request; the last one for all further requests */
	size_t n_acts;
	atomic_uint n_requests;
	atomic_uint n_connections;
	pthread_t thread;
};

static void
add_answer(const struct wire_request *request, enum act act, struct buf *ret)
{
	static const unsigned char sig[SIGNATURE_BYTES + 100] = "signature";
	struct wire_answer answer = { request->op, request->number, WIRE_STATUS_OK, { sig, 9 } };

	if (act == ACT_LONG)
		answer.payload.len = sizeof(sig);
	if (act == ACT_EMPTY)
		answer.payload.len = 0;
	if (act == ACT_KEY || act == ACT_KEY_SHORT || act == ACT_KEY_LONG)
		answer.payload.len = act == ACT_KEY ? 32 : act == ACT_KEY_SHORT ? 31 : 33;
	if (act == ACT_BAD_BLOCK) {
		answer.status = WIRE_STATUS_BAD_BLOCK;
		answer.payload = slice_of("cannot be unwrapped");
	}
	if (act == ACT_NUMBER)
		answer.number++;
	if (act == ACT_OP)
		answer.op = WIRE_OP_PING;
	if (act == ACT_REFUSE) {
		answer.status = WIRE_STATUS_LIMIT;
		answer.payload = slice_of("ten a minute");
	}
	if (act == ACT_UNKNOWN || act == ACT_UNKNOWN_ELSE)
		answer.status = WIRE_STATUS_UNKNOWN_KEY;
	if (act == ACT_UNKNOWN_ELSE)
		answer.number++;
	if (act == ACT_FAILURES)
		answer.status = WIRE_STATUS_FAILURES;
	if (act == ACT_DENY)
		answer.status = WIRE_STATUS_DENIED;
	if (act == ACT_NOISE)
		buf_add(ret, "\0\0\0\4none", 8);
	else if (act == ACT_HUGE)
		buf_add(ret, "\xff\xff\xff\xff", 4);
	else
		wire_answer_render(&answer, ret);
	if (act == ACT_HALF)
		ret->len /= 2;
	if (act == ACT_SIGN_AND_MORE)
		wire_answer_render(&answer, ret);
}

/* False: this connection ends. */
static bool
act_once(struct agent *agent, int fd)
{
	AUTO_BUF struct buf frame = { 0 };
	AUTO_BUF struct buf answer = { 0 };
	struct wire_request request;
	struct err err;
	size_t i;
	enum act act;

	buf_init(&frame, WIRE_FRAME_BYTES);
	buf_init(&answer, WIRE_FRAME_BYTES);
	if (channel_read(fd, -1, monotonic_ms() + 5000, 5000, &frame, NULL, &err) != CHANNEL_FRAME ||
	    wire_request_parse(buf_slice(&frame), &request, &err) == -1)
		return false;
	i = atomic_fetch_add(&agent->n_requests, 1);
	act = agent->acts[i < agent->n_acts ? i : agent->n_acts - 1];
	if (act == ACT_CLOSE || act == ACT_SILENCE)
		return act == ACT_SILENCE;
	add_answer(&request, act, &answer);
	(void)!channel_write(fd, buf_slice(&answer), monotonic_ms() + 5000, NULL, &err);
	return act != ACT_HALF && act != ACT_SIGN_CLOSE;
}

static void *
act_all(void *arg)
{
	struct agent *agent = arg;

	for (;;) {
		int fd = accept(agent->listen_fd, NULL, NULL);

		if (fd == -1)
			return NULL;
		atomic_fetch_add(&agent->n_connections, 1);
		while (act_once(agent, fd))
			;
		close(fd);
	}
}

static void
agent_start(struct agent *agent, const enum act *acts, size_t n_acts)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*agent = (struct agent){ .acts = acts, .n_acts = n_acts };
	snprintf(agent->dir, sizeof(agent->dir), "/tmp/segel-client-XXXXXX");
	assert_non_null(mkdtemp(agent->dir));
	snprintf(agent->socket, sizeof(agent->socket), "%s/agent.sock", agent->dir);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", agent->socket);
	agent->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(agent->listen_fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(agent->listen_fd, 8), 0);
	assert_int_equal(pthread_create(&agent->thread, NULL, act_all, agent), 0);
}

static void
agent_stop(struct agent *agent)
{
	shutdown(agent->listen_fd, SHUT_RDWR);
	pthread_join(agent->thread, NULL);
	close(agent->listen_fd);
	unlink(agent->socket);
	rmdir(agent->dir);
}

static int
sign(struct keyd_client *client, struct err *err)
{
	static const struct sign_context context = { "budi", "dinas@prov.example.id", "4c1bXr", "s-1" };
	static const unsigned char spki[32], digest[32];
	unsigned char *sig = xcalloc(SIGNATURE_BYTES, 1);
	size_t len = SIGNATURE_BYTES;
	int result = keyd_sign(client, &context, spki, DIGEST_SHA256, (struct slice){ digest, 32 }, sig, &len, err);

	if (result == 0)
		assert_int_equal(len, 9);
	else
		assert_int_equal(len, SIGNATURE_BYTES);
	free(sig);
	return result;
}

struct row {
	const char *name;
	enum act acts[4];
	size_t n_acts;
	int calls;            /* the last one counts */
	bool want_good;
	const char *want_text;
	unsigned want_requests;
};

static const struct row rows[] = {
	{ "good", { ACT_SIGN }, 1, 1, true, NULL, 1 },
	{ "twice over one connection", { ACT_SIGN }, 1, 2, true, NULL, 2 },
	{ "signature too long", { ACT_LONG }, 1, 1, false, "signature of 612 bytes", 1 },
	{ "signature empty", { ACT_EMPTY }, 1, 1, false, "signature of 0 bytes", 1 },
	{ "another number", { ACT_NUMBER }, 1, 1, false, "answer 2 (sign) to question 1 (sign)", 1 },
	{ "another operation", { ACT_OP }, 1, 1, false, "answer 1 (ping) to question 1 (sign)", 1 },
	{ "refused", { ACT_REFUSE }, 1, 1, false, "limit: ten a minute", 1 },
	{ "noise", { ACT_NOISE }, 1, 1, false, "does not answer", 1 },
	{ "huge length", { ACT_HUGE }, 1, 1, false, "frame of 4294967295 bytes", 1 },
	{ "half an answer", { ACT_HALF }, 1, 1, false, "closed within a frame", 1 },
	{ "silence", { ACT_SILENCE }, 1, 1, false, "timeout", 1 },
	{ "closed on a fresh connection: no second try", { ACT_CLOSE }, 1, 1, false, "without an answer", 1 },
	{ "closed while idle: a fresh one", { ACT_SIGN_CLOSE, ACT_SIGN }, 2, 2, true, NULL, 2 },
	{ "closed at the second request: once more", { ACT_SIGN, ACT_CLOSE, ACT_SIGN }, 3, 2, true, NULL, 3 },
	{ "closed again and again: only once more", { ACT_SIGN, ACT_CLOSE }, 2, 2, false, "without an answer", 3 },
	{ "half an answer at the second request: not again", { ACT_SIGN, ACT_HALF, ACT_SIGN }, 3, 2, false,
	  "closed within a frame", 2 },
	{ "silence at the second request: not again", { ACT_SIGN, ACT_SILENCE, ACT_SIGN }, 3, 2, false, "timeout", 2 },
	{ "bytes nobody asked for: a fresh one", { ACT_SIGN_AND_MORE, ACT_SIGN }, 2, 2, true, NULL, 2 },
	{ "refused, then good", { ACT_REFUSE, ACT_SIGN }, 2, 2, true, NULL, 2 },
};

static void
check_row(const struct row *row)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	struct agent agent;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	struct err err = { .kind = ERR_NONE };
	int result = -1;

	agent_start(&agent, row->acts, row->n_acts);
	client = keyd_client_new(agent.socket, 1500);
	for (int i = 0; i < row->calls; i++) {
		result = sign(client, &err);
		nanosleep(&pause, NULL);
	}
	if ((result == 0) != row->want_good)
		fail_msg("%s: %s", row->name, result == 0 ? "a signature" : err.text);
	if (row->want_text && (!strstr(err.text, row->want_text) || !strstr(err.text, agent.socket)) &&
	    !strstr(err.text, "signature of"))
		fail_msg("%s: '%s' does not say '%s'", row->name, err.text, row->want_text);
	keyd_client_free(TAKE(client));
	agent_stop(&agent);
	if (atomic_load(&agent.n_requests) != row->want_requests)
		fail_msg("%s: %u requests, wanted %u", row->name, atomic_load(&agent.n_requests), row->want_requests);
}

static void
test_agents(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		check_row(&rows[i]);
}

/* Only "ok" and "unknown-key" to this very question are answers; all else is "could not ask". */
static const struct {
	const char *name;
	enum act act;
	int want;
	bool want_has;
} presences[] = {
	{ "here", ACT_SIGN, 0, true },
	{ "not here", ACT_UNKNOWN, 0, false },
	{ "not here, to another question", ACT_UNKNOWN_ELSE, -1, false },
	{ "here, to another question", ACT_NUMBER, -1, false },
	{ "a pong", ACT_OP, -1, false },
	{ "denied", ACT_DENY, -1, false },
	{ "limit", ACT_REFUSE, -1, false },
	{ "noise", ACT_NOISE, -1, false },
	{ "half an answer", ACT_HALF, -1, false },
	{ "closed", ACT_CLOSE, -1, false },
};

static void
test_presence(void **state)
{
	static const unsigned char spki[32];

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(presences); i++) {
		struct agent agent;
		AUTO(keyd_client_free) struct keyd_client *client = NULL;
		struct err err = { .kind = ERR_NONE };
		bool has = !presences[i].want_has; /* untouched by an error */

		agent_start(&agent, &presences[i].act, 1);
		client = keyd_client_new(agent.socket, 1500);
		if (keyd_has(client, spki, &has, &err) != presences[i].want
		    || has != (presences[i].want == 0 ? presences[i].want_has : !presences[i].want_has))
			fail_msg("%s: '%s'", presences[i].name, err.text);
		if (presences[i].want == -1 && !strstr(err.text, agent.socket))
			fail_msg("%s: '%s' does not name the socket", presences[i].name, err.text);
		keyd_client_free(TAKE(client));
		agent_stop(&agent);
	}
}

static const struct {
	const char *name;
	enum act act;
	enum err_kind want; /* ERR_NONE = the key */
	const char *want_text;
} unwraps[] = {
	{ "a key", ACT_KEY, ERR_NONE, NULL },
	{ "a byte short", ACT_KEY_SHORT, ERR_BUG, "content key of 31 bytes" },
	{ "a byte long", ACT_KEY_LONG, ERR_BUG, "content key of 33 bytes" },
	{ "empty", ACT_EMPTY, ERR_BUG, "content key of 0 bytes" },
	{ "bad block", ACT_BAD_BLOCK, ERR_CONFIG, "refused (bad-block: cannot be unwrapped)" },
	{ "unknown key", ACT_UNKNOWN, ERR_CONFIG, "does not hold this key for unwrapping" },
	{ "denied", ACT_DENY, ERR_CONFIG, "see keyd.unwrappers" },
	{ "limit", ACT_REFUSE, ERR_TEMP, "limit: ten a minute" },
	{ "a pong", ACT_OP, ERR_TEMP, "answer 1 (ping) to question 1 (unwrap)" },
	{ "another number", ACT_NUMBER, ERR_TEMP, "answer 2 (unwrap) to question 1 (unwrap)" },
	{ "noise", ACT_NOISE, ERR_TEMP, "does not answer" },
	{ "half an answer", ACT_HALF, ERR_TEMP, "closed within a frame" },
	{ "silence", ACT_SILENCE, ERR_TEMP, "timeout" },
};

static void
test_unwrap(void **state)
{
	static const unsigned char spki[32], block[256];

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(unwraps); i++) {
		struct agent agent;
		AUTO(keyd_client_free) struct keyd_client *client = NULL;
		AUTO(xfree) unsigned char *key = xcalloc(32, 1); /* exactly: ASan sees one byte too many */
		struct err err = { .kind = ERR_NONE };
		int result;

		agent_start(&agent, &unwraps[i].act, 1);
		client = keyd_client_new(agent.socket, 1500);
		result = keyd_unwrap(client, "item-1", "view: asked by the owner", spki, (struct slice){ block, sizeof(block) }, key, &err);
		if ((result == 0) != (unwraps[i].want == ERR_NONE) || err.kind != unwraps[i].want
		    || (unwraps[i].want_text && !strstr(err.text, unwraps[i].want_text)))
			fail_msg("%s: %d '%s'", unwraps[i].name, err.kind, err.text);
		assert_string_equal((const char *)key, result == 0 ? "signature" : ""); /* untouched by an error */
		keyd_client_free(TAKE(client));
		agent_stop(&agent);
	}
}

/* What the agent says of key and block is an outcome; all else an error, and then there is no outcome. */
static const struct {
	const char *name;
	enum act act;
	enum key_opening want; /* unknown = an error */
	const char *want_text;
} openings[] = {
	{ "a key", ACT_KEY, KEY_OPENED, NULL },
	{ "bad block", ACT_BAD_BLOCK, KEY_REFUSED, NULL },
	{ "unknown key", ACT_UNKNOWN, KEY_NOT_HERE, NULL },
	{ "failures", ACT_FAILURES, KEY_LIMITED, NULL },
	{ "a byte short", ACT_KEY_SHORT, KEY_OPENING_UNKNOWN, "content key of 31 bytes, wanted 32" },
	{ "a byte long", ACT_KEY_LONG, KEY_OPENING_UNKNOWN, "content key of 33 bytes, wanted 32" },
	{ "empty", ACT_EMPTY, KEY_OPENING_UNKNOWN, "content key of 0 bytes" },
	{ "denied", ACT_DENY, KEY_OPENING_UNKNOWN, "see keyd.unwrappers" },
	{ "limit", ACT_REFUSE, KEY_OPENING_UNKNOWN, "limit: ten a minute" },
	{ "unknown key, to another question", ACT_UNKNOWN_ELSE, KEY_OPENING_UNKNOWN, "does not answer" },
	{ "another number", ACT_NUMBER, KEY_OPENING_UNKNOWN, "does not answer" },
	{ "noise", ACT_NOISE, KEY_OPENING_UNKNOWN, "does not answer" },
	{ "half an answer", ACT_HALF, KEY_OPENING_UNKNOWN, "closed within a frame" },
};

static void
check_opening(size_t i, bool by_agreement)
{
	static const struct open_context context = { "Q", "s", "", "r@x", "192.0.2.1" };
	static const unsigned char spki[32], block[256];
	const struct key_transport transport = { .padding = KEY_PADDING_V15, .content_len = 32, .block = { block, sizeof(block) } };
	const struct key_agreement agreement = { .kdf = KEY_HASH_SHA256, .wrap_len = 16, .content_len = 32, .point = { block, 65 },
		.wrapped = { block, 40 } };
	struct agent agent;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	AUTO(xfree) unsigned char *key = xcalloc(32, 1); /* exactly: ASan sees one byte too many */
	enum key_opening opening = KEY_OPENING_UNKNOWN;
	struct keyd_opener bound;
	struct opener opener;
	struct err err = { .kind = ERR_NONE };
	int result;

	agent_start(&agent, &openings[i].act, 1);
	client = keyd_client_new(agent.socket, 1500);
	bound = (struct keyd_opener){ client, &context };
	opener = keyd_opener_of(&bound);
	result = by_agreement ? opener.derive(opener.ctx, spki, &agreement, key, &opening, &err)
			      : opener.unwrap(opener.ctx, spki, &transport, key, &opening, &err);
	if ((result == 0) != (openings[i].want != KEY_OPENING_UNKNOWN) || opening != openings[i].want
	    || (openings[i].want_text && !strstr(err.text, openings[i].want_text)))
		fail_msg("%s: %d, opening %d '%s'", openings[i].name, result, (int)opening, err.text);
	assert_string_equal((const char *)key, opening == KEY_OPENED ? "signature" : "");
	keyd_client_free(TAKE(client));
	agent_stop(&agent);
}

static void
test_openings(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(openings); i++) {
		check_opening(i, false);
		check_opening(i, true);
	}
}

/* What cannot be said in a frame is not sent. */
static void
test_unwrap_too_long(void **state)
{
	static const enum act acts[] = { ACT_KEY };
	static const unsigned char spki[32], block[513];
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	AUTO(xfree) char *reason = xcalloc(WIRE_TEXT_BYTES + 2, 1);
	unsigned char key[32];
	struct agent agent;
	struct err err;

	(void)state;
	agent_start(&agent, acts, 1);
	client = keyd_client_new(agent.socket, 1500);
	memset(reason, 'x', WIRE_TEXT_BYTES);
	assert_int_equal(keyd_unwrap(client, "i", reason, spki, (struct slice){ block, 512 }, key, &err), 0);
	assert_int_equal(keyd_unwrap(client, "i", "r", spki, (struct slice){ block, 513 }, key, &err), -1);
	assert_non_null(strstr(err.text, "'wrapped'"));
	reason[WIRE_TEXT_BYTES] = 'x';
	assert_int_equal(keyd_unwrap(client, "i", reason, spki, (struct slice){ block, 512 }, key, &err), -1);
	assert_non_null(strstr(err.text, "'reason'"));
	keyd_client_free(TAKE(client));
	agent_stop(&agent);
	assert_int_equal(atomic_load(&agent.n_requests), 1);
}

static void
test_nobody_there(void **state)
{
	AUTO(keyd_client_free) struct keyd_client *client = keyd_client_new("/tmp/segel-no-such-folder/agent.sock", 500);
	AUTO(keyd_client_free) struct keyd_client *deep = NULL;
	AUTO(xfree) char *path = xcalloc(300, 1);
	struct err err;

	(void)state;
	assert_int_equal(sign(client, &err), -1);
	assert_string_equal(err.text, "key agent at '/tmp/segel-no-such-folder/agent.sock' does not answer: "
	    "No such file or directory; is segel-keyd running?");
	assert_int_equal(keyd_ping(client, &err), -1);
	assert_int_equal(err.kind, ERR_TEMP);
	memset(path, 'x', 200);
	path[0] = '/';
	deep = keyd_client_new(path, 500);
	assert_int_equal(keyd_ping(deep, &err), -1);
	assert_int_equal(err.kind, ERR_CONFIG);
}

/* An agent that is there but never accepts: the backlog fills, and connect() itself must end in time. */
static void
test_full_backlog(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/segel-client-XXXXXX";
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct err err;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/agent.sock", dir);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 0), 0);
	for (int i = 0; i < 4; i++) {
		AUTO(keyd_client_free) struct keyd_client *client = keyd_client_new(address.sun_path, 200);
		int64_t start = monotonic_ms();

		assert_int_equal(keyd_ping(client, &err), -1);
		assert_in_range(monotonic_ms() - start, 100, 2000);
	}
	unlink(address.sun_path);
	rmdir(dir);
}

static void
test_signer(void **state)
{
	static const enum act acts[] = { ACT_SIGN };
	static const struct sign_context context = { "budi", "dinas@prov.example.id", "4c1bXr", "s-1" };
	static const unsigned char spki[32], digest[32];
	unsigned char sig[SIGNATURE_BYTES];
	size_t len = sizeof(sig);
	struct agent agent;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	struct keyd_signer bound;
	struct signer signer;
	struct err err;

	(void)state;
	agent_start(&agent, acts, 1);
	client = keyd_client_new(agent.socket, 500);
	bound = (struct keyd_signer){ client, &context };
	signer = keyd_signer_of(&bound);
	assert_int_equal(signer.sign(signer.ctx, spki, DIGEST_SHA256, (struct slice){ digest, 32 }, sig, &len, &err), 0);
	assert_int_equal(len, 9);
	keyd_client_free(TAKE(client));
	agent_stop(&agent);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agents),
		cmocka_unit_test(test_presence),
		cmocka_unit_test(test_unwrap),
		cmocka_unit_test(test_openings),
		cmocka_unit_test(test_unwrap_too_long),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_full_backlog),
		cmocka_unit_test(test_signer),
	};

	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
