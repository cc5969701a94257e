/* segel-tlspol on the wire: a server in this process, with a registry, and peers that keep to the rules or do not. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "tests/policy/registry/world.h"

#include "milter/listen.h"
#include "milter/log.h"
#include "milter/tlspol/client.h"
#include "milter/tlspol/quiet.h"
#include "milter/tlspol/server.h"

enum { TIMEOUT_MS = 300, IDLE_MS = 800, MAX_CONNECTIONS = 8, PATIENCE_MS = 20 * 1000 };

struct scene {
	struct world *w;
	char file[128];
	char socket[128];
	char log[128];
	int stderr_before;
	struct tls_server *server;
};

#define FOUND "43:OK secure match=nexthop protocols=>=TLSv1.2,"
#define LEAST "30:OK encrypt protocols=>=TLSv1.2,"
#define NONE "9:NOTFOUND ,"

static struct answerer *
open_answerer(const struct scene *scene, const char *map)
{
	const struct answerer_settings settings = { scene->file, 200, map, TLS_VERSION_1_2 };
	struct answerer *answerer = NULL;
	struct err err;

	if (answerer_open(&settings, &answerer, &err) == -1)
		fail_msg("%s", err.text);
	return answerer;
}

static const struct server_limits limits = { MAX_CONNECTIONS, IDLE_MS, TIMEOUT_MS };

/* The server asks by the clock: a registry of this very time, not the world's. */
static void
fill(struct scene *scene)
{
	const char *nexthop = "nexthop";
	const time_t now = time(NULL) - 1;
	struct registry_writer *writer = NULL;
	struct err err;

	snprintf(scene->file, sizeof(scene->file), "%s/now.db", scene->w->dir);
	must(registry_create(scene->file, world_founder(), now, false, &err));
	must(registry_write_open(scene->file, "ani", now, &writer, &err));
	must(write_begin(writer, &err));
	must(write_tls_set(writer, &(struct new_tls){ .hop = "aman.example", .level = HOP_LEVEL_SECURE, .matches = &nexthop, .n_matches = 1 },
	    NULL, &err));
	must(write_tls_set(writer, &(struct new_tls){ .hop = "kelak.example", .level = HOP_LEVEL_MAY }, NULL, &err));
	must(write_domain_add(writer, "kelak.example", "own", false, NULL, &err));
	must(write_domain_add(writer, "kota.example", "own", false, NULL, &err));
	must(write_commit(writer, &err));
	registry_write_close(writer);
}

