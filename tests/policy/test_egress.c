/*
 * What must be encrypted or sealed, on the way in by the plan and on the way out by the message alone. One change, one
 * finding; and what nobody has looked at never passes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "policy/check.h"
#include "policy/decide.h"

enum { NOW = 1780000000 };

static char any_tls13[] = "TLS_*", plain[] = "PLAIN", nothing[] = "";
static char *ciphers[] = { any_tls13 }, *auth_types[] = { plain };
static char exempt_address[] = "Robot@kota.example", exempt_below[] = ".mesin.example";
static char *exempt[] = { exempt_address, exempt_below };
static char web[] = "www-data", web_from[] = "web@kota.example";
static char *web_froms[] = { web_from };
static struct local_sender_setting senders[] = { { web, { web_froms, 1 } } };

struct scene {
	enum class class;
	struct config config;
	struct transport_facts transport;
	struct envelope_facts envelope;
	struct message_facts message;
	struct registry_facts registry;
	struct signature_facts signature;
	bool looked;
	struct encryption_plan plan;
	bool planned;
	struct rcpt rcpts[2];
	size_t n_rcpts;
	enum ciphertext ciphertext;
	enum decryption decryption;
	bool poison;
};

static struct rcpt
rcpt_of(const char *address, enum level level)
{
	struct rcpt rcpt = { .level = level };

	rcpt_read(address, address, &rcpt.address);
	return rcpt;
}

/* Sealed by us, to a partner that may get it in clear, on its way out. */
static struct scene
spotless(void)
{
	return (struct scene){
		.class = CLASS_EGRESS,
		.config = {
			.tls = { .minimum = TLS_VERSION_1_2, .ciphers = { ciphers, 1 } },
			.limits = { .message_size = 1000, .recipients = 10 },
			.submission.auth_types = { auth_types, 1 },
			.local.senders = { senders, 1 },
			.encrypt = { .use = true, .copy_certificate = nothing },
			.egress.unsealed = { exempt, 2 },
		},
		.transport = { .tls = true, .tls_version = "TLSv1.3", .cipher = "TLS_AES_256_GCM_SHA384", .client = "192.0.2.1",
		    .auth_type = "PLAIN", .login = "dinas" },
		.envelope = { .sender = "dinas@kota.example", .n_recipients = 1 },
		.message = {
			.from = { .state = MAILBOX_ONE, .address = "dinas@kota.example" }, .sender = { .state = MAILBOX_NONE },
			.mime = MIME_CLEAR, .outer = LAYER_SIGNED, .form = BODY_CLEAN, .material = MATERIAL_NONE, .size = 1000,
		},
		.registry = {
			.envelope_domain = DOMAIN_OWN, .from_domain = DOMAIN_OWN, .sender_known = -1,
			.owns_from = LOGIN_OWNS, .owns_envelope = LOGIN_OWNS, .owns_sender = LOGIN_OWNS,
			.signer = { .answer = REGISTRY_FOUND, .known = true,
			    .cert = { .id = 1, .kind = CERT_KIND_OFFICE, .state = CERT_STATE_ACTIVE, .bound = BOUND_ADDRESS } },
		},
		.looked = true,
		.signature = {
			.state = SIGNATURE_GOOD, .coverage = COVERAGE_WHOLE, .has_signer = true, .protection = PROTECTION_NONE,
			.signer = { .not_before = NOW - 100, .not_after = NOW + 1000, .key = KEY_P256, .key_bits = 256, .may_sign = true,
			    .n_addresses = 1, .addresses = { "dinas@kota.example" } },
			.chain = { .state = CHAIN_GOOD, .anchor = ANCHOR_OFFICIAL, .length = 3, .revocation = REVOCATION_GOOD },
		},
		.plan = { .action = PLAN_CLEAR }, .planned = true,
		.rcpts = { rcpt_of("a@lain.example", LEVEL_MAY), rcpt_of("b@lain.example", LEVEL_INTERNAL) }, .n_rcpts = 2,
		.ciphertext = CIPHERTEXT_NONE,
	};
}

