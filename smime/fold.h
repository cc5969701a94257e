/*
 * fold: header lines that a later mail server would break. RFC 5322 2.1.1 lets a line have 998 bytes; Postfix, handing mail on,
 * breaks a longer one at just that byte, in a word or an address, and puts a blank there: then the field is not the one that was sealed.
 * A fold at a blank that is there means nothing to readers (RFC 5322 2.2.3).
 */
#ifndef SMIME_FOLD_H
#define SMIME_FOLD_H

#include "smime/head.h"

/* Is one of its lines longer than LIMIT_FIELD_LINE_BYTES? */
bool fold_is_due(const struct field *field);
/*
 * Its value, line ends LF, folded at its own blanks so that no line is longer; nothing but line ends is added. False: too much stands
 * without a blank.
 */
bool fold_value(const struct field *field, struct buf *ret);

#endif
