#include "smime/path.h"

#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

AUTO_DEFINE(X509_STORE, X509_STORE_free);
AUTO_DEFINE(X509_STORE_CTX, X509_STORE_CTX_free);
AUTO_DEFINE(NAME_CONSTRAINTS, NAME_CONSTRAINTS_free);
AUTO_DEFINE(CERTIFICATEPOLICIES, CERTIFICATEPOLICIES_free);
AUTO_DEFINE(ASN1_OBJECT, ASN1_OBJECT_free);

enum {
	STRENGTH_BITS_112 = 2, /* OpenSSL's security level: RSA 2048, SHA-256 */
	STRENGTH_ANY = 0,
};

/* Only their pointers are copied. */
static void
free_borrowed(STACK_OF(X509) *certs)
{
	sk_X509_free(certs);
}
AUTO_DEFINE(STACK_OF(X509), free_borrowed);

static void
free_chain(STACK_OF(X509) *certs)
{
	sk_X509_pop_free(certs, X509_free);
}

/* ---- caps ---- */

static int
n_names(const X509 *cert)
{
	AUTO(GENERAL_NAMES_free) GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int n = sk_GENERAL_NAME_num(names);

	return (n > 0 ? n : 0) + X509_NAME_entry_count(X509_get_subject_name(cert));
}

static int
n_subtrees(const X509 *cert)
{
	AUTO(NAME_CONSTRAINTS_free) NAME_CONSTRAINTS *constraints = X509_get_ext_d2i(cert, NID_name_constraints, NULL, NULL);
	int permitted = constraints ? sk_GENERAL_SUBTREE_num(constraints->permittedSubtrees) : 0;
	int excluded = constraints ? sk_GENERAL_SUBTREE_num(constraints->excludedSubtrees) : 0;

	return (permitted > 0 ? permitted : 0) + (excluded > 0 ? excluded : 0);
}

static int
n_policies(const X509 *cert)
{
	AUTO(CERTIFICATEPOLICIES_free) CERTIFICATEPOLICIES *policies = X509_get_ext_d2i(cert, NID_certificate_policies, NULL, NULL);

	return sk_POLICYINFO_num(policies);
}

static int
n_mappings(const X509 *cert)
{
	POLICY_MAPPINGS *mappings = X509_get_ext_d2i(cert, NID_policy_mappings, NULL, NULL);
	int n = sk_POLICY_MAPPING_num(mappings);

	sk_POLICY_MAPPING_pop_free(mappings, POLICY_MAPPING_free);
	return n;
}

/* OpenSSL 3.0 forgets what it read of them where there are no policies: little must be what is forgotten. */
static int
constraints_len(const X509 *cert)
{
	int at = X509_get_ext_by_NID(cert, NID_policy_constraints, -1);

	return at < 0 ? 0 : ASN1_STRING_length(X509_EXTENSION_get_data(X509_get_ext(cert, at)));
}

const char *
path_limit(X509 *cert)
{
	const EVP_PKEY *key = X509_get0_pubkey(cert);
	const char *limit = NULL;

	if (i2d_X509(cert, NULL) > LIMIT_CERT_BYTES)
		limit = "bytes in a certificate";
	else if (X509_get_ext_count(cert) > LIMIT_CERT_EXTENSIONS)
		limit = "extensions in a certificate";
	else if (n_policies(cert) > LIMIT_CERT_POLICIES || n_mappings(cert) > LIMIT_CERT_POLICIES)
		limit = "policies in a certificate";
	else if (constraints_len(cert) > LIMIT_CERT_CONSTRAINT_BYTES)
		limit = "bytes in a certificate's policyConstraints";
	else if (n_names(cert) > LIMIT_CERT_NAMES || n_subtrees(cert) > LIMIT_CERT_NAMES)
		limit = "names in a certificate";
	else if (key && EVP_PKEY_get_bits(key) > LIMIT_CERT_KEY_BITS)
		limit = "bits in a certificate's key";
	ERR_clear_error();
	return limit;
}

/* ---- one verification ---- */

