#include "milter/filter/readiness.h"

#include "policy/config_quarantine.h"
#include "policy/registry/encrypt.h"
#include "policy/registry/entitle.h"
#include "smime/cert.h"

enum { MOST_LISTED = 20 };

struct review {
	const struct snapshot *snapshot;
	const struct role_traits *role;
	struct buf *ret;
	size_t n_shut;   /* certificates whose mail stays encrypted */
	bool agent_lost; /* could not be asked once, and is left alone */
};

static void
review_key(struct review *review, const struct registry_cert *cert, const char *subject)
{
	struct err err;
	bool has;

	if (review->agent_lost)
		return;
	if (keyd_has(review->snapshot->keyd, cert->spki, &has, &err) == -1) {
		review->agent_lost = true;
		buf_printf(review->ret, "cannot ask whether the keys of sealing certificates are there: %s\n", err.text);
		return;
	}
	if (!has)
		buf_printf(review->ret, "certificate %lld (%s): segel-keyd holds no key for it that this role may use, and mail to be sealed with it is deferred; "
		    "add the key to keyd.keys and restart segel-keyd\n", (long long)cert->id, subject);
}

static void
review_issuer(const struct review *review, const struct registry_cert *cert, const struct cert_facts *facts)
{
	if (issuers_know(review->snapshot->issuers, (struct slice){ cert->der, cert->der_len }))
		return;
	buf_printf(review->ret, "certificate %lld (%s): no certificate of its issuer '%s' in seal.chain_dir '%s', so readers may not "
	    "follow its seals to a root; put it there in PEM form, *.pem or *.crt, and reload segel-milter\n", (long long)cert->id,
	    facts->subject, facts->issuer, review->snapshot->config->seal.chain_dir);
}

static void
review_cert(void *ctx, const struct registry_cert *cert)
{
	struct review *review = ctx;
	struct cert_facts facts;
	struct err err;

	if (review->role->role == ROLE_LOCAL && cert->kind != CERT_KIND_SYSTEM)
		return; /* it never seals with that */
	if (cert_inspect((struct slice){ cert->der, cert->der_len }, &facts, &err) == -1) {
		buf_printf(review->ret, "certificate %lld: %s\n", (long long)cert->id, err.text);
		return;
	}
	review_key(review, cert, facts.subject);
	review_issuer(review, cert, &facts);
}

static void
review_shut(struct review *review, const struct registry_cert *cert)
{
	struct cert_facts facts;
	struct err err;

	if (++review->n_shut > MOST_LISTED)
		return;
	buf_printf(review->ret, "certificate %lld (%s): segel-keyd holds no key for it that this role may use, and mail encrypted to it is delivered as it "
	    "came, which its readers cannot read here; add the key to keyd.keys with purpose = \"decrypt\" and \"%s\" among its unwrappers, and restart "
	    "segel-keyd; or, where its owner opens that mail elsewhere, or nobody needs it any more, leave it, or end its binding (segelctl bind end)\n",
	    (long long)cert->id, cert_inspect((struct slice){ cert->der, cert->der_len }, &facts, &err) == 0 ? facts.subject : err.text,
	    role_settings(review->role, review->snapshot->config)->user);
}

static void
review_opening_key(void *ctx, const struct registry_cert *cert)
{
	struct review *review = ctx;
	struct err err;
	bool has;

	if (review->agent_lost)
		return;
	if (keyd_has(review->snapshot->keyd, cert->spki, &has, &err) == -1) {
		review->agent_lost = true;
		buf_printf(review->ret, "decrypt.use is on, and encrypted mail that arrives is deferred: %s\n", err.text);
	} else if (!has) {
		review_shut(review, cert);
	}
}

static void
review_opening(struct review *review, time_t now)
{
	struct err err;

	if (keyd_ping(review->snapshot->keyd, &err) == -1) {
		buf_printf(review->ret, "decrypt.use is on, and encrypted mail that arrives is deferred: %s\n", err.text);
		return;
	}
	if (registry_each_opening(review->snapshot->registry, now, review_opening_key, review, &err) == -1)
		buf_printf(review->ret, "cannot ask the registry for the certificates that mail is encrypted to: %s\n", err.text);
	if (review->n_shut > MOST_LISTED)
		buf_printf(review->ret, "%zu more certificates, whose keys segel-keyd does not hold either\n", review->n_shut - MOST_LISTED);
}

/* A rule that fits nobody leaves its mail to the rules behind it, which may ask for less. */
static void
review_rules(const struct review *review, time_t now)
{
	const struct config *config = review->snapshot->config;
	const struct encrypt_rule_setting *rules = config->encrypt.rules.rows;

	for (size_t i = 0; config->encrypt.use && i < config->encrypt.rules.n; i++)
		if (*rules[i].unit && registry_has_unit(review->snapshot->registry, rules[i].unit, now) == UNIT_NONE)
			buf_printf(review->ret, "encrypt.rules: row %zu: the registry has no current unit '%s', so this rule fits nobody; `segelctl unit list` "
			    "shows their codes\n", i + 1, rules[i].unit);
}

void
readiness(const struct snapshot *snapshot, const struct role_traits *role, time_t now, struct buf *ret)
{
	struct review review = { .snapshot = snapshot, .role = role, .ret = ret };
	struct err err;

	if (role->holds)
		config_notes(snapshot->config, ret);
	if (role_opens(role, snapshot->config))
		review_opening(&review, now);
	if (role->seals)
		review_rules(&review, now);
	if (role->seals && registry_each_seal(snapshot->registry, now, review_cert, &review, &err) == -1)
		buf_printf(ret, "cannot ask the registry for its sealing certificates: %s\n", err.text);
}
