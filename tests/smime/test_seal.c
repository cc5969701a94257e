/*
 * Sealed messages, judged by other programs: openssl cms, GnuPG gpgsm and NSS cmsutil accept each,
 * and refuse it after one byte of the body or of the signature has changed.
 */
#include "tests/smime/world.h"

#include <time.h>

#include "smime/canon.h"
#include "smime/head.h"
#include "smime/inspect.h"
#include "smime/seal.h"

#define HEAD "From: Budi <budi@kota.example>\r\nTo: ana@kota.example\r\nSubject: Surat\r\n" \
	"Date: Fri, 20 Nov 2026 08:00:00 +0700\r\nMessage-ID: <1@kota.example>\r\n"
#define MIME "MIME-Version: 1.0\r\n"
#define MIXED MIME "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n"

struct message_case {
	const char *name;
	const char *text;
	enum body_form want_form;
	enum seal_form ask;
	enum seal_form want;
	const char *want_entity; /* a text that the signed entity holds; NULL = none */
};

static const struct message_case cases[] = {
	{ "plain ASCII", HEAD MIME "Content-Type: text/plain\r\n\r\nHalo\r\n", BODY_CLEAN, SEAL_CLEAR, SEAL_CLEAR,
	    "Content-Type: text/plain; hp=\"clear\"\r\n\r\nHalo\r\n" },
	{ "opaque on request", HEAD MIME "Content-Type: text/plain\r\n\r\nHalo\r\n", BODY_CLEAN, SEAL_OPAQUE, SEAL_OPAQUE, "\r\n\r\nHalo\r\n" },
	{ "empty body", HEAD "\r\n", BODY_CLEAN, SEAL_CLEAR, SEAL_CLEAR, "charset=us-ascii; hp=\"clear\"\r\n\r\n" },
	{ "no final newline", HEAD "\r\nHalo", BODY_CLEAN, SEAL_CLEAR, SEAL_CLEAR, "\r\n\r\nHalo" },
	{ "8-bit UTF-8", HEAD MIME "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nWali K\xc3\xb6ta\r\n",
	    BODY_RECODE, SEAL_CLEAR, SEAL_CLEAR, "Content-Transfer-Encoding: quoted-printable\r\n\r\nWali K=C3=B6ta\r\n" },
	{ "8-bit without a label", HEAD "\r\nWali K\xc3\xb6ta\r\n", BODY_RECODE, SEAL_CLEAR, SEAL_CLEAR, "charset=utf-8; hp=\"clear\"" },
	{ "8-bit that is no UTF-8", HEAD "\r\nWali K\xf6ta\r\n", BODY_RECODE, SEAL_CLEAR, SEAL_CLEAR, "charset=unknown-8bit; hp" },
	{ "8-bit label on ASCII", HEAD MIME "Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\nHalo\r\n",
	    BODY_CLEAN, SEAL_CLEAR, SEAL_CLEAR, "Content-Transfer-Encoding: 7bit\r\n\r\nHalo" },
	{ "long lines", NULL, BODY_RECODE, SEAL_CLEAR, SEAL_CLEAR, "=\r\n" },
	{ "trailing blanks", HEAD "\r\nHalo  \r\n \t\r\nbye \r\n", BODY_CLEAN, SEAL_CLEAR, SEAL_CLEAR, "Halo  \r\n \t\r\nbye \r\n" },
	{ "From lines", HEAD "\r\nFrom here\r\nto\r\nFrom there\r\n", BODY_RECODE, SEAL_CLEAR, SEAL_CLEAR, "=46rom here\r\nto\r\n=46rom there\r\n" },
	{ "base64 attachment", HEAD MIXED "--b\r\nContent-Type: text/plain\r\n\r\nHalo\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\n--b--\r\n", BODY_CLEAN, SEAL_CLEAR, SEAL_CLEAR, "JVBERi0xLjQK\r\n--b--" },
	{ "alternative in mixed, one leaf 8-bit", HEAD MIXED "--b\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n"
	    "--inner\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nBapak K\xc3\xb6ta di sana\r\n--inner\r\nContent-Type: text/html\r\n\r\n<p>Kota\r\n--inner--\r\n"
	    "\r\n--b\r\n\r\nlast\r\n--b--\r\n", BODY_RECODE, SEAL_CLEAR, SEAL_CLEAR,
	    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nBapak K=C3=B6ta di sana\r\n--inner\r\n" },
	{ "8-bit labels on multiparts", HEAD MIME "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
	    "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xb6\r\n--b\r\n"
	    "Content-Transfer-Encoding: binary\r\n\r\nascii\r\n--b--\r\n", BODY_RECODE, SEAL_CLEAR, SEAL_CLEAR,
	    "--b\r\nContent-Transfer-Encoding: 7bit\r\n\r\nascii\r\n--b--" },
	{ "binary attachment, raw", HEAD MIXED "--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"
	    "\xff\xfe\x01 a\r\n--b--\r\n", BODY_RECODE, SEAL_CLEAR, SEAL_CLEAR, "Content-Transfer-Encoding: base64\r\n\r\n//4BIGE=\r\n" },
	{ "nested message, clean", HEAD MIXED "--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: x@y\r\n\r\nhi\r\n--b--\r\n",
	    BODY_CLEAN, SEAL_CLEAR, SEAL_CLEAR, "message/rfc822\r\n\r\nFrom: x@y\r\n\r\nhi\r\n--b--" },
	{ "nested message, 8-bit", HEAD MIXED "--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: x@y\r\n\r\nh\xc3\xb6\r\n--b--\r\n",
	    BODY_OPAQUE, SEAL_CLEAR, SEAL_OPAQUE, "h\xc3\xb6\r\n--b--" },
	{ "8-bit inside a signed part", HEAD MIXED "--b\r\nContent-Type: multipart/signed; boundary=s; protocol=\"application/pkcs7-signature\"\r\n\r\n"
	    "--s\r\n\r\nK\xc3\xb6ta\r\n--s\r\nContent-Type: application/pkcs7-signature\r\n\r\nAA==\r\n--s--\r\n\r\n--b--\r\n",
	    BODY_OPAQUE, SEAL_CLEAR, SEAL_OPAQUE, "K\xc3\xb6ta\r\n--s\r\n" },
	{ "preamble and epilogue", HEAD MIXED "This is MIME.\r\n--b\r\n\r\nhi\r\n--b--\r\nthe end\r\n", BODY_CLEAN, SEAL_CLEAR, SEAL_CLEAR,
	    "\r\n\r\nThis is MIME.\r\n--b\r\n\r\nhi\r\n--b--\r\nthe end\r\n" },
	{ "8-bit preamble", HEAD MIXED "\xc3\xb6\r\n--b\r\n\r\nhi\r\n--b--\r\n", BODY_OPAQUE, SEAL_CLEAR, SEAL_OPAQUE, "\r\n\r\n\xc3\xb6\r\n--b" },
	{ "odd case and folds", HEAD "mIME-vERSION: 1.0\r\ncONTENT-tYPE:\r\n  mULTIPART/Mixed\r\n\t;\r\n bOUNDARY\t=\r\n \"b b\"\r\n\r\n--b b\r\n\r\nhi\r\n--b b--\r\n",
	    BODY_CLEAN, SEAL_CLEAR, SEAL_CLEAR, "mULTIPART/Mixed; hp=\"clear\"\r\n\t;\r\n bOUNDARY\t=\r\n \"b b\"\r\n\r\n" },
	{ "hp is replaced", HEAD MIME "Content-Type: text/plain; hp=\"cipher\"; charset=us-ascii\r\n\r\nHalo\r\n", BODY_CLEAN, SEAL_CLEAR, SEAL_CLEAR,
	    "Content-Type: text/plain; hp=\"clear\"; charset=us-ascii\r\n" },
	{ "no MIME-Version", HEAD "Content-Type: text/plain\r\n\r\nHalo\r\n", BODY_CLEAN, SEAL_CLEAR, SEAL_CLEAR, "\r\n\r\nHalo\r\n" },
	{ "format=flowed", HEAD MIME "Content-Type: text/plain; format=flowed; delsp=yes\r\n\r\nlong \r\nline \r\n-- \r\nB\r\n", BODY_CLEAN, SEAL_CLEAR,
	    SEAL_CLEAR, "text/plain; hp=\"clear\"; format=flowed; delsp=yes\r\n\r\nlong \r\nline \r\n-- \r\nB\r\n" },
	{ "calendar", HEAD MIME "Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\nBEGIN:VCALENDAR\r\nSUMMARY:K\xc3\xb6ta\r\nEND:VCALENDAR\r\n",
	    BODY_RECODE, SEAL_CLEAR, SEAL_CLEAR, "text/calendar; hp=\"clear\"; method=REQUEST; charset=utf-8\r\n" },
	{ "bare CR in text", HEAD "\r\na\rb\r\n", BODY_RECODE, SEAL_CLEAR, SEAL_CLEAR, "base64\r\n\r\nYQ1iDQo=\r\n" },
	{ "8-bit Subject", "From: budi@kota.example\r\nSubject: K\xc3\xb6ta\r\n\r\nHalo\r\n", BODY_OPAQUE, SEAL_CLEAR, SEAL_OPAQUE, "Subject: K\xc3\xb6ta\r\n" },
	{ "8-bit in a field that is not signed", HEAD "X-Mailer: K\xc3\xb6ta\r\n\r\nHalo\r\n", BODY_CLEAN, SEAL_CLEAR, SEAL_CLEAR, "\r\n\r\nHalo\r\n" },
	{ "base64 with junk and long lines", NULL, BODY_OPAQUE, SEAL_CLEAR, SEAL_OPAQUE, "!!" },
};

static const char *const kinds[] = { "rsa2048", "p256", "p384" };

struct state {
	struct world world;
	struct slice cert[N_ELEMENTS(kinds)];
	struct key *key[N_ELEMENTS(kinds)];
	struct slice chain;
};

static int
setup(void **given)
{
	struct state *state = calloc(1, sizeof(*state));

	world_open(&state->world);
	mkpki(&state->world, "--out root --ca --cn 'Test Root' --org Segel --from -2d --to +9y --key p384");
	mkpki(&state->world, "--out ca --ca --ca-of root --cn 'Test CA' --org Segel --from -2d --to +9y --key rsa2048");
	state->chain = read_file("ca.der");
	for (size_t i = 0; i < N_ELEMENTS(kinds); i++) {
		struct err err = { 0 };
		char name[32];

		mkpki(&state->world, "--out %s --ca-of ca --cn Budi-%s --email budi@kota.example --from -1d --to +2y --key %s", kinds[i],
		    kinds[i], kinds[i]);
		snprintf(name, sizeof(name), "%s.der", kinds[i]);
		state->cert[i] = read_file(name);
		snprintf(name, sizeof(name), "%s.key", kinds[i]);
		if (key_load(name, NULL, true, &state->key[i], &err) == -1)
			fail_msg("%s", err.text);
	}
	assert_int_equal(run("mkdir -m 700 gpg && (openssl x509 -in root.crt -noout -fingerprint -sha1 | sed 's/.*=//' | tr -d '\\n'; echo ' S relax') > gpg/trustlist.txt"
			     " && printf 'disable-crl-checks\\nbatch\\n' > gpg/gpgsm.conf && printf 'disable-scdaemon\\n' > gpg/gpg-agent.conf"
			     " && GNUPGHOME=$PWD/gpg gpgsm --quiet --import root.crt ca.crt 2>gpg.log"), 0);
	assert_int_equal(run("mkdir nss && certutil -N -d sql:nss --empty-password && certutil -A -d sql:nss -n root -t C,C,C -a -i root.crt"), 0);
	*given = state;
	return 0;
}

static int
teardown(void **given)
{
	struct state *state = *given;

	run("GNUPGHOME=$PWD/gpg gpgconf --kill all 2>/dev/null");
	for (size_t i = 0; i < N_ELEMENTS(kinds); i++) {
		heap_free(state->cert[i]);
		key_free(state->key[i]);
	}
	heap_free(state->chain);
	world_close(&state->world);
	free(state);
	return 0;
}

static struct slice
case_message(const struct message_case *row)
{
	AUTO(xfree) char *filler = NULL;
	AUTO(xfree) char *text = NULL;

	if (row->text)
		return heap_text(row->text);
	filler = repeat(strcmp(row->name, "long lines") == 0 ? "kata " : "QUJD", 5000);
	if (strcmp(row->name, "long lines") == 0)
		text = xasprintf(HEAD "\r\n%s\r\n", filler);
	else
		text = xasprintf(HEAD "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n%s!!\r\n", filler);
	return heap_text(text);
}

static int
seal_with(struct state *state, size_t key, struct slice message, enum seal_form form, struct sealed **ret, struct err *err)
{
	struct message_facts facts;
	struct seal_request request = {
		.message = message, .facts = &facts, .cert = state->cert[key], .chain = &state->chain, .n_chain = 1,
		.signer = key_signer(state->key[key]), .form = form, .now = time(NULL),
	};

	assert_int_equal(smime_inspect(message, &facts, err), 0);
	return smime_seal(&request, ret, err);
}

/* The body as one block. */
static struct slice
join(const struct sealed *sealed)
{
	unsigned char *block = malloc(sealed->body_len);
	size_t len = 0;

	for (size_t i = 0; i < sealed->n_body; i++) {
		memcpy(block + len, sealed->body[i].at, sealed->body[i].len);
		len += sealed->body[i].len;
	}
	assert_int_equal(len, sealed->body_len);
	return (struct slice){ block, len };
}

/* What the caller of smime_seal does: old Content-* and MIME-Version out, the new three in. */
static void
write_message(const char *name, struct slice message, const struct sealed *sealed, struct slice body)
{
	AUTO_HEAD struct head head = { 0 };
	FILE *file = fopen(name, "we");

	head_scan(message, &head);
	for (size_t i = 0; i < head.n_fields; i++) {
		if (!canon_is_content(head.fields[i].name) && !slice_equal_nocase(head.fields[i].name, "MIME-Version"))
			fwrite(head.fields[i].raw.at, 1, head.fields[i].raw.len, file);
	}
	fprintf(file, "MIME-Version: 1.0\r\nContent-Type: ");
	for (const char *c = sealed->content_type; *c; c++)
		fprintf(file, *c == '\n' ? "\r\n" : "%c", *c);
	fprintf(file, "\r\nContent-Transfer-Encoding: %s\r\n", sealed->transfer_encoding);
	if (sealed->content_disposition)
		fprintf(file, "Content-Disposition: %s\r\n", sealed->content_disposition);
	fprintf(file, "\r\n");
	fwrite(body.at, 1, body.len, file);
	assert_int_equal(fclose(file), 0);
}

static const unsigned char *
find(struct slice in, const char *text)
{
	const unsigned char *at = memmem(in.at, in.len, text, strlen(text));

	if (!at)
		fail_msg("'%s' is not in %zu bytes: %.*s", text, in.len, (int)in.len, in.at);
	return at;
}

/* Cuts the sealed body into entity and DER the way a reader does, not the way we built it. */
static void
cut(const struct sealed *sealed, struct slice body, struct slice *entity, struct buf *der)
{
	const char *quoted = strstr(sealed->content_type, "boundary=\"");
	char line[100] = "\r\n--";
	const unsigned char *second;
	const unsigned char *signature;
	const unsigned char *last;

	buf_init(der, body.len);
	*entity = (struct slice){ 0 };
	if (sealed->form == SEAL_OPAQUE) {
		assert_true(canon_decode(body, CTE_BASE64, der));
		return;
	}
	strncat(line, quoted + strlen("boundary=\""), strcspn(quoted + strlen("boundary=\""), "\""));
	assert_memory_equal(body.at, line + 2, strlen(line) - 2);
	entity->at = body.at + strlen(line);
	second = find((struct slice){ entity->at, body.len - strlen(line) }, line);
	entity->len = (size_t)(second - entity->at);
	signature = find((struct slice){ second, (size_t)(body.at + body.len - second) }, "\r\n\r\n") + 4;
	last = find((struct slice){ signature, (size_t)(body.at + body.len - signature) }, line);
	assert_true(canon_decode((struct slice){ signature, (size_t)(last - signature) }, CTE_BASE64, der));
}

static const char *const judges_clear[] = {
	"openssl cms -verify -in message.eml -CAfile root.crt -out /dev/null",
	"openssl cms -verify -binary -inform DER -in sig.der -content entity -CAfile root.crt -out /dev/null",
	"GNUPGHOME=$PWD/gpg gpgsm --verify sig.der entity",
	"cmsutil -D -d sql:nss -i sig.der -c entity -o /dev/null",
};

static const char *const judges_opaque[] = {
	"openssl cms -verify -in message.eml -CAfile root.crt -out /dev/null",
	"openssl cms -verify -inform DER -in sig.der -CAfile root.crt -out /dev/null",
	"GNUPGHOME=$PWD/gpg gpgsm --verify sig.der",
	"cmsutil -D -d sql:nss -i sig.der -o /dev/null",
};

static size_t n_judged;

static void
judge(const struct message_case *row, const char *kind, const struct sealed *sealed, bool want, const char *changed)
{
	const char *const *judges = sealed->form == SEAL_CLEAR ? judges_clear : judges_opaque;

	for (size_t i = 0; i < N_ELEMENTS(judges_clear); i++) {
		/* message.eml is rewritten only for the unchanged message */
		if (!want && i == 0)
			continue;
		if ((run("%s >judge.log 2>&1", judges[i]) == 0) != want) {
			run("cat judge.log");
			fail_msg("%s, %s, %s: %s says %s", row->name, kind, changed, judges[i], want ? "bad" : "good");
		}
		n_judged++;
	}
}

/* One byte of the content, then one of the signature value: every judge refuses both. */
static void
judge_changed(const struct message_case *row, const char *kind, const struct sealed *sealed, struct slice entity, const struct buf *der)
{
	struct slice bad = heap_slice(der->at, der->len);
	unsigned char *bytes = (unsigned char *)(uintptr_t)bad.at;

	bytes[bad.len - 1] ^= 1;
	write_file("sig.der", bad.at, bad.len);
	write_file("entity", entity.at, entity.len);
	judge(row, kind, sealed, false, "signature changed");
	bytes[bad.len - 1] ^= 1;
	if (sealed->form == SEAL_OPAQUE) {
		bytes[find(bad, "From: ") - bytes + 6] ^= 1;
		write_file("sig.der", bad.at, bad.len);
		judge(row, kind, sealed, false, "content changed");
	} else {
		struct slice other = heap_slice(entity.at, entity.len);

		((unsigned char *)(uintptr_t)other.at)[other.len / 2] ^= 1;
		write_file("sig.der", bad.at, bad.len);
		write_file("entity", other.at, other.len);
		judge(row, kind, sealed, false, "content changed");
		heap_free(other);
	}
	heap_free(bad);
}

static void
check_entity(const struct message_case *row, const struct sealed *sealed, struct slice signed_bytes)
{
	(void)find(signed_bytes, "From: ");
	(void)find(signed_bytes, "hp=\"clear\"");
	if (row->want_entity)
		(void)find(signed_bytes, row->want_entity);
	if (sealed->form == SEAL_CLEAR) {
		const void *first = memmem(signed_bytes.at, signed_bytes.len, "hp=", 3);

		assert_non_null(first);
		assert_false(memmem(signed_bytes.at, signed_bytes.len, "MIME-Version", 12) != NULL);
		for (size_t i = 0; i < signed_bytes.len; i++)
			assert_true(signed_bytes.at[i] < 0x80);
	}
}

static void
check_case(struct state *state, const struct message_case *row, size_t index, size_t key)
{
	struct slice message = case_message(row);
	struct message_facts facts;
	struct err err = { 0 };
	AUTO(seal_free) struct sealed *sealed = NULL;
	struct slice body;
	struct slice entity;
	AUTO_BUF struct buf der = { 0 };

	assert_int_equal(smime_inspect(message, &facts, &err), 0);
	if (facts.mime != MIME_CLEAR || facts.form != row->want_form)
		fail_msg("%s: mime %s (%s), form %s", row->name, mime_state_name(facts.mime), facts.mime_why, body_form_name(facts.form));
	if (seal_with(state, key, message, row->ask, &sealed, &err) == -1)
		fail_msg("%s, %s: %s", row->name, kinds[key], err.text);
	assert_int_equal(sealed->form, row->want);
	body = join(sealed);
	cut(sealed, body, &entity, &der);
	write_message("message.eml", message, sealed, body);
	write_file("sig.der", der.at, der.len);
	write_file("entity", entity.at, entity.len);
	check_entity(row, sealed, sealed->form == SEAL_CLEAR ? entity : buf_slice(&der));
	judge(row, kinds[key], sealed, true, "unchanged");
	if (index % N_ELEMENTS(kinds) == key)
		judge_changed(row, kinds[key], sealed, entity, &der);
	heap_free(body);
	heap_free(message);
}

static void
test_judges(void **given)
{
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		for (size_t key = 0; key < N_ELEMENTS(kinds); key++)
			check_case(*given, &cases[i], i, key);
	}
	print_message("%zu verdicts of other programs\n", n_judged);
}

