#include "smime/revoke.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

enum {
	MOST_LISTS = 64, /* that are about one certificate; more are not looked at, and then nothing is good */
	MOST_DEPTH = 2,  /* a list's signer has a path of its own, whose lists may have other signers again */
};

/* How old a statement is. */
enum age {
	AGE_UNKNOWN,
	AGE_FUTURE, /* it comes from a time that has not come */
	AGE_FRESH,
	AGE_GRACE,
	AGE_DEAD,
};

static enum age
age_of(const struct trust_ages *ages, time_t this_update, time_t next_update, time_t at)
{
	time_t until = next_update ? next_update : this_update + ages->ocsp_most;

	if (this_update > at + ages->skew)
		return AGE_FUTURE;
	if (at <= until)
		return AGE_FRESH;
	return at <= until + ages->grace ? AGE_GRACE : AGE_DEAD;
}

struct stamp {
	char text[24];
};

static struct stamp
stamp_of(time_t time)
{
	struct stamp stamp = { "" };
	struct tm tm;

	if (gmtime_r(&time, &tm))
		strftime(stamp.text, sizeof(stamp.text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return stamp;
}

/* ---- what has been found so far ---- */

struct finding {
	const struct revoke_request *request;
	X509 *cert;
	X509 *issuer;
	struct revoke_status *ret;
	unsigned fresh, grace;  /* reasons that are answered "not revoked" */
	time_t good_at;         /* thisUpdate of the newest statement that says so */
	char good[FACT_WHY_BYTES];
	char why_not[FACT_WHY_BYTES]; /* the last statement that did not count */
};

static void PRINTF_LIKE(2, 3)
note_useless(struct finding *finding, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(finding->why_not, sizeof(finding->why_not), fmt, args);
	va_end(args);
}

static void PRINTF_LIKE(4, 5)
note_revoked(struct finding *finding, time_t revoked_at, time_t status_at, const char *fmt, ...)
{
	va_list args;

	finding->ret->state = REVOCATION_REVOKED;
	finding->ret->revoked_at = revoked_at;
	finding->ret->status_at = status_at;
	va_start(args, fmt);
	vsnprintf(finding->ret->why, sizeof(finding->ret->why), fmt, args);
	va_end(args);
}

static void PRINTF_LIKE(5, 6)
note_good(struct finding *finding, unsigned reasons, enum age age, time_t status_at, const char *fmt, ...)
{
	va_list args;

	if (age == AGE_FRESH)
		finding->fresh |= reasons;
	finding->grace |= reasons;
	if (status_at < finding->good_at)
		return;
	finding->good_at = status_at;
	va_start(args, fmt);
	vsnprintf(finding->good, sizeof(finding->good), fmt, args);
	va_end(args);
}

/* ---- who may sign a list ---- */

static bool path_is_not_revoked(const struct revoke_request *request, STACK_OF(X509) *chain);

/* Another certificate of the issuer's name: its own path must lead to the same anchor (RFC 5280 6.3.3 (f)). */
static bool
leads_to_anchor(const struct revoke_request *request, X509 *signer, const struct crl *crl)
{
	struct path_request path_request = *request->path;
	struct revoke_request deeper = *request;
	AUTO_SEARCH struct path_search search = { 0 };

	if (request->depth >= MOST_DEPTH)
		return false;
	path_request.leaf = signer;
	path_request.policy = NULL;
	deeper.path = &path_request;
	deeper.without = crl;
	deeper.depth = request->depth + 1;
	path_search_init(&search, &path_request);
	for (;;) {
		AUTO_PATH struct path path = { 0 };

		if (!path_search_next(&search, &path))
			return false;
		if (path.state != CHAIN_GOOD
		    || X509_cmp(sk_X509_value(path.chain, sk_X509_num(path.chain) - 1), request->anchor) != 0)
			continue;
		if (path_is_not_revoked(&deeper, path.chain))
			return true;
	}
}

static bool
path_is_not_revoked(const struct revoke_request *request, STACK_OF(X509) *chain)
{
	for (int i = 0; i + 1 < sk_X509_num(chain); i++) {
		struct revoke_status status;

		revoke_lookup(request, sk_X509_value(chain, i), sk_X509_value(chain, i + 1), &status);
		if (status.state != REVOCATION_GOOD)
			return false;
	}
	return true;
}

/* A stranger's certificate gets no signature checked before it has shown a path; ours may go first, it is remembered. */
static bool
other_signer(const struct revoke_request *request, X509 *candidate, X509 *issuer, const struct crl *crl, bool ours)
{
	if (!crl_has_issuer(crl, X509_get_subject_name(candidate)) || X509_cmp(candidate, issuer) == 0
	    || !(X509_get_key_usage(candidate) & KU_CRL_SIGN))
		return false;
	if (ours && !crl_verifies(crl, candidate))
		return false;
	return leads_to_anchor(request, candidate, crl) && crl_verifies(crl, candidate);
}

/* Not by the issuer's own key. */
static bool
is_signed_otherwise(const struct finding *finding, const struct crl *crl)
{
	const struct revoke_request *request = finding->request;
	const struct trust *trust = request->path->trust;

	for (int i = 0; i < sk_X509_num(trust->issuing); i++) {
		if (other_signer(request, sk_X509_value(trust->issuing, i), finding->issuer, crl, true))
			return true;
	}
	for (int i = 0; i < sk_X509_num(request->path->untrusted); i++) {
		if (other_signer(request, sk_X509_value(request->path->untrusted, i), finding->issuer, crl, false))
			return true;
	}
	return false;
}

/* ---- lists ---- */

struct lists {
	struct {
		const struct crl *crl;
		unsigned reasons;
		enum age age;
		bool own; /* signed with the key that signed the certificate */
	} at[MOST_LISTS];
	size_t n;
	bool too_many;
};

static void
add_list(struct finding *finding, const struct crl *crl, struct lists *ret)
{
	const struct path_request *path = finding->request->path;
	const struct crl_facts *facts = crl_facts(crl);
	unsigned reasons = crl_covers(crl, finding->cert);
	enum age age = age_of(&path->trust->ages, facts->this_update, facts->next_update, path->at);
	bool own;

	if (reasons == 0 || crl == finding->request->without)
		return;
	if (crl_is_weak(crl) && !path->any_strength) {
		note_useless(finding, "CRL number %s is signed over MD5 or SHA-1", facts->number);
		return;
	}
	if (age == AGE_FUTURE) {
		note_useless(finding, "CRL number %s is of %s, which has not come", facts->number, stamp_of(facts->this_update).text);
		return;
	}
	own = crl_verifies(crl, finding->issuer);
	if (!own && !is_signed_otherwise(finding, crl)) {
		note_useless(finding, "CRL number %s is signed by no key of the issuer's", facts->number);
		return;
	}
	ret->too_many = ret->too_many || ret->n == MOST_LISTS;
	if (ret->n == MOST_LISTS)
		return;
	ret->at[ret->n].crl = crl;
	ret->at[ret->n].reasons = reasons;
	ret->at[ret->n].age = age;
	ret->at[ret->n].own = own;
	ret->n++;
}

/*
 * Two keys of one name are often a renewed authority, where each key lists what it issued itself, with numbers of
 * its own (RFC 5280 5.2.3 knows one series a name). So no other key's list takes the place of the own key's.
 */
static bool
may_replace(const struct lists *lists, size_t i, size_t of)
{
	return i != of && (lists->at[i].own || !lists->at[of].own) && crl_same_scope(lists->at[i].crl, lists->at[of].crl);
}

static bool
has_own_list(const struct lists *lists, size_t beside)
{
	for (size_t i = 0; i < lists->n; i++) {
		if (lists->at[i].own && crl_same_scope(lists->at[i].crl, lists->at[beside].crl))
			return true;
	}
	return false;
}

/* NULL: it is the newest of its scope. */
static const struct crl *
newer_list(const struct lists *lists, size_t of)
{
	for (size_t i = 0; i < lists->n; i++) {
		if (may_replace(lists, i, of) && crl_is_newer(lists->at[i].crl, lists->at[of].crl))
			return lists->at[i].crl;
	}
	return NULL;
}

/* A list with a lower number and a later thisUpdate, not dead: one of the two is not what it says. */
static const struct crl *
contradicting_list(const struct lists *lists, size_t of, long skew)
{
	const struct crl_facts *facts = crl_facts(lists->at[of].crl);

	for (size_t i = 0; i < lists->n; i++) {
		if (may_replace(lists, i, of) && lists->at[i].age != AGE_DEAD
		    && crl_facts(lists->at[i].crl)->this_update > facts->this_update + skew)
			return lists->at[i].crl;
	}
	return NULL;
}

static void
use_list(struct finding *finding, const struct lists *lists, size_t i)
{
	const struct crl *crl = lists->at[i].crl;
	const struct crl_facts *facts = crl_facts(crl);
	const struct crl *other = contradicting_list(lists, i, finding->request->path->trust->ages.skew);
	enum age age = lists->at[i].age;
	struct crl_entry entry;

	if (crl_find(crl, X509_get0_serialNumber(finding->cert), &entry)) {
		if (age != AGE_DEAD || !entry.on_hold) {
			note_revoked(finding, entry.revoked_at, facts->this_update, "%s since %s, by CRL number %s of %s",
			    entry.on_hold ? "on hold" : "revoked", stamp_of(entry.revoked_at).text, facts->number,
			    stamp_of(facts->this_update).text);
			return;
		}
		note_useless(finding, "CRL number %s, which had it on hold, is too old", facts->number);
	} else if (crl_partial(crl)[0]) {
		note_useless(finding, "CRL number %s has %s", facts->number, crl_partial(crl));
	} else if (!lists->at[i].own && has_own_list(lists, i)) {
		note_useless(finding, "CRL number %s is by another key of the issuer's; where its own key signs lists, only those say \"not revoked\"",
		    facts->number);
	} else if (other) {
		note_useless(finding, "CRL number %s is newer than number %s, but of an earlier time; remove the wrong one", facts->number,
		    crl_facts(other)->number);
	} else if (age == AGE_DEAD) {
		note_useless(finding, "CRL number %s of %s is too old: nextUpdate %s", facts->number,
		    stamp_of(facts->this_update).text, facts->next_update ? stamp_of(facts->next_update).text : "missing");
	} else {
		note_good(finding, lists->at[i].reasons, age, facts->this_update, "CRL number %s of %s%s", facts->number,
		    stamp_of(facts->this_update).text, age == AGE_GRACE ? ", past its nextUpdate" : "");
	}
}

static void
ask_lists(struct finding *finding)
{
	const struct trust *trust = finding->request->path->trust;
	struct lists lists = { .n = 0 };

	for (size_t i = 0; i < trust->n_crls; i++)
		add_list(finding, trust->crls[i], &lists);
	for (size_t i = 0; i < lists.n && finding->ret->state != REVOCATION_REVOKED; i++) {
		/* What an older one lists may have been taken off since; what a contradicted one lists has not. */
		if (!newer_list(&lists, i))
			use_list(finding, &lists, i);
	}
	if (lists.too_many && finding->ret->state != REVOCATION_REVOKED) {
		finding->fresh = finding->grace = 0;
		note_useless(finding, "more than %d CRLs are about it", MOST_LISTS);
	}
}

/* ---- answers ---- */

/* By lists only: answers about responders' certificates would go round. */
static bool
delegate_is_not_revoked(const struct finding *finding, X509 *delegate)
{
	struct revoke_request deeper = *finding->request;
	struct revoke_status status = { .state = REVOCATION_UNKNOWN };
	struct finding inner = { .request = &deeper, .cert = delegate, .issuer = finding->issuer, .ret = &status };

	deeper.depth++;
	if (deeper.depth > MOST_DEPTH)
		return false;
	ask_lists(&inner);
	return status.state != REVOCATION_REVOKED && inner.grace == REASONS_ALL;
}

static bool
read_answer(struct finding *finding, const struct trust_answer *answer, struct ocsp_facts *ret)
{
	const struct path_request *path = finding->request->path;
	struct err err = { 0 };
	X509 *delegate = NULL;

	if (ocsp_ask(answer->ocsp, answer->single, finding->cert, finding->issuer, path->at, ret, &delegate, &err) == -1) {
		note_useless(finding, "%s", err.text);
		return false;
	}
	if (ocsp_is_weak(answer->ocsp) && !path->any_strength) {
		note_useless(finding, "the OCSP answer is signed over MD5 or SHA-1");
		return false;
	}
	if (!path->any_strength && ocsp_delegate_is_weak(answer->ocsp, finding->issuer)) {
		note_useless(finding, "the OCSP responder's own certificate is too weak");
		return false;
	}
	if (ret->this_update > path->at + path->trust->ages.skew) {
		note_useless(finding, "the OCSP answer is of %s, which has not come", stamp_of(ret->this_update).text);
		return false;
	}
	if (delegate && !delegate_is_not_revoked(finding, delegate)) {
		note_useless(finding, "the OCSP responder's own certificate is not known to be in force");
		return false;
	}
	return true;
}

static void
use_answer(struct finding *finding, const struct ocsp_facts *facts)
{
	const struct path_request *path = finding->request->path;
	enum age age = age_of(&path->trust->ages, facts->this_update, facts->next_update, path->at);
	struct stamp of = stamp_of(facts->this_update);

	switch (facts->status) {
	case OCSP_STATUS_UNKNOWN:
		note_useless(finding, "the OCSP answer of %s says \"unknown\"", of.text);
		return;
	case OCSP_STATUS_REVOKED:
		if (age == AGE_DEAD && facts->on_hold)
			note_useless(finding, "the OCSP answer of %s, which had it on hold, is too old", of.text);
		else
			note_revoked(finding, facts->revoked_at, facts->this_update, "%s since %s, by the OCSP answer of %s",
			    facts->on_hold ? "on hold" : "revoked", stamp_of(facts->revoked_at).text, of.text);
		return;
	case OCSP_STATUS_GOOD:
		if (age == AGE_DEAD)
			note_useless(finding, "the OCSP answer of %s is too old", of.text);
		else
			note_good(finding, REASONS_ALL, age, facts->this_update, "OCSP answer of %s%s", of.text,
			    age == AGE_GRACE ? ", past its nextUpdate" : "");
		return;
	}
}

static int
weight(enum ocsp_status status)
{
	switch (status) {
	case OCSP_STATUS_GOOD:
		return 0;
	case OCSP_STATUS_UNKNOWN:
		return 1;
	case OCSP_STATUS_REVOKED:
		return 2;
	}
	return 1;
}

/* The newer counts; of two from the same second the worse one, and of two that say the same the one that says it for longer. */
static bool
answer_outweighs(const struct ocsp_facts *a, const struct ocsp_facts *b)
{
	if (a->this_update != b->this_update)
		return a->this_update > b->this_update;
	if (a->status != b->status)
		return weight(a->status) > weight(b->status);
	return a->next_update > b->next_update;
}

static void
ask_answers(struct finding *finding)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(finding->cert);
	const struct slice bytes = { ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial) };
	const struct trust_answer *answers = NULL;
	size_t n = trust_answers_for(finding->request->path->trust, bytes, &answers);
	struct ocsp_facts newest = { .this_update = 0 };
	bool any = false;

	for (size_t i = 0; i < n; i++) {
		struct ocsp_facts facts = { .this_update = 0 };

		if (!read_answer(finding, &answers[i], &facts) || (any && !answer_outweighs(&facts, &newest)))
			continue;
		newest = facts;
		any = true;
	}
	if (any)
		use_answer(finding, &newest);
}

void
revoke_lookup(const struct revoke_request *request, X509 *cert, X509 *issuer, struct revoke_status *ret)
{
	struct finding finding = { .request = request, .cert = cert, .issuer = issuer, .ret = ret };

	*ret = (struct revoke_status){ .state = REVOCATION_UNKNOWN };
	ask_answers(&finding);
	if (ret->state != REVOCATION_REVOKED)
		ask_lists(&finding);
	ERR_clear_error();
	if (ret->state == REVOCATION_REVOKED)
		return;
	if (finding.grace == REASONS_ALL) {
		ret->state = REVOCATION_GOOD;
		ret->stale = finding.fresh != REASONS_ALL;
		ret->status_at = finding.good_at;
		snprintf(ret->why, sizeof(ret->why), "%s", finding.good);
		return;
	}
	snprintf(ret->why, sizeof(ret->why), "%s", finding.why_not[0] ? finding.why_not
	    : finding.grace ? "the CRLs are about some reasons for revocation only" : "no CRL and no OCSP answer about it");
}
