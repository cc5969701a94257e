/*
 * The gate against OpenSSL's own reader: whatever passes, both read as the same signer, signature and
 * content. The first byte says whether the content stands outside.
 */
#include "tests/fuzz/fuzz.h"

#include <openssl/cms.h>
#include <openssl/err.h>

#include "smime/gate.h"
#include "smime/seen.h"

static bool
lies_in(struct slice part, const uint8_t *bytes, size_t len)
{
	return part.len == 0 || (part.at >= bytes && part.at + part.len <= bytes + len);
}

static void
check_slices(const struct gate_facts *gate, const uint8_t *bytes, size_t len)
{
	const struct slice all[] = { gate->content, gate->pieces, gate->issuer, gate->serial, gate->key_id, gate->attributes,
		gate->message_digest, gate->signature, gate->cert_hash };

	for (size_t i = 0; i < N_ELEMENTS(all); i++)
		fuzz_must(lies_in(all[i], bytes, len), "slices lie in the object");
	fuzz_must(gate->n_certs <= LIMIT_CMS_CERTS && gate->n_crls <= LIMIT_CMS_CRLS, "counts are capped");
	for (size_t i = 0; i < gate->n_certs; i++)
		fuzz_must(lies_in(gate->certs[i], bytes, len), "certificates lie in the object");
}

static bool
same(const ASN1_OCTET_STRING *text, struct slice want)
{
	return slice_equal((struct slice){ ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text) }, want);
}

static void
compare(CMS_ContentInfo *cms, const struct gate_facts *gate, struct slice content)
{
	STACK_OF(CMS_SignerInfo) *infos = CMS_get0_SignerInfos(cms);
	ASN1_OCTET_STRING **inside = CMS_get0_content(cms);

	fuzz_must(sk_CMS_SignerInfo_num(infos) == 1, "both count one SignerInfo");
	fuzz_must(same(CMS_SignerInfo_get0_signature(sk_CMS_SignerInfo_value(infos, 0)), gate->signature), "both read one signature");
	fuzz_must((size_t)CMS_signed_get_attr_count(sk_CMS_SignerInfo_value(infos, 0)) == gate->n_attributes, "both count the attributes");
	fuzz_must((inside && *inside) == gate->has_content, "both see whether there is content");
	fuzz_must(!gate->has_content || same(*inside, content), "both read one content");
}

/* Of the object's attributes, and of any bytes. */
static void
check_seen(struct slice attributes)
{
	struct seen_facts seen;

	seen_read(attributes, &seen);
	fuzz_must(seen.state != SEEN_UNKNOWN, "something is said about capabilities");
	fuzz_must(seen.state == SEEN_READ || (!seen.gcm && !seen.oaep), "what cannot be read names nothing");
	fuzz_must((seen.state == SEEN_MALFORMED) == (seen.why[0] != '\0'), "what cannot be read has its reason, and nothing else has");
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	AUTO_BUF struct buf room = { 0 };
	struct gate_facts gate;
	struct slice content;
	const unsigned char *at;
	CMS_ContentInfo *cms;

	if (len == 0)
		return 0;
	at = bytes + 1;
	gate_signed((struct slice){ at, len - 1 }, bytes[0] & 1, &gate);
	fuzz_must(gate.state != GATE_UNKNOWN, "the gate says something");
	fuzz_must(gate.state == GATE_PASSES || gate.state == GATE_CERTS_ONLY || gate.why[0], "a refusal has its reason");
	check_slices(&gate, bytes, len);
	content = gate_content(&gate, &room);
	gate_is_attributes((struct slice){ bytes + 1, len - 1 });
	gate_content_type((struct slice){ bytes + 1, len - 1 });
	check_seen(gate.attributes);
	check_seen((struct slice){ bytes + 1, len - 1 });
	if (gate.state != GATE_PASSES)
		return 0;
	fuzz_must(gate.n_signers == 1 && gate.signature.len && gate.attributes.len, "one signer, with attributes");
	cms = d2i_CMS_ContentInfo(NULL, &at, (long)(len - 1));
	if (cms)
		compare(cms, &gate, content);
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	return 0;
}
