/*
 * Every limit of limits.h: what is exactly at it passes, one more is named (or judged as its comment
 * in limits.h says). Where a limit holds for every entity, the attached message is tested as well.
 */
#include "tests/smime/world.h"

#include "milter/filter/message.h"
#include "policy/setting.h"
#include "smime/cert.h"
#include "smime/inspect.h"
#include "smime/issuers.h"

#define FROM "From: a@b.example\r\n"
#define ATTACHED FROM "Content-Type: message/rfc822\r\n\r\n"

static struct world world;

static void
begin(struct buf *text)
{
	buf_init(text, 2 * (size_t)LIMIT_MESSAGE_BYTES);
}

static void
add_many(struct buf *text, const char *unit, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_add_text(text, unit);
}

static void
add_run(struct buf *text, char c, size_t n)
{
	AUTO(xfree) char *run = xcalloc(n + 1, 1);

	memset(run, c, n);
	buf_add_text(text, run);
}

/* ---- messages that have `n` of what is limited ---- */

static void
header_fields(struct buf *text, size_t n)
{
	buf_add_text(text, FROM);
	add_many(text, "X: y\r\n", n - 1);
	buf_add_text(text, "\r\nhi\r\n");
}

/* Counted with the empty line behind them. */
static void
header_bytes(struct buf *text, size_t n)
{
	size_t from = text->len;

	buf_add_text(text, FROM);
	while (n - (text->len - from) > 2000) {
		buf_add_text(text, "X: ");
		add_run(text, 'y', 995);
		buf_add_text(text, "\r\n");
	}
	buf_add_text(text, "X: ");
	add_run(text, 'y', n - (text->len - from) - 4);
	buf_add_text(text, "\r\n\r\nhi\r\n");
}

static void
field_bytes(struct buf *text, size_t n)
{
	buf_add_text(text, FROM "X: ");
	add_run(text, 'y', n - 5);
	buf_add_text(text, "\r\n\r\nhi\r\n");
}

static void
from_bytes(struct buf *text, size_t n)
{
	static const char address[] = " <a@b.example>";

	buf_add_text(text, "From:");
	add_run(text, 'n', n - (sizeof(address) - 1));
	buf_printf(text, "%s\r\n\r\nhi\r\n", address);
}

static void
address_marks(struct buf *text, size_t n)
{
	buf_add_text(text, FROM "Cc: ");
	add_many(text, "g:;", n);
	buf_add_text(text, "\r\n\r\nhi\r\n");
}

static void
comment_marks(struct buf *text, size_t n)
{
	buf_add_text(text, FROM "To: x@y.example ");
	add_run(text, '(', n);
	add_run(text, ')', n);
	buf_add_text(text, "\r\n\r\nhi\r\n");
}

static void
mime_depth(struct buf *text, size_t n)
{
	buf_add_text(text, FROM);
	for (size_t i = 0; i < n; i++)
		buf_printf(text, "Content-Type: multipart/mixed; boundary=x%02zu\r\n\r\n--x%02zu\r\n", i, i);
	buf_add_text(text, "\r\nhi");
	while (n--)
		buf_printf(text, "\r\n--x%02zu--\r\n", n);
}

