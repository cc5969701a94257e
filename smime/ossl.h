/*
 * ossl: AUTO for OpenSSL's types, and its error queue into struct err.
 * Only smime/ includes this. Every failing OpenSSL call ends in ossl_err, which empties the
 * thread's queue, so that no old error is ever read as a new one.
 */
#ifndef SMIME_OSSL_H
#define SMIME_OSSL_H

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/cms.h>
#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <openssl/x509v3.h>

#include "smime/buf.h"
#include "smime/err.h"
#include "smime/facts.h"

AUTO_DEFINE(ASN1_TIME, ASN1_TIME_free);
AUTO_DEFINE(BIGNUM, BN_free);
AUTO_DEFINE(BIO, BIO_free_all);
AUTO_DEFINE(CMS_ContentInfo, CMS_ContentInfo_free);
AUTO_DEFINE(EVP_MD_CTX, EVP_MD_CTX_free);
AUTO_DEFINE(EVP_PKEY, EVP_PKEY_free);
AUTO_DEFINE(EVP_PKEY_CTX, EVP_PKEY_CTX_free);
AUTO_DEFINE(GENERAL_NAMES, GENERAL_NAMES_free);
AUTO_DEFINE(PKCS12, PKCS12_free);
AUTO_DEFINE(PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free);
AUTO_DEFINE(X509, X509_free);
AUTO_DEFINE(X509_SIG, X509_SIG_free);

/* As err_set, with OpenSSL's first reason in brackets behind the text. Returns -1. */
int ossl_err(struct err *err, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* SHA-256; ERR_TEMP when OpenSSL cannot (no memory, no provider). */
int ossl_sha256(struct slice bytes, unsigned char ret[32], struct err *err) MUST_USE;

/* Borrows from the string. */
struct slice ossl_slice(const ASN1_STRING *text);

/* A whole DER certificate with nothing behind it; NULL with ERR_CONFIG otherwise. */
X509 *ossl_cert(struct slice der, struct err *err) MUST_USE;

/* cert_inspect() for a certificate that is open already: opening one costs more than a P-256 signature. */
int ossl_cert_facts(X509 *cert, struct slice der, struct cert_facts *ret, struct err *err) MUST_USE;

#endif
