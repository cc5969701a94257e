#include "milter/crew.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "milter/log.h"

enum { PAUSE_MS = 100 }; /* after accept() failed for want of descriptors */

struct crew {
	int listen_fd, stop_fd;
	struct crew_service service;
	pthread_t accepter;

	pthread_mutex_t lock; /* guards n_connections */
	pthread_cond_t ended;
	unsigned n_connections;
};

struct connection {
	struct crew *crew;
	int fd;
};

static bool
add_connection(struct crew *crew)
{
	bool fits;

	pthread_mutex_lock(&crew->lock);
	fits = crew->n_connections < crew->service.max_connections;
	if (fits)
		crew->n_connections++;
	pthread_mutex_unlock(&crew->lock);
	return fits;
}

static void
end_connection(struct connection *connection)
{
	struct crew *crew = connection->crew;

	close(connection->fd);
	free(connection);
	pthread_mutex_lock(&crew->lock);
	crew->n_connections--;
	pthread_cond_signal(&crew->ended);
	pthread_mutex_unlock(&crew->lock);
}

static void *
serve(void *arg)
{
	struct connection *connection = arg;
	const struct crew_service *service = &connection->crew->service;

	service->serve(service->ctx, connection->fd);
	end_connection(connection);
	return NULL;
}

static int
start_thread(const struct crew *crew, void *(*run)(void *), void *arg, int detached, pthread_t *ret)
{
	pthread_attr_t attr;
	int failed;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, crew->service.stack_bytes);
	pthread_attr_setdetachstate(&attr, detached);
	failed = pthread_create(ret, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return failed;
}

/* Takes over the descriptor. */
static void
on_connection(struct crew *crew, int accepted)
{
	AUTO_FD int fd = accepted;
	struct connection *connection;
	pthread_t thread;
	int failed;

	if (!add_connection(crew)) {
		crew->service.full(crew->service.ctx, fd);
		return;
	}
	connection = xcalloc(1, sizeof(*connection));
	*connection = (struct connection){ crew, TAKE_FD(fd) };
	failed = start_thread(crew, serve, connection, PTHREAD_CREATE_DETACHED, &thread);
	if (failed) {
		log_line(LOG_LEVEL_ERROR, "%s: a connection is closed, no thread for it: %s", crew->service.name, strerror(failed));
		end_connection(connection);
	}
}

/* False: we stop. */
static bool
accept_one(struct crew *crew)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000 * 1000 };
	struct pollfd fds[] = { { crew->stop_fd, POLLIN, 0 }, { crew->listen_fd, POLLIN, 0 } };
	int fd;

	if (poll(fds, N_ELEMENTS(fds), -1) == -1)
		return true;
	if (fds[0].revents)
		return false;
	fd = accept4(crew->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd != -1) {
		on_connection(crew, fd);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		log_line(LOG_LEVEL_ERROR, "%s: a connection could not be accepted: %s", crew->service.name, strerror(errno));
		nanosleep(&pause, NULL);
	}
	return true;
}

static void *
accept_all(void *arg)
{
	while (accept_one(arg))
		continue;
	return NULL;
}

static void
crew_free(struct crew *crew)
{
	if (crew->listen_fd != -1)
		close(crew->listen_fd);
	pthread_cond_destroy(&crew->ended);
	pthread_mutex_destroy(&crew->lock);
	free(crew);
}
AUTO_DEFINE(struct crew, crew_free);

static void
init_lock(struct crew *crew)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&crew->ended, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&crew->lock, NULL);
}

int
crew_start(int *listen_fd, int stop_fd, const struct crew_service *service, struct crew **ret, struct err *err)
{
	AUTO(crew_free) struct crew *crew = xcalloc(1, sizeof(*crew));
	int failed;

	init_lock(crew);
	crew->listen_fd = TAKE_FD(*listen_fd);
	crew->stop_fd = stop_fd;
	crew->service = *service;
	failed = start_thread(crew, accept_all, crew, PTHREAD_CREATE_JOINABLE, &crew->accepter);
	if (failed)
		return err_set(err, ERR_TEMP, "no thread: %s", strerror(failed));
	*ret = TAKE(crew);
	return 0;
}

static struct timespec
in_ms(int ms)
{
	struct timespec ret;

	clock_gettime(CLOCK_MONOTONIC, &ret);
	ret.tv_sec += ms / 1000;
	ret.tv_nsec += ms % 1000 * 1000000L;
	if (ret.tv_nsec >= 1000000000L) {
		ret.tv_sec++;
		ret.tv_nsec -= 1000000000L;
	}
	return ret;
}

bool
crew_stop(struct crew **crew, int drain_ms)
{
	struct timespec until;
	bool drained;
	int late = 0;

	pthread_join((*crew)->accepter, NULL);
	until = in_ms(drain_ms);
	pthread_mutex_lock(&(*crew)->lock);
	while ((*crew)->n_connections && !late)
		late = pthread_cond_timedwait(&(*crew)->ended, &(*crew)->lock, &until);
	drained = (*crew)->n_connections == 0;
	pthread_mutex_unlock(&(*crew)->lock);
	if (drained)
		crew_free(TAKE(*crew));
	return drained;
}

void
crew_touch(struct crew *crew)
{
	pthread_mutex_lock(&crew->lock);
	pthread_mutex_unlock(&crew->lock);
}

bool
crew_peer(int fd, struct ucred *ret)
{
	socklen_t len = sizeof(*ret);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret, &len) == 0 && len == sizeof(*ret);
}
