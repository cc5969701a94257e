/*
 * trust_watch: the trust folder (setting trust.dir) as it is now: authorities, CRLs and OCSP answers.
 *
 * They change every hour, and settings do not: so they are no part of a reload. Whoever judges a message takes what
 * is current and keeps it until the message ends; when the folder's writers say that something changed (the two
 * generation files, inode and time; looked at once a second at most), the next to ask loads it anew, and the others
 * go on with the old meanwhile. Where it cannot be loaded the old stays, and a warning says so: statements
 * about revocation age by their own dates, so that what is old too long counts as unknown by itself.
 *
 * Only the first load has nothing old beside it: whoever asks during it waits for its end. A program asks once
 * before it serves, so that no message does.
 */
#ifndef FILTER_TRUST_WATCH_H
#define FILTER_TRUST_WATCH_H

#include "policy/config.h"
#include "smime/trust.h"

struct trust_watch;

/* One state of the folder, counted. */
struct trust_held {
	struct trust *trust; /* borrowed until trust_watch_unref() */
	unsigned count;      /* the watch's own */
};

/* Loads nothing yet. */
struct trust_watch *trust_watch_new(const struct config *config) MUST_USE;
void trust_watch_free(struct trust_watch *watch); /* nobody may hold anything of it */
AUTO_DEFINE(struct trust_watch, trust_watch_free);

/* NULL, with err: nothing could be loaded yet, and why; tried again a second later. Never NULL once it was not. Thread-safe. */
const struct trust_held *trust_watch_ref(struct trust_watch *watch, time_t now, struct err *err);
void trust_watch_unref(struct trust_watch *watch, const struct trust_held *held); /* NULL is none */

#endif
