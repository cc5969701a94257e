/*
 * Decryption of whatever comes. The first byte chooses: a whole message, an object that is one, or a plaintext that is encrypted here with
 * the one key that the opener always gives. Unproven plaintext never comes out, and every failure has one text.
 */
#include "tests/fuzz/fuzz.h"

#include <strings.h>

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "smime/decrypt.h"
#include "smime/der.h"
#include "smime/inspect.h"
#include "tests/support/forge.h"

#define HEAD "From: budi@kota.example\r\nTo: ana@prov.example\r\nSubject: [...]\r\n"

static unsigned char cert_der[4096];
static struct slice cert;

/* Any key will do: the opener does not use it. Issuer and serial number are those of the seeds: CN=x, 7. */
static void
make_cert(void)
{
	X509 *x = X509_new();
	EVP_PKEY *key = EVP_EC_gen("P-256");
	unsigned char *at = cert_der;

	fuzz_must(x && key, "a certificate can be made");
	ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8, (const unsigned char *)"x", 1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 1000000);
	X509_set_pubkey(x, key);
	fuzz_must(X509_sign(x, key, EVP_sha256()) > 0, "it can be signed");
	cert = (struct slice){ cert_der, (size_t)i2d_X509(x, &at) };
	X509_free(x);
	EVP_PKEY_free(key);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	make_cert();
	return 0;
}

static int
open_rsa(void *ctx, const unsigned char spki[32], const struct key_transport *how, unsigned char content[KEY_CONTENT_BYTES],
    enum key_opening *ret, struct err *err)
{
	(void)ctx, (void)spki, (void)err;
	fuzz_must(how->content_len == 16 || how->content_len == 24 || how->content_len == 32, "a key of a length that AES has");
	fuzz_must(how->padding != KEY_PADDING_UNKNOWN && how->block.len > 0, "a block of known padding");
	memset(content, 'k', how->content_len);
	*ret = KEY_OPENED;
	return 0;
}

static int
open_ec(void *ctx, const unsigned char spki[32], const struct key_agreement *how, unsigned char content[KEY_CONTENT_BYTES],
    enum key_opening *ret, struct err *err)
{
	(void)ctx, (void)spki, (void)err;
	fuzz_must(how->content_len == 16 || how->content_len == 24 || how->content_len == 32, "a key of a length that AES has");
	fuzz_must(how->kdf != KEY_HASH_UNKNOWN && how->wrap_len && how->ukm.len <= KEY_UKM_BYTES && how->point.len > 0, "a known agreement");
	memset(content, 'k', how->content_len);
	*ret = how->wrapped.len == how->content_len + 8 ? KEY_OPENED : KEY_REFUSED;
	return 0;
}

static void
check_plain(const struct decrypted *decrypted)
{
	const struct decrypt_facts *facts = decrypted_facts(decrypted);
	const struct signature_facts *signature = decrypted_signature(decrypted);
	struct plain plain;
	bool by_cipher = decrypted_plain(decrypted, GROUND_CIPHER, &plain);
	bool by_signature = decrypted_plain(decrypted, GROUND_SIGNATURE, &plain);

	fuzz_must(!decrypted_plain(decrypted, GROUND_UNKNOWN, &plain), "no ground, no plaintext");
	fuzz_must((by_cipher || by_signature) == (facts->state == DECRYPT_OPENED), "what is opened is proven, and nothing else");
	fuzz_must(!by_cipher || (facts->authenticated && enveloped_is_aead(facts->cipher)), "only an AEAD authenticates");
	fuzz_must(!by_signature || signature->state == SIGNATURE_GOOD, "only a good signature proves");
	for (size_t i = 0; by_signature && !by_cipher && i < plain.n_content; i++)
		fuzz_must(strncasecmp(plain.content[i].name, "Content-", 8) == 0, "only Content-* fields");
}

/* In the message's own memory the same comes of it; what is not spent is as it was. */
static void
decrypt_in_place(const struct decrypt_request *beside, const struct decrypted *want)
{
	AUTO(decrypted_free) struct decrypted *decrypted = NULL;
	AUTO_BUF struct buf spend = { 0 };
	struct decrypt_request request = *beside;
	struct plain mine, theirs;
	struct err err = { .text = "" };

	buf_init(&spend, beside->message.len);
	buf_add_slice(&spend, beside->message);
	request.message = buf_slice(&spend);
	request.spend = &spend;
	fuzz_must(smime_decrypt(&request, &decrypted, &err) == 0, "bytes alone are never an error");
	fuzz_must(!spend.at || slice_equal(buf_slice(&spend), beside->message), "what is not spent stays");
	fuzz_must(decrypted_facts(decrypted)->state == decrypted_facts(want)->state
	    && strcmp(decrypted_facts(decrypted)->layers, decrypted_facts(want)->layers) == 0, "in place and beside it is the same");
	fuzz_must(decrypted_facts(want)->state == DECRYPT_FAILED || strcmp(decrypted_facts(decrypted)->why, decrypted_facts(want)->why) == 0, "one why");
	fuzz_must(decrypted_plain(decrypted, GROUND_CIPHER, &mine) == decrypted_plain(want, GROUND_CIPHER, &theirs)
	    && (!decrypted_plain(want, GROUND_CIPHER, &theirs) || slice_equal(mine.body, theirs.body)), "one plaintext");
}

