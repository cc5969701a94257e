/* Is the authority that issued a certificate in the folder? */
#include "tests/smime/world.h"

#include "smime/cert.h"
#include "smime/issuers.h"

static struct world world;

#define DATES "--from -1d --to +1d --key p256"

/* An authority "Second" twice, as after a key change: same name, other key. */
static int
setup(void **state)
{
	(void)state;
	world_open(&world);
	mkpki(&world, "--out root --ca --cn Root " DATES);
	mkpki(&world, "--out second --ca-of root --ca --cn Second " DATES);
	mkpki(&world, "--out renewed --ca-of root --ca --cn Second " DATES);
	mkpki(&world, "--out by-root --ca-of root --cn leaf --email a@b.example --usage sign " DATES);
	mkpki(&world, "--out by-second --ca-of second --cn leaf --email a@b.example --usage sign " DATES);
	return run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout self.key -out self.crt"
	    " -days 2 -subj /CN=self -addext basicConstraints=critical,CA:FALSE 2>/dev/null");
}

static int
teardown(void **state)
{
	(void)state;
	world_close(&world);
	return 0;
}

static const struct {
	const char *name;
	const char *leaf;
	const char *folder; /* what is in it */
	bool want;
} rows[] = {
	{ "its issuer is there", "by-second.crt", "second.crt", true },
	{ "only what is above its issuer", "by-second.crt", "root.crt", false },
	{ "only another key of that name", "by-second.crt", "renewed.crt", false },
	{ "both keys of that name", "by-second.crt", "renewed.crt second.crt", true },
	{ "only itself", "by-second.crt", "by-second.crt", false },
	{ "nothing", "by-second.crt", "", false },
	{ "issued by a root that is there", "by-root.crt", "root.crt", true },
	{ "issued by a root that is not there", "by-root.crt", "second.crt", false },
	{ "self-signed", "self.crt", "", true },
	{ "a root", "root.crt", "", true },
};

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO(issuers_free) struct issuers *issuers = NULL;
		AUTO_BUF struct buf der = { 0 };
		struct slice file = read_file(rows[i].leaf), block;
		struct err err = { 0 };

		assert_int_equal(run("rm -rf chain && mkdir chain && for c in %s; do cp $c chain/ || exit 1; done", rows[i].folder), 0);
		assert_int_equal(cert_read(file, &der, &err), 0);
		assert_int_equal(issuers_load("chain", &issuers, &err), 0);
		block = heap_slice(der.at, der.len);
		if (issuers_know(issuers, block) != rows[i].want)
			fail_msg("%s", rows[i].name);
		block.len--; /* no certificate any more */
		assert_false(issuers_know(issuers, block));
		block.len = 0;
		assert_false(issuers_know(issuers, block));
		heap_free(block);
		heap_free(file);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests_name("issuers", tests, setup, teardown);
}
