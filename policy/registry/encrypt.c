#include "policy/registry/encrypt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/registry/db.h"
#include "policy/registry/question.h"

static const char *const answers[] = {
	[ENCRYPT_UNAVAILABLE] = "unavailable", [ENCRYPT_UNDECIDED] = "undecided", [ENCRYPT_NONE] = "none",
	[ENCRYPT_UNUSABLE] = "unusable",       [ENCRYPT_REFUSED] = "refused",     [ENCRYPT_FOUND] = "found",
};

static const struct {
	enum capability capability;
	const char *word;
} words[] = { { CAPABILITY_GCM, "gcm" }, { CAPABILITY_OAEP, "oaep" } };

const char *
encrypt_answer_name(enum encrypt_answer answer)
{
	return answers[(size_t)answer < N_ELEMENTS(answers) ? answer : ENCRYPT_UNAVAILABLE];
}

enum capability
capability_from(const char *word)
{
	for (size_t i = 0; i < N_ELEMENTS(words); i++)
		if (strcmp(words[i].word, word) == 0)
			return words[i].capability;
	return CAPABILITY_NONE;
}

const char *
capability_name(enum capability capability)
{
	for (size_t i = 0; i < N_ELEMENTS(words); i++)
		if (words[i].capability == capability)
			return words[i].word;
	return "none";
}

/* A certificate in force at the place that decides. */
struct candidate {
	struct registry_cert cert; /* der owned */
	int64_t not_before;
	unsigned capabilities;
};

struct candidates {
	struct candidate at[ENCRYPT_CANDIDATES];
	size_t n;
	size_t n_all; /* with those that are too old to be looked at */
};

static void
candidates_done(struct candidates *candidates)
{
	for (size_t i = 0; i < candidates->n; i++)
		free(candidates->at[i].cert.der);
	candidates->n = 0;
}

static inline void auto_candidates_done(struct candidates *candidates) { candidates_done(candidates); }
#define AUTO_CANDIDATES __attribute__((cleanup(auto_candidates_done)))

static bool
is_newer(int64_t a_begins, int64_t a_id, const struct candidate *b)
{
	return a_begins != b->not_before ? a_begins > b->not_before : a_id > b->cert.id;
}

/* Keeps the newest, in their order. One certificate may be bound there twice, one binding after the other. */
static void
candidates_add(struct candidates *candidates, int64_t id, int64_t not_before)
{
	size_t at = 0;

	for (size_t i = 0; i < candidates->n; i++)
		if (candidates->at[i].cert.id == id)
			return;
	candidates->n_all++;
	while (at < candidates->n && !is_newer(not_before, id, &candidates->at[at]))
		at++;
	if (at == ENCRYPT_CANDIDATES)
		return;
	if (candidates->n < ENCRYPT_CANDIDATES)
		candidates->n++;
	memmove(&candidates->at[at + 1], &candidates->at[at], (candidates->n - at - 1) * sizeof(candidates->at[0]));
	candidates->at[at] = (struct candidate){ .cert = { .id = id }, .not_before = not_before };
}

/* Those in force at the level that decided. */
static int
ask_candidates(const struct question *q, enum bound_to bound, const struct place *place, struct candidates *ret, struct err *err)
{
	sqlite3_stmt *stmt;
	int64_t id;
	enum query query = question_level(bound, place, &id);
	int row;

	if (conn_query(q->conn, query, &stmt, err) == -1 || db_bindf(stmt, "iit", q->at, id, purpose_name(q->purpose)) == -1)
		return -1;
	while ((row = conn_step(q->conn, stmt, err)) == 1) {
		enum unusable unusable = UNUSABLE_UNKNOWN;

		if (!sqlite3_column_int(stmt, 0))
			continue;
		if (question_judge(q, stmt, &unusable, err) == -1)
			return -1;
		if (unusable == UNUSABLE_UNKNOWN)
			candidates_add(ret, sqlite3_column_int64(stmt, 1), sqlite3_column_int64(stmt, 4));
	}
	return row;
}

static int
ask_capabilities(const struct question *q, int64_t cert, unsigned *ret, struct err *err)
{
	sqlite3_stmt *stmt;
	int row;

	if (conn_query(q->conn, Q_CAPABILITIES, &stmt, err) == -1 || db_bindf(stmt, "ii", q->at, cert) == -1)
		return -1;
	while ((row = conn_step(q->conn, stmt, err)) == 1)
		*ret |= capability_from(db_text(stmt, 0));
	return row;
}

static int
read_candidate(const struct question *q, enum bound_to bound, struct candidate *candidate, struct err *err)
{
	if (question_cert(q, candidate->cert.id, &candidate->cert, err) == -1)
		return -1;
	candidate->cert.bound = bound;
	return ask_capabilities(q, candidate->cert.id, &candidate->capabilities, err);
}

/* What the registry alone says. */
static int
ask(const struct question *q, struct registry_found *found, struct candidates *ret, struct err *err)
{
	struct place place;

	if (question_answer(q, &place, found, err) == -1)
		return -1;
	if (found->answer != REGISTRY_FOUND)
		return 0;
	if (ask_candidates(q, found->cert.bound, &place, ret, err) == -1)
		return -1;
	for (size_t i = 0; i < ret->n; i++)
		if (read_candidate(q, found->cert.bound, &ret->at[i], err) == -1)
			return -1;
	return 0;
}

