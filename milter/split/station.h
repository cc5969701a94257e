/*
 * station: what every connection of segel-split works with: settings, registry and authorities as they were when its
 * message began (a snapshot, counted; a reload puts a new one beside the old), and the one memory of copies.
 */
#ifndef SPLIT_STATION_H
#define SPLIT_STATION_H

#include <pthread.h>

#include "milter/filter/trust_watch.h"
#include "milter/split/memory.h"
#include "policy/config.h"
#include "policy/registry/registry.h"

struct split_snapshot {
	struct config *config;
	struct registry *registry;
	struct trust_watch *trust; /* by itself newer than the snapshot */
	struct buf copy_certificate; /* DER of encrypt.copy_certificate; len 0 = none */
	unsigned count;            /* under the station's lock */
};

struct station {
	struct memory *memory;
	char *host;   /* what we call ourselves */
	int stop_fd;  /* readable once we stop */
	pthread_mutex_t lock; /* guards `current` and all counts */
	struct split_snapshot *current;
};

/* `problems` gets a line for each. */
int split_snapshot_load(const char *file, struct split_snapshot **ret, struct buf *problems) MUST_USE;
void split_snapshot_free(struct split_snapshot *snapshot); /* one that is on no station */
AUTO_DEFINE(struct split_snapshot, split_snapshot_free);

void station_init(struct station *station, int stop_fd);
void station_done(struct station *station); /* nobody may be at work */
void station_put(struct station *station, struct split_snapshot **snapshot); /* takes it */
const struct split_snapshot *station_ref(struct station *station);
void station_unref(struct station *station, const struct split_snapshot *snapshot);

/* Largest message that is taken: a sealed one is larger than what its sender wrote. */
size_t station_message_bytes(const struct config *config);

#endif
