/* What happens to a message and its addresses besides us: sizes, copies, rewriting. */
#include <string.h>

#include "milter/preflight/judge.h"

static bool
is_small(const struct look *look, struct say *say)
{
	long long limit;

	if (text_number(look_text(look, "message_size_limit"), &limit) && (limit == 0 || limit >= config_largest_sealed(look->config)))
		return false;
	say_value(look, say, "message_size_limit");
	buf_printf(&say->what, "; limits.message_size is %ld bytes, sealed, and encrypted where encrypt.use is on, that makes %lld", look->config->limits.message_size, config_largest_sealed(look->config));
	mend_with(look, say, "message_size_limit", "%lld", config_largest_sealed(look->config));
	return true;
}

/* 0 is no limit; Postfix's own agents refuse to start with a mailbox limit below that of a message. */
static bool
is_mailbox_small(const struct look *look, struct say *say, const char *parameter)
{
	long long mailbox, message;

	if (!text_number(look_text(look, parameter), &mailbox) || mailbox == 0
	    || !text_number(look_text(look, "message_size_limit"), &message) || (message != 0 && mailbox >= message))
		return false;
	say_value(look, say, parameter);
	buf_add_text(&say->what, " lies below ");
	say_value(look, say, "message_size_limit");
	mend_with(look, say, parameter, "%s", "0");
	return true;
}

static bool
mailbox_is_small(const struct look *look, struct say *say)
{
	return is_mailbox_small(look, say, "mailbox_size_limit");
}

static bool
virtual_mailbox_is_small(const struct look *look, struct say *say)
{
	return *look_text(look, "virtual_mailbox_domains") && is_mailbox_small(look, say, "virtual_mailbox_limit");
}

/* The first of some parameters that is set. */
static bool
one_is_set(const struct look *look, struct say *say, const char *const *parameters, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!*look_text(look, parameters[i]))
			continue;
		say_value(look, say, parameters[i]);
		mend_with(look, say, parameters[i], "%s", "");
		return true;
	}
	return false;
}

static bool
copies_mail(const struct look *look, struct say *say)
{
	static const char *const parameters[] = { "always_bcc", "sender_bcc_maps", "recipient_bcc_maps" };

	return one_is_set(look, say, parameters, N_ELEMENTS(parameters));
}

static bool
rewrites_addresses(const struct look *look, struct say *say)
{
	static const char *const parameters[] = { "canonical_maps", "sender_canonical_maps", "recipient_canonical_maps", "masquerade_domains" };

	return one_is_set(look, say, parameters, N_ELEMENTS(parameters));
}

static bool
changes_on_the_way(const struct look *look, struct say *say)
{
	static const char *const parameters[] = {
		"smtp_generic_maps", "smtp_header_checks", "smtp_mime_header_checks", "smtp_nested_header_checks", "smtp_body_checks",
	};

	return one_is_set(look, say, parameters, N_ELEMENTS(parameters));
}

static bool
routes_by_header(const struct look *look, struct say *say)
{
	static const char *const parameters[] = { "milter_header_checks" };

	return one_is_set(look, say, parameters, N_ELEMENTS(parameters));
}

static bool
say_list(const struct words *list, struct say *say, const char *mend)
{
	for (size_t i = 0; i < list->n; i++)
		buf_printf(&say->what, "%s%s", i > 0 ? "; " : "", list->at[i]);
	buf_add_text(&say->mend, mend);
	return list->n > 0;
}

static bool
aliases_leave(const struct look *look, struct say *say)
{
	return say_list(&look->mta->outside, say, "let these people read their mail here, or accept that official mail leaves as it is");
}

static bool
aliases_are_unread(const struct look *look, struct say *say)
{
	return say_list(&look->mta->unread, say, "look there yourself for targets outside of the own domains");
}

static bool
postconf_warns(const struct look *look, struct say *say)
{
	return say_list(&look->mta->warnings, say, "correct the spelling, or remove what is not used");
}

static bool
swaps_in_clear(const struct look *look, struct say *say)
{
	return say_list(&look->mta->swaps, say, "swapoff -a, or put swap on dm-crypt (crypttab(5), option swap) or into memory (zram)");
}

