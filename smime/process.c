#include "smime/process.h"

#include <openssl/crypto.h>

void
process_outlived_by_threads(void)
{
	(void)OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}
