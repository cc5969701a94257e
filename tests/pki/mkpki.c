/*
 * mkpki: keys and certificates for tests and demonstrations, with any date, usage or flaw.
 *
 *     mkpki --out ca --ca --cn "Demo CA" --from -1d --to +10y --key p256
 *     mkpki --out budi --ca-of ca --cn Budi --email budi@kota.example --from -1d --to +2y
 *
 * Writes PREFIX.crt, PREFIX.der, PREFIX.key (0600) and, when asked, PREFIX.p12. Not a CA:
 * it checks nothing about what it signs.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "smime/base.h"

AUTO_DEFINE(X509, X509_free);
AUTO_DEFINE(EVP_PKEY, EVP_PKEY_free);
AUTO_DEFINE(X509_EXTENSION, X509_EXTENSION_free);
AUTO_DEFINE(BIO, BIO_free_all);
AUTO_DEFINE(PKCS12, PKCS12_free);
AUTO_DEFINE(BIGNUM, BN_free);
AUTO_DEFINE(X509_NAME, X509_NAME_free);

enum { MAX_EMAILS = 40, MAX_PASS = 1024 };

struct options {
	const char *out;
	const char *ca_of;
	const char *ca_passphrase_file;
	const char *cn;
	const char *org;
	const char *subject_email;
	const char *emails[MAX_EMAILS];
	size_t n_emails;
	const char *from;
	const char *to;
	const char *key;
	const char *usage;
	const char *eku;
	const char *serial;
	const char *digest;
	const char *passphrase_file;
	bool self;
	bool ca;
	bool pkcs12;
};

struct issuer {
	X509 *cert;
	EVP_PKEY *key;
};

static int
fail(const char *what, const char *value)
{
	fprintf(stderr, "mkpki: %s%s%s\n", what, value ? ": " : "", value ? value : "");
	ERR_print_errors_fp(stderr);
	return -1;
}

/* The first line of the file. */
static int
read_passphrase(const char *file, char pass[MAX_PASS])
{
	FILE *in = fopen(file, "re");
	char *line;

	if (!in)
		return fail("cannot read the passphrase file", file);
	line = fgets(pass, MAX_PASS, in);
	fclose(in);
	if (!line)
		return fail("the passphrase file is empty", file);
	pass[strcspn(pass, "\r\n")] = '\0';
	return 0;
}

static long
unit_seconds(char unit)
{
	static const struct {
		char unit;
		long seconds;
	} units[] = {
		{ 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 7 * 86400 }, { 'y', 365 * 86400 },
	};

	for (size_t i = 0; i < N_ELEMENTS(units); i++) {
		if (units[i].unit == unit)
			return units[i].seconds;
	}
	return 0;
}

static int
parse_time(const char *text, time_t *ret)
{
	struct tm tm = { 0 };
	char *end = NULL;
	long count;

	if (text[0] == '+' || text[0] == '-') {
		count = strtol(text, &end, 10);
		if (end == text + 1 || unit_seconds(end[0]) == 0 || end[1] != '\0')
			return fail("want a time like +2y, -1d (s m h d w y)", text);
		*ret = time(NULL) + count * unit_seconds(end[0]);
		return 0;
	}
	end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (!end || *end != '\0')
		return fail("want a time like 2026-01-01T00:00:00Z or +2y", text);
	*ret = timegm(&tm);
	return 0;
}

static EVP_PKEY *
make_key(const char *kind)
{
	static const struct {
		const char *name;
		unsigned int bits;
		const char *curve;
	} kinds[] = {
		{ "rsa1024", 1024, NULL }, { "rsa2048", 2048, NULL }, { "rsa3072", 3072, NULL },
		{ "rsa4096", 4096, NULL }, { "p256", 0, "P-256" }, { "p384", 0, "P-384" }, { "p521", 0, "P-521" },
		{ "k256", 0, "secp256k1" },
	};

	for (size_t i = 0; i < N_ELEMENTS(kinds); i++) {
		if (strcmp(kinds[i].name, kind) != 0)
			continue;
		return kinds[i].curve ? EVP_EC_gen(kinds[i].curve) : EVP_RSA_gen(kinds[i].bits);
	}
	if (strcmp(kind, "ed25519") == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	fail("unknown key kind; want rsa1024 rsa2048 rsa3072 rsa4096 p256 p384 p521 k256 ed25519", kind);
	return NULL;
}

static EVP_PKEY *
load_key(const char *file, const char *passphrase_file)
{
	AUTO(BIO_free_all) BIO *bio = BIO_new_file(file, "r");
	char pass[MAX_PASS] = "";

	if (!bio || (passphrase_file && read_passphrase(passphrase_file, pass) == -1))
		return NULL;
	return PEM_read_bio_PrivateKey(bio, NULL, NULL, pass);
}

static X509 *
load_cert(const char *file)
{
	AUTO(BIO_free_all) BIO *bio = BIO_new_file(file, "r");

	return bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
}

static int
load_issuer(const struct options *options, struct issuer *ret)
{
	AUTO(xfree) char *cert = xasprintf("%s.crt", options->ca_of);
	AUTO(xfree) char *key = xasprintf("%s.key", options->ca_of);

	ret->cert = load_cert(cert);
	if (!ret->cert)
		return fail("cannot read the issuer's certificate", cert);
	ret->key = load_key(key, options->ca_passphrase_file);
	if (!ret->key)
		return fail("cannot read the issuer's key", key);
	return 0;
}

static int
set_serial(X509 *cert, const char *hex)
{
	AUTO(BN_free) BIGNUM *serial = NULL;

	if (hex) {
		if (BN_hex2bn(&serial, hex) != (int)strlen(hex))
			return fail("want a serial number in hex", hex);
	} else {
		serial = BN_new();
		if (!serial || !BN_rand(serial, 126, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY))
			return fail("cannot make a serial number", NULL);
	}
	return BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)) ? 0 : fail("serial number", hex);
}

