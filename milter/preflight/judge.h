/*
 * judge: what stands against a mail server's set-up. Pure: facts and settings in, findings out; no
 * file, clock or network. The tables of rules are the list; a rule is about main.cf, about each service
 * of a sort, or about each of our filters at a service.
 */
#ifndef PREFLIGHT_JUDGE_H
#define PREFLIGHT_JUDGE_H

#include "milter/preflight/finding.h"
#include "milter/preflight/postfix.h"

struct look {
	const struct postfix *mta;
	const struct config *config;
	long sessions;                 /* planned at a time */
	const struct service *service; /* NULL: the rule is about main.cf */
	const struct milter *milter;   /* only of rules about filters */
};

/* What a rule says, beside its table row. */
struct say {
	struct buf what, mend;
};

enum over {
	OVER_UNKNOWN,
	OVER_MAIN,       /* main.cf */
	OVER_MACHINE,    /* what the mail server runs on */
	OVER_SMTPD,      /* every smtpd service */
	OVER_INTERNET,   /* those that others than this machine reach */
	OVER_OURS,       /* those with a filter of ours */
	OVER_LOGIN,      /* those with SASL logins */
	OVER_CLIENT,     /* smtp clients */
	OVER_CLEANUP,    /* where mail goes through that comes without SMTP, too */
	OVER_PICKUP,     /* takes what the sendmail command wrote */
	OVER_MILTER,     /* every filter of ours, at smtpd and at cleanup */
};

/*
 * Either `found` looks and says, or the parameter's value is asked for `bad`, and `good` mends it.
 * A parameter that this Postfix does not have is passed over.
 */
struct rule {
	const char *id;
	enum severity severity;
	enum over over;
	const char *why;
	const char *parameter;
	bool (*bad)(const char *value);
	const char *good;
	bool (*found)(const struct look *look, struct say *say);
};

/* Ended by id NULL. */
extern const struct rule service_rules[], filter_rules[], egress_rules[], split_rules[], tls_rules[], mail_rules[];
/* All tables; ended by NULL. */
extern const struct rule *const rule_tables[];

void postfix_judge(const struct postfix *mta, const struct config *config, long sessions, struct findings *ret);

/* --- for rules --- */

/* The effective text of a parameter: the service's, else main.cf's. */
const char *look_text(const struct look *look, const char *parameter);
/* "smtpd_tls_security_level = may (main.cf)" */
void say_value(const struct look *look, struct say *say, const char *parameter);
/* The command that gives the parameter this value where it now comes from. */
void mend_with(const struct look *look, struct say *say, const char *parameter, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* The same, for this service only. */
void mend_service(const struct look *look, struct say *say, const char *parameter, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* The endpoint to write for a role's socket: from the queue folder, where the socket lies in it. Owned. */
char *endpoint_for(const struct look *look, enum role role);

bool is_no(const char *value);
bool is_yes(const char *value);
bool is_set(const char *value);
bool is_empty(const char *value);
bool is_zero(const char *value);

/*
 * relay.c: which clients without one of our mailboxes as their goal a service lets in; by its
 * client, helo, sender, relay and recipient restrictions together.
 */
enum {
	ADMIT_NETWORK = 1, /* mynetworks */
	ADMIT_LOGIN = 2,   /* SASL */
	ADMIT_CERT = 4,    /* client certificates */
	ADMIT_TABLE = 8,   /* whom a table of the administrator's names */
	ADMIT_ALL = 16,
};
unsigned relay_admits(const struct service *service);
/* "clients in mynetworks (127.0.0.0/8) and logins (SASL)" */
void relay_text(const struct service *service, unsigned admitted, struct buf *ret);

/* What a listener is for, as far as its settings tell. */
enum listener {
	LISTENER_UNKNOWN,
	LISTENER_INBOUND,     /* takes mail for our mailboxes from anybody, relays for nobody */
	LISTENER_SUBMISSION,  /* lets users of our own send */
	LISTENER_REINJECTION, /* takes mail back from a content filter on this machine */
	LISTENER_RELEASE,     /* takes what segel-reviewd lets go */
};
enum listener listener_of(const struct postfix *mta, const struct service *service);
const char *listener_word(enum listener listener);

#endif
