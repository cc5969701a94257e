/*
 * name: what a display name shows to a reader. A seal vouches for the addr-spec, but many mail
 * programs show only the name; so a name may not show another address than the one sealed for.
 *
 * Undoes quoted strings (RFC 5322 3.2.4) and encoded words (RFC 2047; inside quotes too, because
 * some readers do), then refuses: control characters and NUL, '<' and '>' out of an encoded word,
 * direction marks and other invisible formatting, and any '@' (its wide forms too) unless the whole
 * name is the address itself. Does not refuse look-alike letters, nor a name that is somebody's.
 */
#ifndef SMIME_NAME_H
#define SMIME_NAME_H

#include "smime/buf.h"

/* Static text, NULL = nothing stands against it. `phrase` is what stands before the '<', valid UTF-8. */
const char *name_why(struct slice phrase, struct slice address);

/*
 * Does everybody undo the value's encoded words to the same text? Base64 and quoted-printable without a slip, character
 * sets that have ASCII in them and UTF-8 that is some, no control characters. A value without such words: it is UTF-8.
 */
bool words_read_alike(struct slice value);

/* Every character is one that shows: no blank, control, format, private or unassigned code point. Valid UTF-8 only. */
bool characters_show(struct slice text);

#endif
