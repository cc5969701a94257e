#include "policy/check_signature.h"

#include <string.h>

#include "policy/identity.h"

enum { CLOCK_SKEW = 5 * 60 }; /* seconds that a signer's clock may be ahead of ours */

enum reason
reason_of_unusable(enum unusable unusable)
{
	switch (unusable) {
	case UNUSABLE_HELD:
		return REASON_REG_HELD;
	case UNUSABLE_REVOKED:
		return REASON_CERT_REVOKED;
	case UNUSABLE_RETIRED:
		return REASON_REG_RETIRED;
	case UNUSABLE_ENDED:
		return REASON_REG_ENDED;
	case UNUSABLE_EXPIRED:
		return REASON_CERT_EXPIRED;
	case UNUSABLE_NOT_YET:
		return REASON_CERT_NOT_YET;
	case UNUSABLE_CONFLICT:
		return REASON_REG_CONFLICT;
	case UNUSABLE_UNKNOWN:
		return REASON_INTERNAL;
	}
	return REASON_INTERNAL;
}

static bool
is_good(const struct policy_input *input)
{
	return input->signature && input->signature->state == SIGNATURE_GOOD;
}

/* Nobody read on, or nobody could in one way; PARSE_LIMIT or MIME_AMBIGUOUS speaks for it. */
static bool
is_unread(const struct message_facts *message)
{
	return *message->limit || message->mime != MIME_CLEAR;
}

static const char *
or_nothing(const char *why)
{
	return *why ? why : "no reason given";
}

static bool
from_outside(enum class class)
{
	return class == CLASS_INBOUND_OFFICIAL || class == CLASS_INBOUND_OTHER;
}

void
check_looked(const struct policy_input *input, struct findings *findings)
{
	const struct message_facts *message = input->message;

	if (input->signature || input->poison || *message->limit)
		return;
	if (from_outside(input->class) || message->outer == LAYER_SIGNED || message->outer == LAYER_OTHER)
		finding_add(findings, REASON_INTERNAL, "signature not looked at");
}

/*
 * One signature on two messages: sent again by somebody else, since its maker signs what it sends. Where the signature
 * covers the header fields (RFC 9788), those are compared with the outer ones, and there is nothing to replay.
 */
void
check_replay(const struct policy_input *input, struct findings *findings)
{
	switch (input->replay) {
	case REPLAY_NOT_ASKED:
	case REPLAY_NEW:
		return;
	case REPLAY_UNAVAILABLE:
		finding_add(findings, REASON_STORE_UNAVAILABLE, "%s", or_nothing(input->replay_why ? input->replay_why : ""));
		return;
	case REPLAY_SEEN:
		if (!input->signature || input->signature->protection != PROTECTION_MATCH)
			finding_add(findings, REASON_REPLAY, "%s", or_nothing(input->replay_why ? input->replay_why : ""));
		return;
	}
	finding_add(findings, REASON_INTERNAL, "replay=%d", (int)input->replay);
}

/* An ordinary message without a signed part. What is encrypted may hold a signature. */
void
check_missing(const struct policy_input *input, struct findings *findings)
{
	const struct signature_facts *signature = input->signature;

	if (signature && !is_unread(input->message) && signature->state == SIGNATURE_NONE && signature->coverage == COVERAGE_NONE
	    && input->message->outer == LAYER_NONE)
		finding_add(findings, REASON_SIG_MISSING, "layer=none");
}

/* A message whose outermost entity is not signed. */
static void
check_unsigned(const struct policy_input *input, struct findings *findings)
{
	switch (input->signature->coverage) {
	case COVERAGE_PARTIAL:
		finding_add(findings, REASON_SIG_PARTIAL, "%s", or_nothing(input->signature->why));
		return;
	case COVERAGE_NONE:
		if (input->message->outer == LAYER_ENCRYPTED)
			finding_add(findings, REASON_ENC_UNREADABLE, "layer=encrypted");
		else if (input->message->outer == LAYER_SIGNED)
			finding_add(findings, REASON_SIG_MALFORMED, "layer=signed, and nobody signed it");
		return; /* LAYER_NONE: check_missing; LAYER_OTHER, LAYER_UNKNOWN: check_mime */
	case COVERAGE_UNKNOWN:
	case COVERAGE_WHOLE:
		break;
	}
	finding_add(findings, REASON_INTERNAL, "signature=none coverage=%s", coverage_name(input->signature->coverage));
}

/*
 * Whoever has the ciphertext can put a signature of his own around it, also in the place of another one. So it does
 * not say who wrote what is inside; that is for who can open it.
 */
