/* segel-keyd: the key agent. Holds the keys that seal and those that decrypt, records each intent, signs, opens content keys. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "milter/audit/audit.h"
#include "milter/command.h"
#include "milter/daemon.h"
#include "milter/keyd/agent.h"
#include "milter/keyd/memory.h"
#include "milter/keyd/server.h"
#include "milter/listen.h"
#include "milter/log.h"
#include "milter/priv.h"
#include "milter/sandbox.h"
#include "policy/config.h"
#include "smime/version.h"

static const char usage_text[] =
	"usage: segel-keyd [-c FILE] [-n | -d | -f]\n"
	"       segel-keyd -V\n"
	"\n"
	"  -c FILE     settings (" CONFIG_FILE ")\n"
	"  -n          check settings, keys and folders, then exit: 0 good, 1 not\n"
	"  -d          print the effective settings, defaults included, then exit\n"
	"  -f          stay in the foreground and log to standard error\n"
	"  -V          print the version and those of its libraries\n"
	"\n"
	"Signals: HUP reloads keys, limits, signers and unwrappers (a faulty file keeps the old; socket, user,\n"
	"folders and max_connections need a restart), TERM and INT finish the requests in hand, then exit.\n"
	"Exit status: 0 good, 1 not started or check failed, 2 wrong usage.\n";

enum {
	IDLE_MS = 5 * 60 * 1000,
	FRAME_MS = 5 * 1000,
	DRAIN_MS = 10 * 1000,
};

static const char audit_name[] = "segel-keyd";

struct daemon {
	char *file;   /* of the settings, absolute */
	struct listen_place place;
	struct audit *audit;
	struct agent *agent;
	struct server *server;
};

/* The settings of this program; `keys` (owned by the caller) backs part of them, `config` the rest. */
static void
settings_of(const struct config *config, struct keyd_settings *ret, struct keyd_key_settings **keys)
{
	size_t n;
	const struct keyd_key_setting *rows = config_keys(config, &n);

	*keys = xcalloc(n, sizeof(**keys));
	for (size_t i = 0; i < n; i++)
		(*keys)[i] = (struct keyd_key_settings){ rows[i].file, rows[i].passphrase_file, (enum key_purpose)rows[i].purpose,
			(unsigned)rows[i].limit, (const char *const *)rows[i].signers.at, rows[i].signers.n,
			(const char *const *)rows[i].unwrappers.at, rows[i].unwrappers.n };
	*ret = (struct keyd_settings){
		.socket = config->keyd.socket,
		.socket_group = config->keyd.socket_group,
		.user = config->keyd.user,
		.audit_dir = config->keyd.audit_dir,
		.signers = (const char *const *)config->keyd.signers.at,
		.n_signers = config->keyd.signers.n,
		.unwrappers = (const char *const *)config->keyd.unwrappers.at,
		.n_unwrappers = config->keyd.unwrappers.n,
		.max_connections = (unsigned)config->keyd.max_connections,
		.keys = *keys,
		.n_keys = n,
	};
}

static struct listen_wish
wish_of(const struct keyd_settings *settings)
{
	return (struct listen_wish){
		"segel-keyd",
		.path = { "keyd.socket", settings->socket },
		.user = { "keyd.user", settings->user },
		.group = { "keyd.socket_group", settings->socket_group },
	};
}

/* Everything a start would need, without touching anything. */
static int
check_settings(const struct keyd_settings *settings, struct err *err)
{
	AUTO(store_unref) struct store *store = NULL;
	const struct listen_wish wish = wish_of(settings);

	if (listen_check(&wish, err) == -1 || store_load(settings, &store, err) == -1)
		return -1;
	/* The rest as the user that will serve. */
	if (priv_drop(settings->user, err) == -1)
		return err_wrap(err, "keyd.user");
	if (access(settings->audit_dir, W_OK | X_OK) == -1)
		return err_set(err, ERR_CONFIG, "keyd.audit_dir: '%s': %s", settings->audit_dir, strerror(errno));
	return 0;
}

static int
check_file(const char *file, struct err *err)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO(xfree) struct keyd_key_settings *keys = NULL;
	struct keyd_settings settings;

	if (command_config(file, &config, err) == -1)
		return -1;
	settings_of(config, &settings, &keys);
	return check_settings(&settings, err);
}

static int
check_only(const struct command_line *line)
{
	struct err err = { .kind = ERR_NONE };
	const int result = check_file(line->file, &err);

	return command_checked("segel-keyd", line->file, result, &err);
}

/* Before keys are in memory. Not being able to lock it all is no reason to stop official mail. */
static int
guard_memory(struct err *err)
{
	struct err why = { .kind = ERR_NONE };

	if (memory_secure_heap(&why) == -1) {
		if (why.kind != ERR_CONFIG) {
			*err = why;
			return -1;
		}
		log_line(LOG_LEVEL_WARNING, "%s", why.text);
	}
	if (memory_lock(&why) == -1)
		log_line(LOG_LEVEL_WARNING, "%s", why.text);
	return priv_harden(err);
}

/* Not root any more, and what changing the user undid (not dumpable) done again. */
static int
give_up(const struct keyd_settings *settings, struct err *err)
{
	struct err why = { .kind = ERR_NONE };

	if (priv_drop(settings->user, err) == -1)
		return err_wrap(err, "keyd.user");
	if (priv_harden(err) == -1)
		return -1;
	if (sandbox_enter(&why) == -1)
		log_line(LOG_LEVEL_WARNING, "%s; going on without", why.text);
	return 0;
}

