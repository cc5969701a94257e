/*
 * Is it encrypted? What openssl encrypted is; what differs from it by one thing is not, whatever its header says.
 */
#include "tests/smime/office.h"

#include "milter/ciphertext.h"

#define HEAD "From: budi@kota.example\r\nTo: ana@prov.example\r\nSubject: x\r\n"
#define ENTITY "Content-Type: text/plain; charset=us-ascii\r\n\r\nIsi yang rahasia.\r\n"
#define PGP_TYPE "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=x\r\n\r\n"
#define PGP_PARTS "--x\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--x\r\nContent-Type: application/octet-stream\r\n\r\nabc\r\n--x--\r\n"
#define ENVELOPED "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\n"

static const char *
name_of(enum ciphertext ciphertext)
{
	static const char *const names[] = {
		[CIPHERTEXT_UNKNOWN] = "unknown", [CIPHERTEXT_NONE] = "none", [CIPHERTEXT_CMS] = "cms", [CIPHERTEXT_OTHER] = "other",
	};

	return names[ciphertext];
}

static void
want(const char *name, struct slice mail, enum ciphertext wanted)
{
	struct message_facts facts;
	struct err err = { .text = "" };
	enum ciphertext found;

	assert_int_equal(smime_inspect(mail, &facts, &err), 0);
	found = ciphertext_of(mail, &facts);
	if (found != wanted)
		fail_msg("%s: found %s, wanted %s", name, name_of(found), name_of(wanted));
}

static const struct {
	const char *name;
	const char *make; /* a shell command that writes the entity, made of the file "plain" */
	enum ciphertext want;
} theirs[] = {
	{ "EnvelopedData, RSA", "openssl cms -encrypt -binary -aes-256-cbc -in plain rsa.crt", CIPHERTEXT_CMS },
	{ "AuthEnvelopedData, P-384", "openssl cms -encrypt -binary -aes-256-gcm -in plain p384.crt", CIPHERTEXT_CMS },
	{ "another cipher", "openssl cms -encrypt -binary -des3 -in plain rsa.crt", CIPHERTEXT_OTHER },
	{ "by a password", "openssl cms -encrypt -binary -aes-256-cbc -pwri_password x -in plain", CIPHERTEXT_OTHER },
	{ "signed, opaque", "openssl cms -sign -nodetach -binary -in plain -signer signer.crt -inkey signer.key", CIPHERTEXT_NONE },
	{ "signed, in clear", "openssl cms -sign -binary -in plain -signer signer.crt -inkey signer.key", CIPHERTEXT_NONE },
	{ "signed, said to be encrypted", "openssl cms -sign -nodetach -binary -in plain -signer signer.crt -inkey signer.key"
	    " | sed s/smime-type=signed-data/smime-type=enveloped-data/", CIPHERTEXT_OTHER },
	{ "bare data, said to be encrypted", "openssl cms -data_create -binary -in plain -outform DER >der; printf 'Content-Type: "
	    "application/pkcs7-mime; smime-type=enveloped-data\\nContent-Transfer-Encoding: base64\\n\\n'; base64 der", CIPHERTEXT_OTHER },
	{ "signed around encrypted", "openssl cms -encrypt -binary -aes-256-cbc -in plain rsa.crt | sed 's/\\r$//; s/$/\\r/' >inner; openssl cms -sign -nodetach -binary"
	    " -in inner -signer signer.crt -inkey signer.key", CIPHERTEXT_CMS },
	{ "cut in the middle", "openssl cms -encrypt -binary -aes-256-cbc -in plain rsa.crt | head -c 700", CIPHERTEXT_OTHER },
};

static void
others_encrypt(void **given)
{
	(void)given;
	write_file("plain", ENTITY, strlen(ENTITY));
	for (size_t i = 0; i < N_ELEMENTS(theirs); i++) {
		struct slice mail;

		if (run("(echo 'From: budi@kota.example'; %s 2>openssl.log) | sed 's/\\r$//; s/$/\\r/' >out.eml", theirs[i].make) != 0)
			fail_msg("%s: openssl failed", theirs[i].name);
		mail = read_file("out.eml");
		if (mail.len < 200)
			fail_msg("%s: openssl wrote nothing", theirs[i].name);
		want(theirs[i].name, mail, theirs[i].want);
		heap_free(mail);
	}
}

