/*
 * segelctl encrypt FILE: the transform alone, for scripts and tests. Nothing is sealed and nothing recorded; the certificates are those
 * of the files named, and those that the registry has for the addresses named.
 */
#include <stdlib.h>
#include <string.h>

#include "milter/ctl/crlf.h"
#include "milter/ctl/encrypt.h"
#include "milter/ctl/op.h"
#include "milter/ctl/trust_store.h"
#include "milter/split/certificate.h"
#include "policy/config.h"
#include "smime/canon.h"
#include "smime/cert.h"
#include "smime/encrypt.h"
#include "smime/head.h"
#include "smime/inspect.h"

enum { PROBLEM_BYTES = 64 * 1024 };

const struct ctl_option encrypt_file_options[] = {
	{ .name = "cert", .meta = "FILE", .help = "a recipient's certificate (PEM or DER)", .many = true },
	{ .name = "to", .meta = "ADDRESS", .help = "a recipient whose certificate the registry has", .many = true },
	{ .name = "gcm", .help = "AES-256-GCM (authEnveloped-data) instead of AES-256-CBC (enveloped-data)" },
	{ .name = "oaep", .help = "RSAES-OAEP with SHA-256 instead of RSAES-PKCS1-v1_5" },
	{ .name = NULL },
};

/* What an encryption is made of. */
struct materials {
	struct buf message;
	struct buf certs[LIMIT_CMS_RECIPIENTS];
	const char *names[LIMIT_CMS_RECIPIENTS]; /* of files or addresses, borrowed */
	size_t n_certs;
	struct config *config;
	struct trust *trust;
	struct err trust_err;
	struct registry *registry;
};

static void
materials_done(struct materials *materials)
{
	buf_done(&materials->message);
	for (size_t i = 0; i < materials->n_certs; i++)
		buf_done(&materials->certs[i]);
	registry_close(materials->registry);
	trust_free(materials->trust);
	config_free(materials->config);
	free(materials);
}

/* Takes the buffer; false where there are too many. */
static bool
add_cert(struct materials *materials, const char *name, struct buf *cert)
{
	if (materials->n_certs == LIMIT_CMS_RECIPIENTS)
		return false;
	materials->names[materials->n_certs] = name;
	materials->certs[materials->n_certs++] = *cert;
	*cert = (struct buf){ 0 };
	return true;
}

static enum ctl_exit
too_many(struct ctl *ctl)
{
	return ctl_fail(ctl, CTL_USAGE, "more than %d recipients", LIMIT_CMS_RECIPIENTS);
}

static enum ctl_exit
read_files(struct ctl *ctl, struct materials *materials)
{
	const char *name;
	struct err err;

	for (size_t i = 0; (name = ctl_option_nth(ctl, "cert", i)) != NULL; i++) {
		AUTO_BUF struct buf file = { 0 }, cert = { 0 };

		buf_init(&file, LIMIT_CERT_BYTES);
		buf_init(&cert, LIMIT_CERT_BYTES);
		if (ctl_read_file(name, LIMIT_CERT_BYTES, &file, &err) == -1 || cert_read(buf_slice(&file), &cert, &err) == -1)
			return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
		if (!add_cert(materials, name, &cert))
			return too_many(ctl);
	}
	return CTL_OK;
}

/* Authorities that cannot be had make every certificate of the registry undecided; its answer says so. */
static void
load_trust(struct materials *materials)
{
	const struct trust_ages ages = trust_ages_of(materials->config);
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, PROBLEM_BYTES);
	(void)!trust_load_dir(materials->config->trust.dir, &ages, &materials->trust, &problems, &materials->trust_err);
}

static enum ctl_exit
open_registry(struct ctl *ctl, struct materials *materials)
{
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, PROBLEM_BYTES);
	if (config_load(ctl->config_file, &materials->config, &problems) == -1)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "the settings cannot be read: %s", buf_text(&problems));
	load_trust(materials);
	materials->registry = op_registry(ctl);
	return materials->registry ? CTL_OK : CTL_UNAVAILABLE;
}

static enum ctl_exit
look_up(struct ctl *ctl, struct materials *materials, const char *address)
{
	struct certificate_judge judge = { .trust = materials->trust, .trust_why = materials->trust_err.text, .now = ctl->now };
	const struct encrypt_judge asked = certificate_judge(&judge);
	__attribute__((cleanup(auto_registry_encrypt_done))) struct registry_encrypt found = { .answer = ENCRYPT_UNAVAILABLE };
	AUTO_BUF struct buf cert = { 0 };

	registry_encrypt(materials->registry, address, ctl->now, &asked, &found);
	if (found.answer != ENCRYPT_FOUND)
		return ctl_fail(ctl, found.answer == ENCRYPT_UNAVAILABLE || found.answer == ENCRYPT_UNDECIDED ? CTL_UNAVAILABLE : CTL_REFUSED,
		    "no certificate to encrypt to %s: %s: %s", address, encrypt_answer_name(found.answer), found.why);
	buf_init(&cert, LIMIT_CERT_BYTES);
	buf_add(&cert, found.cert.der, found.cert.der_len);
	return add_cert(materials, address, &cert) ? CTL_OK : too_many(ctl);
}

