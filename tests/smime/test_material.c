/*
 * Private keys in mail. The files are made by openssl, the encodings by coreutils; for each kind that
 * is found there are ones beside it that are none: public keys, certificates, one byte changed.
 */
#include "tests/smime/world.h"

#include <time.h>

#include "smime/inspect.h"

#define FROM "From: budi@kota.example\r\nMIME-Version: 1.0\r\n"
#define OCTETS "Content-Type: application/octet-stream\r\n"
#define BASE64 "Content-Transfer-Encoding: base64\r\n"
#define KEY_TEXT "-----BEGIN PRIVATE KEY-----\r\nMIGH\r\n-----END PRIVATE KEY-----\r\n"

static struct world world;

static void
expect(const char *name, struct slice message, enum material want, const char *want_by)
{
	struct message_facts facts;

	assert_int_equal(smime_inspect(message, &facts, NULL), 0);
	if (facts.limit[0] || facts.material != want || (want_by && strcmp(facts.material_by, want_by) != 0))
		fail_msg("%s: %s by '%s' in part %zu, limit '%s'; wanted %s by '%s'\n%.*s", name, material_name(facts.material),
		    facts.material_by, facts.material_part, facts.limit, material_name(want), want_by ? want_by : "-",
		    (int)(message.len < 600 ? message.len : 600), message.at);
	heap_free(message);
}

static void
expect_text(const char *name, const char *text, enum material want, const char *want_by)
{
	expect(name, heap_text(text), want, want_by);
}

/* ---- files ---- */

static const char make_files[] =
    "exec >/dev/null 2>&1\n"
    "set -e\n"
    "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem\n"
    "openssl rsa -in rsa.pem -traditional -out rsa-old.pem\n"
    "openssl rsa -in rsa.pem -traditional -aes128 -passout pass:x -out rsa-old-closed.pem\n"
    "openssl ecparam -name prime256v1 -genkey -out ec-old.pem\n"
    "openssl pkcs8 -topk8 -in ec-old.pem -nocrypt -out ec.pem\n"
    "openssl pkcs8 -topk8 -in ec-old.pem -passout pass:x -out ec-closed.pem\n"
    "openssl genpkey -algorithm ed25519 -out ed.pem\n"
    "openssl pkcs8 -topk8 -in rsa.pem -nocrypt -outform DER -out rsa.der\n"
    "openssl rsa -in rsa.pem -traditional -outform DER -out rsa-old.der\n"
    "openssl ec -in ec-old.pem -outform DER -out ec-old.der\n"
    "openssl pkcs8 -topk8 -in ec-old.pem -nocrypt -outform DER -out ec.der\n"
    "openssl pkcs8 -topk8 -in ec-old.pem -passout pass:x -outform DER -out ec-closed.der\n"
    "openssl pkcs8 -topk8 -in ec-old.pem -v1 PBE-SHA1-3DES -passout pass:x -outform DER -out ec-closed-old.der\n"
    "openssl pkey -in ed.pem -outform DER -out ed.der\n"
    "openssl req -x509 -new -key rsa.pem -subj /CN=x -days 1 -out cert.pem\n"
    "openssl pkcs12 -export -in cert.pem -inkey rsa.pem -passout pass:x -out key.p12\n"
    "openssl pkcs12 -export -in cert.pem -inkey rsa.pem -passout pass:x -legacy -out key-old.p12\n"
    "cp key.p12 key.bin\n"
    "openssl x509 -in cert.pem -outform DER -out cert.der\n"
    "openssl rsa -in rsa.pem -pubout -out pub.pem\n"
    "openssl rsa -in rsa.pem -pubout -outform DER -out pub.der\n"
    "openssl rsa -in rsa.pem -RSAPublicKey_out -outform DER -out rsapub.der\n"
    "openssl rsa -in rsa.pem -RSAPublicKey_out -out rsapub.pem\n"
    "openssl ec -in ec-old.pem -pubout -outform DER -out ecpub.der\n"
    "openssl req -new -key rsa.pem -subj /CN=x -out csr.pem\n"
    "openssl req -new -key rsa.pem -subj /CN=x -outform DER -out csr.der\n"
    "openssl crl2pkcs7 -nocrl -certfile cert.pem -outform DER -out certs.p7b\n"
    "openssl cms -sign -binary -in pub.pem -signer cert.pem -inkey rsa.pem -outform DER -out signed.p7s\n"
    "openssl cms -encrypt -binary -in rsa.pem -outform DER -out closed.p7m cert.pem\n"
    "openssl ts -query -data pub.pem -sha256 -out time.tsq\n"
    "openssl dhparam -dsaparam -outform DER -out dh.der 512 || printf x >dh.der\n"
    "openssl ecparam -name prime256v1 -outform DER -out curve.der\n";

