#include "milter/reviewd/server.h"

#include <stdlib.h>

#include "milter/crew.h"
#include "milter/log.h"

enum { STACK_BYTES = 1024 * 1024 };

struct review_server {
	struct desk *desk;
	struct review_service service;
	struct crew *crew;
};

static void
serve(void *ctx, int fd)
{
	const struct review_server *server = ctx;
	struct ucred peer;

	if (crew_peer(fd, &peer))
		server->service.serve(server->desk, fd, peer.uid);
}

static void
full(void *ctx, int fd)
{
	const struct review_server *server = ctx;
	struct ucred peer;

	if (crew_peer(fd, &peer))
		log_line(LOG_LEVEL_WARNING, "%s: connection of uid %lu closed: quarantine.max_connections (%u) are open already",
		    server->service.name, (unsigned long)peer.uid, server->service.max_connections);
}

int
review_server_start(int *listen_fd, struct desk *desk, const struct review_service *service, struct review_server **ret,
    struct err *err)
{
	AUTO(xfree) struct review_server *server = xcalloc(1, sizeof(*server));
	const struct crew_service crew = { service->name, service->max_connections, STACK_BYTES, serve, full, server };

	server->desk = desk;
	server->service = *service;
	if (crew_start(listen_fd, desk->stop_fd, &crew, &server->crew, err) == -1)
		return -1;
	*ret = TAKE(server);
	return 0;
}

bool
review_server_stop(struct review_server **server, int drain_ms)
{
	if (!crew_stop(&(*server)->crew, drain_ms))
		return false;
	free(TAKE(*server));
	return true;
}

void
review_server_touch(struct review_server *server)
{
	crew_touch(server->crew);
}
