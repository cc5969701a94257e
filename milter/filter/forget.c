#include "milter/filter/forget.h"

#include "milter/daemon.h"
#include "milter/log.h"

enum { AT_A_TIME = 1000, HOUR = 60 * 60 };

/* Seconds that a signature is remembered. */
static time_t
kept(const struct filter *filter)
{
	const struct snapshot *snapshot = snapshot_ref(filter->box);
	const time_t seconds = snapshot->config->verify.replay / 1000;

	snapshot_unref(filter->box, snapshot);
	return seconds;
}

static void
forget(const struct filter *filter)
{
	const time_t before = time(NULL) - kept(filter);
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
	if (filter->replay && !daemon_thread(run, filter))
		log_line(LOG_LEVEL_WARNING, "cannot start a thread; signatures past verify.replay stay remembered");
}
