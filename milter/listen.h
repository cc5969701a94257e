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

/* A socket as settings want it: each with the setting's name, which errors begin with. */
struct listen_wish {
	const char *program;
	struct {
		const char *name, *value;
	} path, user, group;
};

/* Could it be made? Makes nothing. */
int listen_check(const struct listen_wish *wish, struct err *err) MUST_USE;

/* One that was made. Zero-initialize. */
struct listen_place {
	char *path;  /* owned; NULL: none */
	ino_t inode; /* so that we remove no other */
};

/* As root for `user`; as anybody else for themselves. */
int listen_open(const struct listen_wish *wish, struct listen_place *place, int *ret, struct err *err) MUST_USE;
/* Nobody can connect any more. A socket that took its place stays. */
void listen_leave(const struct listen_place *place);
/* The same, and what is remembered of it. */
void listen_done(struct listen_place *place);

#endif
