/*
 * pattern: which addresses a setting is about: "user@domain", "domain" (every address in it), ".domain" (in every
 * domain below it, not in itself). Pure. Addresses are compared in either case, domains in A-labels (registry.h).
 */
#ifndef POLICY_PATTERN_H
#define POLICY_PATTERN_H

#include "smime/base.h"

/* Is this text a pattern? "" is none. */
bool pattern_is(const char *text);
/* False also for what is no address. `address` is one of rcpt_read's or as a field names it. */
bool pattern_fits(const char *pattern, const char *address);

#endif
