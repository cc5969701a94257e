/* Key files of every kind openssl writes; each refusal names its reason; openssl checks the signatures. */
#include "tests/smime/world.h"

#include "smime/key.h"

static struct world world;

struct row {
	const char *name;
	const char *make;    /* a command that writes the file "key" */
	const char *pass;    /* passphrase file, NULL = none */
	bool allow_plain;
	enum key_kind want;  /* KEY_UNKNOWN = refused */
	const char *why;
};

#define MK(options) "\"$MKPKI\" --out k --cn x --from -1d --to +1d " options " && cp k.key key"

static const struct row rows[] = {
	{ "PKCS#8, RSA", MK("--passphrase-file pw"), "pw", false, KEY_RSA, NULL },
	{ "PKCS#8, RSA 4096", MK("--passphrase-file pw --key rsa4096"), "pw", false, KEY_RSA, NULL },
	{ "PKCS#8, P-256", MK("--passphrase-file pw --key p256"), "pw", false, KEY_P256, NULL },
	{ "PKCS#8, P-384", MK("--passphrase-file pw --key p384"), "pw", false, KEY_P384, NULL },
	{ "with its certificate", MK("--passphrase-file pw --key p256") " && cat k.crt k.key >key", "pw", false, KEY_P256, NULL },
	{ "plain, allowed", MK("--key p256"), NULL, true, KEY_P256, NULL },
	{ "plain, with a passphrase all the same", MK("--key p256"), "pw", true, KEY_P256, NULL },
	{ "traditional RSA", MK("") " && openssl rsa -traditional -aes256 -passout file:pw -in k.key -out key 2>/dev/null", "pw", false, KEY_RSA, NULL },
	{ "traditional EC", MK("--key p256") " && openssl ec -aes256 -passout file:pw -in k.key -out key 2>/dev/null", "pw", false, KEY_P256, NULL },
	{ "PKCS#12", MK("--passphrase-file pw --key p384 --pkcs12") " && cp k.p12 key", "pw", false, KEY_P384, NULL },
	{ "PKCS#12, RSA", MK("--passphrase-file pw --pkcs12") " && cp k.p12 key", "pw", false, KEY_RSA, NULL },

	{ "plain, not allowed", MK("--key p256"), NULL, false, KEY_UNKNOWN, "not encrypted" },
	{ "plain traditional, not allowed", MK("--key p256") " && openssl ec -in k.key -out key 2>/dev/null", "pw", false, KEY_UNKNOWN, "not encrypted" },
	{ "no passphrase", MK("--passphrase-file pw"), NULL, true, KEY_UNKNOWN, "no passphrase file" },
	{ "PKCS#12 without passphrase", MK("--passphrase-file pw --pkcs12") " && cp k.p12 key", NULL, true, KEY_UNKNOWN, "no passphrase file" },
	{ "wrong passphrase", MK("--passphrase-file pw"), "pw2", false, KEY_UNKNOWN, "does not open" },
	{ "wrong passphrase, traditional", MK("") " && openssl rsa -traditional -aes256 -passout file:pw -in k.key -out key 2>/dev/null", "pw2", false, KEY_UNKNOWN, "does not open" },
	{ "wrong passphrase, PKCS#12", MK("--passphrase-file pw --pkcs12") " && cp k.p12 key", "pw2", false, KEY_UNKNOWN, "does not open" },
	{ "cut PEM", MK("--passphrase-file pw") " && head -5 k.key >key", "pw", false, KEY_UNKNOWN, "damaged" },
	{ "cut PKCS#12", MK("--passphrase-file pw --pkcs12") " && head -c 300 k.p12 >key", "pw", false, KEY_UNKNOWN, "damaged" },
	{ "a certificate", MK("") " && cp k.crt key", "pw", false, KEY_UNKNOWN, "no private key" },
	{ "text", "echo hello >key", "pw", false, KEY_UNKNOWN, "no private key" },
	{ "nothing", ": >key", "pw", false, KEY_UNKNOWN, "0 bytes" },
	{ "too much", "head -c 70000 /dev/zero >key", "pw", false, KEY_UNKNOWN, "70000 bytes" },
	{ "RSA 1024", MK("--passphrase-file pw --key rsa1024"), "pw", false, KEY_UNKNOWN, "1024 bits" },
	{ "P-521", MK("--passphrase-file pw --key p521"), "pw", false, KEY_UNKNOWN, "p521" },
	{ "Ed25519", MK("--passphrase-file pw --key ed25519"), "pw", false, KEY_UNKNOWN, "a key of kind ED25519 with" },
	{ "readable by the group", MK("--passphrase-file pw --key p256") " && chmod 640 key", "pw", false, KEY_UNKNOWN, "mode 0640" },
	{ "readable by all", MK("--passphrase-file pw --key p256") " && chmod 604 key", "pw", false, KEY_UNKNOWN, "mode 0604" },
	{ "passphrase readable by all", MK("--passphrase-file pw --key p256"), "pw-open", false, KEY_UNKNOWN, "mode 0644" },
	{ "passphrase missing", MK("--passphrase-file pw --key p256"), "pw-none", false, KEY_UNKNOWN, "cannot open 'pw-none'" },
	{ "passphrase empty", MK("--passphrase-file pw --key p256"), "pw-empty", false, KEY_UNKNOWN, "empty first line" },
	{ "passphrase of two lines", MK("--passphrase-file pw --key p256"), "pw-two", false, KEY_UNKNOWN, "more than one line" },
	{ "a folder", "rm -f key; mkdir key", "pw", false, KEY_UNKNOWN, "no regular file" },
	{ "a FIFO", "mkfifo -m 600 key", "pw", false, KEY_UNKNOWN, "no regular file" },
	{ "missing", "true", "pw", false, KEY_UNKNOWN, "cannot open" },
};

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		const struct row *row = &rows[i];
		AUTO(key_free) struct key *key = NULL;
		struct err err = { 0 };
		int result;

		assert_int_equal(run("rm -rf key; umask 077; %s", row->make), 0);
		result = key_load("key", row->pass, row->allow_plain, &key, &err);
		if (row->want != KEY_UNKNOWN && (result == -1 || key_kind_of(key) != row->want))
			fail_msg("%s: %s", row->name, err.text);
		if (row->want == KEY_UNKNOWN && (result == 0 || key || err.kind != ERR_CONFIG || !strstr(err.text, row->why)))
			fail_msg("%s: %d '%s'", row->name, result, err.text);
		if (strstr(err.text, "rahasia"))
			fail_msg("%s: the passphrase is in the error", row->name);
	}
}

