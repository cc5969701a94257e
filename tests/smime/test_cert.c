/* Certificates to facts, compared with what openssl x509 says about the same file. */
#include "tests/smime/world.h"

#include "smime/cert.h"

static struct world world;

struct row {
	const char *name;
	const char *options;
	enum key_kind key;
	int bits;
	bool is_ca, may_sign, may_encrypt, weak, odd;
	size_t n_addresses;
};

static const struct row rows[] = {
	/* name, options, key, bits, ca, sign, encrypt, weak, odd, addresses */
	{ "both", "--email a@b.example", KEY_RSA, 2048, false, true, true, false, false, 1 },
	{ "sign only", "--usage sign --email a@b.example --email c@d.example", KEY_RSA, 2048, false, true, false, false, false, 2 },
	{ "encrypt only", "--usage encrypt --email a@b.example", KEY_RSA, 2048, false, false, true, false, false, 1 },
	{ "no usage", "--usage none --eku none", KEY_RSA, 2048, false, true, true, false, false, 0 },
	{ "any extended usage", "--eku any", KEY_RSA, 2048, false, true, true, false, false, 0 },
	{ "server only", "--eku server", KEY_RSA, 2048, false, false, false, false, false, 0 },
	{ "RSA that only agrees", "--usage agree", KEY_RSA, 2048, false, false, false, false, false, 0 },
	{ "P-256 that only enciphers", "--key p256 --usage encipher", KEY_P256, 256, false, false, false, false, false, 0 },
	{ "P-256 that agrees", "--key p256 --usage agree", KEY_P256, 256, false, false, true, false, false, 0 },
	{ "a CA", "--ca", KEY_RSA, 2048, true, false, false, false, false, 0 },
	{ "SHA-1", "--digest sha1", KEY_RSA, 2048, false, true, true, true, false, 0 },
	{ "SHA-384", "--digest sha384", KEY_RSA, 2048, false, true, true, false, false, 0 },
	{ "RSA 1024", "--key rsa1024", KEY_RSA, 1024, false, true, true, false, false, 0 },
	{ "P-256", "--key p256 --usage sign", KEY_P256, 256, false, true, false, false, false, 0 },
	{ "P-384", "--key p384 --usage encrypt", KEY_P384, 384, false, false, true, false, false, 0 },
	{ "P-521", "--key p521", KEY_P521, 521, false, true, true, false, false, 0 },
	{ "Ed25519", "--key ed25519", KEY_OTHER, 256, false, true, true, false, false, 0 },
	{ "subject address", "--subject-email a@b.example", KEY_RSA, 2048, false, true, true, false, false, 1 },
	{ "subject address beside a SAN", "--subject-email a@b.example --email c@d.example", KEY_RSA, 2048, false, true, true, false, false, 1 },
	{ "blank before", "--email ' a@b.example'", KEY_RSA, 2048, false, true, true, false, true, 0 },
	{ "blank behind, subject", "--subject-email 'a@b.example '", KEY_RSA, 2048, false, true, true, false, true, 0 },
	{ "percent", "--email a%b@c.example --email d@e.example", KEY_RSA, 2048, false, true, true, false, true, 1 },
	{ "no address at all", "--email postmaster", KEY_RSA, 2048, false, true, true, false, true, 0 },
};

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		const struct row *row = &rows[i];
		struct slice der;
		struct cert_facts facts;
		struct err err = { 0 };
		struct slice want;
		char hex[65];

		mkpki(&world, "--out c --cn 'Budi, \xc3\xb6' --org Kota --from 2026-01-02T03:04:05Z --to 2027-01-02T03:04:05Z --serial 00fE01 %s", row->options);
		der = read_file("c.der");
		if (cert_inspect(der, &facts, &err) == -1)
			fail_msg("%s: %s", row->name, err.text);
		if (facts.key != row->key || facts.key_bits != row->bits || facts.is_ca != row->is_ca || facts.may_sign != row->may_sign
		    || facts.may_encrypt != row->may_encrypt || facts.weak_signature != row->weak || facts.odd_address != row->odd
		    || facts.n_addresses != row->n_addresses)
			fail_msg("%s: key %s %d ca %d sign %d encrypt %d weak %d odd %d addresses %zu", row->name, key_kind_name(facts.key),
			    facts.key_bits, facts.is_ca, facts.may_sign, facts.may_encrypt, facts.weak_signature, facts.odd_address, facts.n_addresses);
		assert_string_equal(facts.serial, "fe01");
		assert_non_null(strstr(facts.subject, "CN=Budi\\, \\C3\\B6,O=Kota,C=ID"));
		assert_int_equal(facts.not_before, 1767323045);
		assert_int_equal(facts.not_after, 1798859045);
		assert_int_equal(run("openssl dgst -sha256 -r c.der >want; openssl x509 -in c.crt -noout -pubkey | openssl pkey -pubin -outform DER"
				     " | openssl dgst -sha256 -r >>want"), 0);
		want = read_file("want");
		sha256_hex(facts.sha256, hex);
		assert_memory_equal(hex, want.at, 64);
		sha256_hex(facts.spki, hex);
		assert_non_null(memmem(want.at, want.len, hex, 64));
		heap_free(want);
		heap_free(der);
	}
}

