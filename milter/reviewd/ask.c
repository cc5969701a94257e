#include "milter/reviewd/ask.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "milter/log.h"
#include "milter/quarantine/frame.h"
#include "milter/quarantine/item_json.h"
#include "milter/reviewd/act.h"
#include "milter/reviewd/child.h"
#include "milter/reviewd/purge.h"
#include "milter/reviewd/query.h"
#include "milter/reviewd/recall.h"
#include "milter/reviewd/release.h"

AUTO_DEFINE(json_t, json_decref);

enum {
	IDLE_MS = 5 * 60 * 1000,
	FRAME_MS = 5 * 1000,
	REASON_BYTES = 1000,
	MOST_KEEP = 3650L * 24 * 60 * 60,
};

/* One request and where its answer goes. */
struct request {
	struct desk *desk;
	const struct desk_settings *settings;
	int fd;
	const struct reviewer *reviewer;
	const json_t *fields;
	struct petition petition;
	bool gone; /* the peer: nothing more can be said */
};

static int
put_json(struct request *request, const json_t *object)
{
	struct err err;

	if (!request->gone && frame_send_json(request->fd, object, ANSWER_MS, &err) == -1)
		request->gone = true;
	return request->gone ? -1 : 0;
}

static void
put_row(struct request *request, json_t *row)
{
	AUTO(json_decref) json_t *object = json_pack("{s:o}", "row", row);

	if (object)
		(void)!put_json(request, object);
}

static void
say_ok(struct request *request, json_t *fields)
{
	struct err err;

	request->gone = answer_ok(request->fd, fields, &err) == -1 || request->gone;
}

static void
say_error(struct request *request, enum answer_word word, const char *text)
{
	struct err err;

	request->gone = answer_error(request->fd, word, text, &err) == -1 || request->gone;
}

static void
say_outcome(struct request *request)
{
	const struct outcome *outcome = &request->petition.outcome;

	if (outcome->done)
		say_ok(request, json_pack("{s:s, s:I}", "state", item_state_name(outcome->state), "version", (json_int_t)outcome->version));
	else
		say_error(request, outcome->word, outcome->err.text);
}

static void
say_store(struct request *request, enum store_outcome outcome, const struct err *err)
{
	say_error(request, answer_of_store(outcome), err->kind == ERR_NONE ? store_outcome_name(outcome) : err->text);
}

/* ---- list, show, stats ---- */

static enum permit
permit(const struct request *request, enum act act)
{
	return permit_of(request->reviewer->role, act);
}

static bool
denied(struct request *request, enum act act)
{
	char text[128];

	if (permit(request, act) != PERMIT_NO)
		return false;
	snprintf(text, sizeof(text), "%s: the role %s may not", act_name(act), reviewer_role_name(request->reviewer->role));
	say_error(request, ANSWER_DENIED, text);
	return true;
}

struct rows {
	json_t *list;
	bool subjects;
};

static void
keep_line(void *ctx, const struct item_line *line)
{
	struct rows *rows = ctx;

	json_array_append_new(rows->list, query_line(line, rows->subjects));
}

/* How the release of an item on its way stands, for whoever may read histories. */
static void
add_release(const struct request *request, const char *id, const char *state, json_t *ret)
{
	struct release_standing standing;
	struct err err;

	if (permit(request, ACT_LIST) == PERMIT_OWN || strcmp(state, item_state_name(ITEM_RELEASING)) != 0)
		return;
	if (store_release_of(request->desk->store, id, &standing, &err) == STORE_DONE)
		json_object_set_new(ret, "release", query_release(&standing));
}

static void
put_line(struct request *request, json_t *row)
{
	add_release(request, json_string_value(json_object_get(row, "id")), json_string_value(json_object_get(row, "state")), row);
	put_row(request, json_incref(row));
}

static void
on_list(struct request *request)
{
	static const char *const none[] = { NULL };
	AUTO(json_decref) json_t *list = json_array();
	struct rows rows = { list, permit(request, ACT_SUBJECT) != PERMIT_NO };
	struct item_filter filter;
	struct err err = { ERR_NONE, "" };
	enum store_outcome outcome;
	size_t total = 0;

	if (denied(request, ACT_LIST))
		return;
	if (query_filter(request->fields, &filter, &err) == -1) {
		say_error(request, ANSWER_USAGE, err.text);
		return;
	}
	if (*filter.subject && !rows.subjects) {
		say_error(request, ANSWER_DENIED, "subject: this role may not read subjects, nor search by them");
		return;
	}
	if (permit(request, ACT_LIST) == PERMIT_OWN)
		filter.own = request->reviewer->own ? (const char *const *)request->reviewer->own : none;
	filter.registry_only = permit(request, ACT_LIST) == PERMIT_REGISTRY;
	outcome = store_list(request->desk->store, &filter, keep_line, &rows, &total, &err);
	if (outcome != STORE_DONE && outcome != STORE_NOT_FOUND) {
		say_store(request, outcome, &err);
		return;
	}
	for (size_t i = 0; i < json_array_size(list) && !request->gone; i++)
		put_line(request, json_array_get(list, i));
	say_ok(request, json_pack("{s:I}", "total", (json_int_t)total));
}

