/* registry.h's questions, asked of SQLite. Connections: pool.c. */
#include "policy/registry/registry.h"

#include <stdio.h>
#include <string.h>

#include "policy/registry/db.h"
#include "policy/registry/pool.h"
#include "policy/registry/question.h"

/* A certificate under consideration. UNUSABLE_UNKNOWN = nothing stands against it. */
struct candidate {
	int64_t id;
	enum unusable unusable;
	int64_t not_before;
};

/* Usable before unusable; among those that are not, the graver reason speaks. */
static int
rank(enum unusable unusable)
{
	switch (unusable) {
	case UNUSABLE_UNKNOWN:
		return 6;
	case UNUSABLE_REVOKED:
		return 5;
	case UNUSABLE_HELD:
		return 4;
	case UNUSABLE_RETIRED:
		return 3;
	case UNUSABLE_NOT_YET:
		return 2;
	case UNUSABLE_EXPIRED:
		return 1;
	case UNUSABLE_ENDED:
	case UNUSABLE_CONFLICT: /* only signer.c finds it */
		return 0;
	}
	return 0;
}

static bool
is_better(const struct candidate *a, const struct candidate *b)
{
	if (b->id == 0 || rank(a->unusable) != rank(b->unusable))
		return b->id == 0 || rank(a->unusable) > rank(b->unusable);
	return a->not_before != b->not_before ? a->not_before > b->not_before : a->id > b->id;
}

/* The best certificate with a current binding to address, unit or domain `id`. */
static int
ask_level(const struct question *q, enum query query, int64_t id, enum standing *ret, struct candidate *best,
    struct err *err)
{
	sqlite3_stmt *stmt;
	int row;

	*ret = STANDING_NONE;
	if (conn_query(q->conn, query, &stmt, err) == -1
	    || db_bindf(stmt, "iit", q->at, id, purpose_name(q->purpose)) == -1)
		return -1;
	while ((row = conn_step(q->conn, stmt, err)) == 1) {
		struct candidate one = { .id = sqlite3_column_int64(stmt, 1), .not_before = sqlite3_column_int64(stmt, 4) };

		if (*ret == STANDING_NONE)
			*ret = STANDING_ENDED;
		if (!sqlite3_column_int(stmt, 0))
			continue;
		*ret = STANDING_CURRENT;
		if (question_judge(q, stmt, &one.unusable, err) == -1)
			return -1;
		if (is_better(&one, best))
			*best = one;
	}
	return row;
}

static int
answer_with(const struct question *q, const struct candidate *best, enum bound_to bound, struct registry_found *ret,
    struct err *err)
{
	if (question_cert(q, best->id, &ret->cert, err) == -1)
		return -1;
	ret->cert.bound = bound;
	ret->unusable = best->unusable;
	ret->answer = best->unusable == UNUSABLE_UNKNOWN ? REGISTRY_FOUND : REGISTRY_UNUSABLE;
	snprintf(ret->why, sizeof(ret->why), "certificate %lld (%02x%02x%02x%02x...), bound to %s for %s: %s%s%s",
	    (long long)best->id, ret->cert.sha256[0], ret->cert.sha256[1], ret->cert.sha256[2], ret->cert.sha256[3],
	    bound_phrase(bound), purpose_name(q->purpose),
	    ret->answer == REGISTRY_FOUND ? "usable" : unusable_name(best->unusable),
	    ret->cert.reason[0] ? ": " : "", ret->cert.reason);
	return 0;
}

enum query
question_level(enum bound_to bound, const struct place *place, int64_t *id)
{
	switch (bound) {
	case BOUND_ADDRESS:
		*id = place->address_id;
		return Q_BY_ADDRESS;
	case BOUND_UNIT:
		*id = place->unit_id;
		return Q_BY_UNIT;
	case BOUND_DOMAIN:
	case BOUND_UNKNOWN:
		break;
	}
	*id = place->domain_id;
	return Q_BY_DOMAIN;
}

