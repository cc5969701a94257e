/*
 * What is known about a signature, to findings, in every class: a message with a good signature of a registered,
 * trusted certificate raises nothing; each row changes one thing and is found out.
 */
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
#include "policy/identity.h"

enum { NOW = 1780000000 };

static char private_issuer[] = "CN=CA Lama,O=Demo,C=ID";
static char *subject_issuers[] = { private_issuer };

struct scene {
	struct config config;
	struct envelope_facts envelope;
	struct message_facts message;
	struct registry_facts registry;
	struct signature_facts signature;
	bool without_registry;
	enum class class;
};

static struct scene
spotless(enum class class)
{
	return (struct scene){
		.class = class,
		.config = { .limits = { .message_size = 1000, .recipients = 10 } },
		.message = {
			.from = { .state = MAILBOX_ONE, .address = "budi@kota.go.id" },
			.sender = { .state = MAILBOX_NONE },
			.mime = MIME_CLEAR, .outer = LAYER_SIGNED, .form = BODY_CLEAN, .material = MATERIAL_NONE, .size = 1000,
		},
		.registry = { .signer = { .answer = REGISTRY_FOUND, .known = true,
			.cert = { .id = 1, .kind = CERT_KIND_OFFICE, .state = CERT_STATE_ACTIVE, .bound = BOUND_ADDRESS } } },
		.signature = {
			.state = SIGNATURE_GOOD, .coverage = COVERAGE_WHOLE, .has_signer = true, .protection = PROTECTION_MATCH,
			.signer = { .not_before = NOW - 100, .not_after = NOW + 1000, .key = KEY_P256, .key_bits = 256, .may_sign = true,
			    .subject = "CN=Budi", .issuer = "CN=CA", .serial = "1f",
			    .n_addresses = 1, .addresses = { "budi@kota.go.id" } },
			.has_signing_time = true, .signing_time = NOW - 10,
			.chain = { .state = CHAIN_GOOD, .anchor = ANCHOR_OFFICIAL, .length = 3, .revocation = REVOCATION_GOOD },
		},
	};
}

static struct policy_input
input_of(const struct scene *s)
{
	static const struct transport_facts nothing;

	return (struct policy_input){
		.class = s->class, .config = &s->config, .transport = &nothing, .envelope = &s->envelope, .message = &s->message,
		.registry = &s->registry, .signature = &s->signature, .without_registry = s->without_registry, .now = NOW,
	};
}

#define CHANGE(name, ...) static void name(struct scene *s) { __VA_ARGS__; }
#define SET(field, text) snprintf(field, sizeof(field), "%s", text)

CHANGE(nothing, (void)s)
CHANGE(opaque_without_protection, s->signature.protection = PROTECTION_NONE)
CHANGE(partner_anchor, s->signature.chain.anchor = ANCHOR_PARTNER)
CHANGE(stale_but_judged, s->signature.chain.revocation_stale = true)
CHANGE(no_signing_time, s->signature.has_signing_time = false; s->signature.signing_time = 0)
CHANGE(clock_a_little_ahead, s->signature.signing_time = NOW + 300)
CHANGE(registry_not_asked, s->without_registry = true; s->registry.signer = (struct registry_signer){ 0 })

