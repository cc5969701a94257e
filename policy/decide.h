/*
 * decide: findings to a verdict. Pure: no file, clock, socket or log.
 * The strictest action wins; all reasons are kept. A definite finding outranks "could not find
 * out". A finding without a cell in the table, an unknown class, or findings that did not all
 * fit: defer.
 */
#ifndef POLICY_DECIDE_H
#define POLICY_DECIDE_H

#include "policy/finding.h"
#include "policy/table.h"

struct verdict {
	enum action action;
	enum reason reason; /* the finding that decided; REASON_UNKNOWN where there was none */
	const struct finding *finding; /* the same with its evidence, borrowed; NULL = none */
};

struct verdict policy_decide(enum class class, const struct findings *findings, const struct action_table *table);

/*
 * May this message be sealed? Only in a class that seals, when the action lets it pass, and when
 * not one finding stands but SIG_PARTIAL, which is about a part: settings can let a message through in spite of a finding, never make us
 * sign it.
 */
bool policy_may_seal(enum class class, const struct findings *findings, const struct verdict *verdict);

#endif
