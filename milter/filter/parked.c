#include "milter/filter/parked.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEP_BYTES = 64 * 1024 };

struct parked {
	int fd;
	size_t len;
};

/* A file system without O_TMPFILE (NFS, some overlays) says so in one of these ways. */
static bool
has_no_nameless(int number)
{
	return number == EOPNOTSUPP || number == EISDIR || number == EINVAL || number == ENOENT;
}

static int
open_nameless(const char *dir)
{
	AUTO(xfree) char *name = NULL;
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd != -1 || !has_no_nameless(errno))
		return fd;
	name = xasprintf("%s/parked.XXXXXX", dir);
	fd = mkostemp(name, O_CLOEXEC);
	if (fd != -1)
		(void)unlink(name);
	return fd;
}

static int
write_all(int fd, const unsigned char *at, size_t len)
{
	while (len) {
		const ssize_t n = write(fd, at, len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int
parked_new(const char *dir, struct slice bytes, struct parked **ret, struct err *err)
{
	AUTO_FD int fd = open_nameless(dir);
	struct parked *parked;

	if (fd == -1 || write_all(fd, bytes.at, bytes.len) == -1)
		return err_set(err, ERR_TEMP, "'%s': %zu bytes cannot be parked there: %s", dir, bytes.len, strerror(errno));
	parked = xcalloc(1, sizeof(*parked));
	*parked = (struct parked){ TAKE_FD(fd), bytes.len };
	*ret = parked;
	return 0;
}

void
parked_free(struct parked *parked)
{
	if (!parked)
		return;
	close(parked->fd);
	free(parked);
}

/* Exactly so many. */
static int
read_at(const struct parked *parked, size_t from, unsigned char *at, size_t len, struct err *err)
{
	while (len) {
		const ssize_t n = pread(parked->fd, at, len, (off_t)from);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, ERR_TEMP, "what was parked cannot be read again: %s", n ? strerror(errno) : "it has become shorter");
		at += n;
		from += (size_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int
parked_read(const struct parked *parked, struct buf *ret, struct err *err)
{
	AUTO_BUF struct buf all = { 0 };

	buf_init(&all, parked->len);
	buf_reserve(&all, parked->len);
	if (read_at(parked, 0, all.at, parked->len, err) == -1)
		return -1;
	all.len = parked->len;
	all.at[all.len] = '\0';
	*ret = buf_take(&all);
	return 0;
}

int
parked_copy(const struct parked *parked, int fd, struct err *err)
{
	AUTO(xfree) unsigned char *step = xcalloc(STEP_BYTES, 1);

	for (size_t from = 0; from < parked->len;) {
		const size_t rest = parked->len - from, len = rest < STEP_BYTES ? rest : STEP_BYTES;

		if (read_at(parked, from, step, len, err) == -1)
			return -1;
		if (write_all(fd, step, len) == -1)
			return err_set(err, ERR_TEMP, "it cannot be written: %s", strerror(errno));
		from += len;
	}
	return 0;
}
