#include "milter/reviewd/hold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "milter/log.h"
#include "milter/quarantine/frame.h"
#include "milter/quarantine/item_json.h"
#include "milter/reviewd/answer.h"
#include "smime/box.h"

AUTO_DEFINE(json_t, json_decref);

enum { IDLE_MS = 5 * 1000 };

/* One message on its way in. */
struct arrival {
	struct desk *desk;
	const struct desk_settings *settings;
	int fd;
	uid_t peer;
	struct item item;
	enum answer_word word; /* of a failure */
	struct err err;
};

static int
fail(struct arrival *arrival, enum answer_word word)
{
	arrival->word = word;
	return -1;
}

static int
usage(struct arrival *arrival, const char *text)
{
	err_set(&arrival->err, ERR_TEMP, "%s", text);
	return fail(arrival, ANSWER_USAGE);
}

/* The store's answer; its error may have no text. */
static int
stored(struct arrival *arrival, enum store_outcome outcome)
{
	if (outcome == STORE_DONE)
		return 0;
	if (arrival->err.kind == ERR_NONE)
		err_set(&arrival->err, ERR_TEMP, "%s", store_outcome_name(outcome));
	return fail(arrival, answer_of_store(outcome));
}

static bool
may_hold(const struct desk_settings *settings, uid_t peer)
{
	for (size_t i = 0; i < settings->n_holders; i++)
		if (settings->holders[i] == peer)
			return true;
	return false;
}

static bool
shows(const struct findings *findings, const struct text_list *words)
{
	for (size_t i = 0; i < findings->n; i++)
		for (size_t k = 0; k < words->n; k++)
			if (strcmp(reason_word(findings->at[i].reason), words->at[k]) == 0)
				return true;
	return false;
}

/* Seconds that a body with these findings is kept. */
static long
keep_of(const struct config *config, const struct findings *findings)
{
	const struct retention_setting *rows = config->quarantine.retention.rows;

	for (size_t i = 0; i < config->quarantine.retention.n; i++)
		if (shows(findings, &rows[i].findings))
			return rows[i].keep / 1000;
	return config->quarantine.keep / 1000;
}

/* What could end an SMTP command could never go out again. */
static bool
is_sayable(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)(text ? text : ""); *c; c++)
		if (*c < 0x20 || *c == 0x7f)
			return false;
	return true;
}

static bool
has_envelope(const struct item *item)
{
	if (!is_sayable(item->sender) || !is_sayable(item->sender_parameters))
		return false;
	for (size_t i = 0; i < item->n_recipients; i++)
		if (!*item->recipients[i].address || !is_sayable(item->recipients[i].address) || !is_sayable(item->recipients[i].parameters))
			return false;
	return item->n_recipients > 0 && item->n_recipients <= LIMIT_RECIPIENTS;
}

static int
take_item(struct arrival *arrival, const json_t *request)
{
	const json_t *object;
	struct item *item = &arrival->item;
	int version;

	if (json_unpack((json_t *)(uintptr_t)request, "{s:s, s:i, s:o !}", "op", &(const char *){ NULL }, "version", &version, "item", &object)
	    == -1 || version != 1)
		return usage(arrival, "a hold wants op, version 1 and item, and nothing else");
	if (item_from_json(object, item, &arrival->err) == -1)
		return fail(arrival, ANSWER_USAGE);
	if (!item_id_good(item->id))
		return usage(arrival, "the item's id is none");
	if (item->action != ACTION_HOLD && item->action != ACTION_REJECT_HOLD)
		return usage(arrival, "the item's action is none that holds");
	if (!has_envelope(item))
		return usage(arrival, "the item's envelope is none: no recipients, too many, or a control character in it");
	if (item->size > LIMIT_MESSAGE_BYTES)
		return usage(arrival, "the item's message is larger than a message may be");
	item->state = ITEM_NEW;
	item->expires = time(NULL) + keep_of(arrival->settings->config, &item->findings);
	item->has_body = true;
	return 0;
}

/* What a box of so many bytes has at most: head, and of each chunk its length and its tag. */
static size_t
box_bytes(size_t size)
{
	return BOX_HEADER_BYTES + size + (size / BOX_CHUNK_BYTES + 2) * 20;
}

