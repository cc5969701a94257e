/*
 * mkx509: what mkpki does not make: certificates with further extensions, CRLs, OCSP answers, with any flaw.
 *
 *     mkx509 cert --in leaf.crt --ca root --ext 'nameConstraints=critical,permitted;email:a.example' --out leaf2
 *     mkx509 crl --ca root --number 5 --revoke 1a --revoke 1b:certificateHold --from -1d --to +1d --out root.crl
 *     mkx509 ocsp --ca root --signer root --cert leaf.crt --status good --from -1h --to +1h --out leaf.ors
 *
 * PREFIX means PREFIX.crt and PREFIX.key (or .der beside them). Checks nothing about what it signs.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "smime/base.h"

AUTO_DEFINE(X509, X509_free);
AUTO_DEFINE(X509_CRL, X509_CRL_free);
AUTO_DEFINE(EVP_PKEY, EVP_PKEY_free);
AUTO_DEFINE(BIO, BIO_free_all);
AUTO_DEFINE(BIGNUM, BN_free);
AUTO_DEFINE(CONF, NCONF_free);
AUTO_DEFINE(ASN1_ENUMERATED, ASN1_ENUMERATED_free);
AUTO_DEFINE(ASN1_INTEGER, ASN1_INTEGER_free);
AUTO_DEFINE(ASN1_TIME, ASN1_TIME_free);
AUTO_DEFINE(X509_EXTENSION, X509_EXTENSION_free);
AUTO_DEFINE(OCSP_BASICRESP, OCSP_BASICRESP_free);
AUTO_DEFINE(OCSP_RESPONSE, OCSP_RESPONSE_free);

enum { MOST = 20 };

struct options {
	const char *out, *in, *ca, *name_of, *signer, *number, *from, *to, *digest, *cert, *status, *serial;
	const char *ext[MOST];
	size_t n_ext;
	const char *revoke[MOST];
	size_t n_revoke;
	const char *entry_ext; /* on every entry of --revoke */
	const char *remove[MOST];
	size_t n_remove;
	long revoke_many;
	bool no_certs, by_key, damage, pem, base64;
};

struct pair {
	X509 *cert;
	EVP_PKEY *key;
};

static int
fail(const char *what, const char *value)
{
	fprintf(stderr, "mkx509: %s%s%s\n", what, value ? ": " : "", value ? value : "");
	ERR_print_errors_fp(stderr);
	return -1;
}

static time_t
parse_time(const char *text)
{
	static const struct {
		char unit;
		long seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'y', 365 * 86400 } };
	struct tm tm = { 0 };
	char *end = NULL;
	long count = strtol(text, &end, 10);

	for (size_t i = 0; i < N_ELEMENTS(units) && (text[0] == '+' || text[0] == '-'); i++) {
		if (units[i].unit == end[0] && end[1] == '\0')
			return time(NULL) + count * units[i].seconds;
	}
	end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (end && *end == '\0')
		return timegm(&tm);
	fail("want a time like 2026-01-01T00:00:00Z or +1d", text);
	exit(1);
}

static X509 *
load_cert(const char *file)
{
	AUTO(BIO_free_all) BIO *bio = BIO_new_file(file, "r");

	return bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
}

static int
load_pair(const char *prefix, struct pair *ret)
{
	AUTO(xfree) char *cert = xasprintf("%s.crt", prefix);
	AUTO(xfree) char *key = xasprintf("%s.key", prefix);
	AUTO(BIO_free_all) BIO *bio = BIO_new_file(key, "r");

	ret->cert = load_cert(cert);
	ret->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	return ret->cert && ret->key ? 0 : fail("cannot read certificate and key", prefix);
}

static void
pair_done(struct pair *pair)
{
	X509_free(pair->cert);
	EVP_PKEY_free(pair->key);
}

static X509_EXTENSION *
make_extension(const char *text, X509 *issuer, X509 *cert)
{
	AUTO(xfree) char *name = xstrdup(text);
	char *value = strchr(name, '=');
	/* Some kinds ask for a database of sections; an empty one does. */
	AUTO(NCONF_free) CONF *sections = NCONF_new(NULL);
	AUTO(BIO_free_all) BIO *nothing = BIO_new_mem_buf("[none]\n", -1);
	X509V3_CTX context;
	long line;

	if (!value || NCONF_load_bio(sections, nothing, &line) != 1)
		return NULL;
	*value++ = '\0';
	X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
	X509V3_set_nconf(&context, sections);
	return X509V3_EXT_nconf(sections, &context, name, value);
}

