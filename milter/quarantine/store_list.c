/*
 * Questions about many items. What is found is copied before the first callback: whoever is called may be slow (a reviewer's
 * terminal), or ask the store something, and no lock is held meanwhile.
 */
#include "milter/quarantine/store_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/permit.h"

enum { LIST_LIMIT = 100, CLAUSE_BYTES = 1024 * 1024 };

/*
 * Conditions and the values they bind. What other tables say is asked once, not for each item; the + keeps SQLite from going
 * through items in that order, which it would have to sort, all columns of them, to show the newest hundred.
 */
struct clause {
	struct buf sql;
	struct rows values;
};

struct value {
	char *text; /* owned; NULL = a number */
	int64_t number;
};

static void
clause_init(struct clause *clause)
{
	buf_init(&clause->sql, CLAUSE_BYTES);
	clause->values = (struct rows){ 0 };
	buf_add_text(&clause->sql, "1");
}

static void
clause_done(struct clause *clause)
{
	struct value *values = clause->values.at;

	for (size_t i = 0; i < clause->values.n; i++)
		free(values[i].text);
	free(values);
	buf_done(&clause->sql);
}

#define AUTO_CLAUSE __attribute__((cleanup(clause_done)))

/* The number by which SQL names it. */
static size_t
bind_text(struct clause *clause, const char *text)
{
	struct value *value = rows_add(&clause->values, sizeof(*value));

	value->text = xstrdup(text);
	return clause->values.n;
}

static size_t
bind_number(struct clause *clause, int64_t number)
{
	struct value *value = rows_add(&clause->values, sizeof(*value));

	value->number = number;
	return clause->values.n;
}

/* Any part of the column: what means something to LIKE stands for itself. */
static size_t
bind_part(struct clause *clause, const char *text)
{
	AUTO_BUF struct buf pattern = { 0 };

	buf_init(&pattern, 4096);
	buf_add_text(&pattern, "%");
	for (; *text; text++) {
		if (strchr("%_\\", *text))
			buf_add_text(&pattern, "\\");
		buf_add(&pattern, text, 1);
	}
	buf_add_text(&pattern, "%");
	return bind_text(clause, buf_text(&pattern));
}

static void
want_text(struct clause *clause, const char *condition, const char *text)
{
	if (*text)
		buf_printf(&clause->sql, " AND %s ?%zu", condition, bind_text(clause, text));
}

static void
want_part(struct clause *clause, const char *column, const char *text)
{
	if (*text)
		buf_printf(&clause->sql, " AND %s LIKE ?%zu ESCAPE '\\'", column, bind_part(clause, text));
}

static void
want_number(struct clause *clause, const char *condition, int64_t number)
{
	if (number)
		buf_printf(&clause->sql, " AND %s ?%zu", condition, bind_number(clause, number));
}

static void
want(struct clause *clause, bool wanted, const char *condition)
{
	if (wanted)
		buf_printf(&clause->sql, " AND %s", condition);
}

static void
want_recipient(struct clause *clause, const char *text)
{
	if (*text)
		buf_printf(&clause->sql, " AND +n IN (SELECT item FROM recipient WHERE address LIKE ?%zu ESCAPE '\\')",
		    bind_part(clause, text));
}

static void
want_signer(struct clause *clause, const char *text)
{
	size_t at;

	if (!*text)
		return;
	at = bind_part(clause, text);
	buf_printf(&clause->sql, " AND (signer_subject LIKE ?%zu ESCAPE '\\' OR signer_serial LIKE ?%zu ESCAPE '\\'"
	    " OR signer_sha256 LIKE ?%zu ESCAPE '\\')", at, at, at);
}

/* The beginning of an id is enough. */
static void
want_id(struct clause *clause, const char *id)
{
	size_t at;

	if (!*id)
		return;
	at = bind_text(clause, id);
	buf_printf(&clause->sql, " AND id >= ?%zu AND id < ?%zu || 'g'", at, at);
}

