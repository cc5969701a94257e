/* The protocol's parsers: every cut, every byte too many, and a lot of noise, in exactly-sized blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "milter/keyd/wire.h"

static const unsigned char spki[32] = "0123456789abcdef0123456789abcde";
static const unsigned char digest[48] = "sha256";

static struct wire_request
sample(void)
{
	return (struct wire_request){
		.op = WIRE_OP_SIGN,
		.number = 0x01020304,
		.spki = { spki, 32 },
		.alg = DIGEST_SHA256,
		.digest = { digest, 32 },
		.login = slice_of("budi"),
		.from = slice_of("dinas@prov.example.id"),
		.queue_id = slice_of("4c1bXr"),
		.session = slice_of("s-1"),
	};
}

/* The frame without its length, in a block of its own. */
static unsigned char *
rendered(const struct wire_request *request, size_t *ret_len)
{
	AUTO_BUF struct buf bytes = { 0 };
	struct err err;
	unsigned char *frame;
	size_t len;

	buf_init(&bytes, 64 * 1024);
	if (wire_request_render(request, &bytes, &err) == -1)
		fail_msg("%s", err.text);
	assert_int_equal(wire_frame_len(bytes.at, &len, &err), 0);
	assert_int_equal(len, bytes.len - WIRE_LENGTH_BYTES);
	frame = xcalloc(len, 1);
	memcpy(frame, bytes.at + WIRE_LENGTH_BYTES, len);
	*ret_len = len;
	return frame;
}

static int
parsed(const unsigned char *bytes, size_t len, struct wire_request *ret)
{
	AUTO(xfree) unsigned char *block = xcalloc(len, 1);
	struct err err = { .kind = ERR_NONE };
	int result;

	memcpy(block, bytes, len);
	result = wire_request_parse((struct slice){ block, len }, ret, &err);
	assert_true(result == 0 || (err.kind == ERR_TEMP && err.text[0]));
	return result;
}

static void
test_request_comes_back(void **state)
{
	struct wire_request request = sample(), got;
	size_t len;
	AUTO(xfree) unsigned char *frame = rendered(&request, &len);
	struct err err;

	(void)state;
	assert_int_equal(wire_request_parse((struct slice){ frame, len }, &got, &err), 0);
	assert_int_equal(got.op, WIRE_OP_SIGN);
	assert_int_equal(got.number, 0x01020304);
	assert_int_equal(got.alg, DIGEST_SHA256);
	assert_true(slice_equal(got.spki, request.spki));
	assert_true(slice_equal(got.digest, request.digest));
	assert_true(slice_equal(got.login, request.login));
	assert_true(slice_equal(got.from, request.from));
	assert_true(slice_equal(got.queue_id, request.queue_id));
	assert_true(slice_equal(got.session, request.session));
}

/* The same bytes as written down in wire.h, not only what the renderer says. */
static void
test_have_is_one_field(void **state)
{
	static const unsigned char head[] = { 1, 5, 1, 2, 3, 4, 0, 32 };
	struct wire_request request = { .op = WIRE_OP_HAVE, .number = 0x01020304, .spki = { spki, 32 } }, got;
	size_t len;
	AUTO(xfree) unsigned char *frame = rendered(&request, &len);
	AUTO(xfree) unsigned char *longer = xcalloc(len + 1, 1);

	(void)state;
	assert_int_equal(len, sizeof(head) + 32);
	assert_memory_equal(frame, head, sizeof(head));
	assert_memory_equal(frame + sizeof(head), spki, 32);
	memcpy(longer, frame, len);
	for (size_t cut = 0; cut <= len + 1; cut++)
		assert_int_equal(parsed(longer, cut, &got), cut == len ? 0 : -1);
	longer[7] = 31;
	assert_int_equal(parsed(longer, len - 1, &got), -1);
	longer[7] = 33;
	assert_int_equal(parsed(longer, len + 1, &got), -1);
	assert_int_equal(wire_request_parse((struct slice){ frame, len }, &got, NULL), 0);
	assert_int_equal(got.op, WIRE_OP_HAVE);
	assert_true(slice_equal(got.spki, request.spki));
}

