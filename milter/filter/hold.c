#include "milter/filter/hold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/identity.h"
#include "smime/cert.h"
#include "smime/head.h"
#include "smime/hash.h"
#include "smime/words.h"

static bool
has_written_envelope(const struct message *message)
{
	for (size_t i = 0; i < message->n_recipients; i++)
		if (!words_are_utf8(message->recipients[i].address) || !words_are_utf8(message->recipients[i].parameters))
			return false;
	return words_are_utf8(message->envelope.sender) && (!message->sender_parameters || words_are_utf8(message->sender_parameters));
}

bool
hold_possible(const struct message *message)
{
	return !buf_full(&message->bytes) && !message->sender_cut && message->n_recipients == message->envelope.n_recipients
	    && has_written_envelope(message);
}

/* Tells a retry from a second message: the same bytes, from and to the same addresses. */
static void
fingerprint(const struct message *message, unsigned char sha256[32], unsigned char ret[32])
{
	struct hash *both = hash_new();
	const struct slice bytes = buf_slice(&message->bytes);

	hash_of(bytes, sha256);
	hash_add(both, (struct slice){ sha256, 32 });
	hash_add(both, (struct slice){ (const unsigned char *)message->envelope.sender, strlen(message->envelope.sender) + 1 });
	for (size_t i = 0; i < message->n_recipients; i++)
		hash_add(both, (struct slice){ (const unsigned char *)message->recipients[i].address,
		    strlen(message->recipients[i].address) + 1 });
	hash_end(&both, ret);
}

/* The words of the message that a list shows. */
static void
describe(const struct hold_request *request, struct item *item)
{
	const struct message_facts *facts = &request->gathered->message;
	AUTO_HEAD struct head head = { 0 };
	const struct field *subject;

	snprintf(item->from, sizeof(item->from), "%s", facts->from.state == MAILBOX_ONE ? facts->from.address : "");
	snprintf(item->message_id, sizeof(item->message_id), "%s", facts->message_id);
	head_scan(buf_slice(&request->message->bytes), &head);
	subject = head_find(&head, "Subject", 0);
	if (subject)
		words_decode(slice_trim(subject->value), item->subject, sizeof(item->subject));
}

/* A process that dies of these words is known to have. Not so while segel-reviewd is waited for: that is nobody's fault. */
static void
describe_carefully(const struct hold_request *request, struct item *item)
{
	if (request->unparsed || poison_enter(request->poison, request->hash))
		return;
	describe(request, item);
	poison_leave(request->poison, request->hash);
}

static void
describe_signer(const struct cert_facts *signer, struct item *item)
{
	snprintf(item->signer_subject, sizeof(item->signer_subject), "%s", signer->subject);
	snprintf(item->signer_issuer, sizeof(item->signer_issuer), "%s", signer->issuer);
	snprintf(item->signer_serial, sizeof(item->signer_serial), "%s", signer->serial);
	sha256_hex(signer->sha256, item->signer_sha256);
}

static void
describe_identity(const struct hold_request *request, struct item *item)
{
	const struct gather_from from = { .envelope = &request->message->envelope, .transport = &request->message->transport,
		.now = request->now };
	struct policy_input input = gather_input(&from, request->gathered, true);
	struct identity_facts identity;

	input.config = request->message->snapshot->config;
	input.class = request->class;
	identity_judge(&input, &identity);
	snprintf(item->identity, sizeof(item->identity), "%s%s%s", identity_name(identity.state), *identity.why ? ": " : "", identity.why);
}

/* What was found out, in words. */
static void
describe_signature(const struct hold_request *request, struct item *item)
{
	const struct gathered *gathered = request->gathered;
	const struct signature_facts *signature = &gathered->signature;
	const struct chain_facts *chain = &signature->chain;

	if (!gathered->verified)
		return;
	snprintf(item->signature, sizeof(item->signature), "%s, coverage %s%s%s", signature_state_name(signature->state),
	    coverage_name(signature->coverage), *signature->why ? ": " : "", signature->why);
	if (!signature->has_signer)
		return;
	describe_signer(&signature->signer, item);
	snprintf(item->chain, sizeof(item->chain), "%s, anchor %s, %zu certificates%s%s", chain_state_name(chain->state),
	    anchor_name(chain->anchor), chain->length, *chain->why ? ": " : "", chain->why);
	snprintf(item->revocation, sizeof(item->revocation), "%s%s%s", revocation_state_name(chain->revocation),
	    *chain->revocation_why ? ": " : "", chain->revocation_why);
	snprintf(item->registry, sizeof(item->registry), "%s", gathered->registry.signer.why);
	describe_identity(request, item);
}

static void
describe_envelope(const struct message *message, struct item *item)
{
	snprintf(item->sender, sizeof(item->sender), "%s", message->envelope.sender);
	item->sender_parameters = xstrdup(message->sender_parameters ? message->sender_parameters : "");
	item->recipients = xcalloc(message->n_recipients ? message->n_recipients : 1, sizeof(*item->recipients));
	for (size_t i = 0; i < message->n_recipients; i++) {
		item->recipients[i].address = xstrdup(message->recipients[i].address);
		item->recipients[i].parameters = xstrdup(message->recipients[i].parameters);
	}
	item->n_recipients = message->n_recipients;
}

int
hold_message(const struct hold_request *request, char id[ITEM_ID_BYTES], struct err *err)
{
	const struct message *message = request->message;
	AUTO_ITEM struct item item = {
		.arrived = request->now,
		.class = request->class,
		.action = request->verdict->action,
		.reason = request->verdict->reason,
		.findings = *request->findings,
		.transport = message->transport,
		.size = message->bytes.len,
		.unparsed = request->unparsed,
	};

	if (!message->snapshot->depot)
		return err_set(err, ERR_TEMP, "there is no quarantine (quarantine.certificate is empty)");
	if (item_new_id(item.id, err) == -1)
		return -1;
	snprintf(item.role, sizeof(item.role), "%s", request->role);
	snprintf(item.queue_id, sizeof(item.queue_id), "%s", request->queue_id);
	snprintf(item.authserv_id, sizeof(item.authserv_id), "%s", request->authserv_id);
	snprintf(item.session, sizeof(item.session), "%s", message->id);
	fingerprint(message, item.sha256, item.fingerprint);
	describe_envelope(message, &item);
	describe_carefully(request, &item);
	describe_signature(request, &item);
	return depot_hold(message->snapshot->depot, &item, buf_slice(&message->bytes), id, err);
}
