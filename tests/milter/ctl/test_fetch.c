/* Which URLs and which addresses may be asked. What servers may do to us: tests/e2e/test_trust.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "milter/ctl/fetch.h"

static const struct {
	const char *url;
	const char *want; /* part of the refusal; NULL = may be asked */
} urls[] = {
	{ "http://crl.example.go.id/root.crl", NULL },
	{ "https://crl.example.go.id:8443/a/b.crl?x=1&y=%20", NULL },
	{ "http://192.0.2.1/x", NULL }, /* the address is for the socket to refuse */
	{ "http://[2001:db8::1]:81/x", NULL },
	{ "HTTP://crl.example.go.id", NULL },
	{ "", "no URL" },
	{ "crl.example.go.id/root.crl", "no URL" },
	{ "http:///root.crl", "no URL" },
	{ "http://crl.example.go.id/a b", "without blanks" },
	{ "http://crl.example.go.id/a\nPurpose: official", "without blanks" },
	{ "http://crl.example.go.id/\xc3\xa9", "ASCII" },
	{ "http://crl.example.go.id/\x7f", "ASCII" },
	{ "http://user@crl.example.go.id/", "login" },
	{ "http://user:word@crl.example.go.id/", "login" },
	{ "http://crl.example.go.id/#part", "fragment" },
	{ "file:///etc/passwd", "no URL" },
	{ "file://localhost/etc/passwd", "only http and https" },
	{ "ftp://crl.example.go.id/root.crl", "only http and https" },
	{ "ldap://crl.example.go.id/root", "only http and https" },
	{ "gopher://crl.example.go.id/", "only http and https" },
	{ "http://crl.example.go.id:99999/", "no URL" },
};

static void
test_urls(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(urls); i++) {
		struct err err = { 0 };
		int result = fetch_check_url(urls[i].url, &err);

		if (result != (urls[i].want ? -1 : 0) || (urls[i].want && !strstr(err.text, urls[i].want)))
			fail_msg("'%s': %d '%s', wanted '%s'", urls[i].url, result, err.text, urls[i].want ? urls[i].want : "good");
	}
}

static void
test_long_url(void **state)
{
	char url[1200] = "http://crl.example.go.id/";
	struct err err = { 0 };

	(void)state;
	memset(url + strlen(url), 'a', 1024 - strlen(url));
	assert_int_equal(fetch_check_url(url, &err), 0);
	url[1024] = 'a';
	assert_int_equal(fetch_check_url(url, &err), -1);
}

static const struct {
	const char *address;
	bool want;
} addresses[] = {
	{ "8.8.8.8", false }, { "103.10.1.1", false }, { "2001:4860:4860::8888", false }, { "2400:cb00::1", false },
	{ "0.0.0.0", true }, { "10.0.0.1", true }, { "11.0.0.1", false }, { "100.63.255.255", false }, { "100.64.0.0", true },
	{ "127.0.0.1", true }, { "127.255.255.254", true }, { "128.0.0.1", false }, { "169.254.169.254", true },
	{ "172.15.255.255", false }, { "172.16.0.1", true }, { "172.31.255.255", true }, { "172.32.0.1", false },
	{ "192.168.0.1", true }, { "192.167.255.255", false }, { "198.18.0.1", true }, { "203.0.113.7", true },
	{ "223.255.255.255", false }, { "224.0.0.1", true }, { "239.1.1.1", true }, { "255.255.255.255", true },
	{ "::", true }, { "::1", true }, { "fe80::1", true }, { "fc00::1", true }, { "fd12::1", true }, { "ff02::1", true },
	{ "::ffff:127.0.0.1", true }, { "::ffff:10.0.0.1", true }, { "::ffff:8.8.8.8", false }, { "::127.0.0.1", true },
	{ "64:ff9b::7f00:1", true }, { "64:ff9b::808:808", true }, { "2002:7f00:1::1", true }, { "2001:0:1::1", true },
	{ "2001:db8::1", true }, { "fe80::1%lo", true }, { "", true }, { "local", true },
};

static void
test_addresses(void **state)
{
	static const struct text_list none = { 0 };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(addresses); i++)
		if (fetch_is_private(&none, addresses[i].address) != addresses[i].want)
			fail_msg("'%s': wanted %d", addresses[i].address, addresses[i].want);
}

static void
test_listed(void **state)
{
	char block[] = "10.20.0.0/16", one[] = "fd12::1";
	char *texts[] = { block, one };
	const struct text_list listed = { texts, N_ELEMENTS(texts) };

	(void)state;
	assert_false(fetch_is_private(&listed, "10.20.1.1"));
	assert_false(fetch_is_private(&listed, "::ffff:10.20.1.1"));
	assert_true(fetch_is_private(&listed, "10.21.1.1"));
	assert_false(fetch_is_private(&listed, "fd12::1"));
	assert_true(fetch_is_private(&listed, "fd12::2"));
	assert_true(fetch_is_private(&listed, "127.0.0.1"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_long_url),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