static const struct {
	const char *name;
	enum material want;
} files[] = {
	{ "rsa.pem", MATERIAL_PRIVATE_KEY },      { "rsa-old.pem", MATERIAL_PRIVATE_KEY },
	{ "rsa-old-closed.pem", MATERIAL_PRIVATE_KEY },
	{ "ec-old.pem", MATERIAL_PRIVATE_KEY },   { "ec.pem", MATERIAL_PRIVATE_KEY },
	{ "ec-closed.pem", MATERIAL_PRIVATE_KEY }, { "ed.pem", MATERIAL_PRIVATE_KEY },
	{ "rsa.der", MATERIAL_PRIVATE_KEY },      { "rsa-old.der", MATERIAL_PRIVATE_KEY },
	{ "ec-old.der", MATERIAL_PRIVATE_KEY },   { "ec.der", MATERIAL_PRIVATE_KEY },
	{ "ec-closed.der", MATERIAL_PRIVATE_KEY }, { "ec-closed-old.der", MATERIAL_PRIVATE_KEY },
	{ "ed.der", MATERIAL_PRIVATE_KEY },
	{ "key.p12", MATERIAL_PKCS12 },           { "key-old.p12", MATERIAL_PKCS12 },
	{ "key.bin", MATERIAL_PKCS12 },
	{ "cert.pem", MATERIAL_NONE },            { "cert.der", MATERIAL_NONE },
	{ "pub.pem", MATERIAL_NONE },             { "pub.der", MATERIAL_NONE },
	{ "rsapub.pem", MATERIAL_NONE },          { "rsapub.der", MATERIAL_NONE },
	{ "ecpub.der", MATERIAL_NONE },           { "csr.pem", MATERIAL_NONE },
	{ "csr.der", MATERIAL_NONE },             { "certs.p7b", MATERIAL_NONE },
	{ "signed.p7s", MATERIAL_NONE },          { "closed.p7m", MATERIAL_NONE },
	{ "time.tsq", MATERIAL_NONE },            { "dh.der", MATERIAL_NONE },
	{ "curve.der", MATERIAL_NONE },
};

/* What a mail program makes of a file, by coreutils; odd widths cut the groups of four. */
static const struct {
	const char *command;
	const char *label;
} encodings[] = {
	{ "base64 -w 76 '%s' | sed 's/$/\\r/' >part", "base64" },
	{ "base64 -w 64 '%s' | sed 's/$/\\r/' >part", "Base64" },
	{ "base64 -w 7 '%s' | sed 's/$/\\r/' >part", "base64" },
	{ "base64 -w 61 '%s' | sed 's/$/ \\t\\r/; s/^/!/' >part", "base64" },
	{ "base64 -w 76 '%s' | tr -d '=' | sed 's/$/\\r/' >part", "base64" },
	{ "cp '%s' part", "binary" },
	{ "cp '%s' part", "x-whatever" },
	{ "/usr/bin/python3 -c 'import binascii,sys; sys.stdout.buffer.write(binascii.b2a_qp(open(sys.argv[1],\"rb\").read(),"
	  "istext=False).replace(b\"\\n\",b\"\\r\\n\"))' '%s' >part", "quoted-printable" },
};

