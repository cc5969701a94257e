/*
 * mta: the side of the filter that speaks with libmilter. Callbacks only carry: they find the
 * session, build an event, hand it on and map the answer. Only callbacks.c apply.c reply.c
 * macros.c service.c include libmilter, and only apply.c changes mail.
 */
#ifndef FILTER_MTA_H
#define FILTER_MTA_H

#include <libmilter/mfapi.h>

#include "milter/filter/session.h"

/*
 * Registers the callbacks. libmilter hands its callbacks no pointer of ours when a connection
 * begins, so the filter is handed over once here, before smfi_main, and only read afterwards.
 */
int mta_register(struct filter *filter, struct err *err) MUST_USE;

/* What we ask the MTA for at every stage, over the administrator's lists. */
void macros_request(SMFICTX *ctx);
/* Facts about the connection and the login, from macros of MAIL; absent means absent. */
void macros_transport(SMFICTX *ctx, struct transport_facts *ret);
/* The envelope sender as the MTA resolved it; NULL where it does not say. Borrowed until the callback returns. */
const char *macros_sender(SMFICTX *ctx);
/* The same of RCPT's recipient. */
const char *macros_recipient(SMFICTX *ctx);
/* The MTA's own name; "" where it gives none. Borrowed until the callback returns. */
const char *macros_mta(SMFICTX *ctx);
/* "" where the MTA gives none. Borrowed until the callback returns. */
const char *macros_queue_id(SMFICTX *ctx);

/* Sets the reply of a refusal, at RCPT of one recipient's; returns SMFIS_REJECT or SMFIS_TEMPFAIL. */
sfsistat reply_refuse(SMFICTX *ctx, const struct answer *answer);

/* 0, or -1 with `why` set: the MTA may have part of the edits and must be told to try again. */
int apply_edits(SMFICTX *ctx, const struct edit_plan *plan, const char **why) MUST_USE;

#endif