static void
found_one(struct candidate *candidate, const char *why, struct registry_encrypt *ret)
{
	const struct registry_cert *cert = &candidate->cert;

	ret->answer = ENCRYPT_FOUND;
	ret->capabilities = candidate->capabilities;
	snprintf(ret->why, sizeof(ret->why), "certificate %lld (%02x%02x%02x%02x...), bound to %s%s%s", (long long)cert->id,
	    cert->sha256[0], cert->sha256[1], cert->sha256[2], cert->sha256[3], bound_phrase(cert->bound), *why ? ": " : "", why);
	ret->cert = *cert;
	candidate->cert.der = NULL;
}

/* From the newest on. What speaks against the newest is told, and what could not be found out before all. */
static void
judge_candidates(struct candidates *candidates, const struct encrypt_judge *judge, struct registry_encrypt *ret)
{
	ret->answer = ENCRYPT_REFUSED;
	ret->n_candidates = candidates->n_all;
	for (size_t i = 0; i < candidates->n; i++) {
		char why[FACT_WHY_BYTES] = "";
		const enum cert_use use = judge->judge(judge->ctx, &candidates->at[i].cert, why);

		if (use == CERT_USE_GOOD) {
			found_one(&candidates->at[i], why, ret);
			return;
		}
		if (i == 0 || (use == CERT_USE_UNKNOWN && ret->answer == ENCRYPT_REFUSED))
			snprintf(ret->why, sizeof(ret->why), "certificate %lld: %s", (long long)candidates->at[i].cert.id, why);
		if (use == CERT_USE_UNKNOWN)
			ret->answer = ENCRYPT_UNDECIDED;
	}
}

static void
answer_without(const struct registry_found *found, struct registry_encrypt *ret)
{
	ret->answer = found->answer == REGISTRY_NONE ? ENCRYPT_NONE : found->answer == REGISTRY_UNUSABLE ? ENCRYPT_UNUSABLE
												      : ENCRYPT_UNAVAILABLE;
	ret->unusable = found->unusable;
	snprintf(ret->why, sizeof(ret->why), "%s", found->why);
}

void
registry_encrypt(struct registry *registry, const char *address, time_t at, const struct encrypt_judge *judge,
    struct registry_encrypt *ret)
{
	struct question q = { .address = address, .purpose = PURPOSE_ENCRYPT, .at = at };
	AUTO_CANDIDATES struct candidates candidates = { .n = 0 };
	AUTO_FOUND struct registry_found found = { 0 };
	struct err err = { 0 };
	bool good;

	*ret = (struct registry_encrypt){ .answer = ENCRYPT_UNAVAILABLE };
	good = conn_begin(registry, &q.conn, &err) == 0;
	if (good) {
		good = ask(&q, &found, &candidates, &err) == 0;
		conn_end(registry, q.conn, good);
	}
	if (!good) {
		registry_escape(err.text, ret->why, sizeof(ret->why));
		return;
	}
	ret->known = found.known;
	if (found.answer == REGISTRY_FOUND)
		judge_candidates(&candidates, judge, ret);
	else
		answer_without(&found, ret);
}

void
registry_encrypt_done(struct registry_encrypt *found)
{
	free(found->cert.der);
	found->cert.der = NULL;
	found->cert.der_len = 0;
}

static int
ask_unit(const struct question *q, enum unit_answer *ret, char code[LIMIT_TOKEN_BYTES + 1])
{
	struct place place;
	sqlite3_stmt *stmt;
	int row;

	if (question_place(q, &place, NULL) == -1)
		return -1;
	*ret = UNIT_NONE;
	if (!place_is_known(&place) || place.unit != STANDING_CURRENT)
		return 0;
	if (conn_query(q->conn, Q_UNIT, &stmt, NULL) == -1 || db_bindf(stmt, "ii", q->at, place.unit_id) == -1
	    || (row = conn_step(q->conn, stmt, NULL)) != 1 || strlen(db_text(stmt, 0)) > LIMIT_TOKEN_BYTES)
		return -1;
	snprintf(code, LIMIT_TOKEN_BYTES + 1, "%s", db_text(stmt, 0));
	*ret = UNIT_FOUND;
	return 0;
}

enum unit_answer
registry_unit_of(struct registry *registry, const char *address, time_t at, char code[LIMIT_TOKEN_BYTES + 1])
{
	struct question q = { .address = address, .at = at };
	enum unit_answer ret = UNIT_UNAVAILABLE;
	bool good;

	code[0] = '\0';
	if (conn_begin(registry, &q.conn, NULL) == -1)
		return UNIT_UNAVAILABLE;
	good = ask_unit(&q, &ret, code) == 0;
	conn_end(registry, q.conn, good);
	return good ? ret : UNIT_UNAVAILABLE;
}

enum unit_answer
registry_has_unit(struct registry *registry, const char *code, time_t at)
{
	struct conn *conn;
	sqlite3_stmt *stmt;
	int row = -1;

	if (conn_begin(registry, &conn, NULL) == -1)
		return UNIT_UNAVAILABLE;
	if (conn_query(conn, Q_UNIT_CODE, &stmt, NULL) == 0 && db_bindf(stmt, "it", (int64_t)at, code) == 0)
		row = conn_step(conn, stmt, NULL);
	conn_end(registry, conn, row != -1);
	if (row == -1)
		return UNIT_UNAVAILABLE;
	return row == 1 ? UNIT_FOUND : UNIT_NONE;
}
