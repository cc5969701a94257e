/* segel-milter: the filter. One process serves one role on its own UNIX socket. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "milter/command.h"
#include "milter/daemon.h"
#include "milter/filter/accept.h"
#include "milter/filter/originals.h"
#include "milter/filter/readiness.h"
#include "milter/filter/service.h"
#include "milter/priv.h"
#include "smime/gm.h"
#include "smime/process.h"
#include "smime/version.h"

static const char usage_text[] =
	"usage: segel-milter -r ROLE [-c FILE] [-n | -d | -f] [--pretend]\n"
	"       segel-milter -V\n"
	"\n"
	"  -r ROLE     what this process serves:\n"
	"                submission  authenticated users of our own: seals\n"
	"                inbound     other servers: demands TLS of official mail, judges seals,\n"
	"                            holds what is forged or revoked\n"
	"                local       mail that comes without SMTP: seals for who is listed\n"
	"                egress      mail on its way out: refuses what must be encrypted or sealed\n"
	"                            and is not\n"
	"  -c FILE     settings (" CONFIG_FILE ")\n"
	"  -n          check settings, registry, folders and key agent, then exit: 0 good, 1 not; warns of\n"
	"              certificates whose key or issuing authority is missing\n"
	"  -d          print the effective settings, defaults included, then exit\n"
	"  -f          stay in the foreground and log to standard error\n"
	"  --pretend   decide and log, but change and refuse nothing\n"
	"  -V          print the version and those of its libraries\n"
	"\n"
	"Signals: HUP reloads everything (a faulty file keeps the old; socket, user, audit_dir and\n"
	"log.target need a restart), TERM and INT finish the messages in hand (drain), then exit.\n"
	"Exit status: 0 good, 1 not started or check failed, 2 wrong usage.\n";

enum { WARNINGS_BYTES = 1024 * 1024 };

static int
print_problems(const struct buf *problems)
{
	fputs(buf_text(problems), stderr);
	return EXIT_FAILURE;
}

static void
print_warnings(const struct buf *warnings)
{
	const char *rest = buf_text(warnings), *line;
	size_t len;

	while ((line = text_line(&rest, &len)))
		fprintf(stderr, "warning: %.*s\n", (int)len, line);
}

static void
check_trust(const struct snapshot *snapshot, struct buf *problems)
{
	struct err err;
	const struct trust_held *held = trust_watch_ref(snapshot->trust, time(NULL), &err);

	if (!held)
		buf_printf(problems, "%s\n", err.text);
	trust_watch_unref(snapshot->trust, held);
}

/* What only the role's own user can tell: may it read, write and ask? */
static void
check_as_user(const struct role_traits *role, const struct config *config, struct buf *problems, struct buf *warnings)
{
	AUTO(snapshot_free) struct snapshot *snapshot = NULL;
	const struct role_settings *own = role_settings(role, config);
	struct err err;

	if (access(own->audit_dir, W_OK | X_OK) == -1)
		buf_printf(problems, "%s.audit_dir: '%s': %s\n", role->name, own->audit_dir, strerror(errno));
	if (access(own->state_dir, W_OK | X_OK) == -1)
		buf_printf(problems, "%s.state_dir: '%s': %s\n", role->name, own->state_dir, strerror(errno));
	if (role_opens(role, config) && *config->decrypt.keep_dir && originals_check(config->decrypt.keep_dir, &err) == -1)
		buf_printf(problems, "%s\n", err.text);
	if (snapshot_load(config->file, role, &snapshot, problems) == -1)
		return;
	if ((role->seals || role_opens(role, config)) && keyd_ping(snapshot->keyd, &err) == -1)
		buf_printf(problems, "keyd.socket: %s\n", err.text);
	if (snapshot->depot && depot_ping(snapshot->depot, &err) == -1)
		buf_printf(problems, "quarantine.hold_socket: %s\n", err.text);
	check_trust(snapshot, problems);
	readiness(snapshot, role, time(NULL), warnings);
}

/* Everything a start would need, without touching anything. */
static int
check_role(const struct role_traits *role, const char *file)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf problems = { 0 };
	AUTO_BUF struct buf warnings = { 0 };
	const struct role_settings *settings;
	struct err err;
	gid_t group;

	buf_init(&problems, 1024 * 1024);
	buf_init(&warnings, WARNINGS_BYTES);
	if (config_load(file, &config, &problems) == -1)
		return print_problems(&problems);
	settings = role_settings(role, config);
	if (priv_socket_folder(settings->socket, &err) == -1)
		buf_printf(&problems, "%s.socket: %s\n", role->name, err.text);
	if (priv_group(settings->socket_group, &group, &err) == -1)
		buf_printf(&problems, "%s.socket_group: %s\n", role->name, err.text);
	if (priv_drop(settings->user, &err) == -1)
		buf_printf(&problems, "%s.user: %s\n", role->name, err.text);
	else
		check_as_user(role, config, &problems, &warnings);
	print_warnings(&warnings);
	if (problems.len)
		return print_problems(&problems);
	printf("%s: good\n", file);
	return EXIT_SUCCESS;
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

/* Nothing serves yet: all that the filter has can go. */
static int
not_started(struct filter *filter, const struct err *err)
{
	audit_close(filter->audit);
	replay_close(filter->replay);
	poison_close(filter->poison);
	free(filter->socket);
	free(filter->file);
	free(filter);
	return daemon_failed("segel-milter", err);
}

static const struct role_traits *
find_role(const struct command_line *line)
{
	const struct role_traits *role = line->role ? role_find(line->role) : NULL;

	if (!role)
		fprintf(stderr, "segel-milter: role '%s': wanted -r submission, -r inbound, -r local or -r egress\n", line->role ? line->role : "(none)");
	return role;
}

static int
check_only(const struct command_line *line)
{
	const struct role_traits *role = find_role(line);

	return role ? check_role(role, line->file) : COMMAND_WRONG;
}

static int
serve(const struct command_line *line)
{
	const struct role_traits *role = find_role(line);
	struct filter *filter;
	int metrics_fd = -1;
	struct err err;

	if (!role)
		return COMMAND_WRONG;
	process_outlived_by_threads();
	/* Bodies go back to the system when their message ends, and grow without being copied. */
	mallopt(M_MMAP_THRESHOLD, 256 * 1024);
	accept_raise_limit();
	filter = xcalloc(1, sizeof(*filter)); /* lives as long as the process */
	filter->role = role;
	filter->pretend = line->pretend;
	if (command_begin(line, &filter->file, &err) == -1 || service_start(filter, line, &metrics_fd, &err) == -1)
		return not_started(filter, &err);
	return service_run(filter, &metrics_fd);
}

int
main(int argc, char **argv)
{
	static void (*const libraries[])(struct buf *ret) = { crypto_library, gm_library, config_library, registry_library, NULL };
	const struct command command = {
		.program = "segel-milter", .usage = usage_text, .roles = true, .libraries = libraries, .check = check_only, .serve = serve,
	};

	return command_main(&command, argc, argv);
}
