/*
 * entitle: which of our certificates mail to these recipients may have been encrypted to, so that it may be decrypted for them.
 *
 * A certificate counts where it is bound now, for purpose encrypt, to the address, its unit or its domain: of each recipient. One of them
 * without it, and the message is none of ours to open. Its own state counts for nothing: mail is late, and what was encrypted
 * to a certificate that has since expired, was replaced, held or revoked is still meant for whoever it was bound to. A binding that has
 * ended does not count: an officer has said that this certificate is not that address's any more. Replacing and
 * revoking a certificate end no binding.
 *
 * Only addresses that are registered here and current, in a domain of our own; never a certificate of kind individu, whose
 * key is its owner's alone.
 *
 * Does not check: that the key agent holds the keys; what the MTA makes of an address afterwards (aliases, forwards).
 * Threads as registry.h.
 */
#ifndef POLICY_REGISTRY_ENTITLE_H
#define POLICY_REGISTRY_ENTITLE_H

#include "policy/registry/registry.h"

enum entitle_answer {
	ENTITLE_UNAVAILABLE, /* could not ask */
	ENTITLE_NONE,        /* no certificate that all of them have */
	ENTITLE_FOUND,
};

enum { ENTITLE_CERTS = 32 }; /* the newest so many are given */

struct registry_entitle {
	enum entitle_answer answer;
	struct registry_cert *certs; /* the newest first; owned, with their der. `bound`: how the first address has it */
	size_t n_certs;
	char why[256];               /* for people */
};

/* Of no address at all: ENTITLE_NONE. */
void registry_entitle(struct registry *registry, const char *const *addresses, size_t n_addresses, time_t at, struct registry_entitle *ret);
void registry_entitle_done(struct registry_entitle *found);

/*
 * Every certificate that registry_entitle() may find for some address of ours, whatever its state: each once, by id. For looking
 * ahead, not for decisions about mail: `bound` is unknown, and a domain's is among them before anybody is registered in it. The
 * certificate is borrowed for the callback, which must not ask this registry itself. -1: could not ask; what was called
 * back until then holds.
 */
int registry_each_opening(struct registry *registry, time_t at, void (*each)(void *ctx, const struct registry_cert *cert),
    void *ctx, struct err *err) MUST_USE;

static inline __attribute__((unused)) void auto_registry_entitle_done(struct registry_entitle *found) { registry_entitle_done(found); }
#define AUTO_ENTITLE __attribute__((cleanup(auto_registry_entitle_done)))

#endif
