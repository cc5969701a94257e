#include "milter/preflight/alias.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MOST_SHOWN = 5, MOST_LINES = 1000000 };

struct look {
	const struct values *main;
	struct words *outside, *unread;
};

/* Tables whose text lies beside them under the same name, or is the table. */
static const char *const text_types[] = { "hash", "texthash", "lmdb", "btree", "cdb", "dbm", "sdbm", "regexp", "pcre" };

static void
add(struct words *list, const char *text)
{
	list->at = xrealloc(list->at, (list->n + 1) * sizeof(*list->at));
	list->at[list->n++] = xstrdup(text);
}

static bool
is_text_type(const char *map, size_t len)
{
	for (size_t i = 0; i < N_ELEMENTS(text_types); i++)
		if (strlen(text_types[i]) == len && strncmp(map, text_types[i], len) == 0)
			return true;
	return false;
}

static bool
is_our_domain(const struct look *look, const char *domain)
{
	static const char *const lists[] = {
		"mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains", "myhostname", "mydomain", "myorigin",
	};

	for (size_t i = 0; i < N_ELEMENTS(lists); i++)
		if (text_has_word(values_text(look->main, lists[i]), domain))
			return true;
	return false;
}

/* Does one of the targets have a domain that is not ours? "$1" and the like are nobody's domain. */
static bool
leaves(const struct look *look, const char *targets)
{
	AUTO_WORDS struct words words = { 0 };

	words_split(&words, targets);
	for (size_t i = 0; i < words.n; i++) {
		char *at = strrchr(words.at[i], '@');

		if (!at || strpbrk(words.at[i], "|/\"$"))
			continue;
		at[1 + strcspn(at + 1, ">;")] = '\0';
		if (at[1] && !is_our_domain(look, at + 1))
			return true;
	}
	return false;
}

static void
look_at_line(const struct look *look, const char *file, char *line)
{
	const char *targets = line + strcspn(line, ": \t");
	AUTO(xfree) char *shown = NULL;

	line[strcspn(line, "\n")] = '\0';
	if (*line == '#' || *line == '\0' || !*targets || !leaves(look, targets + 1))
		return;
	shown = xasprintf("%s: %.200s", file, line);
	if (look->outside->n < MOST_SHOWN)
		add(look->outside, shown);
}

static void
look_at_file(const struct look *look, const char *map, const char *file)
{
	FILE *in = fopen(file, "re");
	char *line = NULL;
	size_t room = 0;

	if (!in) {
		add(look->unread, map);
		return;
	}
	for (int n = 0; n < MOST_LINES && getline(&line, &room, in) != -1; n++)
		look_at_line(look, file, line);
	free(line);
	(void)fclose(in);
}

static void
look_at_maps(const struct look *look, const char *parameter)
{
	AUTO_WORDS struct words maps = { 0 };

	words_split(&maps, values_text(look->main, parameter));
	for (size_t i = 0; i < maps.n; i++) {
		const char *map = strncmp(maps.at[i], "proxy:", 6) == 0 ? maps.at[i] + 6 : maps.at[i];
		const size_t len = strcspn(map, ":");

		if (map[len] == ':' && map[len + 1] == '/' && is_text_type(map, len))
			look_at_file(look, map, map + len + 1);
		else
			add(look->unread, map);
	}
}

void
alias_look(const struct values *main, struct words *outside, struct words *unread)
{
	const struct look look = { main, outside, unread };

	look_at_maps(&look, "alias_maps");
	look_at_maps(&look, "virtual_alias_maps");
}
