#include "smime/keygen.h"

#include <stdio.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "smime/ossl.h"

enum { PEM_BYTES = 32 * 1024, SERIAL_BYTES = 16, PASSPHRASE_BYTES = KEYGEN_PASSPHRASE / 2, DAY = 86400 };

AUTO_DEFINE(X509_EXTENSION, X509_EXTENSION_free);

void
new_key_done(struct new_key *made)
{
	if (made->key.at)
		wipe(made->key.at, made->key.len);
	buf_done(&made->key);
	buf_done(&made->cert);
	wipe(made->passphrase, sizeof(made->passphrase));
}

static int
make_passphrase(char ret[KEYGEN_PASSPHRASE + 1], struct err *err)
{
	unsigned char bytes[PASSPHRASE_BYTES];

	if (RAND_priv_bytes(bytes, sizeof(bytes)) != 1)
		return ossl_err(err, ERR_TEMP, "no random bytes for a passphrase");
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
	wipe(bytes, sizeof(bytes));
	return 0;
}

/* Positive and never the same (RFC 5280 4.1.2.2). */
static bool
set_serial(X509 *cert)
{
	unsigned char bytes[SERIAL_BYTES];
	AUTO(BN_free) BIGNUM *number = NULL;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] = (bytes[0] & 0x7f) | 0x40;
	number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	return number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
}

static bool
add_extension(X509 *cert, int nid, const char *value)
{
	AUTO(X509_EXTENSION_free) X509_EXTENSION *extension = NULL;
	X509V3_CTX ctx;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	return extension && X509_add_ext(cert, extension, -1) == 1;
}

static bool
describe(X509 *cert, const char *name, time_t now, EVP_PKEY *pkey)
{
	X509_NAME *subject = X509_get_subject_name(cert);

	return X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert)
	    /* Clocks differ a little between machines. */
	    && ASN1_TIME_set(X509_getm_notBefore(cert), now - DAY) && ASN1_TIME_set(X509_getm_notAfter(cert), now + (time_t)KEYGEN_DAYS * DAY)
	    && X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) == 1
	    && X509_set_issuer_name(cert, subject) == 1 && X509_set_pubkey(cert, pkey) == 1
	    && add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") && add_extension(cert, NID_key_usage, "critical,keyEncipherment")
	    && add_extension(cert, NID_subject_key_identifier, "hash");
}

static int
take_bio(BIO *bio, struct buf *ret, struct err *err)
{
	char *at = NULL;
	long len = BIO_get_mem_data(bio, &at);

	if (len <= 0)
		return ossl_err(err, ERR_TEMP, "nothing was written");
	buf_add(ret, at, (size_t)len);
	return buf_full(ret) ? err_set(err, ERR_BUG, "a PEM text of %ld bytes, at most %d were expected", len, PEM_BYTES) : 0;
}

static int
write_cert(EVP_PKEY *pkey, const char *name, time_t now, struct buf *ret, struct err *err)
{
	AUTO(X509_free) X509 *cert = X509_new();
	AUTO(BIO_free_all) BIO *bio = BIO_new(BIO_s_mem());

	if (!cert || !bio || !describe(cert, name, now, pkey) || X509_sign(cert, pkey, EVP_sha256()) == 0 || PEM_write_bio_X509(bio, cert) != 1)
		return ossl_err(err, ERR_CONFIG, "no certificate could be made for '%.64s'; wanted a name of 1 to 64 bytes", name);
	return take_bio(bio, ret, err);
}

/* Encrypted before it is text: the plain key is never in a buffer of ours. */
static int
write_key(EVP_PKEY *pkey, const char *passphrase, struct buf *ret, struct err *err)
{
	AUTO(BIO_free_all) BIO *bio = BIO_new(BIO_s_mem());

	if (!bio || PEM_write_bio_PKCS8PrivateKey(bio, pkey, EVP_aes_256_cbc(), passphrase, (int)strlen(passphrase), NULL, NULL) != 1)
		return ossl_err(err, ERR_TEMP, "the new key could not be encrypted");
	return take_bio(bio, ret, err);
}

static int
hash_spki(EVP_PKEY *pkey, unsigned char ret[32], struct err *err)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(pkey, &der), result;

	if (len <= 0)
		return ossl_err(err, ERR_TEMP, "the new key has no public half");
	result = ossl_sha256((struct slice){ der, (size_t)len }, ret, err);
	OPENSSL_free(der);
	return result;
}

int
keygen_vault(const char *name, time_t now, struct new_key *ret, struct err *err)
{
	AUTO(EVP_PKEY_free) EVP_PKEY *pkey = EVP_RSA_gen(KEYGEN_RSA_BITS);

	*ret = (struct new_key){ .key = { 0 } };
	buf_init(&ret->key, PEM_BYTES);
	buf_init(&ret->cert, PEM_BYTES);
	if (!pkey)
		return ossl_err(err, ERR_TEMP, "no RSA key of %d bits could be made", KEYGEN_RSA_BITS);
	if (make_passphrase(ret->passphrase, err) == -1 || write_key(pkey, ret->passphrase, &ret->key, err) == -1
	    || write_cert(pkey, name, now, &ret->cert, err) == -1)
		return -1;
	return hash_spki(pkey, ret->spki, err);
}
