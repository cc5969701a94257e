/*
 * signed: a signature over a structure of X.509 (a CRL, an OCSP answer), by the key of a certificate.
 * Private to smime/.
 */
#ifndef SMIME_SIGNED_H
#define SMIME_SIGNED_H

#include "smime/ossl.h"

/* Does the AlgorithmIdentifier (DER) name MD5, SHA-1 or what is not known? RSASSA-PSS is looked into. */
bool signed_is_weak(struct slice alg);

/* OpenSSL's verdict over the item's encoding. False for whatever fails. */
bool signed_verify(struct slice alg, struct slice signature, const ASN1_ITEM *item, const void *value, EVP_PKEY *key);

/* SHA-256 of the SubjectPublicKeyInfo. */
int signed_spki(X509 *cert, unsigned char ret[32]) MUST_USE;

#endif
