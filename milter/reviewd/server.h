/*
 * server: one of segel-reviewd's two sockets (listen.h): a thread a connection, a cap on their number. Who connects is told
 * by the kernel (SO_PEERCRED). What is said on it is hold.h or ask.h.
 */
#ifndef REVIEWD_SERVER_H
#define REVIEWD_SERVER_H

#include <sys/types.h>

#include "milter/reviewd/desk.h"

struct review_server;

struct review_service {
	const char *name;          /* of the socket's setting, for the log */
	unsigned max_connections;
	void (*serve)(struct desk *desk, int fd, uid_t peer); /* one connection until it ends */
};

/* Accepts from now on, in threads of its own. Takes over the descriptor; borrows desk and service. */
int review_server_start(int *listen_fd, struct desk *desk, const struct review_service *service, struct review_server **ret,
    struct err *err) MUST_USE;

/*
 * After desk->stop_fd was made readable: no new connections; waits for those at work. True: all ended, and the server is
 * freed. False: some still work; then all that they use must stay until the process ends.
 */
bool review_server_stop(struct review_server **server, int drain_ms) MUST_USE;

/* A thread that died with the lock would let this hang, and the watchdog run out. */
void review_server_touch(struct review_server *server);

#endif
