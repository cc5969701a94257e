/*
 * gate_walk: what the gate knows while it walks one object. Only smime/gate.c (SignedData, SignerInfo) and
 * smime/gate_attributes.c (the signed attributes) include this.
 *
 * Whoever finds a rule broken calls gate_refuse() and hands its false up; the first reason stands, because the
 * walk ends with it. What is only not handled is noted, and the walk goes on: it may still be malformed.
 */
#ifndef SMIME_GATE_WALK_H
#define SMIME_GATE_WALK_H

#include "smime/ber.h"
#include "smime/gate.h"

enum { GATE_MAX_DIGESTS = 8, GATE_MAX_ATTRIBUTES = 32 };

#define GATE_OID(text) { (const unsigned char *)(text), sizeof(text) - 1 }
#define GATE_ID_DATA "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"

struct gate_walk {
	struct gate_facts *facts;
	bool detached;
	enum gate_digest listed[GATE_MAX_DIGESTS]; /* digestAlgorithms */
	size_t n_listed;
	struct slice types[GATE_MAX_ATTRIBUTES];   /* of the signed attributes so far */
	bool has_content_type;
	bool unsupported;                          /* `why` says what; something malformed still outranks it */
};

/* The object is malformed, and why. Always false. */
bool gate_refuse(struct gate_walk *walk, const char *fmt, ...) PRINTF_LIKE(2, 3);
void gate_note_unsupported(struct gate_walk *walk, const char *why);

/*
 * The signed attributes at `in`, which must be there: DER, each type once, contentType id-data and messageDigest
 * among them with one value each. What they say goes into the facts. The digest's length is for the caller to
 * check, who knows the algorithm.
 */
bool gate_take_attributes(struct gate_walk *walk, struct ber *in);

#endif
