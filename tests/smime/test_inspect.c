/*
 * Bytes to facts: what is clear, what two readers may read differently, what is over a limit.
 * Rows that are ambiguous differ from a clear one by one thing.
 */
#include "tests/smime/world.h"

#include <time.h>

#include "smime/inspect.h"

#define FROM "From: budi@kota.example\r\n"
#define MIXED FROM "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
#define ALT "Content-Type: multipart/alternative; boundary=i\r\n\r\n"

struct row {
	const char *name;
	const char *text;
	const char *want_why; /* NULL = MIME_CLEAR */
	enum layer want_outer;
	size_t want_parts;
};

static const struct row rows[] = {
	{ "plain", FROM "\r\nhi\r\n", NULL, LAYER_NONE, 1 },
	{ "no body", FROM, NULL, LAYER_NONE, 1 },
	{ "mixed", MIXED "--b\r\n\r\nhi\r\n--b--\r\n", NULL, LAYER_NONE, 2 },
	{ "mixed, no final line end", MIXED "--b\r\n\r\nhi\r\n--b--", NULL, LAYER_NONE, 2 },
	{ "part with head only", MIXED "--b\r\nContent-Type: text/html\r\n--b--\r\n", NULL, LAYER_NONE, 2 },
	{ "empty part", MIXED "--b\r\n\r\n--b--\r\n", NULL, LAYER_NONE, 2 },
	{ "boundary with padding", MIXED "--b \t\r\n\r\nhi\r\n--b-- \r\n", NULL, LAYER_NONE, 2 },
	{ "alternative in mixed", MIXED "--b\r\n" ALT "--i\r\n\r\na\r\n--i\r\n\r\nb\r\n--i--\r\n--b\r\n\r\nc\r\n--b--\r\n", NULL, LAYER_NONE, 5 },
	{ "quoted boundary", FROM "Content-Type: multipart/mixed; boundary=\"b b'()+_,-./:=?\"\r\n\r\n--b b'()+_,-./:=?\r\n\r\nhi\r\n--b b'()+_,-./:=?--\r\n",
	    NULL, LAYER_NONE, 2 },
	{ "digest", FROM "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nFrom: x@y\r\n\r\nhi\r\n--b--\r\n", NULL, LAYER_NONE, 3 },
	{ "nested message", MIXED "--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: x@y\r\n" ALT "--i\r\n\r\na\r\n--i--\r\n--b--\r\n", NULL, LAYER_NONE, 4 },
	{ "trailing semicolon", FROM "Content-Type: text/plain; charset=utf-8;\r\n\r\nhi\r\n", NULL, LAYER_NONE, 1 },
	{ "unquoted name with blanks", FROM "Content-Type: application/pdf; name=a b.pdf\r\n\r\nhi\r\n", NULL, LAYER_NONE, 1 },
	{ "unquoted equals in boundary", FROM "Content-Type: multipart/mixed; boundary=--=_b\r\n\r\n----=_b\r\n\r\nhi\r\n----=_b--\r\n", NULL, LAYER_NONE, 2 },
	{ "dashes in text", MIXED "--b\r\n\r\n-- \r\n--x\r\nb\r\n -b\r\n--b--\r\n", NULL, LAYER_NONE, 2 },

	{ "A-label domain", "From: budi@xn--kta-sna.example\r\nSender: Budi <budi@xn--kta-sna.example>\r\n\r\nhi\r\n", NULL, LAYER_NONE, 1 },
	{ "U-label domain", "From: b\xc3\xbc""di@k\xc3\xb6ta.example\r\n\r\nhi\r\n", NULL, LAYER_NONE, 1 },
	{ "A-label that is none", "From: budi@xn--zzzzzz99999.example\r\n\r\nhi\r\n", NULL, LAYER_NONE, 1 },

	{ "signed", FROM "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; boundary=b\r\n\r\n"
	    "--b\r\n\r\nhi\r\n--b\r\nContent-Type: application/pkcs7-signature\r\n\r\nAA\r\n--b--\r\n", NULL, LAYER_SIGNED, 3 },
	{ "signed, protocol missing", FROM "Content-Type: multipart/signed; boundary=b\r\n\r\n"
	    "--b\r\n\r\nhi\r\n--b\r\nContent-Type: application/x-pkcs7-signature\r\n\r\nAA\r\n--b--\r\n", NULL, LAYER_SIGNED, 3 },
	{ "signed by nothing known", FROM "Content-Type: multipart/signed; protocol=\"a/b\"; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\n\r\nx\r\n--b--\r\n",
	    NULL, LAYER_OTHER, 3 },
	{ "PGP signed", FROM "Content-Type: multipart/signed; protocol=\"application/PGP-signature\"; boundary=b\r\n\r\n"
	    "--b\r\n\r\nhi\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nAA\r\n--b--\r\n", NULL, LAYER_SIGNED, 3 },
	{ "opaque signed", FROM "Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n\r\nAA\r\n", NULL, LAYER_SIGNED, 1 },
	{ "encrypted", FROM "Content-Type: application/x-pkcs7-mime; smime-type=Enveloped-Data\r\n\r\nAA\r\n", NULL, LAYER_ENCRYPTED, 1 },
	{ "encrypted, GCM", FROM "Content-Type: application/pkcs7-mime; smime-type=authEnveloped-data\r\n\r\nAA\r\n", NULL, LAYER_ENCRYPTED, 1 },
	{ "PGP encrypted", FROM "Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b--\r\n", NULL, LAYER_ENCRYPTED, 2 },
	{ "certs only", FROM "Content-Type: application/pkcs7-mime; smime-type=certs-only\r\n\r\nAA\r\n", NULL, LAYER_OTHER, 1 },
	{ "no smime-type", FROM "Content-Type: application/pkcs7-mime; name=smime.p7m\r\n\r\nAA\r\n", NULL, LAYER_OTHER, 1 },
	{ "octet-stream named p7m", FROM "Content-Type: application/octet-stream; name=SMIME.P7M\r\n\r\nAA\r\n", NULL, LAYER_OTHER, 1 },

	{ "two Content-Type", FROM "Content-Type: text/plain\r\ncontent-type: text/html\r\n\r\nhi\r\n", "two Content-Type", LAYER_NONE, 0 },
	{ "two encodings", FROM "Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: 7bit\r\n\r\nhi\r\n", "two Content-Transfer", LAYER_NONE, 0 },
	{ "two MIME-Version", FROM "MIME-Version: 1.0\r\nMIME-Version: 1.0\r\n\r\nhi\r\n", "two MIME-Version", LAYER_NONE, 0 },
	{ "two Content-Type in a part", MIXED "--b\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n\r\nhi\r\n--b--\r\n", "two Content-Type", LAYER_NONE, 0 },
	{ "two Subjects", FROM "Subject: a\r\nSubject: b\r\n\r\nhi\r\n", "two Subject", LAYER_NONE, 0 },
	{ "two From", FROM FROM "\r\nhi\r\n", "two From", LAYER_NONE, 0 },
	{ "no closing boundary", MIXED "--b\r\n\r\nhi\r\n", "closing boundary", LAYER_NONE, 0 },
	{ "inner not closed", MIXED "--b\r\n" ALT "--i\r\n\r\na\r\n--b--\r\n", "closing boundary", LAYER_NONE, 0 },
	{ "boundary behind the end", MIXED "--b\r\n\r\nhi\r\n--b--\r\n--b\r\n\r\nho\r\n", "behind the closing", LAYER_NONE, 0 },
	{ "closed twice", MIXED "--b\r\n\r\nhi\r\n--b--\r\n--b--\r\n", "behind the closing", LAYER_NONE, 0 },
	{ "adjacent boundaries", MIXED "--b\r\n--b\r\n\r\nhi\r\n--b--\r\n", "without a line", LAYER_NONE, 0 },
	{ "begins like a boundary", MIXED "--b\r\n\r\n--bc\r\n--b--\r\n", "begins like", LAYER_NONE, 0 },
	{ "closing and more", MIXED "--b\r\n\r\nhi\r\n--b--x\r\n--b--\r\n", "begins like", LAYER_NONE, 0 },
	{ "prefix boundary", MIXED "--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\nx\r\n--bb--\r\n--b--\r\n", "prefix", LAYER_NONE, 0 },
	{ "same boundary inside", MIXED "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n--b--\r\n", "prefix", LAYER_NONE, 0 },
	{ "no boundary parameter", FROM "Content-Type: multipart/mixed\r\n\r\nhi\r\n", "without boundary", LAYER_NONE, 0 },
	{ "two boundary parameters", FROM "Content-Type: multipart/mixed; boundary=b; boundary=c\r\n\r\n--b\r\n\r\n--b--\r\n", "two boundary", LAYER_NONE, 0 },
	{ "continued boundary", FROM "Content-Type: multipart/mixed; boundary*0=b\r\n\r\n--b\r\n\r\n--b--\r\n", "2231", LAYER_NONE, 0 },
	{ "encoded boundary", FROM "Content-Type: multipart/mixed; boundary=b; boundary*=us-ascii''b\r\n\r\n--b\r\n\r\n--b--\r\n", "2231", LAYER_NONE, 0 },
	{ "comment in a multipart's type", FROM "Content-Type: multipart/mixed (x); boundary=b\r\n\r\n--b\r\n\r\n--b--\r\n", "cannot be read", LAYER_NONE, 0 },
	{ "quoted pair in boundary", FROM "Content-Type: multipart/mixed; boundary=\"\\b\"\r\n\r\n--b\r\n\r\n--b--\r\n", "quoted pair", LAYER_NONE, 0 },
	{ "boundary ends in a blank", FROM "Content-Type: multipart/mixed; boundary=\"b \"\r\n\r\n--b \r\n\r\n--b --\r\n", "ends in a blank", LAYER_NONE, 0 },
	{ "encoded multipart", FROM "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n--b\r\n\r\n--b--\r\n", "encoding of its own", LAYER_NONE, 0 },
	{ "encoded message", MIXED "--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nRnJvbTogeEB5DQoNCg==\r\n--b--\r\n", "encoding of its own", LAYER_NONE, 0 },
	{ "no slash", FROM "Content-Type: text\r\n\r\nhi\r\n", "type/subtype", LAYER_NONE, 0 },
	{ "hidden hp", FROM "Content-Type: text/plain; name=a b; hp=\"cipher\"\r\n\r\nhi\r\n", "cannot be read", LAYER_NONE, 0 },
	{ "line that is no field", FROM "not a field\r\n\r\nhi\r\n", "no field", LAYER_NONE, 0 },
	{ "mbox line", "From a@b Mon Jan 1\r\n" FROM "\r\nhi\r\n", "no field", LAYER_NONE, 0 },
	{ "blank before the colon", "From : a@b\r\n\r\nhi\r\n", "no field", LAYER_NONE, 0 },
	{ "fold first", " x\r\n" FROM "\r\nhi\r\n", "begins with a fold", LAYER_NONE, 0 },
	{ "fold of blanks", FROM "Subject: a\r\n \t\r\n\r\nhi\r\n", "nothing but blanks", LAYER_NONE, 0 },
	{ "bare CR in a field", FROM "Subject: a\rFrom: x@y\r\n\r\nhi\r\n", "bare CR", LAYER_NONE, 0 },
	{ "bare LF in the head", FROM "Subject: a\nX: y\r\n\r\nhi\r\n", "bare LF", LAYER_NONE, 0 },
	{ "head ends in a bare LF", FROM "\nhi\r\n", "bare LF", LAYER_NONE, 0 },
	{ "boundary behind a bare LF", MIXED "--b\r\n\r\nhi\n--b\r\n\r\nx\r\n--b--\r\n", "beside a bare LF", LAYER_NONE, 0 },
	{ "boundary before a bare LF", MIXED "--b\n\r\nhi\r\n--b--\r\n", "beside a bare LF", LAYER_NONE, 0 },
	{ "boundary behind a bare CR", MIXED "--b\r\n\r\nhi\r--b--\rx\r\n--b--\r\n", "bare CR", LAYER_NONE, 0 },
};

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		const struct row *row = &rows[i];
		struct slice message = heap_text(row->text);
		struct message_facts facts;
		struct err err = { 0 };

		assert_int_equal(smime_inspect(message, &facts, &err), 0);
		if (facts.limit[0])
			fail_msg("%s: limit %s", row->name, facts.limit);
		if (!row->want_why && (facts.mime != MIME_CLEAR || facts.outer != row->want_outer || facts.n_parts != row->want_parts))
			fail_msg("%s: %s (%s), layer %s, %zu parts", row->name, mime_state_name(facts.mime), facts.mime_why,
			    layer_name(facts.outer), facts.n_parts);
		if (row->want_why && (facts.mime != MIME_AMBIGUOUS || !strstr(facts.mime_why, row->want_why)))
			fail_msg("%s: %s (%s)", row->name, mime_state_name(facts.mime), facts.mime_why);
		heap_free(message);
	}
}

