/* A filter's side of the hold socket, against a peer that answers rightly, wrongly, early, late or not at all. */
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "milter/quarantine/deposit.h"
#include "milter/quarantine/frame.h"
#include "milter/quarantine/item_json.h"
#include "smime/box.h"
#include "smime/key.h"
#include "tests/milter/quarantine/world.h"

#define OTHER "ffffffffffffffffffffffffffffffff"

static struct world world;
static struct key *key;

enum { TIMEOUT_MS = 1500, LONGEST_MS = 10000 };

/* What the peer does with one connection. */
enum manner {
	TAKE_ALL,   /* reads all, then says `answer` */
	TAKE_NONE,  /* says `answer` after the first frame, and closes */
	SAY_NOTHING,
	HANG_UP,    /* after the first frame */
};

struct peer {
	int fd;
	enum manner manner;
	const char *answer;
	bool keep;           /* what came, for a look */
	json_t *request;
	struct buf box;
	size_t n_data;
	bool ended;
};

static void
take_data(struct peer *peer, int fd)
{
	AUTO_BUF struct buf frame = { 0 };
	enum frame_kind kind = FRAME_NONE;

	buf_init(&frame, FRAME_BYTES);
	while (frame_take(fd, &kind, &frame, LONGEST_MS, NULL) == 1 && kind == FRAME_DATA) {
		peer->n_data += frame.len;
		if (peer->keep)
			buf_add_slice(&peer->box, buf_slice(&frame));
	}
	peer->ended = kind == FRAME_END;
}

static void
say(int fd, const char *answer)
{
	(void)!frame_send(fd, FRAME_JSON, slice_of(answer), LONGEST_MS, NULL);
}

static void *
serve(void *ctx)
{
	struct peer *peer = ctx;
	int fd = accept(peer->fd, NULL, NULL);
	char byte;

	if (fd == -1)
		return NULL;
	peer->request = frame_take_json(fd, LONGEST_MS, NULL);
	if (peer->manner == TAKE_ALL)
		take_data(peer, fd);
	if (peer->manner == TAKE_ALL || peer->manner == TAKE_NONE)
		say(fd, peer->answer);
	/* Until the filter has had enough. */
	if (peer->manner == SAY_NOTHING)
		while (recv(fd, &byte, 1, 0) > 0)
			continue;
	close(fd);
	return NULL;
}

