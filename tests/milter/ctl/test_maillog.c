/* One line of a mail log: what is read from it, and what a forger gets into it. Lines as Postfix 3.7 wrote them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "milter/ctl/maillog.h"

#define HEAD "Nov 21 05:20:39 mail postfix/smtp[36]: "
#define IN "Nov 21 05:20:39 mail postfix/smtpd[36]: "
#define ERR "Nov 21 05:20:39 mail postfix/error[36]: "
#define TIMES ", delay=0.02, delays=0/0.01/0.01/0"
#define RELAY ", relay=mx.a.example[192.0.2.1]:25"
#define SESSION(peer) "Untrusted TLS connection established to " peer ": TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)"
#define SENT ", dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 17B13A743FF)"

static const struct {
	const char *name, *line;
	enum maillog_kind kind;
	const char *domain, *peer; /* NULL = does not matter */
	enum maillog_status status;
	bool for_tls;
} lines[] = {
	{ "delivered", HEAD "17B13A743FF: to=<budi@a.example>" RELAY TIMES SENT, MAILLOG_DELIVERY, "a.example", "mx.a.example[192.0.2.1]:25",
	    MAILLOG_SENT, false },
	{ "long queue id, alias, reused connection, IPv6",
	    HEAD "4dFHkB3wMVz3KZf: to=<budi@a.example>, orig_to=<root>, relay=mx.a.example[2001:db8::1]:25, conn_use=3" TIMES SENT,
	    MAILLOG_DELIVERY, "a.example", "mx.a.example[2001:db8::1]:25", MAILLOG_SENT, false },
	{ "a field of a later Postfix", HEAD "17B13A743FF: to=<budi@a.example>" RELAY TIMES ", tls=verified" SENT, MAILLOG_DELIVERY,
	    "a.example", NULL, MAILLOG_SENT, false },
	{ "cut at its end", HEAD "17B13A743FF: to=<budi@a.example>" RELAY TIMES ", dsn=2.0.0, status=sent (250 2.0", MAILLOG_DELIVERY,
	    "a.example", NULL, MAILLOG_SENT, false },
	{ "cut before its status", HEAD "17B13A743FF: to=<budi@a.example>" RELAY TIMES ", dsn=2.0.", MAILLOG_UNREADABLE, NULL, NULL, 0, false },
	{ "no relay", HEAD "17B13A743FF: to=<budi@a.example>" TIMES SENT, MAILLOG_UNREADABLE, NULL, NULL, 0, false },
	{ "two relays", HEAD "17B13A743FF: to=<budi@a.example>" RELAY RELAY TIMES SENT, MAILLOG_UNREADABLE, NULL, NULL, 0, false },
	{ "no delays", HEAD "17B13A743FF: to=<budi@a.example>" RELAY SENT, MAILLOG_UNREADABLE, NULL, NULL, 0, false },
	{ "probe", HEAD "17B13A743FF: to=<budi@a.example>" RELAY TIMES ", dsn=2.1.5, status=deliverable (250 ok)", MAILLOG_DELIVERY,
	    "a.example", NULL, MAILLOG_STATUS_OTHER, false },

	/* Addresses: the sender of a message chooses them. */
	{ "quoted local part", HEAD "17B13A743FF: to=<\"a>, relay=evil[192.0.2.9]:25, status=sent (\"@a.example>" RELAY TIMES SENT,
	    MAILLOG_DELIVERY, "a.example", "mx.a.example[192.0.2.1]:25", MAILLOG_SENT, false },
	{ "quoted quote", HEAD "17B13A743FF: to=<\"a\\\"@evil.example>, \"@a.example>" RELAY TIMES SENT, MAILLOG_DELIVERY, "a.example",
	    NULL, MAILLOG_SENT, false },
	{ "quote without an end", HEAD "17B13A743FF: to=<\"a@a.example>" RELAY TIMES SENT, MAILLOG_UNREADABLE, NULL, NULL, 0, false },
	{ "text behind the quotes", HEAD "17B13A743FF: to=<\"a\"b@a.example>" RELAY TIMES SENT, MAILLOG_UNREADABLE, NULL, NULL, 0, false },
	{ "two at signs", HEAD "17B13A743FF: to=<a@b@a.example>" RELAY TIMES SENT, MAILLOG_UNREADABLE, NULL, NULL, 0, false },
	{ "blank in the address", HEAD "17B13A743FF: to=<a b@a.example>" RELAY TIMES SENT, MAILLOG_UNREADABLE, NULL, NULL, 0, false },
	{ "no domain", HEAD "17B13A743FF: to=<root>" RELAY TIMES SENT, MAILLOG_DELIVERY, "", NULL, MAILLOG_SENT, false },
	{ "empty domain", HEAD "17B13A743FF: to=<root@>" RELAY TIMES SENT, MAILLOG_UNREADABLE, NULL, NULL, 0, false },
	{ "domain literal", HEAD "17B13A743FF: to=<a@[192.0.2.5]>" RELAY TIMES SENT, MAILLOG_DELIVERY, "[192.0.2.5]", NULL, MAILLOG_SENT, false },
	{ "UTF-8", HEAD "17B13A743FF: to=<budi@k\xc3\xb6ta.example>" RELAY TIMES SENT, MAILLOG_DELIVERY, "k\xc3\xb6ta.example", NULL,
	    MAILLOG_SENT, false },
	{ "alias that looks like the rest",
	    HEAD "17B13A743FF: to=<budi@a.example>, orig_to=<\">, relay=evil[192.0.2.9]:25\"@b.example>" RELAY TIMES SENT, MAILLOG_DELIVERY,
	    "a.example", "mx.a.example[192.0.2.1]:25", MAILLOG_SENT, false },

	/* Replies: another server chooses them. */
	{ "reply that looks like the rest",
	    HEAD "17B13A743FF: to=<budi@a.example>" RELAY TIMES ", dsn=5.0.0, status=bounced (host mx.a.example[192.0.2.1] said: 550 x) "
	    "to=<x@b.example>, relay=evil[192.0.2.9]:25, delays=0/0/0/0, dsn=2.0.0, status=sent (ok))",
	    MAILLOG_DELIVERY, "a.example", "mx.a.example[192.0.2.1]:25", MAILLOG_BOUNCED, false },
	{ "reply that speaks of TLS",
	    HEAD "17B13A743FF: to=<budi@a.example>" RELAY TIMES ", dsn=4.7.5, status=deferred (host mx.a.example[192.0.2.1] said: 450 4.7.5 "
	    "Server certificate not trusted (in reply to RCPT TO command))", MAILLOG_DELIVERY, "a.example", NULL, MAILLOG_DEFERRED, false },
	{ "greeting that speaks of TLS",
	    HEAD "17B13A743FF: to=<budi@a.example>" RELAY TIMES ", dsn=4.7.4, status=deferred (host mx.a.example[192.0.2.1] refused to talk to "
	    "me: 450 4.7.4 TLS is required)", MAILLOG_DELIVERY, "a.example", NULL, MAILLOG_DEFERRED, false },

	/* Not as demanded, says Postfix. */
	{ "not offered",
	    HEAD "17B13A743FF: to=<budi@a.example>" RELAY TIMES ", dsn=4.7.4, status=deferred (TLS is required, but was not offered by host "
	    "mx.a.example[192.0.2.1])", MAILLOG_DELIVERY, "a.example", NULL, MAILLOG_DEFERRED, true },
	{ "not trusted", HEAD "17B13A743FF: to=<budi@a.example>" RELAY TIMES ", dsn=4.7.5, status=deferred (Server certificate not trusted)",
	    MAILLOG_DELIVERY, "a.example", NULL, MAILLOG_DEFERRED, true },
	{ "no policy", HEAD "17B13A743FF: to=<budi@a.example>, relay=none" TIMES ", dsn=4.7.5, status=deferred (client TLS configuration problem)",
	    MAILLOG_DELIVERY, "a.example", "none", MAILLOG_DEFERRED, true },
	{ "handshake", HEAD "17B13A743FF: to=<budi@a.example>" RELAY TIMES ", dsn=4.7.5, status=deferred (Cannot start TLS: handshake failure)",
	    MAILLOG_DELIVERY, "a.example", NULL, MAILLOG_DEFERRED, true },
	{ "TLSA", HEAD "17B13A743FF: to=<budi@a.example>, relay=none" TIMES ", dsn=4.7.5, status=deferred (TLSA lookup error for mx.a.example:25)",
	    MAILLOG_DELIVERY, "a.example", NULL, MAILLOG_DEFERRED, true },
	{ "suspended for it",
	    ERR "17B13A743FF: to=<budi@a.example>, relay=none" TIMES ", dsn=4.7.4, status=deferred (delivery temporarily suspended: TLS is "
	    "required, but was not offered by host mx.a.example[192.0.2.1])", MAILLOG_DELIVERY, "a.example", NULL, MAILLOG_DEFERRED, true },
	{ "suspended for something else",
	    ERR "17B13A743FF: to=<budi@a.example>, relay=none" TIMES ", dsn=4.4.1, status=deferred (delivery temporarily suspended: connect to "
	    "mx.a.example[192.0.2.1]:25: Connection refused)", MAILLOG_DELIVERY, "a.example", NULL, MAILLOG_DEFERRED, false },
	{ "connection refused",
	    HEAD "17B13A743FF: to=<budi@a.example>, relay=none" TIMES ", dsn=4.4.1, status=deferred (connect to mx.a.example[192.0.2.1]:25: "
	    "Connection refused)", MAILLOG_DELIVERY, "a.example", "none", MAILLOG_DEFERRED, false },

	/* Sessions. */
	{ "session", HEAD SESSION("mx.a.example[192.0.2.1]:25") " key-exchange X25519", MAILLOG_TLS, NULL, "mx.a.example[192.0.2.1]:25", 0, false },
	{ "session of a server, as a client's", HEAD "Untrusted TLS connection established from mx.a.example[192.0.2.1]: TLSv1.3 with cipher A (1/1 bits)",
	    MAILLOG_UNREADABLE, NULL, NULL, 0, false },
	{ "session taken in", IN "Anonymous TLS connection established from mx.a.example[192.0.2.1]: TLSv1.2 with cipher ECDHE-RSA-AES256 (256/256 bits)",
	    MAILLOG_TLS, NULL, "mx.a.example[192.0.2.1]", 0, false },
	{ "session taken in, by name",
	    IN "Anonymous TLS connection established from mx.a.example[192.0.2.1] to mail.kota.example: TLSv1.2 with cipher A (256/256 bits)",
	    MAILLOG_TLS, NULL, "mx.a.example[192.0.2.1]", 0, false },
	{ "session without a cipher", HEAD "Untrusted TLS connection established to mx.a.example[192.0.2.1]:25: TLSv1.3", MAILLOG_UNREADABLE, NULL,
	    NULL, 0, false },
	{ "a level that is none", HEAD "Excellent TLS connection established to mx.a.example[192.0.2.1]:25: TLSv1.3 with cipher A (256/256 bits)",
	    MAILLOG_OTHER, NULL, NULL, 0, false },
	{ "session in another's words", HEAD "17B13A743FF: host mx.a.example[192.0.2.1] said: 450 " SESSION("x[192.0.2.9]:25"), MAILLOG_OTHER, NULL,
	    NULL, 0, false },
	{ "repeated by syslog", HEAD "message repeated 2 times: [ " SESSION("mx.a.example[192.0.2.1]:25") "]", MAILLOG_UNREADABLE, NULL, NULL, 0, false },

	{ "lost in the middle", HEAD "17B13A743FF: lost connection with mx.a.example[192.0.2.1] while sending RCPT TO", MAILLOG_TROUBLE, NULL, NULL, 0,
	    false },
	{ "another server is tried", HEAD "17B13A743FF: host mx.a.example[192.0.2.1] said: 450 4.2.0 later (in reply to RCPT TO command)",
	    MAILLOG_OTHER, NULL, NULL, 0, false },
	{ "warning", HEAD "warning: no MX host for a.example has a valid address record", MAILLOG_OTHER, NULL, NULL, 0, false },

	/* Coming in. */
	{ "connect", IN "connect from unknown[192.0.2.1]", MAILLOG_CONNECT, NULL, "unknown[192.0.2.1]", 0, false },
	{ "connect, with port", IN "connect from unknown[192.0.2.1]:40000", MAILLOG_CONNECT, NULL, "unknown[192.0.2.1]:40000", 0, false },
	{ "connect, and more", IN "connect from unknown[192.0.2.1] x", MAILLOG_UNREADABLE, NULL, NULL, 0, false },
	{ "message", IN "17B13A743FF: client=unknown[192.0.2.1]", MAILLOG_MESSAGE, NULL, "unknown[192.0.2.1]", 0, false },
	{ "message, login", IN "17B13A743FF: client=unknown[192.0.2.1], sasl_method=PLAIN, sasl_username=budi", MAILLOG_MESSAGE, NULL, NULL, 0, false },
	{ "refused, with a forged HELO",
	    IN "NOQUEUE: reject: RCPT from unknown[192.0.2.1]: 554 5.7.1 <a@a.example>: Relay access denied; from=<> to=<a@a.example> proto=ESMTP "
	    "helo=<17B13A743FF: client=unknown[192.0.2.9]>", MAILLOG_OTHER, NULL, NULL, 0, false },

	/* Whose line it is. */
	{ "another program", "Nov 21 05:20:39 mail postfix/virtual[25]: 17B13A743FF: to=<budi@a.example>, relay=virtual" TIMES SENT, MAILLOG_OTHER, NULL,
	    NULL, 0, false },
	{ "a program of another name", "Nov 21 05:20:39 mail postfix/xsmtp[25]: 17B13A743FF: to=<budi@a.example>" RELAY TIMES SENT, MAILLOG_OTHER, NULL,
	    NULL, 0, false },
	{ "no slash", "Nov 21 05:20:39 mail smtp[25]: 17B13A743FF: to=<budi@a.example>" RELAY TIMES SENT, MAILLOG_OTHER, NULL, NULL, 0, false },
	{ "syslog_name", "Nov 21 05:20:39 mail postfix-out/relay/smtp[25]: 17B13A743FF: to=<budi@a.example>" RELAY TIMES SENT, MAILLOG_DELIVERY,
	    "a.example", NULL, MAILLOG_SENT, false },
	{ "RFC 3339", "2026-11-21T05:20:39.123456+07:00 mail postfix/smtp[25]: 17B13A743FF: to=<budi@a.example>" RELAY TIMES SENT, MAILLOG_DELIVERY,
	    "a.example", NULL, MAILLOG_SENT, false },
	{ "short-precise", "Nov  1 05:20:39.123456 mail postfix/smtp[25]: 17B13A743FF: to=<budi@a.example>" RELAY TIMES SENT, MAILLOG_DELIVERY,
	    "a.example", NULL, MAILLOG_SENT, false },
	{ "no stamp", "mail postfix/smtp[25]: 17B13A743FF: to=<budi@a.example>" RELAY TIMES SENT, MAILLOG_UNREADABLE, NULL, NULL, 0, false },
	{ "no process", "Nov 21 05:20:39 mail postfix/smtp: 17B13A743FF: to=<budi@a.example>" RELAY TIMES SENT, MAILLOG_OTHER, NULL, NULL, 0, false },
	{ "empty", "", MAILLOG_UNREADABLE, NULL, NULL, 0, false },
	{ "journald gave up", "Nov 21 05:20:39 mail systemd-journald[215]: Suppressed 1523 messages from postfix.service", MAILLOG_LOSS, NULL, NULL, 0,
	    false },
	{ "rsyslog gave up", "Nov 21 05:20:39 mail rsyslogd: imuxsock[pid 12]: begin to drop messages due to rate-limiting", MAILLOG_LOSS, NULL, NULL, 0,
	    false },
	{ "somebody says so", HEAD "17B13A743FF: host x[192.0.2.1] said: 450 Suppressed 1 messages", MAILLOG_OTHER, NULL, NULL, 0, false },
};

