/*
 * session: one connection of the MTA, and the steps its messages go through.
 * libmilter's callbacks become events; a table of (state, event) says what runs. A pair without
 * a row defers and warns. Nothing here knows libmilter, so tests drive it directly.
 *
 * A session is used by one thread at a time (not always the same one).
 */
#ifndef FILTER_SESSION_H
#define FILTER_SESSION_H

#include <time.h>

#include "milter/filter/edit.h"
#include "milter/filter/filter.h"
#include "milter/filter/message.h"
#include "policy/decide.h"

enum event_kind { EV_MAIL, EV_RCPT, EV_HEADER, EV_BODY, EV_EOM, EV_ABORT, N_EVENTS };

struct event {
	enum event_kind kind;
	const char *text;   /* MAIL and RCPT argument, field name */
	const char *value;  /* field value */
	const void *bytes;  /* body chunk */
	size_t len;
	const struct transport_facts *transport; /* MAIL */
	char *const *parameters;                 /* MAIL, RCPT: what stands behind the path, ended by NULL */
	const char *mta;                         /* MAIL: the MTA's own name; NULL = not told */
	const char *resolved;                    /* MAIL, RCPT: the address as the MTA resolved it; NULL = not told */
	const char *queue_id;                    /* EOM */
	time_t now;                              /* MAIL, RCPT, EOM */
};

enum answer_kind {
	ANSWER_DEFER,
	ANSWER_CONTINUE,
	ANSWER_ACCEPT, /* end of message: carry out the plan, then accept */
	ANSWER_REJECT,
	ANSWER_APART,   /* at RCPT: not in this transaction, which goes on without it */
	ANSWER_DISCARD, /* it is held: the client is told that all is well, and the MTA drops it */
};

struct answer {
	enum answer_kind kind;
	enum reason reason;      /* of a refusal: which reply */
	bool at_mail;            /* of a refusal: to MAIL, not to the end of the message */
	char text[480];          /* of a refusal: ASCII, without CR, LF */
	struct edit_plan *plan;  /* with ANSWER_ACCEPT, NULL = nothing to change; give back by session_applied */
	char id[24];             /* the message's, for what is said after it has ended */
	char queue_id[64];
};

struct session;

/* `exact`: the MTA passes field values with their leading blank (SMFIP_HDR_LEADSPC). */
struct session *session_new(struct filter *filter, uint64_t id, const char *client, bool exact);
/* Told later than session_new, where the session begins before the client is known. */
void session_set_client(struct session *session, const char *client);
/* Does the MTA wait for an answer to RCPT in this session? By default it does not, and every recipient is taken. */
void session_set_asks_rcpt(struct session *session, bool asks);
bool session_asks_rcpt(const struct session *session);
/* May a plan change the envelope's parameters in this session? By default not: then nothing is opened. */
void session_set_opens(struct session *session, bool opens);
void session_free(struct session *session); /* also ends a message in hand */
AUTO_DEFINE(struct session, session_free);

/* Always gives an answer. `ret->plan` is NULL unless the kind is ANSWER_ACCEPT. */
void session_step(struct session *session, const struct event *event, struct answer *ret);

/* After EV_EOM, once the plan is carried out or has failed: ends the message and frees the plan, which borrows from it. */
void session_applied(struct session *session, struct answer *answer);

#endif
