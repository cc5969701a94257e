#include "milter/filter/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smime/head.h"

struct message *
message_new(struct snapshot_box *box, uint64_t session, unsigned number, bool handed_in)
{
	struct message *message = xcalloc(1, sizeof(*message));

	message->box = box;
	message->snapshot = snapshot_ref(box);
	snprintf(message->id, sizeof(message->id), "%012" PRIx64 ".%u", session & 0xffffffffffff, number);
	clock_gettime(CLOCK_MONOTONIC, &message->began);
	/* One byte more than allowed, so that what is too large is seen to be. */
	buf_init(&message->bytes, (size_t)config_largest(message->snapshot->config, handed_in) + 1);
	return message;
}

void
message_free(struct message *message)
{
	if (!message)
		return;
	snapshot_unref(message->box, message->snapshot);
	buf_done(&message->bytes);
	parked_free(message->parked);
	for (size_t i = 0; i < message->n_recipients; i++) {
		free(message->recipients[i].address);
		free(message->recipients[i].resolved);
		free(message->recipients[i].parameters);
	}
	free(message->recipients);
	recipients_done(&message->joined);
	free(message->sender_parameters);
	free(message);
}

static struct slice
without_brackets(const char *path)
{
	const size_t len = strlen(path);

	if (len >= 2 && path[0] == '<' && path[len - 1] == '>')
		return (struct slice){ (const unsigned char *)path + 1, len - 2 };
	return slice_of(path);
}

void
message_set_sender(struct message *message, const char *path)
{
	struct envelope_facts *envelope = &message->envelope;
	struct slice address = without_brackets(path);

	if (address.len > LIMIT_ADDRESS_BYTES) {
		envelope->sender_too_long = true;
		message->sender_cut = true;
		address.len = LIMIT_ADDRESS_BYTES;
	}
	memcpy(envelope->sender, address.at, address.len);
	envelope->sender[address.len] = '\0';
}

/* With a blank between. A parameter of ESMTP holds none (RFC 5321 4.1.2). */
static char *
joined(char *const *parameters)
{
	AUTO_BUF struct buf all = { 0 };

	buf_init(&all, LIMIT_HEADER_BYTES);
	for (; parameters && *parameters; parameters++)
		buf_printf(&all, "%s%s", all.len ? " " : "", *parameters);
	return xstrdup(buf_text(&all));
}

void
message_set_parameters(struct message *message, char *const *parameters)
{
	free(message->sender_parameters);
	message->sender_parameters = joined(parameters);
}

void
message_add_recipient(struct message *message, const char *path, const char *resolved, char *const *parameters)
{
	message->envelope.n_recipients++;
	if (message->n_recipients == LIMIT_RECIPIENTS)
		return;
	message->recipients = xrealloc(message->recipients, (message->n_recipients + 1) * sizeof(*message->recipients));
	message->recipients[message->n_recipients++] = (struct message_recipient){
		.address = slice_dup(without_brackets(path)),
		.resolved = resolved ? xstrdup(resolved) : NULL,
		.parameters = joined(parameters),
	};
}

void
message_set_resolved(struct message *message, const char *address)
{
	struct envelope_facts *envelope = &message->envelope;

	if (!address)
		return;
	if (strlen(address) > LIMIT_ADDRESS_BYTES)
		envelope->sender_too_long = true;
	snprintf(envelope->resolved, sizeof(envelope->resolved), "%s", address);
}

static void
add(struct message *message, const void *bytes, size_t len)
{
	message->seen += len;
	buf_add(&message->bytes, bytes, len);
}

void
message_add_field(struct message *message, const char *name, const char *value, bool exact)
{
	add(message, name, strlen(name));
	add(message, exact ? ":" : ": ", exact ? 1 : 2);
	while (*value) {
		size_t len = strcspn(value, "\n");

		add(message, value, len);
		value += len;
		if (*value == '\n') {
			bool has_cr = len > 0 && value[-1] == '\r';

			add(message, has_cr ? "\n" : "\r\n", has_cr ? 1 : 2);
			value++;
		}
	}
	add(message, "\r\n", 2);
}

void
message_end_header(struct message *message)
{
	if (message->in_body)
		return;
	message->in_body = true;
	add(message, "\r\n", 2);
}

void
message_add_body(struct message *message, const void *bytes, size_t len)
{
	message_end_header(message);
	add(message, bytes, len);
}

long
milliseconds_since(const struct timespec *began)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - began->tv_sec) * 1000 + (now.tv_nsec - began->tv_nsec) / 1000000;
}

int
message_lend(struct message *message, const char *dir, struct buf *ret, struct err *err)
{
	const struct slice bytes = buf_slice(&message->bytes);
	AUTO_HEAD struct head head = { 0 };

	if (parked_new(dir, bytes, &message->parked, err) == -1)
		return -1;
	head_scan(bytes, &head);
	*ret = buf_take(&message->bytes);
	buf_init(&message->bytes, bytes.len);
	buf_add(&message->bytes, bytes.at, bytes.len - head.body.len);
	return 0;
}

void
message_give_back(struct message *message, struct buf *lent)
{
	buf_done(&message->bytes);
	message->bytes = buf_take(lent);
	parked_free(TAKE(message->parked));
}

int
message_restore(struct message *message, struct err *err)
{
	struct buf bytes;

	if (!message->parked)
		return 0;
	if (parked_read(message->parked, &bytes, err) == -1)
		return -1;
	message_give_back(message, &bytes);
	return 0;
}
