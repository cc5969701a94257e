/* An OCSP response from elsewhere: reading it, and asking it about a certificate of an authority whose signature nobody else can make. */
#include "tests/fuzz/fuzz.h"

#include "smime/limits.h"
#include "smime/revoke.h"

#include <openssl/err.h>
#include <openssl/evp.h>

static X509 *authority;

/* A key made now: no input can hold a signature by it. */
int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	(void)argc;
	(void)argv;
	authority = X509_new();
	fuzz_must(key && authority && X509_set_pubkey(authority, key) == 1
	    && X509_NAME_add_entry_by_txt(X509_get_subject_name(authority), "CN", MBSTRING_ASC, (const unsigned char *)"Root", -1, -1, 0) == 1
	    && X509_gmtime_adj(X509_getm_notBefore(authority), 0) && X509_gmtime_adj(X509_getm_notAfter(authority), 3600)
	    && X509_sign(authority, key, EVP_sha256()) > 0, "an authority");
	EVP_PKEY_free(key);
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	AUTO(ocsp_free) struct ocsp *ocsp = NULL;
	struct ocsp_facts facts;
	X509 *delegate;
	struct err err;

	if (ocsp_read((struct slice){ bytes, len }, &ocsp, &err) == -1) {
		fuzz_must(err.kind == ERR_CONFIG && err.text[0] != '\0', "what is not taken has a reason");
		ERR_clear_error();
		return 0;
	}
	(void)ocsp_is_weak(ocsp);
	for (size_t i = 0; i < ocsp_n_singles(ocsp); i++) {
		(void)ocsp_serial(ocsp, i);
		fuzz_must(ocsp_ask(ocsp, i, NULL, authority, 0, &facts, &delegate, &err) == -1, "nobody's answer counts");
	}
	ERR_clear_error();
	return 0;
}
