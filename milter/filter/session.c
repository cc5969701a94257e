#include "milter/filter/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "milter/filter/pipeline.h"
#include "milter/log.h"

enum state {
	ST_IDLE,     /* no message in hand */
	ST_ENVELOPE, /* after MAIL */
	ST_HEADER,   /* after the first field */
	ST_BODY,     /* after the first piece of body */
	ST_ANSWERED, /* accepted; its edits are being carried out */
};

struct session {
	struct filter *filter;
	uint64_t id;
	char client[128];
	bool exact;
	bool asks_rcpt;
	bool opens;
	enum state state;
	unsigned n_messages;
	struct message *message; /* NULL in ST_IDLE */
};

struct session *
session_new(struct filter *filter, uint64_t id, const char *client, bool exact)
{
	struct session *session = xcalloc(1, sizeof(*session));

	session->filter = filter;
	session->id = id;
	session->exact = exact;
	session_set_client(session, client ? client : "unknown");
	atomic_fetch_add(&filter->sessions, 1);
	return session;
}

void
session_set_client(struct session *session, const char *client)
{
	snprintf(session->client, sizeof(session->client), "%s", client);
}

void
session_set_asks_rcpt(struct session *session, bool asks)
{
	session->asks_rcpt = asks;
}

void
session_set_opens(struct session *session, bool opens)
{
	session->opens = opens;
}

bool
session_asks_rcpt(const struct session *session)
{
	return session->asks_rcpt;
}

/* The one place where a message ends, whatever ended it. */
static void
end_message(struct session *session)
{
	if (!session->message)
		return;
	message_free(TAKE(session->message));
	session->state = ST_IDLE;
	atomic_fetch_sub(&session->filter->messages, 1);
}

void
session_free(struct session *session)
{
	if (!session)
		return;
	end_message(session);
	atomic_fetch_sub(&session->filter->sessions, 1);
	free(session);
}

static void
defer(struct answer *ret)
{
	ret->kind = ANSWER_DEFER;
	ret->reason = REASON_INTERNAL;
}

static void
on_mail(struct session *session, const struct event *event, struct answer *ret)
{
	struct message *message;

	if (atomic_load(&session->filter->draining)) {
		defer(ret);
		return;
	}
	message = message_new(session->filter->box, session->id, ++session->n_messages, session->filter->role->seals);
	message->transport = *event->transport;
	snprintf(message->transport.client, sizeof(message->transport.client), "%s", session->client);
	message_set_sender(message, event->text);
	message_set_resolved(message, event->resolved);
	message_set_parameters(message, event->parameters);
	snprintf(message->mta, sizeof(message->mta), "%s", event->mta ? event->mta : "");
	message->may_open = session->opens;
	session->message = message;
	atomic_fetch_add(&session->filter->messages, 1);
	pipeline_mail(session->filter, message, event->now, ret);
}

static void
on_rcpt(struct session *session, const struct event *event, struct answer *ret)
{
	ret->kind = ANSWER_CONTINUE;
	if (session->asks_rcpt)
		pipeline_rcpt(session->message, event->text, event->resolved, event->now, ret);
	if (ret->kind == ANSWER_CONTINUE)
		message_add_recipient(session->message, event->text, event->resolved, event->parameters);
}

static void
on_header(struct session *session, const struct event *event, struct answer *ret)
{
	message_add_field(session->message, event->text, event->value, session->exact);
	ret->kind = ANSWER_CONTINUE;
}

static void
on_body(struct session *session, const struct event *event, struct answer *ret)
{
	message_add_body(session->message, event->bytes, event->len);
	ret->kind = ANSWER_CONTINUE;
}

static void
on_eom(struct session *session, const struct event *event, struct answer *ret)
{
	message_end_header(session->message);
	pipeline_message(session->filter, session->message, event->queue_id, event->now, ret);
}

static void
on_abort(struct session *session, const struct event *event, struct answer *ret)
{
	(void)session;
	(void)event;
	ret->kind = ANSWER_CONTINUE;
}

struct step {
	enum state from;
	enum event_kind event;
	void (*run)(struct session *session, const struct event *event, struct answer *ret);
	enum state to; /* where ANSWER_CONTINUE leads; ST_IDLE ends the message */
};

static const struct step steps[] = {
	/* from         event       run         to */
	{ ST_IDLE,      EV_MAIL,    on_mail,    ST_ENVELOPE },
	{ ST_IDLE,      EV_ABORT,   on_abort,   ST_IDLE },
	{ ST_ENVELOPE,  EV_RCPT,    on_rcpt,    ST_ENVELOPE },
	{ ST_ENVELOPE,  EV_HEADER,  on_header,  ST_HEADER },
	{ ST_ENVELOPE,  EV_BODY,    on_body,    ST_BODY },
	{ ST_ENVELOPE,  EV_EOM,     on_eom,     ST_IDLE },
	{ ST_ENVELOPE,  EV_ABORT,   on_abort,   ST_IDLE },
	{ ST_HEADER,    EV_HEADER,  on_header,  ST_HEADER },
	{ ST_HEADER,    EV_BODY,    on_body,    ST_BODY },
	{ ST_HEADER,    EV_EOM,     on_eom,     ST_IDLE },
	{ ST_HEADER,    EV_ABORT,   on_abort,   ST_IDLE },
	{ ST_BODY,      EV_BODY,    on_body,    ST_BODY },
	{ ST_BODY,      EV_EOM,     on_eom,     ST_IDLE },
	{ ST_BODY,      EV_ABORT,   on_abort,   ST_IDLE },
};

static const struct step *
find_step(enum state from, enum event_kind event)
{
	for (size_t i = 0; i < N_ELEMENTS(steps); i++)
		if (steps[i].from == from && steps[i].event == event)
			return &steps[i];
	return NULL;
}

static const char *const event_names[N_EVENTS] = {
	[EV_MAIL] = "MAIL", [EV_RCPT] = "RCPT", [EV_HEADER] = "header",
	[EV_BODY] = "body", [EV_EOM] = "end of message", [EV_ABORT] = "abort",
};

void
session_step(struct session *session, const struct event *event, struct answer *ret)
{
	const struct step *step = find_step(session->state, event->kind);

	*ret = (struct answer){ .kind = ANSWER_DEFER };
	if (!step) {
		log_line(LOG_LEVEL_WARNING, "%012llx: the MTA sent '%s' out of turn (state %d); the message is deferred",
		    (unsigned long long)session->id, event_names[event->kind], (int)session->state);
		defer(ret);
		end_message(session);
		return;
	}
	step->run(session, event, ret);
	/* libmilter tells nobody about the end of a message that we refused. */
	if ((ret->kind == ANSWER_CONTINUE || ret->kind == ANSWER_APART) && step->to != ST_IDLE)
		session->state = step->to;
	else if (ret->kind == ANSWER_ACCEPT)
		session->state = ST_ANSWERED; /* the plan borrows the message's bytes */
	else
		end_message(session);
}

void
session_applied(struct session *session, struct answer *answer)
{
	edit_plan_free(TAKE(answer->plan));
	if (session->state == ST_ANSWERED)
		end_message(session);
}
