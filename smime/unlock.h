/*
 * unlock: how decryption asks for a content key without holding a private key.
 *
 * Two functions, and nothing else is ever asked of a decryption key: there is no raw RSA and no bare ECDH.
 * The key agent answers them (milter/keyd/client.h), or a key in this process (key.h; tests, segelctl).
 *
 * An answer is one of three, and the bytes of a bad block never decide anything that can be seen:
 *   0, *given true    `len` bytes of key. For PADDING_PKCS1 always this, also for a bad block: then a key that is
 *                     derived from the private key and the block (the same block, the same key), so that no answer
 *                     tells good padding from bad (implicit rejection).
 *   0, *given false   OAEP or agreement: this block opens with no key; whatever is wrong with it.
 *   -1                our surroundings: the agent is away, does not hold the key, or a limit is reached.
 * Only with *given true is anything written to `ret`.
 */
#ifndef SMIME_UNLOCK_H
#define SMIME_UNLOCK_H

#include "smime/buf.h"
#include "smime/err.h"

enum { UNLOCK_KEY_BYTES = 32, UNLOCK_BLOCK_BYTES = 512, UNLOCK_POINT_BYTES = 97, UNLOCK_UKM_BYTES = 64, UNLOCK_WRAPPED_BYTES = 40 };

/* RSA. The label is always empty. */
enum unlock_padding {
	PADDING_UNKNOWN,
	PADDING_PKCS1,            /* RSAES-PKCS1-v1_5 */
	PADDING_OAEP_SHA1,        /* SHA-1 and MGF1 with SHA-1: what RFC 8017's defaults mean */
	PADDING_OAEP_SHA256,      /* SHA-256 and MGF1 with SHA-256 */
	PADDING_OAEP_SHA384,
	PADDING_OAEP_SHA512,
	PADDING_OAEP_SHA256_MGF1_SHA1, /* what Java calls OAEPWithSHA-256AndMGF1Padding */
};

/* The hash of the X9.63 key derivation function (RFC 5753 7.1.4). */
enum unlock_kdf { KDF_UNKNOWN, KDF_SHA1, KDF_SHA224, KDF_SHA256, KDF_SHA384, KDF_SHA512 };

/* The AES key wrap (RFC 3394), without padding. Its AlgorithmIdentifier in ECC-CMS-SharedInfo has no parameters (RFC 3565 2.3.2). */
enum unlock_wrap { WRAP_UNKNOWN, WRAP_AES128, WRAP_AES192, WRAP_AES256 };

/* ephemeral-static ECDH (RFC 5753 3.1). All slices are borrowed for the call. */
struct unlock_agreement {
	struct slice point;       /* the sender's ephemeral public key, uncompressed (04 X Y): 65 bytes for P-256, 97 for P-384 */
	enum unlock_kdf kdf;
	enum unlock_wrap wrap;
	struct slice ukm;         /* entityUInfo; len 0 = absent. At most UNLOCK_UKM_BYTES */
	struct slice wrapped;     /* the content key, wrapped: len + 8 bytes */
};

/* `len` is 16, 24 or 32: what the content cipher needs. */
struct unlocker {
	int (*unwrap)(void *ctx, const unsigned char spki[32], enum unlock_padding padding, struct slice block,
	    unsigned char *ret, size_t len, bool *given, struct err *err);
	int (*derive)(void *ctx, const unsigned char spki[32], const struct unlock_agreement *agreement,
	    unsigned char *ret, size_t len, bool *given, struct err *err);
	void *ctx;
};

#endif
