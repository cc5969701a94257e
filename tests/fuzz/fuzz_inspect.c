/* The MIME scanner and everything that reads a message behind it. */
#include "tests/fuzz/fuzz.h"

#include "smime/inspect.h"
#include "smime/part.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	const struct slice message = { bytes, len };
	AUTO_TREE struct part_tree tree = { 0 };
	struct message_facts facts = { 0 };
	struct err err;

	part_scan(message, &tree);
	for (size_t i = 0; i < tree.n_parts && !tree.limit; i++) {
		const struct part *part = &tree.parts[i];

		fuzz_must(part->start <= part->body && part->body <= part->end && part->end <= len, "parts lie in the message");
		fuzz_must(part->parent == NO_PARENT ? i == 0 : part->parent < i, "parents come before children");
		/* An entity that is all head ends where its boundary begins, two bytes behind what is around it. */
		fuzz_must(i == 0 || part->body == part->end || part->end <= tree.parts[part->parent].end,
		    "children lie in their parents");
	}
	fuzz_must(smime_inspect(message, &facts, &err) == 0, "bytes alone are never an error");
	fuzz_must(facts.size == len, "facts are about these bytes");
	fuzz_must(facts.mime != MIME_CLEAR || (!tree.why && !tree.limit), "what the scanner doubts is not clear");
	return 0;
}
