/* Frames: whole, dripping, too long, cut in the middle, of no kind; and the deadline, which is one for a frame as a whole. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "milter/quarantine/frame.h"
#include "tests/smime/world.h"

static void
pair(int ends[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
}

/* What a peer sends, and how: `step` bytes at a time, with a pause between; then it closes, or stays. */
struct peer {
	int fd;
	struct slice bytes;
	size_t step;
	int pause_ms;
	bool closes;
};

static void *
speak(void *ctx)
{
	const struct peer *peer = ctx;

	for (size_t at = 0; at < peer->bytes.len; at += peer->step) {
		size_t len = peer->bytes.len - at < peer->step ? peer->bytes.len - at : peer->step;

		if (send(peer->fd, peer->bytes.at + at, len, MSG_NOSIGNAL) == -1)
			break;
		if (peer->pause_ms)
			(void)poll(NULL, 0, peer->pause_ms);
	}
	if (peer->closes)
		shutdown(peer->fd, SHUT_WR);
	return NULL;
}

struct row {
	const char *name;
	const char *bytes;
	size_t len;
	bool closes;
	int want; /* of frame_take */
	enum frame_kind kind;
	const char *text, *why;
};

#define BYTES(text) text, sizeof(text) - 1

static const struct row rows[] = {
	{ "JSON", BYTES("J\0\0\0\2{}"), true, 1, FRAME_JSON, "{}", NULL },
	{ "data", BYTES("D\0\0\0\3abc"), true, 1, FRAME_DATA, "abc", NULL },
	{ "empty data", BYTES("D\0\0\0\0"), true, 1, FRAME_DATA, "", NULL },
	{ "the end", BYTES("E\0\0\0\0"), true, 1, FRAME_END, "", NULL },
	{ "closed between frames", BYTES(""), true, 0, FRAME_NONE, NULL, NULL },
	{ "silent", BYTES(""), false, -1, FRAME_NONE, NULL, "time ran out" },
	{ "closed after the kind", BYTES("J"), true, -1, FRAME_NONE, NULL, "closed within" },
	{ "closed in the length", BYTES("J\0\0\0"), true, -1, FRAME_NONE, NULL, "closed within" },
	{ "closed before the bytes", BYTES("J\0\0\0\2"), true, -1, FRAME_NONE, NULL, "closed within" },
	{ "closed in the bytes", BYTES("J\0\0\0\2{"), true, -1, FRAME_NONE, NULL, "closed within" },
	{ "silent in the bytes", BYTES("J\0\0\0\2{"), false, -1, FRAME_NONE, NULL, "time ran out" },
	{ "no kind", BYTES("X\0\0\0\2{}"), true, -1, FRAME_NONE, NULL, "kind 0x58" },
	{ "a kind of 0", BYTES("\0\0\0\0\2{}"), true, -1, FRAME_NONE, NULL, "kind 0x00" },
	{ "one byte too long", BYTES("D\0\20\0\1"), false, -1, FRAME_NONE, NULL, "1048577 bytes" },
	{ "far too long", BYTES("J\xff\xff\xff\xff"), false, -1, FRAME_NONE, NULL, "4294967295 bytes" },
	{ "an end with bytes", BYTES("E\0\0\0\1x"), false, -1, FRAME_NONE, NULL, "at most 0" },
};

static void
test_rows(void **state)
{
	static const size_t steps[] = { 1000, 1 };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows) * N_ELEMENTS(steps); i++) {
		const struct row *row = &rows[i % N_ELEMENTS(rows)];
		AUTO_BUF struct buf ret = { 0 };
		enum frame_kind kind = FRAME_NONE;
		struct err err = { 0 };
		struct peer peer = { .bytes = { (const unsigned char *)row->bytes, row->len }, .step = steps[i / N_ELEMENTS(rows)],
			.closes = row->closes };
		int ends[2];

		pair(ends);
		buf_init(&ret, FRAME_BYTES);
		buf_add_text(&ret, "left from before");
		peer.fd = ends[1];
		speak(&peer);
		if (frame_take(ends[0], &kind, &ret, 100, &err) != row->want || kind != row->kind)
			fail_msg("%s: %s", row->name, err.text);
		if (row->text)
			assert_string_equal(buf_text(&ret), row->text);
		if (row->want == -1 && !strstr(err.text, row->why))
			fail_msg("%s: '%s'", row->name, err.text);
		close(ends[0]);
		close(ends[1]);
	}
}

/* A byte every 20 ms is never late by itself. */
static void
test_dripping(void **state)
{
	struct peer peer = { .step = 1, .pause_ms = 20 };
	char *text = repeat("x", 1005);
	AUTO_BUF struct buf ret = { 0 };
	enum frame_kind kind = FRAME_NONE;
	struct err err = { 0 };
	pthread_t thread;
	int64_t began = monotonic_ms();
	int ends[2];

	(void)state;
	pair(ends);
	buf_init(&ret, FRAME_BYTES);
	peer.fd = ends[1];
	memcpy(text, "D\0\0\3\xe8", 5);
	peer.bytes = (struct slice){ (const unsigned char *)text, 1005 };
	assert_int_equal(pthread_create(&thread, NULL, speak, &peer), 0);
	assert_int_equal(frame_take(ends[0], &kind, &ret, 300, &err), -1);
	began = monotonic_ms() - began;
	assert_true(began >= 280 && began < 3000);
	assert_non_null(strstr(err.text, "time ran out"));
	close(ends[0]);
	pthread_join(thread, NULL);
	close(ends[1]);
	free(text);
}

