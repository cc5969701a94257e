/* Whose mail it is, what counts as TLS for it, and whom mail without SMTP is sealed for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "policy/check.h"
#include "policy/decide.h"
#include "policy/network.h"

enum { NOW = 1780000000 };

#define SET(field, text) snprintf(field, sizeof(field), "%s", text)

/* --- network --- */

static void
networks(void **state)
{
	static const struct {
		const char *network, *inside, *outside; /* NULL: no network */
	} rows[] = {
		{ "192.0.2.0/24", "192.0.2.255", "192.0.3.0" },
		{ "192.0.2.4/30", "192.0.2.7", "192.0.2.8" },
		{ "192.0.2.9", "192.0.2.9", "192.0.2.8" },
		{ "0.0.0.0/0", "203.0.113.1", "2001:db8::1" },
		{ "2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1" },
		{ "2001:db8::1", "2001:0db8::0001", "2001:db8::2" },
		{ "::/0", "2001:db8::1", "local" },
		{ "192.0.2.0/24", "::ffff:192.0.2.1", "::ffff:192.0.3.1" },
		{ "192.0.2.1/24", NULL, NULL }, /* a bit behind the prefix */
		{ "192.0.2.0/33", NULL, NULL },
		{ "192.0.2.0/", NULL, NULL },
		{ "192.0.2.0/+8", NULL, NULL },
		{ "192.0.2.0/0024", NULL, NULL },
		{ "192.0.2/24", NULL, NULL },
		{ "2001:db8::/129", NULL, NULL },
		{ "kota.go.id", NULL, NULL },
		{ "", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct network network;

		if (network_from(rows[i].network, &network) != (rows[i].inside != NULL))
			fail_msg("'%s'", rows[i].network);
		if (!rows[i].inside)
			continue;
		if (!network_has(&network, rows[i].inside) || network_has(&network, rows[i].outside))
			fail_msg("'%s' with '%s' and '%s'", rows[i].network, rows[i].inside, rows[i].outside);
	}
}

/* --- class --- */

static void
classes(void **state)
{
	static const struct {
		enum domain_answer envelope, from;
		enum mailbox_state state;
		enum class want;
	} rows[] = {
		{ DOMAIN_NONE, DOMAIN_NONE, MAILBOX_ONE, CLASS_INBOUND_OTHER },
		{ DOMAIN_NONE, DOMAIN_NONE, MAILBOX_NONE, CLASS_INBOUND_OTHER },
		{ DOMAIN_OWN, DOMAIN_NONE, MAILBOX_ONE, CLASS_INBOUND_OFFICIAL },
		{ DOMAIN_NONE, DOMAIN_OWN, MAILBOX_ONE, CLASS_INBOUND_OFFICIAL },
		{ DOMAIN_NONE, DOMAIN_SHARED, MAILBOX_ONE, CLASS_INBOUND_OFFICIAL },
		{ DOMAIN_PARTNER, DOMAIN_NONE, MAILBOX_NONE, CLASS_INBOUND_OFFICIAL },
		{ DOMAIN_UNAVAILABLE, DOMAIN_NONE, MAILBOX_ONE, CLASS_INBOUND_OFFICIAL },
		{ DOMAIN_NONE, DOMAIN_UNAVAILABLE, MAILBOX_ONE, CLASS_INBOUND_OFFICIAL },
		{ DOMAIN_NONE, DOMAIN_ODD, MAILBOX_ONE, CLASS_INBOUND_OFFICIAL },
		{ DOMAIN_ODD, DOMAIN_NONE, MAILBOX_ONE, CLASS_INBOUND_OFFICIAL },
		{ DOMAIN_NONE, DOMAIN_NONE, MAILBOX_AMBIGUOUS, CLASS_INBOUND_OFFICIAL },
		{ DOMAIN_NONE, DOMAIN_NONE, MAILBOX_UNKNOWN, CLASS_INBOUND_OFFICIAL },
	};
	struct envelope_facts envelope = { .sender = "" };
	struct registry_facts registry = { 0 };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct message_facts message = { .from.state = rows[i].state };

		registry.envelope_domain = rows[i].envelope;
		registry.from_domain = rows[i].from;
		if (class_of(ROLE_INBOUND, &envelope, &registry, &message) != rows[i].want)
			fail_msg("row %zu: %s", i, class_name(class_of(ROLE_INBOUND, &envelope, &registry, &message)));
		assert_int_equal(class_of(ROLE_SUBMISSION, &envelope, &registry, &message), CLASS_SUBMISSION);
		assert_int_equal(class_of(ROLE_LOCAL, &envelope, &registry, &message), CLASS_LOCAL);
		assert_int_equal(class_of(ROLE_UNKNOWN, &envelope, &registry, &message), CLASS_UNKNOWN);
	}
	registry.envelope_domain = registry.from_domain = DOMAIN_NONE;
	assert_int_equal(class_of(ROLE_INBOUND, &envelope, &registry, NULL), CLASS_INBOUND_OTHER);
	envelope.sender_too_long = true;
	assert_int_equal(class_of(ROLE_INBOUND, &envelope, &registry, NULL), CLASS_INBOUND_OFFICIAL);
	envelope.sender_too_long = false;
	registry.envelope_domain = DOMAIN_PARTNER;
	assert_int_equal(class_of(ROLE_INBOUND, &envelope, &registry, NULL), CLASS_INBOUND_OFFICIAL);
}

