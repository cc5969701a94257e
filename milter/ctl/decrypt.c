/*
 * segelctl decrypt FILE: the transform alone. With --key the key lies in this process; without, the key agent opens the content key, puts it on
 * its record, and counts what fails. Prints only what is proven, as the gateway would: authenticated, or with a good
 * signature inside, whose signer is then named and is for the caller to judge.
 */
#include <stdlib.h>
#include <string.h>

#include "milter/ctl/crlf.h"
#include "milter/ctl/nouns.h"
#include "milter/keyd/client.h"
#include "policy/config.h"
#include "smime/canon.h"
#include "smime/cert.h"
#include "smime/decrypt.h"
#include "smime/head.h"
#include "smime/inspect.h"

enum { PROBLEM_BYTES = 64 * 1024, MAX_CERTS = 16 };

struct materials {
	struct buf message;
	struct message_facts facts;
	struct buf ders[MAX_CERTS];
	struct slice certs[MAX_CERTS];
	size_t n_certs;
	struct cert_facts first;     /* of the first certificate */
	struct key *key;             /* NULL: the agent is asked */
	struct config *config;
	struct keyd_client *client;
	char *actor;
	struct open_context context; /* borrows */
	struct keyd_opener bound;
};

static void
materials_done(struct materials *materials)
{
	buf_done(&materials->message);
	for (size_t i = 0; i < materials->n_certs; i++)
		buf_done(&materials->ders[i]);
	key_free(materials->key);
	keyd_client_free(materials->client);
	config_free(materials->config);
	free(materials->actor);
	free(materials);
}

static int
read_cert(struct materials *materials, const char *name, struct err *err)
{
	AUTO_BUF struct buf file = { 0 };
	struct buf *der = &materials->ders[materials->n_certs];

	buf_init(&file, LIMIT_CERT_BYTES);
	buf_init(der, LIMIT_CERT_BYTES);
	materials->n_certs++;
	if (ctl_read_file(name, LIMIT_CERT_BYTES, &file, err) == -1 || cert_read(buf_slice(&file), der, err) == -1)
		return -1;
	materials->certs[materials->n_certs - 1] = buf_slice(der);
	return 0;
}

