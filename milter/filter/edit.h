/*
 * edit: what to change in a message, planned before anything is changed. Pure.
 * Order: deletions from the highest ordinal down (each moves the ones behind it), then changes,
 * then insertions, then the body. Ordinals count the fields of one name, in either case, as both
 * MTAs count them; so fields of different names do not stand in each other's way.
 */
#ifndef FILTER_EDIT_H
#define FILTER_EDIT_H

#include "smime/head.h"
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
	struct sealed *sealed; /* owns the new body; NULL = body stays */
};

/*
 * `sealed` NULL: only forged fields go. `sender` NULL: Sender stays as it is; otherwise an
 * existing one is changed and a missing one added. Takes `sealed`.
 */
struct edit_plan *edit_plan_new(const struct head *head, struct sealed **sealed, const char *sender);
/* The same, and every Authentication-Results field that claims this authserv-id goes (results.h). */
struct edit_plan *edit_plan_outgoing(const struct head *head, const char *authserv_id, struct sealed **sealed,
    const char *sender);
/*
 * Mail from outside: what claims to be ours goes, then one Authentication-Results field of ours stands above
 * all (RFC 8601 4.1). `results` is its value (results_render); NULL = none is added.
 */
struct edit_plan *edit_plan_inbound(const struct head *head, const char *authserv_id, const char *results);
/* A field that only we may add: of our prefix, or a result field that claims this id; NULL = those of our prefix only. */
bool edit_is_forged(const struct field *field, const char *authserv_id);
/* What the plan does to the i-th field of this head; NULL = nothing. Borrowed. */
const struct edit *edit_of(const struct edit_plan *plan, const struct head *head, size_t i);
void edit_plan_free(struct edit_plan *plan);
AUTO_DEFINE(struct edit_plan, edit_plan_free);

#endif
