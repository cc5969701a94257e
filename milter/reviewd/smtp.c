#include "milter/reviewd/smtp.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "milter/preflight/smtp.h"
#include "policy/endpoint.h"

enum { COMMAND_BYTES = 4096, PIECE_BYTES = 32 * 1024 };

struct talk {
	int fd;
	int64_t until;
	struct buf in;
	bool sent; /* or some of the message is: only an answer tells who has it */
	bool has_8bit, has_utf8, has_dsn, has_size;
	struct err *err;
};

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
			return err_set(talk->err, ERR_TEMP, "the mail server took too long (quarantine.release_timeout)");
		if (errno != EINTR)
			return err_set(talk->err, ERR_TEMP, "poll: %s", strerror(errno));
	}
}

static int
send_bytes(const struct talk *talk, struct slice bytes)
{
	while (bytes.len) {
		ssize_t n;

		if (wait_for(talk, POLLOUT) == -1)
			return -1;
		n = send(talk->fd, bytes.at, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1 && errno != EINTR && errno != EAGAIN)
			return err_set(talk->err, ERR_TEMP, "the connection to the mail server broke: %s", strerror(errno));
		if (n > 0) {
			bytes.at += n;
			bytes.len -= (size_t)n;
		}
	}
	return 0;
}

/* One reply; its bytes stay in `in`. -1: none came. */
static int
take_reply(struct talk *talk, struct smtp_reply *ret)
{
	talk->in.len = 0;
	talk->in.full = false;
	for (;;) {
		unsigned char piece[4096];
		enum smtp_state state;
		ssize_t n;

		if (wait_for(talk, POLLIN) == -1)
			return -1;
		n = recv(talk->fd, piece, sizeof(piece), MSG_DONTWAIT);
		if (n == 0)
			return err_set(talk->err, ERR_TEMP, "the mail server closed the connection");
		if (n == -1 && errno != EINTR && errno != EAGAIN)
			return err_set(talk->err, ERR_TEMP, "the connection to the mail server broke: %s", strerror(errno));
		if (n <= 0)
			continue;
		buf_add(&talk->in, piece, (size_t)n);
		state = smtp_reply_parse(buf_slice(&talk->in), ret);
		if (state == SMTP_WHOLE)
			return 0;
		if (state == SMTP_BAD || buf_full(&talk->in))
			return err_set(talk->err, ERR_TEMP, "the mail server's reply is none: %s", state == SMTP_BAD ? ret->why : "too long");
	}
}

/* Sends a command and takes its reply; SMTP_TAKEN: it has the code that was wanted. */
static enum smtp_outcome
command(struct talk *talk, const char *line, int wanted)
{
	struct smtp_reply reply = { .code = 0 };
	const char *end = strpbrk(line, " \r");

	if (send_bytes(talk, slice_of(line)) == -1 || take_reply(talk, &reply) == -1)
		return SMTP_UNKNOWN;
	if (reply.code == wanted)
		return SMTP_TAKEN;
	err_set(talk->err, ERR_TEMP, "the mail server answered %.*s with %d %.*s", (int)(end ? end - line : 0), line, reply.code,
	    (int)(reply.first.len < 200 ? reply.first.len : 200), (const char *)reply.first.at);
	return reply.code / 100 == 5 ? SMTP_REFUSED : reply.code / 100 == 4 ? SMTP_LATER : SMTP_UNKNOWN;
}

static int
reach(const char *server, struct talk *talk)
{
	struct endpoint endpoint;

	if (endpoint_from(server, &endpoint, talk->err) == -1)
		return err_wrap(talk->err, "quarantine.release_to");
	talk->fd = socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (talk->fd == -1)
		return err_set(talk->err, ERR_TEMP, "no socket: %s", strerror(errno));
	if (connect(talk->fd, (const struct sockaddr *)&endpoint.address, endpoint.len) == -1) {
		int failed = errno;
		socklen_t len = sizeof(failed);

		if (failed == EINPROGRESS && wait_for(talk, POLLOUT) == 0)
			(void)getsockopt(talk->fd, SOL_SOCKET, SO_ERROR, &failed, &len);
		if (failed)
			return err_set(talk->err, ERR_TEMP, "the mail server does not answer at '%s': %s; is its listener for released mail "
			    "there (contrib/postfix)?", server, strerror(failed));
	}
	return 0;
}

