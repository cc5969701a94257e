/*
 * algorithm: AlgorithmIdentifiers, and those of a SignedData that we know (RFC 8551 2.1, 2.2, RFC 4056,
 * RFC 5754), and nothing else: what is not in these tables is not handled.
 *
 * Signatures: RSA PKCS#1 v1.5, RSASSA-PSS and ECDSA. Of PSS those whose hash and mask are the
 * message's own digest, SHA-256 or better, with a salt no shorter than it. Ed25519 is not there:
 * OpenSSL 3.0's CMS cannot verify it.
 */
#ifndef SMIME_ALGORITHM_H
#define SMIME_ALGORITHM_H

#include "smime/ber.h"

enum gate_digest { GATE_DIGEST_UNKNOWN, GATE_DIGEST_MD5, GATE_DIGEST_SHA1, GATE_DIGEST_SHA256, GATE_DIGEST_SHA384, GATE_DIGEST_SHA512 };

/* "SHA-256"; "unknown". */
const char *gate_digest_name(enum gate_digest digest);
size_t gate_digest_len(enum gate_digest digest);

enum algorithm_state {
	ALGORITHM_UNKNOWN,     /* not read */
	ALGORITHM_READ,
	ALGORITHM_MALFORMED,   /* no AlgorithmIdentifier, or parameters that it must not have */
	ALGORITHM_UNSUPPORTED, /* not in the tables */
	ALGORITHM_OTHER_DIGEST, /* of a signature: it names another digest than the message's */
};

/* OID, and what is behind it: nothing, NULL, or parameters. */
struct algorithm_id {
	struct slice oid;
	struct ber params;
	bool plain;   /* no parameters, or NULL */
	bool is_null; /* NULL */
};

/* Whatever it names. False: no AlgorithmIdentifier, or more than one thing behind the OID. */
bool algorithm_take(struct ber *in, struct algorithm_id *ret);

/* Of a digest. */
enum algorithm_state algorithm_digest(struct ber *in, enum gate_digest *ret);
/* Of a signature, made over that digest. */
enum algorithm_state algorithm_signature(struct ber *in, enum gate_digest digest);

#endif
