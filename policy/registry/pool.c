#include "policy/registry/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/registry/db.h"
#include "policy/registry/schema.h"

enum { MAX_CONNECTIONS = 16 }; /* a lookup takes microseconds; more would only wait for processors */

struct registry {
	char *file;
	int timeout_ms;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t returned;
	struct conn *idle;
	size_t n_open;
};

/* Rows that begin after the time asked about do not exist yet; hence from_at<=?1 everywhere. */
#define BINDINGS(column)                                                                      \
	"SELECT " SQL_CURRENT_TERM("b") ", c.id, c.state, c.hold_until, c.not_before, c.not_after" \
	" FROM binding b JOIN cert c ON c.id=b.cert"                                          \
	" WHERE b." column "=?2 AND b.purpose=?3 AND b.from_at<=?1"

static const char *const queries[N_QUERIES] = {
	[Q_BEGIN] = "BEGIN",
	[Q_COMMIT] = "COMMIT",
	[Q_VERSION] = "PRAGMA user_version",
	[Q_DOMAIN] = "SELECT d.id, d.kind, d.fold, " SQL_CURRENT("d") " FROM domain d"
	             " WHERE d.name=?2 AND d.from_at<=?1 ORDER BY 4 DESC, d.id DESC LIMIT 1",
	[Q_ADDRESS] = "SELECT a.id, " SQL_CURRENT("a") ", coalesce(u.id, 0), coalesce(" SQL_CURRENT("u") ", 0)"
	              " FROM address a LEFT JOIN unit u ON u.id=a.unit"
	              " WHERE a.norm=?2 AND a.from_at<=?1 ORDER BY 2 DESC, a.id DESC LIMIT 1",
	[Q_BY_ADDRESS] = BINDINGS("address"),
	[Q_BY_UNIT] = BINDINGS("unit"),
	[Q_BY_DOMAIN] = BINDINGS("domain"),
	/* Of address, unit and domain a binding has one; the columns of the others are null, and so not current. */
	[Q_EACH_SEAL] = "SELECT DISTINCT c.id FROM binding b JOIN cert c ON c.id=b.cert"
	                " LEFT JOIN address a ON a.id=b.address LEFT JOIN unit u ON u.id=b.unit"
	                " LEFT JOIN domain d ON d.id=coalesce(b.domain, a.domain)"
	                " WHERE b.purpose='seal' AND " SQL_CURRENT_TERM("b")
	                " AND (" SQL_CURRENT("u") " OR (" SQL_CURRENT("d") " AND (b.address IS NULL OR " SQL_CURRENT("a") ")))"
	                " AND (c.state='aktif' OR (c.state='ditahan' AND c.hold_until<=?1))"
	                " AND ?1 BETWEEN c.not_before AND c.not_after ORDER BY c.id",
	/* Ours: of a current address in a domain of our own, its unit's, or its domain's. */
	[Q_EACH_OPENING] = "SELECT DISTINCT c.id FROM binding b JOIN cert c ON c.id=b.cert"
	                   " WHERE b.purpose='encrypt' AND " SQL_CURRENT_TERM("b") " AND c.kind IN ('jabatan', 'sistem') AND ("
	                   "EXISTS (SELECT 1 FROM address a JOIN domain d ON d.id=a.domain WHERE a.id=b.address AND d.kind='own' AND " SQL_CURRENT("a") " AND " SQL_CURRENT("d") ")"
	                   " OR EXISTS (SELECT 1 FROM unit u JOIN address a ON a.unit=u.id JOIN domain d ON d.id=a.domain"
	                   " WHERE u.id=b.unit AND d.kind='own' AND " SQL_CURRENT("u") " AND " SQL_CURRENT("a") " AND " SQL_CURRENT("d") ")"
	                   " OR EXISTS (SELECT 1 FROM domain d WHERE d.id=b.domain AND d.kind='own' AND " SQL_CURRENT("d") "))"
	                   " ORDER BY c.id",
	/* A hold that has lapsed is no hold any more, and its reason none. */
	[Q_CERT] = "SELECT sha256, spki, der, kind, iif(state='ditahan' AND hold_until<=?1, 'aktif', state), coalesce(code, ''),"
	           " iif(state='ditahan' AND hold_until<=?1, '', coalesce(reason, '')) FROM cert WHERE id=?2",
	/* Columns 1 to 5 as in BINDINGS. */
	[Q_SIGNER] = "SELECT 1, id, state, hold_until, not_before, not_after, spki, issuer, serial FROM cert WHERE sha256=?1",
	[Q_TWIN] = "SELECT id FROM cert WHERE issuer=?1 AND serial=?2",
	[Q_LEAKED] = "SELECT id FROM cert WHERE spki=?1 AND compromised=1 ORDER BY id LIMIT 1",
	/* How many current bindings it has, then for address, unit and domain enum standing. */
	[Q_SPEAKS] = "SELECT coalesce(sum(now), 0), coalesce(max(iif(address=?3, 1+now, 0)), 0),"
	             " coalesce(max(iif(unit=?4, 1+now, 0)), 0), coalesce(max(iif(domain=?5, 1+now, 0)), 0)"
	             " FROM (SELECT b.address, b.unit, b.domain, " SQL_CURRENT_TERM("b") " AS now FROM binding b"
	             " WHERE b.cert=?2 AND b.purpose IN ('verify', 'seal') AND b.from_at<=?1)",
	[Q_CAPABILITIES] = "SELECT k.word FROM capability k WHERE k.cert=?2 AND " SQL_CURRENT("k"),
	[Q_UNIT] = "SELECT u.code FROM unit u WHERE u.id=?2 AND " SQL_CURRENT("u"),
	[Q_UNIT_CODE] = "SELECT 1 FROM unit u WHERE u.code=?2 AND " SQL_CURRENT("u"),
	[Q_LOGIN] = "SELECT count(*), coalesce(max(a.norm=?3), 0) FROM login l"
	            " JOIN address a ON a.id=l.address JOIN domain d ON d.id=a.domain"
	            " WHERE l.login=?2 AND " SQL_CURRENT("l") " AND " SQL_CURRENT("a") " AND " SQL_CURRENT("d"),
	[Q_TLS] = "SELECT t.level, coalesce(t.matches, ''), coalesce(t.decision, '') FROM tls_policy t"
	          " WHERE t.hop=?2 AND " SQL_CURRENT("t") " ORDER BY t.id DESC LIMIT 1",
	/* A current appointment before one that has ended; an appointment that has ended is told from none. */
	[Q_REVIEWER] = "SELECT p.id, p.name, r.role, " SQL_CURRENT_TERM("r") ", " SQL_CURRENT("p")
	               " FROM reviewer r JOIN person p ON p.id=r.person"
	               " WHERE r.login=?2 AND r.from_at<=?1 ORDER BY 4 DESC, r.id DESC LIMIT 1",
	/* UNION: what belongs to the person and is written as by the login comes once. */
	[Q_REVIEWER_OWN] = "SELECT a.norm FROM address a JOIN domain d ON d.id=a.domain"
	                   " WHERE a.person=?3 AND " SQL_CURRENT("a") " AND " SQL_CURRENT("d")
	                   " UNION SELECT a.norm FROM login l JOIN address a ON a.id=l.address JOIN domain d ON d.id=a.domain"
	                   " WHERE l.login=?2 AND " SQL_CURRENT("l") " AND " SQL_CURRENT("a") " AND " SQL_CURRENT("d")
	                   " ORDER BY 1",
};