static bool
is(struct slice found, const char *want)
{
	return !want || (strlen(want) == found.len && memcmp(want, found.at, found.len) == 0);
}

static void
test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
		const size_t len = strlen(lines[i].line);
		unsigned char *block = malloc(len ? len : 1); /* exactly sized: ASan sees one byte too many */
		struct maillog_line line;

		memcpy(block, lines[i].line, len);
		maillog_parse((struct slice){ block, len }, &line);
		if (line.kind != lines[i].kind || !is(line.domain, lines[i].domain) || !is(line.peer, lines[i].peer)
		    || (line.kind == MAILLOG_DELIVERY && (line.status != lines[i].status || line.for_tls != lines[i].for_tls)))
			fail_msg("%s: kind %d, wanted %d; domain '%.*s', peer '%.*s', status %d, for TLS %d", lines[i].name, (int)line.kind,
			    (int)lines[i].kind, (int)line.domain.len, (const char *)line.domain.at, (int)line.peer.len,
			    (const char *)line.peer.at, (int)line.status, (int)line.for_tls);
		free(block);
	}
}

/* However short a line is cut, it never says more than the whole one, and nothing beyond it is read. */
static void
test_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
		for (size_t len = 0; len < strlen(lines[i].line); len++) {
			unsigned char *block = malloc(len ? len : 1);
			struct maillog_line line;

			memcpy(block, lines[i].line, len);
			maillog_parse((struct slice){ block, len }, &line);
			if (line.kind == MAILLOG_DELIVERY && line.status == MAILLOG_SENT)
				assert_int_equal(lines[i].status, MAILLOG_SENT);
			free(block);
		}
	}
}

