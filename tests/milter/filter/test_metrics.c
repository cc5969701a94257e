/* Metrics: what is counted, how it is written, and how the exporter bears its clients. Also run with the thread sanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "milter/filter/exporter.h"
#include "milter/log.h"
#include "tests/support/scene.h"

static struct scene *scene;

static int
set_up(void **state)
{
	(void)state;
	log_open("test", LOG_TO_STDERR, LOG_LEVEL_PANIC);
	scene = scene_new(2);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	scene_free(scene);
	return 0;
}

static void
text_of(struct metrics *metrics, struct buf *ret)
{
	const struct metrics_gauges gauges = { .sessions = 3, .in_hand = 2, .audit_records = 17 };

	buf_init(ret, METRICS_BYTES);
	metrics_render(metrics, &gauges, ret);
	assert_false(buf_full(ret));
}

/* The value of the one line that begins so. */
static double
number(const char *text, const char *sample)
{
	AUTO(xfree) char *begin = xasprintf("\n%s ", sample);
	const char *at = strstr(text, begin);

	if (!at)
		fail_msg("no line '%s' in:\n%s", sample, text);
	return strtod(at + strlen(begin), NULL);
}

static double
counted(const char *sample)
{
	AUTO_BUF struct buf text = { 0 };

	text_of(&scene->filter.metrics, &text);
	return number(buf_text(&text), sample);
}

static void
pass(size_t login, size_t from)
{
	AUTO(session_free) struct session *session = session_new(&scene->filter, 0xabc, "192.0.2.1", true);
	struct answer answer;

	scene_mail(scene, session, login, &answer);
	scene_content(session, from, "angka", &answer);
	scene_eom(session, &answer);
	if (answer.plan)
		session_applied(session, &answer);
}

/* --- counting --- */

static void
messages_are_counted(void **state)
{
	(void)state;
	pass(0, 0);
	pass(1, 1);
	pass(0, 1);
	assert_int_equal(counted("segel_messages_total{class=\"submission\",action=\"accept\"}"), 2);
	assert_int_equal(counted("segel_messages_total{class=\"submission\",action=\"reject\"}"), 1);
	assert_int_equal(counted("segel_messages_total{class=\"submission\",action=\"defer\"}"), 0);
	assert_int_equal(counted("segel_messages_total{class=\"inbound-other\",action=\"accept\"}"), 0);
	assert_int_equal(counted("segel_seals_total{form=\"clear\"}"), 2);
	assert_int_equal(counted("segel_seals_total{form=\"opaque\"}"), 0);
	assert_int_equal(counted("segel_reason_total{reason=\"LOGIN_MISMATCH\"}"), 1);
	assert_int_equal(counted("segel_registry_lookups_total{result=\"found\"}"), 3);
	assert_int_equal(counted("segel_seconds_count"), 3);
	assert_int_equal(counted("segel_keyd_errors_total"), 0);
}

static void
a_held_certificate_is_unusable(void **state)
{
	(void)state;
	scene_hold(scene, 0, true);
	pass(0, 0);
	scene_hold(scene, 0, false);
	assert_int_equal(counted("segel_registry_lookups_total{result=\"unusable\"}"), 1);
	assert_int_equal(counted("segel_reason_total{reason=\"REG_HELD\"}"), 1);
	assert_int_equal(counted("segel_seals_total{form=\"clear\"}"), 2);
}

static void
no_key_agent_is_an_error_and_no_seal(void **state)
{
	(void)state;
	scene_stop_keyd(scene);
	pass(0, 0);
	assert_int_equal(counted("segel_keyd_errors_total"), 1);
	assert_int_equal(counted("segel_reason_total{reason=\"KEY_UNAVAILABLE\"}"), 1);
	assert_int_equal(counted("segel_messages_total{class=\"submission\",action=\"defer\"}"), 1);
	assert_int_equal(counted("segel_seals_total{form=\"clear\"}"), 2);
}

static void
audit_records_are_those_on_disk(void **state)
{
	const uint64_t before = audit_n_records(scene->filter.audit);

	(void)state;
	pass(0, 1);
	assert_int_equal(audit_n_records(scene->filter.audit), before + 1);
}