/* A clean body's bytes stand in the result as they came: the very same memory. */
static void
test_clean_body_is_borrowed(void **given)
{
	struct slice message = heap_text(HEAD "\r\nHalo\r\n");
	AUTO(seal_free) struct sealed *sealed = NULL;
	struct err err = { 0 };
	bool found = false;

	assert_int_equal(seal_with(*given, 1, message, SEAL_CLEAR, &sealed, &err), 0);
	for (size_t i = 0; i < sealed->n_body; i++)
		found = found || sealed->body[i].at == message.at + strlen(HEAD "\r\n");
	assert_true(found);
	assert_null(sealed->content_disposition);
	assert_string_equal(sealed->transfer_encoding, "7bit");
	seal_free(TAKE(sealed));
	heap_free(message);
}

static void
test_attributes(void **given)
{
	static const char *const wants[] = {
		"contentType", "messageDigest", "signingTime", "S/MIME Capabilities", "signingCertificateV2", "aes-256-cbc", "aes-128-cbc",
	};
	struct slice message = heap_text(HEAD "\r\nHalo\r\n");
	struct slice text;
	AUTO(seal_free) struct sealed *sealed = NULL;
	struct err err = { 0 };
	struct slice body, entity;
	AUTO_BUF struct buf der = { 0 };

	assert_int_equal(seal_with(*given, 2, message, SEAL_CLEAR, &sealed, &err), 0);
	assert_non_null(strstr(sealed->content_type, "micalg=sha-384"));
	body = join(sealed);
	cut(sealed, body, &entity, &der);
	write_file("sig.der", der.at, der.len);
	assert_int_equal(run("openssl cms -cmsout -print -inform DER -in sig.der > print.txt"), 0);
	text = read_file("print.txt");
	for (size_t i = 0; i < N_ELEMENTS(wants); i++)
		(void)find(text, wants[i]);
	(void)find(text, "crls:\n      <ABSENT>");
	write_file("entity", entity.at, entity.len);
	{
		struct slice hash;
		char hex[65];

		assert_int_equal(run("sha256sum entity > hash.txt"), 0);
		hash = read_file("hash.txt");
		for (size_t i = 0; i < 32; i++)
			snprintf(hex + 2 * i, 3, "%02x", sealed->digest[i]);
		assert_memory_equal(hash.at, hex, 64);
		heap_free(hash);
	}
	heap_free(text);
	heap_free(body);
	heap_free(message);
}

