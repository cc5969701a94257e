/*
 * The gate before CMS_verify. Each row is one SignedData with one flaw (or none, and a form that must
 * pass); `openssl` is what OpenSSL says to the same bytes without the gate: where it accepts what is
 * refused here, the gate is what refuses.
 */
#include "tests/smime/world.h"

#include "smime/der.h"
#include "smime/gate.h"
#include "tests/support/forge.h"

#define ENTITY "Content-Type: text/plain\r\n\r\nHalo dari dinas.\r\n"
#define LEAST_OPENSSL_ACCEPTS 13

struct row {
	const char *name;
	const char *signer;
	unsigned flaws;
	enum gate_state want;
	const char *want_why;
	bool openssl;
	const char *digest;
	const char *econtent;
};

static const struct row rows[] = {
	/* what is good, in every form */
	{ "detached, RSA", "rsa2048", 0, GATE_PASSES, "", true, NULL, NULL },
	{ "detached, P-256", "p256", 0, GATE_PASSES, "", true, NULL, NULL },
	{ "SHA-384", "p384", 0, GATE_PASSES, "", true, "sha384", NULL },
	{ "SHA-512", "rsa2048", 0, GATE_PASSES, "", true, "sha512", NULL },
	{ "opaque", "rsa2048", FORGE_OPAQUE, GATE_PASSES, "", true, NULL, NULL },
	{ "opaque in pieces, indefinite lengths", "p256", FORGE_OPAQUE | FORGE_PIECES, GATE_PASSES, "", true, NULL, NULL },
	{ "indefinite lengths", "p256", FORGE_INDEFINITE, GATE_PASSES, "", true, NULL, NULL },
	{ "by key identifier", "p256", FORGE_KEY_ID, GATE_PASSES, "", true, NULL, NULL },
	{ "attributes in another order", "p256", FORGE_UNSORTED, GATE_PASSES, "", true, NULL, NULL },
	{ "an unsigned attribute", "p256", FORGE_UNSIGNED, GATE_PASSES, "", true, NULL, NULL },
	{ "signing-certificate-v2", "p256", FORGE_ESS, GATE_PASSES, "", true, NULL, NULL },
	{ "RSASSA-PSS", "rsa2048", FORGE_PSS, GATE_PASSES, "", true, NULL, NULL },
	{ "RSASSA-PSS, longest salt", "rsa2048", FORGE_PSS_MAX, GATE_PASSES, "", true, NULL, NULL },
	/* named as what they are; the verifier says weak */
	{ "A24 SHA-1", "rsa2048", 0, GATE_PASSES, "", true, "sha1", NULL },
	{ "A24 MD5", "rsa2048", 0, GATE_PASSES, "", true, "md5", NULL },

	{ "A4 eContent beside a detached part", "rsa2048", 0, GATE_MALFORMED, "eContent beside", false, NULL, "Old\r\n\r\nwords" },
	{ "A4 its own content beside a detached part", "rsa2048", 0, GATE_MALFORMED, "eContent beside", true, NULL, ENTITY },
	{ "A5 no signed attributes", "rsa2048", FORGE_NO_ATTRIBUTES, GATE_MALFORMED, "no signed attributes", true, NULL, NULL },
	{ "A5 no signed attributes, opaque", "p256", FORGE_NO_ATTRIBUTES | FORGE_OPAQUE, GATE_MALFORMED, "no signed attributes", true, NULL, NULL },
	{ "A5 no contentType", "rsa2048", FORGE_NO_CONTENT_TYPE, GATE_MALFORMED, "no contentType", false, NULL, NULL },
	{ "A5 contentType is not id-data", "rsa2048", FORGE_TYPE_NOT_DATA, GATE_MALFORMED, "not id-data", true, NULL, NULL },
	{ "A5 no messageDigest", "rsa2048", FORGE_NO_DIGEST, GATE_MALFORMED, "no messageDigest", false, NULL, NULL },
	{ "A5 messageDigest twice", "rsa2048", FORGE_TWO_DIGESTS, GATE_MALFORMED, "messageDigest twice", false, NULL, NULL },
	{ "A5 messageDigest of two values", "rsa2048", FORGE_TWO_VALUES, GATE_MALFORMED, "more than one value", false, NULL, NULL },
	{ "A5 attributes that are no DER", "rsa2048", FORGE_BER_ATTRIBUTES, GATE_MALFORMED, "no DER", true, NULL, NULL },
	{ "A6 no SignerInfo, detached", "rsa2048", FORGE_NO_SIGNER, GATE_MALFORMED, "no SignerInfo", false, NULL, NULL },
	{ "A6 no SignerInfo, opaque", "rsa2048", FORGE_NO_SIGNER | FORGE_OPAQUE, GATE_MALFORMED, "no SignerInfo", false, NULL, NULL },
	{ "A7 two SignerInfos", "rsa2048", FORGE_TWO_SIGNERS, GATE_MALFORMED, "2 SignerInfos", true, NULL, NULL },
	{ "A21 a signing time without seconds", "p256", FORGE_ODD_TIME, GATE_MALFORMED, "signingTime", true, NULL, NULL },
	{ "A24 SHA-224", "p256", 0, GATE_UNSUPPORTED, "digest algorithm", true, "sha224", NULL },
	{ "A24 Ed25519", "ed25519", 0, GATE_UNSUPPORTED, "signature algorithm", false, "sha512", NULL },
	{ "A24 RSASSA-PSS, salt of 8 bytes", "rsa2048", FORGE_PSS_SHORT, GATE_UNSUPPORTED, "signature algorithm", true, NULL, NULL },
	{ "A24 RSASSA-PSS with SHA-1", "rsa2048", FORGE_PSS, GATE_UNSUPPORTED, "signature algorithm", true, "sha1", NULL },
	{ "A24 the signature names another digest", "rsa2048", FORGE_OTHER_HASH, GATE_MALFORMED, "another digest", false, NULL, NULL },
	{ "A24 the same with ECDSA", "p256", FORGE_OTHER_HASH, GATE_MALFORMED, "another digest", false, NULL, NULL },
	{ "A25 version 3 by issuer and serial", "p256", FORGE_OTHER_VERSION, GATE_MALFORMED, "version", true, NULL, NULL },
	{ "A42 21 certificates", "p256", FORGE_MANY_CERTS, GATE_MALFORMED, "more than 20", true, NULL, NULL },
	{ "A42 pieces nested 20 deep", "p256", FORGE_OPAQUE | FORGE_DEEP_PIECES, GATE_MALFORMED, "", false, NULL, NULL },
	{ "A42 a byte behind the object", "p256", FORGE_TRAILING, GATE_MALFORMED, "no ContentInfo", true, NULL, NULL },
	{ "digestAlgorithms without the signer's", "p256", FORGE_NOT_LISTED, GATE_MALFORMED, "not among digestAlgorithms", false, NULL, NULL },
};

