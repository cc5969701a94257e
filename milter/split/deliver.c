#include "milter/split/deliver.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>

#include "milter/preflight/smtp.h"

enum { COMMAND_BYTES = 8192, PIECE_BYTES = 32 * 1024, CONNECT_MS = 10000, HEAD_BYTES = 2 * SMTP_REPLY_BYTES };

struct talk {
	CURL *curl;
	curl_socket_t fd;
	int64_t until; /* CLOCK_MONOTONIC, ms */
	struct buf head; /* greeting, then the reply to EHLO */
	struct slice ehlo;
	struct buf in;
	struct smtp_reply reply; /* the last one, in `in` */
	char why[CURL_ERROR_SIZE]; /* libcurl writes here as long as `curl` lives */
	struct err *err;
};

int
deliver_init(struct err *err)
{
	const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);

	return code == CURLE_OK ? 0 : err_set(err, ERR_TEMP, "libcurl: %s", curl_easy_strerror(code));
}

void
deliver_library(struct buf *ret)
{
	buf_printf(ret, "  libcurl %s\n", curl_version_info(CURLVERSION_NOW)->version);
}

/* ---- connecting ---- */

static size_t
on_head(char *at, size_t size, size_t n, void *ctx)
{
	struct buf *head = ctx;

	buf_add(head, at, size * n);
	return size * n;
}

static bool
set_up(struct talk *talk, const struct deliver_settings *settings)
{
	const bool local = settings->next_hop[0] == '/';
	AUTO(xfree) char *url = xasprintf("smtp://%s/%s", local ? "localhost" : settings->next_hop, settings->host);
	CURL *curl = talk->curl;

	return curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK
	    && (!local || curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, settings->next_hop) == CURLE_OK)
	    && curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp") == CURLE_OK
	    && curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK
	    && curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK
	    && curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK
	    && curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK
	    && curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)settings->timeout_ms) == CURLE_OK
	    && curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_head) == CURLE_OK
	    && curl_easy_setopt(curl, CURLOPT_HEADERDATA, &talk->head) == CURLE_OK
	    && curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, talk->why) == CURLE_OK;
}

/* What EHLO was answered with, behind the greeting. */
static int
read_head(struct talk *talk)
{
	const struct slice head = buf_slice(&talk->head);
	struct smtp_reply greeting, ehlo;

	if (buf_full(&talk->head) || smtp_reply_parse(head, &greeting) != SMTP_WHOLE)
		return err_set(talk->err, ERR_TEMP, "the next hop's greeting is none");
	talk->ehlo = (struct slice){ head.at + greeting.used, head.len - greeting.used };
	if (smtp_reply_parse(talk->ehlo, &ehlo) != SMTP_WHOLE || ehlo.code != 250)
		return err_set(talk->err, ERR_CONFIG, "the next hop refuses EHLO; it must be an ESMTP server");
	return 0;
}

static int
reach(struct talk *talk, const struct deliver_settings *settings)
{
	CURLcode code;

	if (!set_up(talk, settings))
		return err_set(talk->err, ERR_BUG, "libcurl takes no options: %s", talk->why);
	code = curl_easy_perform(talk->curl);
	if (code != CURLE_OK)
		return err_set(talk->err, ERR_TEMP, "the next hop '%s' does not answer: %s; is its listener there (contrib/postfix/split.cf)?",
		    settings->next_hop, *talk->why ? talk->why : curl_easy_strerror(code));
	if (curl_easy_getinfo(talk->curl, CURLINFO_ACTIVESOCKET, &talk->fd) != CURLE_OK || talk->fd == CURL_SOCKET_BAD)
		return err_set(talk->err, ERR_TEMP, "the connection to the next hop '%s' is gone", settings->next_hop);
	return read_head(talk);
}

/* ---- bytes ---- */

static int
wait_for(const struct talk *talk, short events)
{
	for (;;) {
		struct pollfd polled = { talk->fd, events, 0 };
		const int64_t left = talk->until - monotonic_ms();
		const int n = left > 0 ? poll(&polled, 1, (int)left) : 0;

		if (n > 0)
			return 0;
		if (n == 0)
			return err_set(talk->err, ERR_TEMP, "the next hop took too long (split.next_timeout)");
		if (errno != EINTR)
			return err_set(talk->err, ERR_TEMP, "poll: %s", strerror(errno));
	}
}

