/* segelctl person: people who own addresses and certificates. */
#include "milter/ctl/op.h"

static const struct ctl_option add_options[] = {
	{ "category", "WORD", "kepala, wakil, asn (usual) or lain", false, false },
	{ "policy", "TEXT", "for lain: the rule that makes this person a user", false, false },
	{ "unit", "CODE", "the agency", false, false },
	{ 0 },
};

static enum write_outcome
do_add(struct op *op, struct err *err)
{
	const struct ctl *ctl = op->ctl;
	int64_t id = 0;
	enum write_outcome outcome = write_person_add(op->writer, ctl_arg(ctl, 0), op->more, ctl_option(ctl, "policy"),
	    ctl_option(ctl, "unit"), &id, err);

	buf_printf(&op->said, "person %s registered as number %lld", ctl_arg(ctl, 0), (long long)id);
	return outcome;
}

static enum ctl_exit
add(struct ctl *ctl)
{
	const char *category = op_category(ctl);

	return category ? op_write(ctl, do_add, (void *)category) : CTL_USAGE;
}

static enum write_outcome
do_end(struct op *op, struct err *err)
{
	const struct ctl *ctl = op->ctl;

	buf_printf(&op->said, "person %s ended", ctl_arg(ctl, 0));
	return write_person_end(op->writer, ctl_arg(ctl, 0), ctl_option(ctl, "reason"), err);
}

static enum ctl_exit
end(struct ctl *ctl)
{
	return op_write(ctl, do_end, NULL);
}

static enum ctl_exit
list(struct ctl *ctl)
{
	return op_list(ctl, LIST_PERSON, 0);
}

const struct ctl_command ctl_person_commands[] = {
	{ "add", CTL_WRITES, { "NAME" }, add_options, "register a person", add },
	{ "list", CTL_READS, { 0 }, op_list_options, "the persons", list },
	{ "end", CTL_WRITES, { "PERSON" }, op_end_options, "end it (number or name); addresses and appointments must have ended", end },
	{ 0 },
};
