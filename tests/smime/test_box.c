/* Boxes: another program reads ours and writes for us (box.py); whatever is changed, cut, swapped or added is refused. */
#include <sys/resource.h>

#include "tests/smime/world.h"

#include "smime/box.h"
#include "smime/cert.h"
#include "smime/key.h"

#define NAME "0123456789abcdef0123456789abcdef"

enum { CHUNK = BOX_CHUNK_BYTES, BLOCK = 4 + CHUNK + 16, FIXED = 44, WRAPPED = 256, BEGIN = FIXED + WRAPPED };

static struct world world;
static char helper[600];
static struct key *key, *other_key;
static struct slice cert, other_cert;

static int
collect(void *ctx, struct slice bytes, struct err *err)
{
	struct buf *buf = ctx;

	buf_add_slice(buf, bytes);
	return buf_full(buf) ? err_set(err, ERR_TEMP, "full") : 0;
}

static struct slice
cert_of(const char *file)
{
	struct slice pem = read_file(file);
	struct buf der;
	struct err err = { 0 };

	buf_init(&der, 16384);
	assert_int_equal(cert_read(pem, &der, &err), 0);
	heap_free(pem);
	pem = heap_slice(der.at, der.len);
	buf_done(&der);
	return pem;
}

/* A box of this text, written in pieces of `step` bytes. */
static void
write_box(struct slice text, size_t step, struct buf *ret)
{
	AUTO(box_writer_free) struct box_writer *writer = NULL;
	struct box_sink sink = { collect, ret };
	struct err err = { 0 };

	if (box_writer_new(cert, NAME, &sink, &writer, &err) == -1)
		fail_msg("%s", err.text);
	for (size_t at = 0; at < text.len; at += step) {
		struct slice piece = heap_slice(text.at + at, text.len - at < step ? text.len - at : step);

		assert_int_equal(box_write(writer, piece, &err), 0);
		heap_free(piece);
	}
	assert_int_equal(box_finish(writer, &err), 0);
	assert_int_equal(box_finish(writer, &err), -1);
	assert_int_equal(box_write(writer, text, &err), -1);
}

struct reading {
	struct unwrapper unwrapper;
	const char *name;
	size_t step;
};

static int
read_box(const struct reading *reading, struct slice box, struct buf *ret, struct err *err)
{
	AUTO(box_reader_free) struct box_reader *reader = NULL;
	struct box_sink sink = { collect, ret };

	reader = box_reader_new(reading->name, &reading->unwrapper, &sink);
	for (size_t at = 0; at < box.len; at += reading->step) {
		struct slice piece = heap_slice(box.at + at, box.len - at < reading->step ? box.len - at : reading->step);
		int result = box_read(reader, piece, err);

		heap_free(piece);
		if (result == -1) {
			/* And never again, whatever comes. */
			assert_int_equal(box_read(reader, box, NULL), -1);
			assert_int_equal(box_read_end(reader, NULL), -1);
			return -1;
		}
	}
	return box_read_end(reader, err);
}

static struct slice
text_of(size_t len)
{
	unsigned char *text = malloc(len ? len : 1);

	assert_non_null(text);
	for (size_t i = 0; i < len; i++)
		text[i] = (unsigned char)(i * 31 + i / 251);
	return (struct slice){ text, len };
}

static const size_t sizes[] = { 0, 1, 15, 16, 17, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1, 300000 };

/* Ours, opened by Python; and by us, in pieces of any size. */
static void
test_another_reads(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
		static const size_t steps[] = { 1, 7, 4096, 65536, 1 << 20 };
		struct slice text = text_of(sizes[i]), plain;
		struct buf box;

		buf_init(&box, 1 << 20);
		write_box(text, i % 2 ? 1000 : 200000, &box);
		/* A box is its header, and 20 bytes for each chunk. */
		assert_int_equal(box.len, BEGIN + text.len + 20 * (text.len ? (text.len + CHUNK - 1) / CHUNK : 1));
		write_file("box", box.at, box.len);
		assert_int_equal(run("/usr/bin/python3 %s open k.key " NAME " <box >plain", helper), 0);
		plain = read_file("plain");
		assert_true(slice_equal(text, plain));
		for (size_t j = 0; j < N_ELEMENTS(steps); j++) {
			struct reading reading = { box_unwrapper(key), NAME, steps[j] };
			struct buf ret;
			struct err err = { 0 };

			buf_init(&ret, 1 << 20);
			if (read_box(&reading, buf_slice(&box), &ret, &err) == -1)
				fail_msg("%zu bytes by %zu: %s", text.len, steps[j], err.text);
			assert_true(slice_equal(text, buf_slice(&ret)));
			buf_done(&ret);
		}
		heap_free(plain);
		heap_free(text);
		buf_done(&box);
	}
}

