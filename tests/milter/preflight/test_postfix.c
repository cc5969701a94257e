/*
 * Every line of the list, through the real postconf: a configuration that has no finding of that name,
 * and one that differs by one thing and has it; what the finding tells to run mends it. The configurations
 * come from Debian's own files and from contrib/postfix. No mail server runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "milter/preflight/judge.h"
#include "milter/preflight/run.h"
#include "milter/preflight/swap.h"

/* --- a place --- */

static char place[64], postconf[128], debian[128];
static struct config *settings;
static struct findings as_documented; /* of the documented configuration as it is */

static char *
in_place(const char *name)
{
	return xasprintf("%s/%s", place, name);
}

static void
write_file(const char *name, const char *text)
{
	AUTO(xfree) char *path = in_place(name);
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

/* Postfix reads a file of this very second again and again, until it is older: somebody may be writing. */
static void
make_older(void)
{
	static const char *const names[] = { "main.cf", "master.cf" };
	const struct timespec times[2] = { { .tv_sec = time(NULL) - 3600 }, { .tv_sec = time(NULL) - 3600 } };

	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		AUTO(xfree) char *path = in_place(names[i]);

		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	}
}

static char *
read_file(const char *path)
{
	FILE *in = fopen(path, "r");
	char *text = NULL;
	size_t room = 0;

	if (!in)
		fail_msg("%s: %s", path, strerror(errno));
	if (getdelim(&text, &room, '\0', in) == -1)
		fail_msg("%s is empty", path);
	fclose(in);
	return text;
}

/* A socket that answers, in a folder that its group may enter. */
static void
listen_at(const char *folder, gid_t group)
{
	AUTO(xfree) char *path = xasprintf("%s/queue/%s", place, folder);
	AUTO(xfree) char *file = xasprintf("%s/milter.sock", path);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(mkdir(path, 0750), 0);
	assert_int_equal(chown(path, (uid_t)-1, group), 0);
	assert_true(strlen(file) < sizeof(address.sun_path));
	memcpy(address.sun_path, file, strlen(file) + 1);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(chown(file, (uid_t)-1, group), 0);
	assert_int_equal(chmod(file, 0660), 0);
	assert_int_equal(listen(fd, 64), 0);
}

/* Debian's postconf: installed, or unpacked beside another mail server. */
static bool
find_postconf(void)
{
	const char *root = getenv("SEGEL_POSTFIX_DIR") ? getenv("SEGEL_POSTFIX_DIR") : "/var/cache/segel-demo/postfix";
	AUTO(xfree) char *unpacked = xasprintf("%s/root/usr/sbin/postconf", root);
	AUTO(xfree) char *script = xasprintf("#!/bin/sh\nLD_LIBRARY_PATH=%s/root/usr/lib/postfix exec %s \"$@\"\n", root, unpacked);

	snprintf(postconf, sizeof(postconf), "/usr/sbin/postconf");
	snprintf(debian, sizeof(debian), "/usr/share/postfix");
	if (access(postconf, X_OK) == 0)
		return true;
	snprintf(postconf, sizeof(postconf), "%s/postconf", place);
	snprintf(debian, sizeof(debian), "%s/root/usr/share/postfix", root);
	write_file("postconf", script);
	return chmod(postconf, 0755) == 0 && access(unpacked, X_OK) == 0;
}

static void
load_settings(const char *more, struct config **ret)
{
	AUTO_BUF struct buf problems = { 0 };
	AUTO(xfree) char *path = in_place("segel.conf");
	AUTO(xfree) char *text = xasprintf(
	    "submission: { socket = \"%s/queue/segel/milter.sock\"; };\n"
	    "inbound: { socket = \"%s/queue/segel-inbound/milter.sock\"; };\n"
	    "local: { socket = \"%s/queue/segel-local/milter.sock\"; %s };\n"
	    "egress: { socket = \"%s/queue/segel-egress/milter.sock\"; };\n"
	    "quarantine: { certificate = \"/etc/segel/quarantine.crt\"; };\n"
	    "tlspol: { socket = \"%s/queue/tlspol.sock\"; };\n", place, place, place, more, place, place);

	write_file("segel.conf", text);
	buf_init(&problems, 4096);
	if (config_load(path, ret, &problems) == -1)
		fail_msg("%s", buf_text(&problems));
}

