/*
 * write: how officers change the registry. The reading half is registry.h.
 *
 *     registry_write_open, write_begin, one or more verbs, write_commit (or write_rollback)
 *
 * Every verb leaves an act (who, when, what) beside what it does, in the same transaction. The
 * laws are in the schema (schema.c); a verb that breaks one is WRITE_REFUSED with the law's text,
 * and its transaction is to be rolled back. A dry run is everything but the commit.
 *
 * Does not check: who the caller really is (milter/ctl/ctl.c), that the certificate's facts
 * belong to its bytes beyond the SHA-256 (the caller read both with smime/cert.h).
 *
 * Times are seconds UTC; `now` is the time of all acts of one writer. One thread per writer.
 */
#ifndef POLICY_REGISTRY_WRITE_H
#define POLICY_REGISTRY_WRITE_H

#include <time.h>

#include "policy/registry/registry.h"
#include "policy/registry/tls.h"
#include "smime/err.h"
#include "smime/facts.h"

enum write_outcome {
	WRITE_UNAVAILABLE, /* could not: locked, missing, damaged, disk full */
	WRITE_REFUSED,     /* a rule stands against it */
	WRITE_NOT_FOUND,   /* what the verb names is not there */
	WRITE_DONE,
};

struct registry_writer;

/* The first officer. */
struct founder {
	const char *login;       /* UNIX login */
	const char *name;
	const char *category;    /* kepala wakil asn lain */
	const char *policy;      /* for lain: which rule makes him a user; else NULL */
	const char *appointment; /* the letter */
};

/*
 * Makes a registry with its first officer: mode 0640, group of its folder. An existing file is
 * WRITE_REFUSED. Appears whole or not at all. `dry_run`: tries, and leaves nothing.
 */
enum write_outcome registry_create(const char *file, const struct founder *founder, time_t now, bool dry_run,
    struct err *err) MUST_USE;
/* Brings an older schema to ours; `*from` is what it was (ours: nothing was done). Officers only. */
enum write_outcome registry_migrate(const char *file, const char *login, time_t now, bool dry_run, int *from,
    struct err *err) MUST_USE;

/* `login` is the UNIX login that acts; WRITE_REFUSED if it is no current officer. */
enum write_outcome registry_write_open(const char *file, const char *login, time_t now,
    struct registry_writer **ret, struct err *err) MUST_USE;
/* Rolls back what was not committed. */
void registry_write_close(struct registry_writer *writer);
AUTO_DEFINE(struct registry_writer, registry_write_close);

enum write_outcome write_begin(struct registry_writer *writer, struct err *err) MUST_USE;
enum write_outcome write_commit(struct registry_writer *writer, struct err *err) MUST_USE;
void write_rollback(struct registry_writer *writer);

/* `unit` is a code, `person` a number or a name that is unique, `domain` and `system` names. */
enum write_outcome write_unit_add(struct registry_writer *, const char *code, const char *name, int64_t *id, struct err *) MUST_USE;
enum write_outcome write_unit_end(struct registry_writer *, const char *code, const char *reason, struct err *) MUST_USE;
enum write_outcome write_person_add(struct registry_writer *, const char *name, const char *category, const char *policy,
    const char *unit, int64_t *id, struct err *) MUST_USE;
enum write_outcome write_person_end(struct registry_writer *, const char *person, const char *reason, struct err *) MUST_USE;
enum write_outcome write_system_add(struct registry_writer *, const char *name, const char *unit, const char *host,
    int64_t *id, struct err *) MUST_USE;
enum write_outcome write_system_end(struct registry_writer *, const char *name, const char *reason, struct err *) MUST_USE;
enum write_outcome write_domain_add(struct registry_writer *, const char *name, const char *kind, bool fold,
    int64_t *id, struct err *) MUST_USE;
enum write_outcome write_domain_end(struct registry_writer *, const char *name, const char *reason, struct err *) MUST_USE;
/* `unit`, `person` or both. */
enum write_outcome write_address_add(struct registry_writer *, const char *address, const char *unit, const char *person,
    int64_t *id, struct err *) MUST_USE;
