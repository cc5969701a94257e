/* segelctl reviewer: who may look at held mail, and let it go (policy/permit.h). */
#include "milter/ctl/op.h"
#include "policy/permit.h"

static const struct ctl_option add_options[] = {
	{ "person", "PERSON", "who it is: number or name", true, false },
	{ "role", "WORD", "pegawai, helpdesk, analis, manajer, petugas-op, auditor, pelindung-data or administrator", true, false },
	{ "appointment", "TEXT", "the letter of appointment", true, false },
	{ "to", "TIME", "when the appointment ends", false, false },
	{ 0 },
};

struct appointment {
	const char *role;
	time_t to;
};

static enum write_outcome
do_add(struct op *op, struct err *err)
{
	const struct ctl *ctl = op->ctl;
	const struct appointment *appointment = op->more;
	int64_t id = 0;
	enum write_outcome outcome = write_reviewer_add(op->writer, ctl_arg(ctl, 0), ctl_option(ctl, "person"), appointment->role,
	    ctl_option(ctl, "appointment"), appointment->to, &id, err);

	buf_printf(&op->said, "UNIX login %s appointed as reviewer number %lld: %s", ctl_arg(ctl, 0), (long long)id, appointment->role);
	return outcome;
}

static enum ctl_exit
add(struct ctl *ctl)
{
	const char *roles[N_REVIEWER_ROLES] = { NULL };
	struct appointment appointment = { .role = NULL };

	for (int i = REVIEWER_NONE + 1; i < N_REVIEWER_ROLES; i++)
		roles[i - 1] = reviewer_role_name((enum reviewer_role)i);
	appointment.role = op_word(ctl, "role", roles, NULL);
	if (!appointment.role || op_time(ctl, "to", &appointment.to) != CTL_OK)
		return CTL_USAGE;
	return op_write(ctl, do_add, &appointment);
}

static enum write_outcome
do_end(struct op *op, struct err *err)
{
	const struct ctl *ctl = op->ctl;

	buf_printf(&op->said, "reviewer %s ended", ctl_arg(ctl, 0));
	return write_reviewer_end(op->writer, ctl_arg(ctl, 0), ctl_option(ctl, "reason"), err);
}

static enum ctl_exit
end(struct ctl *ctl)
{
	return op_write(ctl, do_end, NULL);
}

static enum ctl_exit
list(struct ctl *ctl)
{
	return op_list(ctl, LIST_REVIEWER, 0);
}

const struct ctl_command ctl_reviewer_commands[] = {
	{ "add", CTL_WRITES, { "LOGIN" }, add_options, "appoint the person behind a UNIX login", add },
	{ "list", CTL_READS, { 0 }, op_list_options, "the reviewers", list },
	{ "end", CTL_WRITES, { "LOGIN" }, op_end_options, "end the appointment", end },
	{ 0 },
};
