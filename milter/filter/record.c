#include "milter/filter/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "milter/log.h"
#include "smime/cert.h"

enum { MAX_PAIRS = 48, NAMED_CERTS = 20, CERT_NAME_BYTES = 16 };

/* The pairs of one record; numbers and joined words live in `text`. */
struct pairs {
	struct audit_pair at[MAX_PAIRS];
	size_t n;
	char size[24], ms[24], recipients[24], reasons[256], cert[65], digest[65], signer[65], status_at[32], key[65], certs[24], encrypt_to[NAMED_CERTS * (CERT_NAME_BYTES + 1) + 1];
};

static void
add(struct pairs *pairs, const char *key, const char *value)
{
	if (pairs->n < MAX_PAIRS)
		pairs->at[pairs->n++] = (struct audit_pair){ key, value };
}

static void
add_if(struct pairs *pairs, const char *key, const char *value)
{
	if (value && *value)
		add(pairs, key, value);
}

static const char *
join_reasons(const struct findings *findings, char *ret, size_t room)
{
	size_t len = 0;

	*ret = '\0';
	for (size_t i = 0; i < findings->n && len < room; i++)
		len += (size_t)snprintf(ret + len, room - len, "%s%s", i ? "," : "", reason_word(findings->at[i].reason));
	return ret;
}

static bool
is_opened(const struct record *record)
{
	return record->unlocked->decryption == DECRYPTION_DONE;
}

static bool
passes(const struct record *record)
{
	return record->verdict->action == ACTION_ACCEPT || record->verdict->action == ACTION_TAG;
}

/* What became of the body. Of a message that was opened `facts` say what is inside. */
static const char *
seal_word(const struct record *record)
{
	if (is_opened(record))
		return passes(record) ? "none" : "none:already-encrypted";
	if (record->sealed)
		return record->sealed->form == SEAL_OPAQUE ? "opaque" : "clear";
	switch (record->facts->outer) {
	case LAYER_SIGNED:
		return "none:already-signed";
	case LAYER_ENCRYPTED:
		return "none:already-encrypted";
	case LAYER_UNKNOWN:
	case LAYER_NONE:
	case LAYER_OTHER:
		return "none";
	}
	return "none";
}

static void
add_numbers(struct pairs *pairs, const struct record *record)
{
	snprintf(pairs->recipients, sizeof(pairs->recipients), "%zu", record->message->envelope.n_recipients);
	snprintf(pairs->size, sizeof(pairs->size), "%zu", record->message->seen);
	snprintf(pairs->ms, sizeof(pairs->ms), "%ld", milliseconds_since(&record->message->began));
	add(pairs, "rcpts", pairs->recipients);
	add(pairs, "size", pairs->size);
	add(pairs, "ms", pairs->ms);
}

static void
add_certificate(struct pairs *pairs, const struct record *record)
{
	if (record->cert) {
		sha256_hex(record->cert->sha256, pairs->cert);
		add(pairs, "cert", pairs->cert);
	}
	if (record->sealed) {
		sha256_hex(record->sealed->digest, pairs->digest);
		add(pairs, "entity", pairs->digest);
	}
}

static const char *
encryption_word(const struct record *record)
{
	const struct encryption_plan *plan = &record->addressed->plan;

	if (record->encrypted)
		return content_cipher_name(plan->cipher);
	return plan->action == PLAN_SPLIT ? "split" : "none";
}