static int
setup(void **given)
{
	static const char *const kinds[] = { "rsa2048", "p256", "p384", "ed25519" };
	struct world *world = calloc(1, sizeof(*world));

	world_open(world);
	for (size_t i = 0; i < N_ELEMENTS(kinds); i++)
		mkpki(world, "--self --out %s --cn Budi --email budi@kota.example --from -1d --to +2y --key %s", kinds[i], kinds[i]);
	*given = world;
	return 0;
}

static int
teardown(void **given)
{
	world_close(*given);
	free(*given);
	return 0;
}

static struct forge
forge_of(const struct row *row)
{
	return (struct forge){
		.signer = row->signer, .digest = row->digest, .content = slice_of(ENTITY), .signing_time = 1790000000,
		.flaws = row->flaws, .econtent = row->econtent ? slice_of(row->econtent) : (struct slice){ 0 },
	};
}

static void
check_row(const struct row *row)
{
	struct forge forge = forge_of(row);
	struct slice entity = slice_of(ENTITY), cms;
	AUTO_BUF struct buf der = { 0 }, room = { 0 };
	struct gate_facts gate;
	bool detached = !(row->flaws & FORGE_OPAQUE);

	forge_cms(&forge, &der);
	cms = heap_slice(der.at, der.len);
	gate_signed(cms, detached, &gate);
	if (gate.state != row->want || !strstr(gate.why, row->want_why))
		fail_msg("%s: state %d, '%s'", row->name, gate.state, gate.why);
	/* With eContent the caller "forgets" to pass the part, as readers have done (A4). */
	if (forge_openssl_accepts(cms, detached && !row->econtent ? &entity : NULL) != row->openssl)
		fail_msg("%s: OpenSSL alone %s it", row->name, row->openssl ? "does not accept" : "accepts");
	if (row->want == GATE_PASSES && !detached && !slice_equal(gate_content(&gate, &room), entity))
		fail_msg("%s: another content", row->name);
	if (row->want == GATE_PASSES && (!gate.has_signing_time || gate.signing_time != 1790000000))
		fail_msg("%s: signing time %ld", row->name, (long)gate.signing_time);
	heap_free(cms);
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		check_row(&rows[i]);
}

