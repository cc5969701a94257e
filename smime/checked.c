#include "smime/checked.h"

#include <string.h>

void
checked_init(struct checked *checked)
{
	memset(checked, 0, sizeof(*checked));
	pthread_mutex_init(&checked->lock, NULL);
}

void
checked_done(struct checked *checked)
{
	pthread_mutex_destroy(&checked->lock);
}

int
checked_find(struct checked *checked, const unsigned char spki[32], int none)
{
	int result = none;

	pthread_mutex_lock(&checked->lock);
	for (size_t i = 0; i < checked->n && i < CHECKED_KEYS; i++) {
		if (memcmp(checked->at[i].spki, spki, 32) == 0)
			result = checked->at[i].result;
	}
	pthread_mutex_unlock(&checked->lock);
	return result;
}

void
checked_add(struct checked *checked, const unsigned char spki[32], int result)
{
	size_t slot;

	pthread_mutex_lock(&checked->lock);
	slot = checked->n % CHECKED_KEYS;
	memcpy(checked->at[slot].spki, spki, 32);
	checked->at[slot].result = result;
	checked->n++;
	pthread_mutex_unlock(&checked->lock);
}
