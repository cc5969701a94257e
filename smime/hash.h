/* hash: SHA-256 over bytes that come in pieces. Ends the process where no memory is left, as xmalloc() does. */
#ifndef SMIME_HASH_H
#define SMIME_HASH_H

#include "smime/buf.h"

enum { HASH_BYTES = 32 };

struct hash;

struct hash *hash_new(void) MUST_USE;
void hash_add(struct hash *hash, struct slice bytes);
void hash_end(struct hash **hash, unsigned char ret[HASH_BYTES]); /* frees it */
void hash_free(struct hash *hash);
AUTO_DEFINE(struct hash, hash_free);

void hash_of(struct slice bytes, unsigned char ret[HASH_BYTES]);

#endif
