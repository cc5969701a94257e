#include "milter/filter/sealing.h"

#include <string.h>

#include "policy/decide.h"

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
		.encrypted = passage_plan(passage) == PLAN_ENCRYPT,
		.hide_subject = passage_plan(passage) == PLAN_ENCRYPT && passage->addressed.plan.hide_subject,
		.now = passage->now,
	};
	struct err err = { ERR_NONE, "" };

	if (smime_seal(&request, &passage->sealed, &err) == 0)
		return;
	if (err.kind != ERR_BUG)
		metrics_keyd_error(&passage->filter->metrics);
	finding_add(&passage->findings, err.kind == ERR_BUG ? REASON_INTERNAL : REASON_KEY_UNAVAILABLE, "%s", err.text);
	passage_decide(passage);
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
	const enum plan_action sealed_for = passage_plan(passage);
	struct gather_from from;
	unsigned char sealed_with[32];

	if (age < ANSWER_AGES_MS)
		return;
	memcpy(sealed_with, passage->gathered.registry.seal.cert.sha256, sizeof(sealed_with));
	passage->now += age / 1000;
	from = passage_sources(passage);
	gather_again(&from, &passage->gathered);
	passage_address(passage);
	passage_check(passage, STAGE_MESSAGE);
	if (policy_may_seal(passage->class, &passage->findings, &passage->verdict)) {
		if (memcmp(sealed_with, passage->gathered.registry.seal.cert.sha256, sizeof(sealed_with)) != 0)
			finding_add(&passage->findings, REASON_REG_UNAVAILABLE, "another certificate was bound while this one sealed");
		else if (passage_plan(passage) != sealed_for)
			finding_add(&passage->findings, REASON_REG_UNAVAILABLE, "what the recipients must get changed while it was sealed");
		passage_decide(passage);
	}
	if (!policy_may_seal(passage->class, &passage->findings, &passage->verdict))
		seal_free(TAKE(passage->sealed));
}

static bool
may_seal(const struct passage *passage)
{
	const struct policy_input input = passage_input(passage, STAGE_MESSAGE);

	return passage->filter->role->seals && !passage_pretends(passage) && wants_seal(&input)
	    && passage->gathered.registry.seal.answer == REGISTRY_FOUND
	    && policy_may_seal(passage->class, &passage->findings, &passage->verdict);
}

static bool
may_encrypt(const struct passage *passage)
{
	return !passage_pretends(passage) && passage_passes(passage) && passage_plan(passage) == PLAN_ENCRYPT;
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
	passage_decide(passage);
	if (passage_passes(passage)) /* a setting lets ENC_NO_CERT pass: what was sealed to be encrypted does not leave without */
		passage->verdict = (struct verdict){ ACTION_DEFER, REASON_INTERNAL, NULL };
}

void
sealing(struct passage *passage)
{
	if (may_seal(passage))
		seal(passage);
	if (passage->sealed)
		confirm(passage);
	if (may_encrypt(passage))
		encrypt(passage);
}
