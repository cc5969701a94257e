#include "milter/keyd/server.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "milter/keyd/channel.h"

enum {
	STACK_BYTES = 512 * 1024, /* locked memory counts: 64 default stacks of 8 MiB are too dear */
	PAUSE_MS = 100,           /* after accept() failed for want of descriptors */
};

struct server {
	int listen_fd;
	int stop_fd; /* readable once we stop */
	struct agent *agent;
	struct server_options options;
	pthread_t accepter;

	pthread_mutex_t lock; /* guards n_connections */
	pthread_cond_t ended;
	unsigned n_connections;
};

struct connection {
	struct server *server;
	int fd;
	struct peer peer;
};

static bool
send_answer(const struct connection *connection, const struct buf *answer)
{
	int64_t until = channel_now() + connection->server->options.frame_ms;

	return channel_write(connection->fd, buf_slice(answer), until, NULL, NULL) == 0;
}

/* What ended a connection without a request: worth a line only when the peer did something odd. */
static void
on_failed_read(const struct connection *connection, bool malformed, bool in_frame, const char *text)
{
	AUTO_BUF struct buf answer = { 0 };

	buf_init(&answer, WIRE_FRAME_BYTES);
	if (malformed) {
		agent_refuse(connection->server->agent, &connection->peer, text, &answer);
		(void)send_answer(connection, &answer);
	} else if (in_frame) {
		agent_log(connection->server->agent, LOG_LEVEL_WARNING, &connection->peer, text);
	}
}

/* One request and its answer; false = the connection ends. */
static bool
serve_one(const struct connection *connection)
{
	const struct server_options *options = &connection->server->options;
	struct agent *agent = connection->server->agent;
	AUTO_BUF struct buf frame = { 0 };
	AUTO_BUF struct buf answer = { 0 };
	struct err err = { .kind = ERR_NONE };
	bool malformed, keep, sent;
	int idle = agent_knows(agent, connection->peer.uid) ? options->idle_ms : options->frame_ms;
	enum channel_end end;

	buf_init(&frame, WIRE_FRAME_BYTES);
	buf_init(&answer, WIRE_FRAME_BYTES);
	end = channel_read(connection->fd, connection->server->stop_fd, channel_now() + idle, options->frame_ms, &frame,
	    &malformed, &err);
	if (end != CHANNEL_FRAME) {
		if (end == CHANNEL_FAILED)
			on_failed_read(connection, malformed, strcmp(err.text, "timeout") != 0, err.text);
		return false;
	}
	keep = agent_answer(agent, &connection->peer, buf_slice(&frame), &answer);
	sent = send_answer(connection, &answer);
	wipe(answer.at, answer.len); /* it may hold a content key */
	return sent && keep;
}

static bool
add_connection(struct server *server)
{
	bool fits;

	pthread_mutex_lock(&server->lock);
	fits = server->n_connections < server->options.max_connections;
	if (fits)
		server->n_connections++;
	pthread_mutex_unlock(&server->lock);
	return fits;
}

static void
end_connection(struct connection *connection)
{
	struct server *server = connection->server;

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

	while (serve_one(connection))
		;
	/* Here, not in the thread's destructors: those would still run while main already cleans up. */
	OPENSSL_thread_stop();
	end_connection(connection);
	return NULL;
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

static bool
peer_of(int fd, struct peer *ret)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1 || len != sizeof(cred))
		return false;
	*ret = (struct peer){ cred.uid, cred.pid };
	return true;
}

/* Takes over the descriptor. */
static void
on_connection(struct server *server, int accepted)
{
	AUTO_FD int fd = accepted;
	struct connection *connection;
	struct peer peer;
	pthread_t thread;
	int failed;

	if (!peer_of(fd, &peer))
		return;
	if (!add_connection(server)) {
		agent_log(server->agent, LOG_LEVEL_WARNING, &peer, "connection closed: keyd.max_connections are open already");
		return;
	}
	connection = xcalloc(1, sizeof(*connection));
	*connection = (struct connection){ server, TAKE_FD(fd), peer };
	failed = start_thread(serve, connection, PTHREAD_CREATE_DETACHED, &thread);
	if (failed) {
		agent_log(server->agent, LOG_LEVEL_ERROR, &peer, strerror(failed));
		end_connection(connection);
	}
}

static void *
accept_all(void *arg)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000 * 1000 };
	struct server *server = arg;

	for (;;) {
		struct pollfd fds[] = { { server->stop_fd, POLLIN, 0 }, { server->listen_fd, POLLIN, 0 } };
		int fd;

		if (poll(fds, N_ELEMENTS(fds), -1) == -1 && errno != EINTR)
			nanosleep(&pause, NULL);
		if (fds[0].revents)
			return NULL;
		fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd != -1) {
			on_connection(server, fd);
		} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			log_line(LOG_LEVEL_ERROR, "a connection could not be accepted: %s", strerror(errno));
			nanosleep(&pause, NULL);
		}
	}
}

static void
server_free(struct server *server)
{
	if (server->listen_fd != -1)
		close(server->listen_fd);
	if (server->stop_fd != -1)
		close(server->stop_fd);
	pthread_cond_destroy(&server->ended);
	pthread_mutex_destroy(&server->lock);
	free(server);
}
AUTO_DEFINE(struct server, server_free);

static void
init_lock(struct server *server)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&server->ended, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&server->lock, NULL);
}

int
server_start(int *listen_fd, struct agent *agent, const struct server_options *options, struct server **ret,
    struct err *err)
{
	AUTO(server_free) struct server *server = xcalloc(1, sizeof(*server));
	int failed;

	init_lock(server);
	server->listen_fd = TAKE_FD(*listen_fd);
	server->agent = agent;
	server->options = *options;
	server->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (server->stop_fd == -1)
		return err_set(err, ERR_TEMP, "no eventfd: %s", strerror(errno));
	failed = start_thread(accept_all, server, PTHREAD_CREATE_JOINABLE, &server->accepter);
	if (failed)
		return err_set(err, ERR_TEMP, "no thread: %s", strerror(failed));
	*ret = TAKE(server);
	return 0;
}

static bool
wait_for_connections(struct server *server, int drain_ms)
{
	struct timespec until;
	bool drained;
	int timed_out = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += drain_ms / 1000;
	pthread_mutex_lock(&server->lock);
	while (server->n_connections && !timed_out)
		timed_out = pthread_cond_timedwait(&server->ended, &server->lock, &until);
	drained = server->n_connections == 0;
	pthread_mutex_unlock(&server->lock);
	return drained;
}

bool
server_stop(struct server **server, int drain_ms)
{
	const uint64_t one = 1;

	(void)!write((*server)->stop_fd, &one, sizeof(one));
	pthread_join((*server)->accepter, NULL);
	if (!wait_for_connections(*server, drain_ms))
		return false;
	server_free(TAKE(*server));
	return true;
}
