/*
 * The methods below are deprecated in OpenSSL 3 in favour of providers. A provider would be global
 * state with a key store of its own; these hang on one key object and end with it. They work with
 * CMS in 3.0 and 3.5, and no other file needs them.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "smime/remote.h"

#include <pthread.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

AUTO_DEFINE(RSA, RSA_free);
AUTO_DEFINE(EC_KEY, EC_KEY_free);

/* Made once, read ever after. */
static pthread_once_t methods_once = PTHREAD_ONCE_INIT;
static RSA_METHOD *rsa_method;
static EC_KEY_METHOD *ec_method;
static int rsa_index = -1;
static int ec_index = -1;

static const EVP_MD *
md_of(enum digest alg)
{
	switch (alg) {
	case DIGEST_UNKNOWN:
		return NULL;
	case DIGEST_SHA256:
		return EVP_sha256();
	case DIGEST_SHA384:
		return EVP_sha384();
	}
	return NULL;
}

static int
check_signature(const struct remote *remote, enum digest alg, struct slice digest, struct slice sig)
{
	AUTO(EVP_PKEY_CTX_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(remote->public_key, NULL);
	bool rsa = EVP_PKEY_is_a(remote->public_key, "RSA");

	if (!ctx || EVP_PKEY_verify_init(ctx) != 1)
		return -1;
	if (rsa && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) != 1)
		return -1;
	if (EVP_PKEY_CTX_set_signature_md(ctx, md_of(alg)) != 1)
		return -1;
	return EVP_PKEY_verify(ctx, sig.at, sig.len, digest.at, digest.len) == 1 ? 0 : -1;
}

static int
ask(struct remote *remote, enum digest alg, struct slice digest, unsigned char *sig, size_t room, size_t *ret_len)
{
	unsigned char answer[SIGNATURE_BYTES];
	size_t len = sizeof(answer);

	remote->failed = true;
	if (digest.len != digest_len(alg) || digest.len == 0)
		return err_set(remote->err, ERR_BUG, "asked to sign a digest of %zu bytes", digest.len);
	if (remote->signer->sign(remote->signer->ctx, remote->spki, alg, digest, answer, &len, remote->err) == -1)
		return -1;
	if (len == 0 || len > sizeof(answer) || len > room)
		return err_set(remote->err, ERR_BUG, "the signer answered with %zu bytes; want 1 to %zu", len, room);
	if (check_signature(remote, alg, digest, (struct slice){ answer, len }) == -1)
		return ossl_err(remote->err, ERR_BUG, "the signer's answer is no signature by the certificate's key");
	memcpy(sig, answer, len);
	*ret_len = len;
	remote->failed = false;
	remote->signed_ = true;
	return 0;
}

static enum digest
digest_of_len(size_t len)
{
	if (len == digest_len(DIGEST_SHA256))
		return DIGEST_SHA256;
	return len == digest_len(DIGEST_SHA384) ? DIGEST_SHA384 : DIGEST_UNKNOWN;
}

static int
rsa_sign(int type, const unsigned char *digest, unsigned int digest_bytes, unsigned char *sig, unsigned int *sig_len, const RSA *rsa)
{
	struct remote *remote = RSA_get_ex_data(rsa, rsa_index);
	enum digest alg = type == NID_sha256 ? DIGEST_SHA256 : type == NID_sha384 ? DIGEST_SHA384 : DIGEST_UNKNOWN;
	size_t len = 0;

	if (!remote || ask(remote, alg, (struct slice){ digest, digest_bytes }, sig, (size_t)RSA_size(rsa), &len) == -1)
		return 0;
	*sig_len = (unsigned int)len;
	return 1;
}

static int
ec_sign(int type, const unsigned char *digest, int digest_bytes, unsigned char *sig, unsigned int *sig_len,
    const BIGNUM *kinv, const BIGNUM *r, EC_KEY *ec)
{
	struct remote *remote = EC_KEY_get_ex_data(ec, ec_index);
	struct slice bytes = { digest, digest_bytes > 0 ? (size_t)digest_bytes : 0 };
	size_t len = 0;

	(void)type; /* OpenSSL passes 0 here: the length tells */
	(void)kinv;
	(void)r;
	if (!remote || ask(remote, digest_of_len(bytes.len), bytes, sig, (size_t)ECDSA_size(ec), &len) == -1)
		return 0;
	*sig_len = (unsigned int)len;
	return 1;
}

static void
make_methods(void)
{
	rsa_method = RSA_meth_dup(RSA_get_default_method());
	ec_method = EC_KEY_METHOD_new(EC_KEY_get_default_method());
	rsa_index = RSA_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	ec_index = EC_KEY_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	if (rsa_method)
		RSA_meth_set_sign(rsa_method, rsa_sign);
	if (ec_method)
		EC_KEY_METHOD_set_sign(ec_method, ec_sign, NULL, NULL);
}

static int
set_rsa(EVP_PKEY *key, struct remote *remote)
{
	AUTO(RSA_free) RSA *public_half = EVP_PKEY_get1_RSA(remote->public_key);
	AUTO(RSA_free) RSA *rsa = public_half ? RSAPublicKey_dup(public_half) : NULL;

	if (!rsa || RSA_set_method(rsa, rsa_method) != 1 || RSA_set_ex_data(rsa, rsa_index, remote) != 1)
		return -1;
	if (EVP_PKEY_assign_RSA(key, rsa) != 1)
		return -1;
	rsa = NULL; /* the key's now */
	return 0;
}

/* From curve and point: EVP_PKEY_get1_EC_KEY exports and imports the key, which takes longer than signing. */
static EC_KEY *
ec_public_half(const EVP_PKEY *key)
{
	AUTO(EC_KEY_free) EC_KEY *ec = NULL;
	unsigned char point[1 + 2 * 66];
	char curve[64] = "";
	size_t len = 0;

	if (EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) != 1
	    || EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &len) != 1)
		return NULL;
	ec = EC_KEY_new_by_curve_name(OBJ_sn2nid(curve));
	if (!ec || EC_KEY_oct2key(ec, point, len, NULL) != 1)
		return NULL;
	return TAKE(ec);
}

static int
set_ec(EVP_PKEY *key, struct remote *remote)
{
	AUTO(EC_KEY_free) EC_KEY *ec = ec_public_half(remote->public_key);

	if (!ec || EC_KEY_set_method(ec, ec_method) != 1 || EC_KEY_set_ex_data(ec, ec_index, remote) != 1)
		return -1;
	if (EVP_PKEY_assign_EC_KEY(key, ec) != 1)
		return -1;
	ec = NULL; /* the key's now */
	return 0;
}

EVP_PKEY *
remote_key(struct remote *remote, struct err *err)
{
	AUTO(EVP_PKEY_free) EVP_PKEY *key = EVP_PKEY_new();
	bool rsa = EVP_PKEY_is_a(remote->public_key, "RSA");

	pthread_once(&methods_once, make_methods);
	if (!key || !rsa_method || !ec_method || rsa_index < 0 || ec_index < 0
	    || (rsa ? set_rsa(key, remote) : set_ec(key, remote)) == -1) {
		ossl_err(err, ERR_TEMP, "cannot prepare the certificate's public key");
		return NULL;
	}
	return TAKE(key);
}
