#include "smime/chain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>

#include "smime/chain_open.h"
#include "smime/path.h"
#include "smime/revoke.h"

static void
free_certs(STACK_OF(X509) *certs)
{
	sk_X509_pop_free(certs, X509_free);
}
AUTO_DEFINE(STACK_OF(X509), free_certs);

static void PRINTF_LIKE(3, 4)
set_state(struct chain_facts *ret, enum chain_state state, const char *fmt, ...)
{
	va_list args;

	ret->state = state;
	va_start(args, fmt);
	vsnprintf(ret->why, sizeof(ret->why), fmt, args);
	va_end(args);
}

/* ---- input ---- */

/* A helper that cannot be read helps nobody; one beyond a cap is named where no path is found. */
static STACK_OF(X509) *
read_helpers(const struct chain_request *request, const char **ret_limit)
{
	STACK_OF(X509) *certs = sk_X509_new_null();

	for (size_t i = 0; i < request->n_untrusted; i++) {
		AUTO(X509_free) X509 *cert = ossl_cert(request->untrusted[i], NULL);
		const char *limit = cert ? path_limit(cert) : request->untrusted[i].len > LIMIT_CERT_BYTES ? "bytes in a certificate" : NULL;

		if (limit)
			*ret_limit = limit;
		else if (cert && sk_X509_push(certs, cert) > 0)
			(void)TAKE(cert);
	}
	return certs;
}

/* ---- revocation of a path ---- */

static int
severity(enum revocation_state state)
{
	switch (state) {
	case REVOCATION_GOOD:
		return 0;
	case REVOCATION_UNKNOWN:
		return 1;
	case REVOCATION_REVOKED:
		return 2;
	}
	return 1;
}

static void
add_status(const struct revoke_status *status, int depth, struct chain_facts *ret)
{
	ret->revocation_stale = ret->revocation_stale || status->stale;
	if (status->status_at && (ret->status_at == 0 || status->status_at < ret->status_at))
		ret->status_at = status->status_at;
	if (depth > 0 && severity(status->state) <= severity(ret->revocation))
		return;
	ret->revocation = status->state;
	ret->revoked_at = status->revoked_at;
	snprintf(ret->revocation_why, sizeof(ret->revocation_why), "%s%s", depth == 0 ? "" : "an authority of the path: ", status->why);
}

/* The worst of the path counts; where all are good, what is said is about the leaf. */
static void
judge_revocation(const struct path_request *request, STACK_OF(X509) *chain, struct chain_facts *ret)
{
	const int n = sk_X509_num(chain);
	const struct revoke_request revoke = { .path = request, .anchor = sk_X509_value(chain, n - 1) };

	for (int i = 0; i + 1 < n; i++) {
		struct revoke_status status;

		revoke_lookup(&revoke, sk_X509_value(chain, i), sk_X509_value(chain, i + 1), &status);
		add_status(&status, i, ret);
	}
}

/* ---- paths ---- */

static void
judge_path(const struct path_request *request, const struct path *path, struct chain_facts *ret)
{
	const int n = sk_X509_num(path->chain);

	*ret = (struct chain_facts){ .state = path->state, .length = n > 0 ? (size_t)n : 0 };
	snprintf(ret->why, sizeof(ret->why), "%s", path->why);
	if (path->state != CHAIN_GOOD) {
		snprintf(ret->revocation_why, sizeof(ret->revocation_why), "not asked: the path is not good");
		return;
	}
	ret->anchor = trust_purpose(request->trust, sk_X509_value(path->chain, n - 1));
	judge_revocation(request, path->chain, ret);
}

static bool
is_better(const struct chain_facts *a, const struct chain_facts *b)
{
	if (a->state != CHAIN_GOOD || b->state != CHAIN_GOOD)
		return a->state == CHAIN_GOOD && b->state != CHAIN_GOOD;
	return a->revocation == REVOCATION_GOOD && b->revocation != REVOCATION_GOOD;
}

/* Any good path counts (RFC 5280 6.1); where none is, the first one tells what is wrong. */
static void
judge_paths(const struct path_request *request, struct chain_facts *ret)
{
	AUTO_SEARCH struct path_search search = { 0 };
	bool any = false;

	path_search_init(&search, request);
	for (;;) {
		AUTO_PATH struct path path = { 0 };
		struct chain_facts facts;

		if (!path_search_next(&search, &path))
			return;
		judge_path(request, &path, &facts);
		if (!any || is_better(&facts, ret))
			*ret = facts;
		any = true;
		if (ret->state == CHAIN_GOOD && ret->revocation == REVOCATION_GOOD)
			return;
	}
}

/* `untrusted` are within the limits; `limit` names one that was left out, or NULL. */
static void
judge_opened(const struct chain_request *request, X509 *leaf, STACK_OF(X509) *untrusted, const char *limit, struct chain_facts *ret)
{
	const struct path_request path = {
		.trust = request->trust, .leaf = leaf, .untrusted = untrusted, .at = request->at, .any_strength = request->any_strength,
		.policy = request,
	};
	const char *leaf_limit = path_limit(leaf);

	if (leaf_limit) {
		set_state(ret, CHAIN_LIMIT, "too many %s", leaf_limit);
		return;
	}
	if (!request->trust || request->trust->n_anchors == 0) {
		set_state(ret, CHAIN_UNTRUSTED, "there is no anchor");
		return;
	}
	judge_paths(&path, ret);
	if (limit && ret->state == CHAIN_UNTRUSTED)
		set_state(ret, CHAIN_LIMIT, "too many %s", limit);
}

void
chain_judge_open(const struct chain_request *request, X509 *leaf, STACK_OF(X509) *helpers, struct chain_facts *ret)
{
	STACK_OF(X509) *within = sk_X509_new_null(); /* borrows */
	const char *limit = NULL;

	*ret = (struct chain_facts){ .state = CHAIN_UNKNOWN };
	ERR_clear_error();
	for (int i = 0; i < sk_X509_num(helpers); i++) {
		X509 *cert = sk_X509_value(helpers, i);
		const char *over = path_limit(cert);

		if (over)
			limit = over;
		else if (!(X509_get_extension_flags(cert) & EXFLAG_INVALID))
			sk_X509_push(within, cert);
	}
	judge_opened(request, leaf, within, limit, ret);
	sk_X509_free(within);
	ERR_clear_error();
}

void
chain_judge(const struct chain_request *request, struct chain_facts *ret)
{
	AUTO(X509_free) X509 *leaf = NULL;
	AUTO(free_certs) STACK_OF(X509) *untrusted = NULL;
	const char *limit = NULL;
	struct err err = { 0 };

	*ret = (struct chain_facts){ .state = CHAIN_UNKNOWN };
	ERR_clear_error();
	if (request->n_untrusted > LIMIT_CMS_CERTS) {
		set_state(ret, CHAIN_LIMIT, "%zu certificates beside it; at most %d", request->n_untrusted, LIMIT_CMS_CERTS);
		return;
	}
	leaf = ossl_cert(request->leaf, &err);
	if (!leaf) {
		set_state(ret, CHAIN_BAD, "%s", err.text);
		return;
	}
	untrusted = read_helpers(request, &limit);
	judge_opened(request, leaf, untrusted, limit, ret);
	ERR_clear_error();
}
