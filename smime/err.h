/*
 * err: why we could not find something out, or not do it.
 * An error is never a statement about a message ("the signature is bad" is a
 * fact, see facts.h); whatever its kind, the message at hand is deferred.
 *
 *     if (n_anchors == 0)
 *             return err_set(err, ERR_CONFIG, "no trust anchors in '%s'; set trust.dir", dir);
 *
 * The text says what failed, on what, found and wanted, and what to do. Context is
 * added on the way up with err_wrap; nobody logs on the way. Plain data, no threads.
 */
#ifndef SMIME_ERR_H
#define SMIME_ERR_H

#include "smime/base.h"

enum err_kind {
	ERR_NONE,   /* nothing set */
	ERR_TEMP,   /* our surroundings: may work later */
	ERR_CONFIG, /* an administrator must act */
	ERR_BUG,    /* an invariant of ours does not hold */
};

struct err {
	enum err_kind kind;
	char text[512];
};

/* Both return -1, so that a failing function ends in one line. `err` may be NULL. */
int err_set(struct err *err, enum err_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
int err_wrap(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
