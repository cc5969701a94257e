/*
 * tls: what Postfix shall demand of a next hop before it hands mail over, as the registry says it
 * (smtp_tls_policy_maps; the words are those of postconf(5)).
 *
 * A next hop is what Postfix asks for: `domain`, `.domain` (its subdomains; Postfix asks for these
 * itself, from the inside out, where it got no answer), `domain:port`, `[host]`, `[host]:port`.
 *
 * An official domain (own, shared, partner) never goes without an answer, and never with one that
 * lets mail go in clear: `may`, and `dane`, which is `may` wherever there are no TLSA records.
 * Its own row decides; without one, for the domain itself, the nearest row of a parent, as Postfix
 * would find it; then `encrypt`. What is too weak (it was said before the domain became official) is
 * raised to `encrypt`.
 *
 * "Neither a policy nor a registered domain" and "could not ask" are two answers.
 * Does not know what the MTA's own default is, nor where the name leads: a relay, or a host of an
 * official domain's that transport_maps names, is a next hop of its own.
 */
#ifndef POLICY_REGISTRY_TLS_H
#define POLICY_REGISTRY_TLS_H

#include "policy/registry/registry.h"

enum hop_level {
	HOP_LEVEL_UNKNOWN,
	HOP_LEVEL_MAY,         /* in clear where TLS is not offered */
	HOP_LEVEL_DANE,        /* by TLSA records; without any, as may */
	HOP_LEVEL_ENCRYPT,     /* encrypted, to whomever */
	HOP_LEVEL_DANE_ONLY,   /* by TLSA records, or not at all */
	HOP_LEVEL_FINGERPRINT, /* to one of these certificates */
	HOP_LEVEL_VERIFY,      /* to a certificate of a trusted authority, named as the MX host */
	HOP_LEVEL_SECURE,      /* the same, named as the next hop: the DNS cannot lie about it */
};

enum { TLS_MAX_MATCHES = 16, TLS_MATCH_BYTES = 2048 };

/* A next hop as Postfix asks for it, in the form in which it is compared. */
struct hop {
	char key[LIMIT_ADDRESS_BYTES + 1];
	char domain[LIMIT_ADDRESS_BYTES + 1]; /* that it names; "" for ".domain" and for an address in brackets */
	bool plain;                           /* a domain and nothing else */
};

enum hop_form {
	HOP_UNKNOWN, /* in letters that may lead to a domain, but cannot be compared with one */
	HOP_NONE,    /* nothing that a domain could be reached by: a path, for one */
	HOP_ONE,
};

/*
 * Lower case, A-labels (idna.h), no dot at the end. `ret` is untouched unless it is HOP_ONE.
 * "domain:" is the domain itself, as it is for Postfix.
 */
enum hop_form hop_from(const char *text, struct hop *ret);

enum tls_answer {
	TLS_UNAVAILABLE, /* could not ask */
	TLS_NONE,        /* neither a policy nor a registered domain: the MTA's own default */
	TLS_FOUND,
};

enum tls_source {
	TLS_SOURCE_NONE,
	TLS_SOURCE_ROW,      /* of this next hop */
	TLS_SOURCE_PARENT,   /* of ".parent" */
	TLS_SOURCE_OFFICIAL, /* the least that an official domain gets */
};

struct tls_policy {
	enum tls_answer answer;
	enum hop_level level;          /* with TLS_FOUND */
	char match[TLS_MATCH_BYTES];   /* words with a blank between: host names and Postfix's own, or fingerprints; "" = none */
	enum tls_source source;
	bool raised;                   /* the registry holds less, which an official domain does not get */
	enum domain_answer official;   /* what the next hop's domain is */
	char why[512];                 /* for people */
};

void registry_tls(struct registry *registry, const char *next_hop, time_t at, struct tls_policy *ret);

/* Does this level let mail go in clear? */
bool hop_level_is_weak(enum hop_level level);

const char *hop_level_name(enum hop_level level); /* Postfix's words */
enum hop_level hop_level_from(const char *name);

#endif
