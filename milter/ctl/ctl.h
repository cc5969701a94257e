/*
 * ctl: the frame of segelctl: nouns, their verbs, one parser, one way to print.
 *
 *     segelctl [-c FILE] [--registry FILE] NOUN VERB [ARGS] [--json] [--dry-run]
 *
 * A noun is one file, milter/ctl/NOUN.c, that exports a table of its verbs ending in an empty
 * row; one line in main.c makes it known. Help and usage come from the tables. The frame knows
 * no noun; a verb sees its arguments only through ctl_arg and ctl_option.
 *
 * A verb prints results to ctl->out, and says through ctl_fail (or ctl_fail_err) why it ends
 * otherwise. Every byte that came from outside goes through ctl_table, ctl_text or JSON: never
 * a control character to a terminal.
 *
 * One thread.
 */
#ifndef MILTER_CTL_H
#define MILTER_CTL_H

#include <stdio.h>
#include <time.h>

#include "smime/base.h"
#include "smime/buf.h"
#include "smime/err.h"

/* The exit codes are fixed: scripts depend on them. */
enum ctl_exit {
	CTL_OK = 0,
	CTL_FALSE = 1,       /* the answer is no, or there is no such thing */
	CTL_USAGE = 2,
	CTL_REFUSED = 3,     /* a rule stands against it; the text says which */
	CTL_UNAVAILABLE = 4, /* could not be found out or done now */
};

enum { CTL_MAX_POSITIONAL = 3, CTL_MAX_ARGS = 64, CTL_MAX_WORDS = 4096 };

struct ctl_option {
	const char *name; /* without the dashes */
	const char *meta; /* "TEXT"; NULL = a flag without value */
	const char *help;
	bool required;
	bool many;        /* may be given more than once, and takes several values: --address A B */
};

/* What the frame accepts for every verb of that sort, beside its own options. */
enum ctl_mode {
	CTL_MODE_UNKNOWN,
	CTL_READS,  /* --json */
	CTL_WRITES, /* --dry-run */
	CTL_PLAIN,  /* neither */
};

struct ctl;

struct ctl_command {
	const char *verb;       /* one word or two; "" where the noun is the whole command: `segelctl init` */
	enum ctl_mode mode;
	const char *positional[CTL_MAX_POSITIONAL + 1]; /* "FILE"; "[NAME]" may be left out; "FILE...", last: one or more */
	const struct ctl_option *options;               /* ends in an empty row; NULL = none */
	const char *help;       /* one line */
	enum ctl_exit (*run)(struct ctl *ctl);          /* NULL ends the table */
};

struct ctl_noun {
	const char *name;
	const char *help;
	const struct ctl_command *commands;
};

struct ctl_given {
	const struct ctl_option *option;
	const char *value;
};

struct ctl {
	const char *config_file;   /* -c; NULL = the usual place */
	const char *registry_file; /* --registry; NULL = what the settings say: ask ctl_registry_file */
	bool json;
	bool dry_run;
	time_t now;                /* the time this command runs at */
	FILE *out;
	FILE *err;

	/* The frame's own. */
	const struct ctl_noun *noun;
	const struct ctl_command *command;
	const char *half; /* the first word of a verb of two, while the second is still to come */
	const char *args[CTL_MAX_WORDS];
	size_t n_args;
	struct ctl_given given[CTL_MAX_ARGS];
	size_t n_given;
};

/* Parses and runs. `nouns` ends in an empty row. */
enum ctl_exit ctl_main(const struct ctl_noun *nouns, int argc, char **argv, FILE *out, FILE *err);

/* The i-th positional, NULL if left out. */
const char *ctl_arg(const struct ctl *ctl, size_t i);
/* The value of an option, NULL if not given; a flag's value is "". */
const char *ctl_option(const struct ctl *ctl, const char *name);
bool ctl_flag(const struct ctl *ctl, const char *name);
/* The n-th value (from 0) of an option marked `many`, NULL at the end. */
const char *ctl_option_nth(const struct ctl *ctl, const char *name, size_t n);

/* Print "segelctl: ..." to ctl->err, and return the code. The text is escaped. */
enum ctl_exit ctl_fail(struct ctl *ctl, enum ctl_exit code, const char *fmt, ...) PRINTF_LIKE(3, 4);
enum ctl_exit ctl_fail_err(struct ctl *ctl, enum ctl_exit code, const struct err *err);

/*
 * Text from outside, safe for a terminal: control characters, DEL and what is no valid UTF-8
 * (C1 controls and direction marks too) become \xXX.
 */
void ctl_escape(struct buf *out, const char *text);
void ctl_print(struct ctl *ctl, const char *text); /* escaped, no line end */

/* The registry this command works on; owned by the caller. NULL: ctl_fail has said why. */
char *ctl_registry_file(struct ctl *ctl) MUST_USE;
/* A whole file, at most `cap` bytes; ERR_CONFIG says what stands against it. "-" is standard input. */
int ctl_read_file(const char *file, size_t cap, struct buf *ret, struct err *err) MUST_USE;
/* Who acts: the UNIX login of the real uid; of SUDO_UID when the real uid is 0. Owned. */
int ctl_actor(char **ret, struct err *err) MUST_USE;
/* "2026-11-21" or "2026-11-21T08:00:00Z" (UTC) to time; false if it is neither. */
bool ctl_time_from(const char *text, time_t *ret);
/* "2026-11-21T08:00:00Z"; "?" for a time that no calendar has. */
enum { CTL_TIME_BYTES = 32 };
void ctl_time_text(int64_t seconds, char ret[CTL_TIME_BYTES]);

/*
 * A table: aligned columns for people, an array of objects with --json. Cells are text, numbers
 * or times (seconds; people see RFC 3339 UTC, JSON too). `columns` is borrowed.
 */
enum ctl_cell_kind { CELL_NONE, CELL_TEXT, CELL_NUMBER, CELL_TIME, CELL_BOOL };
struct ctl_cell {
	enum ctl_cell_kind kind; /* CELL_NONE: "-" for people, null in JSON */
	const char *text;        /* copied */
	int64_t number;
	size_t brief;      /* in a list, people see this many characters; 0 = all */
};
struct ctl_table;

struct ctl_table *ctl_table_new(const char *const *columns, size_t n_columns) MUST_USE;
void ctl_table_row(struct ctl_table *table, const struct ctl_cell *cells);
void ctl_table_print(struct ctl *ctl, struct ctl_table *table);
/* The first row only: one "name  value" line a column, or one JSON object. */
void ctl_table_print_one(struct ctl *ctl, struct ctl_table *table);
void ctl_table_free(struct ctl_table *table);
AUTO_DEFINE(struct ctl_table, ctl_table_free);

#endif
