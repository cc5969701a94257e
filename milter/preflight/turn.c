#include "milter/preflight/turn.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "smime/buf.h"

/* A class of restrictions may name classes, a map of maps maps. */
enum { MOST_LINES = 1000000, MOST_BYTES = 1 << 16, MOST_TURNS = 100, MOST_DEPTH = 4 };

struct look {
	const struct values *service;
	const char *parameter; /* whose tables are looked at */
	struct turns *ret;
};

/* --- one action --- */

static enum turn_how
how_of(const char *word)
{
	static const struct {
		const char *word;
		enum turn_how how;
	} words[] = { { "FILTER", TURN_FILTER }, { "REDIRECT", TURN_REDIRECT }, { "BCC", TURN_BCC } };

	for (size_t i = 0; i < N_ELEMENTS(words); i++)
		if (strcasecmp(words[i].word, word) == 0)
			return words[i].how;
	return TURN_UNKNOWN;
}

static void
look_at_action(const struct look *look, const char *map, const char *line, const char *action)
{
	AUTO_WORDS struct words words = { 0 };
	struct turns *ret = look->ret;
	enum turn_how how;

	words_split(&words, action);
	how = words.n > 0 ? how_of(words.at[0]) : TURN_UNKNOWN;
	if (how == TURN_UNKNOWN || ret->n == MOST_TURNS)
		return;
	ret->at = xrealloc(ret->at, (ret->n + 1) * sizeof(*ret->at));
	ret->at[ret->n++] = (struct turn){
		.how = how, .where = xasprintf("%s: %.200s%s%.200s", look->parameter, map, *line ? ": " : "", line),
		.to = xstrdup(words.n > 1 ? words.at[1] : ""),
	};
}

static void
add_unread(const struct look *look, const char *what)
{
	AUTO(xfree) char *text = xasprintf("%s: %.200s", look->parameter, what);
	struct words *list = &look->ret->unread;

	list->at = xrealloc(list->at, (list->n + 1) * sizeof(*list->at));
	list->at[list->n++] = TAKE(text);
}

/* --- one line of a table --- */

/* Behind "/pattern/flags", or "/this/!/not that/flags" of a regexp table; NULL: no such line. */
static const char *
behind_pattern(const char *line)
{
	for (;;) {
		const char delimiter = *(line += *line == '!');

		if (!delimiter || isalnum((unsigned char)delimiter) || isspace((unsigned char)delimiter))
			return NULL;
		for (line++; *line && *line != delimiter; line++)
			line += *line == '\\' && line[1];
		if (!*line)
			return NULL;
		line++;
		if (*line != '!')
			return line + strcspn(line, " \t");
	}
}

/* Behind the key; a blank in quotes belongs to it. */
static const char *
behind_key(const char *line)
{
	bool quoted = false;

	for (; *line && (quoted || !isspace((unsigned char)*line)); line++) {
		quoted ^= *line == '"';
		line += *line == '\\' && line[1];
	}
	return line;
}

static bool
has_patterns(const char *map)
{
	return strncmp(map, "regexp:", 7) == 0 || strncmp(map, "pcre:", 5) == 0;
}

static void
look_at_line(const struct look *look, const char *map, const char *line)
{
	const char *action = has_patterns(map) ? behind_pattern(line) : behind_key(line);

	if (action)
		look_at_action(look, map, line, action);
}

/* --- one table --- */

/* A line that begins with a blank goes on with the one before. */
static void
look_at_file(const struct look *look, const char *map, const char *file)
{
	AUTO_BUF struct buf whole = { 0 };
	FILE *in = fopen(file, "re");
	char *line = NULL;
	size_t room = 0;

	if (!in) {
		add_unread(look, map);
		return;
	}
	buf_init(&whole, MOST_BYTES);
	for (int n = 0; n < MOST_LINES && getline(&line, &room, in) != -1; n++) {
		const char *text = line + strspn(line, " \t\r\n");

		line[strcspn(line, "\r\n")] = '\0';
		if (*text == '#' || *text == '\0')
			continue;
		if (text == line) {
			look_at_line(look, map, buf_text(&whole));
			buf_done(&whole);
			buf_init(&whole, MOST_BYTES);
		}
		buf_add_text(&whole, line);
	}
	look_at_line(look, map, buf_text(&whole));
	free(line);
	(void)fclose(in);
}

static bool
is_file_type(const char *map, size_t len)
{
	static const char *const types[] = { "hash", "texthash", "lmdb", "btree", "cdb", "dbm", "sdbm", "regexp", "pcre", "cidr" };

	for (size_t i = 0; i < N_ELEMENTS(types); i++)
		if (strlen(types[i]) == len && strncmp(map, types[i], len) == 0)
			return true;
	return false;
}

/* "static:ACTION", "static:{ACTION}" */
static void
look_at_static(const struct look *look, const char *map)
{
	AUTO(xfree) char *action = xstrdup(map + strlen("static:"));
	const size_t len = strlen(action);

	if (len >= 2 && action[0] == '{' && action[len - 1] == '}')
		action[len - 1] = '\0';
	look_at_action(look, map, "", action + (*action == '{'));
}

