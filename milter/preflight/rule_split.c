/* segel-split behind the submission service: does all mail go that way, to the addresses that it really goes to, and once? */
#include <string.h>

#include "milter/preflight/judge.h"

enum { MOST_SHOWN = 5 };

static bool
is_split(const struct look *look)
{
	return look->config->encrypt.use && look->config->encrypt.split;
}

/* Where Postfix hands over, as content_filter has it. */
static void
add_way(const struct look *look, struct buf *ret)
{
	const char *socket = look->config->split.socket, *colon = strrchr(socket, ':');
	const size_t queue = strlen(look->mta->queue_folder);

	if (*socket == '/' && strncmp(socket, look->mta->queue_folder, queue) == 0 && socket[queue] == '/')
		buf_printf(ret, "segel-split:unix:%s", socket + queue + 1);
	else if (*socket == '/' || !colon)
		buf_printf(ret, "segel-split:unix:%s", socket);
	else if (*socket == '[')
		buf_printf(ret, "segel-split:%s", socket);
	else
		buf_printf(ret, "segel-split:[%.*s]%s", (int)(colon - socket), socket, colon);
}

/* Whatever the transport is called, and however its host is written. */
static bool
is_way(const struct look *look, const char *filter)
{
	AUTO_BUF struct buf way = { 0 };
	const char *to, *end;

	buf_init(&way, 4096);
	add_way(look, &way);
	to = strchr(buf_text(&way), ':') + 1;
	end = strchr(filter, ':');
	if (end && strncmp(to, "unix:", 5) == 0)
		return strcmp(end + 1, to) == 0 || (strncmp(end + 1, "unix:", 5) == 0 && strcmp(end + 6, look->config->split.socket) == 0);
	return end && strncmp(end + 1, "unix:", 5) != 0 && strcmp(strrchr(filter, ':'), strrchr(to, ':')) == 0;
}

/* A scanner may stand between: then what it hands back must go there. */
static bool
scanner_goes_on(const struct look *look)
{
	for (size_t i = 0; i < look->mta->n_services; i++) {
		const struct service *service = &look->mta->services[i];

		if (service->program == PROGRAM_SMTPD && service->loopback && !service->from_split && !service_has_ours(service)
		    && is_way(look, service_text(service, "content_filter")))
			return true;
	}
	return false;
}

static bool
goes_past_split(const struct look *look, struct say *say)
{
	const char *filter = look_text(look, "content_filter");
	AUTO_BUF struct buf way = { 0 };

	if (!is_split(look) || !service_milter(look->service, ROLE_SUBMISSION) || is_way(look, filter) || (*filter && scanner_goes_on(look)))
		return false;
	buf_init(&way, 4096);
	add_way(look, &way);
	buf_printf(&say->what, "encrypt.split = true (%s), and ", look->config->file);
	say_value(look, say, "content_filter");
	mend_service(look, say, "content_filter", "%s", buf_text(&way));
	return true;
}

/* Other servers' mail, what comes back from there, and what a reviewer lets go. */
static bool
takes_what_is_not_for_split(const struct look *look, struct say *say)
{
	if (!is_split(look) || !is_way(look, look_text(look, "content_filter")) || service_milter(look->service, ROLE_SUBMISSION)
	    || !(service_milter(look->service, ROLE_INBOUND) || look->service->from_split || look->service->release))
		return false;
	buf_printf(&say->what, "%s, and ", look->service->from_split ? "takes mail back from segel-split (split.next_hop)"
	    : "takes mail that no login handed in");
	say_value(look, say, "content_filter");
	mend_service(look, say, "content_filter", "%s", "");
	return true;
}

static bool
pickup_goes_to_split(const struct look *look, struct say *say)
{
	if (!is_split(look) || !is_way(look, look_text(look, "content_filter")))
		return false;
	say_value(look, say, "content_filter");
	mend_service(look, say, "content_filter", "%s", "");
	return true;
}

static bool
has_mappings_off(const struct look *look)
{
	return text_has_word(look_text(look, "receive_override_options"), "no_address_mappings");
}

static bool
follows_aliases_late(const struct look *look, struct say *say)
{
	if (!is_split(look) || !service_milter(look->service, ROLE_SUBMISSION) || !has_mappings_off(look))
		return false;
	buf_printf(&say->what, "encrypt.split = true (%s), and ", look->config->file);
	say_value(look, say, "receive_override_options");
	mend_service(look, say, "receive_override_options", "%s", "");
	return true;
}

