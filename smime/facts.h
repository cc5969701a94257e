/*
 * facts: plain data about a message and about a certificate, and the words for them.
 * Defined once, here; policy/ and milter/ use these words and translate nothing.
 * No library type appears. Texts are bounded and printable ASCII unless said otherwise.
 *
 * In every enum zero is "not found out", which nobody may read as good.
 */
#ifndef SMIME_FACTS_H
#define SMIME_FACTS_H

#include <time.h>

#include "smime/base.h"
#include "smime/limits.h"

/* Whom the From (or Sender) field names. */
enum mailbox_state {
	MAILBOX_UNKNOWN,   /* not looked at */
	MAILBOX_NONE,      /* no such field */
	MAILBOX_AMBIGUOUS, /* several fields or mailboxes, a group, a comment, a quoted or odd address */
	MAILBOX_ONE,       /* exactly one plain addr-spec */
};

/* How far the bytes can be read in one way only. */
enum mime_state {
	MIME_UNKNOWN,
	MIME_AMBIGUOUS, /* two readers may see two messages; why says where */
	MIME_CLEAR,     /* our scanner and GMime agree */
};

/* The outermost entity's cryptographic layer, by its media type (RFC 8551 3.2, 3.5). */
enum layer {
	LAYER_UNKNOWN,
	LAYER_NONE,      /* an ordinary entity */
	LAYER_SIGNED,    /* multipart/signed with a pkcs7 signature, or signed-data, or PGP signed */
	LAYER_ENCRYPTED, /* enveloped-data, authEnveloped-data, or PGP encrypted */
	LAYER_OTHER,     /* certs-only, compressed-data, an unknown smime-type */
};

/* How the body may be sealed (seal.h). */
enum body_form {
	BODY_UNKNOWN,
	BODY_CLEAN,    /* 7-bit, short lines: sealed byte for byte */
	BODY_RECODE,   /* some leaves must be re-encoded first */
	BODY_OPAQUE,   /* re-encoding would touch a signed, encrypted or message/rfc822 part */
};

/* A private key in the message (material.h). */
enum material {
	MATERIAL_UNKNOWN,     /* not looked for */
	MATERIAL_NONE,
	MATERIAL_PKCS12,      /* certificate and private key in one file, or a part that is called so */
	MATERIAL_PRIVATE_KEY,
};

struct mailbox_facts {
	enum mailbox_state state;
	char address[LIMIT_ADDRESS_BYTES + 1]; /* addr-spec as written, when MAILBOX_ONE (UTF-8 possible) */
	char why[160];                         /* what made it ambiguous */
};

struct message_facts {
	struct mailbox_facts from;
	struct mailbox_facts sender;
	enum mime_state mime;
	char mime_why[160];
	enum layer outer;
	enum body_form form;
	enum material material;
	size_t material_part;    /* which part it is, counted from 1 in the order of the bytes */
	char material_by[16];    /* what told: media-type, file-name or content */
	char limit[64];          /* name of the first limit exceeded, "" = none */
	char message_id[LIMIT_TOKEN_BYTES + 1]; /* escaped; "" = none */
	size_t size;             /* bytes, header and body */
	size_t n_parts;          /* leaves and multiparts */
	size_t depth;
};

/* How a certificate and a time go together. */
enum cert_time {
	CERT_TIME_UNKNOWN,
	CERT_TIME_NOT_YET,
	CERT_TIME_VALID,
	CERT_TIME_PAST,
};

enum key_kind {
	KEY_UNKNOWN,
	KEY_RSA,
	KEY_P256,
	KEY_P384,
	KEY_P521,
	KEY_OTHER, /* anything we neither seal nor verify with */
};

struct cert_facts {
	unsigned char sha256[32]; /* of the DER */
	unsigned char spki[32];   /* SHA-256 of the SubjectPublicKeyInfo */
	char subject[512];        /* RFC 2253 one line, escaped */
	char issuer[512];
	char serial[48];          /* lower-case hex, no leading zeros */
	time_t not_before;
	time_t not_after;
	enum key_kind key;
	int key_bits;
	bool is_ca;
	bool may_sign;            /* key usage allows digital signatures (absent = yes), EKU allows e-mail (absent or any = yes) */
	bool may_encrypt;         /* key usage allows key encipherment or agreement */
	bool weak_signature;      /* signed with MD5 or SHA-1 */
	size_t n_addresses;
	char addresses[LIMIT_CERT_ADDRESSES][LIMIT_ADDRESS_BYTES + 1]; /* rfc822Name, else subject emailAddress */
	bool odd_address;         /* an address that is no plain addr-spec: the certificate is unusable */
};

const char *mailbox_state_name(enum mailbox_state state);
const char *mime_state_name(enum mime_state state);
const char *layer_name(enum layer layer);
const char *body_form_name(enum body_form form);
const char *material_name(enum material material);
const char *key_kind_name(enum key_kind kind);

enum cert_time cert_time_at(const struct cert_facts *cert, time_t now);

#endif