static void
claims(void **given)
{
	static const struct {
		const char *name, *mail;
		enum ciphertext want;
	} rows[] = {
		{ "plain", HEAD ENTITY, CIPHERTEXT_NONE },
		{ "PGP", HEAD PGP_TYPE PGP_PARTS, CIPHERTEXT_OTHER },
		{ "text under that type", HEAD ENVELOPED "Halo, ini rahasia.\r\n", CIPHERTEXT_OTHER },
		{ "text in base64 under that type", HEAD ENVELOPED "SGFsbywgaW5pIHJhaGFzaWEuDQo=\r\n", CIPHERTEXT_OTHER },
		{ "no object", HEAD ENVELOPED "MAA=\r\n", CIPHERTEXT_OTHER },
		{ "nothing", HEAD ENVELOPED, CIPHERTEXT_OTHER },
		{ "only the file's name", HEAD "Content-Type: application/octet-stream; name=smime.p7m\r\n\r\nHalo\r\n", CIPHERTEXT_NONE },
	};

	(void)given;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		want(rows[i].name, slice_of(rows[i].mail), rows[i].want);
}

/* In a multipart it is a part, and the rest is read by everybody. */
static void
only_the_whole(void **given)
{
	static const struct wanted wanted = { ENCRYPT_AES256_GCM, KEY_PADDING_OAEP, false };
	static const enum kind to[] = { RSA, P256 };
	AUTO_BUF struct buf der = { 0 }, whole = { 0 }, part = { 0 }, mixed = { 0 }, longer = { 0 };

	office_encrypt(*given, &wanted, to, 2, slice_of(ENTITY), &der);
	office_mail(HEAD, buf_slice(&der), &whole);
	want("to two", buf_slice(&whole), CIPHERTEXT_CMS);

	office_mail("", buf_slice(&der), &part);
	buf_init(&mixed, LIMIT_MESSAGE_BYTES);
	buf_add_text(&mixed, HEAD "Content-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\nHalo\r\n--y\r\n");
	buf_add_slice(&mixed, buf_slice(&part));
	buf_add_text(&mixed, "\r\n--y--\r\n");
	want("a part", buf_slice(&mixed), CIPHERTEXT_NONE);

	buf_add(&der, "", 1);
	office_mail(HEAD, buf_slice(&der), &longer);
	want("a byte behind it", buf_slice(&longer), CIPHERTEXT_OTHER);
}

/* What nobody inspected, and what was too much to inspect. */
static void
not_looked(void **given)
{
	static const struct wanted wanted = { ENCRYPT_AES256_CBC, KEY_PADDING_V15, false };
	static const enum kind to[] = { P256 };
	AUTO_BUF struct buf der = { 0 }, mail = { 0 };
	struct message_facts facts = { 0 };

	office_encrypt(*given, &wanted, to, 1, slice_of(ENTITY), &der);
	office_mail(HEAD, buf_slice(&der), &mail);
	assert_int_equal(ciphertext_of(buf_slice(&mail), &facts), CIPHERTEXT_UNKNOWN);
	facts = (struct message_facts){ .outer = LAYER_ENCRYPTED, .mime = MIME_CLEAR, .limit = "mime_depth" };
	assert_int_equal(ciphertext_of(buf_slice(&mail), &facts), CIPHERTEXT_OTHER);
	facts = (struct message_facts){ .outer = LAYER_ENCRYPTED, .mime = MIME_AMBIGUOUS };
	assert_int_equal(ciphertext_of(buf_slice(&mail), &facts), CIPHERTEXT_OTHER);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_encrypt),
		cmocka_unit_test(claims),
		cmocka_unit_test(only_the_whole),
		cmocka_unit_test(not_looked),
	};

	return cmocka_run_group_tests(tests, office_open, office_close);
}
