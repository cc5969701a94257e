/* The lines of a log put together: a session counts for what went through it, and for nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "milter/ctl/tally.h"

#define NOW 1795237200 /* 2026-11-21 05:00:00 UTC */
#define AT(second) "2026-11-21T04:00:" second "Z mail "
#define SMTP(pid) "postfix/smtp[" pid "]: "
#define TLS_TO(peer) "Trusted TLS connection established to " peer ": TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
#define MX "mx.a.example[192.0.2.1]:25"
#define OTHER_MX "mx2.a.example[192.0.2.2]:25"
#define TO(qid, address, peer, delays) qid ": to=<" address ">, relay=" peer ", delay=1, delays=" delays ", dsn=2.0.0, status=sent (250 ok)"
/* Elsewhere, so that this service is known to log its sessions. */
#define PROVEN AT("00") SMTP("1") TLS_TO("mx.z.example[192.0.2.9]:25")

struct want {
	const char *name;
	const char *lines[8];
	unsigned tls, clear, unknown;
};

static const struct want stories[] = {
	{ "TLS", { AT("10") SMTP("7") TLS_TO(MX), AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0") }, 1, 0, 0 },
	{ "two recipients of a message",
	    { AT("10") SMTP("7") TLS_TO(MX), AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0"),
	      AT("11") SMTP("7") TO("AAAAA1", "y@a.example", MX, "0/0/0/1") }, 2, 0, 0 },
	{ "no session, no evidence", { AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0") }, 0, 0, 1 },
	{ "no session, but others", { PROVEN, AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0") }, 0, 1, 0 },
	{ "evidence comes later: it is not known when it began",
	    { AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0"), PROVEN }, 0, 0, 1 },
	{ "evidence of another service", { AT("00") "postfix/relay/smtp[1]: " TLS_TO(MX), AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0") }, 0, 0, 1 },
	{ "evidence of another host", { "2026-11-21T04:00:00Z mail2 " SMTP("1") TLS_TO(MX), AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0") }, 0, 0, 1 },
	{ "session of another process", { AT("10") SMTP("8") TLS_TO(MX), AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0") }, 0, 1, 0 },
	{ "session with another server", { AT("10") SMTP("7") TLS_TO(OTHER_MX), AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0") }, 0, 1, 0 },
	{ "session with another port of it",
	    { AT("10") SMTP("7") TLS_TO("mx.a.example[192.0.2.1]:26"), AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0") }, 0, 1, 0 },
	{ "the next message has a connection of its own",
	    { AT("10") SMTP("7") TLS_TO(MX), AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0"),
	      AT("10") SMTP("7") TO("AAAAA2", "x@a.example", MX, "0/0/0/0"), AT("10") SMTP("7") TO("AAAAA1", "z@a.example", MX, "0/0/0/0") }, 1, 2, 0 },
	{ "a connection used again, with its line",
	    { AT("10") SMTP("7") TLS_TO(MX), AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0"),
	      AT("11") SMTP("7") "Trusted TLS connection reused to " MX ": TLSv1.3 with cipher A (256/256 bits)",
	      AT("11") SMTP("7") TO("AAAAA2", "x@a.example", MX ", conn_use=2", "0/0/0/0") }, 2, 0, 0 },
	{ "a connection used again, without a line",
	    { AT("10") SMTP("7") TLS_TO(MX), AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0"),
	      AT("11") SMTP("7") TO("AAAAA2", "x@a.example", MX ", conn_use=2", "0/0/0/0") }, 1, 1, 0 },
	{ "the connection broke; what came after may be in clear",
	    { AT("10") SMTP("7") TLS_TO(MX), AT("10") SMTP("7") "AAAAA1: lost connection with mx.a.example[192.0.2.1] while sending MAIL FROM",
	      AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0") }, 0, 0, 1 },
	{ "it broke after the first recipient",
	    { AT("10") SMTP("7") TLS_TO(MX), AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0"),
	      AT("10") SMTP("7") "AAAAA1: conversation with mx.a.example[192.0.2.1] timed out while sending RCPT TO",
	      AT("10") SMTP("7") TO("AAAAA1", "y@a.example", MX, "0/0/0/0") }, 1, 0, 1 },
	{ "one recipient shall try another server",
	    { AT("10") SMTP("7") TLS_TO(MX), AT("10") SMTP("7") "AAAAA1: host mx.a.example[192.0.2.1] said: 450 4.2.0 later (in reply to RCPT TO command)",
	      AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0"), AT("10") SMTP("7") TLS_TO(OTHER_MX),
	      AT("10") SMTP("7") TO("AAAAA1", "y@a.example", OTHER_MX, "0/0/0/0") }, 2, 0, 0 },
	{ "another server takes it in clear",
	    { AT("10") SMTP("7") TLS_TO(MX), AT("10") SMTP("7") "AAAAA1: host mx.a.example[192.0.2.1] said: 450 4.2.0 later (in reply to RCPT TO command)",
	      AT("10") SMTP("7") TO("AAAAA1", "x@a.example", OTHER_MX, "0/0/0/0") }, 0, 1, 0 },
	{ "long underway in one session", { AT("10") SMTP("7") TLS_TO(MX), AT("40") SMTP("7") TO("AAAAA1", "x@a.example", MX, "9/0/0.5/29") }, 1, 0, 0 },
	{ "a session from before the attempt", { AT("10") SMTP("7") TLS_TO(MX), AT("40") SMTP("7") TO("AAAAA1", "x@a.example", MX, "30/0/0.5/2") }, 0, 0, 1 },
	{ "the same message again, later, by the same process",
	    { AT("10") SMTP("7") TLS_TO(MX), AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0"),
	      AT("40") SMTP("7") TO("AAAAA1", "y@a.example", MX, "30/0/0/0") }, 1, 0, 1 },
	{ "a forged session in a reply",
	    { PROVEN, AT("10") SMTP("7") "AAAAA1: host mx.a.example[192.0.2.1] said: 450 " TLS_TO(MX),
	      AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0") }, 0, 1, 0 },
	{ "loopback", { PROVEN, AT("10") SMTP("7") TO("AAAAA1", "x@a.example", "127.0.0.1[127.0.0.1]:10024", "0/0/0/0") }, 0, 0, 0 },
	{ "a probe", { PROVEN, AT("10") SMTP("7") "AAAAA1: to=<x@a.example>, relay=" MX ", delay=1, delays=0/0/0/0, dsn=2.1.5, status=deliverable (250 ok)" }, 0, 0, 0 },
	{ "delivered on this machine",
	    { PROVEN, AT("10") "postfix/virtual[7]: AAAAA1: to=<x@a.example>, relay=virtual, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (delivered to maildir)" }, 0, 0, 0 },
};

static struct tally *
tally_of(const char *const *lines, size_t n, const struct tally_options *options)
{
	struct tally *tally = tally_new(options);

	for (size_t i = 0; i < n && lines[i]; i++)
		tally_line(tally, slice_of(lines[i]));
	return tally;
}

static void
want(const char *name, const struct figures *figures, uint64_t tls, uint64_t clear, uint64_t unknown)
{
	if (figures->tls != tls || figures->clear != clear || figures->unknown != unknown || figures->all != tls + clear + unknown)
		fail_msg("%s: %llu by TLS, %llu clear, %llu unknown of %llu; wanted %llu, %llu, %llu", name, (unsigned long long)figures->tls,
		    (unsigned long long)figures->clear, (unsigned long long)figures->unknown, (unsigned long long)figures->all,
		    (unsigned long long)tls, (unsigned long long)clear, (unsigned long long)unknown);
}

static void
test_stories(void **state)
{
	const struct tally_options options = { .now = NOW };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(stories); i++) {
		struct tally *tally = tally_of(stories[i].lines, N_ELEMENTS(stories[i].lines), &options);

		want(stories[i].name, tally_total(tally), stories[i].tls, stories[i].clear, stories[i].unknown);
		assert_int_equal(tally_lines(tally)->unreadable, 0);
		tally_free(tally);
	}
}

/* The administrator knows that sessions were logged: silence is clear then, doubt stays doubt. */
static void
test_logged(void **state)
{
	const struct tally_options options = { .now = NOW, .logged = true };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(stories); i++) {
		struct tally *tally = tally_of(stories[i].lines, N_ELEMENTS(stories[i].lines), &options);

		assert_int_equal(tally_total(tally)->tls, stories[i].tls);
		tally_free(tally);
	}
}

#define IN(pid) "postfix/smtpd[" pid "]: "
#define FROM "mx.b.example[192.0.2.7]"
#define TLS_FROM "Anonymous TLS connection established from " FROM ": TLSv1.2 with cipher A (256/256 bits)"
#define IN_PROVEN AT("00") IN("1") TLS_FROM

static const struct want incoming[] = {
	{ "TLS, two messages", { AT("10") IN("7") "connect from " FROM, AT("10") IN("7") TLS_FROM, AT("10") IN("7") "BBBBB1: client=" FROM,
	      AT("11") IN("7") "BBBBB2: client=" FROM }, 2, 0, 0 },
	{ "in clear", { IN_PROVEN, AT("10") IN("7") "connect from " FROM, AT("10") IN("7") "BBBBB1: client=" FROM }, 0, 1, 0 },
	{ "no evidence", { AT("10") IN("7") "connect from " FROM, AT("10") IN("7") "BBBBB1: client=" FROM }, 0, 0, 1 },
	{ "the log begins in the middle", { IN_PROVEN, AT("10") IN("7") "BBBBB1: client=" FROM }, 0, 0, 1 },
	{ "the next connection is another", { AT("10") IN("7") "connect from " FROM, AT("10") IN("7") TLS_FROM, AT("11") IN("7") "connect from " FROM,
	      AT("11") IN("7") "BBBBB1: client=" FROM }, 0, 1, 0 },
	{ "a forged HELO",
	    { IN_PROVEN, AT("10") IN("7") "connect from " FROM,
	      AT("10") IN("7") "NOQUEUE: reject: RCPT from " FROM ": 554 x; helo=<BBBBB1: client=" FROM ">" }, 0, 0, 0 },
};

static void
test_incoming(void **state)
{
	const struct tally_options options = { .now = NOW };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(incoming); i++) {
		struct tally *tally = tally_of(incoming[i].lines, N_ELEMENTS(incoming[i].lines), &options);

		assert_non_null(tally_service(tally, 0));
		assert_true(tally_service(tally, 0)->server);
		want(incoming[i].name, &tally_service(tally, 0)->figures, incoming[i].tls, incoming[i].clear, incoming[i].unknown);
		want(incoming[i].name, tally_total(tally), 0, 0, 0);
		tally_free(tally);
	}
}

#define FAILED(address, dsn, status, reason) \
	AT("10") SMTP("7") "AAAAA1: to=<" address ">, relay=none, delay=1, delays=0/0/0/0, dsn=" dsn ", status=" status " (" reason ")"

static void
test_failures(void **state)
{
	static const char *const lines[] = {
		FAILED("x@a.example", "4.7.4", "deferred", "TLS is required, but was not offered by host a[192.0.2.1]"),
		FAILED("x@A.Example.", "4.7.5", "deferred", "Server certificate not trusted"),
		/* Cut before its text. */
		AT("10") SMTP("7") "AAAAA1: to=<x@a.example>, relay=none, delay=1, delays=0/0/0/0, dsn=4.7.4, status=deferred",
		FAILED("x@a.example", "4.4.1", "deferred", "connect to a[192.0.2.1]:25: Connection refused"),
		FAILED("x@a.example", "5.1.1", "bounced", "host a[192.0.2.1] said: 550 5.1.1 no such user"),
		FAILED("x@a.example", "5.7.5", "bounced", "Server certificate not verified"),
		FAILED("x@a.example", "4.7.4", "deferred", "host a[192.0.2.1] said: 450 4.7.4 TLS is required, but \x1b[2Jnot here"),
	};
	const struct tally_options options = { .now = NOW };
	struct tally *tally = tally_of(lines, N_ELEMENTS(lines), &options);
	const struct figures *total = tally_total(tally);

	(void)state;
	assert_int_equal(total->deferred_tls, 3);
	assert_int_equal(total->refused_tls, 1);
	assert_int_equal(total->deferred, 2);
	assert_int_equal(total->refused, 1);
	assert_int_equal(total->all, 0);
	assert_string_equal(total->reason, "Server certificate not verified");
	assert_int_equal(total->reason_at, NOW - 3600 + 10);
	tally_free(tally);
}

static void
count_row(void *ctx, const struct tally_row *row)
{
	struct counted {
		size_t n;
		uint64_t others;
	} *counted = ctx;

	counted->n++;
	if (strcmp(row->name, TALLY_OTHERS) == 0)
		counted->others = row->figures.all;
}

static void
test_many_domains(void **state)
{
	const struct tally_options options = { .now = NOW };
	struct tally *tally = tally_new(&options);
	struct {
		size_t n;
		uint64_t others;
	} counted = { 0 };

	(void)state;
	for (int i = 0; i < TALLY_DOMAINS + 500; i++) {
		char line[512];

		snprintf(line, sizeof(line), AT("10") SMTP("7") TO("AAAAA1", "x@d%d.example", MX, "0/0/0/0"), i);
		tally_line(tally, slice_of(line));
	}
	tally_each_domain(tally, count_row, &counted);
	assert_int_equal(counted.n, TALLY_DOMAINS + 1);
	assert_int_equal(counted.others, 500);
	assert_int_equal(tally_total(tally)->all, TALLY_DOMAINS + 500);
	tally_free(tally);
}

static void
test_many_services_and_ciphers(void **state)
{
	const struct tally_options options = { .now = NOW };
	struct tally *tally = tally_new(&options);
	char line[512];

	(void)state;
	for (int i = 0; i < TALLY_CIPHERS + 20; i++) {
		snprintf(line, sizeof(line), AT("10") SMTP("7") "Trusted TLS connection established to " MX ": TLSv1.3 with cipher C%d (256/256 bits)", i);
		tally_line(tally, slice_of(line));
		snprintf(line, sizeof(line), AT("10") SMTP("7") TO("AAAAA%d", "x@a.example", MX, "0/0/0/0"), i);
		tally_line(tally, slice_of(line));
	}
	assert_int_equal(tally_total(tally)->tls, TALLY_CIPHERS + 20);
	assert_int_equal(tally_total(tally)->ciphers[TALLY_CIPHERS], 20);
	assert_string_equal(tally_cipher(tally, TALLY_CIPHERS), TALLY_OTHERS);
	assert_null(tally_cipher(tally, TALLY_CIPHERS + 1));
	for (int i = 0; i < TALLY_SERVICES + 9; i++) {
		snprintf(line, sizeof(line), AT("10") "post%d/smtp[7]: " TO("AAAAA1", "x@a.example", MX, "0/0/0/0"), i);
		tally_line(tally, slice_of(line));
	}
	assert_int_equal(tally_lines(tally)->unreadable, 10); /* one service was there before */
	tally_free(tally);
}

/* So many that they are forgotten: what is not known any more is not called clear. */
static void
test_many_processes(void **state)
{
	const struct tally_options options = { .now = NOW };
	struct tally *tally = tally_new(&options);
	char line[512];

	(void)state;
	for (int i = 0; i <= TALLY_PROCESSES; i++) {
		snprintf(line, sizeof(line), AT("10") SMTP("%d") TLS_TO(MX), i);
		tally_line(tally, slice_of(line));
	}
	tally_line(tally, slice_of(AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0")));
	want("forgotten", tally_total(tally), 0, 0, 1);
	tally_free(tally);
}

static void
test_period(void **state)
{
	static const char *const lines[] = {
		AT("10") SMTP("7") TLS_TO(MX), AT("10") SMTP("7") TO("AAAAA1", "x@a.example", MX, "0/0/0/0"),
		AT("12") SMTP("7") TO("AAAAA1", "y@a.example", MX, "0/0/0/2"),
	};
	static const struct {
		int from, to;
		unsigned want, outside;
	} rows[] = { { 0, 0, 2, 0 }, { 10, 12, 1, 1 }, { 11, 13, 1, 1 }, { 10, 13, 2, 0 }, { 13, 0, 0, 2 } };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		const struct tally_options options = {
			.now = NOW, .from = rows[i].from ? NOW - 3600 + rows[i].from : 0, .to = rows[i].to ? NOW - 3600 + rows[i].to : 0,
		};
		struct tally *tally = tally_of(lines, N_ELEMENTS(lines), &options);

		want("period", tally_total(tally), rows[i].want, 0, 0);
		assert_int_equal(tally_lines(tally)->outside, rows[i].outside);
		tally_free(tally);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stories),        cmocka_unit_test(test_logged),       cmocka_unit_test(test_incoming),
		cmocka_unit_test(test_failures),       cmocka_unit_test(test_many_domains), cmocka_unit_test(test_many_services_and_ciphers),
		cmocka_unit_test(test_many_processes), cmocka_unit_test(test_period),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