static void
decrypt(struct slice message)
{
	static const char failed[] = "it cannot be opened, or nothing proves that what is inside is what its sender wrote";
	struct message_facts facts;
	struct err err = { .text = "" };
	AUTO(decrypted_free) struct decrypted *decrypted = NULL;
	struct decrypt_request request = { .message = message, .facts = &facts, .certs = &cert, .n_certs = 1,
		.opener = { .unwrap = open_rsa, .derive = open_ec }, .at = 1790000000, .hasty = true };

	fuzz_must(smime_inspect(message, &facts, &err) == 0, "bytes alone are never an error");
	fuzz_must(smime_decrypt(&request, &decrypted, &err) == 0, "bytes alone are never an error");
	fuzz_must(decrypted_facts(decrypted)->state != DECRYPT_UNKNOWN, "decryption says something");
	fuzz_must(decrypted_facts(decrypted)->state != DECRYPT_FAILED || strcmp(decrypted_facts(decrypted)->why, failed) == 0, "one text");
	check_plain(decrypted);
	decrypt_in_place(&request, decrypted);
}

/* What passes the gate, OpenSSL reads with as many RecipientInfos, or not at all. */
static void
compare(struct slice der)
{
	struct enveloped_facts *facts = xcalloc(1, sizeof(*facts));
	const unsigned char *at = der.at;
	CMS_ContentInfo *cms;
	STACK_OF(CMS_RecipientInfo) *infos;
	size_t n = 0;

	enveloped_read(der, facts);
	cms = facts->state == ENVELOPED_PASSES ? d2i_CMS_ContentInfo(NULL, &at, (long)der.len) : NULL;
	infos = cms ? CMS_get0_RecipientInfos(cms) : NULL;
	for (int i = 0; infos && i < sk_CMS_RecipientInfo_num(infos); i++) {
		CMS_RecipientInfo *info = sk_CMS_RecipientInfo_value(infos, i);

		n += CMS_RecipientInfo_type(info) == CMS_RECIPINFO_AGREE
		    ? (size_t)sk_CMS_RecipientEncryptedKey_num(CMS_RecipientInfo_kari_get0_reks(info)) : 1;
	}
	fuzz_must(!infos || n == facts->n_recipients, "both count the recipients");
	CMS_ContentInfo_free(cms);
	ERR_clear_error();
	free(facts);
}

static void
wrap(struct buf *ret, enum der_tag tag, const struct buf *inside)
{
	struct slice bytes = buf_slice(inside);

	der_wrap(ret, tag, &bytes, 1);
}

/* An AuthEnvelopedData of this plaintext, with the opener's key. */
static void
seal_up(struct slice plain, struct buf *ret)
{
	static const char ktri[] = "\x31\x2d\x30\x2b\x02\x01\x00" "\x30\x11\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01x\x02\x01\x07"
	    "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00" "\x04\x04" "blok";
	static const char cipher[] = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
	    "\x30\x1e\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2e\x30\x11\x04\x0c" "0123456789ab" "\x02\x01\x10";
	AUTO_BUF struct buf content = { 0 }, data = { 0 }, info = { 0 }, inner = { 0 };
	unsigned char key[32], tag[16], *text = malloc(plain.len + 16);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len = 0, end = 0;

	memset(key, 'k', sizeof(key));
	fuzz_must(EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, (const unsigned char *)"0123456789ab") == 1
	    && EVP_EncryptUpdate(ctx, text, &len, plain.at, (int)plain.len) == 1 && EVP_EncryptFinal_ex(ctx, text + len, &end) == 1
	    && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, tag) == 1, "AES works");
	EVP_CIPHER_CTX_free(ctx);
	buf_init(&content, 1 << 20);
	buf_init(&data, 1 << 20);
	buf_init(&info, 1 << 20);
	buf_init(&inner, 1 << 20);
	buf_init(ret, 1 << 20);
	buf_add(&content, cipher, sizeof(cipher) - 1);
	der_wrap(&content, DER_CONTEXT_0_PRIMITIVE, &(struct slice){ text, plain.len }, 1);
	buf_add(&data, "\x02\x01\x00", 3);
	buf_add(&data, ktri, sizeof(ktri) - 1);
	wrap(&data, DER_SEQUENCE, &content);
	der_wrap(&data, DER_OCTETS, &(struct slice){ tag, sizeof(tag) }, 1);
	buf_add(&info, "\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17", 13);
	wrap(&inner, DER_SEQUENCE, &data);
	wrap(&info, DER_CONTEXT_0, &inner);
	wrap(ret, DER_SEQUENCE, &info);
	free(text);
}

static void
put_in_mail(struct slice der, struct buf *ret)
{
	buf_init(ret, 1 << 20);
	buf_add_text(ret, HEAD "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	forge_base64(der, ret);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct feed feed = { bytes, len };
	unsigned mode = feed_byte(&feed) % 3;
	struct slice rest = { feed.at, feed.len };
	AUTO_BUF struct buf mail = { 0 }, der = { 0 };

	if (mode == 0) {
		decrypt(rest);
		return 0;
	}
	if (mode == 2) {
		seal_up(rest, &der);
		rest = buf_slice(&der);
	}
	compare(rest);
	put_in_mail(rest, &mail);
	decrypt(buf_slice(&mail));
	return 0;
}
