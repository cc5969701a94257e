#include "policy/check.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "policy/check_egress.h"
#include "policy/check_signature.h"
#include "policy/identity.h"
#include "policy/network.h"

enum tls_version
tls_version_from(const char *name)
{
	static const struct {
		const char *name;
		enum tls_version version;
	} versions[] = {
		{ "TLSv1", TLS_VERSION_1_0 },
		{ "TLSv1.0", TLS_VERSION_1_0 },
		{ "TLSv1.1", TLS_VERSION_1_1 },
		{ "TLSv1.2", TLS_VERSION_1_2 },
		{ "TLSv1.3", TLS_VERSION_1_3 },
	};

	for (size_t i = 0; i < N_ELEMENTS(versions); i++)
		if (strcmp(versions[i].name, name) == 0)
			return versions[i].version;
	return TLS_VERSION_UNKNOWN;
}

const char *
seal_sender(const struct cert_facts *cert, const char *from)
{
	if (cert->n_addresses == 0)
		return NULL;
	for (size_t i = 0; i < cert->n_addresses; i++)
		if (address_equal(cert->addresses[i], from, false))
			return NULL;
	return cert->addresses[0];
}

static bool
is_official(enum domain_answer answer)
{
	switch (answer) {
	case DOMAIN_NONE:
		return false;
	case DOMAIN_UNAVAILABLE:
	case DOMAIN_ODD:
	case DOMAIN_OWN:
	case DOMAIN_SHARED:
	case DOMAIN_PARTNER:
		return true;
	}
	return true;
}

static bool
is_known_official(enum domain_answer answer)
{
	return answer == DOMAIN_OWN || answer == DOMAIN_SHARED || answer == DOMAIN_PARTNER;
}

static enum class
class_of_inbound(const struct envelope_facts *envelope, const struct registry_facts *registry, const struct message_facts *message)
{
	/* Whoever blurs From or the envelope must not thereby escape what official mail has to keep. */
	const bool blurred = message && message->from.state != MAILBOX_ONE && message->from.state != MAILBOX_NONE;

	return envelope->sender_too_long || blurred || is_official(registry->envelope_domain) || is_official(registry->from_domain) ? CLASS_INBOUND_OFFICIAL
												 : CLASS_INBOUND_OTHER;
}

enum class
class_of(enum role role, const struct envelope_facts *envelope, const struct registry_facts *registry,
    const struct message_facts *message)
{
	switch (role) {
	case ROLE_UNKNOWN:
		return CLASS_UNKNOWN;
	case ROLE_SUBMISSION:
		return CLASS_SUBMISSION;
	case ROLE_INBOUND:
		return class_of_inbound(envelope, registry, message);
	case ROLE_LOCAL:
		return CLASS_LOCAL;
	case ROLE_EGRESS:
		return CLASS_EGRESS;
	}
	return CLASS_UNKNOWN;
}

const struct local_sender_setting *
local_sender(const struct config *config, const char *envelope, const char *from)
{
	const struct local_sender_setting *rows = config->local.senders.rows;

	if (!address_equal(envelope, from, false))
		return NULL;
	for (size_t i = 0; i < config->local.senders.n; i++)
		for (size_t j = 0; j < rows[i].from.n; j++)
			if (address_equal(rows[i].from.at[j], from, false))
				return &rows[i];
	return NULL;
}

/* What counts as TLS for one message. */
struct tls_demand {
	long minimum;
	const struct text_list *ciphers;
};

static bool
rule_fits(const struct tls_rule_setting *rule, enum class class, const char *client)
{
	struct network network;

	if (*rule->class && strcmp(rule->class, class_name(class)) != 0)
		return false;
	return !*rule->network || (network_from(rule->network, &network) && network_has(&network, client));
}

static struct tls_demand
tls_demand(const struct policy_input *input)
{
	const struct config *config = input->config;
	const struct tls_rule_setting *rules = config->tls.rules.rows;

	for (size_t i = 0; i < config->tls.rules.n; i++)
		if (rule_fits(&rules[i], input->class, input->transport->client))
			return (struct tls_demand){ rules[i].minimum, rules[i].ciphers.n ? &rules[i].ciphers : &config->tls.ciphers };
	return (struct tls_demand){ config->tls.minimum, &config->tls.ciphers };
}

