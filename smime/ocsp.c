#include "smime/ocsp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>

#include "smime/checked.h"
#include "smime/limits.h"
#include "smime/revoke.h"
#include "smime/signed.h"

AUTO_DEFINE(OCSP_BASICRESP, OCSP_BASICRESP_free);
AUTO_DEFINE(OCSP_CERTID, OCSP_CERTID_free);
AUTO_DEFINE(OCSP_REQUEST, OCSP_REQUEST_free);
AUTO_DEFINE(OCSP_RESPONSE, OCSP_RESPONSE_free);

enum {
	MOST_CERTS = 10,         /* in a response; one delegate and its authorities are usual */
	MOST_SINGLES = 100,
	BY_ISSUER = MOST_CERTS,  /* who signed: the issuer itself, or the index of a certificate in the response */
	BY_NOBODY,
};

struct ocsp {
	OCSP_BASICRESP *basic;
	bool weak;
	struct checked *checked;
};

void
ocsp_free(struct ocsp *ocsp)
{
	if (!ocsp)
		return;
	if (ocsp->checked)
		checked_done(ocsp->checked);
	free(ocsp->checked);
	OCSP_BASICRESP_free(ocsp->basic);
	free(ocsp);
}

/* ---- reading ---- */

static int
decode_base64(struct slice text, struct buf *ret, struct err *err)
{
	EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();
	unsigned char *room = xcalloc(1, text.len + 4);
	int len = 0, tail = 0;
	int ok;

	EVP_DecodeInit(ctx);
	ok = EVP_DecodeUpdate(ctx, room, &len, text.at, (int)text.len) != -1 && EVP_DecodeFinal(ctx, room + len, &tail) == 1;
	EVP_ENCODE_CTX_free(ctx);
	if (ok)
		buf_add(ret, room, (size_t)(len + tail));
	free(room);
	ERR_clear_error();
	if (!ok || ret->len == 0 || ret->at[0] != 0x30)
		return err_set(err, ERR_CONFIG, "%zu bytes that are no OCSP response; want DER, or base64 of it", text.len);
	return 0;
}

/* RFC 6960 4.4: all of them optional, none of them changes what "good" means. */
static bool
is_known_extension(int nid)
{
	static const int known[] = { NID_id_pkix_OCSP_Nonce, NID_id_pkix_OCSP_CrlID, NID_id_pkix_OCSP_archiveCutoff,
		NID_id_pkix_OCSP_extendedStatus, NID_crl_reason, NID_invalidity_date };

	for (size_t i = 0; i < N_ELEMENTS(known); i++) {
		if (known[i] == nid)
			return true;
	}
	return false;
}

static int
check_extensions(const OCSP_BASICRESP *basic, struct err *err)
{
	for (int i = 0; i < OCSP_BASICRESP_get_ext_count((OCSP_BASICRESP *)(uintptr_t)basic); i++) {
		X509_EXTENSION *extension = OCSP_BASICRESP_get_ext((OCSP_BASICRESP *)(uintptr_t)basic, i);

		if (X509_EXTENSION_get_critical(extension)
		    && !is_known_extension(OBJ_obj2nid(X509_EXTENSION_get_object(extension))))
			return err_set(err, ERR_CONFIG, "an OCSP response with a critical extension that is not known");
	}
	return 0;
}

static int
check_single_extensions(OCSP_SINGLERESP *single, struct err *err)
{
	for (int i = 0; i < OCSP_SINGLERESP_get_ext_count(single); i++) {
		X509_EXTENSION *extension = OCSP_SINGLERESP_get_ext(single, i);

		if (X509_EXTENSION_get_critical(extension)
		    && !is_known_extension(OBJ_obj2nid(X509_EXTENSION_get_object(extension))))
			return err_set(err, ERR_CONFIG, "an OCSP answer with a critical extension that is not known");
	}
	return 0;
}

static int
read_basic(struct slice der, OCSP_BASICRESP **ret, struct err *err)
{
	const unsigned char *at = der.at;
	AUTO(OCSP_RESPONSE_free) OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)der.len);
	int status;

	if (!response || at != der.at + der.len)
		return ossl_err(err, ERR_CONFIG, "%zu bytes that are no OCSP response in DER", der.len);
	status = OCSP_response_status(response);
	if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		return err_set(err, ERR_CONFIG, "the responder answers '%s'; want a successful response",
		    OCSP_response_status_str(status));
	*ret = OCSP_response_get1_basic(response);
	return *ret ? 0 : ossl_err(err, ERR_CONFIG, "an OCSP response of another type; want a basic one (RFC 6960 4.2.1)");
}

