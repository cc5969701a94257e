#include "smime/seal.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "smime/address.h"
#include "smime/canon.h"
#include "smime/cms.h"
#include "smime/gm.h"
#include "smime/ossl.h"
#include "smime/part.h"

/* RFC 9788 2.1.1: whether the protected fields are encrypted. */
static const char hp_clear[] = "hp=\"clear\"";
static const char hp_cipher[] = "hp=\"cipher\"";

enum { SHORT_LINE = 78 }; /* RFC 5322 2.1.1 */

/* The message, read again: what seal works with. */
struct source {
	const struct seal_request *request;
	struct part_tree tree;
	struct head head;
};

static int
check_request(const struct seal_request *request, struct err *err)
{
	const struct message_facts *facts = request->facts;

	if (facts->mime != MIME_CLEAR || facts->outer != LAYER_NONE || facts->limit[0])
		return err_set(err, ERR_BUG, "asked to seal a message that is mime=%s layer=%s limit=%s; want clear, none and no limit",
		    mime_state_name(facts->mime), layer_name(facts->outer), facts->limit[0] ? facts->limit : "-");
	if (facts->size != request->message.len)
		return err_set(err, ERR_BUG, "facts about %zu bytes for a message of %zu", facts->size, request->message.len);
	return 0;
}

static int
read_source(struct source *source, struct err *err)
{
	const struct seal_request *request = source->request;
	enum body_form form;

	part_scan(request->message, &source->tree);
	head_scan(request->message, &source->head);
	if (source->tree.why || source->tree.limit || source->head.why || source->head.limit)
		return err_set(err, ERR_BUG, "facts of another message: this one is ambiguous or over a limit");
	form = canon_form(request->message, &source->tree, &source->head);
	if (form != request->facts->form)
		return err_set(err, ERR_BUG, "facts of another message: its body is %s, not %s", body_form_name(form),
		    body_form_name(request->facts->form));
	return 0;
}

/* The value's first line behind the media type, to decide where the parameter goes. */
static bool
fits_on_line(struct slice raw, size_t at, const char *hp)
{
	const unsigned char *end = memchr(raw.at + at, '\r', raw.len - at);
	size_t first = end ? (size_t)(end - raw.at) : raw.len;

	return first + sizeof("; ") - 1 + strlen(hp) <= SHORT_LINE;
}

/* A message may end inside its head; its last field then lacks the line end it needs here. */
static void
add_raw(struct buf *head, struct slice raw)
{
	buf_add_slice(head, raw);
	if (raw.len == 0 || raw.at[raw.len - 1] != '\n')
		buf_add_text(head, "\r\n");
}

/* The field as it is, with hp behind the media type and any older hp cut out. */
static void
add_content_type(const struct field *field, const struct media *media, const char *hp, struct buf *head)
{
	size_t before = (size_t)(field->value.at - field->raw.at);
	size_t at = before + media->type_end;
	size_t cut = media->hp_end ? before + media->hp_from : at;
	size_t behind = media->hp_end ? before + media->hp_end : at;

	buf_add(head, field->raw.at, at);
	buf_add_text(head, fits_on_line(field->raw, at, hp) ? "; " : ";\r\n\t");
	buf_add_text(head, hp);
	buf_add(head, field->raw.at + at, cut - at);
	add_raw(head, (struct slice){ field->raw.at + behind, field->raw.len - behind });
}

/* What text without any label is: ASCII by RFC 2045 5.2, else what its bytes say. */
static const char *
plain_charset(const struct source *source)
{
	const struct part *part = &source->tree.parts[0];

	if (!(part->body_flags & LINE_8BIT))
		return "us-ascii";
	return utf8_is_valid(source->head.body) ? "utf-8" : "unknown-8bit";
}

static void
add_default_type(const struct source *source, const char *hp, struct buf *head)
{
	buf_printf(head, "Content-Type: text/plain; charset=%s; %s\r\n", plain_charset(source), hp);
}

static void
add_content_fields(const struct source *source, enum cte cte, struct buf *head)
{
	const char *hp = source->request->encrypted ? hp_cipher : hp_clear;

	for (size_t i = 0; i < source->head.n_fields; i++) {
		const struct field *field = &source->head.fields[i];

		if (!canon_is_content(field->name))
			continue;
		if (slice_equal_nocase(field->name, "Content-Type"))
			add_content_type(field, &source->tree.parts[0].media, hp, head);
		else if (cte == CTE_UNKNOWN || !slice_equal_nocase(field->name, "Content-Transfer-Encoding"))
			add_raw(head, field->raw);
	}
	if (!source->tree.parts[0].has_type)
		add_default_type(source, hp, head);
	if (cte != CTE_UNKNOWN)
		buf_printf(head, "Content-Transfer-Encoding: %s\r\n", cte_name(cte));
}

