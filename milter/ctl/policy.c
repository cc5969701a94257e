/* segelctl policy: the effective action table. */
#include <jansson.h>
#include <stdlib.h>

#include "milter/ctl/ctl.h"
#include "milter/ctl/nouns.h"
#include "policy/explain.h"
#include "policy/man.h"
#include "policy/setting.h"

/* The table of the settings file; the defaults with --defaults, or where there is no file at the usual place. */
static enum ctl_exit
load_table(struct ctl *ctl, struct action_table *ret)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf problems = { 0 };

	table_defaults(ret);
	if (ctl_flag(ctl, "defaults"))
		return CTL_OK;
	buf_init(&problems, 64 * 1024);
	if (config_load(ctl->config_file ? ctl->config_file : CONFIG_FILE, &config, &problems) == -1) {
		fputs(buf_text(&problems), ctl->err);
		return ctl_fail(ctl, CTL_UNAVAILABLE, "the settings cannot be read; --defaults shows the built-in table");
	}
	*ret = config->table;
	return CTL_OK;
}

static json_t *
row_json(const struct action_table *table, enum reason reason)
{
	json_t *row = json_object();

	json_object_set_new(row, "finding", json_string(reason_word(reason)));
	for (int class = CLASS_SUBMISSION; class < N_CLASSES; class++) {
		const struct cell *cell = &table->cells[reason][class];

		json_object_set_new(row, class_name((enum class)class),
		    cell->reachable ? json_string(action_name(cell->action)) : json_null());
	}
	json_object_set_new(row, "status", json_string(reason_row(reason)->status));
	json_object_set_new(row, "text_id", json_string(reason_text(reason, LANGUAGE_ID)));
	json_object_set_new(row, "text_en", json_string(reason_text(reason, LANGUAGE_EN)));
	return row;
}

static void
print_json(struct ctl *ctl, const struct action_table *table)
{
	json_t *rows = json_array();

	for (int reason = REASON_UNKNOWN + 1; reason < N_REASONS; reason++)
		json_array_append_new(rows, row_json(table, (enum reason)reason));
	json_dumpf(rows, ctl->out, JSON_INDENT(2));
	fputc('\n', ctl->out);
	json_decref(rows);
}

static enum ctl_exit
show(struct ctl *ctl)
{
	struct action_table table;
	enum ctl_exit result = load_table(ctl, &table);
	AUTO_BUF struct buf text = { 0 };

	if (result != CTL_OK)
		return result;
	if (ctl->json) {
		print_json(ctl, &table);
		return CTL_OK;
	}
	buf_init(&text, 64 * 1024);
	if (ctl_flag(ctl, "man"))
		man_reasons(&table, &text);
	else
		explain_table(&table, &text);
	fputs(buf_text(&text), ctl->out);
	return CTL_OK;
}

static const struct ctl_option show_options[] = {
	{ .name = "defaults", .help = "the built-in table, whatever the settings say" },
	{ .name = "man", .help = "as a part of segel-events(7), in mdoc" },
	{ .name = NULL },
};

const struct ctl_command ctl_policy_commands[] = {
	{ "show", CTL_READS, { NULL }, show_options, "what is done about which finding, class by class", show },
	{ .run = NULL },
};
