/*
 * sockmap: the socketmap bench.
 *
 *     sockmap make FILE N                 a registry with N official domains, every other one with a TLS policy of its
 *                                         own, written straight into the tables (the laws are lifted, as in lookup.c)
 *     sockmap nothing SOCKET              a server that gives everybody the same answer: what the rest costs
 *     sockmap ask SOCKET N QUERIES PEERS  asks for domains at random (a tenth of them not registered) over PEERS
 *                                         connections, one question at a time on each: "asked N rate R p50 US p99 US max US"
 */
#include <poll.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "policy/registry/write.h"
#include "tests/bench/bench.h"

enum { MAX_PEERS = 64 };

static const char same_answer[] = "30:OK encrypt protocols=>=TLSv1.2,";

static void
run(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		must(false, sqlite3_errmsg(db));
}

static int
drop_trigger(void *db, int n, char **texts, char **names)
{
	char *sql = sqlite3_mprintf("DROP TRIGGER %Q", texts[0]);

	(void)n;
	(void)names;
	run(db, sql);
	sqlite3_free(sql);
	return 1; /* the list has changed */
}

static void
fill(sqlite3 *db, long n, long at)
{
	char *sql = sqlite3_mprintf(
	    "PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; BEGIN;"
	    "CREATE TEMP TABLE numbers (n INTEGER PRIMARY KEY);"
	    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < %ld) INSERT INTO numbers SELECT n FROM c;"
	    "INSERT INTO domain(name, kind, fold, from_at, act) SELECT 'kota' || n || '.go.id', 'partner', 0, %ld, 1 FROM numbers;"
	    "INSERT INTO tls_policy(hop, domain, level, matches, from_at, act)"
	    " SELECT 'kota' || n || '.go.id', 'kota' || n || '.go.id', 'secure', 'mx.kota' || n || '.go.id', %ld, 1 FROM numbers WHERE n %% 2;"
	    "COMMIT; PRAGMA wal_checkpoint(TRUNCATE);", n, at, at);

	run(db, sql);
	sqlite3_free(sql);
}

static void
make(const char *path, long n)
{
	const struct founder founder = { "root", "Kepala OP", "asn", NULL, "SK 1/2026" };
	const time_t at = time(NULL) - 10;
	struct err err = { .text = "" };
	sqlite3 *db = NULL;

	must(registry_create(path, &founder, at, false, &err) == WRITE_DONE, err.text);
	must(sqlite3_open(path, &db) == SQLITE_OK, path);
	while (sqlite3_exec(db, "SELECT name FROM sqlite_master WHERE type = 'trigger' LIMIT 1", drop_trigger, db, NULL) == SQLITE_ABORT)
		;
	fill(db, n, (long)at);
	sqlite3_close(db);
}

static struct sockaddr_un
address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	must(strlen(path) < sizeof(address.sun_path), "the socket's path is short enough");
	memcpy(address.sun_path, path, strlen(path) + 1);
	return address;
}

/* Reads to the comma of each request, and never looks at one. */
static void
nothing(const char *path)
{
	const struct sockaddr_un address = address_of(path);
	struct pollfd fds[MAX_PEERS + 1] = { { .fd = socket(AF_UNIX, SOCK_STREAM, 0), .events = POLLIN } };
	nfds_t n = 1;

	must(bind(fds[0].fd, (const struct sockaddr *)&address, sizeof(address)) == 0 && listen(fds[0].fd, MAX_PEERS) == 0, path);
	for (;;) {
		must(poll(fds, n, -1) != -1, "poll");
		for (nfds_t i = 1; i < n; i++) {
			char block[4096];
			ssize_t len = fds[i].revents ? recv(fds[i].fd, block, sizeof(block), 0) : -1;

			if (len == 0) {
				close(fds[i].fd);
				fds[i--] = fds[--n];
				continue;
			}
			if (len > 0 && block[len - 1] == ',')
				must(send(fds[i].fd, same_answer, sizeof(same_answer) - 1, MSG_NOSIGNAL) > 0, "send");
		}
		if (fds[0].revents && n <= MAX_PEERS)
			fds[n++] = (struct pollfd){ .fd = accept(fds[0].fd, NULL, NULL), .events = POLLIN };
	}
}

