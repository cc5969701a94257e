#include "smime/crl.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "smime/checked.h"
#include "smime/limits.h"
#include "smime/revoke.h"
#include "smime/signed.h"
#include "smime/tlv.h"

AUTO_DEFINE(ASN1_STRING, ASN1_STRING_free);
AUTO_DEFINE(ISSUING_DIST_POINT, ISSUING_DIST_POINT_free);
AUTO_DEFINE(X509_NAME, X509_NAME_free);

enum {
	MAX_SERIAL = 40, /* octets; RFC 5280 4.1.2.2 has 20 */
	PEM_SHARE = 2,   /* PEM is a third longer, and may have a text dump before it */
};

struct crl {
	unsigned char *der;      /* owned; the slices lie in it */
	size_t len;
	struct slice tbs;
	struct slice alg;        /* AlgorithmIdentifier, inside and outside the same */
	struct slice signature;
	struct slice scope_der;  /* IssuingDistributionPoint; empty = everything its issuer issues */
	X509_NAME *issuer;
	ISSUING_DIST_POINT *scope;
	unsigned reasons;
	uint32_t *entries;       /* offsets of entries, by serial number */
	bool weak;
	char partial[FACT_WHY_BYTES];
	struct crl_facts facts;
	struct checked *checked;
};

void
crl_free(struct crl *crl)
{
	if (!crl)
		return;
	if (crl->checked)
		checked_done(crl->checked);
	free(crl->checked);
	free(crl->entries);
	ISSUING_DIST_POINT_free(crl->scope);
	X509_NAME_free(crl->issuer);
	free(crl->der);
	free(crl);
}

const struct crl_facts *
crl_facts(const struct crl *crl)
{
	return &crl->facts;
}

const char *
crl_partial(const struct crl *crl)
{
	return crl->partial;
}

bool
crl_is_weak(const struct crl *crl)
{
	return crl->weak;
}

/* ---- extensions ---- */

/* One Extension (RFC 5280 4.1): its type (content of the OID), whether critical, and what is in the octets. */
struct extension {
	struct slice type;
	struct slice value;
	bool critical;
};

static bool
take_extension(struct slice *rest, struct extension *ret)
{
	struct tlv all, type, critical, value;
	struct slice in;

	if (!tlv_take(rest, TLV_SEQUENCE, &all))
		return false;
	in = all.content;
	if (!tlv_take(&in, TLV_OBJECT, &type))
		return false;
	ret->critical = tlv_take(&in, TLV_BOOLEAN, &critical) && critical.content.len == 1 && critical.content.at[0] != 0;
	if (!tlv_take(&in, TLV_OCTETS, &value) || in.len > 0)
		return false;
	ret->type = type.content;
	ret->value = value.content;
	return true;
}

/* The last octet of id-ce (2.5.29.N), or 0 for another type. */
static unsigned
id_ce(struct slice type)
{
	return type.len == 3 && type.at[0] == 0x55 && type.at[1] == 0x1d ? type.at[2] : 0;
}

enum {
	CE_ISSUER_ALT_NAME = 18,
	CE_CRL_NUMBER = 20,
	CE_REASON = 21,
	CE_HOLD_INSTRUCTION = 23,
	CE_INVALIDITY_DATE = 24,
	CE_DELTA = 27,
	CE_SCOPE = 28,
	CE_CERTIFICATE_ISSUER = 29,
	CE_AUTHORITY_KEY = 35,
	CE_FRESHEST = 46,
};

static int
read_number(struct crl *crl, struct slice value, struct err *err)
{
	struct tlv number;
	size_t n = 0;

	if (!tlv_take(&value, TLV_INTEGER, &number) || value.len > 0 || number.content.len == 0
	    || (number.content.at[0] & 0x80) || number.content.len > 21)
		return err_set(err, ERR_CONFIG, "a CRL number that is none of 20 octets (RFC 5280 5.2.3)");
	for (size_t i = 0; i < number.content.len; i++) {
		if (n == 0 && number.content.at[i] == 0 && i + 1 < number.content.len)
			continue;
		n += (size_t)snprintf(crl->facts.number + n, sizeof(crl->facts.number) - n, n ? "%02x" : "%x", number.content.at[i]);
	}
	return 0;
}

