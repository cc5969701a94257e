/*
 * crew: a listening socket served by a thread a connection, with a cap on their number. What is said on a connection is the
 * service's; the crew accepts, counts, closes, and waits for those at work at the end.
 */
#ifndef MILTER_CREW_H
#define MILTER_CREW_H

#include <stddef.h>
#include <sys/socket.h>

#include "smime/base.h"
#include "smime/err.h"

struct crew;

struct crew_service {
	const char *name;         /* for the log */
	unsigned max_connections;
	size_t stack_bytes;       /* of each thread */
	void (*serve)(void *ctx, int fd); /* in a thread of its own: one connection until it ends. The crew closes it */
	void (*full)(void *ctx, int fd);  /* there are max_connections: what is said before it is closed. Of the accepting thread, so it must not wait */
	void *ctx;                /* borrowed */
};

/*
 * Accepts from now on, until stop_fd (borrowed) is readable. Takes over *listen_fd, which must be non-blocking. `service` is copied,
 * what it points to is borrowed.
 */
int crew_start(int *listen_fd, int stop_fd, const struct crew_service *service, struct crew **ret, struct err *err) MUST_USE;

/*
 * After stop_fd was made readable: no new connections; waits for those at work. True: all ended, and the crew is freed. False: some
 * still work; then the crew, and all that they use, must stay until the process ends.
 */
bool crew_stop(struct crew **crew, int drain_ms) MUST_USE;

/* A thread that died with the lock would let this hang: for a watchdog. */
void crew_touch(struct crew *crew);

/* Who is at the other end, as the kernel says (SO_PEERCRED). */
bool crew_peer(int fd, struct ucred *ret) MUST_USE;

#endif