#define CHANGE(name, ...) static void name(struct scene *s) { __VA_ARGS__; }
#define SET(field, text) snprintf(field, sizeof(field), "%s", text)

CHANGE(as_it_is, (void)s)
CHANGE(must_first, s->rcpts[0].level = LEVEL_MUST)
CHANGE(must_last, s->rcpts[1].level = LEVEL_MUST)
CHANGE(must_both, must_first(s); must_last(s))
CHANGE(never, s->rcpts[0].level = LEVEL_NEVER)
CHANGE(forbidden, s->rcpts[1].level = LEVEL_FORBID)
CHANGE(ambiguous, rcpt_read("x%y@lain.example", "x@y", &s->rcpts[1].address); s->rcpts[1].level = LEVEL_FORBID)
CHANGE(unknown, s->rcpts[1].level = LEVEL_UNKNOWN)
CHANGE(must_and_unknown, must_first(s); unknown(s))
CHANGE(forbidden_and_unknown, s->rcpts[0].level = LEVEL_FORBID; unknown(s))
CHANGE(nobody_asked, s->n_rcpts = 0)
CHANGE(must_not_looked, must_first(s); s->ciphertext = CIPHERTEXT_UNKNOWN)
CHANGE(not_looked, s->ciphertext = CIPHERTEXT_UNKNOWN)

CHANGE(encrypted, s->message.outer = LAYER_ENCRYPTED; s->ciphertext = CIPHERTEXT_CMS;
    s->signature = (struct signature_facts){ .state = SIGNATURE_NONE, .coverage = COVERAGE_NONE })
CHANGE(must_encrypted, must_both(s); encrypted(s))
CHANGE(must_says_encrypted, must_both(s); encrypted(s); s->ciphertext = CIPHERTEXT_OTHER)
CHANGE(must_seems_encrypted, must_both(s); encrypted(s); s->ciphertext = CIPHERTEXT_NONE)
CHANGE(forbidden_encrypted, forbidden(s); encrypted(s))
CHANGE(unknown_encrypted, unknown(s); encrypted(s))
CHANGE(off, s->config.encrypt.use = false)
CHANGE(off_must, off(s); must_both(s); s->n_rcpts = 0)
CHANGE(grown, s->message.size = 2000)
CHANGE(grown_off, off(s); s->message.size = 1500)
CHANGE(too_large, s->message.size = 2001)
CHANGE(too_large_off, off(s); s->message.size = 1501)
CHANGE(poisoned_must, must_first(s); s->poison = true)
CHANGE(limit_must, must_first(s); SET(s->message.limit, "depth"))

CHANGE(unsealed, s->message.outer = LAYER_NONE; s->signature = (struct signature_facts){ .state = SIGNATURE_NONE, .coverage = COVERAGE_NONE })
CHANGE(unsealed_not_looked, unsealed(s); s->looked = false)
CHANGE(sealed_not_looked, s->looked = false)
CHANGE(partly_sealed, unsealed(s); s->signature.coverage = COVERAGE_PARTIAL)
CHANGE(badly_sealed, s->signature.state = SIGNATURE_BAD)
CHANGE(from_partner, unsealed(s); s->registry.from_domain = DOMAIN_PARTNER)
CHANGE(from_shared, unsealed(s); s->registry.from_domain = DOMAIN_SHARED)
CHANGE(from_none, unsealed(s); s->registry.from_domain = DOMAIN_NONE)
CHANGE(from_odd, unsealed(s); s->registry.from_domain = DOMAIN_ODD)
CHANGE(from_unavailable, unsealed(s); s->registry.from_domain = DOMAIN_UNAVAILABLE)
CHANGE(from_exempt, unsealed(s); SET(s->message.from.address, "ROBOT@kota.example"))
CHANGE(from_nearly_exempt, unsealed(s); SET(s->message.from.address, "robot2@kota.example"))
CHANGE(from_exempt_below, unsealed(s); SET(s->message.from.address, "root@a.mesin.example"))
CHANGE(from_not_below, unsealed(s); SET(s->message.from.address, "root@mesin.example"))
CHANGE(off_unsealed, off(s); unsealed(s))
CHANGE(signed_around, s->message.outer = LAYER_SIGNED; s->ciphertext = CIPHERTEXT_CMS)
CHANGE(must_signed_around, must_both(s); signed_around(s))
CHANGE(badly_signed_around, badly_sealed(s); signed_around(s))
CHANGE(bounce_unsealed, unsealed(s); SET(s->envelope.sender, ""); SET(s->message.from.address, "mailer-daemon@kota.example"))
CHANGE(bounce_listed, bounce_unsealed(s); SET(s->message.from.address, "Robot@kota.example"))
CHANGE(partner_bounce, bounce_unsealed(s); s->registry.from_domain = DOMAIN_PARTNER)
CHANGE(says_encrypted_unsealed, encrypted(s); s->ciphertext = CIPHERTEXT_OTHER)

