#include "smime/addressees.h"

#include <stdlib.h>
#include <string.h>

#include "smime/address.h"
#include "smime/gm.h"

static void
add(void *ctx, const char *addr_spec)
{
	struct addressees *addressees = ctx;

	if (addressees->n == LIMIT_ADDRESSEES || strlen(addr_spec) > LIMIT_ADDRESS_BYTES || !addr_spec_is_plain(slice_of(addr_spec), true))
		return;
	addressees->at = xrealloc(addressees->at, (addressees->n + 1) * sizeof(*addressees->at));
	addressees->at[addressees->n++] = xstrdup(addr_spec);
}

void
addressees_read(const struct head *head, struct addressees *ret)
{
	*ret = (struct addressees){ .n = 0 };
	for (size_t i = 0; i < head->n_fields; i++)
		if (slice_equal_nocase(head->fields[i].name, "To") || slice_equal_nocase(head->fields[i].name, "Cc"))
			gm_each_address(head->fields[i].value, add, ret);
}

void
addressees_done(struct addressees *addressees)
{
	for (size_t i = 0; i < addressees->n; i++)
		free(addressees->at[i]);
	free(addressees->at);
	*addressees = (struct addressees){ .n = 0 };
}
