#include "tests/support/forge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "smime/ber.h"
#include "smime/der.h"
#include "smime/gate.h"

enum { ROOM = 4 * 1024 * 1024, SMALL = 64 * 1024, MANY = 500 };

#define RAW(text) ((struct slice){ (const unsigned char *)(text), sizeof(text) - 1 })
#define ID_DATA RAW("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01")
#define ID_SIGNED RAW("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02")

static const struct {
	const char *name;
	struct slice id;   /* AlgorithmIdentifier */
	struct slice ecdsa;
} digests[] = {
	{ "md5", { (const unsigned char *)"\x30\x0c\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x05\x05\x00", 14 }, { NULL, 0 } },
	{ "sha1", { (const unsigned char *)"\x30\x07\x06\x05\x2b\x0e\x03\x02\x1a", 9 },
	    { (const unsigned char *)"\x30\x09\x06\x07\x2a\x86\x48\xce\x3d\x04\x01", 11 } },
	{ "sha224", { (const unsigned char *)"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x04", 13 },
	    { (const unsigned char *)"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x01", 12 } },
	{ "sha256", { (const unsigned char *)"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01", 13 },
	    { (const unsigned char *)"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", 12 } },
	{ "sha384", { (const unsigned char *)"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02", 13 },
	    { (const unsigned char *)"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03", 12 } },
	{ "sha512", { (const unsigned char *)"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03", 13 },
	    { (const unsigned char *)"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04", 12 } },
};

static void
must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "forge: %s\n", what);
	ERR_print_errors_fp(stderr);
	abort();
}

static X509 *
load_cert(const char *prefix)
{
	char file[256];
	BIO *bio;
	X509 *cert;

	snprintf(file, sizeof(file), "%s.crt", prefix);
	bio = BIO_new_file(file, "r");
	cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	must(cert != NULL, file);
	BIO_free(bio);
	return cert;
}

static EVP_PKEY *
load_key(const char *prefix)
{
	char file[256];
	BIO *bio;
	EVP_PKEY *key;

	snprintf(file, sizeof(file), "%s.key", prefix);
	bio = BIO_new_file(file, "r");
	key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	must(key != NULL, file);
	BIO_free(bio);
	return key;
}

static const char *
digest_of(const struct forge *forge)
{
	return forge->digest ? forge->digest : "sha256";
}

static size_t
digest_row(const char *name)
{
	for (size_t i = 0; i < N_ELEMENTS(digests); i++) {
		if (strcmp(digests[i].name, name) == 0)
			return i;
	}
	must(false, "unknown digest");
	return 0;
}

static bool
has(const struct forge *forge, enum forge_flaw flaw)
{
	return (forge->flaws & (unsigned)flaw) != 0;
}

static void
wrap(struct buf *ret, unsigned tag, const struct slice *parts, size_t n)
{
	buf_init(ret, ROOM);
	der_wrap(ret, (enum der_tag)tag, parts, n);
}

/* The same with an indefinite length. */
static void
wrap_open(struct buf *ret, unsigned tag, const struct slice *parts, size_t n)
{
	unsigned char head[] = { (unsigned char)tag, 0x80 };

	buf_init(ret, ROOM);
	buf_add(ret, head, 2);
	for (size_t i = 0; i < n; i++)
		buf_add_slice(ret, parts[i]);
	buf_add(ret, "\0\0", 2);
}

/* ---- attributes ---- */

static void
add_attribute(struct slice oid, struct slice values, struct buf *ret)
{
	AUTO_BUF struct buf set = { 0 };

	wrap(&set, DER_SET, &values, 1);
	wrap(ret, DER_SEQUENCE, (struct slice[]){ oid, buf_slice(&set) }, 2);
}