static void
want_tls(struct clause *clause, const char *version)
{
	if (strcmp(version, "none") == 0)
		want(clause, true, "tls = 0");
	else if (*version)
		buf_printf(&clause->sql, " AND tls = 1 AND tls_version = ?%zu", bind_text(clause, version));
}

/* An empty list is nobody's mail, and finds nothing. */
static void
want_own(struct clause *clause, const char *const *own)
{
	const size_t first = clause->values.n + 1;
	AUTO_BUF struct buf list = { 0 };

	if (!own)
		return;
	buf_init(&list, CLAUSE_BYTES);
	for (; *own; own++) {
		const size_t at = bind_text(clause, *own);

		buf_printf(&list, "%s?%zu", at > first ? ", " : "", at);
	}
	buf_printf(&clause->sql, " AND (\"from\" IN (%s) OR sender IN (%s)"
	    " OR +n IN (SELECT item FROM recipient WHERE address IN (%s)))", buf_text(&list), buf_text(&list), buf_text(&list));
}

static void
want_registry(struct clause *clause, bool wanted)
{
	const char *between = "";

	if (!wanted)
		return;
	buf_add_text(&clause->sql, " AND +n IN (SELECT item FROM finding WHERE reason IN (");
	for (unsigned reason = 0; reason < N_REASONS; reason++) {
		if (!reason_of_registry((enum reason)reason))
			continue;
		buf_printf(&clause->sql, "%s?%zu", between, bind_text(clause, reason_word((enum reason)reason)));
		between = ", ";
	}
	buf_add_text(&clause->sql, "))");
}

static void
want_reason(struct clause *clause, enum reason reason)
{
	if (reason != REASON_UNKNOWN)
		buf_printf(&clause->sql, " AND +n IN (SELECT item FROM finding WHERE reason = ?%zu)",
		    bind_text(clause, reason_word(reason)));
}

static void
build(const struct item_filter *filter, struct clause *clause)
{
	if (filter->state != ITEM_UNKNOWN)
		want_text(clause, "state =", item_state_name(filter->state));
	want(clause, filter->open, "state IN ('baru', 'ditinjau', 'menunggu persetujuan')");
	want_reason(clause, filter->reason);
	if (filter->class != CLASS_UNKNOWN)
		want_text(clause, "class =", class_name(filter->class));
	if (filter->action != ACTION_DEFER)
		want_text(clause, "action =", action_name(filter->action));
	want_part(clause, "\"from\"", filter->from);
	want_part(clause, "sender", filter->sender);
	want_recipient(clause, filter->recipient);
	want_part(clause, "subject", filter->subject);
	want_signer(clause, filter->signer);
	want_text(clause, "queue_id =", filter->queue_id);
	want_part(clause, "client", filter->client);
	want_text(clause, "role =", filter->role);
	want_id(clause, filter->id);
	want_tls(clause, filter->tls);
	if (*filter->by)
		buf_printf(&clause->sql, " AND +n IN (SELECT item FROM event WHERE login = ?%zu)", bind_text(clause, filter->by));
	want_number(clause, "arrived >=", filter->since);
	want_number(clause, "arrived <", filter->until);
	if (filter->expires_before)
		want(clause, true, "has_body = 1 AND expires > 0");
	want_number(clause, "expires <", filter->expires_before);
	want_number(clause, "size >=", (int64_t)filter->min_size);
	want_number(clause, "size <=", (int64_t)filter->max_size);
	want(clause, filter->legal_hold, "legal_hold = 1");
	want(clause, filter->asked_for, "asked_for = 1");
	want(clause, filter->unparsed, "unparsed = 1");
	want_own(clause, filter->own);
	want_registry(clause, filter->registry_only);
}

static enum store_outcome
ask(struct quarantine *store, const struct clause *clause, const char *before, const char *after, sqlite3_stmt **ret, struct err *err)
{
	AUTO(xfree) char *sql = xasprintf("%s%s%s", before, buf_text(&clause->sql), after);
	const struct value *values = clause->values.at;
	int rc;

	if (buf_full(&clause->sql))
		return store_fail(STORE_UNAVAILABLE, err, "a filter that is too long");
	rc = sqlite3_prepare_v2(store->reader, sql, -1, ret, NULL);
	for (size_t i = 0; i < clause->values.n && rc == SQLITE_OK; i++)
		rc = values[i].text ? sqlite3_bind_text(*ret, (int)i + 1, values[i].text, -1, SQLITE_STATIC)
		                    : sqlite3_bind_int64(*ret, (int)i + 1, values[i].number);
	return store_outcome_of(store, store->reader, rc, "preparing a list", err);
}

