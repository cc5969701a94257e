/*
 * recipients: all recipients of one transaction with everything that is known of them: what the MTA said, who is hidden,
 * whose domain it is, the sender's unit, the certificate and whether it may be used; judged, and ready for rcpt_plan().
 * Decides nothing. What could not be found out is a fact of its own.
 *
 * A certificate of several recipients (their unit's, their domain's) is judged once. Certificates are looked for only where the
 * level wants one, and not at all on the way out (role egress), where the level alone says what must be.
 */
#ifndef MILTER_RECIPIENTS_H
#define MILTER_RECIPIENTS_H

#include "milter/split/certificate.h"
#include "policy/recipient.h"
#include "smime/encrypt.h"

/* One RCPT. */
struct recipients_told {
	const char *argument;
	const char *resolved; /* {rcpt_addr}; NULL or "" = not told */
};

/* All borrowed. */
struct recipients_from {
	const struct config *config;
	struct registry *registry;
	const struct trust *trust;     /* NULL: could not be had, and trust_why says why */
	const char *trust_why;
	const char *sender;            /* From's address, "" = none that can be told */
	bool trigger;                  /* the sender asked for encryption, and may */
	const char *const *listed;     /* addresses of To and Cc (smime/addressees.h) */
	size_t n_listed;
	bool without_certs;            /* levels only */
	time_t now;
};

struct recipients {
	struct rcpt *at;
	size_t n;
	struct rcpt_sender sender;
	struct registry_encrypt *found; /* of each; owns what rcpt.cert.der borrows */
};

void recipients_gather(const struct recipients_from *from, const struct recipients_told *told, size_t n_told, struct recipients *ret);
/* Adds all of `more` behind; it is empty afterwards. */
void recipients_append(struct recipients *recipients, struct recipients *more);
void recipients_done(struct recipients *recipients);

/* What is encrypted by a plan with PLAN_ENCRYPT, all borrowed. */
struct recipients_encrypt {
	const struct recipients *recipients;
	const struct encryption_plan *plan;
	struct slice copy;               /* the organisation's certificate (DER), where plan->copy */
	const struct pieces *content;    /* as encrypt_request.content */
	time_t now;
};

/*
 * encrypt_new() to the plan's certificates. A certificate that does not fit after all is `(*ret)->fit`, and `unfit` names whose
 * it is: an address, or "" for the organisation's. -1: our surroundings; the organisation's certificate is not there.
 */
int recipients_encrypt(const struct recipients_encrypt *request, struct encrypted **ret, const char **unfit, struct err *err) MUST_USE;

/* The organisation's certificate from its file (PEM or DER) into DER; an empty name is none. */
int recipients_copy_certificate(const char *file, struct buf *ret, struct err *err) MUST_USE;

static inline __attribute__((unused)) void auto_recipients_done(struct recipients *recipients) { recipients_done(recipients); }
#define AUTO_RECIPIENTS __attribute__((cleanup(auto_recipients_done)))

#endif