static int
record(struct daemon *daemon, const char *event, size_t n_keys, struct err *err)
{
	char keys[24], pid[24], syncs[24];
	const struct audit_pair pairs[] = { { "version", SEGEL_VERSION }, { "pid", pid }, { "keys", keys }, { "syncs", syncs } };

	snprintf(keys, sizeof(keys), "%zu", n_keys);
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	snprintf(syncs, sizeof(syncs), "%llu", (unsigned long long)audit_n_syncs(daemon->audit));
	return audit_append(daemon->audit, event, pairs, N_ELEMENTS(pairs), NULL, err);
}

static int
open_audit(struct daemon *daemon, const struct keyd_settings *settings, size_t n_keys, struct err *err)
{
	if (audit_open(settings->audit_dir, audit_name, &daemon->audit, err) == -1 ||
	    record(daemon, "start", n_keys, err) == -1)
		return err_wrap(err, "keyd.audit_dir");
	return 0;
}

static int
start_with(struct daemon *daemon, const struct keyd_settings *settings, struct err *err)
{
	const struct server_options options = { settings->max_connections, IDLE_MS, FRAME_MS };
	const struct listen_wish wish = wish_of(settings);
	AUTO(store_unref) struct store *store = NULL;
	AUTO_FD int listen_fd = -1;

	if (guard_memory(err) == -1 || store_load(settings, &store, err) == -1)
		return -1;
	if (listen_open(&wish, &daemon->place, &listen_fd, err) == -1 || give_up(settings, err) == -1)
		return -1;
	if (open_audit(daemon, settings, store_n_keys(store), err) == -1)
		return -1;
	daemon->agent = agent_new(daemon->audit, &store);
	return server_start(&listen_fd, daemon->agent, &options, &daemon->server, err);
}

static int
start(struct daemon *daemon, const struct command_line *line, struct err *err)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO(xfree) struct keyd_key_settings *keys = NULL;
	struct keyd_settings settings;

	if (command_config(daemon->file, &config, err) == -1)
		return -1;
	command_log("segel-keyd", line, config);
	settings_of(config, &settings, &keys);
	return start_with(daemon, &settings, err);
}

static void
daemon_done(struct daemon *daemon)
{
	listen_done(&daemon->place);
	agent_free(daemon->agent);
	audit_close(daemon->audit);
	free(daemon->file);
}

/* A new snapshot beside the old. */
static int
reload_store(struct daemon *daemon, struct err *err)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO(xfree) struct keyd_key_settings *keys = NULL;
	AUTO(store_unref) struct store *store = NULL;
	struct keyd_settings settings;

	if (command_config(daemon->file, &config, err) == -1)
		return -1;
	settings_of(config, &settings, &keys);
	if (store_load(&settings, &store, err) == -1)
		return err_wrap(err, "keys (those that only root may read are read at start: then restart)");
	if (record(daemon, "reload", store_n_keys(store), err) == -1)
		return -1;
	agent_replace_store(daemon->agent, &store);
	return 0;
}

static void
reload(void *ctx)
{
	struct daemon *daemon = ctx;
	struct err err = { .kind = ERR_NONE };

	if (reload_store(daemon, &err) == 0)
		log_line(LOG_LEVEL_INFO, "reloaded %s", daemon->file);
	else
		log_line(LOG_LEVEL_WARNING, "reload failed, using the old keys: %s", err.text);
}

static int
stop(struct daemon *daemon)
{
	struct err err = { .kind = ERR_NONE };

	if (!server_stop(&daemon->server, DRAIN_MS)) {
		log_line(LOG_LEVEL_WARNING, "stopped with requests in hand; their mail is deferred");
		listen_leave(&daemon->place);
		/* Their threads still use what we would free. */
		_exit(EXIT_SUCCESS);
	}
	if (record(daemon, "stop", 0, &err) == -1)
		log_line(LOG_LEVEL_ERROR, "the stop is not on record: %s", err.text);
	log_line(LOG_LEVEL_INFO, "stopped");
	return EXIT_SUCCESS;
}

/* A thread that died with the agent's lock would let this one hang, and the watchdog run out. */
static bool
is_healthy(void *ctx)
{
	const struct daemon *daemon = ctx;

	(void)agent_knows(daemon->agent, (uid_t)-1);
	return true;
}

static int
run(struct daemon *daemon)
{
	log_line(LOG_LEVEL_INFO, "segel-keyd %s serves '%s'", SEGEL_VERSION, daemon->place.path);
	daemon_live(is_healthy, reload, daemon);
	return stop(daemon);
}

static int
serve(const struct command_line *line)
{
	struct daemon daemon = { .file = NULL };
	struct err err = { .kind = ERR_NONE };
	int status;

	if (command_begin(line, &daemon.file, &err) == -1 || start(&daemon, line, &err) == -1)
		status = daemon_failed("segel-keyd", &err);
	else
		status = run(&daemon);
	daemon_done(&daemon);
	return status;
}

int
main(int argc, char **argv)
{
	static void (*const libraries[])(struct buf *ret) = { crypto_library, NULL };
	const struct command command = {
		.program = "segel-keyd", .usage = usage_text, .libraries = libraries, .check = check_only, .serve = serve,
	};

	return command_main(&command, argc, argv);
}
