/*
 * ocsp: one OCSP answer about one certificate, and the request for it (RFC 6960, RFC 9654).
 *
 * An answer counts where it is signed by the authority itself, or by a certificate that the authority issued
 * for OCSP signing and that is in its dates; where it names this certificate under this authority; with
 * SHA-256 or better as the signature's digest.
 * Does not judge its age (the caller has the facts) and says nothing about the chain above the authority.
 */
#ifndef SMIME_OCSP_H
#define SMIME_OCSP_H

#include <time.h>

#include "smime/buf.h"
#include "smime/err.h"

enum { OCSP_NONCE_SIZE = 32 }; /* RFC 9654 2.1 */

enum ocsp_status {
	OCSP_STATUS_UNKNOWN, /* "unknown", which is not good */
	OCSP_STATUS_GOOD,
	OCSP_STATUS_REVOKED,
};

struct ocsp_facts {
	enum ocsp_status status;
	time_t this_update;
	time_t next_update; /* 0 = it names none */
	time_t revoked_at;  /* 0 = not revoked */
	bool on_hold;       /* revoked for the time being (certificateHold) */
	bool nonce;         /* it repeats the nonce that it was asked with */
};

struct ocsp;

/* For the snapshot: a successful basic response, DER or base64. What it says counts for which certificate is asked later. */
int ocsp_read(struct slice file, struct ocsp **ret, struct err *err) MUST_USE;
void ocsp_free(struct ocsp *ocsp);
AUTO_DEFINE(struct ocsp, ocsp_free);

/* Certificate and authority in DER. `nonce` NULL = without one. */
int ocsp_request(struct slice cert, struct slice authority, const unsigned char nonce[OCSP_NONCE_SIZE], struct buf *ret,
    struct err *err) MUST_USE;

/*
 * An OCSPResponse in DER, at most LIMIT_OCSP_BYTES. With a `nonce` an answer that carries another one is refused;
 * one that carries none is not. `at` judges the dates of the responder's certificate. ERR_CONFIG: it is no
 * answer about this certificate that counts, and why; also a status other than successful.
 */
int ocsp_check(struct slice bytes, struct slice cert, struct slice authority, const unsigned char nonce[OCSP_NONCE_SIZE],
    time_t at, struct ocsp_facts *ret, struct err *err) MUST_USE;

#endif