static void
test_have_wants_its_field(void **state)
{
	struct wire_request request = { .op = WIRE_OP_HAVE, .spki = { spki, 31 } };
	AUTO_BUF struct buf out = { 0 };
	struct err err;

	(void)state;
	buf_init(&out, 64 * 1024);
	assert_int_equal(wire_request_render(&request, &out, &err), -1);
	assert_non_null(strstr(err.text, "'spki'"));
	request.spki.len = 32;
	assert_int_equal(wire_request_render(&request, &out, &err), 0);
}

static const unsigned char wrapped[WIRE_WRAPPED_BYTES + 1] = "a block";

static struct wire_request
unwrap_sample(void)
{
	return (struct wire_request){
		.op = WIRE_OP_UNWRAP,
		.number = 0x01020304,
		.spki = { spki, 32 },
		.item = slice_of("i1"),
		.reason = slice_of("why"),
		.wrapped = { wrapped, 256 },
	};
}

/* The same bytes as written down in wire.h; every cut and every byte more is refused. */
static void
test_unwrap_has_four_fields(void **state)
{
	static const unsigned char head[] = { 1, 3, 1, 2, 3, 4, 0, 32 }, texts[] = { 0, 2, 'i', '1', 0, 3, 'w', 'h', 'y', 1, 0 };
	struct wire_request request = unwrap_sample(), got;
	size_t len;
	AUTO(xfree) unsigned char *frame = rendered(&request, &len);
	AUTO(xfree) unsigned char *longer = xcalloc(len + 1, 1);

	(void)state;
	assert_int_equal(len, sizeof(head) + 32 + sizeof(texts) + 256);
	assert_memory_equal(frame, head, sizeof(head));
	assert_memory_equal(frame + sizeof(head), spki, 32);
	assert_memory_equal(frame + sizeof(head) + 32, texts, sizeof(texts));
	memcpy(longer, frame, len);
	for (size_t cut = 0; cut <= len + 1; cut++)
		assert_int_equal(parsed(longer, cut, &got), cut == len ? 0 : -1);
	assert_int_equal(wire_request_parse((struct slice){ frame, len }, &got, NULL), 0);
	assert_int_equal(got.op, WIRE_OP_UNWRAP);
	assert_int_equal(got.number, 0x01020304);
	assert_true(slice_equal(got.spki, request.spki));
	assert_true(slice_equal(got.item, request.item));
	assert_true(slice_equal(got.reason, request.reason));
	assert_true(slice_equal(got.wrapped, request.wrapped));
	assert_int_equal(got.digest.len, 0);
	assert_int_equal(got.alg, DIGEST_UNKNOWN);
	frame[sizeof(head) + 32 + 2] = '\0';
	assert_int_equal(parsed(frame, len, &got), -1); /* NUL in item */
	frame[sizeof(head) + 32 + 2] = 'i';
	frame[sizeof(head) + 32 + 7] = '\0';
	assert_int_equal(parsed(frame, len, &got), -1); /* NUL in reason */
	frame[sizeof(head) + 32 + 7] = 'h';
	frame[sizeof(head) + 32 + sizeof(texts)] = '\0';
	assert_int_equal(parsed(frame, len, &got), 0); /* but not in the block */
}

/* How long a block must be is the key's to say; here there is only a cap. */
static void
test_blocks_have_a_cap(void **state)
{
	struct wire_request request = unwrap_sample();
	AUTO_BUF struct buf out = { 0 };
	struct err err;

	(void)state;
	buf_init(&out, 64 * 1024);
	for (size_t len = 0; len <= WIRE_WRAPPED_BYTES; len += 256) {
		request.wrapped.len = len;
		assert_int_equal(wire_request_render(&request, &out, &err), 0);
	}
	request.wrapped.len = WIRE_WRAPPED_BYTES + 1;
	assert_int_equal(wire_request_render(&request, &out, &err), -1);
	assert_non_null(strstr(err.text, "'wrapped'"));
	request = unwrap_sample();
	request.spki.len = 31;
	assert_int_equal(wire_request_render(&request, &out, &err), -1);
}

