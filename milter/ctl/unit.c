/* segelctl unit: the agencies (Perangkat Daerah). */
#include "milter/ctl/op.h"

static enum write_outcome
do_add(struct op *op, struct err *err)
{
	const struct ctl *ctl = op->ctl;
	int64_t id = 0;
	enum write_outcome outcome = write_unit_add(op->writer, ctl_arg(ctl, 0), ctl_arg(ctl, 1), &id, err);

	buf_printf(&op->said, "unit %s registered as number %lld", ctl_arg(ctl, 0), (long long)id);
	return outcome;
}

static enum ctl_exit
add(struct ctl *ctl)
{
	return op_write(ctl, do_add, NULL);
}

static enum write_outcome
do_end(struct op *op, struct err *err)
{
	const struct ctl *ctl = op->ctl;

	buf_printf(&op->said, "unit %s ended", ctl_arg(ctl, 0));
	return write_unit_end(op->writer, ctl_arg(ctl, 0), ctl_option(ctl, "reason"), err);
}

static enum ctl_exit
end(struct ctl *ctl)
{
	return op_write(ctl, do_end, NULL);
}

static enum ctl_exit
list(struct ctl *ctl)
{
	return op_list(ctl, LIST_UNIT, 0);
}

const struct ctl_command ctl_unit_commands[] = {
	{ "add", CTL_WRITES, { "CODE", "NAME" }, NULL, "register an agency", add },
	{ "list", CTL_READS, { 0 }, op_list_options, "the agencies", list },
	{ "end", CTL_WRITES, { "CODE" }, op_end_options, "end it; its addresses, persons and systems must have ended", end },
	{ 0 },
};
