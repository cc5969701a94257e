/*
 * Verification of whatever comes. The first byte chooses: a whole message, a CMS object beside a fixed
 * part, or one that is the message. The seeds hold good signatures over that part and no key is known
 * here: what is good must be over exactly these bytes.
 */
#include "tests/fuzz/fuzz.h"

#include "smime/inspect.h"
#include "smime/verify.h"
#include "tests/support/forge.h"

#define HEAD "From: budi@kota.example\r\nTo: ana@prov.example\r\nSubject: Surat\r\n"
#define ENTITY HEAD "Content-Type: text/plain; hp=\"clear\"\r\n\r\nHalo dari dinas.\r\n"

static void
verify(struct slice message, struct signature_facts *ret)
{
	struct message_facts facts;
	struct err err = { .text = "" };
	struct verify_request request = { .message = message, .facts = &facts, .at = 1790000000 };

	fuzz_must(smime_inspect(message, &facts, &err) == 0, "bytes alone are never an error");
	fuzz_must(smime_verify(&request, ret, &err) == 0, "bytes alone are never an error");
	fuzz_must(ret->state != SIGNATURE_UNKNOWN, "the verifier says something");
	fuzz_must(ret->state == SIGNATURE_GOOD || ret->state == SIGNATURE_NONE || ret->why[0], "a refusal has its reason");
	if (ret->state != SIGNATURE_GOOD)
		return;
	fuzz_must(facts.mime == MIME_CLEAR && facts.limit[0] == '\0', "what is ambiguous is not good");
	fuzz_must(ret->coverage == COVERAGE_WHOLE && ret->has_signer && ret->chain.state != CHAIN_UNKNOWN, "a good signature has a signer");
	fuzz_must(ret->chain.state != CHAIN_GOOD, "there are no anchors");
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct feed feed = { bytes, len };
	unsigned mode = feed_byte(&feed) % 3;
	struct slice rest = { feed.at, feed.len };
	AUTO_BUF struct buf mail = { 0 };
	struct signature_facts facts;

	if (mode == 0) {
		verify(rest, &facts);
		return 0;
	}
	if (mode == 1)
		forge_clear_mail(HEAD, slice_of(ENTITY), rest, &mail);
	else
		forge_opaque_mail(HEAD, rest, &mail);
	verify(buf_slice(&mail), &facts);
	if (facts.state != SIGNATURE_GOOD)
		return 0;
	fuzz_must(facts.protection == PROTECTION_MATCH, "only the seeds' content is signed, and its fields are these");
	return 0;
}
