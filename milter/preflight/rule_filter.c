/* How Postfix asks our filters: what it does without an answer, in which order, over which socket. */
#include <string.h>
#include <strings.h>

#include "milter/preflight/judge.h"

enum { LIST_BYTES = 8192 };

static const char *
list_parameter(const struct look *look)
{
	return look->service->program == PROGRAM_CLEANUP ? "non_smtpd_milters" : "smtpd_milters";
}

/* { unix:segel/milter.sock, default_action=tempfail }, with one of its values changed. */
static void
add_entry(struct buf *list, const struct milter *milter, const char *name, const char *value)
{
	if (milter->own.n == 0) {
		buf_add_text(list, milter->endpoint);
		return;
	}
	buf_printf(list, "{ %s", milter->endpoint);
	for (size_t i = 0; i < milter->own.n; i++)
		buf_printf(list, ", %s=%s", milter->own.at[i].name, strcmp(milter->own.at[i].name, name) == 0 ? value : milter->own.at[i].text);
	buf_add_text(list, " }");
}

/* The list as it is, with one value of this filter's block changed. */
static void
mend_block(const struct look *look, struct say *say, const char *name, const char *value)
{
	AUTO_BUF struct buf list = { 0 };

	buf_init(&list, LIST_BYTES);
	for (size_t i = 0; i < look->service->n_milters; i++) {
		const struct milter *milter = &look->service->milters[i];

		buf_add_text(&list, i > 0 ? ", " : "");
		add_entry(&list, milter, milter == look->milter ? name : "", value);
	}
	mend_with(look, say, list_parameter(look), "%s", buf_text(&list));
}

/* A value of the filter's block, else the parameter's. */
static void
say_and_mend(const struct look *look, struct say *say, const char *own, const char *parameter, const char *value)
{
	buf_printf(&say->what, "%s of %s: ", own, look->milter->endpoint);
	if (values_find(&look->milter->own, own)) {
		buf_printf(&say->what, "%s (in %s)", values_text(&look->milter->own, own), list_parameter(look));
		mend_block(look, say, own, value);
		return;
	}
	say_value(look, say, parameter);
	mend_with(look, say, parameter, "%s", value);
}

static bool
lets_pass(const struct look *look, struct say *say)
{
	if (strcasecmp(milter_text(look->service, look->milter, "default_action", "milter_default_action"), "tempfail") == 0)
		return false;
	say_and_mend(look, say, "default_action", "milter_default_action", "tempfail");
	return true;
}

static bool
is_old_protocol(const struct look *look, struct say *say)
{
	long long number;

	if (text_number(milter_text(look->service, look->milter, "protocol", "milter_protocol"), &number) && number >= 6)
		return false;
	say_and_mend(look, say, "protocol", "milter_protocol", "6");
	return true;
}

static bool
is_shorter(const struct look *look, struct say *say, const char *own, const char *parameter, long wanted)
{
	AUTO(xfree) char *good = xasprintf("%lds", wanted);
	long seconds;

	if (text_seconds(milter_text(look->service, look->milter, own, parameter), &seconds) && seconds >= wanted)
		return false;
	say_and_mend(look, say, own, parameter, good);
	return true;
}

static long
seconds_of(long ms)
{
	return (ms + 999) / 1000;
}

/* Registry before and after, and a signature. */
static bool
content_is_short(const struct look *look, struct say *say)
{
	const long wanted = 2 * seconds_of(look->config->registry.timeout) + seconds_of(look->config->keyd.timeout) + 10;

	return is_shorter(look, say, "content_timeout", "milter_content_timeout", wanted);
}

static bool
command_is_short(const struct look *look, struct say *say)
{
	return is_shorter(look, say, "command_timeout", "milter_command_timeout", seconds_of(look->config->registry.timeout) + 5);
}

/* What signs for a whole domain, by the names and ports that it usually has. */
static const char *
signer_name(const char *endpoint)
{
	static const struct {
		const char *part, *name;
	} signers[] = {
		{ "opendkim", "OpenDKIM" }, { ":8891", "OpenDKIM" }, { "rspamd", "rspamd" }, { ":11332", "rspamd" },
		{ "dkim", "a DKIM signer" }, { "amavis", "amavis" }, { ":12301", "OpenDKIM" }, { ":9982", "rspamd" },
	};

	for (size_t i = 0; i < N_ELEMENTS(signers); i++)
		if (strcasestr(endpoint, signers[i].part))
			return signers[i].name;
	return "another filter";
}

/* Role inbound adds a field only, role egress nothing. */
static bool
changes_what_is_signed(const struct milter *milter)
{
	return milter->role->role != ROLE_INBOUND && milter->role->role != ROLE_EGRESS;
}

