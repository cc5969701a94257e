#include "smime/cert.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "smime/address.h"
#include "smime/limits.h"
#include "smime/ossl.h"

enum { MAX_FILE_BYTES = 4 * LIMIT_CERT_BYTES }; /* PEM with a text dump before it */

void
sha256_hex(const unsigned char hash[32], char ret[65])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < 32; i++) {
		ret[2 * i] = digits[hash[i] >> 4];
		ret[2 * i + 1] = digits[hash[i] & 15];
	}
	ret[64] = '\0';
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
sha256_from_hex(const char *text, unsigned char ret[32])
{
	unsigned char hash[32];

	for (size_t i = 0; i < 32; i++) {
		int high;
		int low;

		if (i > 0 && *text == ':')
			text++;
		high = hex_value(text[0]);
		low = high < 0 ? -1 : hex_value(text[1]);
		if (low < 0)
			return false;
		hash[i] = (unsigned char)(high << 4 | low);
		text += 2;
	}
	if (*text != '\0')
		return false;
	memcpy(ret, hash, sizeof(hash));
	return true;
}

static int
read_name(const X509_NAME *name, char *ret, size_t room, struct err *err)
{
	AUTO(BIO_free_all) BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long len;

	if (!bio || X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0)
		return ossl_err(err, ERR_CONFIG, "a certificate with a name that cannot be shown");
	len = BIO_get_mem_data(bio, &text);
	snprintf(ret, room, "%.*s", (int)len, text);
	return 0;
}

static int
read_serial(const X509 *cert, struct cert_facts *ret, struct err *err)
{
	AUTO(BN_free) BIGNUM *serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char *hex = serial ? BN_bn2hex(serial) : NULL;
	const char *digits = hex;
	size_t len;

	if (!hex)
		return ossl_err(err, ERR_TEMP, "cannot read a serial number");
	while (digits[0] == '0' && digits[1] != '\0')
		digits++;
	len = strlen(digits);
	for (size_t i = 0; i < len && i + 1 < sizeof(ret->serial); i++)
		ret->serial[i] = (char)tolower((unsigned char)digits[i]);
	OPENSSL_free(hex);
	/* RFC 5280 4.1.2.2: at most 20 octets. A cut serial number would name another certificate. */
	if (len >= sizeof(ret->serial))
		return err_set(err, ERR_CONFIG, "a serial number of %zu hex digits; want at most 40", len);
	return 0;
}

static int
read_time(const ASN1_TIME *time, const char *which, time_t *ret, struct err *err)
{
	struct tm tm = { 0 };

	if (ASN1_TIME_to_tm(time, &tm) != 1)
		return ossl_err(err, ERR_CONFIG, "a certificate whose %s is no time", which);
	*ret = timegm(&tm);
	return 0;
}

static enum key_kind
ec_kind(const EVP_PKEY *key)
{
	static const struct {
		const char *name;
		enum key_kind kind;
	} curves[] = {
		{ "prime256v1", KEY_P256 }, { "secp384r1", KEY_P384 }, { "secp521r1", KEY_P521 },
	};
	char name[64] = "";
	int explicit_curve = 0;

	/* Parameters spelled out may be those of a known curve but one (CVE-2020-0601). */
	if (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit_curve) != 1 || explicit_curve)
		return KEY_OTHER;
	if (EVP_PKEY_get_group_name(key, name, sizeof(name), NULL) != 1)
		return KEY_OTHER;
	for (size_t i = 0; i < N_ELEMENTS(curves); i++) {
		if (strcmp(curves[i].name, name) == 0)
			return curves[i].kind;
	}
	return KEY_OTHER;
}

static void
read_key(const X509 *cert, struct cert_facts *ret)
{
	const EVP_PKEY *key = X509_get0_pubkey(cert);

	ret->key = KEY_OTHER;
	if (!key)
		return;
	ret->key_bits = EVP_PKEY_get_bits(key);
	if (EVP_PKEY_is_a(key, "RSA"))
		ret->key = KEY_RSA;
	else if (EVP_PKEY_is_a(key, "EC"))
		ret->key = ec_kind(key);
}

