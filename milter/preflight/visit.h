/*
 * visit: what a client gets at a listener, as facts: one that has no login, with and without TLS, and
 * with bare newlines. One connection at a time, ended with QUIT; every reply bounded in time and bytes.
 * Sends no message, and never DATA, but for the three test messages to an address that the administrator
 * named (--probe). Judges nothing (judge_visit.h). The server's certificate is not checked: whether others
 * trust it is for their policy.
 *
 * What a client gets may depend on where it comes from (mynetworks). These are the facts seen from here.
 */
#ifndef PREFLIGHT_VISIT_H
#define PREFLIGHT_VISIT_H

#include <time.h>

#include "milter/preflight/postfix.h"
#include "milter/preflight/sendmail.h"
#include "milter/preflight/smtp.h"

enum { VISIT_TIMEOUT_MS = 10000, VISIT_PROBES = 3 };

/* What the configuration says of the listener; nothing where it names none such. */
struct visit_promise {
	bool known;
	const char *key;    /* "submission/inet"; borrowed from the configuration */
	const char *folder; /* of Postfix, for the commands that mend; borrowed, NULL = the usual one */
	bool encrypt;       /* no mail without TLS */
	bool login;         /* SASL is on */
	bool inbound;       /* asks our filter for other servers' mail */
	bool reinjection;   /* takes mail back on this machine; is no concern of clients */
	bool network;       /* lets this machine, by its address, or whom a table names, send to the world */
	bool bare_forbidden; /* bare newlines, from clients that are not excluded */
	bool excludes_us;   /* this machine may be among those that are */
	bool sendmail;       /* the commands that mend a Postfix do not help */
	const char *excluded; /* their list; borrowed, may be NULL */
};

/* A listener to ask. */
struct visit_place {
	char *host, *port;
	bool wrapper;       /* TLS from the first byte */
	bool loopback;
	struct visit_promise promise;
};

struct visit_places {
	struct visit_place *at;
	size_t n;
};

/* The listeners that the configuration names; loopback for those on all addresses. Adds to `ret`. */
void visit_places_of(const struct postfix *mta, struct visit_places *ret);
void visit_places_of_sendmail(const struct sendmail *mta, struct visit_places *ret);
/*
 * One that the administrator names, "HOST:PORT", "[::1]:25". The promise is that of the configuration's
 * service on this port, if there is one (`mta` may be NULL).
 */
int visit_places_add(const char *text, const struct postfix *mta, struct visit_places *ret, struct err *err) MUST_USE;
void visit_places_done(struct visit_places *places);

/* A command's reply in short. */
struct visit_reply {
	int code;           /* 0 = not asked, or no reply came */
	char text[160];     /* its first line behind the code */
};

enum visit_answer {
	VISIT_UNKNOWN, /* not asked, or no clear answer */
	VISIT_NO,
	VISIT_YES,
	VISIT_CANNOT,  /* our own TLS library cannot ask this */
};

/* What a client without login gets from its EHLO on. The recipients are outside, by RFC 2606: nobody's. */
struct visit_session {
	bool tried;
	bool greeted;               /* EHLO was answered with 250 */
	bool starttls, auth;        /* keywords */
	struct visit_reply own_mail; /* MAIL from our own domain */
	struct visit_reply own_out;  /* then RCPT to somebody outside */
	struct visit_reply own_in;   /* and to postmaster in our own domain */
	struct visit_reply out_mail; /* MAIL from somebody outside */
	struct visit_reply out_out;  /* then RCPT to somebody outside */
};
/* 2xx, 5xx; neither is "not settled". */
bool visit_is_taken(const struct visit_reply *reply);
bool visit_is_refused(const struct visit_reply *reply);

/* The ways to hide an end of data; the index of facts->probes. */
enum visit_newline { NEWLINE_LF_LF, NEWLINE_CRLF_LF, NEWLINE_LF_CRLF };

struct visit_probe {
	bool tried;
	struct visit_reply refused; /* the message could not be sent: the reply to MAIL, RCPT or DATA */
	size_t n_replies;          /* to one end of data: more than one = it was split */
	struct visit_reply first;   /* the first of them */
	struct visit_reply second;
	enum visit_answer split;
};

struct visit {
	const struct visit_place *place; /* borrowed */
	struct visit_reply banner;
	bool reached;               /* somebody answers there */
	char *trouble;              /* what did not work, in the first session where something did not; NULL */
	struct visit_session clear;  /* not tried where TLS comes first */
	struct visit_session secure;
	char version[16], cipher[64]; /* agreed with a modern client; "" = no TLS was agreed */
	char *tls_trouble;          /* why not; NULL */
	enum visit_answer old_tls;   /* takes a client that knows no more than TLS 1.1 */
	size_t n_tail;              /* bytes in clear behind the reply to STARTTLS, which a client must not believe */
	enum visit_answer carried;   /* a command in clear behind STARTTLS was carried out in TLS */
	struct visit_probe probes[VISIT_PROBES];
};

struct visit_options {
	int timeout_ms;             /* for each reply; VISIT_TIMEOUT_MS */
	const char *own_domain;     /* NULL: nothing is asked about it */
	const char *probe;          /* an address whose mailbox is read; NULL: nothing is sent */
	time_t now;                 /* for the date of what is sent */
};

/* Asks. Outcomes are facts, also that nobody answers; nothing is an error. */
void visit_ask(const struct visit_place *place, const struct visit_options *options, struct visit *ret);
void visit_done(struct visit *visit);

/* "<LF>.<LF>" */
const char *visit_newline_word(enum visit_newline newline);

#endif
