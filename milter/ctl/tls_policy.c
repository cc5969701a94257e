/* segelctl tls policy: what Postfix shall demand of a next hop before it hands mail over. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "milter/ctl/op.h"
#include "milter/ctl/tls.h"
#include "milter/tlspol/answer.h"
#include "milter/tlspol/client.h"
#include "policy/config.h"

enum { WAIT_MS = 10 * 1000 };

const struct ctl_option tls_policy_set_options[] = {
	{ "match", "NAME", "verify and secure: names in the certificate (hostname, nexthop, dot-nexthop, a host, .domain)", false, true },
	{ "fingerprint", "HEX", "fingerprint: SHA-256 of a certificate, as openssl x509 -fingerprint -sha256 prints it", false, true },
	{ "decision", "TEXT", "the decision or letter behind it", false, false },
	{ 0 },
};

/* --- set, end, list --- */

static enum write_outcome
do_set(struct op *op, struct err *err)
{
	const struct new_tls *new = op->more;
	int64_t id = 0;
	enum write_outcome outcome = write_tls_set(op->writer, new, &id, err);

	buf_printf(&op->said, "policy %lld: mail to next hop %s by level %s", (long long)id, new->hop, hop_level_name(new->level));
	return outcome;
}

/* What the frame kept of an option that takes several values. */
static size_t
values_of(const struct ctl *ctl, const char *option, const char **ret)
{
	size_t n = 0;

	while (n < CTL_MAX_ARGS && (ret[n] = ctl_option_nth(ctl, option, n)))
		n++;
	return n;
}

enum ctl_exit
tls_policy_set(struct ctl *ctl)
{
	const char *matches[CTL_MAX_ARGS];
	struct new_tls new = {
		.hop = ctl_arg(ctl, 0),
		.level = hop_level_from(ctl_arg(ctl, 1)),
		.matches = matches,
		.decision = ctl_option(ctl, "decision"),
	};
	const bool by_fingerprint = new.level == HOP_LEVEL_FINGERPRINT;

	if (new.level == HOP_LEVEL_UNKNOWN)
		return ctl_fail(ctl, CTL_USAGE, "no level '%s'; wanted may, dane, encrypt, dane-only, fingerprint, verify or secure",
		    ctl_arg(ctl, 1));
	if (ctl_option(ctl, by_fingerprint ? "match" : "fingerprint"))
		return ctl_fail(ctl, CTL_USAGE, "level %s takes no --%s", ctl_arg(ctl, 1), by_fingerprint ? "match" : "fingerprint");
	new.n_matches = values_of(ctl, by_fingerprint ? "fingerprint" : "match", matches);
	return op_write(ctl, do_set, &new);
}

static enum write_outcome
do_end(struct op *op, struct err *err)
{
	buf_printf(&op->said, "policy of next hop %s ended", ctl_arg(op->ctl, 0));
	return write_tls_end(op->writer, ctl_arg(op->ctl, 0), ctl_option(op->ctl, "reason"), err);
}

enum ctl_exit
tls_policy_end(struct ctl *ctl)
{
	return op_write(ctl, do_end, NULL);
}

enum ctl_exit
tls_policy_list(struct ctl *ctl)
{
	return op_list(ctl, LIST_TLS, 0);
}

/* --- the effective answer --- */

/* Without -c and without the usual file there are no settings, and the defaults hold: `*ret` stays NULL. */
static int
load_settings(struct ctl *ctl, struct config **ret)
{
	AUTO_BUF struct buf problems = { 0 };
	const char *file = ctl->config_file ? ctl->config_file : CONFIG_FILE;

	if (!ctl->config_file && access(file, F_OK) == -1 && errno == ENOENT)
		return 0;
	buf_init(&problems, 64 * 1024);
	if (config_load(file, ret, &problems) == 0)
		return 0;
	(void)ctl_fail(ctl, CTL_UNAVAILABLE, "the settings cannot be read: %s", buf_text(&problems));
	return -1;
}

static void
policy_text(const struct tls_policy *policy, const struct config *config, struct buf *ret)
{
	switch (policy->answer) {
	case TLS_FOUND:
		buf_add_text(ret, "OK ");
		answer_policy(policy, config ? (enum tls_version)config->tls.minimum : TLS_VERSION_1_2, ret);
		return;
	case TLS_NONE:
		buf_add_text(ret, "NOTFOUND ");
		return;
	case TLS_UNAVAILABLE:
		break;
	}
	buf_add_text(ret, "TEMP");
}

/*
 * What Postfix asks for, one after the other, until something is found: the next hop, and for a plain domain
 * its parents. NULL: no more.
 */
struct walk {
	struct hop hop;
	const char *next;
};

static void
walk_begin(struct walk *walk, const char *text)
{
	const bool one = hop_from(text, &walk->hop) == HOP_ONE;

	walk->next = one ? walk->hop.key : text;
}

