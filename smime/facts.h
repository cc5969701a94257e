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
	char stiff[16];          /* name of a field that a seal protects, with a line too long for its way that cannot be folded; "" = none */
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
	bool may_encrypt;         /* key usage allows key encipherment (RSA) or agreement (EC) (absent = yes), EKU as for may_sign */
	bool weak_signature;      /* signed with MD5 or SHA-1 */
	size_t n_addresses;
	char addresses[LIMIT_CERT_ADDRESSES][LIMIT_ADDRESS_BYTES + 1]; /* rfc822Names, then SmtpUTF8Mailboxes (UTF-8); else subject emailAddress */
	bool address_in_subject;  /* `addresses` are the subject's emailAddress: it has no alternative name that is an address */
	bool odd_address;         /* an address that is no plain addr-spec: the certificate is unusable */
	bool ascii_as_utf8;       /* with odd_address: a SmtpUTF8Mailbox whose local part is ASCII (RFC 9598 3) */
};

/* What the CMS object of the outermost entity says about the bytes; not about who signed. */
enum signature_state {
	SIGNATURE_UNKNOWN,     /* not found out: our surroundings failed, or nobody looked */
	SIGNATURE_NONE,        /* the outermost entity is not signed (a signed part inside: coverage) */
	SIGNATURE_GOOD,        /* made with the key of the certificate that the SignerInfo names, over exactly these bytes */
	SIGNATURE_BAD,         /* not so: the bytes or the signature were changed, or forged */
	SIGNATURE_MALFORMED,   /* refused by the gate; `why` names the rule */
	SIGNATURE_UNSUPPORTED, /* an algorithm or form that is not handled; nothing is known about it */
};

/* How much of the message the signature is about. */
enum coverage {
	COVERAGE_UNKNOWN,
	COVERAGE_NONE,
	COVERAGE_PARTIAL, /* a signed part inside a message that is not signed as a whole */
	COVERAGE_WHOLE,
};

/* Does a path lead from the signer's certificate to an anchor? */
enum chain_state {
	CHAIN_UNKNOWN,      /* not asked (no signature), or our surroundings failed */
	CHAIN_GOOD,
	CHAIN_UNTRUSTED,    /* no path to an anchor of ours */
	CHAIN_EXPIRED,      /* a certificate of the path is past its notAfter */
	CHAIN_NOT_YET,
	CHAIN_BAD,          /* a path, but it breaks RFC 5280 6: signature, CA flag, path length, constraints, policy ... */
	CHAIN_LIMIT,        /* beyond a cap of limits.h */
};

enum revocation_state {
	REVOCATION_UNKNOWN, /* no complete CRL and no OCSP answer that is young enough, for some certificate of the path */
	REVOCATION_GOOD,
	REVOCATION_REVOKED,
};

/* Whose anchor the path ends at. */
enum anchor {
	ANCHOR_NONE,
	ANCHOR_OFFICIAL,
	ANCHOR_PARTNER,
};

/* RFC 9788: the header fields inside the signature against those outside. */
enum protection {
	PROTECTION_UNKNOWN,
	PROTECTION_NONE,     /* none inside */
	PROTECTION_MATCH,
	PROTECTION_MISMATCH, /* `protection_why` names the first field */
};

enum { FACT_WHY_BYTES = 160 };

struct chain_facts {
	enum chain_state state;
	char why[FACT_WHY_BYTES];         /* RFC section or the library's words */
	enum anchor anchor;
	size_t length;                    /* certificates, leaf and anchor included */
	enum revocation_state revocation;
	char revocation_why[FACT_WHY_BYTES]; /* which certificate, which CRL number or OCSP answer, its age */
	bool revocation_stale;            /* judged within the grace period */
	time_t revoked_at;                /* 0 = not known */
	time_t status_at;                 /* thisUpdate of the oldest statement used; 0 = none */
};

/* What the signer's programs say that they read, beyond what all do (seen.h). */
enum seen_state {
	SEEN_UNKNOWN,   /* not looked at: no good signature */
	SEEN_NONE,      /* nothing said among the signed attributes */
	SEEN_MALFORMED, /* `why` */
	SEEN_READ,
};

struct seen_facts {
	enum seen_state state;
	bool gcm;  /* AES-256-GCM (RFC 5083) */
	bool oaep; /* RSAES-OAEP with SHA-256 */
	char why[FACT_WHY_BYTES];
};

struct signature_facts {
	enum signature_state state;
	char why[FACT_WHY_BYTES];
	enum coverage coverage;
	bool weak;                        /* digest, key or certificate signature below what counts (A24) */
	char weak_why[FACT_WHY_BYTES];
	bool unfit;                       /* key usage, extended key usage, a CA's certificate */
	char unfit_why[FACT_WHY_BYTES];
	/*
	 * `signer` was read: exactly one SignerInfo, its certificate in the CMS. Then the chain is judged, too,
	 * whatever the state: signature and path are two facts. All else counts only where the state is good.
	 */
	bool has_signer;
	struct cert_facts signer;
	bool has_signing_time;
	time_t signing_time;              /* the signer's claim; nothing is judged by it but its own plausibility */
	char signing_time_why[FACT_WHY_BYTES]; /* what is implausible about it; "" = nothing */
	/*
	 * For the memory of replays: of the signer's certificate's hash and the signed attributes. Not of the
	 * signature value: anybody can make of an ECDSA signature (r, s) another good one, (r, -s).
	 */
	unsigned char value_sha256[32];
	enum protection protection;
	char protection_why[FACT_WHY_BYTES];
	struct chain_facts chain;
	struct seen_facts seen;
	size_t n_crls;                    /* that the message brings along: never used (A20) */
	/* Layers from the outside in, "signed/encrypted/signed"; at most LIMIT_LAYERS. */
	char layers[64];
	bool encrypted;                   /* an encrypted layer is or lies below the outermost */
};

const char *mailbox_state_name(enum mailbox_state state);
const char *mime_state_name(enum mime_state state);
const char *layer_name(enum layer layer);
const char *body_form_name(enum body_form form);
const char *material_name(enum material material);
const char *key_kind_name(enum key_kind kind);

const char *signature_state_name(enum signature_state state); /* unknown none good bad malformed unsupported */
const char *coverage_name(enum coverage coverage);             /* unknown none partial whole */
const char *chain_state_name(enum chain_state state);          /* unknown good untrusted expired not-yet bad limit */
const char *revocation_state_name(enum revocation_state state); /* unknown good revoked */
const char *anchor_name(enum anchor anchor);                   /* none official partner */
const char *protection_name(enum protection protection);       /* unknown none match mismatch */

enum cert_time cert_time_at(const struct cert_facts *cert, time_t now);

#endif
