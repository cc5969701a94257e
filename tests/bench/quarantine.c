/*
 * quarantine FOLDER ITEMS: a store with so many items (one held by its own hands, the others copied in SQL), and each kind of
 * list that people ask for, against the sqlite3 library asked bare for the same lines of the same file:
 * "NAME store MS bare MS ratio N", medians. And what holding one more costs there, against the same in an empty store.
 */
#include <sqlite3.h>

#include "milter/quarantine/store.h"
#include "tests/bench/bench.h"

enum { ROUNDS = 31, HOLDS = 301, NOW = 1790000000 };

static void
run(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		must(false, sqlite3_errmsg(db));
}

/* One message from its client, as segel-reviewd holds it. */
static void
hold_one(struct quarantine *store, unsigned number)
{
	struct item_recipient recipient = { .address = (char[]){ "warga@kota.go.id" }, .parameters = (char[]){ "" } };
	struct item item = { .arrived = NOW, .role = "inbound", .class = CLASS_INBOUND_OFFICIAL,
		.action = ACTION_HOLD, .reason = REASON_SIG_INVALID, .recipients = &recipient, .n_recipients = 1, .size = 4000, .expires = NOW + 1,
		.from = "kepala@kota.go.id", .sender = "kepala@kota.go.id", .subject = "Undangan", .chain = "good" };
	struct incoming *incoming = NULL;
	struct err err = { .text = "" };
	char same[ITEM_ID_BYTES];

	snprintf(item.id, sizeof(item.id), "%032x", number);
	memcpy(item.fingerprint, &number, sizeof(number));
	snprintf(item.transport.client, sizeof(item.transport.client), "10.1.%u.%u", number / 256 % 256, number % 256);
	finding_add(&item.findings, REASON_SIG_INVALID, "digest");
	must(store_room(store, 1, &err) == STORE_DONE && incoming_open(store, item.id, &incoming, &err) == STORE_DONE
	    && incoming_charge(incoming, &item, 1, &err) == STORE_DONE && incoming_write(incoming, slice_of("x"), &err) == STORE_DONE
	    && store_find_same(store, &item, same, &err) == STORE_NOT_FOUND
	    && incoming_keep(incoming, &err) == STORE_DONE && store_add(store, &item, &err) == STORE_DONE, err.text);
	incoming_free(incoming);
}

/* Median of milliseconds. */
static double
hold_many(struct quarantine *store, unsigned first)
{
	double took[HOLDS];

	for (unsigned i = 0; i < HOLDS; i++) {
		const double began = clock_now(CLOCK_MONOTONIC);

		hold_one(store, first + i);
		took[i] = (clock_now(CLOCK_MONOTONIC) - began) / 1000;
	}
	return percentile(took, HOLDS, 0.5);
}

static void
fill(sqlite3 *db, long n)
{
	char *sql = sqlite3_mprintf("PRAGMA synchronous = OFF; BEGIN; CREATE TEMP TABLE c AS WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL"
	    " SELECT n + 1 FROM c WHERE n < %ld) SELECT n FROM c;"
	    "INSERT INTO item SELECT c.n, printf('%%032x', c.n), randomblob(32), arrived + c.n, role, class, action, reason, 'Q' || c.n, session,"
	    " tls, tls_version, '10.' || (2 + c.n / 65536 %% 250) || '.' || (c.n / 256 %% 256) || '.' || (c.n %% 256), 'kantor' || (c.n %% 100) || '@kota.go.id', size + c.n, sha256, unparsed,"
	    " 'kepala' || (c.n %% 1000) || '@kota.go.id', 'Undangan rapat koordinasi nomor ' || c.n || ' tahun 2026', message_id,"
	    " 'CN=Kepala Dinas ' || c.n, printf('%%08x', c.n), signer_sha256, n_recipients, findings_overflow, disk, state, version, expires + c.n,"
	    " legal_hold, has_body, gone_at, asked_for, proposed_by, proposed_person, proposed_at, \"by\" FROM c, item i WHERE i.n = 1;"
	    "INSERT INTO evidence SELECT c.n, cipher, client_cert, client_subject, client_issuer, auth_type, login, without_smtp, authserv_id, sender_parameters,"
	    " signature, printf('%%0300d', 0), revocation, registry, identity, signer_issuer FROM c, evidence e WHERE e.item = 1;"
	    "INSERT INTO recipient SELECT c.n, 0, 'warga' || c.n || '@kota.go.id', '', 0 FROM c;"
	    "INSERT INTO finding SELECT c.n, i, iif(c.n %% 10, reason, 'CERT_REVOKED'), evidence FROM c, finding f WHERE f.item = 1;"
	    "COMMIT; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA synchronous = FULL", n);

	run(db, sql);
	sqlite3_free(sql);
}

