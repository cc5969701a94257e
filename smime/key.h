/*
 * key: the only code that touches private keys. It signs, and opens content keys; there is no getter.
 *
 * struct signer is how sealing asks for a signature without holding a key: the filter
 * hands it a signer that asks segel-keyd, segelctl seal and the tests one around a
 * struct key in the process.
 */
#ifndef SMIME_KEY_H
#define SMIME_KEY_H

#include "smime/buf.h"
#include "smime/err.h"
#include "smime/facts.h"

enum digest {
	DIGEST_UNKNOWN,
	DIGEST_SHA256,
	DIGEST_SHA384,
};

enum { SIGNATURE_BYTES = 512 }; /* RSA-4096; ECDSA is shorter */

/*
 * Signs `digest` with the key whose SubjectPublicKeyInfo hashes to `spki`: RSA PKCS#1 v1.5
 * over a DigestInfo, or a DER ECDSA signature. *sig_len: room in, length out.
 */
struct signer {
	int (*sign)(void *ctx, const unsigned char spki[32], enum digest alg, struct slice digest,
	    unsigned char *sig, size_t *sig_len, struct err *err);
	void *ctx;
};

struct key; /* a private key in this process */

/*
 * Encrypted PEM (PKCS#8 or traditional) or PKCS#12. `passphrase_file` may be NULL only for
 * an unencrypted PEM with allow_plain (tests, segelctl seal). RSA 2048-4096, P-256, P-384;
 * anything else is ERR_CONFIG. Both files must be regular, owned by root or the caller, and
 * closed to group and others (root:root 0440, a systemd credential, counts as closed). The error
 * tells a wrong passphrase from a damaged file.
 */
int key_load(const char *file, const char *passphrase_file, bool allow_plain, struct key **ret, struct err *err) MUST_USE;
void key_free(struct key *key);
AUTO_DEFINE(struct key, key_free);

const unsigned char *key_spki(const struct key *key); /* 32 bytes, borrowed */
enum key_kind key_kind_of(const struct key *key);
int key_sign(const struct key *key, enum digest alg, struct slice digest,
    unsigned char *sig, size_t *sig_len, struct err *err) MUST_USE;
/* A signer around one key; asking it for another spki is ERR_CONFIG. Borrows the key. */
struct signer key_signer(struct key *key);

enum { KEY_CONTENT_BYTES = 32 }; /* AES-256; no content key is longer */

/*
 * The content key in this RSAES-OAEP block (SHA-256, MGF1-SHA-256, no label). ERR_CONFIG, with one text whatever was wrong with
 * the block: length, padding, or a content that is not 32 bytes. `content` is untouched unless the result is 0.
 */
int key_unwrap(const struct key *key, struct slice wrapped, unsigned char content[KEY_CONTENT_BYTES], struct err *err) MUST_USE;

/*
 * The content keys of encrypted mail. What its RecipientInfo says comes in as names and numbers, never as parameters in
 * DER, so that nothing but a content key of 16, 24 or 32 bytes can be asked for: there is neither bare RSA nor bare ECDH.
 */
enum key_hash { /* of OAEP, its mask and the key derivation, where SHA-1's collisions are no weakness */
	KEY_HASH_UNKNOWN,
	KEY_HASH_SHA1,
	KEY_HASH_SHA224,
	KEY_HASH_SHA256,
	KEY_HASH_SHA384,
	KEY_HASH_SHA512,
};

enum key_padding {
	KEY_PADDING_UNKNOWN,
	KEY_PADDING_V15,  /* RSAES-PKCS1-v1_5 (RFC 8017 7.2) */
	KEY_PADDING_OAEP, /* RSAES-OAEP (7.1), without a label */
};

/* KeyTransRecipientInfo. */
struct key_transport {
	enum key_padding padding;
	enum key_hash digest, mask; /* OAEP: of the label, and of MGF1. v1.5: both unknown */
	size_t content_len;         /* 16, 24 or 32: what the content cipher takes */
	struct slice block;         /* encryptedKey */
};

enum {
	KEY_POINT_BYTES = 97, /* P-384, uncompressed */
	KEY_UKM_BYTES = 512,
	KEY_WRAPPED_BYTES = KEY_CONTENT_BYTES + 8, /* AES key wrap adds 8 (RFC 3394) */
};

/* KeyAgreeRecipientInfo, ephemeral-static ECDH (RFC 5753 3.1): X9.63 KDF, then AES key wrap. */
struct key_agreement {
	enum key_hash kdf;
	size_t wrap_len;      /* of the key-encryption key: 16, 24 or 32 for id-aes128-wrap, 192, 256 */
	bool wrap_null;       /* the wrap algorithm's parameters are written as NULL; RFC 3565 2.3.2 leaves them out, some programs do not */
	bool has_ukm;
	struct slice ukm;     /* does not open if longer than KEY_UKM_BYTES */
	size_t content_len;   /* 16, 24 or 32: what the content cipher takes */
	struct slice point;   /* the originator's, on our key's curve: uncompressed or compressed (SEC 1 2.3.3) */
	struct slice wrapped; /* encryptedKey */
};

/* What became of it. None of them is an error; an error is what could not be found out. */
enum key_opening {
	KEY_OPENING_UNKNOWN,
	KEY_OPENED,   /* v1.5: always, where key and length can do it; whether the content key is the right one, only the content tells */
	KEY_REFUSED,  /* it does not open, whatever is wrong with it */
	KEY_NOT_HERE, /* no such key for us */
	KEY_LIMITED,  /* too much from this sender did not open with this key; towards the outside the same as KEY_REFUSED */
};

/*
 * KEY_OPENED with `content_len` bytes in `content`, or KEY_REFUSED, with `content` untouched. ERR_BUG: parameters that no
 * caller may pass (an unknown enum, another length). ERR_TEMP: OpenSSL could not.
 *
 * v1.5 never tells a bad block from a good one: a bad one gives a content key all the same, made from the private key, the block
 * and the length asked for, the same each time (RFC 8017 7.2.2, note; RFC 5246 7.4.7.1 has the idea). Which one it is, is chosen without a branch
 * or an address that depends on it. KEY_REFUSED here only for a key that is not RSA.
 */
int key_unwrap_mail(const struct key *key, const struct key_transport *how, unsigned char content[KEY_CONTENT_BYTES],
    enum key_opening *ret, struct err *err) MUST_USE;
int key_derive(const struct key *key, const struct key_agreement *how, unsigned char content[KEY_CONTENT_BYTES],
    enum key_opening *ret, struct err *err) MUST_USE;

/*
 * How decrypting asks for content keys without holding a key: the filter hands it one that asks segel-keyd (client.h),
 * the tests one around a struct key in the process.
 */
struct opener {
	int (*unwrap)(void *ctx, const unsigned char spki[32], const struct key_transport *how, unsigned char content[KEY_CONTENT_BYTES],
	    enum key_opening *ret, struct err *err);
	int (*derive)(void *ctx, const unsigned char spki[32], const struct key_agreement *how, unsigned char content[KEY_CONTENT_BYTES],
	    enum key_opening *ret, struct err *err);
	void *ctx;
};
/* An opener around one key; asking it for another spki is KEY_NOT_HERE. Borrows the key. */
struct opener key_opener(struct key *key);

const char *key_hash_name(enum key_hash hash); /* "sha1", "sha224", ... */

const char *digest_name(enum digest alg); /* "sha256", "sha384" */
size_t digest_len(enum digest alg);       /* 0 for DIGEST_UNKNOWN */

#endif
