/* segelctl check mta --live: which listeners are asked, and what they said, for people and as JSON. */
#include <jansson.h>
#include <string.h>

#include "milter/ctl/check.h"
#include "milter/preflight/judge_visit.h"
#include "policy/registry/list.h"

enum { REGISTRY_TIMEOUT_MS = 2000 };

/* --- the words --- */

/* A plain address: it stands in an SMTP command. */
static bool
is_mailbox(const char *text)
{
	const char *at = strchr(text, '@');

	if (!at || at == text || !at[1] || strchr(at + 1, '@') || strlen(text) > LIMIT_ADDRESS_BYTES)
		return false;
	for (; *text; text++)
		if (*text <= ' ' || *text >= 0x7f || strchr("<>\"\\(),:;", *text))
			return false;
	return true;
}

enum ctl_exit
check_visit_words(struct ctl *ctl)
{
	const char *at = ctl_option(ctl, "at"), *probe = ctl_option(ctl, "probe");

	if (!ctl_flag(ctl, "live") && (at || probe))
		return ctl_fail(ctl, CTL_USAGE, "--%s: only with --live", at ? "at" : "probe");
	if (probe && !is_mailbox(probe))
		return ctl_fail(ctl, CTL_USAGE, "--probe '%s': wanted the plain address of a mailbox of your own, name@domain", probe);
	return CTL_OK;
}

/* --- asking --- */

static enum ctl_exit
find_places(struct ctl *ctl, struct report *report)
{
	struct err err = { 0 };
	const char *at;

	for (size_t i = 0; (at = ctl_option_nth(ctl, "at", i)); i++)
		if (visit_places_add(at, report->postfix, &report->places, &err) == -1)
			return ctl_fail(ctl, CTL_USAGE, "--at: %s", err.text);
	if (report->places.n == 0 && report->postfix)
		visit_places_of(report->postfix, &report->places);
	if (report->places.n == 0 && report->sendmail)
		visit_places_of_sendmail(report->sendmail, &report->places);
	if (report->places.n == 0)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "the configuration names no listener; name one with --at HOST:PORT");
	return CTL_OK;
}

enum { D_ID, D_NAME, D_KIND };

static void
keep_own(void *ctx, const struct list_cell *cells, size_t n_cells)
{
	char **ret = ctx;

	if (n_cells > D_KIND && !*ret && strcmp(cells[D_KIND].text, "own") == 0)
		*ret = xstrdup(cells[D_NAME].text);
}

/* The first own domain of the registry. Without one, or without a registry, nothing is asked about it. */
static char *
own_domain(const struct ctl *ctl, const struct config *config)
{
	AUTO(registry_close) struct registry *registry = NULL;
	const struct list_filter filter = { .at = ctl->now };
	char *found = NULL;

	if (registry_open(ctl->registry_file ? ctl->registry_file : config->registry.file, REGISTRY_TIMEOUT_MS, &registry, NULL) == -1)
		return NULL;
	(void)!registry_list(registry, LIST_DOMAIN, &filter, keep_own, &found, NULL);
	return found;
}

enum ctl_exit
check_visit(struct ctl *ctl, const struct config *config, struct report *report)
{
	struct visit_options options = { .timeout_ms = VISIT_TIMEOUT_MS, .probe = ctl_option(ctl, "probe"), .now = ctl->now };
	enum ctl_exit code;

	if (!ctl_flag(ctl, "live"))
		return CTL_OK;
	code = find_places(ctl, report);
	if (code != CTL_OK)
		return code;
	report->own_domain = own_domain(ctl, config);
	report->probed = options.probe != NULL;
	options.own_domain = report->own_domain;
	report->visits = xcalloc(report->places.n, sizeof(*report->visits));
	for (size_t i = 0; i < report->places.n; i++) {
		visit_ask(&report->places.at[i], &options, &report->visits[i]);
		visit_judge(&report->visits[i], &report->findings);
	}
	return CTL_OK;
}

/* --- words for what came --- */

static const char *
answer_word(enum visit_answer answer)
{
	switch (answer) {
	case VISIT_NO:
		return "no";
	case VISIT_YES:
		return "yes";
	case VISIT_CANNOT:
		return "cannot be asked with this OpenSSL";
	case VISIT_UNKNOWN:
		break;
	}
	return "unknown";
}

/* "250", "530"; "-" where it was not asked. */
static char *
code_text(const struct visit_reply *reply)
{
	return reply->code ? xasprintf("%d", reply->code) : xstrdup("-");
}

static char *
clear_text(const struct visit *visit)
{
	AUTO(xfree) char *own = code_text(&visit->clear.own_mail);
	AUTO(xfree) char *out = code_text(&visit->clear.out_mail);

	if (!visit->clear.tried)
		return xstrdup("-");
	return xasprintf("own %s, other %s%s", own, out, visit->clear.auth ? ", AUTH" : "");
}

static char *
tls_text(const struct visit *visit)
{
	if (*visit->version)
		return xasprintf("%s %s", visit->version, visit->cipher);
	return xstrdup(visit->tls_trouble ? "fails" : visit->reached ? "not offered" : "-");
}

/* The replies to RCPT for somebody outside: without TLS, with TLS. */
static char *
relay_text_of(const struct visit *visit)
{
	AUTO(xfree) char *clear = code_text(&visit->clear.out_out);
	AUTO(xfree) char *secure = code_text(visit->secure.out_out.code ? &visit->secure.out_out : &visit->secure.out_mail);

	return xasprintf("%s, in TLS %s", clear, secure);
}

