#include "milter/ctl/history.h"

#include <glob.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "milter/audit/audit.h"
#include "milter/filter/role.h"
#include "policy/config.h"

/* --- records kept --- */

struct kept {
	char *file, *time, *event, *why; /* why NULL = its hash holds */
	uint64_t line;
	size_t n_pairs;
	char **pairs; /* key, value, key, value, ... */
};

struct history {
	const char *id;
	const char *file; /* being read */
	struct kept *at;
	size_t n;
};

static const char *
value_of(const struct kept *kept, const char *key)
{
	for (size_t i = 0; i < kept->n_pairs; i++) {
		if (strcmp(kept->pairs[2 * i], key) == 0)
			return kept->pairs[2 * i + 1];
	}
	return "";
}

static void
history_done(struct history *history)
{
	for (size_t i = 0; i < history->n; i++) {
		struct kept *kept = &history->at[i];

		for (size_t j = 0; j < 2 * kept->n_pairs; j++)
			free(kept->pairs[j]);
		free(kept->pairs);
		free(kept->file);
		free(kept->time);
		free(kept->event);
		free(kept->why);
	}
	free(history->at);
}

/* The filter calls a message's own id "id", the key agent "session". */
static bool
names(const struct audit_record *record, const char *id)
{
	for (size_t i = 0; i < record->n_pairs; i++) {
		const char *key = record->pairs[i].key;

		if ((strcmp(key, "qid") == 0 || strcmp(key, "id") == 0 || strcmp(key, "session") == 0)
		    && strcmp(record->pairs[i].value, id) == 0)
			return true;
	}
	return false;
}

static bool
keep(void *ctx, const struct audit_record *record)
{
	struct history *history = ctx;
	struct kept *kept;

	if (!names(record, history->id))
		return true;
	history->at = xrealloc(history->at, (history->n + 1) * sizeof(*history->at));
	kept = &history->at[history->n++];
	*kept = (struct kept){
		.file = xstrdup(history->file),
		.time = xstrdup(record->time),
		.event = xstrdup(record->event),
		.why = record->good ? NULL : xstrdup(record->why),
		.line = record->line,
		.n_pairs = record->n_pairs,
		.pairs = xcalloc(2 * record->n_pairs + 1, sizeof(*kept->pairs)),
	};
	for (size_t i = 0; i < record->n_pairs; i++) {
		kept->pairs[2 * i] = xstrdup(record->pairs[i].key);
		kept->pairs[2 * i + 1] = xstrdup(record->pairs[i].value);
	}
	return true;
}

/* By time; the key agent's intent comes before what the filter makes of it. */
static int
compare(const void *a, const void *b)
{
	const struct kept *left = a, *right = b;
	const int by_time = strcmp(left->time, right->time);
	const int by_file = strcmp(left->file, right->file);

	if (by_time)
		return by_time;
	if (by_file)
		return by_file;
	return left->line < right->line ? -1 : left->line > right->line;
}

/* Audit files of one folder; one that we may not see is a warning, because the rest is worth showing. */
static void
read_folder(struct ctl *ctl, struct history *history, const char *dir, size_t *n_files)
{
	AUTO(xfree) char *pattern = xasprintf("%s/*.audit", dir);
	glob_t files = { 0 };
	struct err err;

	(void)glob(pattern, 0, NULL, &files);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		history->file = files.gl_pathv[i];
		if (audit_read(history->file, keep, history, &err) == -1)
			(void)ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
		else
			++*n_files;
	}
	globfree(&files);
}

static enum ctl_exit
read_all(struct ctl *ctl, struct history *history)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf problems = { 0 };
	size_t n_files = 0;

	buf_init(&problems, 64 * 1024);
	if (config_load(ctl->config_file ? ctl->config_file : CONFIG_FILE, &config, &problems) == -1) {
		fputs(buf_text(&problems), ctl->err);
		return ctl_fail(ctl, CTL_UNAVAILABLE, "the settings do not say where the records are");
	}
	for (const struct role_traits *role = role_table; role->name; role++)
		read_folder(ctl, history, role_settings(role, config)->audit_dir, &n_files);
	read_folder(ctl, history, config->keyd.audit_dir, &n_files);
	if (n_files == 0)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "no audit files that we may read in '%s', '%s' and the other roles' audit_dir",
		    config->submission.role.audit_dir, config->keyd.audit_dir);
	if (history->n == 0)
		return ctl_fail(ctl, CTL_FALSE, "no record names '%s', neither as queue id nor as the id that a sender saw in "
		    "brackets", history->id);
	qsort(history->at, history->n, sizeof(*history->at), compare);
	return CTL_OK;
}

