#include "milter/preflight/judge.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TEXT_BYTES = 8192 };

const struct rule *const rule_tables[] = { service_rules, filter_rules, egress_rules, split_rules, tls_rules, mail_rules, NULL };

/* --- values --- */

bool
is_no(const char *value)
{
	return strcasecmp(value, "no") == 0;
}

bool
is_yes(const char *value)
{
	return text_is_yes(value);
}

bool
is_set(const char *value)
{
	return *value != '\0';
}

bool
is_empty(const char *value)
{
	return *value == '\0';
}

bool
is_zero(const char *value)
{
	return strcmp(value, "0") == 0;
}

/* --- saying --- */

static const struct value *
look_value(const struct look *look, const char *parameter)
{
	return values_find(look->service ? look->service->values : &look->mta->main, parameter);
}

const char *
look_text(const struct look *look, const char *parameter)
{
	const struct value *value = look_value(look, parameter);

	return value ? value->text : "";
}

static const char *
origin_word(enum origin origin)
{
	switch (origin) {
	case ORIGIN_DEFAULT:
		return "default";
	case ORIGIN_MAIN:
		return "main.cf";
	case ORIGIN_OVERRIDE:
		return "master.cf";
	case ORIGIN_UNKNOWN:
		break;
	}
	return "unknown";
}

void
say_value(const struct look *look, struct say *say, const char *parameter)
{
	const struct value *value = look_value(look, parameter);

	if (value)
		buf_printf(&say->what, "%s = %s (%s)", parameter, *value->text ? value->text : "(empty)", origin_word(value->origin));
	else
		buf_printf(&say->what, "%s is unknown to this Postfix", parameter);
}

/* A folder that is not the usual one must be named. */
static void
add_folder(const struct look *look, struct buf *mend)
{
	if (strcmp(look->mta->folder, POSTFIX_FOLDER) != 0)
		buf_printf(mend, " -c '%s'", look->mta->folder);
}

/* postconf -P takes no blanks in a value; between words of a list a comma is as good. */
static void
add_without_blanks(struct buf *mend, const char *text)
{
	const char *before = "";

	for (; *text; text++) {
		const size_t blanks = strspn(text, " \t");

		if (blanks == 0) {
			buf_add(mend, text, 1);
			before = text;
			continue;
		}
		text += blanks - 1;
		if (*before && !strchr(",{", *before) && text[1] && !strchr(",}", text[1]))
			buf_add_text(mend, ",");
	}
}

static void
mend_as(const struct look *look, struct say *say, bool service, const char *parameter, const char *text)
{
	buf_add_text(&say->mend, "postconf");
	add_folder(look, &say->mend);
	if (!service) {
		buf_printf(&say->mend, " -e '%s=%s'", parameter, text);
		return;
	}
	buf_printf(&say->mend, " -P '%s/%s=", look->service->key, parameter);
	add_without_blanks(&say->mend, text);
	buf_add_text(&say->mend, "'");
}

void
mend_with(const struct look *look, struct say *say, const char *parameter, const char *fmt, ...)
{
	const struct value *value = look_value(look, parameter);
	char text[TEXT_BYTES];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	mend_as(look, say, value && value->origin == ORIGIN_OVERRIDE, parameter, text);
}

void
mend_service(const struct look *look, struct say *say, const char *parameter, const char *fmt, ...)
{
	char text[TEXT_BYTES];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	mend_as(look, say, look->service != NULL, parameter, text);
}

char *
endpoint_for(const struct look *look, enum role role)
{
	const char *socket = role_settings(role_of(role), look->config)->socket, *queue = look->mta->queue_folder;
	const size_t len = strlen(queue);

	if (strncmp(socket, queue, len) == 0 && socket[len] == '/')
		return xasprintf("unix:%s", socket + len + 1);
	return xasprintf("unix:%s", socket);
}

/* --- walking --- */

static bool
is_over(enum over over, const struct service *service)
{
	const bool smtpd = service->program == PROGRAM_SMTPD;

	switch (over) {
	case OVER_SMTPD:
		return smtpd;
	case OVER_INTERNET:
		return smtpd && !service->loopback;
	case OVER_OURS:
		return smtpd && service_has_ours(service);
	case OVER_LOGIN:
		return smtpd && text_is_yes(service_text(service, "smtpd_sasl_auth_enable"));
	case OVER_CLIENT:
		return service->program == PROGRAM_SMTP;
	case OVER_MILTER:
		return service->n_milters > 0;
	case OVER_CLEANUP:
		return service->program == PROGRAM_CLEANUP;
	case OVER_PICKUP:
		return service->program == PROGRAM_PICKUP;
	case OVER_MAIN:
	case OVER_MACHINE:
	case OVER_UNKNOWN:
		break;
	}
	return false;
}

static bool
found_value(const struct rule *rule, const struct look *look, struct say *say)
{
	const struct value *value = look_value(look, rule->parameter);

	if (!value || !rule->bad(value->text))
		return false;
	say_value(look, say, rule->parameter);
	mend_with(look, say, rule->parameter, "%s", rule->good);
	return true;
}

static void
add_finding(const struct rule *rule, const struct look *look, const struct say *say, struct findings *ret)
{
	AUTO(xfree) char *where = xstrdup(look->service ? look->service->key : rule->over == OVER_MACHINE ? "this machine" : "main.cf");
	AUTO(xfree) char *what = xstrdup(buf_text(&say->what));
	AUTO(xfree) char *mend = xstrdup(buf_text(&say->mend));
	const struct finding finding = {
		.id = rule->id, .severity = rule->severity, .why = rule->why, .where = where, .what = what, .mend = mend,
	};

	findings_add(ret, &finding);
}

static void
judge_one(const struct rule *rule, const struct look *look, struct findings *ret)
{
	struct say say = { 0 };

	buf_init(&say.what, TEXT_BYTES);
	buf_init(&say.mend, TEXT_BYTES);
	if (rule->found ? rule->found(look, &say) : found_value(rule, look, &say))
		add_finding(rule, look, &say, ret);
	buf_done(&say.what);
	buf_done(&say.mend);
}

static void
judge_milters(const struct rule *rule, struct look *look, struct findings *ret)
{
	for (size_t i = 0; i < look->service->n_milters; i++) {
		look->milter = &look->service->milters[i];
		if (look->milter->role)
			judge_one(rule, look, ret);
	}
	look->milter = NULL;
}

static void
judge_services(const struct rule *rule, struct look *look, struct findings *ret)
{
	for (size_t i = 0; i < look->mta->n_services; i++) {
		look->service = &look->mta->services[i];
		if (!is_over(rule->over, look->service))
			continue;
		if (rule->over == OVER_MILTER)
			judge_milters(rule, look, ret);
		else
			judge_one(rule, look, ret);
	}
	look->service = NULL;
}

void
postfix_judge(const struct postfix *mta, const struct config *config, long sessions, struct findings *ret)
{
	struct look look = { .mta = mta, .config = config, .sessions = sessions };

	for (size_t i = 0; rule_tables[i]; i++) {
		for (const struct rule *rule = rule_tables[i]; rule->id; rule++) {
			if (rule->over == OVER_MAIN || rule->over == OVER_MACHINE)
				judge_one(rule, &look, ret);
			else
				judge_services(rule, &look, ret);
		}
	}
}
