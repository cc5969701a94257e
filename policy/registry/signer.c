/* registry_signer: whose certificate is this, and may it speak for that address? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/registry/db.h"
#include "policy/registry/question.h"

static int PRINTF_LIKE(4, 5)
answer(struct registry_signer *ret, enum registry_answer word, enum unusable unusable, const char *fmt, ...)
{
	va_list args;

	ret->answer = word;
	ret->unusable = unusable;
	va_start(args, fmt);
	vsnprintf(ret->why, sizeof(ret->why), fmt, args);
	va_end(args);
	return 0;
}

/* The number of the certificate that a query finds; 0 = none. */
static int
ask_id(sqlite3_stmt *stmt, const struct question *q, int64_t *ret, struct err *err)
{
	int row = conn_step(q->conn, stmt, err);

	if (row == -1)
		return -1;
	*ret = row ? sqlite3_column_int64(stmt, 0) : 0;
	return 0;
}

/* What is not registered may still be known: by its name, or by a key that leaked. */
static int
answer_unregistered(const struct question *q, const struct cert_facts *cert, struct registry_signer *ret, struct err *err)
{
	sqlite3_stmt *stmt;
	int64_t twin, leaked;

	if (conn_query(q->conn, Q_TWIN, &stmt, err) == -1 || db_bindf(stmt, "tt", cert->issuer, cert->serial) == -1
	    || ask_id(stmt, q, &twin, err) == -1 || conn_query(q->conn, Q_LEAKED, &stmt, err) == -1
	    || db_bindf(stmt, "b", (const void *)cert->spki, sizeof(cert->spki)) == -1 || ask_id(stmt, q, &leaked, err) == -1)
		return -1;
	if (twin)
		return answer(ret, REGISTRY_UNUSABLE, UNUSABLE_CONFLICT,
		    "certificate %lld has the same issuer and serial number, and is another one", (long long)twin);
	if (leaked)
		return answer(ret, REGISTRY_UNUSABLE, UNUSABLE_REVOKED, "its public key was revoked for compromise with certificate %lld",
		    (long long)leaked);
	return answer(ret, REGISTRY_NONE, UNUSABLE_UNKNOWN, "the certificate is not registered");
}

/* What the row says otherwise than the certificate whose SHA-256 it bears; NULL = nothing. Columns 6 to 8 of Q_SIGNER. */
static const char *
disagreement(sqlite3_stmt *stmt, const struct cert_facts *cert)
{
	if (sqlite3_column_bytes(stmt, 6) != sizeof(cert->spki)
	    || memcmp(sqlite3_column_blob(stmt, 6), cert->spki, sizeof(cert->spki)) != 0)
		return "public key";
	if (strcmp(db_text(stmt, 7), cert->issuer) != 0)
		return "issuer";
	if (strcmp(db_text(stmt, 8), cert->serial) != 0)
		return "serial number";
	return NULL;
}

/* Who is spoken for, nearest first. `ended`: something did, and does no more. */
static int
ask_speaks(const struct question *q, const struct place *place, struct registry_signer *ret, bool *ended, struct err *err)
{
	static const enum bound_to levels[] = { BOUND_ADDRESS, BOUND_UNIT, BOUND_DOMAIN };
	const enum standing standings[] = { place->address, place->unit, place->domain };
	const bool reaches = place->domain == STANDING_CURRENT
	    && (place->address == STANDING_CURRENT || (place->address == STANDING_NONE && place->partner));
	const bool has_ended = place->address == STANDING_ENDED || place->domain == STANDING_ENDED;
	sqlite3_stmt *stmt;
	int row;

	if (conn_query(q->conn, Q_SPEAKS, &stmt, err) == -1
	    || db_bindf(stmt, "iiiii", q->at, ret->cert.id, place->address_id, place->unit_id, place->domain_id) == -1
	    || (row = conn_step(q->conn, stmt, err)) == -1)
		return -1;
	ret->n_bindings = row ? (size_t)sqlite3_column_int64(stmt, 0) : 0;
	for (int i = 0; row && i < (int)N_ELEMENTS(levels); i++) {
		const enum standing binding = (enum standing)sqlite3_column_int(stmt, i + 1);

		if (reaches && binding == STANDING_CURRENT && standings[i] == STANDING_CURRENT && ret->cert.bound == BOUND_UNKNOWN)
			ret->cert.bound = levels[i];
		/* A domain's own binding says nothing of an address in it that was never registered. */
		*ended |= binding != STANDING_NONE && (reaches || has_ended);
	}
	return 0;
}

