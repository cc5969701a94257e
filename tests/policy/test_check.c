/* Facts to findings: a spotless submission raises nothing; each row changes one thing and is refused for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/check.h"
#include "policy/decide.h"

enum { NOW = 1780000000 };

static char plain[] = "PLAIN", scram[] = "SCRAM-SHA-256", xclient_lower[] = "xclient";
static char *auth_types[] = { plain, scram, xclient_lower };
static char any_tls13[] = "TLS_*", ephemeral[] = "ECDHE-*";
static char *ciphers[] = { any_tls13, ephemeral };

/* One submission with all its facts; the rows change copies of it. */
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
		.config = {
			.submission.auth_types = { auth_types, N_ELEMENTS(auth_types) },
			.tls = { .minimum = TLS_VERSION_1_2, .ciphers = { ciphers, N_ELEMENTS(ciphers) } },
			.limits = { .message_size = 1000, .recipients = 10 },
		},
		.transport = { .tls = true, .tls_version = "TLSv1.3", .cipher = "TLS_AES_256_GCM_SHA384", .auth_type = "PLAIN", .login = "budi", .client = "192.0.2.1" },
		.envelope = { .sender = "budi@kota.go.id", .n_recipients = 1 },
		.message = {
			.from = { .state = MAILBOX_ONE, .address = "budi@kota.go.id" },
			.sender = { .state = MAILBOX_NONE },
			.mime = MIME_CLEAR, .outer = LAYER_NONE, .form = BODY_CLEAN, .material = MATERIAL_NONE,
			.size = 1000,
		},
		.registry = {
			.owns_from = LOGIN_OWNS, .owns_envelope = LOGIN_OWNS, .owns_sender = LOGIN_UNAVAILABLE,
			.seal = { .answer = REGISTRY_FOUND, .known = true },
			.cert_read = true,
			.cert = { .not_before = NOW, .not_after = NOW, .key = KEY_RSA, .key_bits = 2048, .may_sign = true,
			    .n_addresses = 1, .addresses = { "budi@KOTA.go.id" } },
			.sender_known = -1,
			.signer = current_signer,
		},
	};
}

static const struct signature_facts *
signature_of(const struct scene *scene)
{
	static const struct signature_facts none = { .state = SIGNATURE_NONE, .coverage = COVERAGE_NONE };

	switch (scene->message.outer) {
	case LAYER_SIGNED:
		return &good_signature;
	case LAYER_OTHER:
		return &none;
	case LAYER_UNKNOWN:
	case LAYER_NONE:
	case LAYER_ENCRYPTED:
		return NULL;
	}
	return NULL;
}

static void
look(const struct scene *scene, enum stage stage, struct findings *ret)
{
	const struct policy_input input = {
		.class = CLASS_SUBMISSION, .config = &scene->config, .transport = &scene->transport,
		.envelope = &scene->envelope, .message = &scene->message, .registry = &scene->registry, .signature = signature_of(scene),
		.now = NOW,
	};

	check_all(&input, stage, ret);
}

#define CHANGE(name, ...) static void name(struct scene *s) { __VA_ARGS__; }
#define SET(field, text) snprintf(field, sizeof(field), "%s", text)

CHANGE(nothing, (void)s)
CHANGE(tls_oldest_allowed, SET(s->transport.tls_version, "TLSv1.2"))
CHANGE(null_sender, SET(s->envelope.sender, ""))
CHANGE(sender_is_owned, s->message.sender.state = MAILBOX_ONE; s->registry.owns_sender = LOGIN_OWNS)
CHANGE(already_signed, s->message.outer = LAYER_SIGNED; s->registry.seal.answer = REGISTRY_NONE)
CHANGE(already_encrypted, s->message.outer = LAYER_ENCRYPTED; s->registry.seal.answer = REGISTRY_UNAVAILABLE)
CHANGE(office_certificate, SET(s->registry.sender, "dinas@kota.go.id"); s->registry.sender_known = 1)
CHANGE(other_mechanism, SET(s->transport.auth_type, "scram-sha-256"))
CHANGE(p384, s->registry.cert.key = KEY_P384; s->registry.cert.key_bits = 384)
CHANGE(opaque, s->message.form = BODY_OPAQUE)

