#include "smime/gm.h"

#include <pthread.h>
#include <string.h>
#include <strings.h>

#include <gmime/gmime.h>

enum { WRITE_BYTES = 16 * 1024 }; /* GMime's filters allocate thrice what they are given at once */

static inline __attribute__((unused)) void
auto_unref(void *owned)
{
	if (*(void **)owned)
		g_object_unref(*(void **)owned);
}

#define AUTO_OBJECT __attribute__((cleanup(auto_unref)))

static void
init(void)
{
	g_mime_init();
}

static void
init_once(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, init);
}

/* A walk through both trees at once. */
struct walk {
	const struct part_tree *tree;
	size_t next;
};

static const char *
compare_one(const struct part *part, GMimeObject *object, size_t depth)
{
	GMimeContentType *type = g_mime_object_get_content_type(object);
	enum part_kind kind = PART_LEAF;

	if (GMIME_IS_MULTIPART(object))
		kind = PART_MULTIPART;
	else if (GMIME_IS_MESSAGE_PART(object))
		kind = PART_MESSAGE;
	if (part->kind != kind || part->depth != depth)
		return "two readers nest its parts differently";
	if (!type || strcasecmp(g_mime_content_type_get_media_type(type), part->media.type) != 0
	    || strcasecmp(g_mime_content_type_get_media_subtype(type), part->media.subtype) != 0)
		return "two readers see different media types";
	return NULL;
}

static const char *compare(struct walk *walk, GMimeObject *object, size_t depth);

static const char *
compare_children(struct walk *walk, GMimeMultipart *multipart, size_t depth)
{
	const char *why = NULL;

	for (int i = 0; !why && i < g_mime_multipart_get_count(multipart); i++)
		why = compare(walk, g_mime_multipart_get_part(multipart, i), depth + 1);
	return why;
}

/* Recursion ends where our own tree does, and that is capped. */
static const char *
compare(struct walk *walk, GMimeObject *object, size_t depth)
{
	const char *why;

	if (!object || walk->next == walk->tree->n_parts)
		return "two readers count its parts differently";
	why = compare_one(&walk->tree->parts[walk->next++], object, depth);
	if (why)
		return why;
	if (GMIME_IS_MULTIPART(object))
		return compare_children(walk, GMIME_MULTIPART(object), depth);
	if (GMIME_IS_MESSAGE_PART(object)) {
		GMimeMessage *inner = g_mime_message_part_get_message(GMIME_MESSAGE_PART(object));

		return compare(walk, inner ? g_mime_message_get_mime_part(inner) : NULL, depth + 1);
	}
	return NULL;
}

/* GMime undoes the A-labels of a domain (RFC 5890 2.3.2.1): then its form with them must be what stands there. */
static bool
is_same_mailbox(InternetAddressList *list, const struct mailbox_facts *mailbox)
{
	InternetAddress *address;
	const char *spec;

	if (!list || internet_address_list_length(list) != 1)
		return false;
	address = internet_address_list_get_address(list, 0);
	if (!INTERNET_ADDRESS_IS_MAILBOX(address))
		return false;
	spec = internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(address));
	if (spec && strcmp(spec, mailbox->address) == 0)
		return true;
	spec = internet_address_mailbox_get_idn_addr(INTERNET_ADDRESS_MAILBOX(address));
	return spec && strcmp(spec, mailbox->address) == 0;
}

static GMimeMessage *
parse(GByteArray *bytes)
{
	AUTO_OBJECT GMimeStream *stream = g_mime_stream_mem_new();
	AUTO_OBJECT GMimeParser *parser = NULL;

	g_mime_stream_mem_set_byte_array(GMIME_STREAM_MEM(stream), bytes);
	parser = g_mime_parser_new_with_stream(stream);
	g_mime_parser_set_format(parser, GMIME_FORMAT_MESSAGE);
	g_mime_parser_set_persist_stream(parser, TRUE);
	return g_mime_parser_construct_message(parser, NULL);
}

const char *
gm_disagrees(struct slice message, const struct part_tree *tree, const struct mailbox_facts *from,
    const struct mailbox_facts *sender)
{
	/* Only read, and only while this function runs: the stream does not own it. */
	GByteArray bytes = { .data = (guint8 *)(uintptr_t)message.at, .len = (guint)message.len };
	struct walk walk = { .tree = tree };
	AUTO_OBJECT GMimeMessage *read = NULL;
	const char *why;

	init_once();
	read = parse(&bytes);
	if (!read)
		return "GMime cannot read it";
	why = compare(&walk, g_mime_message_get_mime_part(read), 1);
	if (!why && walk.next != tree->n_parts)
		why = "two readers count its parts differently";
	if (!why && from->state == MAILBOX_ONE && !is_same_mailbox(g_mime_message_get_from(read), from))
		why = "two readers see different From addresses";
	if (!why && sender->state == MAILBOX_ONE && !is_same_mailbox(g_mime_message_get_sender(read), sender))
		why = "two readers see different Sender addresses";
	return why;
}

