/* pipeline: the story of a message on one page. Knows no libmilter. */
#ifndef FILTER_PIPELINE_H
#define FILTER_PIPELINE_H

#include "milter/filter/session.h"

/* At MAIL: what the connection and the login alone decide. ANSWER_CONTINUE when nothing stands against it. */
void pipeline_mail(struct filter *filter, struct message *message, time_t now, struct answer *ret);

/* Must the MTA wait for an answer to RCPT, by the settings of this moment? */
bool pipeline_asks_rcpt(const struct filter *filter);
/* At RCPT: ANSWER_APART where a mail server (encrypt.peers) must bring this recipient in a transaction of its own. */
void pipeline_rcpt(struct message *message, const char *argument, const char *resolved, time_t now,
    struct answer *ret);

/* Does this role decrypt now? Then a session needs an MTA that takes what that changes. */
bool pipeline_opens(const struct filter *filter);

/* At the end of the message: facts, findings, verdict, transform, record, answer with its plan. */
void pipeline_message(struct filter *filter, struct message *message, const char *queue_id, time_t now,
    struct answer *ret);

/* The plan could not be carried out: the MTA is told to try again, and the record says so. */
void pipeline_not_applied(struct filter *filter, const struct answer *answer, const char *why);

#endif