static enum ctl_exit
read_addresses(struct ctl *ctl, struct materials *materials)
{
	enum ctl_exit result = CTL_OK;
	const char *address;

	if (ctl_option(ctl, "to"))
		result = open_registry(ctl, materials);
	for (size_t i = 0; result == CTL_OK && (address = ctl_option_nth(ctl, "to", i)) != NULL; i++)
		result = look_up(ctl, materials, address);
	return result;
}

/* Only what can be read in one way; the text says what stands against it. */
static enum ctl_exit
refuse_unfit(struct ctl *ctl, const struct message_facts *facts)
{
	if (*facts->limit)
		return ctl_fail(ctl, CTL_REFUSED, "the message exceeds the limit '%s'", facts->limit);
	if (facts->mime != MIME_CLEAR)
		return ctl_fail(ctl, CTL_REFUSED, "the message can be read in more than one way: %s", facts->mime_why);
	if (facts->outer == LAYER_ENCRYPTED)
		return ctl_fail(ctl, CTL_REFUSED, "the message is encrypted already");
	return CTL_OK;
}

/* The entity is what of the message goes in: its Content-* fields, an empty line, its body. Both borrow from the message. */
static void
take_entity(const struct head *head, struct pieces *ret)
{
	for (size_t i = 0; i < head->n_fields; i++) {
		if (canon_is_content(head->fields[i].name))
			pieces_borrow(ret, head->fields[i].raw);
	}
	pieces_borrow(ret, slice_of("\r\n"));
	pieces_borrow(ret, head->body);
}

static int
put(void *out, struct slice bytes, struct err *err)
{
	if (fwrite(bytes.at, 1, bytes.len, out) != bytes.len)
		return err_set(err, ERR_TEMP, "the output cannot be written");
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

static enum ctl_exit
print_encrypted(struct ctl *ctl, const struct head *head, struct encrypted *encrypted)
{
	const struct box_sink sink = { put, ctl->out };
	struct err err;

	for (size_t i = 0; i < head->n_fields; i++) {
		const struct field *field = &head->fields[i];

		if (!canon_is_content(field->name) && !slice_equal_nocase(field->name, "MIME-Version"))
			fwrite(field->raw.at, 1, field->raw.len, ctl->out);
	}
	print_field(ctl->out, "MIME-Version", "1.0");
	print_field(ctl->out, "Content-Type", encrypted->content_type);
	print_field(ctl->out, "Content-Transfer-Encoding", encrypted->transfer_encoding);
	print_field(ctl->out, "Content-Disposition", encrypted->content_disposition);
	fputs("\r\n", ctl->out);
	return encrypt_write(encrypted, &sink, &err) == -1 ? ctl_fail_err(ctl, CTL_UNAVAILABLE, &err) : CTL_OK;
}

static enum ctl_exit
encrypt_message(struct ctl *ctl, const struct materials *materials, const struct head *head)
{
	struct encrypt_recipient recipients[LIMIT_CMS_RECIPIENTS];
	AUTO(encrypt_free) struct encrypted *encrypted = NULL;
	AUTO_PIECES struct pieces entity = { 0 };
	struct encrypt_request request = { .recipients = recipients, .n_recipients = materials->n_certs, .now = ctl->now,
		.cipher = ctl_flag(ctl, "gcm") ? ENCRYPT_AES256_GCM : ENCRYPT_AES256_CBC };
	struct err err;

	take_entity(head, &entity);
	request.content = entity.at;
	request.n_content = entity.n;
	for (size_t i = 0; i < materials->n_certs; i++)
		recipients[i] = (struct encrypt_recipient){ .cert = buf_slice(&materials->certs[i]),
			.padding = ctl_flag(ctl, "oaep") ? KEY_PADDING_OAEP : KEY_PADDING_V15 };
	if (encrypt_new(&request, &encrypted, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	if (encrypted->fit != ENCRYPT_FIT)
		return ctl_fail(ctl, CTL_REFUSED, "nobody may encrypt to the certificate of '%s': %s", materials->names[encrypted->unfit],
		    encrypt_fit_name(encrypted->fit));
	return print_encrypted(ctl, head, encrypted);
}

static enum ctl_exit
run(struct ctl *ctl, struct materials *materials)
{
	AUTO_HEAD struct head head = { 0 };
	struct message_facts facts;
	enum ctl_exit result;
	struct err err;

	buf_init(&materials->message, LIMIT_MESSAGE_BYTES);
	if (ctl_read_message(ctl_arg(ctl, 0), &materials->message, &err) == -1
	    || smime_inspect(buf_slice(&materials->message), &facts, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	result = refuse_unfit(ctl, &facts);
	if (result == CTL_OK)
		result = read_files(ctl, materials);
	if (result == CTL_OK)
		result = read_addresses(ctl, materials);
	if (result != CTL_OK)
		return result;
	head_scan(buf_slice(&materials->message), &head);
	return encrypt_message(ctl, materials, &head);
}

enum ctl_exit
encrypt_file(struct ctl *ctl)
{
	struct materials *materials;
	enum ctl_exit result;

	if (!ctl_option(ctl, "cert") && !ctl_option(ctl, "to"))
		return ctl_fail(ctl, CTL_USAGE, "to whom? Name --cert FILE or --to ADDRESS");
	materials = xcalloc(1, sizeof(*materials));
	result = run(ctl, materials);
	materials_done(materials);
	return result;
}
