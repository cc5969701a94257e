/* From and Sender: one plain addr-spec, or ambiguous. */
#include "tests/smime/world.h"

#include "smime/address.h"

struct row {
	const char *name;
	const char *value; /* behind "From:" */
	const char *want;  /* the address; NULL = ambiguous */
	const char *why;   /* part of the reason */
};

static const struct row rows[] = {
	{ "bare", " budi@kota.example", "budi@kota.example", NULL },
	{ "bare, folded", "\r\n budi@kota.example", "budi@kota.example", NULL },
	{ "no blank", "budi@kota.example", "budi@kota.example", NULL },
	{ "angle", " <budi@kota.example>", "budi@kota.example", NULL },
	{ "phrase", " Budi Santoso <budi@kota.example>", "budi@kota.example", NULL },
	{ "phrase with dots", " Dr. H. Budi S.H. <budi@kota.example>", "budi@kota.example", NULL },
	{ "quoted name", " \"Santoso, Budi (Wali)\" <budi@kota.example>", "budi@kota.example", NULL },
	{ "quoted name with pair", " \"a \\\" b\" <budi@kota.example>", "budi@kota.example", NULL },
	{ "quoted name that is the address", " \"Budi@kota.example\" <budi@kota.example>", "budi@kota.example", NULL },
	{ "the address in single quotes", " \"'budi@kota.example'\" <budi@kota.example>", "budi@kota.example", NULL },
	{ "encoded name that is the address", " =?utf-8?b?YnVkaUBrb3RhLmV4YW1wbGU=?= <budi@kota.example>", "budi@kota.example", NULL },
	{ "quoted name with another address", " \"boss@kota.example\" <budi@kota.example>", NULL, "another address" },
	{ "quoted name with the address and more", " \"boss budi@kota.example\" <budi@kota.example>", NULL, "another address" },
	{ "encoded name with another address", " =?utf-8?q?boss=40kota=2Eexample?= <budi@kota.example>", NULL, "another address" },
	{ "the same in base64", " =?UTF-8?B?Ym9zc0Brb3RhLmV4YW1wbGU=?= <budi@kota.example>", NULL, "another address" },
	{ "encoded inside quotes", " \"=?utf-8?q?boss=40kota?=\" <budi@kota.example>", NULL, "another address" },
	{ "encoded in another character set", " =?iso-8859-1?q?boss=40kota_=E9?= <budi@kota.example>", NULL, "another address" },
	{ "wide at", " boss\xef\xbc\xa0kota.example <budi@kota.example>", NULL, "another address" },
	{ "encoded comma and titles", " =?utf-8?q?Budi_Santoso=2C_S=2EKom=2E?= <budi@kota.example>", "budi@kota.example", NULL },
	{ "encoded angle", " =?utf-8?q?boss_=3Cx=3E?= <budi@kota.example>", NULL, "angle bracket" },
	{ "encoded NUL", " =?utf-8?b?Ym9zcwA=?= <budi@kota.example>", NULL, "control character in the display" },
	{ "encoded line end", " =?utf-8?q?boss=0D=0A?= <budi@kota.example>", NULL, "control character in the display" },
	{ "encoded in UTF-16", " =?utf-16?b?AGIAbw==?= <budi@kota.example>", NULL, "cannot be checked" },
	{ "a word that only begins like one", " =?utf-8?q?Budi <budi@kota.example>", "budi@kota.example", NULL },
	{ "direction turned", " x\xe2\x80\xaey <budi@kota.example>", NULL, "direction-changing" },
	{ "direction turned, encoded", " =?utf-8?q?x=E2=80=AEy?= <budi@kota.example>", NULL, "direction-changing" },
	{ "zero width blank in name", " x\xe2\x80\x8by <budi@kota.example>", NULL, "invisible" },
	{ "joiner in name", " \xe0\xa4\x95\xe2\x80\x8d <budi@kota.example>", "budi@kota.example", NULL },
	{ "no-break blank behind the address", " budi@kota.example\xc2\xa0", NULL, "no plain" },
	{ "zero width blank in the address", " bu\xe2\x80\x8b" "di@kota.example", NULL, "no plain" },
	{ "wide at in the address", " budi\xef\xbc\xa0x@kota.example", NULL, "no plain" },
	{ "encoded word", " =?utf-8?q?K=C3=B6ta?= <budi@kota.example>", "budi@kota.example", NULL },
	{ "UTF-8 name", " K\xc3\xb6ta <budi@kota.example>", "budi@kota.example", NULL },
	{ "UTF-8 address", " <b\xc3\xbc" "di@k\xc3\xb6ta.example>", "b\xc3\xbc" "di@k\xc3\xb6ta.example", NULL },
	{ "host without dot", " root@localhost", "root@localhost", NULL },
	{ "plus and case", " Budi+x_y@Kota.Example", "Budi+x_y@Kota.Example", NULL },
	{ "two bare", " a@b.example, c@d.example", NULL, "more than one" },
	{ "two angles", " <a@b.example>, <c@d.example>", NULL, "more than one" },
	{ "two angles without comma", " <a@b.example> <c@d.example>", NULL, "behind the '>'" },
	{ "trailing comma", " a@b.example,", NULL, "more than one" },
	{ "unquoted comma in name", " Santoso, Budi <a@b.example>", NULL, "more than one" },
	{ "group", " kantor: a@b.example;", NULL, "group" },
	{ "empty group", " undisclosed:;", NULL, "group" },
	{ "comment behind", " a@b.example (Budi)", NULL, "comment" },
	{ "comment before", " (Budi) a@b.example", NULL, "comment" },
	{ "comment inside", " a@(x)b.example", NULL, "comment" },
	{ "comment in angle", " <a(x)@b.example>", NULL, "comment" },
	{ "route", " <@relay.example:a@b.example>", NULL, "group or a route" },
	{ "quoted local part", " \"a b\"@c.example", NULL, "quoted" },
	{ "quoted in angle", " <\"a\"@c.example>", NULL, "quoted" },
	{ "domain literal", " a@[192.0.2.1]", NULL, "literal" },
	{ "blank in angle", " < a@b.example>", NULL, "no plain" },
	{ "blank at the at", " a @b.example", NULL, "no plain" },
	{ "two at", " a@b@c.example", NULL, "no plain" },
	{ "at in phrase", " boss@x.example <a@b.example>", NULL, "unquoted display name" },
	{ "no at", " budi", NULL, "no plain" },
	{ "no local", " @b.example", NULL, "no plain" },
	{ "no domain", " a@", NULL, "no plain" },
	{ "dots", " a..b@c.example", NULL, "no plain" },
	{ "leading dot", " .a@c.example", NULL, "no plain" },
	{ "trailing dot", " a@c.example.", NULL, "no plain" },
	{ "hyphen end", " a@c-.example", NULL, "no plain" },
	{ "underscore in domain", " a@c_d.example", NULL, "no plain" },
	{ "encoded word as local part", " =?utf-8?q?boss?=@c.example", NULL, "no plain" },
	{ "open quote", " \"Budi <a@b.example>", NULL, "quote" },
	{ "open angle", " Budi <a@b.example", NULL, "not closed" },
	{ "stray angle", " a@b.example>", NULL, "without '<'" },
	{ "text behind", " <a@b.example> x", NULL, "behind" },
	{ "backslash", " a\\@b.example", NULL, "backslash" },
	{ "bare CR", " a@b.example\r", NULL, "control" },
	{ "bare LF", " Budi\n <a@b.example>", NULL, "control" },
	{ "DEL", " Bu\x7f" "di <a@b.example>", NULL, "control" },
	{ "bad UTF-8", " Bu\xff" "di <a@b.example>", NULL, "UTF-8" },
	{ "overlong UTF-8", " Bu\xc0\xaf <a@b.example>", NULL, "UTF-8" },
	{ "surrogate", " \xed\xa0\x80 <a@b.example>", NULL, "UTF-8" },
	{ "empty", "", NULL, "empty" },
	{ "blanks", "  \r\n ", NULL, "empty" },
};

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct slice value = heap_text(rows[i].value);
		struct mailbox_facts facts;

		mailbox_parse(value, &facts);
		if (rows[i].want && (facts.state != MAILBOX_ONE || strcmp(facts.address, rows[i].want) != 0))
			fail_msg("%s: '%s' %s", rows[i].name, facts.address, facts.why);
		if (!rows[i].want && (facts.state != MAILBOX_AMBIGUOUS || facts.address[0] || !strstr(facts.why, rows[i].why)))
			fail_msg("%s: '%s' %s", rows[i].name, facts.address, facts.why);
		heap_free(value);
	}
}

