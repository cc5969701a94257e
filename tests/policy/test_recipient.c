/*
 * recipient: addresses in all their disguises, rules, classes, and every transaction of up to three recipients: what is
 * promised of a plan is checked of each of them, not computed a second time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "policy/pattern.h"
#include "policy/recipient.h"

/* --- addresses --- */

static const struct {
	const char *name, *argument, *resolved;
	const char *want; /* NULL = ambiguous */
	const char *why;
} forms[] = {
	{ "plain", "<budi@kota.example>", "budi@kota.example", "budi@kota.example", NULL },
	{ "without brackets", "budi@kota.example", "budi@kota.example", "budi@kota.example", NULL },
	{ "case of the domain", "<budi@KOTA.example>", "budi@kota.example", "budi@kota.example", NULL },
	{ "case of the local part", "<Budi@kota.example>", "budi@kota.example", "Budi@kota.example", NULL },
	{ "a dot at the end", "<budi@kota.example.>", "budi@kota.example", "budi@kota.example", NULL },
	{ "a dot at the end of both", "<budi@kota.example.>", "budi@kota.example.", "budi@kota.example", NULL },
	{ "two dots at the end", "<budi@kota.example..>", "budi@kota.example", NULL, "no plain address" },
	{ "not told what the MTA reads", "<budi@kota.example>", "", "budi@kota.example", NULL },
	{ "an internationalised domain", "<budi@k\xc3\xb6ta.example>", "budi@xn--kta-sna.example", "budi@xn--kta-sna.example", NULL },
	{ "an extension", "<budi+arsip@kota.example>", "budi+arsip@kota.example", "budi+arsip@kota.example", NULL },

	{ "a source route", "<@relay.example:budi@kota.example>", "budi@kota.example", NULL, "a route" },
	{ "a longer route", "<@a.example,@b.example:budi@kota.example>", "budi@kota.example", NULL, "a route" },
	{ "a route, and not told", "<@relay.example:budi@kota.example>", "", NULL, "a route" },
	{ "%-hack", "<evil%lain.example@kota.example>", "evil@lain.example", NULL, "reads it as evil@lain.example" },
	{ "%-hack that the MTA does not follow", "<evil%lain.example@kota.example>", "evil%lain.example@kota.example",
	  "evil%lain.example@kota.example", NULL },
	{ "%-hack, and not told", "<evil%lain.example@kota.example>", "", NULL, "some mail servers go on" },
	{ "a UUCP path", "<lain.example!evil@kota.example>", "evil@lain.example", NULL, "reads it as" },
	{ "a UUCP path, and not told", "<lain.example!evil@kota.example>", "", NULL, "some mail servers go on" },
	{ "a quoted address within", "<\"evil@lain.example\"@kota.example>", "evil@lain.example", NULL, "no plain address" },
	{ "a quoted local part", "<\"budi\"@kota.example>", "budi@kota.example", NULL, "no plain address" },
	{ "another domain", "<budi@kota.example>", "budi@kota2.example", NULL, "reads it as" },
	{ "another local part", "<budi@kota.example>", "badu@kota.example", NULL, "reads it as" },
	{ "one more letter", "<budi@kota.example>", "budii@kota.example", NULL, "reads it as" },
	{ "an address literal", "<budi@[192.0.2.1]>", "budi@[192.0.2.1]", NULL, "no plain address" },
	{ "two addresses", "<budi@kota.example@lain.example>", "budi@kota.example", NULL, "no plain address" },
	{ "a blank", "<budi @kota.example>", "budi@kota.example", NULL, "no plain address" },
	{ "a comment", "<budi@kota.example(x)>", "budi@kota.example", NULL, "no plain address" },
	{ "no domain", "<budi>", "budi@kota.example", NULL, "no plain address" },
	{ "nothing", "<>", "", NULL, "no plain address" },
	{ "not even brackets", "", "", NULL, "no plain address" },
	{ "a mailbox on the MTA's machine", "<budi@kota.example>", "budi", "budi@kota.example", NULL },
	{ "an alias for one", "<info@kota.example>", "budi", "info@kota.example", NULL },
	{ "%-hack for one", "<evil%lain.example@kota.example>", "evil", NULL, "some mail servers go on" },
	{ "the MTA reads a file", "<budi@kota.example>", "/var/tmp/budi", NULL, "reads it as /var/tmp/budi" },
	{ "the MTA reads a command", "<budi@kota.example>", "|budi", NULL, "reads it as |budi" },
	{ "the MTA reads a path without a domain", "<budi@kota.example>", "lain!budi", NULL, "reads it as lain!budi" },

	{ "postmaster of the MTA", "<postmaster>", "postmaster@kota.example", "postmaster@kota.example", NULL },
	{ "postmaster, shouted", "<PostMaster>", "postmaster@kota.example", "postmaster@kota.example", NULL },
	{ "postmaster, and not told", "<postmaster>", "", NULL, "no plain address" },
	{ "not quite the postmaster", "<postmasters>", "postmasters@kota.example", NULL, "no plain address" },
	{ "postmaster becomes somebody", "<postmaster>", "budi@kota.example", NULL, "no plain address" },
};

