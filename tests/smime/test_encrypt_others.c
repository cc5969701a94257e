/*
 * What we encrypt, others must open, and what they encrypt, we: openssl cms for all, GnuPG's gpgsm and NSS's cmsutil for RSA v1.5
 * with CBC, Bouncy Castle for all.
 */
#include "tests/smime/office.h"

#include <limits.h>

#include "smime/head.h"
#include "tests/smime/keyrings.h"

#define HEAD "From: budi@kota.example\r\nTo: ana@prov.example\r\nSubject: Surat\r\nDate: Tue, 2 Jun 2026 10:00:00 +0700\r\nMessage-ID: <1@kota.example>\r\n"
#define MESSAGE HEAD "Content-Type: text/plain; charset=us-ascii\r\n\r\nIsi yang rahasia.\r\n"
#define CLASSES "/usr/share/java/bcpkix.jar:/usr/share/java/bcprov.jar:/usr/share/java/bcutil.jar"

static char java_source[PATH_MAX];

/* The tests run in the checkout, and this one leaves it. */
static int
set_up(void **given)
{
	assert_non_null(realpath("tests/smime/Envelope.java", java_source));
	office_open(given);
	for (size_t i = 0; i < N_KINDS; i++)
		assert_int_equal(run("openssl pkcs8 -topk8 -nocrypt -in %s.key -outform DER -out %s.p8", kind_names[i], kind_names[i]), 0);
	keyrings_open("rsa");
	if (run("ecj -17 -nowarn -proc:none -cp " CLASSES " -d classes '%s' >ecj.log 2>&1", java_source) != 0)
		fail_msg("Envelope.java does not compile; packages ecj and libbcpkix-java (contrib/packages)");
	return 0;
}

static int
tear_down(void **given)
{
	keyrings_close();
	return office_close(given);
}

/* ---- ours ---- */

static const struct {
	const char *name;
	struct wanted wanted;
	enum kind kind;
	bool gpgsm, nss; /* can */
} ours[] = {
	{ "v1.5, CBC", { ENCRYPT_AES256_CBC, KEY_PADDING_V15, false }, RSA, true, true },
	{ "v1.5, CBC, key identifier", { ENCRYPT_AES256_CBC, KEY_PADDING_V15, true }, RSA, false, true },
	{ "OAEP, CBC", { ENCRYPT_AES256_CBC, KEY_PADDING_OAEP, false }, RSA, false, false },
	{ "v1.5, GCM", { ENCRYPT_AES256_GCM, KEY_PADDING_V15, false }, RSA, false, false },
	{ "OAEP, GCM", { ENCRYPT_AES256_GCM, KEY_PADDING_OAEP, false }, RSA, false, false },
	{ "OAEP, GCM, key identifier", { ENCRYPT_AES256_GCM, KEY_PADDING_OAEP, true }, RSA, false, false },
	{ "P-256, CBC", { ENCRYPT_AES256_CBC, KEY_PADDING_UNKNOWN, false }, P256, false, false },
	{ "P-256, CBC, key identifier", { ENCRYPT_AES256_CBC, KEY_PADDING_UNKNOWN, true }, P256, false, false },
	{ "P-384, CBC", { ENCRYPT_AES256_CBC, KEY_PADDING_UNKNOWN, false }, P384, false, false },
	{ "P-256, GCM", { ENCRYPT_AES256_GCM, KEY_PADDING_UNKNOWN, false }, P256, false, false },
	{ "P-384, GCM", { ENCRYPT_AES256_GCM, KEY_PADDING_UNKNOWN, false }, P384, false, false },
};

enum program { OPENSSL, GPGSM, NSS };

/*
 * Of programs that write what they opened to `opened`; $k is the kind. gpgsm also exits with 2 where it opened the message but has
 * no certificate of a recipient that comes before its own (they are in DER's order); its status line tells.
 */
static const struct {
	const char *name;
	enum program program;
	const char *command;
} openers[] = {
	{ "openssl", OPENSSL, "openssl cms -decrypt -binary -inform DER -in ours.der -recip $k.crt -inkey $k.key -out opened 2>openssl.log" },
	{ "openssl, without the certificate", OPENSSL, "openssl cms -decrypt -binary -inform DER -in ours.der -inkey $k.key -out opened 2>openssl.log" },
	{ "gpgsm", GPGSM, "echo x | GNUPGHOME=$PWD/gpg gpgsm --quiet --pinentry-mode loopback --passphrase-fd 0 --status-fd 1 --decrypt -o opened --yes ours.der 2>>gpg.log | grep -q DECRYPTION_OKAY" },
	{ "cmsutil", NSS, "cmsutil -D -d sql:nss -i ours.der -o opened 2>>nss.log" },
};

