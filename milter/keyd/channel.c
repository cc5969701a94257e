#include "milter/keyd/channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "milter/keyd/wire.h"

enum wait_end { WAIT_TIMEOUT, WAIT_READY, WAIT_WOKEN };

static enum wait_end
wait_for(int fd, short events, int wake_fd, int64_t until)
{
	for (;;) {
		struct pollfd fds[] = { { fd, events, 0 }, { wake_fd, POLLIN, 0 } };
		int64_t left = until - monotonic_ms();
		int n = poll(fds, N_ELEMENTS(fds), left < 0 ? 0 : (int)(left < 3600000 ? left : 3600000));

		if (n == -1 && errno != EINTR)
			return WAIT_READY; /* the next call on fd says what is wrong */
		/* First, or a busy peer would keep us from ever stopping. */
		if (n > 0 && fds[1].revents)
			return WAIT_WOKEN;
		if (n > 0 && fds[0].revents)
			return WAIT_READY;
		if (left <= 0)
			return WAIT_TIMEOUT;
	}
}

/* Bytes read at once; 0 closed, -1 not ready or failed. */
static ssize_t
read_some(int fd, void *at, size_t len)
{
	ssize_t got;

	do
		got = recv(fd, at, len, MSG_DONTWAIT);
	while (got == -1 && errno == EINTR);
	return got;
}

/* Exactly `len` bytes. */
static int
read_all(int fd, unsigned char *at, size_t len, int64_t until, struct err *err)
{
	size_t have = 0;

	while (have < len) {
		ssize_t got = read_some(fd, at + have, len - have);

		if (got == 0)
			return err_set(err, ERR_TEMP, "connection closed within a frame");
		if (got > 0) {
			have += (size_t)got;
			continue;
		}
		if (errno != EAGAIN)
			return err_set(err, ERR_TEMP, "%s", strerror(errno));
		if (wait_for(fd, POLLIN, -1, until) == WAIT_TIMEOUT)
			return err_set(err, ERR_TEMP, "timeout within a frame");
	}
	return 0;
}

static enum channel_end
read_rest(int fd, unsigned char first, int64_t until, struct buf *ret, bool *malformed, struct err *err)
{
	unsigned char head[WIRE_LENGTH_BYTES] = { first };
	unsigned char frame[WIRE_FRAME_BYTES];
	size_t len = 0;

	if (read_all(fd, head + 1, sizeof(head) - 1, until, err) == -1)
		return CHANNEL_FAILED;
	if (wire_frame_len(head, &len, err) == -1) {
		if (malformed)
			*malformed = true;
		return CHANNEL_FAILED;
	}
	if (read_all(fd, frame, len, until, err) == -1)
		return CHANNEL_FAILED;
	buf_add(ret, frame, len);
	wipe(frame, len); /* it may hold a content key */
	return CHANNEL_FRAME;
}

enum channel_end
channel_read(int fd, int wake_fd, int64_t idle_until, int frame_ms, struct buf *ret, bool *malformed,
    struct err *err)
{
	unsigned char first;
	ssize_t got;

	if (malformed)
		*malformed = false;
	for (;;) {
		enum wait_end end = wait_for(fd, POLLIN, wake_fd, idle_until);

		if (end == WAIT_WOKEN)
			return CHANNEL_STOPPED;
		if (end == WAIT_TIMEOUT) {
			err_set(err, ERR_TEMP, "timeout");
			return CHANNEL_FAILED;
		}
		got = read_some(fd, &first, 1);
		if (got >= 0 || errno != EAGAIN)
			break;
	}
	if (got == 0)
		return CHANNEL_CLOSED;
	if (got == -1 && errno == ECONNRESET)
		return CHANNEL_CLOSED; /* it closed with bytes of ours unread */
	if (got == -1) {
		err_set(err, ERR_TEMP, "%s", strerror(errno));
		return CHANNEL_FAILED;
	}
	return read_rest(fd, first, monotonic_ms() + frame_ms, ret, malformed, err);
}

int
channel_write(int fd, struct slice bytes, int64_t until, bool *gone, struct err *err)
{
	if (gone)
		*gone = false;
	while (bytes.len) {
		ssize_t put = send(fd, bytes.at, bytes.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (put > 0) {
			bytes.at += put;
			bytes.len -= (size_t)put;
		} else if (put == -1 && errno == EAGAIN) {
			if (wait_for(fd, POLLOUT, -1, until) == WAIT_TIMEOUT)
				return err_set(err, ERR_TEMP, "timeout while sending");
		} else if (put == 0 || errno != EINTR) {
			if (gone)
				*gone = put == -1 && (errno == EPIPE || errno == ECONNRESET);
			return err_set(err, ERR_TEMP, "%s", put == 0 ? "nothing was sent" : strerror(errno));
		}
	}
	return 0;
}
