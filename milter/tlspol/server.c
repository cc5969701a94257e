#include "milter/tlspol/server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "milter/log.h"
#include "milter/tlspol/quiet.h"

enum {
	STACK_BYTES = 1024 * 1024,
	PAUSE_MS = 100, /* after accept() failed for want of descriptors */
};

struct connection {
	int fd;
	unsigned char in[NETSTRING_BYTES];
	size_t in_len;
	struct buf out;
	size_t out_at;
	int64_t deadline; /* ms; of the request or answer on its way, or of the silence */
	bool busy;        /* the deadline is a request's or an answer's */
	bool ending;
};

struct tls_server {
	int listen_fd;
	int stop_fd; /* readable once we stop */
	pthread_t thread;
	struct quiet quiet;
	int64_t accept_after; /* ms */

	/* Only the thread's. */
	struct connection **connections;
	struct pollfd *fds; /* stop, listen, then one for each connection */
	size_t n;
	unsigned max_connections;

	atomic_int idle_ms, timeout_ms;
	pthread_mutex_t lock; /* guards what follows */
	struct answerer *answerer;
};

static void
complain(struct tls_server *server, enum cause cause, enum log_level level, const char *what, const char *key, const char *why)
{
	AUTO_BUF struct buf line = { 0 };
	unsigned long before;

	if (!quiet_may(&server->quiet, cause, monotonic_ms(), &before))
		return;
	buf_init(&line, 2048);
	buf_printf(&line, "%s", what);
	if (*key) {
		buf_add_text(&line, " nexthop=");
		log_escape(&line, key);
	}
	if (*why)
		buf_printf(&line, ": %s", why);
	if (before)
		buf_printf(&line, " (and %lu more like that before, not logged)", before);
	log_line(level, "%s", buf_text(&line));
}

static void
connection_free(struct connection *connection)
{
	close(connection->fd);
	buf_done(&connection->out);
	free(connection);
}

/* What is on its way has a deadline from its first byte on; silence has another. */
static void
set_deadline(struct tls_server *server, struct connection *connection)
{
	const bool busy = connection->in_len > 0 || connection->out.len > 0;

	if (busy && connection->busy)
		return;
	connection->busy = busy;
	connection->deadline = monotonic_ms() + atomic_load(busy ? &server->timeout_ms : &server->idle_ms);
}

/* For whoever looks for the reason of an answer (log.level = "debug"). */
static void
log_usual(const struct answer *answer)
{
	AUTO_BUF struct buf line = { 0 };

	buf_init(&line, 2048);
	buf_add_text(&line, "answered nexthop=");
	log_escape(&line, answer->key);
	buf_add_text(&line, " why=");
	log_escape(&line, answer->why);
	log_line(LOG_LEVEL_DEBUG, "%s", buf_text(&line));
}

static void
log_answer(struct tls_server *server, const struct answer *answer)
{
	switch (answer->what) {
	case ANSWERED_UNAVAILABLE:
		complain(server, CAUSE_UNAVAILABLE, LOG_LEVEL_ERROR, "cannot answer, mail is deferred:", answer->key, answer->why);
		return;
	case ANSWERED_BAD:
		complain(server, CAUSE_REFUSED, LOG_LEVEL_WARNING, "request refused", "", answer->why);
		return;
	case ANSWERED_RAISED:
		complain(server, CAUSE_RAISED, LOG_LEVEL_WARNING, "answered encrypt, more than the registry says;"
		    " set it anew (segelctl tls policy set):", answer->key, answer->why);
		return;
	case ANSWERED_NONE:
	case ANSWERED_FOUND:
		log_usual(answer);
		return;
	}
}

/* Every whole request that has come. False: what came is none. */
static bool
answer_all(struct tls_server *server, struct connection *connection)
{
	size_t at = 0;
	enum netstring_state state;
	struct netstring frame = { .why = "" };

	while ((state = netstring_parse((struct slice){ connection->in + at, connection->in_len - at }, REQUEST_BYTES, &frame))
	    == NETSTRING_WHOLE) {
		struct answer answer;

		pthread_mutex_lock(&server->lock);
		answerer_answer(server->answerer, frame.payload, time(NULL), &connection->out, &answer);
		pthread_mutex_unlock(&server->lock);
		log_answer(server, &answer);
		at += frame.used;
		connection->busy = false; /* the next one has a time of its own */
	}
	memmove(connection->in, connection->in + at, connection->in_len - at);
	connection->in_len -= at;
	if (state != NETSTRING_BAD)
		return true;
	complain(server, CAUSE_MALFORMED, LOG_LEVEL_WARNING, "connection closed: what came is no request", "", frame.why);
	return false;
}

