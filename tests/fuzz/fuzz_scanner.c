/*
 * Our scanner against GMime, part by part: where neither doubts a message, both cut the same bytes out of it for every
 * leaf. gm_disagrees() compares kinds, types and nesting for each mail; that the contents are the same is shown here.
 */
#include "tests/fuzz/fuzz.h"

#include <gmime/gmime.h>

#include "smime/inspect.h"
#include "smime/part.h"

struct walk {
	struct slice message;
	const struct part_tree *tree;
	size_t next;
};

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	g_mime_init();
	return 0;
}

/* The bytes between the head and the boundary as GMime has them, encoded as they came. */
static GByteArray *
content_of(GMimePart *part)
{
	GMimeDataWrapper *wrapper = g_mime_part_get_content(part);
	GMimeStream *source = wrapper ? g_mime_data_wrapper_get_stream(wrapper) : NULL;
	GMimeStream *memory = g_mime_stream_mem_new();
	GByteArray *bytes = g_byte_array_new();

	g_mime_stream_mem_set_byte_array(GMIME_STREAM_MEM(memory), bytes);
	g_mime_stream_mem_set_owner(GMIME_STREAM_MEM(memory), FALSE);
	if (source) {
		g_mime_stream_reset(source);
		g_mime_stream_write_to_stream(source, memory);
	}
	g_object_unref(memory);
	return bytes;
}

/* GMime leaves the CR before a boundary that is the end of all bytes, without a line end; from a mail server none is. */
static struct slice
without_last_cr(const struct walk *walk, struct slice theirs)
{
	if (theirs.len > 0 && theirs.at[theirs.len - 1] == '\r' && walk->message.at[walk->message.len - 1] != '\n')
		theirs.len--;
	return theirs;
}

static void
compare_leaf(const struct walk *walk, const struct part *part, GMimePart *object)
{
	struct slice ours = { walk->message.at + part->body, part->end - part->body };
	GByteArray *theirs = content_of(object);
	struct slice all = { theirs->data, theirs->len };

	fuzz_must(slice_equal(ours, all) || slice_equal(ours, without_last_cr(walk, all)), "both cut the same bytes out for a leaf");
	g_byte_array_free(theirs, TRUE);
}

/* Depth is capped by part_scan(), and both trees are known to have the same form. */
static void
compare(struct walk *walk, GMimeObject *object)
{
	const struct part *part = &walk->tree->parts[walk->next++];

	fuzz_must(object != NULL && walk->next <= walk->tree->n_parts, "both count the same parts");
	if (GMIME_IS_MULTIPART(object)) {
		for (int i = 0; i < g_mime_multipart_get_count(GMIME_MULTIPART(object)); i++)
			compare(walk, g_mime_multipart_get_part(GMIME_MULTIPART(object), i));
	} else if (GMIME_IS_MESSAGE_PART(object)) {
		compare(walk, g_mime_message_get_mime_part(g_mime_message_part_get_message(GMIME_MESSAGE_PART(object))));
	} else if (part->body < part->end || GMIME_IS_PART(object)) {
		fuzz_must(GMIME_IS_PART(object), "what is no multipart and no message is a part");
		compare_leaf(walk, part, GMIME_PART(object));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct walk walk = { .message = { bytes, len } };
	AUTO_TREE struct part_tree tree = { 0 };
	struct message_facts facts = { 0 };
	GMimeMessage *message;
	GMimeParser *parser;
	GMimeStream *stream;
	struct err err;

	fuzz_must(smime_inspect(walk.message, &facts, &err) == 0, "bytes alone are never an error");
	if (facts.mime != MIME_CLEAR || facts.limit[0])
		return 0;
	part_scan(walk.message, &tree);
	walk.tree = &tree;
	stream = g_mime_stream_mem_new_with_buffer((const char *)bytes, len);
	parser = g_mime_parser_new_with_stream(stream);
	g_mime_parser_set_format(parser, GMIME_FORMAT_MESSAGE);
	message = g_mime_parser_construct_message(parser, NULL);
	fuzz_must(message != NULL, "what is clear GMime can read");
	compare(&walk, g_mime_message_get_mime_part(message));
	fuzz_must(walk.next == tree.n_parts, "both count the same parts");
	g_object_unref(message);
	g_object_unref(parser);
	g_object_unref(stream);
	return 0;
}
