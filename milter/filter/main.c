/* segel-milter: the filter. One process serves one role on its own UNIX socket. */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "milter/daemon.h"
#include "milter/filter/accept.h"
#include "milter/filter/exporter.h"
#include "milter/filter/mta.h"
#include "milter/filter/pulse.h"
#include "milter/filter/readiness.h"
#include "milter/log.h"
#include "milter/priv.h"
#include "smime/gm.h"
#include "smime/process.h"
#include "smime/version.h"

struct options {
	const char *file;
	const char *role;
	bool check, foreground, dump, pretend, version;
};

static const char usage_text[] =
	"usage: segel-milter -r ROLE [-c FILE] [-n | -d | -f] [--pretend]\n"
	"       segel-milter -V\n"
	"\n"
	"  -r ROLE     what this process serves: submission (authenticated users of our own)\n"
	"  -c FILE     settings (" CONFIG_FILE ")\n"
	"  -n          check settings, registry, folders and key agent, then exit: 0 good, 1 not; warns of\n"
	"              certificates whose key or issuing authority is missing\n"
	"  -d          print the effective settings, defaults included, then exit\n"
	"  -f          stay in the foreground and log to standard error\n"
	"  --pretend   decide and log, but change and refuse nothing\n"
	"  -V          print the version and those of its libraries\n"
	"\n"
	"Signals: HUP reloads everything (a faulty file keeps the old; socket, user, audit_dir and\n"
	"log.target need a restart), TERM and INT finish the messages in hand (submission.drain), then exit.\n"
	"Exit status: 0 good, 1 not started or check failed, 2 wrong usage.\n";

enum { EXIT_USAGE = 2, WARNINGS_LOGGED = 20, WARNINGS_BYTES = 1024 * 1024 };

