/*
 * The story of a release.
 *
 *     permit     who asks, what the role may do, who said yes before          look()
 *     begin      on record, then the row "releasing" with a token              begin()
 *     verify     the message as if it came now, in a process of its own        child_judge()
 *     decide     what of today stands against it                               release_decide()
 *     deliver    to the mail server, which says 250                            deliver()
 *     end        the row "released"; the token counts once                     store_released()
 *
 * Whatever fails before the message went out puts the item back where it was. Whatever is not known to have failed
 * leaves it "releasing", and it is sent again from here: verified again too, so that nothing leaves that was
 * revoked meanwhile. One release at a time: a second click waits, and finds another version.
 */
#include "milter/reviewd/release.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "milter/log.h"
#include "milter/reviewd/child.h"
#include "milter/reviewd/deliver.h"
#include "policy/release.h"

enum { MARK_TRIES = 3 };

/* A release on its way through this file. */
struct passage {
	struct petition *petition;
	struct item item;
	char token[ITEM_ID_BYTES];
	const char *recipients[LIMIT_RECIPIENTS + 1];
	struct rejudged judged;
	bool lapsed;     /* somebody's yes that was there counts no more */
	bool unanswered; /* the mail server did not say yes or no */
	bool resumed; /* begun by a process that is gone, or sent before without an answer */
};

static struct release_question
question_of(const struct passage *passage, const struct rejudged *judged)
{
	const struct petition *petition = passage->petition;
	const struct config *config = petition->settings->config;

	return (struct release_question){
		.held = passage->item.action,
		.class = judged ? judged->class : passage->item.class,
		.then = &passage->item.findings,
		.now = judged ? &judged->findings : NULL,
		.table = &config->table,
		.two_persons = &config->quarantine.two_persons,
		.permit = permit_of(petition->reviewer->role, ACT_RELEASE),
		.own = act_is_own(petition->reviewer, &passage->item),
		.person = petition->reviewer->person,
		.proposed_by = *passage->item.proposed_by ? passage->item.proposed_person : 0,
	};
}

/* ---- who it goes to ---- */

static const struct item_recipient *
find(const struct item *item, const char *address)
{
	for (size_t i = 0; i < item->n_recipients; i++)
		if (strcmp(item->recipients[i].address, address) == 0)
			return &item->recipients[i];
	return NULL;
}

static bool
has(const struct passage *passage, size_t n, const char *address)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(passage->recipients[i], address) == 0)
			return true;
	return false;
}

static int
choose_named(struct passage *passage)
{
	const char *const *to = passage->petition->to;
	size_t n = 0;

	for (size_t i = 0; to[i] && n < LIMIT_RECIPIENTS; i++) {
		const struct item_recipient *found = find(&passage->item, to[i]);

		if (!found)
			return act_fail(passage->petition, ANSWER_USAGE, "a recipient that the item does not have");
		if (found->released_at)
			return act_fail(passage->petition, ANSWER_REFUSED, "it was released to one of these recipients already");
		if (!has(passage, n, found->address))
			passage->recipients[n++] = found->address;
	}
	return n ? 0 : act_fail(passage->petition, ANSWER_USAGE, "no recipient was named");
}

static int
choose(struct passage *passage)
{
	const struct item *item = &passage->item;
	size_t n = 0;

	if (passage->petition->to)
		return choose_named(passage);
	for (size_t i = 0; i < item->n_recipients && n < LIMIT_RECIPIENTS; i++)
		if (!item->recipients[i].released_at && !has(passage, n, item->recipients[i].address))
			passage->recipients[n++] = item->recipients[i].address;
	return n ? 0 : act_fail(passage->petition, ANSWER_REFUSED, "it was released already, to all its recipients");
}

static int
check_state(struct passage *passage)
{
	switch (passage->item.state) {
	case ITEM_NEW:
	case ITEM_SEEN:
	case ITEM_WAITING:
	case ITEM_RELEASED: /* perhaps to some only */
		return passage->item.has_body ? 0 : act_fail(passage->petition, ANSWER_REFUSED, "its body is gone");
	case ITEM_RELEASING:
		return act_fail(passage->petition, ANSWER_REFUSED, "it is on its way to the mail server already");
	case ITEM_DELETED:
	case ITEM_EXPIRED:
		return act_fail(passage->petition, ANSWER_REFUSED, "its body is gone: %s", item_state_name(passage->item.state));
	case ITEM_UNKNOWN:
	case N_ITEM_STATES:
		break;
	}
	return act_fail(passage->petition, ANSWER_UNAVAILABLE, "its state is not known");
}

