/*
 * Authentication-Results: what we say, read back by another program (Mail::AuthenticationResults), and which
 * fields from outside claim to be ours. The expectations of the spellings are written by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "milter/filter/results.h"

#define ID "mx.kota.example"

/* ---- a message that passes, to be spoilt ---- */

struct scene {
	struct policy_input input;
	struct config config;
	struct message_facts message;
	struct registry_facts registry;
	struct signature_facts signature;
	struct findings findings;
};

static void
good_scene(struct scene *scene)
{
	*scene = (struct scene){ .input.now = 1790000000 };
	scene->input.config = &scene->config;
	scene->input.message = &scene->message;
	scene->input.registry = &scene->registry;
	scene->input.signature = &scene->signature;
	scene->message.from.state = MAILBOX_ONE;
	scene->message.sender.state = MAILBOX_NONE;
	snprintf(scene->message.from.address, sizeof(scene->message.from.address), "budi@kota.example");
	scene->message.mime = MIME_CLEAR;
	scene->message.outer = LAYER_SIGNED;
	scene->message.n_parts = 3;
	scene->signature.state = SIGNATURE_GOOD;
	scene->signature.coverage = COVERAGE_WHOLE;
	scene->signature.has_signer = true;
	scene->signature.protection = PROTECTION_MATCH;
	scene->signature.chain.state = CHAIN_GOOD;
	scene->signature.chain.anchor = ANCHOR_OFFICIAL;
	scene->signature.chain.revocation = REVOCATION_GOOD;
	scene->signature.signer.may_sign = true;
	scene->signature.signer.n_addresses = 2;
	snprintf(scene->signature.signer.addresses[0], LIMIT_ADDRESS_BYTES, "umum@kota.example");
	snprintf(scene->signature.signer.addresses[1], LIMIT_ADDRESS_BYTES, "budi@kota.example");
	snprintf(scene->signature.signer.serial, sizeof(scene->signature.signer.serial), "4f1a");
	snprintf(scene->signature.signer.issuer, sizeof(scene->signature.signer.issuer), "CN=PSrE Contoh,O=Negara,C=ID");
	scene->registry.signer.answer = REGISTRY_FOUND;
	scene->registry.signer.cert.bound = BOUND_ADDRESS;
	scene->registry.signer.known = true;
}

static char *
rendered(const char *id, const struct scene *scene)
{
	AUTO_BUF struct buf text = { 0 };

	buf_init(&text, RESULTS_BYTES);
	results_render(id, &scene->input, &scene->findings, &text);
	assert_false(buf_full(&text));
	return xstrdup(buf_text(&text));
}

/* What must hold of every value: no CR, LF only before a tab, printable ASCII, lines that every hop takes. */
static void
is_well_formed(const char *name, const char *value)
{
	size_t line = strlen("Authentication-Results: ");

	for (const char *c = value; *c; c++) {
		if (*c == '\n' && c[1] != '\t')
			fail_msg("%s: a line end without a fold: %s", name, value);
		if (*c != '\n' && *c != '\t' && (*c < ' ' || *c >= 0x7f))
			fail_msg("%s: byte %02x: %s", name, (unsigned char)*c, value);
		line = *c == '\n' ? 0 : line + 1;
		if (line > 998)
			fail_msg("%s: a line of more than 998 octets", name);
	}
	if (strlen(value) > RESULTS_BYTES)
		fail_msg("%s: %zu octets", name, strlen(value));
}

/* ---- another program's reading ---- */

static const char judge[] =
    "use strict; use Mail::AuthenticationResults::Parser; local $/; my $text = <STDIN>;"
    "my $read = eval { Mail::AuthenticationResults::Parser->new()->parse($text) };"
    "if (!$read) { print 'cannot be read: ', $@; exit }"
    "print $read->value->value;"
    "for my $one (@{$read->children}) { print ' ', $one->key, '=', $one->value;"
    " for my $more (@{$one->children}) { print ' ', $more->key, '=', $more->value } }";

