/* May a held message leave? Every permit, with every state of persons and findings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "policy/release.h"

static char two_words[][24] = { "SIG_INVALID", "CERT_REVOKED" };
static char *two_at[] = { two_words[0], two_words[1] };
static const struct text_list two = { two_at, 2 };

enum { ASKER = 7, ANOTHER = 8 };

/* Findings by their words, a blank between. */
static struct findings
findings_of(const char *words)
{
	struct findings ret = { .n = 0 };
	char copy[256], *rest = copy, *word;

	snprintf(copy, sizeof(copy), "%s", words);
	while ((word = strsep(&rest, " ")) != NULL)
		if (*word)
			finding_add(&ret, reason_from(word), "why=%s", word);
	return ret;
}

static enum release_answer
ask(enum permit permit, int64_t person, int64_t proposed_by, bool own, enum action held, enum class class, const char *then,
    const char *now, char why[256])
{
	const struct findings findings_then = findings_of(then), findings_now = findings_of(now ? now : "");
	struct action_table table;
	const struct release_question question = {
		.held = held,
		.class = class,
		.then = &findings_then,
		.now = now ? &findings_now : NULL,
		.table = &table,
		.two_persons = &two,
		.permit = permit,
		.own = own,
		.person = person,
		.proposed_by = proposed_by,
	};

	table_defaults(&table);
	return release_decide(&question, why);
}

/* What each permit makes of: one or two persons wanted; nobody, oneself, or another proposed it before. */
static const struct {
	enum permit permit;
	enum release_answer one[3], two[3];
} persons[] = {
	{ PERMIT_NO, { RELEASE_NOT_PERMITTED, RELEASE_NOT_PERMITTED, RELEASE_NOT_PERMITTED },
	  { RELEASE_NOT_PERMITTED, RELEASE_NOT_PERMITTED, RELEASE_NOT_PERMITTED } },
	{ PERMIT_OWN, { RELEASE_NOT_PERMITTED, RELEASE_NOT_PERMITTED, RELEASE_NOT_PERMITTED },
	  { RELEASE_NOT_PERMITTED, RELEASE_NOT_PERMITTED, RELEASE_NOT_PERMITTED } },
	{ PERMIT_REGISTRY, { RELEASE_NOT_PERMITTED, RELEASE_NOT_PERMITTED, RELEASE_NOT_PERMITTED },
	  { RELEASE_NOT_PERMITTED, RELEASE_NOT_PERMITTED, RELEASE_NOT_PERMITTED } },
	{ PERMIT_REQUEST, { RELEASE_REQUESTED, RELEASE_REQUESTED, RELEASE_REQUESTED },
	  { RELEASE_REQUESTED, RELEASE_REQUESTED, RELEASE_REQUESTED } },
	{ PERMIT_PROPOSE, { RELEASE_WAITS, RELEASE_NOT_PERMITTED, RELEASE_NOT_PERMITTED },
	  { RELEASE_WAITS, RELEASE_NOT_PERMITTED, RELEASE_NOT_PERMITTED } },
	{ PERMIT_APPROVE, { RELEASE_NOT_PERMITTED, RELEASE_NOT_PERMITTED, RELEASE_GO },
	  { RELEASE_NOT_PERMITTED, RELEASE_NOT_PERMITTED, RELEASE_GO } },
	{ PERMIT_REASONS, { RELEASE_GO, RELEASE_GO, RELEASE_GO }, { RELEASE_WAITS, RELEASE_NOT_PERMITTED, RELEASE_GO } },
	{ PERMIT_YES, { RELEASE_GO, RELEASE_GO, RELEASE_GO }, { RELEASE_WAITS, RELEASE_NOT_PERMITTED, RELEASE_GO } },
};

