/* Lines of a mail log: taken apart, and put together. */
#include "tests/fuzz/fuzz.h"

#include "milter/ctl/tally.h"

static bool
is_within(struct slice slice, const uint8_t *bytes, size_t len)
{
	return slice.len == 0 || (slice.at >= bytes && slice.len <= len && (size_t)(slice.at - bytes) <= len - slice.len);
}

static void
check_line(const uint8_t *bytes, size_t len)
{
	struct maillog_line line;

	maillog_parse((struct slice){ bytes, len }, &line);
	fuzz_must(is_within(line.peer, bytes, len) && is_within(line.domain, bytes, len) && is_within(line.reason, bytes, len)
	    && is_within(line.cipher, bytes, len) && is_within(line.queue_id, bytes, len) && is_within(line.stamp, bytes, len),
	    "every piece lies in the line");
	fuzz_must(line.kind != MAILLOG_DELIVERY || (line.queue_id.len && line.peer.len), "a delivery has a message and a relay");
	fuzz_must(!line.for_tls || line.status != MAILLOG_SENT, "what was sent was not put off");
	fuzz_must(line.kind != MAILLOG_TLS || (line.level != LOGGED_LEVEL_UNKNOWN && line.cipher.len), "a session has a level and a cipher");
}

static void
check_row(void *ctx, const struct tally_row *row)
{
	uint64_t *all = ctx;

	fuzz_must(row->figures.all == row->figures.tls + row->figures.clear + row->figures.unknown, "a row adds up");
	*all += row->figures.all;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const struct tally_options options = { .now = 1795237200 };
	struct tally *tally = tally_new(&options);
	uint64_t all = 0;

	for (size_t at = 0; at < len;) {
		const uint8_t *end = memchr(bytes + at, '\n', len - at);
		const size_t n = end ? (size_t)(end - bytes) - at : len - at;
		uint8_t *line = malloc(n ? n : 1); /* exactly sized */

		memcpy(line, bytes + at, n);
		check_line(line, n);
		tally_line(tally, (struct slice){ line, n });
		free(line);
		at += n + 1;
	}
	tally_each_domain(tally, check_row, &all);
	fuzz_must(all == tally_total(tally)->all, "the rows add up to the whole");
	tally_free(tally);
	return 0;
}
