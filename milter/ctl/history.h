/*
 * history: what the records of filter, key agent and segel-reviewd say about one message, in words.
 * A message is found by its queue id, by the id in brackets that its sender saw, or as an item of the quarantine. Reads the
 * files and believes them; whether their chains hold is for `segelctl audit verify`, but a
 * record whose own hash does not hold is marked.
 */
#ifndef CTL_HISTORY_H
#define CTL_HISTORY_H

#include "milter/ctl/ctl.h"

/* CTL_FALSE: no record names this id, or one that does was changed. */
enum ctl_exit history_explain(struct ctl *ctl, const char *id);

#endif