bool
gm_file_name(struct slice value, const char *param, char ret[GM_NAME_BYTES])
{
	AUTO(xfree) char *text = slice_dup(value);
	AUTO_OBJECT GMimeParamList *list = NULL;
	const char *params = strchr(text, ';'), *name;
	GMimeParam *found;
	size_t len;

	init_once();
	list = params ? g_mime_param_list_parse(NULL, params + 1) : NULL;
	found = list ? g_mime_param_list_get_parameter(list, param) : NULL;
	name = found ? g_mime_param_get_value(found) : NULL;
	if (!name)
		return false;
	len = strlen(name);
	name += len < GM_NAME_BYTES ? 0 : len - (GM_NAME_BYTES - 1);
	memcpy(ret, name, strlen(name) + 1);
	return true;
}

char *
gm_decoded_text(struct slice value)
{
	AUTO(xfree) char *text = slice_dup(value);

	init_once();
	return g_mime_utils_header_decode_text(NULL, text);
}

/* GMime's own way of writing the list it has read, names decoded; free with g_free. */
static char *
written_list(struct slice value)
{
	AUTO(xfree) char *text = slice_dup(value);
	AUTO_OBJECT InternetAddressList *list = internet_address_list_parse(NULL, text);

	return list ? internet_address_list_to_string(list, NULL, FALSE) : NULL;
}

bool
gm_same_addresses(struct slice a, struct slice b)
{
	char *left;
	char *right;
	bool same;

	init_once();
	left = written_list(a);
	right = written_list(b);
	same = left && right && strcmp(left, right) == 0;
	g_free(left);
	g_free(right);
	return same;
}

/* Groups within groups are no deeper than LIMIT_ADDRESS_MARKS lets a field be. */
static void
each_address(InternetAddressList *list, void (*each)(void *ctx, const char *addr_spec), void *ctx)
{
	for (int i = 0; list && i < internet_address_list_length(list); i++) {
		InternetAddress *address = internet_address_list_get_address(list, i);

		if (INTERNET_ADDRESS_IS_GROUP(address))
			each_address(internet_address_group_get_members(INTERNET_ADDRESS_GROUP(address)), each, ctx);
		else if (INTERNET_ADDRESS_IS_MAILBOX(address) && internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(address)))
			each(ctx, internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(address)));
	}
}

void
gm_each_address(struct slice value, void (*each)(void *ctx, const char *addr_spec), void *ctx)
{
	AUTO(xfree) char *text = slice_dup(value);
	AUTO_OBJECT InternetAddressList *list = NULL;

	init_once();
	list = internet_address_list_parse(NULL, text);
	each_address(list, each, ctx);
}

static void
add_filter(GMimeStream *stream, GMimeFilter *filter)
{
	g_mime_stream_filter_add(GMIME_STREAM_FILTER(stream), filter);
	g_object_unref(filter);
}

static void
write_all(GMimeStream *stream, struct slice bytes)
{
	while (bytes.len) {
		size_t len = bytes.len < WRITE_BYTES ? bytes.len : WRITE_BYTES;

		g_mime_stream_write(stream, (const char *)bytes.at, len);
		bytes.at += len;
		bytes.len -= len;
	}
}

static void *
take_bytes(GByteArray *array, size_t *ret_len)
{
	*ret_len = array->len;
	return g_byte_array_free(array, FALSE);
}

void *
gm_base64(const struct slice *pieces, size_t n_pieces, size_t *ret_len)
{
	AUTO_OBJECT GMimeStream *memory = NULL;
	AUTO_OBJECT GMimeStream *stream = NULL;
	GByteArray *array;
	size_t len = 0;

	init_once();
	for (size_t i = 0; i < n_pieces; i++)
		len += pieces[i].len;
	array = g_byte_array_sized_new((guint)(len + len / 57 * 21 + 1024));
	memory = g_mime_stream_mem_new();
	g_mime_stream_mem_set_byte_array(GMIME_STREAM_MEM(memory), array);
	stream = g_mime_stream_filter_new(memory);
	add_filter(stream, g_mime_filter_basic_new(GMIME_CONTENT_ENCODING_BASE64, TRUE));
	add_filter(stream, g_mime_filter_unix2dos_new(FALSE));
	for (size_t i = 0; i < n_pieces; i++)
		write_all(stream, pieces[i]);
	g_mime_stream_flush(stream);
	return take_bytes(array, ret_len);
}

/* The head is always the same; building a part object for it takes longer than a P-256 signature. */
void *
gm_signature_part(struct slice der, size_t *ret_len)
{
	static const char head[] = "Content-Type: application/pkcs7-signature; name=smime.p7s\r\n"
	    "Content-Disposition: attachment; filename=smime.p7s\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\n";
	size_t len = 0;
	char *text = gm_base64(&der, 1, &len);
	char *part = g_malloc(sizeof(head) - 1 + len);

	memcpy(part, head, sizeof(head) - 1);
	memcpy(part + sizeof(head) - 1, text, len);
	g_free(text);
	*ret_len = sizeof(head) - 1 + len;
	return part;
}

void
gm_free(void *block)
{
	g_free(block);
}

void
gm_library(struct buf *ret)
{
	buf_printf(ret, "  GMime %u.%u.%u\n", gmime_major_version, gmime_minor_version, gmime_micro_version);
}
