/*
 * The SignedData we write against the one OpenSSL's CMS writes of the same parts: byte for byte, for
 * each kind of key, chain and date. And the set of opened certificates: whose DER it answers for.
 */
#include "tests/smime/world.h"

#include <openssl/cms.h>
#include <openssl/pem.h>

#include "smime/cert.h"
#include "smime/cms.h"

static const char *const kinds[] = { "rsa2048", "rsa3072", "p256", "p384" };

struct state {
	struct world world;
	struct buf cert[N_ELEMENTS(kinds)];
	struct key *key[N_ELEMENTS(kinds)];
	struct buf chain[2];
};

static void
read_cert(const char *file, struct buf *ret)
{
	struct slice pem = read_file(file);
	struct err err = { .text = "" };

	buf_init(ret, LIMIT_CERT_BYTES);
	if (cert_read(pem, ret, &err) == -1)
		fail_msg("%s", err.text);
	heap_free(pem);
}

static int
set_up(void **given)
{
	struct state *state = xcalloc(1, sizeof(*state));
	struct err err = { .text = "" };

	*given = state;
	world_open(&state->world);
	mkpki(&state->world, "--out root --self --ca --cn Root --from -1d --to +1d --key p256");
	mkpki(&state->world, "--out upper --ca-of root --ca --cn Upper --from -1d --to +1d --key p256");
	mkpki(&state->world, "--out issuing --ca-of upper --ca --cn 'Issuing CA' --from -1d --to +1d --key rsa2048");
	read_cert("issuing.crt", &state->chain[0]);
	read_cert("upper.crt", &state->chain[1]);
	for (size_t i = 0; i < N_ELEMENTS(kinds); i++) {
		char file[32];

		mkpki(&state->world, "--out %s --ca-of issuing --cn Kantor --email a@kota.example --from -1d --to +1d --key %s", kinds[i], kinds[i]);
		snprintf(file, sizeof(file), "%s.crt", kinds[i]);
		read_cert(file, &state->cert[i]);
		snprintf(file, sizeof(file), "%s.key", kinds[i]);
		assert_int_equal(key_load(file, NULL, true, &state->key[i], &err), 0);
	}
	return 0;
}

static int
tear_down(void **given)
{
	struct state *state = *given;

	for (size_t i = 0; i < N_ELEMENTS(kinds); i++) {
		buf_done(&state->cert[i]);
		key_free(state->key[i]);
	}
	buf_done(&state->chain[0]);
	buf_done(&state->chain[1]);
	world_close(&state->world);
	free(state);
	return 0;
}

static X509 *
x509(const struct buf *der)
{
	const unsigned char *at = der->at;
	X509 *cert = d2i_X509(NULL, &at, (long)der->len);

	assert_non_null(cert);
	return cert;
}

static EVP_PKEY *
pkey(const char *kind)
{
	char file[32];
	FILE *pem;
	EVP_PKEY *key;

	snprintf(file, sizeof(file), "%s.key", kind);
	pem = fopen(file, "re");
	assert_non_null(pem);
	key = PEM_read_PrivateKey(pem, NULL, NULL, NULL);
	assert_non_null(key);
	fclose(pem);
	return key;
}

static void
add_attributes(CMS_SignerInfo *info, time_t now)
{
	ASN1_TIME *time = ASN1_TIME_set(NULL, now);
	STACK_OF(X509_ALGOR) *list = NULL;

	assert_int_equal(CMS_signed_add1_attr_by_NID(info, NID_pkcs9_signingTime, ASN1_STRING_type(time), time, -1), 1);
	assert_int_equal(CMS_add_simple_smimecap(&list, NID_aes_256_cbc, -1), 1);
	assert_int_equal(CMS_add_simple_smimecap(&list, NID_aes_192_cbc, -1), 1);
	assert_int_equal(CMS_add_simple_smimecap(&list, NID_aes_128_cbc, -1), 1);
	assert_int_equal(CMS_add_smimecap(info, list), 1);
	sk_X509_ALGOR_pop_free(list, X509_ALGOR_free);
	ASN1_TIME_free(time);
}

