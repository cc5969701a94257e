#include "milter/split/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "smime/address.h"

enum { PARAMETER_BYTES = 1000, SIZE_DIGITS = 12 };

/* How far a transaction is; each a bit, for the table of commands. */
enum stage { STAGE_NEW = 1 << 0, STAGE_IDLE = 1 << 1, STAGE_MAIL = 1 << 2, STAGE_RCPT = 1 << 3, STAGE_DATA = 1 << 4 };

/* What is wrong with a message's bytes; the first one found counts. */
enum fault { FAULT_NONE, FAULT_BARE_LF, FAULT_BARE_CR, FAULT_NUL, FAULT_LINE, FAULT_SIZE };

/* Where in a message the next byte is. */
struct place {
	size_t len;    /* bytes of this line so far, without the dot that was added for the way */
	bool start;    /* of a line */
	bool dot;      /* this line began with one */
	bool cr;       /* the byte before was one */
	enum fault fault;
};

struct intake {
	char *host;
	size_t message_bytes;
	enum stage stage;
	enum intake_state state;
	bool utf8;         /* of this transaction */
	unsigned bad;      /* commands */
	struct buf line;   /* of a command */
	struct buf out;
	struct letter letter;
	struct place place;
};

struct intake *
intake_new(const char *host, size_t message_bytes)
{
	struct intake *intake = xcalloc(1, sizeof(*intake));

	intake->host = xstrdup(host);
	intake->message_bytes = message_bytes;
	intake->stage = STAGE_NEW;
	intake->state = INTAKE_READS;
	buf_init(&intake->line, INTAKE_COMMAND_BYTES);
	buf_init(&intake->out, 2 * REPLY_BYTES);
	buf_printf(&intake->out, "220 %s ESMTP segel-split\r\n", host);
	return intake;
}

void
intake_free(struct intake *intake)
{
	if (!intake)
		return;
	letter_done(&intake->letter);
	buf_done(&intake->line);
	buf_done(&intake->out);
	free(intake->host);
	free(intake);
}

struct buf *
intake_out(struct intake *intake)
{
	return &intake->out;
}

const struct letter *
intake_letter(const struct intake *intake)
{
	return intake->state == INTAKE_LETTER ? &intake->letter : NULL;
}

bool
intake_busy(const struct intake *intake)
{
	return intake->state == INTAKE_LETTER || (intake->stage & (STAGE_MAIL | STAGE_RCPT | STAGE_DATA));
}

/* ---- answers ---- */

static void
say(struct intake *intake, const char *line)
{
	buf_printf(&intake->out, "%s\r\n", line);
}

static void
forget(struct intake *intake)
{
	letter_done(&intake->letter);
	intake->utf8 = false;
	if (intake->stage != STAGE_NEW)
		intake->stage = STAGE_IDLE;
}

static void
over(struct intake *intake, const char *line)
{
	forget(intake);
	say(intake, line);
	intake->state = INTAKE_OVER;
}

void
intake_close(struct intake *intake, const char *status, const char *why)
{
	char line[256];

	snprintf(line, sizeof(line), "421 %s %s", status, why);
	over(intake, line);
}

/* A command that is refused; too many of them end the connection. */
static void
refuse(struct intake *intake, const char *line)
{
	if (++intake->bad > INTAKE_BAD_COMMANDS)
		intake_close(intake, "4.7.0", "Too many bad commands");
	else
		say(intake, line);
}

/* ---- words of a command ---- */

static bool
skip_word(const char **at, const char *word)
{
	const size_t len = strlen(word);

	if (strncasecmp(*at, word, len) != 0)
		return false;
	*at += len;
	return true;
}

/* "<...>", quotes and backslashes within; what is between is copied. */
static char *
take_path(const char **at)
{
	const char *from = *at + 1;
	bool quoted = false;

	if (**at != '<')
		return NULL;
	for (const char *c = from; *c; c++) {
		if (quoted && *c == '\\' && c[1])
			c++;
		else if (*c == '"')
			quoted = !quoted;
		else if (!quoted && (*c == '<' || *c == ' '))
			return NULL;
		else if (!quoted && *c == '>' && (c[1] == ' ' || !c[1])) {
			*at = c + 1;
			return xstrndup(from, (size_t)(c - from));
		} else if (!quoted && *c == '>') {
			return NULL;
		}
	}
	return NULL;
}

