/*
 * socket: what the file system says of a filter's UNIX socket: who may reach it, who answers.
 * Looks and connects, changes nothing.
 */
#ifndef PREFLIGHT_SOCKET_H
#define PREFLIGHT_SOCKET_H

#include <sys/types.h>

#include "smime/base.h"

/* What could not be found out is not "no". */
enum answer { ANSWER_UNKNOWN, ANSWER_NO, ANSWER_YES };

/* A user with its groups. */
struct user {
	char *name;
	uid_t uid;
	gid_t groups[64];
	int n_groups;
};

struct socket_facts {
	enum answer there;     /* a socket with this name */
	enum answer open;      /* others reach it, or could put another one in its place */
	enum answer answers;   /* somebody listens */
	enum answer enterable; /* by the user that was named */
	char *open_by;         /* what lets others in: "folder '/run/x' has mode 0755"; NULL */
	char *trouble;         /* why something is unknown; NULL */
};

/* False: there is no such user here. */
bool user_find(const char *name, struct user *ret) MUST_USE;
void user_done(struct user *user);

/* `user` NULL: whether it can enter is unknown. */
void socket_look(const char *path, const struct user *user, struct socket_facts *ret);
void socket_done(struct socket_facts *facts);

/* The same place: the same file, or the same name in the same folder. */
bool socket_is_same(const char *a, const char *b);

#endif
