/* Hashes of pieces, and fields as people read them: what is no UTF-8, and what does not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "smime/hash.h"
#include "smime/words.h"

static void
hash_of_pieces_is_hash_of_all(void **state)
{
	/* FIPS 180-4's example of two blocks. */
	static const char text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	static const unsigned char want[HASH_BYTES] = {
		0x24, 0x8d, 0x6a, 0x61, 0xd2, 0x06, 0x38, 0xb8, 0xe5, 0xc0, 0x26, 0x93, 0x0c, 0x3e, 0x60, 0x39,
		0xa3, 0x3c, 0xe4, 0x59, 0x64, 0xff, 0x21, 0x67, 0xf6, 0xec, 0xed, 0xd4, 0x19, 0xdb, 0x06, 0xc1,
	};
	struct hash *hash = hash_new();
	unsigned char whole[HASH_BYTES], pieces[HASH_BYTES];

	(void)state;
	hash_of(slice_of(text), whole);
	hash_add(hash, (struct slice){ (const unsigned char *)text, 5 });
	hash_add(hash, (struct slice){ NULL, 0 });
	hash_add(hash, slice_of(text + 5));
	hash_end(&hash, pieces);
	assert_null(hash);
	assert_memory_equal(whole, want, sizeof(want));
	assert_memory_equal(pieces, want, sizeof(want));
}

static void
words_are_decoded_and_bounded(void **state)
{
	static const struct {
		const char *value, *want;
		size_t room;
	} rows[] = {
		{ "Rapat", "Rapat", 64 },
		{ "=?utf-8?B?UsOpdW5pb24=?=", "R\xc3\xa9union", 64 },
		{ "=?utf-8?Q?R=C3=A9union?=\r\n =?utf-8?Q?_hari_ini?=", "R\xc3\xa9union hari ini", 64 },
		{ "=?utf-8?Q?R=C3=A9union?=", "R", 3 }, /* one octet of the letter would fit */
		{ "=?utf-8?Q?R=C3=A9union?=", "R\xc3\xa9", 4 },
		{ "", "", 1 },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		char got[64];

		words_decode(slice_of(rows[i].value), got, rows[i].room);
		assert_string_equal(got, rows[i].want);
	}
}

/* Whatever comes, what goes out is UTF-8 (RFC 3629): no lone, overlong or surrogate octets. */
static void
odd_octets_are_replaced(void **state)
{
	static const char *const odd[] = { "\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82" };

	(void)state;
	assert_true(words_are_utf8("") && words_are_utf8("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
	for (size_t i = 0; i < N_ELEMENTS(odd); i++) {
		char got[128];

		assert_false(words_are_utf8(odd[i]));

		words_decode(slice_of(odd[i]), got, sizeof(got));
		for (const char *at = got; *at; at++)
			if ((unsigned char)*at == 0xff || (unsigned char)*at == 0xc0 || (unsigned char)*at == 0xed || (unsigned char)*at == 0xf4)
				fail_msg("row %zu", i);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash_of_pieces_is_hash_of_all),
		cmocka_unit_test(words_are_decoded_and_bounded),
		cmocka_unit_test(odd_octets_are_replaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
