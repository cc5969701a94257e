/*
 * parked: the bytes of a message in a file, while their memory is something else. Large mail is decrypted where it lay (smime/decrypt.h,
 * `spend`); what came is still wanted, byte for byte, where it is held or its original is kept.
 *
 * Of encrypted mail only, which lies so in the MTA's queue too. The file never has a name that outlives this call, is readable by nobody
 * else, and ends with its descriptor, whatever ends the process. It is not made to last: nothing is promised on it.
 */
#ifndef FILTER_PARKED_H
#define FILTER_PARKED_H

#include "smime/buf.h"
#include "smime/err.h"

struct parked;

/* -1: it cannot be written there, and nothing is left of it. */
int parked_new(const char *dir, struct slice bytes, struct parked **ret, struct err *err) MUST_USE;
void parked_free(struct parked *parked);
AUTO_DEFINE(struct parked, parked_free);

/* All of it, into a new buffer. */
int parked_read(const struct parked *parked, struct buf *ret, struct err *err) MUST_USE;
/* All of it, to where `fd` stands, in small steps: it is not in memory for that. */
int parked_copy(const struct parked *parked, int fd, struct err *err) MUST_USE;

#endif
