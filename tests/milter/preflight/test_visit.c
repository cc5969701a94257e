/* What stands against a listener: a good one, and for each rule the one thing that differs. No network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "milter/preflight/judge_visit.h"

static struct visit_place place;
static struct visit visit;

static struct visit_reply
reply(int code)
{
	return (struct visit_reply){ .code = code, .text = "2.0.0 text" };
}

/* A submission service as documented. */
static void
make_submission(void)
{
	place = (struct visit_place){
		.host = (char *)"192.0.2.1", .port = (char *)"587", .promise = { .known = true, .key = "submission/inet", .encrypt = true, .login = true },
	};
	visit = (struct visit){
		.place = &place, .banner = reply(220), .reached = true, .version = "TLSv1.3", .cipher = "X", .old_tls = VISIT_NO, .carried = VISIT_NO,
		.clear = { .tried = true, .greeted = true, .starttls = true, .own_mail = reply(530), .out_mail = reply(530) },
		.secure = { .tried = true, .greeted = true, .auth = true, .own_mail = reply(250), .own_out = reply(554), .own_in = reply(554),
		            .out_mail = reply(250), .out_out = reply(554) },
	};
}

/* The port for other servers. */
static void
make_inbound(void)
{
	make_submission();
	place.promise = (struct visit_promise){ .known = true, .key = "smtp/inet", .inbound = true, .bare_forbidden = true };
	visit.secure.auth = false;
	visit.clear.out_mail = reply(250);
	visit.clear.out_out = reply(554);
	visit.secure.own_in = reply(250);
	for (int i = 0; i < VISIT_PROBES; i++)
		visit.probes[i] = (struct visit_probe){ .tried = true, .n_replies = 1, .first = reply(250), .split = VISIT_NO };
}

/* Exactly this finding, or none. */
static void
expect(const char *name, const char *id, enum severity severity)
{
	AUTO_FINDINGS struct findings findings = { 0 };

	visit_judge(&visit, &findings);
	if (!id && findings.n)
		fail_msg("%s: %s (%s), wanted nothing", name, findings.at[0].id, findings.at[0].what);
	if (!id)
		return;
	if (findings.n != 1 || strcmp(findings.at[0].id, id) != 0 || findings.at[0].severity != severity)
		fail_msg("%s: %zu findings, first %s; wanted %s", name, findings.n, findings.n ? findings.at[0].id : "-", id);
	assert_true(*findings.at[0].what && *findings.at[0].why && *findings.at[0].mend && *findings.at[0].where);
}

#define EXPECT(make, change, id, severity) do { make(); change; expect(#make ": " #change, id, severity); } while (0)
#define FINE(make, change) EXPECT(make, change, NULL, SEVERITY_UNKNOWN)
#define REFUSED(make, change, id) EXPECT(make, change, id, SEVERITY_REFUSE)
#define WARNED(make, change, id) EXPECT(make, change, id, SEVERITY_WARN)

static void
submission_services(void **state)
{
	(void)state;
	FINE(make_submission, (void)0);
	FINE(make_submission, visit.old_tls = VISIT_CANNOT);
	FINE(make_submission, visit.carried = VISIT_UNKNOWN);
	REFUSED(make_submission, visit.trouble = (char *)"no connection", "live-silent");
	REFUSED(make_submission, visit.clear.auth = true, "live-clear-auth");
	REFUSED(make_submission, visit.clear.starttls = false, "live-no-tls");
	REFUSED(make_submission, visit.tls_trouble = (char *)"alert", "live-tls-fails");
	REFUSED(make_submission, visit.clear.out_mail = reply(250), "live-clear-mail");
	REFUSED(make_submission, visit.clear.out_mail = reply(250); place.promise.encrypt = false, "live-clear-mail");
	FINE(make_submission, visit.clear.out_mail = reply(450));
	WARNED(make_submission, visit.old_tls = VISIT_YES, "live-old-tls");
	REFUSED(make_submission, visit.n_tail = 1, "live-starttls-tail");
	REFUSED(make_submission, visit.carried = VISIT_YES, "live-starttls-carried");
	WARNED(make_submission, visit.secure.auth = false, "live-no-login");
	FINE(make_submission, visit.secure.auth = false; visit.secure.greeted = false);
	REFUSED(make_submission, visit.secure.own_out = reply(250), "live-relay");
	REFUSED(make_submission, visit.secure.out_out = reply(250), "live-relay");
	WARNED(make_submission, visit.secure.out_out = reply(250); place.promise.network = true, "live-relay-here");
	REFUSED(make_submission, visit.secure.out_out = reply(250); place.promise = (struct visit_promise){ 0 }, "live-relay");
	WARNED(make_submission, visit.secure.out_out = reply(250); place.promise = (struct visit_promise){ 0 }; place.loopback = true, "live-relay-here");
}

