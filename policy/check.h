/*
 * check: facts to findings. Each check looks at one thing and yields at most one finding; the
 * table says in which classes and at which stage it runs and what it may raise. Pure.
 */
#ifndef POLICY_CHECK_H
#define POLICY_CHECK_H

#include "policy/finding.h"
#include "policy/input.h"

enum stage {
	STAGE_MAIL = 1,    /* at MAIL FROM: the connection and the login are known */
	STAGE_MESSAGE = 2, /* at the end of the message: everything is known */
	STAGE_CONTENT = 4, /* the message alone, whoever brought it (segelctl verify): the envelope is empty */
};

#define CLASS_BIT(class) (1u << (class))

struct check {
	const char *name;
	unsigned stages;
	unsigned classes;
	unsigned judged; /* further classes, in which it runs only where signature facts are given */
	void (*run)(const struct policy_input *input, struct findings *findings);
	enum reason raises[12]; /* ended by REASON_UNKNOWN; all that it may raise */
};

extern const struct check checks[]; /* ended by name NULL */

/* Runs all checks of the class and stage, in the table's order. */
void check_all(const struct policy_input *input, enum stage stage, struct findings *ret);

#endif
