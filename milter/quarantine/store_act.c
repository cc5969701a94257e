/* What becomes of an item: every change is one transaction that names the version it was decided on. */
#include "milter/quarantine/store_db.h"

#include <stdio.h>

/* Of an item, what changes of it are made of. */
struct standing {
	int64_t n;
	long version;
	enum item_state state;
	int64_t expires;
	int legal_hold, asked_for, has_body, overflow;
	size_t disk;
	char proposed_by[64];
	int64_t proposed_person, proposed_at, gone_at;
};

static enum store_outcome
read_standing(struct quarantine *store, const char *id, struct standing *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, store->writer, &stmt, err,
	    "SELECT n, version, state, expires, legal_hold, asked_for, has_body, findings_overflow, disk, proposed_by, proposed_person,"
	    " proposed_at, coalesce(gone_at, 0) FROM item WHERE id = ?1", "t", id);
	int row = outcome == STORE_DONE ? db_step(store, stmt, &outcome, err) : -1;

	if (row == 0)
		return store_fail(STORE_NOT_FOUND, err, "no item is called '%.40s'", id);
	if (row == -1)
		return outcome;
	*ret = (struct standing){
		.n = sqlite3_column_int64(stmt, 0),
		.version = (long)sqlite3_column_int64(stmt, 1),
		.state = item_state_from(db_column(stmt, 2)),
		.expires = sqlite3_column_int64(stmt, 3),
		.legal_hold = sqlite3_column_int(stmt, 4),
		.asked_for = sqlite3_column_int(stmt, 5),
		.has_body = sqlite3_column_int(stmt, 6),
		.overflow = sqlite3_column_int(stmt, 7),
		.disk = (size_t)sqlite3_column_int64(stmt, 8),
		.proposed_person = sqlite3_column_int64(stmt, 10),
		.proposed_at = sqlite3_column_int64(stmt, 11),
		.gone_at = sqlite3_column_int64(stmt, 12),
	};
	snprintf(ret->proposed_by, sizeof(ret->proposed_by), "%s", db_column(stmt, 9));
	return STORE_DONE;
}

static enum store_outcome
write_standing(struct quarantine *store, const struct standing *standing, const char *login, struct err *err)
{
	return db_change(store, NULL, err,
	    "UPDATE item SET version = ?2 + 1, state = ?3, expires = ?4, legal_hold = ?5, asked_for = ?6, has_body = ?7, findings_overflow = ?8,"
	    " disk = ?9, proposed_by = ?10, proposed_person = ?11, proposed_at = ?12, gone_at = nullif(?13, 0),"
	    " \"by\" = iif(?14 = '', \"by\", ?14) WHERE n = ?1",
	    "iitiiiiiitiiit", standing->n, (int64_t)standing->version, item_state_name(standing->state), standing->expires,
	    (int64_t)standing->legal_hold, (int64_t)standing->asked_for, (int64_t)standing->has_body, (int64_t)standing->overflow,
	    (int64_t)standing->disk, standing->proposed_by, standing->proposed_person, standing->proposed_at, standing->gone_at,
	    login ? login : "");
}

static void
withdraw(struct standing *standing)
{
	standing->proposed_by[0] = '\0';
	standing->proposed_person = standing->proposed_at = 0;
	if (standing->state == ITEM_WAITING)
		standing->state = ITEM_SEEN;
}

static void
propose(const struct item_act *act, struct standing *standing)
{
	snprintf(standing->proposed_by, sizeof(standing->proposed_by), "%s", act->login);
	standing->proposed_person = act->person;
	standing->proposed_at = act->now;
}

static void
drop_body(const struct item_act *act, struct standing *standing)
{
	standing->has_body = 0;
	standing->disk = 0;
	standing->gone_at = act->now;
}

static void
apply(const struct item_act *act, const struct item_change *change, struct standing *standing)
{
	if (change->withdraw || change->findings)
		withdraw(standing);
	if (change->propose)
		propose(act, standing);
	if (change->findings)
		standing->overflow = change->findings->overflow;
	if (change->state != ITEM_UNKNOWN)
		standing->state = change->state;
	if (change->token)
		standing->state = ITEM_RELEASING;
	if (change->expires)
		standing->expires = change->expires;
	if (change->legal_hold)
		standing->legal_hold = change->legal_hold > 0;
	if (change->asked_for)
		standing->asked_for = 1;
	if (change->drop_body && standing->has_body)
		drop_body(act, standing);
}

