/*
 * checked: which keys a signature was already held against, and what came of it.
 * Belongs to something that is otherwise immutable and shared by threads; forgets the oldest.
 */
#ifndef SMIME_CHECKED_H
#define SMIME_CHECKED_H

#include <pthread.h>

#include "smime/base.h"

enum { CHECKED_KEYS = 8 };

struct checked {
	pthread_mutex_t lock;
	struct {
		unsigned char spki[32];
		int result;
	} at[CHECKED_KEYS];
	size_t n; /* how often one was added */
};

void checked_init(struct checked *checked);
void checked_done(struct checked *checked);
/* The result for this key, or `none`. */
int checked_find(struct checked *checked, const unsigned char spki[32], int none);
void checked_add(struct checked *checked, const unsigned char spki[32], int result);

#endif
