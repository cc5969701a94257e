/*
 * value: Postfix's parameters as text, and the little languages in them: lists with braces,
 * times, sizes. Parses only; what a value means is judged elsewhere.
 */
#ifndef PREFLIGHT_VALUE_H
#define PREFLIGHT_VALUE_H

#include "smime/base.h"
#include "smime/buf.h"

enum origin {
	ORIGIN_UNKNOWN,
	ORIGIN_DEFAULT,  /* built in */
	ORIGIN_MAIN,     /* main.cf */
	ORIGIN_OVERRIDE, /* -o of a service in master.cf */
};

struct value {
	char *name, *text;
	enum origin origin;
};

/* In the order of their names. */
struct values {
	struct value *at;
	size_t n;
};

/* Adds the lines "name = text". Lines without " =" are passed over. */
void values_parse(struct values *values, const char *text, enum origin origin);
void values_set(struct values *values, struct slice name, struct slice text, enum origin origin);
/* The origin of the names that are there. */
void values_mark(struct values *values, const struct values *names, enum origin origin);
/* NULL: no such parameter (in this version of Postfix). */
const struct value *values_find(const struct values *values, const char *name);
/* Its text; "" where there is no such parameter. */
const char *values_text(const struct values *values, const char *name);
void values_done(struct values *values);

/* Words between commas and blanks; what stands in braces is one word, with its braces. */
struct words {
	char **at;
	size_t n;
};
void words_split(struct words *words, const char *text);
/* The content of a word in braces, without them: another list. */
void words_inside(struct words *words, const char *word);
bool words_have(const struct words *words, const char *word);
void words_done(struct words *words);
static inline __attribute__((unused)) void auto_words_done(struct words *words) { words_done(words); }
#define AUTO_WORDS __attribute__((cleanup(auto_words_done)))

/* Is the word among those of the list? In either case. */
bool text_has_word(const char *list, const char *word);

/* "yes" in either case. */
bool text_is_yes(const char *text);
/* "300s", "5m"; a bare number is seconds. False: no such value. */
bool text_seconds(const char *text, long *ret);
/* A number that is not negative, and nothing behind it. */
bool text_number(const char *text, long long *ret);

#endif
