#include "milter/filter/addressed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "milter/ciphertext.h"
#include "smime/addressees.h"
#include "smime/head.h"

static bool
is_asked_for(const struct addressed_from *from, const struct head *head)
{
	const char *trigger = from->config->encrypt.trigger;

	return from->role == ROLE_SUBMISSION && from->login && *from->login && *trigger && head_find(head, trigger, 0);
}

static struct recipients_from
question(const struct addressed_from *from)
{
	return (struct recipients_from){
		.config = from->config,
		.registry = from->registry,
		.trust = from->trust,
		.trust_why = from->trust_why,
		.sender = from->facts->from.address,
		.now = from->now,
	};
}

static void
plan(const struct addressed_from *from, struct addressed *ret)
{
	const struct plan_request request = {
		.config = from->config,
		.rcpts = ret->recipients.at,
		.n_rcpts = ret->recipients.n,
		.may_split = from->config->encrypt.split && from->role == ROLE_SUBMISSION,
		.ciphertext = ret->ciphertext == CIPHERTEXT_CMS,
	};

	ret->planned = true;
	if (from->n_all == from->n_told) {
		rcpt_plan(&request, &ret->plan);
		return;
	}
	ret->plan = (struct encryption_plan){ .action = PLAN_REFUSE, .reason = REASON_PARSE_LIMIT };
	snprintf(ret->plan.names, sizeof(ret->plan.names), "recipients=%zu most=%zu", from->n_all, from->n_told);
}

/*
 * Which mail server reads a path in an address, and when, is not told everywhere: behind role egress another one may, and for mail
 * without SMTP Postfix gives the address as it was written, and goes on to where '%' leads afterwards.
 */
static struct recipients_told *
told_without_paths(const struct addressed_from *from)
{
	struct recipients_told *told = xcalloc(from->n_told + 1, sizeof(*told));

	for (size_t i = 0; i < from->n_told; i++) {
		told[i] = from->told[i];
		if (from->role != ROLE_SUBMISSION && strpbrk(told[i].argument, "%!"))
			told[i].resolved = NULL;
	}
	return told;
}

static void
gather_sent(const struct addressed_from *from, struct addressed *ret)
{
	AUTO(xfree) struct recipients_told *told = told_without_paths(from);
	struct recipients_from asked = question(from);
	AUTO_ADDRESSEES struct addressees listed = { 0 };
	AUTO_HEAD struct head head = { 0 };

	head_scan(from->bytes, &head);
	addressees_read(&head, &listed);
	asked.listed = (const char *const *)listed.at;
	asked.n_listed = listed.n;
	asked.trigger = is_asked_for(from, &head);
	recipients_gather(&asked, told, from->n_told, &ret->recipients);
	plan(from, ret);
}

static void
gather_leaving(const struct addressed_from *from, struct addressed *ret)
{
	AUTO(xfree) struct recipients_told *told = told_without_paths(from);
	struct recipients_from asked = question(from);

	asked.without_certs = true;
	if (from->n_all == from->n_told && from->n_told)
		recipients_gather(&asked, told, from->n_told, &ret->recipients);
}

void
addressed_gather(const struct addressed_from *from, struct addressed *ret)
{
	const bool sent = from->role == ROLE_SUBMISSION || from->role == ROLE_LOCAL, leaving = from->role == ROLE_EGRESS;
	/* What is beyond a limit is refused for that; reading more of it is what the limit is against. */
	const bool readable = !*from->facts->limit;

	addressed_done(ret);
	if (!leaving && !(sent && from->config->encrypt.use))
		return;
	if (readable)
		ret->ciphertext = ciphertext_of(from->bytes, from->facts);
	if (leaving)
		gather_leaving(from, ret);
	else if (readable)
		gather_sent(from, ret);
}

void
addressed_tell(const struct addressed *addressed, struct policy_input *input)
{
	input->plan = addressed->planned ? &addressed->plan : NULL;
	input->rcpts = addressed->recipients.at;
	input->n_rcpts = addressed->recipients.n;
	input->ciphertext = addressed->ciphertext;
}

bool
addressed_joins(const struct recipients_from *from, const struct recipients_told *next, struct recipients *before)
{
	AUTO_RECIPIENTS struct recipients judged = { .n = 0 };

	recipients_gather(from, next, 1, &judged);
	if (!rcpt_joins(before->at, before->n, judged.at))
		return false;
	recipients_append(before, &judged);
	return true;
}

void
addressed_done(struct addressed *addressed)
{
	encryption_plan_done(&addressed->plan);
	recipients_done(&addressed->recipients);
	*addressed = (struct addressed){ .ciphertext = CIPHERTEXT_UNKNOWN };
}