static int
make_place(void **state)
{
	const struct passwd *nobody = getpwnam("nobody");

	(void)state;
	snprintf(place, sizeof(place), "/tmp/segel-preflight-XXXXXX");
	assert_non_null(mkdtemp(place));
	assert_int_equal(chmod(place, 0755), 0);
	AUTO(xfree) char *queue = in_place("queue");
	assert_int_equal(mkdir(queue, 0755), 0);
	assert_non_null(nobody);
	listen_at("segel", nobody->pw_gid);
	listen_at("segel-inbound", nobody->pw_gid);
	listen_at("segel-local", nobody->pw_gid);
	listen_at("segel-egress", nobody->pw_gid);
	write_file("aliases", "root: admin\npostmaster: root@kota.example\n");
	load_settings("", &settings);
	if (!find_postconf()) {
		print_error("no postconf here: run contrib/check once, it installs Postfix\n");
		return -1;
	}
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int
leave_place(void **state)
{
	(void)state;
	findings_done(&as_documented);
	config_free(settings);
	return nftw(place, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- configurations --- */

/* Without its first service, which contrib/postfix/inbound.cf has in its place. */
static char *
master_without_smtp(void)
{
	AUTO(xfree) char *path = xasprintf("%s/master.cf.dist", debian);
	AUTO(xfree) char *text = read_file(path);
	char *line = strstr(text, "\nsmtp      inet");

	assert_non_null(line);
	line[1] = '#';
	return TAKE(text);
}

/* Debian's untouched files. */
static void
make_untouched(void)
{
	AUTO(xfree) char *main_path = xasprintf("%s/main.cf.debian", debian);
	AUTO(xfree) char *master_path = xasprintf("%s/master.cf.dist", debian);
	AUTO(xfree) char *main_text = read_file(main_path);
	AUTO(xfree) char *master_text = read_file(master_path);

	write_file("main.cf", main_text);
	write_file("master.cf", master_text);
	make_older();
}

/* The same with every line of contrib/postfix. */
static void
make_documented(void)
{
	AUTO(xfree) char *debian_main = xasprintf("%s/main.cf.debian", debian);
	AUTO(xfree) char *first = read_file(debian_main);
	AUTO(xfree) char *second = read_file("contrib/postfix/main.cf");
	AUTO(xfree) char *third = read_file("contrib/postfix/local.cf");
	AUTO(xfree) char *fourth = read_file("contrib/postfix/tls.cf");
	AUTO(xfree) char *main_text = xasprintf("%s%s%s%squeue_directory = %s/queue\nmail_owner = nobody\nalias_maps = texthash:%s/aliases\n"
	    "mydestination = kota.example\nmynetworks = 127.0.0.0/8\n", first, second, third, fourth, place, place);
	AUTO(xfree) char *dist = master_without_smtp();
	AUTO(xfree) char *submission = read_file("contrib/postfix/master.cf");
	AUTO(xfree) char *inbound = read_file("contrib/postfix/inbound.cf");
	AUTO(xfree) char *release = read_file("contrib/postfix/release.cf");
	AUTO(xfree) char *master_text = xasprintf("%s\n%s\n%s\n%s\n", dist, submission, inbound, release);

	write_file("main.cf", main_text);
	write_file("master.cf", master_text);
	make_older();
}

static void
run_or_fail(const char *const *argv)
{
	AUTO_RUN struct run run = { 0 };
	struct err err = { 0 };

	if (run_program(argv, &run, &err) == -1)
		fail_msg("%s", err.text);
	if (run.status != 0)
		fail_msg("%s %s %s %s: %s", argv[0], argv[1], argv[2], argv[3], buf_text(&run.err));
}

/*
 * "main NAME = VALUE", "-P SERVICE/TYPE/NAME=VALUE", "-F ...", "-M KEY=LINE", "file NAME TEXT",
 * "mode MODE NAME", one a line.
 */
static void
edit(const char *line)
{
	const char *space = strchr(line, ' '), *rest = space + 1;
	AUTO(xfree) char *how = xstrndup(line, (size_t)(space - line));

	if (strcmp(how, "file") == 0) {
		AUTO(xfree) char *name = xstrndup(rest, strcspn(rest, " "));
		AUTO(xfree) char *text = xasprintf("%s\n", rest + strlen(name) + 1);

		write_file(name, text);
	} else if (strcmp(how, "mode") == 0) {
		AUTO(xfree) char *path = in_place(strchr(rest, ' ') + 1);

		assert_int_equal(chmod(path, (mode_t)strtoul(rest, NULL, 8)), 0);
	} else {
		run_or_fail((const char *const[]){ postconf, "-c", place, strcmp(how, "main") == 0 ? "-e" : how, rest, NULL });
	}
}

static void
edit_all(const char *edits)
{
	while (edits && *edits) {
		const size_t len = strcspn(edits, "\n");
		AUTO(xfree) char *line = xstrndup(edits, len);
		AUTO(xfree) char *here = NULL;
		char *mark = strstr(line, "@PLACE@");

		/* one a line is enough */
		if (mark)
			here = xasprintf("%.*s%s%s", (int)(mark - line), line, place, mark + strlen("@PLACE@"));
		edit(here ? here : line);
		make_older();
		edits += len + (edits[len] == '\n');
	}
}

static void
judge_with(const struct config *config, struct findings *ret)
{
	AUTO_POSTFIX struct postfix mta = { 0 };
	struct err err = { 0 };

	if (postfix_read(postconf, place, config, &mta, &err) == -1)
		fail_msg("%s", err.text);
	postfix_judge(&mta, config, 100, ret);
}

/* --- the list --- */

struct row {
	const char *id;
	enum severity severity;
	const char *good, *bad; /* edits of the documented configuration; bad is good with one thing more */
	const char *undo;       /* what no command of ours mends */
};

#define SUB "-P submission/inet/"
#define SMTP "-P smtp/inet/"
#define RELEASE "127.0.0.1:10027/inet"
#define NEW_RELEASE "-M " RELEASE "=127.0.0.1:10027 inet n - y - - smtpd\n-P " RELEASE "/smtpd_milters="
#define UNIX_SUB "unix:segel/milter.sock"
#define REINJECT "-M 127.0.0.1:10025/inet=127.0.0.1:10025 inet n - n - - smtpd\n" \
	"-P 127.0.0.1:10025/inet/smtpd_milters=\n-P 127.0.0.1:10025/inet/mynetworks=127.0.0.0/8\n"

#define WAY_OUT(address) "-M " address ":10031/inet=" address ":10031 inet n - y - - smtpd\n" \
	"-P " address ":10031/inet/smtpd_milters=unix:segel-egress/milter.sock\n" \
	"-P " address ":10031/inet/smtpd_relay_restrictions=permit_mynetworks,reject"

static const struct row rows[] = {
	/* rule_service.c */
	{ "service-unfiltered", SEVERITY_REFUSE, "", SUB "smtpd_milters=", NULL },
	{ "service-unfiltered", SEVERITY_REFUSE, "", SUB "smtpd_milters=inet:localhost:8891", NULL },
	{ "service-unfiltered", SEVERITY_REFUSE, "", SUB "smtpd_milters=unix:other/milter.sock", NULL },
	{ "service-unfiltered", SEVERITY_REFUSE, "", SUB "receive_override_options=no_address_mappings,no_milters", NULL },
	{ "service-unfiltered", SEVERITY_REFUSE, "", SMTP "smtpd_milters=", NULL },
	{ "service-unfiltered", SEVERITY_REFUSE, SMTP "smtpd_milters=\n" SMTP "smtpd_relay_restrictions=reject_unauth_destination",
	  SMTP "smtpd_relay_restrictions=permit_mynetworks,reject_unauth_destination", NULL },
	{ "service-unfiltered", SEVERITY_REFUSE, SMTP "smtpd_milters=\n" SMTP "smtpd_client_restrictions=permit_sasl_authenticated,reject",
	  SMTP "smtpd_client_restrictions=permit_mynetworks,reject", NULL },
	{ "service-unfiltered", SEVERITY_REFUSE, SMTP "smtpd_milters=\n" SMTP "smtpd_relay_restrictions=reject_unauth_destination",
	  SMTP "smtpd_sasl_auth_enable=yes", NULL },
	{ "service-unfiltered", SEVERITY_REFUSE, SMTP "smtpd_milters=\n" SMTP "smtpd_relay_restrictions=$klausul\nmain klausul = reject",
	  SMTP "klausul=permit_mynetworks,reject", NULL },
	{ "service-unfiltered", SEVERITY_REFUSE, "main content_filter = scan:[127.0.0.1]:10024\n" REINJECT
	  "-P 127.0.0.1:10025/inet/content_filter=", "-P 127.0.0.1:10025/inet/smtpd_sasl_auth_enable=yes", NULL },
	{ "service-unfiltered", SEVERITY_REFUSE, "main content_filter = scan:[127.0.0.1]:10024\n" REINJECT
	  "-P 127.0.0.1:10025/inet/content_filter=", "main content_filter =", NULL },
	{ "service-table", SEVERITY_WARN, SMTP "smtpd_milters=\n" SMTP "smtpd_relay_restrictions=reject_unauth_destination",
	  SMTP "smtpd_relay_restrictions=check_client_access,hash:/etc/postfix/clients,reject_unauth_destination", NULL },
	{ "service-table", SEVERITY_WARN, SMTP "smtpd_milters=\n" SMTP "smtpd_relay_restrictions=dinas,reject_unauth_destination\nmain dinas = reject",
	  "main smtpd_restriction_classes = dinas", NULL },
	{ "service-role", SEVERITY_REFUSE, "", SUB "smtpd_milters=unix:segel-inbound/milter.sock", NULL },
	{ "service-role", SEVERITY_REFUSE, "", SMTP "smtpd_sasl_auth_enable=yes", NULL },
	{ "service-reinjection", SEVERITY_WARN, REINJECT "-P 127.0.0.1:10025/inet/content_filter=", "main content_filter = scan:[127.0.0.1]:10024",
	  "-P 127.0.0.1:10025/inet/smtpd_milters=" UNIX_SUB },
	{ "service-release", SEVERITY_WARN, "-MX " RELEASE, NEW_RELEASE, "-MX " RELEASE },
	{ "release-open", SEVERITY_REFUSE, "", "-M 10027/inet=10027 inet n - y - - smtpd\n-P 10027/inet/smtpd_milters=", "-MX 10027/inet" },
	{ "release-open", SEVERITY_REFUSE, "-M 192.0.2.1:10028/inet=192.0.2.1:10028 inet n - y - - smtpd",
	  "-M 0.0.0.0:10027/inet=0.0.0.0:10027 inet n - y - - smtpd", "-MX 0.0.0.0:10027/inet" },
	{ "release-judged", SEVERITY_REFUSE, "", "-P " RELEASE "/smtpd_milters=unix:segel-inbound/milter.sock", NULL },
	{ "release-keywords", SEVERITY_WARN, "main smtpd_discard_ehlo_keywords = 8bitmime", "-P " RELEASE "/smtpd_discard_ehlo_keywords=8bitmime", NULL },
	{ "release-keywords", SEVERITY_WARN, "-P " RELEASE "/smtpd_discard_ehlo_keywords=etrn", "-P " RELEASE "/smtpd_discard_ehlo_keywords=etrn,dsn", NULL },
	{ "release-missing", SEVERITY_WARN, "", "-MX " RELEASE, NEW_RELEASE },
	{ "service-no-login", SEVERITY_WARN, "", SUB "smtpd_sasl_auth_enable=no", NULL },
	{ "service-switched-off", SEVERITY_WARN, SMTP "smtpd_relay_restrictions=reject_unauth_destination",
	  SMTP "receive_override_options=no_milters", NULL },
	{ "milter-maps", SEVERITY_WARN, "", "main smtpd_milter_maps = cidr:{{127.0.0.0/8 DISABLE}}", NULL },
	{ "proxy-filter", SEVERITY_REFUSE, "", SUB "smtpd_proxy_filter=127.0.0.1:10024", NULL },
	{ "open-relay", SEVERITY_REFUSE, "", SMTP "smtpd_relay_restrictions=permit", NULL },
	{ "open-relay", SEVERITY_REFUSE, SMTP "smtpd_relay_restrictions=check_client_access,static:DUNNO,reject",
	  SMTP "smtpd_relay_restrictions=check_client_access,static:DUNNO", NULL },
	{ "networks-everybody", SEVERITY_REFUSE, "main mynetworks = 10.0.0.0/8", "main mynetworks = 10.0.0.0/8, 0.0.0.0/0", NULL },
	{ "networks-send", SEVERITY_WARN, "main mynetworks = 127.0.0.0/8, [::1]/128", "main mynetworks = 127.0.0.0/8, 10.0.0.0/8", NULL },
	{ "bare-newline", SEVERITY_REFUSE, "", "main smtpd_forbid_bare_newline = no", NULL },
	{ "bare-newline", SEVERITY_REFUSE, "main smtpd_forbid_bare_newline = reject", "main smtpd_forbid_bare_newline = note", NULL },
	{ "bare-newline", SEVERITY_REFUSE, "main smtpd_forbid_bare_newline = yes", SUB "smtpd_forbid_bare_newline=no", NULL },
	{ "bare-newline", SEVERITY_REFUSE, "-M lain/pass=smtpd pass - - y - - smtpd", "-P smtpd/pass/smtpd_forbid_bare_newline=no", NULL },
	{ "bare-newline-kept", SEVERITY_WARN, "", "main cleanup_replace_stray_cr_lf = no", NULL },
	{ "xclient", SEVERITY_REFUSE, "", "main smtpd_authorized_xclient_hosts = 127.0.0.1", NULL },
	{ "xclient", SEVERITY_REFUSE, "", SUB "smtpd_authorized_xclient_hosts=$mynetworks", NULL },
	{ "xforward", SEVERITY_WARN, "", "main smtpd_authorized_xforward_hosts = 127.0.0.1", NULL },
	{ "proxy-protocol", SEVERITY_WARN, "", SUB "smtpd_upstream_proxy_protocol=haproxy", NULL },
	{ "helo", SEVERITY_WARN, "main smtpd_helo_required = yes", "main smtpd_helo_required = no", NULL },
	{ "pipelining", SEVERITY_WARN, "main smtpd_data_restrictions = reject_unauth_pipelining", "main smtpd_data_restrictions =", NULL },
	{ "pipelining", SEVERITY_WARN, "main smtpd_forbid_unauth_pipelining = yes", "main smtpd_forbid_unauth_pipelining = no", NULL },
	{ "sasl-anonymous", SEVERITY_REFUSE, "", "main smtpd_sasl_security_options = noplaintext", NULL },
	{ "sasl-anonymous", SEVERITY_REFUSE, "", SUB "smtpd_sasl_tls_security_options=", NULL },
	/* rule_filter.c */
	{ "default-action", SEVERITY_REFUSE, "", "main milter_default_action = accept", NULL },
	{ "default-action", SEVERITY_REFUSE, "", "main milter_default_action = quarantine", NULL },
	{ "default-action", SEVERITY_REFUSE, "", SUB "milter_default_action=accept", NULL },
	{ "default-action", SEVERITY_REFUSE, SUB "smtpd_milters={" UNIX_SUB ",default_action=tempfail}",
	  SUB "smtpd_milters={" UNIX_SUB ",default_action=accept}", NULL },
	{ "default-action", SEVERITY_REFUSE, SUB "smtpd_milters=" UNIX_SUB ",{inet:localhost:8891,default_action=accept}",
	  SUB "smtpd_milters={" UNIX_SUB ",default_action=reject,content_timeout=300s},{inet:localhost:8891,default_action=accept}", NULL },
	{ "default-action", SEVERITY_REFUSE, "", "-P cleanup/unix/milter_default_action=accept", NULL },
	{ "milter-protocol", SEVERITY_WARN, "", "main milter_protocol = 2", NULL },
	{ "milter-protocol", SEVERITY_WARN, "", SUB "smtpd_milters={" UNIX_SUB ",protocol=4}", NULL },
	{ "content-timeout", SEVERITY_WARN, "", "main milter_content_timeout = 10s", NULL },
	{ "content-timeout", SEVERITY_WARN, SUB "smtpd_milters={" UNIX_SUB ",content_timeout=5m}",
	  SUB "smtpd_milters={" UNIX_SUB ",content_timeout=5s}", NULL },
	{ "command-timeout", SEVERITY_WARN, "", "main milter_command_timeout = 2s", NULL },
	{ "filter-order", SEVERITY_WARN, SUB "smtpd_milters=" UNIX_SUB ",inet:localhost:8891", SUB "smtpd_milters=inet:localhost:8891," UNIX_SUB, NULL },
	{ "filter-order", SEVERITY_WARN, SUB "smtpd_milters={" UNIX_SUB ",default_action=tempfail},unix:rspamd/milter.sock",
	  SUB "smtpd_milters=unix:rspamd/milter.sock,{" UNIX_SUB ",default_action=tempfail}", NULL },
	{ "filter-tcp", SEVERITY_REFUSE, "", SUB "smtpd_milters=inet:127.0.0.1:9999", NULL },
	{ "filter-tcp", SEVERITY_REFUSE, SUB "smtpd_milters=inet:127.0.0.1:8891", SUB "smtpd_milters={inet:127.0.0.1:9999,default_action=tempfail}", NULL },
	{ "filter-astray", SEVERITY_WARN, SUB "smtpd_milters=unix:/segel/milter.sock", SUB "smtpd_milters=unix:@PLACE@/queue/segel/milter.sock",
	  SUB "smtpd_milters=" UNIX_SUB },
	{ "filter-astray", SEVERITY_WARN, "-F submission/inet/chroot=n\n" SUB "smtpd_milters=unix:@PLACE@/queue/segel/milter.sock",
	  "-F submission/inet/chroot=y", "-F submission/inet/chroot=n" },
	{ "filter-open", SEVERITY_REFUSE, "mode 0750 queue/segel", "mode 0755 queue/segel", NULL },
	{ "filter-open", SEVERITY_REFUSE, "mode 0750 queue/segel-local", "mode 0751 queue/segel-local", NULL },
	{ "filter-open", SEVERITY_REFUSE, "mode 0755 queue", "mode 0777 queue", "mode 0755 queue" },
	{ "filter-closed", SEVERITY_WARN, "mode 0750 queue/segel", "mode 0700 queue/segel", "mode 0750 queue/segel" },
	{ "filter-closed", SEVERITY_WARN, "mode 0660 queue/segel/milter.sock", "mode 0640 queue/segel/milter.sock", "mode 0660 queue/segel/milter.sock" },
	{ "pickup-unfiltered", SEVERITY_REFUSE, "", "main non_smtpd_milters =", NULL },
	{ "pickup-unfiltered", SEVERITY_REFUSE, "", "-P cleanup/unix/non_smtpd_milters=", NULL },
	{ "pickup-unfiltered", SEVERITY_REFUSE, "-M lain/unix=lain unix n - y - 0 cleanup\n-P lain/unix/non_smtpd_milters=",
	  "-P pickup/unix/cleanup_service_name=lain", NULL },
	{ "pickup-role", SEVERITY_REFUSE, "", "main non_smtpd_milters = " UNIX_SUB, NULL },
	{ "pickup-role", SEVERITY_REFUSE, "", "main non_smtpd_milters = unix:segel-local/milter.sock, unix:segel-inbound/milter.sock", NULL },
	{ "pickup-switched-off", SEVERITY_REFUSE, "", "-P pickup/unix/receive_override_options=no_milters", NULL },
	{ "smtpd-local-role", SEVERITY_REFUSE, "", SMTP "smtpd_milters=unix:segel-local/milter.sock", NULL },
	{ "internal-mail", SEVERITY_WARN, "", "main internal_mail_filter_classes = bounce", NULL },
	{ "processes", SEVERITY_WARN, "main default_process_limit = 100", "main default_process_limit = 99", NULL },
	{ "processes", SEVERITY_WARN, "-F submission/inet/process_limit=100", "-F submission/inet/process_limit=20", NULL },
	{ "filter-order", SEVERITY_WARN, SMTP "smtpd_milters=inet:localhost:8891,unix:segel-inbound/milter.sock",
	  SMTP "smtpd_milters=inet:localhost:8891," UNIX_SUB, NULL },
	{ "pickup-role", SEVERITY_REFUSE, "", "main non_smtpd_milters = unix:segel-egress/milter.sock", NULL },
	/* rule_egress.c */
	{ "egress-open", SEVERITY_WARN, WAY_OUT("127.0.0.1"), WAY_OUT("192.0.2.1"), "-MX 192.0.2.1:10031/inet" },
	{ "egress-open", SEVERITY_WARN, WAY_OUT("[::1]"), WAY_OUT("0.0.0.0"), "-MX 0.0.0.0:10031/inet" },
	{ "egress-inbound", SEVERITY_REFUSE, SMTP "smtpd_relay_restrictions=reject_unauth_destination",
	  SMTP "smtpd_milters=unix:segel-egress/milter.sock", NULL },
	{ "default-action", SEVERITY_REFUSE, WAY_OUT("127.0.0.1") "\n-P 127.0.0.1:10031/inet/milter_default_action=tempfail",
	  "-P 127.0.0.1:10031/inet/milter_default_action=accept", NULL },
	/* rule_tls.c */
	{ "tls-off", SEVERITY_WARN, "", SUB "smtpd_tls_security_level=none", NULL },
	{ "tls-off", SEVERITY_WARN, SUB "smtpd_tls_security_level=\n" SUB "smtpd_tls_wrappermode=yes", SUB "smtpd_tls_wrappermode=no", NULL },
	{ "tls-no-certificate", SEVERITY_WARN, "main smtpd_tls_cert_file = /etc/ssl/certs/server.crt", "main smtpd_tls_cert_file =", NULL },
	{ "tls-login-clear", SEVERITY_WARN, SUB "smtpd_tls_security_level=may", SUB "smtpd_tls_auth_only=no", NULL },
	{ "tls-login-clear", SEVERITY_WARN, SUB "smtpd_tls_auth_only=no", SUB "smtpd_tls_security_level=may", NULL },
	{ "tls-anonymous", SEVERITY_WARN, SUB "smtpd_tls_mandatory_exclude_ciphers=aNULL", SUB "smtpd_tls_mandatory_exclude_ciphers=RC4", NULL },
	{ "tls-anonymous", SEVERITY_WARN, SUB "smtpd_tls_exclude_ciphers=aNULL,MD5", SUB "smtpd_tls_exclude_ciphers=MD5", NULL },
	{ "tls-loglevel", SEVERITY_WARN, "main smtpd_tls_loglevel = 1", "main smtpd_tls_loglevel = 0", NULL },
	{ "smtp-tls-off", SEVERITY_WARN, "main smtp_tls_security_level = may", "main smtp_tls_security_level = none", NULL },
	{ "smtp-tls-off", SEVERITY_WARN, "main smtp_tls_security_level = dane", "-P relay/unix/smtp_tls_security_level=", NULL },
	{ "smtp-tls-policy", SEVERITY_WARN, "main smtp_tls_policy_maps = socketmap:unix:tlspol.sock:tls\nfile queue/tlspol.sock x",
	  "main smtp_tls_policy_maps = texthash:/etc/postfix/policy", NULL },
	{ "smtp-fallback-relay", SEVERITY_REFUSE, "main smtp_tls_security_level = may", "main smtp_fallback_relay = [smtp.example.net]", NULL },
	{ "smtp-fallback-relay", SEVERITY_REFUSE, "main smtp_tls_security_level = encrypt\nmain smtp_fallback_relay = [smtp.example.net]",
	  "main smtp_tls_security_level = may", NULL },
	{ "smtp-next-hop", SEVERITY_WARN, "main smtp_tls_security_level = may\nmain smtp_tls_policy_maps =", "main relayhost = [smtp.example.net]:587", NULL },
	{ "smtp-next-hop", SEVERITY_WARN, "main smtp_tls_security_level = encrypt\nmain smtp_tls_policy_maps =\nmain transport_maps = texthash:/etc/postfix/transport",
	  "main smtp_tls_security_level = may", NULL },
	{ "smtp-tls-loglevel", SEVERITY_WARN, "main smtp_tls_loglevel = 1", "main smtp_tls_loglevel = 0", NULL },
	/* rule_mail.c */
	{ "message-size", SEVERITY_REFUSE, "main message_size_limit = 55050240", "main message_size_limit = 55050239", NULL },
	{ "message-size", SEVERITY_REFUSE, "main message_size_limit = 0", SUB "message_size_limit=10240000", NULL },
	{ "mailbox-size", SEVERITY_REFUSE, "main mailbox_size_limit = 55050240", "main mailbox_size_limit = 51200000", NULL },
	{ "mailbox-size", SEVERITY_REFUSE, "main mailbox_size_limit = 60000000", "main message_size_limit = 0", NULL },
	{ "virtual-mailbox-size", SEVERITY_REFUSE, "main virtual_mailbox_domains = b.example\nmain virtual_mailbox_limit = 55050240",
	  "main virtual_mailbox_limit = 55050239", NULL },
	{ "queue-minfree", SEVERITY_WARN, "main queue_minfree = 100000000", "main queue_minfree = 0", NULL },
	{ "bounce-size", SEVERITY_WARN, "main bounce_size_limit = 1", "main bounce_size_limit = 50000", NULL },
	{ "percent-hack", SEVERITY_WARN, "main allow_percent_hack = no", "main allow_percent_hack = yes", NULL },
	{ "bang-path", SEVERITY_WARN, "main swap_bangpath = no", "main swap_bangpath = yes", NULL },
	{ "dequoted-address", SEVERITY_WARN, "main resolve_dequoted_address = no", "main resolve_dequoted_address = yes", NULL },
	{ "bcc", SEVERITY_WARN, "", "main always_bcc = archive@kota.example", NULL },
	{ "bcc", SEVERITY_WARN, "", "main recipient_bcc_maps = texthash:/etc/postfix/bcc", NULL },
	{ "alias-outside", SEVERITY_WARN, "file aliases root: admin, siti@kota.example", "file aliases root: admin, siti@luar.example",
	  "file aliases root: admin" },
	{ "alias-outside", SEVERITY_WARN, "main virtual_alias_maps = texthash:@PLACE@/virtual\nfile virtual budi@kota.example siti@kota.example",
	  "file virtual budi@kota.example siti@luar.example", "file virtual budi@kota.example siti@kota.example" },
	{ "alias-unread", SEVERITY_WARN, "", "main virtual_alias_maps = ldap:/etc/postfix/ldap.cf", "main virtual_alias_maps =" },
	{ "rewriting", SEVERITY_WARN, "", "main canonical_maps = texthash:/etc/postfix/canonical", NULL },
	{ "changed-later", SEVERITY_WARN, "", "main smtp_generic_maps = texthash:/etc/postfix/generic", NULL },
	{ "changed-later", SEVERITY_WARN, "", "-P relay/unix/smtp_header_checks=regexp:/etc/postfix/checks", NULL },
	{ "milter-header-checks", SEVERITY_WARN, "", "main milter_header_checks = regexp:/etc/postfix/checks", NULL },
	{ "soft-bounce", SEVERITY_WARN, "", "main soft_bounce = yes", NULL },
	{ "postconf-warning", SEVERITY_WARN, "", SUB "smtpd_milter=unix:salah", "-PX submission/inet/smtpd_milter" },
};

/* What needs other settings or another beginning has a test of its own. */
static const char *const others[] = { "egress-missing", "split-role", "split-missing", "split-strangers", "split-pickup", "decrypt-order", "filter-fallback", "split-alias", "split-twice", "table-past", "table-unread", "no-filter", "local-senders", "local-extension", "pretend", "filter-silent", "filter-unseen", "swap" };

static void
want_none(const char *id, const char *when)
{
	AUTO_FINDINGS struct findings findings = { 0 };
	const struct finding *finding;

	judge_with(settings, &findings);
	finding = findings_find(&findings, id);
	if (finding)
		fail_msg("%s: %s: %s", when, finding->where, finding->what);
}

/* By the shell, as people would. The usual folder's commands name no folder; ours do. */
static void
mend(const struct finding *finding)
{
	AUTO(xfree) char *command = NULL;
	const bool installed = strncmp(finding->mend, "postconf ", 9) == 0;

	if (!installed && strncmp(finding->mend, "chmod ", 6) != 0)
		fail_msg("no command, and no undo in the row: %s", finding->mend);
	command = installed ? xasprintf("%s %s", postconf, finding->mend + 9) : xstrdup(finding->mend);
	if (system(command) != 0)
		fail_msg("does not work: %s", command);
	make_older();
}

static void
test_row(void **state)
{
	const struct row *row = *state;
	AUTO_FINDINGS struct findings findings = { 0 };
	const struct finding *finding;

	make_documented();
	edit_all(row->good);
	if (*row->good)
		want_none(row->id, "good");
	else if (findings_find(&as_documented, row->id))
		fail_msg("found in the documented configuration");
	edit_all(row->bad);
	judge_with(settings, &findings);
	finding = findings_find(&findings, row->id);
	if (!finding)
		fail_msg("not found in: %s", row->bad);
	assert_int_equal(finding->severity, row->severity);
	assert_true(*finding->what && *finding->why && *finding->mend && *finding->where);
	if (row->undo)
		edit_all(row->undo);
	else
		mend(finding);
	want_none(row->id, "mended");
}

static int
leave_row(void **state)
{
	(void)state;
	edit_all("file aliases root: admin\nmode 0755 queue\nmode 0750 queue/segel\nmode 0750 queue/segel-local\nmode 0660 queue/segel/milter.sock");
	AUTO(xfree) char *tlspol = in_place("queue/tlspol.sock");
	(void)unlink(tlspol);
	return 0;
}

/* --- whole configurations --- */

/* The documented lines, on Debian's files: nothing to refuse. */
static void
test_documented(void **state)
{
	AUTO_FINDINGS struct findings findings = { 0 };

	(void)state;
	make_documented();
	judge_with(settings, &findings);
	for (size_t i = 0; i < findings.n; i++)
		if (findings.at[i].severity == SEVERITY_REFUSE)
			fail_msg("%s: %s: %s", findings.at[i].id, findings.at[i].where, findings.at[i].what);
}

static void
test_untouched(void **state)
{
	AUTO_FINDINGS struct findings findings = { 0 };
	const struct finding *finding;

	(void)state;
	make_untouched();
	judge_with(settings, &findings);
	finding = findings_find(&findings, "bare-newline");
	assert_non_null(finding);
	assert_int_equal(finding->severity, SEVERITY_REFUSE);
	assert_string_equal(finding->where, "smtp/inet");
	assert_string_equal(finding->what, "smtpd_forbid_bare_newline = no (default)");
	assert_non_null(findings_find(&findings, "no-filter"));
	mend(finding);
	want_none("bare-newline", "mended");
}

/* Loopback only: bare newlines from this machine are not the Internet's, but local programs may send. */
static void
test_loopback_only(void **state)
{
	AUTO_FINDINGS struct findings findings = { 0 };

	(void)state;
	make_untouched();
	edit_all("main inet_interfaces = loopback-only");
	judge_with(settings, &findings);
	assert_null(findings_find(&findings, "bare-newline"));
	assert_non_null(findings_find(&findings, "service-unfiltered"));
}

static bool
is_found_at(const struct findings *findings, const char *id, const char *where)
{
	for (size_t i = 0; i < findings->n; i++)
		if (strcmp(findings->at[i].id, id) == 0 && strcmp(findings->at[i].where, where) == 0)
			return true;
	return false;
}

static void
test_one_of_many_services(void **state)
{
	AUTO_FINDINGS struct findings findings = { 0 };

	(void)state;
	make_documented();
	edit_all("-M 127.0.0.2:26/inet=127.0.0.2:26 inet n - y - - smtpd\n-P 127.0.0.2:26/inet/smtpd_authorized_xclient_hosts=10.0.0.1");
	judge_with(settings, &findings);
	assert_string_equal(findings_find(&findings, "xclient")->where, "127.0.0.2:26/inet");
	edit_all("main smtpd_authorized_xclient_hosts = 10.0.0.1");
	findings_done(&findings);
	judge_with(settings, &findings);
	assert_true(is_found_at(&findings, "xclient", "127.0.0.2:26/inet"));
	assert_true(is_found_at(&findings, "xclient", RELEASE ", smtp/inet, submission/inet"));
}

static void
test_local_senders(void **state)
{
	AUTO(config_free) struct config *with = NULL;
	AUTO_FINDINGS struct findings findings = { 0 };

	(void)state;
	load_settings("senders = ( { user = \"www-data\"; from = [ \"web@kota.example\" ]; } );", &with);
	make_documented();
	judge_with(with, &findings);
	assert_null(findings_find(&findings, "local-senders"));
	assert_null(findings_find(&findings, "local-extension"));
	edit_all("main recipient_delimiter = +");
	judge_with(with, &findings);
	assert_null(findings_find(&findings, "local-extension"));
	edit_all("main recipient_delimiter = +e");
	judge_with(with, &findings);
	assert_int_equal(findings_find(&findings, "local-extension")->severity, SEVERITY_REFUSE);
	edit_all("main local_login_sender_maps = static:*");
	want_none("local-senders", "no senders");
	judge_with(with, &findings);
	assert_int_equal(findings_find(&findings, "local-senders")->severity, SEVERITY_REFUSE);
}

#define SPLIT_ON "}; encrypt: { use = true; split = true; hide_subject = false; }; split: { trigger = \"X-Acak-7\"; "

/* The documented lines of segel-split; each of them missing, and mended. */
static void
test_split(void **state)
{
	static const struct {
		const char *id, *edits, *more;
		const char *way; /* NULL = as the documented lines have it */
	} missing[] = {
		{ "split-missing", SUB "content_filter=", "", NULL },
		{ "split-missing", SUB "content_filter=", "socket = \"/var/spool/postfix/segel-split/split.sock\";",
		  "unix:/var/spool/postfix/segel-split/split.sock" },
		{ "split-missing", SUB "content_filter=", "socket = \"[::1]:10029\";", "[::1]:10029" },
		{ "split-missing", SUB "content_filter=scan:[127.0.0.1]:10024", "", NULL },
		{ "split-missing", SUB "content_filter=scan:unix:private/scan", "", NULL },
		{ "split-strangers", SMTP "content_filter=segel-split:127.0.0.1:10029", "", NULL },
		{ "split-strangers", "-P 127.0.0.1:10030/inet/content_filter=segel-split:[127.0.0.1]:10029", "", NULL },
		{ "split-strangers", "-P " RELEASE "/content_filter=inet:[127.0.0.1]:10029", "", NULL },
		{ "split-pickup", "main content_filter = segel-split:[127.0.0.1]:10029", "", NULL },
		{ "split-alias", SUB "receive_override_options=no_address_mappings", "", NULL },
		{ "split-alias", SUB "receive_override_options=no_header_body_checks,no_address_mappings", "", NULL },
		{ "split-twice", "-P 127.0.0.1:10030/inet/receive_override_options=", "", NULL },
		{ "split-twice", "-P 127.0.0.1:10030/inet/receive_override_options=no_header_body_checks", "", NULL },
	};
	AUTO(xfree) char *split = read_file("contrib/postfix/split-master.cf");
	AUTO(xfree) char *path = in_place("master.cf");

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(missing); i++) {
		AUTO(config_free) struct config *with = NULL;
		AUTO_FINDINGS struct findings findings = { 0 };
		AUTO(xfree) char *settings_text = xasprintf("%s%s", SPLIT_ON, missing[i].more);

		load_settings(settings_text, &with);
		make_documented();
		AUTO(xfree) char *documented = read_file(path);
		AUTO(xfree) char *all = xasprintf("%s\n%s\n", documented, split);
		write_file("master.cf", all);
		make_older();
		AUTO(xfree) char *way = xasprintf(SUB "content_filter=segel-split:%s\n" SUB "receive_override_options=",
		    missing[i].way ? missing[i].way : "[127.0.0.1]:10029");
		edit_all(way);
		judge_with(with, &findings);
		if (findings_find(&findings, missing[i].id))
			fail_msg("found before: %s", missing[i].edits);
		edit_all(missing[i].edits);
		want_none(missing[i].id, "nothing is split");
		judge_with(with, &findings);
		if (!findings_find(&findings, missing[i].id))
			fail_msg("not found in: %s", missing[i].edits);
		assert_int_equal(findings_find(&findings, missing[i].id)->severity,
		    strcmp(missing[i].id, "split-pickup") == 0 ? SEVERITY_WARN : SEVERITY_REFUSE);
		mend(findings_find(&findings, missing[i].id));
		findings_done(&findings);
		judge_with(with, &findings);
		assert_null(findings_find(&findings, missing[i].id));
	}
}

/* A scanner in front of segel-split is none that stands in its place. */
static void
test_split_behind_a_scanner(void **state)
{
	static const struct {
		const char *edits;
		bool good;
	} cases[] = {
		{ "-P 127.0.0.1:10025/inet/content_filter=segel-split:[127.0.0.1]:10029", true },
		{ "-P 127.0.0.1:10025/inet/content_filter=segel-split:[127.0.0.1]:10028", false },
		{ "-P 127.0.0.1:10025/inet/content_filter=", false },
	};
	AUTO(config_free) struct config *with = NULL;

	(void)state;
	load_settings(SPLIT_ON, &with);
	make_documented();
	edit_all(SUB "content_filter=scan:[127.0.0.1]:10024\n-M 127.0.0.1:10025/inet=127.0.0.1:10025 inet n - y - - smtpd\n"
	    "-P 127.0.0.1:10025/inet/smtpd_milters=");
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		AUTO_FINDINGS struct findings findings = { 0 };

		edit_all(cases[i].edits);
		judge_with(with, &findings);
		assert_int_equal(findings_find(&findings, "split-missing") == NULL, cases[i].good);
		assert_null(findings_find(&findings, "split-strangers"));
	}
}

/* What Postfix does with mail for segel-split or role egress while they are away. */
static void
test_filter_fallback(void **state)
{
	static const struct {
		const char *edits;
		bool good;
	} cases[] = {
		{ SUB "content_filter=smtp:[127.0.0.1]:10031", true },
		{ "main smtp_tls_security_level = encrypt\nmain smtp_fallback_relay = [192.0.2.9]", false },
		{ SUB "content_filter=segel-split:[127.0.0.1]:10029", true },
		{ "-P segel-split/unix/smtp_fallback_relay=[192.0.2.9]", false },
	};
	AUTO(config_free) struct config *with = NULL;
	AUTO(xfree) char *split = read_file("contrib/postfix/split-master.cf");
	AUTO(xfree) char *path = in_place("master.cf");

	(void)state;
	load_settings(SPLIT_ON, &with);
	make_documented();
	AUTO(xfree) char *documented = read_file(path);
	AUTO(xfree) char *all = xasprintf("%s\n%s\n", documented, split);
	write_file("master.cf", all);
	make_older();
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		AUTO_FINDINGS struct findings findings = { 0 };
		const struct finding *found;

		edit_all(cases[i].edits);
		want_none("filter-fallback", "nothing is encrypted");
		judge_with(with, &findings);
		found = findings_find(&findings, "filter-fallback");
		assert_int_equal(found == NULL, cases[i].good);
		if (!found)
			continue;
		assert_int_equal(found->severity, SEVERITY_REFUSE);
		mend(found);
		findings_done(&findings);
		judge_with(with, &findings);
		assert_null(findings_find(&findings, "filter-fallback"));
	}
}