static const char *
newline_word(const struct report *report, const struct visit *visit)
{
	bool all = true;

	if (!report->probed)
		return "not tried";
	for (int i = 0; i < VISIT_PROBES; i++) {
		if (visit->probes[i].split == VISIT_YES)
			return "end a message";
		all = all && visit->probes[i].split == VISIT_NO;
	}
	return all ? "end nothing" : "unknown";
}

/* --- for people --- */

static void
add_row(struct ctl_table *table, const struct report *report, size_t i)
{
	const struct visit *visit = &report->visits[i];
	AUTO(xfree) char *where = xasprintf("%s:%s", visit->place->host, visit->place->port);
	AUTO(xfree) char *clear = clear_text(visit);
	AUTO(xfree) char *tls = tls_text(visit);
	AUTO(xfree) char *relay = relay_text_of(visit);

	ctl_table_row(table, (const struct ctl_cell[]){
	    { .kind = CELL_TEXT, .text = where },
	    { .kind = CELL_TEXT, .text = clear },
	    { .kind = CELL_TEXT, .text = tls },
	    { .kind = CELL_TEXT, .text = answer_word(visit->old_tls) },
	    { .kind = CELL_TEXT, .text = relay },
	    { .kind = CELL_TEXT, .text = newline_word(report, visit) },
	});
}

void
visits_print(struct ctl *ctl, const struct report *report)
{
	static const char *const columns[] = { "listener", "MAIL without TLS", "TLS", "TLS 1.1", "RCPT outside", "bare newlines" };
	AUTO(ctl_table_free) struct ctl_table *table = NULL;

	if (!report->visits)
		return;
	table = ctl_table_new(columns, N_ELEMENTS(columns));
	for (size_t i = 0; i < report->places.n; i++)
		add_row(table, report, i);
	fputc('\n', ctl->out);
	ctl_table_print(ctl, table);
	if (!report->own_domain)
		fputs("no own domain in a registry that can be read here: MAIL from one was not tried\n", ctl->out);
	if (!report->probed)
		fputs("bare newlines were not tried: --probe ADDRESS sends three test messages to a mailbox of your own\n", ctl->out);
}

/* --- JSON --- */

static json_t *
json_reply(const struct visit_reply *reply)
{
	AUTO(xfree) char *text = xasprintf("%d %s", reply->code, reply->text);

	return reply->code ? report_json_text(text) : json_null();
}

static json_t *
json_session(const struct visit_session *session)
{
	json_t *object;

	if (!session->tried)
		return json_null();
	object = json_object();
	json_object_set_new(object, "starttls", json_boolean(session->starttls));
	json_object_set_new(object, "auth", json_boolean(session->auth));
	json_object_set_new(object, "own_mail", json_reply(&session->own_mail));
	json_object_set_new(object, "own_rcpt_outside", json_reply(&session->own_out));
	json_object_set_new(object, "own_rcpt_own", json_reply(&session->own_in));
	json_object_set_new(object, "mail", json_reply(&session->out_mail));
	json_object_set_new(object, "rcpt_outside", json_reply(&session->out_out));
	return object;
}

static json_t *
json_probe(const struct visit_probe *probe, int i)
{
	json_t *object = json_object();

	json_object_set_new(object, "bytes", json_string(visit_newline_word((enum visit_newline)i)));
	json_object_set_new(object, "ends_message", json_string(answer_word(probe->split)));
	json_object_set_new(object, "replies", json_integer((json_int_t)probe->n_replies));
	json_object_set_new(object, "first", json_reply(probe->refused.code ? &probe->refused : &probe->first));
	return object;
}

static json_t *
json_probes(const struct visit *visit)
{
	json_t *array = json_array();

	for (int i = 0; i < VISIT_PROBES; i++)
		if (visit->probes[i].tried)
			json_array_append_new(array, json_probe(&visit->probes[i], i));
	return array;
}

static json_t *
json_visit(const struct report *report, const struct visit *visit)
{
	const struct visit_place *place = visit->place;
	json_t *object = json_object();

	json_object_set_new(object, "host", report_json_text(place->host));
	json_object_set_new(object, "port", report_json_text(place->port));
	json_object_set_new(object, "service", place->promise.known ? report_json_text(place->promise.key) : json_null());
	json_object_set_new(object, "banner", json_reply(&visit->banner));
	json_object_set_new(object, "trouble", visit->trouble ? report_json_text(visit->trouble) : json_null());
	json_object_set_new(object, "clear", json_session(&visit->clear));
	json_object_set_new(object, "secure", json_session(&visit->secure));
	json_object_set_new(object, "version", *visit->version ? json_string(visit->version) : json_null());
	json_object_set_new(object, "cipher", *visit->cipher ? json_string(visit->cipher) : json_null());
	json_object_set_new(object, "tls_trouble", visit->tls_trouble ? report_json_text(visit->tls_trouble) : json_null());
	json_object_set_new(object, "old_tls", json_string(answer_word(visit->old_tls)));
	json_object_set_new(object, "starttls_tail", json_integer((json_int_t)visit->n_tail));
	json_object_set_new(object, "starttls_carried", json_string(answer_word(visit->carried)));
	json_object_set_new(object, "bare_newlines", json_string(newline_word(report, visit)));
	json_object_set_new(object, "probes", json_probes(visit));
	return object;
}

json_t *
visits_json(const struct report *report)
{
	json_t *array = json_array();

	for (size_t i = 0; report->visits && i < report->places.n; i++)
		json_array_append_new(array, json_visit(report, &report->visits[i]));
	return array;
}
