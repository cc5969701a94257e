/* What each listener lets in, and whether a filter of ours sees it. */
#include <string.h>
#include <strings.h>

#include "milter/preflight/judge.h"

static bool
has_logins(const struct look *look)
{
	return text_is_yes(look_text(look, "smtpd_sasl_auth_enable"));
}

static void
say_filters(const struct look *look, struct say *say)
{
	if (look->service->off)
		buf_add_text(&say->what, "its filters are switched off by ");
	else
		buf_add_text(&say->what, "asks no filter of Segel: ");
	say_value(look, say, look->service->off ? "receive_override_options" : "smtpd_milters");
}

static bool
no_filter_at_all(const struct look *look, struct say *say)
{
	AUTO(xfree) char *endpoint = endpoint_for(look, ROLE_SUBMISSION);

	for (size_t i = 0; i < look->mta->n_services; i++)
		if (service_has_ours(&look->mta->services[i]))
			return false;
	buf_printf(&say->what, "no service of master.cf asks a filter of Segel; the settings name %s", endpoint);
	for (size_t i = 0; i < look->mta->n_services; i++) {
		if (strcmp(look->mta->services[i].key, "submission/inet") == 0) {
			buf_printf(&say->mend, "postconf -c '%s' -P 'submission/inet/smtpd_milters=%s'", look->mta->folder, endpoint);
			return true;
		}
	}
	buf_printf(&say->mend, "add the service of /usr/share/doc/segel/postfix/master.cf to '%s/master.cf'", look->mta->folder);
	return true;
}

/* With logins it is a submission service; without, ours for other servers judges who claims to be official. */
static void
mend_unfiltered(const struct look *look, struct say *say)
{
	AUTO(xfree) char *endpoint = endpoint_for(look, has_logins(look) ? ROLE_SUBMISSION : ROLE_INBOUND);

	if (look->service->off)
		mend_with(look, say, "receive_override_options", "%s", "");
	else
		mend_service(look, say, "smtpd_milters", "%s", endpoint);
}

static bool
is_unfiltered(const struct look *look, struct say *say)
{
	const unsigned admitted = relay_admits(look->service) | (has_logins(look) ? ADMIT_LOGIN : 0);

	if (service_has_ours(look->service) || listener_of(look->mta, look->service) != LISTENER_SUBMISSION || admitted == ADMIT_TABLE)
		return false;
	buf_add_text(&say->what, "lets ");
	relay_text(look->service, admitted, &say->what);
	buf_add_text(&say->what, " send, and ");
	say_filters(look, say);
	mend_unfiltered(look, say);
	return true;
}

/* What a table holds is not known here. */
static bool
may_be_unfiltered(const struct look *look, struct say *say)
{
	if (service_has_ours(look->service) || listener_of(look->mta, look->service) != LISTENER_SUBMISSION
	    || has_logins(look) || relay_admits(look->service) != ADMIT_TABLE)
		return false;
	say_value(look, say, "smtpd_relay_restrictions");
	buf_add_text(&say->what, " may let clients send, and ");
	say_filters(look, say);
	mend_unfiltered(look, say);
	return true;
}

static bool
is_reinjection(const struct look *look, struct say *say)
{
	if (service_has_ours(look->service) || listener_of(look->mta, look->service) != LISTENER_REINJECTION)
		return false;
	buf_printf(&say->what, "takes mail back from a content filter and asks no filter of Segel (its mail was seen when it came first); "
	    "any program of this machine may put mail in here, too");
	buf_add_text(&say->mend, "keep it on a loopback address, and let a rule of the firewall (nftables: meta skuid) or a UNIX socket's folder "
	    "close it to all but the content filter's user");
	return true;
}

/* --- what reviewers release --- */

static bool
is_release(const struct look *look, struct say *say)
{
	if (!look->service->release || !look->service->loopback)
		return false;
	buf_printf(&say->what, "takes what segel-reviewd lets go (quarantine.release_to) and asks no filter of Segel; any program of this machine may put "
	    "mail in here, too");
	buf_add_text(&say->mend, "where people or programs that you do not trust run here, let a rule of the firewall (nftables: meta skuid) "
	    "close it to all but the user segel-reviewd");
	return true;
}

