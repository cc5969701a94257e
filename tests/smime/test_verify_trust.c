/*
 * Whole verifications with anchors and CRLs: what a message brings along must not help it. A20: a
 * revoked signer embeds the last CRL that does not list him; OpenSSL, asked as usual, believes him.
 * A26: embedded certificates are helpers, never anchors.
 */
#include "tests/smime/world.h"

#include <openssl/cms.h>
#include <openssl/pem.h>

#include "smime/inspect.h"
#include "smime/verify.h"
#include "tests/support/forge.h"

enum { NOW = 1790000000 }; /* 2026-09-21T13:33:20Z */

#define HEAD "From: budi@kota.example\r\nTo: ana@prov.example\r\nSubject: Surat\r\n"
#define ENTITY "Content-Type: text/plain\r\n\r\nHalo dari dinas.\r\n"
#define DATES "--from 2026-01-01T00:00:00Z --to 2036-01-01T00:00:00Z"

static const struct trust_ages ages = { .grace = 24 * 3600, .ocsp_most = 24 * 3600, .skew = 300 };

/* A CRL of "ca" with a number; `revoked` lists the certificate "revoked". */
static void
make_crl(const char *out, int number, const char *day, bool revoked)
{
	assert_int_equal(run("printf '%%s' '%02X' >number && : >index.txt && if %s; then printf "
	    "'R\\t360101000000Z\\t260920120000Z\\t%%s\\tunknown\\t/CN=x\\n' $(openssl x509 -in revoked.crt -noout -serial | cut -d= -f2) >index.txt; fi"
	    " && openssl ca -config ca.cnf -gencrl -cert ca.crt -keyfile ca.key -crl_lastupdate 202609%s000000Z -crl_nextupdate 20261020000000Z"
	    " -out %s 2>ca.log", number, revoked ? "true" : "false", day, out), 0);
}

static int
setup(void **given)
{
	struct world *world = calloc(1, sizeof(*world));

	world_open(world);
	mkpki(world, "--self --out root --ca --cn Root " DATES " --key p256");
	mkpki(world, "--ca-of root --out ca --ca --cn CA " DATES " --key p256");
	mkpki(world, "--ca-of ca --out budi --cn Budi --email budi@kota.example " DATES " --key p256");
	mkpki(world, "--ca-of ca --out revoked --cn Revoked --email budi@kota.example " DATES " --key p256");
	mkpki(world, "--self --out evilroot --ca --cn Root " DATES " --key p256");
	mkpki(world, "--ca-of evilroot --out evil --cn Budi --email budi@kota.example " DATES " --key p256");
	assert_int_equal(run("printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index.txt\\ncrlnumber=number\\ndefault_md=sha256\\n"
	    "crl_extensions=e\\n[e]\\nauthorityKeyIdentifier=keyid\\n' >ca.cnf && mkdir anchors crls empty && cp root.crt anchors"), 0);
	make_crl("old.pem", 1, "19", false);
	make_crl("crls/new.pem", 2, "21", true);
	/* The root's own statement about the CA. */
	assert_int_equal(run("printf 01 >number && : >index.txt && openssl ca -config ca.cnf -gencrl -cert root.crt -keyfile root.key"
	    " -crl_lastupdate 20260921000000Z -crl_nextupdate 20261020000000Z -out crls/root.pem 2>ca.log && openssl crl -in old.pem -outform DER -out old.der"), 0);
	*given = world;
	return 0;
}

static int
teardown(void **given)
{
	world_close(*given);
	free(*given);
	return 0;
}

struct row {
	const char *name;
	const char *signer;
	const char *embedded;    /* one more certificate */
	bool old_crl;            /* embedded */
	bool empty_store;        /* no CRL of ours */
	bool changed;            /* one letter */
	enum signature_state want;
	enum chain_state want_chain;
	enum revocation_state want_revocation;
};

static const struct row rows[] = {
	{ "good", "budi", "ca", false, false, false, SIGNATURE_GOOD, CHAIN_GOOD, REVOCATION_GOOD },
	{ "good, with an old CRL", "budi", "ca", true, false, false, SIGNATURE_GOOD, CHAIN_GOOD, REVOCATION_GOOD },
	{ "A20 revoked", "revoked", "ca", false, false, false, SIGNATURE_GOOD, CHAIN_GOOD, REVOCATION_REVOKED },
	{ "A20 revoked, with an old CRL", "revoked", "ca", true, false, false, SIGNATURE_GOOD, CHAIN_GOOD, REVOCATION_REVOKED },
	{ "A20 revoked, with an old CRL, and none of ours", "revoked", "ca", true, true, false, SIGNATURE_GOOD, CHAIN_GOOD, REVOCATION_UNKNOWN },
	{ "revoked, and changed", "revoked", "ca", false, false, true, SIGNATURE_BAD, CHAIN_GOOD, REVOCATION_REVOKED },
	{ "A26 no issuing CA", "budi", NULL, false, false, false, SIGNATURE_GOOD, CHAIN_UNTRUSTED, REVOCATION_UNKNOWN },
	{ "A26 a root of the same name brought along", "evil", "evilroot", false, false, false, SIGNATURE_GOOD, CHAIN_UNTRUSTED, REVOCATION_UNKNOWN },
	{ "A26 another issuer", "evil", "ca", false, false, false, SIGNATURE_GOOD, CHAIN_UNTRUSTED, REVOCATION_UNKNOWN },
};

