/*
 * segel-reviewd: owns the quarantine. Takes what filters hold, and answers reviewers.
 *
 * Held mail is read by children only: this program itself, started anew with --child, which then may open nothing more (cage.h).
 * So this process must be able to start a program and to reach the mail server's listener on the loopback interface, and has no
 * filter of system calls of its own; which program it may start is said by its systemd unit (ExecPaths), and it reads
 * no message, only frames and JSON.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "milter/command.h"
#include "milter/daemon.h"
#include "milter/listen.h"
#include "milter/log.h"
#include "milter/priv.h"
#include "milter/quarantine/deposit.h"
#include "milter/reviewd/ask.h"
#include "milter/reviewd/hold.h"
#include "milter/reviewd/job.h"
#include "milter/reviewd/keeper.h"
#include "milter/reviewd/server.h"
#include "smime/gm.h"
#include "smime/version.h"

static const char usage_text[] =
	"usage: segel-reviewd [-c FILE] [-n | -d | -f]\n"
	"       segel-reviewd -V\n"
	"\n"
	"  -c FILE     settings (" CONFIG_FILE ")\n"
	"  -n          check what a start needs: settings, users, sockets' folders, folders and registry; then exit: 0 good,\n"
	"              1 not. Warns where the key agent is away or has no key for quarantine.certificate: held mail cannot be\n"
	"              read then\n"
	"  -d          print the effective settings, defaults included, then exit\n"
	"  -f          stay in the foreground and log to standard error\n"
	"  -V          print the version and those of its libraries\n"
	"\n"
	"Signals: HUP reloads the settings (a faulty file keeps the old ones; sockets, user, folders and max_connections\n"
	"need a restart), TERM and INT finish the requests in hand, then exit. A release that does not end in\n"
	"time is taken up again at the next start.\n"
	"Exit status: 0 good, 1 not started or check failed, 2 wrong usage.\n";

enum { DRAIN_MS = 10 * 1000 };

static const char audit_name[] = "segel-reviewd";

enum { HOLD, REVIEW, N_SOCKETS };

struct listener {
	struct listen_place place;
	struct review_server *server;
};

struct daemon {
	struct desk desk;
	struct listener listeners[N_SOCKETS];
	struct keeper *keeper;
};

static int
check_folder(const char *dir, const char *setting, struct err *err)
{
	if (access(dir, W_OK | X_OK) == -1)
		return err_set(err, ERR_CONFIG, "%s: '%s': %s", setting, dir, strerror(errno));
	return 0;
}

static void
wishes_of(const struct config *config, struct listen_wish ret[N_SOCKETS])
{
	const struct listen_wish hold = {
		"segel-reviewd",
		.path = { "quarantine.hold_socket", config->quarantine.hold_socket },
		.user = { "quarantine.user", config->quarantine.user },
		.group = { "quarantine.hold_group", config->quarantine.hold_group },
	};
	const struct listen_wish review = {
		"segel-reviewd",
		.path = { "quarantine.review_socket", config->quarantine.review_socket },
		.user = hold.user,
		.group = { "quarantine.review_group", config->quarantine.review_group },
	};

	ret[HOLD] = hold;
	ret[REVIEW] = review;
}

/* As the store wants it. */
static int
check_store_folder(const char *dir, struct err *err)
{
	struct stat st;

	if (check_folder(dir, "quarantine.dir", err) == -1)
		return -1;
	if (stat(dir, &st) == -1 || (st.st_mode & (S_IWGRP | S_IRWXO)))
		return err_set(err, ERR_CONFIG, "quarantine.dir: '%s' has mode %04o, open to others; run: chmod 700 '%s'", dir, st.st_mode & 07777, dir);
	return 0;
}

/* No start needs it, and the agent may come later: but what is held meanwhile could be a letter to nobody. */
static int
check_key(const struct desk_settings *settings, struct err *err)
{
	const struct config *config = settings->config;
	AUTO(depot_free) struct depot *depot = NULL;
	unsigned char spki[32];
	bool has = false;

	if (depot_new(config->quarantine.hold_socket, config->quarantine.certificate, (int)config->quarantine.timeout, &depot, err) == -1
	    || depot_spki(depot, spki, err) == -1)
		return -1;
	if (keyd_has(settings->keyd, spki, &has, err) == -1)
		return err_wrap(err, "keyd.socket: held mail can be neither read nor released");
	return has ? 0 : err_set(err, ERR_CONFIG, "quarantine.certificate '%s': segel-keyd holds no key for it that this user may unwrap with, and "
	    "nothing can be held; add its key to keyd.keys, with purpose decrypt", config->quarantine.certificate);
}

