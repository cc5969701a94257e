/* segelctl init: a new registry with its first officer, or an older one brought up to date. */
#include "milter/ctl/op.h"
#include "policy/registry/schema.h"

static const struct ctl_option options[] = {
	{ "name", "NAME", "the first officer's name: the person who calls this", false, false },
	{ "appointment", "TEXT", "the letter that appoints that officer", false, false },
	{ "category", "WORD", "kepala, wakil, asn (usual) or lain", false, false },
	{ "policy", "TEXT", "for lain: the rule that makes this person a user", false, false },
	{ "migrate", NULL, "bring an older registry to this program's schema", false, false },
	{ 0 },
};

static enum ctl_exit
migrate(struct ctl *ctl, const char *file, const char *actor)
{
	struct err err = { 0 };
	int from = 0;
	enum write_outcome outcome = registry_migrate(file, actor, ctl->now, ctl->dry_run, &from, &err);

	if (outcome != WRITE_DONE)
		return ctl_fail_err(ctl, op_exit(outcome), &err);
	if (from == SCHEMA_VERSION)
		fprintf(ctl->out, "the registry has schema %d already; nothing to do\n", from);
	else
		fprintf(ctl->out, "%sthe registry went from schema %d to %d\n", ctl->dry_run ? "dry run, nothing was kept: " : "",
		    from, SCHEMA_VERSION);
	return CTL_OK;
}

static enum ctl_exit
create(struct ctl *ctl, const char *file, const char *actor)
{
	struct founder founder = {
		.login = actor,
		.name = ctl_option(ctl, "name"),
		.category = op_category(ctl),
		.policy = ctl_option(ctl, "policy"),
		.appointment = ctl_option(ctl, "appointment"),
	};
	struct err err = { 0 };
	enum write_outcome outcome;

	if (!founder.category)
		return CTL_USAGE;
	if (!founder.name || !founder.appointment)
		return ctl_fail(ctl, CTL_USAGE, "a registry begins with an officer: give --name NAME and --appointment LETTER "
		    "of the person who calls this (UNIX login '%s')", actor);
	outcome = registry_create(file, &founder, ctl->now, ctl->dry_run, &err);
	if (outcome != WRITE_DONE)
		return ctl_fail_err(ctl, op_exit(outcome), &err);
	fputs(ctl->dry_run ? "dry run, nothing was kept: " : "", ctl->out);
	fputs("registry ", ctl->out);
	ctl_print(ctl, file);
	fputs(" made; its first officer is ", ctl->out);
	ctl_print(ctl, founder.name);
	fputs(" (UNIX login ", ctl->out);
	ctl_print(ctl, actor);
	fputs(")\n", ctl->out);
	return CTL_OK;
}

static enum ctl_exit
init(struct ctl *ctl)
{
	AUTO(xfree) char *file = ctl_registry_file(ctl);
	AUTO(xfree) char *actor = NULL;
	struct err err = { 0 };

	if (!file)
		return CTL_UNAVAILABLE;
	if (ctl_actor(&actor, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	return ctl_flag(ctl, "migrate") ? migrate(ctl, file, actor) : create(ctl, file, actor);
}

const struct ctl_command ctl_init_commands[] = {
	{ "", CTL_WRITES, { 0 }, options, "make the registry, with the calling UNIX login as its first officer", init },
	{ 0 },
};
