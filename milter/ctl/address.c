/* segelctl address: the official mail addresses. */
#include "milter/ctl/op.h"

static const struct ctl_option add_options[] = {
	{ "unit", "CODE", "the agency it belongs to", false, false },
	{ "person", "PERSON", "whose it is: number or name", false, false },
	{ 0 },
};

static enum write_outcome
do_add(struct op *op, struct err *err)
{
	const struct ctl *ctl = op->ctl;
	int64_t id = 0;
	enum write_outcome outcome = write_address_add(op->writer, ctl_arg(ctl, 0), ctl_option(ctl, "unit"),
	    ctl_option(ctl, "person"), &id, err);

	buf_printf(&op->said, "address %s registered as number %lld", ctl_arg(ctl, 0), (long long)id);
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

	buf_printf(&op->said, "address %s ended", ctl_arg(ctl, 0));
	return write_address_end(op->writer, ctl_arg(ctl, 0), ctl_option(ctl, "reason"), err);
}

static enum ctl_exit
end(struct ctl *ctl)
{
	return op_write(ctl, do_end, NULL);
}

static enum ctl_exit
list(struct ctl *ctl)
{
	return op_list(ctl, LIST_ADDRESS, 0);
}

const struct ctl_command ctl_address_commands[] = {
	{ "add", CTL_WRITES, { "ADDRESS" }, add_options, "register an address of a unit, a person or both; its domain must be registered", add },
	{ "list", CTL_READS, { 0 }, op_list_options, "the addresses", list },
	{ "end", CTL_WRITES, { "ADDRESS" }, op_end_options, "end it; its bindings and logins bind nobody any more", end },
	{ 0 },
};
