/* To whom a message goes: what a mail server may read in an address beside what stands there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "milter/filter/addressed.h"
#include "milter/filter/snapshot.h"
#include "milter/log.h"
#include "tests/support/scene.h"

static char text[] = "From: kantor0@kota.go.id\r\nTo: x@y\r\n\r\nIsi.\r\n";

static const struct {
	const char *name;
	enum role role;
	const char *argument, *resolved;
	enum plan_action want;
	enum reason reason;
} rows[] = {
	{ "submission, an own address", ROLE_SUBMISSION, "siti@kota.go.id", "siti@kota.go.id", PLAN_CLEAR, REASON_UNKNOWN },
	{ "submission, a path that Postfix takes for a mailbox", ROLE_SUBMISSION, "siti%x.example@kota.go.id", "siti%x.example@kota.go.id",
	  PLAN_CLEAR, REASON_UNKNOWN },
	{ "submission, a path that Postfix follows", ROLE_SUBMISSION, "siti%x.example@kota.go.id", "siti@x.example", PLAN_REFUSE, REASON_RCPT_AMBIGUOUS },
	{ "local, an own address", ROLE_LOCAL, "siti@kota.go.id", "siti@kota.go.id", PLAN_CLEAR, REASON_UNKNOWN },
	{ "local, a path: where it leads is not told", ROLE_LOCAL, "siti%x.example@kota.go.id", "siti%x.example@kota.go.id", PLAN_REFUSE,
	  REASON_RCPT_AMBIGUOUS },
	{ "local, a bang path", ROLE_LOCAL, "x.example!siti@kota.go.id", "x.example!siti@kota.go.id", PLAN_REFUSE, REASON_RCPT_AMBIGUOUS },
	{ "egress, a path", ROLE_EGRESS, "siti%x.example@kota.go.id", "siti%x.example@kota.go.id", PLAN_UNKNOWN, REASON_RCPT_AMBIGUOUS },
};

static void
each_row(const struct snapshot *snapshot, struct config *config, size_t i)
{
	const struct recipients_told told = { rows[i].argument, rows[i].resolved };
	const struct message_facts facts = { .mime = MIME_CLEAR, .outer = LAYER_NONE, .from = { .state = MAILBOX_ONE, .address = "kantor0@kota.go.id" } };
	const struct addressed_from from = { .role = rows[i].role, .config = config, .registry = snapshot->registry, .trust_why = "",
		.bytes = slice_of(text), .facts = &facts, .login = "kantor0", .told = &told, .n_told = 1, .n_all = 1, .now = SCENE_NOW };
	AUTO_ADDRESSED struct addressed addressed = { .ciphertext = CIPHERTEXT_UNKNOWN };
	const bool ambiguous = rows[i].reason == REASON_RCPT_AMBIGUOUS;

	addressed_gather(&from, &addressed);
	if (addressed.plan.action != rows[i].want || (addressed.planned && addressed.plan.reason != rows[i].reason))
		fail_msg("%s: %s, %s", rows[i].name, plan_action_name(addressed.plan.action), addressed.plan.names);
	if (addressed.recipients.n != 1 || (addressed.recipients.at[0].level == LEVEL_FORBID) != ambiguous)
		fail_msg("%s: level %s", rows[i].name, level_name(addressed.recipients.at[0].level));
}

static void
paths_are_ambiguous_where_they_are_not_told(void **state)
{
	struct scene *scene = scene_new(1);
	const struct snapshot *snapshot = snapshot_ref(scene->filter.box);
	struct config config = *snapshot->config;

	(void)state;
	config.encrypt.use = true;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		each_row(snapshot, &config, i);
	snapshot_unref(scene->filter.box, snapshot);
	scene_free(scene);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(paths_are_ambiguous_where_they_are_not_told) };

	log_open("test", LOG_TO_STDERR, LOG_LEVEL_PANIC);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
