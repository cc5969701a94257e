#include "smime/authority.h"

#include <openssl/err.h>

#include "smime/ossl.h"

/* X509_check_ca() == 1: basicConstraints say CA, and the key usage, where there is one, keyCertSign. */
static bool
says_ca(X509 *cert)
{
	return X509_check_ca(cert) == 1;
}

static bool
may_sign_crls(X509 *cert)
{
	return !(X509_get_extension_flags(cert) & EXFLAG_KUSAGE) || (X509_get_key_usage(cert) & KU_CRL_SIGN);
}

int
authority_inspect(struct slice der, struct authority_facts *ret, struct err *err)
{
	AUTO(X509_free) X509 *cert = ossl_cert(der, err);

	if (!cert)
		return -1;
	*ret = (struct authority_facts){
		.is_ca = says_ca(cert),
		.signs_crls = may_sign_crls(cert),
		.self_issued = X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0,
		.self_signed = X509_self_signed(cert, 1) == 1,
	};
	ERR_clear_error();
	return 0;
}

bool
authority_issued(struct slice authority, struct slice cert)
{
	AUTO(X509_free) X509 *above = ossl_cert(authority, NULL);
	AUTO(X509_free) X509 *below = ossl_cert(cert, NULL);
	bool issued = above && below && X509_check_issued(above, below) == X509_V_OK
	    && X509_verify(below, X509_get0_pubkey(above)) == 1;

	ERR_clear_error();
	return issued;
}

enum { PEM_LINE = 48 }; /* bytes; 64 characters */

void
authority_pem(struct slice der, struct buf *ret)
{
	unsigned char line[4 * PEM_LINE / 3 + 1];

	buf_add_text(ret, "-----BEGIN CERTIFICATE-----\n");
	while (der.len) {
		const size_t n = der.len < PEM_LINE ? der.len : PEM_LINE;

		buf_add(ret, line, (size_t)EVP_EncodeBlock(line, der.at, (int)n));
		buf_add_text(ret, "\n");
		der.at += n;
		der.len -= n;
	}
	buf_add_text(ret, "-----END CERTIFICATE-----\n");
}
