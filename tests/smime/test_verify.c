/*
 * Messages to signature facts. Every row is a message that differs from an accepted one by one
 * thing; the names carry the attack they are about.
 */
#include "tests/smime/world.h"

#include <malloc.h>

#include "smime/fit.h"
#include "smime/inspect.h"
#include "smime/verify.h"
#include "tests/support/forge.h"

#if defined(__SANITIZE_ADDRESS__)
/* The header comes with clang only. */
size_t __sanitizer_get_current_allocated_bytes(void);
#endif

enum { NOW = 1790000000, DAY = 24 * 3600 }; /* 2026-09-21T13:33:20Z */

#define HEAD "From: budi@kota.example\r\nTo: ana@prov.example\r\nSubject: Surat\r\n" \
	"Date: Mon, 21 Sep 2026 20:33:20 +0700\r\nMessage-ID: <1@kota.example>\r\n"
#define ENTITY "Content-Type: text/plain\r\n\r\nHalo dari dinas.\r\n"
#define INNER_HEAD HEAD
#define HP_TYPE "Content-Type: text/plain; hp=\"clear\"\r\n\r\nHalo dari dinas.\r\n"
#define V1_TYPE "Content-Type: text/plain; protected-headers=\"v1\"\r\n\r\nHalo dari dinas.\r\n"
#define MIXED "Content-Type: multipart/mixed; boundary=b\r\n\r\n"

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

/* What stands around the signed entity. */
enum form {
	CLEAR,
	OPAQUE,
	IN_MIXED,      /* the multipart/signed is a part of a multipart/mixed */
	FORWARDED,     /* the message is attached, with its head, to another one */
	OPAQUE_IN_MIXED,
};

struct row {
	const char *name;
	enum form form;
	const char *entity;      /* NULL = ENTITY */
	const char *head;        /* NULL = HEAD */
	const char *find, *put;  /* one change to the finished message */
	const char *signer;      /* NULL = p256 */
	unsigned flaws;
	const char *digest;
	enum signature_state want;
	const char *want_why;
};

#define G SIGNATURE_GOOD
#define B SIGNATURE_BAD
#define M SIGNATURE_MALFORMED
#define U SIGNATURE_UNSUPPORTED
#define N SIGNATURE_NONE

#define TYPE "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\""