/* Mail: what all three begin with. */
static struct wire_request
mail_sample(enum wire_op op)
{
	return (struct wire_request){
		.op = op,
		.number = 0x01020304,
		.spki = { spki, 32 },
		.queue_id = slice_of("Q"),
		.session = slice_of("s"),
		.from = slice_of("f@x"),
		.recipient = slice_of("r@y"),
		.sender = slice_of("192.0.2.1"),
	};
}

static struct wire_request
open_sample(void)
{
	struct wire_request request = mail_sample(WIRE_OP_OPEN);

	request.padding = KEY_PADDING_OAEP;
	request.digest_hash = KEY_HASH_SHA256;
	request.mask_hash = KEY_HASH_SHA1;
	request.content = 4;
	request.wrapped = (struct slice){ wrapped, 2 };
	return request;
}

static struct wire_request
derive_sample(void)
{
	struct wire_request request = mail_sample(WIRE_OP_DERIVE);

	request.kdf = KEY_HASH_SHA384;
	request.wrap = 3;
	request.wrap_null = 1;
	request.has_ukm = 1;
	request.content = 2;
	request.ukm = slice_of("u");
	request.point = slice_of("po");
	request.wrapped = slice_of("wra");
	return request;
}

static struct wire_request
failed_sample(void)
{
	return mail_sample(WIRE_OP_FAILED);
}

#define MAIL_TEXTS 0, 1, 'Q', 0, 1, 's', 0, 3, 'f', '@', 'x', 0, 3, 'r', '@', 'y', 0, 9, '1', '9', '2', '.', '0', '.', '2', '.', '1'

/* The bytes as wire.h has them: head and numbers, spki, the rest. */
static const struct {
	const char *name;
	struct wire_request (*make)(void);
	unsigned char head[16];
	size_t head_len;
	unsigned char rest[64];
	size_t rest_len;
} mail[] = {
	{ "open", open_sample, { 1, 6, 1, 2, 3, 4, 2, 3, 1, 4 }, 10, { MAIL_TEXTS, 0, 2, 'a', ' ' }, 31 },
	{ "derive", derive_sample, { 1, 4, 1, 2, 3, 4, 4, 3, 1, 1, 2 }, 11,
	  { MAIL_TEXTS, 0, 1, 'u', 0, 2, 'p', 'o', 0, 3, 'w', 'r', 'a' }, 39 },
	{ "failed", failed_sample, { 1, 7, 1, 2, 3, 4 }, 6, { MAIL_TEXTS }, 27 },
};

static void
check_same(const struct wire_request *a, const struct wire_request *b)
{
	assert_int_equal(a->op, b->op);
	assert_int_equal(a->number, b->number);
	assert_true(slice_equal(a->spki, b->spki) && slice_equal(a->queue_id, b->queue_id) && slice_equal(a->session, b->session));
	assert_true(slice_equal(a->from, b->from) && slice_equal(a->recipient, b->recipient) && slice_equal(a->sender, b->sender));
	assert_true(slice_equal(a->wrapped, b->wrapped) && slice_equal(a->ukm, b->ukm) && slice_equal(a->point, b->point));
	assert_true(a->padding == b->padding && a->digest_hash == b->digest_hash && a->mask_hash == b->mask_hash);
	assert_true(a->kdf == b->kdf && a->wrap == b->wrap && a->wrap_null == b->wrap_null && a->has_ukm == b->has_ukm);
	assert_int_equal(a->content, b->content);
}

static void
test_mail_comes_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(mail); i++) {
		const size_t head = mail[i].head_len;
		struct wire_request request = mail[i].make(), got;
		size_t len;
		AUTO(xfree) unsigned char *frame = rendered(&request, &len);
		AUTO(xfree) unsigned char *longer = xcalloc(len + 1, 1);
		struct err err;

		if (len != head + 2 + 32 + mail[i].rest_len)
			fail_msg("%s: %zu bytes", mail[i].name, len);
		assert_memory_equal(frame, mail[i].head, head);
		assert_memory_equal(frame + head, "\0\40", 2);
		assert_memory_equal(frame + head + 2, spki, 32);
		assert_memory_equal(frame + head + 34, mail[i].rest, mail[i].rest_len);
		assert_int_equal(wire_request_parse((struct slice){ frame, len }, &got, &err), 0);
		check_same(&got, &request);
		memcpy(longer, frame, len);
		for (size_t cut = 0; cut <= len + 1; cut++)
			assert_int_equal(parsed(longer, cut, &got), cut == len ? 0 : -1);
		frame[head + 36] = '\0';
		assert_int_equal(parsed(frame, len, &got), -1); /* NUL in qid */
	}
}

