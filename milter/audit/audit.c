#include "milter/audit/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "milter/audit/checkpoint.h"
#include "milter/audit/line.h"
#include "milter/log.h"

enum {
	QUEUE_BYTES = 4 * 1024 * 1024, /* records waiting for the disk; who comes then waits too */
	TAIL_BYTES = 256 * 1024,       /* at the end of a file, to find its last record */
	STACK_BYTES = 512 * 1024,      /* of the keeper; where memory is locked, a default stack is too dear */
};

struct audit {
	char *path;
	int fd; /* O_APPEND, locked by flock for as long as it is open */
	dev_t device;
	ino_t inode;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t moved; /* durable, failed or leading changed */
	struct buf queue;     /* records that nobody has written yet */
	uint64_t seq;         /* the last record queued */
	unsigned char hash[AUDIT_HASH_BYTES]; /* its hash */
	uint64_t durable;     /* the last record on disk */
	bool leading;         /* a thread writes and syncs what it took from the queue */
	bool failed;          /* for good: why says what happened */
	struct err why;
	off_t size;           /* of the file, once what is being written is there */
	uint64_t n_syncs;
	time_t newest;        /* the latest time in any record */

	unsigned char first_hash[AUDIT_HASH_BYTES];   /* of record 1: names the chain */
	unsigned char durable_hash[AUDIT_HASH_BYTES]; /* of record `durable` */
	uint64_t told;        /* the last checkpoint logged */
	bool ends;
	pthread_cond_t due;   /* a checkpoint is, or ends changed */
	pthread_t keeper;
	bool kept;            /* the keeper runs */
};

static int
check_folder(const char *dir, struct err *err)
{
	struct stat st;

	if (stat(dir, &st) == -1)
		return err_set(err, ERR_CONFIG, "audit folder '%s': %s; create it for this user, mode 0750", dir, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_CONFIG, "audit folder '%s' is no folder", dir);
	if (st.st_mode & S_IWOTH)
		return err_set(err, ERR_CONFIG, "audit folder '%s' is writable for everybody (mode %04o); run: chmod o-w '%s'",
		    dir, st.st_mode & 07777, dir);
	return 0;
}

/* A file is there for good only when its folder is on disk too. */
static int
sync_folder(const char *dir, struct err *err)
{
	AUTO_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1 || fsync(fd) == -1)
		return err_set(err, ERR_TEMP, "audit folder '%s' cannot be synced: %s", dir, strerror(errno));
	return 0;
}

static int
open_file(struct audit *audit, const char *dir, struct err *err)
{
	const int flags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	bool is_new = true;

	audit->fd = open(audit->path, flags | O_CREAT | O_EXCL, 0640);
	if (audit->fd == -1 && errno == EEXIST) {
		is_new = false;
		audit->fd = open(audit->path, flags);
	}
	if (audit->fd == -1)
		return err_set(err, ERR_CONFIG, "audit file '%s' cannot be opened for writing: %s", audit->path, strerror(errno));
	if (!is_new)
		return 0;
	if (fchmod(audit->fd, 0640) == -1)
		return err_set(err, ERR_TEMP, "audit file '%s': mode 0640 cannot be set: %s", audit->path, strerror(errno));
	return sync_folder(dir, err);
}

static int
lock_file(struct audit *audit, struct err *err)
{
	struct stat st;

	if (fstat(audit->fd, &st) == -1 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_CONFIG, "audit file '%s' is no regular file", audit->path);
	if (flock(audit->fd, LOCK_EX | LOCK_NB) == -1)
		return err_set(err, ERR_TEMP, "audit file '%s' has another writer; is the same program running twice?",
		    audit->path);
	audit->device = st.st_dev;
	audit->inode = st.st_ino;
	audit->size = st.st_size;
	return 0;
}

/* From `at` until the end or, roughly, until `ret` holds TAIL_BYTES. */
static int
read_from(struct audit *audit, off_t at, struct buf *ret, struct err *err)
{
	unsigned char block[8192];

	while (at < audit->size && ret->len < TAIL_BYTES) {
		ssize_t got = pread(audit->fd, block, sizeof(block), at);

		if (got <= 0)
			return err_set(err, ERR_TEMP, "audit file '%s' cannot be read at byte %lld: %s", audit->path,
			    (long long)at, got == 0 ? "end of file" : strerror(errno));
		buf_add(ret, block, (size_t)got);
		at += got;
	}
	return 0;
}

/* The last line of `text`, with or without a line end; what lies before it stays in `text`. */
static struct slice
cut_last_line(struct slice *text)
{
	size_t end = text->len;
	size_t start;
	struct slice line;

	if (end && text->at[end - 1] == '\n')
		end--;
	start = end;
	while (start && text->at[start - 1] != '\n')
		start--;
	line = (struct slice){ text->at + start, end - start };
	text->len = start;
	return line;
}

