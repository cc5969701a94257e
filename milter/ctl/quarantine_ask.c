/* A connection to segel-reviewd, and what it says. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "milter/ctl/quarantine.h"
#include "milter/quarantine/frame.h"

AUTO_DEFINE(json_t, json_decref);

enum { PROBLEM_BYTES = 64 * 1024, SEND_MS = 10 * 1000, ANSWER_MS = 90 * 1000 };

/* --- connecting --- */

static enum ctl_exit
load(struct ctl *ctl, struct config **ret)
{
	const char *file = ctl->config_file ? ctl->config_file : CONFIG_FILE;
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, PROBLEM_BYTES);
	if (config_load(file, ret, &problems) == -1)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "the settings do not say where segel-reviewd is: %s", buf_text(&problems));
	if (!*(*ret)->quarantine.certificate)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "there is no quarantine: quarantine.certificate is empty in '%s'; "
		    "`segelctl quarantine key` makes a key and a certificate for one", file);
	return CTL_OK;
}

static enum ctl_exit
cannot_connect(struct ctl *ctl, const struct config *config, int error)
{
	const char *socket = config->quarantine.review_socket;

	if (error == EACCES || error == EPERM)
		return ctl_fail(ctl, CTL_REFUSED, "your login may not open '%s': reviewers are in the group '%s' (quarantine.review_group); "
		    "ask an administrator, then log in again", socket, config->quarantine.review_group);
	return ctl_fail(ctl, CTL_UNAVAILABLE, "segel-reviewd does not answer on '%s' (quarantine.review_socket): %s; does it run? "
	    "systemctl status segel-reviewd", socket, strerror(error));
}