static void
test_another_writes(void **state)
{
	static const size_t chunks[] = { CHUNK, 1000, 1 };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(chunks); i++) {
		struct slice text = text_of(i == 2 ? 100 : 150000), box;
		struct reading reading = { box_unwrapper(key), NAME, 10000 };
		struct err err = { 0 };
		struct buf ret;

		write_file("text", text.at, text.len);
		assert_int_equal(run("/usr/bin/python3 %s make k.crt " NAME " %zu <text >box", helper, chunks[i]), 0);
		box = read_file("box");
		buf_init(&ret, 1 << 20);
		if (read_box(&reading, box, &ret, &err) == -1)
			fail_msg("%zu: %s", chunks[i], err.text);
		assert_true(slice_equal(text, buf_slice(&ret)));
		buf_done(&ret);
		heap_free(box);
		heap_free(text);
	}
}

/* Three full chunks and a bit, with one thing changed. */
struct tampering {
	const char *name;
	void (*change)(struct buf *box);
};

static unsigned char *
chunk_at(struct buf *box, size_t i)
{
	return box->at + BEGIN + i * BLOCK;
}

static void
nothing(struct buf *box)
{
	(void)box;
}

static void
swapped(struct buf *box)
{
	unsigned char *copy = malloc(BLOCK);

	memcpy(copy, chunk_at(box, 0), BLOCK);
	memcpy(chunk_at(box, 0), chunk_at(box, 1), BLOCK);
	memcpy(chunk_at(box, 1), copy, BLOCK);
	free(copy);
}

static void
dropped(struct buf *box)
{
	memmove(chunk_at(box, 1), chunk_at(box, 2), box->len - BEGIN - 2 * BLOCK);
	box->len -= BLOCK;
}

static void
first_dropped(struct buf *box)
{
	memmove(chunk_at(box, 0), chunk_at(box, 1), box->len - BEGIN - BLOCK);
	box->len -= BLOCK;
}

static void
repeated(struct buf *box)
{
	unsigned char *copy = malloc(BLOCK);

	memcpy(copy, chunk_at(box, 2), BLOCK);
	box->len = BEGIN + 3 * BLOCK;
	buf_add(box, copy, BLOCK);
	free(copy);
}

static void
overwritten_by_first(struct buf *box)
{
	memcpy(chunk_at(box, 1), chunk_at(box, 0), BLOCK);
}

static void
last_dropped(struct buf *box)
{
	box->len = BEGIN + 3 * BLOCK;
}

static void
cut_and_marked(struct buf *box)
{
	box->len = BEGIN + 3 * BLOCK;
	chunk_at(box, 2)[0] |= 0x80;
}

static void
mark_taken(struct buf *box)
{
	chunk_at(box, 3)[0] &= 0x7f;
}

static void
mark_set_early(struct buf *box)
{
	chunk_at(box, 0)[0] |= 0x80;
}

static void
one_byte_short(struct buf *box)
{
	box->len--;
}

static void
shorter_chunk(struct buf *box)
{
	chunk_at(box, 3)[3]--;
}

static void
longer_chunk(struct buf *box)
{
	chunk_at(box, 0)[3]++;
}

static void
huge_chunk(struct buf *box)
{
	chunk_at(box, 0)[0] = 0x7f;
}

static void
trailing(struct buf *box)
{
	buf_add(box, "x", 1);
}

static void
trailing_box(struct buf *box)
{
	struct slice copy = heap_slice(box->at, box->len);

	buf_add_slice(box, copy);
	heap_free(copy);
}

static void
only_header(struct buf *box)
{
	box->len = BEGIN;
}