static void
test_times(void **state)
{
	struct cert_facts facts = { .not_before = 1000, .not_after = 2000 };
	static const struct cert_facts none;

	(void)state;
	assert_int_equal(cert_time_at(&facts, 999), CERT_TIME_NOT_YET);
	assert_int_equal(cert_time_at(&facts, 1000), CERT_TIME_VALID);
	assert_int_equal(cert_time_at(&facts, 2000), CERT_TIME_VALID);
	assert_int_equal(cert_time_at(&facts, 2001), CERT_TIME_PAST);
	facts.not_after = 999;
	assert_int_equal(cert_time_at(&facts, 1000), CERT_TIME_UNKNOWN);
	assert_int_equal(cert_time_at(&none, 1000), CERT_TIME_UNKNOWN);
}

/* Every prefix, every changed byte and one byte more: refused or read, never a step too far. */
static void
test_damage(void **state)
{
	struct slice der;
	struct cert_facts facts;
	struct err err = { 0 };
	unsigned char *longer;

	(void)state;
	mkpki(&world, "--out c --cn Budi --email a@b.example --from -1d --to +1d --key p256");
	der = read_file("c.der");
	for (size_t len = 0; len < der.len; len++) {
		struct slice cut = heap_slice(der.at, len);

		assert_int_equal(cert_inspect(cut, &facts, &err), -1);
		assert_int_equal(err.kind, ERR_CONFIG);
		heap_free(cut);
	}
	for (size_t i = 0; i < der.len; i++) {
		struct slice other = heap_slice(der.at, der.len);

		((unsigned char *)(uintptr_t)other.at)[i] ^= 0x41;
		(void)!cert_inspect(other, &facts, &err);
		heap_free(other);
	}
	longer = calloc(der.len + 1, 1);
	memcpy(longer, der.at, der.len);
	assert_int_equal(cert_inspect((struct slice){ longer, der.len + 1 }, &facts, &err), -1);
	assert_non_null(strstr(err.text, "behind the certificate"));
	free(longer);
	heap_free(der);
}

static void
check_read(const char *command, bool want, const char *why)
{
	struct slice file;
	struct buf der;
	struct err err = { 0 };
	struct cert_facts facts;

	assert_int_equal(run("%s", command), 0);
	file = read_file("file");
	buf_init(&der, 0);
	if ((cert_read(file, &der, &err) == 0) != want)
		fail_msg("%s: %s", command, err.text);
	if (want)
		assert_int_equal(cert_inspect(buf_slice(&der), &facts, &err), 0);
	else if (!strstr(err.text, why))
		fail_msg("%s: %s", command, err.text);
	buf_done(&der);
	heap_free(file);
}

static void
test_read(void **state)
{
	(void)state;
	mkpki(&world, "--out c --cn Budi --from -1d --to +1d --key p256 --pkcs12");
	check_read("cp c.crt file", true, NULL);
	check_read("cp c.der file", true, NULL);
	check_read("openssl x509 -in c.crt -text >file", true, NULL);
	check_read("cat c.crt c.crt >file", false, "more than one");
	check_read("cat c.crt c.key >file", false, "private key");
	check_read("cat c.key c.crt >file", false, "private key");
	check_read("openssl pkcs8 -topk8 -nocrypt -in c.key -outform DER >file", false, "private key");
	check_read("openssl ec -in c.key -outform DER >file 2>/dev/null", false, "private key");
	check_read("cp c.p12 file", false, "no DER certificate");
	check_read("(cat c.der; echo) >file", false, "behind the certificate");
	check_read("echo hello >file", false, "no certificate");
	check_read(": >file", false, "0 bytes");
	check_read("head -c 65537 /dev/zero >file", false, "65537 bytes");
	check_read("openssl x509 -in c.crt -pubkey -noout >file", false, "PUBLIC KEY");
}

static void
test_hex(void **state)
{
	static const char *const bad[] = {
		"", "00", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1g", ":000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	};
	unsigned char hash[32];
	char text[65];

	(void)state;
	assert_true(sha256_from_hex("00:01:02:03:04:05:06:07:08:09:0A:0b:0c:0d:0e:0f:10:11:12:13:14:15:16:17:18:19:1a:1b:1c:1d:1e:1F", hash));
	sha256_hex(hash, text);
	assert_string_equal(text, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
	assert_true(sha256_from_hex(text, hash));
	for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
		struct slice exact = heap_slice(bad[i], strlen(bad[i]) + 1);

		assert_false(sha256_from_hex((const char *)exact.at, hash));
		heap_free(exact);
	}
}

