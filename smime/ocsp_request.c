#include "smime/ocsp_request.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/x509.h>

#include "smime/limits.h"

AUTO_DEFINE(OCSP_BASICRESP, OCSP_BASICRESP_free);
AUTO_DEFINE(OCSP_CERTID, OCSP_CERTID_free);
AUTO_DEFINE(OCSP_REQUEST, OCSP_REQUEST_free);
AUTO_DEFINE(OCSP_RESPONSE, OCSP_RESPONSE_free);
AUTO_DEFINE(X509, X509_free);

enum { NONCE_BYTES = 32 }; /* RFC 9654 2.1 */

static X509 *
cert_of(struct slice der)
{
	const unsigned char *at = der.at;

	return der.len && der.len <= LIMIT_CERT_BYTES ? d2i_X509(NULL, &at, (long)der.len) : NULL;
}

/* The CertID's hash is SHA-1: it finds, it does not protect, and some responders know no other. */
static OCSP_REQUEST *
make_request(struct slice cert, struct slice issuer, bool nonce)
{
	AUTO(OCSP_REQUEST_free) OCSP_REQUEST *request = OCSP_REQUEST_new();
	AUTO(X509_free) X509 *below = cert_of(cert);
	AUTO(X509_free) X509 *above = cert_of(issuer);
	AUTO(OCSP_CERTID_free) OCSP_CERTID *id = below && above ? OCSP_cert_to_id(NULL, below, above) : NULL;

	if (!request || !id || !OCSP_request_add0_id(request, id))
		return NULL;
	id = NULL; /* the request's now */
	if (nonce && OCSP_request_add1_nonce(request, NULL, NONCE_BYTES) != 1)
		return NULL;
	return TAKE(request);
}

int
ocsp_request(struct slice cert, struct slice issuer, bool nonce, struct buf *ret, struct err *err)
{
	AUTO(OCSP_REQUEST_free) OCSP_REQUEST *request = make_request(cert, issuer, nonce);
	unsigned char *der = NULL;
	int len = request ? i2d_OCSP_REQUEST(request, &der) : -1;

	ERR_clear_error();
	if (len <= 0)
		return err_set(err, ERR_TEMP, "an OCSP request cannot be made for this certificate");
	buf_init(ret, (size_t)len);
	buf_add(ret, der, (size_t)len);
	OPENSSL_free(der);
	return 0;
}

void
ocsp_request_url(const char *service, struct slice request, struct buf *ret)
{
	AUTO(xfree) unsigned char *text = xcalloc(4 * ((request.len + 2) / 3) + 1, 1);
	const size_t len = strlen(service);
	int n = EVP_EncodeBlock(text, request.at, (int)request.len);

	buf_printf(ret, "%s%s", service, len && service[len - 1] == '/' ? "" : "/");
	for (int i = 0; i < n; i++) {
		if (strchr("+/=", text[i]))
			buf_printf(ret, "%%%02X", text[i]);
		else
			buf_add(ret, &text[i], 1);
	}
}

enum ocsp_nonce
ocsp_nonce_of(struct slice request, struct slice response)
{
	const unsigned char *at = request.at, *there = response.at;
	AUTO(OCSP_REQUEST_free) OCSP_REQUEST *asked = d2i_OCSP_REQUEST(NULL, &at, (long)request.len);
	AUTO(OCSP_RESPONSE_free) OCSP_RESPONSE *answer = d2i_OCSP_RESPONSE(NULL, &there, (long)response.len);
	AUTO(OCSP_BASICRESP_free) OCSP_BASICRESP *basic = answer ? OCSP_response_get1_basic(answer) : NULL;
	int same = asked && basic ? OCSP_check_nonce(asked, basic) : 0;

	ERR_clear_error();
	if (same == 0)
		return OCSP_NONCE_OTHER;
	return same == 1 ? OCSP_NONCE_SAME : OCSP_NONCE_ABSENT;
}
