#include "smime/text.h"

#include <errno.h>
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smime/gm.h"

struct range {
	uint32_t first, last;
};

/* In order. Unicode 15: Cc, Cf, Zl, Zp, Co, Default_Ignorable_Code_Point, and blanks that are drawn as nothing (braille, fillers). */
static const struct range hidden[] = {
	{ 0x0000, 0x001f }, { 0x007f, 0x009f }, { 0x00ad, 0x00ad }, { 0x034f, 0x034f }, { 0x0600, 0x0605 }, { 0x061c, 0x061c },
	{ 0x06dd, 0x06dd }, { 0x070f, 0x070f }, { 0x0890, 0x0891 }, { 0x08e2, 0x08e2 }, { 0x115f, 0x1160 }, { 0x17b4, 0x17b5 },
	{ 0x180b, 0x180f }, { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0x2800, 0x2800 }, { 0x3164, 0x3164 },
	{ 0xe000, 0xf8ff }, { 0xfdd0, 0xfdef }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 }, { 0xfff0, 0xfffb },
	{ 0xfffe, 0xffff }, { 0x110bd, 0x110bd }, { 0x110cd, 0x110cd }, { 0x13430, 0x1343f }, { 0x1bca0, 0x1bca3 },
	{ 0x1d173, 0x1d17a }, { 0x1fffe, 0x1ffff }, { 0x2fffe, 0x2ffff }, { 0x3fffe, 0x3ffff }, { 0x4fffe, 0x4ffff },
	{ 0x5fffe, 0x5ffff }, { 0x6fffe, 0x6ffff }, { 0x7fffe, 0x7ffff }, { 0x8fffe, 0x8ffff }, { 0x9fffe, 0x9ffff },
	{ 0xafffe, 0xaffff }, { 0xbfffe, 0xbffff }, { 0xcfffe, 0xcffff }, { 0xdfffe, 0x10ffff },
};

static bool
is_hidden(uint32_t code)
{
	for (size_t i = 0; i < N_ELEMENTS(hidden) && hidden[i].first <= code; i++)
		if (code <= hidden[i].last)
			return true;
	return false;
}

/* The first character of valid UTF-8: its length, 0 where it is none. */
static size_t
decode_one(struct slice rest, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char first = rest.at[0];
	const size_t len = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;
	uint32_t code = len == 1 ? first : len ? first & (0x7fU >> len) : 0;

	if (len == 0 || len > rest.len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((rest.at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (rest.at[i] & 0x3f);
	}
	if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret = code;
	return len;
}

size_t
text_next(struct slice *rest, char ret[TEXT_SHOWN_BYTES])
{
	const unsigned char *at = rest->at;
	uint32_t code = 0;
	const size_t len = decode_one(*rest, &code), taken = len ? len : 1;

	rest->at += taken;
	rest->len -= taken;
	if (len == 0)
		return (size_t)snprintf(ret, TEXT_SHOWN_BYTES, "\\x%02X", at[0]);
	if (is_hidden(code))
		return (size_t)snprintf(ret, TEXT_SHOWN_BYTES, "\\u{%04X}", (unsigned)code);
	memcpy(ret, at, len);
	return len;
}

/* Nothing that iconv takes for an instruction ("//TRANSLIT") or a path. */
static bool
is_charset_name(const char *name)
{
	const size_t len = strlen(name);

	return len > 0 && len < 40
	    && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:+") == len;
}

static void
add_byte(struct slice *rest, struct buf *ret)
{
	buf_printf(ret, "\\x%02X", rest->at[0]);
	rest->at++;
	rest->len--;
}

bool
text_decode(struct slice bytes, const char *charset, struct buf *ret)
{
	struct slice rest = bytes;
	iconv_t converter = is_charset_name(charset) ? iconv_open("UTF-8", charset) : (iconv_t)-1;

	if (converter == (iconv_t)-1)
		return false;
	while (rest.len && !buf_full(ret)) {
		char piece[4096], *in = (char *)(uintptr_t)rest.at, *out = piece;
		size_t room = sizeof(piece);
		const size_t failed = iconv(converter, &in, &rest.len, &out, &room);
		const int why = errno;

		rest.at = (const unsigned char *)in;
		buf_add(ret, piece, sizeof(piece) - room);
		if (failed == (size_t)-1 && why != E2BIG && rest.len) {
			iconv(converter, NULL, NULL, NULL, NULL);
			add_byte(&rest, ret);
		}
	}
	iconv_close(converter);
	return true;
}

static const char *const common[] = {
	"UTF-8", "US-ASCII", "ISO-8859-1", "ISO-8859-2", "ISO-8859-5", "ISO-8859-6", "ISO-8859-9", "ISO-8859-15", "WINDOWS-1250",
	"WINDOWS-1251", "WINDOWS-1252", "WINDOWS-1254", "WINDOWS-1256", "WINDOWS-1258", "KOI8-R", "UTF-16", "UTF-16LE", "UTF-16BE",
	"UTF-32", "UTF-7", "GB2312", "GBK", "GB18030", "BIG5", "ISO-2022-JP", "SHIFT_JIS", "EUC-JP", "EUC-KR", "ISO-2022-KR", "TIS-620",
};

struct text_charsets {
	iconv_t open[N_ELEMENTS(common)];
};

struct text_charsets *
text_prepare(void)
{
	static const char warm[] = "=?ISO-8859-1?Q?a?=";
	struct text_charsets *ret = xcalloc(1, sizeof(*ret));

	for (size_t i = 0; i < N_ELEMENTS(common); i++)
		ret->open[i] = iconv_open("UTF-8", common[i]);
	gm_free(gm_decoded_text(slice_of(warm))); /* GMime's own tables, and what GLib reads of the locale */
	return ret;
}

void
text_charsets_free(struct text_charsets *charsets)
{
	if (!charsets)
		return;
	for (size_t i = 0; i < N_ELEMENTS(common); i++)
		if (charsets->open[i] != (iconv_t)-1)
			iconv_close(charsets->open[i]);
	free(charsets);
}
