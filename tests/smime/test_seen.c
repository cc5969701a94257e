/*
 * Capabilities as signed mail tells them: OpenSSL's library writes the attribute (the parser's rows), and openssl cms by itself
 * (which names AES-CBC alone); segelctl cert set-capability --seen takes them, and refuses what nobody answers for.
 */
#include "tests/smime/world.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "smime/ber.h"
#include "smime/inspect.h"
#include "smime/seen.h"
#include "smime/verify.h"
#include "tests/support/forge.h"

#define HEAD "From: ana@prov.example\r\nTo: budi@kota.example\r\nSubject: Halo\r\nDate: Tue, 2 Jun 2026 10:00:00 +0700\r\n"
#define ENTITY "Content-Type: text/plain\r\n\r\nIsi.\r\n"

/* DER in hex. */
#define GCM256 "300b060960864801650304012e"
#define GCM256_NULL "300d060960864801650304012e0500"
#define GCM256_OTHER "300e060960864801650304012e020110"
#define GCM128 "300b0609608648016503040106"
#define CBC256 "300b060960864801650304012a"
#define SHA256 "300d06096086480165030402010500"
#define SHA256_BARE "300b0609608648016503040201"
#define SHA384 "300d06096086480165030402020500"
#define MGF "06092a864886f70d010108"
#define OAEP(len, params) "30" len "06092a864886f70d010107" params
#define OAEP256 OAEP("3c", "302fa00f" SHA256 "a11c301a" MGF SHA256)
#define OAEP256_BARE OAEP("38", "302ba00d" SHA256_BARE "a11a3018" MGF SHA256_BARE)
#define OAEP_SHA1 OAEP("0d", "3000")
#define OAEP_NO_PARAMETERS OAEP("0b", "")
#define OAEP_MASK_SHA1 OAEP("1e", "3011a00f" SHA256)
#define OAEP384 OAEP("3c", "302fa00f" SHA384 "a11c301a" MGF SHA384)
#define OAEP_LABEL OAEP("51", "3044a00f" SHA256 "a11c301a" MGF SHA256 "a2133011" "06092a864886f70d010109" "0404" "61626364")

static const struct {
	const char *name, *entries; /* of the SEQUENCE, in hex */
	enum seen_state want;
	bool want_gcm, want_oaep;
} rows[] = {
	{ "AES-256-GCM", GCM256, SEEN_READ, true, false },
	{ "with NULL", GCM256_NULL, SEEN_READ, true, false },
	{ "with another parameter", GCM256_OTHER, SEEN_READ, false, false },
	{ "AES-128-GCM", GCM128, SEEN_READ, false, false },
	{ "AES-CBC alone", CBC256, SEEN_READ, false, false },
	{ "behind others", CBC256 GCM128 GCM256, SEEN_READ, true, false },
	{ "OAEP with SHA-256", OAEP256, SEEN_READ, false, true },
	{ "the same, parameters left out", OAEP256_BARE, SEEN_READ, false, true },
	{ "OAEP with SHA-1", OAEP_SHA1, SEEN_READ, false, false },
	{ "OAEP without parameters", OAEP_NO_PARAMETERS, SEEN_READ, false, false },
	{ "OAEP, mask with SHA-1", OAEP_MASK_SHA1, SEEN_READ, false, false },
	{ "OAEP with SHA-384", OAEP384, SEEN_READ, false, false },
	{ "OAEP with a label", OAEP_LABEL, SEEN_READ, false, false },
	{ "both", OAEP256 GCM256, SEEN_READ, true, true },
	{ "nothing in the list", "", SEEN_READ, false, false },
	{ "no OBJECT IDENTIFIER", GCM256 "3003020101", SEEN_MALFORMED, false, false },
	{ "no SEQUENCE", GCM256 "0500", SEEN_MALFORMED, false, false },
	{ "two parameters", "300f060960864801650304012e05000500", SEEN_MALFORMED, false, false },
};

/* ---- attributes ---- */

static void
put_hex(const char *hex, struct buf *ret)
{
	for (; *hex; hex += 2) {
		unsigned byte = 0;
		unsigned char one;

		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		one = (unsigned char)byte;
		buf_add(ret, &one, 1);
	}
}

