/*
 * Every line of the list for Sendmail: a sendmail.cf that has no finding of that name, and one that
 * differs by one thing and has it. One more is made by m4 from the lines of contrib/sendmail, where Debian's
 * sendmail-cf is unpacked. No mail server runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "milter/preflight/sendmail.h"

static char place[64];
static struct config *settings;

static const char cf[] =
    "# a sendmail.cf\nV10/Berkeley\nDZ8.17.1.9\nC{TrustAuthMech}PLAIN LOGIN\n"
    "O MaxMessageSize=55050240\n"
    "O DaemonPortOptions=Port=587, Name=MSA, M=Ea, InputMailFilters=segel\n"
    "O DaemonPortOptions=Port=25, Name=MTA, M=A, InputMailFilters=segel-inbound\n"
    "O PrivacyOptions=authwarnings,needmailhelo,noexpn,novrfy\nO AuthMechanisms=PLAIN LOGIN\nO AuthOptions=A p y\n"
    "O ServerCertFile=/etc/mail/tls/server.crt\nO ServerKeyFile=/etc/mail/tls/server.key\nO CipherList=HIGH:!aNULL\nO RejectNUL=True\n"
    "Ssrv_features\nR$*\t$: $1\n"
    "Xsegel, S=local:@/segel/milter.sock, F=T, T=C:30s;S:30s;R:60s;E:5m\n"
    "Xsegel-inbound, S=local:@/inbound/milter.sock,\n\tF=T, T=C:30s;S:30s;R:60s;E:5m\n"
    "Xopendkim, S=inet:8891@localhost, F=T\nXother, S=inet:9999@localhost, F=T\n"
    "Mlocal,\t\tP=/usr/bin/procmail, F=lsDFMAw5:/|@qSPfhn9\n\t\tT=DNS/RFC822/X-Unix\n";

/* One thing changed: `from` becomes `to`. `from` "" = nothing. "@" is the place. */
static char *
changed(const char *text, const char *from, const char *to)
{
	AUTO_BUF struct buf out = { 0 };
	const char *at = *from ? strstr(text, from) : NULL;

	buf_init(&out, 64 * 1024);
	if (*from && !at)
		fail_msg("'%s' is not in the file", from);
	for (; *text; text++) {
		if (text == at) {
			buf_add_text(&out, to);
			text += strlen(from) - 1;
			at = NULL;
			continue;
		}
		buf_add(&out, text, 1);
	}
	return xstrdup(buf_text(&out));
}

static void
write_cf(const char *text)
{
	AUTO(xfree) char *path = xasprintf("%s/sendmail.cf", place);
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	for (; *text; text++) {
		if (*text == '@' && text[1] == '/')
			assert_true(fputs(place, out) >= 0);
		else
			assert_int_equal(fputc(*text, out), (unsigned char)*text);
	}
	assert_int_equal(fclose(out), 0);
}

static void
judge(struct findings *ret)
{
	AUTO(xfree) char *path = xasprintf("%s/sendmail.cf", place);
	AUTO_SENDMAIL struct sendmail mta = { 0 };
	struct err err = { 0 };

	if (sendmail_read(path, settings, &mta, &err) == -1)
		fail_msg("%s", err.text);
	sendmail_judge(&mta, settings, ret);
}

static void
listen_at(const char *folder)
{
	AUTO(xfree) char *path = xasprintf("%s/%s", place, folder);
	AUTO(xfree) char *file = xasprintf("%s/milter.sock", path);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(mkdir(path, 0750), 0);
	memcpy(address.sun_path, file, strlen(file) + 1);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 64), 0);
}

static int
make_place(void **state)
{
	AUTO_BUF struct buf problems = { 0 };

	(void)state;
	snprintf(place, sizeof(place), "/tmp/segel-cf-XXXXXX");
	assert_non_null(mkdtemp(place));
	listen_at("segel");
	listen_at("inbound");
	AUTO(xfree) char *file = xasprintf("%s/segel.conf", place);
	FILE *out = fopen(file, "w");
	assert_non_null(out);
	fprintf(out, "submission: { socket = \"%s/segel/milter.sock\"; };\ninbound: { socket = \"%s/inbound/milter.sock\"; };\n", place, place);
	assert_int_equal(fclose(out), 0);
	buf_init(&problems, 4096);
	if (config_load(file, &settings, &problems) == -1)
		fail_msg("%s", buf_text(&problems));
	return 0;
}

static int
leave_place(void **state)
{
	AUTO(xfree) char *command = xasprintf("rm -rf '%s'", place);

	(void)state;
	config_free(settings);
	return system(command);
}

struct row {
	const char *id;
	enum severity severity;
	const char *good_from, *good_to;
	const char *bad_from, *bad_to;
};

