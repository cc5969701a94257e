#include "milter/split/handle.h"

#include <string.h>
#include <time.h>

#include "milter/log.h"
#include "milter/split/deliver.h"
#include "milter/split/transform.h"

/* One letter on its way. */
struct passage {
	struct station *station;
	const struct split_snapshot *snapshot;
	const struct letter *letter;
	unsigned char key[HASH_BYTES];
	time_t now;
	struct transformed copy;
	bool again;         /* it was handed on before, and nobody knows whether it was taken */
	const char *action; /* accept defer reject repeat */
	struct err err;     /* why it is deferred */
	struct reply *reply;
};

static void
defer(struct passage *passage, const char *text)
{
	passage->action = "defer";
	reply_set(passage->reply, 451, "4.3.0", "%s", text);
}

/* ---- the record ---- */

static void
add_word(struct buf *line, const char *name, const char *value)
{
	buf_printf(line, " %s=", name);
	log_escape(line, value);
}

static void
add_next_hop(struct buf *line, const struct reply *reply)
{
	const char *text = buf_text(&reply->lines);
	AUTO(xfree) char *first = xstrndup(text, strcspn(text, "\r\n"));

	add_word(line, "answer", first);
}

static void
record(const struct passage *passage)
{
	const struct transformed *copy = &passage->copy;
	AUTO_BUF struct buf line = { 0 };

	buf_init(&line, 4096);
	log_escape(&line, letter_id(passage->letter));
	buf_printf(&line, ": action=%s", passage->action);
	if (copy->reason != REASON_UNKNOWN)
		add_word(&line, "reason", reason_word(copy->reason));
	add_word(&line, "to", passage->letter->recipient);
	if (*copy->from)
		add_word(&line, "from", copy->from);
	if (*copy->signer)
		add_word(&line, "signer", copy->signer);
	if (copy->class)
		add_word(&line, "class", copy->class);
	if (copy->action == TRANSFORM_SEND)
		add_word(&line, "encrypted", copy->would_encrypt ? "yes" : "no");
	if (copy->pretend)
		add_word(&line, "pretend", "yes");
	buf_printf(&line, " size=%zu", passage->letter->bytes.len);
	if (passage->again)
		add_word(&line, "again", "yes");
	if (*copy->evidence)
		add_word(&line, "evidence", copy->evidence);
	add_next_hop(&line, passage->reply);
	if (passage->err.kind != ERR_NONE)
		add_word(&line, "why", passage->err.text);
	log_message(strcmp(passage->action, "defer") == 0 ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, &line);
}

/* ---- steps; false: the reply is there ---- */

/* Nothing is done twice, and nothing at the same time. */
static bool
remember(struct passage *passage)
{
	switch (memory_begin(passage->station->memory, passage->key, passage->now, &passage->err)) {
	case MEMORY_NEW:
		return true;
	case MEMORY_AGAIN:
		passage->again = true;
		return true;
	case MEMORY_DONE:
		passage->action = "repeat";
		reply_set(passage->reply, 250, "2.0.0", "The next hop has it since before");
		return false;
	case MEMORY_BUSY:
		defer(passage, "This very copy is on its way just now");
		return false;
	case MEMORY_UNAVAILABLE:
		break;
	}
	defer(passage, "The memory of copies cannot be asked now");
	return false;
}

/* A sender gets the evidence of what is wrong with the message, not of our own troubles. */
static void
refuse(struct passage *passage)
{
	const struct transformed *copy = &passage->copy;
	const struct reason_row *row = reason_row(copy->reason);
	const bool reject = copy->action == TRANSFORM_REFUSE;
	const char *evidence = reject ? copy->evidence : "";

	passage->action = reject ? "reject" : "defer";
	reply_set(passage->reply, reject ? 550 : 451, reject ? row->status : row->defer, "%s: %s%s%s%s", row->word,
	    reason_text(copy->reason, (enum language)passage->snapshot->config->language), *evidence ? " (" : "", evidence,
	    *evidence ? ")" : "");
}

static bool
transform(struct passage *passage)
{
	transform_letter(passage->snapshot, passage->letter, passage->now, &passage->copy);
	if (passage->copy.action == TRANSFORM_SEND)
		return true;
	refuse(passage);
	return false;
}

static bool
pending(struct passage *passage)
{
	if (memory_pending(passage->station->memory, passage->key, passage->now, &passage->err) == 0)
		return true;
	defer(passage, "The memory of copies cannot be written now");
	return false;
}

/* The next hop has it: whatever our memory does, the MTA must not send it again. */
static void
taken(struct passage *passage)
{
	struct err err;

	passage->action = "accept";
	if (memory_done(passage->station->memory, passage->key, passage->now, &err) == -1)
		log_line(LOG_LEVEL_WARNING, "%s; the message was handed on, and would be a second time if the MTA asked again", err.text);
}

static void
not_taken(struct passage *passage)
{
	struct err err;

	if (memory_drop(passage->station->memory, passage->key, &err) == -1)
		log_line(LOG_LEVEL_WARNING, "%s; its row stays, which does no harm", err.text);
}

static int
write_encrypted(void *ctx, const struct box_sink *sink, struct err *err)
{
	return encrypt_write(ctx, sink, err);
}

static void
deliver(struct passage *passage)
{
	struct encrypted *encrypted = passage->copy.encrypted;
	const struct deliver_message message = { .pieces = &passage->copy.message, .rest = encrypted ? write_encrypted : NULL,
		.ctx = encrypted, .rest_len = encrypted ? encrypted->body_len : 0 };
	const struct config *config = passage->snapshot->config;
	const struct deliver_settings settings = { config->split.next_hop, passage->station->host, (int)config->split.next_timeout };

	switch (deliver_copy(&settings, passage->letter, &message, passage->reply, &passage->err)) {
	case DELIVERED:
		taken(passage);
		return;
	case DELIVERED_NEVER:
		not_taken(passage);
		passage->action = "reject";
		return;
	case DELIVERED_LATER:
		not_taken(passage);
		passage->action = "defer";
		break;
	case DELIVERED_UNSURE:
		passage->action = "defer";
		break;
	}
	if (reply_code(passage->reply) / 100 != 4)
		reply_set(passage->reply, 451, "4.4.0", "The next hop did not take it");
}

static void
pass(struct passage *passage)
{
	if (!remember(passage))
		return;
	if (transform(passage) && pending(passage))
		deliver(passage);
	memory_end(passage->station->memory, passage->key);
}

void
handle_letter(struct station *station, const struct letter *letter, struct reply *ret)
{
	struct passage passage = { .station = station, .snapshot = station_ref(station), .letter = letter, .now = time(NULL), .action = "defer",
		.reply = ret };

	memory_key(letter, passage.key);
	pass(&passage);
	record(&passage);
	transformed_done(&passage.copy);
	station_unref(station, passage.snapshot);
}
