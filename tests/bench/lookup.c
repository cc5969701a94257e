/*
 * lookup FOLDER CERTIFICATES: a registry with so many certificates, each bound to an address of its own
 * for sealing and for encrypting, half of them with a capability, written straight into the tables of an empty one (the laws in its triggers are lifted: a
 * million acts by hand would take hours). Then looks up addresses at random, as the filter does:
 * "lookups N p50 US p99 US max US", and the same for certificates to encrypt to: "encrypt_p50 US ...".
 */
#include <openssl/evp.h>
#include <sqlite3.h>

#include "policy/registry/encrypt.h"
#include "policy/registry/write.h"
#include "tests/bench/bench.h"

enum { NOW = 1790000000, LOOKUPS = 200000 };

/* Bytes of a certificate's usual size, the same ones for the same number. */
static void
sql_der(sqlite3_context *ctx, int n_values, sqlite3_value **values)
{
	uint64_t state = (uint64_t)sqlite3_value_int64(values[0]) * 0x9e3779b97f4a7c15u + 1, der[88];

	(void)n_values;
	for (size_t i = 0; i < N_ELEMENTS(der); i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		der[i] = state;
	}
	sqlite3_result_blob(ctx, der, sizeof(der), SQLITE_TRANSIENT);
}

static void
sql_sha256(sqlite3_context *ctx, int n_values, sqlite3_value **values)
{
	unsigned char hash[32];

	(void)n_values;
	must(EVP_Digest(sqlite3_value_blob(values[0]), (size_t)sqlite3_value_bytes(values[0]), hash, NULL, EVP_sha256(), NULL) == 1, "SHA-256");
	sqlite3_result_blob(ctx, hash, sizeof(hash), SQLITE_TRANSIENT);
}

static sqlite3 *
open_raw(const char *path)
{
	sqlite3 *db = NULL;

	must(sqlite3_open(path, &db) == SQLITE_OK, path);
	must(sqlite3_create_function(db, "der", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, sql_der, NULL, NULL) == SQLITE_OK
	    && sqlite3_create_function(db, "sha256", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, sql_sha256, NULL, NULL) == SQLITE_OK,
	    "functions");
	return db;
}

static void
run(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		must(false, sqlite3_errmsg(db));
}

static void
lift_laws(sqlite3 *db)
{
	for (;;) {
		sqlite3_stmt *stmt = NULL;
		char *sql;

		must(sqlite3_prepare_v2(db, "SELECT name FROM sqlite_master WHERE type = 'trigger' LIMIT 1", -1, &stmt, NULL) == SQLITE_OK,
		    "triggers");
		sql = sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_mprintf("DROP TRIGGER %Q", sqlite3_column_text(stmt, 0)) : NULL;
		sqlite3_finalize(stmt);
		if (!sql)
			return;
		run(db, sql);
		sqlite3_free(sql);
	}
}

/* Numbers 1 to N as "numbers"; DER of a usual size. */
static void
fill(sqlite3 *db, long n)
{
	char *sql = sqlite3_mprintf(
	    "PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; BEGIN;"
	    "CREATE TEMP TABLE numbers (n INTEGER PRIMARY KEY);"
	    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < %ld) INSERT INTO numbers SELECT n FROM c;"
	    "INSERT INTO cert (id, sha256, spki, issuer, serial, subject, kind, may_sign, may_encrypt, not_before, not_after,"
	    " der, state, act, state_act) SELECT n, sha256(der(n)), randomblob(32), 'CN=Demo', printf('%%x', n), 'CN=Kantor ' || n,"
	    " 'jabatan', 1, 1, %d - 86400, %d + 86400 * 365, der(n), 'aktif', 1, 1 FROM numbers;"
	    "INSERT INTO address (id, address, norm, domain, unit, from_at, act)"
	    " SELECT n + 1000, 'kantor' || n || '@kota.go.id', 'kantor' || n || '@kota.go.id', (SELECT id FROM domain),"
	    " (SELECT id FROM unit), %d - 1000, 1 FROM numbers;"
	    "INSERT INTO login (id, login, address, from_at, act) SELECT n, 'kantor' || n, n + 1000, %d - 1000, 1 FROM numbers;"
	    "INSERT INTO binding (id, cert, purpose, address, decision, from_at, act)"
	    " SELECT n, n, 'seal', n + 1000, '', %d - 1000, 1 FROM numbers;"
	    "INSERT INTO binding (id, cert, purpose, address, decision, from_at, act)"
	    " SELECT n + 10000000, n, 'encrypt', n + 1000, '', %d - 1000, 1 FROM numbers;"
	    "INSERT INTO capability (cert, word, source, from_at, act) SELECT n, 'gcm', 'officer', %d - 1000, 1 FROM numbers WHERE n %% 2;"
	    "COMMIT; PRAGMA wal_checkpoint(TRUNCATE);", n, NOW, NOW, NOW, NOW, NOW, NOW, NOW);

	run(db, sql);
	sqlite3_free(sql);
}