enum ctl_exit
review_open(struct ctl *ctl, struct review *ret)
{
	const struct timeval limit = { .tv_sec = SEND_MS / 1000 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path;
	enum ctl_exit code;

	*ret = (struct review){ .ctl = ctl, .fd = -1, .timeout_ms = ANSWER_MS };
	code = load(ctl, &ret->config);
	if (code != CTL_OK)
		return code;
	path = ret->config->quarantine.review_socket;
	if (strlen(path) >= sizeof(address.sun_path))
		return cannot_connect(ctl, ret->config, ENAMETOOLONG);
	memcpy(address.sun_path, path, strlen(path) + 1);
	ret->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* A listener whose queue is full would let connect() wait for ever. */
	if (ret->fd == -1 || setsockopt(ret->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == -1
	    || connect(ret->fd, (const struct sockaddr *)&address, sizeof(address)) == -1)
		return cannot_connect(ctl, ret->config, errno);
	return CTL_OK;
}

void
review_close(struct review *review)
{
	if (review->fd != -1)
		close(review->fd);
	config_free(review->config);
}

/* --- asking --- */

void
review_answer_done(struct review_answer *answer)
{
	json_decref(answer->rows);
	json_decref(answer->last);
}

const char *
review_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

int64_t
review_number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

/* Words of `error` in milter/reviewd/ask.h. */
static const struct refusal {
	const char *word;
	enum ctl_exit code;
	const char *before, *after;
} refusals[] = {
	{ "usage", CTL_USAGE, "", "" },
	{ "denied", CTL_REFUSED, "not permitted: ", "; an OP officer gives roles (`segelctl reviewer`), and `segelctl quarantine roles` says what each may do" },
	{ "reason", CTL_USAGE, "", "" },
	{ "not-found", CTL_FALSE, "", ", or none that your role may see" },
	{ "changed", CTL_REFUSED, "nothing was done: ", " (segelctl quarantine show ITEM)" },
	{ "refused", CTL_REFUSED, "refused: ", "" },
	{ "unavailable", CTL_UNAVAILABLE, "not now: ", "" },
	{ "full", CTL_UNAVAILABLE, "not now: ", "" },
};

static enum ctl_exit
refused(struct ctl *ctl, const json_t *last)
{
	static const char as_root[] = "; segel-reviewd sees the user that segelctl runs as: call it under your own login, without sudo";
	const char *word = review_text(last, "error"), *text = review_text(last, "text");

	for (size_t i = 0; i < N_ELEMENTS(refusals); i++) {
		const struct refusal *refusal = &refusals[i];

		if (strcmp(refusal->word, word) != 0)
			continue;
		return ctl_fail(ctl, refusal->code, "%s%s%s", refusal->before, text,
		    refusal->code == CTL_REFUSED && geteuid() == 0 && strcmp(word, "denied") == 0 ? as_root : refusal->after);
	}
	return ctl_fail(ctl, CTL_UNAVAILABLE, "segel-reviewd refused with the word '%.40s', which this segelctl does not know: %s", word, text);
}

/* 1 the last frame, 0 another one, -1 err. */
static int
take_object(struct slice bytes, struct review_answer *answer, struct err *err)
{
	json_error_t why;
	AUTO(json_decref) json_t *object = json_loadb((const char *)bytes.at, bytes.len, JSON_REJECT_DUPLICATES, &why);
	json_t *row = json_object_get(object, "row");

	if (json_is_object(row)) {
		json_array_append(answer->rows, row);
		return 0;
	}
	if (!json_is_boolean(json_object_get(object, "ok")))
		return err_set(err, ERR_TEMP, "an answer of segel-reviewd that cannot be read");
	answer->last = TAKE(object);
	return 1;
}

static int
take_data(struct slice bytes, const struct box_sink *sink, struct err *err)
{
	if (!sink)
		return err_set(err, ERR_TEMP, "an answer of segel-reviewd with bytes where none belong");
	return sink->write(sink->ctx, bytes, err);
}

/* Up to the last frame. */
static int
take_answer(struct review *review, const struct box_sink *sink, struct review_answer *answer, struct err *err)
{
	AUTO_BUF struct buf bytes = { 0 };
	enum frame_kind kind = FRAME_NONE;
	int result = 0;

	buf_init(&bytes, FRAME_BYTES);
	while (result == 0) {
		const int got = frame_take(review->fd, &kind, &bytes, review->timeout_ms, err);

		if (got == 0)
			return err_set(err, ERR_TEMP, "segel-reviewd closed the connection before its answer was complete; its log says why");
		if (got == -1)
			return err_wrap(err, "segel-reviewd");
		if (kind == FRAME_JSON)
			result = take_object(buf_slice(&bytes), answer, err);
		else if (kind == FRAME_DATA)
			result = take_data(buf_slice(&bytes), sink, err);
	}
	return result == 1 ? 0 : -1;
}

enum ctl_exit
review_ask(struct review *review, const json_t *request, const struct box_sink *sink, struct review_answer *ret)
{
	struct review_answer answer = { json_array(), NULL };
	struct err err;
	enum ctl_exit code = CTL_OK;

	if (frame_send_json(review->fd, request, SEND_MS, &err) == -1 || take_answer(review, sink, &answer, &err) == -1)
		code = ctl_fail_err(review->ctl, CTL_UNAVAILABLE, &err);
	else if (!json_is_true(json_object_get(answer.last, "ok")))
		code = refused(review->ctl, answer.last);
	if (code == CTL_OK)
		*ret = answer;
	else
		review_answer_done(&answer);
	return code;
}

/* --- which item --- */

static bool
is_hex(const char *word)
{
	return *word && word[strspn(word, "0123456789abcdef")] == '\0';
}

/* How many there are by this field; the id of the first. */
static enum ctl_exit
look_up(struct review *review, const char *field, const char *word, char ret[ITEM_ID_BYTES], int64_t *total)
{
	AUTO(json_decref) json_t *request = json_pack("{s:s, s:s, s:i}", "op", "list", field, word, "limit", 1);
	AUTO_ANSWER struct review_answer answer = { 0 };
	enum ctl_exit code;

	if (!request)
		return ctl_fail(review->ctl, CTL_USAGE, "'%s' is no UTF-8", word);
	code = review_ask(review, request, NULL, &answer);
	if (code != CTL_OK)
		return code;
	*total = review_number(answer.last, "total");
	snprintf(ret, ITEM_ID_BYTES, "%s", review_text(json_array_get(answer.rows, 0), "id"));
	return CTL_OK;
}

enum ctl_exit
review_find(struct review *review, const char *word, char ret[ITEM_ID_BYTES])
{
	enum ctl_exit code = CTL_OK;
	int64_t total = 0;

	if (item_id_good(word)) {
		snprintf(ret, ITEM_ID_BYTES, "%s", word);
		return CTL_OK;
	}
	if (strlen(word) >= ITEM_ID_BYTES)
		return ctl_fail(review->ctl, CTL_USAGE, "'%.60s' is no item: wanted an id of `segelctl quarantine list`, its beginning, or a queue id", word);
	if (is_hex(word))
		code = look_up(review, "id", word, ret, &total);
	if (code == CTL_OK && total == 0)
		code = look_up(review, "queue_id", word, ret, &total);
	if (code != CTL_OK)
		return code;
	if (total == 0)
		return ctl_fail(review->ctl, CTL_FALSE, "no item begins with '%s' or has it as queue id, or none that your role may see", word);
	if (total > 1)
		return ctl_fail(review->ctl, CTL_USAGE, "'%s' names %lld items: give more letters of the id", word, (long long)total);
	return CTL_OK;
}
