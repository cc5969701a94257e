#include "policy/man.h"

#include <string.h>

#include "policy/setting.h"

/* A text line: no byte of it is taken for roff. Newlines become blanks; a new sentence begins a line. */
static void
add_text(struct buf *ret, const char *text)
{
	if (*text == '.' || *text == '\'')
		buf_add_text(ret, "\\&");
	for (; *text; text++) {
		const bool ends_sentence = text[0] == '.' && (text[1] == ' ' || text[1] == '\n') && text[2] >= 'A' && text[2] <= 'Z';

		if (*text == '\\')
			buf_add_text(ret, "\\e");
		else
			buf_add(ret, *text == '\n' ? " " : text, 1);
		if (ends_sentence) {
			buf_add_text(ret, "\n");
			text++;
		}
	}
}

static void
add_line(struct buf *ret, const char *before, const char *text, const char *after)
{
	buf_add_text(ret, before);
	add_text(ret, text);
	buf_add_text(ret, after);
	buf_add_text(ret, "\n");
}

static void add_settings(const struct setting *table, struct buf *ret);

static void
add_setting(const struct setting *setting, struct buf *ret)
{
	AUTO_BUF struct buf allowed = { 0 };

	buf_init(&allowed, 4096);
	setting_allowed(setting, &allowed);
	buf_printf(ret, ".It Ic %s\n", setting->name);
	add_line(ret, "", setting->help, ".");
	add_line(ret, "Wanted: ", buf_text(&allowed), ".");
	if (setting->row) {
		buf_add_text(ret, "In each group:\n");
		add_settings(setting->row, ret);
		return;
	}
	if (!setting->fallback)
		buf_add_text(ret, "Must be given.\n");
	else if (*setting->fallback)
		add_line(ret, "Default: ", setting->fallback, ".");
	else
		buf_add_text(ret, "Default: empty.\n");
}

static void
add_settings(const struct setting *table, struct buf *ret)
{
	buf_add_text(ret, ".Bl -tag -width Ds\n");
	for (; table->name; table++)
		add_setting(table, ret);
	buf_add_text(ret, ".El\n");
}

void
man_settings(struct buf *ret)
{
	add_settings(settings, ret);
}

/* "submission reject, egress hold"; classes where the finding cannot arise are left out. */
static void
add_cells(const struct action_table *table, enum reason reason, struct buf *ret)
{
	const char *comma = "";

	buf_add_text(ret, "Default actions: ");
	for (int class = CLASS_SUBMISSION; class < N_CLASSES; class++) {
		const struct cell *cell = &table->cells[reason][class];

		if (!cell->reachable)
			continue;
		buf_printf(ret, "%s%s %s", comma, class_name((enum class)class), action_name(cell->action));
		comma = ", ";
	}
	buf_add_text(ret, *comma ? ".\n" : "none in this version.\n");
}

void
man_reasons(const struct action_table *table, struct buf *ret)
{
	buf_add_text(ret, ".Bl -tag -width Ds\n");
	for (int reason = REASON_UNKNOWN + 1; reason < N_REASONS; reason++) {
		const struct reason_row *row = reason_row((enum reason)reason);

		buf_printf(ret, ".It Li %s\n", row->word);
		add_line(ret, "", row->english, ".");
		add_line(ret, "", row->indonesian, ".");
		buf_printf(ret, "Refused with %s %s, deferred with 451 %s.\n", row->code, row->status, row->defer);
		add_line(ret, "What to look at: ", row->hint, ".");
		add_cells(table, (enum reason)reason, ret);
	}
	buf_add_text(ret, ".El\n");
}
