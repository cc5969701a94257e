/*
 * encrypt: the certificate that mail to an address is encrypted to, as the registry and its caller know it.
 *
 * The registry answers first: certificates bound for purpose encrypt, aktif, in their dates; at the address itself,
 * else its unit, else its domain, and the first level with a current binding decides (as for registry_lookup). A partner's
 * domain also answers for addresses that nobody registered here: that, with the certificates bound to single partner
 * addresses, is the partner directory. Where several are in force, the newest first.
 *
 * What the registry cannot know (key usage against the key, a path to an anchor, revocation by the CA) the caller says of
 * each, from the newest on, until one may be used. So an older one is used where the newest is unfit or revoked by its CA;
 * where its status could not be found out and an older one is good, too.
 *
 * Also here: the unit that a sender belongs to, and what a recipient's program can do. Nothing is cached. Threads as registry.h.
 */
#ifndef POLICY_REGISTRY_ENCRYPT_H
#define POLICY_REGISTRY_ENCRYPT_H

#include "policy/registry/registry.h"

/* Bits of what the programs of a certificate's owner can read beyond AES-CBC and RSA v1.5. */
enum capability {
	CAPABILITY_NONE = 0,
	CAPABILITY_GCM = 1,  /* AuthEnvelopedData with AES-GCM (RFC 5083) */
	CAPABILITY_OAEP = 2, /* RSAES-OAEP with SHA-256 */
};

enum encrypt_answer {
	ENCRYPT_UNAVAILABLE, /* the registry could not be asked */
	ENCRYPT_UNDECIDED,   /* some in force; none is good, and the status of at least one could not be found out */
	ENCRYPT_NONE,        /* no such address, or nothing is bound to it for encrypting */
	ENCRYPT_UNUSABLE,    /* bound, but by the registry none may be used; `unusable` says why */
	ENCRYPT_REFUSED,     /* some in force, and the caller refused all of them */
	ENCRYPT_FOUND,
};

/* What the caller says of one certificate. */
enum cert_use {
	CERT_USE_UNKNOWN, /* could not be found out */
	CERT_USE_NOT,
	CERT_USE_GOOD,
};

struct encrypt_judge {
	/* `why` is always filled. Never called within a question to the registry, so it may ask others. */
	enum cert_use (*judge)(void *ctx, const struct registry_cert *cert, char why[FACT_WHY_BYTES]);
	void *ctx;
};

enum { ENCRYPT_CANDIDATES = 8 }; /* the newest so many of one place are looked at */

struct registry_encrypt {
	enum encrypt_answer answer;
	enum unusable unusable;    /* with ENCRYPT_UNUSABLE */
	bool known;                /* the address itself is registered and current */
	struct registry_cert cert; /* with ENCRYPT_FOUND; der owned */
	unsigned capabilities;     /* of `cert`: enum capability */
	size_t n_candidates;       /* how many were in force */
	char why[256];             /* for people */
};

/* Neither `judge` nor its function may be NULL. */
void registry_encrypt(struct registry *registry, const char *address, time_t at, const struct encrypt_judge *judge,
    struct registry_encrypt *ret);
void registry_encrypt_done(struct registry_encrypt *found);

enum unit_answer {
	UNIT_UNAVAILABLE, /* could not ask */
	UNIT_NONE,        /* not registered, or without a current unit */
	UNIT_FOUND,
};

/* The code of the unit that a registered address belongs to now; `code` is "" unless UNIT_FOUND. */
enum unit_answer registry_unit_of(struct registry *registry, const char *address, time_t at, char code[LIMIT_TOKEN_BYTES + 1]);

/* Is there a current unit of that code? */
enum unit_answer registry_has_unit(struct registry *registry, const char *code, time_t at);

const char *encrypt_answer_name(enum encrypt_answer answer); /* unavailable undecided none unusable refused found */
/* One capability's word: gcm, oaep; CAPABILITY_NONE for a word that is none. */
enum capability capability_from(const char *word);
const char *capability_name(enum capability capability);

static inline __attribute__((unused)) void auto_registry_encrypt_done(struct registry_encrypt *found) { registry_encrypt_done(found); }
#define AUTO_ENCRYPT __attribute__((cleanup(auto_registry_encrypt_done)))

#endif
