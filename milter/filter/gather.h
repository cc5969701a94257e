/*
 * gather: the facts of one message in one place: what the bytes say, what the registry says.
 * Decides nothing. What could not be found out is a fact of its own ("unavailable").
 * Used by the pipeline and by `segelctl explain`.
 */
#ifndef FILTER_GATHER_H
#define FILTER_GATHER_H

#include "policy/input.h"
#include "smime/buf.h"
#include "smime/err.h"
#include "smime/prepared.h"
#include "smime/trust.h"

struct replay;

struct gathered {
	struct message_facts message;
	struct signature_facts signature;
	bool verified; /* `signature` was asked for and found out */
	enum replay_answer replay;
	char replay_why[FACT_WHY_BYTES];
	struct registry_facts registry;
	const struct prepared *prepared; /* the certificate of `registry.seal`, opened; where registry.cert_read. Owned. */
};

/* Who is asked, and about what beside the bytes; all borrowed. */
struct gather_from {
	enum role role;             /* which questions are of use */
	struct registry *registry;
	const struct trust *trust;  /* NULL: it could not be had, and trust_why says why; only signed mail needs it */
	const char *trust_why;
	struct replay *replay;      /* NULL: nobody remembers */
	struct prepared_set *set;   /* spares opening a certificate that was opened before; may be NULL */
	const struct transport_facts *transport;
	const struct envelope_facts *envelope;
	time_t now;
};

/* At MAIL: the envelope sender's domain, where the role wants it. The rest says "not known". */
void gather_envelope(const struct gather_from *from, struct gathered *ret);
/*
 * -1: our surroundings failed while reading or verifying the message; what was not found out says so, and
 * `verified` is false then. A signature of a good path that is seen the first time is remembered before this returns.
 */
int gather(const struct gather_from *from, struct slice bytes, struct gathered *ret, struct err *err) MUST_USE;
/* Of a message that is too large to be read whole: only whose domains its envelope and its From name. Never fails. */
void gather_head(const struct gather_from *from, struct slice bytes, struct gathered *ret);
/* The input of the checks, from what was gathered; class, config and `now` are the caller's. */
struct policy_input gather_input(const struct gather_from *from, const struct gathered *gathered, bool with_message);

/*
 * The message was opened (smime/decrypt.h): from now on these facts are those of what is inside. Envelope and header stay those of
 * the message as it came.
 */
void gather_opened(const struct gather_from *from, struct slice bytes, const struct message_facts *inside,
    const struct signature_facts *signature, struct gathered *gathered);

/*
 * Asks the registry once more about the same message: a hold or a revocation may have come while the
 * key agent was waited for. The new answers replace the old.
 */
void gather_again(const struct gather_from *from, struct gathered *gathered);
void gathered_done(struct gathered *gathered);

static inline __attribute__((unused)) void auto_gathered_done(struct gathered *g) { gathered_done(g); }
#define AUTO_GATHERED __attribute__((cleanup(auto_gathered_done)))

#endif
