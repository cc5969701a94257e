/* segelctl check: is the mail server set up so that nothing passes us? Reads and asks, changes nothing. */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "milter/ctl/ctl.h"
#include "milter/ctl/nouns.h"
#include "milter/preflight/judge.h"
#include "milter/preflight/sendmail.h"

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

/* --- printing --- */

struct report {
	const struct postfix *mta;
	const struct findings *findings;
};

static const char *
filter_word(const struct service *service)
{
	if (service->off)
		return "switched off";
	for (size_t i = 0; i < service->n_milters; i++)
		if (service->milters[i].role)
			return service->milters[i].role->name;
	return service->n_milters ? "another" : "none";
}

static void
print_services(struct ctl *ctl, const struct postfix *mta)
{
	static const char *const columns[] = { "service", "takes", "login", "filter" };
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(columns, N_ELEMENTS(columns));

	for (size_t i = 0; i < mta->n_services; i++) {
		const struct service *service = &mta->services[i];

		if (service->program != PROGRAM_SMTPD)
			continue;
		ctl_table_row(table, (const struct ctl_cell[]){
		    { .kind = CELL_TEXT, .text = service->key },
		    { .kind = CELL_TEXT, .text = listener_word(listener_of(mta, service)) },
		    { .kind = CELL_BOOL, .number = text_is_yes(service_text(service, "smtpd_sasl_auth_enable")) },
		    { .kind = CELL_TEXT, .text = filter_word(service) },
		});
	}
	ctl_table_print(ctl, table);
}

static void
print_line(struct ctl *ctl, const char *label, const char *text)
{
	fprintf(ctl->out, "  %-6s ", label);
	ctl_print(ctl, text);
	fputc('\n', ctl->out);
}

static void
print_finding(struct ctl *ctl, const struct finding *finding)
{
	fprintf(ctl->out, "\n%s: %s: ", severity_word(finding->severity), finding->id);
	ctl_print(ctl, finding->where);
	fputc('\n', ctl->out);
	print_line(ctl, "found", finding->what);
	print_line(ctl, "why", finding->why);
	print_line(ctl, "mend", finding->mend);
}

static void
print_findings(struct ctl *ctl, const struct findings *findings, enum severity severity)
{
	for (size_t i = 0; i < findings->n; i++)
		if (findings->at[i].severity == severity)
			print_finding(ctl, &findings->at[i]);
}

static void
print_text(struct ctl *ctl, const struct report *report)
{
	if (report->mta)
		print_services(ctl, report->mta);
	print_findings(ctl, report->findings, SEVERITY_REFUSE);
	print_findings(ctl, report->findings, SEVERITY_WARN);
	fprintf(ctl->out, "%s%zu to refuse, %zu to warn of\n", report->findings->n ? "\n" : "",
	    findings_count(report->findings, SEVERITY_REFUSE), findings_count(report->findings, SEVERITY_WARN));
}

/* Bytes that are no UTF-8 cannot be in JSON. */
static json_t *
json_text(const char *text)
{
	AUTO_BUF struct buf escaped = { 0 };

	buf_init(&escaped, 4 * strlen(text) + 1);
	ctl_escape(&escaped, text);
	return json_string(buf_text(&escaped));
}