static void
a_reload_is_told_apart_from_a_failed_one(void **state)
{
	struct metrics metrics = { .reloaded = 0 };
	AUTO_BUF struct buf good = { 0 }, bad = { 0 };

	(void)state;
	metrics_reload(&metrics, true, 1790000000);
	text_of(&metrics, &good);
	metrics_reload(&metrics, false, 1790000100);
	text_of(&metrics, &bad);
	assert_int_equal(number(buf_text(&good), "segel_config_last_reload_successful"), 1);
	assert_int_equal(number(buf_text(&bad), "segel_config_last_reload_successful"), 0);
	assert_int_equal(number(buf_text(&bad), "segel_config_reload_success_timestamp_seconds"), 1790000000);
}

/* --- the text --- */

static void
must_match(const regex_t *pattern, const char *line)
{
	if (regexec(pattern, line, 0, NULL, 0) != 0)
		fail_msg("no line of Prometheus' text format: '%s'", line);
}

/* A sample is its name and labels. */
static void
must_be_once(const char *text, const char *line)
{
	AUTO(xfree) char *sample = xasprintf("\n%.*s ", (int)(strrchr(line, ' ') - line), line);
	const char *first = strstr(text, sample);

	if (!first ? strncmp(text, sample + 1, strlen(sample) - 1) != 0 : strstr(first + 1, sample) != NULL)
		fail_msg("twice: %s", line);
}

/* The whole grammar that we use, and nothing beside it. */
static void
text_is_strict(void **state)
{
	AUTO_BUF struct buf text = { 0 };
	AUTO(xfree) char *copy = NULL;
	char family[128] = "", *rest;
	regex_t help, type, sample;

	(void)state;
	assert_int_equal(regcomp(&help, "^# HELP segel_[a-z_]+ [A-Z0-9][ -~]*\\.$", REG_EXTENDED | REG_NOSUB), 0);
	assert_int_equal(regcomp(&type, "^# TYPE segel_[a-z_]+ (counter|gauge|histogram)$", REG_EXTENDED | REG_NOSUB), 0);
	assert_int_equal(regcomp(&sample, "^segel_[a-z_]+(\\{[a-z]+=\"[A-Za-z0-9_+.-]+\"(,[a-z]+=\"[A-Za-z0-9_+.-]+\")*\\})? "
	    "[0-9]+(\\.[0-9]+)?$", REG_EXTENDED | REG_NOSUB), 0);
	text_of(&scene->filter.metrics, &text);
	assert_int_equal(text.at[text.len - 1], '\n');
	copy = xstrdup(buf_text(&text));
	for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, "# HELP ", 7) == 0) {
			must_match(&help, line);
			snprintf(family, sizeof(family), "%.*s", (int)strcspn(line + 7, " "), line + 7);
		} else if (*line == '#') {
			must_match(&type, line);
			assert_int_equal(strncmp(line + 7, family, strlen(family)), 0);
		} else {
			must_match(&sample, line);
			assert_int_equal(strncmp(line, family, strlen(family)), 0);
			must_be_once(buf_text(&text), line);
		}
	}
	regfree(&help);
	regfree(&type);
	regfree(&sample);
}

static void
every_word_of_the_tables_is_there_from_the_start(void **state)
{
	struct metrics metrics = { .reloaded = 0 };
	AUTO_BUF struct buf text = { 0 };

	(void)state;
	text_of(&metrics, &text);
	for (int reason = REASON_UNKNOWN + 1; reason < N_REASONS; reason++) {
		AUTO(xfree) char *sample = xasprintf("segel_reason_total{reason=\"%s\"}", reason_word((enum reason)reason));

		assert_int_equal(number(buf_text(&text), sample), 0);
	}
	assert_int_equal(number(buf_text(&text), "segel_sessions"), 3);
	assert_int_equal(number(buf_text(&text), "segel_messages_in_hand"), 2);
	assert_int_equal(number(buf_text(&text), "segel_audit_records_total"), 17);
	assert_int_equal(number(buf_text(&text), "segel_build_info{version=\"" SEGEL_VERSION "\"}"), 1);
	assert_int_equal(number(buf_text(&text), "segel_seconds_bucket{le=\"+Inf\"}"), 0);
}