/* What OpenSSL's verdicts are in our words; what is not here breaks a rule of RFC 5280 6. */
static const struct {
	int error;
	enum chain_state state;
} verdicts[] = {
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, CHAIN_UNTRUSTED },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, CHAIN_UNTRUSTED },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, CHAIN_UNTRUSTED },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, CHAIN_UNTRUSTED },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, CHAIN_UNTRUSTED },
	{ X509_V_ERR_CERT_UNTRUSTED, CHAIN_UNTRUSTED },
	{ X509_V_ERR_CERT_HAS_EXPIRED, CHAIN_EXPIRED },
	{ X509_V_ERR_CERT_NOT_YET_VALID, CHAIN_NOT_YET },
	{ X509_V_ERR_CERT_CHAIN_TOO_LONG, CHAIN_LIMIT },
	{ X509_V_ERR_OUT_OF_MEM, CHAIN_UNKNOWN },
	{ X509_V_ERR_INVALID_CALL, CHAIN_UNKNOWN },
	{ X509_V_ERR_STORE_LOOKUP, CHAIN_UNKNOWN },
};

static enum chain_state
state_of(int error)
{
	for (size_t i = 0; i < N_ELEMENTS(verdicts); i++) {
		if (verdicts[i].error == error)
			return verdicts[i].state;
	}
	return CHAIN_BAD;
}

static bool
is_out(const struct path_search *search, const X509 *cert)
{
	for (size_t i = 0; i < search->n_out; i++) {
		if (X509_cmp(search->out[i].cert, cert) == 0)
			return true;
	}
	return false;
}

static void
add_helpers(const struct path_search *search, const STACK_OF(X509) *from, STACK_OF(X509) *ret)
{
	for (int i = 0; i < sk_X509_num(from); i++) {
		if (!is_out(search, sk_X509_value(from, i)))
			sk_X509_push(ret, sk_X509_value(from, i));
	}
}

/* Ours first: what comes with a message is not signed, and could use up the tries. */
static STACK_OF(X509) *
helpers(const struct path_search *search)
{
	STACK_OF(X509) *all = sk_X509_new_null();

	add_helpers(search, search->request->trust->issuing, all);
	add_helpers(search, search->request->untrusted, all);
	return all;
}

static STACK_OF(X509) *
anchors(const struct path_search *search)
{
	const struct trust *trust = search->request->trust;
	STACK_OF(X509) *all = sk_X509_new_null();

	for (size_t i = 0; i < trust->n_anchors; i++) {
		if (!is_out(search, trust->anchors[i].cert))
			sk_X509_push(all, trust->anchors[i].cert);
	}
	return all;
}

static int
add_policy(X509_VERIFY_PARAM *param, const char *text)
{
	AUTO(ASN1_OBJECT_free) ASN1_OBJECT *oid = OBJ_txt2obj(text, 1);

	if (!oid || X509_VERIFY_PARAM_add0_policy(param, oid) != 1)
		return -1;
	(void)TAKE(oid);
	return 0;
}

/* No policies means any (RFC 5280 6.1.1 (c)); OpenSSL would take it for none where a path demands one. */
static int
set_policies(X509_VERIFY_PARAM *param, const struct chain_request *policy)
{
	if (!policy || policy->n_policies == 0)
		return add_policy(param, "2.5.29.32.0");
	for (size_t i = 0; i < policy->n_policies; i++) {
		if (add_policy(param, policy->policies[i]) == -1)
			return -1;
	}
	return 0;
}

static unsigned long
policy_flags(const struct chain_request *policy)
{
	unsigned long flags = X509_V_FLAG_POLICY_CHECK;

	if (policy && policy->explicit_policy)
		flags |= X509_V_FLAG_EXPLICIT_POLICY;
	if (policy && policy->inhibit_mapping)
		flags |= X509_V_FLAG_INHIBIT_MAP;
	if (policy && policy->inhibit_any)
		flags |= X509_V_FLAG_INHIBIT_ANY;
	return flags;
}

/*
 * Without X509_V_FLAG_X509_STRICT: it refuses what RFC 5280 asks of who issues certificates and
 * not of who checks them (basicConstraints that are not critical, key identifiers that are missing).
 */