CHANGE(no_tls, s->transport.tls = false; SET(s->transport.tls_version, ""))
CHANGE(tls_1_1, SET(s->transport.tls_version, "TLSv1.1"))
CHANGE(tls_unheard_of, SET(s->transport.tls_version, "SSLv9"))
CHANGE(no_login, SET(s->transport.login, ""))
CHANGE(xclient, SET(s->transport.auth_type, "XCLIENT"))
CHANGE(no_mechanism, SET(s->transport.auth_type, ""))
CHANGE(over_a_limit, SET(s->message.limit, "mime_parts"))
CHANGE(too_large, s->message.size = 1001)
CHANGE(eleven_recipients, s->envelope.n_recipients = 11)
CHANGE(long_sender, s->envelope.sender_too_long = true)
CHANGE(ambiguous_mime, s->message.mime = MIME_AMBIGUOUS)
CHANGE(mime_not_looked_at, s->message.mime = MIME_UNKNOWN)
CHANGE(layer_not_looked_at, s->message.outer = LAYER_UNKNOWN)
CHANGE(form_not_looked_at, s->message.form = BODY_UNKNOWN)
CHANGE(material_not_looked_for, s->message.material = MATERIAL_UNKNOWN)
CHANGE(pkcs12, s->message.material = MATERIAL_PKCS12)
CHANGE(private_key, s->message.material = MATERIAL_PRIVATE_KEY)
CHANGE(private_key_signed, s->message.material = MATERIAL_PRIVATE_KEY; s->message.outer = LAYER_SIGNED)
CHANGE(over_a_limit_unread, SET(s->message.limit, "mime_parts"); s->message.material = MATERIAL_UNKNOWN)
CHANGE(certs_only, s->message.outer = LAYER_OTHER)
CHANGE(no_from, s->message.from.state = MAILBOX_NONE)
CHANGE(two_from, s->message.from.state = MAILBOX_AMBIGUOUS)
CHANGE(from_not_looked_at, s->message.from.state = MAILBOX_UNKNOWN)
CHANGE(two_senders, s->message.sender.state = MAILBOX_AMBIGUOUS)
CHANGE(sender_not_looked_at, s->message.sender.state = MAILBOX_UNKNOWN)
CHANGE(others_from, s->registry.owns_from = LOGIN_OTHER)
CHANGE(unregistered_login, s->registry.owns_from = LOGIN_UNKNOWN)
CHANGE(login_not_asked, s->registry.owns_from = LOGIN_UNAVAILABLE)
CHANGE(others_envelope, s->registry.owns_envelope = LOGIN_OTHER)
CHANGE(others_sender, s->message.sender.state = MAILBOX_ONE; s->registry.owns_sender = LOGIN_OTHER)
CHANGE(sender_not_asked, s->message.sender.state = MAILBOX_ONE)
CHANGE(unregistered, s->registry.seal.answer = REGISTRY_NONE; s->registry.seal.known = false)
CHANGE(unbound, s->registry.seal.answer = REGISTRY_NONE)
CHANGE(registry_down, s->registry.seal.answer = REGISTRY_UNAVAILABLE)
#define UNUSABLE(name, why) CHANGE(name, s->registry.seal.answer = REGISTRY_UNUSABLE; s->registry.seal.unusable = why)
UNUSABLE(held, UNUSABLE_HELD)
UNUSABLE(revoked, UNUSABLE_REVOKED)
UNUSABLE(retired, UNUSABLE_RETIRED)
UNUSABLE(ended, UNUSABLE_ENDED)
UNUSABLE(expired, UNUSABLE_EXPIRED)
UNUSABLE(not_yet, UNUSABLE_NOT_YET)
UNUSABLE(unusable_for_no_reason, UNUSABLE_UNKNOWN)
CHANGE(damaged_row, s->registry.cert_read = false)
CHANGE(a_second_late, s->registry.cert.not_after = NOW - 1; s->registry.cert.not_before = NOW - 9)
CHANGE(a_second_early, s->registry.cert.not_before = NOW + 1; s->registry.cert.not_after = NOW + 9)
CHANGE(ca_certificate, s->registry.cert.is_ca = true)
CHANGE(not_for_signing, s->registry.cert.may_sign = false)
CHANGE(sha1_certificate, s->registry.cert.weak_signature = true)
CHANGE(odd_address, s->registry.cert.odd_address = true)
CHANGE(rsa_2047, s->registry.cert.key_bits = 2047)
CHANGE(rsa_4097, s->registry.cert.key_bits = 4097)
CHANGE(p521, s->registry.cert.key = KEY_P521)
CHANGE(unknown_key, s->registry.cert.key = KEY_UNKNOWN)
CHANGE(unknown_office, SET(s->registry.sender, "dinas@kota.go.id"); s->registry.sender_known = 0)
CHANGE(office_in_utf8, SET(s->registry.sender, "b\xc3\xbc@kota.go.id"); s->registry.sender_known = 1)
CHANGE(office_not_asked, SET(s->registry.sender, "dinas@kota.go.id"); s->registry.sender_known = -1)