/* --- what counts as TLS --- */

static char tls13[] = "TLS_*", ecdhe[] = "ECDHE-*", gcm[] = "ECDHE-*-GCM-*";
static char *usual_ciphers[] = { tls13, ecdhe }, *narrow_ciphers[] = { tls13, gcm };
static char official[] = "inbound-official", other[] = "inbound-other", any[] = "";
static char branch[] = "10.1.0.0/16", strict[] = "10.2.0.0/16", outside[] = "192.0.2.0/24";

static struct tls_rule_setting rules[] = {
	{ official, branch, TLS_VERSION_UNKNOWN, { NULL, 0 } },
	{ any, strict, TLS_VERSION_1_3, { NULL, 0 } },
	{ other, outside, TLS_VERSION_1_0, { NULL, 0 } },
	{ official, any, TLS_VERSION_1_2, { narrow_ciphers, N_ELEMENTS(narrow_ciphers) } },
};

static void
tls_by_class_and_network(void **state)
{
	static const struct {
		enum class class;
		const char *client, *version, *cipher;
		enum reason want; /* REASON_UNKNOWN: nothing */
	} rows[] = {
		{ CLASS_SUBMISSION, "203.0.113.1", "TLSv1.2", "ECDHE-RSA-AES256-SHA384", REASON_UNKNOWN },
		{ CLASS_SUBMISSION, "203.0.113.1", "TLSv1.2", "AES256-SHA256", REASON_TLS_WEAK },
		{ CLASS_SUBMISSION, "203.0.113.1", "TLSv1.2", "", REASON_TLS_WEAK },
		{ CLASS_SUBMISSION, "203.0.113.1", "TLSv1.1", "ECDHE-RSA-AES256-SHA384", REASON_TLS_WEAK },
		{ CLASS_SUBMISSION, "10.1.2.3", "", "", REASON_TLS_MISSING },
		{ CLASS_SUBMISSION, "10.2.2.3", "TLSv1.2", "ECDHE-RSA-AES256-SHA384", REASON_TLS_WEAK },
		{ CLASS_SUBMISSION, "10.2.2.3", "TLSv1.3", "TLS_AES_256_GCM_SHA384", REASON_UNKNOWN },
		{ CLASS_INBOUND_OFFICIAL, "10.1.2.3", "", "", REASON_UNKNOWN },
		{ CLASS_INBOUND_OFFICIAL, "10.3.2.3", "", "", REASON_TLS_MISSING },
		{ CLASS_INBOUND_OFFICIAL, "local", "", "", REASON_TLS_MISSING },
		{ CLASS_INBOUND_OFFICIAL, "10.3.2.3", "TLSv1.2", "ECDHE-RSA-AES256-SHA384", REASON_TLS_WEAK },
		{ CLASS_INBOUND_OFFICIAL, "10.3.2.3", "TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384", REASON_UNKNOWN },
		{ CLASS_INBOUND_OFFICIAL, "10.2.2.3", "TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384", REASON_TLS_WEAK },
		{ CLASS_INBOUND_OTHER, "192.0.2.7", "TLSv1", "ECDHE-RSA-AES256-SHA", REASON_UNKNOWN },
		{ CLASS_INBOUND_OTHER, "192.0.2.7", "", "", REASON_TLS_MISSING },
		{ CLASS_INBOUND_OTHER, "192.0.3.7", "TLSv1", "ECDHE-RSA-AES256-SHA", REASON_TLS_WEAK },
	};
	const struct config config = {
		.tls = { .minimum = TLS_VERSION_1_2, .ciphers = { usual_ciphers, N_ELEMENTS(usual_ciphers) },
		    .rules = { rules, N_ELEMENTS(rules) } },
	};
	const struct registry_facts registry = { .envelope_domain = DOMAIN_OWN, .from_domain = DOMAIN_OWN };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct transport_facts transport = { .tls = *rows[i].version != '\0', .login = "budi", .auth_type = "PLAIN" };
		const struct policy_input input = {
			.class = rows[i].class, .config = &config, .transport = &transport, .registry = &registry, .now = NOW,
		};
		struct findings findings;
		enum reason found = REASON_UNKNOWN;

		SET(transport.client, rows[i].client);
		SET(transport.tls_version, rows[i].version);
		SET(transport.cipher, rows[i].cipher);
		check_all(&input, STAGE_MAIL, &findings);
		for (size_t f = 0; f < findings.n; f++)
			if (findings.at[f].reason == REASON_TLS_MISSING || findings.at[f].reason == REASON_TLS_WEAK)
				found = findings.at[f].reason;
		if (found != rows[i].want)
			fail_msg("row %zu: found %s, wanted %s", i, reason_word(found), reason_word(rows[i].want));
	}
}