#define BACK "-P 127.0.0.1:10030/inet/"
#define IN_FRONT "submission/inet"
#define BEHIND "127.0.0.1:10030/inet"
#define WAY "segel-split:[127.0.0.1]:10029"

/* FILTER, REDIRECT and BCC in whatever table: past segel-split, behind it, or harmless. */
static void
test_tables_lead_past(void **state)
{
	static const struct {
		const char *edits;
		const char *past, *unread; /* NULL = not found; else at which service */
	} cases[] = {
		{ "file checks /^X-Arsip:/ WARN ada", NULL, NULL },
		{ "file checks /^X-Arsip:/ FILTER " WAY, NULL, NULL },
		{ "file checks /^X-Arsip:/ FILTER smtp:[192.0.2.9]", IN_FRONT, NULL },
		{ "file checks /^X-Arsip:/i   redirect arsip@luar.example", IN_FRONT, NULL },
		{ "file checks /^X-Arsip:/ BCC arsip@luar.example", NULL, NULL },
		{ BACK "receive_override_options=no_address_mappings", BEHIND, NULL },
		{ "file checks /^X-Arsip: FILTER smtp:/ WARN ada", NULL, NULL },
		{ "file checks /^X-Arsip:\\/ FILTER/ REDIRECT arsip@luar.example", IN_FRONT, NULL },
		{ "file checks # /^X-Arsip:/ FILTER smtp:[192.0.2.9]", NULL, NULL },
		{ "checks:if /^X-Arsip:/\n/dinas/!/umum/\n  # kosong\n  FILTER smtp:\nendif", IN_FRONT, NULL },
		{ "-P cleanup/unix/header_checks=", NULL, NULL },
		{ "main body_checks = pcre:{{/rahasia/ FILTER smtp:[192.0.2.9]}}", IN_FRONT, NULL },
		{ SUB "receive_override_options=no_header_body_checks", NULL, NULL },
		{ SUB "receive_override_options=", IN_FRONT, NULL },
		{ "main body_checks =\nmain nested_header_checks = ldap:/etc/postfix/ldap.cf", NULL, IN_FRONT },
		{ "main nested_header_checks =", NULL, NULL },
		{ "main smtpd_sender_restrictions = check_sender_access static:OK", NULL, NULL },
		{ "main smtpd_sender_restrictions = check_sender_access static:{FILTER smtp:[192.0.2.9]}", IN_FRONT, NULL },
		{ "main smtpd_sender_restrictions =\nmain smtpd_restriction_classes = dinas\nmain dinas = check_recipient_access texthash:@PLACE@/access\n"
		  "file access sekda@luar.example OK\n" SUB "smtpd_recipient_restrictions=dinas,permit_sasl_authenticated,reject", NULL, NULL },
		{ "file access sekda@luar.example BCC arsip@luar.example", NULL, NULL },
		{ "file access \"sek da\"@luar.example REDIRECT arsip@luar.example", IN_FRONT, NULL },
		{ "file access sekda@luar.example FILTER smtp:[192.0.2.9]", IN_FRONT, NULL },
		{ "main dinas = check_recipient_access unionmap:{texthash:@PLACE@/access,static:OK}", IN_FRONT, NULL },
		{ "main dinas = check_recipient_access inline:{sekda@luar.example=OK}", NULL, NULL },
		{ "main dinas = check_recipient_access inline:{{sekda@luar.example = FILTER smtp:}}", IN_FRONT, NULL },
		{ "main dinas = check_policy_service unix:private/kuota", NULL, IN_FRONT },
		{ "main dinas = check_recipient_access texthash:@PLACE@/nowhere", NULL, IN_FRONT },
	};
	AUTO(config_free) struct config *with = NULL;
	AUTO(xfree) char *split = read_file("contrib/postfix/split-master.cf");
	AUTO(xfree) char *path = in_place("master.cf");

	(void)state;
	load_settings(SPLIT_ON, &with);
	make_documented();
	AUTO(xfree) char *documented = read_file(path);
	AUTO(xfree) char *all = xasprintf("%s\n%s\n", documented, split);
	write_file("master.cf", all);
	make_older();
	edit_all(SUB "content_filter=" WAY "\n" SUB "receive_override_options=\nmain header_checks = regexp:@PLACE@/checks");
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		AUTO_FINDINGS struct findings findings = { 0 };
		const struct finding *past, *unread;

		if (strncmp(cases[i].edits, "checks:", 7) == 0)
			write_file("checks", cases[i].edits + 7);
		else
			edit_all(cases[i].edits);
		judge_with(with, &findings);
		past = findings_find(&findings, "table-past");
		unread = findings_find(&findings, "table-unread");
		if (!cases[i].past != !past || !cases[i].unread != !unread)
			fail_msg("%s: %s, %s", cases[i].edits, past ? past->what : "nothing leads past", unread ? unread->what : "everything is read");
		if (past) {
			assert_string_equal(past->where, cases[i].past);
			assert_int_equal(past->severity, SEVERITY_REFUSE);
		}
		if (unread) {
			assert_string_equal(unread->where, cases[i].unread);
			assert_int_equal(unread->severity, SEVERITY_WARN);
		}
		if (past && strcmp(past->where, BEHIND) == 0)
			mend(past);
	}
	want_none("table-past", "nothing is encrypted");
	want_none("table-unread", "nothing is encrypted");
}