static bool
is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text > 0x7e)
			return false;
	return true;
}

static bool
fits_address(const char *path, bool utf8)
{
	return strlen(path) <= LIMIT_ADDRESS_BYTES && (is_ascii(path) || (utf8 && utf8_is_valid(slice_of(path))));
}

/* What a parameter's value may be. */
enum value { VALUE_NONE, VALUE_SIZE, VALUE_CHOICE, VALUE_ANY };

struct parameter {
	const char *name;
	enum value value;
	const char *const *choices;
	bool passed_on;
};

static const char *const bodies[] = { "7BIT", "8BITMIME", NULL };
static const char *const returns[] = { "FULL", "HDRS", NULL };

static const struct parameter of_mail[] = {
	{ "SIZE", VALUE_SIZE, NULL, false },
	{ "BODY", VALUE_CHOICE, bodies, true },
	{ "SMTPUTF8", VALUE_NONE, NULL, true },
	{ "RET", VALUE_CHOICE, returns, true },
	{ "ENVID", VALUE_ANY, NULL, true },
	{ NULL, VALUE_NONE, NULL, false },
};

static const struct parameter of_rcpt[] = {
	{ "NOTIFY", VALUE_ANY, NULL, true },
	{ "ORCPT", VALUE_ANY, NULL, true },
	{ NULL, VALUE_NONE, NULL, false },
};

static const struct parameter *
find_parameter(const struct parameter *table, const char *word, size_t len)
{
	for (; table->name; table++)
		if (strlen(table->name) == len && strncasecmp(table->name, word, len) == 0)
			return table;
	return NULL;
}

static bool
is_choice(const char *const *choices, const char *text, size_t len)
{
	for (; *choices; choices++)
		if (strlen(*choices) == len && strncasecmp(*choices, text, len) == 0)
			return true;
	return false;
}

static bool
is_value(const struct parameter *parameter, const char *text, size_t len)
{
	switch (parameter->value) {
	case VALUE_NONE:
		return text == NULL;
	case VALUE_SIZE:
		return text && len > 0 && len <= SIZE_DIGITS && strspn(text, "0123456789") >= len;
	case VALUE_CHOICE:
		return text && is_choice(parameter->choices, text, len);
	case VALUE_ANY:
		return text && len > 0 && len <= PARAMETER_BYTES;
	}
	return false;
}

struct parameters {
	struct buf kept;
	unsigned long long size;
	bool utf8;
	unsigned seen; /* a bit for each row of the table */
};

/* One "NAME" or "NAME=VALUE". NULL, or the reply that refuses it. */
static const char *
take_parameter(const struct parameter *table, const char *word, size_t len, struct parameters *ret)
{
	const char *sign = memchr(word, '=', len);
	const char *value = sign ? sign + 1 : NULL;
	const size_t name_len = sign ? (size_t)(sign - word) : len, value_len = sign ? len - name_len - 1 : 0;
	const struct parameter *found = find_parameter(table, word, name_len);
	unsigned bit;

	if (!found)
		return "555 5.5.4 Parameter not known here";
	bit = 1U << (unsigned)(found - table);
	if ((ret->seen & bit) || !is_value(found, value, value_len))
		return "501 5.5.4 Bad or repeated parameter";
	ret->seen |= bit;
	if (found->value == VALUE_SIZE)
		ret->size = strtoull(value, NULL, 10);
	ret->utf8 |= found->value == VALUE_NONE;
	if (found->passed_on) {
		buf_add_text(&ret->kept, ret->kept.len ? " " : "");
		buf_add(&ret->kept, word, len);
	}
	return NULL;
}

static const char *
take_parameters(const struct parameter *table, const char *at, struct parameters *ret)
{
	buf_init(&ret->kept, INTAKE_COMMAND_BYTES);
	while (*at == ' ') {
		const char *wrong;
		size_t len;

		at++;
		len = strcspn(at, " ");
		if (len == 0)
			continue;
		wrong = take_parameter(table, at, len, ret);
		if (wrong)
			return wrong;
		at += len;
	}
	return NULL;
}

