#include "smime/name.h"

#include <glib.h>
#include <string.h>
#include <strings.h>

#include "smime/limits.h"

/* In these, a byte below 0x80 is the ASCII character, whatever stands around it. */
static bool
is_ascii_compatible(struct slice charset)
{
	static const char *const prefixes[] = { "utf-8", "us-ascii", "iso-8859-", "windows-125", "koi8-", "ascii" };

	for (size_t i = 0; i < N_ELEMENTS(prefixes); i++)
		if (charset.len >= strlen(prefixes[i]) && strncasecmp((const char *)charset.at, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

/* "=?charset?B?text?=" cut open. */
struct word {
	struct slice charset;
	char encoding;
	struct slice text;
	size_t len; /* of the whole */
};

static struct slice
up_to(struct slice from, const char *mark)
{
	const unsigned char *end = memmem(from.at, from.len, mark, strlen(mark));

	return (struct slice){ from.at, end ? (size_t)(end - from.at) : 0 };
}

static bool
cut_word(struct slice at, struct word *ret)
{
	struct slice rest = at;

	if (rest.len < 2 || memcmp(rest.at, "=?", 2) != 0)
		return false;
	rest = (struct slice){ rest.at + 2, rest.len - 2 };
	ret->charset = up_to(rest, "?");
	if (ret->charset.len == 0 || rest.len < ret->charset.len + 3 || rest.at[ret->charset.len + 2] != '?')
		return false;
	ret->encoding = (char)(rest.at[ret->charset.len + 1] | 0x20);
	rest = (struct slice){ rest.at + ret->charset.len + 3, rest.len - ret->charset.len - 3 };
	ret->text = up_to(rest, "?=");
	ret->len = (size_t)(ret->text.at - at.at) + ret->text.len + 2;
	return (ret->encoding == 'b' || ret->encoding == 'q') && memmem(rest.at, rest.len, "?=", 2) != NULL;
}

static void
undo_base64(struct slice text, struct buf *ret)
{
	char *copy = slice_dup(text);
	gsize len = 0;
	guchar *bytes = g_base64_decode(copy, &len);

	buf_add(ret, bytes, len);
	g_free(bytes);
	xfree(copy);
}

static void
undo_q(struct slice text, struct buf *ret)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = text.at[i] == '_' ? ' ' : text.at[i];

		if (byte == '=' && i + 2 < text.len && g_ascii_isxdigit((char)text.at[i + 1]) && g_ascii_isxdigit((char)text.at[i + 2])) {
			byte = (unsigned char)(g_ascii_xdigit_value((char)text.at[i + 1]) << 4 | g_ascii_xdigit_value((char)text.at[i + 2]));
			i += 2;
		}
		buf_add(ret, &byte, 1);
	}
}

/* What no display name needs, and what makes it read as something else. */
static const char *
bytes_why(struct slice text, bool encoded)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < ' ' && (encoded || !strchr("\t\r\n", text.at[i]) || text.at[i] == '\0'))
			return "a control character in the display name";
		if (text.at[i] == 0x7f)
			return "a control character in the display name";
		if (encoded && (text.at[i] == '<' || text.at[i] == '>'))
			return "an angle bracket in an encoded display name";
	}
	return NULL;
}

/* U+200C and U+200D join letters in several scripts and emoji; all other format characters hide or turn text. */
static bool
is_invisible(gunichar c)
{
	const GUnicodeType type = g_unichar_type(c);

	if (type == G_UNICODE_FORMAT)
		return c != 0x200c && c != 0x200d;
	return type == G_UNICODE_LINE_SEPARATOR || type == G_UNICODE_PARAGRAPH_SEPARATOR || (type == G_UNICODE_CONTROL && c >= 0x80);
}

static bool
is_at(gunichar c)
{
	return c == '@' || c == 0xff20 || c == 0xfe6b;
}

/* The shown text once more, character by character. */
static const char *
characters_why(struct slice text, bool *has_at)
{
	const char *end;

	if (text.len == 0) /* then there may be no bytes at all, and no end to compute */
		return NULL;
	end = (const char *)text.at + text.len;
	if (!g_utf8_validate_len((const char *)text.at, text.len, NULL)) {
		/* Another character set; its ASCII half was looked at, and '@' is in it. */
		*has_at = *has_at || memchr(text.at, '@', text.len);
		return NULL;
	}
	for (const char *at = (const char *)text.at; at < end; at = g_utf8_next_char(at)) {
		gunichar c = g_utf8_get_char(at);

		if (is_invisible(c))
			return "an invisible or direction-changing character in the display name";
		*has_at = *has_at || is_at(c);
	}
	return NULL;
}

