#include "milter/reviewd/deliver.h"

#include <stdlib.h>
#include <string.h>

#include "milter/filter/edit.h"
#include "milter/reviewd/smtp.h"
#include "smime/hash.h"

enum { WHAT_IS_FOLDED = 4096 };

/* A value folded as the MTA's library wants it, with the line ends of the wire. */
static void
add_field(const char *value, struct buf *ret)
{
	buf_init(ret, RESULTS_BYTES + WHAT_IS_FOLDED);
	buf_add_text(ret, "Authentication-Results: ");
	for (; *value; value++) {
		if (*value == '\n')
			buf_add_text(ret, "\r");
		buf_add(ret, value, 1);
	}
	buf_add_text(ret, "\r\n");
}

/* One field with its folds, from `at`; empty where the head ends. Any number, of any length: it was held for that, perhaps. */
static struct slice
field_at(const unsigned char *at, const unsigned char *end)
{
	const unsigned char *to = at;

	if (at == end || *at == '\n' || (*at == '\r' && at + 1 < end && at[1] == '\n'))
		return (struct slice){ at, 0 };
	do {
		const unsigned char *feed = memchr(to, '\n', (size_t)(end - to));

		to = feed ? feed + 1 : end;
	} while (to < end && (*to == ' ' || *to == '\t'));
	return (struct slice){ at, (size_t)(to - at) };
}

/* Readers pass over blanks before the colon. A line without one stays. */
static bool
must_go(struct slice raw, const char *authserv_id)
{
	const unsigned char *colon = memchr(raw.at, ':', raw.len);
	struct field field = { .raw = raw };

	if (!colon)
		return false;
	field.name = slice_trim((struct slice){ raw.at, (size_t)(colon - raw.at) });
	field.value = slice_trim((struct slice){ colon + 1, (size_t)(raw.at + raw.len - colon - 1) });
	return edit_is_forged(&field, authserv_id);
}

/* From the beginning of the message up to each field that goes; then the rest. Without results of ours nothing changes. */
struct slice *
deliver_pieces(struct slice message, const char *authserv_id, const char *results, struct buf *ours, size_t *n)
{
	const unsigned char *end = message.at + message.len, *from = message.at;
	struct slice *pieces = xcalloc(2, sizeof(*pieces));
	struct slice raw;

	*n = 0;
	if (!results) {
		pieces[(*n)++] = message;
		return pieces;
	}
	add_field(results, ours);
	pieces[(*n)++] = buf_slice(ours);
	for (const unsigned char *at = message.at; (raw = field_at(at, end)).len; at += raw.len) {
		if (!must_go(raw, authserv_id))
			continue;
		pieces = xrealloc(pieces, (*n + 2) * sizeof(*pieces));
		pieces[(*n)++] = (struct slice){ from, (size_t)(raw.at - from) };
		from = raw.at + raw.len;
	}
	pieces[(*n)++] = (struct slice){ from, (size_t)(end - from) };
	return pieces;
}

static int
keep(void *ctx, struct slice bytes, struct err *err)
{
	struct buf *message = ctx;

	buf_add_slice(message, bytes);
	return buf_full(message) ? err_set(err, ERR_CONFIG, "its body is larger than a message may be") : 0;
}

static int
fetch(struct desk *desk, const struct desk_settings *settings, const struct item *item, struct buf *ret, struct err *err)
{
	const struct box_sink sink = { keep, ret };
	unsigned char hash[HASH_BYTES];

	buf_init(ret, LIMIT_MESSAGE_BYTES);
	buf_reserve(ret, item->size);
	if (body_read(desk, settings, item, "release", &sink, err) == -1)
		return -1;
	hash_of(buf_slice(ret), hash);
	if (memcmp(hash, item->sha256, sizeof(hash)) != 0)
		return err_set(err, ERR_CONFIG, "its body is not the message that was held");
	return 0;
}

static const char *
parameters_of(const struct item *item, const char *recipient)
{
	for (size_t i = 0; i < item->n_recipients; i++)
		if (strcmp(item->recipients[i].address, recipient) == 0)
			return item->recipients[i].parameters ? item->recipients[i].parameters : "";
	return "";
}

static size_t
count(const char *const *recipients)
{
	size_t n = 0;

	while (recipients[n])
		n++;
	return n;
}

static enum deliver_outcome
send_pieces(const struct desk_settings *settings, const struct item *item, const char *const *recipients, const struct slice *pieces,
    size_t n_pieces, struct err *err)
{
	const struct config *config = settings->config;
	const size_t n = count(recipients);
	AUTO(xfree) struct smtp_recipient *to = xcalloc(n ? n : 1, sizeof(*to));
	const struct smtp_letter letter = { item->sender, item->sender_parameters ? item->sender_parameters : "", to, n, pieces, n_pieces };

	for (size_t i = 0; i < n; i++)
		to[i] = (struct smtp_recipient){ recipients[i], parameters_of(item, recipients[i]) };
	switch (smtp_send(config->quarantine.release_to, &letter, (int)config->quarantine.release_timeout, err)) {
	case SMTP_UNKNOWN:
		return DELIVER_UNKNOWN;
	case SMTP_AWAY:
		return DELIVER_AWAY;
	case SMTP_LATER:
		return DELIVER_LATER;
	case SMTP_REFUSED:
		return DELIVER_REFUSED;
	case SMTP_TAKEN:
		return DELIVER_DONE;
	}
	return DELIVER_UNKNOWN;
}

enum deliver_outcome
deliver(struct desk *desk, const struct desk_settings *settings, const struct item *item, const char *const *recipients,
    const struct rejudged *judged, struct err *err)
{
	AUTO_BUF struct buf message = { 0 };
	AUTO_BUF struct buf ours = { 0 };
	AUTO(xfree) struct slice *pieces = NULL;
	enum deliver_outcome outcome;
	size_t n;

	if (fetch(desk, settings, item, &message, err) == -1)
		return DELIVER_REFUSED; /* nothing was sent */
	pieces = deliver_pieces(buf_slice(&message), item->authserv_id, item->class == CLASS_EGRESS ? NULL : judged->results, &ours, &n);
	outcome = send_pieces(settings, item, recipients, pieces, n, err);
	wipe(message.at, message.len);
	return outcome;
}