static void
check_order(const struct policy_input *input, struct findings *findings)
{
	if (input->signature->encrypted)
		finding_add(findings, REASON_ENC_UNREADABLE, "layers=%s: the outer signature tells the last sender only",
		    input->signature->layers);
}

void
check_signature(const struct policy_input *input, struct findings *findings)
{
	const struct signature_facts *signature = input->signature;

	if (!signature || is_unread(input->message))
		return;
	switch (signature->state) {
	case SIGNATURE_NONE:
		check_unsigned(input, findings);
		return;
	case SIGNATURE_BAD:
		finding_add(findings, REASON_SIG_INVALID, "%s", or_nothing(signature->why));
		return;
	case SIGNATURE_MALFORMED:
		finding_add(findings, REASON_SIG_MALFORMED, "%s", or_nothing(signature->why));
		return;
	case SIGNATURE_UNSUPPORTED:
		if (input->message->outer != LAYER_OTHER) /* check_mime has said so */
			finding_add(findings, REASON_SIG_UNSUPPORTED, "%s", or_nothing(signature->why));
		return;
	case SIGNATURE_GOOD:
		check_order(input, findings);
		if (signature->coverage == COVERAGE_PARTIAL)
			finding_add(findings, REASON_SIG_PARTIAL, "%s", or_nothing(signature->why));
		else if (signature->coverage != COVERAGE_WHOLE || !signature->has_signer)
			finding_add(findings, REASON_INTERNAL, "signature=good coverage=%s signer=%d", coverage_name(signature->coverage),
			    signature->has_signer);
		return;
	case SIGNATURE_UNKNOWN:
		break;
	}
	finding_add(findings, REASON_INTERNAL, "signature=unknown %s", signature->why);
}

void
check_strength(const struct policy_input *input, struct findings *findings)
{
	if (is_good(input) && input->signature->weak)
		finding_add(findings, REASON_SIG_WEAK, "%s", or_nothing(input->signature->weak_why));
}

void
check_fitness(const struct policy_input *input, struct findings *findings)
{
	const struct signature_facts *signature = input->signature;

	if (!is_good(input))
		return;
	if (signature->unfit)
		finding_add(findings, REASON_SIG_UNFIT, "%s", or_nothing(signature->unfit_why));
	else if (signature->signer.is_ca || !signature->signer.may_sign)
		finding_add(findings, REASON_SIG_UNFIT, "certificate=%s", signature->signer.is_ca ? "a CA's" : "not for signing mail");
	else if (signature->signer.odd_address)
		finding_add(findings, REASON_SIG_UNFIT, "the certificate names an address that is none");
}

/* The signer's claim; a lie shows only where it contradicts something else. NULL = nothing does. */
static const char *
implausible(const struct policy_input *input)
{
	const struct signature_facts *signature = input->signature;

	if (signature->signing_time > input->now + CLOCK_SKEW)
		return "ahead of our clock";
	if (signature->signing_time < signature->signer.not_before)
		return "before the certificate's first day";
	if (signature->signing_time > signature->signer.not_after)
		return "after the certificate's last day";
	if (signature->chain.revoked_at && signature->signing_time >= signature->chain.revoked_at)
		return "after the certificate's revocation";
	return NULL;
}

void
check_signing_time(const struct policy_input *input, struct findings *findings)
{
	const char *why = is_good(input) && input->signature->has_signing_time ? implausible(input) : NULL;

	if (why)
		finding_add(findings, REASON_SIG_TIME, "signing time %lld is %s", (long long)input->signature->signing_time, why);
}

void
check_protection(const struct policy_input *input, struct findings *findings)
{
	const struct signature_facts *signature = input->signature;

	if (!is_good(input))
		return;
	switch (signature->protection) {
	case PROTECTION_NONE:
	case PROTECTION_MATCH:
		return;
	case PROTECTION_MISMATCH:
		finding_add(findings, REASON_HEADER_MISMATCH, "%s", or_nothing(signature->protection_why));
		return;
	case PROTECTION_UNKNOWN:
		break;
	}
	finding_add(findings, REASON_INTERNAL, "protection=unknown %s", signature->protection_why);
}

void
check_identity(const struct policy_input *input, struct findings *findings)
{
	struct identity_facts identity;

	if (!is_good(input) || !input->signature->has_signer)
		return;
	identity_judge(input, &identity);
	switch (identity.state) {
	case IDENTITY_MATCH:
	case IDENTITY_AMBIGUOUS: /* FROM_AMBIGUOUS (check.c) */
		return;
	case IDENTITY_NONE:
	case IDENTITY_MISMATCH:
		finding_add(findings, REASON_SIGNER_MISMATCH, "%s", identity.why);
		return;
	case IDENTITY_UNKNOWN:
		break;
	}
	/* The registry's silence is a finding of check_signer. Nothing else may leave it open. */
	if (input->without_registry || input->registry->signer.answer != REGISTRY_UNAVAILABLE)
		finding_add(findings, REASON_INTERNAL, "identity=unknown %s", identity.why);
}