/* Without segel-split: what a table adds or turns away is seen by role egress, or by nobody. */
static void
test_tables_lead_past_one_body(void **state)
{
	static const struct {
		const char *edits;
		bool good;
	} cases[] = {
		{ "file checks /^X-Arsip:/ FILTER smtp:[192.0.2.9]", true },
		{ "file checks /^X-Arsip:/ BCC arsip@luar.example", false },
		{ SUB "content_filter=smtp:[127.0.0.1]:10031", true },
		{ "file checks /^X-Arsip:/ FILTER smtp:[127.0.0.1]:10031", true },
		{ "file checks /^X-Arsip:/ FILTER smtp:[192.0.2.9]", false },
	};
	AUTO(config_free) struct config *with = NULL;

	(void)state;
	load_settings("}; encrypt: { use = true; ", &with);
	make_documented();
	edit_all("main header_checks = regexp:@PLACE@/checks");
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		AUTO_FINDINGS struct findings findings = { 0 };

		edit_all(cases[i].edits);
		judge_with(with, &findings);
		assert_int_equal(findings_find(&findings, "table-past") == NULL, cases[i].good);
	}
}

#define OPENING "}; decrypt: { use = true; }; keyd: { unwrappers = [ \"segel-inbound\" ]; keys = ( { file = \"/etc/segel/buka.key\"; " \
	"passphrase_file = \"/etc/segel/sandi\"; purpose = \"decrypt\"; unwrappers = [ \"segel-inbound\" ]; } ); "

