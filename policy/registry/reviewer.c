/* Who may review held mail (registry.h), asked of SQLite. */
#include "policy/registry/registry.h"

#include <stdio.h>
#include <stdlib.h>

#include "policy/registry/db.h"
#include "policy/registry/pool.h"
#include "policy/registry/question.h"

void
registry_reviewer_done(struct registry_reviewer *reviewer)
{
	for (size_t i = 0; reviewer->own && reviewer->own[i]; i++)
		free(reviewer->own[i]);
	free(reviewer->own);
	reviewer->own = NULL;
}

static int
read_own(struct conn *conn, const char *login, int64_t at, struct registry_reviewer *ret, struct err *err)
{
	sqlite3_stmt *stmt;
	size_t n = 0;
	int row;

	ret->own = xcalloc(1, sizeof(*ret->own));
	if (conn_query(conn, Q_REVIEWER_OWN, &stmt, err) == -1 || db_bindf(stmt, "iti", at, login, ret->person) == -1)
		return -1;
	while ((row = conn_step(conn, stmt, err)) == 1) {
		ret->own = xrealloc(ret->own, (n + 2) * sizeof(*ret->own));
		ret->own[n++] = xstrdup(db_text(stmt, 0));
		ret->own[n] = NULL;
	}
	return row;
}

/* Of the columns of Q_REVIEWER. */
static void
judge(sqlite3_stmt *stmt, const char *login, struct registry_reviewer *ret)
{
	const bool appointed = sqlite3_column_int(stmt, 3), person = sqlite3_column_int(stmt, 4);
	char shown[128];

	ret->person = sqlite3_column_int64(stmt, 0);
	snprintf(ret->name, sizeof(ret->name), "%s", db_text(stmt, 1));
	snprintf(ret->role, sizeof(ret->role), "%s", db_text(stmt, 2));
	ret->answer = appointed && person ? REGISTRY_FOUND : REGISTRY_UNUSABLE;
	registry_escape(login, shown, sizeof(shown));
	snprintf(ret->why, sizeof(ret->why), "UNIX login %s: %s%s", shown, ret->role,
	    !appointed ? ", but that appointment has ended; an officer appoints with `segelctl reviewer add`"
	    : person   ? ""
		       : ", but the person behind it has ended");
}

static int
ask(struct conn *conn, const char *login, int64_t at, struct registry_reviewer *ret, struct err *err)
{
	char shown[128];
	sqlite3_stmt *stmt;
	int row;

	if (conn_query(conn, Q_REVIEWER, &stmt, err) == -1 || db_bindf(stmt, "it", at, login) == -1
	    || (row = conn_step(conn, stmt, err)) == -1)
		return -1;
	if (row == 1) {
		judge(stmt, login, ret);
		return read_own(conn, login, at, ret, err);
	}
	ret->answer = REGISTRY_NONE;
	registry_escape(login, shown, sizeof(shown));
	snprintf(ret->why, sizeof(ret->why), "UNIX login %s is no reviewer; an officer appoints with `segelctl reviewer add`", shown);
	return 0;
}

void
registry_reviewer(struct registry *registry, const char *login, time_t at, struct registry_reviewer *ret)
{
	struct err err = { .kind = ERR_NONE };
	struct conn *conn;
	bool good;

	*ret = (struct registry_reviewer){ .answer = REGISTRY_UNAVAILABLE };
	if (conn_begin(registry, &conn, &err) == -1) {
		registry_escape(err.text, ret->why, sizeof(ret->why));
		return;
	}
	good = ask(conn, login, at, ret, &err) == 0;
	if (!good) {
		registry_reviewer_done(ret);
		*ret = (struct registry_reviewer){ .answer = REGISTRY_UNAVAILABLE };
		registry_escape(err.text, ret->why, sizeof(ret->why));
	}
	conn_end(registry, conn, good);
}
