#include "milter/filter/addressed.h"

#include <stdio.h>
#include <stdlib.h>

#include "milter/ciphertext.h"
#include "smime/addressees.h"
#include "smime/head.h"

static struct recipients_from
recipients_of(const struct addressed_from *from)
{
	const struct snapshot *snapshot = from->message->snapshot;

	return (struct recipients_from){
		.config = snapshot->config,
		.registry = snapshot->registry,
		.trust = from->trust,
		.trust_why = from->trust_why,
		.sender = from->facts ? from->facts->from.address : from->message->envelope.sender,
		.now = from->now,
	};
}

static bool
is_asked_for(const struct addressed_from *from, const struct head *head)
{
	const char *trigger = from->message->snapshot->config->encrypt.trigger;

	return from->role == ROLE_SUBMISSION && *from->message->transport.login && *trigger && head_find(head, trigger, 0);
}

static void
gather_recipients(const struct addressed_from *from, const struct head *head, struct recipients *ret)
{
	const struct message *message = from->message;
	struct recipients_from asked = recipients_of(from);
	AUTO(xfree) struct recipients_told *told = xcalloc(message->n_recipients + 1, sizeof(*told));
	AUTO_ADDRESSEES struct addressees listed = { 0 };

	addressees_read(head, &listed);
	for (size_t i = 0; i < message->n_recipients; i++)
		told[i] = (struct recipients_told){ message->recipients[i].address, message->recipients[i].resolved };
	asked.listed = (const char *const *)listed.at;
	asked.n_listed = listed.n;
	asked.trigger = is_asked_for(from, head);
	recipients_gather(&asked, told, message->n_recipients, ret);
}

static void
plan(const struct addressed_from *from, struct addressed *ret)
{
	const struct message *message = from->message;
	const struct config *config = message->snapshot->config;
	const struct plan_request request = {
		.config = config,
		.rcpts = ret->recipients.at,
		.n_rcpts = ret->recipients.n,
		.may_split = config->encrypt.split && from->role == ROLE_SUBMISSION,
		.ciphertext = ret->ciphertext == CIPHERTEXT_CMS,
	};

	if (message->envelope.n_recipients == message->n_recipients) {
		rcpt_plan(&request, &ret->plan);
		return;
	}
	ret->plan = (struct encryption_plan){ .action = PLAN_REFUSE, .reason = REASON_PARSE_LIMIT };
	snprintf(ret->plan.names, sizeof(ret->plan.names), "recipients=%zu most=%zu", message->envelope.n_recipients, message->n_recipients);
}

void
addressed_gather(const struct addressed_from *from, struct addressed *ret)
{
	AUTO_HEAD struct head head = { 0 };
	const struct slice bytes = buf_slice(&from->message->bytes);

	addressed_done(ret);
	if (!from->message->snapshot->config->encrypt.use || (from->role != ROLE_SUBMISSION && from->role != ROLE_LOCAL))
		return;
	head_scan(bytes, &head);
	if (*from->facts->limit || head.limit || head.why)
		return;
	ret->asked = true;
	ret->ciphertext = ciphertext_of(bytes, from->facts);
	gather_recipients(from, &head, &ret->recipients);
	plan(from, ret);
}

bool
addressed_joins(const struct addressed_from *from, struct recipients *before, const char *argument, const char *resolved)
{
	const struct recipients_from asked = recipients_of(from);
	const struct recipients_told told = { argument, resolved };
	AUTO_RECIPIENTS struct recipients next = { .n = 0 };

	recipients_gather(&asked, &told, 1, &next);
	if (!rcpt_joins(before->at, before->n, next.at))
		return false;
	recipients_append(before, &next);
	return true;
}

void
addressed_done(struct addressed *addressed)
{
	encryption_plan_done(&addressed->plan);
	recipients_done(&addressed->recipients);
	*addressed = (struct addressed){ .ciphertext = CIPHERTEXT_UNKNOWN };
}