static void
keep_event(void *ctx, const struct item_event *event)
{
	json_array_append_new(ctx, query_event(event));
}

static void
on_show(struct request *request)
{
	AUTO(json_decref) json_t *history = json_array();
	struct petition *petition = &request->petition;
	struct item item;
	json_t *object, *fields;
	enum store_outcome outcome;

	if (act_look(petition, ACT_LIST, &item) == -1) {
		say_outcome(request);
		return;
	}
	outcome = store_history(request->desk->store, item.id, keep_event, history, &petition->outcome.err);
	object = outcome == STORE_DONE ? item_to_json(&item, true, &petition->outcome.err) : NULL;
	if (object) {
		if (permit(request, ACT_SUBJECT) == PERMIT_NO)
			json_object_del(object, "subject");
		for (size_t i = 0; permit(request, ACT_LIST) != PERMIT_OWN && i < json_array_size(history) && !request->gone; i++)
			put_row(request, json_incref(json_array_get(history, i)));
		fields = json_pack("{s:o, s:b}", "item", object, "own", act_is_own(request->reviewer, &item));
		add_release(request, item.id, item_state_name(item.state), fields);
		say_ok(request, fields);
	} else {
		say_store(request, outcome, &petition->outcome.err);
	}
	item_done(&item);
}

static void
on_stats(struct request *request)
{
	struct store_stats stats;
	struct err err = { ERR_NONE, "" };
	enum store_outcome outcome;

	if (denied(request, ACT_STATS))
		return;
	outcome = store_stats(request->desk->store, &stats, &err);
	if (outcome == STORE_DONE)
		say_ok(request, query_stats(&stats));
	else
		say_store(request, outcome, &err);
}

/* ---- view, export ---- */

/* On record and in the item's history before a byte goes out. */
static int
record_look(struct request *request, enum act act, struct item *ret)
{
	struct petition *petition = &request->petition;
	struct item_change change = { .state = ITEM_UNKNOWN };
	int result;

	pthread_mutex_lock(&request->desk->acts);
	result = act_look(petition, act, ret);
	if (result == 0) {
		change.state = ret->state == ITEM_NEW ? ITEM_SEEN : ITEM_UNKNOWN;
		result = ret->has_body ? act_do(petition, ret, act_name(act), "", &change)
				       : act_fail(petition, ANSWER_REFUSED, "its body is gone: %s", item_state_name(ret->state));
		if (result == -1)
			item_done(ret);
	}
	pthread_mutex_unlock(&request->desk->acts);
	if (result == 0)
		log_line(LOG_LEVEL_INFO, "item %s: %s by %s", ret->id, act_name(act), request->reviewer->login);
	return result;
}

static int
put_data(void *ctx, struct slice bytes, struct err *err)
{
	struct request *request = ctx;

	while (bytes.len) {
		const size_t len = bytes.len < FRAME_BYTES ? bytes.len : FRAME_BYTES;

		if (frame_send(request->fd, FRAME_DATA, (struct slice){ bytes.at, len }, ANSWER_MS, err) == -1) {
			request->gone = true;
			return -1;
		}
		bytes.at += len;
		bytes.len -= len;
	}
	return 0;
}

static void
end_data(struct request *request)
{
	struct err err;

	if (frame_send(request->fd, FRAME_END, (struct slice){ NULL, 0 }, ANSWER_MS, &err) == -1)
		request->gone = true;
	else
		say_outcome(request);
}

static int
view_body(struct request *request, const struct item *item, struct err *err)
{
	AUTO_BUF struct buf text = { 0 };

	if (child_view(request->desk, request->settings, item, &text, err) == -1)
		return -1;
	return put_data(request, buf_slice(&text), err);
}

static int
export_body(struct request *request, const struct item *item, struct err *err)
{
	const struct box_sink sink = { put_data, request };

	return body_read(request->desk, request->settings, item, "export", &sink, err);
}

