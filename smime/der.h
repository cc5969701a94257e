/*
 * der: writing DER (X.690 10) where a structure is known and small: lengths, one element around
 * slices, a SET OF in its order. Reads nothing. Lengths below 2^31.
 */
#ifndef SMIME_DER_H
#define SMIME_DER_H

#include "smime/buf.h"

enum der_tag {
	DER_INTEGER = 0x02,
	DER_BITS = 0x03,
	DER_OCTETS = 0x04,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_CONTEXT_0_PRIMITIVE = 0x80,
	DER_CONTEXT_0 = 0xa0, /* [0], constructed */
	DER_CONTEXT_1 = 0xa1,
	DER_CONTEXT_2 = 0xa2,
};

/* Tag and length; the content follows. */
void der_head(struct buf *ret, enum der_tag tag, size_t len);
/* What an element with so many bytes of content takes, head included. */
size_t der_whole(size_t len);
/* One element around the parts, in their order. */
void der_wrap(struct buf *ret, enum der_tag tag, const struct slice *parts, size_t n_parts);
/* The order of a SET OF's members (X.690 11.6). */
void der_sort(struct slice *members, size_t n_members);

#endif