static unsigned
reason_bits(const ASN1_BIT_STRING *reasons)
{
	unsigned bits = 0;

	if (!reasons)
		return REASONS_ALL;
	for (int i = 1; i <= 8; i++) {
		if (ASN1_BIT_STRING_get_bit(reasons, i))
			bits |= 1u << i;
	}
	return bits;
}

/* RFC 5280 5.2.5. */
static int
read_scope(struct crl *crl, struct slice value, struct err *err)
{
	const unsigned char *at = value.at;
	AUTO(ISSUING_DIST_POINT_free) ISSUING_DIST_POINT *scope = d2i_ISSUING_DIST_POINT(NULL, &at, (long)value.len);

	if (!scope || at != value.at + value.len)
		return ossl_err(err, ERR_CONFIG, "an issuing distribution point that cannot be read (RFC 5280 5.2.5)");
	if (scope->indirectCRL > 0)
		return err_set(err, ERR_CONFIG, "an indirect CRL; want one by the authority that issued the certificates");
	if (scope->onlyattr > 0)
		return err_set(err, ERR_CONFIG, "a CRL for attribute certificates only; want one for certificates of keys");
	if (scope->onlyuser > 0 && scope->onlyCA > 0)
		return err_set(err, ERR_CONFIG, "a CRL that is only about users and only about authorities (RFC 5280 5.2.5)");
	/* A relative name is made whole, or the comparison would say "no name". */
	if (scope->distpoint && DIST_POINT_set_dpname(scope->distpoint, crl->issuer) != 1)
		return ossl_err(err, ERR_CONFIG, "a distribution point's name that cannot be read (RFC 5280 4.2.1.13)");
	crl->reasons = reason_bits(scope->onlysomereasons);
	crl->scope = TAKE(scope);
	crl->scope_der = value;
	return 0;
}

static void
set_partial(struct crl *crl, const char *what, unsigned type)
{
	if (crl->partial[0] == '\0')
		snprintf(crl->partial, sizeof(crl->partial), "a critical %s extension that is not known here%s (RFC 5280 5.2, 5.3)", what,
		    type ? "" : ", of another arc");
}

static int
read_crl_extension(struct crl *crl, const struct extension *extension, struct err *err)
{
	switch (id_ce(extension->type)) {
	case CE_CRL_NUMBER:
		return read_number(crl, extension->value, err);
	case CE_SCOPE:
		return read_scope(crl, extension->value, err);
	case CE_DELTA:
		return err_set(err, ERR_CONFIG, "a delta CRL; want the complete one");
	case CE_AUTHORITY_KEY:
	case CE_ISSUER_ALT_NAME:
	case CE_FRESHEST:
		return 0;
	}
	if (extension->critical)
		set_partial(crl, "CRL", id_ce(extension->type));
	return 0;
}

static int
read_crl_extensions(struct crl *crl, struct slice list, struct err *err)
{
	unsigned char seen[256] = { 0 };
	struct extension extension;
	struct tlv all;

	if (!tlv_take(&list, TLV_SEQUENCE, &all) || list.len > 0)
		return err_set(err, ERR_CONFIG, "extensions that are no list");
	while (all.content.len > 0) {
		unsigned type;

		if (!take_extension(&all.content, &extension))
			return err_set(err, ERR_CONFIG, "an extension that cannot be read");
		type = id_ce(extension.type);
		if (type && seen[type]++)
			return err_set(err, ERR_CONFIG, "extension 2.5.29.%u twice (RFC 5280 4.2)", type);
		if (read_crl_extension(crl, &extension, err) == -1)
			return -1;
	}
	return 0;
}

/* ---- entries ---- */

struct entry {
	struct slice serial;
	struct tlv date;
	struct slice extensions; /* of the SEQUENCE, empty = none */
};

static bool
take_entry(struct slice *rest, struct entry *ret)
{
	struct tlv all, serial, extensions;
	struct slice in;

	if (!tlv_take(rest, TLV_SEQUENCE, &all))
		return false;
	in = all.content;
	if (!tlv_take(&in, TLV_INTEGER, &serial) || serial.content.len == 0 || !tlv_next(&in, &ret->date)
	    || (ret->date.tag != TLV_UTC_TIME && ret->date.tag != TLV_GENERALIZED_TIME))
		return false;
	ret->serial = serial.content;
	ret->extensions = tlv_take(&in, TLV_SEQUENCE, &extensions) ? extensions.content : (struct slice){ NULL, 0 };
	return in.len == 0;
}

