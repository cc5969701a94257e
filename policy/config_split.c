#include "policy/config_split.h"

#include <string.h>

#include "policy/endpoint.h"

enum { FIELD_NAME_BYTES = 76 };

static void
check_endpoint(const struct config *config, const char *setting, const char *text, struct buf *problems)
{
	struct endpoint endpoint;
	struct err err;

	if (text && endpoint_from(text, &endpoint, &err) == -1)
		buf_printf(problems, "%s: %s: %s\n", config->file, setting, err.text);
}

/* What is handed on to where it came from would come back for ever. */
static void
check_places(const struct config *config, struct buf *problems)
{
	const char *socket = config->split.socket, *next_hop = config->split.next_hop;

	check_endpoint(config, "split.socket", socket, problems);
	check_endpoint(config, "split.next_hop", next_hop, problems);
	if (socket && next_hop && strcmp(socket, next_hop) == 0)
		buf_printf(problems, "%s: split.next_hop: '%s' is split.socket itself; wanted the mail server's listener for what comes back\n",
		    config->file, next_hop);
	if (config->split.state_dir && *config->split.state_dir != '/')
		buf_printf(problems, "%s: split.state_dir: '%s': wanted a path from '/' on\n", config->file, config->split.state_dir);
}

/* It is removed on the way, so it must be no field that means something. */
static bool
is_own_field(const char *name)
{
	static const char signs[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";

	return strncmp(name, "X-", 2) == 0 && name[2] && !name[strspn(name, signs)] && strlen(name) <= FIELD_NAME_BYTES;
}

void
config_check_split(const struct config *config, struct buf *problems)
{
	const char *trigger = config->split.trigger;

	check_places(config, problems);
	if (trigger && *trigger && !is_own_field(trigger))
		buf_printf(problems, "%s: split.trigger: '%s': wanted \"X-\" and letters, digits and dashes, at most %d of all\n", config->file,
		    trigger, FIELD_NAME_BYTES);
}
