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
    "O ServerCertFile=@/tls/server.crt\nO ServerKeyFile=@/tls/server.key\nO CACertFile=@/tls/server.crt\nO CACertPath=@/tls\n"
    "O SuperSafe=True\nO SevenBitInput=False\nO DontBlameSendmail=safe\nO CipherList=HIGH:!aNULL\nO RejectNUL=True\n"
    "Ssrv_features\nR$*\t$: $1\n"
    "Xsegel, S=local:@/segel/milter.sock, F=T, T=C:30s;S:30s;R:60s;E:5m\n"
    "Xsegel-inbound, S=local:@/inbound/milter.sock,\n\tF=T, T=C:30s;S:30s;R:60s;E:5m\n"
    "Xsegel-egress, S=local:@/egress/milter.sock, F=T, T=C:30s;S:30s;R:60s;E:5m\n"
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

static void
make_file(const char *name, mode_t mode)
{
	AUTO(xfree) char *path = xasprintf("%s/%s", place, name);
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(path, mode), 0);
}

/* Not below /tmp, which everybody may write to: Sendmail takes no socket from there. */
static int
make_place(void **state)
{
	AUTO_BUF struct buf problems = { 0 };

	(void)state;
	snprintf(place, sizeof(place), "/run/segel-cf-XXXXXX");
	assert_non_null(mkdtemp(place));
	assert_int_equal(chmod(place, 0755), 0);
	AUTO(xfree) char *tls = xasprintf("%s/tls", place);
	assert_int_equal(mkdir(tls, 0755), 0);
	make_file("tls/server.crt", 0644);
	make_file("tls/server.key", 0600);
	make_file("tls/open.key", 0640);
	make_file("tls/open.crt", 0664);
	listen_at("local");
	AUTO(xfree) char *group = xasprintf("%s/group", place);
	assert_int_equal(mkdir(group, 0755), 0);
	assert_int_equal(chmod(group, 0775), 0);
	/* a link into a folder that its group may change */
	AUTO(xfree) char *through = xasprintf("%s/through", place);
	assert_int_equal(symlink("group", through), 0);
	listen_at("segel");
	listen_at("inbound");
	listen_at("egress");
	AUTO(xfree) char *file = xasprintf("%s/segel.conf", place);
	FILE *out = fopen(file, "w");
	assert_non_null(out);
	fprintf(out, "submission: { socket = \"%s/segel/milter.sock\"; };\ninbound: { socket = \"%s/inbound/milter.sock\"; };\n"
	    "local: { socket = \"%s/local/milter.sock\"; };\negress: { socket = \"%s/egress/milter.sock\"; };\nquarantine: { certificate = \"/etc/segel/quarantine.crt\"; };\n", place, place, place, place);
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

#define RELEASE "O Max", "O DaemonPortOptions=Addr=127.0.0.1, Port=10027, Name=RELEASE, M=EASC\nO Max"

static const struct row rows[] = {
	{ "service-unfiltered", SEVERITY_REFUSE, "", "", ", InputMailFilters=segel\n", "\n" },
	{ "service-unfiltered", SEVERITY_REFUSE, "O Max", "O InputMailFilters=segel\nO Max", ", InputMailFilters=segel\n", ", InputMailFilters=\n" },
	{ "service-unfiltered", SEVERITY_REFUSE, "", "", "InputMailFilters=segel\n", "InputMailFilters=segel-inbound\n" },
	{ "service-unfiltered", SEVERITY_REFUSE, "", "", "Port=25, Name=MTA, M=A", "Port=465, Name=MTA, M=s" },
	{ "service-unfiltered", SEVERITY_REFUSE, "Port=587", "p=587x", "InputMailFilters=segel\n", "InputMailFilters=segel-inbound\n" },
	{ "service-logins", SEVERITY_REFUSE, "", "", "Name=MTA, M=A,", "Name=MTA," },
	{ "service-logins", SEVERITY_REFUSE, "", "", "M=A, Input", "M=f, Input" },
	{ "service-inbound", SEVERITY_WARN, "", "", ", InputMailFilters=segel-inbound", "" },
	{ "service-inbound", SEVERITY_WARN, RELEASE, "Port=10027", "Port=10028" },
	{ "release-open", SEVERITY_REFUSE, RELEASE, "Addr=127.0.0.1, Port=10027", "Addr=0.0.0.0, Port=10027" },
	{ "release-open", SEVERITY_REFUSE, RELEASE, "Addr=127.0.0.1, Port=10027", "Port=10027" },
	{ "release-judged", SEVERITY_REFUSE, RELEASE, "Name=RELEASE", "Name=RELEASE, InputMailFilters=segel-inbound" },
	{ "release-judged", SEVERITY_REFUSE, RELEASE, "Name=RELEASE", "Name=RELEASE, InputMailFilters=segel-egress" },
	{ "service-inbound", SEVERITY_WARN, "O Max", "O DaemonPortOptions=Addr=127.0.0.1, Port=10031, Name=EGRESS, M=EA, InputMailFilters=segel-egress\nO Max",
	  "segel-egress\nO Max", "opendkim\nO Max" },
	{ "service-inbound", SEVERITY_WARN, "O Max", "O DaemonPortOptions=Addr=10.0.0.1, Port=10031, Name=EGRESS, M=EA, InputMailFilters=segel-egress\nO Max",
	  "Addr=10.0.0.1, Port=10031, Name=EGRESS", "Port=10031, Name=EGRESS" },
	{ "default-action", SEVERITY_REFUSE, "O Max", "O DaemonPortOptions=Addr=127.0.0.1, Port=10031, Name=EGRESS, M=EA, InputMailFilters=segel-egress\nO Max",
	  "egress/milter.sock, F=T", "egress/milter.sock, F=" },
	{ "release-judged", SEVERITY_REFUSE, RELEASE, "O DaemonPortOptions=Addr=127.0.0.1", "O InputMailFilters=segel\nO DaemonPortOptions=Addr=127.0.0.1" },
	{ "service-logins", SEVERITY_REFUSE, "", "", "Name=MTA, M=A,", "name=MTA, m=f," },
	/* not set: those that Sendmail was built with */
	{ "service-logins", SEVERITY_REFUSE, "O AuthMechanisms=PLAIN LOGIN\n", "", "Name=MTA, M=A,", "Name=MTA," },
	{ "service-role", SEVERITY_REFUSE, "", "", "InputMailFilters=segel-inbound", "InputMailFilters=segel" },
	{ "service-role", SEVERITY_REFUSE, "", "", "InputMailFilters=segel-inbound", "I=segel-inbound;segel" },
	{ "service-role", SEVERITY_REFUSE, "O Max", "O InputMailFilters=segel\nO Max", "Name=MTA, M=A, InputMailFilters=segel-inbound", "Name=MTA, M=A" },
	{ "service-role", SEVERITY_REFUSE, "Port=25, Name=MTA, M=A, InputMailFilters=segel-inbound", "Addr=127.0.0.1, Name=MTA, M=A, InputMailFilters=segel",
	  "Addr=127.0.0.1", "Addr=10.0.0.1" },
	{ "service-local-role", SEVERITY_REFUSE, "", "", "S=local:@/inbound/", "S=local:@/local/" },
	{ "service-no-tls", SEVERITY_WARN, "", "", "M=Ea", "M=EaS" },
	{ "service-no-login", SEVERITY_REFUSE, "", "", "M=Ea", "M=E" },
	{ "filter-unknown", SEVERITY_REFUSE, "", "", "InputMailFilters=segel\n", "InputMailFilters=segel;salah\n" },
	{ "filter-tcp", SEVERITY_REFUSE, "InputMailFilters=segel\n", "InputMailFilters=opendkim\n", "InputMailFilters=opendkim\n", "InputMailFilters=other\n" },
	{ "filter-order", SEVERITY_WARN, "InputMailFilters=segel\n", "InputMailFilters=segel;opendkim\n", "segel;opendkim", "opendkim;segel" },
	{ "default-action", SEVERITY_REFUSE, "", "", "@/segel/milter.sock, F=T,", "@/segel/milter.sock," },
	{ "default-action", SEVERITY_REFUSE, "", "", "@/segel/milter.sock, F=T,", "@/segel/milter.sock, F=R," },
	{ "default-action", SEVERITY_REFUSE, "@/segel/milter.sock, F=T,", "@/segel/milter.sock, F=4,", "\tF=T,", "\tF=," },
	/* a comment ends the line, wherever it begins */
	{ "default-action", SEVERITY_REFUSE, "", "", "@/segel/milter.sock, F=T,", "@/segel/milter.sock, T=R:60s # , F=T," },
	{ "default-action", SEVERITY_REFUSE, "", "", "@/segel/milter.sock, F=T,", "@/segel/milter.sock#, F=T," },
	{ "default-action", SEVERITY_REFUSE, "", "", ",\n\tF=T,", ",\n\tF=t," },
	{ "default-action", SEVERITY_REFUSE, ",\n\tF=T,", ",\n\tF=RT,", "F=RT,", "F=R," },
	{ "filter-drops", SEVERITY_WARN, "", "", "\tF=T,", "\tF=4," },
	{ "filter-drops", SEVERITY_WARN, "\tF=T,", "\tF=T4,", "\tF=T4,", "\tF=R4," },
	{ "filter-unsafe", SEVERITY_REFUSE, "S=local:@/segel/", "S=local:@/segel/../segel/", "@/segel/../segel/", "@/segel/../group/../segel/" },
	{ "content-timeout", SEVERITY_WARN, "", "", "R:60s;E:5m", "R:60s;E:5s" },
	{ "content-timeout", SEVERITY_WARN, "", "", "R:60s;E:5m", "E:5m" },
	{ "content-timeout", SEVERITY_WARN, "R:60s;E:5m", "R:0m60s; E: 1m30s", "R:0m60s", "R:0m6s" },
	{ "content-timeout", SEVERITY_WARN, "R:60s;E:5m", "R:60;E:300", "E:300", "E:lama" },
	{ "bare-newline", SEVERITY_REFUSE, "8.17.1.9", "8.18.2", "8.18.2", "8.17.1" },
	{ "bare-newline", SEVERITY_REFUSE, "", "", "DZ8.17.1.9\n", "" },
	{ "bare-newline", SEVERITY_REFUSE, "8.17.1.9\n", "8.17.1.9/Debian-2+deb12u2\n", "+deb12u2", "" },
	{ "nul", SEVERITY_WARN, "", "", "RejectNUL=True", "RejectNUL=False" },
	{ "message-size", SEVERITY_REFUSE, "", "", "55050240", "55050239" },
	{ "message-size", SEVERITY_REFUSE, "55050240", "0", "=0", "=1000" },
	{ "message-size", SEVERITY_REFUSE, "O MaxMessageSize=55050240\n", "", "O Priv", "O maxmessagesize=1000\nO Priv" },
	{ "message-size", SEVERITY_REFUSE, "O MaxMessageSize=55050240\n", "", "O Priv", "O MaxMessageSize = 1000 # bytes\nO Priv" },
	{ "tls-off", SEVERITY_WARN, "", "", "O ServerKeyFile", "O ClientKeyFile" },
	{ "tls-off", SEVERITY_WARN, "", "", "O CACertPath=", "#O CACertPath=" },
	{ "tls-off", SEVERITY_WARN, "", "", "O CACertFile=@/tls/server.crt\n", "O CACertFile=\n" },
	{ "tls-file", SEVERITY_WARN, "", "", "tls/server.key", "tls/nowhere.key" },
	{ "tls-file", SEVERITY_WARN, "", "", "tls/server.key", "tls/open.key" },
	{ "tls-file", SEVERITY_WARN, "tls/server.crt", "tls/server.crt,@/tls/server.crt", ",@/tls/server.crt", ",@/tls/open.crt" },
	{ "tls-file", SEVERITY_WARN, "", "", "O CACertFile=@/tls/server.crt", "O CACertFile=@/tls" },
	{ "tls-login-clear", SEVERITY_REFUSE, "", "", "A p y", "A y" },
	{ "tls-login-clear", SEVERITY_REFUSE, "PLAIN LOGIN\nO AuthOptions=A p y", "SCRAM-SHA-256\nO AuthOptions=A y", "SCRAM-SHA-256\nO", "LOGIN\nO" },
	{ "safe-queue", SEVERITY_WARN, "SuperSafe=True", "SuperSafe=PostMilter", "PostMilter", "False" },
	{ "seven-bits", SEVERITY_WARN, "", "", "SevenBitInput=False", "SevenBitInput=True" },
	{ "looks-away", SEVERITY_WARN, "", "", "=safe", "=GroupReadableKeyFile" },
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
	/* Sendmail takes these, and they would hide a setting from us. */
	want_broken("V10\nOpnoexpn\n", "line 2: option of one letter");
	want_broken("V10\nO  MaxMessageSize=0\n", "line 2: option of one letter, or badly spaced");
	want_broken("V10\nO MaxMess=1000\n", "'MaxMess': an abbreviation, perhaps of MaxMessageSize");
	want_broken("V10\nXa, S=\"local:/a,b\", F=T\n", "quotes or backslashes");
	want_broken("V10\nXa, S=local:/a, f=T\n", "filter 'a': has 'f=T', which Sendmail does not know there");
	want_broken("V10\nXa, S=local:/a, F=T, F=R\n", "filter 'a': has F= twice");
	want_broken("V10\nO DaemonPortOptions=Port=587, P=25\n", "has P= twice");
	want_broken("V10\nXa, S=local:/a, F\n", "has 'F', which");
	want_broken("V10\nXa, S=local:/a, F=T,\n", "filter 'a' ends with a comma");
	want_broken("V10\nXa, S=local:/a, F=T\nXa, S=local:/b\n", "line 3: filter 'a' is there twice");
	want_broken("V10\nO DaemonPortOptions=Port=587, Zoo=1\n", "DaemonPortOptions=Port=587, Zoo=1: has 'Zoo=1'");
}

/* What no administrator wrote. */
static void
want_bytes_broken(const void *bytes, size_t len, const char *want)
{
	AUTO(xfree) char *path = xasprintf("%s/hostile.cf", place);
	AUTO_SENDMAIL struct sendmail mta = { 0 };
	FILE *out = fopen(path, "w");
	struct err err = { 0 };

	assert_non_null(out);
	assert_int_equal(fwrite(bytes, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(sendmail_read(path, settings, &mta, &err), -1);
	if (!strstr(err.text, want))
		fail_msg("'%s' is not in: %s", want, err.text);
}

static void
want_file_broken(const char *file, const char *want)
{
	AUTO_SENDMAIL struct sendmail mta = { 0 };
	struct err err = { 0 };

	assert_int_equal(sendmail_read(file, settings, &mta, &err), -1);
	if (!strstr(err.text, want))
		fail_msg("'%s' is not in: %s", want, err.text);
}

static void
test_hostile(void **state)
{
	static const char nul[] = "V10/Berkeley\nO AuthOptions=A\0 p\n", bytes[] = "\x7f" "ELF\n\xff\xfe";
	enum { MUCH = 5 * 1024 * 1024, LONG = 100 * 1024 };
	AUTO(xfree) char *much = xcalloc(1, MUCH + 1);
	AUTO(xfree) char *pipe_name = xasprintf("%s/pipe", place);
	AUTO(xfree) char *closed = xasprintf("%s/closed.cf", place);

	(void)state;
	want_bytes_broken(nul, sizeof(nul) - 1, "has a NUL after 28 bytes");
	want_bytes_broken(bytes, sizeof(bytes) - 1, "line 1: begins with '?'");
	want_bytes_broken(" O X=Y\n", 7, "line 1: begins with ' '");
	want_bytes_broken("\n\n\n", 3, "no V line");
	memset(much, 'O', MUCH);
	want_bytes_broken(much, MUCH, "has more than 4194304 bytes");
	want_bytes_broken(much, LONG, "line 1: has more than 65536 bytes");
	/* the same, in lines that continue one */
	for (size_t i = 2; i < LONG; i += 100)
		memcpy(much + i, "\n\t", 2);
	want_bytes_broken(much, LONG, "line 1: has more than 65536 bytes");
	want_file_broken(place, "is a folder; wanted the file itself");
	assert_int_equal(mkfifo(pipe_name, 0600), 0);
	want_file_broken(pipe_name, "is no ordinary file");
	want_file_broken("/dev/zero", "is no ordinary file");
	want_file_broken("/nonexistent/sendmail.cf", "No such file or directory");
	make_file("closed.cf", 0600);
	assert_int_equal(seteuid(1), 0);
	want_file_broken(closed, "Permission denied");
	assert_int_equal(seteuid(0), 0);
}

/* Every place where the text may end: nothing is read behind it. */
static void
test_cut(void **state)
{
	AUTO(xfree) char *path = xasprintf("%s/cut.cf", place);
	size_t whole = 0;

	(void)state;
	for (size_t len = 0; len <= sizeof(cf) - 1; len++) {
		AUTO_SENDMAIL struct sendmail mta = { 0 };
		FILE *out = fopen(path, "w");
		struct err err = { 0 };

		assert_non_null(out);
		assert_int_equal(fwrite(cf, 1, len, out), len);
		assert_int_equal(fclose(out), 0);
		if (sendmail_read(path, settings, &mta, &err) == 0)
			whole++;
		else
			assert_true(err.text[0]);
	}
	assert_true(whole > 100);
}

/* --- against Sendmail itself --- */

static const char *
unpacked(void)
{
	return getenv("SEGEL_SENDMAIL_DIR") ? getenv("SEGEL_SENDMAIL_DIR") : "/var/cache/segel-demo/sendmail";
}

/* Does Sendmail take this socket? Its word is on its first answer, or on standard error. */
static bool
sendmail_takes(const char *socket)
{
	AUTO(xfree) char *program = xasprintf("%s/root/usr/libexec/sendmail/sendmail", unpacked());
	AUTO(xfree) char *text = xasprintf("V10/Berkeley\nDjmail.kota.example\nMlocal, P=/bin/cat, F=ls, A=cat\nMprog, P=/bin/cat, F=ls, A=cat\n"
	    "O QueueDirectory=%s\nXa, S=local:%s, F=T\n", place, socket);
	AUTO(xfree) char *command = xasprintf("export LD_LIBRARY_PATH=$(dirname %s/root/usr/lib/*/libwrap.so.0); "
	    "timeout 60 unshare --uts sh -c 'echo mail.kota.example >/proc/sys/kernel/hostname; exec %s -C%s/sendmail.cf -bs </dev/null' "
	    ">%s/said 2>&1; ! grep -q unsafe %s/said && grep -q '^220' %s/said", unpacked(), program, place, place, place, place);

	write_cf(text);
	return system(command) == 0;
}

static void
test_unsafe(void **state)
{
	static const char *const sockets[] = {
		"/segel/milter.sock", "/segel/none.sock", "/none/milter.sock", "/group/milter.sock", "/through/milter.sock", "/linked.sock",
	};
	AUTO(xfree) char *program = xasprintf("%s/root/usr/libexec/sendmail/sendmail", unpacked());
	AUTO(xfree) char *linked = xasprintf("%s/linked.sock", place);
	AUTO(xfree) char *target = xasprintf("%s/segel/milter.sock", place);
	size_t n_unsafe = 0;

	(void)state;
	assert_int_equal(symlink(target, linked), 0);
	make_file("group/milter.sock", 0600);
	for (size_t i = 0; i < N_ELEMENTS(sockets); i++) {
		AUTO(xfree) char *socket = xasprintf("%s%s", place, sockets[i]);
		AUTO(xfree) char *unsafe = cf_unsafe_socket(socket);

		n_unsafe += unsafe != NULL;
		if (access(program, X_OK) == 0 && system("unshare --uts true 2>/dev/null") == 0 && sendmail_takes(socket) != !unsafe)
			fail_msg("%s: we say '%s', Sendmail says the contrary", socket, unsafe ? unsafe : "safe");
	}
	assert_int_equal(n_unsafe, 3);
	AUTO(xfree) char *shared = cf_unsafe_socket("/tmp/milter.sock");
	assert_non_null(shared);
	assert_non_null(strstr(shared, "folder '/tmp' has mode 1777: everybody"));
}

/* Debian's untouched file is refused: no filter at all. */
static void
test_untouched(void **state)
{
	AUTO(xfree) char *macros = xasprintf("%s/root/usr/share/sendmail/cf", unpacked());
	/* What is made at installation is not there: the version for its arithmetic, and the files of /etc/mail. */
	AUTO(xfree) char *command = xasprintf("sed -e 's|/usr/share/sendmail/cf|%s|' -e '/include(`.etc.mail/d' %s/debian/sendmail.mc | "
	    "m4 -Dsm_version_math=528641 -D_CF_DIR_=%s/ - >%s/sendmail.cf 2>/dev/null; test -s %s/sendmail.cf", macros, macros, macros, place, place);
	AUTO_FINDINGS struct findings findings = { 0 };
	const struct finding *finding;

	(void)state;
	if (access(macros, R_OK) == -1)
		skip();
	assert_int_equal(system(command), 0);
	judge(&findings);
	finding = findings_find(&findings, "service-unfiltered");
	assert_non_null(finding);
	assert_int_equal(finding->severity, SEVERITY_REFUSE);
	assert_string_equal(finding->where, "MSP-v4");
	assert_non_null(findings_find(&findings, "tls-off"));
	assert_null(findings_find(&findings, "bare-newline"));
}

/* Sendmail's own macros make the file; the documented lines pass. */
static void
test_documented(void **state)
{
	AUTO(xfree) char *macros = xasprintf("%s/root/usr/share/sendmail/cf", unpacked());
	AUTO(xfree) char *command = xasprintf(
	    "{ echo 'divert(0)dnl'; echo \"OSTYPE(\\`linux')dnl\"; echo \"define(\\`confDOMAIN_NAME', \\`mail.kota.example')dnl\"; "
	    "sed -e 's|/run/segel/submission|%s/segel|' contrib/sendmail/segel.m4; sed -e 's|/run/segel/inbound|%s/inbound|' contrib/sendmail/inbound.m4; cat contrib/sendmail/release.m4; "
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
	cmocka_unit_test(test_hostile), cmocka_unit_test(test_cut), cmocka_unit_test(test_unsafe), cmocka_unit_test(test_untouched),
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
