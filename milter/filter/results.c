#include "milter/filter/results.h"

#include <string.h>

#include "policy/registry/registry.h"

/* ---- what to say ---- */

/* By gravity: the first that applies is the message's result. RESULT_PASS is what is left. */
enum result {
	RESULT_UNKNOWN, /* told as temperror */
	RESULT_FAIL,
	RESULT_PERMERROR,
	RESULT_POLICY,
	RESULT_TEMPERROR,
	RESULT_NEUTRAL,
	RESULT_NONE,
	RESULT_PASS,
};

static const struct {
	enum result result;
	const char *word; /* RFC 8601 2.7 */
} result_words[] = {
	{ RESULT_UNKNOWN, "temperror" },
	{ RESULT_FAIL, "fail" },           /* signed, and it does not hold: changed, another's, revoked, expired, of no authority */
	{ RESULT_PERMERROR, "permerror" }, /* cannot be read, or in more than one way */
	{ RESULT_POLICY, "policy" },       /* holds, and does not count here */
	{ RESULT_TEMPERROR, "temperror" }, /* could not be found out */
	{ RESULT_NEUTRAL, "neutral" },     /* nothing is known of it */
	{ RESULT_NONE, "none" },           /* not signed */
	{ RESULT_PASS, "pass" },
};

/* What a finding amounts to for a reader. Reasons that are not here say nothing of the signature. */
static const struct {
	enum reason reason;
	enum result result;
} reason_results[] = {
	{ REASON_SIG_INVALID, RESULT_FAIL },
	{ REASON_HEADER_MISMATCH, RESULT_FAIL },
	{ REASON_SIGNER_MISMATCH, RESULT_FAIL },
	{ REASON_CERT_REVOKED, RESULT_FAIL },
	{ REASON_CERT_EXPIRED, RESULT_FAIL },
	{ REASON_CERT_NOT_YET, RESULT_FAIL },
	{ REASON_CERT_UNTRUSTED, RESULT_FAIL },
	{ REASON_POISON, RESULT_PERMERROR },
	{ REASON_PARSE_LIMIT, RESULT_PERMERROR },
	{ REASON_MIME_AMBIGUOUS, RESULT_PERMERROR },
	{ REASON_FROM_AMBIGUOUS, RESULT_PERMERROR },
	{ REASON_SIG_MALFORMED, RESULT_PERMERROR },
	{ REASON_SIG_WEAK, RESULT_POLICY },
	{ REASON_SIG_UNFIT, RESULT_POLICY },
	{ REASON_SIG_TIME, RESULT_POLICY },
	{ REASON_REG_UNKNOWN, RESULT_POLICY },
	{ REASON_REG_ADDRESS_MISMATCH, RESULT_POLICY },
	{ REASON_REG_HELD, RESULT_POLICY },
	{ REASON_REG_ENDED, RESULT_POLICY },
	{ REASON_REG_RETIRED, RESULT_POLICY },
	{ REASON_REG_CONFLICT, RESULT_POLICY },
	{ REASON_REPLAY, RESULT_POLICY },
	{ REASON_UNKNOWN, RESULT_TEMPERROR },
	{ REASON_STATUS_UNKNOWN, RESULT_TEMPERROR },
	{ REASON_REG_UNAVAILABLE, RESULT_TEMPERROR },
	{ REASON_KEY_UNAVAILABLE, RESULT_TEMPERROR },
	{ REASON_STORE_UNAVAILABLE, RESULT_TEMPERROR },
	{ REASON_INTERNAL, RESULT_TEMPERROR },
	{ REASON_SIG_UNSUPPORTED, RESULT_NEUTRAL },
	{ REASON_SIG_PARTIAL, RESULT_NEUTRAL },
	{ REASON_ENC_UNREADABLE, RESULT_NEUTRAL },
	{ REASON_DEC_FAILED, RESULT_NEUTRAL },
	{ REASON_SIG_MISSING, RESULT_NONE },
};

