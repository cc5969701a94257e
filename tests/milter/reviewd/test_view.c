/* The text of a held message: what hides is shown, what is foreign cannot pass for ours, and it ends in time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "milter/reviewd/view.h"
#include "smime/limits.h"
#include "smime/text.h"

#define HEAD "From: budi@kota.example\r\nSubject: Surat\r\n"

static const struct {
	const char *name, *message, *want, *not;
} rows[] = {
	{ "plain text", HEAD "\r\nIsi surat.\r\n", "| Isi surat.\n", "\r" },
	{ "encoded subject", "Subject: =?utf-8?Q?Ren=C3=A9?=\r\n\r\nx\r\n", "Subject: Ren\303\251\n", "=?" },
	{ "line feed in an encoded subject", "Subject: =?utf-8?Q?a=0AFrom:_b?=\r\n\r\nx\r\n", "Subject: a\\u{000A}From: b\n", "\nFrom:" },
	{ "direction mark in a subject", "Subject: =?utf-8?B?4oCu?=exe\r\n\r\nx\r\n", "\\u{202E}", "\342\200\256" },
	{ "folded field", "Subject: a\r\n b\r\n\r\nx\r\n", "Subject: a b\n", NULL },
	{ "direction mark in the text", HEAD "\r\na\342\200\256b\r\n", "| a\\u{202E}b\n", "\342\200\256" },
	{ "zero width", HEAD "\r\npay\342\200\213pal\r\n", "pay\\u{200B}pal", "\342\200\213" },
	{ "escape sequence", HEAD "\r\n\033[2J\r\n", "| \\u{001B}[2J\n", "\033" },
	{ "C1 control", HEAD "\r\n\302\233m\r\n", "\\u{009B}m", "\302\233" },

	{ "lone CR", HEAD "\r\ngood\rbad\r\n", "good\\u{000D}bad", "\r" },
	{ "invalid UTF-8", HEAD "\r\n\377\376\r\n", "\\xFF\\xFE", "\377" },
	{ "over-long UTF-8", HEAD "\r\n\300\257\r\n", "\\xC0\\xAF", "\300" },
	{ "surrogate", HEAD "\r\n\355\240\200\r\n", "\\xED\\xA0\\x80", "\355" },
	{ "letters of others stay", HEAD "\r\n\330\247\331\204\r\n", "| \330\247\331\204\n", NULL },
	{ "a line like one of ours", HEAD "\r\n[part 2] text/plain\r\n", "| [part 2] text/plain", "\n[part 2] text/plain" },
	{ "quoted-printable", HEAD "Content-Transfer-Encoding: quoted-printable\r\n\r\na=3Db\r\n", "| a=b\n", NULL },
	{ "broken base64", HEAD "Content-Transfer-Encoding: base64\r\n\r\n!!!!\r\n", "as sent", NULL },
	{ "latin-1", HEAD "Content-Type: text/plain; charset=iso-8859-1\r\n\r\ncaf\351\r\n", "caf\303\251", "\\xE9" },
	{ "latin-1 without its name", HEAD "\r\ncaf\351\r\n", "caf\\xE9", NULL },
	{ "direction mark in UTF-16", HEAD "Content-Type: text/plain; charset=utf-16be\r\nContent-Transfer-Encoding: base64\r\n\r\nIC4AYQ==\r\n",
	  "\\u{202E}a", "\342\200\256" },
	{ "unknown charset", HEAD "Content-Type: text/plain; charset=x-none\r\n\r\nabc\r\n", "[charset \"x-none\" is not known here", NULL },
	{ "charset with an instruction", HEAD "Content-Type: text/plain; charset=\"latin1//TRANSLIT\"\r\n\r\nabc\r\n", "is not known here", NULL },
	{ "HTML is source", HEAD "Content-Type: text/html\r\n\r\n<img src=http://x/>\r\n", "[HTML, as its source:]\n| <img src=http://x/>", NULL },
	{ "attachment by name only", HEAD "Content-Type: application/pdf; name=\"a.pdf\"\r\n\r\n%PDF-SECRET\r\n", "name \"a.pdf\"", "%PDF-SECRET" },
	{ "hostile file name", HEAD "Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename*=utf-8''a%E2%80%AEfdp.exe\r\n\r\nx\r\n",
	  "filename \"a\\u{202E}fdp.exe\"", "\342\200\256" },
	{ "hash", HEAD "Content-Type: application/x-a\r\n\r\nabc", "3 bytes, SHA-256 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", NULL },
	{ "parts", HEAD "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\nContent-Type: text/plain\r\n\r\ntwo\r\n--b--\r\n",
	  "[part 3] text/plain, 3 bytes", NULL },
	{ "message inside", HEAD "Content-Type: message/rfc822\r\n\r\nFrom: x@y.example\r\n\r\ninner\r\n", "[header of the message inside:]\nFrom: x@y.example\n", NULL },
	{ "ambiguous", HEAD "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx\r\n", "two mail programs may see two messages", NULL },
	{ "empty", "", "[part 1] text/plain (it does not say), 0 bytes", NULL },
	{ "only a body", "\r\nx", "| x\n", NULL },
};

/* Exactly sized, for the sanitizer. */
static void
view(const char *bytes, size_t len, size_t cap, struct buf *ret)
{
	unsigned char *copy = xcalloc(len ? len : 1, 1);

	memcpy(copy, bytes, len);
	buf_init(ret, cap);
	view_message((struct slice){ copy, len }, ret);
	free(copy);
}