static json_t *
json_services(const struct postfix *mta)
{
	json_t *array = json_array();

	for (size_t i = 0; mta && i < mta->n_services; i++) {
		const struct service *service = &mta->services[i];
		json_t *object;

		if (service->program != PROGRAM_SMTPD)
			continue;
		object = json_object();
		json_object_set_new(object, "service", json_text(service->key));
		json_object_set_new(object, "takes", json_string(listener_word(listener_of(mta, service))));
		json_object_set_new(object, "login", json_boolean(text_is_yes(service_text(service, "smtpd_sasl_auth_enable"))));
		json_object_set_new(object, "filter", json_string(filter_word(service)));
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *
json_finding(const struct finding *finding)
{
	json_t *object = json_object();

	json_object_set_new(object, "id", json_string(finding->id));
	json_object_set_new(object, "severity", json_string(severity_word(finding->severity)));
	json_object_set_new(object, "where", json_text(finding->where));
	json_object_set_new(object, "found", json_text(finding->what));
	json_object_set_new(object, "why", json_text(finding->why));
	json_object_set_new(object, "mend", json_text(finding->mend));
	return object;
}

static void
print_json(struct ctl *ctl, const struct report *report)
{
	json_t *object = json_object(), *findings = json_array();

	for (size_t i = 0; i < report->findings->n; i++)
		json_array_append_new(findings, json_finding(&report->findings->at[i]));
	json_object_set_new(object, "services", json_services(report->mta));
	json_object_set_new(object, "findings", findings);
	json_object_set_new(object, "refuse", json_integer((json_int_t)findings_count(report->findings, SEVERITY_REFUSE)));
	json_object_set_new(object, "warn", json_integer((json_int_t)findings_count(report->findings, SEVERITY_WARN)));
	json_dumpf(object, ctl->out, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	fputc('\n', ctl->out);
	json_decref(object);
}

static enum ctl_exit
report_it(struct ctl *ctl, const struct report *report)
{
	if (ctl->json)
		print_json(ctl, report);
	else
		print_text(ctl, report);
	return findings_count(report->findings, SEVERITY_REFUSE) ? CTL_FALSE : CTL_OK;
}

/* --- the verb --- */

static enum ctl_exit
check_postfix(struct ctl *ctl, const struct config *config, long sessions)
{
	const char *folder = ctl_option(ctl, "postfix"), *postconf = ctl_option(ctl, "postconf");
	AUTO_FINDINGS struct findings findings = { 0 };
	AUTO_POSTFIX struct postfix mta = { 0 };
	struct err err = { 0 };

	if (postfix_read(postconf ? postconf : POSTCONF_FILE, folder ? folder : POSTFIX_FOLDER, config, &mta, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	postfix_judge(&mta, config, sessions, &findings);
	return report_it(ctl, &(struct report){ &mta, &findings });
}

static enum ctl_exit
check_sendmail(struct ctl *ctl, const struct config *config, const char *file)
{
	AUTO_FINDINGS struct findings findings = { 0 };
	AUTO_SENDMAIL struct sendmail mta = { 0 };
	struct err err = { 0 };

	if (sendmail_read(file, config, &mta, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	sendmail_judge(&mta, config, &findings);
	return report_it(ctl, &(struct report){ .findings = &findings });
}

static enum ctl_exit
check_mta(struct ctl *ctl)
{
	const char *sendmail = ctl_option(ctl, "sendmail");
	AUTO(config_free) struct config *config = NULL;
	long sessions;
	enum ctl_exit code = sessions_of(ctl, &sessions);

	if (code == CTL_OK && sendmail && ctl_option(ctl, "postfix"))
		code = ctl_fail(ctl, CTL_USAGE, "--postfix and --sendmail: one of them at a time");
	if (code == CTL_OK)
		code = settings_of(ctl, &config);
	if (code != CTL_OK)
		return code;
	return sendmail ? check_sendmail(ctl, config, sendmail) : check_postfix(ctl, config, sessions);
}

static const struct ctl_option options[] = {
	{ .name = "postfix", .meta = "FOLDER", .help = "Postfix's main.cf and master.cf there (usual: /etc/postfix)" },
	{ .name = "sendmail", .meta = "FILE", .help = "a sendmail.cf instead of Postfix" },
	{ .name = "postconf", .meta = "FILE", .help = "the postconf program to ask (usual: /usr/sbin/postconf)" },
	{ .name = "sessions", .meta = "NUMBER", .help = "sessions at a time that are planned for (usual: 100)" },
	{ .name = NULL },
};

const struct ctl_command ctl_check_commands[] = {
	{ "mta", CTL_READS, { NULL }, options,
	  "is the mail server set up so that nothing passes the filter? Names what is wrong, and the command that mends it", check_mta },
	{ .run = NULL },
};
