/* Whose domain an address is in: an answer of its own for each kind, and none that is not known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/registry/write.h"

enum { NOW = 1780000000 };

static char folder[] = "/tmp/segel-test-XXXXXX";
static char file[64];

static void
must(enum write_outcome outcome, const struct err *err)
{
	if (outcome != WRITE_DONE)
		fail_msg("%s", err->text);
}

static void
change(time_t at, enum write_outcome (*verb)(struct registry_writer *, const void *, struct err *), const void *what)
{
	AUTO(registry_write_close) struct registry_writer *writer = NULL;
	struct err err = { .text = "" };

	must(registry_write_open(file, "root", at, &writer, &err), &err);
	must(write_begin(writer, &err), &err);
	must(verb(writer, what, &err), &err);
	must(write_commit(writer, &err), &err);
}

static const struct {
	const char *name, *kind;
} domains[] = {
	{ "kota.go.id", "own" },
	{ "bersama.go.id", "shared" },
	{ "provinsi.go.id", "partner" },
	{ "xn--kta-sna.example", "partner" },
	{ "bubar.go.id", "partner" },
};

static enum write_outcome
add_all(struct registry_writer *writer, const void *unused, struct err *err)
{
	enum write_outcome outcome = WRITE_DONE;
	int64_t id;

	(void)unused;
	for (size_t i = 0; i < N_ELEMENTS(domains) && outcome == WRITE_DONE; i++)
		outcome = write_domain_add(writer, domains[i].name, domains[i].kind, false, &id, err);
	return outcome;
}

static enum write_outcome
end_one(struct registry_writer *writer, const void *name, struct err *err)
{
	return write_domain_end(writer, name, "digabung", err);
}

static int
make(void **state)
{
	const struct founder founder = { "root", "Kepala OP", "asn", NULL, "SK 1/2026" };
	struct err err = { .text = "" };

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(file, sizeof(file), "%s/registry.db", folder);
	must(registry_create(file, &founder, NOW - 1000, false, &err), &err);
	change(NOW - 900, add_all, NULL);
	change(NOW - 100, end_one, "bubar.go.id");
	return 0;
}

static int
remove_all(void **state)
{
	AUTO(xfree) char *command = xasprintf("rm -rf %s", folder);

	(void)state;
	return system(command);
}

static void
answers(void **state)
{
	static const struct {
		const char *address;
		enum domain_answer want;
	} rows[] = {
		{ "budi@kota.go.id", DOMAIN_OWN },
		{ "budi@KOTA.Go.Id", DOMAIN_OWN },
		{ "budi@kota.go.id.", DOMAIN_OWN },
		{ "\"a b\"@kota.go.id", DOMAIN_OWN },
		{ "\"x@luar.example\"@kota.go.id", DOMAIN_OWN },
		{ "@relay.example:budi@kota.go.id", DOMAIN_OWN },
		{ "x@bersama.go.id", DOMAIN_SHARED },
		{ "x@provinsi.go.id", DOMAIN_PARTNER },
		{ "x@k\xc3\xb6ta.example", DOMAIN_PARTNER },
		{ "x@XN--KTA-SNA.example", DOMAIN_PARTNER },
		{ "x@bubar.go.id", DOMAIN_NONE },
		{ "x@sub.kota.go.id", DOMAIN_NONE },
		{ "x@xkota.go.id", DOMAIN_NONE },
		{ "x@kota.go.id.luar.example", DOMAIN_NONE },
		{ "budi@kota.go.id@luar.example", DOMAIN_NONE },
		{ "x@kota.go.id..", DOMAIN_ODD },
		{ "x@[192.0.2.1]", DOMAIN_NONE },
		{ "kota.go.id", DOMAIN_ODD },
		{ "x@k\xc3\x96ta.example", DOMAIN_ODD },
		{ "x@\xef\xbd\x8bota.go.id", DOMAIN_ODD },
		{ "x@kota\xe3\x80\x82go.id", DOMAIN_ODD },
		{ "x@(y)kota.go.id", DOMAIN_ODD },
		{ "x@", DOMAIN_ODD },
		{ "@", DOMAIN_ODD },
		{ "", DOMAIN_NONE },
	};
	AUTO(registry_close) struct registry *registry = NULL;
	char longest[LIMIT_ADDRESS_BYTES + 20];
	struct err err;

	(void)state;
	assert_int_equal(registry_open(file, 1000, &registry, &err), 0);
	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		if (registry_domain_of(registry, rows[i].address, NOW) != rows[i].want)
			fail_msg("'%s': %d", rows[i].address, (int)registry_domain_of(registry, rows[i].address, NOW));
	assert_int_equal(registry_domain_of(registry, "x@bubar.go.id", NOW - 101), DOMAIN_PARTNER);
	assert_int_equal(registry_domain_of(registry, "x@kota.go.id", NOW - 901), DOMAIN_NONE);
	memset(longest, 'a', sizeof(longest));
	longest[0] = '@';
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(registry_domain_of(registry, longest, NOW), DOMAIN_ODD);
}

/* Whoever cannot ask says so, and never "not registered". */
static void
no_registry_no_answer(void **state)
{
	AUTO(registry_close) struct registry *registry = NULL;
	AUTO(xfree) char *away = xasprintf("%s.away", file);
	struct err err;

	(void)state;
	assert_int_equal(registry_open(file, 1000, &registry, &err), 0);
	assert_int_equal(rename(file, away), 0);
	assert_int_equal(registry_domain_of(registry, "budi@kota.go.id", NOW), DOMAIN_UNAVAILABLE);
	assert_int_equal(registry_domain_of(registry, "x@luar.example", NOW), DOMAIN_UNAVAILABLE);
	assert_int_equal(rename(away, file), 0);
	assert_int_equal(registry_domain_of(registry, "x@luar.example", NOW), DOMAIN_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(no_registry_no_answer),
	};

	return cmocka_run_group_tests(tests, make, remove_all);
}
