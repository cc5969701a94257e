/*
 * key_open: what a private key is made of. Private to key.c and key_mail.c; everybody else has key.h, which has no getter.
 */
#ifndef SMIME_KEY_OPEN_H
#define SMIME_KEY_OPEN_H

#include "smime/key.h"
#include "smime/ossl.h"

enum {
	MIN_RSA_BITS = 2048,
	MAX_RSA_BITS = 4096,
	MAX_RSA_BYTES = MAX_RSA_BITS / 8,
};

/* What only RSA keys have, to answer a bad block of v1.5 with. */
struct key_rejection {
	unsigned char modulus[MAX_RSA_BYTES];
	unsigned char secret[32]; /* from the private exponent */
};

struct key {
	EVP_PKEY *pkey;
	unsigned char spki[32];
	enum key_kind kind;
	int bits;
	struct key_rejection rejection;
};

/* Fills in the rejection; of an RSA key whose kind and bits are known. */
int key_prepare_rejection(struct key *key, struct err *err) MUST_USE;

#endif