struct asker {
	uint64_t state;
	long domains;
	double *times;
	double began[MAX_PEERS];
	size_t asked, answered, wanted;
};

static void
ask_one(struct asker *asker, int fd, size_t peer)
{
	char key[64], request[96];
	int len;

	asker->state ^= asker->state << 13;
	asker->state ^= asker->state >> 7;
	asker->state ^= asker->state << 17;
	snprintf(key, sizeof(key), asker->asked % 10 ? "kota%lu.go.id" : "asing%lu.example",
	    (unsigned long)(asker->state % (uint64_t)asker->domains) + 1);
	len = snprintf(request, sizeof(request), "%zu:tls %s,", strlen(key) + 4, key);
	asker->began[peer] = clock_now(CLOCK_MONOTONIC);
	must(send(fd, request, (size_t)len, MSG_NOSIGNAL) == len, "send");
	asker->asked++;
}

/* Every answer is short enough to come in one piece. */
static void
take_answer(struct asker *asker, int fd, size_t peer)
{
	char reply[512];
	ssize_t len = recv(fd, reply, sizeof(reply) - 1, 0);

	must(len > 4 && reply[len - 1] == ',', "a whole answer");
	reply[len] = '\0';
	must(strstr(reply, ":OK ") || strstr(reply, ":NOTFOUND "), reply);
	asker->times[asker->answered++] = clock_now(CLOCK_MONOTONIC) - asker->began[peer];
	if (asker->asked < asker->wanted)
		ask_one(asker, fd, peer);
}

static void
ask(const char *path, long domains, size_t queries, size_t peers)
{
	const struct sockaddr_un address = address_of(path);
	struct asker asker = { .state = 88172645463325252u, .domains = domains, .wanted = queries,
		.times = calloc(queries, sizeof(double)) };
	struct pollfd fds[MAX_PEERS];
	double began, seconds;

	must(asker.times && peers > 0 && peers <= MAX_PEERS && queries >= peers, "sizes");
	for (size_t i = 0; i < peers; i++) {
		fds[i] = (struct pollfd){ .fd = socket(AF_UNIX, SOCK_STREAM, 0), .events = POLLIN };
		must(connect(fds[i].fd, (const struct sockaddr *)&address, sizeof(address)) == 0, path);
	}
	began = clock_now(CLOCK_MONOTONIC);
	for (size_t i = 0; i < peers; i++)
		ask_one(&asker, fds[i].fd, i);
	while (asker.answered < queries) {
		must(poll(fds, peers, 10000) > 0, "an answer within ten seconds");
		for (size_t i = 0; i < peers; i++)
			if (fds[i].revents)
				take_answer(&asker, fds[i].fd, i);
	}
	seconds = (clock_now(CLOCK_MONOTONIC) - began) / 1e6;
	printf("asked %zu rate %.0f p50 %.1f p99 %.1f max %.1f\n", queries, (double)queries / seconds,
	    percentile(asker.times, queries, 0.5), percentile(asker.times, queries, 0.99), percentile(asker.times, queries, 1));
	free(asker.times);
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "make") == 0)
		make(argv[2], strtol(argv[3], NULL, 10));
	else if (argc == 3 && strcmp(argv[1], "nothing") == 0)
		nothing(argv[2]);
	else if (argc == 6 && strcmp(argv[1], "ask") == 0)
		ask(argv[2], strtol(argv[3], NULL, 10), strtoul(argv[4], NULL, 10), strtoul(argv[5], NULL, 10));
	else
		must(false, "usage: sockmap make FILE N | nothing SOCKET | ask SOCKET N QUERIES PEERS");
	return EXIT_SUCCESS;
}
