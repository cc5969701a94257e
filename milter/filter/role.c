#include "milter/filter/role.h"

#include <string.h>

const struct role_traits role_table[] = {
	{ ROLE_SUBMISSION, "submission", "authenticated users of our own: seals",
	  offsetof(struct config, submission.role), true, false, true },
	{ ROLE_INBOUND, "inbound", "other servers: demands TLS of official mail, judges seals, holds what is forged or revoked",
	  offsetof(struct config, inbound.role), false, true, true },
	{ ROLE_LOCAL, "local", "mail that comes without SMTP: seals for who is listed",
	  offsetof(struct config, local.role), true, false, false },
	{ ROLE_EGRESS, "egress", "mail on its way out: refuses what must be encrypted or sealed and is not",
	  offsetof(struct config, egress.role), false, true, false },
	{ .name = NULL },
};

const struct role_traits *
role_find(const char *name)
{
	for (const struct role_traits *role = role_table; role->name; role++)
		if (strcmp(role->name, name) == 0)
			return role;
	return NULL;
}

const struct role_traits *
role_of(enum role wanted)
{
	for (const struct role_traits *role = role_table; role->name; role++)
		if (role->role == wanted)
			return role;
	return NULL;
}

const struct role_settings *
role_settings(const struct role_traits *role, const struct config *config)
{
	return (const struct role_settings *)((const char *)config + role->settings);
}

bool
role_opens(const struct role_traits *role, const struct config *config)
{
	return role->role == ROLE_INBOUND && config->decrypt.use;
}
