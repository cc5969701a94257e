/*
 * snapshot: everything a message is judged with, as it was when the message began: settings,
 * action table, registry, issuing authorities, key agent. Immutable and counted. A reload builds
 * a new one beside the old; messages in hand keep the one they began with.
 */
#ifndef FILTER_SNAPSHOT_H
#define FILTER_SNAPSHOT_H

#include "milter/filter/role.h"
#include "milter/filter/trust_watch.h"
#include "milter/keyd/client.h"
#include "milter/quarantine/deposit.h"
#include "policy/config.h"
#include "policy/registry/registry.h"
#include "smime/issuers.h"
#include "smime/prepared.h"

struct snapshot {
	struct config *config;
	struct registry *registry;
	struct issuers *issuers;
	struct prepared_set *prepared; /* certificates opened so far, with their issuers */
	struct keyd_client *keyd;
	struct depot *depot;           /* NULL: a role that holds nothing, or no quarantine */
	struct trust_watch *trust;     /* by itself newer than the snapshot; nothing is loaded before it is asked */
	struct buf copy_certificate;   /* DER of encrypt.copy_certificate; len 0 = none, or a role that encrypts nothing */
	unsigned count; /* under the box's lock */
};

/* Holds the current snapshot; the only place where one replaces another. */
struct snapshot_box;

/*
 * `problems` gets a line for each. A role that does not seal needs no issuing authorities, and has none.
 * The box is empty until its first snapshot_put.
 */
int snapshot_load(const char *file, const struct role_traits *role, struct snapshot **ret, struct buf *problems) MUST_USE;
void snapshot_free(struct snapshot *snapshot); /* one that never was in a box */
AUTO_DEFINE(struct snapshot, snapshot_free);

struct snapshot_box *snapshot_box_new(void);
void snapshot_box_free(struct snapshot_box *box); /* no message may be in hand */
void snapshot_put(struct snapshot_box *box, struct snapshot **snapshot); /* takes it */
const struct snapshot *snapshot_ref(struct snapshot_box *box);           /* the current one */
void snapshot_unref(struct snapshot_box *box, const struct snapshot *snapshot);

#endif
