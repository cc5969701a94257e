/*
 * The gate before decryption: an object that passes, and what differs from it by one thing and is refused. What openssl writes
 * passes too. Objects are put together by hand, so that they can be wrong in one place.
 */
#include "tests/smime/office.h"

#include "smime/der.h"
#include "smime/enveloped.h"

/* What one object is made of. Each is DER; NULL = left out, or the usual. */
struct parts {
	const char *type;        /* of the ContentInfo */
	int version;
	const char *originator;  /* [0] */
	struct slice infos;      /* content of the SET */
	const char *content_type;
	struct slice cipher;     /* AlgorithmIdentifier */
	struct slice content;    /* [0] */
	struct slice attributes; /* [1] of an AuthEnvelopedData */
	struct slice tag;        /* OCTET STRING */
	struct slice unprotected;
	struct slice behind;     /* the whole object */
};

#define DER(text) { (const unsigned char *)(text), sizeof(text) - 1 }

#define ENVELOPED "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"
#define AUTH_ENVELOPED "\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17"
#define COMPRESSED "\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09"
#define ENCRYPTED "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x06"
#define ID_DATA "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
#define ID_SIGNED "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"

#define IV16 "0123456789abcdef"
#define CBC_256 "\x30\x1d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a\x04\x10" IV16
#define GCM_OID "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2e"
#define GCM(len) "\x30\x1e" GCM_OID "\x30\x11\x04\x0c" "0123456789ab" "\x02\x01" len
#define ISSUER "\x30\x05\x30\x00\x02\x01\x07" /* an empty name, serial number 7 */
#define RSA_V15 "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"
#define BLOCK "\x04\x04" "blok"
#define KTRI "\x30\x1f\x02\x01\x00" ISSUER RSA_V15 "\x04\x04" "blok"
#define SHA256 "\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01"
#define OAEP_OID "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07"
#define MGF1_OID "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08"
#define LABEL_OID "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x09"
#define BLOCKS "\x80\x10" "................"

static void
add_text(struct buf *ret, const char *der)
{
	buf_add(ret, der, 2 + (size_t)(unsigned char)der[1]);
}

static void
build(const struct parts *parts, struct buf *ret)
{
	AUTO_BUF struct buf content = { 0 }, data = { 0 }, info = { 0 };
	const unsigned char version[] = { 2, 1, (unsigned char)parts->version };
	struct slice all[2];

	buf_init(&content, 1 << 20);
	buf_init(&data, 1 << 24);
	buf_init(&info, 1 << 24);
	buf_init(ret, 1 << 24);
	add_text(&content, parts->content_type ? parts->content_type : ID_DATA);
	buf_add_slice(&content, parts->cipher);
	buf_add_slice(&content, parts->content);
	buf_add(&data, version, sizeof(version));
	if (parts->originator)
		add_text(&data, parts->originator);
	der_wrap(&data, DER_SET, &parts->infos, 1);
	all[0] = buf_slice(&content);
	der_wrap(&data, DER_SEQUENCE, all, 1);
	buf_add_slice(&data, parts->attributes);
	buf_add_slice(&data, parts->tag);
	buf_add_slice(&data, parts->unprotected);
	add_text(&info, parts->type ? parts->type : ENVELOPED);
	der_head(&info, DER_CONTEXT_0, der_whole(data.len));
	all[0] = buf_slice(&data);
	der_wrap(&info, DER_SEQUENCE, all, 1);
	all[0] = buf_slice(&info);
	der_wrap(ret, DER_SEQUENCE, all, 1);
	buf_add_slice(ret, parts->behind);
}

static const struct parts cbc = { .infos = DER(KTRI), .cipher = DER(CBC_256), .content = DER(BLOCKS) };
static const struct parts gcm = { .type = AUTH_ENVELOPED, .infos = DER(KTRI), .cipher = DER(GCM("\x10")), .content = DER(BLOCKS),
	.tag = DER("\x04\x10" IV16) };

static struct enveloped_facts *
read_parts(const struct parts *parts)
{
	struct enveloped_facts *facts = xcalloc(1, sizeof(*facts));
	AUTO_BUF struct buf der = { 0 };
	static struct slice kept;

	build(parts, &der);
	heap_free(kept);
	kept = heap_slice(der.at, der.len);
	enveloped_read(kept, facts);
	return facts;
}