/* How many of the refused ones OpenSSL alone would have let pass. */
static void
test_gate_is_needed(void **state)
{
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		n += rows[i].openssl && rows[i].want != GATE_PASSES;
	assert_true(n >= LEAST_OPENSSL_ACCEPTS);
}

static void
test_confused(void **state)
{
	struct forge forge = { .signer = "rsa2048", .content = slice_of(ENTITY), .signing_time = 1790000000 };
	AUTO_BUF struct buf der = { 0 }, confused = { 0 }, content = { 0 };
	struct gate_facts gate;

	(void)state;
	forge_cms(&forge, &der);
	forge_confused(buf_slice(&der), &confused, &content);
	assert_true(forge_openssl_accepts(buf_slice(&confused), NULL));
	gate_signed(buf_slice(&confused), false, &gate);
	assert_int_equal(gate.state, GATE_MALFORMED);
	assert_true(gate_is_attributes(buf_slice(&content)));
	/* One bit less, and it is a text like any other. */
	content.at[0] = '0';
	assert_false(gate_is_attributes(buf_slice(&content)));
	assert_false(gate_is_attributes(slice_of("1. Pembukaan\r\n")));
	assert_false(gate_is_attributes(slice_of("")));
}

/* Signed as content that is a SET of attributes, with attributes of its own: refused as well. */
static void
test_set_as_content(void **state)
{
	struct forge forge = { .signer = "rsa2048", .content = slice_of(ENTITY) }, second;
	AUTO_BUF struct buf der = { 0 }, confused = { 0 }, content = { 0 }, again = { 0 };
	struct gate_facts gate;

	(void)state;
	forge_cms(&forge, &der);
	forge_confused(buf_slice(&der), &confused, &content);
	second = (struct forge){ .signer = "rsa2048", .content = buf_slice(&content), .flaws = FORGE_OPAQUE };
	forge_cms(&second, &again);
	assert_true(forge_openssl_accepts(buf_slice(&again), NULL));
	gate_signed(buf_slice(&again), false, &gate);
	assert_int_equal(gate.state, GATE_MALFORMED);
	assert_non_null(strstr(gate.why, "SET of attributes"));
}

static void
test_crls(void **state)
{
	AUTO_BUF struct buf der = { 0 }, crl = { 0 }, large = { 0 };
	struct forge forge = { .signer = "p256", .content = slice_of(ENTITY) };
	struct gate_facts gate;

	(void)state;
	assert_int_equal(run("printf '' >index.txt && printf 'authorityKeyIdentifier=keyid\\n' >x.cnf && printf "
	    "'[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index.txt\\ndefault_md=sha256\\ndefault_crl_days=1\\n' >ca.cnf && "
	    "openssl ca -config ca.cnf -gencrl -cert p256.crt -keyfile p256.key -out crl.pem 2>ca.log && "
	    "openssl crl -in crl.pem -outform DER -out crl.der"), 0);
	forge.crl = read_file("crl.der");
	forge_cms(&forge, &der);
	gate_signed(buf_slice(&der), true, &gate);
	assert_int_equal(gate.state, GATE_PASSES);
	assert_int_equal(gate.n_crls, 1);
	buf_init(&large, 3 * 1024 * 1024);
	while (large.len < LIMIT_CMS_CRL_BYTES)
		buf_add_slice(&large, forge.crl);
	heap_free(forge.crl);
	buf_done(&der);
	forge.crl = buf_slice(&large);
	forge_cms(&forge, &der);
	gate_signed(buf_slice(&der), true, &gate);
	assert_int_equal(gate.state, GATE_MALFORMED);
	assert_non_null(strstr(gate.why, "bytes of embedded CRLs"));
}

/* An element around `before` and what `last` is so far. */
static void
wrap_last(unsigned tag, struct slice before, struct buf *last)
{
	const struct slice parts[] = { before, buf_slice(last) };
	AUTO_BUF struct buf whole = { 0 };
	struct buf swap = *last;

	buf_init(&whole, der_whole(parts[0].len + parts[1].len));
	der_wrap(&whole, (enum der_tag)tag, parts, N_ELEMENTS(parts));
	*last = whole;
	whole = swap;
}

