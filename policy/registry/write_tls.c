/* The verbs of write.h for TLS policies. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/registry/schema.h"
#include "policy/registry/writer.h"

enum { FINGERPRINT_BYTES = 32, FINGERPRINT_TEXT = FINGERPRINT_BYTES * 3 };

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* SHA-256 with a colon between two bytes, in capitals: as `openssl x509 -fingerprint` and Postfix print it. */
static bool
fingerprint_from(const char *text, char ret[FINGERPRINT_TEXT])
{
	static const char digits[] = "0123456789ABCDEF";

	if (strlen(text) != FINGERPRINT_TEXT - 1)
		return false;
	for (size_t i = 0; i < FINGERPRINT_TEXT - 1; i++) {
		const int digit = hex_digit(text[i]);

		if (i % 3 == 2 ? text[i] != ':' : digit == -1)
			return false;
		ret[i] = i % 3 == 2 ? ':' : digits[digit];
	}
	ret[FINGERPRINT_TEXT - 1] = '\0';
	return true;
}

/* A name that a certificate may carry, one for ".domain", or one of Postfix's own words. */
static bool
name_from(const char *text, char ret[LIMIT_ADDRESS_BYTES + 1])
{
	static const char *const words[] = { "hostname", "nexthop", "dot-nexthop" };
	struct hop hop;

	for (size_t i = 0; i < N_ELEMENTS(words); i++) {
		if (strcmp(words[i], text) == 0) {
			snprintf(ret, LIMIT_ADDRESS_BYTES + 1, "%s", text);
			return true;
		}
	}
	/* A word without a dot is a mistyped one of those. */
	if (hop_from(text, &hop) != HOP_ONE || !(hop.plain || *hop.key == '.') || !strchr(hop.key + 1, '.'))
		return false;
	snprintf(ret, LIMIT_ADDRESS_BYTES + 1, "%s", hop.key);
	return true;
}

static enum write_outcome
refuse_match(const struct new_tls *new, const char *match, struct err *err)
{
	if (new->level == HOP_LEVEL_FINGERPRINT)
		return writer_fail(WRITE_REFUSED, err, "fingerprint '%.120s': wanted the 32 bytes of a SHA-256 in hex with colons, as "
		    "`openssl x509 -noout -fingerprint -sha256 -in CERT` prints them", match);
	return writer_fail(WRITE_REFUSED, err, "match '%.120s': wanted hostname, nexthop, dot-nexthop, a host name, or .domain for "
	    "every name below it", match);
}

/* What the level asks for beside itself. */
static enum write_outcome
check_level(const struct new_tls *new, struct err *err)
{
	const char *level = hop_level_name(new->level);

	switch (new->level) {
	case HOP_LEVEL_FINGERPRINT:
		if (new->n_matches == 0)
			return writer_fail(WRITE_REFUSED, err, "level fingerprint needs at least one fingerprint, or no certificate would do");
		break;
	case HOP_LEVEL_VERIFY:
	case HOP_LEVEL_SECURE:
		break;
	case HOP_LEVEL_MAY:
	case HOP_LEVEL_DANE:
	case HOP_LEVEL_ENCRYPT:
	case HOP_LEVEL_DANE_ONLY:
		if (new->n_matches)
			return writer_fail(WRITE_REFUSED, err, "level %s looks at no name in the certificate; names go with verify and secure, "
			    "fingerprints with fingerprint", level);
		break;
	case HOP_LEVEL_UNKNOWN:
		return writer_fail(WRITE_REFUSED, err, "no such level; wanted may, dane, encrypt, dane-only, fingerprint, verify or secure");
	}
	if (new->n_matches > TLS_MAX_MATCHES)
		return writer_fail(WRITE_REFUSED, err, "%zu names or fingerprints, wanted at most %d", new->n_matches, TLS_MAX_MATCHES);
	return WRITE_DONE;
}

static enum write_outcome
join_matches(const struct new_tls *new, char ret[TLS_MATCH_BYTES], struct err *err)
{
	size_t at = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < new->n_matches; i++) {
		char word[LIMIT_ADDRESS_BYTES + 1];
		const bool good = new->level == HOP_LEVEL_FINGERPRINT ? fingerprint_from(new->matches[i], word)
								      : name_from(new->matches[i], word);

		if (!good)
			return refuse_match(new, new->matches[i], err);
		if (at + strlen(word) + 2 > TLS_MATCH_BYTES)
			return writer_fail(WRITE_REFUSED, err, "the names are longer than %d bytes together", TLS_MATCH_BYTES);
		at += (size_t)snprintf(ret + at, TLS_MATCH_BYTES - at, "%s%s", i ? " " : "", word);
	}
	return WRITE_DONE;
}