static bool
cipher_counts(const struct text_list *ciphers, const char *cipher)
{
	for (size_t i = 0; i < ciphers->n; i++)
		if (fnmatch(ciphers->at[i], cipher, 0) == 0)
			return true;
	return false;
}

/* Whether it is official is not known, only assumed. */
static bool
could_not_ask(const struct registry_facts *registry)
{
	return !is_known_official(registry->envelope_domain) && !is_known_official(registry->from_domain)
	    && (registry->envelope_domain == DOMAIN_UNAVAILABLE || registry->from_domain == DOMAIN_UNAVAILABLE);
}

static void
check_tls(const struct policy_input *input, struct findings *findings)
{
	const struct transport_facts *transport = input->transport;
	const struct tls_demand demand = tls_demand(input);

	if (demand.minimum == TLS_VERSION_UNKNOWN)
		return; /* a rule exempts this peer */
	if (input->class == CLASS_INBOUND_OFFICIAL && could_not_ask(input->registry))
		return; /* nobody is refused for good because we could not ask: check_domain defers */
	if (!transport->tls)
		finding_add(findings, REASON_TLS_MISSING, "client=%s", transport->client);
	else if ((long)tls_version_from(transport->tls_version) < demand.minimum)
		finding_add(findings, REASON_TLS_WEAK, "version=%s", transport->tls_version);
	else if (!cipher_counts(demand.ciphers, transport->cipher))
		finding_add(findings, REASON_TLS_WEAK, "cipher=%s", transport->cipher);
}

/* Official or not? Where that could not be asked, it is not passed as if it were not. */
static void
check_domain(const struct policy_input *input, struct findings *findings)
{
	const struct registry_facts *registry = input->registry;

	if (registry->envelope_domain == DOMAIN_UNAVAILABLE)
		finding_add(findings, REASON_REG_UNAVAILABLE, "envelope=%s", input->envelope->sender);
	else if (registry->from_domain == DOMAIN_UNAVAILABLE)
		finding_add(findings, REASON_REG_UNAVAILABLE, "from=%s", input->message ? input->message->from.address : "");
}

static bool
auth_type_counts(const struct config *config, const char *type)
{
	if (strcasecmp(type, "XCLIENT") == 0)
		return false; /* another host's claim, whatever the list says */
	for (size_t i = 0; i < config->submission.auth_types.n; i++)
		if (strcasecmp(config->submission.auth_types.at[i], type) == 0)
			return true;
	return false;
}

static void
check_login(const struct policy_input *input, struct findings *findings)
{
	const struct transport_facts *transport = input->transport;

	if (!*transport->login)
		finding_add(findings, REASON_LOGIN_MISSING, "client=%s", transport->client);
	else if (!auth_type_counts(input->config, transport->auth_type))
		finding_add(findings, REASON_LOGIN_MISSING, "auth_type=%s", transport->auth_type);
}

/* Nobody has read it, so that nothing else is said about it. */
static void
check_poison(const struct policy_input *input, struct findings *findings)
{
	if (input->poison)
		finding_add(findings, REASON_POISON, "it was in hand when a process died");
}

static void
check_limits(const struct policy_input *input, struct findings *findings)
{
	const struct message_facts *message = input->message;
	const long long largest = config_largest(input->config, input->class == CLASS_SUBMISSION || input->class == CLASS_LOCAL);

	if (input->poison)
		return;
	if (*message->limit)
		finding_add(findings, REASON_PARSE_LIMIT, "limit=%s", message->limit);
	else if (message->size > (size_t)largest)
		finding_add(findings, REASON_PARSE_LIMIT, "limit=limits.message_size bytes=%zu", message->size);
	else if (input->envelope->n_recipients > (size_t)input->config->limits.recipients)
		finding_add(findings, REASON_PARSE_LIMIT, "limit=limits.recipients recipients=%zu",
		    input->envelope->n_recipients);
	else if (input->envelope->sender_too_long)
		finding_add(findings, REASON_PARSE_LIMIT, "limit=address_bytes");
	else if (*message->stiff && wants_seal(input))
		finding_add(findings, REASON_PARSE_LIMIT, "limit=field_line_bytes field=%s", message->stiff);
}