static const EVP_MD *
digest_for(const struct options *options, const EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_get_digestbyname(options->digest);
}

static ASN1_INTEGER *
integer(const char *hex)
{
	AUTO(BN_free) BIGNUM *number = NULL;

	return BN_hex2bn(&number, hex) ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
}

/* ---- certificates ---- */

static int
write_cert(const char *prefix, X509 *cert)
{
	AUTO(xfree) char *crt = xasprintf("%s.crt", prefix);
	AUTO(xfree) char *der = xasprintf("%s.der", prefix);
	AUTO(BIO_free_all) BIO *pem_out = BIO_new_file(crt, "w");
	AUTO(BIO_free_all) BIO *der_out = BIO_new_file(der, "w");

	return pem_out && der_out && PEM_write_bio_X509(pem_out, cert) && i2d_X509_bio(der_out, cert) ? 0 : fail("cannot write", prefix);
}

/* An extension of a kind that is there already takes its place. */
static int
set_extension(X509 *cert, X509 *issuer, const char *text)
{
	AUTO(X509_EXTENSION_free) X509_EXTENSION *extension = make_extension(text, issuer, cert);
	int at;

	if (!extension)
		return fail("no such extension", text);
	at = X509_get_ext_by_OBJ(cert, X509_EXTENSION_get_object(extension), -1);
	if (at >= 0)
		X509_EXTENSION_free(X509_delete_ext(cert, at));
	return X509_add_ext(cert, extension, -1) ? 0 : fail("cannot add", text);
}

static int
run_cert(const struct options *options)
{
	struct pair ca = { 0 };
	AUTO(X509_free) X509 *cert = load_cert(options->in);
	int result = !cert || load_pair(options->ca, &ca) == -1 ? fail("cannot read", options->in) : 0;

	for (size_t i = 0; result == 0 && i < options->n_remove; i++) {
		int at = X509_get_ext_by_NID(cert, OBJ_txt2nid(options->remove[i]), -1);

		if (at >= 0)
			X509_EXTENSION_free(X509_delete_ext(cert, at));
	}
	for (size_t i = 0; result == 0 && i < options->n_ext; i++)
		result = set_extension(cert, ca.cert, options->ext[i]);
	if (result == 0 && options->serial) {
		AUTO(ASN1_INTEGER_free) ASN1_INTEGER *serial = integer(options->serial);

		X509_set_serialNumber(cert, serial);
	}
	if (result == 0)
		X509_set_issuer_name(cert, X509_get_subject_name(ca.cert));
	if (result == 0 && !X509_sign(cert, ca.key, digest_for(options, ca.key)))
		result = fail("cannot sign", NULL);
	pair_done(&ca);
	return result == 0 ? write_cert(options->out, cert) : -1;
}

/* ---- CRLs ---- */

static int
reason_code(const char *name)
{
	static const struct {
		const char *name;
		int code;
	} reasons[] = {
		{ "keyCompromise", CRL_REASON_KEY_COMPROMISE }, { "CACompromise", CRL_REASON_CA_COMPROMISE },
		{ "superseded", CRL_REASON_SUPERSEDED }, { "certificateHold", CRL_REASON_CERTIFICATE_HOLD },
		{ "removeFromCRL", CRL_REASON_REMOVE_FROM_CRL },
	};

	for (size_t i = 0; i < N_ELEMENTS(reasons); i++) {
		if (strcmp(reasons[i].name, name) == 0)
			return reasons[i].code;
	}
	return CRL_REASON_UNSPECIFIED;
}

