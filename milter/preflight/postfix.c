#include "milter/preflight/postfix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "milter/preflight/alias.h"
#include "milter/preflight/run.h"
#include "milter/preflight/swap.h"

/* --- asking postconf --- */

struct asking {
	const char *postconf, *folder;
	const struct config *config;
	struct postfix *mta;
};

/* What stands behind ": fatal: " or ": warning: ", NULL where the line has no such mark. */
static const char *
behind(const char *line, size_t *len, const char *mark)
{
	const char *at = memmem(line, *len, mark, strlen(mark));

	if (!at)
		return NULL;
	at += strlen(mark);
	*len -= (size_t)(at - line);
	return at;
}

/* Its last complaint, which names file and line. */
static int
broken(const struct asking *asking, const struct run *run, struct err *err)
{
	const char *text = buf_text(&run->err), *line, *said = "it says nothing";
	size_t len, said_len = strlen(said);

	while ((line = text_line(&text, &len))) {
		const char *fatal = behind(line, &len, ": fatal: ");

		said = fatal ? fatal : line;
		said_len = len;
	}
	return err_set(err, ERR_CONFIG, "Postfix's configuration in '%s' cannot be read by %s (exit %d): %.*s", asking->folder,
	    asking->postconf, run->status, (int)said_len, said);
}

/* postconf -c FOLDER WORDS... */
static int
ask(const struct asking *asking, const char *const *words, size_t n_words, struct run *ret, struct err *err)
{
	AUTO(xfree) const char **argv = xcalloc(n_words + 4, sizeof(*argv));

	argv[0] = asking->postconf;
	argv[1] = "-c";
	argv[2] = asking->folder;
	memcpy(argv + 3, words, n_words * sizeof(*words));
	if (run_program(argv, ret, err) == -1)
		return -1;
	return ret->status == 0 ? 0 : broken(asking, ret, err);
}

static int
ask_one(const struct asking *asking, const char *word, struct values *ret, enum origin origin, struct err *err)
{
	AUTO_RUN struct run run = { 0 };

	if (ask(asking, &word, 1, &run, err) == -1)
		return -1;
	values_parse(ret, buf_text(&run.out), origin);
	return 0;
}

static void
add_text(struct words *list, const char *text, size_t len)
{
	list->at = xrealloc(list->at, (list->n + 1) * sizeof(*list->at));
	list->at[list->n++] = xstrndup(text, len);
}

static void
take_warnings(struct postfix *mta, const char *text)
{
	const char *line;
	size_t len;

	while ((line = text_line(&text, &len))) {
		line = behind(line, &len, ": warning: ");
		if (line)
			add_text(&mta->warnings, line, len);
	}
}

static int
read_main(const struct asking *asking, struct err *err)
{
	AUTO_RUN struct run run = { 0 };
	struct values names = { 0 };
	const char *expand = "-x";
	int result = ask(asking, &expand, 1, &run, err);

	if (result == 0) {
		take_warnings(asking->mta, buf_text(&run.err));
		values_parse(&asking->mta->main, buf_text(&run.out), ORIGIN_DEFAULT);
		result = ask_one(asking, "-n", &names, ORIGIN_MAIN, err);
	}
	values_mark(&asking->mta->main, &names, ORIGIN_MAIN);
	values_done(&names);
	if (result == 0 && asking->mta->main.n == 0)
		return err_set(err, ERR_CONFIG, "'%s' names no parameter at all for '%s'; wanted Postfix's postconf", asking->postconf,
		    asking->folder);
	return result;
}

/* --- services --- */

static enum program
program_of(const char *command)
{
	static const struct {
		const char *name;
		enum program program;
	} programs[] = {
		{ "smtpd", PROGRAM_SMTPD }, { "cleanup", PROGRAM_CLEANUP }, { "pickup", PROGRAM_PICKUP },
		{ "smtp", PROGRAM_SMTP }, { "postscreen", PROGRAM_POSTSCREEN },
	};
	const size_t len = strcspn(command, " \t");

	for (size_t i = 0; i < N_ELEMENTS(programs); i++)
		if (strlen(programs[i].name) == len && strncmp(command, programs[i].name, len) == 0)
			return programs[i].program;
	return PROGRAM_OTHER;
}

static const char *
field(const struct values *fields, const char *key, const char *name)
{
	AUTO(xfree) char *whole = xasprintf("%s/%s", key, name);

	return values_text(fields, whole);
}

/* "y", "n", or "-": which means "y" for configurations as old as that. */
static bool
is_chrooted(const struct postfix *mta, const char *text)
{
	if (strcmp(text, "-") != 0)
		return strcmp(text, "n") != 0;
	return strtod(values_text(&mta->main, "compatibility_level"), NULL) < 1;
}

