#include "policy/check_egress.h"

#include "policy/pattern.h"
#include "policy/table.h"

/* Nobody read on; POISON or PARSE_LIMIT speaks for it. */
static bool
is_unread(const struct policy_input *input)
{
	return input->poison || *input->message->limit;
}

/* Mail without SMTP that is not sealed for anybody is no official mail. */
static bool
is_official_mail(const struct policy_input *input)
{
	return input->class != CLASS_LOCAL || local_sender(input->config, input->envelope->sender, input->message->from.address);
}

static bool
is_planned(const struct policy_input *input)
{
	return input->config->encrypt.use && !is_unread(input) && is_official_mail(input);
}

enum plan_action
plan_of(const struct policy_input *input)
{
	if (!is_planned(input))
		return PLAN_CLEAR;
	return input->plan ? input->plan->action : PLAN_UNKNOWN;
}

/* A setting lets mail pass in which this is found. */
static bool
is_softened(const struct policy_input *input, enum reason reason)
{
	return action_rank(input->config->table.cells[reason][input->class].action) < action_rank(ACTION_DEFER);
}

static enum reason
reason_unread(const struct policy_input *input)
{
	return input->poison ? REASON_POISON : REASON_PARSE_LIMIT;
}

/*
 * Reasons that others raise as well may have been softened for their sake: who gets mail in clear, encrypt.rules alone says. So
 * where mail would pass for such a setting, that it must not is a finding of its own.
 */
static void
stand_firm(const struct policy_input *input, enum reason reason, struct findings *findings)
{
	if (is_softened(input, reason))
		finding_add(findings, REASON_INTERNAL, "policy lets %s pass, and what must be encrypted would leave in clear", reason_word(reason));
}

void
check_encryption(const struct policy_input *input, struct findings *findings)
{
	const struct encryption_plan *plan = input->plan;

	if (input->config->encrypt.use && is_unread(input) && is_official_mail(input))
		stand_firm(input, reason_unread(input), findings);
	if (!is_planned(input))
		return;
	if (!plan) {
		finding_add(findings, REASON_INTERNAL, "recipients not looked at");
		return;
	}
	switch (plan->action) {
	case PLAN_CLEAR:
	case PLAN_ENCRYPT:
	case PLAN_SPLIT:
		return;
	case PLAN_REFUSE:
	case PLAN_UNKNOWN:
		finding_add(findings, plan->reason, "%s", plan->names);
		stand_firm(input, plan->reason, findings);
		return;
	}
	finding_add(findings, REASON_INTERNAL, "plan %d", (int)plan->action);
}

/* The first recipient of this level, and how many more there are; NULL = none. */
static const struct rcpt *
find_level(const struct policy_input *input, enum level level, size_t *n_more)
{
	const struct rcpt *first = NULL;

	*n_more = 0;
	for (size_t i = 0; i < input->n_rcpts; i++) {
		if (input->rcpts[i].level != level)
			continue;
		if (first)
			(*n_more)++;
		else
			first = &input->rcpts[i];
	}
	return first;
}

static void
add_about(struct findings *findings, enum reason reason, const struct rcpt *rcpt, size_t n_more)
{
	const char *name = *rcpt->address.address ? rcpt->address.address : rcpt->address.why;

	if (n_more)
		finding_add(findings, reason, "recipients=%.160s and %zu more", name, n_more);
	else
		finding_add(findings, reason, "recipients=%.160s", name);
}

void
check_claim(const struct policy_input *input, struct findings *findings)
{
	const struct rcpt *must;
	size_t n_more;

	if (!is_planned(input) || input->message->outer != LAYER_ENCRYPTED || input->ciphertext == CIPHERTEXT_CMS)
		return;
	must = find_level(input, LEVEL_MUST, &n_more);
	if (input->ciphertext == CIPHERTEXT_UNKNOWN)
		finding_add(findings, REASON_INTERNAL, "encryption not looked at");
	else if (must)
		add_about(findings, REASON_ENC_REQUIRED, must, n_more);
}

/* Nobody can say that it is encrypted. */
static bool
may_be_read_by_all(const struct policy_input *input)
{
	size_t n_more;

	return input->rcpts && input->n_rcpts && !find_level(input, LEVEL_FORBID, &n_more) && !find_level(input, LEVEL_MUST, &n_more)
	    && !find_level(input, LEVEL_UNKNOWN, &n_more);
}

