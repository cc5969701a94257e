#include "milter/keyd/wire.h"

#include <string.h>

struct field {
	const char *name;
	size_t offset; /* of a struct slice in struct wire_request */
	size_t least, most;
	bool text;
};

/* The fields of a SIGN request, in order; a HAVE request has the first one. */
static const struct field sign_fields[] = {
	{ "spki", offsetof(struct wire_request, spki), WIRE_SPKI_BYTES, WIRE_SPKI_BYTES, false },
	{ "digest", offsetof(struct wire_request, digest), 1, 64, false },
	{ "login", offsetof(struct wire_request, login), 0, WIRE_TEXT_BYTES, true },
	{ "from", offsetof(struct wire_request, from), 0, WIRE_TEXT_BYTES, true },
	{ "qid", offsetof(struct wire_request, queue_id), 0, WIRE_TEXT_BYTES, true },
	{ "session", offsetof(struct wire_request, session), 0, WIRE_TEXT_BYTES, true },
};

/* Of an UNWRAP request. How long the block must be is the key's to say, as one failure among others. */
static const struct field unwrap_fields[] = {
	{ "spki", offsetof(struct wire_request, spki), WIRE_SPKI_BYTES, WIRE_SPKI_BYTES, false },
	{ "item", offsetof(struct wire_request, item), 0, WIRE_TEXT_BYTES, true },
	{ "reason", offsetof(struct wire_request, reason), 0, WIRE_TEXT_BYTES, true },
	{ "wrapped", offsetof(struct wire_request, wrapped), 0, WIRE_WRAPPED_BYTES, false },
};

#define SPKI { "spki", offsetof(struct wire_request, spki), WIRE_SPKI_BYTES, WIRE_SPKI_BYTES, false }
/* Which message it is about, and who sent it. */
#define MESSAGE \
	{ "qid", offsetof(struct wire_request, queue_id), 0, WIRE_TEXT_BYTES, true }, \
	{ "session", offsetof(struct wire_request, session), 0, WIRE_TEXT_BYTES, true }, \
	{ "from", offsetof(struct wire_request, from), 0, WIRE_TEXT_BYTES, true }, \
	{ "recipient", offsetof(struct wire_request, recipient), 0, WIRE_TEXT_BYTES, true }, \
	{ "sender", offsetof(struct wire_request, sender), 0, WIRE_TEXT_BYTES, true }

static const struct field open_fields[] = {
	SPKI, MESSAGE, { "wrapped", offsetof(struct wire_request, wrapped), 0, WIRE_WRAPPED_BYTES, false },
};

static const struct field derive_fields[] = {
	SPKI, MESSAGE,
	{ "ukm", offsetof(struct wire_request, ukm), 0, KEY_UKM_BYTES, false },
	{ "point", offsetof(struct wire_request, point), 0, KEY_POINT_BYTES, false },
	{ "wrapped", offsetof(struct wire_request, wrapped), 0, WIRE_WRAPPED_BYTES, false },
};

static const struct field failed_fields[] = { SPKI, MESSAGE };

/* One byte before the fields. */
struct number {
	const char *name;
	size_t offset; /* of a uint8_t in struct wire_request */
	uint8_t least, most;
};

#define KEY_UNITS 16 / WIRE_UNIT_BYTES, KEY_CONTENT_BYTES / WIRE_UNIT_BYTES

static const struct number open_numbers[] = {
	{ "padding", offsetof(struct wire_request, padding), KEY_PADDING_V15, KEY_PADDING_OAEP },
	{ "digest hash", offsetof(struct wire_request, digest_hash), KEY_HASH_UNKNOWN, KEY_HASH_SHA512 },
	{ "mask hash", offsetof(struct wire_request, mask_hash), KEY_HASH_UNKNOWN, KEY_HASH_SHA512 },
	{ "content length", offsetof(struct wire_request, content), KEY_UNITS },
};

static const struct number derive_numbers[] = {
	{ "kdf", offsetof(struct wire_request, kdf), KEY_HASH_SHA1, KEY_HASH_SHA512 },
	{ "wrap length", offsetof(struct wire_request, wrap), KEY_UNITS },
	{ "wrap's NULL", offsetof(struct wire_request, wrap_null), false, true },
	{ "presence of ukm", offsetof(struct wire_request, has_ukm), false, true },
	{ "content length", offsetof(struct wire_request, content), KEY_UNITS },
};

