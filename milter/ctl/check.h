/* check: what `segelctl check mta` found, and how it is printed. */
#ifndef CTL_CHECK_H
#define CTL_CHECK_H

#include "milter/ctl/ctl.h"
#include "milter/preflight/judge.h"
#include "milter/preflight/sendmail.h"

struct report {
	const struct postfix *postfix;   /* one of these two */
	const struct sendmail *sendmail;
	long sessions;
	struct findings findings;
};

void report_print(struct ctl *ctl, const struct report *report);

#endif
