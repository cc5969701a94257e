#include "policy/config_decrypt.h"

#include <string.h>

static bool
is_listed(const struct text_list *list, const char *text)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->at[i], text) == 0)
			return true;
	return false;
}

/* Without unwrappers of its own a key is for the first of keyd.unwrappers. */
static bool
serves(const struct config *config, const struct keyd_key_setting *key)
{
	const char *user = config->inbound.role.user;

	if (key->purpose != KEY_PURPOSE_DECRYPT)
		return false;
	if (key->unwrappers.n)
		return is_listed(&key->unwrappers, user);
	return config->keyd.unwrappers.n && strcmp(config->keyd.unwrappers.at[0], user) == 0;
}

static bool
has_key(const struct config *config)
{
	const struct keyd_key_setting *keys = config->keyd.keys.rows;

	for (size_t i = 0; i < config->keyd.keys.n; i++)
		if (serves(config, &keys[i]))
			return true;
	return false;
}

void
config_check_decrypt(const struct config *config, struct buf *problems)
{
	const char *user = config->inbound.role.user, *keep_dir = config->decrypt.keep_dir;

	if (keep_dir && *keep_dir && *keep_dir != '/')
		buf_printf(problems, "%s: decrypt.keep_dir: '%s': wanted a path from '/' on\n", config->file, keep_dir);
	if (!user || !config->decrypt.use)
		return;
	if (!is_listed(&config->keyd.unwrappers, user))
		buf_printf(problems, "%s: decrypt.use: the key agent opens nothing for role inbound: '%s' (inbound.user) is not in "
		    "keyd.unwrappers; add it, written alike\n", config->file, user);
	else if (!has_key(config))
		buf_printf(problems, "%s: decrypt.use: no key in keyd.keys is for '%s' (inbound.user); wanted one with purpose = \"decrypt\" and "
		    "unwrappers = [ \"%s\" ]\n", config->file, user, user);
}
