#include "smime/cms.h"

#include <string.h>

#include <openssl/err.h>

#include "smime/limits.h"
#include "smime/ossl.h"
#include "smime/remote.h"

enum { ADD_FLAGS = CMS_PARTIAL | CMS_BINARY | CMS_DETACHED | CMS_NOSMIMECAP | CMS_CADES };

static int
pick_digest(const struct cert_facts *facts, enum digest *ret, struct err *err)
{
	switch (facts->key) {
	case KEY_RSA:
		if (facts->key_bits < 2048 || facts->key_bits > 8 * SIGNATURE_BYTES)
			return err_set(err, ERR_CONFIG, "the sealing certificate has RSA with %d bits; want 2048 to 4096", facts->key_bits);
		*ret = DIGEST_SHA256;
		return 0;
	case KEY_P256:
		*ret = DIGEST_SHA256;
		return 0;
	case KEY_P384:
		*ret = DIGEST_SHA384;
		return 0;
	case KEY_UNKNOWN:
	case KEY_P521:
	case KEY_OTHER:
		break;
	}
	return err_set(err, ERR_CONFIG, "the sealing certificate has a key of kind %s; want RSA 2048-4096, P-256 or P-384",
	    key_kind_name(facts->key));
}

static int
add_signing_time(CMS_SignerInfo *info, time_t now)
{
	AUTO(ASN1_TIME_free) ASN1_TIME *time = ASN1_TIME_set(NULL, now);

	if (!time || CMS_signed_add1_attr_by_NID(info, NID_pkcs9_signingTime, ASN1_STRING_type(time), time, -1) != 1)
		return -1;
	return 0;
}

/* What may be sent to this certificate's owner, best first (RFC 8551 2.5.2). */
static int
add_capabilities(CMS_SignerInfo *info)
{
	static const int ciphers[] = { NID_aes_256_cbc, NID_aes_192_cbc, NID_aes_128_cbc };
	STACK_OF(X509_ALGOR) *list = NULL;
	int ok = 1;

	for (size_t i = 0; ok && i < N_ELEMENTS(ciphers); i++)
		ok = CMS_add_simple_smimecap(&list, ciphers[i], -1);
	ok = ok && CMS_add_smimecap(info, list);
	sk_X509_ALGOR_pop_free(list, X509_ALGOR_free);
	return ok ? 0 : -1;
}

static int
add_chain(CMS_ContentInfo *cms, const struct cms_request *request, struct err *err)
{
	if (request->n_chain > LIMIT_CHAIN_CERTS)
		return err_set(err, ERR_CONFIG, "a chain of %zu certificates; want at most %d, without the root", request->n_chain,
		    LIMIT_CHAIN_CERTS);
	for (size_t i = 0; i < request->n_chain; i++) {
		AUTO(X509_free) X509 *above = ossl_cert(request->chain[i], err);

		if (!above)
			return err_wrap(err, "chain certificate %zu", i + 1);
		if (CMS_add1_cert(cms, above) != 1)
			return ossl_err(err, ERR_CONFIG, "cannot add chain certificate %zu (is it there twice?)", i + 1);
	}
	return 0;
}

static CMS_SignerInfo *
add_signer(CMS_ContentInfo *cms, X509 *cert, EVP_PKEY *key, enum digest alg, time_t now, struct err *err)
{
	const EVP_MD *md = alg == DIGEST_SHA384 ? EVP_sha384() : EVP_sha256();
	CMS_SignerInfo *info = CMS_add1_signer(cms, cert, key, md, ADD_FLAGS);

	if (!info || add_signing_time(info, now) == -1 || add_capabilities(info) == -1) {
		ossl_err(err, ERR_TEMP, "cannot prepare the signer's entry");
		return NULL;
	}
	return info;
}

/* For a detached signature the chain of BIOs ends in nothing: bytes are hashed and dropped. */
static int
hash_content(CMS_ContentInfo *cms, const struct pieces *content, EVP_MD_CTX *sha256, struct err *err)
{
	AUTO(BIO_free_all) BIO *sink = CMS_dataInit(cms, NULL);

	if (!sink)
		return ossl_err(err, ERR_TEMP, "cannot start hashing");
	for (size_t i = 0; i < content->n; i++) {
		size_t written = 0;
		struct slice piece = content->at[i];

		if (BIO_write_ex(sink, piece.at, piece.len, &written) != 1 || written != piece.len)
			return ossl_err(err, ERR_TEMP, "cannot hash %zu bytes", piece.len);
		if (sha256 && EVP_DigestUpdate(sha256, piece.at, piece.len) != 1)
			return ossl_err(err, ERR_TEMP, "cannot hash %zu bytes", piece.len);
	}
	(void)BIO_flush(sink);
	if (CMS_dataFinal(cms, sink) != 1)
		return ossl_err(err, ERR_TEMP, "cannot sign");
	return 0;
}

/* With SHA-256 the digest is in the signature already. */
static int
take_sha256(CMS_SignerInfo *info, EVP_MD_CTX *sha256, unsigned char ret[32], struct err *err)
{
	const ASN1_OCTET_STRING *digest;

	if (sha256)
		return EVP_DigestFinal_ex(sha256, ret, NULL) == 1 ? 0 : ossl_err(err, ERR_TEMP, "cannot finish SHA-256");
	digest = CMS_signed_get0_data_by_OBJ(info, OBJ_nid2obj(NID_pkcs9_messageDigest), -3, V_ASN1_OCTET_STRING);
	if (!digest || ASN1_STRING_length(digest) != 32)
		return ossl_err(err, ERR_BUG, "a signature without a SHA-256 message digest");
	memcpy(ret, ASN1_STRING_get0_data(digest), 32);
	return 0;
}

