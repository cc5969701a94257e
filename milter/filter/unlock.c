#include "milter/filter/unlock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "milter/keyd/client.h"
#include "milter/log.h"
#include "policy/recipient.h"
#include "policy/registry/entitle.h"

enum {
	SLOT_MS = 100,             /* more than it takes to ask the key agent twice, and decrypt.h's own slot between */
	LARGE_BYTES = 1024 * 1024, /* from here on memory is dearer than writing a file that mostly never reaches the disk */
};

/* One message on its way through this file. */
struct unlocking {
	const struct unlock_from *from;
	struct gathered *gathered;
	struct unlocked *ret;
	struct open_context context; /* borrows */
	struct keyd_opener agent;
	struct rcpt_address *recipients; /* owned */
	const char **addresses;          /* owned; borrows from `recipients` */
	size_t n_recipients;
	bool watched;                /* poison_enter() was called, and not taken back */
};

static void
unlocking_done(struct unlocking *unlocking)
{
	free(unlocking->recipients);
	free(unlocking->addresses);
}

static inline void auto_unlocking_done(struct unlocking *unlocking) { unlocking_done(unlocking); }
#define AUTO_UNLOCKING __attribute__((cleanup(auto_unlocking_done)))

static void
conclude(struct unlocking *unlocking, enum decryption decryption, const char *why)
{
	snprintf(unlocking->ret->why, sizeof(unlocking->ret->why), "%s", why);
	unlocking->ret->decryption = decryption;
}

/* ---- who may have it ---- */

/* False: one of them cannot be read in one way, or they are not all known. */
static bool
read_recipients(struct unlocking *unlocking)
{
	const struct message *message = unlocking->from->message;

	if (message->n_recipients == 0 || message->n_recipients != message->envelope.n_recipients)
		return false;
	unlocking->recipients = xcalloc(message->n_recipients, sizeof(*unlocking->recipients));
	unlocking->addresses = xcalloc(message->n_recipients, sizeof(*unlocking->addresses));
	for (size_t i = 0; i < message->n_recipients; i++) {
		struct rcpt_address *recipient = &unlocking->recipients[i];

		rcpt_read(message->recipients[i].address, message->recipients[i].resolved, recipient);
		if (recipient->form != RCPT_FORM_PLAIN)
			return false;
		unlocking->addresses[i] = recipient->address;
	}
	unlocking->n_recipients = message->n_recipients;
	return true;
}

/* *ret is the caller's, whatever this returns. False: it is concluded. */
static bool
may_have_it(struct unlocking *unlocking, struct registry_entitle *ret)
{
	const struct gather_from *gather = &unlocking->from->gather;

	if (!read_recipients(unlocking)) {
		conclude(unlocking, DECRYPTION_NOT_OURS, "");
		return false;
	}
	registry_entitle(gather->registry, unlocking->addresses, unlocking->n_recipients, gather->now, ret);
	switch (ret->answer) {
	case ENTITLE_FOUND:
		return true;
	case ENTITLE_NONE:
		conclude(unlocking, DECRYPTION_NOT_OURS, "");
		return false;
	case ENTITLE_UNAVAILABLE:
		break;
	}
	conclude(unlocking, DECRYPTION_NO_REGISTRY, ret->why);
	return false;
}

/* ---- the key agent ---- */

static void
watch(struct unlocking *unlocking, bool on)
{
	const struct unlock_from *from = unlocking->from;

	if (on == unlocking->watched)
		return;
	if (on)
		unlocking->watched = !poison_enter(from->poison, from->hash);
	else
		poison_leave(from->poison, from->hash);
	if (!on)
		unlocking->watched = false;
}

/* While the agent is waited for, nobody reads the message: an end of the process then is not its fault. */
static int
unwrap(void *ctx, const unsigned char spki[32], const struct key_transport *how, unsigned char content[KEY_CONTENT_BYTES],
    enum key_opening *ret, struct err *err)
{
	struct unlocking *unlocking = ctx;
	const struct opener opener = keyd_opener_of(&unlocking->agent);
	int result;

	watch(unlocking, false);
	result = opener.unwrap(opener.ctx, spki, how, content, ret, err);
	watch(unlocking, true);
	return result;
}

static int
derive(void *ctx, const unsigned char spki[32], const struct key_agreement *how, unsigned char content[KEY_CONTENT_BYTES],
    enum key_opening *ret, struct err *err)
{
	struct unlocking *unlocking = ctx;
	const struct opener opener = keyd_opener_of(&unlocking->agent);
	int result;

