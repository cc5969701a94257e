/*
 * command: the command line that Segel's daemons share, and how each of them begins: -c FILE, -n, -d, -f, -V, --help; where a
 * process serves one of several roles, -r ROLE and --pretend, too.
 */
#ifndef MILTER_COMMAND_H
#define MILTER_COMMAND_H

#include "policy/config.h"
#include "smime/buf.h"
#include "smime/err.h"

enum { COMMAND_WRONG = 2 }; /* exit status: wrong usage */

struct command_line {
	const char *file; /* of the settings */
	const char *role; /* NULL: none given */
	bool foreground, pretend;
};

struct command {
	const char *program, *usage;
	bool roles;
	void (*const *libraries)(struct buf *ret);      /* whose versions -V prints; NULL ends them */
	int (*check)(const struct command_line *line);  /* -n: everything a start would need, without touching anything; exit status */
	int (*serve)(const struct command_line *line);  /* exit status */
};

/* The whole of main(): the exit status. */
int command_main(const struct command *command, int argc, char **argv);

/* What -n says: that the settings are good, or, where `result` is -1, what is not. Exit status. */
int command_checked(const char *program, const char *file, int result, const struct err *err);

/* Settings; all that is wrong with them is one error. */
int command_config(const char *file, struct config **ret, struct err *err) MUST_USE;

/* To the background unless it is wanted in front, signals blocked for the threads to come. *file: owned, absolute, so that a reload finds it. */
int command_begin(const struct command_line *line, char **file, struct err *err) MUST_USE;

/* By the settings, or to standard error for what stays in front. */
void command_log(const char *program, const struct command_line *line, const struct config *config);

#endif
