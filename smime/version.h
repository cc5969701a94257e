/* version: which cryptographic and mail libraries this program runs with. */
#ifndef SMIME_VERSION_H
#define SMIME_VERSION_H

#include "smime/buf.h"

/* One line a library: "  OpenSSL 3.0.19\n". */
void smime_libraries(struct buf *ret);

#endif
