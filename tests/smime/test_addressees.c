/* Whom To and Cc name: all of them, groups too, and nobody else; what cannot be read in one way names nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smime/addressees.h"

static const struct {
	const char *name, *head, *want; /* with a blank between */
} rows[] = {
	{ "one", "To: budi@kota.example\r\n", "budi@kota.example" },
	{ "To and Cc", "To: a@x.example\r\nCc: b@x.example, C <c@x.example>\r\n", "a@x.example b@x.example c@x.example" },
	{ "in either case, folded", "tO: a@x.example,\r\n b@x.example\r\nCC:\r\n\tc@x.example\r\n", "a@x.example b@x.example c@x.example" },
	{ "several fields", "To: a@x.example\r\nTo: b@x.example\r\n", "a@x.example b@x.example" },
	{ "a group", "To: Kantor: a@x.example, b@x.example;, c@x.example\r\n", "a@x.example b@x.example c@x.example" },
	{ "an empty group", "To: undisclosed-recipients:;\r\n", "" },
	{ "a quoted name with an address", "To: \"evil@y.example, x\" <a@x.example>\r\n", "a@x.example" },
	{ "an encoded name with an address", "To: =?utf-8?Q?evil=40y.example=2C?= <a@x.example>\r\n", "a@x.example" },
	{ "a comment with an address", "To: a@x.example (b@x.example)\r\n", "a@x.example" },
	{ "internationalised", "To: budi@k\xc3\xb6ta.example\r\n", "budi@k\xc3\xb6ta.example" },
	{ "Bcc and others are not looked at", "Bcc: a@x.example\r\nResent-To: b@x.example\r\nX-To: c@x.example\r\nReply-To: d@x.example\r\n", "" },
	{ "a quoted local part", "To: \"a b\"@x.example, c@x.example\r\n", "c@x.example" },
	{ "a literal", "To: a@[192.0.2.1], c@x.example\r\n", "c@x.example" },
	{ "no address", "To: budi\r\n", "" },
	{ "nothing", "To:\r\n", "" },
	{ "no field", "Subject: a@x.example\r\n", "" },
};

static void
rows_name_whom_they_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		const size_t len = strlen(rows[i].head);
		AUTO(xfree) unsigned char *bytes = malloc(len + 2); /* exactly sized */
		AUTO_ADDRESSEES struct addressees got = { .n = 0 };
		AUTO_HEAD struct head head = { .n_fields = 0 };
		char text[512] = "";

		memcpy(bytes, rows[i].head, len);
		memcpy(bytes + len, "\r\n", 2);
		head_scan((struct slice){ bytes, len + 2 }, &head);
		addressees_read(&head, &got);
		for (size_t j = 0; j < got.n; j++)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", j ? " " : "", got.at[j]);
		if (strcmp(text, rows[i].want) != 0)
			fail_msg("%s: '%s'", rows[i].name, text);
	}
}

/* As many as a transaction may have twice over; the rest counts as hidden. */
static void
no_more_than_so_many(void **state)
{
	AUTO_ADDRESSEES struct addressees got = { .n = 0 };
	AUTO_HEAD struct head head = { .n_fields = 0 };
	AUTO_BUF struct buf text = { 0 };

	(void)state;
	buf_init(&text, LIMIT_HEADER_BYTES);
	for (int i = 0; i < LIMIT_ADDRESSEES + 10; i++)
		buf_printf(&text, "%sa%d@x.example", i % 400 ? ",\r\n " : i ? "\r\nTo: " : "To: ", i);
	buf_add_text(&text, "\r\n\r\n");
	assert_false(buf_full(&text));
	head_scan(buf_slice(&text), &head);
	addressees_read(&head, &got);
	assert_int_equal(got.n, LIMIT_ADDRESSEES);
	assert_string_equal(got.at[LIMIT_ADDRESSEES - 1], "a1999@x.example");
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(rows_name_whom_they_name), cmocka_unit_test(no_more_than_so_many) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
