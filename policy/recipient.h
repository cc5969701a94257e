/*
 * recipient: what each recipient of a transaction must get, and what becomes of the transaction as a whole. Pure.
 *
 *     rcpt_read      the argument of RCPT against what the MTA makes of it: one address, or ambiguous
 *     rcpt_level     the rules (encrypt.rules; the first that fits decides): must, may, never, forbid; internal
 *     rcpt_judge     with the certificate that was found, if one was asked for: its class
 *     rcpt_plan      all of them together: in clear, encrypted to this set, split, refused by name, or not found out
 *
 * Levels. A rule names recipients (an address, a domain, ".domain" for what is below one) and the sender's unit; "" is
 * any. Without a rule a recipient in an own domain is internal, and everybody else must get encrypted mail. A rule that names no
 * recipients is not about internal ones. Asking for encryption (the trigger) raises may and never to must; what stays in
 * our own domains is internal all the same, unless a rule names it. Addresses in rules are compared in either case.
 *
 * One transaction has one body. So where one recipient must get it encrypted, all others must be able to read that;
 * where only some may, and not all can, it goes to all in clear. A hidden recipient (in neither To nor Cc) stands in
 * nobody else's RecipientInfos: it shares a body only with whoever has the very same certificate. What cannot be had in one body is split
 * (encrypt.split) or refused.
 *
 * Does not check: that aliases lead where they should. What they add is looked at behind them: segel-split, role egress.
 */
#ifndef POLICY_RECIPIENT_H
#define POLICY_RECIPIENT_H

#include "policy/config.h"
#include "policy/registry/encrypt.h"
#include "smime/facts.h"

/* Can it be read in one way, and does the MTA read it so? */
enum rcpt_form {
	RCPT_FORM_UNKNOWN,
	RCPT_FORM_PLAIN,
	RCPT_FORM_AMBIGUOUS, /* a route, quotes, another address by the MTA's reading (%-hack, UUCP path), no address */
};

struct rcpt_address {
	enum rcpt_form form;
	char address[LIMIT_ADDRESS_BYTES + 1]; /* with PLAIN: local part as written, domain in lower case and A-labels */
	char why[FACT_WHY_BYTES];              /* with AMBIGUOUS */
};

/*
 * `argument` as the client wrote it, with or without angle brackets; `resolved` what the MTA makes of it ({rcpt_addr}),
 * "" or NULL = not told: then '%' and '!' are ambiguous. A difference in case, or a dot at the end of the domain, is none.
 * Without a domain it is a mailbox on the mail server's own machine (Sendmail): the address stays what the client wrote.
 * "postmaster" alone is the MTA's (RFC 5321 4.1.1.3).
 */
void rcpt_read(const char *argument, const char *resolved, struct rcpt_address *ret);

/* Does one of these addresses (of To and Cc) name it? In either case, and domains in A-labels. */
bool rcpt_is_listed(const char *address, const char *const *listed, size_t n_listed);

enum rcpt_class {
	RCPT_UNKNOWN,   /* could not be found out: deferred */
	RCPT_INTERNAL,  /* stays with us: in clear */
	RCPT_MUST,      /* encrypted, and there is a certificate */
	RCPT_MUST_NONE, /* encrypted, and there is none: nothing may be sent */
	RCPT_MAY,       /* encrypted where there is a certificate (cert.answer) and the others allow it */
	RCPT_NEVER,     /* in clear */
	RCPT_FORBIDDEN, /* nothing is sent */
	N_RCPT_CLASSES,
};

/* Who sends; whether it was asked for. */
struct rcpt_sender {
	enum unit_answer unit_answer; /* asked only where encrypt_wants_unit() */
	char unit[LIMIT_TOKEN_BYTES + 1];
	bool trigger;                 /* a logged-in sender asked for encryption */
};

/* The certificate to encrypt to. */
struct rcpt_cert {
	bool asked;
	enum encrypt_answer answer;
	unsigned char sha256[32];     /* with ENCRYPT_FOUND, as what follows */
	unsigned capabilities;
	const unsigned char *der;     /* borrowed from whoever asked */
	size_t der_len;
	char why[FACT_WHY_BYTES];     /* for people */
};

