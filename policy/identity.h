/*
 * identity: does the signer's certificate speak for the address in From?
 *
 * The registry's bindings first (registry_signer), the certificate's own addresses second (RFC 8550 3, RFC 9598 5).
 * Local parts are compared octet for octet, in either case only where the registry says so for the domain; domains
 * in A-labels. Nothing is trimmed or repaired: a certificate with an address that is none speaks for nobody.
 * An address in the certificate's subject counts only for the issuers that a setting names.
 *
 * A bound certificate that does not name From's address speaks for it all the same where `Sender`, if it is there
 * and another one, is an address of the certificate (or the certificate names none, so that there is nothing to
 * compare); `Sender` alone, without a binding, does not suffice.
 *
 * Does not check: signature, chain, revocation, and what the OP says of the certificate's state. Pure.
 */
#ifndef POLICY_IDENTITY_H
#define POLICY_IDENTITY_H

#include "policy/input.h"

enum identity {
	IDENTITY_UNKNOWN,   /* not found out: the registry could have said more, and could not be asked */
	IDENTITY_NONE,      /* nothing to compare: no signer, or its certificate names no address and nobody bound it */
	IDENTITY_MATCH,
	IDENTITY_MISMATCH,
	IDENTITY_AMBIGUOUS, /* From or Sender can be read in more than one way */
};

struct identity_facts {
	enum identity state;
	char why[FACT_WHY_BYTES]; /* what was compared; may hold bytes of the message */
};

/* Looks at signature, message, registry->signer and config. */
void identity_judge(const struct policy_input *input, struct identity_facts *ret);

const char *identity_name(enum identity identity); /* unknown none match mismatch ambiguous */

#endif