/* A26 to A1: the signature itself. */
CHANGE(unsigned_message, s->message.outer = LAYER_NONE; s->signature = (struct signature_facts){ .state = SIGNATURE_NONE, .coverage = COVERAGE_NONE })
CHANGE(part_signed, unsigned_message(s); s->signature.coverage = COVERAGE_PARTIAL)
CHANGE(good_but_partial, s->signature.coverage = COVERAGE_PARTIAL)
CHANGE(encrypted, unsigned_message(s); s->message.outer = LAYER_ENCRYPTED; s->signature.encrypted = true)
CHANGE(signed_around_encrypted, s->signature.encrypted = true; snprintf(s->signature.layers, sizeof(s->signature.layers), "signed/encrypted"))
CHANGE(signed_by_nobody, unsigned_message(s); s->message.outer = LAYER_SIGNED)
CHANGE(certs_only, unsigned_message(s); s->message.outer = LAYER_OTHER)
CHANGE(unnamed, s->message.outer = LAYER_OTHER)
CHANGE(unnamed_bad, unnamed(s); s->signature.state = SIGNATURE_BAD)
CHANGE(unnamed_unsupported, unnamed(s); s->signature.state = SIGNATURE_UNSUPPORTED)
CHANGE(bad, s->signature.state = SIGNATURE_BAD)
CHANGE(malformed, s->signature.state = SIGNATURE_MALFORMED)
CHANGE(unsupported, s->signature.state = SIGNATURE_UNSUPPORTED)
CHANGE(not_looked_at, s->signature = (struct signature_facts){ 0 })
CHANGE(not_covered, s->signature.coverage = COVERAGE_NONE)
CHANGE(cover_not_looked_at, s->signature.coverage = COVERAGE_UNKNOWN)
CHANGE(none_of_unknown_cover, unsigned_message(s); s->signature.coverage = COVERAGE_UNKNOWN)
CHANGE(good_without_signer, s->signature.has_signer = false)
CHANGE(weak, s->signature.weak = true)
CHANGE(unfit, s->signature.unfit = true)
CHANGE(ca_signer, s->signature.signer.is_ca = true)
CHANGE(not_for_signing, s->signature.signer.may_sign = false)
CHANGE(header_mismatch, s->signature.protection = PROTECTION_MISMATCH)
CHANGE(protection_not_looked_at, s->signature.protection = PROTECTION_UNKNOWN)
CHANGE(ambiguous, s->message.mime = MIME_AMBIGUOUS)
CHANGE(ambiguous_and_bad, s->message.mime = MIME_AMBIGUOUS; s->signature = (struct signature_facts){ 0 })
CHANGE(over_a_limit, SET(s->message.limit, "mime_parts"); s->signature = (struct signature_facts){ 0 })
CHANGE(key_attached, s->message.material = MATERIAL_PKCS12)

/* A21: the signer's clock. */
CHANGE(signed_tomorrow, s->signature.signing_time = NOW + 301)
CHANGE(signed_before_birth, s->signature.signing_time = NOW - 101)
CHANGE(signed_after_death, s->signature.signer.not_after = NOW - 11)
CHANGE(signed_after_revocation, s->signature.chain.revoked_at = NOW - 11)

/* The path and its status. */
CHANGE(untrusted, s->signature.chain.state = CHAIN_UNTRUSTED)
CHANGE(untrusted_of_unknown_status, s->signature.chain = (struct chain_facts){ .state = CHAIN_UNTRUSTED })
CHANGE(bad_chain, s->signature.chain.state = CHAIN_BAD)
CHANGE(long_chain, s->signature.chain.state = CHAIN_LIMIT)
CHANGE(expired, s->signature.chain.state = CHAIN_EXPIRED)
CHANGE(not_yet, s->signature.chain.state = CHAIN_NOT_YET)
CHANGE(chain_not_asked, s->signature.chain.state = CHAIN_UNKNOWN)
CHANGE(chain_outside_the_enum, s->signature.chain.state = (enum chain_state)77)
CHANGE(good_without_anchor, s->signature.chain.anchor = ANCHOR_NONE)
CHANGE(revoked, s->signature.chain.revocation = REVOCATION_REVOKED)
CHANGE(status_unknown, s->signature.chain.revocation = REVOCATION_UNKNOWN)

