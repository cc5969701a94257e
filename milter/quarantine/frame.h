/*
 * frame: what goes over segel-reviewd's two sockets, in either direction: a kind (1 byte), a length (4 bytes, big
 * endian, at most FRAME_BYTES), and that many bytes.
 *
 *     'J'   one JSON object (RFC 8259), UTF-8
 *     'D'   a piece of data
 *     'E'   the data's end; empty
 *
 * Blocking, with a deadline for each frame as a whole, however its bytes drip. Peers are believed in nothing: a kind or
 * a length that is none ends the connection. One thread per descriptor.
 */
#ifndef QUARANTINE_FRAME_H
#define QUARANTINE_FRAME_H

#include <jansson.h>

#include "smime/buf.h"
#include "smime/err.h"

enum { FRAME_BYTES = 1024 * 1024 };

enum frame_kind { FRAME_NONE, FRAME_JSON = 'J', FRAME_DATA = 'D', FRAME_END = 'E' };

int frame_send(int fd, enum frame_kind kind, struct slice bytes, int timeout_ms, struct err *err) MUST_USE;
int frame_send_json(int fd, const json_t *object, int timeout_ms, struct err *err) MUST_USE;

/*
 * The next frame; `ret` is emptied first, and has a cap of FRAME_BYTES. 1 a frame, 0 the peer closed between two, -1 with
 * err: time ran out, closed in the middle, or no frame.
 */
int frame_take(int fd, enum frame_kind *kind, struct buf *ret, int timeout_ms, struct err *err) MUST_USE;
/* The same, which must be an object; the caller's. NULL also where it is of another kind. */
json_t *frame_take_json(int fd, int timeout_ms, struct err *err) MUST_USE;

#endif