/* Where a leaf may stand: %s is its entity. */
static const struct {
	const char *front;
	const char *back;
} places[] = {
	{ FROM, "" },
	{ FROM "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\n", "\r\n--b--\r\n" },
	{ FROM "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: multipart/related; boundary=i\r\n\r\n--i\r\n\r\nhi\r\n--i\r\n",
	  "\r\n--i--\r\n--b--\r\n" },
	{ FROM "Content-Type: message/rfc822\r\n\r\nFrom: x@y\r\n", "\r\n" },
	{ FROM "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: x@y\r\n"
	  "Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n", "\r\n--i--\r\n--b--\r\n" },
	{ FROM "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=b\r\n\r\n--b\r\n",
	  "\r\n--b\r\nContent-Type: application/pkcs7-signature\r\n\r\nAA\r\n--b--\r\n" },
};

static struct slice
join(const char *front, const char *head, struct slice body, const char *back)
{
	struct buf buf;
	struct slice ret;

	buf_init(&buf, 64 * 1024 * 1024);
	buf_add_text(&buf, front);
	buf_add_text(&buf, head);
	buf_add_slice(&buf, body);
	buf_add_text(&buf, back);
	ret = heap_slice(buf.at, buf.len);
	buf_done(&buf);
	return ret;
}

static void
test_files(void **state)
{
	(void)state;
	for (size_t f = 0; f < N_ELEMENTS(files); f++) {
		for (size_t e = 0; e < N_ELEMENTS(encodings); e++) {
			AUTO(xfree) char *head = xasprintf(OCTETS "Content-Transfer-Encoding: %s\r\n\r\n", encodings[e].label);
			struct slice body;
			char command[512];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			snprintf(command, sizeof(command), encodings[e].command, files[f].name);
#pragma GCC diagnostic pop
			assert_int_equal(run("%s", command), 0);
			body = read_file("part");
			for (size_t p = 0; p < N_ELEMENTS(places); p++) {
				AUTO(xfree) char *name = xasprintf("%s, %s %zu, place %zu", files[f].name, encodings[e].label, e, p);

				expect(name, join(places[p].front, head, body, places[p].back), files[f].want, "content" + (files[f].want == MATERIAL_NONE) * 7);
			}
			heap_free(body);
		}
	}
}

/* ---- names ---- */

static const struct {
	const char *name;
	const char *fields;
	enum material want;
	const char *want_by;
} names[] = {
	{ "x-pkcs12", "Content-Type: application/x-pkcs12\r\n", MATERIAL_PKCS12, "media-type" },
	{ "pkcs12", "Content-Type: Application/PKCS12; name=x\r\n", MATERIAL_PKCS12, "media-type" },
	{ "pkcs10", "Content-Type: application/pkcs10\r\n", MATERIAL_NONE, "" },
	{ "x-x509-user-cert", "Content-Type: application/x-x509-user-cert; name=a.crt\r\n", MATERIAL_NONE, "" },
	{ "name.p12", OCTETS "Content-Disposition: attachment; filename=\"kunci.p12\"\r\n", MATERIAL_PKCS12, "file-name" },
	{ "name.PFX", OCTETS "Content-Disposition: attachment; filename=KUNCI.PFX\r\n", MATERIAL_PKCS12, "file-name" },
	{ "Content-Type's name", "Content-Type: application/octet-stream; name=\"kunci saya.p12\"\r\n", MATERIAL_PKCS12, "file-name" },
	{ "folded", "Content-Type: application/octet-stream;\r\n\tname=\"kunci.p12\"\r\n", MATERIAL_PKCS12, "file-name" },
	{ "RFC 2231", OCTETS "Content-Disposition: attachment; filename*=UTF-8''kunci%20saya%2Ep12\r\n", MATERIAL_PKCS12, "file-name" },
	{ "continued", OCTETS "Content-Disposition: attachment; filename*0=\"kunci.p\"; filename*1=\"12\"\r\n", MATERIAL_PKCS12, "file-name" },
	{ "encoded word, Q", OCTETS "Content-Disposition: attachment; filename=\"=?utf-8?Q?kunci=2Ep12?=\"\r\n", MATERIAL_PKCS12, "file-name" },
	{ "encoded word, B", OCTETS "Content-Disposition: attachment; filename=\"=?utf-8?B?a3VuY2kucDEy?=\"\r\n", MATERIAL_PKCS12, "file-name" },
	{ "a dot behind", OCTETS "Content-Disposition: attachment; filename=\"kunci.p12. \"\r\n", MATERIAL_PKCS12, "file-name" },
	{ "inline", "Content-Type: text/plain\r\nContent-Disposition: inline; filename=kunci.p12\r\n", MATERIAL_PKCS12, "file-name" },
	{ "p7", OCTETS "Content-Disposition: attachment; filename=\"kunci.p7\"\r\n", MATERIAL_NONE, "" },
	{ "p12 within", OCTETS "Content-Disposition: attachment; filename=\"kunci.p12.pdf\"\r\n", MATERIAL_NONE, "" },
	{ "no dot", OCTETS "Content-Disposition: attachment; filename=\"kuncip12\"\r\n", MATERIAL_NONE, "" },
	{ "another parameter", OCTETS "Content-Disposition: attachment; comment=\"kunci.p12\"\r\n", MATERIAL_NONE, "" },
	{ "the subject", OCTETS "Subject: kunci.p12\r\n", MATERIAL_NONE, "" },
	{ "p12 of 300 letters", OCTETS "Content-Disposition: attachment; filename=\"" "%s" ".p12\"\r\n", MATERIAL_PKCS12, "file-name" },
	{ "the same without", OCTETS "Content-Disposition: attachment; filename=\"" "%s" ".pdf\"\r\n", MATERIAL_NONE, "" },
};

