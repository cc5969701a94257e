/* Both sides of the key agent's protocol; what is understood says the same when it is written again. */
#include "tests/fuzz/fuzz.h"

#include "milter/keyd/wire.h"

static void
request_again(const struct wire_request *request, struct slice frame)
{
	AUTO_BUF struct buf again = { 0 };
	struct err err;

	buf_init(&again, WIRE_LENGTH_BYTES + WIRE_FRAME_BYTES);
	fuzz_must(wire_request_render(request, &again, &err) == 0, "a request that was read can be written");
	fuzz_must(again.len == frame.len + WIRE_LENGTH_BYTES && memcmp(again.at + WIRE_LENGTH_BYTES, frame.at, frame.len) == 0,
	    "and is the same");
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const struct slice frame = { bytes, len };
	struct wire_request request;
	struct wire_answer answer;
	struct err err;
	size_t frame_len;

	if (len >= WIRE_LENGTH_BYTES && wire_frame_len(bytes, &frame_len, &err) == 0)
		fuzz_must(frame_len > 0 && frame_len <= WIRE_FRAME_BYTES, "a frame's length is bounded");
	if (wire_request_parse(frame, &request, &err) == 0)
		request_again(&request, frame);
	if (wire_answer_parse(frame, &answer, &err) == 0)
		fuzz_must(answer.payload.len <= len, "the payload lies in the frame");
	return 0;
}