/* One list both ways. `where` is what the filter means. */
static const struct question {
	const char *name, *where;
	struct item_filter filter;
} questions[] = {
	{ "newest", "1", { .limit = 100 } },
	{ "open", "state IN ('baru', 'ditinjau', 'menunggu persetujuan')", { .limit = 100, .open = true } },
	{ "from", "\"from\" LIKE '%kepala77@%'", { .limit = 100, .from = "kepala77@" } },
	{ "subject", "subject LIKE '%nomor 77%'", { .limit = 100, .subject = "nomor 77" } },
	{ "recipient", "n IN (SELECT item FROM recipient WHERE address LIKE '%warga77%')", { .limit = 100, .recipient = "warga77" } },
	{ "finding", "n IN (SELECT item FROM finding WHERE reason = 'CERT_REVOKED')", { .limit = 100, .reason = REASON_CERT_REVOKED } },
	{ "last-page", "1", { .limit = 100, .offset = 9900 } },
};

static void
count_line(void *ctx, const struct item_line *line)
{
	(void)line;
	(*(size_t *)ctx)++;
}

static double
ask_store(struct quarantine *store, const struct question *question, size_t *lines)
{
	struct err err = { .text = "" };
	double began = clock_now(CLOCK_MONOTONIC);
	size_t total = 0;

	*lines = 0;
	must(store_list(store, &question->filter, count_line, lines, &total, &err) == STORE_DONE, err.text);
	return (clock_now(CLOCK_MONOTONIC) - began) / 1000;
}

static size_t
step_all(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	size_t n = 0;

	must(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK, sqlite3_errmsg(db));
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		for (int i = 0; i < sqlite3_column_count(stmt); i++)
			(void)sqlite3_column_text(stmt, i);
		n++;
	}
	sqlite3_finalize(stmt);
	return n;
}

/* The plain way of asking it: how many there are, and the lines of one page. */
static double
ask_bare(sqlite3 *db, const struct question *question, size_t *lines)
{
	char *count = sqlite3_mprintf("SELECT count(*) FROM item WHERE %s", question->where);
	char *page = sqlite3_mprintf("SELECT id, arrived, expires, state, class, action, reason, \"from\", sender, subject,"
	    " (SELECT address FROM recipient r WHERE r.item = item.n AND r.i = 0), queue_id, signer_subject, client, tls_version, \"by\","
	    " n_recipients, size, version, legal_hold, asked_for, has_body FROM item WHERE %s ORDER BY arrived DESC, n DESC LIMIT %lld OFFSET %lld",
	    question->where, (long long)question->filter.limit, (long long)question->filter.offset); /* sqlite3_mprintf knows no %zu */
	double began = clock_now(CLOCK_MONOTONIC);

	(void)step_all(db, count);
	*lines = step_all(db, page);
	began = (clock_now(CLOCK_MONOTONIC) - began) / 1000;
	sqlite3_free(count);
	sqlite3_free(page);
	return began;
}

static void
compare(struct quarantine *store, sqlite3 *db, const struct question *question)
{
	double ours[ROUNDS], bare[ROUNDS];
	size_t our_lines, bare_lines;

	for (int i = 0; i < ROUNDS; i++) {
		ours[i] = ask_store(store, question, &our_lines);
		bare[i] = ask_bare(db, question, &bare_lines);
		must(our_lines == bare_lines, question->name);
	}
	printf("%s store %.2f bare %.2f ratio %.2f max %.2f\n", question->name, percentile(ours, ROUNDS, 0.5), percentile(bare, ROUNDS, 0.5),
	    percentile(ours, ROUNDS, 0.5) / percentile(bare, ROUNDS, 0.5), percentile(ours, ROUNDS, 1));
}

int
main(int argc, char **argv)
{
	struct store_settings settings = { .timeout_ms = 5000, .max_size = 1L << 40, .max_items = 1L << 40, .client_share = 10 };
	struct quarantine *store = NULL;
	struct err err = { .text = "" };
	sqlite3 *db = NULL;
	double empty, full;
	char dir[400], path[450];

	must(argc == 3, "usage: quarantine FOLDER ITEMS");
	snprintf(dir, sizeof(dir), "%s/quarantine", argv[1]);
	snprintf(path, sizeof(path), "%s/quarantine.db", dir);
	settings.dir = dir;
	must(store_open(&settings, &store, &err) == 0, err.text);
	hold_one(store, 1);
	must(sqlite3_open(path, &db) == SQLITE_OK, path);
	fill(db, atol(argv[2]));
	for (size_t i = 0; i < N_ELEMENTS(questions); i++)
		compare(store, db, &questions[i]);
	sqlite3_close(db);
	store_close(store);
	/* Opened anew, it knows the share of each client. */
	must(store_open(&settings, &store, &err) == 0, err.text);
	full = hold_many(store, 1u << 30);
	store_close(store);
	snprintf(dir, sizeof(dir), "%s/empty", argv[1]);
	must(store_open(&settings, &store, &err) == 0, err.text);
	empty = hold_many(store, 1u << 30);
	store_close(store);
	printf("hold store %.2f bare %.2f ratio %.2f max %.2f\n", full, empty, full / empty, full);
	return 0;
}
