/* crlf: a message file as the MTA would pass it. */
#ifndef CTL_CRLF_H
#define CTL_CRLF_H

#include "smime/buf.h"
#include "smime/err.h"

/* Bare LF becomes CRLF, everything else stays. "-" is standard input. `ret` must be initialised; a message that does not fit is ERR_CONFIG. */
int ctl_read_message(const char *file, struct buf *ret, struct err *err) MUST_USE;

/*
 * As it was received: the same where the first line ends in a bare LF, because a program on this machine wrote it.
 * Where it ends in CRLF nothing is changed: a bare LF that a sender put there is a fact about the message.
 */
int ctl_read_received(const char *file, struct buf *ret, struct err *err) MUST_USE;

#endif