/* The same object with one unsigned attribute: that many empty strings. The SignerInfo's length is returned. */
static size_t
add_unsigned(struct slice cms, size_t n, struct buf *ret)
{
	size_t work = ber_budget(cms.len), len;
	struct ber in = { .rest = cms, .depth = 1, .work = &work };
	struct element info, oid, wrap, data, signers = { 0 }, signer;
	AUTO_BUF struct buf values = { 0 };

	assert_true(ber_take(&in, BER_SEQUENCE, &info));
	in = ber_inside(&in, &info);
	assert_true(ber_take(&in, BER_OID, &oid) && ber_take(&in, BER_CONTEXT_0, &wrap));
	in = ber_inside(&in, &wrap);
	assert_true(ber_take(&in, BER_SEQUENCE, &data));
	in = ber_inside(&in, &data);
	while (!ber_done(&in))
		assert_true(ber_next(&in, &signers));
	in = ber_inside(&in, &signers);
	assert_true(ber_take(&in, BER_SEQUENCE, &signer));
	buf_init(&values, 2 * n);
	for (size_t i = 0; i < n; i++)
		buf_add(&values, "\x04", 2);
	buf_init(ret, der_whole(values.len));
	der_wrap(ret, DER_SET, (struct slice[]){ buf_slice(&values) }, 1);
	wrap_last(DER_SEQUENCE, slice_of("\x06\x02\x2a\x03"), ret);
	wrap_last(BER_CONTEXT_1, (struct slice){ 0 }, ret);
	wrap_last(DER_SEQUENCE, signer.content, ret);
	len = ret->len;
	wrap_last(DER_SET, (struct slice){ 0 }, ret);
	wrap_last(DER_SEQUENCE, (struct slice){ data.content.at, (size_t)(signers.whole.at - data.content.at) }, ret);
	wrap_last(DER_CONTEXT_0, (struct slice){ 0 }, ret);
	wrap_last(DER_SEQUENCE, oid.whole, ret);
	return len;
}

/* OpenSSL takes apart what stands in them, whoever asks for it. */
static void
test_large_signer(void **state)
{
	struct forge forge = { .signer = "p256", .content = slice_of(ENTITY), .flaws = FORGE_OPAQUE };
	AUTO_BUF struct buf der = { 0 };
	AUTO_BUF struct buf probe = { 0 };
	size_t n = LIMIT_CMS_SIGNER_BYTES / 2, len;

	(void)state;
	forge_cms(&forge, &der);
	n -= (add_unsigned(buf_slice(&der), n, &probe) - LIMIT_CMS_SIGNER_BYTES + 1) / 2;
	for (size_t more = 0; more < 2; more++) {
		AUTO_BUF struct buf large = { 0 };
		struct gate_facts gate;

		len = add_unsigned(buf_slice(&der), n + more, &large);
		assert_true(more ? len > LIMIT_CMS_SIGNER_BYTES : len > LIMIT_CMS_SIGNER_BYTES - 2 && len <= LIMIT_CMS_SIGNER_BYTES);
		gate_signed(buf_slice(&large), false, &gate);
		if (gate.state != (more ? GATE_MALFORMED : GATE_PASSES))
			fail_msg("%zu bytes: state %d, %s", len, gate.state, gate.why);
		assert_true(!more || strstr(gate.why, "a SignerInfo of"));
		assert_true(forge_openssl_accepts(buf_slice(&large), NULL));
	}
}

