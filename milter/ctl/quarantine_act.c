/* segelctl quarantine release, recall, delete, extend, hold, note, purge: what changes an item. */
#include <string.h>

#include "milter/ctl/phrase.h"
#include "milter/ctl/quarantine.h"
#include "policy/setting.h"

AUTO_DEFINE(json_t, json_decref);

#define REASON { .name = "reason", .meta = "TEXT", .help = "why, on one line; goes on record with your login", .required = true }
#define VERSION { .name = "version", .meta = "N", .help = "only if it is still this version (show): not what somebody changed meanwhile" }

const struct ctl_option ctl_quarantine_reason_options[] = {
	REASON,
	VERSION,
	{ .name = NULL },
};

const struct ctl_option ctl_quarantine_release_options[] = {
	REASON,
	{ .name = "to", .meta = "ADDRESS", .help = "to these of its recipients only", .many = true },
	VERSION,
	{ .name = NULL },
};

const struct ctl_option ctl_quarantine_extend_options[] = {
	REASON,
	{ .name = "keep", .meta = "DURATION", .help = "how long from now: 30d", .required = true },
	VERSION,
	{ .name = NULL },
};

const struct ctl_option ctl_quarantine_hold_options[] = {
	REASON,
	{ .name = "off", .help = "ends it" },
	VERSION,
	{ .name = NULL },
};

/* --- the request --- */

static enum ctl_exit
add_to(struct ctl *ctl, json_t *request)
{
	json_t *to = json_array();

	if (!ctl_option(ctl, "to")) {
		json_decref(to);
		return CTL_OK;
	}
	json_object_set_new(request, "to", to);
	for (size_t i = 0; ctl_option_nth(ctl, "to", i); i++)
		if (json_array_append_new(to, json_string(ctl_option_nth(ctl, "to", i))) == -1)
			return ctl_fail(ctl, CTL_USAGE, "--to '%s' is no UTF-8", ctl_option_nth(ctl, "to", i));
	return CTL_OK;
}

static enum ctl_exit
add_keep(struct ctl *ctl, json_t *request)
{
	const char *text = ctl_option(ctl, "keep");
	long ms;

	if (setting_duration(text, &ms) == -1 || ms < 1000)
		return ctl_fail(ctl, CTL_USAGE, "--keep '%s': wanted how long from now, with a unit: 12h, 30d", text);
	json_object_set_new(request, "keep", json_integer(ms / 1000));
	return CTL_OK;
}

static enum ctl_exit
add_on(struct ctl *ctl, json_t *request)
{
	json_object_set_new(request, "on", json_boolean(!ctl_flag(ctl, "off")));
	return CTL_OK;
}

enum ctl_exit
review_request(struct review *review, const char *op, json_t **ret)
{
	struct ctl *ctl = review->ctl;
	const char *reason = ctl_option(ctl, "reason"), *version = ctl_option(ctl, "version");
	char id[ITEM_ID_BYTES];
	enum ctl_exit code;

	if (strspn(reason, " ") == strlen(reason))
		return ctl_fail(ctl, CTL_USAGE, "--reason is empty: say why in a few words; they go on record with your login");
	if (version && (!*version || strlen(version) > 9 || version[strspn(version, "0123456789")]))
		return ctl_fail(ctl, CTL_USAGE, "--version '%s': wanted the number that `segelctl quarantine show` prints behind \"version\"", version);
	code = review_find(review, ctl_arg(ctl, 0), id);
	if (code != CTL_OK)
		return code;
	*ret = json_pack("{s:s, s:s, s:s}", "op", op, "id", id, "reason", reason);
	if (!*ret)
		return ctl_fail(ctl, CTL_USAGE, "--reason is no UTF-8");
	if (version)
		json_object_set_new(*ret, "version", json_integer(strtol(version, NULL, 10)));
	return CTL_OK;
}

/* --- acts --- */

/* What became of it, by the state that it has now. */
static const char *
release_text(const json_t *last)
{
	const char *state = review_text(last, "state");

	if (strcmp(state, item_state_name(ITEM_RELEASED)) == 0)
		return "released: verified again, and the mail server has taken it";
	if (strcmp(state, item_state_name(ITEM_WAITING)) == 0)
		return "your yes is on record; a second person must release it, too";
	return "your request is on record; the security team decides";
}

static const char *
recall_text(const json_t *last)
{
	if (json_is_true(json_object_get(last, "doubtful")))
		return "called back: it is where it was; but an earlier try got no answer, so that it may have arrived";
	return "called back: it is where it was, and the mail server has never had it";
}