/* ---- begin ---- */

static void
describe(const struct passage *passage, struct buf *ret)
{
	size_t n = 0;

	buf_init(ret, 64 * 1024);
	while (passage->recipients[n])
		n++;
	buf_printf(ret, "%zu of %zu recipients:", n, passage->item.n_recipients);
	for (size_t i = 0; i < n; i++)
		buf_printf(ret, " %s", passage->recipients[i]);
	if (*passage->item.proposed_by)
		buf_printf(ret, "; proposed by %s", passage->item.proposed_by);
}

static int
begin(struct passage *passage)
{
	struct petition *petition = passage->petition;
	struct item_change change = { .state = ITEM_RELEASING, .token = passage->token };
	AUTO_BUF struct buf detail = { 0 };

	if (item_new_id(passage->token, &petition->outcome.err) == -1)
		return act_fail(petition, ANSWER_UNAVAILABLE, "no random number for its token");
	memcpy(change.release_to, passage->recipients, sizeof(change.release_to));
	describe(passage, &detail);
	return act_do(petition, &passage->item, RELEASE_BEGIN, buf_text(&detail), &change);
}

/* The first of two says yes to the message as a whole; the second may name fewer recipients. */
static int
propose(struct passage *passage)
{
	struct petition *petition = passage->petition;
	const struct item_change change = { .state = ITEM_WAITING, .propose = true };

	if (petition->to)
		return act_fail(petition, ANSWER_USAGE, "two persons are needed: the first proposes all recipients, the second may name fewer");
	if (act_do(petition, &passage->item, "propose", "", &change) == -1)
		return -1;
	log_line(LOG_LEVEL_INFO, "item %s: release proposed by %s, waits for a second person", passage->item.id, petition->reviewer->login);
	return 0;
}

static int
request(struct passage *passage)
{
	const struct item_change change = { .asked_for = true };

	return act_do(passage->petition, &passage->item, "request", "", &change);
}

static bool
may_be_first(enum permit permit)
{
	switch (permit) {
	case PERMIT_PROPOSE:
	case PERMIT_REASONS:
	case PERMIT_YES:
		return true;
	case PERMIT_NO:
	case PERMIT_OWN:
	case PERMIT_REGISTRY:
	case PERMIT_REQUEST:
	case PERMIT_APPROVE:
		return false;
	}
	return false;
}

/* A yes is worth as much as the appointment of who said it: one that has ended since takes it along. */
static int
check_first(struct passage *passage)
{
	struct petition *petition = passage->petition;
	struct item *item = &passage->item;
	struct registry_reviewer first = { .answer = REGISTRY_UNAVAILABLE };
	int result = 0;

	if (!*item->proposed_by)
		return 0;
	registry_reviewer(petition->settings->registry, item->proposed_by, petition->now, &first);
	if (first.answer == REGISTRY_UNAVAILABLE)
		result = act_fail(petition, ANSWER_UNAVAILABLE, "whether %s may still say yes could not be found out: %s", item->proposed_by, first.why);
	else
		passage->lapsed = first.answer != REGISTRY_FOUND || first.person != item->proposed_person
		    || !may_be_first(permit_of(reviewer_role_from(first.role), ACT_RELEASE));
	if (passage->lapsed)
		item->proposed_by[0] = '\0';
	registry_reviewer_done(&first);
	return result;
}

/* Under desk->acts. 1: begun, it is to be finished; 0: done; -1: not done. */
static int
look(struct passage *passage)
{
	struct petition *petition = passage->petition;
	struct release_question question;
	char why[256];

	if (act_look(petition, ACT_RELEASE, &passage->item) == -1)
		return -1;
	if (check_state(passage) == -1 || choose(passage) == -1 || check_first(passage) == -1)
		return -1;
	question = question_of(passage, NULL);
	switch (release_decide(&question, why)) {
	case RELEASE_GO:
		return begin(passage) == -1 ? -1 : 1;
	case RELEASE_WAITS:
		return propose(passage);
	case RELEASE_REQUESTED:
		return request(passage);
	case RELEASE_NOT_PERMITTED:
		return act_fail(petition, ANSWER_DENIED, "%s%s", why, passage->lapsed ? ": who proposed it is no reviewer any more who may" : "");
	case RELEASE_FORBIDDEN:
		return act_fail(petition, ANSWER_REFUSED, "%s", why);
	case RELEASE_NEW_EVIDENCE:
	case RELEASE_NOT_NOW:
	case RELEASE_UNKNOWN:
		break;
	}
	return act_fail(petition, ANSWER_UNAVAILABLE, "%s", why);
}