/* Every prefix of every row is read without a step too far (ASan watches). */
static void
test_prefixes(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		for (size_t len = 0; len <= strlen(rows[i].text); len++) {
			struct slice message = heap_slice(rows[i].text, len);
			struct message_facts facts;

			assert_int_equal(smime_inspect(message, &facts, NULL), 0);
			assert_true(facts.mime != MIME_UNKNOWN);
			heap_free(message);
		}
	}
}

static void
test_details(void **state)
{
	static const char text[] = FROM "Sender: x\r\nMessage-ID: <1 2%3\xff@x>\r\n\r\nhi\r\n";
	static const char nul[] = FROM "Subject: a\0b\r\n\r\nhi\r\n";
	struct slice message = heap_text(text);
	struct message_facts facts;

	(void)state;
	assert_int_equal(smime_inspect(message, &facts, NULL), 0);
	assert_string_equal(facts.from.address, "budi@kota.example");
	assert_int_equal(facts.sender.state, MAILBOX_AMBIGUOUS);
	assert_string_equal(facts.message_id, "<1%202%253%FF@x>");
	assert_int_equal(facts.size, message.len);
	assert_int_equal(facts.depth, 1);
	heap_free(message);
	message = heap_slice(nul, sizeof(nul) - 1);
	assert_int_equal(smime_inspect(message, &facts, NULL), 0);
	assert_int_equal(facts.mime, MIME_AMBIGUOUS);
	heap_free(message);
}