static void
mime_parts(struct buf *text, size_t n)
{
	buf_add_text(text, FROM "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	add_many(text, "--b\r\n\r\nx\r\n", n - 1);
	buf_add_text(text, "--b--\r\n");
}

static void
nested_messages(struct buf *text, size_t n)
{
	add_many(text, ATTACHED, n);
	buf_add_text(text, FROM "\r\nhi\r\n");
}

static void
boundary_bytes(struct buf *text, size_t n)
{
	AUTO(xfree) char *b = repeat("b", n);

	buf_printf(text, FROM "Content-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n\r\nx\r\n--%s--\r\n", b, b, b);
}

/* Counted with its line end. */
static void
preamble_bytes(struct buf *text, size_t n)
{
	buf_add_text(text, FROM "Content-Type: multipart/mixed; boundary=b\r\n\r\n");
	add_run(text, 'p', n - 2);
	buf_add_text(text, "\r\n--b\r\n\r\nx\r\n--b--\r\n");
}

static void
message_bytes(struct buf *text, size_t n)
{
	AUTO(xfree) char *line = repeat("x", 900);

	line[898] = '\r';
	line[899] = '\n';
	buf_add_text(text, FROM "\r\n");
	while (n - text->len > 2000)
		buf_add(text, line, 900);
	add_run(text, 'x', (n - text->len) / 2);
	buf_add_text(text, "\r\n");
	add_run(text, 'x', n - text->len);
}

static const struct {
	const char *name; /* in the facts */
	void (*build)(struct buf *text, size_t n);
	size_t limit;
	bool everywhere;  /* in an attached message too */
} rows[] = {
	{ "header_fields", header_fields, LIMIT_HEADER_FIELDS, true },
	{ "header_bytes", header_bytes, LIMIT_HEADER_BYTES, true },
	{ "field_bytes", field_bytes, LIMIT_FIELD_BYTES, true },
	{ "from_bytes", from_bytes, LIMIT_FROM_BYTES, false },
	{ "address_marks", address_marks, LIMIT_ADDRESS_MARKS, true },
	{ "address_marks", comment_marks, LIMIT_ADDRESS_MARKS, true },
	{ "mime_depth", mime_depth, LIMIT_MIME_DEPTH, true },
	{ "mime_parts", mime_parts, LIMIT_MIME_PARTS, false },
	{ "nested_messages", nested_messages, LIMIT_NESTED_MESSAGES, false },
	{ "boundary_bytes", boundary_bytes, LIMIT_BOUNDARY_BYTES, true },
	{ "preamble_bytes", preamble_bytes, LIMIT_PREAMBLE_BYTES, true },
	{ "message_bytes", message_bytes, LIMIT_MESSAGE_BYTES, false },
};

/* want "": facts are whole; else the limit is named, and nothing behind it is claimed to be known. */
static void
expect(const char *what, size_t n, const struct buf *text, const char *want)
{
	struct slice message = heap_slice(text->at, text->len);
	struct message_facts facts;

	assert_int_equal(smime_inspect(message, &facts, NULL), 0);
	if (strcmp(facts.limit, want) != 0)
		fail_msg("%s %zu: limit '%s', want '%s' (%s)", what, n, facts.limit, want, facts.mime_why);
	if (want[0] == '\0' && (facts.mime != MIME_CLEAR || facts.form == BODY_UNKNOWN || facts.material != MATERIAL_NONE))
		fail_msg("%s %zu: %s (%s)", what, n, mime_state_name(facts.mime), facts.mime_why);
	if (want[0] && (facts.mime != MIME_UNKNOWN || facts.form != BODY_UNKNOWN || facts.outer != LAYER_UNKNOWN
	        || facts.material != MATERIAL_UNKNOWN))
		fail_msg("%s %zu: more is said to be known than was looked at", what, n);
	heap_free(message);
}

static void
test_message_limits(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		for (size_t attached = 0; attached <= rows[i].everywhere; attached++) {
			for (size_t more = 0; more < 2; more++) {
				AUTO_BUF struct buf text = { 0 };

				begin(&text);
				if (attached)
					buf_add_text(&text, ATTACHED);
				rows[i].build(&text, rows[i].limit + more);
				expect(rows[i].name, rows[i].limit + more, &text, more ? rows[i].name : "");
			}
		}
	}
}

