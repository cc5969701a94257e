/*
 * alias: which aliases lead out of our domains. Postfix follows them after the filter has seen the
 * message, so the filter cannot know. Reads the text that the tables were made from; tables that have no
 * text here (LDAP, a database) are named, not guessed.
 */
#ifndef PREFLIGHT_ALIAS_H
#define PREFLIGHT_ALIAS_H

#include "milter/preflight/value.h"

/* `outside`: one "FILE: LINE" an alias; at most as many as people read. `unread`: tables without a text. */
void alias_look(const struct values *main, struct words *outside, struct words *unread);

#endif
