/*
 * tlv: reading DER, one element after the other, without building a tree (X.690 10).
 * For long lists of small things, where a tree costs ten times the bytes. Tags of one byte, definite
 * lengths in their shortest form, below 2^32; anything else is "no element". Borrows.
 */
#ifndef SMIME_TLV_H
#define SMIME_TLV_H

#include "smime/buf.h"

enum tlv_tag {
	TLV_BOOLEAN = 0x01,
	TLV_INTEGER = 0x02,
	TLV_BITS = 0x03,
	TLV_OCTETS = 0x04,
	TLV_OBJECT = 0x06,
	TLV_ENUMERATED = 0x0a,
	TLV_UTC_TIME = 0x17,
	TLV_GENERALIZED_TIME = 0x18,
	TLV_SEQUENCE = 0x30,
	TLV_CONTEXT_0 = 0xa0, /* [0], constructed */
};

struct tlv {
	unsigned char tag;
	struct slice content;
	struct slice whole; /* head and content */
};

/* Takes the first element off `rest`. False, and nothing taken, where there is none. */
bool tlv_next(struct slice *rest, struct tlv *ret);
/* The same, of this tag only. */
bool tlv_take(struct slice *rest, enum tlv_tag tag, struct tlv *ret);

/* Two INTEGER contents by value, or near it: -1, 0, 1; sign bytes that say nothing do not count. A total order. */
int tlv_integer_cmp(struct slice a, struct slice b);

#endif