static int
add_name(X509_NAME *name, const char *type, const char *text)
{
	if (!text)
		return 0;
	if (!X509_NAME_add_entry_by_txt(name, type, MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0))
		return fail("bad subject", text);
	return 0;
}

static int
set_subject(X509 *cert, const struct options *options)
{
	AUTO(X509_NAME_free) X509_NAME *name = X509_NAME_new();

	if (!name || add_name(name, "C", "ID") == -1 || add_name(name, "O", options->org) == -1
	    || add_name(name, "CN", options->cn) == -1
	    || add_name(name, "emailAddress", options->subject_email) == -1)
		return -1;
	return X509_set_subject_name(cert, name) ? 0 : fail("subject", NULL);
}

static int
add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	AUTO(X509_EXTENSION_free) X509_EXTENSION *extension = NULL;
	X509V3_CTX context;

	X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	if (!extension || !X509_add_ext(cert, extension, -1))
		return fail("cannot add the extension", value);
	return 0;
}

/* The extension's text for an option's word; NULL leaves it out, "?" is an unknown word. */
static const char *
usage_text(const struct options *options, bool rsa)
{
	if (strcmp(options->usage, "none") == 0)
		return NULL;
	if (options->ca)
		return "critical,keyCertSign,cRLSign";
	if (strcmp(options->usage, "sign") == 0)
		return "critical,digitalSignature,nonRepudiation";
	if (strcmp(options->usage, "encrypt") == 0)
		return rsa ? "critical,keyEncipherment" : "critical,keyAgreement";
	if (strcmp(options->usage, "encipher") == 0)
		return "critical,keyEncipherment";
	if (strcmp(options->usage, "agree") == 0)
		return "critical,keyAgreement";
	if (strcmp(options->usage, "both") == 0)
		return rsa ? "critical,digitalSignature,nonRepudiation,keyEncipherment"
			   : "critical,digitalSignature,nonRepudiation,keyAgreement";
	return "?";
}

static const char *
eku_text(const struct options *options)
{
	static const struct {
		const char *word;
		const char *text;
	} words[] = {
		{ "email", "emailProtection" },
		{ "server", "serverAuth" },
		{ "client", "clientAuth" },
		{ "any", "anyExtendedKeyUsage" },
		{ "none", NULL },
	};

	if (!options->eku)
		return options->ca ? NULL : "emailProtection";
	for (size_t i = 0; i < N_ELEMENTS(words); i++) {
		if (strcmp(words[i].word, options->eku) == 0)
			return words[i].text;
	}
	return "?";
}

/* Built by hand, not from text: an address may hold a comma or worse. */
static int
add_addresses(X509 *cert, const struct options *options)
{
	GENERAL_NAMES *names;
	int ok = 1;

	if (options->n_emails == 0)
		return 0;
	names = GENERAL_NAMES_new();
	for (size_t i = 0; ok && i < options->n_emails; i++) {
		GENERAL_NAME *name = GENERAL_NAME_new();
		ASN1_IA5STRING *text = ASN1_IA5STRING_new();

		ok = name && text && ASN1_STRING_set(text, options->emails[i], -1);
		GENERAL_NAME_set0_value(name, GEN_EMAIL, text);
		ok = ok && sk_GENERAL_NAME_push(names, name);
	}
	ok = ok && X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0);
	GENERAL_NAMES_free(names);
	return ok ? 0 : fail("cannot add the addresses", NULL);
}

