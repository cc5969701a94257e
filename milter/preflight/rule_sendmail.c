/* What stands against a sendmail.cf. What mends it is a line for sendmail.mc. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "milter/preflight/sendmail.h"

enum { TEXT_BYTES = 4096 };

struct look {
	const struct sendmail *mta;
	const struct config *config;
	const struct cf_daemon *daemon;
	const struct cf_filter *filter;
};

struct say {
	struct buf what, mend;
};

enum over {
	OVER_UNKNOWN,
	OVER_FILE,   /* the whole */
	OVER_DAEMON, /* every listener */
	OVER_FILTER, /* every filter of ours that a listener names */
};

struct rule {
	const char *id;
	enum severity severity;
	enum over over;
	const char *why;
	bool (*found)(const struct look *look, struct say *say);
};

static const char *
option(const struct look *look, const char *name)
{
	return values_text(&look->mta->options, name);
}

static void
say_option(const struct look *look, struct say *say, const char *name)
{
	buf_printf(&say->what, "O %s=%s", name, *option(look, name) ? option(look, name) : "(not set)");
}

static bool
daemon_asks(const struct look *look, const struct cf_daemon *daemon, enum role role)
{
	for (size_t i = 0; i < daemon->filters.n; i++) {
		const struct cf_filter *filter = sendmail_filter(look->mta, daemon->filters.at[i]);

		if (filter && filter->role && filter->role->role == role)
			return true;
	}
	return false;
}

static bool
has_logins(const struct look *look)
{
	return *option(look, "AuthMechanisms") && !cf_daemon_has(look->daemon, 'A');
}

/* --- filters --- */

static void
mend_filter(const struct look *look, struct say *say)
{
	buf_printf(&say->mend, "MAIL_FILTER(`%s', `S=local:%s, F=T, T=C:30s;S:30s;R:60s;E:5m')dnl", look->filter->name, look->filter->path);
}

/* T: try again later; 4: the same, and the connection ends. */
static bool
lets_pass(const struct look *look, struct say *say)
{
	const char *flags = values_text(&look->filter->equates, "F");

	if (strcmp(flags, "T") == 0 || strcmp(flags, "4") == 0)
		return false;
	buf_printf(&say->what, "X%s has F=%s", look->filter->name, *flags ? flags : "(none)");
	mend_filter(look, say);
	return true;
}

/* "C:30s;S:30s;R:60s;E:5m" */
static bool
time_of(const struct look *look, char letter, long *ret)
{
	const char *times = values_text(&look->filter->equates, "T");

	while (*times) {
		const size_t len = strcspn(times, ";");
		AUTO(xfree) char *one = xstrndup(times, len);

		if (one[0] == letter && one[1] == ':')
			return text_seconds(one + 2, ret);
		times += len + (times[len] == ';');
	}
	return false;
}

static bool
is_short(const struct look *look, struct say *say)
{
	static const struct {
		char letter;
		long usual; /* seconds, where T= does not name it */
	} times[] = { { 'R', 10 }, { 'E', 300 } };
	const long wanted = (2 * look->config->registry.timeout + look->config->keyd.timeout) / 1000 + 10;

	for (size_t i = 0; i < N_ELEMENTS(times); i++) {
		long seconds = times[i].usual;

		(void)time_of(look, times[i].letter, &seconds);
		if (seconds >= wanted)
			continue;
		buf_printf(&say->what, "X%s waits %ld seconds (T=%c:), the registry and the key agent may take %ld", look->filter->name, seconds,
		    times[i].letter, wanted);
		mend_filter(look, say);
		return true;
	}
	return false;
}

static bool
is_open(const struct look *look, struct say *say)
{
	const char *slash;

	if (look->filter->socket.open != ANSWER_YES || !look->filter->socket.open_by)
		return false;
	slash = strrchr(look->filter->path, '/');
	buf_printf(&say->what, "the socket '%s' can be reached by other users: %s", look->filter->path, look->filter->socket.open_by);
	buf_printf(&say->mend, "chmod o= '%.*s'", (int)(slash - look->filter->path), look->filter->path);
	return true;
}

