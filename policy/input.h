/*
 * input: everything a verdict is made of. Facts only, gathered before anything is decided;
 * policy asks no clock, no file and no registry of its own.
 */
#ifndef POLICY_INPUT_H
#define POLICY_INPUT_H

#include "policy/config.h"
#include "policy/recipient.h"
#include "policy/registry/registry.h"
#include "smime/facts.h"

enum tls_version {
	TLS_VERSION_UNKNOWN, /* no TLS, or a version we do not know the rank of */
	TLS_VERSION_1_0,
	TLS_VERSION_1_1,
	TLS_VERSION_1_2,
	TLS_VERSION_1_3,
};

/*
 * A certificate that the client showed. The name is no identity: on Postfix it is only the CN of a
 * certificate that some trusted CA issued, on Sendmail the DN, trusted or not. It goes on record;
 * who may connect is told by fingerprint, in the MTA (`segelctl tls client-map`).
 */
enum client_cert {
	CLIENT_CERT_UNKNOWN, /* the MTA does not say, or could not check */
	CLIENT_CERT_NONE,
	CLIENT_CERT_UNTRUSTED,
	CLIENT_CERT_TRUSTED, /* its chain ends at an anchor of the MTA */
};

/* From the MTA's macros only; an absent macro means the thing is absent. */
struct transport_facts {
	bool tls;
	char tls_version[32];
	char cipher[64]; /* by OpenSSL's name */
	enum client_cert client_cert;
	char client_subject[256]; /* "" = not told */
	char client_issuer[256];
	char auth_type[32];
	char login[LIMIT_TOKEN_BYTES + 1];
	char client[128]; /* address of the client, for the record */
	bool without_smtp; /* no SMTP client brought it to this mail server (role local) */
};

struct envelope_facts {
	char sender[LIMIT_ADDRESS_BYTES + 1]; /* without angle brackets; "" = null sender */
	char resolved[LIMIT_ADDRESS_BYTES + 1]; /* what the MTA makes of it ({mail_addr}): quotes, comments and routes gone; "" = not told */
	bool sender_too_long; /* or `resolved` is */
	size_t n_recipients;
};

/* Was this signature seen before (milter/filter/replay.h)? */
enum replay_answer {
	REPLAY_NOT_ASKED,   /* no good signature of a good path, or nobody remembers */
	REPLAY_UNAVAILABLE, /* could not ask */
	REPLAY_NEW,         /* never, or on the same message: same Message-ID, From, Subject and Date */
	REPLAY_SEEN,        /* on another one */
};

/* Is the message as a whole encrypted, as far as can be told without a key? */
enum ciphertext {
	CIPHERTEXT_UNKNOWN, /* nobody looked */
	CIPHERTEXT_NONE,    /* it does not say so */
	CIPHERTEXT_CMS,     /* an EnvelopedData or AuthEnvelopedData that keeps the rules (smime/enveloped.h) */
	CIPHERTEXT_OTHER,   /* it says so; PGP, or what does not keep the rules */
};

/* What became of decrypting it. */
enum decryption {
	DECRYPTION_NOT_TRIED,   /* not encrypted, or we may not */
	DECRYPTION_NO_REGISTRY, /* whose key it may be opened with could not be asked */
	DECRYPTION_NO_KEY,      /* the key agent could not be asked, or what it takes to judge what is inside is not there */
	DECRYPTION_NOT_OURS,    /* to no key of ours, or not all recipients may have it */
	DECRYPTION_FAILED,      /* for whatever cause: nothing is told of it */
	DECRYPTION_DONE,        /* `message` and `signature` are what is inside */
};

struct registry_facts {
	enum domain_answer envelope_domain; /* whose is the envelope sender's domain? inbound and local only */
	enum domain_answer from_domain;     /* From's; DOMAIN_NONE also while there is no From */
	enum login_answer owns_from;     /* may this login use the From address? */
	enum login_answer owns_envelope; /* the envelope sender? (LOGIN_OWNS for the null sender) */
	enum login_answer owns_sender;   /* the Sender field's address, if there is one? */
	struct registry_found seal;      /* certificate for sealing mail of From; owned */
	bool cert_read;                  /* `cert` was read from it and agrees with the row */
	struct cert_facts cert;
	char sender[LIMIT_ADDRESS_BYTES + 1]; /* what Sender must name; "" = From is in the certificate, or it has no address */
	int sender_known;                /* is that address registered? 1, 0, -1 could not ask */
	struct registry_signer signer;   /* what the OP says of the certificate that signed the message */
};

struct policy_input {
	enum class class;
	const struct config *config;
	const struct transport_facts *transport;
	const struct envelope_facts *envelope;
	const struct message_facts *message;   /* NULL before the end of the message */
	const struct registry_facts *registry; /* at MAIL only envelope_domain and from_domain */
	const struct signature_facts *signature; /* NULL: nobody looked, and nothing is judged by it */
	enum replay_answer replay;             /* with `signature` */
	const char *replay_why;                /* NULL = nothing to say */
	const struct encryption_plan *plan;    /* submission, local: what is to be done for the recipients; NULL: nobody looked */
	const struct rcpt *rcpts;              /* the recipients: judged, on egress without certificates; NULL: nobody looked */
	size_t n_rcpts;
	enum ciphertext ciphertext;
	enum decryption decryption;            /* inbound */
	const char *decryption_why;            /* of what could not be asked; NULL = nothing to say */
	bool poison;                           /* it made a process die before: nobody has read it, and `message` says nothing */
	bool without_registry;                 /* the OP is not asked about the signer (segelctl verify without --registry) */
	time_t now;
};

/*
 * The class of a message. Inbound mail is official where envelope or From names an official domain, and
 * where that could not be found out: the registry was not there, From cannot be read in one way, or the
 * envelope sender is longer than an address can be. `message` NULL: at MAIL, nothing is known of it yet.
 */
enum class class_of(enum role role, const struct envelope_facts *envelope, const struct registry_facts *registry,
    const struct message_facts *message);

/*
 * The setting that lets mail without SMTP with this envelope sender be sealed under this From; NULL = none.
 * Both must be the listed address.
 */
const struct local_sender_setting *local_sender(const struct config *config, const char *envelope, const char *from);

/*
 * What is to be done with the body for its recipients, as the plan says: PLAN_CLEAR where encrypt.use is off, or it is no official
 * mail of ours; PLAN_UNKNOWN where nobody looked. Whether it may go at all, the verdict says.
 */
enum plan_action plan_of(const struct policy_input *input);

/* Is this a message that our certificate is asked for? Whether it may have it, the verdict says (policy_may_seal). */
bool wants_seal(const struct policy_input *input);

/* "TLSv1.2" to its rank. */
enum tls_version tls_version_from(const char *name);

/*
 * Which address Sender must name when this certificate seals for this From (RFC 8550 3):
 * NULL when From is one of the certificate's, or it has none. Domains compare without case and in A-labels.
 */
const char *seal_sender(const struct cert_facts *cert, const char *from);

#endif
