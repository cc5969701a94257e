/*
 * 500 seeded changes to an audit file, each of them found by `segelctl audit verify` and named by
 * file and line. The file is written by the daemons' own code, with torn tails that were closed off;
 * the checkpoints are what that code logged.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "milter/audit/audit.h"
#include "milter/ctl/ctl.h"
#include "milter/log.h"
#include "smime/buf.h"

extern const struct ctl_command ctl_audit_commands[];

enum { MUTATIONS = 500, RUNS = 4, RECORDS = 25, MOST_LINES = 200, FILE_CAP = 1024 * 1024 };

struct world {
	char dir[64];
	char file[96];
	char log[96];
	struct buf whole;
	struct buf other;  /* a second chain of the same writer */
	size_t n_lines;
	size_t starts[MOST_LINES + 1]; /* of each line, and behind the last */
	uint64_t random;
	char *err; /* owned; of the last command */
	char *out;
	size_t err_len, out_len;
};

/* --- the file and its log --- */

static void
append_records(struct audit *audit, int n)
{
	for (int i = 0; i < n; i++) {
		char value[32];
		const struct audit_pair pairs[] = { { "qid", value }, { "from", "dinas@kota.go.id" } };
		struct err err;

		snprintf(value, sizeof(value), "4fXb%d", i);
		if (audit_append(audit, i % 2 ? "message" : "seal-intent", pairs, N_ELEMENTS(pairs), NULL, &err) == -1)
			fail_msg("%s", err.text);
	}
}

/* A crash that leaves part of a record behind. */
static void
leave_torn_tail(const char *file)
{
	FILE *out = fopen(file, "ae");

	assert_non_null(out);
	fputs("26 2026-11-21T08:00:00.000Z message qid=4fX", out);
	fclose(out);
}

static void
write_runs(struct world *world)
{
	for (int run = 0; run < RUNS; run++) {
		struct audit *audit = NULL;
		struct err err;

		if (audit_open(world->dir, "segel-keyd", &audit, &err) == -1)
			fail_msg("%s", err.text);
		append_records(audit, RECORDS);
		audit_close(audit);
		if (run + 1 < RUNS)
			leave_torn_tail(world->file);
	}
}

static void
read_file(const char *file, struct buf *ret)
{
	char block[4096];
	FILE *in = fopen(file, "re");
	size_t got;

	assert_non_null(in);
	buf_init(ret, FILE_CAP);
	while ((got = fread(block, 1, sizeof(block), in)) > 0)
		buf_add(ret, block, got);
	fclose(in);
}