static char *
read_by_perl(const char *value)
{
	char source[] = "/tmp/segel-results-XXXXXX";
	char command[sizeof(judge) + 128];
	AUTO_BUF struct buf text = { 0 };
	char block[4096];
	size_t got;
	FILE *from;
	int fd = mkstemp(source);

	assert_true(fd != -1);
	assert_int_equal(write(fd, value, strlen(value)), (ssize_t)strlen(value));
	close(fd);
	snprintf(command, sizeof(command), "perl -e \"$JUDGE\" <%s 2>&1", source);
	setenv("JUDGE", judge, 1);
	from = popen(command, "r");
	assert_non_null(from);
	buf_init(&text, 8192);
	while ((got = fread(block, 1, sizeof(block), from)) > 0)
		buf_add(&text, block, got);
	assert_int_equal(pclose(from), 0);
	unlink(source);
	return xstrdup(buf_text(&text));
}

static void
reads_as(const char *name, const struct scene *scene, const char *want)
{
	char *value = rendered(ID, scene);
	char *found = read_by_perl(value);

	is_well_formed(name, value);
	if (strcmp(found, want) != 0)
		fail_msg("%s:\n  value  %s\n  wanted %s\n  found  %s", name, value, want, found);
	free(found);
	free(value);
}

#define SIGNER " body.smime-identifier=budi@kota.example body.smime-part=2 body.smime-serial=4f1a" \
	" body.smime-issuer=CN=PSrE Contoh,O=Negara,C=ID header.from=budi@kota.example"

static void
another_program_reads_it(void **state)
{
	struct scene scene;

	(void)state;
	good_scene(&scene);
	reads_as("pass", &scene, ID " smime=pass" SIGNER);

	scene.message.n_parts = 1;
	reads_as("opaque", &scene, ID " smime=pass body.smime-identifier=budi@kota.example body.smime-part=1 body.smime-serial=4f1a"
	    " body.smime-issuer=CN=PSrE Contoh,O=Negara,C=ID header.from=budi@kota.example");

	good_scene(&scene);
	finding_add(&scene.findings, REASON_REG_UNKNOWN, "x");
	finding_add(&scene.findings, REASON_KEY_MATERIAL, "x");
	finding_add(&scene.findings, REASON_CERT_EXPIRED, "x");
	finding_add(&scene.findings, REASON_REG_UNKNOWN, "x");
	reads_as("reasons, the deciding one first", &scene, ID " smime=fail reason=CERT_EXPIRED REG_UNKNOWN" SIGNER);

	good_scene(&scene);
	snprintf(scene.message.from.address, sizeof(scene.message.from.address), "k=v/x@kota.example");
	snprintf(scene.signature.signer.addresses[0], LIMIT_ADDRESS_BYTES, "bupati/wakil@kota.example");
	snprintf(scene.signature.signer.issuer, sizeof(scene.signature.signer.issuer), "CN=Satu\\, Dua,O=\"Negara\"");
	finding_add(&scene.findings, REASON_SIGNER_MISMATCH, "x");
	reads_as("odd characters in quotes; an issuer that needs escapes is left out", &scene, ID " smime=fail reason=SIGNER_MISMATCH"
	    " body.smime-identifier=bupati/wakil@kota.example body.smime-part=2 header.from=k=v/x@kota.example");

	good_scene(&scene);
	scene.signature = (struct signature_facts){ .state = SIGNATURE_NONE, .coverage = COVERAGE_NONE };
	scene.message.outer = LAYER_NONE;
	finding_add(&scene.findings, REASON_SIG_MISSING, "layer=none");
	reads_as("not signed", &scene, ID " smime=none reason=SIG_MISSING");
}

/* ---- which result ---- */

