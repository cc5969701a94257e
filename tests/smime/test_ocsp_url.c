/* What is asked by GET: base64 whose '+', '/' and '=' are escaped. */
#include "tests/smime/world.h"

#include "smime/ocsp_url.h"

static const struct {
	const char *service;
	const char *request;
	const char *want;
} rows[] = {
	{ "http://o.example", "\xfb\xff\xbf", "http://o.example/%2B%2F%2B%2F" },
	{ "http://o.example/", "a", "http://o.example/YQ%3D%3D" },
	{ "http://o.example/ocsp", "ab", "http://o.example/ocsp/YWI%3D" },
	{ "http://o.example/ocsp/", "abc", "http://o.example/ocsp/YWJj" },
};

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO_BUF struct buf url = { 0 };
		struct slice request = heap_text(rows[i].request);

		buf_init(&url, 1000);
		ocsp_url(rows[i].service, request, &url);
		assert_string_equal(buf_text(&url), rows[i].want);
		heap_free(request);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
