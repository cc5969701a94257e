/*
 * The story of a message.
 *
 *     facts      what the bytes, the signature and the registry say  gather()
 *     unlock     of encrypted mail that arrives: what is inside      unlock_message()
 *     plan       what its recipients must get                        addressed_gather()
 *     class      whose mail it is: ours, an official one's, other    class_of()
 *     findings   each check, what stands against it                  check_all()
 *     verdict    the strictest action                                policy_decide()
 *     sealing    sealed, asked again, encrypted: what is made of it  sealing()
 *     keep       the original of what is delivered in clear          keep()
 *     hold       the message on disk at segel-reviewd                hold()
 *     record     decision and evidence on disk before any answer     record()
 *     answer     refuse, drop what is held, or accept with edits     answering()
 *
 * Whatever goes wrong on the way becomes a finding, so that it is decided and recorded like any other.
 */
#include "milter/filter/pipeline.h"

#include <stdio.h>

#include "milter/filter/answering.h"
#include "milter/filter/passage.h"
#include "milter/filter/record.h"
#include "milter/filter/sealing.h"

/*
 * Facts are read in here, so that a process that dies of the message's bytes is known to have. What is read of them later is
 * the list's words (hold.c) and the fields that must go (plan). Not while it is sealed: that waits for the key agent.
 */
static void
read_bytes(struct passage *passage)
{
	const struct gather_from from = passage_sources(passage);
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
	passage_address(passage);
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
	from = passage_sources(passage);
	gather_envelope(&from, &passage->gathered);
}

static struct unlock_from
unlock_sources(const struct passage *passage)
{
	return (struct unlock_from){
		.message = passage->message,
		.dir = role_settings(passage->filter->role, passage->config)->state_dir,
		.gather = passage_sources(passage),
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

	if (!role_opens(passage->filter->role, passage->config) || passage_pretends(passage) || !passage->message->may_open || passage->poison
	    || passage->trouble.kind != ERR_NONE)
		return;
	unlock_message(&from, &passage->gathered, &passage->unlocked);
	if (passage->unlocked.decryption == DECRYPTION_NO_KEY)
		metrics_keyd_error(&passage->filter->metrics);
}

/* What could not be found out of the signer; NULL = nothing, or what was found out says enough. */
static const struct finding *
left_open(const struct passage *passage)
{
	const struct finding *open = NULL;

	for (size_t i = 0; i < passage->findings.n; i++) {
		const struct finding *finding = &passage->findings.at[i];

		if (finding->reason == REASON_STATUS_UNKNOWN || finding->reason == REASON_REG_UNAVAILABLE)
			open = finding;
		else if (passage->config->table.cells[finding->reason][passage->class].action != ACTION_ACCEPT)
			return NULL;
	}
	return open;
}

/*
 * Where only its signature proves what is inside, its signer must be one that the verdict accepts without a word: with any other
 * it is as if it had not opened. Where that could not be found out, it waits, although other mail of its class would pass. What the
 * verdict does not let pass stays encrypted, whatever proves it.
 */
static void
weigh_signature(struct passage *passage)
{
	const struct unlock_from from = unlock_sources(passage);
	const struct finding *open = left_open(passage);

	if (passage->unlocked.decryption != DECRYPTION_DONE || passage->unlocked.ground != GROUND_SIGNATURE || !passage_passes(passage)
	    || (passage->verdict.action == ACTION_ACCEPT && !open))
		return;
	if (open)
		unlock_defer(&passage->gathered, &passage->unlocked, open->evidence);
	else
		unlock_refuse(&from, &passage->gathered, &passage->unlocked);
	passage_check(passage, STAGE_MESSAGE);
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

	if (!*dir || passage->unlocked.decryption != DECRYPTION_DONE || !passage_passes(passage) || passage_pretends(passage))
		return;
	if (originals_keep(dir, passage->message, passage->now, passage->original, &err) == 0)
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
		.authserv_id = passage_authserv_id(passage),
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
	if (unlocked_restore(&passage->unlocked, passage->message, &err) == 0 && hold_message(&request, passage->item, &err) == 0)
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
		.pretend = passage_pretends(passage),
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
	if (!passage_pretends(passage) && passage_passes(passage) && passage_plan(passage) == PLAN_SPLIT)
		metrics_encryption(&passage->filter->metrics, CONTENT_UNKNOWN);
	else if (passage_passes(passage) && passage->encrypted)
		metrics_encryption(&passage->filter->metrics, passage->addressed.plan.cipher);
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
	from = passage_sources(&passage);
	gather_envelope(&from, &passage.gathered);
	passage_check(&passage, STAGE_MAIL);
	if (passage.findings.n > 0 && passage.verdict.action != ACTION_ACCEPT && !passage_pretends(&passage)) {
		record(&passage);
		count(&passage);
	}
	answering(&passage, ANSWER_CONTINUE, ret);
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
	passage_check(&passage, STAGE_MESSAGE);
	weigh_signature(&passage);
	sealing(&passage);
	keep(&passage);
	if (holds(&passage) && !passage_pretends(&passage))
		hold(&passage);
	record(&passage);
	count(&passage); /* before the answer takes the sealed form */
	answering(&passage, ANSWER_ACCEPT, ret);
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
