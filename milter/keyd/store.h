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
	enum key_purpose purpose;
	unsigned limit;
	uid_t *users; /* owned; who may use it */
	size_t n_users;
};

/*
 * ERR_CONFIG: no key at all, a key to seal with and no signer, one to decrypt with and no unwrapper, a key twice, one of a
 * kind that cannot do what it is for, a user that does not exist, or what key_load says. Users of a purpose that no key
 * has are not looked up.
 */
int store_load(const struct keyd_settings *settings, struct store **ret, struct err *err) MUST_USE;
struct store *store_ref(struct store *store);
void store_unref(struct store *store);
AUTO_DEFINE(struct store, store_unref);

/* Borrowed; NULL = no such key. */
const struct store_key *store_find(const struct store *store, const unsigned char spki[32]);
/* Is it of this purpose, and for this user? */
bool store_key_serves(const struct store *store, const struct store_key *key, enum key_purpose purpose, uid_t uid);
size_t store_n_keys(const struct store *store);
bool store_may_sign(const struct store *store, uid_t uid);
bool store_may_unwrap(const struct store *store, uid_t uid);

#endif
