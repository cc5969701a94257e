#include "smime/version.h"

#include <openssl/crypto.h>

void
crypto_library(struct buf *ret)
{
	buf_printf(ret, "  OpenSSL %s\n", OpenSSL_version(OPENSSL_VERSION_STRING));
}
