#include "milter/reviewd/child.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "milter/quarantine/item_json.h"
#include "milter/reviewd/job.h"
#include "smime/box.h"

enum { CHILD_MS = 30 * 1000, PIECE_BYTES = 64 * 1024, ANSWER_BYTES = 256 * 1024 };

AUTO_DEFINE(json_t, json_decref);

/* ---- the body ---- */

/* Whose key is asked for what. */
struct asker {
	struct keyd_client *keyd;
	const char *item;
	const char *why;
};

static int
unwrap(void *ctx, const unsigned char spki[32], struct slice wrapped, unsigned char key[BOX_KEY_BYTES], struct err *err)
{
	const struct asker *asker = ctx;

	return keyd_unwrap(asker->keyd, asker->item, asker->why, spki, wrapped, key, err);
}

static int
read_pieces(int fd, struct box_reader *reader, struct err *err)
{
	AUTO(xfree) unsigned char *piece = xcalloc(1, PIECE_BYTES);

	for (;;) {
		const ssize_t n = read(fd, piece, PIECE_BYTES);

		if (n == 0)
			return box_read_end(reader, err);
		if (n == -1 && errno != EINTR)
			return err_set(err, ERR_TEMP, "its body cannot be read: %s", strerror(errno));
		if (n > 0 && box_read(reader, (struct slice){ piece, (size_t)n }, err) == -1)
			return -1;
	}
}

int
body_read(struct desk *desk, const struct desk_settings *settings, const struct item *item, const char *why,
    const struct box_sink *sink, struct err *err)
{
	struct asker asker = { settings->keyd, item->id, why };
	const struct unwrapper unwrapper = { unwrap, &asker };
	AUTO(box_reader_free) struct box_reader *reader = NULL;
	AUTO_FD int fd = -1;
	enum store_outcome outcome = store_body(desk->store, item->id, &fd, err);

	if (outcome != STORE_DONE)
		return err->kind == ERR_NONE ? err_set(err, ERR_TEMP, "its body: %s", store_outcome_name(outcome)) : -1;
	reader = box_reader_new(item->id, &unwrapper, sink);
	return read_pieces(fd, reader, err);
}

/* ---- the process ---- */

struct child {
	pid_t pid;
	int in;  /* we write, it reads; a socket, so that its end is no signal */
	int out;
	int64_t until;
};

static int
spawn(const char *program, char *const argv[], int in, int out, pid_t *ret)
{
	char *const nothing[] = { NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int failed;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", 1, 0);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	failed = posix_spawn(ret, program, &actions, &attributes, argv, nothing);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return failed;
}

static int
child_start(const char *program, const char *job, const char *argument, struct child *ret, struct err *err)
{
	char *const argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)"--child", (char *)(uintptr_t)job,
		(char *)(uintptr_t)argument, NULL };
	int in[2], out[2], failed;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) == -1)
		return err_set(err, ERR_TEMP, "no pair of sockets: %s", strerror(errno));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out) == -1) {
		close(in[0]);
		close(in[1]);
		return err_set(err, ERR_TEMP, "no pair of sockets: %s", strerror(errno));
	}
	failed = spawn(program, argv, in[1], out[1], &ret->pid);
	close(in[1]);
	close(out[1]);
	ret->in = in[0];
	ret->out = out[0];
	ret->until = monotonic_ms() + CHILD_MS;
	if (!failed)
		return 0;
	close(ret->in);
	close(ret->out);
	return err_set(err, ERR_TEMP, "the process that reads held mail cannot be started: %s", strerror(failed));
}

static int
wait_for(int fd, short events, int64_t until)
{
	for (;;) {
		struct pollfd polled = { fd, events, 0 };
		const int64_t left = until - monotonic_ms();
		const int n = left > 0 ? poll(&polled, 1, (int)left) : 0;

		if (n > 0)
			return 0;
		if (n == 0 || errno != EINTR)
			return -1;
	}
}

