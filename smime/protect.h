/*
 * protect: the header fields inside a signature against those outside (RFC 9788).
 *
 * The payload (the innermost entity that only signatures lie around) says by the hp parameter of its
 * Content-Type, or the older protected-headers="v1", that its head is a copy of the message's.
 * Then MISMATCH is, in this order of fields: From, To, Cc, Subject, Date, Message-ID, Sender, Reply-To,
 * Followup-To, In-Reply-To, References:
 *   - a field twice inside,
 *   - a field inside that is missing, or twice, outside,
 *   - a field whose values differ: after unfolding, runs of blanks as one, and encoded words undone, which must be
 *     such as every reader undoes alike (of addresses: both the text and what GMime reads as the list),
 *   - with hp: From, To, Cc or Subject outside only (who signs with hp signs all he wrote, RFC 9788 2.2).
 *     Date and Message-ID may be outside only: submission adds them (RFC 6409 8). protected-headers="v1"
 *     promises nothing about fields that are not inside.
 * Other fields are trace, structure or none of a reader's business. Where only signatures lie around the payload,
 * hp="cipher" is compared the same way: it was hidden from nobody, so no HP-Outer explains a difference.
 *
 * Where an encryption lies around it (protect_compare_hidden) and it says hp="cipher", fields other than From and Sender may
 * differ as their sender has recorded it (RFC 9788 2.2, 4.2): one HP-Outer that names the field and holds the value
 * that stands outside, or no HP-Outer for a field that is not outside. They are hidden ones: what is inside counts.
 *
 * Does not check whether the signature is good: ask only for one that is.
 */
#ifndef SMIME_PROTECT_H
#define SMIME_PROTECT_H

#include "smime/facts.h"
#include "smime/head.h"

/* Give it only heads that part_scan() found no limit in: GMime recurses. Writes protection and its why. */
void protect_compare(const struct head *outside, const struct head *payload, struct signature_facts *ret);

enum { PROTECT_HIDDEN_FIELDS = 11 };

/* Fields of the payload, borrowed from its head; only where protection is PROTECTION_MATCH. */
struct protect_hidden {
	const struct field *fields[PROTECT_HIDDEN_FIELDS];
	const char *names[PROTECT_HIDDEN_FIELDS]; /* static */
	size_t n;
};

void protect_compare_hidden(const struct head *outside, const struct head *payload, struct signature_facts *ret, struct protect_hidden *hidden);

#endif
