/* segelctl domain: mail domains: own, shared with others, or of a partner region. */
#include "milter/ctl/op.h"

static const struct ctl_option add_options[] = {
	{ "kind", "WORD", "own (usual), shared or partner", false, false },
	{ "fold", NULL, "local parts are alike in either case there", false, false },
	{ 0 },
};

static enum write_outcome
do_add(struct op *op, struct err *err)
{
	const struct ctl *ctl = op->ctl;
	int64_t id = 0;
	enum write_outcome outcome = write_domain_add(op->writer, ctl_arg(ctl, 0), op->more, ctl_flag(ctl, "fold"), &id, err);

	buf_printf(&op->said, "domain %s registered as number %lld", ctl_arg(ctl, 0), (long long)id);
	return outcome;
}

static enum ctl_exit
add(struct ctl *ctl)
{
	static const char *const kinds[] = { "own", "shared", "partner", NULL };
	const char *kind = op_word(ctl, "kind", kinds, "own");

	return kind ? op_write(ctl, do_add, (void *)kind) : CTL_USAGE;
}

static enum write_outcome
do_end(struct op *op, struct err *err)
{
	const struct ctl *ctl = op->ctl;

	buf_printf(&op->said, "domain %s ended", ctl_arg(ctl, 0));
	return write_domain_end(op->writer, ctl_arg(ctl, 0), ctl_option(ctl, "reason"), err);
}

static enum ctl_exit
end(struct ctl *ctl)
{
	return op_write(ctl, do_end, NULL);
}

static enum ctl_exit
list(struct ctl *ctl)
{
	return op_list(ctl, LIST_DOMAIN, 0);
}

const struct ctl_command ctl_domain_commands[] = {
	{ "add", CTL_WRITES, { "NAME" }, add_options, "register a domain", add },
	{ "list", CTL_READS, { 0 }, op_list_options, "the domains", list },
	{ "end", CTL_WRITES, { "NAME" }, op_end_options, "end it; its addresses must have ended", end },
	{ 0 },
};
