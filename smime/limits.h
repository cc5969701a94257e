/*
 * limits: every cap on what comes from outside, with its reason.
 * Reaching one is a fact (PARSE_LIMIT names it), never an error and never a crash.
 */
#ifndef SMIME_LIMITS_H
#define SMIME_LIMITS_H

enum {
	LIMIT_HANDED_IN_BYTES = 64 * 1024 * 1024, /* hard ceiling of the setting limits.message_size */
	LIMIT_MESSAGE_BYTES = 2 * LIMIT_HANDED_IN_BYTES, /* the same once sealed and encrypted: base64 twice, 1.88 times as large */
	LIMIT_HEADER_FIELDS = 500,              /* 500,000 one-byte fields cost a MIME parser 242 MB */
	LIMIT_HEADER_BYTES = 256 * 1024,        /* all fields of one entity */
	LIMIT_FIELD_BYTES = 16 * 1024,          /* one field, folds included */
	LIMIT_FROM_BYTES = 1024,                /* a From that is longer hides something */
	LIMIT_ADDRESS_MARKS = 50,               /* ':' or '(' in one address field: nested groups overflow parsers' stacks */
	LIMIT_ADDRESS_BYTES = 320,              /* RFC 5321 4.5.3.1: 64 + 1 + 255 */
	LIMIT_MIME_DEPTH = 20,                  /* multiparts within multiparts */
	LIMIT_MIME_PARTS = 1000,                /* 300,000 empty parts cost a MIME parser 387 MB */
	LIMIT_NESTED_MESSAGES = 5,              /* message/rfc822 within message/rfc822 */
	LIMIT_BOUNDARY_BYTES = 70,              /* RFC 2046 5.1.1 */
	LIMIT_PREAMBLE_BYTES = 1024,            /* text before the first boundary, which no reader shows */
	LIMIT_LINE_BYTES = 990,                 /* longer lines are folded by later hops (998), which breaks a seal */
	LIMIT_FIELD_LINE_BYTES = 998,           /* of a header: RFC 5322 2.1.1; later hops break longer ones anywhere */
	LIMIT_RECIPIENTS = 1000,                /* per transaction; the setting limits.recipients lies below */
	LIMIT_CERT_BYTES = 16 * 1024,           /* one certificate */
	LIMIT_CERT_ADDRESSES = 20,              /* rfc822Names we look at in one certificate */
	LIMIT_CHAIN_CERTS = 5,                  /* certificates from the leaf up, without the root */
	LIMIT_LAYERS = 4,                       /* signed and encrypted entities within each other */
	LIMIT_CMS_CERTS = 20,                   /* embedded in one SignedData */
	LIMIT_CMS_DEPTH = 24,                   /* of its BER; an issuer's name in signing-certificate-v2 lies 18 deep */
	LIMIT_CMS_CRLS = 20,                    /* embedded in one SignedData; counted, never used */
	LIMIT_CMS_CRL_BYTES = 2 * 1024 * 1024,  /* of them together: OpenSSL takes apart what nobody asked for */
	LIMIT_CMS_SIGNER_BYTES = 512 * 1024,    /* one SignerInfo: OpenSSL takes 53 times as much for unsigned attributes */
	LIMIT_CMS_RECIPIENTS = 200,             /* RecipientInfos: the copy of a message to a list of our own is smaller */
	LIMIT_CERT_EXTENSIONS = 50,             /* in one certificate; each is looked for by going through all */
	LIMIT_CERT_POLICIES = 50,               /* policies, and mappings of them: the tree grows with their product (CVE-2023-0464) */
	LIMIT_CERT_CONSTRAINT_BYTES = 32,       /* policyConstraints: two counts of certificates */
	LIMIT_CERT_NAMES = 250,                 /* alternative names, and subtrees of name constraints: each meets each */
	LIMIT_CERT_KEY_BITS = 8192,             /* an RSA key beyond it costs a millisecond each time */
	LIMIT_CRL_BYTES = 20 * 1024 * 1024,
	LIMIT_OCSP_BYTES = 64 * 1024,
	LIMIT_TOKEN_BYTES = 256,                /* one value from outside in a log line or evidence */
};

#endif