static bool
is_known_key(struct desk *desk, const unsigned char spki[32])
{
	bool known;

	pthread_mutex_lock(&desk->lock);
	known = desk->has_key && memcmp(desk->spki, spki, sizeof(desk->spki)) == 0;
	pthread_mutex_unlock(&desk->lock);
	return known;
}

static void
remember_key(struct desk *desk, const unsigned char spki[32])
{
	pthread_mutex_lock(&desk->lock);
	memcpy(desk->spki, spki, sizeof(desk->spki));
	desk->has_key = true;
	pthread_mutex_unlock(&desk->lock);
}

/*
 * Mail that is encrypted to a key nobody has is lost, though its sender saw 250. A key agent that is away for a moment says
 * nothing of that, and holding goes on without it.
 */
static int
check_key(struct arrival *arrival, struct slice head)
{
	unsigned char spki[32];
	struct err err = { ERR_NONE, "" };
	bool has = false;

	if (!box_spki(head, spki))
		return usage(arrival, "the body is no box");
	if (is_known_key(arrival->desk, spki))
		return 0;
	if (keyd_has(arrival->settings->keyd, spki, &has, &err) == -1) {
		log_line(LOG_LEVEL_WARNING, "hold: whether the key of quarantine.certificate is there could not be asked: %s", err.text);
		return 0;
	}
	if (has) {
		remember_key(arrival->desk, spki);
		return 0;
	}
	err_set(&arrival->err, ERR_CONFIG, "segel-keyd holds no key that opens it: quarantine.certificate of the filter is not one of keyd.keys "
	    "with purpose decrypt; add the key, or reload segel-milter");
	return fail(arrival, ANSWER_UNAVAILABLE);
}

static int
take_body(struct arrival *arrival, struct incoming *incoming)
{
	const int timeout = (int)arrival->settings->config->quarantine.timeout;
	const size_t most = box_bytes(arrival->item.size);
	AUTO_BUF struct buf piece = { 0 };
	size_t seen = 0;

	buf_init(&piece, FRAME_BYTES);
	for (;;) {
		enum frame_kind kind = FRAME_NONE;
		const int got = frame_take(arrival->fd, &kind, &piece, timeout, &arrival->err);

		if (got != 1)
			return got == 0 ? usage(arrival, "the body broke off") : fail(arrival, ANSWER_USAGE);
		if (kind == FRAME_END)
			return seen > 0 ? 0 : usage(arrival, "there is no body");
		seen += piece.len;
		if (kind != FRAME_DATA || seen > most)
			return usage(arrival, "the body is larger than its item says, or there is something else in it");
		if (seen == piece.len && check_key(arrival, buf_slice(&piece)) == -1)
			return -1;
		if (stored(arrival, incoming_write(incoming, buf_slice(&piece), &arrival->err)) == -1)
			return -1;
	}
}

/* Two arrivals of one message at the same time would both find no first one: the second is deferred. */
static int
enter(struct arrival *arrival)
{
	struct desk *desk = arrival->desk;
	bool busy;

	pthread_mutex_lock(&desk->lock);
	busy = desk->n_holding == DESK_HOLDS;
	for (size_t i = 0; i < desk->n_holding; i++)
		busy = busy || memcmp(desk->holding[i], arrival->item.fingerprint, sizeof(desk->holding[i])) == 0;
	if (!busy)
		memcpy(desk->holding[desk->n_holding++], arrival->item.fingerprint, sizeof(desk->holding[0]));
	pthread_mutex_unlock(&desk->lock);
	if (!busy)
		return 0;
	err_set(&arrival->err, ERR_TEMP, "the same message is being held at this moment");
	return fail(arrival, ANSWER_UNAVAILABLE);
}

static void
leave(struct arrival *arrival)
{
	struct desk *desk = arrival->desk;

	pthread_mutex_lock(&desk->lock);
	for (size_t i = 0; i < desk->n_holding; i++)
		if (memcmp(desk->holding[i], arrival->item.fingerprint, sizeof(desk->holding[i])) == 0) {
			memmove(desk->holding[i], desk->holding[desk->n_holding - 1], sizeof(desk->holding[i]));
			desk->n_holding--;
			break;
		}
	pthread_mutex_unlock(&desk->lock);
}

