/*
 * words: a header field's value as people read it: encoded words (RFC 2047) and folds undone. Valid UTF-8, cut
 * between two characters where it does not fit; what is no UTF-8 becomes U+FFFD. Control characters and the
 * like stay: whoever shows it escapes it.
 */
#ifndef SMIME_WORDS_H
#define SMIME_WORDS_H

#include "smime/buf.h"

/* RFC 3629: no lone, overlong or surrogate octets. */
bool words_are_utf8(const char *text);

void words_decode(struct slice value, char *ret, size_t room);

#endif
