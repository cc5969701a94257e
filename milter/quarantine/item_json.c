#include "milter/quarantine/item_json.h"

#include <stdlib.h>
#include <string.h>

#include "milter/quarantine/item_field.h"
#include "smime/cert.h"

AUTO_DEFINE(json_t, json_decref);

/* A character of valid UTF-8 (as jansson sees it) at `text`; 0 = none. */
static size_t
character(const char *text)
{
	size_t len = 1;

	while (len < 4 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len++;
	/* The longest that is whole: bytes that follow may belong to nothing. */
	for (; len > 0; len--) {
		json_t *one = json_stringn(text, len);
		bool good = one != NULL;

		json_decref(one);
		if (good)
			return len;
	}
	return 0;
}

/* Texts were cut to fit, perhaps within a character. */
static json_t *
mended(const char *text)
{
	AUTO(xfree) char *copy = xstrdup(text);
	size_t at = 0;

	while (copy[at]) {
		size_t len = (unsigned char)copy[at] < 0x80 ? 1 : character(copy + at);

		if (len == 0)
			copy[at] = '?';
		at += len ? len : 1;
	}
	return json_string(copy);
}

static json_t *
text_json(const char *text, bool exact)
{
	json_t *plain = json_string(text);

	return plain || exact ? plain : mended(text);
}

static json_t *
hash_json(const unsigned char hash[32])
{
	char hex[65];

	sha256_hex(hash, hex);
	return json_string(hex);
}

static json_t *
field_json(const struct item_field *field, const struct item *item)
{
	switch (field->kind) {
	case FIELD_TEXT:
	case FIELD_OWNED:
		return text_json(field_text(field, item), field->exact);
	case FIELD_HASH:
		return hash_json(field_in(field, item));
	case FIELD_WORD:
		return json_string(field->words->name(field_word(field, item)));
	case FIELD_BOOL:
		return json_boolean(field_number(field, item));
	case FIELD_TIME:
	case FIELD_SIZE:
	case FIELD_LONG:
	case FIELD_NUMBER:
		return json_integer(field_number(field, item));
	case FIELD_NONE:
		break;
	}
	return NULL;
}

static int
add_fields(const struct item *item, bool own, json_t *object, struct err *err)
{
	for (size_t i = 0; i < n_item_fields; i++) {
		const struct item_field *field = &item_fields[i];

		if (field->own && !own)
			continue;
		if (json_object_set_new(object, field->name, field_json(field, item)) == -1)
			return err_set(err, ERR_TEMP, "%s of the message is no valid UTF-8, and cannot be kept as it came", field->name);
	}
	return 0;
}

static int
add_findings(const struct findings *findings, json_t *object, struct err *err)
{
	json_t *list = json_array();

	json_object_set_new(object, "findings", list);
	json_object_set_new(object, "findings_overflow", json_boolean(findings->overflow));
	for (size_t i = 0; i < findings->n; i++) {
		json_t *one = json_pack("{s:s, s:o}", "reason", reason_word(findings->at[i].reason), "evidence",
		    mended(findings->at[i].evidence));

		if (json_array_append_new(list, one) == -1)
			return err_set(err, ERR_BUG, "finding %zu cannot be written", i);
	}
	return 0;
}

static int
add_recipients(const struct item *item, bool own, json_t *object, struct err *err)
{
	json_t *list = json_array();

	json_object_set_new(object, "recipients", list);
	for (size_t i = 0; i < item->n_recipients; i++) {
		const struct item_recipient *recipient = &item->recipients[i];
		json_t *one = json_pack("{s:s, s:s}", "address", recipient->address, "parameters",
		    recipient->parameters ? recipient->parameters : "");

		if (json_array_append_new(list, one) == -1)
			return err_set(err, ERR_TEMP, "recipient %zu is no valid UTF-8, and cannot be kept as it came", i + 1);
		if (own)
			json_object_set_new(one, "released_at", json_integer(recipient->released_at));
	}
	return 0;
}

json_t *
item_to_json(const struct item *item, bool own, struct err *err)
{
	AUTO(json_decref) json_t *object = json_object();

	if (add_fields(item, own, object, err) == -1 || add_findings(&item->findings, object, err) == -1
	    || add_recipients(item, own, object, err) == -1)
		return NULL;
	return TAKE(object);
}

static int
refuse(struct err *err, const char *where, const char *name, const char *what)
{
	return err_set(err, ERR_CONFIG, "an item whose %s%s %s", where, name, what);
}

static int
read_text(const struct item_field *field, const json_t *value, struct item *ret, struct err *err)
{
	if (!json_is_string(value))
		return refuse(err, "", field->name, "is no text");
	if (!field_set_text(field, ret, json_string_value(value)))
		return err_set(err, ERR_CONFIG, "an item whose %s has %zu bytes; want at most %zu", field->name, json_string_length(value),
		    field->size - 1);
	return 0;
}

static int
read_hash(const struct item_field *field, const json_t *value, struct item *ret, struct err *err)
{
	if (!json_is_string(value) || json_string_length(value) != 64 || !sha256_from_hex(json_string_value(value), field_of(field, ret)))
		return refuse(err, "", field->name, "is none of 64 hex digits");
	return 0;
}

static int
read_word(const struct item_field *field, const json_t *value, struct item *ret, struct err *err)
{
	unsigned word;

	if (!json_is_string(value) || !field->words->from(json_string_value(value), &word))
		return err_set(err, ERR_CONFIG, "an item whose %s is '%.40s'; want %s", field->name,
		    json_is_string(value) ? json_string_value(value) : "no text", field->words->wanted);
	memcpy(field_of(field, ret), &word, sizeof(word));
	return 0;
}

static int
read_number(const struct item_field *field, const json_t *value, struct item *ret, struct err *err)
{
	if (!json_is_integer(value) || !field_set_number(field, ret, json_integer_value(value)))
		return refuse(err, "", field->name, "is no number, or a negative one");
	return 0;
}

static int
read_field(const struct item_field *field, const json_t *value, struct item *ret, struct err *err)
{
	switch (field->kind) {
	case FIELD_TEXT:
	case FIELD_OWNED:
		return read_text(field, value, ret, err);
	case FIELD_HASH:
		return read_hash(field, value, ret, err);
	case FIELD_WORD:
		return read_word(field, value, ret, err);
	case FIELD_BOOL:
		if (!json_is_boolean(value))
			return refuse(err, "", field->name, "is neither true nor false");
		*(bool *)field_of(field, ret) = json_is_true(value);
		return 0;
	case FIELD_TIME:
	case FIELD_SIZE:
	case FIELD_LONG:
	case FIELD_NUMBER:
		return read_number(field, value, ret, err);
	case FIELD_NONE:
		break;
	}
	return refuse(err, "", field->name, "is of no kind");
}

static int
read_fields(const json_t *object, struct item *ret, struct err *err)
{
	for (size_t i = 0; i < n_item_fields; i++) {
		const struct item_field *field = &item_fields[i];
		const json_t *value = json_object_get(object, field->name);

		if (field->own)
			continue;
		if (!value)
			return refuse(err, "", field->name, "is missing");
		if (read_field(field, value, ret, err) == -1)
			return -1;
	}
	return 0;
}

/* Two texts of an object that has nothing else. */
static bool
two_texts(const json_t *object, const char *first, const char *second, const char **a, const char **b)
{
	json_t *x = json_object_get(object, first), *y = json_object_get(object, second);

	if (!json_is_string(x) || !json_is_string(y) || json_object_size(object) != 2)
		return false;
	*a = json_string_value(x);
	*b = json_string_value(y);
	return true;
}

static bool
is_plain(const char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			return false;
	return true;
}

static int
read_finding(const json_t *object, struct findings *ret, struct err *err)
{
	const char *word, *evidence;

	if (!two_texts(object, "reason", "evidence", &word, &evidence))
		return refuse(err, "findings", "", "are none of reason and evidence");
	if (reason_from(word) == REASON_UNKNOWN)
		return err_set(err, ERR_CONFIG, "an item with a finding '%.40s', which is none", word);
	if (strlen(evidence) >= sizeof(ret->at[0].evidence) || !is_plain(evidence))
		return refuse(err, "findings", "", "have evidence that is too long or no printable ASCII");
	finding_add(ret, reason_from(word), "%s", evidence);
	return 0;
}

static int
read_findings(const json_t *object, struct findings *ret, struct err *err)
{
	const json_t *list = json_object_get(object, "findings");
	const json_t *overflow = json_object_get(object, "findings_overflow");

	if (!json_is_array(list) || json_array_size(list) > MAX_FINDINGS)
		return refuse(err, "findings", "", "are missing, no list, or too many");
	if (!json_is_boolean(overflow))
		return refuse(err, "findings_overflow", "", "is missing, or neither true nor false");
	for (size_t i = 0; i < json_array_size(list); i++)
		if (read_finding(json_array_get(list, i), ret, err) == -1)
			return -1;
	ret->overflow = json_is_true(overflow);
	return 0;
}

static int
read_recipient(const json_t *object, struct item *ret, struct err *err)
{
	const char *address, *parameters;

	if (!two_texts(object, "address", "parameters", &address, &parameters))
		return refuse(err, "recipients", "", "are none of address and parameters");
	if (!*address || strlen(address) > LIMIT_ADDRESS_BYTES || strlen(parameters) > ITEM_PARAMETER_BYTES)
		return refuse(err, "recipients", "", "have an empty address, or one or parameters that are too long");
	ret->recipients[ret->n_recipients++] = (struct item_recipient){ .address = xstrdup(address), .parameters = xstrdup(parameters) };
	return 0;
}

static int
read_recipients(const json_t *object, struct item *ret, struct err *err)
{
	const json_t *list = json_object_get(object, "recipients");
	size_t n = json_array_size(list);

	if (n == 0 || n > LIMIT_RECIPIENTS)
		return refuse(err, "recipients", "", "are missing, no list, or too many");
	ret->recipients = xcalloc(n, sizeof(*ret->recipients));
	for (size_t i = 0; i < n; i++)
		if (read_recipient(json_array_get(list, i), ret, err) == -1)
			return -1;
	return 0;
}

static bool
is_known(const char *name)
{
	for (size_t i = 0; i < n_item_fields; i++)
		if (!item_fields[i].own && strcmp(item_fields[i].name, name) == 0)
			return true;
	return strcmp(name, "findings") == 0 || strcmp(name, "findings_overflow") == 0 || strcmp(name, "recipients") == 0;
}

static int
check_known(const json_t *object, struct err *err)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, name, value)
		if (!is_known(name))
			return err_set(err, ERR_CONFIG, "an item with a field '%.40s', which no item has", name);
	return 0;
}

int
item_from_json(const json_t *object, struct item *ret, struct err *err)
{
	AUTO_ITEM struct item item = { 0 };

	if (!json_is_object(object))
		return err_set(err, ERR_CONFIG, "an item that is no JSON object");
	if (check_known(object, err) == -1 || read_fields(object, &item, err) == -1 || read_findings(object, &item.findings, err) == -1
	    || read_recipients(object, &item, err) == -1)
		return -1;
	if (!item_id_good(item.id))
		return err_set(err, ERR_CONFIG, "an item whose id is '%.40s'; want 32 hex digits", item.id);
	*ret = item;
	item = (struct item){ 0 };
	return 0;
}
