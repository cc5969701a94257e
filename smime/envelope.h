/*
 * envelope: the cryptographic layer of one entity, cut out: which bytes are signed, and the CMS object.
 *
 * Clear-signed (RFC 1847 2.1, RFC 8551 3.5.3): exactly two parts, the first as it came (its head, without
 * the line end that belongs to the boundary), the second an application/pkcs7-signature, decoded; the
 * protocol parameter must be there and say so. Opaque (RFC 8551 3.5.2): the decoded object; what is in it
 * counts, and a smime-type that says something else makes it broken. Without smime-type, and in an
 * octet-stream called *.p7m, the object's own type tells.
 *
 * An encrypted object is left as it stands: who opens it has it decoded (envelope_object). Where the label says encrypted the beginning
 * of the object tells whether that could be wrong; only then, and without such a label, all of it is decoded to find out.
 *
 * Cuts and decodes; judges nothing. Borrows from the message, except the decoded object.
 */
#ifndef SMIME_ENVELOPE_H
#define SMIME_ENVELOPE_H

#include "smime/facts.h"
#include "smime/part.h"

enum envelope_kind {
	ENVELOPE_UNKNOWN,
	ENVELOPE_NONE,        /* an ordinary entity, or one whose CMS signs nothing (`why`) */
	ENVELOPE_CLEAR,       /* `content` and `cms` */
	ENVELOPE_OPAQUE,      /* `cms`: a signedData */
	ENVELOPE_ENCRYPTED,   /* not opened here, nor decoded */
	ENVELOPE_UNSUPPORTED, /* signed, or more, by something that is no S/MIME */
	ENVELOPE_BROKEN,      /* says that it is signed, and is not made so */
};

struct envelope {
	enum envelope_kind kind;
	struct slice content; /* the signed entity; of a clear-signed one */
	size_t child;         /* its part in the tree */
	struct buf cms;       /* owned; of what is signed */
	char why[FACT_WHY_BYTES];
};

/* The layer of part `root`, whose children follow it in the tree. Never fails. */
void envelope_read(struct slice message, const struct part_tree *tree, size_t root, struct envelope *ret);
void envelope_done(struct envelope *envelope);

/* The object of a part that is ENVELOPE_ENCRYPTED. Empty: it does not decode, or there is none. */
void envelope_object(struct slice message, const struct part *part, struct buf *ret);
/*
 * The same without memory of its own, of base64 only: decoded where it stands, into the beginning of the part's body. What is in front of
 * that stays. False: of another encoding, and nothing is changed.
 */
bool envelope_object_in_place(unsigned char *message, const struct part *part, struct slice *ret) MUST_USE;

static inline __attribute__((unused)) void auto_envelope_done(struct envelope *envelope) { envelope_done(envelope); }
#define AUTO_ENVELOPE __attribute__((cleanup(auto_envelope_done)))

/* The first part below the root that claims to be signed, at any depth and in forwarded messages too; 0 = none. */
size_t envelope_signed_part(struct slice message, const struct part_tree *tree);

#endif