/* As systemd hands one to a service with a user: root's, mode 0440, where the group's bit stands for an access list. */
static const struct {
	const char *name, *make;
	bool want;
} credentials[] = {
	{ "as systemd makes it", "chown 0:0 pw-cred && chmod 440 pw-cred", true },
	{ "of another group", "chown 0:1 pw-cred && chmod 440 pw-cred", false },
	{ "of another user", "chown 1:0 pw-cred && chmod 440 pw-cred", false },
	{ "readable by all", "chown 0:0 pw-cred && chmod 444 pw-cred", false },
	{ "writable by the group", "chown 0:0 pw-cred && chmod 460 pw-cred", false },
	{ "writable by its owner", "chown 0:0 pw-cred && chmod 640 pw-cred", false },
};

static void
test_credentials(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(run("rm -rf key; umask 077; %s", MK("--passphrase-file pw --key p256")), 0);
	for (size_t i = 0; i < N_ELEMENTS(credentials); i++) {
		AUTO(key_free) struct key *key = NULL;
		struct err err = { 0 };

		assert_int_equal(run("rm -f pw-cred; cp pw pw-cred && %s", credentials[i].make), 0);
		if ((key_load("key", "pw-cred", false, &key, &err) == 0) != credentials[i].want)
			fail_msg("%s: '%s'", credentials[i].name, err.text);
	}
}

static void
check_signature(const char *kind, enum digest alg)
{
	AUTO(key_free) struct key *key = NULL;
	unsigned char digest[48];
	unsigned char sig[SIGNATURE_BYTES];
	size_t len = sizeof(sig);
	struct err err = { 0 };
	struct slice bytes;
	struct signer signer;
	unsigned char other[32] = { 0 };

	mkpki(&world, "--out s --cn x --from -1d --to +1d --key %s", kind);
	assert_int_equal(run("openssl x509 -in s.crt -noout -pubkey >s.pub"), 0);
	assert_int_equal(key_load("s.key", NULL, true, &key, &err), 0);
	write_file("text", "halo", 4);
	assert_int_equal(run("openssl dgst -%s -binary text >digest", digest_name(alg)), 0);
	bytes = read_file("digest");
	assert_int_equal(bytes.len, digest_len(alg));
	memcpy(digest, bytes.at, bytes.len);
	signer = key_signer(key);
	assert_int_equal(signer.sign(signer.ctx, key_spki(key), alg, bytes, sig, &len, &err), 0);
	write_file("sig", sig, len);
	assert_int_equal(run("openssl dgst -%s -verify s.pub -signature sig text >/dev/null", digest_name(alg)), 0);
	sig[len / 2] ^= 1;
	write_file("sig", sig, len);
	assert_int_not_equal(run("openssl dgst -%s -verify s.pub -signature sig text >/dev/null 2>&1", digest_name(alg)), 0);
	/* another key's hash, another length, too little room */
	len = sizeof(sig);
	assert_int_equal(signer.sign(signer.ctx, other, alg, bytes, sig, &len, &err), -1);
	assert_int_equal(err.kind, ERR_CONFIG);
	assert_int_equal(key_sign(key, alg, (struct slice){ digest, bytes.len - 1 }, sig, &len, &err), -1);
	assert_int_equal(err.kind, ERR_BUG);
	assert_int_equal(key_sign(key, DIGEST_UNKNOWN, bytes, sig, &len, &err), -1);
	len = 10;
	assert_int_equal(key_sign(key, alg, bytes, sig, &len, &err), -1);
	heap_free(bytes);
}

