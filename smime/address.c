#include "smime/address.h"

#include <stdio.h>
#include <string.h>

#include "smime/name.h"

enum {
	MAX_LOCAL = 64, /* RFC 5321 4.5.3.1 */
	MAX_DOMAIN = 255,
};

static bool
is_alnum(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool
is_atext(unsigned char c)
{
	return is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static bool
is_blank(unsigned char c)
{
	return c == ' ' || c == '\t';
}

/* Bytes of the character at `at`, 0 where it is not well-formed. */
static size_t
utf8_len(const unsigned char *at, size_t left)
{
	static const struct {
		unsigned char first, last;  /* of the leading byte */
		unsigned char low, high;    /* of the second byte */
		unsigned char len;
	} rows[] = {
		{ 0x00, 0x7f, 0x00, 0x00, 1 }, { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		if (at[0] < rows[i].first || at[0] > rows[i].last)
			continue;
		if (rows[i].len > left)
			return 0;
		if (rows[i].len > 1 && (at[1] < rows[i].low || at[1] > rows[i].high))
			return 0;
		for (size_t n = 2; n < rows[i].len; n++) {
			if ((at[n] & 0xc0) != 0x80)
				return 0;
		}
		return rows[i].len;
	}
	return 0;
}

bool
utf8_is_valid(struct slice text)
{
	for (size_t i = 0; i < text.len;) {
		size_t len = utf8_len(text.at + i, text.len - i);

		if (len == 0)
			return false;
		i += len;
	}
	return true;
}

/* atoms with single dots between them; in domains letters, digits and inner hyphens only */
static bool
is_dot_atom(struct slice text, bool domain, bool utf8)
{
	unsigned char before = '.';

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = text.at[i];
		bool known = domain ? is_alnum(c) || c == '-' : is_atext(c);

		if (c >= 0x80 && utf8)
			known = true;
		if (c == '.' && before == '.')
			return false;
		if (c != '.' && !known)
			return false;
		if (domain && ((c == '-' && before == '.') || (c == '.' && before == '-')))
			return false;
		before = c;
	}
	return before != '.' && !(domain && before == '-');
}

static bool
holds_encoded_word(struct slice text)
{
	for (size_t i = 0; i + 1 < text.len; i++) {
		if (text.at[i] == '=' && text.at[i + 1] == '?')
			return true;
	}
	return false;
}

bool
addr_spec_is_plain(struct slice text, bool utf8)
{
	const unsigned char *at = text.len ? memchr(text.at, '@', text.len) : NULL;
	struct slice local;
	struct slice domain;

	if (!at || text.len > LIMIT_ADDRESS_BYTES)
		return false;
	local = (struct slice){ text.at, (size_t)(at - text.at) };
	domain = (struct slice){ at + 1, text.len - local.len - 1 };
	if (local.len == 0 || local.len > MAX_LOCAL || domain.len == 0 || domain.len > MAX_DOMAIN)
		return false;
	/* Some readers decode "=?" even here, and so read another address. */
	if (holds_encoded_word(text) || !utf8_is_valid(text) || !characters_show(text))
		return false;
	return is_dot_atom(local, false, utf8) && is_dot_atom(domain, true, utf8);
}

static void
ambiguous(struct mailbox_facts *ret, const char *why)
{
	ret->state = MAILBOX_AMBIGUOUS;
	snprintf(ret->why, sizeof(ret->why), "%s", why);
}

/* Moves past blanks and folds. */
static size_t
skip_blanks(struct slice value, size_t i)
{
	while (i < value.len && (is_blank(value.at[i]) || value.at[i] == '\r' || value.at[i] == '\n'))
		i++;
	return i;
}

/* From the opening quote to behind the closing one; value.len + 1 where there is none. */
static size_t
skip_quoted(struct slice value, size_t i)
{
	for (i++; i < value.len; i++) {
		if (value.at[i] == '\\')
			i++;
		else if (value.at[i] == '"')
			return i + 1;
	}
	return value.len + 1;
}

/* What a character outside quotes means where only a display name or an addr-spec may stand. */
static const char *
special_why(unsigned char c)
{
	switch (c) {
	case '(':
	case ')':
		return "a comment";
	case ',':
		return "more than one mailbox";
	case ':':
	case ';':
		return "a group or a route";
	case '[':
	case ']':
		return "a domain literal";
	case '\\':
		return "a backslash outside quotes";
	case '>':
		return "a '>' without '<'";
	default:
		return NULL;
	}
}

static const char *
control_why(struct slice value)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = value.at[i];
		bool fold = c == '\r' && i + 2 < value.len && value.at[i + 1] == '\n' && is_blank(value.at[i + 2]);

		if (fold)
			i++;
		else if ((c < ' ' && c != '\t') || c == 0x7f)
			return "a control character";
	}
	return utf8_is_valid(value) ? NULL : "bytes that are no UTF-8";
}

