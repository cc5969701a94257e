/*
 * finding: what stands against a mail server's set-up, as a list in the order of the tables.
 * Plain data. The same finding at several services becomes one, with all their names.
 * Not the findings about a message (policy/).
 */
#ifndef PREFLIGHT_FINDING_H
#define PREFLIGHT_FINDING_H

#include "smime/base.h"

enum severity {
	SEVERITY_UNKNOWN,
	SEVERITY_WARN,   /* works, but less well than it should */
	SEVERITY_REFUSE, /* mail could pass unsealed, forged or twice; do not serve like this */
};

struct finding {
	const char *id;         /* borrowed from the table */
	enum severity severity;
	const char *why;        /* one sentence; borrowed from the table */
	char *where;            /* "main.cf", "smtp/inet, submission/inet" */
	char *what;             /* what was found */
	char *mend;             /* the command or line that mends it */
};

struct findings {
	struct finding *at;
	size_t n;
};

/* Copies the texts. `one` with the same id, what and mend as one before: only its `where` is added there. */
void findings_add(struct findings *list, const struct finding *one);
size_t findings_count(const struct findings *list, enum severity severity);
/* The first with this id, NULL if there is none. */
const struct finding *findings_find(const struct findings *list, const char *id);
void findings_done(struct findings *list);

const char *severity_word(enum severity severity);

static inline __attribute__((unused)) void auto_findings_done(struct findings *list) { findings_done(list); }
#define AUTO_FINDINGS __attribute__((cleanup(auto_findings_done)))

#endif
