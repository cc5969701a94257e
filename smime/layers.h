/*
 * layers: the signed and encrypted entities of a message, from the outside in, as far as they can be
 * read without a key: at most LIMIT_LAYERS, and none inside an ordinary part.
 *
 * Every signed layer went through the gate (gate.h); an opaque content that passed has been inspected
 * like a message, for it is what readers show. Judges nothing else. Borrows from the message.
 */
#ifndef SMIME_LAYERS_H
#define SMIME_LAYERS_H

#include "smime/envelope.h"
#include "smime/err.h"
#include "smime/gate.h"

/* One signed or encrypted entity; the next one lies in it. */
struct level {
	struct slice bytes;          /* in which its tree has its offsets */
	const struct part_tree *tree;
	size_t root;
	struct envelope envelope;
	struct gate_facts gate;      /* of a signed one */
	struct slice content;        /* what is signed */
	struct buf room;             /* behind content, where it came in pieces */
	struct part_tree inner;      /* of an opaque content */
};

struct levels {
	struct level at[LIMIT_LAYERS];
	size_t n;
	const char *ambiguous;       /* static: a reader may see another message in an opaque content */
};

/* There is always a first one, an ordinary entity too; the last is the payload, where it is no layer itself. */
void levels_read(struct slice message, const struct part_tree *tree, struct levels *ret, struct err *err);
void levels_done(struct levels *levels);
/* "signed/encrypted", and whether one is encrypted. */
void levels_tell(const struct levels *levels, struct signature_facts *ret);

/* smime_verify() (verify.h) of a message that was cut already, and is within all limits. What is decoded in the levels need not be once more. */
struct verify_request;
int verify_levels(const struct verify_request *request, const struct part_tree *tree, const struct levels *levels, struct signature_facts *ret,
    struct err *err) MUST_USE;

static inline __attribute__((unused)) void auto_levels_done(struct levels *levels) { levels_done(levels); }
#define AUTO_LEVELS __attribute__((cleanup(auto_levels_done)))

#endif
