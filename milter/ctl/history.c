#include "milter/ctl/history.h"

#include <glob.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "milter/audit/audit.h"
#include "milter/ctl/phrase.h"
#include "milter/filter/role.h"
#include "policy/config.h"

/* --- records kept --- */

struct kept {
	char *file, *time, *event, *why; /* why NULL = its hash holds */
	uint64_t line;
	size_t n_pairs;
	char **pairs; /* key, value, key, value, ... */
};

/* What one message is called: the word that was asked for, and what records that have it also name. */
struct names {
	char **at; /* owned */
	size_t n;
};

struct history {
	const char *id;
	struct names names;
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

static bool
has_name(const struct names *names, const char *word)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->at[i], word) == 0)
			return true;
	return false;
}

static void
add_name(struct names *names, const char *word)
{
	if (!*word || has_name(names, word))
		return;
	names->at = xrealloc(names->at, (names->n + 1) * sizeof(*names->at));
	names->at[names->n++] = xstrdup(word);
}

static void
names_done(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->at[i]);
	free(names->at);
}

static void
forget_records(struct history *history)
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
	history->at = NULL;
	history->n = 0;
}

static void
history_done(struct history *history)
{
	forget_records(history);
	names_done(&history->names);
}

/*
 * The filter calls a message's own id "id", the key agent and segel-reviewd "session". Those two and an item are one
 * message's for ever, and lead on to further records; a queue id is given to another message some day.
 */
static const struct name_key {
	const char *key;
	bool leads_on;
} name_keys[] = {
	{ "qid", false }, { "queue", false }, { "id", true }, { "session", true }, { "item", true },
};

static bool
names(const struct audit_record *record, const struct names *wanted)
{
	for (size_t i = 0; i < record->n_pairs; i++)
		for (size_t k = 0; k < N_ELEMENTS(name_keys); k++)
			if (strcmp(record->pairs[i].key, name_keys[k].key) == 0 && has_name(wanted, record->pairs[i].value))
				return true;
	return false;
}

static bool
keep(void *ctx, const struct audit_record *record)
{
	struct history *history = ctx;
	struct kept *kept;

	if (!names(record, &history->names))
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

/* Did the records that are kept name it otherwise, too? A record that was changed leads nowhere. */
static bool
learn_names(struct history *history)
{
	const size_t before = history->names.n;

	for (size_t i = 0; i < history->n; i++)
		for (size_t k = 0; k < N_ELEMENTS(name_keys); k++)
			if (name_keys[k].leads_on && !history->at[i].why)
				add_name(&history->names, value_of(&history->at[i], name_keys[k].key));
	return history->names.n > before;
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
read_folder(struct ctl *ctl, struct history *history, const char *dir, bool first, size_t *n_files)
{
	AUTO(xfree) char *pattern = xasprintf("%s/*.audit", dir);
	glob_t files = { 0 };
	struct err err;

	(void)glob(pattern, 0, NULL, &files);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		history->file = files.gl_pathv[i];
		if (audit_read(history->file, keep, history, &err) == 0)
			++*n_files;
		else if (first)
			(void)ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	}
	globfree(&files);
}

static size_t
read_folders(struct ctl *ctl, struct history *history, const struct config *config, bool first)
{
	size_t n_files = 0;

	forget_records(history);
	for (const struct role_traits *role = role_table; role->name; role++)
		read_folder(ctl, history, role_settings(role, config)->audit_dir, first, &n_files);
	read_folder(ctl, history, config->keyd.audit_dir, first, &n_files);
	read_folder(ctl, history, config->quarantine.audit_dir, first, &n_files);
	return n_files;
}

/* From a queue id to the filter's record, to the item, to its reviewers and back: more rounds lead nowhere new. */
enum { MOST_ROUNDS = 4 };

static enum ctl_exit
read_all(struct ctl *ctl, struct history *history)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf problems = { 0 };
	size_t n_files;

	buf_init(&problems, 64 * 1024);
	if (config_load(ctl->config_file ? ctl->config_file : CONFIG_FILE, &config, &problems) == -1) {
		fputs(buf_text(&problems), ctl->err);
		return ctl_fail(ctl, CTL_UNAVAILABLE, "the settings do not say where the records are");
	}
	add_name(&history->names, history->id);
	n_files = read_folders(ctl, history, config, true);
	for (int i = 1; i < MOST_ROUNDS && learn_names(history); i++)
		(void)read_folders(ctl, history, config, false);
	if (n_files == 0)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "no audit files that we may read in '%s', '%s', '%s' and the other roles' audit_dir",
		    config->submission.role.audit_dir, config->keyd.audit_dir, config->quarantine.audit_dir);
	if (history->n == 0)
		return ctl_fail(ctl, CTL_FALSE, "no record names '%s', neither as queue id nor as the id that a sender saw in "
		    "brackets, nor as an item of the quarantine", history->id);
	qsort(history->at, history->n, sizeof(*history->at), compare);
	return CTL_OK;
}

/* --- in words --- */

static const struct phrase event_phrases[] = {
	{ "message", "the filter decided" },
	{ "not-applied", "the MTA did not take the filter's changes; it kept the message, and its client was told to try again" },
	{ "seal-intent", "the key agent recorded that it would sign" },
	{ "unwrap-intent", "the key agent recorded that it would unwrap the key that the held message is encrypted with" },
	{ "decrypt-intent", "the key agent recorded that it would try to open the message's content key" },
	{ "decrypt-failed", "the filter told the key agent that the message did not open; it counts against its client" },
	{ "hold", "segel-reviewd took the message in, encrypted" },
	{ "hold-failed", "segel-reviewd could not keep it: there is no such item, and the filter was told so" },
	{ NULL, NULL },
};

