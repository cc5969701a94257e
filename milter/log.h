/*
 * log: one line per event to syslog (facility mail) or standard error. Only milter/ logs.
 * Set up once before threads start; log_line is thread-safe. Bytes from outside go through
 * log_escape (everything but printable ASCII as %XX, cut at LIMIT_TOKEN_BYTES).
 */
#ifndef MILTER_LOG_H
#define MILTER_LOG_H

#include "smime/base.h"
#include "smime/buf.h"

enum log_level {
	LOG_LEVEL_PANIC,   /* a bug of ours */
	LOG_LEVEL_FATAL,   /* the daemon stops */
	LOG_LEVEL_ERROR,   /* this message is deferred */
	LOG_LEVEL_WARNING, /* we go on; the text says how */
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

enum log_target { LOG_TO_STDERR, LOG_TO_SYSLOG };

void log_open(const char *program, enum log_target target, enum log_level most);
void log_level_set(enum log_level most); /* at any time */
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
/*
 * The line about one message: its queue id comes first, so that no word of severity stands before
 * it. `line` was built with log_escape.
 */
void log_message(enum log_level level, const struct buf *line);
/* Appends the escaped, bounded text; quotes it when it is empty or holds a blank. */
void log_escape(struct buf *line, const char *text);

#endif
