/*
 * server: the socket that Postfix asks: one thread, one poll over all connections.
 *
 * A request is answered as soon as it is whole, in the order they came. Dropped, and logged (quiet.h): what is
 * no netstring, a request or an answer that takes too long on its way however its bytes drip, and whoever
 * comes when max_connections are open. Postfix takes each of these for a temporary error. A connection
 * that is silent for too long is closed without a word.
 */
#ifndef TLSPOL_SERVER_H
#define TLSPOL_SERVER_H

#include "milter/tlspol/answer.h"

struct server_limits {
	unsigned max_connections;
	int idle_ms;
	int timeout_ms;
};

struct tls_server;

/* Serves from now on, in a thread of its own. Takes over the descriptor and the answerer. */
int tls_server_start(int *listen_fd, struct answerer **answerer, const struct server_limits *limits, struct tls_server **ret,
    struct err *err) MUST_USE;

/* From the next request on, this one answers; takes it over. max_connections stays as it was. */
void tls_server_replace(struct tls_server *server, struct answerer **answerer, const struct server_limits *limits);

/* Waits for the request in hand, so that a thread that died or hangs is noticed. */
void tls_server_touch(struct tls_server *server);

/* Ends; what was asked is answered, and goes out where the peer takes it at once. */
void tls_server_stop(struct tls_server *server);

#endif
