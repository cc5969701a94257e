/*
 * digest: the daily mail that says what waits in the quarantine, and why. Pure: rows of segel-reviewd's list in, a
 * letter out. It is ASCII throughout; what came from outside is escaped and cut, and no Subject is in it, because it lies in
 * mailboxes afterwards. Times are UTC.
 */
#ifndef CTL_DIGEST_H
#define CTL_DIGEST_H

#include <jansson.h>
#include <time.h>

#include "policy/config.h"
#include "policy/reason.h"

enum { DIGEST_LINES = 200, DIGEST_SOON = 3 * 24 * 60 * 60 };

struct digest {
	enum language language;
	const char *from;
	const struct text_list *to;
	const char *id;      /* random: of the Message-ID */
	const json_t *rows;  /* what waits, in any order */
	int64_t total;       /* may be more than there are rows */
	time_t now;
};

/* The message as the sendmail command takes it: lines end with LF. */
void digest_write(const struct digest *digest, struct buf *ret);

#endif
