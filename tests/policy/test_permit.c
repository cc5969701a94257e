/* Who may do what with the quarantine: each cell of the table of roles, as the study of it has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "policy/permit.h"

/*
 * First six columns of each role: as the study has them. note, extend, hold, purge, stats: what permit.h says is assumed.
 */
static const struct {
	enum reviewer_role role;
	enum act act;
	enum permit want;
} rows[] = {
	/* staff */
	{ REVIEWER_STAFF, ACT_LIST, PERMIT_OWN },
	{ REVIEWER_STAFF, ACT_SUBJECT, PERMIT_OWN },
	{ REVIEWER_STAFF, ACT_VIEW, PERMIT_OWN },
	{ REVIEWER_STAFF, ACT_EXPORT, PERMIT_NO },
	{ REVIEWER_STAFF, ACT_RELEASE, PERMIT_REQUEST },
	{ REVIEWER_STAFF, ACT_DELETE, PERMIT_NO },
	{ REVIEWER_STAFF, ACT_NOTE, PERMIT_NO },
	{ REVIEWER_STAFF, ACT_EXTEND, PERMIT_NO },
	{ REVIEWER_STAFF, ACT_HOLD, PERMIT_NO },
	{ REVIEWER_STAFF, ACT_PURGE, PERMIT_NO },
	{ REVIEWER_STAFF, ACT_STATS, PERMIT_NO },
	/* helpdesk */
	{ REVIEWER_HELPDESK, ACT_LIST, PERMIT_YES },
	{ REVIEWER_HELPDESK, ACT_SUBJECT, PERMIT_NO },
	{ REVIEWER_HELPDESK, ACT_VIEW, PERMIT_NO },
	{ REVIEWER_HELPDESK, ACT_EXPORT, PERMIT_NO },
	{ REVIEWER_HELPDESK, ACT_RELEASE, PERMIT_PROPOSE },
	{ REVIEWER_HELPDESK, ACT_DELETE, PERMIT_NO },
	{ REVIEWER_HELPDESK, ACT_NOTE, PERMIT_YES },
	{ REVIEWER_HELPDESK, ACT_EXTEND, PERMIT_NO },
	{ REVIEWER_HELPDESK, ACT_HOLD, PERMIT_NO },
	{ REVIEWER_HELPDESK, ACT_PURGE, PERMIT_NO },
	{ REVIEWER_HELPDESK, ACT_STATS, PERMIT_YES },
	/* analyst */
	{ REVIEWER_ANALYST, ACT_LIST, PERMIT_YES },
	{ REVIEWER_ANALYST, ACT_SUBJECT, PERMIT_YES },
	{ REVIEWER_ANALYST, ACT_VIEW, PERMIT_YES },
	{ REVIEWER_ANALYST, ACT_EXPORT, PERMIT_YES },
	{ REVIEWER_ANALYST, ACT_RELEASE, PERMIT_REASONS },
	{ REVIEWER_ANALYST, ACT_DELETE, PERMIT_PROPOSE },
	{ REVIEWER_ANALYST, ACT_NOTE, PERMIT_YES },
	{ REVIEWER_ANALYST, ACT_EXTEND, PERMIT_YES },
	{ REVIEWER_ANALYST, ACT_HOLD, PERMIT_NO },
	{ REVIEWER_ANALYST, ACT_PURGE, PERMIT_NO },
	{ REVIEWER_ANALYST, ACT_STATS, PERMIT_YES },
	/* manager */
	{ REVIEWER_MANAGER, ACT_LIST, PERMIT_YES },
	{ REVIEWER_MANAGER, ACT_SUBJECT, PERMIT_YES },
	{ REVIEWER_MANAGER, ACT_VIEW, PERMIT_YES },
	{ REVIEWER_MANAGER, ACT_EXPORT, PERMIT_YES },
	{ REVIEWER_MANAGER, ACT_RELEASE, PERMIT_APPROVE },
	{ REVIEWER_MANAGER, ACT_DELETE, PERMIT_YES },
	{ REVIEWER_MANAGER, ACT_NOTE, PERMIT_YES },
	{ REVIEWER_MANAGER, ACT_EXTEND, PERMIT_YES },
	{ REVIEWER_MANAGER, ACT_HOLD, PERMIT_YES },
	{ REVIEWER_MANAGER, ACT_PURGE, PERMIT_YES },
	{ REVIEWER_MANAGER, ACT_STATS, PERMIT_YES },
	/* op officer */
	{ REVIEWER_OP_OFFICER, ACT_LIST, PERMIT_REGISTRY },
	{ REVIEWER_OP_OFFICER, ACT_SUBJECT, PERMIT_NO },
	{ REVIEWER_OP_OFFICER, ACT_VIEW, PERMIT_NO },
	{ REVIEWER_OP_OFFICER, ACT_EXPORT, PERMIT_NO },
	{ REVIEWER_OP_OFFICER, ACT_RELEASE, PERMIT_PROPOSE },
	{ REVIEWER_OP_OFFICER, ACT_DELETE, PERMIT_NO },
	{ REVIEWER_OP_OFFICER, ACT_NOTE, PERMIT_REGISTRY },
	{ REVIEWER_OP_OFFICER, ACT_EXTEND, PERMIT_NO },
	{ REVIEWER_OP_OFFICER, ACT_HOLD, PERMIT_NO },
	{ REVIEWER_OP_OFFICER, ACT_PURGE, PERMIT_NO },
	{ REVIEWER_OP_OFFICER, ACT_STATS, PERMIT_NO },
	/* auditor */
	{ REVIEWER_AUDITOR, ACT_LIST, PERMIT_YES },
	{ REVIEWER_AUDITOR, ACT_SUBJECT, PERMIT_NO },
	{ REVIEWER_AUDITOR, ACT_VIEW, PERMIT_NO },
	{ REVIEWER_AUDITOR, ACT_EXPORT, PERMIT_NO },
	{ REVIEWER_AUDITOR, ACT_RELEASE, PERMIT_NO },
	{ REVIEWER_AUDITOR, ACT_DELETE, PERMIT_NO },
	{ REVIEWER_AUDITOR, ACT_NOTE, PERMIT_NO },
	{ REVIEWER_AUDITOR, ACT_EXTEND, PERMIT_NO },
	{ REVIEWER_AUDITOR, ACT_HOLD, PERMIT_NO },
	{ REVIEWER_AUDITOR, ACT_PURGE, PERMIT_NO },
	{ REVIEWER_AUDITOR, ACT_STATS, PERMIT_YES },
	/* data protection */
	{ REVIEWER_DATA_PROTECTION, ACT_LIST, PERMIT_YES },
	{ REVIEWER_DATA_PROTECTION, ACT_SUBJECT, PERMIT_NO },
	{ REVIEWER_DATA_PROTECTION, ACT_VIEW, PERMIT_NO },
	{ REVIEWER_DATA_PROTECTION, ACT_EXPORT, PERMIT_NO },
	{ REVIEWER_DATA_PROTECTION, ACT_RELEASE, PERMIT_NO },
	{ REVIEWER_DATA_PROTECTION, ACT_DELETE, PERMIT_REQUEST },
	{ REVIEWER_DATA_PROTECTION, ACT_NOTE, PERMIT_NO },
	{ REVIEWER_DATA_PROTECTION, ACT_EXTEND, PERMIT_NO },
	{ REVIEWER_DATA_PROTECTION, ACT_HOLD, PERMIT_NO },
	{ REVIEWER_DATA_PROTECTION, ACT_PURGE, PERMIT_NO },
	{ REVIEWER_DATA_PROTECTION, ACT_STATS, PERMIT_YES },
	/* administrator */
	{ REVIEWER_ADMINISTRATOR, ACT_LIST, PERMIT_NO },
	{ REVIEWER_ADMINISTRATOR, ACT_SUBJECT, PERMIT_NO },
	{ REVIEWER_ADMINISTRATOR, ACT_VIEW, PERMIT_NO },
	{ REVIEWER_ADMINISTRATOR, ACT_EXPORT, PERMIT_NO },
	{ REVIEWER_ADMINISTRATOR, ACT_RELEASE, PERMIT_NO },
	{ REVIEWER_ADMINISTRATOR, ACT_DELETE, PERMIT_NO },
	{ REVIEWER_ADMINISTRATOR, ACT_NOTE, PERMIT_NO },
	{ REVIEWER_ADMINISTRATOR, ACT_EXTEND, PERMIT_NO },
	{ REVIEWER_ADMINISTRATOR, ACT_HOLD, PERMIT_NO },
	{ REVIEWER_ADMINISTRATOR, ACT_PURGE, PERMIT_YES },
	{ REVIEWER_ADMINISTRATOR, ACT_STATS, PERMIT_YES },
};

