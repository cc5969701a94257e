#include "smime/issuers.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

AUTO_DEFINE(X509, X509_free);

struct issuer {
	X509 *cert;
	unsigned char *der;
	size_t len;
};

struct issuers {
	struct issuer *at;
	size_t n;
};

void
issuers_free(struct issuers *issuers)
{
	if (!issuers)
		return;
	for (size_t i = 0; i < issuers->n; i++) {
		X509_free(issuers->at[i].cert);
		OPENSSL_free(issuers->at[i].der);
	}
	free(issuers->at);
	free(issuers);
}

/* Takes the certificate. */
static int
add_issuer(struct issuers *issuers, X509 *cert, const char *file, struct err *err)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der);

	if (len <= 0) {
		X509_free(cert);
		return err_set(err, ERR_CONFIG, "'%s' holds a certificate that cannot be written as DER", file);
	}
	issuers->at = xrealloc(issuers->at, (issuers->n + 1) * sizeof(*issuers->at));
	issuers->at[issuers->n++] = (struct issuer){ .cert = cert, .der = der, .len = (size_t)len };
	return 0;
}

static int
load_file(struct issuers *issuers, const char *path, struct err *err)
{
	FILE *file = fopen(path, "re");
	size_t before = issuers->n;
	X509 *cert;

	if (!file)
		return err_set(err, ERR_CONFIG, "cannot read '%s': %s", path, strerror(errno));
	while ((cert = PEM_read_X509(file, NULL, NULL, NULL))) {
		if (add_issuer(issuers, cert, path, err) == -1) {
			fclose(file);
			return -1;
		}
	}
	fclose(file);
	ERR_clear_error();
	if (issuers->n == before)
		return err_set(err, ERR_CONFIG, "'%s' holds no certificate in PEM form", path);
	return 0;
}

static bool
is_certificate_file(const char *name)
{
	const char *dot = strrchr(name, '.');

	return name[0] != '.' && dot && (strcmp(dot, ".pem") == 0 || strcmp(dot, ".crt") == 0);
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
wanted_entry(const struct dirent *entry)
{
	return is_certificate_file(entry->d_name);
}

int
issuers_load(const char *dir, struct issuers **ret, struct err *err)
{
	AUTO(issuers_free) struct issuers *issuers = xcalloc(1, sizeof(*issuers));
	struct dirent **entries = NULL;
	int n = scandir(dir, &entries, wanted_entry, by_name);
	int result = 0;

	if (n == -1)
		return err_set(err, ERR_CONFIG, "cannot read the folder '%s' of issuing authorities: %s", dir,
		    strerror(errno));
	for (int i = 0; i < n; i++) {
		char *path = xasprintf("%s/%s", dir, entries[i]->d_name);

		if (result == 0)
			result = load_file(issuers, path, err);
		free(path);
		free(entries[i]);
	}
	free(entries);
	if (result == 0)
		*ret = TAKE(issuers);
	return result;
}

/* By name, then by its signature: two authorities may share a name across a key change. */
static const struct issuer *
issuer_of(const struct issuers *issuers, X509 *cert)
{
	for (size_t i = 0; i < issuers->n; i++) {
		X509 *issuer = issuers->at[i].cert;

		if (X509_check_issued(issuer, cert) == X509_V_OK && X509_verify(cert, X509_get0_pubkey(issuer)) == 1)
			return &issuers->at[i];
	}
	return NULL;
}

/* Two authorities that certified each other would go round for ever. */
static bool
is_among(const struct issuer *issuer, const struct slice *chain, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (chain[i].at == issuer->der)
			return true;
	return false;
}

size_t
issuers_above(const struct issuers *issuers, struct slice leaf, struct slice ret[LIMIT_CHAIN_CERTS])
{
	const unsigned char *at = leaf.at;
	AUTO(X509_free) X509 *cert = d2i_X509(NULL, &at, (long)leaf.len);
	X509 *below = cert; /* borrowed */
	size_t n = 0;

	while (below && n < LIMIT_CHAIN_CERTS) {
		const struct issuer *issuer = issuer_of(issuers, below);

		if (!issuer || X509_self_signed(issuer->cert, 0) == 1 || is_among(issuer, ret, n))
			break;
		ret[n++] = (struct slice){ issuer->der, issuer->len };
		below = issuer->cert;
	}
	ERR_clear_error();
	return n;
}

bool
issuers_know(const struct issuers *issuers, struct slice leaf)
{
	const unsigned char *at = leaf.at;
	AUTO(X509_free) X509 *cert = d2i_X509(NULL, &at, (long)leaf.len);
	bool known = cert && (X509_self_signed(cert, 0) == 1 || issuer_of(issuers, cert));

	ERR_clear_error();
	return known;
}