static enum ctl_exit
read_materials(struct ctl *ctl, struct materials *materials)
{
	const char *name;
	struct err err;

	buf_init(&materials->message, LIMIT_MESSAGE_BYTES);
	if (ctl_read_received(ctl_arg(ctl, 0), &materials->message, &err) == -1
	    || smime_inspect(buf_slice(&materials->message), &materials->facts, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	for (size_t i = 0; (name = ctl_option_nth(ctl, "cert", i)) != NULL; i++) {
		if (i == MAX_CERTS)
			return ctl_fail(ctl, CTL_USAGE, "more than %d certificates", MAX_CERTS);
		if (read_cert(materials, name, &err) == -1)
			return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	}
	if (cert_inspect(materials->certs[0], &materials->first, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	return CTL_OK;
}

/* What the agent puts on its record: who asks, with which message, for whose key. */
static enum ctl_exit
reach_agent(struct ctl *ctl, struct materials *materials)
{
	AUTO_BUF struct buf problems = { 0 };
	struct err err;

	buf_init(&problems, PROBLEM_BYTES);
	if (config_load(ctl->config_file, &materials->config, &problems) == -1)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "the settings cannot be read: %s", buf_text(&problems));
	if (ctl_actor(&materials->actor, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	materials->client = keyd_client_new(materials->config->keyd.socket, (int)materials->config->keyd.timeout);
	materials->context = (struct open_context){
		.queue_id = "",
		.session = "segelctl",
		.from = materials->facts.from.state == MAILBOX_ONE ? materials->facts.from.address : "",
		.recipient = materials->first.n_addresses ? materials->first.addresses[0] : "",
		.sender = materials->actor,
	};
	materials->bound = (struct keyd_opener){ materials->client, &materials->context };
	return CTL_OK;
}

static enum ctl_exit
find_opener(struct ctl *ctl, struct materials *materials, struct opener *ret)
{
	enum ctl_exit result;
	struct err err;

	if (ctl_option(ctl, "key")) {
		if (key_load(ctl_option(ctl, "key"), ctl_option(ctl, "passphrase-file"), true, &materials->key, &err) == -1)
			return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
		*ret = key_opener(materials->key);
		return CTL_OK;
	}
	result = reach_agent(ctl, materials);
	if (result == CTL_OK)
		*ret = keyd_opener_of(&materials->bound);
	return result;
}

static void
print_fields(FILE *out, const struct plain_field *fields, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fprintf(out, "%s:", fields[i].name);
		fwrite(fields[i].value.at, 1, fields[i].value.len, out);
		fputs("\r\n", out);
	}
}

static bool
is_replaced(const struct plain *plain, struct slice name)
{
	for (size_t i = 0; i < plain->n_hidden; i++) {
		if (slice_equal_nocase(name, plain->hidden[i].name))
			return true;
	}
	return canon_is_content(name);
}

static void
print_plain(struct ctl *ctl, const struct materials *materials, const struct plain *plain)
{
	AUTO_HEAD struct head head = { 0 };

	head_scan(buf_slice(&materials->message), &head);
	for (size_t i = 0; i < head.n_fields; i++) {
		if (!is_replaced(plain, head.fields[i].name))
			fwrite(head.fields[i].raw.at, 1, head.fields[i].raw.len, ctl->out);
	}
	print_fields(ctl->out, plain->hidden, plain->n_hidden);
	print_fields(ctl->out, plain->content, plain->n_content);
	fputs("\r\n", ctl->out);
	fwrite(plain->body.at, 1, plain->body.len, ctl->out);
}

/* To the agent, who counts; what it says to that changes nothing here. */
static void
tell_failure(const struct materials *materials, const struct decrypt_facts *facts)
{
	struct err err;

	if (materials->client && !facts->limited)
		(void)!keyd_failed(materials->client, &materials->context, facts->spki, &err);
}

static enum ctl_exit
show_opened(struct ctl *ctl, const struct materials *materials, const struct decrypted *decrypted)
{
	const struct signature_facts *signature = decrypted_signature(decrypted);
	struct plain plain = { .n_content = 0 };

	if (!decrypted_plain(decrypted, GROUND_CIPHER, &plain) && !decrypted_plain(decrypted, GROUND_SIGNATURE, &plain))
		return ctl_fail(ctl, CTL_UNAVAILABLE, "opened, and nothing proves it");
	print_plain(ctl, materials, &plain);
	if (signature->state == SIGNATURE_GOOD)
		(void)ctl_fail(ctl, CTL_OK, "signed inside by %s; whether that certificate counts was not asked (segelctl verify)", signature->signer.subject);
	return CTL_OK;
}

static enum ctl_exit
show(struct ctl *ctl, const struct materials *materials, const struct decrypted *decrypted)
{
	const struct decrypt_facts *facts = decrypted_facts(decrypted);

	switch (facts->state) {
	case DECRYPT_OPENED:
		return show_opened(ctl, materials, decrypted);
	case DECRYPT_NONE:
	case DECRYPT_OTHERS:
		return ctl_fail(ctl, CTL_FALSE, "%s: %s", decrypt_state_name(facts->state), facts->why);
	case DECRYPT_FAILED:
		tell_failure(materials, facts);
		return ctl_fail(ctl, CTL_REFUSED, "failed: %s", facts->why);
	case DECRYPT_MALFORMED:
	case DECRYPT_UNSUPPORTED:
		return ctl_fail(ctl, CTL_REFUSED, "%s: %s", decrypt_state_name(facts->state), facts->why);
	case DECRYPT_UNKNOWN:
		break;
	}
	return ctl_fail(ctl, CTL_UNAVAILABLE, "could not be found out");
}

static enum ctl_exit
run(struct ctl *ctl, struct materials *materials)
{
	AUTO(decrypted_free) struct decrypted *decrypted = NULL;
	struct decrypt_request request = { .at = ctl->now };
	enum ctl_exit result = read_materials(ctl, materials);
	struct err err;

	if (result == CTL_OK)
		result = find_opener(ctl, materials, &request.opener);
	if (result != CTL_OK)
		return result;
	request.message = buf_slice(&materials->message);
	request.facts = &materials->facts;
	request.certs = materials->certs;
	request.n_certs = materials->n_certs;
	if (smime_decrypt(&request, &decrypted, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	return show(ctl, materials, decrypted);
}

static enum ctl_exit
decrypt(struct ctl *ctl)
{
	struct materials *materials = xcalloc(1, sizeof(*materials));
	enum ctl_exit result = run(ctl, materials);

	materials_done(materials);
	return result;
}

static const struct ctl_option options[] = {
	{ .name = "cert", .meta = "FILE", .help = "certificates to decrypt for (PEM or DER)", .required = true, .many = true },
	{ .name = "key", .meta = "FILE", .help = "a private key (PEM or PKCS#12); without it segel-keyd is asked, and records it" },
	{ .name = "passphrase-file", .meta = "FILE", .help = "the key's passphrase" },
	{ .name = NULL },
};

const struct ctl_command ctl_decrypt_commands[] = {
	{ "", CTL_PLAIN, { "FILE" }, options, "decrypt a message and print it, if what is inside is proven", decrypt },
	{ .run = NULL },
};
