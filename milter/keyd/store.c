#include "milter/keyd/store.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "milter/priv.h"

static const char credential_mark[] = "credential:";

struct store {
	atomic_uint refs;
	struct store_key *keys; /* owned */
	size_t n_keys;
	uid_t *signers;         /* owned */
	size_t n_signers;
};

/* systemd hands secrets over in a folder of its own; the name may not lead out of it. */
static int
passphrase_path(const char *setting, char **ret, struct err *err)
{
	const char *name = setting + strlen(credential_mark);
	const char *folder = getenv("CREDENTIALS_DIRECTORY");

	if (strncmp(setting, credential_mark, strlen(credential_mark)) != 0) {
		*ret = xstrdup(setting);
		return 0;
	}
	if (*name == '\0' || *name == '.' || strchr(name, '/'))
		return err_set(err, ERR_CONFIG, "passphrase_file '%s' names no credential; wanted credential:NAME", setting);
	if (!folder)
		return err_set(err, ERR_CONFIG, "passphrase_file '%s', but systemd passed no credentials; "
		    "set LoadCredentialEncrypted=%s:... in the unit", setting, name);
	*ret = xasprintf("%s/%s", folder, name);
	return 0;
}

/* An office's key is not for whoever seals for programs: where nobody is named, it is for the first signer only. */
static int
load_users(const struct store *store, const struct keyd_key_settings *settings, struct store_key *key, struct err *err)
{
	const size_t n = settings->n_signers ? settings->n_signers : 1;
	gid_t unused;

	key->users = xcalloc(n, sizeof(*key->users));
	key->n_users = n;
	key->users[0] = store->signers[0];
	for (size_t i = 0; i < settings->n_signers; i++) {
		if (priv_user(settings->signers[i], &key->users[i], &unused, err) == -1)
			return err_wrap(err, "signers");
		if (!store_may_sign(store, key->users[i]))
			return err_set(err, ERR_CONFIG, "signers: '%s' is not among keyd.signers", settings->signers[i]);
	}
	return 0;
}

static int
add_key(struct store *store, const struct keyd_key_settings *settings, struct err *err)
{
	AUTO(xfree) char *passphrase = NULL;
	AUTO(key_free) struct key *key = NULL;

	if (!settings->passphrase_file)
		return err_set(err, ERR_CONFIG, "key '%s' has no passphrase_file; the agent loads encrypted keys only",
		    settings->file);
	if (passphrase_path(settings->passphrase_file, &passphrase, err) == -1)
		return -1;
	if (key_load(settings->file, passphrase, false, &key, err) == -1)
		return -1;
	if (store_find(store, key_spki(key)))
		return err_set(err, ERR_CONFIG, "key '%s' is listed twice (perhaps under another file name)", settings->file);
	store->keys[store->n_keys] = (struct store_key){ .key = TAKE(key), .limit = settings->limit };
	return load_users(store, settings, &store->keys[store->n_keys++], err);
}

static int
load_keys(struct store *store, const struct keyd_settings *settings, struct err *err)
{
	if (settings->n_keys == 0)
		return err_set(err, ERR_CONFIG, "keyd.keys is empty: there is nothing to sign with");
	store->keys = xcalloc(settings->n_keys, sizeof(*store->keys));
	for (size_t i = 0; i < settings->n_keys; i++) {
		if (add_key(store, &settings->keys[i], err) == -1)
			return err_wrap(err, "keyd.keys, entry %zu", i + 1);
	}
	return 0;
}

static int
load_signers(struct store *store, const struct keyd_settings *settings, struct err *err)
{
	gid_t unused;

	if (settings->n_signers == 0)
		return err_set(err, ERR_CONFIG, "keyd.signers is empty: nobody may ask for a signature");
	store->signers = xcalloc(settings->n_signers, sizeof(*store->signers));
	for (size_t i = 0; i < settings->n_signers; i++) {
		if (priv_user(settings->signers[i], &store->signers[i], &unused, err) == -1)
			return err_wrap(err, "keyd.signers");
		store->n_signers++;
	}
	return 0;
}

int
store_load(const struct keyd_settings *settings, struct store **ret, struct err *err)
{
	AUTO(store_unref) struct store *store = xcalloc(1, sizeof(*store));

	atomic_init(&store->refs, 1);
	if (load_signers(store, settings, err) == -1 || load_keys(store, settings, err) == -1)
		return -1;
	*ret = TAKE(store);
	return 0;
}

struct store *
store_ref(struct store *store)
{
	atomic_fetch_add(&store->refs, 1);
	return store;
}

void
store_unref(struct store *store)
{
	if (!store || atomic_fetch_sub(&store->refs, 1) != 1)
		return;
	for (size_t i = 0; i < store->n_keys; i++) {
		key_free(store->keys[i].key);
		free(store->keys[i].users);
	}
	free(store->keys);
	free(store->signers);
	free(store);
}

const struct store_key *
store_find(const struct store *store, const unsigned char spki[32])
{
	for (size_t i = 0; i < store->n_keys; i++) {
		if (memcmp(key_spki(store->keys[i].key), spki, 32) == 0)
			return &store->keys[i];
	}
	return NULL;
}

bool
store_key_serves(const struct store_key *key, uid_t uid)
{
	for (size_t i = 0; i < key->n_users; i++) {
		if (key->users[i] == uid)
			return true;
	}
	return false;
}

size_t
store_n_keys(const struct store *store)
{
	return store->n_keys;
}

bool
store_may_sign(const struct store *store, uid_t uid)
{
	for (size_t i = 0; i < store->n_signers; i++) {
		if (store->signers[i] == uid)
			return true;
	}
	return false;
}