/* As much as goes. False: the connection is over. */
static bool
flush(struct connection *connection)
{
	while (connection->out_at < connection->out.len) {
		ssize_t n = send(connection->fd, connection->out.at + connection->out_at, connection->out.len - connection->out_at,
		    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		connection->out_at += (size_t)n;
	}
	connection->out.len = 0;
	connection->out_at = 0;
	return true;
}

static bool
receive(struct tls_server *server, struct connection *connection)
{
	ssize_t n = recv(connection->fd, connection->in + connection->in_len, sizeof(connection->in) - connection->in_len,
	    MSG_DONTWAIT);

	if (n == -1)
		return errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK;
	if (n == 0) {
		if (connection->in_len)
			complain(server, CAUSE_MALFORMED, LOG_LEVEL_WARNING, "connection closed by the peer within a request", "", "");
		return false;
	}
	connection->in_len += (size_t)n;
	return answer_all(server, connection);
}

static void
serve(struct tls_server *server, struct connection *connection, short events)
{
	bool good = true;

	if (connection->out.len == 0 && (events & (POLLIN | POLLHUP | POLLERR)))
		good = receive(server, connection);
	else if (events & (POLLHUP | POLLERR))
		good = false;
	/* What was asked before something that is no request still gets its answer. */
	good = flush(connection) && good;
	connection->ending = !good;
	if (good)
		set_deadline(server, connection);
}

static void
expire(struct tls_server *server, struct connection *connection, int64_t now)
{
	if (connection->ending || now < connection->deadline)
		return;
	if (connection->busy)
		complain(server, CAUSE_SLOW, LOG_LEVEL_WARNING, "connection closed: a request or an answer took longer than"
		    " tlspol.timeout on its way", "", "");
	connection->ending = true;
}

static void
remove_ended(struct tls_server *server)
{
	size_t kept = 0;

	for (size_t i = 0; i < server->n; i++) {
		if (server->connections[i]->ending)
			connection_free(server->connections[i]);
		else
			server->connections[kept++] = server->connections[i];
	}
	server->n = kept;
}

/* Takes over the descriptor. */
static void
on_connection(struct tls_server *server, int accepted)
{
	AUTO_FD int fd = accepted;
	struct connection *connection;

	if (server->n == server->max_connections) {
		complain(server, CAUSE_TOO_MANY, LOG_LEVEL_WARNING, "connection closed: tlspol.max_connections are open already", "", "");
		return;
	}
	connection = xcalloc(1, sizeof(*connection));
	buf_init(&connection->out, (size_t)NETSTRING_BYTES * REPLY_BYTES); /* every request of one read has room for its answer */
	connection->fd = TAKE_FD(fd);
	connection->deadline = monotonic_ms() + atomic_load(&server->idle_ms);
	server->connections[server->n++] = connection;
}

static void
accept_some(struct tls_server *server)
{
	int fd;

	while ((fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) != -1)
		on_connection(server, fd);
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ECONNABORTED)
		return;
	complain(server, CAUSE_ACCEPT, LOG_LEVEL_ERROR, "a connection could not be accepted", "", strerror(errno));
	server->accept_after = monotonic_ms() + PAUSE_MS;
}

/* Milliseconds until something is due; -1 = nothing is. */
static int
next_due(const struct tls_server *server, int64_t now)
{
	int64_t due = server->accept_after > now ? server->accept_after : INT64_MAX;

	for (size_t i = 0; i < server->n; i++)
		due = server->connections[i]->deadline < due ? server->connections[i]->deadline : due;
	if (due == INT64_MAX)
		return -1;
	return due <= now ? 0 : due - now > INT32_MAX ? INT32_MAX : (int)(due - now);
}

