/*
 * results: the Authentication-Results field (RFC 8601; method smime of RFC 7281). Pure.
 *
 * Ours is rendered from facts and findings: smime=pass only where the signature covers the whole message, is good, its
 * certificate speaks for From, leads to an anchor, is not revoked, and the registry says it is the current one.
 * Of a message that was opened they are those of what is inside, and a comment says so.
 * Every octet of it is ours or escaped: a value from a certificate can end neither the field nor a comment.
 *
 * A field claims to be ours when its authserv-id is ours: letters in either case, A-labels and U-labels
 * alike, with or without a dot at its end, quoted, folded, with comments before it. What cannot be parsed and holds our
 * id anywhere claims it too (RFC 8601 5), and so does what some reader may make our id of: encoded words where the id
 * stands, bytes beyond ASCII that are no domain. A field of another id stays, whatever else it names.
 */
#ifndef FILTER_RESULTS_H
#define FILTER_RESULTS_H

#include "policy/finding.h"
#include "policy/identity.h"
#include "policy/input.h"
#include "smime/head.h"

enum { RESULTS_BYTES = 2000 };

/*
 * The value, without the blank behind the colon; folded with LF and a tab as the MTA wants it. At most RESULTS_BYTES
 * where `ret` was empty: a property that does not fit, or that a quoted-string cannot say without escapes, is left out
 * whole. The gravest result of findings and facts stands; its findings' words follow as reason="". An empty id is
 * written as "unknown".
 */
void results_render(const char *authserv_id, const struct policy_input *input, const struct findings *findings, struct buf *ret);

/* Is this Authentication-Results field one that only we may add? With an empty id, or one that is no name, each of them is. */
bool results_claims(const struct field *field, const char *authserv_id);

#endif
