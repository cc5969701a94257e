/*
 * endpoint: where one of our programs may listen for people of this machine: a UNIX socket or an
 * address of the loopback interface, never the network. Pure: parses, opens nothing.
 */
#ifndef POLICY_ENDPOINT_H
#define POLICY_ENDPOINT_H

#include <sys/socket.h>

#include "smime/base.h"
#include "smime/err.h"

struct endpoint {
	struct sockaddr_storage address;
	socklen_t len;
	const char *path; /* of a UNIX socket, borrowed from the text; NULL = loopback */
};

/* "/run/x/metrics.sock", "127.0.0.1:9464" or "[::1]:9464". ERR_CONFIG: anything else. */
int endpoint_from(const char *text, struct endpoint *ret, struct err *err) MUST_USE;

#endif
