#include "policy/registry/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smime/limits.h"

static int
bind_one(sqlite3_stmt *stmt, int i, char type, va_list *args)
{
	const void *bytes;
	int64_t number;

	switch (type) {
	case 'i':
		return sqlite3_bind_int64(stmt, i, va_arg(*args, int64_t));
	case 'o':
		number = va_arg(*args, int64_t);
		return number ? sqlite3_bind_int64(stmt, i, number) : sqlite3_bind_null(stmt, i);
	case 't':
		return sqlite3_bind_text(stmt, i, va_arg(*args, const char *), -1, SQLITE_STATIC);
	case 'b':
		bytes = va_arg(*args, const void *);
		return sqlite3_bind_blob64(stmt, i, bytes, va_arg(*args, size_t), SQLITE_STATIC);
	}
	return SQLITE_MISUSE;
}

int
db_bind(sqlite3_stmt *stmt, const char *types, va_list args)
{
	va_list copy;
	int rc = SQLITE_OK;

	va_copy(copy, args);
	for (int i = 0; types[i] && rc == SQLITE_OK; i++)
		rc = bind_one(stmt, i + 1, types[i], &copy);
	va_end(copy);
	return rc == SQLITE_OK ? 0 : -1;
}

int
db_bindf(sqlite3_stmt *stmt, const char *types, ...)
{
	va_list args;
	int rc;

	va_start(args, types);
	rc = db_bind(stmt, types, args);
	va_end(args);
	return rc;
}

const char *
db_text(sqlite3_stmt *stmt, int column)
{
	const unsigned char *text = sqlite3_column_text(stmt, column);

	return text ? (const char *)text : "";
}

int
db_err(sqlite3 *db, const char *what, struct err *err)
{
	const char *file = sqlite3_db_filename(db, "main");

	return err_set(err, ERR_TEMP, "registry '%s': %s: %s", file ? file : "", what, sqlite3_errmsg(db));
}

/* Rows (at most 2) that the prepared statement finds; their first column's last value. */
static int
count_two(sqlite3 *db, sqlite3_stmt *stmt, int64_t *ret, struct err *err)
{
	int n = 0, rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		*ret = sqlite3_column_int64(stmt, 0);
		n++;
	}
	return rc == SQLITE_DONE ? n : db_err(db, "looking for a certificate", err);
}

static int
count_by_id(sqlite3 *db, const char *text, int64_t *ret, struct err *err)
{
	static const char sql[] = "SELECT id FROM cert WHERE id = CAST(?1 AS INTEGER) AND CAST(id AS TEXT) = ?1";
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;

	if (strspn(text, "0123456789") != strlen(text) || !*text)
		return 0;
	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK || db_bindf(stmt, "t", text) == -1)
		return db_err(db, "looking for a certificate", err);
	return count_two(db, stmt, ret, err);
}

/* The digits given, and `fill` (0 or 15) for those that are not: the ends of a range of hashes. */
static void
hash_bound(const char *text, size_t len, unsigned fill, unsigned char ret[32])
{
	for (size_t i = 0; i < 64; i++) {
		unsigned digit = fill;

		if (i < len)
			digit = text[i] <= '9' ? (unsigned)(text[i] - '0') : (unsigned)((text[i] | 0x20) - 'a' + 10);
		ret[i / 2] = (unsigned char)(i % 2 ? ret[i / 2] | digit : digit << 4);
	}
}

static int
count_by_hash(sqlite3 *db, const char *text, int64_t *ret, struct err *err)
{
	static const char sql[] = "SELECT id FROM cert WHERE sha256 BETWEEN ?1 AND ?2 LIMIT 2";
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	unsigned char from[32], to[32];
	size_t len = strlen(text);

	if (len < 6 || len > 64 || strspn(text, "0123456789abcdefABCDEF") != len)
		return 0;
	hash_bound(text, len, 0, from);
	hash_bound(text, len, 15, to);
	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK
	    || db_bindf(stmt, "bb", from, sizeof(from), to, sizeof(to)) == -1)
		return db_err(db, "looking for a certificate", err);
	return count_two(db, stmt, ret, err);
}

int
db_cert_from_text(sqlite3 *db, const char *text, int64_t *ret, struct err *err)
{
	int64_t by_id = 0, by_hash = 0;
	int n = count_by_id(db, text, &by_id, err);
	int more = n == -1 ? -1 : count_by_hash(db, text, &by_hash, err);

	if (more == -1)
		return -1;
	if (n + more == 1 || (n == 1 && more == 1 && by_id == by_hash)) {
		*ret = n ? by_id : by_hash;
		return 1;
	}
	if (n + more == 0)
		(void)err_set(err, ERR_CONFIG, "no certificate '%.70s' is registered; give its number or the first 6 or more "
		    "digits of its SHA-256 (`segelctl cert list` shows both)", text);
	else
		(void)err_set(err, ERR_CONFIG, "'%.70s' means more than one certificate; give more digits of its SHA-256", text);
	return 0;
}