static int
add_entry(X509_CRL *crl, const char *serial, const char *reason, const struct options *options)
{
	AUTO(ASN1_INTEGER_free) ASN1_INTEGER *number = integer(serial);
	AUTO(ASN1_TIME_free) ASN1_TIME *when = ASN1_TIME_set(NULL, parse_time("-1d"));
	X509_REVOKED *entry = X509_REVOKED_new();
	int ok = number && X509_REVOKED_set_serialNumber(entry, number) && X509_REVOKED_set_revocationDate(entry, when);

	if (ok && reason) {
		AUTO(ASN1_ENUMERATED_free) ASN1_ENUMERATED *code = ASN1_ENUMERATED_new();

		ok = ASN1_ENUMERATED_set(code, reason_code(reason)) && X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, code, 0, 0);
	}
	if (ok && options->entry_ext) {
		AUTO(X509_EXTENSION_free) X509_EXTENSION *extension = make_extension(options->entry_ext, NULL, NULL);

		ok = extension && X509_REVOKED_add_ext(entry, extension, -1);
	}
	return ok && X509_CRL_add0_revoked(crl, entry) ? 0 : fail("cannot add the entry", serial);
}

static int
add_entries(X509_CRL *crl, const struct options *options)
{
	for (size_t i = 0; i < options->n_revoke; i++) {
		AUTO(xfree) char *serial = xstrdup(options->revoke[i]);
		char *reason = strchr(serial, ':');

		if (reason)
			*reason++ = '\0';
		if (add_entry(crl, serial, reason, options) == -1)
			return -1;
	}
	for (long i = 0; i < options->revoke_many; i++) {
		char serial[32];

		/* Out of order, as lists are that grow. */
		snprintf(serial, sizeof(serial), "7F%014lX", (i * 7919 + 13) % 1000003);
		if (add_entry(crl, serial, NULL, options) == -1)
			return -1;
	}
	return 0;
}

static int
fill_crl(X509_CRL *crl, const struct pair *ca, const struct options *options)
{
	AUTO(X509_free) X509 *other = options->name_of ? load_cert(options->name_of) : NULL;
	AUTO(ASN1_TIME_free) ASN1_TIME *from = ASN1_TIME_set(NULL, parse_time(options->from));
	AUTO(ASN1_TIME_free) ASN1_TIME *to = options->to ? ASN1_TIME_set(NULL, parse_time(options->to)) : NULL;

	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(other ? other : ca->cert));
	X509_CRL_set1_lastUpdate(crl, from);
	if (to)
		X509_CRL_set1_nextUpdate(crl, to);
	if (options->number) {
		AUTO(ASN1_INTEGER_free) ASN1_INTEGER *number = integer(options->number);

		if (!number || !X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0))
			return fail("cannot set the number", options->number);
	}
	for (size_t i = 0; i < options->n_ext; i++) {
		AUTO(X509_EXTENSION_free) X509_EXTENSION *extension = make_extension(options->ext[i], ca->cert, NULL);

		if (!extension || !X509_CRL_add_ext(crl, extension, -1))
			return fail("cannot add the extension", options->ext[i]);
	}
	return add_entries(crl, options);
}

static int
write_bytes(const char *name, const unsigned char *bytes, size_t len)
{
	FILE *file = fopen(name, "we");
	int ok = file && fwrite(bytes, 1, len, file) == len;

	if (file && fclose(file) != 0)
		ok = 0;
	return ok ? 0 : fail("cannot write", name);
}

static int
run_crl(const struct options *options)
{
	struct pair ca = { 0 };
	AUTO(X509_CRL_free) X509_CRL *crl = X509_CRL_new();
	unsigned char *der = NULL;
	int len = 0;
	int result = load_pair(options->ca, &ca) == -1 || fill_crl(crl, &ca, options) == -1 ? -1 : 0;

	if (result == 0 && !X509_CRL_sign(crl, ca.key, digest_for(options, ca.key)))
		result = fail("cannot sign", NULL);
	if (result == 0 && options->pem) {
		AUTO(BIO_free_all) BIO *bio = BIO_new_file(options->out, "w");

		result = bio && PEM_write_bio_X509_CRL(bio, crl) ? 0 : fail("cannot write", options->out);
	} else if (result == 0) {
		len = i2d_X509_CRL(crl, &der);
		if (options->damage)
			der[len - 1] ^= 1;
		result = write_bytes(options->out, der, (size_t)len);
	}
	OPENSSL_free(der);
	pair_done(&ca);
	return result;
}

