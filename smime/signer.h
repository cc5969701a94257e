/*
 * signer: whose certificate a SignerInfo names, among those embedded in the object.
 * Exactly one must be named, by issuer and serial number or by key identifier, and OpenSSL's writing of it
 * must be the bytes that are there. Does not check: what it may be used for (fit.h), whether a path leads
 * to an anchor (chain.h), whether he signed (verify.c).
 */
#ifndef SMIME_SIGNER_H
#define SMIME_SIGNER_H

#include "smime/gate.h"
#include "smime/ossl.h"

/* One object as OpenSSL opened it, and each certificate once: opening one costs half of what verifying with it does. */
struct opened {
	CMS_ContentInfo *cms;          /* owned; NULL where the gate did not let it pass, or `why` */
	X509 *certs[LIMIT_CMS_CERTS];  /* owned; as the gate's, NULL = one that cannot be read */
	const char *why;               /* static: what is malformed */
};

/* The certificate that the SignerInfo names. Found from the gate's reading, whatever else is wrong with the object. */
struct signer_cert {
	X509 *cert;                 /* borrowed from what was opened; NULL = none, for `why` */
	struct slice der;
	enum signature_state state; /* what a signature without it is */
	const char *why;            /* static */
};

/* OpenSSL reads the object only where the gate has let it pass; otherwise the certificates alone. -1: no memory. */
int opened_read(struct slice cms, const struct gate_facts *gate, struct opened *ret, struct err *err) MUST_USE;
void opened_done(struct opened *opened);

static inline __attribute__((unused)) void auto_opened_done(struct opened *opened) { opened_done(opened); }
#define AUTO_OPENED __attribute__((cleanup(auto_opened_done)))

void signer_find(const struct gate_facts *gate, const struct opened *opened, struct signer_cert *ret);
/* Sets has_signer and signer, where there is one. */
int signer_read(struct signer_cert *signer, struct signature_facts *ret, struct err *err) MUST_USE;

#endif
