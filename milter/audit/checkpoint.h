/*
 * checkpoint: what a writer says elsewhere about its file, so that a tail cut off, or a file
 * written anew from its beginning, shows.
 *
 *     audit-checkpoint chain=HEX file=NAME seq=N hash=HEX
 *
 * The writer logs such a line when it opens and closes its file, after its first record, every
 * CHECKPOINT_RECORDS records and, while records come, every CHECKPOINT_SECONDS. It speaks of
 * records that are on disk. `chain` is the beginning of the first record's hash: a file moved
 * aside and the one begun after it are two chains, whatever they are called.
 *
 * A checkpoint is worth what its keeper is: send the log to another machine. What comes behind
 * the last checkpoint is not protected by it. The log's level must not be above "info".
 */
#ifndef MILTER_AUDIT_CHECKPOINT_H
#define MILTER_AUDIT_CHECKPOINT_H

#include "milter/audit/audit.h"

enum {
	CHECKPOINT_RECORDS = 1000,
	CHECKPOINT_SECONDS = 60,
	CHECKPOINT_CHAIN_DIGITS = 16,
	CHECKPOINT_HASH_DIGITS = 2 * AUDIT_HASH_BYTES,
	CHECKPOINT_NAME_BYTES = 80,
};

struct checkpoint {
	char chain[CHECKPOINT_CHAIN_DIGITS + 1]; /* "" = of any chain */
	char file[CHECKPOINT_NAME_BYTES];        /* its name without the folder */
	uint64_t seq;
	char hash[CHECKPOINT_HASH_DIGITS + 1];   /* its beginning is enough, from 16 digits on */
	uint64_t line;                           /* in the log; 0 = given by hand */
};

/* The text of a line; `hash` is the record's, `chain` the first record's. */
void checkpoint_render(const char *file, const unsigned char chain[AUDIT_HASH_BYTES], uint64_t seq,
    const unsigned char hash[AUDIT_HASH_BYTES], char *ret, size_t room);
/* Whatever stands before it. NONE: no checkpoint; BAD: one that was cut or changed. */
enum checkpoint_shape { CHECKPOINT_BAD, CHECKPOINT_NONE, CHECKPOINT_GOOD };
enum checkpoint_shape checkpoint_parse(const char *line, struct checkpoint *ret);
/* SEQ:HASH, as `segelctl audit verify` prints it. */
bool checkpoint_from(const char *text, struct checkpoint *ret);

/* Does the record's hash agree? */
bool checkpoint_agrees(const struct checkpoint *checkpoint, const unsigned char hash[AUDIT_HASH_BYTES]);

/* All checkpoints of a log, by chain and sequence. */
struct checkpoints {
	struct checkpoint *at; /* owned */
	size_t n;
	uint64_t bad_line;     /* the first line with a checkpoint that cannot be read; 0 = none */
};
int checkpoints_load(const char *log, struct checkpoints **ret, struct err *err) MUST_USE;
void checkpoints_free(struct checkpoints *checkpoints);
AUTO_DEFINE(struct checkpoints, checkpoints_free);
/* Those of one chain, in order; how many. `ret` borrows. */
size_t checkpoints_of(const struct checkpoints *checkpoints, const unsigned char first[AUDIT_HASH_BYTES],
    const struct checkpoint **ret);

#endif
