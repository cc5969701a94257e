/*
 * registry: what the OP (Otoritas Pendaftaran) says about addresses, logins and certificates.
 * The reading half of the contract; writing is registry/write.h. Backends sit behind this
 * file; the first is SQLite.
 *
 * "No such address", "known, but none usable" and "could not ask" are three answers and stay
 * three. None of them is an error: they are facts that policy judges. Nothing is cached: an
 * answer is as new as the call, so a hold takes effect with the next message.
 *
 * Threads: one struct registry serves all; it keeps a pool of read-only connections.
 */
#ifndef POLICY_REGISTRY_H
#define POLICY_REGISTRY_H

#include <time.h>

#include "smime/base.h"
#include "smime/buf.h"
#include "smime/err.h"
#include "smime/facts.h"
#include "smime/limits.h"

enum purpose {
	PURPOSE_UNKNOWN,
	PURPOSE_VERIFY,
	PURPOSE_ENCRYPT,
	PURPOSE_SEAL,
	PURPOSE_CLIENT,
};

enum registry_answer {
	REGISTRY_UNAVAILABLE, /* could not ask: missing, locked, damaged, a schema that is not ours */
	REGISTRY_NONE,        /* no such address (or no binding: see `known`) */
	REGISTRY_UNUSABLE,    /* known, but none usable; `unusable` says why */
	REGISTRY_FOUND,
};

/* Why nothing usable was found; the best candidate's reason. */
enum unusable {
	UNUSABLE_UNKNOWN,
	UNUSABLE_HELD,     /* ditahan */
	UNUSABLE_REVOKED,  /* dicabut */
	UNUSABLE_RETIRED,  /* diganti */
	UNUSABLE_ENDED,    /* every binding has ended, or address, unit or domain has */
	UNUSABLE_EXPIRED,  /* past notAfter */
	UNUSABLE_NOT_YET,  /* before notBefore */
	UNUSABLE_CONFLICT, /* the record and the certificate contradict each other (registry_signer only) */
};

enum cert_state { CERT_STATE_UNKNOWN, CERT_STATE_ACTIVE, CERT_STATE_HELD, CERT_STATE_REVOKED, CERT_STATE_REPLACED };
enum cert_kind { CERT_KIND_UNKNOWN, CERT_KIND_PERSON, CERT_KIND_OFFICE, CERT_KIND_SYSTEM }; /* individu, jabatan, sistem */
enum bound_to { BOUND_UNKNOWN, BOUND_ADDRESS, BOUND_UNIT, BOUND_DOMAIN };

/* One certificate as the registry holds it, with the binding that led to it. */
struct registry_cert {
	int64_t id;
	unsigned char sha256[32];
	unsigned char spki[32];
	unsigned char *der; /* owned; registry_found_done */
	size_t der_len;
	enum cert_kind kind;
	enum cert_state state;
	enum bound_to bound;
	char reason[128];   /* of a hold or revocation, escaped; "" = none */
};

struct registry_found {
	enum registry_answer answer;
	enum unusable unusable;    /* with REGISTRY_UNUSABLE */
	bool known;                /* the address itself is registered and current */
	struct registry_cert cert; /* the certificate found, or the best unusable one (der may be NULL) */
	char why[256];             /* for people: what was looked at, what stood against it */
};

enum login_answer {
	LOGIN_UNAVAILABLE, /* could not ask */
	LOGIN_UNKNOWN,     /* no such login, or ended */
	LOGIN_OTHER,       /* a login of other addresses */
	LOGIN_OWNS,        /* bound to this address now */
};

struct registry;

/*
 * Opens nothing yet beyond checking that the file is there and has our schema. ERR_CONFIG:
 * missing, schema newer than this program, or older (run `segelctl init --migrate`); ERR_TEMP: locked.
 */
int registry_open(const char *file, int timeout_ms, struct registry **ret, struct err *err) MUST_USE;
void registry_close(struct registry *registry);
AUTO_DEFINE(struct registry, registry_close);

/*
 * The certificate for this address and purpose at this time. Bound to the address itself first,
 * then to its unit, then to its domain; the first level with a current binding decides, so a
 * certificate on hold is not passed over for the next level's. Only in a partner's domain does a
 * domain's binding also answer for an address that nobody registered here (`known` stays false).
 */
void registry_lookup(struct registry *registry, const char *address, enum purpose purpose, time_t at,
    struct registry_found *ret);
void registry_found_done(struct registry_found *found);

enum login_answer registry_login(struct registry *registry, const char *login, const char *address, time_t at);

