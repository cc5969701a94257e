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
void recipients_done(struct recipients *recipients);

/*
 * What encrypt_new() is asked for, from a plan with PLAN_ENCRYPT: `ret` holds plan->n_certs + 1. `copy` is the organisation's
 * certificate (DER), where plan->copy; how many were written.
 */
size_t recipients_certs(const struct recipients *recipients, const struct encryption_plan *plan, struct slice copy,
    struct encrypt_recipient *ret);
enum encrypt_cipher recipients_cipher(const struct encryption_plan *plan);

static inline __attribute__((unused)) void auto_recipients_done(struct recipients *recipients) { recipients_done(recipients); }
#define AUTO_RECIPIENTS __attribute__((cleanup(auto_recipients_done)))

#endif