static int
check_entry_extensions(struct crl *crl, struct slice list, struct err *err)
{
	struct extension extension;

	while (list.len > 0) {
		if (!take_extension(&list, &extension))
			return err_set(err, ERR_CONFIG, "an entry's extension that cannot be read");
		switch (id_ce(extension.type)) {
		case CE_REASON:
		case CE_HOLD_INSTRUCTION:
		case CE_INVALIDITY_DATE:
			continue;
		case CE_CERTIFICATE_ISSUER:
			return err_set(err, ERR_CONFIG, "an indirect CRL: an entry names another issuer (RFC 5280 5.3.3)");
		}
		if (extension.critical)
			set_partial(crl, "entry", id_ce(extension.type));
	}
	return 0;
}

/* Both were read before, so they can be read. */
static struct entry
entry_at(const struct crl *crl, uint32_t offset)
{
	struct slice rest = { crl->der + offset, crl->len - offset };
	struct entry entry = { 0 };

	(void)take_entry(&rest, &entry);
	return entry;
}

static struct slice
serial_at(const struct crl *crl, uint32_t offset)
{
	struct slice rest = { crl->der + offset, crl->len - offset };
	struct tlv all = { 0 }, serial = { 0 };

	(void)tlv_next(&rest, &all);
	(void)tlv_next(&all.content, &serial);
	return serial.content;
}

static int
by_serial(const void *a, const void *b, void *of)
{
	const uint32_t *x = a;
	const uint32_t *y = b;
	const struct crl *crl = of;

	return tlv_integer_cmp(serial_at(crl, *x), serial_at(crl, *y));
}

static int
count_entries(struct crl *crl, struct slice list, size_t *ret, struct err *err)
{
	struct entry entry;

	for (*ret = 0; list.len > 0; ++*ret) {
		if (!take_entry(&list, &entry))
			return err_set(err, ERR_CONFIG, "entry %zu cannot be read", *ret + 1);
		if (entry.serial.len > MAX_SERIAL)
			return err_set(err, ERR_CONFIG, "entry %zu has a serial number of %zu octets; want at most 20 (RFC 5280 4.1.2.2)",
			    *ret + 1, entry.serial.len);
		if (check_entry_extensions(crl, entry.extensions, err) == -1)
			return -1;
	}
	return 0;
}

static int
read_entries(struct crl *crl, struct slice list, struct err *err)
{
	struct entry entry;
	size_t n;

	if (count_entries(crl, list, &n, err) == -1)
		return -1;
	crl->entries = xcalloc(n ? n : 1, sizeof(*crl->entries));
	for (size_t i = 0; i < n; i++) {
		crl->entries[i] = (uint32_t)(list.at - crl->der);
		(void)take_entry(&list, &entry);
	}
	crl->facts.n_revoked = n;
	qsort_r(crl->entries, n, sizeof(*crl->entries), by_serial, crl);
	return 0;
}

/* ---- the list ---- */

static int
read_time(struct slice whole, time_t *ret)
{
	const unsigned char *at = whole.at;
	AUTO(ASN1_TIME_free) ASN1_TIME *time = d2i_ASN1_TIME(NULL, &at, (long)whole.len);
	struct tm tm = { 0 };
	bool ok = time && ASN1_TIME_to_tm(time, &tm) == 1;

	ERR_clear_error();
	if (ok)
		*ret = timegm(&tm);
	return ok ? 0 : -1;
}

static bool
take_time(struct slice *rest, struct tlv *ret)
{
	return rest->len > 0 && (rest->at[0] == TLV_UTC_TIME || rest->at[0] == TLV_GENERALIZED_TIME) && tlv_next(rest, ret);
}

static int
read_name(struct crl *crl, struct slice *rest, struct err *err)
{
	struct tlv name;
	const unsigned char *at;

	if (!tlv_take(rest, TLV_SEQUENCE, &name) || name.whole.len > LIMIT_CERT_BYTES)
		return err_set(err, ERR_CONFIG, "a CRL without its issuer's name");
	at = name.whole.at;
	crl->issuer = d2i_X509_NAME(NULL, &at, (long)name.whole.len);
	if (!crl->issuer || X509_NAME_entry_count(crl->issuer) == 0)
		return ossl_err(err, ERR_CONFIG, "a CRL whose issuer's name cannot be read or is empty");
	return 0;
}

