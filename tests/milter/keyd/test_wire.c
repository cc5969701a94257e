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
	{ "derive, not yet", 1, 4, false },
	{ "have with the fields of sign", 1, 5, false },
	{ "operation 6", 1, 6, false },
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
	for (int status = WIRE_STATUS_OK; status <= WIRE_STATUS_BAD_BLOCK; status++) {
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
		out.at[WIRE_LENGTH_BYTES + 6] = WIRE_STATUS_BAD_BLOCK + 1;
		assert_int_equal(wire_answer_parse((struct slice){ out.at + 4, out.len - 4 }, &got, &err), -1);
	}
}

static void
test_names(void **state)
{
	(void)state;
	for (int i = WIRE_STATUS_UNKNOWN; i <= WIRE_STATUS_BAD_BLOCK; i++) {
		for (int j = WIRE_STATUS_UNKNOWN; j < i; j++)
			assert_string_not_equal(wire_status_name((enum wire_status)i), wire_status_name((enum wire_status)j));
	}
	assert_string_not_equal(wire_op_name(WIRE_OP_PING), wire_op_name(WIRE_OP_SIGN));
	assert_string_not_equal(wire_op_name(WIRE_OP_HAVE), wire_op_name(WIRE_OP_SIGN));
	assert_string_not_equal(wire_op_name(WIRE_OP_HAVE), wire_op_name(WIRE_OP_PING));
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
	struct wire_request requests[] = { sample(), unwrap_sample() };

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
