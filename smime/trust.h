/*
 * trust: anchors, issuing authorities, CRLs and OCSP answers: an immutable snapshot of folders.
 *
 * Anchors are told by purpose, never the system's. A CRL or an OCSP answer counts only once its
 * signature was checked with the issuer's key; that is done once, and remembered. Of several CRLs of
 * an issuer the one with the highest CRL number counts. Delta and indirect CRLs count as none.
 *
 * Loading reports each file that it does not take, and goes on: a broken file must not take the
 * others with it. An empty folder is an empty set.
 *
 * Threads share a snapshot. The filter replaces one by another; the caller counts references.
 */
#ifndef SMIME_TRUST_H
#define SMIME_TRUST_H

#include <time.h>

#include "smime/buf.h"
#include "smime/err.h"
#include "smime/facts.h"

struct trust;

/*
 * Any may be NULL: none. `anchors` holds PEM or DER certificates, directly (ANCHOR_OFFICIAL) or in
 * sub-folders official/ and partner/; one that is not self-issued is an issuing authority, not an anchor.
 */
struct trust_folders {
	const char *anchors;
	const char *crls;  /* DER or PEM */
	const char *ocsp;  /* OCSPResponse in DER, or base64 */
};

/* How old a statement about revocation may be. Seconds. */
struct trust_ages {
	long grace;        /* past nextUpdate, judged still, and said so (24 h) */
	long ocsp_most;    /* an OCSP answer without nextUpdate (24 h) */
	long skew;         /* of clocks (5 min) */
};

/* What no setting names: seconds. */
enum { TRUST_OCSP_MOST = 24 * 60 * 60, TRUST_SKEW = 5 * 60 };

/* `problems` gets one line for each file not taken; -1 only where a folder that was named cannot be read. */
int trust_load(const struct trust_folders *folders, const struct trust_ages *ages, struct trust **ret, struct buf *problems,
    struct err *err) MUST_USE;
/* From the folder that `segelctl trust` keeps: anchors, crl and ocsp in `dir`. */
int trust_load_dir(const char *dir, const struct trust_ages *ages, struct trust **ret, struct buf *problems, struct err *err) MUST_USE;
void trust_free(struct trust *trust);
AUTO_DEFINE(struct trust, trust_free);

size_t trust_n_anchors(const struct trust *trust);

/* Files of the anchors' folders that were not taken: with one of them missing, "no path" may mean that the anchor could not be read. */
size_t trust_n_lost(const struct trust *trust);

#endif