static int
record(struct arrival *arrival, const char *id, bool again)
{
	const struct item *item = &arrival->item;
	char uid[24], size[24], recipients[24], sha256[2 * 32 + 1];
	const struct audit_pair pairs[] = {
		{ "item", id },
		{ "again", again ? "yes" : "no" },
		{ "uid", uid },
		{ "session", item->session },
		{ "queue", item->queue_id },
		{ "action", action_name(item->action) },
		{ "reason", reason_word(item->reason) },
		{ "class", class_name(item->class) },
		{ "sender", item->sender },
		{ "recipients", recipients },
		{ "from", item->from },
		{ "size", size },
		{ "sha256", sha256 },
	};

	snprintf(uid, sizeof(uid), "%lu", (unsigned long)arrival->peer);
	snprintf(size, sizeof(size), "%zu", item->size);
	snprintf(recipients, sizeof(recipients), "%zu", item->n_recipients);
	for (size_t i = 0; i < sizeof(item->sha256); i++)
		snprintf(sha256 + 2 * i, 3, "%02x", item->sha256[i]);
	if (audit_append(arrival->desk->audit, "hold", pairs, N_ELEMENTS(pairs), NULL, &arrival->err) == 0)
		return 0;
	err_wrap(&arrival->err, "not on record");
	return fail(arrival, ANSWER_UNAVAILABLE);
}

static void
log_held(const struct arrival *arrival, const char *id, bool again)
{
	const struct item *item = &arrival->item;
	AUTO_BUF struct buf line = { 0 };

	buf_init(&line, 4096);
	log_escape(&line, *item->queue_id ? item->queue_id : item->session);
	buf_printf(&line, ": %s item=%s session=", again ? "held already" : "held", id);
	log_escape(&line, item->session);
	buf_printf(&line, " action=%s reason=%s class=%s size=%zu recipients=%zu sender=", action_name(item->action),
	    reason_word(item->reason), class_name(item->class), item->size, item->n_recipients);
	log_escape(&line, item->sender);
	log_message(LOG_LEVEL_INFO, &line);
}

/* It is on record, and there is no item: what stood against it is on record too, or at least in the log. */
static void
take_back(const struct arrival *arrival, const char *id)
{
	const struct audit_pair pairs[] = { { "item", id }, { "session", arrival->item.session }, { "why", arrival->err.text } };
	struct err err = { ERR_NONE, "" };

	if (audit_append(arrival->desk->audit, "hold-failed", pairs, N_ELEMENTS(pairs), NULL, &err) == -1)
		log_line(LOG_LEVEL_ERROR, "item %s is on record, was not held, and that is not on record: %s", id, err.text);
}

static int
keep(struct arrival *arrival, struct incoming *incoming)
{
	if (stored(arrival, incoming_keep(incoming, &arrival->err)) == 0
	    && stored(arrival, store_add(arrival->desk->store, &arrival->item, &arrival->err)) == 0)
		return 0;
	take_back(arrival, arrival->item.id);
	return -1;
}

/*
 * Behind the body: its record, a place for it, its row. `id` becomes the first item's where there is one. The record
 * first: nobody may meet an item, and let it go, whose hold is not on record.
 */
static int
place(struct arrival *arrival, struct incoming *incoming, char id[ITEM_ID_BYTES], bool *again)
{
	const enum store_outcome same = store_find_same(arrival->desk->store, &arrival->item, id, &arrival->err);

	*again = same == STORE_DONE;
	if (!*again && same != STORE_NOT_FOUND)
		return stored(arrival, same);
	arrival->err.kind = ERR_NONE;
	if (!*again)
		snprintf(id, ITEM_ID_BYTES, "%s", arrival->item.id);
	if (record(arrival, id, *again) == -1)
		return -1;
	return *again ? 0 : keep(arrival, incoming);
}

