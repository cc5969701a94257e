#include "milter/reviewd/act.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "milter/log.h"

int
act_fail(struct petition *petition, enum answer_word word, const char *fmt, ...)
{
	va_list args;

	petition->outcome.done = false;
	petition->outcome.word = word;
	petition->outcome.err.kind = ERR_TEMP;
	va_start(args, fmt);
	vsnprintf(petition->outcome.err.text, sizeof(petition->outcome.err.text), fmt, args);
	va_end(args);
	return -1;
}

int
act_stored(struct petition *petition, enum store_outcome outcome)
{
	if (outcome == STORE_DONE)
		return 0;
	petition->outcome.done = false;
	petition->outcome.word = answer_of_store(outcome);
	if (outcome == STORE_NOT_FOUND)
		return act_fail(petition, ANSWER_NOT_FOUND, "there is no such item");
	if (outcome == STORE_CHANGED)
		return act_fail(petition, ANSWER_CHANGED, "somebody else has changed it; look at it again");
	if (petition->outcome.err.kind == ERR_NONE)
		err_set(&petition->outcome.err, ERR_TEMP, "%s", store_outcome_name(outcome));
	return -1;
}

static bool
is_own_address(const struct reviewer *reviewer, const char *address)
{
	for (size_t i = 0; reviewer->own && reviewer->own[i]; i++)
		if (address_equal(reviewer->own[i], address, false))
			return true;
	return false;
}

bool
act_is_own(const struct reviewer *reviewer, const struct item *item)
{
	if (is_own_address(reviewer, item->from) || is_own_address(reviewer, item->sender))
		return true;
	for (size_t i = 0; i < item->n_recipients; i++)
		if (is_own_address(reviewer, item->recipients[i].address))
			return true;
	return false;
}

static bool
is_of_registry(const struct item *item)
{
	for (size_t i = 0; i < item->findings.n; i++)
		if (reason_of_registry(item->findings.at[i].reason))
			return true;
	return false;
}

/* Does this permit reach this item? */
static bool
reaches(enum permit permit, const struct reviewer *reviewer, const struct item *item)
{
	switch (permit) {
	case PERMIT_NO:
		return false;
	case PERMIT_OWN:
		return act_is_own(reviewer, item);
	case PERMIT_REGISTRY:
		return is_of_registry(item);
	case PERMIT_REQUEST:
	case PERMIT_PROPOSE:
	case PERMIT_APPROVE:
	case PERMIT_REASONS:
	case PERMIT_YES:
		return true;
	}
	return false;
}

int
act_look(struct petition *petition, enum act act, struct item *ret)
{
	const struct reviewer *reviewer = petition->reviewer;
	const enum permit permit = permit_of(reviewer->role, act);

	if (permit == PERMIT_NO)
		return act_fail(petition, ANSWER_DENIED, "%s: the role %s may not", act_name(act), reviewer_role_name(reviewer->role));
	if (act_needs_reason(act) && !*petition->reason)
		return act_fail(petition, ANSWER_REASON, "%s: say why (--reason)", act_name(act));
	if (!item_id_good(petition->id))
		return act_fail(petition, ANSWER_USAGE, "that is no item's id: 32 letters of 0-9 and a-f");
	if (act_stored(petition, store_get(petition->desk->store, petition->id, ret, &petition->outcome.err)) == -1)
		return -1;
	if (!reaches(permit_of(reviewer->role, ACT_LIST), reviewer, ret) || !reaches(permit, reviewer, ret)) {
		item_done(ret);
		return act_fail(petition, ANSWER_NOT_FOUND, "there is no such item");
	}
	if (petition->version && petition->version != ret->version) {
		const long version = ret->version;

		item_done(ret);
		return act_fail(petition, ANSWER_CHANGED, "it is version %ld by now, and you saw %ld; look at it again", version, petition->version);
	}
	return 0;
}

int
act_record(struct petition *petition, const struct item *item, const char *event, const char *detail)
{
	const struct reviewer *reviewer = petition->reviewer;
	char name[64], person[24], version[24];
	const struct audit_pair pairs[] = {
		{ "item", item->id },
		{ "login", reviewer->login },
		{ "person", person },
		{ "role", reviewer_role_name(reviewer->role) },
		{ "reason", petition->reason },
		{ "detail", detail ? detail : "" },
		{ "version", version },
		{ "queue", item->queue_id },
		{ "session", item->session },
		{ "finding", reason_word(item->reason) },
	};

	snprintf(name, sizeof(name), "quarantine-%s", event);
	snprintf(person, sizeof(person), "%lld", (long long)reviewer->person);
	snprintf(version, sizeof(version), "%ld", item->version);
	if (audit_append(petition->desk->audit, name, pairs, N_ELEMENTS(pairs), NULL, &petition->outcome.err) == 0)
		return 0;
	err_wrap(&petition->outcome.err, "not on record, so not done");
	petition->outcome.word = ANSWER_UNAVAILABLE;
	log_line(LOG_LEVEL_ERROR, "%s of item %s by %s: %s", name, item->id, reviewer->login, petition->outcome.err.text);
	return -1;
}

int
act_change(struct petition *petition, const struct item *item, const char *what, const char *detail, const struct item_change *change)
{
	const struct item_act act = {
		.id = item->id,
		.version = item->version,
		.what = what,
		.login = petition->reviewer->login,
		.person = petition->reviewer->person,
		.reason = petition->reason,
		.detail = detail ? detail : "",
		.now = petition->now,
	};

	if (act_stored(petition, store_act(petition->desk->store, &act, change, &petition->outcome.err)) == -1) {
		log_line(LOG_LEVEL_ERROR, "%s of item %s by %s is on record, and was not done: %s", what, item->id, petition->reviewer->login,
		    petition->outcome.err.text);
		return -1;
	}
	petition->outcome.done = true;
	petition->outcome.version = item->version + 1;
	petition->outcome.state = change->state != ITEM_UNKNOWN ? change->state : item->state;
	return 0;
}

int
act_do(struct petition *petition, const struct item *item, const char *what, const char *detail, const struct item_change *change)
{
	if (act_record(petition, item, what, detail) == -1)
		return -1;
	return act_change(petition, item, what, detail, change);
}
