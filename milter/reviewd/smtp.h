/*
 * smtp: one message to a mail server of this machine, in one transaction with all recipients (RFC 5321). In clear, on
 * the loopback interface or a UNIX socket. Our own and not libcurl's, which cannot pass the parameters of MAIL and RCPT on
 * (BODY, SMTPUTF8, and what a sender asked for of reports: RET, ENVID, NOTIFY, ORCPT).
 *
 * What the server does not offer is left out; but SMTPUTF8, without which the addresses mean nothing, is a refusal. Bytes go out
 * as they are, dots doubled. A line feed without its carriage return is refused: a server might see the message's end in it.
 */
#ifndef REVIEWD_SMTP_H
#define REVIEWD_SMTP_H

#include "smime/buf.h"
#include "smime/err.h"

struct smtp_recipient {
	const char *address;
	const char *parameters; /* with a blank between */
};

struct smtp_letter {
	const char *sender; /* without angle brackets; "" = null sender */
	const char *parameters;
	const struct smtp_recipient *recipients;
	size_t n_recipients;
	const struct slice *pieces; /* the message, one behind the other */
	size_t n_pieces;
};

enum smtp_outcome {
	SMTP_UNKNOWN, /* sent, and no answer: it may have it */
	SMTP_AWAY,    /* no mail server, or none that can be understood, before any of it was sent: nobody has it */
	SMTP_LATER,   /* 4xx to the message or one of its recipients: nobody has it */
	SMTP_REFUSED, /* 5xx, or it cannot be sent at all: nobody has it */
	SMTP_TAKEN,   /* 250 to the whole of it */
};

/* `server`: struct endpoint's text. The time is for all of it. `err` says why it was not taken. */
enum smtp_outcome smtp_send(const char *server, const struct smtp_letter *letter, int timeout_ms, struct err *err);

#endif
