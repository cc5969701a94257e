#include "milter/ctl/verify_show.h"

#include <jansson.h>
#include <string.h>

#include "smime/cert.h"

enum { TEXT_BYTES = 4096 };

/* Text from outside: what JSON or a terminal cannot take is \xXX. */
static json_t *
text_json(const char *text)
{
	AUTO_BUF struct buf shown = { 0 };

	buf_init(&shown, TEXT_BYTES);
	ctl_escape(&shown, text);
	return json_string(buf_text(&shown));
}

static void
set(json_t *object, const char *key, const char *text)
{
	json_object_set_new(object, key, text_json(text));
}

/* The reason stands beside its word, where there is one. */
static void
set_why(json_t *object, const char *key, const char *why)
{
	if (*why)
		set(object, key, why);
}

static const char *
encryption_word(const struct judged *judged)
{
	if (judged->message.outer == LAYER_ENCRYPTED)
		return "whole";
	return judged->signature.encrypted ? "inside" : "none";
}

static const char *
registry_word(const struct judged *judged)
{
	const struct registry_signer *signer = &judged->registry.signer;

	if (judged->without_registry || !judged->signature.has_signer)
		return "not asked";
	switch (signer->answer) {
	case REGISTRY_FOUND:
		return signer->cert.bound == BOUND_UNKNOWN ? "unbound" : "found";
	case REGISTRY_NONE:
		return "none";
	case REGISTRY_UNUSABLE:
		return unusable_name(signer->unusable);
	case REGISTRY_UNAVAILABLE:
		break;
	}
	return "unavailable";
}

static const char *
registry_why(const struct judged *judged)
{
	if (judged->without_registry)
		return "";
	return judged->signature.has_signer ? judged->registry.signer.why : "no signer";
}

static json_t *
signer_json(const struct signature_facts *signature)
{
	const struct cert_facts *cert = &signature->signer;
	json_t *object, *addresses;
	char hash[65];

	if (!signature->has_signer)
		return json_null();
	object = json_object();
	addresses = json_array();
	sha256_hex(cert->sha256, hash);
	set(object, "subject", cert->subject);
	set(object, "issuer", cert->issuer);
	set(object, "serial", cert->serial);
	set(object, "sha256", hash);
	for (size_t i = 0; i < cert->n_addresses; i++)
		json_array_append_new(addresses, text_json(cert->addresses[i]));
	json_object_set_new(object, "addresses", addresses);
	return object;
}

static bool
is_in(const struct findings *findings, const struct finding *finding)
{
	for (size_t i = 0; i < findings->n; i++)
		if (findings->at[i].reason == finding->reason && strcmp(findings->at[i].evidence, finding->evidence) == 0)
			return true;
	return false;
}

/* Calls back for what was found in any class, each once. */
static void
each_finding(const struct judged *judged, void (*each)(void *ctx, const struct finding *finding), void *ctx)
{
	for (int class = CLASS_SUBMISSION; class < N_CLASSES; class++) {
		for (size_t i = 0; i < judged->findings[class].n; i++) {
			const struct finding *finding = &judged->findings[class].at[i];
			bool seen = false;

			for (int before = CLASS_SUBMISSION; before < class; before++)
				seen = seen || is_in(&judged->findings[before], finding);
			if (!seen)
				each(ctx, finding);
		}
	}
}

static void
add_finding(void *ctx, const struct finding *finding)
{
	json_t *object = json_object();

	set(object, "code", reason_word(finding->reason));
	set(object, "evidence", finding->evidence);
	json_array_append_new(ctx, object);
}

static json_t *
findings_json(const struct judged *judged)
{
	json_t *array = json_array();

	each_finding(judged, add_finding, array);
	return array;
}

static json_t *
verdict_json(const struct judged *judged)
{
	json_t *object = json_object();

	for (int class = CLASS_SUBMISSION; class < N_CLASSES; class++)
		set(object, class_name((enum class)class), action_name(judged->verdicts[class].action));
	return object;
}

/* The signer's claim; null where he makes none. */
static json_t *
signing_time_json(const struct signature_facts *signature)
{
	char when[CTL_TIME_BYTES];

	if (!signature->has_signing_time)
		return json_null();
	ctl_time_text(signature->signing_time, when);
	return json_string(when);
}