static void
each_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO_BUF struct buf text = { 0 };

		view(rows[i].message, strlen(rows[i].message), 64 * 1024, &text);
		if (!strstr(buf_text(&text), rows[i].want) || (rows[i].not && strstr(buf_text(&text), rows[i].not)))
			fail_msg("%s:\n%s", rows[i].name, buf_text(&text));
	}
}

static void
at_every_cap(void **state)
{
	static const char message[] = HEAD "Content-Type: text/plain; charset=utf-8\r\n\r\n\342\202\254\342\202\254 \342\200\256 text\r\n";
	size_t whole;

	(void)state;
	{
		AUTO_BUF struct buf text = { 0 };

		view(message, sizeof(message) - 1, 64 * 1024, &text);
		whole = text.len;
		assert_null(strstr(buf_text(&text), "cut here"));
	}
	for (size_t cap = 0; cap < whole + 100; cap++) {
		AUTO_BUF struct buf text = { 0 };

		view(message, sizeof(message) - 1, cap, &text);
		assert_true(text.len <= cap);
		assert_false(buf_full(&text));
		assert_true(text.len == whole || cap < 80 || strstr(buf_text(&text), "[cut here: no more than ") != NULL);
	}
}

/* Many deep and many small parts, and one long line: the time stays short and the limit is named. */
static void
large_and_deep(void **state)
{
	AUTO_BUF struct buf message = { 0 };
	AUTO_BUF struct buf text = { 0 };

	(void)state;
	buf_init(&message, LIMIT_MESSAGE_BYTES);
	buf_add_text(&message, "Content-Type: multipart/mixed; boundary=b0\r\n\r\n");
	for (int i = 0; i < 1000; i++)
		buf_printf(&message, "--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n", i, i + 1);
	view((const char *)message.at, message.len, 32 * 1024, &text);
	assert_non_null(strstr(buf_text(&text), "goes beyond a limit"));
	assert_non_null(strstr(buf_text(&text), "cut here"));
}

static void
charsets(void **state)
{
	AUTO(text_charsets_free) struct text_charsets *open = text_prepare();
	AUTO_BUF struct buf text = { 0 };

	(void)state;
	assert_non_null(open);
	buf_init(&text, 100);
	assert_true(text_decode(slice_of("a\302"), "utf-8", &text)); /* broken off */
	assert_string_equal(buf_text(&text), "a\\xC2");
	assert_false(text_decode(slice_of("a"), "", &text));
	assert_false(text_decode(slice_of("a"), "../../../tmp/x", &text));
	assert_string_equal(buf_text(&text), "a\\xC2");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row),
		cmocka_unit_test(at_every_cap),
		cmocka_unit_test(large_and_deep),
		cmocka_unit_test(charsets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
