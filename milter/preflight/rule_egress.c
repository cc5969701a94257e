/* Where mail leaves, or comes back from a content filter: does the second look take place, and in the right place? */
#include <string.h>

#include "milter/preflight/judge.h"

static bool
asks_egress(const struct service *service)
{
	return service_milter(service, ROLE_EGRESS) != NULL;
}

static bool
is_missing(const struct look *look, struct say *say)
{
	AUTO(xfree) char *endpoint = endpoint_for(look, ROLE_EGRESS);

	if (!look->config->encrypt.use || !look->config->encrypt.split)
		return false;
	for (size_t i = 0; i < look->mta->n_services; i++)
		if (look->mta->services[i].from_split && service_has_ours(&look->mta->services[i]))
			return false;
	buf_printf(&say->what, "encrypt.split = true (%s), and no filter looks at what segel-split hands back", look->config->file);
	buf_printf(&say->mend, "'-o smtpd_milters=%s' for the service in '%s/master.cf' that segel-split hands its mail to (split.next_hop = %s), as in "
	    "/usr/share/doc/segel/postfix/split-master.cf", endpoint, look->mta->folder, look->config->split.next_hop);
	return true;
}

/* What is let in without a login and by its address only. */
static bool
is_open(const struct look *look, struct say *say)
{
	if (!asks_egress(look->service) || look->service->loopback || service_milter(look->service, ROLE_INBOUND)
	    || listener_of(look->mta, look->service) == LISTENER_INBOUND)
		return false;
	buf_printf(&say->what, "asks the filter of role egress, and others than this machine reach it; it lets in ");
	relay_text(look->service, relay_admits(look->service), &say->what);
	buf_printf(&say->mend, "let it listen at 127.0.0.1, or at this machine's address in your inner network, in '%s/master.cf', and name no more "
	    "than your own servers in mynetworks, as in /usr/share/doc/segel/postfix/egress.cf", look->mta->folder);
	return true;
}

static bool
judges_strangers(const struct look *look, struct say *say)
{
	AUTO(xfree) char *endpoint = endpoint_for(look, ROLE_INBOUND);

	if (!asks_egress(look->service) || listener_of(look->mta, look->service) != LISTENER_INBOUND)
		return false;
	buf_add_text(&say->what, "takes mail of other servers for our mailboxes, and asks the filter of role egress: ");
	say_value(look, say, "smtpd_milters");
	mend_service(look, say, "smtpd_milters", "%s", endpoint);
	return true;
}

static bool
is_another_role(const struct look *look, struct say *say)
{
	AUTO(xfree) char *endpoint = endpoint_for(look, ROLE_EGRESS);

	if (!look->service->from_split || asks_egress(look->service))
		return false;
	buf_printf(&say->what, "takes mail back from segel-split (split.next_hop), and asks the filter of a role that mail comes to first: ");
	say_value(look, say, "smtpd_milters");
	mend_service(look, say, "smtpd_milters", "%s", endpoint);
	return true;
}

/* The transport that a content filter is reached by. */
static const struct service *
transport_of(const struct look *look, const char *filter)
{
	const size_t len = strcspn(filter, ":");

	for (size_t i = 0; i < look->mta->n_services; i++) {
		const struct service *service = &look->mta->services[i];

		if (service->program == PROGRAM_SMTP && strlen(service->name) == len && strncmp(service->name, filter, len) == 0)
			return service;
	}
	return NULL;
}

static bool
falls_back_past(const struct look *look, struct say *say)
{
	const char *filter = look_text(look, "content_filter");
	const struct service *transport = transport_of(look, filter);
	const struct look at_transport = { look->mta, look->config, look->sessions, transport, NULL };

	if (!look->config->encrypt.use || !service_milter(look->service, ROLE_SUBMISSION) || !transport
	    || !*service_text(transport, "smtp_fallback_relay"))
		return false;
	say_value(look, say, "content_filter");
	buf_printf(&say->what, ", and smtp_fallback_relay = %s for '%s'", service_text(transport, "smtp_fallback_relay"), transport->name);
	mend_service(&at_transport, say, "smtp_fallback_relay", "%s", "");
	return true;
}

const struct rule egress_rules[] = {
	{ "egress-missing", SEVERITY_REFUSE, OVER_MAIN,
	  "nobody looks at what segel-split hands back and where aliases lead: one wrong turn, and it leaves in clear", .found = is_missing },
	{ "egress-open", SEVERITY_WARN, OVER_OURS,
	  "whoever is let in there sends without a login, under any address that need not be sealed", .found = is_open },
	{ "egress-inbound", SEVERITY_REFUSE, OVER_OURS,
	  "role egress demands no TLS of official mail and refuses signatures of strangers; nothing is held or marked as for mail from outside",
	  .found = judges_strangers },
	{ "filter-fallback", SEVERITY_REFUSE, OVER_LOGIN,
	  "while segel-split or role egress is away, mail goes to that relay instead, past them: in clear to whoever must get it encrypted",
	  .found = falls_back_past },
	{ "split-role", SEVERITY_REFUSE, OVER_OURS,
	  "to that role segel-split is a stranger without login and TLS, and mail of our own is refused as forged", .found = is_another_role },
	{ .id = NULL },
};