static void
test_names(void **state)
{
	AUTO(xfree) char *letters = repeat("a", 300);

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		const char *gap = strstr(names[i].fields, "%s");
		AUTO(xfree) char *fields = gap ? xasprintf("%.*s%s%s", (int)(gap - names[i].fields), names[i].fields, letters, gap + 2)
		    : xstrdup(names[i].fields);
		AUTO(xfree) char *alone = xasprintf(FROM "%s\r\nhi\r\n", fields);
		AUTO(xfree) char *deep = xasprintf("%s%s\r\nhi%s", places[4].front, fields, places[4].back);

		expect_text(names[i].name, alone, names[i].want, names[i].want_by);
		expect_text(names[i].name, deep, names[i].want, names[i].want_by);
	}
}

/* ---- armour ---- */

static const struct {
	const char *name;
	const char *text;
	enum material want;
} armours[] = {
	{ "in the text", "Ini kuncinya:\r\n" KEY_TEXT, MATERIAL_PRIVATE_KEY },
	{ "quoted", "> > -----BEGIN PRIVATE KEY-----\r\n", MATERIAL_PRIVATE_KEY },
	{ "at the end", "x -----BEGIN RSA PRIVATE KEY-----", MATERIAL_PRIVATE_KEY },
	{ "OpenSSH", "-----BEGIN OPENSSH PRIVATE KEY-----\r\nb3Bl\r\n", MATERIAL_PRIVATE_KEY },
	{ "PGP", "-----BEGIN PGP PRIVATE KEY BLOCK-----\r\n", MATERIAL_PRIVATE_KEY },
	{ "behind a false one", "PRIVATE KEY----- BEGIN PRIVATE KEY-----\r\n-----BEGIN EC PRIVATE KEY-----\r\n", MATERIAL_PRIVATE_KEY },
	{ "in a URL", "a=-----BEGIN PRIVATE KEY-----b", MATERIAL_PRIVATE_KEY },
	{ "only the end", "-----END PRIVATE KEY-----\r\n", MATERIAL_NONE },
	{ "four dashes before", "----BEGIN PRIVATE KEY-----\r\n", MATERIAL_NONE },
	{ "four dashes behind", "-----BEGIN PRIVATE KEY----\r\n", MATERIAL_NONE },
	{ "another case", "-----begin private key-----\r\n", MATERIAL_NONE },
	{ "over two lines", "-----BEGIN RSA\r\nPRIVATE KEY-----\r\n", MATERIAL_NONE },
	{ "public", "-----BEGIN PUBLIC KEY-----\r\n", MATERIAL_NONE },
	{ "PGP, public", "-----BEGIN PGP PUBLIC KEY BLOCK-----\r\n", MATERIAL_NONE },
	{ "words", "Jangan kirim PRIVATE KEY lewat surat.\r\n", MATERIAL_NONE },
};

