#include "milter/recipients.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REMEMBERED = 64 };

/* What was said of a certificate in this transaction. */
struct said {
	unsigned char sha256[32];
	enum cert_use use;
	char why[FACT_WHY_BYTES];
};

/* A judge that judges no certificate twice. */
struct memory {
	struct encrypt_judge judge;
	struct said *said;
	size_t n;
};

static enum cert_use
judge_once(void *ctx, const struct registry_cert *cert, char why[FACT_WHY_BYTES])
{
	struct memory *memory = ctx;
	struct said *said;

	for (size_t i = 0; i < memory->n; i++) {
		if (memcmp(memory->said[i].sha256, cert->sha256, sizeof(cert->sha256)) != 0)
			continue;
		memcpy(why, memory->said[i].why, FACT_WHY_BYTES);
		return memory->said[i].use;
	}
	if (memory->n == REMEMBERED)
		return memory->judge.judge(memory->judge.ctx, cert, why);
	said = &memory->said[memory->n++];
	memcpy(said->sha256, cert->sha256, sizeof(said->sha256));
	said->use = memory->judge.judge(memory->judge.ctx, cert, said->why);
	memcpy(why, said->why, FACT_WHY_BYTES);
	return said->use;
}

static void
find_cert(const struct recipients_from *from, const struct encrypt_judge *judge, struct rcpt *rcpt, struct registry_encrypt *found)
{
	registry_encrypt(from->registry, rcpt->address.address, from->now, judge, found);
	rcpt->cert = (struct rcpt_cert){ .asked = true, .answer = found->answer, .capabilities = found->capabilities,
		.der = found->cert.der, .der_len = found->cert.der_len };
	memcpy(rcpt->cert.sha256, found->cert.sha256, sizeof(rcpt->cert.sha256));
	snprintf(rcpt->cert.why, sizeof(rcpt->cert.why), "%s", found->why);
}

static void
gather_one(const struct recipients_from *from, const struct recipients_told *told, const struct rcpt_sender *sender,
    const struct encrypt_judge *judge, struct rcpt *rcpt, struct registry_encrypt *found)
{
	*rcpt = (struct rcpt){ .domain = DOMAIN_ODD };
	rcpt_read(told->argument, told->resolved, &rcpt->address);
	rcpt->hidden = !rcpt_is_listed(rcpt->address.address, from->listed, from->n_listed);
	if (rcpt->address.form == RCPT_FORM_PLAIN && from->config->encrypt.use) {
		rcpt->domain = registry_domain_of(from->registry, rcpt->address.address, from->now);
		if (!from->without_certs && level_wants_cert(rcpt_level(from->config, sender, rcpt, NULL)))
			find_cert(from, judge, rcpt, found);
	}
	rcpt_judge(from->config, sender, rcpt);
}

void
recipients_gather(const struct recipients_from *from, const struct recipients_told *told, size_t n_told, struct recipients *ret)
{
	struct certificate_judge certificates = { from->trust, from->trust_why, from->now };
	AUTO(xfree) struct said *said = xcalloc(REMEMBERED, sizeof(*said));
	struct memory memory = { .judge = certificate_judge(&certificates), .said = said };
	const struct encrypt_judge judge = { judge_once, &memory };

	*ret = (struct recipients){ .n = n_told, .sender = { .unit_answer = UNIT_NONE, .trigger = from->trigger } };
	ret->at = xcalloc(n_told, sizeof(*ret->at));
	ret->found = xcalloc(n_told, sizeof(*ret->found));
	if (encrypt_wants_unit(from->config) && *from->sender)
		ret->sender.unit_answer = registry_unit_of(from->registry, from->sender, from->now, ret->sender.unit);
	for (size_t i = 0; i < n_told; i++)
		gather_one(from, &told[i], &ret->sender, &judge, &ret->at[i], &ret->found[i]);
}

void
recipients_done(struct recipients *recipients)
{
	for (size_t i = 0; recipients->found && i < recipients->n; i++)
		registry_encrypt_done(&recipients->found[i]);
	free(recipients->found);
	free(recipients->at);
	*recipients = (struct recipients){ .n = 0 };
}

static enum key_padding
key_padding_of(enum rsa_padding padding)
{
	switch (padding) {
	case RSA_PADDING_OAEP:
		return KEY_PADDING_OAEP;
	case RSA_PADDING_V15:
	case RSA_PADDING_UNKNOWN:
		break;
	}
	return KEY_PADDING_V15;
}

enum encrypt_cipher
recipients_cipher(const struct encryption_plan *plan)
{
	switch (plan->cipher) {
	case CONTENT_AES256_CBC:
		return ENCRYPT_AES256_CBC;
	case CONTENT_AES256_GCM:
		return ENCRYPT_AES256_GCM;
	case CONTENT_UNKNOWN:
		break;
	}
	return ENCRYPT_CIPHER_UNKNOWN;
}

size_t
recipients_certs(const struct recipients *recipients, const struct encryption_plan *plan, struct slice copy,
    struct encrypt_recipient *ret)
{
	size_t n = 0;

	for (; n < plan->n_certs; n++) {
		const struct rcpt_cert *cert = &recipients->at[plan->certs[n].rcpt].cert;

		ret[n] = (struct encrypt_recipient){ .cert = { cert->der, cert->der_len }, .padding = key_padding_of(plan->certs[n].padding) };
	}
	if (plan->copy)
		ret[n++] = (struct encrypt_recipient){ .cert = copy, .padding = KEY_PADDING_V15 };
	return n;
}
