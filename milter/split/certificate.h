/*
 * certificate: may mail be encrypted to this certificate of the registry? Its key and key usage (smime/encrypt.h), a path to an
 * anchor, and revocation by its CA: what the registry cannot know (policy/registry/encrypt.h asks for it).
 *
 * No path to an anchor of ours, beyond its dates, revoked: NOT. A status that could not be found out, no authorities at all, or
 * no path while a file of theirs was not taken: UNKNOWN.
 */
#ifndef SPLIT_CERTIFICATE_H
#define SPLIT_CERTIFICATE_H

#include "policy/registry/encrypt.h"
#include "smime/trust.h"

struct certificate_judge {
	const struct trust *trust; /* NULL: could not be had, and trust_why says why */
	const char *trust_why;
	time_t now;
};

/* Borrows `judge`. */
struct encrypt_judge certificate_judge(struct certificate_judge *judge);

#endif
