/*
 * priv: what a daemon gives up before it serves: its user, core files, being traced; and the
 * rules for the folder of a socket. Called from the main thread before any other starts.
 */
#ifndef MILTER_PRIV_H
#define MILTER_PRIV_H

#include <sys/types.h>

#include "smime/base.h"
#include "smime/err.h"

/* A user by name or number. A bare number needs no entry; its group is then the same number. */
int priv_user(const char *user, uid_t *uid, gid_t *gid, struct err *err) MUST_USE;
int priv_group(const char *group, gid_t *gid, struct err *err) MUST_USE;

/*
 * Becomes that user for good, with the groups its entry lists. Does nothing when not root:
 * whoever starts us as another user has chosen. Proves that there is no way back.
 */
int priv_drop(const char *user, struct err *err) MUST_USE;

/* No core file, not traceable, no new privileges. */
int priv_harden(struct err *err) MUST_USE;

/*
 * The folder of a UNIX socket: there, a folder, and closed to others (mode & 0007 is 0), because
 * whoever reaches the socket is taken at its word. Never advises to close a folder that may not be ours.
 */
int priv_socket_folder(const char *socket, struct err *err) MUST_USE;

/* 1 somebody answers on this UNIX socket, 0 nobody does (or there is none), -1 could not find out. */
int priv_socket_alive(const char *socket, struct err *err) MUST_USE;

#endif
