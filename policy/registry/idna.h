/*
 * idna: an internationalised domain in the form in which domains are compared (RFC 5891, RFC 9598 5).
 * Strict: U-labels as registrars give them out, in lower case and NFC; nothing is mapped, so that no
 * two spellings meet in one domain unawares. Only this file knows libidn2.
 */
#ifndef POLICY_REGISTRY_IDNA_H
#define POLICY_REGISTRY_IDNA_H

#include "smime/base.h"

/* UTF-8 to lower-case A-labels; false where it is no such domain or does not fit into `room` bytes. */
bool idna_to_ascii(const char *domain, char *ret, size_t room);

#endif
