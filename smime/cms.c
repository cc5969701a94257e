#include "smime/cms.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/rsa.h>

#include "smime/der.h"
#include "smime/limits.h"
#include "smime/signing.h"

enum { ATTRIBUTE_BYTES = 128, MAX_DIGEST = 48 };

#define LITERAL(text) { (const unsigned char *)(text), sizeof(text) - 1 }

static const struct slice version_1 = LITERAL("\x02\x01\x01");
/* OBJECT IDENTIFIER 1.2.840.113549.1.7.2 and .1 */
static const struct slice id_signed_data = LITERAL("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02");
static const struct slice id_data = LITERAL("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01");
/* 1.2.840.113549.1.9.3 to .5: what each attribute begins with */
static const struct slice id_content_type = LITERAL("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03");
static const struct slice id_message_digest = LITERAL("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04");
static const struct slice id_signing_time = LITERAL("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05");

/* ---- digests and the signature ---- */

static int
hash_pieces(const EVP_MD *md, const struct pieces *content, unsigned char *ret, struct err *err)
{
	AUTO(EVP_MD_CTX_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (!ctx || EVP_DigestInit_ex(ctx, md, NULL) != 1)
		return ossl_err(err, ERR_TEMP, "cannot start hashing");
	for (size_t i = 0; i < content->n; i++) {
		if (EVP_DigestUpdate(ctx, content->at[i].at, content->at[i].len) != 1)
			return ossl_err(err, ERR_TEMP, "cannot hash %zu bytes", content->at[i].len);
	}
	return EVP_DigestFinal_ex(ctx, ret, NULL) == 1 ? 0 : ossl_err(err, ERR_TEMP, "cannot finish hashing");
}

/* The record of a message names its SHA-256, whatever the signature is over. */
static int
hash_content(const struct signing *signing, const struct pieces *content, unsigned char digest[MAX_DIGEST],
    unsigned char sha256[32], struct err *err)
{
	if (hash_pieces(signing->md, content, digest, err) == -1)
		return -1;
	if (signing->alg != DIGEST_SHA256)
		return hash_pieces(EVP_sha256(), content, sha256, err);
	memcpy(sha256, digest, 32);
	return 0;
}

static int
check_signature(const struct signing *signing, struct slice digest, struct slice sig)
{
	AUTO(EVP_PKEY_CTX_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, signing->public_key, NULL);

	if (!ctx || EVP_PKEY_verify_init(ctx) != 1)
		return -1;
	if (EVP_PKEY_is_a(signing->public_key, "RSA") && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) != 1)
		return -1;
	if (EVP_PKEY_CTX_set_signature_md(ctx, signing->md) != 1)
		return -1;
	return EVP_PKEY_verify(ctx, sig.at, sig.len, digest.at, digest.len) == 1 ? 0 : -1;
}

/* Asks the signer; what comes back is nothing until the certificate's public key has said so. */
static int
ask_signer(const struct cms_request *request, const struct signing *signing, struct slice digest,
    unsigned char sig[SIGNATURE_BYTES], size_t *sig_len, struct err *err)
{
	const struct signer *signer = request->signer;
	size_t room = (size_t)EVP_PKEY_get_size(signing->public_key);

	*sig_len = SIGNATURE_BYTES;
	if (signer->sign(signer->ctx, prepared_facts(request->cert)->spki, signing->alg, digest, sig, sig_len, err) == -1)
		return -1;
	if (*sig_len == 0 || *sig_len > SIGNATURE_BYTES || *sig_len > room)
		return err_set(err, ERR_BUG, "the signer answered with %zu bytes; want 1 to %zu", *sig_len, room);
	if (check_signature(signing, digest, (struct slice){ sig, *sig_len }) == -1)
		return ossl_err(err, ERR_BUG, "the signer's answer is no signature by the certificate's key");
	return 0;
}

/* ---- the SignedData ---- */

static void
put_attribute(struct slice type, struct slice value, struct buf *ret)
{
	AUTO_BUF struct buf set = { 0 };

	buf_init(&set, ATTRIBUTE_BYTES);
	buf_init(ret, ATTRIBUTE_BYTES);
	der_wrap(&set, DER_SET, &value, 1);
	der_wrap(ret, DER_SEQUENCE, (struct slice[]){ type, buf_slice(&set) }, 2);
}

/* UTCTime until 2049, GeneralizedTime from then on (RFC 5652 11.3). */
static int
put_signing_time(time_t now, struct buf *ret)
{
	AUTO(ASN1_TIME_free) ASN1_TIME *time = ASN1_TIME_set(NULL, now);
	unsigned char bytes[32], *at = bytes;
	int len = time ? i2d_ASN1_TIME(time, NULL) : -1;

	if (len <= 0 || (size_t)len > sizeof(bytes) || i2d_ASN1_TIME(time, &at) != len)
		return -1;
	put_attribute(id_signing_time, (struct slice){ bytes, (size_t)len }, ret);
	return 0;
}