static void
result_is(const char *name, const struct scene *scene, const char *want)
{
	AUTO(xfree) char *value = rendered(ID, scene);
	AUTO(xfree) char *head = xasprintf("%s;\n\tsmime=%s", ID, want);

	is_well_formed(name, value);
	if (strncmp(value, head, strlen(head)) != 0 || (value[strlen(head)] && !strchr(" \n", value[strlen(head)])))
		fail_msg("%s: wanted %s, found %s", name, want, value);
}

static const struct {
	enum reason reason;
	const char *want;
} by_reason[] = {
	{ REASON_UNKNOWN, "temperror" },
	{ REASON_TLS_MISSING, "pass" },
	{ REASON_TLS_WEAK, "pass" },
	{ REASON_LOGIN_MISSING, "pass" },
	{ REASON_LOGIN_MISMATCH, "pass" },
	{ REASON_FROM_AMBIGUOUS, "permerror" },
	{ REASON_DOMAIN_SPOOFED, "pass" },
	{ REASON_SIG_MISSING, "none" },
	{ REASON_SEAL_REQUIRED, "pass" },
	{ REASON_SIG_INVALID, "fail" },
	{ REASON_SIG_MALFORMED, "permerror" },
	{ REASON_SIG_WEAK, "policy" },
	{ REASON_SIG_UNFIT, "policy" },
	{ REASON_SIG_UNSUPPORTED, "neutral" },
	{ REASON_SIG_PARTIAL, "neutral" },
	{ REASON_SIG_TIME, "policy" },
	{ REASON_MIME_AMBIGUOUS, "permerror" },
	{ REASON_HEADER_MISMATCH, "fail" },
	{ REASON_SIGNER_MISMATCH, "fail" },
	{ REASON_CERT_REVOKED, "fail" },
	{ REASON_CERT_EXPIRED, "fail" },
	{ REASON_CERT_NOT_YET, "fail" },
	{ REASON_CERT_UNTRUSTED, "fail" },
	{ REASON_STATUS_UNKNOWN, "temperror" },
	{ REASON_REG_UNKNOWN, "policy" },
	{ REASON_REG_ADDRESS_MISMATCH, "policy" },
	{ REASON_REG_HELD, "policy" },
	{ REASON_REG_ENDED, "policy" },
	{ REASON_REG_RETIRED, "policy" },
	{ REASON_REG_CONFLICT, "policy" },
	{ REASON_REG_UNAVAILABLE, "temperror" },
	{ REASON_SEAL_UNAVAILABLE, "pass" },
	{ REASON_KEY_UNAVAILABLE, "temperror" },
	{ REASON_RCPT_AMBIGUOUS, "pass" },
	{ REASON_RCPT_FORBIDDEN, "pass" },
	{ REASON_ENC_NO_CERT, "pass" },
	{ REASON_ENC_MIXED, "pass" },
	{ REASON_ENC_REQUIRED, "pass" },
	{ REASON_ENC_UNREADABLE, "neutral" },
	{ REASON_DEC_FAILED, "neutral" },
	{ REASON_REPLAY, "policy" },
	{ REASON_KEY_MATERIAL, "pass" },
	{ REASON_PARSE_LIMIT, "permerror" },
	{ REASON_POISON, "permerror" },
	{ REASON_STORE_UNAVAILABLE, "temperror" },
	{ REASON_INTERNAL, "temperror" },
};

/* The table has every reason once, so that a new one must be thought of. */
static void
each_reason_has_its_result(void **state)
{
	struct scene scene;

	(void)state;
	assert_int_equal(N_ELEMENTS(by_reason), N_REASONS);
	for (size_t i = 0; i < N_REASONS; i++) {
		assert_int_equal(by_reason[i].reason, i);
		good_scene(&scene);
		finding_add(&scene.findings, by_reason[i].reason, "x");
		result_is(reason_word(by_reason[i].reason), &scene, by_reason[i].want);
	}
}

