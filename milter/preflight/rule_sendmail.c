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
	return sendmail_option(look->mta, name);
}

static void
say_option(const struct look *look, struct say *say, const char *name)
{
	buf_printf(&say->what, "O %s=%s", name, *option(look, name) ? option(look, name) : "(not set)");
}

static bool
is_role(const struct look *look, const char *name, enum role role)
{
	const struct cf_filter *filter = sendmail_filter(look->mta, name);

	return filter && filter->role && filter->role->role == role;
}

static bool
daemon_asks(const struct look *look, const struct cf_daemon *daemon, enum role role)
{
	for (size_t i = 0; i < daemon->filters.n; i++)
		if (is_role(look, daemon->filters.at[i], role))
			return true;
	return false;
}

/* Where the file names no mechanism, there are those that Sendmail was built with. */
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

/* Of several letters the first of T, 4, R counts; others mean nothing. */
static char
action_of(const struct cf_filter *filter)
{
	static const char letters[] = "T4R";
	const char *flags = values_text(&filter->equates, "F");

	for (const char *letter = letters; *letter; letter++)
		if (strchr(flags, *letter))
			return *letter;
	return '\0';
}

static bool
lets_pass(const struct look *look, struct say *say)
{
	const char action = action_of(look->filter);

	if (action == 'T' || action == '4')
		return false;
	buf_printf(&say->what, "X%s, F=%s: while the filter is away, %s", look->filter->name, values_text(&look->filter->equates, "F"),
	    action == 'R' ? "mail is refused for good (554), and senders get it back" : "mail passes as if there were none");
	mend_filter(look, say);
	return true;
}

static bool
drops_connections(const struct look *look, struct say *say)
{
	if (action_of(look->filter) != '4')
		return false;
	buf_printf(&say->what, "X%s, F=%s: while the filter is away, connections end with 421", look->filter->name,
	    values_text(&look->filter->equates, "F"));
	mend_filter(look, say);
	return true;
}

/* "1m30s"; a bare number is seconds. */
static bool
seconds_in(const char *text, long *ret)
{
	long sum = 0, part;

	if (!*text)
		return false;
	while (*text) {
		const size_t digits = strspn(text, "0123456789"), len = digits + (text[digits] != '\0');
		AUTO(xfree) char *one = xstrndup(text, len);

		if (!text_seconds(one, &part))
			return false;
		sum += part;
		text += len;
	}
	*ret = sum;
	return true;
}

