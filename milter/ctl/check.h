/* check: what `segelctl check mta` found, and how it is printed. */
#ifndef CTL_CHECK_H
#define CTL_CHECK_H

#include "milter/ctl/ctl.h"
#include "milter/preflight/judge.h"
#include "milter/preflight/visit.h"

struct report {
	const struct postfix *postfix;   /* one of these two */
	const struct sendmail *sendmail;
	long sessions;
	struct findings findings;
	struct visit_places places;      /* that were asked; none without --live */
	struct visit *visits;            /* one a place */
	char *own_domain;                /* NULL: the listeners were not asked about one */
	bool probed;
};

void report_done(struct report *report);
void report_print(struct ctl *ctl, const struct report *report);

/* check_visit.c: --live, --at and --probe. CTL_USAGE: they do not belong together, or are no such words. */
enum ctl_exit check_visit_words(struct ctl *ctl) MUST_USE;
/* Asks the listeners, if that is wanted, and adds what stands against them. */
enum ctl_exit check_visit(struct ctl *ctl, const struct config *config, struct report *report) MUST_USE;
void visits_print(struct ctl *ctl, const struct report *report);
struct json_t *visits_json(const struct report *report);
/* Bytes that are no UTF-8 cannot be in JSON: escaped. */
struct json_t *report_json_text(const char *text);

#endif
