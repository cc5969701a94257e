/*
 * signing: what cms.c takes from a prepared certificate. Only smime/prepared.c and smime/cms.c
 * include this. All is DER, made once, borrowed from the certificate.
 */
#ifndef SMIME_SIGNING_H
#define SMIME_SIGNING_H

#include "smime/ossl.h"
#include "smime/prepared.h"

struct signing {
	enum digest alg;
	const EVP_MD *md;
	EVP_PKEY *public_key;
	struct slice digest_alg;   /* AlgorithmIdentifier */
	struct slice sign_alg;     /* AlgorithmIdentifier */
	struct slice sid;          /* IssuerAndSerialNumber */
	struct slice certificates; /* [0] certificates: leaf and chain */
	struct slice capabilities; /* Attribute SMIMECapabilities */
	struct slice ess;          /* Attribute signing-certificate-v2 */
};

/* ERR_CONFIG: this certificate's key is of a kind or size that does not seal. */
int prepared_signing(const struct prepared *prepared, struct signing *ret, struct err *err) MUST_USE;

#endif
