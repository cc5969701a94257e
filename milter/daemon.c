#include "milter/daemon.h"

#include <errno.h>
#include <signal.h>
#include <pthread.h>
#include <poll.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
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

/* A datagram to the service manager. What it does not hear changes nothing for mail. */
static void
notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_FD int fd = -1;
	size_t len;

	if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof(address.sun_path))
		return;
	len = strlen(path);
	memcpy(address.sun_path, path, len);
	if (*path == '@')
		address.sun_path[0] = '\0'; /* Linux's abstract names */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd != -1)
		(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

static void
reloading(void)
{
	AUTO(xfree) char *text = NULL;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	text = xasprintf("RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=Reloading", now.tv_sec * 1000000LL + now.tv_nsec / 1000);
	notify(text);
}

static void
stopping(void)
{
	notify("STOPPING=1\nSTATUS=Finishing what is in hand");
}

/* Half of what was asked for, in milliseconds; 0 = nobody asks, or asks another process. */
static long
watchdog_interval(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	long long value = usec ? strtoll(usec, NULL, 10) : 0;

	if (value <= 0 || (pid && strtoll(pid, NULL, 10) != (long long)getpid()))
		return 0;
	return value > 2000 ? (long)(value / 2000) : 1;
}

/* What the handler tells daemon_wait; made by daemon_signals_block before threads start. */
static int signal_pipe[2] = { -1, -1 };

static void
on_signal(int number)
{
	const int saved = errno;
	const unsigned char byte = (unsigned char)number;

	(void)!write(signal_pipe[1], &byte, 1); /* full: as many are waiting already */
	errno = saved;
}

static void
our_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGHUP);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGINT);
}

int
daemon_signals_block(struct err *err)
{
	sigset_t ours;

	our_signals(&ours);
	pthread_sigmask(SIG_BLOCK, &ours, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) == -1)
		return err_set(err, ERR_TEMP, "pipe: %s", strerror(errno));
	return 0;
}

static void
signals_take(void)
{
	/*
	 * SA_NODEFER: libmilter waits for these signals in a thread of its own, and takes HUP for "stop". It
	 * gets what this thread does not take, so this one must not even block them while it handles one.
	 */
	const struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART | SA_NODEFER };
	sigset_t ours;

	(void)sigaction(SIGHUP, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGINT, &action, NULL);
	our_signals(&ours);
	pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
}

bool
daemon_thread(void *(*run)(void *context), void *context)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all;
	bool started;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setsigmask_np(&attr, &all);
	started = pthread_create(&thread, &attr, run, context) == 0;
	pthread_attr_destroy(&attr);
	return started;
}

/* The next of the three, in the order they came. */
static int
next_signal(bool (*healthy)(void *ctx), void *ctx)
{
	const long interval = watchdog_interval();
	struct pollfd waiting = { .fd = signal_pipe[0], .events = POLLIN };
	unsigned char number;

	for (;;) {
		int n = poll(&waiting, 1, interval ? (int)interval : -1);

		if (n > 0 && read(signal_pipe[0], &number, 1) == 1)
			return number;
		if (n == 0 && healthy(ctx))
			notify("WATCHDOG=1");
	}
}

static void
ready(void)
{
	int null;

	notify("READY=1\nSTATUS=Serving");
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

void
daemon_live(bool (*healthy)(void *ctx), void (*reload)(void *ctx), void *ctx)
{
	signals_take();
	ready();
	while (next_signal(healthy, ctx) == SIGHUP) {
		reloading();
		reload(ctx);
		ready();
	}
	stopping();
}

int
daemon_failed(const char *program, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", program, err->text);
	return EXIT_FAILURE;
}
