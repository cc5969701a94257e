#include "milter/preflight/sendmail.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_LINES = 200000, LINE_BYTES = 64 * 1024 };

struct reading {
	const struct config *config;
	struct sendmail *mta;
	struct words daemons; /* the values of DaemonPortOptions, in their order */
	bool versioned;       /* there is a V line: this is a sendmail.cf */
};

static struct slice
trimmed(const char *text, size_t len)
{
	return slice_trim((struct slice){ (const unsigned char *)text, len });
}

/* "NAME=VALUE" of a comma list: values keep their own commas only in T's semicolons, so a comma ends them. */
static void
take_equates(struct values *ret, const char *text)
{
	while (*text) {
		const size_t len = strcspn(text, ",");
		const char *equals = memchr(text, '=', len);

		if (equals)
			values_set(ret, trimmed(text, (size_t)(equals - text)), trimmed(equals + 1, len - (size_t)(equals + 1 - text)), ORIGIN_UNKNOWN);
		text += len + (text[len] == ',');
	}
}

/* --- options --- */

/* "O Name=value"; the letters of old files (Oxvalue) are known to nobody who wrote a milter into one. */
static int
take_option(struct reading *reading, const char *line, struct err *err)
{
	const char *equals = strchr(line, '=');
	struct slice name;

	if (line[1] != ' ')
		return 0;
	if (!equals)
		return err_set(err, ERR_CONFIG, "option without '=': wanted O Name=value");
	name = trimmed(line + 2, (size_t)(equals - line - 2));
	if (slice_equal_nocase(name, "DaemonPortOptions")) {
		reading->daemons.at = xrealloc(reading->daemons.at, (reading->daemons.n + 1) * sizeof(*reading->daemons.at));
		reading->daemons.at[reading->daemons.n++] = xstrdup(equals + 1);
		return 0;
	}
	values_set(&reading->mta->options, name, trimmed(equals + 1, strlen(equals + 1)), ORIGIN_MAIN);
	return 0;
}

/* --- filters --- */

static const struct role_traits *
role_at(const struct config *config, const char *path)
{
	for (const struct role_traits *role = role_table; role->name; role++)
		if (socket_is_same(path, role_settings(role, config)->socket))
			return role;
	return NULL;
}

static void
find_socket(const struct config *config, struct cf_filter *filter)
{
	const char *socket = values_text(&filter->equates, "S"), *colon = strchr(socket, ':');

	if (!colon || (strncmp(socket, "local:", 6) != 0 && strncmp(socket, "unix:", 5) != 0))
		return;
	filter->path = xstrdup(colon + 1);
	filter->role = role_at(config, filter->path);
	socket_look(filter->path, NULL, &filter->socket);
}

static int
take_filter(struct reading *reading, const char *line, struct err *err)
{
	const size_t len = strcspn(line + 1, ", \t");
	struct sendmail *mta = reading->mta;
	struct cf_filter *filter;

	if (len == 0 || line[1 + len] != ',')
		return err_set(err, ERR_CONFIG, "a filter without settings: wanted Xname, S=socket, F=T, T=times");
	mta->filters = xrealloc(mta->filters, (mta->n_filters + 1) * sizeof(*mta->filters));
	filter = &mta->filters[mta->n_filters++];
	*filter = (struct cf_filter){ .name = xstrndup(line + 1, len) };
	take_equates(&filter->equates, line + 1 + len + 1);
	if (!*values_text(&filter->equates, "S"))
		return err_set(err, ERR_CONFIG, "filter '%s' has no socket: wanted S=local:/path", filter->name);
	find_socket(reading->config, filter);
	return 0;
}

/* --- lines --- */

static int
take_line(struct reading *reading, const char *line, struct err *err)
{
	switch (line[0]) {
	case 'O':
		return take_option(reading, line, err);
	case 'X':
		return take_filter(reading, line, err);
	case 'V':
		reading->versioned = true;
		return 0;
	case 'D':
		if (line[1] == 'Z') {
			xfree(reading->mta->version);
			reading->mta->version = xstrdup(line + 2);
		}
		return 0;
	case '\0':
		return 0;
	default:
		break;
	}
	if (strchr("#CFEHKLMPQRST", line[0]))
		return 0;
	return err_set(err, ERR_CONFIG, "begins with '%c', which no line of a sendmail.cf does",
	    isprint((unsigned char)line[0]) ? line[0] : '?');
}

/* A line and those behind it that begin with a blank. */
static bool
next_line(FILE *in, char **ahead, struct buf *ret, int *number)
{
	size_t room = 0;

	ret->len = 0;
	if (!*ahead)
		return false;
	buf_add(ret, *ahead, strcspn(*ahead, "\r\n"));
	for (;;) {
		free(*ahead);
		*ahead = NULL;
		room = 0;
		if (getline(ahead, &room, in) == -1 || *number > MOST_LINES) {
			free(*ahead);
			*ahead = NULL;
			return true;
		}
		++*number;
		if (**ahead != ' ' && **ahead != '\t')
			return true;
		buf_add(ret, *ahead, strcspn(*ahead, "\r\n"));
	}
}

