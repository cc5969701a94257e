/* Every word that a record or an item may hold has its phrase, once; the digest's letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "milter/ctl/digest.h"
#include "milter/ctl/phrase.h"
#include "milter/quarantine/item.h"
#include "policy/identity.h"

AUTO_DEFINE(json_t, json_decref);

static const char *
name_of_state(unsigned value)
{
	return item_state_name((enum item_state)value);
}

static const char *
name_of_signature(unsigned value)
{
	return signature_state_name((enum signature_state)value);
}

static const char *
name_of_coverage(unsigned value)
{
	return coverage_name((enum coverage)value);
}

static const char *
name_of_chain(unsigned value)
{
	return chain_state_name((enum chain_state)value);
}

static const char *
name_of_revocation(unsigned value)
{
	return revocation_state_name((enum revocation_state)value);
}

static const char *
name_of_identity(unsigned value)
{
	return identity_name((enum identity)value);
}

static const char *
name_of_unusable(unsigned value)
{
	return unusable_name((enum unusable)value);
}

static const char *
name_of_action(unsigned value)
{
	return action_name((enum action)value);
}

static const struct vocabulary {
	const char *title;
	const struct phrase *phrases;
	const char *(*name)(unsigned value);
	unsigned first, n;
} vocabularies[] = {
	{ "item states", item_state_phrases, name_of_state, ITEM_UNKNOWN + 1, N_ITEM_STATES },
	{ "signatures", signature_phrases, name_of_signature, 0, SIGNATURE_UNSUPPORTED + 1 },
	{ "coverage", coverage_phrases, name_of_coverage, 0, COVERAGE_WHOLE + 1 },
	{ "chains", chain_phrases, name_of_chain, 0, CHAIN_LIMIT + 1 },
	{ "revocation", revocation_phrases, name_of_revocation, 0, REVOCATION_REVOKED + 1 },
	{ "identity", identity_phrases, name_of_identity, 0, IDENTITY_AMBIGUOUS + 1 },
	{ "registry", registry_phrases, name_of_unusable, UNUSABLE_UNKNOWN, UNUSABLE_CONFLICT + 1 },
	{ "actions", action_phrases, name_of_action, 0, ACTION_REJECT_HOLD + 1 },
};

static void
every_word_has_a_phrase(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(vocabularies); i++)
		for (unsigned value = vocabularies[i].first; value < vocabularies[i].n; value++) {
			const char *word = vocabularies[i].name(value);

			if (phrase_of(vocabularies[i].phrases, word) == word)
				fail_msg("%s: '%s' has no phrase", vocabularies[i].title, word);
		}
}

static void
no_word_twice(void **state)
{
	const struct phrase *const tables[] = { action_phrases, seal_phrases, decrypted_phrases, signature_phrases, coverage_phrases, chain_phrases, revocation_phrases,
		registry_phrases, identity_phrases, item_state_phrases, item_event_phrases };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(tables); i++)
		for (const struct phrase *one = tables[i]; one->word; one++)
			for (const struct phrase *other = one + 1; other->word; other++)
				assert_string_not_equal(one->word, other->word);
}

static void
the_first_word(void **state)
{
	(void)state;
	assert_string_equal(phrase_of_first(revocation_phrases, "revoked: since 2026"), phrase_of(revocation_phrases, "revoked"));
	assert_string_equal(phrase_of_first(signature_phrases, "bad, coverage whole"), phrase_of(signature_phrases, "bad"));
	assert_string_equal(phrase_of_first(chain_phrases, "not-yet"), phrase_of(chain_phrases, "not-yet"));
	assert_null(phrase_of_first(signature_phrases, "badly"));
	assert_null(phrase_of_first(signature_phrases, ""));
	assert_string_equal(phrase_of(signature_phrases, "new-in-version-9"), "new-in-version-9");
}

/* --- the digest --- */

enum { NOW = 1790000000 }; /* 2026-09-21T14:13:20Z */

static json_t *
row(const char *id, const char *reason, const char *state, const char *from, int64_t arrived, int64_t expires)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:b}", "id", id, "reason", reason, "state", state, "from", from, "sender",
	    "pengirim@mitra.example", "recipient", "siti@kota.example", "n_recipients", (json_int_t)1, "arrived", (json_int_t)arrived, "expires",
	    (json_int_t)expires, "asked_for", 0);
}

static void
write_digest(enum language language, const json_t *rows, int64_t total, struct buf *ret)
{
	char *to[] = { (char *)(uintptr_t)"tim@kota.example", (char *)(uintptr_t)"wati@kota.example" };
	const struct text_list list = { to, N_ELEMENTS(to) };
	const struct digest digest = { .language = language, .from = "karantina@kota.example", .to = &list, .id = "0123", .rows = rows, .total = total, .now = NOW };

	buf_init(ret, 1024 * 1024);
	digest_write(&digest, ret);
	assert_false(buf_full(ret));
	for (size_t i = 0; i < ret->len; i++)
		assert_true(ret->at[i] == '\n' || (ret->at[i] >= 0x20 && ret->at[i] < 0x7f));
}