static bool
is_unseen(const struct look *look, struct say *say)
{
	if (!look->filter->socket.trouble)
		return false;
	buf_printf(&say->what, "who may reach the socket could not be found out: %s", look->filter->socket.trouble);
	buf_add_text(&say->mend, "run this command as root");
	return true;
}

static bool
is_silent(const struct look *look, struct say *say)
{
	if (look->filter->socket.there != ANSWER_NO && look->filter->socket.answers != ANSWER_NO)
		return false;
	buf_printf(&say->what, "nobody answers on '%s'", look->filter->path);
	buf_printf(&say->mend, "systemctl start segel-milter@%s", look->filter->role->name);
	return true;
}

/* --- listeners --- */

static bool
is_unknown_filter(const struct look *look, struct say *say)
{
	for (size_t i = 0; i < look->daemon->filters.n; i++) {
		const char *name = look->daemon->filters.at[i];

		if (sendmail_filter(look->mta, name))
			continue;
		buf_printf(&say->what, "names filter '%s', and no X line defines it", name);
		buf_printf(&say->mend, "MAIL_FILTER(`%s', `S=local:%s, F=T, T=C:30s;S:30s;R:60s;E:5m')dnl", name, look->config->submission.role.socket);
		return true;
	}
	return false;
}

static void
mend_daemon(const struct look *look, struct say *say, const char *filter, const char *role)
{
	buf_printf(&say->mend, "DAEMON_OPTIONS(`Port=%u, Name=%s%s, InputMailFilters=%s')dnl (the filter of role %s)",
	    cf_daemon_port(look->daemon), look->daemon->name, cf_daemon_is_submission(look->daemon) ? ", M=Ea" : ", M=A", filter, role);
}

static bool
is_unfiltered(const struct look *look, struct say *say)
{
	if (!cf_daemon_is_submission(look->daemon) || daemon_asks(look, look->daemon, ROLE_SUBMISSION))
		return false;
	buf_add_text(&say->what, "takes mail of users and does not ask the filter of role submission");
	mend_daemon(look, say, "segel", "submission");
	return true;
}

/* Who is logged in may relay there, too: Sendmail's own rules for {auth_type}. */
static bool
has_other_logins(const struct look *look, struct say *say)
{
	if (cf_daemon_is_submission(look->daemon) || !has_logins(look) || daemon_asks(look, look->daemon, ROLE_SUBMISSION))
		return false;
	buf_add_text(&say->what, "takes logins (M= has no A) and does not ask the filter of role submission; ");
	say_option(look, say, "AuthMechanisms");
	mend_daemon(look, say, "segel-inbound", "inbound");
	return true;
}

static bool
is_inbound_unfiltered(const struct look *look, struct say *say)
{
	if (cf_daemon_is_submission(look->daemon) || has_logins(look) || daemon_asks(look, look->daemon, ROLE_INBOUND)
	    || daemon_asks(look, look->daemon, ROLE_SUBMISSION))
		return false;
	buf_add_text(&say->what, "asks no filter of Segel; networks and hosts of the access map, and the sendmail command, may send here");
	mend_daemon(look, say, "segel-inbound", "inbound");
	return true;
}

static bool
wants_no_login(const struct look *look, struct say *say)
{
	if (!cf_daemon_is_submission(look->daemon) || cf_daemon_has(look->daemon, 'a'))
		return false;
	buf_printf(&say->what, "M=%s has no 'a'", values_text(&look->daemon->keys, "M"));
	mend_daemon(look, say, "segel", "submission");
	return true;
}

static bool
is_behind(const struct look *look, struct say *say)
{
	const struct cf_filter *first;

	if (look->daemon->filters.n < 2 || !daemon_asks(look, look->daemon, ROLE_SUBMISSION))
		return false;
	first = sendmail_filter(look->mta, look->daemon->filters.at[0]);
	if (first && first->role)
		return false;
	buf_printf(&say->what, "asks '%s' before Segel", look->daemon->filters.at[0]);
	mend_daemon(look, say, "segel;...", "submission");
	return true;
}