/* What OpenSSL's CMS makes of the same; free with OPENSSL_free. */
static int
by_openssl(const struct state *state, size_t kind, size_t n_chain, time_t now, const char *text, unsigned char **ret)
{
	CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, CMS_PARTIAL | CMS_BINARY | CMS_DETACHED);
	EVP_PKEY *key = pkey(kinds[kind]);
	X509 *cert = x509(&state->cert[kind]);
	BIO *content = BIO_new_mem_buf(text, -1);
	int len;

	add_attributes(CMS_add1_signer(cms, cert, key, strcmp(kinds[kind], "p384") == 0 ? EVP_sha384() : EVP_sha256(),
	    CMS_PARTIAL | CMS_BINARY | CMS_DETACHED | CMS_NOSMIMECAP | CMS_CADES), now);
	for (size_t i = 0; i < n_chain; i++) {
		X509 *above = x509(&state->chain[i]);

		assert_int_equal(CMS_add1_cert(cms, above), 1);
		X509_free(above);
	}
	assert_int_equal(CMS_final(cms, content, NULL, CMS_BINARY | CMS_DETACHED), 1);
	*ret = NULL;
	len = i2d_CMS_ContentInfo(cms, ret);
	BIO_free(content);
	X509_free(cert);
	EVP_PKEY_free(key);
	CMS_ContentInfo_free(cms);
	return len;
}

static int
note_len(void *ctx, const unsigned char spki[32], enum digest alg, struct slice digest, unsigned char *sig, size_t *sig_len, struct err *err)
{
	void **given = ctx;
	int result = key_sign(given[0], alg, digest, sig, sig_len, err);

	(void)spki;
	*(size_t *)given[1] = *sig_len;
	return result;
}

/* The signature stands last; with ECDSA it is another each time, and its length may be too. */
static void
compare_one(struct state *state, size_t kind, size_t n_chain, time_t now)
{
	static const char text[] = "Content-Type: text/plain\r\n\r\nHalo\r\n";
	const struct slice chain[2] = { buf_slice(&state->chain[0]), buf_slice(&state->chain[1]) };
	AUTO(prepared_unref) const struct prepared *cert = NULL;
	AUTO_PIECES struct pieces content = { 0 };
	bool rsa = strncmp(kinds[kind], "rsa", 3) == 0;
	struct err err = { .text = "" };
	size_t sig_len = 0;
	void *ctx[] = { state->key[kind], &sig_len };
	const struct signer signer = { note_len, ctx };
	int tries = 0;

	pieces_borrow(&content, (struct slice){ (const unsigned char *)text, 10 });
	pieces_borrow(&content, (struct slice){ (const unsigned char *)text + 10, sizeof(text) - 1 - 10 });
	assert_int_equal(prepared_new(buf_slice(&state->cert[kind]), chain, n_chain, &cert, &err), 0);
	for (;;) {
		AUTO_SIGNED struct cms_signed ours = { .alg = DIGEST_UNKNOWN };
		unsigned char *theirs;
		int len = by_openssl(state, kind, n_chain, now, text, &theirs);

		if (cms_sign(&(struct cms_request){ .cert = cert, .signer = &signer, .now = now }, &content, &ours, &err) == -1)
			fail_msg("%s", err.text);
		if ((size_t)len == ours.der.len || tries++ == 1000) {
			size_t same = rsa ? (size_t)len : (size_t)len - sig_len;

			assert_int_equal(len, ours.der.len);
			assert_memory_equal(ours.der.at, theirs, same);
			OPENSSL_free(theirs);
			return;
		}
		OPENSSL_free(theirs);
	}
}