static void
addresses_are_read_in_one_way(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(forms); i++) {
		struct rcpt_address got;

		rcpt_read(forms[i].argument, forms[i].resolved, &got);
		if (forms[i].want ? got.form != RCPT_FORM_PLAIN || strcmp(got.address, forms[i].want) != 0
				  : got.form != RCPT_FORM_AMBIGUOUS || *got.address || !strstr(got.why, forms[i].why))
			fail_msg("%s: form %d, '%s', why '%s'", forms[i].name, got.form, got.address, got.why);
	}
}

static void
long_addresses_are_ambiguous(void **state)
{
	char text[1024];
	struct rcpt_address got;

	(void)state;
	for (size_t len = 300; len < sizeof(text) - 1; len++) {
		memset(text, 'a', len);
		memcpy(text + len - 10, "@b.example", 10);
		text[len] = '\0';
		rcpt_read(text, text, &got);
		assert_int_equal(got.form, len <= LIMIT_ADDRESS_BYTES ? RCPT_FORM_PLAIN : RCPT_FORM_AMBIGUOUS);
		rcpt_read("a@b.example", text, &got);
		assert_int_equal(got.form, RCPT_FORM_AMBIGUOUS);
	}
	rcpt_read("a@b.example", NULL, &got);
	assert_int_equal(got.form, RCPT_FORM_PLAIN);
}

static void
visible_is_who_is_named(void **state)
{
	static const char *const listed[] = { "Budi@Kota.Example", "x y@kota.example", "siti@k\xc3\xb6ta.example", "" };

	(void)state;
	assert_true(rcpt_is_listed("budi@kota.example", listed, 4));
	assert_true(rcpt_is_listed("siti@xn--kta-sna.example", listed, 4));
	assert_false(rcpt_is_listed("budi@kota.example.com", listed, 4));
	assert_false(rcpt_is_listed("budi+x@kota.example", listed, 4));
	assert_false(rcpt_is_listed("x y@kota.example", listed, 4));
	assert_false(rcpt_is_listed("", listed, 4));
	assert_false(rcpt_is_listed("budi@kota.example", listed, 0));
}

static void
patterns(void **state)
{
	static const struct {
		const char *pattern, *address;
		bool fits;
	} rows[] = {
		{ "budi@lain.example", "budi@lain.example", true }, { "budi@lain.example", "BUDI@LAIN.example", true },
		{ "budi@lain.example", "budi@x.lain.example", false }, { "budi@lain.example", "xbudi@lain.example", false },
		{ "lain.example", "budi@lain.example", true }, { "Lain.Example.", "budi@lain.example", true },
		{ "lain.example", "budi@x.lain.example", false }, { "lain.example", "budi@xlain.example", false },
		{ ".lain.example", "budi@x.lain.example", true }, { ".lain.example", "budi@x.y.lain.example", true },
		{ ".lain.example", "budi@lain.example", false }, { ".lain.example", "budi@xlain.example", false },
		{ ".example", "budi@lain.example", true }, { "k\xc3\xb6ta.example", "budi@xn--kta-sna.example", true },
		{ "lain.example", "lain.example", false }, { "lain.example", "", false },
	};
	static const char *const none[] = { "", ".", "@", "budi@", "@lain.example", "lain..example", "a b", "budi@lain.example,x@y.example", "*" };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		if (!pattern_is(rows[i].pattern) || pattern_fits(rows[i].pattern, rows[i].address) != rows[i].fits)
			fail_msg("'%s' and '%s'", rows[i].pattern, rows[i].address);
	for (size_t i = 0; i < N_ELEMENTS(none); i++)
		if (pattern_is(none[i]))
			fail_msg("'%s' is no pattern", none[i]);
}

/* --- rules --- */

static char empty[] = "", partner[] = "lain.example", below[] = ".go.example", boss[] = "bos@lain.example", own[] = "kota.example";
static char dishub[] = "DISHUB", copy_file[] = "/etc/segel/arsip.pem";

static struct encrypt_rule_setting some_rules[] = {
	{ boss, empty, LEVEL_FORBID },     /* 1 */
	{ partner, dishub, LEVEL_MUST },   /* 2 */
	{ partner, empty, LEVEL_MAY },     /* 3 */
	{ below, empty, LEVEL_NEVER },     /* 4 */
	{ empty, dishub, LEVEL_MAY },      /* 5 */
};