static int
parse_options(int argc, char **argv, struct options *ret)
{
	static const struct option longs[] = {
		{ "pretend", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*ret = (struct options){ .file = CONFIG_FILE };
	while ((c = getopt_long(argc, argv, "c:r:nfdVh", longs, NULL)) != -1) {
		switch (c) {
		case 'c': ret->file = optarg; break;
		case 'r': ret->role = optarg; break;
		case 'n': ret->check = true; break;
		case 'f': ret->foreground = true; break;
		case 'd': ret->dump = true; break;
		case 'p': ret->pretend = true; break;
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
	printf("segel-milter %s\n%s", SEGEL_VERSION, buf_text(&libraries));
	return EXIT_SUCCESS;
}

static int
print_problems(const struct buf *problems)
{
	fputs(buf_text(problems), stderr);
	return EXIT_FAILURE;
}

static int
print_settings(const char *file)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf text = { 0 };

	buf_init(&text, 1024 * 1024);
	if (config_load(file, &config, &text) == -1)
		return print_problems(&text);
	config_dump(config, &text);
	fputs(buf_text(&text), stdout);
	return EXIT_SUCCESS;
}

/* The lines of a text, one a call; NULL after the last. */
static const char *
next_line(const char **text, size_t *len)
{
	const char *line = *text;

	*len = strcspn(line, "\n");
	*text = line + *len + (line[*len] == '\n');
	return *line ? line : NULL;
}

static void
print_warnings(const struct buf *warnings)
{
	const char *rest = buf_text(warnings), *line;
	size_t len;

	while ((line = next_line(&rest, &len)))
		fprintf(stderr, "warning: %.*s\n", (int)len, line);
}

/* What only the role's own user can tell: may it read, write and ask? */
static void
check_as_user(const struct config *config, struct buf *problems, struct buf *warnings)
{
	AUTO(snapshot_free) struct snapshot *snapshot = NULL;
	struct err err;

	if (access(config->submission.audit_dir, W_OK | X_OK) == -1)
		buf_printf(problems, "submission.audit_dir: '%s': %s\n", config->submission.audit_dir, strerror(errno));
	if (snapshot_load(config->file, &snapshot, problems) == -1)
		return;
	if (keyd_ping(snapshot->keyd, &err) == -1)
		buf_printf(problems, "keyd.socket: %s\n", err.text);
	readiness(snapshot, time(NULL), warnings);
}

/* Everything a start would need, without touching anything. */
static int
check_only(const char *file)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf problems = { 0 };
	AUTO_BUF struct buf warnings = { 0 };
	struct err err;
	gid_t group;

	buf_init(&problems, 1024 * 1024);
	buf_init(&warnings, WARNINGS_BYTES);
	if (config_load(file, &config, &problems) == -1)
		return print_problems(&problems);
	if (priv_socket_folder(config->submission.socket, &err) == -1)
		buf_printf(&problems, "submission.socket: %s\n", err.text);
	if (priv_group(config->submission.socket_group, &group, &err) == -1)
		buf_printf(&problems, "submission.socket_group: %s\n", err.text);
	if (priv_drop(config->submission.user, &err) == -1)
		buf_printf(&problems, "submission.user: %s\n", err.text);
	else
		check_as_user(config, &problems, &warnings);
	print_warnings(&warnings);
	if (problems.len)
		return print_problems(&problems);
	printf("%s: good\n", file);
	return EXIT_SUCCESS;
}

/* The listening socket, made before root is given up: its folder need not be ours. */
static int
open_socket(const struct config *config, struct err *err)
{
	AUTO(xfree) char *address = xasprintf("unix:%s", config->submission.socket);
	const char *path = config->submission.socket;
	gid_t group;
	int alive;

	if (priv_socket_folder(path, err) == -1 || priv_group(config->submission.socket_group, &group, err) == -1)
		return err_wrap(err, "submission.socket");
	alive = priv_socket_alive(path, err);
	if (alive == -1)
		return err_wrap(err, "submission.socket");
	if (alive)
		return err_set(err, ERR_CONFIG, "submission.socket: another process serves '%s'; stop it first", path);
	umask(0117);
	if (smfi_setconn(address) != MI_SUCCESS || smfi_opensocket(true) != MI_SUCCESS)
		return err_set(err, ERR_CONFIG, "submission.socket: cannot listen on '%s': %s", path, strerror(errno));
	if (lchown(path, (uid_t)-1, group) == -1) /* whoever owns the folder could put a link here meanwhile */
		return err_set(err, ERR_CONFIG, "submission.socket: cannot give '%s' to group '%s': %s", path,
		    config->submission.socket_group, strerror(errno));
	umask(0077);
	return 0;
}

/* `metrics_fd` stays -1 where no metrics are wanted. */
static int
open_sockets(struct filter *filter, const struct config *config, int *metrics_fd, struct err *err)
{
	if (open_socket(config, err) == -1)
		return -1;
	filter->socket = xstrdup(config->submission.socket);
	if (*config->submission.metrics && exporter_listen(config->submission.metrics, metrics_fd, err) == -1)
		return err_wrap(err, "submission.metrics");
	return 0;
}

static int
start(struct filter *filter, bool foreground, int *metrics_fd, struct err *err)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO(snapshot_free) struct snapshot *snapshot = NULL;
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, 64 * 1024);
	if (config_load(filter->file, &config, &problems) == -1)
		return config_err(&problems, err);
	log_open("segel-milter", foreground ? LOG_TO_STDERR : (enum log_target)config->log.target,
	    (enum log_level)config->log.level);
	if (mta_register(filter, err) == -1 || open_sockets(filter, config, metrics_fd, err) == -1)
		return -1;
	if (priv_drop(config->submission.user, err) == -1 || priv_harden(err) == -1)
		return err_wrap(err, "submission.user");
	if (snapshot_load(filter->file, &snapshot, &problems) == -1)
		return config_err(&problems, err);
	if (audit_open(config->submission.audit_dir, "segel-milter-submission", &filter->audit, err) == -1)
		return err_wrap(err, "submission.audit_dir");
	smfi_settimeout((int)(config->submission.timeout / 1000));
	filter->box = snapshot_box_new();
	snapshot_put(filter->box, &snapshot);
	metrics_reload(&filter->metrics, true, time(NULL));
	return 0;
}

/* What will not go well with these settings, although they are good. */
static void
log_readiness(struct filter *filter)
{
	const struct snapshot *snapshot = snapshot_ref(filter->box);
	AUTO_BUF struct buf warnings = { 0 };
	const char *rest, *line;
	size_t len, n = 0;

	buf_init(&warnings, WARNINGS_BYTES);
	readiness(snapshot, time(NULL), &warnings);
	snapshot_unref(filter->box, snapshot);
	rest = buf_text(&warnings);
	while ((line = next_line(&rest, &len)))
		if (n++ < WARNINGS_LOGGED)
			log_line(LOG_LEVEL_WARNING, "%.*s", (int)len, line);
	if (n == 0)
		log_line(LOG_LEVEL_INFO, "keys and issuing authorities of all certificates to seal with are there");
	if (n > WARNINGS_LOGGED)
		log_line(LOG_LEVEL_WARNING, "and %zu more; `segel-milter -n` shows all", n - WARNINGS_LOGGED);
}