/* A service for users with a filter over TCP only: perhaps Segel is meant. */
static bool
is_tcp(const struct look *look, struct say *say)
{
	if (!cf_daemon_is_submission(look->daemon) || daemon_asks(look, look->daemon, ROLE_SUBMISSION))
		return false;
	for (size_t i = 0; i < look->daemon->filters.n; i++) {
		const struct cf_filter *filter = sendmail_filter(look->mta, look->daemon->filters.at[i]);

		if (!filter || filter->path || strcasestr(filter->name, "dkim"))
			continue;
		buf_printf(&say->what, "asks X%s over TCP (S=%s) for mail of users", filter->name, values_text(&filter->equates, "S"));
		buf_printf(&say->mend, "MAIL_FILTER(`%s', `S=local:%s, F=T, T=C:30s;S:30s;R:60s;E:5m')dnl", filter->name,
		    look->config->submission.role.socket);
		return true;
	}
	return false;
}

/* --- the whole --- */

static bool
is_small(const struct look *look, struct say *say)
{
	const long long wanted = look->config->limits.message_size / 2 * 3;
	long long limit = 0;

	if (!*option(look, "MaxMessageSize") || (text_number(option(look, "MaxMessageSize"), &limit) && (limit == 0 || limit >= wanted)))
		return false;
	say_option(look, say, "MaxMessageSize");
	buf_printf(&say->what, "; limits.message_size is %ld bytes, a seal makes that %lld", look->config->limits.message_size, wanted);
	buf_printf(&say->mend, "define(`confMAX_MESSAGE_SIZE', `%lld')dnl", wanted);
	return true;
}

/* 8.17.1.9 is Debian's, with the correction; 8.18 has it. */
static bool
takes_bare_newlines(const struct look *look, struct say *say)
{
	static const unsigned wanted[4] = { 8, 17, 1, 9 };
	unsigned found[4] = { 0 };

	if (sscanf(look->mta->version, "%u.%u.%u.%u", &found[0], &found[1], &found[2], &found[3]) >= 2) {
		for (size_t i = 0; i < N_ELEMENTS(wanted); i++) {
			if (found[i] != wanted[i] && found[i] > wanted[i])
				return false;
			if (found[i] < wanted[i])
				break;
			if (i == N_ELEMENTS(wanted) - 1)
				return false;
		}
	}
	buf_printf(&say->what, "this file was made by Sendmail %s; wanted 8.17.1.9 of Debian 12 or later", *look->mta->version ?
	    look->mta->version : "(no DZ line)");
	buf_add_text(&say->mend, "apt-get update && apt-get install sendmail-bin sendmail-cf, then sendmailconfig");
	return true;
}

static bool
takes_nul(const struct look *look, struct say *say)
{
	if (strncasecmp(option(look, "RejectNUL"), "f", 1) != 0 && strncasecmp(option(look, "RejectNUL"), "n", 1) != 0)
		return false;
	say_option(look, say, "RejectNUL");
	buf_add_text(&say->mend, "define(`confREJECT_NUL', `true')dnl");
	return true;
}

static bool
is_talkative(const struct look *look, struct say *say)
{
	static const char *const wanted[] = { "authwarnings", "noexpn", "novrfy" };
	const bool all = text_has_word(option(look, "PrivacyOptions"), "goaway");

	for (size_t i = 0; i < N_ELEMENTS(wanted); i++) {
		if (text_has_word(option(look, "PrivacyOptions"), wanted[i]) || (all && i > 0))
			continue;
		say_option(look, say, "PrivacyOptions");
		buf_printf(&say->what, " lacks %s", wanted[i]);
		buf_add_text(&say->mend, "define(`confPRIVACY_FLAGS', `authwarnings,needmailhelo,noexpn,novrfy')dnl");
		return true;
	}
	return false;
}

static bool
wants_no_helo(const struct look *look, struct say *say)
{
	if (text_has_word(option(look, "PrivacyOptions"), "needmailhelo") || text_has_word(option(look, "PrivacyOptions"), "goaway"))
		return false;
	say_option(look, say, "PrivacyOptions");
	buf_add_text(&say->mend, "define(`confPRIVACY_FLAGS', `authwarnings,needmailhelo,noexpn,novrfy')dnl");
	return true;
}

