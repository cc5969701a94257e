/*
 * judge: the library's verdicts about files, one question a line on standard input, one answer a line.
 *
 *     chain     anchors=DIR crls=DIR ocsp=DIR at=SECONDS leaf=FILE [untrusted=FILE]... [any] [policy=OID]... [explicit] [no-mapping] [no-any]
 *     ocsp      file=FILE issuer=FILE at=SECONDS
 *
 * The words of a question are separated by tabs. For tests/corpora/check.py; tests/pki/mkpki's sister.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smime/cert.h"
#include "smime/chain.h"
#include "smime/ocsp.h"
#include "smime/revoke.h"

enum { MAX_WORDS = 4096, MAX_FILE = 64 * 1024 * 1024 };

struct question {
	char *words[MAX_WORDS];
	size_t n;
};

static const char *
value_of(const struct question *question, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < question->n; i++) {
		if (strncmp(question->words[i], name, len) == 0 && question->words[i][len] == '=')
			return question->words[i] + len + 1;
	}
	return NULL;
}

static bool
has_word(const struct question *question, const char *word)
{
	for (size_t i = 0; i < question->n; i++) {
		if (strcmp(question->words[i], word) == 0)
			return true;
	}
	return false;
}

static size_t
values_of(const struct question *question, const char *name, const char *ret[MAX_WORDS])
{
	size_t len = strlen(name);
	size_t n = 0;

	for (size_t i = 0; i < question->n; i++) {
		if (strncmp(question->words[i], name, len) == 0 && question->words[i][len] == '=')
			ret[n++] = question->words[i] + len + 1;
	}
	return n;
}

static void
must(bool holds, const char *what, const char *which)
{
	if (holds)
		return;
	fprintf(stderr, "judge: %s: %s\n", what, which ? which : "");
	exit(1);
}

static void
read_file(const char *name, struct buf *ret)
{
	FILE *file = name ? fopen(name, "re") : NULL;
	char block[65536];
	size_t n;

	must(file, "cannot read", name);
	buf_init(ret, MAX_FILE);
	while ((n = fread(block, 1, sizeof(block), file)) > 0)
		buf_add(ret, block, n);
	fclose(file);
}

/* DER of a certificate; the bytes as they are where they are none. */
static void
read_cert(const char *name, struct buf *ret)
{
	AUTO_BUF struct buf file = { 0 };
	struct buf der = { 0 };
	struct err err = { 0 };

	read_file(name, &file);
	if (cert_read(buf_slice(&file), &der, &err) == 0) {
		*ret = der;
		return;
	}
	buf_init(ret, MAX_FILE);
	buf_add_slice(ret, buf_slice(&file));
}

static time_t
time_of(const struct question *question)
{
	const char *at = value_of(question, "at");

	must(at, "a question without at=", question->words[0]);
	return (time_t)strtoll(at, NULL, 10);
}

static struct trust *
load(const struct question *question)
{
	const struct trust_folders folders = { .anchors = value_of(question, "anchors"), .crls = value_of(question, "crls"),
		.ocsp = value_of(question, "ocsp") };
	const struct trust_ages ages = { .grace = 86400, .ocsp_most = 86400, .skew = 300 };
	struct trust *trust = NULL;
	AUTO_BUF struct buf problems = { 0 };
	struct err err = { 0 };

	buf_init(&problems, 1 << 20);
	must(trust_load(&folders, &ages, &trust, &problems, &err) == 0, "trust_load", err.text);
	if (has_word(question, "problems"))
		fputs(buf_text(&problems), stderr);
	return trust;
}

static void
ask_chain(const struct question *question)
{
	AUTO(trust_free) struct trust *trust = load(question);
	AUTO_BUF struct buf leaf = { 0 };
	static struct buf ders[MAX_WORDS];
	static struct slice untrusted[MAX_WORDS];
	const char *files[MAX_WORDS], *policies[MAX_WORDS];
	struct chain_request request = { .trust = trust, .untrusted = untrusted, .at = time_of(question),
		.any_strength = has_word(question, "any"), .policies = policies, .explicit_policy = has_word(question, "explicit"),
		.inhibit_mapping = has_word(question, "no-mapping"), .inhibit_any = has_word(question, "no-any") };
	struct chain_facts facts;

	read_cert(value_of(question, "leaf"), &leaf);
	request.leaf = buf_slice(&leaf);
	request.n_policies = values_of(question, "policy", policies);
	request.n_untrusted = values_of(question, "untrusted", files);
	for (size_t i = 0; i < request.n_untrusted; i++) {
		read_cert(files[i], &ders[i]);
		untrusted[i] = buf_slice(&ders[i]);
	}
	chain_judge(&request, &facts);
	for (size_t i = 0; i < request.n_untrusted; i++)
		buf_done(&ders[i]);
	printf("chain=%s\trevocation=%s\tlength=%zu\twhy=%s\trevocation-why=%s\n", chain_state_name(facts.state),
	    revocation_state_name(facts.revocation), facts.length, facts.why, facts.revocation_why);
}

/* Does the response count, for any certificate of the issuer's? */
static void
ask_ocsp(const struct question *question)
{
	AUTO_BUF struct buf file = { 0 }, issuer = { 0 };
	AUTO(ocsp_free) struct ocsp *ocsp = NULL;
	AUTO(X509_free) X509 *authority = NULL;
	struct ocsp_facts facts = { 0 };
	X509 *delegate = NULL;
	struct err err = { 0 };
	int result = -1;

	read_file(value_of(question, "file"), &file);
	read_cert(value_of(question, "issuer"), &issuer);
	authority = ossl_cert(buf_slice(&issuer), &err);
	if (authority && ocsp_read(buf_slice(&file), &ocsp, &err) == 0)
		result = ocsp_ask(ocsp, 0, NULL, authority, time_of(question), &facts, &delegate, &err);
	printf("ocsp=%s\twhy=%s\n", result == 0 ? "accept" : "reject", result == 0 ? "" : err.text);
}

static void
split(char *line, struct question *ret)
{
	ret->n = 0;
	for (char *word = strtok(line, "\t\n"); word && ret->n < MAX_WORDS; word = strtok(NULL, "\t\n"))
		ret->words[ret->n++] = word;
}

static const struct {
	const char *name;
	void (*ask)(const struct question *question);
} kinds[] = {
	{ "chain", ask_chain },
	{ "ocsp", ask_ocsp },
};

static void
answer(const struct question *question)
{
	for (size_t i = 0; i < N_ELEMENTS(kinds); i++) {
		if (strcmp(kinds[i].name, question->words[0]) == 0) {
			kinds[i].ask(question);
			fflush(stdout);
			return;
		}
	}
	must(false, "no such question", question->words[0]);
}

int
main(void)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, stdin) > 0) {
		struct question question;

		split(line, &question);
		if (question.n > 0)
			answer(&question);
	}
	free(line);
	return 0;
}