/* REG_UNKNOWN is held from an official domain and needs one person here; SIG_INVALID two. */
static void
every_permit(void **state)
{
	static const int64_t proposed[] = { 0, ASKER, ANOTHER };
	char why[256];

	(void)state;
	assert_int_equal(N_ELEMENTS(persons), PERMIT_YES + 1);
	for (size_t i = 0; i < N_ELEMENTS(persons); i++)
		for (size_t k = 0; k < N_ELEMENTS(proposed); k++)
			for (int now = 0; now < 2; now++) {
				enum release_answer found = ask(persons[i].permit, ASKER, proposed[k], true, ACTION_HOLD,
				    CLASS_INBOUND_OFFICIAL, "REG_UNKNOWN", now ? "REG_UNKNOWN" : NULL, why);
				enum release_answer found_two = ask(persons[i].permit, ASKER, proposed[k], true, ACTION_HOLD,
				    CLASS_INBOUND_OFFICIAL, "SIG_INVALID", now ? "SIG_INVALID" : NULL, why);

				if (found != persons[i].one[k] || found_two != persons[i].two[k])
					fail_msg("%s, proposed by %d: %d and %d", permit_name(persons[i].permit), (int)proposed[k],
					    found, found_two);
			}
}

/* A reject+hold copy leaves in no case; nor does what was never held. */
static void
copies_stay(void **state)
{
	static const enum action actions[] = { ACTION_DEFER, ACTION_ACCEPT, ACTION_TAG, ACTION_REJECT, ACTION_REJECT_HOLD };
	char why[256];

	(void)state;
	for (int permit = 0; permit <= PERMIT_YES; permit++)
		for (size_t i = 0; i < N_ELEMENTS(actions); i++)
			for (int64_t proposed = 0; proposed < 10; proposed += ANOTHER) {
				enum release_answer found = ask((enum permit)permit, ASKER, proposed, true, actions[i],
				    CLASS_INBOUND_OFFICIAL, "REG_UNKNOWN", "REG_UNKNOWN", why);

				assert_true(found == RELEASE_FORBIDDEN || found == RELEASE_NOT_PERMITTED);
			}
}

static void
nobody_in_particular(void **state)
{
	char why[256];

	(void)state;
	for (int permit = 0; permit <= PERMIT_YES; permit++)
		assert_int_equal(ask((enum permit)permit, 0, ANOTHER, true, ACTION_HOLD, CLASS_INBOUND_OFFICIAL, "", "", why),
		    RELEASE_NOT_PERMITTED);
	assert_int_equal(ask(PERMIT_REQUEST, ASKER, 0, false, ACTION_HOLD, CLASS_INBOUND_OFFICIAL, "", NULL, why), RELEASE_NOT_PERMITTED);
}

static const struct {
	const char *name, *then, *now;
	enum class class;
	enum release_answer want;
	const char *want_why;
} evidence[] = {
	{ "nothing any more", "REG_UNKNOWN", "", CLASS_INBOUND_OFFICIAL, RELEASE_GO, "" },
	{ "the same", "REG_UNKNOWN", "REG_UNKNOWN", CLASS_INBOUND_OFFICIAL, RELEASE_GO, "" },
	{ "one that is tagged came", "REG_UNKNOWN", "REG_UNKNOWN SIG_PARTIAL", CLASS_INBOUND_OFFICIAL, RELEASE_GO, "" },
	{ "one that is held came", "REG_UNKNOWN", "REG_UNKNOWN SIG_INVALID", CLASS_INBOUND_OFFICIAL, RELEASE_NEW_EVIDENCE, "SIG_INVALID" },
	{ "another one is held", "REG_UNKNOWN", "CERT_UNTRUSTED", CLASS_INBOUND_OFFICIAL, RELEASE_NEW_EVIDENCE, "CERT_UNTRUSTED" },
	{ "revoked meanwhile", "REG_UNKNOWN", "CERT_REVOKED", CLASS_INBOUND_OFFICIAL, RELEASE_FORBIDDEN, "CERT_REVOKED" },
	{ "revoked by the OP", "REG_UNKNOWN", "REG_ENDED", CLASS_INBOUND_OFFICIAL, RELEASE_FORBIDDEN, "REG_ENDED" },
	{ "revoked, of the world", "CERT_REVOKED", "CERT_REVOKED", CLASS_INBOUND_OTHER, RELEASE_GO, "" },
	{ "revoked, now official", "CERT_REVOKED", "CERT_REVOKED", CLASS_INBOUND_OFFICIAL, RELEASE_FORBIDDEN, "CERT_REVOKED" },
	{ "status unknown today", "REG_UNKNOWN", "REG_UNKNOWN STATUS_UNKNOWN", CLASS_INBOUND_OFFICIAL, RELEASE_NOT_NOW, "STATUS_UNKNOWN" },
	{ "registry unavailable", "REG_UNKNOWN", "REG_UNAVAILABLE", CLASS_INBOUND_OFFICIAL, RELEASE_NOT_NOW, "REG_UNAVAILABLE" },
	{ "trouble of ours", "REG_UNKNOWN", "INTERNAL", CLASS_INBOUND_OFFICIAL, RELEASE_NOT_NOW, "INTERNAL" },
	{ "definite before unknown", "REG_UNKNOWN", "STATUS_UNKNOWN CERT_REVOKED SIG_INVALID", CLASS_INBOUND_OFFICIAL, RELEASE_FORBIDDEN, "CERT_REVOKED" },
	{ "new before unknown", "REG_UNKNOWN", "STATUS_UNKNOWN SIG_INVALID", CLASS_INBOUND_OFFICIAL, RELEASE_NEW_EVIDENCE, "SIG_INVALID" },
	{ "cell that cannot be reached", "REG_UNKNOWN", "SEAL_REQUIRED", CLASS_INBOUND_OFFICIAL, RELEASE_NOT_NOW, "SEAL_REQUIRED" },
	{ "a word that is none", "REG_UNKNOWN", "NO_SUCH", CLASS_INBOUND_OFFICIAL, RELEASE_NOT_NOW, "UNKNOWN" },
	{ "no class", "REG_UNKNOWN", "", CLASS_UNKNOWN, RELEASE_NOT_NOW, "whose mail" },
	{ "no such class", "REG_UNKNOWN", "", N_CLASSES, RELEASE_NOT_NOW, "whose mail" },
};

