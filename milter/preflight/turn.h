/*
 * turn: what Postfix's own tables do to the way of a message: FILTER takes the place of content_filter, REDIRECT
 * leads past it, BCC adds a recipient whom no filter has seen (header_checks(5), access(5)). Looks into header_checks and its
 * like, where cleanup reads them for a service, and into the access tables of the service's restrictions. Reads the text that tables
 * were made from, like alias.h; a table without a text, and a policy service, is named, not guessed. What a milter's own header
 * fields set off (milter_header_checks) is warned of elsewhere.
 */
#ifndef PREFLIGHT_TURN_H
#define PREFLIGHT_TURN_H

#include "milter/preflight/value.h"

enum turn_how {
	TURN_UNKNOWN,
	TURN_FILTER,
	TURN_REDIRECT,
	TURN_BCC,
};

struct turn {
	enum turn_how how;
	char *where; /* "header_checks: regexp:/etc/postfix/checks: /^Subject:/ FILTER smtp:" */
	char *to;    /* what stands behind the action; "" where nothing does */
};

struct turns {
	struct turn *at;
	size_t n;
	struct words unread; /* "header_checks: ldap:/etc/postfix/x" */
};

/* `service`: the values of the smtpd service; `cleanup`: those of the cleanup service that it hands mail to. */
void turn_look(const struct values *service, const struct values *cleanup, struct turns *ret);
void turns_done(struct turns *turns);

#endif
