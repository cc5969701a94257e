#include "milter/reviewd/keeper.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "milter/log.h"
#include "milter/reviewd/purge.h"
#include "milter/reviewd/release.h"

enum { ROUND_MS = 30 * 1000, ROUNDS_AN_HOUR = 120, ROUNDS_A_DAY = 24 * ROUNDS_AN_HOUR, MOST_PAUSE = 20, ORPHAN_SECONDS = 3600,
	DAY = 24 * 3600, MOST_JUMP = 3600, MOST_QUIET = 7 * DAY };

struct keeper {
	struct desk *desk;
	pthread_t thread;
	enum space space;
	unsigned pause; /* rounds between two tries of what was interrupted */
	unsigned wait;  /* rounds until the next */
	bool purged;    /* the clock was looked at before */
	int64_t ahead;  /* then: seconds from the machine's start to the clock's zero */
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

static int64_t
ahead_of_boot(time_t now)
{
	struct timespec since;

	clock_gettime(CLOCK_BOOTTIME, &since);
	return (int64_t)now - since.tv_sec;
}

/*
 * Whatever a wrong clock says has expired goes for good. One that has jumped since yesterday, or is far from the last thing
 * that happened here, has a day to be put right; people who ask for a purge get it.
 */
static bool
is_clock_odd(struct keeper *keeper, time_t now)
{
	const int64_t ahead = ahead_of_boot(now), jump = ahead - keeper->ahead;
	const bool first = !keeper->purged;
	struct err err = { ERR_NONE, "" };
	time_t last = 0;

	keeper->purged = true;
	keeper->ahead = ahead;
	if (!first)
		return jump > MOST_JUMP || jump < -MOST_JUMP;
	if (store_last_event(keeper->desk->store, &last, &err) != STORE_DONE)
		return true;
	return last && now - last > MOST_QUIET;
}

static void
purge(struct keeper *keeper)
{
	struct desk *desk = keeper->desk;
	const struct desk_settings *settings;
	const time_t now = time(NULL);
	struct err err = { ERR_NONE, "" };
	struct purged purged;

	if (is_clock_odd(keeper, now)) {
		log_line(LOG_LEVEL_WARNING, "the purge waits a day: the clock has jumped, or is a week and more ahead of the last thing that happened "
		    "here; where it is right, segelctl quarantine purge does it now");
		return;
	}
	settings = desk_ref(desk);
	if (purge_run(desk, settings, "", now, &purged, &err) == -1)
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
			purge(keeper);
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