/* Everything a start would need, without touching anything; and a warning of what it does not. */
static int
check_settings(const char *file, struct err *warning, struct err *err)
{
	AUTO(desk_settings_free) struct desk_settings *settings = NULL;
	AUTO(config_free) struct config *config = NULL;
	struct listen_wish wishes[N_SOCKETS];

	if (command_config(file, &config, err) == -1)
		return -1;
	wishes_of(config, wishes);
	if (listen_check(&wishes[HOLD], err) == -1 || listen_check(&wishes[REVIEW], err) == -1)
		return -1;
	/* The rest as the user that will serve. */
	if (priv_drop(config->quarantine.user, err) == -1)
		return err_wrap(err, "quarantine.user");
	if (desk_settings_load(file, &settings, err) == -1)
		return -1;
	if (check_store_folder(config->quarantine.dir, err) == -1)
		return -1;
	if (check_folder(config->quarantine.audit_dir, "quarantine.audit_dir", err) == -1)
		return -1;
	(void)!check_key(settings, warning);
	return 0;
}

static int
check_only(const struct command_line *line)
{
	struct err err = { .kind = ERR_NONE }, warning = { .kind = ERR_NONE };
	const int result = check_settings(line->file, &warning, &err);

	if (result == 0 && warning.kind != ERR_NONE)
		fprintf(stderr, "segel-reviewd: warning: %s\n", warning.text);
	return command_checked("segel-reviewd", line->file, result, &err);
}

static int
open_sockets(struct daemon *daemon, const struct config *config, int fds[N_SOCKETS], struct err *err)
{
	struct listen_wish wishes[N_SOCKETS];

	wishes_of(config, wishes);
	for (int i = 0; i < N_SOCKETS; i++)
		if (listen_open(&wishes[i], &daemon->listeners[i].place, &fds[i], err) == -1)
			return -1;
	return 0;
}

static int
give_up(const struct config *config, struct err *err)
{
	if (priv_drop(config->quarantine.user, err) == -1)
		return err_wrap(err, "quarantine.user");
	return priv_harden(err);
}

static int
record(struct daemon *daemon, const char *event, struct err *err)
{
	char pid[24];
	const struct audit_pair pairs[] = { { "version", SEGEL_VERSION }, { "pid", pid } };

	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	return audit_append(daemon->desk.audit, event, pairs, N_ELEMENTS(pairs), NULL, err);
}

static int
open_records(struct daemon *daemon, const struct config *config, struct err *err)
{
	const struct store_settings limits = desk_store_settings(config);

	if (audit_open(config->quarantine.audit_dir, audit_name, &daemon->desk.audit, err) == -1 || record(daemon, "start", err) == -1)
		return err_wrap(err, "quarantine.audit_dir");
	if (store_open(&limits, &daemon->desk.store, err) == -1)
		return err_wrap(err, "quarantine.dir");
	return 0;
}

static int
start_server(struct daemon *daemon, int which, int *fd, const struct config *config, struct err *err)
{
	static const struct {
		const char *name;
		void (*serve)(struct desk *desk, int fd, uid_t peer);
	} services[N_SOCKETS] = { { "quarantine.hold_socket", hold_serve }, { "quarantine.review_socket", ask_serve } };
	const struct review_service service = { services[which].name, (unsigned)config->quarantine.max_connections, services[which].serve };

	return review_server_start(fd, &daemon->desk, &service, &daemon->listeners[which].server, err);
}

static int
serve_all(struct daemon *daemon, int fds[N_SOCKETS], struct err *err)
{
	const struct config *config = daemon->desk.current->config;

	for (int i = 0; i < N_SOCKETS; i++)
		if (start_server(daemon, i, &fds[i], config, err) == -1)
			return -1;
	return keeper_start(&daemon->desk, &daemon->keeper, err);
}

static int
load_and_serve(struct daemon *daemon, int fds[N_SOCKETS], struct err *err)
{
	AUTO(desk_settings_free) struct desk_settings *settings = NULL;

	/* As the user that serves, who must be able to read them again at a reload. */
	if (desk_settings_load(daemon->desk.file, &settings, err) == -1 || open_records(daemon, settings->config, err) == -1)
		return -1;
	desk_put(&daemon->desk, &settings);
	return serve_all(daemon, fds, err);
}

