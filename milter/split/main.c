/*
 * segel-split: Postfix's content filter behind the queue. Takes each message for one recipient, encrypts it for that one where
 * policy says so, hands it back to Postfix, and answers 250 only after Postfix did. Holds no key and stores no mail.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "milter/command.h"
#include "milter/daemon.h"
#include "milter/listen.h"
#include "milter/log.h"
#include "milter/priv.h"
#include "milter/split/deliver.h"
#include "milter/split/server.h"
#include "policy/endpoint.h"
#include "smime/gm.h"
#include "smime/process.h"
#include "smime/version.h"

static const char usage_text[] =
	"usage: segel-split [-c FILE] [-n | -d | -f]\n"
	"       segel-split -V\n"
	"\n"
	"  -c FILE     settings (" CONFIG_FILE ")\n"
	"  -n          check settings, folders, registry and trusted authorities, then exit: 0 good, 1 not\n"
	"  -d          print the effective settings, defaults included, then exit\n"
	"  -f          stay in the foreground and log to standard error\n"
	"  -V          print the version and those of its libraries\n"
	"\n"
	"Signals: HUP reloads the settings (a faulty file keeps the old ones; socket, user, state_dir and\n"
	"max_connections need a restart), TERM and INT end it; messages in hand get split.drain to finish.\n"
	"Exit status: 0 good, 1 not started or check failed, 2 wrong usage.\n";

enum { BACKLOG = 128 };

struct daemon {
	char *file;   /* of the settings, absolute */
	struct listen_place place; /* none: a port */
	char *told;   /* where it listens, for the log */
	struct station station;
	struct split_server *server;
};

static int
load(const char *file, struct split_snapshot **ret, struct err *err)
{
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, 64 * 1024);
	if (split_snapshot_load(file, ret, &problems) == -1)
		return config_err(&problems, err);
	return 0;
}

/* Once before serving, so that no message waits for it. */
static int
load_trust(struct split_snapshot *snapshot, struct err *err)
{
	const struct trust_held *held = trust_watch_ref(snapshot->trust, time(NULL), err);

	if (!held)
		return err_wrap(err, "trust.dir");
	trust_watch_unref(snapshot->trust, held);
	return 0;
}

static struct listen_wish
wish_of(const struct config *config)
{
	return (struct listen_wish){
		"segel-split",
		.path = { "split.socket", config->split.socket },
		.user = { "split.user", config->split.user },
		.group = { "split.socket_group", config->split.socket_group },
	};
}

/* Everything a start would need, without touching anything. */
static int
check_settings(const char *file, struct err *err)
{
	AUTO(split_snapshot_free) struct split_snapshot *snapshot = NULL;
	AUTO(config_free) struct config *config = NULL;
	struct listen_wish wish;

	if (command_config(file, &config, err) == -1)
		return -1;
	wish = wish_of(config);
	if (*config->split.socket == '/' && listen_check(&wish, err) == -1)
		return -1;
	/* The rest as the user that will serve. */
	if (priv_drop(config->split.user, err) == -1)
		return err_wrap(err, "split.user");
	if (access(config->split.state_dir, W_OK | X_OK) == -1)
		return err_set(err, ERR_CONFIG, "split.state_dir: '%s': %s; create the folder for %s, mode 0750", config->split.state_dir,
		    strerror(errno), config->split.user);
	return load(file, &snapshot, err) == -1 ? -1 : load_trust(snapshot, err);
}

static int
check_only(const struct command_line *line)
{
	struct err err = { .kind = ERR_NONE };
	const int result = check_settings(line->file, &err);

	return command_checked("segel-split", line->file, result, &err);
}

static int
open_port(const struct endpoint *endpoint, const char *text, int *ret, struct err *err)
{
	AUTO_FD int fd = socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int one = 1;

	if (fd == -1)
		return err_set(err, ERR_TEMP, "no socket: %s", strerror(errno));
	/* What is left of connections of an earlier process must not keep us from the port. */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&endpoint->address, endpoint->len) == -1 || listen(fd, BACKLOG) == -1)
		return err_set(err, ERR_CONFIG, "split.socket: '%s' cannot be listened on: %s; is segel-split running already?", text, strerror(errno));
	*ret = TAKE_FD(fd);
	return 0;
}

static int
open_socket(struct daemon *daemon, const struct config *config, int *ret, struct err *err)
{
	const struct listen_wish wish = wish_of(config);
	struct endpoint endpoint;

	daemon->told = xstrdup(config->split.socket);
	if (endpoint_from(config->split.socket, &endpoint, err) == -1)
		return err_wrap(err, "split.socket");
	return endpoint.path ? listen_open(&wish, &daemon->place, ret, err) : open_port(&endpoint, config->split.socket, ret, err);
}