/* One line each, for those who read many line by line. */
static void
print(struct ctl *ctl, json_t *object)
{
	json_dumpf(object, ctl->out, 0);
	fputc('\n', ctl->out);
	json_decref(object);
}

void
verify_show_json(struct ctl *ctl, const struct judged *judged)
{
	const struct signature_facts *signature = &judged->signature;
	const struct chain_facts *chain = &signature->chain;
	json_t *object = json_object();

	set(object, "file", judged->file);
	set(object, "signature", signature_state_name(signature->state));
	set_why(object, "signature_why", signature->why);
	set(object, "coverage", coverage_name(signature->coverage));
	set(object, "chain", chain_state_name(chain->state));
	set_why(object, "chain_why", chain->why);
	set(object, "anchor", anchor_name(chain->anchor));
	set(object, "revocation", revocation_state_name(chain->revocation));
	set_why(object, "revocation_why", chain->revocation_why);
	set(object, "identity", identity_name(judged->identity.state));
	set_why(object, "identity_why", judged->identity.why);
	json_object_set_new(object, "signer", signer_json(signature));
	json_object_set_new(object, "signing_time", signing_time_json(signature));
	set_why(object, "signing_time_why", signature->signing_time_why);
	set(object, "protection", protection_name(signature->protection));
	set(object, "encryption", encryption_word(judged));
	set(object, "layers", signature->layers);
	set(object, "registry", registry_word(judged));
	set_why(object, "registry_why", registry_why(judged));
	json_object_set_new(object, "findings", findings_json(judged));
	json_object_set_new(object, "verdict", verdict_json(judged));
	print(ctl, object);
}

void
verify_show_error(struct ctl *ctl, const char *file, const char *why)
{
	json_t *object = json_object();

	set(object, "file", file);
	set(object, "error", why);
	print(ctl, object);
}

/* "name:      word (why)" */
static void
line(struct ctl *ctl, const char *name, const char *word, const char *why)
{
	fprintf(ctl->out, "%-11s ", name);
	ctl_print(ctl, word);
	if (*why) {
		fputs(" (", ctl->out);
		ctl_print(ctl, why);
		fputc(')', ctl->out);
	}
	fputc('\n', ctl->out);
}

static void
print_signer(struct ctl *ctl, const struct signature_facts *signature)
{
	const struct cert_facts *cert = &signature->signer;
	char hash[65];

	if (!signature->has_signer) {
		line(ctl, "signer:", "none", "");
		return;
	}
	sha256_hex(cert->sha256, hash);
	line(ctl, "signer:", cert->subject, "");
	line(ctl, "  issuer:", cert->issuer, "");
	line(ctl, "  serial:", cert->serial, "");
	line(ctl, "  sha256:", hash, "");
	for (size_t i = 0; i < cert->n_addresses; i++)
		line(ctl, "  address:", cert->addresses[i], "");
}

static void
print_finding(void *ctx, const struct finding *finding)
{
	line(ctx, "finding:", reason_word(finding->reason), finding->evidence);
}

void
verify_show_text(struct ctl *ctl, const struct judged *judged)
{
	const struct signature_facts *signature = &judged->signature;

	line(ctl, "file:", judged->file, "");
	line(ctl, "signature:", signature_state_name(signature->state), signature->why);
	line(ctl, "coverage:", coverage_name(signature->coverage), "");
	line(ctl, "chain:", chain_state_name(signature->chain.state), signature->chain.why);
	line(ctl, "revocation:", revocation_state_name(signature->chain.revocation), signature->chain.revocation_why);
	line(ctl, "identity:", identity_name(judged->identity.state), judged->identity.why);
	print_signer(ctl, signature);
	line(ctl, "encryption:", encryption_word(judged), signature->layers);
	line(ctl, "registry:", registry_word(judged), registry_why(judged));
	each_finding(judged, print_finding, ctl);
	for (int class = CLASS_SUBMISSION; class < N_CLASSES; class++)
		fprintf(ctl->out, "%-11s %s: %s\n", "verdict:", class_name((enum class)class),
		    action_name(judged->verdicts[class].action));
}
