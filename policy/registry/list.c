#include "policy/registry/list.h"

#include <stdlib.h>
#include <string.h>

#include "policy/registry/db.h"
#include "policy/registry/pool.h"
#include "policy/registry/schema.h"
#include "policy/registry/sha256.h"

/* ?1 time, ?2 all, ?3 id or 0. One letter a column: s text, n number, t time, b bool, h hash. */
#define SHOWN(t) "(?2 OR " SQL_CURRENT(t) ") AND (?3=0 OR " t ".id=?3) ORDER BY " t ".id"
#define SHOWN_TERM(t) "(?2 OR " SQL_CURRENT_TERM(t) ") AND (?3=0 OR " t ".id=?3) ORDER BY " t ".id"
#define TARGET                                                                                \
	"CASE WHEN b.address NOT NULL THEN 'address' WHEN b.unit NOT NULL THEN 'unit' ELSE 'domain' END," \
	" coalesce(a.address, u.code, d.name)"
/* Is what the binding is to current? Of address, unit and domain it has one; an address also needs its domain. */
#define TARGET_CURRENT                                                                                  \
	"coalesce(" SQL_CURRENT("u") " OR (" SQL_CURRENT("d") " AND (b.address IS NULL OR " SQL_CURRENT("a") ")), 0)"
/* A hold that has lapsed binds nobody, whatever the row still says. */
#define STATE_NOW "CASE WHEN c.state='ditahan' AND c.hold_until<=?1 THEN 'aktif' ELSE c.state END"