static void
the_gravest_result_stands(void **state)
{
	static const struct {
		enum reason a, b;
		const char *want;
	} rows[] = {
		{ REASON_SIG_MISSING, REASON_SIG_PARTIAL, "neutral" },
		{ REASON_SIG_PARTIAL, REASON_INTERNAL, "temperror" },
		{ REASON_INTERNAL, REASON_REG_HELD, "policy" },
		{ REASON_REG_HELD, REASON_PARSE_LIMIT, "permerror" },
		{ REASON_PARSE_LIMIT, REASON_CERT_REVOKED, "fail" },
		{ REASON_TLS_MISSING, REASON_SIG_WEAK, "policy" },
	};
	struct scene scene;

	(void)state;
	for (size_t i = 0; i < 2 * N_ELEMENTS(rows); i++) {
		const bool swapped = i % 2;

		good_scene(&scene);
		finding_add(&scene.findings, swapped ? rows[i / 2].b : rows[i / 2].a, "x");
		finding_add(&scene.findings, swapped ? rows[i / 2].a : rows[i / 2].b, "x");
		result_is(reason_word(rows[i / 2].a), &scene, rows[i / 2].want);
	}
	good_scene(&scene);
	scene.findings.overflow = true;
	result_is("more findings than fit", &scene, "temperror");
}

