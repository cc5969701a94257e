/* Every table is walked: each enum value once, names unique, round trips, no reachable pair without a cell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/check.h"
#include "policy/decide.h"
#include "policy/explain.h"
#include "policy/setting.h"

static void
reasons_are_whole(void **state)
{
	(void)state;
	for (int i = 0; i < N_REASONS; i++) {
		const struct reason_row *row = reason_row((enum reason)i);

		assert_int_equal(row->reason, i);
		assert_non_null(row->word);
		assert_int_equal(reason_from(row->word), i);
		assert_true(strlen(row->english) > 10 && strlen(row->indonesian) > 10 && strlen(row->hint) > 10);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(row->word, reason_row((enum reason)j)->word);
	}
	assert_int_equal(reason_row((enum reason)9999)->reason, REASON_UNKNOWN);
	assert_int_equal(reason_from("SIG_missing"), REASON_UNKNOWN);
}

static void
assert_reply_text(const char *text)
{
	for (; *text; text++)
		assert_true(*text >= 0x20 && *text <= 0x7e && *text != '%');
}

/* RFC 5321 4.2: ASCII; RFC 3463: class 5 with 5xx, class 4 with 451. */
static void
replies_are_well_formed(void **state)
{
	(void)state;
	for (int i = 0; i < N_REASONS; i++) {
		const struct reason_row *row = reason_row((enum reason)i);

		assert_reply_text(row->english);
		assert_reply_text(row->indonesian);
		assert_true(strlen(row->code) == 3 && row->code[0] == '5');
		assert_true(strncmp(row->status, "5.", 2) == 0 && strncmp(row->defer, "4.", 2) == 0);
		assert_string_equal(row->status + 1, row->defer + 1);
	}
}

static void
names_round_trip(void **state)
{
	enum action action;
	enum class class;

	(void)state;
	for (int i = 0; i < N_ACTIONS; i++) {
		assert_true(action_from(action_name((enum action)i), &action));
		assert_int_equal(action, i);
	}
	for (int i = CLASS_SUBMISSION; i < N_CLASSES; i++) {
		assert_true(class_from(class_name((enum class)i), &class));
		assert_int_equal(class, i);
	}
	assert_false(action_from("", &action));
	assert_false(action_from("Reject", &action));
	assert_false(class_from("unknown", &class));
	assert_string_equal(action_name((enum action)77), "defer");
}

static void
ranks_are_a_strict_order(void **state)
{
	static const enum action order[] = {
		ACTION_ACCEPT, ACTION_TAG, ACTION_DEFER, ACTION_HOLD, ACTION_REJECT, ACTION_REJECT_HOLD,
	};

	(void)state;
	for (size_t i = 1; i < N_ELEMENTS(order); i++)
		assert_true(action_rank(order[i - 1]) < action_rank(order[i]));
	assert_int_equal(action_rank((enum action)77), action_rank(ACTION_DEFER));
}

/* What a check may raise in a class it runs in must have a cell there. */
static void
no_reachable_pair_without_a_cell(void **state)
{
	struct action_table table;
	size_t pairs = 0;

	(void)state;
	table_defaults(&table);
	for (const struct check *check = checks; check->name; check++) {
		for (int class = CLASS_SUBMISSION; class < N_CLASSES; class++) {
			if (!((check->classes | check->judged) & CLASS_BIT(class)))
				continue;
			for (size_t i = 0; check->raises[i] != REASON_UNKNOWN; i++, pairs++)
				assert_true(table.cells[check->raises[i]][class].reachable);
		}
	}
	assert_true(pairs > 150);
	/* What the pipeline itself raises. */
	assert_true(table.cells[REASON_KEY_UNAVAILABLE][CLASS_SUBMISSION].reachable);
	for (int class = CLASS_SUBMISSION; class < N_CLASSES; class++) {
		assert_true(table.cells[REASON_STORE_UNAVAILABLE][class].reachable);
		assert_true(table.cells[REASON_INTERNAL][class].reachable);
	}
}

/* Whatever the table says, our own troubles never let a message of an official class through. */
static void
own_troubles_defer(void **state)
{
	static const enum reason troubles[] = { REASON_UNKNOWN, REASON_STORE_UNAVAILABLE, REASON_INTERNAL };
	struct action_table table;

	(void)state;
	table_defaults(&table);
	for (size_t i = 0; i < N_ELEMENTS(troubles); i++)
		for (int class = 0; class < N_CLASSES; class++)
			assert_int_equal(table.cells[troubles[i]][class].action, ACTION_DEFER);
}

