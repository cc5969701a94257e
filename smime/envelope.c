#include "smime/envelope.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "smime/canon.h"
#include "smime/gate.h"

enum { ENCODED_BYTES = 4096 }; /* of a body: more than it takes to decode GATE_TYPE_BYTES, unless it is mostly blanks */

static void PRINTF_LIKE(3, 4)
say(struct envelope *ret, enum envelope_kind kind, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(ret->why, sizeof(ret->why), fmt, args);
	va_end(args);
	ret->kind = kind;
}

static bool
is_signature_type(const struct media *media)
{
	return media_is(media, "application", "pkcs7-signature") || media_is(media, "application", "x-pkcs7-signature");
}

static bool
is_mime_type(const struct media *media)
{
	return media_is(media, "application", "pkcs7-mime") || media_is(media, "application", "x-pkcs7-mime");
}

static bool
ends_with(const char *text, const char *end)
{
	size_t len = strlen(text);

	return len >= strlen(end) && strcmp(text + len - strlen(end), end) == 0;
}

/* RFC 8551 3.9: what some senders call it who know no better. */
static bool
is_named_mime(const struct media *media)
{
	return media_is(media, "application", "octet-stream") && ends_with(media->name, ".p7m");
}

static struct slice
body_of(struct slice message, const struct part *part)
{
	return (struct slice){ message.at + part->body, part->end - part->body };
}

static bool
decode(struct slice message, const struct part *part, struct buf *ret)
{
	const size_t len = part->end - part->body;

	buf_init(ret, len);
	if (part->kind == PART_LEAF) /* at once: growing, a large one lies there twice for a moment */
		buf_reserve(ret, part->cte == CTE_BASE64 ? len / 4 * 3 + 3 : len);
	return part->kind == PART_LEAF && canon_decode(body_of(message, part), part->cte, ret) && !buf_full(ret);
}

/* ---- multipart/signed ---- */

static size_t
count_children(const struct part_tree *tree, size_t root, size_t *second)
{
	size_t n = 0;

	for (size_t i = root + 1; i < tree->n_parts; i++) {
		if (tree->parts[i].parent != root)
			continue;
		if (++n == 2)
			*second = i;
	}
	return n;
}

static bool
is_smime_protocol(const char *protocol)
{
	return strcmp(protocol, "application/pkcs7-signature") == 0 || strcmp(protocol, "application/x-pkcs7-signature") == 0;
}

static void
read_clear(struct slice message, const struct part_tree *tree, size_t root, struct envelope *ret)
{
	const struct media *media = &tree->parts[root].media;
	const struct part *signed_part, *signature;
	size_t second = 0;
	size_t n = count_children(tree, root, &second);

	if (n != 2) {
		say(ret, ENVELOPE_BROKEN, "a multipart/signed of %zu parts; want 2 (RFC 1847 2.1)", n);
		return;
	}
	signed_part = &tree->parts[root + 1];
	signature = &tree->parts[second];
	if (!is_signature_type(&signature->media)) {
		bool claims = is_smime_protocol(media->protocol);

		say(ret, claims ? ENVELOPE_BROKEN : ENVELOPE_UNSUPPORTED, "a multipart/signed whose second part is %.30s/%.30s; want "
		    "application/pkcs7-signature", signature->media.type, signature->media.subtype);
		return;
	}
	if (!is_smime_protocol(media->protocol)) {
		say(ret, ENVELOPE_BROKEN, "a multipart/signed with protocol \"%.40s\"; want application/pkcs7-signature (RFC 1847 2.1)",
		    media->protocol);
		return;
	}
	if (!decode(message, signature, &ret->cms)) {
		say(ret, ENVELOPE_BROKEN, "a signature part that does not decode as %s", cte_name(signature->cte));
		return;
	}
	ret->kind = ENVELOPE_CLEAR;
	ret->child = root + 1;
	ret->content = (struct slice){ message.at + signed_part->start, signed_part->end - signed_part->start };
}

/* ---- application/pkcs7-mime ---- */

enum claim { CLAIM_NONE, CLAIM_SIGNED, CLAIM_CERTS, CLAIM_ENCRYPTED, CLAIM_OTHER };

static enum claim
claim_of(const struct media *media)
{
	static const struct {
		const char *smime_type;
		enum claim claim;
	} rows[] = {
		{ "", CLAIM_NONE },
		{ "signed-data", CLAIM_SIGNED },
		{ "certs-only", CLAIM_CERTS },
		{ "enveloped-data", CLAIM_ENCRYPTED },
		{ "authenveloped-data", CLAIM_ENCRYPTED },
	};

	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		if (strcmp(rows[i].smime_type, media->smime_type) == 0)
			return rows[i].claim;
	}
	return CLAIM_OTHER;
}

