/*
 * protocol: what Postfix says over a socketmap, and hears (socketmap_table(5)).
 *
 *     LENGTH ":" MAP " " KEY ","        one request, a netstring
 *     LENGTH ":" WORD " " TEXT ","      its answer
 *
 * Read strictly: whoever does not keep to it is no Postfix, and what came after could not be told apart.
 * Knows nothing of what the key means (answer.h). Pure.
 */
#ifndef TLSPOL_PROTOCOL_H
#define TLSPOL_PROTOCOL_H

#include "smime/buf.h"

enum {
	REQUEST_BYTES = 1000, /* of MAP, blank and KEY; a next hop has at most 320 */
	NETSTRING_BYTES = REQUEST_BYTES + 6, /* with "1000:" and "," */
	REPLY_BYTES = 4096,
};

enum netstring_state {
	NETSTRING_BAD,  /* no netstring, or too long */
	NETSTRING_PART, /* so far it could become one */
	NETSTRING_WHOLE,
};

struct netstring {
	struct slice payload; /* borrowed from the bytes read */
	size_t used;          /* bytes that it took */
	const char *why;      /* with NETSTRING_BAD */
};

/* The first netstring in `bytes`, of at most `most` bytes; sets all of `ret` but with NETSTRING_PART. */
enum netstring_state netstring_parse(struct slice bytes, size_t most, struct netstring *ret);

enum request_state {
	REQUEST_BAD, /* `why` says what it is */
	REQUEST_FOR_OTHER_MAP,
	REQUEST_GOOD,
};

struct request {
	char key[REQUEST_BYTES + 1];
	const char *why;
};

/* The payload of a frame; only REQUEST_GOOD sets a key, which is no longer than the payload, and without controls. */
enum request_state request_parse(struct slice payload, const char *map, struct request *ret);

/* One answer; the text's controls become '?'. */
void reply_render(const char *word, const char *text, struct buf *ret);

#endif
