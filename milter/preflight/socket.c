#include "milter/preflight/socket.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "milter/priv.h"

enum { OTHERS = 0007, OTHERS_WRITE = 0002 };

bool
user_find(const char *name, struct user *ret)
{
	const struct passwd *entry = getpwnam(name);

	if (!entry)
		return false;
	*ret = (struct user){ .uid = entry->pw_uid, .n_groups = (int)N_ELEMENTS(ret->groups) };
	if (getgrouplist(name, entry->pw_gid, ret->groups, &ret->n_groups) == -1)
		ret->n_groups = (int)N_ELEMENTS(ret->groups);
	ret->name = xstrdup(name);
	return true;
}

void
user_done(struct user *user)
{
	xfree(user->name);
	*user = (struct user){ 0 };
}

static bool
is_in_group(const struct user *user, gid_t group)
{
	for (int i = 0; i < user->n_groups; i++)
		if (user->groups[i] == group)
			return true;
	return false;
}

/* `wanted` as the last digit of a mode: 01 to go through a folder, 02 to write to a socket. */
static bool
may(const struct user *user, const struct stat *st, mode_t wanted)
{
	if (user->uid == 0)
		return true;
	if (st->st_uid == user->uid)
		return st->st_mode & (wanted << 6);
	if (is_in_group(user, st->st_gid))
		return st->st_mode & (wanted << 3);
	return st->st_mode & wanted;
}

static void
trouble(struct socket_facts *facts, const char *path)
{
	if (!facts->trouble)
		facts->trouble = xasprintf("'%s' cannot be looked at: %s", path, strerror(errno));
}

/* The folder above, "/" at the end of the way; NULL above that. Changes the text. */
static char *
folder_of(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || strcmp(path, "/") == 0)
		return NULL;
	slash[slash == path] = '\0';
	return path;
}

static void
opened_by(struct socket_facts *facts, const char *path, mode_t mode, const char *how)
{
	facts->open = ANSWER_YES;
	if (!facts->open_by)
		facts->open_by = xasprintf("folder '%s' has mode %04o: %s", path, (unsigned)mode & 07777, how);
}

static void
look_at_folder(const char *path, bool nearest, const struct user *user, struct socket_facts *facts)
{
	struct stat st;

	if (stat(path, &st) == -1) {
		facts->open = facts->open == ANSWER_YES ? ANSWER_YES : ANSWER_UNKNOWN;
		facts->enterable = ANSWER_UNKNOWN;
		if (errno != ENOENT) /* then there is no socket either, and that is said */
			trouble(facts, path);
		return;
	}
	if (nearest && st.st_mode & OTHERS)
		opened_by(facts, path, st.st_mode, "others reach the socket");
	else if (st.st_mode & OTHERS_WRITE && !(st.st_mode & S_ISVTX))
		opened_by(facts, path, st.st_mode, "others could put another socket in its place");
	if (user && facts->enterable == ANSWER_YES && !may(user, &st, 01))
		facts->enterable = ANSWER_NO;
}

/* From the nearest folder up. */
static void
look_at_folders(const char *path, const struct user *user, struct socket_facts *facts)
{
	AUTO(xfree) char *way = xstrdup(path);
	bool nearest = true;

	facts->open = ANSWER_NO;
	facts->enterable = user ? ANSWER_YES : ANSWER_UNKNOWN;
	while (folder_of(way)) {
		look_at_folder(way, nearest, user, facts);
		nearest = false;
	}
}

static void
look_at_socket(const char *path, const struct user *user, struct socket_facts *facts)
{
	struct stat st;
	struct err err = { 0 };
	int alive;

	if (stat(path, &st) == -1) {
		facts->there = facts->answers = errno == ENOENT ? ANSWER_NO : ANSWER_UNKNOWN;
		facts->enterable = facts->enterable == ANSWER_YES ? ANSWER_UNKNOWN : facts->enterable;
		if (errno != ENOENT)
			trouble(facts, path);
		return;
	}
	facts->there = S_ISSOCK(st.st_mode) ? ANSWER_YES : ANSWER_NO;
	if (user && facts->enterable == ANSWER_YES && !may(user, &st, 02))
		facts->enterable = ANSWER_NO;
	alive = priv_socket_alive(path, &err);
	facts->answers = alive == -1 ? ANSWER_UNKNOWN : alive ? ANSWER_YES : ANSWER_NO;
	if (alive == -1 && !facts->trouble)
		facts->trouble = xstrdup(err.text);
}

void
socket_look(const char *path, const struct user *user, struct socket_facts *ret)
{
	*ret = (struct socket_facts){ 0 };
	look_at_folders(path, user, ret);
	look_at_socket(path, user, ret);
}

void
socket_done(struct socket_facts *facts)
{
	xfree(facts->open_by);
	xfree(facts->trouble);
	*facts = (struct socket_facts){ 0 };
}

/* Its folder with every link followed; the socket itself need not be there. */
static char *
settled(const char *path)
{
	AUTO(xfree) char *folder = xstrdup(path);
	const char *slash = strrchr(path, '/');
	char *real, *whole;

	if (!slash || !folder_of(folder))
		return xstrdup(path);
	real = realpath(folder, NULL);
	if (!real)
		return xstrdup(path);
	whole = xasprintf("%s%s", strcmp(real, "/") == 0 ? "" : real, slash);
	free(real);
	return whole;
}

bool
socket_is_same(const char *a, const char *b)
{
	AUTO(xfree) char *first = settled(a);
	AUTO(xfree) char *second = settled(b);

	return strcmp(first, second) == 0;
}