/* What the OP says. */
#define SIGNER(name, ...) CHANGE(name, struct registry_signer *r = &s->registry.signer; __VA_ARGS__)
SIGNER(registry_down, *r = (struct registry_signer){ .answer = REGISTRY_UNAVAILABLE })
SIGNER(unregistered, *r = (struct registry_signer){ .answer = REGISTRY_NONE })
SIGNER(unbound, r->cert.bound = BOUND_UNKNOWN)
SIGNER(unknown_address, r->cert.bound = BOUND_UNKNOWN; r->known = false)
SIGNER(held, r->answer = REGISTRY_UNUSABLE; r->unusable = UNUSABLE_HELD)
SIGNER(revoked_by_op, r->answer = REGISTRY_UNUSABLE; r->unusable = UNUSABLE_REVOKED)
SIGNER(replaced, r->answer = REGISTRY_UNUSABLE; r->unusable = UNUSABLE_RETIRED)
SIGNER(ended, r->answer = REGISTRY_UNUSABLE; r->unusable = UNUSABLE_ENDED)
SIGNER(expired_by_op, r->answer = REGISTRY_UNUSABLE; r->unusable = UNUSABLE_EXPIRED)
SIGNER(not_yet_by_op, r->answer = REGISTRY_UNUSABLE; r->unusable = UNUSABLE_NOT_YET)
SIGNER(conflict, r->answer = REGISTRY_UNUSABLE; r->unusable = UNUSABLE_CONFLICT)
SIGNER(unusable_for_no_reason, r->answer = REGISTRY_UNUSABLE)
SIGNER(answer_outside_the_enum, r->answer = (enum registry_answer)77)

/* Whose address it is. */
CHANGE(other_from, SET(s->message.from.address, "camat@kota.go.id"); s->without_registry = true)
CHANGE(no_from, s->message.from.state = MAILBOX_NONE)
CHANGE(two_from, s->message.from.state = MAILBOX_AMBIGUOUS)
CHANGE(two_senders, s->message.sender.state = MAILBOX_AMBIGUOUS)
CHANGE(odd_address, s->signature.signer.odd_address = true)
CHANGE(no_address_and_not_bound, s->signature.signer.n_addresses = 0; s->without_registry = true)

/* What each class does about it, in the order of enum class; 0 where the finding does not arise there. */
struct want {
	enum reason reason;
	enum reason also; /* a second finding, where one fact is seen by two checks */
};

static const struct {
	const char *name;
	void (*change)(struct scene *scene);
	struct want want;
} rows[] = {
#define GOOD(change) { #change, change, { REASON_UNKNOWN, REASON_UNKNOWN } }
#define FOUND(change, reason) { #change, change, { REASON_##reason, REASON_UNKNOWN } }
#define BOTH(change, a, b) { #change, change, { REASON_##a, REASON_##b } }
	GOOD(nothing), GOOD(opaque_without_protection), GOOD(partner_anchor), GOOD(stale_but_judged), GOOD(registry_not_asked),
	GOOD(no_signing_time), GOOD(clock_a_little_ahead),
	FOUND(part_signed, SIG_PARTIAL), FOUND(good_but_partial, SIG_PARTIAL), FOUND(encrypted, ENC_UNREADABLE),
	FOUND(signed_around_encrypted, ENC_UNREADABLE), FOUND(signed_by_nobody, SIG_MALFORMED), FOUND(certs_only, SIG_UNSUPPORTED),
	GOOD(unnamed), FOUND(unnamed_bad, SIG_INVALID), FOUND(unnamed_unsupported, SIG_UNSUPPORTED),
	FOUND(bad, SIG_INVALID), FOUND(malformed, SIG_MALFORMED), FOUND(unsupported, SIG_UNSUPPORTED),
	FOUND(not_looked_at, INTERNAL), FOUND(not_covered, INTERNAL), FOUND(cover_not_looked_at, INTERNAL),
	FOUND(none_of_unknown_cover, INTERNAL), FOUND(good_without_signer, INTERNAL),
	FOUND(weak, SIG_WEAK), FOUND(unfit, SIG_UNFIT), FOUND(ca_signer, SIG_UNFIT), FOUND(not_for_signing, SIG_UNFIT),
	FOUND(header_mismatch, HEADER_MISMATCH), FOUND(protection_not_looked_at, INTERNAL),
	FOUND(ambiguous, MIME_AMBIGUOUS), FOUND(ambiguous_and_bad, MIME_AMBIGUOUS), FOUND(over_a_limit, PARSE_LIMIT),
	FOUND(key_attached, KEY_MATERIAL),
	FOUND(signed_tomorrow, SIG_TIME), FOUND(signed_before_birth, SIG_TIME), FOUND(signed_after_death, SIG_TIME),
	FOUND(signed_after_revocation, SIG_TIME),
	FOUND(untrusted, CERT_UNTRUSTED), FOUND(untrusted_of_unknown_status, CERT_UNTRUSTED), FOUND(bad_chain, CERT_UNTRUSTED),
	FOUND(long_chain, CERT_UNTRUSTED), FOUND(expired, CERT_EXPIRED), FOUND(not_yet, CERT_NOT_YET), FOUND(chain_not_asked, INTERNAL),
	FOUND(chain_outside_the_enum, INTERNAL), FOUND(good_without_anchor, INTERNAL),
	FOUND(revoked, CERT_REVOKED), FOUND(status_unknown, STATUS_UNKNOWN),
	FOUND(registry_down, REG_UNAVAILABLE), FOUND(unregistered, REG_UNKNOWN), FOUND(unbound, REG_ADDRESS_MISMATCH),
	FOUND(unknown_address, REG_UNKNOWN), FOUND(held, REG_HELD), FOUND(revoked_by_op, CERT_REVOKED), FOUND(replaced, REG_RETIRED),
	FOUND(ended, REG_ENDED), FOUND(expired_by_op, CERT_EXPIRED), FOUND(not_yet_by_op, CERT_NOT_YET), FOUND(conflict, REG_CONFLICT),
	FOUND(unusable_for_no_reason, INTERNAL), FOUND(answer_outside_the_enum, INTERNAL),
	FOUND(other_from, SIGNER_MISMATCH), FOUND(no_from, FROM_AMBIGUOUS), FOUND(two_from, FROM_AMBIGUOUS),
	FOUND(two_senders, FROM_AMBIGUOUS), BOTH(odd_address, SIG_UNFIT, SIGNER_MISMATCH),
	FOUND(no_address_and_not_bound, SIGNER_MISMATCH),
};

