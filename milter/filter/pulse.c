#include "milter/filter/pulse.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_SECONDS = 5 };

/* The MTA's first packet: length, 'O', protocol version 6, every action and every step on offer. */
static const unsigned char greeting[] = { 0, 0, 0, 13, 'O', 0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff };
enum { LENGTH_BYTES = 4 };

static int
connect_to(const char *path)
{
	const struct timeval limit = { .tv_sec = ANSWER_SECONDS };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1 || strlen(path) >= sizeof(address.sun_path))
		return -1;
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == -1
	    || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == -1
	    || connect(fd, (const struct sockaddr *)&address, sizeof(address)) == -1)
		return -1;
	return TAKE_FD(fd);
}

bool
pulse_beats(const char *path)
{
	AUTO_FD int fd = connect_to(path);
	unsigned char answer[LENGTH_BYTES + 1];

	return fd != -1 && send(fd, greeting, sizeof(greeting), MSG_NOSIGNAL) == (ssize_t)sizeof(greeting)
	    && recv(fd, answer, sizeof(answer), MSG_WAITALL) == (ssize_t)sizeof(answer) && answer[LENGTH_BYTES] == 'O';
}