/* What is opened has another body than the one that was signed: DKIM is checked in front of it, or not at all. */
static void
test_decrypt_order(void **state)
{
	static const struct {
		const char *settings, *edits;
		bool good;
	} cases[] = {
		{ OPENING, SMTP "smtpd_milters=inet:localhost:8891,unix:segel-inbound/milter.sock", true },
		{ OPENING, SMTP "smtpd_milters=unix:segel-inbound/milter.sock", true },
		{ "", SMTP "smtpd_milters=unix:segel-inbound/milter.sock,inet:localhost:8891", true },
		{ OPENING, SMTP "smtpd_milters=unix:segel-inbound/milter.sock,inet:localhost:8891", false },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		AUTO(config_free) struct config *with = NULL;
		AUTO_FINDINGS struct findings findings = { 0 };
		const struct finding *found;

		load_settings(cases[i].settings, &with);
		make_documented();
		edit_all(cases[i].edits);
		judge_with(with, &findings);
		found = findings_find(&findings, "decrypt-order");
		assert_int_equal(found == NULL, cases[i].good);
		if (!found)
			continue;
		assert_int_equal(found->severity, SEVERITY_WARN);
		mend(found);
		findings_done(&findings);
		judge_with(with, &findings);
		assert_null(findings_find(&findings, "decrypt-order"));
	}
}

