#include "milter/priv.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool
number_of(const char *text, unsigned *ret)
{
	char *end;
	unsigned long value;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || value >= UINT_MAX)
		return false;
	*ret = (unsigned)value;
	return true;
}

int
priv_user(const char *user, uid_t *uid, gid_t *gid, struct err *err)
{
	const struct passwd *entry;
	unsigned number;

	if (number_of(user, &number)) {
		entry = getpwuid(number);
		*uid = number;
		*gid = entry ? entry->pw_gid : number;
		return 0;
	}
	entry = getpwnam(user);
	if (!entry)
		return err_set(err, ERR_CONFIG, "there is no user '%s'; create it or name another", user);
	*uid = entry->pw_uid;
	*gid = entry->pw_gid;
	return 0;
}

int
priv_group(const char *group, gid_t *gid, struct err *err)
{
	const struct group *entry;
	unsigned number;

	if (number_of(group, &number)) {
		*gid = number;
		return 0;
	}
	entry = getgrnam(group);
	if (!entry)
		return err_set(err, ERR_CONFIG, "there is no group '%s'; create it or name another", group);
	*gid = entry->gr_gid;
	return 0;
}

static int
take_groups(uid_t uid, gid_t gid)
{
	const struct passwd *entry = getpwuid(uid);

	return entry ? initgroups(entry->pw_name, gid) : setgroups(0, NULL);
}

int
priv_drop(const char *user, struct err *err)
{
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0)
		return 0;
	if (priv_user(user, &uid, &gid, err) == -1)
		return -1;
	if (uid == 0)
		return err_set(err, ERR_CONFIG, "will not serve as root; name an unprivileged user");
	if (take_groups(uid, gid) == -1 || setresgid(gid, gid, gid) == -1 || setresuid(uid, uid, uid) == -1)
		return err_set(err, ERR_TEMP, "cannot become user '%s': %s", user, strerror(errno));
	if (setuid(0) != -1 || getuid() != uid || geteuid() != uid || getgid() != gid)
		return err_set(err, ERR_BUG, "became user '%s', but could go back to root", user);
	return 0;
}

int
priv_harden(struct err *err)
{
	const struct rlimit no_core = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &no_core) == -1)
		return err_set(err, ERR_TEMP, "cannot switch off core files: %s", strerror(errno));
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == -1)
		return err_set(err, ERR_TEMP, "cannot make the process untraceable: %s", strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return err_set(err, ERR_TEMP, "cannot give up new privileges: %s", strerror(errno));
	return 0;
}

int
priv_socket_folder(const char *socket, struct err *err)
{
	const char *slash = strrchr(socket, '/');
	AUTO(xfree) char *folder = NULL;
	struct stat st;

	if (*socket != '/')
		return err_set(err, ERR_CONFIG, "'%s' is no UNIX socket: wanted a path that begins with '/'", socket);
	if (strlen(socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return err_set(err, ERR_CONFIG, "the path '%s' is too long for a socket (107 bytes)", socket);
	folder = xstrndup(socket, slash == socket ? 1 : (size_t)(slash - socket));
	if (stat(folder, &st) == -1)
		return err_set(err, ERR_CONFIG, "folder '%s' for the socket: %s; create it, mode 2750, "
		    "for this program's user and the group that may reach the socket", folder,
		    strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_CONFIG, "'%s' is no folder", folder);
	if (st.st_mode & 0007)
		return err_set(err, ERR_CONFIG, "folder '%s' is open to others (mode %04o), and whoever reaches the "
		    "socket is taken at its word; give the socket a folder of its own, closed to others (mode 2750)", folder,
		    st.st_mode & 07777);
	return 0;
}

int
priv_socket_alive(const char *path, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_FD int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, ERR_CONFIG, "the path '%s' is too long for a socket (107 bytes)", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return err_set(err, ERR_TEMP, "socket: %s", strerror(errno));
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN)
		return 1;
	if (errno == ECONNREFUSED || errno == ENOENT)
		return 0;
	return err_set(err, ERR_CONFIG, "cannot tell whether '%s' is in use: %s", path, strerror(errno));
}