/* RFC 9598: another kind of name, made by openssl(1); each row differs from the first by one thing. */
static void
test_utf8_mailbox(void **state)
{
#define MAILBOX "otherName:1.3.6.1.5.5.7.8.9;FORMAT:UTF8,UTF8:"
	static const struct {
		const char *names;
		const char *subject;
		bool odd, in_subject;
		size_t n;
		const char *first;
	} certs[] = {
		{ MAILBOX "b\xc3\xbc@kota.example", "", false, false, 1, "b\xc3\xbc@kota.example" },
		{ MAILBOX "b\xc3\xbc@xn--mnchen-3ya.example", "", false, false, 1, "b\xc3\xbc@xn--mnchen-3ya.example" },
		{ MAILBOX "b\xc3\xbc@m\xc3\xbcnchen.example", "", false, false, 1, "b\xc3\xbc@m\xc3\xbcnchen.example" },
		/* Those in ASCII first, whatever the order; the subject counts only without either. */
		{ MAILBOX "b\xc3\xbc@kota.example|email:budi@kota.example", "/emailAddress=x@y.example", false, false, 2, "budi@kota.example" },
		{ MAILBOX "b\xc3\xbc@kota.example", "/emailAddress=x@y.example", false, false, 1, "b\xc3\xbc@kota.example" },
		{ "DNS:kota.example", "/emailAddress=x@y.example", false, true, 1, "x@y.example" },
		{ "DNS:kota.example", "", false, false, 0, "" },
		/* What rfc822Name can say is not for it; what is no address is odd. */
		{ MAILBOX "budi@kota.example", "", true, false, 0, "" },
		{ MAILBOX " b\xc3\xbc@kota.example", "", true, false, 0, "" },
		{ MAILBOX "b\xc3\xbc kota.example", "", true, false, 0, "" },
		{ MAILBOX "b\xc3\xbc%x@kota.example", "", true, false, 0, "" },
		{ "otherName:1.3.6.1.5.5.7.8.9;IA5:budi@kota.example", "", true, false, 0, "" },
		/* Another kind of other name says nothing. */
		{ "otherName:1.3.6.1.4.1.311.20.2.3;FORMAT:UTF8,UTF8:b\xc3\xbc@kota.example", "", false, false, 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(certs); i++) {
		struct cert_facts facts = { 0 };
		struct err err = { 0 };
		struct slice der;

		assert_int_equal(run("printf '%%s\\n' '[req]' 'distinguished_name=d' 'string_mask=utf8only' 'utf8=yes' '[d]' '[e]' "
		    "'subjectAltName=@n' '[n]' >u.cnf; echo '%s' | tr '|' '\\n' | awk '{ n = index($0, \":\"); "
		    "printf \"%%s.%%d=%%s\\n\", substr($0, 1, n - 1), NR, substr($0, n + 1) }' >>u.cnf; openssl req -x509 -utf8 -newkey ec "
		    "-pkeyopt ec_paramgen_curve:P-256 -nodes -keyout u.key -subj '/CN=Budi%s' -config u.cnf -extensions e "
		    "-outform DER -out u.der 2>u.err || { cat u.err u.cnf; false; }", certs[i].names, certs[i].subject), 0);
		der = read_file("u.der");
		assert_int_equal(cert_inspect(der, &facts, &err), 0);
		if (facts.odd_address != certs[i].odd || facts.n_addresses != certs[i].n || facts.address_in_subject != certs[i].in_subject
		    || strcmp(facts.addresses[0], certs[i].first) != 0)
			fail_msg("row %zu: odd %d, %zu addresses, the first '%s', in subject %d", i, facts.odd_address, facts.n_addresses,
			    facts.addresses[0], facts.address_in_subject);
		heap_free(der);
	}
}

/* Each enum value has a word of its own. */
static void
test_names(void **state)
{
	(void)state;
	for (int i = 0; i <= KEY_OTHER; i++) {
		for (int n = 0; n < i; n++)
			assert_string_not_equal(key_kind_name((enum key_kind)i), key_kind_name((enum key_kind)n));
	}
	for (int i = 0; i <= LAYER_OTHER; i++) {
		for (int n = 0; n < i; n++)
			assert_string_not_equal(layer_name((enum layer)i), layer_name((enum layer)n));
	}
	for (int i = 0; i <= MATERIAL_PRIVATE_KEY; i++) {
		for (int n = 0; n < i; n++)
			assert_string_not_equal(material_name((enum material)i), material_name((enum material)n));
	}
	for (int i = 0; i <= BODY_OPAQUE; i++) {
		for (int n = 0; n < i; n++) {
			assert_string_not_equal(body_form_name((enum body_form)i), body_form_name((enum body_form)n));
			assert_string_not_equal(mailbox_state_name((enum mailbox_state)i), mailbox_state_name((enum mailbox_state)n));
		}
	}
	assert_string_not_equal(mime_state_name(MIME_CLEAR), mime_state_name(MIME_AMBIGUOUS));
	assert_string_not_equal(mime_state_name(MIME_CLEAR), mime_state_name(MIME_UNKNOWN));
	assert_string_equal(key_kind_name((enum key_kind)99), "unknown");
}

static int
setup(void **state)
{
	(void)state;
	world_open(&world);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	world_close(&world);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_utf8_mailbox),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
