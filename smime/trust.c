#include "smime/trust.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "smime/crl.h"
#include "smime/ocsp.h"
#include "smime/path.h"
#include "smime/revoke.h"
#include "smime/tlv.h"
#include "smime/trust_set.h"

enum {
	MAX_CERT_FILE = 2 * 1024 * 1024, /* a bundle of authorities */
	MAX_CRL_FILE = 2 * LIMIT_CRL_BYTES,
	MAX_OCSP_FILE = 2 * LIMIT_OCSP_BYTES,
};

void
trust_free(struct trust *trust)
{
	if (!trust)
		return;
	for (size_t i = 0; i < trust->n_anchors; i++)
		X509_free(trust->anchors[i].cert);
	for (size_t i = 0; i < trust->n_crls; i++)
		crl_free(trust->crls[i]);
	for (size_t i = 0; i < trust->n_responses; i++)
		ocsp_free(trust->responses[i]);
	sk_X509_pop_free(trust->issuing, X509_free);
	free(trust->anchors);
	free(trust->crls);
	free(trust->responses);
	free(trust->answers);
	free(trust);
}

size_t
trust_n_anchors(const struct trust *trust)
{
	return trust->n_anchors;
}

size_t
trust_n_lost(const struct trust *trust)
{
	return trust->n_lost;
}

enum anchor
trust_purpose(const struct trust *trust, const X509 *cert)
{
	for (size_t i = 0; i < trust->n_anchors; i++) {
		if (X509_cmp(trust->anchors[i].cert, cert) == 0)
			return trust->anchors[i].purpose;
	}
	return ANCHOR_NONE;
}

/* ---- files ---- */

/* One folder being read, and what to do with the bytes of each of its files. */
struct loading {
	struct trust *trust;
	struct buf *problems;
	size_t *n_lost; /* of anchors; NULL: not counted */
	const char *dir;
	enum anchor purpose;
	size_t most;
	int (*take)(struct loading *loading, struct slice file, struct err *err);
	int (*folder)(struct loading *loading, const char *name, struct err *err); /* NULL: sub-folders are not looked into */
};

static void
report(struct loading *loading, const char *name, const char *why)
{
	if (loading->n_lost)
		++*loading->n_lost;
	if (loading->problems)
		buf_printf(loading->problems, "%s/%s: %s\n", loading->dir, name, why);
}

