#include "milter/filter/gather.h"

#include <stdio.h>
#include <string.h>

#include "smime/inspect.h"

/* May this login speak for these addresses? The null sender speaks for nobody. Mostly all are one address: asked once. */
static void
ask_login(struct registry *registry, const char *login, const struct message_facts *message,
    const struct envelope_facts *envelope, time_t now, struct registry_facts *ret)
{
	const char *from = message->from.address;

	ret->owns_from = registry_login(registry, login, from, now);
	if (!*envelope->sender)
		ret->owns_envelope = LOGIN_OWNS;
	else if (strcmp(envelope->sender, from) == 0)
		ret->owns_envelope = ret->owns_from;
	else
		ret->owns_envelope = registry_login(registry, login, envelope->sender, now);
	if (message->sender.state != MAILBOX_ONE)
		return;
	if (strcmp(message->sender.address, from) == 0)
		ret->owns_sender = ret->owns_from;
	else
		ret->owns_sender = registry_login(registry, login, message->sender.address, now);
}

/* The row's hashes must be those of the certificate it holds. */
static const struct prepared *
open_certificate(struct prepared_set *set, const struct registry_cert *row)
{
	AUTO(prepared_unref) const struct prepared *opened = NULL;
	const struct cert_facts *facts;

	if (!row->der || prepared_get(set, (struct slice){ row->der, row->der_len }, &opened, NULL) == -1)
		return NULL;
	facts = prepared_facts(opened);
	if (memcmp(facts->sha256, row->sha256, sizeof(facts->sha256)) != 0 || memcmp(facts->spki, row->spki, sizeof(facts->spki)) != 0)
		return NULL;
	return TAKE(opened);
}

static void
ask_certificate(struct registry *registry, struct prepared_set *set, const char *from, time_t now, struct gathered *gathered)
{
	struct registry_facts *ret = &gathered->registry;
	const char *sender;

	registry_lookup(registry, from, PURPOSE_SEAL, now, &ret->seal);
	if (ret->seal.answer != REGISTRY_FOUND)
		return;
	gathered->prepared = open_certificate(set, &ret->seal.cert);
	ret->cert_read = gathered->prepared != NULL;
	if (ret->cert_read)
		ret->cert = *prepared_facts(gathered->prepared);
	sender = ret->cert_read ? seal_sender(&ret->cert, from) : NULL;
	if (!sender)
		return;
	snprintf(ret->sender, sizeof(ret->sender), "%s", sender);
	ret->sender_known = registry_address_known(registry, sender, now);
}

static void
ask(struct registry *registry, struct prepared_set *set, const struct transport_facts *transport,
    const struct envelope_facts *envelope, time_t now, struct gathered *ret)
{
	ret->registry = (struct registry_facts){ .sender_known = -1 };
	if (ret->message.from.state != MAILBOX_ONE)
		return;
	ask_login(registry, transport->login, &ret->message, envelope, now, &ret->registry);
	if (ret->message.outer == LAYER_NONE)
		ask_certificate(registry, set, ret->message.from.address, now, ret);
}

int
gather(struct registry *registry, struct prepared_set *set, struct slice bytes, const struct transport_facts *transport,
    const struct envelope_facts *envelope, time_t now, struct gathered *ret, struct err *err)
{
	*ret = (struct gathered){ .registry.sender_known = -1 };
	if (smime_inspect(bytes, &ret->message, err) == -1) {
		ret->message = (struct message_facts){ 0 };
		return -1;
	}
	ask(registry, set, transport, envelope, now, ret);
	return 0;
}

void
gather_again(struct registry *registry, struct prepared_set *set, const struct transport_facts *transport,
    const struct envelope_facts *envelope, time_t now, struct gathered *gathered)
{
	gathered_done(gathered);
	ask(registry, set, transport, envelope, now, gathered);
}

void
gathered_done(struct gathered *gathered)
{
	registry_found_done(&gathered->registry.seal);
	prepared_unref(TAKE(gathered->prepared));
}