static void
make_cms(const struct row *row, struct buf *ret)
{
	struct forge forge = { .signer = row->signer, .other = row->embedded, .content = slice_of(ENTITY), .signing_time = NOW - 60 };

	if (row->old_crl)
		forge.crl = read_file("old.der");
	forge_cms(&forge, ret);
	if (row->old_crl)
		heap_free(forge.crl);
}

static void
verify(const struct row *row, struct slice cms, struct signature_facts *ret)
{
	const struct trust_folders folders = { .anchors = "anchors", .crls = row->empty_store ? "empty" : "crls" };
	AUTO(trust_free) struct trust *trust = NULL;
	AUTO_BUF struct buf problems = { 0 }, mail = { 0 };
	struct message_facts facts;
	struct err err = { .text = "" };
	struct verify_request request;

	buf_init(&problems, 4096);
	if (trust_load(&folders, &ages, &trust, &problems, &err) == -1)
		fail_msg("%s", err.text);
	assert_int_equal(problems.len, 0);
	forge_clear_mail(HEAD, slice_of(row->changed ? "Content-Type: text/plain\r\n\r\nhalo dari dinas.\r\n" : ENTITY), cms, &mail);
	assert_int_equal(smime_inspect(buf_slice(&mail), &facts, &err), 0);
	request = (struct verify_request){ .message = buf_slice(&mail), .facts = &facts, .trust = trust, .at = NOW };
	assert_int_equal(smime_verify(&request, ret, &err), 0);
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		const struct row *row = &rows[i];
		AUTO_BUF struct buf cms = { 0 };
		struct signature_facts facts;

		make_cms(row, &cms);
		verify(row, buf_slice(&cms), &facts);
		if (facts.state != row->want || facts.chain.state != row->want_chain || facts.chain.revocation != row->want_revocation)
			fail_msg("%s: %s '%s', chain %s '%s', revocation %s '%s'", row->name, signature_state_name(facts.state), facts.why,
			    chain_state_name(facts.chain.state), facts.chain.why, revocation_state_name(facts.chain.revocation), facts.chain.revocation_why);
	}
}

static X509 *
read_cert(const char *file)
{
	FILE *pem = fopen(file, "re");
	X509 *cert = pem ? PEM_read_X509(pem, NULL, NULL, NULL) : NULL;

	assert_non_null(cert);
	fclose(pem);
	return cert;
}

/* As a program would ask that knows the root and our newest CRL, and wants them used. */
static bool
openssl_accepts(struct slice cms, unsigned flags)
{
	X509_STORE *store = X509_STORE_new();
	X509_VERIFY_PARAM *param = X509_STORE_get0_param(store);
	X509 *root = read_cert("root.crt");
	FILE *pem = fopen("crls/new.pem", "re");
	X509_CRL *crl = PEM_read_X509_CRL(pem, NULL, NULL, NULL);
	const unsigned char *at = cms.at;
	CMS_ContentInfo *object = d2i_CMS_ContentInfo(NULL, &at, (long)cms.len);
	BIO *content = BIO_new_mem_buf(ENTITY, -1);
	bool good;

	fclose(pem);
	X509_VERIFY_PARAM_set_time(param, NOW);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_CRL_CHECK);
	assert_int_equal(X509_STORE_add_cert(store, root), 1);
	assert_int_equal(X509_STORE_add_crl(store, crl), 1);
	good = CMS_verify(object, NULL, store, content, NULL, CMS_BINARY | flags) == 1;
	BIO_free(content);
	CMS_ContentInfo_free(object);
	X509_CRL_free(crl);
	X509_free(root);
	X509_STORE_free(store);
	return good;
}

/* A20 is OpenSSL's own behaviour: should it change, this says so. */
static void
test_openssl_believes_the_message(void **state)
{
	AUTO_BUF struct buf plain = { 0 }, with = { 0 };

	(void)state;
	make_cms(&rows[2], &plain);
	make_cms(&rows[3], &with);
	assert_false(openssl_accepts(buf_slice(&plain), 0));
	assert_true(openssl_accepts(buf_slice(&with), 0));
	assert_false(openssl_accepts(buf_slice(&with), CMS_NOCRL));
}

/* A21: signed, as he says, after his revocation. */
static void
test_time_of_revocation(void **state)
{
	AUTO_BUF struct buf cms = { 0 };
	struct signature_facts facts;

	(void)state;
	make_cms(&rows[2], &cms);
	verify(&rows[2], buf_slice(&cms), &facts);
	assert_true(facts.chain.revoked_at > 0 && facts.chain.revoked_at < NOW);
	assert_non_null(strstr(facts.signing_time_why, "after the revocation"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_openssl_believes_the_message),
		cmocka_unit_test(test_time_of_revocation),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