static int
read_whole(int fd, size_t len, struct buf *ret)
{
	char block[65536];
	ssize_t n;

	buf_init(ret, len + 1);
	while ((n = read(fd, block, sizeof(block))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		buf_add(ret, block, (size_t)n);
	}
	return 0;
}

static int
load_file(struct loading *loading, int fd, size_t len, struct err *err)
{
	AUTO_BUF struct buf bytes = { 0 };

	if (len == 0 || len > loading->most)
		return err_set(err, ERR_CONFIG, "a file of %zu bytes; want 1 to %zu", len, loading->most);
	if (read_whole(fd, len, &bytes) == -1)
		return err_set(err, ERR_CONFIG, "cannot be read: %s", strerror(errno));
	if (bytes.len != len)
		return err_set(err, ERR_CONFIG, "changed while it was read");
	return loading->take(loading, buf_slice(&bytes), err);
}

static int
load_entry(struct loading *loading, const char *name, struct err *err)
{
	AUTO(xfree) char *path = xasprintf("%s/%s", loading->dir, name);
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct err why = { 0 };
	struct stat stat;

	if (fd == -1 || fstat(fd, &stat) == -1) {
		report(loading, name, strerror(errno));
		return 0;
	}
	if (S_ISDIR(stat.st_mode) && loading->folder)
		return loading->folder(loading, name, err);
	if (!S_ISREG(stat.st_mode))
		report(loading, name, "is no plain file, and is not looked at");
	else if (load_file(loading, fd, (size_t)stat.st_size, &why) == -1)
		report(loading, name, why.text);
	return 0;
}

static int
is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
load_folder(struct loading *loading, struct err *err)
{
	struct dirent **entries = NULL;
	int n = scandir(loading->dir, &entries, is_visible, by_name);
	int result = 0;

	if (n == -1)
		return err_set(err, ERR_CONFIG, "cannot read the folder '%s': %s", loading->dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		if (result == 0)
			result = load_entry(loading, entries[i]->d_name, err);
		free(entries[i]);
	}
	free(entries);
	ERR_clear_error();
	return result;
}

/* ---- certificates ---- */

static bool
is_among_issuing(const struct trust *trust, const X509 *cert)
{
	for (int i = 0; i < sk_X509_num(trust->issuing); i++) {
		if (X509_cmp(sk_X509_value(trust->issuing, i), cert) == 0)
			return true;
	}
	return false;
}

static void
add_anchor(struct trust *trust, X509 *cert, enum anchor purpose)
{
	trust->anchors = xrealloc(trust->anchors, (trust->n_anchors + 1) * sizeof(*trust->anchors));
	trust->anchors[trust->n_anchors++] = (struct trust_anchor){ cert, purpose };
}

/* A certificate that signs lists only (RFC 5280 6.3.3 (f)) is of use, too. */
static bool
is_of_authority(X509 *cert)
{
	return X509_check_ca(cert) != 0
	    || ((X509_get_extension_flags(cert) & EXFLAG_KUSAGE) && (X509_get_key_usage(cert) & KU_CRL_SIGN));
}

static int
take_cert(struct loading *loading, struct slice der, struct err *err)
{
	struct trust *trust = loading->trust;
	AUTO(X509_free) X509 *cert = ossl_cert(der, err);
	bool self_signed;

	if (!cert)
		return -1;
	if (path_limit(cert))
		return err_set(err, ERR_CONFIG, "too many %s", path_limit(cert));
	self_signed = X509_self_signed(cert, 1) == 1;
	ERR_clear_error();
	if (!is_of_authority(cert) || (self_signed && X509_check_ca(cert) == 0))
		return err_set(err, ERR_CONFIG, "a certificate that is no authority's (no CA by its basicConstraints)");
	if (trust_purpose(trust, cert) != ANCHOR_NONE || is_among_issuing(trust, cert))
		return 0;
	if (self_signed)
		add_anchor(trust, TAKE(cert), loading->purpose);
	else if (sk_X509_push(trust->issuing, cert) > 0)
		(void)TAKE(cert);
	return 0;
}

static int
take_pem_certs(struct loading *loading, struct slice file, struct err *err)
{
	AUTO(BIO_free_all) BIO *bio = BIO_new_mem_buf(file.at, (int)file.len);
	char *name = NULL, *header = NULL;
	unsigned char *data = NULL;
	long len = 0;
	size_t n = 0;
	int result = 0;

	for (; bio && PEM_read_bio(bio, &name, &header, &data, &len) == 1; n++) {
		struct err one = { 0 };
		int taken = strcmp(name, PEM_STRING_X509) == 0 ? take_cert(loading, (struct slice){ data, (size_t)len }, &one)
		    : err_set(&one, ERR_CONFIG, "holds a '%.40s'; want certificates only", name);

		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(data, (size_t)len);
		/* The good ones of a bundle count; the first bad one is reported. */
		if (taken == -1 && result == 0)
			result = err_set(err, one.kind, "part %zu: %s", n + 1, one.text);
	}
	ERR_clear_error();
	return n == 0 ? err_set(err, ERR_CONFIG, "no certificate in the file; want PEM or DER") : result;
}

static int
take_certs(struct loading *loading, struct slice file, struct err *err)
{
	return file.at[0] == TLV_SEQUENCE ? take_cert(loading, file, err) : take_pem_certs(loading, file, err);
}

static int
load_anchors(struct trust *trust, const char *dir, enum anchor purpose,
    int (*folder)(struct loading *, const char *, struct err *), struct buf *problems, struct err *err)
{
	struct loading loading = { .trust = trust, .problems = problems, .n_lost = &trust->n_lost, .dir = dir, .purpose = purpose, .most = MAX_CERT_FILE,
		.take = take_certs, .folder = folder };

	return load_folder(&loading, err);
}

static int
load_purpose(struct loading *loading, const char *name, struct err *err)
{
	static const struct {
		const char *name;
		enum anchor purpose;
	} purposes[] = {
		{ "official", ANCHOR_OFFICIAL }, { "partner", ANCHOR_PARTNER },
	};

	for (size_t i = 0; i < N_ELEMENTS(purposes); i++) {
		if (strcmp(purposes[i].name, name) == 0) {
			AUTO(xfree) char *dir = xasprintf("%s/%s", loading->dir, name);

			return load_anchors(loading->trust, dir, purposes[i].purpose, NULL, loading->problems, err);
		}
	}
	report(loading, name, "a folder that is not looked into; want official or partner");
	return 0;
}

/* ---- CRLs and OCSP answers ---- */

static int
take_crl(struct loading *loading, struct slice file, struct err *err)
{
	struct trust *trust = loading->trust;
	struct crl *crl = NULL;

	if (crl_read(file, &crl, err) == -1)
		return -1;
	trust->crls = xrealloc(trust->crls, (trust->n_crls + 1) * sizeof(*trust->crls));
	trust->crls[trust->n_crls++] = crl;
	return 0;
}

static int
take_response(struct loading *loading, struct slice file, struct err *err)
{
	struct trust *trust = loading->trust;
	struct trust_answer answer = { .single = 0 };
	struct ocsp *ocsp = NULL;
	size_t n;

	if (ossl_sha256(file, answer.sha256, err) == -1 || ocsp_read(file, &ocsp, err) == -1)
		return -1;
	answer.ocsp = ocsp;
	n = ocsp_n_singles(ocsp);
	trust->responses = xrealloc(trust->responses, (trust->n_responses + 1) * sizeof(struct ocsp *));
	trust->responses[trust->n_responses++] = ocsp;
	trust->answers = xrealloc(trust->answers, (trust->n_answers + n) * sizeof(*trust->answers));
	for (; answer.single < n; answer.single++)
		trust->answers[trust->n_answers++] = answer;
	return 0;
}

static int
compare_bytes(struct slice a, struct slice b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len ? memcmp(a.at, b.at, len) : 0;

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int
by_serial(const void *a, const void *b)
{
	const struct trust_answer *x = a;
	const struct trust_answer *y = b;
	int order = compare_bytes(ocsp_serial(x->ocsp, x->single), ocsp_serial(y->ocsp, y->single));

	if (order == 0)
		order = memcmp(x->sha256, y->sha256, sizeof(x->sha256));
	return order ? order : (x->single > y->single) - (x->single < y->single);
}

static int
by_cert(const void *a, const void *b)
{
	const struct trust_anchor *x = a;
	const struct trust_anchor *y = b;

	return X509_cmp(x->cert, y->cert);
}

static int
by_issuing(const X509 *const *a, const X509 *const *b)
{
	return X509_cmp(*a, *b);
}

static int
by_list(const void *a, const void *b)
{
	const struct crl *const *x = a;
	const struct crl *const *y = b;

	return memcmp(crl_facts(*x)->sha256, crl_facts(*y)->sha256, sizeof(crl_facts(*x)->sha256));
}

/* The order of the files' names must not show in a verdict. */
static void
sort_all(struct trust *trust)
{
	if (trust->n_anchors > 0)
		qsort(trust->anchors, trust->n_anchors, sizeof(*trust->anchors), by_cert);
	if (trust->n_crls > 0)
		qsort(trust->crls, trust->n_crls, sizeof(struct crl *), by_list);
	if (trust->n_answers > 0)
		qsort(trust->answers, trust->n_answers, sizeof(*trust->answers), by_serial);
	(void)sk_X509_set_cmp_func(trust->issuing, by_issuing);
	sk_X509_sort(trust->issuing);
}

size_t
trust_answers_for(const struct trust *trust, struct slice serial, const struct trust_answer **ret)
{
	size_t low = 0, high = trust->n_answers, n = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct trust_answer *answer = &trust->answers[middle];

		if (compare_bytes(ocsp_serial(answer->ocsp, answer->single), serial) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret = trust->answers + low;
	while (low + n < trust->n_answers
	    && slice_equal(ocsp_serial(trust->answers[low + n].ocsp, trust->answers[low + n].single), serial))
		n++;
	return n;
}

/* So that no message pays for the first look at a list: each is held against the keys that are here. */
static void
check_lists(const struct trust *trust)
{
	for (size_t i = 0; i < trust->n_crls; i++) {
		for (size_t j = 0; j < trust->n_anchors; j++) {
			if (crl_has_issuer(trust->crls[i], X509_get_subject_name(trust->anchors[j].cert)))
				(void)crl_verifies(trust->crls[i], trust->anchors[j].cert);
		}
		for (int j = 0; j < sk_X509_num(trust->issuing); j++) {
			if (crl_has_issuer(trust->crls[i], X509_get_subject_name(sk_X509_value(trust->issuing, j))))
				(void)crl_verifies(trust->crls[i], sk_X509_value(trust->issuing, j));
		}
	}
}

static int
load_statements(struct trust *trust, const char *dir, size_t most, int (*take)(struct loading *, struct slice, struct err *),
    struct buf *problems, struct err *err)
{
	struct loading loading = { .trust = trust, .problems = problems, .dir = dir, .most = most, .take = take };

	return dir ? load_folder(&loading, err) : 0;
}

int
trust_load(const struct trust_folders *folders, const struct trust_ages *ages, struct trust **ret, struct buf *problems,
    struct err *err)
{
	AUTO(trust_free) struct trust *trust = xcalloc(1, sizeof(*trust));

	trust->ages = *ages;
	trust->issuing = sk_X509_new_null();
	if (!trust->issuing)
		return ossl_err(err, ERR_TEMP, "no memory for authorities");
	if (folders->anchors && load_anchors(trust, folders->anchors, ANCHOR_OFFICIAL, load_purpose, problems, err) == -1)
		return err_wrap(err, "anchors");
	if (load_statements(trust, folders->crls, MAX_CRL_FILE, take_crl, problems, err) == -1)
		return err_wrap(err, "CRLs");
	if (load_statements(trust, folders->ocsp, MAX_OCSP_FILE, take_response, problems, err) == -1)
		return err_wrap(err, "OCSP answers");
	sort_all(trust);
	check_lists(trust);
	*ret = TAKE(trust);
	return 0;
}

int
trust_load_dir(const char *dir, const struct trust_ages *ages, struct trust **ret, struct buf *problems, struct err *err)
{
	AUTO(xfree) char *anchors = xasprintf("%s/anchors", dir);
	AUTO(xfree) char *crls = xasprintf("%s/crl", dir);
	AUTO(xfree) char *ocsp = xasprintf("%s/ocsp", dir);
	const struct trust_folders folders = { .anchors = anchors, .crls = crls, .ocsp = ocsp };

	return trust_load(&folders, ages, ret, problems, err);
}