static const char *
walk_on(struct walk *walk)
{
	const char *now = walk->next;

	if (now)
		walk->next = walk->hop.plain ? strchr(now + 1, '.') : NULL;
	return now;
}

static const char *
official_word(enum domain_answer official)
{
	switch (official) {
	case DOMAIN_OWN:
		return "own";
	case DOMAIN_SHARED:
		return "shared";
	case DOMAIN_PARTNER:
		return "partner";
	case DOMAIN_NONE:
		return "no";
	case DOMAIN_ODD:
	case DOMAIN_UNAVAILABLE:
		break;
	}
	return "unknown";
}

static void
print_policy(struct ctl *ctl, const char *asked, const struct tls_policy *policy, const struct config *config)
{
	static const char *const columns[] = { "next_hop", "asked", "answer", "official", "raised", "why" };
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(columns, N_ELEMENTS(columns));
	AUTO_BUF struct buf answer = { 0 };

	buf_init(&answer, REPLY_BYTES);
	policy_text(policy, config, &answer);
	ctl_table_row(table, (struct ctl_cell[]){
	    { .kind = CELL_TEXT, .text = ctl_arg(ctl, 0) },
	    { .kind = CELL_TEXT, .text = asked },
	    { .kind = CELL_TEXT, .text = buf_text(&answer) },
	    { .kind = CELL_TEXT, .text = official_word(policy->official) },
	    { .kind = CELL_BOOL, .number = policy->raised },
	    { .kind = CELL_TEXT, .text = policy->why },
	});
	ctl_table_print_one(ctl, table);
}

enum ctl_exit
tls_policy_show(struct ctl *ctl)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO(registry_close) struct registry *registry = op_registry(ctl);
	struct tls_policy policy = { .answer = TLS_UNAVAILABLE };
	const char *key, *asked = ctl_arg(ctl, 0);
	struct walk walk = { .next = NULL };

	if (!registry || load_settings(ctl, &config) == -1)
		return CTL_UNAVAILABLE;
	walk_begin(&walk, asked);
	do {
		key = walk_on(&walk);
		if (key)
			registry_tls(registry, asked = key, ctl->now, &policy);
	} while (key && policy.answer == TLS_NONE);
	print_policy(ctl, asked, &policy, config);
	switch (policy.answer) {
	case TLS_FOUND:
		return CTL_OK;
	case TLS_NONE:
		return CTL_FALSE;
	case TLS_UNAVAILABLE:
		break;
	}
	return CTL_UNAVAILABLE;
}

/* --- the running daemon --- */

static void
print_pair(struct ctl *ctl, const char *key, const char *got, const char *want)
{
	static const char *const columns[] = { "asked", "segel-tlspol", "registry" };
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(columns, N_ELEMENTS(columns));

	ctl_table_row(table, (struct ctl_cell[]){
	    { .kind = CELL_TEXT, .text = key }, { .kind = CELL_TEXT, .text = got }, { .kind = CELL_TEXT, .text = want },
	});
	ctl_table_print_one(ctl, table);
}

/* One key, asked in both places. CTL_OK: the same; `*found`: no more to ask. */
static enum ctl_exit
compare(struct ctl *ctl, const struct config *config, struct registry *registry, const char *key, bool *found)
{
	AUTO_BUF struct buf want = { 0 };
	AUTO_BUF struct buf got = { 0 };
	struct tls_policy policy;
	struct err err;

	registry_tls(registry, key, ctl->now, &policy);
	*found = policy.answer == TLS_FOUND;
	buf_init(&want, REPLY_BYTES);
	buf_init(&got, 128 * 1024);
	policy_text(&policy, config, &want);
	if (tlspol_ask(config->tlspol.socket, config->tlspol.map, key, WAIT_MS, &got, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	print_pair(ctl, key, buf_text(&got), buf_text(&want));
	if (policy.answer == TLS_UNAVAILABLE)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "the registry cannot be asked: %s", policy.why);
	if (strcmp(buf_text(&got), buf_text(&want)) == 0)
		return CTL_OK;
	return ctl_fail(ctl, CTL_FALSE, "segel-tlspol answers otherwise than the registry (%s); does it read the same registry and settings "
	    "(%s)? Reload it", policy.why, config->registry.file);
}

enum ctl_exit
tls_policy_test(struct ctl *ctl)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO(registry_close) struct registry *registry = op_registry(ctl);
	struct walk walk = { .next = NULL };
	enum ctl_exit code = CTL_OK;
	bool found = false;
	const char *key;

	if (!registry || load_settings(ctl, &config) == -1)
		return CTL_UNAVAILABLE;
	if (!config)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "there are no settings (" CONFIG_FILE ") that say where segel-tlspol answers; name them "
		    "with -c");
	walk_begin(&walk, ctl_arg(ctl, 0));
	while (code == CTL_OK && !found && (key = walk_on(&walk)))
		code = compare(ctl, config, registry, key, &found);
	return code;
}