static void
wrap(unsigned char tag, struct buf *in)
{
	struct buf out;
	const unsigned char head[4] = { tag, 0x82, (unsigned char)(in->len >> 8), (unsigned char)in->len };
	const unsigned char brief[2] = { tag, (unsigned char)in->len }, middle[3] = { tag, 0x81, (unsigned char)in->len };

	buf_init(&out, 1 << 16);
	if (in->len < 0x80)
		buf_add(&out, brief, 2);
	else if (in->len < 0x100)
		buf_add(&out, middle, 3);
	else
		buf_add(&out, head, 4);
	buf_add_slice(&out, buf_slice(in));
	buf_done(in);
	*in = out;
}

/* SMIMECapabilities of these entries; `lists` of them in the SET. */
static void
put_attribute(const char *entries, size_t lists, struct buf *ret)
{
	AUTO_BUF struct buf values = { 0 };

	buf_init(ret, 1 << 16);
	buf_init(&values, 1 << 16);
	for (size_t i = 0; i < lists; i++) {
		AUTO_BUF struct buf list = { 0 };

		buf_init(&list, 1 << 16);
		put_hex(entries, &list);
		wrap(BER_SEQUENCE, &list);
		buf_add_slice(&values, buf_slice(&list));
	}
	wrap(BER_SET, &values);
	put_hex("06092a864886f70d01090f", ret);
	buf_add_slice(ret, buf_slice(&values));
	wrap(BER_SEQUENCE, ret);
}

static void
read_exactly(const struct buf *attributes, struct seen_facts *ret)
{
	struct slice exact = heap_slice(attributes->at, attributes->len);

	seen_read(exact, ret);
	heap_free(exact);
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO_BUF struct buf attribute = { 0 };
		struct seen_facts seen;

		put_attribute(rows[i].entries, 1, &attribute);
		read_exactly(&attribute, &seen);
		if (seen.state != rows[i].want || seen.gcm != rows[i].want_gcm || seen.oaep != rows[i].want_oaep)
			fail_msg("%s: state %d '%s', gcm %d, oaep %d", rows[i].name, seen.state, seen.why, seen.gcm, seen.oaep);
		if ((seen.state == SEEN_MALFORMED) != (strstr(seen.why, "RFC 8551 2.5.2") != NULL))
			fail_msg("%s: '%s'", rows[i].name, seen.why);
	}
}

static void
test_form(void **state)
{
	AUTO_BUF struct buf none = { 0 }, other = { 0 }, twice = { 0 }, many = { 0 }, two = { 0 }, not_der = { 0 }, cut = { 0 }, entries = { 0 };
	struct seen_facts seen;

	(void)state;
	buf_init(&none, 16);
	read_exactly(&none, &seen);
	assert_int_equal(seen.state, SEEN_NONE);
	buf_init(&other, 64);
	put_hex("301806092a864886f70d010903310b06092a864886f70d010701", &other);
	read_exactly(&other, &seen);
	assert_int_equal(seen.state, SEEN_NONE);

	put_attribute(GCM256, 1, &twice);
	put_attribute(GCM256, 1, &two);
	buf_add_slice(&twice, buf_slice(&two));
	read_exactly(&twice, &seen);
	assert_int_equal(seen.state, SEEN_MALFORMED);
	assert_false(seen.gcm);
	buf_done(&two);
	put_attribute(GCM256, 2, &two);
	read_exactly(&two, &seen);
	assert_int_equal(seen.state, SEEN_MALFORMED);
	assert_non_null(strstr(seen.why, "more than one value"));

	buf_init(&entries, 1 << 16);
	for (size_t i = 0; i < SEEN_ENTRIES; i++)
		buf_add_text(&entries, CBC256);
	put_attribute(buf_text(&entries), 1, &many);
	read_exactly(&many, &seen);
	assert_int_equal(seen.state, SEEN_READ);
	buf_done(&many);
	buf_add_text(&entries, GCM256);
	put_attribute(buf_text(&entries), 1, &many);
	read_exactly(&many, &seen);
	assert_int_equal(seen.state, SEEN_MALFORMED);

	/* A length that is longer than it must be, and one that is too long. */
	buf_init(&not_der, 64);
	put_hex("301d06092a864886f70d01090f3110300e30810b060960864801650304012e", &not_der);
	read_exactly(&not_der, &seen);
	assert_int_equal(seen.state, SEEN_MALFORMED);
	put_attribute(GCM256, 1, &cut);
	for (; cut.len > 0; cut.len--) {
		read_exactly(&cut, &seen);
		assert_true(seen.state == SEEN_READ || seen.state == SEEN_MALFORMED);
		if (seen.state == SEEN_READ)
			assert_true(seen.gcm);
		if (cut.len < 20)
			assert_int_equal(seen.state, SEEN_MALFORMED);
	}
}

