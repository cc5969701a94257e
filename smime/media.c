#include "smime/media.h"

#include <string.h>
#include <strings.h>

/* Where we are in a value. */
struct cursor {
	struct slice value;
	size_t at;
};

/* One parameter as it stands in the value. */
struct param {
	struct slice name;
	struct slice text; /* of a quoted string: without the quotes, pairs not undone */
	bool pair;         /* a quoted pair is among it */
	size_t from;       /* the ';', with the blanks before it */
	size_t end;
};

static bool
is_space(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* RFC 2045 5.1: printable ASCII without the special characters */
static bool
is_token(unsigned char c)
{
	return c > ' ' && c < 0x7f && !strchr("()<>@,;:\\\"/[]?=", c);
}

/* Without quotes many mailers write these too ("boundary=----=_Part_1"), and all readers understand. */
static bool
is_value(unsigned char c)
{
	return is_token(c) || (c && strchr("=/?:@[]", c));
}

static int
peek(const struct cursor *cursor)
{
	return cursor->at < cursor->value.len ? cursor->value.at[cursor->at] : -1;
}

static void
skip_space(struct cursor *cursor)
{
	while (cursor->at < cursor->value.len && is_space(cursor->value.at[cursor->at]))
		cursor->at++;
}

static struct slice
take_while(struct cursor *cursor, bool (*is_part)(unsigned char c))
{
	struct slice word = { cursor->value.at + cursor->at, 0 };

	while (cursor->at < cursor->value.len && is_part(cursor->value.at[cursor->at])) {
		cursor->at++;
		word.len++;
	}
	return word;
}

static struct slice
take_token(struct cursor *cursor)
{
	return take_while(cursor, is_token);
}

static bool
take_quoted(struct cursor *cursor, struct param *param)
{
	size_t from = ++cursor->at;

	for (; cursor->at < cursor->value.len; cursor->at++) {
		unsigned char c = cursor->value.at[cursor->at];

		if (c == '\\') {
			param->pair = true;
			cursor->at++;
		} else if (c == '"') {
			param->text = (struct slice){ cursor->value.at + from, cursor->at - from };
			cursor->at++;
			return true;
		}
	}
	return false;
}

/* `ret` holds MEDIA_TOKEN_BYTES + 1. Longer text is cut: such a word is none we know. */
static void
lower(struct slice text, char *ret)
{
	size_t len = text.len < MEDIA_TOKEN_BYTES ? text.len : MEDIA_TOKEN_BYTES;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = text.at[i];

		ret[i] = (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
	}
	ret[len] = '\0';
}

static struct slice
last_bytes(struct slice text, size_t len)
{
	if (text.len <= len)
		return text;
	return (struct slice){ text.at + text.len - len, len };
}

static bool
take_param(struct cursor *cursor, struct param *ret)
{
	skip_space(cursor);
	ret->name = take_token(cursor);
	skip_space(cursor);
	if (ret->name.len == 0 || peek(cursor) != '=')
		return false;
	cursor->at++;
	skip_space(cursor);
	if (peek(cursor) == '"') {
		if (!take_quoted(cursor, ret))
			return false;
	} else {
		ret->text = take_while(cursor, is_value);
		if (ret->text.len == 0)
			return false;
	}
	ret->end = cursor->at;
	skip_space(cursor);
	return peek(cursor) == -1 || peek(cursor) == ';';
}

/* RFC 2046 5.1.1 allows fewer characters; these are what readers agree on. */
static const char *
boundary_why(const struct param *param)
{
	struct slice text = param->text;

	if (param->pair)
		return "a quoted pair in a boundary";
	if (text.len == 0)
		return "an empty boundary";
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < ' ' || text.at[i] >= 0x7f)
			return "a boundary with a character that none may have";
	}
	return text.at[text.len - 1] == ' ' ? "a boundary that ends in a blank" : NULL;
}

static void
set_boundary(const struct param *param, struct media *media)
{
	if (media->boundary[0])
		media->why = "two boundary parameters";
	if (param->text.len > LIMIT_BOUNDARY_BYTES)
		media->limit = "boundary_bytes";
	if (!media->why)
		media->why = boundary_why(param);
	if (!media->why && !media->limit)
		memcpy(media->boundary, param->text.at, param->text.len);
}

/* Set once; a second one is ambiguous. */
static void
set_word(const struct param *param, char *word, struct media *media)
{
	if (word[0])
		media->why = "a doubled Content-Type parameter";
	lower(param->text, word);
}

static bool
is_continued(struct slice name, const char *base)
{
	size_t len = strlen(base);

	return name.len > len && name.at[len] == '*' && strncasecmp((const char *)name.at, base, len) == 0;
}

static void
set_hp(const struct param *param, struct media *media)
{
	if (media->hp_end)
		media->why = "two hp parameters";
	media->hp_from = param->from;
	media->hp_end = param->end;
}