static int
send_bytes(const struct talk *talk, struct slice bytes)
{
	while (bytes.len) {
		size_t n = 0;
		const CURLcode code = curl_easy_send(talk->curl, bytes.at, bytes.len, &n);

		if (code == CURLE_AGAIN) {
			if (wait_for(talk, POLLOUT) == -1)
				return -1;
		} else if (code != CURLE_OK) {
			return err_set(talk->err, ERR_TEMP, "the connection to the next hop broke: %s", curl_easy_strerror(code));
		}
		bytes.at += n;
		bytes.len -= n;
	}
	return 0;
}

/* One reply, into talk->in and talk->reply. -1: none came. */
static int
take_reply(struct talk *talk)
{
	talk->in.len = 0;
	talk->in.full = false;
	for (;;) {
		unsigned char piece[4096];
		enum smtp_state state;
		size_t n = 0;
		const CURLcode code = curl_easy_recv(talk->curl, piece, sizeof(piece), &n);

		if (code == CURLE_AGAIN) {
			if (wait_for(talk, POLLIN) == -1)
				return -1;
			continue;
		}
		if (code != CURLE_OK)
			return err_set(talk->err, ERR_TEMP, "the connection to the next hop broke: %s", curl_easy_strerror(code));
		if (n == 0)
			return err_set(talk->err, ERR_TEMP, "the next hop closed the connection");
		buf_add(&talk->in, piece, n);
		state = smtp_reply_parse(buf_slice(&talk->in), &talk->reply);
		if (state == SMTP_WHOLE && talk->reply.used < talk->in.len)
			return err_set(talk->err, ERR_TEMP, "the next hop says more than one reply at a time");
		if (state == SMTP_WHOLE)
			return 0;
		if (state == SMTP_BAD || buf_full(&talk->in))
			return err_set(talk->err, ERR_TEMP, "the next hop's reply is none: %s", state == SMTP_BAD ? talk->reply.why : "too long");
	}
}

/* ---- what the next hop says, passed on ---- */

/* As it is, but for what cannot stand in a reply; 421 would say that we close the connection. */
static void
pass_on(const struct talk *talk, struct reply *ret)
{
	buf_done(&ret->lines);
	buf_init(&ret->lines, REPLY_BYTES);
	buf_add(&ret->lines, talk->in.at, talk->reply.used);
	for (size_t i = 0; i < ret->lines.len; i++) {
		unsigned char *c = ret->lines.at + i;

		if ((*c < 0x20 && *c != '\r' && *c != '\n') || *c > 0x7e)
			*c = '?';
		if (talk->reply.code == 421 && *c == '4' && (i == 0 || c[-1] == '\n'))
			memcpy(c, "451", 3);
	}
}

/* Of a reply that is not what was wanted. */
static enum deliver_fate
fate_of(struct talk *talk, const char *command, struct reply *ret)
{
	const char *end = strpbrk(command, " \r");

	err_set(talk->err, ERR_TEMP, "the next hop answered %.*s with %d", (int)(end ? end - command : 0), command, talk->reply.code);
	switch (talk->reply.code / 100) {
	case 5:
		pass_on(talk, ret);
		return DELIVERED_NEVER;
	case 4:
		pass_on(talk, ret);
		return DELIVERED_LATER;
	default:
		return DELIVERED_LATER;
	}
}

/* DELIVERED: the answer is the one that was wanted. */
static enum deliver_fate
command(struct talk *talk, const char *line, int wanted, struct reply *ret)
{
	if (send_bytes(talk, slice_of(line)) == -1 || take_reply(talk) == -1)
		return DELIVERED_LATER;
	return talk->reply.code == wanted ? DELIVERED : fate_of(talk, line, ret);
}

/* ---- the envelope ---- */

/* Does the reply to EHLO name this word behind the keyword XFORWARD? */
static bool
takes_forward(struct slice ehlo, const char *name)
{
	const char *text = (const char *)ehlo.at;
	size_t len;

	for (const char *line; (line = text_line(&text, &len));) {
		AUTO(xfree) char *words = len > 4 ? xstrndup(line + 4, len - 4) : xstrdup("");
		char *rest = words, *word;

		if (strncasecmp(words, "XFORWARD ", 9) != 0)
			continue;
		while ((word = strsep(&rest, " \r")))
			if (word != words && strcasecmp(word, name) == 0)
				return true;
	}
	return false;
}