static const char *
result_word(enum result result)
{
	for (size_t i = 0; i < N_ELEMENTS(result_words); i++)
		if (result_words[i].result == result)
			return result_words[i].word;
	return "temperror";
}

static enum result
result_of_reason(enum reason reason)
{
	for (size_t i = 0; i < N_ELEMENTS(reason_results); i++)
		if (reason_results[i].reason == reason)
			return reason_results[i].result;
	return RESULT_PASS;
}

static enum result
graver(enum result a, enum result b)
{
	return a < b ? a : b;
}

static enum result
result_of_findings(const struct findings *findings)
{
	enum result result = RESULT_PASS;

	for (size_t i = 0; i < findings->n; i++)
		result = graver(result, result_of_reason(findings->at[i].reason));
	return findings->overflow ? graver(result, RESULT_TEMPERROR) : result;
}

/* The outermost entity is not signed; what that means depends on what it is. */
static enum result
result_of_unsigned(const struct policy_input *input)
{
	if (input->message->outer == LAYER_NONE && input->signature->coverage == COVERAGE_NONE)
		return RESULT_NONE;
	return RESULT_NEUTRAL;
}

static enum result
result_of_state(const struct policy_input *input)
{
	switch (input->signature->state) {
	case SIGNATURE_UNKNOWN:
		return RESULT_TEMPERROR;
	case SIGNATURE_NONE:
		return result_of_unsigned(input);
	case SIGNATURE_GOOD:
		return RESULT_PASS;
	case SIGNATURE_BAD:
		return RESULT_FAIL;
	case SIGNATURE_MALFORMED:
		return RESULT_PERMERROR;
	case SIGNATURE_UNSUPPORTED:
		return RESULT_NEUTRAL;
	}
	return RESULT_TEMPERROR;
}

static bool
is_registered(const struct policy_input *input)
{
	const struct registry_signer *signer = input->registry ? &input->registry->signer : NULL;

	return signer && !input->without_registry && signer->answer == REGISTRY_FOUND && signer->cert.bound != BOUND_UNKNOWN;
}

static bool
speaks_for_from(const struct policy_input *input)
{
	struct identity_facts identity;

	identity_judge(input, &identity);
	return identity.state == IDENTITY_MATCH;
}

/*
 * Every single thing that "pass" claims, looked at once more: a check that was forgotten or left
 * no finding must not make a message good.
 */
static bool
is_established(const struct policy_input *input)
{
	const struct signature_facts *signature = input->signature;
	const struct chain_facts *chain = &signature->chain;

	return signature->state == SIGNATURE_GOOD && signature->coverage == COVERAGE_WHOLE && signature->has_signer
	    && !signature->weak && !signature->unfit && input->message->mime == MIME_CLEAR && !*input->message->limit
	    && (signature->protection == PROTECTION_NONE || signature->protection == PROTECTION_MATCH)
	    && chain->state == CHAIN_GOOD && chain->anchor != ANCHOR_NONE && chain->revocation == REVOCATION_GOOD
	    && is_registered(input) && speaks_for_from(input);
}

static enum result
result_of(const struct policy_input *input, const struct findings *findings)
{
	enum result result = result_of_findings(findings);

	if (input->poison)
		return graver(result, RESULT_PERMERROR);
	if (!input->message || !input->signature)
		return graver(result, RESULT_TEMPERROR);
	result = graver(result, result_of_state(input));
	return result == RESULT_PASS && !is_established(input) ? RESULT_TEMPERROR : result;
}

/* ---- how it is written ---- */

enum {
	PROPERTY_BYTES = 900, /* one property as it is written: a line may have 998 (RFC 5322 2.1.1) */
	REASON_BYTES = 240,   /* the words of findings */
	ID_BYTES = LIMIT_ADDRESS_BYTES + 2, /* a domain, or a name in quotes */
};

/* RFC 2045 5.1. */
static bool
is_token_byte(unsigned char c)
{
	return c > ' ' && c < 0x7f && !strchr("()<>@,;:\\/[]?=\"", c);
}

