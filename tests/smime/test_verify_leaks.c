/*
 * 1,000 verifications leak nothing: what is allocated is counted before and after, so that also what is still
 * reachable from somewhere is found. Good messages and bad ones, among them those that end verification early.
 *
 * One leak is OpenSSL's own: policy_cache_new() (3.0, crypto/x509/pcy_cache.c) forgets the policyConstraints that it
 * has read when the certificate has no certificatePolicies, or bad ones. It is asked only about paths whose signatures lead
 * to an anchor, once for each certificate object: so authorities of ours alone can cause it, and those that the snapshot
 * holds cause it once. How much that is stands here, and no message may make it more.
 */
#include "tests/smime/chain_world.h"

#include <malloc.h>

#include "smime/inspect.h"
#include "smime/verify.h"
#include "tests/support/forge.h"

/* Of the sanitizers' runtime; not every compiler comes with the headers. */
size_t __sanitizer_get_current_allocated_bytes(void);
void __lsan_disable(void);
void __lsan_enable(void);

enum { VERIFICATIONS = 1000, WARM_UP = 3, MOST_MAILS = 24, CONSTRAINED = 20, LEAK_OF_OPENSSL = 128 };

/* As large as an extension of 32 bytes holds. */
#define NUMBER_OF_28 "01000000000000000000000000000000000000000000000000000000"

#define HEAD "From: budi@kota.example\r\nTo: ana@prov.example\r\nSubject: Surat\r\n"
#define ENTITY "Content-Type: text/plain\r\n\r\nHalo dari dinas.\r\n"

struct mail {
	const char *name;
	struct buf bytes;
	enum signature_state want;
	enum chain_state want_chain;
	enum revocation_state want_revocation;
};

static struct mail mails[MOST_MAILS];
static size_t n_mails;

static size_t
allocated(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return __sanitizer_get_current_allocated_bytes();
#else
	return mallinfo2().uordblks;
#endif
}

/* ---- messages ---- */

static struct mail *
add(const char *name, enum signature_state want, enum chain_state want_chain, enum revocation_state want_revocation)
{
	struct mail *mail = &mails[n_mails++];

	assert_true(n_mails <= MOST_MAILS);
	*mail = (struct mail){ .name = name, .want = want, .want_chain = want_chain, .want_revocation = want_revocation };
	return mail;
}

/* The entity's signature, beside `shown`, which may be another. */
static void
put_clear(struct mail *mail, const char *signer, const char *other, unsigned flaws, const char *shown)
{
	struct forge forge = { .signer = signer, .other = other, .content = slice_of(ENTITY), .signing_time = time(NULL) - 60, .flaws = flaws };
	AUTO_BUF struct buf cms = { 0 };

	forge_cms(&forge, &cms);
	forge_clear_mail(HEAD, slice_of(shown), buf_slice(&cms), &mail->bytes);
}

static void
put_opaque(struct mail *mail, unsigned flaws)
{
	struct forge forge = { .signer = "leaf", .other = "ica", .content = slice_of(ENTITY), .signing_time = time(NULL) - 60, .flaws = flaws };
	AUTO_BUF struct buf cms = { 0 };

	forge_cms(&forge, &cms);
	forge_opaque_mail(HEAD, buf_slice(&cms), &mail->bytes);
}

static void
put_text(struct mail *mail, const char *text)
{
	buf_init(&mail->bytes, 1 << 20);
	buf_add_text(&mail->bytes, text);
}

