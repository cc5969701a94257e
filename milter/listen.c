#include "milter/listen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "milter/log.h"
#include "milter/priv.h"

enum { BACKLOG = 128 };

static int
remove_stale(const char *path, const char *program, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) == -1)
		return errno == ENOENT ? 0 : err_set(err, ERR_CONFIG, "socket '%s': %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, ERR_CONFIG, "'%s' is there and no socket; remove it or set another path", path);
	switch (priv_socket_alive(path, err)) {
	case 0:
		break;
	case 1:
		return err_set(err, ERR_CONFIG, "somebody answers on '%s'; is %s running already?", path, program);
	default:
		return -1;
	}
	if (unlink(path) == -1)
		return err_set(err, ERR_CONFIG, "old socket '%s' cannot be removed: %s", path, strerror(errno));
	return 0;
}

static int
bind_private(int fd, const char *path, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t before;
	int result;

	memcpy(address.sun_path, path, strlen(path) + 1);
	/* Never more open than it will be, not even between bind and chmod. */
	before = umask(0117);
	result = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	umask(before);
	if (result == -1)
		return err_set(err, ERR_CONFIG, "socket '%s' cannot be made: %s", path, strerror(errno));
	return 0;
}

int
listen_unix(const char *path, const char *program, uid_t owner, gid_t group, int *ret, struct err *err)
{
	AUTO_FD int fd = -1;

	if (priv_socket_folder(path, err) == -1 || remove_stale(path, program, err) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return err_set(err, ERR_TEMP, "no socket: %s", strerror(errno));
	if (bind_private(fd, path, err) == -1)
		return -1;
	if (lchown(path, owner, group) == -1) {
		err_set(err, ERR_CONFIG, "socket '%s' cannot be given to uid %lu, group %lu: %s; set socket_group to a group of "
		    "its owner", path, (unsigned long)owner, (unsigned long)group, strerror(errno));
		unlink(path);
		return -1;
	}
	if (listen(fd, BACKLOG) == -1)
		return err_set(err, ERR_TEMP, "socket '%s': %s", path, strerror(errno));
	*ret = TAKE_FD(fd);
	return 0;
}

int
listen_check(const struct listen_wish *wish, struct err *err)
{
	uid_t uid;
	gid_t gid;

	if (priv_user(wish->user.value, &uid, &gid, err) == -1)
		return err_wrap(err, "%s", wish->user.name);
	if (priv_group(wish->group.value, &gid, err) == -1)
		return err_wrap(err, "%s", wish->group.name);
	if (priv_socket_folder(wish->path.value, err) == -1)
		return err_wrap(err, "%s", wish->path.name);
	return 0;
}

int
listen_open(const struct listen_wish *wish, struct listen_place *place, int *ret, struct err *err)
{
	uid_t uid = geteuid();
	gid_t own_group, group;
	struct stat st;

	if (uid == 0 && priv_user(wish->user.value, &uid, &own_group, err) == -1)
		return err_wrap(err, "%s", wish->user.name);
	if (priv_group(wish->group.value, &group, err) == -1)
		return err_wrap(err, "%s", wish->group.name);
	if (listen_unix(wish->path.value, wish->program, uid, group, ret, err) == -1)
		return err_wrap(err, "%s", wish->path.name);
	place->path = xstrdup(wish->path.value);
	place->inode = lstat(place->path, &st) == 0 ? st.st_ino : 0;
	return 0;
}

void
listen_leave(const struct listen_place *place)
{
	struct stat st;

	if (!place->path || lstat(place->path, &st) == -1 || st.st_ino != place->inode)
		return;
	if (unlink(place->path) == -1)
		log_line(LOG_LEVEL_WARNING, "socket '%s' stays behind: %s; the next start removes it", place->path, strerror(errno));
}

void
listen_done(struct listen_place *place)
{
	listen_leave(place);
	free(place->path);
	place->path = NULL;
}
