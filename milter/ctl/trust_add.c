/*
 * segelctl trust add, segelctl trust remove: who is trusted is decided here, by an administrator, once; so
 * every rule is asked before a file is written, and the record before the file.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "milter/audit/audit.h"
#include "milter/ctl/fetch.h"
#include "milter/ctl/op.h"
#include "milter/ctl/trust.h"
#include "milter/log.h"

enum { FILE_BYTES = 8 * LIMIT_CERT_BYTES, KEY_BITS_LEAST = 2048, KEY_BITS_MOST = 8192, FINGERPRINT_BYTES = 128, SHA1_DIGITS = 40 };

static const char *const purpose_words[] = { "official", "partner", "issuer", NULL };

const struct ctl_option trust_add_options[] = {
	{ "purpose", "WORD", "official (a root of our own officials), partner (a root of partner regions) or issuer (an authority "
	  "below one of these)", true, false },
	{ "fingerprint", "SHA256", "of a root: as the authority itself publishes it, not as read from this file", false, false },
	{ "crl", "URL", "where its complete CRL is; another one is asked where the first fails", false, true },
	{ "ocsp", "URL", "its OCSP service; likewise", false, true },
	{ .name = NULL },
};

const struct ctl_option trust_remove_options[] = {
	{ "reason", "TEXT", "why; kept in the record", true, false },
	{ .name = NULL },
};

/* --- what stands against a certificate --- */

/* A root's own signature shows nothing but that the key exists, so its digest does not matter. */
static int
check_strength(const struct authority *new, struct err *err)
{
	const struct cert_facts *facts = &new->facts;

	if (facts->key == KEY_OTHER || facts->key == KEY_UNKNOWN)
		return err_set(err, ERR_CONFIG, "its key is neither RSA nor on P-256, P-384 or P-521");
	if (facts->key == KEY_RSA && (facts->key_bits < KEY_BITS_LEAST || facts->key_bits > KEY_BITS_MOST))
		return err_set(err, ERR_CONFIG, "its RSA key has %d bits, wanted %d to %d", facts->key_bits, KEY_BITS_LEAST, KEY_BITS_MOST);
	if (!authority_is_anchor(new) && facts->weak_signature)
		return err_set(err, ERR_CONFIG, "it is signed with MD5, SHA-1 or weaker");
	return 0;
}

static int
check_dates(const struct authority *new, time_t now, struct err *err)
{
	switch (cert_time_at(&new->facts, now)) {
	case CERT_TIME_VALID:
		return 0;
	case CERT_TIME_NOT_YET:
		return err_set(err, ERR_CONFIG, "it is not valid yet (is this machine's clock right?)");
	case CERT_TIME_PAST:
		return err_set(err, ERR_CONFIG, "it has expired; wanted the authority's current certificate");
	case CERT_TIME_UNKNOWN:
		break;
	}
	return err_set(err, ERR_CONFIG, "its dates cannot be read");
}

static int
check_place(const struct trust_store *store, const struct authority *new, const struct authority_facts *facts, time_t now,
    struct err *err)
{
	if (authority_is_anchor(new) && !facts->self_signed)
		return err_set(err, ERR_CONFIG, "it is no root: it is issued by '%s'; add that root first, then this one with --purpose "
		    "issuer", new->facts.issuer);
	if (!authority_is_anchor(new) && facts->self_issued)
		return err_set(err, ERR_CONFIG, "it is a root: wanted --purpose official or partner, or the certificate that another "
		    "authority issued");
	if (!authority_is_anchor(new) && !trust_store_issuer(store, buf_slice(&new->der), now))
		return err_set(err, ERR_CONFIG, "no authority here issued it; add '%s' first", new->facts.issuer);
	return 0;
}

static int
check_new(const struct trust_store *store, const struct authority *new, time_t now, struct err *err)
{
	struct authority_facts facts;

	if (authority_inspect(buf_slice(&new->der), &facts, err) == -1)
		return -1;
	if (!facts.is_ca)
		return err_set(err, ERR_CONFIG, "it is no authority's: basicConstraints do not say CA, or the key usage lacks "
		    "keyCertSign");
	if (new->crl.n && !facts.signs_crls)
		return err_set(err, ERR_CONFIG, "--crl: its key usage does not allow it to sign CRLs");
	for (size_t i = 0; i < store->n; i++)
		if (strcmp(store->at[i].id, new->id) == 0)
			return err_set(err, ERR_CONFIG, "it is there already, as %s; to change its URLs, remove it and add it again",
			    authority_purpose_name(store->at[i].purpose));
	if (check_dates(new, now, err) == -1 || check_strength(new, err) == -1)
		return -1;
	return check_place(store, new, &facts, now, err);
}

/* --- reading what was asked for --- */