static int
set_params(X509_STORE_CTX *ctx, const struct path_request *request, unsigned long more_flags)
{
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);

	if (!(more_flags & X509_V_FLAG_NO_CHECK_TIME)) /* a time that is set would be checked for all that */
		X509_VERIFY_PARAM_set_time(param, request->at);
	X509_VERIFY_PARAM_set_depth(param, LIMIT_CHAIN_CERTS - 1); /* counts neither the leaf nor the anchor */
	/* Or a person's name with a dot in it would be held against the constraints on names of hosts. */
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	X509_VERIFY_PARAM_set_auth_level(param, request->any_strength ? STRENGTH_ANY : STRENGTH_BITS_112);
	if (set_policies(param, request->policy) == -1)
		return -1;
	return X509_VERIFY_PARAM_set_flags(param, policy_flags(request->policy) | more_flags) == 1 ? 0 : -1;
}

/* X509_V_OK or OpenSSL's error; the chain as far as it came. */
static int
verify(const struct path_search *search, unsigned long more_flags, int *ret_depth, STACK_OF(X509) **ret_chain)
{
	AUTO(X509_STORE_free) X509_STORE *store = X509_STORE_new();
	AUTO(X509_STORE_CTX_free) X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	AUTO(free_borrowed) STACK_OF(X509) *untrusted = helpers(search);
	AUTO(free_borrowed) STACK_OF(X509) *trusted = anchors(search);
	int error;

	if (!store || !ctx || X509_STORE_CTX_init(ctx, store, search->request->leaf, untrusted) != 1)
		return X509_V_ERR_OUT_OF_MEM;
	X509_STORE_CTX_set0_trusted_stack(ctx, trusted);
	if (set_params(ctx, search->request, more_flags) == -1)
		return X509_V_ERR_OUT_OF_MEM;
	if (X509_verify_cert(ctx) == 1) {
		error = X509_V_OK;
	} else {
		error = X509_STORE_CTX_get_error(ctx);
		if (error == X509_V_OK)
			error = X509_V_ERR_UNSPECIFIED;
	}
	*ret_depth = X509_STORE_CTX_get_error_depth(ctx);
	*ret_chain = X509_STORE_CTX_get1_chain(ctx);
	ERR_clear_error();
	return error;
}

/* ---- what OpenSSL does not ask ---- */

/* RFC 5280 4.2: at most one of each kind. OpenSSL looks at the first of those that it does not know. */
static bool
has_extension_twice(const X509 *cert)
{
	for (int i = 0; i < X509_get_ext_count(cert); i++) {
		if (X509_get_ext_by_OBJ(cert, X509_EXTENSION_get_object(X509_get_ext(cert, i)), i) >= 0)
			return true;
	}
	return false;
}

/* An authority whose extended key usage leaves e-mail out issues certificates for other things. */
static bool
may_issue_for_mail(X509 *cert)
{
	return !(X509_get_extension_flags(cert) & EXFLAG_XKUSAGE)
	    || (X509_get_extended_key_usage(cert) & (XKU_SMIME | XKU_ANYEKU));
}

static const char *
own_rule(STACK_OF(X509) *chain)
{
	if (sk_X509_num(chain) < 2)
		return "the certificate is an anchor itself; want one that an authority issued";
	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *cert = sk_X509_value(chain, i);

		if (has_extension_twice(cert))
			return "an extension twice (RFC 5280 4.2)";
		if (X509_NAME_entry_count(X509_get_issuer_name(cert)) == 0)
			return "an empty issuer name (RFC 5280 4.1.2.4)";
		if (i > 0 && !may_issue_for_mail(cert))
			return "an authority whose extended key usage leaves e-mail out";
	}
	return NULL;
}

/* ---- the search ---- */

void
path_search_init(struct path_search *search, const struct path_request *request)
{
	*search = (struct path_search){ .request = request };
}

void
path_search_done(struct path_search *search)
{
	for (size_t i = 0; i < search->n_out; i++)
		X509_free(search->out[i].cert);
	search->n_out = 0;
}

void
path_done(struct path *path)
{
	free_chain(path->chain);
	path->chain = NULL;
}

static bool
is_other_of_name(const struct path_search *search, const X509 *cert, const X509 *other)
{
	return X509_NAME_cmp(X509_get_subject_name(cert), X509_get_subject_name(other)) == 0 && X509_cmp(cert, other) != 0
	    && !is_out(search, other);
}

