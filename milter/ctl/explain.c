/*
 * segelctl explain: what would happen to the message in a file, or what did happen to one that is
 * on record, and why. Asks the registry or the records; signs nothing, records nothing.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "milter/ctl/crlf.h"
#include "milter/ctl/ctl.h"
#include "milter/ctl/history.h"
#include "milter/ctl/nouns.h"
#include "milter/filter/gather.h"
#include "policy/check.h"
#include "policy/explain.h"

struct question {
	struct config *config;
	struct registry *registry;
	struct transport_facts transport;
	struct envelope_facts envelope;
	struct gathered gathered;
};

static void
copy(char *ret, size_t room, const char *given, const char *assumed)
{
	snprintf(ret, room, "%s", given ? given : assumed);
}

/* What no file holds: the connection. Assumed as for a well-behaved client, and said so. */
static void
assume(struct ctl *ctl, struct question *question, const char *from)
{
	const char *tls = ctl_option(ctl, "tls");

	copy(question->transport.login, sizeof(question->transport.login), ctl_option(ctl, "login"), from);
	copy(question->transport.auth_type, sizeof(question->transport.auth_type), ctl_option(ctl, "auth-type"), "PLAIN");
	copy(question->transport.tls_version, sizeof(question->transport.tls_version), tls, "TLSv1.3");
	copy(question->envelope.sender, sizeof(question->envelope.sender), ctl_option(ctl, "sender"), from);
	question->transport.tls = strcmp(question->transport.tls_version, "none") != 0;
	question->envelope.n_recipients = 1;
	snprintf(question->transport.client, sizeof(question->transport.client), "assumed");
}

static void
print_facts(struct ctl *ctl, const struct question *question)
{
	const struct message_facts *message = &question->gathered.message;
	const struct registry_found *seal = &question->gathered.registry.seal;

	fprintf(ctl->out, "class:    submission\nlogin:    ");
	ctl_print(ctl, question->transport.login);
	fprintf(ctl->out, " by %s over %s%s\n", question->transport.auth_type, question->transport.tls_version,
	    ctl_option(ctl, "login") ? "" : " (assumed; see --login --auth-type --tls --sender)");
	fprintf(ctl->out, "from:     %s ", mailbox_state_name(message->from.state));
	ctl_print(ctl, message->from.address);
	fprintf(ctl->out, "\nmime:     %s %s\nlayer:    %s\nbody:     %s\nkeys:     %s\n", mime_state_name(message->mime),
	    message->mime_why, layer_name(message->outer), body_form_name(message->form), material_name(message->material));
	if (message->outer == LAYER_NONE) {
		fprintf(ctl->out, "registry: ");
		ctl_print(ctl, seal->why);
		fputc('\n', ctl->out);
	}
}

/* The verdict on the gathered facts. */
struct judgement {
	struct findings findings;
	struct verdict verdict;
	bool seals;
};

static void
judge(const struct question *question, time_t now, struct judgement *ret)
{
	const struct policy_input input = {
		.class = CLASS_SUBMISSION,
		.config = question->config,
		.transport = &question->transport,
		.envelope = &question->envelope,
		.message = &question->gathered.message,
		.registry = &question->gathered.registry,
		.now = now,
	};

	check_all(&input, STAGE_MESSAGE, &ret->findings);
	ret->verdict = policy_decide(CLASS_SUBMISSION, &ret->findings, &question->config->table);
	ret->seals = policy_may_seal(CLASS_SUBMISSION, &ret->findings, &ret->verdict)
	    && question->gathered.message.outer == LAYER_NONE;
}

static void
print_judgement(struct ctl *ctl, const struct question *question, const struct judgement *judgement)
{
	AUTO_BUF struct buf text = { 0 };

	buf_init(&text, 64 * 1024);
	explain_verdict(CLASS_SUBMISSION, &judgement->findings, &question->config->table, &judgement->verdict,
	    (enum language)question->config->language, &text);
	fputs(buf_text(&text), ctl->out);
	fprintf(ctl->out, "sealed:   %s\n", judgement->seals ? "yes, if the key agent signs" : "no");
}

static json_t *
findings_json(const struct findings *findings)
{
	json_t *array = json_array();

	for (size_t i = 0; i < findings->n; i++)
		json_array_append_new(array, json_pack("{s:s, s:s}", "finding", reason_word(findings->at[i].reason), "evidence",
		    findings->at[i].evidence));
	return array;
}