/* ---- commands ---- */

static void
on_ehlo(struct intake *intake, const char *rest)
{
	if (*rest != ' ' || !rest[1]) {
		refuse(intake, "501 5.5.4 Wanted: a name");
		return;
	}
	intake->stage = STAGE_IDLE;
	forget(intake);
	buf_printf(&intake->out, "250-%s\r\n250-SIZE %zu\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n250 XFORWARD",
	    intake->host, intake->message_bytes);
	for (size_t i = 0; i < N_FORWARDS; i++)
		buf_printf(&intake->out, " %s", forward_names[i]);
	buf_add_text(&intake->out, "\r\n");
}

static void
on_helo(struct intake *intake, const char *rest)
{
	if (*rest != ' ' || !rest[1]) {
		refuse(intake, "501 5.5.4 Wanted: HELO name");
		return;
	}
	intake->stage = STAGE_IDLE;
	forget(intake);
	buf_printf(&intake->out, "250 %s\r\n", intake->host);
}

static void
on_mail(struct intake *intake, const char *rest)
{
	struct parameters parameters = { .size = 0 };
	AUTO(xfree) char *path = skip_word(&rest, " FROM:") ? take_path(&rest) : NULL;
	const char *wrong = path ? take_parameters(of_mail, rest, &parameters) : "501 5.5.4 Wanted: MAIL FROM:<address>";

	if (!wrong && !fits_address(path, parameters.utf8))
		wrong = "501 5.1.7 Bad sender address";
	if (!wrong && parameters.size > intake->message_bytes)
		wrong = "552 5.3.4 Message too large";
	if (wrong) {
		refuse(intake, wrong);
	} else {
		free(intake->letter.sender_parameters);
		free(intake->letter.sender);
		intake->letter.sender = TAKE(path);
		intake->letter.sender_parameters = xstrdup(buf_text(&parameters.kept));
		intake->utf8 = parameters.utf8;
		intake->stage = STAGE_MAIL;
		say(intake, "250 2.1.0 Good");
	}
	buf_done(&parameters.kept);
}

static void
on_rcpt(struct intake *intake, const char *rest)
{
	struct parameters parameters = { .size = 0 };
	AUTO(xfree) char *path = skip_word(&rest, " TO:") ? take_path(&rest) : NULL;
	const char *wrong = path && *path ? take_parameters(of_rcpt, rest, &parameters) : "501 5.5.4 Wanted: RCPT TO:<address>";

	if (!wrong && !fits_address(path, intake->utf8))
		wrong = "501 5.1.3 Bad recipient address";
	if (!wrong && intake->stage == STAGE_RCPT)
		wrong = "452 4.5.3 One recipient at a time";
	if (wrong) {
		refuse(intake, wrong);
	} else {
		intake->letter.recipient = TAKE(path);
		intake->letter.recipient_parameters = xstrdup(buf_text(&parameters.kept));
		intake->stage = STAGE_RCPT;
		say(intake, "250 2.1.5 Good");
	}
	buf_done(&parameters.kept);
}

static void
on_data(struct intake *intake, const char *rest)
{
	if (*rest) {
		refuse(intake, "501 5.5.4 DATA has no parameters");
		return;
	}
	intake->stage = STAGE_DATA;
	intake->place = (struct place){ .start = true };
	buf_init(&intake->letter.bytes, intake->message_bytes);
	say(intake, "354 End with CRLF.CRLF");
}

static void
on_rset(struct intake *intake, const char *rest)
{
	if (*rest) {
		refuse(intake, "501 5.5.4 RSET has no parameters");
		return;
	}
	forget(intake);
	say(intake, "250 2.0.0 Forgotten");
}

static void
on_noop(struct intake *intake, const char *rest)
{
	(void)rest;
	say(intake, "250 2.0.0 Good");
}

static void
on_quit(struct intake *intake, const char *rest)
{
	(void)rest;
	over(intake, "221 2.0.0 Bye");
}

static size_t
find_forward(const char *word, size_t len)
{
	for (size_t i = 0; i < N_FORWARDS; i++)
		if (strlen(forward_names[i]) == len && strncasecmp(forward_names[i], word, len) == 0)
			return i;
	return N_FORWARDS;
}