/* The documented listeners of role egress: nothing to refuse; and nobody looks. */
static void
test_egress_missing(void **state)
{
	AUTO(config_free) struct config *with = NULL;
	AUTO_FINDINGS struct findings findings = { 0 };
	AUTO(xfree) char *split = read_file("contrib/postfix/split-master.cf");
	AUTO(xfree) char *path = in_place("master.cf");

	(void)state;
	load_settings(SPLIT_ON, &with);
	make_documented();
	AUTO(xfree) char *documented = read_file(path);
	AUTO(xfree) char *egress = read_file("contrib/postfix/egress.cf");
	AUTO(xfree) char *all = xasprintf("%s\n%s\n%s\n", documented, split, egress);
	write_file("master.cf", all);
	make_older();
	edit_all(SUB "content_filter=segel-split:[127.0.0.1]:10029\nmain message_size_limit = 73400320");
	judge_with(with, &findings);
	for (size_t i = 0; i < findings.n; i++)
		if (findings.at[i].severity == SEVERITY_REFUSE || strcmp(findings.at[i].id, "tls-off") == 0
		    || strcmp(findings.at[i].id, "service-reinjection") == 0)
			fail_msg("%s: %s: %s", findings.at[i].id, findings.at[i].where, findings.at[i].what);
	findings_done(&findings);
	edit_all("-P 127.0.0.1:10030/inet/smtpd_milters=unix:segel-inbound/milter.sock");
	want_none("split-role", "nothing is split");
	judge_with(with, &findings);
	assert_string_equal(findings_find(&findings, "split-role")->where, "127.0.0.1:10030/inet");
	assert_null(findings_find(&findings, "egress-missing"));
	findings_done(&findings);
	edit_all("-P 127.0.0.1:10030/inet/smtpd_milters=");
	want_none("egress-missing", "nothing is split");
	judge_with(with, &findings);
	assert_int_equal(findings_find(&findings, "egress-missing")->severity, SEVERITY_REFUSE);
	assert_int_equal(findings_find(&findings, "service-reinjection")->severity, SEVERITY_WARN);
	assert_null(findings_find(&findings, "split-role"));
}