/* What is counted is what the builders count: their texts differ from the limit in nothing else. */
static void
test_builders(void **state)
{
	static const struct {
		void (*build)(struct buf *text, size_t n);
		const char *from, *to; /* the bytes between which are counted */
	} counted[] = {
		{ header_bytes, FROM, "hi\r\n" },
		{ field_bytes, "X: ", "\r\nhi\r\n" },
		{ preamble_bytes, "pppp", "--b\r\n" },
		{ from_bytes, "nnn", "\r\n" },
		{ message_bytes, FROM, "" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(counted); i++) {
		AUTO_BUF struct buf text = { 0 };
		const char *from, *to;

		begin(&text);
		counted[i].build(&text, 5000);
		from = strstr(buf_text(&text), counted[i].from);
		to = *counted[i].to ? strstr(from, counted[i].to) : from + strlen(from);
		assert_int_equal(to - from, 5000);
	}
}

/* ---- limits that are judged otherwise ---- */

static void
test_line_bytes(void **state)
{
	(void)state;
	for (size_t more = 0; more < 2; more++) {
		AUTO(xfree) char *line = repeat("x", LIMIT_LINE_BYTES + more);
		AUTO(xfree) char *text = xasprintf(FROM "\r\n%s\r\n", line);
		struct slice message = heap_text(text);
		struct message_facts facts;

		assert_int_equal(smime_inspect(message, &facts, NULL), 0);
		assert_int_equal(facts.form, more ? BODY_RECODE : BODY_CLEAN);
		heap_free(message);
	}
}

/* 64 + 1 + 255: each part has its own limit (RFC 5321 4.5.3.1). */
static void
test_address_bytes(void **state)
{
	static const struct {
		size_t local, domain;
		enum mailbox_state want;
	} addresses[] = {
		{ 64, 255, MAILBOX_ONE }, { 65, 254, MAILBOX_AMBIGUOUS }, { 64, 256, MAILBOX_AMBIGUOUS }, { 63, 256, MAILBOX_AMBIGUOUS },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(addresses); i++) {
		AUTO(xfree) char *local = repeat("l", addresses[i].local);
		AUTO(xfree) char *domain = repeat("d.", addresses[i].domain - 1);
		AUTO(xfree) char *address = xasprintf("%s@%sx", local, domain);
		AUTO(xfree) char *text = xasprintf("From: <%s>\r\n\r\nhi\r\n", address);
		struct slice message = heap_text(text);
		struct message_facts facts;

		assert_int_equal(smime_inspect(message, &facts, NULL), 0);
		if (facts.from.state != addresses[i].want)
			fail_msg("%zu@%zu: %s (%s)", addresses[i].local, addresses[i].domain, mailbox_state_name(facts.from.state), facts.from.why);
		assert_int_equal(facts.mime, MIME_CLEAR);
		if (addresses[i].want == MAILBOX_ONE)
			assert_string_equal(facts.from.address, address);
		heap_free(message);
	}
}

static void
test_envelope_sender(void **state)
{
	(void)state;
	for (size_t more = 0; more < 2; more++) {
		AUTO(xfree) char *address = repeat("s", LIMIT_ADDRESS_BYTES + more);
		AUTO(xfree) char *path = xasprintf("<%s>", address);
		struct message message = { .snapshot = NULL };

		message_set_sender(&message, path);
		assert_int_equal(message.envelope.sender_too_long, more);
		assert_int_equal(strlen(message.envelope.sender), LIMIT_ADDRESS_BYTES);
	}
}

/* Cut, never longer; what is cut off is not needed to find the message. */
static void
test_token_bytes(void **state)
{
	static const struct {
		const char *unit;
		size_t n;
		size_t want;
	} ids[] = {
		{ "i", LIMIT_TOKEN_BYTES - 2, LIMIT_TOKEN_BYTES - 2 }, { "i", LIMIT_TOKEN_BYTES - 1, LIMIT_TOKEN_BYTES - 2 },
		{ "i", 5000, LIMIT_TOKEN_BYTES - 2 }, { "\xff", 84, 252 }, { "\xff", 85, LIMIT_TOKEN_BYTES - 1 }, { "\xff", 86, LIMIT_TOKEN_BYTES - 1 },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(ids); i++) {
		AUTO(xfree) char *id = repeat(ids[i].unit, ids[i].n);
		AUTO(xfree) char *text = xasprintf(FROM "Message-ID: %s\r\n\r\nhi\r\n", id);
		struct slice message = heap_text(text);
		struct message_facts facts;

		assert_int_equal(smime_inspect(message, &facts, NULL), 0);
		assert_int_equal(strlen(facts.message_id), ids[i].want);
		heap_free(message);
	}
}

/* Settings may lower these two, not raise them. */
static void
test_settings(void **state)
{
	static const struct {
		const char *name;
		long most;
	} caps[] = {
		{ "limits.message_size", LIMIT_HANDED_IN_BYTES },
		{ "limits.recipients", LIMIT_RECIPIENTS },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(caps); i++) {
		const struct setting *setting = settings;

		while (setting->name && strcmp(setting->name, caps[i].name) != 0)
			setting++;
		assert_non_null(setting->name);
		assert_int_equal(setting->most, caps[i].most);
	}
}

/* ---- certificates, made by openssl ---- */

static size_t
make_certificate(size_t comment)
{
	AUTO(xfree) char *text = repeat("c", comment);
	AUTO(xfree) char *config = xasprintf("[req]\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\n[ext]\nnsComment=%s\n", text);
	struct slice der;

	write_file("conf", config, strlen(config));
	assert_int_equal(run("openssl req -x509 -config conf -new -key key.pem -subj /CN=x -set_serial 1 -days 9 -outform DER -out cert.der 2>log"), 0);
	der = read_file("cert.der");
	heap_free(der);
	return der.len;
}

static void
test_cert_bytes(void **state)
{
	size_t comment = 16000;
	size_t len;

	(void)state;
	assert_int_equal(run("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem 2>log"), 0);
	len = make_certificate(comment);
	for (size_t more = 0; more < 2; more++) {
		struct cert_facts facts;
		struct err err = { 0 };
		struct slice der;

		assert_int_equal(make_certificate(comment + LIMIT_CERT_BYTES - len + more), LIMIT_CERT_BYTES + more);
		der = read_file("cert.der");
		assert_int_equal(cert_inspect(der, &facts, &err), more ? -1 : 0);
		if (more)
			assert_non_null(strstr(err.text, "16385"));
		heap_free(der);
	}
}

static void
test_cert_addresses(void **state)
{
	(void)state;
	for (size_t more = 0; more < 2; more++) {
		AUTO_BUF struct buf names = { 0 };
		struct cert_facts facts;
		struct slice der;

		begin(&names);
		for (size_t i = 0; i < LIMIT_CERT_ADDRESSES + more; i++)
			buf_printf(&names, "%semail:a%zu@b.example", i ? "," : "", i);
		assert_int_equal(run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -subj /CN=x -days 9 "
		    "-addext 'subjectAltName=%s' -outform DER -out cert.der 2>log", buf_text(&names)), 0);
		der = read_file("cert.der");
		assert_int_equal(cert_inspect(der, &facts, NULL), 0);
		assert_int_equal(facts.n_addresses, LIMIT_CERT_ADDRESSES);
		assert_string_equal(facts.addresses[LIMIT_CERT_ADDRESSES - 1], "a19@b.example");
		heap_free(der);
	}
}

