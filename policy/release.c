#include "policy/release.h"

#include <stdio.h>
#include <string.h>

enum { WHY_BYTES = 256 };

static bool
listed(const struct text_list *list, const char *word)
{
	for (size_t i = 0; list && i < list->n; i++)
		if (strcmp(list->at[i], word) == 0)
			return true;
	return false;
}

bool
release_needs_two(const struct findings *findings, const struct text_list *two_persons)
{
	for (size_t i = 0; i < findings->n; i++)
		if (listed(two_persons, reason_word(findings->at[i].reason)))
			return true;
	return findings->overflow;
}

static bool
shown(const struct findings *findings, enum reason reason)
{
	for (size_t i = 0; i < findings->n; i++)
		if (findings->at[i].reason == reason)
			return true;
	return false;
}

/* What no cell of the table answers was not found out. */
static enum action
action_of(const struct release_question *question, const struct finding *finding)
{
	const struct cell *cell;

	if ((unsigned)finding->reason >= N_REASONS || (unsigned)question->class >= N_CLASSES)
		return ACTION_DEFER;
	cell = &question->table->cells[finding->reason][question->class];
	return cell->reachable ? cell->action : ACTION_DEFER;
}

static enum release_answer
judge_finding(const struct release_question *question, const struct finding *finding)
{
	switch (action_of(question, finding)) {
	case ACTION_REJECT:
	case ACTION_REJECT_HOLD:
		return RELEASE_FORBIDDEN;
	case ACTION_HOLD:
		return shown(question->then, finding->reason) ? RELEASE_GO : RELEASE_NEW_EVIDENCE;
	case ACTION_DEFER:
		return RELEASE_NOT_NOW;
	case ACTION_ACCEPT:
	case ACTION_TAG:
		return RELEASE_GO;
	}
	return RELEASE_NOT_NOW;
}

/* What is definite stands before what could not be found out. */
static int
rank(enum release_answer answer)
{
	switch (answer) {
	case RELEASE_FORBIDDEN:
		return 3;
	case RELEASE_NEW_EVIDENCE:
		return 2;
	case RELEASE_NOT_NOW:
		return 1;
	case RELEASE_UNKNOWN:
	case RELEASE_NOT_PERMITTED:
	case RELEASE_REQUESTED:
	case RELEASE_WAITS:
	case RELEASE_GO:
		return 0;
	}
	return 0;
}

static void
explain(enum release_answer answer, const struct finding *finding, char why[WHY_BYTES])
{
	const char *text = answer == RELEASE_FORBIDDEN ? "verified again: would be refused today" :
	    answer == RELEASE_NEW_EVIDENCE ? "verified again: shows what it did not show before; look at it again" :
	    "verified again: could not be found out, try later";

	snprintf(why, WHY_BYTES, "%s: %s%s%s%s", text, reason_word(finding->reason), *finding->evidence ? " (" : "",
	    finding->evidence, *finding->evidence ? ")" : "");
}

enum release_answer
release_evidence(const struct release_question *question, char why[WHY_BYTES])
{
	enum release_answer worst = RELEASE_GO;

	if (!question->now) {
		snprintf(why, WHY_BYTES, "it was not verified again");
		return RELEASE_NOT_NOW;
	}
	if (question->class == CLASS_UNKNOWN || (unsigned)question->class >= N_CLASSES) {
		snprintf(why, WHY_BYTES, "verified again: nobody could say whose mail it is, try later");
		return RELEASE_NOT_NOW;
	}
	for (size_t i = 0; i < question->now->n; i++) {
		const struct finding *finding = &question->now->at[i];
		enum release_answer answer = judge_finding(question, finding);

		if (rank(answer) <= rank(worst))
			continue;
		worst = answer;
		explain(answer, finding, why);
	}
	if (worst == RELEASE_GO && question->now->overflow) {
		snprintf(why, WHY_BYTES, "verified again: more findings than can be kept");
		return RELEASE_NOT_NOW;
	}
	return worst;
}

static bool
needs_two(const struct release_question *question)
{
	return release_needs_two(question->then, question->two_persons)
	    || (question->now && release_needs_two(question->now, question->two_persons));
}

static enum release_answer
refuse(char why[WHY_BYTES], const char *text)
{
	snprintf(why, WHY_BYTES, "%s", text);
	return RELEASE_NOT_PERMITTED;
}

static enum release_answer
as_second(const struct release_question *question, char why[WHY_BYTES])
{
	if (question->proposed_by == question->person)
		return refuse(why, "the second of two must be another person");
	return RELEASE_GO;
}

static enum release_answer
waits(char why[WHY_BYTES])
{
	snprintf(why, WHY_BYTES, "waits for a second person");
	return RELEASE_WAITS;
}

/* Who may say yes, and as which of two. */
static enum release_answer
judge_person(const struct release_question *question, char why[WHY_BYTES])
{
	switch (question->permit) {
	case PERMIT_NO:
	case PERMIT_OWN:      /* how far something may be seen, not whether it may leave */
	case PERMIT_REGISTRY:
		return refuse(why, "this role releases nothing");
	case PERMIT_REQUEST:
		if (!question->own)
			return refuse(why, "this role asks for the release of its own mail only");
		snprintf(why, WHY_BYTES, "goes on record; the security team decides");
		return RELEASE_REQUESTED;
	case PERMIT_PROPOSE:
		if (question->proposed_by != 0)
			return refuse(why, "somebody proposed it already; an analyst or a manager is to be the second");
		return waits(why);
	case PERMIT_APPROVE:
		if (question->proposed_by == 0)
			return refuse(why, "this role is the second of two; somebody else must propose it first");
		return as_second(question, why);
	case PERMIT_REASONS:
	case PERMIT_YES:      /* no role goes round the second person */
		if (!needs_two(question))
			return RELEASE_GO;
		return question->proposed_by == 0 ? waits(why) : as_second(question, why);
	}
	return refuse(why, "this role releases nothing");
}

/*
 * Evidence stands before persons: what is forbidden is said to be, not that it waits. A finding of today may need two
 * where those of the item needed one: then it waits after all.
 */
enum release_answer
release_decide(const struct release_question *question, char why[WHY_BYTES])
{
	enum release_answer person, evidence = RELEASE_GO;

	*why = '\0';
	if (question->person == 0)
		return refuse(why, "nobody knows who asks");
	person = judge_person(question, why);
	if (person == RELEASE_NOT_PERMITTED)
		return person;
	if (question->held != ACTION_HOLD) {
		snprintf(why, WHY_BYTES, "it was refused, and its sender was told so; this is a copy that is never released");
		return RELEASE_FORBIDDEN;
	}
	if (person != RELEASE_REQUESTED && question->now)
		evidence = release_evidence(question, why);
	return evidence != RELEASE_GO ? evidence : person;
}
