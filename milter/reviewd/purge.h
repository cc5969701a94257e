/*
 * purge: bodies whose time is over go, each with a record of its own; rows whose body has long been gone go, with one record for
 * all. What is under legal hold stays. And the watch over free space.
 */
#ifndef REVIEWD_PURGE_H
#define REVIEWD_PURGE_H

#include "milter/reviewd/desk.h"

struct purged {
	size_t bodies, failed, rows;
};

/* `login`: who asked for it; "" = segel-reviewd itself. -1: it stopped in the middle; `ret` says how far it came. */
int purge_run(struct desk *desk, const struct desk_settings *settings, const char *login, time_t now, struct purged *ret,
    struct err *err) MUST_USE;

enum space { SPACE_UNKNOWN, SPACE_ENOUGH, SPACE_LOW, SPACE_NONE };

/* Logs when it has become another than `before`: twice quarantine.min_free, and that itself. */
enum space purge_watch(struct desk *desk, const struct desk_settings *settings, enum space before);

#endif
