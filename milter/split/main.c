/*
 * segel-split: Postfix's content filter behind the queue. Takes each message for one recipient, encrypts it for that one where
 * policy says so, hands it back to Postfix, and answers 250 only after Postfix did. Holds no key and stores no mail.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

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

struct options {
	const char *file;
	bool check, foreground, dump, version;
};

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

enum { EXIT_USAGE = 2, BACKLOG = 128 };

struct daemon {
	char *file;   /* of the settings, absolute */
	char *socket; /* of a UNIX socket; NULL = a port */
	ino_t inode;  /* of the socket, so that we remove no other */
	char *place;  /* where it listens, for the log */
	struct station station;
	struct split_server *server;
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
	config_library(&libraries);
	registry_library(&libraries);
	deliver_library(&libraries);
	printf("segel-split %s\n%s", SEGEL_VERSION, buf_text(&libraries));
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
load(const char *file, struct split_snapshot **ret, struct err *err)
{
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, 64 * 1024);
	if (split_snapshot_load(file, ret, &problems) == -1)
		return config_err(&problems, err);
	return 0;
}

/* Without a user's leave: only the settings. */
static int
load_config(const char *file, struct config **ret, struct err *err)
{
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, 64 * 1024);
	if (config_load(file, ret, &problems) == -1)
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

/* Everything a start would need, without touching anything. */
static int
check_settings(const char *file, struct err *err)
{
	AUTO(split_snapshot_free) struct split_snapshot *snapshot = NULL;
	AUTO(config_free) struct config *config = NULL;
	uid_t uid;
	gid_t gid;

	if (load_config(file, &config, err) == -1)
		return -1;
	if (priv_user(config->split.user, &uid, &gid, err) == -1)
		return err_wrap(err, "split.user");
	if (*config->split.socket == '/' && (priv_group(config->split.socket_group, &gid, err) == -1
	    || priv_socket_folder(config->split.socket, err) == -1))
		return err_wrap(err, "split.socket");
	/* The rest as the user that will serve. */
	if (priv_drop(config->split.user, err) == -1)
		return err_wrap(err, "split.user");
	if (access(config->split.state_dir, W_OK | X_OK) == -1)
		return err_set(err, ERR_CONFIG, "split.state_dir: '%s': %s; create the folder for %s, mode 0750", config->split.state_dir,
		    strerror(errno), config->split.user);
	return load(file, &snapshot, err) == -1 ? -1 : load_trust(snapshot, err);
}

static int
check_only(const char *file)
{
	struct err err;

	if (check_settings(file, &err) == -1)
		return daemon_failed("segel-split", &err);
	printf("%s: good\n", file);
	return EXIT_SUCCESS;
}

static int
open_unix(struct daemon *daemon, const struct config *config, int *ret, struct err *err)
{
	uid_t uid = geteuid();
	gid_t own_group, group;
	struct stat st;

	if (uid == 0 && priv_user(config->split.user, &uid, &own_group, err) == -1)
		return err_wrap(err, "split.user");
	if (priv_group(config->split.socket_group, &group, err) == -1)
		return err_wrap(err, "split.socket_group");
	if (listen_unix(config->split.socket, "segel-split", uid, group, ret, err) == -1)
		return err_wrap(err, "split.socket");
	daemon->socket = xstrdup(config->split.socket);
	daemon->inode = lstat(daemon->socket, &st) == 0 ? st.st_ino : 0;
	return 0;
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
	struct endpoint endpoint;

	daemon->place = xstrdup(config->split.socket);
	if (endpoint_from(config->split.socket, &endpoint, err) == -1)
		return err_wrap(err, "split.socket");
	return endpoint.path ? open_unix(daemon, config, ret, err) : open_port(&endpoint, config->split.socket, ret, err);
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
start(struct daemon *daemon, const struct options *options, struct err *err)
{
	AUTO(split_snapshot_free) struct split_snapshot *snapshot = NULL;
	AUTO(config_free) struct config *config = NULL;
	AUTO_FD int listen_fd = -1;
	int stop_fd;

	if (load_config(daemon->file, &config, err) == -1)
		return -1;
	log_open("segel-split", options->foreground ? LOG_TO_STDERR : (enum log_target)config->log.target,
	    (enum log_level)config->log.level);
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
remove_socket(const struct daemon *daemon)
{
	struct stat st;

	if (!daemon->socket || lstat(daemon->socket, &st) == -1 || st.st_ino != daemon->inode)
		return;
	if (unlink(daemon->socket) == -1)
		log_line(LOG_LEVEL_WARNING, "socket '%s' stays behind: %s; the next start removes it", daemon->socket,
		    strerror(errno));
}

static void
daemon_done(struct daemon *daemon)
{
	remove_socket(daemon);
	free(daemon->place);
	free(daemon->socket);
	free(daemon->file);
}

static void
reload(struct daemon *daemon)
{
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

/* Signals belong to this thread. */
static int
run(struct daemon *daemon)
{
	daemon_signals_take();
	log_line(LOG_LEVEL_INFO, "segel-split %s serves '%s'", SEGEL_VERSION, daemon->place);
	daemon_ready();
	while (daemon_wait(is_healthy, daemon) == SIGHUP) {
		daemon_reloading();
		reload(daemon);
		daemon_ready();
	}
	daemon_stopping();
	stop(daemon);
	return EXIT_SUCCESS;
}

static int
serve(struct daemon *daemon, const struct options *options)
{
	struct err err = { .kind = ERR_NONE };

	process_outlived_by_threads(); /* those that drain did not wait for */
	daemon->file = realpath(options->file, NULL); /* a reload must find it from "/" too */
	if (!daemon->file) {
		err_set(&err, ERR_CONFIG, "cannot read '%s': %s", options->file, strerror(errno));
		return daemon_failed("segel-split", &err);
	}
	if (!options->foreground && daemon_detach(&err) == -1)
		return daemon_failed("segel-split", &err);
	if (daemon_signals_block(&err) == -1 || start(daemon, options, &err) == -1)
		return daemon_failed("segel-split", &err);
	return run(daemon);
}

int
main(int argc, char **argv)
{
	struct daemon daemon = { .file = NULL };
	struct options options;
	int status;

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
