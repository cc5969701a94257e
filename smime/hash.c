#include "smime/hash.h"

#include <stdlib.h>

#include <openssl/evp.h>

struct hash {
	EVP_MD_CTX *ctx;
};

struct hash *
hash_new(void)
{
	struct hash *hash = xcalloc(1, sizeof(*hash));

	hash->ctx = EVP_MD_CTX_new();
	xmust(hash->ctx && EVP_DigestInit_ex(hash->ctx, EVP_sha256(), NULL) == 1);
	return hash;
}

void
hash_add(struct hash *hash, struct slice bytes)
{
	if (bytes.len)
		xmust(EVP_DigestUpdate(hash->ctx, bytes.at, bytes.len) == 1);
}

void
hash_end(struct hash **hash, unsigned char ret[HASH_BYTES])
{
	xmust(EVP_DigestFinal_ex((*hash)->ctx, ret, NULL) == 1);
	hash_free(TAKE(*hash));
}

void
hash_free(struct hash *hash)
{
	if (!hash)
		return;
	EVP_MD_CTX_free(hash->ctx);
	free(hash);
}

void
hash_of(struct slice bytes, unsigned char ret[HASH_BYTES])
{
	struct hash *hash = hash_new();

	hash_add(hash, bytes);
	hash_end(&hash, ret);
}