static bool
is_token(const char *text)
{
	for (const char *c = text; *c; c++)
		if (!is_token_byte((unsigned char)*c))
			return false;
	return *text != '\0';
}

/*
 * In a quoted-string without quoted-pairs: some readers take none, and who takes the quote in one for the end of the
 * string reads on in what a stranger wrote.
 */
static bool
is_sayable_byte(unsigned char c)
{
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

static bool
is_sayable(const char *text)
{
	for (const char *c = text; *c; c++)
		if (!is_sayable_byte((unsigned char)*c))
			return false;
	return *text != '\0';
}

/* A token, or a quoted-string; what cannot be said in one is '?'. */
static void
add_value(struct buf *ret, const char *text)
{
	if (is_token(text)) {
		buf_add_text(ret, text);
		return;
	}
	buf_add_text(ret, "\"");
	for (const char *c = text; *c; c++)
		buf_add(ret, is_sayable_byte((unsigned char)*c) ? c : "?", 1);
	buf_add_text(ret, "\"");
}

static bool
is_plain_byte(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-._+", c) != NULL;
}

/* As in "name@domain" without quotes, which every reader understands. */
static bool
is_plain_address(const char *text)
{
	const char *at = strchr(text, '@');

	for (const char *c = text; *c; c++)
		if (c != at && !is_plain_byte((unsigned char)*c))
			return false;
	return at && at != text && at[1];
}

/* A property on a line of its own, where it fits; a part of a value would name something else. */
static void
add_line(struct buf *ret, const struct buf *line)
{
	if (!buf_full(line) && ret->len + line->len + 2 <= RESULTS_BYTES)
		buf_printf(ret, "\n\t%s", buf_text(line));
}

static void
add_address(struct buf *ret, const char *property, const char *address)
{
	AUTO_BUF struct buf line = { 0 };

	if (!is_sayable(address))
		return;
	buf_init(&line, PROPERTY_BYTES);
	buf_printf(&line, "%s=", property);
	if (is_plain_address(address))
		buf_add_text(&line, address);
	else
		add_value(&line, address);
	add_line(ret, &line);
}

/* Of the certificate's addresses the one that is From's, otherwise the first. */
static const char *
identifier_of(const struct policy_input *input)
{
	const struct cert_facts *cert = &input->signature->signer;

	for (size_t i = 0; i < cert->n_addresses; i++)
		if (address_equal(cert->addresses[i], input->message->from.address, true))
			return cert->addresses[i];
	return cert->n_addresses ? cert->addresses[0] : "";
}

/* RFC 7281 3.2: a serial number says nothing without its issuer, so both or none. */
static void
add_certificate(struct buf *ret, const struct cert_facts *cert)
{
	AUTO_BUF struct buf line = { 0 };

	if (!is_sayable(cert->serial) || !is_sayable(cert->issuer))
		return;
	buf_init(&line, PROPERTY_BYTES);
	buf_add_text(&line, "body.smime-serial=");
	add_value(&line, cert->serial);
	buf_add_text(&line, "\n\tbody.smime-issuer=");
	add_value(&line, cert->issuer);
	add_line(ret, &line);
}

/* As IMAP counts parts (RFC 3501 6.4.5): of a multipart/signed the second one, otherwise the body itself. */
static const char *
part_of(const struct message_facts *message)
{
	return message->n_parts > 1 ? "2" : "1";
}

static void
add_signer(struct buf *ret, const struct policy_input *input)
{
	AUTO_BUF struct buf part = { 0 };

	if (!input->message || !input->signature || !input->signature->has_signer)
		return;
	add_address(ret, "body.smime-identifier", identifier_of(input));
	buf_init(&part, PROPERTY_BYTES);
	buf_printf(&part, "body.smime-part=%s", part_of(input->message));
	add_line(ret, &part);
	add_certificate(ret, &input->signature->signer);
	if (input->message->from.state == MAILBOX_ONE)
		add_address(ret, "header.from", input->message->from.address);
}

static bool
is_named_before(const struct findings *findings, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (findings->at[j].reason == findings->at[i].reason)
			return true;
	return false;
}

/* The words of the findings, those that decided the result first. */
static void
add_words(struct buf *words, const struct findings *findings, enum result result, bool deciding)
{
	for (size_t i = 0; i < findings->n; i++) {
		const enum result one = result_of_reason(findings->at[i].reason);

		if (one != RESULT_PASS && (one == result) == deciding && !is_named_before(findings, i))
			buf_printf(words, "%s%s", words->len ? " " : "", reason_word(findings->at[i].reason));
	}
}

static void
add_reason(struct buf *ret, const struct findings *findings, enum result result)
{
	AUTO_BUF struct buf words = { 0 };

	buf_init(&words, REASON_BYTES);
	add_words(&words, findings, result, true);
	add_words(&words, findings, result, false);
	if (words.len == 0)
		return;
	buf_add_text(ret, " reason=");
	add_value(ret, buf_text(&words));
}

/* As it is written: a domain in A-labels, other names as they are. */
static void
add_id(struct buf *ret, const char *authserv_id)
{
	AUTO_BUF struct buf id = { 0 };
	char domain[LIMIT_ADDRESS_BYTES + 1];

	buf_init(&id, ID_BYTES);
	add_value(&id, domain_normalise(authserv_id, domain) ? domain : authserv_id);
	buf_add_text(ret, *authserv_id && !buf_full(&id) ? buf_text(&id) : "unknown");
}

void
results_render(const char *authserv_id, const struct policy_input *input, const struct findings *findings, struct buf *ret)
{
	const enum result result = result_of(input, findings);

	add_id(ret, authserv_id);
	buf_printf(ret, ";\n\tsmime=%s%s", result_word(result), input->decryption == DECRYPTION_DONE ? " (decrypted)" : "");
	add_reason(ret, findings, result);
	add_signer(ret, input);
}

/* ---- what claims to be ours ---- */

/* What is left to read of a value. */
struct cursor {
	struct slice rest;
	bool broken; /* no such grammar */
};

static unsigned char
take(struct cursor *cursor)
{
	const unsigned char c = *cursor->rest.at;

	cursor->rest.at++;
	cursor->rest.len--;
	return c;
}

static bool
is_blank(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* From behind the opening parenthesis to behind the one that closes it. Without recursion: they may be nested at will. */
static void
skip_comment(struct cursor *cursor)
{
	size_t depth = 1;

	while (depth && cursor->rest.len) {
		const unsigned char c = take(cursor);

		if (c == '(')
			depth++;
		else if (c == ')')
			depth--;
		else if (c == '\\' && cursor->rest.len)
			(void)take(cursor);
	}
	if (depth)
		cursor->broken = true;
}

/* RFC 5322 3.2.2 CFWS. */
static void
skip_blanks(struct cursor *cursor)
{
	while (cursor->rest.len && (is_blank(*cursor->rest.at) || *cursor->rest.at == '('))
		if (take(cursor) == '(')
			skip_comment(cursor);
}

static void
read_quoted(struct cursor *cursor, struct buf *ret)
{
	while (cursor->rest.len) {
		unsigned char c = take(cursor);

		if (c == '"')
			return;
		if (c == '\\' && cursor->rest.len)
			c = take(cursor);
		if (c != '\r' && c != '\n')
			buf_add(ret, &c, 1);
	}
	cursor->broken = true;
}

/* Bytes beyond ASCII are read too (RFC 8601 2.2 with RFC 6532). */
static void
read_token(struct cursor *cursor, struct buf *ret)
{
	while (cursor->rest.len && (is_token_byte(*cursor->rest.at) || *cursor->rest.at >= 0x80)) {
		const unsigned char c = take(cursor);

		buf_add(ret, &c, 1);
	}
	if (ret->len == 0)
		cursor->broken = true;
}

/* Behind the id: a version or not, then the first result or the end. */
static void
read_version(struct cursor *cursor)
{
	while (cursor->rest.len && *cursor->rest.at >= '0' && *cursor->rest.at <= '9')
		(void)take(cursor);
	skip_blanks(cursor);
	if (cursor->rest.len && *cursor->rest.at != ';')
		cursor->broken = true;
}

/* RFC 8601 2.2: [CFWS] authserv-id [CFWS version] ... False where it is not so. */
static bool
read_id(struct slice value, struct buf *ret)
{
	struct cursor cursor = { .rest = value };
	size_t behind;

	skip_blanks(&cursor);
	if (cursor.rest.len && *cursor.rest.at == '"') {
		(void)take(&cursor);
		read_quoted(&cursor, ret);
	} else {
		read_token(&cursor, ret);
	}
	behind = cursor.rest.len;
	skip_blanks(&cursor);
	if (behind == cursor.rest.len && behind && *cursor.rest.at != ';')
		return false; /* the id goes on in another way */
	read_version(&cursor);
	return !cursor.broken && ret->len > 0;
}

static bool
is_ascii(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] >= 0x80)
			return false;
	return true;
}

