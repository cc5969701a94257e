/*
 * Encryption: whom it refuses, and why; what it writes, as openssl asn1parse and cms see it; pieces of any size; a sink that fails.
 * Whether others can open it: test_encrypt_others.c.
 */
#include "tests/smime/office.h"

/* ---- whom ---- */

static const struct {
	const char *name, *options;
	enum encrypt_fit want;
} rows[] = {
	{ "RSA", "--usage encrypt", ENCRYPT_FIT },
	{ "RSA for both", "--usage both", ENCRYPT_FIT },
	{ "RSA without usage", "--usage none --eku none", ENCRYPT_FIT },
	{ "P-256", "--usage encrypt --key p256", ENCRYPT_FIT },
	{ "P-384", "--usage encrypt --key p384", ENCRYPT_FIT },
	{ "a CA", "--ca --usage none", ENCRYPT_UNFIT_CA },
	{ "RSA that signs only", "--usage sign", ENCRYPT_UNFIT_USAGE },
	{ "P-256 that signs only", "--usage sign --key p256", ENCRYPT_UNFIT_USAGE },
	{ "RSA that agrees only", "--usage agree", ENCRYPT_UNFIT_USAGE },
	{ "P-256 that enciphers only", "--usage encipher --key p256", ENCRYPT_UNFIT_USAGE },
	{ "for web servers", "--usage encrypt --eku server", ENCRYPT_UNFIT_USAGE },
	{ "for anything", "--usage encrypt --eku any", ENCRYPT_FIT },
	{ "RSA 1024", "--usage encrypt --key rsa1024", ENCRYPT_UNFIT_KEY },
	{ "P-521", "--usage encrypt --key p521", ENCRYPT_UNFIT_KEY },
	{ "Ed25519", "--usage encrypt --key ed25519", ENCRYPT_UNFIT_KEY },
	{ "SHA-1", "--usage encrypt --digest sha1", ENCRYPT_UNFIT_WEAK },
	{ "an odd address", "--usage encrypt --email ' a@b.example'", ENCRYPT_UNFIT_ADDRESS },
	{ "of yesterday", "--usage encrypt --from -9d --to -1d", ENCRYPT_UNFIT_TIME },
	{ "of tomorrow", "--usage encrypt --from +1d --to +9d", ENCRYPT_UNFIT_TIME },
};

static int
count(void *ctx, struct slice bytes, struct err *err)
{
	(void)err;
	*(size_t *)ctx += bytes.len;
	return 0;
}

static enum encrypt_fit
ask(struct slice first, struct slice second, size_t *unfit)
{
	AUTO(encrypt_free) struct encrypted *encrypted = NULL;
	const struct slice content = slice_of("Content-Type: text/plain\r\n\r\nHalo\r\n");
	const struct encrypt_recipient recipients[] = { { .cert = first, .padding = KEY_PADDING_V15 }, { .cert = second, .padding = KEY_PADDING_V15 } };
	const struct encrypt_request request = { .content = &content, .n_content = 1, .cipher = ENCRYPT_AES256_CBC, .recipients = recipients,
		.n_recipients = 2, .now = time(NULL) };
	struct err err = { .text = "" };
	size_t written = 0;
	const struct box_sink sink = { count, &written };

	if (encrypt_new(&request, &encrypted, &err) == -1)
		fail_msg("%s", err.text);
	*unfit = encrypted->unfit;
	if (encrypted->fit != ENCRYPT_FIT) {
		assert_int_equal(encrypt_write(encrypted, &sink, &err), -1);
		assert_int_equal(written, 0);
		assert_null(encrypted->content_type);
	}
	return encrypted->fit;
}

/* openssl encrypts to every one of them but those it cannot: that is why we look. */
static void
test_whom(void **given)
{
	struct office *office = *given;
	size_t unfit;

	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO_BUF struct buf cert = { 0 };
		bool dated = strstr(rows[i].options, "--from") != NULL;

		mkpki(&office->world, "--out row --ca-of ca --cn Baris %s %s", dated ? "" : "--from -1d --to +1y", rows[i].options);
		office_cert("row", &cert, NULL);
		if (ask(buf_slice(&office->cert[RSA]), buf_slice(&cert), &unfit) != rows[i].want)
			fail_msg("%s: %s", rows[i].name, encrypt_fit_name(ask(buf_slice(&office->cert[RSA]), buf_slice(&cert), &unfit)));
		assert_int_equal(unfit, rows[i].want == ENCRYPT_FIT ? 0 : 1);
	}
	assert_int_equal(ask(slice_of("no certificate"), buf_slice(&office->cert[RSA]), &unfit), ENCRYPT_UNFIT_UNREADABLE);
	assert_int_equal(unfit, 0);
	assert_int_equal(ask(buf_slice(&office->cert[RSA]), (struct slice){ 0 }, &unfit), ENCRYPT_UNFIT_UNREADABLE);
	assert_int_equal(unfit, 1);
}

