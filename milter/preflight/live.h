/*
 * live: what a client gets at a listener, as facts: one that has no login, with and without TLS, and
 * with bare newlines. One connection at a time, ended with QUIT; every reply bounded in time and bytes.
 * Sends no message, and never DATA, but for the three test messages to an address that the administrator
 * named (--probe). Judges nothing (judge_live.h). The server's certificate is not checked: whether others
 * trust it is for their policy.
 *
 * What a client gets may depend on where it comes from (mynetworks). These are the facts seen from here.
 */
#ifndef PREFLIGHT_LIVE_H
#define PREFLIGHT_LIVE_H

#include "milter/preflight/postfix.h"
#include "milter/preflight/smtp.h"

enum { LIVE_TIMEOUT_MS = 10000, LIVE_PROBES = 3 };

/* What the configuration says of the listener; nothing where it names none such. */
struct live_promise {
	bool known;
	const char *key;    /* "submission/inet"; borrowed from the configuration */
	bool encrypt;       /* no mail without TLS */
	bool login;         /* SASL is on */
	bool inbound;       /* asks our filter for other servers' mail */
	bool reinjection;   /* takes mail back on this machine; is no concern of clients */
	bool network;       /* lets clients by their address send to the world */
	bool bare_forbidden; /* bare newlines, from clients that are not excluded */
	const char *excluded; /* smtpd_forbid_bare_newline_exclusions, for the text; borrowed, may be NULL */
};

/* A listener to ask. */
struct live_place {
	char *host, *port;
	bool wrapper;       /* TLS from the first byte */
	bool loopback;
	struct live_promise promise;
};

struct live_places {
	struct live_place *at;
	size_t n;
};

/* The listeners that the configuration names; loopback for those on all addresses. Adds to `ret`. */
void live_places_of(const struct postfix *mta, struct live_places *ret);
/*
 * One that the administrator names, "HOST:PORT", "[::1]:25". The promise is that of the configuration's
 * service on this port, if there is one (`mta` may be NULL).
 */
int live_places_add(const char *text, const struct postfix *mta, struct live_places *ret, struct err *err) MUST_USE;
void live_places_done(struct live_places *places);

/* A command's reply in short. */
struct live_reply {
	int code;           /* 0 = not asked, or no reply came */
	char text[160];     /* its first line behind the code */
};

enum live_answer {
	LIVE_UNKNOWN, /* not asked, or no clear answer */
	LIVE_NO,
	LIVE_YES,
	LIVE_CANNOT,  /* our own TLS library cannot ask this */
};

/* What a client without login gets from its EHLO on. The recipients are outside, by RFC 2606: nobody's. */
struct live_session {
	bool tried;
	bool greeted;               /* EHLO was answered with 250 */
	bool starttls, auth;        /* keywords */
	struct live_reply own_mail; /* MAIL from our own domain */
	struct live_reply own_out;  /* then RCPT to somebody outside */
	struct live_reply own_in;   /* and to postmaster in our own domain */
	struct live_reply out_mail; /* MAIL from somebody outside */
	struct live_reply out_out;  /* then RCPT to somebody outside */
};

/* The ways to hide an end of data; the index of facts->probes. */
enum live_newline { NEWLINE_LF_LF, NEWLINE_CRLF_LF, NEWLINE_LF_CRLF };

struct live_probe {
	bool tried;
	struct live_reply refused; /* the message could not be sent: the reply to MAIL, RCPT or DATA */
	size_t n_replies;          /* to one end of data: more than one = it was split */
	struct live_reply first;   /* the first of them */
	struct live_reply second;
	enum live_answer split;
};

struct live {
	const struct live_place *place; /* borrowed */
	struct live_reply banner;
	bool reached;               /* somebody answers there */
	char *trouble;              /* what did not work, in the first session where something did not; NULL */
	struct live_session clear;  /* not tried where TLS comes first */
	struct live_session secure;
	char version[16], cipher[64]; /* agreed with a modern client; "" = no TLS was agreed */
	char *tls_trouble;          /* why not; NULL */
	enum live_answer old_tls;   /* takes a client that knows no more than TLS 1.1 */
	size_t n_tail;              /* bytes in clear behind the reply to STARTTLS, which a client must not believe */
	enum live_answer carried;   /* a command in clear behind STARTTLS was carried out in TLS */
	struct live_probe probes[LIVE_PROBES];
};

struct live_options {
	int timeout_ms;             /* for each reply; LIVE_TIMEOUT_MS */
	const char *own_domain;     /* NULL: nothing is asked about it */
	const char *probe;          /* an address whose mailbox is read; NULL: nothing is sent */
};

/* Asks. Outcomes are facts, also that nobody answers; nothing is an error. */
void live_ask(const struct live_place *place, const struct live_options *options, struct live *ret);
void live_done(struct live *live);

/* "<LF>.<LF>" */
const char *live_newline_word(enum live_newline newline);

#endif
