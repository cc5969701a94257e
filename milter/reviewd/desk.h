/*
 * desk: what all connections of segel-reviewd share: settings, store, registry, audit, key agent. A reload makes new
 * settings current; a request keeps those it began with.
 */
#ifndef REVIEWD_DESK_H
#define REVIEWD_DESK_H

#include <pthread.h>
#include <semaphore.h>
#include <sys/types.h>

#include "milter/audit/audit.h"
#include "milter/keyd/client.h"
#include "milter/quarantine/store.h"
#include "policy/config.h"
#include "policy/permit.h"
#include "policy/registry/registry.h"

/* Counted; immutable. */
struct desk_settings {
	struct config *config;
	struct registry *registry;
	struct keyd_client *keyd;
	uid_t *holders;  /* of quarantine.holders */
	size_t n_holders;
	unsigned count; /* under the desk's lock */
};

enum { DESK_HOLDS = 1024, DESK_CHILDREN = 4 };

struct desk {
	char *file;                /* of the settings, absolute */
	char *program;             /* segel-reviewd itself, for the children (child.h) */
	struct quarantine *store;
	struct audit *audit;
	int stop_fd;               /* readable once we stop */
	sem_t children;            /* at most DESK_CHILDREN at a time: each may take half a gigabyte */
	pthread_mutex_t lock;      /* guards what follows */
	struct desk_settings *current;
	size_t n_holding;          /* fingerprints of the messages that are on their way in */
	unsigned char holding[DESK_HOLDS][32];
	bool has_key;              /* the key agent said that it holds the key of `spki`; asked anew after a reload */
	unsigned char spki[32];
	pthread_mutex_t releases;  /* one release at a time: a second click waits, and finds another version */
	pthread_mutex_t acts;      /* from the look at an item to its change, with the audit record in between; never longer */
};

/* Reads the settings and opens what they name; from the main thread. */
int desk_settings_load(const char *file, struct desk_settings **ret, struct err *err) MUST_USE;
void desk_settings_free(struct desk_settings *settings); /* one that is nobody's */
AUTO_DEFINE(struct desk_settings, desk_settings_free);
struct store_settings desk_store_settings(const struct config *config);

/* All but file, program, store, audit and settings, which the caller puts there. */
int desk_init(struct desk *desk, struct err *err) MUST_USE;
void desk_done(struct desk *desk);

void desk_put(struct desk *desk, struct desk_settings **settings); /* takes it */
const struct desk_settings *desk_ref(struct desk *desk);
void desk_unref(struct desk *desk, const struct desk_settings *settings);
/* Waits for bytes on `fd`, or connections: 1 there are some, 0 none came in time, -1 we stop, or the peer has closed. */
int desk_wait(const struct desk *desk, int fd, int timeout_ms);

/* Who asks. */
struct reviewer {
	char login[64];
	enum reviewer_role role;
	int64_t person;
	char **own; /* addresses, NULL-terminated; owned */
};

#endif