static int
read_times(struct crl *crl, struct slice *rest, struct err *err)
{
	struct tlv time;

	if (!take_time(rest, &time) || read_time(time.whole, &crl->facts.this_update) == -1)
		return err_set(err, ERR_CONFIG, "a CRL whose thisUpdate is no time");
	if (take_time(rest, &time) && read_time(time.whole, &crl->facts.next_update) == -1)
		return err_set(err, ERR_CONFIG, "a CRL whose nextUpdate is no time");
	return 0;
}

/* TBSCertList (RFC 5280 5.1.2). */
static int
read_tbs(struct crl *crl, struct slice tbs, struct err *err)
{
	struct tlv version, alg, entries, extensions;
	bool has_version = tlv_take(&tbs, TLV_INTEGER, &version);

	if (has_version && (version.content.len != 1 || version.content.at[0] != 1))
		return err_set(err, ERR_CONFIG, "a CRL of another version; want 2");
	if (!tlv_take(&tbs, TLV_SEQUENCE, &alg) || !slice_equal(alg.whole, crl->alg))
		return err_set(err, ERR_CONFIG, "a CRL that names two signature algorithms (RFC 5280 5.1.1.2)");
	if (read_name(crl, &tbs, err) == -1 || read_times(crl, &tbs, err) == -1)
		return -1;
	if (tlv_take(&tbs, TLV_SEQUENCE, &entries)) {
		if (read_entries(crl, entries.content, err) == -1)
			return -1;
	} else {
		crl->entries = xcalloc(1, sizeof(*crl->entries));
	}
	if (tlv_take(&tbs, TLV_CONTEXT_0, &extensions)) {
		if (!has_version)
			return err_set(err, ERR_CONFIG, "a CRL of version 1 with extensions");
		if (read_crl_extensions(crl, extensions.content, err) == -1)
			return -1;
	}
	return tbs.len == 0 ? 0 : err_set(err, ERR_CONFIG, "%zu bytes in the CRL that belong to nothing", tbs.len);
}

/* CertificateList (5.1). */
static int
read_list(struct crl *crl, struct err *err)
{
	struct slice rest = { crl->der, crl->len };
	struct tlv all, tbs, alg, signature;

	if (!tlv_take(&rest, TLV_SEQUENCE, &all))
		return err_set(err, ERR_CONFIG, "%zu bytes that are no CRL in DER", crl->len);
	if (rest.len > 0)
		return err_set(err, ERR_CONFIG, "%zu bytes behind the CRL; want one CRL and nothing else", rest.len);
	rest = all.content;
	if (!tlv_take(&rest, TLV_SEQUENCE, &tbs) || !tlv_take(&rest, TLV_SEQUENCE, &alg) || !tlv_take(&rest, TLV_BITS, &signature)
	    || rest.len > 0 || signature.content.len < 2 || signature.content.at[0] != 0)
		return err_set(err, ERR_CONFIG, "%zu bytes that are no CRL: want a list, an algorithm and a signature", crl->len);
	crl->tbs = tbs.whole;
	crl->alg = alg.whole;
	crl->signature = (struct slice){ signature.content.at + 1, signature.content.len - 1 };
	crl->weak = signed_is_weak(crl->alg);
	return read_tbs(crl, tbs.content, err);
}

static int
crl_of_der(struct slice der, struct crl **ret, struct err *err)
{
	AUTO(crl_free) struct crl *crl = NULL;

	if (der.len == 0 || der.len > LIMIT_CRL_BYTES)
		return err_set(err, ERR_CONFIG, "a CRL of %zu bytes; want 1 to %d", der.len, LIMIT_CRL_BYTES);
	crl = xcalloc(1, sizeof(*crl));
	crl->der = xcalloc(1, der.len);
	memcpy(crl->der, der.at, der.len);
	crl->len = der.len;
	crl->reasons = REASONS_ALL;
	if (ossl_sha256(der, crl->facts.sha256, err) == -1 || read_list(crl, err) == -1)
		return -1;
	crl->checked = xcalloc(1, sizeof(*crl->checked));
	checked_init(crl->checked);
	*ret = TAKE(crl);
	return 0;
}