/* --- submission --- */

CHANGE(submitted, s->class = CLASS_SUBMISSION)
CHANGE(submitted_grown, submitted(s); s->message.size = 1001)
CHANGE(no_plan, submitted(s); s->planned = false)
CHANGE(no_plan_off, no_plan(s); off(s))
CHANGE(plan_zero, submitted(s); s->plan = (struct encryption_plan){ .action = PLAN_UNKNOWN })
CHANGE(plan_encrypt, submitted(s); s->plan.action = PLAN_ENCRYPT)
CHANGE(plan_split, submitted(s); s->plan.action = PLAN_SPLIT)
CHANGE(plan_no_cert, submitted(s); s->plan = (struct encryption_plan){ .action = PLAN_REFUSE, .reason = REASON_ENC_NO_CERT, .names = "recipients=a@x" })
CHANGE(plan_mixed, plan_no_cert(s); s->plan.reason = REASON_ENC_MIXED)
CHANGE(plan_ambiguous, plan_no_cert(s); s->plan.reason = REASON_RCPT_AMBIGUOUS)
CHANGE(plan_forbidden, plan_no_cert(s); s->plan.reason = REASON_RCPT_FORBIDDEN)
CHANGE(plan_status, plan_no_cert(s); s->plan.action = PLAN_UNKNOWN; s->plan.reason = REASON_STATUS_UNKNOWN)
CHANGE(plan_registry, plan_status(s); s->plan.reason = REASON_REG_UNAVAILABLE)
CHANGE(plan_off, plan_no_cert(s); off(s))
CHANGE(plan_poison, plan_no_cert(s); s->poison = true)
CHANGE(claim_good, submitted(s); must_encrypted(s))
CHANGE(claim_bad, submitted(s); must_says_encrypted(s))
CHANGE(claim_bad_may, submitted(s); encrypted(s); s->ciphertext = CIPHERTEXT_OTHER)
CHANGE(claim_not_looked, submitted(s); encrypted(s); s->ciphertext = CIPHERTEXT_UNKNOWN)

/* --- local --- */

CHANGE(local_system, s->class = CLASS_LOCAL; s->transport.without_smtp = true; s->planned = false; s->registry.from_domain = DOMAIN_NONE)
CHANGE(local_official, s->class = CLASS_LOCAL; s->transport.without_smtp = true; SET(s->envelope.sender, web_from);
    SET(s->message.from.address, web_from); SET(s->signature.signer.addresses[0], web_from))
CHANGE(local_official_no_plan, local_official(s); s->planned = false)
CHANGE(local_official_no_cert, local_official(s);
    s->plan = (struct encryption_plan){ .action = PLAN_REFUSE, .reason = REASON_ENC_NO_CERT, .names = "recipients=a@x" })

/* --- inbound --- */

