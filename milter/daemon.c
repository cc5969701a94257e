#include "milter/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Set by daemon_detach in the child, before threads; -1 in the foreground. */
static int ready_pipe = -1;

static void
await_child(int from_child, pid_t child)
{
	char byte;
	int status = EXIT_FAILURE;

	if (read(from_child, &byte, 1) == 1)
		_exit(EXIT_SUCCESS);
	(void)waitpid(child, &status, 0);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

int
daemon_detach(struct err *err)
{
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) == -1)
		return err_set(err, ERR_TEMP, "pipe: %s", strerror(errno));
	child = fork();
	if (child == -1)
		return err_set(err, ERR_TEMP, "fork: %s", strerror(errno));
	if (child > 0) {
		close(ends[1]);
		await_child(ends[0], child);
	}
	close(ends[0]);
	ready_pipe = ends[1];
	if (setsid() == -1 || chdir("/") == -1)
		return err_set(err, ERR_TEMP, "cannot leave the terminal: %s", strerror(errno));
	return 0;
}

void
daemon_ready(void)
{
	int null;

	if (ready_pipe == -1)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null != -1) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		close(null);
	}
	(void)!write(ready_pipe, "r", 1);
	close(ready_pipe);
	ready_pipe = -1;
}

int
daemon_failed(const char *program, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", program, err->text);
	return EXIT_FAILURE;
}
