/*
 * segelctl seal: the transform alone, for scripts and tests. The key lies in this process; the
 * registry is not asked and nothing is recorded, so what it seals is nobody's official mail.
 */
#include <stdlib.h>
#include <string.h>

#include "milter/ctl/crlf.h"
#include "milter/ctl/ctl.h"
#include "milter/ctl/nouns.h"
#include "milter/filter/edit.h"
#include "policy/input.h"
#include "smime/cert.h"
#include "smime/head.h"
#include "smime/inspect.h"
#include "smime/issuers.h"

/* What a seal is made of. */
struct materials {
	struct buf message;
	struct buf cert;
	struct cert_facts facts;
	struct key *key;
	struct issuers *issuers;
};

static void
materials_done(struct materials *materials)
{
	buf_done(&materials->message);
	buf_done(&materials->cert);
	key_free(materials->key);
	issuers_free(materials->issuers);
}

static int
load_materials(struct ctl *ctl, struct materials *ret, struct err *err)
{
	AUTO_BUF struct buf cert = { 0 };

	buf_init(&cert, LIMIT_CERT_BYTES);
	buf_init(&ret->message, LIMIT_MESSAGE_BYTES);
	buf_init(&ret->cert, LIMIT_CERT_BYTES);
	if (ctl_read_message(ctl_arg(ctl, 0), &ret->message, err) == -1
	    || ctl_read_file(ctl_option(ctl, "cert"), LIMIT_CERT_BYTES, &cert, err) == -1
	    || cert_read(buf_slice(&cert), &ret->cert, err) == -1
	    || cert_inspect(buf_slice(&ret->cert), &ret->facts, err) == -1
	    || key_load(ctl_option(ctl, "key"), ctl_option(ctl, "passphrase-file"), true, &ret->key, err) == -1)
		return -1;
	if (ctl_option(ctl, "chain-dir") && issuers_load(ctl_option(ctl, "chain-dir"), &ret->issuers, err) == -1)
		return -1;
	return 0;
}

static void
print_field(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s: ", name);
	for (; *value; value++) {
		if (*value == '\n')
			fputc('\r', out);
		fputc(*value, out);
	}
	fputs("\r\n", out);
}

/* The message as the MTA would pass it on after these edits. */
static void
print_edited(FILE *out, const struct head *head, const struct edit_plan *plan)
{
	for (size_t i = 0; i < head->n_fields; i++) {
		const struct edit *edit = edit_of(plan, head, i);

		if (!edit)
			fwrite(head->fields[i].raw.at, 1, head->fields[i].raw.len, out);
		else if (edit->kind == EDIT_CHANGE)
			print_field(out, edit->name, edit->value);
	}
	for (size_t e = 0; e < plan->n; e++)
		if (plan->edits[e].kind == EDIT_ADD)
			print_field(out, plan->edits[e].name, plan->edits[e].value);
	fputs("\r\n", out);
	for (size_t i = 0; i < plan->sealed->n_body; i++)
		fwrite(plan->sealed->body[i].at, 1, plan->sealed->body[i].len, out);
}

/* Only what can be sealed without doubt; the text says what stands against it. */
static enum ctl_exit
refuse_unfit(struct ctl *ctl, const struct message_facts *facts)
{
	if (*facts->limit)
		return ctl_fail(ctl, CTL_REFUSED, "the message exceeds the limit '%s'", facts->limit);
	if (facts->mime != MIME_CLEAR)
		return ctl_fail(ctl, CTL_REFUSED, "the message can be read in more than one way: %s", facts->mime_why);
	if (facts->from.state != MAILBOX_ONE)
		return ctl_fail(ctl, CTL_REFUSED, "From does not name exactly one mailbox: %s", facts->from.why);
	if (facts->outer != LAYER_NONE)
		return ctl_fail(ctl, CTL_REFUSED, "the message is %s already", layer_name(facts->outer));
	return CTL_OK;
}

static enum ctl_exit
seal_message(struct ctl *ctl, const struct materials *materials)
{
	struct slice chain[LIMIT_CHAIN_CERTS];
	struct message_facts facts;
	struct outgoing outgoing = { .sender = NULL };
	AUTO(edit_plan_free) struct edit_plan *plan = NULL;
	AUTO_HEAD struct head head = { 0 };
	struct err err;
	struct seal_request request = {
		.message = buf_slice(&materials->message),
		.facts = &facts,
		.cert = buf_slice(&materials->cert),
		.chain = chain,
		.signer = key_signer(materials->key),
		.form = ctl_flag(ctl, "opaque") ? SEAL_OPAQUE : SEAL_CLEAR,
		.now = ctl->now,
	};
	enum ctl_exit result;

	if (smime_inspect(request.message, &facts, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	result = refuse_unfit(ctl, &facts);
	if (result != CTL_OK)
		return result;
	if (materials->issuers)
		request.n_chain = issuers_above(materials->issuers, request.cert, chain);
	if (smime_seal(&request, &outgoing.sealed, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	head_scan(request.message, &head);
	outgoing.sender = seal_sender(&materials->facts, facts.from.address);
	plan = edit_plan_outgoing(&head, &outgoing);
	print_edited(ctl->out, &head, plan);
	return CTL_OK;
}

static enum ctl_exit
seal(struct ctl *ctl)
{
	struct materials materials = { .key = NULL };
	enum ctl_exit result;
	struct err err;

	if (load_materials(ctl, &materials, &err) == -1)
		result = ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	else
		result = seal_message(ctl, &materials);
	materials_done(&materials);
	return result;
}

static const struct ctl_option options[] = {
	{ .name = "cert", .meta = "FILE", .help = "the certificate (PEM or DER)", .required = true },
	{ .name = "key", .meta = "FILE", .help = "its private key (PEM or PKCS#12)", .required = true },
	{ .name = "passphrase-file", .meta = "FILE", .help = "the key's passphrase" },
	{ .name = "chain-dir", .meta = "DIR", .help = "issuing authorities to put into the seal" },
	{ .name = "opaque", .help = "application/pkcs7-mime instead of multipart/signed" },
	{ .name = NULL },
};

const struct ctl_command ctl_seal_commands[] = {
	{ "", CTL_PLAIN, { "FILE" }, options, "seal a message with a key of your own and print it", seal },
	{ .run = NULL },
};
