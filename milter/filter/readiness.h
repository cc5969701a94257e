/*
 * readiness: what is not ready for the certificates that mail would be sealed with now: a key that
 * segel-keyd does not hold, an issuing authority that is not in seal.chain_dir; and for a role that holds mail, what
 * stands against that; for one that decrypts, a key agent that does not answer, and the offices' certificates whose key it does not hold,
 * because mail to them passes as it came. For warnings at start, after
 * a reload and in `segel-milter -n`; no message is judged by it.
 * Looks no further than a certificate's own issuer: which root readers trust is not known here.
 */
#ifndef FILTER_READINESS_H
#define FILTER_READINESS_H

#include "milter/filter/snapshot.h"

/*
 * Appends a line for each certificate and trouble; nothing where all is ready. A registry or key agent that
 * cannot be asked is a line, too; the agent is then not asked again, so this takes one keyd.timeout at most.
 */
void readiness(const struct snapshot *snapshot, const struct role_traits *role, time_t now, struct buf *ret);

#endif