static bool
release_is_open(const struct look *look, struct say *say)
{
	const char *to = look->config->quarantine.release_to;

	if (!look->service->release || look->service->loopback)
		return false;
	buf_printf(&say->what, "takes what segel-reviewd lets go (quarantine.release_to = %s), and others than this machine reach it, too", to);
	buf_printf(&say->mend, "let it listen on the loopback interface: '%s' instead of '%s' in '%s/master.cf', as in "
	    "/usr/share/doc/segel/postfix/release.cf", to, look->service->name, look->mta->folder);
	return true;
}

static bool
release_is_judged(const struct look *look, struct say *say)
{
	if (!look->service->release || !service_has_ours(look->service))
		return false;
	buf_add_text(&say->what, "takes what segel-reviewd lets go, and asks a filter of Segel: ");
	say_value(look, say, "smtpd_milters");
	mend_service(look, say, "smtpd_milters", "%s", "");
	return true;
}

static bool
release_is_narrow(const struct look *look, struct say *say)
{
	static const char *const words[] = { "8bitmime", "smtputf8", "dsn" };

	for (size_t i = 0; look->service->release && i < N_ELEMENTS(words); i++) {
		if (!text_has_word(look_text(look, "smtpd_discard_ehlo_keywords"), words[i]))
			continue;
		say_value(look, say, "smtpd_discard_ehlo_keywords");
		mend_service(look, say, "smtpd_discard_ehlo_keywords", "%s", "");
		return true;
	}
	return false;
}

static bool
release_is_missing(const struct look *look, struct say *say)
{
	if (!*look->config->quarantine.certificate)
		return false;
	for (size_t i = 0; i < look->mta->n_services; i++)
		if (look->mta->services[i].release)
			return false;
	buf_printf(&say->what, "no service of master.cf listens at %s (quarantine.release_to)", look->config->quarantine.release_to);
	buf_printf(&say->mend, "add the service of /usr/share/doc/segel/postfix/release.cf to '%s/master.cf'", look->mta->folder);
	return true;
}

/* Its own filter, but one that never seals. */
static bool
has_wrong_role(const struct look *look, struct say *say)
{
	AUTO(xfree) char *endpoint = endpoint_for(look, ROLE_SUBMISSION);

	if (!service_has_ours(look->service) || service_milter(look->service, ROLE_SUBMISSION))
		return false;
	buf_add_text(&say->what, "has logins (SASL), but the filter of another role: ");
	say_value(look, say, "smtpd_milters");
	mend_service(look, say, "smtpd_milters", "%s", endpoint);
	return true;
}

static bool
seals_without_login(const struct look *look, struct say *say)
{
	if (!service_milter(look->service, ROLE_SUBMISSION) || has_logins(look))
		return false;
	buf_add_text(&say->what, "asks the filter of role submission, but ");
	say_value(look, say, "smtpd_sasl_auth_enable");
	mend_service(look, say, "smtpd_sasl_auth_enable", "%s", "yes");
	return true;
}

static bool
is_switched_off(const struct look *look, struct say *say)
{
	if (!look->service->off || listener_of(look->mta, look->service) != LISTENER_INBOUND)
		return false;
	say_filters(look, say);
	mend_with(look, say, "receive_override_options", "%s", "");
	return true;
}

static bool
is_open_relay(const struct look *look, struct say *say)
{
	if (look->service->loopback || !(relay_admits(look->service) & ADMIT_ALL))
		return false;
	buf_add_text(&say->what, "relays for everybody: ");
	say_value(look, say, "smtpd_relay_restrictions");
	mend_with(look, say, "smtpd_relay_restrictions", "%s", "permit_sasl_authenticated, reject_unauth_destination");
	return true;
}

