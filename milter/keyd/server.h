/*
 * server: the agent's UNIX socket (listen.h): one thread a connection, a cap on their number,
 * timeouts for idle and for slow peers. Who connects is told by the kernel (SO_PEERCRED).
 */
#ifndef KEYD_SERVER_H
#define KEYD_SERVER_H

#include "milter/keyd/agent.h"

struct server_options {
	unsigned max_connections;
	int idle_ms;  /* a signer's or unwrapper's connection may be silent this long */
	int frame_ms; /* one request or answer may take this long; and a stranger may be silent */
};

struct server;

/* Accepts from now on, in threads of its own. Takes over the descriptor; borrows the agent. */
int server_start(int *listen_fd, struct agent *agent, const struct server_options *options, struct server **ret,
    struct err *err) MUST_USE;

/*
 * No new connections or requests; waits for those at work. True: all ended, and the server is freed.
 * False: some still work after that time; then server and agent must stay until the process ends.
 */
bool server_stop(struct server **server, int drain_ms) MUST_USE;

#endif