/* What is signed: a SET OF. In the SignerInfo the same bytes stand under [0] (RFC 5652 5.4). */
static int
put_attributes(const struct signing *signing, struct slice digest, time_t now, struct buf *ret, struct err *err)
{
	AUTO_BUF struct buf type = { 0 }, time = { 0 }, octets = { 0 }, hash = { 0 };
	struct slice all[5];

	buf_init(&octets, ATTRIBUTE_BYTES);
	buf_init(ret, 2 * LIMIT_CERT_BYTES);
	put_attribute(id_content_type, id_data, &type);
	der_wrap(&octets, DER_OCTETS, &digest, 1);
	put_attribute(id_message_digest, buf_slice(&octets), &hash);
	if (put_signing_time(now, &time) == -1)
		return ossl_err(err, ERR_TEMP, "cannot write the signing time");
	all[0] = buf_slice(&type);
	all[1] = buf_slice(&time);
	all[2] = buf_slice(&hash);
	all[3] = signing->capabilities;
	all[4] = signing->ess;
	der_sort(all, N_ELEMENTS(all));
	der_wrap(ret, DER_SET, all, N_ELEMENTS(all));
	return 0;
}

static int
sign_attributes(const struct cms_request *request, const struct signing *signing, struct slice attributes, struct buf *ret,
    struct err *err)
{
	unsigned char digest[MAX_DIGEST], sig[SIGNATURE_BYTES];
	const struct slice hashed = { digest, digest_len(signing->alg) };
	size_t len = 0;

	if (EVP_Digest(attributes.at, attributes.len, digest, NULL, signing->md, NULL) != 1)
		return ossl_err(err, ERR_TEMP, "cannot hash the signed attributes");
	if (ask_signer(request, signing, hashed, sig, &len, err) == -1)
		return -1;
	der_wrap(ret, DER_OCTETS, (struct slice[]){ { sig, len } }, 1);
	return 0;
}

static void
put_signer_info(const struct signing *signing, struct slice attributes, struct slice signature, struct buf *ret)
{
	AUTO_BUF struct buf tagged = { 0 }, info = { 0 };

	buf_init(&tagged, 2 * LIMIT_CERT_BYTES);
	buf_init(&info, 4 * LIMIT_CERT_BYTES);
	buf_add_slice(&tagged, attributes);
	tagged.at[0] = DER_CONTEXT_0;
	der_wrap(&info, DER_SEQUENCE, (struct slice[]){ version_1, signing->sid, signing->digest_alg, buf_slice(&tagged),
	    signing->sign_alg, signature }, 6);
	der_wrap(ret, DER_SET, (struct slice[]){ buf_slice(&info) }, 1);
}

static void
put_signed_data(const struct signing *signing, struct slice signer_infos, struct buf *ret)
{
	AUTO_BUF struct buf algs = { 0 }, content = { 0 }, data = { 0 }, wrapped = { 0 };
	const size_t most = ret->cap;

	buf_init(&algs, ATTRIBUTE_BYTES);
	buf_init(&content, ATTRIBUTE_BYTES);
	buf_init(&data, most);
	buf_init(&wrapped, most);
	der_wrap(&algs, DER_SET, &signing->digest_alg, 1);
	der_wrap(&content, DER_SEQUENCE, &id_data, 1);
	der_wrap(&data, DER_SEQUENCE, (struct slice[]){ version_1, buf_slice(&algs), buf_slice(&content),
	    signing->certificates, signer_infos }, 5);
	der_wrap(&wrapped, DER_CONTEXT_0, (struct slice[]){ buf_slice(&data) }, 1);
	der_wrap(ret, DER_SEQUENCE, (struct slice[]){ id_signed_data, buf_slice(&wrapped) }, 2);
}

