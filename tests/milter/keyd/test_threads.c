/*
 * 24 threads ask one agent for content keys, by RSA and by agreement, and report failures, while its keys are exchanged: each gets its own
 * key and nobody another's. With the thread sanitizer, too. Keys are made here, so that the program needs nothing else.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "milter/keyd/agent.h"

enum { THREADS = 24, EACH = 60, N_RSA = 2 };

static const struct peer peer = { 64104, 1 };

struct place {
	char dir[64];
	EVP_PKEY *rsa[N_RSA], *curve; /* of those, what the threads wrap for: the public half is all they use */
	unsigned char spki[N_RSA][32], curve_spki[32];
	struct keyd_key_settings keys[N_RSA + 1];
	char *files[N_RSA + 1], *pass;
	struct audit *audit;
	struct agent *agent;
	atomic_uint n_wrong, n_limited;
};

static void
keep(const struct place *place, const char *name, EVP_PKEY *pkey, char **ret_file, unsigned char spki[32])
{
	AUTO(key_free) struct key *key = NULL;
	struct err err;
	FILE *out;

	*ret_file = xasprintf("%s/%s", place->dir, name);
	out = fopen(*ret_file, "we");
	assert_non_null(out);
	assert_int_equal(chmod(*ret_file, 0600), 0);
	assert_int_equal(PEM_write_PKCS8PrivateKey(out, pkey, EVP_aes_256_cbc(), NULL, 0, NULL, (char[]){ "rahasia" }), 1);
	fclose(out);
	if (key_load(*ret_file, place->pass, false, &key, &err) == -1)
		fail_msg("%s", err.text);
	memcpy(spki, key_spki(key), 32);
}

static struct store *
loaded(const struct place *place)
{
	static const char *const users[] = { "64104" };
	const struct keyd_settings settings = { .unwrappers = users, .n_unwrappers = 1, .keys = place->keys, .n_keys = N_RSA + 1 };
	struct store *store = NULL;
	struct err err;

	if (store_load(&settings, &store, &err) == -1)
		fail_msg("%s", err.text);
	return store;
}

static void
ask(struct place *place, struct wire_request *request, struct buf *room, struct wire_answer *ret)
{
	AUTO_BUF struct buf bytes = { 0 };
	struct err err;

	buf_init(&bytes, 64 * 1024);
	request->queue_id = slice_of("Q");
	request->session = slice_of("s");
	request->recipient = slice_of("r@x");
	if (wire_request_render(request, &bytes, &err) == -1)
		atomic_fetch_add(&place->n_wrong, 1);
	agent_answer(place->agent, &peer, (struct slice){ bytes.at + WIRE_LENGTH_BYTES, bytes.len - WIRE_LENGTH_BYTES }, room);
	if (wire_answer_parse((struct slice){ room->at + WIRE_LENGTH_BYTES, room->len - WIRE_LENGTH_BYTES }, ret, &err) == -1)
		atomic_fetch_add(&place->n_wrong, 1);
}

static size_t
wrap(EVP_PKEY *pkey, int padding, const unsigned char content[32], unsigned char block[512])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
	size_t len = 512;
	bool done = EVP_PKEY_encrypt_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, padding) == 1
	    && EVP_PKEY_encrypt(ctx, block, &len, content, 32) == 1;

	EVP_PKEY_CTX_free(ctx);
	return done ? len : 0;
}

/* A content key of this thread's own: what comes back is that one. */
static void
open_once(struct place *place, size_t which, int padding, const char *sender, enum wire_status want)
{
	unsigned char content[32], block[512];
	struct wire_request request = {
		.op = WIRE_OP_OPEN,
		.padding = padding == RSA_PKCS1_PADDING ? KEY_PADDING_V15 : KEY_PADDING_OAEP,
		.content = 4,
		.spki = { place->spki[which], 32 },
		.sender = slice_of(sender),
	};
	AUTO_BUF struct buf room = { 0 };
	struct wire_answer answer;

	if (request.padding == KEY_PADDING_OAEP)
		request.digest_hash = request.mask_hash = KEY_HASH_SHA1;
	RAND_bytes(content, sizeof(content));
	request.wrapped = (struct slice){ block, wrap(place->rsa[which], padding, content, block) };
	buf_init(&room, 64 * 1024);
	ask(place, &request, &room, &answer);
	if (answer.status != want
	    || (want == WIRE_STATUS_OK && (answer.payload.len != 32 || memcmp(answer.payload.at, content, 32) != 0)))
		atomic_fetch_add(&place->n_wrong, 1);
}

