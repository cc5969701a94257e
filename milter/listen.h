/*
 * listen: a UNIX socket that belongs to whom it should, from its first moment on.
 */
#ifndef MILTER_LISTEN_H
#define MILTER_LISTEN_H

#include <sys/types.h>

#include "smime/base.h"
#include "smime/err.h"

/*
 * Binds, mode 0660, this owner and group, close-on-exec and non-blocking. A socket that nobody answers on is
 * removed; one that somebody answers on (`program`, probably), or a file that is no socket, is ERR_CONFIG. Checks
 * the folder (priv.h).
 */
int listen_unix(const char *path, const char *program, uid_t owner, gid_t group, int *ret, struct err *err) MUST_USE;

#endif