static const struct row rows[] = {
	/* what is good */
	{ "clear-signed", CLEAR, .want = G },
	{ "opaque", OPAQUE, .want = G },
	{ "opaque in pieces", OPAQUE, .flaws = FORGE_PIECES, .want = G },
	{ "RSA", CLEAR, .signer = "rsa2048", .want = G },
	{ "P-384 and SHA-384", CLEAR, .signer = "p384", .digest = "sha384", .want = G },
	{ "P-521 and SHA-512", CLEAR, .signer = "p521", .digest = "sha512", .want = G },
	{ "RSASSA-PSS", OPAQUE, .signer = "rsa2048", .flaws = FORGE_PSS, .want = G },
	{ "by key identifier", CLEAR, .flaws = FORGE_KEY_ID, .want = G },
	{ "attributes in another order", CLEAR, .flaws = FORGE_UNSORTED, .want = G },
	{ "signing-certificate-v2", CLEAR, .flaws = FORGE_ESS, .want = G },
	{ "x-pkcs7-signature", CLEAR, .find = "Content-Type: application/pkcs7-signature", .put = "Content-Type: application/x-pkcs7-signature", .want = G },
	{ "x- protocol", CLEAR, .find = "protocol=\"application/pkcs7", .put = "protocol=\"application/x-pkcs7", .want = G },
	{ "micalg that lies", CLEAR, .find = "sha-256", .put = "sha-1", .want = G },
	{ "no smime-type", OPAQUE, .find = "smime-type=signed-data; ", .put = "", .want = G },
	{ "octet-stream called p7m", OPAQUE, .find = "application/pkcs7-mime; smime-type=signed-data", .put = "application/octet-stream", .want = G },
	{ "a multipart inside", CLEAR, .entity = MIXED "--b\r\n\r\nhi\r\n--b\r\n\r\nho\r\n--b--\r\n", .want = G },
	{ "an empty entity", CLEAR, .entity = "Content-Type: text/plain\r\n\r\n", .want = G },
	{ "trailing blanks", CLEAR, .entity = "Content-Type: text/plain\r\n\r\nHalo  \r\n\t\r\n", .want = G },

	/* bytes that were changed */
	{ "one letter of the text", CLEAR, .find = "Halo", .put = "halo", .want = B },
	{ "one letter of the part's head", CLEAR, .find = "text/plain\r\n\r\nHalo", .put = "text/plaiN\r\n\r\nHalo", .want = B },
	{ "a blank more", CLEAR, .find = "Halo dari", .put = "Halo  dari", .want = B },
	{ "a line end more", CLEAR, .find = "dinas.\r\n", .put = "dinas.\r\n\r\n", .want = B },
	{ "signature value", CLEAR, .flaws = FORGE_BAD_SIGNATURE, .want = B },
	{ "signature value, opaque", OPAQUE, .flaws = FORGE_BAD_SIGNATURE, .want = B },
	{ "signature value, RSA", OPAQUE, .signer = "rsa2048", .flaws = FORGE_BAD_SIGNATURE, .want = B },
	{ "signing-certificate-v2 of another certificate", CLEAR, .flaws = FORGE_ESS_OTHER, .want = B, .want_why = "5035" },

	/* A2, A3: only the outermost entity speaks */
	{ "A2 signed part in an unsigned message", IN_MIXED, .want = N },
	{ "A2 opaque part in an unsigned message", OPAQUE_IN_MIXED, .want = N },
	{ "A3 forwarded signed mail", FORWARDED, .want = N },
	/* A4 */
	{ "A4 no eContent", OPAQUE, .flaws = 1u << 31, .want = M, .want_why = "no eContent" },
	/* A5 */
	{ "A5 no signed attributes", CLEAR, .flaws = FORGE_NO_ATTRIBUTES, .want = M, .want_why = "no signed attributes" },
	{ "A5 the same, opaque", OPAQUE, .flaws = FORGE_NO_ATTRIBUTES, .want = M, .want_why = "no signed attributes" },
	{ "A5 not id-data", OPAQUE, .flaws = FORGE_TYPE_NOT_DATA, .want = M, .want_why = "id-data" },
	/* A6, A7 */
	{ "A6 no SignerInfo", CLEAR, .flaws = FORGE_NO_SIGNER, .want = M, .want_why = "no SignerInfo" },
	{ "A6 no SignerInfo, opaque", OPAQUE, .flaws = FORGE_NO_SIGNER, .want = M, .want_why = "no SignerInfo" },
	{ "A7 two SignerInfos", CLEAR, .flaws = FORGE_TWO_SIGNERS, .want = M, .want_why = "2 SignerInfos" },
	{ "A7 two SignerInfos, opaque", OPAQUE, .flaws = FORGE_TWO_SIGNERS, .want = M, .want_why = "2 SignerInfos" },
	/* A8: labels that say something else than the object */
	{ "A8 certs-only on a signed object", OPAQUE, .find = "signed-data", .put = "certs-only", .want = M, .want_why = "certs-only" },
	{ "A8 enveloped-data on a signed object", OPAQUE, .find = "signed-data", .put = "enveloped-data", .want = M, .want_why = "smime-type" },
	{ "A8 text that is no CMS", OPAQUE, .find = "\r\n\r\nMI", .put = "\r\n\r\n!!", .want = M, .want_why = "no SignedData" },
	/* RFC 1847: form of a clear-signed message */
	{ "three parts", CLEAR, .find = "\r\n--forged\r\nContent-Type: application/pkcs7", .put = "\r\n--forged\r\n\r\nmore\r\n--forged\r\nContent-Type: application/pkcs7",
	    .want = M, .want_why = "3 parts" },
	{ "no protocol", CLEAR, .find = "protocol=\"application/pkcs7-signature\"", .put = "x=y", .want = M, .want_why = "protocol" },
	{ "another protocol", CLEAR, .find = "protocol=\"application/pkcs7-signature\"", .put = "protocol=\"application/pgp-signature\"", .want = M, .want_why = "protocol" },
	{ "PGP", CLEAR, .find = "Content-Type: application/pkcs7-signature", .put = "Content-Type: application/pgp-signature", .want = M, .want_why = "second part" },
	{ "signature in an unknown encoding", CLEAR, .find = "Encoding: base64", .put = "Encoding: uuencode", .want = M, .want_why = "decode" },
	{ "signature with junk in it", CLEAR, .find = "base64\r\n\r\nM", .put = "base64\r\n\r\n!M", .want = M, .want_why = "decode" },

	/* A1, A33: what two readers may read differently */
	{ "A1 two From", CLEAR, .head = "From: budi@kota.example\r\nFrom: eve@x.example\r\n", .want = M, .want_why = "two From" },
	{ "A33 two Content-Type", CLEAR, .find = "boundary=forged\r\n", .put = "boundary=forged\r\nContent-Type: text/plain\r\n", .want = M, .want_why = "two Content-Type" },
	{ "A33 two encodings", OPAQUE, .find = "Content-Transfer", .put = "Content-Transfer-Encoding: 7bit\r\nContent-Transfer", .want = M, .want_why = "two Content-Transfer" },
	{ "A33 two MIME-Version", CLEAR, .find = "MIME-Version", .put = "MIME-Version: 1.0\r\nMIME-Version", .want = M, .want_why = "two MIME-Version" },
	{ "A33 two boundaries", CLEAR, .find = "boundary=forged", .put = "boundary=forged; boundary=x", .want = M, .want_why = "two boundary" },
	{ "A33 RFC 2231 boundary", CLEAR, .find = "boundary=forged", .put = "boundary*0=for; boundary*1=ged", .want = M, .want_why = "RFC 2231" },
	{ "A33 no closing boundary", CLEAR, .find = "--forged--\r\n", .put = "", .want = M, .want_why = "closing boundary" },
	{ "A33 a boundary behind the end", CLEAR, .find = "--forged--\r\n", .put = "--forged--\r\n--forged\r\n\r\nx\r\n", .want = M, .want_why = "behind the closing" },
	{ "A33 a line that begins like a boundary", CLEAR, .entity = "Content-Type: text/plain\r\n\r\n--forgedx\r\n", .want = M, .want_why = "begins like" },
	{ "A33 a boundary of 71 characters", CLEAR, .find = "boundary=forged\r\n", .put = "boundary=" TEN TEN TEN TEN TEN TEN TEN "x\r\n", .want = M, .want_why = "limit" },
	{ "A33 a preamble of more than a kilobyte", CLEAR, .find = "boundary=forged\r\n\r\n", .put = "boundary=forged\r\n\r\n" HUNDRED HUNDRED HUNDRED HUNDRED
	    HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED "\r\n", .want = M, .want_why = "limit" },
	{ "A33 inside: a boundary that begins as the outer one", CLEAR, .entity = "Content-Type: multipart/mixed; boundary=forgedx\r\n\r\n--forgedx\r\n\r\nhi\r\n--forgedx--\r\n",
	    .want = M, .want_why = "prefix" },
	{ "A33 a boundary behind a bare LF", CLEAR, .find = "\r\n--forged\r\nContent-Type: application/pkcs7", .put = "\n--forged\r\nContent-Type: application/pkcs7", .want = M, .want_why = "bare LF" },
	{ "A33 a boundary before a bare LF", CLEAR, .find = "--forged\r\nContent-Type: application/pkcs7", .put = "--forged\nContent-Type: application/pkcs7", .want = M, .want_why = "bare LF" },
	{ "A33 closed twice", CLEAR, .find = "--forged--\r\n", .put = "--forged--\r\n--forged--\r\n", .want = M, .want_why = "behind the closing" },
	{ "A33 two boundaries and nothing between", CLEAR, .find = "\r\n--forged\r\nContent-Type: application/pkcs7", .put = "\r\n--forged\r\n--forged\r\nContent-Type: application/pkcs7",
	    .want = M, .want_why = "without a line" },
	{ "A33 two Content-Disposition", OPAQUE, .find = "Content-Transfer", .put = "Content-Disposition: inline\r\nContent-Disposition: attachment\r\nContent-Transfer", .want = M, .want_why = "two Content-Disposition" },
	{ "A33 two Subjects", CLEAR, .find = "Subject: Surat", .put = "Subject: Surat\r\nSubject: Setuju", .want = M, .want_why = "two Subject" },
	{ "A33 a comment in the type", CLEAR, .find = "multipart/signed;", .put = "multipart/signed (x);", .want = M, .want_why = "cannot be read" },
	{ "A33 an encoded multipart", CLEAR, .find = "boundary=forged\r\n", .put = "boundary=forged\r\nContent-Transfer-Encoding: base64\r\n", .want = M, .want_why = "encoding of its own" },
	{ "A33 a header line that is no field", CLEAR, .find = "To: ana", .put = "no field\r\nTo: ana", .want = M, .want_why = "no field" },
	{ "A33 a blank before the colon", CLEAR, .find = "Subject:", .put = "Subject :", .want = M, .want_why = "no field" },
	{ "A33 a bare CR in a field", CLEAR, .find = "Surat", .put = "Surat\rFrom: eve@x.example", .want = M, .want_why = "bare CR" },
	{ "A33 a bare LF in the head", CLEAR, .find = "Surat\r\n", .put = "Surat\n", .want = M, .want_why = "bare LF" },
	{ "A33 a fold of blanks", CLEAR, .find = "Surat\r\n", .put = "Surat\r\n  \r\n", .want = M, .want_why = "blanks" },
	{ "A33 inside: two Content-Type", CLEAR, .entity = "Content-Type: text/plain\r\n" ENTITY, .want = M, .want_why = "two Content-Type" },
	{ "A33 inside: no closing boundary", CLEAR, .entity = MIXED "--b\r\n\r\nhi\r\n", .want = M, .want_why = "closing boundary" },
	{ "A33 inside, opaque: two Content-Type", OPAQUE, .entity = "Content-Type: text/plain\r\n" ENTITY, .want = M, .want_why = "two contents" },
	{ "A33 inside, opaque: no closing boundary", OPAQUE, .entity = MIXED "--b\r\n\r\nhi\r\n", .want = M, .want_why = "two contents" },
	{ "A33 inside, opaque: no header at all", OPAQUE, .entity = "hi there\r\n", .want = M, .want_why = "two contents" },
	{ "A33 inside, opaque: a prefix boundary", OPAQUE, .entity = MIXED "--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\nx\r\n--bb--\r\n--b--\r\n",
	    .want = M, .want_why = "two contents" },
	/* A45 */
	{ "A45 LF . LF", CLEAR, .entity = "Content-Type: text/plain\r\n\r\na\n.\nb\r\n", .want = M, .want_why = "smuggling" },
	{ "A45 LF . CRLF", CLEAR, .entity = "Content-Type: text/plain\r\n\r\na\n.\r\nb\r\n", .want = M, .want_why = "smuggling" },
	{ "A45 CRLF . LF", CLEAR, .entity = "Content-Type: text/plain\r\n\r\na\r\n.\nb\r\n", .want = M, .want_why = "smuggling" },
	{ "A45 CR . CR", CLEAR, .entity = "Content-Type: text/plain\r\n\r\na\r.\rb\r\n", .want = M, .want_why = "smuggling" },
	{ "A45 CR . CRLF", CLEAR, .entity = "Content-Type: text/plain\r\n\r\na\r.\r\nb\r\n", .want = M, .want_why = "smuggling" },
	{ "A45 CRLF . CR", CLEAR, .entity = "Content-Type: text/plain\r\n\r\na\r\n.\rb\r\n", .want = M, .want_why = "smuggling" },
	{ "A45 a lone dot", CLEAR, .entity = "Content-Type: text/plain\r\n\r\na\r\n.\r\nb\r\n", .want = G },
	{ "A45 a dot at a bare LF, not alone", CLEAR, .entity = "Content-Type: text/plain\r\n\r\na\n.b\r\n", .want = M, .want_why = "bare CR or LF" },
	/* A44 */
	{ "A44 a bare CR in the signed part", CLEAR, .entity = "Content-Type: text/plain\r\n\r\na\rb\r\n", .want = M, .want_why = "bare CR or LF" },
	{ "A44 a bare LF in the signed part", CLEAR, .entity = "Content-Type: text/plain\r\n\r\na\nb\r\n", .want = M, .want_why = "bare CR or LF" },

	/* certificates */
	{ "A24 Ed25519", CLEAR, .signer = "ed25519", .digest = "sha512", .want = U, .want_why = "signature algorithm" },
	{ "A24 SHA-224", CLEAR, .digest = "sha224", .want = U, .want_why = "digest algorithm" },
	{ "A25 no certificate", CLEAR, .flaws = FORGE_NO_CERTS, .want = U, .want_why = "not embedded" },
	{ "A25 the same certificate twice, as NSS does", CLEAR, .flaws = FORGE_CERT_TWICE, .want = G },
	{ "A26 21 certificates", CLEAR, .flaws = FORGE_MANY_CERTS, .want = M, .want_why = "more than 20" },
	{ "A42 a byte behind the object", CLEAR, .flaws = FORGE_TRAILING, .want = M, .want_why = "behind it" },
	{ "A42 pieces nested 20 deep", OPAQUE, .flaws = FORGE_DEEP_PIECES, .want = M },
};

