/* segelctl encrypt check: what recipients would get, and why. The same questions as the filter's, of registry, rules and trust. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "milter/ctl/encrypt.h"
#include "milter/ctl/op.h"
#include "milter/ctl/trust_store.h"
#include "milter/recipients.h"

enum { PROBLEM_BYTES = 64 * 1024 };

const struct ctl_option encrypt_check_options[] = {
	{ "from", "ADDRESS", "the sender (From); rules may ask for its unit", false, false },
	{ "asked", NULL, "the sender asked for encryption (encrypt.trigger)", false, false },
	{ "hidden", "ADDRESS", "recipients that neither To nor Cc names", false, true },
	{ 0 },
};

/* Everything that is asked. */
struct desk {
	struct config *config;
	struct registry *registry;
	struct trust *trust;
	struct err trust_err;
};

static void
desk_done(struct desk *desk)
{
	trust_free(desk->trust);
	registry_close(desk->registry);
	config_free(desk->config);
}

/* Without -c and without the usual file the defaults hold. What would happen is told also while it is switched off. */
static enum ctl_exit
load_settings(struct ctl *ctl, struct desk *desk)
{
	AUTO_BUF struct buf problems = { 0 };
	const char *file = ctl->config_file ? ctl->config_file : CONFIG_FILE;
	const bool none = !ctl->config_file && access(file, F_OK) == -1 && errno == ENOENT;

	buf_init(&problems, PROBLEM_BYTES);
	if (config_load(none ? NULL : file, &desk->config, &problems) == -1)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "the settings cannot be read: %s", buf_text(&problems));
	if (!desk->config->encrypt.use)
		(void)ctl_fail(ctl, CTL_OK, "encrypt.use is off, so that nothing is encrypted yet; this is what would become of it");
	desk->config->encrypt.use = true;
	return CTL_OK;
}

/* What cannot be had makes certificates undecided, and each says why. */
static void
load_trust(struct desk *desk)
{
	const struct trust_ages ages = trust_ages_of(desk->config);
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, PROBLEM_BYTES);
	(void)!trust_load_dir(desk->config->trust.dir, &ages, &desk->trust, &problems, &desk->trust_err);
}

static enum ctl_exit
open_desk(struct ctl *ctl, struct desk *desk)
{
	const enum ctl_exit code = load_settings(ctl, desk);

	if (code != CTL_OK)
		return code;
	desk->registry = op_registry(ctl);
	if (!desk->registry)
		return CTL_UNAVAILABLE;
	load_trust(desk);
	return CTL_OK;
}

static struct ctl_cell
text_cell(const char *text)
{
	return (struct ctl_cell){ .kind = text && *text ? CELL_TEXT : CELL_NONE, .text = text };
}

static const char *
capabilities_text(unsigned capabilities)
{
	static const char *const texts[] = { NULL, "gcm", "oaep", "gcm oaep" };

	return texts[capabilities & (CAPABILITY_GCM | CAPABILITY_OAEP)];
}

static void
add_row(struct ctl_table *table, const char *told, const struct rcpt *rcpt, const struct registry_encrypt *found, const char *together)
{
	const bool has = found->answer == ENCRYPT_FOUND;
	char hash[65] = "";

	if (has)
		sha256_hex(found->cert.sha256, hash);
	ctl_table_row(table, (struct ctl_cell[]){
	    text_cell(told),
	    text_cell(rcpt_class_name(rcpt->class)),
	    text_cell(level_name(rcpt->level)),
	    { .kind = rcpt->rule ? CELL_NUMBER : CELL_NONE, .number = (int64_t)rcpt->rule },
	    { .kind = CELL_BOOL, .number = rcpt->hidden },
	    { .kind = has ? CELL_NUMBER : CELL_NONE, .number = found->cert.id },
	    { .kind = has ? CELL_TEXT : CELL_NONE, .text = hash, .brief = 16 },
	    text_cell(capabilities_text(found->capabilities)),
	    text_cell(together),
	    text_cell(rcpt->why),
	});
}

