#include "milter/quarantine/store_db.h"

/*
 * Laws that hold whatever the code does. BEFORE triggers, so that INSERT OR REPLACE does not go round them.
 *
 * What lists and filters look at is in `item`; what only `show` does, in `evidence`: a list reads no page of it.
 */
static const char items[] =
    "CREATE TABLE item ("
    " n INTEGER PRIMARY KEY,"
    " id TEXT NOT NULL UNIQUE CHECK (length(id) = 32 AND id NOT GLOB '*[^0-9a-f]*'),"
    " fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),"
    " arrived INTEGER NOT NULL,"
    " role TEXT NOT NULL,"
    " class TEXT NOT NULL,"
    " action TEXT NOT NULL CHECK (action IN ('hold', 'reject+hold')),"
    " reason TEXT NOT NULL,"
    " queue_id TEXT NOT NULL,"
    " session TEXT NOT NULL,"
    " tls INTEGER NOT NULL CHECK (tls IN (0, 1)),"
    " tls_version TEXT NOT NULL,"
    " client TEXT NOT NULL,"
    " sender TEXT NOT NULL COLLATE NOCASE,"
    " size INTEGER NOT NULL,"
    " sha256 BLOB NOT NULL CHECK (length(sha256) = 32),"
    " unparsed INTEGER NOT NULL CHECK (unparsed IN (0, 1)),"
    " \"from\" TEXT NOT NULL COLLATE NOCASE,"
    " subject TEXT NOT NULL,"
    " message_id TEXT NOT NULL,"
    " signer_subject TEXT NOT NULL,"
    " signer_serial TEXT NOT NULL,"
    " signer_sha256 TEXT NOT NULL,"
    " n_recipients INTEGER NOT NULL,"
    " findings_overflow INTEGER NOT NULL,"
    " disk INTEGER NOT NULL,"                 /* bytes of the box; 0 = no body */
    " state TEXT NOT NULL CHECK (state IN ('baru', 'ditinjau', 'menunggu persetujuan', 'dilepas-sedang', 'dilepas', 'dihapus',"
    "  'kedaluwarsa')),"
    " version INTEGER NOT NULL,"
    " expires INTEGER NOT NULL,"
    " legal_hold INTEGER NOT NULL CHECK (legal_hold IN (0, 1)),"
    " has_body INTEGER NOT NULL CHECK (has_body IN (0, 1)),"
    " gone_at INTEGER,"                       /* the body; null = it is there */
    " asked_for INTEGER NOT NULL CHECK (asked_for IN (0, 1)),"
    " proposed_by TEXT NOT NULL,"
    " proposed_person INTEGER NOT NULL,"
    " proposed_at INTEGER NOT NULL,"
    " \"by\" TEXT NOT NULL,"                  /* login that acted last */
    " CHECK (has_body = (gone_at IS NULL) AND (has_body = 1 OR disk = 0)),"
    " CHECK (action = 'hold' OR state NOT IN ('menunggu persetujuan', 'dilepas-sedang', 'dilepas'))"
    ") STRICT;"
    "CREATE INDEX item_arrived ON item(arrived, n);"
    "CREATE INDEX item_same ON item(fingerprint) WHERE has_body = 1;"
    "CREATE INDEX item_expires ON item(expires) WHERE has_body = 1;"
    "CREATE INDEX item_gone ON item(gone_at) WHERE has_body = 0;"
    "CREATE INDEX item_state ON item(state, arrived, n);"

    "CREATE TRIGGER item_begins BEFORE INSERT ON item"
    " WHEN NEW.version <> 1 OR NEW.state <> 'baru' OR NEW.has_body <> 1 OR EXISTS (SELECT 1 FROM item WHERE id = NEW.id OR n = NEW.n)"
    " BEGIN SELECT RAISE(ABORT, 'an item begins as baru, with version 1, a body and an id of its own'); END;"
    "CREATE TRIGGER item_counts BEFORE UPDATE ON item"
    " WHEN NEW.version <> OLD.version + 1"
    " BEGIN SELECT RAISE(ABORT, 'every change of an item counts its version up by one'); END;"
    "CREATE TRIGGER item_unchanging BEFORE UPDATE OF n, id, fingerprint, arrived, role, class, action, reason, queue_id, session, tls,"
    " tls_version, client, sender, size, sha256, unparsed, \"from\", subject, message_id, signer_subject, signer_serial, signer_sha256,"
    " n_recipients ON item"
    " BEGIN SELECT RAISE(ABORT, 'what was recorded of a message stays'); END;"
    "CREATE TRIGGER item_body_stays BEFORE UPDATE OF has_body ON item"
    " WHEN (OLD.has_body = 0 AND NEW.has_body = 1) OR (NEW.has_body = 0 AND (OLD.legal_hold = 1 OR OLD.state = 'dilepas-sedang'))"
    " BEGIN SELECT RAISE(ABORT, 'a body under legal hold, or on its way, stays; one that has gone never comes back'); END;"
    "CREATE TRIGGER item_ended BEFORE UPDATE OF state ON item"
    " WHEN OLD.state IN ('dihapus', 'kedaluwarsa') AND NEW.state <> OLD.state"
    " BEGIN SELECT RAISE(ABORT, 'deleted and expired are final'); END;"
    "CREATE TRIGGER item_leaves BEFORE UPDATE OF state ON item"
    " WHEN NEW.state = 'dilepas-sedang' AND (OLD.has_body = 0 OR NOT EXISTS (SELECT 1 FROM release WHERE item = OLD.n AND ended IS NULL))"
    " BEGIN SELECT RAISE(ABORT, 'an item is on its way only with a release that has begun, and a body'); END;"
    "CREATE TRIGGER item_on_its_way BEFORE UPDATE OF state ON item"
    " WHEN OLD.state = 'dilepas-sedang' AND NEW.state <> OLD.state"
    "  AND EXISTS (SELECT 1 FROM release WHERE item = OLD.n AND ended IS NULL)"
    " BEGIN SELECT RAISE(ABORT, 'an item on its way stays that until its release has ended'); END;"
    "CREATE TRIGGER item_released BEFORE UPDATE OF state ON item"
    " WHEN NEW.state = 'dilepas' AND OLD.state NOT IN ('dilepas-sedang', 'dilepas')"
    " BEGIN SELECT RAISE(ABORT, 'an item is released only by a release'); END;"
    "CREATE TRIGGER item_forgotten BEFORE DELETE ON item"
    " WHEN OLD.has_body = 1 OR OLD.legal_hold = 1"
    " BEGIN SELECT RAISE(ABORT, 'an item is not forgotten while it has a body or is under legal hold'); END;"

    "CREATE TABLE evidence ("
    " item INTEGER PRIMARY KEY REFERENCES item(n) ON DELETE CASCADE,"
    " cipher TEXT NOT NULL,"
    " client_cert TEXT NOT NULL,"
    " client_subject TEXT NOT NULL,"
    " client_issuer TEXT NOT NULL,"
    " auth_type TEXT NOT NULL,"
    " login TEXT NOT NULL,"
    " without_smtp INTEGER NOT NULL CHECK (without_smtp IN (0, 1)),"
    " authserv_id TEXT NOT NULL,"
    " sender_parameters TEXT NOT NULL,"
    " signature TEXT NOT NULL,"
    " chain TEXT NOT NULL,"
    " revocation TEXT NOT NULL,"
    " registry TEXT NOT NULL,"
    " identity TEXT NOT NULL,"
    " signer_issuer TEXT NOT NULL"
    ") STRICT;";

