/*
 * text: foreign text made safe to look at, one character at a time.
 *
 * Shown as they are: printable characters. Shown as \u{XXXX}: control characters (C0, DEL, C1), line and paragraph
 * separators, direction marks (bidirectional), what has no width or no ink of its own (joiners, selectors, fillers,
 * tags, byte order marks), private use and what is no character. Shown as \xXX: each byte that is no valid UTF-8
 * (RFC 3629: no surrogates, nothing over-long, nothing beyond U+10FFFF). Line feeds and tabs too are
 * control characters here; a caller who wants lines takes them out first.
 *
 * Letters that look like others are not shown as such: nobody can say which one was meant.
 */
#ifndef SMIME_TEXT_H
#define SMIME_TEXT_H

#include "smime/buf.h"

enum { TEXT_SHOWN_BYTES = 16 };

/* Takes the first character off `rest` (not empty) and writes it in a form that may be shown; how many bytes. */
size_t text_next(struct slice *rest, char ret[TEXT_SHOWN_BYTES]);

/*
 * Bytes of this charset (as mail names it) as UTF-8. What cannot be converted comes as \xXX. False, and nothing added, for a
 * charset that is not known here.
 */
bool text_decode(struct slice bytes, const char *charset, struct buf *ret);

/*
 * Converters of the charsets that mail is written in, opened: a process that may open no file later on does
 * this first, and keeps them until it ends. Another charset is not known there.
 */
struct text_charsets;
struct text_charsets *text_prepare(void);
void text_charsets_free(struct text_charsets *charsets);
AUTO_DEFINE(struct text_charsets, text_charsets_free);

#endif
