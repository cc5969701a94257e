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
#include "milter/filter/addressed.h"
#include "milter/filter/role.h"
#include "milter/filter/trust_watch.h"
#include "policy/check.h"
#include "policy/explain.h"
#include "smime/addressees.h"

struct question {
	const struct role_traits *role;
	enum class class;
	struct config *config;
	struct registry *registry;
	struct trust_watch *watch;
	const struct trust_held *trust; /* NULL: it could not be had, and trust_err says why */
	struct err trust_err;
	struct transport_facts transport;
	struct envelope_facts envelope;
	struct gathered gathered;
	struct addressed addressed;
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
	const bool submits = question->role->role == ROLE_SUBMISSION, smtp = question->role->role != ROLE_LOCAL;
	const char *tls = ctl_option(ctl, "tls");

	copy(question->transport.login, sizeof(question->transport.login), ctl_option(ctl, "login"), submits ? from : "");
	copy(question->transport.auth_type, sizeof(question->transport.auth_type), ctl_option(ctl, "auth-type"),
	    submits ? "PLAIN" : "");
	copy(question->transport.tls_version, sizeof(question->transport.tls_version), tls, smtp ? "TLSv1.3" : "none");
	copy(question->transport.cipher, sizeof(question->transport.cipher), ctl_option(ctl, "cipher"),
	    smtp ? "TLS_AES_256_GCM_SHA384" : "");
	copy(question->envelope.sender, sizeof(question->envelope.sender), ctl_option(ctl, "sender"), from);
	question->transport.tls = strcmp(question->transport.tls_version, "none") != 0;
	question->transport.without_smtp = !smtp;
	question->envelope.n_recipients = 1;
	copy(question->transport.client, sizeof(question->transport.client), ctl_option(ctl, "client"), "assumed");
}

static void
print_connection(struct ctl *ctl, const struct question *question)
{
	const struct transport_facts *transport = &question->transport;

	if (question->role->role == ROLE_SUBMISSION) {
		fputs("login:    ", ctl->out);
		ctl_print(ctl, transport->login);
		fprintf(ctl->out, " by ");
		ctl_print(ctl, transport->auth_type);
		fprintf(ctl->out, " over ");
	} else {
		fputs("envelope: ", ctl->out);
		ctl_print(ctl, question->envelope.sender);
		fprintf(ctl->out, " over ");
	}
	ctl_print(ctl, transport->tls_version);
	fprintf(ctl->out, "%s\n", ctl_option(ctl, "login") ? "" : " (assumed; see --login --auth-type --tls --sender --client)");
}

/* What each must get, and what becomes of all of them together. */
static void
print_recipients(struct ctl *ctl, const struct question *question)
{
	const struct encryption_plan *plan = &question->addressed.plan;
	const struct recipients *recipients = &question->addressed.recipients;

	for (size_t i = 0; i < recipients->n; i++) {
		const struct rcpt *rcpt = &recipients->at[i];

		fprintf(ctl->out, "to:       %s ", level_name(rcpt->level));
		ctl_print(ctl, *rcpt->address.address ? rcpt->address.address : rcpt->address.why);
		if (question->addressed.planned) {
			fputs(rcpt->hidden ? " (hidden): " : ": ", ctl->out);
			ctl_print(ctl, rcpt->why);
		}
		fputc('\n', ctl->out);
	}
	if (question->addressed.planned) {
		fprintf(ctl->out, "encrypt:  %s ", plan_action_name(plan->action));
		ctl_print(ctl, plan->action == PLAN_ENCRYPT ? content_cipher_name(plan->cipher) : plan->names);
		fputc('\n', ctl->out);
	}
}

