/* segelctl quarantine digest: one mail about what waits, handed to the sendmail command, so that role local seals it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "milter/ctl/digest.h"
#include "milter/ctl/quarantine.h"

AUTO_DEFINE(json_t, json_decref);

enum { PAGE = 1000, MOST_ROWS = 20 * 1000, LETTER_BYTES = 1024 * 1024, SENDMAIL_MS = 30 * 1000 };

const struct ctl_option ctl_quarantine_digest_options[] = {
	{ .name = "print", .help = "print the mail instead of sending it" },
	{ .name = NULL },
};

/* --- what waits --- */

/* A page of it behind those that are there. */
static enum ctl_exit
take_page(struct review *review, json_t *rows, int64_t *total, size_t *n)
{
	AUTO(json_decref) json_t *request = json_pack("{s:s, s:b, s:i, s:I}", "op", "list", "open", 1, "limit", PAGE, "offset",
	    (json_int_t)json_array_size(rows));
	AUTO_ANSWER struct review_answer answer = { 0 };
	const enum ctl_exit code = review_ask(review, request, NULL, &answer);

	if (code != CTL_OK)
		return code;
	json_array_extend(rows, answer.rows);
	*total = review_number(answer.last, "total");
	*n = json_array_size(answer.rows);
	return CTL_OK;
}

static enum ctl_exit
take_rows(struct review *review, json_t *rows, int64_t *total)
{
	size_t n = PAGE;

	while (n == PAGE && json_array_size(rows) < MOST_ROWS) {
		const enum ctl_exit code = take_page(review, rows, total, &n);

		if (code != CTL_OK)
			return code;
	}
	return CTL_OK;
}

/* --- handing over --- */

/* A file and no pipe: nothing waits for anybody, whatever the command does with it. */
static int
letter_file(const struct buf *letter, int *ret, struct err *err)
{
	AUTO_FD int fd = memfd_create("digest", MFD_CLOEXEC);
	struct slice left = buf_slice(letter);

	if (fd == -1)
		return err_set(err, ERR_TEMP, "no memory for the mail: %s", strerror(errno));
	while (left.len) {
		const ssize_t put = write(fd, left.at, left.len);

		if (put <= 0)
			return err_set(err, ERR_TEMP, "no memory for the mail: %s", strerror(errno));
		left.at += put;
		left.len -= (size_t)put;
	}
	if (lseek(fd, 0, SEEK_SET) == -1)
		return err_set(err, ERR_TEMP, "the mail: %s", strerror(errno));
	*ret = TAKE_FD(fd);
	return 0;
}

/* In a process group of its own: what it starts must end with it. An errno, or 0. */
static int
start(const char *program, const char *from, int fd, pid_t *ret)
{
	char *const words[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)"-i", (char *)(uintptr_t)"-f", (char *)(uintptr_t)from,
		(char *)(uintptr_t)"-t", NULL };
	char *const environment[] = { (char *)(uintptr_t)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int error = posix_spawn_file_actions_init(&actions);

	if (error)
		return error;
	error = posix_spawnattr_init(&attributes);
	if (error == 0) {
		error = posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
		if (error == 0)
			error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
		if (error == 0)
			error = posix_spawn(ret, program, &actions, &attributes, words, environment);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

/* 1 ended, 0 not in time, -1 err. */
static int
wait_for(pid_t pid, struct err *err)
{
	AUTO_FD int fd = pidfd_open(pid, 0);
	struct pollfd one = { fd, POLLIN, 0 };
	int n = -1;

	if (fd != -1)
		do
			n = poll(&one, 1, SENDMAIL_MS);
		while (n == -1 && errno == EINTR);
	return n == -1 ? err_set(err, ERR_TEMP, "what the sendmail command does is not known: %s", strerror(errno)) : n;
}

static int
hand_over(const struct config *config, const struct buf *letter, struct err *err)
{
	const char *program = config->quarantine.sendmail;
	AUTO_FD int fd = -1;
	pid_t pid = -1;
	int error, in_time, status = 0;

	if (letter_file(letter, &fd, err) == -1)
		return -1;
	error = start(program, config->quarantine.digest_from, fd, &pid);
	if (error)
		return err_set(err, ERR_TEMP, "'%s' (quarantine.sendmail) cannot be started: %s", program, strerror(error));
	in_time = wait_for(pid, err);
	if (in_time != 1)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	if (in_time == 0)
		return err_set(err, ERR_TEMP, "'%s' (quarantine.sendmail) did not end within %d s and was ended; may this login put mail into the mail "
		    "server's folder?", program, SENDMAIL_MS / 1000);
	if (in_time == -1)
		return -1;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(err, ERR_TEMP, "'%s' (quarantine.sendmail) did not take the digest: it ended with %s %d; may this login write as '%s' "
		    "(local_login_sender_maps)?", program, WIFEXITED(status) ? "status" : "signal",
		    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), config->quarantine.digest_from);
	return 0;
}

/* --- the verb --- */

static enum ctl_exit
write_letter(struct review *review, const json_t *rows, int64_t total, struct buf *ret)
{
	const struct config *config = review->config;
	char id[ITEM_ID_BYTES];
	struct digest digest = { .language = (enum language)config->language, .from = config->quarantine.digest_from,
		.to = &config->quarantine.digest_to, .id = id, .rows = rows, .total = total, .now = review->ctl->now };
	struct err err;

	if (item_new_id(id, &err) == -1)
		return ctl_fail_err(review->ctl, CTL_UNAVAILABLE, &err);
	digest_write(&digest, ret);
	return buf_full(ret) ? ctl_fail(review->ctl, CTL_UNAVAILABLE, "the digest is larger than %d bytes", LETTER_BYTES) : CTL_OK;
}

static enum ctl_exit
send_letter(struct review *review, const struct buf *letter)
{
	struct err err;

	if (ctl_flag(review->ctl, "print")) {
		fputs(buf_text(letter), review->ctl->out);
		return CTL_OK;
	}
	return hand_over(review->config, letter, &err) == 0 ? CTL_OK : ctl_fail_err(review->ctl, CTL_UNAVAILABLE, &err);
}

enum ctl_exit
ctl_quarantine_digest(struct ctl *ctl)
{
	AUTO_REVIEW struct review review = { .fd = -1 };
	AUTO(json_decref) json_t *rows = json_array();
	AUTO_BUF struct buf letter = { 0 };
	int64_t total = 0;
	enum ctl_exit code = review_open(ctl, &review);

	buf_init(&letter, LETTER_BYTES);
	if (code != CTL_OK)
		return code;
	if (!*review.config->quarantine.digest_from) {
		fputs("no digest: quarantine.digest_from is empty\n", ctl->out);
		return CTL_OK;
	}
	code = take_rows(&review, rows, &total);
	if (code != CTL_OK || json_array_size(rows) == 0)
		return code;
	code = write_letter(&review, rows, total, &letter);
	return code == CTL_OK ? send_letter(&review, &letter) : code;
}