/* What the server logs goes to a file of the world's. */
static void
catch_log(struct scene *scene)
{
	int fd;

	snprintf(scene->log, sizeof(scene->log), "%s/log", scene->w->dir);
	fd = open(scene->log, O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
	assert_true(fd != -1);
	scene->stderr_before = dup(STDERR_FILENO);
	dup2(fd, STDERR_FILENO);
	close(fd);
	log_open("segel-tlspol", LOG_TO_STDERR, LOG_LEVEL_INFO);
}

static int
setup(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct answerer *answerer;
	struct err err;
	void *world = NULL;
	int fd = -1;

	assert_int_equal(world_setup(&world), 0);
	scene->w = world;
	fill(scene);
	assert_int_equal(chmod(scene->w->dir, 0750), 0);
	catch_log(scene);
	snprintf(scene->socket, sizeof(scene->socket), "%s/tlspol.sock", scene->w->dir);
	if (listen_unix(scene->socket, "segel-tlspol", getuid(), getgid(), &fd, &err) == -1)
		fail_msg("%s", err.text);
	answerer = open_answerer(scene, "tls");
	assert_int_equal(tls_server_start(&fd, &answerer, &limits, &scene->server, &err), 0);
	*state = scene;
	return 0;
}

static int
teardown(void **state)
{
	struct scene *scene = *state;
	void *world = scene->w;

	tls_server_stop(scene->server);
	dup2(scene->stderr_before, STDERR_FILENO);
	close(scene->stderr_before);
	world_teardown(&world);
	free(scene);
	return 0;
}

static int
connect_to(const struct scene *scene)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", scene->socket);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* False: the peer has closed. */
static bool
put(int fd, const char *text, size_t len)
{
	return send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* What comes until `len` bytes are there or the peer closes; the rest of the patience is for a server that hangs. */
static size_t
get(int fd, char *ret, size_t len)
{
	int64_t until = monotonic_ms() + PATIENCE_MS;
	size_t at = 0;

	while (at < len) {
		struct pollfd one = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (monotonic_ms() > until || poll(&one, 1, (int)(until - monotonic_ms())) == 0)
			fail_msg("nothing came");
		n = recv(fd, ret + at, len - at, 0);
		if (n <= 0)
			break;
		at += (size_t)n;
	}
	ret[at] = '\0';
	return at;
}

static void
expect_closed(int fd)
{
	char byte[2];

	assert_int_equal(get(fd, byte, 1), 0);
	close(fd);
}

static void
expect(int fd, const char *request, size_t len, const char *want)
{
	char got[REPLY_BYTES + 1];

	assert_true(put(fd, request, len));
	get(fd, got, strlen(want));
	assert_string_equal(got, want);
}

static size_t
count_logged(const struct scene *scene, const char *part)
{
	FILE *file = fopen(scene->log, "r");
	char line[2048];
	size_t n = 0;

	while (fgets(line, sizeof(line), file))
		n += strstr(line, part) != NULL;
	fclose(file);
	return n;
}

static void
await_logged(const struct scene *scene, const char *part)
{
	const struct timespec step = { .tv_nsec = 5 * 1000 * 1000 };
	int64_t until = monotonic_ms() + PATIENCE_MS;

	while (count_logged(scene, part) == 0) {
		if (monotonic_ms() > until)
			fail_msg("'%s' was not logged", part);
		nanosleep(&step, NULL);
	}
}

#define REQUEST(text) (text), sizeof(text) - 1

/* One connection, whatever the boundaries of what is sent. */
static void
test_answers(void **state)
{
	struct scene *scene = *state;
	static const char two[] = "16:tls aman.example,17:tls asing.example,";
	int fd = connect_to(scene);
	char got[256];

	expect(fd, REQUEST("16:tls aman.example,"), FOUND);
	expect(fd, REQUEST("16:tls kota.example,"), LEAST);
	expect(fd, REQUEST("17:tls asing.example,"), NONE);
	expect(fd, two, sizeof(two) - 1, FOUND NONE);
	for (size_t i = 0; i < sizeof(two) - 1; i++)
		assert_true(put(fd, two + i, 1));
	get(fd, got, strlen(FOUND NONE));
	assert_string_equal(got, FOUND NONE);
	expect(fd, REQUEST("17:tls kelak.example,"), LEAST);
	await_logged(scene, "answered encrypt, more than the registry says");
	close(fd);
	assert_int_equal(count_logged(scene, "closed"), 0);
}

/* Requests that are netstrings but none of ours are refused; the connection goes on. */
static void
test_refused(void **state)
{
	struct scene *scene = *state;
	int fd = connect_to(scene);
	char got[512];

	expect(fd, REQUEST("17:TLS kota.example1,"), "74:PERM it asks for another map than tlspol.map; correct smtp_tls_policy_maps,");
	expect(fd, REQUEST("3:tls,"), "42:PERM it holds no blank between map and key,");
	expect(fd, REQUEST("0:,"), "42:PERM it holds no blank between map and key,");
	expect(fd, REQUEST("4:tls ,"), "21:PERM its key is empty,");
	expect(fd, REQUEST("17:tls kota.example\n,"), "33:PERM it holds a control character,");
	expect(fd, REQUEST("18:tls kota.example\0x,"), "33:PERM it holds a control character,");
	expect(fd, REQUEST("16:tls kota.example,"), LEAST);
	assert_true(put(fd, REQUEST("5:tls \xff,")));
	get(fd, got, 4);
	close(fd);
	await_logged(scene, "request refused: it asks for another map");
	await_logged(scene, "request refused: it holds a control character");
}

/* What is no netstring closes the connection; whole requests before it are still answered. */
static void
test_malformed(void **state)
{
	static const char *const texts[] = {
		"016:tls kota.example,", "16:tls kota.example;", "15:tls kota.example,", "-1:x,", "1001:", "x", "\r\n", "99999999999999",
		"4294967312:tls kota.example,",
	};
	struct scene *scene = *state;
	int fd;

	for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
		fd = connect_to(scene);
		assert_true(put(fd, texts[i], strlen(texts[i])));
		expect_closed(fd);
	}
	fd = connect_to(scene);
	expect(fd, REQUEST("16:tls kota.example,garbage"), LEAST);
	expect_closed(fd);
	fd = connect_to(scene);
	assert_true(put(fd, REQUEST("16:tls kota.exa")));
	close(fd);
	await_logged(scene, "what came is no request");
	assert_int_equal(count_logged(scene, "what came is no request"), 5); /* of ten */
	fd = connect_to(scene);
	expect(fd, REQUEST("16:tls kota.example,"), LEAST);
	close(fd);
}

/* Half a request, at once or byte by byte: over when its time is, not later. */
static void
test_slow(void **state)
{
	const struct timespec step = { .tv_nsec = 20 * 1000 * 1000 };
	struct scene *scene = *state;
	int64_t began = monotonic_ms();
	int fd = connect_to(scene), dripping = connect_to(scene);
	size_t n = 0;

	assert_true(put(fd, REQUEST("16:tls")));
	assert_true(put(dripping, REQUEST("900:")));
	while (put(dripping, "x", 1) && monotonic_ms() - began < PATIENCE_MS) {
		n++;
		nanosleep(&step, NULL);
	}
	assert_true(monotonic_ms() - began >= TIMEOUT_MS && monotonic_ms() - began < PATIENCE_MS);
	assert_true(n > 2);
	close(dripping);
	expect_closed(fd);
	await_logged(scene, "took longer than tlspol.timeout");
}

/* Who asks and does not read: over when its time is; others are served meanwhile. */
static void
test_reads_nothing(void **state)
{
	static const char request[] = "16:tls aman.example,";
	struct scene *scene = *state;
	int fd = connect_to(scene), other = connect_to(scene);
	int64_t until = monotonic_ms() + PATIENCE_MS;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (monotonic_ms() < until) {
		struct pollfd one = { .fd = fd, .events = POLLOUT };

		if (!put(fd, request, sizeof(request) - 1) && errno != EAGAIN)
			break;
		expect(other, REQUEST("16:tls kota.example,"), LEAST);
		if (poll(&one, 1, 1) == 1 && (one.revents & POLLHUP))
			break;
	}
	assert_true(monotonic_ms() < until);
	close(fd);
	expect(other, REQUEST("16:tls kota.example,"), LEAST);
	close(other);
	await_logged(scene, "took longer than tlspol.timeout");
}

/* Silence is closed without a word, and a request in between makes it begin anew. */
static void
test_idle(void **state)
{
	struct scene *scene = *state;
	int64_t began = monotonic_ms();
	int fd = connect_to(scene);

	expect(fd, REQUEST("16:tls kota.example,"), LEAST);
	expect_closed(fd);
	assert_true(monotonic_ms() - began >= IDLE_MS - 5 && monotonic_ms() - began < PATIENCE_MS);
	assert_int_equal(count_logged(scene, "closed"), 0);
}

static void
test_too_many(void **state)
{
	struct scene *scene = *state;
	int fds[MAX_CONNECTIONS], more;

	for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
		fds[i] = connect_to(scene);
		expect(fds[i], REQUEST("16:tls kota.example,"), LEAST);
	}
	more = connect_to(scene);
	expect_closed(more);
	await_logged(scene, "tlspol.max_connections are open already");
	expect(fds[0], REQUEST("16:tls aman.example,"), FOUND);
	close(fds[0]);
	/* There is room again once the server has seen it. */
	for (int64_t until = monotonic_ms() + PATIENCE_MS; monotonic_ms() < until;) {
		char got[64];

		more = connect_to(scene);
		if (put(more, REQUEST("16:tls kota.example,")) && get(more, got, strlen(LEAST)) == strlen(LEAST))
			break;
		close(more);
	}
	expect(more, REQUEST("16:tls kota.example,"), LEAST);
	close(more);
	for (size_t i = 1; i < MAX_CONNECTIONS; i++)
		close(fds[i]);
}