static enum smtp_outcome
greet(struct talk *talk)
{
	char host[256] = "localhost", line[COMMAND_BYTES];
	struct smtp_reply reply = { .code = 0 };
	enum smtp_outcome outcome;

	if (take_reply(talk, &reply) == -1)
		return SMTP_UNKNOWN;
	if (reply.code != 220) {
		err_set(talk->err, ERR_TEMP, "the mail server greets with %d", reply.code);
		return SMTP_UNKNOWN;
	}
	if (gethostname(host, sizeof(host) - 1) == -1 || !*host)
		snprintf(host, sizeof(host), "localhost");
	snprintf(line, sizeof(line), "EHLO %s\r\n", host);
	outcome = command(talk, line, 250);
	talk->has_8bit = smtp_ehlo_has(buf_slice(&talk->in), "8BITMIME");
	talk->has_utf8 = smtp_ehlo_has(buf_slice(&talk->in), "SMTPUTF8");
	talk->has_dsn = smtp_ehlo_has(buf_slice(&talk->in), "DSN");
	talk->has_size = smtp_ehlo_has(buf_slice(&talk->in), "SIZE");
	/* No extensions at all is nothing that a listener of ours says; what is wrong with it passes. */
	return outcome == SMTP_TAKEN ? SMTP_TAKEN : SMTP_UNKNOWN;
}

/* Bytes that stay within a command. */
static bool
is_plain(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c < 0x20 || *c == 0x7f)
			return false;
	return true;
}

static bool
begins(const char *word, size_t len, const char *keyword)
{
	const size_t n = strlen(keyword);

	return len >= n && strncasecmp(word, keyword, n) == 0 && (keyword[n - 1] == '=' || len == n);
}

/* Which parameter goes on, in words the server knows. SIZE is told anew. */
static bool
goes_on(const struct talk *talk, const char *word, size_t len)
{
	static const char *const reports[] = { "RET=", "ENVID=", "NOTIFY=", "ORCPT=" };

	if (begins(word, len, "BODY="))
		return talk->has_8bit && strncasecmp(word, "BODY=BINARYMIME", len) != 0;
	if (begins(word, len, "SMTPUTF8"))
		return talk->has_utf8;
	for (size_t i = 0; i < N_ELEMENTS(reports); i++)
		if (begins(word, len, reports[i]))
			return talk->has_dsn;
	return false;
}

static void
add_parameters(const struct talk *talk, const char *parameters, struct buf *line)
{
	while (*parameters) {
		const size_t len = strcspn(parameters, " ");

		if (len && goes_on(talk, parameters, len)) {
			buf_add_text(line, " ");
			buf_add(line, parameters, len);
		}
		parameters += len + (parameters[len] == ' ');
	}
}

static bool
wants_utf8(const char *parameters)
{
	while (*parameters) {
		const size_t len = strcspn(parameters, " ");

		if (begins(parameters, len, "SMTPUTF8"))
			return true;
		parameters += len + (parameters[len] == ' ');
	}
	return false;
}

static enum smtp_outcome
name(struct talk *talk, const char *verb, const char *address, const char *parameters, size_t size)
{
	AUTO_BUF struct buf line = { 0 };

	buf_init(&line, COMMAND_BYTES);
	buf_printf(&line, "%s:<%s>", verb, address);
	if (size && talk->has_size)
		buf_printf(&line, " SIZE=%zu", size);
	add_parameters(talk, parameters, &line);
	buf_add_text(&line, "\r\n");
	/* A quoted local part may hold anything; elsewhere such a sign would end the address. */
	if (!is_plain(address) || !is_plain(parameters) || (*address != '"' && strpbrk(address, "<>")) || buf_full(&line)) {
		err_set(talk->err, ERR_TEMP, "its envelope cannot be said in SMTP: %s", verb);
		return SMTP_REFUSED;
	}
	return command(talk, buf_text(&line), 250);
}

/* The message's bytes on the wire: at the beginning of a line a dot is doubled (RFC 5321 4.5.2). */
struct wire {
	const struct talk *talk;
	struct buf out;
	bool at_start; /* of a line */
	bool after_cr;
};