/* What was found out about the signature; nothing about mail that has none. */
static void
print_signature(struct ctl *ctl, const struct question *question)
{
	const struct gathered *gathered = &question->gathered;
	const struct signature_facts *signature = &gathered->signature;
	const struct chain_facts *chain = &signature->chain;

	if (!gathered->verified || (signature->state == SIGNATURE_NONE && signature->coverage == COVERAGE_NONE))
		return;
	fprintf(ctl->out, "signed:   %s, coverage %s ", signature_state_name(signature->state), coverage_name(signature->coverage));
	ctl_print(ctl, signature->why);
	fputc('\n', ctl->out);
	if (!signature->has_signer)
		return;
	fputs("signer:   ", ctl->out);
	ctl_print(ctl, signature->signer.subject);
	fprintf(ctl->out, "\nchain:    %s ", chain_state_name(chain->state));
	ctl_print(ctl, chain->why);
	fprintf(ctl->out, "\nrevoked:  %s ", revocation_state_name(chain->revocation));
	ctl_print(ctl, chain->revocation_why);
	fputs("\nregistry: ", ctl->out);
	ctl_print(ctl, gathered->registry.signer.why);
	fputc('\n', ctl->out);
}

/* What only the key agent could tell, which is not asked here: it would put that on record. */
static void
print_encrypted(struct ctl *ctl, const struct question *question)
{
	const struct gathered *gathered = &question->gathered;

	if (question->role->role == ROLE_INBOUND && question->config->decrypt.use && gathered->verified && gathered->signature.encrypted)
		fputs("decrypt:  not tried here; on arrival it is opened, and judged by what is inside, where every recipient is entitled and segel-keyd "
		    "has the key\n", ctl->out);
}

/* The recipients that are named; else those in To and Cc. An envelope may have others. */
static void
look_at_recipients(struct ctl *ctl, struct question *question, struct slice message)
{
	struct recipients_told told[LIMIT_ADDRESSEES];
	struct addressed_from from = {
		.role = question->role->role,
		.config = question->config,
		.registry = question->registry,
		.trust = question->trust ? question->trust->trust : NULL,
		.trust_why = question->trust_err.text,
		.bytes = message,
		.facts = &question->gathered.message,
		.login = question->transport.login,
		.told = told,
		.now = ctl->now,
	};
	AUTO_ADDRESSEES struct addressees listed = { 0 };
	AUTO_HEAD struct head head = { 0 };
	const char *named;

	while (from.n_told < N_ELEMENTS(told) && (named = ctl_option_nth(ctl, "recipient", from.n_told)))
		told[from.n_told++] = (struct recipients_told){ .argument = named };
	head_scan(message, &head);
	if (from.n_told == 0 && !*from.facts->limit)
		addressees_read(&head, &listed);
	for (size_t i = 0; i < listed.n; i++)
		told[from.n_told++] = (struct recipients_told){ .argument = listed.at[i] };
	from.n_all = from.n_told;
	addressed_gather(&from, &question->addressed);
}

static struct gather_from
sources(const struct question *question, time_t now)
{
	return (struct gather_from){
		.role = question->role->role,
		.registry = question->registry,
		.trust = question->trust ? question->trust->trust : NULL,
		.trust_why = question->trust_err.text,
		.transport = &question->transport,
		.envelope = &question->envelope,
		.now = now,
	};
}