static size_t
fill_fds(struct tls_server *server, int64_t now)
{
	server->fds[0] = (struct pollfd){ .fd = server->stop_fd, .events = POLLIN };
	server->fds[1] = (struct pollfd){ .fd = server->accept_after > now ? -1 : server->listen_fd, .events = POLLIN };
	for (size_t i = 0; i < server->n; i++)
		server->fds[i + 2] = (struct pollfd){
			.fd = server->connections[i]->fd,
			.events = server->connections[i]->out.len ? POLLOUT : POLLIN,
		};
	return server->n + 2;
}

/* False: we stop. What has come is read before anybody's time is up: a slow answer of ours is not the peer's fault. */
static bool
turn(struct tls_server *server)
{
	const size_t n = server->n;
	int64_t now = monotonic_ms();

	if (poll(server->fds, (nfds_t)fill_fds(server, now), next_due(server, now)) == -1)
		return true;
	for (size_t i = 0; i < n; i++)
		if (server->fds[i + 2].revents)
			serve(server, server->connections[i], server->fds[i + 2].revents);
	now = monotonic_ms();
	for (size_t i = 0; i < n; i++)
		if (!server->fds[i + 2].revents)
			expire(server, server->connections[i], now);
	remove_ended(server);
	if (server->fds[1].revents)
		accept_some(server);
	return server->fds[0].revents == 0;
}

static void *
run(void *arg)
{
	struct tls_server *server = arg;

	while (turn(server))
		;
	return NULL;
}

static void
tls_server_free(struct tls_server *server)
{
	for (size_t i = 0; i < server->n; i++)
		connection_free(server->connections[i]);
	if (server->listen_fd != -1)
		close(server->listen_fd);
	if (server->stop_fd != -1)
		close(server->stop_fd);
	answerer_close(server->answerer);
	pthread_mutex_destroy(&server->lock);
	free(server->connections);
	free(server->fds);
	free(server);
}
AUTO_DEFINE(struct tls_server, tls_server_free);

static int
start_thread(struct tls_server *server, struct err *err)
{
	pthread_attr_t attr;
	int failed;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	failed = pthread_create(&server->thread, &attr, run, server);
	pthread_attr_destroy(&attr);
	return failed ? err_set(err, ERR_TEMP, "no thread: %s", strerror(failed)) : 0;
}

int
tls_server_start(int *listen_fd, struct answerer **answerer, const struct server_limits *limits, struct tls_server **ret,
    struct err *err)
{
	AUTO(tls_server_free) struct tls_server *server = xcalloc(1, sizeof(*server));

	pthread_mutex_init(&server->lock, NULL);
	server->listen_fd = TAKE_FD(*listen_fd);
	server->stop_fd = eventfd(0, EFD_CLOEXEC);
	server->answerer = TAKE(*answerer);
	server->max_connections = limits->max_connections;
	atomic_store(&server->idle_ms, limits->idle_ms);
	atomic_store(&server->timeout_ms, limits->timeout_ms);
	server->connections = xcalloc(limits->max_connections, sizeof(struct connection *));
	server->fds = xcalloc((size_t)limits->max_connections + 2, sizeof(*server->fds));
	if (server->stop_fd == -1)
		return err_set(err, ERR_TEMP, "no eventfd: %s", strerror(errno));
	if (start_thread(server, err) == -1)
		return -1;
	*ret = TAKE(server);
	return 0;
}

void
tls_server_replace(struct tls_server *server, struct answerer **answerer, const struct server_limits *limits)
{
	struct answerer *old;

	pthread_mutex_lock(&server->lock);
	old = server->answerer;
	server->answerer = TAKE(*answerer);
	atomic_store(&server->idle_ms, limits->idle_ms);
	atomic_store(&server->timeout_ms, limits->timeout_ms);
	pthread_mutex_unlock(&server->lock);
	answerer_close(old);
}

void
tls_server_touch(struct tls_server *server)
{
	pthread_mutex_lock(&server->lock);
	pthread_mutex_unlock(&server->lock);
}

void
tls_server_stop(struct tls_server *server)
{
	const uint64_t one = 1;

	(void)!write(server->stop_fd, &one, sizeof(one));
	pthread_join(server->thread, NULL);
	tls_server_free(server);
}