static void
write_file(const char *file, const void *bytes, size_t len)
{
	FILE *out = fopen(file, "we");

	assert_non_null(out);
	assert_int_equal(fwrite(bytes, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
}

/* Standard error into the log file, so that the checkpoints are those that were really logged. */
static void
with_log(struct world *world, const char *log, void (*run)(struct world *))
{
	int kept = dup(STDERR_FILENO);
	int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(kept != -1 && fd != -1);
	fflush(stderr);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	close(fd);
	log_open("segel-keyd", LOG_TO_STDERR, LOG_LEVEL_INFO);
	run(world);
	assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
	close(kept);
}

static void
find_lines(struct world *world)
{
	world->n_lines = 0;
	for (size_t at = 0; at < world->whole.len; world->n_lines++) {
		const unsigned char *end = memchr(world->whole.at + at, '\n', world->whole.len - at);

		assert_true(world->n_lines < MOST_LINES);
		world->starts[world->n_lines] = at;
		at = (size_t)(end - world->whole.at) + 1;
	}
	world->starts[world->n_lines] = world->whole.len;
}

static int
setup(void **state)
{
	struct world *world = xcalloc(1, sizeof(*world));

	snprintf(world->dir, sizeof(world->dir), "/tmp/segel-mutate-XXXXXX");
	assert_non_null(mkdtemp(world->dir));
	snprintf(world->file, sizeof(world->file), "%s/segel-keyd.audit", world->dir);
	snprintf(world->log, sizeof(world->log), "%s/log", world->dir);
	with_log(world, "/dev/null", write_runs);
	read_file(world->file, &world->other);
	assert_int_equal(unlink(world->file), 0);
	with_log(world, world->log, write_runs);
	read_file(world->file, &world->whole);
	find_lines(world);
	world->random = 20261121;
	*state = world;
	return 0;
}

static int
teardown(void **state)
{
	struct world *world = *state;

	unlink(world->file);
	unlink(world->log);
	rmdir(world->dir);
	buf_done(&world->whole);
	buf_done(&world->other);
	free(world->err);
	free(world->out);
	free(world);
	return 0;
}

/* --- asking --- */

static enum ctl_exit
run(struct world *world, const char *const *words, int n)
{
	static const struct ctl_noun nouns[] = { { "audit", "records", ctl_audit_commands }, { 0 } };
	char *argv[12] = { NULL };
	enum ctl_exit result;
	FILE *out, *err;

	free(world->out);
	free(world->err);
	out = open_memstream(&world->out, &world->out_len);
	err = open_memstream(&world->err, &world->err_len);
	argv[0] = xstrdup("segelctl");
	for (int i = 0; i < n; i++)
		argv[i + 1] = xstrdup(words[i]);
	result = ctl_main(nouns, n + 1, argv, out, err);
	fclose(out);
	fclose(err);
	for (int i = 0; i <= n; i++)
		free(argv[i]);
	return result;
}

#define RUN(world, ...) run(world, (const char *const[]){ __VA_ARGS__ }, \
	(int)N_ELEMENTS(((const char *const[]){ __VA_ARGS__ })))

static enum ctl_exit
verify(struct world *world)
{
	return RUN(world, "audit", "verify", world->file, "--checkpoints", world->log);
}

/* --- changes --- */

static size_t
below(struct world *world, size_t n)
{
	world->random = world->random * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(world->random >> 33) % n;
}

static struct slice
line_of(const struct world *world, size_t line)
{
	return (struct slice){ world->whole.at + world->starts[line], world->starts[line + 1] - world->starts[line] };
}

static void
flip_bit(struct world *world, struct buf *ret)
{
	size_t bit = below(world, 8 * world->whole.len);

	buf_add_slice(ret, buf_slice(&world->whole));
	ret->at[bit / 8] ^= (unsigned char)(1 << bit % 8);
}

static void
delete_record(struct world *world, struct buf *ret)
{
	size_t gone = below(world, world->n_lines);

	for (size_t line = 0; line < world->n_lines; line++) {
		if (line != gone)
			buf_add_slice(ret, line_of(world, line));
	}
}

/* One of this file's own, or of another file that the same writer made: good in itself, but not there. */
static void
insert_record(struct world *world, struct buf *ret)
{
	size_t where = below(world, world->n_lines + 1), which = below(world, world->n_lines);
	const unsigned char *end = memchr(world->other.at, '\n', world->other.len);
	struct slice stranger = { world->other.at, (size_t)(end - world->other.at) + 1 };
	struct slice one = below(world, 2) ? stranger : line_of(world, which);

	for (size_t line = 0; line <= world->n_lines; line++) {
		if (line == where)
			buf_add_slice(ret, one);
		if (line < world->n_lines)
			buf_add_slice(ret, line_of(world, line));
	}
}

static void
swap_records(struct world *world, struct buf *ret)
{
	size_t one = below(world, world->n_lines), step = 1 + below(world, world->n_lines - 1);
	size_t two = (one + step) % world->n_lines;

	for (size_t line = 0; line < world->n_lines; line++)
		buf_add_slice(ret, line_of(world, line == one ? two : line == two ? one : line));
}

/* Records, or part of one. */
static void
cut_tail(struct world *world, struct buf *ret)
{
	size_t most = world->whole.len;
	size_t cut = below(world, 2) ? 1 + below(world, most) : most - world->starts[below(world, world->n_lines)];

	buf_add(ret, world->whole.at, most - cut);
}

/* The tail is gone, and the program was started since: it goes on as if after a crash. */
static void
cut_and_restart(struct world *world, struct buf *ret)
{
	AUTO_BUF struct buf cut = { 0 };
	struct audit *audit = NULL;
	struct err err;

	buf_init(&cut, FILE_CAP);
	cut_tail(world, &cut);
	write_file(world->file, cut.at, cut.len);
	log_open("segel-keyd", LOG_TO_STDERR, LOG_LEVEL_ERROR);
	if (audit_open(world->dir, "segel-keyd", &audit, &err) == -1)
		fail_msg("%s", err.text);
	append_records(audit, (int)below(world, 2 * RUNS * RECORDS));
	audit_close(audit);
	cut.len = 0;
	buf_done(&cut);
	read_file(world->file, &cut);
	buf_add_slice(ret, buf_slice(&cut));
}

static void
write_anew(struct world *world, struct buf *ret)
{
	buf_add_slice(ret, buf_slice(&world->other));
}

static const struct {
	const char *name;
	void (*change)(struct world *world, struct buf *ret);
} kinds[] = {
	{ "a bit flipped", flip_bit },
	{ "a record deleted", delete_record },
	{ "a record inserted", insert_record },
	{ "two records swapped", swap_records },
	{ "the tail cut", cut_tail },
	{ "the tail cut, then a restart", cut_and_restart },
	{ "written anew", write_anew },
};

/* The first line that differs, from 1. */
static size_t
first_difference(const struct world *world, const struct buf *changed)
{
	size_t line = 1;

	for (size_t i = 0; i < world->whole.len && i < changed->len && world->whole.at[i] == changed->at[i]; i++)
		line += world->whole.at[i] == '\n';
	return line;
}

static void
check_mutation(struct world *world, int number)
{
	const size_t kind = (size_t)number % N_ELEMENTS(kinds);
	AUTO_BUF struct buf changed = { 0 };
	AUTO(xfree) char *named = NULL;
	size_t line;

	buf_init(&changed, 2 * FILE_CAP);
	kinds[kind].change(world, &changed);
	write_file(world->file, changed.at, changed.len);
	line = first_difference(world, &changed);
	if (verify(world) != CTL_FALSE)
		fail_msg("mutation %d (%s, line %zu) was not found", number, kinds[kind].name, line);
	named = xasprintf("%s: line ", world->file);
	if (!strstr(world->err, named) && !strstr(world->err, "segel-keyd.audit: chain "))
		fail_msg("mutation %d (%s, line %zu): the file is not named in: %s", number, kinds[kind].name, line, world->err);
}

static bool
names_line(const struct world *world, size_t line)
{
	AUTO(xfree) char *words = xasprintf(": line %zu: ", line);

	return strstr(world->err, words) != NULL;
}

/* That very line is named, or its neighbour: torn bytes are judged by the resume record behind them. */
static void
check_place(struct world *world, int number)
{
	AUTO_BUF struct buf changed = { 0 };
	size_t line;

	buf_init(&changed, 2 * FILE_CAP);
	kinds[(size_t)number % 4].change(world, &changed);
	write_file(world->file, changed.at, changed.len);
	line = first_difference(world, &changed);
	assert_int_equal(verify(world), CTL_FALSE);
	if (!names_line(world, line) && !names_line(world, line - 1) && !names_line(world, line + 1))
		fail_msg("mutation %d (%s) in line %zu: %s", number, kinds[(size_t)number % 4].name, line, world->err);
}

static void
test_unchanged_is_good(void **state)
{
	struct world *world = *state;

	if (verify(world) != CTL_OK)
		fail_msg("%s", world->err);
	assert_int_equal(world->n_lines, RUNS * RECORDS + 2 * (RUNS - 1));
}

static void
test_every_mutation_is_found(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < MUTATIONS; i++)
		check_mutation(world, i);
}

