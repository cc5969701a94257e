/*
 * agree: from an ECDH secret to the key that wraps the content key (RFC 5753 7.2): X9.63's key derivation function over
 * ECC-CMS-SharedInfo, and the AES key wrap (RFC 3394), without padding. Both sides need it: encrypt.c wraps, key.c unwraps.
 * Private to smime/.
 */
#ifndef SMIME_AGREE_H
#define SMIME_AGREE_H

#include "smime/err.h"
#include "smime/unlock.h"

/* Bytes of a key-encryption key of this kind; 0 for WRAP_UNKNOWN. */
size_t agree_wrap_len(enum unlock_wrap wrap);
/* AlgorithmIdentifier of the wrap, DER, without parameters (RFC 3565 2.3.2). Static. */
struct slice agree_wrap_algorithm(enum unlock_wrap wrap);

/* The key-encryption key, agree_wrap_len() bytes. `secret` is the shared point's x coordinate. */
int agree_key(struct slice secret, enum unlock_kdf kdf, enum unlock_wrap wrap, struct slice ukm, unsigned char *ret, struct err *err) MUST_USE;

/* `content` is 16, 24 or 32 bytes; 8 more are written. */
int agree_wrap(enum unlock_wrap wrap, const unsigned char *key, struct slice content, unsigned char *ret, struct err *err) MUST_USE;
/* False: the wrapped bytes do not open with this key (or are not len + 8). Then `ret` holds nothing of use. */
bool agree_unwrap(enum unlock_wrap wrap, const unsigned char *key, struct slice wrapped, unsigned char *ret, size_t len) MUST_USE;

#endif
