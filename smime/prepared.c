#include "smime/prepared.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ess.h>
#include <openssl/err.h>

#include "smime/der.h"
#include "smime/limits.h"
#include "smime/signing.h"

AUTO_DEFINE(ESS_SIGNING_CERT_V2, ESS_SIGNING_CERT_V2_free);
AUTO_DEFINE(X509_ALGOR, X509_ALGOR_free);

enum { SET_SLOTS = 1024, WAYS = 4 }; /* about 16 KB each */

struct prepared {
	atomic_uint count;
	X509 *cert;              /* owned; keeps the public key */
	struct buf der;
	struct cert_facts facts;
	bool signs;
	struct err why_not;      /* where it does not */
	enum digest alg;
	EVP_MD *md;              /* owned: fetching one by name at every use costs a lock */
	struct buf digest_alg, sign_alg, sid, certificates, capabilities, ess;
};

static void
prepared_free(struct prepared *prepared)
{
	struct buf *bufs[] = { &prepared->der, &prepared->digest_alg, &prepared->sign_alg, &prepared->sid,
		&prepared->certificates, &prepared->capabilities, &prepared->ess };

	for (size_t i = 0; i < N_ELEMENTS(bufs); i++)
		buf_done(bufs[i]);
	EVP_MD_free(prepared->md);
	X509_free(prepared->cert);
	free(prepared);
}

AUTO_DEFINE(struct prepared, prepared_free);

const struct prepared *
prepared_ref(const struct prepared *prepared)
{
	atomic_fetch_add(&((struct prepared *)(uintptr_t)prepared)->count, 1);
	return prepared;
}

void
prepared_unref(const struct prepared *prepared)
{
	struct prepared *owned = (struct prepared *)(uintptr_t)prepared;

	if (owned && atomic_fetch_sub(&owned->count, 1) == 1)
		prepared_free(owned);
}

const struct cert_facts *
prepared_facts(const struct prepared *prepared)
{
	return &prepared->facts;
}

struct slice
prepared_der(const struct prepared *prepared)
{
	return buf_slice(&prepared->der);
}

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

/* ---- the parts of a SignedData ---- */

/* Takes what one of OpenSSL's encoders wrote. */
static int
take_der(unsigned char *der, int len, struct buf *ret)
{
	buf_init(ret, LIMIT_CERT_BYTES);
	if (len <= 0)
		return -1;
	buf_add(ret, der, (size_t)len);
	OPENSSL_free(der);
	return 0;
}

static int
put_algorithm(int nid, int parameter, struct buf *ret)
{
	AUTO(X509_ALGOR_free) X509_ALGOR *algorithm = X509_ALGOR_new();
	unsigned char *der = NULL;
	int len;

	buf_init(ret, 0);
	if (!algorithm || X509_ALGOR_set0(algorithm, OBJ_nid2obj(nid), parameter, NULL) != 1)
		return -1;
	len = i2d_X509_ALGOR(algorithm, &der);
	return take_der(der, len, ret);
}

/* RFC 5754: no parameters beside SHA-2 and ECDSA, NULL beside rsaEncryption. */
static int
put_algorithms(struct prepared *prepared)
{
	bool rsa = prepared->facts.key == KEY_RSA;
	bool sha384 = prepared->alg == DIGEST_SHA384;
	int sign = rsa ? NID_rsaEncryption : sha384 ? NID_ecdsa_with_SHA384 : NID_ecdsa_with_SHA256;

	if (put_algorithm(sha384 ? NID_sha384 : NID_sha256, V_ASN1_UNDEF, &prepared->digest_alg) == -1)
		return -1;
	return put_algorithm(sign, rsa ? V_ASN1_NULL : V_ASN1_UNDEF, &prepared->sign_alg);
}

static int
put_sid(struct prepared *prepared)
{
	AUTO_BUF struct buf name = { 0 }, serial = { 0 };
	unsigned char *name_der = NULL, *serial_der = NULL;
	int name_len = i2d_X509_NAME(X509_get_issuer_name(prepared->cert), &name_der);
	int serial_len = i2d_ASN1_INTEGER(X509_get0_serialNumber(prepared->cert), &serial_der);

	if ((take_der(name_der, name_len, &name) | take_der(serial_der, serial_len, &serial)) != 0)
		return -1;
	buf_init(&prepared->sid, LIMIT_CERT_BYTES);
	der_wrap(&prepared->sid, DER_SEQUENCE, (struct slice[]){ buf_slice(&name), buf_slice(&serial) }, 2);
	return 0;
}

