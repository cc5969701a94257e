/* Words of the command line to a struct ctl: one parser for all nouns. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "milter/ctl/frame.h"

/* Accepted before the noun and anywhere after it. */
static const struct ctl_option everywhere[] = {
	{ "config", "FILE", "the settings file (also: -c FILE)", false, false },
	{ "registry", "FILE", "the registry; by default what the settings say", false, false },
	{ "help", NULL, "what can be said here", false, false },
	{ 0 },
};

static const struct ctl_option reading[] = {
	{ "json", NULL, "print JSON", false, false },
	{ 0 },
};

static const struct ctl_option writing[] = {
	{ "dry-run", NULL, "do everything but keep it; say what would have changed", false, false },
	{ 0 },
};

const struct ctl_option *
frame_options(void)
{
	return everywhere;
}

const struct ctl_option *
frame_mode_options(enum ctl_mode mode)
{
	static const struct ctl_option none[] = { { 0 } };

	switch (mode) {
	case CTL_READS:
		return reading;
	case CTL_WRITES:
		return writing;
	case CTL_PLAIN:
	case CTL_MODE_UNKNOWN:
		break;
	}
	return none;
}

static size_t
least(size_t a, size_t b)
{
	return a < b ? a : b;
}

enum { LONGEST_WORD = 40 };

/* Edits (insert, drop, change a letter) between two words. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[LONGEST_WORD + 1];
	size_t len = strlen(b);

	if (strlen(a) > LONGEST_WORD || len > LONGEST_WORD)
		return LONGEST_WORD;
	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t corner = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < len; j++) {
			size_t above = row[j + 1];

			row[j + 1] = least(least(above, row[j]) + 1, corner + (a[i] != b[j]));
			corner = above;
		}
	}
	return row[len];
}

void
nearest_word(struct nearest *nearest, const char *wanted, const char *candidate)
{
	size_t far = distance(wanted, candidate);

	if (!nearest->word || far < nearest->distance)
		*nearest = (struct nearest){ candidate, far };
}

static const struct ctl_option *
option_in(const struct ctl_option *options, const char *name, size_t len)
{
	for (const struct ctl_option *o = options; o && o->name; o++)
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static const struct ctl_option *
option_find(const struct ctl *ctl, const char *name, size_t len)
{
	const struct ctl_option *option = option_in(everywhere, name, len);

	if (!option && ctl->command)
		option = option_in(ctl->command->options, name, len);
	if (!option && ctl->command)
		option = option_in(frame_mode_options(ctl->command->mode), name, len);
	return option;
}

static void
nearest_option(struct nearest *nearest, const char *wanted, const struct ctl_option *options)
{
	for (const struct ctl_option *o = options; o && o->name; o++)
		nearest_word(nearest, wanted, o->name);
}

static enum ctl_exit
unknown_option(struct ctl *ctl, const char *word)
{
	struct nearest nearest = { 0 };
	AUTO(xfree) char *name = xstrndup(word + 2, strcspn(word + 2, "="));

	nearest_option(&nearest, name, everywhere);
	if (ctl->command) {
		nearest_option(&nearest, name, ctl->command->options);
		nearest_option(&nearest, name, frame_mode_options(ctl->command->mode));
	}
	return ctl_fail(ctl, CTL_USAGE, "unknown option '--%s' here; nearest is '--%s' (all of them: --help)", name, nearest.word);
}

static enum ctl_exit
give(struct ctl *ctl, const struct ctl_option *option, const char *value)
{
	if (ctl->n_given == CTL_MAX_ARGS)
		return ctl_fail(ctl, CTL_USAGE, "more than %d options given", CTL_MAX_ARGS);
	for (size_t i = 0; i < ctl->n_given && !option->many; i++)
		if (ctl->given[i].option == option && option->meta)
			return ctl_fail(ctl, CTL_USAGE, "option '--%s' is given twice; it takes one value", option->name);
	ctl->given[ctl->n_given++] = (struct ctl_given){ option, value };
	return CTL_OK;
}

/* The words still to be read. */
struct words {
	char **at;
	int n;
};

