#include "milter/preflight/judge_visit.h"

#include <string.h>

enum { TEXT_BYTES = 4096 };

/* --- saying --- */

static void
say_reply(struct buf *what, const char *question, const struct visit_reply *reply)
{
	buf_printf(what, "%s: '%d %s'", question, reply->code, reply->text);
}

/* The command for this service; where its configuration is not known, the one for all. Sendmail has none. */
static void
mend_with(const struct visit *visit, struct visit_say *say, const char *parameter, const char *value, const char *in_sendmail)
{
	const struct visit_promise *promise = &visit->place->promise;

	if (promise->sendmail)
		buf_add_text(&say->mend, in_sendmail);
	else if (promise->known)
		buf_printf(&say->mend, "postconf%s%s%s -P '%s/%s=%s' && postfix reload", promise->folder ? " -c '" : "",
		    promise->folder ? promise->folder : "", promise->folder ? "'" : "", promise->key, parameter, value);
	else
		buf_printf(&say->mend, "at that server: postconf -e '%s=%s' && postfix reload", parameter, value);
}

static bool
offers_tls(const struct visit *visit)
{
	return visit->place->wrapper || visit->clear.starttls;
}

/* --- who answers --- */

static bool
is_silent(const struct visit *visit, struct visit_say *say)
{
	if (!visit->trouble)
		return false;
	buf_add_text(&say->what, visit->trouble);
	buf_add_text(&say->mend, visit->reached ? "look for the session in the mail log: it ended early"
	                                        : "see whether the mail server runs, and which ports it has: ss -ltn; or name others with --at HOST:PORT");
	return true;
}

/* --- without TLS --- */

static bool
offers_auth_in_clear(const struct visit *visit, struct visit_say *say)
{
	if (!visit->clear.auth)
		return false;
	buf_add_text(&say->what, "AUTH is offered without TLS");
	mend_with(visit, say, "smtpd_tls_auth_only", "yes", "in sendmail.mc: define(`confAUTH_OPTIONS', `p y')");
	return true;
}

static bool
offers_no_tls(const struct visit *visit, struct visit_say *say)
{
	if (!visit->reached || offers_tls(visit) || visit->place->promise.reinjection)
		return false;
	buf_add_text(&say->what, "STARTTLS is not offered");
	mend_with(visit, say, "smtpd_tls_security_level", visit->place->promise.login ? "encrypt" : "may",
	    "in sendmail.mc: define confSERVER_CERT and confSERVER_KEY");
	return true;
}

static bool
fails_in_tls(const struct visit *visit, struct visit_say *say)
{
	if (!visit->reached || !offers_tls(visit) || !visit->tls_trouble)
		return false;
	buf_printf(&say->what, "TLS is offered, but cannot be had: %s", visit->tls_trouble);
	buf_add_text(&say->mend, "look for the session in the mail log; smtpd_tls_cert_file and smtpd_tls_key_file must be there and belong together");
	return true;
}

/* Where TLS is demanded it comes before MAIL. */
static bool
takes_mail_in_clear(const struct visit *visit, struct visit_say *say)
{
	const struct visit_promise *promise = &visit->place->promise;
	const struct visit_reply *reply = visit_is_taken(&visit->clear.out_mail) ? &visit->clear.out_mail : &visit->clear.own_mail;

	if (!visit_is_taken(reply) || (!promise->encrypt && !promise->login))
		return false;
	say_reply(&say->what, "without TLS MAIL is answered with", reply);
	if (promise->encrypt)
		buf_add_text(&say->what, ", although the configuration demands TLS");
	if (promise->encrypt && !promise->sendmail)
		buf_add_text(&say->mend, "postfix reload; if it stays so, another program or another configuration answers there: ss -ltnp");
	else
		mend_with(visit, say, "smtpd_tls_security_level", "encrypt", "give the daemon the submission filter (InputMailFilters), which refuses it");
	return true;
}

static bool
takes_official_in_clear(const struct visit *visit, struct visit_say *say)
{
	const struct visit_session *clear = &visit->clear;

	if (!visit_is_taken(&clear->own_mail) || visit_is_refused(&clear->own_in) || visit->place->promise.reinjection)
		return false;
	say_reply(&say->what, "without TLS and without a login, MAIL from an address of our own domain is answered with", &clear->own_mail);
	if (visit->place->promise.inbound)
		buf_add_text(&say->mend, "see that segel-milter -r inbound runs, and whether a rule of tls.rules in segel.conf exempts this machine's network");
	else
		buf_add_text(&say->mend, "give the port the filter for other servers' mail: smtpd_milters of /usr/share/doc/segel/postfix/inbound.cf");
	return true;
}