static void
make(const char *path, long n)
{
	const struct founder founder = { "root", "Kepala OP", "asn", NULL, "SK 1/2026" };
	struct registry_writer *writer = NULL;
	struct err err = { .text = "" };
	sqlite3 *db;
	int64_t id;

	must(registry_create(path, &founder, NOW - 5000, false, &err) == WRITE_DONE, err.text);
	must(registry_write_open(path, "root", NOW - 4000, &writer, &err) == WRITE_DONE, err.text);
	must(write_begin(writer, &err) == WRITE_DONE && write_unit_add(writer, "U1", "Dinas", &id, &err) == WRITE_DONE
	    && write_domain_add(writer, "kota.go.id", "own", true, &id, &err) == WRITE_DONE && write_commit(writer, &err) == WRITE_DONE,
	    err.text);
	registry_write_close(writer);
	db = open_raw(path);
	lift_laws(db);
	fill(db, n);
	sqlite3_close(db);
}

static void
ask_seal(struct registry *registry, const char *address)
{
	struct registry_found found;

	registry_lookup(registry, address, PURPOSE_SEAL, NOW, &found);
	if (found.answer != REGISTRY_FOUND)
		must(false, found.why);
	registry_found_done(&found);
}

static enum cert_use
accept_any(void *ctx, const struct registry_cert *cert, char why[FACT_WHY_BYTES])
{
	(void)ctx;
	(void)cert;
	why[0] = '\0';
	return CERT_USE_GOOD;
}

static void
ask_encrypt(struct registry *registry, const char *address)
{
	const struct encrypt_judge judge = { accept_any, NULL };
	struct registry_encrypt found;

	registry_encrypt(registry, address, NOW, &judge, &found);
	if (found.answer != ENCRYPT_FOUND)
		must(false, found.why);
	registry_encrypt_done(&found);
}

static void
measure(struct registry *registry, long n, void (*ask)(struct registry *registry, const char *address), const char *name)
{
	double *times = calloc(LOOKUPS, sizeof(*times));
	uint64_t state = 88172645463325252u;
	char address[64];

	must(times != NULL, "memory");
	for (size_t i = 0; i < LOOKUPS; i++) {
		double began;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		snprintf(address, sizeof(address), "kantor%lu@kota.go.id", (unsigned long)(state % (uint64_t)n) + 1);
		began = clock_now(CLOCK_MONOTONIC);
		ask(registry, address);
		times[i] = clock_now(CLOCK_MONOTONIC) - began;
	}
	printf("%sp50 %.1f %sp99 %.1f %smax %.1f", name, percentile(times, LOOKUPS, 0.5), name, percentile(times, LOOKUPS, 0.99), name,
	    percentile(times, LOOKUPS, 1));
	free(times);
}

int
main(int argc, char **argv)
{
	struct registry *registry = NULL;
	struct err err = { .text = "" };
	char path[512];
	long n;

	must(argc == 3, "usage: lookup FOLDER CERTIFICATES");
	n = atol(argv[2]);
	snprintf(path, sizeof(path), "%s/registry.db", argv[1]);
	make(path, n);
	must(registry_open(path, 5000, &registry, &err) == 0, err.text);
	printf("lookups %d ", LOOKUPS);
	measure(registry, n, ask_seal, "");
	printf(" ");
	measure(registry, n, ask_encrypt, "encrypt_");
	printf("\n");
	registry_close(registry);
	return 0;
}
