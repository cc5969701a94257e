#include "milter/split/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "milter/crew.h"
#include "milter/log.h"
#include "milter/split/handle.h"
#include "milter/split/intake.h"

enum { STACK_BYTES = 2 * 1024 * 1024, PIECE_BYTES = 64 * 1024, SEND_MS = 30000 };

struct split_server {
	struct station *station;
	unsigned max_connections;
	struct crew *crew;
};

struct connection {
	struct split_server *server;
	int fd;
	struct intake *intake;
	int timeout_ms;
	int64_t deadline; /* of what the peer owes us */
};

/* ---- one connection ---- */

enum woken { WOKEN_LATE, WOKEN_READY, WOKEN_STOP };

/* `stops`: the end of the program may interrupt it. */
static enum woken
wait_for(const struct connection *connection, short events, int64_t deadline, bool stops)
{
	for (;;) {
		struct pollfd polled[] = { { connection->fd, events, 0 }, { connection->server->station->stop_fd, POLLIN, 0 } };
		const int64_t left = deadline - monotonic_ms();
		const int n = left > 0 ? poll(polled, stops ? 2 : 1, (int)left) : 0;

		if (n == 0 || (n == -1 && errno != EINTR))
			return WOKEN_LATE;
		if (n > 0)
			return polled[0].revents ? WOKEN_READY : WOKEN_STOP;
	}
}

/* False: the peer is gone, or takes nothing. */
static bool
send_out(struct connection *connection)
{
	struct buf *out = intake_out(connection->intake);
	const int64_t deadline = monotonic_ms() + SEND_MS;
	size_t at = 0;

	if (out->len == 0)
		return true;
	while (at < out->len) {
		const ssize_t n = send(connection->fd, out->at + at, out->len - at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			at += (size_t)n;
		else if (n == -1 && errno != EINTR && errno != EAGAIN)
			return false;
		else if (wait_for(connection, POLLOUT, deadline, false) != WOKEN_READY)
			return false;
	}
	out->len = 0;
	connection->deadline = monotonic_ms() + connection->timeout_ms;
	return true;
}

/* Has the peer said something that it may not say before we answer? */
static bool
is_early(const struct connection *connection)
{
	char byte;

	return recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static enum intake_state
on_letter(struct connection *connection)
{
	AUTO_REPLY struct reply reply = { .lines = { 0 } };
	enum intake_state state;

	if (is_early(connection)) {
		intake_close(connection->intake, "4.7.0", "More came behind the message before the answer to it");
		return INTAKE_OVER;
	}
	handle_letter(connection->server->station, intake_letter(connection->intake), &reply);
	state = intake_answer(connection->intake, &reply);
	if (!is_early(connection))
		return state;
	intake_close(connection->intake, "4.7.0", "More came behind the message before the answer to it");
	return INTAKE_OVER;
}

/* INTAKE_OVER also where the peer is gone. */
static enum intake_state
receive(struct connection *connection, unsigned char *piece)
{
	const ssize_t n = recv(connection->fd, piece, PIECE_BYTES, MSG_DONTWAIT);
	enum intake_state state;

	if (n == -1)
		return errno == EINTR || errno == EAGAIN ? INTAKE_READS : INTAKE_OVER;
	if (n == 0)
		return INTAKE_OVER;
	state = intake_take(connection->intake, (struct slice){ piece, (size_t)n });
	return state == INTAKE_LETTER ? on_letter(connection) : state;
}

static enum intake_state
turn(struct connection *connection, unsigned char *piece)
{
	const bool busy = intake_busy(connection->intake);

	switch (wait_for(connection, POLLIN, connection->deadline, !busy)) {
	case WOKEN_READY:
		return receive(connection, piece);
	case WOKEN_STOP:
		intake_close(connection->intake, "4.3.2", "Going down");
		return INTAKE_OVER;
	case WOKEN_LATE:
		break;
	}
	intake_close(connection->intake, "4.4.2", "Too slow");
	return INTAKE_OVER;
}

static void
talk(struct connection *connection)
{
	AUTO(xfree) unsigned char *piece = xcalloc(1, PIECE_BYTES);
	enum intake_state state = INTAKE_READS;

	while (send_out(connection) && state != INTAKE_OVER)
		state = turn(connection, piece);
	wipe(piece, PIECE_BYTES);
}

/* What a connection takes of the settings it takes when it begins. */
static void
begin(struct connection *connection)
{
	struct station *station = connection->server->station;
	const struct split_snapshot *snapshot = station_ref(station);

	connection->timeout_ms = (int)snapshot->config->split.timeout;
	connection->intake = intake_new(station->host, station_message_bytes(snapshot->config));
	station_unref(station, snapshot);
}

static void
serve(void *ctx, int fd)
{
	struct connection connection = { .server = ctx, .fd = fd };
	const int one = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* a UNIX socket has none */
	begin(&connection);
	talk(&connection);
	intake_free(connection.intake);
}

/* ---- all of them ---- */

static void
full(void *ctx, int fd)
{
	static const char words[] = "421 4.3.2 Too many connections\r\n";
	const struct split_server *server = ctx;

	(void)!send(fd, words, sizeof(words) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	log_line(LOG_LEVEL_WARNING, "connection closed: split.max_connections (%u) are open already; the MTA tries again",
	    server->max_connections);
}

int
split_server_start(int *listen_fd, struct station *station, unsigned max_connections, struct split_server **ret, struct err *err)
{
	AUTO(xfree) struct split_server *server = xcalloc(1, sizeof(*server));
	const struct crew_service service = { "split.socket", max_connections, STACK_BYTES, serve, full, server };

	server->station = station;
	server->max_connections = max_connections;
	if (crew_start(listen_fd, station->stop_fd, &service, &server->crew, err) == -1)
		return -1;
	*ret = TAKE(server);
	return 0;
}

bool
split_server_stop(struct split_server **server, int drain_ms)
{
	if (!crew_stop(&(*server)->crew, drain_ms))
		return false;
	free(TAKE(*server));
	return true;
}

void
split_server_touch(struct split_server *server)
{
	crew_touch(server->crew);
}