/* What a setting may not give, the defaults do not give either. */
static void
defaults_keep_the_floor(void **state)
{
	struct action_table table;

	(void)state;
	table_defaults(&table);
	for (int reason = 0; reason < N_REASONS; reason++)
		for (int class = CLASS_SUBMISSION; class < N_CLASSES; class++)
			assert_true(!table.cells[reason][class].reachable || table_allows((enum reason)reason, (enum class)class,
			    table.cells[reason][class].action));
	assert_false(table_allows(REASON_LOGIN_MISMATCH, CLASS_SUBMISSION, ACTION_TAG));
	assert_true(table_allows(REASON_LOGIN_MISMATCH, CLASS_SUBMISSION, ACTION_DEFER));
	assert_false(table_allows(REASON_INTERNAL, CLASS_EGRESS, ACTION_ACCEPT));
	assert_true(table_allows(REASON_REG_UNAVAILABLE, CLASS_INBOUND_OTHER, ACTION_ACCEPT));
}

static void
strictest_action_wins(void **state)
{
	static const struct {
		const char *name;
		enum class class;
		enum reason reasons[3];
		size_t n;
		enum action want;
		enum reason want_reason;
	} rows[] = {
		{ "nothing found", CLASS_SUBMISSION, { 0 }, 0, ACTION_ACCEPT, REASON_UNKNOWN },
		{ "one refusal", CLASS_SUBMISSION, { REASON_REG_HELD }, 1, ACTION_REJECT, REASON_REG_HELD },
		{ "could not find out", CLASS_SUBMISSION, { REASON_REG_UNAVAILABLE }, 1, ACTION_DEFER, REASON_REG_UNAVAILABLE },
		{ "definite outranks unknown", CLASS_SUBMISSION, { REASON_REG_UNAVAILABLE, REASON_FROM_AMBIGUOUS }, 2,
		  ACTION_REJECT, REASON_FROM_AMBIGUOUS },
		{ "and in the other order", CLASS_SUBMISSION, { REASON_FROM_AMBIGUOUS, REASON_REG_UNAVAILABLE }, 2,
		  ACTION_REJECT, REASON_FROM_AMBIGUOUS },
		{ "first of equals", CLASS_SUBMISSION, { REASON_TLS_MISSING, REASON_LOGIN_MISSING }, 2, ACTION_REJECT,
		  REASON_TLS_MISSING },
		{ "defer outranks tag", CLASS_INBOUND_OTHER, { REASON_SIG_INVALID, REASON_INTERNAL }, 2, ACTION_DEFER,
		  REASON_INTERNAL },
		{ "accept stays accept, with its reason", CLASS_INBOUND_OTHER, { REASON_SIG_MISSING }, 1, ACTION_ACCEPT,
		  REASON_SIG_MISSING },
		{ "reject+hold outranks hold", CLASS_INBOUND_OFFICIAL, { REASON_SIG_INVALID, REASON_CERT_REVOKED }, 2,
		  ACTION_REJECT_HOLD, REASON_CERT_REVOKED },
		{ "no cell: defer", CLASS_LOCAL, { REASON_LOGIN_MISSING }, 1, ACTION_DEFER, REASON_INTERNAL },
		{ "no cell beside a refusal: defer", CLASS_LOCAL, { REASON_KEY_MATERIAL, REASON_LOGIN_MISSING }, 2, ACTION_DEFER,
		  REASON_INTERNAL },
		{ "unknown class: defer", CLASS_UNKNOWN, { 0 }, 0, ACTION_DEFER, REASON_INTERNAL },
		{ "class outside the enum: defer", (enum class)42, { 0 }, 0, ACTION_DEFER, REASON_INTERNAL },
		{ "reason outside the enum: defer", CLASS_SUBMISSION, { (enum reason)4711 }, 1, ACTION_DEFER, REASON_INTERNAL },
		{ "reason zero: defer", CLASS_SUBMISSION, { REASON_UNKNOWN }, 1, ACTION_DEFER, REASON_INTERNAL },
	};
	struct action_table table;

	(void)state;
	table_defaults(&table);
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct findings findings = { .n = 0 };
		struct verdict verdict;

		for (size_t j = 0; j < rows[i].n; j++)
			finding_add(&findings, rows[i].reasons[j], "row=%zu", i);
		verdict = policy_decide(rows[i].class, &findings, &table);
		if (verdict.action != rows[i].want || verdict.reason != rows[i].want_reason)
			fail_msg("%s: found %s for %s", rows[i].name, action_name(verdict.action), reason_word(verdict.reason));
	}
}

static void
too_many_findings_defer(void **state)
{
	struct findings findings = { .n = 0 };
	struct action_table table;

	(void)state;
	table_defaults(&table);
	for (size_t i = 0; i < MAX_FINDINGS; i++)
		finding_add(&findings, REASON_REG_HELD, "x");
	assert_int_equal(policy_decide(CLASS_SUBMISSION, &findings, &table).action, ACTION_REJECT);
	finding_add(&findings, REASON_REG_HELD, "one too many");
	assert_int_equal(policy_decide(CLASS_SUBMISSION, &findings, &table).action, ACTION_DEFER);
}