static bool
logs_in_in_clear(const struct look *look, struct say *say)
{
	if (!*option(look, "AuthMechanisms") || strchr(option(look, "AuthOptions"), 'p'))
		return false;
	say_option(look, say, "AuthOptions");
	buf_add_text(&say->what, ", ");
	say_option(look, say, "AuthMechanisms");
	buf_add_text(&say->mend, "define(`confAUTH_OPTIONS', `A p y')dnl");
	return true;
}

static bool
takes_anonymous_logins(const struct look *look, struct say *say)
{
	if (!*option(look, "AuthMechanisms") || strchr(option(look, "AuthOptions"), 'y')
	    || !text_has_word(option(look, "AuthMechanisms"), "ANONYMOUS"))
		return false;
	say_option(look, say, "AuthMechanisms");
	buf_add_text(&say->mend, "define(`confAUTH_OPTIONS', `A p y')dnl");
	return true;
}

static bool
has_no_tls(const struct look *look, struct say *say)
{
	static const char *const files[] = { "ServerCertFile", "ServerKeyFile" };

	for (size_t i = 0; i < N_ELEMENTS(files); i++) {
		if (*option(look, files[i]))
			continue;
		say_option(look, say, files[i]);
		buf_add_text(&say->mend, "define(`confSERVER_CERT', `/etc/mail/tls/server.crt')dnl define(`confSERVER_KEY', `/etc/mail/tls/server.key')dnl");
		return true;
	}
	return false;
}

static bool
takes_anonymous_ciphers(const struct look *look, struct say *say)
{
	const char *list = option(look, "CipherList");

	if (!*list || strcasestr(list, "!aNULL") || (!strcasestr(list, "aNULL") && !strcasestr(list, "ADH") && !strcasestr(list, "ALL")))
		return false;
	say_option(look, say, "CipherList");
	buf_printf(&say->mend, "define(`confCIPHER_LIST', `%s:!aNULL')dnl", list);
	return true;
}

static bool
only_pretends(const struct look *look, struct say *say)
{
	if (!look->config->pretend)
		return false;
	buf_printf(&say->what, "pretend = true (%s)", look->config->file);
	buf_printf(&say->mend, "pretend = false; in %s, then systemctl reload 'segel-milter@*'", look->config->file);
	return true;
}

static const struct rule rules[] = {
	{ "service-unfiltered", SEVERITY_REFUSE, OVER_DAEMON,
	  "what users send through this service leaves under official addresses without seal, TLS or check of the login", is_unfiltered },
	{ "service-logins", SEVERITY_REFUSE, OVER_DAEMON,
	  "whoever is logged in may send from here to anywhere, past the filter that seals", has_other_logins },
	{ "service-inbound", SEVERITY_WARN, OVER_DAEMON,
	  "nobody looks whether mail that comes in here claims an official sender, or comes without TLS", is_inbound_unfiltered },
	{ "service-no-login", SEVERITY_WARN, OVER_DAEMON,
	  "clients learn only at the end of a message that they must log in", wants_no_login },
	{ "filter-unknown", SEVERITY_REFUSE, OVER_DAEMON, "a filter that no X line defines looks at no mail", is_unknown_filter },
	{ "filter-tcp", SEVERITY_REFUSE, OVER_DAEMON,
	  "whoever reaches a TCP port of the filter may claim any login and have mail sealed; Segel listens on UNIX sockets only", is_tcp },
	{ "filter-order", SEVERITY_WARN, OVER_DAEMON,
	  "what is signed before the seal (DKIM) does not hold for the sealed message", is_behind },
	{ "default-action", SEVERITY_REFUSE, OVER_FILTER,
	  "without F=T Sendmail takes mail as if there were no filter while it is away, and half edited when it dies; F=R refuses for good",
	  lets_pass },
	{ "content-timeout", SEVERITY_WARN, OVER_FILTER,
	  "Sendmail gives up before the filter does, and defers mail that would have been sealed a moment later", is_short },
	{ "filter-open", SEVERITY_REFUSE, OVER_FILTER,
	  "whoever opens the filter's socket may claim any login and have mail sealed", is_open },
	{ "filter-unseen", SEVERITY_WARN, OVER_FILTER, "what was not looked at is not known to be closed", is_unseen },
	{ "filter-silent", SEVERITY_WARN, OVER_FILTER, "all mail of its services is deferred until the filter runs", is_silent },
	{ "bare-newline", SEVERITY_REFUSE, OVER_FILE,
	  "a second message smuggled behind a bare newline would count as sent by the same user, with TLS and login", takes_bare_newlines },
	{ "nul", SEVERITY_WARN, OVER_FILE, "a NUL in a message ends it for some readers and not for others", takes_nul },
	{ "message-size", SEVERITY_REFUSE, OVER_FILE,
	  "a message that the filter takes would be too large for Sendmail once it is sealed", is_small },
	{ "tls-off", SEVERITY_WARN, OVER_FILE,
	  "without certificate and key STARTTLS is not offered: passwords travel in the clear, and official mail is refused", has_no_tls },
	{ "tls-login-clear", SEVERITY_WARN, OVER_FILE,
	  "passwords can be read on the way, and with one of them mail is sealed", logs_in_in_clear },
	{ "tls-anonymous", SEVERITY_WARN, OVER_FILE,
	  "with anonymous ciphers anybody between client and server takes the server's place", takes_anonymous_ciphers },
	{ "sasl-anonymous", SEVERITY_REFUSE, OVER_FILE, "an anonymous login counts as a login", takes_anonymous_logins },
	{ "privacy", SEVERITY_WARN, OVER_FILE,
	  "EXPN and VRFY tell strangers which addresses exist, and without authwarnings forged senders leave no trace", is_talkative },
	{ "helo", SEVERITY_WARN, OVER_FILE, "clients that do not even greet are no mail servers, and the records lack their name", wants_no_helo },
	{ "pretend", SEVERITY_WARN, OVER_FILE, "the filter decides and logs, but changes and refuses nothing", only_pretends },
	{ .id = NULL },
};

