/* segelctl trust: whose certificates count, and what their authorities say about revocation. */
#include "milter/ctl/trust.h"

#include <errno.h>
#include <unistd.h>

#include "milter/ctl/nouns.h"

enum { PROBLEM_BYTES = 16 * 1024 };

struct config *
trust_config(struct ctl *ctl)
{
	const char *file = ctl->config_file ? ctl->config_file : CONFIG_FILE;
	AUTO_BUF struct buf problems = { 0 };
	struct config *config = NULL;

	if (!ctl->config_file && access(file, F_OK) == -1 && errno == ENOENT)
		file = "/dev/null"; /* every setting has its default */
	buf_init(&problems, PROBLEM_BYTES);
	if (config_load(file, &config, &problems) == -1)
		(void)ctl_fail(ctl, CTL_UNAVAILABLE, "the settings cannot be used: %s", buf_text(&problems));
	return config;
}

struct trust_store *
trust_open(struct ctl *ctl, const struct config *config)
{
	struct trust_store *store = NULL;
	struct err err = { 0 };
	const char *text, *line;
	size_t len;

	if (trust_store_open(config, &store, &err) == -1) {
		(void)ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
		return NULL;
	}
	text = buf_text(&store->problems);
	while ((line = text_line(&text, &len)))
		(void)ctl_fail(ctl, CTL_OK, "warning: not taken: %.*s", (int)len, line);
	return store;
}

const struct ctl_command ctl_trust_commands[] = {
	{ "add", CTL_WRITES, { "FILE" }, trust_add_options, "trust an authority: a root, or one below a root (PEM or DER)", trust_add },
	{ "list", CTL_READS, { NULL }, NULL, "the authorities, and where they are asked about revocation", trust_list },
	{ "remove", CTL_WRITES, { "AUTHORITY" }, trust_remove_options,
	  "trust it no longer: by the first digits of its SHA-256", trust_remove },
	{ "check", CTL_READS, { NULL }, NULL, "is everything there that mail is judged by, and for how long?", trust_check },
	{ "refresh", CTL_READS, { NULL }, NULL, "fetch CRLs, and OCSP answers for the registry's certificates", trust_refresh },
	{ .run = NULL },
};
