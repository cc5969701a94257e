/*
 * gate: a SignedData before OpenSSL sees it (RFC 5652 5, RFC 8551 2.4, 2.5).
 *
 * A BER walker with a budget: sizes, depth, lengths, counts, algorithms, the signed attributes. It
 * refuses what OpenSSL's CMS_verify would accept and nobody should: no signed attributes, or other
 * than exactly one contentType (id-data) and one messageDigest of one value each, or any attribute
 * twice, or attributes that are no DER; more or fewer than one SignerInfo; eContent beside a detached
 * part or none without one; content that is itself a SET of attributes; a content type other than
 * id-data; a signature algorithm that names another digest than the SignerInfo; lengths that do not
 * fit, bytes behind the object, certificates or CRLs beyond a limit.
 *
 * Outside the signed attributes BER is allowed, as RFC 5652 allows it: indefinite lengths, and content
 * in pieces. The signed attributes must be DER as to form (what is signed is their DER, and a reader that
 * encodes anew must come to the same bytes); their order is left to the verification.
 *
 * Unsigned attributes are stepped over, embedded CRLs counted: nobody uses them.
 *
 * Reads; verifies nothing. Names MD5 and SHA-1 as what they are; the verifier decides. The verifier
 * reads the same facts again through OpenSSL and compares.
 * Pure, thread-safe, borrows from the bytes.
 */
#ifndef SMIME_GATE_H
#define SMIME_GATE_H

#include <time.h>

#include "smime/algorithm.h"
#include "smime/buf.h"
#include "smime/facts.h"
#include "smime/limits.h"

enum gate_state {
	GATE_UNKNOWN,
	GATE_PASSES,
	GATE_CERTS_ONLY,  /* SignedData without SignerInfo and content (RFC 8551 3.8) */
	GATE_MALFORMED,
	GATE_UNSUPPORTED, /* well formed; an algorithm or type that is not handled */
};

enum { GATE_TYPE_BYTES = 64 };

struct gate_facts {
	enum gate_state state;
	char why[FACT_WHY_BYTES];     /* which rule, found and wanted */
	enum gate_digest digest;
	bool has_content;             /* eContent is there */
	struct slice content;         /* of eContent when it is one piece; at == NULL with has_content: in pieces, gate_content() */
	struct slice pieces;          /* of eContent, the OCTET STRING as a whole */
	size_t n_signers, n_certs, n_crls;
	struct slice certs[LIMIT_CMS_CERTS];       /* DER, in their order */
	struct slice issuer, serial;  /* of the SignerInfo's sid, DER; empty = by subject key identifier */
	struct slice key_id;          /* the subject key identifier, or empty */
	struct slice attributes;      /* the signed attributes, one behind the other */
	size_t n_attributes;
	struct slice message_digest;  /* the attribute's value */
	struct slice signature;       /* the signature value */
	bool has_signing_time;
	time_t signing_time;
	struct slice cert_hash;       /* of ESS signing-certificate(-v2) (RFC 5035): of the signer's certificate; empty = none */
	enum gate_digest cert_hash_digest;
};

/* `detached`: the content stands outside (multipart/signed). Never fails. */
void gate_signed(struct slice cms, bool detached, struct gate_facts *ret);

/* eContent as one block: borrowed where it is one piece, otherwise put together in `room`, which the caller ends. */
struct slice gate_content(const struct gate_facts *facts, struct buf *room);

/*
 * Content that reads as a SET of attributes: whoever has a signature over such content can make of it
 * one over other content, and the other way round. No MIME entity looks like that.
 */
bool gate_is_attributes(struct slice content);

/* ContentInfo (RFC 5652 3): its type (the OID's content) and what is inside. False also where bytes are behind it. */
bool gate_open(struct ber *all, struct slice *type, struct ber *content);

/* "signedData", "envelopedData", "authEnvelopedData", "compressedData" ..., "other"; "" for what is no ContentInfo. Static. */
const char *gate_content_type(struct slice cms);
/* From the first GATE_TYPE_BYTES of an object, in which its type ends however its lengths are written: false where gate_content_type() cannot be "signedData". */
bool gate_may_be_signed(struct slice beginning);

#endif
