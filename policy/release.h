/*
 * release: may a held message leave? From the findings it was held with, those of a new verification, and
 * who has said yes. Pure.
 *
 * Refused, whoever asks: a copy of what was refused (reject+hold); a finding of today whose action is reject or
 * reject+hold: it was revoked meanwhile, say; a finding of today that the item did not show when it was decided on
 * and that is held: the reviewers have not seen it; what could not be found out today (action defer): not now.
 */
#ifndef POLICY_RELEASE_H
#define POLICY_RELEASE_H

#include "policy/permit.h"
#include "policy/table.h"
#include "policy/finding.h"
#include "policy/config.h"

enum release_answer {
	RELEASE_UNKNOWN,
	RELEASE_NOT_PERMITTED, /* this role, this person: why says which rule */
	RELEASE_FORBIDDEN,     /* for good: reject+hold, or a finding of today that is refused */
	RELEASE_NEW_EVIDENCE,  /* look at the item again */
	RELEASE_NOT_NOW,       /* something could not be found out */
	RELEASE_REQUESTED,     /* on record that its owner wants it */
	RELEASE_WAITS,         /* one of two has said yes */
	RELEASE_GO,
};

struct release_question {
	enum action held;                 /* the item's action */
	enum class class;
	const struct findings *then;      /* the item's */
	const struct findings *now;       /* NULL: not verified again yet; only the persons are looked at */
	const struct action_table *table;
	const struct text_list *two_persons;
	enum permit permit;
	bool own;                         /* it is the asker's own mail */
	int64_t person;                   /* the asker */
	int64_t proposed_by;              /* the first of two; 0 = nobody yet */
};

enum release_answer release_decide(const struct release_question *question, char why[256]);

/*
 * The part about the findings alone, for a release that persons have decided on and that was interrupted. RELEASE_GO: nothing of
 * today stands against it. `now` must be there.
 */
enum release_answer release_evidence(const struct release_question *question, char why[256]);

/* Does any of these findings need two persons? True also where they did not all fit. */
bool release_needs_two(const struct findings *findings, const struct text_list *two_persons);

#endif
