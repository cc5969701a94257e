/*
 * head: the fields of one header block, as slices of the bytes as received.
 * Cuts; does not interpret. A line that is no field and no fold makes the block
 * ambiguous (RFC 5322 2.2); caps of limits.h are named in `limit`. No allocation
 * beyond the field list; slices borrow from the block.
 */
#ifndef SMIME_HEAD_H
#define SMIME_HEAD_H

#include "smime/buf.h"
#include "smime/limits.h"

struct field {
	struct slice raw;   /* name to the final line end, folds included */
	struct slice name;  /* before the colon */
	struct slice value; /* after the colon: leading blank and folds included, final line end not */
};

struct head {
	struct field *fields; /* owned */
	size_t n_fields;
	struct slice body;    /* what follows the empty line; len 0 where nothing does */
	const char *why;      /* static text: what is ambiguous; NULL = nothing */
	const char *limit;    /* static text: the cap exceeded; NULL = none */
};

/* Never fails: what is wrong with the block is in why and limit. */
void head_scan(struct slice entity, struct head *ret);
void head_done(struct head *head);

/* The n-th (from 0) field of this name, ASCII case alike; NULL if there is none. */
const struct field *head_find(const struct head *head, const char *name, size_t n);
size_t head_count(const struct head *head, const char *name);

static inline __attribute__((unused)) void auto_head_done(struct head *head) { head_done(head); }
#define AUTO_HEAD __attribute__((cleanup(auto_head_done)))

#endif
