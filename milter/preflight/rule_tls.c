/* The encrypted channel: to our listeners, and from here to the next hop. */
#include <string.h>
#include <strings.h>

#include "milter/preflight/judge.h"

static bool
has_word(const struct look *look, const char *parameter, const char *word)
{
	return text_has_word(look_text(look, parameter), word);
}

static bool
is_level(const struct look *look, const char *parameter, const char *level)
{
	return strcasecmp(look_text(look, parameter), level) == 0;
}

/* --- listeners --- */

static bool
wraps(const struct look *look)
{
	return text_is_yes(look_text(look, "smtpd_tls_wrappermode"));
}

static bool
demands_tls(const struct look *look)
{
	return wraps(look) || is_level(look, "smtpd_tls_security_level", "encrypt")
	    || (!*look_text(look, "smtpd_tls_security_level") && text_is_yes(look_text(look, "smtpd_enforce_tls")));
}

static bool
offers_tls(const struct look *look)
{
	return demands_tls(look) || is_level(look, "smtpd_tls_security_level", "may")
	    || (!*look_text(look, "smtpd_tls_security_level") && text_is_yes(look_text(look, "smtpd_use_tls")));
}

/* Role egress demands no TLS; where one reaches it from this machine alone, it has nothing to do. */
static bool
stays_here(const struct service *service)
{
	return service->loopback && (!service_has_ours(service) || service_milter(service, ROLE_EGRESS));
}

static bool
has_no_tls(const struct look *look, struct say *say)
{
	if (offers_tls(look) || stays_here(look->service))
		return false;
	say_value(look, say, "smtpd_tls_security_level");
	mend_with(look, say, "smtpd_tls_security_level", "%s", text_is_yes(look_text(look, "smtpd_sasl_auth_enable")) ? "encrypt" : "may");
	return true;
}

static bool
has_no_certificate(const struct look *look, struct say *say)
{
	static const char *const files[] = {
		"smtpd_tls_chain_files", "smtpd_tls_cert_file", "smtpd_tls_eccert_file", "smtpd_tls_dcert_file",
	};

	if (!offers_tls(look))
		return false;
	for (size_t i = 0; i < N_ELEMENTS(files); i++)
		if (*look_text(look, files[i]) && strcasecmp(look_text(look, files[i]), "none") != 0)
			return false;
	say_value(look, say, "smtpd_tls_security_level");
	buf_add_text(&say->what, ", but ");
	say_value(look, say, "smtpd_tls_chain_files");
	mend_with(look, say, "smtpd_tls_chain_files", "%s", "/etc/postfix/tls/server.pem");
	return true;
}

static bool
logs_in_in_clear(const struct look *look, struct say *say)
{
	if (demands_tls(look) || !is_no(look_text(look, "smtpd_tls_auth_only")))
		return false;
	say_value(look, say, "smtpd_tls_auth_only");
	mend_with(look, say, "smtpd_tls_auth_only", "%s", "yes");
	return true;
}

static bool
takes_anonymous_ciphers(const struct look *look, struct say *say)
{
	if (!offers_tls(look) || has_word(look, "smtpd_tls_exclude_ciphers", "aNULL")
	    || (demands_tls(look) && has_word(look, "smtpd_tls_mandatory_exclude_ciphers", "aNULL")))
		return false;
	say_value(look, say, "smtpd_tls_exclude_ciphers");
	mend_with(look, say, "smtpd_tls_exclude_ciphers", "%s%saNULL", look_text(look, "smtpd_tls_exclude_ciphers"),
	    *look_text(look, "smtpd_tls_exclude_ciphers") ? ", " : "");
	return true;
}

/* --- to the next hop --- */

static bool
sends_in_clear(const struct look *look, struct say *say)
{
	const char *level = look_text(look, "smtp_tls_security_level");

	if (*level ? !is_level(look, "smtp_tls_security_level", "none") :
	    text_is_yes(look_text(look, "smtp_use_tls")) || text_is_yes(look_text(look, "smtp_enforce_tls")))
		return false;
	say_value(look, say, "smtp_tls_security_level");
	mend_with(look, say, "smtp_tls_security_level", "%s", "may");
	return true;
}

/* As Postfix names the socket: smtp runs in the queue folder. */
static char *
policy_map(const struct look *look)
{
	const char *socket = look->config->tlspol.socket, *queue = look->mta->queue_folder;
	const size_t len = strlen(queue);
	const bool inside = strncmp(socket, queue, len) == 0 && socket[len] == '/';

	return xasprintf("socketmap:unix:%s:%s", inside ? socket + len + 1 : socket, look->config->tlspol.map);
}

