/*
 * address: whom a From or Sender field names, read in the one way that nobody reads differently.
 *
 * Accepts exactly one field with exactly one mailbox: an addr-spec, or a display name (atoms,
 * dots, quoted strings, encoded words) and an addr-spec in angle brackets (RFC 5322 3.4). Groups,
 * routes, comments, several mailboxes, quoted local parts, domain literals, blanks inside the
 * addr-spec, control characters and bad UTF-8 are MAILBOX_AMBIGUOUS.
 * A display name that shows another address is ambiguous, too (name.h).
 * Does not check: whether the address exists (policy/registry).
 */
#ifndef SMIME_ADDRESS_H
#define SMIME_ADDRESS_H

#include "smime/facts.h"
#include "smime/head.h"

/* local@domain of RFC 5322 dot-atoms, without quoting; `utf8` also allows RFC 6532 characters. */
bool addr_spec_is_plain(struct slice text, bool utf8);

/* The one mailbox in the field's value. */
void mailbox_parse(struct slice value, struct mailbox_facts *ret);

/* The one field of that name in the head. */
void mailbox_read(const struct head *head, const char *name, struct mailbox_facts *ret);

/* Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates. */
bool utf8_is_valid(struct slice text);

#endif
