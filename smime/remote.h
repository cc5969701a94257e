/*
 * remote: a public key that OpenSSL takes for a private one.
 * What it is asked to sign goes to a struct signer (the key agent); what comes back is checked with
 * the public key before OpenSSL sees it, so a wrong answer never becomes a sealed message.
 * RSA PKCS#1 v1.5 with SHA-256 or SHA-384, ECDSA on P-256 and P-384. Nothing else signs.
 */
#ifndef SMIME_REMOTE_H
#define SMIME_REMOTE_H

#include "smime/key.h"
#include "smime/ossl.h"

/* All borrowed; must outlive the key made from it. */
struct remote {
	const struct signer *signer;
	const unsigned char *spki; /* 32 bytes */
	EVP_PKEY *public_key;
	struct err *err;
	bool failed;  /* err says why */
	bool signed_; /* a checked signature was given out */
};

/* NULL: err is set. Belongs to the caller, and to one thread. */
EVP_PKEY *remote_key(struct remote *remote, struct err *err) MUST_USE;

#endif