static enum deliver_fate
tell_forwards(struct talk *talk, const struct letter *letter, struct reply *ret)
{
	AUTO_BUF struct buf line = { 0 };
	size_t n = 0;

	buf_init(&line, COMMAND_BYTES);
	buf_add_text(&line, "XFORWARD");
	for (size_t i = 0; i < N_FORWARDS; i++)
		if (letter->forward[i] && takes_forward(talk->ehlo, forward_names[i])) {
			buf_printf(&line, " %s=%s", forward_names[i], letter->forward[i]);
			n++;
		}
	buf_add_text(&line, "\r\n");
	return n ? command(talk, buf_text(&line), 250, ret) : DELIVERED;
}

/* Which keyword of EHLO a parameter needs. */
struct need {
	const char *parameter;
	const char *keyword;
};

static const struct need needs[] = {
	{ "SMTPUTF8", "SMTPUTF8" }, { "RET=", "DSN" }, { "ENVID=", "DSN" }, { "NOTIFY=", "DSN" }, { "ORCPT=", "DSN" },
	{ "BODY=8BITMIME", "8BITMIME" },
};

/* The keyword that is missing; NULL = none. */
static const char *
missing(struct slice ehlo, const char *parameters)
{
	for (; *parameters; parameters += strcspn(parameters, " "), parameters += strspn(parameters, " "))
		for (size_t i = 0; i < N_ELEMENTS(needs); i++)
			if (strncasecmp(parameters, needs[i].parameter, strlen(needs[i].parameter)) == 0
			    && !smtp_ehlo_has(ehlo, needs[i].keyword))
				return needs[i].keyword;
	return NULL;
}

static bool
has_8bit(const struct pieces *pieces)
{
	for (size_t i = 0; i < pieces->n; i++)
		for (size_t k = 0; k < pieces->at[i].len; k++)
			if (pieces->at[i].at[k] > 0x7f)
				return true;
	return false;
}

static const char *
missing_for(const struct talk *talk, const struct letter *letter, const struct deliver_message *message)
{
	const char *keyword = missing(talk->ehlo, letter->sender_parameters);

	if (!keyword)
		keyword = missing(talk->ehlo, letter->recipient_parameters);
	if (!keyword && !smtp_ehlo_has(talk->ehlo, "8BITMIME") && has_8bit(message->pieces))
		keyword = "8BITMIME";
	return keyword;
}

static enum deliver_fate
name(struct talk *talk, const char *verb, const char *address, const char *parameters, size_t size, struct reply *ret)
{
	AUTO_BUF struct buf line = { 0 };

	buf_init(&line, COMMAND_BYTES);
	buf_printf(&line, "%s:<%s>", verb, address);
	if (size && smtp_ehlo_has(talk->ehlo, "SIZE"))
		buf_printf(&line, " SIZE=%zu", size);
	buf_printf(&line, "%s%s\r\n", *parameters ? " " : "", parameters);
	return command(talk, buf_text(&line), 250, ret);
}

/* ---- the message ---- */

/* On the wire a dot at the beginning of a line is doubled (RFC 5321 4.5.2). */
struct wire {
	const struct talk *talk;
	struct buf out;
	bool start; /* of a line */
};

static int
flush(struct wire *wire)
{
	const int result = send_bytes(wire->talk, buf_slice(&wire->out));

	wipe(wire->out.at, wire->out.len);
	wire->out.len = 0;
	return result;
}

static int
put(struct wire *wire, struct slice bytes)
{
	while (bytes.len) {
		const unsigned char *end = memchr(bytes.at, '\n', bytes.len);
		size_t n = end ? (size_t)(end - bytes.at) + 1 : bytes.len;

		if (n > PIECE_BYTES) {
			n = PIECE_BYTES;
			end = NULL;
		}
		if (wire->out.len + n + 1 > wire->out.cap && flush(wire) == -1)
			return -1;
		if (wire->start && *bytes.at == '.')
			buf_add(&wire->out, ".", 1);
		buf_add(&wire->out, bytes.at, n);
		wire->start = end != NULL;
		bytes.at += n;
		bytes.len -= n;
	}
	return 0;
}

