/* segel-tlspol: tells Postfix what to demand of the servers that it hands mail to. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "milter/daemon.h"
#include "milter/listen.h"
#include "milter/log.h"
#include "milter/priv.h"
#include "milter/sandbox.h"
#include "milter/tlspol/server.h"
#include "policy/config.h"

struct options {
	const char *file;
	bool check, foreground, dump, version;
};

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

enum { EXIT_USAGE = 2 };

struct daemon {
	char *file;   /* of the settings, absolute */
	char *socket;
	ino_t inode;  /* of the socket, so that we remove no other */
	struct tls_server *server;
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
	config_library(&libraries);
	registry_library(&libraries);
	printf("segel-tlspol %s\n%s", SEGEL_VERSION, buf_text(&libraries));
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
load_config(const char *file, struct config **ret, struct err *err)
{
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, 64 * 1024);
	if (config_load(file, ret, &problems) == -1)
		return config_err(&problems, err);
	return 0;
}

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

/* Everything a start would need, without touching anything. */
static int
check_settings(const struct config *config, struct err *err)
{
	AUTO(answerer_close) struct answerer *answerer = NULL;
	uid_t uid;
	gid_t gid;

	if (priv_user(config->tlspol.user, &uid, &gid, err) == -1)
		return err_wrap(err, "tlspol.user");
	if (priv_group(config->tlspol.socket_group, &gid, err) == -1)
		return err_wrap(err, "tlspol.socket_group");
	if (priv_socket_folder(config->tlspol.socket, err) == -1)
		return err_wrap(err, "tlspol.socket");
	/* The rest as the user that will serve. */
	if (priv_drop(config->tlspol.user, err) == -1)
		return err_wrap(err, "tlspol.user");
	return open_answerer(config, &answerer, err);
}

static int
check_only(const char *file)
{
	AUTO(config_free) struct config *config = NULL;
	struct err err;

	if (load_config(file, &config, &err) == -1 || check_settings(config, &err) == -1)
		return daemon_failed("segel-tlspol", &err);
	printf("%s: good\n", file);
	return EXIT_SUCCESS;
}

static int
open_socket(struct daemon *daemon, const struct config *config, int *ret, struct err *err)
{
	uid_t uid = geteuid();
	gid_t own_group, group;
	struct stat st;

	if (uid == 0 && priv_user(config->tlspol.user, &uid, &own_group, err) == -1)
		return err_wrap(err, "tlspol.user");
	if (priv_group(config->tlspol.socket_group, &group, err) == -1)
		return err_wrap(err, "tlspol.socket_group");
	if (listen_unix(config->tlspol.socket, "segel-tlspol", uid, group, ret, err) == -1)
		return err_wrap(err, "tlspol.socket");
	daemon->socket = xstrdup(config->tlspol.socket);
	daemon->inode = lstat(daemon->socket, &st) == 0 ? st.st_ino : 0;
	return 0;
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
start(struct daemon *daemon, const struct options *options, struct err *err)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO(answerer_close) struct answerer *answerer = NULL;
	AUTO_FD int listen_fd = -1;
	struct server_limits limits;

	if (load_config(daemon->file, &config, err) == -1)
		return -1;
	log_open("segel-tlspol", options->foreground ? LOG_TO_STDERR : (enum log_target)config->log.target,
	    (enum log_level)config->log.level);
	if (open_socket(daemon, config, &listen_fd, err) == -1 || give_up(config, err) == -1)
		return -1;
	if (open_answerer(config, &answerer, err) == -1)
		return -1;
	limits = limits_of(config);
	return tls_server_start(&listen_fd, &answerer, &limits, &daemon->server, err);
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
	free(daemon->socket);
	free(daemon->file);
}

/* A new snapshot beside the old. */
static int
reload_settings(struct daemon *daemon, struct err *err)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO(answerer_close) struct answerer *answerer = NULL;
	struct server_limits limits;

	if (load_config(daemon->file, &config, err) == -1 || open_answerer(config, &answerer, err) == -1)
		return -1;
	limits = limits_of(config);
	tls_server_replace(daemon->server, &answerer, &limits);
	log_level_set((enum log_level)config->log.level);
	return 0;
}

static void
reload(struct daemon *daemon)
{
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

/* Signals belong to this thread. */
static int
run(struct daemon *daemon)
{
	daemon_signals_take();
	log_line(LOG_LEVEL_INFO, "segel-tlspol %s serves '%s'", SEGEL_VERSION, daemon->socket);
	daemon_ready();
	while (daemon_wait(is_healthy, daemon) == SIGHUP) {
		daemon_reloading();
		reload(daemon);
		daemon_ready();
	}
	daemon_stopping();
	tls_server_stop(daemon->server);
	log_line(LOG_LEVEL_INFO, "stopped");
	return EXIT_SUCCESS;
}

static int
serve(struct daemon *daemon, const struct options *options)
{
	struct err err = { .kind = ERR_NONE };

	daemon->file = realpath(options->file, NULL); /* a reload must find it from "/" too */
	if (!daemon->file) {
		err_set(&err, ERR_CONFIG, "cannot read '%s': %s", options->file, strerror(errno));
		return daemon_failed("segel-tlspol", &err);
	}
	if (!options->foreground && daemon_detach(&err) == -1)
		return daemon_failed("segel-tlspol", &err);
	if (daemon_signals_block(&err) == -1 || start(daemon, options, &err) == -1)
		return daemon_failed("segel-tlspol", &err);
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
