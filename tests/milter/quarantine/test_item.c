/* Items as JSON: what goes in comes out; each field that is missing, unknown, of another type or too long is refused by its name. */
#include "milter/quarantine/item_field.h"
#include "milter/quarantine/item_json.h"
#include "tests/milter/quarantine/world.h"

AUTO_DEFINE(json_t, json_decref);

static json_t *
json_of(const struct item *item, bool own)
{
	struct err err = { 0 };
	json_t *json = item_to_json(item, own, &err);

	if (!json)
		fail_msg("%s", err.text);
	return json;
}

static void
test_round_trip(void **state)
{
	AUTO_ITEM struct item item = item_of(1), found = { 0 };
	AUTO(json_decref) json_t *json = json_of(&item, false), *again = NULL;
	struct err err = { 0 };

	(void)state;
	if (item_from_json(json, &found, &err) == -1)
		fail_msg("%s", err.text);
	again = json_of(&found, false);
	assert_true(json_equal(json, again));
	/* every field but our own is there, filled by the test (zero would be no proof), and came back the same */
	for (size_t i = 0; i < n_item_fields; i++) {
		const struct item_field *field = &item_fields[i];
		const json_t *value = json_object_get(json, field->name);

		assert_true(field->own == !value);
		if (field->own || field->kind == FIELD_OWNED)
			continue;
		assert_true(!json_is_false(value) && (!json_is_string(value) || json_string_length(value)));
		assert_memory_equal(field_in(field, &item), field_in(field, &found), field->kind == FIELD_TEXT ? strlen(field_text(field, &item)) + 1
		    : field->size);
	}
	assert_string_equal(found.recipients[0].parameters, "NOTIFY=NEVER");
	assert_string_equal(found.findings.at[1].evidence, "tls=y");
}

/* The table's names once each, and each kind of its size. */
static void
test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_item_fields; i++) {
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(item_fields[i].name, item_fields[j].name);
		assert_true(item_fields[i].kind != FIELD_NONE);
		assert_true((item_fields[i].kind == FIELD_WORD) == (item_fields[i].words != NULL));
		assert_true(item_fields[i].kind != FIELD_WORD || item_fields[i].size == sizeof(unsigned));
		assert_true(item_fields[i].kind != FIELD_HASH || item_fields[i].size == 32);
	}
}

static void
test_own(void **state)
{
	AUTO_ITEM struct item item = item_of(1), found = { 0 };
	AUTO(json_decref) json_t *json = NULL;
	struct err err = { 0 };

	(void)state;
	item.state = ITEM_SEEN;
	item.recipients[1].released_at = 5;
	json = json_of(&item, true);
	assert_string_equal(json_string_value(json_object_get(json, "state")), "ditinjau");
	assert_int_equal(json_integer_value(json_object_get(json, "expires")), item.expires);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(json, "recipients"), 1), "released_at")), 5);
	/* and a filter has no say in it */
	assert_int_equal(item_from_json(json, &found, &err), -1);
}

static int
refused(json_t *json, const char *name)
{
	struct item found = { 0 };
	struct err err = { 0 };
	int result = item_from_json(json, &found, &err);

	if (result == 0)
		item_done(&found);
	return result == -1 && err.kind == ERR_CONFIG && strstr(err.text, name) ? 0 : -1;
}

/* A copy with one field set to `value` (taken; NULL = left out). */
static void
expect_refused(const json_t *json, const char *name, json_t *value, const char *why)
{
	AUTO(json_decref) json_t *copy = json_deep_copy(json);

	if (value)
		assert_int_equal(json_object_set_new(copy, name, value), 0);
	else
		assert_int_equal(json_object_del(copy, name), 0);
	if (refused(copy, name) == -1)
		fail_msg("%s: %s", name, why);
}

static void
test_each_field(void **state)
{
	AUTO_ITEM struct item item = item_of(1);
	AUTO(json_decref) json_t *json = json_of(&item, false);

	(void)state;
	for (size_t i = 0; i < n_item_fields; i++) {
		const struct item_field *field = &item_fields[i];
		char *longer = repeat("a", field->size);

		if (field->own) {
			expect_refused(json, field->name, json_integer(1), "segel-reviewd's own");
			free(longer);
			continue;
		}
		expect_refused(json, field->name, NULL, "missing");
		expect_refused(json, field->name, json_null(), "null");
		expect_refused(json, field->name, json_array(), "a list");
		expect_refused(json, field->name, json_real(1.5), "a fraction");
		switch (field->kind) {
		case FIELD_TEXT:
		case FIELD_OWNED:
			expect_refused(json, field->name, json_string(longer), "too long");
			expect_refused(json, field->name, json_integer(1), "a number");
			break;
		case FIELD_HASH:
		case FIELD_WORD:
			expect_refused(json, field->name, json_string("x"), "another word");
			expect_refused(json, field->name, json_string(""), "no word");
			break;
		case FIELD_BOOL:
			expect_refused(json, field->name, json_integer(1), "a number");
			expect_refused(json, field->name, json_string("true"), "a text");
			break;
		case FIELD_TIME:
		case FIELD_SIZE:
		case FIELD_LONG:
		case FIELD_NUMBER:
			expect_refused(json, field->name, json_integer(-1), "negative");
			expect_refused(json, field->name, json_string("1"), "a text");
			break;
		case FIELD_NONE:
			break;
		}
		free(longer);
	}
}