static void *
review(void *context)
{
	struct filter *filter = context;

	log_readiness(filter);
	atomic_fetch_sub(&filter->reviews, 1);
	return NULL;
}

/*
 * In a thread of its own: a key agent that is silent keeps neither signals nor the watchdog waiting. The
 * signals that the main thread waits for are blocked in it from its first moment.
 */
static void
start_review(struct filter *filter)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setsigmask_np(&attr, &all);
	atomic_fetch_add(&filter->reviews, 1);
	if (pthread_create(&thread, &attr, review, filter) != 0) {
		atomic_fetch_sub(&filter->reviews, 1);
		log_line(LOG_LEVEL_WARNING, "cannot start a thread; going on without looking whether keys and authorities are there");
	}
	pthread_attr_destroy(&attr);
}

/* A new snapshot beside the old; a faulty one is reported and changes nothing. */
static bool
reload(struct filter *filter)
{
	AUTO(snapshot_free) struct snapshot *snapshot = NULL;
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, 64 * 1024);
	if (snapshot_load(filter->file, &snapshot, &problems) == 0) {
		log_level_set((enum log_level)snapshot->config->log.level);
		snapshot_put(filter->box, &snapshot);
		metrics_reload(&filter->metrics, true, time(NULL));
		log_line(LOG_LEVEL_INFO, "reloaded %s; messages in hand keep the settings they began with",
		    filter->file);
		return true;
	}
	for (const char *line = buf_text(&problems); *line; line += strcspn(line, "\n"), line += *line == '\n')
		log_line(LOG_LEVEL_WARNING, "reload: %.*s", (int)strcspn(line, "\n"), line);
	metrics_reload(&filter->metrics, false, time(NULL));
	log_line(LOG_LEVEL_WARNING, "reload failed, using the old settings");
	return false;
}

/*
 * libmilter has a thread that waits for HUP, TERM and INT with this function, and takes HUP for
 * "stop". The kernel gives a signal to that thread whenever this one has another pending, so that a
 * burst of HUPs ended the filter. Nothing else in this process calls it: with this definition, which
 * the linker prefers to the C library's, that thread waits for ever, and signals are ours alone.
 */
int
sigwait(const sigset_t *restrict set, int *restrict number)
{
	(void)set;
	(void)number;
	for (;;)
		pause();
}

/* libmilter's loop. It must not end before the process does; if it does, the main thread must hear of it. */
static void *
serve(void *context)
{
	struct filter *filter = context;

	(void)smfi_main();
	atomic_store(&filter->gave_up, true);
	kill(getpid(), SIGTERM);
	return NULL;
}

/* New connections of the MTA fail at once from here on, and it defers; a socket that is not ours stays. */
static void
leave_socket(const struct filter *filter)
{
	if (unlink(filter->socket) == -1 && errno != ENOENT)
		log_line(LOG_LEVEL_WARNING, "socket '%s' stays behind: %s; the next start removes it", filter->socket,
		    strerror(errno));
}

/*
 * True: no message is in hand any more. smfi_stop() is not called: once it is, libmilter reads no more
 * from any session, and what is in hand could not be finished.
 */
static bool
drain(struct filter *filter)
{
	const struct snapshot *snapshot = snapshot_ref(filter->box);
	const long limit = snapshot->config->submission.drain;
	const struct timespec tick = { .tv_nsec = 20000000 };
	unsigned left;

	snapshot_unref(filter->box, snapshot);
	atomic_store(&filter->draining, true);
	leave_socket(filter);
	for (long waited = 0; atomic_load(&filter->messages) > 0 && waited < limit; waited += 20)
		nanosleep(&tick, NULL);
	left = atomic_load(&filter->messages);
	if (left)
		log_line(LOG_LEVEL_WARNING, "stopped with %u messages in hand; their clients are told to try again", left);
	audit_checkpoint(filter->audit);
	log_line(LOG_LEVEL_INFO, "stopped");
	return left == 0;
}