static const char lists[] =
    "CREATE TABLE recipient ("
    " item INTEGER NOT NULL REFERENCES item(n) ON DELETE CASCADE,"
    " i INTEGER NOT NULL,"
    " address TEXT NOT NULL COLLATE NOCASE,"
    " parameters TEXT NOT NULL,"
    " released_at INTEGER NOT NULL DEFAULT 0,"
    " PRIMARY KEY (item, i)"
    ") STRICT, WITHOUT ROWID;"

    "CREATE TABLE finding ("
    " item INTEGER NOT NULL REFERENCES item(n) ON DELETE CASCADE,"
    " i INTEGER NOT NULL,"
    " reason TEXT NOT NULL,"
    " evidence TEXT NOT NULL,"
    " PRIMARY KEY (item, i)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX finding_reason ON finding(reason, item);"

    "CREATE TABLE event ("
    " seq INTEGER PRIMARY KEY,"
    " item INTEGER NOT NULL REFERENCES item(n) ON DELETE CASCADE,"
    " at INTEGER NOT NULL,"
    " what TEXT NOT NULL CHECK (length(what) > 0),"
    " login TEXT NOT NULL,"
    " person INTEGER NOT NULL,"
    " reason TEXT NOT NULL,"
    " detail TEXT NOT NULL"
    ") STRICT;"
    "CREATE INDEX event_item ON event(item, seq);"
    "CREATE INDEX event_login ON event(login, item);"
    "CREATE TRIGGER event_never_replaced BEFORE INSERT ON event"
    " WHEN EXISTS (SELECT 1 FROM event WHERE seq = NEW.seq)"
    " BEGIN SELECT RAISE(ABORT, 'event: history is never changed'); END;"
    "CREATE TRIGGER event_never_changed BEFORE UPDATE ON event"
    " BEGIN SELECT RAISE(ABORT, 'event: history is never changed'); END;"
    "CREATE TRIGGER event_never_deleted BEFORE DELETE ON event"
    " WHEN EXISTS (SELECT 1 FROM item WHERE n = OLD.item)"
    " BEGIN SELECT RAISE(ABORT, 'event: history goes only with its item'); END;"

    "CREATE TABLE release ("
    " token TEXT PRIMARY KEY CHECK (length(token) > 0),"
    " item INTEGER NOT NULL REFERENCES item(n) ON DELETE CASCADE,"
    " login TEXT NOT NULL,"
    " person INTEGER NOT NULL,"
    " began INTEGER NOT NULL,"
    " before TEXT NOT NULL,"                  /* state that a failure goes back to */
    " ended INTEGER,"
    " good INTEGER CHECK (good IN (0, 1)),"
    " CHECK ((ended IS NULL) = (good IS NULL))"
    ") STRICT;"
    "CREATE UNIQUE INDEX release_open ON release(item) WHERE ended IS NULL;"
    "CREATE INDEX release_item ON release(item);"
    "CREATE TRIGGER release_ends_once BEFORE UPDATE ON release WHEN OLD.ended IS NOT NULL"
    " BEGIN SELECT RAISE(ABORT, 'a token counts once'); END;"
    "CREATE TABLE release_to ("
    " token TEXT NOT NULL REFERENCES release(token) ON DELETE CASCADE,"
    " i INTEGER NOT NULL,"
    " address TEXT NOT NULL,"
    " PRIMARY KEY (token, i)"
    ") STRICT, WITHOUT ROWID;";

