/*
 * daemon: going to the background without losing start-up errors, and telling the service manager.
 * daemon_detach() forks before any thread, descriptor or database is opened; the parent waits
 * until the child calls daemon_live() or ends, prints nothing itself, and exits 0 or 1 for it.
 * daemon_live() also speaks systemd's notify protocol (sd_notify(3)) where NOTIFY_SOCKET is set.
 */
#ifndef MILTER_DAEMON_H
#define MILTER_DAEMON_H

#include "smime/base.h"
#include "smime/err.h"

/* Returns in the child only. */
int daemon_detach(struct err *err) MUST_USE;
/*
 * HUP, TERM and INT belong to the main thread alone, and it never sits with them blocked: libmilter
 * has a thread of its own in sigwait, for which HUP means "stop", and the kernel gives that thread
 * every signal that the main thread does not want at that moment. So: block before the first thread
 * starts (all inherit it), take in the main thread once they run (daemon_live()).
 */
int daemon_signals_block(struct err *err) MUST_USE;
/* A thread that nobody waits for, with every signal blocked from its first moment. False where none can be had. */
bool daemon_thread(void *(*run)(void *context), void *context) MUST_USE;
/*
 * Serving now: lets the parent go, closes standard input and output (errors stay until then), and returns at TERM or INT. At HUP,
 * `reload`. Meanwhile, as often as the service manager wants a sign of life (WATCHDOG_USEC), asks `healthy`: true feeds its watchdog,
 * false lets it run out, and the manager starts the program anew. Both are called by the main thread.
 */
void daemon_live(bool (*healthy)(void *ctx), void (*reload)(void *ctx), void *ctx);
/* Start-up failed: one line on standard error and in the log; returns the exit status 1. */
int daemon_failed(const char *program, const struct err *err);

#endif
