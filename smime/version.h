/* version: which cryptographic library a program runs with. The mail library's is gm_library (gm.h). */
#ifndef SMIME_VERSION_H
#define SMIME_VERSION_H

#include "smime/buf.h"

/* One line: "  OpenSSL 3.0.19\n". */
void crypto_library(struct buf *ret);

#endif
