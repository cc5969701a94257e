/* segelctl system: programs and machines that own a certificate (Sistem Elektronik). */
#include "milter/ctl/op.h"

static const struct ctl_option add_options[] = {
	{ "unit", "CODE", "the agency that runs it", false, false },
	{ "host", "TEXT", "server name or address", false, false },
	{ 0 },
};

static enum write_outcome
do_add(struct op *op, struct err *err)
{
	const struct ctl *ctl = op->ctl;
	int64_t id = 0;
	enum write_outcome outcome = write_system_add(op->writer, ctl_arg(ctl, 0), ctl_option(ctl, "unit"),
	    ctl_option(ctl, "host"), &id, err);

	buf_printf(&op->said, "system %s registered as number %lld", ctl_arg(ctl, 0), (long long)id);
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

	buf_printf(&op->said, "system %s ended", ctl_arg(ctl, 0));
	return write_system_end(op->writer, ctl_arg(ctl, 0), ctl_option(ctl, "reason"), err);
}

static enum ctl_exit
end(struct ctl *ctl)
{
	return op_write(ctl, do_end, NULL);
}

static enum ctl_exit
list(struct ctl *ctl)
{
	return op_list(ctl, LIST_SYSTEM, 0);
}

const struct ctl_command ctl_system_commands[] = {
	{ "add", CTL_WRITES, { "NAME" }, add_options, "register a system", add },
	{ "list", CTL_READS, { 0 }, op_list_options, "the systems", list },
	{ "end", CTL_WRITES, { "NAME" }, op_end_options, "end it", end },
	{ 0 },
};
