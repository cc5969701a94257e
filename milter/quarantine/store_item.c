/* One item's rows: written when it is held, read whole. Both by the table of item_field.h. */
#include "milter/quarantine/store_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "milter/quarantine/item_field.h"

enum { SQL_BYTES = 16 * 1024 };

static void
add_columns(bool evidence, const char *prefix, struct buf *sql)
{
	for (size_t i = 0; i < n_item_fields; i++)
		if (item_fields[i].evidence == evidence)
			buf_printf(sql, "%s%s\"%s\"", sql->len && sql->at[sql->len - 1] != '(' && sql->at[sql->len - 1] != ' ' ? ", " : "", prefix,
			    item_fields[i].name);
}

static int
bind_field(sqlite3_stmt *stmt, int at, const struct item_field *field, const struct item *item)
{
	switch (field->kind) {
	case FIELD_TEXT:
	case FIELD_OWNED:
		return sqlite3_bind_text(stmt, at, field_text(field, item), -1, SQLITE_STATIC);
	case FIELD_HASH:
		return sqlite3_bind_blob(stmt, at, field_in(field, item), 32, SQLITE_STATIC);
	case FIELD_WORD:
		return sqlite3_bind_text(stmt, at, field->words->name(field_word(field, item)), -1, SQLITE_STATIC);
	case FIELD_BOOL:
	case FIELD_TIME:
	case FIELD_SIZE:
	case FIELD_LONG:
	case FIELD_NUMBER:
		return sqlite3_bind_int64(stmt, at, field_number(field, item));
	case FIELD_NONE:
		break;
	}
	return SQLITE_MISUSE;
}

/* "INSERT INTO item(columns, more) VALUES (?, ..., more_values)", with the columns bound in the table's order. */
static enum store_outcome
insert_row(struct quarantine *store, const struct item *item, bool evidence, const char *more, const int64_t *numbers, size_t n_numbers,
    struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	AUTO_BUF struct buf sql = { 0 };
	int rc, n = 0;

	buf_init(&sql, SQL_BYTES);
	buf_printf(&sql, "INSERT INTO %s(", evidence ? "evidence" : "item");
	add_columns(evidence, "", &sql);
	buf_printf(&sql, "%s) VALUES (", more);
	for (size_t i = 0; i < n_item_fields; i++)
		n += item_fields[i].evidence == evidence;
	for (int i = 0; i < n + (int)n_numbers; i++)
		buf_add_text(&sql, i ? ", ?" : "?");
	buf_add_text(&sql, evidence ? ")" : ", '')");
	rc = sqlite3_prepare_v2(store->writer, buf_text(&sql), -1, &stmt, NULL);
	n = 0;
	for (size_t i = 0; i < n_item_fields && rc == SQLITE_OK; i++)
		if (item_fields[i].evidence == evidence)
			rc = bind_field(stmt, ++n, &item_fields[i], item);
	for (size_t i = 0; i < n_numbers && rc == SQLITE_OK; i++)
		rc = sqlite3_bind_int64(stmt, ++n, numbers[i]);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	return store_outcome_of(store, store->writer, rc, "writing an item", err);
}

static enum store_outcome
insert_item(struct quarantine *store, const struct item *given, size_t disk, int64_t *n, struct err *err)
{
	const int64_t numbers[] = { (int64_t)given->n_recipients, given->findings.overflow, (int64_t)disk };
	struct item item = *given; /* borrows what it owns */
	enum store_outcome outcome;
	int64_t id[1];

	item.state = ITEM_NEW;
	item.version = 1;
	item.has_body = true;
	item.legal_hold = item.asked_for = false;
	item.proposed_by[0] = '\0';
	item.proposed_person = item.proposed_at = 0;
	outcome = insert_row(store, &item, false, ", n_recipients, findings_overflow, disk, \"by\"", numbers, N_ELEMENTS(numbers), err);
	if (outcome != STORE_DONE)
		return outcome;
	*n = id[0] = sqlite3_last_insert_rowid(store->writer);
	return insert_row(store, &item, true, ", item", id, 1, err);
}

static enum store_outcome
insert_recipients(struct quarantine *store, int64_t n, const struct item *item, struct err *err)
{
	enum store_outcome outcome = STORE_DONE;

	for (size_t i = 0; i < item->n_recipients && outcome == STORE_DONE; i++)
		outcome = db_change(store, NULL, err, "INSERT INTO recipient(item, i, address, parameters) VALUES (?1, ?2, ?3, ?4)", "iitt", n,
		    (int64_t)i, item->recipients[i].address, item->recipients[i].parameters ? item->recipients[i].parameters : "");
	return outcome;
}

enum store_outcome
store_write_findings(struct quarantine *store, int64_t item, const struct findings *findings, struct err *err)
{
	enum store_outcome outcome = db_change(store, NULL, err, "DELETE FROM finding WHERE item = ?1", "i", item);

	for (size_t i = 0; i < findings->n && outcome == STORE_DONE; i++)
		outcome = db_change(store, NULL, err, "INSERT INTO finding(item, i, reason, evidence) VALUES (?1, ?2, ?3, ?4)", "iitt", item,
		    (int64_t)i, reason_word(findings->at[i].reason), findings->at[i].evidence);
	return outcome;
}

