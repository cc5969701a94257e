/*
 * intake: the receiving side of segel-split's SMTP (RFC 5321), as a machine without sockets or clocks: bytes in, replies
 * and letters out. The peer is the MTA of this machine, and is trusted with nothing but that.
 *
 * One recipient a transaction: a second RCPT gets 452, and the MTA gives it a transaction of its own. Offered: 8BITMIME,
 * SMTPUTF8, SIZE, DSN, XFORWARD. Not PIPELINING: whatever comes behind a command before it was answered ends the
 * connection, and behind a message too, which then is not taken: it may be somebody else's words. LMTP (RFC 2033), the only
 * thing that Postfix speaks on a UNIX socket, is the same but for its greeting.
 *
 * A message ends with CRLF.CRLF and with nothing else. A bare CR or LF, a NUL, a line of more than 998 bytes, a message that is too
 * large: read to its end and refused for good (it will not be better the next time). Of a line that begins with a dot
 * that one is taken off.
 *
 * Does not check: addresses beyond their characters, who may send to whom, the message (transform.h).
 */
#ifndef SPLIT_INTAKE_H
#define SPLIT_INTAKE_H

#include "milter/split/letter.h"

enum intake_state {
	INTAKE_OVER,   /* send what is in intake_out(), then close */
	INTAKE_READS,  /* wants more bytes */
	INTAKE_LETTER, /* holds a whole message: intake_answer() says what became of it */
};

enum { INTAKE_COMMAND_BYTES = 4096, INTAKE_LINE_BYTES = 998, INTAKE_BAD_COMMANDS = 20 };

struct intake;

/* `host` greets, and is copied. */
struct intake *intake_new(const char *host, size_t message_bytes) MUST_USE;
void intake_free(struct intake *intake);
AUTO_DEFINE(struct intake, intake_free);

/* Takes all of the bytes, unless it is over or holds a letter: then the rest is no business of ours. */
enum intake_state intake_take(struct intake *intake, struct slice bytes);
/* Replies to be sent; the caller empties it (len = 0). */
struct buf *intake_out(struct intake *intake);
/* With INTAKE_LETTER; borrowed until intake_answer(). */
const struct letter *intake_letter(const struct intake *intake);
/* The letter's fate; it is gone afterwards. */
enum intake_state intake_answer(struct intake *intake, const struct reply *reply);
/* 421, and over. */
void intake_close(struct intake *intake, const char *status, const char *why);
/* Between MAIL and the end of its message: such a one should not be cut off by an orderly end. */
bool intake_busy(const struct intake *intake);

#endif