static int
add_urls(struct ctl *ctl, const char *option, struct text_list *ret, struct err *err)
{
	const char *url;

	for (size_t i = 0; (url = ctl_option_nth(ctl, option, i)); i++) {
		if (i == TRUST_MOST_URLS)
			return err_set(err, ERR_CONFIG, "--%s: more than %d", option, TRUST_MOST_URLS);
		if (fetch_check_url(url, err) == -1)
			return -1;
		ret->at = xrealloc(ret->at, (i + 1) * sizeof(*ret->at));
		ret->at[ret->n++] = xstrdup(url);
	}
	return 0;
}

static int
read_new(struct ctl *ctl, struct authority *ret, struct err *err)
{
	AUTO_BUF struct buf file = { 0 };
	struct tm tm;
	char when[32] = "";

	if (ctl_read_file(ctl_arg(ctl, 0), FILE_BYTES, &file, err) == -1)
		return -1;
	if (cert_read(buf_slice(&file), &ret->der, err) == -1 || cert_inspect(buf_slice(&ret->der), &ret->facts, err) == -1)
		return err_wrap(err, "file '%s'", ctl_arg(ctl, 0));
	sha256_hex(ret->facts.sha256, ret->id);
	if (gmtime_r(&ctl->now, &tm))
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	ret->added = xstrdup(when);
	return ctl_actor(&ret->by, err);
}

static void
print_new(struct ctl *ctl, const struct authority *new)
{
	static const char *const columns[] = { "subject", "issuer", "serial", "not_before", "not_after", "key", "bits", "sha256" };
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(columns, N_ELEMENTS(columns));
	const struct ctl_cell cells[N_ELEMENTS(columns)] = {
		{ .kind = CELL_TEXT, .text = new->facts.subject },
		{ .kind = CELL_TEXT, .text = new->facts.issuer },
		{ .kind = CELL_TEXT, .text = new->facts.serial },
		{ .kind = CELL_TIME, .number = new->facts.not_before },
		{ .kind = CELL_TIME, .number = new->facts.not_after },
		{ .kind = CELL_TEXT, .text = key_kind_name(new->facts.key) },
		{ .kind = CELL_NUMBER, .number = new->facts.key_bits },
		{ .kind = CELL_TEXT, .text = new->id },
	};

	ctl_table_row(table, cells);
	ctl_table_print_one(ctl, table);
}

/* Said wherever somebody has to get a fingerprint, because what is nearest at hand is worth nothing. */
#define WHERE_TO_CHECK "with the one that the authority itself publishes (its certification practice statement, an official letter, " \
	"or by telephone, with a number that you know), not with the place that you have the file from"

/* Printed in pairs or in groups, it is the same. */
static void
without_blanks(const char *given, struct buf *ret)
{
	buf_init(ret, FINGERPRINT_BYTES);
	for (; *given; given++)
		if (*given != ' ')
			buf_add(ret, given, 1);
}

static enum ctl_exit
refuse_fingerprint(struct ctl *ctl, const char *given, const char *digits)
{
	const size_t n = strspn(digits, "0123456789abcdefABCDEF:");
	size_t n_digits = n;

	for (size_t i = 0; i < n; i++)
		n_digits -= digits[i] == ':';
	if (digits[n] == '\0' && n_digits == SHA1_DIGITS)
		return ctl_fail(ctl, CTL_USAGE, "--fingerprint '%s': %d hex digits are a SHA-1; ask the authority for the SHA-256", given,
		    SHA1_DIGITS);
	return ctl_fail(ctl, CTL_USAGE, "--fingerprint '%s' is no SHA-256; wanted 64 hex digits, with or without colons or blanks", given);
}

/*
 * Everything rests on a root, and a file says about itself what its maker liked: the person who adds it has to
 * bring the fingerprint from elsewhere.
 */
static enum ctl_exit
check_fingerprint(struct ctl *ctl, const struct authority *new)
{
	const char *given = ctl_option(ctl, "fingerprint");
	AUTO_BUF struct buf digits = { 0 };
	unsigned char hash[32];

	without_blanks(given ? given : "", &digits);
	if (given && !sha256_from_hex(buf_text(&digits), hash))
		return refuse_fingerprint(ctl, given, buf_text(&digits));
	if (given && memcmp(hash, new->facts.sha256, sizeof(hash)) != 0)
		return ctl_fail(ctl, CTL_REFUSED, "nothing was added: the file's SHA-256 is %s, not that of --fingerprint. Do not use this file "
		    "before you know why: compare the SHA-256 " WHERE_TO_CHECK, new->id);
	if (given || !authority_is_anchor(new))
		return CTL_OK;
	return ctl_fail(ctl, CTL_REFUSED, "nothing was added: a root needs --fingerprint. Compare the SHA-256 above " WHERE_TO_CHECK
	    "; then give that one with --fingerprint");
}

