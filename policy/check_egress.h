/*
 * check_egress: findings about what must be encrypted or sealed: on the way in, by the transaction's plan (recipient.h),
 * and on the way out once more, by nothing but the message and its recipients, so that it holds where all before failed.
 * For the table in check.c only. Where encrypt.use is on, and nobody has looked at the recipients or at what a message
 * that says it is encrypted really is, that is INTERNAL: nothing forgotten passes.
 */
#ifndef POLICY_CHECK_EGRESS_H
#define POLICY_CHECK_EGRESS_H

#include "policy/finding.h"
#include "policy/input.h"

/* What the plan says of mail that our users and programs send. */
void check_encryption(const struct policy_input *input, struct findings *findings);
/* It says it is encrypted, which nobody can tell, and somebody must get it so. */
void check_claim(const struct policy_input *input, struct findings *findings);
/* On the way out: to whom nothing may go, or nothing in clear. */
void check_clear(const struct policy_input *input, struct findings *findings);
/* On the way out: From in a domain of our own, and no seal. What is encrypted may have it inside. */
void check_sealed(const struct policy_input *input, struct findings *findings);
/* What came encrypted to a key of ours and did not open. */
void check_decryption(const struct policy_input *input, struct findings *findings);

#endif