/* --- in words --- */

struct phrase {
	const char *word, *phrase;
};

static const struct phrase action_phrases[] = {
	{ "accept", "accepted" },
	{ "tag", "accepted, with what was found in its header" },
	{ "defer", "not accepted; its client was told to try again (4xx)" },
	{ "hold", "held for review" },
	{ "reject", "refused; its sender was told why (5xx)" },
	{ "reject+hold", "refused; its sender was told why (5xx), and a copy was kept" },
	{ NULL, NULL },
};

static const struct phrase seal_phrases[] = {
	{ "clear", "sealed in clear (multipart/signed)" },
	{ "opaque", "sealed as a whole (application/pkcs7-mime)" },
	{ "none", "not sealed" },
	{ "none:already-signed", "untouched: its author had signed it" },
	{ "none:already-encrypted", "untouched: its author had encrypted it" },
	{ NULL, NULL },
};

static const struct phrase event_phrases[] = {
	{ "message", "the filter decided" },
	{ "not-applied", "the MTA did not take the filter's changes; it kept the message, and its client was told to try again" },
	{ "seal-intent", "the key agent recorded that it would sign" },
	{ NULL, NULL },
};

/* In this order, each on a line of its own where the record has it. */
static const struct phrase label_phrases[] = {
	{ "class", "class" },
	{ "login", "login" },
	{ "auth", "login by" },
	{ "from", "From" },
	{ "envelope", "envelope" },
	{ "client", "client" },
	{ "tls", "TLS" },
	{ "cipher", "cipher" },
	{ "ccert", "client cert" },
	{ "ccert-subject", "  its name" },
	{ "ccert-issuer", "  issued by" },
	{ "msgid", "Message-ID" },
	{ "rcpts", "recipients" },
	{ "size", "bytes" },
	{ "cert", "certificate" },
	{ "entity", "sealed hash" },
	{ "key", "key" },
	{ "alg", "digest by" },
	{ "digest", "digest" },
	{ "uid", "asked by uid" },
	{ "pid", "process" },
	{ "why", "why" },
	{ "ms", "took ms" },
	{ "id", "id" },
	{ "session", "id" },
	{ NULL, NULL },
};

/* The word itself where we know no better. */
static const char *
phrase_of(const struct phrase *table, const char *word)
{
	for (; table->word; table++) {
		if (strcmp(table->word, word) == 0)
			return table->phrase;
	}
	return word;
}

static void
print_line(struct ctl *ctl, const char *label, const char *value)
{
	fprintf(ctl->out, "  %-13s", label);
	ctl_print(ctl, value);
	fputc('\n', ctl->out);
}

