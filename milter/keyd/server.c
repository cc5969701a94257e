#include "milter/keyd/server.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "milter/crew.h"
#include "milter/keyd/channel.h"

enum { STACK_BYTES = 512 * 1024 }; /* locked memory counts: 64 default stacks of 8 MiB are too dear */

struct server {
	int stop_fd; /* readable once we stop */
	struct agent *agent;
	struct server_options options;
	struct crew *crew;
};

struct connection {
	struct server *server;
	int fd;
	struct peer peer;
};

static bool
send_answer(const struct connection *connection, const struct buf *answer)
{
	int64_t until = monotonic_ms() + connection->server->options.frame_ms;

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
	end = channel_read(connection->fd, connection->server->stop_fd, monotonic_ms() + idle, options->frame_ms, &frame,
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
peer_of(int fd, struct peer *ret)
{
	struct ucred cred;

	if (!crew_peer(fd, &cred))
		return false;
	*ret = (struct peer){ cred.uid, cred.pid };
	return true;
}

static void
serve(void *ctx, int fd)
{
	struct connection connection = { .server = ctx, .fd = fd };

	if (!peer_of(fd, &connection.peer))
		return;
	while (serve_one(&connection))
		continue;
	/* Here, not in the thread's destructors: those would still run while main already cleans up. */
	OPENSSL_thread_stop();
}

static void
full(void *ctx, int fd)
{
	const struct server *server = ctx;
	struct peer peer;

	if (peer_of(fd, &peer))
		agent_log(server->agent, LOG_LEVEL_WARNING, &peer, "connection closed: keyd.max_connections are open already");
}

static void
server_free(struct server *server)
{
	if (server->stop_fd != -1)
		close(server->stop_fd);
	free(server);
}
AUTO_DEFINE(struct server, server_free);

int
server_start(int *listen_fd, struct agent *agent, const struct server_options *options, struct server **ret,
    struct err *err)
{
	AUTO(server_free) struct server *server = xcalloc(1, sizeof(*server));
	const struct crew_service service = { "keyd.socket", options->max_connections, STACK_BYTES, serve, full, server };

	server->agent = agent;
	server->options = *options;
	server->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (server->stop_fd == -1)
		return err_set(err, ERR_TEMP, "no eventfd: %s", strerror(errno));
	if (crew_start(listen_fd, server->stop_fd, &service, &server->crew, err) == -1)
		return -1;
	*ret = TAKE(server);
	return 0;
}

bool
server_stop(struct server **server, int drain_ms)
{
	const uint64_t one = 1;

	(void)!write((*server)->stop_fd, &one, sizeof(one));
	if (!crew_stop(&(*server)->crew, drain_ms))
		return false;
	server_free(TAKE(*server));
	return true;
}
