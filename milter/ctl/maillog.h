/*
 * maillog: one line of a mail log, taken apart (Postfix 3.5 and later).
 *
 * Reads syslog's own stamps ("Nov 21 04:50:48", a fraction of a second too), RFC 3339 stamps, what
 * postlogd writes (maillog_file) and what journalctl prints (short, short-iso, short-precise); any
 * syslog_name; Postfix's smtp client, smtpd, and the `error` service that defers what waits.
 *
 * Most of a line is somebody else's choice: addresses, host names, HELO names, replies of other
 * servers. So nothing is searched for: a line is read from its beginning, each piece by what
 * Postfix writes there, and what follows a reply's "(" is text, whatever it looks like. An
 * address is read as info_log_addr_form = external writes it (the default): quoted where it needs to be.
 *
 * Pure; knows nothing of the lines before. Slices are borrowed from the line.
 */
#ifndef CTL_MAILLOG_H
#define CTL_MAILLOG_H

#include <time.h>

#include "smime/buf.h"

enum maillog_program { MAILLOG_NOBODY, MAILLOG_SMTP, MAILLOG_SMTPD, MAILLOG_ERROR };

enum maillog_kind {
	MAILLOG_UNREADABLE, /* no line of a log, or one that we count, in a form that we do not know */
	MAILLOG_OTHER,      /* readable, and not about what we count */
	MAILLOG_TLS,        /* a TLS session, of a client or a server */
	MAILLOG_DELIVERY,   /* what became of one recipient: smtp, error */
	MAILLOG_TROUBLE,    /* smtp: something went wrong in the session, which may go on without TLS */
	MAILLOG_CONNECT,    /* smtpd */
	MAILLOG_MESSAGE,    /* smtpd: a message was begun */
	MAILLOG_LOSS,       /* the logging itself says that it dropped lines */
};

enum logged_level { LOGGED_LEVEL_UNKNOWN, TLS_ANONYMOUS, TLS_UNTRUSTED, TLS_TRUSTED, TLS_VERIFIED, N_LOGGED_LEVELS };
enum logged_version { LOGGED_VERSION_OTHER, TLS_SSLV3, TLS_V1, TLS_V1_1, TLS_V1_2, TLS_V1_3, N_LOGGED_VERSIONS };
enum maillog_status { MAILLOG_STATUS_OTHER, MAILLOG_SENT, MAILLOG_DEFERRED, MAILLOG_BOUNCED };

struct maillog_line {
	enum maillog_kind kind;
	enum maillog_program program;
	struct slice stamp, host, tag;
	uint32_t pid;

	struct slice peer;   /* TLS, CONNECT, MESSAGE, DELIVERY: "HOST[IP]:PORT", as it stands */
	bool loopback;       /* the peer is this machine itself */
	struct slice queue_id; /* DELIVERY, TROUBLE, MESSAGE */

	enum logged_level level; /* TLS */
	enum logged_version version;
	struct slice cipher;

	struct slice domain; /* DELIVERY: of the recipient, as written; empty = it has none */
	enum maillog_status status;
	time_t spent;        /* DELIVERY: seconds from before the connection to this line, rounded up */
	bool for_tls;        /* DELIVERY: put off or refused for the want of TLS as it was demanded, says Postfix itself */
	struct slice reason; /* DELIVERY: the text in brackets, without them */
};

enum { MAILLOG_MAX_DOMAIN = 255 };

/* `line` without its line end. */
void maillog_parse(struct slice line, struct maillog_line *ret);

const char *logged_level_name(enum logged_level level);       /* "Trusted" */
const char *logged_version_name(enum logged_version version); /* "TLSv1.3" */

/*
 * Reading stamps. Syslog's own have neither year nor zone: the latest year that does not lie in the
 * future of `now`, and the zone of this machine. Begin with zeros and `now`; one thread each.
 */
struct maillog_clock {
	time_t now;
	char hour[12];   /* "Nov 21 04:", as it was worked out last */
	time_t hour_at;
};

bool maillog_time(struct maillog_clock *clock, struct slice stamp, time_t *ret);

#endif