static void
has(const struct buf *letter, const char *text)
{
	if (!strstr(buf_text(letter), text))
		fail_msg("no '%s' in:\n%s", text, buf_text(letter));
}

static void
lacks(const struct buf *letter, const char *text)
{
	if (strstr(buf_text(letter), text))
		fail_msg("'%s' in:\n%s", text, buf_text(letter));
}

static void
counts_and_lines(void **state)
{
	AUTO(json_decref) json_t *rows = json_array();
	AUTO_BUF struct buf letter = { 0 };

	(void)state;
	json_array_append_new(rows, row("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "SIG_INVALID", "menunggu persetujuan", "a@x.example", NOW - 5000, NOW + 9000000));
	json_array_append_new(rows, row("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "CERT_REVOKED", "baru", "b@x.example", NOW - 9000, NOW + DIGEST_SOON - 1));
	json_array_append_new(rows, row("cccccccccccccccccccccccccccccccc", "CERT_REVOKED", "baru", "c@x.example", NOW - 100, 0));
	json_array_append_new(rows, row("dddddddddddddddddddddddddddddddd", "CERT_REVOKED", "baru", "d@x.example", NOW - 100, NOW + DIGEST_SOON));
	write_digest(LANGUAGE_EN, rows, 4, &letter);
	has(&letter, "From: <karantina@kota.example>\nTo: <tim@kota.example>,\n <wati@kota.example>\nSubject: Mail quarantine: 4 waiting for a decision\n"
	    "Date: Mon, 21 Sep 2026 14:13:20 +0000\nMessage-ID: <segel.0123@kota.example>\n");
	has(&letter, "\nHeld and waiting for a decision: 4.\n");
	has(&letter, "since 2026-09-21T11:43:20Z.");
	has(&letter, "\nDeleted within 3 days (marked *): 1.\n");
	has(&letter, "\nWaiting for a second person: 1.\n");
	lacks(&letter, "Asked for by");
	has(&letter, "\n     3  CERT_REVOKED ");
	has(&letter, "\n     1  SIG_INVALID ");
	has(&letter, "\n* bbbbbbbbbbbb 2026-09-21T11:43:20Z CERT_REVOKED\n    b@x.example -> siti@kota.example\n");
	/* Deleted first is listed first; never is last. */
	assert_true(strstr(buf_text(&letter), "bbbbbbbbbbbb") < strstr(buf_text(&letter), "dddddddddddd"));
	assert_true(strstr(buf_text(&letter), "dddddddddddd") < strstr(buf_text(&letter), "  aaaaaaaaaaaa"));
	assert_true(strstr(buf_text(&letter), "  aaaaaaaaaaaa") < strstr(buf_text(&letter), "  cccccccccccc"));
}

static void
what_came_from_outside(void **state)
{
	AUTO(json_decref) json_t *rows = json_array();
	AUTO_BUF struct buf letter = { 0 };
	char from[300] = "\"a\nBcc: x@y.example\"\xc3\xa9\x1b[2J";

	(void)state;
	memset(from + strlen(from), 'x', 200);
	json_array_append_new(rows, row("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "NO_SUCH", "baru", from, NOW, 0));
	write_digest(LANGUAGE_EN, rows, 1, &letter);
	has(&letter, "    \"a\\x0ABcc: x@y.example\"\\xC3\\xA9\\x1B[2Jxxx");
	has(&letter, "x... -> siti@kota.example\n");
	lacks(&letter, "\nBcc:");
}

static void
more_than_fit(void **state)
{
	AUTO(json_decref) json_t *rows = json_array();
	AUTO_BUF struct buf letter = { 0 };
	size_t lines = 0;

	(void)state;
	for (int i = 0; i < DIGEST_LINES + 50; i++)
		json_array_append_new(rows, row("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "SIG_INVALID", "baru", "a@x.example", NOW, NOW + 9000000));
	write_digest(LANGUAGE_ID, rows, 30000, &letter);
	for (const char *at = buf_text(&letter); (at = strstr(at, " -> ")); at++)
		lines++;
	assert_int_equal(lines, DIGEST_LINES);
	has(&letter, "Subject: Karantina surat: 30000 menunggu keputusan\n");
	has(&letter, "\n... dan 29800 lagi.\n");
	has(&letter, "\n   250  SIG_INVALID ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_word_has_a_phrase), cmocka_unit_test(no_word_twice), cmocka_unit_test(the_first_word), cmocka_unit_test(counts_and_lines),
		cmocka_unit_test(what_came_from_outside), cmocka_unit_test(more_than_fit),
	};

	return cmocka_run_group_tests_name("phrases and digest", tests, NULL, NULL);
}
