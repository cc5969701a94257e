#include "milter/filter/passage.h"

#include <stdio.h>
#include <string.h>

#include "policy/check.h"

void
passage_decide(struct passage *passage)
{
	passage->verdict = policy_decide(passage->class, &passage->findings, &passage->config->table);
}

bool
passage_pretends(const struct passage *passage)
{
	return passage->filter->pretend || passage->config->pretend;
}

struct gather_from
passage_sources(const struct passage *passage)
{
	const struct message *message = passage->message;

	return (struct gather_from){
		.role = passage->filter->role->role,
		.registry = message->snapshot->registry,
		.trust = passage->trust ? passage->trust->trust : NULL,
		.trust_why = passage->trust_err.text,
		.replay = passage->filter->replay,
		.set = message->snapshot->prepared,
		.transport = &message->transport,
		.envelope = &message->envelope,
		.now = passage->now,
	};
}

void
passage_address(struct passage *passage)
{
	const struct message *message = passage->message;
	AUTO(xfree) struct recipients_told *told = xcalloc(message->n_recipients + 1, sizeof(*told));
	const struct addressed_from from = {
		.role = passage->filter->role->role,
		.config = passage->config,
		.registry = message->snapshot->registry,
		.trust = passage->trust ? passage->trust->trust : NULL,
		.trust_why = passage->trust_err.text,
		.bytes = buf_slice(&message->bytes),
		.facts = &passage->gathered.message,
		.login = message->transport.login,
		.told = told,
		.n_told = message->n_recipients,
		.n_all = message->envelope.n_recipients,
		.now = passage->now,
	};

	for (size_t i = 0; i < message->n_recipients; i++)
		told[i] = (struct recipients_told){ message->recipients[i].address, message->recipients[i].resolved };
	addressed_gather(&from, &passage->addressed);
}

struct policy_input
passage_input(const struct passage *passage, enum stage stage)
{
	const struct gather_from from = passage_sources(passage);
	struct policy_input input = gather_input(&from, &passage->gathered, stage == STAGE_MESSAGE);

	input.class = passage->class;
	input.config = passage->config;
	input.poison = passage->poison;
	input.decryption = passage->unlocked.decryption;
	input.decryption_why = passage->unlocked.why;
	if (stage == STAGE_MESSAGE)
		addressed_tell(&passage->addressed, &input);
	return input;
}

static void
name_login(struct passage *passage)
{
	const struct local_sender_setting *listed;

	if (passage->filter->role->role != ROLE_LOCAL) {
		snprintf(passage->login, sizeof(passage->login), "%s", passage->message->transport.login);
		return;
	}
	listed = local_sender(passage->config, passage->message->envelope.sender, passage->gathered.message.from.address);
	if (listed)
		snprintf(passage->login, sizeof(passage->login), "local:%s", listed->user);
}

void
passage_check(struct passage *passage, enum stage stage)
{
	const struct message_facts *message = stage == STAGE_MESSAGE ? &passage->gathered.message : NULL;
	struct policy_input input;

	passage->stage = stage;
	name_login(passage);
	passage->class = class_of(passage->filter->role->role, &passage->message->envelope, &passage->gathered.registry, message);
	input = passage_input(passage, stage);
	check_all(&input, stage, &passage->findings);
	if (passage->trouble.kind != ERR_NONE)
		finding_add(&passage->findings, REASON_INTERNAL, "%s", passage->trouble.text);
	passage_decide(passage);
}

enum plan_action
passage_plan(const struct passage *passage)
{
	const struct policy_input input = passage_input(passage, STAGE_MESSAGE);

	return plan_of(&input);
}

bool
passage_passes(const struct passage *passage)
{
	return passage->verdict.action == ACTION_ACCEPT || passage->verdict.action == ACTION_TAG;
}

/* The name in our results: the one that a setting gives, or the mail server's own. */
const char *
passage_authserv_id(const struct passage *passage)
{
	const char *set = passage->config->inbound.authserv_id;

	return *set ? set : passage->message->mta;
}
