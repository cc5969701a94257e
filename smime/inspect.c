#include "smime/inspect.h"

#include <stdio.h>
#include <string.h>

#include "smime/address.h"
#include "smime/canon.h"
#include "smime/fold.h"
#include "smime/gm.h"
#include "smime/material.h"
#include "smime/part.h"

/* RFC 5322 3.6: at most one of each. A reader that shows the other one shows another message. */
static const char *
doubled_field(const struct head *head)
{
	static const struct {
		const char *name;
		const char *why;
	} fields[] = {
		{ "From", "two From fields" },
		{ "Sender", "two Sender fields" },
		{ "To", "two To fields" },
		{ "Cc", "two Cc fields" },
		{ "Subject", "two Subject fields" },
		{ "Date", "two Date fields" },
		{ "Message-ID", "two Message-ID fields" },
	};

	for (size_t i = 0; i < N_ELEMENTS(fields); i++) {
		if (head_count(head, fields[i].name) > 1)
			return fields[i].why;
	}
	return NULL;
}

static void
set_message_id(const struct head *head, struct message_facts *ret)
{
	const struct field *field = head_find(head, "Message-ID", 0);
	struct slice id = field ? slice_trim(field->value) : (struct slice){ 0 };
	size_t len = 0;

	for (size_t i = 0; i < id.len && len + 3 < sizeof(ret->message_id); i++) {
		unsigned char c = id.at[i];

		if (c > ' ' && c < 0x7f && c != '%')
			ret->message_id[len++] = (char)c;
		else
			len += (size_t)snprintf(ret->message_id + len, 4, "%%%02X", c);
	}
}

static bool
ends_with(const char *text, const char *end)
{
	size_t len = strlen(text);

	return len >= strlen(end) && strcmp(text + len - strlen(end), end) == 0;
}

static enum layer
signed_layer(const struct part_tree *tree)
{
	static const char *const protocols[] = {
		"application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature",
	};

	for (size_t i = 0; i < N_ELEMENTS(protocols); i++) {
		if (strcmp(tree->parts[0].media.protocol, protocols[i]) == 0)
			return LAYER_SIGNED;
	}
	/* The parameter may be missing or wrong: the second part tells. */
	for (size_t i = 1; i < tree->n_parts; i++) {
		const struct media *media = &tree->parts[i].media;

		if (tree->parts[i].parent == 0 && i > 1 && media_is(media, "application", NULL) && ends_with(media->subtype, "-signature"))
			return LAYER_SIGNED;
	}
	return LAYER_OTHER;
}

/* RFC 8551 3.2.2. Without smime-type only the content could tell: LAYER_OTHER. */
static enum layer
pkcs7_layer(const struct media *media)
{
	static const struct {
		const char *smime_type;
		enum layer layer;
	} rows[] = {
		{ "signed-data", LAYER_SIGNED },
		{ "enveloped-data", LAYER_ENCRYPTED },
		{ "authenveloped-data", LAYER_ENCRYPTED },
	};

	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		if (strcmp(media->smime_type, rows[i].smime_type) == 0)
			return rows[i].layer;
	}
	return LAYER_OTHER;
}

static enum layer
outer_layer(const struct part_tree *tree)
{
	const struct media *media = &tree->parts[0].media;

	if (media_is(media, "multipart", "signed"))
		return signed_layer(tree);
	if (media_is(media, "multipart", "encrypted"))
		return LAYER_ENCRYPTED;
	if (media_is(media, "application", "pkcs7-mime") || media_is(media, "application", "x-pkcs7-mime"))
		return pkcs7_layer(media);
	if (media_is(media, "application", "pkcs7-signature") || media_is(media, "application", "x-pkcs7-signature"))
		return LAYER_OTHER;
	/* RFC 8551 3.9: some senders know no better type. */
	if (media_is(media, "application", "octet-stream")
	    && (ends_with(media->name, ".p7m") || ends_with(media->name, ".p7s") || ends_with(media->name, ".p7c")))
		return LAYER_OTHER;
	return LAYER_NONE;
}

static void
set_mime(struct slice message, const struct head *head, const struct part_tree *tree, struct message_facts *ret)
{
	const char *why = tree->why ? tree->why : doubled_field(head);

	if (!why)
		why = gm_disagrees(message, tree, &ret->from, &ret->sender);
	ret->mime = why ? MIME_AMBIGUOUS : MIME_CLEAR;
	snprintf(ret->mime_why, sizeof(ret->mime_why), "%s", why ? why : "");
}

static void
set_limit(const struct head *head, const struct part_tree *tree, struct message_facts *ret)
{
	const struct field *from = head_find(head, "From", 0);
	const char *limit = head->limit ? head->limit : tree->limit;

	if (!limit && from && from->value.len > LIMIT_FROM_BYTES)
		limit = "from_bytes";
	snprintf(ret->limit, sizeof(ret->limit), "%s", limit ? limit : "");
}

/* Only who seals minds. */
static void
set_stiff(const struct head *head, struct message_facts *ret)
{
	for (size_t i = 0; i < head->n_fields && !*ret->stiff; i++) {
		const struct field *field = &head->fields[i];
		AUTO_BUF struct buf folded = { 0 };

		if (!canon_is_protected(field->name) || !fold_is_due(field))
			continue;
		buf_init(&folded, 2 * LIMIT_FIELD_BYTES);
		if (!fold_value(field, &folded))
			snprintf(ret->stiff, sizeof(ret->stiff), "%.*s", (int)field->name.len, (const char *)field->name.at);
	}
}

int
smime_inspect(struct slice message, struct message_facts *ret, struct err *err)
{
	AUTO_TREE struct part_tree tree = { 0 };
	AUTO_HEAD struct head head = { 0 };
	struct message_facts facts = { .size = message.len };

	(void)err;
	part_scan(message, &tree);
	head_scan(message, &head);
	facts.n_parts = tree.n_parts;
	facts.depth = tree.depth;
	set_limit(&head, &tree, &facts);
	mailbox_read(&head, "From", &facts.from);
	mailbox_read(&head, "Sender", &facts.sender);
	set_message_id(&head, &facts);
	/* Beyond a limit nothing more is found out: the tree is not whole, and GMime must not see it. */
	if (facts.limit[0] == '\0') {
		set_mime(message, &head, &tree, &facts);
		facts.outer = outer_layer(&tree);
		facts.form = canon_form(message, &tree, &head);
		material_find(message, &tree, &facts);
		set_stiff(&head, &facts);
	}
	*ret = facts;
	return 0;
}