static bool
networks_are_everybody(const struct look *look, struct say *say)
{
	static const char *const everybody[] = { "0.0.0.0/0", "[::]/0", "static:all", "static:*" };

	for (size_t i = 0; i < N_ELEMENTS(everybody); i++) {
		if (!text_has_word(look_text(look, "mynetworks"), everybody[i]))
			continue;
		say_value(look, say, "mynetworks");
		mend_with(look, say, "mynetworks", "%s", "127.0.0.0/8 [::1]/128");
		return true;
	}
	return false;
}

static bool
is_loopback_network(const char *network)
{
	return strncmp(network, "127.", 4) == 0 || strncmp(network, "[::1]", 5) == 0 || strncmp(network, "[::ffff:127.", 12) == 0;
}

/* The default holds this machine's addresses only, in configurations of this age. */
static bool
networks_may_send(const struct look *look, struct say *say)
{
	AUTO_WORDS struct words networks = { 0 };
	const struct value *value = values_find(look->service->values, "mynetworks");
	bool wide = false;

	if (!service_milter(look->service, ROLE_INBOUND) || !(relay_admits(look->service) & ADMIT_NETWORK)
	    || !value || value->origin == ORIGIN_DEFAULT)
		return false;
	words_split(&networks, value->text);
	for (size_t i = 0; i < networks.n; i++)
		wide |= !is_loopback_network(networks.at[i]);
	if (!wide)
		return false;
	buf_add_text(&say->what, "lets clients send without a login: ");
	say_value(look, say, "mynetworks");
	mend_service(look, say, "smtpd_relay_restrictions", "%s", "reject_unauth_destination");
	return true;
}

/* "note" only writes it down. */
static bool
takes_bare_newlines(const struct look *look, struct say *say)
{
	static const char *const good[] = { "yes", "normalize", "reject" };
	const char *value = look_text(look, "smtpd_forbid_bare_newline");

	for (size_t i = 0; i < N_ELEMENTS(good); i++)
		if (strcasecmp(value, good[i]) == 0)
			return false;
	say_value(look, say, "smtpd_forbid_bare_newline");
	if (*value)
		mend_with(look, say, "smtpd_forbid_bare_newline", "%s", "normalize");
	else
		buf_add_text(&say->mend, "apt-get update && apt-get install postfix");
	return true;
}

static bool
takes_pipelining(const struct look *look, struct say *say)
{
	if (text_is_yes(look_text(look, "smtpd_forbid_unauth_pipelining"))
	    || text_has_word(look_text(look, "smtpd_data_restrictions"), "reject_unauth_pipelining"))
		return false;
	say_value(look, say, "smtpd_forbid_unauth_pipelining");
	buf_add_text(&say->what, ", ");
	say_value(look, say, "smtpd_data_restrictions");
	mend_with(look, say, "smtpd_data_restrictions", "%s", "reject_unauth_pipelining");
	return true;
}

static bool
takes_anonymous_logins(const struct look *look, struct say *say)
{
	static const char *const options[] = { "smtpd_sasl_security_options", "smtpd_sasl_tls_security_options" };

	for (size_t i = 0; i < N_ELEMENTS(options); i++) {
		if (text_has_word(look_text(look, options[i]), "noanonymous"))
			continue;
		say_value(look, say, options[i]);
		mend_with(look, say, options[i], "%s", "noanonymous");
		return true;
	}
	return false;
}