int
crl_read(struct slice bytes, struct crl **ret, struct err *err)
{
	AUTO(BIO_free_all) BIO *bio = NULL;
	char *name = NULL, *header = NULL;
	unsigned char *data = NULL;
	long len = 0;
	int result;

	ERR_clear_error();
	if (bytes.len == 0 || bytes.len > PEM_SHARE * LIMIT_CRL_BYTES)
		return err_set(err, ERR_CONFIG, "a CRL file of %zu bytes; want 1 to %d", bytes.len, PEM_SHARE * LIMIT_CRL_BYTES);
	if (bytes.at[0] == TLV_SEQUENCE)
		return crl_of_der(bytes, ret, err);
	bio = BIO_new_mem_buf(bytes.at, (int)bytes.len);
	if (!bio || PEM_read_bio(bio, &name, &header, &data, &len) != 1)
		return ossl_err(err, ERR_CONFIG, "no CRL in the file; want PEM or DER");
	if (strcmp(name, PEM_STRING_X509_CRL) != 0)
		result = err_set(err, ERR_CONFIG, "the file holds a '%.40s'; want an X509 CRL", name);
	else
		result = crl_of_der((struct slice){ data, (size_t)len }, ret, err);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_clear_free(data, (size_t)len);
	return result;
}

/* ---- asking ---- */

bool
crl_has_issuer(const struct crl *crl, const X509_NAME *name)
{
	return X509_NAME_cmp(crl->issuer, name) == 0;
}

bool
crl_same_scope(const struct crl *a, const struct crl *b)
{
	return slice_equal(a->scope_der, b->scope_der);
}

int
crl_number_compare(const char *a, const char *b)
{
	size_t a_len = strlen(a);
	size_t b_len = strlen(b);

	if (a_len != b_len)
		return a_len < b_len ? -1 : 1;
	return strcmp(a, b);
}

bool
crl_is_newer(const struct crl *a, const struct crl *b)
{
	int order = crl_number_compare(a->facts.number, b->facts.number);

	return order ? order > 0 : a->facts.this_update > b->facts.this_update;
}

static bool
name_among(const X509_NAME *name, const GENERAL_NAMES *names)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *other = sk_GENERAL_NAME_value(names, i);

		if (other->type == GEN_DIRNAME && X509_NAME_cmp(name, other->d.directoryName) == 0)
			return true;
	}
	return false;
}

static bool
names_meet(const GENERAL_NAMES *a, const GENERAL_NAMES *b)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(a); i++) {
		for (int j = 0; j < sk_GENERAL_NAME_num(b); j++) {
			if (GENERAL_NAME_cmp(sk_GENERAL_NAME_value(a, i), sk_GENERAL_NAME_value(b, j)) == 0)
				return true;
		}
	}
	return false;
}

/* Both have dpname where their name is a relative one. */
static bool
points_meet(const DIST_POINT_NAME *a, const DIST_POINT_NAME *b)
{
	if (a->type == 1 && b->type == 1)
		return a->dpname && b->dpname && X509_NAME_cmp(a->dpname, b->dpname) == 0;
	if (a->type == 1)
		return a->dpname && name_among(a->dpname, b->name.fullname);
	if (b->type == 1)
		return b->dpname && name_among(b->dpname, a->name.fullname);
	return names_meet(a->name.fullname, b->name.fullname);
}

/* RFC 5280 6.3.3 (b) (2) (i) and (d), for one distribution point of the certificate. */
static unsigned
point_reasons(const struct crl *crl, const DIST_POINT *point, const X509_NAME *cert_issuer)
{
	if (point->CRLissuer) /* somebody else's, so an indirect one */
		return 0;
	if (!point->distpoint || DIST_POINT_set_dpname(point->distpoint, cert_issuer) != 1)
		return 0;
	return points_meet(crl->scope->distpoint, point->distpoint) ? crl->reasons & reason_bits(point->reasons) : 0;
}

static unsigned
covered_reasons(const struct crl *crl, const X509 *cert)
{
	CRL_DIST_POINTS *points;
	unsigned reasons = 0;

	if (!crl->scope || !crl->scope->distpoint)
		return crl->reasons;
	points = X509_get_ext_d2i(cert, NID_crl_distribution_points, NULL, NULL);
	for (int i = 0; i < sk_DIST_POINT_num(points); i++)
		reasons |= point_reasons(crl, sk_DIST_POINT_value(points, i), X509_get_issuer_name(cert));
	CRL_DIST_POINTS_free(points);
	ERR_clear_error();
	return reasons;
}