struct signer {
	const char *name;
	const char *options;
	const char *digest;       /* of the message; NULL = sha256 */
	const char *want_weak;    /* NULL = not weak */
	const char *want_unfit;
};

/* A14, A24: every signature here is good; what stands against the signer is said apart. */
static const struct signer signers[] = {
	{ "p256", "--key p256", NULL, NULL, NULL },
	{ "rsa2048", "--key rsa2048", NULL, NULL, NULL },
	{ "p384", "--key p384", "sha384", NULL, NULL },
	{ "p521", "--key p521", "sha512", NULL, NULL },
	{ "any", "--key p256 --eku any", NULL, NULL, NULL },
	{ "noeku", "--key p256 --eku none", NULL, NULL, NULL },
	{ "nousage", "--key p256 --usage none", NULL, NULL, NULL },
	{ "rsa1024", "--key rsa1024", NULL, "1024 bits", NULL },
	{ "k256", "--key k256", NULL, "named curves", NULL },
	{ "sha1cert", "--key p256 --digest sha1", NULL, "MD5 or SHA-1", NULL },
	{ "md5cert", "--key p256 --digest md5", NULL, "MD5 or SHA-1", NULL },
	{ "sha1", "--key rsa2048", "sha1", "digest is SHA-1", NULL },
	{ "md5", "--key rsa2048", "md5", "digest is MD5", NULL },
	{ "server", "--key p256 --eku server", NULL, NULL, "extended key usage" },
	{ "encrypts", "--key p256 --usage encrypt", NULL, NULL, "key usage" },
	{ "calike", "--key p256 --ca", NULL, NULL, "CA" },
	{ "blank", "--key p256 --email ' ana@prov.example'", NULL, NULL, "addr-spec" },
	{ "percent", "--key p256 --email 'ana%prov@x.example'", NULL, NULL, "addr-spec" },
};