static void
add_service(const struct asking *asking, const struct values *fields, const char *key)
{
	struct postfix *mta = asking->mta;
	struct service *service;

	mta->services = xrealloc(mta->services, (mta->n_services + 1) * sizeof(*mta->services));
	service = &mta->services[mta->n_services++];
	*service = (struct service){
		.key = xstrdup(key), .name = xstrdup(field(fields, key, "service")), .type = xstrdup(field(fields, key, "type")),
		.program = program_of(field(fields, key, "command")), .chrooted = is_chrooted(mta, field(fields, key, "chroot")),
		.limit = xstrdup(field(fields, key, "process_limit")),
	};
}

static int
read_services(const struct asking *asking, struct err *err)
{
	struct values fields = { 0 };
	int result = ask_one(asking, "-F", &fields, ORIGIN_UNKNOWN, err);

	for (size_t i = 0; result == 0 && i < fields.n; i++) {
		const char *slash = strrchr(fields.at[i].name, '/');

		if (slash && strcmp(slash, "/service") == 0) {
			AUTO(xfree) char *key = xstrndup(fields.at[i].name, (size_t)(slash - fields.at[i].name));

			add_service(asking, &fields, key);
		}
	}
	values_done(&fields);
	if (result == 0 && asking->mta->n_services == 0)
		return err_set(err, ERR_CONFIG, "'%s/master.cf' has no service at all; wanted at least smtpd", asking->folder);
	return result;
}

/* "submission/inet/" of "submission/inet/smtpd_milters"; NULL: another service's. */
static const char *
override_name(const struct service *service, const char *whole)
{
	const size_t len = strlen(service->key);

	if (strncmp(whole, service->key, len) != 0 || whole[len] != '/' || strchr(whole + len + 1, '/'))
		return NULL;
	return whole + len + 1;
}

/* Postfix's own expansion, as if main.cf had the overrides: they count in other parameters' $names, too. */
static int
read_effective(const struct asking *asking, struct service *service, const struct words *options, const struct values *names,
    struct err *err)
{
	AUTO_RUN struct run run = { 0 };

	if (ask(asking, (const char *const *)options->at, options->n, &run, err) == -1)
		return err_wrap(err, "service %s", service->key);
	values_parse(&service->own, buf_text(&run.out), ORIGIN_DEFAULT);
	for (size_t i = 0; i < service->own.n; i++) {
		const struct value *main = values_find(&asking->mta->main, service->own.at[i].name);

		service->own.at[i].origin = main ? main->origin : ORIGIN_DEFAULT;
	}
	values_mark(&service->own, names, ORIGIN_OVERRIDE);
	return 0;
}

static int
read_overrides_of(const struct asking *asking, struct service *service, const struct values *overrides, struct err *err)
{
	AUTO_WORDS struct words options = { 0 };
	struct values names = { 0 };
	int result = 0;

	add_text(&options, "-x", 2);
	for (size_t i = 0; i < overrides->n; i++) {
		const char *name = override_name(service, overrides->at[i].name);
		AUTO(xfree) char *whole = name ? xasprintf("%s=%s", name, overrides->at[i].text) : NULL;

		if (!name)
			continue;
		add_text(&options, "-o", 2);
		add_text(&options, whole, strlen(whole));
		values_set(&names, slice_of(name), slice_of(""), ORIGIN_OVERRIDE);
	}
	if (names.n > 0)
		result = read_effective(asking, service, &options, &names, err);
	values_done(&names);
	return result;
}

static int
read_overrides(const struct asking *asking, struct err *err)
{
	struct postfix *mta = asking->mta;
	struct values overrides = { 0 };
	int result = ask_one(asking, "-P", &overrides, ORIGIN_OVERRIDE, err);

	for (size_t i = 0; result == 0 && i < mta->n_services; i++) {
		if (mta->services[i].program != PROGRAM_OTHER)
			result = read_overrides_of(asking, &mta->services[i], &overrides, err);
	}
	for (size_t i = 0; i < mta->n_services; i++)
		mta->services[i].values = mta->services[i].own.n ? &mta->services[i].own : &mta->main;
	values_done(&overrides);
	return result;
}

/* --- listeners --- */

static bool
is_loopback_name(const char *host)
{
	static const char *const names[] = { "localhost", "loopback-only", "::1", "[::1]", "127.", "[127." };

	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		const bool prefix = names[i][strlen(names[i]) - 1] == '.';

		if (prefix ? strncmp(host, names[i], strlen(names[i])) == 0 : strcmp(host, names[i]) == 0)
			return true;
	}
	return false;
}

bool
service_address(const struct service *service, char **host, char **port)
{
	const char *colon = strrchr(service->name, ':');

	if (strcmp(service->type, "inet") != 0)
		return false;
	*port = xstrdup(colon ? colon + 1 : service->name);
	*host = colon ? xstrndup(service->name, (size_t)(colon - service->name)) : xstrdup("");
	return true;
}