static int
answer_registered(const struct registry_cert *cert, enum unusable against, bool ended, struct registry_signer *ret)
{
	if (against != UNUSABLE_UNKNOWN)
		return answer(ret, REGISTRY_UNUSABLE, against, "certificate %lld: %s%s%s", (long long)cert->id, unusable_name(against),
		    *cert->reason ? ": " : "", cert->reason);
	if (cert->bound != BOUND_UNKNOWN)
		return answer(ret, REGISTRY_FOUND, UNUSABLE_UNKNOWN, "certificate %lld (%s), bound to %s", (long long)cert->id,
		    cert_kind_name(cert->kind), bound_phrase(cert->bound));
	if (ended)
		return answer(ret, REGISTRY_UNUSABLE, UNUSABLE_ENDED, "certificate %lld: its binding to the address, its unit or its "
		    "domain has ended", (long long)cert->id);
	return answer(ret, REGISTRY_FOUND, UNUSABLE_UNKNOWN, "certificate %lld (%s), not bound to %s", (long long)cert->id,
	    cert_kind_name(cert->kind), ret->known ? "the address, its unit or its domain" : "this address, which is not registered");
}

static int
ask_row(const struct question *q, const struct cert_facts *cert, int64_t *id, enum unusable *against, const char **differs,
    struct err *err)
{
	sqlite3_stmt *stmt;
	int row;

	if (conn_query(q->conn, Q_SIGNER, &stmt, err) == -1
	    || db_bindf(stmt, "b", (const void *)cert->sha256, sizeof(cert->sha256)) == -1
	    || (row = conn_step(q->conn, stmt, err)) == -1)
		return -1;
	if (row == 0)
		return 0;
	*id = sqlite3_column_int64(stmt, 1);
	*differs = disagreement(stmt, cert);
	return question_judge(q, stmt, against, err);
}

static int
ask(const struct question *q, const struct cert_facts *cert, struct registry_signer *ret, struct err *err)
{
	AUTO_FOUND struct registry_found row = { 0 };
	enum unusable against = UNUSABLE_UNKNOWN;
	const char *differs = NULL;
	struct place place;
	bool ended = false;
	int64_t id = 0;

	if (question_place(q, &place, err) == -1 || ask_row(q, cert, &id, &against, &differs, err) == -1)
		return -1;
	ret->known = place_is_known(&place);
	ret->fold = place.fold;
	if (id == 0)
		return answer_unregistered(q, cert, ret, err);
	if (question_cert(q, id, &row.cert, err) == -1)
		return -1;
	ret->cert = row.cert;
	ret->cert.der = NULL;
	ret->cert.der_len = 0;
	if (differs)
		return answer(ret, REGISTRY_UNUSABLE, UNUSABLE_CONFLICT, "certificate %lld: the registry's row names another %s", (long long)id,
		    differs);
	if (ask_speaks(q, &place, ret, &ended, err) == -1)
		return -1;
	return answer_registered(&ret->cert, against, ended, ret);
}

void
registry_signer(struct registry *registry, const struct cert_facts *cert, const char *from, time_t at,
    struct registry_signer *ret)
{
	struct question q = { .address = from, .at = at };
	struct err err = { 0 };
	bool good;

	*ret = (struct registry_signer){ 0 };
	good = conn_begin(registry, &q.conn, &err) == 0;
	if (good) {
		good = ask(&q, cert, ret, &err) == 0;
		conn_end(registry, q.conn, good);
	}
	if (good)
		return;
	*ret = (struct registry_signer){ .answer = REGISTRY_UNAVAILABLE };
	registry_escape(err.text, ret->why, sizeof(ret->why));
}
