/*
 * chain_world: what the tests of paths and of revocation share: folders filled by a shell line (with the
 * programs mkpki and mkx509), and the verdict about a certificate in them.
 */
#ifndef TESTS_SMIME_CHAIN_WORLD_H
#define TESTS_SMIME_CHAIN_WORLD_H

#include "tests/smime/world.h"

#include <time.h>

#include "smime/cert.h"
#include "smime/chain.h"

#define DATES " --from -30d --to +30d --key p256 "

static struct world world;

/* The line's mkpki and mkx509 are those that were built beside the test. */
static inline UNUSED int
sh(const char *line)
{
	char dir[520];

	snprintf(dir, sizeof(dir), "%s", world.mkpki);
	*strrchr(dir, '/') = '\0';
	/* Hundreds of short runs: looking for leaks at each one's end would take most of the time. */
	return run("set -e; export ASAN_OPTIONS=detect_leaks=0; PATH='%s':$PATH; %s", dir, line);
}

static inline UNUSED void
must_sh(const char *line)
{
	if (sh(line) != 0)
		fail_msg("%s", line);
}

/* anchors/, crls/ and ocsp/ are empty again; then the line is run. */
static inline UNUSED void
fill(const char *line)
{
	must_sh("rm -rf anchors crls ocsp; mkdir anchors crls ocsp");
	must_sh(line);
}

static inline UNUSED struct trust *
load_trust(struct buf *problems)
{
	const struct trust_folders folders = { .anchors = "anchors", .crls = "crls", .ocsp = "ocsp" };
	const struct trust_ages ages = { .grace = 86400, .ocsp_most = 86400, .skew = 300 };
	struct trust *trust = NULL;
	struct err err = { 0 };

	if (trust_load(&folders, &ages, &trust, problems, &err) == -1)
		fail_msg("%s", err.text);
	return trust;
}

static inline UNUSED struct slice
read_der(const char *name)
{
	struct slice file = read_file(name);
	AUTO_BUF struct buf der = { 0 };
	struct slice block;
	struct err err = { 0 };

	if (cert_read(file, &der, &err) == -1) {
		block = file;
	} else {
		block = heap_slice(der.at, der.len);
		heap_free(file);
	}
	return block;
}

/* `untrusted`: file names with blanks between. */
static inline UNUSED void
judge(const struct trust *trust, const char *leaf, const char *untrusted, time_t at, bool any_strength, struct chain_facts *ret)
{
	char names[512];
	struct slice helpers[64];
	struct chain_request request = { .trust = trust, .at = at, .any_strength = any_strength, .untrusted = helpers };
	struct slice block = read_der(leaf);

	snprintf(names, sizeof(names), "%s", untrusted ? untrusted : "");
	for (char *name = strtok(names, " "); name; name = strtok(NULL, " "))
		helpers[request.n_untrusted++] = read_der(name);
	request.leaf = block;
	chain_judge(&request, ret);
	for (size_t i = 0; i < request.n_untrusted; i++)
		heap_free(helpers[i]);
	heap_free(block);
}

#endif
