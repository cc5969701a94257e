/* sha256: what a certificate's bytes hash to. The one place in policy/ that knows OpenSSL. */
#ifndef POLICY_REGISTRY_SHA256_H
#define POLICY_REGISTRY_SHA256_H

#include "smime/base.h"

/* False where the library cannot; then nothing is known about the bytes. */
bool sha256_of(const void *bytes, size_t len, unsigned char ret[32]) MUST_USE;

#endif