static void
add_protected_fields(const struct source *source, struct buf *head)
{
	for (size_t i = 0; i < source->head.n_fields; i++) {
		const struct slice name = source->head.fields[i].name;

		if (canon_is_protected(name) || (source->request->hide_subject && canon_tells_subject(name)))
			add_raw(head, source->head.fields[i].raw);
	}
}

/* HP-Outer: NAME: VALUE, the value as it will stand outside, with its folds. */
static void
add_record(const struct source *source, const struct field *field, struct buf *head)
{
	const bool hidden = source->request->hide_subject && slice_equal_nocase(field->name, "Subject");

	buf_add_text(head, "HP-Outer: ");
	if (!hidden) {
		add_raw(head, field->raw);
		return;
	}
	buf_add_slice(head, field->name);
	buf_add_text(head, ": " SEAL_HIDDEN_SUBJECT "\r\n");
}

/* RFC 9788 2.2: only where an encryption hides what is inside is there anything to record. */
static void
add_records(const struct source *source, struct buf *head)
{
	for (size_t i = 0; source->request->encrypted && i < source->head.n_fields; i++) {
		if (canon_is_protected(source->head.fields[i].name))
			add_record(source, &source->head.fields[i], head);
	}
}

static int
build_entity(const struct source *source, struct pieces *ret, struct err *err)
{
	struct slice message = source->request->message;
	bool opaque = source->request->facts->form == BODY_OPAQUE;
	enum cte cte = opaque ? CTE_UNKNOWN : canon_top_cte(message, &source->tree);
	AUTO_BUF struct buf head = { 0 };

	buf_init(&head, 2 * LIMIT_HEADER_BYTES + LIMIT_FIELD_BYTES);
	add_protected_fields(source, &head);
	add_records(source, &head);
	add_content_fields(source, cte, &head);
	buf_add_text(&head, "\r\n");
	if (buf_full(&head))
		return err_set(err, ERR_BUG, "the signed head is over %zu bytes", head.cap);
	pieces_take(ret, &head);
	if (opaque)
		pieces_borrow(ret, source->head.body);
	else
		canon_render(message, &source->tree, ret);
	return 0;
}

/* ---- the two forms ---- */

enum { SEED_BYTES = 16, BOUNDARY_BYTES = 2 + 2 * SEED_BYTES };

static bool
occurs(const struct pieces *entity, const char *text)
{
	for (size_t i = 0; i < entity->n; i++) {
		if (memmem(entity->at[i].at, entity->at[i].len, text, strlen(text)))
			return true;
	}
	return false;
}

/* "=_" occurs in no base64 and no quoted-printable text. */
static int
make_boundary(const struct seal_request *request, const struct pieces *entity, char ret[BOUNDARY_BYTES + 1], struct err *err)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char seed[SEED_BYTES];

	if (request->boundary_seed)
		memcpy(seed, request->boundary_seed, sizeof(seed));
	else if (RAND_bytes(seed, sizeof(seed)) != 1)
		return ossl_err(err, ERR_TEMP, "no random bytes for a boundary");
	memcpy(ret, "=_", 2);
	for (size_t i = 0; i < SEED_BYTES; i++) {
		ret[2 + 2 * i] = digits[seed[i] >> 4];
		ret[3 + 2 * i] = digits[seed[i] & 15];
	}
	ret[BOUNDARY_BYTES] = '\0';
	/* 128 random bits meet no text; a pinned seed may meet the message it was used for before. */
	if (request->boundary_seed && occurs(entity, ret))
		return err_set(err, ERR_BUG, "the pinned boundary occurs in the message; take another seed");
	return 0;
}

static void
take_text(struct pieces *pieces, char *text)
{
	pieces_take_block(pieces, text, strlen(text), xfree);
}

static int
wrap_clear(const struct seal_request *request, const struct cms_signed *signature, struct pieces *entity, struct pieces *body,
    struct sealed *ret, struct err *err)
{
	char boundary[BOUNDARY_BYTES + 1];
	size_t len = 0;
	void *part;