/* What key usage must allow for a content key to be encrypted to such a key (RFC 8550 4.4.2): OpenSSL does not ask. */
static uint32_t
usage_to_encrypt(enum key_kind key)
{
	switch (key) {
	case KEY_RSA:
		return KU_KEY_ENCIPHERMENT;
	case KEY_P256:
	case KEY_P384:
	case KEY_P521:
		return KU_KEY_AGREEMENT;
	case KEY_OTHER:
		return KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT;
	case KEY_UNKNOWN:
		break;
	}
	return 0;
}

/* RFC 8550 4.4.2: digitalSignature or nonRepudiation; 4.4.4: emailProtection or anyExtendedKeyUsage. After the key. */
static void
read_usage(X509 *cert, struct cert_facts *ret)
{
	uint32_t flags = X509_get_extension_flags(cert);
	uint32_t usage = flags & EXFLAG_KUSAGE ? X509_get_key_usage(cert) : UINT32_MAX;
	uint32_t extended = flags & EXFLAG_XKUSAGE ? X509_get_extended_key_usage(cert) : UINT32_MAX;

	ret->is_ca = X509_check_ca(cert) != 0;
	ret->may_sign = (usage & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION)) && (extended & (XKU_SMIME | XKU_ANYEKU));
	ret->may_encrypt = (usage & usage_to_encrypt(ret->key)) && (extended & (XKU_SMIME | XKU_ANYEKU));
}

static bool
has_weak_signature(X509 *cert)
{
	static const int weak[] = { NID_md2, NID_md4, NID_md5, NID_sha1, NID_md5_sha1, NID_ripemd160, NID_mdc2 };
	int digest = NID_undef;
	int bits = 0;

	if (X509_get_signature_info(cert, &digest, NULL, &bits, NULL) != 1)
		return true;
	for (size_t i = 0; i < N_ELEMENTS(weak); i++) {
		if (digest == weak[i])
			return true;
	}
	return bits < 80;
}

static bool
has_ascii_local_part(struct slice address)
{
	const unsigned char *at = memchr(address.at, '@', address.len);

	for (const unsigned char *c = address.at; c < at; c++)
		if (*c >= 0x80)
			return false;
	return true;
}

/*
 * '%' is an atom's character, but old mailers route by it: no place in a certificate. RFC 9598 3: SmtpUTF8Mailbox
 * is for what rfc822Name cannot say, and must not be used for a local part in ASCII, where name constraints on
 * rfc822Name would miss it.
 */
static bool
address_counts(struct slice address, bool utf8)
{
	return addr_spec_is_plain(address, utf8) && !memchr(address.at, '%', address.len) && !(utf8 && has_ascii_local_part(address));
}

static void
add_address(const ASN1_STRING *text, bool utf8, struct cert_facts *ret)
{
	struct slice address = { ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text) };

	if (!address_counts(address, utf8)) {
		ret->odd_address = true;
		ret->ascii_as_utf8 = ret->ascii_as_utf8 || (utf8 && has_ascii_local_part(address));
		return;
	}
	if (ret->n_addresses == LIMIT_CERT_ADDRESSES)
		return;
	memcpy(ret->addresses[ret->n_addresses], address.at, address.len);
	ret->n_addresses++;
}

/* RFC 9598 3; one that is no UTF8String is odd. */
static bool
add_utf8_mailbox(const GENERAL_NAME *name, struct cert_facts *ret)
{
	if (name->type != GEN_OTHERNAME || OBJ_obj2nid(name->d.otherName->type_id) != NID_id_on_SmtpUTF8Mailbox)
		return false;
	if (name->d.otherName->value->type == V_ASN1_UTF8STRING)
		add_address(name->d.otherName->value->value.utf8string, true, ret);
	else
		ret->odd_address = true;
	return true;
}

/* Says whether the certificate has any name that is an address, odd or not. Those in ASCII come first. */
static bool
read_alt_names(const X509 *cert, struct cert_facts *ret)
{
	AUTO(GENERAL_NAMES_free) GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool any = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_EMAIL)
			continue;
		any = true;
		add_address(name->d.rfc822Name, false, ret);
	}
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		any |= add_utf8_mailbox(sk_GENERAL_NAME_value(names, i), ret);
	return any;
}

static void
read_subject_addresses(const X509 *cert, struct cert_facts *ret)
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	int at = -1;

	while ((at = X509_NAME_get_index_by_NID(subject, NID_pkcs9_emailAddress, at)) >= 0)
		add_address(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), false, ret);
}

