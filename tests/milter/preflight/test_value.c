/* The little languages of main.cf, whom restrictions let in, and other programs that misbehave. Pure, but for /bin/sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "milter/preflight/judge.h"
#include "milter/preflight/run.h"

/* --- lists --- */

static const struct {
	const char *text;
	const char *words[5];
} lists[] = {
	{ "", { NULL } },
	{ " , ,\t\n", { NULL } },
	{ "unix:a, inet:b:1", { "unix:a", "inet:b:1" } },
	{ "{ unix:a, default_action=accept } unix:b", { "{ unix:a, default_action=accept }", "unix:b" } },
	{ "{unix:a,{x = y}},{b}", { "{unix:a,{x = y}}", "{b}" } },
	{ "{unix:a, b", { "{unix:a, b" } }, /* postconf would have complained */
	{ "a} b", { "a}", "b" } },
};

static void
test_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(lists); i++) {
		AUTO_WORDS struct words words = { 0 };
		size_t n = 0;

		words_split(&words, lists[i].text);
		for (; lists[i].words[n]; n++) {
			assert_true(n < words.n);
			assert_string_equal(words.at[n], lists[i].words[n]);
		}
		assert_int_equal(words.n, n);
	}
}

static void
test_has_word(void **state)
{
	(void)state;
	assert_true(text_has_word("a, No_Milters b", "no_milters"));
	assert_false(text_has_word("a, no_milters2", "no_milters"));
	assert_false(text_has_word("{no_milters}", "no_milters"));
}

static const struct {
	const char *text;
	bool good;
	long seconds;
} times[] = {
	{ "300s", true, 300 }, { "5m", true, 300 }, { "1H", true, 3600 }, { "2d", true, 172800 }, { "1w", true, 604800 }, { "30", true, 30 },
	{ "", false, 0 }, { "s", false, 0 }, { "-5s", false, 0 }, { "5ms", false, 0 }, { "5 s", false, 0 }, { "99999999999999999999s", false, 0 },
};

static void
test_seconds(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(times); i++) {
		long found = -1;

		if (text_seconds(times[i].text, &found) != times[i].good || found != (times[i].good ? times[i].seconds : -1))
			fail_msg("'%s': %ld", times[i].text, found);
	}
}

static void
test_values(void **state)
{
	struct values values = { 0 }, names = { 0 };

	(void)state;
	values_parse(&values, "b = 2\na = x = y\nno line\nempty =\na = 3\n", ORIGIN_DEFAULT);
	assert_int_equal(values.n, 3);
	assert_string_equal(values_text(&values, "a"), "3");
	assert_string_equal(values_text(&values, "b"), "2");
	assert_string_equal(values_text(&values, "empty"), "");
	assert_non_null(values_find(&values, "empty"));
	assert_null(values_find(&values, "bb"));
	assert_null(values_find(&values, "emptyy"));
	assert_string_equal(values_text(&values, "c"), "");
	values_parse(&names, "b = 9\nz = 1\n", ORIGIN_MAIN);
	values_mark(&values, &names, ORIGIN_MAIN);
	assert_int_equal(values_find(&values, "b")->origin, ORIGIN_MAIN);
	assert_int_equal(values_find(&values, "a")->origin, ORIGIN_DEFAULT);
	values_done(&values);
	values_done(&names);
}

/* --- whom restrictions let in --- */

struct relay_row {
	const char *text; /* parameters */
	unsigned admits;
};

#define BASE "mynetworks = 10.0.0.0/8\nsmtpd_sasl_auth_enable = yes\n"