static bool
alg_is_weak(const OCSP_BASICRESP *basic)
{
	unsigned char *der = NULL;
	int len = i2d_X509_ALGOR(OCSP_resp_get0_tbs_sigalg(basic), &der);
	bool weak = len <= 0 || signed_is_weak((struct slice){ der, (size_t)len });

	OPENSSL_free(der);
	return weak;
}

int
ocsp_read(struct slice file, struct ocsp **ret, struct err *err)
{
	AUTO(OCSP_BASICRESP_free) OCSP_BASICRESP *basic = NULL;
	AUTO_BUF struct buf der = { 0 };
	int n_singles;

	ERR_clear_error();
	buf_init(&der, 2 * LIMIT_OCSP_BYTES);
	if (file.len == 0 || file.len > 2 * LIMIT_OCSP_BYTES)
		return err_set(err, ERR_CONFIG, "an OCSP response of %zu bytes; want 1 to %d", file.len, LIMIT_OCSP_BYTES);
	if (file.at[0] == 0x30)
		buf_add_slice(&der, file);
	else if (decode_base64(file, &der, err) == -1)
		return -1;
	if (der.len > LIMIT_OCSP_BYTES)
		return err_set(err, ERR_CONFIG, "an OCSP response of %zu bytes; want at most %d", der.len, LIMIT_OCSP_BYTES);
	if (read_basic(buf_slice(&der), &basic, err) == -1 || check_extensions(basic, err) == -1)
		return -1;
	n_singles = OCSP_resp_count(basic);
	if (n_singles < 1 || n_singles > MOST_SINGLES || sk_X509_num(OCSP_resp_get0_certs(basic)) > MOST_CERTS)
		return err_set(err, ERR_CONFIG, "an OCSP response with %d answers and %d certificates; want 1 to %d and at most %d",
		    n_singles, sk_X509_num(OCSP_resp_get0_certs(basic)), MOST_SINGLES, MOST_CERTS);
	*ret = xcalloc(1, sizeof(**ret));
	(*ret)->weak = alg_is_weak(basic);
	(*ret)->basic = TAKE(basic);
	(*ret)->checked = xcalloc(1, sizeof(*(*ret)->checked));
	checked_init((*ret)->checked);
	return 0;
}

size_t
ocsp_n_singles(const struct ocsp *ocsp)
{
	return (size_t)OCSP_resp_count(ocsp->basic);
}

bool
ocsp_is_weak(const struct ocsp *ocsp)
{
	return ocsp->weak;
}

static const OCSP_CERTID *
cert_id(const struct ocsp *ocsp, size_t single)
{
	return OCSP_SINGLERESP_get0_id(OCSP_resp_get0(ocsp->basic, (int)single));
}

struct slice
ocsp_serial(const struct ocsp *ocsp, size_t single)
{
	ASN1_INTEGER *serial = NULL;

	/* Takes no const and changes nothing. */
	OCSP_id_get0_info(NULL, NULL, NULL, &serial, (OCSP_CERTID *)(uintptr_t)cert_id(ocsp, single));
	return (struct slice){ ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial) };
}

/* ---- whose signature ---- */

static bool
hash_is(const EVP_MD *md, struct slice bytes, const ASN1_OCTET_STRING *want)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	return EVP_Digest(bytes.at, bytes.len, hash, &len, md, NULL) == 1
	    && slice_equal((struct slice){ hash, len }, (struct slice){ ASN1_STRING_get0_data(want), (size_t)ASN1_STRING_length(want) });
}

static struct slice
key_bits(X509 *cert)
{
	const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(cert);

	return (struct slice){ ASN1_STRING_get0_data(bits), (size_t)ASN1_STRING_length(bits) };
}

/* ResponderID: a name, or the SHA-1 of a key (RFC 6960 4.2.1). */
static bool
is_responder(const struct ocsp *ocsp, X509 *cert)
{
	const ASN1_OCTET_STRING *key = NULL;
	const X509_NAME *name = NULL;

	if (OCSP_resp_get0_id(ocsp->basic, &key, &name) != 1)
		return false;
	return name ? X509_NAME_cmp(name, X509_get_subject_name(cert)) == 0 : hash_is(EVP_sha1(), key_bits(cert), key);
}