static int
print_json(struct ctl *ctl, const struct question *question, const struct judgement *judgement)
{
	const struct message_facts *message = &question->gathered.message;
	const struct transport_facts *transport = &question->transport;
	json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:b}", "class", "submission", "login",
	    transport->login, "auth_type", transport->auth_type, "tls", transport->tls_version, "from",
	    message->from.address, "mime", mime_state_name(message->mime), "layer", layer_name(message->outer), "body",
	    body_form_name(message->form), "keys", material_name(message->material), "registry", question->gathered.registry.seal.why, "action",
	    action_name(judgement->verdict.action), "findings", findings_json(&judgement->findings), "sealed",
	    judgement->seals);

	if (!object)
		return -1; /* an option that is no UTF-8 */
	json_dumpf(object, ctl->out, JSON_INDENT(2));
	fputc('\n', ctl->out);
	json_decref(object);
	return 0;
}

static enum ctl_exit
answer(struct ctl *ctl, const struct question *question)
{
	struct judgement judgement;

	judge(question, ctl->now, &judgement);
	if (ctl->json && print_json(ctl, question, &judgement) == -1)
		return ctl_fail(ctl, CTL_USAGE, "an option's value is no UTF-8");
	if (!ctl->json) {
		print_facts(ctl, question);
		print_judgement(ctl, question, &judgement);
	}
	return judgement.verdict.action == ACTION_ACCEPT || judgement.verdict.action == ACTION_TAG ? CTL_OK : CTL_FALSE;
}

static enum ctl_exit
open_question(struct ctl *ctl, struct question *ret)
{
	AUTO_BUF struct buf problems = { 0 };
	AUTO(xfree) char *registry = NULL;
	struct err err;

	buf_init(&problems, 64 * 1024);
	if (config_load(ctl->config_file ? ctl->config_file : CONFIG_FILE, &ret->config, &problems) == -1) {
		fputs(buf_text(&problems), ctl->err);
		return CTL_UNAVAILABLE;
	}
	registry = ctl_registry_file(ctl);
	if (!registry)
		return CTL_UNAVAILABLE;
	if (registry_open(registry, (int)ret->config->registry.timeout, &ret->registry, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	return CTL_OK;
}

/* The From that the connection's assumptions start from. */
static int
first_look(struct question *question, struct slice message, time_t now, char *from, struct err *err)
{
	if (gather(question->registry, NULL, message, &question->transport, &question->envelope, now, &question->gathered,
		err) == -1)
		return -1;
	memcpy(from, question->gathered.message.from.address, sizeof(question->gathered.message.from.address));
	gathered_done(&question->gathered);
	return 0;
}

static enum ctl_exit
explain_file(struct ctl *ctl)
{
	struct question question = { .config = NULL };
	char from[LIMIT_ADDRESS_BYTES + 1];
	AUTO_BUF struct buf message = { 0 };
	struct err err;
	enum ctl_exit result = open_question(ctl, &question);

	buf_init(&message, LIMIT_MESSAGE_BYTES);
	if (result == CTL_OK && ctl_read_message(ctl_arg(ctl, 0), &message, &err) == -1)
		result = ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	if (result == CTL_OK && first_look(&question, buf_slice(&message), ctl->now, from, &err) == -1)
		result = ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	if (result == CTL_OK) {
		assume(ctl, &question, from);
		if (gather(question.registry, NULL, buf_slice(&message), &question.transport, &question.envelope, ctl->now,
			&question.gathered, &err) == -1)
			result = ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	}
	if (result == CTL_OK) {
		result = answer(ctl, &question);
		gathered_done(&question.gathered);
	}
	registry_close(question.registry);
	config_free(question.config);
	return result;
}

/* A word that names no file is the id of a message on record. */
static enum ctl_exit
explain(struct ctl *ctl)
{
	const char *id = ctl_option(ctl, "queue-id"), *word = ctl_arg(ctl, 0);

	if (id && word)
		return ctl_fail(ctl, CTL_USAGE, "give a file, or --queue-id, not both");
	if (id)
		return history_explain(ctl, id);
	if (!word)
		return ctl_fail(ctl, CTL_USAGE, "wanted a message file ('-' is standard input), or a queue id");
	if (strcmp(word, "-") == 0 || strchr(word, '/') || access(word, F_OK) == 0)
		return explain_file(ctl);
	return history_explain(ctl, word);
}

static const struct ctl_option options[] = {
	{ .name = "queue-id", .meta = "ID", .help = "the message on record under this id, even where a file is called so" },
	{ .name = "login", .meta = "LOGIN", .help = "the login it would come from (the From address)" },
	{ .name = "sender", .meta = "ADDRESS", .help = "the envelope sender (the From address)" },
	{ .name = "tls", .meta = "VERSION", .help = "TLS version of the connection, or none (TLSv1.3)" },
	{ .name = "auth-type", .meta = "MECHANISM", .help = "login mechanism (PLAIN)" },
	{ .name = NULL },
};

const struct ctl_command ctl_explain_commands[] = {
	{ "", CTL_READS, { "[FILE|ID]" }, options,
	  "what would happen to the message in FILE, or what did to the one with this queue id (or the id its sender saw)", explain },
	{ .run = NULL },
};