/* Opaque mail need not say in smime-type what it is (RFC 8551 3.2.2): then whoever verified it has seen. */
static bool
is_another_object(const struct policy_input *input)
{
	if (input->message->outer != LAYER_OTHER || !input->signature)
		return false; /* nobody looked: check_looked */
	switch (input->signature->state) {
	case SIGNATURE_UNKNOWN:
	case SIGNATURE_NONE:
	case SIGNATURE_UNSUPPORTED:
		return true;
	case SIGNATURE_GOOD:
	case SIGNATURE_BAD:
	case SIGNATURE_MALFORMED:
		return false;
	}
	return true;
}

static void
check_mime(const struct policy_input *input, struct findings *findings)
{
	const struct message_facts *message = input->message;

	if (*message->limit)
		return; /* nobody read on; PARSE_LIMIT speaks for it */
	if (message->mime == MIME_AMBIGUOUS)
		finding_add(findings, REASON_MIME_AMBIGUOUS, "%s", message->mime_why);
	else if (message->mime != MIME_CLEAR || message->outer == LAYER_UNKNOWN || message->form == BODY_UNKNOWN)
		finding_add(findings, REASON_INTERNAL, "mime=%s layer=%s form=%s", mime_state_name(message->mime),
		    layer_name(message->outer), body_form_name(message->form));
	else if (is_another_object(input))
		finding_add(findings, REASON_SIG_UNSUPPORTED, "layer=other%s%s", input->signature && *input->signature->why ? ": " : "",
		    input->signature ? input->signature->why : "");
}

/* Also in mail that its author signed: a key that has been mailed is no secret any more. */
static void
check_material(const struct policy_input *input, struct findings *findings)
{
	const struct message_facts *message = input->message;

	if (*message->limit)
		return; /* nobody read on; PARSE_LIMIT speaks for it */
	switch (message->material) {
	case MATERIAL_NONE:
		return;
	case MATERIAL_PKCS12:
	case MATERIAL_PRIVATE_KEY:
		finding_add(findings, REASON_KEY_MATERIAL, "found=%s by=%s part=%zu", material_name(message->material),
		    message->material_by, message->material_part);
		return;
	case MATERIAL_UNKNOWN:
		break;
	}
	finding_add(findings, REASON_INTERNAL, "material=%s", material_name(message->material));
}

static void
check_from(const struct policy_input *input, struct findings *findings)
{
	const struct message_facts *message = input->message;

	if (*message->limit || (message->mime == MIME_AMBIGUOUS && message->from.state == MAILBOX_UNKNOWN))
		return;
	if (message->from.state == MAILBOX_NONE)
		finding_add(findings, REASON_FROM_AMBIGUOUS, "no From field");
	else if (message->from.state != MAILBOX_ONE)
		finding_add(findings, REASON_FROM_AMBIGUOUS, "From: %s", message->from.why);
	else if (message->sender.state != MAILBOX_ONE && message->sender.state != MAILBOX_NONE)
		finding_add(findings, REASON_FROM_AMBIGUOUS, "Sender: %s", message->sender.why);
}

/* One address the message claims, against the login. */
static bool
login_finding(const struct registry_facts *registry, enum login_answer answer, const char *login, const char *what,
    const char *address, struct findings *findings)
{
	switch (answer) {
	case LOGIN_OWNS:
		return false;
	case LOGIN_UNKNOWN:
		finding_add(findings, REASON_LOGIN_MISMATCH, "login=%s is not registered", login);
		return true;
	case LOGIN_OTHER:
		finding_add(findings, REASON_LOGIN_MISMATCH, "login=%s %s=%s", login, what, address);
		return true;
	case LOGIN_UNAVAILABLE:
		/* The same trouble met both questions; only the second keeps its words. */
		finding_add(findings, REASON_REG_UNAVAILABLE, "login=%s %s", login,
		    registry->seal.answer == REGISTRY_UNAVAILABLE ? registry->seal.why : "");
		return true;
	}
	finding_add(findings, REASON_INTERNAL, "login=%s", login);
	return true;
}

