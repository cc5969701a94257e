/*
 * The audit log: its chain as sha256sum sees it, what a change in the file looks like to the
 * reader, torn tails, many threads, and failures that stay.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "milter/audit/line.h"
#include "smime/buf.h"

enum { THREADS = 8, EACH = 500, FILE_CAP = 8 * 1024 * 1024 };

struct world {
	char dir[64];
	char file[96];
};

static int
setup(void **state)
{
	struct world *world = xcalloc(1, sizeof(*world));

	snprintf(world->dir, sizeof(world->dir), "/tmp/segel-audit-XXXXXX");
	assert_non_null(mkdtemp(world->dir));
	snprintf(world->file, sizeof(world->file), "%s/test.audit", world->dir);
	*state = world;
	return 0;
}

static int
teardown(void **state)
{
	struct world *world = *state;

	unlink(world->file);
	rmdir(world->dir);
	free(world);
	return 0;
}

static struct audit *
opened(const struct world *world)
{
	struct audit *audit = NULL;
	struct err err = { 0 };

	if (audit_open(world->dir, "test", &audit, &err) == -1)
		fail_msg("%s", err.text);
	return audit;
}

static void
append(struct audit *audit, const char *event, const char *key, const char *value)
{
	const struct audit_pair pair = { key, value };
	struct err err = { 0 };

	if (audit_append(audit, event, &pair, 1, NULL, &err) == -1)
		fail_msg("%s", err.text);
}

static void
write_records(const struct world *world, int n)
{
	AUTO(audit_close) struct audit *audit = opened(world);

	for (int i = 0; i < n; i++) {
		char value[32];

		snprintf(value, sizeof(value), "value %d", i);
		append(audit, "test", "key", value);
	}
}

/* The whole file; freed with buf_done. */
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

struct seen {
	uint64_t n;
	uint64_t n_bad;
	uint64_t first_bad; /* line */
	uint64_t last_seq;
	char why[256];
	char event[64];
	char value[1024]; /* first value of the last record */
};

static bool
look(void *ctx, const struct audit_record *record)
{
	struct seen *seen = ctx;

	seen->n++;
	assert_true(record->good == (record->why == NULL));
	if (!record->good && seen->n_bad++ == 0) {
		seen->first_bad = record->line;
		snprintf(seen->why, sizeof(seen->why), "%s", record->why);
	}
	if (!record->good)
		return true;
	seen->last_seq = record->seq;
	snprintf(seen->event, sizeof(seen->event), "%s", record->event);
	snprintf(seen->value, sizeof(seen->value), "%s", record->n_pairs ? record->pairs[0].value : "");
	return true;
}

static struct seen
verified(const char *file)
{
	struct seen seen = { 0 };
	struct err err = { 0 };

	if (audit_read(file, look, &seen, &err) == -1)
		fail_msg("%s", err.text);
	return seen;
}

