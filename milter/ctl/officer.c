/* segelctl officer: who may write to the registry. */
#include "milter/ctl/op.h"

static const struct ctl_option add_options[] = {
	{ "person", "PERSON", "who it is: number or name", true, false },
	{ "appointment", "TEXT", "the letter of appointment", true, false },
	{ "to", "TIME", "when the appointment ends", false, false },
	{ 0 },
};

static enum write_outcome
do_add(struct op *op, struct err *err)
{
	const struct ctl *ctl = op->ctl;
	const time_t *to = op->more;
	int64_t id = 0;
	enum write_outcome outcome = write_officer_add(op->writer, ctl_arg(ctl, 0), ctl_option(ctl, "person"),
	    ctl_option(ctl, "appointment"), *to, &id, err);

	buf_printf(&op->said, "UNIX login %s appointed as officer number %lld", ctl_arg(ctl, 0), (long long)id);
	return outcome;
}

static enum ctl_exit
add(struct ctl *ctl)
{
	time_t to;

	return op_time(ctl, "to", &to) == CTL_OK ? op_write(ctl, do_add, &to) : CTL_USAGE;
}

static enum write_outcome
do_end(struct op *op, struct err *err)
{
	const struct ctl *ctl = op->ctl;

	buf_printf(&op->said, "officer %s ended", ctl_arg(ctl, 0));
	return write_officer_end(op->writer, ctl_arg(ctl, 0), ctl_option(ctl, "reason"), err);
}

static enum ctl_exit
end(struct ctl *ctl)
{
	return op_write(ctl, do_end, NULL);
}

static enum ctl_exit
list(struct ctl *ctl)
{
	return op_list(ctl, LIST_OFFICER, 0);
}

const struct ctl_command ctl_officer_commands[] = {
	{ "add", CTL_WRITES, { "LOGIN" }, add_options, "appoint the person behind a UNIX login", add },
	{ "list", CTL_READS, { 0 }, op_list_options, "the officers", list },
	{ "end", CTL_WRITES, { "LOGIN" }, op_end_options, "end the appointment; the last officer stays", end },
	{ 0 },
};
