/*
 * hold: the hold socket (milter/quarantine/deposit.h): a filter gives a message. Order: is there room; the box under a temporary
 * name, of a key that is there; is the same message held already; the audit record; the box in its place; the row; "ok". A
 * filter that is told nothing, or a failure, defers the message, and its next arrival finds the first item.
 */
#ifndef REVIEWD_HOLD_H
#define REVIEWD_HOLD_H

#include "milter/reviewd/desk.h"

/* Serves one connection until it ends. */
void hold_serve(struct desk *desk, int fd, uid_t peer);

#endif