/* ---- limits: one below is clear, one above is named ---- */

static void
check_limit(const char *name, char *text, const char *want)
{
	struct slice message = heap_text(text);
	struct message_facts facts;

	assert_int_equal(smime_inspect(message, &facts, NULL), 0);
	if (strcmp(facts.limit, want) != 0 || (want[0] == '\0' && facts.mime != MIME_CLEAR))
		fail_msg("%s: limit '%s', want '%s' (%s)", name, facts.limit, want, facts.mime_why);
	heap_free(message);
	free(text);
}

static char *
fields(size_t n, const char *line)
{
	struct buf buf;

	buf_init(&buf, 16 * 1024 * 1024);
	buf_add_text(&buf, FROM);
	for (size_t i = 0; i < n; i++)
		buf_add_text(&buf, line);
	buf_add_text(&buf, "\r\nhi\r\n");
	return (char *)buf.at;
}

static char *
parts(size_t n)
{
	struct buf buf;

	buf_init(&buf, 16 * 1024 * 1024);
	buf_add_text(&buf, MIXED);
	for (size_t i = 0; i < n; i++)
		buf_add_text(&buf, "--b\r\n\r\nx\r\n");
	buf_add_text(&buf, "--b--\r\n");
	return (char *)buf.at;
}

/* Multiparts in one another, n deep, with boundaries of equal length. */
static char *
nested(size_t n)
{
	struct buf buf;

	buf_init(&buf, 16 * 1024 * 1024);
	buf_add_text(&buf, FROM);
	for (size_t i = 0; i < n; i++)
		buf_printf(&buf, "Content-Type: multipart/mixed; boundary=x%05zu\r\n\r\n--x%05zu\r\n", i, i);
	buf_add_text(&buf, "\r\nhi");
	while (n--)
		buf_printf(&buf, "\r\n--x%05zu--\r\n", n);
	return (char *)buf.at;
}