static int
feed(struct child *child, struct slice bytes, struct err *err)
{
	while (bytes.len) {
		ssize_t n;

		if (wait_for(child->in, POLLOUT, child->until) == -1)
			return err_set(err, ERR_TEMP, "the process that reads held mail took too long (%d s)", CHILD_MS / 1000);
		n = send(child->in, bytes.at, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1 && errno != EINTR && errno != EAGAIN)
			return err_set(err, ERR_TEMP, "the process that reads held mail ended before it had read all");
		if (n > 0) {
			bytes.at += n;
			bytes.len -= (size_t)n;
		}
	}
	return 0;
}

static int
feed_child(void *ctx, struct slice bytes, struct err *err)
{
	return feed(ctx, bytes, err);
}

static int
take_answer(struct child *child, struct buf *ret, struct err *err)
{
	for (;;) {
		unsigned char piece[16 * 1024];
		ssize_t n;

		if (wait_for(child->out, POLLIN, child->until) == -1)
			return err_set(err, ERR_TEMP, "the process that reads held mail took too long (%d s)", CHILD_MS / 1000);
		n = read(child->out, piece, sizeof(piece));
		if (n == 0)
			return buf_full(ret) ? err_set(err, ERR_TEMP, "the process that reads held mail said more than it may") : 0;
		if (n == -1 && errno != EINTR)
			return err_set(err, ERR_TEMP, "the process that reads held mail cannot be heard: %s", strerror(errno));
		if (n > 0)
			buf_add(ret, piece, (size_t)n);
	}
}

