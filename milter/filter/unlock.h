/*
 * unlock: one message that arrived encrypted, opened with the key agent's help, where all who get it may have it.
 *
 *     entitled    every recipient is read in one way, is an address of an own domain, and has the certificate (entitle.h); else it is not
 *                 looked into
 *     opened      by smime/decrypt.h, with the keys of those certificates only
 *     ground      why it counts: an authenticated cipher, or a good signature inside, whose signer the caller then weighs
 *     facts       of what is inside take the place of those of the message as it came (gather_opened)
 *
 * Every failure is one state and one time class: it is counted at the key agent once, against the client's address, and answered at the end of
 * a slot, whether the key agent had to count or had stopped trying. What it was is not kept. What could not be asked is told
 * apart, and never taken for "not ours".
 *
 * The message as it came is not changed: whoever holds it holds it encrypted. A large one is opened in its own memory (message_lend), its
 * bytes lying in a file; where that cannot be written, beside it, and nothing else changes.
 * Does not check: that the role decrypts and the MTA takes what that changes (pipeline.c, callbacks.c). Thread-safe.
 */
#ifndef FILTER_UNLOCK_H
#define FILTER_UNLOCK_H

#include "milter/filter/gather.h"
#include "milter/filter/message.h"
#include "milter/filter/poison.h"
#include "smime/decrypt.h"

/* All borrowed. */
struct unlock_from {
	struct message *message;   /* of a large one the memory is lent away, and with DECRYPTION_DONE not given back */
	const char *dir;           /* where its bytes are parked meanwhile */
	struct gather_from gather;
	const char *queue_id;
	struct poison *poison;     /* who is told that the message is read here, too; not while the key agent is waited for */
	const unsigned char *hash; /* poison_hash() of it */
};

struct unlocked {
	enum decryption decryption;
	char why[FACT_WHY_BYTES];    /* of what could not be asked */
	struct decrypted *decrypted; /* owned; with DECRYPTION_DONE */
	enum decrypt_ground ground;  /* with DECRYPTION_DONE: the one to name */
	struct gathered *before;     /* owned; the facts of the message as it came */
	struct timespec began;       /* a failure is answered at the end of a slot from here */
};

/* `gathered` says what gather() found; afterwards, with DECRYPTION_DONE, what is inside. A message that is not encrypted: DECRYPTION_NOT_TRIED. */
void unlock_message(const struct unlock_from *from, struct gathered *gathered, struct unlocked *ret);
/* What was opened does not count after all: DECRYPTION_FAILED, like any other, and the facts are those of the message as it came. */
void unlock_refuse(const struct unlock_from *from, struct gathered *gathered, struct unlocked *unlocked);
/* Whether it counts could not be found out: DECRYPTION_NO_KEY for `why`, nothing is counted, and the facts are those of the message as it came. */
void unlock_defer(struct gathered *gathered, struct unlocked *unlocked, const char *why);
/* It will not be delivered: what was opened is forgotten, and the message is as it came, in memory. -1: it could not be read again. */
int unlocked_restore(struct unlocked *unlocked, struct message *message, struct err *err) MUST_USE;
void unlocked_done(struct unlocked *unlocked);

#endif
