#include "smime/encrypt.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "smime/canon.h"
#include "smime/der.h"
#include "smime/ossl.h"

AUTO_DEFINE(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free);

enum {
	RSA_LEAST = 2048,
	RSA_MOST = LIMIT_CERT_KEY_BITS,
	KEY_BYTES = KEY_CONTENT_BYTES,
	BLOCK_BYTES = 16,
	NONCE_BYTES = 12,
	TAG_BYTES = 16,
	MAX_BLOCK = RSA_MOST / 8,
	MAX_RECIPIENT = LIMIT_CERT_BYTES + 2 * MAX_BLOCK, /* its issuer's name is the longest part */
	LINE_BYTES = 57,                                  /* of what becomes a line of 76 */
	LINES = 1024,                                     /* that are written at a time */
};

/* ---- whom may be encrypted to ---- */

static bool
is_fit_key(const struct cert_facts *cert)
{
	switch (cert->key) {
	case KEY_RSA:
		return cert->key_bits >= RSA_LEAST && cert->key_bits <= RSA_MOST;
	case KEY_P256:
	case KEY_P384:
		return true;
	case KEY_UNKNOWN:
	case KEY_P521:
	case KEY_OTHER:
		break;
	}
	return false;
}

enum encrypt_fit
encrypt_fit_of(const struct cert_facts *cert, time_t now)
{
	const struct {
		bool unfit;
		enum encrypt_fit why;
	} rows[] = {
		{ cert->is_ca, ENCRYPT_UNFIT_CA },
		{ !is_fit_key(cert), ENCRYPT_UNFIT_KEY },
		{ !cert->may_encrypt, ENCRYPT_UNFIT_USAGE },
		{ cert->weak_signature, ENCRYPT_UNFIT_WEAK },
		{ cert->odd_address, ENCRYPT_UNFIT_ADDRESS },
		{ cert_time_at(cert, now) != CERT_TIME_VALID, ENCRYPT_UNFIT_TIME },
	};

	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		if (rows[i].unfit)
			return rows[i].why;
	}
	return ENCRYPT_FIT;
}

const char *
encrypt_fit_name(enum encrypt_fit fit)
{
	switch (fit) {
	case ENCRYPT_FIT_UNKNOWN:
		return "unknown";
	case ENCRYPT_FIT:
		return "fit";
	case ENCRYPT_UNFIT_UNREADABLE:
		return "unreadable";
	case ENCRYPT_UNFIT_CA:
		return "ca";
	case ENCRYPT_UNFIT_USAGE:
		return "usage";
	case ENCRYPT_UNFIT_KEY:
		return "key";
	case ENCRYPT_UNFIT_WEAK:
		return "weak";
	case ENCRYPT_UNFIT_ADDRESS:
		return "address";
	case ENCRYPT_UNFIT_TIME:
		return "time";
	}
	return "unknown";
}

/* ---- DER ---- */

#define DER(text) { (const unsigned char *)(text), sizeof(text) - 1 }

static const struct slice id_data = DER("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01");
static const struct slice version_0 = DER("\x02\x01\x00");
static const struct slice version_2 = DER("\x02\x01\x02");
static const struct slice version_3 = DER("\x02\x01\x03");
/* rsaEncryption, NULL (RFC 3370 4.2.1). */
static const struct slice rsa_v15 = DER("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00");
/* id-RSAES-OAEP with SHA-256 and MGF1 with SHA-256 (RFC 4055 4.1). */
#define SHA256_ALGORITHM "\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00"
static const struct slice rsa_oaep = DER("\x30\x3c\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07\x30\x2f"
    "\xa0\x0f" SHA256_ALGORITHM "\xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08" SHA256_ALGORITHM);
