/* segelctl bind: for whom a certificate speaks, and for what. */
#include "milter/ctl/op.h"

static const char *const purposes[] = { "verify", "encrypt", "seal", "client", NULL };

static const struct ctl_option add_options[] = {
	{ "purpose", "WORD", "verify, encrypt, seal or client", true, false },
	{ "address", "ADDRESS", "bind to this address (one of address, unit, domain)", false, false },
	{ "unit", "CODE", "bind to every address of this agency", false, false },
	{ "domain", "NAME", "bind to every address of this domain", false, false },
	{ "from", "TIME", "begins then; otherwise now", false, false },
	{ "to", "TIME", "ends then by itself", false, false },
	{ "decision", "TEXT", "the decision or letter behind it", false, false },
	{ 0 },
};

static const struct ctl_option end_options[] = {
	{ "reason", "TEXT", "why it ends; kept in the history", true, false },
	{ 0 },
};

static const struct ctl_option list_options[] = {
	{ "cert", "CERT", "only this certificate's", false, false },
	{ "all", NULL, "what has ended, too", false, false },
	{ 0 },
};

static enum write_outcome
do_add(struct op *op, struct err *err)
{
	const struct new_binding *binding = op->more;
	int64_t id = 0;
	enum write_outcome outcome = write_binding_add(op->writer, binding, &id, err);

	buf_printf(&op->said, "binding %lld: certificate %s for %s of %s", (long long)id, binding->cert,
	    purpose_name(binding->purpose), binding->address ? binding->address : binding->unit ? binding->unit : binding->domain);
	return outcome;
}

static enum ctl_exit
add(struct ctl *ctl)
{
	const char *purpose = op_word(ctl, "purpose", purposes, NULL);
	struct new_binding binding = {
		.cert = ctl_arg(ctl, 0),
		.purpose = purpose_from(purpose),
		.address = ctl_option(ctl, "address"),
		.unit = ctl_option(ctl, "unit"),
		.domain = ctl_option(ctl, "domain"),
		.decision = ctl_option(ctl, "decision"),
	};

	if (!purpose || op_time(ctl, "from", &binding.from) != CTL_OK || op_time(ctl, "to", &binding.to) != CTL_OK)
		return CTL_USAGE;
	if (!!binding.address + !!binding.unit + !!binding.domain != 1)
		return ctl_fail(ctl, CTL_USAGE, "wanted exactly one of --address, --unit and --domain");
	return op_write(ctl, do_add, &binding);
}

static enum write_outcome
do_end(struct op *op, struct err *err)
{
	buf_printf(&op->said, "binding %s ended", ctl_arg(op->ctl, 0));
	return write_binding_end(op->writer, ctl_arg(op->ctl, 0), ctl_option(op->ctl, "reason"), err);
}

static enum ctl_exit
end(struct ctl *ctl)
{
	return op_write(ctl, do_end, NULL);
}

static enum ctl_exit
list(struct ctl *ctl)
{
	AUTO(registry_close) struct registry *registry = NULL;
	struct err err = { 0 };
	int64_t id = 0;

	if (!ctl_option(ctl, "cert"))
		return op_list(ctl, LIST_BINDING, 0);
	registry = op_registry(ctl);
	if (!registry)
		return CTL_UNAVAILABLE;
	switch (registry_cert_id(registry, ctl_option(ctl, "cert"), &id, &err)) {
	case 1:
		return op_list(ctl, LIST_BINDING, id);
	case 0:
		return ctl_fail_err(ctl, CTL_FALSE, &err);
	}
	return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
}

const struct ctl_command ctl_bind_commands[] = {
	{ "add", CTL_WRITES, { "CERT" }, add_options, "bind a certificate to an address, an agency or a domain", add },
	{ "list", CTL_READS, { 0 }, list_options, "the bindings", list },
	{ "end", CTL_WRITES, { "ID" }, end_options, "end a binding", end },
	{ 0 },
};
