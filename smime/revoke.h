/*
 * revoke: is a certificate of a path revoked, by what the snapshot holds? (RFC 5280 6.3, RFC 6960)
 *
 * Private to smime/. Of the lists that the issuer signed (or another certificate of the issuer's name with
 * a path to the same anchor, itself not revoked), the newest of each scope counts; of OCSP answers the newest. A list by
 * another key of that name takes the place of none by the issuer's own key, and says "good" only where that key signs none:
 * each key of a renewed authority may list what it issued itself. Revoked by either is revoked. Good needs a statement for every reason that is not too old: fresh, or within the
 * grace period and then said so. What is older than that still revokes, unless it was a hold.
 */
#ifndef SMIME_REVOKE_H
#define SMIME_REVOKE_H

#include "smime/crl.h"
#include "smime/ocsp.h"
#include "smime/ossl.h"
#include "smime/path.h"

/* ReasonFlags 1 to 8 as bits; a list without onlySomeReasons is about all of them. */
enum { REASONS_ALL = 0x1fe };

/* ---- crl.c ---- */

struct crl_entry {
	time_t revoked_at; /* 0 = not readable */
	bool on_hold;
};

const struct crl_facts *crl_facts(const struct crl *crl);
/* Why it never says "good"; "" = it may. */
const char *crl_partial(const struct crl *crl);
/* By its issuer's name and its scope: about which reasons is it, for this certificate? 0 = not about it at all. */
unsigned crl_covers(const struct crl *crl, X509 *cert);
bool crl_has_issuer(const struct crl *crl, const X509_NAME *name);
bool crl_same_scope(const struct crl *a, const struct crl *b);
/* By CRL number, and where that does not tell by thisUpdate. */
bool crl_is_newer(const struct crl *a, const struct crl *b);
/* Signed over MD5 or SHA-1. */
bool crl_is_weak(const struct crl *crl);
/* The signature and the signer's key usage; remembered for each key. */
bool crl_verifies(const struct crl *crl, X509 *signer);
bool crl_find(const struct crl *crl, const ASN1_INTEGER *serial, struct crl_entry *ret);

/* ---- ocsp.c ---- */

size_t ocsp_n_singles(const struct ocsp *ocsp);
struct slice ocsp_serial(const struct ocsp *ocsp, size_t single); /* content of the INTEGER, borrowed */
bool ocsp_is_weak(const struct ocsp *ocsp);
/* Signed by one whom the issuer has named, with a key or a certificate that would be too weak in a path. */
bool ocsp_delegate_is_weak(const struct ocsp *ocsp, X509 *issuer);
/*
 * What one of its answers says about the certificate. *ret_delegate: the certificate (borrowed) whose
 * revocation is to be looked at, or NULL. -1: it does not count, and why.
 */
int ocsp_ask(const struct ocsp *ocsp, size_t single, X509 *cert, X509 *issuer, time_t at, struct ocsp_facts *ret, X509 **ret_delegate,
    struct err *err) MUST_USE;

/* ---- revoke.c ---- */

struct revoke_request {
	const struct path_request *path; /* whose snapshot, helpers, time and strength count here, too */
	X509 *anchor;                    /* of the path: a list's signer must lead to it as well */
	const struct crl *without;       /* a list does not vouch for its own signer */
	int depth;                       /* paths within paths */
};

struct revoke_status {
	enum revocation_state state;
	bool stale;
	time_t revoked_at;
	time_t status_at;
	char why[FACT_WHY_BYTES];
};

void revoke_lookup(const struct revoke_request *request, X509 *cert, X509 *issuer, struct revoke_status *ret);

#endif
