#include "milter/tlspol/protocol.h"

#include <stdio.h>
#include <string.h>

enum { LENGTH_DIGITS = 6 };

static bool
is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

static enum netstring_state
bad(struct netstring *ret, const char *why)
{
	*ret = (struct netstring){ .why = why };
	return NETSTRING_BAD;
}

/* "12:": no sign, no blank, no zero in front; `*at` is what it took. */
static enum netstring_state
length_parse(struct slice bytes, size_t most, size_t *at, size_t *len, struct netstring *ret)
{
	*len = 0;
	for (*at = 0; *at < bytes.len && is_digit(bytes.at[*at]); ++*at) {
		if (*at == LENGTH_DIGITS)
			return bad(ret, "its length has too many digits");
		*len = *len * 10 + (size_t)(bytes.at[*at] - '0');
	}
	if (*at > 1 && bytes.at[0] == '0')
		return bad(ret, "its length begins with a zero");
	if (*len > most)
		return bad(ret, "it is longer than may be");
	if (*at == bytes.len)
		return NETSTRING_PART;
	if (*at == 0 || bytes.at[*at] != ':')
		return bad(ret, "it does not begin with a length and a colon");
	++*at;
	return NETSTRING_WHOLE;
}

enum netstring_state
netstring_parse(struct slice bytes, size_t most, struct netstring *ret)
{
	size_t at, len;
	enum netstring_state state = length_parse(bytes, most, &at, &len, ret);

	if (state != NETSTRING_WHOLE)
		return state;
	if (bytes.len - at <= len)
		return NETSTRING_PART;
	if (bytes.at[at + len] != ',')
		return bad(ret, "no comma stands where its length says that it ends");
	*ret = (struct netstring){ .payload = { bytes.at + at, len }, .used = at + len + 1 };
	return NETSTRING_WHOLE;
}

static enum request_state
bad_request(struct request *ret, const char *why)
{
	ret->why = why;
	return REQUEST_BAD;
}

enum request_state
request_parse(struct slice payload, const char *map, struct request *ret)
{
	const size_t map_len = strlen(map);
	const unsigned char *blank = payload.len ? memchr(payload.at, ' ', payload.len) : NULL;
	size_t name_len, key_len;

	for (size_t i = 0; i < payload.len; i++)
		if (payload.at[i] < ' ' || payload.at[i] == 0x7f)
			return bad_request(ret, "it holds a control character");
	if (!blank)
		return bad_request(ret, "it holds no blank between map and key");
	name_len = (size_t)(blank - payload.at);
	key_len = payload.len - name_len - 1;
	if (key_len == 0 || key_len > REQUEST_BYTES)
		return bad_request(ret, "its key is empty");
	if (name_len != map_len || memcmp(payload.at, map, map_len) != 0)
		return REQUEST_FOR_OTHER_MAP;
	memcpy(ret->key, blank + 1, key_len);
	ret->key[key_len] = '\0';
	return REQUEST_GOOD;
}

void
reply_render(const char *word, const char *text, struct buf *ret)
{
	char payload[REPLY_BYTES - 8];
	int len = snprintf(payload, sizeof(payload), "%s %s", word, text);

	if (len < 0)
		return;
	if ((size_t)len >= sizeof(payload))
		len = (int)sizeof(payload) - 1;
	for (int i = 0; i < len; i++)
		if ((unsigned char)payload[i] < ' ' || payload[i] == 0x7f)
			payload[i] = '?';
	buf_printf(ret, "%d:", len);
	buf_add(ret, payload, (size_t)len);
	buf_add_text(ret, ",");
}