static void
add_digest(const struct forge *forge, struct buf *ret)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	AUTO_BUF struct buf octets = { 0 };
	struct slice value;
	struct slice two[2];
	AUTO_BUF struct buf both = { 0 };

	EVP_Digest(forge->content.at, forge->content.len, hash, &len, EVP_get_digestbyname(digest_of(forge)), NULL);
	wrap(&octets, DER_OCTETS, (struct slice[]){ { hash, len } }, 1);
	value = buf_slice(&octets);
	two[0] = two[1] = value;
	buf_init(&both, SMALL);
	buf_add_slice(&both, two[0]);
	if (has(forge, FORGE_TWO_VALUES))
		buf_add_slice(&both, two[1]);
	add_attribute(RAW("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04"), buf_slice(&both), ret);
}

static void
add_time(const struct forge *forge, struct buf *ret)
{
	ASN1_TIME *time = ASN1_TIME_set(NULL, forge->signing_time);
	unsigned char *der = NULL;
	int len = i2d_ASN1_TIME(time, &der);

	if (has(forge, FORGE_ODD_TIME))
		add_attribute(RAW("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05"), RAW("\x17\x0b""2609210000Z"), ret);
	else
		add_attribute(RAW("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05"), (struct slice){ der, (size_t)len }, ret);
	OPENSSL_free(der);
	ASN1_TIME_free(time);
}

static void
add_ess(const struct forge *forge, X509 *cert, struct buf *ret)
{
	unsigned char hash[32];
	AUTO_BUF struct buf octets = { 0 }, id = { 0 }, list = { 0 }, all = { 0 };

	X509_digest(cert, EVP_sha256(), hash, NULL);
	hash[0] ^= has(forge, FORGE_ESS_OTHER);
	wrap(&octets, DER_OCTETS, (struct slice[]){ { hash, sizeof(hash) } }, 1);
	wrap(&id, DER_SEQUENCE, (struct slice[]){ buf_slice(&octets) }, 1);
	wrap(&list, DER_SEQUENCE, (struct slice[]){ buf_slice(&id) }, 1);
	wrap(&all, DER_SEQUENCE, (struct slice[]){ buf_slice(&list) }, 1);
	add_attribute(RAW("\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x2f"), buf_slice(&all), ret);
}

/* Their DER, as a SET: what is signed. */
static void
make_attributes(const struct forge *forge, X509 *cert, struct buf *ret)
{
	AUTO_BUF struct buf type = { 0 }, hash = { 0 }, time = { 0 }, ess = { 0 };
	struct slice all[8];
	size_t n = 0;

	add_attribute(RAW("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03"), has(forge, FORGE_TYPE_NOT_DATA) ? ID_SIGNED : ID_DATA, &type);
	add_digest(forge, &hash);
	if (!has(forge, FORGE_NO_CONTENT_TYPE))
		all[n++] = buf_slice(&type);
	for (int i = 0; i < (has(forge, FORGE_NO_DIGEST) ? 0 : has(forge, FORGE_TWO_DIGESTS) ? 2 : 1); i++)
		all[n++] = buf_slice(&hash);
	if (forge->signing_time) {
		add_time(forge, &time);
		all[n++] = buf_slice(&time);
	}
	if (has(forge, FORGE_ESS) || has(forge, FORGE_ESS_OTHER)) {
		add_ess(forge, cert, &ess);
		all[n++] = buf_slice(&ess);
	}
	der_sort(all, n);
	if (has(forge, FORGE_UNSORTED)) {
		struct slice first = all[0];

		memmove(all, all + 1, (n - 1) * sizeof(*all));
		all[n - 1] = first;
	}
	wrap(ret, DER_SET, all, n);
}

/* The first attribute's own length in one octet more than it needs. */
static void
lengthen(struct buf *attributes)
{
	AUTO_BUF struct buf inside = { 0 };
	size_t head = attributes->at[1] < 0x80 ? 2 : (size_t)2 + (attributes->at[1] & 0x7f);
	unsigned char longer[] = { attributes->at[head], 0x81, attributes->at[head + 1] };

	buf_init(&inside, SMALL);
	buf_add(&inside, longer, sizeof(longer));
	buf_add(&inside, attributes->at + head + 2, attributes->len - head - 2);
	buf_done(attributes);
	wrap(attributes, DER_SET, (struct slice[]){ buf_slice(&inside) }, 1);
}

