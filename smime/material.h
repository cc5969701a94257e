/*
 * material: does a message carry a private key?
 *
 * Looks at every leaf of the tree: in nested multiparts and messages, and in the first part of a
 * multipart/signed as well. A leaf is key material when
 *   - it is called so: application/x-pkcs12, application/pkcs12, or a file name that ends in .p12
 *     or .pfx (name of Content-Type, filename of Content-Disposition, in any encoding of theirs);
 *   - its first decoded bytes are a PKCS#12 file (RFC 7292 4) or a private key in DER: PKCS#8, clear
 *     or encrypted (RFC 5958 2, 3), RSA (RFC 8017 A.1.2), DSA, EC (RFC 5915 3);
 *   - it holds the armour of a private key anywhere: -----BEGIN ... PRIVATE KEY----- (RFC 7468, of
 *     OpenSSL and OpenSSH) or -----BEGIN PGP PRIVATE KEY BLOCK-----.
 * Certificates, requests and public keys are none. Encodings are undone leniently, as mail programs
 * do, in one pass and without keeping the result.
 *
 * Does not see: archives and documents, encrypted parts, attachments inside an opaque signature,
 * base64 that is not labelled so, UTF-16 text, preamble and epilogue of a multipart, PGP keys without
 * armour, Java key stores, PuTTY's files. It guards against mistakes, not against somebody who hides
 * a key. Does not judge: policy/check.c.
 */
#ifndef SMIME_MATERIAL_H
#define SMIME_MATERIAL_H

#include "smime/facts.h"
#include "smime/part.h"

/* Sets the material fields; the first leaf that is one speaks. Only for a tree without limit. */
void material_find(struct slice message, const struct part_tree *tree, struct message_facts *ret);

#endif