unsigned
crl_covers(const struct crl *crl, X509 *cert)
{
	bool is_ca = X509_get_extension_flags(cert) & EXFLAG_CA;

	if (!crl_has_issuer(crl, X509_get_issuer_name(cert)))
		return 0;
	if (crl->scope && ((crl->scope->onlyuser > 0 && is_ca) || (crl->scope->onlyCA > 0 && !is_ca)))
		return 0;
	return covered_reasons(crl, cert);
}

/* The bytes that were signed, as they came: nothing is written anew. */
static bool
verify_signature(const struct crl *crl, EVP_PKEY *key)
{
	AUTO(ASN1_STRING_free) ASN1_STRING *tbs = ASN1_STRING_type_new(V_ASN1_SEQUENCE);

	if (!tbs || ASN1_STRING_set(tbs, crl->tbs.at, (int)crl->tbs.len) != 1)
		return false;
	return signed_verify(crl->alg, crl->signature, ASN1_ITEM_rptr(ASN1_SEQUENCE), tbs, key);
}

bool
crl_verifies(const struct crl *crl, X509 *signer)
{
	EVP_PKEY *key = X509_get0_pubkey(signer);
	unsigned char spki[32];
	int known;

	if (!key || !(X509_get_key_usage(signer) & KU_CRL_SIGN) || signed_spki(signer, spki) == -1)
		return false;
	known = checked_find(crl->checked, spki, -1);
	if (known == -1) {
		known = verify_signature(crl, key);
		checked_add(crl->checked, spki, known);
	}
	return known;
}

static void
read_entry(const struct entry *entry, struct crl_entry *ret)
{
	struct slice list = entry->extensions;
	struct extension extension;
	struct tlv reason;

	*ret = (struct crl_entry){ 0 };
	(void)read_time(entry->date.whole, &ret->revoked_at);
	while (list.len > 0 && take_extension(&list, &extension)) {
		if (id_ce(extension.type) == CE_REASON && tlv_take(&extension.value, TLV_ENUMERATED, &reason))
			ret->on_hold = reason.content.len == 1 && reason.content.at[0] == CRL_REASON_CERTIFICATE_HOLD;
	}
}

bool
crl_find(const struct crl *crl, const ASN1_INTEGER *serial, struct crl_entry *ret)
{
	unsigned char der[8 + MAX_SERIAL], *at = der;
	int len = i2d_ASN1_INTEGER(serial, NULL);
	struct slice rest = { der, (size_t)len };
	size_t low = 0, high = crl->facts.n_revoked;
	struct tlv wanted;

	/* What is too long to be looked up is in no list: count_entries() refuses it. */
	if (len <= 0 || (size_t)len > sizeof(der) || i2d_ASN1_INTEGER(serial, &at) != len || !tlv_take(&rest, TLV_INTEGER, &wanted))
		return false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = tlv_integer_cmp(wanted.content, serial_at(crl, crl->entries[middle]));

		if (order == 0) {
			const struct entry entry = entry_at(crl, crl->entries[middle]);

			read_entry(&entry, ret);
			return true;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

int
crl_check(struct slice bytes, struct slice authority, struct crl_facts *ret, struct err *err)
{
	AUTO(X509_free) X509 *signer = ossl_cert(authority, err);
	AUTO(crl_free) struct crl *crl = NULL;

	if (!signer)
		return err_wrap(err, "authority");
	if (crl_read(bytes, &crl, err) == -1)
		return -1;
	if (crl->partial[0])
		return err_set(err, ERR_CONFIG, "a CRL with %s", crl->partial);
	if (!crl_has_issuer(crl, X509_get_subject_name(signer)))
		return err_set(err, ERR_CONFIG, "a CRL of another authority: the name differs");
	if (crl->weak)
		return err_set(err, ERR_CONFIG, "a CRL signed over MD5 or SHA-1; want SHA-256 or better");
	if (!(X509_get_key_usage(signer) & KU_CRL_SIGN))
		return err_set(err, ERR_CONFIG, "the authority's certificate may not sign CRLs (key usage without cRLSign)");
	if (!crl_verifies(crl, signer))
		return err_set(err, ERR_CONFIG, "a CRL whose signature is not by the authority's key");
	*ret = crl->facts;
	return 0;
}