static int
hold(struct arrival *arrival, char id[ITEM_ID_BYTES], bool *again)
{
	AUTO(incoming_free) struct incoming *incoming = NULL;
	struct quarantine *store = arrival->desk->store;

	if (stored(arrival, store_room(store, box_bytes(arrival->item.size), &arrival->err)) == -1)
		return -1;
	if (stored(arrival, incoming_open(store, arrival->item.id, &incoming, &arrival->err)) == -1)
		return -1;
	if (stored(arrival, incoming_charge(incoming, &arrival->item, box_bytes(arrival->item.size), &arrival->err)) == -1)
		return -1;
	if (take_body(arrival, incoming) == -1)
		return -1;
	return place(arrival, incoming, id, again);
}

static int
hold_once(struct arrival *arrival, char id[ITEM_ID_BYTES], bool *again)
{
	int result;

	if (enter(arrival) == -1)
		return -1;
	result = hold(arrival, id, again);
	leave(arrival);
	return result;
}

static void
refuse(struct arrival *arrival)
{
	AUTO_BUF struct buf line = { 0 };
	struct err gone;

	buf_init(&line, 4096);
	log_escape(&line, *arrival->item.session ? arrival->item.session : "-");
	log_line(LOG_LEVEL_ERROR, "not held: session=%s uid=%lu: %s: %s", buf_text(&line), (unsigned long)arrival->peer,
	    answer_word_name(arrival->word), arrival->err.text);
	(void)!answer_error(arrival->fd, arrival->word, arrival->err.text, &gone);
}

/* The message; true = the connection may go on. */
static bool
on_hold(struct arrival *arrival, const json_t *request)
{
	char id[ITEM_ID_BYTES] = "";
	bool again = false;
	struct err gone;

	if (take_item(arrival, request) == -1 || hold_once(arrival, id, &again) == -1) {
		refuse(arrival);
		return false; /* what is left of the body would be read as frames */
	}
	log_held(arrival, id, again);
	return answer_ok(arrival->fd, json_pack("{s:s}", "id", id), &gone) == 0;
}

static bool
on_ping(struct arrival *arrival)
{
	struct err gone;

	if (stored(arrival, store_room(arrival->desk->store, BOX_CHUNK_BYTES, &arrival->err)) == -1)
		return answer_error(arrival->fd, arrival->word, arrival->err.text, &gone) == 0;
	return answer_ok(arrival->fd, NULL, &gone) == 0;
}

static bool
answer_one(struct arrival *arrival, const json_t *request)
{
	const char *op = json_string_value(json_object_get(request, "op"));

	if (op && strcmp(op, "hold") == 0)
		return on_hold(arrival, request);
	if (op && strcmp(op, "ping") == 0)
		return on_ping(arrival);
	usage(arrival, "this socket takes op hold and ping");
	refuse(arrival);
	return false;
}

static bool
serve_one(struct desk *desk, const struct desk_settings *settings, int fd, uid_t peer)
{
	struct arrival arrival = { .desk = desk, .settings = settings, .fd = fd, .peer = peer };
	AUTO(json_decref) json_t *request = frame_take_json(fd, IDLE_MS, &arrival.err);
	bool go_on;

	if (!request) {
		log_line(LOG_LEVEL_WARNING, "hold: connection of uid %lu ends: %s", (unsigned long)peer, arrival.err.text);
		return false;
	}
	go_on = answer_one(&arrival, request);
	item_done(&arrival.item);
	return go_on;
}

void
hold_serve(struct desk *desk, int fd, uid_t peer)
{
	bool go_on = true;

	while (go_on && desk_wait(desk, fd, IDLE_MS) == 1) {
		const struct desk_settings *settings = desk_ref(desk);

		go_on = may_hold(settings, peer);
		if (!go_on) {
			struct err gone;

			log_line(LOG_LEVEL_WARNING, "hold: uid %lu is none of quarantine.holders and gives nothing", (unsigned long)peer);
			(void)!answer_error(fd, ANSWER_DENIED, "your user is none of quarantine.holders", &gone);
		} else {
			go_on = serve_one(desk, settings, fd, peer);
		}
		desk_unref(desk, settings);
	}
}
