/* The sessions with a listener. */
#include "milter/preflight/visit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "milter/preflight/link.h"

enum { COMMAND_BYTES = 1024, MESSAGE_BYTES = 16 * 1024, TAIL_WAIT_MS = 100, MOST_REPLIES = 20 };

/* Nobody's, by RFC 2606. */
#define OUTSIDE_SENDER "someone@example.com"
#define OUTSIDE_RECIPIENT "someone@example.org"

/* One session. */
struct talk {
	const struct visit_place *place;
	const struct visit_options *options;
	struct link *link;
	struct buf in;     /* what came and was not read as a reply yet */
	struct buf reply;  /* the last reply, all its bytes */
};

/* --- replies --- */

bool
visit_is_taken(const struct visit_reply *reply)
{
	return reply->code >= 200 && reply->code < 300;
}

bool
visit_is_refused(const struct visit_reply *reply)
{
	return reply->code >= 500;
}

static void
keep_reply(struct talk *talk, const struct smtp_reply *reply, struct visit_reply *ret)
{
	AUTO_BUF struct buf rest = { 0 };

	ret->code = reply->code;
	snprintf(ret->text, sizeof(ret->text), "%.*s", (int)reply->first.len, (const char *)reply->first.at);
	buf_done(&talk->reply);
	buf_init(&talk->reply, SMTP_REPLY_BYTES);
	buf_add(&talk->reply, talk->in.at, reply->used);
	buf_init(&rest, talk->in.cap);
	buf_add(&rest, talk->in.at + reply->used, talk->in.len - reply->used);
	buf_done(&talk->in);
	talk->in = rest;
	rest = (struct buf){ 0 };
}

/* The next reply, until the deadline that runs. */
static int
read_reply(struct talk *talk, struct visit_reply *ret, struct err *err)
{
	struct smtp_reply reply = { 0 };
	enum smtp_state state;

	while ((state = smtp_reply_parse(buf_slice(&talk->in), &reply)) == SMTP_PART)
		if (link_receive(talk->link, &talk->in, err) == -1)
			return -1;
	if (state == SMTP_BAD)
		return err_set(err, ERR_TEMP, "what came is no reply of a mail server: %s", reply.why);
	keep_reply(talk, &reply, ret);
	return 0;
}

static int PRINTF_LIKE(3, 4)
say(struct talk *talk, struct err *err, const char *fmt, ...)
{
	char line[COMMAND_BYTES];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line, sizeof(line) - 2, fmt, args);
	va_end(args);
	if (n < 0 || n >= (int)sizeof(line) - 2)
		return err_set(err, ERR_BUG, "a command longer than %d bytes", COMMAND_BYTES);
	memcpy(line + n, "\r\n", 3);
	link_deadline(talk->link);
	return link_send(talk->link, slice_of(line), err);
}

static int
command(struct talk *talk, const char *line, struct visit_reply *ret, struct err *err)
{
	if (say(talk, err, "%s", line) == -1 || read_reply(talk, ret, err) == -1)
		return err_wrap(err, "%s", line);
	return 0;
}

static int
command_address(struct talk *talk, const char *verb, const char *address, struct visit_reply *ret, struct err *err)
{
	AUTO(xfree) char *line = xasprintf("%s:<%s>", verb, address);

	return command(talk, line, ret, err);
}

/* --- a session's begin and end --- */

static int
talk_open(struct talk *talk, struct err *err)
{
	buf_init(&talk->in, SMTP_REPLY_BYTES + 4096);
	return link_open(talk->place->host, talk->place->port, talk->options->timeout_ms, &talk->link, err);
}

static void
talk_done(struct talk *talk)
{
	link_close(talk->link);
	buf_done(&talk->in);
	buf_done(&talk->reply);
}

static inline __attribute__((unused)) void auto_talk_done(struct talk *talk) { talk_done(talk); }
#define AUTO_TALK __attribute__((cleanup(auto_talk_done)))

static int
read_banner(struct talk *talk, struct visit_reply *ret, struct err *err)
{
	link_deadline(talk->link);
	if (read_reply(talk, ret, err) == -1)
		return err_wrap(err, "banner");
	if (ret->code != 220)
		return err_set(err, ERR_TEMP, "banner: '%d %s'; wanted 220", ret->code, ret->text);
	return 0;
}

