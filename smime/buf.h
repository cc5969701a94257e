/*
 * buf: bytes that grow up to a cap (struct buf), and bytes somebody else owns (struct slice).
 * A cap that is reached is an outcome the caller asks for with buf_full(): further
 * bytes are dropped, so a buffer that is full must not be used as if it were whole.
 */
#ifndef SMIME_BUF_H
#define SMIME_BUF_H

#include "smime/base.h"

/* Borrowed bytes; not terminated. */
struct slice {
	const unsigned char *at;
	size_t len;
};

struct buf {
	unsigned char *at; /* owned; NUL after the last byte, not counted */
	size_t len;
	size_t room;
	size_t cap;  /* most bytes it may hold */
	bool full;   /* something did not fit */
};

void buf_init(struct buf *buf, size_t cap);
void buf_done(struct buf *buf);
/* All of it, the caller's now; `buf` is empty. */
struct buf buf_take(struct buf *buf) MUST_USE;
/* Room for so many bytes in all: adding them moves nothing, so that no copy of what is secret stays behind. */
void buf_reserve(struct buf *buf, size_t len);
void buf_add(struct buf *buf, const void *bytes, size_t len);
void buf_add_text(struct buf *buf, const char *text);
void buf_add_slice(struct buf *buf, struct slice slice);
void buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool buf_full(const struct buf *buf);
struct slice buf_slice(const struct buf *buf);
/* "" for an empty buffer. Ends at the first NUL, as every C string. */
const char *buf_text(const struct buf *buf);

static inline __attribute__((unused)) void auto_buf_done(struct buf *buf) { buf_done(buf); }
#define AUTO_BUF __attribute__((cleanup(auto_buf_done)))

/* The lines of a text, one a call, without their ends; NULL after the last. */
const char *text_line(const char **text, size_t *len);

struct slice slice_of(const char *text);
bool slice_equal(struct slice a, struct slice b);
/* ASCII letters alike in either case. */
bool slice_equal_nocase(struct slice a, const char *text);
struct slice slice_trim(struct slice slice); /* without blanks, tabs, CR and LF at either end */
char *slice_dup(struct slice slice) MUST_USE; /* NUL-terminated copy */

#endif