static unsigned char
lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

/* In lower case; without what a reader may pass over: blanks, control characters, quotes, escapes, and comments if wanted. */
static void
squeeze(struct slice value, bool without_comments, struct buf *ret)
{
	struct cursor cursor = { .rest = value };

	while (cursor.rest.len) {
		const unsigned char c = lower(take(&cursor));

		if (c == '(' && without_comments)
			skip_comment(&cursor);
		else if (c > ' ' && c != 0x7f && c != '"' && c != '\\')
			buf_add(ret, &c, 1);
	}
}

static bool
holds(const struct buf *text, struct slice word)
{
	return text->len && memmem(text->at, text->len, word.at, word.len) != NULL;
}

/*
 * A value that is no such field. Some reader may make our id of it: where it stands in it in any way, where it may stand
 * in it encoded (RFC 2047), and where there are bytes that some map to others.
 */
static bool
may_be_read_as(struct slice value, struct slice ours)
{
	AUTO_BUF struct buf all = { 0 }, bare = { 0 };

	buf_init(&all, value.len);
	buf_init(&bare, value.len);
	squeeze(value, false, &all);
	squeeze(value, true, &bare);
	return holds(&all, ours) || holds(&bare, ours) || holds(&all, slice_of("=?")) || !is_ascii(value);
}

