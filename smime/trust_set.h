/*
 * trust_set: what a snapshot (trust.h) is made of. Private to smime/: trust.c fills it, path.c and
 * revoke.c read it.
 */
#ifndef SMIME_TRUST_SET_H
#define SMIME_TRUST_SET_H

#include "smime/ossl.h"
#include "smime/trust.h"

struct crl;
struct ocsp;

struct trust_anchor {
	X509 *cert;
	enum anchor purpose;
};

/* Where in which response a serial number stands. */
struct trust_answer {
	const struct ocsp *ocsp;
	size_t single;
	unsigned char sha256[32]; /* of the file: tells the order of those of one serial number */
};

/* All lists are in an order that their contents give: what the files are called and how a folder lists them is nobody's business. */
struct trust {
	struct trust_ages ages;
	struct trust_anchor *anchors;
	size_t n_anchors;
	size_t n_lost; /* files of the anchors' folders that were not taken */
	STACK_OF(X509) *issuing;
	struct crl **crls;
	size_t n_crls;
	struct ocsp **responses;
	size_t n_responses;
	struct trust_answer *answers; /* by serial number */
	size_t n_answers;
};

enum anchor trust_purpose(const struct trust *trust, const X509 *cert);
/* The answers for this serial number (content of the INTEGER), one behind the other. */
size_t trust_answers_for(const struct trust *trust, struct slice serial, const struct trust_answer **ret);

#endif
