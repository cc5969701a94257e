/*
 * encrypt: a sealed message, or any MIME entity, encrypted to N certificates (RFC 8551 3.3, 3.4).
 *
 *     application/pkcs7-mime; smime-type=enveloped-data       AES-256-CBC, EnvelopedData (RFC 5652 6)
 *     application/pkcs7-mime; smime-type=authEnveloped-data   AES-256-GCM, nonce 12, tag 16 (RFC 5083, 5084)
 *
 * One RecipientInfo a certificate: RSA by RSAES-PKCS1-v1_5 or RSAES-OAEP (SHA-256, MGF1 with
 * SHA-256); P-256 and P-384 by ephemeral-static ECDH with an ephemeral key of each certificate's own, X9.63 KDF with
 * SHA-256 or SHA-384, AES-256 key wrap (RFC 5753). DER, lengths definite.
 *
 * Refused by name (a fact, enum encrypt_fit), also where policy has looked before: a CA's certificate, key usage without
 * keyEncipherment (RSA) or keyAgreement (EC), extended key usage without emailProtection and any, RSA below 2048 or above
 * 8192 bits, other curves and keys, a certificate signed with MD5 or SHA-1, one that names an odd address or is beyond
 * its dates. OpenSSL encrypts to all of them. Does not check: whose certificate it is, revocation, the chain
 * (policy/). Who shares one object sees the others' issuer and serial number: leave hidden recipients out.
 *
 * In two steps, so that nothing large is held: encrypt_new() makes the content key, all public-key operations and the
 * object's head; encrypt_write() then runs the content through the cipher and base64 into a sink, 64 KB at a time.
 * Behind encrypt_new() only the sink can fail, or OpenSSL for want of memory. Nothing of the plaintext is kept or copied
 * beyond those 64 KB. One thread per struct encrypted.
 */
#ifndef SMIME_ENCRYPT_H
#define SMIME_ENCRYPT_H

#include <time.h>

#include "smime/box.h"
#include "smime/facts.h"
#include "smime/head.h"
#include "smime/key.h"
#include "smime/pieces.h"
#include "smime/seal.h"

enum encrypt_cipher {
	ENCRYPT_CIPHER_UNKNOWN,
	ENCRYPT_AES256_CBC,
	ENCRYPT_AES256_GCM,
};

/* May mail be encrypted to this certificate? */
enum encrypt_fit {
	ENCRYPT_FIT_UNKNOWN,
	ENCRYPT_FIT,
	ENCRYPT_UNFIT_UNREADABLE, /* no DER certificate */
	ENCRYPT_UNFIT_CA,
	ENCRYPT_UNFIT_USAGE,      /* key usage or extended key usage */
	ENCRYPT_UNFIT_KEY,        /* RSA below 2048 or above 8192 bits, a curve other than P-256 and P-384, another kind of key */
	ENCRYPT_UNFIT_WEAK,       /* signed with MD5 or SHA-1 */
	ENCRYPT_UNFIT_ADDRESS,    /* names an address that is no plain addr-spec */
	ENCRYPT_UNFIT_TIME,       /* not yet, or no longer */
};

const char *encrypt_fit_name(enum encrypt_fit fit); /* fit unreadable ca usage key weak address time */
/* The same from the certificate's facts, where somebody has them. */
enum encrypt_fit encrypt_fit_of(const struct cert_facts *cert, time_t now);

struct encrypt_recipient {
	struct slice cert;        /* DER */
	enum key_padding padding; /* of RSA: v1.5, or OAEP with SHA-256; not looked at for EC */
	bool by_key_id;           /* named by subjectKeyIdentifier, if it has one; otherwise by issuer and serial number */
};

struct encrypt_request {
	const struct slice *content; /* the entity's bytes in pieces: head, empty line, body. Borrowed until encrypt_free */
	size_t n_content;
	enum encrypt_cipher cipher;
	const struct encrypt_recipient *recipients;
	size_t n_recipients;         /* 1 to LIMIT_CMS_RECIPIENTS */
	time_t now;
};

/*
 * What the outer message becomes. Fields not named here stay: the caller removes every Content-* and MIME-Version field, and adds
 * MIME-Version and these three, then the body that encrypt_write() writes.
 */
struct encrypted {
	/* ENCRYPT_FIT, or why nothing was encrypted: the first unfit recipient. Only with ENCRYPT_FIT is anything else set. */
	enum encrypt_fit fit;
	size_t unfit;                  /* which one */
	const char *content_type;      /* value without leading blank; folds are LF + tab. Static, as the next two */
	const char *transfer_encoding;
	const char *content_disposition;
	size_t body_len;               /* of the body in base64 with CRLF */
	size_t der_len;
	struct encrypting *keep;
};

/* 0 also with an unfit recipient (ret->fit). -1: our surroundings. */
int encrypt_new(const struct encrypt_request *request, struct encrypted **ret, struct err *err) MUST_USE;
/* The body, once: base64 in lines of 76, CRLF behind each. */
int encrypt_write(struct encrypted *encrypted, const struct box_sink *sink, struct err *err) MUST_USE;
/* The bare DER instead, once. */
int encrypt_write_der(struct encrypted *encrypted, const struct box_sink *sink, struct err *err) MUST_USE;
void encrypt_free(struct encrypted *encrypted);
AUTO_DEFINE(struct encrypted, encrypt_free);

/*
 * The entity of a sealed message, for encrypt_request.content: its Content-* fields, an empty line, its body. Borrows from
 * `sealed`, which must have been sealed for it (seal_request.encrypted, hide_subject).
 */
void encrypt_entity(const struct sealed *sealed, struct pieces *ret);
/* The same of a message as it stands: its Content-* fields, an empty line, its body. Borrows its bytes. */
void encrypt_entity_of(const struct head *head, struct pieces *ret);

#endif