static void
test_names(void **given)
{
	(void)given;
	for (int i = ENCRYPT_FIT_UNKNOWN; i <= ENCRYPT_UNFIT_TIME; i++) {
		for (int j = ENCRYPT_FIT_UNKNOWN; j < i; j++)
			assert_string_not_equal(encrypt_fit_name((enum encrypt_fit)i), encrypt_fit_name((enum encrypt_fit)j));
	}
	assert_int_equal(encrypt_fit_of(&(struct cert_facts){ 0 }, time(NULL)), ENCRYPT_UNFIT_KEY);
}

/* ---- misuse ---- */

static void
test_misuse(void **given)
{
	struct office *office = *given;
	const struct slice content = slice_of("Content-Type: text/plain\r\n\r\nHalo\r\n");
	struct encrypt_recipient recipient = { .cert = buf_slice(&office->cert[RSA]), .padding = KEY_PADDING_V15 };
	const struct encrypt_request good = { .content = &content, .n_content = 1, .cipher = ENCRYPT_AES256_CBC, .recipients = &recipient,
		.n_recipients = 1, .now = time(NULL) };
	struct encrypt_request request = good;
	struct encrypted *encrypted = NULL;
	struct err err = { .text = "" };

	request.cipher = ENCRYPT_CIPHER_UNKNOWN;
	assert_int_equal(encrypt_new(&request, &encrypted, &err), -1);
	assert_int_equal(err.kind, ERR_BUG);
	request = good;
	request.n_recipients = 0;
	assert_int_equal(encrypt_new(&request, &encrypted, &err), -1);
	request.n_recipients = LIMIT_CMS_RECIPIENTS + 1;
	assert_int_equal(encrypt_new(&request, &encrypted, &err), -1);
	/* A padding that nobody chose must not become v1.5. */
	recipient.padding = KEY_PADDING_UNKNOWN;
	assert_int_equal(encrypt_new(&good, &encrypted, &err), -1);
	assert_int_equal(err.kind, ERR_BUG);
	assert_null(encrypted);
}

/* A key stream is used once, and a failing sink ends it. */
static int
refuse(void *ctx, struct slice bytes, struct err *err)
{
	size_t *room = ctx;

	if (bytes.len > *room)
		return err_set(err, ERR_TEMP, "the sink is full");
	*room -= bytes.len;
	return 0;
}

static void
test_sink(void **given)
{
	struct office *office = *given;
	char *text = repeat("Halo dunia.\r\n", 300000);
	const struct slice content = slice_of(text);
	const struct encrypt_recipient recipient = { .cert = buf_slice(&office->cert[P256]) };
	const struct encrypt_request request = { .content = &content, .n_content = 1, .cipher = ENCRYPT_AES256_GCM, .recipients = &recipient,
		.n_recipients = 1, .now = time(NULL) };
	struct err err = { .text = "" };

	for (size_t room = 0; room < 7; room++) {
		AUTO(encrypt_free) struct encrypted *encrypted = NULL;
		size_t left = room * 100000, all = SIZE_MAX;
		const struct box_sink sink = { refuse, &left }, wide = { refuse, &all };
		const bool fits = left >= 500000;

		assert_int_equal(encrypt_new(&request, &encrypted, &err), 0);
		assert_int_equal(encrypt_write(encrypted, &sink, &err), fits ? 0 : -1);
		assert_int_equal(encrypt_write(encrypted, &wide, &err), -1);
		assert_int_equal(err.kind, ERR_BUG);
	}
	free(text);
}

/* ---- what is written ---- */

static size_t
base64_lines(const struct buf *body, size_t *longest)
{
	size_t n = 0, at = 0;

	*longest = 0;
	while (at < body->len) {
		const unsigned char *end = memmem(body->at + at, body->len - at, "\r\n", 2);

		assert_non_null(end);
		if ((size_t)(end - body->at) - at > *longest)
			*longest = (size_t)(end - body->at) - at;
		at = (size_t)(end - body->at) + 2;
		n++;
	}
	return n;
}

