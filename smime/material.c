#include "smime/material.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "smime/gm.h"

enum {
	HEAD_BYTES = 64,           /* enough to tell every DER form */
	WINDOW_BYTES = 16 * 1024,  /* decoded at a time */
	LABEL_BYTES = 64,          /* between BEGIN and PRIVATE KEY */
	CARRY_BYTES = 128,         /* more than one armour line: none is cut by the window's end */
};

/* ---- DER: the first bytes of a leaf ---- */

enum { TAG_INTEGER = 0x02, TAG_OCTETS = 0x04, TAG_OID = 0x06, TAG_SEQUENCE = 0x30 };

/* One value of which only the beginning may be at hand. */
struct value {
	struct slice bytes; /* what is at hand */
	size_t len;         /* as stated; SIZE_MAX = indefinite (BER, as many PKCS#12 writers use) */
};

static bool
take_length(struct slice *in, size_t *ret)
{
	size_t n;

	if (in->len == 0)
		return false;
	n = in->at[0];
	in->at++;
	in->len--;
	if (n <= 0x80) {
		*ret = n < 0x80 ? n : SIZE_MAX;
		return true;
	}
	n &= 0x7f;
	if (n > 4 || n > in->len)
		return false;
	for (*ret = 0; n; n--) {
		*ret = *ret << 8 | in->at[0];
		in->at++;
		in->len--;
	}
	return true;
}

/* The next value, if it has this tag; `in` then stands behind it. */
static bool
take_value(struct slice *in, unsigned char tag, struct value *ret)
{
	struct slice rest = *in;
	size_t len;

	if (rest.len < 2 || rest.at[0] != tag)
		return false;
	rest.at++;
	rest.len--;
	if (!take_length(&rest, &ret->len))
		return false;
	len = ret->len < rest.len ? ret->len : rest.len;
	ret->bytes = (struct slice){ rest.at, len };
	*in = (struct slice){ rest.at + len, rest.len - len };
	return true;
}

static bool
take_small(struct slice *in, unsigned *ret)
{
	struct value number;

	if (!take_value(in, TAG_INTEGER, &number) || number.len != 1 || number.bytes.len != 1)
		return false;
	*ret = number.bytes.at[0];
	return true;
}

static bool
begins_with_oid(struct slice sequence, const unsigned char *oid, size_t len)
{
	struct value found;

	return take_value(&sequence, TAG_OID, &found) && found.bytes.len >= len
	    && (len == 0 || memcmp(found.bytes.at, oid, len) == 0);
}

/* PFX: version 3, then a ContentInfo of data or signedData. */
static bool
is_pkcs12(struct slice in)
{
	static const unsigned char pkcs7[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07 };
	struct value safe;
	unsigned version;

	return take_small(&in, &version) && version == 3 && take_value(&in, TAG_SEQUENCE, &safe)
	    && begins_with_oid(safe.bytes, pkcs7, sizeof(pkcs7));
}

/* PrivateKeyInfo: version 0 or 1, algorithm, octets. A time stamp request has two sequences here. */
static bool
is_pkcs8(struct slice in)
{
	struct value algorithm, key;
	unsigned version;

	if (!take_small(&in, &version) || version > 1 || !take_value(&in, TAG_SEQUENCE, &algorithm)
	    || !begins_with_oid(algorithm.bytes, NULL, 0))
		return false;
	/* Parameters of DSA reach beyond what is at hand. */
	return algorithm.len > algorithm.bytes.len || take_value(&in, TAG_OCTETS, &key);
}

/* EncryptedPrivateKeyInfo: an algorithm of PKCS#5 or PKCS#12, which nothing else begins with. */
static bool
is_encrypted_pkcs8(struct slice in)
{
	static const unsigned char pkcs5[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05 };
	static const unsigned char pbe[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01 };
	struct value algorithm;

	return take_value(&in, TAG_SEQUENCE, &algorithm)
	    && (begins_with_oid(algorithm.bytes, pkcs5, sizeof(pkcs5)) || begins_with_oid(algorithm.bytes, pbe, sizeof(pbe)));
}

/* RSA's and DSA's old forms: version 0, then a number of 512 bits at least. */
static bool
is_rsa_or_dsa(struct slice in)
{
	struct value number;
	unsigned version;

	return take_small(&in, &version) && version == 0 && take_value(&in, TAG_INTEGER, &number) && number.len >= 64;
}

/* ECPrivateKey: version 1, then octets as long as the curve's numbers (128 to 571 bits). */
static bool
is_ec(struct slice in)
{
	struct value number;
	unsigned version;

	return take_small(&in, &version) && version == 1 && take_value(&in, TAG_OCTETS, &number) && number.len >= 16
	    && number.len <= 72;
}