static int
listening(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "hold.sock" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	unlink("hold.sock");
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

static struct depot *
depot(void)
{
	struct depot *ret = NULL;
	struct err err = { 0 };

	if (depot_new("hold.sock", "k.crt", TIMEOUT_MS, &ret, &err) == -1)
		fail_msg("%s", err.text);
	return ret;
}

/* One message to one peer. */
static int
hold(struct peer *peer, const struct item *item, struct slice message, char id[ITEM_ID_BYTES], struct err *err)
{
	AUTO(depot_free) struct depot *to = depot();
	pthread_t thread;
	int result;

	peer->fd = listening();
	buf_init(&peer->box, 1 << 20);
	assert_int_equal(pthread_create(&thread, NULL, serve, peer), 0);
	result = depot_hold(to, item, message, id, err);
	pthread_join(thread, NULL);
	close(peer->fd);
	return result;
}

static void
peer_done(struct peer *peer)
{
	json_decref(peer->request);
	buf_done(&peer->box);
}

static int
collect(void *ctx, struct slice bytes, struct err *err)
{
	(void)err;
	buf_add_slice(ctx, bytes);
	return 0;
}

/* What arrives is the item, and a box of its name that only the key's owner opens. */
static void
test_held(void **state)
{
	AUTO_ITEM struct item item = item_of(1), found = { 0 };
	AUTO(box_reader_free) struct box_reader *reader = NULL;
	struct unwrapper unwrapper = box_unwrapper(key);
	char *text = repeat("Yth. Bapak/Ibu\r\n", 200000), id[ITEM_ID_BYTES];
	struct slice message = heap_text(text);
	struct peer peer = { .manner = TAKE_ALL, .answer = "{\"ok\": true, \"id\": \"00000000000000000000000000000001\"}", .keep = true };
	struct err err = { 0 };
	struct buf plain;
	struct box_sink sink = { collect, &plain };

	(void)state;
	buf_init(&plain, 1 << 20);
	if (hold(&peer, &item, message, id, &err) == -1)
		fail_msg("%s", err.text);
	assert_string_equal(id, item.id);
	assert_true(peer.ended);
	assert_string_equal(json_string_value(json_object_get(peer.request, "op")), "hold");
	assert_int_equal(json_integer_value(json_object_get(peer.request, "version")), 1);
	assert_int_equal(json_object_size(peer.request), 3);
	assert_int_equal(item_from_json(json_object_get(peer.request, "item"), &found, &err), 0);
	assert_string_equal(found.recipients[1].address, "Sekda@kota.go.id");
	assert_null(memmem(peer.box.at, peer.box.len, "Bapak", 5));
	reader = box_reader_new(item.id, &unwrapper, &sink);
	assert_int_equal(box_read(reader, buf_slice(&peer.box), &err), 0);
	assert_int_equal(box_read_end(reader, &err), 0);
	assert_true(slice_equal(buf_slice(&plain), message));
	buf_done(&plain);
	peer_done(&peer);
	heap_free(message);
	free(text);
}

static const struct {
	const char *name;
	enum manner manner;
	const char *answer, *want; /* the id; NULL = deferred */
	const char *why;
} rows[] = {
	{ "held", TAKE_ALL, "{\"ok\": true, \"id\": \"00000000000000000000000000000001\"}", "00000000000000000000000000000001", NULL },
	{ "held before", TAKE_ALL, "{\"ok\": true, \"id\": \"" OTHER "\"}", OTHER, NULL },
	{ "refused", TAKE_ALL, "{\"ok\": false, \"error\": \"full\", \"text\": \"penuh\"}", NULL, "full: penuh" },
	{ "refused early", TAKE_NONE, "{\"ok\": false, \"error\": \"full\", \"text\": \"penuh\"}", NULL, "full: penuh" },
	{ "good before it has all", TAKE_NONE, "{\"ok\": true, \"id\": \"" OTHER "\"}", NULL, "" },
	{ "silent", SAY_NOTHING, NULL, NULL, "time ran out" },
	{ "gone", HANG_UP, NULL, NULL, "" },
	{ "no id", TAKE_ALL, "{\"ok\": true}", NULL, "none" },
	{ "an id that is none", TAKE_ALL, "{\"ok\": true, \"id\": \"x\"}", NULL, "none" },
	{ "an id that is no text", TAKE_ALL, "{\"ok\": true, \"id\": 1}", NULL, "none" },
	{ "ok as a text", TAKE_ALL, "{\"ok\": \"true\", \"id\": \"" OTHER "\"}", NULL, "none" },
	{ "ok as a number", TAKE_ALL, "{\"ok\": 1, \"id\": \"" OTHER "\"}", NULL, "none" },
	{ "not ok, with an id", TAKE_ALL, "{\"ok\": false, \"id\": \"" OTHER "\"}", NULL, "none" },
	{ "ok, with an error", TAKE_ALL, "{\"ok\": true, \"error\": \"full\", \"text\": \"x\"}", NULL, "none" },
	{ "ok, with more", TAKE_ALL, "{\"ok\": true, \"id\": \"" OTHER "\", \"x\": 1}", NULL, "none" },
	{ "a list", TAKE_ALL, "[]", NULL, "no JSON object" },
	{ "no JSON", TAKE_ALL, "ok", NULL, "no JSON object" },
	{ "nothing", TAKE_ALL, "", NULL, "no JSON object" },
};

static void
test_answers(void **state)
{
	AUTO_ITEM struct item item = item_of(1);
	char *text = repeat("Yth. Bapak/Ibu\r\n", 3000000);
	struct slice message = heap_text(text);

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct peer peer = { .manner = rows[i].manner, .answer = rows[i].answer };
		char id[ITEM_ID_BYTES] = "untouched";
		struct err err = { 0 };
		int result = hold(&peer, &item, message, id, &err);

		if ((result == 0) != (rows[i].want != NULL))
			fail_msg("%s: %d '%s'", rows[i].name, result, err.text);
		if (result == 0 && strcmp(id, rows[i].want) != 0)
			fail_msg("%s: '%s'", rows[i].name, id);
		if (result == -1 && (strcmp(id, "untouched") != 0 || err.kind != ERR_TEMP || !strstr(err.text, rows[i].why)))
			fail_msg("%s: %s '%s'", rows[i].name, id, err.text);
		peer_done(&peer);
	}
	heap_free(message);
	free(text);
}