static void
make_mails(void)
{
	put_clear(add("good", SIGNATURE_GOOD, CHAIN_GOOD, REVOCATION_GOOD), "leaf", "ica", 0, ENTITY);
	put_clear(add("by RSA", SIGNATURE_GOOD, CHAIN_GOOD, REVOCATION_GOOD), "rsa", "ica", FORGE_PSS, ENTITY);
	put_clear(add("ESS", SIGNATURE_GOOD, CHAIN_GOOD, REVOCATION_GOOD), "leaf", "ica", FORGE_ESS | FORGE_UNSIGNED, ENTITY);
	put_opaque(add("opaque", SIGNATURE_GOOD, CHAIN_GOOD, REVOCATION_GOOD), FORGE_OPAQUE);
	put_opaque(add("opaque, in pieces", SIGNATURE_GOOD, CHAIN_GOOD, REVOCATION_GOOD), FORGE_OPAQUE | FORGE_PIECES | FORGE_INDEFINITE);
	put_clear(add("changed", SIGNATURE_BAD, CHAIN_GOOD, REVOCATION_GOOD), "leaf", "ica", 0, "Content-Type: text/plain\r\n\r\nhalo dari dinas.\r\n");
	put_clear(add("another signature value", SIGNATURE_BAD, CHAIN_GOOD, REVOCATION_GOOD), "leaf", "ica", FORGE_BAD_SIGNATURE, ENTITY);
	put_clear(add("revoked", SIGNATURE_GOOD, CHAIN_GOOD, REVOCATION_REVOKED), "revoked", "ica", 0, ENTITY);
	put_clear(add("without its authority", SIGNATURE_GOOD, CHAIN_UNTRUSTED, REVOCATION_UNKNOWN), "leaf", NULL, 0, ENTITY);
	put_clear(add("a stranger's", SIGNATURE_GOOD, CHAIN_UNTRUSTED, REVOCATION_UNKNOWN), "stranger", "ica", 0, ENTITY);
	put_clear(add("expired", SIGNATURE_GOOD, CHAIN_EXPIRED, REVOCATION_UNKNOWN), "expired", "ica", 0, ENTITY);
	put_clear(add("no attributes", SIGNATURE_MALFORMED, CHAIN_GOOD, REVOCATION_GOOD), "leaf", "ica", FORGE_NO_ATTRIBUTES, ENTITY);
	put_clear(add("two signers", SIGNATURE_MALFORMED, CHAIN_UNKNOWN, REVOCATION_UNKNOWN), "leaf", "rsa", FORGE_TWO_SIGNERS, ENTITY);
	put_clear(add("no certificate", SIGNATURE_UNSUPPORTED, CHAIN_UNKNOWN, REVOCATION_UNKNOWN), "leaf", NULL, FORGE_NO_CERTS, ENTITY);
	put_clear(add("a byte behind", SIGNATURE_MALFORMED, CHAIN_UNKNOWN, REVOCATION_UNKNOWN), "leaf", "ica", FORGE_TRAILING, ENTITY);
	put_text(add("unsigned", SIGNATURE_NONE, CHAIN_UNKNOWN, REVOCATION_UNKNOWN), HEAD "\r\nHalo.\r\n");
	put_text(add("no CMS", SIGNATURE_MALFORMED, CHAIN_UNKNOWN, REVOCATION_UNKNOWN), HEAD "MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime;"
	    " smime-type=signed-data\r\nContent-Transfer-Encoding: base64\r\n\r\nMIIB\r\n");
}

/* ---- what they are judged by ---- */

static int
setup(void **state)
{
	(void)state;
	world_open(&world);
	must_sh("mkpki --self --out root --ca --cn Root" DATES "; mkpki --out ica --ca-of root --ca --cn Issuing" DATES
	    "; mkpki --self --out evil --ca --cn Issuing" DATES "; mkpki --out stranger --ca-of evil --cn Budi --email budi@kota.example" DATES
	    "; for name in leaf revoked; do mkpki --out $name --ca-of ica --cn Budi --email budi@kota.example" DATES "; done"
	    "; mkpki --out rsa --ca-of ica --cn Budi --email budi@kota.example --from -30d --to +30d --key rsa2048"
	    "; mkpki --out expired --ca-of ica --cn Budi --email budi@kota.example --from -30d --to -1d --key p256");
	must_sh("mkdir anchors crls ocsp; cp root.crt anchors; mkx509 crl --ca root --out crls/root.crl"
	    "; mkx509 crl --ca ica --out crls/ica.crl --revoke $(openssl x509 -in revoked.crt -noout -serial | cut -d= -f2)"
	    "; mkx509 ocsp --ca ica --signer ica --cert leaf.crt --status good --from -1h --to +1h --out ocsp/leaf.ors");
	must_sh("mkpki --out tied --ca-of root --ca --cn Tied" DATES "; mkx509 cert --in tied.crt --ca root --out tied --ext policyConstraints=requireExplicitPolicy:5"
	    "; mkx509 cert --in tied.crt --ca root --out most --ext policyConstraints=DER:301e801c" NUMBER_OF_28
	    "; mkx509 cert --in tied.crt --ca root --out long --ext policyConstraints=DER:301f801d" NUMBER_OF_28 "ff"
	    "; mkx509 cert --in tied.crt --ca evil --out of-a-stranger --ext policyConstraints=requireExplicitPolicy:5"
	    "; mkpki --out below --ca-of tied --cn Budi --email budi@kota.example" DATES "; mkx509 crl --ca tied --out crls/tied.crl");
	make_mails();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_mails; i++)
		buf_done(&mails[i].bytes);
	world_close(&world);
	return 0;
}