/* The keywords are in talk->reply afterwards. */
static int
ehlo(struct talk *talk, struct err *err)
{
	struct visit_reply reply = { 0 };

	if (command(talk, "EHLO localhost", &reply, err) == -1)
		return -1;
	return reply.code == 250 ? 0 : err_set(err, ERR_TEMP, "EHLO: '%d %s'; wanted 250", reply.code, reply.text);
}

static void
quit(struct talk *talk)
{
	struct visit_reply reply = { 0 };

	(void)!command(talk, "QUIT", &reply, NULL);
}

static bool
has(const struct talk *talk, const char *keyword)
{
	return smtp_ehlo_has(buf_slice(&talk->reply), keyword);
}

/* --- TLS --- */

/* What comes in clear behind the reply is dropped: a client that reads it believes whoever put it there. */
static size_t
drop_tail(struct talk *talk)
{
	const size_t n = talk->in.len + link_drain(talk->link, TAIL_WAIT_MS);

	talk->in.len = 0;
	return n;
}

/* Up to the handshake. `n_tail` gets what came behind the reply. */
static int
ask_starttls(struct talk *talk, size_t *n_tail, struct err *err)
{
	struct visit_reply reply = { 0 };

	if (!has(talk, "STARTTLS"))
		return err_set(err, ERR_TEMP, "STARTTLS is not offered");
	if (command(talk, "STARTTLS", &reply, err) == -1)
		return -1;
	if (reply.code != 220)
		return err_set(err, ERR_TEMP, "STARTTLS: '%d %s'; wanted 220", reply.code, reply.text);
	*n_tail += drop_tail(talk);
	return 0;
}

static enum tls_outcome
handshake(struct talk *talk, enum tls_offer offer, struct err *err)
{
	link_deadline(talk->link);
	return link_tls(talk->link, offer, err);
}

/* Opens, up to the point where TLS begins. -1 also where none is offered. */
static int
open_before_tls(struct talk *talk, size_t *n_tail, struct err *err)
{
	struct visit_reply banner = { 0 };

	if (talk_open(talk, err) == -1)
		return -1;
	if (talk->place->wrapper)
		return 0;
	if (read_banner(talk, &banner, err) == -1 || ehlo(talk, err) == -1)
		return -1;
	return ask_starttls(talk, n_tail, err);
}

/* --- what a client without a login gets --- */

/* Nothing follows a reply to RCPT but RSET. */
static int
ask_transaction(struct talk *talk, const char *sender, const char *inside, struct visit_reply *mail, struct visit_reply *out,
    struct visit_reply *in, struct err *err)
{
	struct visit_reply reset = { 0 };

	if (command_address(talk, "MAIL FROM", sender, mail, err) == -1)
		return -1;
	if (!visit_is_taken(mail))
		return 0;
	if (command_address(talk, "RCPT TO", OUTSIDE_RECIPIENT, out, err) == -1)
		return -1;
	if (inside && command_address(talk, "RCPT TO", inside, in, err) == -1)
		return -1;
	return command(talk, "RSET", &reset, err);
}

static int
ask_session(struct talk *talk, struct visit_session *ret, struct err *err)
{
	const char *domain = talk->options->own_domain;
	AUTO(xfree) char *own = domain ? xasprintf("postmaster@%s", domain) : NULL;

	ret->tried = true;
	if (ehlo(talk, err) == -1)
		return -1;
	ret->greeted = true;
	ret->starttls = has(talk, "STARTTLS");
	ret->auth = has(talk, "AUTH");
	if (own && ask_transaction(talk, own, own, &ret->own_mail, &ret->own_out, &ret->own_in, err) == -1)
		return -1;
	if (ask_transaction(talk, OUTSIDE_SENDER, NULL, &ret->out_mail, &ret->out_out, NULL, err) == -1)
		return -1;
	quit(talk);
	return 0;
}

/* The first trouble is the one to tell. */
static void
keep_trouble(struct visit *visit, const char *where, const struct err *err)
{
	if (!visit->trouble)
		visit->trouble = xasprintf("%s: %s", where, err->text);
}

static void
ask_clear(const struct visit_options *options, struct visit *ret)
{
	AUTO_TALK struct talk talk = { .place = ret->place, .options = options };
	struct err err = { 0 };

	if (talk_open(&talk, &err) == -1 || read_banner(&talk, &ret->banner, &err) == -1) {
		keep_trouble(ret, "without TLS", &err);
		return;
	}
	ret->reached = true;
	if (ask_session(&talk, &ret->clear, &err) == -1)
		keep_trouble(ret, "without TLS", &err);
}

