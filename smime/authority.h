/*
 * authority: what a certificate must be to stand in the trust folder, and who issued whom.
 * For people who add authorities (segelctl trust); the path of a message's signer is chain.h's.
 * Strict where chain building is lenient: a CA says so in basicConstraints (RFC 5280 4.2.1.9), and may
 * sign certificates by its key usage, where it has one (4.2.1.3). No dates, no strength of keys.
 */
#ifndef SMIME_AUTHORITY_H
#define SMIME_AUTHORITY_H

#include "smime/buf.h"
#include "smime/err.h"

struct authority_facts {
	bool is_ca;
	bool signs_crls;   /* by its key usage; has none = yes */
	bool self_issued;  /* subject and issuer are the same name */
	bool self_signed;  /* and its own key made its signature */
};

/* DER that is no certificate: ERR_CONFIG. */
int authority_inspect(struct slice der, struct authority_facts *ret, struct err *err) MUST_USE;

/* By names, key identifiers, key usage and the signature itself. False for bytes that are no certificate. */
bool authority_issued(struct slice authority, struct slice cert);

/* The certificate as PEM (RFC 7468 5). */
void authority_pem(struct slice der, struct buf *ret);

#endif