/* ---- SignerInfo ---- */

static void
make_signature(const struct forge *forge, EVP_PKEY *key, struct slice bytes, struct buf *ret)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *params = NULL;
	unsigned char value[2048];
	size_t len = sizeof(value);
	const EVP_MD *md = EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_get_digestbyname(has(forge, FORGE_OTHER_HASH) ? "sha512" : digest_of(forge));

	must(EVP_DigestSignInit(ctx, &params, md, NULL, key) == 1, "EVP_DigestSignInit");
	if (has(forge, FORGE_PSS) || has(forge, FORGE_PSS_SHORT) || has(forge, FORGE_PSS_MAX)) {
		EVP_PKEY_CTX_set_rsa_padding(params, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(params, has(forge, FORGE_PSS_SHORT) ? 8 : has(forge, FORGE_PSS_MAX) ? RSA_PSS_SALTLEN_MAX
		    : RSA_PSS_SALTLEN_DIGEST);
	}
	must(EVP_DigestSign(ctx, value, &len, bytes.at, bytes.len) == 1, "EVP_DigestSign");
	EVP_MD_CTX_free(ctx);
	value[len - 1] ^= has(forge, FORGE_BAD_SIGNATURE);
	wrap(ret, DER_OCTETS, (struct slice[]){ { value, len } }, 1);
}

static void
make_pss(const struct forge *forge, EVP_PKEY *key, struct buf *ret)
{
	AUTO_BUF struct buf hash = { 0 }, mgf = { 0 }, mask = { 0 }, salt = { 0 }, all = { 0 };
	struct slice digest = digests[digest_row(digest_of(forge))].id;
	int md_len = EVP_MD_get_size(EVP_get_digestbyname(digest_of(forge)));
	int len = has(forge, FORGE_PSS_SHORT) ? 8 : has(forge, FORGE_PSS_MAX) ? EVP_PKEY_get_size(key) - md_len - 2 : md_len;
	unsigned char small[] = { 0x02, 0x01, (unsigned char)len };
	unsigned char large[] = { 0x02, 0x02, (unsigned char)(len >> 8), (unsigned char)len };

	wrap(&hash, BER_CONTEXT_0, &digest, 1);
	wrap(&mgf, DER_SEQUENCE, (struct slice[]){ RAW("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08"), digest }, 2);
	wrap(&mask, BER_CONTEXT_1, (struct slice[]){ buf_slice(&mgf) }, 1);
	wrap(&salt, BER_CONTEXT_2, (struct slice[]){ len < 0x80 ? (struct slice){ small, 3 } : (struct slice){ large, 4 } }, 1);
	wrap(&all, DER_SEQUENCE, (struct slice[]){ buf_slice(&hash), buf_slice(&mask), buf_slice(&salt) }, 3);
	wrap(ret, DER_SEQUENCE, (struct slice[]){ RAW("\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"), buf_slice(&all) }, 2);
}

static void
make_algorithm(const struct forge *forge, EVP_PKEY *key, struct buf *ret)
{
	buf_init(ret, SMALL);
	if (EVP_PKEY_is_a(key, "ED25519")) {
		buf_add_slice(ret, RAW("\x30\x05\x06\x03\x2b\x65\x70"));
	} else if (EVP_PKEY_is_a(key, "EC")) {
		buf_add_slice(ret, digests[digest_row(has(forge, FORGE_OTHER_HASH) ? "sha512" : digest_of(forge))].ecdsa);
	} else if (has(forge, FORGE_OTHER_HASH)) {
		buf_add_slice(ret, RAW("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00"));
	} else if (has(forge, FORGE_PSS) || has(forge, FORGE_PSS_SHORT) || has(forge, FORGE_PSS_MAX)) {
		make_pss(forge, key, ret);
	} else {
		buf_add_slice(ret, RAW("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"));
	}
}