static int
setup(void **given)
{
	struct world *world = calloc(1, sizeof(*world));

	world_open(world);
	mkpki(world, "--self --out root --ca --cn Root --from 2026-01-01T00:00:00Z --to 2036-01-01T00:00:00Z --key rsa2048");
	mkpki(world, "--self --out ed25519 --cn Budi --email budi@kota.example --from 2026-01-01T00:00:00Z --to 2036-01-01T00:00:00Z --key ed25519");
	for (size_t i = 0; i < N_ELEMENTS(signers); i++)
		mkpki(world, "--ca-of root --out %s --cn %s %s %s --from 2026-01-01T00:00:00Z --to 2036-01-01T00:00:00Z", signers[i].name,
		    signers[i].name, strstr(signers[i].options, "--email") ? "" : "--email budi@kota.example", signers[i].options);
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

/* One change; the text must be there. */
static void
change(struct buf *mail, const char *find, const char *put)
{
	AUTO_BUF struct buf changed = { 0 };
	const unsigned char *at = memmem(mail->at, mail->len, find, strlen(find));
	struct buf swap = *mail;

	if (!at)
		fail_msg("'%s' is not in the message", find);
	buf_init(&changed, mail->cap + strlen(put));
	buf_add(&changed, mail->at, (size_t)(at - mail->at));
	buf_add_text(&changed, put);
	buf_add(&changed, at + strlen(find), (size_t)(mail->at + mail->len - at) - strlen(find));
	*mail = changed;
	changed = swap;
}

static void
put_around(enum form form, const char *head, struct slice entity, struct slice cms, struct buf *ret)
{
	AUTO_BUF struct buf inner = { 0 };

	if (form == CLEAR) {
		forge_clear_mail(head, entity, cms, ret);
		return;
	}
	if (form == OPAQUE) {
		forge_opaque_mail(head, cms, ret);
		return;
	}
	if (form == OPAQUE_IN_MIXED)
		forge_opaque_mail("", cms, &inner);
	else
		forge_clear_mail(form == FORWARDED ? head : "", entity, cms, &inner);
	buf_init(ret, 64 * 1024);
	buf_printf(ret, "%s" MIXED "--b\r\n\r\nLook at this:\r\n--b\r\n%s", head, form == FORWARDED ? "Content-Type: message/rfc822\r\n\r\n" : "");
	buf_add_slice(ret, buf_slice(&inner));
	buf_add_text(ret, "\r\n--b--\r\n");
}

static void
make_mail(const struct row *row, struct buf *ret)
{
	const char *entity = row->entity ? row->entity : ENTITY;
	const bool hollow = (row->flaws & 1u << 31) != 0;
	const bool inside = (row->form == OPAQUE || row->form == OPAQUE_IN_MIXED) && !hollow;
	struct forge forge = {
		.signer = row->signer ? row->signer : "p256", .digest = row->digest, .content = slice_of(entity), .signing_time = NOW - 60,
		.flaws = (row->flaws & ~(1u << 31)) | (inside ? FORGE_OPAQUE : 0),
	};
	AUTO_BUF struct buf cms = { 0 };

	forge_cms(&forge, &cms);
	put_around(row->form, row->head ? row->head : HEAD, slice_of(entity), buf_slice(&cms), ret);
	if (row->find)
		change(ret, row->find, row->put);
}

static void
verify_at(struct slice text, time_t at, bool any_strength, struct signature_facts *ret)
{
	struct slice message = heap_slice(text.at, text.len);
	struct message_facts facts;
	struct err err = { .text = "" };
	struct verify_request request = { .message = message, .facts = &facts, .at = at, .any_strength = any_strength };

	assert_int_equal(smime_inspect(message, &facts, &err), 0);
	if (smime_verify(&request, ret, &err) == -1)
		fail_msg("%s", err.text);
	heap_free(message);
}

static void
check_row(const struct row *row)
{
	AUTO_BUF struct buf mail = { 0 };
	struct signature_facts facts;
	bool within = row->form != CLEAR && row->form != OPAQUE;
	bool limit = row->want_why && strcmp(row->want_why, "limit") == 0;

	make_mail(row, &mail);
	verify_at(buf_slice(&mail), NOW, false, &facts);
	if (facts.state != row->want || (row->want_why && !strstr(facts.why, row->want_why)))
		fail_msg("%s: %s '%s'", row->name, signature_state_name(facts.state), facts.why);
	if (facts.coverage != (limit ? COVERAGE_UNKNOWN : within ? COVERAGE_PARTIAL : COVERAGE_WHOLE))
		fail_msg("%s: coverage %s", row->name, coverage_name(facts.coverage));
	if (facts.state == G && (!facts.has_signer || facts.weak || facts.unfit || facts.chain.state != CHAIN_UNTRUSTED
	    || strcmp(facts.layers, "signed") != 0 || facts.signing_time_why[0]))
		fail_msg("%s: weak %d '%s', unfit %d '%s', chain %s, layers '%s', time '%s'", row->name, facts.weak, facts.weak_why,
		    facts.unfit, facts.unfit_why, chain_state_name(facts.chain.state), facts.layers, facts.signing_time_why);
	/* The path is told apart from the signature; what is in the message counts only once it is good. */
	if (facts.state != G && (facts.has_signer != (facts.chain.state != CHAIN_UNKNOWN) || facts.protection != PROTECTION_UNKNOWN))
		fail_msg("%s: chain %s, protection %s although %s", row->name, chain_state_name(facts.chain.state),
		    protection_name(facts.protection), signature_state_name(facts.state));
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		check_row(&rows[i]);
}

static void
test_signers(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(signers); i++) {
		const struct signer *signer = &signers[i];
		struct row row = { .name = signer->name, .form = CLEAR, .signer = signer->name, .digest = signer->digest };
		AUTO_BUF struct buf mail = { 0 };
		struct signature_facts facts, any;

		make_mail(&row, &mail);
		verify_at(buf_slice(&mail), NOW, false, &facts);
		if (facts.state != G || facts.weak != (signer->want_weak != NULL) || facts.unfit != (signer->want_unfit != NULL))
			fail_msg("%s: %s '%s', weak %d '%s', unfit %d '%s'", signer->name, signature_state_name(facts.state), facts.why,
			    facts.weak, facts.weak_why, facts.unfit, facts.unfit_why);
		if (!strstr(facts.weak_why, signer->want_weak ? signer->want_weak : "") || !strstr(facts.unfit_why, signer->want_unfit ? signer->want_unfit : ""))
			fail_msg("%s: weak '%s', unfit '%s'", signer->name, facts.weak_why, facts.unfit_why);
		/* Fitness is no matter of strength. */
		verify_at(buf_slice(&mail), NOW, true, &any);
		if (any.weak || any.unfit != facts.unfit)
			fail_msg("%s: any strength, weak %d", signer->name, any.weak);
	}
}

/* A24: parameters spelled out are those of P-256, or of P-256 but one. */
static void
test_explicit_curve(void **state)
{
	struct row row = { .form = CLEAR, .signer = "explicit" };
	AUTO_BUF struct buf mail = { 0 };
	struct signature_facts facts;

	(void)state;
	assert_int_equal(run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit -nodes -keyout "
	    "explicit.key -out explicit.crt -subj /CN=x -days 2 -addext basicConstraints=CA:false 2>req.log"), 0);
	make_mail(&row, &mail);
	verify_at(buf_slice(&mail), NOW, false, &facts);
	assert_true(facts.state == G && facts.weak);
}

/* A21 */
static void
test_times(void **state)
{
	static const struct {
		long signed_at, came_at;
		const char *want;
	} times[] = {
		{ NOW, NOW, "" },
		{ NOW + 4 * 60, NOW, "" },
		{ NOW + 6 * 60, NOW, "future" },
		{ NOW - 6 * DAY, NOW, "" },
		{ NOW - 8 * DAY, NOW, "7 days" },
		{ 1767139200, 1767139200 + 3600, "notBefore" }, /* 2025-12-31 */
		{ 2082844800, 2082844800 + 3600, "notAfter" },  /* 2036-01-02 */
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(times); i++) {
		struct forge forge = { .signer = "p256", .content = slice_of(ENTITY), .signing_time = times[i].signed_at };
		AUTO_BUF struct buf cms = { 0 }, mail = { 0 };
		struct signature_facts facts;

		forge_cms(&forge, &cms);
		forge_clear_mail(HEAD, slice_of(ENTITY), buf_slice(&cms), &mail);
		verify_at(buf_slice(&mail), times[i].came_at, false, &facts);
		if (facts.state != G || !facts.has_signing_time || facts.signing_time != times[i].signed_at
		    || (times[i].want[0] ? !strstr(facts.signing_time_why, times[i].want) : facts.signing_time_why[0] != '\0'))
			fail_msg("row %zu: %s, %ld, '%s'", i, signature_state_name(facts.state), (long)facts.signing_time, facts.signing_time_why);
	}
}

