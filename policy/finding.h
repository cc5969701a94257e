/* finding: one check's result: a reason with its evidence (printable ASCII, key=value words). */
#ifndef POLICY_FINDING_H
#define POLICY_FINDING_H

#include "policy/reason.h"

struct finding {
	enum reason reason;
	char evidence[256];
};

enum { MAX_FINDINGS = 24 };

struct findings {
	struct finding at[MAX_FINDINGS];
	size_t n;
	bool overflow; /* one more than fits: the verdict is defer */
};

/* Adds one; bytes of the evidence outside printable ASCII become '?'. */
void finding_add(struct findings *findings, enum reason reason, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