static void
test_lists(void **state)
{
	AUTO_ITEM struct item item = item_of(1);
	AUTO(json_decref) json_t *json = json_of(&item, false);
	json_t *many = json_array(), *findings = json_array();
	char *longer = repeat("a", 400);

	(void)state;
	for (int i = 0; i <= LIMIT_RECIPIENTS; i++)
		json_array_append_new(many, json_pack("{s:s, s:s}", "address", "a@b", "parameters", ""));
	for (int i = 0; i <= MAX_FINDINGS; i++)
		json_array_append_new(findings, json_pack("{s:s, s:s}", "reason", "SIG_INVALID", "evidence", ""));
	expect_refused(json, "entah", json_integer(1), "unknown");
	expect_refused(json, "recipients", NULL, "missing");
	expect_refused(json, "recipients", json_array(), "none");
	expect_refused(json, "recipients", many, "too many");
	expect_refused(json, "recipients", json_pack("[s]", "a@b"), "texts");
	expect_refused(json, "recipients", json_pack("[{s:s}]", "address", "a@b"), "no parameters");
	expect_refused(json, "recipients", json_pack("[{s:s, s:s, s:i}]", "address", "a@b", "parameters", "", "released_at", 1), "one more");
	expect_refused(json, "recipients", json_pack("[{s:s, s:s}]", "address", "", "parameters", ""), "empty");
	expect_refused(json, "recipients", json_pack("[{s:s, s:s}]", "address", longer, "parameters", ""), "too long");
	expect_refused(json, "findings", NULL, "missing");
	expect_refused(json, "findings", findings, "too many");
	expect_refused(json, "findings_overflow", json_integer(0), "a number");
	expect_refused(json, "finding", json_array(), "unknown");
	expect_refused(json, "findings", json_pack("[{s:s, s:s}]", "reason", "SIG_INVALID", "evidence", longer), "too long");
	expect_refused(json, "findings", json_pack("[{s:s, s:s}]", "reason", "SIG_INVALID", "evidence", "a\nb"), "a line end");
	expect_refused(json, "id", json_string("../../../../../../../../etc/passwd"), "no id");
	expect_refused(json, "id", json_string("0123456789ABCDEF0123456789ABCDEF"), "upper case");
	expect_refused(json, "id", json_string("0123456789abcdef0123456789abcde"), "short");
	expect_refused(json, "action", json_string("accept"), "not held");
	expect_refused(json, "action", json_string("reject"), "not held");
	free(longer);
}

/* What was cut within a character still goes; what must go out as it came does not change on the way. */
static void
test_odd_bytes(void **state)
{
	AUTO_ITEM struct item item = item_of(1);
	AUTO(json_decref) json_t *json = NULL;
	struct err err = { 0 };

	(void)state;
	strcpy(item.subject, "Undangan \xe2\x82\xac \xe2\x82 \xff\xc0\x80 \xf0\x9f\x93");
	json = json_of(&item, false);
	assert_string_equal(json_string_value(json_object_get(json, "subject")), "Undangan \xe2\x82\xac ?? ??? ???");
	strcpy(item.sender, "a\xff@kota.go.id");
	assert_null(item_to_json(&item, false, &err));
	assert_non_null(strstr(err.text, "sender"));
	strcpy(item.sender, "a\xc3\xa9@kota.go.id");
	item.recipients[1].address[0] = (char)0xff;
	assert_null(item_to_json(&item, false, &err));
	assert_non_null(strstr(err.text, "recipient 2"));
}

static void
test_ids(void **state)
{
	char one[ITEM_ID_BYTES], two[ITEM_ID_BYTES];

	(void)state;
	assert_int_equal(item_new_id(one, NULL), 0);
	assert_int_equal(item_new_id(two, NULL), 0);
	assert_true(item_id_good(one) && item_id_good(two));
	assert_string_not_equal(one, two);
	assert_false(item_id_good(""));
	assert_false(item_id_good("0123456789abcdef0123456789abcdef0"));
	for (unsigned value = ITEM_UNKNOWN + 1; value < N_ITEM_STATES; value++)
		assert_int_equal(item_state_from(item_state_name((enum item_state)value)), value);
	assert_int_equal(item_state_from("unknown"), ITEM_UNKNOWN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_each_field),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_odd_bytes),
		cmocka_unit_test(test_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
