/*
 * verify: is the message signed, over which bytes, by whose certificate, and does a path lead to an anchor?
 *
 * Only the outermost entity speaks for the message. Clear-signed (multipart/signed: the signed bytes are cut
 * out as they came, never written anew) and opaque (application/pkcs7-mime, signed-data). The gate (gate.h)
 * stands before CMS_verify, which runs with CMS_NOCRL and no verification of the chain; the gate's facts are
 * read again through OpenSSL afterwards and compared. Then the chain (chain.h) and RFC 9788's
 * protected header fields.
 *
 * Does not check: the registry, whose address the signer's is, what to do about it (policy/).
 * Whatever the bytes, the result is facts; errors are our own surroundings. Thread-safe.
 */
#ifndef SMIME_VERIFY_H
#define SMIME_VERIFY_H

#include "smime/chain.h"

struct verify_request {
	struct slice message;              /* header block, empty line, body; CRLF */
	const struct message_facts *facts; /* smime_inspect() of exactly these bytes */
	const struct trust *trust;         /* NULL = no anchors: nothing is trusted */
	time_t at;                         /* when we received it */
	bool any_strength;
};

int smime_verify(const struct verify_request *request, struct signature_facts *ret, struct err *err) MUST_USE;

#endif