/* What a path that is not good amounts to. */
static const struct {
	enum chain_state state;
	enum reason reason;
} chain_reasons[] = {
	{ CHAIN_UNKNOWN, REASON_INTERNAL },
	{ CHAIN_UNTRUSTED, REASON_CERT_UNTRUSTED },
	{ CHAIN_EXPIRED, REASON_CERT_EXPIRED },
	{ CHAIN_NOT_YET, REASON_CERT_NOT_YET },
	{ CHAIN_BAD, REASON_CERT_UNTRUSTED },
	{ CHAIN_LIMIT, REASON_CERT_UNTRUSTED },
};

static enum reason
reason_of_chain(enum chain_state state)
{
	for (size_t i = 0; i < N_ELEMENTS(chain_reasons); i++)
		if (chain_reasons[i].state == state)
			return chain_reasons[i].reason;
	return REASON_INTERNAL;
}

void
check_chain(const struct policy_input *input, struct findings *findings)
{
	const struct chain_facts *chain;

	if (!is_good(input))
		return;
	chain = &input->signature->chain;
	if (chain->state != CHAIN_GOOD)
		finding_add(findings, reason_of_chain(chain->state), "chain=%s %s", chain_state_name(chain->state), chain->why);
	else if (chain->anchor == ANCHOR_NONE)
		finding_add(findings, REASON_INTERNAL, "chain=good anchor=none");
}

/* What a message brings along to look better than its certificate is. */
static const char *
vain_defence(const struct signature_facts *signature)
{
	if (signature->n_crls > 0)
		return "; the CRL that the message brings along does not count";
	if (signature->has_signing_time && signature->chain.revoked_at && signature->signing_time < signature->chain.revoked_at)
		return "; that it was signed before is the signer's own word, and does not count";
	return "";
}

/* A path that leads nowhere has no status to be known; what is revoked stays so. */
void
check_revocation(const struct policy_input *input, struct findings *findings)
{
	const struct chain_facts *chain;

	if (!is_good(input))
		return;
	chain = &input->signature->chain;
	switch (chain->revocation) {
	case REVOCATION_GOOD:
		return;
	case REVOCATION_REVOKED:
		finding_add(findings, REASON_CERT_REVOKED, "%s%s", or_nothing(chain->revocation_why), vain_defence(input->signature));
		return;
	case REVOCATION_UNKNOWN:
		break;
	}
	if (chain->state == CHAIN_GOOD)
		finding_add(findings, REASON_STATUS_UNKNOWN, "%s%s", or_nothing(chain->revocation_why), vain_defence(input->signature));
}

/* Registered and in force, but for whom? */
static void
check_bound(const struct policy_input *input, struct findings *findings)
{
	const struct registry_signer *signer = &input->registry->signer;
	const struct mailbox_facts *from = &input->message->from;

	if (signer->cert.bound != BOUND_UNKNOWN || from->state != MAILBOX_ONE)
		return;
	if (!signer->known)
		finding_add(findings, REASON_REG_UNKNOWN, "address=%s certificate=%lld", from->address, (long long)signer->cert.id);
	else
		finding_add(findings, REASON_REG_ADDRESS_MISMATCH, "address=%s certificate=%lld", from->address,
		    (long long)signer->cert.id);
}

/* What the OP says of the signer's certificate. */
void
check_signer(const struct policy_input *input, struct findings *findings)
{
	const struct registry_signer *signer = &input->registry->signer;

	if (!is_good(input) || input->without_registry)
		return;
	switch (signer->answer) {
	case REGISTRY_FOUND:
		check_bound(input, findings);
		return;
	case REGISTRY_NONE:
		finding_add(findings, REASON_REG_UNKNOWN, "certificate=%s serial=%s", input->signature->signer.subject,
		    input->signature->signer.serial);
		return;
	case REGISTRY_UNUSABLE:
		finding_add(findings, reason_of_unusable(signer->unusable), "%s", signer->why);
		return;
	case REGISTRY_UNAVAILABLE:
		finding_add(findings, REASON_REG_UNAVAILABLE, "%s", signer->why);
		return;
	}
	finding_add(findings, REASON_INTERNAL, "registry answer %d", (int)signer->answer);
}
