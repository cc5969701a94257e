/*
 * segel-reviewd: owns the quarantine. Takes what filters hold, and answers reviewers.
 *
 * Held mail is read by children only: this program itself, started anew with --child, which then may open nothing more (cage.h).
 * So this process must be able to start a program and to reach the mail server's listener on the loopback interface, and has no
 * filter of system calls of its own; which program it may start is said by its systemd unit (ExecPaths), and it reads
 * no message, only frames and JSON.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

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

struct options {
	const char *file;
	bool check, foreground, dump, version;
};

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

enum { EXIT_USAGE = 2, DRAIN_MS = 10 * 1000 };

static const char audit_name[] = "segel-reviewd";

enum { HOLD, REVIEW, N_SOCKETS };

struct listener {
	char *path;
	ino_t inode; /* so that we remove no other */
	struct review_server *server;
};

struct daemon {
	struct desk desk;
	struct listener listeners[N_SOCKETS];
	struct keeper *keeper;
};

static int
parse_options(int argc, char **argv, struct options *ret)
{
	static const struct option longs[] = { { "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	int c;

	*ret = (struct options){ .file = CONFIG_FILE };
	while ((c = getopt_long(argc, argv, "c:nfdVh", longs, NULL)) != -1) {
		switch (c) {
		case 'c': ret->file = optarg; break;
		case 'n': ret->check = true; break;
		case 'f': ret->foreground = true; break;
		case 'd': ret->dump = true; break;
		case 'V': ret->version = true; break;
		case 'h':
			fputs(usage_text, stdout);
			exit(EXIT_SUCCESS);
		default:
			return -1;
		}
	}
	return optind == argc ? 0 : -1;
}

static int
print_version(void)
{
	AUTO_BUF struct buf libraries = { 0 };

	buf_init(&libraries, 1024);
	crypto_library(&libraries);
	gm_library(&libraries);
	registry_library(&libraries);
	printf("segel-reviewd %s\n%s", SEGEL_VERSION, buf_text(&libraries));
	return EXIT_SUCCESS;
}

static int
print_settings(const char *file)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf text = { 0 };
	int result;

	buf_init(&text, 1024 * 1024);
	result = config_load(file, &config, &text);
	if (result == 0)
		config_dump(config, &text);
	fputs(buf_text(&text), result == 0 ? stdout : stderr);
	return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int
check_folder(const char *dir, const char *setting, struct err *err)
{
	if (access(dir, W_OK | X_OK) == -1)
		return err_set(err, ERR_CONFIG, "%s: '%s': %s", setting, dir, strerror(errno));
	return 0;
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
	AUTO_BUF struct buf problems = { 0 };
	uid_t uid;
	gid_t gid;

	buf_init(&problems, 64 * 1024);
	if (config_load(file, &config, &problems) == -1)
		return config_err(&problems, err);
	if (priv_user(config->quarantine.user, &uid, &gid, err) == -1)
		return err_wrap(err, "quarantine.user");
	if (priv_group(config->quarantine.hold_group, &gid, err) == -1)
		return err_wrap(err, "quarantine.hold_group");
	if (priv_group(config->quarantine.review_group, &gid, err) == -1)
		return err_wrap(err, "quarantine.review_group");
	if (priv_socket_folder(config->quarantine.hold_socket, err) == -1)
		return err_wrap(err, "quarantine.hold_socket");
	if (priv_socket_folder(config->quarantine.review_socket, err) == -1)
		return err_wrap(err, "quarantine.review_socket");
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
check_only(const char *file)
{
	struct err err = { ERR_NONE, "" }, warning = { ERR_NONE, "" };

	if (check_settings(file, &warning, &err) == -1)
		return daemon_failed("segel-reviewd", &err);
	if (warning.kind != ERR_NONE)
		fprintf(stderr, "segel-reviewd: warning: %s\n", warning.text);
	printf("%s: good\n", file);
	return EXIT_SUCCESS;
}

static int
open_socket(const struct config *config, const char *path, const char *group_name, struct listener *listener, int *ret, struct err *err)
{
	uid_t uid = geteuid();
	gid_t own_group, group;
	struct stat st;

	if (uid == 0 && priv_user(config->quarantine.user, &uid, &own_group, err) == -1)
		return err_wrap(err, "quarantine.user");
	if (priv_group(group_name, &group, err) == -1)
		return err_wrap(err, "the group of '%s'", path);
	if (listen_unix(path, "segel-reviewd", uid, group, ret, err) == -1)
		return -1;
	listener->path = xstrdup(path);
	listener->inode = lstat(path, &st) == 0 ? st.st_ino : 0;
	return 0;
}

static int
open_sockets(struct daemon *daemon, const struct config *config, int fds[N_SOCKETS], struct err *err)
{
	if (open_socket(config, config->quarantine.hold_socket, config->quarantine.hold_group, &daemon->listeners[HOLD], &fds[HOLD], err) == -1)
		return err_wrap(err, "quarantine.hold_socket");
	if (open_socket(config, config->quarantine.review_socket, config->quarantine.review_group, &daemon->listeners[REVIEW], &fds[REVIEW],
		err) == -1)
		return err_wrap(err, "quarantine.review_socket");
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
start(struct daemon *daemon, const struct options *options, struct err *err)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf problems = { 0 };
	int fds[N_SOCKETS] = { -1, -1 }, result;

	buf_init(&problems, 64 * 1024);
	if (config_load(daemon->desk.file, &config, &problems) == -1)
		return config_err(&problems, err);
	log_open("segel-reviewd", options->foreground ? LOG_TO_STDERR : (enum log_target)config->log.target,
	    (enum log_level)config->log.level);
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
remove_socket(const struct listener *listener)
{
	struct stat st;

	if (!listener->path || lstat(listener->path, &st) == -1 || st.st_ino != listener->inode)
		return;
	if (unlink(listener->path) == -1)
		log_line(LOG_LEVEL_WARNING, "socket '%s' stays behind: %s; the next start removes it", listener->path, strerror(errno));
}

static void
daemon_done(struct daemon *daemon)
{
	for (int i = 0; i < N_SOCKETS; i++) {
		remove_socket(&daemon->listeners[i]);
		free(daemon->listeners[i].path);
	}
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
reload(struct daemon *daemon)
{
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
			remove_socket(&daemon->listeners[i]);
		/* Their threads still use what we would free. */
		_exit(EXIT_SUCCESS);
	}
	if (record(daemon, "stop", &err) == -1)
		log_line(LOG_LEVEL_ERROR, "the stop is not on record: %s", err.text);
	log_line(LOG_LEVEL_INFO, "stopped");
	return EXIT_SUCCESS;
}

/* Signals belong to this thread. */
static int
run(struct daemon *daemon)
{
	daemon_signals_take();
	log_line(LOG_LEVEL_INFO, "segel-reviewd %s takes held mail at '%s' and answers reviewers at '%s'", SEGEL_VERSION,
	    daemon->listeners[HOLD].path, daemon->listeners[REVIEW].path);
	daemon_ready();
	while (daemon_wait(is_healthy, daemon) == SIGHUP) {
		daemon_reloading();
		reload(daemon);
		daemon_ready();
	}
	daemon_stopping();
	return stop(daemon);
}

static int
serve(struct daemon *daemon, const struct options *options)
{
	struct err err = { .kind = ERR_NONE };

	daemon->desk.file = realpath(options->file, NULL); /* a reload must find it from "/" too */
	if (!daemon->desk.file) {
		err_set(&err, ERR_CONFIG, "cannot read '%s': %s", options->file, strerror(errno));
		return daemon_failed("segel-reviewd", &err);
	}
	if (!options->foreground && daemon_detach(&err) == -1)
		return daemon_failed("segel-reviewd", &err);
	signal(SIGXFSZ, SIG_IGN); /* a limit on file size is a failed write, not the end */
	if (daemon_signals_block(&err) == -1 || start(daemon, options, &err) == -1)
		return daemon_failed("segel-reviewd", &err);
	return run(daemon);
}

int
main(int argc, char **argv)
{
	struct daemon daemon = { .desk = { .stop_fd = -1 } };
	struct options options;
	int status;

	/* Not from exit(): in the cage nothing can be tidied up, and nothing needs to be. */
	if (argc >= 3 && strcmp(argv[1], "--child") == 0)
		_exit(job_main(argv[2], argc > 3 ? argv[3] : NULL));
	if (parse_options(argc, argv, &options) == -1) {
		fputs(usage_text, stderr);
		return EXIT_USAGE;
	}
	if (options.version)
		return print_version();
	if (options.dump)
		return print_settings(options.file);
	if (options.check)
		return check_only(options.file);
	status = serve(&daemon, &options);
	daemon_done(&daemon);
	return status;
}
