/*
 * letter: one message for one recipient, as segel-split was given it, and the answer to it. Plain data.
 *
 * The texts are what the MTA said, checked to be words that can be said again in SMTP: no control character, no blank in an
 * address outside quotes. The bytes are the message's own, dots taken off, every line with CRLF.
 */
#ifndef SPLIT_LETTER_H
#define SPLIT_LETTER_H

#include "smime/buf.h"

/* What XFORWARD tells of where the message came from; the names are the protocol's. */
enum forward { FORWARD_NAME, FORWARD_ADDR, FORWARD_PORT, FORWARD_PROTO, FORWARD_HELO, FORWARD_IDENT, FORWARD_SOURCE, N_FORWARDS };

extern const char *const forward_names[N_FORWARDS];

struct letter {
	char *sender;               /* without angle brackets; "" = the null sender */
	char *sender_parameters;    /* of MAIL without SIZE, a blank between */
	char *recipient;
	char *recipient_parameters; /* of RCPT */
	char *forward[N_FORWARDS];  /* as written (xtext); NULL = not told */
	struct buf bytes;
};

/* Empties it for the next one; what XFORWARD told goes too: it is told anew for each. */
void letter_done(struct letter *letter);
/* The MTA's queue id, or "-" where it told none. */
const char *letter_id(const struct letter *letter);

/* Lines of an SMTP reply, each with its code and CRLF. */
struct reply {
	struct buf lines;
};

enum { REPLY_BYTES = 32 * 1024 };

void reply_done(struct reply *reply);
/* Replaces what is there by one line; `status` is the enhanced code (RFC 3463), and what cannot stand in a reply becomes '?'. */
void reply_set(struct reply *reply, int code, const char *status, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* 0 where there is none. */
int reply_code(const struct reply *reply);

static inline __attribute__((unused)) void auto_letter_done(struct letter *letter) { letter_done(letter); }
#define AUTO_LETTER __attribute__((cleanup(auto_letter_done)))
static inline __attribute__((unused)) void auto_reply_done(struct reply *reply) { reply_done(reply); }
#define AUTO_REPLY __attribute__((cleanup(auto_reply_done)))

#endif
