#include "smime/words.h"

#include <string.h>

#include "smime/gm.h"

/* Length of the UTF-8 character at `at`; 0 = it is none (RFC 3629 4). */
static size_t
character(const unsigned char *at, size_t len)
{
	static const struct {
		unsigned char first, last, least, most; /* of the first byte, and of the second */
		size_t len;
	} forms[] = {
		{ 0x01, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < N_ELEMENTS(forms); i++) {
		if (at[0] < forms[i].first || at[0] > forms[i].last)
			continue;
		if (len < forms[i].len || (forms[i].len > 1 && (at[1] < forms[i].least || at[1] > forms[i].most)))
			return 0;
		for (size_t j = 2; j < forms[i].len; j++)
			if ((at[j] & 0xc0) != 0x80)
				return 0;
		return forms[i].len;
	}
	return 0;
}

bool
words_are_utf8(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t left = strlen(text);

	while (left > 0) {
		const size_t n = character(at, left);

		if (n == 0)
			return false;
		at += n;
		left -= n;
	}
	return true;
}

void
words_decode(struct slice value, char *ret, size_t room)
{
	static const char odd[] = "\xef\xbf\xbd";
	char *decoded = gm_decoded_text(value);
	const unsigned char *at = (const unsigned char *)decoded;
	size_t left = strlen(decoded), len = 0;

	while (left > 0) {
		const size_t n = character(at, left), take = n ? n : sizeof(odd) - 1, step = n ? n : 1;

		if (len + take >= room)
			break;
		memcpy(ret + len, n ? (const char *)at : odd, take);
		len += take;
		at += step;
		left -= step;
	}
	ret[len] = '\0';
	gm_free(decoded);
}