static void
on_body(struct request *request, enum act act, int (*give)(struct request *request, const struct item *item, struct err *err))
{
	struct err err = { ERR_NONE, "" };
	struct item item;
	int result;

	if (record_look(request, act, &item) == -1) {
		say_outcome(request);
		return;
	}
	result = give(request, &item, &err);
	if (result == -1 && !request->gone) {
		log_line(LOG_LEVEL_ERROR, "item %s: %s for %s failed: %s", item.id, act_name(act), request->reviewer->login, err.text);
		say_error(request, ANSWER_UNAVAILABLE, err.text);
	} else if (result == 0) {
		end_data(request);
	}
	item_done(&item);
}

static void
on_view(struct request *request)
{
	on_body(request, ACT_VIEW, view_body);
}

static void
on_export(struct request *request)
{
	on_body(request, ACT_EXPORT, export_body);
}

/* ---- decisions ---- */

/* Looks, lets `change` say what is to be done, and does it, with nothing in between. */
static void
decide(struct request *request, enum act act, int (*change)(struct request *request, const struct item *item))
{
	struct item item;

	pthread_mutex_lock(&request->desk->acts);
	if (act_look(&request->petition, act, &item) == 0) {
		(void)!change(request, &item);
		item_done(&item);
	}
	pthread_mutex_unlock(&request->desk->acts);
	say_outcome(request);
}

static void
log_decision(const struct request *request, const struct item *item, const char *what)
{
	log_line(LOG_LEVEL_INFO, "item %s: %s by %s", item->id, what, request->reviewer->login);
}

static int
note(struct request *request, const struct item *item)
{
	const struct item_change none = { .state = ITEM_UNKNOWN };

	return act_do(&request->petition, item, "note", "", &none);
}

static void
on_note(struct request *request)
{
	decide(request, ACT_NOTE, note);
}

static int
refuse_while(struct request *request, const struct item *item)
{
	if (item->state == ITEM_RELEASING)
		return act_fail(&request->petition, ANSWER_REFUSED, "it is on its way to the mail server");
	if (!item->has_body)
		return act_fail(&request->petition, ANSWER_REFUSED, "its body is gone: %s", item_state_name(item->state));
	return 0;
}

/* A proposal and a request are words on record: whoever may delete reads them on the item. */
static int
delete(struct request *request, const struct item *item)
{
	const struct item_change none = { .state = ITEM_UNKNOWN }, gone = { .state = ITEM_DELETED, .drop_body = true };
	const enum permit may = permit(request, ACT_DELETE);

	if (refuse_while(request, item) == -1)
		return -1;
	if (may == PERMIT_PROPOSE)
		return act_do(&request->petition, item, "propose-delete", "", &none);
	if (may != PERMIT_YES)
		return act_do(&request->petition, item, "request-delete", "", &none);
	if (item->legal_hold)
		return act_fail(&request->petition, ANSWER_REFUSED, "it is under legal hold");
	if (act_do(&request->petition, item, "delete", "", &gone) == -1)
		return -1;
	log_decision(request, item, "deleted");
	return 0;
}

static void
on_delete(struct request *request)
{
	decide(request, ACT_DELETE, delete);
}

static int
extend(struct request *request, const struct item *item)
{
	const json_int_t keep = json_integer_value(json_object_get(request->fields, "keep"));
	const struct item_change change = { .expires = request->petition.now + keep };
	char detail[64];

	if (refuse_while(request, item) == -1)
		return -1;
	if (keep < 1 || keep > MOST_KEEP)
		return act_fail(&request->petition, ANSWER_USAGE, "keep: seconds from now, at most %ld", (long)MOST_KEEP);
	if (item->expires && change.expires <= item->expires)
		return act_fail(&request->petition, ANSWER_REFUSED, "it is kept longer than that already");
	snprintf(detail, sizeof(detail), "until %lld", (long long)change.expires);
	return act_do(&request->petition, item, "extend", detail, &change);
}

static void
on_extend(struct request *request)
{
	if (!json_is_integer(json_object_get(request->fields, "keep")))
		say_error(request, ANSWER_USAGE, "keep: how many seconds from now");
	else
		decide(request, ACT_EXTEND, extend);
}

static int
legal_hold(struct request *request, const struct item *item)
{
	const bool on = json_is_true(json_object_get(request->fields, "on"));
	const struct item_change change = { .legal_hold = on ? 1 : -1 };

	if (item->legal_hold == on)
		return act_fail(&request->petition, ANSWER_REFUSED, "%s", on ? "it is under legal hold already" : "it is not under legal hold");
	if (act_do(&request->petition, item, on ? "hold" : "unhold", "", &change) == -1)
		return -1;
	log_decision(request, item, on ? "legal hold" : "legal hold ended");
	return 0;
}

