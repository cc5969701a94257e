/*
 * world: a small registry in a folder of its own, for the tests here. Fixed clock.
 *
 * officer ani; unit DISHUB; domains kota.example (own, folds case), lain.example (partner);
 * address budi@kota.example (unit DISHUB, person Budi) of login budi.
 */
#ifndef TESTS_REGISTRY_WORLD_H
#define TESTS_REGISTRY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <ftw.h>

#include "policy/registry/sha256.h"
#include "policy/registry/writer.h"

#define NOW 1800000000
#define NOW_TEXT "1800000000"

struct world {
	char dir[64];
	char file[96];
	struct registry_writer *writer;
	struct registry *reader;
};

/* A certificate as far as the registry looks into one: bytes, and the facts said about them. */
struct fake {
	const char *bytes;
	int key;           /* certificates of one key share the number */
	enum cert_kind kind;
	time_t not_before, not_after; /* 0: NOW - 100, NOW + 1000 */
	bool cannot_sign, cannot_encrypt;
};

#define must(outcome) assert_int_equal(outcome, WRITE_DONE)

static inline const struct founder *
world_founder(void)
{
	static const struct founder founder = {
		.login = "ani", .name = "Ani", .category = "asn", .appointment = "SK 1/2026",
	};

	return &founder;
}

static inline void
world_begin(struct world *w)
{
	struct err err;

	if (write_begin(w->writer, &err) != WRITE_DONE)
		fail_msg("%s", err.text);
}

static inline void
world_commit(struct world *w)
{
	struct err err;

	if (write_commit(w->writer, &err) != WRITE_DONE)
		fail_msg("%s", err.text);
}

static inline struct cert_facts
fake_facts(const struct fake *fake)
{
	struct cert_facts facts = {
		.not_before = fake->not_before ? fake->not_before : NOW - 100,
		.not_after = fake->not_after ? fake->not_after : NOW + 1000,
		.key = KEY_P256, .key_bits = 256,
		.may_sign = !fake->cannot_sign, .may_encrypt = !fake->cannot_encrypt,
		.issuer = "CN=CA", .subject = "CN=x",
	};

	assert_true(sha256_of(fake->bytes, strlen(fake->bytes), facts.sha256));
	memset(facts.spki, fake->key, sizeof(facts.spki));
	snprintf(facts.serial, sizeof(facts.serial), "%02x%02x%02x", facts.sha256[0], facts.sha256[1], facts.sha256[2]);
	return facts;
}

static inline enum write_outcome
try_cert(struct world *w, const struct fake *fake, int64_t *id, struct err *err)
{
	struct cert_facts facts = fake_facts(fake);
	size_t len = strlen(fake->bytes);
	unsigned char *der = malloc(len); /* exactly sized: ASan sees one byte too many */
	enum write_outcome outcome;

	memcpy(der, fake->bytes, len);
	outcome = write_cert_import(w->writer, der, len, &facts, fake->kind, id, err);
	free(der);
	return outcome;
}

/* Its number as text, in `name`. */
static inline void
add_cert(struct world *w, const struct fake *fake, char name[24])
{
	struct err err = { 0 };
	int64_t id = 0;

	if (try_cert(w, fake, &id, &err) != WRITE_DONE)
		fail_msg("certificate '%s': %s", fake->bytes, err.text);
	snprintf(name, 24, "%lld", (long long)id);
}

static inline int
world_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct err err = { 0 };

	strcpy(w->dir, "/tmp/segel-registry-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->file, sizeof(w->file), "%s/r.db", w->dir);
	if (registry_create(w->file, world_founder(), NOW - 1000, false, &err) != WRITE_DONE)
		fail_msg("%s", err.text);
	must(registry_write_open(w->file, "ani", NOW - 900, &w->writer, &err));
	world_begin(w);
	must(write_unit_add(w->writer, "DISHUB", "Dinas Perhubungan", NULL, &err));
	must(write_domain_add(w->writer, "Kota.example", "own", true, NULL, &err));
	must(write_domain_add(w->writer, "lain.example", "partner", false, NULL, &err));
	must(write_person_add(w->writer, "Budi", "asn", NULL, "DISHUB", NULL, &err));
	must(write_address_add(w->writer, "Budi@kota.example", "DISHUB", "Budi", NULL, &err));
	must(write_login_add(w->writer, "budi", "budi@kota.example", NULL, &err));
	world_commit(w);
	w->writer->now = NOW;
	*state = w;
	return 0;
}

static inline int
world_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int
world_teardown(void **state)
{
	struct world *w = *state;

	registry_write_close(w->writer);
	registry_close(w->reader);
	nftw(w->dir, world_remove, 8, FTW_DEPTH | FTW_PHYS);
	free(w);
	return 0;
}

#define WORLD_TEST(function) cmocka_unit_test_setup_teardown(function, world_setup, world_teardown)

#endif
