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
};

static const struct {
	const char *name;
	bool addresses;
	bool not_outside_only;
} fields[] = {
	{ "From", true, true },
	{ "To", true, true },
	{ "Cc", true, true },
	{ "Subject", false, true },
	{ "Date", false, false },
	{ "Message-ID", false, false },
	{ "Sender", true, false },
	{ "Reply-To", true, false },
	{ "Followup-To", false, false },
	{ "In-Reply-To", false, false },
	{ "References", false, false },
};

static enum promise
promise_of(const struct head *payload)
{
	const struct field *type = head_find(payload, "Content-Type", 0);
	char value[GM_NAME_BYTES];

	if (!type)
		return PROMISE_NONE;
	if (gm_file_name(type->value, "hp", value))
		return strcasecmp(value, "clear") == 0 || strcasecmp(value, "cipher") == 0 ? PROMISE_ALL : PROMISE_NONE;
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

static void
compare_field(size_t row, enum promise promise, const struct head *outside, const struct head *payload, struct signature_facts *ret)
{
	const char *name = fields[row].name;
	const struct field *in = head_find(payload, name, 0);
	const struct field *out = head_find(outside, name, 0);

	if (!in && !out)
		return;
	if (!in) {
		if (promise == PROMISE_ALL && fields[row].not_outside_only)
			mismatch(ret, "%s outside only; the signed part has none", name);
	} else if (!out) {
		mismatch(ret, "%s inside only; the message has none", name);
	} else if (head_find(payload, name, 1)) {
		mismatch(ret, "two %s fields inside", name);
	} else if (head_find(outside, name, 1)) {
		mismatch(ret, "two %s fields outside", name);
	} else if (!same_value(in->value, out->value, fields[row].addresses)) {
		mismatch(ret, words_read_alike(out->value) ? "%s is not the one that was signed"
		    : "%s has an encoded word with a control character, or one that readers undo differently (RFC 2047)", name);
	}
}

void
protect_compare(const struct head *outside, const struct head *payload, struct signature_facts *ret)
{
	enum promise promise = promise_of(payload);

	ret->protection_why[0] = '\0';
	ret->protection = promise == PROMISE_NONE ? PROTECTION_NONE : PROTECTION_MATCH;
	if (promise == PROMISE_NONE)
		return;
	for (size_t i = 0; i < N_ELEMENTS(fields) && ret->protection == PROTECTION_MATCH; i++)
		compare_field(i, promise, outside, payload, ret);
}
