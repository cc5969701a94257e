/* Folding changes nothing but where lines end, and leaves none that is too long. */
#include "smime/fold.h"

#include "tests/smime/world.h"

enum { X = 0x10000 }; /* in `parts`: so many letters; without it, so many blanks */

static const struct {
	const char *name;
	unsigned parts[8]; /* behind "Subject: "; 0 ends; LF stands for a fold that is there */
	bool want_due, want_folded;
	size_t want_lines;
} rows[] = {
	{ "short", { X + 10 }, false, true, 1 },
	{ "998 without a blank", { X + 989 }, false, true, 1 },
	{ "999 without a blank", { X + 990 }, true, false, 0 },
	{ "999 with its only blank behind the colon", { 1, X + 989 }, true, false, 0 },
	{ "999 with a blank", { X + 500, 1, X + 489 }, true, true, 2 },
	{ "a word of 997 behind a word", { X + 5, 1, X + 997 }, true, true, 2 },
	{ "a word of 998 behind a word", { X + 5, 1, X + 998 }, true, false, 0 },
	{ "a word before 998 bytes end", { X + 989, 1, X + 5 }, true, true, 2 },
	{ "a word behind that", { X + 990, 1, X + 5 }, true, false, 0 },
	{ "many blanks", { X + 500, 600, X + 5 }, true, true, 2 },
	{ "too many blanks", { X + 500, 1000, X + 5 }, true, false, 0 },
	{ "only blanks behind it", { X + 500, 600 }, true, false, 0 },
	{ "three lines", { X + 800, 1, X + 800, 2, X + 800 }, true, true, 3 },
};

static char *
build(const unsigned *parts)
{
	AUTO_BUF struct buf text = { 0 };

	buf_init(&text, 16 * 1024);
	buf_add_text(&text, "Subject: ");
	for (size_t i = 0; i < 8 && parts[i]; i++)
		for (unsigned n = 0; n < (parts[i] & (X - 1)); n++)
			buf_add_text(&text, parts[i] & X ? "x" : " ");
	buf_add_text(&text, "\r\n\r\n");
	return xstrdup(buf_text(&text));
}

/* Lines none of which is too long or blank, that are the value again without their ends; how many. */
static size_t
check_folded(const struct field *field, struct slice folded)
{
	AUTO_BUF struct buf again = { 0 };
	size_t lines = 1, len = field->name.len + 1;
	bool word = false;

	buf_init(&again, 16 * 1024);
	for (size_t i = 0; i <= folded.len; i++) {
		const bool end = i == folded.len || folded.at[i] == '\n';

		if (end)
			assert_true(len <= LIMIT_FIELD_LINE_BYTES && word);
		if (i == folded.len)
			break;
		if (end) {
			lines++;
			assert_true(folded.at[i + 1] == ' ');
			len = 0;
			word = false;
			continue;
		}
		len++;
		word = word || folded.at[i] != ' ';
		buf_add(&again, folded.at + i, 1);
	}
	assert_true(slice_equal(buf_slice(&again), field->value));
	return lines;
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO(xfree) char *text = build(rows[i].parts);
		AUTO_HEAD struct head head = { 0 };
		AUTO_BUF struct buf folded = { 0 };
		bool done;

		head_scan(slice_of(text), &head);
		assert_int_equal(head.n_fields, 1);
		buf_init(&folded, 16 * 1024);
		if (fold_is_due(&head.fields[0]) != rows[i].want_due)
			fail_msg("%s: due or not", rows[i].name);
		done = fold_value(&head.fields[0], &folded);
		if (done != rows[i].want_folded)
			fail_msg("%s: folded %d", rows[i].name, done);
		if (done && check_folded(&head.fields[0], buf_slice(&folded)) != rows[i].want_lines)
			fail_msg("%s: not %zu lines", rows[i].name, rows[i].want_lines);
	}
}

/* Folds that are there stay where they are. */
static void
test_folds_stay(void **state)
{
	static const char text[] = "To: a@b.example,\r\n\tc@d.example,\r\n e@f.example\r\n\r\n";
	AUTO_HEAD struct head head = { 0 };
	AUTO_BUF struct buf folded = { 0 };

	(void)state;
	head_scan(slice_of(text), &head);
	buf_init(&folded, 1024);
	assert_false(fold_is_due(&head.fields[0]));
	assert_true(fold_value(&head.fields[0], &folded));
	assert_string_equal(buf_text(&folded), " a@b.example,\n\tc@d.example,\n e@f.example");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_folds_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