/* What could not be asked is deferred, whatever TLS there is. */
static void
unknown_domains_defer(void **state)
{
	const struct config config = { .tls = { .minimum = TLS_VERSION_1_2, .ciphers = { usual_ciphers, 2 } } };
	const struct transport_facts transport = { .tls = true, .tls_version = "TLSv1.3", .cipher = "TLS_AES_256_GCM_SHA384" };
	const struct envelope_facts envelope = { .sender = "a@kota.go.id" };
	struct registry_facts registry = { .envelope_domain = DOMAIN_UNAVAILABLE, .from_domain = DOMAIN_NONE };
	const struct policy_input input = {
		.class = CLASS_INBOUND_OFFICIAL, .config = &config, .transport = &transport, .envelope = &envelope,
		.registry = &registry, .now = NOW,
	};
	struct action_table table;
	struct findings findings;

	(void)state;
	table_defaults(&table);
	check_all(&input, STAGE_MAIL, &findings);
	assert_int_equal(findings.n, 1);
	assert_int_equal(findings.at[0].reason, REASON_REG_UNAVAILABLE);
	assert_int_equal(policy_decide(CLASS_INBOUND_OFFICIAL, &findings, &table).action, ACTION_DEFER);
	/* Nobody is refused for good because we could not ask. */
	{
		const struct transport_facts clear = { .tls = false };
		struct policy_input in_clear = input;

		in_clear.transport = &clear;
		check_all(&in_clear, STAGE_MAIL, &findings);
		assert_int_equal(findings.n, 1);
		assert_int_equal(findings.at[0].reason, REASON_REG_UNAVAILABLE);
		registry.from_domain = DOMAIN_PARTNER;
		check_all(&in_clear, STAGE_MAIL, &findings);
		assert_int_equal(findings.at[0].reason, REASON_TLS_MISSING);
		registry.from_domain = DOMAIN_NONE;
	}
	registry.envelope_domain = DOMAIN_OWN;
	check_all(&input, STAGE_MAIL, &findings);
	assert_int_equal(findings.n, 0);
	registry.from_domain = DOMAIN_UNAVAILABLE;
	check_all(&input, STAGE_MAIL, &findings);
	assert_int_equal(findings.at[0].reason, REASON_REG_UNAVAILABLE);
}

/* --- mail without SMTP --- */

static char www[] = "www-data", app[] = "aplikasi@kota.go.id", cron[] = "cron@kota.go.id", root[] = "root";
static char *app_from[] = { app }, *root_from[] = { cron };
static struct local_sender_setting senders[] = { { www, { app_from, 1 } }, { root, { root_from, 1 } } };

struct scene {
	struct config config;
	struct transport_facts transport;
	struct envelope_facts envelope;
	struct message_facts message;
	struct registry_facts registry;
};

