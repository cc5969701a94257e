/*
 * audit: an append-only, hash-chained file of records; one file per writing process.
 *
 * A record is one line:  SEQ TIME EVENT key=value ... prev=HEX hash=HEX
 * hash is SHA-256 over the line up to and without " hash="; prev is the hash of the record
 * before (64 zeros in the first). Values are escaped (every byte outside printable ASCII, and
 * blank, '"', '=' and '%', as %XX), so a line never holds a stray separator.
 *
 * audit_append returns when the record is on disk: records of several threads share one
 * fdatasync. A failed write or sync is never retried: from then on every append fails, and its
 * caller defers. After a crash the torn tail (never acknowledged to anyone) is closed off by a
 * "resume" record that names its length and hash. A second writer is refused (flock).
 *
 * While the clock stands more than AUDIT_CLOCK_SECONDS before the last record, nothing is recorded:
 * whoever decides by such a clock decides wrongly. That ends when the clock is right again.
 *
 * A thread of its own logs checkpoints (checkpoint.h), so that a tail cut off later shows.
 */
#ifndef MILTER_AUDIT_H
#define MILTER_AUDIT_H

#include "smime/base.h"
#include "smime/err.h"
#include "smime/limits.h"

struct audit;

/* The longest value: an address must be there whole, or the record does not name it. */
enum { AUDIT_VALUE_BYTES = LIMIT_ADDRESS_BYTES };

enum {
	AUDIT_HASH_BYTES = 32,
	AUDIT_CLOCK_SECONDS = 600, /* what a clock may be set back; steps of time servers are smaller */
};

/* One key and its value; the value is escaped on writing and cut at AUDIT_VALUE_BYTES ("..." at its end then). */
struct audit_pair {
	const char *key;
	const char *value;
};

/* `dir` must exist and be writable for us alone or our group; the file is dir/name.audit, 0640. */
int audit_open(const char *dir, const char *name, struct audit **ret, struct err *err) MUST_USE;
/* Thread-safe. `seq` may be NULL. */
int audit_append(struct audit *audit, const char *event, const struct audit_pair *pairs, size_t n_pairs,
    uint64_t *seq, struct err *err) MUST_USE;
/* Logs how far the file is on disk now, unless that was said already. Thread-safe. */
void audit_checkpoint(struct audit *audit);
void audit_close(struct audit *audit);
AUTO_DEFINE(struct audit, audit_close);
/* How often the disk was asked so far: records that share a sync make it less than their number. */
uint64_t audit_n_syncs(struct audit *audit);
/* How many records are on disk. Kept elsewhere, the number shows that a tail was cut off. */
uint64_t audit_n_records(struct audit *audit);

/*
 * Reading, for segelctl audit: calls back per line, in order; stops when the callback returns
 * false. Lines that a good "resume" record accounts for are not called back. The record lives
 * until the callback returns. Only a file that cannot be read is an error.
 */
struct audit_record {
	uint64_t seq;
	const char *time;  /* RFC 3339, UTC, milliseconds */
	const char *event;
	size_t n_pairs;
	const struct audit_pair *pairs; /* unescaped values */
	bool good;         /* hash and prev hold */
	const char *why;   /* what does not, or NULL */
	uint64_t line;     /* number in the file */
	const unsigned char *hash; /* AUDIT_HASH_BYTES, as the record states it; NULL where there is no record */
};
int audit_read(const char *file, bool (*each)(void *ctx, const struct audit_record *record), void *ctx,
    struct err *err) MUST_USE;

#endif
