#include "milter/filter/originals.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".eml"
#define UNFINISHED ".part"

static int
cannot(struct err *err, const char *dir, const char *name, const char *what)
{
	return err_set(err, ERR_TEMP, "decrypt.keep_dir: '%s/%s' cannot be %s: %s", dir, name, what, strerror(errno));
}

static int
write_whole(int fd, struct slice bytes)
{
	while (bytes.len) {
		const ssize_t n = write(fd, bytes.at, bytes.len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		bytes.at += n;
		bytes.len -= (size_t)n;
	}
	return 0;
}

/* As it came: what was opened may have taken its memory. */
static int
write_message(int fd, const struct message *message, const char *dir, const char *name, struct err *err)
{
	if (message->parked && parked_copy(message->parked, fd, err) == -1)
		return err_wrap(err, "decrypt.keep_dir: '%s/%s'", dir, name);
	if (!message->parked && write_whole(fd, buf_slice(&message->bytes)) == -1)
		return cannot(err, dir, name, "written");
	return fsync(fd) == -1 ? cannot(err, dir, name, "written") : 0;
}

static int
write_file(int folder, const char *dir, const char *name, const struct message *message, struct err *err)
{
	AUTO(xfree) char *part = xasprintf("%s" UNFINISHED, name);
	AUTO_FD int fd = openat(folder, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd == -1)
		return cannot(err, dir, part, "made");
	if (write_message(fd, message, dir, part, err) == -1) {
		(void)unlinkat(folder, part, 0);
		return -1;
	}
	if (renameat(folder, part, folder, name) == -1)
		return cannot(err, dir, name, "named");
	return fsync(folder) == -1 ? cannot(err, dir, name, "made sure of") : 0;
}

int
originals_keep(const char *dir, const struct message *message, time_t now, char name[ORIGINAL_NAME_BYTES], struct err *err)
{
	AUTO_FD int folder = -1;

	if (mkdir(dir, 0700) == -1 && errno != EEXIST)
		return cannot(err, dir, "", "made");
	folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (folder == -1)
		return cannot(err, dir, "", "opened");
	snprintf(name, ORIGINAL_NAME_BYTES, "%lld-%s" SUFFIX, (long long)now, message->id);
	return write_file(folder, dir, name, message, err);
}

int
originals_check(const char *dir, struct err *err)
{
	AUTO(xfree) char *copy = xstrdup(dir);
	const char *above = dirname(copy);

	if (access(dir, W_OK | X_OK) == 0)
		return 0;
	if (errno != ENOENT)
		return err_set(err, ERR_CONFIG, "decrypt.keep_dir: '%s': %s; wanted a folder of this role's user, mode 0700", dir, strerror(errno));
	if (access(above, W_OK | X_OK) == 0)
		return 0;
	return err_set(err, ERR_CONFIG, "decrypt.keep_dir: '%s' is not there, and cannot be made in '%s': %s; make it, with mode 0700, for this role's "
	    "user", dir, above, strerror(errno));
}

/* When it was kept; -1: it is none of ours. What was never finished counts. */
static long long
kept_at(const char *name)
{
	const size_t len = strlen(name);
	char *end;
	const long long at = strtoll(name, &end, 10);
	const bool whole = len > strlen(SUFFIX) && strcmp(name + len - strlen(SUFFIX), SUFFIX) == 0;
	const bool part = len > strlen(SUFFIX UNFINISHED) && strcmp(name + len - strlen(SUFFIX UNFINISHED), SUFFIX UNFINISHED) == 0;

	return end != name && *end == '-' && at > 0 && (whole || part) ? at : -1;
}

int
originals_forget(const char *dir, time_t before, size_t *n, struct err *err)
{
	DIR *folder = opendir(dir);
	struct dirent *entry;
	int result = 0;

	*n = 0;
	if (!folder)
		return errno == ENOENT ? 0 : cannot(err, dir, "", "read");
	while ((entry = readdir(folder))) {
		const long long at = kept_at(entry->d_name);

		if (at == -1 || at >= before)
			continue;
		if (unlinkat(dirfd(folder), entry->d_name, 0) == -1)
			result = cannot(err, dir, entry->d_name, "removed");
		else
			++*n;
	}
	closedir(folder);
	return result;
}