static int
put_attribute(int nid, struct slice value, struct buf *ret)
{
	AUTO_BUF struct buf type = { 0 }, set = { 0 };
	unsigned char *der = NULL;
	int len = i2d_ASN1_OBJECT(OBJ_nid2obj(nid), &der);

	buf_init(&set, LIMIT_CERT_BYTES);
	buf_init(ret, LIMIT_CERT_BYTES);
	if (take_der(der, len, &type) == -1)
		return -1;
	der_wrap(&set, DER_SET, &value, 1);
	der_wrap(ret, DER_SEQUENCE, (struct slice[]){ buf_slice(&type), buf_slice(&set) }, 2);
	return 0;
}

/* What may be sent to this certificate's owner, best first (RFC 8551 2.5.2). */
static int
put_capabilities(struct prepared *prepared)
{
	static const int ciphers[] = { NID_aes_256_cbc, NID_aes_192_cbc, NID_aes_128_cbc };
	struct buf entries[N_ELEMENTS(ciphers)];
	struct slice slices[N_ELEMENTS(ciphers)];
	AUTO_BUF struct buf list = { 0 };
	int result = 0;

	buf_init(&list, LIMIT_CERT_BYTES);
	for (size_t i = 0; i < N_ELEMENTS(ciphers); i++) {
		if (put_algorithm(ciphers[i], V_ASN1_UNDEF, &entries[i]) == -1)
			result = -1;
		slices[i] = buf_slice(&entries[i]);
	}
	der_wrap(&list, DER_SEQUENCE, slices, N_ELEMENTS(slices));
	if (result == 0)
		result = put_attribute(NID_SMIMECapabilities, buf_slice(&list), &prepared->capabilities);
	for (size_t i = 0; i < N_ELEMENTS(ciphers); i++)
		buf_done(&entries[i]);
	return result;
}

static int
put_ess(struct prepared *prepared)
{
	AUTO(ESS_SIGNING_CERT_V2_free) ESS_SIGNING_CERT_V2 *ess =
	    OSSL_ESS_signing_cert_v2_new_init(prepared->md, prepared->cert, NULL, 1);
	AUTO_BUF struct buf value = { 0 };
	unsigned char *der = NULL;
	int len = ess ? i2d_ESS_SIGNING_CERT_V2(ess, &der) : 0;

	if (take_der(der, len, &value) == -1)
		return -1;
	return put_attribute(NID_id_smime_aa_signingCertificateV2, buf_slice(&value), &prepared->ess);
}

static int
put_certificates(struct prepared *prepared, const struct slice *chain, size_t n_chain, struct err *err)
{
	struct slice all[1 + LIMIT_CHAIN_CERTS] = { buf_slice(&prepared->der) };

	if (n_chain > LIMIT_CHAIN_CERTS)
		return err_set(err, ERR_CONFIG, "a chain of %zu certificates; want at most %d, without the root", n_chain, LIMIT_CHAIN_CERTS);
	for (size_t i = 0; i < n_chain; i++) {
		AUTO(X509_free) X509 *above = ossl_cert(chain[i], err);

		if (!above)
			return err_wrap(err, "chain certificate %zu", i + 1);
		all[i + 1] = chain[i];
	}
	der_sort(all, n_chain + 1);
	for (size_t i = 0; i < n_chain; i++) {
		if (slice_equal(all[i], all[i + 1]))
			return err_set(err, ERR_CONFIG, "a certificate stands twice in the chain; want each once, without the sealing one");
	}
	buf_init(&prepared->certificates, (2 + LIMIT_CHAIN_CERTS) * LIMIT_CERT_BYTES);
	der_wrap(&prepared->certificates, DER_CONTEXT_0, all, n_chain + 1);
	return 0;
}

/* A certificate that does not seal is no error here: that it does not is said when it is asked to. */
static int
prepare_signing(struct prepared *prepared, const struct slice *chain, size_t n_chain, struct err *err)
{
	if (pick_digest(&prepared->facts, &prepared->alg, &prepared->why_not) == -1)
		return 0;
	prepared->md = EVP_MD_fetch(NULL, digest_name(prepared->alg), NULL);
	if (!prepared->md || put_algorithms(prepared) == -1 || put_sid(prepared) == -1 || put_capabilities(prepared) == -1
	    || put_ess(prepared) == -1)
		return ossl_err(err, ERR_TEMP, "cannot prepare the signer's entry");
	if (put_certificates(prepared, chain, n_chain, err) == -1)
		return -1;
	prepared->signs = true;
	return 0;
}