const char *
wire_op_name(enum wire_op op)
{
	switch (op) {
	case WIRE_OP_NONE:
		return "none";
	case WIRE_OP_PING:
		return "ping";
	case WIRE_OP_SIGN:
		return "sign";
	case WIRE_OP_UNWRAP:
		return "unwrap";
	case WIRE_OP_DERIVE:
		return "derive";
	case WIRE_OP_HAVE:
		return "have";
	case WIRE_OP_OPEN:
		return "open";
	case WIRE_OP_FAILED:
		return "failed";
	}
	return "none";
}

const char *
wire_status_name(enum wire_status status)
{
	switch (status) {
	case WIRE_STATUS_UNKNOWN:
		return "unknown";
	case WIRE_STATUS_OK:
		return "ok";
	case WIRE_STATUS_UNKNOWN_KEY:
		return "unknown-key";
	case WIRE_STATUS_DENIED:
		return "denied";
	case WIRE_STATUS_LIMIT:
		return "limit";
	case WIRE_STATUS_AUDIT_UNAVAILABLE:
		return "audit-unavailable";
	case WIRE_STATUS_BAD_REQUEST:
		return "bad-request";
	case WIRE_STATUS_INTERNAL:
		return "internal";
	case WIRE_STATUS_BAD_BLOCK:
		return "bad-block";
	case WIRE_STATUS_FAILURES:
		return "failures";
	}
	return "unknown";
}

static void
add_number(struct buf *ret, uint32_t value, size_t n_bytes)
{
	for (size_t i = n_bytes; i-- > 0;) {
		unsigned char byte = (unsigned char)(value >> 8 * i);

		buf_add(ret, &byte, 1);
	}
}

static void
add_field(struct buf *ret, struct slice field)
{
	add_number(ret, (uint32_t)field.len, 2);
	buf_add_slice(ret, field);
}

static void
add_head(struct buf *ret, enum wire_op op, uint32_t number)
{
	add_number(ret, WIRE_VERSION, 1);
	add_number(ret, (uint32_t)op, 1);
	add_number(ret, number, 4);
}

static const struct field *
fields_of(enum wire_op op, size_t *n)
{
	switch (op) {
	case WIRE_OP_SIGN:
		*n = N_ELEMENTS(sign_fields);
		return sign_fields;
	case WIRE_OP_HAVE:
		*n = 1;
		return sign_fields;
	case WIRE_OP_UNWRAP:
		*n = N_ELEMENTS(unwrap_fields);
		return unwrap_fields;
	case WIRE_OP_DERIVE:
		*n = N_ELEMENTS(derive_fields);
		return derive_fields;
	case WIRE_OP_OPEN:
		*n = N_ELEMENTS(open_fields);
		return open_fields;
	case WIRE_OP_FAILED:
		*n = N_ELEMENTS(failed_fields);
		return failed_fields;
	case WIRE_OP_NONE:
	case WIRE_OP_PING:
		break;
	}
	*n = 0;
	return NULL;
}

static const struct number *
numbers_of(enum wire_op op, size_t *n)
{
	switch (op) {
	case WIRE_OP_DERIVE:
		*n = N_ELEMENTS(derive_numbers);
		return derive_numbers;
	case WIRE_OP_OPEN:
		*n = N_ELEMENTS(open_numbers);
		return open_numbers;
	case WIRE_OP_NONE:
	case WIRE_OP_PING:
	case WIRE_OP_SIGN:
	case WIRE_OP_UNWRAP:
	case WIRE_OP_HAVE:
	case WIRE_OP_FAILED:
		break;
	}
	*n = 0;
	return NULL;
}

static const struct slice *
field_in(const struct wire_request *request, const struct field *field)
{
	return (const struct slice *)(const void *)((const char *)request + field->offset);
}

static struct slice *
field_of(struct wire_request *request, const struct field *field)
{
	return (struct slice *)(void *)((char *)request + field->offset);
}

static int
check_field(const struct field *field, struct slice value, enum err_kind kind, struct err *err)
{
	if (value.len < field->least || value.len > field->most)
		return err_set(err, kind, "field '%s' has %zu bytes, allowed are %zu to %zu", field->name, value.len, field->least,
		    field->most);
	if (field->text && value.len && memchr(value.at, '\0', value.len))
		return err_set(err, kind, "field '%s' holds a NUL byte", field->name);
	return 0;
}