enum store_outcome
store_event(struct quarantine *store, int64_t item, const struct item_act *act, struct err *err)
{
	return db_change(store, NULL, err, "INSERT INTO event(item, at, what, login, person, reason, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	    "iittitt", item, (int64_t)act->now, act->what, act->login ? act->login : "", act->person, act->reason ? act->reason : "",
	    act->detail ? act->detail : "");
}

#define SAME_ITEM                                                                              \
	"SELECT id FROM item WHERE fingerprint = ?1 AND has_body = 1 AND action = ?2"          \
	" AND (expires = 0 OR legal_hold = 1 OR expires >= ?3)"                                \
	" AND state IN ('baru', 'ditinjau', 'menunggu persetujuan') ORDER BY n LIMIT 1"

/* When the first one's body may go at the earliest, if it is to stand for this one. */
static int64_t
at_least_until(const struct item *item)
{
	return item->expires - (item->expires - item->arrived) / 2;
}

static enum store_outcome
find_same(struct quarantine *store, sqlite3 *db, const struct item *item, char id[ITEM_ID_BYTES], struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, db, &stmt, err, SAME_ITEM, "bti", (const void *)item->fingerprint, (size_t)32,
	    action_name(item->action), at_least_until(item));
	int row;

	if (outcome != STORE_DONE)
		return outcome;
	row = db_step(store, stmt, &outcome, err);
	if (row == 0)
		return store_fail(STORE_NOT_FOUND, err, "no such message is held");
	if (row == 1)
		memcpy(id, db_column(stmt, 0), ITEM_ID_BYTES);
	return outcome;
}

enum store_outcome
store_find_same(struct quarantine *store, const struct item *item, char id[ITEM_ID_BYTES], struct err *err)
{
	enum store_outcome outcome = read_begin(store, err);

	if (outcome == STORE_DONE)
		outcome = find_same(store, store->reader, item, id, err);
	read_end(store);
	return outcome;
}

/* Two deliveries of one message at a time: the second one finds the first here, under the lock. */
static enum store_outcome
check_new(struct quarantine *store, const struct item *item, struct err *err)
{
	char id[ITEM_ID_BYTES];
	enum store_outcome outcome = find_same(store, store->writer, item, id, err);

	if (outcome == STORE_DONE)
		return store_fail(STORE_CHANGED, err, "the same message is held as item '%s' by now", id);
	return outcome == STORE_NOT_FOUND ? STORE_DONE : outcome;
}

static enum store_outcome
insert_all(struct quarantine *store, const struct item *item, size_t disk, struct err *err)
{
	const struct item_act held = { .what = "held", .detail = reason_word(item->reason), .now = item->arrived };
	enum store_outcome outcome = check_new(store, item, err);
	int64_t n = 0;

	if (outcome == STORE_DONE)
		outcome = insert_item(store, item, disk, &n, err);
	if (outcome == STORE_DONE)
		outcome = insert_recipients(store, n, item, err);
	if (outcome == STORE_DONE)
		outcome = store_write_findings(store, n, &item->findings, err);
	return outcome == STORE_DONE ? store_event(store, n, &held, err) : outcome;
}

static enum store_outcome
check_id(struct quarantine *store, const char *id, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, store->writer, &stmt, err, "SELECT 1 FROM item WHERE id = ?1", "t", id);
	int row = outcome == STORE_DONE ? db_step(store, stmt, &outcome, err) : -1;

	return row == 1 ? store_fail(STORE_UNAVAILABLE, err, "an item '%s' is known already", id) : outcome;
}

/* Under the lock that a sweep takes before it moves one away. */
static enum store_outcome
check_body(struct quarantine *store, const char *id, struct stat *ret, struct err *err)
{
	if (!item_id_good(id) || fstatat(store->items_fd, id, ret, AT_SYMLINK_NOFOLLOW) == -1)
		return store_fail(STORE_UNAVAILABLE, err, "the body of the new item '%.40s' is not there", id);
	return STORE_DONE;
}

static void
count_body(struct quarantine *store, const struct item *item, size_t disk)
{
	const struct taken taken = store_taken_by(item, disk);

	store_recount(store, NULL, &taken);
	pthread_mutex_lock(&store->lock);
	store->bodies++;
	store->bytes += disk;
	pthread_mutex_unlock(&store->lock);
}

