/* What a certificate must be to be an authority, and who issued whom. */
#include "tests/smime/world.h"

#include "smime/authority.h"
#include "smime/cert.h"

static struct world world;

#define DATES "--from -1d --to +1d --key p256"
#define SELF(name_, cn_, extensions_) \
	"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout " name_ ".key -out " name_ ".crt" \
	" -days 2 -subj /CN=" cn_ " " extensions_ " 2>/dev/null"

/* "other" is a second authority of Root's name; "crossed" is Root's name and key, signed by "other". */
static int
setup(void **state)
{
	(void)state;
	world_open(&world);
	if (run(SELF("root", "Root", "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign"))
	    || run(SELF("other", "Root", "-addext basicConstraints=critical,CA:TRUE"))
	    || run(SELF("not-ca", "Root", "-addext basicConstraints=critical,CA:FALSE"))
	    || run(SELF("no-certs", "Root", "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,cRLSign"))
	    || run(SELF("no-crls", "Root", "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"))
	    || run("openssl req -x509 -config /dev/null -newkey rsa:2048 -nodes -keyout v1.key -out v1.crt -days 2 -subj /CN=Old 2>/dev/null"))
		return -1;
	mkpki(&world, "--out issuing --ca-of root --ca --cn Issuing " DATES);
	mkpki(&world, "--out leaf --ca-of issuing --cn leaf --email a@b.example --usage sign " DATES);
	return run("openssl req -new -key root.key -subj /CN=Root -out r.csr 2>/dev/null && printf 'basicConstraints=CA:TRUE\\n' >ext"
	    " && openssl x509 -req -in r.csr -CA other.crt -CAkey other.key -CAcreateserial -extfile ext -days 2 -out crossed.crt"
	    " 2>/dev/null");
}

static int
teardown(void **state)
{
	(void)state;
	world_close(&world);
	return 0;
}

static void
read_der(const char *name, struct buf *ret)
{
	struct slice file = read_file(name);
	struct err err = { 0 };

	if (cert_read(file, ret, &err) == -1)
		fail_msg("%s: %s", name, err.text);
	heap_free(file);
}

static const struct {
	const char *name;
	struct authority_facts want;
} rows[] = {
	{ "root.crt", { .is_ca = true, .signs_crls = true, .self_issued = true, .self_signed = true } },
	{ "other.crt", { .is_ca = true, .signs_crls = true, .self_issued = true, .self_signed = true } },
	{ "not-ca.crt", { .is_ca = false, .signs_crls = true, .self_issued = true, .self_signed = true } },
	{ "no-certs.crt", { .is_ca = false, .signs_crls = true, .self_issued = true, .self_signed = true } },
	{ "no-crls.crt", { .is_ca = true, .signs_crls = false, .self_issued = true, .self_signed = true } },
	{ "v1.crt", { .is_ca = false, .signs_crls = true, .self_issued = true, .self_signed = true } },
	{ "crossed.crt", { .is_ca = true, .signs_crls = true, .self_issued = true, .self_signed = false } },
	{ "issuing.crt", { .is_ca = true, .signs_crls = true, .self_issued = false, .self_signed = false } },
	{ "leaf.crt", { .is_ca = false, .signs_crls = false, .self_issued = false, .self_signed = false } },
};

static void
test_inspect(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO_BUF struct buf der = { 0 };
		struct authority_facts facts = { 0 };
		struct err err = { 0 };
		struct slice block;

		read_der(rows[i].name, &der);
		block = heap_slice(der.at, der.len);
		assert_int_equal(authority_inspect(block, &facts, &err), 0);
		if (memcmp(&facts, &rows[i].want, sizeof(facts)) != 0)
			fail_msg("%s: ca %d, crls %d, self-issued %d, self-signed %d", rows[i].name, facts.is_ca, facts.signs_crls,
			    facts.self_issued, facts.self_signed);
		block.len--;
		assert_int_equal(authority_inspect(block, &facts, &err), -1);
		assert_int_equal(err.kind, ERR_CONFIG);
		heap_free(block);
	}
}

static const struct {
	const char *authority;
	const char *cert;
	bool want;
} issued[] = {
	{ "root.crt", "issuing.crt", true },
	{ "crossed.crt", "issuing.crt", true },  /* the same name and key */
	{ "other.crt", "issuing.crt", false },   /* the same name, another key */
	{ "no-certs.crt", "issuing.crt", false },
	{ "issuing.crt", "leaf.crt", true },
	{ "root.crt", "leaf.crt", false },
	{ "leaf.crt", "leaf.crt", false },
	{ "root.crt", "root.crt", true },
	{ "other.crt", "root.crt", false },
	{ "other.crt", "crossed.crt", true },
};

static void
test_issued(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(issued); i++) {
		AUTO_BUF struct buf authority = { 0 };
		AUTO_BUF struct buf cert = { 0 };
		struct slice none = { NULL, 0 };

		read_der(issued[i].authority, &authority);
		read_der(issued[i].cert, &cert);
		if (authority_issued(buf_slice(&authority), buf_slice(&cert)) != issued[i].want)
			fail_msg("%s issued %s: wanted %d", issued[i].authority, issued[i].cert, issued[i].want);
		assert_false(authority_issued(buf_slice(&authority), none));
		assert_false(authority_issued(none, buf_slice(&cert)));
		cert.at[cert.len - 1] ^= 1; /* in the signature */
		assert_false(authority_issued(buf_slice(&authority), buf_slice(&cert)));
	}
}

/* openssl reads it and gives the same bytes. */
static void
test_pem(void **state)
{
	AUTO_BUF struct buf der = { 0 };
	AUTO_BUF struct buf pem = { 0 };
	struct slice back;
	FILE *out;

	(void)state;
	read_der("issuing.crt", &der);
	buf_init(&pem, 16 * 1024);
	authority_pem(buf_slice(&der), &pem);
	out = fopen("pem", "w");
	assert_non_null(out);
	assert_int_equal(fwrite(pem.at, 1, pem.len, out), pem.len);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(run("openssl x509 -in pem -outform DER -out back.der && openssl x509 -in pem | cmp - pem"), 0);
	back = read_file("back.der");
	assert_true(slice_equal(back, buf_slice(&der)));
	heap_free(back);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inspect),
		cmocka_unit_test(test_issued),
		cmocka_unit_test(test_pem),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
