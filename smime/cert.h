/*
 * cert: one X.509 certificate to plain facts.
 * Reads; does not judge trust (chain.h), revocation or the registry. A subject
 * emailAddress counts only where no rfc822Name exists (RFC 8550 3); an address that is
 * no plain ASCII addr-spec sets odd_address (never trimmed, never repaired). Internationalised
 * addresses are read from SmtpUTF8Mailbox (RFC 9598).
 */
#ifndef SMIME_CERT_H
#define SMIME_CERT_H

#include "smime/buf.h"
#include "smime/err.h"
#include "smime/facts.h"

/* DER that is no certificate, over LIMIT_CERT_BYTES or with bytes behind it: ERR_CONFIG, text says which. */
int cert_inspect(struct slice der, struct cert_facts *ret, struct err *err) MUST_USE;

/*
 * One certificate from a PEM or DER file's bytes. `*der` is owned by the caller. A private key
 * in the file is refused (ERR_CONFIG): certificates and keys never share a file with us.
 */
int cert_read(struct slice file, struct buf *der, struct err *err) MUST_USE;

/* 64 hex digits and a NUL. */
void sha256_hex(const unsigned char hash[32], char ret[65]);
/* Reads 64 hex digits (either case, colons allowed between bytes). */
bool sha256_from_hex(const char *text, unsigned char ret[32]);

#endif