struct rcpt {
	struct rcpt_address address;
	bool hidden;                  /* in neither To nor Cc; also where that is not known */
	enum domain_answer domain;
	struct rcpt_cert cert;

	enum level level;             /* rcpt_judge fills these in */
	enum rcpt_class class;
	size_t rule;                  /* which of encrypt.rules decided, from 1; 0 = none */
	char why[256];                /* for people: rule, certificate */
};

/* Is there a rule that asks for the sender's unit? */
bool encrypt_wants_unit(const struct config *config);
/* Reads address, domain and the sender; `rule` may be NULL. */
enum level rcpt_level(const struct config *config, const struct rcpt_sender *sender, const struct rcpt *rcpt, size_t *rule);
/* Must a certificate be looked for? */
bool level_wants_cert(enum level level);
/* Fills in level, class, rule and why. A level that wants a certificate nobody looked for is RCPT_UNKNOWN. */
void rcpt_judge(const struct config *config, const struct rcpt_sender *sender, struct rcpt *rcpt);

/*
 * For peers that are mail servers, at RCPT: may `next` share the transaction of those before it? False: 452, and the
 * peer sends it in a transaction of its own. What can be sent to nobody is refused by itself, and not told here; whether a
 * recipient is hidden, or the sender asks for encryption, is not known yet.
 */
bool rcpt_joins(const struct rcpt *before, size_t n_before, const struct rcpt *next);
/* Is this client one of encrypt.peers? */
bool encrypt_is_peer(const struct config *config, const char *client);

enum plan_action {
	PLAN_UNKNOWN, /* could not be found out: defer, for `reason` */
	PLAN_CLEAR,   /* as it is */
	PLAN_ENCRYPT, /* to `certs`, one body for all */
	PLAN_SPLIT,   /* as it is to segel-split, which encrypts for each */
	PLAN_REFUSE,  /* for `reason`, naming `names` */
};

enum content_cipher { CONTENT_UNKNOWN, CONTENT_AES256_CBC, CONTENT_AES256_GCM };
enum rsa_padding { RSA_PADDING_UNKNOWN, RSA_PADDING_V15, RSA_PADDING_OAEP };

/* A certificate of the set; the same one of several recipients stands in it once. */
struct plan_cert {
	size_t rcpt;              /* the first recipient whose it is */
	enum rsa_padding padding; /* for RSA; means nothing for EC */
};

struct encryption_plan {
	enum plan_action action;
	enum reason reason;       /* with PLAN_REFUSE and PLAN_UNKNOWN */
	char names[200];          /* evidence: whom it is about; printable ASCII */
	struct plan_cert *certs;  /* with PLAN_ENCRYPT; owned, encryption_plan_done */
	size_t n_certs;
	enum content_cipher cipher;
	bool copy;                /* to the certificate of encrypt.copy_certificate, too */
	bool hide_subject;
};

struct plan_request {
	const struct config *config;
	const struct rcpt *rcpts; /* judged */
	size_t n_rcpts;
	bool may_split;           /* segel-split is behind us; false in segel-split itself */
	bool ciphertext;          /* the message is encrypted already, and that was checked: it goes as it is */
};

void rcpt_plan(const struct plan_request *request, struct encryption_plan *ret);
void encryption_plan_done(struct encryption_plan *plan);

const char *rcpt_class_name(enum rcpt_class class);   /* unknown internal must must-none may never forbidden */
const char *level_name(enum level level);             /* unknown must may never forbid internal */
const char *plan_action_name(enum plan_action action); /* unknown clear encrypt split refuse */
const char *content_cipher_name(enum content_cipher cipher); /* unknown aes-256-cbc aes-256-gcm */

static inline __attribute__((unused)) void auto_encryption_plan_done(struct encryption_plan *plan) { encryption_plan_done(plan); }
#define AUTO_PLAN __attribute__((cleanup(auto_encryption_plan_done)))

#endif
