/*
 * keygen: a new RSA key and a certificate for it, for a quarantine (box.h): what nobody else issues, because nobody
 * else has to trust it. Never for a seal: those certificates come from an authority.
 *
 * The private key leaves as encrypted text only, under a passphrase of 256 random bits.
 */
#ifndef SMIME_KEYGEN_H
#define SMIME_KEYGEN_H

#include <time.h>

#include "smime/buf.h"
#include "smime/err.h"

enum { KEYGEN_RSA_BITS = 3072, KEYGEN_DAYS = 3650, KEYGEN_PASSPHRASE = 64 };

struct new_key {
	struct buf key;                         /* PEM, PKCS#8, AES-256 */
	char passphrase[KEYGEN_PASSPHRASE + 1]; /* hex */
	struct buf cert;                        /* PEM, self-signed: key encipherment and nothing else */
	unsigned char spki[32];                 /* SHA-256, as key_spki() and cert_inspect() say it */
};

/* `name` becomes the certificate's subject (CN), at most 64 bytes. `ret` is to be given back by new_key_done(). */
int keygen_vault(const char *name, time_t now, struct new_key *ret, struct err *err) MUST_USE;
void new_key_done(struct new_key *made); /* wipes */

#endif
