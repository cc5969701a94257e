/* crlf: a message file as the MTA would pass it: bare LF becomes CRLF, everything else stays. */
#ifndef CTL_CRLF_H
#define CTL_CRLF_H

#include "smime/buf.h"
#include "smime/err.h"

/* "-" is standard input. `ret` must be initialised; a message that does not fit is ERR_CONFIG. */
int ctl_read_message(const char *file, struct buf *ret, struct err *err) MUST_USE;

#endif
