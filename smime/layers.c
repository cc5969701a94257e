#include "smime/layers.h"

#include <stdio.h>

#include "smime/inspect.h"

void
levels_done(struct levels *layers)
{
	for (size_t i = 0; i < N_ELEMENTS(layers->at); i++) {
		envelope_done(&layers->at[i].envelope);
		buf_done(&layers->at[i].room);
		part_tree_done(&layers->at[i].inner);
	}
}

static void
read_clear(struct level *layer)
{
	gate_signed(buf_slice(&layer->envelope.cms), true, &layer->gate);
	layer->content = layer->envelope.content;
}

/* What a mail program shows of an opaque content has to be as clear as the message itself. */
static const char *
scan_content(struct level *layer, struct err *err)
{
	struct message_facts facts;

	part_scan(layer->content, &layer->inner);
	if (layer->inner.limit || smime_inspect(layer->content, &facts, err) == -1)
		return "the signed content is beyond a limit";
	return facts.mime == MIME_CLEAR ? NULL : "two readers may see two contents in the signed content";
}

static const char *
read_opaque(struct level *layer, struct err *err)
{
	gate_signed(buf_slice(&layer->envelope.cms), false, &layer->gate);
	layer->content = gate_content(&layer->gate, &layer->room);
	if (layer->gate.state != GATE_PASSES)
		return NULL;
	return scan_content(layer, err);
}

/* Reads the layer and says where the next one would be; false where nothing lies within. */
static bool
read_layer(struct levels *layers, struct level *layer, struct level *next, struct err *err)
{
	envelope_read(layer->bytes, layer->tree, layer->root, &layer->envelope);
	switch (layer->envelope.kind) {
	case ENVELOPE_CLEAR:
		read_clear(layer);
		*next = (struct level){ .bytes = layer->bytes, .tree = layer->tree, .root = layer->envelope.child };
		return true;
	case ENVELOPE_OPAQUE:
		layers->ambiguous = read_opaque(layer, err);
		*next = (struct level){ .bytes = layer->content, .tree = &layer->inner };
		return layer->inner.n_parts > 0 && !layers->ambiguous;
	case ENVELOPE_UNKNOWN:
	case ENVELOPE_NONE:
	case ENVELOPE_ENCRYPTED:
	case ENVELOPE_UNSUPPORTED:
	case ENVELOPE_BROKEN:
		break;
	}
	return false;
}

void
levels_read(struct slice message, const struct part_tree *tree, struct levels *ret, struct err *err)
{
	struct level next = { .bytes = message, .tree = tree };
	bool more = true;

	while (more && ret->n < LIMIT_LAYERS) {
		struct level *layer = &ret->at[ret->n++];

		*layer = next;
		more = read_layer(ret, layer, &next, err);
	}
}

static const char *
layer_word(enum envelope_kind kind)
{
	switch (kind) {
	case ENVELOPE_CLEAR:
	case ENVELOPE_OPAQUE:
		return "signed";
	case ENVELOPE_ENCRYPTED:
		return "encrypted";
	case ENVELOPE_UNKNOWN:
	case ENVELOPE_NONE:
	case ENVELOPE_UNSUPPORTED:
	case ENVELOPE_BROKEN:
		break;
	}
	return NULL;
}

void
levels_tell(const struct levels *levels, struct signature_facts *ret)
{
	size_t len = 0;

	for (size_t i = 0; i < levels->n; i++) {
		const char *word = layer_word(levels->at[i].envelope.kind);

		if (word && len < sizeof(ret->layers))
			len += (size_t)snprintf(ret->layers + len, sizeof(ret->layers) - len, "%s%s", len ? "/" : "", word);
		ret->encrypted = ret->encrypted || levels->at[i].envelope.kind == ENVELOPE_ENCRYPTED;
	}
}
