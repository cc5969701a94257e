#include "milter/recipients.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "smime/cert.h"

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
recipients_append(struct recipients *recipients, struct recipients *more)
{
	const size_t n = recipients->n + more->n;

	recipients->at = xrealloc(recipients->at, n * sizeof(*recipients->at));
	recipients->found = xrealloc(recipients->found, n * sizeof(*recipients->found));
	memcpy(recipients->at + recipients->n, more->at, more->n * sizeof(*more->at));
	memcpy(recipients->found + recipients->n, more->found, more->n * sizeof(*more->found));
	recipients->n = n;
	more->n = 0;
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

static enum encrypt_cipher
cipher_of(const struct encryption_plan *plan)
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

int
recipients_encrypt(const struct recipients_encrypt *request, struct encrypted **ret, const char **unfit, struct err *err)
{
	const struct encryption_plan *plan = request->plan;
	AUTO(xfree) struct encrypt_recipient *certs = xcalloc(plan->n_certs + 1, sizeof(*certs));
	struct encrypt_request asked = { .content = request->content->at, .n_content = request->content->n, .cipher = cipher_of(plan),
		.recipients = certs, .n_recipients = plan->n_certs, .now = request->now };

	if (plan->copy && request->copy.len == 0)
		return err_set(err, ERR_CONFIG, "encrypt.copy_certificate is not there; it is read at the start and at a reload");
	for (size_t i = 0; i < plan->n_certs; i++) {
		const struct rcpt_cert *cert = &request->recipients->at[plan->certs[i].rcpt].cert;

		certs[i] = (struct encrypt_recipient){ .cert = { cert->der, cert->der_len }, .padding = key_padding_of(plan->certs[i].padding) };
	}
	if (plan->copy)
		certs[asked.n_recipients++] = (struct encrypt_recipient){ .cert = request->copy, .padding = KEY_PADDING_V15 };
	if (encrypt_new(&asked, ret, err) == -1)
		return -1;
	*unfit = "";
	if ((*ret)->fit != ENCRYPT_FIT && (*ret)->unfit < plan->n_certs)
		*unfit = request->recipients->at[plan->certs[(*ret)->unfit].rcpt].address.address;
	return 0;
}

static int
read_file(const char *file, struct buf *ret, struct err *err)
{
	AUTO_FD int fd = open(file, O_RDONLY | O_CLOEXEC);
	unsigned char block[4096];
	ssize_t n = 0;

	if (fd == -1)
		return err_set(err, ERR_CONFIG, "'%s' cannot be opened: %s", file, strerror(errno));
	while ((n = read(fd, block, sizeof(block))) > 0)
		buf_add(ret, block, (size_t)n);
	if (n == -1)
		return err_set(err, ERR_CONFIG, "'%s' cannot be read: %s", file, strerror(errno));
	return buf_full(ret) ? err_set(err, ERR_CONFIG, "'%s' is too large for a certificate", file) : 0;
}

int
recipients_copy_certificate(const char *file, struct buf *ret, struct err *err)
{
	AUTO_BUF struct buf text = { 0 };

	if (!*file)
		return 0;
	buf_init(&text, 4 * LIMIT_CERT_BYTES);
	buf_init(ret, LIMIT_CERT_BYTES);
	if (read_file(file, &text, err) == -1)
		return -1;
	return cert_read(buf_slice(&text), ret, err);
}
