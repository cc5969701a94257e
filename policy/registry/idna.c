#include "policy/registry/idna.h"

#include <string.h>

#include <idn2.h>

bool
idna_to_ascii(const char *domain, char *ret, size_t room)
{
	uint8_t *labels = NULL;
	bool fits = false;

	if (idn2_lookup_u8((const uint8_t *)domain, &labels, IDN2_NO_TR46) == IDN2_OK && strlen((char *)labels) < room) {
		memcpy(ret, labels, strlen((char *)labels) + 1);
		fits = true;
	}
	idn2_free(labels);
	return fits;
}
