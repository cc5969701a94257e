#include "milter/preflight/value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- parameters --- */

static int
compare(const char *name, struct slice other)
{
	const int order = strncmp(name, (const char *)other.at, other.len);

	return order ? order : name[other.len] != '\0';
}

/* Where this name is, or belongs: they are kept in order, because there are a thousand of them. */
static size_t
place_of(const struct values *values, struct slice name)
{
	size_t from = 0, to = values->n;

	while (from < to) {
		const size_t middle = (from + to) / 2;

		if (compare(values->at[middle].name, name) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static struct value *
find(const struct values *values, struct slice name)
{
	const size_t place = place_of(values, name);

	return place < values->n && compare(values->at[place].name, name) == 0 ? &values->at[place] : NULL;
}

static struct value *
insert(struct values *values, struct slice name)
{
	const size_t place = place_of(values, name);
	struct value *value;

	values->at = xrealloc(values->at, (values->n + 1) * sizeof(*values->at));
	value = &values->at[place];
	memmove(value + 1, value, (values->n - place) * sizeof(*value));
	values->n++;
	*value = (struct value){ .name = slice_dup(name) };
	return value;
}

void
values_set(struct values *values, struct slice name, struct slice text, enum origin origin)
{
	struct value *value = find(values, name);

	if (!value)
		value = insert(values, name);
	xfree(value->text);
	value->text = slice_dup(text);
	value->origin = origin;
}

void
values_parse(struct values *values, const char *text, enum origin origin)
{
	const char *line;
	size_t len;

	while ((line = text_line(&text, &len))) {
		const struct slice whole = { (const unsigned char *)line, len };
		const unsigned char *equals = memchr(line, '=', len);

		if (!equals)
			continue;
		values_set(values, slice_trim((struct slice){ whole.at, (size_t)(equals - whole.at) }),
		    slice_trim((struct slice){ equals + 1, len - (size_t)(equals + 1 - whole.at) }), origin);
	}
}

void
values_mark(struct values *values, const struct values *names, enum origin origin)
{
	for (size_t i = 0; i < names->n; i++) {
		struct value *value = find(values, slice_of(names->at[i].name));

		if (value)
			value->origin = origin;
	}
}

const struct value *
values_find(const struct values *values, const char *name)
{
	return find(values, slice_of(name));
}

const char *
values_text(const struct values *values, const char *name)
{
	const struct value *value = values_find(values, name);

	return value ? value->text : "";
}

void
values_done(struct values *values)
{
	for (size_t i = 0; i < values->n; i++) {
		xfree(values->at[i].name);
		xfree(values->at[i].text);
	}
	xfree(values->at);
	*values = (struct values){ 0 };
}

/* --- lists --- */

static bool
is_between(char c)
{
	return c == ',' || isspace((unsigned char)c);
}

/* Up to the next comma or blank outside of braces. */
static size_t
word_len(const char *text)
{
	size_t len = 0;
	int depth = 0;

	for (; text[len] && (depth > 0 || !is_between(text[len])); len++)
		depth += text[len] == '{' ? 1 : text[len] == '}' ? -1 : 0;
	return len;
}

static void
add_word(struct words *words, const char *text, size_t len)
{
	words->at = xrealloc(words->at, (words->n + 1) * sizeof(*words->at));
	words->at[words->n++] = xstrndup(text, len);
}

void
words_split(struct words *words, const char *text)
{
	for (;;) {
		size_t len;

		while (*text && is_between(*text))
			text++;
		len = word_len(text);
		if (len == 0)
			return;
		add_word(words, text, len);
		text += len;
	}
}

void
words_inside(struct words *words, const char *word)
{
	const size_t len = strlen(word);
	AUTO(xfree) char *inside = xstrdup(word);

	if (len >= 2 && word[0] == '{' && word[len - 1] == '}') {
		inside[len - 1] = '\0';
		words_split(words, inside + 1);
		return;
	}
	words_split(words, word);
}

bool
words_have(const struct words *words, const char *word)
{
	for (size_t i = 0; i < words->n; i++)
		if (strcasecmp(words->at[i], word) == 0)
			return true;
	return false;
}

void
words_done(struct words *words)
{
	for (size_t i = 0; i < words->n; i++)
		xfree(words->at[i]);
	xfree(words->at);
	*words = (struct words){ 0 };
}

bool
text_has_word(const char *list, const char *word)
{
	AUTO_WORDS struct words words = { 0 };

	words_split(&words, list);
	return words_have(&words, word);
}

/* --- single values --- */

bool
text_is_yes(const char *text)
{
	return strcasecmp(text, "yes") == 0;
}

bool
text_number(const char *text, long long *ret)
{
	char *end = NULL;
	long long number;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	number = strtoll(text, &end, 10);
	if (errno != 0 || *end)
		return false;
	*ret = number;
	return true;
}

bool
text_seconds(const char *text, long *ret)
{
	static const struct {
		char unit;
		long seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	const size_t digits = strspn(text, "0123456789");
	AUTO(xfree) char *number = xstrndup(text, digits);
	long long found;

	if (!text_number(number, &found) || found > 100000000)
		return false;
	if (text[digits] == '\0') {
		*ret = (long)found;
		return true;
	}
	for (size_t i = 0; i < N_ELEMENTS(units); i++) {
		if (tolower((unsigned char)text[digits]) == units[i].unit && text[digits + 1] == '\0') {
			*ret = (long)found * units[i].seconds;
			return true;
		}
	}
	return false;
}
