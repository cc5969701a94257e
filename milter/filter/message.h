/*
 * message: everything that lives from MAIL to the end of one message, and the one function that
 * ends it. The bytes are spooled in memory; only while a large encrypted one is opened, they lie in a file (parked.h).
 */
#ifndef FILTER_MESSAGE_H
#define FILTER_MESSAGE_H

#include <time.h>

#include "milter/filter/parked.h"
#include "milter/filter/snapshot.h"
#include "milter/recipients.h"
#include "policy/input.h"

/* As the client named it, and the parameters of its RCPT with a blank between. */
struct message_recipient {
	char *address;    /* without angle brackets */
	char *resolved;   /* what the MTA makes of it ({rcpt_addr}); NULL = it does not say */
	char *parameters;
};

struct message {
	const struct snapshot *snapshot; /* referenced; given back by message_free */
	struct snapshot_box *box;
	char id[24];                     /* our own name for it, in every line about it */
	struct timespec began;           /* CLOCK_MONOTONIC */
	struct transport_facts transport;
	struct envelope_facts envelope;
	char *sender_parameters;         /* of MAIL; NULL = none */
	bool sender_cut;                 /* envelope.sender is not the whole of it */
	struct message_recipient *recipients; /* owned; the first LIMIT_RECIPIENTS of envelope.n_recipients */
	size_t n_recipients;
	struct recipients joined;        /* judged one by one at RCPT, where the client is one of encrypt.peers; else empty */
	char mta[256];                   /* its own name ({j}); "" = not told */
	struct buf bytes;                /* header block, empty line, body; capped by config_largest(). Lent away: without the body */
	struct parked *parked;           /* all of it, while its memory is lent away; NULL = it is not */
	bool may_open;                   /* the MTA takes what decrypting changes */
	bool in_body;                    /* the empty line is written */
	size_t seen;                     /* bytes offered, also those beyond the cap */
};

/* `handed_in`: by its author, so that it has not grown yet (config_largest()). */
struct message *message_new(struct snapshot_box *box, uint64_t session, unsigned number, bool handed_in);
void message_free(struct message *message);
AUTO_DEFINE(struct message, message_free);

/* MAIL's argument, with or without angle brackets. */
void message_set_sender(struct message *message, const char *path);
/* MAIL's and RCPT's arguments behind the path, ended by NULL; NULL = none. */
void message_set_parameters(struct message *message, char *const *parameters);
void message_add_recipient(struct message *message, const char *path, const char *resolved, char *const *parameters);
/* What the MTA makes of it ({mail_addr}); NULL = it does not say. */
void message_set_resolved(struct message *message, const char *address);
/* One field as the MTA passes it: folds are LF; the value's leading blank is kept when `exact`. */
void message_add_field(struct message *message, const char *name, const char *value, bool exact);
void message_add_body(struct message *message, const void *bytes, size_t len);
/* Since that moment of CLOCK_MONOTONIC. */
long milliseconds_since(const struct timespec *began);
/* No more fields: writes the empty line if nothing has. */
void message_end_header(struct message *message);

/*
 * Lends its memory away: `ret` gets the buffer, the bytes as they came lie in a file in `dir`, and `bytes` is a copy of header block and
 * empty line. -1: there is no such file, and nothing has changed.
 */
int message_lend(struct message *message, const char *dir, struct buf *ret, struct err *err) MUST_USE;
/* What was lent has not been used: it is as it was. */
void message_give_back(struct message *message, struct buf *lent);
/* Where its memory was lent away, and is used up: all of it into memory again. */
int message_restore(struct message *message, struct err *err) MUST_USE;

#endif
