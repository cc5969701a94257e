/*
 * pool: read-only connections to one registry file, each used by one thread at a time, with
 * their statements kept. For the questions in this folder only (sqlite.c, signer.c, encrypt.c, entitle.c, tls.c, reviewer.c, list.c).
 *
 * A connection notices that its file was replaced by another (device and inode are compared at
 * each use) and opens the new one. Connections do not survive fork(); open after it.
 */
#ifndef POLICY_REGISTRY_POOL_H
#define POLICY_REGISTRY_POOL_H

#include <sqlite3.h>

#include "policy/registry/registry.h"

enum query {
	Q_BEGIN,
	Q_COMMIT,
	Q_VERSION,
	Q_DOMAIN,
	Q_ADDRESS,
	Q_BY_ADDRESS,
	Q_BY_UNIT,
	Q_BY_DOMAIN,
	Q_EACH_SEAL,
	Q_EACH_OPENING,
	Q_CERT,
	Q_SIGNER,
	Q_TWIN,
	Q_LEAKED,
	Q_SPEAKS,
	Q_CAPABILITIES,
	Q_UNIT,
	Q_UNIT_CODE,
	Q_LOGIN,
	Q_TLS,
	Q_REVIEWER,
	Q_REVIEWER_OWN,
	N_QUERIES,
};

struct conn {
	sqlite3 *db;
	const char *file; /* borrowed from the registry */
	sqlite3_stmt *stmts[N_QUERIES];
	uint64_t dev, ino;
	struct conn *next;
};

/* A snapshot begins with conn_begin and ends with conn_end, which takes the connection back. */
int conn_begin(struct registry *registry, struct conn **ret, struct err *err) MUST_USE;
/* `good` false: something failed on it; it is closed. */
void conn_end(struct registry *registry, struct conn *conn, bool good);

/* The statement, ready to bind. */
int conn_query(struct conn *conn, enum query query, sqlite3_stmt **ret, struct err *err) MUST_USE;
/* 1 a row, 0 no more, -1 could not ask. */
int conn_step(struct conn *conn, sqlite3_stmt *stmt, struct err *err) MUST_USE;

/* Whose domain this is, named in the form in which it is compared (sqlite.c). */
int conn_domain(struct conn *conn, const char *name, int64_t at, enum domain_answer *ret, struct err *err) MUST_USE;

#endif
