/*
 * The story of a message.
 *
 *     facts      what the bytes, the signature and the registry say  gather()
 *     unlock     of encrypted mail that arrives: what is inside      unlock_message()
 *     plan       what its recipients must get                        addressed_gather()
 *     class      whose mail it is: ours, an official one's, other    class_of()
 *     findings   each check, what stands against it                  check_all()
 *     verdict    the strictest action                                policy_decide()
 *     transform  the sealed form; every signature is on record at
 *                the key agent before it is made                     smime_seal()
 *     confirm    the registry again, which may have changed while
 *                the key agent was waited for                        gather_again()
 *     encrypt    to the certificates of the plan; the body itself is
 *                run through the cipher when it is handed over       encrypt()
 *     keep       the original of what is delivered in clear          keep()
 *     hold       the message on disk at segel-reviewd                hold()
 *     record     decision and evidence on disk before any answer     record()
 *     answer     refuse, drop what is held, or accept with edits     answer()
 *
 * Whatever goes wrong on the way becomes a finding, so that it is decided and recorded like any other.
 */
#include "milter/filter/pipeline.h"

#include <stdio.h>
#include <string.h>

#include "milter/filter/addressed.h"
#include "milter/filter/gather.h"
#include "milter/filter/hold.h"
#include "milter/filter/originals.h"
#include "milter/filter/record.h"
#include "milter/filter/results.h"
#include "milter/filter/unlock.h"
#include "policy/check.h"

/* A message on its way through this file. */
struct passage {
	struct filter *filter;
	struct message *message;
	const struct config *config;
	const char *queue_id;
	time_t now;
	struct timespec began;
	const struct trust_held *trust; /* NULL: it could not be had, trust_err says why */
	struct err trust_err;
	struct gathered gathered;
	struct addressed addressed;
	struct unlocked unlocked;
	unsigned char hash[32];         /* poison_hash() */
	bool poison;                    /* nobody has read it */
	enum stage stage;
	enum class class;
	char login[LIMIT_TOKEN_BYTES + 1]; /* who has it sealed: "local:USER" where it came without SMTP */
	struct err trouble; /* why facts are missing; ERR_NONE = none are */
	struct findings findings;
	struct verdict verdict;
	struct sealed *sealed;
	struct encrypted *encrypted; /* fit; its content borrows from `sealed` or the message */
	struct pieces content;
	char item[ITEM_ID_BYTES]; /* of the quarantine; "" = not held */
	char original[ORIGINAL_NAME_BYTES]; /* of decrypt.keep_dir; "" = not kept */
};

static void
decide(struct passage *passage)
{
	passage->verdict = policy_decide(passage->class, &passage->findings, &passage->config->table);
}

static bool
pretends(const struct passage *passage)
{
	return passage->filter->pretend || passage->config->pretend;
}

static struct gather_from
sources(const struct passage *passage)
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

static void
address(struct passage *passage)
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

/*
 * Facts are read in here, so that a process that dies of the message's bytes is known to have. What is read of them later is
 * the list's words (hold.c) and the fields that must go (plan). Not while it is sealed: that waits for the key agent.
 */
static void
read_bytes(struct passage *passage)
{
	const struct gather_from from = sources(passage);
	struct message *message = passage->message;

	if (buf_full(&message->bytes)) {
		if (from.role == ROLE_INBOUND)
			gather_head(&from, buf_slice(&message->bytes), &passage->gathered);
		else
			gather_envelope(&from, &passage->gathered);
		snprintf(passage->gathered.message.limit, sizeof(passage->gathered.message.limit), "message_size");
		passage->gathered.message.size = message->seen;
		return;
	}
	if (gather(&from, buf_slice(&message->bytes), &passage->gathered, &passage->trouble) == -1
	    && passage->trouble.kind == ERR_NONE)
		passage->trouble.kind = ERR_BUG;
	address(passage);
	if (passage->filter->role->seals && passage->gathered.message.from.state == MAILBOX_ONE
	    && passage->gathered.message.outer == LAYER_NONE)
		metrics_lookup(&passage->filter->metrics, passage->gathered.registry.seal.answer);
}

static void
learn(struct passage *passage)
{
	struct poison *poison = passage->filter->poison;
	struct gather_from from;

	passage->trust = trust_watch_ref(passage->message->snapshot->trust, passage->now, &passage->trust_err);
	poison_hash(buf_slice(&passage->message->bytes), passage->hash);
	passage->poison = poison_enter(poison, passage->hash);
	if (!passage->poison) {
		read_bytes(passage);
		poison_leave(poison, passage->hash);
		return;
	}
	from = sources(passage);
	gather_envelope(&from, &passage->gathered);
}