static const struct list {
	const char *kinds;
	const char *columns[LIST_MAX_COLUMNS];
	const char *sql;
} lists[N_LISTS] = {
	[LIST_UNIT] = { "nsstt", { "id", "code", "name", "from", "ended" },
	    "SELECT u.id, u.code, u.name, u.from_at, u.ended_at FROM unit u WHERE " SHOWN("u") },
	[LIST_PERSON] = { "nssstt", { "id", "name", "category", "unit", "from", "ended" },
	    "SELECT p.id, p.name, p.category, u.code, p.from_at, p.ended_at"
	    " FROM person p LEFT JOIN unit u ON u.id=p.unit WHERE " SHOWN("p") },
	[LIST_SYSTEM] = { "nssstt", { "id", "name", "unit", "host", "from", "ended" },
	    "SELECT s.id, s.name, u.code, s.host, s.from_at, s.ended_at"
	    " FROM system s LEFT JOIN unit u ON u.id=s.unit WHERE " SHOWN("s") },
	[LIST_DOMAIN] = { "nssbtt", { "id", "name", "kind", "fold", "from", "ended" },
	    "SELECT d.id, d.name, d.kind, d.fold, d.from_at, d.ended_at FROM domain d WHERE " SHOWN("d") },
	[LIST_ADDRESS] = { "nsssstt", { "id", "address", "compared", "unit", "person", "from", "ended" },
	    "SELECT a.id, a.address, a.norm, u.code, p.name, a.from_at, a.ended_at FROM address a"
	    " LEFT JOIN unit u ON u.id=a.unit LEFT JOIN person p ON p.id=a.person WHERE " SHOWN("a") },
	[LIST_LOGIN] = { "nsstt", { "id", "login", "address", "from", "ended" },
	    "SELECT l.id, l.login, a.address, l.from_at, l.ended_at"
	    " FROM login l JOIN address a ON a.id=l.address WHERE " SHOWN("l") },
	[LIST_OFFICER] = { "nsssttt", { "id", "login", "person", "appointment", "from", "to", "ended" },
	    "SELECT o.id, o.login, p.name, o.appointment, o.from_at, o.to_at, o.ended_at"
	    " FROM officer o JOIN person p ON p.id=o.person WHERE " SHOWN_TERM("o") },
	[LIST_REVIEWER] = { "nssssttt", { "id", "login", "person", "role", "appointment", "from", "to", "ended" },
	    "SELECT r.id, r.login, p.name, r.role, r.appointment, r.from_at, r.to_at, r.ended_at"
	    " FROM reviewer r JOIN person p ON p.id=r.person WHERE " SHOWN_TERM("r") },
	[LIST_CERT] = { "nhssssttt", { "id", "sha256", "kind", "state", "subject", "serial", "not_before", "not_after", "hold_until" },
	    "SELECT c.id, c.sha256, c.kind, " STATE_NOW ", c.subject, c.serial, c.not_before, c.not_after, c.hold_until"
	    " FROM cert c WHERE (?2 OR (c.state IN ('aktif', 'ditahan') AND ?1<=c.not_after)) AND (?3=0 OR c.id=?3) ORDER BY c.id" },
	[LIST_CERT_DETAIL] = { "nhhsssssttbbsssbtnstt",
	    { "id", "sha256", "spki", "subject", "issuer", "serial", "kind", "state", "not_before", "not_after", "may_sign",
	      "may_encrypt", "capabilities", "code", "reason", "compromised", "hold_until", "successor", "officer", "recorded", "changed" },
	    "SELECT c.id, c.sha256, c.spki, c.subject, c.issuer, c.serial, c.kind, " STATE_NOW ", c.not_before, c.not_after,"
	    " c.may_sign, c.may_encrypt,"
	    " (SELECT group_concat(k.word, ' ') FROM capability k WHERE k.cert=c.id AND " SQL_CURRENT("k") "), c.code, c.reason, c.compromised, c.hold_until, c.successor, s.login, i.at, s.at"
	    " FROM cert c JOIN act i ON i.seq=c.act JOIN act s ON s.seq=c.state_act WHERE (?2 OR ?1) AND c.id=?3" },
	[LIST_BINDING] = { "nnhssssttts",
	    { "id", "cert", "sha256", "state", "purpose", "to", "name", "from", "until", "ended", "decision" },
	    "SELECT b.id, b.cert, c.sha256, " STATE_NOW ", b.purpose, " TARGET ", b.from_at, b.to_at, b.ended_at, b.decision"
	    " FROM binding b JOIN cert c ON c.id=b.cert LEFT JOIN address a ON a.id=b.address LEFT JOIN unit u ON u.id=b.unit"
	    " LEFT JOIN domain d ON d.id=b.domain"
	    /* One that begins later is shown; one whose address, unit or domain has ended binds nobody. */
	    " WHERE (?2 OR (b.ended_at IS NULL AND (b.to_at IS NULL OR ?1<b.to_at)"
	    "  AND coalesce(a.ended_at, u.ended_at, d.ended_at) IS NULL))"
	    " AND (?3=0 OR b.cert=?3) ORDER BY b.id" },
	/* One row a certificate, with its best binding: SQLite takes bare columns from the row of the maximum. */
	[LIST_CLIENT] = { "nhssttssss",
	    { "cert", "sha256", "kind", "state", "not_before", "not_after", "bound", "to", "name", "subject" },
	    "SELECT c.id, c.sha256, c.kind, " STATE_NOW ", c.not_before, c.not_after,"
	    " CASE max(CASE WHEN NOT " TARGET_CURRENT " THEN 0 WHEN " SQL_CURRENT_TERM("b") " THEN 2"
	    "  WHEN b.ended_at IS NULL AND ?1<b.from_at THEN 1 ELSE 0 END) WHEN 2 THEN 'now' WHEN 1 THEN 'later' ELSE 'ended' END,"
	    " " TARGET ", c.subject"
	    " FROM binding b JOIN cert c ON c.id=b.cert LEFT JOIN address a ON a.id=b.address LEFT JOIN unit u ON u.id=b.unit"
	    " LEFT JOIN domain d ON d.id=coalesce(b.domain, a.domain)"
	    " WHERE b.purpose='client' AND (?2 OR ?1) AND (?3=0 OR c.id=?3) GROUP BY c.id ORDER BY c.id" },
	[LIST_TLS] = { "nssssstt", { "id", "next_hop", "level", "match", "official", "decision", "from", "ended" },
	    "SELECT t.id, t.hop, t.level, t.matches,"
	    " (SELECT d.kind FROM domain d WHERE d.name=t.domain AND " SQL_CURRENT("d") "), t.decision, t.from_at, t.ended_at"
	    " FROM tls_policy t WHERE " SHOWN("t") },
	[LIST_ACT] = { "ntssss", { "seq", "at", "officer", "verb", "object", "detail" },
	    "SELECT t.seq, t.at, t.login, t.verb, t.object, t.detail FROM act t"
	    " WHERE (?2 OR ?1) AND (?3=0 OR t.seq=?3) ORDER BY t.seq" },
};

const char *const *
list_columns(enum list_what what, size_t *n)
{
	*n = strlen(lists[what].kinds);
	return lists[what].columns;
}

static enum list_kind
kind_of(char letter)
{
	switch (letter) {
	case 's':
		return LIST_KIND_TEXT;
	case 'n':
		return LIST_KIND_NUMBER;
	case 't':
		return LIST_KIND_TIME;
	case 'b':
		return LIST_KIND_BOOL;
	case 'h':
		return LIST_KIND_HASH;
	}
	return LIST_KIND_NONE;
}