static const char *
next_word(struct words *words)
{
	words->n--;
	return *words->at++;
}

/* An option marked `many` takes every word up to the next option. */
static enum ctl_exit
take_values(struct ctl *ctl, const struct ctl_option *option, struct words *words)
{
	enum ctl_exit code;

	if (words->n == 0 || strncmp(words->at[0], "--", 2) == 0)
		return ctl_fail(ctl, CTL_USAGE, "option '--%s' wants a value: --%s %s", option->name, option->name, option->meta);
	do
		code = give(ctl, option, next_word(words));
	while (code == CTL_OK && option->many && words->n && words->at[0][0] != '-');
	return code;
}

static enum ctl_exit
take_option(struct ctl *ctl, const char *word, struct words *words)
{
	const char *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) - 2 : strlen(word + 2);
	const struct ctl_option *option = option_find(ctl, word + 2, len);

	if (!option)
		return unknown_option(ctl, word);
	if (!option->meta)
		return equals ? ctl_fail(ctl, CTL_USAGE, "option '--%s' takes no value", option->name) : give(ctl, option, "");
	return equals ? give(ctl, option, equals + 1) : take_values(ctl, option, words);
}

static bool
begins_with_word(const char *verb, const char *word)
{
	size_t len = strlen(word);

	return strncmp(verb, word, len) == 0 && verb[len] == ' ';
}

static enum ctl_exit
unknown_verb(struct ctl *ctl, const char *verb)
{
	struct nearest nearest = { 0 };

	for (const struct ctl_command *c = ctl->noun->commands; c->run; c++) {
		AUTO(xfree) char *first = xstrndup(c->verb, ctl->half ? strlen(c->verb) : strcspn(c->verb, " "));

		if (ctl->half && !begins_with_word(c->verb, ctl->half))
			continue;
		nearest_word(&nearest, verb, first);
		if (nearest.word == first)
			nearest.word = c->verb;
	}
	return ctl_fail(ctl, CTL_USAGE, "'%s' knows no '%s'; nearest is '%s %s' (all of them: segelctl %s --help)",
	    ctl->noun->name, verb, ctl->noun->name, nearest.word, ctl->noun->name);
}

/* A verb of one word, or either word of one of two. */
static enum ctl_exit
take_command(struct ctl *ctl, const char *word)
{
	AUTO(xfree) char *verb = ctl->half ? xasprintf("%s %s", ctl->half, word) : xstrdup(word);

	for (const struct ctl_command *c = ctl->noun->commands; c->run; c++) {
		if (strcmp(c->verb, verb) == 0) {
			ctl->command = c;
			return CTL_OK;
		}
	}
	for (const struct ctl_command *c = ctl->noun->commands; c->run && !ctl->half; c++) {
		if (begins_with_word(c->verb, word)) {
			ctl->half = word;
			return CTL_OK;
		}
	}
	return unknown_verb(ctl, verb);
}

static enum ctl_exit
take_noun(struct ctl *ctl, const struct ctl_noun *nouns, const char *name)
{
	struct nearest nearest = { 0 };

	for (const struct ctl_noun *n = nouns; n->name; n++) {
		if (strcmp(n->name, name) == 0) {
			ctl->noun = n;
			return n->commands[0].verb[0] == '\0' ? take_command(ctl, "") : CTL_OK;
		}
		nearest_word(&nearest, name, n->name);
	}
	return ctl_fail(ctl, CTL_USAGE, "unknown command '%s'; nearest is '%s' (all of them: segelctl --help)", name,
	    nearest.word ? nearest.word : "");
}

/* The last positional takes all that follow. */
static bool
is_many(const struct ctl_command *command)
{
	const char *last = NULL;

	for (size_t i = 0; i < CTL_MAX_POSITIONAL && command->positional[i]; i++)
		last = command->positional[i];
	return last && strlen(last) > 3 && strcmp(last + strlen(last) - 3, "...") == 0;
}