/* The certificates by the first digits of their SHA-256. */
static void
add_encryption(struct pairs *pairs, const struct record *record)
{
	const struct addressed *addressed = record->addressed;
	const struct encryption_plan *plan = &addressed->plan;
	size_t len = 0;

	if (!addressed->planned)
		return;
	add(pairs, "encrypt", encryption_word(record));
	if (addressed->recipients.sender.trigger)
		add(pairs, "asked-for", "yes");
	if (!record->encrypted)
		return;
	for (size_t i = 0; i < plan->n_certs && i < NAMED_CERTS; i++) {
		char hex[65];

		sha256_hex(addressed->recipients.at[plan->certs[i].rcpt].cert.sha256, hex);
		len += (size_t)snprintf(pairs->encrypt_to + len, sizeof(pairs->encrypt_to) - len, "%s%.*s", i ? "," : "", CERT_NAME_BYTES, hex);
	}
	snprintf(pairs->certs, sizeof(pairs->certs), "%zu", plan->n_certs + plan->copy);
	add(pairs, "encrypt-certs", pairs->certs);
	add(pairs, "encrypt-to", pairs->encrypt_to);
}

/*
 * Of what did not open one word, whatever the cause; of what did, how it was encrypted and to which key, whether it leaves in
 * clear or not.
 */
static void
add_decryption(struct pairs *pairs, const struct record *record)
{
	const struct unlocked *unlocked = record->unlocked;

	if (unlocked->decryption == DECRYPTION_NOT_TRIED)
		return;
	add(pairs, "decrypted", is_opened(record) && passes(record) ? "yes" : "no");
	if (!is_opened(record))
		return;
	sha256_hex(decrypted_facts(unlocked->decrypted)->spki, pairs->key);
	add(pairs, "decrypt-cipher", enveloped_cipher_name(decrypted_facts(unlocked->decrypted)->cipher));
	add(pairs, "decrypt-key", pairs->key);
	add(pairs, "decrypt-layers", decrypted_facts(unlocked->decrypted)->layers);
}

static const char *
client_cert_word(enum client_cert state)
{
	switch (state) {
	case CLIENT_CERT_UNKNOWN:
		return "unknown";
	case CLIENT_CERT_NONE:
		return "";
	case CLIENT_CERT_UNTRUSTED:
		return "untrusted";
	case CLIENT_CERT_TRUSTED:
		return "trusted";
	}
	return "unknown";
}

/* Nothing where the client showed none. */
static void
add_client_cert(struct pairs *pairs, const struct transport_facts *transport)
{
	if (transport->client_cert == CLIENT_CERT_UNKNOWN && !*transport->client_subject)
		return;
	add_if(pairs, "ccert", client_cert_word(transport->client_cert));
	add_if(pairs, "ccert-subject", transport->client_subject);
	add_if(pairs, "ccert-issuer", transport->client_issuer);
}

/* What the OP said of the signer's certificate. */
static const char *
registry_word(const struct registry_signer *signer)
{
	switch (signer->answer) {
	case REGISTRY_UNAVAILABLE:
		return "unavailable";
	case REGISTRY_NONE:
		return "unknown";
	case REGISTRY_UNUSABLE:
		return unusable_name(signer->unusable);
	case REGISTRY_FOUND:
		return signer->cert.bound == BOUND_UNKNOWN ? "other-address" : "current";
	}
	return "unavailable";
}

/* The statement about revocation that was judged by, as seconds since 1970. */
static void
add_chain(struct pairs *pairs, const struct record *record)
{
	const struct chain_facts *chain = &record->signature->chain;

	add(pairs, "chain", chain_state_name(chain->state));
	add(pairs, "revocation", revocation_state_name(chain->revocation));
	if (chain->status_at) {
		snprintf(pairs->status_at, sizeof(pairs->status_at), "%lld", (long long)chain->status_at);
		add(pairs, "status-at", pairs->status_at);
	}
}

/* Nothing about a message that is not signed: seal=none says so. */
static void
add_signature(struct pairs *pairs, const struct record *record)
{
	const struct signature_facts *signature = record->signature;

	if (!signature || (signature->state == SIGNATURE_NONE && signature->coverage == COVERAGE_NONE))
		return;
	add(pairs, "signature", signature_state_name(signature->state));
	add(pairs, "coverage", coverage_name(signature->coverage));
	if (!signature->has_signer)
		return;
	sha256_hex(signature->signer.sha256, pairs->signer);
	add(pairs, "signer", pairs->signer);
	add(pairs, "serial", signature->signer.serial);
	add(pairs, "issuer", signature->signer.issuer);
	add_chain(pairs, record);
	add(pairs, "registry", registry_word(&record->registry->signer));
}