static bool
has(const struct findings *findings, enum reason reason)
{
	for (size_t i = 0; i < findings->n; i++)
		if (findings->at[i].reason == reason)
			return true;
	return false;
}

/* Exactly what is wanted, and of no finding more lenient than the table's cell. */
static void
check_row(size_t i, enum class class, const struct action_table *table)
{
	const size_t n = (rows[i].want.reason != REASON_UNKNOWN) + (rows[i].want.also != REASON_UNKNOWN);
	struct scene scene = spotless(class);
	struct policy_input input;
	struct findings findings;
	struct verdict verdict;

	rows[i].change(&scene);
	input = input_of(&scene);
	check_all(&input, STAGE_CONTENT, &findings);
	verdict = policy_decide(class, &findings, table);
	if (findings.n != n || (n && !has(&findings, rows[i].want.reason)) || (n > 1 && !has(&findings, rows[i].want.also)))
		fail_msg("%s in %s: %zu findings, the verdict's is %s: %s", rows[i].name, class_name(class), findings.n,
		    reason_word(verdict.reason), verdict.finding ? verdict.finding->evidence : "");
	if (n == 0)
		assert_int_equal(verdict.action, ACTION_ACCEPT);
	else
		assert_int_equal(verdict.action, table->cells[rows[i].want.reason][class].action);
	if (rows[i].want.reason == REASON_INTERNAL)
		assert_int_equal(verdict.action, ACTION_DEFER);
}

static void
one_change_one_finding_in_every_class(void **state)
{
	struct action_table table;

	(void)state;
	table_defaults(&table);
	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		for (int class = CLASS_SUBMISSION; class < N_CLASSES; class++)
			check_row(i, (enum class)class, &table);
}

/* Our own users' mail is sealed by us; on the way out another finding asks. */
static void
unsigned_is_missing_where_it_came_from_others(void **state)
{
	static const enum action want[N_CLASSES] = {
		[CLASS_INBOUND_OFFICIAL] = ACTION_TAG, [CLASS_INBOUND_OTHER] = ACTION_ACCEPT, [CLASS_LOCAL] = ACTION_ACCEPT,
		[CLASS_SUBMISSION] = ACTION_ACCEPT, [CLASS_EGRESS] = ACTION_ACCEPT,
	};
	struct action_table table;

	(void)state;
	table_defaults(&table);
	for (int class = CLASS_SUBMISSION; class < N_CLASSES; class++) {
		struct scene scene = spotless((enum class)class);
		struct policy_input input;
		struct findings findings;

		unsigned_message(&scene);
		input = input_of(&scene);
		check_all(&input, STAGE_CONTENT, &findings);
		assert_int_equal(findings.n, class != CLASS_SUBMISSION && class != CLASS_EGRESS);
		assert_true(findings.n == 0 || findings.at[0].reason == REASON_SIG_MISSING);
		assert_int_equal(policy_decide((enum class)class, &findings, &table).action, want[class]);
	}
}