int
prepared_new(struct slice cert, const struct slice *chain, size_t n_chain, const struct prepared **ret, struct err *err)
{
	AUTO(prepared_free) struct prepared *prepared = xcalloc(1, sizeof(*prepared));

	ERR_clear_error();
	atomic_init(&prepared->count, 1);
	buf_init(&prepared->der, LIMIT_CERT_BYTES);
	prepared->cert = ossl_cert(cert, err);
	if (!prepared->cert || ossl_cert_facts(prepared->cert, cert, &prepared->facts, err) == -1)
		return -1;
	buf_add_slice(&prepared->der, cert);
	if (prepare_signing(prepared, chain, n_chain, err) == -1)
		return -1;
	*ret = TAKE(prepared);
	return 0;
}

int
prepared_signing(const struct prepared *prepared, struct signing *ret, struct err *err)
{
	if (!prepared->signs)
		return err_set(err, prepared->why_not.kind, "%s", prepared->why_not.text);
	*ret = (struct signing){
		.alg = prepared->alg,
		.md = prepared->md,
		.public_key = X509_get0_pubkey(prepared->cert),
		.digest_alg = buf_slice(&prepared->digest_alg),
		.sign_alg = buf_slice(&prepared->sign_alg),
		.sid = buf_slice(&prepared->sid),
		.certificates = buf_slice(&prepared->certificates),
		.capabilities = buf_slice(&prepared->capabilities),
		.ess = buf_slice(&prepared->ess),
	};
	return 0;
}

/* ---- the set ---- */

struct prepared_set {
	const struct issuers *issuers;
	pthread_mutex_t lock; /* guards the slots */
	const struct prepared *slots[SET_SLOTS];
	unsigned next;        /* whose place is taken in a full row */
};

struct prepared_set *
prepared_set_new(const struct issuers *issuers)
{
	struct prepared_set *set = xcalloc(1, sizeof(*set));

	set->issuers = issuers;
	pthread_mutex_init(&set->lock, NULL);
	return set;
}

void
prepared_set_free(struct prepared_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < SET_SLOTS; i++)
		prepared_unref(set->slots[i]);
	pthread_mutex_destroy(&set->lock);
	free(set);
}

/* Where a certificate may lie: any end of its signature is as good as random. FNV-1a. */
static size_t
row_of(struct slice cert)
{
	uint64_t hash = 0xcbf29ce484222325u;
	size_t from = cert.len > 64 ? cert.len - 64 : 0;

	for (size_t i = from; i < cert.len; i++)
		hash = (hash ^ cert.at[i]) * 0x100000001b3u;
	return (size_t)(hash >> 32) % (SET_SLOTS / WAYS) * WAYS;
}

static const struct prepared *
find(struct prepared_set *set, struct slice cert)
{
	const struct prepared **row = set->slots + row_of(cert);
	const struct prepared *found = NULL;

	pthread_mutex_lock(&set->lock);
	for (size_t i = 0; i < WAYS && !found; i++) {
		if (row[i] && slice_equal(prepared_der(row[i]), cert))
			found = prepared_ref(row[i]);
	}
	pthread_mutex_unlock(&set->lock);
	return found;
}

static void
keep(struct prepared_set *set, const struct prepared *prepared)
{
	const struct prepared **row = set->slots + row_of(prepared_der(prepared));
	const struct prepared *old;
	size_t at = 0;

	pthread_mutex_lock(&set->lock);
	while (at < WAYS && row[at])
		at++;
	if (at == WAYS)
		at = set->next++ % WAYS;
	old = row[at];
	row[at] = prepared_ref(prepared);
	pthread_mutex_unlock(&set->lock);
	prepared_unref(old);
}

int
prepared_get(struct prepared_set *set, struct slice cert, const struct prepared **ret, struct err *err)
{
	const struct prepared *prepared = set ? find(set, cert) : NULL;
	struct slice chain[LIMIT_CHAIN_CERTS] = { { NULL, 0 } };
	size_t n_chain;

	if (!prepared) {
		/* Two threads may open the same one at once; both are good, and one is forgotten sooner. */
		n_chain = set && set->issuers ? issuers_above(set->issuers, cert, chain) : 0;
		if (prepared_new(cert, chain, n_chain, &prepared, err) == -1)
			return -1;
		if (set)
			keep(set, prepared);
	}
	*ret = prepared;
	return 0;
}
