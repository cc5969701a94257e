/* Endpoints: this machine alone, or refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "policy/endpoint.h"

#define LONG_PATH "/run/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

static const struct {
	const char *name, *text;
	int want_family; /* 0 = refused */
} rows[] = {
	{ "UNIX socket", "/run/segel/metrics.sock", AF_UNIX },
	{ "path of 107 bytes", LONG_PATH "ab", AF_UNIX },
	{ "path of 108 bytes", LONG_PATH "abc", 0 },
	{ "relative path", "run/metrics.sock", 0 },
	{ "IPv4 loopback", "127.0.0.1:9464", AF_INET },
	{ "another loopback address", "127.9.9.9:9464", AF_INET },
	{ "IPv4 of others", "192.0.2.1:9464", 0 },
	{ "any IPv4", "0.0.0.0:9464", 0 },
	{ "name", "localhost:9464", 0 },
	{ "IPv6 loopback", "[::1]:9464", AF_INET6 },
	{ "IPv6 without brackets", "::1:9464", 0 },
	{ "any IPv6", "[::]:9464", 0 },
	{ "IPv4 loopback as IPv6", "[::ffff:127.0.0.1]:9464", 0 },
	{ "IPv4 in brackets", "[127.0.0.1]:9464", 0 },
	{ "highest port", "127.0.0.1:65535", AF_INET },
	{ "port too high", "127.0.0.1:65536", 0 },
	{ "port zero", "127.0.0.1:0", 0 },
	{ "no port", "127.0.0.1:", 0 },
	{ "no colon", "127.0.0.1", 0 },
	{ "word behind the port", "127.0.0.1:9464x", 0 },
	{ "sign", "127.0.0.1:+9464", 0 },
	{ "empty", "", 0 },
	{ "only a bracket", "[", 0 },
	{ "empty brackets", "[]:9464", 0 },
};

static void
endpoints(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO(xfree) char *text = xstrdup(rows[i].text); /* exactly sized, for the sanitizer */
		struct endpoint endpoint;
		struct err err = { ERR_NONE, "" };
		int result = endpoint_from(text, &endpoint, &err);

		if ((result == 0 ? endpoint.address.ss_family : 0) != rows[i].want_family)
			fail_msg("%s: %d %s", rows[i].name, result, err.text);
		if (result == -1 && (err.kind != ERR_CONFIG || !strstr(err.text, "wanted")))
			fail_msg("%s: the error does not say what is wanted: %s", rows[i].name, err.text);
		if (result == 0 && (endpoint.path != NULL) != (rows[i].want_family == AF_UNIX))
			fail_msg("%s: path", rows[i].name);
	}
}

static void
bytes_are_those_of_the_text(void **state)
{
	struct endpoint endpoint;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un un;
	struct err err;

	(void)state;
	assert_int_equal(endpoint_from("127.0.0.1:9464", &endpoint, &err), 0);
	memcpy(&v4, &endpoint.address, sizeof(v4));
	assert_int_equal(v4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(v4.sin_port, htons(9464));
	assert_int_equal(endpoint.len, sizeof(v4));
	assert_int_equal(endpoint_from("[::1]:80", &endpoint, &err), 0);
	memcpy(&v6, &endpoint.address, sizeof(v6));
	assert_int_equal(v6.sin6_port, htons(80));
	assert_int_equal(endpoint_from("/run/a.sock", &endpoint, &err), 0);
	memcpy(&un, &endpoint.address, sizeof(un));
	assert_string_equal(un.sun_path, "/run/a.sock");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints),
		cmocka_unit_test(bytes_are_those_of_the_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