static void
test_session(void **state)
{
	static const struct {
		const char *line;
		enum logged_level level;
		enum logged_version version;
		const char *cipher;
	} rows[] = {
		{ HEAD "Anonymous TLS connection established to a[192.0.2.1]:25: TLSv1.2 with cipher ADH-AES256 (256/256 bits)", TLS_ANONYMOUS, TLS_V1_2, "ADH-AES256" },
		{ HEAD "Untrusted TLS connection reused to a[192.0.2.1]:25: TLSv1.3 with cipher TLS_A (256/256 bits)", TLS_UNTRUSTED, TLS_V1_3, "TLS_A" },
		{ HEAD "Trusted TLS connection established to a[192.0.2.1]:25: TLSv1 with cipher A (256/256 bits)", TLS_TRUSTED, TLS_V1, "A" },
		{ HEAD "Verified TLS connection established to a[192.0.2.1]:25: TLSv1.1 with cipher A (256/256 bits)", TLS_VERIFIED, TLS_V1_1, "A" },
		{ HEAD "Verified TLS connection established to a[192.0.2.1]:25: TLSv1.4 with cipher A (256/256 bits)", TLS_VERIFIED, LOGGED_VERSION_OTHER, "A" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct maillog_line line;

		maillog_parse(slice_of(rows[i].line), &line);
		assert_int_equal(line.kind, MAILLOG_TLS);
		assert_int_equal(line.level, rows[i].level);
		assert_int_equal(line.version, rows[i].version);
		assert_true(is(line.cipher, rows[i].cipher));
	}
}

static void
test_loopback(void **state)
{
	static const struct {
		const char *ip;
		bool want;
	} rows[] = {
		{ "127.0.0.1", true }, { "127.9.9.9", true }, { "::1", true }, { "128.0.0.1", false }, { "192.0.2.127", false }, { "2001:db8::1", false },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		char text[256];
		struct maillog_line line;

		snprintf(text, sizeof(text), HEAD "17B13A743FF: to=<a@a.example>, relay=127.0.0.1.example[%s]:25" TIMES SENT, rows[i].ip);
		maillog_parse(slice_of(text), &line);
		assert_int_equal(line.kind, MAILLOG_DELIVERY);
		assert_int_equal(line.loopback, rows[i].want);
	}
}

/* Names round trip: each once. */
static void
test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_LOGGED_VERSIONS; i++) {
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(logged_version_name((enum logged_version)i), logged_version_name((enum logged_version)j));
	}
	for (size_t i = 0; i < N_LOGGED_LEVELS; i++) {
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(logged_level_name((enum logged_level)i), logged_level_name((enum logged_level)j));
	}
}