static struct policy_input
input_of(const struct passage *passage, enum stage stage)
{
	const struct gather_from from = sources(passage);
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

static void
check(struct passage *passage, enum stage stage)
{
	const struct message_facts *message = stage == STAGE_MESSAGE ? &passage->gathered.message : NULL;
	struct policy_input input;

	passage->stage = stage;
	name_login(passage);
	passage->class = class_of(passage->filter->role->role, &passage->message->envelope, &passage->gathered.registry, message);
	input = input_of(passage, stage);
	check_all(&input, stage, &passage->findings);
	if (passage->trouble.kind != ERR_NONE)
		finding_add(&passage->findings, REASON_INTERNAL, "%s", passage->trouble.text);
	decide(passage);
}

static struct unlock_from
unlock_sources(const struct passage *passage)
{
	return (struct unlock_from){
		.message = passage->message,
		.gather = sources(passage),
		.queue_id = passage->queue_id,
		.poison = passage->filter->poison,
		.hash = passage->hash,
	};
}

/* Role inbound's mail that arrived encrypted is opened, and judged by what is inside. */
static void
unlock(struct passage *passage)
{
	const struct unlock_from from = unlock_sources(passage);

	if (!role_opens(passage->filter->role, passage->config) || pretends(passage) || !passage->message->may_open || passage->poison
	    || passage->trouble.kind != ERR_NONE)
		return;
	unlock_message(&from, &passage->gathered, &passage->unlocked);
	if (passage->unlocked.decryption == DECRYPTION_NO_KEY)
		metrics_keyd_error(&passage->filter->metrics);
}

/*
 * Where only its signature proves what is inside, its signer must be one that the verdict accepts without a word: with any other
 * it is as if it had not opened. What the verdict does not let pass stays encrypted, whatever proves it.
 */
static void
weigh_signature(struct passage *passage)
{
	const struct unlock_from from = unlock_sources(passage);

	if (passage->unlocked.decryption != DECRYPTION_DONE || passage->unlocked.ground != GROUND_SIGNATURE
	    || passage->verdict.action != ACTION_TAG)
		return;
	unlock_refuse(&from, &passage->gathered, &passage->unlocked);
	check(passage, STAGE_MESSAGE);
}

static enum plan_action
planned(const struct passage *passage)
{
	const struct policy_input input = input_of(passage, STAGE_MESSAGE);

	return plan_of(&input);
}

/* Asks for the signature and builds the sealed form; a failure is one more finding. */
static void
seal(struct passage *passage)
{
	const struct snapshot *snapshot = passage->message->snapshot;
	const struct registry_cert *cert = &passage->gathered.registry.seal.cert;
	const struct sign_context context = {
		.login = passage->login,
		.from = passage->gathered.message.from.address,
		.queue_id = passage->queue_id,
		.session = passage->message->id,
	};
	struct keyd_signer signer = { snapshot->keyd, &context };
	struct slice leaf = { cert->der, cert->der_len };
	const struct seal_request request = {
		.message = buf_slice(&passage->message->bytes),
		.facts = &passage->gathered.message,
		.cert = leaf,
		.prepared = passage->gathered.prepared,
		.signer = keyd_signer_of(&signer),
		.form = (enum seal_form)passage->config->seal.form,
		.encrypted = planned(passage) == PLAN_ENCRYPT,
		.hide_subject = planned(passage) == PLAN_ENCRYPT && passage->addressed.plan.hide_subject,
		.now = passage->now,
	};
	struct err err = { ERR_NONE, "" };

	if (smime_seal(&request, &passage->sealed, &err) == 0)
		return;
	if (err.kind != ERR_BUG)
		metrics_keyd_error(&passage->filter->metrics);
	finding_add(&passage->findings, err.kind == ERR_BUG ? REASON_INTERNAL : REASON_KEY_UNAVAILABLE, "%s", err.text);
	decide(passage);
}

/* A hold counts within a second of segelctl's end; an answer older than this is asked for again. */
enum { ANSWER_AGES_MS = 250 };

/*
 * The key agent may have kept us waiting. A hold or revocation that came meanwhile counts: the registry
 * is asked again, and a seal that would not be made now does not leave.
 */
static void
confirm(struct passage *passage)
{
	const long age = milliseconds_since(&passage->began);
	const enum plan_action sealed_for = planned(passage);
	struct gather_from from;
	unsigned char sealed_with[32];

	if (age < ANSWER_AGES_MS)
		return;
	memcpy(sealed_with, passage->gathered.registry.seal.cert.sha256, sizeof(sealed_with));
	passage->now += age / 1000;
	from = sources(passage);
	gather_again(&from, &passage->gathered);
	address(passage);
	check(passage, STAGE_MESSAGE);
	if (policy_may_seal(passage->class, &passage->findings, &passage->verdict)) {
		if (memcmp(sealed_with, passage->gathered.registry.seal.cert.sha256, sizeof(sealed_with)) != 0)
			finding_add(&passage->findings, REASON_REG_UNAVAILABLE, "another certificate was bound while this one sealed");
		else if (planned(passage) != sealed_for)
			finding_add(&passage->findings, REASON_REG_UNAVAILABLE, "what the recipients must get changed while it was sealed");
		decide(passage);
	}
	if (!policy_may_seal(passage->class, &passage->findings, &passage->verdict))
		seal_free(TAKE(passage->sealed));
}

static bool
may_seal(const struct passage *passage)
{
	const struct policy_input input = input_of(passage, STAGE_MESSAGE);

	return passage->filter->role->seals && !pretends(passage) && wants_seal(&input)
	    && passage->gathered.registry.seal.answer == REGISTRY_FOUND
	    && policy_may_seal(passage->class, &passage->findings, &passage->verdict);
}

static bool
passes(const struct passage *passage)
{
	return passage->verdict.action == ACTION_ACCEPT || passage->verdict.action == ACTION_TAG;
}

static bool
may_encrypt(const struct passage *passage)
{
	return !pretends(passage) && passes(passage) && planned(passage) == PLAN_ENCRYPT;
}

/* What was sealed, or what its author signed in his mail program; where the region lets mail go unsealed, as it is. */
static void
take_content(struct passage *passage)
{
	AUTO_HEAD struct head head = { 0 };

	if (passage->sealed) {
		encrypt_entity(passage->sealed, &passage->content);
		return;
	}
	head_scan(buf_slice(&passage->message->bytes), &head);
	encrypt_entity_of(&head, &passage->content);
}

/* All public-key work is done here; the body goes through the cipher when it is applied. A failure is one more finding. */
static void
encrypt(struct passage *passage)
{
	const struct recipients_encrypt request = {
		.recipients = &passage->addressed.recipients,
		.plan = &passage->addressed.plan,
		.copy = buf_slice(&passage->message->snapshot->copy_certificate),
		.content = &passage->content,
		.now = passage->now,
	};
	struct err err = { ERR_NONE, "" };
	const char *unfit;

	take_content(passage);
	if (recipients_encrypt(&request, &passage->encrypted, &unfit, &err) == -1)
		finding_add(&passage->findings, REASON_INTERNAL, "%s", err.text);
	else if (passage->encrypted->fit == ENCRYPT_FIT)
		return;
	else if (*unfit)
		finding_add(&passage->findings, REASON_ENC_NO_CERT, "recipients=%s certificate=%s", unfit, encrypt_fit_name(passage->encrypted->fit));
	else
		finding_add(&passage->findings, REASON_INTERNAL, "encrypt.copy_certificate: %s", encrypt_fit_name(passage->encrypted->fit));
	encrypt_free(TAKE(passage->encrypted));
	decide(passage);
	if (passes(passage)) /* a setting lets ENC_NO_CERT pass: what was sealed to be encrypted does not leave without */
		passage->verdict = (struct verdict){ ACTION_DEFER, REASON_INTERNAL, NULL };
}

/* The name in our results: the one that a setting gives, or the mail server's own. */
static const char *
authserv_id(const struct passage *passage)
{
	const char *set = passage->config->inbound.authserv_id;

	return *set ? set : passage->message->mta;
}

static bool
holds(const struct passage *passage)
{
	return passage->verdict.action == ACTION_HOLD || passage->verdict.action == ACTION_REJECT_HOLD;
}

/* Of what leaves opened. What should be kept and cannot is deferred. */
static void
keep(struct passage *passage)
{
	const char *dir = passage->config->decrypt.keep_dir;
	struct err err = { ERR_NONE, "" };

	if (!*dir || passage->unlocked.decryption != DECRYPTION_DONE || !passes(passage) || pretends(passage))
		return;
	if (originals_keep(dir, passage->message->id, passage->now, buf_slice(&passage->message->bytes), passage->original, &err) == 0)
		return;
	*passage->original = '\0';
	finding_add(&passage->findings, REASON_STORE_UNAVAILABLE, "%s", err.text);
	passage->verdict = (struct verdict){ ACTION_DEFER, REASON_STORE_UNAVAILABLE, NULL };
}

/* What cannot be held is deferred; what was cut is refused, since it will never be whole. */
static void
hold(struct passage *passage)
{
	const struct hold_request request = {
		.message = passage->message,
		.gathered = &passage->gathered,
		.findings = &passage->findings,
		.verdict = &passage->verdict,
		.class = passage->class,
		.role = passage->filter->role->name,
		.queue_id = passage->queue_id,
		.authserv_id = authserv_id(passage),
		.unparsed = passage->poison,
		.poison = passage->filter->poison,
		.hash = passage->hash,
		.now = passage->now,
	};
	struct err err = { ERR_NONE, "" };

	if (!hold_possible(passage->message)) {
		passage->verdict.action = ACTION_REJECT;
		return;
	}
	if (hold_message(&request, passage->item, &err) == 0)
		return;
	finding_add(&passage->findings, REASON_STORE_UNAVAILABLE, "%s", err.text);
	passage->verdict = (struct verdict){ ACTION_DEFER, REASON_STORE_UNAVAILABLE,
		passage->findings.overflow ? NULL : &passage->findings.at[passage->findings.n - 1] };
}

static void
record(struct passage *passage)
{
	const struct record entry = {
		.message = passage->message,
		.facts = &passage->gathered.message,
		.signature = passage->gathered.verified ? &passage->gathered.signature : NULL,
		.registry = &passage->gathered.registry,
		.item = passage->item,
		.original = passage->original,
		.cert = passage->gathered.registry.seal.answer == REGISTRY_FOUND ? &passage->gathered.registry.seal.cert : NULL,
		.findings = &passage->findings,
		.verdict = &passage->verdict,
		.sealed = passage->sealed,
		.addressed = &passage->addressed,
		.encrypted = passage->encrypted != NULL,
		.unlocked = &passage->unlocked,
		.class = passage->class,
		.login = passage->login,
		.queue_id = passage->queue_id,
		.pretend = pretends(passage),
	};
	struct err err = { ERR_NONE, "" };

	if (record_write(passage->filter->audit, &entry, &err) == 0)
		return;
	finding_add(&passage->findings, REASON_STORE_UNAVAILABLE, "%s", err.text);
	passage->verdict = (struct verdict){ ACTION_DEFER, REASON_STORE_UNAVAILABLE, NULL };
	record_log_only(&entry, &err);
}

static void
count(const struct passage *passage)
{
	const bool leaves_sealed = passage->sealed && passage->verdict.action != ACTION_DEFER;

	metrics_message(&passage->filter->metrics, passage->class, &passage->verdict, &passage->findings,
	    leaves_sealed ? passage->sealed->form : SEAL_UNKNOWN);
	if (!pretends(passage) && passes(passage) && planned(passage) == PLAN_SPLIT)
		metrics_encryption(&passage->filter->metrics, CONTENT_UNKNOWN);
	else if (passes(passage) && passage->encrypted)
		metrics_encryption(&passage->filter->metrics, passage->addressed.plan.cipher);
}

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
		.authserv_id = authserv_id(passage),
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
	const struct policy_input input = input_of(passage, STAGE_MESSAGE);
	AUTO_BUF struct buf results = { 0 };

	buf_init(&results, RESULTS_BYTES);
	results_render(authserv_id(passage), &input, &passage->findings, &results);
	if (passage->unlocked.decryption == DECRYPTION_DONE)
		return plan_opened(passage, head, buf_text(&results));
	return edit_plan_inbound(head, authserv_id(passage), buf_text(&results));
}