/* Noise for a wrapped key: refused, and every thread that asks does so beside the others. */
static void
derive_once(struct place *place, const char *sender)
{
	unsigned char point[65], wrapped[40] = { 0 };
	size_t len = 0;
	struct wire_request request = { .op = WIRE_OP_DERIVE, .kdf = KEY_HASH_SHA256, .wrap = 2, .content = 4,
		.spki = { place->curve_spki, 32 }, .sender = slice_of(sender), .wrapped = { wrapped, sizeof(wrapped) } };
	AUTO_BUF struct buf room = { 0 };
	struct wire_answer answer;

	if (EVP_PKEY_get_octet_string_param(place->curve, "pub", point, sizeof(point), &len) != 1)
		atomic_fetch_add(&place->n_wrong, 1);
	request.point = (struct slice){ point, len };
	buf_init(&room, 64 * 1024);
	ask(place, &request, &room, &answer);
	if (answer.status != WIRE_STATUS_BAD_BLOCK)
		atomic_fetch_add(&place->n_wrong, 1);
}

static void
fail_once(struct place *place, const char *sender)
{
	struct wire_request request = { .op = WIRE_OP_FAILED, .spki = { place->spki[0], 32 }, .sender = slice_of(sender) };
	AUTO_BUF struct buf room = { 0 };
	struct wire_answer answer;

	buf_init(&room, 64 * 1024);
	ask(place, &request, &room, &answer);
	if (answer.status != WIRE_STATUS_OK)
		atomic_fetch_add(&place->n_wrong, 1);
}

struct worker {
	struct place *place;
	size_t number;
};

static void *
work(void *arg)
{
	const struct worker *worker = arg;
	char sender[32], failing[32];

	snprintf(sender, sizeof(sender), "192.0.2.%zu", worker->number);
	snprintf(failing, sizeof(failing), "198.51.100.%zu", worker->number);
	for (size_t i = 0; i < EACH; i++) {
		open_once(worker->place, (i + worker->number) % N_RSA, i % 2 ? RSA_PKCS1_PADDING : RSA_PKCS1_OAEP_PADDING, sender, WIRE_STATUS_OK);
		if (i % 3 == 0)
			derive_once(worker->place, sender);
		if (i < 20)
			fail_once(worker->place, failing);
	}
	open_once(worker->place, 0, RSA_PKCS1_PADDING, failing, WIRE_STATUS_FAILURES);
	open_once(worker->place, 1, RSA_PKCS1_PADDING, failing, WIRE_STATUS_OK); /* the other key */
	return NULL;
}

static void
test_threads(void **state)
{
	struct place *place = *state;
	struct worker workers[THREADS];
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ place, i };
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (size_t i = 0; i < 5; i++) {
		struct store *store = loaded(place);

		agent_replace_store(place->agent, &store);
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&place->n_wrong), 0);
}

static int
setup(void **state)
{
	struct place *place = xcalloc(1, sizeof(*place));
	struct store *store;
	struct err err;
	FILE *out;

	snprintf(place->dir, sizeof(place->dir), "/tmp/segel-keyd-threads-XXXXXX");
	assert_non_null(mkdtemp(place->dir));
	place->pass = xasprintf("%s/pass", place->dir);
	out = fopen(place->pass, "we");
	assert_non_null(out);
	assert_int_equal(chmod(place->pass, 0600), 0);
	fputs("rahasia\n", out);
	fclose(out);
	for (size_t i = 0; i < N_RSA; i++) {
		place->rsa[i] = EVP_RSA_gen(2048);
		keep(place, i ? "rsa1.pem" : "rsa0.pem", place->rsa[i], &place->files[i], place->spki[i]);
	}
	place->curve = EVP_EC_gen("P-256");
	keep(place, "p256.pem", place->curve, &place->files[N_RSA], place->curve_spki);
	for (size_t i = 0; i <= N_RSA; i++)
		place->keys[i] = (struct keyd_key_settings){ .file = place->files[i], .passphrase_file = place->pass,
			.purpose = KEY_PURPOSE_DECRYPT, .limit = 100000 };
	if (audit_open(place->dir, "segel-keyd", &place->audit, &err) == -1)
		fail_msg("%s", err.text);
	store = loaded(place);
	place->agent = agent_new(place->audit, &store);
	*state = place;
	return 0;
}

static int
teardown(void **state)
{
	struct place *place = *state;
	AUTO(xfree) char *command = xasprintf("rm -rf '%s'", place->dir);

	agent_free(place->agent);
	audit_close(place->audit);
	for (size_t i = 0; i < N_RSA; i++)
		EVP_PKEY_free(place->rsa[i]);
	EVP_PKEY_free(place->curve);
	for (size_t i = 0; i <= N_RSA; i++)
		free(place->files[i]);
	free(place->pass);
	if (system(command) != 0)
		return -1;
	free(place);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_threads) };

	return cmocka_run_group_tests_name("keyd threads", tests, setup, teardown);
}