/* Not root any more. */
static int
give_up(const struct config *config, struct err *err)
{
	if (priv_drop(config->split.user, err) == -1)
		return err_wrap(err, "split.user");
	return priv_harden(err);
}

static int
open_memory(struct daemon *daemon, const struct config *config, struct err *err)
{
	if (memory_open(config->split.state_dir, (int)config->registry.timeout, &daemon->station.memory, err) == -1)
		return err_wrap(err, "split.state_dir");
	return 0;
}

static int
start(struct daemon *daemon, const struct command_line *line, struct err *err)
{
	AUTO(split_snapshot_free) struct split_snapshot *snapshot = NULL;
	AUTO(config_free) struct config *config = NULL;
	AUTO_FD int listen_fd = -1;
	int stop_fd;

	if (command_config(daemon->file, &config, err) == -1)
		return -1;
	command_log("segel-split", line, config);
	if (open_socket(daemon, config, &listen_fd, err) == -1 || give_up(config, err) == -1 || deliver_init(err) == -1)
		return -1;
	if (load(daemon->file, &snapshot, err) == -1 || load_trust(snapshot, err) == -1)
		return -1;
	stop_fd = eventfd(0, EFD_CLOEXEC);
	if (stop_fd == -1)
		return err_set(err, ERR_TEMP, "no eventfd: %s", strerror(errno));
	station_init(&daemon->station, stop_fd);
	station_put(&daemon->station, &snapshot);
	if (open_memory(daemon, config, err) == -1)
		return -1;
	return split_server_start(&listen_fd, &daemon->station, (unsigned)config->split.max_connections, &daemon->server, err);
}

static void
daemon_done(struct daemon *daemon)
{
	listen_done(&daemon->place);
	free(daemon->told);
	free(daemon->file);
}

static void
reload(void *ctx)
{
	struct daemon *daemon = ctx;
	AUTO(split_snapshot_free) struct split_snapshot *snapshot = NULL;
	struct err err = { .kind = ERR_NONE };

	if (load(daemon->file, &snapshot, &err) == -1) {
		log_line(LOG_LEVEL_WARNING, "reload failed, using the old settings: %s", err.text);
		return;
	}
	log_level_set((enum log_level)snapshot->config->log.level);
	station_put(&daemon->station, &snapshot);
	log_line(LOG_LEVEL_INFO, "reloaded %s", daemon->file);
}

/* A thread that died with the lock, or hangs, would let this one hang, and the watchdog run out. */
static bool
is_healthy(void *ctx)
{
	split_server_touch(((const struct daemon *)ctx)->server);
	return true;
}

/* What is not answered then stays with the MTA. */
static void
stop(struct daemon *daemon)
{
	const struct split_snapshot *snapshot = station_ref(&daemon->station);
	const int drain_ms = (int)snapshot->config->split.drain;
	const uint64_t one = 1;

	station_unref(&daemon->station, snapshot);
	(void)!write(daemon->station.stop_fd, &one, sizeof(one));
	if (split_server_stop(&daemon->server, drain_ms)) {
		station_done(&daemon->station);
		log_line(LOG_LEVEL_INFO, "stopped");
	} else {
		log_line(LOG_LEVEL_WARNING, "stopped with messages in hand after split.drain; the MTA sends them again");
	}
}

static int
run(struct daemon *daemon)
{
	log_line(LOG_LEVEL_INFO, "segel-split %s serves '%s'", SEGEL_VERSION, daemon->told);
	daemon_live(is_healthy, reload, daemon);
	stop(daemon);
	return EXIT_SUCCESS;
}

static int
serve(const struct command_line *line)
{
	struct daemon daemon = { .file = NULL };
	struct err err = { .kind = ERR_NONE };
	int status;

	process_outlived_by_threads(); /* those that drain did not wait for */
	if (command_begin(line, &daemon.file, &err) == -1 || start(&daemon, line, &err) == -1)
		status = daemon_failed("segel-split", &err);
	else
		status = run(&daemon);
	daemon_done(&daemon);
	return status;
}

int
main(int argc, char **argv)
{
	static void (*const libraries[])(struct buf *ret) = { crypto_library, gm_library, config_library, registry_library, deliver_library, NULL };
	const struct command command = {
		.program = "segel-split", .usage = usage_text, .libraries = libraries, .check = check_only, .serve = serve,
	};

	return command_main(&command, argc, argv);
}
