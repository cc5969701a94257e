/*
 * fetch: bytes of a URL that an administrator has named, never one out of a message.
 * The only place that speaks to servers of others. What it guards against is a server, or somebody on
 * the way, that answers badly: it looks at nothing in the bytes, which the caller verifies.
 *
 *   - http and https only; no login in the URL; at most three redirects, to the same host and port only
 *     (or from http to https at their usual ports), never from https to http;
 *   - the address that is connected to must be of the public Internet, unless it is listed: asked at the
 *     socket, so that a name which changes its address meanwhile gains nothing;
 *   - header and body end at a cap while they arrive; connecting, slowness and the whole have their time;
 *   - nothing of the environment (proxies), no .netrc, no cookies, no unpacking of compressed bodies.
 *
 * One thread. Connections are kept open between requests.
 */
#ifndef CTL_FETCH_H
#define CTL_FETCH_H

#include "policy/config.h"
#include "smime/buf.h"
#include "smime/err.h"

struct fetch;

enum fetch_outcome {
	FETCH_FAILED,  /* no answer: not reached, not allowed, too slow, too large, broken off */
	FETCH_REFUSED, /* an answer whose HTTP status is not 200 */
	FETCH_DONE,
};

struct fetch_request {
	const char *url;
	struct slice post;        /* its bytes; none = GET */
	const char *content_type; /* of those bytes */
	size_t most;              /* bytes of the answer */
};

/* Borrows the settings (group trust). */
int fetch_open(const struct config *config, struct fetch **ret, struct err *err) MUST_USE;
void fetch_close(struct fetch *fetch);
AUTO_DEFINE(struct fetch, fetch_close);

/* `ret` is begun here, and the caller's whatever the outcome. `err` says why it is not FETCH_DONE. */
enum fetch_outcome fetch_get(struct fetch *fetch, const struct fetch_request *request, struct buf *ret, struct err *err) MUST_USE;

/* May this URL be asked at all? Nothing is looked up. */
int fetch_check_url(const char *url, struct err *err) MUST_USE;

/* Is this address, as text, neither of the public Internet nor in one of the listed networks? */
bool fetch_is_private(const struct text_list *allowed, const char *address);

#endif