static int
add_extensions(X509 *cert, X509 *issuer, const struct options *options)
{
	const char *usage = usage_text(options, EVP_PKEY_is_a(X509_get0_pubkey(cert), "RSA"));
	const char *eku = eku_text(options);

	if (usage && usage[0] == '?')
		return fail("unknown usage; want sign encrypt encipher agree both none", options->usage);
	if (eku && eku[0] == '?')
		return fail("unknown extended usage; want email server client any none", options->eku);
	if (add_extension(cert, issuer, NID_basic_constraints, options->ca ? "critical,CA:TRUE" : "critical,CA:FALSE") == -1
	    || add_extension(cert, issuer, NID_subject_key_identifier, "hash") == -1)
		return -1;
	/* OpenSSL makes an empty one for a self-signed certificate, on which gpgsm chokes. */
	if (issuer != cert && add_extension(cert, issuer, NID_authority_key_identifier, "keyid") == -1)
		return -1;
	if (usage && add_extension(cert, issuer, NID_key_usage, usage) == -1)
		return -1;
	if (eku && add_extension(cert, issuer, NID_ext_key_usage, eku) == -1)
		return -1;
	return add_addresses(cert, options);
}

static int
fill_cert(X509 *cert, EVP_PKEY *key, const struct issuer *issuer, const struct options *options)
{
	X509 *above = issuer->cert ? issuer->cert : cert;
	time_t from;
	time_t to;

	if (parse_time(options->from, &from) == -1 || parse_time(options->to, &to) == -1)
		return -1;
	if (!X509_set_version(cert, X509_VERSION_3) || !X509_set_pubkey(cert, key)
	    || !ASN1_TIME_adj(X509_getm_notBefore(cert), from, 0, 0)
	    || !ASN1_TIME_adj(X509_getm_notAfter(cert), to, 0, 0))
		return fail("cannot fill the certificate", NULL);
	if (set_serial(cert, options->serial) == -1 || set_subject(cert, options) == -1)
		return -1;
	if (!X509_set_issuer_name(cert, X509_get_subject_name(above)))
		return fail("issuer", NULL);
	return add_extensions(cert, above, options);
}

/* gpgsm takes no SHA-256 from a P-384 key. */
static const char *
fitting_digest(const EVP_PKEY *signing_key)
{
	return EVP_PKEY_is_a(signing_key, "EC") && EVP_PKEY_get_bits(signing_key) > 256 ? "sha384" : "sha256";
}

static int
sign_cert(X509 *cert, EVP_PKEY *signing_key, const char *asked)
{
	const char *digest = asked ? asked : fitting_digest(signing_key);
	const EVP_MD *md = EVP_get_digestbyname(digest);

	if (EVP_PKEY_is_a(signing_key, "ED25519"))
		md = NULL;
	else if (!md)
		return fail("unknown digest; want sha256 sha384 sha512 sha1 md5", digest);
	return X509_sign(cert, signing_key, md) ? 0 : fail("cannot sign the certificate", NULL);
}

static BIO *
create(const char *prefix, const char *suffix, mode_t mode)
{
	AUTO(xfree) char *file = xasprintf("%s%s", prefix, suffix);
	int fd;

	if (unlink(file) == -1 && errno != ENOENT)
		return NULL;
	fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	return fd == -1 ? NULL : BIO_new_fd(fd, BIO_CLOSE);
}

static int
write_cert(const char *prefix, X509 *cert)
{
	AUTO(BIO_free_all) BIO *pem = create(prefix, ".crt", 0644);
	AUTO(BIO_free_all) BIO *der = create(prefix, ".der", 0644);

	if (!pem || !der || !PEM_write_bio_X509(pem, cert) || !i2d_X509_bio(der, cert))
		return fail("cannot write the certificate", prefix);
	return 0;
}

static int
write_key(const char *prefix, EVP_PKEY *key, const char *pass)
{
	AUTO(BIO_free_all) BIO *pem = create(prefix, ".key", 0600);
	const EVP_CIPHER *cipher = pass ? EVP_aes_256_cbc() : NULL;
	int len = pass ? (int)strlen(pass) : 0;

	if (!pem || !PEM_write_bio_PKCS8PrivateKey(pem, key, cipher, pass, len, NULL, NULL))
		return fail("cannot write the key", prefix);
	return 0;
}

static int
write_p12(const char *prefix, EVP_PKEY *key, X509 *cert, X509 *issuer, const char *pass)
{
	AUTO(BIO_free_all) BIO *out = create(prefix, ".p12", 0600);
	AUTO(PKCS12_free) PKCS12 *p12 = NULL;
	STACK_OF(X509) *above = sk_X509_new_null();

	if (issuer)
		sk_X509_push(above, issuer);
	p12 = PKCS12_create(pass ? pass : "", "mkpki", key, cert, above, 0, 0, 0, 0, 0);
	sk_X509_free(above);
	if (!out || !p12 || !i2d_PKCS12_bio(out, p12))
		return fail("cannot write the PKCS#12 file", prefix);
	return 0;
}

