#include "policy/registry/entitle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/registry/db.h"
#include "policy/registry/question.h"

/* A certificate bound to every address looked at so far. */
struct candidate {
	int64_t id, not_before;
	enum bound_to bound;
};

struct candidates {
	struct candidate *at; /* owned */
	size_t n;
};

static inline void auto_candidates_done(struct candidates *candidates) { free(candidates->at); }
#define AUTO_CANDIDATES __attribute__((cleanup(auto_candidates_done)))

static bool
has(const struct candidates *candidates, int64_t id)
{
	for (size_t i = 0; i < candidates->n; i++)
		if (candidates->at[i].id == id)
			return true;
	return false;
}

static void
add(struct candidates *candidates, const struct candidate *one)
{
	if (has(candidates, one->id))
		return;
	candidates->at = xrealloc(candidates->at, (candidates->n + 1) * sizeof(*candidates->at));
	candidates->at[candidates->n++] = *one;
}

/* Whatever the state of the certificate, and its dates. */
static int
ask_level(const struct question *q, enum bound_to bound, const struct place *place, struct candidates *ret, struct err *err)
{
	sqlite3_stmt *stmt;
	int64_t id;
	enum query query = question_level(bound, place, &id);
	int row;

	if (conn_query(q->conn, query, &stmt, err) == -1 || db_bindf(stmt, "iit", q->at, id, purpose_name(q->purpose)) == -1)
		return -1;
	while ((row = conn_step(q->conn, stmt, err)) == 1) {
		const struct candidate one = { sqlite3_column_int64(stmt, 1), sqlite3_column_int64(stmt, 4), bound };

		if (sqlite3_column_int(stmt, 0))
			add(ret, &one);
	}
	return row;
}

/* *ret: registered here, and current. */
static int
is_ours(const struct question *q, struct place *place, bool *ret, struct err *err)
{
	enum domain_answer domain = DOMAIN_NONE;

	*ret = false;
	if (question_place(q, place, err) == -1)
		return -1;
	if (!place_is_known(place))
		return 0;
	if (conn_domain(q->conn, strchr(place->norm, '@') + 1, q->at, &domain, err) == -1)
		return -1;
	*ret = domain == DOMAIN_OWN;
	return 0;
}

/* All that are bound to it at any level: whoever encrypted the message may have taken any of them. */
static int
ask_address(const struct question *q, struct candidates *ret, struct err *err)
{
	struct place place;
	bool ours;

	if (is_ours(q, &place, &ours, err) == -1)
		return -1;
	if (!ours)
		return 0;
	if (ask_level(q, BOUND_ADDRESS, &place, ret, err) == -1)
		return -1;
	if (place.unit == STANDING_CURRENT && ask_level(q, BOUND_UNIT, &place, ret, err) == -1)
		return -1;
	return ask_level(q, BOUND_DOMAIN, &place, ret, err);
}

static void
keep_common(struct candidates *candidates, const struct candidates *others)
{
	size_t n = 0;

	for (size_t i = 0; i < candidates->n; i++)
		if (has(others, candidates->at[i].id))
			candidates->at[n++] = candidates->at[i];
	candidates->n = n;
}

/* `*without`: the first address that left none; untouched where some are left. */
static int
ask_all(struct question *q, const char *const *addresses, size_t n, struct candidates *ret, const char **without, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		AUTO_CANDIDATES struct candidates one = { .n = 0 };

		q->address = addresses[i];
		if (ask_address(q, i == 0 ? ret : &one, err) == -1)
			return -1;
		if (i > 0)
			keep_common(ret, &one);
		if (ret->n == 0) {
			*without = addresses[i];
			return 0;
		}
	}
	return 0;
}

static int
compare_newest(const void *a, const void *b)
{
	const struct candidate *one = a, *other = b;

	if (one->not_before != other->not_before)
		return one->not_before > other->not_before ? -1 : 1;
	return one->id == other->id ? 0 : one->id > other->id ? -1 : 1;
}

static bool
is_a_persons(enum cert_kind kind)
{
	switch (kind) {
	case CERT_KIND_OFFICE:
	case CERT_KIND_SYSTEM:
		return false;
	case CERT_KIND_PERSON:
	case CERT_KIND_UNKNOWN:
		return true;
	}
	return true;
}

/* A person's own is left out; what is read of it goes again. */
static int
read_cert(const struct question *q, const struct candidate *candidate, struct registry_entitle *ret, struct err *err)
{
	struct registry_cert *cert = &ret->certs[ret->n_certs];

	if (question_cert(q, candidate->id, cert, err) == -1)
		return -1;
	cert->bound = candidate->bound;
	if (is_a_persons(cert->kind)) {
		free(cert->der);
		*cert = (struct registry_cert){ .id = 0 };
		return 0;
	}
	ret->n_certs++;
	return 0;
}

static int
read_certs(const struct question *q, struct candidates *candidates, struct registry_entitle *ret, struct err *err)
{
	qsort(candidates->at, candidates->n, sizeof(*candidates->at), compare_newest);
	ret->certs = xcalloc(ENTITLE_CERTS, sizeof(*ret->certs));
	for (size_t i = 0; i < candidates->n && ret->n_certs < ENTITLE_CERTS; i++)
		if (read_cert(q, &candidates->at[i], ret, err) == -1)
			return -1;
	return 0;
}

static int
ask(struct question *q, const char *const *addresses, size_t n, struct registry_entitle *ret, struct err *err)
{
	AUTO_CANDIDATES struct candidates candidates = { .n = 0 };
	const char *without = NULL;

	if (ask_all(q, addresses, n, &candidates, &without, err) == -1)
		return -1;
	if (candidates.n && read_certs(q, &candidates, ret, err) == -1)
		return -1;
	ret->answer = ret->n_certs ? ENTITLE_FOUND : ENTITLE_NONE;
	if (ret->n_certs)
		snprintf(ret->why, sizeof(ret->why), "%zu certificates bound to every recipient", ret->n_certs);
	else if (without)
		snprintf(ret->why, sizeof(ret->why), "no certificate is bound for purpose encrypt to %.160s%s", without,
		    n > 1 ? " and the other recipients alike" : "");
	else
		snprintf(ret->why, sizeof(ret->why), "%s", candidates.n ? "a person's own certificate, whose key is nobody else's" : "no recipient");
	return 0;
}

void
registry_entitle(struct registry *registry, const char *const *addresses, size_t n_addresses, time_t at, struct registry_entitle *ret)
{
	struct question q = { .purpose = PURPOSE_ENCRYPT, .at = at };
	struct err err = { 0 };
	bool good;

	*ret = (struct registry_entitle){ .answer = ENTITLE_UNAVAILABLE };
	good = conn_begin(registry, &q.conn, &err) == 0;
	if (good) {
		good = ask(&q, addresses, n_addresses, ret, &err) == 0;
		conn_end(registry, q.conn, good);
	}
	if (good)
		return;
	registry_entitle_done(ret);
	*ret = (struct registry_entitle){ .answer = ENTITLE_UNAVAILABLE };
	registry_escape(err.text, ret->why, sizeof(ret->why));
}

int
registry_each_opening(struct registry *registry, time_t at, void (*each)(void *ctx, const struct registry_cert *cert), void *ctx,
    struct err *err)
{
	return question_each_cert(registry, Q_EACH_OPENING, at, each, ctx, err);
}

void
registry_entitle_done(struct registry_entitle *found)
{
	for (size_t i = 0; found->certs && i < found->n_certs; i++)
		free(found->certs[i].der);
	free(found->certs);
	found->certs = NULL;
	found->n_certs = 0;
}
