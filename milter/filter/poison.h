/*
 * poison: which messages made a process die. Before a message is parsed its hash is put into a slot of a file that is
 * mapped, and taken out when its thread is done with it: a process that dies leaves it there, whatever it died of.
 *
 * Whoever starts next finds them. Where a signal of the thread's own fault ended the process (SEGV, BUS, ILL,
 * FPE, ABRT, or the processor's limit), a handler has marked the slot of that thread: that message is poison at once.
 * All others that were in hand (kill -9, the kernel out of memory, a watchdog's ABRT) are only suspected, and poison when
 * it happens with them again: most were bystanders. A suspicion ends when the message has been judged without harm.
 * After an orderly end (poison_close) nothing is suspected.
 *
 * The handler does its work and lets the signal end the process as it would have done: status and core stay.
 * For a message that uses up its thread's stack each thread is lent a stack for signals while it holds a slot.
 * Where all slots are taken, a message is judged without one.
 *
 * The hash leaves out Received fields and the like, which differ from try to try. The list (DIR/poison) is text, one line
 * each: hash, time, times, "poison" or "suspected", words; an administrator may remove or add a line, which counts with
 * the next message. What is left of a process is counted once, whatever happens while it is counted. The slots
 * (DIR/poison.slots) outlive a process, not the machine.
 *
 * One process a folder, one folder a process. Thread-safe.
 */
#ifndef FILTER_POISON_H
#define FILTER_POISON_H

#include <time.h>

#include "smime/buf.h"
#include "smime/err.h"

struct poison;

/*
 * Reads what the last process left, and installs the handler. Before the threads start. ERR_TEMP: another process
 * has the folder, no space; ERR_CONFIG: folder or list cannot be read or written.
 */
int poison_open(const char *dir, time_t now, struct poison **ret, struct err *err) MUST_USE;
void poison_close(struct poison *poison); /* nothing may be in hand */
AUTO_DEFINE(struct poison, poison_close);

void poison_hash(struct slice message, unsigned char ret[32]);

/* True: it is poison; do not parse it. Otherwise its slot is taken by this thread until poison_leave(). */
bool poison_enter(struct poison *poison, const unsigned char hash[32]);
void poison_leave(struct poison *poison, const unsigned char hash[32]);

#endif
