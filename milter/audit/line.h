/*
 * line: one audit record as text, written and read. The form is described in audit.h.
 * Pure; knows nothing of files or of the record before.
 */
#ifndef MILTER_AUDIT_LINE_H
#define MILTER_AUDIT_LINE_H

#include <time.h>

#include "milter/audit/audit.h"
#include "smime/buf.h"

enum {
	AUDIT_LINE_BYTES = 32 * 1024, /* one record, line end included */
	AUDIT_LINE_PAIRS = 32,        /* keys in one record, prev and hash not counted */
	AUDIT_TIME_BYTES = 25,        /* 2026-01-31T12:00:00.000Z and NUL */
};

/* The record behind a torn tail: torn=BYTES torn-sha256=HEX. */
#define AUDIT_RESUME_EVENT "resume"

/* What a line is, before anybody asks whether it belongs where it stands. */
enum line_shape {
	LINE_UNKNOWN,
	LINE_TORN,    /* no " prev=HEX hash=HEX" at its end: part of a record */
	LINE_CHANGED, /* complete, but the hash does not hold, or what it covers is no record */
	LINE_WHOLE,   /* a record whose own hash holds */
};

struct audit_line {
	enum line_shape shape;
	uint64_t seq;
	char time[AUDIT_TIME_BYTES];
	char event[64];
	size_t n_pairs;
	struct audit_pair pairs[AUDIT_LINE_PAIRS]; /* into text */
	unsigned char prev[AUDIT_HASH_BYTES];
	unsigned char hash[AUDIT_HASH_BYTES];      /* as the line states it */
	char text[AUDIT_LINE_BYTES];               /* behind the pairs */
};

/* "key=value" pairs, each after a blank. ERR_BUG: a name that is no token, or too many. */
int audit_line_render_pairs(const struct audit_pair *pairs, size_t n_pairs, struct buf *ret, struct err *err) MUST_USE;

/* Appends the whole line with its line end to `ret`; `hash` is the previous one in, this one out. */
void audit_line_render(uint64_t seq, const struct timespec *now, const char *event, struct slice pairs,
    unsigned char hash[AUDIT_HASH_BYTES], struct buf *ret);

/* [a-z0-9-], 1 to 63 bytes; event and file names, keys. */
bool audit_line_is_token(const char *text);

/* `line` without its line end. What could be read is filled in whatever the shape. */
void audit_line_parse(struct slice line, struct audit_line *ret);

/* The time of a record, in seconds; -1 where it is none. */
time_t audit_line_time(const struct audit_line *line);

/* 64 hex digits for the hash of any bytes. */
void audit_line_hex(const unsigned char hash[AUDIT_HASH_BYTES], char ret[2 * AUDIT_HASH_BYTES + 1]);

#endif
