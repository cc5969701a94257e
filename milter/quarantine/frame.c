#include "milter/quarantine/frame.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

AUTO_DEFINE(json_t, json_decref);

enum { HEAD_BYTES = 5, BLOCK_BYTES = 16 * 1024 };

static int
timed_out(struct err *err)
{
	return err_set(err, ERR_TEMP, "time ran out within a frame");
}

/* Until something can be read or written; -1: not in time. */
static int
wait_for(int fd, short events, int64_t until, struct err *err)
{
	for (;;) {
		struct pollfd one = { fd, events, 0 };
		int64_t left = until - monotonic_ms();
		int n;

		if (left <= 0)
			return timed_out(err);
		n = poll(&one, 1, left < 3600000 ? (int)left : 3600000);
		if (n > 0)
			return 0;
		if (n == -1 && errno != EINTR)
			return err_set(err, ERR_TEMP, "poll: %s", strerror(errno));
	}
}

/* A peer that takes a byte now and then must not make the deadline a new one. */
static int
in_time(int64_t until, struct err *err)
{
	return monotonic_ms() < until ? 0 : timed_out(err);
}

static void
skip(struct msghdr *message, size_t n)
{
	while (n && message->msg_iovlen) {
		struct iovec *first = message->msg_iov;
		size_t some = n < first->iov_len ? n : first->iov_len;

		first->iov_base = (char *)first->iov_base + some;
		first->iov_len -= some;
		n -= some;
		if (first->iov_len == 0) {
			message->msg_iov++;
			message->msg_iovlen--;
		}
	}
}