/* id-aes256-wrap, without parameters (RFC 3565 2.3.2). */
#define AES256_WRAP "\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2d"
/* dhSinglePass-stdDH-sha256kdf-scheme and -sha384kdf- (RFC 5753 7.1.4), each with the key wrap as its parameters. */
static const struct slice ecdh_sha256 = DER("\x30\x15\x06\x06\x2b\x81\x04\x01\x0b\x01" AES256_WRAP);
static const struct slice ecdh_sha384 = DER("\x30\x15\x06\x06\x2b\x81\x04\x01\x0b\x02" AES256_WRAP);
/* id-ecPublicKey, the curve left to the recipient's certificate (RFC 5753 7.1.2). */
static const struct slice ec_public_key = DER("\x30\x09\x06\x07\x2a\x86\x48\xce\x3d\x02\x01");
/* ECC-CMS-SharedInfo of a 256-bit key for AES key wrap, without keying material (RFC 5753 7.2). */
static const struct slice shared_info = DER("\x30\x15" AES256_WRAP "\xa2\x06\x04\x04\x00\x00\x01\x00");

static const struct form {
	enum encrypt_cipher cipher;
	const EVP_CIPHER *(*evp)(void);
	bool aead;
	size_t nonce_len;
	struct slice type;       /* of the ContentInfo */
	struct slice oid;        /* of the cipher */
	const char *content_type;
} forms[] = {
	{ ENCRYPT_AES256_CBC, EVP_aes_256_cbc, false, BLOCK_BYTES, DER("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"),
	    DER("\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a"), "application/pkcs7-mime; smime-type=enveloped-data;\n\tname=\"smime.p7m\"" },
	{ ENCRYPT_AES256_GCM, EVP_aes_256_gcm, true, NONCE_BYTES, DER("\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17"),
	    DER("\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2e"), "application/pkcs7-mime; smime-type=authEnveloped-data;\n\tname=\"smime.p7m\"" },
};

static void
add_element(struct buf *ret, enum der_tag tag, struct slice content)
{
	der_wrap(ret, tag, &content, 1);
}

/* ---- what encrypting carries along ---- */

struct encrypting {
	const struct form *form;
	const struct slice *content; /* borrowed */
	size_t n_content;
	size_t content_len, cipher_len;
	struct buf head;             /* of the object, up to its ciphertext */
	EVP_CIPHER_CTX *cipher;
	bool written;
};

static void
encrypting_free(struct encrypting *keep)
{
	if (!keep)
		return;
	EVP_CIPHER_CTX_free(keep->cipher);
	buf_done(&keep->head);
	xfree(keep);
}

void
encrypt_free(struct encrypted *encrypted)
{
	if (!encrypted)
		return;
	encrypting_free(encrypted->keep);
	xfree(encrypted);
}

/* One recipient on its way into the object. */
struct target {
	const struct encrypt_recipient *asked;
	X509 *cert;
	struct cert_facts facts;
	EVP_PKEY *pkey;             /* cert's */
	const unsigned char *key;   /* content key */
};

/* ---- RecipientInfos ---- */

struct infos {
	struct buf all;      /* one behind the other */
	size_t lens[LIMIT_CMS_RECIPIENTS];
	size_t n;
	bool plain;          /* all are of version 0 */
	struct buf set;      /* recipientInfos */
};

static void
infos_done(struct infos *infos)
{
	buf_done(&infos->all);
	buf_done(&infos->set);
}

#define AUTO_INFOS __attribute__((cleanup(infos_done)))

static int
add_issuer_and_serial(const X509 *cert, struct buf *ret, struct err *err)
{
	unsigned char *issuer = NULL, *serial = NULL;
	int issuer_len = i2d_X509_NAME(X509_get_issuer_name(cert), &issuer);
	int serial_len = i2d_ASN1_INTEGER(X509_get0_serialNumber(cert), &serial);
	bool good = issuer_len > 0 && serial_len > 0;

	if (good)
		der_wrap(ret, DER_SEQUENCE, (struct slice[]){ { issuer, (size_t)issuer_len }, { serial, (size_t)serial_len } }, 2);
	OPENSSL_free(issuer);
	OPENSSL_free(serial);
	return good ? 0 : ossl_err(err, ERR_TEMP, "a certificate whose issuer and serial number cannot be written");
}

