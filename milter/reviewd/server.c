#include "milter/reviewd/server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "milter/log.h"

enum { STACK_BYTES = 1024 * 1024, PAUSE_MS = 100 };

struct review_server {
	int listen_fd;
	struct desk *desk;
	struct review_service service;
	pthread_t accepter;

	pthread_mutex_t lock; /* guards n_connections */
	pthread_cond_t ended;
	unsigned n_connections;
};

struct connection {
	struct review_server *server;
	int fd;
	uid_t peer;
};

static bool
add_connection(struct review_server *server)
{
	bool fits;

	pthread_mutex_lock(&server->lock);
	fits = server->n_connections < server->service.max_connections;
	if (fits)
		server->n_connections++;
	pthread_mutex_unlock(&server->lock);
	return fits;
}

static void
end_connection(struct connection *connection)
{
	struct review_server *server = connection->server;

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

	connection->server->service.serve(connection->server->desk, connection->fd, connection->peer);
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
peer_of(int fd, uid_t *ret)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == -1 || len != sizeof(cred))
		return false;
	*ret = cred.uid;
	return true;
}

/* Takes over the descriptor. */
static void
on_connection(struct review_server *server, int accepted)
{
	AUTO_FD int fd = accepted;
	struct connection *connection;
	pthread_t thread;
	uid_t peer;
	int failed;

	if (!peer_of(fd, &peer))
		return;
	if (!add_connection(server)) {
		log_line(LOG_LEVEL_WARNING, "%s: connection of uid %lu closed: quarantine.max_connections (%u) are open already",
		    server->service.name, (unsigned long)peer, server->service.max_connections);
		return;
	}
	connection = xcalloc(1, sizeof(*connection));
	*connection = (struct connection){ server, TAKE_FD(fd), peer };
	failed = start_thread(serve, connection, PTHREAD_CREATE_DETACHED, &thread);
	if (failed) {
		log_line(LOG_LEVEL_ERROR, "%s: no thread for a connection: %s", server->service.name, strerror(failed));
		end_connection(connection);
	}
}

static void *
accept_all(void *arg)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000 * 1000 };
	struct review_server *server = arg;

	for (;;) {
		int fd;

		if (desk_wait(server->desk, server->listen_fd, -1) == -1)
			return NULL;
		fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd != -1) {
			on_connection(server, fd);
		} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			log_line(LOG_LEVEL_ERROR, "%s: a connection could not be accepted: %s", server->service.name, strerror(errno));
			nanosleep(&pause, NULL);
		}
	}
}

static void
server_free(struct review_server *server)
{
	if (server->listen_fd != -1)
		close(server->listen_fd);
	pthread_cond_destroy(&server->ended);
	pthread_mutex_destroy(&server->lock);
	free(server);
}
AUTO_DEFINE(struct review_server, server_free);

static void
init_lock(struct review_server *server)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&server->ended, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&server->lock, NULL);
}

int
review_server_start(int *listen_fd, struct desk *desk, const struct review_service *service, struct review_server **ret,
    struct err *err)
{
	AUTO(server_free) struct review_server *server = xcalloc(1, sizeof(*server));
	int failed;

	init_lock(server);
	server->listen_fd = TAKE_FD(*listen_fd);
	server->desk = desk;
	server->service = *service;
	failed = start_thread(accept_all, server, PTHREAD_CREATE_JOINABLE, &server->accepter);
	if (failed)
		return err_set(err, ERR_TEMP, "no thread: %s", strerror(failed));
	*ret = TAKE(server);
	return 0;
}

bool
review_server_stop(struct review_server **server, int drain_ms)
{
	struct timespec until;
	bool drained;
	int timed_out = 0;

	pthread_join((*server)->accepter, NULL);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += drain_ms / 1000;
	pthread_mutex_lock(&(*server)->lock);
	while ((*server)->n_connections && !timed_out)
		timed_out = pthread_cond_timedwait(&(*server)->ended, &(*server)->lock, &until);
	drained = (*server)->n_connections == 0;
	pthread_mutex_unlock(&(*server)->lock);
	if (drained)
		server_free(TAKE(*server));
	return drained;
}

void
review_server_touch(struct review_server *server)
{
	pthread_mutex_lock(&server->lock);
	pthread_mutex_unlock(&server->lock);
}