static int
put_rest(void *ctx, struct slice bytes, struct err *err)
{
	(void)err; /* the talk's own, which put() writes */
	return put(ctx, bytes);
}

static int
put_message(const struct talk *talk, const struct deliver_message *message)
{
	struct wire wire = { .talk = talk, .start = true };
	const struct box_sink sink = { put_rest, &wire };
	int result = 0;

	buf_init(&wire.out, 2 * PIECE_BYTES);
	for (size_t i = 0; i < message->pieces->n && result == 0; i++)
		result = put(&wire, message->pieces->at[i]);
	if (result == 0 && message->rest)
		result = message->rest(message->ctx, &sink, talk->err);
	if (result == 0 && !wire.start)
		result = put(&wire, slice_of("\r\n")); /* a message without its last line end is none that SMTP can carry */
	if (result == 0)
		result = flush(&wire);
	buf_done(&wire.out);
	return result;
}

/* From here on nobody knows what the next hop has until it says so. */
static enum deliver_fate
end_message(struct talk *talk, struct reply *ret)
{
	if (send_bytes(talk, slice_of(".\r\n")) == -1 || take_reply(talk) == -1)
		return DELIVERED_UNSURE;
	switch (talk->reply.code / 100) {
	case 2:
		pass_on(talk, ret);
		return DELIVERED;
	case 4:
	case 5:
		return fate_of(talk, "DATA\r\n", ret);
	default:
		err_set(talk->err, ERR_TEMP, "the next hop answered the message with %d", talk->reply.code);
		return DELIVERED_UNSURE;
	}
}

static enum deliver_fate
transaction(struct talk *talk, const struct letter *letter, const struct deliver_message *message, struct reply *ret)
{
	enum deliver_fate fate = tell_forwards(talk, letter, ret);

	if (fate == DELIVERED)
		fate = name(talk, "MAIL FROM", letter->sender, letter->sender_parameters, message->pieces->len + message->rest_len, ret);
	if (fate == DELIVERED)
		fate = name(talk, "RCPT TO", letter->recipient, letter->recipient_parameters, 0, ret);
	if (fate == DELIVERED)
		fate = command(talk, "DATA\r\n", 354, ret);
	if (fate != DELIVERED)
		return fate;
	if (put_message(talk, message) == -1)
		return DELIVERED_LATER; /* it has seen no end of the message */
	return end_message(talk, ret);
}

static enum deliver_fate
whole_talk(struct talk *talk, const struct deliver_settings *settings, const struct letter *letter,
    const struct deliver_message *message, struct reply *ret)
{
	enum deliver_fate fate;
	const char *keyword;
	size_t n;

	if (reach(talk, settings) == -1)
		return DELIVERED_LATER;
	keyword = missing_for(talk, letter, message);
	if (keyword) {
		err_set(talk->err, ERR_CONFIG, "the next hop '%s' does not offer %s, which this message needs; let it offer that",
		    settings->next_hop, keyword);
		return DELIVERED_LATER;
	}
	fate = transaction(talk, letter, message, ret);
	(void)curl_easy_send(talk->curl, "QUIT\r\n", 6, &n);
	return fate;
}

enum deliver_fate
deliver_copy(const struct deliver_settings *settings, const struct letter *letter, const struct deliver_message *message,
    struct reply *reply, struct err *err)
{
	struct talk talk = { .curl = curl_easy_init(), .fd = CURL_SOCKET_BAD, .until = monotonic_ms() + settings->timeout_ms, .err = err };
	enum deliver_fate fate = DELIVERED_LATER;

	if (!talk.curl) {
		err_set(err, ERR_TEMP, "libcurl cannot begin");
		return DELIVERED_LATER;
	}
	buf_init(&talk.head, HEAD_BYTES);
	buf_init(&talk.in, SMTP_REPLY_BYTES);
	reply_done(reply);
	fate = whole_talk(&talk, settings, letter, message, reply);
	curl_easy_cleanup(talk.curl);
	buf_done(&talk.head);
	buf_done(&talk.in);
	return fate;
}