static void
test_nul_and_every_prefix(void **state)
{
	static const char text[] = " \"a \\\" b\" <bu\0di@kota.example>";
	static const char good[] = " \"a \\\" b\" K\xc3\xb6 =?x?= <b\xc3\xbc" "di@kota.example>";
	struct slice value = heap_slice(text, sizeof(text) - 1);
	struct mailbox_facts facts;

	(void)state;
	mailbox_parse(value, &facts);
	assert_int_equal(facts.state, MAILBOX_AMBIGUOUS);
	heap_free(value);
	for (size_t len = 0; len < sizeof(good); len++) {
		value = heap_slice(good, len);
		mailbox_parse(value, &facts);
		assert_int_equal(facts.state, len == sizeof(good) - 1 ? MAILBOX_ONE : MAILBOX_AMBIGUOUS);
		heap_free(value);
	}
}

/* One below and one above each length. */
static void
test_lengths(void **state)
{
	static const struct {
		size_t local, domain, name;
		bool want;
	} sizes[] = {
		{ 64, 20, 0, true }, { 65, 20, 0, false }, { 10, 255, 0, true }, { 10, 256, 0, false },
		{ 10, 20, 1024 - 34, true }, { 10, 20, 1024 - 33, false },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
		AUTO(xfree) char *local = repeat("a", sizes[i].local);
		AUTO(xfree) char *domain = repeat("b", sizes[i].domain);
		AUTO(xfree) char *name = repeat("n", sizes[i].name);
		AUTO(xfree) char *text = xasprintf("%s <%s@%s>", name, local, domain);
		struct slice value = heap_text(text);
		struct mailbox_facts facts;

		mailbox_parse(value, &facts);
		if ((facts.state == MAILBOX_ONE) != sizes[i].want)
			fail_msg("row %zu, %zu bytes: %s", i, value.len, facts.why);
		heap_free(value);
	}
}

static void
test_fields(void **state)
{
	struct slice none = heap_text("To: a@b\r\n\r\n");
	struct slice one = heap_text("fROM: a@b\r\n\r\nFrom: c@d\r\n");
	struct slice two = heap_text("From: a@b\r\nX: y\r\nFrom: a@b\r\n\r\n");
	struct slice *texts[] = { &none, &one, &two };
	static const enum mailbox_state wants[] = { MAILBOX_NONE, MAILBOX_ONE, MAILBOX_AMBIGUOUS };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
		AUTO_HEAD struct head head = { 0 };
		struct mailbox_facts facts;

		head_scan(*texts[i], &head);
		mailbox_read(&head, "From", &facts);
		assert_int_equal(facts.state, wants[i]);
		heap_free(*texts[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_nul_and_every_prefix),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
