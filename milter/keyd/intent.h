/*
 * intent: the record that is on disk before a signature exists, or before a content key is unwrapped. Event
 * "seal-intent" with login from qid session key alg digest uid pid; event "unwrap-intent" with item reason
 * key uid pid; event "decrypt-intent" with qid session from recipient client by content key uid pid, where `by` is v1.5, oaep or
 * ecdh, and content the length of the key that is asked for. The texts come from the caller, who is a listed signer or unwrapper;
 * uid and pid from the kernel.
 *
 * Event "decrypt-failed" has qid session from recipient client failures key uid pid: how many there have been within the hour.
 */
#ifndef KEYD_INTENT_H
#define KEYD_INTENT_H

#include <sys/types.h>

#include "milter/audit/audit.h"
#include "milter/keyd/wire.h"

struct peer {
	uid_t uid;
	pid_t pid;
};

/* Of a SIGN, UNWRAP, OPEN or DERIVE request. */
int intent_record(struct audit *audit, const struct wire_request *request, const struct peer *peer,
    struct err *err) MUST_USE;

/* Of a FAILED request; `failures` as failures_add() says. */
int intent_record_failure(struct audit *audit, const struct wire_request *request, const struct peer *peer, unsigned failures,
    struct err *err) MUST_USE;

/* `ret` holds 2 * bytes.len + 1. */
void intent_hex(struct slice bytes, char *ret);

#endif