static void
collect(const struct record *record, struct pairs *ret)
{
	const struct transport_facts *transport = &record->message->transport;
	const struct verdict *verdict = record->verdict;

	ret->n = 0;
	add(ret, "action", action_name(verdict->action));
	if (record->findings->n)
		add(ret, "reason", join_reasons(record->findings, ret->reasons, sizeof(ret->reasons)));
	add(ret, "class", class_name(record->class));
	add(ret, "seal", seal_word(record));
	if (record->pretend)
		add(ret, "pretend", "yes");
	add(ret, "login", record->login);
	add_if(ret, "from", record->facts->from.address);
	add(ret, "envelope", record->message->envelope.sender);
	add_if(ret, "msgid", record->facts->message_id);
	add_if(ret, "client", transport->client);
	add(ret, "tls", transport->tls ? transport->tls_version : "none");
	add_if(ret, "cipher", transport->cipher);
	add_if(ret, "auth", transport->auth_type);
	add_client_cert(ret, transport);
	add_signature(ret, record);
	add_certificate(ret, record);
	add_encryption(ret, record);
	add_decryption(ret, record);
	add_numbers(ret, record);
	if (verdict->finding)
		add_if(ret, "evidence", verdict->finding->evidence);
	add_if(ret, "original", record->original);
	add_if(ret, "item", record->item);
	add(ret, "id", record->message->id);
}

static void
log_pairs(enum log_level level, const char *queue_id, const struct pairs *pairs, const char *more)
{
	AUTO_BUF struct buf line = { 0 };

	buf_init(&line, 8192);
	log_escape(&line, queue_id ? queue_id : "NOQUEUE");
	buf_add_text(&line, ":");
	for (size_t i = 0; i < pairs->n; i++) {
		buf_printf(&line, " %s=", pairs->at[i].key);
		log_escape(&line, pairs->at[i].value);
	}
	if (more) {
		buf_add_text(&line, " error=");
		log_escape(&line, more);
	}
	log_message(level, &line);
}

int
record_write(struct audit *audit, const struct record *record, struct err *err)
{
	struct audit_pair full[MAX_PAIRS + 1];
	struct pairs pairs;
	const bool deferred = record->verdict->action == ACTION_DEFER;

	collect(record, &pairs);
	full[0] = (struct audit_pair){ "qid", record->queue_id ? record->queue_id : "NOQUEUE" };
	memcpy(full + 1, pairs.at, pairs.n * sizeof(*full));
	if (audit_append(audit, "message", full, pairs.n + 1, NULL, err) == -1)
		return -1;
	log_pairs(deferred ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, record->queue_id, &pairs,
	    deferred ? reason_row(record->verdict->reason)->hint : NULL);
	return 0;
}

void
record_log_only(const struct record *record, const struct err *err)
{
	struct pairs pairs;

	collect(record, &pairs);
	log_pairs(LOG_LEVEL_ERROR, record->queue_id, &pairs, err->text);
}

void
record_not_applied(struct audit *audit, const char *queue_id, const char *id, const char *why)
{
	const struct audit_pair pairs[] = { { "qid", queue_id }, { "id", id }, { "action", "defer" }, { "why", why } };
	struct err err = { ERR_NONE, "" };

	if (audit_append(audit, "not-applied", pairs, N_ELEMENTS(pairs), NULL, &err) == -1)
		log_line(LOG_LEVEL_ERROR, "%s: audit: %s", queue_id, err.text);
	log_line(LOG_LEVEL_ERROR, "%s: action=defer id=%s the MTA did not take the edits (%s); it still has the message "
	    "and its client is told to try again", queue_id, id, why);
}
