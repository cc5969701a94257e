/*
 * fit: may this certificate sign mail, is the signature strong enough, is its time plausible?
 *
 * Unfit (RFC 8550 4.4): a CA's certificate; key usage without digitalSignature and nonRepudiation;
 * extended key usage without emailProtection and any; an address that is no plain addr-spec (such a
 * certificate's issuer lets blanks pass, and some readers trim them). Weak: MD5 or SHA-1, in the message or
 * in the certificate; RSA below 2048 or above 8192 bits; a key of another kind or curve.
 * Plain facts in, plain facts out; nothing is judged by the signing time but itself.
 */
#ifndef SMIME_FIT_H
#define SMIME_FIT_H

#include "smime/algorithm.h"
#include "smime/facts.h"

/* Reads ret->signer. */
void fit_unfit(struct signature_facts *ret);
void fit_weak(enum gate_digest digest, struct signature_facts *ret);

/* Seconds. A signature older than FIT_OLD when it comes is said to be so. */
enum { FIT_SKEW = 5 * 60, FIT_OLD = 7 * 24 * 3600 };

/* Reads ret->signer and ret->chain: ask after the chain. `at`: when the message came. */
void fit_time(time_t at, struct signature_facts *ret);

#endif
