/* segelctl local: what the MTA must know about mail that comes without SMTP (role local). */
#include <string.h>
#include <strings.h>

#include "milter/ctl/ctl.h"
#include "milter/ctl/nouns.h"
#include "policy/config.h"
#include "policy/registry/registry.h"

/*
 * A regexp table for Postfix's local_login_sender_maps: from UNIX login to the envelope senders that
 * postdrop(1) lets it claim (postconf(5)). Role local believes an envelope sender because of this table, so
 * it gives a listed address to nobody but its user.
 */
struct map {
	struct ctl *ctl;
	const struct local_sender_setting *rows;
	size_t n;
};

/* The login and no other, in its own case; the table's patterns match in either case otherwise. */
static void
print_login(FILE *out, const char *login, const char *flags)
{
	fputs("/^", out);
	for (; *login; login++) {
		if (strchr("\\/^$.[]|()?*+{}", *login))
			fputc('\\', out);
		fputc(*login, out);
	}
	fprintf(out, "$/%s ", flags);
}

static void
print_also(const struct map *map)
{
	const char *pattern;

	for (size_t i = 0; (pattern = ctl_option_nth(map->ctl, "also", i)); i++)
		fprintf(map->ctl->out, " %s", pattern);
	fputc('\n', map->ctl->out);
}

static bool
has_local_part(const char *address, const char *name)
{
	size_t len = strlen(name);

	return strncasecmp(address, name, len) == 0 && address[len] == '@';
}

/* A bare login stands for its address in the MTA's own domain: that must not be another user's listed one. */
static bool
name_is_anothers(const struct map *map, const char *login)
{
	for (size_t i = 0; i < map->n; i++)
		for (size_t j = 0; strcmp(map->rows[i].user, login) != 0 && j < map->rows[i].from.n; j++)
			if (has_local_part(map->rows[i].from.at[j], login))
				return true;
	return false;
}

static bool
is_user(const struct map *map, const char *login, size_t below)
{
	for (size_t i = 0; i < below; i++)
		if (strcmp(map->rows[i].user, login) == 0)
			return true;
	return false;
}

/* All rows of a user together: the first line that fits decides. */
static void
print_user(const struct map *map, const char *user)
{
	FILE *out = map->ctl->out;

	print_login(out, user, "i");
	fputs("<>", out);
	if (!name_is_anothers(map, user))
		fprintf(out, " %s", user);
	for (size_t i = 0; i < map->n; i++)
		for (size_t j = 0; strcmp(map->rows[i].user, user) == 0 && j < map->rows[i].from.n; j++)
			fprintf(out, " %s", map->rows[i].from.at[j]);
	print_also(map);
}

/* A login that is called like a listed address may not use its own name. */
static void
print_guard(const struct map *map, const char *address)
{
	AUTO(xfree) char *name = xstrndup(address, strcspn(address, "@"));

	if (is_user(map, name, map->n))
		return;
	print_login(map->ctl->out, name, "");
	fputs("<>", map->ctl->out);
	print_also(map);
}

static void
print_map(const struct map *map)
{
	fputs("# Which envelope senders a UNIX login may claim with the sendmail command. Made by\n"
	      "# `segelctl local sender-map` from local.senders; make it again when those change. In main.cf:\n"
	      "#   local_login_sender_maps = regexp:/etc/postfix/segel-senders\n"
	      "# then `postfix reload`. Without it whoever has a shell here could have mail sealed.\n", map->ctl->out);
	for (size_t i = 0; i < map->n; i++)
		if (!is_user(map, map->rows[i].user, i))
			print_user(map, map->rows[i].user);
	for (size_t i = 0; i < map->n; i++)
		for (size_t j = 0; j < map->rows[i].from.n; j++)
			print_guard(map, map->rows[i].from.at[j]);
	fputs("/^(.+)$/ <> $1", map->ctl->out);
	print_also(map);
}

/* A domain below that of a listed address: masquerade_domains would turn one into the other. */
static bool
is_below(const char *domain, const char *listed)
{
	size_t len = strlen(domain), tail = strlen(listed);

	return len > tail && domain[len - tail - 1] == '.' && strcmp(domain + len - tail, listed) == 0;
}

/* Both in the form that addresses are compared in; `pattern` is "@domain" or "user@domain". */
static bool
gives_away(const char *pattern, const char *listed)
{
	const char *domain = strrchr(pattern, '@'), *listed_domain = strrchr(listed, '@');

	return strcmp(domain == pattern ? listed_domain : listed, pattern) == 0 || is_below(domain + 1, listed_domain + 1);
}

/* "@domain" or "user@domain" in that form, without an end that Postfix would take off later. */
static bool
pattern_form(const char *pattern, char ret[LIMIT_ADDRESS_BYTES + 1])
{
	const size_t len = strlen(pattern);

	if (len < 2 || len >= LIMIT_ADDRESS_BYTES || pattern[len - 1] == '.' || strpbrk(pattern, "+*$<>"))
		return false;
	if (*pattern != '@')
		return address_normalise(pattern, true, ret);
	*ret = '@';
	return len < LIMIT_ADDRESS_BYTES - 2 && domain_normalise(pattern + 1, ret + 1);
}

/* Holding no listed address, nor one that could become it. */
static const char *
fault_of(const struct map *map, const char *pattern)
{
	char form[LIMIT_ADDRESS_BYTES + 2], listed[LIMIT_ADDRESS_BYTES + 1];

	if (!pattern_form(pattern, form))
		return "wanted @domain or user@domain, without an extension and without a dot at the end";
	for (size_t i = 0; i < map->n; i++)
		for (size_t j = 0; j < map->rows[i].from.n; j++)
			if (!address_normalise(map->rows[i].from.at[j], true, listed) || gives_away(form, listed))
				return "it holds an address of local.senders, which is its user's alone, or lies below its domain";
	return NULL;
}

static enum ctl_exit
check_also(const struct map *map)
{
	const char *pattern, *fault;

	for (size_t i = 0; (pattern = ctl_option_nth(map->ctl, "also", i)); i++) {
		fault = fault_of(map, pattern);
		if (fault)
			return ctl_fail(map->ctl, CTL_USAGE, "--also '%s': %s", pattern, fault);
	}
	return CTL_OK;
}

static enum ctl_exit
sender_map(struct ctl *ctl)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf problems = { 0 };
	struct map map = { .ctl = ctl };
	enum ctl_exit result;

	buf_init(&problems, 64 * 1024);
	if (config_load(ctl->config_file ? ctl->config_file : CONFIG_FILE, &config, &problems) == -1) {
		fputs(buf_text(&problems), ctl->err);
		return ctl_fail(ctl, CTL_UNAVAILABLE, "the settings cannot be read");
	}
	map.rows = config->local.senders.rows;
	map.n = config->local.senders.n;
	if (map.n == 0)
		return ctl_fail(ctl, CTL_FALSE, "local.senders is empty: nothing is sealed that comes without SMTP, and no map is wanted");
	result = check_also(&map);
	if (result == CTL_OK)
		print_map(&map);
	return result;
}

static const struct ctl_option options[] = {
	{ .name = "also", .meta = "PATTERN", .help = "envelope senders that every login may claim too: @domain or user@domain", .many = true },
	{ .name = NULL },
};

const struct ctl_command ctl_local_commands[] = {
	{ "sender-map", CTL_PLAIN, { NULL }, options,
	  "print Postfix's map of envelope senders by UNIX login (local_login_sender_maps), from local.senders", sender_map },
	{ .run = NULL },
};
