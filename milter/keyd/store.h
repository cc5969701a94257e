/*
 * store: the keys and who may use them, as one immutable snapshot with a count. A reload builds
 * a new one beside the old; a request keeps the one it began with.
 * Thread-safe. key.h checks the files and their permissions.
 */
#ifndef KEYD_STORE_H
#define KEYD_STORE_H

#include <sys/types.h>

#include "milter/keyd/settings.h"
#include "smime/err.h"
#include "smime/key.h"

struct store;

struct store_key {
	struct key *key; /* owned by the store */
	unsigned limit;
	uid_t *users; /* owned; who may use it */
	size_t n_users;
};

/* ERR_CONFIG: no key at all, no signer, a key twice, a user that does not exist, or what key_load says. */
int store_load(const struct keyd_settings *settings, struct store **ret, struct err *err) MUST_USE;
struct store *store_ref(struct store *store);
void store_unref(struct store *store);
AUTO_DEFINE(struct store, store_unref);

/* Borrowed; NULL = no such key. */
const struct store_key *store_find(const struct store *store, const unsigned char spki[32]);
bool store_key_serves(const struct store_key *key, uid_t uid);
size_t store_n_keys(const struct store *store);
bool store_may_sign(const struct store *store, uid_t uid);

#endif
