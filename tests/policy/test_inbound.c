/* Mail from outside: whose own domain is spoofed, what was seen before, what nobody may read. One change, one finding. */
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

static char any_tls13[] = "TLS_*";
static char *ciphers[] = { any_tls13 };

struct scene {
	struct config config;
	struct transport_facts transport;
	struct envelope_facts envelope;
	struct message_facts message;
	struct registry_facts registry;
	struct signature_facts signature;
	bool looked;
	enum replay_answer replay;
	bool poison;
};

/* A partner's seal, good in every respect. */
static struct scene
spotless(void)
{
	return (struct scene){
		.config = {
			.tls = { .minimum = TLS_VERSION_1_2, .ciphers = { ciphers, N_ELEMENTS(ciphers) } },
			.limits = { .message_size = 1000, .recipients = 10 },
		},
		.transport = { .tls = true, .tls_version = "TLSv1.3", .cipher = "TLS_AES_256_GCM_SHA384", .client = "192.0.2.1" },
		.envelope = { .sender = "budi@kota.go.id", .n_recipients = 1 },
		.message = {
			.from = { .state = MAILBOX_ONE, .address = "budi@kota.go.id" },
			.sender = { .state = MAILBOX_NONE },
			.mime = MIME_CLEAR, .outer = LAYER_SIGNED, .form = BODY_CLEAN, .material = MATERIAL_NONE, .size = 1000,
		},
		.registry = {
			.envelope_domain = DOMAIN_PARTNER, .from_domain = DOMAIN_PARTNER, .sender_known = -1,
			.signer = { .answer = REGISTRY_FOUND, .known = true,
			    .cert = { .id = 1, .kind = CERT_KIND_OFFICE, .state = CERT_STATE_ACTIVE, .bound = BOUND_ADDRESS } },
		},
		.looked = true,
		.signature = {
			.state = SIGNATURE_GOOD, .coverage = COVERAGE_WHOLE, .has_signer = true, .protection = PROTECTION_NONE,
			.signer = { .not_before = NOW - 100, .not_after = NOW + 1000, .key = KEY_P256, .key_bits = 256, .may_sign = true,
			    .n_addresses = 1, .addresses = { "budi@kota.go.id" } },
			.chain = { .state = CHAIN_GOOD, .anchor = ANCHOR_OFFICIAL, .length = 3, .revocation = REVOCATION_GOOD },
		},
		.replay = REPLAY_NEW,
	};
}

#define CHANGE(name, ...) static void name(struct scene *s) { __VA_ARGS__; }
#define SET(field, text) snprintf(field, sizeof(field), "%s", text)

CHANGE(nothing, (void)s)
CHANGE(not_looked_at, s->looked = false)
CHANGE(bad, s->signature.state = SIGNATURE_BAD)

CHANGE(own, s->registry.from_domain = s->registry.envelope_domain = DOMAIN_OWN)
CHANGE(own_from_only, s->registry.from_domain = DOMAIN_OWN)
CHANGE(own_unsigned, own(s); s->message.outer = LAYER_NONE;
    s->signature = (struct signature_facts){ .state = SIGNATURE_NONE, .coverage = COVERAGE_NONE })
CHANGE(own_envelope_unsigned, own_unsigned(s); s->registry.from_domain = DOMAIN_NONE)
CHANGE(partner_unsigned, own_unsigned(s); s->registry.from_domain = s->registry.envelope_domain = DOMAIN_PARTNER)
CHANGE(shared_unsigned, own_unsigned(s); s->registry.from_domain = s->registry.envelope_domain = DOMAIN_SHARED)
CHANGE(own_bad, own(s); bad(s))
CHANGE(own_partial, own_unsigned(s); s->signature.coverage = COVERAGE_PARTIAL)
CHANGE(own_other_address, own(s); s->registry.signer.cert.bound = BOUND_UNKNOWN)
CHANGE(own_untrusted, own(s); s->signature.chain.state = CHAIN_UNTRUSTED)
CHANGE(own_revoked, own(s); s->signature.chain.revocation = REVOCATION_REVOKED)
CHANGE(own_status_unknown, own(s); s->signature.chain.revocation = REVOCATION_UNKNOWN)
CHANGE(own_not_asked, own(s); s->registry.signer.answer = REGISTRY_UNAVAILABLE)
CHANGE(own_not_looked_at, own(s); s->looked = false)