static int
check_number(const struct number *number, uint32_t value, enum err_kind kind, struct err *err)
{
	if (value >= number->least && value <= number->most)
		return 0;
	return err_set(err, kind, "%s %lu, allowed are %u to %u", number->name, (unsigned long)value, number->least, number->most);
}

static int
add_numbers(struct buf *frame, const struct wire_request *request, struct err *err)
{
	size_t n;
	const struct number *numbers = numbers_of(request->op, &n);

	for (size_t i = 0; i < n; i++) {
		uint8_t value = *((const uint8_t *)request + numbers[i].offset);

		if (check_number(&numbers[i], value, ERR_CONFIG, err) == -1)
			return -1;
		add_number(frame, value, 1);
	}
	return 0;
}

static int
add_fields(struct buf *frame, const struct wire_request *request, struct err *err)
{
	size_t n;
	const struct field *fields = fields_of(request->op, &n);

	if (request->op == WIRE_OP_SIGN)
		add_number(frame, (uint32_t)request->alg, 1);
	if (add_numbers(frame, request, err) == -1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (check_field(&fields[i], *field_in(request, &fields[i]), ERR_CONFIG, err) == -1)
			return -1;
		add_field(frame, *field_in(request, &fields[i]));
	}
	return 0;
}

static void
add_frame(struct buf *ret, const struct buf *frame)
{
	add_number(ret, (uint32_t)frame->len, WIRE_LENGTH_BYTES);
	buf_add_slice(ret, buf_slice(frame));
}

int
wire_request_render(const struct wire_request *request, struct buf *ret, struct err *err)
{
	AUTO_BUF struct buf frame = { 0 };

	buf_init(&frame, WIRE_FRAME_BYTES);
	add_head(&frame, request->op, request->number);
	if (add_fields(&frame, request, err) == -1)
		return -1;
	add_frame(ret, &frame);
	return 0;
}

void
wire_answer_render(const struct wire_answer *answer, struct buf *ret)
{
	AUTO_BUF struct buf frame = { 0 };
	struct slice payload = answer->payload;

	if (payload.len > WIRE_TEXT_BYTES)
		payload.len = WIRE_TEXT_BYTES;
	buf_init(&frame, WIRE_FRAME_BYTES);
	add_head(&frame, answer->op, answer->number);
	add_number(&frame, (uint32_t)answer->status, 1);
	add_field(&frame, payload);
	add_frame(ret, &frame);
	wipe(frame.at, frame.len); /* it may be a content key */
}

static bool
cut_number(struct slice *rest, size_t n_bytes, uint32_t *ret)
{
	uint32_t value = 0;

	if (rest->len < n_bytes)
		return false;
	for (size_t i = 0; i < n_bytes; i++)
		value = value << 8 | rest->at[i];
	rest->at += n_bytes;
	rest->len -= n_bytes;
	*ret = value;
	return true;
}

static bool
cut_field(struct slice *rest, struct slice *ret)
{
	uint32_t len;

	if (!cut_number(rest, 2, &len) || len > rest->len)
		return false;
	*ret = (struct slice){ rest->at, len };
	rest->at += len;
	rest->len -= len;
	return true;
}

int
wire_frame_len(const unsigned char head[WIRE_LENGTH_BYTES], size_t *ret, struct err *err)
{
	struct slice rest = { head, WIRE_LENGTH_BYTES };
	uint32_t len = 0;

	if (!cut_number(&rest, WIRE_LENGTH_BYTES, &len) || len == 0 || len > WIRE_FRAME_BYTES)
		return err_set(err, ERR_TEMP, "frame of %lu bytes, allowed are 1 to %d", (unsigned long)len, WIRE_FRAME_BYTES);
	*ret = len;
	return 0;
}

static bool
op_from(uint32_t byte, enum wire_op *ret)
{
	static const enum wire_op ops[] = { WIRE_OP_PING, WIRE_OP_SIGN, WIRE_OP_UNWRAP, WIRE_OP_DERIVE, WIRE_OP_HAVE, WIRE_OP_OPEN,
		WIRE_OP_FAILED };

	for (size_t i = 0; i < N_ELEMENTS(ops); i++) {
		if (byte == (uint32_t)ops[i]) {
			*ret = ops[i];
			return true;
		}
	}
	return false;
}