/* --- TLS --- */

static bool
takes_old_tls(const struct visit *visit, struct visit_say *say)
{
	if (visit->old_tls != VISIT_YES)
		return false;
	buf_add_text(&say->what, "a client that knows no more than TLS 1.1 is taken");
	mend_with(visit, say, visit->place->promise.encrypt ? "smtpd_tls_mandatory_protocols" : "smtpd_tls_protocols", ">=TLSv1.2",
	    "in sendmail.mc: define(`confSERVER_SSL_OPTIONS', `+SSL_OP_NO_TLSv1 +SSL_OP_NO_TLSv1_1')");
	return true;
}

static bool
says_more_than_tls(const struct visit *visit, struct visit_say *say)
{
	if (visit->n_tail == 0)
		return false;
	buf_printf(&say->what, "%zu bytes in clear behind the reply to STARTTLS (dropped)", visit->n_tail);
	buf_add_text(&say->mend, "find out who sends them: the mail server itself, or a device between (a TLS proxy, a firewall that reads SMTP)");
	return true;
}

static bool
carries_over(const struct visit *visit, struct visit_say *say)
{
	if (visit->carried != VISIT_YES)
		return false;
	buf_add_text(&say->what, "a command that came in clear behind STARTTLS was carried out inside TLS (CVE-2011-0411)");
	buf_add_text(&say->mend, "update the mail server, or the TLS proxy before it");
	return true;
}

static bool
offers_no_login(const struct visit *visit, struct visit_say *say)
{
	if (!visit->place->promise.login || !visit->secure.greeted || visit->secure.auth)
		return false;
	buf_add_text(&say->what, "the configuration says smtpd_sasl_auth_enable=yes, but AUTH is not offered with TLS");
	buf_add_text(&say->mend, "look into the mail log for the SASL mechanisms that are missing, and at smtpd_sasl_type and smtpd_sasl_path");
	return true;
}

/* --- relay --- */

static const struct visit_reply *
relayed(const struct visit *visit)
{
	const struct visit_reply *const replies[] = {
		&visit->clear.own_out, &visit->clear.out_out, &visit->secure.own_out, &visit->secure.out_out,
	};

	for (size_t i = 0; i < N_ELEMENTS(replies); i++)
		if (visit_is_taken(replies[i]))
			return replies[i];
	return NULL;
}

/* By its address: the configuration says so, or this machine's own address may be the reason. */
static bool
is_ours(const struct visit *visit)
{
	return visit->place->promise.known ? visit->place->promise.network : visit->place->loopback;
}

static bool
relays(const struct visit *visit, struct visit_say *say)
{
	const struct visit_reply *reply = relayed(visit);

	if (!reply || is_ours(visit) || visit->place->promise.reinjection)
		return false;
	say_reply(&say->what, "without a login, RCPT to somebody outside is answered with", reply);
	mend_with(visit, say, "smtpd_relay_restrictions", "permit_sasl_authenticated,reject_unauth_destination",
	    "take promiscuous_relay and what else relays for strangers out of sendmail.mc and the access map");
	return true;
}

static bool
relays_for_this_machine(const struct visit *visit, struct visit_say *say)
{
	const struct visit_reply *reply = relayed(visit);

	if (!reply || !is_ours(visit) || visit->place->promise.reinjection)
		return false;
	say_reply(&say->what, "without a login, RCPT to somebody outside is answered with", reply);
	buf_add_text(&say->what, visit->place->promise.known ? "; the configuration lets clients send by their address (mynetworks or a table)"
	                                                     : "; this machine may be let in by its address");
	buf_add_text(&say->mend, "ask again from a machine outside, with --at HOST:PORT: there it must be refused");
	return true;
}

/* --- bare newlines --- */

static bool
say_split(const struct visit *visit, struct visit_say *say)
{
	const char *between = "";

	for (int i = 0; i < VISIT_PROBES; i++) {
		const struct visit_probe *probe = &visit->probes[i];

		if (probe->split != VISIT_YES)
			continue;
		buf_printf(&say->what, "%s%s ended the message (%zu replies to one end of data)", between, visit_newline_word((enum visit_newline)i),
		    probe->n_replies);
		between = ", ";
	}
	return *between != '\0';
}

/* Forbidden there, but perhaps not to this machine. */
static bool
is_excluded(const struct visit *visit)
{
	const struct visit_promise *promise = &visit->place->promise;

	return promise->bare_forbidden && promise->excludes_us;
}

static bool
takes_bare_newlines(const struct visit *visit, struct visit_say *say)
{
	if (is_excluded(visit) || !say_split(visit, say))
		return false;
	mend_with(visit, say, "smtpd_forbid_bare_newline", "normalize",
	    "a Sendmail that refuses bare newlines, with no srv_features that allow them");
	return true;
}

