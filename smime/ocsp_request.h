/*
 * ocsp_request: the question for an OCSP responder about one certificate (RFC 6960 4.1), and whether an answer is
 * one to exactly this question (RFC 9654). What an answer says is ocsp.h's.
 */
#ifndef SMIME_OCSP_REQUEST_H
#define SMIME_OCSP_REQUEST_H

#include "smime/buf.h"
#include "smime/err.h"

/* For GET without a nonce, so that the responder may answer what it has prepared. DER both, and the result. */
int ocsp_request(struct slice cert, struct slice issuer, bool nonce, struct buf *ret, struct err *err) MUST_USE;

/* URL of a GET (RFC 6960 A.1): the request in base64, escaped, behind the service's URL. */
void ocsp_request_url(const char *service, struct slice request, struct buf *ret);

enum ocsp_nonce {
	OCSP_NONCE_OTHER,  /* of another question, or the answer cannot be read: not for us */
	OCSP_NONCE_ABSENT, /* of one of the two at least: many responders do not repeat it */
	OCSP_NONCE_SAME,
};

enum ocsp_nonce ocsp_nonce_of(struct slice request, struct slice response);

#endif