/* Texts of one row, owned in one place. */
enum { LINE_ID, LINE_FROM, LINE_SENDER, LINE_SUBJECT, LINE_RECIPIENT, LINE_QUEUE_ID, LINE_SIGNER, LINE_CLIENT, LINE_TLS, LINE_BY, N_LINE_TEXTS };

struct line {
	struct item_line line;
	char *texts[N_LINE_TEXTS];
};

#define LINE_COLUMNS                                                                           \
	"SELECT id, \"from\", sender, subject, coalesce((SELECT address FROM recipient r WHERE r.item = i.n AND r.i = 0), '')," \
	" queue_id, signer_subject, client, iif(tls, tls_version, 'none'), \"by\","            \
	" arrived, expires, state, class, action, reason, n_recipients, size, version, legal_hold, asked_for, has_body FROM item i" \
	" WHERE n IN (SELECT n FROM item WHERE "

static void
read_line(sqlite3_stmt *stmt, struct line *ret)
{
	struct item_line *line = &ret->line;
	int column = N_LINE_TEXTS;

	for (int i = 0; i < N_LINE_TEXTS; i++)
		ret->texts[i] = xstrdup(db_column(stmt, i));
	line->arrived = sqlite3_column_int64(stmt, column++);
	line->expires = sqlite3_column_int64(stmt, column++);
	line->state = item_state_from(db_column(stmt, column++));
	if (!class_from(db_column(stmt, column++), &line->class))
		line->class = CLASS_UNKNOWN;
	if (!action_from(db_column(stmt, column++), &line->action))
		line->action = ACTION_DEFER;
	line->reason = reason_from(db_column(stmt, column++));
	line->n_recipients = (size_t)sqlite3_column_int64(stmt, column++);
	line->size = (size_t)sqlite3_column_int64(stmt, column++);
	line->version = (long)sqlite3_column_int64(stmt, column++);
	line->legal_hold = sqlite3_column_int(stmt, column++);
	line->asked_for = sqlite3_column_int(stmt, column++);
	line->has_body = sqlite3_column_int(stmt, column);
}

static void
tell_line(struct line *one, void (*each)(void *ctx, const struct item_line *line), void *ctx)
{
	struct item_line *line = &one->line;

	line->id = one->texts[LINE_ID];
	line->from = one->texts[LINE_FROM];
	line->sender = one->texts[LINE_SENDER];
	line->subject = one->texts[LINE_SUBJECT];
	line->recipient = one->texts[LINE_RECIPIENT];
	line->queue_id = one->texts[LINE_QUEUE_ID];
	line->signer = one->texts[LINE_SIGNER];
	line->client = one->texts[LINE_CLIENT];
	line->tls = one->texts[LINE_TLS];
	line->by = one->texts[LINE_BY];
	each(ctx, line);
}

static enum store_outcome
count_lines(struct quarantine *store, const struct clause *clause, size_t *total, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = ask(store, clause, "SELECT count(*) FROM item WHERE ", "", &stmt, err);

	if (outcome == STORE_DONE && db_step(store, stmt, &outcome, err) == 1)
		*total = (size_t)sqlite3_column_int64(stmt, 0);
	return outcome;
}

static enum store_outcome
read_lines(struct quarantine *store, const struct item_filter *filter, const struct clause *clause, struct rows *lines, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	AUTO(xfree) char *end = xasprintf(" ORDER BY arrived DESC, n DESC LIMIT %lld OFFSET %lld) ORDER BY arrived DESC, n DESC",
	    (long long)(filter->limit ? filter->limit & INT64_MAX : LIST_LIMIT), (long long)(filter->offset & INT64_MAX));
	enum store_outcome outcome = ask(store, clause, LINE_COLUMNS, end, &stmt, err);

	while (outcome == STORE_DONE && db_step(store, stmt, &outcome, err) == 1)
		read_line(stmt, rows_add(lines, sizeof(struct line)));
	return outcome;
}

