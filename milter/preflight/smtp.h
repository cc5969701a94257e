/*
 * smtp: replies of an SMTP server (RFC 5321 4.2), as bytes from somebody we do not trust. Pure.
 * Strict: whatever is not a reply by the RFC is bad, with the reason.
 */
#ifndef PREFLIGHT_SMTP_H
#define PREFLIGHT_SMTP_H

#include "smime/buf.h"

enum {
	SMTP_REPLY_BYTES = 32 * 1024, /* all lines */
	SMTP_LINE_BYTES = 1024,       /* the RFC wants 512; some say more */
	SMTP_REPLY_LINES = 200,
};

enum smtp_state {
	SMTP_BAD,   /* `why` says what is wrong */
	SMTP_PART,  /* so far good; more must come */
	SMTP_WHOLE,
};

struct smtp_reply {
	int code;
	size_t n_lines;
	size_t used;          /* bytes of it, line ends included */
	struct slice first;   /* text of the first line behind the code; borrowed */
	const char *why;      /* with SMTP_BAD; a constant */
};

/* The first reply in these bytes. `ret` is whole only with SMTP_WHOLE. */
enum smtp_state smtp_reply_parse(struct slice in, struct smtp_reply *ret);

/* Does the reply to EHLO (all its bytes) name this keyword? "AUTH=LOGIN", the old form, is AUTH. */
bool smtp_ehlo_has(struct slice reply, const char *keyword);

#endif
