#include "milter/preflight/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RUN_SECONDS = 30, RUN_BYTES = 4 * 1024 * 1024, BLOCK_BYTES = 16 * 1024 };

/* Nothing of the caller's environment: MAIL_CONFIG or LC_ALL there would change the answer. */
static const char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", NULL };

struct ends {
	int in;
	int out[2]; /* read, write */
	int err[2];
};

static void
close_ends(const struct ends *ends)
{
	const int fds[] = { ends->in, ends->out[0], ends->out[1], ends->err[0], ends->err[1] };

	for (size_t i = 0; i < N_ELEMENTS(fds); i++)
		if (fds[i] != -1)
			(void)close(fds[i]);
}

static int
open_ends(struct ends *ends, struct err *err)
{
	*ends = (struct ends){ .in = open("/dev/null", O_RDONLY | O_CLOEXEC), .out = { -1, -1 }, .err = { -1, -1 } };
	if (ends->in != -1 && pipe2(ends->out, O_CLOEXEC) == 0 && pipe2(ends->err, O_CLOEXEC) == 0)
		return 0;
	(void)err_set(err, ERR_TEMP, "no pipe to another program: %s", strerror(errno));
	close_ends(ends);
	return -1;
}

static int
start(const char *const *argv, const struct ends *ends, pid_t *pid, struct err *err)
{
	posix_spawn_file_actions_t actions;
	int code = posix_spawn_file_actions_init(&actions);

	if (code == 0)
		code = posix_spawn_file_actions_adddup2(&actions, ends->in, STDIN_FILENO);
	if (code == 0)
		code = posix_spawn_file_actions_adddup2(&actions, ends->out[1], STDOUT_FILENO);
	if (code == 0)
		code = posix_spawn_file_actions_adddup2(&actions, ends->err[1], STDERR_FILENO);
	if (code == 0)
		code = posix_spawn(pid, argv[0], &actions, NULL, (char *const *)argv, (char *const *)environment);
	(void)posix_spawn_file_actions_destroy(&actions);
	if (code != 0)
		return err_set(err, ERR_CONFIG, "'%s' cannot be started: %s", argv[0], strerror(code));
	return 0;
}

/* One block; closes the end where there is no more. */
static void
take_block(struct pollfd *end, struct buf *to)
{
	unsigned char block[BLOCK_BYTES];
	ssize_t n = read(end->fd, block, sizeof(block));

	if (n > 0)
		buf_add(to, block, (size_t)n);
	else if (n == 0 || errno != EINTR)
		end->fd = -1; /* poll passes over it; close_ends closes it */
}

static int
read_ends(const struct ends *ends, struct run *run, const char *program, struct err *err)
{
	struct pollfd fds[2] = { { .fd = ends->out[0], .events = POLLIN }, { .fd = ends->err[0], .events = POLLIN } };
	const int64_t until = monotonic_ms() + (int64_t)RUN_SECONDS * 1000;

	while (fds[0].fd != -1 || fds[1].fd != -1) {
		const int64_t left = until - monotonic_ms();

		if (left <= 0)
			return err_set(err, ERR_TEMP, "'%s' did not end within %d seconds", program, (int)RUN_SECONDS);
		if (poll(fds, 2, (int)left) == -1 && errno != EINTR)
			return err_set(err, ERR_TEMP, "waiting for '%s': %s", program, strerror(errno));
		if (fds[0].revents)
			take_block(&fds[0], &run->out);
		if (fds[1].revents)
			take_block(&fds[1], &run->err);
		if (buf_full(&run->out) || buf_full(&run->err))
			return err_set(err, ERR_CONFIG, "'%s' said more than %d bytes", program, (int)RUN_BYTES);
	}
	return 0;
}

static int
reap(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) == -1) {
		if (errno != EINTR)
			return -1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int
run_program(const char *const *argv, struct run *ret, struct err *err)
{
	struct ends ends;
	pid_t pid = -1;
	int result;

	buf_init(&ret->out, RUN_BYTES);
	buf_init(&ret->err, RUN_BYTES);
	if (open_ends(&ends, err) == -1)
		return -1;
	if (start(argv, &ends, &pid, err) == -1) {
		close_ends(&ends);
		return -1;
	}
	(void)close(ends.out[1]);
	(void)close(ends.err[1]);
	ends.out[1] = ends.err[1] = -1;
	result = read_ends(&ends, ret, argv[0], err);
	close_ends(&ends);
	if (result == -1)
		(void)kill(pid, SIGKILL);
	ret->status = reap(pid);
	return result;
}

void
run_done(struct run *run)
{
	buf_done(&run->out);
	buf_done(&run->err);
}
