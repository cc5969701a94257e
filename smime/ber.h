/*
 * ber: reading BER (X.690 8) one element at a time, with a budget for the whole object.
 *
 * Definite and indefinite lengths; tag numbers up to 30, which is all that CMS has. Cuts, copies
 * nothing, and goes into an element only where the caller does. Whoever walks an object shares one
 * budget: elements looked at, so that no nesting makes the work grow faster than the bytes.
 * der.h writes.
 */
#ifndef SMIME_BER_H
#define SMIME_BER_H

#include "smime/buf.h"

enum ber_tag {
	BER_INTEGER = 0x02,
	BER_BITS = 0x03,
	BER_OCTETS = 0x04,
	BER_NULL = 0x05,
	BER_OID = 0x06,
	BER_UTC_TIME = 0x17,
	BER_GENERALIZED_TIME = 0x18,
	BER_OCTETS_IN_PIECES = 0x24,
	BER_SEQUENCE = 0x30,
	BER_SET = 0x31,
	BER_CONTEXT_0_PRIMITIVE = 0x80,
	BER_CONTEXT_0 = 0xa0,
	BER_CONTEXT_1 = 0xa1,
	BER_CONTEXT_2 = 0xa2,
	BER_CONTEXT_3 = 0xa3,
	BER_CONTEXT_4 = 0xa4,
};

struct ber {
	struct slice rest;   /* what has not been read */
	size_t depth;        /* of the elements in it; the outermost is 1 */
	size_t *work;        /* elements that may still be looked at, in the whole object */
};

struct element {
	unsigned tag;         /* the identifier octet */
	struct slice content; /* without the end-of-contents octets */
	struct slice whole;
	bool der;             /* its own length is definite and as short as it can be (X.690 10.1) */
};

/* Elements that an object of so many bytes may cost. */
size_t ber_budget(size_t len);

/* The next element; false where there is none, it is no BER, too deep, or the budget is used up. */
bool ber_next(struct ber *in, struct element *ret);
/* The same, and it must have that tag. Nothing is read where it has not. */
bool ber_take(struct ber *in, unsigned tag, struct element *ret);
/* What is in an element. */
struct ber ber_inside(const struct ber *in, const struct element *element);
bool ber_done(const struct ber *in);
/* The next element's tag; 0 at the end. */
unsigned ber_peek(const struct ber *in);
/* All of it is DER as far as lengths go, and no string is in pieces (X.690 10.1, 10.2). */
bool ber_is_der(struct ber in);

#endif