static void
check_opened(const char *program, const char *name, struct slice content)
{
	struct slice opened = read_file("opened");

	if (!slice_equal(opened, content))
		fail_msg("%s, %s: other bytes", program, name);
	heap_free(opened);
	assert_int_equal(unlink("opened"), 0);
}

static void
write_jobs(FILE *jobs, size_t row)
{
	fprintf(jobs, "decrypt %s.p8 ours%zu.der opened%zu\n", kind_names[ours[row].kind], row, row);
}

static void
run_jobs(const char *name)
{
	struct slice said;

	assert_int_equal(run("java -cp classes:" CLASSES " Envelope <jobs >answers 2>java.log"), 0);
	said = read_file("answers");
	if (said.len == 0 || memmem(said.at, said.len, "no ", 3))
		fail_msg("Bouncy Castle, %s: %.*s", name, (int)said.len, said.at);
	heap_free(said);
}

static void
test_ours(void **given)
{
	AUTO_BUF struct buf entity = { 0 };
	FILE *jobs = fopen("jobs", "we");
	size_t n = 0;

	office_seal(*given, slice_of(MESSAGE), true, &entity);
	for (size_t row = 0; row < N_ELEMENTS(ours); row++) {
		AUTO_BUF struct buf der = { 0 };
		char file[32];

		office_encrypt(*given, &ours[row].wanted, &ours[row].kind, 1, buf_slice(&entity), &der);
		snprintf(file, sizeof(file), "ours%zu.der", row);
		write_file(file, der.at, der.len);
		write_file("ours.der", der.at, der.len);
		write_jobs(jobs, row);
		for (size_t i = 0; i < N_ELEMENTS(openers); i++) {
			if ((openers[i].program == GPGSM && !ours[row].gpgsm) || (openers[i].program == NSS && !ours[row].nss))
				continue;
			if (run("k=%s; %s", kind_names[ours[row].kind], openers[i].command) != 0)
				fail_msg("%s does not open %s", openers[i].name, ours[row].name);
			check_opened(openers[i].name, ours[row].name, buf_slice(&entity));
			n++;
		}
	}
	fclose(jobs);
	run_jobs("ours");
	for (size_t row = 0; row < N_ELEMENTS(ours); row++, n++) {
		assert_int_equal(run("mv opened%zu opened", row), 0);
		check_opened("Bouncy Castle", ours[row].name, buf_slice(&entity));
	}
	print_message("%zu verdicts of other programs\n", n);
}

/* Every kind in one object: each opens it with its own key. */
static void
test_together(void **given)
{
	static const enum kind all[] = { RSA, P256, P384, OTHER };
	static const struct wanted ways[] = {
		{ ENCRYPT_AES256_CBC, KEY_PADDING_V15, false }, { ENCRYPT_AES256_CBC, KEY_PADDING_OAEP, true },
		{ ENCRYPT_AES256_GCM, KEY_PADDING_OAEP, false }, { ENCRYPT_AES256_GCM, KEY_PADDING_V15, true },
	};
	AUTO_BUF struct buf entity = { 0 };

	office_seal(*given, slice_of(MESSAGE), true, &entity);
	for (size_t w = 0; w < N_ELEMENTS(ways); w++) {
		AUTO_BUF struct buf der = { 0 };

		office_encrypt(*given, &ways[w], all, N_ELEMENTS(all), buf_slice(&entity), &der);
		write_file("ours.der", der.at, der.len);
		for (size_t i = 0; i < N_KINDS; i++) {
			assert_int_equal(run("k=%s; %s", kind_names[i], openers[0].command), 0);
			check_opened("openssl", "all together", buf_slice(&entity));
		}
		/* NSS cannot read an object in which anybody's key is EC, openssl's neither; gpgsm can. */
		if (ways[w].cipher == ENCRYPT_AES256_CBC && ways[w].padding == KEY_PADDING_V15) {
			if (run("%s", openers[2].command) != 0)
				fail_msg("gpgsm does not open what is for others, too");
			check_opened("gpgsm", "all together", buf_slice(&entity));
			assert_int_not_equal(run("%s", openers[3].command), 0);
		}
	}
}

/* ---- theirs ---- */

#define GPG_ID "$(openssl x509 -in rsa.crt -noout -fingerprint -sha1 | sed 's/.*=//;s/://g')"

static const struct {
	const char *name, *command;
	enum kind kind;
	enum decrypt_state want;
} theirs[] = {
	{ "gpgsm, AES-128", "GNUPGHOME=$PWD/gpg gpgsm --quiet --cipher-algo AES -r " GPG_ID " --encrypt -o theirs --yes content 2>>gpg.log", RSA, DECRYPT_OPENED },
	{ "gpgsm, AES-256", "GNUPGHOME=$PWD/gpg gpgsm --quiet --cipher-algo AES256 -r " GPG_ID " --encrypt -o theirs --yes content 2>>gpg.log", RSA, DECRYPT_OPENED },
	{ "gpgsm, 3DES", "GNUPGHOME=$PWD/gpg gpgsm --quiet --cipher-algo 3DES -r " GPG_ID " --encrypt -o theirs --yes content 2>>gpg.log", RSA, DECRYPT_UNSUPPORTED },
	{ "cmsutil", "cmsutil -E -d sql:nss -r ana@prov.example -i content -o theirs 2>>nss.log", RSA, DECRYPT_OPENED },
};

