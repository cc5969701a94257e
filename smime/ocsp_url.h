/* ocsp_url: where an OCSP service is asked by GET (RFC 6960 A.1), for what its own caches may answer. */
#ifndef SMIME_OCSP_URL_H
#define SMIME_OCSP_URL_H

#include "smime/buf.h"

/* The request (DER, ocsp.h) in base64, escaped, behind the service's URL. `ret` needs room for 4 times its length. */
void ocsp_url(const char *service, struct slice request, struct buf *ret);

#endif