static void
undo_word(const struct word *word, struct buf *shown)
{
	if (word->encoding == 'b')
		undo_base64(word->text, shown);
	else
		undo_q(word->text, shown);
}

static const char *
add_word(const struct word *word, struct buf *shown)
{
	const size_t before = shown->len;

	if (!is_ascii_compatible(word->charset))
		return "an encoded word in a character set that cannot be checked";
	undo_word(word, shown);
	return bytes_why((struct slice){ shown->at ? shown->at + before : NULL, shown->len - before }, true);
}

/* The name as a reader shows it; quotes and backslashes undone. */
static const char *
show(struct slice phrase, struct buf *shown)
{
	const char *why = bytes_why(phrase, false);

	for (size_t i = 0; !why && i < phrase.len;) {
		struct word word = { .len = 0 };

		if (cut_word((struct slice){ phrase.at + i, phrase.len - i }, &word)) {
			why = add_word(&word, shown);
			i += word.len;
			continue;
		}
		if (phrase.at[i] == '\\' && i + 1 < phrase.len)
			i++;
		else if (phrase.at[i] == '"') {
			i++;
			continue;
		}
		buf_add(shown, phrase.at + i, 1);
		i++;
	}
	return why;
}

/* Decoders disagree about what they do without padding, behind it, and with other characters. */
static bool
is_strict_base64(struct slice text)
{
	size_t n_padding = 0;

	for (size_t i = 0; i < text.len; i++) {
		n_padding += text.at[i] == '=';
		if (text.at[i] != '=' && (n_padding > 0 || !(g_ascii_isalnum((char)text.at[i]) || text.at[i] == '+' || text.at[i] == '/')))
			return false;
	}
	return text.len % 4 == 0 && n_padding <= 2;
}

static bool
is_strict_q(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] <= ' ' || text.at[i] >= 0x7f)
			return false;
		if (text.at[i] == '=' && (i + 2 >= text.len || !g_ascii_isxdigit((char)text.at[i + 1]) || !g_ascii_isxdigit((char)text.at[i + 2])))
			return false;
	}
	return true;
}

static bool
is_plain_text(struct slice text, bool utf8)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < ' ' || text.at[i] == 0x7f)
			return false;
	}
	return !utf8 || text.len == 0 || g_utf8_validate_len((const char *)text.at, text.len, NULL);
}

static bool
word_reads_alike(const struct word *word)
{
	const bool utf8 = word->charset.len >= 5 && strncasecmp((const char *)word->charset.at, "utf-8", 5) == 0;
	AUTO_BUF struct buf shown = { 0 };

	if (!is_ascii_compatible(word->charset) || !(word->encoding == 'b' ? is_strict_base64(word->text) : is_strict_q(word->text)))
		return false;
	buf_init(&shown, word->text.len);
	undo_word(word, &shown);
	return is_plain_text(buf_slice(&shown), utf8);
}

bool
words_read_alike(struct slice value)
{
	for (size_t i = 0; i + 1 < value.len; i++) {
		struct word word = { .len = 0 };

		if (memcmp(value.at + i, "=?", 2) != 0)
			continue;
		if (!cut_word((struct slice){ value.at + i, value.len - i }, &word) || !word_reads_alike(&word))
			return false;
		i += word.len - 1;
	}
	return value.len == 0 || g_utf8_validate_len((const char *)value.at, value.len, NULL);
}

static bool
is_same(struct slice shown, struct slice address)
{
	shown = slice_trim(shown);
	/* Some programs put the address into single quotes of their own. */
	if (shown.len >= 2 && shown.at[0] == '\'' && shown.at[shown.len - 1] == '\'')
		shown = (struct slice){ shown.at + 1, shown.len - 2 };
	return shown.len == address.len && strncasecmp((const char *)shown.at, (const char *)address.at, shown.len) == 0;
}

const char *
name_why(struct slice phrase, struct slice address)
{
	AUTO_BUF struct buf shown = { 0 };
	bool has_at = false;
	const char *why;

	buf_init(&shown, LIMIT_FROM_BYTES);
	why = show(phrase, &shown);
	if (!why)
		why = characters_why(buf_slice(&shown), &has_at);
	if (!why && has_at && !is_same(buf_slice(&shown), address))
		why = "a display name that shows another address";
	return why;
}

bool
characters_show(struct slice text)
{
	const char *end = (const char *)text.at + text.len;

	for (const char *at = (const char *)text.at; at < end; at = g_utf8_next_char(at)) {
		gunichar c = g_utf8_get_char(at);

		if (!g_unichar_isgraph(c) || is_at(c) != (c == '@') || g_unichar_type(c) == G_UNICODE_PRIVATE_USE)
			return false;
	}
	return true;
}