/* Signers that go wrong: what they say reaches the caller, and nothing sealed does. */
static int
sign_badly(void *ctx, const unsigned char spki[32], enum digest alg, struct slice digest, unsigned char *sig, size_t *sig_len, struct err *err)
{
	const struct key *other = ctx;

	(void)spki;
	if (!other)
		return err_set(err, ERR_TEMP, "the agent is away");
	return key_sign(other, alg, digest, sig, sig_len, err);
}

static int
sign_nonsense(void *ctx, const unsigned char spki[32], enum digest alg, struct slice digest, unsigned char *sig, size_t *sig_len, struct err *err)
{
	(void)spki;
	(void)alg;
	(void)digest;
	(void)err;
	memset(sig, 7, 256);
	*sig_len = *(size_t *)ctx;
	return 0;
}

/* What was opened earlier is used for its own certificate only; for another it counts as nothing. */
static void
test_prepared(void **given)
{
	struct state *state = *given;
	struct slice message = heap_text(HEAD "\r\nHalo\r\n");
	const struct prepared *mine = NULL, *others = NULL;
	struct message_facts facts;
	struct err err = { 0 };
	struct seal_request request = { .message = message, .facts = &facts, .cert = state->cert[0], .chain = &state->chain, .n_chain = 1,
		.signer = key_signer(state->key[0]), .form = SEAL_CLEAR, .now = time(NULL), .boundary_seed = (const unsigned char *)"0123456789abcdef" };
	struct sealed *sealed[3] = { NULL };
	struct slice bodies[3];

	assert_int_equal(smime_inspect(message, &facts, &err), 0);
	assert_int_equal(prepared_new(state->cert[0], &state->chain, 1, &mine, &err), 0);
	assert_int_equal(prepared_new(state->cert[1], &state->chain, 1, &others, &err), 0);
	for (size_t i = 0; i < N_ELEMENTS(sealed); i++) {
		request.prepared = i == 1 ? mine : i == 2 ? others : NULL;
		assert_int_equal(smime_seal(&request, &sealed[i], &err), 0);
		bodies[i] = join(sealed[i]);
		assert_true(slice_equal(bodies[i], bodies[0])); /* RSA: the same signature, by the same certificate */
	}
	request.signer = key_signer(state->key[1]);
	request.prepared = others; /* key and opened certificate agree, and are not what was asked for */
	assert_int_equal(smime_seal(&request, &sealed[0], &err), -1);
	for (size_t i = 0; i < N_ELEMENTS(sealed); i++) {
		heap_free(bodies[i]);
		seal_free(sealed[i]);
	}
	prepared_unref(mine);
	prepared_unref(others);
	heap_free(message);
}