static int
make(const struct options *options, struct issuer *issuer, const char *pass)
{
	AUTO(EVP_PKEY_free) EVP_PKEY *key = make_key(options->key);
	AUTO(X509_free) X509 *cert = X509_new();

	if (!key || !cert)
		return fail("cannot make the key", options->key);
	if (fill_cert(cert, key, issuer, options) == -1
	    || sign_cert(cert, issuer->key ? issuer->key : key, options->digest) == -1
	    || write_cert(options->out, cert) == -1 || write_key(options->out, key, pass) == -1)
		return -1;
	return options->pkcs12 ? write_p12(options->out, key, cert, issuer->cert, pass) : 0;
}

static int
usage(void)
{
	fputs("usage: mkpki --out PREFIX [--ca-of PREFIX | --self] [--ca] --cn NAME [--org O] [--email ADDR]...\n"
	      "    [--subject-email ADDR] --from TIME --to TIME [--key rsa2048|rsa3072|rsa4096|p256|p384|...]\n"
	      "    [--usage sign|encrypt|encipher|agree|both|none] [--eku email|server|client|any|none] [--serial HEX]\n"
	      "    [--digest sha256|sha384|sha1] [--passphrase-file F] [--ca-passphrase-file F] [--pkcs12]\n"
	      "TIME is 2026-01-01T00:00:00Z, or relative to now: -1d, +2y (s m h d w y)\n",
	    stderr);
	return -1;
}

static int
read_options(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{ "out", required_argument, NULL, 'o' },
		{ "ca-of", required_argument, NULL, 'c' },
		{ "self", no_argument, NULL, 's' },
		{ "ca", no_argument, NULL, 'A' },
		{ "cn", required_argument, NULL, 'n' },
		{ "org", required_argument, NULL, 'O' },
		{ "email", required_argument, NULL, 'e' },
		{ "subject-email", required_argument, NULL, 'S' },
		{ "from", required_argument, NULL, 'f' },
		{ "to", required_argument, NULL, 't' },
		{ "key", required_argument, NULL, 'k' },
		{ "usage", required_argument, NULL, 'u' },
		{ "eku", required_argument, NULL, 'E' },
		{ "serial", required_argument, NULL, 'i' },
		{ "digest", required_argument, NULL, 'd' },
		{ "passphrase-file", required_argument, NULL, 'p' },
		{ "ca-passphrase-file", required_argument, NULL, 'P' },
		{ "pkcs12", no_argument, NULL, '2' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 'o': options->out = optarg; break;
		case 'c': options->ca_of = optarg; break;
		case 's': options->self = true; break;
		case 'A': options->ca = true; break;
		case 'n': options->cn = optarg; break;
		case 'O': options->org = optarg; break;
		case 'S': options->subject_email = optarg; break;
		case 'f': options->from = optarg; break;
		case 't': options->to = optarg; break;
		case 'k': options->key = optarg; break;
		case 'u': options->usage = optarg; break;
		case 'E': options->eku = optarg; break;
		case 'i': options->serial = optarg; break;
		case 'd': options->digest = optarg; break;
		case 'p': options->passphrase_file = optarg; break;
		case 'P': options->ca_passphrase_file = optarg; break;
		case '2': options->pkcs12 = true; break;
		case 'e':
			if (options->n_emails == MAX_EMAILS)
				return fail("too many --email", optarg);
			options->emails[options->n_emails++] = optarg;
			break;
		default: return usage();
		}
	}
	if (optind != argc || !options->out || !options->cn || !options->from || !options->to
	    || (options->self && options->ca_of))
		return usage();
	return 0;
}

int
main(int argc, char **argv)
{
	struct options options = { .key = "rsa2048", .usage = "both" };
	AUTO(X509_free) X509 *issuer_cert = NULL;
	AUTO(EVP_PKEY_free) EVP_PKEY *issuer_key = NULL;
	struct issuer issuer = { NULL, NULL };
	char pass[MAX_PASS] = "";
	int result = 0;

	if (read_options(argc, argv, &options) == -1)
		return 2;
	if (options.passphrase_file && read_passphrase(options.passphrase_file, pass) == -1)
		return 1;
	if (options.ca_of)
		result = load_issuer(&options, &issuer);
	issuer_cert = issuer.cert;
	issuer_key = issuer.key;
	if (result == 0)
		result = make(&options, &issuer, options.passphrase_file ? pass : NULL);
	wipe(pass, sizeof(pass));
	return result == 0 ? 0 : 1;
}