static enum write_outcome
read_hop(const char *text, struct hop *ret, struct err *err)
{
	if (hop_from(text, ret) == HOP_ONE)
		return WRITE_DONE;
	return writer_fail(WRITE_REFUSED, err, "'%.320s' is no next hop; wanted domain, .domain (its subdomains), domain:port, [host] or "
	    "[host]:port, as the mail server asks for it", text);
}

/* Said before the schema says it, because here it can be said which domain and what instead. */
static enum write_outcome
check_official(struct registry_writer *writer, const struct hop *hop, enum hop_level level, struct err *err)
{
	int64_t id = 0;
	enum write_outcome outcome;

	if (!hop_level_is_weak(level) || !*hop->domain)
		return WRITE_DONE;
	outcome = writer_ask(writer, &id, err, "SELECT id FROM domain WHERE name=?1 AND ended_at IS NULL", "t", hop->domain);
	if (outcome == WRITE_NOT_FOUND)
		return WRITE_DONE;
	if (outcome != WRITE_DONE)
		return outcome;
	return writer_fail(WRITE_REFUSED, err, "'%.320s' is a registered, official domain, and '%s' would let its mail go in clear%s; "
	    "wanted encrypt, dane-only, fingerprint, verify or secure", hop->domain, hop_level_name(level),
	    level == HOP_LEVEL_DANE ? " wherever there are no TLSA records" : "");
}

/* The current policy of this key: 0 = none. */
static enum write_outcome
current(struct registry_writer *writer, const char *key, int64_t *id, struct err *err)
{
	enum write_outcome outcome;

	*id = 0;
	outcome = writer_ask(writer, id, err, "SELECT id FROM tls_policy WHERE hop=?1 AND ended_at IS NULL", "t", key);
	return outcome == WRITE_NOT_FOUND ? WRITE_DONE : outcome;
}

static enum write_outcome
end_row(struct registry_writer *writer, int64_t id, const char *reason, struct err *err)
{
	return writer_run(writer, NULL, err, "UPDATE tls_policy SET ended_at=?2, end_reason=?3, end_act=?4 WHERE id=?1", "iiti", id,
	    writer->now, reason, writer->act);
}

static enum write_outcome
set_row(struct registry_writer *writer, const struct new_tls *new, const struct hop *hop, const char *matches, int64_t *id,
    struct err *err)
{
	AUTO(xfree) char *detail = xasprintf("%s%s%s", hop_level_name(new->level), *matches ? " " : "", matches);
	int64_t old = 0;
	enum write_outcome outcome = current(writer, hop->key, &old, err);

	if (outcome == WRITE_DONE)
		outcome = writer_act(writer, "tls policy set", hop->key, detail, err);
	if (outcome == WRITE_DONE && old)
		outcome = end_row(writer, old, "set anew", err);
	if (outcome != WRITE_DONE)
		return outcome;
	return writer_run(writer, id, err,
	    "INSERT INTO tls_policy(hop, domain, level, matches, decision, from_at, act) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", "tttttii",
	    hop->key, *hop->domain ? hop->domain : NULL, hop_level_name(new->level), *matches ? matches : NULL, new->decision,
	    writer->now, writer->act);
}

enum write_outcome
write_tls_set(struct registry_writer *writer, const struct new_tls *new, int64_t *id, struct err *err)
{
	char matches[TLS_MATCH_BYTES];
	struct hop hop;
	enum write_outcome outcome = read_hop(new->hop, &hop, err);

	if (outcome == WRITE_DONE)
		outcome = check_level(new, err);
	if (outcome == WRITE_DONE)
		outcome = join_matches(new, matches, err);
	if (outcome == WRITE_DONE)
		outcome = check_official(writer, &hop, new->level, err);
	return outcome == WRITE_DONE ? set_row(writer, new, &hop, matches, id, err) : outcome;
}

enum write_outcome
write_tls_end(struct registry_writer *writer, const char *text, const char *reason, struct err *err)
{
	struct hop hop;
	int64_t id = 0;
	enum write_outcome outcome = read_hop(text, &hop, err);

	if (outcome == WRITE_DONE)
		outcome = current(writer, hop.key, &id, err);
	if (outcome == WRITE_DONE && id == 0)
		return writer_fail(WRITE_NOT_FOUND, err, "'%.320s' has no TLS policy now; `segelctl tls policy list` shows those that have", hop.key);
	if (outcome == WRITE_DONE)
		outcome = writer_act(writer, "tls policy end", hop.key, reason, err);
	return outcome == WRITE_DONE ? end_row(writer, id, reason, err) : outcome;
}
