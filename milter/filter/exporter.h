/*
 * exporter: serves one text, GET /metrics, on a UNIX socket or loopback (policy/endpoint.h), by
 * libmicrohttpd in one thread of its own. A client that is slow, hostile or silent costs one of
 * a few connections for a few seconds, and never a message: the mail's threads wait for nothing here.
 */
#ifndef FILTER_EXPORTER_H
#define FILTER_EXPORTER_H

#include "smime/buf.h"
#include "smime/err.h"

struct exporter;

/* Binds; a socket that nobody answers on is replaced. Before root is given up: its folder need not be ours. */
int exporter_listen(const char *endpoint, int *ret, struct err *err) MUST_USE;

/* Serves from now on; takes over the descriptor. `render` runs in another thread. */
int exporter_start(int *listen_fd, void (*render)(void *ctx, struct buf *ret), void *ctx, struct exporter **ret,
    struct err *err) MUST_USE;
void exporter_stop(struct exporter *exporter);
AUTO_DEFINE(struct exporter, exporter_stop);

#endif
