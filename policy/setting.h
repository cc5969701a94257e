/*
 * setting: THE table of settings: name, type, default, range, help. The parser (config.c),
 * `segelctl config check|dump|sample` and the manual page all come from it.
 * Sizes and durations are strings with a unit, because libconfig reads a number that is too
 * large for it as another one without a word.
 */
#ifndef POLICY_SETTING_H
#define POLICY_SETTING_H

#include "policy/config.h"
#include "smime/limits.h"

enum setting_type {
	SETTING_TEXT,     /* char * */
	SETTING_BOOL,     /* bool */
	SETTING_NUMBER,   /* long */
	SETTING_SIZE,     /* long, bytes; "35MiB" */
	SETTING_DURATION, /* long, milliseconds; "10s" */
	SETTING_CHOICE,   /* long, index + first of choices */
	SETTING_TEXTS,    /* struct text_list; [ "a", "b" ] */
	SETTING_ROWS,     /* struct row_list; ( { ... }, { ... } ) */
};

struct setting {
	const char *name; /* "keyd.socket"; at most one dot */
	enum setting_type type;
	size_t offset;        /* in struct config, or in the row's struct */
	const char *fallback; /* as written in the file; NULL = must be given (rows only) */
	long least, most;     /* of a number, size or duration; least also the first choice offered */
	const char *const *choices; /* NULL-terminated */
	const struct setting *row;  /* SETTING_ROWS: the row's own settings, ended by name NULL */
	size_t row_size;
	const char *help;     /* English; lines split by \n */
};

extern const struct setting settings[]; /* ended by name NULL */

/* 0, or -1 when the text is no such value (then `ret` is untouched). */
int setting_size(const char *text, long *ret);
int setting_duration(const char *text, long *ret);
/* Index of the word in a NULL-terminated list; -1 if none. */
long setting_choice(const char *const *choices, const char *word);
/* What may be written for this setting, for error texts. */
void setting_allowed(const struct setting *setting, struct buf *ret);
/* The known name nearest to `name` among the table's, NULL if none is near. */
const char *setting_nearest(const struct setting *table, const char *name, int *ret_len);

/* A commented settings file with every default: contrib/segel.conf.sample is its output. */
void setting_sample(struct buf *ret);

#endif
