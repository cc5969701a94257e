#include "milter/filter/gather.h"

#include <stdio.h>
#include <string.h>

#include "milter/filter/replay.h"
#include "smime/address.h"
#include "smime/head.h"
#include "smime/inspect.h"
#include "smime/verify.h"

/* May this login speak for these addresses? The null sender speaks for nobody. Mostly all are one address: asked once. */
static void
ask_login(struct registry *registry, const char *login, const struct message_facts *message,
    const struct envelope_facts *envelope, time_t now, struct registry_facts *ret)
{
	const char *from = message->from.address;

	ret->owns_from = registry_login(registry, login, from, now);
	if (!*envelope->sender)
		ret->owns_envelope = LOGIN_OWNS;
	else if (strcmp(envelope->sender, from) == 0)
		ret->owns_envelope = ret->owns_from;
	else
		ret->owns_envelope = registry_login(registry, login, envelope->sender, now);
	if (message->sender.state != MAILBOX_ONE)
		return;
	if (strcmp(message->sender.address, from) == 0)
		ret->owns_sender = ret->owns_from;
	else
		ret->owns_sender = registry_login(registry, login, message->sender.address, now);
}

/* The row's hashes must be those of the certificate it holds. */
static const struct prepared *
open_certificate(struct prepared_set *set, const struct registry_cert *row)
{
	AUTO(prepared_unref) const struct prepared *opened = NULL;
	const struct cert_facts *facts;

	if (!row->der || prepared_get(set, (struct slice){ row->der, row->der_len }, &opened, NULL) == -1)
		return NULL;
	facts = prepared_facts(opened);
	if (memcmp(facts->sha256, row->sha256, sizeof(facts->sha256)) != 0 || memcmp(facts->spki, row->spki, sizeof(facts->spki)) != 0)
		return NULL;
	return TAKE(opened);
}

static void
ask_certificate(struct registry *registry, struct prepared_set *set, const char *from, time_t now, struct gathered *gathered)
{
	struct registry_facts *ret = &gathered->registry;
	const char *sender;

	registry_lookup(registry, from, PURPOSE_SEAL, now, &ret->seal);
	if (ret->seal.answer != REGISTRY_FOUND)
		return;
	gathered->prepared = open_certificate(set, &ret->seal.cert);
	ret->cert_read = gathered->prepared != NULL;
	if (ret->cert_read)
		ret->cert = *prepared_facts(gathered->prepared);
	sender = ret->cert_read ? seal_sender(&ret->cert, from) : NULL;
	if (!sender)
		return;
	snprintf(ret->sender, sizeof(ret->sender), "%s", sender);
	ret->sender_known = registry_address_known(registry, sender, now);
}

static bool
is_registered(enum domain_answer answer)
{
	return answer == DOMAIN_OWN || answer == DOMAIN_SHARED || answer == DOMAIN_PARTNER;
}

/* The MTA rewrites what a client writes ("x%kota.go.id", comments, quotes) and delivers under that: what either of them names, counts. */
static enum domain_answer
envelope_domain(const struct gather_from *from)
{
	const struct envelope_facts *envelope = from->envelope;
	const enum domain_answer written = registry_domain_of(from->registry, envelope->sender, from->now);

	if (!*envelope->resolved || is_registered(written) || written == DOMAIN_UNAVAILABLE)
		return written;
	return registry_domain_of(from->registry, envelope->resolved, from->now);
}

/* Whose domains are named? Of no use to the submission role, where the login says more. */
static void
ask_domains(const struct gather_from *from, const struct message_facts *message, struct registry_facts *ret)
{
	ret->envelope_domain = envelope_domain(from);
	ret->from_domain = DOMAIN_NONE;
	if (message && message->from.state == MAILBOX_ONE)
		ret->from_domain = registry_domain_of(from->registry, message->from.address, from->now);
}

/* Without the anchors nothing could be said of a path, and "no path" would be a lie. */
static int
verify(const struct gather_from *from, struct slice bytes, struct gathered *ret, struct err *err)
{
	const struct verify_request request = { .message = bytes, .facts = &ret->message, .trust = from->trust, .at = from->now };

	if (!from->trust && (ret->message.outer == LAYER_SIGNED || ret->message.outer == LAYER_OTHER))
		return err_set(err, ERR_TEMP, "%s", from->trust_why ? from->trust_why : "the trusted authorities are not there");
	if (smime_verify(&request, &ret->signature, err) == -1) {
		ret->signature = (struct signature_facts){ 0 };
		return -1;
	}
	ret->verified = true;
	return 0;
}

/*
 * Only of a good signature with a good path: anybody can send what was seen before with a bad one, and make certificates
 * without end, whose signatures count for nothing; each would cost a row and an fsync that others wait for. On its way out a
 * signature comes again for each copy, and nobody asks whether it did.
 */
