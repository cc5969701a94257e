/*
 * man: the tables of settings and of findings as parts of the manual pages, in mdoc. The pages in
 * contrib/man hold their output (contrib/man/generate), and a test compares the two. Pure.
 */
#ifndef POLICY_MAN_H
#define POLICY_MAN_H

#include "policy/table.h"
#include "smime/buf.h"

/* segel.conf(5): every setting with its help, what may be written, and its default. */
void man_settings(struct buf *ret);

/* segel-events(7): every finding with its replies, what to do about it, and its action in each class. */
void man_reasons(const struct action_table *table, struct buf *ret);

#endif
