#include "smime/version.h"

#include <gmime/gmime.h>
#include <openssl/crypto.h>

void
smime_libraries(struct buf *ret)
{
	buf_printf(ret, "  OpenSSL %s\n  GMime %u.%u.%u\n", OpenSSL_version(OPENSSL_VERSION_STRING),
	    gmime_major_version, gmime_minor_version, gmime_micro_version);
}
