/*
 * judge_visit: what stands against what a client gets at a listener, beside what the configuration
 * promises there. Pure: facts in, findings out. The table is the list.
 */
#ifndef PREFLIGHT_JUDGE_VISIT_H
#define PREFLIGHT_JUDGE_VISIT_H

#include "milter/preflight/finding.h"
#include "milter/preflight/visit.h"

struct visit_say {
	struct buf what, mend;
};

struct visit_rule {
	const char *id;
	enum severity severity;
	const char *why;
	bool (*found)(const struct visit *visit, struct visit_say *say);
};

/* Ended by id NULL. */
extern const struct visit_rule visit_rules[];

void visit_judge(const struct visit *visit, struct findings *ret);

#endif