/* In this order, each on a line of its own where the record has it; with phrases, what the word means stands below. */
static const struct label {
	const char *key, *label;
	const struct phrase *phrases;
} labels[] = {
	{ "class", "class", NULL },
	{ "login", "login", NULL },
	{ "role", "role", NULL },
	{ "auth", "login by", NULL },
	{ "from", "From", NULL },
	{ "envelope", "envelope", NULL },
	{ "sender", "envelope", NULL },
	{ "client", "client", NULL },
	{ "tls", "TLS", NULL },
	{ "cipher", "cipher", NULL },
	{ "ccert", "client cert", NULL },
	{ "ccert-subject", "  its name", NULL },
	{ "ccert-issuer", "  issued by", NULL },
	{ "decrypted", "decrypted", decrypted_phrases },
	{ "decrypt-cipher", "  cipher", NULL },
	{ "decrypt-key", "  key", NULL },
	{ "decrypt-layers", "  layers", NULL },
	{ "signature", "signature", signature_phrases },
	{ "coverage", "  covers", coverage_phrases },
	{ "signer", "signed with", NULL },
	{ "serial", "  serial", NULL },
	{ "issuer", "  issued by", NULL },
	{ "chain", "  chain", chain_phrases },
	{ "revocation", "  revocation", revocation_phrases },
	{ "registry", "  registry", registry_phrases },
	{ "msgid", "Message-ID", NULL },
	{ "rcpts", "recipients", NULL },
	{ "recipients", "recipients", NULL },
	{ "size", "bytes", NULL },
	{ "sha256", "SHA-256", NULL },
	{ "cert", "certificate", NULL },
	{ "entity", "sealed hash", NULL },
	{ "encrypt-certs", "encrypted for", NULL },
	{ "encrypt-to", "  certificates", NULL },
	{ "asked-for", "  asked for", NULL },
	{ "key", "key", NULL },
	{ "alg", "digest by", NULL },
	{ "digest", "digest", NULL },
	{ "uid", "asked by uid", NULL },
	{ "pid", "process", NULL },
	{ "why", "why", NULL },
	{ "detail", "detail", NULL },
	{ "finding", "finding", NULL },
	{ "version", "its version", NULL },
	{ "ms", "took ms", NULL },
	{ "original", "kept as", NULL },
	{ "item", "item", NULL },
	{ "id", "id", NULL },
	{ "session", "id", NULL },
};

/* A reviewer's act: "quarantine-view". NULL: it is none. */
static const char *
act_of(const char *event)
{
	static const char prefix[] = "quarantine-";

	return strncmp(event, prefix, sizeof(prefix) - 1) == 0 ? event + sizeof(prefix) - 1 : NULL;
}

static const char *
meaning_of(const char *event)
{
	const char *act = act_of(event);

	return act ? phrase_of(item_event_phrases, act) : phrase_of(event_phrases, event);
}

/* Where findings decided, "reason" holds them; elsewhere somebody said why. */
static bool
has_findings(const struct kept *kept)
{
	return *value_of(kept, "action") != '\0';
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
	AUTO(xfree) char *words = xstrdup(has_findings(kept) ? value_of(kept, "reason") : "");
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
	if (*value_of(kept, "encrypt"))
		print_line(ctl, "encryption", phrase_of(encrypt_phrases, value_of(kept, "encrypt")));
}

/* The authority's statement that was judged by. */
static void
print_status_time(struct ctl *ctl, const struct kept *kept)
{
	const char *text = value_of(kept, "status-at");
	char when[CTL_TIME_BYTES];

	if (!*text)
		return;
	ctl_time_text(strtoll(text, NULL, 10), when);
	print_line(ctl, "    as of", when);
}

static void
print_label(struct ctl *ctl, const struct kept *kept, const struct label *label)
{
	const char *word = value_of(kept, label->key);
	const char *phrase = label->phrases ? phrase_of_first(label->phrases, word) : NULL;

	if (!*word)
		return;
	print_line(ctl, label->label, word);
	if (phrase)
		print_line(ctl, "", phrase);
	if (label->phrases == revocation_phrases)
		print_status_time(ctl, kept);
}

static void
print_head(struct ctl *ctl, const struct kept *kept)
{
	fprintf(ctl->out, "%s  ", kept->time);
	if (act_of(kept->event) && *value_of(kept, "login")) {
		ctl_print(ctl, value_of(kept, "login"));
		fputs(": ", ctl->out);
	}
	fprintf(ctl->out, "%s\n", meaning_of(kept->event));
}

static void
print_kept(struct ctl *ctl, const struct kept *kept)
{
	print_head(ctl, kept);
	if (kept->why) {
		AUTO(xfree) char *text = xasprintf("this record cannot be trusted: %s", kept->why);

		print_line(ctl, "WARNING", text);
	}
	if (has_findings(kept))
		print_verdict(ctl, kept);
	else if (*value_of(kept, "reason"))
		print_line(ctl, "because", value_of(kept, "reason"));
	for (size_t i = 0; i < N_ELEMENTS(labels); i++)
		print_label(ctl, kept, &labels[i]);
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
	json_object_set_new(object, "meaning", text_json(meaning_of(kept->event)));
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
