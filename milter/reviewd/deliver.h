/*
 * deliver: hands a released message to the mail server's listener for released mail (smtp.h), one
 * transaction with all recipients, the original envelope sender. The bytes are the original ones, but for
 * Authentication-Results fields that claim to be ours and fields of our prefix, which go, and one field of ours that says
 * what the verification at release found; what was held on its way out (role egress) goes on as it is. Before that the bytes are compared with the hash that the filter gave.
 *
 * DELIVER_DONE only after the server's 250 to the whole of it. DELIVER_REFUSED: it said 5xx before that; nobody got
 * it. DELIVER_LATER: 4xx, and nobody got it. DELIVER_AWAY: there was nobody to send it to, and nobody got it. DELIVER_UNKNOWN: anything
 * else, a lost connection after the last byte too: it may have arrived, and is to be sent again with the same Message-ID.
 */
#ifndef REVIEWD_DELIVER_H
#define REVIEWD_DELIVER_H

#include "milter/reviewd/child.h"

enum deliver_outcome { DELIVER_UNKNOWN, DELIVER_AWAY, DELIVER_LATER, DELIVER_REFUSED, DELIVER_DONE };

/* `recipients`: NULL-terminated; each one of the item's. */
enum deliver_outcome deliver(struct desk *desk, const struct desk_settings *settings, const struct item *item,
    const char *const *recipients, const struct rejudged *judged, struct err *err) MUST_USE;

/*
 * The pieces of the released message, borrowed from `message`, and of `ours`, which this fills with the field of ours. `results` NULL:
 * there is none, and no field goes. The caller frees the list. Pure; for deliver().
 */
struct slice *deliver_pieces(struct slice message, const char *authserv_id, const char *results, struct buf *ours, size_t *n) MUST_USE;

#endif