/* "C:30s;S:30s;R:60s;E:5m". False: not named there. */
static bool
time_of(const struct look *look, char letter, long *ret)
{
	const char *times = values_text(&look->filter->equates, "T");

	while (*times) {
		const size_t len = strcspn(times, ";"), blanks = strspn(times, " \t");
		AUTO(xfree) char *one = xstrndup(times + (blanks < len ? blanks : 0), blanks < len ? len - blanks : len);
		const char *colon = strchr(one, ':');

		if (one[0] == letter && colon) {
			if (!seconds_in(colon + 1 + strspn(colon + 1, " \t"), ret))
				*ret = 0;
			return true;
		}
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

/* What Sendmail itself checks at its start, and does not start then. */
static bool
is_unsafe(const struct look *look, struct say *say)
{
	const char *role = look->filter->role->name;

	if (!look->filter->unsafe)
		return false;
	buf_printf(&say->what, "Sendmail calls the socket '%s' unsafe: %s", look->filter->path, look->filter->unsafe);
	buf_printf(&say->mend, "chmod go-w on what is named here; where others need it (/tmp), let %s.socket in %s be '/run/segel/%s/milter.sock'",
	    role, look->config->file, role);
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

/* With the address it has. */
static void
mend_daemon(const struct look *look, struct say *say, const char *filters, const char *role)
{
	const char *address = values_text(&look->daemon->keys, "Addr");

	buf_printf(&say->mend, "DAEMON_OPTIONS(`Port=%u, Name=%s%s%s%s, InputMailFilters=%s')dnl (%s: the filter of role %s)",
	    cf_daemon_port(look->daemon), look->daemon->name, *address ? ", Addr=" : "", address,
	    cf_daemon_is_submission(look->daemon) || strcmp(role, "submission") == 0 ? ", M=Ea" : ", M=A", filters, filters, role);
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

/* Where quarantine.release_to leads. */
static bool
is_release(const struct look *look)
{
	const char *colon = strrchr(look->config->quarantine.release_to, ':');
	char port[16];

	snprintf(port, sizeof(port), "%u", cf_daemon_port(look->daemon));
	return *look->config->quarantine.certificate && colon && strcmp(colon + 1, port) == 0;
}

static bool
release_is_open(const struct look *look, struct say *say)
{
	if (!is_release(look) || cf_daemon_is_loopback(look->daemon))
		return false;
	buf_printf(&say->what, "takes what segel-reviewd lets go (quarantine.release_to = %s), and others than this machine reach it, too",
	    look->config->quarantine.release_to);
	buf_printf(&say->mend, "DAEMON_OPTIONS(`Addr=127.0.0.1, Port=%u, Name=%s, M=EASC')dnl", cf_daemon_port(look->daemon), look->daemon->name);
	return true;
}

static bool
release_is_judged(const struct look *look, struct say *say)
{
	if (!is_release(look) || (!daemon_asks(look, look->daemon, ROLE_INBOUND) && !daemon_asks(look, look->daemon, ROLE_SUBMISSION)
	    && !daemon_asks(look, look->daemon, ROLE_EGRESS)))
		return false;
	buf_add_text(&say->what, "takes what segel-reviewd lets go, and asks a filter of Segel");
	buf_printf(&say->mend, "no InputMailFilters in its line: DAEMON_OPTIONS(`Addr=127.0.0.1, Port=%u, Name=%s, M=EASC')dnl, and MAIL_FILTER in place of "
	    "INPUT_MAIL_FILTER", cf_daemon_port(look->daemon), look->daemon->name);
	return true;
}

/* At an address of its own, where servers of ours hand in what leaves. */
static bool
is_way_out(const struct look *look)
{
	return daemon_asks(look, look->daemon, ROLE_EGRESS) && *values_text(&look->daemon->keys, "Addr");
}

static bool
is_inbound_unfiltered(const struct look *look, struct say *say)
{
	if (is_release(look) || cf_daemon_is_submission(look->daemon) || has_logins(look) || daemon_asks(look, look->daemon, ROLE_INBOUND)
	    || daemon_asks(look, look->daemon, ROLE_SUBMISSION) || is_way_out(look))
		return false;
	buf_add_text(&say->what, "asks no filter of Segel for mail of other servers; networks and hosts of the access map, and the sendmail command, may send here");
	mend_daemon(look, say, "segel-inbound", "inbound");
	return true;
}

/* INPUT_MAIL_FILTER gives a filter to all of them. */
static bool
asks_servers_for_logins(const struct look *look, struct say *say)
{
	if (cf_daemon_is_submission(look->daemon) || cf_daemon_is_loopback(look->daemon)
	    || !daemon_asks(look, look->daemon, ROLE_SUBMISSION))
		return false;
	buf_printf(&say->what, "takes mail of other servers (port %u, M= has no 'a') and asks the filter of role submission",
	    cf_daemon_port(look->daemon));
	if (look->daemon->own_filters) {
		mend_daemon(look, say, "segel-inbound", "inbound");
		return true;
	}
	buf_printf(&say->what, ", as every service does: O InputMailFilters=%s", option(look, "InputMailFilters"));
	buf_add_text(&say->mend, "MAIL_FILTER in place of INPUT_MAIL_FILTER, and InputMailFilters=segel in the DAEMON_OPTIONS of port 587 only");
	return true;
}

static bool
has_local_role(const struct look *look, struct say *say)
{
	if (!daemon_asks(look, look->daemon, ROLE_LOCAL))
		return false;
	buf_add_text(&say->what, "asks the filter of role local, which is for Postfix's sendmail command");
	mend_daemon(look, say, cf_daemon_is_submission(look->daemon) ? "segel" : "segel-inbound",
	    cf_daemon_is_submission(look->daemon) ? "submission" : "inbound");
	return true;
}

static bool
offers_no_tls(const struct look *look, struct say *say)
{
	if (!cf_daemon_is_submission(look->daemon) || !cf_daemon_has(look->daemon, 'S') || cf_daemon_has(look->daemon, 's'))
		return false;
	buf_printf(&say->what, "M=%s has 'S'", values_text(&look->daemon->keys, "Modify"));
	mend_daemon(look, say, "segel", "submission");
	return true;
}

static bool
wants_no_login(const struct look *look, struct say *say)
{
	if (!cf_daemon_is_submission(look->daemon) || cf_daemon_has(look->daemon, 'a'))
		return false;
	buf_printf(&say->what, "M=%s of port %u has no 'a'", values_text(&look->daemon->keys, "Modify"), cf_daemon_port(look->daemon));
	mend_daemon(look, say, "segel", "submission");
	return true;
}

static bool
is_behind(const struct look *look, struct say *say)
{
	const struct words *filters = &look->daemon->filters;
	AUTO_BUF struct buf list = { 0 };
	size_t ours = 0;

	while (ours < filters->n && !is_role(look, filters->at[ours], ROLE_SUBMISSION))
		ours++;
	if (ours == 0 || ours == filters->n)
		return false;
	buf_init(&list, TEXT_BYTES);
	buf_add_text(&list, filters->at[ours]);
	for (size_t i = 0; i < filters->n; i++)
		if (i != ours)
			buf_printf(&list, ";%s", filters->at[i]);
	buf_printf(&say->what, "asks '%s' before '%s'", filters->at[0], filters->at[ours]);
	mend_daemon(look, say, buf_text(&list), "submission");
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
	const long long wanted = config_largest_sealed(look->config);
	long long limit = 0;

	if (!*option(look, "MaxMessageSize") || (text_number(option(look, "MaxMessageSize"), &limit) && (limit == 0 || limit >= wanted)))
		return false;
	say_option(look, say, "MaxMessageSize");
	buf_printf(&say->what, "; limits.message_size is %ld bytes, sealed, and encrypted where encrypt.use is on, that makes %lld", look->config->limits.message_size, wanted);
	buf_printf(&say->mend, "define(`confMAX_MESSAGE_SIZE', `%lld')dnl", wanted);
	return true;
}

/* Debian's 8.17.1.9 has the correction since its revision 2+deb12u1; 8.18 has it. */
static bool
takes_bare_newlines(const struct look *look, struct say *say)
{
	const bool first = strstr(look->mta->version, "8.17.1.9/Debian-2") && !strstr(look->mta->version, "+deb12u");
	static const unsigned wanted[4] = { 8, 17, 1, 9 };
	unsigned found[4] = { 0 };

	if (sscanf(look->mta->version, "%u.%u.%u.%u", &found[0], &found[1], &found[2], &found[3]) >= 2 && !first) {
		for (size_t i = 0; i < N_ELEMENTS(wanted); i++) {
			if (found[i] != wanted[i] && found[i] > wanted[i])
				return false;
			if (found[i] < wanted[i])
				break;
			if (i == N_ELEMENTS(wanted) - 1)
				return false;
		}
	}
	buf_printf(&say->what, "this file was made by Sendmail %s; wanted 8.17.1.9-2+deb12u1 of Debian 12 or later", *look->mta->version ?
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

/* "goaway" is all that matters here but authwarnings. */
static bool
is_private(const struct look *look, const char *flag)
{
	const char *flags = option(look, "PrivacyOptions");

	return text_has_word(flags, flag) || (strcmp(flag, "authwarnings") != 0 && text_has_word(flags, "goaway"));
}

static const char *const private_flags[] = { "authwarnings", "noexpn", "novrfy", "needmailhelo" };

static void
add_missing(const struct look *look, struct buf *ret, const char *const *flags, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_private(look, flags[i]))
			buf_printf(ret, "%s%s", ret->len ? "," : "", flags[i]);
}

/* The line that mends has all flags: there can be only one such line. */
static bool
lacks_flags(const struct look *look, struct say *say, const char *const *wanted, size_t n)
{
	const char *flags = option(look, "PrivacyOptions");
	AUTO_BUF struct buf missing = { 0 };
	AUTO_BUF struct buf all = { 0 };

	buf_init(&missing, TEXT_BYTES);
	buf_init(&all, TEXT_BYTES);
	add_missing(look, &missing, wanted, n);
	if (missing.len == 0)
		return false;
	buf_add_text(&all, flags);
	add_missing(look, &all, private_flags, N_ELEMENTS(private_flags));
	say_option(look, say, "PrivacyOptions");
	buf_printf(&say->what, " lacks %s", buf_text(&missing));
	buf_printf(&say->mend, "define(`confPRIVACY_FLAGS', `%s')dnl", buf_text(&all));
	return true;
}

static bool
is_talkative(const struct look *look, struct say *say)
{
	return lacks_flags(look, say, private_flags, 3);
}

static bool
wants_no_helo(const struct look *look, struct say *say)
{
	return lacks_flags(look, say, private_flags + 3, 1);
}

static bool
logs_in_in_clear(const struct look *look, struct say *say)
{
	const char *mechanisms = option(look, "AuthMechanisms");

	if ((!text_has_word(mechanisms, "PLAIN") && !text_has_word(mechanisms, "LOGIN")) || strchr(option(look, "AuthOptions"), 'p'))
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
	static const char *const good[] = {
		"define(`confSERVER_CERT', `/etc/mail/tls/server.crt')dnl", "define(`confSERVER_KEY', `/etc/mail/tls/server.key')dnl",
		"define(`confCACERT', `/etc/ssl/certs/ca-certificates.crt')dnl", "define(`confCACERT_PATH', `/etc/ssl/certs')dnl",
	};
	static const char *const files[] = { "ServerCertFile", "ServerKeyFile", "CACertFile", "CACertPath" };

	for (size_t i = 0; i < N_ELEMENTS(files); i++) {
		if (*option(look, files[i]))
			continue;
		say_option(look, say, files[i]);
		buf_add_text(&say->mend, good[i]);
		return true;
	}
	return false;
}

static bool
has_no_tls_file(const struct look *look, struct say *say)
{
	for (size_t i = 0; i < look->mta->n_files; i++) {
		const struct cf_file *file = &look->mta->files[i];

		if (!file->trouble)
			continue;
		buf_add_text(&say->what, file->trouble);
		buf_printf(&say->mend, "put the file there, and chmod %s '%s'; chmod go-w each folder above it",
		    strcmp(file->option, "ServerKeyFile") == 0 ? "go=" : "go-w", file->path);
		return true;
	}
	return false;
}

static bool
has_word_false(const char *text)
{
	return *text && strchr("fFnN0", *text);
}

static bool
is_unsure(const struct look *look, struct say *say)
{
	if (!has_word_false(option(look, "SuperSafe")))
		return false;
	say_option(look, say, "SuperSafe");
	buf_add_text(&say->mend, "define(`confSAFE_QUEUE', `True')dnl");
	return true;
}

static bool
strips_bits(const struct look *look, struct say *say)
{
	if (!*option(look, "SevenBitInput") || has_word_false(option(look, "SevenBitInput")))
		return false;
	say_option(look, say, "SevenBitInput");
	buf_add_text(&say->mend, "define(`confSEVEN_BIT_INPUT', `False')dnl");
	return true;
}

static bool
looks_away(const struct look *look, struct say *say)
{
	const char *blame = option(look, "DontBlameSendmail");

	if (!*blame || strcasecmp(blame, "safe") == 0)
		return false;
	say_option(look, say, "DontBlameSendmail");
	buf_add_text(&say->mend, "define(`confDONT_BLAME_SENDMAIL', `safe')dnl, and chmod go-w what it then complains about");
	return true;
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
	{ "release-open", SEVERITY_REFUSE, OVER_DAEMON, "whoever reaches it puts mail past the filter, under any name", release_is_open },
	{ "release-judged", SEVERITY_REFUSE, OVER_DAEMON,
	  "what a reviewer releases is judged once more, as a stranger's mail, and refused or held again", release_is_judged },
	{ "service-role", SEVERITY_REFUSE, OVER_DAEMON,
	  "no server on the Internet can log in here, so all mail from outside is refused", asks_servers_for_logins },
	{ "service-local-role", SEVERITY_REFUSE, OVER_DAEMON,
	  "role local believes the envelope sender, which an SMTP client chooses freely", has_local_role },
	{ "service-no-login", SEVERITY_REFUSE, OVER_DAEMON,
	  "Sendmail itself asks nobody for a login here, so that nothing but the filter stands between this port and the Internet",
	  wants_no_login },
	{ "service-no-tls", SEVERITY_WARN, OVER_DAEMON, "STARTTLS is not offered there, and without it nothing is sealed", offers_no_tls },
	{ "filter-unknown", SEVERITY_REFUSE, OVER_DAEMON, "a filter that no X line defines looks at no mail", is_unknown_filter },
	{ "filter-tcp", SEVERITY_REFUSE, OVER_DAEMON,
	  "whoever reaches a TCP port of the filter may claim any login and have mail sealed; Segel listens on UNIX sockets only", is_tcp },
	{ "filter-order", SEVERITY_WARN, OVER_DAEMON,
	  "what is signed before the seal (DKIM) does not hold for the sealed message", is_behind },
	{ "default-action", SEVERITY_REFUSE, OVER_FILTER,
	  "only F=T lets clients keep their mail and try again (451) while the filter is away, hangs or dies in the middle of an edit",
	  lets_pass },
	{ "filter-drops", SEVERITY_WARN, OVER_FILTER,
	  "nothing passes, but a mail program shows its user a broken connection in place of \"please try again later\"",
	  drops_connections },
	{ "content-timeout", SEVERITY_WARN, OVER_FILTER,
	  "Sendmail gives up before the filter does, and defers mail that would have been sealed a moment later", is_short },
	{ "filter-open", SEVERITY_REFUSE, OVER_FILTER,
	  "whoever opens the filter's socket may claim any login and have mail sealed", is_open },
	{ "filter-unsafe", SEVERITY_REFUSE, OVER_FILTER,
	  "who may change a folder on the way could put another socket there; Sendmail does not start with such a filter", is_unsafe },
	{ "filter-unseen", SEVERITY_WARN, OVER_FILTER, "what was not looked at is not known to be closed", is_unseen },
	{ "filter-silent", SEVERITY_WARN, OVER_FILTER, "all mail of its services is deferred until the filter runs", is_silent },
	{ "bare-newline", SEVERITY_REFUSE, OVER_FILE,
	  "a second message smuggled behind a bare newline would count as sent by the same user, with TLS and login", takes_bare_newlines },
	{ "nul", SEVERITY_WARN, OVER_FILE, "a NUL in a message ends it for some readers and not for others", takes_nul },
	{ "message-size", SEVERITY_REFUSE, OVER_FILE,
	  "a message that the filter takes would be too large for Sendmail once it is sealed", is_small },
	{ "tls-off", SEVERITY_WARN, OVER_FILE,
	  "without all four of them STARTTLS is not offered: nobody can log in, and official mail is refused", has_no_tls },
	{ "tls-file", SEVERITY_WARN, OVER_FILE,
	  "with a file that is not there, or that others may read or change, STARTTLS is not offered: nobody can log in", has_no_tls_file },
	{ "tls-login-clear", SEVERITY_REFUSE, OVER_FILE,
	  "passwords can be read on the way, and with one of them mail is sealed", logs_in_in_clear },
	{ "tls-anonymous", SEVERITY_WARN, OVER_FILE,
	  "with anonymous ciphers anybody between client and server takes the server's place", takes_anonymous_ciphers },
	{ "sasl-anonymous", SEVERITY_REFUSE, OVER_FILE, "an anonymous login counts as a login", takes_anonymous_logins },
	{ "privacy", SEVERITY_WARN, OVER_FILE,
	  "EXPN and VRFY tell strangers which addresses exist, and without authwarnings forged senders leave no trace", is_talkative },
	{ "helo", SEVERITY_WARN, OVER_FILE, "clients that do not even greet are no mail servers, and the records lack their name", wants_no_helo },
	{ "safe-queue", SEVERITY_WARN, OVER_FILE,
	  "a message that was taken with 250 is lost when the machine stops before it is delivered", is_unsure },
	{ "seven-bits", SEVERITY_WARN, OVER_FILE,
	  "the eighth bit is cut off before the filter sees a message: names and texts that are not ASCII are sealed in pieces", strips_bits },
	{ "looks-away", SEVERITY_WARN, OVER_FILE,
	  "Sendmail's own checks of files and folders are switched off, so keys and sockets that others may change are used", looks_away },
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
