/* segelctl check: is the mail server set up so that nothing passes us? Reads and asks, changes nothing. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "milter/ctl/check.h"
#include "milter/ctl/nouns.h"

enum { PROBLEM_BYTES = 64 * 1024, USUAL_SESSIONS = 100, MOST_SESSIONS = 100000 };

/* --- settings --- */

/* Without -c and without the usual file the defaults hold. */
static enum ctl_exit
settings_of(struct ctl *ctl, struct config **ret)
{
	AUTO_BUF struct buf problems = { 0 };
	const char *file = ctl->config_file ? ctl->config_file : CONFIG_FILE;

	if (!ctl->config_file && access(file, F_OK) == -1 && errno == ENOENT)
		file = "/dev/null";
	buf_init(&problems, PROBLEM_BYTES);
	if (config_load(file, ret, &problems) == 0)
		return CTL_OK;
	fputs(buf_text(&problems), ctl->err);
	return ctl_fail(ctl, CTL_UNAVAILABLE, "the settings cannot be read, so the sockets and limits are not known");
}

static enum ctl_exit
sessions_of(struct ctl *ctl, long *ret)
{
	const char *text = ctl_option(ctl, "sessions");
	long long number = USUAL_SESSIONS;

	if (text && (!text_number(text, &number) || number < 1 || number > MOST_SESSIONS))
		return ctl_fail(ctl, CTL_USAGE, "--sessions '%s': wanted a number from 1 to %d", text, (int)MOST_SESSIONS);
	*ret = (long)number;
	return CTL_OK;
}

/* --- the verb --- */

static enum ctl_exit
report_it(struct ctl *ctl, const struct config *config, struct report *report)
{
	const enum ctl_exit code = check_visit(ctl, config, report);

	if (code != CTL_OK)
		return code;
	report_print(ctl, report);
	return findings_count(&report->findings, SEVERITY_REFUSE) ? CTL_FALSE : CTL_OK;
}

static enum ctl_exit
check_postfix(struct ctl *ctl, const struct config *config, struct report *report)
{
	const char *folder = ctl_option(ctl, "postfix"), *postconf = ctl_option(ctl, "postconf");
	AUTO_POSTFIX struct postfix mta = { 0 };
	struct err err = { 0 };

	if (postfix_read(postconf ? postconf : POSTCONF_FILE, folder ? folder : POSTFIX_FOLDER, config, &mta, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	postfix_judge(&mta, config, report->sessions, &report->findings);
	report->postfix = &mta;
	return report_it(ctl, config, report);
}

static enum ctl_exit
check_sendmail(struct ctl *ctl, const struct config *config, struct report *report)
{
	AUTO_SENDMAIL struct sendmail mta = { 0 };
	struct err err = { 0 };

	if (sendmail_read(ctl_option(ctl, "sendmail"), config, &mta, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	sendmail_judge(&mta, config, &report->findings);
	report->sendmail = &mta;
	return report_it(ctl, config, report);
}

static enum ctl_exit
check_words(struct ctl *ctl, struct report *report)
{
	enum ctl_exit code = sessions_of(ctl, &report->sessions);

	if (code == CTL_OK && ctl_option(ctl, "sendmail") && ctl_option(ctl, "postfix"))
		code = ctl_fail(ctl, CTL_USAGE, "--postfix and --sendmail: one of them at a time");
	return code == CTL_OK ? check_visit_words(ctl) : code;
}

static enum ctl_exit
check_mta(struct ctl *ctl)
{
	AUTO(config_free) struct config *config = NULL;
	struct report report = { 0 };
	enum ctl_exit code = check_words(ctl, &report);

	if (code == CTL_OK)
		code = settings_of(ctl, &config);
	if (code == CTL_OK)
		code = ctl_option(ctl, "sendmail") ? check_sendmail(ctl, config, &report) : check_postfix(ctl, config, &report);
	report_done(&report);
	return code;
}

static const struct ctl_option options[] = {
	{ .name = "postfix", .meta = "FOLDER", .help = "Postfix's main.cf and master.cf there (usual: /etc/postfix)" },
	{ .name = "sendmail", .meta = "FILE", .help = "a sendmail.cf instead of Postfix" },
	{ .name = "postconf", .meta = "FILE", .help = "the postconf program to ask (usual: /usr/sbin/postconf)" },
	{ .name = "live", .help = "connect to the listeners, too, and show what a client without TLS or without a login gets" },
	{ .name = "at", .meta = "HOST:PORT", .help = "with --live: connect to these listeners instead of those of the configuration", .many = true },
	{ .name = "probe", .meta = "ADDRESS",
	  .help = "with --live: send three test messages to this mailbox of your own, to see whether bare newlines end a message" },
	{ .name = "sessions", .meta = "NUMBER", .help = "sessions at a time that are planned for (usual: 100)" },
	{ .name = NULL },
};

const struct ctl_command ctl_check_commands[] = {
	{ "mta", CTL_READS, { NULL }, options,
	  "is the mail server set up so that nothing passes the filter? Names what is wrong, and the command that mends it", check_mta },
	{ .run = NULL },
};