static const struct {
	const char *cipher, *way;
	enum kind kind;
	bool plain; /* not signed */
	enum decrypt_state want;
} castle[] = {
	{ "cbc256", "v15", RSA, false, DECRYPT_OPENED }, { "cbc128", "oaep1", RSA, false, DECRYPT_OPENED }, { "cbc256", "oaep256", RSA, false, DECRYPT_OPENED }, { "cbc256", "oaep512", RSA, false, DECRYPT_OPENED },
	{ "cbc256", "java", RSA, false, DECRYPT_OPENED }, { "gcm256", "v15", RSA, true, DECRYPT_OPENED }, { "gcm256", "oaep256", RSA, true, DECRYPT_OPENED }, { "gcm128", "java", RSA, true, DECRYPT_OPENED },
	{ "gcm256+attributes", "oaep256", RSA, true, DECRYPT_OPENED }, { "gcm256+attributes", "ecdh256", P256, true, DECRYPT_OPENED },
	{ "cbc256", "ecdh1", P256, false, DECRYPT_OPENED }, { "cbc256", "ecdh256", P256, false, DECRYPT_OPENED }, { "cbc256", "ecdh384", P384, false, DECRYPT_OPENED }, { "cbc128", "ecdh256", P384, false, DECRYPT_OPENED },
	{ "gcm256", "ecdh256", P256, true, DECRYPT_OPENED }, { "gcm128", "ecdh384", P384, true, DECRYPT_OPENED },
	{ "cbc256", "ecdh256spelled", P256, false, DECRYPT_UNSUPPORTED }, /* a curve that is spelled out may be a known one but for a byte */
};

static void
check_theirs(struct office *office, const char *name, const char *file, enum kind kind, enum decrypt_state want, struct slice content)
{
	AUTO(decrypted_free) struct decrypted *decrypted = NULL;
	AUTO_BUF struct buf mail = { 0 };
	AUTO_HEAD struct head head = { 0 };
	struct slice der = read_file(file);
	struct plain plain;

	office_mail(HEAD, der, &mail);
	office_decrypt(office, kind, buf_slice(&mail), true, &decrypted);
	if (decrypted_facts(decrypted)->state != want)
		fail_msg("%s: %s '%s'", name, decrypt_state_name(decrypted_facts(decrypted)->state), decrypted_facts(decrypted)->why);
	if (want == DECRYPT_OPENED) {
		head_scan(content, &head);
		assert_true(decrypted_plain(decrypted, decrypted_facts(decrypted)->authenticated ? GROUND_CIPHER : GROUND_SIGNATURE, &plain));
		assert_true(slice_equal(plain.body, head.body));
	}
	heap_free(der);
}

static void
test_theirs(void **given)
{
	AUTO_BUF struct buf entity = { 0 };
	static const char plain[] = "Content-Type: text/plain\r\n\r\nIsi\r\n";
	FILE *jobs = fopen("jobs", "we");

	office_seal(*given, slice_of(MESSAGE), true, &entity);
	write_file("content", entity.at, entity.len);
	write_file("plain", plain, strlen(plain));
	for (size_t i = 0; i < N_ELEMENTS(theirs); i++) {
		if (run("rm -f theirs; %s", theirs[i].command) != 0)
			fail_msg("%s does not encrypt", theirs[i].name);
		check_theirs(*given, theirs[i].name, "theirs", theirs[i].kind, theirs[i].want, buf_slice(&entity));
	}
	for (size_t i = 0; i < N_ELEMENTS(castle); i++)
		fprintf(jobs, "encrypt %s %s %s.crt %s castle%zu\n", castle[i].cipher, castle[i].way, kind_names[castle[i].kind],
		    castle[i].plain ? "plain" : "content", i);
	fclose(jobs);
	run_jobs("theirs");
	for (size_t i = 0; i < N_ELEMENTS(castle); i++) {
		char name[96], file[32];

		snprintf(name, sizeof(name), "Bouncy Castle, %s, %s, %s", castle[i].cipher, castle[i].way, kind_names[castle[i].kind]);
		snprintf(file, sizeof(file), "castle%zu", i);
		check_theirs(*given, name, file, castle[i].kind, castle[i].want, castle[i].plain ? slice_of(plain) : buf_slice(&entity));
	}
	print_message("%zu objects of other programs\n", N_ELEMENTS(theirs) + N_ELEMENTS(castle));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ours),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_theirs),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
