/*
 * gate: a SignedData before OpenSSL sees it (RFC 5652 5, research 10.2).
 *
 * A BER walker with a budget: sizes, depth, lengths, counts, algorithms, the signed attributes. It
 * refuses what OpenSSL's CMS_verify would accept and nobody should: no signed attributes or other
 * than exactly one contentType (id-data) and one messageDigest, more or fewer than one SignerInfo,
 * eContent beside a detached part or none without one, content that is itself a SET of attributes,
 * a content type other than id-data, digests below SHA-256 where the caller asks for strength,
 * indefinite lengths nested beyond the budget, bytes behind the object.
 *
 * Reads; verifies nothing. The verifier reads the same facts again through OpenSSL and compares.
 * Pure, thread-safe, borrows from the bytes.
 */
#ifndef SMIME_GATE_H
#define SMIME_GATE_H

#include <time.h>

#include "smime/buf.h"
#include "smime/facts.h"
#include "smime/limits.h"

enum gate_state {
	GATE_UNKNOWN,
	GATE_PASSES,
	GATE_CERTS_ONLY,  /* SignedData without a SignerInfo (RFC 8551 3.8) */
	GATE_MALFORMED,
	GATE_UNSUPPORTED, /* well formed; an algorithm or type that is not handled */
};

enum gate_digest { GATE_DIGEST_UNKNOWN, GATE_DIGEST_MD5, GATE_DIGEST_SHA1, GATE_DIGEST_SHA256, GATE_DIGEST_SHA384, GATE_DIGEST_SHA512 };

struct gate_facts {
	enum gate_state state;
	char why[FACT_WHY_BYTES];     /* which rule, found and wanted */
	enum gate_digest digest;
	bool has_content;             /* eContent is there */
	struct slice content;         /* of eContent when it is one piece; len 0 with has_content: in pieces, ask OpenSSL */
	size_t n_signers, n_certs, n_crls;
	struct slice certs[LIMIT_CMS_CERTS];       /* DER, in their order */
	struct slice issuer, serial;  /* of the SignerInfo's sid, DER; empty = by subject key identifier */
	struct slice key_id;          /* the subject key identifier, or empty */
	struct slice message_digest;  /* the attribute's value */
	struct slice signature;       /* the signature value */
	bool has_signing_time;
	time_t signing_time;
};

/* `detached`: the content stands outside (multipart/signed). Never fails. */
void gate_signed(struct slice cms, bool detached, struct gate_facts *ret);

/* "signedData", "envelopedData", "authEnvelopedData", "compressedData" ...; "" for what is no ContentInfo. Static. */
const char *gate_content_type(struct slice cms);

#endif