static void
test_chain_holds(void **state)
{
	const struct world *world = *state;
	struct seen seen;
	struct stat st;

	write_records(world, 5);
	write_records(world, 5); /* a second run goes on where the first ended */
	seen = verified(world->file);
	assert_int_equal(seen.n, 10);
	assert_int_equal(seen.n_bad, 0);
	assert_int_equal(seen.last_seq, 10);
	assert_int_equal(stat(world->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

/* awk and sha256sum know nothing of our code. */
static void
test_chain_by_sha256sum(void **state)
{
	const struct world *world = *state;
	AUTO(xfree) char *command = xasprintf(
	    "prev=0000000000000000000000000000000000000000000000000000000000000000; n=0; "
	    "while IFS= read -r line; do "
	    "  body=${line%%%% hash=*}; want=${line##* hash=}; p=${body##* prev=}; "
	    "  [ \"$p\" = \"$prev\" ] || exit 1; "
	    "  got=$(printf %%s \"$body\" | sha256sum); got=${got%%%% *}; "
	    "  [ \"$got\" = \"$want\" ] || exit 2; "
	    "  n=$((n+1)); [ \"${line%%%% *}\" != \"$line\" ] || exit 3; prev=$want; "
	    "done < %s; [ $n = 20 ]", world->file);

	write_records(world, 20);
	assert_int_equal(system(command), 0);
}

static size_t
line_start(const struct buf *file, int line)
{
	size_t at = 0;

	for (int i = 1; i < line; i++)
		at = (size_t)((unsigned char *)memchr(file->at + at, '\n', file->len - at) - file->at) + 1;
	return at;
}

static struct slice
line_of(const struct buf *file, int line)
{
	size_t start = line_start(file, line);

	return (struct slice){ file->at + start, line_start(file, line + 1) - start };
}

/* Lines of the ten, in the order they are written back; 0 ends. */
struct change {
	const char *name;
	int order[12];
	int flip_line; /* one bit of a value in this line; 0 = none */
	uint64_t want_bad;
	uint64_t want_n_bad;
	const char *want_why;
};

static const struct change changes[] = {
	{ .name = "nothing", .order = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 } },
	{ .name = "first line flipped", .order = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, .flip_line = 1,
	  .want_bad = 1, .want_n_bad = 1, .want_why = "hash does not hold" },
	{ .name = "middle line flipped", .order = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, .flip_line = 5,
	  .want_bad = 5, .want_n_bad = 1, .want_why = "hash does not hold" },
	{ .name = "last line flipped", .order = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, .flip_line = 10,
	  .want_bad = 10, .want_n_bad = 1, .want_why = "hash does not hold" },
	{ .name = "first deleted", .order = { 2, 3, 4, 5, 6, 7, 8, 9, 10 },
	  .want_bad = 1, .want_n_bad = 1, .want_why = "wanted 1" },
	{ .name = "middle deleted", .order = { 1, 2, 3, 5, 6, 7, 8, 9, 10 },
	  .want_bad = 4, .want_n_bad = 1, .want_why = "sequence 5, wanted 4" },
	{ .name = "inserted", .order = { 1, 2, 3, 4, 2, 5, 6, 7, 8, 9, 10 },
	  .want_bad = 5, .want_n_bad = 2, .want_why = "sequence 2, wanted 5" },
	{ .name = "doubled", .order = { 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10 },
	  .want_bad = 4, .want_n_bad = 1, .want_why = "sequence 3, wanted 4" },
	{ .name = "swapped", .order = { 1, 2, 4, 3, 5, 6, 7, 8, 9, 10 },
	  .want_bad = 3, .want_n_bad = 3, .want_why = "sequence 4, wanted 3" },
};

static void
check_change(const struct world *world, const struct buf *whole, const struct change *row)
{
	AUTO_BUF struct buf changed = { 0 };
	struct seen seen;

	buf_init(&changed, FILE_CAP);
	for (const int *line = row->order; *line; line++)
		buf_add_slice(&changed, line_of(whole, *line));
	if (row->flip_line) {
		size_t start = line_start(&changed, row->flip_line);
		char *value = strstr((char *)changed.at + start, "key=value");

		value[5] ^= 1;
	}
	write_file(world->file, changed.at, changed.len);
	seen = verified(world->file);
	if (seen.first_bad != row->want_bad || seen.n_bad != row->want_n_bad)
		fail_msg("%s: first bad line %d of %d, wanted %d of %d (%s)", row->name, (int)seen.first_bad, (int)seen.n_bad,
		    (int)row->want_bad, (int)row->want_n_bad, seen.why);
	if (row->want_why && !strstr(seen.why, row->want_why))
		fail_msg("%s: '%s' does not say '%s'", row->name, seen.why, row->want_why);
}

static void
test_changes_are_found(void **state)
{
	const struct world *world = *state;
	AUTO_BUF struct buf whole = { 0 };

	write_records(world, 10);
	read_file(world->file, &whole);
	for (size_t i = 0; i < N_ELEMENTS(changes); i++)
		check_change(world, &whole, &changes[i]);
}

/* Every single bit of a small file: the reader may not miss one, nor read beyond its bytes. */
static void
test_each_flipped_bit_is_found(void **state)
{
	const struct world *world = *state;
	AUTO_BUF struct buf whole = { 0 };

	write_records(world, 3);
	read_file(world->file, &whole);
	for (size_t bit = 0; bit < 8 * (whole.len - 1); bit += 5) {
		struct seen seen;

		whole.at[bit / 8] ^= (unsigned char)(1 << bit % 8);
		write_file(world->file, whole.at, whole.len);
		seen = verified(world->file);
		whole.at[bit / 8] ^= (unsigned char)(1 << bit % 8);
		if (seen.n_bad == 0)
			fail_msg("bit %zu flipped, and nobody noticed", bit);
	}
}

/* What a crash may leave behind ten records, and what opening makes of it. */
struct tail {
	const char *name;
	size_t cut;           /* bytes taken from the end */
	const char *add;
	size_t add_len;
	uint64_t want_torn_bad; /* bad lines before the next start */
	const char *want_torn;  /* of the resume record; NULL = none written */
};

static const struct tail tails[] = {
	{ .name = "whole" },
	{ .name = "half a record", .cut = 40, .want_torn_bad = 1, .want_torn = "" },
	{ .name = "no line end", .cut = 1, .want_torn_bad = 1, .want_torn = "0" },
	{ .name = "one byte of the next", .add = "1", .add_len = 1, .want_torn_bad = 1, .want_torn = "1" },
	{ .name = "zeros", .add = "\0\0\0\0\0\0\0", .add_len = 7, .want_torn_bad = 1, .want_torn = "7" },
	{ .name = "crash while resuming", .add = "11 2026\n11 2026-01", .add_len = 18, .want_torn_bad = 1, .want_torn = "18" },
	{ .name = "line end only", .add = "11 20\n", .add_len = 6, .want_torn_bad = 1, .want_torn = "6" },
};

static void
check_tail(const struct world *world, const struct buf *whole, const struct tail *row)
{
	AUTO_BUF struct buf torn = { 0 };
	struct seen seen;

	buf_init(&torn, FILE_CAP);
	buf_add(&torn, whole->at, whole->len - row->cut);
	buf_add(&torn, row->add, row->add_len);
	write_file(world->file, torn.at, torn.len);
	seen = verified(world->file);
	if (seen.n_bad != row->want_torn_bad)
		fail_msg("%s: %d bad lines before the next start: %s", row->name, (int)seen.n_bad, seen.why);

	audit_close(opened(world));
	seen = verified(world->file);
	if (seen.n_bad)
		fail_msg("%s: line %d after the next start: %s", row->name, (int)seen.first_bad, seen.why);
	assert_string_equal(seen.event, row->want_torn ? "resume" : "test");
	if (row->want_torn && *row->want_torn)
		assert_string_equal(seen.value, row->want_torn);

	write_records(world, 2);
	seen = verified(world->file);
	if (seen.n_bad)
		fail_msg("%s: line %d two records later: %s", row->name, (int)seen.first_bad, seen.why);
	assert_string_equal(seen.value, "value 1");
}

static void
test_torn_tail_is_closed_off(void **state)
{
	const struct world *world = *state;
	AUTO_BUF struct buf whole = { 0 };

	write_records(world, 10);
	read_file(world->file, &whole);
	for (size_t i = 0; i < N_ELEMENTS(tails); i++)
		check_tail(world, &whole, &tails[i]);
}

/* A tail that the resume record does not describe is not excused by it. */
static void
test_changed_tail_is_found(void **state)
{
	const struct world *world = *state;
	AUTO_BUF struct buf whole, resumed;
	char *torn;

	write_records(world, 3);
	read_file(world->file, &whole);
	write_file(world->file, whole.at, whole.len - 30);
	write_records(world, 1);
	read_file(world->file, &resumed);
	torn = strstr((char *)resumed.at + line_start(&resumed, 3), "key=value");
	torn[5] ^= 1;
	write_file(world->file, resumed.at, resumed.len);
	assert_int_equal(verified(world->file).first_bad, 3);
	torn[5] ^= 1;
	write_file(world->file, resumed.at, resumed.len);
	assert_int_equal(verified(world->file).n_bad, 0);
}

static void
test_changed_last_record_is_refused(void **state)
{
	const struct world *world = *state;
	AUTO_BUF struct buf whole = { 0 };
	struct audit *audit = NULL;
	struct err err = { 0 };

	write_records(world, 3);
	read_file(world->file, &whole);
	strstr((char *)whole.at + line_start(&whole, 3), "key=value")[5] ^= 1;
	write_file(world->file, whole.at, whole.len);
	assert_int_equal(audit_open(world->dir, "test", &audit, &err), -1);
	assert_int_equal(err.kind, ERR_CONFIG);
	assert_non_null(strstr(err.text, "last record was changed"));
}

struct worker {
	struct audit *audit;
	int number;
};

static void *
append_many(void *arg)
{
	const struct worker *worker = arg;
	uint64_t before = 0;

	for (int i = 0; i < EACH; i++) {
		char thread[16], count[16];
		const struct audit_pair pairs[] = { { "thread", thread }, { "count", count } };
		struct err err = { 0 };
		uint64_t seq;

		snprintf(thread, sizeof(thread), "%d", worker->number);
		snprintf(count, sizeof(count), "%d", i);
		if (audit_append(worker->audit, "load", pairs, 2, &seq, &err) == -1 || seq <= before)
			return (void *)1;
		before = seq;
	}
	return NULL;
}

static bool
in_order(void *ctx, const struct audit_record *record)
{
	int *next = ctx;
	int thread = atoi(record->pairs[0].value);

	assert_true(record->good);
	assert_int_equal(atoi(record->pairs[1].value), next[thread]);
	next[thread]++;
	return true;
}

/* A disk of ordinary speed, wherever this runs: in memory a sync costs nothing, and none would be shared. */
int
fdatasync(int fd)
{
	(void)usleep(500);
	return (int)syscall(SYS_fdatasync, fd);
}

static void
test_threads_share_syncs(void **state)
{
	const struct world *world = *state;
	AUTO(audit_close) struct audit *audit = opened(world);
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	int next[THREADS] = { 0 };
	struct err err = { 0 };

	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ audit, i };
		assert_int_equal(pthread_create(&threads[i], NULL, append_many, &workers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		assert_null(result);
	}
	assert_int_equal(audit_read(world->file, in_order, next, &err), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(next[i], EACH);
	print_message("%d records, %d syncs\n", THREADS * EACH, (int)audit_n_syncs(audit));
	assert_in_range(audit_n_syncs(audit), 1, THREADS * EACH / 2);
}

struct value {
	const char *name;
	const char *value;
	const char *want_text; /* in the file, behind "key=" */
};

static const struct value values[] = {
	{ "plain", "dinas@prov.example.id", " key=dinas@prov.example.id prev=" },
	{ "empty", "", " key= prev=" },
	{ "blanks", " a b ", " key=%20a%20b%20 prev=" },
	{ "newline", "a\nb\r", " key=a%0Ab%0D prev=" },
	{ "a record inside", "x prev=0 hash=1\n2", " key=x%20prev%3D0%20hash%3D1%0A2 prev=" },
	{ "marks", "\"=%", " key=%22%3D%25 prev=" },
	{ "UTF-8", "Kepala \xc3\x89", " key=Kepala%20%C3%89 prev=" },
	{ "control and high bytes", "\x01\x7f\xff", " key=%01%7F%FF prev=" },
};

static void
test_values_come_back(void **state)
{
	const struct world *world = *state;

	for (size_t i = 0; i < N_ELEMENTS(values); i++) {
		AUTO(audit_close) struct audit *audit = opened(world);
		AUTO(xfree) char *block = xstrdup(values[i].value);
		AUTO_BUF struct buf file = { 0 };

		append(audit, "value", "key", block);
		read_file(world->file, &file);
		if (!strstr(buf_text(&file), values[i].want_text))
			fail_msg("%s: no '%s' in: %s", values[i].name, values[i].want_text, buf_text(&file));
		assert_string_equal(verified(world->file).value, values[i].value);
	}
	assert_int_equal(verified(world->file).n_bad, 0);
}

static void
test_long_value_is_cut_and_says_so(void **state)
{
	const struct world *world = *state;
	AUTO(audit_close) struct audit *audit = opened(world);
	AUTO(xfree) char *value = xcalloc(10 * 1024 + 1, 1);
	struct seen seen;

	memset(value, '\xc3', 10 * 1024);
	append(audit, "value", "key", value);
	seen = verified(world->file);
	assert_int_equal(seen.n_bad, 0);
	assert_int_equal(strlen(seen.value), AUDIT_VALUE_BYTES);
	assert_string_equal(seen.value + AUDIT_VALUE_BYTES - 3, "...");
	value[AUDIT_VALUE_BYTES] = '\0';
	append(audit, "value", "key", value);
	assert_string_equal(verified(world->file).value, value);
}

static void
test_our_own_mistakes_are_refused(void **state)
{
	static const char *const keys[] = { "", "Key", "a b", "a=b", "prev", "hash", "a\n" };
	const struct world *world = *state;
	AUTO(audit_close) struct audit *audit = opened(world);
	struct audit_pair pairs[40];
	struct audit *other = NULL;
	struct err err = { 0 };

	for (size_t i = 0; i < N_ELEMENTS(keys); i++) {
		const struct audit_pair pair = { keys[i], "x" };

		assert_int_equal(audit_append(audit, "test", &pair, 1, NULL, &err), -1);
		assert_int_equal(err.kind, ERR_BUG);
	}
	for (size_t i = 0; i < N_ELEMENTS(pairs); i++)
		pairs[i] = (struct audit_pair){ "key", "x" };
	assert_int_equal(audit_append(audit, "test", pairs, N_ELEMENTS(pairs), NULL, &err), -1);
	assert_int_equal(audit_append(audit, "two words", pairs, 1, NULL, &err), -1);
	assert_int_equal(audit_open(world->dir, "../test", &other, &err), -1);
	append(audit, "test", "key", "x"); /* none of them harmed the log */
	assert_int_equal(verified(world->file).n, 1);
}

static void
test_second_writer_is_refused(void **state)
{
	const struct world *world = *state;
	AUTO(audit_close) struct audit *first = opened(world);
	struct audit *second = NULL;
	struct err err = { 0 };

	assert_int_equal(audit_open(world->dir, "test", &second, &err), -1);
	assert_non_null(strstr(err.text, "another writer"));
	audit_close(TAKE(first));
	audit_close(opened(world));
}

static void
assert_fails(struct audit *audit, const char *want)
{
	const struct audit_pair pair = { "key", "value" };
	struct err err = { 0 };

	assert_int_equal(audit_append(audit, "test", &pair, 1, NULL, &err), -1);
	if (!strstr(err.text, want))
		fail_msg("'%s' does not say '%s'", err.text, want);
}

static void
set_file_limit(rlim_t most)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = most == RLIM_INFINITY ? limit.rlim_max : most;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void
test_failed_write_stays(void **state)
{
	const struct world *world = *state;
	AUTO(audit_close) struct audit *audit = opened(world);

	signal(SIGXFSZ, SIG_IGN);
	append(audit, "test", "key", "value");
	set_file_limit(300); /* the second record fits in part */
	assert_fails(audit, "cannot be written");
	set_file_limit(RLIM_INFINITY);
	assert_fails(audit, "cannot be written");
	assert_fails(audit, "nothing is recorded since");
	audit_close(TAKE(audit));
	write_records(world, 1);
	assert_int_equal(verified(world->file).n_bad, 0);
	assert_int_equal(verified(world->file).last_seq, 3); /* first, resume, last */
}

static void
test_file_taken_away(void **state)
{
	const struct world *world = *state;
	AUTO(audit_close) struct audit *removed = opened(world);
	AUTO(audit_close) struct audit *cut = NULL;

	append(removed, "test", "key", "value");
	assert_int_equal(unlink(world->file), 0);
	assert_fails(removed, "is gone");
	cut = opened(world);
	assert_fails(removed, "is gone");
	append(cut, "test", "key", "value");
	assert_int_equal(truncate(world->file, 0), 0);
	assert_fails(cut, "somebody else changed it");
}

static void
test_folder_must_be_there_and_ours(void **state)
{
	const struct world *world = *state;
	AUTO(xfree) char *missing = xasprintf("%s/none", world->dir);
	struct audit *audit = NULL;
	struct err err = { 0 };

	assert_int_equal(audit_open(missing, "test", &audit, &err), -1);
	assert_int_equal(err.kind, ERR_CONFIG);
	assert_int_equal(chmod(world->dir, 0777), 0);
	assert_int_equal(audit_open(world->dir, "test", &audit, &err), -1);
	assert_non_null(strstr(err.text, "chmod o-w"));
	assert_int_equal(chmod(world->dir, 0770), 0);
	audit_close(opened(world));
}

/* One record, made by a clock that differs from ours by so many seconds. */
static void
write_record_of(const struct world *world, time_t seconds_ahead)
{
	const struct timespec then = { .tv_sec = time(NULL) + seconds_ahead };
	unsigned char hash[AUDIT_HASH_BYTES] = { 0 };
	AUTO_BUF struct buf line = { 0 };

	buf_init(&line, AUDIT_LINE_BYTES);
	audit_line_render(1, &then, "test", slice_of(" key=value"), hash, &line);
	write_file(world->file, line.at, line.len);
}

static void
test_clock_set_back(void **state)
{
	const struct world *world = *state;
	struct audit *audit = NULL;
	struct err err = { 0 };

	write_record_of(world, AUDIT_CLOCK_SECONDS + 60);
	assert_int_equal(audit_open(world->dir, "test", &audit, &err), -1);
	assert_int_equal(err.kind, ERR_CONFIG);
	assert_non_null(strstr(err.text, "the clock was set back; set it right"));
	write_record_of(world, AUDIT_CLOCK_SECONDS - 60);
	write_records(world, 1);
	write_record_of(world, -366 * 86400);
	write_records(world, 1);
	assert_int_equal(verified(world->file).n_bad, 0);
}

/* What was acknowledged is in the file, whenever the writer dies. */
static void
test_killed_writer_loses_nothing(void **state)
{
	const struct world *world = *state;
	uint64_t acknowledged = 0, last = 0;
	struct seen seen;
	int told[2];
	pid_t child;

	assert_int_equal(pipe(told), 0);
	child = fork();
	if (child == 0) {
		struct audit *audit = opened(world);

		for (;;) {
			const struct audit_pair pair = { "key", "value" };
			uint64_t seq = 0;

			if (audit_append(audit, "test", &pair, 1, &seq, NULL) == -1 ||
			    write(told[1], &seq, sizeof(seq)) != sizeof(seq))
				_exit(1);
		}
	}
	close(told[1]);
	for (int i = 0; i < 100; i++)
		assert_int_equal(read(told[0], &acknowledged, sizeof(acknowledged)), sizeof(acknowledged));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	while (read(told[0], &last, sizeof(last)) == sizeof(last))
		acknowledged = last;
	close(told[0]);
	audit_close(opened(world));
	seen = verified(world->file);
	assert_int_equal(seen.n_bad, 0);
	assert_true(seen.last_seq >= acknowledged);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_chain_holds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chain_by_sha256sum, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changes_are_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_each_flipped_bit_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_torn_tail_is_closed_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changed_tail_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changed_last_record_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads_share_syncs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_value_is_cut_and_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(test_our_own_mistakes_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_second_writer_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_write_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_taken_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folder_must_be_there_and_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clock_set_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_writer_loses_nothing, setup, teardown),
	};

	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