/* Levels in their order; a level without an id is passed over, one that has ended binds nobody. */
static int
ask_levels(const struct question *q, const struct place *place, struct registry_found *ret, bool *ended,
    struct err *err)
{
	const struct {
		enum bound_to bound;
		enum standing standing;
	} levels[] = {
		{ BOUND_ADDRESS, place->address },
		{ BOUND_UNIT, place->unit },
		{ BOUND_DOMAIN, place->domain },
	};

	for (size_t i = 0; i < N_ELEMENTS(levels); i++) {
		struct candidate best = { 0 };
		enum standing found;
		enum query query;
		int64_t id;

		if (levels[i].standing == STANDING_NONE)
			continue;
		query = question_level(levels[i].bound, place, &id);
		if (ask_level(q, query, id, &found, &best, err) == -1)
			return -1;
		if (found == STANDING_CURRENT && levels[i].standing == STANDING_CURRENT)
			return answer_with(q, &best, levels[i].bound, ret, err);
		*ended |= found != STANDING_NONE || levels[i].standing == STANDING_ENDED;
	}
	return 0;
}

static int
answer_none(struct registry_found *ret, const char *why)
{
	ret->answer = REGISTRY_NONE;
	snprintf(ret->why, sizeof(ret->why), "%s", why);
	return 0;
}

static int
answer_ended(struct registry_found *ret, const char *why)
{
	ret->answer = REGISTRY_UNUSABLE;
	ret->unusable = UNUSABLE_ENDED;
	snprintf(ret->why, sizeof(ret->why), "%s", why);
	return 0;
}

int
question_answer(const struct question *q, struct place *place, struct registry_found *ret, struct err *err)
{
	bool ended = false;

	if (question_place(q, place, err) == -1)
		return -1;
	ret->known = place_is_known(place);
	if (place->domain == STANDING_NONE)
		return answer_none(ret, "neither the address nor its domain is registered");
	if (place->domain == STANDING_ENDED)
		return answer_ended(ret, "the domain's registration has ended");
	if (place->address == STANDING_ENDED)
		return answer_ended(ret, "the address's registration has ended");
	if (place->address == STANDING_NONE && !place->partner)
		return answer_none(ret, "the domain is registered, the address is not");
	if (ask_levels(q, place, ret, &ended, err) == -1)
		return -1;
	if (ret->answer != REGISTRY_UNAVAILABLE)
		return 0;
	if (ended)
		return answer_ended(ret, "every binding of address, unit and domain for this purpose has ended");
	return answer_none(ret, ret->known ? "the address is registered, no certificate is bound to it, its unit or its domain"
	    : "a partner's domain, without a certificate bound to it");
}

static void
answer_unavailable(struct registry_found *ret, const struct err *err)
{
	registry_found_done(ret);
	*ret = (struct registry_found){ .answer = REGISTRY_UNAVAILABLE };
	registry_escape(err->text, ret->why, sizeof(ret->why));
}

void
registry_lookup(struct registry *registry, const char *address, enum purpose purpose, time_t at,
    struct registry_found *ret)
{
	struct question q = { .address = address, .purpose = purpose, .at = at };
	struct err err = { 0 };
	struct place place;
	bool good;

	*ret = (struct registry_found){ 0 };
	if (purpose == PURPOSE_UNKNOWN) {
		(void)err_set(&err, ERR_BUG, "registry asked without a purpose");
		answer_unavailable(ret, &err);
		return;
	}
	if (conn_begin(registry, &q.conn, &err) == -1) {
		answer_unavailable(ret, &err);
		return;
	}
	good = question_answer(&q, &place, ret, &err) == 0;
	if (!good)
		answer_unavailable(ret, &err);
	conn_end(registry, q.conn, good);
}

static int
each_cert(const struct question *q, enum query query, void (*each)(void *ctx, const struct registry_cert *cert), void *ctx, struct err *err)
{
	sqlite3_stmt *stmt;
	int row;

	if (conn_query(q->conn, query, &stmt, err) == -1 || db_bindf(stmt, "i", q->at) == -1)
		return -1;
	while ((row = conn_step(q->conn, stmt, err)) == 1) {
		AUTO_FOUND struct registry_found found = { 0 };

		if (question_cert(q, sqlite3_column_int64(stmt, 0), &found.cert, err) == -1)
			return -1;
		each(ctx, &found.cert);
	}
	return row;
}