/* Of the message that its author signed. */
static const struct signature_facts good_signature = {
	.state = SIGNATURE_GOOD, .coverage = COVERAGE_WHOLE, .has_signer = true, .protection = PROTECTION_NONE,
	.signer = { .not_before = NOW - 100, .not_after = NOW + 1000, .key = KEY_P256, .key_bits = 256, .may_sign = true },
	.chain = { .state = CHAIN_GOOD, .anchor = ANCHOR_OFFICIAL, .revocation = REVOCATION_GOOD },
};
static const struct registry_signer current_signer = {
	.answer = REGISTRY_FOUND, .known = true, .cert = { .id = 1, .state = CERT_STATE_ACTIVE, .bound = BOUND_ADDRESS },
};

static struct scene
spotless(void)
{
	return (struct scene){
		.config = { .limits = { .message_size = 1000, .recipients = 10 }, .local.senders = { senders, N_ELEMENTS(senders) } },
		.transport = { .without_smtp = true },
		.envelope = { .sender = "aplikasi@kota.go.id", .n_recipients = 1 },
		.message = {
			.from = { .state = MAILBOX_ONE, .address = "aplikasi@kota.go.id" }, .sender = { .state = MAILBOX_NONE },
			.mime = MIME_CLEAR, .outer = LAYER_NONE, .form = BODY_CLEAN, .material = MATERIAL_NONE, .size = 1000,
		},
		.registry = {
			.envelope_domain = DOMAIN_OWN, .from_domain = DOMAIN_OWN,
			.seal = { .answer = REGISTRY_FOUND, .known = true, .cert.kind = CERT_KIND_SYSTEM },
			.cert_read = true, .sender_known = -1, .signer = current_signer,
			.cert = { .not_before = NOW, .not_after = NOW, .key = KEY_P256, .key_bits = 256, .may_sign = true,
			    .n_addresses = 1, .addresses = { "aplikasi@kota.go.id" } },
		},
	};
}

#define CHANGE(name, ...) static void name(struct scene *s) { __VA_ARGS__; }

CHANGE(nothing, (void)s)
CHANGE(other_case_of_domain, SET(s->envelope.sender, "aplikasi@KOTA.go.id"))
CHANGE(not_official, s->registry.from_domain = DOMAIN_NONE; SET(s->message.from.address, "root@mail.example");
    s->registry.seal.answer = REGISTRY_NONE)
CHANGE(signed_by_author, s->message.outer = LAYER_SIGNED)
CHANGE(signed_not_listed, s->message.outer = LAYER_SIGNED; SET(s->envelope.sender, "lain@kota.go.id"))
CHANGE(encrypted_not_listed, s->message.outer = LAYER_ENCRYPTED; SET(s->envelope.sender, "lain@kota.go.id"))
CHANGE(signed_not_official, s->message.outer = LAYER_SIGNED; s->registry.from_domain = DOMAIN_NONE)
CHANGE(by_smtp, s->transport.without_smtp = false)
CHANGE(other_envelope, SET(s->envelope.sender, "cron@kota.go.id"))
CHANGE(other_from, SET(s->message.from.address, "cron@kota.go.id"))
CHANGE(null_envelope, SET(s->envelope.sender, ""))
CHANGE(nobody_listed, SET(s->envelope.sender, "bupati@kota.go.id"); SET(s->message.from.address, "bupati@kota.go.id"))
CHANGE(office_certificate, s->registry.seal.cert.kind = CERT_KIND_OFFICE)
CHANGE(personal_certificate, s->registry.seal.cert.kind = CERT_KIND_PERSON)
CHANGE(unknown_kind, s->registry.seal.cert.kind = CERT_KIND_UNKNOWN)
CHANGE(domain_not_asked, s->registry.from_domain = DOMAIN_UNAVAILABLE)
CHANGE(held, s->registry.seal.answer = REGISTRY_UNUSABLE; s->registry.seal.unusable = UNUSABLE_HELD)
CHANGE(held_not_listed, held(s); SET(s->envelope.sender, "cron@kota.go.id"))
CHANGE(unregistered, s->registry.seal.answer = REGISTRY_NONE; s->registry.seal.known = false)
CHANGE(two_from, s->message.from.state = MAILBOX_AMBIGUOUS)
CHANGE(private_key, s->message.material = MATERIAL_PRIVATE_KEY)
CHANGE(too_large, s->message.size = 1001)