static void
buckets_add_up(void **state)
{
	struct metrics metrics = { .reloaded = 0 };
	AUTO_BUF struct buf text = { 0 };
	struct timespec now;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &now);
	metrics_seconds(&metrics, &now);
	now.tv_sec -= 3;
	metrics_seconds(&metrics, &now);
	now.tv_sec -= 100;
	metrics_seconds(&metrics, &now);
	text_of(&metrics, &text);
	assert_int_equal(number(buf_text(&text), "segel_seconds_bucket{le=\"2.5\"}"), 1);
	assert_int_equal(number(buf_text(&text), "segel_seconds_bucket{le=\"10\"}"), 2);
	assert_int_equal(number(buf_text(&text), "segel_seconds_bucket{le=\"30\"}"), 2);
	assert_int_equal(number(buf_text(&text), "segel_seconds_bucket{le=\"+Inf\"}"), 3);
	assert_int_equal(number(buf_text(&text), "segel_seconds_count"), 3);
	assert_true(number(buf_text(&text), "segel_seconds_sum") >= 106);
}

/* --- the exporter --- */

static void
render(void *ctx, struct buf *ret)
{
	(void)ctx;
	metrics_render(&scene->filter.metrics, &(struct metrics_gauges){ .sessions = 1 }, ret);
}

static char *
socket_path(void)
{
	return xasprintf("%s/metrics.sock", scene->folder);
}

static struct exporter *
serve(void)
{
	AUTO(xfree) char *path = socket_path();
	struct exporter *exporter = NULL;
	struct err err = { ERR_NONE, "" };
	int fd = -1;

	if (exporter_listen(path, &fd, &err) == -1 || exporter_start(&fd, render, NULL, &exporter, &err) == -1)
		fail_msg("%s", err.text);
	return exporter;
}

static int
connect_client(void)
{
	AUTO(xfree) char *path = socket_path();
	const struct timeval limit = { .tv_sec = 20 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, strlen(path) + 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* What comes back until the server closes; a refused write is the server's right. */
static void
exchange(const void *bytes, size_t len, struct buf *ret)
{
	AUTO_FD int fd = connect_client();
	char block[4096];
	ssize_t n;

	buf_init(ret, METRICS_BYTES * 2);
	for (size_t at = 0; at < len; at += (size_t)n) {
		n = send(fd, (const char *)bytes + at, len - at, MSG_NOSIGNAL);
		if (n <= 0)
			break;
	}
	(void)shutdown(fd, SHUT_WR);
	while ((n = recv(fd, block, sizeof(block), 0)) > 0)
		buf_add(ret, block, (size_t)n);
	if (n == -1 && errno == EAGAIN)
		fail_msg("the server neither answers nor closes");
}

static const struct {
	const char *name, *request, *want; /* want "" = closed without a word, or any refusal */
} requests[] = {
	{ "GET", "GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n", " 200 " },
	{ "GET 1.1", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", " 200 " },
	{ "another path", "GET /metricsx HTTP/1.0\r\nHost: x\r\n\r\n", " 404 " },
	{ "folder above", "GET /metrics/../x HTTP/1.0\r\nHost: x\r\n\r\n", " 404 " },
	{ "POST", "POST /metrics HTTP/1.0\r\nContent-Length: 0\r\n\r\n", " 405 " },
	{ "DELETE", "DELETE /metrics HTTP/1.0\r\n\r\n", " 405 " },
	{ "garbage", "\x16\x03\x01 not http at all\r\n\r\n", "" },
	{ "milter greeting", "\0\0\0\rO", "" },
	{ "1.1 without Host", "GET /metrics HTTP/1.1\r\n\r\n", " 400 " },
};

static void
only_the_one_question_is_answered(void **state)
{
	AUTO(exporter_stop) struct exporter *exporter = serve();

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(requests); i++) {
		AUTO_BUF struct buf answer = { 0 };

		exchange(requests[i].request, strlen(requests[i].request), &answer);
		if (!strstr(buf_text(&answer), requests[i].want))
			fail_msg("%s: %s", requests[i].name, buf_text(&answer));
		if ((strcmp(requests[i].want, " 200 ") == 0) != (strstr(buf_text(&answer), "\nsegel_sessions 1\n") != NULL))
			fail_msg("%s: metrics where none were due, or none: %s", requests[i].name, buf_text(&answer));
	}
}

static void
assert_serves(void)
{
	AUTO_BUF struct buf answer = { 0 };

	exchange(requests[0].request, strlen(requests[0].request), &answer);
	assert_non_null(strstr(buf_text(&answer), " 200 "));
}

static void
a_megabyte_is_refused(void **state)
{
	static const char *const begins[] = {
		"GET /", "GET /metrics HTTP/1.0\r\nX: ", "POST /metrics HTTP/1.0\r\nContent-Length: 1048576\r\n\r\n", "",
	};
	AUTO(exporter_stop) struct exporter *exporter = serve();

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(begins); i++) {
		AUTO(xfree) char *request = xcalloc(1, 1024 * 1024 + 256);
		AUTO_BUF struct buf answer = { 0 };

		memset(request, 'A', 1024 * 1024);
		memcpy(request, begins[i], strlen(begins[i]));
		exchange(request, 1024 * 1024, &answer);
		if (strstr(buf_text(&answer), "segel_sessions"))
			fail_msg("begins '%s': answered", begins[i]);
		assert_serves();
	}
}

/* More silent clients than there are places: they lose theirs after a while, and mail never notices. */
static void
silent_clients_disturb_nobody(void **state)
{
	AUTO(exporter_stop) struct exporter *exporter = serve();
	int silent[20];

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(silent); i++) {
		silent[i] = connect_client();
		(void)!send(silent[i], "GET /me", i % 8, MSG_NOSIGNAL);
	}
	pass(0, 1);
	assert_serves();
	for (size_t i = 0; i < N_ELEMENTS(silent); i++)
		close(silent[i]);
}

