/* segelctl audit: the records that the daemons keep, and whether their chains hold. */
#include <glob.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "milter/audit/checkpoint.h"
#include "milter/ctl/ctl.h"
#include "milter/ctl/nouns.h"
#include "milter/filter/role.h"
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

/* A folder stands for the audit files in it. */
static void
add_named(struct ctl *ctl, glob_t *files)
{
	for (size_t i = 0; i < CTL_MAX_POSITIONAL && ctl_arg(ctl, i); i++) {
		const char *name = ctl_arg(ctl, i);
		struct stat st;

		if (stat(name, &st) == 0 && S_ISDIR(st.st_mode))
			add_folder(name, files);
		else /* a name with pattern characters, or of no file, stands for itself: opening it says what is wrong */
			(void)glob(name, GLOB_NOCHECK | GLOB_NOMAGIC | (files->gl_pathc ? GLOB_APPEND : 0), NULL, files);
	}
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
		return files->gl_pathc ? CTL_OK : ctl_fail(ctl, CTL_UNAVAILABLE, "no audit files that we may see in the folders named");
	}
	buf_init(&problems, 64 * 1024);
	if (config_load(settings, &config, &problems) == -1) {
		fputs(buf_text(&problems), ctl->err);
		return ctl_fail(ctl, CTL_UNAVAILABLE, "the settings cannot be read; name the audit files instead");
	}
	for (const struct role_traits *role = role_table; role->name; role++)
		add_folder(role_settings(role, config)->audit_dir, files);
	add_folder(config->keyd.audit_dir, files);
	if (files->gl_pathc == 0)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "no audit files that we may see in '%s', '%s' and the other roles' audit_dir",
		    config->submission.role.audit_dir, config->keyd.audit_dir);
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

/* What the files are held against, beside their own chains. */
struct elsewhere {
	const char *log;                 /* NULL = none given */
	struct checkpoints *checkpoints; /* owned; NULL without log */
	bool *used;                      /* owned; which of them spoke of a chain we were given */
	struct checkpoint expected;      /* seq 0 = none given */
};

static void
elsewhere_done(struct elsewhere *elsewhere)
{
	checkpoints_free(elsewhere->checkpoints);
	free(elsewhere->used);
}

/* One file on its way. */
struct checked {
	struct elsewhere *elsewhere;
	const struct checkpoint *next; /* the checkpoints of this chain that are still ahead */
	size_t n_ahead;
	bool spoken_of;    /* somebody outside knows this chain */
	uint64_t n;
	uint64_t seq;      /* of the last good record */
	uint64_t line;     /* it stands there */
	unsigned char hash[AUDIT_HASH_BYTES];
	uint64_t bad_line; /* the first; 0 = none */
	char why[256];
	char last[32];     /* time of the last record */
};

static void
find_checkpoints(struct checked *checked, const unsigned char *first)
{
	struct elsewhere *elsewhere = checked->elsewhere;

	if (elsewhere->expected.seq) {
		checked->next = &elsewhere->expected;
		checked->n_ahead = 1;
	} else if (elsewhere->checkpoints && first) {
		checked->n_ahead = checkpoints_of(elsewhere->checkpoints, first, &checked->next);
		for (size_t i = 0; i < checked->n_ahead; i++)
			elsewhere->used[checked->next - elsewhere->checkpoints->at + (ptrdiff_t)i] = true;
	}
	checked->spoken_of = checked->n_ahead > 0;
}

static void
name_checkpoint(const struct checked *checked, char *ret, size_t room)
{
	if (checked->next->line)
		snprintf(ret, room, "checkpoint in line %" PRIu64 " of '%s'", checked->next->line, checked->elsewhere->log);
	else
		snprintf(ret, room, "--expect");
}

/* False: this record is not the one that was there when the checkpoint was made. */
static bool
meet_checkpoints(struct checked *checked, const struct audit_record *record)
{
	char name[200];

	for (; checked->n_ahead && checked->next->seq <= record->seq; checked->next++, checked->n_ahead--) {
		if (checkpoint_agrees(checked->next, record->hash))
			continue;
		name_checkpoint(checked, name, sizeof(name));
		checked->bad_line = record->line;
		snprintf(checked->why, sizeof(checked->why), "record %" PRIu64 " is another one than when it was written: %s has "
		    "hash %.16s", record->seq, name, checked->next->hash);
		return false;
	}
	return true;
}