/* A peer that takes nothing, or a little now and then; and one that has gone. */
static void *
sip(void *ctx)
{
	const int *fd = ctx;
	char block[4096];

	while (recv(*fd, block, sizeof(block), 0) > 0)
		(void)poll(NULL, 0, 20);
	return NULL;
}

static void
test_sending(void **state)
{
	char *text = repeat("x", FRAME_BYTES + 1);
	struct slice most = { (const unsigned char *)text, FRAME_BYTES }, more = { (const unsigned char *)text, FRAME_BYTES + 1 };
	struct err err = { 0 };
	pthread_t thread;
	int64_t began;
	int ends[2];

	(void)state;
	pair(ends);
	assert_int_equal(frame_send(ends[0], FRAME_DATA, more, 100, &err), -1);
	assert_int_equal(err.kind, ERR_BUG);
	assert_int_equal(frame_send(ends[0], FRAME_END, slice_of("x"), 100, &err), -1);
	for (int i = 0; i < 2; i++) {
		began = monotonic_ms();
		if (i == 1)
			assert_int_equal(pthread_create(&thread, NULL, sip, &ends[1]), 0);
		assert_int_equal(frame_send(ends[0], FRAME_DATA, most, 300, &err), -1);
		assert_non_null(strstr(err.text, "time ran out"));
		began = monotonic_ms() - began;
		assert_true(began >= 280 && began < 3000);
	}
	close(ends[0]);
	pthread_join(thread, NULL);
	close(ends[1]);
	pair(ends);
	close(ends[1]);
	assert_int_equal(frame_send(ends[0], FRAME_DATA, slice_of("x"), 100, &err), -1);
	close(ends[0]);
	free(text);
}

struct giving {
	int fd;
	struct slice bytes;
	int result;
};

static void *
give(void *ctx)
{
	struct giving *giving = ctx;

	giving->result = frame_send(giving->fd, FRAME_DATA, giving->bytes, 10000, NULL);
	return NULL;
}

static void
test_longest(void **state)
{
	char *text = repeat("0123456789", FRAME_BYTES);
	struct giving giving = { .bytes = { (const unsigned char *)text, FRAME_BYTES } };
	AUTO_BUF struct buf ret = { 0 };
	enum frame_kind kind = FRAME_NONE;
	pthread_t thread;
	int ends[2];

	(void)state;
	pair(ends);
	buf_init(&ret, FRAME_BYTES);
	giving.fd = ends[1];
	assert_int_equal(pthread_create(&thread, NULL, give, &giving), 0);
	assert_int_equal(frame_take(ends[0], &kind, &ret, 10000, NULL), 1);
	pthread_join(thread, NULL);
	assert_int_equal(giving.result, 0);
	assert_true(slice_equal(buf_slice(&ret), giving.bytes));
	close(ends[0]);
	close(ends[1]);
	free(text);
}

static const struct {
	const char *text;
	bool want;
} objects[] = {
	{ "{\"a\": 1}", true },
	{ "{}", true },
	{ "[]", false },
	{ "1", false },
	{ "", false },
	{ "{\"a\": 1", false },
	{ "{} x", false },
	{ "{\"a\": 1, \"a\": 2}", false },
	{ "{\"a\": \"\\u0000\"}", false },
	{ "{\"a\": \"\xff\"}", false },
	{ "{\"a\": 1e999}", false },
};

static void
test_objects(void **state)
{
	json_t *object = json_pack("{s:s}", "kata", "sandi");
	struct err err = { 0 };
	json_t *found;
	int ends[2];

	(void)state;
	pair(ends);
	for (size_t i = 0; i < N_ELEMENTS(objects); i++) {
		struct slice bytes = heap_text(objects[i].text);

		assert_int_equal(frame_send(ends[1], FRAME_JSON, bytes, 100, &err), 0);
		found = frame_take_json(ends[0], 100, &err);
		if ((found != NULL) != objects[i].want)
			fail_msg("%s: %s", objects[i].text, err.text);
		json_decref(found);
		heap_free(bytes);
	}
	assert_int_equal(frame_send_json(ends[1], object, 100, &err), 0);
	found = frame_take_json(ends[0], 100, &err);
	assert_true(json_equal(found, object));
	json_decref(found);
	json_decref(object);
	/* of another kind, and none at all */
	assert_int_equal(frame_send(ends[1], FRAME_DATA, slice_of("{}"), 100, &err), 0);
	assert_null(frame_take_json(ends[0], 100, &err));
	assert_int_equal(frame_send(ends[1], FRAME_END, slice_of(""), 100, &err), 0);
	assert_null(frame_take_json(ends[0], 100, &err));
	close(ends[1]);
	assert_null(frame_take_json(ends[0], 100, &err));
	assert_non_null(strstr(err.text, "closed"));
	close(ends[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_dripping),
		cmocka_unit_test(test_sending),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
