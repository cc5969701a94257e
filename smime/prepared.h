/*
 * prepared: a sealing certificate, opened once: its facts, its public key, and everything in a
 * SignedData that is the same for all of its signatures. Opening costs OpenSSL 3.0 several times a
 * P-256 signature, so the filter keeps what it has opened in a set.
 *
 * The set remembers parsing, no judgement: whether the certificate may be used is asked of the
 * registry for every message, and an entry is used only for exactly the DER it was made from.
 *
 * A struct prepared is immutable and counted; threads share it. The set is bounded: a new entry
 * takes the place of an old one.
 */
#ifndef SMIME_PREPARED_H
#define SMIME_PREPARED_H

#include "smime/buf.h"
#include "smime/err.h"
#include "smime/facts.h"
#include "smime/issuers.h"
#include "smime/key.h"

struct prepared;

/*
 * From DER, with the certificates of its issuing authorities (copied). ERR_CONFIG as cert_inspect();
 * a certificate that may be read but not sealed with is prepared all the same (prepared_signs).
 */
int prepared_new(struct slice cert, const struct slice *chain, size_t n_chain, const struct prepared **ret, struct err *err) MUST_USE;
const struct prepared *prepared_ref(const struct prepared *prepared);
void prepared_unref(const struct prepared *prepared);

const struct cert_facts *prepared_facts(const struct prepared *prepared); /* borrowed */
struct slice prepared_der(const struct prepared *prepared);               /* borrowed */

struct prepared_set;

/* Borrows the issuers, which give each certificate its chain; NULL = none has one. */
struct prepared_set *prepared_set_new(const struct issuers *issuers);
void prepared_set_free(struct prepared_set *set);
AUTO_DEFINE(struct prepared_set, prepared_set_free);

/* The entry for this certificate, made where there is none; a reference of the caller's. Thread-safe. No set: opened for this once. */
int prepared_get(struct prepared_set *set, struct slice cert, const struct prepared **ret, struct err *err) MUST_USE;

static inline __attribute__((unused)) void auto_prepared_unref(const struct prepared **owned) { prepared_unref(*owned); }

#endif