static void
make_id(const struct forge *forge, X509 *cert, struct buf *ret)
{
	const ASN1_OCTET_STRING *key_id = X509_get0_subject_key_id(cert);
	unsigned char *issuer = NULL, *serial = NULL;
	int issuer_len, serial_len;

	if (has(forge, FORGE_KEY_ID)) {
		wrap(ret, BER_CONTEXT_0_PRIMITIVE, (struct slice[]){ { ASN1_STRING_get0_data(key_id), (size_t)ASN1_STRING_length(key_id) } }, 1);
		return;
	}
	issuer_len = i2d_X509_NAME(X509_get_issuer_name(cert), &issuer);
	serial_len = i2d_ASN1_INTEGER(X509_get_serialNumber(cert), &serial);
	wrap(ret, DER_SEQUENCE, (struct slice[]){ { issuer, (size_t)issuer_len }, { serial, (size_t)serial_len } }, 2);
	OPENSSL_free(issuer);
	OPENSSL_free(serial);
}

static void
make_signer(const struct forge *forge, const char *prefix, struct buf *ret)
{
	X509 *cert = load_cert(prefix);
	EVP_PKEY *key = load_key(prefix);
	AUTO_BUF struct buf id = { 0 }, attributes = { 0 }, signature = { 0 }, algorithm = { 0 };
	struct slice version = has(forge, FORGE_KEY_ID) || has(forge, FORGE_OTHER_VERSION) ? RAW("\x02\x01\x03") : RAW("\x02\x01\x01");
	struct slice parts[7];
	size_t n = 0;

	make_id(forge, cert, &id);
	make_attributes(forge, cert, &attributes);
	make_signature(forge, key, has(forge, FORGE_NO_ATTRIBUTES) ? forge->content : buf_slice(&attributes), &signature);
	make_algorithm(forge, key, &algorithm);
	if (has(forge, FORGE_BER_ATTRIBUTES))
		lengthen(&attributes);
	attributes.at[0] = BER_CONTEXT_0;
	parts[n++] = version;
	parts[n++] = buf_slice(&id);
	parts[n++] = digests[digest_row(digest_of(forge))].id;
	if (!has(forge, FORGE_NO_ATTRIBUTES))
		parts[n++] = buf_slice(&attributes);
	parts[n++] = buf_slice(&algorithm);
	parts[n++] = buf_slice(&signature);
	if (has(forge, FORGE_UNSIGNED))
		parts[n++] = RAW("\xa1\x12\x30\x10\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x02\x31\x03\x0c\x01x");
	wrap(ret, DER_SEQUENCE, parts, n);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* ---- SignedData ---- */

static void
add_cert(const char *prefix, struct buf *ret)
{
	X509 *cert = load_cert(prefix);
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der);

	buf_add(ret, der, (size_t)len);
	OPENSSL_free(der);
	X509_free(cert);
}

static void
make_certs(const struct forge *forge, struct buf *ret)
{
	AUTO_BUF struct buf list = { 0 };
	int times = has(forge, FORGE_CERT_TWICE) ? 2 : has(forge, FORGE_MANY_CERTS) ? 21 : 1;

	buf_init(&list, ROOM);
	for (int i = 0; i < times; i++)
		add_cert(forge->signer, &list);
	if (forge->other)
		add_cert(forge->other, &list);
	wrap(ret, BER_CONTEXT_0, (struct slice[]){ buf_slice(&list) }, 1);
}