const struct rule service_rules[] = {
	{ "no-filter", SEVERITY_REFUSE, OVER_MAIN,
	  "without the filter mail leaves unsealed and nobody is asked for TLS or a login", .found = no_filter_at_all },
	{ "service-unfiltered", SEVERITY_REFUSE, OVER_SMTPD,
	  "what users send through this service leaves under official addresses without seal, TLS or check of the login",
	  .found = is_unfiltered },
	{ "service-table", SEVERITY_WARN, OVER_SMTPD,
	  "if a table says OK for a client, what it sends leaves unsealed; put reject_unauth_destination before the table", .found = may_be_unfiltered },
	{ "service-role", SEVERITY_REFUSE, OVER_LOGIN,
	  "only role submission looks at the login and seals; any other takes a user's mail for a stranger's", .found = has_wrong_role },
	{ "service-reinjection", SEVERITY_WARN, OVER_SMTPD,
	  "mail that is put in here passes no filter at all, so only the content filter may reach it", .found = is_reinjection },
	{ "service-release", SEVERITY_WARN, OVER_SMTPD, "mail that is put in here passes no filter at all, so only segel-reviewd may reach it",
	  .found = is_release },
	{ "release-open", SEVERITY_REFUSE, OVER_SMTPD, "whoever reaches it puts mail past the filter, under any name", .found = release_is_open },
	{ "release-judged", SEVERITY_REFUSE, OVER_SMTPD,
	  "what a reviewer releases is judged once more, as a stranger's mail, and refused or held again", .found = release_is_judged },
	{ "release-keywords", SEVERITY_WARN, OVER_SMTPD,
	  "8-bit mail, mail with UTF-8 addresses or with wishes for delivery reports cannot be released as it came", .found = release_is_narrow },
	{ "release-missing", SEVERITY_WARN, OVER_MAIN, "nothing that is held can be released", .found = release_is_missing },
	{ "service-no-login", SEVERITY_WARN, OVER_OURS,
	  "role submission refuses whoever is not logged in, so all mail to this service is refused", .found = seals_without_login },
	{ "service-switched-off", SEVERITY_WARN, OVER_SMTPD,
	  "with no_milters Postfix does not ask the filters that smtpd_milters names", .found = is_switched_off },
	{ "milter-maps", SEVERITY_WARN, OVER_SMTPD,
	  "clients for whom the map says DISABLE, or names another filter, pass without ours", .parameter = "smtpd_milter_maps", .bad = is_set, .good = "" },
	{ "proxy-filter", SEVERITY_REFUSE, OVER_OURS,
	  "behind a before-queue proxy the filter never sees the message itself, so nothing is sealed", .parameter = "smtpd_proxy_filter", .bad = is_set, .good = "" },
	{ "open-relay", SEVERITY_REFUSE, OVER_SMTPD, "anybody could send mail as anybody through this server", .found = is_open_relay },
	{ "networks-everybody", SEVERITY_REFUSE, OVER_SMTPD,
	  "every client counts as one of our own: it may relay, and bare newlines are allowed to it", .found = networks_are_everybody },
	{ "networks-send", SEVERITY_WARN, OVER_SMTPD,
	  "mail of clients that are let in by their address is judged as mail from outside and never sealed", .found = networks_may_send },
	{ "bare-newline", SEVERITY_REFUSE, OVER_INTERNET,
	  "a second message smuggled behind a bare newline would count as sent by the same user, with TLS and login",
	  .found = takes_bare_newlines },
	{ "bare-newline-kept", SEVERITY_WARN, OVER_MAIN,
	  "bare CR and LF in a message end its lines at some servers and not at others, and break the seal there",
	  .parameter = "cleanup_replace_stray_cr_lf", .bad = is_no, .good = "yes" },
	{ "xclient", SEVERITY_REFUSE, OVER_SMTPD,
	  "a client that may use XCLIENT gives itself any login and any address", .parameter = "smtpd_authorized_xclient_hosts", .bad = is_set, .good = "" },
	{ "xforward", SEVERITY_WARN, OVER_SMTPD,
	  "a client that may use XFORWARD writes any client address into the log", .parameter = "smtpd_authorized_xforward_hosts", .bad = is_set, .good = "" },
	{ "proxy-protocol", SEVERITY_WARN, OVER_SMTPD,
	  "whoever reaches this port past the proxy says itself which address it has", .parameter = "smtpd_upstream_proxy_protocol", .bad = is_set, .good = "" },
	{ "helo", SEVERITY_WARN, OVER_INTERNET,
	  "clients that do not even greet are no mail servers, and the records lack their name", .parameter = "smtpd_helo_required", .bad = is_no, .good = "yes" },
	{ "pipelining", SEVERITY_WARN, OVER_INTERNET,
	  "clients that do not wait for answers are how messages are smuggled", .found = takes_pipelining },
	{ "sasl-anonymous", SEVERITY_REFUSE, OVER_LOGIN,
	  "an anonymous login counts as a login", .found = takes_anonymous_logins },
	{ .id = NULL },
};
