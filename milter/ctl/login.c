/* segelctl login: which addresses a login of the mail server may write as. */
#include "milter/ctl/op.h"

static const struct ctl_option add_options[] = {
	{ "address", "ADDRESS", "an address it owns; several may follow", true, true },
	{ 0 },
};

static const struct ctl_option end_options[] = {
	{ "address", "ADDRESS", "only this one; otherwise all of them", false, false },
	{ "reason", "TEXT", "why it ends; kept in the history", false, false },
	{ 0 },
};

static enum write_outcome
do_add(struct op *op, struct err *err)
{
	const char *login = ctl_arg(op->ctl, 0), *address;
	enum write_outcome outcome = WRITE_DONE;

	buf_printf(&op->said, "login %s owns", login);
	for (size_t i = 0; outcome == WRITE_DONE && (address = ctl_option_nth(op->ctl, "address", i)); i++) {
		outcome = write_login_add(op->writer, login, address, NULL, err);
		buf_printf(&op->said, "%s %s", i ? "," : "", address);
	}
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
	const char *login = ctl_arg(op->ctl, 0), *address = ctl_option(op->ctl, "address");

	buf_printf(&op->said, "login %s owns %s no more", login, address ? address : "any address");
	return write_login_end(op->writer, login, address, ctl_option(op->ctl, "reason"), err);
}

static enum ctl_exit
end(struct ctl *ctl)
{
	return op_write(ctl, do_end, NULL);
}

static enum ctl_exit
list(struct ctl *ctl)
{
	return op_list(ctl, LIST_LOGIN, 0);
}

const struct ctl_command ctl_login_commands[] = {
	{ "add", CTL_WRITES, { "LOGIN" }, add_options, "let a login write as these addresses", add },
	{ "list", CTL_READS, { 0 }, op_list_options, "the logins and their addresses", list },
	{ "end", CTL_WRITES, { "LOGIN" }, end_options, "take its addresses away", end },
	{ 0 },
};