static const struct {
	const char *name;
	const char *to;
	enum domain_answer domain;
	enum unit_answer unit;
	const char *code;
	bool trigger;
	enum level want;
	size_t want_rule;
} rule_rows[] = {
	{ "an address before its domain", "bos@lain.example", DOMAIN_PARTNER, UNIT_FOUND, "DISHUB", false, LEVEL_FORBID, 1 },
	{ "forbidden is not raised", "BOS@lain.example", DOMAIN_PARTNER, UNIT_FOUND, "DISHUB", true, LEVEL_FORBID, 1 },
	{ "domain and unit", "a@lain.example", DOMAIN_PARTNER, UNIT_FOUND, "DISHUB", false, LEVEL_MUST, 2 },
	{ "another unit", "a@lain.example", DOMAIN_PARTNER, UNIT_FOUND, "DINKES", false, LEVEL_MAY, 3 },
	{ "the unit in another case", "a@lain.example", DOMAIN_PARTNER, UNIT_FOUND, "dishub", false, LEVEL_MAY, 3 },
	{ "no unit", "a@lain.example", DOMAIN_PARTNER, UNIT_NONE, "", false, LEVEL_MAY, 3 },
	{ "the unit is not known: nor is the rule", "a@lain.example", DOMAIN_PARTNER, UNIT_UNAVAILABLE, "", false, LEVEL_UNKNOWN, 2 },
	{ "a rule before that one fits", "bos@lain.example", DOMAIN_PARTNER, UNIT_UNAVAILABLE, "", false, LEVEL_FORBID, 1 },
	{ "may, asked for", "a@lain.example", DOMAIN_PARTNER, UNIT_NONE, "", true, LEVEL_MUST, 3 },
	{ "never", "a@x.go.example", DOMAIN_NONE, UNIT_NONE, "", false, LEVEL_NEVER, 4 },
	{ "never, asked for", "a@x.go.example", DOMAIN_NONE, UNIT_NONE, "", true, LEVEL_MUST, 4 },
	{ "not below", "a@go.example", DOMAIN_NONE, UNIT_NONE, "", false, LEVEL_MUST, 0 },
	{ "whoever, by unit", "a@warga.example", DOMAIN_NONE, UNIT_FOUND, "DISHUB", false, LEVEL_MAY, 5 },
	{ "unknown is must", "a@warga.example", DOMAIN_NONE, UNIT_FOUND, "DINKES", false, LEVEL_MUST, 0 },
	{ "a shared domain is not internal", "a@bersama.example", DOMAIN_SHARED, UNIT_NONE, "", false, LEVEL_MUST, 0 },
	{ "nor is a partner's", "a@lain2.example", DOMAIN_PARTNER, UNIT_NONE, "", false, LEVEL_MUST, 0 },
	{ "nor an odd one", "a@odd.example", DOMAIN_ODD, UNIT_NONE, "", false, LEVEL_MUST, 0 },
	{ "internal", "a@kota.example", DOMAIN_OWN, UNIT_NONE, "", false, LEVEL_INTERNAL, 0 },
	{ "internal: a rule for whoever is not about it", "a@kota.example", DOMAIN_OWN, UNIT_FOUND, "DISHUB", false, LEVEL_INTERNAL, 0 },
	{ "internal, asked for", "a@kota.example", DOMAIN_OWN, UNIT_NONE, "", true, LEVEL_INTERNAL, 0 },
	{ "whose domain is not known", "a@kota.example", DOMAIN_UNAVAILABLE, UNIT_NONE, "", false, LEVEL_UNKNOWN, 0 },
	{ "nor whether a rule for whoever fits", "a@kota.example", DOMAIN_UNAVAILABLE, UNIT_FOUND, "DISHUB", false, LEVEL_UNKNOWN, 5 },
	{ "not known, but named by a rule", "a@lain.example", DOMAIN_UNAVAILABLE, UNIT_NONE, "", false, LEVEL_MAY, 3 },
};

static struct config
config_with(struct encrypt_rule_setting *rules, size_t n)
{
	return (struct config){ .encrypt = { .use = true, .rules = { rules, n }, .cipher = CIPHER_BY_CAPABILITY, .rsa = RSA_BY_CAPABILITY,
	    .copy_certificate = empty, .hide_subject = true } };
}

static struct rcpt
rcpt_to(const char *address, enum domain_answer domain)
{
	struct rcpt rcpt = { .domain = domain };

	rcpt_read(address, address, &rcpt.address);
	return rcpt;
}