static bool
check_one(void *ctx, const struct audit_record *record)
{
	struct checked *checked = ctx;

	checked->n++;
	if (!record->good) {
		checked->bad_line = record->line;
		snprintf(checked->why, sizeof(checked->why), "%s", record->why);
		return false;
	}
	snprintf(checked->last, sizeof(checked->last), "%s", record->time);
	checked->seq = record->seq;
	checked->line = record->line;
	memcpy(checked->hash, record->hash, sizeof(checked->hash));
	if (checked->n == 1)
		find_checkpoints(checked, record->hash);
	return meet_checkpoints(checked, record);
}

/* What only the end of the file shows. */
static void
check_end(struct checked *checked)
{
	const struct elsewhere *elsewhere = checked->elsewhere;
	char name[200];

	if (checked->bad_line)
		return;
	if (checked->n == 0)
		find_checkpoints(checked, NULL);
	if (checked->n_ahead) {
		const struct checkpoint *last = checked->next + checked->n_ahead - 1;

		checked->next = last;
		name_checkpoint(checked, name, sizeof(name));
		snprintf(checked->why, sizeof(checked->why), "ends with record %" PRIu64 ", but %s knows record %" PRIu64 ": "
		    "the tail was cut off", checked->seq, name, last->seq);
	} else if (elsewhere->log && checked->n > 0 && !checked->spoken_of) {
		snprintf(checked->why, sizeof(checked->why), "no checkpoint in '%s' speaks of this chain: written anew, or the "
		    "log of another time or machine", elsewhere->log);
	} else {
		return;
	}
	checked->bad_line = checked->line + 1;
}

static void
add_row(struct ctl_table *table, const char *file, const struct checked *checked)
{
	char end[2 * AUDIT_HASH_BYTES + 24] = "";
	size_t len = checked->seq ? (size_t)snprintf(end, sizeof(end), "%" PRIu64 ":", checked->seq) : 0;
	const struct ctl_cell cells[] = {
		{ .kind = CELL_TEXT, .text = file },
		{ .kind = CELL_BOOL, .number = checked->bad_line == 0 },
		{ .kind = CELL_NUMBER, .number = (int64_t)checked->n },
		{ .kind = CELL_TEXT, .text = checked->last },
		{ .kind = checked->bad_line ? CELL_NUMBER : CELL_NONE, .number = (int64_t)checked->bad_line },
		{ .kind = checked->bad_line ? CELL_TEXT : CELL_NONE, .text = checked->why },
		{ .kind = checked->seq ? CELL_TEXT : CELL_NONE, .text = end },
	};

	for (size_t i = 0; checked->seq && i < sizeof(checked->hash); i++)
		len += (size_t)snprintf(end + len, sizeof(end) - len, "%02x", checked->hash[i]);
	ctl_table_row(table, cells);
}

static enum ctl_exit
worse(enum ctl_exit before, enum ctl_exit now)
{
	return before == CTL_UNAVAILABLE || now == CTL_OK ? before : now;
}