static struct trust *
load(void)
{
	AUTO_BUF struct buf problems = { 0 };
	struct trust *trust;

	buf_init(&problems, 4096);
	trust = load_trust(&problems);
	if (problems.len > 0)
		fail_msg("%s", buf_text(&problems));
	return trust;
}

static void
verify(const struct mail *mail, const struct trust *trust, time_t now)
{
	struct message_facts message;
	struct signature_facts facts;
	struct err err = { 0 };
	const struct verify_request request = { .message = buf_slice(&mail->bytes), .facts = &message, .trust = trust, .at = now };

	assert_int_equal(smime_inspect(buf_slice(&mail->bytes), &message, &err), 0);
	assert_int_equal(smime_verify(&request, &facts, &err), 0);
	if (facts.state != mail->want || facts.chain.state != mail->want_chain || facts.chain.revocation != mail->want_revocation)
		fail_msg("%s: %s '%s', chain %s '%s', revocation %s '%s'", mail->name, signature_state_name(facts.state), facts.why,
		    chain_state_name(facts.chain.state), facts.chain.why, revocation_state_name(facts.chain.revocation), facts.chain.revocation_why);
}

static void
verify_all(const struct trust *trust, size_t n)
{
	const time_t now = time(NULL);

	for (size_t i = 0; i < n; i++)
		verify(&mails[i % n_mails], trust, now);
}

/* ---- the tests ---- */

static void
test_verifications(void **state)
{
	AUTO(trust_free) struct trust *trust = load();
	size_t before;

	(void)state;
	/* What the libraries keep from their first calls for good. */
	verify_all(trust, WARM_UP * n_mails);
	before = allocated();
	verify_all(trust, VERIFICATIONS);
	assert_int_equal(allocated(), before);
}

static void
test_snapshots(void **state)
{
	size_t before = 0;

	(void)state;
	for (size_t i = 0; i < 20; i++) {
		AUTO(trust_free) struct trust *trust = load();

		verify_all(trust, n_mails);
		trust_free(TAKE(trust));
		if (i == WARM_UP)
			before = allocated();
	}
	assert_int_equal(allocated(), before);
}

/* How much each verification of this mail leaves behind. What is left is OpenSSL's, and not to be reported. */
static size_t
left_behind(const struct mail *mail, const struct trust *trust)
{
	size_t before;

#if defined(__SANITIZE_ADDRESS__)
	__lsan_disable();
#endif
	for (int i = 0; i < WARM_UP; i++)
		verify(mail, trust, time(NULL));
	before = allocated();
	for (int i = 0; i < CONSTRAINED; i++)
		verify(mail, trust, time(NULL));
#if defined(__SANITIZE_ADDRESS__)
	__lsan_enable();
#endif
	return (allocated() - before) / CONSTRAINED;
}

static const struct {
	const char *authority; /* with these policyConstraints, or others */
	enum chain_state want;
	enum revocation_state want_revocation;
	size_t most;           /* bytes; 0 where its policies are never asked */
} constrained[] = {
	{ "tied", CHAIN_GOOD, REVOCATION_GOOD, LEAK_OF_OPENSSL },
	{ "most", CHAIN_GOOD, REVOCATION_GOOD, LEAK_OF_OPENSSL },
	{ "long", CHAIN_LIMIT, REVOCATION_UNKNOWN, 0 },
	{ "of-a-stranger", CHAIN_UNTRUSTED, REVOCATION_UNKNOWN, 0 },
};

static void
test_policy_constraints(void **state)
{
	AUTO(trust_free) struct trust *trust = load();

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(constrained); i++) {
		struct mail mail = { .name = constrained[i].authority, .want = SIGNATURE_GOOD, .want_chain = constrained[i].want,
			.want_revocation = constrained[i].want_revocation };
		size_t grown;

		put_clear(&mail, "below", constrained[i].authority, 0, ENTITY);
		grown = left_behind(&mail, trust);
		buf_done(&mail.bytes);
		print_message("%s: %zu bytes a verification\n", constrained[i].authority, grown);
		assert_true(grown <= constrained[i].most);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verifications),
		cmocka_unit_test(test_snapshots),
		cmocka_unit_test(test_policy_constraints),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