static void
empty(struct buf *box)
{
	box->len = 0;
}

static void
other_magic(struct buf *box)
{
	box->at[8] = '2';
}

static void
other_spki(struct buf *box)
{
	box->at[10] ^= 1;
}

static void
other_key_bytes(struct buf *box)
{
	box->at[FIXED + 5] ^= 1;
}

static void
key_length_less(struct buf *box)
{
	box->at[42] = 0;
	box->at[43] = 255;
}

static void
key_length_more(struct buf *box)
{
	box->at[42] = 2;
	box->at[43] = 1;
}

static void
a_bit(struct buf *box)
{
	chunk_at(box, 1)[4 + 100] ^= 4;
}

static void
a_bit_of_the_tag(struct buf *box)
{
	box->at[box->len - 1] ^= 1;
}

/* The header of another box of the same message: its key opens, and its chunks are not these. */
static void
other_header(struct buf *box)
{
	struct slice text = text_of(3 * CHUNK + 5);
	struct buf other;

	buf_init(&other, 1 << 20);
	write_box(text, 1 << 20, &other);
	memcpy(box->at, other.at, BEGIN);
	buf_done(&other);
	heap_free(text);
}

static const struct tampering tamperings[] = {
	{ "two chunks swapped", swapped },
	{ "a chunk dropped", dropped },
	{ "the first chunk dropped", first_dropped },
	{ "a chunk repeated", repeated },
	{ "a chunk in another's place", overwritten_by_first },
	{ "the last chunk dropped", last_dropped },
	{ "cut, and marked as last", cut_and_marked },
	{ "the last mark taken", mark_taken },
	{ "the last mark set early", mark_set_early },
	{ "one byte short", one_byte_short },
	{ "a shorter chunk", shorter_chunk },
	{ "a longer chunk", longer_chunk },
	{ "a chunk of 2 GiB", huge_chunk },
	{ "a byte behind the end", trailing },
	{ "another box behind the end", trailing_box },
	{ "a header alone", only_header },
	{ "nothing", empty },
	{ "another magic", other_magic },
	{ "another certificate's hash", other_spki },
	{ "a changed wrapped key", other_key_bytes },
	{ "a wrapped key of 255 bytes", key_length_less },
	{ "a wrapped key of 513 bytes", key_length_more },
	{ "a bit of the text", a_bit },
	{ "a bit of the tag", a_bit_of_the_tag },
	{ "another box's header", other_header },
};

static int
tampered(const struct tampering *tampering, const struct reading *reading, struct err *err)
{
	struct slice text = text_of(3 * CHUNK + 5), box;
	struct buf made, ret;
	int result;

	buf_init(&made, 1 << 20);
	buf_init(&ret, 1 << 20);
	write_box(text, 1 << 20, &made);
	tampering->change(&made);
	box = heap_slice(made.at, made.len);
	result = read_box(reading, box, &ret, err);
	/* What came out before was ours, in its place. */
	assert_true(ret.len <= text.len || result == 0);
	if (ret.len)
		assert_memory_equal(ret.at, text.at, ret.len);
	heap_free(box);
	heap_free(text);
	buf_done(&made);
	buf_done(&ret);
	return result;
}

static void
test_tampering(void **state)
{
	static const size_t steps[] = { 1 << 20, 777 };
	const struct tampering whole = { "nothing", nothing };

	(void)state;
	for (size_t j = 0; j < N_ELEMENTS(steps); j++) {
		struct reading reading = { box_unwrapper(key), NAME, steps[j] };
		struct err err = { 0 };

		assert_int_equal(tampered(&whole, &reading, &err), 0);
		for (size_t i = 0; i < N_ELEMENTS(tamperings); i++) {
			err = (struct err){ 0 };
			if (tampered(&tamperings[i], &reading, &err) != -1 || err.kind != ERR_CONFIG || !*err.text)
				fail_msg("%s: %d '%s'", tamperings[i].name, (int)err.kind, err.text);
		}
	}
}

