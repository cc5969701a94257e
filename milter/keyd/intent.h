/*
 * intent: the record that is on disk before a signature exists, or before a content key is unwrapped. Event
 * "seal-intent" with login from qid session key alg digest uid pid; event "unwrap-intent" with item reason
 * key uid pid. The texts come from the caller, who is a listed signer or unwrapper; uid and pid from the kernel.
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

/* Of a SIGN or UNWRAP request. */
int intent_record(struct audit *audit, const struct wire_request *request, const struct peer *peer,
    struct err *err) MUST_USE;

/* `ret` holds 2 * bytes.len + 1. */
void intent_hex(struct slice bytes, char *ret);

#endif