/* Each value of each number: what is none is refused when read, and not written either. */
static const struct {
	const char *name;
	struct wire_request (*make)(void);
	size_t at; /* in the frame */
	size_t offset;
	uint8_t least, most;
} numbers[] = {
	{ "padding", open_sample, 6, offsetof(struct wire_request, padding), 1, 2 },
	{ "digest hash", open_sample, 7, offsetof(struct wire_request, digest_hash), 0, 5 },
	{ "mask hash", open_sample, 8, offsetof(struct wire_request, mask_hash), 0, 5 },
	{ "content length", open_sample, 9, offsetof(struct wire_request, content), 2, 4 },
	{ "kdf", derive_sample, 6, offsetof(struct wire_request, kdf), 1, 5 },
	{ "wrap length", derive_sample, 7, offsetof(struct wire_request, wrap), 2, 4 },
	{ "wrap's NULL", derive_sample, 8, offsetof(struct wire_request, wrap_null), 0, 1 },
	{ "presence of ukm", derive_sample, 9, offsetof(struct wire_request, has_ukm), 0, 1 },
	{ "content length", derive_sample, 10, offsetof(struct wire_request, content), 2, 4 },
};

static void
test_numbers(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(numbers); i++) {
		struct wire_request request = numbers[i].make(), got;
		size_t len;
		AUTO(xfree) unsigned char *frame = rendered(&request, &len);

		for (unsigned value = 0; value < 256; value++) {
			const bool good = value >= numbers[i].least && value <= numbers[i].most;
			AUTO_BUF struct buf out = { 0 };
			struct err err;

			buf_init(&out, 64 * 1024);
			frame[numbers[i].at] = (unsigned char)value;
			*((uint8_t *)&request + numbers[i].offset) = (uint8_t)value;
			if ((parsed(frame, len, &got) == 0) != good)
				fail_msg("%s %u is %s", numbers[i].name, value, good ? "refused" : "read");
			if ((wire_request_render(&request, &out, &err) == 0) != good)
				fail_msg("%s %u is %s", numbers[i].name, value, good ? "not written" : "written");
			if (!good && !strstr(err.text, numbers[i].name))
				fail_msg("'%s' does not name the %s", err.text, numbers[i].name);
		}
	}
}

static void
test_mail_has_caps(void **state)
{
	static const unsigned char ukm[KEY_UKM_BYTES + 1], point[KEY_POINT_BYTES + 1];
	struct wire_request request = derive_sample();
	AUTO(xfree) char *text = xcalloc(WIRE_TEXT_BYTES + 1, 1);
	AUTO_BUF struct buf out = { 0 };
	struct err err;

	(void)state;
	buf_init(&out, 64 * 1024);
	memset(text, 'x', WIRE_TEXT_BYTES);
	request.queue_id = request.session = request.from = request.recipient = request.sender = slice_of(text);
	request.ukm = (struct slice){ ukm, KEY_UKM_BYTES };
	request.point = (struct slice){ point, KEY_POINT_BYTES };
	request.wrapped = (struct slice){ wrapped, WIRE_WRAPPED_BYTES };
	assert_int_equal(wire_request_render(&request, &out, &err), 0); /* the largest there is */
	assert_in_range(out.len, 5 * WIRE_TEXT_BYTES, WIRE_LENGTH_BYTES + WIRE_FRAME_BYTES);
	request.ukm.len++;
	assert_int_equal(wire_request_render(&request, &out, &err), -1);
	assert_non_null(strstr(err.text, "'ukm'"));
	request.ukm.len--;
	request.point.len++;
	assert_int_equal(wire_request_render(&request, &out, &err), -1);
	assert_non_null(strstr(err.text, "'point'"));
}

