#include "smime/key_open.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include "smime/der.h"

AUTO_DEFINE(BIGNUM, BN_clear_free);
AUTO_DEFINE(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free);

const char *
key_hash_name(enum key_hash hash)
{
	switch (hash) {
	case KEY_HASH_UNKNOWN:
		return "unknown";
	case KEY_HASH_SHA1:
		return "sha1";
	case KEY_HASH_SHA224:
		return "sha224";
	case KEY_HASH_SHA256:
		return "sha256";
	case KEY_HASH_SHA384:
		return "sha384";
	case KEY_HASH_SHA512:
		return "sha512";
	}
	return "unknown";
}

static const EVP_MD *
hash_md(enum key_hash hash)
{
	switch (hash) {
	case KEY_HASH_UNKNOWN:
		return NULL;
	case KEY_HASH_SHA1:
		return EVP_sha1();
	case KEY_HASH_SHA224:
		return EVP_sha224();
	case KEY_HASH_SHA256:
		return EVP_sha256();
	case KEY_HASH_SHA384:
		return EVP_sha384();
	case KEY_HASH_SHA512:
		return EVP_sha512();
	}
	return NULL;
}

static bool
is_aes_len(size_t len)
{
	return len == 16 || len == 24 || len == 32;
}

static int
check_content_len(size_t len, struct err *err)
{
	return is_aes_len(len) ? 0 : err_set(err, ERR_BUG, "asked for a content key of %zu bytes; want 16, 24 or 32", len);
}

/* --- RSAES-PKCS1-v1_5 --- */

static size_t
modulus_len(const struct key *key)
{
	return ((size_t)key->bits + 7) / 8;
}

/* A hash of the private exponent: as secret as the key, and gives nothing of it away. */
static int
hash_exponent(const BIGNUM *d, size_t len, unsigned char ret[32], struct err *err)
{
	static const char label[] = "segel: answers to blocks that do not open";
	unsigned char bytes[sizeof(label) + MAX_RSA_BYTES];
	int result;

	memcpy(bytes, label, sizeof(label));
	if (BN_bn2binpad(d, bytes + sizeof(label), (int)len) != (int)len)
		result = ossl_err(err, ERR_CONFIG, "an RSA key whose private exponent is longer than its modulus");
	else
		result = ossl_sha256((struct slice){ bytes, sizeof(label) + len }, ret, err);
	wipe(bytes, sizeof(bytes));
	return result;
}

int
key_prepare_rejection(struct key *key, struct err *err)
{
	AUTO(BN_clear_free) BIGNUM *d = NULL;
	AUTO(BN_free) BIGNUM *n = NULL;
	const size_t len = modulus_len(key);

	if (EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_RSA_D, &d) != 1
	    || EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_RSA_N, &n) != 1
	    || BN_bn2binpad(n, key->rejection.modulus, (int)len) != (int)len)
		return ossl_err(err, ERR_CONFIG, "an RSA key without a modulus or a private exponent");
	return hash_exponent(d, len, key->rejection.secret, err);
}

/*
 * What a bad block is answered with. The length asked for is hashed too: without it, a short answer would be the beginning of
 * a long one for bad blocks only, which tells them from good ones.
 */
static int
make_rejected(const struct key *key, const struct key_transport *how, unsigned char ret[32], struct err *err)
{
	unsigned char text[1 + 32];

	text[0] = (unsigned char)how->content_len;
	if (ossl_sha256(how->block, text + 1, err) == -1)
		return -1;
	if (!HMAC(EVP_sha256(), key->rejection.secret, sizeof(key->rejection.secret), text, sizeof(text), ret, NULL))
		return ossl_err(err, ERR_TEMP, "the key is not ready to open v1.5");
	return 0;
}

/* All ones for 0, else 0. The compiler must not find out what it is and make a branch of it. */
static uint32_t
mask_if_zero(uint32_t value)
{
	uint32_t mask = 0 - ((~value & (value - 1)) >> 31);

	__asm__("" : "+r"(mask));
	return mask;
}

/*
 * 00 02, at least 8 bytes that are not 0, 00, content (RFC 8017 7.2.2). As the content's length is known, the place of each is,
 * so that nothing has to be searched for. All ones if it is so.
 */
static uint32_t
mask_if_well_padded(const unsigned char *em, size_t em_len, size_t content_len)
{
	const size_t zero_at = em_len - content_len - 1;
	uint32_t wrong = em[0] | (em[1] ^ 2U) | em[zero_at];

	for (size_t i = 2; i < zero_at; i++)
		wrong |= mask_if_zero(em[i]);
	return mask_if_zero(wrong);
}