/* ---- OCSP ---- */

static int
status_of(const char *word)
{
	return strcmp(word, "good") == 0 ? V_OCSP_CERTSTATUS_GOOD : strcmp(word, "unknown") == 0 ? V_OCSP_CERTSTATUS_UNKNOWN
	    : V_OCSP_CERTSTATUS_REVOKED;
}

static int
fill_answer(OCSP_BASICRESP *basic, const struct pair *ca, const struct options *options)
{
	AUTO(X509_free) X509 *cert = load_cert(options->cert);
	AUTO(ASN1_TIME_free) ASN1_TIME *from = ASN1_TIME_set(NULL, parse_time(options->from));
	AUTO(ASN1_TIME_free) ASN1_TIME *to = options->to ? ASN1_TIME_set(NULL, parse_time(options->to)) : NULL;
	AUTO(ASN1_TIME_free) ASN1_TIME *revoked = ASN1_TIME_set(NULL, parse_time("-1d"));
	AUTO(ASN1_INTEGER_free) ASN1_INTEGER *serial = options->serial ? integer(options->serial) : NULL;
	int status = status_of(options->status);
	int reason = strcmp(options->status, "hold") == 0 ? OCSP_REVOKED_STATUS_CERTIFICATEHOLD : OCSP_REVOKED_STATUS_KEYCOMPROMISE;
	OCSP_CERTID *id;
	int ok;

	if (!cert)
		return fail("cannot read", options->cert);
	id = OCSP_cert_id_new(EVP_sha1(), X509_get_subject_name(ca->cert), X509_get0_pubkey_bitstr(ca->cert),
	    serial ? serial : X509_get0_serialNumber(cert));
	ok = id && OCSP_basic_add1_status(basic, id, status, reason, revoked, from, to);
	OCSP_CERTID_free(id);
	for (size_t i = 0; ok && i < options->n_ext; i++) {
		AUTO(X509_EXTENSION_free) X509_EXTENSION *extension = make_extension(options->ext[i], ca->cert, NULL);

		ok = extension && OCSP_BASICRESP_add_ext(basic, extension, -1);
	}
	return ok ? 0 : fail("cannot fill the answer", NULL);
}

static int
write_response(const struct options *options, OCSP_BASICRESP *basic)
{
	AUTO(OCSP_RESPONSE_free) OCSP_RESPONSE *response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	AUTO(BIO_free_all) BIO *out = BIO_new_file(options->out, "w");
	AUTO(BIO_free_all) BIO *base64 = options->base64 ? BIO_push(BIO_new(BIO_f_base64()), TAKE(out)) : NULL;

	if (!i2d_OCSP_RESPONSE_bio(base64 ? base64 : out, response) || BIO_flush(base64 ? base64 : out) != 1)
		return fail("cannot write", options->out);
	return 0;
}

static int
run_ocsp(const struct options *options)
{
	struct pair ca = { 0 }, signer = { 0 };
	AUTO(OCSP_BASICRESP_free) OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	unsigned long flags = (options->no_certs ? OCSP_NOCERTS : 0) | (options->by_key ? OCSP_RESPID_KEY : 0);
	int result = load_pair(options->ca, &ca) == -1 || load_pair(options->signer, &signer) == -1
	    || fill_answer(basic, &ca, options) == -1 ? -1 : 0;

	if (result == 0 && !OCSP_basic_sign(basic, signer.cert, signer.key, digest_for(options, signer.key), NULL, flags))
		result = fail("cannot sign", NULL);
	if (result == 0 && options->damage) {
		/* Of a copy of the pointer: it takes no const and gives none. */
		ASN1_OCTET_STRING *bits = (ASN1_OCTET_STRING *)(uintptr_t)OCSP_resp_get0_signature(basic);

		bits->data[bits->length - 1] ^= 1;
	}
	pair_done(&ca);
	pair_done(&signer);
	return result == 0 ? write_response(options, basic) : -1;
}

/* ---- options ---- */

static const struct {
	const char *name;
	int (*run)(const struct options *options);
} commands[] = {
	{ "cert", run_cert },
	{ "crl", run_crl },
	{ "ocsp", run_ocsp },
};