static const struct relay_row relays[] = {
	{ BASE "smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination", ADMIT_NETWORK | ADMIT_LOGIN },
	{ BASE "smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated\n"
	  "smtpd_recipient_restrictions = permit_sasl_authenticated, reject", ADMIT_LOGIN },
	{ BASE "smtpd_relay_restrictions = reject_unauth_destination, permit_mynetworks", 0 },
	{ BASE "smtpd_relay_restrictions = permit_mynetworks", ADMIT_NETWORK | ADMIT_ALL },
	{ BASE "smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination", ADMIT_NETWORK },
	{ BASE "smtpd_relay_restrictions = permit\nsmtpd_client_restrictions = permit_sasl_authenticated, reject", ADMIT_LOGIN },
	{ BASE "smtpd_relay_restrictions = PERMIT_MYNETWORKS, REJECT", ADMIT_NETWORK },
	{ BASE "smtpd_relay_restrictions = reject_unknown_recipient_domain, permit_tls_clientcerts, reject", ADMIT_CERT },
	{ BASE "smtpd_relay_restrictions = check_client_access hash:/permit_mynetworks, reject", ADMIT_TABLE },
	{ BASE "smtpd_relay_restrictions = check_client_access permit_mynetworks, reject", ADMIT_TABLE },
	{ BASE "smtpd_relay_restrictions = permit_inet_interfaces, reject", ADMIT_NETWORK },
	{ BASE "smtpd_restriction_classes = dinas\nsmtpd_relay_restrictions = dinas, reject", ADMIT_TABLE },
	{ BASE "smtpd_restriction_classes = kota\nsmtpd_relay_restrictions = dinas, reject", 0 },
	{ BASE "smtpd_relay_restrictions = check_policy_service { inet:permit_mynetworks:10023, timeout=10s }, reject", ADMIT_TABLE },
	{ BASE "smtpd_relay_restrictions = reject_unauth_destination, check_policy_service unix:private/policy", 0 },
	{ "mynetworks =\nsmtpd_sasl_auth_enable = yes\nsmtpd_relay_restrictions = permit_mynetworks, reject", 0 },
	{ "mynetworks = 10.0.0.0/8\nsmtpd_sasl_auth_enable = no\nsmtpd_relay_restrictions = permit_sasl_authenticated, reject", 0 },
};

static void
test_relay(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(relays); i++) {
		struct values values = { 0 };
		const struct service service = { .program = PROGRAM_SMTPD, .values = &values };

		values_parse(&values, relays[i].text, ORIGIN_MAIN);
		if (relay_admits(&service) != relays[i].admits)
			fail_msg("%s: %u, wanted %u", relays[i].text, relay_admits(&service), relays[i].admits);
		values_done(&values);
	}
}

/* --- other programs --- */

static void
test_run(void **state)
{
	static const char *const argv[] = { "/bin/sh", "-c", "echo out; echo err >&2; env; exit 3", NULL };
	static const char *const killed[] = { "/bin/sh", "-c", "kill -9 $$", NULL };
	AUTO_RUN struct run run = { 0 };
	AUTO_RUN struct run other = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(run_program(argv, &run, &err), 0);
	assert_int_equal(run.status, 3);
	assert_ptr_equal(strstr(buf_text(&run.out), "out\n"), buf_text(&run.out));
	assert_string_equal(buf_text(&run.err), "err\n");
	assert_non_null(strstr(buf_text(&run.out), "LC_ALL=C"));
	assert_null(strstr(buf_text(&run.out), "HOME="));
	assert_int_equal(run_program(killed, &other, &err), 0);
	assert_int_equal(other.status, -1);
}

static void
test_run_refused(void **state)
{
	static const char *const missing[] = { "/nonexistent/program", NULL };
	static const char *const babbler[] = { "/bin/sh", "-c", "yes >&2", NULL };
	AUTO_RUN struct run first = { 0 };
	AUTO_RUN struct run second = { 0 };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(run_program(missing, &first, &err), -1);
	assert_non_null(strstr(err.text, "'/nonexistent/program' cannot be started"));
	assert_int_equal(run_program(babbler, &second, &err), -1);
	assert_non_null(strstr(err.text, "said more than"));
}

/* --- the list of findings --- */

static void
test_findings(void **state)
{
	AUTO_FINDINGS struct findings list = { 0 };
	struct finding one = { .id = "helo", .severity = SEVERITY_WARN, .why = "w", .where = (char *)(uintptr_t)"a/inet",
		.what = (char *)(uintptr_t)"x", .mend = (char *)(uintptr_t)"m" };

	(void)state;
	findings_add(&list, &one);
	findings_add(&list, &one);
	one.where = (char *)(uintptr_t)"b/inet";
	findings_add(&list, &one);
	assert_int_equal(list.n, 1);
	assert_string_equal(list.at[0].where, "a/inet, b/inet");
	one.what = (char *)(uintptr_t)"y";
	one.severity = SEVERITY_REFUSE;
	findings_add(&list, &one);
	assert_int_equal(list.n, 2);
	assert_int_equal(findings_count(&list, SEVERITY_REFUSE), 1);
	assert_int_equal(findings_count(&list, SEVERITY_WARN), 1);
	assert_null(findings_find(&list, "hel"));
	assert_string_equal(severity_word(SEVERITY_UNKNOWN), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words), cmocka_unit_test(test_has_word), cmocka_unit_test(test_seconds), cmocka_unit_test(test_values),
		cmocka_unit_test(test_relay), cmocka_unit_test(test_run), cmocka_unit_test(test_run_refused), cmocka_unit_test(test_findings),
	};

	return cmocka_run_group_tests_name("preflight: values", tests, NULL, NULL);
}
