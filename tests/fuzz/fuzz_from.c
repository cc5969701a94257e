/* From and Sender: what is one mailbox, and what it is then. */
#include "tests/fuzz/fuzz.h"

#include "smime/address.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const struct slice value = { bytes, len };
	struct mailbox_facts facts = { 0 };
	struct slice address;

	(void)utf8_is_valid(value);
	mailbox_parse(value, &facts);
	if (facts.state != MAILBOX_ONE)
		return 0;
	address = slice_of(facts.address);
	fuzz_must(addr_spec_is_plain(address, true), "the one mailbox is a plain address");
	fuzz_must(memmem(bytes, len, address.at, address.len) != NULL, "the address stands in the field as it is");
	fuzz_must(!memchr(bytes, '\0', len), "no NUL beside an address");
	return 0;
}
