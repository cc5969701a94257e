/*
 * issuers: the certificates of issuing authorities that go along in a seal.
 * An immutable snapshot of a folder. It builds a path by names and signatures for *sending*, so
 * that readers can build theirs; whether a certificate is trusted is not asked here (chain.h).
 */
#ifndef SMIME_ISSUERS_H
#define SMIME_ISSUERS_H

#include "smime/buf.h"
#include "smime/err.h"
#include "smime/limits.h"

struct issuers;

/* Every certificate in *.pem and *.crt of the folder. No folder or an unreadable file: ERR_CONFIG. */
int issuers_load(const char *dir, struct issuers **ret, struct err *err) MUST_USE;
void issuers_free(struct issuers *issuers);
AUTO_DEFINE(struct issuers, issuers_free);

/*
 * The authorities above `leaf`, its issuer first, without the self-signed root. Slices borrow from
 * the snapshot. Returns how many were found (0 where the issuer is not in the folder or is a root).
 */
size_t issuers_above(const struct issuers *issuers, struct slice leaf, struct slice ret[LIMIT_CHAIN_CERTS]);

/*
 * Is a certificate of the authority that issued `leaf` in the folder, be it a root or not? True also for a
 * leaf that signed itself, false for bytes that are no certificate. Says nothing about what is above.
 */
bool issuers_know(const struct issuers *issuers, struct slice leaf);

#endif
