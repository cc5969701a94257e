#include "milter/filter/trust_watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "milter/log.h"

enum { PROBLEM_BYTES = 16 * 1024, N_MARKS = 2 };

/* A generation file as it was: one that is not there is all zeros. */
struct mark {
	dev_t device;
	ino_t inode;
	time_t seconds;
	long nanoseconds;
};

struct trust_watch {
	char *dir;
	struct trust_ages ages;

	pthread_mutex_t lock;
	pthread_cond_t loaded;      /* or failed to */
	struct trust_held *current; /* one count is the watch's own */
	struct mark marks[N_MARKS]; /* when `current`, or what failed instead, was begun */
	time_t looked;
	bool tried;
	bool loading;               /* one of the threads does, without the lock */
	struct err err;             /* of the last load that failed, where there is nothing current */
};

struct trust_watch *
trust_watch_new(const struct config *config)
{
	struct trust_watch *watch = xcalloc(1, sizeof(*watch));

	watch->dir = xstrdup(config->trust.dir);
	watch->ages = (struct trust_ages){ .grace = config->trust.grace / 1000, .ocsp_most = TRUST_OCSP_MOST, .skew = TRUST_SKEW };
	pthread_mutex_init(&watch->lock, NULL);
	pthread_cond_init(&watch->loaded, NULL);
	return watch;
}

static void
held_free(struct trust_held *held)
{
	if (!held)
		return;
	trust_free(held->trust);
	free(held);
}

void
trust_watch_free(struct trust_watch *watch)
{
	if (!watch)
		return;
	held_free(watch->current);
	pthread_cond_destroy(&watch->loaded);
	pthread_mutex_destroy(&watch->lock);
	free(watch->dir);
	free(watch);
}

static void
read_marks(const struct trust_watch *watch, struct mark ret[N_MARKS])
{
	static const char *const names[N_MARKS] = { "generation", "state/generation" };

	memset(ret, 0, N_MARKS * sizeof(*ret));
	for (size_t i = 0; i < N_MARKS; i++) {
		AUTO(xfree) char *path = xasprintf("%s/%s", watch->dir, names[i]);
		struct stat st;

		if (stat(path, &st) == -1)
			continue;
		ret[i].device = st.st_dev;
		ret[i].inode = st.st_ino;
		ret[i].seconds = st.st_mtim.tv_sec;
		ret[i].nanoseconds = st.st_mtim.tv_nsec;
	}
}

static void
log_problems(const struct buf *problems)
{
	const char *text = buf_text(problems), *line;
	size_t len;

	while ((line = text_line(&text, &len)))
		log_line(LOG_LEVEL_WARNING, "trust: not taken: %.*s", (int)len, line);
}

static int
load(const struct trust_watch *watch, struct trust_held **ret, struct err *err)
{
	AUTO_BUF struct buf problems = { 0 };
	struct trust *trust = NULL;

	buf_init(&problems, PROBLEM_BYTES);
	if (trust_load_dir(watch->dir, &watch->ages, &trust, &problems, err) == -1)
		return err_wrap(err, "trust.dir '%s'", watch->dir);
	log_problems(&problems);
	*ret = xcalloc(1, sizeof(**ret));
	(*ret)->trust = trust;
	(*ret)->count = 1;
	return 0;
}

/* Is it this thread's turn to load? With the lock. Zeros are marks too: the first look always loads. */
static bool
is_due(struct trust_watch *watch, time_t now, struct mark marks[N_MARKS])
{
	if (watch->loading || (watch->tried && watch->looked == now))
		return false;
	watch->looked = now;
	read_marks(watch, marks);
	/* Without anything to go on with, what failed is tried again. */
	return !watch->current || memcmp(marks, watch->marks, sizeof(watch->marks)) != 0;
}

static struct trust_held *
let_go(struct trust_held *held)
{
	return held && --held->count == 0 ? held : NULL;
}

/* With the lock; returns what is to be freed without it. */
static struct trust_held *
put(struct trust_watch *watch, struct trust_held *new, const struct err *err)
{
	struct trust_held *old = NULL;

	watch->loading = false;
	watch->tried = true;
	if (new) {
		old = let_go(watch->current);
		watch->current = new;
	} else {
		watch->err = *err;
	}
	return old;
}

static void
renew(struct trust_watch *watch)
{
	struct trust_held *new = NULL, *old;
	struct err err = { 0 };

	if (load(watch, &new, &err) == -1)
		log_line(LOG_LEVEL_WARNING, "%s; using what was there before, if anything", err.text);
	pthread_mutex_lock(&watch->lock);
	old = put(watch, new, &err);
	pthread_cond_broadcast(&watch->loaded);
	pthread_mutex_unlock(&watch->lock);
	held_free(old);
}

const struct trust_held *
trust_watch_ref(struct trust_watch *watch, time_t now, struct err *err)
{
	struct mark marks[N_MARKS];
	struct trust_held *held;
	bool mine;

	pthread_mutex_lock(&watch->lock);
	mine = is_due(watch, now, marks);
	if (mine) {
		watch->loading = true;
		/* From before the load: what comes while it runs is seen next time. */
		memcpy(watch->marks, marks, sizeof(marks));
	}
	pthread_mutex_unlock(&watch->lock);
	if (mine)
		renew(watch);
	pthread_mutex_lock(&watch->lock);
	/* Without anything to go on with meanwhile, there is no answer before the load ends. */
	while (!watch->current && watch->loading)
		pthread_cond_wait(&watch->loaded, &watch->lock);
	held = watch->current;
	if (held)
		held->count++;
	else if (err)
		*err = watch->err;
	pthread_mutex_unlock(&watch->lock);
	return held;
}

void
trust_watch_unref(struct trust_watch *watch, const struct trust_held *held)
{
	struct trust_held *old;

	if (!held)
		return;
	pthread_mutex_lock(&watch->lock);
	old = let_go((struct trust_held *)(uintptr_t)held);
	pthread_mutex_unlock(&watch->lock);
	held_free(old);
}