static bool
asks_no_policy(const struct look *look, struct say *say)
{
	AUTO(xfree) char *map = policy_map(look);
	const char *maps = look_text(look, "smtp_tls_policy_maps");

	if (look->mta->tlspol_there != ANSWER_YES || text_has_word(maps, map))
		return false;
	buf_printf(&say->what, "segel-tlspol is here ('%s'), but ", look->config->tlspol.socket);
	say_value(look, say, "smtp_tls_policy_maps");
	mend_with(look, say, "smtp_tls_policy_maps", "%s%s%s", map, *maps ? ", " : "", maps);
	return true;
}

/* The next hop is then known beforehand, so that there is no reason to leave TLS to chance. */
static bool
leaves_hop_to_chance(const struct look *look, struct say *say)
{
	static const char *const routes[] = { "relayhost", "transport_maps", "sender_dependent_relayhost_maps" };
	const char *level = look_text(look, "smtp_tls_security_level");

	if (*look_text(look, "smtp_tls_policy_maps") || (*level && strcasecmp(level, "none") != 0 && strcasecmp(level, "may") != 0))
		return false;
	for (size_t i = 0; i < N_ELEMENTS(routes); i++) {
		AUTO(xfree) char *map = policy_map(look);

		if (!*look_text(look, routes[i]))
			continue;
		say_value(look, say, routes[i]);
		buf_add_text(&say->what, ", and ");
		say_value(look, say, "smtp_tls_security_level");
		buf_add_text(&say->what, " for its next hop, too");
		mend_with(look, say, "smtp_tls_policy_maps", "%s", map);
		return true;
	}
	return false;
}

/* Postfix asks for its policy by its own name, so that it gets what no domain in the registry gets. */
static bool
falls_back_in_clear(const struct look *look, struct say *say)
{
	const char *relay = look_text(look, "smtp_fallback_relay"), *level = look_text(look, "smtp_tls_security_level");

	if (!*relay || (*level && strcasecmp(level, "none") != 0 && strcasecmp(level, "may") != 0 && strcasecmp(level, "dane") != 0))
		return false;
	say_value(look, say, "smtp_fallback_relay");
	buf_add_text(&say->what, ", and ");
	say_value(look, say, "smtp_tls_security_level");
	buf_add_text(&say->what, " for it");
	mend_with(look, say, "smtp_fallback_relay", "%s", "");
	return true;
}

const struct rule tls_rules[] = {
	{ "tls-off", SEVERITY_WARN, OVER_SMTPD,
	  "without STARTTLS mail and passwords travel in the clear, and official mail is refused for lack of TLS", .found = has_no_tls },
	{ "tls-no-certificate", SEVERITY_WARN, OVER_SMTPD,
	  "without a certificate STARTTLS is not offered, or only to clients that check none", .found = has_no_certificate },
	{ "tls-login-clear", SEVERITY_WARN, OVER_LOGIN,
	  "passwords can be read on the way, and with one of them mail is sealed", .found = logs_in_in_clear },
	{ "tls-anonymous", SEVERITY_WARN, OVER_SMTPD,
	  "with anonymous ciphers anybody between client and server takes the server's place", .found = takes_anonymous_ciphers },
	{ "tls-loglevel", SEVERITY_WARN, OVER_INTERNET,
	  "without the line about TLS, `segelctl tls report` has no evidence for this direction", .parameter = "smtpd_tls_loglevel", .bad = is_zero, .good = "1" },
	{ "smtp-tls-off", SEVERITY_WARN, OVER_CLIENT, "mail leaves in the clear, whatever the other server offers", .found = sends_in_clear },
	{ "smtp-tls-policy", SEVERITY_WARN, OVER_CLIENT,
	  "what the registry demands of a next hop counts only where Postfix asks for it", .found = asks_no_policy },
	{ "smtp-fallback-relay", SEVERITY_REFUSE, OVER_CLIENT,
	  "mail that waits because its own server offers no TLS goes to this one instead, in the clear", .found = falls_back_in_clear },
	{ "smtp-next-hop", SEVERITY_WARN, OVER_CLIENT,
	  "a next hop that is known beforehand can be held to TLS and to its name; otherwise whoever stands between reads the mail",
	  .found = leaves_hop_to_chance },
	{ "smtp-tls-loglevel", SEVERITY_WARN, OVER_CLIENT,
	  "without the line about TLS, `segelctl tls report` has no evidence for this direction", .parameter = "smtp_tls_loglevel", .bad = is_zero, .good = "1" },
	{ .id = NULL },
};
