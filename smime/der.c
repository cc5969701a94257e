#include "smime/der.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_HEAD = 6 };

static size_t
head_bytes(enum der_tag tag, size_t len, unsigned char ret[MAX_HEAD])
{
	size_t n = 0;
	int bytes = len < 0x80 ? 0 : len <= 0xff ? 1 : len <= 0xffff ? 2 : len <= 0xffffff ? 3 : 4;

	ret[n++] = (unsigned char)tag;
	if (bytes == 0)
		ret[n++] = (unsigned char)len;
	else
		ret[n++] = (unsigned char)(0x80 | bytes);
	for (int i = bytes - 1; i >= 0; i--)
		ret[n++] = (unsigned char)(len >> (8 * i));
	return n;
}

void
der_head(struct buf *ret, enum der_tag tag, size_t len)
{
	unsigned char head[MAX_HEAD];

	buf_add(ret, head, head_bytes(tag, len, head));
}

size_t
der_whole(size_t len)
{
	unsigned char head[MAX_HEAD];

	return head_bytes(DER_SEQUENCE, len, head) + len;
}

void
der_wrap(struct buf *ret, enum der_tag tag, const struct slice *parts, size_t n_parts)
{
	size_t len = 0;

	for (size_t i = 0; i < n_parts; i++)
		len += parts[i].len;
	der_head(ret, tag, len);
	for (size_t i = 0; i < n_parts; i++)
		buf_add_slice(ret, parts[i]);
}

/* DER elements: one is never the beginning of another, so the padding of 11.6 never decides. */
static int
by_bytes(const void *a, const void *b)
{
	const struct slice *x = a;
	const struct slice *y = b;
	int order = memcmp(x->at, y->at, x->len < y->len ? x->len : y->len);

	return order ? order : (x->len > y->len) - (x->len < y->len);
}

void
der_sort(struct slice *members, size_t n_members)
{
	qsort(members, n_members, sizeof(*members), by_bytes);
}