static int
start_sha256(enum digest alg, EVP_MD_CTX **ret, struct err *err)
{
	if (alg == DIGEST_SHA256)
		return 0;
	*ret = EVP_MD_CTX_new();
	if (!*ret || EVP_DigestInit_ex(*ret, EVP_sha256(), NULL) != 1)
		return ossl_err(err, ERR_TEMP, "cannot start SHA-256");
	return 0;
}

static int
encode(CMS_ContentInfo *cms, struct cms_signed *ret, struct err *err)
{
	unsigned char *der = NULL;
	int len = i2d_CMS_ContentInfo(cms, &der);

	if (len <= 0)
		return ossl_err(err, ERR_TEMP, "cannot encode the signature");
	ret->der = der;
	ret->len = (size_t)len;
	return 0;
}

/* What goes wrong while the signer is asked is the signer's story, not OpenSSL's. */
static int
sign_content(CMS_ContentInfo *cms, struct remote *remote, const struct pieces *content, EVP_MD_CTX *sha256, struct err *err)
{
	struct err library = { 0 };

	if (hash_content(cms, content, sha256, &library) == -1) {
		ERR_clear_error();
		if (!remote->failed && err)
			*err = library;
		return -1;
	}
	if (!remote->signed_)
		return err_set(err, ERR_BUG, "a signature that no signer was asked for");
	return 0;
}

static int
sign_with_key(const struct cms_request *request, X509 *cert, EVP_PKEY *key, struct remote *remote,
    const struct pieces *content, struct cms_signed *ret, struct err *err)
{
	AUTO(CMS_ContentInfo_free) CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, NULL, CMS_PARTIAL | CMS_BINARY | CMS_DETACHED);
	AUTO(EVP_MD_CTX_free) EVP_MD_CTX *sha256 = NULL;
	CMS_SignerInfo *info; /* borrowed from cms */

	if (!cms)
		return ossl_err(err, ERR_TEMP, "cannot start a SignedData");
	if (start_sha256(ret->alg, &sha256, err) == -1)
		return -1;
	info = add_signer(cms, cert, key, ret->alg, request->now, err);
	if (!info || add_chain(cms, request, err) == -1)
		return -1;
	if (sign_content(cms, remote, content, sha256, err) == -1 || take_sha256(info, sha256, ret->sha256, err) == -1)
		return -1;
	return encode(cms, ret, err);
}

int
cms_sign(const struct cms_request *request, const struct pieces *content, struct cms_signed *ret, struct err *err)
{
	AUTO(X509_free) X509 *cert = NULL;
	AUTO(EVP_PKEY_free) EVP_PKEY *key = NULL;
	struct cms_signed made = { 0 };
	struct cert_facts facts;
	struct remote remote = { .signer = request->signer, .err = err };

	ERR_clear_error();
	cert = ossl_cert(request->cert, err);
	if (!cert || ossl_cert_facts(cert, request->cert, &facts, err) == -1 || pick_digest(&facts, &made.alg, err) == -1)
		return err_wrap(err, "sealing certificate");
	remote.spki = facts.spki;
	remote.public_key = X509_get0_pubkey(cert);
	key = remote_key(&remote, err);
	if (!key || sign_with_key(request, cert, key, &remote, content, &made, err) == -1)
		return -1;
	*ret = made;
	return 0;
}

void
cms_signed_done(struct cms_signed *signed_data)
{
	OPENSSL_free(signed_data->der);
	*signed_data = (struct cms_signed){ 0 };
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
	const unsigned char *at = detached->der;
	const unsigned char *end = detached->der + detached->len;
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

static void
put_header(struct buf *buf, int tag, int class, bool constructed, size_t len)
{
	unsigned char bytes[16];
	unsigned char *at = bytes;

	ASN1_put_object(&at, constructed, (int)len, tag, class);
	buf_add(buf, bytes, (size_t)(at - bytes));
}

static size_t
whole_len(size_t len)
{
	return (size_t)ASN1_object_size(1, (int)len, V_ASN1_SEQUENCE);
}

int
cms_attach(const struct cms_signed *detached, const struct pieces *content, struct pieces *ret, struct err *err)
{
	AUTO_BUF struct buf front = { 0 };
	struct seam seam;
	size_t octets = whole_len(content->len);
	size_t inner;
	size_t data;
	size_t all;

	buf_init(&front, LIMIT_CERT_BYTES);
	if (find_seam(detached, &seam) == -1)
		return err_set(err, ERR_BUG, "a SignedData that does not have the shape of a detached signature");
	inner = seam.inner_type.len + whole_len(octets);
	data = seam.front.len + whole_len(inner) + seam.back.len;
	all = seam.outer_type.len + whole_len(whole_len(data));
	put_header(&front, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL, true, all);
	buf_add_slice(&front, seam.outer_type);
	put_header(&front, 0, V_ASN1_CONTEXT_SPECIFIC, true, whole_len(data));
	put_header(&front, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL, true, data);
	buf_add_slice(&front, seam.front);
	put_header(&front, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL, true, inner);
	buf_add_slice(&front, seam.inner_type);
	put_header(&front, 0, V_ASN1_CONTEXT_SPECIFIC, true, octets);
	put_header(&front, V_ASN1_OCTET_STRING, V_ASN1_UNIVERSAL, false, content->len);
	pieces_take(ret, &front);
	for (size_t i = 0; i < content->n; i++)
		pieces_borrow(ret, content->at[i]);
	pieces_borrow(ret, seam.back);
	return 0;
}