static void
render_metrics(void *ctx, struct buf *ret)
{
	struct filter *filter = ctx;
	const struct metrics_gauges gauges = {
		.sessions = atomic_load(&filter->sessions),
		.in_hand = atomic_load(&filter->messages),
		.audit_records = audit_n_records(filter->audit),
	};

	metrics_render(&filter->metrics, &gauges, ret);
}

/* Its thread must inherit blocked signals. NULL where none are wanted, or where it fails: mail matters more. */
static struct exporter *
serve_metrics(struct filter *filter, int *fd)
{
	struct exporter *exporter = NULL;
	struct err err;

	if (*fd != -1 && exporter_start(fd, render_metrics, filter, &exporter, &err) == -1)
		log_line(LOG_LEVEL_WARNING, "submission.metrics: %s; going on without metrics", err.text);
	return exporter;
}

static bool
is_healthy(void *ctx)
{
	const struct filter *filter = ctx;

	if (pulse_beats(filter->socket))
		return true;
	log_line(LOG_LEVEL_ERROR, "no answer on our own socket '%s'; the service manager is not told that all is well",
	    filter->socket);
	return false;
}

/* The main thread: signals, one after the other, until it is time to stop. */
static int
run(struct filter *filter, int *metrics_fd)
{
	AUTO(exporter_stop) struct exporter *exporter = NULL;
	pthread_t server;
	int status;

	if (pthread_create(&server, NULL, serve, filter) != 0) {
		log_line(LOG_LEVEL_FATAL, "cannot start a thread; the filter stops");
		return EXIT_FAILURE;
	}
	exporter = serve_metrics(filter, metrics_fd);
	daemon_signals_take();
	daemon_ready();
	log_line(LOG_LEVEL_INFO, "segel-milter %s serves role submission%s", SEGEL_VERSION,
	    filter->pretend ? ", pretending" : "");
	start_review(filter);
	while (daemon_wait(is_healthy, filter) == SIGHUP) {
		bool reloaded;

		daemon_reloading();
		reloaded = reload(filter);
		daemon_ready();
		if (reloaded)
			start_review(filter);
	}
	daemon_stopping();
	status = atomic_load(&filter->gave_up) ? EXIT_FAILURE : EXIT_SUCCESS;
	if (status == EXIT_FAILURE)
		log_line(LOG_LEVEL_FATAL, "libmilter gave up; the filter stops, mail is deferred until it is started again");
	/* libmilter's threads, and a review, live on until the process ends: what they may still touch is not freed. */
	if (!drain(filter) || atomic_load(&filter->reviews) > 0)
		_exit(status);
	return status;
}

/* Nothing serves yet: all that the filter has can go. */
static int
not_started(struct filter *filter, const struct err *err)
{
	audit_close(filter->audit);
	free(filter->socket);
	free(filter->file);
	free(filter);
	return daemon_failed("segel-milter", err);
}

int
main(int argc, char **argv)
{
	struct filter *filter;
	struct options options;
	int metrics_fd = -1;
	struct err err;

	if (parse_options(argc, argv, &options) == -1) {
		fputs(usage_text, stderr);
		return EXIT_USAGE;
	}
	if (options.version)
		return print_version();
	if (!options.role || strcmp(options.role, "submission") != 0) {
		fprintf(stderr, "segel-milter: role '%s': wanted -r submission, the role this version has\n",
		    options.role ? options.role : "(none)");
		return EXIT_USAGE;
	}
	if (options.dump)
		return print_settings(options.file);
	if (options.check)
		return check_only(options.file);
	process_outlived_by_threads();
	/* Bodies go back to the system when their message ends, and grow without being copied. */
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	filter = xcalloc(1, sizeof(*filter)); /* lives as long as the process */
	filter->class = CLASS_SUBMISSION;
	filter->pretend = options.pretend;
	filter->file = realpath(options.file, NULL); /* a reload must find it from "/" too */
	if (!filter->file) {
		err_set(&err, ERR_CONFIG, "cannot read '%s': %s", options.file, strerror(errno));
		return not_started(filter, &err);
	}
	if (!options.foreground && daemon_detach(&err) == -1)
		return not_started(filter, &err);
	accept_raise_limit();
	if (daemon_signals_block(&err) == -1 || start(filter, options.foreground, &metrics_fd, &err) == -1)
		return not_started(filter, &err);
	return run(filter, &metrics_fd);
}
