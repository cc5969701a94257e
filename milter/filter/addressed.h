/*
 * addressed: to whom a message goes, and what that asks of it: its recipients with what is known of them
 * (milter/recipients.h), whether it is encrypted already, the sender's wish, and the plan (policy/recipient.h). Facts and a
 * pure plan; the checks read it (policy/check_egress.h).
 *
 * What our users and programs send (roles submission, local), where encrypt.use is on: everything. The sender's wish is the field
 * encrypt.trigger, and counts only from a login. Where there are more recipients than are told, the plan is to refuse:
 * nothing is sent to some of them on what is known of others. In mail without SMTP (role local) '%' and '!' in an address count as ambiguous:
 * Postfix does not say there where they lead.
 *
 * On the way out (role egress): from the message's own bytes, its envelope, the settings and the registry; nothing that another
 * program said of it counts. Certificates are not looked for: the level alone says what must be. '%' and '!' in an address
 * count as ambiguous, whatever this mail server makes of them: it may be the last that looks, and the next hop could read another
 * domain in them. The sender's wish is not known there: its field went on the way in. Where not all recipients are told, none is known.
 */
#ifndef FILTER_ADDRESSED_H
#define FILTER_ADDRESSED_H

#include "milter/recipients.h"
#include "policy/input.h"
#include "smime/trust.h"

struct addressed {
	bool planned;                 /* `plan` is there */
	enum ciphertext ciphertext;
	struct recipients recipients; /* none: nobody looked, or told them all */
	struct encryption_plan plan;
};

/* All borrowed. */
struct addressed_from {
	enum role role;
	const struct config *config;
	struct registry *registry;
	const struct trust *trust;          /* NULL: could not be had, and trust_why says why; not needed on the way out */
	const char *trust_why;
	struct slice bytes;
	const struct message_facts *facts;  /* of these bytes */
	const char *login;                  /* NULL or "" = none */
	const struct recipients_told *told;
	size_t n_told;
	size_t n_all;                       /* how many there are */
	time_t now;
};

/* Replaces what `ret` holds. */
void addressed_gather(const struct addressed_from *from, struct addressed *ret);
/* Into the input of the checks; borrowed from `addressed`. */
void addressed_tell(const struct addressed *addressed, struct policy_input *input);
void addressed_done(struct addressed *addressed);

/*
 * At RCPT, from a client of encrypt.peers: may this recipient be in one transaction with those before it? False: it is asked to
 * come in one of its own. It is added to `before` where it may. From is not known yet: `from` names the envelope sender. What
 * cannot be found out then is left to the end of the message.
 */
bool addressed_joins(const struct recipients_from *from, const struct recipients_told *next, struct recipients *before);

static inline __attribute__((unused)) void auto_addressed_done(struct addressed *addressed) { addressed_done(addressed); }
#define AUTO_ADDRESSED __attribute__((cleanup(auto_addressed_done)))

#endif
