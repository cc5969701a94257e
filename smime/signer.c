#include "smime/signer.h"

#include <openssl/err.h>

void
opened_done(struct opened *opened)
{
	for (size_t i = 0; i < N_ELEMENTS(opened->certs); i++)
		X509_free(opened->certs[i]);
	CMS_ContentInfo_free(opened->cms);
}

static bool
has_issuer(X509 *cert, struct slice issuer)
{
	const unsigned char *at = issuer.at;
	X509_NAME *name = d2i_X509_NAME(NULL, &at, (long)issuer.len);
	bool same = name && X509_NAME_cmp(name, X509_get_issuer_name(cert)) == 0;

	X509_NAME_free(name);
	return same;
}

static bool
has_serial(X509 *cert, struct slice serial)
{
	const unsigned char *at = serial.at;
	ASN1_INTEGER *number = d2i_ASN1_INTEGER(NULL, &at, (long)serial.len);
	bool same = number && ASN1_INTEGER_cmp(number, X509_get0_serialNumber(cert)) == 0;

	ASN1_INTEGER_free(number);
	return same;
}

static bool
is_named(X509 *cert, const struct gate_facts *gate)
{
	const ASN1_OCTET_STRING *key_id = X509_get0_subject_key_id(cert);

	if (gate->key_id.len)
		return key_id && slice_equal(ossl_slice(key_id), gate->key_id);
	return has_serial(cert, gate->serial) && has_issuer(cert, gate->issuer);
}

/* OpenSSL's certificates of the object, in its order; one whose extensions it cannot read is none. */
static void
take_certs(const struct gate_facts *gate, struct opened *ret)
{
	STACK_OF(X509) *certs = CMS_get1_certs(ret->cms); /* counted: the stack and each certificate are ours */

	if ((size_t)(certs ? sk_X509_num(certs) : 0) != gate->n_certs)
		ret->why = "two readers count its certificates differently";
	for (size_t i = 0; !ret->why && i < gate->n_certs; i++) {
		X509 *cert = sk_X509_value(certs, (int)i);

		if (!(X509_get_extension_flags(cert) & EXFLAG_INVALID) && X509_up_ref(cert) == 1)
			ret->certs[i] = cert;
	}
	sk_X509_pop_free(certs, X509_free);
}

/* Only what the gate has let pass. */
static int
open_cms(struct slice cms, const struct gate_facts *gate, struct opened *ret, struct err *err)
{
	const unsigned char *at = cms.at;

	ERR_clear_error();
	ret->cms = d2i_CMS_ContentInfo(NULL, &at, (long)cms.len);
	if (!ret->cms && ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE)
		return ossl_err(err, ERR_TEMP, "cannot read a CMS object of %zu bytes", cms.len);
	if (!ret->cms || at != cms.at + cms.len)
		ret->why = "a SignedData that OpenSSL cannot read, or that ends earlier for it";
	else
		take_certs(gate, ret);
	ERR_clear_error();
	return 0;
}

int
opened_read(struct slice cms, const struct gate_facts *gate, struct opened *ret, struct err *err)
{
	if (gate->state == GATE_PASSES)
		return open_cms(cms, gate, ret, err);
	for (size_t i = 0; i < gate->n_certs && (gate->serial.len || gate->key_id.len); i++)
		ret->certs[i] = ossl_cert(gate->certs[i], NULL);
	return 0;
}

/* OpenSSL would write the certificate as it stands there. */
static bool
is_exact(X509 *cert, struct slice der)
{
	unsigned char *bytes = NULL;
	int len = i2d_X509(cert, &bytes);
	bool same = len > 0 && slice_equal((struct slice){ bytes, (size_t)len }, der);

	OPENSSL_free(bytes);
	return same;
}

/* NSS embeds it twice where it is for encryption as well: the same bytes are one. */
void
signer_find(const struct gate_facts *gate, const struct opened *opened, struct signer_cert *ret)
{
	size_t n = 0;

	*ret = (struct signer_cert){ .state = SIGNATURE_UNSUPPORTED,
		.why = "the certificate that the SignerInfo names is not embedded, or cannot be read" };
	for (size_t i = 0; i < gate->n_certs && (gate->serial.len || gate->key_id.len); i++) {
		if (!opened->certs[i] || (n && slice_equal(ret->der, gate->certs[i])) || !is_named(opened->certs[i], gate))
			continue;
		ret->cert = opened->certs[i];
		ret->der = gate->certs[i];
		n++;
	}
	if (n == 0 || (n == 1 && is_exact(ret->cert, ret->der)))
		return;
	*ret = (struct signer_cert){ .state = SIGNATURE_MALFORMED, .why = n > 1
	    ? "several embedded certificates are the one that the SignerInfo names" : "the signer's certificate is no DER" };
}

int
signer_read(struct signer_cert *signer, struct signature_facts *ret, struct err *err)
{
	struct err why = { .text = "" };

	if (!signer->cert)
		return 0;
	if (ossl_cert_facts(signer->cert, signer->der, &ret->signer, &why) == -1) {
		if (why.kind == ERR_TEMP)
			return err_set(err, ERR_TEMP, "%s", why.text);
		*signer = (struct signer_cert){ .state = SIGNATURE_MALFORMED,
			.why = "the signer's certificate has names, times or a serial number that cannot be read" };
		return 0;
	}
	ret->has_signer = true;
	return 0;
}