static void
test_cut_and_longer_are_refused(void **state)
{
	struct wire_request request = sample(), got;
	size_t len;
	AUTO(xfree) unsigned char *frame = rendered(&request, &len);
	AUTO(xfree) unsigned char *longer = xcalloc(len + 1, 1);

	(void)state;
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(parsed(frame, cut, &got), -1);
	memcpy(longer, frame, len);
	assert_int_equal(parsed(longer, len + 1, &got), -1);
	assert_int_equal(parsed(longer, len, &got), 0);
}

static const struct {
	const char *name;
	size_t at;
	unsigned char byte;
	bool want_good;
} bytes[] = {
	{ "version 0", 0, 0, false },
	{ "version 1", 0, 1, true },
	{ "version 2", 0, 2, false },
	{ "no operation", 1, 0, false },
	{ "ping with fields", 1, 1, false },
	{ "sign", 1, 2, true },
	{ "unwrap with the fields of sign", 1, 3, false },
	{ "derive with the fields of sign", 1, 4, false },
	{ "have with the fields of sign", 1, 5, false },
	{ "open with the fields of sign", 1, 6, false },
	{ "failed with the fields of sign", 1, 7, false },
	{ "operation 8", 1, 8, false },
	{ "operation 255", 1, 255, false },
	{ "another number", 2, 255, true },
	{ "no algorithm", 6, 0, false },
	{ "sha384 (its length is the agent's business)", 6, 2, true },
	{ "algorithm 3", 6, 3, false },
	{ "spki of 31 bytes", 8, 31, false },
	{ "spki of 33 bytes", 8, 33, false },
	{ "spki of 8 KiB", 7, 32, false },
	{ "NUL in login", 9 + 32 + 2 + 32 + 2, 0, false },
	{ "other byte in login", 9 + 32 + 2 + 32 + 2, '\n', true },
};

static void
test_single_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(bytes); i++) {
		struct wire_request request = sample(), got;
		size_t len;
		AUTO(xfree) unsigned char *frame = rendered(&request, &len);

		frame[bytes[i].at] = bytes[i].byte;
		if ((parsed(frame, len, &got) == 0) != bytes[i].want_good)
			fail_msg("%s", bytes[i].name);
	}
}

static void
test_texts_have_a_cap(void **state)
{
	AUTO(xfree) char *text = xcalloc(WIRE_TEXT_BYTES + 2, 1);
	AUTO_BUF struct buf out = { 0 };
	struct wire_request request = sample();
	struct err err;

	(void)state;
	buf_init(&out, 64 * 1024);
	memset(text, 'x', WIRE_TEXT_BYTES);
	request.login = request.from = request.queue_id = request.session = slice_of(text);
	assert_int_equal(wire_request_render(&request, &out, &err), 0);
	assert_in_range(out.len, 4 * WIRE_TEXT_BYTES, WIRE_FRAME_BYTES);
	text[WIRE_TEXT_BYTES] = 'x';
	request.from = slice_of(text);
	assert_int_equal(wire_request_render(&request, &out, &err), -1);
	assert_non_null(strstr(err.text, "'from'"));
	request = sample();
	request.login = (struct slice){ (const unsigned char *)"a\0b", 3 };
	assert_int_equal(wire_request_render(&request, &out, &err), -1);
	assert_non_null(strstr(err.text, "NUL"));
	request = sample();
	request.spki.len = 31;
	assert_int_equal(wire_request_render(&request, &out, &err), -1);
}

static void
test_frame_lengths(void **state)
{
	static const struct {
		unsigned char head[4];
		bool want_good;
	} rows[] = {
		{ { 0, 0, 0, 0 }, false },    { { 0, 0, 0, 1 }, true },        { { 0, 0, 0x20, 0 }, true },
		{ { 0, 0, 0x20, 1 }, false }, { { 0, 1, 0, 0 }, false },       { { 0x7f, 255, 255, 255 }, false },
		{ { 255, 255, 255, 255 }, false }, { { 'G', 'E', 'T', ' ' }, false },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct err err;
		size_t len;

		assert_int_equal(wire_frame_len(rows[i].head, &len, &err) == 0, rows[i].want_good);
	}
}