static void
test_pretend(void **state)
{
	AUTO(config_free) struct config *with = NULL;
	AUTO_FINDINGS struct findings findings = { 0 };

	(void)state;
	load_settings("}; pretend = true; log: {", &with);
	make_documented();
	want_none("pretend", "not pretending");
	judge_with(with, &findings);
	assert_int_equal(findings_find(&findings, "pretend")->severity, SEVERITY_WARN);
}

static void
test_silent(void **state)
{
	AUTO_FINDINGS struct findings findings = { 0 };
	AUTO(xfree) char *socket = in_place("queue/segel-inbound/milter.sock");
	AUTO(xfree) char *away = in_place("queue/segel-inbound/away.sock");

	(void)state;
	make_documented();
	want_none("filter-silent", "answers");
	assert_int_equal(rename(socket, away), 0);
	judge_with(settings, &findings);
	assert_int_equal(rename(away, socket), 0);
	assert_int_equal(findings_find(&findings, "filter-silent")->severity, SEVERITY_WARN);
	assert_string_equal(findings_find(&findings, "filter-silent")->where, "smtp/inet");

	want_none("filter-unseen", "root");
}

/* As an ordinary user sees it: what it cannot look at is neither good nor silent. */
static void
test_unseen(void **state)
{
	AUTO_POSTFIX struct postfix mta = { 0 };
	AUTO_FINDINGS struct findings findings = { 0 };
	struct milter *milter = NULL;
	struct err err = { 0 };

	(void)state;
	make_documented();
	assert_int_equal(postfix_read(postconf, place, settings, &mta, &err), 0);
	for (size_t i = 0; i < mta.n_services && !milter; i++)
		milter = (struct milter *)(uintptr_t)service_milter(&mta.services[i], ROLE_INBOUND);
	assert_non_null(milter);
	socket_done(&milter->socket);
	assert_int_equal(seteuid(getpwnam("daemon")->pw_uid), 0);
	socket_look(milter->path, &mta.owner, &milter->socket);
	assert_int_equal(seteuid(0), 0);
	postfix_judge(&mta, settings, 100, &findings);
	assert_int_equal(findings_find(&findings, "filter-unseen")->severity, SEVERITY_WARN);
	assert_null(findings_find(&findings, "filter-silent"));
	assert_null(findings_find(&findings, "filter-closed"));
}