static void
the_first_rule_decides(void **state)
{
	struct config config = config_with(some_rules, N_ELEMENTS(some_rules));

	(void)state;
	assert_true(encrypt_wants_unit(&config));
	for (size_t i = 0; i < N_ELEMENTS(rule_rows); i++) {
		struct rcpt_sender sender = { .unit_answer = rule_rows[i].unit, .trigger = rule_rows[i].trigger };
		const struct rcpt rcpt = rcpt_to(rule_rows[i].to, rule_rows[i].domain);
		size_t rule = 99;
		enum level level;

		snprintf(sender.unit, sizeof(sender.unit), "%s", rule_rows[i].code);
		level = rcpt_level(&config, &sender, &rcpt, &rule);
		if (level != rule_rows[i].want || rule != rule_rows[i].want_rule)
			fail_msg("%s: %s by rule %zu", rule_rows[i].name, level_name(level), rule);
	}
	config.encrypt.use = false;
	assert_false(encrypt_wants_unit(&config));
	for (size_t i = 0; i < N_ELEMENTS(forms); i++) {
		struct rcpt rcpt = { .domain = DOMAIN_NONE };
		const struct rcpt_sender sender = { .trigger = true };

		rcpt_read(forms[i].argument, forms[i].resolved, &rcpt.address);
		assert_int_equal(rcpt_level(&config, &sender, &rcpt, NULL), LEVEL_NEVER);
	}
	config = config_with(some_rules + 2, 2);
	assert_false(encrypt_wants_unit(&config));
}

/* A rule of an own domain makes its recipients what it says. */
static void
a_rule_names_internal_ones(void **state)
{
	struct encrypt_rule_setting rules[] = { { own, empty, LEVEL_MUST } };
	const struct config config = config_with(rules, 1);
	const struct rcpt_sender sender = { .unit_answer = UNIT_NONE };
	const struct rcpt rcpt = rcpt_to("budi@kota.example", DOMAIN_OWN);

	(void)state;
	assert_int_equal(rcpt_level(&config, &sender, &rcpt, NULL), LEVEL_MUST);
}

/* --- classes --- */

static void
class_by_level_and_certificate(void **state)
{
	static const enum rcpt_class wanted[][ENCRYPT_FOUND + 2] = {
		/* not asked, then by answer: unavailable, undecided, none, unusable, refused, found */
		[LEVEL_MUST] = { RCPT_UNKNOWN, RCPT_UNKNOWN, RCPT_UNKNOWN, RCPT_MUST_NONE, RCPT_MUST_NONE, RCPT_MUST_NONE, RCPT_MUST },
		[LEVEL_MAY] = { RCPT_UNKNOWN, RCPT_UNKNOWN, RCPT_UNKNOWN, RCPT_MAY, RCPT_MAY, RCPT_MAY, RCPT_MAY },
		[LEVEL_NEVER] = { RCPT_NEVER, RCPT_NEVER, RCPT_NEVER, RCPT_NEVER, RCPT_NEVER, RCPT_NEVER, RCPT_NEVER },
		[LEVEL_FORBID] = { RCPT_FORBIDDEN, RCPT_FORBIDDEN, RCPT_FORBIDDEN, RCPT_FORBIDDEN, RCPT_FORBIDDEN, RCPT_FORBIDDEN, RCPT_FORBIDDEN },
	};
	const struct rcpt_sender sender = { .unit_answer = UNIT_NONE };

	(void)state;
	for (enum level level = LEVEL_MUST; level <= LEVEL_FORBID; level++) {
		struct encrypt_rule_setting rules[] = { { partner, empty, (long)level } };
		const struct config config = config_with(rules, 1);

		for (int i = 0; i < ENCRYPT_FOUND + 2; i++) {
			struct rcpt rcpt = rcpt_to("a@lain.example", DOMAIN_PARTNER);

			rcpt.cert.asked = i > 0;
			rcpt.cert.answer = i > 0 ? (enum encrypt_answer)(i - 1) : ENCRYPT_FOUND;
			rcpt_judge(&config, &sender, &rcpt);
			if (rcpt.class != wanted[level][i] || rcpt.level != level || rcpt.rule != 1 || !*rcpt.why)
				fail_msg("%s, answer %d: %s", level_name(level), i - 1, rcpt_class_name(rcpt.class));
		}
	}
	for (int i = RCPT_UNKNOWN; i < N_RCPT_CLASSES; i++)
		for (int j = RCPT_UNKNOWN; j < i; j++)
			assert_string_not_equal(rcpt_class_name((enum rcpt_class)i), rcpt_class_name((enum rcpt_class)j));
}

/* --- plans --- */

