#include "smime/ossl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "smime/limits.h"

int
ossl_err(struct err *err, enum err_kind kind, const char *fmt, ...)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());
	char text[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	ERR_clear_error();
	if (!reason)
		return err_set(err, kind, "%s", text);
	return err_set(err, kind, "%s (OpenSSL: %s)", text, reason);
}

int
ossl_sha256(struct slice bytes, unsigned char ret[32], struct err *err)
{
	if (EVP_Digest(bytes.at, bytes.len, ret, NULL, EVP_sha256(), NULL) != 1)
		return ossl_err(err, ERR_TEMP, "cannot compute SHA-256 of %zu bytes", bytes.len);
	return 0;
}

struct slice
ossl_slice(const ASN1_STRING *text)
{
	return (struct slice){ ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text) };
}

X509 *
ossl_cert(struct slice der, struct err *err)
{
	AUTO(X509_free) X509 *cert = NULL;
	const unsigned char *at = der.at;

	if (der.len == 0 || der.len > LIMIT_CERT_BYTES) {
		err_set(err, ERR_CONFIG, "a certificate of %zu bytes; want 1 to %d bytes of DER", der.len, LIMIT_CERT_BYTES);
		return NULL;
	}
	cert = d2i_X509(NULL, &at, (long)der.len);
	if (!cert) {
		ossl_err(err, ERR_CONFIG, "%zu bytes that are no DER certificate", der.len);
		return NULL;
	}
	if (at != der.at + der.len) {
		err_set(err, ERR_CONFIG, "%zu bytes behind the certificate; want one certificate and nothing else",
		    (size_t)(der.at + der.len - at));
		return NULL;
	}
	/* Decodes the extensions now, so that what cannot be read is refused and not ignored. */
	if (X509_get_extension_flags(cert) & EXFLAG_INVALID) {
		ossl_err(err, ERR_CONFIG, "a certificate with extensions that cannot be read");
		return NULL;
	}
	return TAKE(cert);
}