	watch(unlocking, false);
	result = opener.derive(opener.ctx, spki, how, content, ret, err);
	watch(unlocking, true);
	return result;
}

static void
introduce(struct unlocking *unlocking)
{
	const struct unlock_from *from = unlocking->from;
	const struct mailbox_facts *mailbox = &unlocking->gathered->message.from;

	unlocking->context = (struct open_context){
		.queue_id = from->queue_id,
		.session = from->message->id,
		.from = mailbox->state == MAILBOX_ONE ? mailbox->address : "",
		.recipient = unlocking->addresses[0],
		.sender = from->message->transport.client,
	};
	unlocking->agent = (struct keyd_opener){ from->message->snapshot->keyd, &unlocking->context };
}

/* ---- what came of it ---- */

static void
wait_for_slot(const struct unlocking *unlocking)
{
	const long ms = milliseconds_since(&unlocking->ret->began);
	const long rest = (ms / SLOT_MS + 1) * SLOT_MS - ms;
	struct timespec pause = { .tv_sec = rest / 1000, .tv_nsec = rest % 1000 * 1000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, &pause) != 0)
		continue;
}

/* The agent counts, and keeps why; where it had stopped trying there is nothing to count. Both take as long. */
static void
fail(struct unlocking *unlocking, const struct decrypt_facts *facts)
{
	struct err err = { ERR_NONE, "" };

	conclude(unlocking, DECRYPTION_FAILED, "");
	if (!facts->limited && keyd_failed(unlocking->agent.client, &unlocking->context, facts->spki, &err) == -1)
		log_line(LOG_LEVEL_WARNING, "%s: that it did not open could not be counted: %s", unlocking->from->message->id, err.text);
	wait_for_slot(unlocking);
}

/* *ret: the ground that holds; of two the stronger one. */
static bool
find_ground(const struct decrypted *decrypted, enum decrypt_ground *ret)
{
	struct plain plain;

	*ret = GROUND_CIPHER;
	if (decrypted_plain(decrypted, GROUND_CIPHER, &plain))
		return true;
	*ret = GROUND_SIGNATURE;
	return decrypted_plain(decrypted, GROUND_SIGNATURE, &plain);
}

/* The facts of the message as it came are kept. Role inbound's own nothing, so that a copy will do. */
static void
take_inside(struct unlocking *unlocking, struct decrypted **decrypted, const struct message_facts *inside)
{
	const struct unlock_from *from = unlocking->from;
	struct unlocked *ret = unlocking->ret;

	ret->before = xcalloc(1, sizeof(*ret->before));
	*ret->before = *unlocking->gathered;
	ret->decrypted = TAKE(*decrypted);
	gather_opened(&from->gather, buf_slice(&from->message->bytes), inside, decrypted_signature(ret->decrypted), unlocking->gathered);
	conclude(unlocking, DECRYPTION_DONE, "");
}

static void
settle(struct unlocking *unlocking, struct decrypted **decrypted)
{
	const struct decrypt_facts *facts = decrypted_facts(*decrypted);
	struct message_facts inside;
	struct err err = { ERR_NONE, "" };

	switch (facts->state) {
	case DECRYPT_NONE:
		return;
	case DECRYPT_OTHERS:
	case DECRYPT_UNSUPPORTED:
	case DECRYPT_MALFORMED:
		conclude(unlocking, DECRYPTION_NOT_OURS, "");
		return;
	case DECRYPT_FAILED:
		fail(unlocking, facts);
		return;
	case DECRYPT_OPENED:
		if (!find_ground(*decrypted, &unlocking->ret->ground))
			fail(unlocking, facts);
		else if (decrypted_inspect(*decrypted, &inside, &err) == -1)
			conclude(unlocking, DECRYPTION_NO_KEY, err.text);
		else
			take_inside(unlocking, decrypted, &inside);
		return;
	case DECRYPT_UNKNOWN:
		break;
	}
	conclude(unlocking, DECRYPTION_NO_KEY, "could not be found out");
}

