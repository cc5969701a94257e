/*
 * path: the paths from a certificate to an anchor, one after the other (RFC 5280 6.1).
 *
 * Private to smime/. OpenSSL checks a path; it commits itself to the first issuer that fits by name. So
 * where a path fails and a certificate of it could be another of the same name (cross-certificates, a renewed
 * key, a renewed certificate), the next one is tried, at most PATH_MOST_TRIES in all.
 */
#ifndef SMIME_PATH_H
#define SMIME_PATH_H

#include "smime/chain.h"
#include "smime/ossl.h"
#include "smime/trust_set.h"

enum { PATH_MOST_TRIES = 8 };

struct path_request {
	const struct trust *trust;
	X509 *leaf;
	STACK_OF(X509) *untrusted;   /* of the message; within the limits */
	time_t at;
	bool any_strength;
	const struct chain_request *policy; /* its policy inputs; NULL = the usual */
};

struct path {
	enum chain_state state;
	char why[FACT_WHY_BYTES];
	STACK_OF(X509) *chain;       /* owned: leaf first; the anchor last where CHAIN_GOOD; NULL where none was built */
};

struct path_search {
	const struct path_request *request;
	struct {
		X509 *cert;  /* owned */
		int depth;   /* at which it was left out */
	} out[PATH_MOST_TRIES];
	size_t n_out;
	size_t n_tries;
	bool over;
};

void path_search_init(struct path_search *search, const struct path_request *request);
void path_search_done(struct path_search *search);
/* The next path, good or not; false when there is no other to try. The first call always gives one. */
bool path_search_next(struct path_search *search, struct path *ret);
void path_done(struct path *path);

/* A cap that the certificate is beyond, or NULL. Counts and sizes only: to be asked before anything is verified. */
const char *path_limit(X509 *cert);

static inline __attribute__((unused)) void auto_path_done(struct path *owned) { path_done(owned); }
#define AUTO_PATH __attribute__((cleanup(auto_path_done)))
static inline __attribute__((unused)) void auto_path_search_done(struct path_search *owned) { path_search_done(owned); }
#define AUTO_SEARCH __attribute__((cleanup(auto_path_search_done)))

#endif