/* Every sort of recipient that a transaction can have. */
static const struct sort {
	const char *name;
	enum rcpt_class class;
	enum level level;
	enum domain_answer domain;
	bool asked;
	enum encrypt_answer answer;
	bool can, wants, clear; /* can get it encrypted, must, reads clear only */
} sorts[] = {
	{ "internal", RCPT_INTERNAL, LEVEL_INTERNAL, DOMAIN_OWN, false, ENCRYPT_UNAVAILABLE, false, false, true },
	{ "must", RCPT_MUST, LEVEL_MUST, DOMAIN_PARTNER, true, ENCRYPT_FOUND, true, true, false },
	{ "must-none", RCPT_MUST_NONE, LEVEL_MUST, DOMAIN_PARTNER, true, ENCRYPT_NONE, false, true, false },
	{ "may", RCPT_MAY, LEVEL_MAY, DOMAIN_PARTNER, true, ENCRYPT_FOUND, true, false, false },
	{ "may-none", RCPT_MAY, LEVEL_MAY, DOMAIN_PARTNER, true, ENCRYPT_UNUSABLE, false, false, true },
	{ "never", RCPT_NEVER, LEVEL_NEVER, DOMAIN_NONE, false, ENCRYPT_UNAVAILABLE, false, false, true },
	{ "forbidden", RCPT_FORBIDDEN, LEVEL_FORBID, DOMAIN_NONE, false, ENCRYPT_UNAVAILABLE, false, false, false },
	{ "registry away", RCPT_UNKNOWN, LEVEL_MUST, DOMAIN_PARTNER, true, ENCRYPT_UNAVAILABLE, false, false, false },
	{ "status unknown", RCPT_UNKNOWN, LEVEL_MAY, DOMAIN_PARTNER, true, ENCRYPT_UNDECIDED, false, false, false },
	{ "zero", RCPT_UNKNOWN, LEVEL_UNKNOWN, DOMAIN_UNAVAILABLE, false, ENCRYPT_UNAVAILABLE, false, false, false },
};

enum { MOST = 3, N_CERTS = 2, N_SORTS = N_ELEMENTS(sorts), N_KINDS = N_SORTS * 2 * N_CERTS };

/* Recipient `i` of the transaction, of kind 0 to N_KINDS - 1. */
static struct rcpt
rcpt_of_kind(size_t i, size_t kind, const struct sort **ret)
{
	const struct sort *sort = &sorts[kind % N_SORTS];
	struct rcpt rcpt = { .hidden = kind / N_SORTS % 2, .domain = sort->domain, .level = sort->level, .class = sort->class };

	rcpt.address.form = RCPT_FORM_PLAIN;
	snprintf(rcpt.address.address, sizeof(rcpt.address.address), "r%zu@lain.example", i);
	rcpt.cert.asked = sort->asked;
	rcpt.cert.answer = sort->answer;
	rcpt.cert.sha256[0] = (unsigned char)(1 + kind / N_SORTS / 2);
	*ret = sort;
	return rcpt;
}

struct count {
	size_t can, wants, clear, forbidden, without, unknown;
};

static struct count
count_sorts(const struct sort *const *what, size_t n)
{
	struct count count = { 0 };

	for (size_t i = 0; i < n; i++) {
		count.can += what[i]->can;
		count.wants += what[i]->wants;
		count.clear += what[i]->clear;
		count.forbidden += what[i]->class == RCPT_FORBIDDEN;
		count.without += what[i]->class == RCPT_MUST_NONE;
		count.unknown += what[i]->class == RCPT_UNKNOWN;
	}
	return count;
}

/* Would a shared body tell of somebody hidden? Certificate by certificate, as a reader of the body sees them. */
static bool
tells(const struct rcpt *rcpts, size_t n)
{
	bool seen[N_CERTS + 1] = { false }, open[N_CERTS + 1] = { false };
	size_t n_seen = 0;

	for (size_t i = 0; i < n; i++) {
		seen[rcpts[i].cert.sha256[0]] = true;
		open[rcpts[i].cert.sha256[0]] |= !rcpts[i].hidden;
	}
	for (size_t i = 1; i <= N_CERTS; i++)
		n_seen += seen[i];
	for (size_t i = 1; i <= N_CERTS; i++)
		if (n_seen > 1 && seen[i] && !open[i])
			return true;
	return false;
}

static enum plan_action
promised(const struct rcpt *rcpts, const struct sort *const *what, size_t n, bool split, bool ciphertext, enum reason *reason)
{
	const struct count count = count_sorts(what, n);

	*reason = count.forbidden ? REASON_RCPT_FORBIDDEN : REASON_ENC_NO_CERT;
	if (count.forbidden || (count.without && !ciphertext))
		return PLAN_REFUSE;
	for (size_t i = 0; i < n; i++) {
		if (what[i]->class != RCPT_UNKNOWN || (ciphertext && what[i]->level != LEVEL_UNKNOWN))
			continue;
		*reason = what[i]->answer == ENCRYPT_UNDECIDED ? REASON_STATUS_UNKNOWN : REASON_REG_UNAVAILABLE;
		return PLAN_UNKNOWN;
	}
	*reason = REASON_UNKNOWN;
	if (ciphertext || count.can == 0)
		return PLAN_CLEAR;
	if (split)
		return PLAN_SPLIT;
	if (count.can == n && !tells(rcpts, n))
		return PLAN_ENCRYPT;
	*reason = count.wants ? REASON_ENC_MIXED : REASON_UNKNOWN;
	return count.wants ? PLAN_REFUSE : PLAN_CLEAR;
}