/*
 * The last complete record and what a crash left behind it. A crash leaves parts of records, which
 * have no hash at their end; a line that has one which does not hold was changed, and then nobody
 * may go on as if nothing had happened. `ret_torn` borrows from tail.
 */
static int
find_last(struct audit *audit, struct slice tail, struct slice *ret_torn, struct err *err)
{
	AUTO(xfree) struct audit_line *line = xcalloc(1, sizeof(*line));
	const unsigned char *end = tail.at + tail.len;
	struct slice rest = tail;

	while (rest.len) {
		struct slice last = cut_last_line(&rest);
		const unsigned char *behind = last.at + last.len;

		audit_line_parse(last, line);
		if (line->shape == LINE_TORN)
			continue;
		if (line->shape != LINE_WHOLE)
			return err_set(err, ERR_CONFIG, "audit file '%s': its last record was changed; run 'segelctl audit verify', "
			    "then move the file aside", audit->path);
		audit->seq = line->seq;
		audit->newest = audit_line_time(line);
		memcpy(audit->hash, line->hash, sizeof(audit->hash));
		if (behind < end)
			behind++;
		*ret_torn = (struct slice){ behind, (size_t)(end - behind) };
		return 0;
	}
	if (audit->size > TAIL_BYTES)
		return err_set(err, ERR_CONFIG, "audit file '%s': no record in its last %d bytes; move the file aside",
		    audit->path, TAIL_BYTES);
	*ret_torn = tail;
	return 0;
}

/* The hash that names the chain. A file whose beginning was changed has none: segelctl audit verify says so. */
static int
find_first(struct audit *audit, struct err *err)
{
	AUTO(xfree) struct audit_line *line = xcalloc(1, sizeof(*line));
	AUTO_BUF struct buf head = { 0 };
	struct slice rest;

	buf_init(&head, TAIL_BYTES + 8192);
	if (read_from(audit, 0, &head, err) == -1)
		return -1;
	rest = buf_slice(&head);
	while (rest.len) {
		const unsigned char *end = memchr(rest.at, '\n', rest.len);
		size_t len = end ? (size_t)(end - rest.at) : rest.len;

		audit_line_parse((struct slice){ rest.at, len }, line);
		if (line->shape != LINE_TORN)
			break;
		len += end ? 1 : 0;
		rest = (struct slice){ rest.at + len, rest.len - len };
	}
	if (line->shape == LINE_WHOLE && line->seq == 1)
		memcpy(audit->first_hash, line->hash, sizeof(audit->first_hash));
	return 0;
}

/* First of all, so that whatever a crash left is never taken for the start of a record. */
static int
append_resume(struct audit *audit, struct slice torn, struct err *err)
{
	unsigned char hash[AUDIT_HASH_BYTES];
	char hex[2 * AUDIT_HASH_BYTES + 1], len[24];
	const struct audit_pair pairs[] = { { "torn", len }, { "torn-sha256", hex } };

	SHA256(torn.at, torn.len, hash);
	audit_line_hex(hash, hex);
	snprintf(len, sizeof(len), "%zu", torn.len);
	buf_add_text(&audit->queue, "\n");
	return audit_append(audit, AUDIT_RESUME_EVENT, pairs, N_ELEMENTS(pairs), NULL, err);
}

static int
check_clock(const struct audit *audit, time_t now, struct err *err)
{
	char found[32], last[32];
	struct tm utc;

	if (now >= audit->newest - AUDIT_CLOCK_SECONDS)
		return 0;
	strftime(found, sizeof(found), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	strftime(last, sizeof(last), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&audit->newest, &utc));
	return err_set(err, ERR_CONFIG, "the clock says %s, but audit file '%s' already has a record of %s: the clock was set "
	    "back; set it right (or, if it was ahead before, move the file aside and restart)", found, audit->path, last);
}

static int
resume(struct audit *audit, struct err *err)
{
	AUTO_BUF struct buf tail = { 0 };
	struct slice torn;

	buf_init(&tail, TAIL_BYTES + 8192);
	if (audit->size == 0)
		return 0;
	if (read_from(audit, audit->size > TAIL_BYTES ? audit->size - TAIL_BYTES : 0, &tail, err) == -1 ||
	    find_last(audit, buf_slice(&tail), &torn, err) == -1 || find_first(audit, err) == -1)
		return -1;
	audit->durable = audit->seq;
	memcpy(audit->durable_hash, audit->hash, sizeof(audit->hash));
	if (check_clock(audit, time(NULL), err) == -1)
		return -1;
	/* A record that lacks only its line end is whole: then torn is empty, but the line is still open. */
	if (torn.len == 0 && tail.at[tail.len - 1] == '\n')
		return 0;
	return append_resume(audit, torn, err);
}