/* Above the leaf and below the root: as many as the limit, and then one more that is left out. */
static void
test_chain_certs(void **state)
{
	struct slice above[LIMIT_CHAIN_CERTS];

	(void)state;
	assert_int_equal(run("mkdir chain"), 0);
	mkpki(&world, "--out ca0 --ca --cn CA0 --from -1d --to +1d --key p256");
	for (int i = 1; i <= LIMIT_CHAIN_CERTS + 1; i++)
		mkpki(&world, "--out ca%d --ca-of ca%d --ca --cn CA%d --from -1d --to +1d --key p256", i, i - 1, i);
	assert_int_equal(run("cp ca?.crt chain"), 0);
	for (int n = LIMIT_CHAIN_CERTS - 1; n <= LIMIT_CHAIN_CERTS + 1; n++) {
		AUTO(issuers_free) struct issuers *issuers = NULL;
		AUTO_BUF struct buf der = { 0 };
		struct err err = { 0 };
		struct slice file;

		mkpki(&world, "--out leaf --ca-of ca%d --cn leaf --email a@b.example --from -1d --to +1d --key p256 --usage sign", n);
		file = read_file("leaf.crt");
		assert_int_equal(cert_read(file, &der, &err), 0);
		assert_int_equal(issuers_load("chain", &issuers, &err), 0);
		assert_int_equal(issuers_above(issuers, buf_slice(&der), above), n < LIMIT_CHAIN_CERTS ? n : LIMIT_CHAIN_CERTS);
		heap_free(file);
	}
}

static int
setup(void **state)
{
	(void)state;
	world_open(&world);
	return 0;
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
		cmocka_unit_test(test_message_limits),
		cmocka_unit_test(test_builders),
		cmocka_unit_test(test_line_bytes),
		cmocka_unit_test(test_address_bytes),
		cmocka_unit_test(test_envelope_sender),
		cmocka_unit_test(test_token_bytes),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_cert_bytes),
		cmocka_unit_test(test_cert_addresses),
		cmocka_unit_test(test_chain_certs),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