static enum material
der_material(struct slice head)
{
	struct value outer;

	if (!take_value(&head, TAG_SEQUENCE, &outer))
		return MATERIAL_NONE;
	if (is_pkcs12(outer.bytes))
		return MATERIAL_PKCS12;
	if (is_pkcs8(outer.bytes) || is_encrypted_pkcs8(outer.bytes) || is_rsa_or_dsa(outer.bytes) || is_ec(outer.bytes))
		return MATERIAL_PRIVATE_KEY;
	return MATERIAL_NONE;
}

/* ---- armour ---- */

static const char private_key[] = "PRIVATE KEY";

static bool
begins_with(struct slice text, const char *word)
{
	size_t len = strlen(word);

	return text.len >= len && memcmp(text.at, word, len) == 0;
}

/* "-----BEGIN " and perhaps a kind ("RSA ", "OPENSSH ") right before `at`. */
static bool
is_begun(struct slice text, size_t at)
{
	static const char begin[] = "-----BEGIN ";
	const size_t len = sizeof(begin) - 1;

	for (size_t kind = 0; kind <= LABEL_BYTES && at >= len + kind; kind++) {
		unsigned char c = text.at[at - kind - 1];

		if (memcmp(text.at + at - kind - len, begin, len) == 0)
			return true;
		if (c != ' ' && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9'))
			return false;
	}
	return false;
}

/* What the words at `at` belong to. */
static bool
is_armour(struct slice text, size_t at)
{
	struct slice rest = { text.at + at + sizeof(private_key) - 1, text.len - at - (sizeof(private_key) - 1) };

	return (begins_with(rest, "-----") || begins_with(rest, " BLOCK-----")) && is_begun(text, at);
}

/* Stretch by stretch: checked builds look at all of what a search may read, each time it begins anew. */
static bool
holds_armour(struct slice text)
{
	const size_t len = sizeof(private_key) - 1;

	for (size_t from = 0; from < text.len;) {
		size_t left = text.len - from;
		size_t stretch = left < WINDOW_BYTES ? left : WINDOW_BYTES;
		const unsigned char *hit = memmem(text.at + from, stretch, private_key, len);

		if (hit && is_armour(text, (size_t)(hit - text.at)))
			return true;
		if (hit)
			from = (size_t)(hit - text.at) + len;
		else
			from += stretch < left ? stretch - len + 1 : stretch;
	}
	return false;
}

/* ---- a leaf's content, in pieces ---- */

struct content {
	unsigned char head[HEAD_BYTES];
	size_t n_head;
	unsigned char window[CARRY_BYTES + WINDOW_BYTES];
	size_t len;
	bool armour;
};

/* Looks at the window and keeps its end for the next look. */
static void
look(struct content *content)
{
	size_t kept = content->len < CARRY_BYTES ? content->len : CARRY_BYTES;

	content->armour = content->armour || holds_armour((struct slice){ content->window, content->len });
	memmove(content->window, content->window + content->len - kept, kept);
	content->len = kept;
}

static void
add(struct content *content, const unsigned char *bytes, size_t len)
{
	while (len) {
		size_t room = sizeof(content->window) - content->len;
		size_t part = len < room ? len : room;
		size_t to_head = HEAD_BYTES - content->n_head;

		to_head = part < to_head ? part : to_head;
		memcpy(content->head + content->n_head, bytes, to_head);
		content->n_head += to_head;
		memcpy(content->window + content->len, bytes, part);
		content->len += part;
		bytes += part;
		len -= part;
		if (content->len == sizeof(content->window))
			look(content);
	}
}

enum { NOT_BASE64 = 64, PADDING = 65 };

static void
base64_values(unsigned char values[256])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	memset(values, NOT_BASE64, 256);
	for (unsigned char i = 0; i < 64; i++)
		values[(unsigned char)digits[i]] = i;
	values['='] = PADDING;
}

/* Whole groups of four in a row, the usual case by far: as many as there are and fit. Returns the bytes read. */
static size_t
take_groups(struct slice text, const unsigned char values[256], unsigned char *out, size_t room, size_t *written)
{
	size_t i = 0;

	*written = 0;
	for (; text.len - i >= 4 && room - *written >= 3; i += 4, *written += 3) {
		const unsigned a = values[text.at[i]], b = values[text.at[i + 1]];
		const unsigned c = values[text.at[i + 2]], d = values[text.at[i + 3]];

		if ((a | b | c | d) >= NOT_BASE64)
			break;
		out[*written] = (unsigned char)(a << 2 | b >> 4);
		out[*written + 1] = (unsigned char)(b << 4 | c >> 2);
		out[*written + 2] = (unsigned char)(c << 6 | d);
	}
	return i;
}

/* Lenient: what is no base64 is skipped, and padding ends a group but not the text. */
static void
add_base64(struct content *content, struct slice text)
{
	unsigned char values[256], out[3 * 1024];
	unsigned bits = 0, n = 0;

	base64_values(values);
	for (size_t i = 0; i < text.len;) {
		size_t written = 0;
		unsigned value;

		if (n == 0) {
			i += take_groups((struct slice){ text.at + i, text.len - i }, values, out, sizeof(out), &written);
			add(content, out, written);
			if (written)
				continue;
		}
		value = values[text.at[i++]];
		if (value == NOT_BASE64)
			continue;
		if (value == PADDING) {
			n = 0;
			continue;
		}
		bits = bits << 6 | value;
		if (n++ > 0) {
			unsigned char byte = (unsigned char)(bits >> (8 - 2 * n) & 0xff);

			add(content, &byte, 1);
		}
		n %= 4;
	}
}