void
check_clear(const struct policy_input *input, struct findings *findings)
{
	const struct rcpt *rcpt;
	size_t n_more;

	if (!input->config->encrypt.use)
		return;
	if (is_unread(input)) {
		if (!may_be_read_by_all(input))
			stand_firm(input, reason_unread(input), findings);
		return;
	}
	if (!input->rcpts || input->n_rcpts == 0) {
		finding_add(findings, REASON_INTERNAL, "recipients not looked at");
		return;
	}
	rcpt = find_level(input, LEVEL_FORBID, &n_more);
	if (rcpt) {
		add_about(findings, rcpt->address.form == RCPT_FORM_PLAIN ? REASON_RCPT_FORBIDDEN : REASON_RCPT_AMBIGUOUS, rcpt, n_more);
		return;
	}
	if (input->ciphertext == CIPHERTEXT_CMS)
		return;
	rcpt = find_level(input, LEVEL_MUST, &n_more);
	if (rcpt && input->ciphertext == CIPHERTEXT_UNKNOWN)
		finding_add(findings, REASON_INTERNAL, "encryption not looked at");
	else if (rcpt)
		add_about(findings, REASON_ENC_REQUIRED, rcpt, n_more);
	else if ((rcpt = find_level(input, LEVEL_UNKNOWN, &n_more))) {
		add_about(findings, REASON_REG_UNAVAILABLE, rcpt, n_more);
		stand_firm(input, REASON_REG_UNAVAILABLE, findings);
	}
}

static bool
is_listed(const struct text_list *patterns, const char *address)
{
	for (size_t i = 0; i < patterns->n; i++)
		if (pattern_fits(patterns->at[i], address))
			return true;
	return false;
}

/* Whether the seal is that of the right one, the checks of the signature say. */
static bool
is_sealed(const struct signature_facts *signature)
{
	return signature && signature->state == SIGNATURE_GOOD && signature->coverage == COVERAGE_WHOLE;
}

/* Its seal may lie inside, where nobody without the key sees it. Signatures around an encryption are there to be judged. */
static bool
is_closed(const struct policy_input *input)
{
	return input->message->outer == LAYER_ENCRYPTED && input->ciphertext == CIPHERTEXT_CMS;
}

/* A domain that cannot be compared with ours may be read as one of them. */
static bool
must_seal(enum domain_answer domain)
{
	switch (domain) {
	case DOMAIN_OWN:
	case DOMAIN_ODD:
		return true;
	case DOMAIN_NONE:
	case DOMAIN_SHARED:
	case DOMAIN_PARTNER:
	case DOMAIN_UNAVAILABLE:
		return false;
	}
	return true;
}

void
check_sealed(const struct policy_input *input, struct findings *findings)
{
	const struct mailbox_facts *from = &input->message->from;

	if (is_unread(input) || from->state != MAILBOX_ONE || is_listed(&input->config->egress.unsealed, from->address))
		return;
	if (input->registry->from_domain == DOMAIN_UNAVAILABLE)
		finding_add(findings, REASON_REG_UNAVAILABLE, "from=%s", from->address);
	else if (must_seal(input->registry->from_domain) && !is_closed(input) && !is_sealed(input->signature))
		finding_add(findings, REASON_SEAL_REQUIRED, "from=%s", from->address);
}

void
check_decryption(const struct policy_input *input, struct findings *findings)
{
	switch (input->decryption) {
	case DECRYPTION_NOT_TRIED:
	case DECRYPTION_NOT_OURS:
	case DECRYPTION_DONE:
		return;
	case DECRYPTION_NO_REGISTRY:
		/* The registry's silence alone defers no other mail of this class; here the message would pass unopened. */
		finding_add(findings, input->class == CLASS_INBOUND_OFFICIAL ? REASON_REG_UNAVAILABLE : REASON_KEY_UNAVAILABLE, "recipients: %s",
		    input->decryption_why ? input->decryption_why : "");
		return;
	case DECRYPTION_NO_KEY:
		finding_add(findings, REASON_KEY_UNAVAILABLE, "%s", input->decryption_why ? input->decryption_why : "");
		return;
	case DECRYPTION_FAILED:
		finding_add(findings, REASON_DEC_FAILED, "it did not open");
		return;
	}
	finding_add(findings, REASON_INTERNAL, "decryption %d", (int)input->decryption);
}
