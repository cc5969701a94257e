/*
 * channel: frames over a UNIX stream socket, with a deadline. Used at both ends.
 * Knows lengths, not what is in a frame (wire.h). Never raises SIGPIPE.
 */
#ifndef KEYD_CHANNEL_H
#define KEYD_CHANNEL_H

#include "smime/buf.h"
#include "smime/err.h"

enum channel_end {
	CHANNEL_FAILED,  /* timeout, reset, half a frame, a length beyond the cap: err says which */
	CHANNEL_CLOSED,  /* the peer closed between two frames */
	CHANNEL_STOPPED, /* wake_fd became readable first */
	CHANNEL_FRAME,   /* one whole frame, without its length, is in ret */
};

/*
 * One frame. The first byte may take until `idle_until`, the rest `frame_ms` from then on, however
 * slowly bytes drip. `wake_fd` ends the wait for the first byte only; -1 = none. `malformed` (may be
 * NULL) tells a length that no frame has from a broken connection.
 */
enum channel_end channel_read(int fd, int wake_fd, int64_t idle_until, int frame_ms, struct buf *ret,
    bool *malformed, struct err *err) MUST_USE;

/* All of it until then. `*gone` (may be NULL): the peer had closed. */
int channel_write(int fd, struct slice bytes, int64_t until, bool *gone, struct err *err) MUST_USE;

#endif