static bool
key_signed_it(const struct ocsp *ocsp, X509 *cert)
{
	const ASN1_OCTET_STRING *bits = OCSP_resp_get0_signature(ocsp->basic);
	const struct slice signature = { ASN1_STRING_get0_data(bits), (size_t)ASN1_STRING_length(bits) };
	unsigned char *alg = NULL;
	int len = i2d_X509_ALGOR(OCSP_resp_get0_tbs_sigalg(ocsp->basic), &alg);
	bool ok = len > 0 && signed_verify((struct slice){ alg, (size_t)len }, signature, ASN1_ITEM_rptr(OCSP_RESPDATA),
	    OCSP_resp_get0_respdata(ocsp->basic), X509_get0_pubkey(cert));

	OPENSSL_free(alg);
	return ok;
}

/* RFC 6960 4.2.2.2: issued directly by the authority, with id-kp-OCSPSigning in so many words. */
static bool
is_delegate_of(X509 *cert, X509 *issuer)
{
	uint32_t flags = X509_get_extension_flags(cert);

	if (flags & (EXFLAG_INVALID | EXFLAG_CRITICAL))
		return false;
	if (!(flags & EXFLAG_XKUSAGE) || !(X509_get_extended_key_usage(cert) & XKU_OCSP_SIGN)
	    || !(X509_get_key_usage(cert) & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION)))
		return false;
	return X509_check_issued(issuer, cert) == X509_V_OK && X509_verify(cert, X509_get0_pubkey(issuer)) == 1;
}

static int
find_signer(const struct ocsp *ocsp, X509 *issuer)
{
	const STACK_OF(X509) *certs = OCSP_resp_get0_certs(ocsp->basic);

	if (is_responder(ocsp, issuer) && key_signed_it(ocsp, issuer))
		return BY_ISSUER;
	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *cert = sk_X509_value(certs, i);

		if (is_responder(ocsp, cert) && is_delegate_of(cert, issuer) && key_signed_it(ocsp, cert))
			return i;
	}
	return BY_NOBODY;
}

static int
signer_under(const struct ocsp *ocsp, X509 *issuer)
{
	unsigned char spki[32];
	int signer;

	if (signed_spki(issuer, spki) == -1)
		return BY_NOBODY;
	signer = checked_find(ocsp->checked, spki, -1);
	if (signer == -1) {
		signer = find_signer(ocsp, issuer);
		checked_add(ocsp->checked, spki, signer);
	}
	ERR_clear_error();
	return signer;
}

/* As for the path (OpenSSL's level 2): RSA 2048, SHA-256. */
enum { STRENGTH_BITS = 112 };

static bool
is_weak_cert(X509 *cert)
{
	const EVP_PKEY *key = X509_get0_pubkey(cert);
	int bits = 0;

	return !key || EVP_PKEY_get_security_bits(key) < STRENGTH_BITS
	    || X509_get_signature_info(cert, NULL, NULL, &bits, NULL) != 1 || bits < STRENGTH_BITS;
}

bool
ocsp_delegate_is_weak(const struct ocsp *ocsp, X509 *issuer)
{
	const int signer = signer_under(ocsp, issuer);

	return signer < MOST_CERTS && is_weak_cert(sk_X509_value(OCSP_resp_get0_certs(ocsp->basic), signer));
}

static int
check_signer(const struct ocsp *ocsp, X509 *issuer, time_t at, X509 **ret_delegate, struct err *err)
{
	int signer = signer_under(ocsp, issuer);
	X509 *cert;

	*ret_delegate = NULL;
	if (signer == BY_ISSUER)
		return 0;
	if (signer == BY_NOBODY)
		return err_set(err, ERR_CONFIG, "an OCSP answer signed neither by the issuer nor by one it issued for OCSP signing");
	cert = sk_X509_value(OCSP_resp_get0_certs(ocsp->basic), signer);
	if (X509_cmp_time(X509_get0_notBefore(cert), &at) > 0 || X509_cmp_time(X509_get0_notAfter(cert), &at) < 0)
		return err_set(err, ERR_CONFIG, "an OCSP answer whose responder's certificate is out of its dates");
	/* RFC 6960 4.2.2.2.1: the authority says that nobody need ask about this one. */
	if (X509_get_ext_by_NID(cert, NID_id_pkix_OCSP_noCheck, -1) < 0)
		*ret_delegate = cert;
	return 0;
}

