/*
 * replay FOLDER ROWS: a memory of replays with so many signatures. Then, taking turns: a signature that is new (looked
 * for and kept), one that is known, and a bare SQLite insert of the same row into a file of its own with the same
 * settings: "new N p50 US p99 US bare50 US bare99 US known50 US known99 US".
 */
#include <sqlite3.h>

#include "milter/filter/replay.h"
#include "tests/bench/bench.h"

enum { NOW = 1790000000, TURNS = 5000 };

static void
run(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		must(false, sqlite3_errmsg(db));
}

static sqlite3 *
open_raw(const char *folder, const char *name)
{
	AUTO(xfree) char *path = xasprintf("%s/%s", folder, name);
	sqlite3 *db = NULL;

	must(sqlite3_open(path, &db) == SQLITE_OK, path);
	return db;
}

static struct replay *
open_replay(const char *folder)
{
	struct replay *replay = NULL;
	struct err err = { .text = "" };

	must(replay_open(folder, 5000, &replay, &err) == 0, err.text);
	return replay;
}

/* Its own program makes the tables, then the rows are written straight into them. */
static void
fill(const char *folder, long n)
{
	AUTO(xfree) char *sql = xasprintf("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN;"
	    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < %ld) INSERT INTO seen SELECT randomblob(32),"
	    " randomblob(32), %d - 34560000 + n * 34 FROM c; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)", n, NOW);
	sqlite3 *db;

	replay_close(open_replay(folder));
	db = open_raw(folder, "replay.db");
	run(db, sql);
	sqlite3_close(db);
}

static sqlite3_stmt *
make_bare(sqlite3 *db)
{
	sqlite3_stmt *stmt = NULL;

	run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 1048576;"
	    "CREATE TABLE seen (value BLOB NOT NULL PRIMARY KEY, fields BLOB NOT NULL, first INTEGER NOT NULL) STRICT, WITHOUT ROWID");
	must(sqlite3_prepare_v2(db, "INSERT INTO seen VALUES (?1, ?2, ?3)", -1, &stmt, NULL) == SQLITE_OK, "prepare");
	return stmt;
}

static double
bare(sqlite3_stmt *stmt, const unsigned char value[32])
{
	const double began = clock_now(CLOCK_MONOTONIC);

	sqlite3_bind_blob(stmt, 1, value, 32, SQLITE_STATIC);
	sqlite3_bind_blob(stmt, 2, value, 32, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 3, NOW);
	must(sqlite3_step(stmt) == SQLITE_DONE, "insert");
	sqlite3_reset(stmt);
	return clock_now(CLOCK_MONOTONIC) - began;
}

static double
see(struct replay *replay, const unsigned char value[32], const struct head *head)
{
	const double began = clock_now(CLOCK_MONOTONIC);
	char why[FACT_WHY_BYTES];

	must(replay_see(replay, value, head, NOW, why) == REPLAY_NEW, why);
	return clock_now(CLOCK_MONOTONIC) - began;
}

static void
measure(struct replay *replay, sqlite3_stmt *stmt)
{
	static const char fields[] = "Message-ID: <1@kota.go.id>\r\nFrom: budi@kota.go.id\r\nSubject: Surat tugas\r\n"
	    "Date: Mon, 21 Sep 2026 13:46:40 +0000\r\n\r\n";
	double *fresh = calloc(TURNS, sizeof(*fresh)), *known = calloc(TURNS, sizeof(*known)), *alone = calloc(TURNS, sizeof(*alone));
	AUTO_HEAD struct head head = { 0 };
	unsigned char value[32];

	must(fresh && known && alone, "memory");
	head_scan(slice_of(fields), &head);
	for (size_t i = 0; i < TURNS; i++) {
		sqlite3_randomness(sizeof(value), value);
		fresh[i] = see(replay, value, &head);
		known[i] = see(replay, value, &head);
		alone[i] = bare(stmt, value);
	}
	printf("new %d p50 %.1f p99 %.1f bare50 %.1f bare99 %.1f known50 %.1f known99 %.1f\n", TURNS, percentile(fresh, TURNS, 0.5),
	    percentile(fresh, TURNS, 0.99), percentile(alone, TURNS, 0.5), percentile(alone, TURNS, 0.99),
	    percentile(known, TURNS, 0.5), percentile(known, TURNS, 0.99));
	free(fresh);
	free(known);
	free(alone);
}

int
main(int argc, char **argv)
{
	struct replay *replay;
	sqlite3_stmt *stmt;
	sqlite3 *db;

	must(argc == 3, "usage: replay FOLDER ROWS");
	fill(argv[1], atol(argv[2]));
	db = open_raw(argv[1], "bare.db");
	stmt = make_bare(db);
	replay = open_replay(argv[1]);
	measure(replay, stmt);
	replay_close(replay);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return 0;
}