static void
test_armour(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(armours); i++) {
		AUTO(xfree) char *text = xasprintf(FROM "\r\n%s", armours[i].text);
		AUTO(xfree) char *html = xasprintf(FROM "Content-Type: text/html\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<pre>%s</pre>",
		    armours[i].text);

		expect_text(armours[i].name, text, armours[i].want, NULL);
		expect_text(armours[i].name, html, armours[i].want, NULL);
	}
}

/* Wherever the armour lies, no window's end hides it; the file is read as base64 and as quoted-printable. */
static void
test_every_offset(void **state)
{
	(void)state;
	for (size_t offset = 16 * 1024 - 8; offset < 16 * 1024 + 200; offset++) {
		AUTO(xfree) char *filler = repeat("=2d", 3 * offset);
		AUTO(xfree) char *plain = repeat("-", offset);
		AUTO(xfree) char *qp = xasprintf(FROM "Content-Transfer-Encoding: quoted-printable\r\n\r\n%s----=\r\n-BEGIN=20PRI=  \r\nVATE KEY-----", filler);

		expect_text("quoted-printable", qp, MATERIAL_PRIVATE_KEY, "content");
		qp[strlen(qp) - 1] = '\0';
		expect_text("quoted-printable, a dash less", qp, MATERIAL_NONE, "");
		if (offset % 16 == 0) {
			AUTO(xfree) char *text = xasprintf("%s %s", plain, KEY_TEXT);
			struct slice body;

			write_file("file", text, strlen(text));
			assert_int_equal(run("base64 -w %zu file | sed 's/$/\\r/' >part", 60 + offset % 17), 0);
			body = read_file("part");
			expect("base64", join(FROM BASE64, "\r\n", body, ""), MATERIAL_PRIVATE_KEY, "content");
			heap_free(body);
		}
	}
}

/* ---- DER, one byte aside ---- */

static const struct {
	const char *name;
	const char *hex;
	enum material want;
} ders[] = {
	{ "PKCS#12, indefinite lengths", "3080020103308006092a864886f70d010701a080", MATERIAL_PKCS12 },
	{ "PKCS#12, signed", "30820100020103308200f006092a864886f70d010702a080", MATERIAL_PKCS12 },
	{ "version 2", "3080020102308006092a864886f70d010701a080", MATERIAL_NONE },
	{ "no PKCS#7 content", "3080020103308006092a864886f70d010801a080", MATERIAL_NONE },
	{ "a set", "3180020103308006092a864886f70d010701a080", MATERIAL_NONE },
	{ "PKCS#8, version 0", "3014020100300506032b6570040804060000000000000000", MATERIAL_PRIVATE_KEY },
	{ "PKCS#8, version 1", "3014020101300506032b6570040804060000000000000000", MATERIAL_PRIVATE_KEY },
	{ "version 2 of PKCS#8", "3014020102300506032b6570040804060000000000000000", MATERIAL_NONE },
	{ "a bit string behind it", "3014020100300506032b6570030804060000000000000000", MATERIAL_NONE },
	{ "nothing behind it", "300a020100300506032b6570", MATERIAL_NONE },
	{ "RSA", "30820200020100024040", MATERIAL_PRIVATE_KEY },
	{ "RSA of 504 bits", "30820200020100023f40", MATERIAL_NONE },
	{ "RSA, version 2", "30820200020102024040", MATERIAL_NONE },
	{ "EC", "302502010104100000", MATERIAL_PRIVATE_KEY },
	{ "EC of 120 bits", "3025020101040f0000", MATERIAL_NONE },
	{ "EC of 584 bits", "302502010104490000", MATERIAL_NONE },
	{ "EC, version 0", "302502010004100000", MATERIAL_NONE },
	{ "a length of five bytes", "30850000000025020101041000", MATERIAL_NONE },
	{ "a length cut off", "3084", MATERIAL_NONE },
	{ "nothing", "", MATERIAL_NONE },
};

