/*
 * act: what one request does to one item: who asks, whether that person may see the item, the audit record before the change,
 * the change. Everything between the look at an item and its change happens under desk->acts, so that what
 * is on record happened.
 */
#ifndef REVIEWD_ACT_H
#define REVIEWD_ACT_H

#include "milter/reviewd/answer.h"
#include "milter/reviewd/desk.h"

/* How it ended; with `text` where it was not done. */
struct outcome {
	bool done;
	enum answer_word word;
	struct err err;
	enum item_state state; /* of the item, where it was done */
	long version;
};

/* One request. */
struct petition {
	struct desk *desk;
	const struct desk_settings *settings;
	const struct reviewer *reviewer;
	const char *id;
	long version;          /* 0 = the newest */
	const char *reason;
	const char *const *to; /* of a release; NULL = all that are left */
	time_t now;
	struct outcome outcome;
};

/* All return -1. */
int act_fail(struct petition *petition, enum answer_word word, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* 0 for STORE_DONE. */
int act_stored(struct petition *petition, enum store_outcome outcome);

/*
 * The item, where this reviewer may do this with it. Not found is also what one may not list. Refuses another version than
 * the petition's. `ret` is to be given back by item_done where the result is 0.
 */
int act_look(struct petition *petition, enum act act, struct item *ret) MUST_USE;
bool act_is_own(const struct reviewer *reviewer, const struct item *item);

/* The audit record; `detail` may be NULL. */
int act_record(struct petition *petition, const struct item *item, const char *event, const char *detail) MUST_USE;

/* The change, with its place in the item's history. Sets outcome.version; outcome.done. */
int act_change(struct petition *petition, const struct item *item, const char *what, const char *detail,
    const struct item_change *change) MUST_USE;

/* Record and change: what most acts are. */
int act_do(struct petition *petition, const struct item *item, const char *what, const char *detail, const struct item_change *change) MUST_USE;

#endif
