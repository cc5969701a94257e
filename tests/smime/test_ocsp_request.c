/* What we ask, as openssl reads it; and whether openssl's answers are to our question. */
#include "tests/smime/world.h"

#include "smime/cert.h"
#include "smime/ocsp_request.h"

static struct world world;
static struct buf leaf, other, issuer;

#define DATES "--from -1d --to +1d --key p256"

static void
read_der(const char *name, struct buf *ret)
{
	struct slice file = read_file(name);
	struct err err = { 0 };

	assert_int_equal(cert_read(file, ret, &err), 0);
	heap_free(file);
}

static int
setup(void **state)
{
	(void)state;
	world_open(&world);
	mkpki(&world, "--out ca --ca --cn CA " DATES);
	mkpki(&world, "--out leaf --ca-of ca --cn leaf --email a@b.example --usage sign " DATES);
	mkpki(&world, "--out other --ca-of ca --cn other --email a@b.example --usage sign " DATES);
	read_der("leaf.crt", &leaf);
	read_der("other.crt", &other);
	read_der("ca.crt", &issuer);
	return run("serial() { openssl x509 -in $1.crt -noout -serial | cut -d= -f2; }; for c in leaf other; do"
	    " printf 'V\\t350101000000Z\\t\\t%%s\\tunknown\\t/CN=%%s\\n' $(serial $c) $c; done >index");
}

static int
teardown(void **state)
{
	(void)state;
	buf_done(&leaf);
	buf_done(&other);
	buf_done(&issuer);
	world_close(&world);
	return 0;
}

static void
ask(const struct buf *cert, bool nonce, struct buf *ret, const char *file)
{
	struct err err = { 0 };
	FILE *out;

	assert_int_equal(ocsp_request(buf_slice(cert), buf_slice(&issuer), nonce, ret, &err), 0);
	out = fopen(file, "w");
	assert_non_null(out);
	assert_int_equal(fwrite(ret->at, 1, ret->len, out), ret->len);
	assert_int_equal(fclose(out), 0);
}

#define ANSWER "openssl ocsp -index index -CA ca.crt -rsigner ca.crt -rkey ca.key -reqin %s -respout %s -ndays 1 >log 2>&1"

static void
test_request(void **state)
{
	AUTO_BUF struct buf with = { 0 };
	AUTO_BUF struct buf without = { 0 };
	AUTO_BUF struct buf again = { 0 };

	(void)state;
	ask(&leaf, true, &with, "with.req");
	ask(&leaf, false, &without, "without.req");
	assert_int_equal(run("openssl ocsp -reqin with.req -text | grep -q 'OCSP Nonce'"), 0);
	assert_int_equal(run("openssl ocsp -reqin without.req -text | grep -q 'OCSP Nonce'"), 1);
	assert_int_equal(run("for f in with without; do openssl ocsp -reqin $f.req -text | grep -q \"Serial Number: 0*$(openssl x509 -in"
	    " leaf.crt -noout -serial | cut -d= -f2)\" || exit 1; done"), 0);
	ask(&leaf, true, &again, "again.req");
	assert_false(slice_equal(buf_slice(&with), buf_slice(&again))); /* a nonce is used once */
}

static void
test_nonce(void **state)
{
	static const struct {
		const char *request; /* what was asked */
		const char *answered; /* what the answer was made for */
		enum ocsp_nonce want;
	} rows[] = {
		{ "a.req", "a.req", OCSP_NONCE_SAME }, { "a.req", "b.req", OCSP_NONCE_OTHER }, { "a.req", "plain.req", OCSP_NONCE_ABSENT },
		{ "plain.req", "plain.req", OCSP_NONCE_ABSENT }, { "plain.req", "a.req", OCSP_NONCE_ABSENT },
	};
	AUTO_BUF struct buf a = { 0 };
	AUTO_BUF struct buf b = { 0 };
	AUTO_BUF struct buf plain = { 0 };

	(void)state;
	ask(&leaf, true, &a, "a.req");
	ask(&leaf, true, &b, "b.req");
	ask(&leaf, false, &plain, "plain.req");
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct slice request, response;
		enum ocsp_nonce found;

		assert_int_equal(run(ANSWER, rows[i].answered, "answer"), 0);
		request = read_file(rows[i].request);
		response = read_file("answer");
		found = ocsp_nonce_of(request, response);
		if (found != rows[i].want)
			fail_msg("%s by %s: %d, wanted %d", rows[i].request, rows[i].answered, found, rows[i].want);
		response.len--;
		assert_int_equal(ocsp_nonce_of(request, response), OCSP_NONCE_OTHER);
		response.len = 0;
		assert_int_equal(ocsp_nonce_of(request, response), OCSP_NONCE_OTHER);
		heap_free(request);
		heap_free(response);
	}
}

static void
test_no_certificate(void **state)
{
	AUTO_BUF struct buf request = { 0 };
	struct slice none = { NULL, 0 }, part = buf_slice(&leaf);
	struct err err = { 0 };

	(void)state;
	part.len--;
	assert_int_equal(ocsp_request(none, buf_slice(&issuer), true, &request, &err), -1);
	assert_int_equal(ocsp_request(part, buf_slice(&issuer), true, &request, &err), -1);
	assert_int_equal(ocsp_request(buf_slice(&leaf), none, true, &request, &err), -1);
}

static void
test_url(void **state)
{
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

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO_BUF struct buf url = { 0 };

		buf_init(&url, 1000);
		ocsp_request_url(rows[i].service, slice_of(rows[i].request), &url);
		assert_string_equal(buf_text(&url), rows[i].want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_nonce),
		cmocka_unit_test(test_no_certificate),
		cmocka_unit_test(test_url),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
