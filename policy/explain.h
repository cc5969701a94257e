/* explain: tables and verdicts as text for people. Pure. */
#ifndef POLICY_EXPLAIN_H
#define POLICY_EXPLAIN_H

#include "policy/decide.h"
#include "smime/buf.h"

/* The effective action table, one finding a line; the committed snapshot is its output for the defaults. */
void explain_table(const struct action_table *table, struct buf *ret);

/* Every finding with what it leads to, then the verdict. */
void explain_verdict(enum class class, const struct findings *findings, const struct action_table *table,
    const struct verdict *verdict, enum language language, struct buf *ret);

#endif