/*
 * Every certificate that mail may be sealed with at this time: aktif (a hold that has lapsed is none),
 * in its dates, bound for purpose seal to an address, unit or domain that is current. Each once, by id.
 * For looking ahead, not for decisions about mail: `bound` is unknown, and where several are bound in
 * one place registry_lookup() takes one of them. The certificate is borrowed for the callback, which must not ask
 * this registry itself. -1: could not ask; what was called back until then holds.
 */
int registry_each_seal(struct registry *registry, time_t at, void (*each)(void *ctx, const struct registry_cert *cert),
    void *ctx, struct err *err) MUST_USE;

/*
 * What the OP says of a certificate that signed a message, and of whom it speaks for. Asked by the SHA-256 of
 * the certificate; a row whose issuer, serial number or key are others, or another certificate under the same
 * issuer and serial number, is UNUSABLE_CONFLICT. A certificate whose public key leaked with a registered one
 * is UNUSABLE_REVOKED, registered or not.
 */
struct registry_signer {
	enum registry_answer answer; /* REGISTRY_NONE: not registered; REGISTRY_FOUND says nothing yet of the address */
	enum unusable unusable;      /* with REGISTRY_UNUSABLE */
	/* id 0 where it is not registered; without der. `bound`: the nearest current binding for verify or seal
	 * that speaks for the address, whatever stands against the certificate; BOUND_UNKNOWN = none does. */
	struct registry_cert cert;
	size_t n_bindings;           /* its current bindings for verify or seal, for whomever */
	bool known;                  /* the address is registered and current */
	bool fold;                   /* local parts of the address's domain are alike in either case */
	char why[256];               /* for people */
};

/*
 * `from` is the address it signed for; "" where that cannot be told: nothing speaks for it then. As for
 * registry_lookup, only in a partner's domain does a domain's binding speak for an address that nobody registered here.
 */
void registry_signer(struct registry *registry, const struct cert_facts *cert, const char *from, time_t at,
    struct registry_signer *ret);

/* Whose mail domain is it? Official are own, shared and partner. */
enum domain_answer {
	DOMAIN_UNAVAILABLE, /* could not ask */
	DOMAIN_NONE,        /* not registered, ended, or no domain at all */
	DOMAIN_ODD,         /* in a form that cannot be compared with registered ones; a mail program may read one in it */
	DOMAIN_OWN,
	DOMAIN_SHARED,  /* of several regions */
	DOMAIN_PARTNER, /* of another region */
};

/* The domain of an address; of "" and of an address literal: DOMAIN_NONE. */
enum domain_answer registry_domain_of(struct registry *registry, const char *address, time_t at);

/* Is this address registered and current? 1 yes, 0 no, -1 could not ask. */
int registry_address_known(struct registry *registry, const char *address, time_t at);

/*
 * Who may review held mail: a UNIX login, the role it was given (permit.h knows the words), and the person behind it.
 * `own` holds that person's and that login's current addresses in the form of address_normalise(),
 * NULL-terminated; given back by registry_reviewer_done().
 */
struct registry_reviewer {
	enum registry_answer answer; /* REGISTRY_UNUSABLE: the appointment or the person has ended; why says which */
	int64_t person;
	char name[256];
	char role[32];
	char **own;
	char why[256];
};

void registry_reviewer(struct registry *registry, const char *login, time_t at, struct registry_reviewer *ret);
void registry_reviewer_done(struct registry_reviewer *reviewer);

/*
 * The form addresses are compared in: domain in lower case, an internationalised one in A-labels
 * (idna.h); local part octet for octet, its ASCII letters in lower case where the registry says so for
 * that domain (fold). False for what is no such address. `ret` holds LIMIT_ADDRESS_BYTES + 1.
 */
bool address_normalise(const char *address, bool fold, char *ret);

/* The same address in that form? False also where one of them is none. */
bool address_equal(const char *a, const char *b, bool fold);
/* A mail domain in that form, without the one dot that may stand at its end. False for what is none. `ret` as above. */
bool domain_normalise(const char *domain, char *ret);

const char *purpose_name(enum purpose purpose);       /* verify encrypt seal client */
const char *cert_state_name(enum cert_state state);   /* aktif ditahan dicabut diganti */
const char *cert_kind_name(enum cert_kind kind);      /* individu jabatan sistem */
const char *unusable_name(enum unusable unusable);
enum purpose purpose_from(const char *name);
enum cert_state cert_state_from(const char *name);
enum cert_kind cert_kind_from(const char *name);

/* One line: which SQLite this runs with. */
void registry_library(struct buf *ret);

static inline __attribute__((unused)) void auto_registry_found_done(struct registry_found *found) { registry_found_done(found); }
#define AUTO_FOUND __attribute__((cleanup(auto_registry_found_done)))

#endif