static const struct row rows[] = {
	{ "service-unfiltered", SEVERITY_REFUSE, "", "", ", InputMailFilters=segel\n", "\n" },
	{ "service-unfiltered", SEVERITY_REFUSE, "O Max", "O InputMailFilters=segel\nO Max", ", InputMailFilters=segel\n", ", InputMailFilters=\n" },
	{ "service-unfiltered", SEVERITY_REFUSE, "", "", "InputMailFilters=segel\n", "InputMailFilters=segel-inbound\n" },
	{ "service-unfiltered", SEVERITY_REFUSE, "", "", "Port=25, Name=MTA, M=A", "Port=465, Name=MTA, M=s" },
	{ "service-logins", SEVERITY_REFUSE, "", "", "Name=MTA, M=A,", "Name=MTA," },
	{ "service-logins", SEVERITY_REFUSE, "", "", "M=A, Input", "M=f, Input" },
	{ "service-inbound", SEVERITY_WARN, "", "", ", InputMailFilters=segel-inbound", "" },
	{ "service-no-login", SEVERITY_WARN, "", "", "M=Ea", "M=E" },
	{ "filter-unknown", SEVERITY_REFUSE, "", "", "InputMailFilters=segel\n", "InputMailFilters=segel;salah\n" },
	{ "filter-tcp", SEVERITY_REFUSE, "InputMailFilters=segel\n", "InputMailFilters=opendkim\n", "InputMailFilters=opendkim\n", "InputMailFilters=other\n" },
	{ "filter-order", SEVERITY_WARN, "InputMailFilters=segel\n", "InputMailFilters=segel;opendkim\n", "segel;opendkim", "opendkim;segel" },
	{ "default-action", SEVERITY_REFUSE, "", "", "@/segel/milter.sock, F=T,", "@/segel/milter.sock," },
	{ "default-action", SEVERITY_REFUSE, "", "", "@/segel/milter.sock, F=T,", "@/segel/milter.sock, F=R," },
	{ "default-action", SEVERITY_REFUSE, "@/segel/milter.sock, F=T,", "@/segel/milter.sock, F=4,", "\tF=T,", "\tT=C:1m," },
	{ "content-timeout", SEVERITY_WARN, "", "", "R:60s;E:5m", "R:60s;E:5s" },
	{ "content-timeout", SEVERITY_WARN, "", "", "R:60s;E:5m", "E:5m" },
	{ "bare-newline", SEVERITY_REFUSE, "8.17.1.9", "8.18.2", "8.18.2", "8.17.1" },
	{ "bare-newline", SEVERITY_REFUSE, "", "", "DZ8.17.1.9\n", "" },
	{ "nul", SEVERITY_WARN, "", "", "RejectNUL=True", "RejectNUL=False" },
	{ "message-size", SEVERITY_REFUSE, "", "", "55050240", "55050239" },
	{ "message-size", SEVERITY_REFUSE, "55050240", "0", "=0", "=1000" },
	{ "tls-off", SEVERITY_WARN, "", "", "O ServerKeyFile", "O ClientKeyFile" },
	{ "tls-login-clear", SEVERITY_WARN, "", "", "A p y", "A y" },
	{ "tls-anonymous", SEVERITY_WARN, "", "", "HIGH:!aNULL", "ALL" },
	{ "sasl-anonymous", SEVERITY_REFUSE, "PLAIN LOGIN\nO Auth", "PLAIN ANONYMOUS\nO Auth", "A p y", "A p" },
	{ "privacy", SEVERITY_WARN, "authwarnings,needmailhelo,noexpn,novrfy", "authwarnings,goaway", ",goaway", "" },
	{ "privacy", SEVERITY_WARN, "", "", "authwarnings,", "" },
	{ "helo", SEVERITY_WARN, "", "", "needmailhelo,", "" },
};

static const char *const others[] = { "filter-open", "filter-unseen", "filter-silent", "pretend" };

static void
test_row(void **state)
{
	const struct row *row = *state;
	AUTO(xfree) char *good = changed(cf, row->good_from, row->good_to);
	AUTO(xfree) char *bad = changed(good, row->bad_from, row->bad_to);
	AUTO_FINDINGS struct findings findings = { 0 };
	const struct finding *finding;

	write_cf(good);
	judge(&findings);
	finding = findings_find(&findings, row->id);
	if (finding)
		fail_msg("good: %s: %s", finding->where, finding->what);
	write_cf(bad);
	findings_done(&findings);
	judge(&findings);
	finding = findings_find(&findings, row->id);
	if (!finding)
		fail_msg("not found after '%s' became '%s'", row->bad_from, row->bad_to);
	assert_int_equal(finding->severity, row->severity);
	assert_true(*finding->what && *finding->why && *finding->mend && *finding->where);
}

static void
test_good(void **state)
{
	AUTO_FINDINGS struct findings findings = { 0 };

	(void)state;
	write_cf(cf);
	judge(&findings);
	if (findings.n > 0)
		fail_msg("%s: %s: %s", findings.at[0].id, findings.at[0].where, findings.at[0].what);
}