static void
test_types(void **state)
{
	struct forge forge = { .signer = "p256", .content = slice_of(ENTITY), .flaws = FORGE_OPAQUE };
	AUTO_BUF struct buf der = { 0 };
	struct slice file;
	struct gate_facts gate;

	(void)state;
	forge_cms(&forge, &der);
	assert_string_equal(gate_content_type(buf_slice(&der)), "signedData");
	assert_string_equal(gate_content_type(slice_of("\x30\x03\x06\x01")), "");
	assert_string_equal(gate_content_type(slice_of("")), "");
	assert_int_equal(run("echo hi | openssl cms -encrypt -aes128 -outform DER -out enc.der rsa2048.crt && "
	    "echo hi | openssl cms -encrypt -aes-128-gcm -outform DER -out gcm.der rsa2048.crt && "
	    "echo hi | openssl cms -data_create -outform DER -out data.der && "
	    "openssl crl2pkcs7 -nocrl -certfile p256.crt -outform DER -out certs.der"), 0);
	file = read_file("enc.der");
	gate_signed(file, false, &gate);
	assert_int_equal(gate.state, GATE_UNSUPPORTED);
	assert_non_null(strstr(gate.why, "envelopedData"));
	heap_free(file);
	file = read_file("gcm.der");
	assert_string_equal(gate_content_type(file), "authEnvelopedData");
	heap_free(file);
	file = read_file("data.der");
	gate_signed(file, false, &gate);
	assert_int_equal(gate.state, GATE_UNSUPPORTED);
	heap_free(file);
	file = read_file("certs.der");
	gate_signed(file, false, &gate);
	assert_int_equal(gate.state, GATE_CERTS_ONLY);
	assert_int_equal(gate.n_certs, 1);
	gate_signed(file, true, &gate);
	assert_int_equal(gate.state, GATE_MALFORMED);
	heap_free(file);
}

/* Every prefix, and every byte changed: no step outside (ASan watches), and a prefix never passes. */
static void
test_cuts(void **state)
{
	struct forge forge = { .signer = "p256", .content = slice_of(ENTITY), .flaws = FORGE_OPAQUE | FORGE_PIECES | FORGE_ESS,
		.signing_time = 1790000000 };
	AUTO_BUF struct buf der = { 0 };
	struct gate_facts gate;

	(void)state;
	forge_cms(&forge, &der);
	for (size_t len = 0; len < der.len; len++) {
		struct slice cut = heap_slice(der.at, len);

		gate_signed(cut, false, &gate);
		assert_int_equal(gate.state, GATE_MALFORMED);
		heap_free(cut);
	}
	for (size_t i = 0; i < der.len; i++) {
		struct slice changed = heap_slice(der.at, der.len);
		AUTO_BUF struct buf room = { 0 };

		((unsigned char *)(uintptr_t)changed.at)[i] ^= 0x41;
		gate_signed(changed, false, &gate);
		gate_content(&gate, &room);
		gate_content_type(changed);
		assert_true(gate.state != GATE_UNKNOWN);
		heap_free(changed);
	}
}

/* Some programs write a piece for each line (OpenSSL's SMIME_crlf_copy() buffers in order not to): thousands of small ones. */
static void
test_small_pieces(void **state)
{
	char *text = malloc(200000);
	struct forge forge = { .signer = "p256", .content = { (unsigned char *)text, 200000 }, .flaws = FORGE_OPAQUE | FORGE_PIECES };
	AUTO_BUF struct buf der = { 0 }, room = { 0 };
	struct gate_facts gate;

	(void)state;
	memset(text, 'a', forge.content.len);
	forge_cms(&forge, &der);
	assert_true(forge_openssl_accepts(buf_slice(&der), NULL));
	gate_signed(buf_slice(&der), false, &gate);
	if (gate.state != GATE_PASSES || !slice_equal(gate_content(&gate, &room), forge.content))
		fail_msg("state %d, '%s'", gate.state, gate.why);
	free(text);
}

/* Half a million empty elements, and lengths that are opened half a million times: refused, and at once. */
static void
test_work(void **state)
{
	size_t len = 1024 * 1024;
	unsigned char *bytes = malloc(len);
	struct gate_facts gate;

	(void)state;
	for (size_t i = 0; i < len; i += 2) {
		bytes[i] = 0x30;
		bytes[i + 1] = 0x80;
	}
	gate_signed((struct slice){ bytes, len }, false, &gate);
	assert_int_equal(gate.state, GATE_MALFORMED);
	for (size_t i = 2; i < len; i += 2) {
		bytes[i] = 0x05;
		bytes[i + 1] = 0;
	}
	gate_signed((struct slice){ bytes, len }, false, &gate);
	assert_int_equal(gate.state, GATE_MALFORMED);
	free(bytes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_gate_is_needed),
		cmocka_unit_test(test_confused),
		cmocka_unit_test(test_set_as_content),
		cmocka_unit_test(test_crls),
		cmocka_unit_test(test_large_signer),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_small_pieces),
		cmocka_unit_test(test_work),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
