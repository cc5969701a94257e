#include "milter/split/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "milter/log.h"
#include "milter/split/handle.h"
#include "milter/split/intake.h"

enum { STACK_BYTES = 2 * 1024 * 1024, PAUSE_MS = 100, PIECE_BYTES = 64 * 1024, SEND_MS = 30000 };

struct split_server {
	int listen_fd;
	struct station *station;
	unsigned max_connections;
	pthread_t accepter;
	pthread_mutex_t lock; /* guards n_connections */
	pthread_cond_t ended;
	unsigned n_connections;
};

struct connection {
	struct split_server *server;
	int fd;
	struct intake *intake;
	int timeout_ms;
	int64_t deadline; /* of what the peer owes us */
};

static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- one connection ---- */

enum woken { WOKEN_LATE, WOKEN_READY, WOKEN_STOP };

/* `stops`: the end of the program may interrupt it. */
static enum woken
wait_for(const struct connection *connection, short events, int64_t deadline, bool stops)
{
	for (;;) {
		struct pollfd polled[] = { { connection->fd, events, 0 }, { connection->server->station->stop_fd, POLLIN, 0 } };
		const int64_t left = deadline - now_ms();
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
	const int64_t deadline = now_ms() + SEND_MS;
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
	connection->deadline = now_ms() + connection->timeout_ms;
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
end_connection(struct connection *connection)
{
	struct split_server *server = connection->server;

	intake_free(connection->intake);
	close(connection->fd);
	free(connection);
	pthread_mutex_lock(&server->lock);
	server->n_connections--;
	pthread_cond_signal(&server->ended);
	pthread_mutex_unlock(&server->lock);
}

static void *
serve(void *arg)
{
	struct connection *connection = arg;

	begin(connection);
	talk(connection);
	end_connection(connection);
	return NULL;
}

/* ---- all of them ---- */

static bool
add_connection(struct split_server *server)
{
	bool fits;

	pthread_mutex_lock(&server->lock);
	fits = server->n_connections < server->max_connections;
	if (fits)
		server->n_connections++;
	pthread_mutex_unlock(&server->lock);
	return fits;
}

static int
start_thread(void *(*run)(void *), void *arg, int detached, pthread_t *ret)
{
	pthread_attr_t attr;
	int failed;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, detached);
	failed = pthread_create(ret, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return failed;
}

/* Takes over the descriptor. */
static void
on_connection(struct split_server *server, int accepted)
{
	static const char full[] = "421 4.3.2 Too many connections\r\n";
	AUTO_FD int fd = accepted;
	const int one = 1;
	struct connection *connection;
	pthread_t thread;
	int failed;

	if (!add_connection(server)) {
		(void)!send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		log_line(LOG_LEVEL_WARNING, "connection closed: split.max_connections (%u) are open already; the MTA tries again",
		    server->max_connections);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* a UNIX socket has none */
	connection = xcalloc(1, sizeof(*connection));
	connection->server = server;
	connection->fd = TAKE_FD(fd);
	failed = start_thread(serve, connection, PTHREAD_CREATE_DETACHED, &thread);
	if (failed) {
		log_line(LOG_LEVEL_ERROR, "no thread for a connection: %s; the MTA tries again", strerror(failed));
		end_connection(connection);
	}
}

/* False: we stop. */
static bool
accept_one(struct split_server *server)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000 * 1000 };
	struct pollfd polled[] = { { server->listen_fd, POLLIN, 0 }, { server->station->stop_fd, POLLIN, 0 } };
	int fd;

	if (poll(polled, 2, -1) == -1)
		return true;
	if (polled[1].revents)
		return false;
	fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd != -1) {
		on_connection(server, fd);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		log_line(LOG_LEVEL_ERROR, "a connection could not be accepted: %s; the MTA tries again", strerror(errno));
		nanosleep(&pause, NULL);
	}
	return true;
}

static void *
accept_all(void *arg)
{
	while (accept_one(arg))
		;
	return NULL;
}

static void
split_server_free(struct split_server *server)
{
	if (server->listen_fd != -1)
		close(server->listen_fd);
	pthread_cond_destroy(&server->ended);
	pthread_mutex_destroy(&server->lock);
	free(server);
}
AUTO_DEFINE(struct split_server, split_server_free);

static void
init_lock(struct split_server *server)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&server->ended, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&server->lock, NULL);
}

int
split_server_start(int *listen_fd, struct station *station, unsigned max_connections, struct split_server **ret, struct err *err)
{
	AUTO(split_server_free) struct split_server *server = xcalloc(1, sizeof(*server));
	int failed;

	init_lock(server);
	server->listen_fd = TAKE_FD(*listen_fd);
	server->station = station;
	server->max_connections = max_connections;
	failed = start_thread(accept_all, server, PTHREAD_CREATE_JOINABLE, &server->accepter);
	if (failed)
		return err_set(err, ERR_TEMP, "no thread: %s", strerror(failed));
	*ret = TAKE(server);
	return 0;
}

bool
split_server_stop(struct split_server **server, int drain_ms)
{
	struct timespec until;
	bool drained;
	int late = 0;

	pthread_join((*server)->accepter, NULL);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += drain_ms / 1000;
	until.tv_nsec += drain_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&(*server)->lock);
	while ((*server)->n_connections && !late)
		late = pthread_cond_timedwait(&(*server)->ended, &(*server)->lock, &until);
	drained = (*server)->n_connections == 0;
	pthread_mutex_unlock(&(*server)->lock);
	if (drained)
		split_server_free(TAKE(*server));
	return drained;
}

void
split_server_touch(struct split_server *server)
{
	pthread_mutex_lock(&server->lock);
	pthread_mutex_unlock(&server->lock);
}