static void
check(const char *name, const struct parts *parts, enum enveloped_state want, const char *want_why)
{
	struct enveloped_facts *facts = read_parts(parts);

	if (facts->state != want || (want_why && !strstr(facts->why, want_why)))
		fail_msg("%s: state %d '%s'", name, (int)facts->state, facts->why);
	if (want != ENVELOPED_PASSES)
		assert_true(facts->why[0] != '\0');
	free(facts);
}

static struct slice
text(const char *bytes, size_t len)
{
	return (struct slice){ (const unsigned char *)bytes, len };
}
#define T(bytes) text(bytes, sizeof(bytes) - 1)

#define ROW(name_, base, field, value, state, why) \
	do { \
		struct parts row_ = base; \
		row_.field = value; \
		check(name_, &row_, ENVELOPED_##state, why); \
	} while (0)

static void
test_object(void **state)
{
	(void)state;
	check("CBC", &cbc, ENVELOPED_PASSES, NULL);
	check("GCM", &gcm, ENVELOPED_PASSES, NULL);
	ROW("a byte behind", cbc, behind, T("\0"), MALFORMED, "bytes behind");
	ROW("another object behind", gcm, behind, T("\x30\x00"), MALFORMED, "bytes behind");
	ROW("CompressedData", cbc, type, COMPRESSED, UNSUPPORTED, "compressedData");
	ROW("EncryptedData", cbc, type, ENCRYPTED, UNSUPPORTED, "encryptedData");
	ROW("CBC in an AuthEnvelopedData", cbc, type, AUTH_ENVELOPED, MALFORMED, "aes-256-cbc in an AuthEnvelopedData");
	ROW("GCM in an EnvelopedData", gcm, type, ENVELOPED, MALFORMED, "aes-256-gcm in an EnvelopedData");
	ROW("version 6", cbc, version, 6, MALFORMED, "version");
	ROW("originator", cbc, originator, "\xa0\x00", PASSES, NULL);
	ROW("a signed content", cbc, content_type, ID_SIGNED, UNSUPPORTED, "id-data");
	ROW("unprotected attributes", cbc, unprotected, T("\xa1\x00"), PASSES, NULL);
	ROW("[2] in an EnvelopedData", cbc, unprotected, T("\xa2\x00"), MALFORMED, "behind the last field");
	ROW("unprotected attributes of an AuthEnvelopedData", gcm, unprotected, T("\xa2\x00"), PASSES, NULL);
	ROW("a tag in an EnvelopedData", cbc, tag, T("\x04\x10" IV16), MALFORMED, "behind the last field");
	ROW("indefinite inside", cbc, content, T("\xa0\x80\x04\x10" IV16 "\0\0"), PASSES, NULL);
	ROW("without its end", cbc, content, T("\xa0\x80\x04\x10" IV16), MALFORMED, NULL);
}

static void
test_cipher(void **state)
{
	(void)state;
	ROW("IV of 15", cbc, cipher, T("\x30\x1c\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a\x04\x0f" "0123456789abcde"), MALFORMED, "IV of 16");
	ROW("no IV", cbc, cipher, T("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a"), MALFORMED, "IV of 16");
	ROW("3DES", cbc, cipher, T("\x30\x14\x06\x08\x2a\x86\x48\x86\xf7\x0d\x03\x07\x04\x08" "01234567"), UNSUPPORTED, "content cipher");
	ROW("RC2", cbc, cipher, T("\x30\x1a\x06\x08\x2a\x86\x48\x86\xf7\x0d\x03\x02\x30\x0e\x02\x02\x00\xa0\x04\x08" "01234567"), UNSUPPORTED, "content cipher");
	ROW("AES-256-CCM", gcm, cipher, T("\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2f"), UNSUPPORTED, "content cipher");
	ROW("AES-128-CBC", cbc, cipher, T("\x30\x1d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x02\x04\x10" IV16), PASSES, NULL);
	ROW("15 bytes of CBC", cbc, content, T("\x80\x0f" "..............."), MALFORMED, "whole blocks");
	ROW("17 bytes of CBC", cbc, content, T("\x80\x11" "................."), MALFORMED, "whole blocks");
	ROW("no bytes of CBC", cbc, content, T("\x80\x00"), MALFORMED, "whole blocks");
	ROW("17 bytes of GCM", gcm, content, T("\x80\x11" "................."), PASSES, NULL);
	ROW("no content", cbc, content, T(""), MALFORMED, "no encrypted content");
	ROW("two contents", cbc, content, T(BLOCKS BLOCKS), MALFORMED, "no encrypted content");
	ROW("content in pieces", cbc, content, T("\xa0\x14\x04\x08" "........" "\x04\x08" "........"), PASSES, NULL);
	ROW("content in pieces that add up to 17", cbc, content, T("\xa0\x15\x04\x08" "........" "\x04\x09" "........."), MALFORMED, "whole blocks");
	ROW("a piece that is no OCTET STRING", cbc, content, T("\xa0\x14\x04\x08" "........" "\x02\x08" "........"), MALFORMED, "OCTET STRING");
	ROW("explicitly tagged", cbc, content, T("\xa1\x12\x04\x10" "................"), MALFORMED, NULL);
}

static void
test_gcm(void **state)
{
	struct parts row = gcm;

	(void)state;
	for (int len = 0; len <= 20; len++) {
		char tag[24] = { 4, (char)len }, cipher[] = GCM("\x10");

		cipher[sizeof(cipher) - 2] = (char)len;
		row.tag = text(tag, 2 + (size_t)len);
		row.cipher = text(cipher, sizeof(cipher) - 1);
		check("a tag of another length", &row, len >= 12 && len <= 16 ? ENVELOPED_PASSES : ENVELOPED_MALFORMED, NULL);
	}
	ROW("a tag shorter than named", gcm, tag, T("\x04\x0f" "0123456789abcde"), MALFORMED, "a tag of 15 bytes; want the 16");
	ROW("no tag", gcm, tag, T(""), MALFORMED, "no authentication tag");
	ROW("no parameters", gcm, cipher, T("\x30\x0b" GCM_OID), MALFORMED, "parameters");
	ROW("nonce of 16", gcm, cipher, T("\x30\x22" GCM_OID "\x30\x15\x04\x10" IV16 "\x02\x01\x10"), MALFORMED, "nonce of 12");
	ROW("nonce of 8", gcm, cipher, T("\x30\x1a" GCM_OID "\x30\x0d\x04\x08" "01234567" "\x02\x01\x10"), MALFORMED, "nonce of 12");
	ROW("the default is 12", gcm, cipher, T("\x30\x1b" GCM_OID "\x30\x0e\x04\x0c" "0123456789ab"), MALFORMED, "want the 12");
	ROW("attributes", gcm, attributes, T("\xa1\x02\x30\x00"), PASSES, NULL);
	ROW("attributes that are no DER", gcm, attributes, T("\xa1\x03\x30\x81\x00"), MALFORMED, "no DER");
	ROW("empty attributes", gcm, attributes, T("\xa1\x00"), MALFORMED, "empty");
}

static void
test_recipients(void **state)
{
	struct parts row = cbc;
	AUTO_BUF struct buf many = { 0 };

	(void)state;
	ROW("none", cbc, infos, T(""), MALFORMED, "no RecipientInfo");
	ROW("two", cbc, infos, T(KTRI KTRI), PASSES, NULL);
	ROW("password", cbc, infos, T("\xa3\x03\x02\x01\x00"), MALFORMED, "PasswordRecipientInfo");
	ROW("password beside a good one", cbc, infos, T(KTRI "\xa3\x03\x02\x01\x00"), MALFORMED, "PasswordRecipientInfo");
	ROW("KEK beside a good one", cbc, infos, T(KTRI "\xa2\x03\x02\x01\x04"), MALFORMED, "KEKRecipientInfo");
	ROW("other beside a good one", cbc, infos, T(KTRI "\xa4\x02\x05\x00"), MALFORMED, "OtherRecipientInfo");
	ROW("unknown beside a good one", cbc, infos, T(KTRI "\xa5\x02\x05\x00"), MALFORMED, "cannot be read");
	ROW("version 2 by issuer", cbc, infos, T("\x30\x1f\x02\x01\x02" ISSUER RSA_V15 BLOCK), MALFORMED, "version 2; want 0");
	ROW("version 0 by key identifier", cbc, infos, T("\x30\x1b\x02\x01\x00\x80\x01" "k" RSA_V15 BLOCK), MALFORMED, "version 0; want 2");
	ROW("by key identifier", cbc, infos, T("\x30\x1b\x02\x01\x02\x80\x01" "k" RSA_V15 BLOCK), PASSES, NULL);
	ROW("no certificate named", cbc, infos, T("\x30\x1a\x02\x01\x02\x80\x00" RSA_V15 BLOCK), MALFORMED, "names no certificate");
	ROW("no block", cbc, infos, T("\x30\x1b\x02\x01\x00" ISSUER RSA_V15 "\x04\x00"), MALFORMED, "encrypted key of 0 bytes");
	ROW("something behind", cbc, infos, T("\x30\x21\x02\x01\x00" ISSUER RSA_V15 BLOCK "\x05\x00"), MALFORMED, "cannot be read");
	buf_init(&many, 1 << 20);
	for (size_t i = 0; i < LIMIT_CMS_RECIPIENTS; i++)
		buf_add(&many, KTRI, sizeof(KTRI) - 1);
	row.infos = buf_slice(&many);
	check("200", &row, ENVELOPED_PASSES, NULL);
	buf_add(&many, KTRI, sizeof(KTRI) - 1);
	row.infos = buf_slice(&many);
	check("201", &row, ENVELOPED_MALFORMED, "more than 200 recipients");
}

/* Ways of the key that are not handled are noted, and the object passes: somebody else may be meant. */
static void
test_ways(void **state)
{
	static const struct {
		const char *name;
		struct slice algorithm;
		enum key_padding padding;
		enum key_hash digest, mask;
	} rows[] = {
		{ "v1.5", DER(RSA_V15), KEY_PADDING_V15, KEY_HASH_UNKNOWN, KEY_HASH_UNKNOWN },
		{ "v1.5 without NULL", DER("\x30\x0b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"), KEY_PADDING_V15, KEY_HASH_UNKNOWN, KEY_HASH_UNKNOWN },
		{ "v1.5 with parameters", DER("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x30\x00"), KEY_PADDING_UNKNOWN, KEY_HASH_UNKNOWN, KEY_HASH_UNKNOWN },
		{ "OAEP without parameters", DER("\x30\x0b" OAEP_OID), KEY_PADDING_OAEP, KEY_HASH_SHA1, KEY_HASH_SHA1 },
		{ "OAEP, defaults", DER("\x30\x0d" OAEP_OID "\x30\x00"), KEY_PADDING_OAEP, KEY_HASH_SHA1, KEY_HASH_SHA1 },
		{ "OAEP, NULL", DER("\x30\x0d" OAEP_OID "\x05\x00"), KEY_PADDING_UNKNOWN, KEY_HASH_UNKNOWN, KEY_HASH_UNKNOWN },
		{ "OAEP SHA-256, MGF1 SHA-1", DER("\x30\x1c" OAEP_OID "\x30\x0f\xa0\x0d" SHA256), KEY_PADDING_OAEP, KEY_HASH_SHA256, KEY_HASH_SHA1 },
		{ "OAEP, an empty label", DER("\x30\x1e" OAEP_OID "\x30\x11\xa2\x0f\x30\x0d" LABEL_OID "\x04\x00"), KEY_PADDING_OAEP, KEY_HASH_SHA1, KEY_HASH_SHA1 },
		{ "OAEP, a label", DER("\x30\x1f" OAEP_OID "\x30\x12\xa2\x10\x30\x0e" LABEL_OID "\x04\x01x"), KEY_PADDING_UNKNOWN, KEY_HASH_UNKNOWN, KEY_HASH_UNKNOWN },
		{ "OAEP, the mask no MGF1", DER("\x30\x1c" OAEP_OID "\x30\x0f\xa1\x0d" SHA256), KEY_PADDING_UNKNOWN, KEY_HASH_UNKNOWN, KEY_HASH_UNKNOWN },
		{ "OAEP, fields in another order", DER("\x30\x1c" OAEP_OID "\x30\x0f\xa3\x0d" SHA256), KEY_PADDING_UNKNOWN, KEY_HASH_UNKNOWN, KEY_HASH_UNKNOWN },
		{ "ElGamal", DER("\x30\x09\x06\x07\x2b\x0e\x07\x02\x01\x01\x01"), KEY_PADDING_UNKNOWN, KEY_HASH_UNKNOWN, KEY_HASH_UNKNOWN },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		const struct slice info[] = { DER("\x02\x01\x00"), DER(ISSUER), rows[i].algorithm, DER(BLOCK) };
		AUTO_BUF struct buf infos = { 0 };
		struct enveloped_facts *facts;
		struct parts row = cbc;

		buf_init(&infos, 4096);
		der_wrap(&infos, DER_SEQUENCE, info, N_ELEMENTS(info));
		row.infos = buf_slice(&infos);
		facts = read_parts(&row);
		assert_int_equal(facts->state, ENVELOPED_PASSES);
		assert_int_equal(facts->n_recipients, 1);
		if (facts->recipients[0].kind != (rows[i].padding == KEY_PADDING_UNKNOWN ? RECIPIENT_UNKNOWN : RECIPIENT_TRANSPORT)
		    || facts->recipients[0].transport.padding != rows[i].padding || facts->recipients[0].transport.digest != rows[i].digest
		    || facts->recipients[0].transport.mask != rows[i].mask)
			fail_msg("%s: padding %d, digest %d, mask %d", rows[i].name, (int)facts->recipients[0].transport.padding,
			    (int)facts->recipients[0].transport.digest, (int)facts->recipients[0].transport.mask);
		free(facts);
	}
}

/* Every prefix, and every byte changed: never read beyond, and never passes without what passing means. */
static void
test_damage(void **given)
{
	static const struct wanted wanted = { ENCRYPT_AES256_GCM, KEY_PADDING_OAEP, false };
	static const enum kind to[] = { RSA, P256, P384 };
	struct enveloped_facts *facts = xcalloc(1, sizeof(*facts));
	AUTO_BUF struct buf der = { 0 };

	office_encrypt(*given, &wanted, to, N_ELEMENTS(to), slice_of("Content-Type: text/plain\r\n\r\nHalo\r\n"), &der);
	for (size_t len = 0; len < der.len; len++) {
		struct slice part = heap_slice(der.at, len);

		enveloped_read(part, facts);
		assert_int_equal(facts->state, ENVELOPED_MALFORMED);
		heap_free(part);
	}
	for (size_t i = 0; i < 8 * der.len; i++) {
		struct slice part = heap_slice(der.at, der.len);

		((unsigned char *)(uintptr_t)part.at)[i / 8] ^= (unsigned char)(1u << (i % 8));
		enveloped_read(part, facts);
		assert_true(facts->state != ENVELOPED_UNKNOWN);
		if (facts->state == ENVELOPED_PASSES)
			assert_true(facts->iv.len == 12 && facts->tag.len >= 12 && facts->tag.len <= 16 && facts->n_recipients > 0
			    && enveloped_is_aead(facts->cipher));
		heap_free(part);
	}
	free(facts);
}

/* Pieces are put together in the object's own memory. */
static void
test_join(void **state)
{
	struct parts row = cbc;
	struct enveloped_facts *facts;

	(void)state;
	row.content = T("\xa0\x80\x24\x80\x04\x05" "abcde" "\x04\x00\x04\x03" "fgh" "\0\0\x04\x08" "ijklmnop" "\0\0");
	facts = read_parts(&row);
	assert_int_equal(facts->state, ENVELOPED_PASSES);
	assert_null(facts->content.at);
	assert_int_equal(facts->content_len, 16);
	{
		unsigned char *room = (unsigned char *)(uintptr_t)facts->pieces.at;

		enveloped_join(facts, room);
		assert_memory_equal(room, "abcdefghijklmnop", 16);
	}
	free(facts);
}

static void
test_names(void **state)
{
	(void)state;
	for (int i = ENVELOPED_AES128_CBC; i <= ENVELOPED_AES256_GCM; i++) {
		enum enveloped_cipher cipher = (enum enveloped_cipher)i;

		assert_int_equal(enveloped_is_aead(cipher), strstr(enveloped_cipher_name(cipher), "gcm") != NULL);
		assert_int_equal(8 * enveloped_key_len(cipher), strtoul(enveloped_cipher_name(cipher) + 4, NULL, 10));
	}
	assert_string_equal(enveloped_cipher_name(ENVELOPED_CIPHER_UNKNOWN), "unknown");
	assert_int_equal(enveloped_key_len(ENVELOPED_CIPHER_UNKNOWN), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_object),
		cmocka_unit_test(test_cipher),
		cmocka_unit_test(test_gcm),
		cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_ways),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, office_open, office_close);
}
