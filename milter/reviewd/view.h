/*
 * view: a message as text that is safe to look at, whatever is in it: header fields (decoded), the parts as a
 * tree (type claimed, file name, size, SHA-256), and the text of text/plain parts; text/html as its source.
 * Control characters, direction marks, invisible characters and what is no valid UTF-8 are shown as \u{XXXX} or \xXX,
 * also in names; nothing is fetched, opened or decrypted. At most `cap` bytes, and it says where it was cut.
 * Pure; used by the child (child.h).
 */
#ifndef REVIEWD_VIEW_H
#define REVIEWD_VIEW_H

#include "smime/buf.h"

/* `ret` is initialised by the caller with its cap. */
void view_message(struct slice message, struct buf *ret);

#endif