static int
flush(struct wire *wire)
{
	const int result = send_bytes(wire->talk, buf_slice(&wire->out));

	wire->out.len = 0;
	return result;
}

static int
put_piece(struct wire *wire, struct slice piece)
{
	for (size_t i = 0; i < piece.len; i++) {
		const unsigned char c = piece.at[i];

		if (wire->at_start && c == '.')
			buf_add(&wire->out, ".", 1);
		buf_add(&wire->out, &c, 1);
		wire->at_start = wire->after_cr && c == '\n';
		wire->after_cr = c == '\r';
		if (wire->out.len >= PIECE_BYTES && flush(wire) == -1)
			return -1;
	}
	return 0;
}

static int
put_message(const struct talk *talk, const struct smtp_letter *letter)
{
	struct wire wire = { .talk = talk, .at_start = true };
	int result = 0;

	buf_init(&wire.out, PIECE_BYTES + 16);
	buf_reserve(&wire.out, PIECE_BYTES + 16);
	for (size_t i = 0; i < letter->n_pieces && result == 0; i++)
		result = put_piece(&wire, letter->pieces[i]);
	if (!wire.at_start)
		buf_add_text(&wire.out, "\r\n"); /* a message without its last line end is none that SMTP can carry */
	if (result == 0)
		result = flush(&wire);
	wipe(wire.out.at, wire.out.room);
	buf_done(&wire.out);
	return result;
}

static bool
has_bare_lf(const struct smtp_letter *letter)
{
	unsigned char before = 0;

	for (size_t i = 0; i < letter->n_pieces; i++)
		for (size_t k = 0; k < letter->pieces[i].len; k++) {
			if (letter->pieces[i].at[k] == '\n' && before != '\r')
				return true;
			before = letter->pieces[i].at[k];
		}
	return false;
}

static size_t
size_of(const struct smtp_letter *letter)
{
	size_t size = 0;

	for (size_t i = 0; i < letter->n_pieces; i++)
		size += letter->pieces[i].len;
	return size;
}

static enum smtp_outcome
transaction(struct talk *talk, const struct smtp_letter *letter)
{
	enum smtp_outcome outcome = name(talk, "MAIL FROM", letter->sender, letter->parameters, size_of(letter));

	for (size_t i = 0; i < letter->n_recipients && outcome == SMTP_TAKEN; i++)
		outcome = name(talk, "RCPT TO", letter->recipients[i].address, letter->recipients[i].parameters, 0);
	if (outcome == SMTP_TAKEN)
		outcome = command(talk, "DATA\r\n", 354);
	if (outcome != SMTP_TAKEN)
		return outcome;
	talk->sent = true;
	if (put_message(talk, letter) == -1)
		return SMTP_UNKNOWN;
	return command(talk, ".\r\n", 250);
}

static enum smtp_outcome
whole_talk(const char *server, const struct smtp_letter *letter, struct talk *talk)
{
	enum smtp_outcome outcome;
	struct err ignored;

	if (has_bare_lf(letter)) {
		err_set(talk->err, ERR_TEMP, "it holds a line feed without a carriage return, which SMTP cannot carry");
		return SMTP_REFUSED;
	}
	if (reach(server, talk) == -1)
		return SMTP_UNKNOWN;
	outcome = greet(talk);
	if (outcome != SMTP_TAKEN)
		return outcome;
	if (wants_utf8(letter->parameters) && !talk->has_utf8) {
		err_set(talk->err, ERR_TEMP, "the mail server does not offer SMTPUTF8, which this message needs");
		return SMTP_REFUSED;
	}
	outcome = transaction(talk, letter);
	talk->err = &ignored;
	(void)send_bytes(talk, slice_of("QUIT\r\n"));
	return outcome;
}

enum smtp_outcome
smtp_send(const char *server, const struct smtp_letter *letter, int timeout_ms, struct err *err)
{
	struct talk talk = { .fd = -1, .until = monotonic_ms() + timeout_ms, .err = err };
	enum smtp_outcome outcome;

	buf_init(&talk.in, SMTP_REPLY_BYTES);
	outcome = whole_talk(server, letter, &talk);
	if (talk.fd != -1)
		close(talk.fd);
	buf_done(&talk.in);
	return outcome == SMTP_UNKNOWN && !talk.sent ? SMTP_AWAY : outcome;
}