static void
test_wrong_signers(void **given)
{
	struct state *state = *given;
	struct slice message = heap_text(HEAD "\r\nHalo\r\n");
	struct message_facts facts;
	struct err err = { 0 };
	struct sealed *sealed = NULL;
	struct key *second = NULL;
	size_t lens[] = { 0, 64, 256, 512, 513, 100000 };
	struct seal_request request = { .message = message, .facts = &facts, .chain = &state->chain, .n_chain = 1, .form = SEAL_CLEAR, .now = time(NULL) };

	mkpki(&state->world, "--out second --self --cn Other --from -1d --to +1d --key rsa2048");
	assert_int_equal(key_load("second.key", NULL, true, &second, &err), 0);
	assert_int_equal(smime_inspect(message, &facts, &err), 0);
	for (size_t key = 0; key < N_ELEMENTS(kinds); key++) {
		request.cert = state->cert[key];
		request.signer = (struct signer){ sign_badly, NULL };
		assert_int_equal(smime_seal(&request, &sealed, &err), -1);
		assert_int_equal(err.kind, ERR_TEMP);
		assert_non_null(strstr(err.text, "the agent is away"));
		request.signer = (struct signer){ sign_badly, key == 0 ? second : state->key[0] };
		assert_int_equal(smime_seal(&request, &sealed, &err), -1);
		assert_int_equal(err.kind, ERR_BUG);
		request.signer = key_signer(second);
		assert_int_equal(smime_seal(&request, &sealed, &err), -1);
		assert_int_equal(err.kind, ERR_CONFIG);
		for (size_t i = 0; i < N_ELEMENTS(lens); i++) {
			request.signer = (struct signer){ sign_nonsense, &lens[i] };
			assert_int_equal(smime_seal(&request, &sealed, &err), -1);
			assert_int_equal(err.kind, ERR_BUG);
		}
		assert_null(sealed);
	}
	key_free(second);
	heap_free(message);
}