/* --- the record --- */

static int
record(const struct config *config, const char *event, const struct authority *authority, const char *by, const char *reason,
    struct err *err)
{
	AUTO(audit_close) struct audit *audit = NULL;
	const struct audit_pair pairs[] = {
		{ "id", authority->id },
		{ "purpose", authority_purpose_name(authority->purpose) },
		{ "subject", authority->facts.subject },
		{ "by", by },
		{ "reason", reason },
	};

	log_open("segelctl", (enum log_target)config->log.target, (enum log_level)config->log.level);
	if (audit_open(config->trust.audit_dir, "trust", &audit, err) == -1)
		return err_wrap(err, "nothing was changed, because it cannot be recorded");
	if (audit_append(audit, event, pairs, N_ELEMENTS(pairs) - (reason ? 0 : 1), NULL, err) == -1)
		return err_wrap(err, "nothing was changed, because it cannot be recorded");
	audit_checkpoint(audit);
	return 0;
}

/* --- the verbs --- */

static enum ctl_exit
keep(struct ctl *ctl, const struct config *config, const struct authority *new)
{
	struct err err = { 0 };

	if (ctl->dry_run) {
		fputs("dry run, nothing was kept\n", ctl->out);
		return CTL_OK;
	}
	if (trust_store_prepare(config, &err) == -1 || record(config, "trust-add", new, new->by, NULL, &err) == -1
	    || trust_store_add(config, new, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	fprintf(ctl->out, "added as %s\n", authority_purpose_name(new->purpose));
	if (new->crl.n + new->ocsp.n == 0)
		fputs("note: it has neither --crl nor --ocsp, so what it issued will count as \"status unknown\"\n", ctl->out);
	return CTL_OK;
}

static enum ctl_exit
add(struct ctl *ctl, const struct config *config, const struct trust_store *store, struct authority *new)
{
	struct err err = { 0 };
	enum ctl_exit code;

	if (add_urls(ctl, "crl", &new->crl, &err) == -1 || add_urls(ctl, "ocsp", &new->ocsp, &err) == -1)
		return ctl_fail_err(ctl, CTL_USAGE, &err);
	if (read_new(ctl, new, &err) == -1)
		return ctl_fail_err(ctl, CTL_REFUSED, &err);
	print_new(ctl, new);
	if (check_new(store, new, ctl->now, &err) == -1)
		return ctl_fail(ctl, CTL_REFUSED, "nothing was added: %s", err.text);
	code = check_fingerprint(ctl, new);
	return code == CTL_OK ? keep(ctl, config, new) : code;
}

enum ctl_exit
trust_add(struct ctl *ctl)
{
	const char *word = op_word(ctl, "purpose", purpose_words, NULL);
	AUTO(config_free) struct config *config = word ? trust_config(ctl) : NULL;
	AUTO(trust_store_close) struct trust_store *store = config ? trust_open(ctl, config) : NULL;
	struct authority new = { .purpose = PURPOSE_OF_NONE };
	enum ctl_exit code;

	if (!store)
		return word ? CTL_UNAVAILABLE : CTL_USAGE;
	new.purpose = authority_purpose_from(word);
	code = add(ctl, config, store, &new);
	authority_done(&new);
	return code;
}

/* Whom its removal leaves without a path. */
static void
print_orphans(struct ctl *ctl, const struct trust_store *store, const struct authority *gone)
{
	for (size_t i = 0; i < store->n; i++) {
		const struct authority *below = &store->at[i];

		if (below == gone || !authority_issued(buf_slice(&gone->der), buf_slice(&below->der)))
			continue;
		fputs("note: it issued ", ctl->out);
		ctl_print(ctl, below->facts.subject);
		fprintf(ctl->out, " (%.16s), which is still there\n", below->id);
	}
}

enum ctl_exit
trust_remove(struct ctl *ctl)
{
	AUTO(config_free) struct config *config = trust_config(ctl);
	AUTO(trust_store_close) struct trust_store *store = config ? trust_open(ctl, config) : NULL;
	AUTO(xfree) char *by = NULL;
	const struct authority *gone;
	struct err err = { 0 };

	if (!store)
		return CTL_UNAVAILABLE;
	gone = trust_store_find(store, ctl_arg(ctl, 0), &err);
	if (!gone)
		return ctl_fail_err(ctl, CTL_FALSE, &err);
	print_new(ctl, gone);
	print_orphans(ctl, store, gone);
	if (ctl->dry_run) {
		fputs("dry run, nothing was removed\n", ctl->out);
		return CTL_OK;
	}
	if (ctl_actor(&by, &err) == -1 || record(config, "trust-remove", gone, by, ctl_option(ctl, "reason"), &err) == -1
	    || trust_store_remove(config, gone, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	fputs("removed\n", ctl->out);
	return CTL_OK;
}