/* Calls back for each finding of a "reason" value: words joined by commas. */
static void
each_reason(const struct kept *kept, void (*each)(void *ctx, const char *word), void *ctx)
{
	AUTO(xfree) char *words = xstrdup(value_of(kept, "reason"));
	char *rest = NULL;

	for (char *word = strtok_r(words, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
		each(ctx, word);
}

static void
print_reason(void *ctx, const char *word)
{
	struct ctl *ctl = ctx;
	const enum reason reason = reason_from(word);

	print_line(ctl, "finding", word);
	if (reason == REASON_UNKNOWN)
		return; /* of another version of the program */
	print_line(ctl, "  that is", reason_text(reason, LANGUAGE_EN));
	print_line(ctl, "  what to do", reason_row(reason)->hint);
}

static void
print_verdict(struct ctl *ctl, const struct kept *kept)
{
	print_line(ctl, "outcome", phrase_of(action_phrases, value_of(kept, "action")));
	if (strcmp(value_of(kept, "pretend"), "yes") == 0)
		print_line(ctl, "", "only pretended: the message passed as it was");
	each_reason(kept, print_reason, ctl);
	if (*value_of(kept, "evidence"))
		print_line(ctl, "evidence", value_of(kept, "evidence"));
	if (*value_of(kept, "seal"))
		print_line(ctl, "seal", phrase_of(seal_phrases, value_of(kept, "seal")));
}

static void
print_kept(struct ctl *ctl, const struct kept *kept)
{
	fprintf(ctl->out, "%s  %s\n", kept->time, phrase_of(event_phrases, kept->event));
	if (kept->why) {
		AUTO(xfree) char *text = xasprintf("this record cannot be trusted: %s", kept->why);

		print_line(ctl, "WARNING", text);
	}
	if (*value_of(kept, "action"))
		print_verdict(ctl, kept);
	for (const struct phrase *label = label_phrases; label->word; label++) {
		if (*value_of(kept, label->word))
			print_line(ctl, label->phrase, value_of(kept, label->word));
	}
	fprintf(ctl->out, "  %-13s", "on record in");
	ctl_print(ctl, kept->file);
	fprintf(ctl->out, ":%" PRIu64 "\n\n", kept->line);
}

/* --- as JSON --- */

/* Bytes that JSON cannot hold are shown as for a terminal. */
static json_t *
text_json(const char *text)
{
	AUTO_BUF struct buf escaped = { 0 };
	json_t *json = json_string(text);

	if (json)
		return json;
	buf_init(&escaped, 4 * strlen(text) + 1);
	ctl_escape(&escaped, text);
	return json_string(buf_text(&escaped));
}

static void
add_reason(void *ctx, const char *word)
{
	const enum reason reason = reason_from(word);
	json_t *object = json_object();

	json_object_set_new(object, "finding", text_json(word));
	json_object_set_new(object, "text", reason == REASON_UNKNOWN ? json_null() : json_string(reason_text(reason, LANGUAGE_EN)));
	json_object_set_new(object, "hint", reason == REASON_UNKNOWN ? json_null() : json_string(reason_row(reason)->hint));
	json_array_append_new(ctx, object);
}

static json_t *
kept_json(const struct kept *kept)
{
	json_t *object = json_object(), *values = json_object(), *findings = json_array();

	for (size_t i = 0; i < kept->n_pairs; i++)
		json_object_set_new(values, kept->pairs[2 * i], text_json(kept->pairs[2 * i + 1]));
	each_reason(kept, add_reason, findings);
	json_object_set_new(object, "time", text_json(kept->time));
	json_object_set_new(object, "event", text_json(kept->event));
	json_object_set_new(object, "meaning", text_json(phrase_of(event_phrases, kept->event)));
	json_object_set_new(object, "file", text_json(kept->file));
	json_object_set_new(object, "line", json_integer((json_int_t)kept->line));
	json_object_set_new(object, "good", json_boolean(!kept->why));
	json_object_set_new(object, "findings", findings);
	json_object_set_new(object, "values", values);
	return object;
}

static void
print_json(struct ctl *ctl, const struct history *history)
{
	json_t *array = json_array();

	for (size_t i = 0; i < history->n; i++)
		json_array_append_new(array, kept_json(&history->at[i]));
	json_dumpf(array, ctl->out, JSON_INDENT(2));
	fputc('\n', ctl->out);
	json_decref(array);
}

enum ctl_exit
history_explain(struct ctl *ctl, const char *id)
{
	struct history history = { .id = id };
	enum ctl_exit result = read_all(ctl, &history);

	if (result == CTL_OK && ctl->json)
		print_json(ctl, &history);
	for (size_t i = 0; i < history.n; i++) {
		if (result == CTL_OK && !ctl->json)
			print_kept(ctl, &history.at[i]);
	}
	for (size_t i = 0; i < history.n && result == CTL_OK; i++) {
		if (history.at[i].why)
			result = ctl_fail(ctl, CTL_FALSE, "%s: line %" PRIu64 ": %s", history.at[i].file, history.at[i].line,
			    history.at[i].why);
	}
	history_done(&history);
	return result;
}