static int
start(struct daemon *daemon, const struct command_line *line, struct err *err)
{
	AUTO(config_free) struct config *config = NULL;
	int fds[N_SOCKETS] = { -1, -1 }, result;

	if (command_config(daemon->desk.file, &config, err) == -1)
		return -1;
	command_log("segel-reviewd", line, config);
	daemon->desk.program = realpath("/proc/self/exe", NULL); /* readable as long as we are who we are */
	if (!daemon->desk.program)
		return err_set(err, ERR_TEMP, "cannot tell where this program lies: %s", strerror(errno));
	if (desk_init(&daemon->desk, err) == -1)
		return -1;
	result = open_sockets(daemon, config, fds, err);
	if (result == 0)
		result = give_up(config, err);
	if (result == 0)
		result = load_and_serve(daemon, fds, err);
	for (int i = 0; i < N_SOCKETS; i++)
		if (fds[i] != -1)
			close(fds[i]);
	return result;
}

static void
daemon_done(struct daemon *daemon)
{
	for (int i = 0; i < N_SOCKETS; i++)
		listen_done(&daemon->listeners[i].place);
	desk_done(&daemon->desk);
}

/* A new snapshot beside the old. */
static int
reload_settings(struct daemon *daemon, struct err *err)
{
	AUTO(desk_settings_free) struct desk_settings *settings = NULL;
	struct store_settings limits;

	if (desk_settings_load(daemon->desk.file, &settings, err) == -1)
		return -1;
	limits = desk_store_settings(settings->config);
	if (record(daemon, "reload", err) == -1)
		return -1;
	store_limits(daemon->desk.store, &limits);
	log_level_set((enum log_level)settings->config->log.level);
	desk_put(&daemon->desk, &settings);
	return 0;
}

static void
reload(void *ctx)
{
	struct daemon *daemon = ctx;
	struct err err = { .kind = ERR_NONE };

	if (reload_settings(daemon, &err) == 0)
		log_line(LOG_LEVEL_INFO, "reloaded %s", daemon->desk.file);
	else
		log_line(LOG_LEVEL_WARNING, "reload failed, using the old settings: %s", err.text);
}

static bool
is_healthy(void *ctx)
{
	struct daemon *daemon = ctx;

	for (int i = 0; i < N_SOCKETS; i++)
		review_server_touch(daemon->listeners[i].server);
	return true;
}

static bool
stop_servers(struct daemon *daemon)
{
	const uint64_t one = 1;
	bool drained = true;

	(void)!write(daemon->desk.stop_fd, &one, sizeof(one));
	for (int i = 0; i < N_SOCKETS; i++)
		drained = review_server_stop(&daemon->listeners[i].server, DRAIN_MS) && drained;
	return keeper_stop(daemon->keeper, DRAIN_MS) && drained;
}

static int
stop(struct daemon *daemon)
{
	struct err err = { .kind = ERR_NONE };

	if (!stop_servers(daemon)) {
		log_line(LOG_LEVEL_WARNING, "stopped with requests in hand; mail on its way in is deferred, a release is taken up at the next start");
		for (int i = 0; i < N_SOCKETS; i++)
			listen_leave(&daemon->listeners[i].place);
		/* Their threads still use what we would free. */
		_exit(EXIT_SUCCESS);
	}
	if (record(daemon, "stop", &err) == -1)
		log_line(LOG_LEVEL_ERROR, "the stop is not on record: %s", err.text);
	log_line(LOG_LEVEL_INFO, "stopped");
	return EXIT_SUCCESS;
}

static int
run(struct daemon *daemon)
{
	log_line(LOG_LEVEL_INFO, "segel-reviewd %s takes held mail at '%s' and answers reviewers at '%s'", SEGEL_VERSION,
	    daemon->listeners[HOLD].place.path, daemon->listeners[REVIEW].place.path);
	daemon_live(is_healthy, reload, daemon);
	return stop(daemon);
}

static int
serve(const struct command_line *line)
{
	struct daemon daemon = { .desk = { .stop_fd = -1 } };
	struct err err = { .kind = ERR_NONE };
	int status;

	if (command_begin(line, &daemon.desk.file, &err) == -1 || start(&daemon, line, &err) == -1)
		status = daemon_failed("segel-reviewd", &err);
	else
		status = run(&daemon);
	daemon_done(&daemon);
	return status;
}

int
main(int argc, char **argv)
{
	static void (*const libraries[])(struct buf *ret) = { crypto_library, gm_library, registry_library, NULL };
	const struct command command = {
		.program = "segel-reviewd", .usage = usage_text, .libraries = libraries, .check = check_only, .serve = serve,
	};

	/* Not from exit(): in the cage nothing can be tidied up, and nothing needs to be. */
	if (argc >= 3 && strcmp(argv[1], "--child") == 0)
		_exit(job_main(argv[2], argc > 3 ? argv[3] : NULL));
	return command_main(&command, argc, argv);
}