static void
test_socket(void **state)
{
	AUTO(xfree) char *folder = xasprintf("%s/segel", place);
	AUTO(xfree) char *socket = xasprintf("%s/segel/milter.sock", place);
	AUTO(xfree) char *away = xasprintf("%s/segel/away.sock", place);
	AUTO_FINDINGS struct findings findings = { 0 };

	(void)state;
	write_cf(cf);
	assert_int_equal(chmod(folder, 0755), 0);
	judge(&findings);
	assert_int_equal(findings_find(&findings, "filter-open")->severity, SEVERITY_REFUSE);
	assert_string_equal(findings_find(&findings, "filter-open")->where, "Xsegel");
	assert_int_equal(chmod(folder, 0750), 0);
	assert_int_equal(rename(socket, away), 0);
	findings_done(&findings);
	judge(&findings);
	assert_int_equal(rename(away, socket), 0);
	assert_int_equal(findings_find(&findings, "filter-silent")->severity, SEVERITY_WARN);
	assert_null(findings_find(&findings, "filter-open"));
	assert_null(findings_find(&findings, "filter-unseen"));
}

static void
want_broken(const char *text, const char *want)
{
	AUTO(xfree) char *path = xasprintf("%s/sendmail.cf", place);
	AUTO_SENDMAIL struct sendmail mta = { 0 };
	struct err err = { 0 };

	write_cf(text);
	assert_int_equal(sendmail_read(path, settings, &mta, &err), -1);
	if (!strstr(err.text, want))
		fail_msg("'%s' is not in: %s", want, err.text);
}

static void
test_broken(void **state)
{
	(void)state;
	want_broken("", "is empty");
	want_broken("V10/Berkeley\ndivert(0)dnl\n", "line 2: begins with 'd'");
	want_broken("V10/Berkeley\nO AuthOptions=A\n\tp\nO Daemon\n", "line 4: option without '='");
	want_broken("V10/Berkeley\nXsegel\n", "filter without settings");
	want_broken("V10/Berkeley\nXsegel, F=T\n", "has no socket");
	want_broken("O AuthOptions=A\n", "no V line");
}

/* Sendmail's own macros make the file; the documented lines pass. */
static void
test_documented(void **state)
{
	const char *root = getenv("SEGEL_SENDMAIL_DIR") ? getenv("SEGEL_SENDMAIL_DIR") : "/var/cache/segel-demo/sendmail";
	AUTO(xfree) char *macros = xasprintf("%s/root/usr/share/sendmail/cf", root);
	AUTO(xfree) char *command = xasprintf(
	    "{ echo 'divert(0)dnl'; echo \"OSTYPE(\\`linux')dnl\"; echo \"define(\\`confDOMAIN_NAME', \\`mail.kota.example')dnl\"; "
	    "sed -e 's|/run/segel/submission|%s/segel|' contrib/sendmail/segel.m4; sed -e 's|/run/segel/inbound|%s/inbound|' contrib/sendmail/inbound.m4; "
	    "echo \"MAILER(\\`smtp')dnl\"; } | m4 -I%s/ %s/m4/cf.m4 - >%s/sendmail.cf", place, place, macros, macros, place);
	AUTO_FINDINGS struct findings findings = { 0 };

	(void)state;
	if (access(macros, R_OK) == -1)
		skip();
	assert_int_equal(system(command), 0);
	judge(&findings);
	for (size_t i = 0; i < findings.n; i++)
		if (findings.at[i].severity == SEVERITY_REFUSE)
			fail_msg("%s: %s: %s", findings.at[i].id, findings.at[i].where, findings.at[i].what);
	assert_null(findings_find(&findings, "filter-silent"));
	assert_null(findings_find(&findings, "service-inbound"));
}

static bool
is_tested(const char *id)
{
	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		if (strcmp(rows[i].id, id) == 0)
			return true;
	for (size_t i = 0; i < N_ELEMENTS(others); i++)
		if (strcmp(others[i], id) == 0)
			return true;
	return false;
}

static void
test_table(void **state)
{
	const char *id;

	(void)state;
	for (size_t i = 0; (id = sendmail_rule_id(i)); i++) {
		if (!is_tested(id))
			fail_msg("no row for %s", id);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(sendmail_rule_id(j), id);
	}
}

static const struct CMUnitTest wholes[] = {
	cmocka_unit_test(test_good), cmocka_unit_test(test_socket), cmocka_unit_test(test_broken), cmocka_unit_test(test_documented),
	cmocka_unit_test(test_table),
};

int
main(void)
{
	struct CMUnitTest tests[N_ELEMENTS(rows) + N_ELEMENTS(wholes)];

	for (size_t i = 0; i < N_ELEMENTS(wholes); i++)
		tests[i] = wholes[i];
	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		tests[N_ELEMENTS(wholes) + i] = (struct CMUnitTest){
			.name = rows[i].id, .test_func = test_row, .initial_state = (void *)(uintptr_t)&rows[i],
		};
	return cmocka_run_group_tests_name("preflight of Sendmail", tests, make_place, leave_place);
}
