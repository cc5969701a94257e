/* segelctl audit: the records that the daemons keep, and whether their chains hold. */
#include <glob.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "milter/audit/audit.h"
#include "milter/ctl/ctl.h"
#include "milter/ctl/nouns.h"
#include "policy/config.h"


/* Bytes in text that JSON cannot hold are shown as for a terminal. */
static json_t *
json_text(const char *text)
{
	AUTO_BUF struct buf escaped = { 0 };
	json_t *json = json_string(text);

	if (json)
		return json;
	buf_init(&escaped, 4 * strlen(text) + 1);
	ctl_escape(&escaped, text);
	return json_string(buf_text(&escaped));
}

/* --- which files --- */

/* Every audit file in it; a folder without any adds nothing. */
static void
add_folder(const char *dir, glob_t *files)
{
	AUTO(xfree) char *pattern = xasprintf("%s/*.audit", dir);

	(void)glob(pattern, files->gl_pathc ? GLOB_APPEND : 0, NULL, files);
}

static void
add_named(struct ctl *ctl, glob_t *files)
{
	for (size_t i = 0; i < CTL_MAX_POSITIONAL && ctl_arg(ctl, i); i++)
		/* A name with pattern characters, or of no file, stands for itself: opening it says what is wrong. */
		(void)glob(ctl_arg(ctl, i), GLOB_NOCHECK | GLOB_NOMAGIC | (i ? GLOB_APPEND : 0), NULL, files);
}

/* Those named; else all in the folders of the settings. */
static enum ctl_exit
find_files(struct ctl *ctl, glob_t *files)
{
	const char *settings = ctl->config_file ? ctl->config_file : CONFIG_FILE;
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf problems = { 0 };

	if (ctl_arg(ctl, 0)) {
		add_named(ctl, files);
		return CTL_OK;
	}
	buf_init(&problems, 64 * 1024);
	if (config_load(settings, &config, &problems) == -1) {
		fputs(buf_text(&problems), ctl->err);
		return ctl_fail(ctl, CTL_UNAVAILABLE, "the settings cannot be read; name the audit files instead");
	}
	add_folder(config->submission.audit_dir, files);
	add_folder(config->keyd.audit_dir, files);
	if (files->gl_pathc == 0)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "no audit files that we may see in '%s' and '%s'",
		    config->submission.audit_dir, config->keyd.audit_dir);
	return CTL_OK;
}

/* --- list --- */

struct listing {
	struct ctl *ctl;
	const char *file;
	const char *event; /* NULL = any */
	const char *queue_id;
	bool any;          /* one was printed: JSON needs a comma */
	uint64_t bad_line; /* of this file; 0 = none so far */
	char why[256];
};

static const char *
value_of(const struct audit_record *record, const char *key)
{
	for (size_t i = 0; i < record->n_pairs; i++) {
		if (strcmp(record->pairs[i].key, key) == 0)
			return record->pairs[i].value;
	}
	return NULL;
}

/* What was changed may have lost its event: no filter hides it. */
static bool
is_wanted(const struct listing *listing, const struct audit_record *record)
{
	const char *queue_id = value_of(record, "qid");

	if (!record->good)
		return true;
	if (listing->event && strcmp(record->event, listing->event) != 0)
		return false;
	return !listing->queue_id || (queue_id && strcmp(queue_id, listing->queue_id) == 0);
}

static void
print_pair(struct ctl *ctl, const struct audit_pair *pair)
{
	bool quote = *pair->value == '\0' || strchr(pair->value, ' ') != NULL;

	fprintf(ctl->out, " %s=%s", pair->key, quote ? "\"" : "");
	ctl_print(ctl, pair->value);
	if (quote)
		fputc('"', ctl->out);
}

static void
print_record(struct ctl *ctl, const struct audit_record *record)
{
	fprintf(ctl->out, "%s %s", record->time, record->event);
	for (size_t i = 0; i < record->n_pairs; i++)
		print_pair(ctl, &record->pairs[i]);
	if (!record->good)
		fprintf(ctl->out, " [line %" PRIu64 ": %s]", record->line, record->why);
	fputc('\n', ctl->out);
}

static void
print_json(struct listing *listing, const struct audit_record *record)
{
	json_t *object = json_object();
	json_t *values = json_object();

	json_object_set_new(object, "file", json_text(listing->file));
	json_object_set_new(object, "line", json_integer((json_int_t)record->line));
	json_object_set_new(object, "seq", json_integer((json_int_t)record->seq));
	json_object_set_new(object, "time", json_text(record->time));
	json_object_set_new(object, "event", json_text(record->event));
	json_object_set_new(object, "good", json_boolean(record->good));
	json_object_set_new(object, "why", record->why ? json_text(record->why) : json_null());
	for (size_t i = 0; i < record->n_pairs; i++)
		json_object_set_new(values, record->pairs[i].key, json_text(record->pairs[i].value));
	json_object_set_new(object, "values", values);
	fputs(listing->any ? ",\n" : "\n", listing->ctl->out);
	json_dumpf(object, listing->ctl->out, JSON_COMPACT);
	json_decref(object);
}