static void
make_pieces(const struct forge *forge, struct slice content, struct buf *ret)
{
	AUTO_BUF struct buf pieces = { 0 };

	buf_init(&pieces, ROOM);
	for (size_t at = 0; at < content.len; at += 16) {
		struct slice piece = { content.at + at, content.len - at < 16 ? content.len - at : 16 };

		der_wrap(&pieces, DER_OCTETS, &piece, 1);
	}
	for (int i = 0; i < (has(forge, FORGE_DEEP_PIECES) ? 20 : 0); i++) {
		struct buf nested = { 0 };

		wrap(&nested, BER_OCTETS_IN_PIECES, (struct slice[]){ buf_slice(&pieces) }, 1);
		buf_done(&pieces);
		pieces = nested;
	}
	wrap_open(ret, BER_OCTETS_IN_PIECES, (struct slice[]){ buf_slice(&pieces) }, 1);
}

static void
make_content(const struct forge *forge, struct buf *ret)
{
	AUTO_BUF struct buf octets = { 0 }, inside = { 0 };
	struct slice type = has(forge, FORGE_TYPE_NOT_DATA) ? ID_SIGNED : ID_DATA;
	struct slice content = forge->econtent.len ? forge->econtent : forge->content;
	bool pieces = has(forge, FORGE_PIECES) || has(forge, FORGE_DEEP_PIECES);

	if (!has(forge, FORGE_OPAQUE) && forge->econtent.len == 0) {
		wrap(ret, DER_SEQUENCE, &type, 1);
		return;
	}
	if (pieces)
		make_pieces(forge, content, &octets);
	else
		wrap(&octets, DER_OCTETS, &content, 1);
	(pieces ? wrap_open : wrap)(&inside, BER_CONTEXT_0, (struct slice[]){ buf_slice(&octets) }, 1);
	(pieces ? wrap_open : wrap)(ret, DER_SEQUENCE, (struct slice[]){ type, buf_slice(&inside) }, 2);
}

static void
make_signers(const struct forge *forge, struct buf *ret)
{
	AUTO_BUF struct buf first = { 0 }, second = { 0 };
	struct slice all[MANY + 1];
	size_t n = 0;

	if (!has(forge, FORGE_NO_SIGNER)) {
		make_signer(forge, forge->signer, &first);
		all[n++] = buf_slice(&first);
	}
	while (has(forge, FORGE_MANY_SIGNERS) && n < MANY)
		all[n++] = buf_slice(&first);
	if (has(forge, FORGE_TWO_SIGNERS)) {
		make_signer(forge, forge->other ? forge->other : forge->signer, &second);
		all[n++] = buf_slice(&second);
	}
	wrap(ret, DER_SET, all, n);
}

void
forge_cms(const struct forge *forge, struct buf *ret)
{
	AUTO_BUF struct buf algs = { 0 }, content = { 0 }, certs = { 0 }, crls = { 0 }, signers = { 0 }, data = { 0 }, outer = { 0 };
	void (*around)(struct buf *ret, unsigned tag, const struct slice *parts, size_t n) = has(forge, FORGE_INDEFINITE)
	    || has(forge, FORGE_PIECES) ? wrap_open : wrap;
	struct slice parts[6];
	size_t n = 0;

	wrap(&algs, DER_SET, &digests[digest_row(has(forge, FORGE_NOT_LISTED) ? "sha1" : digest_of(forge))].id, 1);
	make_content(forge, &content);
	make_certs(forge, &certs);
	make_signers(forge, &signers);
	parts[n++] = RAW("\x02\x01\x01");
	parts[n++] = buf_slice(&algs);
	parts[n++] = buf_slice(&content);
	if (!has(forge, FORGE_NO_CERTS))
		parts[n++] = buf_slice(&certs);
	if (forge->crl.len) {
		wrap(&crls, BER_CONTEXT_1, &forge->crl, 1);
		parts[n++] = buf_slice(&crls);
	}
	parts[n++] = buf_slice(&signers);
	around(&data, DER_SEQUENCE, parts, n);
	around(&outer, BER_CONTEXT_0, (struct slice[]){ buf_slice(&data) }, 1);
	around(ret, DER_SEQUENCE, (struct slice[]){ ID_SIGNED, buf_slice(&outer) }, 2);
	if (has(forge, FORGE_TRAILING))
		buf_add(ret, "\0", 1);
}

