#include "milter/split/certificate.h"

#include <stdio.h>
#include <string.h>

#include "smime/cert.h"
#include "smime/chain.h"
#include "smime/encrypt.h"

/* No path, and perhaps only because the authority's file could not be read. */
static bool
may_be_lost(const struct trust *trust)
{
	return trust_n_anchors(trust) == 0 || trust_n_lost(trust) > 0;
}

static enum cert_use
use_of(const struct trust *trust, const struct chain_facts *chain, char why[FACT_WHY_BYTES])
{
	switch (chain->state) {
	case CHAIN_UNKNOWN:
		snprintf(why, FACT_WHY_BYTES, "path: %s", chain->why);
		return CERT_USE_UNKNOWN;
	case CHAIN_GOOD:
		break;
	case CHAIN_UNTRUSTED:
		snprintf(why, FACT_WHY_BYTES, "path untrusted: %s%s", chain->why, may_be_lost(trust) ? "; see segelctl trust check" : "");
		return may_be_lost(trust) ? CERT_USE_UNKNOWN : CERT_USE_NOT;
	case CHAIN_EXPIRED:
	case CHAIN_NOT_YET:
	case CHAIN_BAD:
	case CHAIN_LIMIT:
		snprintf(why, FACT_WHY_BYTES, "path %s: %s", chain_state_name(chain->state), chain->why);
		return CERT_USE_NOT;
	}
	snprintf(why, FACT_WHY_BYTES, "revocation %s: %s", revocation_state_name(chain->revocation), chain->revocation_why);
	switch (chain->revocation) {
	case REVOCATION_UNKNOWN:
		return CERT_USE_UNKNOWN;
	case REVOCATION_REVOKED:
		return CERT_USE_NOT;
	case REVOCATION_GOOD:
		return CERT_USE_GOOD;
	}
	return CERT_USE_UNKNOWN;
}

static enum cert_use
judge_one(void *ctx, const struct registry_cert *row, char why[FACT_WHY_BYTES])
{
	const struct certificate_judge *judge = ctx;
	const struct chain_request request = { .trust = judge->trust, .leaf = { row->der, row->der_len }, .at = judge->now };
	struct chain_facts chain = { .state = CHAIN_UNKNOWN };
	struct cert_facts cert;
	enum encrypt_fit fit;
	struct err err;

	if (cert_inspect(request.leaf, &cert, &err) == -1) {
		snprintf(why, FACT_WHY_BYTES, "%s", err.text);
		return CERT_USE_NOT;
	}
	if (memcmp(cert.sha256, row->sha256, sizeof(cert.sha256)) != 0) {
		snprintf(why, FACT_WHY_BYTES, "the registry's row is of another certificate");
		return CERT_USE_NOT;
	}
	fit = encrypt_fit_of(&cert, judge->now);
	if (fit != ENCRYPT_FIT) {
		snprintf(why, FACT_WHY_BYTES, "unfit: %s", encrypt_fit_name(fit));
		return CERT_USE_NOT;
	}
	if (!judge->trust) {
		snprintf(why, FACT_WHY_BYTES, "%s", judge->trust_why);
		return CERT_USE_UNKNOWN;
	}
	chain_judge(&request, &chain);
	return use_of(judge->trust, &chain, why);
}

struct encrypt_judge
certificate_judge(struct certificate_judge *judge)
{
	return (struct encrypt_judge){ judge_one, judge };
}