static void
other_servers_port(void **state)
{
	(void)state;
	FINE(make_inbound, (void)0);
	REFUSED(make_inbound, visit.clear.own_mail = reply(250), "live-clear-official");
	FINE(make_inbound, visit.clear.own_mail = reply(250); visit.clear.own_in = reply(550));
	REFUSED(make_inbound, visit.clear.own_mail = reply(250); visit.clear.own_in = reply(450), "live-clear-official");
	FINE(make_inbound, visit.clear.own_mail = reply(0));
	REFUSED(make_inbound, visit.clear.out_mail = reply(250); place.promise.encrypt = true, "live-clear-mail");
	REFUSED(make_inbound, visit.clear.out_out = reply(250), "live-relay");
	REFUSED(make_inbound, visit.probes[NEWLINE_LF_LF].split = VISIT_YES, "live-bare-newline");
	REFUSED(make_inbound, visit.probes[NEWLINE_CRLF_LF].split = VISIT_YES, "live-bare-newline");
	REFUSED(make_inbound, visit.probes[NEWLINE_LF_CRLF].split = VISIT_YES; place.promise.bare_forbidden = false; place.promise.excludes_us = true,
	    "live-bare-newline");
	WARNED(make_inbound, visit.probes[NEWLINE_LF_CRLF].split = VISIT_YES; place.promise.excludes_us = true, "live-bare-newline-here");
	WARNED(make_inbound, visit.probes[NEWLINE_LF_LF].split = VISIT_UNKNOWN, "live-not-probed");
	WARNED(make_inbound, visit.probes[NEWLINE_LF_LF].split = VISIT_UNKNOWN; visit.probes[NEWLINE_LF_LF].refused = reply(550), "live-not-probed");
	FINE(make_inbound, memset(visit.probes, 0, sizeof(visit.probes)));
}

/* Behind a content filter, on this machine only: what comes there was judged before. */
static void
reinjection(void **state)
{
	(void)state;
	FINE(make_inbound, place.promise.reinjection = true; visit.clear.own_mail = visit.clear.out_out = reply(250); visit.clear.starttls = false);
	REFUSED(make_inbound, place.promise.reinjection = true; visit.clear.auth = true, "live-clear-auth");
}

static void
names_are_unique(void **state)
{
	(void)state;
	for (const struct visit_rule *rule = visit_rules; rule->id; rule++) {
		assert_true(strncmp(rule->id, "live-", 5) == 0 && rule->why && rule->found && rule->severity != SEVERITY_UNKNOWN);
		for (const struct visit_rule *other = visit_rules; other != rule; other++)
			assert_string_not_equal(rule->id, other->id);
	}
	for (int i = 0; i < VISIT_PROBES; i++)
		assert_non_null(visit_newline_word((enum visit_newline)i));
}

static void
listeners_by_name(void **state)
{
	static const struct {
		const char *text, *host, *port;
	} rows[] = {
		{ "127.0.0.1:25", "127.0.0.1", "25" }, { "[::1]:587", "::1", "587" }, { "mail.kota.example:smtp", "mail.kota.example", "smtp" },
		{ "127.0.0.1", NULL, NULL }, { ":25", NULL, NULL }, { "mail:", NULL, NULL }, { "::1:25", NULL, NULL },
		{ "mail:0", NULL, NULL }, { "mail:nosuchport", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct visit_places places = { 0 };
		struct err err = { 0 };
		const int result = visit_places_add(rows[i].text, NULL, &places, &err);

		if (result != (rows[i].host ? 0 : -1))
			fail_msg("'%s': %d %s", rows[i].text, result, err.text);
		if (rows[i].host) {
			assert_string_equal(places.at[0].host, rows[i].host);
			assert_string_equal(places.at[0].port, rows[i].port);
			assert_false(places.at[0].promise.known);
		}
		visit_places_done(&places);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(submission_services),
		cmocka_unit_test(other_servers_port),
		cmocka_unit_test(reinjection),
		cmocka_unit_test(names_are_unique),
		cmocka_unit_test(listeners_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