static void
verified_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(evidence); i++) {
		char why[256] = "?";
		enum release_answer found = ask(PERMIT_REASONS, ASKER, ANOTHER, false, ACTION_HOLD, evidence[i].class, evidence[i].then,
		    evidence[i].now, why);

		if (found != evidence[i].want || !strstr(why, evidence[i].want_why))
			fail_msg("%s: %d, %s", evidence[i].name, found, why);
		assert_true(found == RELEASE_GO || *why);
	}
}

/* One person was enough by the item's findings, and is not by today's: it waits. What is forbidden is said to be. */
static void
needs_two_by_now(void **state)
{
	char why[256];

	(void)state;
	assert_int_equal(ask(PERMIT_REASONS, ASKER, 0, false, ACTION_HOLD, CLASS_INBOUND_OTHER, "CERT_EXPIRED", NULL, why), RELEASE_GO);
	assert_int_equal(ask(PERMIT_REASONS, ASKER, 0, false, ACTION_HOLD, CLASS_INBOUND_OTHER, "CERT_EXPIRED", "CERT_EXPIRED SIG_INVALID", why),
	    RELEASE_WAITS);
	assert_int_equal(ask(PERMIT_REASONS, ASKER, 0, false, ACTION_HOLD, CLASS_INBOUND_OFFICIAL, "REG_UNKNOWN", "CERT_REVOKED", why),
	    RELEASE_FORBIDDEN);
}

static void
too_many_findings(void **state)
{
	struct findings many = { .n = 0 }, none = { .n = 0 };
	struct action_table table;
	struct release_question question = { .held = ACTION_HOLD, .class = CLASS_INBOUND_OFFICIAL, .then = &many, .now = &many, .table = &table,
		.two_persons = &two, .permit = PERMIT_REASONS, .person = ASKER, .proposed_by = ANOTHER };
	char why[256];

	(void)state;
	table_defaults(&table);
	for (int i = 0; i <= MAX_FINDINGS; i++)
		finding_add(&many, REASON_SIG_PARTIAL, "n=%d", i);
	assert_true(release_needs_two(&many, &two));
	assert_false(release_needs_two(&none, &two));
	assert_int_equal(release_decide(&question, why), RELEASE_NOT_NOW);
	question.now = NULL;
	assert_int_equal(release_evidence(&question, why), RELEASE_NOT_NOW);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_permit),
		cmocka_unit_test(copies_stay),
		cmocka_unit_test(nobody_in_particular),
		cmocka_unit_test(verified_again),
		cmocka_unit_test(needs_two_by_now),
		cmocka_unit_test(too_many_findings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
