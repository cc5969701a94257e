#include "milter/filter/accept.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "milter/log.h"

void
accept_raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
		log_line(LOG_LEVEL_WARNING, "the limit of open files stays as it is: %s", strerror(errno));
}

static void
pause_after(int why)
{
	const struct timespec pause = { .tv_sec = 1 };
	struct rlimit limit = { 0, 0 };

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	log_line(LOG_LEVEL_ERROR, "a connection of the MTA cannot be accepted: %s (limit %llu); its mail is deferred meanwhile; "
	    "raise LimitNOFILE, or let the MTA run fewer processes", strerror(why), (unsigned long long)limit.rlim_cur);
	nanosleep(&pause, NULL);
}

int
accept(int fd, struct sockaddr *address, socklen_t *len)
{
	int accepted = accept4(fd, address, len, SOCK_CLOEXEC);
	int why = errno;

	if (accepted == -1 && (why == EMFILE || why == ENFILE || why == ENOBUFS || why == ENOMEM))
		pause_after(why);
	errno = why;
	return accepted;
}
