/*
 * db: the few steps between a C value and an SQLite statement, for this folder only.
 * One thread per connection.
 */
#ifndef POLICY_REGISTRY_DB_H
#define POLICY_REGISTRY_DB_H

#include <stdarg.h>

#include <sqlite3.h>

#include "smime/base.h"
#include "smime/err.h"

AUTO_DEFINE(sqlite3_stmt, sqlite3_finalize);

/*
 * Binds from ?1 on; one letter a value: i int64_t, t text (NULL = null), b bytes (const void *,
 * size_t), o int64_t where 0 is null. The values are borrowed until the statement is reset.
 */
int db_bind(sqlite3_stmt *stmt, const char *types, va_list args) MUST_USE;
int db_bindf(sqlite3_stmt *stmt, const char *types, ...) MUST_USE;

/* A text column, "" for null. Borrowed until the next step. */
const char *db_text(sqlite3_stmt *stmt, int column);

/* "registry 'FILE': WHAT: SQLite's text"; -1. */
int db_err(sqlite3 *db, const char *what, struct err *err);

/*
 * The certificate an officer means by `text`: its number, or the first 6 or more digits of its
 * SHA-256. 1 one such, 0 none or several (err says which), -1 could not ask.
 */
int db_cert_from_text(sqlite3 *db, const char *text, int64_t *ret, struct err *err) MUST_USE;

#endif
