#include "milter/reviewd/keeper.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "milter/log.h"
#include "milter/reviewd/purge.h"
#include "milter/reviewd/release.h"

enum { ROUND_MS = 30 * 1000, ROUNDS_AN_HOUR = 120, ROUNDS_A_DAY = 24 * ROUNDS_AN_HOUR, MOST_PAUSE = 20, ORPHAN_SECONDS = 3600 };

struct keeper {
	struct desk *desk;
	pthread_t thread;
	enum space space;
	unsigned pause; /* rounds between two tries of what was interrupted */
	unsigned wait;  /* rounds until the next */
};

static void
sweep(struct desk *desk)
{
	struct err err = { ERR_NONE, "" };
	size_t swept = 0, lost = 0;

	if (store_sweep(desk->store, time(NULL), ORPHAN_SECONDS, &swept, &lost, &err) == -1)
		log_line(LOG_LEVEL_WARNING, "files without a row were not looked for: %s", err.text);
	if (swept)
		log_line(LOG_LEVEL_WARNING, "%zu bodies without a row went to 'orphans' in quarantine.dir: deliveries that were broken off, which "
		    "come again, or, where the database is from a backup, mail held since then; they go after 30 days", swept);
	if (lost)
		log_line(LOG_LEVEL_ERROR, "%zu items have lost their file; compare quarantine.dir with a backup", lost);
}

static void
purge(struct desk *desk)
{
	const struct desk_settings *settings = desk_ref(desk);
	struct err err = { ERR_NONE, "" };
	struct purged purged;

	if (purge_run(desk, settings, "", time(NULL), &purged, &err) == -1)
		log_line(LOG_LEVEL_ERROR, "purge stopped: %s", err.text);
	desk_unref(desk, settings);
}

/* A mail server that is away gets neither a try nor a record twice a minute. */
static void
resume(struct keeper *keeper)
{
	if (keeper->wait > 0) {
		keeper->wait--;
		return;
	}
	if (release_resume(keeper->desk) == 0)
		keeper->pause = 0;
	else
		keeper->pause = keeper->pause * 2 + 1 < MOST_PAUSE ? keeper->pause * 2 + 1 : MOST_PAUSE;
	keeper->wait = keeper->pause > 0 ? keeper->pause - 1 : 0;
}

static void
watch(struct keeper *keeper)
{
	const struct desk_settings *settings = desk_ref(keeper->desk);

	keeper->space = purge_watch(keeper->desk, settings, keeper->space);
	desk_unref(keeper->desk, settings);
}

static bool
stops(const struct desk *desk)
{
	struct pollfd polled = { desk->stop_fd, POLLIN, 0 };

	for (;;) {
		const int n = poll(&polled, 1, ROUND_MS);

		if (n != -1 || errno != EINTR)
			return n != 0;
	}
}

static void *
keep(void *arg)
{
	struct keeper *keeper = arg;
	unsigned long round = 0;

	do {
		resume(keeper);
		watch(keeper);
		if (round % ROUNDS_AN_HOUR == 0)
			sweep(keeper->desk);
		if (round % ROUNDS_A_DAY == 0)
			purge(keeper->desk);
		round++;
	} while (!stops(keeper->desk));
	return NULL;
}

int
keeper_start(struct desk *desk, struct keeper **ret, struct err *err)
{
	struct keeper *keeper = xcalloc(1, sizeof(*keeper));
	int failed;

	keeper->desk = desk;
	failed = pthread_create(&keeper->thread, NULL, keep, keeper);
	if (failed) {
		free(keeper);
		return err_set(err, ERR_TEMP, "no thread: %s", strerror(failed));
	}
	*ret = keeper;
	return 0;
}

bool
keeper_stop(struct keeper *keeper, int drain_ms)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += drain_ms / 1000;
	if (pthread_timedjoin_np(keeper->thread, NULL, &until) != 0)
		return false;
	free(keeper);
	return true;
}