static void
check_set(const struct rcpt *rcpts, size_t n, const struct encryption_plan *plan, const char *name)
{
	bool in[N_CERTS + 1] = { false };

	for (size_t i = 0; i < plan->n_certs; i++) {
		const unsigned char cert = rcpts[plan->certs[i].rcpt].cert.sha256[0];

		if (in[cert])
			fail_msg("%s: a certificate twice", name);
		in[cert] = true;
	}
	for (size_t i = 0; i < n; i++)
		if (!in[rcpts[i].cert.sha256[0]] || !(rcpts[i].cert.answer == ENCRYPT_FOUND))
			fail_msg("%s: recipient %zu cannot read it", name, i);
}

static void
check_plan(const struct rcpt *rcpts, const struct sort *const *what, size_t n, bool split, bool ciphertext)
{
	struct config config = config_with(NULL, 0);
	const struct plan_request request = { &config, rcpts, n, split, ciphertext };
	AUTO_PLAN struct encryption_plan plan = { .n_certs = 0 };
	enum reason reason;
	const enum plan_action action = promised(rcpts, what, n, split, ciphertext, &reason);
	char name[256] = "";

	for (size_t i = 0; i < n; i++)
		snprintf(name + strlen(name), sizeof(name) - strlen(name), "%s%s/%d ", rcpts[i].hidden ? "hidden " : "", what[i]->name,
		    rcpts[i].cert.sha256[0]);
	rcpt_plan(&request, &plan);
	if (plan.action != action || plan.reason != reason)
		fail_msg("%ssplit %d ciphertext %d: %s %s (%s), wanted %s %s", name, split, ciphertext, plan_action_name(plan.action),
		    reason_word(plan.reason), plan.names, plan_action_name(action), reason_word(reason));
	if (plan.action == PLAN_ENCRYPT)
		check_set(rcpts, n, &plan, name);
	else
		assert_null(plan.certs);
	if ((plan.action == PLAN_REFUSE || plan.action == PLAN_UNKNOWN) && !*plan.names)
		fail_msg("%s: nobody is named", name);
}

/* N_KINDS to the power of MOST transactions, each with and without segel-split, in clear and encrypted before. */
static void
every_transaction(void **state)
{
	size_t total = 1, checked = 0;

	(void)state;
	for (size_t n = 1; n <= MOST; n++) {
		total *= N_KINDS;
		for (size_t code = 0; code < total; code++) {
			const struct sort *what[MOST];
			struct rcpt rcpts[MOST];
			size_t rest = code;

			for (size_t i = 0; i < n; i++, rest /= N_KINDS)
				rcpts[i] = rcpt_of_kind(i, rest % N_KINDS, &what[i]);
			for (int way = 0; way < 4; way++, checked++)
				check_plan(rcpts, what, n, way & 1, way & 2);
		}
	}
	print_message("%zu plans\n", checked);
	assert_true(checked > 250000);
}

/*
 * Sort x visible or hidden x route, case, %-hack: what can be read in one way changes nothing, and what cannot is refused,
 * whatever its sort, alone and beside a spotless one.
 */
static void
disguises_change_nothing(void **state)
{
	struct encrypt_rule_setting rules[] = { { own, empty, LEVEL_NEVER } };
	const struct config config = config_with(rules, 1);
	const struct rcpt_sender sender = { .unit_answer = UNIT_NONE };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(forms); i++) {
		for (size_t kind = 0; kind < N_KINDS; kind++) {
			const struct sort *sort, *beside;
			struct rcpt rcpts[2] = { rcpt_of_kind(0, kind, &sort), rcpt_of_kind(1, 1, &beside) };

			rcpt_read(forms[i].argument, forms[i].resolved, &rcpts[0].address);
			for (size_t n = 1; n <= 2; n++) {
				for (int way = 0; way < 4; way++) {
					const struct plan_request request = { &config, rcpts, n, way & 1, way & 2 };
					AUTO_PLAN struct encryption_plan plan = { .n_certs = 0 };

					if (!forms[i].want)
						rcpt_judge(&config, &sender, &rcpts[0]);
					rcpt_plan(&request, &plan);
					if (!forms[i].want && (plan.action != PLAN_REFUSE || plan.reason != REASON_RCPT_AMBIGUOUS
								  || !strstr(plan.names, "recipients=")))
						fail_msg("%s: %s %s", forms[i].name, plan_action_name(plan.action), plan.names);
					if (forms[i].want) {
						const struct sort *what[] = { sort, beside };

						check_plan(rcpts, what, n, way & 1, way & 2);
					}
				}
			}
		}
	}
}

static struct rcpt
must_with(unsigned char cert, unsigned capabilities)
{
	struct rcpt rcpt = { .level = LEVEL_MUST, .class = RCPT_MUST, .cert = { .asked = true, .answer = ENCRYPT_FOUND,
	    .sha256 = { cert }, .capabilities = capabilities } };

	rcpt_read("a@lain.example", "a@lain.example", &rcpt.address);
	return rcpt;
}