static void
every_cell(void **state)
{
	size_t seen[N_REVIEWER_ROLES][N_ACTS] = { 0 };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		seen[rows[i].role][rows[i].act]++;
		if (permit_of(rows[i].role, rows[i].act) != rows[i].want)
			fail_msg("%s %s: %s, wanted %s", reviewer_role_name(rows[i].role), act_name(rows[i].act),
			    permit_name(permit_of(rows[i].role, rows[i].act)), permit_name(rows[i].want));
	}
	for (int role = REVIEWER_NONE + 1; role < N_REVIEWER_ROLES; role++)
		for (int act = ACT_UNKNOWN + 1; act < N_ACTS; act++)
			if (seen[role][act] != 1)
				fail_msg("%s %s has %zu lines", reviewer_role_name((enum reviewer_role)role), act_name((enum act)act), seen[role][act]);
}

static void
nobody_may_nothing(void **state)
{
	(void)state;
	for (int act = 0; act < N_ACTS; act++) {
		assert_int_equal(permit_of(REVIEWER_NONE, (enum act)act), PERMIT_NO);
		assert_int_equal(permit_of(N_REVIEWER_ROLES, (enum act)act), PERMIT_NO);
		assert_int_equal(permit_of((enum reviewer_role)-1, (enum act)act), PERMIT_NO);
	}
	for (int role = 0; role < N_REVIEWER_ROLES; role++) {
		assert_int_equal(permit_of((enum reviewer_role)role, ACT_UNKNOWN), PERMIT_NO);
		assert_int_equal(permit_of((enum reviewer_role)role, N_ACTS), PERMIT_NO);
		assert_int_equal(permit_of((enum reviewer_role)role, (enum act)-1), PERMIT_NO);
	}
}

