/*
 * What others sign must verify here, and what we seal, too: openssl cms, GnuPG's gpgsm, NSS's
 * cmsutil and our own seal, clear and opaque, RSA and P-256. Each once more with one byte changed.
 */
#include "tests/smime/world.h"

#include <time.h>

#include "smime/canon.h"
#include "smime/head.h"
#include "smime/inspect.h"
#include "smime/seal.h"
#include "smime/verify.h"
#include "tests/smime/keyrings.h"
#include "tests/support/forge.h"

#define HEAD "From: budi@kota.example\r\nTo: ana@prov.example\r\nSubject: Surat\r\n"
#define ENTITY "Content-Type: text/plain\r\n\r\nHalo dari dinas.\r\n"

/* gpgsm of Debian 12 does not import a PKCS#12 file with an EC key. Commands write the DER to out.der; $k is the kind of key. */
static const struct {
	const char *name;
	bool opaque;
	bool rsa_only;
	const char *command;
} others[] = {
	{ "openssl, detached", false, false, "openssl cms -sign -binary -in entity -signer $k.crt -inkey $k.key -outform DER -out out.der" },
	{ "openssl, opaque", true, false, "openssl cms -sign -binary -nodetach -in entity -signer $k.crt -inkey $k.key -outform DER -out out.der" },
	{ "openssl, streamed", true, false, "openssl cms -sign -binary -nodetach -stream -in entity -signer $k.crt -inkey $k.key -outform DER -out out.der" },
	{ "openssl, key identifier", false, false, "openssl cms -sign -binary -keyid -in entity -signer $k.crt -inkey $k.key -outform DER -out out.der" },
	{ "openssl, CAdES", false, false, "openssl cms -sign -binary -cades -in entity -signer $k.crt -inkey $k.key -outform DER -out out.der" },
	{ "openssl, PSS", false, true, "openssl cms -sign -binary -in entity -signer $k.crt -inkey $k.key -keyopt rsa_padding_mode:pss -outform DER -out out.der" },
	{ "openssl, PSS, salt as the digest", true, true, "openssl cms -sign -binary -nodetach -in entity -signer $k.crt -inkey $k.key"
	    " -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:-1 -outform DER -out out.der" },
	{ "gpgsm, detached", false, true, "echo x | GNUPGHOME=$PWD/gpg gpgsm --quiet --pinentry-mode loopback --passphrase-fd 0 -u $(openssl x509 -in $k.crt -noout -fingerprint -sha1 | sed 's/.*=//;s/://g')"
	    " --detach-sign --digest-algo SHA256 -o out.der --yes entity 2>>gpg.log" },
	{ "gpgsm, opaque", true, true, "echo x | GNUPGHOME=$PWD/gpg gpgsm --quiet --pinentry-mode loopback --passphrase-fd 0 -u $(openssl x509 -in $k.crt -noout -fingerprint -sha1 | sed 's/.*=//;s/://g')"
	    " --sign --digest-algo SHA256 -o out.der --yes entity 2>>gpg.log" },
	{ "cmsutil, detached", false, true, "cmsutil -S -T -d sql:nss -N $k -H SHA256 -i entity -o out.der 2>nss.log" },
	{ "cmsutil, opaque", true, true, "cmsutil -S -d sql:nss -N $k -H SHA256 -i entity -o out.der 2>nss.log" },
};

static const char *const kinds[] = { "rsa2048", "p256" };

static int
setup(void **given)
{
	struct world *world = calloc(1, sizeof(*world));

	world_open(world);
	mkpki(world, "--self --out ca --ca --cn 'Test CA' --from -2d --to +9y --key rsa2048");
	for (size_t i = 0; i < N_ELEMENTS(kinds); i++)
		mkpki(world, "--out %s --ca-of ca --cn %s --email budi@kota.example --from -1d --to +2y --key %s", kinds[i], kinds[i], kinds[i]);
	write_file("entity", ENTITY, strlen(ENTITY));
	keyrings_open("rsa2048");
	*given = world;
	return 0;
}

static int
teardown(void **given)
{
	keyrings_close();
	world_close(*given);
	free(*given);
	return 0;
}

static void
verify(struct slice message, struct signature_facts *ret)
{
	struct message_facts facts;
	struct err err = { .text = "" };
	struct verify_request request = { .message = message, .facts = &facts, .at = time(NULL) };

	assert_int_equal(smime_inspect(message, &facts, &err), 0);
	if (smime_verify(&request, ret, &err) == -1)
		fail_msg("%s", err.text);
}

static void
check_good(const char *name, struct slice message)
{
	struct signature_facts facts;

	verify(message, &facts);
	if (facts.state != SIGNATURE_GOOD || facts.coverage != COVERAGE_WHOLE || facts.weak || facts.unfit || facts.signing_time_why[0])
		fail_msg("%s: %s '%s', weak '%s', unfit '%s', time '%s'", name, signature_state_name(facts.state), facts.why, facts.weak_why,
		    facts.unfit_why, facts.signing_time_why);
}

