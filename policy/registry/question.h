/*
 * question: one question under way: where an address stands, and what stands against a certificate.
 * For sqlite.c, signer.c, encrypt.c and entitle.c only, which make answers of it.
 */
#ifndef POLICY_REGISTRY_QUESTION_H
#define POLICY_REGISTRY_QUESTION_H

#include "policy/registry/pool.h"

/* Was something registered, and is it current at the time asked about? */
enum standing { STANDING_NONE, STANDING_ENDED, STANDING_CURRENT };

/* Where an address stands. */
struct place {
	char norm[LIMIT_ADDRESS_BYTES + 1];
	enum standing domain, address, unit;
	int64_t domain_id, address_id, unit_id;
	bool partner; /* another region's domain: its addresses need not be registered here */
	bool fold;    /* local parts of this domain are alike in either case */
};

struct question {
	struct conn *conn;
	const char *address;
	enum purpose purpose;
	int64_t at;
};

int question_place(const struct question *q, struct place *place, struct err *err) MUST_USE;
bool place_is_known(const struct place *place);

/*
 * What stands against the certificate of this row: UNUSABLE_UNKNOWN = nothing. Its columns 1 to 5 are
 * those of BINDINGS (pool.c): id, state, hold_until, not_before, not_after.
 */
int question_judge(const struct question *q, sqlite3_stmt *stmt, enum unusable *ret, struct err *err) MUST_USE;

/*
 * The whole answer to the question (sqlite.c). `ret` as for registry_lookup; what it owns is the caller's also at -1.
 * `place` is filled, too.
 */
int question_answer(const struct question *q, struct place *place, struct registry_found *ret, struct err *err) MUST_USE;

/* Those of BINDINGS that ask for this level, and the number to ask for; 0 = the address has no such level. */
enum query question_level(enum bound_to bound, const struct place *place, int64_t *id);

/* The certificate of this number; its bytes are checked against its SHA-256. `cert->der` is the caller's. */
int question_cert(const struct question *q, int64_t id, struct registry_cert *cert, struct err *err) MUST_USE;

/* Each certificate that a query without other parameters than the time lists, in a snapshot of its own; as registry_each_seal() (sqlite.c). */
int question_each_cert(struct registry *registry, enum query query, time_t at, void (*each)(void *ctx, const struct registry_cert *cert),
    void *ctx, struct err *err) MUST_USE;

/* "the address's unit" */
const char *bound_phrase(enum bound_to bound);

/* Printable ASCII; other bytes as %XX. */
void registry_escape(const char *from, char *to, size_t room);

#endif