static const char *
delete_text(const json_t *last)
{
	if (strcmp(review_text(last, "state"), item_state_name(ITEM_DELETED)) == 0)
		return "deleted: its body is gone";
	return "your wish is on record; a manager carries it out";
}

static const char *
extend_text(const json_t *last)
{
	(void)last;
	return "kept longer";
}

static const char *
hold_text(const json_t *last)
{
	(void)last;
	return "legal hold: changed as you asked, and on record";
}

static const char *
note_text(const json_t *last)
{
	(void)last;
	return "written down";
}

static const struct act {
	const char *op;
	enum ctl_exit (*add)(struct ctl *ctl, json_t *request); /* NULL = nothing more */
	const char *(*text)(const json_t *last);
} release = { "release", add_to, release_text }, recall = { "recall", NULL, recall_text }, delete = { "delete", NULL, delete_text }, extend = { "extend", add_keep, extend_text },
  hold = { "hold", add_on, hold_text }, note = { "note", NULL, note_text };

static void
print_done(struct ctl *ctl, const char *id, const char *text, const json_t *last)
{
	AUTO(json_decref) json_t *object = NULL;

	if (!ctl->json) {
		ctl_print(ctl, id);
		fprintf(ctl->out, ": %s (version %lld)\n", text, (long long)review_number(last, "version"));
		return;
	}
	object = json_pack("{s:s, s:s, s:I}", "id", id, "state", review_text(last, "state"), "version", (json_int_t)review_number(last, "version"));
	json_dumpf(object, ctl->out, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	fputc('\n', ctl->out);
}

enum { JUDGE_MS = 60 * 1000 };

/* One more release may be at work before ours. */
static void
wait_longer(struct review *review, const struct act *act)
{
	if (act == &release || act == &recall)
		review->timeout_ms += 2 * ((int)review->config->quarantine.release_timeout + JUDGE_MS);
}

static enum ctl_exit
run(struct ctl *ctl, const struct act *act)
{
	AUTO_REVIEW struct review review = { .fd = -1 };
	AUTO_ANSWER struct review_answer answer = { 0 };
	AUTO(json_decref) json_t *request = NULL;
	enum ctl_exit code = review_open(ctl, &review);

	if (code == CTL_OK)
		code = review_request(&review, act->op, &request);
	if (code == CTL_OK && act->add)
		code = act->add(ctl, request);
	if (code != CTL_OK)
		return code;
	wait_longer(&review, act);
	code = review_ask(&review, request, NULL, &answer);
	if (code == CTL_OK)
		print_done(ctl, review_text(request, "id"), act->text(answer.last), answer.last);
	return code;
}

enum ctl_exit
ctl_quarantine_release(struct ctl *ctl)
{
	return run(ctl, &release);
}

enum ctl_exit
ctl_quarantine_recall(struct ctl *ctl)
{
	return run(ctl, &recall);
}

enum ctl_exit
ctl_quarantine_delete(struct ctl *ctl)
{
	return run(ctl, &delete);
}

enum ctl_exit
ctl_quarantine_extend(struct ctl *ctl)
{
	return run(ctl, &extend);
}

enum ctl_exit
ctl_quarantine_hold(struct ctl *ctl)
{
	return run(ctl, &hold);
}

enum ctl_exit
ctl_quarantine_note(struct ctl *ctl)
{
	return run(ctl, &note);
}

enum ctl_exit
ctl_quarantine_purge(struct ctl *ctl)
{
	static const char *const names[] = { "bodies", "rows", "failed" };
	AUTO(json_decref) json_t *request = json_pack("{s:s}", "op", "purge");
	AUTO_REVIEW struct review review = { .fd = -1 };
	AUTO_ANSWER struct review_answer answer = { 0 };
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(names, N_ELEMENTS(names));
	struct ctl_cell cells[N_ELEMENTS(names)];
	enum ctl_exit code = review_open(ctl, &review);

	if (code == CTL_OK)
		code = review_ask(&review, request, NULL, &answer);
	if (code != CTL_OK)
		return code;
	for (size_t i = 0; i < N_ELEMENTS(names); i++)
		cells[i] = (struct ctl_cell){ .kind = CELL_NUMBER, .number = review_number(answer.last, names[i]) };
	ctl_table_row(table, cells);
	ctl_table_print_one(ctl, table);
	return cells[2].number ? CTL_UNAVAILABLE : CTL_OK;
}