static void
print_rows(struct ctl *ctl, const struct recipients_told *told, const struct recipients *recipients, const struct encryption_plan *plan)
{
	static const char *const columns[] = {
		"recipient", "class", "level", "rule", "hidden", "cert", "sha256", "capabilities", "together", "why",
	};
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(columns, N_ELEMENTS(columns));
	AUTO(xfree) char *together = plan->action == PLAN_ENCRYPT
	    ? xasprintf("encrypt %s", content_cipher_name(plan->cipher)) : xstrdup(plan_action_name(plan->action));

	for (size_t i = 0; i < recipients->n; i++)
		add_row(table, told[i].argument, &recipients->at[i], &recipients->found[i], together);
	ctl_table_print(ctl, table);
}

/* Hidden are those that were said to be; everybody else counts as named in To. */
static size_t
collect_listed(const struct ctl *ctl, const char **ret)
{
	size_t n = 0;

	for (size_t i = 0; i < ctl->n_args; i++) {
		bool hidden = false;

		for (size_t j = 0; ctl_option_nth(ctl, "hidden", j); j++)
			hidden |= address_equal(ctl_option_nth(ctl, "hidden", j), ctl_arg(ctl, i), true);
		if (!hidden)
			ret[n++] = ctl_arg(ctl, i);
	}
	return n;
}

static enum ctl_exit
exit_of(struct ctl *ctl, const struct encryption_plan *plan)
{
	switch (plan->action) {
	case PLAN_CLEAR:
	case PLAN_ENCRYPT:
	case PLAN_SPLIT:
		return CTL_OK;
	case PLAN_REFUSE:
		return ctl_fail(ctl, CTL_FALSE, "refused: %s: %s (%s)", reason_word(plan->reason), reason_text(plan->reason, LANGUAGE_EN), plan->names);
	case PLAN_UNKNOWN:
		break;
	}
	return ctl_fail(ctl, CTL_UNAVAILABLE, "could not be found out: %s: %s (%s)", reason_word(plan->reason),
	    reason_text(plan->reason, LANGUAGE_EN), plan->names);
}

static enum ctl_exit
check(struct ctl *ctl, const struct desk *desk)
{
	AUTO(xfree) const char **listed = xcalloc(ctl->n_args, sizeof(*listed));
	AUTO(xfree) struct recipients_told *told = xcalloc(ctl->n_args, sizeof(*told));
	AUTO_RECIPIENTS struct recipients recipients = { .n = 0 };
	AUTO_PLAN struct encryption_plan plan = { .n_certs = 0 };
	const struct recipients_from from = {
		.config = desk->config, .registry = desk->registry, .trust = desk->trust, .trust_why = desk->trust_err.text,
		.sender = ctl_option(ctl, "from") ? ctl_option(ctl, "from") : "", .trigger = ctl_flag(ctl, "asked"),
		.listed = listed, .n_listed = collect_listed(ctl, listed), .now = ctl->now,
	};
	struct plan_request request = { .config = desk->config, .n_rcpts = ctl->n_args, .may_split = desk->config->encrypt.split };

	for (size_t i = 0; i < ctl->n_args; i++)
		told[i].argument = ctl_arg(ctl, i);
	recipients_gather(&from, told, ctl->n_args, &recipients);
	request.rcpts = recipients.at;
	rcpt_plan(&request, &plan);
	print_rows(ctl, told, &recipients, &plan);
	return exit_of(ctl, &plan);
}

enum ctl_exit
encrypt_check(struct ctl *ctl)
{
	struct desk desk = { .config = NULL };
	enum ctl_exit code;

	if (ctl->n_args > LIMIT_RECIPIENTS)
		return ctl_fail(ctl, CTL_USAGE, "%zu recipients; wanted %d at most", ctl->n_args, LIMIT_RECIPIENTS);
	code = open_desk(ctl, &desk);
	if (code == CTL_OK)
		code = check(ctl, &desk);
	desk_done(&desk);
	return code;
}

enum ctl_exit
encrypt_name(struct ctl *ctl)
{
	unsigned char random[16];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return ctl_fail(ctl, CTL_UNAVAILABLE, "no random bytes: %m");
	fputs("split: { trigger = \"X-Segel-", ctl->out);
	for (size_t i = 0; i < sizeof(random); i++)
		fprintf(ctl->out, "%02x", random[i]);
	fputs("\"; };\n", ctl->out);
	return CTL_OK;
}