/* Without signature facts the rest is judged all the same. */
static void
without_facts_the_rest_is_judged(void **state)
{
	(void)state;
	for (int class = CLASS_SUBMISSION; class < N_CLASSES; class++) {
		struct scene scene = spotless((enum class)class);
		struct policy_input input = input_of(&scene);
		struct findings findings;

		input.signature = NULL;
		scene.message.mime = MIME_AMBIGUOUS;
		check_all(&input, STAGE_CONTENT, &findings);
		assert_int_equal(findings.n, 1);
		assert_int_equal(findings.at[0].reason, REASON_MIME_AMBIGUOUS);
	}
}

/* Fresh memory is not a good message, whatever is said of the rest. */
static void
zero_is_never_good(void **state)
{
	static const struct signature_facts zero;
	static const struct registry_facts no_registry;

	(void)state;
	for (int class = CLASS_SUBMISSION; class < N_CLASSES; class++) {
		struct scene scene = spotless((enum class)class);
		struct policy_input input = input_of(&scene);
		struct action_table table;
		struct findings findings;

		table_defaults(&table);
		input.signature = &zero;
		check_all(&input, STAGE_CONTENT, &findings);
		assert_int_equal(policy_decide((enum class)class, &findings, &table).action, ACTION_DEFER);
		input.signature = &scene.signature;
		input.registry = &no_registry;
		check_all(&input, STAGE_CONTENT, &findings);
		assert_int_equal(findings.n, 1);
		assert_int_equal(findings.at[0].reason, REASON_REG_UNAVAILABLE);
	}
}

/* A finding must be one that the check's row declares. */
static void
checks_raise_what_they_declare(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct scene scene = spotless(CLASS_INBOUND_OFFICIAL);
		struct policy_input input;

		rows[i].change(&scene);
		input = input_of(&scene);
		for (const struct check *check = checks; check->name; check++) {
			struct findings findings = { .n = 0 };
			bool declared = false;

			if (!(check->judged & CLASS_BIT(CLASS_INBOUND_OFFICIAL)))
				continue;
			check->run(&input, &findings);
			if (findings.n == 0)
				continue;
			assert_int_equal(findings.n, 1);
			for (size_t r = 0; check->raises[r] != REASON_UNKNOWN; r++)
				declared = declared || check->raises[r] == findings.at[0].reason;
			if (!declared)
				fail_msg("%s: check '%s' raises %s undeclared", rows[i].name, check->name, reason_word(findings.at[0].reason));
		}
	}
}

/* Everything wrong at once still fits. */
static void
all_findings_fit(void **state)
{
	struct scene scene = spotless(CLASS_SUBMISSION);
	struct policy_input input;
	struct findings findings;

	(void)state;
	weak(&scene);
	unfit(&scene);
	header_mismatch(&scene);
	signed_tomorrow(&scene);
	expired(&scene);
	revoked(&scene);
	unregistered(&scene);
	key_attached(&scene);
	SET(scene.message.from.address, "camat@kota.go.id");
	input = input_of(&scene);
	check_all(&input, STAGE_MESSAGE, &findings);
	assert_true(findings.n >= 10);
	assert_false(findings.overflow);
}

struct combination {
	enum signature_state state;
	enum coverage coverage;
	enum chain_state chain;
	enum anchor anchor;
	enum revocation_state revocation;
	enum protection protection;
	enum registry_answer answer;
	enum bound_to bound;
};