/* Finds the '<' of an angle address; value.len where the value is a bare addr-spec. */
static const char *
find_angle(struct slice value, size_t *angle)
{
	size_t i = 0;

	while (i < value.len && value.at[i] != '<') {
		const char *why = special_why(value.at[i]);

		if (why)
			return why;
		i = value.at[i] == '"' ? skip_quoted(value, i) : i + 1;
	}
	if (i > value.len)
		return "a quote that is not closed";
	*angle = i;
	return NULL;
}

/* An '@' in an unquoted name makes some readers take the name for the address. */
static const char *
phrase_why(struct slice phrase)
{
	for (size_t i = 0; i < phrase.len;) {
		if (phrase.at[i] == '@')
			return "an '@' in an unquoted display name";
		i = phrase.at[i] == '"' ? skip_quoted(phrase, i) : i + 1;
	}
	return NULL;
}

static const char *
angle_why(struct slice value, size_t angle, struct slice *address)
{
	const unsigned char *close = memchr(value.at + angle, '>', value.len - angle);
	const char *why = phrase_why((struct slice){ value.at, angle });

	if (why)
		return why;
	if (!close)
		return "a '<' that is not closed";
	*address = (struct slice){ value.at + angle + 1, (size_t)(close - value.at) - angle - 1 };
	if (skip_blanks(value, (size_t)(close - value.at) + 1) == value.len)
		return NULL;
	why = special_why(value.at[skip_blanks(value, (size_t)(close - value.at) + 1)]);
	return why ? why : "something behind the '>'";
}

static const char *
address_why(struct slice address)
{
	if (address.len && memchr(address.at, '"', address.len))
		return "a quoted local part";
	for (size_t i = 0; i < address.len; i++) {
		const char *why = special_why(address.at[i]);

		if (why)
			return why;
	}
	return addr_spec_is_plain(address, true) ? NULL : "no plain local@domain address";
}

void
mailbox_parse(struct slice value, struct mailbox_facts *ret)
{
	struct slice trimmed = slice_trim(value);
	struct slice address = trimmed;
	const char *why = value.len > LIMIT_FROM_BYTES ? "a field over 1024 bytes" : control_why(value);
	size_t angle = 0;

	*ret = (struct mailbox_facts){ 0 };
	if (!why && trimmed.len == 0)
		why = "an empty field";
	if (!why)
		why = find_angle(trimmed, &angle);
	if (!why && angle < trimmed.len)
		why = angle_why(trimmed, angle, &address);
	if (!why)
		why = address_why(address);
	if (!why && angle < trimmed.len)
		why = name_why((struct slice){ trimmed.at, angle }, address);
	if (why) {
		ambiguous(ret, why);
		return;
	}
	ret->state = MAILBOX_ONE;
	memcpy(ret->address, address.at, address.len);
}

void
mailbox_read(const struct head *head, const char *name, struct mailbox_facts *ret)
{
	size_t count = head_count(head, name);

	*ret = (struct mailbox_facts){ 0 };
	if (count == 0) {
		ret->state = MAILBOX_NONE;
		return;
	}
	if (count > 1) {
		ambiguous(ret, "more than one such field");
		return;
	}
	mailbox_parse(head_find(head, name, 0)->value, ret);
}