static bool
takes_our_bare_newlines(const struct visit *visit, struct visit_say *say)
{
	if (!is_excluded(visit) || !say_split(visit, say))
		return false;
	buf_printf(&say->what, "; clients in %s may", visit->place->promise.excluded ? visit->place->promise.excluded : "its exclusions");
	mend_with(visit, say, "smtpd_forbid_bare_newline_exclusions", "", "");
	return true;
}

/* A mail server for the world that does not take a message to the mailbox that was named. */
static bool
takes_no_probe(const struct visit *visit, struct visit_say *say)
{
	if (visit->place->promise.login || visit->place->promise.reinjection)
		return false;
	for (int i = 0; i < VISIT_PROBES; i++) {
		const struct visit_probe *probe = &visit->probes[i];

		if (!probe->tried || probe->split != VISIT_UNKNOWN)
			continue;
		if (probe->refused.code)
			say_reply(&say->what, "the test message was not taken", &probe->refused);
		else
			buf_printf(&say->what, "%s: the replies tell nothing", visit_newline_word((enum visit_newline)i));
		buf_add_text(&say->mend, "name a mailbox that this server takes mail for: --probe ADDRESS");
		return true;
	}
	return false;
}

/* --- the table --- */

const struct visit_rule visit_rules[] = {
	{ "live-silent", SEVERITY_REFUSE, "what could not be asked is not known to be safe", is_silent },
	{ "live-clear-auth", SEVERITY_REFUSE, "a mail program that finds AUTH there sends the password in clear", offers_auth_in_clear },
	{ "live-no-tls", SEVERITY_REFUSE, "nobody can send official mail over an encrypted channel to this port", offers_no_tls },
	{ "live-tls-fails", SEVERITY_REFUSE, "clients that may go on without TLS do, and all others stay away", fails_in_tls },
	{ "live-clear-mail", SEVERITY_REFUSE, "users of our own could send in clear, and the channel must be encrypted", takes_mail_in_clear },
	{ "live-clear-official", SEVERITY_REFUSE, "mail that claims one of our addresses must come over TLS", takes_official_in_clear },
	{ "live-old-tls", SEVERITY_WARN, "TLS 1.0 and 1.1 are broken, and a client can be talked down to them", takes_old_tls },
	{ "live-starttls-tail", SEVERITY_REFUSE, "a client that reads on believes that it came inside TLS", says_more_than_tls },
	{ "live-starttls-carried", SEVERITY_REFUSE, "whoever sits between speaks in the name of the client, with its login", carries_over },
	{ "live-no-login", SEVERITY_WARN, "users cannot log in, so nothing of theirs is sent or sealed", offers_no_login },
	{ "live-relay", SEVERITY_REFUSE, "whoever reaches this port sends to the world in our name", relays },
	{ "live-relay-here", SEVERITY_WARN, "whoever is let in by an address sends without a login, and what has none is not sealed", relays_for_this_machine },
	{ "live-bare-newline", SEVERITY_REFUSE, "a second message smuggled behind a bare newline counts as sent by the same client, with its TLS and login",
	  takes_bare_newlines },
	{ "live-bare-newline-here", SEVERITY_WARN, "clients that are excluded from the rule can smuggle messages, and so can what passes through them",
	  takes_our_bare_newlines },
	{ "live-not-probed", SEVERITY_WARN, "whether bare newlines end a message here is still not known", takes_no_probe },
	{ .id = NULL },
};

static void
judge_one(const struct visit_rule *rule, const struct visit *visit, struct findings *ret)
{
	const struct visit_place *place = visit->place;
	AUTO(xfree) char *where = place->promise.known ? xasprintf("%s at %s port %s", place->promise.key, place->host, place->port)
	                                               : xasprintf("%s port %s", place->host, place->port);
	struct visit_say say = { 0 };

	buf_init(&say.what, TEXT_BYTES);
	buf_init(&say.mend, TEXT_BYTES);
	if (rule->found(visit, &say)) {
		AUTO(xfree) char *what = xstrdup(buf_text(&say.what));
		AUTO(xfree) char *mend = xstrdup(buf_text(&say.mend));

		findings_add(ret, &(const struct finding){
		    .id = rule->id, .severity = rule->severity, .why = rule->why, .where = where, .what = what, .mend = mend,
		});
	}
	buf_done(&say.what);
	buf_done(&say.mend);
}

void
visit_judge(const struct visit *visit, struct findings *ret)
{
	for (const struct visit_rule *rule = visit_rules; rule->id; rule++)
		judge_one(rule, visit, ret);
}