static bool
is_all_good(const struct combination *c)
{
	return c->state == SIGNATURE_GOOD && c->coverage == COVERAGE_WHOLE && c->chain == CHAIN_GOOD && c->anchor != ANCHOR_NONE
	    && c->revocation == REVOCATION_GOOD && (c->protection == PROTECTION_NONE || c->protection == PROTECTION_MATCH)
	    && c->answer == REGISTRY_FOUND && c->bound != BOUND_UNKNOWN;
}

/* The n-th of all, by the digits of a mixed base; false behind the last. */
static bool
combination(size_t n, struct combination *ret)
{
	static const size_t bases[] = { SIGNATURE_UNSUPPORTED + 1, COVERAGE_WHOLE + 1, CHAIN_LIMIT + 1, ANCHOR_PARTNER + 1,
		REVOCATION_REVOKED + 1, PROTECTION_MISMATCH + 1, REGISTRY_FOUND + 1, BOUND_DOMAIN + 1 };
	size_t digits[N_ELEMENTS(bases)];

	for (size_t i = 0; i < N_ELEMENTS(bases); i++, n /= bases[i - 1])
		digits[i] = n % bases[i];
	*ret = (struct combination){ (enum signature_state)digits[0], (enum coverage)digits[1], (enum chain_state)digits[2],
		(enum anchor)digits[3], (enum revocation_state)digits[4], (enum protection)digits[5], (enum registry_answer)digits[6],
		(enum bound_to)digits[7] };
	return n == 0;
}

/*
 * Of all combinations of what can be known, only those pass an official's or our own user's check where everything is
 * good. For a message that says it is signed; where nothing was signed, something is found all the same.
 */
static void
nothing_passes_but_what_is_all_good(void **state)
{
	static const enum class classes[] = { CLASS_SUBMISSION, CLASS_INBOUND_OFFICIAL, CLASS_EGRESS };
	struct combination c;
	size_t n = 0, passed = 0;

	(void)state;
	for (; combination(n, &c); n++) {
		struct scene scene = spotless(classes[n % N_ELEMENTS(classes)]);
		struct policy_input input = input_of(&scene);
		struct findings findings;

		scene.signature.state = c.state;
		scene.signature.coverage = c.coverage;
		scene.signature.chain.state = c.chain;
		scene.signature.chain.anchor = c.anchor;
		scene.signature.chain.revocation = c.revocation;
		scene.signature.protection = c.protection;
		scene.registry.signer.answer = c.answer;
		scene.registry.signer.cert.bound = c.bound;
		check_all(&input, STAGE_CONTENT, &findings);
		if ((findings.n == 0) != is_all_good(&c))
			fail_msg("combination %zu: %zu findings", n, findings.n);
		assert_false(findings.overflow);
		passed += findings.n == 0;
	}
	assert_int_equal(n, 6 * 4 * 7 * 3 * 3 * 4 * 4 * 4);
	assert_int_equal(passed, 2 * 2 * 3);
}

/* --- identity --- */

CHANGE(from_in_capitals, SET(s->message.from.address, "BUDI@kota.go.id"))
CHANGE(and_alike_there, from_in_capitals(s); s->registry.signer.fold = true)
CHANGE(domain_in_capitals, SET(s->message.from.address, "budi@KOTA.go.ID"))
CHANGE(unbind, s->registry.signer.cert.bound = BOUND_UNKNOWN)
CHANGE(second_address, s->signature.signer.n_addresses = 2; SET(s->signature.signer.addresses[0], "x@kota.go.id");
    SET(s->signature.signer.addresses[1], "budi@kota.go.id"))