static void
check_ownership(const struct policy_input *input, struct findings *findings)
{
	const struct registry_facts *registry = input->registry;
	const struct message_facts *message = input->message;
	const char *login = input->transport->login;

	if (message->from.state != MAILBOX_ONE || !*login)
		return;
	if (login_finding(registry, registry->owns_from, login, "from", message->from.address, findings))
		return;
	if (login_finding(registry, registry->owns_envelope, login, "envelope", input->envelope->sender, findings))
		return;
	if (message->sender.state == MAILBOX_ONE)
		(void)login_finding(registry, registry->owns_sender, login, "sender", message->sender.address, findings);
}

/* Mail that its author signed or encrypted goes through as it is; only other mail needs our certificate. */
static bool
is_plain(const struct policy_input *input)
{
	return input->message->outer == LAYER_NONE && input->message->from.state == MAILBOX_ONE;
}

bool
wants_seal(const struct policy_input *input)
{
	if (!is_plain(input))
		return false;
	if (input->class == CLASS_LOCAL)
		return input->transport->without_smtp
		    && local_sender(input->config, input->envelope->sender, input->message->from.address) != NULL;
	return input->class == CLASS_SUBMISSION;
}

/* Could anybody but its owner have made it? Only a seal that is good in every respect says no. */
enum seal_worth { SEAL_NOT_KNOWN, SEAL_WORTHLESS, SEAL_VALID };

static enum seal_worth
worth_of_signer(const struct policy_input *input)
{
	const struct registry_signer *signer = &input->registry->signer;
	struct identity_facts identity;

	if (signer->answer == REGISTRY_UNAVAILABLE)
		return SEAL_NOT_KNOWN;
	if (signer->answer != REGISTRY_FOUND || signer->cert.bound == BOUND_UNKNOWN)
		return SEAL_WORTHLESS;
	identity_judge(input, &identity);
	return identity.state == IDENTITY_MATCH ? SEAL_VALID : SEAL_WORTHLESS;
}

static enum seal_worth
worth_of_seal(const struct policy_input *input)
{
	const struct signature_facts *signature = input->signature;

	if (!signature || signature->state == SIGNATURE_UNKNOWN)
		return SEAL_NOT_KNOWN;
	if (signature->state != SIGNATURE_GOOD || signature->coverage != COVERAGE_WHOLE || signature->weak || signature->unfit
	    || signature->protection == PROTECTION_MISMATCH || signature->chain.state != CHAIN_GOOD
	    || signature->chain.revocation == REVOCATION_REVOKED)
		return SEAL_WORTHLESS;
	if (signature->chain.revocation == REVOCATION_UNKNOWN)
		return SEAL_NOT_KNOWN;
	return worth_of_signer(input);
}

/*
 * Our own domain's mail is handed in by its users, and does not come from other servers, unless it was sealed
 * here before: a mailing list's copy, say. What could not be found out is deferred by another check.
 */
static void
check_spoofed(const struct policy_input *input, struct findings *findings)
{
	const struct registry_facts *registry = input->registry;

	if (registry->from_domain != DOMAIN_OWN && registry->envelope_domain != DOMAIN_OWN)
		return;
	if (input->poison || *input->message->limit || worth_of_seal(input) != SEAL_WORTHLESS)
		return;
	if (registry->from_domain == DOMAIN_OWN)
		finding_add(findings, REASON_DOMAIN_SPOOFED, "from=%s client=%s", input->message->from.address, input->transport->client);
	else
		finding_add(findings, REASON_DOMAIN_SPOOFED, "envelope=%s client=%s", input->envelope->sender, input->transport->client);
}