/* Without its registry every answer is TEMP, also where none was wanted; complaints are few. */
static void
test_unavailable(void **state)
{
	static const char want[] = "53:TEMP the registry of TLS policies cannot be asked now,";
	struct scene *scene = *state;
	int fd = connect_to(scene);
	char away[128];

	expect(fd, REQUEST("16:tls kota.example,"), LEAST);
	snprintf(away, sizeof(away), "%s.away", scene->file);
	assert_int_equal(rename(scene->file, away), 0);
	for (int i = 0; i < 50; i++)
		expect(fd, REQUEST("17:tls asing.example,"), want);
	assert_int_equal(rename(away, scene->file), 0);
	expect(fd, REQUEST("17:tls asing.example,"), NONE);
	close(fd);
	assert_int_equal(count_logged(scene, "cannot answer, mail is deferred: nexthop=asing.example"), QUIET_LINES);
}

/* Another map's name from the next request on; open connections stay. */
static void
test_replace(void **state)
{
	struct scene *scene = *state;
	int fd = connect_to(scene);
	struct answerer *answerer;

	expect(fd, REQUEST("16:tls kota.example,"), LEAST);
	answerer = open_answerer(scene, "lain");
	tls_server_replace(scene->server, &answerer, &limits);
	expect(fd, REQUEST("17:lain kota.example,"), LEAST);
	expect(fd, REQUEST("16:tls kota.example,"), "74:PERM it asks for another map than tlspol.map; correct smtp_tls_policy_maps,");
	tls_server_touch(scene->server);
	close(fd);
}

/* The other end of the same words. */
static void
test_client(void **state)
{
	struct scene *scene = *state;
	AUTO_BUF struct buf reply = { 0 };
	struct err err;

	buf_init(&reply, REPLY_BYTES);
	assert_int_equal(tlspol_ask(scene->socket, "tls", "kota.example", PATIENCE_MS, &reply, &err), 0);
	assert_string_equal(buf_text(&reply), "OK encrypt protocols=>=TLSv1.2");
	assert_int_equal(tlspol_ask("/nonexistent/socket", "tls", "kota.example", PATIENCE_MS, &reply, &err), -1);
	assert_non_null(strstr(err.text, "does segel-tlspol run?"));
}

#define SCENE_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SCENE_TEST(test_answers),
		SCENE_TEST(test_refused),
		SCENE_TEST(test_malformed),
		SCENE_TEST(test_slow),
		SCENE_TEST(test_reads_nothing),
		SCENE_TEST(test_idle),
		SCENE_TEST(test_too_many),
		SCENE_TEST(test_unavailable),
		SCENE_TEST(test_replace),
		SCENE_TEST(test_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