/* One letter of the signed entity, in its clear form or as the base64 of an opaque one shows it. */
static void
check_changed(const char *name, struct slice message, bool opaque)
{
	const char *find = opaque ? "\r\n\r\n" : "Halo";
	unsigned char *at = memmem(message.at, message.len, find, strlen(find));
	struct signature_facts facts;
	AUTO_BUF struct buf der = { 0 };

	assert_non_null(at);
	if (opaque)
		at = (unsigned char *)(uintptr_t)message.at + message.len - 40; /* in the signature value */
	*at ^= opaque ? 0 : 0x20;
	if (opaque)
		*at = *at == 'A' ? 'B' : 'A';
	verify(message, &facts);
	if (facts.state != SIGNATURE_BAD && !(opaque && facts.state == SIGNATURE_MALFORMED))
		fail_msg("%s, one byte changed: %s '%s'", name, signature_state_name(facts.state), facts.why);
}

static void
check_other(size_t row, const char *kind)
{
	AUTO_BUF struct buf mail = { 0 };
	struct slice der;

	if (others[row].rsa_only && strcmp(kind, "rsa2048") != 0)
		return;
	if (run("k=%s; rm -f out.der; %s", kind, others[row].command) != 0)
		fail_msg("%s, %s", others[row].name, kind);
	der = read_file("out.der");
	if (others[row].opaque)
		forge_opaque_mail(HEAD, der, &mail);
	else
		forge_clear_mail(HEAD, slice_of(ENTITY), der, &mail);
	check_good(others[row].name, buf_slice(&mail));
	check_changed(others[row].name, buf_slice(&mail), others[row].opaque);
	heap_free(der);
}

static void
test_others(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * N_ELEMENTS(others); i++)
		check_other(i / 2, kinds[i % 2]);
}

/* openssl's own S/MIME writer, its line ends made CRLF as mail servers do. */
static void
test_openssl_smime(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct slice mail;
		struct signature_facts facts;

		assert_int_equal(run("openssl cms -sign %s -text -in entity -signer %s.crt -inkey %s.key -from budi@kota.example -to ana@prov.example -subject Surat"
		    " -out out.eml && openssl cms -verify -in out.eml -CAfile ca.crt -out /dev/null 2>/dev/null && sed -i 's/\\r*$/\\r/' out.eml", i & 1 ? "-nodetach" : "", kinds[i / 2], kinds[i / 2]), 0);
		mail = read_file("out.eml");
		verify(mail, &facts);
		if (facts.state != SIGNATURE_GOOD)
			fail_msg("row %zu: %s '%s'", i, signature_state_name(facts.state), facts.why);
		heap_free(mail);
	}
}

static void
write_sealed(const char *text, const struct sealed *sealed, struct buf *ret)
{
	AUTO_HEAD struct head head = { 0 };

	head_scan(slice_of(text), &head);
	buf_init(ret, 64 * 1024);
	for (size_t i = 0; i < head.n_fields; i++) {
		if (!canon_is_content(head.fields[i].name) && !slice_equal_nocase(head.fields[i].name, "MIME-Version"))
			buf_add_slice(ret, head.fields[i].raw);
	}
	buf_add_text(ret, "MIME-Version: 1.0\r\nContent-Type: ");
	for (const char *c = sealed->content_type; *c; c++)
		buf_add(ret, *c == '\n' ? "\r\n" : c, *c == '\n' ? 2 : 1);
	buf_printf(ret, "\r\nContent-Transfer-Encoding: %s\r\n\r\n", sealed->transfer_encoding);
	for (size_t i = 0; i < sealed->n_body; i++)
		buf_add_slice(ret, sealed->body[i]);
}

static void
seal(const char *text, const char *kind, enum seal_form form, struct buf *ret)
{
	AUTO(seal_free) struct sealed *sealed = NULL;
	struct message_facts facts;
	struct err err = { .text = "" };
	struct key *key = NULL;
	char file[32];
	struct seal_request request = { .message = slice_of(text), .facts = &facts, .form = form, .now = time(NULL) };

	snprintf(file, sizeof(file), "%s.key", kind);
	assert_int_equal(key_load(file, NULL, true, &key, &err), 0);
	snprintf(file, sizeof(file), "%s.der", kind);
	request.cert = read_file(file);
	request.signer = key_signer(key);
	assert_int_equal(smime_inspect(request.message, &facts, &err), 0);
	if (smime_seal(&request, &sealed, &err) == -1)
		fail_msg("%s", err.text);
	write_sealed(text, sealed, ret);
	heap_free(request.cert);
	key_free(key);
}

/* What we seal, with the protected fields; and with another Subject outside. */
static void
test_ours(void **state)
{
	static const char *const texts[] = {
		HEAD ENTITY,
		HEAD "\r\nHalo\r\n",
		HEAD "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nK\xc3\xb6ta\r\n",
		HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: x@y.example\r\n\r\nh\xc3\xb6\r\n--b--\r\n",
		HEAD "Reply-To: tu@kota.example\r\nReferences: <a@b>\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < 4 * N_ELEMENTS(texts); i++) {
		AUTO_BUF struct buf mail = { 0 };
		struct signature_facts facts;
		unsigned char *subject;

		seal(texts[i / 4], kinds[i & 1], i & 2 ? SEAL_OPAQUE : SEAL_CLEAR, &mail);
		check_good(texts[i / 4], buf_slice(&mail));
		verify(buf_slice(&mail), &facts);
		assert_int_equal(facts.protection, PROTECTION_MATCH);
		subject = memmem(mail.at, mail.len, "Surat", 5);
		subject[0] = 's';
		verify(buf_slice(&mail), &facts);
		assert_int_equal(facts.state, SIGNATURE_GOOD);
		assert_int_equal(facts.protection, PROTECTION_MISMATCH);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_openssl_smime),
		cmocka_unit_test(test_ours),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
