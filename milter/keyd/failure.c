#include "milter/keyd/failure.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "smime/hash.h"

enum { HOUR_MS = 60 * 60 * 1000, PREFIX_BYTES = 8, MAPPED_BYTES = 12 };

struct pair {
	unsigned char name[HASH_BYTES]; /* of key and sender */
	int64_t times[FAILURES_AN_HOUR]; /* oldest first */
	unsigned n;
};

struct failures {
	pthread_mutex_t lock;
	struct pair *pairs; /* owned */
	size_t n_pairs;
};

struct failures *
failures_new(void)
{
	struct failures *failures = xcalloc(1, sizeof(*failures));

	pthread_mutex_init(&failures->lock, NULL);
	return failures;
}

void
failures_free(struct failures *failures)
{
	if (!failures)
		return;
	pthread_mutex_destroy(&failures->lock);
	free(failures->pairs);
	free(failures);
}

/* Many addresses of one sender are one. */
static void
hash_sender(struct hash *hash, const char *sender)
{
	struct in6_addr six;
	struct in_addr four;

	if (inet_pton(AF_INET6, sender, &six) == 1 && !IN6_IS_ADDR_V4MAPPED(&six)) {
		hash_add(hash, slice_of("6"));
		hash_add(hash, (struct slice){ six.s6_addr, PREFIX_BYTES });
	} else if (inet_pton(AF_INET6, sender, &six) == 1) {
		hash_add(hash, slice_of("4"));
		hash_add(hash, (struct slice){ six.s6_addr + MAPPED_BYTES, sizeof(four) });
	} else if (inet_pton(AF_INET, sender, &four) == 1) {
		hash_add(hash, slice_of("4"));
		hash_add(hash, (struct slice){ (const unsigned char *)&four, sizeof(four) });
	} else {
		hash_add(hash, slice_of("="));
		hash_add(hash, slice_of(sender));
	}
}

static void
name_pair(const unsigned char spki[32], struct slice sender, unsigned char ret[HASH_BYTES])
{
	AUTO(xfree) char *text = slice_dup(sender);
	AUTO(hash_free) struct hash *hash = hash_new();

	hash_add(hash, (struct slice){ spki, 32 });
	hash_sender(hash, text);
	hash_end(&hash, ret);
}

static struct pair *
find(const struct failures *failures, const unsigned char name[HASH_BYTES])
{
	for (size_t i = 0; i < failures->n_pairs; i++)
		if (memcmp(failures->pairs[i].name, name, HASH_BYTES) == 0)
			return &failures->pairs[i];
	return NULL;
}

static void
forget_before(struct pair *pair, int64_t start)
{
	unsigned n_old = 0;

	while (n_old < pair->n && pair->times[n_old] <= start)
		n_old++;
	pair->n -= n_old;
	memmove(pair->times, pair->times + n_old, pair->n * sizeof(*pair->times));
}

static bool
is_less(const struct pair *a, const struct pair *b)
{
	if (a->n != b->n)
		return a->n < b->n;
	return a->n && a->times[a->n - 1] < b->times[b->n - 1];
}

/* The one that is missed least; each counted up to now. */
static struct pair *
least(struct failures *failures, int64_t start)
{
	struct pair *least = &failures->pairs[0];

	for (size_t i = 0; i < failures->n_pairs; i++) {
		forget_before(&failures->pairs[i], start);
		if (is_less(&failures->pairs[i], least))
			least = &failures->pairs[i];
	}
	return least;
}

static struct pair *
room_for(struct failures *failures, const unsigned char name[HASH_BYTES], int64_t start)
{
	struct pair *pair;

	if (failures->n_pairs < FAILURE_PAIRS) {
		failures->pairs = xrealloc(failures->pairs, (failures->n_pairs + 1) * sizeof(*failures->pairs));
		pair = &failures->pairs[failures->n_pairs++];
	} else {
		pair = least(failures, start);
	}
	*pair = (struct pair){ .n = 0 };
	memcpy(pair->name, name, HASH_BYTES);
	return pair;
}

static unsigned
add(struct failures *failures, const unsigned char name[HASH_BYTES], int64_t now)
{
	struct pair *pair = find(failures, name);

	if (!pair)
		pair = room_for(failures, name, now - HOUR_MS);
	forget_before(pair, now - HOUR_MS);
	if (pair->n == FAILURES_AN_HOUR) { /* of mail that was at work when the limit was reached: the newest count */
		pair->n--;
		memmove(pair->times, pair->times + 1, pair->n * sizeof(*pair->times));
	}
	pair->times[pair->n++] = now;
	return pair->n;
}

unsigned
failures_add(struct failures *failures, const unsigned char spki[32], struct slice sender, int64_t now)
{
	unsigned char name[HASH_BYTES];
	unsigned n;

	name_pair(spki, sender, name);
	pthread_mutex_lock(&failures->lock);
	n = add(failures, name, now);
	pthread_mutex_unlock(&failures->lock);
	return n;
}

bool
failures_allow(struct failures *failures, const unsigned char spki[32], struct slice sender, int64_t now)
{
	unsigned char name[HASH_BYTES];
	struct pair *pair;
	bool allow = true;

	name_pair(spki, sender, name);
	pthread_mutex_lock(&failures->lock);
	pair = find(failures, name);
	if (pair) {
		forget_before(pair, now - HOUR_MS);
		allow = pair->n < FAILURES_AN_HOUR;
	}
	pthread_mutex_unlock(&failures->lock);
	return allow;
}