/* Facts that do not allow a seal, and facts of another message. */
static void
test_refuses(void **given)
{
	struct state *state = *given;
	struct slice message = heap_text(HEAD "\r\nHalo\r\n");
	struct slice other = heap_text(HEAD "\r\nHal\xf6\r\n");
	struct message_facts good;
	struct message_facts facts;
	struct err err = { 0 };
	struct sealed *sealed = NULL;
	struct slice chain[7];
	struct seal_request request = { .message = message, .facts = &facts, .cert = state->cert[1], .chain = chain, .n_chain = 1,
		.signer = key_signer(state->key[1]), .form = SEAL_CLEAR, .now = time(NULL) };

	for (size_t i = 0; i < N_ELEMENTS(chain); i++)
		chain[i] = state->chain;
	assert_int_equal(smime_inspect(message, &good, &err), 0);
	facts = good;
	facts.mime = MIME_AMBIGUOUS;
	assert_int_equal(smime_seal(&request, &sealed, &err), -1);
	facts = good;
	facts.outer = LAYER_SIGNED;
	assert_int_equal(smime_seal(&request, &sealed, &err), -1);
	facts = good;
	strcpy(facts.limit, "mime_parts");
	assert_int_equal(smime_seal(&request, &sealed, &err), -1);
	assert_int_equal(err.kind, ERR_BUG);
	facts = good;
	request.message = other;
	assert_int_equal(smime_seal(&request, &sealed, &err), -1);
	assert_int_equal(err.kind, ERR_BUG);
	request.message = message;
	request.form = SEAL_UNKNOWN;
	assert_int_equal(smime_seal(&request, &sealed, &err), -1);
	request.form = SEAL_CLEAR;
	request.n_chain = 6;
	assert_int_equal(smime_seal(&request, &sealed, &err), -1);
	assert_int_equal(err.kind, ERR_CONFIG);
	request.n_chain = 0;
	request.cert.len--;
	assert_int_equal(smime_seal(&request, &sealed, &err), -1);
	assert_int_equal(err.kind, ERR_CONFIG);
	request.cert = state->cert[1];
	assert_int_equal(smime_seal(&request, &sealed, &err), 0);
	seal_free(sealed);
	heap_free(message);
	heap_free(other);
}

