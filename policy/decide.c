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

bool
policy_may_seal(enum class class, const struct findings *findings, const struct verdict *verdict)
{
	return (class == CLASS_SUBMISSION || class == CLASS_LOCAL) && findings->n == 0 && !findings->overflow
	    && verdict->action == ACTION_ACCEPT;
}