void
audit_checkpoint(struct audit *audit)
{
	char text[512];
	bool news;

	pthread_mutex_lock(&audit->lock);
	news = audit->told < audit->durable;
	audit->told = audit->durable;
	if (news)
		checkpoint_render(audit->path, audit->first_hash, audit->durable, audit->durable_hash, text, sizeof(text));
	pthread_mutex_unlock(&audit->lock);
	if (news)
		log_line(LOG_LEVEL_INFO, "%s", text);
}

/* The first record at once: from then on the log knows the chain. */
static bool
is_due(const struct audit *audit)
{
	return audit->durable > 0 && (audit->told == 0 || audit->durable - audit->told >= CHECKPOINT_RECORDS);
}

static bool
wait_until_due(struct audit *audit)
{
	struct timespec until;
	bool ends;
	int timed_out = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CHECKPOINT_SECONDS;
	pthread_mutex_lock(&audit->lock);
	while (!audit->ends && !is_due(audit) && !timed_out)
		timed_out = pthread_cond_timedwait(&audit->due, &audit->lock, &until);
	ends = audit->ends;
	pthread_mutex_unlock(&audit->lock);
	return !ends;
}

static void *
keep(void *ctx)
{
	struct audit *audit = ctx;

	while (wait_until_due(audit))
		audit_checkpoint(audit);
	return NULL;
}

/* Signals belong to the program's main thread, whether it has blocked them by now or not. */
static int
start_keeper(struct audit *audit, struct err *err)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&audit->keeper, &attr, keep, audit);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (failed)
		return err_set(err, ERR_TEMP, "audit file '%s': no thread for its checkpoints: %s", audit->path, strerror(failed));
	audit->kept = true;
	return 0;
}

static void
stop_keeper(struct audit *audit)
{
	if (!audit->kept)
		return;
	pthread_mutex_lock(&audit->lock);
	audit->ends = true;
	pthread_cond_signal(&audit->due);
	pthread_mutex_unlock(&audit->lock);
	pthread_join(audit->keeper, NULL);
	audit_checkpoint(audit);
}

static void
init_locks(struct audit *audit)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&audit->lock, NULL);
	pthread_cond_init(&audit->moved, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&audit->due, &attr);
	pthread_condattr_destroy(&attr);
}

int
audit_open(const char *dir, const char *name, struct audit **ret, struct err *err)
{
	AUTO(audit_close) struct audit *audit = NULL;

	if (!audit_line_is_token(name))
		return err_set(err, ERR_BUG, "'%s' cannot be the name of an audit file", name);
	if (check_folder(dir, err) == -1)
		return -1;
	audit = xcalloc(1, sizeof(*audit));
	audit->fd = -1;
	audit->path = xasprintf("%s/%s.audit", dir, name);
	init_locks(audit);
	buf_init(&audit->queue, QUEUE_BYTES);
	if (open_file(audit, dir, err) == -1 || lock_file(audit, err) == -1 || resume(audit, err) == -1)
		return -1;
	audit_checkpoint(audit);
	if (start_keeper(audit, err) == -1)
		return -1;
	*ret = TAKE(audit);
	return 0;
}

void
audit_close(struct audit *audit)
{
	if (!audit)
		return;
	stop_keeper(audit);
	if (audit->fd != -1)
		close(audit->fd);
	buf_done(&audit->queue);
	pthread_cond_destroy(&audit->moved);
	pthread_cond_destroy(&audit->due);
	pthread_mutex_destroy(&audit->lock);
	free(audit->path);
	free(audit);
}

/* The file our descriptor means must be the one an auditor will find, and hold what we wrote so far. */
static int
check_still_ours(const struct audit *audit, struct err *err)
{
	struct stat open_one, named;

	if (fstat(audit->fd, &open_one) == -1 || stat(audit->path, &named) == -1)
		return err_set(err, ERR_CONFIG, "audit file '%s' is gone: %s", audit->path, strerror(errno));
	if (named.st_dev != audit->device || named.st_ino != audit->inode)
		return err_set(err, ERR_CONFIG, "audit file '%s' was replaced by another file", audit->path);
	if (open_one.st_size != audit->size)
		return err_set(err, ERR_CONFIG, "audit file '%s' has %lld bytes, we wrote %lld: somebody else changed it",
		    audit->path, (long long)open_one.st_size, (long long)audit->size);
	return 0;
}

static int
write_all(const struct audit *audit, struct slice bytes, struct err *err)
{
	while (bytes.len) {
		ssize_t put = write(audit->fd, bytes.at, bytes.len);

		if (put == -1 && errno == EINTR)
			continue;
		if (put <= 0)
			return err_set(err, ERR_TEMP, "audit file '%s' cannot be written: %s", audit->path,
			    put == 0 ? "nothing was written" : strerror(errno));
		bytes.at += put;
		bytes.len -= (size_t)put;
	}
	return 0;
}

