/*
 * seen: what the signer's programs read, as the signed attribute SMIMECapabilities says it (RFC 8551 2.5.2).
 *
 * Of its list only what we would encrypt with counts: id-aes256-GCM without parameters (as RFC 3565 4.1 has it for AES), and
 * RSAES-OAEP whose parameters name SHA-256 for both label and mask (RFC 3560 5, RFC 4055 4.1): somebody who reads OAEP with
 * SHA-1 has not said that he reads ours. An order of preference is not looked at.
 *
 * DER, one value, at most SEEN_ENTRIES entries, each an OBJECT IDENTIFIER and at most one parameter; otherwise MALFORMED, which says
 * nothing about the signature. Does not check: whether the signature is good, whose it is (verify.h asks here behind that), how old it is.
 * Pure, thread-safe, keeps nothing.
 */
#ifndef SMIME_SEEN_H
#define SMIME_SEEN_H

#include "smime/buf.h"
#include "smime/facts.h"

enum { SEEN_ENTRIES = 64 };

/* `attributes`: the signed attributes one behind the other (gate.h). Never fails. */
void seen_read(struct slice attributes, struct seen_facts *ret);

#endif