static int
open_modern(struct talk *talk, struct visit *ret, struct err *err)
{
	if (open_before_tls(talk, &ret->n_tail, err) == -1)
		return -1;
	if (handshake(talk, OFFER_MODERN, err) != TLS_OUTCOME_AGREED)
		return -1;
	snprintf(ret->version, sizeof(ret->version), "%s", link_tls_version(talk->link));
	snprintf(ret->cipher, sizeof(ret->cipher), "%s", link_tls_cipher(talk->link));
	return 0;
}

static void
ask_secure(const struct visit_options *options, struct visit *ret)
{
	AUTO_TALK struct talk talk = { .place = ret->place, .options = options };
	struct err err = { 0 };

	if (open_modern(&talk, ret, &err) == -1) {
		ret->tls_trouble = xstrdup(err.text);
		return;
	}
	if ((ret->place->wrapper && read_banner(&talk, &ret->banner, &err) == -1) || ask_session(&talk, &ret->secure, &err) == -1) {
		keep_trouble(ret, "with TLS", &err);
		return;
	}
	ret->reached = true;
}

static void
ask_old(const struct visit_options *options, struct visit *ret)
{
	AUTO_TALK struct talk talk = { .place = ret->place, .options = options };
	struct err err = { 0 };

	if (open_before_tls(&talk, &ret->n_tail, &err) == -1)
		return;
	switch (handshake(&talk, OFFER_OLD, &err)) {
	case TLS_OUTCOME_AGREED:
		ret->old_tls = VISIT_YES;
		quit(&talk);
		return;
	case TLS_OUTCOME_REFUSED:
		ret->old_tls = VISIT_NO;
		return;
	case TLS_OUTCOME_CANNOT:
		ret->old_tls = VISIT_CANNOT;
		return;
	case TLS_OUTCOME_UNKNOWN:
		break;
	}
}

/* A command in the same packet as STARTTLS: whoever sits between puts it there, in the name of the client (CVE-2011-0411). */
static void
ask_carried(const struct visit_options *options, struct visit *ret)
{
	AUTO_TALK struct talk talk = { .place = ret->place, .options = options };
	struct visit_reply reply = { 0 };
	struct err err = { 0 };

	if (talk_open(&talk, &err) == -1 || read_banner(&talk, &reply, &err) == -1 || ehlo(&talk, &err) == -1)
		return;
	if (command(&talk, "STARTTLS\r\nNOOP", &reply, &err) == -1)
		return;
	if (reply.code != 220) {
		ret->carried = visit_is_refused(&reply) ? VISIT_NO : VISIT_UNKNOWN;
		return;
	}
	(void)drop_tail(&talk);
	/* Where it has been taken for the begin of TLS, it was not carried out. */
	if (handshake(&talk, OFFER_MODERN, &err) != TLS_OUTCOME_AGREED) {
		ret->carried = *ret->version ? VISIT_NO : VISIT_UNKNOWN;
		return;
	}
	if (command(&talk, "QUIT", &reply, &err) == -1)
		return;
	ret->carried = reply.code == 221 ? VISIT_NO : visit_is_taken(&reply) ? VISIT_YES : VISIT_UNKNOWN;
}

/* --- bare newlines --- */

static const struct {
	const char *word, *bytes;
} newlines[VISIT_PROBES] = {
	[NEWLINE_LF_LF] = { "<LF>.<LF>", "\n.\n" },
	[NEWLINE_CRLF_LF] = { "<CR><LF>.<LF>", "\r\n.\n" },
	[NEWLINE_LF_CRLF] = { "<LF>.<CR><LF>", "\n.\r\n" },
};

const char *
visit_newline_word(enum visit_newline newline)
{
	return newlines[newline].word;
}

/*
 * Announces itself. Behind the bare newlines stand two commands that do nothing, and then the only
 * end of data that the RFC knows: nothing that could become a second message.
 */
static void
render_message(const struct visit_options *options, enum visit_newline newline, struct buf *ret)
{
	const char *word = newlines[newline].word;
	struct tm utc;
	char date[64];

	(void)gmtime_r(&options->now, &utc);
	(void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &utc);
	buf_printf(ret, "From: segelctl <segelctl@check.invalid>\r\nTo: <%s>\r\nSubject: Test by segelctl check mta: %s\r\n"
	    "Date: %s\r\nMessage-ID: <segelctl.%lld.%d@check.invalid>\r\nAuto-Submitted: auto-generated\r\n\r\n",
	    options->probe, word, date, (long long)options->now, (int)newline);
	buf_printf(ret, "This is a test by \"segelctl check mta --live --probe\", made by an administrator of this mail\r\n"
	    "server. It may be deleted. It tries whether the server takes %s for the end of a message.\r\n"
	    "If two commands (MAIL, RSET) stand below this line, it does not, and all is well:", word);
	buf_add_text(ret, newlines[newline].bytes);
	buf_add_text(ret, "MAIL FROM:<>\r\nRSET\r\n.\r\n");
}