static void
conn_close(struct conn *conn)
{
	for (size_t i = 0; i < N_QUERIES; i++)
		sqlite3_finalize(conn->stmts[i]);
	sqlite3_close(conn->db);
	free(conn);
}
AUTO_DEFINE(struct conn, conn_close);

/* The file's identity is taken before it is opened: a swap in between is noticed at the next use. */
static int
file_identity(const char *file, uint64_t *dev, uint64_t *ino, struct err *err)
{
	struct stat st;

	if (stat(file, &st) == -1 && errno == EACCES)
		return err_set(err, ERR_CONFIG, "registry '%s' cannot be opened: its folder is closed to uid %ld; this program's user "
		    "must be in the folder's group (segel-registry: systemd-sysusers and systemd-tmpfiles --create see to it), and be "
		    "started after it was put there", file, (long)geteuid());
	if (stat(file, &st) == -1)
		return err_set(err, errno == ENOENT ? ERR_CONFIG : ERR_TEMP,
		    "registry '%s' cannot be opened: %s; check registry.file, or make it with `segelctl init`",
		    file, strerror(errno));
	*dev = st.st_dev;
	*ino = st.st_ino;
	return 0;
}

static int
set_up(struct conn *conn, int timeout_ms, struct err *err)
{
	static const char pragmas[] =
	    "PRAGMA query_only=ON; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON";

	sqlite3_busy_timeout(conn->db, timeout_ms);
	sqlite3_db_config(conn->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	if (sqlite3_exec(conn->db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
		return db_err(conn->db, "preparing to read", err);
	return schema_check(conn->db, conn->file, err) == SCHEMA_OURS ? 0 : -1;
}

static int
conn_open(const char *file, int timeout_ms, struct conn **ret, struct err *err)
{
	AUTO(conn_close) struct conn *conn = xcalloc(1, sizeof(*conn));

	conn->file = file;
	if (file_identity(file, &conn->dev, &conn->ino, err) == -1)
		return -1;
	if (sqlite3_open_v2(file, &conn->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return err_set(err, ERR_CONFIG, "registry '%s' cannot be opened: %s; its folder and file must be readable by the "
		    "group of this program's user (mode 2750 and 0640)", file, sqlite3_errmsg(conn->db));
	if (set_up(conn, timeout_ms, err) == -1)
		return -1;
	*ret = TAKE(conn);
	return 0;
}

static bool
is_replaced(const struct conn *conn)
{
	uint64_t dev, ino;

	return file_identity(conn->file, &dev, &ino, NULL) == -1 || dev != conn->dev || ino != conn->ino;
}

/* An idle connection, or room for a new one (NULL). Waits while all are in use. */
static struct conn *
take(struct registry *registry)
{
	struct conn *conn;

	pthread_mutex_lock(&registry->lock);
	while (!registry->idle && registry->n_open == MAX_CONNECTIONS)
		pthread_cond_wait(&registry->returned, &registry->lock);
	conn = registry->idle;
	if (conn)
		registry->idle = conn->next;
	else
		registry->n_open++;
	pthread_mutex_unlock(&registry->lock);
	return conn;
}

/* `conn` NULL: the room is free again. */
static void
give(struct registry *registry, struct conn *conn)
{
	pthread_mutex_lock(&registry->lock);
	if (conn) {
		conn->next = registry->idle;
		registry->idle = conn;
	} else {
		registry->n_open--;
	}
	pthread_cond_signal(&registry->returned);
	pthread_mutex_unlock(&registry->lock);
}

int
conn_query(struct conn *conn, enum query query, sqlite3_stmt **ret, struct err *err)
{
	sqlite3_stmt **stmt = &conn->stmts[query];

	if (!*stmt && sqlite3_prepare_v3(conn->db, queries[query], -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL) != SQLITE_OK)
		return db_err(conn->db, "preparing a question", err);
	sqlite3_reset(*stmt);
	*ret = *stmt;
	return 0;
}

int
conn_step(struct conn *conn, sqlite3_stmt *stmt, struct err *err)
{
	switch (sqlite3_step(stmt)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	}
	return db_err(conn->db, "reading", err);
}

static int
run(struct conn *conn, enum query query, struct err *err)
{
	sqlite3_stmt *stmt;

	if (conn_query(conn, query, &stmt, err) == -1 || conn_step(conn, stmt, err) == -1)
		return -1;
	sqlite3_reset(stmt);
	return 0;
}

/* The first read fixes the snapshot. A schema that was migrated meanwhile is noticed here. */
static int
begin(struct conn *conn, struct err *err)
{
	sqlite3_stmt *stmt;
	int version;

	if (run(conn, Q_BEGIN, err) == -1 || conn_query(conn, Q_VERSION, &stmt, err) == -1
	    || conn_step(conn, stmt, err) != 1)
		return -1;
	version = sqlite3_column_int(stmt, 0);
	sqlite3_reset(stmt);
	if (version != SCHEMA_VERSION)
		return err_set(err, ERR_CONFIG, "registry '%s' has schema %d, this program wants %d; "
		    "restart it with the Segel that wrote the registry", conn->file, version, SCHEMA_VERSION);
	return 0;
}

int
conn_begin(struct registry *registry, struct conn **ret, struct err *err)
{
	AUTO(conn_close) struct conn *conn = take(registry);

	if (conn && is_replaced(conn)) {
		conn_close(conn);
		conn = NULL;
	}
	if ((!conn && conn_open(registry->file, registry->timeout_ms, &conn, err) == -1) || begin(conn, err) == -1) {
		give(registry, NULL);
		return -1;
	}
	*ret = TAKE(conn);
	return 0;
}

void
conn_end(struct registry *registry, struct conn *conn, bool good)
{
	for (size_t i = 0; i < N_QUERIES; i++) {
		if (!conn->stmts[i])
			continue;
		sqlite3_reset(conn->stmts[i]);
		sqlite3_clear_bindings(conn->stmts[i]);
	}
	if (!good || run(conn, Q_COMMIT, NULL) == -1) {
		conn_close(conn);
		conn = NULL;
	}
	give(registry, conn);
}

int
registry_open(const char *file, int timeout_ms, struct registry **ret, struct err *err)
{
	AUTO(registry_close) struct registry *registry = xcalloc(1, sizeof(*registry));
	struct conn *conn = NULL;

	registry->file = xstrdup(file);
	registry->timeout_ms = timeout_ms;
	pthread_mutex_init(&registry->lock, NULL);
	pthread_cond_init(&registry->returned, NULL);
	if (conn_begin(registry, &conn, err) == -1)
		return -1;
	conn_end(registry, conn, true);
	*ret = TAKE(registry);
	return 0;
}

void
registry_close(struct registry *registry)
{
	if (!registry)
		return;
	while (registry->idle) {
		struct conn *conn = registry->idle;

		registry->idle = conn->next;
		conn_close(conn);
	}
	pthread_cond_destroy(&registry->returned);
	pthread_mutex_destroy(&registry->lock);
	free(registry->file);
	free(registry);
}