static bool
has_room(const struct ctl *ctl)
{
	if (is_many(ctl->command))
		return ctl->n_args < CTL_MAX_WORDS;
	return ctl->n_args < CTL_MAX_POSITIONAL && ctl->command->positional[ctl->n_args];
}

static enum ctl_exit
take_positional(struct ctl *ctl, const char *word)
{
	if (!has_room(ctl))
		return ctl_fail(ctl, CTL_USAGE, "'%s' is one word too many; see segelctl %s %s --help", word, ctl->noun->name,
		    ctl->command->verb);
	ctl->args[ctl->n_args++] = word;
	return CTL_OK;
}

/* A noun that is a command by itself may have others: the first word tells. */
static bool
names_verb(const struct ctl *ctl, const char *word)
{
	if (*ctl->command->verb || ctl->n_args)
		return false;
	for (const struct ctl_command *c = ctl->noun->commands; c->run; c++)
		if (*c->verb && strcmp(c->verb, word) == 0)
			return true;
	return false;
}

static enum ctl_exit
take_word(struct ctl *ctl, const struct ctl_noun *nouns, struct words *words)
{
	const char *word = next_word(words);

	if (strcmp(word, "-c") == 0)
		word = "--config";
	if (strcmp(word, "-h") == 0)
		word = "--help";
	if (strncmp(word, "--", 2) == 0)
		return take_option(ctl, word, words);
	if (word[0] == '-' && word[1])
		return ctl_fail(ctl, CTL_USAGE, "unknown option '%s'; only -c and -h are one letter", word);
	if (!ctl->noun)
		return take_noun(ctl, nouns, word);
	if (!ctl->command || names_verb(ctl, word))
		return take_command(ctl, word);
	return take_positional(ctl, word);
}

static bool
is_optional(const char *positional)
{
	return positional[0] == '[';
}

static enum ctl_exit
check_complete(struct ctl *ctl)
{
	const struct ctl_command *command = ctl->command;
	const char *missing = ctl->n_args < CTL_MAX_POSITIONAL ? command->positional[ctl->n_args] : NULL;

	if (missing && !is_optional(missing))
		return ctl_fail(ctl, CTL_USAGE, "%s is missing; see segelctl %s %s --help", missing, ctl->noun->name, command->verb);
	for (const struct ctl_option *o = command->options; o && o->name; o++)
		if (o->required && !ctl_option(ctl, o->name))
			return ctl_fail(ctl, CTL_USAGE, "--%s %s is missing: %s", o->name, o->meta ? o->meta : "", o->help);
	return CTL_OK;
}

enum ctl_exit
frame_parse(struct ctl *ctl, const struct ctl_noun *nouns, int argc, char **argv)
{
	struct words words = { argv + 1, argc - 1 };
	enum ctl_exit code = CTL_OK;

	while (words.n > 0 && code == CTL_OK)
		code = take_word(ctl, nouns, &words);
	if (code != CTL_OK || ctl_flag(ctl, "help"))
		return code;
	if (!ctl->noun)
		return ctl_fail(ctl, CTL_USAGE, "no command given; see segelctl --help");
	if (!ctl->command)
		return ctl_fail(ctl, CTL_USAGE, "'%s%s%s' wants a verb; see segelctl %s --help", ctl->noun->name, ctl->half ? " " : "",
		    ctl->half ? ctl->half : "", ctl->noun->name);
	return check_complete(ctl);
}

const char *
ctl_arg(const struct ctl *ctl, size_t i)
{
	return i < ctl->n_args ? ctl->args[i] : NULL;
}

const char *
ctl_option_nth(const struct ctl *ctl, const char *name, size_t n)
{
	for (size_t i = 0; i < ctl->n_given; i++)
		if (strcmp(ctl->given[i].option->name, name) == 0 && n-- == 0)
			return ctl->given[i].value;
	return NULL;
}

const char *
ctl_option(const struct ctl *ctl, const char *name)
{
	return ctl_option_nth(ctl, name, 0);
}

bool
ctl_flag(const struct ctl *ctl, const char *name)
{
	return ctl_option(ctl, name) != NULL;
}