static void *
send_mail(void *unused)
{
	for (int i = 0; i < 10; i++)
		pass(1, 0);
	return unused;
}

static void
counting_and_reading_at_once(void **state)
{
	AUTO(exporter_stop) struct exporter *exporter = serve();
	pthread_t senders[4];
	const double before = counted("segel_seconds_count");

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(senders); i++)
		assert_int_equal(pthread_create(&senders[i], NULL, send_mail, NULL), 0);
	for (int i = 0; i < 20; i++)
		assert_serves();
	for (size_t i = 0; i < N_ELEMENTS(senders); i++)
		pthread_join(senders[i], NULL);
	assert_int_equal(counted("segel_seconds_count"), before + 40);
}

static void
the_socket_is_closed_to_others_and_replaced(void **state)
{
	AUTO(xfree) char *path = socket_path();
	struct exporter *first = serve();
	struct err err = { ERR_NONE, "" };
	struct stat st;
	int fd = -1;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(exporter_listen(path, &fd, &err), -1);
	assert_non_null(strstr(err.text, "another process serves"));
	exporter_stop(first);
	assert_int_equal(exporter_listen(path, &fd, &err), 0);
	close(fd);
	assert_int_equal(unlink(path), 0);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(exporter_listen(path, &fd, &err), -1);
	assert_non_null(strstr(err.text, "is no socket"));
	assert_int_equal(unlink(path), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_counted),
		cmocka_unit_test(a_held_certificate_is_unusable),
		cmocka_unit_test(no_key_agent_is_an_error_and_no_seal),
		cmocka_unit_test(audit_records_are_those_on_disk),
		cmocka_unit_test(a_reload_is_told_apart_from_a_failed_one),
		cmocka_unit_test(text_is_strict),
		cmocka_unit_test(every_word_of_the_tables_is_there_from_the_start),
		cmocka_unit_test(buckets_add_up),
		cmocka_unit_test(only_the_one_question_is_answered),
		cmocka_unit_test(a_megabyte_is_refused),
		cmocka_unit_test(silent_clients_disturb_nobody),
		cmocka_unit_test(counting_and_reading_at_once),
		cmocka_unit_test(the_socket_is_closed_to_others_and_replaced),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