static int
hex_value(unsigned char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* A '=' at the beginning of `text`: how much of it belongs together; `*byte` is -1 for a soft line break. */
static size_t
take_escape(struct slice text, int *byte)
{
	size_t blank = 1;

	*byte = '=';
	if (text.len >= 3 && hex_value(text.at[1]) >= 0 && hex_value(text.at[2]) >= 0) {
		*byte = hex_value(text.at[1]) << 4 | hex_value(text.at[2]);
		return 3;
	}
	while (blank < text.len && blank < LIMIT_LINE_BYTES && (text.at[blank] == ' ' || text.at[blank] == '\t' || text.at[blank] == '\r'))
		blank++;
	if (blank < text.len && text.at[blank] != '\n')
		return 1;
	*byte = -1;
	return blank < text.len ? blank + 1 : blank;
}

static void
add_qp(struct content *content, struct slice text)
{
	while (text.len) {
		const unsigned char *escape = memchr(text.at, '=', text.len);
		size_t len = escape ? (size_t)(escape - text.at) : text.len;
		int byte = -1;

		add(content, text.at, len);
		if (escape)
			len += take_escape((struct slice){ escape, text.len - len }, &byte);
		if (byte >= 0) {
			unsigned char c = (unsigned char)byte;

			add(content, &c, 1);
		}
		text.at += len;
		text.len -= len;
	}
}

static enum material
found_in(struct slice head, bool armour)
{
	enum material found = der_material(head);

	return found == MATERIAL_NONE && armour ? MATERIAL_PRIVATE_KEY : found;
}

static enum material
decoded_material(struct slice body, void (*decode)(struct content *content, struct slice text))
{
	struct content content;

	content.n_head = 0;
	content.len = 0;
	content.armour = false;
	decode(&content, body);
	look(&content);
	return found_in((struct slice){ content.head, content.n_head }, content.armour);
}

static enum material
content_material(struct slice body, enum cte cte)
{
	switch (cte) {
	case CTE_BASE64:
		return decoded_material(body, add_base64);
	case CTE_QP:
		return decoded_material(body, add_qp);
	case CTE_UNKNOWN:
	case CTE_7BIT:
	case CTE_8BIT:
	case CTE_BINARY:
		break;
	}
	return found_in(body, holds_armour(body));
}

/* ---- what a leaf is called ---- */

static bool
is_pkcs12_type(const struct media *media)
{
	return media_is(media, "application", "x-pkcs12") || media_is(media, "application", "pkcs12");
}

static bool
is_pkcs12_name(const char *name)
{
	size_t len = strlen(name);

	/* Windows drops dots and blanks at a name's end, and so do people. */
	while (len && (name[len - 1] == '.' || name[len - 1] == ' '))
		len--;
	return len >= 4 && (strncasecmp(name + len - 4, ".p12", 4) == 0 || strncasecmp(name + len - 4, ".pfx", 4) == 0);
}

static bool
is_called_pkcs12(struct slice head_bytes)
{
	static const struct {
		const char *field;
		const char *param;
	} rows[] = {
		{ "Content-Type", "name" },
		{ "Content-Disposition", "filename" },
	};
	AUTO_HEAD struct head head = { 0 };

	head_scan(head_bytes, &head);
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		const struct field *field = head_find(&head, rows[i].field, 0);
		char name[GM_NAME_BYTES];

		if (field && gm_file_name(field->value, rows[i].param, name) && is_pkcs12_name(name))
			return true;
	}
	return false;
}

static enum material
leaf_material(struct slice message, const struct part *part, const char **by)
{
	*by = "media-type";
	if (is_pkcs12_type(&part->media))
		return MATERIAL_PKCS12;
	*by = "file-name";
	if (is_called_pkcs12((struct slice){ message.at + part->start, part->body - part->start }))
		return MATERIAL_PKCS12;
	*by = "content";
	return content_material((struct slice){ message.at + part->body, part->end - part->body }, part->cte);
}

void
material_find(struct slice message, const struct part_tree *tree, struct message_facts *ret)
{
	ret->material = MATERIAL_NONE;
	for (size_t i = 0; i < tree->n_parts && ret->material == MATERIAL_NONE; i++) {
		const char *by = "";

		if (tree->parts[i].kind != PART_LEAF)
			continue;
		ret->material = leaf_material(message, &tree->parts[i], &by);
		if (ret->material == MATERIAL_NONE)
			continue;
		ret->material_part = i + 1;
		snprintf(ret->material_by, sizeof(ret->material_by), "%s", by);
	}
}
