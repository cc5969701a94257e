#include "policy/decide.h"

static struct verdict
deferred(enum reason reason, const struct finding *finding)
{
	return (struct verdict){ .action = ACTION_DEFER, .reason = reason, .finding = finding };
}

struct verdict
policy_decide(enum class class, const struct findings *findings, const struct action_table *table)
{
	struct verdict verdict = { .action = ACTION_ACCEPT, .reason = REASON_UNKNOWN };

	if (class == CLASS_UNKNOWN || class >= N_CLASSES || findings->overflow)
		return deferred(REASON_INTERNAL, NULL);
	for (size_t i = 0; i < findings->n; i++) {
		const struct finding *finding = &findings->at[i];
		const struct cell *cell;

		if (finding->reason == REASON_UNKNOWN || finding->reason >= N_REASONS)
			return deferred(REASON_INTERNAL, finding);
		cell = &table->cells[finding->reason][class];
		if (!cell->reachable)
			return deferred(REASON_INTERNAL, finding);
		if (!verdict.finding || action_rank(cell->action) > action_rank(verdict.action))
			verdict = (struct verdict){ cell->action, finding->reason, finding };
	}
	return verdict;
}

/* All but one: that a forwarded message or an attachment is signed says nothing about this one. */
static bool
forbids_seal(const struct findings *findings)
{
	for (size_t i = 0; i < findings->n; i++)
		if (findings->at[i].reason != REASON_SIG_PARTIAL)
			return true;
	return findings->overflow;
}

bool
policy_may_seal(enum class class, const struct findings *findings, const struct verdict *verdict)
{
	return (class == CLASS_SUBMISSION || class == CLASS_LOCAL) && !forbids_seal(findings)
	    && (verdict->action == ACTION_ACCEPT || verdict->action == ACTION_TAG);
}