/* ---- mail ---- */

enum { SIGNED = 1, UNSIGNED = 2, BROKEN = 4, FUTURE = 8 };

static void *
read_pem(const char *name, const char *ending, void *(*read)(BIO *bio))
{
	char file[64];
	BIO *bio;
	void *found;

	snprintf(file, sizeof(file), "%s.%s", name, ending);
	bio = BIO_new_file(file, "r");
	found = bio ? read(bio) : NULL;
	BIO_free(bio);
	if (!found)
		fail_msg("%s cannot be read", file);
	return found;
}

static void *
read_cert(BIO *bio)
{
	return PEM_read_bio_X509(bio, NULL, NULL, NULL);
}

static void *
read_key(BIO *bio)
{
	return PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
}

/* OpenSSL's library as the sender's program: it writes the attribute that it is given, and signs. */
static void
write_mail(const char *file, const char *signer, const char *entries, unsigned flags)
{
	X509 *cert = read_pem(signer, "crt", read_cert);
	EVP_PKEY *key = read_pem(signer, "key", read_key);
	BIO *content = BIO_new_mem_buf(ENTITY, -1);
	CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, content, CMS_PARTIAL | CMS_BINARY);
	CMS_SignerInfo *info = CMS_add1_signer(cms, cert, key, EVP_sha256(), CMS_NOSMIMECAP | CMS_PARTIAL);
	AUTO_BUF struct buf list = { 0 }, mail = { 0 };
	unsigned char *der = NULL;
	int len;

	assert_non_null(info);
	buf_init(&list, 4096);
	put_hex(entries, &list);
	wrap(BER_SEQUENCE, &list);
	if (flags & SIGNED)
		assert_int_equal(CMS_signed_add1_attr_by_NID(info, NID_SMIMECapabilities, V_ASN1_SEQUENCE, list.at, (int)list.len), 1);
	if (flags & FUTURE) {
		ASN1_TIME *time_ = ASN1_TIME_adj(NULL, time(NULL), 400, 0);

		assert_int_equal(CMS_signed_add1_attr_by_NID(info, NID_pkcs9_signingTime, time_->type, time_, -1), 1);
		ASN1_TIME_free(time_);
	}
	assert_int_equal(CMS_final(cms, content, NULL, CMS_BINARY), 1);
	if (flags & UNSIGNED)
		assert_int_equal(CMS_unsigned_add1_attr_by_NID(info, NID_SMIMECapabilities, V_ASN1_SEQUENCE, list.at, (int)list.len), 1);
	if (flags & BROKEN)
		((unsigned char *)(uintptr_t)ASN1_STRING_get0_data(CMS_SignerInfo_get0_signature(info)))[40] ^= 1;
	len = i2d_CMS_ContentInfo(cms, &der);
	assert_true(len > 0);
	forge_opaque_mail(HEAD, (struct slice){ der, (size_t)len }, &mail);
	write_file(file, mail.at, mail.len);
	OPENSSL_free(der);
	CMS_ContentInfo_free(cms);
	BIO_free(content);
	EVP_PKEY_free(key);
	X509_free(cert);
	ERR_clear_error();
}

struct desk {
	struct world world;
	char ctl[512];
	char said[4096];
};

