#include "milter/keyd/limit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MINUTE_MS = 60 * 1000 };

/* The times of a key's signatures, oldest first, in a ring. */
struct window {
	unsigned char spki[32];
	int64_t *times; /* owned */
	size_t room;
	size_t first;
	size_t n;
};

struct limiter {
	pthread_mutex_t lock;
	struct window *windows; /* owned; one for each key that ever signed */
	size_t n_windows;
};

struct limiter *
limiter_new(void)
{
	struct limiter *limiter = xcalloc(1, sizeof(*limiter));

	pthread_mutex_init(&limiter->lock, NULL);
	return limiter;
}

void
limiter_free(struct limiter *limiter)
{
	if (!limiter)
		return;
	for (size_t i = 0; i < limiter->n_windows; i++)
		free(limiter->windows[i].times);
	free(limiter->windows);
	pthread_mutex_destroy(&limiter->lock);
	free(limiter);
}

static struct window *
window_of(struct limiter *limiter, const unsigned char spki[32])
{
	struct window *window;

	for (size_t i = 0; i < limiter->n_windows; i++) {
		if (memcmp(limiter->windows[i].spki, spki, 32) == 0)
			return &limiter->windows[i];
	}
	limiter->windows = xrealloc(limiter->windows, (limiter->n_windows + 1) * sizeof(*limiter->windows));
	window = &limiter->windows[limiter->n_windows++];
	*window = (struct window){ .n = 0 };
	memcpy(window->spki, spki, 32);
	return window;
}

static void
forget_before(struct window *window, int64_t start)
{
	while (window->n && window->times[window->first] <= start) {
		window->first = (window->first + 1) % window->room;
		window->n--;
	}
}

static void
grow(struct window *window)
{
	size_t room = window->room ? 2 * window->room : 64;
	int64_t *times = xcalloc(room, sizeof(*times));

	for (size_t i = 0; i < window->n; i++)
		times[i] = window->times[(window->first + i) % window->room];
	free(window->times);
	window->times = times;
	window->room = room;
	window->first = 0;
}

static bool
take(struct window *window, unsigned per_minute, int64_t now)
{
	forget_before(window, now - MINUTE_MS);
	if (window->n >= per_minute)
		return false;
	if (window->n == window->room)
		grow(window);
	window->times[(window->first + window->n) % window->room] = now;
	window->n++;
	return true;
}

bool
limiter_take(struct limiter *limiter, const unsigned char spki[32], unsigned per_minute, int64_t now)
{
	bool taken;

	pthread_mutex_lock(&limiter->lock);
	taken = take(window_of(limiter, spki), per_minute, now);
	pthread_mutex_unlock(&limiter->lock);
	return taken;
}
