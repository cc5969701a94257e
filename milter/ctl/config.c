/* segelctl config: check, dump and sample of the settings. */
#include <jansson.h>

#include "milter/ctl/ctl.h"
#include "milter/ctl/nouns.h"
#include "policy/config_quarantine.h"
#include "policy/man.h"
#include "policy/setting.h"

enum { SETTINGS_BYTES = 1024 * 1024 };

static const char *
settings_file(struct ctl *ctl)
{
	if (ctl_arg(ctl, 0))
		return ctl_arg(ctl, 0);
	return ctl->config_file ? ctl->config_file : CONFIG_FILE;
}

static enum ctl_exit
load(struct ctl *ctl, struct config **ret)
{
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, SETTINGS_BYTES);
	if (config_load(settings_file(ctl), ret, &problems) == 0)
		return CTL_OK;
	fputs(buf_text(&problems), ctl->err);
	return CTL_FALSE;
}

/* Settings that are good, and may still be meant otherwise. */
static void
print_notes(struct ctl *ctl, const struct config *config)
{
	AUTO_BUF struct buf notes = { 0 };
	const char *rest, *line;
	size_t len;

	buf_init(&notes, SETTINGS_BYTES);
	config_notes(config, &notes);
	rest = buf_text(&notes);
	while ((line = text_line(&rest, &len)))
		fprintf(ctl->out, "note: %.*s\n", (int)len, line);
}

static enum ctl_exit
check(struct ctl *ctl)
{
	AUTO(config_free) struct config *config = NULL;
	enum ctl_exit result = load(ctl, &config);

	if (result != CTL_OK)
		return result;
	fprintf(ctl->out, "%s: good\n", settings_file(ctl));
	print_notes(ctl, config);
	return CTL_OK;
}

static json_t *rows_json(const struct row_list *list, const struct setting *setting);

static json_t *
texts_json(const struct text_list *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++)
		json_array_append_new(array, json_string(list->at[i]));
	return array;
}

/* Sizes are bytes and durations milliseconds. */
static json_t *
value_json(const void *at, const struct setting *setting)
{
	switch (setting->type) {
	case SETTING_TEXT:
		return json_string(*(char *const *)at);
	case SETTING_BOOL:
		return json_boolean(*(const bool *)at);
	case SETTING_NUMBER:
	case SETTING_SIZE:
	case SETTING_DURATION:
		return json_integer(*(const long *)at);
	case SETTING_CHOICE:
		return json_string(setting->choices[*(const long *)at]);
	case SETTING_TEXTS:
		return texts_json(at);
	case SETTING_ROWS:
		return rows_json(at, setting);
	}
	return json_null();
}

static json_t *
table_json(const void *base, const struct setting *table)
{
	json_t *object = json_object();

	for (; table->name; table++)
		json_object_set_new(object, table->name, value_json((const char *)base + table->offset, table));
	return object;
}

static json_t *
rows_json(const struct row_list *list, const struct setting *setting)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++)
		json_array_append_new(array, table_json((const char *)list->rows + i * setting->row_size, setting->row));
	return array;
}

static enum ctl_exit
print_json(struct ctl *ctl, const struct config *config)
{
	json_t *object = table_json(config, settings);

	json_dumpf(object, ctl->out, JSON_INDENT(2));
	fputc('\n', ctl->out);
	json_decref(object);
	return CTL_OK;
}

static enum ctl_exit
dump(struct ctl *ctl)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf text = { 0 };
	enum ctl_exit result = load(ctl, &config);

	if (result != CTL_OK)
		return result;
	if (ctl->json)
		return print_json(ctl, config);
	buf_init(&text, SETTINGS_BYTES);
	config_dump(config, &text);
	fputs(buf_text(&text), ctl->out);
	return CTL_OK;
}

static enum ctl_exit
sample(struct ctl *ctl)
{
	AUTO_BUF struct buf text = { 0 };

	buf_init(&text, SETTINGS_BYTES);
	if (ctl_flag(ctl, "man"))
		man_settings(&text);
	else
		setting_sample(&text);
	fputs(buf_text(&text), ctl->out);
	return CTL_OK;
}

static const struct ctl_option sample_options[] = {
	{ .name = "man", .help = "the same as a part of segel.conf(5), in mdoc" },
	{ .name = NULL },
};

const struct ctl_command ctl_config_commands[] = {
	{ "check", CTL_PLAIN, { "[FILE]" }, NULL, "report every problem of the settings, with file and line", check },
	{ "dump", CTL_READS, { "[FILE]" }, NULL, "print the effective settings, defaults included", dump },
	{ "sample", CTL_PLAIN, { NULL }, sample_options, "print a commented settings file with every default", sample },
	{ .run = NULL },
};
