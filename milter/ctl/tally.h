/*
 * tally: the lines of a mail log, put together: how much mail went and came through TLS.
 *
 * Outgoing, counted by recipient (one delivery line each) and put under the recipient's domain:
 *
 *     tls      The same smtp process logged a TLS session with the same server, and this is the first
 *              message since then. Postfix logs one for every connection, and again where a
 *              connection is used again (smtp_tls_connection_reuse), so a session never counts for a
 *              second message: the server may have stopped offering TLS in between.
 *     clear    No such line, and this service has logged TLS sessions before (so it does log them).
 *     unknown  No such line, and no evidence that this service logs TLS sessions; or something went
 *              wrong in the session, after which Postfix may try again without TLS; or too many processes.
 *
 * Incoming, counted by message and put under the service: likewise, from "connect from" on.
 * What passes between programs of this machine over loopback (content filters) is counted apart.
 *
 * Memory is bounded: see the limits. Not for trust: who can write to the log can write anything.
 */
#ifndef CTL_TALLY_H
#define CTL_TALLY_H

#include <time.h>

#include "milter/ctl/maillog.h"
#include "smime/base.h"

enum {
	TALLY_LINE_BYTES = 16 * 1024, /* longer lines are counted, not read */
	TALLY_DOMAINS = 10000,        /* then "(others)" */
	TALLY_CIPHERS = 64,           /* then "(others)" */
	TALLY_SERVICES = 64,          /* host and syslog_name; lines of more are not read */
	TALLY_PROCESSES = 200000,     /* with an open session; then sessions are unknown */
	TALLY_REASON_BYTES = 200,
};

#define TALLY_OTHERS "(others)"
#define TALLY_NO_DOMAIN "(no domain)"

/* Sums; deliveries, or messages that came in. */
struct figures {
	uint64_t all;                       /* delivered, or begun: tls + clear + unknown */
	uint64_t tls, clear, unknown;
	uint64_t levels[N_LOGGED_LEVELS];      /* of tls */
	uint64_t versions[N_LOGGED_VERSIONS];  /* of tls */
	uint64_t ciphers[TALLY_CIPHERS + 1]; /* of tls; by tally_cipher */
	uint64_t deferred_tls, refused_tls; /* attempts that failed because TLS was not as demanded */
	uint64_t deferred, refused;         /* attempts that failed for other reasons */
	char reason[TALLY_REASON_BYTES];    /* the last of deferred_tls and refused_tls, as logged; "" = none */
	time_t reason_at;                   /* 0 = its stamp could not be read */
};

/* One row: a recipients' domain, or a service. */
struct tally_row {
	char *name;
	char *host;        /* of a service */
	bool server;       /* a service that takes mail in */
	uint64_t sessions; /* a service's TLS lines */
	struct figures figures;
};

struct tally_lines {
	uint64_t all;        /* read, of any kind */
	uint64_t counted;    /* made a difference to the figures */
	uint64_t unreadable; /* no log line, or of a form that is not known */
	uint64_t too_long;
	uint64_t outside;    /* before --from or after --to */
	uint64_t loopback;   /* deliveries and messages over loopback */
	uint64_t losses;     /* places where the logging itself says that it dropped lines */
};

struct tally_options {
	time_t now;
	time_t from, to;  /* 0 = any */
	bool loopback;    /* count it like everything else */
	bool logged;      /* somebody knows that TLS sessions were logged throughout */
};

struct tally;

struct tally *tally_new(const struct tally_options *options) MUST_USE;
void tally_free(struct tally *tally);
AUTO_DEFINE(struct tally, tally_free);

/* A line without its end; lines of one host in the order of their time. */
void tally_line(struct tally *tally, struct slice line);
void tally_too_long(struct tally *tally);

/* The sums. Rows by name; borrowed from the tally, until the next line. */
const struct tally_lines *tally_lines(const struct tally *tally);
const struct figures *tally_total(const struct tally *tally); /* of all domains */
void tally_each_domain(const struct tally *tally, void (*each)(void *ctx, const struct tally_row *row), void *ctx);
const struct tally_row *tally_service(const struct tally *tally, size_t i); /* NULL after the last */
const char *tally_cipher(const struct tally *tally, size_t i);              /* NULL after the last */
void tally_period(const struct tally *tally, time_t *first, time_t *last);  /* of what was counted; 0 = unknown */

#endif
