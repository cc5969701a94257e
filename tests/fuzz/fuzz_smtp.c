/* Replies of a mail server: what is read lies in what came, and is read the same from its own bytes alone. */
#include "tests/fuzz/fuzz.h"

#include "milter/preflight/smtp.h"

static void
whole_again(const uint8_t *bytes, const struct smtp_reply *reply)
{
	uint8_t *alone = malloc(reply->used); /* exactly sized */
	struct smtp_reply again;

	memcpy(alone, bytes, reply->used);
	fuzz_must(smtp_reply_parse((struct slice){ alone, reply->used }, &again) == SMTP_WHOLE && again.used == reply->used
	    && again.code == reply->code && again.n_lines == reply->n_lines, "a whole reply is whole alone");
	fuzz_must(smtp_reply_parse((struct slice){ alone, reply->used - 1 }, &again) == SMTP_PART, "without its last byte it is a part");
	(void)smtp_ehlo_has((struct slice){ alone, reply->used }, "STARTTLS");
	free(alone);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct smtp_reply reply;
	uint8_t *copy = malloc(len ? len : 1);
	enum smtp_state state;

	memcpy(copy, bytes, len);
	state = smtp_reply_parse((struct slice){ copy, len }, &reply);
	(void)smtp_ehlo_has((struct slice){ copy, len }, "AUTH");
	fuzz_must(state != SMTP_BAD || reply.why, "what is bad has a reason");
	if (state == SMTP_WHOLE) {
		fuzz_must(reply.used <= len && reply.used <= SMTP_REPLY_BYTES && reply.n_lines <= SMTP_REPLY_LINES, "bounded");
		fuzz_must(reply.code >= 200 && reply.code <= 559, "a code");
		fuzz_must(reply.first.at >= copy && reply.first.at + reply.first.len <= copy + reply.used, "the text lies in it");
		whole_again(copy, &reply);
	}
	free(copy);
	return 0;
}
