#include "smime/signed.h"

#include <openssl/err.h>
#include <openssl/rsa.h>

AUTO_DEFINE(X509_ALGOR, X509_ALGOR_free);
AUTO_DEFINE(ASN1_BIT_STRING, ASN1_BIT_STRING_free);
AUTO_DEFINE(RSA_PSS_PARAMS, RSA_PSS_PARAMS_free);

static X509_ALGOR *
read_alg(struct slice alg)
{
	const unsigned char *at = alg.at;

	return d2i_X509_ALGOR(NULL, &at, (long)alg.len);
}

static int
pss_digest(const X509_ALGOR *alg)
{
	AUTO(RSA_PSS_PARAMS_free) RSA_PSS_PARAMS *params = NULL;
	const void *value = NULL;
	int type = V_ASN1_UNDEF;

	X509_ALGOR_get0(NULL, &type, &value, alg);
	if (type == V_ASN1_SEQUENCE)
		params = ASN1_item_unpack(value, ASN1_ITEM_rptr(RSA_PSS_PARAMS));
	if (!params || !params->hashAlgorithm)
		return NID_sha1; /* RFC 4055 3.1: the default */
	return OBJ_obj2nid(params->hashAlgorithm->algorithm);
}

bool
signed_is_weak(struct slice alg)
{
	static const int strong[] = { NID_sha256, NID_sha384, NID_sha512, NID_sha3_256, NID_sha3_384, NID_sha3_512 };
	AUTO(X509_ALGOR_free) X509_ALGOR *read = read_alg(alg);
	int nid = read ? OBJ_obj2nid(read->algorithm) : NID_undef;
	int digest = NID_undef;

	if (nid == NID_ED25519 || nid == NID_ED448)
		return false;
	if (nid == NID_rsassaPss)
		digest = pss_digest(read);
	else
		(void)OBJ_find_sigid_algs(nid, &digest, NULL);
	ERR_clear_error();
	for (size_t i = 0; i < N_ELEMENTS(strong); i++) {
		if (digest == strong[i])
			return false;
	}
	return true;
}

bool
signed_verify(struct slice alg, struct slice signature, const ASN1_ITEM *item, const void *value, EVP_PKEY *key)
{
	AUTO(X509_ALGOR_free) X509_ALGOR *read = read_alg(alg);
	AUTO(ASN1_BIT_STRING_free) ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
	bool ok = read && bits && key && ASN1_BIT_STRING_set(bits, (unsigned char *)(uintptr_t)signature.at, (int)signature.len) == 1;

	if (ok) {
		bits->flags = (bits->flags & ~(ASN1_STRING_FLAG_BITS_LEFT | 0x07)) | ASN1_STRING_FLAG_BITS_LEFT;
		ok = ASN1_item_verify(item, read, bits, value, key) == 1;
	}
	ERR_clear_error();
	return ok;
}

int
signed_spki(X509 *cert, unsigned char ret[32])
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
	int result = len > 0 && EVP_Digest(der, (size_t)len, ret, NULL, EVP_sha256(), NULL) == 1 ? 0 : -1;

	OPENSSL_free(der);
	return result;
}