static int
put_on_disk(struct audit *audit, struct slice bytes, struct err *err)
{
	if (check_still_ours(audit, err) == -1 || write_all(audit, bytes, err) == -1)
		return -1;
	audit->size += (off_t)bytes.len;
	if (fdatasync(audit->fd) == -1)
		return err_set(err, ERR_TEMP, "audit file '%s' cannot be synced: %s", audit->path, strerror(errno));
	return 0;
}

/*
 * Takes everything queued to the disk. Called and left with the lock held; not held in between, so
 * that others queue the next batch meanwhile. Only the leader touches size.
 */
static void
lead(struct audit *audit)
{
	AUTO_BUF struct buf batch = audit->queue;
	unsigned char last_hash[AUDIT_HASH_BYTES];
	uint64_t last = audit->seq;
	struct err err = { .kind = ERR_NONE };
	int result;

	buf_init(&audit->queue, QUEUE_BYTES);
	memcpy(last_hash, audit->hash, sizeof(last_hash));
	audit->leading = true;
	pthread_mutex_unlock(&audit->lock);
	result = put_on_disk(audit, buf_slice(&batch), &err);
	pthread_mutex_lock(&audit->lock);
	audit->leading = false;
	audit->n_syncs++;
	if (result == 0) {
		audit->durable = last;
		memcpy(audit->durable_hash, last_hash, sizeof(last_hash));
		if (is_due(audit))
			pthread_cond_signal(&audit->due);
	} else {
		/* What the kernel did with a failed write or sync is unknown: no second try can know better. */
		audit->failed = true;
		audit->why = err;
	}
	pthread_cond_broadcast(&audit->moved);
}

/* One step nearer to an empty queue: by leading, or by waiting for who leads. */
static void
advance(struct audit *audit)
{
	if (audit->leading)
		pthread_cond_wait(&audit->moved, &audit->lock);
	else
		lead(audit);
}

static int
enqueue(struct audit *audit, const char *event, struct slice pairs, uint64_t *ret, struct err *err)
{
	struct timespec now;

	/* Under the lock, so that times follow the order of the records. */
	clock_gettime(CLOCK_REALTIME, &now);
	if (check_clock(audit, now.tv_sec, err) == -1)
		return -1;
	if (now.tv_sec > audit->newest)
		audit->newest = now.tv_sec;
	audit_line_render(++audit->seq, &now, event, pairs, audit->hash, &audit->queue);
	if (audit->seq == 1)
		memcpy(audit->first_hash, audit->hash, sizeof(audit->first_hash));
	*ret = audit->seq;
	return 0;
}

static int
append_locked(struct audit *audit, const char *event, struct slice pairs, uint64_t *ret, struct err *err)
{
	uint64_t mine;

	while (!audit->failed && audit->queue.len > QUEUE_BYTES - AUDIT_LINE_BYTES)
		advance(audit);
	if (audit->failed)
		return err_set(err, audit->why.kind, "%s; nothing is recorded since, restart after mending it", audit->why.text);
	if (enqueue(audit, event, pairs, &mine, err) == -1)
		return -1;
	while (!audit->failed && audit->durable < mine)
		advance(audit);
	if (audit->durable < mine)
		return err_set(err, audit->why.kind, "%s", audit->why.text);
	if (ret)
		*ret = mine;
	return 0;
}

int
audit_append(struct audit *audit, const char *event, const struct audit_pair *pairs, size_t n_pairs,
    uint64_t *seq, struct err *err)
{
	AUTO_BUF struct buf text = { 0 };
	int result;

	buf_init(&text, AUDIT_LINE_BYTES - 512); /* the rest is for sequence, time, event and hashes */
	if (!audit_line_is_token(event))
		return err_set(err, ERR_BUG, "'%s' cannot be an audit event", event);
	if (audit_line_render_pairs(pairs, n_pairs, &text, err) == -1)
		return -1;
	pthread_mutex_lock(&audit->lock);
	result = append_locked(audit, event, buf_slice(&text), seq, err);
	pthread_mutex_unlock(&audit->lock);
	return result;
}

uint64_t
audit_n_syncs(struct audit *audit)
{
	uint64_t n_syncs;

	pthread_mutex_lock(&audit->lock);
	n_syncs = audit->n_syncs;
	pthread_mutex_unlock(&audit->lock);
	return n_syncs;
}

uint64_t
audit_n_records(struct audit *audit)
{
	uint64_t n_records;

	pthread_mutex_lock(&audit->lock);
	n_records = audit->durable;
	pthread_mutex_unlock(&audit->lock);
	return n_records;
}
