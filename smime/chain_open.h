/*
 * chain_open: chain_judge() for certificates that are open already. Private to smime/: opening a
 * certificate costs about half of what verifying a signature with it does.
 */
#ifndef SMIME_CHAIN_OPEN_H
#define SMIME_CHAIN_OPEN_H

#include "smime/chain.h"
#include "smime/ossl.h"

/* `leaf` and `helpers` (NULL = none) stand for the request's leaf and untrusted, which are not looked at. Borrowed. */
void chain_judge_open(const struct chain_request *request, X509 *leaf, STACK_OF(X509) *helpers, struct chain_facts *ret);

#endif
