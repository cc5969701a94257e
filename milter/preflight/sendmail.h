/*
 * sendmail: what a sendmail.cf says about filters, listeners, logins and TLS, as plain facts, and what the file
 * system says of the sockets and files that it names. Reads the generated file itself, strictly: a line that
 * no sendmail.cf has is an error, not a comment, and so is what Sendmail would take but m4 never writes (options
 * of one letter, abbreviated options, quotes in a filter's line): it could hide a setting from this reader.
 *
 * Rule sets (R lines) are passed over, so what those, srv_features or the access map allow is not known here; --live
 * asks the listeners. Nor are options on Sendmail's own command line (-O), which outrank the file.
 */
#ifndef PREFLIGHT_SENDMAIL_H
#define PREFLIGHT_SENDMAIL_H

#include "milter/filter/role.h"
#include "milter/preflight/finding.h"
#include "milter/preflight/socket.h"
#include "milter/preflight/value.h"
#include "smime/err.h"

/* X lines: Xsegel, S=local:/run/x.sock, F=T, T=S:30s;R:60s */
struct cf_filter {
	char *name;
	struct values equates;          /* S, F, T */
	char *path;                     /* of a UNIX socket; NULL = TCP */
	const struct role_traits *role; /* of ours; NULL = not ours */
	struct socket_facts socket;
	char *unsafe;                   /* for what Sendmail would not use the socket; NULL = nothing */
};

/* O DaemonPortOptions=Port=587, Name=MSA, M=Ea, InputMailFilters=segel */
struct cf_daemon {
	char *name;                     /* "MSA"; its port where it has none */
	struct values keys;             /* by the names of the table in sendmail.c, however they were written */
	struct words filters;           /* its own, or the global ones */
	bool own_filters;
};

/* A file or folder that TLS needs. */
struct cf_file {
	const char *option;             /* borrowed: "ServerKeyFile" */
	char *path;
	char *trouble;                  /* why Sendmail cannot use it; NULL = it can */
};

struct sendmail {
	char *file;
	struct values options;          /* O lines that are judged, by their long names */
	struct cf_file *files;          /* in the order of the options */
	size_t n_files;
	char *version;                  /* DZ; "" = not told */
	struct cf_filter *filters;
	size_t n_filters;
	struct cf_daemon *daemons;
	size_t n_daemons;
};

/* -1: not there, no file, or no sendmail.cf; the text names the line. */
int sendmail_read(const char *file, const struct config *config, struct sendmail *ret, struct err *err) MUST_USE;
void sendmail_done(struct sendmail *mta);
void sendmail_judge(const struct sendmail *mta, const struct config *config, struct findings *ret);

/* The text of an option, "" where it is not set. Only of options that the reader keeps. */
const char *sendmail_option(const struct sendmail *mta, const char *name);
const struct cf_filter *sendmail_filter(const struct sendmail *mta, const char *name);
/* A port's number; 25 where none is told, 0 for a name that nobody knows. */
unsigned cf_daemon_port(const struct cf_daemon *daemon);
/* Does M= of the service have this letter? */
bool cf_daemon_has(const struct cf_daemon *daemon, char modifier);
/* Only this machine reaches it. */
bool cf_daemon_is_loopback(const struct cf_daemon *daemon);
/* Port 587 or 465, or a login demanded (M=a): users send here. */
bool cf_daemon_is_submission(const struct cf_daemon *daemon);

/* --- for the reader: sendmail_place.c --- */

/* For what Sendmail would call a socket unsafe and not start, owned; NULL = for nothing. Links followed. */
char *cf_unsafe_socket(const char *path);
/* Fills `files` from the options. */
void cf_look_at_files(struct sendmail *mta);

static inline __attribute__((unused)) void auto_sendmail_done(struct sendmail *mta) { sendmail_done(mta); }
#define AUTO_SENDMAIL __attribute__((cleanup(auto_sendmail_done)))

/* The ids of the table, for a test that walks it; NULL at the end. */
const char *sendmail_rule_id(size_t i);

#endif