static void
cipher_and_padding(void **state)
{
	static const struct {
		long cipher, rsa;
		unsigned a, b;
		enum content_cipher want;
		enum rsa_padding want_a, want_b;
	} rows[] = {
		{ CIPHER_BY_CAPABILITY, RSA_BY_CAPABILITY, 0, 0, CONTENT_AES256_CBC, RSA_PADDING_V15, RSA_PADDING_V15 },
		{ CIPHER_BY_CAPABILITY, RSA_BY_CAPABILITY, CAPABILITY_GCM, CAPABILITY_GCM, CONTENT_AES256_GCM, RSA_PADDING_V15, RSA_PADDING_V15 },
		{ CIPHER_BY_CAPABILITY, RSA_BY_CAPABILITY, CAPABILITY_GCM, CAPABILITY_OAEP, CONTENT_AES256_CBC, RSA_PADDING_V15, RSA_PADDING_OAEP },
		{ CIPHER_BY_CAPABILITY, RSA_ALWAYS_V15, 3, 3, CONTENT_AES256_GCM, RSA_PADDING_V15, RSA_PADDING_V15 },
		{ CIPHER_ALWAYS_CBC, RSA_ALWAYS_OAEP, 3, 0, CONTENT_AES256_CBC, RSA_PADDING_OAEP, RSA_PADDING_OAEP },
		{ CIPHER_ALWAYS_GCM, RSA_BY_CAPABILITY, 0, 3, CONTENT_AES256_GCM, RSA_PADDING_V15, RSA_PADDING_OAEP },
		{ CIPHER_CHOICE_UNKNOWN, RSA_CHOICE_UNKNOWN, 3, 3, CONTENT_AES256_CBC, RSA_PADDING_V15, RSA_PADDING_V15 },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		const struct rcpt rcpts[] = { must_with(1, rows[i].a), must_with(2, rows[i].b) };
		struct config config = config_with(NULL, 0);
		const struct plan_request request = { &config, rcpts, 2, false, false };
		AUTO_PLAN struct encryption_plan plan = { .n_certs = 0 };

		config.encrypt.cipher = rows[i].cipher;
		config.encrypt.rsa = rows[i].rsa;
		config.encrypt.hide_subject = i % 2;
		config.encrypt.copy_certificate = i % 2 ? copy_file : empty;
		rcpt_plan(&request, &plan);
		assert_int_equal(plan.action, PLAN_ENCRYPT);
		assert_int_equal(plan.n_certs, 2);
		if (plan.cipher != rows[i].want || plan.certs[0].padding != rows[i].want_a || plan.certs[1].padding != rows[i].want_b)
			fail_msg("row %zu: %s, %d, %d", i, content_cipher_name(plan.cipher), plan.certs[0].padding, plan.certs[1].padding);
		assert_int_equal(plan.copy, i % 2);
		assert_int_equal(plan.hide_subject, i % 2);
	}
}

/* One more certificate than an object may have, with and without the copy; as many as it may. */
static void
too_many_for_one_body(void **state)
{
	static struct rcpt rcpts[LIMIT_RECIPIENTS];

	(void)state;
	for (size_t i = 0; i < LIMIT_RECIPIENTS; i++) {
		rcpts[i] = must_with(0, 0);
		memcpy(rcpts[i].cert.sha256, &i, sizeof(i));
	}
	for (int copy = 0; copy < 2; copy++) {
		for (size_t n = LIMIT_CMS_RECIPIENTS - 1; n <= LIMIT_CMS_RECIPIENTS + 1; n++) {
			struct config config = config_with(NULL, 0);
			const struct plan_request request = { &config, rcpts, n, false, false };
			AUTO_PLAN struct encryption_plan plan = { .n_certs = 0 };

			config.encrypt.copy_certificate = copy ? copy_file : empty;
			rcpt_plan(&request, &plan);
			assert_int_equal(plan.action, n + (size_t)copy <= LIMIT_CMS_RECIPIENTS ? PLAN_ENCRYPT : PLAN_REFUSE);
		}
	}
}

