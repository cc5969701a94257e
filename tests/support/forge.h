/*
 * forge: SignedData objects with any flaw, and messages around them, for tests and fuzz seeds. The
 * DER is written by hand, so that it can be wrong in one place and right everywhere else; the
 * signature is right unless asked otherwise, so that only the flaw can be what is refused.
 *
 * Signers are prefixes of mkpki's files (PREFIX.der, PREFIX.key) in the working directory. Ends the
 * program where one cannot be read. Not for anything but tests.
 */
#ifndef TESTS_FORGE_H
#define TESTS_FORGE_H

#include <time.h>

#include "smime/buf.h"

enum forge_flaw {
	/* where the content is (A4) */
	FORGE_OPAQUE = 1 << 0,          /* no flaw: eContent */
	FORGE_PIECES = 1 << 1,          /* no flaw: eContent in pieces of 16 bytes, indefinite lengths around it */
	FORGE_DEEP_PIECES = 1 << 2,     /* the pieces nested 20 deep */
	FORGE_TYPE_NOT_DATA = 1 << 3,   /* eContentType and attribute are id-signedData */
	/* the signed attributes (A5) */
	FORGE_NO_ATTRIBUTES = 1 << 4,   /* the signature is over the content itself */
	FORGE_NO_CONTENT_TYPE = 1 << 5,
	FORGE_NO_DIGEST = 1 << 6,
	FORGE_TWO_DIGESTS = 1 << 7,     /* the attribute twice */
	FORGE_TWO_VALUES = 1 << 8,      /* messageDigest with two values */
	FORGE_BER_ATTRIBUTES = 1 << 9,  /* a length that is longer than it must be */
	FORGE_UNSORTED = 1 << 10,       /* no flaw for us: the order is another */
	FORGE_ODD_TIME = 1 << 11,       /* a signing time without seconds */
	FORGE_ESS = 1 << 12,            /* no flaw: signing-certificate-v2 */
	FORGE_ESS_OTHER = 1 << 13,      /* ... of another certificate */
	/* the signers (A6, A7) */
	FORGE_NO_SIGNER = 1 << 14,
	FORGE_TWO_SIGNERS = 1 << 15,
	FORGE_KEY_ID = 1 << 16,         /* no flaw: by subject key identifier */
	FORGE_OTHER_VERSION = 1 << 17,  /* a SignerInfo of version 3 by issuer and serial number */
	FORGE_NOT_LISTED = 1 << 18,     /* digestAlgorithms without the signer's */
	FORGE_OTHER_HASH = 1 << 19,     /* the signature algorithm names SHA-512, the SignerInfo another */
	FORGE_PSS = 1 << 20,            /* no flaw: RSASSA-PSS, salt as long as the digest */
	FORGE_PSS_SHORT = 1 << 21,      /* ... salt of 8 bytes */
	FORGE_PSS_MAX = 1 << 22,        /* no flaw: ... the longest salt */
	/* certificates and the rest (A20, A25, A42) */
	FORGE_NO_CERTS = 1 << 23,
	FORGE_CERT_TWICE = 1 << 24,
	FORGE_MANY_CERTS = 1 << 25,     /* 21 */
	FORGE_TRAILING = 1 << 26,       /* a byte behind the object */
	FORGE_BAD_SIGNATURE = 1 << 27,
	FORGE_UNSIGNED = 1 << 28,       /* no flaw: an unsigned attribute */
	FORGE_INDEFINITE = 1 << 29,     /* no flaw: indefinite lengths around it all */
	FORGE_MANY_SIGNERS = 1 << 30,   /* the SignerInfo 500 times */
};

struct forge {
	const char *signer;
	const char *other;      /* one more certificate embedded; with FORGE_TWO_SIGNERS the second signer; NULL = none */
	const char *digest;     /* NULL = sha256 */
	struct slice content;
	struct slice econtent;  /* stands in eContent although the signature is over `content`; len 0 = none */
	struct slice crl;       /* DER, embedded; len 0 = none */
	time_t signing_time;    /* 0 = none */
	unsigned flaws;
};

/* The object. The buffer is new, the caller's. */
void forge_cms(const struct forge *forge, struct buf *ret);
/* A5: the signature over `cms`'s signed attributes, made into one over content that is those attributes. */
void forge_confused(struct slice cms, struct buf *ret, struct buf *content);

/* Messages. `head`: fields outside, each with its CRLF. */
void forge_clear_mail(const char *head, struct slice entity, struct slice cms, struct buf *ret);
void forge_opaque_mail(const char *head, struct slice cms, struct buf *ret);
void forge_base64(struct slice bytes, struct buf *ret);

/* Does OpenSSL alone accept it: CMS_verify without the chain, as `openssl cms -verify -noverify -binary` does? */
bool forge_openssl_accepts(struct slice cms, const struct slice *detached);

#endif