static bool
follows_aliases_again(const struct look *look, struct say *say)
{
	if (!look->service->from_split || has_mappings_off(look))
		return false;
	buf_add_text(&say->what, "takes mail back from segel-split (split.next_hop), and ");
	say_value(look, say, "receive_override_options");
	mend_service(look, say, "receive_override_options", "%s", "no_address_mappings,no_header_body_checks");
	return true;
}

/* --- what tables do to its mail --- */

/* Does somebody get the message whom neither segel-split nor role egress will see? */
static bool
leads_past(const struct look *look, const struct turn *turn)
{
	const bool behind = look->service->from_split || service_milter(look->service, ROLE_EGRESS);
	const char *filter = look_text(look, "content_filter");

	switch (turn->how) {
	case TURN_FILTER:
		return !behind && *filter && strcmp(turn->to, filter) != 0 && !(is_split(look) && is_way(look, turn->to));
	case TURN_BCC:
		return behind || !*filter;
	case TURN_REDIRECT:
	case TURN_UNKNOWN:
		break;
	}
	return true;
}

static bool
tables_lead_past(const struct look *look, struct say *say)
{
	const struct turns *turns = &look->service->turns;
	const char *options = look_text(look, "receive_override_options");
	bool restrictions = false;
	size_t n = 0;

	for (size_t i = 0; i < turns->n; i++) {
		if (!leads_past(look, &turns->at[i]))
			continue;
		restrictions |= strncmp(turns->at[i].where, "smtpd_", 6) == 0;
		if (n < MOST_SHOWN)
			buf_printf(&say->what, "%s%s", n > 0 ? "; " : "", turns->at[i].where);
		n++;
	}
	if (n == 0)
		return false;
	if (restrictions || service_milter(look->service, ROLE_SUBMISSION))
		buf_add_text(&say->mend, "take these lines out of the tables; what other servers' mail needs them for can stand in tables of its own service");
	else
		mend_service(look, say, "receive_override_options", "%s%sno_header_body_checks", options, *options ? "," : "");
	return true;
}

static bool
tables_are_unread(const struct look *look, struct say *say)
{
	const struct words *unread = &look->service->turns.unread;

	for (size_t i = 0; i < unread->n && i < MOST_SHOWN; i++)
		buf_printf(&say->what, "%s%s", i > 0 ? "; " : "", unread->at[i]);
	buf_add_text(&say->mend, "look there yourself for FILTER, REDIRECT and BCC");
	return unread->n > 0;
}

const struct rule split_rules[] = {
	{ "split-missing", SEVERITY_REFUSE, OVER_LOGIN,
	  "the filter leaves it to segel-split to encrypt, and mail of this service does not go there: it leaves in clear", .found = goes_past_split },
	{ "split-strangers", SEVERITY_REFUSE, OVER_SMTPD,
	  "segel-split lets on what is sealed here, and nothing else: other mail waits until it comes back to its sender, and what comes from there goes "
	  "round and round", .found = takes_what_is_not_for_split },
	{ "split-pickup", SEVERITY_WARN, OVER_PICKUP,
	  "what cron and other programs send without a seal waits at segel-split until it comes back; role local encrypts by itself",
	  .found = pickup_goes_to_split },
	{ "split-alias", SEVERITY_REFUSE, OVER_LOGIN,
	  "aliases are followed behind segel-split, which decided for the alias: mail goes in clear to whom it must not", .found = follows_aliases_late },
	{ "split-twice", SEVERITY_REFUSE, OVER_SMTPD,
	  "aliases are followed, and copies made, a second time and behind segel-split", .found = follows_aliases_again },
	{ "table-past", SEVERITY_REFUSE, OVER_SMTPD,
	  "FILTER takes the place of content_filter, REDIRECT leads past it, and a BCC behind the last filter is seen by none: mail leaves in "
	  "clear to whoever must get it encrypted", .found = tables_lead_past },
	{ "table-unread", SEVERITY_WARN, OVER_SMTPD,
	  "what has no text here, or answers by a program, may send mail past what encrypts it", .found = tables_are_unread },
	{ .id = NULL },
};