/* Settings can let a message through in spite of a finding; they can never make us sign it. */
static void
only_a_spotless_submission_is_sealed(void **state)
{
	struct findings findings = { .n = 0 };
	struct action_table table;
	struct verdict verdict;

	(void)state;
	table_defaults(&table);
	verdict = policy_decide(CLASS_SUBMISSION, &findings, &table);
	assert_true(policy_may_seal(CLASS_SUBMISSION, &findings, &verdict));
	assert_false(policy_may_seal(CLASS_INBOUND_OFFICIAL, &findings, &verdict));
	assert_false(policy_may_seal(CLASS_EGRESS, &findings, &verdict));
	assert_false(policy_may_seal(CLASS_INBOUND_OTHER, &findings, &verdict));
	assert_true(policy_may_seal(CLASS_LOCAL, &findings, &verdict)); /* whether it wants one: wants_seal */
	table.cells[REASON_LOGIN_MISMATCH][CLASS_SUBMISSION].action = ACTION_ACCEPT;
	finding_add(&findings, REASON_LOGIN_MISMATCH, "x");
	verdict = policy_decide(CLASS_SUBMISSION, &findings, &table);
	assert_int_equal(verdict.action, ACTION_ACCEPT);
	assert_false(policy_may_seal(CLASS_SUBMISSION, &findings, &verdict));
}

/* That something within it is signed, a forwarded message say, does not stand against our seal; another tag does. */
static void
a_signed_part_does_not_forbid_the_seal(void **state)
{
	struct findings findings = { .n = 0 };
	struct action_table table;
	struct verdict verdict;

	(void)state;
	table_defaults(&table);
	finding_add(&findings, REASON_SIG_PARTIAL, "x");
	verdict = policy_decide(CLASS_SUBMISSION, &findings, &table);
	assert_int_equal(verdict.action, ACTION_TAG);
	assert_true(policy_may_seal(CLASS_SUBMISSION, &findings, &verdict));
	table.cells[REASON_SIG_PARTIAL][CLASS_SUBMISSION].action = ACTION_REJECT;
	verdict = policy_decide(CLASS_SUBMISSION, &findings, &table);
	assert_false(policy_may_seal(CLASS_SUBMISSION, &findings, &verdict));
	table.cells[REASON_SIG_PARTIAL][CLASS_SUBMISSION].action = ACTION_TAG;
	table.cells[REASON_SIG_UNFIT][CLASS_SUBMISSION].action = ACTION_TAG;
	finding_add(&findings, REASON_SIG_UNFIT, "x");
	verdict = policy_decide(CLASS_SUBMISSION, &findings, &table);
	assert_int_equal(verdict.action, ACTION_TAG);
	assert_false(policy_may_seal(CLASS_SUBMISSION, &findings, &verdict));
}

static void
evidence_is_printable_and_bounded(void **state)
{
	struct findings findings = { .n = 0 };
	char big[1000];

	(void)state;
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	finding_add(&findings, REASON_INTERNAL, "a\r\n550 \x1b[31m\xc3\xa9%s", "%n");
	assert_string_equal(findings.at[0].evidence, "a??550 ?[31m??%n");
	finding_add(&findings, REASON_INTERNAL, "%s", big);
	assert_int_equal(strlen(findings.at[1].evidence), sizeof(findings.at[1].evidence) - 1);
}

static char *
read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = calloc(1, 65536);

	if (!file)
		fail_msg("%s is missing", path);
	(void)fread(text, 1, 65535, file);
	fclose(file);
	return text;
}

/* A change of the table or of a setting shows as a change of a committed text. */
static void
assert_snapshot(const char *path, const struct buf *text)
{
	char *committed = read_file(path);

	if (strcmp(committed, buf_text(text)) != 0)
		fail_msg("%s differs; the new text is:\n%s", path, buf_text(text));
	free(committed);
}

static void
action_table_as_committed(void **state)
{
	struct action_table table;
	AUTO_BUF struct buf text = { 0 };

	(void)state;
	buf_init(&text, 65536);
	table_defaults(&table);
	explain_table(&table, &text);
	assert_snapshot("tests/snapshot/policy.txt", &text);
}

static void
sample_settings_as_committed(void **state)
{
	AUTO_BUF struct buf text = { 0 };

	(void)state;
	buf_init(&text, 65536);
	setting_sample(&text);
	assert_snapshot("contrib/segel.conf.sample", &text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reasons_are_whole),
		cmocka_unit_test(replies_are_well_formed),
		cmocka_unit_test(names_round_trip),
		cmocka_unit_test(ranks_are_a_strict_order),
		cmocka_unit_test(no_reachable_pair_without_a_cell),
		cmocka_unit_test(own_troubles_defer),
		cmocka_unit_test(defaults_keep_the_floor),
		cmocka_unit_test(strictest_action_wins),
		cmocka_unit_test(too_many_findings_defer),
		cmocka_unit_test(only_a_spotless_submission_is_sealed),
		cmocka_unit_test(a_signed_part_does_not_forbid_the_seal),
		cmocka_unit_test(evidence_is_printable_and_bounded),
		cmocka_unit_test(action_table_as_committed),
		cmocka_unit_test(sample_settings_as_committed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