/* 2026-11-21 05:00:00 UTC; TZ is UTC. */
#define NOW 1795237200

static const struct {
	const char *stamp;
	time_t want; /* 0 = none */
} stamps[] = {
	{ "2026-11-21T05:00:00Z", NOW },
	{ "2026-11-21T12:00:00+07:00", NOW },
	{ "2026-11-21T12:00:00+0700", NOW },
	{ "2026-11-20T23:00:00.999999-06:00", NOW },
	{ "2026-11-21T05:00:00", 0 },
	{ "2026-11-21T05:00:0xZ", 0 },
	{ "2026-13-21T05:00:00Z", 0 },
	{ "2026-11-21T05:61:00Z", 0 },
	{ "Nov 21 05:00:00", NOW },
	{ "Nov 21 05:00:59.5", NOW + 59 },
	{ "Nov 22 04:59:59", NOW + 86399 },             /* another clock */
	{ "Nov 23 05:00:00", NOW + 2 * 86400 - 365 * 86400 }, /* last year's */
	{ "Dec 31 23:00:00", NOW + 40 * 86400 + 18 * 3600 - 365 * 86400 },
	{ "Feb 29 00:00:00", 1709164800 },              /* 2024: the last that there was */
	{ "Feb 30 00:00:00", 0 },
	{ "Nov 21 25:00:00", 0 },
	{ "Nov 21 05:60:00", 0 },
	{ "Xov 21 05:00:00", 0 },
};

static void
test_times(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	for (size_t i = 0; i < N_ELEMENTS(stamps); i++) {
		struct maillog_clock clock = { .now = NOW };
		time_t found = 0;

		for (int again = 0; again < 2; again++) {
			if (!maillog_time(&clock, slice_of(stamps[i].stamp), &found))
				found = 0;
			if (found != stamps[i].want)
				fail_msg("%s: %lld, wanted %lld", stamps[i].stamp, (long long)found, (long long)stamps[i].want);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),    cmocka_unit_test(test_cut),   cmocka_unit_test(test_session),
		cmocka_unit_test(test_loopback), cmocka_unit_test(test_names), cmocka_unit_test(test_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