/* Nobody gets it twice: a recipient that a release has reached is not named again. */
static enum store_outcome
check_recipient(struct quarantine *store, int64_t n, const char *address, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, store->writer, &stmt, err,
	    "SELECT max(released_at), count(*) FROM recipient WHERE item = ?1 AND address = ?2 COLLATE BINARY", "it", n, address);

	if (outcome != STORE_DONE || db_step(store, stmt, &outcome, err) != 1)
		return outcome;
	if (sqlite3_column_int64(stmt, 1) == 0)
		return store_fail(STORE_NOT_FOUND, err, "'%.320s' is no recipient of this item", address);
	if (sqlite3_column_int64(stmt, 0) != 0)
		return store_fail(STORE_CHANGED, err, "it was released to '%.320s' already", address);
	return STORE_DONE;
}

static enum store_outcome
begin_release(struct quarantine *store, const struct item_act *act, const struct item_change *change, const struct standing *standing,
    struct err *err)
{
	enum store_outcome outcome;

	if (!*change->token || !change->release_to[0]) {
		(void)err_set(err, ERR_BUG, "a release without a token, or to nobody");
		return STORE_UNAVAILABLE;
	}
	outcome = db_change(store, NULL, err, "INSERT INTO release(token, item, login, person, began, before) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	    "titiit", change->token, standing->n, act->login ? act->login : "", act->person, (int64_t)act->now,
	    item_state_name(standing->state));
	for (size_t i = 0; change->release_to[i] && outcome == STORE_DONE; i++) {
		outcome = check_recipient(store, standing->n, change->release_to[i], err);
		if (outcome == STORE_DONE)
			outcome = db_change(store, NULL, err, "INSERT INTO release_to(token, i, address) VALUES (?1, ?2, ?3)", "tit", change->token,
			    (int64_t)i, change->release_to[i]);
	}
	return outcome;
}

static enum store_outcome
check_version(const struct item_act *act, const struct standing *standing, struct err *err)
{
	if (act->version == standing->version)
		return STORE_DONE;
	return store_fail(STORE_CHANGED, err, "item '%s' has version %ld by now, and this was decided on version %ld; look at it again", act->id,
	    standing->version, act->version);
}

/* What a change does to its client's share. */
struct turn {
	struct taken before, after;
};

static enum store_outcome
change_item(struct quarantine *store, const struct item_act *act, const struct item_change *change, struct standing *before, struct turn *turn,
    struct err *err)
{
	enum store_outcome outcome = read_standing(store, act->id, before, err);
	struct standing after;

	if (outcome == STORE_DONE)
		outcome = check_version(act, before, err);
	if (outcome == STORE_DONE)
		outcome = store_taken(store, before->n, &turn->before, err);
	if (outcome == STORE_DONE && change->token)
		outcome = begin_release(store, act, change, before, err);
	if (outcome != STORE_DONE)
		return outcome;
	after = *before;
	apply(act, change, &after);
	outcome = write_standing(store, &after, act->login, err);
	if (outcome == STORE_DONE)
		outcome = store_taken(store, before->n, &turn->after, err);
	if (outcome == STORE_DONE && change->findings)
		outcome = store_write_findings(store, before->n, change->findings, err);
	return outcome == STORE_DONE ? store_event(store, before->n, act, err) : outcome;
}

enum store_outcome
store_act(struct quarantine *store, const struct item_act *act, const struct item_change *change, struct err *err)
{
	struct standing before = { .n = 0 };
	struct turn turn = { .before = { .counts = false } };
	enum store_outcome outcome = store_begin(store, err);

	if (outcome == STORE_DONE)
		outcome = change_item(store, act, change, &before, &turn, err);
	outcome = store_end(store, outcome, err);
	if (outcome == STORE_DONE)
		store_recount(store, &turn.before, &turn.after);
	if (outcome == STORE_DONE && change->drop_body && before.has_body)
		store_drop_file(store, act->id, before.disk);
	return outcome;
}

/* A release that has begun and not ended. */
struct opened {
	int64_t item, person;
	char login[64];
	enum item_state before;
};

