#include "milter/filter/forget.h"

#include "milter/daemon.h"
#include "milter/filter/originals.h"
#include "milter/log.h"

enum { AT_A_TIME = 1000, HOUR = 60 * 60 };

static void
forget_signatures(const struct filter *filter, time_t before)
{
	struct err err = { ERR_NONE, "" };
	size_t n = AT_A_TIME, all = 0;

	while (n == AT_A_TIME) {
		if (replay_forget(filter->replay, before, AT_A_TIME, &n, &err) == -1) {
			log_line(LOG_LEVEL_WARNING, "signatures past verify.replay stay remembered for now: %s", err.text);
			return;
		}
		all += n;
	}
	if (all)
		log_line(LOG_LEVEL_INFO, "forgot %zu signatures that were first seen longer ago than verify.replay", all);
}

static void
forget_originals(const char *dir, time_t before)
{
	struct err err = { ERR_NONE, "" };
	size_t n;

	if (originals_forget(dir, before, &n, &err) == -1)
		log_line(LOG_LEVEL_WARNING, "originals past decrypt.keep stay for now: %s", err.text);
	if (n)
		log_line(LOG_LEVEL_INFO, "removed %zu originals that were kept longer than decrypt.keep", n);
}

static void
forget(const struct filter *filter)
{
	const struct snapshot *snapshot = snapshot_ref(filter->box);
	const struct config *config = snapshot->config;
	const time_t now = time(NULL);

	if (filter->replay)
		forget_signatures(filter, now - config->verify.replay / 1000);
	if (filter->role->role == ROLE_INBOUND && *config->decrypt.keep_dir)
		forget_originals(config->decrypt.keep_dir, now - config->decrypt.keep / 1000);
	snapshot_unref(filter->box, snapshot);
}

static void *
run(void *context)
{
	const struct timespec hour = { .tv_sec = HOUR };

	do
		forget(context);
	while (nanosleep(&hour, NULL) == 0);
	return NULL;
}

void
forget_start(struct filter *filter)
{
	if (!daemon_thread(run, filter))
		log_line(LOG_LEVEL_WARNING, "cannot start a thread; what is past verify.replay and decrypt.keep stays");
}