	if (make_boundary(request, entity, boundary, err) == -1)
		return -1;
	part = gm_signature_part(buf_slice(&signature->der), &len);
	take_text(body, xasprintf("--%s\r\n", boundary));
	pieces_append(body, entity);
	take_text(body, xasprintf("\r\n--%s\r\n", boundary));
	pieces_take_block(body, part, len, gm_free);
	take_text(body, xasprintf("\r\n--%s--\r\n", boundary));
	ret->form = SEAL_CLEAR;
	ret->content_type = xasprintf("multipart/signed; protocol=\"application/pkcs7-signature\";\n\tmicalg=%s;\n\tboundary=\"%s\"",
	    signature->alg == DIGEST_SHA384 ? "sha-384" : "sha-256", boundary);
	ret->transfer_encoding = "7bit";
	return 0;
}

static int
wrap_opaque(const struct cms_signed *signature, struct pieces *entity, struct pieces *body, struct sealed *ret, struct err *err)
{
	AUTO_PIECES struct pieces whole = { 0 };
	size_t len = 0;
	void *text;

	if (cms_attach(signature, entity, &whole, err) == -1)
		return -1;
	text = gm_base64(whole.at, whole.n, &len);
	pieces_take_block(body, text, len, gm_free);
	ret->form = SEAL_OPAQUE;
	ret->content_type = xstrdup("application/pkcs7-mime; smime-type=signed-data;\n\tname=\"smime.p7m\"");
	ret->transfer_encoding = "base64";
	ret->content_disposition = xstrdup("attachment; filename=\"smime.p7m\"");
	return 0;
}

/* A reference, to the one at hand where it is of exactly this certificate. */
static int
open_certificate(const struct seal_request *request, const struct prepared **ret, struct err *err)
{
	if (request->prepared && slice_equal(prepared_der(request->prepared), request->cert)) {
		*ret = prepared_ref(request->prepared);
		return 0;
	}
	if (prepared_new(request->cert, request->chain, request->n_chain, ret, err) == -1)
		return err_wrap(err, "sealing certificate");
	return 0;
}

static int
sign_and_wrap(const struct source *source, struct pieces *entity, struct pieces *body, struct sealed *ret, struct err *err)
{
	const struct seal_request *request = source->request;
	AUTO_SIGNED struct cms_signed signature = { .alg = DIGEST_UNKNOWN };
	AUTO(prepared_unref) const struct prepared *cert = NULL;
	struct cms_request cms = { .signer = &request->signer, .now = request->now };

	if (open_certificate(request, &cert, err) == -1)
		return -1;
	cms.cert = cert;
	if (cms_sign(&cms, entity, &signature, err) == -1)
		return -1;
	memcpy(ret->digest, signature.sha256, sizeof(ret->digest));
	if (request->form == SEAL_CLEAR && request->facts->form != BODY_OPAQUE)
		return wrap_clear(request, &signature, entity, body, ret, err);
	return wrap_opaque(&signature, entity, body, ret, err);
}

static int
seal_source(struct source *source, struct sealed *sealed, struct err *err)
{
	AUTO_PIECES struct pieces entity = { 0 };
	struct pieces *body = sealed->keep;

	if (read_source(source, err) == -1 || build_entity(source, &entity, err) == -1)
		return -1;
	if (sign_and_wrap(source, &entity, body, sealed, err) == -1)
		return -1;
	sealed->body = body->at;
	sealed->n_body = body->n;
	sealed->body_len = body->len;
	return 0;
}

int
smime_seal(const struct seal_request *request, struct sealed **ret, struct err *err)
{
	AUTO(seal_free) struct sealed *sealed = NULL;
	struct source source = { .request = request };
	int result;

	if (request->form == SEAL_UNKNOWN)
		return err_set(err, ERR_BUG, "asked to seal in no form; want clear or opaque");
	if (request->hide_subject && !request->encrypted)
		return err_set(err, ERR_BUG, "asked to hide the Subject of a message that will not be encrypted");
	if (check_request(request, err) == -1)
		return -1;
	sealed = xcalloc(1, sizeof(*sealed));
	sealed->keep = xcalloc(1, sizeof(struct pieces));
	result = seal_source(&source, sealed, err);
	part_tree_done(&source.tree);
	head_done(&source.head);
	if (result == 0)
		*ret = TAKE(sealed);
	return result;
}

void
seal_free(struct sealed *sealed)
{
	if (!sealed)
		return;
	if (sealed->keep)
		pieces_done(sealed->keep);
	free(sealed->keep);
	free(sealed->content_type);
	free(sealed->content_disposition);
	free(sealed);
}
