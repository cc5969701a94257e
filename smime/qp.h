/*
 * qp: text into quoted-printable (RFC 2045 6.7). Our own, because GMime's From filter loses an
 * "F" at the end of a text without a final line end.
 *
 * Lines end in CRLF and hold at most 76 bytes. No encoded line begins "From " (mbox delivery would
 * change it), none is a lone dot, none ends in a blank. The text must have CRLF line ends only;
 * a bare CR or LF comes out as "=0D" or "=0A". What decodes gives the very same bytes.
 */
#ifndef SMIME_QP_H
#define SMIME_QP_H

#include "smime/buf.h"

void qp_encode(struct slice text, struct buf *ret);

#endif
