/*
 * key: the only code that touches private keys. It signs, and unwraps content keys; there is no getter.
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

enum { KEY_CONTENT_BYTES = 32 }; /* AES-256 */

/*
 * The content key in this RSAES-OAEP block (SHA-256, MGF1-SHA-256, no label). ERR_CONFIG, with one text whatever was wrong with
 * the block: length, padding, or a content that is not 32 bytes. `content` is untouched unless the result is 0.
 */
int key_unwrap(const struct key *key, struct slice wrapped, unsigned char content[KEY_CONTENT_BYTES], struct err *err) MUST_USE;

const char *digest_name(enum digest alg); /* "sha256", "sha384" */
size_t digest_len(enum digest alg);       /* 0 for DIGEST_UNKNOWN */

#endif