/* A bounce carries so many bytes of the message back. */
static bool
bounces_mail(const struct look *look, struct say *say)
{
	long long limit;
	bool inbound = false;

	for (size_t i = 0; i < look->mta->n_services; i++)
		inbound |= service_milter(&look->mta->services[i], ROLE_INBOUND) != NULL;
	if (!inbound || (text_number(look_text(look, "bounce_size_limit"), &limit) && limit <= 1 && limit > 0))
		return false;
	say_value(look, say, "bounce_size_limit");
	mend_with(look, say, "bounce_size_limit", "%s", "1");
	return true;
}

static bool
keeps_no_room(const struct look *look, struct say *say)
{
	if (!is_zero(look_text(look, "queue_minfree")))
		return false;
	say_value(look, say, "queue_minfree");
	mend_with(look, say, "queue_minfree", "%lld", config_largest_sealed(look->config) / 2 * 3);
	return true;
}

static const char resolves[] = "a recipient that is resolved to another address than the one written is judged by the wrong one";

const struct rule mail_rules[] = {
	{ "message-size", SEVERITY_REFUSE, OVER_OURS,
	  "a message that the filter takes would be too large for Postfix once it is sealed", .found = is_small },
	{ "mailbox-size", SEVERITY_REFUSE, OVER_MAIN,
	  "Postfix's local(8) delivers nothing at all while a mailbox is smaller than a message may be", .found = mailbox_is_small },
	{ "virtual-mailbox-size", SEVERITY_REFUSE, OVER_MAIN,
	  "Postfix's virtual(8) delivers nothing at all while a mailbox is smaller than a message may be", .found = virtual_mailbox_is_small },
	{ "queue-minfree", SEVERITY_WARN, OVER_MAIN,
	  "a message that is half written when the disk is full is deferred after all its work; ask for the room before", .found = keeps_no_room },
	{ "bounce-size", SEVERITY_WARN, OVER_MAIN,
	  "a bounce would carry the text of a decrypted message to whoever the envelope names as its sender", .found = bounces_mail },
	{ "percent-hack", SEVERITY_WARN, OVER_MAIN, resolves, .parameter = "allow_percent_hack", .bad = is_yes, .good = "no" },
	{ "bang-path", SEVERITY_WARN, OVER_MAIN, resolves, .parameter = "swap_bangpath", .bad = is_yes, .good = "no" },
	{ "dequoted-address", SEVERITY_WARN, OVER_MAIN, resolves, .parameter = "resolve_dequoted_address", .bad = is_yes, .good = "no" },
	{ "bcc", SEVERITY_WARN, OVER_MAIN,
	  "copies are made after the filter has seen the recipients, so nothing it does counts for them", .found = copies_mail },
	{ "alias-outside", SEVERITY_WARN, OVER_MAIN,
	  "aliases are followed after the filter has seen the recipients: mail to an inner address leaves", .found = aliases_leave },
	{ "alias-unread", SEVERITY_WARN, OVER_MAIN,
	  "these alias tables have no text here, so that it is not known whether they lead outside", .found = aliases_are_unread },
	{ "rewriting", SEVERITY_WARN, OVER_MAIN,
	  "a From that Postfix rewrites is another than the one that was sealed, and readers are told so", .found = rewrites_addresses },
	{ "changed-later", SEVERITY_WARN, OVER_CLIENT,
	  "what the SMTP client changes on the way out breaks the seal", .found = changes_on_the_way },
	{ "milter-header-checks", SEVERITY_WARN, OVER_MAIN,
	  "a pattern with FILTER or REDIRECT decides by header lines of filters where mail goes", .found = routes_by_header },
	{ "soft-bounce", SEVERITY_WARN, OVER_MAIN,
	  "every refusal becomes \"try again\": senders of refused mail hear of it after days", .parameter = "soft_bounce", .bad = is_yes, .good = "no" },
	{ "swap", SEVERITY_WARN, OVER_MACHINE,
	  "mail in the memory of filter and mail server may be written to this disk in the clear, and stay there", .found = swaps_in_clear },
	{ "postconf-warning", SEVERITY_WARN, OVER_MAIN,
	  "a parameter that Postfix does not know does nothing, a filter's least of all", .found = postconf_warns },
	{ .id = NULL },
};