/* Nothing comes of it where an opaque signature lies around it: then it is given back. */
static void
lend(const struct unlocking *unlocking, struct buf *ret)
{
	struct message *message = unlocking->from->message;
	struct err err = { ERR_NONE, "" };

	if (message->bytes.len >= LARGE_BYTES && message_lend(message, unlocking->from->dir, ret, &err) == -1)
		log_line(LOG_LEVEL_DEBUG, "%s: opened beside the message: %s", message->id, err.text);
}

static void
try(struct unlocking *unlocking, const struct registry_entitle *entitled)
{
	AUTO(decrypted_free) struct decrypted *decrypted = NULL;
	const struct gather_from *gather = &unlocking->from->gather;
	struct message *message = unlocking->from->message;
	struct slice certs[ENTITLE_CERTS];
	AUTO_BUF struct buf lent = { 0 };
	struct decrypt_request request = {
		.message = buf_slice(&message->bytes), /* where that is, also when it is lent */
		.facts = &unlocking->gathered->message,
		.certs = certs,
		.n_certs = entitled->n_certs,
		.opener = { unwrap, derive, unlocking },
		.trust = gather->trust,
		.at = gather->now,
	};
	struct err err = { ERR_NONE, "" };

	for (size_t i = 0; i < entitled->n_certs; i++)
		certs[i] = (struct slice){ entitled->certs[i].der, entitled->certs[i].der_len };
	lend(unlocking, &lent);
	request.spend = lent.at ? &lent : NULL;
	if (smime_decrypt(&request, &decrypted, &err) == -1)
		conclude(unlocking, DECRYPTION_NO_KEY, err.text);
	else
		settle(unlocking, &decrypted);
	if (lent.at)
		message_give_back(message, &lent);
}

/* As whoever verified it has seen, whatever its fields say it is. */
static bool
is_encrypted(const struct gathered *gathered)
{
	return gathered->verified && gathered->signature.encrypted;
}

void
unlock_message(const struct unlock_from *from, struct gathered *gathered, struct unlocked *ret)
{
	AUTO_UNLOCKING struct unlocking unlocking = { .from = from, .gathered = gathered, .ret = ret };
	AUTO_ENTITLE struct registry_entitle entitled = { .answer = ENTITLE_UNAVAILABLE };

	*ret = (struct unlocked){ .decryption = DECRYPTION_NOT_TRIED };
	if (!is_encrypted(gathered))
		return;
	clock_gettime(CLOCK_MONOTONIC, &ret->began);
	if (!may_have_it(&unlocking, &entitled))
		return;
	if (!from->gather.trust) {
		/* A signature inside could not be judged, and must not be taken for one of no authority. */
		conclude(&unlocking, DECRYPTION_NO_KEY, from->gather.trust_why ? from->gather.trust_why : "the trusted authorities are not there");
		return;
	}
	introduce(&unlocking);
	watch(&unlocking, true);
	if (unlocking.watched)
		try(&unlocking, &entitled);
	else
		conclude(&unlocking, DECRYPTION_NO_KEY, "it was in hand when a process died");
	watch(&unlocking, false);
}

/* As if it had never been looked into. */
static void
shut(struct gathered *gathered, struct unlocked *unlocked, enum decryption decryption)
{
	*gathered = *unlocked->before;
	decrypted_free(TAKE(unlocked->decrypted));
	unlocked->ground = GROUND_UNKNOWN;
	unlocked->decryption = decryption;
}

void
unlock_defer(struct gathered *gathered, struct unlocked *unlocked, const char *why)
{
	snprintf(unlocked->why, sizeof(unlocked->why), "%s", why);
	shut(gathered, unlocked, DECRYPTION_NO_KEY);
}

void
unlock_refuse(const struct unlock_from *from, struct gathered *gathered, struct unlocked *unlocked)
{
	AUTO_UNLOCKING struct unlocking unlocking = { .from = from, .gathered = gathered, .ret = unlocked };

	if (read_recipients(&unlocking)) { /* it could, when they were asked for */
		introduce(&unlocking);
		fail(&unlocking, decrypted_facts(unlocked->decrypted));
	}
	shut(gathered, unlocked, DECRYPTION_FAILED);
}

int
unlocked_restore(struct unlocked *unlocked, struct message *message, struct err *err)
{
	if (unlocked->decrypted)
		decrypted_forget(unlocked->decrypted);
	return message_restore(message, err);
}

void
unlocked_done(struct unlocked *unlocked)
{
	decrypted_free(TAKE(unlocked->decrypted));
	free(unlocked->before);
	unlocked->before = NULL;
}