/* What segelctl answers, and its exit status. */
static int PRINTF_LIKE(2, 3)
ctl(struct desk *desk, const char *fmt, ...)
{
	char words[1024];
	struct slice out;
	va_list args;
	int status;

	va_start(args, fmt);
	vsnprintf(words, sizeof(words), fmt, args);
	va_end(args);
	status = run("'%s' --registry r.db %s >out 2>&1 </dev/null", desk->ctl, words);
	out = read_file("out");
	snprintf(desk->said, sizeof(desk->said), "%.*s", (int)out.len, out.at);
	heap_free(out);
	return status;
}

static void PRINTF_LIKE(4, 5)
want(struct desk *desk, int status, const char *part, const char *fmt, ...)
{
	char words[1024];
	va_list args;
	int got;

	va_start(args, fmt);
	vsnprintf(words, sizeof(words), fmt, args);
	va_end(args);
	got = ctl(desk, "%s", words);
	if (got != status || !strstr(desk->said, part))
		fail_msg("%s: exit %d, wanted %d and '%s': %s", words, got, status, part, desk->said);
}

/* 1 both signs and encrypts, 2 signs and 3 encrypts for ana; 4 signs for somebody else; `stranger` is not registered. */
static int
open_desk(void **state)
{
	struct desk *desk = calloc(1, sizeof(*desk));
	static const char *const certs[] = { "both", "sign", "encrypt", "other", "stranger" };
	static const char *const usages[] = { "both", "sign", "encrypt", "both", "both" };
	char *slash;

	*state = desk;
	world_open(&desk->world);
	snprintf(desk->ctl, sizeof(desk->ctl), "%s", desk->world.mkpki);
	slash = strrchr(desk->ctl, '/');
	assert_non_null(slash);
	snprintf(slash, sizeof(desk->ctl) - (size_t)(slash - desk->ctl), "/../../segelctl");
	if (access(desk->ctl, X_OK) != 0)
		fail_msg("%s is missing; run: make all tests", desk->ctl);
	unsetenv("SUDO_UID");
	mkpki(&desk->world, "--self --out ca --ca --cn CA --from -2d --to +9y --key p256");
	for (size_t i = 0; i < N_ELEMENTS(certs); i++)
		mkpki(&desk->world, "--out %s --ca-of ca --cn %s --email %s@prov.example --from -1d --to +2y --key rsa2048 --usage %s", certs[i], certs[i],
		    i < 3 ? "ana" : certs[i], usages[i]);
	want(desk, 0, "", "init --name Ani --appointment 'SK 1'");
	want(desk, 0, "", "unit add DISHUB Dinas");
	want(desk, 0, "", "domain add prov.example --kind partner");
	for (size_t i = 0; i < 4; i++)
		want(desk, 0, "", "cert import %s.crt --kind jabatan", certs[i]);
	want(desk, 0, "", "address add ana@prov.example --unit DISHUB");
	want(desk, 0, "", "address add other@prov.example --unit DISHUB");
	want(desk, 0, "", "bind add 1 --purpose encrypt --address ana@prov.example");
	want(desk, 0, "", "bind add 3 --purpose encrypt --address ana@prov.example");
	want(desk, 0, "", "bind add 4 --purpose verify --address other@prov.example");
	return 0;
}

static int
close_desk(void **state)
{
	struct desk *desk = *state;

	world_close(&desk->world);
	free(desk);
	return 0;
}

