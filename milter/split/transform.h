/*
 * transform: one letter to the copy that its recipient gets.
 *
 * Is it sealed by us? The signature covers the whole message and is good, the fields inside it are those outside, and the
 * registry says that its certificate is in force and speaks for the From (for verify or seal: also what an official
 * signed in his mail program). It is asked now: a certificate that was held or revoked since the seal was made counts
 * for nothing. What is not so sealed is deferred or refused (split.unsealed). A message that its author encrypted may have
 * its signature inside, where nobody sees it: it goes as it is, if what says it is encrypted keeps the rules (smime/enveloped.h).
 *
 * What must this recipient get? By the rules (policy/recipient.h), with the sender's unit, and with the field by which the filter
 * says that the sender asked for encryption (split.trigger), which never goes on. No key is held here.
 *
 * With pretend it is looked at all the same, and goes on as it came: the filter in front does not seal then.
 *
 * Does not check: who may send (segel-milter did), the answer of the next hop (deliver.h).
 */
#ifndef SPLIT_TRANSFORM_H
#define SPLIT_TRANSFORM_H

#include <time.h>

#include "milter/split/station.h"
#include "milter/split/letter.h"
#include "policy/reason.h"
#include "smime/encrypt.h"
#include "smime/pieces.h"

enum transform_action { TRANSFORM_DEFER, TRANSFORM_REFUSE, TRANSFORM_SEND };

struct transformed {
	enum transform_action action;
	enum reason reason;       /* unless TRANSFORM_SEND */
	char evidence[256];       /* for sender and log; printable ASCII */
	struct pieces message;    /* with TRANSFORM_SEND; borrows from the letter. Encrypted: the header block and the empty line */
	struct encrypted *encrypted; /* NULL = in clear. Its body goes behind `message`, written once */
	struct pieces content;    /* what `encrypted` borrows */
	char signer[65];          /* SHA-256 of the certificate; "" = none */
	char from[LIMIT_ADDRESS_BYTES + 1];
	const char *class;        /* of the recipient; static */
	bool pretend;             /* it goes on as it came; reason, evidence and would_encrypt say what would have been */
	bool would_encrypt;       /* also where it is encrypted */
};

/* Never fails: what went wrong with our surroundings is TRANSFORM_DEFER. */
void transform_letter(const struct split_snapshot *snapshot, const struct letter *letter, time_t now, struct transformed *ret);
void transformed_done(struct transformed *transformed);

static inline __attribute__((unused)) void auto_transformed_done(struct transformed *t) { transformed_done(t); }
#define AUTO_TRANSFORMED __attribute__((cleanup(auto_transformed_done)))

#endif