/* Empty where it has none, or is to be named otherwise. */
static struct slice
key_id_of(const struct target *target)
{
	const ASN1_OCTET_STRING *id = target->asked->by_key_id ? X509_get0_subject_key_id(target->cert) : NULL;

	return id ? ossl_slice(id) : (struct slice){ 0 };
}

static int
rsa_block(const struct target *target, unsigned char ret[MAX_BLOCK], size_t *len, struct err *err)
{
	AUTO(EVP_PKEY_CTX_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(target->pkey, NULL);
	const bool oaep = target->asked->padding == KEY_PADDING_OAEP;
	bool good = ctx && EVP_PKEY_encrypt_init(ctx) == 1
	    && EVP_PKEY_CTX_set_rsa_padding(ctx, oaep ? RSA_PKCS1_OAEP_PADDING : RSA_PKCS1_PADDING) == 1;

	if (good && oaep)
		good = EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1;
	*len = MAX_BLOCK;
	if (!good || EVP_PKEY_encrypt(ctx, ret, len, target->key, KEY_BYTES) != 1)
		return ossl_err(err, ERR_TEMP, "the content key cannot be encrypted to an RSA key");
	return 0;
}

/* KeyTransRecipientInfo (RFC 5652 6.2.1). */
static int
add_transport(const struct target *target, struct infos *ret, struct err *err)
{
	AUTO_BUF struct buf info = { 0 };
	unsigned char block[MAX_BLOCK];
	struct slice key_id = key_id_of(target);
	size_t len = 0;

	buf_init(&info, MAX_RECIPIENT);
	buf_add_slice(&info, key_id.len ? version_2 : version_0);
	if (key_id.len)
		add_element(&info, DER_CONTEXT_0_PRIMITIVE, key_id);
	else if (add_issuer_and_serial(target->cert, &info, err) == -1)
		return -1;
	buf_add_slice(&info, target->asked->padding == KEY_PADDING_OAEP ? rsa_oaep : rsa_v15);
	if (rsa_block(target, block, &len, err) == -1)
		return -1;
	add_element(&info, DER_OCTETS, (struct slice){ block, len });
	add_element(&ret->all, DER_SEQUENCE, buf_slice(&info));
	ret->plain = ret->plain && key_id.len == 0;
	return 0;
}

/* The key-encryption key that both sides come to: X9.63 over the shared point. The bare secret stays inside of OpenSSL. */
static int
agree(EVP_PKEY *ours, EVP_PKEY *theirs, const char *digest, unsigned char ret[KEY_BYTES], struct err *err)
{
	AUTO(EVP_PKEY_CTX_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(ours, NULL);
	size_t len = KEY_BYTES;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_EXCHANGE_PARAM_KDF_TYPE, (char[]){ OSSL_KDF_NAME_X963KDF }, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_EXCHANGE_PARAM_KDF_DIGEST, (char *)(uintptr_t)digest, 0),
		OSSL_PARAM_construct_size_t(OSSL_EXCHANGE_PARAM_KDF_OUTLEN, &len),
		OSSL_PARAM_construct_octet_string(OSSL_EXCHANGE_PARAM_KDF_UKM, (void *)(uintptr_t)shared_info.at, shared_info.len),
		OSSL_PARAM_construct_end(),
	};

	if (!ctx || EVP_PKEY_derive_init_ex(ctx, params) != 1 || EVP_PKEY_derive_set_peer(ctx, theirs) != 1
	    || EVP_PKEY_derive(ctx, ret, &len) != 1 || len != KEY_BYTES)
		return ossl_err(err, ERR_TEMP, "no key can be agreed on with an EC key");
	return 0;
}