static void
test_signatures(void **state)
{
	(void)state;
	check_signature("rsa2048", DIGEST_SHA256);
	check_signature("rsa3072", DIGEST_SHA384);
	check_signature("p256", DIGEST_SHA256);
	check_signature("p384", DIGEST_SHA384);
}

/* What openssl wraps; each that is refused differs from the first by one thing, and all refusals read alike. */
static const struct {
	const char *name, *bytes, *options, *then;
	bool want;
} wrapped[] = {
	{ "OAEP with SHA-256", "32", "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256", "true", true },
	{ "31 bytes", "31", "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256", "true", false },
	{ "33 bytes", "33", "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256", "true", false },
	{ "no bytes", "0", "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256", "true", false },
	{ "SHA-1", "32", "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1 -pkeyopt rsa_mgf1_md:sha256", "true", false },
	{ "MGF1 with SHA-1", "32", "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha1", "true", false },
	{ "a label", "32", "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256 -pkeyopt rsa_oaep_label:41", "true", false },
	{ "PKCS#1 v1.5", "32", "-pkeyopt rsa_padding_mode:pkcs1", "true", false },
	{ "one byte less", "32", "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256", "truncate -s -1 block", false },
	{ "one byte more", "32", "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256", "printf x >>block", false },
	{ "nothing", "32", "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256", ": >block", false },
	{ "another key", "32", "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256", "mv other block", false },
};

static void
check_unwrap(const struct key *key, size_t i)
{
	unsigned char content[KEY_CONTENT_BYTES], untouched[KEY_CONTENT_BYTES];
	struct err err = { 0 };
	struct slice plain, block;
	int result;

	assert_int_equal(run("head -c %s /dev/urandom >plain && openssl pkeyutl -encrypt -certin -inkey u.crt -in plain -out block %s"
	    " && openssl pkeyutl -encrypt -certin -inkey v.crt -in plain -out other %s && %s", wrapped[i].bytes, wrapped[i].options,
	    wrapped[i].options, wrapped[i].then), 0);
	plain = read_file("plain");
	block = read_file("block");
	memset(content, 0x5a, sizeof(content));
	memset(untouched, 0x5a, sizeof(untouched));
	result = key_unwrap(key, block, content, &err);
	if ((result == 0) != wrapped[i].want)
		fail_msg("%s: %d '%s'", wrapped[i].name, result, err.text);
	if (result == 0)
		assert_memory_equal(content, plain.at, sizeof(content));
	else
		assert_memory_equal(content, untouched, sizeof(content));
	if (result == -1 && (err.kind != ERR_CONFIG
	    || strcmp(err.text, "the content key cannot be unwrapped: it was written to another certificate, or is damaged") != 0))
		fail_msg("%s: says '%s'", wrapped[i].name, err.text);
	heap_free(plain);
	heap_free(block);
}

static void
test_unwrap(void **state)
{
	AUTO(key_free) struct key *key = NULL, *curve = NULL;
	unsigned char content[KEY_CONTENT_BYTES];
	struct err err = { 0 };

	(void)state;
	mkpki(&world, "--out u --cn x --from -1d --to +1d --key rsa4096");
	mkpki(&world, "--out v --cn x --from -1d --to +1d --key rsa4096");
	mkpki(&world, "--out e --cn x --from -1d --to +1d --key p256");
	assert_int_equal(key_load("u.key", NULL, true, &key, &err), 0);
	assert_int_equal(key_load("e.key", NULL, true, &curve, &err), 0);
	for (size_t i = 0; i < N_ELEMENTS(wrapped); i++)
		check_unwrap(key, i);
	assert_int_equal(key_unwrap(curve, slice_of("x"), content, &err), -1);
	assert_non_null(strstr(err.text, "want RSA"));
}

static int
setup(void **state)
{
	(void)state;
	world_open(&world);
	setenv("MKPKI", world.mkpki, 1);
	return run("umask 077; echo rahasia >pw; echo salah >pw2; echo rahasia >pw-open; chmod 644 pw-open; echo >pw-empty; printf 'rahasia\\nzwei\\n' >pw-two");
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
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_signatures),
		cmocka_unit_test(test_unwrap),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