static int
cut_head(struct slice *rest, enum wire_op *op, uint32_t *number, struct err *err)
{
	uint32_t version, byte;

	if (!cut_number(rest, 1, &version) || !cut_number(rest, 1, &byte) || !cut_number(rest, 4, number))
		return err_set(err, ERR_TEMP, "frame ends within its first 6 bytes");
	if (version != WIRE_VERSION)
		return err_set(err, ERR_TEMP, "protocol version %lu, we speak %d; are both programs of the same release?",
		    (unsigned long)version, WIRE_VERSION);
	if (!op_from(byte, op))
		return err_set(err, ERR_TEMP, "unknown operation %lu", (unsigned long)byte);
	return 0;
}

static int
check_end(struct slice rest, struct err *err)
{
	if (rest.len)
		return err_set(err, ERR_TEMP, "%zu bytes behind the last field", rest.len);
	return 0;
}

static bool
alg_from(uint32_t byte, enum digest *ret)
{
	static const enum digest algs[] = { DIGEST_SHA256, DIGEST_SHA384 };

	for (size_t i = 0; i < N_ELEMENTS(algs); i++) {
		if (byte == (uint32_t)algs[i]) {
			*ret = algs[i];
			return true;
		}
	}
	return false;
}

static int
cut_alg(struct slice *rest, enum digest *ret, struct err *err)
{
	uint32_t alg;

	if (!cut_number(rest, 1, &alg))
		return err_set(err, ERR_TEMP, "frame ends before the digest algorithm");
	if (!alg_from(alg, ret))
		return err_set(err, ERR_TEMP, "unknown digest algorithm %lu", (unsigned long)alg);
	return 0;
}

static int
cut_numbers(struct slice *rest, struct wire_request *ret, struct err *err)
{
	size_t n;
	const struct number *numbers = numbers_of(ret->op, &n);

	for (size_t i = 0; i < n; i++) {
		uint32_t value;

		if (!cut_number(rest, 1, &value))
			return err_set(err, ERR_TEMP, "frame ends before the %s", numbers[i].name);
		if (check_number(&numbers[i], value, ERR_TEMP, err) == -1)
			return -1;
		*((uint8_t *)ret + numbers[i].offset) = (uint8_t)value;
	}
	return 0;
}

static int
cut_fields(struct slice *rest, struct wire_request *ret, struct err *err)
{
	size_t n;
	const struct field *fields = fields_of(ret->op, &n);

	if (ret->op == WIRE_OP_SIGN && cut_alg(rest, &ret->alg, err) == -1)
		return -1;
	if (cut_numbers(rest, ret, err) == -1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct slice *value = field_of(ret, &fields[i]);

		if (!cut_field(rest, value))
			return err_set(err, ERR_TEMP, "frame ends within field '%s'", fields[i].name);
		if (check_field(&fields[i], *value, ERR_TEMP, err) == -1)
			return -1;
	}
	return 0;
}

int
wire_request_parse(struct slice frame, struct wire_request *ret, struct err *err)
{
	*ret = (struct wire_request){ .op = WIRE_OP_NONE };
	if (cut_head(&frame, &ret->op, &ret->number, err) == -1)
		return -1;
	if (cut_fields(&frame, ret, err) == -1)
		return -1;
	return check_end(frame, err);
}

int
wire_answer_parse(struct slice frame, struct wire_answer *ret, struct err *err)
{
	uint32_t status;

	*ret = (struct wire_answer){ .op = WIRE_OP_NONE };
	if (cut_head(&frame, &ret->op, &ret->number, err) == -1)
		return -1;
	if (!cut_number(&frame, 1, &status))
		return err_set(err, ERR_TEMP, "answer ends before its status");
	if (status < WIRE_STATUS_OK || status > WIRE_STATUS_FAILURES)
		return err_set(err, ERR_TEMP, "unknown status %lu", (unsigned long)status);
	if (!cut_field(&frame, &ret->payload))
		return err_set(err, ERR_TEMP, "answer ends within its payload");
	ret->status = (enum wire_status)status;
	return check_end(frame, err);
}
