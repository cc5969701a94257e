#include "milter/filter/service.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "milter/daemon.h"
#include "milter/filter/exporter.h"
#include "milter/filter/forget.h"
#include "milter/filter/mta.h"
#include "milter/filter/pulse.h"
#include "milter/filter/readiness.h"
#include "milter/log.h"
#include "milter/priv.h"

enum { WARNINGS_LOGGED = 20, WARNINGS_BYTES = 1024 * 1024, MEMORY_TIMEOUT_MS = 5000 };

/* The listening socket, made before root is given up: its folder need not be ours. */
static int
open_socket(const char *role, const struct role_settings *settings, struct err *err)
{
	AUTO(xfree) char *address = xasprintf("unix:%s", settings->socket);
	const char *path = settings->socket;
	gid_t group;
	int alive;

	if (priv_socket_folder(path, err) == -1 || priv_group(settings->socket_group, &group, err) == -1)
		return err_wrap(err, "%s.socket", role);
	alive = priv_socket_alive(path, err);
	if (alive == -1)
		return err_wrap(err, "%s.socket", role);
	if (alive)
		return err_set(err, ERR_CONFIG, "%s.socket: another process serves '%s'; stop it first", role, path);
	umask(0117);
	if (smfi_setconn(address) != MI_SUCCESS || smfi_opensocket(true) != MI_SUCCESS)
		return err_set(err, ERR_CONFIG, "%s.socket: cannot listen on '%s': %s", role, path, strerror(errno));
	if (lchown(path, (uid_t)-1, group) == -1) /* whoever owns the folder could put a link here meanwhile */
		return err_set(err, ERR_CONFIG, "%s.socket: cannot give '%s' to group '%s': %s", role, path,
		    settings->socket_group, strerror(errno));
	umask(0077);
	return 0;
}

/* `metrics_fd` stays -1 where no metrics are wanted. */
static int
open_sockets(struct filter *filter, const struct role_settings *settings, int *metrics_fd, struct err *err)
{
	if (open_socket(filter->role->name, settings, err) == -1)
		return -1;
	filter->socket = xstrdup(settings->socket);
	if (*settings->metrics && exporter_listen(settings->metrics, metrics_fd, err) == -1)
		return err_wrap(err, "%s.metrics", filter->role->name);
	return 0;
}

static int
open_audit(struct filter *filter, const struct role_settings *settings, struct err *err)
{
	char name[64];

	snprintf(name, sizeof(name), "segel-milter-%s", filter->role->name);
	if (audit_open(settings->audit_dir, name, &filter->audit, err) == -1)
		return err_wrap(err, "%s.audit_dir", filter->role->name);
	return 0;
}

/* What it remembers. A role that cannot remember must not decide. */
static int
open_memory(struct filter *filter, const struct role_settings *settings, struct err *err)
{
	if (replay_open(settings->state_dir, MEMORY_TIMEOUT_MS, &filter->replay, err) == -1
	    || poison_open(settings->state_dir, time(NULL), &filter->poison, err) == -1)
		return err_wrap(err, "%s.state_dir", filter->role->name);
	return 0;
}

/* So that the first messages do not all wait for it; a folder that cannot be read is a warning of its own. */
static void
load_trust(const struct snapshot *snapshot)
{
	struct err err;
	const struct trust_held *held = trust_watch_ref(snapshot->trust, time(NULL), &err);

	trust_watch_unref(snapshot->trust, held);
}