static void
on_hold(struct request *request)
{
	if (!json_is_boolean(json_object_get(request->fields, "on")))
		say_error(request, ANSWER_USAGE, "on: true or false");
	else
		decide(request, ACT_HOLD, legal_hold);
}

/* Borrowed from the request; NULL-terminated. */
static const char **
recipients_of(const json_t *list)
{
	const size_t n = json_array_size(list);
	const char **ret = xcalloc(n + 1, sizeof(*ret));

	for (size_t i = 0; i < n; i++)
		ret[i] = json_string_value(json_array_get(list, i));
	return ret;
}

static bool
are_recipients(const json_t *list)
{
	if (json_array_size(list) == 0 || json_array_size(list) > LIMIT_RECIPIENTS)
		return false;
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!json_is_string(json_array_get(list, i)))
			return false;
	return true;
}

static void
on_release(struct request *request)
{
	const json_t *to = json_object_get(request->fields, "to");
	AUTO(xfree) const char **recipients = NULL;

	if (to && !are_recipients(to)) {
		say_error(request, ANSWER_USAGE, "to: a list of recipients, not empty");
		return;
	}
	recipients = to ? recipients_of(to) : NULL;
	request->petition.to = recipients;
	release_item(&request->petition);
	say_outcome(request);
}

static void
on_recall(struct request *request)
{
	const struct outcome *outcome = &request->petition.outcome;
	bool doubtful;

	recall_item(&request->petition, &doubtful);
	if (outcome->done)
		say_ok(request, json_pack("{s:s, s:I, s:b}", "state", item_state_name(outcome->state), "version", (json_int_t)outcome->version,
		    "doubtful", doubtful));
	else
		say_outcome(request);
}

static void
on_purge(struct request *request)
{
	struct err err = { ERR_NONE, "" };
	struct purged purged;

	if (denied(request, ACT_PURGE))
		return;
	if (purge_run(request->desk, request->settings, request->reviewer->login, request->petition.now, &purged, &err) == -1)
		say_error(request, ANSWER_UNAVAILABLE, err.text);
	else
		say_ok(request, json_pack("{s:I, s:I, s:I}", "bodies", (json_int_t)purged.bodies, "rows", (json_int_t)purged.rows, "failed",
		    (json_int_t)purged.failed));
}

static void
on_ping(struct request *request)
{
	say_ok(request, json_pack("{s:s, s:s}", "login", request->reviewer->login, "role", reviewer_role_name(request->reviewer->role)));
}

/* ---- requests ---- */

static const struct op {
	const char *name;
	void (*run)(struct request *request);
	const char *fields[5]; /* NULL first: query_filter() knows them */
	bool one_item;
} ops[] = {
	{ "list", on_list, { NULL }, false },
	{ "show", on_show, { "id" }, true },
	{ "view", on_view, { "id", "version", "reason" }, true },
	{ "export", on_export, { "id", "version", "reason" }, true },
	{ "release", on_release, { "id", "version", "reason", "to" }, true },
	{ "recall", on_recall, { "id", "version", "reason" }, true },
	{ "delete", on_delete, { "id", "version", "reason" }, true },
	{ "extend", on_extend, { "id", "version", "keep", "reason" }, true },
	{ "hold", on_hold, { "id", "version", "on", "reason" }, true },
	{ "note", on_note, { "id", "version", "reason" }, true },
	{ "purge", on_purge, { "op" }, false },
	{ "stats", on_stats, { "op" }, false },
	{ "ping", on_ping, { "op" }, false },
};

static bool
knows(const struct op *op, const char *field)
{
	if (!op->fields[0] || strcmp(field, "op") == 0)
		return true;
	for (size_t i = 0; i < N_ELEMENTS(op->fields) && op->fields[i]; i++)
		if (strcmp(op->fields[i], field) == 0)
			return true;
	return false;
}

static bool
is_reason(const char *reason)
{
	const size_t len = strlen(reason);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)reason[i] < 0x20 || reason[i] == 0x7f)
			return false;
	return len <= REASON_BYTES && (len == 0 || strspn(reason, " ") < len);
}

