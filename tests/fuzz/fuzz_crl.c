/* A CRL from elsewhere: reading it, and asking it about certificates. */
#include "tests/fuzz/fuzz.h"

#include "smime/limits.h"
#include "smime/revoke.h"
#include "smime/tlv.h"

/* A certificate is looked for by its serial number alone; the rest of it is not read here. */
static bool
is_listed(const struct crl *crl, struct slice serial)
{
	ASN1_INTEGER *number = ASN1_INTEGER_new();
	struct crl_entry entry;
	bool negative = serial.len > 0 && (serial.at[0] & 0x80);
	unsigned char der[128] = { TLV_INTEGER, (unsigned char)serial.len };
	const unsigned char *at = der;
	bool found = true;

	if (serial.len > 0 && serial.len < 100) {
		memcpy(der + 2, serial.at, serial.len);
		/* OpenSSL reads only the shortest form; ours takes what padding an issuer wrote. */
		if (d2i_ASN1_INTEGER(&number, &at, (long)serial.len + 2))
			found = crl_find(crl, number, &entry);
	}
	ASN1_INTEGER_free(number);
	return found || negative;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	AUTO(crl_free) struct crl *crl = NULL;
	struct slice rest = { bytes, len };
	struct tlv element;
	struct err err;

	if (crl_read(rest, &crl, &err) == -1) {
		fuzz_must(err.kind == ERR_CONFIG && err.text[0] != '\0', "what is not taken has a reason");
		return 0;
	}
	fuzz_must(crl_facts(crl)->n_revoked <= len, "no more entries than bytes");
	fuzz_must(!crl_is_newer(crl, crl) && crl_same_scope(crl, crl), "a list is not newer than itself");
	/* Every serial number in the list is found in it. */
	if (!tlv_next(&rest, &element) || !tlv_next(&element.content, &element))
		return 0;
	rest = element.content;
	while (tlv_next(&rest, &element)) {
		struct slice list = element.content;
		struct tlv entry, serial;

		if (element.tag != TLV_SEQUENCE || !tlv_take(&list, TLV_SEQUENCE, &entry) || !tlv_take(&entry.content, TLV_INTEGER, &serial))
			continue;
		if (crl_facts(crl)->n_revoked > 0 && entry.content.len > 0
		    && (entry.content.at[0] == TLV_UTC_TIME || entry.content.at[0] == TLV_GENERALIZED_TIME))
			fuzz_must(is_listed(crl, serial.content), "what is listed is found");
	}
	return 0;
}
