#include "smime/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void
buf_init(struct buf *buf, size_t cap)
{
	*buf = (struct buf){ .cap = cap };
}

void
buf_done(struct buf *buf)
{
	free(buf->at);
	*buf = (struct buf){ 0 };
}

struct buf
buf_take(struct buf *buf)
{
	const struct buf taken = *buf;

	*buf = (struct buf){ 0 };
	return taken;
}

static void
make_room(struct buf *buf, size_t need)
{
	size_t room = buf->room ? buf->room : 256;

	if (need <= buf->room)
		return;
	while (room < need)
		room += room / 2;
	buf->at = xrealloc(buf->at, room);
	buf->room = room;
}

void
buf_reserve(struct buf *buf, size_t len)
{
	make_room(buf, (len < buf->cap ? len : buf->cap) + 1);
}

void
buf_add(struct buf *buf, const void *bytes, size_t len)
{
	if (buf->full || len > buf->cap - buf->len) {
		buf->full = true;
		return;
	}
	make_room(buf, buf->len + len + 1);
	if (len)
		memcpy(buf->at + buf->len, bytes, len);
	buf->len += len;
	buf->at[buf->len] = '\0';
}

void
buf_add_text(struct buf *buf, const char *text)
{
	buf_add(buf, text, strlen(text));
}

void
buf_add_slice(struct buf *buf, struct slice slice)
{
	buf_add(buf, slice.at, slice.len);
}

void
buf_printf(struct buf *buf, const char *fmt, ...)
{
	char *text = NULL;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vasprintf(&text, fmt, args);
	va_end(args);
	if (len == -1) {
		buf->full = true;
		return;
	}
	buf_add(buf, text, (size_t)len);
	free(text);
}

bool
buf_full(const struct buf *buf)
{
	return buf->full;
}

struct slice
buf_slice(const struct buf *buf)
{
	return (struct slice){ buf->at, buf->len };
}

const char *
buf_text(const struct buf *buf)
{
	return buf->at ? (const char *)buf->at : "";
}

const char *
text_line(const char **text, size_t *len)
{
	const char *line = *text;

	*len = strcspn(line, "\n");
	*text = line + *len + (line[*len] == '\n');
	return *line ? line : NULL;
}

struct slice
slice_of(const char *text)
{
	return (struct slice){ (const unsigned char *)text, strlen(text) };
}

bool
slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool
slice_equal_nocase(struct slice a, const char *text)
{
	return a.len == strlen(text) && strncasecmp((const char *)a.at, text, a.len) == 0;
}

static bool
is_blank(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice
slice_trim(struct slice slice)
{
	while (slice.len && is_blank(slice.at[0])) {
		slice.at++;
		slice.len--;
	}
	while (slice.len && is_blank(slice.at[slice.len - 1]))
		slice.len--;
	return slice;
}

char *
slice_dup(struct slice slice)
{
	char *text = xcalloc(slice.len + 1, 1);

	if (slice.len)
		memcpy(text, slice.at, slice.len);
	return text;
}