/* Whatever it is doing: it ends. -1 unless it had ended well by itself. */
static int
child_end(struct child *child, bool early, struct err *err)
{
	int status = 0;

	close(child->in);
	close(child->out);
	if (early)
		(void)kill(child->pid, SIGKILL);
	while (waitpid(child->pid, &status, 0) == -1 && errno == EINTR)
		;
	if (early)
		return -1;
	if (WIFSIGNALED(status))
		return err_set(err, ERR_TEMP, "the process that reads held mail died of signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return err_set(err, ERR_TEMP, "the process that reads held mail ended with status %d", WEXITSTATUS(status));
	return 0;
}

struct errand {
	struct desk *desk;
	const struct desk_settings *settings;
	const struct item *item;
	const char *job, *argument;
	struct slice head;   /* before the message */
};

static int
talk(const struct errand *errand, struct child *child, struct buf *ret, struct err *err)
{
	const struct box_sink sink = { feed_child, child };

	if (feed(child, errand->head, err) == -1)
		return -1;
	if (body_read(errand->desk, errand->settings, errand->item, errand->job, &sink, err) == -1)
		return -1;
	(void)shutdown(child->in, SHUT_WR);
	return take_answer(child, ret, err);
}

static int
run_child(const struct errand *errand, struct buf *ret, struct err *err)
{
	struct child child;
	int result;

	if (child_start(errand->desk->program, errand->job, errand->argument, &child, err) == -1)
		return -1;
	result = talk(errand, &child, ret, err);
	return child_end(&child, result == -1, err);
}

static int
run(const struct errand *errand, struct buf *ret, struct err *err)
{
	struct timespec until;
	int result;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CHILD_MS / 1000;
	while (sem_timedwait(&errand->desk->children, &until) == -1)
		if (errno != EINTR)
			return err_set(err, ERR_TEMP, "%d held messages are being read at this moment; try again", DESK_CHILDREN);
	result = run_child(errand, ret, err);
	sem_post(&errand->desk->children);
	return result;
}

int
child_view(struct desk *desk, const struct desk_settings *settings, const struct item *item, struct buf *ret, struct err *err)
{
	char cap[24];
	const struct errand errand = { desk, settings, item, "view", cap, { NULL, 0 } };

	snprintf(cap, sizeof(cap), "%ld", settings->config->quarantine.view_bytes);
	buf_init(ret, (size_t)settings->config->quarantine.view_bytes);
	return run(&errand, ret, err);
}

/* ---- judge ---- */

static int
question(const struct item *item, struct buf *ret, struct err *err)
{
	json_t *object = item_to_json(item, false, err);
	AUTO(json_decref) json_t *head = NULL;
	AUTO(xfree) char *text = NULL;
	unsigned char prefix[4];
	size_t len;

	if (!object)
		return -1;
	head = json_pack("{s:o, s:I}", "item", object, "now", (json_int_t)time(NULL));
	text = head ? json_dumps(head, JSON_COMPACT) : NULL;
	len = text ? strlen(text) : 0;
	if (!text || len > JOB_HEAD_BYTES)
		return err_set(err, ERR_BUG, "its data cannot be handed on");
	for (size_t i = 0; i < sizeof(prefix); i++)
		prefix[i] = (unsigned char)(len >> (24 - 8 * i));
	buf_init(ret, sizeof(prefix) + JOB_HEAD_BYTES);
	buf_add(ret, prefix, sizeof(prefix));
	buf_add(ret, text, len);
	return 0;
}

static int
strange(struct err *err)
{
	return err_set(err, ERR_TEMP, "the process that verifies held mail gave an answer that is none");
}

static int
take_finding(const json_t *object, struct findings *ret, struct err *err)
{
	const char *word, *evidence;
	enum reason reason;

	if (json_unpack((json_t *)(uintptr_t)object, "{s:s, s:s}", "reason", &word, "evidence", &evidence) == -1)
		return strange(err);
	reason = reason_from(word);
	if (reason == REASON_UNKNOWN)
		return strange(err);
	finding_add(ret, reason, "%s", evidence);
	return 0;
}

static bool
is_field_value(const char *text)
{
	for (const char *c = text; *c; c++)
		if (*c == '\n' ? c[1] != '\t' && c[1] != ' ' : (*c < 0x20 || *c > 0x7e) && *c != '\t')
			return false;
	return strlen(text) <= RESULTS_BYTES;
}

static int
take_judged(const json_t *answer, struct rejudged *ret, struct err *err)
{
	const char *error = json_string_value(json_object_get(answer, "error")), *class, *results;
	const json_t *list;
	int overflow;

	if (error)
		return err_set(err, ERR_TEMP, "it could not be verified: %s", error);
	if (json_unpack((json_t *)(uintptr_t)answer, "{s:s, s:s, s:o, s:b}", "class", &class, "results", &results, "findings", &list,
		"overflow", &overflow) == -1)
		return strange(err);
	if (!class_from(class, &ret->class) || !is_field_value(results) || !json_is_array(list))
		return strange(err);
	snprintf(ret->results, sizeof(ret->results), "%s", results);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (take_finding(json_array_get(list, i), &ret->findings, err) == -1)
			return -1;
	ret->findings.overflow = ret->findings.overflow || overflow;
	return 0;
}

int
child_judge(struct desk *desk, const struct desk_settings *settings, const struct item *item, struct rejudged *ret, struct err *err)
{
	AUTO_BUF struct buf head = { 0 };
	AUTO_BUF struct buf text = { 0 };
	AUTO(json_decref) json_t *answer = NULL;
	struct errand errand = { desk, settings, item, "judge", desk->file, { NULL, 0 } };
	json_error_t why;

	*ret = (struct rejudged){ .class = CLASS_UNKNOWN };
	if (question(item, &head, err) == -1)
		return -1;
	errand.head = buf_slice(&head);
	buf_init(&text, ANSWER_BYTES);
	if (run(&errand, &text, err) == -1)
		return -1;
	answer = json_loadb((const char *)text.at, text.len, JSON_REJECT_DUPLICATES, &why);
	return answer ? take_judged(answer, ret, err) : strange(err);
}