/* A signedData: one with content is a signed message, whatever the label says. */
static void
read_signed(enum claim claim, struct envelope *ret)
{
	struct gate_facts gate;

	switch (claim) {
	case CLAIM_NONE:
	case CLAIM_SIGNED:
		ret->kind = ENVELOPE_OPAQUE;
		return;
	case CLAIM_CERTS:
		gate_signed(buf_slice(&ret->cms), false, &gate);
		if (gate.state == GATE_CERTS_ONLY)
			say(ret, ENVELOPE_NONE, "certificates only");
		else
			say(ret, ENVELOPE_BROKEN, "smime-type certs-only on a SignedData with content or a SignerInfo");
		return;
	case CLAIM_ENCRYPTED:
	case CLAIM_OTHER:
		break;
	}
	say(ret, ENVELOPE_BROKEN, "a smime-type that is not signed-data on a SignedData");
}

/*
 * Can it be ruled out that the object is a SignedData? Its type stands at the beginning, however its lengths are written. Large objects
 * that say they are encrypted then need not be decoded.
 */
static bool
is_surely_unsigned(struct slice message, const struct part *part)
{
	const struct slice body = body_of(message, part);
	const struct slice encoded = { body.at, body.len < ENCODED_BYTES ? body.len : ENCODED_BYTES };
	AUTO_BUF struct buf beginning = { 0 };

	buf_init(&beginning, ENCODED_BYTES);
	(void)canon_decode(encoded, part->cte, &beginning); /* it may end anywhere */
	return beginning.len >= GATE_TYPE_BYTES && !gate_may_be_signed((struct slice){ beginning.at, GATE_TYPE_BYTES });
}

static void
read_opaque(struct slice message, const struct part *part, struct envelope *ret)
{
	enum claim claim = claim_of(&part->media);
	const char *type = "";

	if (claim == CLAIM_ENCRYPTED && is_surely_unsigned(message, part)) {
		say(ret, ENVELOPE_ENCRYPTED, "not opened here");
		return;
	}
	if (decode(message, part, &ret->cms))
		type = gate_content_type(buf_slice(&ret->cms));
	if (strcmp(type, "signedData") != 0)
		buf_done(&ret->cms); /* also what was decoded before it failed */
	if (strcmp(type, "signedData") == 0)
		read_signed(claim, ret);
	else if (claim == CLAIM_SIGNED)
		say(ret, ENVELOPE_BROKEN, "smime-type signed-data on what is no SignedData%s%s", *type ? " but " : "", type);
	else if (claim == CLAIM_ENCRYPTED || strcmp(type, "envelopedData") == 0 || strcmp(type, "authEnvelopedData") == 0)
		say(ret, ENVELOPE_ENCRYPTED, "not opened here");
	else if (*type && !is_named_mime(&part->media))
		say(ret, ENVELOPE_UNSUPPORTED, "a CMS object of type %s", type);
	else
		say(ret, ENVELOPE_NONE, "no CMS object that could be read");
}

void
envelope_read(struct slice message, const struct part_tree *tree, size_t root, struct envelope *ret)
{
	const struct part *part = &tree->parts[root];
	const struct media *media = &part->media;

	*ret = (struct envelope){ .kind = ENVELOPE_NONE };
	if (media_is(media, "multipart", "signed"))
		read_clear(message, tree, root, ret);
	else if (media_is(media, "multipart", "encrypted"))
		say(ret, ENVELOPE_ENCRYPTED, "not S/MIME");
	else if (is_mime_type(media) || is_named_mime(media))
		read_opaque(message, part, ret);
	else if (is_signature_type(media))
		say(ret, ENVELOPE_NONE, "a signature without the part that it signs");
}

void
envelope_done(struct envelope *envelope)
{
	buf_done(&envelope->cms);
	*envelope = (struct envelope){ 0 };
}

void
envelope_object(struct slice message, const struct part *part, struct buf *ret)
{
	if (!decode(message, part, ret))
		buf_done(ret);
}

bool
envelope_object_in_place(unsigned char *message, const struct part *part, struct slice *ret)
{
	size_t len = 0;

	if (part->kind != PART_LEAF || part->cte != CTE_BASE64)
		return false;
	if (!canon_decode_in_place(message + part->body, part->end - part->body, &len))
		len = 0;
	*ret = (struct slice){ message + part->body, len };
	return true;
}

static bool
claims_signature(struct slice message, const struct part_tree *tree, size_t i)
{
	const struct media *media = &tree->parts[i].media;
	AUTO_ENVELOPE struct envelope envelope = { 0 };

	if (media_is(media, "multipart", "signed"))
		return true;
	if (!is_mime_type(media) && !is_named_mime(media))
		return false;
	envelope_read(message, tree, i, &envelope);
	return envelope.kind == ENVELOPE_OPAQUE || envelope.kind == ENVELOPE_BROKEN;
}

size_t
envelope_signed_part(struct slice message, const struct part_tree *tree)
{
	for (size_t i = 1; i < tree->n_parts; i++) {
		if (claims_signature(message, tree, i))
			return i;
	}
	return 0;
}
