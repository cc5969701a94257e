#include "policy/identity.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void PRINTF_LIKE(3, 4)
say(struct identity_facts *ret, enum identity state, const char *fmt, ...)
{
	va_list args;

	ret->state = state;
	va_start(args, fmt);
	vsnprintf(ret->why, sizeof(ret->why), fmt, args);
	va_end(args);
}

/* What the OP said; NULL = it is not asked. */
static const struct registry_signer *
signer_of(const struct policy_input *input)
{
	return input->without_registry ? NULL : &input->registry->signer;
}

static bool
subject_counts(const struct config *config, const struct cert_facts *cert)
{
	for (size_t i = 0; i < config->verify.subject_address.n; i++)
		if (strcmp(config->verify.subject_address.at[i], cert->issuer) == 0)
			return true;
	return false;
}

/* How many of its addresses count. */
static size_t
n_usable(const struct policy_input *input)
{
	const struct cert_facts *cert = &input->signature->signer;

	return cert->address_in_subject && !subject_counts(input->config, cert) ? 0 : cert->n_addresses;
}

static bool
names(const struct policy_input *input, const char *address, bool fold)
{
	for (size_t i = 0; i < n_usable(input); i++)
		if (address_equal(input->signature->signer.addresses[i], address, fold))
			return true;
	return false;
}

/* Of the certificate's addresses the one that differs in case only, or else the first. */
static const char *
nearest(const struct policy_input *input)
{
	const struct cert_facts *cert = &input->signature->signer;

	for (size_t i = 0; i < n_usable(input); i++)
		if (address_equal(cert->addresses[i], input->message->from.address, true))
			return cert->addresses[i];
	return cert->addresses[0];
}

static bool
is_international(const char *address)
{
	for (const char *at = address; *at; at++)
		if ((unsigned char)*at >= 0x80)
			return true;
	return strstr(address, "xn--") != NULL;
}

/* Which rule of comparing keeps an address of the certificate from being From's. */
static const char *
rule_between(const char *from, const char *named)
{
	if (address_equal(from, named, true))
		return "the local parts differ in case (RFC 5321 2.4)";
	if (is_international(from) || is_international(named))
		return "compared by A-labels and octets (RFC 9598 5)";
	return "another address (RFC 8550 3)";
}

/* Said where nothing speaks for From. */
static void
say_nothing_speaks(const struct policy_input *input, const struct registry_signer *op, struct identity_facts *ret)
{
	const struct cert_facts *cert = &input->signature->signer;
	const char *from = input->message->from.address;

	if (op && op->answer == REGISTRY_UNAVAILABLE)
		say(ret, IDENTITY_UNKNOWN, "from=%s is not in the certificate, and the registry could not be asked", from);
	else if (n_usable(input))
		say(ret, IDENTITY_MISMATCH, "%s: from=%s certificate=%s", rule_between(from, nearest(input)), from, nearest(input));
	else if (cert->n_addresses)
		say(ret, IDENTITY_MISMATCH, "from=%s certificate names an address in its subject only, which does not count (RFC 8550 3)", from);
	else
		say(ret, IDENTITY_NONE, "from=%s certificate names no address (RFC 8550 3)", from);
}

/* Bound by the OP to the address, its unit or its domain, but it names others. */
static void
judge_bound(const struct policy_input *input, struct identity_facts *ret)
{
	const struct mailbox_facts *from = &input->message->from, *sender = &input->message->sender;

	if (sender->state == MAILBOX_NONE || address_equal(sender->address, from->address, false) || n_usable(input) == 0
	    || names(input, sender->address, false))
		say(ret, IDENTITY_MATCH, "from=%s bound by the registry", from->address);
	else
		say(ret, IDENTITY_MISMATCH, "from=%s sender=%s certificate=%s", from->address, sender->address,
		    input->signature->signer.addresses[0]);
}

/* True where From and Sender name whom, each in one way. */
static bool
is_readable(const struct message_facts *message, struct identity_facts *ret)
{
	const bool looked = message->from.state != MAILBOX_UNKNOWN && message->sender.state != MAILBOX_UNKNOWN;

	if (!looked)
		say(ret, IDENTITY_UNKNOWN, "From and Sender were not read");
	else if (message->from.state == MAILBOX_NONE)
		say(ret, IDENTITY_AMBIGUOUS, "no From field");
	else if (message->from.state != MAILBOX_ONE)
		say(ret, IDENTITY_AMBIGUOUS, "From: %s", message->from.why);
	else if (message->sender.state == MAILBOX_AMBIGUOUS)
		say(ret, IDENTITY_AMBIGUOUS, "Sender: %s", message->sender.why);
	else
		return true;
	return false;
}

void
identity_judge(const struct policy_input *input, struct identity_facts *ret)
{
	const struct registry_signer *op = signer_of(input);

	*ret = (struct identity_facts){ 0 };
	if (input->signature->state == SIGNATURE_NONE)
		say(ret, IDENTITY_NONE, "not signed");
	else if (!is_readable(input->message, ret))
		return;
	else if (!input->signature->has_signer)
		say(ret, IDENTITY_NONE, "no signer");
	else if (input->signature->signer.odd_address)
		say(ret, IDENTITY_MISMATCH, "the certificate names an address that is none");
	else if (names(input, input->message->from.address, op && op->fold))
		say(ret, IDENTITY_MATCH, "from=%s is in the certificate", input->message->from.address);
	else if (op && op->cert.bound != BOUND_UNKNOWN)
		judge_bound(input, ret);
	else
		say_nothing_speaks(input, op, ret);
}

const char *
identity_name(enum identity identity)
{
	switch (identity) {
	case IDENTITY_UNKNOWN:
		return "unknown";
	case IDENTITY_NONE:
		return "none";
	case IDENTITY_MATCH:
		return "match";
	case IDENTITY_MISMATCH:
		return "mismatch";
	case IDENTITY_AMBIGUOUS:
		return "ambiguous";
	}
	return "unknown";
}
