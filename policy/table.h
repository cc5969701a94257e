/*
 * table: the effective action table, finding x class -> action.
 * Defaults are here; a region's settings may change any cell that can be reached, and
 * none that cannot. Plain data; immutable once its snapshot is in use.
 */
#ifndef POLICY_TABLE_H
#define POLICY_TABLE_H

#include "policy/reason.h"

/* What a process of segel-milter serves; told by its socket, never by anything in a message. */
enum role {
	ROLE_UNKNOWN,
	ROLE_SUBMISSION, /* authenticated users of our own */
	ROLE_INBOUND,    /* other servers */
	ROLE_LOCAL,      /* mail that came without SMTP */
	ROLE_EGRESS,     /* mail on its way out, or back from a filter: judged once more, and never changed */
};

enum class {
	CLASS_UNKNOWN,
	CLASS_SUBMISSION,       /* authenticated users of our own */
	CLASS_INBOUND_OFFICIAL, /* From or envelope in an official domain: own, shared, partner */
	CLASS_INBOUND_OTHER,    /* the rest of the world */
	CLASS_LOCAL,            /* sendmail command, cron, web applications */
	CLASS_EGRESS,           /* re-injection and relay listener */
	N_CLASSES,
};

enum action {
	ACTION_DEFER, /* 4xx: could not find out */
	ACTION_ACCEPT,
	ACTION_TAG,         /* accept, and say so in Authentication-Results */
	ACTION_HOLD,        /* into the quarantine, may be released */
	ACTION_REJECT,      /* 5xx */
	ACTION_REJECT_HOLD, /* 5xx, with a copy that may be viewed and exported, not released */
};
#define N_ACTIONS (ACTION_REJECT_HOLD + 1)

struct cell {
	bool reachable; /* false: this finding cannot arise in this class */
	enum action action;
};

struct action_table {
	struct cell cells[N_REASONS][N_CLASSES];
};

void table_defaults(struct action_table *ret);

/*
 * May a setting give this action? Our own troubles let nothing through in any class; in the class that
 * seals, nor does what could not be found out, whose login it is not, or what cannot be read in one way.
 */
bool table_allows(enum reason reason, enum class class, enum action action);

/* Strictness: accept < tag < defer < hold < reject < reject+hold. */
int action_rank(enum action action);

const char *action_name(enum action action);
const char *class_name(enum class class);
/* False for a word that is none. */
bool action_from(const char *name, enum action *ret);
bool class_from(const char *name, enum class *ret);

#endif