/* Without any finding: each fact that "pass" claims, missing or otherwise, and it is not said. */
#define SPOILT(what, want)                            \
	do {                                          \
		good_scene(&scene);                   \
		what;                                 \
		result_is(#what, &scene, want);       \
	} while (0)

static void
pass_needs_every_fact(void **state)
{
	struct scene scene;

	(void)state;
	SPOILT((void)0, "pass");
	SPOILT(scene.signature.protection = PROTECTION_NONE, "pass");
	SPOILT(scene.signature.state = SIGNATURE_UNKNOWN, "temperror");
	SPOILT(scene.signature.state = SIGNATURE_BAD, "fail");
	SPOILT(scene.signature.state = SIGNATURE_MALFORMED, "permerror");
	SPOILT(scene.signature.state = SIGNATURE_UNSUPPORTED, "neutral");
	SPOILT(scene.signature.state = SIGNATURE_NONE, "neutral");
	SPOILT(scene.signature.coverage = COVERAGE_UNKNOWN, "temperror");
	SPOILT(scene.signature.coverage = COVERAGE_PARTIAL, "temperror");
	SPOILT(scene.signature.coverage = COVERAGE_NONE, "temperror");
	SPOILT(scene.signature.has_signer = false, "temperror");
	SPOILT(scene.signature.weak = true, "temperror");
	SPOILT(scene.signature.unfit = true, "temperror");
	SPOILT(scene.signature.protection = PROTECTION_UNKNOWN, "temperror");
	SPOILT(scene.signature.protection = PROTECTION_MISMATCH, "temperror");
	SPOILT(scene.signature.chain.state = CHAIN_UNKNOWN, "temperror");
	SPOILT(scene.signature.chain.state = CHAIN_UNTRUSTED, "temperror");
	SPOILT(scene.signature.chain.anchor = ANCHOR_NONE, "temperror");
	SPOILT(scene.signature.chain.revocation = REVOCATION_UNKNOWN, "temperror");
	SPOILT(scene.signature.chain.revocation = REVOCATION_REVOKED, "temperror");
	SPOILT(scene.message.mime = MIME_UNKNOWN, "temperror");
	SPOILT(scene.message.mime = MIME_AMBIGUOUS, "temperror");
	SPOILT(snprintf(scene.message.limit, sizeof(scene.message.limit), "parts"), "temperror");
	SPOILT(scene.message.from.state = MAILBOX_AMBIGUOUS, "temperror");
	SPOILT(scene.message.from.address[0] = 'c', "pass"); /* bound by the registry, which no Sender contradicts */
	SPOILT(scene.message.from.address[0] = 'c'; scene.message.sender = scene.message.from;
	    scene.message.sender.address[0] = 'd', "temperror");
	SPOILT(scene.registry.signer.answer = REGISTRY_UNAVAILABLE, "temperror");
	SPOILT(scene.registry.signer.answer = REGISTRY_NONE, "temperror");
	SPOILT(scene.registry.signer.answer = REGISTRY_UNUSABLE, "temperror");
	SPOILT(scene.registry.signer.cert.bound = BOUND_UNKNOWN, "temperror");
	SPOILT(scene.input.without_registry = true, "temperror");
	SPOILT(scene.input.registry = NULL, "temperror");
	SPOILT(scene.input.signature = NULL, "temperror");
	SPOILT(scene.input.message = NULL, "temperror");
	SPOILT(scene.input.poison = true, "permerror");
	SPOILT(scene.input.poison = true; scene.input.message = NULL; scene.input.signature = NULL, "permerror");
}

/* ---- hostile values ---- */

static void
fill(char *text, size_t room, const char *with)
{
	for (size_t i = 0; i + 1 < room; i++)
		text[i] = with[i % strlen(with)];
	text[room - 1] = '\0';
}

static void
no_value_ends_the_field(void **state)
{
	static const char *const hostile[] = { "\"; smime=pass", "\\", "\r\n\r\nX: y", "\n", ")", "; dkim=pass", "\xc3\xa9", "\x7f", "=?utf-8?q?x?=",
		"a b", "(", "\t", "a" };
	struct scene scene;

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(hostile); i++) {
		AUTO(xfree) char *value = NULL;
		AUTO(xfree) char *found = NULL;
		char id[600];

		good_scene(&scene);
		finding_add(&scene.findings, REASON_SIG_INVALID, "%s", hostile[i]);
		fill(scene.signature.signer.issuer, sizeof(scene.signature.signer.issuer), hostile[i]);
		fill(scene.signature.signer.serial, sizeof(scene.signature.signer.serial), hostile[i]);
		fill(scene.signature.signer.addresses[0], LIMIT_ADDRESS_BYTES + 1, hostile[i]);
		scene.signature.signer.n_addresses = 1;
		fill(scene.message.from.address, LIMIT_ADDRESS_BYTES + 1, hostile[i]);
		fill(id, sizeof(id), hostile[i]);
		value = rendered(ID, &scene);
		is_well_formed(hostile[i], value);
		found = read_by_perl(value);
		if (strncmp(found, ID " smime=fail reason=SIG_INVALID body.smime-", strlen(ID " smime=fail reason=SIG_INVALID body.smime-")) != 0
		    || strstr(found, "smime=pass body"))
			fail_msg("'%s': %s", hostile[i], found);
		free(TAKE(value));
		value = rendered(id, &scene);
		is_well_formed(hostile[i], value);
	}
	good_scene(&scene);
	for (size_t i = 0; i < MAX_FINDINGS; i++)
		finding_add(&scene.findings, (enum reason)(i + REASON_SIG_MISSING), "x");
	result_is("as many findings as there may be", &scene, "fail");
}

/* ---- what claims to be ours ---- */