static const struct {
	const char *answer;
	bool want;
} pings[] = {
	{ "{\"ok\": true}", true },
	{ "{\"ok\": false, \"error\": \"full\", \"text\": \"penuh\"}", false },
	{ "{\"ok\": true, \"id\": \"" OTHER "\"}", false },
	{ "{}", false },
};

static void
test_ping(void **state)
{
	AUTO(depot_free) struct depot *to = depot();
	struct err err = { 0 };

	(void)state;
	unlink("hold.sock");
	assert_int_equal(depot_ping(to, &err), -1);
	assert_non_null(strstr(err.text, "does not answer"));
	for (size_t i = 0; i < N_ELEMENTS(pings); i++) {
		struct peer peer = { .manner = TAKE_NONE, .answer = pings[i].answer };
		pthread_t thread;

		peer.fd = listening();
		assert_int_equal(pthread_create(&thread, NULL, serve, &peer), 0);
		if ((depot_ping(to, &err) == 0) != pings[i].want)
			fail_msg("%s: %s", pings[i].answer, err.text);
		pthread_join(thread, NULL);
		assert_string_equal(json_string_value(json_object_get(peer.request, "op")), "ping");
		close(peer.fd);
		peer_done(&peer);
	}
}

static const struct {
	const char *socket, *make, *why;
} settings[] = {
	{ "hold.sock", "rm -f c.crt", "cannot open" },
	{ "hold.sock", ": >c.crt", "" },
	{ "hold.sock", "echo x >c.crt", "c.crt" },
	{ "hold.sock", "head -c 100000 /dev/zero >c.crt", "longer" },
	{ "hold.sock", "cp p.crt c.crt", "RSA" },
	{ "hold.sock", "cat k.crt k.key >c.crt", "key" },
	{ "a/very/long/name/of/a/socket/that/does/not/fit/into/the/room/that/the/kernel/has/for/the/names/of/UNIX/sockets", "cp k.crt c.crt", "too long" },
};

static void
test_settings(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(settings); i++) {
		AUTO(depot_free) struct depot *to = NULL;
		struct err err = { 0 };

		assert_int_equal(run("rm -f c.crt; %s", settings[i].make), 0);
		if (depot_new(settings[i].socket, "c.crt", TIMEOUT_MS, &to, &err) != -1 || err.kind != ERR_CONFIG || !strstr(err.text, settings[i].why))
			fail_msg("%s: '%s'", settings[i].make, err.text);
	}
}

static long
peak(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_maxrss;
}

/* 30 MB to a peer that throws it away. */
static void
test_memory(void **state)
{
	AUTO_ITEM struct item item = item_of(1);
	char *text = repeat("Yth. Bapak/Ibu\r\n", 30 * 1024 * 1024), id[ITEM_ID_BYTES];
	struct slice message = { (const unsigned char *)text, 30 * 1024 * 1024 };
	struct peer peer = { .manner = TAKE_ALL, .answer = "{\"ok\": true, \"id\": \"" OTHER "\"}" };
	struct err err = { 0 };
	long before, more;

	(void)state;
	assert_int_equal(hold(&peer, &item, (struct slice){ message.at, 1024 * 1024 }, id, &err), 0);
	peer_done(&peer);
	peer = (struct peer){ .manner = TAKE_ALL, .answer = peer.answer };
	before = peak();
	if (hold(&peer, &item, message, id, &err) == -1)
		print_message("30 MB: %s\n", err.text); /* a slow machine: the memory is what is looked at */
	more = peak() - before;
	print_message("30 MB: %zu bytes sent, %ld KB more than for one\n", peer.n_data, more);
	peer_done(&peer);
	free(text);
	/* A second copy would be 30720; the sanitizer keeps what was freed for a while. */
	assert_true(more < 8192);
}

static int
setup(void **state)
{
	struct err err = { 0 };

	(void)state;
	folder_open(&world, "/tmp");
	mkpki(&world, "--out k --cn x --from -1d --to +1d --key rsa2048");
	mkpki(&world, "--out p --cn x --from -1d --to +1d --key p256");
	assert_int_equal(key_load("k.key", NULL, true, &key, &err), 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	key_free(key);
	world_close(&world);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory), /* first: a peak stays */
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_ping),
		cmocka_unit_test(test_settings),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
