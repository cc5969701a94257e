/* segel-tlspol: tells Postfix what to demand of the servers that it hands mail to. */
#include <stdlib.h>

#include "milter/command.h"
#include "milter/daemon.h"
#include "milter/listen.h"
#include "milter/log.h"
#include "milter/priv.h"
#include "milter/sandbox.h"
#include "milter/tlspol/server.h"
#include "policy/config.h"

static const char usage_text[] =
	"usage: segel-tlspol [-c FILE] [-n | -d | -f]\n"
	"       segel-tlspol -V\n"
	"\n"
	"  -c FILE     settings (" CONFIG_FILE ")\n"
	"  -n          check settings, folder and registry, then exit: 0 good, 1 not\n"
	"  -d          print the effective settings, defaults included, then exit\n"
	"  -f          stay in the foreground and log to standard error\n"
	"  -V          print the version and those of its libraries\n"
	"\n"
	"Signals: HUP reloads the settings (a faulty file keeps the old ones; socket, user and max_connections\n"
	"need a restart), TERM and INT end it. What officers change in the registry counts at once.\n"
	"Exit status: 0 good, 1 not started or check failed, 2 wrong usage.\n";

struct daemon {
	char *file;   /* of the settings, absolute */
	struct listen_place place;
	struct tls_server *server;
};

static int
open_answerer(const struct config *config, struct answerer **ret, struct err *err)
{
	const struct answerer_settings settings = {
		.registry = config->registry.file,
		.timeout_ms = (int)config->registry.timeout,
		.map = config->tlspol.map,
		.minimum = (enum tls_version)config->tls.minimum,
	};

	return answerer_open(&settings, ret, err) == -1 ? err_wrap(err, "registry.file") : 0;
}

static struct server_limits
limits_of(const struct config *config)
{
	return (struct server_limits){
		.max_connections = (unsigned)config->tlspol.max_connections,
		.idle_ms = (int)config->tlspol.idle,
		.timeout_ms = (int)config->tlspol.timeout,
	};
}

static struct listen_wish
wish_of(const struct config *config)
{
	return (struct listen_wish){
		"segel-tlspol",
		.path = { "tlspol.socket", config->tlspol.socket },
		.user = { "tlspol.user", config->tlspol.user },
		.group = { "tlspol.socket_group", config->tlspol.socket_group },
	};
}

/* Everything a start would need, without touching anything. */
static int
check_settings(const char *file, struct err *err)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO(answerer_close) struct answerer *answerer = NULL;
	struct listen_wish wish;

	if (command_config(file, &config, err) == -1)
		return -1;
	wish = wish_of(config);
	if (listen_check(&wish, err) == -1)
		return -1;
	/* The rest as the user that will serve. */
	if (priv_drop(config->tlspol.user, err) == -1)
		return err_wrap(err, "tlspol.user");
	return open_answerer(config, &answerer, err);
}

static int
check_only(const struct command_line *line)
{
	struct err err = { .kind = ERR_NONE };
	const int result = check_settings(line->file, &err);

	return command_checked("segel-tlspol", line->file, result, &err);
}

/* Not root any more. */
static int
give_up(const struct config *config, struct err *err)
{
	struct err why = { .kind = ERR_NONE };

	if (priv_drop(config->tlspol.user, err) == -1)
		return err_wrap(err, "tlspol.user");
	if (priv_harden(err) == -1)
		return -1;
	if (sandbox_enter(&why) == -1)
		log_line(LOG_LEVEL_WARNING, "%s; going on without", why.text);
	return 0;
}

static int
start(struct daemon *daemon, const struct command_line *line, struct err *err)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO(answerer_close) struct answerer *answerer = NULL;
	AUTO_FD int listen_fd = -1;
	struct server_limits limits;
	struct listen_wish wish;

	if (command_config(daemon->file, &config, err) == -1)
		return -1;
	command_log("segel-tlspol", line, config);
	wish = wish_of(config);
	if (listen_open(&wish, &daemon->place, &listen_fd, err) == -1 || give_up(config, err) == -1)
		return -1;
	if (open_answerer(config, &answerer, err) == -1)
		return -1;
	limits = limits_of(config);
	return tls_server_start(&listen_fd, &answerer, &limits, &daemon->server, err);
}

static void
daemon_done(struct daemon *daemon)
{
	listen_done(&daemon->place);
	free(daemon->file);
}

/* A new snapshot beside the old. */
static int
reload_settings(struct daemon *daemon, struct err *err)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO(answerer_close) struct answerer *answerer = NULL;
	struct server_limits limits;

	if (command_config(daemon->file, &config, err) == -1 || open_answerer(config, &answerer, err) == -1)
		return -1;
	limits = limits_of(config);
	tls_server_replace(daemon->server, &answerer, &limits);
	log_level_set((enum log_level)config->log.level);
	return 0;
}

static void
reload(void *ctx)
{
	struct daemon *daemon = ctx;
	struct err err = { .kind = ERR_NONE };

	if (reload_settings(daemon, &err) == 0)
		log_line(LOG_LEVEL_INFO, "reloaded %s", daemon->file);
	else
		log_line(LOG_LEVEL_WARNING, "reload failed, using the old settings: %s", err.text);
}

/* A thread that died with the lock, or hangs, would let this one hang, and the watchdog run out. */
static bool
is_healthy(void *ctx)
{
	tls_server_touch(((const struct daemon *)ctx)->server);
	return true;
}

static int
run(struct daemon *daemon)
{
	log_line(LOG_LEVEL_INFO, "segel-tlspol %s serves '%s'", SEGEL_VERSION, daemon->place.path);
	daemon_live(is_healthy, reload, daemon);
	tls_server_stop(daemon->server);
	log_line(LOG_LEVEL_INFO, "stopped");
	return EXIT_SUCCESS;
}

static int
serve(const struct command_line *line)
{
	struct daemon daemon = { .file = NULL };
	struct err err = { .kind = ERR_NONE };
	int status;

	if (command_begin(line, &daemon.file, &err) == -1 || start(&daemon, line, &err) == -1)
		status = daemon_failed("segel-tlspol", &err);
	else
		status = run(&daemon);
	daemon_done(&daemon);
	return status;
}

int
main(int argc, char **argv)
{
	static void (*const libraries[])(struct buf *ret) = { config_library, registry_library, NULL };
	const struct command command = {
		.program = "segel-tlspol", .usage = usage_text, .libraries = libraries, .check = check_only, .serve = serve,
	};

	return command_main(&command, argc, argv);
}