static int
read_hashes(X509 *cert, struct slice der, struct cert_facts *ret, struct err *err)
{
	unsigned char *spki = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);
	int result;

	if (len <= 0)
		return ossl_err(err, ERR_CONFIG, "a certificate without a public key");
	result = ossl_sha256((struct slice){ spki, (size_t)len }, ret->spki, err);
	OPENSSL_free(spki);
	return result == 0 ? ossl_sha256(der, ret->sha256, err) : -1;
}

int
ossl_cert_facts(X509 *cert, struct slice der, struct cert_facts *ret, struct err *err)
{
	struct cert_facts facts = { 0 };

	if (read_hashes(cert, der, &facts, err) == -1 || read_serial(cert, &facts, err) == -1
	    || read_name(X509_get_subject_name(cert), facts.subject, sizeof(facts.subject), err) == -1
	    || read_name(X509_get_issuer_name(cert), facts.issuer, sizeof(facts.issuer), err) == -1
	    || read_time(X509_get0_notBefore(cert), "notBefore", &facts.not_before, err) == -1
	    || read_time(X509_get0_notAfter(cert), "notAfter", &facts.not_after, err) == -1)
		return -1;
	read_key(cert, &facts);
	read_usage(cert, &facts);
	facts.weak_signature = has_weak_signature(cert);
	if (!read_alt_names(cert, &facts)) {
		read_subject_addresses(cert, &facts);
		facts.address_in_subject = facts.n_addresses > 0;
	}
	*ret = facts;
	return 0;
}

int
cert_inspect(struct slice der, struct cert_facts *ret, struct err *err)
{
	AUTO(X509_free) X509 *cert = ossl_cert(der, err);

	return cert ? ossl_cert_facts(cert, der, ret, err) : -1;
}

static int
add_pem_block(const char *name, struct slice data, struct buf *der, struct err *err)
{
	if (strstr(name, "PRIVATE KEY"))
		return err_set(err, ERR_CONFIG, "the file holds a private key; want a file with the certificate alone");
	if (strcmp(name, PEM_STRING_X509) != 0 && strcmp(name, PEM_STRING_X509_OLD) != 0)
		return err_set(err, ERR_CONFIG, "the file holds a '%.40s'; want one CERTIFICATE", name);
	if (der->len > 0)
		return err_set(err, ERR_CONFIG, "the file holds more than one certificate; want one (a chain goes in file by file)");
	buf_add_slice(der, data);
	return 0;
}

static int
read_pem(struct slice file, struct buf *der, struct err *err)
{
	AUTO(BIO_free_all) BIO *bio = BIO_new_mem_buf(file.at, (int)file.len);
	char *name = NULL;
	char *header = NULL;
	unsigned char *data = NULL;
	long len = 0;
	int result = 0;

	while (result == 0 && bio && PEM_read_bio(bio, &name, &header, &data, &len) == 1) {
		result = add_pem_block(name, (struct slice){ data, (size_t)len }, der, err);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(data, (size_t)len);
	}
	if (result == 0 && der->len == 0)
		return ossl_err(err, ERR_CONFIG, "no certificate in the file; want PEM or DER");
	ERR_clear_error(); /* it says only that no further block came */
	return result;
}

static bool
is_private_key(struct slice file)
{
	const unsigned char *at = file.at;
	AUTO(EVP_PKEY_free) EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, (long)file.len);

	return key != NULL;
}

int
cert_read(struct slice file, struct buf *der, struct err *err)
{
	AUTO_BUF struct buf found = { 0 };
	AUTO(X509_free) X509 *cert = NULL;
	struct buf swap;

	buf_init(&found, MAX_FILE_BYTES);
	if (file.len == 0 || file.len > MAX_FILE_BYTES)
		return err_set(err, ERR_CONFIG, "a certificate file of %zu bytes; want 1 to %d", file.len, MAX_FILE_BYTES);
	if (file.at[0] != 0x30) {
		if (read_pem(file, &found, err) == -1)
			return -1;
	} else if (is_private_key(file)) {
		return err_set(err, ERR_CONFIG, "the file is a private key; want a certificate");
	} else {
		buf_add_slice(&found, file);
	}
	cert = ossl_cert(buf_slice(&found), err);
	if (!cert)
		return -1;
	swap = *der;
	*der = found;
	found = swap;
	return 0;
}