/* Each "NAME=VALUE"; the values are xtext: no blank, nothing that is not ASCII. */
static bool
take_forwards(struct intake *intake, const char *at)
{
	size_t n = 0;

	while (*at == ' ') {
		const size_t len = strcspn(++at, " ");
		const char *sign = memchr(at, '=', len);
		const size_t i = sign ? find_forward(at, (size_t)(sign - at)) : N_FORWARDS;

		if (i == N_FORWARDS || len - (size_t)(sign + 1 - at) > LIMIT_TOKEN_BYTES)
			return false;
		free(intake->letter.forward[i]);
		intake->letter.forward[i] = xstrndup(sign + 1, (size_t)(at + len - sign - 1));
		at += len;
		n++;
	}
	return n > 0 && !*at;
}

static void
on_xforward(struct intake *intake, const char *rest)
{
	if (!is_ascii(rest) || !take_forwards(intake, rest)) {
		refuse(intake, "501 5.5.4 Bad XFORWARD attribute");
		return;
	}
	say(intake, "250 2.0.0 Good");
}

struct command {
	const char *verb;
	unsigned stages;
	void (*run)(struct intake *intake, const char *rest);
};

enum { STAGES_ALL = STAGE_NEW | STAGE_IDLE | STAGE_MAIL | STAGE_RCPT };

static const struct command commands[] = {
	{ "EHLO", STAGES_ALL, on_ehlo },
	{ "LHLO", STAGES_ALL, on_ehlo }, /* LMTP (RFC 2033): with one recipient the rest is the same. Postfix speaks it on UNIX sockets */
	{ "HELO", STAGES_ALL, on_helo },
	{ "XFORWARD", STAGE_IDLE, on_xforward },
	{ "MAIL", STAGE_IDLE, on_mail },
	{ "RCPT", STAGE_MAIL | STAGE_RCPT, on_rcpt },
	{ "DATA", STAGE_RCPT, on_data },
	{ "RSET", STAGES_ALL, on_rset },
	{ "NOOP", STAGES_ALL, on_noop },
	{ "QUIT", STAGES_ALL, on_quit },
};

static void
run_command(struct intake *intake, const char *line)
{
	const size_t len = strcspn(line, " ");

	for (size_t i = 0; i < N_ELEMENTS(commands); i++) {
		if (strlen(commands[i].verb) != len || strncasecmp(commands[i].verb, line, len) != 0)
			continue;
		if (commands[i].stages & intake->stage)
			commands[i].run(intake, line + len);
		else
			refuse(intake, "503 5.5.1 Not now");
		return;
	}
	refuse(intake, "502 5.5.1 No such command here");
}

/* A control character in a command has no meaning but to somebody who reads it otherwise than we do. */
static bool
is_clean_line(struct slice line)
{
	for (size_t i = 0; i < line.len; i++)
		if (line.at[i] < 0x20 || line.at[i] == 0x7f)
			return false;
	return true;
}

/* One whole line, LF included. */
static void
on_line(struct intake *intake, bool more_behind)
{
	const struct slice line = buf_slice(&intake->line);

	if (line.len < 2 || line.at[line.len - 2] != '\r' || !is_clean_line((struct slice){ line.at, line.len - 2 })) {
		intake_close(intake, "4.5.2", "A command is one line of text that ends with CRLF");
	} else if (more_behind) {
		intake_close(intake, "4.7.0", "PIPELINING is not offered, and more came before the answer");
	} else {
		AUTO(xfree) char *text = xstrndup((const char *)line.at, line.len - 2);

		run_command(intake, text);
	}
	intake->line.len = 0;
}

static size_t
take_command(struct intake *intake, struct slice bytes)
{
	const unsigned char *end = memchr(bytes.at, '\n', bytes.len);
	const size_t used = end ? (size_t)(end - bytes.at) + 1 : bytes.len;

	if (intake->line.len + used > INTAKE_COMMAND_BYTES) {
		intake_close(intake, "4.5.2", "Command too long");
		return used;
	}
	buf_add(&intake->line, bytes.at, used);
	if (end)
		on_line(intake, used < bytes.len);
	return used;
}

/* ---- a message ---- */