static void
names_fit(void **state)
{
	static struct rcpt rcpts[LIMIT_RECIPIENTS];
	const struct config config = config_with(NULL, 0);
	const struct plan_request request = { &config, rcpts, LIMIT_RECIPIENTS, false, false };
	const struct plan_request one = { &config, rcpts, 1, false, false };
	AUTO_PLAN struct encryption_plan plan = { .n_certs = 0 };

	(void)state;
	for (size_t i = 0; i < LIMIT_RECIPIENTS; i++) {
		rcpts[i] = must_with(0, 0);
		rcpts[i].class = RCPT_MUST_NONE;
		rcpts[i].cert.answer = ENCRYPT_NONE;
		snprintf(rcpts[i].address.address, sizeof(rcpts[i].address.address), "penerima%zu@lain.example", i);
	}
	rcpt_plan(&request, &plan);
	assert_string_equal(plan.names, "recipients=penerima0@lain.example,penerima1@lain.example,penerima2@lain.example,"
	    "penerima3@lain.example,penerima4@lain.example,penerima5@lain.example,penerima6@lain.example and 993 more");
	rcpt_plan(&one, &plan);
	assert_string_equal(plan.names, "recipients=penerima0@lain.example");
	memset(rcpts[0].address.address, 'a', LIMIT_ADDRESS_BYTES);
	rcpt_plan(&request, &plan);
	assert_string_equal(plan.names, "recipients=penerima1@lain.example,penerima2@lain.example,penerima3@lain.example,"
	    "penerima4@lain.example,penerima5@lain.example,penerima6@lain.example,penerima7@lain.example and 993 more");
	rcpt_plan(&one, &plan);
	assert_string_equal(plan.names, "recipients=1 of a long address");
	for (size_t i = 0; i < LIMIT_RECIPIENTS; i++) {
		rcpts[i] = must_with((unsigned char)i, 0);
		snprintf(rcpts[i].address.address, sizeof(rcpts[i].address.address), "penerima%zu@lain.example", i);
		if (i % 2)
			rcpts[i].class = RCPT_NEVER;
	}
	rcpt_plan(&request, &plan);
	assert_int_equal(plan.reason, REASON_ENC_MIXED);
	assert_string_equal(plan.names, "encrypted=penerima0@lain.example,penerima2@lain.example,penerima4@lain.example and 497 more "
	    "clear=penerima1@lain.example,penerima3@lain.example,penerima5@lain.example and 497 more");
}

static void
nobody_is_not_found_out(void **state)
{
	const struct config config = config_with(NULL, 0);
	const struct plan_request request = { &config, NULL, 0, false, false };
	AUTO_PLAN struct encryption_plan plan = { .n_certs = 0 };

	(void)state;
	rcpt_plan(&request, &plan);
	assert_int_equal(plan.action, PLAN_UNKNOWN);
	assert_int_equal(plan.reason, REASON_INTERNAL);
}

/* --- peers that are mail servers --- */

/* Whatever joins can be planned in one body without ENC_MIXED, as long as nobody is hidden; and nobody is kept out for nothing. */
static void
whoever_joins_goes_together(void **state)
{
	const struct config config = config_with(NULL, 0);

	(void)state;
	for (size_t code = 0; code < N_SORTS * N_SORTS * N_SORTS; code++) {
		const struct sort *what[MOST];
		struct rcpt rcpts[MOST];
		bool joins = true;
		const struct plan_request request = { &config, rcpts, MOST, false, false };
		AUTO_PLAN struct encryption_plan plan = { .n_certs = 0 };

		for (size_t i = 0, rest = code; i < MOST; i++, rest /= N_SORTS) {
			rcpts[i] = rcpt_of_kind(i, rest % N_SORTS, &what[i]);
			joins &= rcpt_joins(rcpts, i, &rcpts[i]);
		}
		rcpt_plan(&request, &plan);
		if (plan.action != PLAN_UNKNOWN && !(plan.action == PLAN_REFUSE && plan.reason != REASON_ENC_MIXED)
		    && joins != (plan.action != PLAN_REFUSE))
			fail_msg("%s, %s, %s: joins %d, %s", what[0]->name, what[1]->name, what[2]->name, joins, plan_action_name(plan.action));
	}
}

static void
peers(void **state)
{
	char net[] = "192.0.2.0/24", one[] = "2001:db8::1";
	char *networks[] = { net, one };
	struct config config = config_with(NULL, 0);

	(void)state;
	assert_false(encrypt_is_peer(&config, "192.0.2.7"));
	config.encrypt.peers = (struct text_list){ networks, 2 };
	assert_true(encrypt_is_peer(&config, "192.0.2.7"));
	assert_true(encrypt_is_peer(&config, "2001:db8::1"));
	assert_false(encrypt_is_peer(&config, "192.0.3.7"));
	assert_false(encrypt_is_peer(&config, "local"));
	assert_false(encrypt_is_peer(&config, ""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_in_one_way), cmocka_unit_test(long_addresses_are_ambiguous),
		cmocka_unit_test(visible_is_who_is_named), cmocka_unit_test(patterns), cmocka_unit_test(the_first_rule_decides),
		cmocka_unit_test(a_rule_names_internal_ones), cmocka_unit_test(class_by_level_and_certificate),
		cmocka_unit_test(every_transaction), cmocka_unit_test(disguises_change_nothing), cmocka_unit_test(cipher_and_padding),
		cmocka_unit_test(too_many_for_one_body), cmocka_unit_test(names_fit), cmocka_unit_test(nobody_is_not_found_out),
		cmocka_unit_test(whoever_joins_goes_together), cmocka_unit_test(peers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
