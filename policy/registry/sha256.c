#include "policy/registry/sha256.h"

#include <openssl/evp.h>

bool
sha256_of(const void *bytes, size_t len, unsigned char ret[32])
{
	unsigned int hash_len = 32;

	return EVP_Digest(bytes, len, ret, &hash_len, EVP_sha256(), NULL) == 1 && hash_len == 32;
}
