#include "milter/preflight/sendmail.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* Debian's has 60 KB. */
enum { FILE_BYTES = 4 * 1024 * 1024, LINE_BYTES = 64 * 1024 };

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

/* --- NAME=VALUE,NAME=VALUE --- */

/* Sendmail goes by the first letter: "I=segel" is InputMailFilters. */
struct key {
	char letter;
	const char *name;
};

static const struct key filter_keys[] = { { 'S', "S" }, { 'F', "F" }, { 'T', "T" }, { 0, NULL } };

static const struct key daemon_keys[] = {
	{ 'A', "Addr" }, { 'a', "Addr" }, { 'F', "Family" }, { 'f', "Family" }, { 'I', "InputMailFilters" }, { 'i', "InputMailFilters" },
	{ 'M', "Modify" }, { 'm', "Modify" }, { 'N', "Name" }, { 'n', "Name" }, { 'P', "Port" }, { 'p', "Port" },
	/* not judged; a capital letter may mean something else */
	{ 'B', "B" }, { 'b', "b" }, { 'C', "C" }, { 'c', "c" }, { 'D', "D" }, { 'd', "d" }, { 'L', "L" }, { 'l', "l" }, { 'O', "O" },
	{ 'q', "q" }, { 'Q', "Q" }, { 'R', "R" }, { 'r', "r" }, { 'S', "S" }, { 's', "s" }, { 'T', "T" }, { 't', "t" }, { 0, NULL },
};

static const char *
key_name(const struct key *keys, char letter)
{
	for (; keys->name; keys++)
		if (keys->letter == letter)
			return keys->name;
	return NULL;
}

static int
take_equate(struct values *ret, const struct key *keys, struct slice one, struct err *err)
{
	const unsigned char *equals = memchr(one.at, '=', one.len);
	const char *name = one.len ? key_name(keys, (char)one.at[0]) : NULL;

	if (one.len == 0)
		return 0;
	if (!equals || !name)
		return err_set(err, ERR_CONFIG, "has '%.*s', which Sendmail does not know there; wanted NAME=value between commas",
		    (int)(one.len < 60 ? one.len : 60), (const char *)one.at);
	/* The letters of two F= add up, of other keys the last counts. */
	if (values_find(ret, name))
		return err_set(err, ERR_CONFIG, "has %.*s= twice; wanted each key once", (int)(equals - one.at), (const char *)one.at);
	values_set(ret, slice_of(name), trimmed((const char *)equals + 1, one.len - (size_t)(equals + 1 - one.at)), ORIGIN_UNKNOWN);
	return 0;
}

/* Values have no comma of their own, unless in quotes, which m4 never writes. */
static int
take_equates(struct values *ret, const struct key *keys, const char *text, struct err *err)
{
	if (strpbrk(text, "\"\\"))
		return err_set(err, ERR_CONFIG, "has quotes or backslashes, which are not read here; write the value without them");
	while (*text) {
		const size_t len = strcspn(text, ",");

		if (take_equate(ret, keys, trimmed(text, len), err) == -1)
			return -1;
		text += len + (text[len] == ',');
	}
	return 0;
}

/* --- options --- */

/* What the rules ask for. */
static const char *const kept[] = {
	"AuthMechanisms", "AuthOptions", "CACertFile", "CACertPath", "CipherList", "DaemonPortOptions", "DontBlameSendmail", "InputMailFilters",
	"MaxDaemonChildren", "MaxMessageSize", "PrivacyOptions", "RejectNUL", "ServerCertFile", "ServerKeyFile", "SevenBitInput", "SuperSafe",
};

/* What Sendmail was built with, where the file has no such line. */
static const char usual_mechanisms[] = "EXTERNAL GSSAPI KERBEROS_V4 DIGEST-MD5 CRAM-MD5";