/* Every bit of the header and of the first chunk's beginning. */
static void
test_every_bit(void **state)
{
	struct slice text = text_of(20);
	struct buf box;

	(void)state;
	buf_init(&box, 1 << 20);
	write_box(text, 20, &box);
	for (size_t bit = 0; bit < 8 * box.len; bit++) {
		struct reading reading = { box_unwrapper(key), NAME, 1 << 20 };
		struct buf ret;

		/* The wrapped key costs a private operation each; a bit in eleven of it. */
		if (bit / 8 >= FIXED && bit / 8 < BEGIN && bit % 11)
			continue;
		buf_init(&ret, 1 << 20);
		box.at[bit / 8] ^= (unsigned char)(1 << bit % 8);
		if (read_box(&reading, buf_slice(&box), &ret, NULL) != -1 || ret.len)
			fail_msg("bit %zu", bit);
		box.at[bit / 8] ^= (unsigned char)(1 << bit % 8);
		buf_done(&ret);
	}
	buf_done(&box);
	heap_free(text);
}

static void
test_names_and_keys(void **state)
{
	const struct tampering whole = { "nothing", nothing };
	const struct reading rows[] = {
		{ box_unwrapper(key), "0123456789abcdef0123456789abcdee", 1 << 20 },
		{ box_unwrapper(key), "0123456789abcdef0123456789abcde", 1 << 20 },
		{ box_unwrapper(key), NAME "0", 1 << 20 },
		{ box_unwrapper(key), "", 1 << 20 },
		{ box_unwrapper(key), NAME NAME "0", 1 << 20 },
		{ box_unwrapper(other_key), NAME, 1 << 20 },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct err err = { 0 };

		if (tampered(&whole, &rows[i], &err) != -1 || err.kind != ERR_CONFIG)
			fail_msg("%zu: '%s'", i, err.text);
	}
}

static int
no_key_now(void *ctx, const unsigned char spki[32], struct slice wrapped, unsigned char ret[32], struct err *err)
{
	(void)ctx;
	(void)spki;
	(void)wrapped;
	(void)ret;
	return err_set(err, ERR_TEMP, "the key agent does not answer");
}

/* Where the key could not be had, nothing is said about the box. */
static void
test_agent_away(void **state)
{
	const struct tampering whole = { "nothing", nothing };
	struct reading reading = { { no_key_now, NULL }, NAME, 1 << 20 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(tampered(&whole, &reading, &err), -1);
	assert_int_equal(err.kind, ERR_TEMP);
	assert_non_null(strstr(err.text, "does not answer"));
}

struct budget {
	size_t left;
};

static int
spend(void *ctx, struct slice bytes, struct err *err)
{
	struct budget *budget = ctx;

	if (bytes.len > budget->left)
		return err_set(err, ERR_TEMP, "no room");
	budget->left -= bytes.len;
	return 0;
}

/* A sink that fails ends the box, at the header, a chunk, or the last one. */
static void
test_sink_fails(void **state)
{
	struct slice text = text_of(2 * CHUNK);

	(void)state;
	for (size_t room = 0; room < 3; room++) {
		AUTO(box_writer_free) struct box_writer *writer = NULL;
		struct budget budget = { room == 0 ? 100 : BEGIN + (room - 1) * BLOCK };
		struct box_sink sink = { spend, &budget };
		struct err err = { 0 };
		int result = box_writer_new(cert, NAME, &sink, &writer, &err);

		if (result == 0)
			result = box_write(writer, text, &err);
		if (result == 0)
			result = box_finish(writer, &err);
		assert_int_equal(result, -1);
		assert_string_equal(err.text, "no room");
		budget.left = 1 << 20;
		if (writer) {
			assert_int_equal(box_write(writer, text, &err), -1);
			assert_int_equal(box_finish(writer, &err), -1);
		}
	}
	heap_free(text);
}

static const struct {
	const char *name, *key;
	bool want;
} certs[] = {
	{ "RSA 2048", "rsa2048", true },
	{ "RSA 4096", "rsa4096", true },
	{ "RSA 1024", "rsa1024", false },
	{ "P-256", "p256", false },
	{ "Ed25519", "ed25519", false },
};

static void
test_certificates(void **state)
{
	struct err err = { 0 };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(certs); i++) {
		AUTO(box_writer_free) struct box_writer *writer = NULL;
		struct buf box;
		struct box_sink sink = { collect, &box };
		struct slice der;

		buf_init(&box, 1 << 20);
		mkpki(&world, "--out c --cn x --from -1d --to +1d --key %s", certs[i].key);
		der = cert_of("c.crt");
		if ((box_writer_new(der, NAME, &sink, &writer, &err) == 0) != certs[i].want)
			fail_msg("%s: %s", certs[i].name, err.text);
		if (!certs[i].want && err.kind != ERR_CONFIG)
			fail_msg("%s: %s", certs[i].name, err.text);
		heap_free(der);
		buf_done(&box);
	}
}