static const struct {
	const char *name;
	void (*change)(struct scene *scene);
	enum reason want; /* REASON_UNKNOWN: no finding */
	enum action want_action;
} rows[] = {
#define GOOD(change) { #change, change, REASON_UNKNOWN, ACTION_ACCEPT }
#define REFUSED(change, reason) { #change, change, REASON_##reason, ACTION_REJECT }
#define DEFERRED(change, reason) { #change, change, REASON_##reason, ACTION_DEFER }
	GOOD(nothing),
	GOOD(tls_oldest_allowed), REFUSED(tls_1_1, TLS_WEAK), REFUSED(tls_unheard_of, TLS_WEAK), REFUSED(no_tls, TLS_MISSING),
	GOOD(other_mechanism), REFUSED(xclient, LOGIN_MISSING), REFUSED(no_mechanism, LOGIN_MISSING),
	REFUSED(no_login, LOGIN_MISSING),
	REFUSED(over_a_limit, PARSE_LIMIT), REFUSED(too_large, PARSE_LIMIT), REFUSED(eleven_recipients, PARSE_LIMIT),
	REFUSED(long_sender, PARSE_LIMIT),
	GOOD(opaque), REFUSED(ambiguous_mime, MIME_AMBIGUOUS), DEFERRED(mime_not_looked_at, INTERNAL),
	DEFERRED(layer_not_looked_at, INTERNAL), DEFERRED(form_not_looked_at, INTERNAL), REFUSED(certs_only, SIG_UNSUPPORTED),
	REFUSED(pkcs12, KEY_MATERIAL), REFUSED(private_key, KEY_MATERIAL), REFUSED(private_key_signed, KEY_MATERIAL),
	DEFERRED(material_not_looked_for, INTERNAL), REFUSED(over_a_limit_unread, PARSE_LIMIT),
	REFUSED(no_from, FROM_AMBIGUOUS), REFUSED(two_from, FROM_AMBIGUOUS), REFUSED(from_not_looked_at, FROM_AMBIGUOUS),
	REFUSED(two_senders, FROM_AMBIGUOUS), REFUSED(sender_not_looked_at, FROM_AMBIGUOUS),
	REFUSED(others_from, LOGIN_MISMATCH), REFUSED(unregistered_login, LOGIN_MISMATCH),
	DEFERRED(login_not_asked, REG_UNAVAILABLE),
	GOOD(null_sender), REFUSED(others_envelope, LOGIN_MISMATCH),
	GOOD(sender_is_owned), REFUSED(others_sender, LOGIN_MISMATCH), DEFERRED(sender_not_asked, REG_UNAVAILABLE),
	GOOD(already_signed), GOOD(already_encrypted),
	REFUSED(unregistered, REG_UNKNOWN), REFUSED(unbound, SEAL_UNAVAILABLE), DEFERRED(registry_down, REG_UNAVAILABLE),
	REFUSED(held, REG_HELD), REFUSED(revoked, CERT_REVOKED), REFUSED(retired, REG_RETIRED), REFUSED(ended, REG_ENDED),
	REFUSED(expired, CERT_EXPIRED), REFUSED(not_yet, CERT_NOT_YET), DEFERRED(unusable_for_no_reason, INTERNAL),
	DEFERRED(damaged_row, REG_UNAVAILABLE), REFUSED(a_second_late, CERT_EXPIRED), REFUSED(a_second_early, CERT_NOT_YET),
	REFUSED(ca_certificate, SEAL_UNAVAILABLE), REFUSED(not_for_signing, SEAL_UNAVAILABLE),
	REFUSED(sha1_certificate, SEAL_UNAVAILABLE), REFUSED(odd_address, SEAL_UNAVAILABLE),
	GOOD(p384), REFUSED(rsa_2047, SEAL_UNAVAILABLE), REFUSED(rsa_4097, SEAL_UNAVAILABLE), REFUSED(p521, SEAL_UNAVAILABLE),
	REFUSED(unknown_key, SEAL_UNAVAILABLE),
	GOOD(office_certificate), REFUSED(unknown_office, REG_ADDRESS_MISMATCH), REFUSED(office_in_utf8, SEAL_UNAVAILABLE), DEFERRED(office_not_asked, REG_UNAVAILABLE),
};

