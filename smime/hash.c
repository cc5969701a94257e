#include "smime/hash.h"

#include <stdlib.h>

#include <openssl/evp.h>

struct hash {
	EVP_MD_CTX *ctx;
};

static void
must(int ok)
{
	if (!ok)
		abort();
}

struct hash *
hash_new(void)
{
	struct hash *hash = xcalloc(1, sizeof(*hash));

	hash->ctx = EVP_MD_CTX_new();
	must(hash->ctx && EVP_DigestInit_ex(hash->ctx, EVP_sha256(), NULL));
	return hash;
}

void
hash_add(struct hash *hash, struct slice bytes)
{
	if (bytes.len)
		must(EVP_DigestUpdate(hash->ctx, bytes.at, bytes.len));
}

void
hash_end(struct hash **hash, unsigned char ret[HASH_BYTES])
{
	must(EVP_DigestFinal_ex((*hash)->ctx, ret, NULL));
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