CHANGE(arrived, s->class = CLASS_INBOUND_OFFICIAL; s->registry.from_domain = s->registry.envelope_domain = DOMAIN_PARTNER)
CHANGE(arrived_failed, arrived(s); s->decryption = DECRYPTION_FAILED)
CHANGE(arrived_not_ours, arrived(s); s->decryption = DECRYPTION_NOT_OURS)
CHANGE(arrived_done, arrived(s); s->decryption = DECRYPTION_DONE)
CHANGE(arrived_no_key, arrived(s); s->decryption = DECRYPTION_NO_KEY)
CHANGE(arrived_no_registry, arrived(s); s->decryption = DECRYPTION_NO_REGISTRY)
CHANGE(arrived_other_no_registry, arrived_no_registry(s); s->class = CLASS_INBOUND_OTHER)
CHANGE(arrived_other_no_key, arrived_no_key(s); s->class = CLASS_INBOUND_OTHER)
CHANGE(arrived_other_failed, arrived_failed(s); s->class = CLASS_INBOUND_OTHER)

static const struct {
	const char *name;
	void (*change)(struct scene *s);
	enum reason want;     /* REASON_UNKNOWN: nothing is found */
	enum action action;   /* with a finding */
	const char *evidence; /* part of it; NULL = any */
} rows[] = {
	{ "spotless", as_it_is, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "in clear to one that must, first", must_first, REASON_ENC_REQUIRED, ACTION_REJECT, "recipients=a@lain.example" },
	{ "in clear to one that must, last", must_last, REASON_ENC_REQUIRED, ACTION_REJECT, "recipients=b@lain.example" },
	{ "to two that must", must_both, REASON_ENC_REQUIRED, ACTION_REJECT, "recipients=a@lain.example and 1 more" },
	{ "encrypted to two that must", must_encrypted, REASON_ENC_UNREADABLE, ACTION_ACCEPT, "layer=encrypted" },
	{ "it only says that it is encrypted", must_says_encrypted, REASON_ENC_REQUIRED, ACTION_REJECT, NULL },
	{ "and nobody says so", must_seems_encrypted, REASON_ENC_REQUIRED, ACTION_REJECT, NULL },
	{ "never", never, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "forbidden", forbidden, REASON_RCPT_FORBIDDEN, ACTION_REJECT, "b@lain.example" },
	{ "forbidden, encrypted", forbidden_encrypted, REASON_RCPT_FORBIDDEN, ACTION_REJECT, NULL },
	{ "ambiguous", ambiguous, REASON_RCPT_AMBIGUOUS, ACTION_REJECT, "x@y" },
	{ "not found out", unknown, REASON_REG_UNAVAILABLE, ACTION_DEFER, "b@lain.example" },
	{ "not found out, and encrypted", unknown_encrypted, REASON_ENC_UNREADABLE, ACTION_ACCEPT, NULL },
	{ "one must, one not found out", must_and_unknown, REASON_ENC_REQUIRED, ACTION_REJECT, NULL },
	{ "one forbidden, one not found out", forbidden_and_unknown, REASON_RCPT_FORBIDDEN, ACTION_REJECT, NULL },
	{ "nobody looked at the recipients", nobody_asked, REASON_INTERNAL, ACTION_DEFER, "recipients not looked at" },
	{ "nobody looked whether it is encrypted", must_not_looked, REASON_INTERNAL, ACTION_DEFER, "encryption not looked at" },
	{ "nor need to, for these", not_looked, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "off", off_must, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "poison speaks for it", poisoned_must, REASON_POISON, ACTION_REJECT, NULL },
	{ "a limit speaks for it", limit_must, REASON_PARSE_LIMIT, ACTION_REJECT, NULL },

	{ "grown since it was submitted: sealed and encrypted", grown, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "more than that", too_large, REASON_PARSE_LIMIT, ACTION_REJECT, "bytes=2001" },
	{ "grown, sealed", grown_off, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "more than a seal adds", too_large_off, REASON_PARSE_LIMIT, ACTION_REJECT, NULL },

	{ "unsealed", unsealed, REASON_SEAL_REQUIRED, ACTION_REJECT, "from=dinas@kota.example" },
	{ "unsealed, and nobody looked", unsealed_not_looked, REASON_SEAL_REQUIRED, ACTION_REJECT, NULL },
	{ "it says it is sealed, and nobody looked", sealed_not_looked, REASON_SEAL_REQUIRED, ACTION_REJECT, NULL },
	{ "sealed in part", partly_sealed, REASON_SEAL_REQUIRED, ACTION_REJECT, NULL },
	{ "a bad seal", badly_sealed, REASON_SEAL_REQUIRED, ACTION_REJECT, NULL },
	{ "unsealed, while nothing is encrypted", off_unsealed, REASON_SEAL_REQUIRED, ACTION_REJECT, NULL },
	{ "unsealed, of a partner", from_partner, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "unsealed, of a shared domain", from_shared, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "unsealed, of anybody", from_none, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "unsealed, of a domain that nobody can compare", from_odd, REASON_SEAL_REQUIRED, ACTION_REJECT, NULL },
	{ "unsealed, of whom is not known", from_unavailable, REASON_REG_UNAVAILABLE, ACTION_DEFER, NULL },
	{ "exempt", from_exempt, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "nearly exempt", from_nearly_exempt, REASON_SEAL_REQUIRED, ACTION_REJECT, NULL },
	{ "exempt below a domain", from_exempt_below, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "not below it", from_not_below, REASON_SEAL_REQUIRED, ACTION_REJECT, NULL },
	{ "the seal is inside", encrypted, REASON_ENC_UNREADABLE, ACTION_ACCEPT, NULL },
	{ "encrypted, and a good signature around it", must_signed_around, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "encrypted, and a bad one around it", badly_signed_around, REASON_SEAL_REQUIRED, ACTION_REJECT, NULL },
	{ "a report of ours", bounce_unsealed, REASON_SEAL_REQUIRED, ACTION_REJECT, NULL },
	{ "a report of ours under a listed address", bounce_listed, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "a report of a partner", partner_bounce, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "inside what nobody can tell", says_encrypted_unsealed, REASON_SEAL_REQUIRED, ACTION_REJECT, NULL },

	{ "submitted, in clear", submitted, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "submitted, to be encrypted", plan_encrypt, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "submitted, to be split", plan_split, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "submitted, and too large", submitted_grown, REASON_PARSE_LIMIT, ACTION_REJECT, NULL },
	{ "nobody made a plan", no_plan, REASON_INTERNAL, ACTION_DEFER, "recipients not looked at" },
	{ "nor need to", no_plan_off, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "a plan of zeros", plan_zero, REASON_UNKNOWN, ACTION_DEFER, "" },
	{ "without a certificate", plan_no_cert, REASON_ENC_NO_CERT, ACTION_REJECT, "recipients=a@x" },
	{ "of several kinds", plan_mixed, REASON_ENC_MIXED, ACTION_REJECT, NULL },
	{ "an ambiguous recipient", plan_ambiguous, REASON_RCPT_AMBIGUOUS, ACTION_REJECT, NULL },
	{ "a forbidden recipient", plan_forbidden, REASON_RCPT_FORBIDDEN, ACTION_REJECT, NULL },
	{ "the certificate's status is not known", plan_status, REASON_STATUS_UNKNOWN, ACTION_DEFER, NULL },
	{ "the registry is away", plan_registry, REASON_REG_UNAVAILABLE, ACTION_DEFER, NULL },
	{ "while nothing is encrypted", plan_off, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "poison speaks for the plan", plan_poison, REASON_POISON, ACTION_REJECT, NULL },
	{ "encrypted by its author", claim_good, REASON_ENC_UNREADABLE, ACTION_ACCEPT, NULL },
	{ "its author says so, to one that must", claim_bad, REASON_ENC_REQUIRED, ACTION_REJECT, "and 1 more" },
	{ "its author says so, to others", claim_bad_may, REASON_ENC_UNREADABLE, ACTION_ACCEPT, NULL },
	{ "its author says so, and nobody looked", claim_not_looked, REASON_INTERNAL, ACTION_DEFER, "encryption not looked at" },

	{ "system mail needs no plan", local_system, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "official mail without SMTP", local_official, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "the same without a plan", local_official_no_plan, REASON_INTERNAL, ACTION_DEFER, NULL },
	{ "the same to one without a certificate", local_official_no_cert, REASON_ENC_NO_CERT, ACTION_REJECT, NULL },

	{ "arrived", arrived, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "did not open", arrived_failed, REASON_DEC_FAILED, ACTION_HOLD, "did not open" },
	{ "did not open, of the rest of the world", arrived_other_failed, REASON_DEC_FAILED, ACTION_HOLD, NULL },
	{ "arrived, the key agent is silent", arrived_no_key, REASON_KEY_UNAVAILABLE, ACTION_DEFER, "silence" },
	{ "arrived, the registry is silent", arrived_no_registry, REASON_REG_UNAVAILABLE, ACTION_DEFER, "recipients: silence" },
	{ "of others, the registry is silent", arrived_other_no_registry, REASON_KEY_UNAVAILABLE, ACTION_DEFER, "recipients: silence" },
	{ "of others, the key agent is silent", arrived_other_no_key, REASON_KEY_UNAVAILABLE, ACTION_DEFER, "silence" },
	{ "to no key of ours", arrived_not_ours, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
	{ "opened", arrived_done, REASON_UNKNOWN, ACTION_ACCEPT, NULL },
};

static const struct finding *
find(const struct findings *findings, enum reason reason)
{
	for (size_t i = 0; i < findings->n; i++)
		if (findings->at[i].reason == reason)
			return &findings->at[i];
	return NULL;
}

static void
judge(struct scene *scene, struct findings *findings)
{
	const struct policy_input input = {
		.class = scene->class, .config = &scene->config, .transport = &scene->transport, .envelope = &scene->envelope,
		.message = &scene->message, .registry = &scene->registry, .signature = scene->looked ? &scene->signature : NULL,
		.replay = REPLAY_NEW, .plan = scene->planned ? &scene->plan : NULL,
		.rcpts = scene->n_rcpts ? scene->rcpts : NULL, .n_rcpts = scene->n_rcpts, .ciphertext = scene->ciphertext,
		.decryption = scene->decryption, .decryption_why = "silence", .poison = scene->poison, .now = NOW,
	};

	check_all(&input, STAGE_MESSAGE, findings);
}

static void
one_change_one_finding(void **state)
{
	struct action_table table;

	(void)state;
	table_defaults(&table);
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct scene scene = spotless();
		const struct finding *found;
		struct findings findings;
		struct verdict verdict;

		rows[i].change(&scene);
		judge(&scene, &findings);
		verdict = policy_decide(scene.class, &findings, &table);
		if (rows[i].want == REASON_UNKNOWN && !rows[i].evidence) {
			if (findings.n)
				fail_msg("%s: %s %s", rows[i].name, reason_word(findings.at[0].reason), findings.at[0].evidence);
			continue;
		}
		found = find(&findings, rows[i].want);
		if (!found || verdict.action != rows[i].action || (rows[i].evidence && !strstr(found->evidence, rows[i].evidence)))
			fail_msg("%s: %zu findings, %s; %s %s", rows[i].name, findings.n, action_name(verdict.action),
			    findings.n ? reason_word(findings.at[0].reason) : "", findings.n ? findings.at[0].evidence : "");
	}
}