static void
test_taken(void **state)
{
	struct desk *desk = *state;

	write_mail("gcm.eml", "both", GCM256, SIGNED);
	want(desk, 0, "can read gcm, as the mail says", "cert set-capability 1 --seen gcm.eml");
	want(desk, 0, "gcm", "cert show 1");
	want(desk, 3, "exactly these capabilities already: gcm", "cert set-capability 1 --seen gcm.eml");
	write_mail("both.eml", "both", CBC256 GCM256 OAEP256, SIGNED);
	want(desk, 0, "dry run, nothing was kept: certificate 1: its owner's programs can read gcm oaep", "cert set-capability 1 --seen both.eml --dry-run");
	want(desk, 0, "can read gcm oaep, as", "cert set-capability 1 --seen both.eml");
	/* openssl cms writes the attribute by itself, without GCM */
	write_file("plain", ENTITY, strlen(ENTITY));
	assert_int_equal(run("(echo 'From: ana@prov.example'; openssl cms -sign -binary -in plain -signer both.crt -inkey both.key) | sed 's/\\r$//; s/$/\\r/' >cli.eml"), 0);
	want(desk, 0, "can read none, as the mail says", "cert set-capability 1 --seen cli.eml");
	assert_int_equal(run("test \"$(sqlite3 r.db \"SELECT group_concat(word||' '||source||' '||(ended_at IS NULL)) FROM capability\")\" = "
	    "'gcm mail 0,oaep mail 0'"), 0);
	assert_int_equal(run("test \"$(sqlite3 r.db \"SELECT detail FROM act WHERE verb='cert set-capability' ORDER BY seq LIMIT 1\")\" = "
	    "'gcm seen in mail signed with certificate 1'"), 0);
}

static void
test_refused(void **state)
{
	static const struct {
		const char *name, *signer, *entries;
		unsigned flags;
		int want;
		const char *want_why;
	} mails[] = {
		{ "a bad signature", "both", GCM256, SIGNED | BROKEN, 3, "its signature is not good" },
		{ "an unsigned attribute", "both", GCM256, UNSIGNED, 3, "no SMIMECapabilities among its signed attributes" },
		{ "no attribute", "both", GCM256, 0, 3, "no SMIMECapabilities among its signed attributes" },
		{ "one that cannot be read", "both", "0500", SIGNED, 3, "cannot be read" },
		{ "another signer", "other", GCM256, SIGNED, 3, "signed with certificate 4, not with 1" },
		{ "a stranger", "stranger", GCM256, SIGNED, 3, "not in the registry" },
		{ "signed next year", "both", GCM256, SIGNED | FUTURE, 3, "its signing time is not plausible" },
		{ "the owner's, not bound to sign", "sign", GCM256, SIGNED, 3, "signed with certificate 2, not with 1" },
	};
	struct desk *desk = *state;

	for (size_t i = 0; i < N_ELEMENTS(mails); i++) {
		write_mail("mail.eml", mails[i].signer, mails[i].entries, mails[i].flags);
		if (ctl(desk, "cert set-capability 1 --seen mail.eml") != mails[i].want || !strstr(desk->said, mails[i].want_why))
			fail_msg("%s: %s", mails[i].name, desk->said);
	}
	write_file("plain.eml", HEAD ENTITY, strlen(HEAD ENTITY));
	want(desk, 3, "it is not signed", "cert set-capability 1 --seen plain.eml");
	want(desk, 4, "gone.eml", "cert set-capability 1 --seen gone.eml");
	want(desk, 2, "wanted words, or --seen FILE", "cert set-capability 1 gcm --seen gcm.eml");
	want(desk, 2, "no capability given", "cert set-capability 1");
	assert_int_equal(run("test \"$(sqlite3 r.db 'SELECT count(*) FROM capability WHERE ended_at IS NULL')\" = 0"), 0);
}

/* An owner with two certificates signs with one, and is encrypted to with the other. */
static void
test_two_certificates(void **state)
{
	struct desk *desk = *state;

	write_mail("pair.eml", "sign", GCM256, SIGNED);
	want(desk, 3, "nor is there an address", "cert set-capability 3 --seen pair.eml");
	want(desk, 0, "", "bind add 2 --purpose verify --address ana@prov.example");
	want(desk, 0, "certificate 3: its owner's programs can read gcm", "cert set-capability 3 --seen pair.eml");
	write_mail("again.eml", "sign", GCM256 OAEP256, SIGNED);
	want(desk, 0, "", "cert hold 2 --reason hilang");
	want(desk, 3, "certificate 2, which is not in force", "cert set-capability 3 --seen again.eml");
	want(desk, 3, "nothing is encrypted to this certificate", "cert set-capability 2 gcm");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_two_certificates),
	};

	return cmocka_run_group_tests(tests, open_desk, close_desk);
}
