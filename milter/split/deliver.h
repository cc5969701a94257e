/*
 * deliver: hands one copy to the next hop, a listener of this machine's MTA: one connection, one transaction.
 *
 * libcurl connects, greets and says EHLO; what comes behind that goes through its connection as it is, because libcurl's own
 * transaction has no place for the parameters of MAIL and RCPT (what a sender asked for of reports must not get lost: RET=HDRS
 * keeps plaintext out of a bounce). No name is looked up, no proxy used, nothing taken from the environment.
 *
 * What the message needs and the next hop does not offer (8BITMIME, SMTPUTF8, DSN) is DELIVER_LATER: an administrator must
 * act. The next hop's own answer is passed on as it is in `reply`.
 */
#ifndef SPLIT_DELIVER_H
#define SPLIT_DELIVER_H

#include "milter/split/letter.h"
#include "smime/box.h"
#include "smime/pieces.h"

enum deliver_fate {
	DELIVERED_UNSURE, /* the last byte went out, and no answer came: it may have arrived */
	DELIVERED_LATER,  /* the next hop certainly does not have it; 4xx of its or of ours */
	DELIVERED_NEVER,  /* likewise; it answered 5xx to this message */
	DELIVERED,        /* its 250 to the whole of it */
};

struct deliver_settings {
	const char *next_hop;  /* struct endpoint's text */
	const char *host;      /* what we call ourselves */
	int timeout_ms;        /* for all of it */
};

/* Once, before any thread starts. */
int deliver_init(struct err *err) MUST_USE;

/* One line: which libcurl this runs with. */
void deliver_library(struct buf *ret);

/* The message as it goes on: lines with CRLF. */
struct deliver_message {
	const struct pieces *pieces;
	/* What is written as it goes, behind the pieces: ASCII. NULL = nothing. -1: nobody will have the message. */
	int (*rest)(void *ctx, const struct box_sink *sink, struct err *err);
	void *ctx;
	size_t rest_len;
};

/* The envelope is the letter's. `reply` is what to say; err why where it is not the next hop's. */
enum deliver_fate deliver_copy(const struct deliver_settings *settings, const struct letter *letter,
    const struct deliver_message *message, struct reply *reply, struct err *err);

#endif