static bool
is_loopback(const struct postfix *mta, const struct service *service)
{
	AUTO_WORDS struct words interfaces = { 0 };
	AUTO(xfree) char *host = NULL;
	AUTO(xfree) char *port = NULL;

	if (!service_address(service, &host, &port))
		return strcmp(service->type, "unix") == 0;
	if (*host)
		return is_loopback_name(host);
	words_split(&interfaces, values_text(&mta->main, "inet_interfaces"));
	for (size_t i = 0; i < interfaces.n; i++)
		if (!is_loopback_name(interfaces.at[i]))
			return false;
	return interfaces.n > 0;
}

/* Does what is sent to `to` (struct endpoint's text) come out at this service, on whatever addresses it listens besides? */
static bool
leads_to(const char *to, const struct service *service)
{
	static const char *const hosts[] = { "", "all", "0.0.0.0", "::", "[::]", "*" };
	const char *colon = strrchr(to, ':');
	AUTO(xfree) char *host = NULL;
	AUTO(xfree) char *port = NULL;

	if (service->program != PROGRAM_SMTPD)
		return false;
	if (*to == '/') {
		const size_t len = strlen(service->name), path = strlen(to);

		return strcmp(service->type, "unix") == 0 && path > len && to[path - len - 1] == '/' && strcmp(to + path - len, service->name) == 0;
	}
	if (!colon || !service_address(service, &host, &port) || strcmp(port, colon + 1) != 0)
		return false;
	for (size_t i = 0; i < N_ELEMENTS(hosts); i++)
		if (strcmp(host, hosts[i]) == 0)
			return true;
	return is_loopback_name(host);
}

/* --- filters --- */

/* As the service sees it: from the queue folder, which is also its root where it is chrooted. */
static char *
milter_path(const struct postfix *mta, const struct service *service, const char *endpoint)
{
	const char *path = endpoint + strlen("unix:");

	if (strncmp(endpoint, "unix:", strlen("unix:")) != 0)
		return NULL;
	if (*path == '/' && !service->chrooted)
		return xstrdup(path);
	return xasprintf("%s/%s", mta->queue_folder, *path == '/' ? path + 1 : path);
}

static const struct role_traits *
role_at(const struct config *config, const char *path)
{
	for (const struct role_traits *role = role_table; role->name; role++)
		if (socket_is_same(path, role_settings(role, config)->socket))
			return role;
	return NULL;
}

static void
find_role(const struct config *config, struct milter *milter)
{
	const char *written = milter->endpoint + strlen("unix:");

	if (!milter->path)
		return;
	milter->role = role_at(config, milter->path);
	if (!milter->role && *written == '/') {
		milter->role = role_at(config, written);
		milter->astray = milter->role != NULL;
	}
}

static void
take_own(struct milter *milter, const char *word)
{
	AUTO_WORDS struct words pair = { 0 };
	const char *equals;

	words_inside(&pair, word);
	if (pair.n == 0)
		return;
	equals = strchr(pair.at[0], '=');
	if (!equals && pair.n == 1)
		return;
	/* { name = value } */
	if (!equals && pair.n == 3) {
		values_set(&milter->own, slice_of(pair.at[0]), slice_of(pair.at[2]), ORIGIN_UNKNOWN);
		return;
	}
	if (equals)
		values_set(&milter->own, (struct slice){ (const unsigned char *)pair.at[0], (size_t)(equals - pair.at[0]) },
		    slice_of(equals + 1), ORIGIN_UNKNOWN);
}

static void
add_milter(const struct asking *asking, struct service *service, const char *word)
{
	AUTO_WORDS struct words inside = { 0 };
	struct milter *milter;

	words_inside(&inside, word);
	if (inside.n == 0)
		return;
	service->milters = xrealloc(service->milters, (service->n_milters + 1) * sizeof(*service->milters));
	milter = &service->milters[service->n_milters++];
	*milter = (struct milter){ .endpoint = xstrdup(inside.at[0]) };
	for (size_t i = 1; i < inside.n; i++)
		take_own(milter, inside.at[i]);
	milter->path = milter_path(asking->mta, service, milter->endpoint);
	find_role(asking->config, milter);
	if (milter->path)
		socket_look(milter->path, asking->mta->owner.name ? &asking->mta->owner : NULL, &milter->socket);
}

static void
look_at_milters(const struct asking *asking, struct service *service)
{
	const bool smtpd = service->program == PROGRAM_SMTPD;
	AUTO_WORDS struct words list = { 0 };

	if (!smtpd && service->program != PROGRAM_CLEANUP)
		return;
	words_split(&list, service_text(service, smtpd ? "smtpd_milters" : "non_smtpd_milters"));
	service->off = smtpd && list.n > 0 && text_has_word(service_text(service, "receive_override_options"), "no_milters");
	for (size_t i = 0; i < list.n && !service->off; i++)
		add_milter(asking, service, list.at[i]);
}