/* Contents of every length around a block and a line, cut into pieces of every size: the lengths foretold are those that come. */
static void
test_pieces(void **given)
{
	struct office *office = *given;
	char *text = repeat("0123456789ABCDEF", 70000);

	for (size_t len = 0; len < 70000; len = len < 130 ? len + 1 : len * 3 + 1) {
		for (int cipher = ENCRYPT_AES256_CBC; cipher <= ENCRYPT_AES256_GCM; cipher++) {
			AUTO(encrypt_free) struct encrypted *encrypted = NULL;
			AUTO_BUF struct buf body = { 0 };
			struct slice pieces[64] = { { 0 } };
			const size_t step = len / 60 + 1;
			size_t n = 0, longest;
			const struct encrypt_recipient recipient = { .cert = buf_slice(&office->cert[P256]) };
			struct encrypt_request request = { .content = pieces, .cipher = (enum encrypt_cipher)cipher, .recipients = &recipient,
				.n_recipients = 1, .now = time(NULL) };
			const struct box_sink sink = { office_take, &body };
			struct err err = { .text = "" };

			for (size_t at = 0; at < len; at += step)
				pieces[n++] = (struct slice){ (const unsigned char *)text + at, len - at < step ? len - at : step };
			request.n_content = n;
			buf_init(&body, LIMIT_MESSAGE_BYTES);
			assert_int_equal(encrypt_new(&request, &encrypted, &err), 0);
			assert_int_equal(encrypt_write(encrypted, &sink, &err), 0);
			assert_int_equal(body.len, encrypted->body_len);
			assert_int_equal(base64_lines(&body, &longest), (encrypted->der_len + 56) / 57);
			assert_true(longest == 76);
			if (len % 40 != 0)
				continue;
			write_file("body", body.at, body.len);
			write_file("want", text, len);
			assert_int_equal(run("tr -d '\\r' <body | openssl base64 -d >der && openssl cms -decrypt -binary -inform DER -in der -recip p256.crt "
			    "-inkey p256.key -out opened && cmp opened want"), 0);
		}
	}
	free(text);
}

/* Two encryptions of the same share nothing but the certificate: no key, nonce or ephemeral key comes twice. */
static void
test_fresh(void **given)
{
	static const struct wanted wanted = { ENCRYPT_AES256_GCM, KEY_PADDING_OAEP, false };
	static const enum kind to[] = { P256, P256, P384 };
	struct enveloped_facts *facts[2];
	struct buf ders[2] = { { 0 } };

	for (size_t i = 0; i < 2; i++) {
		office_encrypt(*given, &wanted, to, N_ELEMENTS(to), slice_of("Content-Type: text/plain\r\n\r\nHalo\r\n"), &ders[i]);
		facts[i] = xcalloc(1, sizeof(*facts[i]));
		enveloped_read(buf_slice(&ders[i]), facts[i]);
		assert_int_equal(facts[i]->state, ENVELOPED_PASSES);
		assert_false(slice_equal(facts[i]->recipients[0].agreement.point, facts[i]->recipients[1].agreement.point));
	}
	assert_false(slice_equal(facts[0]->iv, facts[1]->iv));
	assert_false(slice_equal(facts[0]->content, facts[1]->content));
	for (size_t i = 0; i < 2; i++) {
		for (size_t j = 0; j < N_ELEMENTS(to); j++)
			assert_false(slice_equal(facts[0]->recipients[i].agreement.point, facts[1]->recipients[j].agreement.point));
	}
	for (size_t i = 0; i < 2; i++) {
		free(facts[i]);
		buf_done(&ders[i]);
	}
}

/* Who shares an object sees the others: exactly those asked for are in it, as openssl counts them, too. */
static void
test_who_is_named(void **given)
{
	static const struct wanted wanted = { ENCRYPT_AES256_CBC, KEY_PADDING_V15, false };
	static const enum kind to[] = { P384, RSA };
	struct enveloped_facts *facts = xcalloc(1, sizeof(*facts));
	AUTO_BUF struct buf der = { 0 };

	office_encrypt(*given, &wanted, to, N_ELEMENTS(to), slice_of("Content-Type: text/plain\r\n\r\nHalo\r\n"), &der);
	write_file("der", der.at, der.len);
	assert_int_equal(run("test $(openssl cms -cmsout -print -noout -inform DER -in der | grep -c 'serialNumber:') = 2"), 0);
	enveloped_read(buf_slice(&der), facts);
	assert_int_equal(facts->n_recipients, 2);
	assert_int_equal(facts->recipients[0].kind, RECIPIENT_TRANSPORT);
	assert_int_equal(facts->recipients[1].kind, RECIPIENT_AGREEMENT);
	free(facts);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whom),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_sink),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_fresh),
		cmocka_unit_test(test_who_is_named),
	};

	return cmocka_run_group_tests(tests, office_open, office_close);
}