/* "inline:{ { key = ACTION }, key=ACTION }", "regexp:{ { /pattern/ ACTION } }" */
static void
look_at_inline(const struct look *look, const char *map, const char *braces)
{
	AUTO_WORDS struct words rows = { 0 };

	words_inside(&rows, braces);
	for (size_t i = 0; i < rows.n; i++) {
		AUTO(xfree) char *row = xstrdup(rows.at[i]);
		const char *text = row, *equals;

		if (*row == '{') {
			row[strlen(row) - 1] = '\0';
			text = row + 1 + strspn(row + 1, " \t");
		}
		equals = strncmp(map, "inline:", 7) == 0 ? strchr(text, '=') : NULL;
		if (equals)
			look_at_action(look, map, "", equals + 1);
		else
			look_at_line(look, map, text);
	}
}

static void look_at_maps(const struct look *look, const char *text, int depth);

static void
look_at_map(const struct look *look, const char *written, int depth)
{
	const char *map = strncmp(written, "proxy:", 6) == 0 ? written + 6 : written, *name = strchr(map, ':');
	const size_t len = name ? (size_t)(name - map) : 0;
	const bool braces = name && name[1] == '{';

	if (strncmp(map, "static:", 7) == 0)
		look_at_static(look, map);
	else if (braces && depth < MOST_DEPTH && (strncmp(map, "unionmap:", 9) == 0 || strncmp(map, "pipemap:", 8) == 0))
		look_at_maps(look, name + 1, depth + 1);
	else if (braces && (strncmp(map, "inline:", 7) == 0 || is_file_type(map, len)))
		look_at_inline(look, map, name + 1);
	else if (name && name[1] == '/' && is_file_type(map, len))
		look_at_file(look, map, name + 1);
	else
		add_unread(look, written);
}

static void
look_at_maps(const struct look *look, const char *text, int depth)
{
	AUTO_WORDS struct words maps = { 0 };

	words_inside(&maps, text);
	for (size_t i = 0; i < maps.n; i++)
		look_at_map(look, maps.at[i], depth);
}

/* --- a service --- */

static void
look_at_checks(struct look *look, const struct values *cleanup)
{
	static const char *const parameters[] = { "header_checks", "mime_header_checks", "nested_header_checks", "body_checks" };
	const char *first = values_text(cleanup, parameters[0]);

	for (size_t i = 0; i < N_ELEMENTS(parameters); i++) {
		const char *text = values_text(cleanup, parameters[i]);

		look->parameter = parameters[i];
		/* $header_checks, by default */
		if (i == 0 || strcmp(text, first) != 0)
			look_at_maps(look, text, 0);
	}
}

/* "check_sender_access", "check_recipient_mx_access" */
static bool
asks_a_table(const char *word)
{
	const size_t len = strlen(word), end = strlen("_access");

	return strncasecmp(word, "check_", 6) == 0 && len > end && strcasecmp(word + len - end, "_access") == 0;
}

static void
look_at_list(const struct look *look, const char *text, int depth)
{
	const char *classes = values_text(look->service, "smtpd_restriction_classes");
	AUTO_WORDS struct words list = { 0 };

	words_split(&list, text);
	for (size_t i = 0; i < list.n; i++) {
		const char *word = list.at[i];
		const bool last = i + 1 == list.n;

		if (asks_a_table(word) && !last)
			look_at_map(look, list.at[++i], 0);
		else if (strcasecmp(word, "check_policy_service") == 0 && !last)
			add_unread(look, list.at[++i]);
		else if (text_has_word(classes, word) && depth < MOST_DEPTH)
			look_at_list(look, values_text(look->service, word), depth + 1);
		/* a table alone is one for the client, the sender ..., by the list that it stands in */
		else if (strchr(word, ':'))
			look_at_map(look, word, 0);
	}
}

void
turn_look(const struct values *service, const struct values *cleanup, struct turns *ret)
{
	static const char *const lists[] = {
		"smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_relay_restrictions",
		"smtpd_recipient_restrictions", "smtpd_data_restrictions", "smtpd_end_of_data_restrictions",
	};
	struct look look = { .service = service, .ret = ret };

	if (!text_has_word(values_text(service, "receive_override_options"), "no_header_body_checks"))
		look_at_checks(&look, cleanup);
	for (size_t i = 0; i < N_ELEMENTS(lists); i++) {
		look.parameter = lists[i];
		look_at_list(&look, values_text(service, lists[i]), 0);
	}
}

void
turns_done(struct turns *turns)
{
	for (size_t i = 0; i < turns->n; i++) {
		xfree(turns->at[i].where);
		xfree(turns->at[i].to);
	}
	xfree(turns->at);
	words_done(&turns->unread);
	*turns = (struct turns){ 0 };
}