static struct slice
from_hex(const char *hex)
{
	unsigned char bytes[256];
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		bytes[i] = (unsigned char)byte;
	}
	return heap_slice(bytes, n);
}

static void
test_der(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(ders); i++) {
		struct slice body = from_hex(ders[i].hex);

		expect(ders[i].name, join(FROM OCTETS, "Content-Transfer-Encoding: binary\r\n\r\n", body, ""), ders[i].want, NULL);
		/* Only as the whole of a leaf. */
		expect(ders[i].name, join(FROM OCTETS, "Content-Transfer-Encoding: binary\r\n\r\n.", body, ""), MATERIAL_NONE, NULL);
		for (size_t len = 0; len < body.len; len++) {
			struct message_facts facts;
			struct slice cut = join(FROM OCTETS, "Content-Transfer-Encoding: binary\r\n\r\n", (struct slice){ body.at, len }, "");

			assert_int_equal(smime_inspect(cut, &facts, NULL), 0);
			assert_int_not_equal(facts.material, MATERIAL_UNKNOWN);
			heap_free(cut);
		}
		heap_free(body);
	}
}

/* Beyond a limit nothing is known; which part it was is said. */
static void
test_facts(void **state)
{
	static const char two[] = FROM "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\n\r\n" KEY_TEXT "--b\r\n"
	    "Content-Type: application/x-pkcs12\r\n\r\nx\r\n--b--\r\n";
	AUTO(xfree) char *marks = repeat(":", 51);
	AUTO(xfree) char *over = xasprintf("To: %s\r\n" FROM "\r\n" KEY_TEXT, marks);
	struct slice message = heap_text(two), beyond = heap_text(over);
	struct message_facts facts;

	(void)state;
	assert_int_equal(smime_inspect(message, &facts, NULL), 0);
	assert_int_equal(facts.material, MATERIAL_PRIVATE_KEY);
	assert_int_equal(facts.material_part, 3);
	assert_int_equal(smime_inspect(beyond, &facts, NULL), 0);
	assert_string_equal(facts.limit, "address_marks");
	assert_int_equal(facts.material, MATERIAL_UNKNOWN);
	heap_free(message);
	heap_free(beyond);
}

static double
seconds(struct slice message, enum material want)
{
	struct timespec from, to;
	struct message_facts facts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	assert_int_equal(smime_inspect(message, &facts, NULL), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	assert_int_equal(facts.material, want);
	heap_free(message);
	return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

/* Content and names made to cost: time grows with the size, not with its square. */
static void
test_linear(void **state)
{
	static const struct {
		const char *head;
		const char *unit;
	} rows[] = {
		{ BASE64 "\r\n", "UFJJVkFURSBLRVkg" }, { BASE64 "\r\n", "=" }, { BASE64 "\r\n", "A!" }, { BASE64 "\r\n", "LS0tLS0t" },
		{ "\r\n", "PRIVATE KEY-----" }, { "\r\n", "-----BEGIN A PRIVATE KEY " }, { "\r\n", "-----BEGIN A" },
		{ "Content-Transfer-Encoding: quoted-printable\r\n\r\n", "=" },
		{ "Content-Transfer-Encoding: quoted-printable\r\n\r\n", "=  " },
		{ "Content-Transfer-Encoding: quoted-printable\r\n\r\n", "=41" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		double took[2];

		for (size_t n = 0; n < 2; n++) {
			AUTO(xfree) char *bulk = repeat(rows[i].unit, (size_t)1 << (n == 0 ? 19 : 22));

			took[n] = seconds(join(FROM, rows[i].head, slice_of(bulk), ""), MATERIAL_NONE);
		}
		if (took[1] > 0.5 && took[1] > 8 * 6 * took[0])
			fail_msg("row %zu: %f s, then %f s for eight times as much", i, took[0], took[1]);
	}
}

static int
setup(void **state)
{
	(void)state;
	world_open(&world);
	write_file("make", make_files, sizeof(make_files) - 1);
	return run("sh ./make");
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
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_armour),
		cmocka_unit_test(test_every_offset),
		cmocka_unit_test(test_der),
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_linear),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