/* ---- end ---- */

/* What became of it, on record. The message has gone its way or not: a record that fails is told, and changes nothing. */
static void
record_end(struct passage *passage, const char *event, const char *detail)
{
	struct petition *petition = passage->petition;
	const struct outcome before = petition->outcome;

	if (act_record(petition, &passage->item, event, detail) == -1)
		log_line(LOG_LEVEL_ERROR, "item %s: %s: %s is not on record: %s", passage->item.id, event, detail, petition->outcome.err.text);
	petition->outcome = before;
}

static void
read_again(struct passage *passage)
{
	struct petition *petition = passage->petition;
	struct item item;
	struct err err = { ERR_NONE, "" };

	if (store_get(petition->desk->store, passage->item.id, &item, &err) != STORE_DONE)
		return;
	petition->outcome.state = item.state;
	petition->outcome.version = item.version;
	item_done(&item);
}

/* Back to where it was; `why` for people. */
static int
back(struct passage *passage, enum answer_word word, const char *why)
{
	struct petition *petition = passage->petition;
	struct err err = { ERR_NONE, "" };
	enum store_outcome outcome;

	record_end(passage, "refused", why);
	pthread_mutex_lock(&petition->desk->acts);
	outcome = store_release_failed(petition->desk->store, passage->token, why, petition->now, &err);
	pthread_mutex_unlock(&petition->desk->acts);
	if (outcome != STORE_DONE)
		log_line(LOG_LEVEL_ERROR, "item %s cannot be put back, and is tried again: %s %s", passage->item.id,
		    store_outcome_name(outcome), err.text);
	log_line(LOG_LEVEL_WARNING, "item %s: not released (%s): %s", passage->item.id, petition->reviewer->login, why);
	return act_fail(petition, word, "%s", why);
}

/* The reviewers are to see what was found: it replaces what they decided on, and their yes with it. */
static int
show_evidence(struct passage *passage, const char *why)
{
	struct petition *petition = passage->petition;
	const struct item_change change = { .findings = &passage->judged.findings };
	struct item item;

	(void)back(passage, ANSWER_REFUSED, why);
	pthread_mutex_lock(&petition->desk->acts);
	if (act_stored(petition, store_get(petition->desk->store, passage->item.id, &item, &petition->outcome.err)) == 0) {
		(void)!act_change(petition, &item, "verified-again", why, &change);
		item_done(&item);
	}
	pthread_mutex_unlock(&petition->desk->acts);
	return act_fail(petition, ANSWER_REFUSED, "%s", why);
}

/* The mail server has it: a database that is locked for a moment must not send it again. */
static int
mark(struct passage *passage)
{
	struct petition *petition = passage->petition;
	struct err err = { ERR_NONE, "" };
	enum store_outcome outcome = STORE_UNAVAILABLE;

	pthread_mutex_lock(&petition->desk->acts);
	for (int i = 0; i < MARK_TRIES && outcome == STORE_UNAVAILABLE; i++)
		outcome = store_released(petition->desk->store, passage->token, petition->now, &err);
	pthread_mutex_unlock(&petition->desk->acts);
	if (outcome == STORE_DONE)
		return 0;
	log_line(LOG_LEVEL_ERROR, "item %s: the mail server has it, and that cannot be written down: %s %s; it will be sent once more",
	    passage->item.id, store_outcome_name(outcome), err.text);
	return -1;
}

static int
delivered(struct passage *passage)
{
	struct petition *petition = passage->petition;
	AUTO_BUF struct buf detail = { 0 };

	if (mark(passage) == -1)
		return act_fail(petition, ANSWER_UNAVAILABLE, "the mail server has it, but that could not be written down");
	describe(passage, &detail);
	record_end(passage, "released", buf_text(&detail));
	log_line(LOG_LEVEL_INFO, "item %s: released by %s, %s", passage->item.id, petition->reviewer->login,
	    passage->resumed ? "sent again" : "sent");
	petition->outcome.done = true;
	read_again(passage);
	return 0;
}