/* A4 and A5 by their recipes: the old words in eContent, and a signature made into one over its own attributes. */
static void
test_recipes(void **state)
{
	struct forge forge = { .signer = "rsa2048", .content = slice_of("Content-Type: text/plain\r\n\r\nold words\r\n"), .flaws = FORGE_OPAQUE };
	AUTO_BUF struct buf old = { 0 }, mail = { 0 }, detached = { 0 }, confused = { 0 }, content = { 0 }, second = { 0 }, third = { 0 };
	struct signature_facts facts;

	(void)state;
	forge_cms(&forge, &old);
	assert_true(forge_openssl_accepts(buf_slice(&old), NULL));
	forge_clear_mail(HEAD, slice_of(ENTITY), buf_slice(&old), &mail);
	verify_at(buf_slice(&mail), NOW, false, &facts);
	assert_int_equal(facts.state, M);
	assert_non_null(strstr(facts.why, "eContent beside"));

	forge.flaws = 0;
	forge_cms(&forge, &detached);
	forge_confused(buf_slice(&detached), &confused, &content);
	assert_true(forge_openssl_accepts(buf_slice(&confused), NULL));
	forge_opaque_mail(HEAD, buf_slice(&confused), &second);
	verify_at(buf_slice(&second), NOW, false, &facts);
	assert_int_equal(facts.state, M);
	/* The same object beside its content: eContent beside a detached part. */
	forge_clear_mail(HEAD, buf_slice(&content), buf_slice(&confused), &third);
	verify_at(buf_slice(&third), NOW, false, &facts);
	assert_int_equal(facts.state, M);
}

struct protected_row {
	const char *name;
	const char *inside;   /* the signed entity */
	const char *find, *put; /* outside */
	enum protection want;
	const char *want_why;
};

/* RFC 9788. */
static const struct protected_row protected_rows[] = {
	{ "no protection", ENTITY, NULL, NULL, PROTECTION_NONE, "" },
	{ "a head without a promise", HEAD ENTITY, NULL, NULL, PROTECTION_NONE, "" },
	{ "all alike", HEAD HP_TYPE, NULL, NULL, PROTECTION_MATCH, "" },
	{ "hp=cipher", HEAD "Content-Type: text/plain; hp=\"cipher\"\r\n\r\nHalo\r\n", NULL, NULL, PROTECTION_MATCH, "" },
	{ "hp of another value", HEAD "Content-Type: text/plain; hp=\"other\"\r\n\r\nHalo\r\n", "Surat", "surat", PROTECTION_NONE, "" },
	{ "v1", HEAD V1_TYPE, NULL, NULL, PROTECTION_MATCH, "" },
	{ "folded outside", HEAD HP_TYPE, "To: ana@prov.example", "To:\r\n ana@prov.example", PROTECTION_MATCH, "" },
	{ "trace outside", HEAD HP_TYPE, "From: budi", "Received: from x\r\nFrom: budi", PROTECTION_MATCH, "" },
	{ "encoded outside", HEAD HP_TYPE, "Subject: Surat", "Subject: =?utf-8?q?Surat?=", PROTECTION_MATCH, "" },
	{ "8-bit inside, encoded outside", "From: budi@kota.example\r\nTo: ana@prov.example\r\nSubject: K\xc3\xb6ta\r\n" HP_TYPE,
	    "Subject: Surat", "Subject: =?utf-8?q?K=C3=B6ta?=", PROTECTION_MATCH, "" },
	{ "8-bit inside, another encoded outside", "From: budi@kota.example\r\nTo: ana@prov.example\r\nSubject: K\xc3\xb6ta\r\n" HP_TYPE,
	    "Subject: Surat", "Subject: =?utf-8?q?K=C3=B7ta?=", PROTECTION_MISMATCH, "Subject" },
	{ "A46 a line end in an encoded word", HEAD HP_TYPE, "Subject: Surat", "Subject: Surat=?utf-8?q?=0D=0A?=x", PROTECTION_MISMATCH, "Subject" },
	{ "A46 base64 outside", HEAD HP_TYPE, "Subject: Surat", "Subject: =?utf-8?b?U3VyYXQ=?=", PROTECTION_MATCH, "" },
	{ "A46 two words outside", HEAD HP_TYPE, "Subject: Surat", "Subject: =?us-ascii?q?Su?=\r\n =?ISO-8859-1?B?cmF0?=", PROTECTION_MATCH, "" },
	/* What one reader drops another one shows. */
	{ "A46 text behind a NUL", HEAD HP_TYPE, "Subject: Surat", "Subject: =?utf-8?b?U3VyYXQ=?= =?utf-8?b?AHBhbHN1?=", PROTECTION_MISMATCH, "Subject" },
	{ "A46 base64 without padding", HEAD HP_TYPE, "Subject: Surat", "Subject: =?utf-8?q?Surat?= =?utf-8?b?IQ?=", PROTECTION_MISMATCH, "Subject" },
	{ "A46 base64 behind its padding", HEAD HP_TYPE, "Subject: Surat", "Subject: =?utf-8?b?U3VyYXQ=cGFsc3U=?=", PROTECTION_MISMATCH, "Subject" },
	{ "A46 no base64", HEAD HP_TYPE, "Subject: Surat", "Subject: =?utf-8?b?U3Vy!!YXQ=?=", PROTECTION_MISMATCH, "Subject" },
	{ "A46 unknown character set", HEAD HP_TYPE, "Subject: Surat", "Subject: =?x-a?q?Surat?=", PROTECTION_MISMATCH, "Subject" },
	{ "A46 a character set in shifts", HEAD HP_TYPE, "Subject: Surat", "Subject: =?utf-7?q?Sur+AGE-t?=", PROTECTION_MISMATCH, "Subject" },
	{ "A46 no UTF-8", "From: budi@kota.example\r\nTo: ana@prov.example\r\nSubject: Surat?\r\n" HP_TYPE, "Subject: Surat", "Subject: =?utf-8?q?Surat=E4?=",
	    PROTECTION_MISMATCH, "Subject" },
	{ "Reply-To outside only", HEAD HP_TYPE, "To: ana", "Reply-To: eve@x.example\r\nTo: ana", PROTECTION_MATCH, "" },
	{ "Sender outside only", HEAD HP_TYPE, "To: ana", "Sender: dinas@kota.example\r\nTo: ana", PROTECTION_MATCH, "" },
	{ "Subject alone, v1", "Subject: Surat\r\n" V1_TYPE, NULL, NULL, PROTECTION_MATCH, "" },

	{ "Subject differs", HEAD HP_TYPE, "Subject: Surat", "Subject: surat", PROTECTION_MISMATCH, "Subject" },
	{ "Subject differs, v1", HEAD V1_TYPE, "Subject: Surat", "Subject: surat", PROTECTION_MISMATCH, "Subject" },
	{ "From differs", HEAD HP_TYPE, "From: budi", "From: eve", PROTECTION_MISMATCH, "From" },
	{ "To has one more", HEAD HP_TYPE, "To: ana@prov.example", "To: ana@prov.example, eve@x.example", PROTECTION_MISMATCH, "To" },
	{ "To by an encoded comma", HEAD HP_TYPE, "To: ana@prov.example", "To: =?utf-8?q?ana=40prov=2Eexample?=", PROTECTION_MISMATCH, "To" },
	{ "Cc outside only", HEAD HP_TYPE, "To: ana", "Cc: eve@x.example\r\nTo: ana", PROTECTION_MISMATCH, "Cc outside only" },
	{ "Cc outside only, v1", HEAD V1_TYPE, "To: ana", "Cc: eve@x.example\r\nTo: ana", PROTECTION_MATCH, "" },
	{ "Subject outside only", "From: budi@kota.example\r\nTo: ana@prov.example\r\n" HP_TYPE, NULL, NULL, PROTECTION_MISMATCH, "Subject outside only" },
	{ "Date differs", HEAD HP_TYPE, "Mon, 21 Sep", "Tue, 22 Sep", PROTECTION_MISMATCH, "Date" },
	{ "Message-ID differs", HEAD HP_TYPE, "<1@kota", "<2@kota", PROTECTION_MISMATCH, "Message-ID" },
	{ "Message-ID gone", HEAD HP_TYPE, "Message-ID: <1@kota.example>\r\n", "", PROTECTION_MISMATCH, "Message-ID inside only" },
	{ "Subject gone", HEAD HP_TYPE, "Subject: Surat\r\n", "", PROTECTION_MISMATCH, "Subject inside only" },
	{ "two References outside", "References: <0@x>\r\n" HEAD HP_TYPE, "To: ana", "References: <0@x>\r\nReferences: <9@x>\r\nTo: ana", PROTECTION_MISMATCH, "two References" },
	{ "Reply-To inside and another outside", "Reply-To: budi@kota.example\r\n" HEAD HP_TYPE, "To: ana", "Reply-To: eve@x.example\r\nTo: ana",
	    PROTECTION_MISMATCH, "Reply-To" },
};

