/*
 * edit: what to change in a message, planned before anything is changed. Pure.
 * Order: deletions from the highest ordinal down (each moves the ones behind it), then changes,
 * then insertions, then the body. Ordinals count the fields of one name, in either case, as both
 * MTAs count them; so fields of different names do not stand in each other's way.
 */
#ifndef FILTER_EDIT_H
#define FILTER_EDIT_H

#include "smime/decrypt.h"
#include "smime/encrypt.h"
#include "smime/head.h"
#include "smime/pieces.h"
#include "smime/seal.h"

/* Fields of this prefix are ours alone; from outside they are forged. */
#define OUR_PREFIX "X-Segel-"

enum edit_kind {
	EDIT_DELETE, /* the ordinal-th field of this name, from 1 */
	EDIT_CHANGE,
	EDIT_ADD,    /* behind all others */
	EDIT_INSERT, /* above all others, the MTA's own Received included */
};

struct edit {
	enum edit_kind kind;
	char *name;
	unsigned ordinal;
	char *value; /* without the leading blank; NULL for EDIT_DELETE */
};

struct edit_plan {
	struct edit *edits;
	size_t n;
	struct sealed *sealed;       /* owned; the new body, or memory behind it; NULL = not sealed */
	struct encrypted *encrypted; /* owned; writes the new body, once; NULL = not encrypted */
	struct pieces content;       /* owned; what `encrypted` borrows */
	struct decrypted *decrypted; /* owned; what `plain` borrows, wiped with it; NULL = not decrypted */
	struct slice plain;          /* with `decrypted`: the new body */
	char *sender;                /* the envelope sender, which stays the same with other parameters; NULL = is not touched */
	char *parameters;            /* with `sender` */
};

/* What one of our own messages becomes. */
struct outgoing {
	const char *authserv_id;     /* Authentication-Results fields that claim it go (results.h); NULL = they stay */
	const char *sender;          /* where sealed: an existing Sender is changed, a missing one added; NULL = as it is */
	const char *triggers[2];     /* names of fields that go; NULL or "" = none */
	const char *wish;            /* name of a field that tells segel-split of the sender's wish; NULL = none */
	bool hide_subject;           /* sealed for it (seal_request.hide_subject) */
	struct sealed *sealed;       /* taken; NULL = not sealed */
	struct encrypted *encrypted; /* taken, as the content that it borrows; NULL = not encrypted */
	struct pieces content;
};

/* What arrived encrypted and was opened. */
struct opened {
	const char *authserv_id;     /* as for edit_plan_inbound(), and `results` */
	const char *results;
	const struct plain *plain;   /* what may be given out (smime/decrypt.h); its memory is `decrypted` */
	bool author;                 /* a bounce goes to whoever From names, or to nobody */
	bool utf8;                   /* the transaction takes header fields in UTF-8 (SMTPUTF8) */
	const char *sender;          /* of the envelope, without angle brackets */
	const char *parameters;      /* of MAIL; NULL = none */
	struct decrypted *decrypted; /* taken */
};

/*
 * Where sealed or encrypted, long lines of the fields that a seal protects are folded (fold.h).
 * With neither only fields go, and the wish comes. What is taken is NULL afterwards. */
struct edit_plan *edit_plan_outgoing(const struct head *head, struct outgoing *outgoing);
/*
 * Mail from outside: what claims to be ours goes, then one Authentication-Results field of ours stands above
 * all (RFC 8601 4.1). `results` is its value (results_render); NULL = none is added.
 */
struct edit_plan *edit_plan_inbound(const struct head *head, const char *authserv_id, const char *results);
/*
 * The same for mail that was opened. All fields that describe the body are replaced by those inside, hidden fields by what they hid, and the
 * envelope gets RET=HDRS, so that no bounce carries what was opened (an ENVID stays). Fields of our own, results, From and Sender are never
 * taken from inside; of one in UTF-8 what stands outside stays, unless the transaction takes it. A bounce still carries the header: so nothing
 * hidden comes out where it would go to anybody but the author (whoever has the ciphertext can send it again, as his own envelope's). What it
 * shows of the inside then are its Content-* fields.
 */
struct edit_plan *edit_plan_opened(const struct head *head, struct opened *opened);
/* A field that only we may add: of our prefix, or a result field that claims this id; NULL = those of our prefix only. */
bool edit_is_forged(const struct field *field, const char *authserv_id);
/* What the plan does to the i-th field of this head; NULL = nothing. Borrowed. */
const struct edit *edit_of(const struct edit_plan *plan, const struct head *head, size_t i);
void edit_plan_free(struct edit_plan *plan);
AUTO_DEFINE(struct edit_plan, edit_plan_free);

#endif