static struct edit_plan *
plan_outgoing(struct passage *passage, const struct head *head)
{
	const struct config *config = passage->config;
	const char *sender = passage->gathered.registry.sender;
	/* Also where all that we see stays in clear: an alias behind us may lead to somebody else. */
	const bool split_hears = config->encrypt.split && passage->addressed.recipients.sender.trigger;
	struct outgoing outgoing = {
		.authserv_id = authserv_id(passage),
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
static void
answer(struct passage *passage, enum answer_kind go_on, struct answer *ret)
{
	if (pretends(passage)) {
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

static void
begin(struct passage *passage, struct filter *filter, struct message *message, time_t now, struct answer *ret)
{
	*passage = (struct passage){
		.filter = filter,
		.message = message,
		.config = message->snapshot->config,
		.now = now,
	};
	clock_gettime(CLOCK_MONOTONIC, &passage->began);
	snprintf(ret->id, sizeof(ret->id), "%s", message->id);
}

void
pipeline_mail(struct filter *filter, struct message *message, time_t now, struct answer *ret)
{
	struct gather_from from;
	struct passage passage;

	begin(&passage, filter, message, now, ret);
	if (!filter->role->judges_mail) {
		ret->kind = ANSWER_CONTINUE;
		return;
	}
	from = sources(&passage);
	gather_envelope(&from, &passage.gathered);
	check(&passage, STAGE_MAIL);
	if (passage.findings.n > 0 && passage.verdict.action != ACTION_ACCEPT && !pretends(&passage)) {
		record(&passage);
		count(&passage);
	}
	answer(&passage, ANSWER_CONTINUE, ret);
}

bool
pipeline_opens(const struct filter *filter)
{
	const struct snapshot *snapshot = snapshot_ref(filter->box);
	const bool ret = role_opens(filter->role, snapshot->config);

	snapshot_unref(filter->box, snapshot);
	return ret;
}

bool
pipeline_asks_rcpt(const struct filter *filter)
{
	const struct snapshot *snapshot = snapshot_ref(filter->box);
	const struct config *config = snapshot->config;
	const bool asks = filter->role->role == ROLE_SUBMISSION && config->encrypt.use && !config->encrypt.split && config->encrypt.peers.n > 0;

	snapshot_unref(filter->box, snapshot);
	return asks;
}

static void
set_apart(const struct message *message, struct answer *ret)
{
	ret->kind = ANSWER_APART;
	ret->reason = REASON_ENC_MIXED;
	snprintf(ret->text, sizeof(ret->text), "%s: %s [%s]", reason_word(REASON_ENC_MIXED),
	    reason_text(REASON_ENC_MIXED, (enum language)message->snapshot->config->language), message->id);
}

void
pipeline_rcpt(struct message *message, const char *argument, const char *resolved, time_t now,
    struct answer *ret)
{
	const struct snapshot *snapshot = message->snapshot;
	const struct recipients_told told = { argument, resolved };
	struct recipients_from from = {
		.config = snapshot->config, .registry = snapshot->registry, .sender = message->envelope.sender, .now = now,
	};
	const struct trust_held *trust;
	struct err err = { ERR_NONE, "" };

	ret->kind = ANSWER_CONTINUE;
	if (!snapshot->config->encrypt.use || !encrypt_is_peer(snapshot->config, message->transport.client)
	    || message->n_recipients == LIMIT_RECIPIENTS)
		return;
	trust = trust_watch_ref(snapshot->trust, now, &err);
	from.trust = trust ? trust->trust : NULL;
	from.trust_why = err.text;
	if (!addressed_joins(&from, &told, &message->joined))
		set_apart(message, ret);
	trust_watch_unref(snapshot->trust, trust);
}

void
pipeline_message(struct filter *filter, struct message *message, const char *queue_id, time_t now, struct answer *ret)
{
	struct passage passage;

	begin(&passage, filter, message, now, ret);
	passage.queue_id = queue_id;
	snprintf(ret->queue_id, sizeof(ret->queue_id), "%s", queue_id);

	learn(&passage);
	unlock(&passage);
	check(&passage, STAGE_MESSAGE);
	weigh_signature(&passage);
	if (may_seal(&passage))
		seal(&passage);
	if (passage.sealed)
		confirm(&passage);
	if (may_encrypt(&passage))
		encrypt(&passage);
	keep(&passage);
	if (holds(&passage) && !pretends(&passage))
		hold(&passage);
	record(&passage);
	count(&passage); /* before the answer takes the sealed form */
	answer(&passage, ANSWER_ACCEPT, ret);
	metrics_seconds(&filter->metrics, &passage.began);

	trust_watch_unref(message->snapshot->trust, passage.trust);
	encrypt_free(passage.encrypted);
	pieces_done(&passage.content);
	seal_free(passage.sealed);
	addressed_done(&passage.addressed);
	unlocked_done(&passage.unlocked);
	gathered_done(&passage.gathered);
}

void
pipeline_not_applied(struct filter *filter, const struct answer *answer_given, const char *why)
{
	metrics_not_applied(&filter->metrics);
	record_not_applied(filter->audit, answer_given->queue_id, answer_given->id, why);
}
