/*
 * desk: what all connections of segel-reviewd share: settings, store, registry, audit, key agent. A reload makes new
 * settings current; a request keeps those it began with.
 */
#ifndef REVIEWD_DESK_H
#define REVIEWD_DESK_H

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
	unsigned count; /* under the desk's lock */
};

struct desk {
	char *file;                /* of the settings, absolute */
	char *program;             /* segel-reviewd itself, for the children (child.h) */
	struct quarantine *store;
	struct audit *audit;
	pthread_mutex_t lock;
	struct desk_settings *current;
	pthread_mutex_t releases;  /* one release at a time: a second click waits, and finds another version */
};

const struct desk_settings *desk_ref(struct desk *desk);
void desk_unref(struct desk *desk, const struct desk_settings *settings);

/* Who asks. */
struct reviewer {
	char login[64];
	enum reviewer_role role;
	int64_t person;
	char **own; /* addresses, NULL-terminated; owned */
};

#endif