static void
choose(uint32_t mask, const unsigned char *good, const unsigned char *rejected, size_t len, unsigned char *ret)
{
	for (size_t i = 0; i < len; i++)
		ret[i] = (unsigned char)((good[i] & mask) | (rejected[i] & ~mask));
}

/* RFC 8017 5.1.2. Length and value of a block are no secret: whoever sent it knows them. */
static bool
is_block(const struct key *key, struct slice block)
{
	return block.len == modulus_len(key) && memcmp(block.at, key->rejection.modulus, block.len) < 0;
}

/* The bare RSA operation, which never leaves this file. OpenSSL blinds it. */
static int
decrypt_bare(const struct key *key, struct slice block, unsigned char em[MAX_RSA_BYTES], struct err *err)
{
	AUTO(EVP_PKEY_CTX_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
	size_t len = MAX_RSA_BYTES;

	if (!ctx || EVP_PKEY_decrypt_init(ctx) != 1 || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) != 1
	    || EVP_PKEY_decrypt(ctx, em, &len, block.at, block.len) != 1 || len != block.len)
		return ossl_err(err, ERR_TEMP, "the key did not open v1.5");
	return 0;
}

static int
open_v15(const struct key *key, const struct key_transport *how, unsigned char content[KEY_CONTENT_BYTES], struct err *err)
{
	unsigned char em[MAX_RSA_BYTES] = { 0 }; /* all zero is badly padded */
	unsigned char rejected[32];
	const size_t em_len = modulus_len(key);

	if (make_rejected(key, how, rejected, err) == -1)
		return -1;
	if (is_block(key, how->block) && decrypt_bare(key, how->block, em, err) == -1)
		return -1;
	choose(mask_if_well_padded(em, em_len, how->content_len), em + em_len - how->content_len, rejected, how->content_len, content);
	wipe(em, sizeof(em));
	wipe(rejected, sizeof(rejected));
	return 0;
}

/* --- RSAES-OAEP --- */

static bool
prepare_oaep(EVP_PKEY_CTX *ctx, const struct key_transport *how)
{
	return ctx && EVP_PKEY_decrypt_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1
	    && EVP_PKEY_CTX_set_rsa_oaep_md(ctx, hash_md(how->digest)) == 1
	    && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, hash_md(how->mask)) == 1;
}