/* Its name in `kept`, NULL for another option. Sendmail takes either case, and as little of a name as is clear. */
static int
kept_name(struct slice name, const char **ret, struct err *err)
{
	*ret = NULL;
	for (size_t i = 0; i < N_ELEMENTS(kept) && name.len > 0; i++) {
		if (strncasecmp(kept[i], (const char *)name.at, name.len) != 0)
			continue;
		if (kept[i][name.len] == '\0') {
			*ret = kept[i];
			return 0;
		}
		return err_set(err, ERR_CONFIG, "option '%.*s': an abbreviation, perhaps of %s; write the whole name", (int)name.len,
		    (const char *)name.at, kept[i]);
	}
	return 0;
}

/* "O Name=value" */
static int
take_option(struct reading *reading, const char *line, struct err *err)
{
	const char *equals = strchr(line, '='), *name;
	struct slice value;

	if (line[1] != ' ' || line[2] == ' ')
		return err_set(err, ERR_CONFIG, "option of one letter, or badly spaced: wanted O Name=value, with one blank");
	if (!equals)
		return err_set(err, ERR_CONFIG, "option without '=': wanted O Name=value");
	if (kept_name(trimmed(line + 2, (size_t)(equals - line - 2)), &name, err) == -1)
		return -1;
	value = trimmed(equals + 1, strlen(equals + 1));
	if (name && strcmp(name, "DaemonPortOptions") == 0) {
		reading->daemons.at = xrealloc(reading->daemons.at, (reading->daemons.n + 1) * sizeof(*reading->daemons.at));
		reading->daemons.at[reading->daemons.n++] = slice_dup(value);
	} else if (name) {
		values_set(&reading->mta->options, slice_of(name), value, ORIGIN_MAIN);
	}
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

/* "local:/path", "unix:/path", "/path"; "inet:port@host" has none. */
static const char *
socket_path(const char *socket)
{
	static const char *const types[] = { "local:", "unix:", ":" };

	for (size_t i = 0; i < N_ELEMENTS(types); i++)
		if (strncasecmp(socket, types[i], strlen(types[i])) == 0)
			return socket + strlen(types[i]);
	return strchr(socket, ':') ? NULL : socket;
}

static void
find_socket(const struct config *config, struct cf_filter *filter)
{
	const char *path = socket_path(values_text(&filter->equates, "S"));

	if (!path)
		return;
	filter->path = xstrdup(path);
	filter->role = role_at(config, filter->path);
	socket_look(filter->path, NULL, &filter->socket);
	filter->unsafe = cf_unsafe_socket(filter->path);
}

static int
take_filter(struct reading *reading, const char *line, struct err *err)
{
	const size_t len = strcspn(line + 1, ", \t");
	AUTO(xfree) char *name = xstrndup(line + 1, len);
	struct sendmail *mta = reading->mta;
	struct cf_filter *filter;

	if (len == 0 || line[1 + len] != ',')
		return err_set(err, ERR_CONFIG, "a filter without settings: wanted Xname, S=socket, F=T, T=times");
	if (line[strlen(line) - 1] == ',')
		return err_set(err, ERR_CONFIG, "filter '%s' ends with a comma, with which Sendmail does not start; remove it", name);
	if (sendmail_filter(mta, name))
		return err_set(err, ERR_CONFIG, "filter '%s' is there twice; wanted one X line for each", name);
	mta->filters = xrealloc(mta->filters, (mta->n_filters + 1) * sizeof(*mta->filters));
	filter = &mta->filters[mta->n_filters++];
	*filter = (struct cf_filter){ .name = TAKE(name) };
	if (take_equates(&filter->equates, filter_keys, line + 1 + len + 1, err) == -1)
		return err_wrap(err, "filter '%s'", filter->name);
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

/* Where a comment begins: at any '#', but "\\#" and the "$#" of rules are none. */
static size_t
without_comment(const char *line, size_t len)
{
	for (size_t i = 1; i < len; i++)
		if (line[i] == '#' && line[i - 1] != '\\' && line[i - 1] != '$')
			return i;
	return len;
}

/* A line and those behind it that begin with a blank. False at the end of the text. */
static bool
next_line(const char **text, struct buf *ret, int *number)
{
	size_t len;
	const char *line = text_line(text, &len);

	if (!line)
		return false;
	ret->len = 0;
	buf_add(ret, line, without_comment(line, len));
	for (++*number; **text == ' ' || **text == '\t'; ++*number) {
		line = text_line(text, &len);
		buf_add(ret, line, without_comment(line, len));
	}
	while (ret->len > 0 && strchr(" \t\r", ret->at[ret->len - 1]))
		ret->at[--ret->len] = '\0';
	return true;
}

static int
read_lines(struct reading *reading, const char *text, struct err *err)
{
	AUTO_BUF struct buf line = { 0 };
	int number = 1, at = 1, result = 0;

	buf_init(&line, LINE_BYTES);
	while (result == 0 && next_line(&text, &line, &number)) {
		if (buf_full(&line))
			result = err_set(err, ERR_CONFIG, "has more than %d bytes with the lines that continue it", (int)LINE_BYTES);
		else
			result = take_line(reading, line.len ? buf_text(&line) : "", err);
		if (result == -1)
			(void)err_wrap(err, "'%s' line %d", reading->mta->file, at);
		at = number;
	}
	if (result == 0 && !reading->versioned)
		return err_set(err, ERR_CONFIG, "'%s' has no V line; wanted a sendmail.cf (the .mc file is what it is made from)", reading->mta->file);
	return result;
}

/* Not a folder, nor a pipe that nobody writes to. */
static int
open_file(const char *file, int *ret, struct err *err)
{
	AUTO_FD int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		return err_set(err, ERR_CONFIG, "'%s' cannot be read: %s", file, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_CONFIG, "'%s' is %s; wanted the file itself, such as /etc/mail/sendmail.cf", file,
		    S_ISDIR(st.st_mode) ? "a folder" : "no ordinary file");
	*ret = TAKE_FD(fd);
	return 0;
}

static int
read_text(const char *file, struct buf *ret, struct err *err)
{
	AUTO_FD int fd = -1;
	char some[16 * 1024];
	ssize_t n;

	if (open_file(file, &fd, err) == -1)
		return -1;
	while ((n = read(fd, some, sizeof(some))) > 0 && !buf_full(ret))
		buf_add(ret, some, (size_t)n);
	if (n == -1)
		return err_set(err, ERR_CONFIG, "'%s' cannot be read: %s", file, strerror(errno));
	if (buf_full(ret))
		return err_set(err, ERR_CONFIG, "'%s' has more than %d bytes; wanted a sendmail.cf", file, (int)FILE_BYTES);
	if (ret->len == 0)
		return err_set(err, ERR_CONFIG, "'%s' is empty; wanted a sendmail.cf", file);
	if (memchr(ret->at, '\0', ret->len))
		return err_set(err, ERR_CONFIG, "'%s' has a NUL after %zu bytes; wanted text only", file, strlen(buf_text(ret)));
	return 0;
}

/* --- listeners --- */

/* In a service's own list a semicolon stands for the comma. */
static void
split_filters(struct words *ret, const char *filters)
{
	while (*filters) {
		const size_t len = strcspn(filters, ";");
		AUTO(xfree) char *some = xstrndup(filters, len);

		words_split(ret, some);
		filters += len + (filters[len] == ';');
	}
}

static int
add_daemon(struct sendmail *mta, const char *text, struct err *err)
{
	struct cf_daemon *daemon;

	mta->daemons = xrealloc(mta->daemons, (mta->n_daemons + 1) * sizeof(*mta->daemons));
	daemon = &mta->daemons[mta->n_daemons++];
	*daemon = (struct cf_daemon){ 0 };
	if (take_equates(&daemon->keys, daemon_keys, text, err) == -1)
		return err_wrap(err, "'%s' DaemonPortOptions=%.60s", mta->file, text);
	daemon->own_filters = values_find(&daemon->keys, "InputMailFilters") != NULL;
	split_filters(&daemon->filters,
	    daemon->own_filters ? values_text(&daemon->keys, "InputMailFilters") : sendmail_option(mta, "InputMailFilters"));
	daemon->name = *values_text(&daemon->keys, "Name") ? xstrdup(values_text(&daemon->keys, "Name")) :
	    xasprintf("port %u", cf_daemon_port(daemon));
	return 0;
}

static int
add_daemons(struct reading *reading, struct err *err)
{
	for (size_t i = 0; i < reading->daemons.n; i++)
		if (add_daemon(reading->mta, reading->daemons.at[i], err) == -1)
			return -1;
	/* Without any line Sendmail listens on port 25. */
	return reading->daemons.n == 0 ? add_daemon(reading->mta, "Name=MTA", err) : 0;
}

static int
read_all(struct reading *reading, struct err *err)
{
	AUTO_BUF struct buf text = { 0 };
	struct sendmail *mta = reading->mta;

	buf_init(&text, FILE_BYTES);
	if (read_text(mta->file, &text, err) == -1 || read_lines(reading, buf_text(&text), err) == -1 || add_daemons(reading, err) == -1)
		return -1;
	if (!values_find(&mta->options, "AuthMechanisms"))
		values_set(&mta->options, slice_of("AuthMechanisms"), slice_of(usual_mechanisms), ORIGIN_DEFAULT);
	cf_look_at_files(mta);
	return 0;
}

int
sendmail_read(const char *file, const struct config *config, struct sendmail *ret, struct err *err)
{
	struct reading reading = { .config = config, .mta = ret };
	int result;

	*ret = (struct sendmail){ .file = xstrdup(file), .version = xstrdup("") };
	result = read_all(&reading, err);
	if (result == -1)
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
		xfree(mta->filters[i].unsafe);
		values_done(&mta->filters[i].equates);
		socket_done(&mta->filters[i].socket);
	}
	for (size_t i = 0; i < mta->n_daemons; i++) {
		xfree(mta->daemons[i].name);
		values_done(&mta->daemons[i].keys);
		words_done(&mta->daemons[i].filters);
	}
	for (size_t i = 0; i < mta->n_files; i++) {
		xfree(mta->files[i].path);
		xfree(mta->files[i].trouble);
	}
	xfree(mta->filters);
	xfree(mta->daemons);
	xfree(mta->files);
	xfree(mta->file);
	xfree(mta->version);
	values_done(&mta->options);
	*mta = (struct sendmail){ 0 };
}

/* --- asking the facts --- */

const char *
sendmail_option(const struct sendmail *mta, const char *name)
{
	bool known = false;

	for (size_t i = 0; i < N_ELEMENTS(kept); i++)
		known |= strcmp(kept[i], name) == 0;
	assert(known);
	return values_text(&mta->options, name);
}

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
	unsigned long number;

	if (!*port)
		return 25;
	/* Sendmail asks for no more than the digits: "587x" is 587. */
	if (isdigit((unsigned char)*port)) {
		number = strtoul(port, NULL, 10);
		return number < 65536 ? (unsigned)number : 0;
	}
	service = getservbyname(port, "tcp");
	return service ? ntohs((uint16_t)service->s_port) : 0;
}

bool
cf_daemon_has(const struct cf_daemon *daemon, char modifier)
{
	return strchr(values_text(&daemon->keys, "Modify"), modifier) != NULL;
}

bool
cf_daemon_is_loopback(const struct cf_daemon *daemon)
{
	static const char *const names[] = { "localhost", "::1", "[::1]", "IPv6:::1" };
	const char *address = values_text(&daemon->keys, "Addr"), *family = values_text(&daemon->keys, "Family");

	for (size_t i = 0; i < N_ELEMENTS(names); i++)
		if (strcasecmp(address, names[i]) == 0)
			return true;
	return strncmp(address, "127.", 4) == 0 || strncmp(address, "[127.", 5) == 0 || strcasecmp(family, "unix") == 0
	    || strcasecmp(family, "local") == 0;
}

bool
cf_daemon_is_submission(const struct cf_daemon *daemon)
{
	const unsigned port = cf_daemon_port(daemon);

	return port == 587 || port == 465 || cf_daemon_has(daemon, 'a');
}