static int
run(struct quarantine *store, const char *sql, struct err *err)
{
	if (sqlite3_exec(store->writer, sql, NULL, NULL, NULL) != SQLITE_OK)
		return err_set(err, ERR_TEMP, "'%s/%s': its tables cannot be made: %s", store->dir, STORE_DB, sqlite3_errmsg(store->writer));
	return 0;
}

static int
pragma(struct quarantine *store, const char *sql, int *ret, struct err *err)
{
	AUTO(sqlite3_finalize) sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(store->writer, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc != SQLITE_ROW)
		return err_set(err, (rc & 0xff) == SQLITE_NOTADB || (rc & 0xff) == SQLITE_CORRUPT ? ERR_CONFIG : ERR_TEMP,
		    "'%s/%s' cannot be read: %s", store->dir, STORE_DB, sqlite3_errmsg(store->writer));
	*ret = sqlite3_column_int(stmt, 0);
	return 0;
}

/* All in one transaction: a crash leaves an empty database, or a whole one. */
static int
make(struct quarantine *store, struct err *err)
{
	char mark[96];

	sqlite3_snprintf(sizeof(mark), mark, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT", STORE_APPLICATION, STORE_SCHEMA);
	if (run(store, "BEGIN IMMEDIATE", err) == -1)
		return -1;
	if (run(store, items, err) == 0 && run(store, lists, err) == 0 && run(store, mark, err) == 0)
		return 0;
	sqlite3_exec(store->writer, "ROLLBACK", NULL, NULL, NULL);
	return -1;
}

int
store_schema(struct quarantine *store, struct err *err)
{
	int application = 0, version = 0, tables = 0;

	if (pragma(store, "PRAGMA application_id", &application, err) == -1 || pragma(store, "PRAGMA user_version", &version, err) == -1
	    || pragma(store, "SELECT count(*) FROM sqlite_schema", &tables, err) == -1)
		return -1;
	if (application == 0 && version == 0 && tables == 0)
		return make(store, err);
	if (application != STORE_APPLICATION)
		return err_set(err, ERR_CONFIG, "'%s/%s' is no quarantine (application_id %d, wanted %d); name another folder in quarantine.dir",
		    store->dir, STORE_DB, application, STORE_APPLICATION);
	if (version != STORE_SCHEMA)
		return err_set(err, ERR_CONFIG, "'%s/%s' has schema %d, this program knows %d; install the Segel that wrote it", store->dir,
		    STORE_DB, version, STORE_SCHEMA);
	return 0;
}