static bool
has_alternative(const struct path_search *search, const X509 *cert)
{
	const struct path_request *request = search->request;

	for (int i = 0; i < sk_X509_num(request->untrusted); i++) {
		if (is_other_of_name(search, cert, sk_X509_value(request->untrusted, i)))
			return true;
	}
	for (int i = 0; i < sk_X509_num(request->trust->issuing); i++) {
		if (is_other_of_name(search, cert, sk_X509_value(request->trust->issuing, i)))
			return true;
	}
	for (size_t i = 0; i < request->trust->n_anchors; i++) {
		if (is_other_of_name(search, cert, request->trust->anchors[i].cert))
			return true;
	}
	return false;
}

/* What was left out higher up was left out of another path. */
static void
leave_out(struct path_search *search, X509 *cert, int depth)
{
	size_t n = 0;

	for (size_t i = 0; i < search->n_out; i++) {
		if (search->out[i].depth > depth)
			X509_free(search->out[i].cert);
		else
			search->out[n++] = search->out[i];
	}
	search->n_out = n;
	X509_up_ref(cert);
	search->out[search->n_out].cert = cert;
	search->out[search->n_out].depth = depth;
	search->n_out++;
}

/* The highest certificate in whose place another could stand is left out next time. */
static void
plan_next(struct path_search *search, STACK_OF(X509) *chain)
{
	search->over = true;
	if (++search->n_tries >= PATH_MOST_TRIES)
		return;
	for (int i = sk_X509_num(chain) - 1; i >= 1; i--) {
		if (has_alternative(search, sk_X509_value(chain, i))) {
			leave_out(search, sk_X509_value(chain, i), i);
			search->over = false;
			return;
		}
	}
}

/* notBefore and notAfter both belong to the time between them (RFC 5280 4.1.2.5). */
static int
check_times(STACK_OF(X509) *chain, time_t at, int *ret_depth)
{
	for (int i = sk_X509_num(chain) - 1; i >= 0; i--) {
		const X509 *cert = sk_X509_value(chain, i);
		struct tm from = { 0 }, to = { 0 };

		*ret_depth = i;
		if (ASN1_TIME_to_tm(X509_get0_notBefore(cert), &from) != 1)
			return X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD;
		if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &to) != 1)
			return X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD;
		if (at < timegm(&from))
			return X509_V_ERR_CERT_NOT_YET_VALID;
		if (at > timegm(&to))
			return X509_V_ERR_CERT_HAS_EXPIRED;
	}
	return X509_V_OK;
}

/*
 * "expired" is said only of a path that has no other fault: a forged certificate is not just old. And OpenSSL
 * says it a second early.
 */
static int
look_behind_time(const struct path_search *search, int error, int *depth, STACK_OF(X509) **chain)
{
	if (error != X509_V_ERR_CERT_HAS_EXPIRED && error != X509_V_ERR_CERT_NOT_YET_VALID)
		return error;
	free_chain(*chain);
	*chain = NULL;
	error = verify(search, X509_V_FLAG_NO_CHECK_TIME, depth, chain);
	return error == X509_V_OK ? check_times(*chain, search->request->at, depth) : error;
}

bool
path_search_next(struct path_search *search, struct path *ret)
{
	const char *rule;
	int depth = 0;
	int error;

	if (search->over)
		return false;
	*ret = (struct path){ .state = CHAIN_UNKNOWN };
	error = verify(search, 0, &depth, &ret->chain);
	error = look_behind_time(search, error, &depth, &ret->chain);
	rule = error == X509_V_OK ? own_rule(ret->chain) : NULL;
	if (error != X509_V_OK) {
		ret->state = state_of(error);
		snprintf(ret->why, sizeof(ret->why), "%s (certificate %d of the path)", X509_verify_cert_error_string(error), depth + 1);
	} else if (rule) {
		ret->state = CHAIN_BAD;
		snprintf(ret->why, sizeof(ret->why), "%s", rule);
	} else {
		ret->state = CHAIN_GOOD;
	}
	plan_next(search, ret->chain);
	return true;
}