static void
hex(sqlite3_stmt *stmt, int column, char ret[65])
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *bytes = sqlite3_column_blob(stmt, column);
	int n = sqlite3_column_bytes(stmt, column);

	for (int i = 0; i < n && i < 32; i++) {
		ret[2 * i] = digits[bytes[i] >> 4];
		ret[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret[n < 32 ? 2 * n : 64] = '\0';
}

static void
read_cell(sqlite3_stmt *stmt, int column, char letter, struct list_cell *cell, char hash[65])
{
	*cell = (struct list_cell){ .kind = kind_of(letter) };
	if (sqlite3_column_type(stmt, column) == SQLITE_NULL) {
		cell->kind = LIST_KIND_NONE;
		return;
	}
	cell->number = sqlite3_column_int64(stmt, column);
	if (cell->kind == LIST_KIND_TEXT) {
		cell->text = db_text(stmt, column);
	} else if (cell->kind == LIST_KIND_HASH) {
		hex(stmt, column, hash);
		cell->text = hash;
	}
}

static int
list_rows(struct conn *conn, const struct list *list, const struct list_filter *filter,
    void (*each)(void *ctx, const struct list_cell *cells, size_t n_cells), void *ctx, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	struct list_cell cells[LIST_MAX_COLUMNS];
	char hashes[LIST_MAX_COLUMNS][65];
	size_t n = strlen(list->kinds);
	int row;

	if (sqlite3_prepare_v2(conn->db, list->sql, -1, &stmt, NULL) != SQLITE_OK
	    || db_bindf(stmt, "iii", (int64_t)filter->at, (int64_t)filter->all, filter->id) == -1)
		return db_err(conn->db, "listing", err);
	while ((row = conn_step(conn, stmt, err)) == 1) {
		for (size_t i = 0; i < n; i++)
			read_cell(stmt, (int)i, list->kinds[i], &cells[i], hashes[i]);
		each(ctx, cells, n);
	}
	return row;
}

int
registry_list(struct registry *registry, enum list_what what, const struct list_filter *filter,
    void (*each)(void *ctx, const struct list_cell *cells, size_t n_cells), void *ctx, struct err *err)
{
	struct conn *conn;
	int rc;

	if (conn_begin(registry, &conn, err) == -1)
		return -1;
	rc = list_rows(conn, &lists[what], filter, each, ctx, err);
	conn_end(registry, conn, rc == 0);
	return rc;
}

int
registry_cert_id(struct registry *registry, const char *text, int64_t *ret, struct err *err)
{
	struct conn *conn;
	int rc;

	if (conn_begin(registry, &conn, err) == -1)
		return -1;
	rc = db_cert_from_text(conn->db, text, ret, err);
	conn_end(registry, conn, rc != -1);
	return rc;
}

static int
read_der(struct conn *conn, int64_t id, unsigned char **der, size_t *len, struct err *err)
{
	unsigned char hash[32];
	sqlite3_stmt *stmt;
	const void *bytes;

	if (conn_query(conn, Q_CERT, &stmt, err) == -1 || db_bindf(stmt, "ii", (int64_t)0, id) == -1)
		return -1;
	switch (conn_step(conn, stmt, err)) {
	case 0:
		return err_set(err, ERR_CONFIG, "no certificate %lld is registered", (long long)id);
	case -1:
		return -1;
	}
	bytes = sqlite3_column_blob(stmt, 2);
	*len = (size_t)sqlite3_column_bytes(stmt, 2);
	if (!bytes || !sha256_of(bytes, *len, hash) || sqlite3_column_bytes(stmt, 0) != 32
	    || memcmp(hash, sqlite3_column_blob(stmt, 0), 32) != 0)
		return err_set(err, ERR_CONFIG, "registry '%s' is damaged: the row of certificate %lld does not hash to its SHA-256; "
		    "restore a backup", conn->file, (long long)id);
	*der = xcalloc(*len, 1);
	memcpy(*der, bytes, *len);
	return 0;
}

int
registry_cert_der(struct registry *registry, int64_t id, unsigned char **der, size_t *len, struct err *err)
{
	struct conn *conn;
	int rc;

	if (conn_begin(registry, &conn, err) == -1)
		return -1;
	rc = read_der(conn, id, der, len, err);
	conn_end(registry, conn, rc == 0);
	return rc;
}