CHANGE(longer_domain, SET(s->message.from.address, "budi@kota.go.id.example"))
CHANGE(sub_domain, SET(s->message.from.address, "budi@mail.kota.go.id"))
CHANGE(cyrillic, SET(s->message.from.address, "budi@k\xd0\xbeta.go.id"))
CHANGE(u_label, SET(s->message.from.address, "budi@m\xc3\xbcnchen.example"); SET(s->signature.signer.addresses[0], "budi@xn--mnchen-3ya.example"))
CHANGE(utf8_mailbox, SET(s->message.from.address, "b\xc3\xbc@m\xc3\xbcnchen.example"); SET(s->signature.signer.addresses[0], "b\xc3\xbc@xn--mnchen-3ya.example"))
CHANGE(utf8_not_normalised, utf8_mailbox(s); SET(s->message.from.address, "bu\xcc\x88@m\xc3\xbcnchen.example"))
CHANGE(name_of_another, SET(s->signature.signer.addresses[0], "dinas@kota.go.id"))
CHANGE(bound_without_sender, name_of_another(s))
CHANGE(sender_named, name_of_another(s); s->message.sender.state = MAILBOX_ONE; SET(s->message.sender.address, "dinas@kota.go.id"))
CHANGE(sender_is_from, name_of_another(s); s->message.sender.state = MAILBOX_ONE; SET(s->message.sender.address, "budi@kota.go.id"))
CHANGE(sender_not_named, sender_named(s); SET(s->message.sender.address, "mallory@kota.go.id"))
CHANGE(sender_named_not_bound, sender_named(s); unbind(s))
CHANGE(own_address_and_a_secretary, sender_named(s); SET(s->signature.signer.addresses[0], "budi@kota.go.id"))
CHANGE(partner_seal, sender_named(s); SET(s->message.from.address, "sekda@lain.go.id"); SET(s->message.sender.address, "segel@lain.go.id");
    SET(s->signature.signer.addresses[0], "segel@lain.go.id"); s->registry.signer.cert.bound = BOUND_DOMAIN;
    s->registry.signer.cert.kind = CERT_KIND_SYSTEM; s->registry.signer.known = false)
CHANGE(partner_seal_unbound, partner_seal(s); unbind(s))
CHANGE(partner_seal_other_sender, partner_seal(s); SET(s->message.sender.address, "lain@lain.go.id"))
CHANGE(in_subject, s->signature.signer.address_in_subject = true; SET(s->signature.signer.issuer, private_issuer); unbind(s))
CHANGE(in_subject_where_it_counts, in_subject(s); s->config.verify.subject_address = (struct text_list){ subject_issuers, 1 })
CHANGE(in_subject_of_another_issuer, in_subject_where_it_counts(s); SET(s->signature.signer.issuer, "CN=CA Lama,O=Demo"))
CHANGE(in_subject_but_bound, in_subject(s); s->registry.signer.cert.bound = BOUND_UNIT)
CHANGE(no_address, s->signature.signer.n_addresses = 0)
CHANGE(no_address_not_bound, no_address(s); unbind(s))
CHANGE(blank_in_the_address, s->signature.signer.odd_address = true; s->signature.signer.n_addresses = 0)
CHANGE(odd_beside_the_right_one, s->signature.signer.odd_address = true)
CHANGE(registry_silent, s->registry.signer = (struct registry_signer){ 0 })
CHANGE(registry_silent_other_name, registry_silent(s); name_of_another(s))
CHANGE(held_still_names, s->registry.signer.answer = REGISTRY_UNUSABLE; s->registry.signer.unusable = UNUSABLE_HELD; name_of_another(s))
CHANGE(from_unread, s->message.from.state = MAILBOX_UNKNOWN)
CHANGE(sender_unread, s->message.sender.state = MAILBOX_UNKNOWN)
CHANGE(nobody_signed, s->signature = (struct signature_facts){ .state = SIGNATURE_NONE })
CHANGE(malformed_and_two_from, two_from(s); s->signature = (struct signature_facts){ .state = SIGNATURE_MALFORMED })
CHANGE(bad_but_named, s->signature.state = SIGNATURE_BAD)