struct fault_row {
	enum fault fault;
	const char *reply;
};

static const struct fault_row fault_rows[] = {
	{ FAULT_BARE_LF, "554 5.6.0 The message holds a line feed without a carriage return" },
	{ FAULT_BARE_CR, "554 5.6.0 The message holds a carriage return without a line feed" },
	{ FAULT_NUL, "554 5.6.0 The message holds a NUL" },
	{ FAULT_LINE, "554 5.6.0 The message holds a line of more than 998 bytes" },
	{ FAULT_SIZE, "552 5.3.4 Message too large" },
};

static void
found(struct place *place, enum fault fault)
{
	if (place->fault == FAULT_NONE)
		place->fault = fault;
}

static void
keep(struct intake *intake, const unsigned char *at, size_t len)
{
	struct place *place = &intake->place;

	place->len += len;
	if (place->len > INTAKE_LINE_BYTES)
		found(place, FAULT_LINE);
	if (place->fault != FAULT_NONE)
		return;
	buf_add(&intake->letter.bytes, at, len);
	if (buf_full(&intake->letter.bytes))
		found(place, FAULT_SIZE);
}

/* A line's end. True: it was the message's. */
static bool
end_line(struct intake *intake)
{
	struct place *place = &intake->place;
	static const unsigned char crlf[] = { '\r', '\n' };

	if (place->dot && place->len == 0)
		return true;
	place->len = 0;
	keep(intake, crlf, sizeof(crlf));
	*place = (struct place){ .start = true, .fault = place->fault };
	return false;
}

/* Bytes that mean nothing by themselves. */
static size_t
span(const unsigned char *at, size_t len)
{
	size_t n = 0;

	while (n < len && at[n] != '\r' && at[n] != '\n' && at[n])
		n++;
	return n;
}

/* One byte that does. */
static bool
on_sign(struct intake *intake, unsigned char c)
{
	struct place *place = &intake->place;
	const bool after_cr = place->cr;

	place->cr = c == '\r';
	if (c == '\n' && after_cr)
		return end_line(intake);
	if (c == '\n')
		found(place, FAULT_BARE_LF);
	if (after_cr)
		found(place, FAULT_BARE_CR);
	if (c == 0)
		found(place, FAULT_NUL);
	if (c != '\r' || after_cr)
		place->len++; /* a line with more in it than its dot */
	place->start = false;
	return false;
}

static void
on_text(struct intake *intake, const unsigned char *at, size_t len)
{
	struct place *place = &intake->place;

	if (place->cr)
		found(place, FAULT_BARE_CR);
	place->cr = false;
	if (place->start && *at == '.') {
		place->dot = true;
		at++;
		len--;
	}
	place->start = false;
	if (len)
		keep(intake, at, len);
}

static void
end_message(struct intake *intake)
{
	for (size_t i = 0; i < N_ELEMENTS(fault_rows); i++)
		if (fault_rows[i].fault == intake->place.fault) {
			forget(intake);
			say(intake, fault_rows[i].reply);
			return;
		}
	intake->state = INTAKE_LETTER;
}

static size_t
take_message(struct intake *intake, struct slice bytes)
{
	size_t at = 0;

	while (at < bytes.len) {
		const size_t n = span(bytes.at + at, bytes.len - at);

		if (n)
			on_text(intake, bytes.at + at, n);
		at += n;
		if (at < bytes.len && on_sign(intake, bytes.at[at++])) {
			if (at < bytes.len)
				intake_close(intake, "4.7.0", "More came behind the message before the answer to it");
			else
				end_message(intake);
			return at;
		}
	}
	return at;
}

enum intake_state
intake_take(struct intake *intake, struct slice bytes)
{
	while (bytes.len && intake->state == INTAKE_READS) {
		const size_t used = intake->stage == STAGE_DATA ? take_message(intake, bytes) : take_command(intake, bytes);

		bytes.at += used;
		bytes.len -= used;
	}
	return intake->state;
}

enum intake_state
intake_answer(struct intake *intake, const struct reply *reply)
{
	intake->state = INTAKE_READS;
	buf_add_slice(&intake->out, buf_slice(&reply->lines));
	forget(intake);
	return intake->state;
}