/* Official mail that came without SMTP: only who is listed has it sealed, and only with a system's certificate. */
static void
check_local(const struct policy_input *input, struct findings *findings)
{
	const struct registry_facts *registry = input->registry;
	const char *from = input->message->from.address;

	/* Of every layer: what only looks signed must not get past a table that refuses unlisted mail. */
	if (input->message->from.state != MAILBOX_ONE || registry->from_domain == DOMAIN_NONE)
		return;
	if (registry->from_domain == DOMAIN_UNAVAILABLE)
		finding_add(findings, REASON_REG_UNAVAILABLE, "from=%s", from);
	else if (!input->transport->without_smtp)
		finding_add(findings, REASON_SEAL_UNAVAILABLE, "from=%s came by SMTP, client=%s", from,
		    input->transport->client);
	else if (!local_sender(input->config, input->envelope->sender, from))
		finding_add(findings, REASON_SEAL_UNAVAILABLE, "from=%s envelope=%s not in local.senders", from,
		    input->envelope->sender);
	else if (wants_seal(input) && registry->seal.answer == REGISTRY_FOUND && registry->seal.cert.kind != CERT_KIND_SYSTEM)
		finding_add(findings, REASON_SEAL_UNAVAILABLE, "from=%s kind=%s wanted=sistem", from,
		    cert_kind_name(registry->seal.cert.kind));
}

static void
check_registry(const struct policy_input *input, struct findings *findings)
{
	const struct registry_found *seal = &input->registry->seal;
	const char *from = input->message->from.address;

	if (!wants_seal(input))
		return;
	switch (seal->answer) {
	case REGISTRY_FOUND:
		return;
	case REGISTRY_UNAVAILABLE:
		finding_add(findings, REASON_REG_UNAVAILABLE, "%s", seal->why);
		return;
	case REGISTRY_NONE:
		if (!seal->known)
			finding_add(findings, REASON_REG_UNKNOWN, "address=%s", from);
		else
			finding_add(findings, REASON_SEAL_UNAVAILABLE, "address=%s", from);
		return;
	case REGISTRY_UNUSABLE:
		finding_add(findings, reason_of_unusable(seal->unusable), "address=%s%s%s", from,
		    *seal->cert.reason ? " reason=" : "", seal->cert.reason);
		return;
	}
	finding_add(findings, REASON_INTERNAL, "registry answer %d", (int)seal->answer);
}

static const char *
unfit_for_sealing(const struct cert_facts *cert)
{
	if (cert->is_ca)
		return "is a CA's";
	if (!cert->may_sign)
		return "is not for signing mail";
	if (cert->weak_signature)
		return "is signed with a broken digest";
	if (cert->odd_address)
		return "names an address that is none";
	if (cert->key == KEY_RSA && (cert->key_bits < 2048 || cert->key_bits > 4096))
		return "has an RSA key outside 2048 to 4096 bits";
	if (cert->key != KEY_RSA && cert->key != KEY_P256 && cert->key != KEY_P384)
		return "has a key that cannot seal";
	return NULL;
}

/* The registry said yes; the certificate itself has a say too. */
static void
check_certificate(const struct policy_input *input, struct findings *findings)
{
	const struct registry_facts *registry = input->registry;
	const char *unfit;

	if (!wants_seal(input) || registry->seal.answer != REGISTRY_FOUND)
		return;
	if (!registry->cert_read) {
		finding_add(findings, REASON_REG_UNAVAILABLE, "the certificate in the registry does not agree with its row");
		return;
	}
	unfit = unfit_for_sealing(&registry->cert);
	if (unfit) {
		finding_add(findings, REASON_SEAL_UNAVAILABLE, "the certificate %s", unfit);
		return;
	}
	switch (cert_time_at(&registry->cert, input->now)) {
	case CERT_TIME_VALID:
		return;
	case CERT_TIME_PAST:
		finding_add(findings, REASON_CERT_EXPIRED, "address=%s", input->message->from.address);
		return;
	case CERT_TIME_NOT_YET:
		finding_add(findings, REASON_CERT_NOT_YET, "address=%s", input->message->from.address);
		return;
	case CERT_TIME_UNKNOWN:
		finding_add(findings, REASON_INTERNAL, "certificate dates");
		return;
	}
}

/* A header field of ours holds no UTF-8: whether the next hop takes it (SMTPUTF8) is not known here. */
static bool
is_ascii(const char *text)
{
	while (*text && (unsigned char)*text < 0x80)
		text++;
	return !*text;
}