int
cms_sign(const struct cms_request *request, const struct pieces *content, struct cms_signed *ret, struct err *err)
{
	AUTO_BUF struct buf attributes = { 0 }, signature = { 0 }, infos = { 0 };
	unsigned char digest[MAX_DIGEST];
	struct cms_signed made = { .alg = DIGEST_UNKNOWN };
	struct signing signing;

	ERR_clear_error();
	buf_init(&signature, 2 * SIGNATURE_BYTES);
	buf_init(&infos, 4 * LIMIT_CERT_BYTES);
	if (prepared_signing(request->cert, &signing, err) == -1)
		return err_wrap(err, "sealing certificate");
	if (hash_content(&signing, content, digest, made.sha256, err) == -1
	    || put_attributes(&signing, (struct slice){ digest, digest_len(signing.alg) }, request->now, &attributes, err) == -1
	    || sign_attributes(request, &signing, buf_slice(&attributes), &signature, err) == -1)
		return -1;
	put_signer_info(&signing, buf_slice(&attributes), buf_slice(&signature), &infos);
	made.alg = signing.alg;
	buf_init(&made.der, (4 + LIMIT_CHAIN_CERTS) * LIMIT_CERT_BYTES + 4 * LIMIT_CERT_BYTES);
	put_signed_data(&signing, buf_slice(&infos), &made.der);
	if (buf_full(&attributes) || buf_full(&infos) || buf_full(&made.der)) {
		cms_signed_done(&made);
		return err_set(err, ERR_BUG, "a SignedData larger than its certificates allow");
	}
	*ret = made;
	return 0;
}

void
cms_signed_done(struct cms_signed *signed_data)
{
	buf_done(&signed_data->der);
	*signed_data = (struct cms_signed){ .alg = DIGEST_UNKNOWN };
}

/* One DER element, cut open. */
struct element {
	const unsigned char *content;
	size_t len;
	const unsigned char *end;
};

static int
open_element(const unsigned char **at, const unsigned char *end, int want_tag, struct element *ret)
{
	long len = 0;
	int tag = 0;
	int class = 0;
	const unsigned char *content = *at;
	int flags = ASN1_get_object(&content, &len, &tag, &class, end - *at);

	if (flags & 0x80 || flags & 1 || (want_tag != -1 && tag != want_tag))
		return -1;
	*ret = (struct element){ content, (size_t)len, content + len };
	*at = content;
	return 0;
}

/* The places in a detached SignedData between which the content goes. */
struct seam {
	struct slice outer_type; /* OBJECT IDENTIFIER signedData */
	struct slice front;      /* version and digestAlgorithms */
	struct slice inner_type; /* OBJECT IDENTIFIER data */
	struct slice back;       /* certificates, signerInfos */
};

static struct slice
between(const unsigned char *from, const unsigned char *to)
{
	return (struct slice){ from, (size_t)(to - from) };
}

static int
find_seam(const struct cms_signed *detached, struct seam *ret)
{
	const unsigned char *at = detached->der.at;
	const unsigned char *end = detached->der.at + detached->der.len;
	const unsigned char *from;
	struct element all, type, wrap, data, part, inner;

	if (open_element(&at, end, V_ASN1_SEQUENCE, &all) == -1 || open_element(&at, all.end, V_ASN1_OBJECT, &type) == -1)
		return -1;
	ret->outer_type = between(all.content, type.end);
	at = type.end;
	if (open_element(&at, all.end, 0, &wrap) == -1 || open_element(&at, wrap.end, V_ASN1_SEQUENCE, &data) == -1)
		return -1;
	from = at;
	if (open_element(&at, data.end, V_ASN1_INTEGER, &part) == -1)
		return -1;
	at = part.end;
	if (open_element(&at, data.end, V_ASN1_SET, &part) == -1)
		return -1;
	ret->front = between(from, part.end);
	at = part.end;
	if (open_element(&at, data.end, V_ASN1_SEQUENCE, &inner) == -1)
		return -1;
	ret->inner_type = between(inner.content, inner.end);
	ret->back = between(inner.end, data.end);
	return data.end == end ? 0 : -1;
}

int
cms_attach(const struct cms_signed *detached, const struct pieces *content, struct pieces *ret, struct err *err)
{
	AUTO_BUF struct buf front = { 0 };
	struct seam seam;
	size_t octets = der_whole(content->len);
	size_t inner;
	size_t data;
	size_t all;

	buf_init(&front, LIMIT_CERT_BYTES);
	if (find_seam(detached, &seam) == -1)
		return err_set(err, ERR_BUG, "a SignedData that does not have the shape of a detached signature");
	inner = seam.inner_type.len + der_whole(octets);
	data = seam.front.len + der_whole(inner) + seam.back.len;
	all = seam.outer_type.len + der_whole(der_whole(data));
	der_head(&front, DER_SEQUENCE, all);
	buf_add_slice(&front, seam.outer_type);
	der_head(&front, DER_CONTEXT_0, der_whole(data));
	der_head(&front, DER_SEQUENCE, data);
	buf_add_slice(&front, seam.front);
	der_head(&front, DER_SEQUENCE, inner);
	buf_add_slice(&front, seam.inner_type);
	der_head(&front, DER_CONTEXT_0, octets);
	der_head(&front, DER_OCTETS, content->len);
	pieces_take(ret, &front);
	for (size_t i = 0; i < content->n; i++)
		pieces_borrow(ret, content->at[i]);
	pieces_borrow(ret, seam.back);
	return 0;
}