int
registry_each_seal(struct registry *registry, time_t at, void (*each)(void *ctx, const struct registry_cert *cert),
    void *ctx, struct err *err)
{
	return question_each_cert(registry, Q_EACH_SEAL, at, each, ctx, err);
}

int
question_each_cert(struct registry *registry, enum query query, time_t at, void (*each)(void *ctx, const struct registry_cert *cert),
    void *ctx, struct err *err)
{
	struct question q = { .at = at };
	int result;

	if (conn_begin(registry, &q.conn, err) == -1)
		return -1;
	result = each_cert(&q, query, each, ctx, err);
	conn_end(registry, q.conn, result == 0);
	return result;
}

static int
ask_login(const struct question *q, const char *login, enum login_answer *ret)
{
	struct place place;
	sqlite3_stmt *stmt;

	if (question_place(q, &place, NULL) == -1 || conn_query(q->conn, Q_LOGIN, &stmt, NULL) == -1
	    || db_bindf(stmt, "itt", q->at, login, place.norm) == -1 || conn_step(q->conn, stmt, NULL) != 1)
		return -1;
	if (sqlite3_column_int64(stmt, 0) == 0)
		*ret = LOGIN_UNKNOWN;
	else
		*ret = sqlite3_column_int(stmt, 1) ? LOGIN_OWNS : LOGIN_OTHER;
	return 0;
}

enum login_answer
registry_login(struct registry *registry, const char *login, const char *address, time_t at)
{
	struct question q = { .address = address, .at = at };
	enum login_answer ret = LOGIN_UNAVAILABLE;
	bool good;

	if (conn_begin(registry, &q.conn, NULL) == -1)
		return LOGIN_UNAVAILABLE;
	good = ask_login(&q, login, &ret) == 0;
	conn_end(registry, q.conn, good);
	return good ? ret : LOGIN_UNAVAILABLE;
}

int
registry_address_known(struct registry *registry, const char *address, time_t at)
{
	struct question q = { .address = address, .at = at };
	struct place place;
	bool good;

	if (conn_begin(registry, &q.conn, NULL) == -1)
		return -1;
	good = question_place(&q, &place, NULL) == 0;
	conn_end(registry, q.conn, good);
	return good ? place_is_known(&place) : -1;
}

int
conn_domain(struct conn *conn, const char *name, int64_t at, enum domain_answer *ret, struct err *err)
{
	static const struct {
		const char *kind;
		enum domain_answer answer;
	} kinds[] = { { "own", DOMAIN_OWN }, { "shared", DOMAIN_SHARED }, { "partner", DOMAIN_PARTNER } };
	sqlite3_stmt *stmt;
	int row;

	if (conn_query(conn, Q_DOMAIN, &stmt, err) == -1 || db_bindf(stmt, "it", at, name) == -1
	    || (row = conn_step(conn, stmt, err)) == -1)
		return -1;
	if (row == 0 || !sqlite3_column_int(stmt, 3)) {
		*ret = DOMAIN_NONE;
		return 0;
	}
	for (size_t i = 0; i < N_ELEMENTS(kinds); i++)
		if (strcmp(kinds[i].kind, db_text(stmt, 1)) == 0)
			*ret = kinds[i].answer;
	return 0;
}

enum domain_answer
registry_domain_of(struct registry *registry, const char *address, time_t at)
{
	struct question q = { .address = address, .at = at };
	enum domain_answer answer = DOMAIN_UNAVAILABLE;
	const char *at_sign = strrchr(address, '@');
	char name[LIMIT_ADDRESS_BYTES + 1];
	bool good;

	/* Behind the last @, whatever stands before it: a quoted local part names the domain just as well. */
	if (!*address || (at_sign && at_sign[1] == '['))
		return DOMAIN_NONE;
	if (!at_sign || !domain_normalise(at_sign + 1, name))
		return DOMAIN_ODD;
	if (conn_begin(registry, &q.conn, NULL) == -1)
		return DOMAIN_UNAVAILABLE;
	good = conn_domain(q.conn, name, q.at, &answer, NULL) == 0;
	conn_end(registry, q.conn, good);
	return good ? answer : DOMAIN_UNAVAILABLE;
}