static void
remember(const struct gather_from *from, struct slice bytes, struct gathered *ret)
{
	AUTO_HEAD struct head head = { 0 };

	if (!from->replay || from->role == ROLE_EGRESS || !ret->verified || ret->signature.state != SIGNATURE_GOOD || ret->signature.chain.state != CHAIN_GOOD)
		return;
	head_scan(bytes, &head);
	ret->replay = replay_see(from->replay, ret->signature.value_sha256, &head, from->now, ret->replay_why);
}

static void
ask_signer(const struct gather_from *from, struct gathered *ret)
{
	const struct mailbox_facts *mailbox = &ret->message.from;

	if (ret->verified && ret->signature.has_signer)
		registry_signer(from->registry, &ret->signature.signer, mailbox->state == MAILBOX_ONE ? mailbox->address : "", from->now,
		    &ret->registry.signer);
}

static void
ask(const struct gather_from *from, struct gathered *ret)
{
	const struct message_facts *message = &ret->message;
	const bool one_from = message->from.state == MAILBOX_ONE;

	ret->registry = (struct registry_facts){ .sender_known = -1 };
	if (from->role != ROLE_SUBMISSION)
		ask_domains(from, message, &ret->registry);
	if (from->role == ROLE_SUBMISSION && one_from)
		ask_login(from->registry, from->transport->login, message, from->envelope, from->now, &ret->registry);
	if ((from->role == ROLE_SUBMISSION || from->role == ROLE_LOCAL) && one_from && message->outer == LAYER_NONE)
		ask_certificate(from->registry, from->set, message->from.address, from->now, ret);
	ask_signer(from, ret);
}

void
gather_envelope(const struct gather_from *from, struct gathered *ret)
{
	*ret = (struct gathered){ .registry.sender_known = -1 };
	if (from->role != ROLE_SUBMISSION)
		ask_domains(from, NULL, &ret->registry);
}

int
gather(const struct gather_from *from, struct slice bytes, struct gathered *ret, struct err *err)
{
	int result;

	*ret = (struct gathered){ .registry.sender_known = -1 };
	if (smime_inspect(bytes, &ret->message, err) == -1) {
		ret->message = (struct message_facts){ 0 };
		return -1;
	}
	result = verify(from, bytes, ret, err);
	remember(from, bytes, ret);
	ask(from, ret);
	return result;
}

struct policy_input
gather_input(const struct gather_from *from, const struct gathered *gathered, bool with_message)
{
	return (struct policy_input){
		.transport = from->transport,
		.envelope = from->envelope,
		.message = with_message ? &gathered->message : NULL,
		.registry = &gathered->registry,
		.signature = with_message && gathered->verified ? &gathered->signature : NULL,
		.replay = gathered->replay,
		.replay_why = gathered->replay_why,
		.now = from->now,
	};
}

void
gather_head(const struct gather_from *from, struct slice bytes, struct gathered *ret)
{
	AUTO_HEAD struct head head = { 0 };

	*ret = (struct gathered){ .registry.sender_known = -1 };
	head_scan(bytes, &head);
	if (!head.limit && !head.why)
		mailbox_read(&head, "From", &ret->message.from);
	ask_domains(from, &ret->message, &ret->registry);
}

/* What stands in the head is that of the message as it came; all else is inside. */
static void
look_inside(const struct message_facts *inside, struct message_facts *message)
{
	message->mime = inside->mime;
	memcpy(message->mime_why, inside->mime_why, sizeof(message->mime_why));
	message->outer = inside->outer;
	message->form = inside->form;
	message->material = inside->material;
	message->material_part = inside->material_part;
	memcpy(message->material_by, inside->material_by, sizeof(message->material_by));
	memcpy(message->limit, inside->limit, sizeof(message->limit));
	message->n_parts = inside->n_parts;
	message->depth = inside->depth;
}

void
gather_opened(const struct gather_from *from, struct slice bytes, const struct message_facts *inside,
    const struct signature_facts *signature, struct gathered *gathered)
{
	look_inside(inside, &gathered->message);
	gathered->signature = *signature;
	gathered->verified = true;
	gathered->replay = REPLAY_NOT_ASKED;
	gathered->replay_why[0] = '\0';
	remember(from, bytes, gathered);
	gathered->registry.signer = (struct registry_signer){ .answer = REGISTRY_UNAVAILABLE };
	ask_signer(from, gathered);
}

void
gather_again(const struct gather_from *from, struct gathered *gathered)
{
	gathered_done(gathered);
	ask(from, gathered);
}

void
gathered_done(struct gathered *gathered)
{
	registry_found_done(&gathered->registry.seal);
	prepared_unref(TAKE(gathered->prepared));
}