static bool
list_one(void *ctx, const struct audit_record *record)
{
	struct listing *listing = ctx;

	if (!record->good && !listing->bad_line) {
		listing->bad_line = record->line;
		snprintf(listing->why, sizeof(listing->why), "%s", record->why);
	}
	if (!is_wanted(listing, record))
		return true;
	if (listing->ctl->json)
		print_json(listing, record);
	else
		print_record(listing->ctl, record);
	listing->any = true;
	return true;
}

/* One file; the worse of this outcome and the one so far. */
static enum ctl_exit
list_file(struct listing *listing, enum ctl_exit before)
{
	struct err err;

	listing->bad_line = 0;
	if (audit_read(listing->file, list_one, listing, &err) == -1)
		return ctl_fail_err(listing->ctl, CTL_UNAVAILABLE, &err);
	if (listing->bad_line == 0)
		return before;
	(void)ctl_fail(listing->ctl, CTL_FALSE, "%s: line %" PRIu64 ": %s", listing->file, listing->bad_line, listing->why);
	return before == CTL_UNAVAILABLE ? before : CTL_FALSE;
}

static enum ctl_exit
list(struct ctl *ctl)
{
	struct listing listing = { .ctl = ctl, .event = ctl_option(ctl, "event"), .queue_id = ctl_option(ctl, "qid") };
	glob_t files = { 0 };
	enum ctl_exit result = find_files(ctl, &files);

	if (result == CTL_OK && ctl->json)
		fputc('[', ctl->out);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		listing.file = files.gl_pathv[i];
		result = list_file(&listing, result);
	}
	if (files.gl_pathc && ctl->json)
		fputs("\n]\n", ctl->out);
	globfree(&files);
	return result;
}

/* --- verify --- */

struct checked {
	uint64_t n;
	uint64_t bad_line; /* the first; 0 = none */
	char why[256];
	char last[32];     /* time of the last record */
};

static bool
check_one(void *ctx, const struct audit_record *record)
{
	struct checked *checked = ctx;

	checked->n++;
	if (record->good) {
		snprintf(checked->last, sizeof(checked->last), "%s", record->time);
		return true;
	}
	checked->bad_line = record->line;
	snprintf(checked->why, sizeof(checked->why), "%s", record->why);
	return false;
}

static void
add_row(struct ctl_table *table, const char *file, const struct checked *checked)
{
	const struct ctl_cell cells[] = {
		{ .kind = CELL_TEXT, .text = file },
		{ .kind = CELL_BOOL, .number = checked->bad_line == 0 },
		{ .kind = CELL_NUMBER, .number = (int64_t)checked->n },
		{ .kind = CELL_TEXT, .text = checked->last },
		{ .kind = checked->bad_line ? CELL_NUMBER : CELL_NONE, .number = (int64_t)checked->bad_line },
		{ .kind = checked->bad_line ? CELL_TEXT : CELL_NONE, .text = checked->why },
	};

	ctl_table_row(table, cells);
}

static enum ctl_exit
verify_file(struct ctl *ctl, struct ctl_table *table, const char *file, enum ctl_exit before)
{
	struct checked checked = { .n = 0 };
	struct err err;

	if (audit_read(file, check_one, &checked, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	add_row(table, file, &checked);
	if (checked.bad_line == 0)
		return before;
	(void)ctl_fail(ctl, CTL_FALSE, "%s: line %" PRIu64 ": %s", file, checked.bad_line, checked.why);
	return before == CTL_UNAVAILABLE ? before : CTL_FALSE;
}

static enum ctl_exit
verify(struct ctl *ctl)
{
	static const char *const columns[] = { "file", "good", "records", "last", "bad_line", "why" };
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(columns, N_ELEMENTS(columns));
	glob_t files = { 0 };
	enum ctl_exit result = find_files(ctl, &files);

	for (size_t i = 0; i < files.gl_pathc; i++)
		result = verify_file(ctl, table, files.gl_pathv[i], result);
	if (files.gl_pathc)
		ctl_table_print(ctl, table);
	globfree(&files);
	return result;
}

static const struct ctl_option list_options[] = {
	{ .name = "event", .meta = "EVENT", .help = "only records of this event: seal-intent, message, ..." },
	{ .name = "qid", .meta = "ID", .help = "only records of this queue id" },
	{ .name = NULL },
};

const struct ctl_command ctl_audit_commands[] = {
	{ "list", CTL_READS, { "[FILE]", "[FILE]", "[FILE]" }, list_options,
	  "records of these files; of all that the settings name, without FILE. Exit 1: a chain does not hold", list },
	{ "verify", CTL_READS, { "[FILE]", "[FILE]", "[FILE]" }, NULL,
	  "does each file's chain hold, from the first record to the last? Exit 1: no, at the line named", verify },
	{ .run = NULL },
};