/* The form in which ids are compared: lower case, A-labels, no dot at the end. False: bytes that are no domain. */
static bool
normalise(const char *id, struct buf *ret)
{
	char domain[LIMIT_ADDRESS_BYTES + 1];

	if (domain_normalise(id, domain)) {
		buf_add_text(ret, domain);
		return true;
	}
	if (!is_ascii(slice_of(id)))
		return false;
	squeeze(slice_of(id), false, ret);
	while (ret->len && ret->at[ret->len - 1] == '.')
		ret->at[--ret->len] = '\0';
	return true;
}

/* One that can be written, and so be read back. */
static bool
is_name(const char *authserv_id)
{
	char domain[LIMIT_ADDRESS_BYTES + 1];

	return domain_normalise(authserv_id, domain) || (is_sayable(authserv_id) && strlen(authserv_id) <= ID_BYTES - 2);
}

bool
results_claims(const struct field *field, const char *authserv_id)
{
	AUTO_BUF struct buf ours = { 0 }, id = { 0 }, theirs = { 0 };

	buf_init(&ours, strlen(authserv_id) + LIMIT_ADDRESS_BYTES);
	buf_init(&id, field->value.len);
	buf_init(&theirs, field->value.len + LIMIT_ADDRESS_BYTES);
	if (!is_name(authserv_id) || !normalise(authserv_id, &ours) || ours.len == 0)
		return true; /* whose it is cannot be told */
	if (!read_id(field->value, &id) || memchr(id.at, '\0', id.len) || strstr(buf_text(&id), "=?"))
		return may_be_read_as(field->value, buf_slice(&ours));
	if (!normalise(buf_text(&id), &theirs))
		return true;
	return slice_equal(buf_slice(&theirs), buf_slice(&ours));
}
