#include "policy/pattern.h"

#include <string.h>

#include "policy/registry/registry.h"

bool
pattern_is(const char *text)
{
	char form[LIMIT_ADDRESS_BYTES + 1];

	if (strchr(text, '@'))
		return address_normalise(text, true, form);
	return domain_normalise(*text == '.' ? text + 1 : text, form);
}

/* Both in the form of domain_normalise(). */
static bool
is_below(const char *domain, const char *parent)
{
	const size_t len = strlen(domain), parent_len = strlen(parent);

	return len > parent_len + 1 && domain[len - parent_len - 1] == '.' && strcmp(domain + len - parent_len, parent) == 0;
}

bool
pattern_fits(const char *pattern, const char *address)
{
	char form[LIMIT_ADDRESS_BYTES + 1], wanted[LIMIT_ADDRESS_BYTES + 1];

	if (strchr(pattern, '@'))
		return address_equal(pattern, address, true);
	if (!address_normalise(address, true, form) || !domain_normalise(*pattern == '.' ? pattern + 1 : pattern, wanted))
		return false;
	return *pattern == '.' ? is_below(strchr(form, '@') + 1, wanted) : strcmp(strchr(form, '@') + 1, wanted) == 0;
}
