/*
 * enveloped: an EnvelopedData or AuthEnvelopedData before anything is decrypted (RFC 5652 6, RFC 5083, 5084, 5753, 8551 2.4).
 *
 * A BER walker with a budget, as gate.h is for signatures. It reads the whole object, and decryption uses this reading only: no
 * other parser sees it. Refused as malformed: bytes behind the object, depth, sizes, lengths that do not fit, more than
 * LIMIT_CMS_RECIPIENTS RecipientInfos, a tag of other than 12 to 16 bytes, an IV of other than 16 (CBC) or a nonce of other
 * than 12 bytes (GCM), a tag length that is not the one named, CBC content that is no whole number of blocks or empty,
 * password, KEK and other RecipientInfos (A42: also beside good ones), CBC in an AuthEnvelopedData and GCM in an EnvelopedData.
 * Well formed and unsupported: CompressedData and other content types, other ciphers (3DES, RC2, CCM, ChaCha20), content that is
 * not id-data, key transport other than RSA v1.5 and OAEP with an empty label, agreements that are not ephemeral-static ECDH
 * on a P-256 or P-384 point with X9.63 and plain AES wrap. A RecipientInfo that is not ours may name algorithms we do not
 * handle: it is noted, and the walk goes on.
 *
 * originatorInfo (certificates, CRLs) and unprotected attributes are stepped over, within limits; nobody uses them.
 * Pure, thread-safe, borrows from the bytes.
 */
#ifndef SMIME_ENVELOPED_H
#define SMIME_ENVELOPED_H

#include "smime/ber.h"
#include "smime/buf.h"
#include "smime/facts.h"
#include "smime/limits.h"
#include "smime/key.h"

enum enveloped_state {
	ENVELOPED_UNKNOWN,
	ENVELOPED_PASSES,
	ENVELOPED_MALFORMED,
	ENVELOPED_UNSUPPORTED, /* well formed; a type or content cipher that is not handled */
};

enum enveloped_cipher {
	ENVELOPED_CIPHER_UNKNOWN,
	ENVELOPED_AES128_CBC,
	ENVELOPED_AES192_CBC,
	ENVELOPED_AES256_CBC,
	ENVELOPED_AES128_GCM,
	ENVELOPED_AES192_GCM,
	ENVELOPED_AES256_GCM,
};

const char *enveloped_cipher_name(enum enveloped_cipher cipher); /* "aes-256-cbc"; "unknown" */
size_t enveloped_key_len(enum enveloped_cipher cipher);          /* 0 for UNKNOWN */
bool enveloped_is_aead(enum enveloped_cipher cipher);

/* How one recipient gets at the content key. */
enum recipient_kind {
	RECIPIENT_UNKNOWN,     /* an algorithm that is not handled */
	RECIPIENT_TRANSPORT,   /* RSA: padding and block */
	RECIPIENT_AGREEMENT,   /* ECDH: agreement */
};

struct enveloped_recipient {
	enum recipient_kind kind;
	struct slice issuer, serial; /* DER; empty = by subject key identifier */
	struct slice key_id;         /* or empty */
	struct key_transport transport; /* content_len is the content cipher's */
	struct key_agreement agreement; /* the same */
};

struct enveloped_facts {
	enum enveloped_state state;
	char why[FACT_WHY_BYTES];
	enum enveloped_cipher cipher;
	struct slice iv;              /* IV or nonce */
	struct slice tag;             /* AEAD */
	struct slice attributes;      /* authenticated attributes: content of the [1], DER; empty = none */
	struct slice content;         /* the ciphertext where it is one piece; at == NULL: in pieces, enveloped_join() */
	struct slice pieces;          /* the whole [0] */
	size_t content_len;           /* bytes of ciphertext */
	size_t n_recipients;
	struct enveloped_recipient recipients[LIMIT_CMS_RECIPIENTS];
};

/* Never fails. The facts are large: keep them on the heap. */
void enveloped_read(struct slice cms, struct enveloped_facts *ret);

/* RSAES-OAEP's parameters, as `params` of its algorithm_id: padding, digest and mask of `ret`. False: not readable, or not handled. */
bool enveloped_read_oaep(struct ber params, struct key_transport *ret);

/* Copies the ciphertext to `room`, which holds content_len bytes. It may lie in the object's own memory, at or before the first piece. */
void enveloped_join(const struct enveloped_facts *facts, unsigned char *room);

#endif