/* What differs between one bad block and another must not be told apart from outside (RFC 8017 7.1.2, note). */
static int
open_oaep(const struct key *key, const struct key_transport *how, unsigned char content[KEY_CONTENT_BYTES], enum key_opening *ret,
    struct err *err)
{
	AUTO(EVP_PKEY_CTX_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
	unsigned char room[MAX_RSA_BYTES] = { 0 };
	size_t len = sizeof(room);
	bool good;

	if (!prepare_oaep(ctx, how))
		return ossl_err(err, ERR_TEMP, "the key is not ready to open OAEP");
	good = how->block.len == modulus_len(key) && EVP_PKEY_decrypt(ctx, room, &len, how->block.at, how->block.len) == 1
	    && len == how->content_len;
	if (good)
		memcpy(content, room, how->content_len);
	wipe(room, sizeof(room));
	ERR_clear_error();
	*ret = good ? KEY_OPENED : KEY_REFUSED;
	return 0;
}

static int
check_transport(const struct key_transport *how, struct err *err)
{
	const bool hashed = how->digest != KEY_HASH_UNKNOWN && how->mask != KEY_HASH_UNKNOWN;

	switch (how->padding) {
	case KEY_PADDING_V15:
		return check_content_len(how->content_len, err);
	case KEY_PADDING_OAEP:
		if (!hashed)
			return err_set(err, ERR_BUG, "OAEP without its hashes");
		return check_content_len(how->content_len, err);
	case KEY_PADDING_UNKNOWN:
		break;
	}
	return err_set(err, ERR_BUG, "a block of unknown padding");
}

int
key_unwrap_mail(const struct key *key, const struct key_transport *how, unsigned char content[KEY_CONTENT_BYTES],
    enum key_opening *ret, struct err *err)
{
	if (check_transport(how, err) == -1)
		return -1;
	if (key->kind != KEY_RSA) {
		*ret = KEY_REFUSED;
		return 0;
	}
	if (how->padding == KEY_PADDING_OAEP)
		return open_oaep(key, how, content, ret, err);
	if (open_v15(key, how, content, err) == -1)
		return -1;
	*ret = KEY_OPENED;
	return 0;
}

/* --- ephemeral-static ECDH --- */

/* The last byte of id-aes128-wrap, 192 and 256 under 2.16.840.1.101.3.4.1 (RFC 3565 2.3.2). */
static unsigned char
wrap_arc(size_t wrap_len)
{
	return wrap_len == 16 ? 5 : wrap_len == 24 ? 25 : 45;
}

static void
add_wrap_algorithm(const struct key_agreement *how, struct buf *ret)
{
	const unsigned char oid[] = { 0x06, 9, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, wrap_arc(how->wrap_len) };
	static const unsigned char null[] = { 0x05, 0 };
	const struct slice parts[] = { { oid, sizeof(oid) }, { null, how->wrap_null ? sizeof(null) : 0 } };

	der_wrap(ret, DER_SEQUENCE, parts, N_ELEMENTS(parts));
}

/* ECC-CMS-SharedInfo (RFC 5753 7.2): for what the key-encryption key is, so that it is for nothing else. */
static void
add_shared_info(const struct key_agreement *how, struct buf *ret)
{
	AUTO_BUF struct buf fields = { 0 };
	const size_t bits = 8 * how->wrap_len;
	const unsigned char length[] = { 0xa2, 6, 0x04, 4, 0, 0, (unsigned char)(bits >> 8), (unsigned char)bits };
	struct slice all;

	buf_init(&fields, KEY_UKM_BYTES + 64);
	add_wrap_algorithm(how, &fields);
	if (how->has_ukm) {
		der_head(&fields, DER_CONTEXT_0, der_whole(how->ukm.len));
		der_wrap(&fields, DER_OCTETS, &how->ukm, 1);
	}
	buf_add(&fields, length, sizeof(length));
	all = buf_slice(&fields);
	der_wrap(ret, DER_SEQUENCE, &all, 1);
}

static size_t
coordinate_len(enum key_kind kind)
{
	switch (kind) {
	case KEY_P256:
		return 32;
	case KEY_P384:
		return 48;
	case KEY_UNKNOWN:
	case KEY_RSA:
	case KEY_P521:
	case KEY_OTHER:
		return 0;
	}
	return 0;
}

/* Uncompressed or compressed: SEC 1 2.3.3 knows no other form of a point that is not infinity. */
static bool
has_form(struct slice point, size_t coordinate)
{
	if (point.len == 0)
		return false;
	if (point.at[0] == 0x04)
		return point.len == 1 + 2 * coordinate;
	return (point.at[0] == 0x02 || point.at[0] == 0x03) && point.len == 1 + coordinate;
}

/*
 * A point beside the curve would draw the key out of us, a bit or some at a time. OpenSSL looks when it reads
 * the point, and in EVP_PKEY_derive_set_peer() again; so do we, for it is all that stands between.
 */
static EVP_PKEY *
peer_from(const struct key *key, struct slice point)
{
	const char *curve = key->kind == KEY_P256 ? "prime256v1" : "secp384r1";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)curve, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)point.at, point.len),
		OSSL_PARAM_construct_end(),
	};
	AUTO(EVP_PKEY_CTX_free) EVP_PKEY_CTX *make = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	AUTO(EVP_PKEY_CTX_free) EVP_PKEY_CTX *check = NULL;
	AUTO(EVP_PKEY_free) EVP_PKEY *peer = NULL;

	if (!has_form(point, coordinate_len(key->kind)))
		return NULL;
	if (!make || EVP_PKEY_fromdata_init(make) != 1 || EVP_PKEY_fromdata(make, &peer, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return NULL;
	check = EVP_PKEY_CTX_new(peer, NULL);
	return check && EVP_PKEY_public_check_quick(check) == 1 ? TAKE(peer) : NULL;
}

/* The bare secret stays inside of OpenSSL: what comes out has gone through the KDF. */
static bool
agree(const struct key *key, const struct key_agreement *how, EVP_PKEY *peer, unsigned char kek[32])
{
	AUTO(EVP_PKEY_CTX_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
	AUTO_BUF struct buf info = { 0 };
	size_t wrap_len = how->wrap_len, len = how->wrap_len;
	OSSL_PARAM params[5];

	buf_init(&info, KEY_UKM_BYTES + 128);
	add_shared_info(how, &info);
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_EXCHANGE_PARAM_KDF_TYPE, (char[]){ OSSL_KDF_NAME_X963KDF }, 0);
	params[1] = OSSL_PARAM_construct_utf8_string(OSSL_EXCHANGE_PARAM_KDF_DIGEST,
	    (char *)(uintptr_t)EVP_MD_get0_name(hash_md(how->kdf)), 0);
	params[2] = OSSL_PARAM_construct_size_t(OSSL_EXCHANGE_PARAM_KDF_OUTLEN, &wrap_len);
	params[3] = OSSL_PARAM_construct_octet_string(OSSL_EXCHANGE_PARAM_KDF_UKM, info.at, info.len);
	params[4] = OSSL_PARAM_construct_end();
	return ctx && EVP_PKEY_derive_init_ex(ctx, params) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1
	    && EVP_PKEY_derive(ctx, kek, &len) == 1 && len == how->wrap_len;
}

static const EVP_CIPHER *
wrap_cipher(size_t wrap_len)
{
	return wrap_len == 16 ? EVP_aes_128_wrap() : wrap_len == 24 ? EVP_aes_192_wrap() : EVP_aes_256_wrap();
}

/* RFC 3394 2.2.2, with its integrity check. */
static bool
unwrap_aes(const struct key_agreement *how, const unsigned char kek[32], unsigned char content[KEY_CONTENT_BYTES])
{
	AUTO(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	unsigned char room[KEY_WRAPPED_BYTES + 16] = { 0 };
	int len = 0;
	bool good;

	if (!ctx || how->wrapped.len != how->content_len + 8)
		return false;
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	good = EVP_DecryptInit_ex(ctx, wrap_cipher(how->wrap_len), NULL, kek, NULL) == 1
	    && EVP_DecryptUpdate(ctx, room, &len, how->wrapped.at, (int)how->wrapped.len) == 1 && (size_t)len == how->content_len;
	if (good)
		memcpy(content, room, how->content_len);
	wipe(room, sizeof(room));
	return good;
}

static bool
open_agreed(const struct key *key, const struct key_agreement *how, unsigned char content[KEY_CONTENT_BYTES])
{
	AUTO(EVP_PKEY_free) EVP_PKEY *peer = peer_from(key, how->point);
	unsigned char kek[32] = { 0 };
	bool good = peer && (!how->has_ukm || how->ukm.len <= KEY_UKM_BYTES) && agree(key, how, peer, kek) && unwrap_aes(how, kek, content);

	wipe(kek, sizeof(kek));
	ERR_clear_error();
	return good;
}

static int
check_agreement(const struct key_agreement *how, struct err *err)
{
	if (how->kdf == KEY_HASH_UNKNOWN)
		return err_set(err, ERR_BUG, "a key derivation without its hash");
	if (!is_aes_len(how->wrap_len))
		return err_set(err, ERR_BUG, "a key wrap with a key of %zu bytes; want 16, 24 or 32", how->wrap_len);
	return check_content_len(how->content_len, err);
}

int
key_derive(const struct key *key, const struct key_agreement *how, unsigned char content[KEY_CONTENT_BYTES], enum key_opening *ret,
    struct err *err)
{
	if (check_agreement(how, err) == -1)
		return -1;
	*ret = coordinate_len(key->kind) && open_agreed(key, how, content) ? KEY_OPENED : KEY_REFUSED;
	return 0;
}

/* --- an opener around one key --- */

static bool
is_ours(const struct key *key, const unsigned char spki[32])
{
	return memcmp(spki, key->spki, sizeof(key->spki)) == 0;
}

static int
unwrap_with(void *ctx, const unsigned char spki[32], const struct key_transport *how, unsigned char content[KEY_CONTENT_BYTES],
    enum key_opening *ret, struct err *err)
{
	if (is_ours(ctx, spki))
		return key_unwrap_mail(ctx, how, content, ret, err);
	*ret = KEY_NOT_HERE;
	return 0;
}

static int
derive_with(void *ctx, const unsigned char spki[32], const struct key_agreement *how, unsigned char content[KEY_CONTENT_BYTES],
    enum key_opening *ret, struct err *err)
{
	if (is_ours(ctx, spki))
		return key_derive(ctx, how, content, ret, err);
	*ret = KEY_NOT_HERE;
	return 0;
}

struct opener
key_opener(struct key *key)
{
	return (struct opener){ .unwrap = unwrap_with, .derive = derive_with, .ctx = key };
}