static char *
messages(size_t n)
{
	struct buf buf;

	buf_init(&buf, 16 * 1024 * 1024);
	for (size_t i = 0; i < n; i++)
		buf_add_text(&buf, FROM "Content-Type: message/rfc822\r\n\r\n");
	buf_add_text(&buf, FROM "\r\nhi\r\n");
	return (char *)buf.at;
}

static char *
boundary(size_t n)
{
	AUTO(xfree) char *b = repeat("b", n);

	return xasprintf(FROM "Content-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n\r\nx\r\n--%s--\r\n", b, b, b);
}

static char *
field(const char *name, const char *unit, size_t n)
{
	AUTO(xfree) char *value = repeat(unit, n);

	return xasprintf("%s%s:%s\r\n\r\nhi\r\n", strcmp(name, "From") == 0 ? "" : FROM, name, value);
}

static void
test_limits(void **state)
{
	AUTO(xfree) char *line = xasprintf("X:%01000d\r\n", 0);
	AUTO(xfree) char *text = repeat("p\r\n", 1023);
	char *from;

	(void)state;
	check_limit("499 more fields", fields(499, "X: y\r\n"), "");
	check_limit("500 more fields", fields(500, "X: y\r\n"), "header_fields");
	check_limit("header bytes", fields(260, line), "");
	check_limit("header bytes, over", fields(262, line), "header_bytes");
	check_limit("field bytes", field("Subject", "x", 16 * 1024 - 10), "");
	check_limit("field bytes, over", field("Subject", "x", 16 * 1024 - 9), "field_bytes");
	check_limit("marks", field("To", ":", 50), "");
	check_limit("marks, over", field("To", ":", 51), "address_marks");
	check_limit("parentheses, over", field("Cc", "(", 51), "address_marks");
	check_limit("marks in Subject", field("Subject", ":", 5000), "");
	check_limit("999 parts", parts(999), "");
	check_limit("1000 parts", parts(1000), "mime_parts");
	check_limit("300,000 parts", parts(300000), "mime_parts");
	check_limit("20 multiparts deep", nested(20), "");
	check_limit("21 multiparts deep", nested(21), "mime_depth");
	check_limit("10,000 multiparts deep", nested(10000), "mime_depth");
	check_limit("5 nested messages", messages(5), "");
	check_limit("6 nested messages", messages(6), "nested_messages");
	check_limit("boundary of 70", boundary(70), "");
	check_limit("boundary of 71", boundary(71), "boundary_bytes");
	check_limit("preamble", xasprintf(MIXED "%s\r\n--b\r\n\r\nx\r\n--b--\r\n", text + 1), "");
	check_limit("preamble, over", xasprintf(MIXED "%s\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n", text), "preamble_bytes");
	from = field("From", "n", 1024 - 6);
	check_limit("From", xasprintf("From:%.*s <a@b>\r\n\r\nhi\r\n", 1024 - 6, from + 5), "");
	check_limit("From, over", xasprintf("From:%.*sn <a@b>\r\n\r\nhi\r\n", 1024 - 6, from + 5), "from_bytes");
	free(from);
}