static bool
is_behind(const struct look *look, struct say *say)
{
	const struct milter *first = look->service->milters;
	AUTO_BUF struct buf list = { 0 };

	if (look->milter == first || !changes_what_is_signed(look->milter) || look->service->program != PROGRAM_SMTPD)
		return false;
	buf_init(&list, LIST_BYTES);
	buf_printf(&say->what, "%s comes behind %s (%s)", look->milter->endpoint, first->endpoint, signer_name(first->endpoint));
	add_entry(&list, look->milter, "", "");
	for (size_t i = 0; i < look->service->n_milters; i++) {
		if (&look->service->milters[i] == look->milter)
			continue;
		buf_add_text(&list, ", ");
		add_entry(&list, &look->service->milters[i], "", "");
	}
	mend_with(look, say, "smtpd_milters", "%s", buf_text(&list));
	return true;
}

/* It gives what it opened to whoever comes behind it. */
static bool
opens_before_another(const struct look *look, struct say *say)
{
	const struct milter *last = &look->service->milters[look->service->n_milters - 1];
	AUTO_BUF struct buf list = { 0 };

	if (!look->config->decrypt.use || look->milter->role->role != ROLE_INBOUND || look->milter == last)
		return false;
	buf_init(&list, LIST_BYTES);
	buf_printf(&say->what, "%s decrypts (decrypt.use), and behind it comes %s (%s)", look->milter->endpoint, last->endpoint,
	    signer_name(last->endpoint));
	for (size_t i = 0; i < look->service->n_milters; i++) {
		if (&look->service->milters[i] == look->milter)
			continue;
		add_entry(&list, &look->service->milters[i], "", "");
		buf_add_text(&list, ", ");
	}
	add_entry(&list, look->milter, "", "");
	mend_with(look, say, "smtpd_milters", "%s", buf_text(&list));
	return true;
}

/* A service of ours whose only filters come over TCP: perhaps Segel is meant. */
static bool
is_tcp(const struct look *look, struct say *say)
{
	AUTO(xfree) char *endpoint = endpoint_for(look, ROLE_SUBMISSION);

	for (size_t i = 0; i < look->service->n_milters; i++) {
		const struct milter *milter = &look->service->milters[i];

		if (milter->path || service_has_ours(look->service) || strcmp(signer_name(milter->endpoint), "another filter") != 0)
			continue;
		buf_printf(&say->what, "asks %s, over TCP, for mail of logged-in users", milter->endpoint);
		mend_service(look, say, "smtpd_milters", "%s", endpoint);
		return true;
	}
	return false;
}

static bool
is_astray(const struct look *look, struct say *say)
{
	AUTO(xfree) char *right = xasprintf("%s/segel/milter.sock", look->mta->queue_folder);

	if (!look->milter->astray)
		return false;
	buf_printf(&say->what, "runs chrooted, so %s means '%s', where no filter listens", look->milter->endpoint, look->milter->path);
	buf_printf(&say->mend, "let %s.socket in %s be in '%s', for example '%s', and name it here from there: unix:segel/milter.sock",
	    look->milter->role->name, look->config->file, look->mta->queue_folder, right);
	return true;
}

/* --- the socket --- */

static bool
is_open(const struct look *look, struct say *say)
{
	const struct milter *milter = look->milter;
	const char *slash;

	if (milter->astray || milter->socket.open != ANSWER_YES || !milter->socket.open_by)
		return false;
	slash = strrchr(milter->path, '/');
	buf_printf(&say->what, "the socket '%s' can be reached by other users: %s", milter->path, milter->socket.open_by);
	buf_printf(&say->mend, "chmod o= '%.*s'", (int)(slash - milter->path), milter->path);
	return true;
}

static bool
is_unseen(const struct look *look, struct say *say)
{
	const struct milter *milter = look->milter;

	if (milter->astray || !milter->socket.trouble)
		return false;
	buf_printf(&say->what, "who may reach the socket could not be found out: %s", milter->socket.trouble);
	buf_add_text(&say->mend, "run this command as root");
	return true;
}

static bool
is_silent(const struct look *look, struct say *say)
{
	const struct milter *milter = look->milter;

	if (milter->astray || (milter->socket.there != ANSWER_NO && milter->socket.answers != ANSWER_NO))
		return false;
	buf_printf(&say->what, "nobody answers on '%s' (%s)", milter->path, milter->socket.there == ANSWER_NO ? "there is no such socket" :
	    "no program listens");
	buf_printf(&say->mend, "systemctl start segel-milter@%s", milter->role->name);
	return true;
}

