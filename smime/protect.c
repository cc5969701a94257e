#include "smime/protect.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "smime/gm.h"
#include "smime/name.h"

/* How much a payload says about itself. */
enum promise {
	PROMISE_NONE,
	PROMISE_SOME, /* of what is inside */
	PROMISE_ALL,
	PROMISE_HIDDEN, /* of all, and some may differ outside */
};

static const struct {
	const char *name;
	bool addresses;
	bool not_outside_only;
	bool hideable; /* who it is from is never looked up inside */
} fields[] = {
	{ "From", true, true, false },
	{ "To", true, true, true },
	{ "Cc", true, true, true },
	{ "Subject", false, true, true },
	{ "Date", false, false, true },
	{ "Message-ID", false, false, true },
	{ "Sender", true, false, false },
	{ "Reply-To", true, false, true },
	{ "Followup-To", false, false, true },
	{ "In-Reply-To", false, false, true },
	{ "References", false, false, true },
};

_Static_assert(N_ELEMENTS(fields) == PROTECT_HIDDEN_FIELDS, "room for each of them");

static enum promise
promise_of(const struct head *payload)
{
	const struct field *type = head_find(payload, "Content-Type", 0);
	char value[GM_NAME_BYTES];

	if (!type)
		return PROMISE_NONE;
	if (gm_file_name(type->value, "hp", value)) {
		if (strcasecmp(value, "cipher") == 0)
			return PROMISE_HIDDEN;
		return strcasecmp(value, "clear") == 0 ? PROMISE_ALL : PROMISE_NONE;
	}
	if (gm_file_name(type->value, "protected-headers", value))
		return strcasecmp(value, "v1") == 0 ? PROMISE_SOME : PROMISE_NONE;
	return PROMISE_NONE;
}