/* The fields that acts on one item share. False: said what is wrong. */
static bool
read_petition(struct request *request)
{
	struct petition *petition = &request->petition;
	const json_t *version = json_object_get(request->fields, "version"), *reason = json_object_get(request->fields, "reason");

	petition->id = json_string_value(json_object_get(request->fields, "id"));
	petition->reason = reason ? json_string_value(reason) : "";
	petition->version = (long)json_integer_value(version);
	if (!petition->id)
		say_error(request, ANSWER_USAGE, "id: which item");
	else if (version && (!json_is_integer(version) || petition->version < 1))
		say_error(request, ANSWER_USAGE, "version: the number of the item's version that you saw");
	else if (!petition->reason || !is_reason(petition->reason))
		say_error(request, ANSWER_USAGE, "reason: a text of at most 1,000 bytes on one line");
	else
		return true;
	return false;
}

static void
run_op(struct request *request, const struct op *op)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)request->fields, name, value) {
		char text[128];

		(void)value;
		if (knows(op, name))
			continue;
		snprintf(text, sizeof(text), "%s takes no field '%.60s'", op->name, name);
		say_error(request, ANSWER_USAGE, text);
		return;
	}
	if (!op->one_item || read_petition(request))
		op->run(request);
}

static void
run(struct request *request)
{
	const char *name = json_string_value(json_object_get(request->fields, "op"));

	for (size_t i = 0; name && i < N_ELEMENTS(ops); i++)
		if (strcmp(ops[i].name, name) == 0) {
			run_op(request, &ops[i]);
			return;
		}
	say_error(request, ANSWER_USAGE, "op: list, show, view, export, release, delete, extend, hold, note, purge, stats or ping");
}

/* ---- who asks ---- */

static bool
login_of(uid_t uid, char ret[64])
{
	char buffer[4096];
	struct passwd entry, *found = NULL;

	if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) != 0 || !found || strlen(entry.pw_name) >= 64)
		return false;
	snprintf(ret, 64, "%s", entry.pw_name);
	return true;
}

/* False: refused, and told so. */
static bool
recognise(struct request *request, uid_t peer, struct registry_reviewer *found, struct reviewer *ret)
{
	char text[512];

	*ret = (struct reviewer){ .role = REVIEWER_NONE };
	if (!login_of(peer, ret->login)) {
		say_error(request, ANSWER_DENIED, "your user has no login");
		return false;
	}
	registry_reviewer(request->settings->registry, ret->login, request->petition.now, found);
	ret->role = found->answer == REGISTRY_FOUND ? reviewer_role_from(found->role) : REVIEWER_NONE;
	ret->person = found->person;
	ret->own = found->own;
	if (found->answer == REGISTRY_UNAVAILABLE) {
		snprintf(text, sizeof(text), "who may review could not be found out: %s", found->why);
		say_error(request, ANSWER_UNAVAILABLE, text);
		return false;
	}
	if (ret->role != REVIEWER_NONE && ret->person != 0)
		return true;
	snprintf(text, sizeof(text), "%s is no reviewer%s%s", ret->login, *found->why ? ": " : "", found->why);
	log_line(LOG_LEVEL_WARNING, "review: refused: %s (uid %lu)", text, (unsigned long)peer);
	say_error(request, ANSWER_DENIED, text);
	return false;
}

static bool
serve_one(struct desk *desk, const struct desk_settings *settings, int fd, uid_t peer)
{
	struct err err = { ERR_NONE, "" };
	AUTO(json_decref) json_t *fields = frame_take_json(fd, FRAME_MS, &err);
	struct registry_reviewer found = { .answer = REGISTRY_UNAVAILABLE };
	struct reviewer reviewer;
	struct request request = { .desk = desk, .settings = settings, .fd = fd, .reviewer = &reviewer, .fields = fields };

	if (!fields) {
		log_line(LOG_LEVEL_WARNING, "review: connection of uid %lu ends: %s", (unsigned long)peer, err.text);
		say_error(&request, ANSWER_USAGE, err.text);
		return false;
	}
	request.petition = (struct petition){ .desk = desk, .settings = settings, .reviewer = &reviewer, .now = time(NULL) };
	if (recognise(&request, peer, &found, &reviewer))
		run(&request);
	else
		request.gone = true;
	registry_reviewer_done(&found);
	return !request.gone;
}

void
ask_serve(struct desk *desk, int fd, uid_t peer)
{
	bool go_on = true;

	while (go_on && desk_wait(desk, fd, IDLE_MS) == 1) {
		const struct desk_settings *settings = desk_ref(desk);

		go_on = serve_one(desk, settings, fd, peer);
		desk_unref(desk, settings);
	}
}
