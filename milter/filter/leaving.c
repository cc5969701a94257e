#include "milter/filter/leaving.h"

#include "milter/ciphertext.h"

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
		recipients_gather(&asked, from->told, from->n_told, &ret->recipients);
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