/* No setting lets mail out in clear that must not be; who may get it so is a rule's matter. */
static void
nothing_softens_them(void **state)
{
	static const enum reason hard[] = { REASON_ENC_NO_CERT, REASON_ENC_MIXED, REASON_ENC_REQUIRED, REASON_RCPT_AMBIGUOUS, REASON_RCPT_FORBIDDEN };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(hard); i++) {
		for (enum class class = CLASS_SUBMISSION; class < N_CLASSES; class++) {
			assert_false(table_allows(hard[i], class, ACTION_ACCEPT));
			assert_false(table_allows(hard[i], class, ACTION_TAG));
			assert_true(table_allows(hard[i], class, ACTION_REJECT));
		}
	}
}

CHANGE(local_no_status, local_official_no_cert(s); s->plan.action = PLAN_UNKNOWN; s->plan.reason = REASON_STATUS_UNKNOWN)
CHANGE(local_no_registry, local_no_status(s); s->plan.reason = REASON_REG_UNAVAILABLE)
CHANGE(local_too_many, local_official_no_cert(s); s->plan.reason = REASON_PARSE_LIMIT)
CHANGE(local_limit, local_official(s); SET(s->message.limit, "depth"))
CHANGE(submitted_poison, submitted(s); s->poison = true)
CHANGE(submitted_poison_off, submitted_poison(s); off(s))
CHANGE(limit_never, never(s); SET(s->message.limit, "depth"))
CHANGE(limit_unknown, unknown(s); SET(s->message.limit, "depth"))
CHANGE(poison_leaving, s->poison = true; s->n_rcpts = 0)