static enum store_outcome
find_open(struct quarantine *store, const char *token, struct opened *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, store->writer, &stmt, err,
	    "SELECT item, person, login, before FROM release WHERE token = ?1 AND ended IS NULL", "t", token);
	int row = outcome == STORE_DONE ? db_step(store, stmt, &outcome, err) : -1;

	if (row == 0)
		return store_fail(STORE_NOT_FOUND, err, "this release is not under way: its token is none, or was used");
	if (row == -1)
		return outcome;
	ret->item = sqlite3_column_int64(stmt, 0);
	ret->person = sqlite3_column_int64(stmt, 1);
	snprintf(ret->login, sizeof(ret->login), "%s", db_column(stmt, 2));
	ret->before = item_state_from(db_column(stmt, 3));
	return STORE_DONE;
}

static enum store_outcome
end_row(struct quarantine *store, const char *token, bool good, time_t now, struct err *err)
{
	return db_change(store, NULL, err, "UPDATE release SET ended = ?2, good = ?3 WHERE token = ?1", "tii", token, (int64_t)now,
	    (int64_t)good);
}

static enum store_outcome
mark_recipients(struct quarantine *store, const char *token, int64_t item, time_t now, struct err *err)
{
	return db_change(store, NULL, err,
	    "UPDATE recipient SET released_at = ?3 WHERE item = ?2 AND released_at = 0"
	    " AND address COLLATE BINARY IN (SELECT address FROM release_to WHERE token = ?1)", "tii", token, item, (int64_t)now);
}

static enum store_outcome
end_item(struct quarantine *store, int64_t item, enum item_state state, struct err *err)
{
	return db_change(store, NULL, err, "UPDATE item SET version = version + 1, state = ?2 WHERE n = ?1", "it", item, item_state_name(state));
}

static enum store_outcome
end_release(struct quarantine *store, const char *token, bool good, const struct item_act *given, struct turn *turn, struct err *err)
{
	struct opened opened = { .item = 0 };
	enum store_outcome outcome = find_open(store, token, &opened, err);
	const time_t now = given->now;
	struct item_act act = *given;

	if (outcome == STORE_DONE)
		outcome = store_taken(store, opened.item, &turn->before, err);
	if (outcome == STORE_DONE)
		outcome = end_row(store, token, good, now, err);
	if (outcome == STORE_DONE && good)
		outcome = mark_recipients(store, token, opened.item, now, err);
	if (outcome == STORE_DONE)
		outcome = end_item(store, opened.item, good ? ITEM_RELEASED : opened.before, err);
	if (outcome == STORE_DONE)
		outcome = store_taken(store, opened.item, &turn->after, err);
	if (!act.login) {
		act.login = opened.login;
		act.person = opened.person;
	}
	return outcome == STORE_DONE ? store_event(store, opened.item, &act, err) : outcome;
}

static enum store_outcome
end_whole(struct quarantine *store, const char *token, bool good, const struct item_act *act, struct err *err)
{
	struct turn turn = { .before = { .counts = false } };
	enum store_outcome outcome = store_begin(store, err);

	if (outcome == STORE_DONE)
		outcome = end_release(store, token, good, act, &turn, err);
	outcome = store_end(store, outcome, err);
	if (outcome == STORE_DONE)
		store_recount(store, &turn.before, &turn.after);
	return outcome;
}

enum store_outcome
store_released(struct quarantine *store, const char *token, time_t now, struct err *err)
{
	const struct item_act act = { .what = "released", .now = now };

	return end_whole(store, token, true, &act, err);
}

enum store_outcome
store_release_failed(struct quarantine *store, const char *token, const char *why, time_t now, struct err *err)
{
	const struct item_act act = { .what = "release-failed", .detail = why, .now = now };

	return end_whole(store, token, false, &act, err);
}

enum store_outcome
store_recalled(struct quarantine *store, const char *token, const struct item_act *act, struct err *err)
{
	return end_whole(store, token, false, act, err);
}

enum store_outcome
store_forget(struct quarantine *store, time_t before, size_t *n, struct err *err)
{
	enum store_outcome outcome = store_begin(store, err);

	/* What else is known of them goes with them (ON DELETE CASCADE). */
	if (outcome == STORE_DONE)
		outcome = db_change(store, n, err, "DELETE FROM item WHERE has_body = 0 AND gone_at < ?1 AND legal_hold = 0", "i", (int64_t)before);
	return store_end(store, outcome, err);
}
