/*
 * poison: which messages made a process die. Before a message is parsed its hash is put into a slot of a file that is
 * mapped, and taken out when its thread is done with it: a process that dies leaves it there, whatever it died of.
 *
 * Whoever starts next finds them. Where a signal of the thread's own fault ended the process (SEGV, BUS, ILL,
 * FPE, ABRT, or the processor's limit), a handler has marked the slot of that thread: that message is poison at once.
 * All others that were in hand (kill -9, no memory left) are only suspected, and poison when it happens with them again: most
 * were bystanders. A suspicion ends when the message has been judged without harm.
 *
 * The hash leaves out Received fields and the like, which differ from try to try. The list (DIR/poison) is text, one line
 * each: hash, time, times, words; an administrator may remove a line.
 *
 * One process a folder. Thread-safe.
 */
#ifndef FILTER_POISON_H
#define FILTER_POISON_H

#include <time.h>

#include "smime/buf.h"
#include "smime/err.h"

struct poison;

/* Reads what the last process left, and installs the handler. Before the threads start. */
int poison_open(const char *dir, time_t now, struct poison **ret, struct err *err) MUST_USE;
void poison_close(struct poison *poison); /* nothing may be in hand */
AUTO_DEFINE(struct poison, poison_close);

void poison_hash(struct slice message, unsigned char ret[32]);

/* True: it is poison; do not parse it. Otherwise its slot is taken by this thread until poison_leave(). */
bool poison_enter(struct poison *poison, const unsigned char hash[32]);
void poison_leave(struct poison *poison, const unsigned char hash[32]);

#endif