/* Sender will name the certificate's address, and readers will see it: the OP must know it. */
static void
check_sender(const struct policy_input *input, struct findings *findings)
{
	const struct registry_facts *registry = input->registry;

	if (!wants_seal(input) || registry->seal.answer != REGISTRY_FOUND || !*registry->sender)
		return;
	if (!is_ascii(registry->sender))
		finding_add(findings, REASON_SEAL_UNAVAILABLE, "certificate=%s cannot stand in Sender", registry->sender);
	else if (registry->sender_known == 0)
		finding_add(findings, REASON_REG_ADDRESS_MISMATCH, "certificate=%s", registry->sender);
	else if (registry->sender_known != 1)
		finding_add(findings, REASON_REG_UNAVAILABLE, "address=%s", registry->sender);
}

#define SUBMISSION CLASS_BIT(CLASS_SUBMISSION)
#define OFFICIAL CLASS_BIT(CLASS_INBOUND_OFFICIAL)
#define OTHER CLASS_BIT(CLASS_INBOUND_OTHER)
#define LOCAL CLASS_BIT(CLASS_LOCAL)
#define EGRESS CLASS_BIT(CLASS_EGRESS)
#define ALL (SUBMISSION | OFFICIAL | OTHER | LOCAL | EGRESS)

#define ANY (STAGE_MESSAGE | STAGE_CONTENT)
#define FROM_OUTSIDE (OFFICIAL | OTHER)