static int
count(void *ctx, struct slice bytes, struct err *err)
{
	(void)err;
	*(size_t *)ctx += bytes.len;
	return 0;
}

static long
peak(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_maxrss;
}

struct relay {
	struct box_reader *reader;
};

static int
pass_on(void *ctx, struct slice bytes, struct err *err)
{
	struct relay *relay = ctx;

	return box_read(relay->reader, bytes, err);
}

/* 30 MB through a writer and a reader: neither keeps more than a chunk. */
static void
test_bounded_memory(void **state)
{
	enum { MB = 1 << 20 };
	AUTO(box_writer_free) struct box_writer *writer = NULL;
	AUTO(box_reader_free) struct box_reader *reader = NULL;
	struct unwrapper unwrapper = box_unwrapper(key);
	struct slice text = text_of(MB);
	size_t n = 0;
	struct box_sink out = { count, &n };
	struct relay relay = { NULL };
	struct box_sink in = { pass_on, &relay };
	struct err err = { 0 };
	long before, after;

	(void)state;
	relay.reader = reader = box_reader_new(NAME, &unwrapper, &out);
	assert_int_equal(box_writer_new(cert, NAME, &in, &writer, &err), 0);
	assert_int_equal(box_write(writer, text, &err), 0);
	before = peak();
	for (int i = 1; i < 30; i++)
		assert_int_equal(box_write(writer, text, &err), 0);
	assert_int_equal(box_finish(writer, &err), 0);
	assert_int_equal(box_read_end(reader, &err), 0);
	after = peak();
	assert_int_equal(n, 30 * MB);
	print_message("30 MB: %ld KB more than for the first\n", after - before);
	assert_true(after - before < 1024);
	heap_free(text);
}

static void
test_spki(void **state)
{
	struct slice text = text_of(1);
	unsigned char spki[32];
	struct buf box;

	(void)state;
	buf_init(&box, 1 << 20);
	write_box(text, 1, &box);
	assert_true(box_spki(buf_slice(&box), spki));
	assert_memory_equal(spki, key_spki(key), 32);
	assert_true(box_spki((struct slice){ box.at, 42 }, spki));
	assert_false(box_spki((struct slice){ box.at, 41 }, spki));
	box.at[0] = 's';
	assert_false(box_spki(buf_slice(&box), spki));
	buf_done(&box);
	heap_free(text);
}

static int
setup(void **state)
{
	struct err err = { 0 };
	char *slash;

	(void)state;
	world_open(&world);
	assert_true(readlink("/proc/self/exe", helper, 500) > 0);
	slash = strrchr(helper, '/');
	strcpy(slash, "/../../../../tests/smime/box.py");
	mkpki(&world, "--out k --cn x --from -1d --to +1d --key rsa2048");
	mkpki(&world, "--out o --cn x --from -1d --to +1d --key rsa2048");
	cert = cert_of("k.crt");
	other_cert = cert_of("o.crt");
	assert_int_equal(key_load("k.key", NULL, true, &key, &err), 0);
	assert_int_equal(key_load("o.key", NULL, true, &other_key, &err), 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	key_free(key);
	key_free(other_key);
	heap_free(cert);
	heap_free(other_cert);
	world_close(&world);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounded_memory), /* first: a peak stays */
		cmocka_unit_test(test_another_reads),
		cmocka_unit_test(test_another_writes),
		cmocka_unit_test(test_tampering),
		cmocka_unit_test(test_every_bit),
		cmocka_unit_test(test_names_and_keys),
		cmocka_unit_test(test_agent_away),
		cmocka_unit_test(test_sink_fails),
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_spki),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
