#include "milter/reviewd/query.h"

#include <stdio.h>
#include <string.h>

enum kind { KIND_TEXT, KIND_BOOL, KIND_TIME, KIND_SIZE, KIND_STATE, KIND_REASON, KIND_CLASS, KIND_ACTION };

static const struct query_field {
	const char *name;
	enum kind kind;
	size_t at, size;
} query_fields[] = {
#define FIELD(name, kind) { #name, kind, offsetof(struct item_filter, name), sizeof(((struct item_filter *)0)->name) }
	FIELD(state, KIND_STATE),
	FIELD(open, KIND_BOOL),
	FIELD(reason, KIND_REASON),
	FIELD(class, KIND_CLASS),
	FIELD(action, KIND_ACTION),
	FIELD(from, KIND_TEXT),
	FIELD(sender, KIND_TEXT),
	FIELD(recipient, KIND_TEXT),
	FIELD(subject, KIND_TEXT),
	FIELD(signer, KIND_TEXT),
	FIELD(queue_id, KIND_TEXT),
	FIELD(client, KIND_TEXT),
	FIELD(role, KIND_TEXT),
	FIELD(id, KIND_TEXT),
	FIELD(tls, KIND_TEXT),
	FIELD(by, KIND_TEXT),
	FIELD(since, KIND_TIME),
	FIELD(until, KIND_TIME),
	FIELD(expires_before, KIND_TIME),
	FIELD(min_size, KIND_SIZE),
	FIELD(max_size, KIND_SIZE),
	FIELD(legal_hold, KIND_BOOL),
	FIELD(asked_for, KIND_BOOL),
	FIELD(unparsed, KIND_BOOL),
	FIELD(limit, KIND_SIZE),
	FIELD(offset, KIND_SIZE),
#undef FIELD
};

static bool
set_word(const struct query_field *field, const char *word, void *at)
{
	switch (field->kind) {
	case KIND_STATE:
		*(enum item_state *)at = item_state_from(word);
		return *(enum item_state *)at != ITEM_UNKNOWN;
	case KIND_REASON:
		*(enum reason *)at = reason_from(word);
		return *(enum reason *)at != REASON_UNKNOWN;
	case KIND_CLASS:
		return class_from(word, at);
	case KIND_ACTION:
		return action_from(word, at);
	case KIND_TEXT:
		if (strlen(word) >= field->size)
			return false;
		snprintf(at, field->size, "%s", word);
		return true;
	case KIND_BOOL:
	case KIND_TIME:
	case KIND_SIZE:
		break;
	}
	return false;
}

static bool
set_number(const struct query_field *field, json_int_t number, void *at)
{
	if (number < 0)
		return false;
	if (field->kind == KIND_TIME)
		*(time_t *)at = (time_t)number;
	else if (field->kind == KIND_SIZE)
		*(size_t *)at = (size_t)number;
	return field->kind == KIND_TIME || field->kind == KIND_SIZE;
}

static bool
set(const struct query_field *field, const json_t *value, struct item_filter *ret)
{
	void *at = (char *)ret + field->at;

	if (json_is_string(value))
		return set_word(field, json_string_value(value), at);
	if (json_is_integer(value))
		return set_number(field, json_integer_value(value), at);
	if (field->kind == KIND_BOOL && json_is_boolean(value)) {
		*(bool *)at = json_is_true(value);
		return true;
	}
	return false;
}

static const struct query_field *
find(const char *name)
{
	for (size_t i = 0; i < N_ELEMENTS(query_fields); i++)
		if (strcmp(query_fields[i].name, name) == 0)
			return &query_fields[i];
	return NULL;
}

int
query_filter(const json_t *fields, struct item_filter *ret, struct err *err)
{
	struct item_filter filter = { .state = ITEM_UNKNOWN };
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)fields, name, value) {
		const struct query_field *field = find(name);

		if (strcmp(name, "op") == 0)
			continue;
		if (!field)
			return err_set(err, ERR_TEMP, "list takes no field '%.60s'", name);
		if (!set(field, value, &filter))
			return err_set(err, ERR_TEMP, "%s: not a value it can have", name);
	}
	if (filter.limit > QUERY_MOST_ROWS)
		return err_set(err, ERR_TEMP, "limit: at most %d", QUERY_MOST_ROWS);
	*ret = filter;
	return 0;
}

/* What the store holds is UTF-8 as it was checked on its way in; what is not, says so. */
static void
set_text(json_t *object, const char *name, const char *text)
{
	json_t *value = json_string(text ? text : "");

	json_object_set_new(object, name, value ? value : json_string("?"));
}

json_t *
query_line(const struct item_line *line, bool with_subject)
{
	json_t *ret = json_object();

	set_text(ret, "id", line->id);
	json_object_set_new(ret, "arrived", json_integer(line->arrived));
	json_object_set_new(ret, "expires", json_integer(line->expires));
	set_text(ret, "state", item_state_name(line->state));
	set_text(ret, "class", class_name(line->class));
	set_text(ret, "action", action_name(line->action));
	set_text(ret, "reason", reason_word(line->reason));
	set_text(ret, "from", line->from);
	set_text(ret, "sender", line->sender);
	if (with_subject)
		set_text(ret, "subject", line->subject);
	set_text(ret, "recipient", line->recipient);
	set_text(ret, "queue_id", line->queue_id);
	set_text(ret, "signer", line->signer);
	set_text(ret, "client", line->client);
	set_text(ret, "tls", line->tls);
	set_text(ret, "by", line->by);
	json_object_set_new(ret, "n_recipients", json_integer((json_int_t)line->n_recipients));
	json_object_set_new(ret, "size", json_integer((json_int_t)line->size));
	json_object_set_new(ret, "version", json_integer(line->version));
	json_object_set_new(ret, "legal_hold", json_boolean(line->legal_hold));
	json_object_set_new(ret, "asked_for", json_boolean(line->asked_for));
	json_object_set_new(ret, "has_body", json_boolean(line->has_body));
	return ret;
}

json_t *
query_event(const struct item_event *event)
{
	json_t *ret = json_object();

	json_object_set_new(ret, "at", json_integer(event->at));
	set_text(ret, "what", event->what);
	set_text(ret, "login", event->login);
	set_text(ret, "reason", event->reason);
	set_text(ret, "detail", event->detail);
	return ret;
}

json_t *
query_release(const struct release_standing *standing)
{
	json_t *ret = json_object();

	json_object_set_new(ret, "since", json_integer(standing->began));
	set_text(ret, "login", standing->login);
	json_object_set_new(ret, "tries", json_integer((json_int_t)standing->tries));
	json_object_set_new(ret, "tried", json_integer(standing->tried));
	set_text(ret, "answer", standing->answer);
	json_object_set_new(ret, "settled", json_boolean(standing->settled));
	json_object_set_new(ret, "doubtful", json_boolean(standing->doubtful));
	return ret;
}

json_t *
query_stats(const struct store_stats *stats)
{
	json_t *ret = json_object(), *states = json_object();

	for (int state = ITEM_UNKNOWN + 1; state < N_ITEM_STATES; state++)
		json_object_set_new(states, item_state_name((enum item_state)state), json_integer((json_int_t)stats->items[state]));
	json_object_set_new(ret, "items", states);
	json_object_set_new(ret, "bodies", json_integer((json_int_t)stats->bodies));
	json_object_set_new(ret, "bytes", json_integer((json_int_t)stats->bytes));
	json_object_set_new(ret, "free", json_integer((json_int_t)stats->free_bytes));
	json_object_set_new(ret, "oldest_open", json_integer(stats->oldest_open));
	return ret;
}