static int
wrap(const unsigned char kek[KEY_BYTES], const unsigned char key[KEY_BYTES], unsigned char ret[KEY_BYTES + 8], struct err *err)
{
	AUTO(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len = 0;

	if (ctx)
		EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (!ctx || EVP_EncryptInit_ex(ctx, EVP_aes_256_wrap(), NULL, kek, NULL) != 1 || EVP_EncryptUpdate(ctx, ret, &len, key, KEY_BYTES) != 1
	    || len != KEY_BYTES + 8)
		return ossl_err(err, ERR_TEMP, "the content key cannot be wrapped");
	return 0;
}

/* [0] originatorKey: the ephemeral public key (RFC 5753 3.1.1). */
static int
add_originator(EVP_PKEY *ephemeral, struct buf *ret, struct err *err)
{
	AUTO_BUF struct buf key = { 0 };
	unsigned char *point = NULL;
	size_t len = EVP_PKEY_get1_encoded_public_key(ephemeral, &point);

	if (len == 0)
		return ossl_err(err, ERR_TEMP, "an ephemeral key that cannot be written");
	buf_init(&key, MAX_RECIPIENT);
	buf_add_slice(&key, ec_public_key);
	der_head(&key, DER_BITS, 1 + len);
	buf_add(&key, "\0", 1); /* no unused bits */
	buf_add(&key, point, len);
	OPENSSL_free(point);
	der_head(ret, DER_CONTEXT_0, der_whole(key.len));
	add_element(ret, DER_CONTEXT_1, buf_slice(&key));
	return 0;
}

static int
add_encrypted_key(const struct target *target, const unsigned char kek[KEY_BYTES], struct buf *ret, struct err *err)
{
	AUTO_BUF struct buf one = { 0 };
	unsigned char wrapped[KEY_BYTES + 8];
	struct slice key_id = key_id_of(target);

	buf_init(&one, MAX_RECIPIENT);
	if (wrap(kek, target->key, wrapped, err) == -1)
		return -1;
	if (key_id.len) {
		der_head(&one, DER_CONTEXT_0, der_whole(key_id.len));
		add_element(&one, DER_OCTETS, key_id);
	} else if (add_issuer_and_serial(target->cert, &one, err) == -1) {
		return -1;
	}
	add_element(&one, DER_OCTETS, (struct slice){ wrapped, sizeof(wrapped) });
	der_head(ret, DER_SEQUENCE, der_whole(one.len));
	add_element(ret, DER_SEQUENCE, buf_slice(&one));
	return 0;
}

/* KeyAgreeRecipientInfo, [1] (RFC 5652 6.2.2, RFC 5753 3.1). */
static int
add_agreement(const struct target *target, struct infos *ret, struct err *err)
{
	const bool p256 = target->facts.key == KEY_P256;
	AUTO(EVP_PKEY_free) EVP_PKEY *ephemeral = EVP_EC_gen(p256 ? "P-256" : "P-384");
	AUTO_BUF struct buf info = { 0 };
	unsigned char kek[KEY_BYTES];
	int result;

	if (!ephemeral)
		return ossl_err(err, ERR_TEMP, "no ephemeral key can be made");
	buf_init(&info, MAX_RECIPIENT);
	buf_add_slice(&info, version_3);
	if (add_originator(ephemeral, &info, err) == -1 || agree(ephemeral, target->pkey, p256 ? "SHA2-256" : "SHA2-384", kek, err) == -1)
		return -1;
	buf_add_slice(&info, p256 ? ecdh_sha256 : ecdh_sha384);
	result = add_encrypted_key(target, kek, &info, err);
	wipe(kek, sizeof(kek));
	add_element(&ret->all, DER_CONTEXT_1, buf_slice(&info));
	ret->plain = false;
	return result;
}

/* Either padding that we make, or nothing: a padding that nobody chose must not become v1.5. */
static int
check_padding(const struct target *target, struct err *err)
{
	switch (target->asked->padding) {
	case KEY_PADDING_V15:
	case KEY_PADDING_OAEP:
		return 0;
	case KEY_PADDING_UNKNOWN:
		break;
	}
	if (target->facts.key != KEY_RSA)
		return 0;
	return err_set(err, ERR_BUG, "asked to encrypt to an RSA key without a padding");
}

static int
add_target(struct target *target, struct infos *ret, enum encrypt_fit *fit, time_t now, struct err *err)
{
	if (ossl_cert_facts(target->cert, target->asked->cert, &target->facts, err) == -1)
		return -1;
	*fit = encrypt_fit_of(&target->facts, now);
	target->pkey = X509_get0_pubkey(target->cert);
	if (*fit != ENCRYPT_FIT)
		return 0;
	if (!target->pkey)
		return ossl_err(err, ERR_BUG, "a certificate of kind %s without a public key", key_kind_name(target->facts.key));
	if (check_padding(target, err) == -1)
		return -1;
	return target->facts.key == KEY_RSA ? add_transport(target, ret, err) : add_agreement(target, ret, err);
}

/* What cannot be read as a certificate is a fact about that recipient, like all that is unfit. */
static int
add_recipient(const struct encrypt_recipient *asked, const unsigned char key[KEY_BYTES], time_t now, struct infos *ret,
    enum encrypt_fit *fit, struct err *err)
{
	AUTO(X509_free) X509 *cert = ossl_cert(asked->cert, err);
	struct target target = { .asked = asked, .cert = cert, .key = key };

	if (!cert) {
		*fit = ENCRYPT_UNFIT_UNREADABLE;
		return 0;
	}
	if (add_target(&target, ret, fit, now, err) == -1) {
		if (!err || err->kind != ERR_CONFIG)
			return -1;
		*fit = ENCRYPT_UNFIT_UNREADABLE;
	}
	return 0;
}

/* A SET OF has an order of its own in DER. */
static void
sort_infos(struct infos *infos)
{
	struct slice members[LIMIT_CMS_RECIPIENTS];
	size_t at = 0;

	for (size_t i = 0; i < infos->n; i++) {
		members[i] = (struct slice){ infos->all.at + at, infos->lens[i] };
		at += infos->lens[i];
	}
	der_sort(members, infos->n);
	buf_init(&infos->set, infos->all.len + 16);
	der_wrap(&infos->set, DER_SET, members, infos->n);
}

/* Ends at the first unfit one, which `ret` names. */
static int
add_recipients(const struct encrypt_request *request, const unsigned char key[KEY_BYTES], struct infos *infos, struct encrypted *ret,
    struct err *err)
{
	buf_init(&infos->all, LIMIT_CMS_RECIPIENTS * (size_t)MAX_RECIPIENT);
	infos->plain = true;
	for (size_t i = 0; i < request->n_recipients; i++) {
		size_t before = infos->all.len;

		ret->unfit = i;
		if (add_recipient(&request->recipients[i], key, request->now, infos, &ret->fit, err) == -1)
			return err_wrap(err, "recipient %zu of %zu", i + 1, request->n_recipients);
		if (ret->fit != ENCRYPT_FIT)
			return 0;
		infos->lens[infos->n++] = infos->all.len - before;
	}
	ret->unfit = 0;
	sort_infos(infos);
	return buf_full(&infos->all) ? err_set(err, ERR_BUG, "RecipientInfos over %zu bytes", infos->all.cap) : 0;
}

/* ---- the object ---- */

/* The cipher's AlgorithmIdentifier: the IV (RFC 3565 2.3.1), or nonce and tag length (RFC 5084 3.2). */
static void
add_cipher(const struct form *form, const unsigned char *nonce, struct buf *ret)
{
	static const unsigned char tag_len[] = { DER_INTEGER, 1, TAG_BYTES };
	AUTO_BUF struct buf params = { 0 }, inner = { 0 };

	buf_init(&params, 64);
	buf_init(&inner, 64);
	add_element(&inner, DER_OCTETS, (struct slice){ nonce, form->nonce_len });
	if (form->aead) {
		buf_add(&inner, tag_len, sizeof(tag_len));
		add_element(&params, DER_SEQUENCE, buf_slice(&inner));
	} else {
		buf_add_slice(&params, buf_slice(&inner));
	}
	der_wrap(ret, DER_SEQUENCE, (struct slice[]){ form->oid, buf_slice(&params) }, 2);
}

static size_t
cipher_len(const struct form *form, size_t len)
{
	return form->aead ? len : (len / BLOCK_BYTES + 1) * BLOCK_BYTES;
}

/* ContentInfo up to the first byte of ciphertext; behind it comes only the tag of an AEAD. */
static void
write_head(struct encrypting *keep, const struct infos *infos, const unsigned char *nonce)
{
	const struct form *form = keep->form;
	const size_t tail = form->aead ? der_whole(TAG_BYTES) : 0;
	/* RFC 5652 6.1: 0 only where every RecipientInfo is of version 0. AuthEnvelopedData has always 0 (RFC 5083 2.1). */
	struct slice version = form->aead || infos->plain ? version_0 : version_2;
	struct slice set = buf_slice(&infos->set);
	AUTO_BUF struct buf cipher = { 0 };
	size_t content, data;

	buf_init(&cipher, 128);
	add_cipher(form, nonce, &cipher);
	content = id_data.len + cipher.len + der_whole(keep->cipher_len);
	data = version.len + set.len + der_whole(content) + tail;
	buf_init(&keep->head, set.len + 256);
	der_head(&keep->head, DER_SEQUENCE, form->type.len + der_whole(der_whole(data)));
	buf_add_slice(&keep->head, form->type);
	der_head(&keep->head, DER_CONTEXT_0, der_whole(data));
	der_head(&keep->head, DER_SEQUENCE, data);
	buf_add_slice(&keep->head, version);
	buf_add_slice(&keep->head, set);
	der_head(&keep->head, DER_SEQUENCE, content);
	buf_add_slice(&keep->head, id_data);
	buf_add_slice(&keep->head, buf_slice(&cipher));
	der_head(&keep->head, DER_CONTEXT_0_PRIMITIVE, keep->cipher_len);
}

static int
start_cipher(struct encrypting *keep, const unsigned char key[KEY_BYTES], const unsigned char *nonce, struct err *err)
{
	keep->cipher = EVP_CIPHER_CTX_new();
	if (!keep->cipher || EVP_EncryptInit_ex(keep->cipher, keep->form->evp(), NULL, key, nonce) != 1)
		return ossl_err(err, ERR_TEMP, "AES-256 is not available");
	return 0;
}

static size_t
base64_len(size_t len)
{
	const size_t rest = len % LINE_BYTES;

	return len / LINE_BYTES * (LINE_BYTES / 3 * 4 + 2) + (rest ? (rest + 2) / 3 * 4 + 2 : 0);
}

static void
tell(struct encrypted *ret)
{
	const struct encrypting *keep = ret->keep;

	ret->content_type = keep->form->content_type;
	ret->transfer_encoding = "base64";
	ret->content_disposition = "attachment; filename=\"smime.p7m\"";
	ret->der_len = keep->head.len + keep->cipher_len + (keep->form->aead ? der_whole(TAG_BYTES) : 0);
	ret->body_len = base64_len(ret->der_len);
}

static int
prepare(const struct encrypt_request *request, const unsigned char key[KEY_BYTES], struct encrypted *ret, struct err *err)
{
	AUTO_INFOS struct infos infos = { .n = 0 };
	unsigned char nonce[BLOCK_BYTES];

	if (RAND_bytes(nonce, sizeof(nonce)) != 1)
		return ossl_err(err, ERR_TEMP, "no random numbers for an encryption");
	if (add_recipients(request, key, &infos, ret, err) == -1)
		return -1;
	if (ret->fit != ENCRYPT_FIT)
		return 0;
	if (start_cipher(ret->keep, key, nonce, err) == -1)
		return -1;
	write_head(ret->keep, &infos, nonce);
	tell(ret);
	return 0;
}

static const struct form *
form_of(enum encrypt_cipher cipher)
{
	for (size_t i = 0; i < N_ELEMENTS(forms); i++) {
		if (forms[i].cipher == cipher)
			return &forms[i];
	}
	return NULL;
}

static struct encrypting *
open_content(const struct encrypt_request *request, const struct form *form)
{
	struct encrypting *keep = xcalloc(1, sizeof(*keep));

	keep->form = form;
	keep->content = request->content;
	keep->n_content = request->n_content;
	for (size_t i = 0; i < request->n_content; i++)
		keep->content_len += request->content[i].len;
	keep->cipher_len = cipher_len(form, keep->content_len);
	return keep;
}

int
encrypt_new(const struct encrypt_request *request, struct encrypted **ret, struct err *err)
{
	AUTO(encrypt_free) struct encrypted *encrypted = NULL;
	const struct form *form = form_of(request->cipher);
	unsigned char key[KEY_BYTES];
	struct err own;
	int result;

	err = err ? err : &own; /* its kind tells an unreadable certificate from what failed with us */
	ERR_clear_error();
	if (!form || request->n_recipients == 0 || request->n_recipients > LIMIT_CMS_RECIPIENTS)
		return err_set(err, ERR_BUG, "asked to encrypt to %zu recipients with cipher %d; want 1 to %d", request->n_recipients,
		    (int)request->cipher, LIMIT_CMS_RECIPIENTS);
	if (RAND_priv_bytes(key, sizeof(key)) != 1)
		return ossl_err(err, ERR_TEMP, "no random numbers for a content key");
	encrypted = xcalloc(1, sizeof(*encrypted));
	encrypted->keep = open_content(request, form);
	result = prepare(request, key, encrypted, err);
	wipe(key, sizeof(key));
	if (result == 0)
		*ret = TAKE(encrypted);
	return result;
}

/* ---- the body ---- */

/* What is between cipher and sink: in base64 whole lines are handed on, some at a time. */
struct out {
	const struct box_sink *sink;
	bool base64;
	size_t len;
	unsigned char bytes[LINES * LINE_BYTES];
	unsigned char text[LINES * (LINE_BYTES / 3 * 4 + 2) + 1]; /* EVP_EncodeBlock ends with a NUL */
};

static size_t
encode(struct out *out)
{
	size_t n = 0;

	for (size_t at = 0; at < out->len; at += LINE_BYTES) {
		size_t some = out->len - at < LINE_BYTES ? out->len - at : LINE_BYTES;

		n += (size_t)EVP_EncodeBlock(out->text + n, out->bytes + at, (int)some);
		out->text[n++] = '\r';
		out->text[n++] = '\n';
	}
	return n;
}

static int
out_flush(struct out *out, struct err *err)
{
	struct slice bytes = { out->bytes, out->len };

	if (out->base64)
		bytes = (struct slice){ out->text, encode(out) };
	out->len = 0;
	return bytes.len ? out->sink->write(out->sink->ctx, bytes, err) : 0;
}

static int
out_add(struct out *out, struct slice bytes, struct err *err)
{
	while (bytes.len) {
		size_t room = sizeof(out->bytes) - out->len;
		size_t some = bytes.len < room ? bytes.len : room;

		memcpy(out->bytes + out->len, bytes.at, some);
		out->len += some;
		bytes = (struct slice){ bytes.at + some, bytes.len - some };
		if (out->len == sizeof(out->bytes) && out_flush(out, err) == -1)
			return -1;
	}
	return 0;
}

enum { CHUNK_BYTES = 16 * 1024 };

static int
cipher_failed(struct err *err)
{
	return ossl_err(err, ERR_TEMP, "AES-256 ended in the middle of a message");
}

static int
write_piece(struct encrypting *keep, struct slice piece, struct out *out, struct err *err)
{
	unsigned char room[CHUNK_BYTES + BLOCK_BYTES];
	int len = 0;

	while (piece.len) {
		size_t some = piece.len < CHUNK_BYTES ? piece.len : CHUNK_BYTES;

		if (EVP_EncryptUpdate(keep->cipher, room, &len, piece.at, (int)some) != 1)
			return cipher_failed(err);
		if (out_add(out, (struct slice){ room, (size_t)len }, err) == -1)
			return -1;
		piece = (struct slice){ piece.at + some, piece.len - some };
	}
	return 0;
}

/* The last block, or the tag. */
static int
write_end(struct encrypting *keep, struct out *out, struct err *err)
{
	unsigned char end[2 + TAG_BYTES + BLOCK_BYTES] = { DER_OCTETS, TAG_BYTES };
	int len = 0;

	if (!keep->form->aead) {
		if (EVP_EncryptFinal_ex(keep->cipher, end, &len) != 1)
			return cipher_failed(err);
		return out_add(out, (struct slice){ end, (size_t)len }, err);
	}
	if (EVP_EncryptFinal_ex(keep->cipher, end + 2, &len) != 1
	    || EVP_CIPHER_CTX_ctrl(keep->cipher, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, end + 2) != 1)
		return cipher_failed(err);
	return out_add(out, (struct slice){ end, 2 + TAG_BYTES }, err);
}

static int
write_object(struct encrypting *keep, struct out *out, struct err *err)
{
	if (out_add(out, buf_slice(&keep->head), err) == -1)
		return -1;
	for (size_t i = 0; i < keep->n_content; i++) {
		if (write_piece(keep, keep->content[i], out, err) == -1)
			return -1;
	}
	return write_end(keep, out, err) == -1 ? -1 : out_flush(out, err);
}

static int
write_once(struct encrypted *encrypted, bool base64, const struct box_sink *sink, struct err *err)
{
	struct encrypting *keep = encrypted->keep;
	struct out *out;
	int result;

	if (encrypted->fit != ENCRYPT_FIT || keep->written)
		return err_set(err, ERR_BUG, "asked to write what is not encrypted, or was written before: the key stream must not be used twice");
	keep->written = true;
	out = xcalloc(1, sizeof(*out));
	out->sink = sink;
	out->base64 = base64;
	result = write_object(keep, out, err);
	xfree(out);
	return result;
}

int
encrypt_write(struct encrypted *encrypted, const struct box_sink *sink, struct err *err)
{
	return write_once(encrypted, true, sink, err);
}

int
encrypt_write_der(struct encrypted *encrypted, const struct box_sink *sink, struct err *err)
{
	return write_once(encrypted, false, sink, err);
}

/* ---- a sealed message ---- */

/* Folds of a value are LF; in an entity lines end with CRLF. */
static void
add_field(struct buf *head, const char *name, const char *value)
{
	if (!value)
		return;
	buf_printf(head, "%s: ", name);
	for (; *value; value++)
		buf_add(head, *value == '\n' ? "\r\n" : value, *value == '\n' ? 2 : 1);
	buf_add_text(head, "\r\n");
}

void
encrypt_entity(const struct sealed *sealed, struct pieces *ret)
{
	AUTO_BUF struct buf head = { 0 };

	buf_init(&head, LIMIT_HEADER_BYTES);
	add_field(&head, "Content-Type", sealed->content_type);
	add_field(&head, "Content-Transfer-Encoding", sealed->transfer_encoding);
	add_field(&head, "Content-Disposition", sealed->content_disposition);
	buf_add_text(&head, "\r\n");
	pieces_take(ret, &head);
	for (size_t i = 0; i < sealed->n_body; i++)
		pieces_borrow(ret, sealed->body[i]);
}

void
encrypt_entity_of(const struct head *head, struct pieces *ret)
{
	for (size_t i = 0; i < head->n_fields; i++)
		if (canon_is_content(head->fields[i].name))
			pieces_borrow(ret, head->fields[i].raw);
	pieces_borrow(ret, slice_of("\r\n"));
	pieces_borrow(ret, head->body);
}