CHANGE(seen, s->replay = REPLAY_SEEN)
CHANGE(seen_protected, seen(s); s->signature.protection = PROTECTION_MATCH)
CHANGE(memory_down, s->replay = REPLAY_UNAVAILABLE)

CHANGE(poison, s->poison = true; s->looked = false; s->message = (struct message_facts){ 0 }; s->registry.from_domain = DOMAIN_NONE)
CHANGE(own_poison, poison(s); s->registry.envelope_domain = DOMAIN_OWN)
CHANGE(grown, s->message.size = 1500)
CHANGE(grown_too_large, s->message.size = 1501)
CHANGE(grown_encrypted, s->config.encrypt.use = true; s->message.size = 2000)
CHANGE(too_large, s->looked = false; SET(s->message.limit, "message_size"))

static const struct {
	const char *name;
	void (*change)(struct scene *scene);
	enum reason want; /* that decides; REASON_UNKNOWN: none */
	enum action action;
} rows[] = {
#define ROW(change, reason, action) { #change, change, REASON_##reason, ACTION_##action }
	ROW(nothing, UNKNOWN, ACCEPT), ROW(not_looked_at, INTERNAL, DEFER), ROW(bad, SIG_INVALID, HOLD),
	ROW(own, UNKNOWN, ACCEPT), ROW(own_from_only, UNKNOWN, ACCEPT),
	ROW(own_unsigned, DOMAIN_SPOOFED, REJECT), ROW(own_envelope_unsigned, DOMAIN_SPOOFED, REJECT),
	ROW(partner_unsigned, SIG_MISSING, TAG), ROW(shared_unsigned, SIG_MISSING, TAG),
	ROW(own_bad, DOMAIN_SPOOFED, REJECT), ROW(own_partial, DOMAIN_SPOOFED, REJECT),
	ROW(own_other_address, DOMAIN_SPOOFED, REJECT), ROW(own_untrusted, DOMAIN_SPOOFED, REJECT),
	ROW(own_revoked, CERT_REVOKED, REJECT_HOLD),
	ROW(own_status_unknown, STATUS_UNKNOWN, DEFER), ROW(own_not_asked, REG_UNAVAILABLE, DEFER),
	ROW(own_not_looked_at, INTERNAL, DEFER),
	ROW(seen, REPLAY, TAG), ROW(seen_protected, UNKNOWN, ACCEPT), ROW(memory_down, STORE_UNAVAILABLE, DEFER),
	ROW(poison, POISON, HOLD), ROW(own_poison, POISON, HOLD), ROW(too_large, PARSE_LIMIT, HOLD),
	ROW(grown, UNKNOWN, ACCEPT), ROW(grown_too_large, PARSE_LIMIT, HOLD), ROW(grown_encrypted, UNKNOWN, ACCEPT),
};

static void
official_rows(void **state)
{
	struct action_table table;

	(void)state;
	table_defaults(&table);
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct scene scene = spotless();
		struct findings findings;
		struct verdict verdict;
		struct policy_input input = {
			.class = CLASS_INBOUND_OFFICIAL, .config = &scene.config, .transport = &scene.transport, .envelope = &scene.envelope,
			.message = &scene.message, .registry = &scene.registry, .now = NOW,
		};

		rows[i].change(&scene);
		input.signature = scene.looked ? &scene.signature : NULL;
		input.replay = scene.replay;
		input.poison = scene.poison;
		assert_int_equal(class_of(ROLE_INBOUND, &scene.envelope, &scene.registry, &scene.message), CLASS_INBOUND_OFFICIAL);
		check_all(&input, STAGE_MESSAGE, &findings);
		verdict = policy_decide(CLASS_INBOUND_OFFICIAL, &findings, &table);
		if (verdict.reason != rows[i].want || verdict.action != rows[i].action)
			fail_msg("%s: %s for %s, %zu findings", rows[i].name, action_name(verdict.action), reason_word(verdict.reason),
			    findings.n);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(official_rows) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