static bool
is_closed(const struct look *look, struct say *say)
{
	const struct milter *milter = look->milter;

	if (milter->astray || milter->socket.enterable != ANSWER_NO)
		return false;
	buf_printf(&say->what, "user '%s' of Postfix cannot reach the socket '%s'", look->mta->owner.name, milter->path);
	buf_printf(&say->mend, "let %s.socket_group in %s be a group of '%s', give its folder to that group (chgrp), and restart the filter",
	    milter->role->name, look->config->file, look->mta->owner.name);
	return true;
}

/* --- mail that comes without SMTP --- */

/* What the sendmail command brings goes through the cleanup service that pickup names. */
static bool
is_for_pickup(const struct look *look)
{
	const struct service *pickup = postfix_service(look->mta, PROGRAM_PICKUP);

	return pickup && strcmp(service_text(pickup, "cleanup_service_name"), look->service->name) == 0;
}

static bool
pickup_is_unfiltered(const struct look *look, struct say *say)
{
	AUTO(xfree) char *endpoint = endpoint_for(look, ROLE_LOCAL);

	if (!is_for_pickup(look) || service_has_ours(look->service))
		return false;
	buf_add_text(&say->what, "mail of the sendmail command, cron and web applications is seen by no filter of Segel: ");
	say_value(look, say, "non_smtpd_milters");
	mend_with(look, say, "non_smtpd_milters", "%s", endpoint);
	return true;
}

static bool
pickup_has_wrong_role(const struct look *look, struct say *say)
{
	AUTO(xfree) char *endpoint = endpoint_for(look, ROLE_LOCAL);

	if (!service_milter(look->service, ROLE_SUBMISSION) && !service_milter(look->service, ROLE_INBOUND)
	    && !service_milter(look->service, ROLE_EGRESS))
		return false;
	buf_add_text(&say->what, "names the socket of a role that is for SMTP: ");
	say_value(look, say, "non_smtpd_milters");
	mend_with(look, say, "non_smtpd_milters", "%s", endpoint);
	return true;
}

static bool
pickup_is_switched_off(const struct look *look, struct say *say)
{
	if (!text_has_word(look_text(look, "receive_override_options"), "no_milters"))
		return false;
	buf_add_text(&say->what, "mail of the sendmail command is seen by no filter: ");
	say_value(look, say, "receive_override_options");
	mend_with(look, say, "receive_override_options", "%s", "");
	return true;
}

static bool
smtpd_has_local_role(const struct look *look, struct say *say)
{
	AUTO(xfree) char *endpoint = endpoint_for(look, ROLE_INBOUND);

	if (!service_milter(look->service, ROLE_LOCAL))
		return false;
	buf_add_text(&say->what, "names the socket of role local, which is for mail without SMTP: ");
	say_value(look, say, "smtpd_milters");
	mend_with(look, say, "smtpd_milters", "%s", endpoint);
	return true;
}

/* Role local believes the envelope sender, because this map says who may claim which. */
static bool
senders_are_free(const struct look *look, struct say *say)
{
	const char *maps = look_text(look, "local_login_sender_maps");

	if (look->config->local.senders.n == 0 || (*maps && strncmp(maps, "static:", 7) != 0))
		return false;
	buf_printf(&say->what, "local.senders has %zu rows in %s, but ", look->config->local.senders.n, look->config->file);
	say_value(look, say, "local_login_sender_maps");
	buf_printf(&say->mend, "segelctl -c '%s' local sender-map >'%s/segel-senders' && ", look->config->file, look->mta->folder);
	mend_with(look, say, "local_login_sender_maps", "regexp:%s/segel-senders", look->mta->folder);
	return true;
}

/* An address that says of itself that it is another's with an extension: the map compares without extensions (postconf(5)). */
static bool
listed_has_extension(const struct look *look, struct say *say)
{
	const char *delimiters = look_text(look, "recipient_delimiter");
	const struct local_sender_setting *rows = look->config->local.senders.rows;

	for (size_t i = 0; i < look->config->local.senders.n; i++)
		for (size_t j = 0; j < rows[i].from.n; j++) {
			const char *address = rows[i].from.at[j];

			if (!*delimiters || strcspn(address, delimiters) >= strcspn(address, "@"))
				continue;
			buf_printf(&say->what, "local.senders lists '%s', and ", address);
			say_value(look, say, "recipient_delimiter");
			buf_printf(&say->mend, "list an address without any of these characters in %s", look->config->file);
			return true;
		}
	return false;
}

/* --- the filter's own settings --- */

static bool
only_pretends(const struct look *look, struct say *say)
{
	if (!look->config->pretend)
		return false;
	buf_printf(&say->what, "pretend = true (%s)", look->config->file);
	buf_printf(&say->mend, "pretend = false; in %s, then systemctl reload 'segel-milter@*'", look->config->file);
	return true;
}

