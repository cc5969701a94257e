/*
 * crl: one CRL by itself (RFC 5280 5): is it complete for its scope, and did this authority sign it?
 *
 * In memory a CRL stays the bytes it came as; beside them lie four bytes for each entry, in the order of the
 * serial numbers: asking costs a binary search, whatever the length.
 *
 * Takes DER or PEM, with nothing behind it. Takes a CRL about its own authority's certificates, be it all of
 * them or those of one scope (users' or authorities', a distribution point, some reasons: revoke.h holds each
 * certificate against the scope). Delta and indirect CRLs and those for attribute certificates are refused,
 * and for crl_check() those with a critical extension that is not known (5.2, 5.3), in the CRL or in an entry. The
 * signature is checked with the authority's key, whose certificate must be allowed to sign CRLs; MD5 and SHA-1 are refused.
 * Does not judge its age, nor whether it is newer than another one: the caller has the facts.
 * Reading is for one thread; a CRL that was read is for many.
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

struct crl;

/*
 * For the snapshot: whose it is and whether it counts is asked later, path by path. One with a critical
 * extension that is not known is taken: it may say "revoked", and never "good". ERR_CONFIG as crl_check().
 */
int crl_read(struct slice bytes, struct crl **ret, struct err *err) MUST_USE;
void crl_free(struct crl *crl);
AUTO_DEFINE(struct crl, crl_free);

/* ERR_CONFIG: it is no such CRL of this authority (DER), and why. At most LIMIT_CRL_BYTES. */
int crl_check(struct slice bytes, struct slice authority, struct crl_facts *ret, struct err *err) MUST_USE;

/* As numbers: below, at or above 0. One without a number is below every other. */
int crl_number_compare(const char *a, const char *b);

#endif
