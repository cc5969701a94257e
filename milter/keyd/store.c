#include "milter/keyd/store.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "milter/priv.h"

static const char credential_mark[] = "credential:";

struct users {
	uid_t *at; /* owned */
	size_t n;
};

struct store {
	atomic_uint refs;
	struct store_key *keys; /* owned */
	size_t n_keys;
	struct users signers, unwrappers;
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

static bool
is_among(const struct users *users, uid_t uid)
{
	for (size_t i = 0; i < users->n; i++) {
		if (users->at[i] == uid)
			return true;
	}
	return false;
}

static int
load_users(const char *const *names, size_t n, struct users *ret, struct err *err)
{
	gid_t unused;

	ret->at = xcalloc(n, sizeof(*ret->at));
	for (size_t i = 0; i < n; i++) {
		if (priv_user(names[i], &ret->at[i], &unused, err) == -1)
			return -1;
		ret->n++;
	}
	return 0;
}

/*
 * An office's key is not for whoever seals for programs, and the quarantine's not for whoever decrypts mail: where nobody is named, a
 * key is for the first of `list` only.
 */
static int
named_users(const struct users *all, const char *list, const char *const *names, size_t n, struct users *ret, struct err *err)
{
	if (load_users(names, n, ret, err) == -1)
		return err_wrap(err, "%s", list);
	for (size_t i = 0; i < ret->n; i++)
		if (!is_among(all, ret->at[i]))
			return err_set(err, ERR_CONFIG, "%s: '%s' is not among keyd.%s", list, names[i], list);
	if (ret->n == 0) {
		free(ret->at);
		ret->at = xcalloc(1, sizeof(*ret->at));
		ret->at[ret->n++] = all->at[0];
	}
	return 0;
}

static int
signers_of(const struct store *store, const struct keyd_key_settings *settings, struct users *ret, struct err *err)
{
	if (settings->n_unwrappers)
		return err_set(err, ERR_CONFIG, "unwrappers: key '%s' is of purpose seal, which never unwraps; remove them, or set "
		    "purpose = \"decrypt\"", settings->file);
	return named_users(&store->signers, "signers", settings->signers, settings->n_signers, ret, err);
}

static int
unwrappers_of(const struct store *store, const struct keyd_key_settings *settings, struct users *ret, struct err *err)
{
	if (settings->n_signers)
		return err_set(err, ERR_CONFIG, "signers: key '%s' is of purpose decrypt, which never signs; remove them: "
		    "its unwrappers may use it", settings->file);
	return named_users(&store->unwrappers, "unwrappers", settings->unwrappers, settings->n_unwrappers, ret, err);
}

static int
users_of(const struct store *store, const struct keyd_key_settings *settings, struct users *ret, struct err *err)
{
	switch (settings->purpose) {
	case KEY_PURPOSE_SEAL:
		return signers_of(store, settings, ret, err);
	case KEY_PURPOSE_DECRYPT:
		return unwrappers_of(store, settings, ret, err);
	case KEY_PURPOSE_UNKNOWN:
		break;
	}
	return err_set(err, ERR_BUG, "key '%s' has no purpose", settings->file);
}

static int
add_key(struct store *store, const struct keyd_key_settings *settings, struct err *err)
{
	AUTO(xfree) char *passphrase = NULL;
	AUTO(key_free) struct key *key = NULL;
	struct store_key *added;
	struct users users = { .n = 0 };
	int result;

	if (!settings->passphrase_file)
		return err_set(err, ERR_CONFIG, "key '%s' has no passphrase_file; the agent loads encrypted keys only",
		    settings->file);
	if (passphrase_path(settings->passphrase_file, &passphrase, err) == -1)
		return -1;
	if (key_load(settings->file, passphrase, false, &key, err) == -1)
		return -1;
	if (store_find(store, key_spki(key)))
		return err_set(err, ERR_CONFIG, "key '%s' is listed twice (perhaps under another file name); a key has one entry and "
		    "one purpose: seal or decrypt", settings->file);
	result = users_of(store, settings, &users, err);
	added = &store->keys[store->n_keys++];
	*added = (struct store_key){ TAKE(key), settings->purpose, settings->limit, users.at, users.n };
	return result;
}

static size_t
count_keys(const struct keyd_settings *settings, enum key_purpose purpose)
{
	size_t n = 0;

	for (size_t i = 0; i < settings->n_keys; i++)
		n += settings->keys[i].purpose == purpose;
	return n;
}

static int
load_keys(struct store *store, const struct keyd_settings *settings, struct err *err)
{
	if (settings->n_keys == 0)
		return err_set(err, ERR_CONFIG, "keyd.keys is empty: there is nothing to sign or unwrap with");
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
	if (count_keys(settings, KEY_PURPOSE_SEAL) == 0)
		return 0;
	if (settings->n_signers == 0)
		return err_set(err, ERR_CONFIG, "keyd.signers is empty: nobody may ask for a signature");
	if (load_users(settings->signers, settings->n_signers, &store->signers, err) == -1)
		return err_wrap(err, "keyd.signers");
	return 0;
}

static int
load_unwrappers(struct store *store, const struct keyd_settings *settings, struct err *err)
{
	if (count_keys(settings, KEY_PURPOSE_DECRYPT) == 0)
		return 0;
	if (settings->n_unwrappers == 0)
		return err_set(err, ERR_CONFIG, "keyd.unwrappers is empty: nobody may use the keys of purpose decrypt");
	if (load_users(settings->unwrappers, settings->n_unwrappers, &store->unwrappers, err) == -1)
		return err_wrap(err, "keyd.unwrappers");
	return 0;
}

int
store_load(const struct keyd_settings *settings, struct store **ret, struct err *err)
{
	AUTO(store_unref) struct store *store = xcalloc(1, sizeof(*store));

	atomic_init(&store->refs, 1);
	if (load_signers(store, settings, err) == -1 || load_unwrappers(store, settings, err) == -1
	    || load_keys(store, settings, err) == -1)
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
	free(store->signers.at);
	free(store->unwrappers.at);
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
store_key_serves(const struct store *store, const struct store_key *key, enum key_purpose purpose, uid_t uid)
{
	if (key->purpose != purpose || !is_among(&(const struct users){ key->users, key->n_users }, uid))
		return false;
	switch (purpose) {
	case KEY_PURPOSE_SEAL:
		return store_may_sign(store, uid);
	case KEY_PURPOSE_DECRYPT:
		return store_may_unwrap(store, uid);
	case KEY_PURPOSE_UNKNOWN:
		break;
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
	return is_among(&store->signers, uid);
}

bool
store_may_unwrap(const struct store *store, uid_t uid)
{
	return is_among(&store->unwrappers, uid);
}