int
service_start(struct filter *filter, const struct command_line *line, int *metrics_fd, struct err *err)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO(snapshot_free) struct snapshot *snapshot = NULL;
	AUTO_BUF struct buf problems = { 0 };
	const struct role_settings *settings;

	buf_init(&problems, 64 * 1024);
	if (config_load(filter->file, &config, &problems) == -1)
		return config_err(&problems, err);
	settings = role_settings(filter->role, config);
	command_log("segel-milter", line, config);
	if (mta_register(filter, err) == -1 || open_sockets(filter, settings, metrics_fd, err) == -1)
		return -1;
	if (priv_drop(settings->user, err) == -1 || priv_harden(err) == -1)
		return err_wrap(err, "%s.user", filter->role->name);
	if (snapshot_load(filter->file, filter->role, &snapshot, &problems) == -1)
		return config_err(&problems, err);
	if (open_audit(filter, settings, err) == -1)
		return -1;
	if (open_memory(filter, settings, err) == -1)
		return -1;
	smfi_settimeout((int)(settings->timeout / 1000));
	filter->box = snapshot_box_new();
	load_trust(snapshot);
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
	readiness(snapshot, filter->role, time(NULL), &warnings);
	snapshot_unref(filter->box, snapshot);
	rest = buf_text(&warnings);
	while ((line = text_line(&rest, &len)))
		if (n++ < WARNINGS_LOGGED)
			log_line(LOG_LEVEL_WARNING, "%.*s", (int)len, line);
	if (n == 0 && filter->role->seals)
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

/* In a thread of its own: a key agent that is silent keeps neither signals nor the watchdog waiting. */
static void
start_review(struct filter *filter)
{
	if (!filter->role->seals && !filter->role->holds)
		return;
	atomic_fetch_add(&filter->reviews, 1);
	if (!daemon_thread(review, filter)) {
		atomic_fetch_sub(&filter->reviews, 1);
		log_line(LOG_LEVEL_WARNING, "cannot start a thread; going on without looking whether keys and authorities are there");
	}
}

/* A new snapshot beside the old; a faulty one is reported and changes nothing. */
static void
reload(void *ctx)
{
	struct filter *filter = ctx;
	AUTO(snapshot_free) struct snapshot *snapshot = NULL;
	AUTO_BUF struct buf problems = { 0 };
	const char *rest, *line;
	size_t len;

	buf_init(&problems, 64 * 1024);
	if (snapshot_load(filter->file, filter->role, &snapshot, &problems) == 0) {
		log_level_set((enum log_level)snapshot->config->log.level);
		load_trust(snapshot);
		snapshot_put(filter->box, &snapshot);
		metrics_reload(&filter->metrics, true, time(NULL));
		log_line(LOG_LEVEL_INFO, "reloaded %s; messages in hand keep the settings they began with",
		    filter->file);
		start_review(filter);
		return;
	}
	rest = buf_text(&problems);
	while ((line = text_line(&rest, &len)))
		log_line(LOG_LEVEL_WARNING, "reload: %.*s", (int)len, line);
	metrics_reload(&filter->metrics, false, time(NULL));
	log_line(LOG_LEVEL_WARNING, "reload failed, using the old settings");
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
	const long limit = role_settings(filter->role, snapshot->config)->drain;
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
		log_line(LOG_LEVEL_WARNING, "%s.metrics: %s; going on without metrics", filter->role->name, err.text);
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
int
service_run(struct filter *filter, int *metrics_fd)
{
	AUTO(exporter_stop) struct exporter *exporter = NULL;
	pthread_t server;
	int status;

	if (pthread_create(&server, NULL, serve, filter) != 0) {
		log_line(LOG_LEVEL_FATAL, "cannot start a thread; the filter stops");
		return EXIT_FAILURE;
	}
	exporter = serve_metrics(filter, metrics_fd);
	log_line(LOG_LEVEL_INFO, "segel-milter %s serves role %s%s", SEGEL_VERSION, filter->role->name,
	    filter->pretend ? ", pretending" : "");
	start_review(filter);
	forget_start(filter);
	daemon_live(is_healthy, reload, filter);
	status = atomic_load(&filter->gave_up) ? EXIT_FAILURE : EXIT_SUCCESS;
	if (status == EXIT_FAILURE)
		log_line(LOG_LEVEL_FATAL, "libmilter gave up; the filter stops, mail is deferred until it is started again");
	/* libmilter's threads, and a review, live on until the process ends: what they may still touch is not freed. */
	if (!drain(filter) || atomic_load(&filter->reviews) > 0)
		_exit(status);
	return status;
}

