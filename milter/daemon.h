/*
 * daemon: going to the background without losing start-up errors.
 * daemon_detach() forks before any thread, descriptor or database is opened; the parent waits
 * until the child calls daemon_ready() or ends, prints nothing itself, and exits 0 or 1 for it.
 */
#ifndef MILTER_DAEMON_H
#define MILTER_DAEMON_H

#include "smime/base.h"
#include "smime/err.h"

/* Returns in the child only. */
int daemon_detach(struct err *err) MUST_USE;
/* Serving now: lets the parent go and closes standard input and output (errors stay until then). */
void daemon_ready(void);
/* Start-up failed: one line on standard error and in the log; returns the exit status 1. */
int daemon_failed(const char *program, const struct err *err);

#endif