/*
 * What came of this try, in the item's history (store_release_of()): reviewers see how it stands. Where that cannot be written, nobody
 * knows later, and then it cannot be called back.
 */
static void
note_try(struct passage *passage, const char *what, const char *why)
{
	const struct item_change none = { .state = ITEM_UNKNOWN };
	struct petition *petition = passage->petition;
	const struct outcome before = petition->outcome;
	struct item item;

	pthread_mutex_lock(&petition->desk->acts);
	if (act_stored(petition, store_get(petition->desk->store, passage->item.id, &item, &petition->outcome.err)) == 0) {
		(void)!act_do(petition, &item, what, why, &none);
		item_done(&item);
	}
	pthread_mutex_unlock(&petition->desk->acts);
	petition->outcome = before;
}

/* What a retry could not do waits, for an earlier try may have done it; what a click could not do goes back. */
static int
not_now(struct passage *passage, const char *what, const char *why)
{
	if (!passage->resumed)
		return back(passage, ANSWER_UNAVAILABLE, why);
	note_try(passage, what, why);
	log_line(LOG_LEVEL_WARNING, "item %s: its release waits: %s", passage->item.id, why);
	return act_fail(passage->petition, ANSWER_UNAVAILABLE, "%s", why);
}

static int
send_it(struct passage *passage)
{
	struct petition *petition = passage->petition;
	struct err err = { ERR_NONE, "" };
	const char *what = RELEASE_NO_ANSWER;

	switch (deliver(petition->desk, petition->settings, &passage->item, passage->recipients, &passage->judged, &err)) {
	case DELIVER_DONE:
		return delivered(passage);
	case DELIVER_REFUSED:
		return back(passage, ANSWER_REFUSED, err.text);
	case DELIVER_LATER:
		return not_now(passage, RELEASE_NOT_TAKEN, err.text);
	case DELIVER_AWAY:
		what = RELEASE_NOT_TAKEN;
		break;
	case DELIVER_UNKNOWN:
		break;
	}
	passage->unanswered = true;
	note_try(passage, what, err.text);
	log_line(LOG_LEVEL_ERROR, "item %s: not known to be delivered, it is tried again: %s", passage->item.id, err.text);
	return act_fail(petition, ANSWER_UNAVAILABLE, "%s; it stays on its way and is sent again", err.text);
}

static enum release_answer
decide_again(const struct passage *passage, char why[256])
{
	const struct release_question question = question_of(passage, &passage->judged);

	/* Whoever began it had the right to; that it was interrupted takes nobody's yes away. */
	return passage->resumed ? release_evidence(&question, why) : release_decide(&question, why);
}

static int
finish(struct passage *passage)
{
	struct petition *petition = passage->petition;
	struct err err = { ERR_NONE, "" };
	char why[256] = "";

	if (child_judge(petition->desk, petition->settings, &passage->item, &passage->judged, &err) == -1)
		return not_now(passage, RELEASE_NOT_SENT, err.text);
	switch (decide_again(passage, why)) {
	case RELEASE_GO:
		return send_it(passage);
	case RELEASE_FORBIDDEN:
		return back(passage, ANSWER_REFUSED, why);
	case RELEASE_NEW_EVIDENCE:
		return show_evidence(passage, why);
	case RELEASE_WAITS:
		return show_evidence(passage, "verified again: shows what needs two persons; look at it again");
	case RELEASE_NOT_NOW:
	case RELEASE_NOT_PERMITTED:
	case RELEASE_REQUESTED:
	case RELEASE_UNKNOWN:
		break;
	}
	return not_now(passage, RELEASE_NOT_SENT, why);
}

void
release_item(struct petition *petition)
{
	struct passage passage = { .petition = petition };
	struct desk *desk = petition->desk;
	int begun;

	pthread_mutex_lock(&desk->releases);
	pthread_mutex_lock(&desk->acts);
	begun = look(&passage);
	pthread_mutex_unlock(&desk->acts);
	if (begun == 1)
		(void)!finish(&passage);
	pthread_mutex_unlock(&desk->releases);
	item_done(&passage.item);
}

/* ---- what was interrupted ---- */

