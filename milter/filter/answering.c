#include "milter/filter/answering.h"

#include <stdio.h>
#include <string.h>

#include "milter/filter/results.h"

static void
refuse(const struct passage *passage, enum answer_kind kind, struct answer *ret)
{
	const struct verdict *verdict = &passage->verdict;
	/* A sender gets the evidence of what is definitely wrong with the message, not of our own troubles. */
	const char *evidence = kind == ANSWER_REJECT && verdict->finding ? verdict->finding->evidence : "";

	ret->kind = kind;
	ret->at_mail = passage->stage == STAGE_MAIL;
	ret->reason = verdict->reason;
	snprintf(ret->text, sizeof(ret->text), "%s: %s%s%s%s [%s]", reason_word(verdict->reason),
	    reason_text(verdict->reason, (enum language)passage->config->language), *evidence ? " (" : "", evidence,
	    *evidence ? ")" : "", passage->message->id);
}

static struct edit_plan *
plan_opened(struct passage *passage, const struct head *head, const char *results)
{
	const struct message *message = passage->message;
	struct plain plain = { .n_content = 0 };
	struct opened opened = {
		.authserv_id = passage_authserv_id(passage),
		.results = results,
		.plain = &plain,
		.author = !*message->envelope.sender || address_equal(message->envelope.sender, passage->gathered.message.from.address, true),
		.utf8 = message->sender_parameters && strcasestr(message->sender_parameters, "SMTPUTF8"),
		.sender = message->envelope.sender,
		.parameters = message->sender_parameters,
	};

	if (!decrypted_plain(passage->unlocked.decrypted, passage->unlocked.ground, &plain))
		return NULL; /* it was there when the ground was chosen */
	opened.decrypted = TAKE(passage->unlocked.decrypted);
	return edit_plan_opened(head, &opened);
}

static struct edit_plan *
plan_results(struct passage *passage, const struct head *head)
{
	const struct policy_input input = passage_input(passage, STAGE_MESSAGE);
	AUTO_BUF struct buf results = { 0 };

	buf_init(&results, RESULTS_BYTES);
	results_render(passage_authserv_id(passage), &input, &passage->findings, &results);
	if (passage->unlocked.decryption == DECRYPTION_DONE)
		return plan_opened(passage, head, buf_text(&results));
	return edit_plan_inbound(head, passage_authserv_id(passage), buf_text(&results));
}

static struct edit_plan *
plan_outgoing(struct passage *passage, const struct head *head)
{
	const struct config *config = passage->config;
	const char *sender = passage->gathered.registry.sender;
	/* Also where all that we see stays in clear: an alias behind us may lead to somebody else. */
	const bool split_hears = config->encrypt.split && passage->addressed.recipients.sender.trigger;
	struct outgoing outgoing = {
		.authserv_id = passage_authserv_id(passage),
		.sender = *sender ? sender : NULL,
		.wish = split_hears ? config->split.trigger : NULL,
		.hide_subject = passage->sealed && passage->encrypted && passage->addressed.plan.hide_subject,
		.sealed = TAKE(passage->sealed),
		.encrypted = TAKE(passage->encrypted),
		.content = passage->content,
	};

	if (config->encrypt.use) {
		outgoing.triggers[0] = config->encrypt.trigger;
		outgoing.triggers[1] = config->split.trigger;
	}
	passage->content = (struct pieces){ .n = 0 };
	return edit_plan_outgoing(head, &outgoing);
}

static struct edit_plan *
plan_edits(struct passage *passage)
{
	AUTO_HEAD struct head head = { 0 };

	head_scan(buf_slice(&passage->message->bytes), &head);
	if (passage->filter->role->role == ROLE_INBOUND)
		return plan_results(passage, &head);
	return plan_outgoing(passage, &head);
}

/* A process that dies of the fields is known to have. What is let through although it is poison is so by a setting. */
static struct edit_plan *
plan(struct passage *passage)
{
	struct poison *poison = passage->filter->poison;
	const bool watched = !passage->poison && !poison_enter(poison, passage->hash);
	struct edit_plan *edits = plan_edits(passage);

	if (watched)
		poison_leave(poison, passage->hash);
	return edits;
}

/* The verdict as an answer; `go_on` is the answer that lets the message pass. */
void
answering(struct passage *passage, enum answer_kind go_on, struct answer *ret)
{
	if (passage_pretends(passage)) {
		ret->kind = go_on;
		return;
	}
	switch (passage->verdict.action) {
	case ACTION_ACCEPT:
	case ACTION_TAG:
		ret->kind = go_on;
		/* What leaves was finished on its way in: role egress changes nothing. */
		ret->plan = go_on == ANSWER_ACCEPT && passage->filter->role->role != ROLE_EGRESS ? plan(passage) : NULL;
		return;
	case ACTION_REJECT:
		refuse(passage, ANSWER_REJECT, ret);
		return;
	case ACTION_REJECT_HOLD:
		refuse(passage, *passage->item ? ANSWER_REJECT : ANSWER_DEFER, ret);
		return;
	case ACTION_HOLD:
		if (*passage->item) {
			ret->kind = ANSWER_DISCARD;
			return;
		}
		refuse(passage, ANSWER_DEFER, ret);
		return;
	case ACTION_DEFER:
		refuse(passage, ANSWER_DEFER, ret);
		return;
	}
	refuse(passage, ANSWER_DEFER, ret);
}