static void
one_change_one_finding(void **state)
{
	struct action_table table;

	(void)state;
	table_defaults(&table);
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct scene scene = spotless();
		struct findings findings;
		struct verdict verdict;

		rows[i].change(&scene);
		look(&scene, STAGE_MESSAGE, &findings);
		verdict = policy_decide(CLASS_SUBMISSION, &findings, &table);
		if (findings.n != (rows[i].want != REASON_UNKNOWN) || verdict.reason != rows[i].want
		    || verdict.action != rows[i].want_action)
			fail_msg("%s: found %zu findings, %s for %s", rows[i].name, findings.n, action_name(verdict.action),
			    reason_word(verdict.reason));
		assert_int_equal(policy_may_seal(CLASS_SUBMISSION, &findings, &verdict), rows[i].want == REASON_UNKNOWN);
	}
}

/* At MAIL only the connection and the login are known; nothing else may be looked at. */
static void
mail_stage_sees_the_connection_only(void **state)
{
	struct scene scene = spotless();
	struct findings findings;
	const struct policy_input input = {
		.class = CLASS_SUBMISSION, .config = &scene.config, .transport = &scene.transport,
		.envelope = &scene.envelope, .now = NOW,
	};

	(void)state;
	check_all(&input, STAGE_MAIL, &findings);
	assert_int_equal(findings.n, 0);
	scene.transport.tls = false;
	scene.transport.login[0] = '\0';
	check_all(&input, STAGE_MAIL, &findings);
	assert_int_equal(findings.n, 2);
	assert_int_equal(findings.at[0].reason, REASON_TLS_MISSING);
	assert_int_equal(findings.at[1].reason, REASON_LOGIN_MISSING);
}

/* A finding must be one that the check's row declares: the reachability test relies on it. */
static void
checks_raise_what_they_declare(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct scene scene = spotless();
		struct policy_input input = {
			.class = CLASS_SUBMISSION, .config = &scene.config, .transport = &scene.transport,
			.envelope = &scene.envelope, .message = &scene.message, .registry = &scene.registry, .now = NOW,
		};

		rows[i].change(&scene);
		input.signature = signature_of(&scene);
		for (const struct check *check = checks; check->name; check++) {
			struct findings findings = { .n = 0 };
			bool declared = false;

			check->run(&input, &findings);
			if (findings.n == 0)
				continue;
			assert_int_equal(findings.n, 1);
			for (size_t r = 0; check->raises[r] != REASON_UNKNOWN; r++)
				declared = declared || check->raises[r] == findings.at[0].reason;
			if (!declared)
				fail_msg("check '%s' raises %s undeclared", check->name, reason_word(findings.at[0].reason));
		}
	}
}

static void
sender_names_the_certificate(void **state)
{
	struct cert_facts cert = { .n_addresses = 2, .addresses = { "Dinas@Kota.go.id", "sekda@kota.go.id" } };

	(void)state;
	assert_string_equal(seal_sender(&cert, "budi@kota.go.id"), "Dinas@Kota.go.id");
	assert_null(seal_sender(&cert, "sekda@KOTA.GO.ID"));
	assert_string_equal(seal_sender(&cert, "SEKDA@kota.go.id"), "Dinas@Kota.go.id");
	assert_string_equal(seal_sender(&cert, "sekda@kota.go.id.evil"), "Dinas@Kota.go.id");
	cert = (struct cert_facts){ .n_addresses = 1, .addresses = { "dinas@xn--kta-sna.go.id" } };
	assert_null(seal_sender(&cert, "dinas@K\xc3\xb6ta.GO.id"));
	assert_null(seal_sender(&cert, "dinas@XN--kta-sna.go.id"));
	assert_non_null(seal_sender(&cert, "Dinas@k\xc3\xb6ta.go.id"));
	assert_non_null(seal_sender(&cert, "dinas@kota.go.id"));
	cert.n_addresses = 0;
	assert_null(seal_sender(&cert, "budi@kota.go.id"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_change_one_finding),
		cmocka_unit_test(mail_stage_sees_the_connection_only),
		cmocka_unit_test(checks_raise_what_they_declare),
		cmocka_unit_test(sender_names_the_certificate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
