/*
 * leaving: what role egress knows of a message beyond what everybody gathers (gather.h): is it encrypted as a whole, and what
 * must each of its recipients get? From the message's own bytes, its envelope, the settings and the registry; nothing that another
 * program said of it counts. Certificates are not looked for: the level alone says what must be (milter/recipients.h).
 *
 * A sender's wish (encrypt.trigger) is not known here: its field went on the way in. Decides nothing (policy/check_egress.h).
 */
#ifndef FILTER_LEAVING_H
#define FILTER_LEAVING_H

#include "milter/recipients.h"
#include "policy/input.h"

struct leaving {
	enum ciphertext ciphertext;
	struct recipients recipients; /* none: nobody told them all, or looked */
};

/* All borrowed. */
struct leaving_from {
	const struct config *config;
	struct registry *registry;
	struct slice bytes;
	const struct message_facts *facts; /* of these bytes */
	const struct recipients_told *told; /* every recipient; NULL: they are not all known */
	size_t n_told;
	time_t now;
};

void leaving_gather(const struct leaving_from *from, struct leaving *ret);
/* Into the input of the checks; borrowed from `leaving`. */
void leaving_tell(const struct leaving *leaving, struct policy_input *input);
void leaving_done(struct leaving *leaving);

static inline __attribute__((unused)) void auto_leaving_done(struct leaving *leaving) { leaving_done(leaving); }
#define AUTO_LEAVING __attribute__((cleanup(auto_leaving_done)))

#endif