static const struct {
	const char *value;
	bool want;
} spellings[] = {
	/* ours */
	{ " " ID "; smime=pass", true },
	{ ID ";smime=pass", true },
	{ " MX.Kota.EXAMPLE; smime=pass", true },
	{ " " ID " ; smime=pass", true },
	{ " " ID " 1; smime=pass", true },
	{ " " ID " 99; smime=pass", true },
	{ " " ID " (one) 1 (two); smime=pass", true },
	{ " " ID ".; smime=pass", true },
	{ " " ID "..; smime=pass", true },
	{ "\r\n\t" ID ";\r\n\tsmime=pass", true },
	{ "\n " ID "\n ;\n smime=pass", true },
	{ " (a comment) " ID "; smime=pass", true },
	{ " (a (nested) comment)" ID "; smime=pass", true },
	{ " (an escaped \\) parenthesis) " ID "; smime=pass", true },
	{ "\t(x)\r\n (y)\r\n " ID "(z); smime=pass", true },
	{ " \"" ID "\"; smime=pass", true },
	{ " \"mx.\\kota.exa\\mple\"; smime=pass", true },
	{ " \"MX.KOTA.example.\"; smime=pass", true },
	{ " \" " ID " \"; smime=pass", true },
	{ " \"mx.kota\r\n .example\"; smime=pass", true },
	{ " " ID, true },
	{ " " ID "; none", true },
	{ " " ID " smime=pass", true },
	{ " " ID "/1; smime=pass", true },
	{ " " ID ", smime=pass", true },
	{ " " ID "=1; smime=pass", true },
	{ " mx.kota(x).example; smime=pass", true },
	{ " mx. kota.example; smime=pass", true },
	{ " \"mx\".kota.example; smime=pass", true },
	{ " \"" ID "; smime=pass", true },
	{ " (" ID "; smime=pass", true },
	{ "; " ID "; smime=pass", true },
	{ " smime=pass header.from=budi@" ID, true },
	{ " =?utf-8?q?mx=2Ekota=2Eexample?=; smime=pass", true },
	{ " \"=?utf-8?b?bXgua290YS5leGFtcGxl?=\"; smime=pass", true },
	{ " \xef\xbd\x8dx.kota.example; smime=pass", true }, /* a wide m */
	{ " mx\xe3\x80\x82kota.example; smime=pass", true }, /* an ideographic full stop */
	{ " mx.kota.example\xff; smime=pass", true },
	{ " mx.ko\x01ta.example; smime=pass", true },
	/* others' */
	{ " mx.lain.example; smime=pass", false },
	{ " x." ID "; smime=pass", false },
	{ " " ID ".lain.example; smime=pass", false },
	{ " kota.example; smime=pass", false },
	{ " mx-kota.example; smime=pass", false },
	{ " mxXkota.example; smime=pass", false },
	{ " " ID "-2; smime=pass", false },
	{ " \"x." ID "\"; smime=pass", false },
	{ " mx.lain.example (" ID "); smime=pass", false },
	{ " (" ID ") mx.lain.example; smime=pass", false },
	{ " (an escaped \\) " ID ") mx.lain.example; smime=pass", false },
	{ " (an escaped \\( " ID ") mx.lain.example; smime=pass", false },
	{ " mx.lain.example; smime=pass (" ID ")", false },
	{ " mx.lain.example; dkim=pass header.d=" ID, false },
	{ " mx.lain.example 1; spf=pass smtp.mailfrom=budi@" ID, false },
	{ " m\xc3\xa4x.example; smime=pass", false }, /* a domain in U-labels, another one */
	{ " xn--mx-via.example; smime=pass", false },
	{ "", false },
	{ " ", false },
	{ ";", false },
	{ " smime=pass", false },
	{ " spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=lain.example", false },
	{ " (", false },
	{ " \"", false },
};

static bool
claims(const char *value, size_t len, const char *id)
{
	unsigned char *block = xcalloc(len ? len : 1, 1); /* exactly sized: a read beyond it is seen */
	struct field field = { .value = { block, len } };
	bool found;

	if (len)
		memcpy(block, value, len);
	found = results_claims(&field, id);
	free(block);
	return found;
}

static void
spellings_of_our_id(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(spellings); i++)
		if (claims(spellings[i].value, strlen(spellings[i].value), ID) != spellings[i].want)
			fail_msg("'%s' %s", spellings[i].value, spellings[i].want ? "was left" : "was taken for ours");
	assert_true(claims(ID "\0.lain.example; x", sizeof(ID "\0.lain.example; x") - 1, ID));
}