static bool
has_few_processes(const struct look *look, struct say *say)
{
	const bool own = strcmp(look->service->limit, "-") != 0;
	const char *text = own ? look->service->limit : look_text(look, "default_process_limit");
	long long limit;

	if (text_number(text, &limit) && (limit == 0 || limit >= look->sessions))
		return false;
	if (own)
		buf_printf(&say->what, "at most %s processes (master.cf)", text);
	else
		say_value(look, say, "default_process_limit");
	buf_printf(&say->what, "; planned are %ld sessions at a time (--sessions)", look->sessions);
	if (!own) {
		mend_with(look, say, "default_process_limit", "%ld", look->sessions);
		return true;
	}
	buf_printf(&say->mend, "postconf -c '%s' -F '%s/process_limit=%ld'", look->mta->folder, look->service->key, look->sessions);
	return true;
}

const struct rule filter_rules[] = {
	{ "default-action", SEVERITY_REFUSE, OVER_MILTER,
	  "when the filter is not there or dies, Postfix would queue the message as it is at that moment: unsealed, or half edited",
	  .found = lets_pass },
	{ "milter-protocol", SEVERITY_WARN, OVER_MILTER,
	  "with an older protocol the filter does not see header lines as they are, and seals other bytes than those delivered",
	  .found = is_old_protocol },
	{ "content-timeout", SEVERITY_WARN, OVER_MILTER,
	  "Postfix gives up before the filter does, and defers mail that would have been sealed a moment later", .found = content_is_short },
	{ "command-timeout", SEVERITY_WARN, OVER_MILTER,
	  "Postfix gives up while the filter still waits for the registry", .found = command_is_short },
	{ "filter-order", SEVERITY_WARN, OVER_MILTER,
	  "what is signed before the seal (DKIM) does not hold for the sealed message", .found = is_behind },
	{ "decrypt-order", SEVERITY_WARN, OVER_MILTER,
	  "a filter behind it sees mail that was opened, and finds that its DKIM signature does not hold: good mail is refused by DMARC",
	  .found = opens_before_another },
	{ "filter-tcp", SEVERITY_REFUSE, OVER_LOGIN,
	  "whoever reaches a TCP port of the filter may claim any login and have mail sealed; Segel listens on UNIX sockets only",
	  .found = is_tcp },
	{ "filter-astray", SEVERITY_WARN, OVER_MILTER, "all mail of this service is deferred", .found = is_astray },
	{ "filter-open", SEVERITY_REFUSE, OVER_MILTER,
	  "whoever opens the filter's socket may claim any login and have mail sealed", .found = is_open },
	{ "filter-unseen", SEVERITY_WARN, OVER_MILTER, "what was not looked at is not known to be closed", .found = is_unseen },
	{ "filter-silent", SEVERITY_WARN, OVER_MILTER, "all mail of this service is deferred until the filter runs", .found = is_silent },
	{ "filter-closed", SEVERITY_WARN, OVER_MILTER, "all mail of this service is deferred until Postfix may enter", .found = is_closed },
	{ "pickup-unfiltered", SEVERITY_REFUSE, OVER_CLEANUP,
	  "a program on this machine could send unsealed mail under official addresses with the sendmail command",
	  .found = pickup_is_unfiltered },
	{ "pickup-role", SEVERITY_REFUSE, OVER_CLEANUP,
	  "mail without SMTP has neither TLS nor a login; refused at its beginning it stays in the maildrop for ever, "
	  "and the submission socket is for logins only", .found = pickup_has_wrong_role },
	{ "pickup-switched-off", SEVERITY_REFUSE, OVER_PICKUP,
	  "a program on this machine could send unsealed mail under official addresses with the sendmail command",
	  .found = pickup_is_switched_off },
	{ "smtpd-local-role", SEVERITY_REFUSE, OVER_OURS,
	  "role local believes the envelope sender, which an SMTP client chooses freely", .found = smtpd_has_local_role },
	{ "local-extension", SEVERITY_REFUSE, OVER_MAIN,
	  "Postfix lets the login that may claim the address before that character claim this one, too", .found = listed_has_extension },
	{ "local-senders", SEVERITY_REFUSE, OVER_MAIN,
	  "with static:* every user with a shell may claim any envelope sender, and have mail sealed under it", .found = senders_are_free },
	{ "internal-mail", SEVERITY_WARN, OVER_MAIN,
	  "bounces and notices of Postfix itself would be filtered, and one that is refused is lost",
	  .parameter = "internal_mail_filter_classes", .bad = is_set, .good = "" },
	{ "pretend", SEVERITY_WARN, OVER_MAIN, "the filter decides and logs, but changes and refuses nothing", .found = only_pretends },
	{ "processes", SEVERITY_WARN, OVER_OURS, "clients above that number wait or are turned away", .found = has_few_processes },
	{ .id = NULL },
};