static void
whose_address_it_is(void **state)
{
	static const struct {
		const char *name;
		void (*change)(struct scene *scene);
		enum identity want;
	} asked[] = {
#define IS(word, change) { #change, change, IDENTITY_##word }
		IS(MATCH, nothing), IS(MATCH, unbind), IS(MATCH, second_address), IS(MATCH, domain_in_capitals),
		/* A15 */
		IS(MATCH, and_alike_there), IS(MATCH, registry_not_asked),
		IS(MISMATCH, longer_domain), IS(MISMATCH, sub_domain),
		/* A17 */
		IS(MISMATCH, cyrillic), IS(MATCH, u_label), IS(MATCH, utf8_mailbox), IS(MISMATCH, utf8_not_normalised),
		/* registry first */
		IS(MATCH, bound_without_sender), IS(MATCH, sender_named), IS(MATCH, sender_is_from), IS(MISMATCH, sender_not_named),
		IS(MISMATCH, sender_named_not_bound), IS(MATCH, own_address_and_a_secretary),
		IS(MATCH, partner_seal), IS(MISMATCH, partner_seal_unbound), IS(MISMATCH, partner_seal_other_sender),
		/* A16 */
		IS(MISMATCH, in_subject), IS(MATCH, in_subject_where_it_counts), IS(MISMATCH, in_subject_of_another_issuer),
		IS(MATCH, in_subject_but_bound), IS(MATCH, no_address), IS(NONE, no_address_not_bound),
		/* A14 */
		IS(MISMATCH, blank_in_the_address), IS(MISMATCH, odd_beside_the_right_one),
		IS(MATCH, registry_silent), IS(UNKNOWN, registry_silent_other_name), IS(MATCH, held_still_names),
		IS(AMBIGUOUS, two_from), IS(AMBIGUOUS, no_from), IS(AMBIGUOUS, two_senders), IS(AMBIGUOUS, malformed_and_two_from), IS(UNKNOWN, from_unread),
		IS(UNKNOWN, sender_unread), IS(NONE, nobody_signed), IS(MATCH, bad_but_named), IS(NONE, good_without_signer),
		IS(MISMATCH, other_from), IS(NONE, no_address_and_not_bound),
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(asked); i++) {
		struct scene scene = spotless(CLASS_INBOUND_OFFICIAL);
		struct policy_input input;
		struct identity_facts identity;

		/* Where a binding is not what the row is about, none helps. */
		if (asked[i].change == longer_domain || asked[i].change == sub_domain || asked[i].change == cyrillic
		    || asked[i].change == utf8_not_normalised)
			unbind(&scene);
		asked[i].change(&scene);
		input = input_of(&scene);
		identity_judge(&input, &identity);
		if (identity.state != asked[i].want || !*identity.why)
			fail_msg("%s: %s: %s", asked[i].name, identity_name(identity.state), identity.why);
	}
}

/* A15: without the registry's word local parts differ by their case. */
static void
case_counts_unless_the_registry_says_otherwise(void **state)
{
	struct scene scene = spotless(CLASS_INBOUND_OFFICIAL);
	struct policy_input input;
	struct identity_facts identity;

	(void)state;
	from_in_capitals(&scene);
	unbind(&scene);
	input = input_of(&scene);
	identity_judge(&input, &identity);
	assert_int_equal(identity.state, IDENTITY_MISMATCH);
	scene.registry.signer.fold = true;
	identity_judge(&input, &identity);
	assert_int_equal(identity.state, IDENTITY_MATCH);
	/* Nobody asked the registry: its word is not used. */
	input.without_registry = true;
	identity_judge(&input, &identity);
	assert_int_equal(identity.state, IDENTITY_MISMATCH);
}

static void
identity_names_are_unique(void **state)
{
	(void)state;
	for (int i = IDENTITY_UNKNOWN; i <= IDENTITY_AMBIGUOUS; i++)
		for (int j = IDENTITY_UNKNOWN; j < i; j++)
			assert_string_not_equal(identity_name((enum identity)i), identity_name((enum identity)j));
	assert_string_equal(identity_name((enum identity)77), "unknown");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_change_one_finding_in_every_class),
		cmocka_unit_test(unsigned_is_missing_where_it_came_from_others),
		cmocka_unit_test(without_facts_the_rest_is_judged),
		cmocka_unit_test(zero_is_never_good),
		cmocka_unit_test(checks_raise_what_they_declare),
		cmocka_unit_test(all_findings_fit),
		cmocka_unit_test(nothing_passes_but_what_is_all_good),
		cmocka_unit_test(whose_address_it_is),
		cmocka_unit_test(case_counts_unless_the_registry_says_otherwise),
		cmocka_unit_test(identity_names_are_unique),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
