/*
 * postfix: the effective configuration of a Postfix, as plain facts: every service of master.cf with its
 * -o overrides, as Postfix's own postconf(1) resolves them, and what the file system says of the filters'
 * sockets. Reads only. Judges nothing (judge.h); what could not be found out is said to be unknown.
 */
#ifndef PREFLIGHT_POSTFIX_H
#define PREFLIGHT_POSTFIX_H

#include "milter/filter/role.h"
#include "milter/preflight/socket.h"
#include "milter/preflight/turn.h"
#include "milter/preflight/value.h"
#include "smime/err.h"

#define POSTCONF_FILE "/usr/sbin/postconf"
#define POSTFIX_FOLDER "/etc/postfix"

/* A filter in a list of milters. */
struct milter {
	char *endpoint;               /* as written: "unix:segel/milter.sock" */
	char *path;                   /* the file that Postfix opens; NULL = TCP */
	const struct role_traits *role; /* of the role of ours whose socket this is; NULL = not ours */
	bool astray;                  /* ours is meant, but a chroot makes it another file */
	struct values own;            /* { endpoint, own=..., } */
	struct socket_facts socket;
};

enum program {
	PROGRAM_OTHER,
	PROGRAM_SMTPD,
	PROGRAM_CLEANUP,
	PROGRAM_PICKUP,
	PROGRAM_SMTP,       /* the smtp client; lmtp has parameters of its own */
	PROGRAM_POSTSCREEN,
};

struct service {
	char *key;            /* "submission/inet", as postconf -P wants it */
	char *name;           /* "submission", "127.0.0.1:10025" */
	char *type;           /* "inet", "unix", "pass" */
	enum program program;
	bool chrooted;
	bool loopback;        /* only this machine reaches it */
	bool release;         /* where quarantine.release_to leads */
	bool from_split;      /* where split.next_hop leads, while encrypt.split is on */
	char *limit;          /* of processes; "-" = default_process_limit */
	struct values own;    /* with its overrides; empty where it has none */
	const struct values *values; /* its own, or main.cf's */
	struct milter *milters;      /* in the order they are asked; none where it switches them off */
	size_t n_milters;
	struct turns turns;   /* of what tables do to its mail, while encrypt.use is on and role submission or egress looks at it */
	bool off;             /* has milters that receive_override_options switches off */
};

struct postfix {
	char *folder;         /* of main.cf and master.cf */
	char *queue_folder;
	struct user owner;    /* the user of Postfix's daemons; no name = there is none here */
	struct values main;
	struct service *services;
	size_t n_services;
	struct words warnings;    /* postconf's own */
	struct words outside;     /* "FILE: NAME -> ADDRESS" of aliases that leave our domains */
	struct words unread;      /* alias tables that cannot be read as text */
	struct words swaps;       /* where this machine writes memory in the clear */
	enum answer tlspol_there; /* the socket of tlspol.socket */
};

/* -1: no postconf, no configuration, or a broken one; the text says which. */
int postfix_read(const char *postconf, const char *folder, const struct config *config, struct postfix *ret, struct err *err) MUST_USE;
void postfix_done(struct postfix *mta);

/* The effective text of a parameter for a service; "" where there is no such parameter. */
const char *service_text(const struct service *service, const char *name);
/* The first service of a program, NULL if there is none. */
const struct service *postfix_service(const struct postfix *mta, enum program program);
/* The first filter of ours in that role that the service asks; NULL = none. */
const struct milter *service_milter(const struct service *service, enum role role);
bool service_has_ours(const struct service *service);
/* A value of the filter's own block, else of the service. */
const char *milter_text(const struct service *service, const struct milter *milter, const char *own, const char *parameter);
/* Where its listener is; false: not a listener on the network. `host` is "" for all addresses. */
bool service_address(const struct service *service, char **host, char **port);

static inline __attribute__((unused)) void auto_postfix_done(struct postfix *mta) { postfix_done(mta); }
#define AUTO_POSTFIX __attribute__((cleanup(auto_postfix_done)))

#endif
