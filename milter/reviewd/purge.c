#include "milter/reviewd/purge.h"

#include <stdio.h>
#include <string.h>

#include "milter/log.h"

enum { AT_A_TIME = 200 };

struct due {
	struct {
		char id[ITEM_ID_BYTES];
		long version;
		enum item_state state;
	} at[AT_A_TIME];
	size_t n;
};

static void
add_due(void *ctx, const char *id, long version, enum item_state state)
{
	struct due *due = ctx;

	if (due->n == AT_A_TIME)
		return;
	snprintf(due->at[due->n].id, sizeof(due->at[due->n].id), "%s", id);
	due->at[due->n].state = state;
	due->at[due->n++].version = version;
}

static int
record(struct desk *desk, const char *event, const char *what, const char *value, const char *login, struct err *err)
{
	const struct audit_pair pairs[] = { { what, value }, { "login", *login ? login : "segel-reviewd" } };

	return audit_append(desk->audit, event, pairs, N_ELEMENTS(pairs), NULL, err);
}

/*
 * Since it was looked for somebody may have put it under legal hold: then it is another version. What was released
 * stays so, without its body.
 */
static enum store_outcome
drop(struct desk *desk, const char *id, long version, enum item_state state, const char *login, time_t now, struct err *err)
{
	const struct item_change change = { .state = state == ITEM_RELEASED ? state : ITEM_EXPIRED, .drop_body = true };
	const struct item_act act = { .id = id, .version = version, .what = "expire", .login = *login ? login : "segel-reviewd",
		.reason = "", .detail = "", .now = now };

	return store_act(desk->store, &act, &change, err);
}

static int
drop_one(struct desk *desk, const char *id, long version, enum item_state state, const char *login, time_t now, struct purged *ret, struct err *err)
{
	enum store_outcome outcome;
	int result;

	pthread_mutex_lock(&desk->acts);
	result = record(desk, "quarantine-expire", "item", id, login, err);
	outcome = result == 0 ? drop(desk, id, version, state, login, now, err) : STORE_UNAVAILABLE;
	pthread_mutex_unlock(&desk->acts);
	if (outcome == STORE_DONE) {
		ret->bodies++;
		return 0;
	}
	ret->failed++;
	log_line(LOG_LEVEL_WARNING, "item %s has expired and stays: %s %s", id, store_outcome_name(outcome), err->text);
	return outcome == STORE_CHANGED || outcome == STORE_NOT_FOUND ? 0 : -1;
}

/* One round; how many were due. -1: trouble. */
static int
drop_some(struct desk *desk, const char *login, time_t now, struct purged *ret, size_t *n, struct err *err)
{
	struct due due = { .n = 0 };
	const enum store_outcome outcome = store_expired(desk->store, now, AT_A_TIME, add_due, &due, err);

	if (outcome != STORE_DONE && outcome != STORE_NOT_FOUND)
		return err->kind == ERR_NONE ? err_set(err, ERR_TEMP, "%s", store_outcome_name(outcome)) : -1;
	for (size_t i = 0; i < due.n; i++)
		if (drop_one(desk, due.at[i].id, due.at[i].version, due.at[i].state, login, now, ret, err) == -1)
			return -1;
	*n = due.n;
	return 0;
}

static int
forget(struct desk *desk, const struct desk_settings *settings, const char *login, time_t now, struct purged *ret, struct err *err)
{
	const time_t before = now - settings->config->quarantine.keep_rows / 1000;
	enum store_outcome outcome;
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)before);
	if (record(desk, "quarantine-purge", "before", text, login, err) == -1)
		return -1;
	pthread_mutex_lock(&desk->acts);
	outcome = store_forget(desk->store, before, &ret->rows, err);
	pthread_mutex_unlock(&desk->acts);
	if (outcome == STORE_DONE || outcome == STORE_NOT_FOUND)
		return 0;
	return err->kind == ERR_NONE ? err_set(err, ERR_TEMP, "%s", store_outcome_name(outcome)) : -1;
}

int
purge_run(struct desk *desk, const struct desk_settings *settings, const char *login, time_t now, struct purged *ret, struct err *err)
{
	size_t n = AT_A_TIME;

	*ret = (struct purged){ 0 };
	while (n == AT_A_TIME) {
		const size_t dropped = ret->bodies;

		if (drop_some(desk, login, now, ret, &n, err) == -1)
			return -1;
		if (ret->bodies == dropped)
			break; /* what cannot go now would be due again for ever */
	}
	if (forget(desk, settings, login, now, ret, err) == -1)
		return -1;
	if (ret->bodies || ret->rows || ret->failed)
		log_line(LOG_LEVEL_INFO, "purge: %zu bodies and %zu rows went, %zu could not", ret->bodies, ret->rows, ret->failed);
	return 0;
}

enum space
purge_watch(struct desk *desk, const struct desk_settings *settings, enum space before)
{
	const size_t least = (size_t)settings->config->quarantine.min_free;
	struct store_stats stats;
	struct err err = { ERR_NONE, "" };
	enum space now;

	if (store_stats(desk->store, &stats, &err) != STORE_DONE)
		return before;
	now = stats.free_bytes < least ? SPACE_NONE : stats.free_bytes < 2 * least ? SPACE_LOW : SPACE_ENOUGH;
	if (now == before)
		return now;
	if (now == SPACE_NONE)
		log_line(LOG_LEVEL_ERROR, "free space: %zu bytes, less than quarantine.min_free (%zu): what is to be held is deferred", stats.free_bytes, least);
	else if (now == SPACE_LOW)
		log_line(LOG_LEVEL_WARNING, "free space: %zu bytes, less than twice quarantine.min_free (%zu)", stats.free_bytes, least);
	else if (before != SPACE_UNKNOWN)
		log_line(LOG_LEVEL_INFO, "free space: %zu bytes, enough again", stats.free_bytes);
	return now;
}