struct begun {
	char id[ITEM_ID_BYTES], token[ITEM_ID_BYTES], login[64];
	char **recipients; /* NULL-terminated; owned */
};

struct begun_list {
	struct begun *at;
	size_t n;
};

static void
add_begun(void *ctx, const struct release_row *row)
{
	struct begun_list *list = ctx;
	struct begun *begun;
	size_t n = 0;

	list->at = xrealloc(list->at, (list->n + 1) * sizeof(*list->at));
	begun = &list->at[list->n++];
	*begun = (struct begun){ .recipients = NULL };
	snprintf(begun->id, sizeof(begun->id), "%s", row->id);
	snprintf(begun->token, sizeof(begun->token), "%s", row->token);
	snprintf(begun->login, sizeof(begun->login), "%s", row->login);
	while (row->recipients[n])
		n++;
	begun->recipients = xcalloc(n + 1, sizeof(*begun->recipients));
	for (size_t i = 0; i < n; i++)
		begun->recipients[i] = xstrdup(row->recipients[i]);
}

static void
free_begun(struct begun_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		for (size_t k = 0; list->at[i].recipients[k]; k++)
			free(list->at[i].recipients[k]);
		free(list->at[i].recipients);
	}
	free(list->at);
}

enum resumed { RESUMED_STAYS, RESUMED_ENDED, RESUMED_UNANSWERED };

/* In the database too, and before it is sent: where nothing can be written its end could not be either, and it would go out for ever. */
static int
take_up(struct passage *passage)
{
	const struct item_change none = { .state = ITEM_UNKNOWN };
	struct petition *petition = passage->petition;
	enum store_outcome outcome;
	int result = -1;

	pthread_mutex_lock(&petition->desk->acts);
	outcome = store_get(petition->desk->store, petition->id, &passage->item, &petition->outcome.err);
	if (act_stored(petition, outcome) == 0)
		result = act_do(petition, &passage->item, RELEASE_RESUME, "", &none);
	pthread_mutex_unlock(&petition->desk->acts);
	if (result == -1)
		log_line(LOG_LEVEL_ERROR, "item %s: its release waits: %s", petition->id, petition->outcome.err.text);
	return result;
}

static enum resumed
resume_one(struct desk *desk, const struct desk_settings *settings, const struct begun *begun)
{
	struct reviewer reviewer = { .role = REVIEWER_NONE };
	struct petition petition = { .desk = desk, .settings = settings, .reviewer = &reviewer, .id = begun->id,
		.reason = "a release that was interrupted", .now = time(NULL) };
	struct passage passage = { .petition = &petition, .resumed = true };
	enum item_state state = ITEM_RELEASING;

	snprintf(reviewer.login, sizeof(reviewer.login), "%s", begun->login);
	snprintf(passage.token, sizeof(passage.token), "%s", begun->token);
	for (size_t i = 0; begun->recipients[i] && i < LIMIT_RECIPIENTS; i++)
		passage.recipients[i] = begun->recipients[i];
	if (take_up(&passage) == 0) {
		(void)!finish(&passage);
		petition.outcome.state = ITEM_RELEASING;
		read_again(&passage);
		state = petition.outcome.state;
	}
	item_done(&passage.item);
	return passage.unanswered ? RESUMED_UNANSWERED : state == ITEM_RELEASING ? RESUMED_STAYS : RESUMED_ENDED;
}

size_t
release_resume(struct desk *desk)
{
	const struct desk_settings *settings = desk_ref(desk);
	struct begun_list list = { NULL, 0 };
	struct err err = { ERR_NONE, "" };
	enum store_outcome outcome;
	enum resumed resumed = RESUMED_ENDED;
	size_t left;

	pthread_mutex_lock(&desk->releases);
	outcome = store_each_releasing(desk->store, add_begun, &list, &err);
	if (outcome != STORE_DONE)
		log_line(LOG_LEVEL_ERROR, "releases that were interrupted cannot be looked for: %s %s", store_outcome_name(outcome), err.text);
	left = list.n;
	for (size_t i = 0; i < list.n && resumed != RESUMED_UNANSWERED; i++) {
		resumed = resume_one(desk, settings, &list.at[i]);
		left -= resumed == RESUMED_ENDED;
	}
	pthread_mutex_unlock(&desk->releases);
	free_begun(&list);
	desk_unref(desk, settings);
	return left;
}