enum store_outcome
store_add(struct quarantine *store, const struct item *item, struct err *err)
{
	enum store_outcome outcome;
	struct stat st;

	outcome = store_begin(store, err);
	if (outcome == STORE_DONE)
		outcome = check_body(store, item->id, &st, err);
	if (outcome == STORE_DONE)
		outcome = check_id(store, item->id, err);
	if (outcome == STORE_DONE)
		outcome = insert_all(store, item, (size_t)st.st_size, err);
	outcome = store_end(store, outcome, err);
	if (outcome == STORE_DONE)
		count_body(store, item, (size_t)st.st_size);
	/* Where it is not known what is on disk, the row may be there: then the file stays. */
	else if (outcome != STORE_BROKEN)
		store_drop_orphan(store, item->id);
	return outcome;
}

static bool
set_field(const struct item_field *field, sqlite3_stmt *stmt, int column, struct item *ret)
{
	unsigned word;

	switch (field->kind) {
	case FIELD_TEXT:
	case FIELD_OWNED:
		return field_set_text(field, ret, db_column(stmt, column));
	case FIELD_HASH:
		if (sqlite3_column_bytes(stmt, column) != 32)
			return false;
		memcpy(field_of(field, ret), sqlite3_column_blob(stmt, column), 32);
		return true;
	case FIELD_WORD:
		if (!field->words->from(db_column(stmt, column), &word))
			return false;
		memcpy(field_of(field, ret), &word, sizeof(word));
		return true;
	case FIELD_BOOL:
	case FIELD_TIME:
	case FIELD_SIZE:
	case FIELD_LONG:
	case FIELD_NUMBER:
		return field_set_number(field, ret, sqlite3_column_int64(stmt, column));
	case FIELD_NONE:
		break;
	}
	return false;
}

static enum store_outcome
set_fields(struct quarantine *store, sqlite3_stmt *stmt, struct item *ret, struct err *err)
{
	int column = 2;

	for (int evidence = 0; evidence <= 1; evidence++)
		for (size_t i = 0; i < n_item_fields; i++)
			if (item_fields[i].evidence == evidence && !set_field(&item_fields[i], stmt, column++, ret))
				return store_fail(STORE_UNAVAILABLE, err, "quarantine '%s': an item's %s is damaged", store->dir, item_fields[i].name);
	return STORE_DONE;
}

static enum store_outcome
get_fields(struct quarantine *store, const char *id, int64_t *n, struct item *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	AUTO_BUF struct buf sql = { 0 };
	enum store_outcome outcome;
	int row;

	buf_init(&sql, SQL_BYTES);
	buf_add_text(&sql, "SELECT i.n, i.findings_overflow");
	add_columns(false, "i.", &sql);
	add_columns(true, "e.", &sql);
	buf_add_text(&sql, " FROM item i JOIN evidence e ON e.item = i.n WHERE i.id = ?1");
	outcome = db_prepare(store, store->reader, &stmt, err, buf_text(&sql), "t", id);
	if (outcome != STORE_DONE)
		return outcome;
	row = db_step(store, stmt, &outcome, err);
	if (row == 0)
		return store_fail(STORE_NOT_FOUND, err, "no item is called '%.40s'", id);
	if (row == -1)
		return outcome;
	*n = sqlite3_column_int64(stmt, 0);
	ret->findings.overflow = sqlite3_column_int(stmt, 1);
	return set_fields(store, stmt, ret, err);
}

static enum store_outcome
get_recipients(struct quarantine *store, int64_t n, struct item *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	struct rows rows = { 0 };
	enum store_outcome outcome = db_prepare(store, store->reader, &stmt, err,
	    "SELECT address, parameters, released_at FROM recipient WHERE item = ?1 ORDER BY i", "i", n);

	while (outcome == STORE_DONE && db_step(store, stmt, &outcome, err) == 1) {
		struct item_recipient *one = rows_add(&rows, sizeof(*one));

		*one = (struct item_recipient){ xstrdup(db_column(stmt, 0)), xstrdup(db_column(stmt, 1)), sqlite3_column_int64(stmt, 2) };
	}
	ret->recipients = rows.at;
	ret->n_recipients = rows.n;
	return outcome;
}

static enum store_outcome
get_findings(struct quarantine *store, int64_t n, struct item *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, store->reader, &stmt, err,
	    "SELECT reason, evidence FROM finding WHERE item = ?1 ORDER BY i", "i", n);

	while (outcome == STORE_DONE && db_step(store, stmt, &outcome, err) == 1)
		finding_add(&ret->findings, reason_from(db_column(stmt, 0)), "%s", db_column(stmt, 1));
	return outcome;
}

enum store_outcome
store_get(struct quarantine *store, const char *id, struct item *ret, struct err *err)
{
	AUTO_ITEM struct item item = { 0 };
	enum store_outcome outcome = read_begin(store, err);
	int64_t n = 0;

	if (outcome == STORE_DONE)
		outcome = get_fields(store, id, &n, &item, err);
	if (outcome == STORE_DONE)
		outcome = get_recipients(store, n, &item, err);
	if (outcome == STORE_DONE)
		outcome = get_findings(store, n, &item, err);
	read_end(store);
	if (outcome != STORE_DONE)
		return outcome;
	*ret = item;
	item = (struct item){ 0 };
	return STORE_DONE;
}