enum store_outcome
store_list(struct quarantine *store, const struct item_filter *filter, void (*each)(void *ctx, const struct item_line *line), void *ctx,
    size_t *total, struct err *err)
{
	AUTO_CLAUSE struct clause clause = { .sql = { 0 } };
	struct rows lines = { 0 };
	enum store_outcome outcome;
	size_t n = 0;

	clause_init(&clause);
	build(filter, &clause);
	outcome = read_begin(store, err);
	if (outcome == STORE_DONE)
		outcome = count_lines(store, &clause, &n, err);
	if (outcome == STORE_DONE)
		outcome = read_lines(store, filter, &clause, &lines, err);
	read_end(store);
	for (size_t i = 0; i < lines.n; i++) {
		struct line *one = (struct line *)lines.at + i;

		if (outcome == STORE_DONE)
			tell_line(one, each, ctx);
		for (size_t j = 0; j < N_LINE_TEXTS; j++)
			free(one->texts[j]);
	}
	free(lines.at);
	if (outcome == STORE_DONE && total)
		*total = n;
	return outcome;
}

enum { EVENT_TEXTS = 4 };

struct event {
	time_t at;
	char *texts[EVENT_TEXTS];
};

static enum store_outcome
item_number(struct quarantine *store, const char *id, int64_t *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, store->reader, &stmt, err, "SELECT n FROM item WHERE id = ?1", "t", id);
	int row = outcome == STORE_DONE ? db_step(store, stmt, &outcome, err) : -1;

	if (row == 0)
		return store_fail(STORE_NOT_FOUND, err, "no item is called '%.40s'", id);
	if (row == 1)
		*ret = sqlite3_column_int64(stmt, 0);
	return outcome;
}

static enum store_outcome
read_events(struct quarantine *store, int64_t item, struct rows *events, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, store->reader, &stmt, err,
	    "SELECT what, login, reason, detail, at FROM event WHERE item = ?1 ORDER BY seq", "i", item);

	while (outcome == STORE_DONE && db_step(store, stmt, &outcome, err) == 1) {
		struct event *event = rows_add(events, sizeof(*event));

		for (int i = 0; i < EVENT_TEXTS; i++)
			event->texts[i] = xstrdup(db_column(stmt, i));
		event->at = sqlite3_column_int64(stmt, EVENT_TEXTS);
	}
	return outcome;
}

enum store_outcome
store_history(struct quarantine *store, const char *id, void (*each)(void *ctx, const struct item_event *event), void *ctx, struct err *err)
{
	struct rows events = { 0 };
	enum store_outcome outcome = read_begin(store, err);
	int64_t item = 0;

	if (outcome == STORE_DONE)
		outcome = item_number(store, id, &item, err);
	if (outcome == STORE_DONE)
		outcome = read_events(store, item, &events, err);
	read_end(store);
	for (size_t i = 0; i < events.n; i++) {
		struct event *event = (struct event *)events.at + i;
		const struct item_event told = { event->at, event->texts[0], event->texts[1], event->texts[2], event->texts[3] };

		if (outcome == STORE_DONE)
			each(ctx, &told);
		for (size_t j = 0; j < EVENT_TEXTS; j++)
			free(event->texts[j]);
	}
	free(events.at);
	return outcome;
}

struct due {
	char id[ITEM_ID_BYTES];
	long version;
	enum item_state state;
};

