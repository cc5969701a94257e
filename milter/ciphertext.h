/*
 * ciphertext: is a message as a whole encrypted, as far as can be told without a key? For whoever must not let anything
 * out in clear: what only claims to be encrypted does not count.
 *
 * CIPHERTEXT_CMS is an EnvelopedData or AuthEnvelopedData that keeps the rules of smime/enveloped.h: the whole message, or
 * what only signatures lie around. An encrypted part in a multipart is none. PGP, an object of another kind, text under the
 * Content-Type of one, and what is beyond a limit are CIPHERTEXT_OTHER where the message says it is encrypted.
 *
 * Does not check: for whom it is encrypted (a RecipientInfo names a certificate by issuer and serial, or by a key's hash, and anybody can
 * write what he likes there), or that its bytes are ciphertext: no one without the key can.
 */
#ifndef MILTER_CIPHERTEXT_H
#define MILTER_CIPHERTEXT_H

#include "policy/input.h"
#include "smime/buf.h"

/* `facts`: smime_inspect() of exactly these bytes. CIPHERTEXT_UNKNOWN: it was not read, or our surroundings failed. */
enum ciphertext ciphertext_of(struct slice bytes, const struct message_facts *facts);

#endif
