#include "policy/explain.h"

#include <stdio.h>

static const char *
cell_text(const struct action_table *table, enum reason reason, enum class class)
{
	const struct cell *cell = &table->cells[reason][class];

	return cell->reachable ? action_name(cell->action) : "-";
}

void
explain_table(const struct action_table *table, struct buf *ret)
{
	buf_printf(ret, "%-21s", "finding");
	for (int class = CLASS_SUBMISSION; class < N_CLASSES; class++)
		buf_printf(ret, " %-*s", class == CLASS_EGRESS ? 0 : 17, class_name((enum class)class));
	buf_add_text(ret, "\n");
	for (int reason = REASON_UNKNOWN + 1; reason < N_REASONS; reason++) {
		const struct reason_row *row = reason_row((enum reason)reason);

		buf_printf(ret, "%-21s", row->word);
		for (int class = CLASS_SUBMISSION; class < N_CLASSES; class++) {
			char cell[40];
			bool refuses = table->cells[reason][class].reachable
			    && action_rank(table->cells[reason][class].action) >= action_rank(ACTION_REJECT);

			snprintf(cell, sizeof(cell), "%s%s%s", cell_text(table, (enum reason)reason, (enum class)class),
			    refuses && class == CLASS_SUBMISSION ? " " : "",
			    refuses && class == CLASS_SUBMISSION ? row->status : "");
			buf_printf(ret, " %-*s", class == CLASS_EGRESS ? 0 : 17, cell);
		}
		buf_add_text(ret, "\n");
	}
}

void
explain_verdict(enum class class, const struct findings *findings, const struct action_table *table,
    const struct verdict *verdict, enum language language, struct buf *ret)
{
	for (size_t i = 0; i < findings->n; i++) {
		const struct finding *finding = &findings->at[i];

		buf_printf(ret, "finding:  %s -> %s (%s)\n", reason_word(finding->reason),
		    cell_text(table, finding->reason, class), finding->evidence);
	}
	buf_printf(ret, "action:   %s\n", action_name(verdict->action));
	if (verdict->action != ACTION_ACCEPT && verdict->finding) {
		buf_printf(ret, "sender sees: %s\n", reason_text(verdict->reason, language));
		buf_printf(ret, "what to do: %s\n", reason_row(verdict->reason)->hint);
	}
}