/* What is on its way out stays until that has ended. */
static enum store_outcome
read_due(struct quarantine *store, time_t now, size_t most, struct rows *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, store->reader, &stmt, err,
	    "SELECT id, version, state FROM item WHERE has_body = 1 AND expires > 0 AND expires <= ?1 AND legal_hold = 0 AND state <> 'dilepas-sedang'"
	    " ORDER BY expires, n LIMIT ?2", "ii", (int64_t)now, (int64_t)most);

	while (outcome == STORE_DONE && db_step(store, stmt, &outcome, err) == 1) {
		struct due *due = rows_add(ret, sizeof(*due));

		snprintf(due->id, sizeof(due->id), "%s", db_column(stmt, 0));
		due->version = (long)sqlite3_column_int64(stmt, 1);
		due->state = item_state_from(db_column(stmt, 2));
	}
	return outcome;
}

enum store_outcome
store_expired(struct quarantine *store, time_t now, size_t most,
    void (*each)(void *ctx, const char *id, long version, enum item_state state), void *ctx, struct err *err)
{
	struct rows rows = { 0 };
	enum store_outcome outcome = read_begin(store, err);
	const struct due *due;

	if (outcome == STORE_DONE)
		outcome = read_due(store, now, most, &rows, err);
	read_end(store);
	due = rows.at;
	for (size_t i = 0; i < rows.n && outcome == STORE_DONE; i++)
		each(ctx, due[i].id, due[i].version, due[i].state);
	free(rows.at);
	return outcome;
}

enum store_outcome
store_last_event(struct quarantine *store, time_t *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = read_begin(store, err);
	time_t last = 0;

	if (outcome == STORE_DONE)
		outcome = db_prepare(store, store->reader, &stmt, err, "SELECT at FROM event ORDER BY seq DESC LIMIT 1", "");
	if (outcome == STORE_DONE && db_step(store, stmt, &outcome, err) == 1)
		last = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(TAKE(stmt));
	read_end(store);
	if (outcome == STORE_DONE)
		*ret = last;
	return outcome;
}

struct underway {
	char id[ITEM_ID_BYTES];
	char *token, *login;
	time_t began;
	struct rows recipients; /* char *, and one NULL behind */
};

static enum store_outcome
read_recipients(struct quarantine *store, struct underway *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, store->reader, &stmt, err, "SELECT address FROM release_to WHERE token = ?1 ORDER BY i",
	    "t", ret->token);

	while (outcome == STORE_DONE && db_step(store, stmt, &outcome, err) == 1)
		*(char **)rows_add(&ret->recipients, sizeof(char *)) = xstrdup(db_column(stmt, 0));
	(void)rows_add(&ret->recipients, sizeof(char *));
	return outcome;
}

static enum store_outcome
read_underway(struct quarantine *store, struct rows *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	enum store_outcome outcome = db_prepare(store, store->reader, &stmt, err,
	    "SELECT i.id, r.token, r.login, r.began FROM release r JOIN item i ON i.n = r.item WHERE r.ended IS NULL ORDER BY r.began, i.n", "");

	while (outcome == STORE_DONE && db_step(store, stmt, &outcome, err) == 1) {
		struct underway *one = rows_add(ret, sizeof(*one));

		snprintf(one->id, sizeof(one->id), "%s", db_column(stmt, 0));
		one->token = xstrdup(db_column(stmt, 1));
		one->login = xstrdup(db_column(stmt, 2));
		one->began = sqlite3_column_int64(stmt, 3);
		outcome = read_recipients(store, one, err);
	}
	return outcome;
}

static void
underway_done(struct underway *one)
{
	char **recipients = one->recipients.at;

	for (size_t i = 0; i < one->recipients.n; i++)
		free(recipients[i]);
	free(recipients);
	free(one->token);
	free(one->login);
}

enum store_outcome
store_each_releasing(struct quarantine *store, void (*each)(void *ctx, const struct release_row *row), void *ctx, struct err *err)
{
	struct rows rows = { 0 };
	enum store_outcome outcome = read_begin(store, err);

	if (outcome == STORE_DONE)
		outcome = read_underway(store, &rows, err);
	read_end(store);
	for (size_t i = 0; i < rows.n; i++) {
		struct underway *one = (struct underway *)rows.at + i;
		const struct release_row row = { one->id, one->token, one->login, one->recipients.at, one->began };

		if (outcome == STORE_DONE)
			each(ctx, &row);
		underway_done(one);
	}
	free(rows.at);
	return outcome;
}