static void
spellings_of_other_ids(void **state)
{
	static const struct {
		const char *id;
		const char *value;
		bool want;
	} rows[] = {
		{ "xn--kta-sna.example", " k\xc3\xb6ta.example; smime=pass", true }, /* as python3's idna codec has it */
		{ "xn--kta-sna.example", " k\xc3\xb6ta.example.; smime=pass", true },
		{ "xn--kta-sna.example", " k\xc3\xbcta.example; smime=pass", false },
		{ "xn--kta-snb.example", " k\xc3\xb6ta.example; smime=pass", false },
		{ "k\xc3\xb6ta.example", " XN--kta-SNA.example; smime=pass", true },
		{ "k\xc3\xb6ta.example", " xn--kta-snb.example; smime=pass", false },
		{ "k\xc3\xb6ta.example", " K\xc3\x96TA.example; smime=pass", true }, /* some map it to ours */
		{ "k\xc3\xb6ta.example", " k\xc3\xb6ta.example; smime=pass", true },
		{ "k\xc3\xb6ta.example", " \"k\xc3\xb6ta.example\"; smime=pass", true },
		{ "k\xc3\xb6ta.example", " k\xc3\xbcta.example; smime=pass", false },
		{ "k\xc3\xb6ta.example", " kota.example; smime=pass", false },
		{ "MX.kota.example.", " mx.kota.example; smime=pass", true },
		{ "MX.kota.example.", " mx.kota.example.x; smime=pass", false },
		{ "Gerbang Kota", " \"gerbang kota\"; smime=pass", true },
		{ "Gerbang Kota", " \"gerbang kotak\"; smime=pass", false },
		{ "gerbang", " gerbang; smime=pass", true },
		{ "gerbang", " gerbang2; smime=pass", false },
		{ "", " mx.kota.example; smime=pass", true },
		{ "..", " mx.kota.example; smime=pass", true },
		{ "a\"b", " mx.kota.example; smime=pass", true },
		{ "mx.kota\x01", " lain.example; smime=pass", true },
		{ "mx.kota\x01.example", " \"mx.kota?.example\"; smime=pass", true },
		{ "mx.kota?", " \"MX.kota?\"; smime=pass", true },
		{ "mx.kota?", " \"mx.kota\"; smime=pass", false },
		{ "\xff", " mx.kota.example; smime=pass", true },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		if (claims(rows[i].value, strlen(rows[i].value), rows[i].id) != rows[i].want)
			fail_msg("%s: '%s' %s", rows[i].id, rows[i].value, rows[i].want ? "was left" : "was taken for ours");
}

/* What we write claims to be ours, whatever the id. */
static void
ours_claims_to_be_ours(void **state)
{
	static const char *const ids[] = { ID, "MX.Kota.Example.", "k\xc3\xb6ta.example", "Gerbang Kota", "a\"b", "" };
	struct scene scene;

	(void)state;
	good_scene(&scene);
	for (size_t i = 0; i < N_ELEMENTS(ids); i++) {
		AUTO(xfree) char *value = rendered(ids[i], &scene);

		is_well_formed(ids[i], value);
		if (!claims(value, strlen(value), ids[i]))
			fail_msg("%s: %s", ids[i], value);
	}
}

/* A million parentheses cost no stack. */
static void
comments_may_be_deep(void **state)
{
	const size_t len = 1000000;
	char *value = xcalloc(len, 1);

	(void)state;
	memset(value, '(', len);
	assert_false(claims(value, len, ID));
	free(value);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_program_reads_it),
		cmocka_unit_test(each_reason_has_its_result),
		cmocka_unit_test(the_gravest_result_stands),
		cmocka_unit_test(pass_needs_every_fact),
		cmocka_unit_test(no_value_ends_the_field),
		cmocka_unit_test(spellings_of_our_id),
		cmocka_unit_test(spellings_of_other_ids),
		cmocka_unit_test(ours_claims_to_be_ours),
		cmocka_unit_test(comments_may_be_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