/* Nested groups overflow GMime's stack: none of these may reach it. */
static void
test_group_bombs(void **state)
{
	static const char *const fronts[] = {
		"", FROM "Content-Type: message/rfc822\r\n\r\n", FROM "Content-Type: message/global\r\n\r\n",
		FROM "Content-Type: message/news\r\n\r\n", FROM "Content-Type: message/rfc2822\r\n\r\n",
		FROM "Content-Type: Message/RFC822; x=\"\r\n y\"\r\n\r\n",
		MIXED "--b\r\nContent-Type: message/rfc822\r\n\r\n",
		FROM "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\n",
		FROM "Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\nContent-Description: x\r\n\r\n",
		FROM "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: x-none\r\n\r\n",
	};
	static const char *const names[] = { "From", "To", "Reply-To", "cc", "Bcc", "Sender" };
	AUTO(xfree) char *bomb = repeat("g:", 400000);

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(fronts); i++) {
		for (size_t n = 0; n < N_ELEMENTS(names); n++) {
			AUTO(xfree) char *text = xasprintf("%s%s: %s\r\n\r\nx\r\n--b--\r\n", fronts[i], names[n], bomb);
			AUTO(xfree) char *folded = xasprintf("%s%s: %.15000s\r\n\r\nx\r\n--b--\r\n", fronts[i], names[n], bomb);
			struct slice messages_[] = { heap_text(text), heap_text(folded) };

			for (size_t m = 0; m < 2; m++) {
				struct message_facts facts;

				assert_int_equal(smime_inspect(messages_[m], &facts, NULL), 0);
				if (facts.limit[0] == '\0' && facts.mime != MIME_AMBIGUOUS)
					fail_msg("front %zu, %s: the bomb was taken", i, names[n]);
				heap_free(messages_[m]);
			}
		}
	}
}

static double
seconds(char *text, size_t len)
{
	struct slice message = { (unsigned char *)text, len };
	struct message_facts facts;
	struct timespec from, to;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	assert_int_equal(smime_inspect(message, &facts, NULL), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	free(text);
	return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

/* Lines made to cost: time grows with the size, not with its square. */
static void
test_linear(void **state)
{
	static const struct {
		const char *name;
		const char *unit;
	} units[] = {
		{ "near boundaries", "--x0001\r\n" }, { "fuzzy boundaries", "--x00019z\r\n" }, { "empty lines", "\r\n" }, { "bare CR", "\r--x0001" },
		{ "dashes", "-" }, { "bare LF", "\n" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(units); i++) {
		double took[2];

		for (size_t n = 0; n < 2; n++) {
			size_t len = (size_t)1 << (n == 0 ? 19 : 22);
			AUTO(xfree) char *front = nested(19);
			AUTO(xfree) char *bulk = repeat(units[i].unit, len);
			char *text = xasprintf("%s%s", front, bulk);

			took[n] = seconds(text, strlen(text));
		}
		if (took[1] > 0.2 && took[1] > 8 * 6 * took[0])
			fail_msg("%s: %f s, then %f s for eight times as much", units[i].name, took[0], took[1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_details),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_group_bombs),
		cmocka_unit_test(test_linear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