static void
as_openssl_writes_it(void **given)
{
	/* UTCTime's last second and GeneralizedTime's first. */
	static const time_t times[] = { 1790000000, 2524607999, 2524608000 };

	for (size_t kind = 0; kind < N_ELEMENTS(kinds); kind++) {
		for (size_t n_chain = 0; n_chain <= 2; n_chain++) {
			for (size_t i = 0; i < N_ELEMENTS(times); i++)
				compare_one(*given, kind, n_chain, times[i]);
		}
	}
}

static void
chains_that_are_none(void **given)
{
	struct state *state = *given;
	const struct slice leaf = buf_slice(&state->cert[0]), above = buf_slice(&state->chain[0]);
	const struct slice twice[] = { above, above }, itself[] = { leaf }, cut[] = { { above.at, above.len - 1 } };
	const struct slice many[LIMIT_CHAIN_CERTS + 1] = { above };
	const struct prepared *none = NULL;
	struct err err = { .text = "" };

	assert_int_equal(prepared_new(leaf, twice, 2, &none, &err), -1);
	assert_non_null(strstr(err.text, "twice"));
	assert_int_equal(prepared_new(leaf, itself, 1, &none, &err), -1);
	assert_int_equal(prepared_new(leaf, cut, 1, &none, &err), -1);
	assert_non_null(strstr(err.text, "chain certificate 1"));
	assert_int_equal(prepared_new(leaf, many, N_ELEMENTS(many), &none, &err), -1);
	assert_non_null(strstr(err.text, "at most 5"));
	assert_int_equal(err.kind, ERR_CONFIG);
	assert_null(none);
}

/* Same DER, same entry; one byte of difference is another certificate or none. */
static void
a_set_answers_for_its_der(void **given)
{
	struct state *state = *given;
	AUTO(prepared_set_free) struct prepared_set *set = prepared_set_new(NULL);
	const struct prepared *first = NULL, *again = NULL, *other = NULL;
	struct slice copy = heap_slice(state->cert[2].at, state->cert[2].len);
	struct err err = { .text = "" };

	assert_int_equal(prepared_get(set, buf_slice(&state->cert[2]), &first, &err), 0);
	assert_int_equal(prepared_get(set, copy, &again, &err), 0);
	assert_ptr_equal(first, again);
	prepared_unref(again);
	((unsigned char *)(uintptr_t)copy.at)[copy.len - 1] ^= 1; /* in the signature: still a certificate */
	assert_int_equal(prepared_get(set, copy, &other, &err), 0);
	assert_ptr_not_equal(first, other);
	assert_memory_not_equal(prepared_facts(first)->sha256, prepared_facts(other)->sha256, 32);
	prepared_unref(other);
	assert_int_equal(prepared_get(set, (struct slice){ copy.at, copy.len - 1 }, &other, &err), -1);
	assert_int_equal(prepared_get(set, (struct slice){ copy.at, 0 }, &other, &err), -1);
	prepared_set_free(TAKE(set)); /* what is in hand outlives the set */
	assert_int_equal(prepared_der(first).len, copy.len);
	prepared_unref(first);
	heap_free(copy);
}

/* Many more certificates than there are places: each answer is still about the one asked for. */
static void
a_set_is_bounded(void **given)
{
	struct state *state = *given;
	AUTO(prepared_set_free) struct prepared_set *set = prepared_set_new(NULL);
	struct slice copy = heap_slice(state->cert[2].at, state->cert[2].len);
	unsigned char *end = (unsigned char *)(uintptr_t)copy.at + copy.len - 4;
	struct err err = { .text = "" };

	for (unsigned i = 0; i < 3000; i++) {
		AUTO(prepared_unref) const struct prepared *found = NULL;
		unsigned which = i % 1700;

		memcpy(end, &which, 4);
		if (prepared_get(set, copy, &found, &err) == -1)
			fail_msg("%s", err.text);
		assert_true(slice_equal(prepared_der(found), copy));
	}
	heap_free(copy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_openssl_writes_it),
		cmocka_unit_test(chains_that_are_none),
		cmocka_unit_test(a_set_answers_for_its_der),
		cmocka_unit_test(a_set_is_bounded),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
