/*
 * canon: a body that no later hop has a reason to change (RFC 8551 3.1.2, 3.1.3).
 *
 * Clean is: 7-bit, lines of at most LIMIT_LINE_BYTES, CRLF line ends only, no NUL, no line that
 * begins "From ", and no 8bit or binary label that would make a relay re-encode. Blanks at line
 * ends stay (format=flowed needs them). What is not clean is re-encoded leaf by leaf: its body and
 * its Content-Transfer-Encoding field, nothing else. Where that would touch a signed or encrypted
 * part, a message within the message, or something that does not decode, the body is BODY_OPAQUE.
 */
#ifndef SMIME_CANON_H
#define SMIME_CANON_H

#include "smime/facts.h"
#include "smime/part.h"
#include "smime/pieces.h"

/* Bytes that decode, strictly; `ret` may be NULL to only ask whether they do. */
bool canon_decode(struct slice encoded, enum cte cte, struct buf *ret);
/* Of base64, into the memory in which it stands: `*ret` bytes, always fewer. What was there is gone, also where it does not decode. */
bool canon_decode_in_place(unsigned char *at, size_t len, size_t *ret);

enum body_form canon_form(struct slice message, const struct part_tree *tree, const struct head *head);

/* The Content-Transfer-Encoding the top entity gets; CTE_UNKNOWN = as it stands. */
enum cte canon_top_cte(struct slice message, const struct part_tree *tree);

/* The body's pieces, borrowed from the message where nothing changes. Only for a form that is not BODY_OPAQUE. */
void canon_render(struct slice message, const struct part_tree *tree, struct pieces *ret);

/* Is this a field that goes into the signed entity (RFC 9788: protected copy, or Content-*)? */
bool canon_is_protected(struct slice name);
bool canon_is_content(struct slice name);
/*
 * Does this field tell what the message is about, as Subject does? Where Subject is hidden, it stands inside only: Comments and
 * Keywords (RFC 9788 3.2.1), Summary, and those in which programs repeat a Subject: Thread-Topic, and every name that ends in "-Subject".
 */
bool canon_tells_subject(struct slice name);

#endif