/* ---- about which certificate ---- */

static struct slice
name_der(const X509_NAME *name)
{
	const unsigned char *at = NULL;
	size_t len = 0;

	return X509_NAME_get0_der(name, &at, &len) == 1 ? (struct slice){ at, len } : (struct slice){ NULL, 0 };
}

/* What RFC 6960 4.1.1 says to hash, hashed by us; the digest only identifies. */
static int
check_issuer(const struct ocsp *ocsp, size_t single, X509 *issuer, struct err *err)
{
	static const int digests[] = { NID_sha1, NID_sha256, NID_sha384, NID_sha512 };
	ASN1_OCTET_STRING *name = NULL, *key = NULL;
	ASN1_OBJECT *digest = NULL;
	const EVP_MD *md = NULL;

	OCSP_id_get0_info(&name, &digest, &key, NULL, (OCSP_CERTID *)(uintptr_t)cert_id(ocsp, single));
	for (size_t i = 0; i < N_ELEMENTS(digests); i++) {
		if (OBJ_obj2nid(digest) == digests[i])
			md = EVP_get_digestbynid(digests[i]);
	}
	if (!md)
		return err_set(err, ERR_CONFIG, "an OCSP answer whose CertID uses a digest that is not handled");
	if (!hash_is(md, name_der(X509_get_subject_name(issuer)), name))
		return err_set(err, ERR_CONFIG, "an OCSP answer about certificates of another issuer: the name differs");
	if (!hash_is(md, key_bits(issuer), key))
		return err_set(err, ERR_CONFIG, "an OCSP answer about certificates of another issuer: the key differs");
	return 0;
}

/* GeneralizedTime; 0 where there is none. */
static int
read_time(const ASN1_GENERALIZEDTIME *time, const char *which, time_t *ret, struct err *err)
{
	struct tm tm = { 0 };

	*ret = 0;
	if (!time)
		return 0;
	if (ASN1_TIME_to_tm(time, &tm) != 1)
		return ossl_err(err, ERR_CONFIG, "an OCSP answer whose %s is no time", which);
	*ret = timegm(&tm);
	return 0;
}

static int
read_single(OCSP_SINGLERESP *single, struct ocsp_facts *ret, struct err *err)
{
	ASN1_GENERALIZEDTIME *revoked = NULL, *this_update = NULL, *next_update = NULL;
	int reason = -1;
	int status = OCSP_single_get0_status(single, &reason, &revoked, &this_update, &next_update);

	if (check_single_extensions(single, err) == -1 || read_time(this_update, "thisUpdate", &ret->this_update, err) == -1
	    || read_time(next_update, "nextUpdate", &ret->next_update, err) == -1
	    || read_time(revoked, "revocation time", &ret->revoked_at, err) == -1)
		return -1;
	if (!this_update || (next_update && ret->next_update < ret->this_update))
		return err_set(err, ERR_CONFIG, "an OCSP answer whose nextUpdate lies before its thisUpdate");
	ret->status = status == V_OCSP_CERTSTATUS_GOOD ? OCSP_STATUS_GOOD
	    : status == V_OCSP_CERTSTATUS_REVOKED ? OCSP_STATUS_REVOKED : OCSP_STATUS_UNKNOWN;
	ret->on_hold = reason == OCSP_REVOKED_STATUS_CERTIFICATEHOLD;
	return 0;
}

/* `cert` NULL: whatever certificate of the issuer it is about. */
int
ocsp_ask(const struct ocsp *ocsp, size_t single, X509 *cert, X509 *issuer, time_t at, struct ocsp_facts *ret, X509 **ret_delegate,
    struct err *err)
{
	struct ocsp_facts facts = { .status = OCSP_STATUS_UNKNOWN };
	ASN1_INTEGER *serial = NULL;

	OCSP_id_get0_info(NULL, NULL, NULL, &serial, (OCSP_CERTID *)(uintptr_t)cert_id(ocsp, single));
	if (cert && ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(cert)) != 0)
		return err_set(err, ERR_CONFIG, "an OCSP answer about another certificate: the serial number differs");
	if (check_issuer(ocsp, single, issuer, err) == -1 || check_signer(ocsp, issuer, at, ret_delegate, err) == -1
	    || read_single(OCSP_resp_get0(ocsp->basic, (int)single), &facts, err) == -1)
		return -1;
	*ret = facts;
	return 0;
}

