/*
 * link: bytes to and from a server, in clear, then in TLS; the only place of the TLS client. Each
 * deadline is for all that is done until the next one, so that a server that drips bytes is as late as
 * one that is silent. Knows nothing of SMTP. Proves nothing about who the server is: its certificate is
 * not checked. Raises no SIGPIPE. One thread.
 */
#ifndef PREFLIGHT_LINK_H
#define PREFLIGHT_LINK_H

#include "smime/buf.h"
#include "smime/err.h"

struct link;

/* Connects; that too is bounded by the timeout. An IPv6 address comes without brackets. */
int link_open(const char *host, const char *port, int timeout_ms, struct link **ret, struct err *err) MUST_USE;
/* Closes, without a word. */
void link_close(struct link *link);
AUTO_DEFINE(struct link, link_close);

/* The next timeout begins. */
void link_deadline(struct link *link);

int link_send(struct link *link, struct slice bytes, struct err *err) MUST_USE;
/* Appends what comes next, at least a byte; -1: closed, broken or late. */
int link_receive(struct link *link, struct buf *ret, struct err *err) MUST_USE;
/* Reads and drops what comes in clear within this time; the number of bytes. Not in TLS. */
size_t link_drain(struct link *link, int wait_ms);

enum tls_offer {
	OFFER_MODERN, /* what this machine's OpenSSL would offer: 1.2 and 1.3 */
	OFFER_OLD,    /* nothing newer than TLS 1.1, at any security level */
};

enum tls_outcome {
	TLS_OUTCOME_UNKNOWN, /* broken, late, or no TLS at all */
	TLS_OUTCOME_AGREED,
	TLS_OUTCOME_REFUSED, /* by the server: an alert, or it closed */
	TLS_OUTCOME_CANNOT,  /* our own library cannot offer this */
};

/* From here on in TLS. `err` says why, unless it was agreed. After any other outcome only close it. */
enum tls_outcome link_tls(struct link *link, enum tls_offer offer, struct err *err);
/* What was agreed; "" before. */
const char *link_tls_version(const struct link *link);
const char *link_tls_cipher(const struct link *link);

#endif