/* One end of data has one reply. Until 221, or until the server closes. */
static void
count_replies(struct talk *talk, struct visit_probe *ret)
{
	struct visit_reply reply = { 0 };
	struct err err = { 0 };

	link_deadline(talk->link);
	if (read_reply(talk, &ret->first, &err) == -1)
		return;
	ret->n_replies = 1;
	/* A server that refuses bare newlines closes the connection: then this is not answered, and nothing else was. */
	if (say(talk, &err, "QUIT") == -1)
		err = (struct err){ 0 };
	while (ret->n_replies < MOST_REPLIES && read_reply(talk, &reply, &err) == 0 && reply.code != 221)
		if (ret->n_replies++ == 1)
			ret->second = reply;
	if (ret->n_replies > 1)
		ret->split = VISIT_YES;
	else if (reply.code == 221 || visit_is_refused(&ret->first))
		ret->split = VISIT_NO;
}

static int
open_for_probe(struct talk *talk, const struct visit *visit, struct err *err)
{
	struct visit_reply banner = { 0 };
	size_t n_tail = 0;

	if (!*visit->version) {
		if (talk_open(talk, err) == -1 || read_banner(talk, &banner, err) == -1)
			return -1;
		return ehlo(talk, err);
	}
	if (open_before_tls(talk, &n_tail, err) == -1 || handshake(talk, OFFER_MODERN, err) != TLS_OUTCOME_AGREED)
		return -1;
	if (talk->place->wrapper && read_banner(talk, &banner, err) == -1)
		return -1;
	return ehlo(talk, err);
}

/* -1: no reply; the message is only sent where each step was taken. */
static int
begin_message(struct talk *talk, struct visit_probe *ret, struct err *err)
{
	if (command_address(talk, "MAIL FROM", "", &ret->refused, err) == -1)
		return -1;
	if (!visit_is_taken(&ret->refused))
		return -1;
	if (command_address(talk, "RCPT TO", talk->options->probe, &ret->refused, err) == -1 || !visit_is_taken(&ret->refused))
		return -1;
	if (command(talk, "DATA", &ret->refused, err) == -1 || ret->refused.code != 354)
		return -1;
	ret->refused = (struct visit_reply){ 0 };
	return 0;
}

static void
ask_probe(const struct visit_options *options, enum visit_newline newline, struct visit *ret)
{
	AUTO_TALK struct talk talk = { .place = ret->place, .options = options };
	AUTO_BUF struct buf message = { 0 };
	struct visit_probe *probe = &ret->probes[newline];
	struct err err = { 0 };

	probe->tried = true;
	if (open_for_probe(&talk, ret, &err) == -1)
		return;
	if (begin_message(&talk, probe, &err) == -1) {
		quit(&talk);
		return;
	}
	buf_init(&message, MESSAGE_BYTES);
	render_message(options, newline, &message);
	link_deadline(talk.link);
	if (link_send(talk.link, buf_slice(&message), &err) == 0)
		count_replies(&talk, probe);
}

/* --- all of it --- */

void
visit_ask(const struct visit_place *place, const struct visit_options *options, struct visit *ret)
{
	*ret = (struct visit){ .place = place };
	if (!place->wrapper)
		ask_clear(options, ret);
	/* Who does not answer once is not asked five times. */
	if (place->wrapper || ret->clear.starttls)
		ask_secure(options, ret);
	if (*ret->version) {
		ask_old(options, ret);
		if (!place->wrapper)
			ask_carried(options, ret);
	}
	if (place->wrapper && !ret->reached && !ret->trouble)
		ret->trouble = xasprintf("with TLS: %s", ret->tls_trouble);
	for (int i = 0; options->probe && ret->reached && i < VISIT_PROBES; i++)
		ask_probe(options, (enum visit_newline)i, ret);
}

void
visit_done(struct visit *visit)
{
	xfree(visit->trouble);
	xfree(visit->tls_trouble);
	*visit = (struct visit){ 0 };
}