/* A disk and a plain mapping are in the clear; a zram and an encrypted mapping are not. */
static void
test_swap(void **state)
{
	static const char *const clear[] = { "/dev/sda2", "/dev/dm-8", "/var/swap" };
	AUTO(xfree) char *file = in_place("swaps");
	AUTO(xfree) char *block = in_place("block");
	AUTO_POSTFIX struct postfix mta = { 0 };
	AUTO_FINDINGS struct findings findings = { 0 };

	(void)state;
	write_file("swaps", "Filename Type Size Used Priority\n/dev/zram0 partition 1 0 5\n/dev/sda2 partition 1 0 -2\n"
	    "/dev/dm-7 partition 1 0 -3\n/dev/dm-8 partition 1 0 -3\n/var/swap file 1 0 -4\n");
	assert_int_equal(mkdir(block, 0755), 0);
	for (size_t i = 7; i < 9; i++) {
		AUTO(xfree) char *device = xasprintf("%s/dm-%zu", block, i);
		AUTO(xfree) char *mapping = xasprintf("%s/dm", device);
		AUTO(xfree) char *uuid = xasprintf("block/dm-%zu/dm/uuid", i);

		assert_int_equal(mkdir(device, 0755), 0);
		assert_int_equal(mkdir(mapping, 0755), 0);
		write_file(uuid, i == 7 ? "CRYPT-PLAIN-swap\n" : "LVM-swap\n");
	}
	swap_look(file, block, &mta.swaps);
	assert_int_equal(mta.swaps.n, N_ELEMENTS(clear));
	for (size_t i = 0; i < N_ELEMENTS(clear); i++)
		assert_string_equal(mta.swaps.at[i], clear[i]);
	mta.folder = xstrdup(place);
	mta.queue_folder = xstrdup(place);
	postfix_judge(&mta, settings, 100, &findings);
	assert_string_equal(findings_find(&findings, "swap")->where, "this machine");
	words_done(&mta.swaps);
	findings_done(&findings);
	swap_look("/nonexistent", block, &mta.swaps);
	postfix_judge(&mta, settings, 100, &findings);
	assert_null(findings_find(&findings, "swap"));
}

/* --- what cannot be read --- */

static void
want_broken(const char *program, const char *folder, const char *text)
{
	AUTO_POSTFIX struct postfix mta = { 0 };
	struct err err = { 0 };

	assert_int_equal(postfix_read(program, folder, settings, &mta, &err), -1);
	if (!strstr(err.text, text))
		fail_msg("'%s' is not in: %s", text, err.text);
}

static void
test_broken(void **state)
{
	AUTO(xfree) char *babbler = in_place("babbler");

	(void)state;
	make_documented();
	want_broken("/nonexistent/postconf", place, "'/nonexistent/postconf' cannot be started");
	want_broken("/bin/true", place, "names no parameter");
	want_broken(postconf, "/nonexistent", "/nonexistent/main.cf");
	write_file("main.cf", "smtpd_helo_required\n");
	want_broken(postconf, place, "missing '='");
	make_documented();
	write_file("master.cf", "submission inet n - y\n");
	want_broken(postconf, place, "master.cf");
	write_file("master.cf", "# nothing\n");
	want_broken(postconf, place, "no service at all");
	write_file("babbler", "#!/bin/sh\nexec yes\n");
	assert_int_equal(chmod(babbler, 0755), 0);
	want_broken(babbler, place, "said more than");
}

/* --- the tables --- */

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
test_tables(void **state)
{
	(void)state;
	for (size_t t = 0; rule_tables[t]; t++) {
		for (const struct rule *rule = rule_tables[t]; rule->id; rule++) {
			size_t n = 0;

			for (size_t u = 0; rule_tables[u]; u++)
				for (const struct rule *other = rule_tables[u]; other->id; other++)
					n += strcmp(rule->id, other->id) == 0;
			assert_int_equal(n, 1);
			assert_true(rule->severity != SEVERITY_UNKNOWN && rule->over != OVER_UNKNOWN && rule->why && *rule->why);
			assert_true(rule->found ? !rule->parameter : rule->parameter && rule->bad && rule->good);
			if (!is_tested(rule->id))
				fail_msg("no row for %s", rule->id);
		}
	}
}

/* --- all of it --- */

static const struct CMUnitTest wholes[] = {
	cmocka_unit_test(test_documented),
	cmocka_unit_test(test_untouched),
	cmocka_unit_test(test_loopback_only),
	cmocka_unit_test(test_one_of_many_services),
	cmocka_unit_test(test_local_senders),
	cmocka_unit_test(test_pretend),
	cmocka_unit_test(test_egress_missing),
	cmocka_unit_test(test_split),
	cmocka_unit_test(test_split_behind_a_scanner),
	cmocka_unit_test(test_decrypt_order),
	cmocka_unit_test(test_filter_fallback),
	cmocka_unit_test(test_tables_lead_past),
	cmocka_unit_test(test_tables_lead_past_one_body),
	cmocka_unit_test(test_silent),
	cmocka_unit_test(test_unseen),
	cmocka_unit_test(test_swap),
	cmocka_unit_test(test_broken),
	cmocka_unit_test(test_tables),
};

/* Looked at once: two of three rows begin with it. */
static int
begin(void **state)
{
	if (make_place(state) == -1)
		return -1;
	make_documented();
	judge_with(settings, &as_documented);
	return 0;
}

int
main(void)
{
	struct CMUnitTest tests[N_ELEMENTS(rows) + N_ELEMENTS(wholes)];

	for (size_t i = 0; i < N_ELEMENTS(wholes); i++)
		tests[i] = wholes[i];
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		tests[N_ELEMENTS(wholes) + i] = (struct CMUnitTest){
			.name = rows[i].id, .test_func = test_row, .teardown_func = leave_row, .initial_state = (void *)(uintptr_t)&rows[i],
		};
	}
	return cmocka_run_group_tests_name("preflight of Postfix", tests, begin, leave_place);
}
