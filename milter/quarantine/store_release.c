/* How a release on its way stands: told from the item's history, so that no second place can say something else. */
#include "milter/quarantine/store_db.h"

#include <stdio.h>
#include <string.h>

static enum store_outcome
find_open(struct quarantine *store, const char *id, int64_t *item, struct release_standing *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, store->reader, &stmt, err,
	    "SELECT r.item, r.token, r.login, r.began FROM release r JOIN item i ON i.n = r.item WHERE i.id = ?1 AND r.ended IS NULL", "t", id);
	int row = outcome == STORE_DONE ? db_step(store, stmt, &outcome, err) : -1;

	if (row == 0)
		return store_fail(STORE_NOT_FOUND, err, "no release of item '%.40s' is on its way", id);
	if (row == -1)
		return outcome;
	*item = sqlite3_column_int64(stmt, 0);
	snprintf(ret->token, sizeof(ret->token), "%s", db_column(stmt, 1));
	snprintf(ret->login, sizeof(ret->login), "%s", db_column(stmt, 2));
	ret->began = sqlite3_column_int64(stmt, 3);
	return STORE_DONE;
}

/* One try after the other. */
struct scan {
	struct release_standing *standing;
	bool open;    /* the last one has no word */
	bool settled; /* before it */
};

static void
on_try(struct scan *scan, time_t at)
{
	struct release_standing *standing = scan->standing;

	standing->doubtful = standing->doubtful || scan->open;
	scan->settled = standing->settled && !scan->open;
	scan->open = true;
	standing->settled = false;
	standing->tried = at;
	standing->tries++;
}

static void
on_word(struct scan *scan, bool settled, const char *answer)
{
	struct release_standing *standing = scan->standing;

	scan->open = false;
	standing->settled = settled;
	snprintf(standing->answer, sizeof(standing->answer), "%s", answer);
}

static void
on_event(struct scan *scan, const char *what, time_t at, const char *detail)
{
	if (strcmp(what, RELEASE_BEGIN) == 0 || strcmp(what, RELEASE_RESUME) == 0) {
		on_try(scan, at);
	} else if (strcmp(what, RELEASE_NOT_TAKEN) == 0) {
		on_word(scan, true, detail);
	} else if (strcmp(what, RELEASE_NOT_SENT) == 0) {
		on_word(scan, scan->settled, detail);
	} else if (strcmp(what, RELEASE_NO_ANSWER) == 0) {
		on_word(scan, false, detail);
		scan->standing->doubtful = true;
	}
}

static enum store_outcome
read_tries(struct quarantine *store, int64_t item, struct release_standing *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	struct scan scan = { .standing = ret };
	enum store_outcome outcome = db_prepare(store, store->reader, &stmt, err, "SELECT what, at, detail FROM event WHERE item = ?1 AND seq >="
	    " (SELECT max(seq) FROM event WHERE item = ?1 AND what = '" RELEASE_BEGIN "') ORDER BY seq", "i", item);

	while (outcome == STORE_DONE && db_step(store, stmt, &outcome, err) == 1)
		on_event(&scan, db_column(stmt, 0), sqlite3_column_int64(stmt, 1), db_column(stmt, 2));
	return outcome;
}

enum store_outcome
store_release_of(struct quarantine *store, const char *id, struct release_standing *ret, struct err *err)
{
	struct release_standing standing = { .tries = 0 };
	enum store_outcome outcome = read_begin(store, err);
	int64_t item = 0;

	if (outcome == STORE_DONE)
		outcome = find_open(store, id, &item, &standing, err);
	if (outcome == STORE_DONE)
		outcome = read_tries(store, item, &standing, err);
	read_end(store);
	if (outcome == STORE_DONE)
		*ret = standing;
	return outcome;
}