static void
test_answers(void **state)
{
	(void)state;
	for (int status = WIRE_STATUS_OK; status <= WIRE_STATUS_FAILURES; status++) {
		struct wire_answer answer = { status % 2 ? WIRE_OP_SIGN : WIRE_OP_UNWRAP, 7, (enum wire_status)status, slice_of("text") }, got;
		AUTO_BUF struct buf out = { 0 };
		struct err err;

		buf_init(&out, 64 * 1024);
		wire_answer_render(&answer, &out);
		for (size_t len = 0; len <= out.len - WIRE_LENGTH_BYTES; len++) {
			AUTO(xfree) unsigned char *block = xcalloc(len, 1);
			int want = len == out.len - WIRE_LENGTH_BYTES ? 0 : -1;

			memcpy(block, out.at + WIRE_LENGTH_BYTES, len);
			assert_int_equal(wire_answer_parse((struct slice){ block, len }, &got, &err), want);
			if (want == 0) {
				assert_int_equal(got.status, status);
				assert_true(slice_equal(got.payload, answer.payload));
			}
		}
		out.at[WIRE_LENGTH_BYTES + 6] = 0;
		assert_int_equal(wire_answer_parse((struct slice){ out.at + 4, out.len - 4 }, &got, &err), -1);
		out.at[WIRE_LENGTH_BYTES + 6] = WIRE_STATUS_FAILURES + 1;
		assert_int_equal(wire_answer_parse((struct slice){ out.at + 4, out.len - 4 }, &got, &err), -1);
	}
}

static void
test_names(void **state)
{
	(void)state;
	for (int i = WIRE_STATUS_UNKNOWN; i <= WIRE_STATUS_FAILURES; i++) {
		for (int j = WIRE_STATUS_UNKNOWN; j < i; j++)
			assert_string_not_equal(wire_status_name((enum wire_status)i), wire_status_name((enum wire_status)j));
	}
	assert_string_not_equal(wire_op_name(WIRE_OP_PING), wire_op_name(WIRE_OP_SIGN));
	assert_string_not_equal(wire_op_name(WIRE_OP_HAVE), wire_op_name(WIRE_OP_SIGN));
	assert_string_not_equal(wire_op_name(WIRE_OP_HAVE), wire_op_name(WIRE_OP_PING));
	for (int i = WIRE_OP_PING; i <= WIRE_OP_FAILED; i++)
		for (int j = WIRE_OP_NONE; j < i; j++)
			assert_string_not_equal(wire_op_name((enum wire_op)i), wire_op_name((enum wire_op)j));
	assert_string_equal(wire_op_name(WIRE_OP_UNWRAP), "unwrap");
}

/* A valid frame with a few bytes changed, so that noise gets past the first check. The seed is fixed. */
static void
make_noise(const unsigned char *frame, size_t len)
{
	unsigned short seed[3] = { 1, 2, 3 };
	struct wire_request got;
	struct wire_answer answer;
	struct err err;

	for (int round = 0; round < 200000; round++) {
		size_t cut = (size_t)nrand48(seed) % (len + 1);
		AUTO(xfree) unsigned char *noise = xcalloc(cut, 1);

		memcpy(noise, frame, cut);
		for (int i = 0; i < 3 && cut; i++)
			noise[(size_t)nrand48(seed) % cut] = (unsigned char)nrand48(seed);
		(void)!wire_request_parse((struct slice){ noise, cut }, &got, &err);
		(void)!wire_answer_parse((struct slice){ noise, cut }, &answer, &err);
	}
}

static void
test_noise(void **state)
{
	struct wire_request requests[] = { sample(), unwrap_sample(), open_sample(), derive_sample(), failed_sample() };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(requests); i++) {
		size_t len;
		AUTO(xfree) unsigned char *frame = rendered(&requests[i], &len);

		make_noise(frame, len);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_comes_back),
		cmocka_unit_test(test_have_is_one_field),
		cmocka_unit_test(test_have_wants_its_field),
		cmocka_unit_test(test_unwrap_has_four_fields),
		cmocka_unit_test(test_blocks_have_a_cap),
		cmocka_unit_test(test_mail_comes_back),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_mail_has_caps),
		cmocka_unit_test(test_cut_and_longer_are_refused),
		cmocka_unit_test(test_single_bytes),
		cmocka_unit_test(test_texts_have_a_cap),
		cmocka_unit_test(test_frame_lengths),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