static int
usage(void)
{
	fputs("usage: mkx509 cert --in CRT --ca PREFIX --out PREFIX [--ext NAME=VALUE]... [--remove NAME]... [--serial HEX]\n"
	      "       mkx509 crl --ca PREFIX --out FILE [--number HEX] [--revoke HEX[:REASON]]... [--revoke-many N] [--from T] [--to T|none]\n"
	      "           [--ext NAME=VALUE]... [--entry-ext NAME=VALUE] [--name-of CRT] [--pem] [--damage]\n"
	      "       mkx509 ocsp --ca PREFIX --signer PREFIX --cert CRT --status good|revoked|hold|unknown --out FILE [--from T] [--to T|none]\n"
	      "           [--serial HEX] [--ext NAME=VALUE]... [--no-certs] [--by-key] [--damage] [--base64]\n"
	      "       all: [--digest sha256]; T like -1d, +1h or 2026-01-01T00:00:00Z; NAME=VALUE as in openssl's x509v3_config\n",
	    stderr);
	return -1;
}

static int
add(const char *list[MOST], size_t *n, const char *value)
{
	if (*n == MOST)
		return fail("too many of one kind", value);
	list[(*n)++] = value;
	return 0;
}

static int
read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "out", required_argument, NULL, 'o' }, { "in", required_argument, NULL, 'i' }, { "ca", required_argument, NULL, 'c' },
		{ "name-of", required_argument, NULL, 'N' }, { "signer", required_argument, NULL, 's' },
		{ "number", required_argument, NULL, 'n' }, { "from", required_argument, NULL, 'f' }, { "to", required_argument, NULL, 't' },
		{ "digest", required_argument, NULL, 'd' }, { "cert", required_argument, NULL, 'C' }, { "status", required_argument, NULL, 'S' },
		{ "serial", required_argument, NULL, 'r' }, { "ext", required_argument, NULL, 'e' }, { "entry-ext", required_argument, NULL, 'E' },
		{ "remove", required_argument, NULL, 'x' }, { "revoke", required_argument, NULL, 'R' },
		{ "revoke-many", required_argument, NULL, 'm' }, { "no-certs", no_argument, NULL, '0' }, { "by-key", no_argument, NULL, 'k' },
		{ "damage", no_argument, NULL, 'D' }, { "pem", no_argument, NULL, 'p' }, { "base64", no_argument, NULL, 'b' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 'o': o->out = optarg; break;
		case 'i': o->in = optarg; break;
		case 'c': o->ca = optarg; break;
		case 'N': o->name_of = optarg; break;
		case 's': o->signer = optarg; break;
		case 'n': o->number = strcmp(optarg, "none") == 0 ? NULL : optarg; break;
		case 'f': o->from = optarg; break;
		case 't': o->to = strcmp(optarg, "none") == 0 ? NULL : optarg; break;
		case 'd': o->digest = optarg; break;
		case 'C': o->cert = optarg; break;
		case 'S': o->status = optarg; break;
		case 'r': o->serial = optarg; break;
		case 'e': if (add(o->ext, &o->n_ext, optarg) == -1) return -1; break;
		case 'E': o->entry_ext = optarg; break;
		case 'x': if (add(o->remove, &o->n_remove, optarg) == -1) return -1; break;
		case 'R': if (add(o->revoke, &o->n_revoke, optarg) == -1) return -1; break;
		case 'm': o->revoke_many = strtol(optarg, NULL, 10); break;
		case '0': o->no_certs = true; break;
		case 'k': o->by_key = true; break;
		case 'D': o->damage = true; break;
		case 'p': o->pem = true; break;
		case 'b': o->base64 = true; break;
		default: return -1;
		}
	}
	return o->out && optind == argc ? 0 : usage();
}

int
main(int argc, char **argv)
{
	struct options options = { .number = "1", .from = "-1h", .to = "+1d", .digest = "sha256", .status = "good" };

	for (size_t i = 0; argc > 1 && i < N_ELEMENTS(commands); i++) {
		if (strcmp(commands[i].name, argv[1]) == 0)
			return read_options(argc - 1, argv + 1, &options) == 0 && commands[i].run(&options) == 0 ? 0 : 1;
	}
	return usage() == 0 ? 0 : 2;
}