static int
send_all(int fd, struct msghdr *message, size_t left, int64_t until, struct err *err)
{
	while (left) {
		ssize_t put = sendmsg(fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (put > 0) {
			skip(message, (size_t)put);
			left -= (size_t)put;
			if (left && in_time(until, err) == -1)
				return -1;
			continue;
		}
		if (put == -1 && errno == EINTR)
			continue;
		if (put == -1 && errno != EAGAIN)
			return err_set(err, ERR_TEMP, "a frame cannot be sent: %s", strerror(errno));
		if (wait_for(fd, POLLOUT, until, err) == -1)
			return -1;
	}
	return 0;
}

int
frame_send(int fd, enum frame_kind kind, struct slice bytes, int timeout_ms, struct err *err)
{
	unsigned char head[HEAD_BYTES] = { (unsigned char)kind, (unsigned char)(bytes.len >> 24), (unsigned char)(bytes.len >> 16),
		(unsigned char)(bytes.len >> 8), (unsigned char)bytes.len };
	struct iovec parts[] = { { head, sizeof(head) }, { (void *)(uintptr_t)bytes.at, bytes.len } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = bytes.len ? 2 : 1 };

	if (bytes.len > FRAME_BYTES || (kind == FRAME_END && bytes.len))
		return err_set(err, ERR_BUG, "a frame of %zu bytes; want at most %d, and none for an end", bytes.len, FRAME_BYTES);
	return send_all(fd, &message, sizeof(head) + bytes.len, monotonic_ms() + timeout_ms, err);
}

int
frame_send_json(int fd, const json_t *object, int timeout_ms, struct err *err)
{
	AUTO(xfree) char *text = json_dumps(object, JSON_COMPACT);

	if (!text)
		return err_set(err, ERR_BUG, "an object that cannot be written as JSON");
	if (strlen(text) > FRAME_BYTES)
		return err_set(err, ERR_TEMP, "an object of %zu bytes is too long for a frame; want at most %d", strlen(text), FRAME_BYTES);
	return frame_send(fd, FRAME_JSON, slice_of(text), timeout_ms, err);
}

/* At most `len` bytes, at least one; 0 = closed. */
static ssize_t
take_some(int fd, unsigned char *ret, size_t len, int64_t until, struct err *err)
{
	for (;;) {
		ssize_t got;

		if (in_time(until, err) == -1)
			return -1;
		got = recv(fd, ret, len, MSG_DONTWAIT);
		if (got >= 0)
			return got;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return err_set(err, ERR_TEMP, "a frame cannot be read: %s", strerror(errno));
		if (wait_for(fd, POLLIN, until, err) == -1)
			return -1;
	}
}

static int
closed_within(struct err *err)
{
	return err_set(err, ERR_TEMP, "the connection was closed within a frame");
}

/* 1 a whole head, 0 closed before its first byte. */
static int
take_head(int fd, unsigned char head[HEAD_BYTES], int64_t until, struct err *err)
{
	size_t have = 0;

	while (have < HEAD_BYTES) {
		ssize_t got = take_some(fd, head + have, HEAD_BYTES - have, until, err);

		if (got == -1)
			return -1;
		if (got == 0)
			return have ? closed_within(err) : 0;
		have += (size_t)got;
	}
	return 1;
}

/* Grows with what has come, not with what was announced. */
static int
take_body(int fd, size_t left, struct buf *ret, int64_t until, struct err *err)
{
	unsigned char block[BLOCK_BYTES];

	while (left) {
		ssize_t got = take_some(fd, block, left < sizeof(block) ? left : sizeof(block), until, err);

		if (got == -1)
			return -1;
		if (got == 0)
			return closed_within(err);
		buf_add(ret, block, (size_t)got);
		left -= (size_t)got;
	}
	return buf_full(ret) ? err_set(err, ERR_BUG, "a frame that its buffer has no room for") : 1;
}

static int
check_head(const unsigned char head[HEAD_BYTES], enum frame_kind *kind, size_t *len, struct err *err)
{
	*len = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
	if (head[0] != FRAME_JSON && head[0] != FRAME_DATA && head[0] != FRAME_END)
		return err_set(err, ERR_TEMP, "a frame of kind 0x%02x; want J, D or E", head[0]);
	*kind = (enum frame_kind)head[0];
	if (*len > (*kind == FRAME_END ? 0 : FRAME_BYTES))
		return err_set(err, ERR_TEMP, "a frame %c of %zu bytes; want at most %d", head[0], *len, *kind == FRAME_END ? 0 : FRAME_BYTES);
	return 0;
}

int
frame_take(int fd, enum frame_kind *kind, struct buf *ret, int timeout_ms, struct err *err)
{
	const int64_t until = monotonic_ms() + timeout_ms;
	unsigned char head[HEAD_BYTES];
	enum frame_kind found = FRAME_NONE;
	size_t len;
	int result;

	ret->len = 0;
	ret->full = false;
	buf_add(ret, "", 0); /* buf_text() must not show what was there */
	result = take_head(fd, head, until, err);
	if (result != 1)
		return result;
	if (check_head(head, &found, &len, err) == -1 || take_body(fd, len, ret, until, err) == -1)
		return -1;
	*kind = found;
	return 1;
}

json_t *
frame_take_json(int fd, int timeout_ms, struct err *err)
{
	AUTO(json_decref) json_t *object = NULL;
	AUTO_BUF struct buf bytes = { 0 };
	enum frame_kind kind = FRAME_NONE;
	json_error_t why;
	int result;

	buf_init(&bytes, FRAME_BYTES);
	result = frame_take(fd, &kind, &bytes, timeout_ms, err);
	if (result == 0)
		(void)err_set(err, ERR_TEMP, "the connection was closed where a JSON object was expected");
	if (result != 1)
		return NULL;
	if (kind != FRAME_JSON) {
		(void)err_set(err, ERR_TEMP, "a frame %c where a JSON object was expected", (char)kind);
		return NULL;
	}
	object = json_loadb(bytes.len ? (const char *)bytes.at : "", bytes.len, JSON_REJECT_DUPLICATES, &why);
	if (!json_is_object(object)) {
		(void)err_set(err, ERR_TEMP, "a frame J that is no JSON object%s%s", object ? "" : ": ", object ? "" : why.text);
		return NULL;
	}
	return TAKE(object);
}