static void
local_rows(void **state)
{
	static const struct {
		const char *name;
		void (*change)(struct scene *scene);
		enum reason want;
		enum action action;
		bool seals;
	} rows[] = {
#define ROW(change, reason, action, seals) { #change, change, REASON_##reason, ACTION_##action, seals }
		ROW(nothing, UNKNOWN, ACCEPT, true),
		ROW(other_case_of_domain, UNKNOWN, ACCEPT, true),
		ROW(not_official, UNKNOWN, ACCEPT, false),
		ROW(signed_by_author, UNKNOWN, ACCEPT, false),
		ROW(signed_not_listed, SEAL_UNAVAILABLE, ACCEPT, false),
		ROW(encrypted_not_listed, SEAL_UNAVAILABLE, ACCEPT, false),
		ROW(signed_not_official, UNKNOWN, ACCEPT, false),
		ROW(by_smtp, SEAL_UNAVAILABLE, ACCEPT, false),
		ROW(other_envelope, SEAL_UNAVAILABLE, ACCEPT, false),
		ROW(other_from, SEAL_UNAVAILABLE, ACCEPT, false),
		ROW(null_envelope, SEAL_UNAVAILABLE, ACCEPT, false),
		ROW(nobody_listed, SEAL_UNAVAILABLE, ACCEPT, false),
		ROW(office_certificate, SEAL_UNAVAILABLE, ACCEPT, false),
		ROW(personal_certificate, SEAL_UNAVAILABLE, ACCEPT, false),
		ROW(unknown_kind, SEAL_UNAVAILABLE, ACCEPT, false),
		ROW(domain_not_asked, REG_UNAVAILABLE, DEFER, false),
		ROW(held, REG_HELD, REJECT, false),
		ROW(held_not_listed, SEAL_UNAVAILABLE, ACCEPT, false),
		ROW(unregistered, REG_UNKNOWN, ACCEPT, false),
		ROW(two_from, FROM_AMBIGUOUS, REJECT, false),
		ROW(private_key, KEY_MATERIAL, REJECT, false),
		ROW(too_large, PARSE_LIMIT, REJECT, false),
	};
	struct action_table table;

	(void)state;
	table_defaults(&table);
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct scene scene = spotless();
		struct policy_input input = {
			.class = CLASS_LOCAL, .config = &scene.config, .transport = &scene.transport,
			.envelope = &scene.envelope, .message = &scene.message, .registry = &scene.registry, .now = NOW,
		};
		struct findings findings;
		struct verdict verdict;

		rows[i].change(&scene);
		input.signature = scene.message.outer == LAYER_SIGNED ? &good_signature : NULL;
		check_all(&input, STAGE_MAIL, &findings);
		assert_int_equal(findings.n, 0); /* such mail is judged at its end only */
		check_all(&input, STAGE_MESSAGE, &findings);
		verdict = policy_decide(CLASS_LOCAL, &findings, &table);
		if (verdict.reason != rows[i].want || verdict.action != rows[i].action
		    || (wants_seal(&input) && scene.registry.seal.answer == REGISTRY_FOUND
			   && policy_may_seal(CLASS_LOCAL, &findings, &verdict)) != rows[i].seals)
			fail_msg("%s: found %s %s", rows[i].name, reason_word(verdict.reason), action_name(verdict.action));
	}
}

static void
listed_senders(void **state)
{
	const struct scene scene = spotless();

	(void)state;
	assert_string_equal(local_sender(&scene.config, app, app)->user, "www-data");
	assert_string_equal(local_sender(&scene.config, cron, cron)->user, "root");
	assert_null(local_sender(&scene.config, app, cron));
	assert_null(local_sender(&scene.config, cron, app));
	assert_null(local_sender(&scene.config, "", app));
	assert_null(local_sender(&scene.config, "Aplikasi@kota.go.id", "Aplikasi@kota.go.id"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networks),
		cmocka_unit_test(classes),
		cmocka_unit_test(tls_by_class_and_network),
		cmocka_unit_test(unknown_domains_defer),
		cmocka_unit_test(local_rows),
		cmocka_unit_test(listed_senders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
