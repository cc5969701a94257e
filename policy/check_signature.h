/*
 * check_signature: findings from what is known about a signature and its signer. For the table in
 * check.c only. Each looks at one thing; all but check_looked run with signature facts only. Certificate, chain, identity and the OP's
 * record are looked at only where the signature is good: before that nobody knows whose certificate it is.
 */
#ifndef POLICY_CHECK_SIGNATURE_H
#define POLICY_CHECK_SIGNATURE_H

#include "policy/finding.h"
#include "policy/input.h"

/* Mail from outside that was read, or mail of ours that says it is signed, and nobody looked at the signature. */
void check_looked(const struct policy_input *input, struct findings *findings);
void check_replay(const struct policy_input *input, struct findings *findings);
void check_missing(const struct policy_input *input, struct findings *findings);
void check_signature(const struct policy_input *input, struct findings *findings);
void check_strength(const struct policy_input *input, struct findings *findings);
void check_fitness(const struct policy_input *input, struct findings *findings);
void check_signing_time(const struct policy_input *input, struct findings *findings);
void check_protection(const struct policy_input *input, struct findings *findings);
void check_identity(const struct policy_input *input, struct findings *findings);
void check_chain(const struct policy_input *input, struct findings *findings);
void check_revocation(const struct policy_input *input, struct findings *findings);
void check_signer(const struct policy_input *input, struct findings *findings);

/* The finding for a certificate that the registry knows and that is not to be used. */
enum reason reason_of_unusable(enum unusable unusable);

#endif