/* Name, stages, classes, classes where signature facts are given, what runs, what it may raise. */
const struct check checks[] = {
	{ "tls", STAGE_MAIL | STAGE_MESSAGE, SUBMISSION | OFFICIAL | OTHER, 0, check_tls, { REASON_TLS_MISSING, REASON_TLS_WEAK } },
	{ "domain", STAGE_MAIL | STAGE_MESSAGE, OFFICIAL, 0, check_domain, { REASON_REG_UNAVAILABLE } },
	{ "login", STAGE_MAIL | STAGE_MESSAGE, SUBMISSION, 0, check_login, { REASON_LOGIN_MISSING } },
	{ "poison", STAGE_MESSAGE, ALL, 0, check_poison, { REASON_POISON } },
	{ "limits", ANY, ALL, 0, check_limits, { REASON_PARSE_LIMIT } },
	{ "mime", ANY, ALL, 0, check_mime, { REASON_MIME_AMBIGUOUS, REASON_SIG_UNSUPPORTED, REASON_INTERNAL } },
	{ "material", ANY, ALL, 0, check_material, { REASON_KEY_MATERIAL, REASON_INTERNAL } },
	{ "from", ANY, ALL, 0, check_from, { REASON_FROM_AMBIGUOUS } },
	{ "spoofed", STAGE_MESSAGE, OFFICIAL, 0, check_spoofed, { REASON_DOMAIN_SPOOFED } },
	{ "looked", STAGE_MESSAGE, ALL, 0, check_looked, { REASON_INTERNAL } },
	{ "ownership", STAGE_MESSAGE, SUBMISSION, 0, check_ownership,
	  { REASON_LOGIN_MISMATCH, REASON_REG_UNAVAILABLE, REASON_INTERNAL } },
	{ "local", STAGE_MESSAGE, LOCAL, 0, check_local, { REASON_REG_UNAVAILABLE, REASON_SEAL_UNAVAILABLE } },
	{ "registry", STAGE_MESSAGE, SUBMISSION | LOCAL, 0, check_registry,
	  { REASON_REG_UNAVAILABLE, REASON_REG_UNKNOWN, REASON_SEAL_UNAVAILABLE, REASON_REG_HELD, REASON_CERT_REVOKED,
	    REASON_REG_RETIRED, REASON_REG_ENDED, REASON_CERT_EXPIRED, REASON_CERT_NOT_YET, REASON_INTERNAL } },
	{ "certificate", STAGE_MESSAGE, SUBMISSION | LOCAL, 0, check_certificate,
	  { REASON_REG_UNAVAILABLE, REASON_SEAL_UNAVAILABLE, REASON_CERT_EXPIRED, REASON_CERT_NOT_YET, REASON_INTERNAL } },
	{ "sender", STAGE_MESSAGE, SUBMISSION | LOCAL, 0, check_sender,
	  { REASON_REG_ADDRESS_MISMATCH, REASON_REG_UNAVAILABLE, REASON_SEAL_UNAVAILABLE } },
	{ "encryption", STAGE_MESSAGE, SUBMISSION | LOCAL, 0, check_encryption,
	  { REASON_RCPT_AMBIGUOUS, REASON_RCPT_FORBIDDEN, REASON_ENC_NO_CERT, REASON_ENC_MIXED, REASON_PARSE_LIMIT, REASON_STATUS_UNKNOWN,
	    REASON_REG_UNAVAILABLE, REASON_INTERNAL } },
	{ "claim", STAGE_MESSAGE, SUBMISSION | LOCAL, 0, check_claim, { REASON_ENC_REQUIRED, REASON_INTERNAL } },
	{ "clear", STAGE_MESSAGE, EGRESS, 0, check_clear,
	  { REASON_RCPT_AMBIGUOUS, REASON_RCPT_FORBIDDEN, REASON_ENC_REQUIRED, REASON_REG_UNAVAILABLE, REASON_INTERNAL } },
	{ "sealed", STAGE_MESSAGE, EGRESS, 0, check_sealed, { REASON_SEAL_REQUIRED, REASON_REG_UNAVAILABLE } },
	{ "decryption", STAGE_MESSAGE, FROM_OUTSIDE, 0, check_decryption,
	  { REASON_DEC_FAILED, REASON_REG_UNAVAILABLE, REASON_KEY_UNAVAILABLE, REASON_INTERNAL } },
	{ "replay", STAGE_MESSAGE, 0, SUBMISSION | FROM_OUTSIDE, check_replay, { REASON_REPLAY, REASON_STORE_UNAVAILABLE } },
	{ "missing", ANY, 0, OFFICIAL | OTHER, check_missing, { REASON_SIG_MISSING } },
	/* A message of role local is not sealed yet: that is what the filter is there for. */
	{ "missing offline", STAGE_CONTENT, 0, LOCAL, check_missing, { REASON_SIG_MISSING } },
	{ "signature", ANY, 0, ALL, check_signature,
	  { REASON_SIG_PARTIAL, REASON_SIG_INVALID, REASON_SIG_MALFORMED, REASON_SIG_UNSUPPORTED, REASON_ENC_UNREADABLE, REASON_INTERNAL } },
	{ "strength", ANY, 0, ALL, check_strength, { REASON_SIG_WEAK } },
	{ "fitness", ANY, 0, ALL, check_fitness, { REASON_SIG_UNFIT } },
	{ "signing time", ANY, 0, ALL, check_signing_time, { REASON_SIG_TIME } },
	{ "protection", ANY, 0, ALL, check_protection, { REASON_HEADER_MISMATCH, REASON_INTERNAL } },
	{ "identity", ANY, 0, ALL, check_identity, { REASON_SIGNER_MISMATCH, REASON_INTERNAL } },
	{ "chain", ANY, 0, ALL, check_chain, { REASON_CERT_UNTRUSTED, REASON_CERT_EXPIRED, REASON_CERT_NOT_YET, REASON_INTERNAL } },
	{ "revocation", ANY, 0, ALL, check_revocation, { REASON_CERT_REVOKED, REASON_STATUS_UNKNOWN } },
	{ "signer", ANY, 0, ALL, check_signer,
	  { REASON_REG_UNAVAILABLE, REASON_REG_UNKNOWN, REASON_REG_ADDRESS_MISMATCH, REASON_REG_HELD, REASON_CERT_REVOKED,
	    REASON_REG_RETIRED, REASON_REG_ENDED, REASON_CERT_EXPIRED, REASON_CERT_NOT_YET, REASON_REG_CONFLICT, REASON_INTERNAL } },
	{ .name = NULL },
};

void
check_all(const struct policy_input *input, enum stage stage, struct findings *ret)
{
	*ret = (struct findings){ 0 };
	for (const struct check *check = checks; check->name; check++) {
		const unsigned classes = input->signature ? check->classes | check->judged : check->classes;

		if ((check->stages & stage) && (classes & CLASS_BIT(input->class)))
			check->run(input, ret);
	}
}