/* --- walking --- */

static char *
where_of(const struct look *look)
{
	if (look->daemon)
		return xstrdup(look->daemon->name);
	return look->filter ? xasprintf("X%s", look->filter->name) : xstrdup("sendmail.cf");
}

static void
judge_one(const struct rule *rule, const struct look *look, struct findings *ret)
{
	struct say say = { 0 };

	buf_init(&say.what, TEXT_BYTES);
	buf_init(&say.mend, TEXT_BYTES);
	if (rule->found(look, &say)) {
		AUTO(xfree) char *where = where_of(look);
		AUTO(xfree) char *what = xstrdup(buf_text(&say.what));
		AUTO(xfree) char *mend = xstrdup(buf_text(&say.mend));
		const struct finding finding = {
			.id = rule->id, .severity = rule->severity, .why = rule->why, .where = where, .what = what, .mend = mend,
		};

		findings_add(ret, &finding);
	}
	buf_done(&say.what);
	buf_done(&say.mend);
}

static bool
is_named(const struct sendmail *mta, const struct cf_filter *filter)
{
	for (size_t i = 0; i < mta->n_daemons; i++)
		for (size_t j = 0; j < mta->daemons[i].filters.n; j++)
			if (strcmp(mta->daemons[i].filters.at[j], filter->name) == 0)
				return true;
	return false;
}

static void
judge_all(const struct rule *rule, struct look look, struct findings *ret)
{
	switch (rule->over) {
	case OVER_FILE:
		judge_one(rule, &look, ret);
		return;
	case OVER_DAEMON:
		for (size_t i = 0; i < look.mta->n_daemons; i++) {
			look.daemon = &look.mta->daemons[i];
			judge_one(rule, &look, ret);
		}
		return;
	case OVER_FILTER:
		for (size_t i = 0; i < look.mta->n_filters; i++) {
			look.filter = &look.mta->filters[i];
			if (look.filter->role && is_named(look.mta, look.filter))
				judge_one(rule, &look, ret);
		}
		return;
	case OVER_UNKNOWN:
		return;
	}
}

void
sendmail_judge(const struct sendmail *mta, const struct config *config, struct findings *ret)
{
	for (const struct rule *rule = rules; rule->id; rule++)
		judge_all(rule, (struct look){ .mta = mta, .config = config }, ret);
}

const char *
sendmail_rule_id(size_t i)
{
	return i < N_ELEMENTS(rules) ? rules[i].id : NULL;
}