static int
read_lines(struct reading *reading, FILE *in, struct err *err)
{
	AUTO_BUF struct buf line = { 0 };
	char *ahead = NULL;
	size_t room = 0;
	int number = 1, at = 1, result = 0;

	buf_init(&line, LINE_BYTES);
	if (getline(&ahead, &room, in) == -1) {
		free(ahead);
		return err_set(err, ERR_CONFIG, "'%s' is empty; wanted a sendmail.cf", reading->mta->file);
	}
	while (result == 0 && next_line(in, &ahead, &line, &number)) {
		result = take_line(reading, buf_text(&line), err);
		if (result == -1)
			(void)err_wrap(err, "'%s' line %d", reading->mta->file, at);
		at = number;
	}
	free(ahead);
	if (result == 0 && !reading->versioned)
		return err_set(err, ERR_CONFIG, "'%s' has no V line; wanted a sendmail.cf (the .mc file is what it is made from)", reading->mta->file);
	return result;
}

/* --- listeners --- */

static void
add_daemon(struct sendmail *mta, const char *text)
{
	struct cf_daemon *daemon;
	const char *filters;

	mta->daemons = xrealloc(mta->daemons, (mta->n_daemons + 1) * sizeof(*mta->daemons));
	daemon = &mta->daemons[mta->n_daemons++];
	*daemon = (struct cf_daemon){ 0 };
	take_equates(&daemon->keys, text);
	daemon->own_filters = values_find(&daemon->keys, "InputMailFilters") != NULL;
	filters = values_text(daemon->own_filters ? &daemon->keys : &mta->options, "InputMailFilters");
	/* In a service's own list a semicolon stands for the comma. */
	for (const char *at = filters; *at;) {
		const size_t len = strcspn(at, ";");
		AUTO(xfree) char *some = xstrndup(at, len);

		words_split(&daemon->filters, some);
		at += len + (at[len] == ';');
	}
	daemon->name = *values_text(&daemon->keys, "Name") ? xstrdup(values_text(&daemon->keys, "Name")) :
	    xasprintf("port %u", cf_daemon_port(daemon));
}

static void
add_daemons(struct reading *reading)
{
	for (size_t i = 0; i < reading->daemons.n; i++)
		add_daemon(reading->mta, reading->daemons.at[i]);
	/* Without any line Sendmail listens on port 25. */
	if (reading->daemons.n == 0)
		add_daemon(reading->mta, "Name=MTA");
}

int
sendmail_read(const char *file, const struct config *config, struct sendmail *ret, struct err *err)
{
	struct reading reading = { .config = config, .mta = ret };
	FILE *in = fopen(file, "re");
	int result;

	if (!in)
		return err_set(err, ERR_CONFIG, "'%s' cannot be read: %s", file, strerror(errno));
	*ret = (struct sendmail){ .file = xstrdup(file), .version = xstrdup("") };
	result = read_lines(&reading, in, err);
	(void)fclose(in);
	if (result == 0)
		add_daemons(&reading);
	else
		sendmail_done(ret);
	words_done(&reading.daemons);
	return result;
}

void
sendmail_done(struct sendmail *mta)
{
	for (size_t i = 0; i < mta->n_filters; i++) {
		xfree(mta->filters[i].name);
		xfree(mta->filters[i].path);
		values_done(&mta->filters[i].equates);
		socket_done(&mta->filters[i].socket);
	}
	for (size_t i = 0; i < mta->n_daemons; i++) {
		xfree(mta->daemons[i].name);
		values_done(&mta->daemons[i].keys);
		words_done(&mta->daemons[i].filters);
	}
	xfree(mta->filters);
	xfree(mta->daemons);
	xfree(mta->file);
	xfree(mta->version);
	values_done(&mta->options);
	*mta = (struct sendmail){ 0 };
}

/* --- asking the facts --- */

const struct cf_filter *
sendmail_filter(const struct sendmail *mta, const char *name)
{
	for (size_t i = 0; i < mta->n_filters; i++)
		if (strcmp(mta->filters[i].name, name) == 0)
			return &mta->filters[i];
	return NULL;
}

unsigned
cf_daemon_port(const struct cf_daemon *daemon)
{
	const char *port = values_text(&daemon->keys, "Port");
	const struct servent *service;
	long long number;

	if (!*port)
		return 25;
	if (text_number(port, &number))
		return number < 65536 ? (unsigned)number : 0;
	service = getservbyname(port, "tcp");
	return service ? ntohs((uint16_t)service->s_port) : 0;
}

bool
cf_daemon_has(const struct cf_daemon *daemon, char modifier)
{
	const struct value *modifiers = values_find(&daemon->keys, "M");

	if (!modifiers)
		modifiers = values_find(&daemon->keys, "Modify");
	return modifiers && strchr(modifiers->text, modifier);
}

bool
cf_daemon_is_submission(const struct cf_daemon *daemon)
{
	const unsigned port = cf_daemon_port(daemon);

	return port == 587 || port == 465 || cf_daemon_has(daemon, 'a');
}
