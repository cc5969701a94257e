/* What a line has: every byte at every place of lines of every length, and beside each its neighbours that are nothing. */
#include "tests/smime/world.h"

#include "smime/part.h"

static void
every_byte_in_every_place(void **state)
{
	enum { MOST = 40 };

	(void)state;
	for (size_t len = 1; len <= MOST; len++) {
		for (size_t at = 0; at < len; at++) {
			for (unsigned byte = 0; byte < 256; byte++) {
				unsigned char text[MOST];
				struct slice line;
				unsigned want = byte == 0 ? LINE_NUL : byte == '\r' ? LINE_BARE_CR : byte >= 0x80 ? LINE_8BIT : 0;

				if (byte == '\n')
					continue; /* ends a line */
				memset(text, at % 2 ? 'a' : 0x7f, len);
				text[at] = (unsigned char)byte;
				line = heap_slice(text, len);
				if (line_flags(line) != want)
					fail_msg("byte %u at %zu of %zu: %u, wanted %u", byte, at, len, line_flags(line), want);
				heap_free(line);
			}
		}
	}
}

static void
line_ends(void **state)
{
	static const struct {
		const char *text;
		unsigned want;
	} rows[] = {
		{ "12345678\r\n", 0 },
		{ "12345678\n", LINE_BARE_LF },
		{ "12345678\r\r\n", LINE_BARE_CR },
		{ "12345678\r", LINE_BARE_CR },
		{ "1234567\r\n", 0 },
		{ "1234567\r8\r\n", LINE_BARE_CR },
		{ "From 345678\r\n", LINE_FROM },
		{ "from 345678\r\n", 0 },
		{ "From:345678\r\n", 0 },
		{ "\r\n", 0 },
		{ "\n", LINE_BARE_LF },
		{ "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct slice line = heap_text(rows[i].text);

		if (line_flags(line) != rows[i].want)
			fail_msg("row %zu: %u, wanted %u", i, line_flags(line), rows[i].want);
		heap_free(line);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_in_every_place),
		cmocka_unit_test(line_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
