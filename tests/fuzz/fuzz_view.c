/* The text of a held message that reviewers look at: whatever is in the message, the text is safe to show. */
#include "tests/fuzz/fuzz.h"

#include "milter/reviewd/view.h"

/* Written from the standards, not from the code: C0, C1, bidirectional, invisible, separators. */
static bool
may_be_shown(uint32_t code)
{
	if (code < 0x20)
		return code == '\n' || code == '\t';
	if (code >= 0x7f && code <= 0x9f)
		return false;
	if (code == 0x61c || code == 0x200e || code == 0x200f || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069))
		return false;
	if (code == 0xad || code == 0x34f || (code >= 0x200b && code <= 0x200d) || (code >= 0x2060 && code <= 0x2064) || code == 0xfeff)
		return false;
	if (code == 0x2028 || code == 0x2029 || code == 0x3164 || code == 0xffa0 || (code >= 0xfe00 && code <= 0xfe0f))
		return false;
	return code < 0xe0000 && !(code >= 0xd800 && code <= 0xf8ff);
}

/* Strict UTF-8, one character; 0 = not valid. */
static size_t
one(const unsigned char *at, size_t len, uint32_t *code)
{
	if (at[0] < 0x80) {
		*code = at[0];
		return 1;
	}
	if (at[0] >= 0xc2 && at[0] <= 0xdf && len >= 2 && at[1] >> 6 == 2) {
		*code = (at[0] & 31U) << 6 | (at[1] & 63U);
		return 2;
	}
	if (at[0] >= 0xe0 && at[0] <= 0xef && len >= 3 && at[1] >> 6 == 2 && at[2] >> 6 == 2) {
		*code = (at[0] & 15U) << 12 | (at[1] & 63U) << 6 | (at[2] & 63U);
		return *code >= 0x800 ? 3 : 0;
	}
	if (at[0] >= 0xf0 && at[0] <= 0xf4 && len >= 4 && at[1] >> 6 == 2 && at[2] >> 6 == 2 && at[3] >> 6 == 2) {
		*code = (at[0] & 7U) << 18 | (at[1] & 63U) << 12 | (at[2] & 63U) << 6 | (at[3] & 63U);
		return *code >= 0x10000 && *code <= 0x10ffff ? 4 : 0;
	}
	return 0;
}

static void
look(struct slice message, size_t cap)
{
	AUTO_BUF struct buf text = { 0 };
	size_t at = 0;

	buf_init(&text, cap);
	view_message(message, &text);
	fuzz_must(text.len <= cap && !buf_full(&text), "the text stays within its cap");
	while (at < text.len) {
		uint32_t code = 0;
		size_t len = one(text.at + at, text.len - at, &code);

		fuzz_must(len > 0, "the text is valid UTF-8");
		fuzz_must(may_be_shown(code), "the text holds nothing that hides or moves");
		at += len;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const size_t cap = len ? 1 + bytes[0] * (size_t)64 : 0;

	look((struct slice){ bytes, len }, 256 * 1024);
	look((struct slice){ bytes, len }, cap);
	return 0;
}
