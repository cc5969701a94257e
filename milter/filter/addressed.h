/*
 * addressed: to whom a message goes, and what that asks of its body: all recipients with what is known of them
 * (milter/recipients.h), whether it is encrypted already, the sender's wish, and the plan (policy/recipient.h). Facts and a
 * pure plan; the checks read it (policy/check_egress.h).
 *
 * The sender's wish is the field encrypt.trigger, and counts only from a login. Where the MTA told of more recipients than
 * are kept (LIMIT_RECIPIENTS), the plan is to refuse: nothing is sent to some of them on what is known of others.
 */
#ifndef FILTER_ADDRESSED_H
#define FILTER_ADDRESSED_H

#include "milter/filter/message.h"
#include "milter/recipients.h"
#include "policy/input.h"
#include "smime/trust.h"

struct addressed {
	bool asked;                   /* otherwise nobody looked, and nothing below is known */
	enum ciphertext ciphertext;
	struct recipients recipients;
	struct encryption_plan plan;
};

/* All borrowed. */
struct addressed_from {
	enum role role;
	const struct message *message;      /* its recipients, settings, registry */
	const struct message_facts *facts;  /* of its bytes */
	const struct trust *trust;          /* NULL: could not be had, and trust_why says why */
	const char *trust_why;
	time_t now;
};

/* Only where encrypt.use is on, and for mail that our users and programs send. Replaces what `ret` holds. */
void addressed_gather(const struct addressed_from *from, struct addressed *ret);
void addressed_done(struct addressed *addressed);

/*
 * At RCPT, from a client of encrypt.peers: may this recipient be in one transaction with those before it? False: it is asked to
 * come in one of its own. It is added to `before` where it may. From is not known yet: the envelope sender speaks for it. What
 * cannot be found out then is left to the end of the message.
 */
bool addressed_joins(const struct addressed_from *from, struct recipients *before, const char *argument, const char *resolved);

#endif