/* A pinned boundary makes the same bytes twice (RSA is deterministic), and is refused where it occurs. */
static void
test_pinned_boundary(void **given)
{
	static const unsigned char seed[16] = { 1, 2, 3 };
	struct state *state = *given;
	struct slice texts[] = { heap_text(HEAD "\r\nHalo\r\n"), heap_text(HEAD "\r\n--=_01020300000000000000000000000000\r\n") };
	struct message_facts facts;
	struct err err = { 0 };
	struct sealed *first = NULL;
	struct sealed *again = NULL;
	struct slice one, two;
	struct seal_request request = { .message = texts[0], .facts = &facts, .cert = state->cert[0], .signer = key_signer(state->key[0]),
		.form = SEAL_CLEAR, .now = 1795219200, .boundary_seed = seed };

	assert_int_equal(smime_inspect(texts[0], &facts, &err), 0);
	assert_int_equal(smime_seal(&request, &first, &err), 0);
	assert_int_equal(smime_seal(&request, &again, &err), 0);
	one = join(first);
	two = join(again);
	assert_true(slice_equal(one, two));
	assert_non_null(strstr(first->content_type, "boundary=\"=_01020300000000000000000000000000\""));
	assert_int_equal(smime_inspect(texts[1], &facts, &err), 0);
	request.message = texts[1];
	assert_int_equal(smime_seal(&request, &again, &err), -1);
	heap_free(one);
	heap_free(two);
	seal_free(first);
	seal_free(again);
	heap_free(texts[0]);
	heap_free(texts[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judges),
		cmocka_unit_test(test_clean_body_is_borrowed),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_prepared),
		cmocka_unit_test(test_wrong_signers),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_pinned_boundary),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