static void
test_protected(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * N_ELEMENTS(protected_rows); i++) {
		const struct protected_row *want = &protected_rows[i / 2];
		/* In a clear-signed message the outer fields come first, so a change meets them. */
		struct row row = { .name = want->name, .form = i % 2 ? OPAQUE : CLEAR, .entity = want->inside, .find = want->find, .put = want->put };
		AUTO_BUF struct buf mail = { 0 };
		struct signature_facts facts;

		make_mail(&row, &mail);
		verify_at(buf_slice(&mail), NOW, false, &facts);
		if (facts.state != G || facts.protection != want->want || !strstr(facts.protection_why, want->want_why))
			fail_msg("%s, form %d: %s '%s', protection %s '%s'", want->name, row.form, signature_state_name(facts.state), facts.why,
			    protection_name(facts.protection), facts.protection_why);
	}
}

/* Triple wrapping, and a signature within a signature. */
static void
test_layers(void **state)
{
	struct forge inner = { .signer = "p256", .content = slice_of(HEAD HP_TYPE) }, outer = { .signer = "rsa2048" };
	AUTO_BUF struct buf cms = { 0 }, within = { 0 }, again = { 0 }, mail = { 0 }, opaque = { 0 }, triple = { 0 }, triple_cms = { 0 };
	struct signature_facts facts;
	struct slice enc;

	(void)state;
	forge_cms(&inner, &cms);
	forge_clear_mail("", inner.content, buf_slice(&cms), &within);
	change(&within, "forged", "inside");
	change(&within, "--forged", "--inside");
	change(&within, "--forged", "--inside");
	change(&within, "--forged", "--inside");
	outer.content = buf_slice(&within);
	forge_cms(&outer, &again);
	forge_clear_mail(HEAD, buf_slice(&within), buf_slice(&again), &mail);
	verify_at(buf_slice(&mail), NOW, false, &facts);
	assert_int_equal(facts.state, G);
	assert_string_equal(facts.layers, "signed/signed");
	assert_int_equal(facts.protection, PROTECTION_MATCH);
	assert_non_null(strstr(facts.signer.subject, "rsa2048"));

	buf_done(&again);
	outer.flaws = FORGE_OPAQUE;
	forge_cms(&outer, &again);
	forge_opaque_mail(HEAD, buf_slice(&again), &opaque);
	verify_at(buf_slice(&opaque), NOW, false, &facts);
	assert_int_equal(facts.state, G);
	assert_string_equal(facts.layers, "signed/signed");
	assert_false(facts.encrypted);

	write_file("within.eml", within.at, within.len);
	assert_int_equal(run("openssl cms -encrypt -aes128 -in within.eml -out enc.eml rsa2048.crt && sed -i 's/$/\\r/' enc.eml"), 0);
	enc = read_file("enc.eml");
	outer.content = enc;
	outer.flaws = 0;
	forge_cms(&outer, &triple_cms);
	forge_clear_mail(HEAD, enc, buf_slice(&triple_cms), &triple);
	verify_at(buf_slice(&triple), NOW, false, &facts);
	assert_int_equal(facts.state, G);
	assert_string_equal(facts.layers, "signed/encrypted");
	assert_true(facts.encrypted);
	assert_int_equal(facts.protection, PROTECTION_NONE);
	heap_free(enc);
}

struct plain_row {
	const char *name;
	const char *text;
	enum coverage want;
	const char *want_layers;
};