static void
look_at_turns(const struct asking *asking, struct service *service)
{
	const char *name = service_text(service, "cleanup_service_name");
	const struct values *cleanup = &asking->mta->main;

	if (!asking->config->encrypt.use || service->program != PROGRAM_SMTPD
	    || !(service->from_split || service_milter(service, ROLE_SUBMISSION) || service_milter(service, ROLE_EGRESS)))
		return;
	for (size_t i = 0; i < asking->mta->n_services; i++)
		if (asking->mta->services[i].program == PROGRAM_CLEANUP && strcmp(asking->mta->services[i].name, name) == 0)
			cleanup = asking->mta->services[i].values;
	turn_look(service->values, cleanup, &service->turns);
}

static void
look_around(const struct asking *asking)
{
	const struct config *config = asking->config;
	struct postfix *mta = asking->mta;
	struct stat st;

	mta->queue_folder = xstrdup(values_text(&mta->main, "queue_directory"));
	/* Without such a user, what it may enter stays unknown, and is said to be. */
	(void)!user_find(values_text(&mta->main, "mail_owner"), &mta->owner);
	for (size_t i = 0; i < mta->n_services; i++) {
		mta->services[i].loopback = is_loopback(mta, &mta->services[i]);
		mta->services[i].release = *config->quarantine.certificate && leads_to(config->quarantine.release_to, &mta->services[i]);
		mta->services[i].from_split = config->encrypt.use && config->encrypt.split && leads_to(config->split.next_hop, &mta->services[i]);
		look_at_milters(asking, &mta->services[i]);
		look_at_turns(asking, &mta->services[i]);
	}
	if (stat(asking->config->tlspol.socket, &st) == 0)
		mta->tlspol_there = ANSWER_YES;
	else
		mta->tlspol_there = errno == ENOENT ? ANSWER_NO : ANSWER_UNKNOWN;
	alias_look(&mta->main, &mta->outside, &mta->unread);
	swap_look(SWAPS_FILE, BLOCK_FOLDER, &mta->swaps);
}

int
postfix_read(const char *postconf, const char *folder, const struct config *config, struct postfix *ret, struct err *err)
{
	const struct asking asking = { .postconf = postconf, .folder = folder, .config = config, .mta = ret };

	*ret = (struct postfix){ .folder = xstrdup(folder) };
	if (read_main(&asking, err) == 0 && read_services(&asking, err) == 0 && read_overrides(&asking, err) == 0) {
		look_around(&asking);
		return 0;
	}
	postfix_done(ret);
	return -1;
}

/* --- the end --- */

static void
milter_done(struct milter *milter)
{
	xfree(milter->endpoint);
	xfree(milter->path);
	values_done(&milter->own);
	socket_done(&milter->socket);
}

static void
service_done(struct service *service)
{
	for (size_t i = 0; i < service->n_milters; i++)
		milter_done(&service->milters[i]);
	xfree(service->milters);
	xfree(service->key);
	xfree(service->name);
	xfree(service->type);
	xfree(service->limit);
	values_done(&service->own);
	turns_done(&service->turns);
}

void
postfix_done(struct postfix *mta)
{
	for (size_t i = 0; i < mta->n_services; i++)
		service_done(&mta->services[i]);
	xfree(mta->services);
	xfree(mta->folder);
	xfree(mta->queue_folder);
	values_done(&mta->main);
	user_done(&mta->owner);
	words_done(&mta->warnings);
	words_done(&mta->outside);
	words_done(&mta->unread);
	words_done(&mta->swaps);
	*mta = (struct postfix){ 0 };
}

/* --- asking the facts --- */

const char *
service_text(const struct service *service, const char *name)
{
	return values_text(service->values, name);
}

const struct service *
postfix_service(const struct postfix *mta, enum program program)
{
	for (size_t i = 0; i < mta->n_services; i++)
		if (mta->services[i].program == program)
			return &mta->services[i];
	return NULL;
}

const struct milter *
service_milter(const struct service *service, enum role role)
{
	for (size_t i = 0; i < service->n_milters; i++)
		if (service->milters[i].role && service->milters[i].role->role == role)
			return &service->milters[i];
	return NULL;
}

bool
service_has_ours(const struct service *service)
{
	for (size_t i = 0; i < service->n_milters; i++)
		if (service->milters[i].role)
			return true;
	return false;
}

const char *
milter_text(const struct service *service, const struct milter *milter, const char *own, const char *parameter)
{
	const struct value *value = values_find(&milter->own, own);

	return value ? value->text : service_text(service, parameter);
}
