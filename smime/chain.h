/*
 * chain: from a certificate to an anchor (RFC 5280 6), and whether any of the path is revoked.
 *
 * OpenSSL builds and checks the path, with anchors of ours only, the given certificates as untrusted
 * helpers, name constraints and policies processed, and caps on sizes and counts before that; at
 * most LIMIT_CHAIN_CERTS + 1 long. Revocation is looked up in the snapshot, for every certificate below the anchor:
 * never in what a message brought along, never over the network. Judged at `at`, our receipt time.
 * Does not check: the purpose of the leaf beyond the path (verify.c), whose address it is (policy/).
 */
#ifndef SMIME_CHAIN_H
#define SMIME_CHAIN_H

#include "smime/trust.h"

struct chain_request {
	const struct trust *trust;
	struct slice leaf;                 /* DER */
	const struct slice *untrusted;     /* DER, from the message */
	size_t n_untrusted;
	time_t at;
	bool any_strength;                 /* `--no-algorithm-policy`: weak keys and digests in the path do not matter */
	/* RFC 5280 6.1.1 (c) to (g); zeros are the usual: any policy, nothing inhibited. Test suites set them. */
	const char *const *policies;       /* OIDs in dots; NULL = any-policy */
	size_t n_policies;
	bool explicit_policy, inhibit_mapping, inhibit_any;
};

/* Never fails: what our surroundings spoiled is CHAIN_UNKNOWN with why. */
void chain_judge(const struct chain_request *request, struct chain_facts *ret);

#endif