static void
set_param(const struct param *param, struct media *media)
{
	struct param name = *param;

	name.text = last_bytes(param->text, MEDIA_TOKEN_BYTES);
	if (slice_equal_nocase(param->name, "boundary"))
		set_boundary(param, media);
	else if (slice_equal_nocase(param->name, "protocol"))
		set_word(param, media->protocol, media);
	else if (slice_equal_nocase(param->name, "smime-type"))
		set_word(param, media->smime_type, media);
	else if (slice_equal_nocase(param->name, "hp"))
		set_hp(param, media);
	else if (slice_equal_nocase(param->name, "charset"))
		media->has_charset = true;
	else if (slice_equal_nocase(param->name, "name"))
		lower(name.text, media->name);
	else if (is_continued(param->name, "boundary") || is_continued(param->name, "protocol")
	    || is_continued(param->name, "smime-type") || is_continued(param->name, "hp"))
		media->why = "an RFC 2231 parameter that structure depends on";
}

/* Words whose meaning we act upon; a tail we cannot read must not hide one. */
static bool
names_acted_upon(struct slice tail)
{
	static const char *const words[] = { "boundary", "protocol", "smime-type", "hp" };

	for (size_t i = 0; i < tail.len; i++) {
		for (size_t w = 0; w < N_ELEMENTS(words); w++) {
			size_t len = strlen(words[w]);

			if (tail.len - i > len && strncasecmp((const char *)tail.at + i, words[w], len) == 0
			    && (tail.at[i + len] == '=' || tail.at[i + len] == '*' || is_space(tail.at[i + len])))
				return true;
		}
	}
	return false;
}

static void
odd_tail(struct slice tail, struct media *media)
{
	if (strcmp(media->type, "multipart") == 0)
		media->why = "Content-Type parameters that cannot be read";
	else if (names_acted_upon(tail))
		media->why = "a Content-Type parameter in a part of the field that cannot be read";
}

static void
read_params(struct cursor *cursor, struct media *media)
{
	while (!media->why) {
		size_t from = cursor->at;
		struct param param = { .from = from };

		skip_space(cursor);
		if (peek(cursor) == -1)
			return;
		if (peek(cursor) != ';') {
			odd_tail((struct slice){ cursor->value.at + from, cursor->value.len - from }, media);
			return;
		}
		cursor->at++;
		skip_space(cursor);
		if (peek(cursor) == -1)
			return; /* a ';' at the end: common and harmless */
		if (!take_param(cursor, &param)) {
			odd_tail((struct slice){ cursor->value.at + from, cursor->value.len - from }, media);
			return;
		}
		cursor->at = param.end;
		set_param(&param, media);
	}
}

void
media_parse(struct slice value, struct media *ret)
{
	struct cursor cursor = { .value = value };
	struct slice type;
	struct slice subtype;

	*ret = (struct media){ 0 };
	skip_space(&cursor);
	type = take_token(&cursor);
	if (type.len == 0 || peek(&cursor) != '/') {
		ret->why = "a Content-Type that is no type/subtype";
		return;
	}
	cursor.at++;
	subtype = take_token(&cursor);
	if (subtype.len == 0 || type.len > MEDIA_TOKEN_BYTES || subtype.len > MEDIA_TOKEN_BYTES) {
		ret->why = "a Content-Type that is no type/subtype";
		return;
	}
	lower(type, ret->type);
	lower(subtype, ret->subtype);
	ret->type_end = cursor.at;
	read_params(&cursor, ret);
	if (!ret->why && !ret->limit && strcmp(ret->type, "multipart") == 0 && !ret->boundary[0])
		ret->why = "a multipart without boundary";
}

void
media_default(bool in_digest, struct media *ret)
{
	*ret = (struct media){ 0 };
	lower(slice_of(in_digest ? "message" : "text"), ret->type);
	lower(slice_of(in_digest ? "rfc822" : "plain"), ret->subtype);
}

bool
media_is(const struct media *media, const char *type, const char *subtype)
{
	return strcmp(media->type, type) == 0 && (!subtype || strcmp(media->subtype, subtype) == 0);
}

static const char *const cte_names[] = {
	[CTE_UNKNOWN] = "unknown",
	[CTE_7BIT] = "7bit",
	[CTE_8BIT] = "8bit",
	[CTE_BINARY] = "binary",
	[CTE_QP] = "quoted-printable",
	[CTE_BASE64] = "base64",
};

enum cte
cte_parse(struct slice value)
{
	struct slice word = slice_trim(value);

	for (size_t i = CTE_UNKNOWN + 1; i < N_ELEMENTS(cte_names); i++) {
		if (slice_equal_nocase(word, cte_names[i]))
			return (enum cte)i;
	}
	return CTE_UNKNOWN;
}

const char *
cte_name(enum cte cte)
{
	return cte_names[cte];
}