static void
print_facts(struct ctl *ctl, const struct question *question)
{
	const struct message_facts *message = &question->gathered.message;
	const struct registry_found *seal = &question->gathered.registry.seal;

	fprintf(ctl->out, "class:    %s\n", class_name(question->class));
	print_connection(ctl, question);
	fprintf(ctl->out, "from:     %s ", mailbox_state_name(message->from.state));
	ctl_print(ctl, message->from.address);
	fprintf(ctl->out, "\nmime:     %s %s\nlayer:    %s\nbody:     %s\nkeys:     %s\n", mime_state_name(message->mime),
	    message->mime_why, layer_name(message->outer), body_form_name(message->form), material_name(message->material));
	print_signature(ctl, question);
	print_encrypted(ctl, question);
	print_recipients(ctl, question);
	if (message->outer == LAYER_NONE && *seal->why) {
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
	const struct gather_from from = sources(question, now);
	struct policy_input input = gather_input(&from, &question->gathered, true);

	input.class = question->class;
	input.config = question->config;
	addressed_tell(&question->addressed, &input);
	check_all(&input, STAGE_MESSAGE, &ret->findings);
	ret->verdict = policy_decide(question->class, &ret->findings, &question->config->table);
	ret->seals = wants_seal(&input) && question->gathered.registry.seal.answer == REGISTRY_FOUND
	    && policy_may_seal(question->class, &ret->findings, &ret->verdict);
}

static void
print_judgement(struct ctl *ctl, const struct question *question, const struct judgement *judgement)
{
	AUTO_BUF struct buf text = { 0 };

	buf_init(&text, 64 * 1024);
	explain_verdict(question->class, &judgement->findings, &question->config->table, &judgement->verdict,
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
	json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:b}", "class", class_name(question->class), "login",
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
	ret->watch = trust_watch_new(ret->config);
	ret->trust = trust_watch_ref(ret->watch, ctl->now, &ret->trust_err);
	return CTL_OK;
}

/* Twice: what is assumed of the connection starts from the message's From. */
static int
look(struct ctl *ctl, struct question *question, struct slice message, struct err *err)
{
	struct gather_from from = sources(question, ctl->now);
	char address[LIMIT_ADDRESS_BYTES + 1];

	if (gather(&from, message, &question->gathered, err) == -1)
		return -1;
	memcpy(address, question->gathered.message.from.address, sizeof(address));
	gathered_done(&question->gathered);
	assume(ctl, question, address);
	if (gather(&from, message, &question->gathered, err) == -1)
		return -1;
	question->class = class_of(question->role->role, &question->envelope, &question->gathered.registry,
	    &question->gathered.message);
	look_at_recipients(ctl, question, message);
	return 0;
}

static enum ctl_exit
explain_message(struct ctl *ctl, struct question *question)
{
	AUTO_BUF struct buf message = { 0 };
	enum ctl_exit result;
	struct err err;

	buf_init(&message, LIMIT_MESSAGE_BYTES);
	if (ctl_read_message(ctl_arg(ctl, 0), &message, &err) == -1 || look(ctl, question, buf_slice(&message), &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	result = answer(ctl, question);
	gathered_done(&question->gathered);
	addressed_done(&question->addressed);
	return result;
}

static enum ctl_exit
explain_file(struct ctl *ctl)
{
	const char *role = ctl_option(ctl, "role");
	struct question question = { .role = role_find(role ? role : "submission") };
	enum ctl_exit result;

	if (!question.role)
		return ctl_fail(ctl, CTL_USAGE, "--role '%s' is unknown; wanted submission, inbound, local or egress", role);
	result = open_question(ctl, &question);
	if (result == CTL_OK)
		result = explain_message(ctl, &question);
	if (question.watch)
		trust_watch_unref(question.watch, question.trust);
	trust_watch_free(question.watch);
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
	{ .name = "role", .meta = "ROLE", .help = "what it would come through: submission (usual), inbound, local or egress" },
	{ .name = "login", .meta = "LOGIN", .help = "the login it would come from (the From address)" },
	{ .name = "sender", .meta = "ADDRESS", .help = "the envelope sender (the From address)" },
	{ .name = "recipient", .meta = "ADDRESS", .help = "who would get it (those in To and Cc)", .many = true },
	{ .name = "tls", .meta = "VERSION", .help = "TLS version of the connection, or none (TLSv1.3)" },
	{ .name = "cipher", .meta = "NAME", .help = "cipher of the connection (TLS_AES_256_GCM_SHA384)" },
	{ .name = "client", .meta = "ADDRESS", .help = "address of the client, for tls.rules" },
	{ .name = "auth-type", .meta = "MECHANISM", .help = "login mechanism (PLAIN)" },
	{ .name = NULL },
};

const struct ctl_command ctl_explain_commands[] = {
	{ "", CTL_READS, { "[FILE|ID]" }, options,
	  "what would happen to the message in FILE, or what did to the one with this queue id (or the id its sender saw, or item of the quarantine)", explain },
	{ .run = NULL },
};
