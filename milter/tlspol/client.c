#include "milter/tlspol/client.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "milter/tlspol/protocol.h"

enum { MOST_BYTES = 100000 }; /* Postfix's own limit */

static int
connect_to(const char *path, int timeout_ms, int *ret, struct err *err)
{
	const struct timeval patience = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	AUTO_FD int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, ERR_CONFIG, "the path '%s' is too long for a socket (107 bytes)", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == -1
	    || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == -1)
		return err_set(err, ERR_TEMP, "socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == -1)
		return err_set(err, ERR_TEMP, "cannot connect to '%s': %s; does segel-tlspol run?", path, strerror(errno));
	*ret = TAKE_FD(fd);
	return 0;
}

static int
send_request(int fd, const char *map, const char *key, struct err *err)
{
	AUTO_BUF struct buf request = { 0 };

	buf_init(&request, NETSTRING_BYTES);
	buf_printf(&request, "%zu:%s %s,", strlen(map) + 1 + strlen(key), map, key);
	if (buf_full(&request))
		return err_set(err, ERR_CONFIG, "the next hop is too long to be asked for: wanted at most %d bytes", REQUEST_BYTES);
	if (send(fd, request.at, request.len, MSG_NOSIGNAL) != (ssize_t)request.len)
		return err_set(err, ERR_TEMP, "the request could not be sent: %s", strerror(errno));
	return 0;
}

static int
read_reply(int fd, struct buf *in, struct netstring *ret, struct err *err)
{
	enum netstring_state state;
	unsigned char block[4096];
	ssize_t n;

	while ((state = netstring_parse(buf_slice(in), MOST_BYTES, ret)) == NETSTRING_PART) {
		n = recv(fd, block, sizeof(block), 0);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, ERR_TEMP, "no whole reply came: %s", n == 0 ? "the connection was closed" : strerror(errno));
		buf_add(in, block, (size_t)n);
	}
	if (state == NETSTRING_BAD)
		return err_set(err, ERR_TEMP, "what came is no reply: %s", ret->why);
	return 0;
}

int
tlspol_ask(const char *socket, const char *map, const char *key, int timeout_ms, struct buf *reply, struct err *err)
{
	AUTO_BUF struct buf in = { 0 };
	AUTO_FD int fd = -1;
	struct netstring frame;

	buf_init(&in, MOST_BYTES + 4096);
	if (connect_to(socket, timeout_ms, &fd, err) == -1 || send_request(fd, map, key, err) == -1
	    || read_reply(fd, &in, &frame, err) == -1)
		return -1;
	buf_add_slice(reply, frame.payload);
	return 0;
}