/* No role combines settings, body and release; whoever administers the system sees no item. */
static void
what_no_role_combines(void **state)
{
	(void)state;
	assert_int_equal(permit_of(REVIEWER_ADMINISTRATOR, ACT_LIST), PERMIT_NO);
	assert_int_equal(permit_of(REVIEWER_ADMINISTRATOR, ACT_VIEW), PERMIT_NO);
	assert_int_equal(permit_of(REVIEWER_ADMINISTRATOR, ACT_RELEASE), PERMIT_NO);
	for (int role = 0; role < N_REVIEWER_ROLES; role++)
		assert_true(permit_of((enum reviewer_role)role, ACT_RELEASE) != PERMIT_YES);
}

static void
reasons_are_asked_for(void **state)
{
	static const enum act with[] = { ACT_VIEW, ACT_EXPORT, ACT_RELEASE, ACT_DELETE, ACT_NOTE, ACT_EXTEND, ACT_HOLD };
	static const enum act without[] = { ACT_LIST, ACT_SUBJECT, ACT_PURGE, ACT_STATS };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(with); i++)
		assert_true(act_needs_reason(with[i]));
	for (size_t i = 0; i < N_ELEMENTS(without); i++)
		assert_false(act_needs_reason(without[i]));
	assert_int_equal(N_ELEMENTS(with) + N_ELEMENTS(without), N_ACTS - 1);
	assert_true(act_needs_reason(ACT_UNKNOWN));
}

static void
words_go_round(void **state)
{
	(void)state;
	for (int role = REVIEWER_NONE + 1; role < N_REVIEWER_ROLES; role++) {
		assert_true(*reviewer_role_name((enum reviewer_role)role));
		assert_int_equal(reviewer_role_from(reviewer_role_name((enum reviewer_role)role)), role);
	}
	assert_int_equal(reviewer_role_from(""), REVIEWER_NONE);
	assert_int_equal(reviewer_role_from("Analis"), REVIEWER_NONE);
	assert_int_equal(reviewer_role_from("analis "), REVIEWER_NONE);
	for (int act = ACT_UNKNOWN + 1; act < N_ACTS; act++)
		assert_true(*act_name((enum act)act));
}

static void
findings_of_the_registry(void **state)
{
	static const char *const want[] = { "SIGNER_MISMATCH", "CERT_REVOKED", "CERT_EXPIRED", "CERT_NOT_YET", "CERT_UNTRUSTED",
		"STATUS_UNKNOWN", "REG_UNKNOWN", "REG_ADDRESS_MISMATCH", "REG_HELD", "REG_ENDED", "REG_RETIRED", "REG_CONFLICT",
		"REG_UNAVAILABLE" };
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(want); i++)
		assert_true(reason_of_registry(reason_from(want[i])));
	for (int reason = 0; reason < N_REASONS; reason++)
		n += reason_of_registry((enum reason)reason);
	assert_int_equal(n, N_ELEMENTS(want));
	assert_false(reason_of_registry(N_REASONS));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell),
		cmocka_unit_test(nobody_may_nothing),
		cmocka_unit_test(what_no_role_combines),
		cmocka_unit_test(reasons_are_asked_for),
		cmocka_unit_test(words_go_round),
		cmocka_unit_test(findings_of_the_registry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