enum write_outcome write_address_end(struct registry_writer *, const char *address, const char *reason, struct err *) MUST_USE;
enum write_outcome write_login_add(struct registry_writer *, const char *login, const char *address, int64_t *id, struct err *) MUST_USE;
/* `address` NULL: all of them. */
enum write_outcome write_login_end(struct registry_writer *, const char *login, const char *address, const char *reason,
    struct err *) MUST_USE;
/* `to` 0: without an end. */
enum write_outcome write_officer_add(struct registry_writer *, const char *login, const char *person, const char *appointment,
    time_t to, int64_t *id, struct err *) MUST_USE;
enum write_outcome write_officer_end(struct registry_writer *, const char *login, const char *reason, struct err *) MUST_USE;

/* `role` is a word of policy/permit.h; a login has one role at a time. `to` 0: without an end. */
enum write_outcome write_reviewer_add(struct registry_writer *, const char *login, const char *person, const char *role,
    const char *appointment, time_t to, int64_t *id, struct err *) MUST_USE;
enum write_outcome write_reviewer_end(struct registry_writer *, const char *login, const char *reason, struct err *) MUST_USE;

/* A CA's, a weakly signed, an unsuitable key's or an odd-addressed certificate is refused. */
enum write_outcome write_cert_import(struct registry_writer *, const unsigned char *der, size_t len,
    const struct cert_facts *facts, enum cert_kind kind, int64_t *id, struct err *) MUST_USE;
/*
 * `cert`: number, or the first digits of its SHA-256. One that is held already gets the new reason and end, without a
 * moment in between. `until` 0: until it is lifted. `id` may be NULL, here and below.
 */
enum write_outcome write_cert_hold(struct registry_writer *, const char *cert, const char *reason, time_t until,
    int64_t *id, struct err *) MUST_USE;
enum write_outcome write_cert_unhold(struct registry_writer *, const char *cert, const char *reason, int64_t *id, struct err *) MUST_USE;
/* Final. A code of compromise also revokes every other certificate of the same key. `note` may be NULL. */
enum write_outcome write_cert_revoke(struct registry_writer *, const char *cert, const char *code, const char *note,
    int64_t *id, struct err *) MUST_USE;
/* The old one becomes diganti; the new one gets its current bindings as well. */
enum write_outcome write_cert_replace(struct registry_writer *, const char *cert, const char *by, int64_t *id, struct err *) MUST_USE;

/*
 * What the programs of its owner can read from now on: bits of enum capability (encrypt.h), exactly these. WRITE_REFUSED where that
 * is so already, and for a certificate that nothing is encrypted to.
 */
enum write_outcome write_cert_capabilities(struct registry_writer *, const char *cert, unsigned capabilities, int64_t *id,
    struct err *) MUST_USE;
/*
 * The same, as mail said that was signed well with the certificate of SHA-256 `signer`: this certificate itself, or one that is bound for
 * verify or seal where this one is bound for encrypt. WRITE_REFUSED also for any other, and where it is not in force now.
 */
enum write_outcome write_cert_capabilities_seen(struct registry_writer *, const char *cert, unsigned capabilities,
    const unsigned char signer[32], int64_t *id, struct err *) MUST_USE;

struct new_binding {
	const char *cert;
	enum purpose purpose;
	const char *address, *unit, *domain; /* exactly one */
	time_t from, to;                     /* 0: from now, without an end */
	const char *decision;                /* NULL = none named */
};
enum write_outcome write_binding_add(struct registry_writer *, const struct new_binding *, int64_t *id, struct err *) MUST_USE;
enum write_outcome write_binding_end(struct registry_writer *, const char *id, const char *reason, struct err *) MUST_USE;

/*
 * What Postfix shall demand of a next hop (tls.h); a policy that it has ends in the same act. `matches` as
 * in struct tls_policy, any case and order. WRITE_REFUSED: no next hop, a match that is none, and whatever
 * would let mail for an official domain go in clear.
 */
struct new_tls {
	const char *hop;
	enum hop_level level;
	const char *const *matches;
	size_t n_matches;
	const char *decision; /* NULL = none named */
};
enum write_outcome write_tls_set(struct registry_writer *, const struct new_tls *, int64_t *id, struct err *) MUST_USE;
enum write_outcome write_tls_end(struct registry_writer *, const char *hop, const char *reason, struct err *) MUST_USE;

/* The revocation codes in their order; NULL after the last. `compromise` may be NULL. */
const char *revocation_code(size_t i, bool *compromise);

#endif
