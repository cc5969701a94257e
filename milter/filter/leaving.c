#include "milter/filter/leaving.h"

#include <string.h>

#include "milter/ciphertext.h"

/*
 * '%' and '!' count as ambiguous, whatever this mail server makes of them: it may be the last that looks, and the next hop
 * could read another domain in them (as in milter/split/transform.c).
 */
static void
gather_strictly(const struct recipients_from *asked, const struct leaving_from *from, struct recipients *ret)
{
	AUTO(xfree) struct recipients_told *told = xcalloc(from->n_told, sizeof(*told));

	for (size_t i = 0; i < from->n_told; i++) {
		told[i] = from->told[i];
		if (strpbrk(told[i].argument, "%!"))
			told[i].resolved = NULL;
	}
	recipients_gather(asked, told, from->n_told, ret);
}

void
leaving_gather(const struct leaving_from *from, struct leaving *ret)
{
	const struct recipients_from asked = {
		.config = from->config,
		.registry = from->registry,
		.sender = from->facts->from.address,
		.without_certs = true,
		.now = from->now,
	};

	*ret = (struct leaving){ .ciphertext = CIPHERTEXT_UNKNOWN };
	/* What is beyond a limit is refused for that; reading more of it is what the limit is against. */
	if (!*from->facts->limit)
		ret->ciphertext = ciphertext_of(from->bytes, from->facts);
	if (from->told && from->n_told)
		gather_strictly(&asked, from, &ret->recipients);
}

void
leaving_tell(const struct leaving *leaving, struct policy_input *input)
{
	input->ciphertext = leaving->ciphertext;
	input->rcpts = leaving->recipients.at;
	input->n_rcpts = leaving->recipients.n;
}

void
leaving_done(struct leaving *leaving)
{
	recipients_done(&leaving->recipients);
	*leaving = (struct leaving){ .ciphertext = CIPHERTEXT_UNKNOWN };
}