void
forge_confused(struct slice cms, struct buf *ret, struct buf *content)
{
	struct gate_facts gate;
	AUTO_BUF struct buf id = { 0 }, info = { 0 }, signers = { 0 }, algs = { 0 }, octets = { 0 }, wrapped = { 0 }, inside = { 0 };
	AUTO_BUF struct buf certs = { 0 }, data = { 0 }, outer = { 0 }, value = { 0 };
	struct slice digest = digests[digest_row("sha256")].id;

	gate_signed(cms, true, &gate);
	must(gate.state == GATE_PASSES, gate.why);
	wrap(content, DER_SET, &gate.attributes, 1);
	wrap(&id, DER_SEQUENCE, (struct slice[]){ gate.issuer, gate.serial }, 2);
	wrap(&value, DER_OCTETS, &gate.signature, 1);
	wrap(&info, DER_SEQUENCE, (struct slice[]){ RAW("\x02\x01\x01"), buf_slice(&id), digest,
	    RAW("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"), buf_slice(&value) }, 5);
	wrap(&signers, DER_SET, (struct slice[]){ buf_slice(&info) }, 1);
	wrap(&algs, DER_SET, &digest, 1);
	wrap(&octets, DER_OCTETS, (struct slice[]){ buf_slice(content) }, 1);
	wrap(&wrapped, BER_CONTEXT_0, (struct slice[]){ buf_slice(&octets) }, 1);
	wrap(&inside, DER_SEQUENCE, (struct slice[]){ ID_DATA, buf_slice(&wrapped) }, 2);
	wrap(&certs, BER_CONTEXT_0, &gate.certs[0], 1);
	wrap(&data, DER_SEQUENCE, (struct slice[]){ RAW("\x02\x01\x01"), buf_slice(&algs), buf_slice(&inside), buf_slice(&certs),
	    buf_slice(&signers) }, 5);
	wrap(&outer, BER_CONTEXT_0, (struct slice[]){ buf_slice(&data) }, 1);
	wrap(ret, DER_SEQUENCE, (struct slice[]){ ID_SIGNED, buf_slice(&outer) }, 2);
}

/* ---- messages ---- */

void
forge_base64(struct slice bytes, struct buf *ret)
{
	for (size_t at = 0; at < bytes.len; at += 57) {
		unsigned char line[80];
		size_t len = bytes.len - at < 57 ? bytes.len - at : 57;

		EVP_EncodeBlock(line, bytes.at + at, (int)len);
		buf_printf(ret, "%s\r\n", (const char *)line);
	}
}

void
forge_clear_mail(const char *head, struct slice entity, struct slice cms, struct buf *ret)
{
	buf_init(ret, 2 * ROOM);
	buf_printf(ret, "%sMIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n"
	    "\tmicalg=sha-256; boundary=forged\r\n\r\n--forged\r\n", head);
	buf_add_slice(ret, entity);
	buf_add_text(ret, "\r\n--forged\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	forge_base64(cms, ret);
	buf_add_text(ret, "--forged--\r\n");
}

void
forge_opaque_mail(const char *head, struct slice cms, struct buf *ret)
{
	buf_init(ret, 2 * ROOM);
	buf_printf(ret, "%sMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\n", head);
	forge_base64(cms, ret);
}

bool
forge_openssl_accepts(struct slice cms, const struct slice *detached)
{
	const unsigned char *at = cms.at;
	CMS_ContentInfo *object = d2i_CMS_ContentInfo(NULL, &at, (long)cms.len);
	BIO *content = detached ? BIO_new_mem_buf(detached->at, (int)detached->len) : NULL;
	bool good = object && CMS_verify(object, NULL, NULL, content, NULL, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) == 1;

	CMS_ContentInfo_free(object);
	BIO_free(content);
	ERR_clear_error();
	return good;
}
