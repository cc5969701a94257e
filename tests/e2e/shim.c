/*
 * shim: bad luck for one process, through LD_PRELOAD. Files in the folder $SEGEL_SHIM say what happens:
 *   clock  its number of seconds is added to the wall clock
 *   sync   is there: fdatasync and fsync fail with EIO
 *   body   N: the process is killed at the N-th write of a body replacement (N = 0: before the first)
 *   racun  is there: decoding or searching a text with "racun" in it is a fault of the thread that does it
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int in_body, n_writes; /* one message at a time */

/* By bare system calls: sanitizers call us before they are ready. False: no such file. */
static int
number_in(const char *name, long *ret)
{
	const char *folder = getenv("SEGEL_SHIM");
	char path[512], text[32] = "";
	long fd;

	snprintf(path, sizeof(path), "%s/%s", folder ? folder : "/nonexistent", name);
	fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (syscall(SYS_read, fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	syscall(SYS_close, fd);
	*ret = strtol(text, NULL, 10);
	return 1;
}

int
clock_gettime(clockid_t clock, struct timespec *ret)
{
	long result = syscall(SYS_clock_gettime, clock, ret);
	int before = errno;
	long seconds;

	if (result == 0 && clock == CLOCK_REALTIME && number_in("clock", &seconds))
		ret->tv_sec += seconds;
	errno = before;
	return (int)result;
}

time_t
time(time_t *ret)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}

int
gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	*ret = (struct timeval){ now.tv_sec, now.tv_nsec / 1000 };
	return 0;
}

static int
sync_by(long call, int fd)
{
	long unused;

	if (!number_in("sync", &unused))
		return (int)syscall(call, fd);
	errno = EIO;
	return -1;
}

int
fdatasync(int fd)
{
	return sync_by(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	return sync_by(SYS_fsync, fd);
}

ssize_t
writev(int fd, const struct iovec *parts, int n)
{
	long last;

	if (in_body && number_in("body", &last) && n_writes++ >= last)
		kill(getpid(), SIGKILL);
	return syscall(SYS_writev, fd, parts, n);
}

int
smfi_replacebody(void *ctx, unsigned char *body, int len)
{
	int (*next)(void *, unsigned char *, int) = (int (*)(void *, unsigned char *, int))dlsym(RTLD_NEXT, "smfi_replacebody");
	int result;

	in_body = 1;
	result = next(ctx, body, len);
	in_body = 0;
	return result;
}

static void
take_poison(const char *text, size_t len)
{
	long unused;

	for (size_t i = 0; i + 5 <= len; i++)
		if (strncmp(text + i, "racun", 5) == 0 && number_in("racun", &unused))
			__builtin_trap();
}

char *
g_mime_utils_header_decode_text(void *options, const char *text)
{
	char *(*real)(void *, const char *);

	take_poison(text, strlen(text));
	*(void **)&real = dlsym(RTLD_NEXT, "g_mime_utils_header_decode_text");
	return real(options, text);
}

void *
memmem(const void *text, size_t len, const void *word, size_t word_len)
{
	const char *at = text;

	take_poison(text, len);
	for (; word_len <= len; at++, len--)
		if (memcmp(at, word, word_len) == 0)
			return (void *)(unsigned long)at;
	return NULL;
}
