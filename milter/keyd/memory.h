/*
 * memory: keys stay in memory. Called once, before keys are loaded and before threads.
 * What cannot be done is an error whose text says what it means; the caller decides to go on.
 */
#ifndef KEYD_MEMORY_H
#define KEYD_MEMORY_H

#include "smime/err.h"

/*
 * OpenSSL's own heap for private numbers: locked, not in core files, with guard pages.
 * ERR_CONFIG: it is there, but not locked. ERR_TEMP: there is none.
 */
int memory_secure_heap(struct err *err) MUST_USE;

/* No page of ours goes to swap, those of later threads included. */
int memory_lock(struct err *err) MUST_USE;

#endif