static const struct {
	const char *name;
	void (*change)(struct scene *s);
	enum reason softened; /* to accept, in its class */
	enum action action;
} soft_rows[] = {
	{ "STATUS_UNKNOWN, and nothing depends on it", local_official, REASON_STATUS_UNKNOWN, ACTION_ACCEPT },
	{ "STATUS_UNKNOWN, and it is a recipient's certificate", local_no_status, REASON_STATUS_UNKNOWN, ACTION_DEFER },
	{ "REG_UNAVAILABLE, and it is a recipient", local_no_registry, REASON_REG_UNAVAILABLE, ACTION_DEFER },
	{ "PARSE_LIMIT, and it is the recipients' number", local_too_many, REASON_PARSE_LIMIT, ACTION_DEFER },
	{ "PARSE_LIMIT, and nobody has read it", local_limit, REASON_PARSE_LIMIT, ACTION_DEFER },
	{ "POISON, submitted", submitted_poison, REASON_POISON, ACTION_DEFER },
	{ "POISON, and nothing is encrypted", submitted_poison_off, REASON_POISON, ACTION_ACCEPT },
	{ "leaving, its recipient not found out", unknown, REASON_REG_UNAVAILABLE, ACTION_DEFER },
	{ "leaving encrypted, its recipient not found out", unknown_encrypted, REASON_REG_UNAVAILABLE, ACTION_ACCEPT },
	{ "leaving unread, to those who may have it in clear", limit_never, REASON_PARSE_LIMIT, ACTION_ACCEPT },
	{ "leaving unread, to one who must not", limit_must, REASON_PARSE_LIMIT, ACTION_DEFER },
	{ "leaving unread, to who knows whom", limit_unknown, REASON_PARSE_LIMIT, ACTION_DEFER },
	{ "leaving, poison", poison_leaving, REASON_POISON, ACTION_DEFER },
};

/* Reasons that have other causes, too, may be softened; not for what would leave in clear. */
static void
nor_what_others_raise_too(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(soft_rows); i++) {
		struct scene scene = spotless();
		struct findings findings;
		struct verdict verdict;

		soft_rows[i].change(&scene);
		table_defaults(&scene.config.table);
		scene.config.table.cells[soft_rows[i].softened][scene.class].action = ACTION_ACCEPT;
		judge(&scene, &findings);
		verdict = policy_decide(scene.class, &findings, &scene.config.table);
		if (verdict.action != soft_rows[i].action)
			fail_msg("%s: %s, %zu findings", soft_rows[i].name, action_name(verdict.action), findings.n);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_change_one_finding), cmocka_unit_test(nothing_softens_them), cmocka_unit_test(nor_what_others_raise_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