/* ---- for the fetcher ---- */

static int
add_nonce(OCSP_REQUEST *request, const unsigned char *nonce)
{
	/* Takes no const and copies. */
	return OCSP_request_add1_nonce(request, (unsigned char *)(uintptr_t)nonce, OCSP_NONCE_SIZE) == 1 ? 0 : -1;
}

int
ocsp_request(struct slice cert, struct slice authority, const unsigned char nonce[OCSP_NONCE_SIZE], struct buf *ret, struct err *err)
{
	AUTO(X509_free) X509 *subject = ossl_cert(cert, err);
	AUTO(X509_free) X509 *issuer = subject ? ossl_cert(authority, err) : NULL;
	AUTO(OCSP_REQUEST_free) OCSP_REQUEST *request = OCSP_REQUEST_new();
	AUTO(OCSP_CERTID_free) OCSP_CERTID *id = NULL;
	unsigned char *der = NULL;
	int len;

	if (!issuer)
		return err_wrap(err, "OCSP request");
	/* SHA-1 here only identifies, and is what every responder knows (RFC 5019 2.1.1). */
	id = OCSP_cert_to_id(EVP_sha1(), subject, issuer);
	if (!request || !id || !OCSP_request_add0_id(request, id))
		return ossl_err(err, ERR_TEMP, "cannot make an OCSP request");
	(void)TAKE(id);
	if (nonce && add_nonce(request, nonce) == -1)
		return ossl_err(err, ERR_TEMP, "cannot make an OCSP request with a nonce");
	len = i2d_OCSP_REQUEST(request, &der);
	if (len <= 0)
		return ossl_err(err, ERR_TEMP, "cannot write an OCSP request");
	buf_init(ret, (size_t)len);
	buf_add(ret, der, (size_t)len);
	OPENSSL_free(der);
	return 0;
}

/* Of the answer: 1 it is ours, 0 it has none, -1 it is another. */
static int
compare_nonce(OCSP_BASICRESP *basic, const unsigned char *nonce)
{
	AUTO(OCSP_REQUEST_free) OCSP_REQUEST *request = OCSP_REQUEST_new();
	int result;

	if (OCSP_BASICRESP_get_ext_by_NID(basic, NID_id_pkix_OCSP_Nonce, -1) < 0)
		return 0;
	if (!request || add_nonce(request, nonce) == -1)
		return -1;
	result = OCSP_check_nonce(request, basic);
	ERR_clear_error();
	return result == 1 ? 1 : -1;
}

int
ocsp_check(struct slice bytes, struct slice cert, struct slice authority, const unsigned char nonce[OCSP_NONCE_SIZE], time_t at,
    struct ocsp_facts *ret, struct err *err)
{
	AUTO(X509_free) X509 *subject = ossl_cert(cert, err);
	AUTO(X509_free) X509 *issuer = subject ? ossl_cert(authority, err) : NULL;
	AUTO(ocsp_free) struct ocsp *ocsp = NULL;
	struct ocsp_facts facts = { .status = OCSP_STATUS_UNKNOWN };
	X509 *delegate = NULL;
	int fresh;

	if (!issuer)
		return err_wrap(err, "OCSP answer");
	if (bytes.len == 0 || bytes.at[0] != 0x30)
		return err_set(err, ERR_CONFIG, "%zu bytes that are no OCSP response in DER", bytes.len);
	if (ocsp_read(bytes, &ocsp, err) == -1)
		return -1;
	if (ocsp->weak)
		return err_set(err, ERR_CONFIG, "an OCSP answer signed over MD5 or SHA-1; want SHA-256 or better");
	fresh = nonce ? compare_nonce(ocsp->basic, nonce) : 0;
	if (fresh == -1)
		return err_set(err, ERR_CONFIG, "an OCSP answer to another question: its nonce is not the one it was asked with");
	for (size_t i = 0; i < ocsp_n_singles(ocsp); i++) {
		if (ocsp_ask(ocsp, i, subject, issuer, at, &facts, &delegate, err) == 0) {
			if (ocsp_delegate_is_weak(ocsp, issuer))
				return err_set(err, ERR_CONFIG, "the OCSP responder's own certificate is too weak; want RSA 2048 or better, signed "
				    "over SHA-256 or better");
			facts.nonce = fresh == 1;
			*ret = facts;
			return 0;
		}
	}
	return -1; /* with what is said of the last of them */
}
