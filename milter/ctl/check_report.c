/* What `segelctl check mta` found, for people and as JSON. */
#include "milter/ctl/check.h"

#include <jansson.h>
#include <string.h>

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
	if (report->postfix)
		print_services(ctl, report->postfix);
	visits_print(ctl, report);
	print_findings(ctl, &report->findings, SEVERITY_REFUSE);
	print_findings(ctl, &report->findings, SEVERITY_WARN);
	fprintf(ctl->out, "%s%zu to refuse, %zu to warn of\n", report->findings.n ? "\n" : "",
	    findings_count(&report->findings, SEVERITY_REFUSE), findings_count(&report->findings, SEVERITY_WARN));
}

json_t *
report_json_text(const char *text)
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
		json_object_set_new(object, "service", report_json_text(service->key));
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
	json_object_set_new(object, "where", report_json_text(finding->where));
	json_object_set_new(object, "found", report_json_text(finding->what));
	json_object_set_new(object, "why", report_json_text(finding->why));
	json_object_set_new(object, "mend", report_json_text(finding->mend));
	return object;
}

static void
print_json(struct ctl *ctl, const struct report *report)
{
	json_t *object = json_object(), *findings = json_array();

	for (size_t i = 0; i < report->findings.n; i++)
		json_array_append_new(findings, json_finding(&report->findings.at[i]));
	json_object_set_new(object, "services", json_services(report->postfix));
	json_object_set_new(object, "live", visits_json(report));
	json_object_set_new(object, "findings", findings);
	json_object_set_new(object, "refuse", json_integer((json_int_t)findings_count(&report->findings, SEVERITY_REFUSE)));
	json_object_set_new(object, "warn", json_integer((json_int_t)findings_count(&report->findings, SEVERITY_WARN)));
	json_dumpf(object, ctl->out, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	fputc('\n', ctl->out);
	json_decref(object);
}

void
report_print(struct ctl *ctl, const struct report *report)
{
	if (ctl->json)
		print_json(ctl, report);
	else
		print_text(ctl, report);
}

void
report_done(struct report *report)
{
	for (size_t i = 0; report->visits && i < report->places.n; i++)
		visit_done(&report->visits[i]);
	xfree(report->visits);
	xfree(report->own_domain);
	visit_places_done(&report->places);
	findings_done(&report->findings);
	*report = (struct report){ 0 };
}
