/*
 * crl: one CRL by itself: is it complete, and did this authority sign it?
 *
 * Takes DER or PEM, with nothing behind it. Takes only a CRL for all of the authority's certificates:
 * delta and indirect CRLs, those for some reasons or some distribution point only, and those with a
 * critical extension that is not known are refused. The signature is checked with the authority's key, whose
 * certificate must be allowed to sign CRLs; MD5 and SHA-1 are refused.
 * Does not judge its age, nor whether it is newer than another one: the caller has the facts.
 */
#ifndef SMIME_CRL_H
#define SMIME_CRL_H

#include <time.h>

#include "smime/buf.h"
#include "smime/err.h"

struct crl_facts {
	char number[48];    /* CRL number, lower-case hex without leading zeros; "" = it has none */
	time_t this_update;
	time_t next_update; /* 0 = it names none */
	size_t n_revoked;
	unsigned char sha256[32]; /* of the DER */
};

/* ERR_CONFIG: it is no such CRL of this authority (DER), and why. At most LIMIT_CRL_BYTES. */
int crl_check(struct slice bytes, struct slice authority, struct crl_facts *ret, struct err *err) MUST_USE;

/* As numbers: below, at or above 0. One without a number is below every other. */
int crl_number_compare(const char *a, const char *b);

#endif