static bool
is_blank(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* On one line, every run of blanks as one, none at the ends. */
static void
unfold(struct slice value, struct buf *ret)
{
	struct slice text = slice_trim(value);

	buf_init(ret, text.len);
	for (size_t i = 0; i < text.len; i++) {
		if (!is_blank(text.at[i]))
			buf_add(ret, text.at + i, 1);
		else if (!is_blank(text.at[i - 1]))
			buf_add(ret, " ", 1);
	}
}

static bool
same_decoded(struct slice a, struct slice b)
{
	char *x = gm_decoded_text(a);
	char *y = gm_decoded_text(b);
	AUTO_BUF struct buf left = { 0 }, right = { 0 };
	bool same;

	unfold(slice_of(x), &left);
	unfold(slice_of(y), &right);
	same = slice_equal(buf_slice(&left), buf_slice(&right));
	gm_free(x);
	gm_free(y);
	return same;
}

/* A decoded text alone would let an encoded word stand for the signs between two addresses. */
static bool
same_value(struct slice inside, struct slice outside, bool addresses)
{
	AUTO_BUF struct buf a = { 0 }, b = { 0 };

	unfold(inside, &a);
	unfold(outside, &b);
	if (slice_equal(buf_slice(&a), buf_slice(&b)))
		return true;
	if (memchr(buf_text(&a), '\0', a.len) || memchr(buf_text(&b), '\0', b.len))
		return false;
	/* What GMime drops (a NUL and what is behind it, base64 without padding) a mail program may show. */
	if (!words_read_alike(buf_slice(&a)) || !words_read_alike(buf_slice(&b)))
		return false;
	return same_decoded(buf_slice(&a), buf_slice(&b)) && (!addresses || gm_same_addresses(buf_slice(&a), buf_slice(&b)));
}

static void PRINTF_LIKE(2, 3)
mismatch(struct signature_facts *ret, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(ret->protection_why, sizeof(ret->protection_why), fmt, args);
	va_end(args);
	ret->protection = PROTECTION_MISMATCH;
}

/* What the payload's head is compared for. */
struct comparing {
	enum promise promise;
	const struct head *outside, *payload;
	struct signature_facts *facts;
	struct protect_hidden *hidden;
};

/* HP-Outer: NAME: VALUE. Two for one name explain nothing. */
static bool
find_record(const struct head *payload, const char *name, struct slice *ret, size_t *n)
{
	const struct field *record;

	*n = 0;
	for (size_t i = 0; (record = head_find(payload, "HP-Outer", i)) != NULL; i++) {
		struct slice value = slice_trim(record->value);
		const unsigned char *colon = value.len ? memchr(value.at, ':', value.len) : NULL;

		if (!colon || !slice_equal_nocase(slice_trim((struct slice){ value.at, (size_t)(colon - value.at) }), name))
			continue;
		*ret = (struct slice){ colon + 1, (size_t)(value.at + value.len - colon - 1) };
		++*n;
	}
	return *n == 1;
}

/* Is what stands outside what the sender says he put there? */
static bool
is_as_recorded(const struct comparing *comparing, size_t row, const struct field *out)
{
	struct slice record = { 0 };
	size_t n = 0;
	bool one = find_record(comparing->payload, fields[row].name, &record, &n);

	if (comparing->promise != PROMISE_HIDDEN || !fields[row].hideable)
		return false;
	return out ? one && same_value(record, out->value, fields[row].addresses) : n == 0;
}

static void
hide(struct comparing *comparing, size_t row, const struct field *in)
{
	struct protect_hidden *hidden = comparing->hidden;

	hidden->names[hidden->n] = fields[row].name;
	hidden->fields[hidden->n++] = in;
}

static void
compare_values(struct comparing *comparing, size_t row, const struct field *in, const struct field *out)
{
	const char *name = fields[row].name;

	if (out && same_value(in->value, out->value, fields[row].addresses))
		return;
	if (is_as_recorded(comparing, row, out))
		hide(comparing, row, in);
	else if (!out)
		mismatch(comparing->facts, "%s inside only; the message has none", name);
	else
		mismatch(comparing->facts, words_read_alike(out->value) ? "%s is not the one that was signed"
		    : "%s has an encoded word with a control character, or one that readers undo differently (RFC 2047)", name);
}

static void
compare_field(struct comparing *comparing, size_t row)
{
	const char *name = fields[row].name;
	const struct field *in = head_find(comparing->payload, name, 0);
	const struct field *out = head_find(comparing->outside, name, 0);

	if (!in && !out)
		return;
	if (!in) {
		if (comparing->promise >= PROMISE_ALL && fields[row].not_outside_only)
			mismatch(comparing->facts, "%s outside only; the signed part has none", name);
	} else if (head_find(comparing->payload, name, 1)) {
		mismatch(comparing->facts, "two %s fields inside", name);
	} else if (out && head_find(comparing->outside, name, 1)) {
		mismatch(comparing->facts, "two %s fields outside", name);
	} else {
		compare_values(comparing, row, in, out);
	}
}

static void
compare(struct comparing *comparing)
{
	struct signature_facts *facts = comparing->facts;

	facts->protection_why[0] = '\0';
	facts->protection = comparing->promise == PROMISE_NONE ? PROTECTION_NONE : PROTECTION_MATCH;
	if (comparing->promise == PROMISE_NONE)
		return;
	for (size_t i = 0; i < N_ELEMENTS(fields) && facts->protection == PROTECTION_MATCH; i++)
		compare_field(comparing, i);
	if (facts->protection != PROTECTION_MATCH)
		comparing->hidden->n = 0;
}

void
protect_compare(const struct head *outside, const struct head *payload, struct signature_facts *ret)
{
	enum promise promise = promise_of(payload);
	struct protect_hidden hidden = { .n = 0 };
	struct comparing comparing = { promise == PROMISE_HIDDEN ? PROMISE_ALL : promise, outside, payload, ret, &hidden };

	compare(&comparing);
}

void
protect_compare_hidden(const struct head *outside, const struct head *payload, struct signature_facts *ret, struct protect_hidden *hidden)
{
	struct comparing comparing = { promise_of(payload), outside, payload, ret, hidden };

	hidden->n = 0;
	compare(&comparing);
}