static void
test_its_place_is_named(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < MUTATIONS; i++)
		check_place(world, i);
}

/* Whole records cut from the end leave a chain that holds: only what was said elsewhere finds it. */
static void
test_cut_tail_needs_the_checkpoints(void **state)
{
	struct world *world = *state;
	AUTO(xfree) char *want = xasprintf("ends with record %d, but checkpoint in line", RUNS * RECORDS + RUNS - 2);

	write_file(world->file, world->whole.at, world->starts[world->n_lines - 1]);
	assert_int_equal(RUN(world, "audit", "verify", world->file), CTL_OK);
	assert_int_equal(verify(world), CTL_FALSE);
	if (!strstr(world->err, want))
		fail_msg("%s", world->err);
}

static void
test_expect(void **state)
{
	struct world *world = *state;
	char seq_hash[160], *hash, *colon, first;
	const char *text = (const char *)world->whole.at + world->starts[world->n_lines - 1];

	hash = strstr(text, " hash=") + 6;
	snprintf(seq_hash, sizeof(seq_hash), "%d:%.64s", RUNS * RECORDS + RUNS - 1, hash);
	assert_int_equal(RUN(world, "audit", "verify", world->file, "--expect", seq_hash), CTL_OK);
	assert_non_null(strstr(world->out, seq_hash)); /* what verify prints is what --expect takes */
	colon = strchr(seq_hash, ':');
	colon[17] = '\0';
	assert_int_equal(RUN(world, "audit", "verify", world->file, "--expect", seq_hash), CTL_OK);
	first = colon[1];
	colon[1] = first == '0' ? '1' : '0'; /* another hash: still hexadecimal, or it would be a mistake of usage */
	assert_int_equal(RUN(world, "audit", "verify", world->file, "--expect", seq_hash), CTL_FALSE);
	colon[1] = first;
	write_file(world->file, world->whole.at, world->starts[world->n_lines - 1]);
	assert_int_equal(RUN(world, "audit", "verify", world->file, "--expect", seq_hash), CTL_FALSE);
	assert_non_null(strstr(world->err, "the tail was cut off"));
	write_file(world->file, "", 0);
	assert_int_equal(RUN(world, "audit", "verify", world->file, "--expect", seq_hash), CTL_FALSE);
	colon[16] = '\0';
	assert_int_equal(RUN(world, "audit", "verify", world->file, "--expect", seq_hash), CTL_USAGE);
	assert_int_equal(RUN(world, "audit", "verify", world->file, world->file, "--expect", "1:0123456789abcdef"), CTL_USAGE);
}