/* Not signed, and never "unknown". */
static void
test_plain(void **state)
{
	static const struct plain_row plain[] = {
		{ "text", HEAD ENTITY, COVERAGE_NONE, "" },
		{ "no body", "From: budi@kota.example\r\n", COVERAGE_NONE, "" },
		{ "encrypted", HEAD "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nAA\r\n", COVERAGE_NONE, "encrypted" },
		{ "authenticated encryption", HEAD "Content-Type: application/pkcs7-mime; smime-type=authEnveloped-data\r\n\r\nAA\r\n", COVERAGE_NONE, "encrypted" },
		{ "PGP, encrypted", HEAD "Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b--\r\n", COVERAGE_NONE, "encrypted" },
		{ "an attachment called p7m that is none", HEAD "Content-Type: application/octet-stream; name=a.p7m\r\n\r\nhi\r\n", COVERAGE_NONE, "" },
		{ "a signature alone", HEAD "Content-Type: application/pkcs7-signature\r\n\r\nAA\r\n", COVERAGE_NONE, "" },
		{ "multipart/signed in an attached message", HEAD MIXED "--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: x@y.example\r\n" TYPE
		    "; boundary=i\r\n\r\n--i\r\n\r\nx\r\n--i\r\nContent-Type: application/pkcs7-signature\r\n\r\nAA\r\n--i--\r\n\r\n--b--\r\n", COVERAGE_PARTIAL, "" },
		{ "a list's footer around a signed part", HEAD MIXED "--b\r\n" TYPE "; boundary=i\r\n\r\n--i\r\n\r\nx\r\n--i\r\n"
		    "Content-Type: application/pkcs7-signature\r\n\r\nAA\r\n--i--\r\n\r\n--b\r\n\r\nfooter\r\n--b--\r\n", COVERAGE_PARTIAL, "" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(plain); i++) {
		struct signature_facts facts;

		verify_at(slice_of(plain[i].text), NOW, false, &facts);
		if (facts.state != N || facts.coverage != plain[i].want || strcmp(facts.layers, plain[i].want_layers) != 0)
			fail_msg("%s: %s '%s', %s, layers '%s'", plain[i].name, signature_state_name(facts.state), facts.why, coverage_name(facts.coverage), facts.layers);
	}
}

/* A6: certificates alone are not signed, whatever the label. */
static void
test_certs_only(void **state)
{
	static const char *const labels[] = { "certs-only", "signed-data" };
	struct slice der;

	(void)state;
	assert_int_equal(run("openssl crl2pkcs7 -nocrl -certfile p256.crt -outform DER -out certs.der"), 0);
	der = read_file("certs.der");
	for (size_t i = 0; i < N_ELEMENTS(labels); i++) {
		AUTO_BUF struct buf mail = { 0 };
		struct signature_facts facts;

		forge_opaque_mail(HEAD, der, &mail);
		change(&mail, "signed-data", labels[i]);
		verify_at(buf_slice(&mail), NOW, false, &facts);
		assert_int_equal(facts.state, N);
		assert_int_equal(facts.coverage, COVERAGE_NONE);
	}
	heap_free(der);
}

/*
 * A SignedData that is called encrypted is malformed, however it is written: its beginning must not be taken for all there is to know. One
 * that is not whole is nothing, and encrypted by its label.
 */
static void
test_mislabelled(void **state)
{
	static const struct {
		const char *name;
		unsigned flaws;
		const char *find, *put;
		size_t blanks;          /* lines in front of the object */
		enum signature_state want;
	} wrong[] = {
		{ "as DER", 0, NULL, NULL, 0, M },
		{ "of indefinite lengths", FORGE_INDEFINITE, NULL, NULL, 0, M },
		{ "behind many blank lines", 0, NULL, NULL, 5000, M },
		{ "beginning in another way", 0, "\r\n\r\nMI", "\r\n\r\nM\r\nI", 0, M },
		{ "with junk in it", 0, "\r\n\r\nMI", "\r\n\r\n%MI", 0, N },
		{ "with bytes behind it", FORGE_TRAILING, NULL, NULL, 0, N },
	};
	static char blanks[2 * 5000 + 1];

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(blanks); i++)
		blanks[i] = i % 2 ? '\n' : '\r';
	for (size_t i = 0; i < N_ELEMENTS(wrong); i++) {
		const struct row row = { .name = wrong[i].name, .form = OPAQUE, .flaws = wrong[i].flaws, .find = "signed-data", .put = "enveloped-data" };
		AUTO_BUF struct buf mail = { 0 }, all = { 0 };
		struct signature_facts facts;
		const char *body;

		make_mail(&row, &mail);
		if (wrong[i].find)
			change(&mail, wrong[i].find, wrong[i].put);
		body = strstr(buf_text(&mail), "\r\n\r\n") + 4;
		buf_init(&all, 64 * 1024);
		buf_add(&all, mail.at, (size_t)(body - buf_text(&mail)));
		buf_add(&all, blanks, 2 * wrong[i].blanks);
		buf_add_text(&all, body);
		verify_at(buf_slice(&all), NOW, false, &facts);
		if (facts.state != wrong[i].want || facts.encrypted != (wrong[i].want == N))
			fail_msg("%s: %s '%s', %s", wrong[i].name, signature_state_name(facts.state), facts.why, facts.layers);
	}
}

/* One byte of the message, wherever the text stands. */
static void
put_byte(struct buf *mail, const char *where, unsigned char byte)
{
	unsigned char *at = memmem(mail->at, mail->len, where, strlen(where));

	assert_non_null(at);
	*at = byte;
}

/* A44, A47: a NUL in the signed part (it may even be signed) and in From. */
static void
test_nul(void **state)
{
	static const struct {
		const char *where;
		const char *want;
	} nuls[] = {
		{ "dari", "NUL in the signed part" },
		{ "budi@kota", "NUL in the header" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(nuls); i++) {
		struct row row = { .form = CLEAR };
		AUTO_BUF struct buf mail = { 0 };
		struct signature_facts facts;

		make_mail(&row, &mail);
		put_byte(&mail, nuls[i].where, '\0');
		verify_at(buf_slice(&mail), NOW, false, &facts);
		if (facts.state != M || !strstr(facts.why, nuls[i].want))
			fail_msg("%s: %s '%s'", nuls[i].where, signature_state_name(facts.state), facts.why);
	}
}

/* A25: another certificate with the same issuer and serial number, beside the right one or in its place. */
static void
test_twin(void **state)
{
	struct forge forge = { .signer = "one", .other = "twin", .content = slice_of(ENTITY), .signing_time = NOW - 60 };
	struct signature_facts facts;

	mkpki(*state, "--ca-of root --out one --cn One --email budi@kota.example --serial 77 --key p256 --from 2026-01-01T00:00:00Z --to 2036-01-01T00:00:00Z");
	mkpki(*state, "--ca-of root --out twin --cn Twin --email walikota@kota.example --serial 77 --key p256 --from 2026-01-01T00:00:00Z --to 2036-01-01T00:00:00Z");
	for (int i = 0; i < 3; i++) {
		AUTO_BUF struct buf cms = { 0 }, mail = { 0 };

		forge.flaws = i == 0 ? 0 : FORGE_ESS;
		forge.other = i == 2 ? NULL : "twin";
		forge_cms(&forge, &cms);
		forge_clear_mail(HEAD, slice_of(ENTITY), buf_slice(&cms), &mail);
		verify_at(buf_slice(&mail), NOW, false, &facts);
		if (facts.state != (i == 2 ? G : M) || (i < 2 && !strstr(facts.why, "several")))
			fail_msg("%d: %s '%s'", i, signature_state_name(facts.state), facts.why);
	}
	/* The twin's certificate under the one's signature. */
	assert_int_equal(run("cp twin.crt mixed.crt && cp one.key mixed.key"), 0);
	for (int form = CLEAR; form <= OPAQUE; form++) {
		struct row row = { .form = (enum form)form, .signer = "mixed" };
		AUTO_BUF struct buf mail = { 0 };

		make_mail(&row, &mail);
		verify_at(buf_slice(&mail), NOW, false, &facts);
		assert_int_equal(facts.state, B);
		assert_true(facts.has_signer);
	}
}

/* A42: compressed (RFC 3274) and other CMS objects are unsupported, not forged. */
static void
test_other_objects(void **state)
{
	static const unsigned char compressed[] = "\x30\x11\x06\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x09\xa0\x02\x30\x00";
	static const char *const labels[] = { "compressed-data", "x-other" };
	struct signature_facts facts;

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(labels); i++) {
		AUTO_BUF struct buf mail = { 0 };

		forge_opaque_mail(HEAD, (struct slice){ compressed, sizeof(compressed) - 1 }, &mail);
		change(&mail, "signed-data", labels[i]);
		verify_at(buf_slice(&mail), NOW, false, &facts);
		assert_int_equal(facts.state, U);
		assert_non_null(strstr(facts.why, "compressedData"));
	}
}

