#include "smime/agree.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "smime/der.h"
#include "smime/ossl.h"

AUTO_DEFINE(EVP_KDF, EVP_KDF_free);
AUTO_DEFINE(EVP_KDF_CTX, EVP_KDF_CTX_free);
AUTO_DEFINE(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free);

enum { WRAP_MORE_BYTES = 8, MAX_SHARED_INFO = 128 };

#define DER_OF(text) { (const unsigned char *)(text), sizeof(text) - 1 }

/* 2.16.840.1.101.3.4.1.5, .25 and .45, each in a SEQUENCE of its own. */
static const struct {
	enum unlock_wrap wrap;
	size_t len;
	struct slice algorithm;
	const EVP_CIPHER *(*cipher)(void);
} wraps[] = {
	{ WRAP_AES128, 16, DER_OF("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x05"), EVP_aes_128_wrap },
	{ WRAP_AES192, 24, DER_OF("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x19"), EVP_aes_192_wrap },
	{ WRAP_AES256, 32, DER_OF("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2d"), EVP_aes_256_wrap },
};

static const char *
kdf_digest(enum unlock_kdf kdf)
{
	switch (kdf) {
	case KDF_SHA1:
		return "SHA1";
	case KDF_SHA224:
		return "SHA2-224";
	case KDF_SHA256:
		return "SHA2-256";
	case KDF_SHA384:
		return "SHA2-384";
	case KDF_SHA512:
		return "SHA2-512";
	case KDF_UNKNOWN:
		break;
	}
	return NULL;
}

size_t
agree_wrap_len(enum unlock_wrap wrap)
{
	for (size_t i = 0; i < N_ELEMENTS(wraps); i++) {
		if (wraps[i].wrap == wrap)
			return wraps[i].len;
	}
	return 0;
}

struct slice
agree_wrap_algorithm(enum unlock_wrap wrap)
{
	for (size_t i = 0; i < N_ELEMENTS(wraps); i++) {
		if (wraps[i].wrap == wrap)
			return wraps[i].algorithm;
	}
	return (struct slice){ 0 };
}

static const EVP_CIPHER *
wrap_cipher(enum unlock_wrap wrap)
{
	for (size_t i = 0; i < N_ELEMENTS(wraps); i++) {
		if (wraps[i].wrap == wrap)
			return wraps[i].cipher();
	}
	return NULL;
}

/* ECC-CMS-SharedInfo: the wrap, the sender's keying material if any, and the key's length in bits (RFC 5753 7.2). */
static void
shared_info(enum unlock_wrap wrap, struct slice ukm, struct buf *ret)
{
	const unsigned bits = 8 * (unsigned)agree_wrap_len(wrap);
	const unsigned char length[4] = { 0, 0, (unsigned char)(bits >> 8), (unsigned char)bits };
	const struct slice supp = { length, sizeof(length) };
	AUTO_BUF struct buf u = { 0 }, entity = { 0 }, s = { 0 }, info = { 0 };
	struct slice parts[3];

	buf_init(&u, MAX_SHARED_INFO);
	buf_init(&entity, MAX_SHARED_INFO);
	buf_init(&s, MAX_SHARED_INFO);
	buf_init(&info, MAX_SHARED_INFO);
	buf_init(ret, MAX_SHARED_INFO);
	if (ukm.len) {
		der_wrap(&u, DER_OCTETS, &ukm, 1);
		der_wrap(&entity, DER_CONTEXT_0, &(struct slice){ u.at, u.len }, 1);
	}
	der_wrap(&s, DER_OCTETS, &supp, 1);
	der_wrap(&info, DER_CONTEXT_2, &(struct slice){ s.at, s.len }, 1);
	parts[0] = agree_wrap_algorithm(wrap);
	parts[1] = buf_slice(&entity);
	parts[2] = buf_slice(&info);
	der_wrap(ret, DER_SEQUENCE, parts, N_ELEMENTS(parts));
}

static int
derive(struct slice secret, const char *digest, const struct buf *info, unsigned char *ret, size_t len, struct err *err)
{
	AUTO(EVP_KDF_free) EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_X963KDF, NULL);
	AUTO(EVP_KDF_CTX_free) EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret.at, secret.len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info->at, info->len),
		OSSL_PARAM_construct_end(),
	};

	if (!ctx || EVP_KDF_derive(ctx, ret, len, params) != 1)
		return ossl_err(err, ERR_TEMP, "no key can be derived from an agreement (X9.63, %s)", digest);
	return 0;
}

int
agree_key(struct slice secret, enum unlock_kdf kdf, enum unlock_wrap wrap, struct slice ukm, unsigned char *ret, struct err *err)
{
	AUTO_BUF struct buf info = { 0 };

	if (!kdf_digest(kdf) || agree_wrap_len(wrap) == 0 || secret.len == 0 || ukm.len > UNLOCK_UKM_BYTES)
		return err_set(err, ERR_BUG, "an agreement with an unknown hash or key wrap, no secret, or %zu bytes of keying material", ukm.len);
	shared_info(wrap, ukm, &info);
	return derive(secret, kdf_digest(kdf), &info, ret, agree_wrap_len(wrap), err);
}

static EVP_CIPHER_CTX *
wrap_context(enum unlock_wrap wrap, const unsigned char *key, bool wraps_it)
{
	AUTO(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (!ctx || agree_wrap_len(wrap) == 0)
		return NULL;
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (EVP_CipherInit_ex(ctx, wrap_cipher(wrap), NULL, key, NULL, wraps_it) != 1)
		return NULL;
	return TAKE(ctx);
}

int
agree_wrap(enum unlock_wrap wrap, const unsigned char *key, struct slice content, unsigned char *ret, struct err *err)
{
	AUTO(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *ctx = wrap_context(wrap, key, true);
	int len = 0;

	if (!ctx || EVP_EncryptUpdate(ctx, ret, &len, content.at, (int)content.len) != 1 || (size_t)len != content.len + WRAP_MORE_BYTES)
		return ossl_err(err, ERR_TEMP, "a content key of %zu bytes cannot be wrapped", content.len);
	return 0;
}

bool
agree_unwrap(enum unlock_wrap wrap, const unsigned char *key, struct slice wrapped, unsigned char *ret, size_t len)
{
	AUTO(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *ctx = wrap_context(wrap, key, false);
	unsigned char room[UNLOCK_WRAPPED_BYTES];
	int got = 0;
	bool good;

	if (len > UNLOCK_KEY_BYTES || wrapped.len != len + WRAP_MORE_BYTES)
		return false;
	good = ctx && EVP_DecryptUpdate(ctx, room, &got, wrapped.at, (int)wrapped.len) == 1 && (size_t)got == len;
	if (good)
		memcpy(ret, room, len);
	wipe(room, sizeof(room));
	ERR_clear_error();
	return good;
}
