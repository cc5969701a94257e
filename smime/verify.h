/*
 * verify: is the message signed, over which bytes, by whose certificate, and does a path lead to an anchor?
 *
 * Only the outermost entity speaks for the message. Clear-signed (multipart/signed: the signed bytes are cut
 * out as they came, never written anew) and opaque (application/pkcs7-mime, signed-data). The gate (gate.h)
 * stands before CMS_verify, which runs with CMS_NOCRL, without verification of the chain, and with the one
 * certificate that was found from the gate's reading; afterwards the gate's facts are read again through
 * OpenSSL and compared: a difference is MALFORMED. Then the chain (chain.h), the certificate's fitness
 * (fit.h) and RFC 9788's protected header fields (protect.h).
 *
 * Never good, and always MALFORMED with why: ambiguous MIME (facts->mime) of a message that says it is signed;
 * an opaque content that two readers may read as two; a bare CR, bare LF or NUL in a clear-signed part; what is
 * beyond a limit and says it is signed (coverage UNKNOWN then). A signature that names another certificate by
 * hash (RFC 5035) is BAD. The signer's certificate not embedded: UNSUPPORTED. PGP: UNSUPPORTED. Certificates
 * alone, a signature alone, encrypted: NONE. Coverage is WHOLE for all that says it is signed, good or not.
 *
 * The path is judged whenever a signer is named (has_signer), also beside a bad or malformed signature.
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