/* A40, A41: over a limit nothing is judged, and what says it is signed is not "not signed". */
static void
test_limits(void **state)
{
	AUTO(xfree) char *groups = repeat("g:", 200);
	AUTO(xfree) char *nested = xasprintf(MIXED "--b\r\nContent-Type: message/rfc822\r\n\r\nTo: %s\r\n\r\nhi\r\n--b--\r\n", groups);
	AUTO(xfree) char *name = repeat("Budi ", 1100);
	AUTO(xfree) char *from = xasprintf("From: %s <budi@kota.example>\r\n", name);
	AUTO(xfree) char *plain = xasprintf("From: budi@kota.example\r\nTo: %s\r\n\r\nhi\r\n", groups);
	struct row row = { .form = CLEAR, .entity = nested };
	struct signature_facts facts;

	(void)state;
	for (int form = CLEAR; form <= OPAQUE; form++) {
		AUTO_BUF struct buf mail = { 0 };

		row.form = (enum form)form;
		make_mail(&row, &mail);
		verify_at(buf_slice(&mail), NOW, false, &facts);
		assert_int_equal(facts.state, M);
		assert_non_null(strstr(facts.why, "limit"));
	}
	verify_at(slice_of(plain), NOW, false, &facts);
	assert_int_equal(facts.state, N);
	assert_int_equal(facts.coverage, COVERAGE_UNKNOWN);
	/* A47: an address behind more than a kilobyte of name. */
	{
		struct row hidden = { .form = CLEAR, .head = from };
		AUTO_BUF struct buf mail = { 0 };

		make_mail(&hidden, &mail);
		verify_at(buf_slice(&mail), NOW, false, &facts);
		assert_int_equal(facts.state, M);
		assert_non_null(strstr(facts.why, "from_bytes"));
	}
}

/* A24: both ends of what counts as strong, without waiting for a key of 16384 bits. */
static void
test_key_sizes(void **state)
{
	static const struct {
		int bits;
		bool weak;
	} sizes[] = { { 2047, true }, { 2048, false }, { 8192, false }, { 8193, true }, { 16384, true } };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
		struct signature_facts facts = { .signer = { .key = KEY_RSA, .key_bits = sizes[i].bits } };

		fit_weak(GATE_DIGEST_SHA256, &facts);
		assert_int_equal(facts.weak, sizes[i].weak);
	}
}

/* The memory of replays: the same for the same signature, another for another. */
static void
test_value(void **state)
{
	struct row row = { .form = CLEAR }, other = { .form = CLEAR, .signer = "rsa2048" };
	AUTO_BUF struct buf mail = { 0 }, second = { 0 }, again = { 0 };
	struct signature_facts a, b, c, d;

	(void)state;
	make_mail(&row, &mail);
	make_mail(&other, &second);
	verify_at(buf_slice(&mail), NOW, false, &a);
	change(&mail, "Subject: Surat", "Subject: Setuju");
	verify_at(buf_slice(&mail), NOW, false, &b);
	verify_at(buf_slice(&second), NOW, false, &c);
	assert_memory_equal(a.value_sha256, b.value_sha256, 32);
	assert_memory_not_equal(a.value_sha256, c.value_sha256, 32);
	/* Another ECDSA value over the same: what anybody could make of the first one. */
	make_mail(&row, &again);
	verify_at(buf_slice(&again), NOW, false, &d);
	assert_memory_equal(a.value_sha256, d.value_sha256, 32);
}

/* Every prefix of a good message, and one byte changed in every place: never good, but for bytes outside. */
static void
test_cuts(void **state)
{
	/* With the attribute that names the certificate by its hash, the certificate's bytes are signed, too. */
	struct row row = { .form = OPAQUE, .flaws = FORGE_ESS };
	AUTO_BUF struct buf mail = { 0 };
	struct signature_facts facts;
	size_t good = 0;

	(void)state;
	make_mail(&row, &mail);
	for (size_t len = 0; len + 2 < mail.len; len += 7) {
		verify_at((struct slice){ mail.at, len }, NOW, false, &facts);
		if (facts.state == G)
			fail_msg("good although cut to %zu of %zu", len, mail.len);
	}
	for (size_t i = strlen(HEAD) + 130; i < mail.len; i += 3) {
		unsigned char was = mail.at[i];

		mail.at[i] = was == 'A' ? 'B' : 'A';
		verify_at(buf_slice(&mail), NOW, false, &facts);
		good += facts.state == G;
		mail.at[i] = was;
	}
	/* The bits behind the last byte of base64, and the unsigned version numbers, carry nothing. */
	if (good > 4)
		fail_msg("%zu of %zu changes left it good", good, mail.len / 3);
}

static size_t
allocated(void)
{
#if defined(__SANITIZE_ADDRESS__)
	return __sanitizer_get_current_allocated_bytes();
#else
	return mallinfo2().uordblks;
#endif
}

/* 1,000 verifications, good, bad and malformed: nothing stays. */
static void
test_leaks(void **state)
{
	static const size_t which[] = { 0, 2, 3, 18, 22, 30, 34 };
	struct buf mails[N_ELEMENTS(which)] = { 0 };
	struct signature_facts facts;
	size_t before = 0;

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(which); i++)
		make_mail(&rows[which[i]], &mails[i]);
	for (size_t i = 0; i < 1100; i++) {
		if (i == 100)
			before = allocated();
		verify_at(buf_slice(&mails[i % N_ELEMENTS(which)]), NOW, false, &facts);
	}
	if (allocated() > before + 4096)
		fail_msg("%zu bytes more after 1,000 verifications", allocated() - before);
	for (size_t i = 0; i < N_ELEMENTS(which); i++)
		buf_done(&mails[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_signers),
		cmocka_unit_test(test_explicit_curve),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_recipes),
		cmocka_unit_test(test_protected),
		cmocka_unit_test(test_layers),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_certs_only),
		cmocka_unit_test(test_mislabelled),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_twin),
		cmocka_unit_test(test_other_objects),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_key_sizes),
		cmocka_unit_test(test_value),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_leaks),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