/* A chain that the log knows: the file taken away, or moved aside and begun anew. */
static void
test_missing_chain(void **state)
{
	struct world *world = *state;
	AUTO(xfree) char *aside = xasprintf("%s/old.audit", world->dir);

	assert_int_equal(rename(world->file, aside), 0);
	with_log(world, world->log, write_runs); /* this log knows the new chain only */
	assert_int_equal(verify(world), CTL_OK);
	assert_int_equal(RUN(world, "audit", "verify", aside, "--checkpoints", world->log), CTL_FALSE);
	assert_non_null(strstr(world->err, "speaks of this chain"));
	/* And the folder as a whole: the file that the log knows is gone. */
	assert_int_equal(unlink(world->file), 0);
	assert_int_equal(rename(aside, world->file), 0);
	assert_int_equal(RUN(world, "audit", "verify", world->dir, "--checkpoints", world->log), CTL_FALSE);
	assert_non_null(strstr(world->err, "is missing"));
}

static void
replace_log(const struct world *world, const char *text)
{
	write_file(world->log, text, strlen(text));
}

static void
test_log_that_cannot_be_read(void **state)
{
	struct world *world = *state;
	AUTO(xfree) char *none = xasprintf("%s/none", world->dir);

	assert_int_equal(RUN(world, "audit", "verify", world->file, "--checkpoints", none), CTL_UNAVAILABLE);
	replace_log(world, "Nov 21 host segel-keyd[1]: nothing of interest\n");
	assert_int_equal(verify(world), CTL_FALSE);
	assert_non_null(strstr(world->err, "speaks of this chain"));
	replace_log(world, "x audit-checkpoint chain=0123456789abcdef file=segel-keyd.audit seq=4 hash=01234\n");
	assert_int_equal(verify(world), CTL_FALSE);
	assert_non_null(strstr(world->err, "line 1: a checkpoint that cannot be read"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unchanged_is_good, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_mutation_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_its_place_is_named, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_tail_needs_the_checkpoints, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_that_cannot_be_read, setup, teardown),
	};

	return cmocka_run_group_tests_name("changes to an audit file", tests, NULL, NULL);
}
