/* The receiving side of segel-split: whatever comes, in pieces of any size, a message it takes is lines with CRLF and nothing else. */
#include "milter/split/intake.h"
#include "tests/fuzz/fuzz.h"

enum { MESSAGE_BYTES = 4096 };

static void
check(const struct letter *letter)
{
	const struct slice bytes = buf_slice(&letter->bytes);

	fuzz_must(*letter->recipient, "a letter has a recipient");
	fuzz_must(bytes.len <= MESSAGE_BYTES, "a letter is not too large");
	for (size_t i = 0; i < bytes.len; i++) {
		fuzz_must(bytes.at[i], "no NUL");
		fuzz_must(bytes.at[i] != '\n' || (i && bytes.at[i - 1] == '\r'), "no bare LF");
		fuzz_must(bytes.at[i] != '\r' || (i + 1 < bytes.len && bytes.at[i + 1] == '\n'), "no bare CR");
	}
}

static void
feed_all(const uint8_t *bytes, size_t len, size_t step)
{
	AUTO(intake_free) struct intake *intake = intake_new("fuzz.example", MESSAGE_BYTES);
	AUTO_REPLY struct reply reply = { .lines = { 0 } };
	enum intake_state state = INTAKE_READS;

	reply_set(&reply, 250, "2.0.0", "Taken");
	for (size_t at = 0; at < len && state == INTAKE_READS; at += step) {
		state = intake_take(intake, (struct slice){ bytes + at, len - at < step ? len - at : step });
		if (state == INTAKE_LETTER) {
			check(intake_letter(intake));
			state = intake_answer(intake, &reply);
		}
		intake_out(intake)->len = 0;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	feed_all(bytes, len, 1);
	feed_all(bytes, len, 7);
	feed_all(bytes, len, len ? len : 1);
	return 0;
}
