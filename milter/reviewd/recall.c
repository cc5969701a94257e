#include "milter/reviewd/recall.h"

#include "milter/log.h"

static bool
may_recall(enum permit release)
{
	switch (release) {
	case PERMIT_APPROVE:
	case PERMIT_REASONS:
	case PERMIT_YES:
		return true;
	case PERMIT_NO:
	case PERMIT_OWN:
	case PERMIT_REGISTRY:
	case PERMIT_REQUEST:
	case PERMIT_PROPOSE:
		return false;
	}
	return false;
}

static int
check(struct petition *petition, const struct item *item, struct release_standing *ret)
{
	const enum reviewer_role role = petition->reviewer->role;

	if (!may_recall(permit_of(role, ACT_RELEASE)))
		return act_fail(petition, ANSWER_DENIED, "recall: the role %s may not: it releases nothing by itself", reviewer_role_name(role));
	if (item->state != ITEM_RELEASING)
		return act_fail(petition, ANSWER_REFUSED, "it is not on its way to the mail server: %s", item_state_name(item->state));
	if (act_stored(petition, store_release_of(petition->desk->store, item->id, ret, &petition->outcome.err)) == -1)
		return -1;
	if (!ret->settled)
		return act_fail(petition, ANSWER_REFUSED, "whether the mail server has it is not known, so it stays on its way and is tried again%s%s",
		    *ret->answer ? ": " : "", ret->answer);
	return 0;
}

static int
carry_out(struct petition *petition, const struct item *item, const struct release_standing *standing)
{
	const char *detail = standing->doubtful ? "an earlier try got no answer: it may have arrived" : "no try was taken";
	const struct item_act act = { .what = "recall", .login = petition->reviewer->login, .person = petition->reviewer->person,
		.reason = petition->reason, .detail = detail, .now = petition->now };
	struct item now;

	if (act_record(petition, item, "recall", detail) == -1)
		return -1;
	if (act_stored(petition, store_recalled(petition->desk->store, standing->token, &act, &petition->outcome.err)) == -1) {
		log_line(LOG_LEVEL_ERROR, "recall of item %s by %s is on record, and was not done: %s", item->id, act.login, petition->outcome.err.text);
		return -1;
	}
	log_line(LOG_LEVEL_WARNING, "item %s: called back by %s: %s", item->id, act.login, detail);
	if (act_stored(petition, store_get(petition->desk->store, item->id, &now, &petition->outcome.err)) == -1)
		return -1;
	petition->outcome.done = true;
	petition->outcome.state = now.state;
	petition->outcome.version = now.version;
	item_done(&now);
	return 0;
}

/* Under desk->releases nothing is being sent: what the history says of the last try is all there is. */
void
recall_item(struct petition *petition, bool *doubtful)
{
	struct desk *desk = petition->desk;
	struct release_standing standing = { .doubtful = false };
	struct item item;

	pthread_mutex_lock(&desk->releases);
	pthread_mutex_lock(&desk->acts);
	if (act_look(petition, ACT_RELEASE, &item) == 0) {
		if (check(petition, &item, &standing) == 0)
			(void)!carry_out(petition, &item, &standing);
		item_done(&item);
	}
	pthread_mutex_unlock(&desk->acts);
	pthread_mutex_unlock(&desk->releases);
	*doubtful = standing.doubtful;
}
