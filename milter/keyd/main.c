/* segel-keyd: the key agent. Holds the keys that seal and those that decrypt, records each intent, signs, opens content keys. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "milter/audit/audit.h"
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

struct options {
	const char *file;
	bool check, foreground, dump, version;
};

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
	EXIT_USAGE = 2,
	IDLE_MS = 5 * 60 * 1000,
	FRAME_MS = 5 * 1000,
	DRAIN_MS = 10 * 1000,
};

static const char audit_name[] = "segel-keyd";

struct daemon {
	char *file;   /* of the settings, absolute */
	char *socket;
	ino_t inode;  /* of the socket, so that we remove no other */
	struct audit *audit;
	struct agent *agent;
	struct server *server;
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
	printf("segel-keyd %s\n%s", SEGEL_VERSION, buf_text(&libraries));
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

static int
load_config(const char *file, struct config **ret, struct err *err)
{
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, 64 * 1024);
	if (config_load(file, ret, &problems) == -1)
		return config_err(&problems, err);
	return 0;
}

/* Everything a start would need, without touching anything. */
static int
check_settings(const struct keyd_settings *settings, struct err *err)
{
	AUTO(store_unref) struct store *store = NULL;
	uid_t uid;
	gid_t gid;

	if (priv_user(settings->user, &uid, &gid, err) == -1)
		return err_wrap(err, "keyd.user");
	if (priv_group(settings->socket_group, &gid, err) == -1)
		return err_wrap(err, "keyd.socket_group");
	if (priv_socket_folder(settings->socket, err) == -1)
		return err_wrap(err, "keyd.socket");
	if (store_load(settings, &store, err) == -1)
		return -1;
	/* The rest as the user that will serve. */
	if (priv_drop(settings->user, err) == -1)
		return err_wrap(err, "keyd.user");
	if (access(settings->audit_dir, W_OK | X_OK) == -1)
		return err_set(err, ERR_CONFIG, "keyd.audit_dir: '%s': %s", settings->audit_dir, strerror(errno));
	return 0;
}

static int
check_only(const char *file)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO(xfree) struct keyd_key_settings *keys = NULL;
	struct keyd_settings settings;
	struct err err;

	if (load_config(file, &config, &err) == -1)
		return daemon_failed("segel-keyd", &err);
	settings_of(config, &settings, &keys);
	if (check_settings(&settings, &err) == -1)
		return daemon_failed("segel-keyd", &err);
	printf("%s: good\n", file);
	return EXIT_SUCCESS;
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

static int
open_socket(struct daemon *daemon, const struct keyd_settings *settings, int *ret, struct err *err)
{
	uid_t uid = geteuid();
	gid_t own_group, group;
	struct stat st;

	if (uid == 0 && priv_user(settings->user, &uid, &own_group, err) == -1)
		return err_wrap(err, "keyd.user");
	if (priv_group(settings->socket_group, &group, err) == -1)
		return err_wrap(err, "keyd.socket_group");
	if (listen_unix(settings->socket, "segel-keyd", uid, group, ret, err) == -1)
		return err_wrap(err, "keyd.socket");
	daemon->socket = xstrdup(settings->socket);
	daemon->inode = lstat(daemon->socket, &st) == 0 ? st.st_ino : 0;
	return 0;
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
	AUTO(store_unref) struct store *store = NULL;
	AUTO_FD int listen_fd = -1;

	if (guard_memory(err) == -1 || store_load(settings, &store, err) == -1)
		return -1;
	if (open_socket(daemon, settings, &listen_fd, err) == -1 || give_up(settings, err) == -1)
		return -1;
	if (open_audit(daemon, settings, store_n_keys(store), err) == -1)
		return -1;
	daemon->agent = agent_new(daemon->audit, &store);
	return server_start(&listen_fd, daemon->agent, &options, &daemon->server, err);
}

static int
start(struct daemon *daemon, const struct options *options, struct err *err)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO(xfree) struct keyd_key_settings *keys = NULL;
	struct keyd_settings settings;

	if (load_config(daemon->file, &config, err) == -1)
		return -1;
	log_open("segel-keyd", options->foreground ? LOG_TO_STDERR : (enum log_target)config->log.target,
	    (enum log_level)config->log.level);
	settings_of(config, &settings, &keys);
	return start_with(daemon, &settings, err);
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
	agent_free(daemon->agent);
	audit_close(daemon->audit);
	free(daemon->socket);
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

	if (load_config(daemon->file, &config, err) == -1)
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
reload(struct daemon *daemon)
{
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
		remove_socket(daemon);
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

/* Signals belong to this thread. */
static int
run(struct daemon *daemon)
{
	daemon_signals_take();
	log_line(LOG_LEVEL_INFO, "segel-keyd %s serves '%s'", SEGEL_VERSION, daemon->socket);
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

	daemon->file = realpath(options->file, NULL); /* a reload must find it from "/" too */
	if (!daemon->file) {
		err_set(&err, ERR_CONFIG, "cannot read '%s': %s", options->file, strerror(errno));
		return daemon_failed("segel-keyd", &err);
	}
	if (!options->foreground && daemon_detach(&err) == -1)
		return daemon_failed("segel-keyd", &err);
	signal(SIGXFSZ, SIG_IGN); /* a limit on file size is a failed write, not the end */
	if (daemon_signals_block(&err) == -1 || start(daemon, options, &err) == -1)
		return daemon_failed("segel-keyd", &err);
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