static enum ctl_exit
verify_file(struct ctl *ctl, struct elsewhere *elsewhere, struct ctl_table *table, const char *file)
{
	struct checked checked = { .elsewhere = elsewhere };
	struct err err;

	if (audit_read(file, check_one, &checked, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	check_end(&checked);
	add_row(table, file, &checked);
	if (checked.bad_line == 0)
		return CTL_OK;
	return ctl_fail(ctl, CTL_FALSE, "%s: line %" PRIu64 ": %s", file, checked.bad_line, checked.why);
}

static bool
was_given(const glob_t *files, const char *name)
{
	for (size_t i = 0; i < files->gl_pathc; i++) {
		const char *slash = strrchr(files->gl_pathv[i], '/');

		if (strcmp(slash ? slash + 1 : files->gl_pathv[i], name) == 0)
			return true;
	}
	return false;
}

/* A chain that the log knows and nobody gave us: removed, or moved aside. Files not asked for do not count. */
static enum ctl_exit
report_missing(struct ctl *ctl, const struct elsewhere *elsewhere, const glob_t *files)
{
	const struct checkpoints *all = elsewhere->checkpoints;
	enum ctl_exit result = CTL_OK;

	for (size_t i = 0; all && i < all->n; i++) {
		const struct checkpoint *last = &all->at[i];
		bool ends_chain = i + 1 == all->n || strcmp(last->chain, all->at[i + 1].chain) != 0;

		if (!ends_chain || elsewhere->used[i] || (ctl_arg(ctl, 0) && !was_given(files, last->file)))
			continue;
		result = ctl_fail(ctl, CTL_FALSE, "%s: chain %s is missing: line %" PRIu64 " of '%s' knows it up to record %" PRIu64
		    "; if it was moved aside, name that file too", last->file, last->chain, last->line, elsewhere->log, last->seq);
	}
	return result;
}

static enum ctl_exit
open_elsewhere(struct ctl *ctl, const glob_t *files, struct elsewhere *ret)
{
	const char *expect = ctl_option(ctl, "expect");
	struct err err;

	ret->log = ctl_option(ctl, "checkpoints");
	if (expect && (ret->log || files->gl_pathc != 1))
		return ctl_fail(ctl, CTL_USAGE, "--expect goes with one FILE (there are %zu) and without --checkpoints", files->gl_pathc);
	if (expect && !checkpoint_from(expect, &ret->expected))
		return ctl_fail(ctl, CTL_USAGE, "--expect '%s': wanted SEQ:HASH as verify prints it under 'end'", expect);
	if (!ret->log)
		return CTL_OK;
	if (checkpoints_load(ret->log, &ret->checkpoints, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	ret->used = xcalloc(ret->checkpoints->n + 1, sizeof(*ret->used));
	if (ret->checkpoints->bad_line)
		return ctl_fail(ctl, CTL_FALSE, "%s: line %" PRIu64 ": a checkpoint that cannot be read: cut or changed", ret->log,
		    ret->checkpoints->bad_line);
	return CTL_OK;
}

static enum ctl_exit
verify_all(struct ctl *ctl, struct elsewhere *elsewhere, const glob_t *files, enum ctl_exit result)
{
	static const char *const columns[] = { "file", "good", "records", "last", "bad_line", "why", "end" };
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(columns, N_ELEMENTS(columns));

	for (size_t i = 0; i < files->gl_pathc; i++)
		result = worse(result, verify_file(ctl, elsewhere, table, files->gl_pathv[i]));
	ctl_table_print(ctl, table);
	return worse(result, report_missing(ctl, elsewhere, files));
}

static enum ctl_exit
verify(struct ctl *ctl)
{
	struct elsewhere elsewhere = { .log = NULL };
	glob_t files = { 0 };
	enum ctl_exit result = find_files(ctl, &files);

	/* The log first: a file that grows meanwhile holds what the log said before. */
	if (result == CTL_OK)
		result = open_elsewhere(ctl, &files, &elsewhere);
	if (result == CTL_OK || result == CTL_FALSE)
		result = verify_all(ctl, &elsewhere, &files, result);
	elsewhere_done(&elsewhere);
	globfree(&files);
	return result;
}

static const struct ctl_option list_options[] = {
	{ .name = "event", .meta = "EVENT", .help = "only records of this event: seal-intent, message, ..." },
	{ .name = "qid", .meta = "ID", .help = "only records of this queue id" },
	{ .name = NULL },
};

static const struct ctl_option verify_options[] = {
	{ .name = "checkpoints", .meta = "LOG", .help = "a log with the daemons' checkpoints (audit-checkpoint ...): "
	  "finds a tail that was cut off, a file written anew or taken away" },
	{ .name = "expect", .meta = "SEQ:HASH", .help = "FILE must hold this record, as verify once printed it under 'end'" },
	{ .name = NULL },
};

const struct ctl_command ctl_audit_commands[] = {
	{ "list", CTL_READS, { "[FILE]", "[FILE]", "[FILE]" }, list_options,
	  "records of these files; of all that the settings name, without FILE. Exit 1: a chain does not hold", list },
	{ "verify", CTL_READS, { "[FILE]", "[FILE]", "[FILE]" }, verify_options,
	  "does each file's chain hold, from the first record to the last? Exit 1: no, at the line named", verify },
	{ .run = NULL },
};
